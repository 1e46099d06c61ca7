#include <math.h>

#include "nn/ops/elementwise.h"

static float sigmoid(float x, const void *options)
{
	(void)options;
	return 1 / (1 + expf(-x));
}

/* From the input, because a bf16 output near one holds too little of its distance to one. */
static float slope(float x, const void *options)
{
	float y = sigmoid(x, options);
	return y * (1 - y);
}

static void forward(const struct hl_call *call)
{
	hl_map(call, sigmoid);
}

static void backward(const struct hl_call *call)
{
	hl_map_backward(call, call->in[0], slope);
}

const struct hl_op hl_op_sigmoid = {
    .name = "sigmoid",
    .onnx = "Sigmoid",
    .help = "1 / (1 + exp(-x))",
    .inputs_min = 1,
    .inputs_max = 1,
    .in_place = true,
    .keeps_input = true,
    .infer = hl_infer_same,
    .forward = forward,
    .backward = backward,
    .samples = (const char *const[]){"2x1x5x7x3", "1x1x1x1x1", "3x2x3x5x13", "1x1x9x11x64", NULL},
};
