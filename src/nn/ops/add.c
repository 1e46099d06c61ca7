#include <string.h>

#include "nn/ops/common.h"

static enum hilum_status infer(const void *options, struct hl_infer *infer, struct hilum_error *error)
{
	enum hilum_status status = hl_infer_begin(infer, error);
	(void)options;
	for (int i = 1; i < infer->inputs && !status; i++) {
		char first[128], other[128];
		if (hl_shape_equal(infer->in[0], infer->in[i]))
			continue;
		hl_shape_print(infer->in[0], first, sizeof(first));
		hl_shape_print(infer->in[i], other, sizeof(other));
		status = hl_fail(error, HILUM_ERROR_ARGUMENT, "inputs of different shapes: %s and %s", first, other);
	}
	return status ? status : hl_infer_end(infer, infer->in[0], error);
}

static void forward(const struct hl_call *call)
{
	int64_t count = hl_shape_count(call->out->shape);
	float *out = call->out->data;
	memmove(out, call->in[0]->data, (size_t)count * sizeof(*out));
	for (int k = 1; k < call->shapes->inputs; k++) {
		const float *in = call->in[k]->data;
		for (int64_t i = 0; i < count; i++)
			out[i] += in[i];
	}
}

static void backward(const struct hl_call *call)
{
	size_t bytes = (size_t)hl_shape_count(call->dout->shape) * sizeof(float);
	for (int k = 0; k < call->shapes->inputs; k++)
		if (call->din[k] && call->din[k]->data != call->dout->data)
			memcpy(call->din[k]->data, call->dout->data, bytes);
}

const struct hl_op hl_op_add = {
    .name = "add",
    .onnx = "Add",
    .help = "The sum of two or more inputs of one shape",
    .inputs_min = 2,
    .inputs_max = HL_INPUTS_MAX,
    .in_place = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .samples =
        (const char *const[]){"2x1x5x7x3+2x1x5x7x3", "1x1x1x1x1+1x1x1x1x1", "3x2x3x3x5+3x2x3x3x5+3x2x3x3x5", NULL},
};
