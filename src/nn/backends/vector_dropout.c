/* Dropout in training: the bits of the reference, on all threads. */
#include "base/random.h"
#include "nn/backends/vector.h"
#include "nn/ops/options.h"
#include <string.h>

#define GRAIN 16384 /* a multiple of CHUNK */
#define CHUNK 256   /* random words at a time */

static float scale_of(const struct hl_call *call)
{
	const struct hl_dropout_options *dropout = call->options;

	return dropout->rate < 1 ? (float)(1 / (1 - dropout->rate)) : 0.0F;
}

/* a: the input; rest: a byte for each element, whether it is kept; tile: words below this are dropped. */
HL_VECTOR_INLINE void drop(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half)
{
	const struct hl_call *call = task->call;
	const struct hl_random stream = hl_random_stream(call->seed, call->step, call->node, HL_RANDOM_DROPOUT);
	const uint64_t limit = (uint64_t)task->tile;
	const float scale = task->slope;
	uint8_t *restrict kept = task->rest;

	for (int64_t start = begin; start < end; start += CHUNK) {
		uint32_t words[CHUNK];
		int64_t length = end - start < CHUNK ? end - start : CHUNK;
		hl_random_fill(&stream, (uint64_t)start, words, (uint64_t)length);
		for (int64_t i = 0; i < length; i++) {
			float value = hl_vector_load(task->a, start + i, half) * scale;
			hl_vector_store(task->out, start + i, words[i] >= limit ? value : 0.0F, half);
		}
		for (int64_t i = 0; kept && i < length; i++)
			kept[start + i] = words[i] >= limit;
	}
}

static HL_VECTOR_CLONES void drop32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	drop(task, begin, end, false);
}

static HL_VECTOR_CLONES void drop16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	drop(task, begin, end, true);
}

/* a: the gradient of the output, b: what is kept. */
HL_VECTOR_INLINE void restore(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half)
{
	const uint8_t *kept = task->b;
	const float scale = task->slope;

	for (int64_t i = begin; i < end; i++) {
		float value = hl_vector_load(task->a, i, half) * scale;
		hl_vector_store(task->out, i, kept[i] ? value : 0.0F, half);
	}
}

static HL_VECTOR_CLONES void restore32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	restore(task, begin, end, false);
}

static HL_VECTOR_CLONES void restore16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	restore(task, begin, end, true);
}

/* Frozen, a layer changes nothing. */
static void same(const struct hl_tensor *from, const struct hl_tensor *to)
{
	if (from->data != to->data)
		memcpy(to->data, from->data, (size_t)hl_shape_count(to->shape) * hl_type_size(to->type));
}

static void forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct hl_vector *node = (const struct hl_vector *)primitive;
	const struct hl_dropout_options *dropout = call->options;
	struct hl_vector_task task = {.call = call,
	                              .a = call->in[0]->data,
	                              .out = call->out->data,
	                              .rest = call->saved,
	                              .slope = scale_of(call),
	                              .tile = (int64_t)(dropout->rate * 4294967296.0)};

	if (call->training)
		hl_vector_run(node->half ? drop16 : drop32, &task, hl_shape_count(call->out->shape), GRAIN,
		              node->threads);
	else
		same(call->in[0], call->out);
}

static void backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct hl_vector *node = (const struct hl_vector *)primitive;
	struct hl_vector_task task = {.a = call->dout->data, .b = call->saved, .slope = scale_of(call)};

	if (!call->din[0])
		return;
	task.out = call->din[0]->data;
	if (call->training)
		hl_vector_run(node->half ? restore16 : restore32, &task, hl_shape_count(call->dout->shape), GRAIN,
		              node->threads);
	else
		same(call->dout, call->din[0]);
}

enum hilum_status hl_vector_dropout(const struct hl_compile *request, struct hl_vector *node)
{
	node->primitive.saved = (size_t)hl_shape_count(request->shapes->out);
	node->primitive.forward = forward;
	node->primitive.backward = backward;
	return HILUM_OK;
}
