/* Resampling of one slice with antialiasing: a triangle (bilinear) filter whose support grows with the reduction, the
 * same numbers as PIL's Image.resize(BILINEAR) in float mode. */
#ifndef HL_SCAN_RESAMPLE_H
#define HL_SCAN_RESAMPLE_H
#include "base/error.h"

/* in: in_height * in_width * channels floats; out likewise. */
enum hilum_status hl_resize(const float *in, int32_t in_width, int32_t in_height, int32_t channels, float *out,
                            int32_t out_width, int32_t out_height, struct hilum_error *error);
#endif
