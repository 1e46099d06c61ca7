/* Blurring, by a normal curve along rows and columns. */
#ifndef HL_INFER_EXPLAIN_BLUR_H
#define HL_INFER_EXPLAIN_BLUR_H
#include "base/error.h"

/* planes of side x side values, each alone, in place; what lies beyond an edge is as the edge. deviation: of the curve,
 * in values; what lies farther than three of them away counts nothing. */
enum hilum_status hl_heat_blur(float *values, size_t planes, size_t side, double deviation, struct hilum_error *error);
#endif
