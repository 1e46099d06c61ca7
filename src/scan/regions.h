/* Connected regions of a set of pixels: neighbours share a side (4 in a plane, 6 in space). */
#ifndef HL_SCAN_REGIONS_H
#define HL_SCAN_REGIONS_H
#include "scan/morphology.h"

struct hl_region {
	int64_t size;         /* pixels */
	int64_t sum_x, sum_y; /* of the coordinates, for centres */
	int32_t x0, y0, z0;   /* box: first and last */
	int32_t x1, y1, z1;
};

/* Pixels first to last of one row. */
struct hl_run {
	uint16_t first, last;
};

struct hl_regions {
	uint32_t count;
	struct hl_region *region; /* in the order of their first pixels */
	/* The runs of row y of plane z are those from start[i] to before start[i + 1], i = z * height + y. */
	uint32_t *start;
	struct hl_run *run;
	uint32_t *label; /* of each run: its region */
	int32_t width, height, depth;
};

/* Memory is bounded by 4 bytes a pixel and a few megabytes: sets with more than a run for every 16 pixels, which are
 * noise, are HILUM_ERROR_LIMIT. */
enum hilum_status hl_regions_find(const struct hl_bits *bits, struct hl_regions *out, struct hilum_error *error);
/* The regions of what is not in the set. */
enum hilum_status hl_regions_find_holes(const struct hl_bits *bits, struct hl_regions *out, struct hilum_error *error);
void hl_regions_free(struct hl_regions *regions);

/* The largest, or -1 where there is none; the first of equals. */
int64_t hl_regions_largest(const struct hl_regions *regions);

/* Sets the pixels of the regions whose entry in keep is set, and leaves the others. bits has the size of the set. */
void hl_regions_paint(const struct hl_regions *regions, const bool *keep, struct hl_bits *bits);

/* count[i] += the pixels that region i shares with the set. */
void hl_regions_overlap(const struct hl_regions *regions, const struct hl_bits *bits, int64_t *count);
#endif
