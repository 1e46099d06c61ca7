/* Voxels to grey on [0, 1]: a window for Hounsfield units (DICOM PS3.3 C.11.2.1.2.1 without the half-pixel terms:
 * linear from center - width/2 to center + width/2, clamped), full scale for grey pictures. */
#ifndef HL_SCAN_WINDOW_H
#define HL_SCAN_WINDOW_H
#include "scan/volume.h"

struct hl_window {
	double center, width; /* Hounsfield units */
};

/* One slice as width * height * channels floats in [0, 1]; channels is 1 (RGB is reduced by ITU-R BT.601 luma) or 3
 * (grey is repeated). NaN becomes 0. */
void hl_window_slice(const struct hl_volume *volume, int32_t z, struct hl_window window, int32_t channels, float *out);
#endif
