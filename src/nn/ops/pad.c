#include <string.h>

#include "nn/ops/common.h"

static const struct hilum_option options[] = {{.name = "pad",
                                               .kind = HILUM_OPTION_SIZES,
                                               .offset = offsetof(struct hl_pad_options, pad),
                                               .minimum = 0,
                                               .maximum = 1024,
                                               .initial = "1",
                                               .value = "N",
                                               .help = "Zeros added on both sides of each axis"},
                                              {.name = NULL}};

static struct hl_axes axes_of(const void *settings, int spatial)
{
	const struct hl_pad_options *pad = settings;
	return hl_axes_get(&pad->pad, spatial, 0, 0);
}

static enum hilum_status infer(const void *settings, struct hl_infer *infer, struct hilum_error *error)
{
	const struct hl_pad_options *pad = settings;
	struct hl_shape out = infer->in[0];
	enum hilum_status status = hl_infer_begin(infer, error);
	if (!status)
		status = hl_axes_check("pad", &pad->pad, 0, error);
	if (status)
		return status;
	struct hl_axes axes = axes_of(settings, infer->spatial);
	out.d += 2 * axes.d;
	out.h += 2 * axes.h;
	out.w += 2 * axes.w;
	return hl_infer_end(infer, out, error);
}

/* Where row (n, d, h) of the input begins in the output. */
static int64_t row_start(const struct hl_infer *shapes, struct hl_axes pad, int64_t n, int64_t d, int64_t h)
{
	struct hl_shape out = shapes->out;
	return (((n * out.d + d + pad.d) * out.h + h + pad.h) * out.w + pad.w) * out.c;
}

static void forward(const struct hl_call *call)
{
	struct hl_axes pad = axes_of(call->options, call->shapes->spatial);
	struct hl_shape shape = call->shapes->in[0];
	const float *in = call->in[0]->data;
	float *out = call->out->data;
	size_t row = (size_t)(shape.w * shape.c);
	memset(out, 0, (size_t)hl_shape_count(call->shapes->out) * sizeof(*out));
	for (int64_t n = 0; n < shape.n; n++)
		for (int64_t d = 0; d < shape.d; d++)
			for (int64_t h = 0; h < shape.h; h++, in += row)
				memcpy(out + row_start(call->shapes, pad, n, d, h), in, row * sizeof(*out));
}

static void backward(const struct hl_call *call)
{
	struct hl_axes pad = axes_of(call->options, call->shapes->spatial);
	struct hl_shape shape = call->shapes->in[0];
	const float *dout = call->dout->data;
	size_t row = (size_t)(shape.w * shape.c);
	if (!call->din[0])
		return;
	float *din = call->din[0]->data;
	for (int64_t n = 0; n < shape.n; n++)
		for (int64_t d = 0; d < shape.d; d++)
			for (int64_t h = 0; h < shape.h; h++, din += row)
				memcpy(din, dout + row_start(call->shapes, pad, n, d, h), row * sizeof(*din));
}

const struct hl_op hl_op_pad = {
    .name = "pad",
    .onnx = "Pad",
    .help = "Zeros around the input",
    .options = options,
    .options_size = sizeof(struct hl_pad_options),
    .inputs_min = 1,
    .inputs_max = 1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .samples = (const char *const[]){"2x1x5x7x3", "1x1x1x1x1 pad=2", "3x2x3x3x5 pad=1x2x3", "2x1x4x3x9 pad=0x2",
                                     "1x3x2x2x2 pad=2", "1x1x3x3x4 pad=0", NULL},
};
