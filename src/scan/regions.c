/* Connected regions by runs and union-find with path halving; the smaller label is always the root, so that regions
 * come in the order of their first pixels. */
#include "scan/regions.h"

#include "base/memory.h"

static uint64_t word_at(const struct hl_bits *bits, const uint64_t *row, size_t i, bool holes)
{
	if (!holes)
		return row[i];
	uint64_t tail = UINT64_MAX >> (63 - (bits->width - 1) % 64);
	return ~row[i] & (i + 1 == bits->stride ? tail : UINT64_MAX);
}

/* Writes a row's runs, at most as many as there is room for, and returns how many there are. */
static uint32_t scan_row(const struct hl_bits *bits, int32_t y, int32_t z, bool holes, struct hl_run *runs)
{
	const uint64_t *row = hl_bits_row(bits, y, z);
	uint32_t count = 0;
	bool open = false;
	for (size_t i = 0; i < bits->stride; i++) {
		uint64_t word = word_at(bits, row, i, holes);
		/* Each bit that differs from the one before begins a run or ends one. */
		uint64_t edges = word ^ (word << 1 | (open ? 1 : 0));
		while (edges) {
			int bit = __builtin_ctzll(edges);
			edges &= edges - 1;
			if (!open && runs)
				runs[count].first = (uint16_t)(i * 64 + (size_t)bit);
			if (open && runs)
				runs[count].last = (uint16_t)(i * 64 + (size_t)bit - 1);
			count += open;
			open = !open;
		}
	}
	if (open && runs)
		runs[count].last = (uint16_t)(bits->width - 1);
	return count + open;
}

static uint32_t find_root(uint32_t *parent, uint32_t i)
{
	while (parent[i] != i) {
		parent[i] = parent[parent[i]];
		i = parent[i];
	}
	return i;
}

static void unite(uint32_t *parent, uint32_t a, uint32_t b)
{
	a = find_root(parent, a);
	b = find_root(parent, b);
	if (a < b)
		parent[b] = a;
	else
		parent[a] = b;
}

/* Joins the runs of two rows that share a column. */
static void join_rows(struct hl_regions *regions, size_t upper, size_t lower)
{
	uint32_t a = regions->start[upper], b = regions->start[lower];
	while (a < regions->start[upper + 1] && b < regions->start[lower + 1]) {
		const struct hl_run *one = &regions->run[a], *two = &regions->run[b];
		if (one->first <= two->last && two->first <= one->last)
			unite(regions->label, a, b);
		if (one->last < two->last)
			a++;
		else
			b++;
	}
}

static void measure_run(struct hl_region *region, const struct hl_run *run, int32_t y, int32_t z)
{
	int64_t length = run->last - run->first + 1;
	if (region->size == 0)
		*region = (struct hl_region){.x0 = run->first, .x1 = run->last, .y0 = y, .y1 = y, .z0 = z, .z1 = z};
	region->size += length;
	region->sum_x += length * (run->first + run->last) / 2;
	region->sum_y += length * y;
	region->x0 = run->first < region->x0 ? run->first : region->x0;
	region->x1 = run->last > region->x1 ? run->last : region->x1;
	region->y0 = y < region->y0 ? y : region->y0;
	region->y1 = y > region->y1 ? y : region->y1;
	region->z1 = z;
}

/* Turns roots into numbers without gaps. A root comes before all that it is the root of. */
static enum hilum_status number_regions(struct hl_regions *regions, uint32_t runs, struct hilum_error *error)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < runs; i++)
		count += regions->label[i] == i;
	regions->region = hl_alloc(count, sizeof(*regions->region));
	if (!regions->region)
		return hl_fail_memory(error, count * sizeof(*regions->region), "connected regions");
	for (uint32_t i = 0; i < runs; i++)
		regions->label[i] = regions->label[i] == i ? regions->count++ : regions->label[regions->label[i]];
	for (int32_t z = 0; z < regions->depth; z++)
		for (int32_t y = 0; y < regions->height; y++) {
			size_t row = (size_t)z * (size_t)regions->height + (size_t)y;
			for (uint32_t i = regions->start[row]; i < regions->start[row + 1]; i++)
				measure_run(&regions->region[regions->label[i]], &regions->run[i], y, z);
		}
	return HILUM_OK;
}

static enum hilum_status find(const struct hl_bits *bits, bool holes, struct hl_regions *out, struct hilum_error *error)
{
	size_t rows = (size_t)bits->height * (size_t)bits->depth;
	struct hl_regions regions = {.width = bits->width, .height = bits->height, .depth = bits->depth};
	enum hilum_status status = HILUM_OK;
	uint64_t runs = 0, most = rows * (uint64_t)bits->width / 16 + 65536;

	for (size_t i = 0; i < rows; i++)
		runs += scan_row(bits, (int32_t)(i % (size_t)bits->height), (int32_t)(i / (size_t)bits->height), holes,
		                 NULL);
	if (runs > most || runs > UINT32_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "noise: a picture of more than %llu scraps",
		               (unsigned long long)most);
	regions.start = hl_alloc(rows + 1, sizeof(*regions.start));
	regions.run = hl_alloc(runs, sizeof(*regions.run));
	regions.label = hl_alloc(runs, sizeof(*regions.label));
	if (!regions.start || !regions.run || !regions.label) {
		status = hl_fail_memory(error, runs * 8 + rows * 4, "connected regions");
		goto out;
	}
	uint32_t next = 0;
	for (size_t i = 0; i < rows; i++) {
		int32_t y = (int32_t)(i % (size_t)bits->height), z = (int32_t)(i / (size_t)bits->height);
		regions.start[i] = next;
		next += scan_row(bits, y, z, holes, regions.run + next);
		regions.start[i + 1] = next;
		for (uint32_t k = regions.start[i]; k < next; k++)
			regions.label[k] = k;
		if (y > 0)
			join_rows(&regions, i - 1, i);
		if (z > 0)
			join_rows(&regions, i - (size_t)bits->height, i);
	}
	for (uint32_t k = 0; k < next; k++)
		regions.label[k] = find_root(regions.label, k);
	status = number_regions(&regions, next, error);
out:
	if (status)
		hl_regions_free(&regions);
	else
		*out = regions;
	return status;
}

enum hilum_status hl_regions_find(const struct hl_bits *bits, struct hl_regions *out, struct hilum_error *error)
{
	return find(bits, false, out, error);
}

enum hilum_status hl_regions_find_holes(const struct hl_bits *bits, struct hl_regions *out, struct hilum_error *error)
{
	return find(bits, true, out, error);
}

void hl_regions_free(struct hl_regions *regions)
{
	hl_free(regions->region);
	hl_free(regions->start);
	hl_free(regions->run);
	hl_free(regions->label);
	*regions = (struct hl_regions){0};
}

int64_t hl_regions_largest(const struct hl_regions *regions)
{
	int64_t largest = -1;
	for (uint32_t i = 0; i < regions->count; i++)
		if (largest < 0 || regions->region[i].size > regions->region[largest].size)
			largest = i;
	return largest;
}

void hl_regions_paint(const struct hl_regions *regions, const bool *keep, struct hl_bits *bits)
{
	for (int32_t z = 0; z < regions->depth; z++)
		for (int32_t y = 0; y < regions->height; y++) {
			size_t row = (size_t)z * (size_t)regions->height + (size_t)y;
			for (uint32_t i = regions->start[row]; i < regions->start[row + 1]; i++)
				if (keep[regions->label[i]])
					hl_bits_fill(hl_bits_row(bits, y, z), regions->run[i].first,
					             regions->run[i].last, true);
		}
}

/* Set bits of a row from first to last. */
static int64_t count_run(const uint64_t *row, const struct hl_run *run)
{
	int64_t count = 0;
	for (int32_t word = run->first / 64; word <= run->last / 64; word++) {
		uint64_t mask = UINT64_MAX;
		if (word == run->first / 64)
			mask &= UINT64_MAX << (run->first % 64);
		if (word == run->last / 64)
			mask &= UINT64_MAX >> (63 - run->last % 64);
		count += __builtin_popcountll(row[word] & mask);
	}
	return count;
}

void hl_regions_overlap(const struct hl_regions *regions, const struct hl_bits *bits, int64_t *count)
{
	for (int32_t z = 0; z < regions->depth; z++)
		for (int32_t y = 0; y < regions->height; y++) {
			size_t row = (size_t)z * (size_t)regions->height + (size_t)y;
			for (uint32_t i = regions->start[row]; i < regions->start[row + 1]; i++)
				count[regions->label[i]] += count_run(hl_bits_row(bits, y, z), &regions->run[i]);
		}
}
