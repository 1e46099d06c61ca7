/* Trachea and bronchi. In a volume they are followed from the trachea on. In a slice alone, and where no trachea is in
 * the volume, an airway is what is as dark as air, near the middle, and within a wall. */
#include "scan/lungs_private.h"

#include <math.h>

#include "base/memory.h"

#define LARGEST 900.0 /* mm2: a wide trachea */
#define CENTRAL 0.25  /* of the body's width: how far from its middle main and lobar bronchi lie */
#define RING_FROM 1.5 /* mm: where the wall, and what is behind it, is looked for */
#define RING_TO 3.5
#define RING_SHARE 0.75 /* of the ring that must not be air */

static double pixel_area(const struct hl_lung_work *work)
{
	return work->spacing[0] * work->spacing[1];
}

/* The share of a ring around a region that is not air. */
static enum hilum_status wall_share(const struct hl_lung_work *work, int32_t z, const struct hl_regions *regions,
                                    uint32_t label, double *share, struct hilum_error *error)
{
	const struct hl_region *region = &regions->region[label];
	double sx = work->spacing[0], sy = work->spacing[1];
	int32_t pad_x = (int32_t)fmin(RING_TO / sx + 1, HL_BITS_RADIUS_MAX);
	int32_t pad_y = (int32_t)fmin(RING_TO / sy + 1, HL_BITS_RADIUS_MAX);
	int32_t left = region->x0 - pad_x, top = region->y0 - pad_y;
	struct hl_bits shape = {0}, inner = {0}, outer = {0};
	int32_t width = region->x1 - left + 1 + pad_x, height = region->y1 - top + 1 + pad_y;
	int64_t solid = 0, count = 0;
	enum hilum_status status = hl_bits_init(&shape, width, height, 1, error);

	if (!status)
		status = hl_bits_init(&inner, width, height, 1, error);
	if (!status)
		status = hl_bits_init(&outer, width, height, 1, error);
	if (status)
		goto out;
	for (int32_t y = region->y0; y <= region->y1; y++)
		for (uint32_t i = regions->start[y]; i < regions->start[y + 1]; i++)
			if (regions->label[i] == label)
				hl_bits_fill(hl_bits_row(&shape, y - top, 0), regions->run[i].first - left,
				             regions->run[i].last - left, true);
	hl_bits_dilate(&shape, RING_FROM / sx, RING_FROM / sy, &inner);
	hl_bits_dilate(&shape, RING_TO / sx, RING_TO / sy, &outer);
	hl_bits_remove(&outer, &inner);
	for (int32_t y = 0; y < height; y++)
		for (int32_t x = 0; x < width; x++) {
			int32_t at_x = left + x, at_y = top + y;
			if (!hl_bits_get(&outer, x, y, 0) || at_x < 0 || at_y < 0 || at_x >= work->width ||
			    at_y >= work->height)
				continue;
			count++;
			solid += !hl_bits_get(&work->air, at_x, at_y, z);
		}
	*share = count ? (double)solid / (double)count : 0;
out:
	hl_bits_free(&shape);
	hl_bits_free(&inner);
	hl_bits_free(&outer);
	return status;
}

static enum hilum_status airways_of_slice(struct hl_lung_work *work, int32_t z, struct hilum_error *error)
{
	struct hl_bits gas = hl_bits_plane(&work->gas, z), lumen = hl_bits_plane(&work->lumen, z);
	struct hl_regions regions;
	enum hilum_status status = hl_regions_find(&gas, &regions, error);
	bool *keep;

	if (status)
		return status;
	keep = hl_alloc(regions.count, sizeof(*keep));
	if (!keep)
		status = hl_fail_memory(error, regions.count, "connected regions");
	for (uint32_t i = 0; !status && i < regions.count; i++) {
		const struct hl_region *region = &regions.region[i];
		double area = (double)region->size * pixel_area(work), share = 0;
		double middle = (double)region->sum_x / (double)region->size + 0.5;
		if (area < HL_LUNGS_LUMEN || area > LARGEST || fabs(middle - work->body_x) > CENTRAL * work->body_width)
			continue;
		status = wall_share(work, z, &regions, i, &share, error);
		keep[i] = share >= RING_SHARE;
	}
	if (!status)
		hl_regions_paint(&regions, keep, &lumen);
	hl_free(keep);
	hl_regions_free(&regions);
	return status;
}

/* Cross-sections of the tree that are no large airway are part of the lung. */
static enum hilum_status drop_small(struct hl_lung_work *work, int32_t z, struct hilum_error *error)
{
	struct hl_bits lumen = hl_bits_plane(&work->lumen, z);
	struct hl_regions regions;
	enum hilum_status status = hl_regions_find(&lumen, &regions, error);
	bool *keep;

	if (status)
		return status;
	keep = hl_alloc(regions.count, sizeof(*keep));
	if (keep) {
		for (uint32_t i = 0; i < regions.count; i++)
			keep[i] = (double)regions.region[i].size * pixel_area(work) >= HL_LUNGS_LUMEN;
		hl_bits_clear(&lumen);
		hl_regions_paint(&regions, keep, &lumen);
	} else {
		status = hl_fail_memory(error, regions.count, "connected regions");
	}
	hl_free(keep);
	hl_regions_free(&regions);
	return status;
}

static enum hilum_status take_from_air(struct hl_lung_work *work, int32_t z, struct hilum_error *error)
{
	struct hl_bits lumen = hl_bits_plane(&work->lumen, z), air = hl_bits_plane(&work->air, z), wide;
	enum hilum_status status = hl_bits_init(&wide, work->width, work->height, 1, error);
	if (status)
		return status;
	hl_bits_dilate(&lumen, HL_LUNGS_WALL / work->spacing[0], HL_LUNGS_WALL / work->spacing[1], &wide);
	hl_bits_remove(&air, &wide);
	hl_bits_free(&wide);
	return HILUM_OK;
}

enum hilum_status hl_lungs_find_airways(struct hl_lung_work *work, struct hilum_error *error)
{
	enum hilum_status status = hl_bits_init(&work->lumen, work->width, work->height, work->depth, error);
	if (!status)
		status = hl_lungs_each(work, airways_of_slice, error);
	if (!status && work->depth > 1)
		status = hl_lungs_grow_airways(work, &work->airways, error);
	if (!status && work->airways)
		status = hl_lungs_each(work, drop_small, error);
	if (!status)
		status = hl_lungs_each(work, take_from_air, error);
	return status;
}
