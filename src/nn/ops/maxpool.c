#include <math.h>
#include <string.h>

#include "nn/ops/common.h"

static enum hilum_status infer(const void *options, struct hl_infer *infer, struct hilum_error *error)
{
	enum hilum_status status = hl_pool_infer(options, infer, error);
	if (!status)
		infer->saved = (size_t)hl_shape_count(infer->out) * sizeof(int32_t);
	return status;
}

/* One window's maximum for every channel; winner receives the place in the window, counted with its padding. */
static void window_forward(const struct hl_window *window, struct hl_shape shape, const float *in,
                           const struct hl_axes *at, float *out, int32_t *winner)
{
	struct hl_span span = hl_pool_span(window, shape, at->d, at->h, at->w);
	int64_t d0 = at->d * window->stride.d - window->pad.d, h0 = at->h * window->stride.h - window->pad.h,
	        w0 = at->w * window->stride.w - window->pad.w;
	bool first = true;
	for (int64_t d = span.from.d; d < span.to.d; d++)
		for (int64_t h = span.from.h; h < span.to.h; h++)
			for (int64_t w = span.from.w; w < span.to.w; w++, first = false) {
				const float *x = in + ((d * shape.h + h) * shape.w + w) * shape.c;
				int32_t place =
				    (int32_t)(((d - d0) * window->size.h + h - h0) * window->size.w + w - w0);
				for (int64_t c = 0; c < shape.c; c++) {
					/* Ties stay with the first; NaN wins, as in PyTorch. */
					if (!first && !(x[c] > out[c]) && !isnan(x[c]))
						continue;
					out[c] = x[c];
					if (winner)
						winner[c] = place;
				}
			}
}

static void forward(const struct hl_call *call)
{
	struct hl_window window = hl_pool_window(call->options, call->shapes->spatial);
	struct hl_shape in = call->shapes->in[0], out = call->shapes->out;
	const float *x = call->in[0]->data;
	float *y = call->out->data;
	int32_t *winner = call->saved;
	for (int64_t n = 0; n < out.n; n++, x += hl_shape_sample(in))
		for (int64_t d = 0; d < out.d; d++)
			for (int64_t h = 0; h < out.h; h++)
				for (int64_t w = 0; w < out.w; w++, y += out.c) {
					window_forward(&window, in, x, &(struct hl_axes){d, h, w}, y, winner);
					if (winner)
						winner += out.c;
				}
}

static void window_backward(const struct hl_window *window, struct hl_shape shape, const float *dout,
                            const struct hl_axes *at, const int32_t *winner, float *din)
{
	int64_t d0 = at->d * window->stride.d - window->pad.d, h0 = at->h * window->stride.h - window->pad.h,
	        w0 = at->w * window->stride.w - window->pad.w;
	for (int64_t c = 0; c < shape.c; c++) {
		int64_t w = winner[c] % window->size.w, h = winner[c] / window->size.w % window->size.h,
		        d = winner[c] / (window->size.w * window->size.h);
		din[(((d0 + d) * shape.h + h0 + h) * shape.w + w0 + w) * shape.c + c] += dout[c];
	}
}

static void backward(const struct hl_call *call)
{
	struct hl_window window = hl_pool_window(call->options, call->shapes->spatial);
	struct hl_shape in = call->shapes->in[0], out = call->shapes->out;
	const float *dout = call->dout->data;
	const int32_t *winner = call->saved;
	if (!call->din[0])
		return;
	float *din = call->din[0]->data;
	memset(din, 0, (size_t)hl_shape_count(in) * sizeof(*din));
	for (int64_t n = 0; n < out.n; n++, din += hl_shape_sample(in))
		for (int64_t d = 0; d < out.d; d++)
			for (int64_t h = 0; h < out.h; h++)
				for (int64_t w = 0; w < out.w; w++, dout += out.c, winner += out.c)
					window_backward(&window, in, dout, &(struct hl_axes){d, h, w}, winner, din);
}

const struct hl_op hl_op_maxpool = {
    .name = "maxpool",
    .onnx = "MaxPool",
    .help = "The largest value of each window",
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
