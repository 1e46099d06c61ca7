#include <string.h>

#include "nn/ops/common.h"

static enum hilum_status infer(const void *options, struct hl_infer *infer, struct hilum_error *error)
{
	enum hilum_status status = hl_pool_infer(options, infer, error);
	if (!status)
		infer->scratch = (size_t)infer->out.c * sizeof(double);
	return status;
}

/* Padding is left out of the count. */
static double share_of(const struct hl_span *span)
{
	return 1.0 / (double)((span->to.d - span->from.d) * (span->to.h - span->from.h) * (span->to.w - span->from.w));
}

static void window_forward(const struct hl_span *span, struct hl_shape shape, const float *in, double *sum, float *out)
{
	double share = share_of(span);
	memset(sum, 0, (size_t)shape.c * sizeof(*sum));
	for (int64_t d = span->from.d; d < span->to.d; d++)
		for (int64_t h = span->from.h; h < span->to.h; h++)
			for (int64_t w = span->from.w; w < span->to.w; w++) {
				const float *x = in + ((d * shape.h + h) * shape.w + w) * shape.c;
				for (int64_t c = 0; c < shape.c; c++)
					sum[c] += x[c];
			}
	for (int64_t c = 0; c < shape.c; c++)
		out[c] = (float)(sum[c] * share);
}

static void window_backward(const struct hl_span *span, struct hl_shape shape, const float *dout, float *din)
{
	float share = (float)share_of(span);
	for (int64_t d = span->from.d; d < span->to.d; d++)
		for (int64_t h = span->from.h; h < span->to.h; h++)
			for (int64_t w = span->from.w; w < span->to.w; w++) {
				float *dx = din + ((d * shape.h + h) * shape.w + w) * shape.c;
				for (int64_t c = 0; c < shape.c; c++)
					dx[c] += dout[c] * share;
			}
}

static void forward(const struct hl_call *call)
{
	struct hl_window window = hl_pool_window(call->options, call->shapes->spatial);
	struct hl_shape in = call->shapes->in[0], out = call->shapes->out;
	const float *x = call->in[0]->data;
	float *y = call->out->data;
	for (int64_t n = 0; n < out.n; n++, x += hl_shape_sample(in))
		for (int64_t d = 0; d < out.d; d++)
			for (int64_t h = 0; h < out.h; h++)
				for (int64_t w = 0; w < out.w; w++, y += out.c) {
					struct hl_span span = hl_pool_span(&window, in, d, h, w);
					window_forward(&span, in, x, call->scratch, y);
				}
}

static void backward(const struct hl_call *call)
{
	struct hl_window window = hl_pool_window(call->options, call->shapes->spatial);
	struct hl_shape in = call->shapes->in[0], out = call->shapes->out;
	const float *dout = call->dout->data;
	if (!call->din[0])
		return;
	float *din = call->din[0]->data;
	memset(din, 0, (size_t)hl_shape_count(in) * sizeof(*din));
	for (int64_t n = 0; n < out.n; n++, din += hl_shape_sample(in))
		for (int64_t d = 0; d < out.d; d++)
			for (int64_t h = 0; h < out.h; h++)
				for (int64_t w = 0; w < out.w; w++, dout += out.c) {
					struct hl_span span = hl_pool_span(&window, in, d, h, w);
					window_backward(&span, in, dout, din);
				}
}

const struct hl_op hl_op_avgpool = {
    .name = "avgpool",
    .onnx = "AveragePool",
    .help = "The mean of each window, padding left out",
    .options = hl_pool_option_table,
    .options_size = sizeof(struct hl_pool_options),
    .inputs_min = 1,
    .inputs_max = 1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .samples = (const char *const[]){"2x1x6x6x3 size=2 stride=2", "1x1x7x5x16 size=3 stride=2 pad=1",
                                     "3x1x5x9x5 size=3x2 stride=1x3 pad=1x0", "2x4x5x6x9 size=2",
                                     "1x5x4x7x3 size=3 stride=2 pad=1", "1x1x3x3x1 size=1", "1x1x8x8x32 size=2",
                                     "2x3x4x4x4 size=1x2x2", "1x1x5x5x3 size=5", NULL},
};
