#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "nn/ops/common.h"

static const char *const modes[] = {[HL_GLOBALPOOL_AVG] = "avg", [HL_GLOBALPOOL_MAX] = "max", NULL};
static const struct hilum_option options[] = {{.name = "mode",
                                               .kind = HILUM_OPTION_CHOICE,
                                               .offset = offsetof(struct hl_globalpool_options, mode),
                                               .initial = "avg",
                                               .choices = modes,
                                               .help = "Mean or largest value"},
                                              {.name = NULL}};

static bool is_max(const void *settings)
{
	const struct hl_globalpool_options *pool = settings;
	return pool->mode == HL_GLOBALPOOL_MAX;
}

static int64_t places_of(const struct hl_call *call)
{
	struct hl_shape in = call->shapes->in[0];
	return in.d * in.h * in.w;
}

static enum hilum_status infer(const void *settings, struct hl_infer *infer, struct hilum_error *error)
{
	struct hl_shape in = infer->in[0];
	enum hilum_status status = hl_infer_begin(infer, error);
	if (status)
		return status;
	if (in.d * in.h * in.w > INT32_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "input of %" PRId64 " places: at most %d", in.d * in.h * in.w,
		               INT32_MAX);
	infer->saved = is_max(settings) ? (size_t)(in.n * in.c) * sizeof(int32_t) : 0;
	infer->scratch = (size_t)in.c * sizeof(double);
	return hl_infer_end(infer, (struct hl_shape){in.n, 1, 1, 1, in.c}, error);
}

static void average(const float *in, int64_t places, int64_t channels, double *sum, float *out)
{
	memset(sum, 0, (size_t)channels * sizeof(*sum));
	for (int64_t place = 0; place < places; place++)
		for (int64_t c = 0; c < channels; c++)
			sum[c] += in[place * channels + c];
	for (int64_t c = 0; c < channels; c++)
		out[c] = (float)(sum[c] / (double)places);
}

/* Ties stay with the first; NaN wins, as in PyTorch. */
static void largest(const float *in, int64_t places, int64_t channels, float *out, int32_t *winner)
{
	for (int64_t place = 0; place < places; place++)
		for (int64_t c = 0; c < channels; c++) {
			float x = in[place * channels + c];
			if (place > 0 && !(x > out[c]) && !isnan(x))
				continue;
			out[c] = x;
			if (winner)
				winner[c] = (int32_t)place;
		}
}

static void forward(const struct hl_call *call)
{
	int64_t places = places_of(call), channels = call->shapes->out.c;
	const float *in = call->in[0]->data;
	float *out = call->out->data;
	int32_t *winner = call->saved;
	for (int64_t n = 0; n < call->shapes->out.n; n++, in += places * channels, out += channels) {
		if (is_max(call->options))
			largest(in, places, channels, out, winner ? winner + n * channels : NULL);
		else
			average(in, places, channels, call->scratch, out);
	}
}

static void backward(const struct hl_call *call)
{
	int64_t places = places_of(call), channels = call->shapes->out.c;
	const float *dout = call->dout->data;
	const int32_t *winner = call->saved;
	float share = 1 / (float)places;
	if (!call->din[0])
		return;
	float *din = call->din[0]->data;
	for (int64_t n = 0; n < call->shapes->out.n; n++, dout += channels, din += places * channels)
		for (int64_t place = 0; place < places; place++)
			for (int64_t c = 0; c < channels; c++) {
				float factor = share;
				if (is_max(call->options))
					factor = winner[n * channels + c] == place ? 1 : 0;
				din[place * channels + c] = dout[c] * factor;
			}
}

const struct hl_op hl_op_globalpool = {
    .name = "globalpool",
    .onnx = "GlobalAveragePool",
    .help = "One value a channel: the mean, or the largest, over depth, height and width",
    .options = options,
    .options_size = sizeof(struct hl_globalpool_options),
    .inputs_min = 1,
    .inputs_max = 1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .samples = (const char *const[]){"2x1x5x7x3", "1x1x1x1x1", "3x2x3x3x5", "3x2x3x3x5 mode=max", "2x1x5x7x13 mode=max",
                                     "1x1x4x4x32", NULL},
};
