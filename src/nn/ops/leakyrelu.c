#include "nn/ops/elementwise.h"

/* A slope below zero would make the output's sign ambiguous, and the output is what backward reads. */
static const struct hilum_option options[] = {{.name = "slope",
                                               .kind = HILUM_OPTION_REAL,
                                               .offset = offsetof(struct hl_leakyrelu_options, slope),
                                               .minimum = 0,
                                               .maximum = 1,
                                               .initial = "0.01",
                                               .value = "X",
                                               .help = "Factor for values below zero"},
                                              {.name = NULL}};

static float below_zero(const void *settings)
{
	const struct hl_leakyrelu_options *leaky = settings;
	return (float)leaky->slope;
}

static float leaky(float x, const void *settings)
{
	return x < 0 ? x * below_zero(settings) : x;
}

static float slope(float y, const void *settings)
{
	return y > 0 ? 1 : below_zero(settings);
}

static void forward(const struct hl_call *call)
{
	hl_map(call, leaky);
}

static void backward(const struct hl_call *call)
{
	hl_map_backward(call, call->out, slope);
}

const struct hl_op hl_op_leakyrelu = {
    .name = "leakyrelu",
    .onnx = "LeakyRelu",
    .help = "ReLU with a small slope below zero",
    .options = options,
    .options_size = sizeof(struct hl_leakyrelu_options),
    .inputs_min = 1,
    .inputs_max = 1,
    .in_place = true,
    .keeps_output = true,
    .infer = hl_infer_same,
    .forward = forward,
    .backward = backward,
    .samples = (const char *const[]){"2x1x5x7x3", "1x1x1x1x1 slope=0.2", "3x2x3x5x13 slope=0.1",
                                     "1x1x9x11x64 slope=0.3", "2x1x3x3x5 slope=0", NULL},
};
