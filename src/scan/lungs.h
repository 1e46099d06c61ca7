/* Lungs on axial CT without a trained model: thresholds, connected regions and closings in millimetres, in volumes and
 * in single slices.
 *
 * Sources: threshold halfway between lung and tissue, found by iteration: Hu, Hoffman and Reinhardt, IEEE Trans. Med.
 * Imaging 20 (2001) 490. The way as a whole (body, air within it, airways, left from right, closing): the same, and
 * van Rikxoort et al., Med. Phys. 36 (2009) 2934. */
#ifndef HL_SCAN_LUNGS_H
#define HL_SCAN_LUNGS_H
#include "scan/volume.h"

/* The patient's sides. With x to the patient's left (LPS), the right lung is at the left of a picture. */
enum hl_side { HL_SIDE_RIGHT, HL_SIDE_LEFT };

struct hl_lungs {
	/* U8 of the scan's size and place: 0 elsewhere, 1 right lung, 2 left lung. Vessels, nodules and small airways
	 * belong to the lungs; trachea, main bronchi and what lies between the lungs do not. */
	struct hl_volume mask;
	int32_t count;      /* lungs found: 0, 1, 2 */
	int64_t voxels[2];  /* by side */
	double ml[2];       /* by side; NaN where a spacing is not known */
	bool spacing_known; /* otherwise a picture is taken to be HL_LUNGS_FIELD mm wide and slices HL_LUNGS_SLICE apart
	                     */
	bool airways;       /* volumes: trachea found, and followed into the bronchi */
	double threshold;   /* between lung and tissue: Hounsfield units, or the picture's grey values */
	double lung, tissue; /* mean values on both sides of it within the body, in the same units */
	double outside;      /* median of the air around the body, or what it was taken to be */
	/* What a chest shows, of the slice with the most lung. */
	int32_t slice;
	double share;   /* of the body that is lung */
	double balance; /* the smaller lung over the larger */
	double offset;  /* of the middle between the lungs from the middle of the body, over the body's width */
	double width;   /* from side to side of both lungs over the body's */
	double height;  /* likewise from front to back */
	double body;    /* share of the picture's pixels that is body */
	int32_t box[4]; /* the body's box on the scan's pixels: first x, first y, last x, last y */
	double fill;    /* share of that box that is body */
	bool chest;     /* all of these are as chests have them, with two lungs or one at a side */
};

#define HL_LUNGS_FIELD 360.0
#define HL_LUNGS_SLICE 2.5

/* volume: axial, x to the patient's left, y to the back, z to the head (scan/orient.h turns volumes so); one that is
 * not oriented is taken to lie so, as radiologists' pictures do, with its head at either end. Grey and colour pictures
 * are put on a scale of Hounsfield units by taking the darker of the two classes that Otsu's threshold makes for lung
 * and the other for tissue, which holds for windows as radiologists use them. Fine pixels are averaged to half a
 * millimetre first. threads: 0 for as many as there are cores; the result does not depend on it. Memory beside the
 * mask: about two bytes a voxel, up to seven where there is much noise. A scan without lungs is no error: count is 0.
 * One that is mostly noise may be HILUM_ERROR_LIMIT. Free mask with hl_volume_free. */
enum hilum_status hl_lungs_find(const struct hl_volume *volume, int32_t threads, struct hl_lungs *out,
                                struct hilum_error *error);

/* Mask voxels of one slice by side. */
void hl_lungs_count(const struct hl_volume *mask, int32_t z, int64_t count[2]);
#endif
