#include <string.h>

#include "nn/ops/common.h"

static enum hilum_status infer(const void *options, struct hl_infer *infer, struct hilum_error *error)
{
	enum hilum_status status = hl_infer_begin(infer, error);
	struct hl_shape out = infer->in[0];
	(void)options;
	for (int i = 1; i < infer->inputs && !status; i++) {
		struct hl_shape same = infer->in[i];
		char first[128], other[128];
		same.c = infer->in[0].c;
		out.c += infer->in[i].c;
		if (hl_shape_equal(infer->in[0], same))
			continue;
		hl_shape_print(infer->in[0], first, sizeof(first));
		hl_shape_print(infer->in[i], other, sizeof(other));
		status = hl_fail(error, HILUM_ERROR_ARGUMENT, "inputs that differ in more than channels: %s and %s",
		                 first, other);
	}
	return status ? status : hl_infer_end(infer, out, error);
}

static void forward(const struct hl_call *call)
{
	struct hl_shape shape = call->out->shape;
	int64_t places = hl_shape_count(shape) / shape.c, start = 0;
	for (int k = 0; k < call->shapes->inputs; k++) {
		int64_t channels = call->shapes->in[k].c;
		const float *in = call->in[k]->data;
		float *out = (float *)call->out->data + start;
		for (int64_t place = 0; place < places; place++)
			memcpy(out + place * shape.c, in + place * channels, (size_t)channels * sizeof(*out));
		start += channels;
	}
}

static void backward(const struct hl_call *call)
{
	struct hl_shape shape = call->shapes->out;
	int64_t places = hl_shape_count(shape) / shape.c, start = 0;
	for (int k = 0; k < call->shapes->inputs; k++) {
		int64_t channels = call->shapes->in[k].c;
		const float *dout = (const float *)call->dout->data + start;
		start += channels;
		if (!call->din[k])
			continue;
		float *din = call->din[k]->data;
		for (int64_t place = 0; place < places; place++)
			memcpy(din + place * channels, dout + place * shape.c, (size_t)channels * sizeof(*din));
	}
}

const struct hl_op hl_op_concat = {
    .name = "concat",
    .onnx = "Concat",
    .help = "The channels of two or more inputs behind each other",
    .inputs_min = 2,
    .inputs_max = HL_INPUTS_MAX,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .samples =
        (const char *const[]){"2x1x5x7x3+2x1x5x7x8", "1x1x1x1x1+1x1x1x1x1", "3x2x3x3x5+3x2x3x3x1+3x2x3x3x16", NULL},
};
