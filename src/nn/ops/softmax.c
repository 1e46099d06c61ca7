#include <math.h>

#include "nn/ops/common.h"

static void forward(const struct hl_call *call)
{
	const float *in = call->in[0]->data;
	float *out = call->out->data;
	int64_t channels = call->out->shape.c, rows = hl_shape_count(call->out->shape) / channels;
	for (int64_t row = 0; row < rows; row++, in += channels, out += channels) {
		float top = in[0];
		double sum = 0;
		for (int64_t c = 1; c < channels; c++)
			top = in[c] > top ? in[c] : top;
		for (int64_t c = 0; c < channels; c++) {
			out[c] = expf(in[c] - top);
			sum += out[c];
		}
		for (int64_t c = 0; c < channels; c++)
			out[c] = (float)(out[c] / sum);
	}
}

static void backward(const struct hl_call *call)
{
	const float *out = call->out->data, *dout = call->dout->data;
	int64_t channels = call->out->shape.c, rows = hl_shape_count(call->out->shape) / channels;
	if (!call->din[0])
		return;
	float *din = call->din[0]->data;
	for (int64_t row = 0; row < rows; row++, out += channels, dout += channels, din += channels) {
		double dot = 0;
		for (int64_t c = 0; c < channels; c++)
			dot += (double)out[c] * dout[c];
		for (int64_t c = 0; c < channels; c++)
			din[c] = (float)(out[c] * (dout[c] - dot));
	}
}

const struct hl_op hl_op_softmax = {
    .name = "softmax",
    .onnx = "Softmax",
    .help = "Turns the channels of each place into probabilities",
    .inputs_min = 1,
    .inputs_max = 1,
    .keeps_output = true,
    .infer = hl_infer_same,
    .forward = forward,
    .backward = backward,
    .samples = (const char *const[]){"3x1x1x1x5", "1x1x1x1x2", "1x1x1x1x1", "2x1x3x2x7", "2x2x2x3x16", NULL},
};
