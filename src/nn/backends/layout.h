/* Activations as a primitive wants them: float32, in channel blocks or channels first. Converting (also from bfloat16)
 * and blocking are one pass. */
#ifndef HL_NN_BACKENDS_LAYOUT_H
#define HL_NN_BACKENDS_LAYOUT_H
#include "nn/tensor.h"

struct hl_layout {
	struct hl_shape shape;
	int64_t block;                                  /* channels that lie together: 1, 8, 16, or all */
	int64_t stride_n, stride_d, stride_h, stride_w; /* in floats */
	int64_t stride_block;                           /* from one block of channels to the next */
};

/* Channels-last data of a type to the layout, channels of the last block beyond shape.c zero. */
void hl_layout_pack(const struct hl_layout *layout, const void *in, enum hl_type type, float *out, int32_t threads);
/* And back. */
void hl_layout_unpack(const struct hl_layout *layout, const float *in, void *out, enum hl_type type, int32_t threads);
#endif
