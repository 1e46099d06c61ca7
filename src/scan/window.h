/* Voxels to grey on [0, 1]: a window for Hounsfield units (DICOM PS3.3 C.11.2.1.2.1 without the half-pixel terms:
 * linear from center - width/2 to center + width/2, clamped), full scale for grey pictures. */
#ifndef HL_SCAN_WINDOW_H
#define HL_SCAN_WINDOW_H
#include "scan/volume.h"

struct hl_window {
	double center, width; /* Hounsfield units */
};

/* Windows that are known by name, of the chest's: lung, mediastinum, bone. NULL-terminated. */
struct hl_named_window {
	const char *name;
	struct hl_window window;
};
extern const struct hl_named_window hl_named_windows[];

/* "lung", or an own one as center/width in Hounsfield units, "-600/1500"; HILUM_ERROR_ARGUMENT for anything else. */
enum hilum_status hl_window_parse(const char *text, struct hl_window *out, struct hilum_error *error);
#define HL_WINDOWS_MAX 3
/* One to three of them with commas between, which become channels: "lung,mediastinum,40/80". */
enum hilum_status hl_windows_parse(const char *text, struct hl_window out[HL_WINDOWS_MAX], int32_t *count,
                                   struct hilum_error *error);
/* As many channels as windows, interleaved: grey or Hounsfield volumes of one channel. */
void hl_windows_slice(const struct hl_volume *volume, int32_t z, const struct hl_window *windows, int32_t count,
                      float *out);

/* One slice as width * height * channels floats in [0, 1]; channels is 1 (RGB is reduced by ITU-R BT.601 luma) or 3
 * (grey is repeated). NaN becomes 0. */
void hl_window_slice(const struct hl_volume *volume, int32_t z, struct hl_window window, int32_t channels, float *out);
#endif
