/* Srivastava et al., "Dropout", JMLR 15, 2014, scaled in training so that inference changes nothing. */
#include <string.h>

#include "base/random.h"
#include "nn/ops/common.h"

#define CHUNK 256

static const struct hilum_option options[] = {{.name = "rate",
                                               .kind = HILUM_OPTION_REAL,
                                               .offset = offsetof(struct hl_dropout_options, rate),
                                               .minimum = 0,
                                               .maximum = 1,
                                               .initial = "0.5",
                                               .value = "X",
                                               .help = "Share of the values set to zero in training"},
                                              {.name = NULL}};

static enum hilum_status infer(const void *settings, struct hl_infer *infer, struct hilum_error *error)
{
	enum hilum_status status = hl_infer_same(settings, infer, error);
	if (!status)
		infer->saved = (size_t)hl_shape_count(infer->out); /* a byte for each value: kept or not */
	return status;
}

static float scale_of(const struct hl_call *call)
{
	const struct hl_dropout_options *dropout = call->options;
	return dropout->rate < 1 ? (float)(1 / (1 - dropout->rate)) : 0;
}

static void forward(const struct hl_call *call)
{
	const struct hl_dropout_options *dropout = call->options;
	const float *in = call->in[0]->data;
	float *out = call->out->data, scale = scale_of(call);
	uint8_t *kept = call->saved;
	int64_t count = hl_shape_count(call->out->shape);
	uint64_t limit = (uint64_t)(dropout->rate * 4294967296.0);
	struct hl_random stream = hl_random_stream(call->seed, call->step, call->node, HL_RANDOM_DROPOUT);
	if (!call->training) {
		memmove(out, in, (size_t)count * sizeof(*out));
		return;
	}
	for (int64_t start = 0; start < count; start += CHUNK) {
		uint32_t words[CHUNK];
		int64_t length = count - start < CHUNK ? count - start : CHUNK;
		hl_random_fill(&stream, (uint64_t)start, words, (uint64_t)length);
		for (int64_t i = 0; i < length; i++) {
			bool keep = words[i] >= limit;
			out[start + i] = keep ? in[start + i] * scale : 0;
			if (kept)
				kept[start + i] = keep;
		}
	}
}

static void backward(const struct hl_call *call)
{
	const float *dout = call->dout->data;
	const uint8_t *kept = call->saved;
	int64_t count = hl_shape_count(call->dout->shape);
	float scale = scale_of(call);
	if (!call->din[0])
		return;
	float *din = call->din[0]->data;
	for (int64_t i = 0; i < count; i++)
		din[i] = !call->training ? dout[i] : kept[i] ? dout[i] * scale : 0;
}

const struct hl_op hl_op_dropout = {
    .name = "dropout",
    .onnx = "Dropout",
    .help = "Sets values to zero at random in training",
    .options = options,
    .options_size = sizeof(struct hl_dropout_options),
    .inputs_min = 1,
    .inputs_max = 1,
    .in_place = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .samples = (const char *const[]){"3x1x1x1x37", "1x1x1x1x1 rate=0.3", "2x1x7x9x5 rate=0.25", "2x2x3x3x5 rate=0",
                                     "2x1x3x3x2 rate=1", "1x1x8x8x11 rate=0.9", "1x1x97x89x2 rate=0.4", NULL},
};
