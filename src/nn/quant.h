/* Numbers as bytes: one scale and one zero for a whole activation, q = round(x / scale) + zero, kept within 0 to 255
 * (asymmetric, per tensor); who reads q takes it for scale (q - zero) + offset, where offset is what rounding takes
 * away in the mean. That matters for pictures of 8 bits, whose greys are all off by the same part of a step. Weights
 * have a scale for each output channel and no zero, q = round(w / scale) within -127 to 127. Jacob et al.,
 * "Quantization and training of neural networks for efficient integer-arithmetic-only inference", CVPR 2018,
 * sections 2.1 to 2.3. Halves are rounded to even. */
#ifndef HL_NN_QUANT_H
#define HL_NN_QUANT_H
#include "nn/tensor.h"

struct hl_graph;

struct hl_quant {
	float scale; /* HL_QUANT_SCALE_MIN to HL_QUANT_SCALE_MAX */
	int32_t zero;
	float offset; /* within 255 scales */
};

/* A product of three such, with 2^31 of them added, stays a normal float32. */
#define HL_QUANT_SCALE_MIN 1e-10F
#define HL_QUANT_SCALE_MAX 1e10F

bool hl_quant_valid(struct hl_quant quant);

/* That in which low to high, and 0, can be told; zero stands for 0 exactly, but for the offset, which is 0. Values
 * beyond the limits of scales are brought within them. */
struct hl_quant hl_quant_of_range(float low, float high);

/* The sum of what is lost: value less what its byte stands for, without the offset. */
double hl_quant_loss(const float *values, struct hl_quant quant, int64_t count);

/* NaN becomes some byte. count elements, without threads of its own. */
void hl_quantise(const float *in, struct hl_quant quant, uint8_t *out, int64_t count);
void hl_dequantise(const uint8_t *in, struct hl_quant quant, float *out, int64_t count);

/* Gives the nodes that only move values (max pooling, flatten, dropout) what their input has. quant has an entry for
 * every node up to the logits. */
void hl_quant_settle(const struct hl_graph *graph, struct hl_quant *quant);

/* How the values of one activation are distributed, to choose what of their range is worth telling apart. First every
 * value goes through hl_range_widen, then every one again through hl_range_count, which leaves zeros out, for those
 * have no error whatever the scale. */
#define HL_RANGE_BINS 2048
struct hl_range {
	float low, high; /* 0 is between them */
	int64_t count[HL_RANGE_BINS];
};
void hl_range_widen(struct hl_range *range, const float *values, int64_t count);
void hl_range_count(struct hl_range *range, const float *values, int64_t count);
/* That with the least mean square error on what was counted, among cuts of the range. */
struct hl_quant hl_range_choose(const struct hl_range *range);
#endif
