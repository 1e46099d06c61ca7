/* Elfwing et al., "Sigmoid-weighted linear units", Neural Networks 107, 2018. */
#include <math.h>

#include "nn/ops/elementwise.h"

static float sigmoid(float x)
{
	return 1 / (1 + expf(-x));
}

static float silu(float x, const void *options)
{
	(void)options;
	return x * sigmoid(x);
}

static float slope(float x, const void *options)
{
	float s = sigmoid(x);
	(void)options;
	return s * (1 + x * (1 - s));
}

static void forward(const struct hl_call *call)
{
	hl_map(call, silu);
}

static void backward(const struct hl_call *call)
{
	hl_map_backward(call, call->in[0], slope);
}

const struct hl_op hl_op_silu = {
    .name = "silu",
    .help = "A value times its sigmoid",
    .inputs_min = 1,
    .inputs_max = 1,
    .in_place = true,
    .keeps_input = true,
    .infer = hl_infer_same,
    .forward = forward,
    .backward = backward,
    .samples = (const char *const[]){"2x1x5x7x3", "1x1x1x1x1", "3x2x3x5x13", "1x1x9x11x64", NULL},
};
