/* What the files of explanations share. */
#ifndef HL_INFER_EXPLAIN_H
#define HL_INFER_EXPLAIN_H
#include "base/error.h"

extern const char *const hl_method_names[]; /* in the order of enum hilum_method, NULL-terminated */

/* The picture under its heat as width x height x 3: dark violet over red to pale yellow (the colours of inferno by van
 * der Walt and Smith, released as CC0), the less opaque the less heat there is. */
void hl_heat_blend(const uint8_t *picture, const float *heat, size_t count, uint8_t *out);
#endif
