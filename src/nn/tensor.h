/* Tensors: one shape order everywhere, N D H W C, channels last; 2-D has D = 1. */
#ifndef HL_NN_TENSOR_H
#define HL_NN_TENSOR_H
#include "base/error.h"

/* HL_U8: bytes that stand for numbers as a struct hl_quant says (nn/quant.h); outside of training only. */
enum hl_type { HL_F32, HL_BF16, HL_U8 };

struct hl_shape {
	int64_t n, d, h, w, c;
};

struct hl_tensor {
	struct hl_shape shape;
	enum hl_type type;
	void *data; /* dense, no padding between elements */
};

/* Elements in all, 0 if any size is < 1 or the product overflows int64. */
int64_t hl_shape_count(struct hl_shape shape);
/* Elements of one sample: d * h * w * c. */
int64_t hl_shape_sample(struct hl_shape shape);
bool hl_shape_equal(struct hl_shape a, struct hl_shape b);
/* "2x1x6x6x3" */
void hl_shape_print(struct hl_shape shape, char *text, size_t size);
bool hl_shape_parse(const char *text, struct hl_shape *out);
size_t hl_type_size(enum hl_type type);

/* bfloat16 as uint16: round to nearest even, NaN kept quiet. */
static inline float hl_bf16_to_f32(uint16_t value)
{
	union {
		uint32_t u;
		float f;
	} bits = {(uint32_t)value << 16};
	return bits.f;
}

static inline uint16_t hl_bf16_from_f32(float value)
{
	union {
		float f;
		uint32_t u;
	} bits = {value};
	if ((bits.u & 0x7fffffffU) > 0x7f800000U)
		return (uint16_t)((bits.u >> 16) | 0x40);
	return (uint16_t)((bits.u + 0x7fffU + ((bits.u >> 16) & 1)) >> 16);
}

/* Converts count elements between float32 and bfloat16 (or copies); multi-threaded above a size. */
void hl_convert(const void *in, enum hl_type in_type, void *out, enum hl_type out_type, int64_t count);
/* to += from, of the same type and shape; likewise. */
void hl_accumulate(const struct hl_tensor *from, const struct hl_tensor *to);
#endif
