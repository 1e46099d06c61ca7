/* The body, on a coarse grid, and the levels of air, lung and tissue in it. */
#include "scan/lungs_private.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

/* Between air and tissue, before the levels are known. */
#define FIRST_THRESHOLD (-350)
#define TYPICAL_LUNG 0.15 /* of the way from air to tissue */
#define CUT_LEAST 1500.0  /* mm2 of lung that is cut open by the border */

enum { LEVELS = HL_LUNGS_CEILING - HL_LUNGS_FLOOR + 1, PIXELS_MIN = 50, BORDER_CELLS = 3 };

/* How often each value from HL_LUNGS_FLOOR on was met. */
struct histogram {
	int64_t count[LEVELS];
};

static void add(struct histogram *histogram, int32_t value)
{
	histogram->count[value - HL_LUNGS_FLOOR]++;
}

/* Number and mean of the values from low to below high. */
static int64_t mean_between(const struct histogram *histogram, double low, double high, double *mean)
{
	int64_t count = 0;
	double sum = 0;
	for (int32_t i = 0; i < LEVELS; i++) {
		int32_t value = i + HL_LUNGS_FLOOR;
		if (value < low || value >= high)
			continue;
		count += histogram->count[i];
		sum += (double)histogram->count[i] * value;
	}
	*mean = count ? sum / (double)count : (double)NAN;
	return count;
}

/* The value below which lies a share of them; NaN where they are few. */
static double quantile(const struct histogram *histogram, double share)
{
	int64_t total = 0, below = 0;
	for (int32_t i = 0; i < LEVELS; i++)
		total += histogram->count[i];
	for (int32_t i = 0; i < LEVELS && total >= PIXELS_MIN; i++) {
		below += histogram->count[i];
		if ((double)below >= share * (double)total)
			return i + HL_LUNGS_FLOOR;
	}
	return (double)NAN;
}

static enum hilum_status average_slice(struct hl_lung_work *work, int32_t z, struct hilum_error *error)
{
	int32_t width = work->body.width, height = work->body.height;
	int16_t *row = hl_alloc((size_t)work->width, sizeof(*row));
	int32_t *sum = hl_alloc((size_t)width, sizeof(*sum));
	enum hilum_status status = HILUM_OK;

	if (!row || !sum)
		status = hl_fail_memory(error, (size_t)work->width * 6, "rows of a slice");
	for (int32_t v = 0; !status && v < height; v++) {
		int32_t from = v * work->cell[1], to = from + work->cell[1];
		int16_t *out = work->coarse + ((size_t)z * (size_t)height + (size_t)v) * (size_t)width;
		to = to < work->height ? to : work->height;
		memset(sum, 0, (size_t)width * sizeof(*sum));
		for (int32_t y = from; y < to; y++) {
			hl_lungs_row(work, y, z, row);
			for (int32_t u = 0, x = 0; u < width; u++)
				for (int32_t end = x + work->cell[0]; x < end && x < work->width; x++)
					sum[u] += row[x];
		}
		for (int32_t u = 0; u < width; u++) {
			int32_t across = work->width - u * work->cell[0];
			across = across < work->cell[0] ? across : work->cell[0];
			int32_t pixels = across * (to - from);
			out[u] = (int16_t)(pixels > 0 ? sum[u] / pixels : 0);
		}
	}
	hl_free(row);
	hl_free(sum);
	return status;
}

/* Leaves the largest region of a plane, and what it encloses. */
static enum hilum_status keep_largest_filled(struct hl_bits *plane, struct hilum_error *error)
{
	struct hl_regions regions = {0}, holes = {0};
	bool *keep = NULL;
	enum hilum_status status = hl_regions_find(plane, &regions, error);

	if (status || regions.count == 0)
		goto out;
	keep = hl_alloc(regions.count, sizeof(*keep));
	if (!keep) {
		status = hl_fail_memory(error, regions.count, "connected regions");
		goto out;
	}
	keep[hl_regions_largest(&regions)] = true;
	hl_bits_clear(plane);
	hl_regions_paint(&regions, keep, plane);
	hl_free(keep);
	keep = NULL;
	status = hl_regions_find_holes(plane, &holes, error);
	if (status)
		goto out;
	keep = hl_alloc(holes.count, sizeof(*keep));
	if (!keep) {
		status = hl_fail_memory(error, holes.count, "connected regions");
		goto out;
	}
	for (uint32_t i = 0; i < holes.count; i++) {
		const struct hl_region *hole = &holes.region[i];
		keep[i] = hole->x0 > 0 && hole->y0 > 0 && hole->x1 < plane->width - 1 && hole->y1 < plane->height - 1;
	}
	hl_regions_paint(&holes, keep, plane);
out:
	hl_free(keep);
	hl_regions_free(&regions);
	hl_regions_free(&holes);
	return status;
}

/* The body of a slice is the largest region of tissue once thin things, couch and clothes, are opened away, and all
 * that it encloses. */
static enum hilum_status body_of_slice(struct hl_lung_work *work, int32_t z, struct hilum_error *error)
{
	struct hl_bits plane = hl_bits_plane(&work->body, z), scratch = {0};
	double rx = HL_LUNGS_COUCH / (work->spacing[0] * work->cell[0]);
	double ry = HL_LUNGS_COUCH / (work->spacing[1] * work->cell[1]);
	const int16_t *value = work->coarse + (size_t)z * (size_t)plane.height * (size_t)plane.width;
	enum hilum_status status = hl_bits_init(&scratch, plane.width, plane.height, 1, error);

	if (status)
		return status;
	for (int32_t y = 0; y < plane.height; y++)
		for (int32_t x = 0; x < plane.width; x++)
			if (value[(size_t)y * (size_t)plane.width + (size_t)x] > FIRST_THRESHOLD)
				hl_bits_set(&plane, x, y, 0);
	hl_bits_erode(&plane, rx, ry, &scratch);
	hl_bits_dilate(&scratch, rx, ry, &plane);
	status = keep_largest_filled(&plane, error);
	hl_bits_free(&scratch);
	return status;
}

static bool is_lung(const struct hl_lung_work *work, double value)
{
	return value > work->dark && value < work->threshold;
}

/* Cells beside the border of the field of view, of the picture or of the disc that a scanner reconstructs, that are no
 * air. Scanners fill the corners with one value. */
static enum hilum_status wall_cells(const struct hl_lung_work *work, int32_t z, struct hl_bits *border,
                                    struct hilum_error *error)
{
	int32_t width = border->width, height = border->height;
	const int16_t *value = work->coarse + (size_t)z * (size_t)height * (size_t)width;
	struct hl_bits view = {0};
	enum hilum_status status = hl_bits_init(&view, width, height, 1, error);

	if (status)
		return status;
	for (int32_t y = 0; y < height; y++)
		for (int32_t x = 0; x < width; x++) {
			int16_t here = value[(size_t)y * (size_t)width + (size_t)x];
			if (here > HL_LUNGS_PADDING && here != value[0])
				hl_bits_set(&view, x, y, 0);
		}
	hl_bits_erode(&view, BORDER_CELLS, BORDER_CELLS, border);
	for (int32_t y = 0; y < height; y++)
		for (int32_t x = 0; x < width; x++) {
			bool frame = x < BORDER_CELLS || y < BORDER_CELLS || x >= width - BORDER_CELLS ||
			             y >= height - BORDER_CELLS;
			bool beside = hl_bits_get(&view, x, y, 0) && (frame || !hl_bits_get(border, x, y, 0));
			bool no_air = value[(size_t)y * (size_t)width + (size_t)x] > work->dark;
			hl_bits_fill(hl_bits_row(border, y, 0), x, x, beside && no_air);
		}
	hl_bits_free(&view);
	return HILUM_OK;
}

/* Lung that the field of view cuts open counts as outside. Such a border is taken for a wall, where that encloses much
 * and most of it is as bright as lung: not where clothes or a couch are cut. */
static enum hilum_status wall_at_border(struct hl_lung_work *work, int32_t z, struct hilum_error *error)
{
	struct hl_bits plane = hl_bits_plane(&work->body, z), walled = {0};
	int32_t width = plane.width, height = plane.height;
	const int16_t *value = work->coarse + (size_t)z * (size_t)height * (size_t)width;
	double area = work->spacing[0] * work->cell[0] * work->spacing[1] * work->cell[1];
	int64_t added = 0, lung = 0;
	enum hilum_status status = hl_bits_init(&walled, width, height, 1, error);

	if (!status)
		status = wall_cells(work, z, &walled, error);
	if (status || hl_bits_count(&walled) == 0)
		goto out;
	hl_bits_add(&walled, &plane);
	status = keep_largest_filled(&walled, error);
	if (status)
		goto out;
	for (int32_t y = 0; y < height; y++)
		for (int32_t x = 0; x < width; x++)
			if (hl_bits_get(&walled, x, y, 0) && !hl_bits_get(&plane, x, y, 0)) {
				added++;
				lung += is_lung(work, value[(size_t)y * (size_t)width + (size_t)x]);
			}
	if ((double)added * area >= CUT_LEAST && 2 * lung > added)
		hl_bits_copy(&plane, &walled);
out:
	hl_bits_free(&walled);
	return status;
}

/* inside: the body; around: what is at least three cells away from it and no padding. Sums up where the body is. */
static enum hilum_status measure(struct hl_lung_work *work, struct histogram *inside, struct histogram *around,
                                 struct hilum_error *error)
{
	int32_t width = work->body.width, height = work->body.height;
	double sum = 0, wide = 0;
	int64_t count = 0, slices = 0;

	memset(inside, 0, sizeof(*inside));
	memset(around, 0, sizeof(*around));
	struct hl_bits near = {0};
	enum hilum_status status = hl_bits_init(&near, width, height, 1, error);

	for (int32_t z = 0; !status && z < work->depth; z++) {
		struct hl_bits body = hl_bits_plane(&work->body, z);
		int32_t first = width, last = -1;
		hl_bits_dilate(&body, 3, 3, &near);
		for (int32_t y = 0; y < height; y++)
			for (int32_t x = 0; x < width; x++) {
				size_t i = ((size_t)z * (size_t)height + (size_t)y) * (size_t)width + (size_t)x;
				if (hl_bits_get(&body, x, y, 0)) {
					add(inside, work->coarse[i]);
					sum += x;
					count++;
					first = x < first ? x : first;
					last = x > last ? x : last;
				} else if (!hl_bits_get(&near, x, y, 0) && work->coarse[i] > HL_LUNGS_PADDING) {
					add(around, work->coarse[i]);
				}
			}
		slices += last >= 0;
		wide += last >= 0 ? last - first + 1 : 0;
	}
	hl_bits_free(&near);
	work->body_x = count ? (sum / (double)count + 0.5) * work->cell[0] : 0;
	work->body_width = slices ? wide / (double)slices * work->cell[0] : 0;
	return status;
}

/* Halfway between the means of what lies below and above, until it stays (Hu et al. 2001). Bone and contrast medium
 * count as 300, so that they do not pull it up. False where the body encloses no air; the levels are then what they are
 * in most people. */
static bool find_levels(struct hl_lung_work *work, struct histogram *inside, const struct histogram *around)
{
	double threshold = -400;
	bool air = true;
	for (int32_t i = 300 - HL_LUNGS_FLOOR + 1; i < LEVELS; i++) {
		inside->count[300 - HL_LUNGS_FLOOR] += inside->count[i];
		inside->count[i] = 0;
	}
	work->outside = quantile(around, 0.5);
	if (isnan(work->outside))
		work->outside = work->scan->unit == HL_UNIT_HOUNSFIELD ? -1000 : quantile(inside, 0.01);
	for (int turn = 0; turn < 50 && air; turn++) {
		double before = threshold;
		air = mean_between(inside, HL_LUNGS_FLOOR, threshold, &work->lung) >= PIXELS_MIN;
		if (mean_between(inside, threshold, HL_LUNGS_CEILING + 1, &work->tissue) == 0)
			work->tissue = 0;
		if (!air)
			work->lung = work->outside + TYPICAL_LUNG * (work->tissue - work->outside);
		threshold = fmin(fmax((work->lung + work->tissue) / 2, -600), -200);
		if (fabs(threshold - before) < 0.5)
			break;
	}
	work->threshold = threshold;
	/* Lung is not as dark as this, be it emphysematous. */
	work->dark = fmax((work->lung + work->outside) / 2, work->outside + 0.05 * (work->tissue - work->outside));
	return air;
}

static int32_t cell_size(double spacing, int32_t size)
{
	double cell = fmin(fmax(round(HL_LUNGS_COARSE / spacing), 1), 64);
	return cell < size ? (int32_t)cell : size;
}

enum hilum_status hl_lungs_find_body(struct hl_lung_work *work, struct hilum_error *error)
{
	struct histogram *inside = NULL, *around = NULL;
	enum hilum_status status;
	size_t cells;

	work->cell[0] = cell_size(work->spacing[0], work->width);
	work->cell[1] = cell_size(work->spacing[1], work->height);
	int32_t width = (work->width - 1) / work->cell[0] + 1, height = (work->height - 1) / work->cell[1] + 1;
	status = hl_bits_init(&work->body, width, height, work->depth, error);
	if (status)
		return status;
	cells = (size_t)width * (size_t)height * (size_t)work->depth;
	work->coarse = hl_alloc(cells, sizeof(*work->coarse));
	inside = hl_alloc(1, sizeof(*inside));
	around = hl_alloc(1, sizeof(*around));
	if (!work->coarse || !inside || !around)
		status = hl_fail_memory(error, cells * sizeof(*work->coarse), "a coarse copy of the scan");
	if (!status)
		status = hl_lungs_each(work, average_slice, error);
	if (!status)
		status = hl_lungs_each(work, body_of_slice, error);
	if (!status)
		status = measure(work, inside, around, error);
	if (!status) {
		find_levels(work, inside, around);
		status = hl_lungs_each(work, wall_at_border, error);
	}
	if (!status)
		status = measure(work, inside, around, error);
	if (!status && !find_levels(work, inside, around)) {
		work->threshold = (double)NAN;
		work->lung = (double)NAN;
	}
	hl_free(work->coarse);
	work->coarse = NULL;
	hl_free(inside);
	hl_free(around);
	return status;
}
