/* Ops that treat every element alike: a function of one value and the slope that goes with it. Given as constants, the
 * functions are inlined into the loops. */
#ifndef HL_NN_OPS_ELEMENTWISE_H
#define HL_NN_OPS_ELEMENTWISE_H
#include "nn/ops/common.h"

typedef float hl_unary(float value, const void *options);

static inline void hl_map(const struct hl_call *call, hl_unary *function)
{
	const float *in = call->in[0]->data;
	float *out = call->out->data;
	int64_t count = hl_shape_count(call->out->shape);
	for (int64_t i = 0; i < count; i++)
		out[i] = function(in[i], call->options);
}

/* din = dout * slope(at), where at is the op's input or its output, whichever it keeps. */
static inline void hl_map_backward(const struct hl_call *call, const struct hl_tensor *at, hl_unary *slope)
{
	const float *dout = call->dout->data, *value = at->data;
	if (!call->din[0])
		return;
	float *din = call->din[0]->data;
	int64_t count = hl_shape_count(call->dout->shape);
	for (int64_t i = 0; i < count; i++)
		din[i] = dout[i] * slope(value[i], call->options);
}
#endif
