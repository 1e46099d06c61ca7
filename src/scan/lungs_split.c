/* Which of the air is lung, and which lung it is. Where the two touch, at the junctions before and behind the heart,
 * they are eroded until they come apart, and what the erosion took goes to the side that is nearer within the air. */
#include "scan/lungs_private.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

#define SHARE_LEAST 0.05 /* of the largest region, in a volume: smaller ones are air in the bowel */
#define SECOND_LEAST 0.1 /* of all: the smaller lung */
#define REMNANT_LEAST 0.02
#define ALONE 0.1        /* of the body's width */
#define APART_LEAST 0.2  /* of the body's width: the middles of the two */
#define PIECE_LEAST 0.01 /* of all: pieces that take part in the contest */

#define CENTRAL 0.12   /* of the body's width */
#define BORDER 2.0     /* mm */
#define GAS_SHARE 0.75 /* of a region of gas is dark; of an emphysematous lung up to 0.6 */

/* mm */
static const double erosions[] = {0, 1, 2, 3, 4, 6, 8, 11, 15};

static const int8_t offset[6][3] = {{-1, 0, 0}, {1, 0, 0}, {0, -1, 0}, {0, 1, 0}, {0, 0, -1}, {0, 0, 1}};

/* Voxels that wait for their neighbours to be asked. */
struct front {
	uint32_t *voxel;
	size_t count, room;
};

static enum hilum_status put(struct front *front, uint32_t voxel, struct hilum_error *error)
{
	if (front->count == front->room) {
		size_t room = front->room ? 2 * front->room : 4096;
		uint32_t *grown = hl_realloc(front->voxel, room, sizeof(*grown));
		if (!grown)
			return hl_fail_memory(error, room * sizeof(*grown), "the border of the lungs");
		front->voxel = grown;
		front->room = room;
	}
	front->voxel[front->count++] = voxel;
	return HILUM_OK;
}

static double middle_of(const struct hl_region *region)
{
	return (double)region->sum_x / (double)region->size + 0.5;
}

/* Whether regions of air are gas: nearly all that lies behind their border, which is blurred, is as dark. */
static enum hilum_status find_gas(const struct hl_lung_work *work, const struct hl_regions *regions, bool *is_gas,
                                  struct hilum_error *error)
{
	int64_t *inner = hl_alloc(regions->count, sizeof(*inner)), *gas = hl_alloc(regions->count, sizeof(*gas));
	struct hl_bits inside = {0};
	enum hilum_status status = hl_bits_init(&inside, work->width, work->height, work->depth, error);

	if (!status && (!inner || !gas))
		status = hl_fail_memory(error, regions->count * 16, "connected regions");
	if (!status) {
		hl_bits_erode(&work->air, BORDER / work->spacing[0], BORDER / work->spacing[1], &inside);
		hl_regions_overlap(regions, &inside, inner);
		hl_bits_keep(&inside, &work->gas);
		hl_regions_overlap(regions, &inside, gas);
		for (uint32_t i = 0; i < regions->count; i++)
			is_gas[i] = (double)gas[i] > GAS_SHARE * (double)inner[i];
	}
	hl_bits_free(&inside);
	hl_free(inner);
	hl_free(gas);
	return status;
}

/* What lies wholly at the middle is trachea or oesophagus. */
static bool is_central(const struct hl_lung_work *work, const struct hl_region *region)
{
	double reach = CENTRAL * work->body_width;
	return region->x0 > work->body_x - reach && region->x1 + 1 < work->body_x + reach;
}

/* Leaves of air the regions that are lung and not gas. Where there is nothing else, as in a picture whose window shows
 * lung and air as one, darkness tells nothing. */
static enum hilum_status keep_lung(struct hl_lung_work *work, struct hilum_error *error)
{
	struct hl_regions regions;
	enum hilum_status status = hl_regions_find(&work->air, &regions, error);
	double area = work->spacing[0] * work->spacing[1];
	int64_t largest = 0, any = 0;
	bool *gas, *keep;

	if (status)
		return status;
	gas = hl_alloc(regions.count, sizeof(*gas));
	keep = hl_alloc(regions.count, sizeof(*keep));
	if (!gas || !keep)
		status = hl_fail_memory(error, regions.count * 2, "connected regions");
	if (!status)
		status = find_gas(work, &regions, gas, error);
	if (status)
		goto out;
	for (uint32_t i = 0; i < regions.count; i++) {
		int64_t size = regions.region[i].size;
		gas[i] = gas[i] || is_central(work, &regions.region[i]);
		any = size > any ? size : any;
		if (!gas[i] && size > largest)
			largest = size;
	}
	bool told = work->scan->unit == HL_UNIT_HOUNSFIELD || (double)largest >= SHARE_LEAST * (double)any;
	double least = HL_LUNGS_LEAST / area;
	if (work->depth > 1)
		least = fmax(least, SHARE_LEAST * (double)(told ? largest : any));
	for (uint32_t i = 0; i < regions.count; i++)
		keep[i] = (double)regions.region[i].size >= least && (!told || !gas[i]);
	hl_bits_clear(&work->air);
	hl_regions_paint(&regions, keep, &work->air);
out:
	hl_free(gas);
	hl_free(keep);
	hl_regions_free(&regions);
	return status;
}

/* The two largest regions that can be the two lungs, the right one first. */
static bool find_pair(const struct hl_lung_work *work, const struct hl_regions *regions, uint32_t pair[2])
{
	int64_t first = hl_regions_largest(regions), second = -1, all = 0;
	if (first < 0)
		return false;
	double middle = middle_of(&regions->region[first]);
	for (uint32_t i = 0; i < regions->count; i++) {
		const struct hl_region *region = &regions->region[i];
		double other = middle_of(region);
		all += region->size;
		if ((other < work->body_x) == (middle < work->body_x) ||
		    fabs(other - middle) < APART_LEAST * work->body_width)
			continue;
		if (second < 0 || region->size > regions->region[second].size)
			second = i;
	}
	/* A region well off the middle is one lung alone, and the other may be small: collapsed, or full of a tumour.
	 */
	bool alone = fabs(middle - work->body_x) >= ALONE * work->body_width;
	if (second < 0 || (double)regions->region[second].size < (alone ? REMNANT_LEAST : SECOND_LEAST) * (double)all)
		return false;
	bool in_order = middle < middle_of(&regions->region[second]);
	pair[0] = (uint32_t)(in_order ? first : second);
	pair[1] = (uint32_t)(in_order ? second : first);
	return true;
}

/* Gives regions at least that large to the sides they lie on. */
static void paint_sides(struct hl_lung_work *work, const struct hl_regions *regions, double border, double least)
{
	for (int32_t z = 0; z < work->depth; z++)
		for (int32_t y = 0; y < work->height; y++) {
			size_t row = (size_t)z * (size_t)work->height + (size_t)y;
			for (uint32_t i = regions->start[row]; i < regions->start[row + 1]; i++) {
				const struct hl_region *region = &regions->region[regions->label[i]];
				uint8_t *run = work->side + row * (size_t)work->width + regions->run[i].first;
				size_t length = (size_t)regions->run[i].last - regions->run[i].first + 1;
				if ((double)region->size >= least && !*run)
					memset(run, middle_of(region) < border ? 1 + HL_SIDE_RIGHT : 1 + HL_SIDE_LEFT,
					       length);
			}
		}
}

/* Calls of a neighbour that is in the set and has a side. */
static uint8_t side_beside(const struct hl_lung_work *work, const struct hl_bits *set, int32_t x, int32_t y, int32_t z)
{
	for (int k = 0; k < 6; k++) {
		int32_t u = x + offset[k][0], v = y + offset[k][1], w = z + offset[k][2];
		if (u < 0 || v < 0 || w < 0 || u >= work->width || v >= work->height || w >= work->depth ||
		    !hl_bits_get(set, u, v, w))
			continue;
		uint8_t side =
		    work->side[((size_t)w * (size_t)work->height + (size_t)v) * (size_t)work->width + (size_t)u];
		if (side)
			return side;
	}
	return 0;
}

/* The first step from what the erosion left into what it took. */
static enum hilum_status begin(struct hl_lung_work *work, const struct hl_bits *eroded, struct front *front,
                               struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	for (int32_t z = 0; z < work->depth; z++)
		for (int32_t y = 0; y < work->height; y++)
			for (size_t word = 0; word < eroded->stride; word++) {
				uint64_t taken = hl_bits_row(&work->air, y, z)[word] & ~hl_bits_row(eroded, y, z)[word];
				for (; taken && !status; taken &= taken - 1) {
					int32_t x = (int32_t)(word * 64) + __builtin_ctzll(taken);
					uint8_t side = side_beside(work, eroded, x, y, z);
					size_t voxel =
					    ((size_t)z * (size_t)work->height + (size_t)y) * (size_t)work->width +
					    (size_t)x;
					if (!side)
						continue;
					work->side[voxel] = side;
					status = put(front, (uint32_t)voxel, error);
				}
			}
	return status;
}

/* One step from every voxel of the front into air that has no side yet. */
static enum hilum_status step(struct hl_lung_work *work, const struct front *from, struct front *to,
                              struct hilum_error *error)
{
	uint32_t width = (uint32_t)work->width, height = (uint32_t)work->height;
	enum hilum_status status = HILUM_OK;
	to->count = 0;
	for (size_t i = 0; i < from->count; i++) {
		uint32_t voxel = from->voxel[i];
		int32_t x = (int32_t)(voxel % width), y = (int32_t)(voxel / width % height);
		int32_t z = (int32_t)(voxel / width / height);
		for (int k = 0; !status && k < 6; k++) {
			int32_t u = x + offset[k][0], v = y + offset[k][1], w = z + offset[k][2];
			if (u < 0 || v < 0 || w < 0 || u >= work->width || v >= work->height || w >= work->depth ||
			    !hl_bits_get(&work->air, u, v, w))
				continue;
			size_t at = ((size_t)w * height + (size_t)v) * width + (size_t)u;
			if (work->side[at])
				continue;
			work->side[at] = work->side[voxel];
			status = put(to, (uint32_t)at, error);
		}
	}
	return status;
}

static enum hilum_status grow(struct hl_lung_work *work, struct front *front, struct hilum_error *error)
{
	struct front next = {0};
	enum hilum_status status = HILUM_OK;
	while (!status && front->count > 0) {
		status = step(work, front, &next, error);
		struct front swap = *front;
		*front = next;
		next = swap;
	}
	hl_free(next.voxel);
	return status;
}

/* What has no side yet, region by region. */
static enum hilum_status paint_rest(struct hl_lung_work *work, double border, struct hilum_error *error)
{
	struct hl_regions regions;
	enum hilum_status status = hl_regions_find(&work->air, &regions, error);
	if (status)
		return status;
	paint_sides(work, &regions, border, 0);
	hl_regions_free(&regions);
	return HILUM_OK;
}

/* One erosion: whether it gives two lungs, and if so the border between their middles, and all voxels their sides. */
static enum hilum_status try_erosion(struct hl_lung_work *work, double radius, struct hl_bits *eroded,
                                     struct hilum_error *error)
{
	struct hl_regions regions = {0};
	struct front front = {0};
	uint32_t pair[2];
	enum hilum_status status;

	if (radius > 0)
		hl_bits_erode(&work->air, radius / work->spacing[0], radius / work->spacing[1], eroded);
	else
		hl_bits_copy(eroded, &work->air);
	status = hl_regions_find(eroded, &regions, error);
	if (status || !find_pair(work, &regions, pair))
		goto out;
	int64_t all = 0;
	for (uint32_t i = 0; i < regions.count; i++)
		all += regions.region[i].size;
	double border = (middle_of(&regions.region[pair[0]]) + middle_of(&regions.region[pair[1]])) / 2;
	work->count = 2;
	paint_sides(work, &regions, border, radius > 0 ? PIECE_LEAST * (double)all : 0);
	if (radius > 0)
		status = begin(work, eroded, &front, error);
	if (!status)
		status = grow(work, &front, error);
	if (!status && radius > 0)
		status = paint_rest(work, border, error);
out:
	hl_free(front.voxel);
	hl_regions_free(&regions);
	return status;
}

enum hilum_status hl_lungs_split(struct hl_lung_work *work, struct hilum_error *error)
{
	struct hl_bits eroded = {0};
	enum hilum_status status = keep_lung(work, error);

	if (!status)
		status = hl_bits_init(&eroded, work->width, work->height, work->depth, error);
	work->side = hl_alloc((size_t)work->width * (size_t)work->height * (size_t)work->depth, 1);
	if (!status && !work->side)
		status = hl_fail_memory(error, (size_t)work->width * (size_t)work->height * (size_t)work->depth,
		                        "the lungs");
	for (size_t i = 0; !status && work->count == 0 && i < sizeof(erosions) / sizeof(*erosions); i++)
		status = try_erosion(work, erosions[i], &eroded, error);
	if (!status && work->count == 0) {
		work->count = hl_bits_count(&work->air) > 0;
		status = paint_rest(work, work->body_x, error);
	}
	hl_bits_free(&eroded);
	return status;
}
