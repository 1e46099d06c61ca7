/* What the steps of the segmentation share: the scan on the grid that they work on. */
#ifndef HL_SCAN_LUNGS_PRIVATE_H
#define HL_SCAN_LUNGS_PRIVATE_H
#include "scan/lungs.h"
#include "scan/regions.h"

/* Lengths in mm, areas in mm2. */
#define HL_LUNGS_PIXEL 0.5   /* finer pixels are averaged up to this */
#define HL_LUNGS_COARSE 2.0  /* of the grid on which the body is found */
#define HL_LUNGS_COUCH 2.5   /* radius of the opening that takes the couch from the body */
#define HL_LUNGS_WALL 1.5    /* of large airways */
#define HL_LUNGS_CLOSING 8.0 /* radius, all around: vessels at the hilum */
#define HL_LUNGS_RIBS 20.0   /* radius at the ribs: nodules and masses at the pleura */
#define HL_LUNGS_HOLE 1500.0 /* the largest that is filled; a heart or the liver under its dome has more */
#define HL_LUNGS_LEAST 60.0  /* of a region in a single slice */
#define HL_LUNGS_LUMEN 20.0  /* airways from here on are not part of the lung */

struct hl_lung_work {
	const struct hl_volume *scan;
	int32_t threads;
	double scale, shift; /* of the scan's values to the scale of Hounsfield units */
	/* The grid: each of its pixels is the mean of step[0] x step[1] of the scan's, fewer at the far borders. */
	int32_t width, height, depth, step[2];
	double spacing[3]; /* mm, of the grid */
	/* A coarser one for the body: of cell[0] x cell[1] pixels of the grid. */
	int32_t cell[2];
	int16_t *coarse;
	struct hl_bits body;
	double body_x, body_width; /* middle and width of the body, in pixels of the grid */
	/* On the scale of Hounsfield units. */
	double outside, lung, tissue, threshold, dark;
	struct hl_bits air;   /* below threshold, within the body; later what of it is lung */
	struct hl_bits gas;   /* below dark, within the body: nearer to air than to lung */
	struct hl_bits lumen; /* large airways */
	bool airways;         /* they were followed from the trachea */
	uint8_t *side;        /* 1 + enum hl_side for each pixel of the grid that is lung */
	int32_t count;        /* lungs */
};

/* What values are cut to; those of padding are lower than air's. */
#define HL_LUNGS_FLOOR (-2000)
#define HL_LUNGS_CEILING 3000
#define HL_LUNGS_PADDING (-1200)

/* One row of the grid on the scale of Hounsfield units. */
void hl_lungs_row(const struct hl_lung_work *work, int32_t y, int32_t z, int16_t *row);
/* One pixel of the scan, of colours their luma, and one of the grid. */
double hl_lungs_grey(const struct hl_volume *scan, int32_t x, int32_t y, int32_t z);
int16_t hl_lungs_value(const struct hl_lung_work *work, int32_t x, int32_t y, int32_t z);

/* Calls run for every slice, on several threads; the failure of the first slice that failed. */
typedef enum hilum_status hl_lungs_slice(struct hl_lung_work *work, int32_t z, struct hilum_error *error);
enum hilum_status hl_lungs_each(struct hl_lung_work *work, hl_lungs_slice *run, struct hilum_error *error);

/* The steps, in their order. */
/* body and the levels; threshold is NaN where the body encloses no air. */
enum hilum_status hl_lungs_find_body(struct hl_lung_work *work, struct hilum_error *error);
/* air and gas. */
enum hilum_status hl_lungs_find_air(struct hl_lung_work *work, struct hilum_error *error);
/* lumen, and takes it, walls included, from air. */
enum hilum_status hl_lungs_find_airways(struct hl_lung_work *work, struct hilum_error *error);
/* side and count. */
enum hilum_status hl_lungs_split(struct hl_lung_work *work, struct hilum_error *error);
/* Closes and fills side. */
enum hilum_status hl_lungs_close(struct hl_lung_work *work, struct hilum_error *error);

/* Replaces what was found of a volume's airways slice by slice by the tree that begins with the trachea. *found is
 * false, and lumen as it was, where there is none. */
enum hilum_status hl_lungs_grow_airways(struct hl_lung_work *work, bool *found, struct hilum_error *error);
#endif
