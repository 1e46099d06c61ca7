/* One patient frame for every volume: voxel axes that run, as nearly as flips and permutations allow, to the patient's
 * left, posterior and superior (LPS, as DICOM PS3.3 C.7.6.2.1.1), so that x is the column, y the row and z the slice of
 * an axial picture as radiologists see it. No voxel is interpolated and the affine stays exact: an oblique volume stays
 * oblique. */
#ifndef HL_SCAN_ORIENT_H
#define HL_SCAN_ORIENT_H
#include <stddef.h>

#include "scan/volume.h"

struct hl_orient {
	int axis[3];  /* axis k of the result is axis axis[k] of the source */
	bool flip[3]; /* and is counted from that axis's far end */
};

/* direction[i]: unit vector of the source's axis i. The permutation whose axes point along the patient's most, the
 * earliest one in the order of their numbers where several do. */
struct hl_orient hl_orient_find(double direction[3][3]);
bool hl_orient_is_identity(const struct hl_orient *orient);

/* The source voxel (x, y, z) is number first + x step[0] + y step[1] + z step[2] of the result: for readers that put
 * voxels into place while they decode. size is the source's. */
struct hl_orient_map {
	ptrdiff_t first, step[3];
};
struct hl_orient_map hl_orient_place(const struct hl_orient *orient, const int32_t size[3]);

/* Turns width, height, depth, spacing, origin and direction; the voxels are left as they are. */
void hl_orient_geometry(const struct hl_orient *orient, struct hl_volume *volume);

/* Turns an oriented volume, voxels included; one that is not oriented stays as it is. Flips are done in place, a
 * permutation takes a second buffer of the volume's size. On failure the volume is untouched. */
enum hilum_status hl_volume_orient(struct hl_volume *volume, struct hilum_error *error);

/* Where voxel indices lie in mm of LPS: millimetre i = affine[i][0] x + affine[i][1] y + affine[i][2] z + affine[i][3].
 * Only for oriented volumes. */
void hl_volume_affine(const struct hl_volume *volume, double affine[3][4]);

/* Sets spacing, origin, direction and oriented from an affine. HILUM_ERROR_FORMAT where it is not finite or an axis has
 * no length, HILUM_ERROR_UNSUPPORTED where axes are not at right angles to within HL_ORIENT_SHEAR_MAX (a tilted gantry,
 * an affine registration). What lies within is kept as it is: the affine is never rounded. */
enum hilum_status hl_volume_set_affine(struct hl_volume *volume, double affine[3][4], struct hilum_error *error);

/* The largest cosine between two axes: 0.06 degrees, which is what directions of six digits or 32-bit numbers make. */
#define HL_ORIENT_SHEAR_MAX 1e-3
#endif
