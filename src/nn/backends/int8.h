/* A convolution or dense layer on bytes, with what follows it: its parameters as bytes and what makes an output of a
 * sum, the same to the bit wherever it runs.
 *
 * With q for bytes and a sum over all weights of a channel, padding included (it holds the input's zero, and so is off
 * by the input's offset), the output is
 *
 *   round(clamp(bend(fma(other, add, fma(sum q_weight q_in, scale, shift))))) + zero
 *
 * where scale and shift hold the scales of input, weights and output, batch norm, bias, and both inputs' zeros. */
#ifndef HL_NN_BACKENDS_INT8_H
#define HL_NN_BACKENDS_INT8_H
#include "nn/backend.h"
#include <math.h>

struct hl_int8 {
	bool biased, adds, bends;
	const struct hl_batchnorm_options *norm; /* NULL: none */
	float slope;                             /* of what is below zero; bends */
	bool pools;                              /* max pooling is the last link, which is the caller's to do */
	struct hl_quant in, other, out;
	int64_t units, taps; /* output channels, weights of each */
	int32_t threads;
	/* made by hl_int8_fold */
	int8_t *weight;       /* as PyTorch keeps them */
	float *scale, *shift; /* of each output channel */
	float add;
	float low, high; /* of an output without its zero */
	bool broken;     /* an output channel's scale or shift is not a finite number */
};

/* Reads a request with HL_U8 for a convolution or dense layer, [batchnorm] [add] [relu | leakyrelu] [maxpool], and
 * takes the memory. HILUM_ERROR_UNSUPPORTED: another chain. hl_int8_close in any case. */
enum hilum_status hl_int8_open(struct hl_int8 *layer, const struct hl_compile *request, struct hilum_error *error);
void hl_int8_close(struct hl_int8 *layer);

/* Parameters as a primitive's prepare gets them. Weights of a channel are scaled such that no sum of 255 of each can
 * leave an int32. */
void hl_int8_fold(struct hl_int8 *layer, float *const *param);

/* The output of a sum; other is read where the layer adds. */
static inline uint8_t hl_int8_finish(const struct hl_int8 *layer, int64_t unit, int32_t sum, uint8_t other)
{
	float value = fmaf((float)sum, layer->scale[unit], layer->shift[unit]);
	if (layer->adds)
		value = fmaf((float)other, layer->add, value);
	if (layer->bends && value < 0)
		value *= layer->slope;
	value = value > layer->low ? value : layer->low;
	value = value < layer->high ? value : layer->high;
	return (uint8_t)((int32_t)rintf(value) + layer->out.zero);
}
#endif
