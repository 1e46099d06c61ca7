#include <inttypes.h>

#include "nn/ops/common.h"

/* Features in the order of a channels-first flatten (C, then D, H, W), so that the weights of the dense layer behind it
 * mean the same in PyTorch and ONNX. */
static enum hilum_status infer(const void *options, struct hl_infer *infer, struct hilum_error *error)
{
	enum hilum_status status = hl_infer_begin(infer, error);
	(void)options;
	if (status)
		return status;
	struct hl_shape out = {infer->in[0].n, 1, 1, 1, hl_shape_sample(infer->in[0])};
	return hl_infer_end(infer, out, error);
}

static void forward(const struct hl_call *call)
{
	struct hl_shape shape = call->in[0]->shape;
	const float *in = call->in[0]->data;
	float *out = call->out->data;
	int64_t places = shape.d * shape.h * shape.w;
	for (int64_t n = 0; n < shape.n; n++, in += places * shape.c, out += places * shape.c)
		for (int64_t place = 0; place < places; place++)
			for (int64_t c = 0; c < shape.c; c++)
				out[c * places + place] = in[place * shape.c + c];
}

static void backward(const struct hl_call *call)
{
	struct hl_shape shape = call->shapes->in[0];
	const float *dout = call->dout->data;
	int64_t places = shape.d * shape.h * shape.w;
	if (!call->din[0])
		return;
	float *din = call->din[0]->data;
	for (int64_t n = 0; n < shape.n; n++, dout += places * shape.c, din += places * shape.c)
		for (int64_t place = 0; place < places; place++)
			for (int64_t c = 0; c < shape.c; c++)
				din[place * shape.c + c] = dout[c * places + place];
}

const struct hl_op hl_op_flatten = {
    .name = "flatten",
    .onnx = "Flatten",
    .help = "All values of a sample in one row: channel by channel, then depth, height, width",
    .inputs_min = 1,
    .inputs_max = 1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .samples =
        (const char *const[]){"2x1x3x5x7", "1x1x1x1x1", "3x1x1x1x9", "3x2x3x2x5", "2x1x4x4x1", "2x1x6x7x21", NULL},
};
