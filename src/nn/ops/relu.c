#include "nn/ops/elementwise.h"

/* Written so that NaN passes through, as in PyTorch. */
static float relu(float x, const void *options)
{
	(void)options;
	return x < 0 ? 0 : x;
}

static float slope(float y, const void *options)
{
	(void)options;
	return y > 0 ? 1 : 0;
}

static void forward(const struct hl_call *call)
{
	hl_map(call, relu);
}

static void backward(const struct hl_call *call)
{
	hl_map_backward(call, call->out, slope);
}

const struct hl_op hl_op_relu = {
    .name = "relu",
    .onnx = "Relu",
    .help = "The larger of a value and zero",
    .inputs_min = 1,
    .inputs_max = 1,
    .in_place = true,
    .keeps_output = true,
    .infer = hl_infer_same,
    .forward = forward,
    .backward = backward,
    .samples = (const char *const[]){"2x1x5x7x3", "1x1x1x1x1", "3x2x3x5x13", "1x1x9x11x64", NULL},
};
