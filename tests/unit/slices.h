/* Synthetic DICOM series in memory whose every value is known: a smooth function of the place in the patient, sampled
 * where each pixel says that it lies. Whatever a reader makes of a series, each voxel must agree with the function at
 * the place that the volume gives it. */
#ifndef HILUM_TESTS_SLICES_H
#define HILUM_TESTS_SLICES_H
#include "scan/dicom/write.h"
#include "scan/load.h"

#define SLICES_MAX 64

/* Hounsfield units at a place, mm of LPS; between -900 and 700, changing over centimetres. */
double slices_value(const double place[3]);

/* How a series is made; each slice can be changed before it is encoded. */
struct slices {
	int32_t count;
	struct hl_dicom_image image[SLICES_MAX];
	struct hl_dicom_frame frame[SLICES_MAX];
	/* Made by slices_encode. */
	int32_t files;
	struct hl_buffer bytes[SLICES_MAX];
	struct hl_file file[SLICES_MAX];
};

/* count slices of width x height pixels, spacing apart, the first at origin; direction: of rows and columns (counting
 * x, y) and of the step from slice to slice, which need not be at right angles to them. */
void slices_make(struct slices *slices, int32_t count, int32_t width, int32_t height, const double spacing[3],
                 const double origin[3], double direction[3][3]);
/* The same slice at another place. */
void slices_move(struct slices *slices, int32_t which, const double by[3]);
/* A copy of a slice at the end. */
int32_t slices_copy(struct slices *slices, int32_t which);
void slices_remove(struct slices *slices, int32_t which);
/* Makes the files, in the order of order (NULL: as they are), or one enhanced file of all frames. */
void slices_encode(struct slices *slices, const uint32_t *order, bool enhanced);
void slices_free(struct slices *slices);

/* The largest difference between voxels and the function at their places, but for those within margin voxels of air or
 * of the edge of their slice. */
double slices_error(const struct hl_volume *volume, int32_t margin);
#endif
