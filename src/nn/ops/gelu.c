/* Hendrycks & Gimpel, "Gaussian error linear units", 2016; the exact form, as PyTorch's default. */
#include <math.h>

#include "nn/ops/elementwise.h"

#define SQRT1_2 0.70710678118654752440F
#define ONE_OVER_SQRT_2PI 0.39894228040143267794F

static float normal_cdf(float x)
{
	return 0.5F * erfcf(-x * SQRT1_2);
}

static float gelu(float x, const void *options)
{
	(void)options;
	return x * normal_cdf(x);
}

static float slope(float x, const void *options)
{
	(void)options;
	return normal_cdf(x) + x * ONE_OVER_SQRT_2PI * expf(-0.5F * x * x);
}

static void forward(const struct hl_call *call)
{
	hl_map(call, gelu);
}

static void backward(const struct hl_call *call)
{
	hl_map_backward(call, call->in[0], slope);
}

const struct hl_op hl_op_gelu = {
    .name = "gelu",
    .onnx = "Gelu",
    .help = "A value times the normal distribution's share below it",
    .inputs_min = 1,
    .inputs_max = 1,
    .in_place = true,
    .keeps_input = true,
    .infer = hl_infer_same,
    .forward = forward,
    .backward = backward,
    .samples = (const char *const[]){"2x1x5x7x3", "1x1x1x1x1", "3x2x3x5x13", "1x1x9x11x64", NULL},
};
