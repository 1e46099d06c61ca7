/* Batch norm (Ioffe & Szegedy 2015, algorithm 1; gradients as in section 3). Two passes forward, two backward.
 *
 * Per-channel coefficients are repeated into a tile of at least 256 elements, so that the inner loop is long and
 * contiguous whatever the number of channels. Sums run over a fixed number of shards, in float within a few pixels and
 * in double beyond, about the first pixel's value: E[(x-k)^2] - E[x-k]^2 loses nothing when k is near the mean. */
#include "base/memory.h"
#include "nn/backends/vector.h"
#include "nn/ops/options.h"
#include <math.h>
#include <string.h>

#define TILE_MIN 256
#define SHARDS_MAX 64
#define UNROLL 4 /* tiles summed in registers before the partial sums are touched */
#define FLUSH 16 /* of those before the partial sums go to double */

static int64_t tile_of(int64_t channels)
{
	return channels >= TILE_MIN ? channels : channels * ((TILE_MIN + channels - 1) / channels);
}

static int64_t shards_of(int64_t elements, int64_t tile)
{
	int64_t shards = elements / (16 * tile);

	return shards < 1 ? 1 : shards > SHARDS_MAX ? SHARDS_MAX : shards;
}

/* Adds u and, by the pair, a product: (x-k), (x-k)^2 forward; dy, dy (x-mean) backward. */
HL_VECTOR_INLINE void sum_terms(const struct hl_vector_task *task, int64_t at, int64_t count, float *restrict sum,
                                float *restrict product, const bool half, const bool backward)
{
	const float *restrict shift = task->shift;

	for (int64_t j = 0; j < count; j++) {
		float x = hl_vector_load(task->a, at + j, half) - shift[j];
		float u = backward ? hl_vector_load(task->b, at + j, half) : x;
		sum[j] += u;
		product[j] += u * x;
	}
}

HL_VECTOR_INLINE void sum_terms_unrolled(const struct hl_vector_task *task, int64_t at, float *restrict sum,
                                         float *restrict product, const bool half, const bool backward)
{
	const float *restrict shift = task->shift;
	const int64_t tile = task->tile;

	for (int64_t j = 0; j < tile; j++) {
		float x[UNROLL], u[UNROLL];
#pragma GCC unroll 4
		for (int k = 0; k < UNROLL; k++) {
			x[k] = hl_vector_load(task->a, at + k * tile + j, half) - shift[j];
			u[k] = backward ? hl_vector_load(task->b, at + k * tile + j, half) : x[k];
		}
		sum[j] += (u[0] + u[1]) + (u[2] + u[3]);
		product[j] += (u[0] * x[0] + u[1] * x[1]) + (u[2] * x[2] + u[3] * x[3]);
	}
}

HL_VECTOR_INLINE void flush(float *restrict partial, double *restrict sums, int64_t count)
{
	for (int64_t j = 0; j < count; j++) {
		sums[j] += (double)partial[j];
		partial[j] = 0.0F;
	}
}

HL_VECTOR_INLINE void sum_shards(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half,
                                 const bool backward)
{
	const int64_t tile = task->tile;
	const int64_t tiles = (task->elements + tile - 1) / tile;

	for (int64_t shard = begin; shard < end; shard++) {
		float *sum = task->partial + shard * 2 * tile, *product = sum + tile;
		double *sums = task->sums + shard * 2 * tile;
		int64_t at = tiles * shard / task->shards * tile;
		int64_t stop = tiles * (shard + 1) / task->shards * tile;

		memset(sum, 0, (size_t)(2 * tile) * sizeof *sum);
		memset(sums, 0, (size_t)(2 * tile) * sizeof *sums);
		if (stop > task->elements)
			stop = task->elements;
		for (int turn = 0; at + UNROLL * tile <= stop; at += UNROLL * tile) {
			sum_terms_unrolled(task, at, sum, product, half, backward);
			if (++turn == FLUSH) {
				flush(sum, sums, 2 * tile);
				turn = 0;
			}
		}
		for (; at < stop; at += tile)
			sum_terms(task, at, stop - at < tile ? stop - at : tile, sum, product, half, backward);
		flush(sum, sums, 2 * tile);
	}
}

static HL_VECTOR_CLONES void sum_forward32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	sum_shards(task, begin, end, false, false);
}

static HL_VECTOR_CLONES void sum_forward16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	sum_shards(task, begin, end, true, false);
}

static HL_VECTOR_CLONES void sum_backward32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	sum_shards(task, begin, end, false, true);
}

static HL_VECTOR_CLONES void sum_backward16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	sum_shards(task, begin, end, true, true);
}

/* out = (x - shift) scale + offset */
HL_VECTOR_INLINE void normalise(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half)
{
	const float *restrict shift = task->shift, *restrict scale = task->scale, *restrict offset = task->offset;
	const int64_t tile = task->tile;

	for (int64_t t = begin; t < end; t++) {
		int64_t at = t * tile, left = task->elements - at, count = left < tile ? left : tile;
#pragma GCC ivdep
		for (int64_t j = 0; j < count; j++)
			hl_vector_store(task->out, at + j,
			                (hl_vector_load(task->a, at + j, half) - shift[j]) * scale[j] + offset[j],
			                half);
	}
}

static HL_VECTOR_CLONES void normalise32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	normalise(task, begin, end, false);
}

static HL_VECTOR_CLONES void normalise16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	normalise(task, begin, end, true);
}

/* din = (dy - offset - (x - shift) slant) scale */
HL_VECTOR_INLINE void differentiate(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half)
{
	const float *restrict shift = task->shift, *restrict scale = task->scale, *restrict offset = task->offset;
	const float *restrict slant = task->slant;
	const int64_t tile = task->tile;

	for (int64_t t = begin; t < end; t++) {
		int64_t at = t * tile, left = task->elements - at, count = left < tile ? left : tile;
#pragma GCC ivdep
		for (int64_t j = 0; j < count; j++) {
			float x = hl_vector_load(task->a, at + j, half) - shift[j];
			float d = hl_vector_load(task->b, at + j, half) - offset[j];
			hl_vector_store(task->out, at + j, (d - x * slant[j]) * scale[j], half);
		}
	}
}

static HL_VECTOR_CLONES void differentiate32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	differentiate(task, begin, end, false);
}

static HL_VECTOR_CLONES void differentiate16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	differentiate(task, begin, end, true);
}

/* Scratch: four coefficient tiles, then for each shard two tiles of float and two of double. */
struct layout {
	float *coefficient[4];
	struct hl_vector_task task;
};

static size_t scratch_of(int64_t elements, int64_t tile)
{
	size_t shards = (size_t)shards_of(elements, tile), line = (size_t)tile;

	return 4 * line * sizeof(float) + shards * 2 * line * (sizeof(float) + sizeof(double)) + 64;
}

static void lay_out(struct layout *layout, const struct hl_call *call)
{
	int64_t channels = call->in[0]->shape.c, elements = hl_shape_count(call->in[0]->shape);
	int64_t tile = tile_of(channels), shards = shards_of(elements, tile);
	double *sums = call->scratch;
	float *floats = (float *)(sums + shards * 2 * tile);

	layout->task = (struct hl_vector_task){.call = call,
	                                       .a = call->in[0]->data,
	                                       .tile = tile,
	                                       .elements = elements,
	                                       .shards = shards,
	                                       .sums = sums,
	                                       .partial = floats};
	floats += shards * 2 * tile;
	for (int k = 0; k < 4; k++)
		layout->coefficient[k] = floats + k * tile;
	layout->task.shift = layout->coefficient[0];
	layout->task.scale = layout->coefficient[1];
	layout->task.offset = layout->coefficient[2];
	layout->task.slant = layout->coefficient[3];
}

/* Copies the first channels of a tile over the rest of it. */
static void repeat(float *tile, int64_t channels, int64_t count)
{
	for (int64_t j = channels; j < count; j++)
		tile[j] = tile[j - channels];
}

/* Both totals of one channel, shards and repeats added in index order. */
static void total(const struct hl_vector_task *task, int64_t channel, int64_t channels, double *sum, double *product)
{
	*sum = *product = 0.0;
	for (int64_t shard = 0; shard < task->shards; shard++) {
		const double *sums = task->sums + shard * 2 * task->tile;
		for (int64_t j = channel; j < task->tile; j += channels) {
			*sum += sums[j];
			*product += sums[task->tile + j];
		}
	}
}

static void statistics(const struct hl_vector *node, struct layout *layout, float *mean, float *inverse_std)
{
	const struct hl_call *call = layout->task.call;
	const struct hl_batchnorm_options *options = call->options;
	int64_t channels = call->in[0]->shape.c;
	int64_t places = layout->task.elements / channels;
	double count = (double)places, momentum = options->momentum;
	float *shift = layout->coefficient[0];

	for (int64_t c = 0; c < channels; c++)
		shift[c] = hl_vector_load(call->in[0]->data, c, node->half);
	repeat(shift, channels, layout->task.tile);
	hl_vector_run(node->half ? sum_forward16 : sum_forward32, &layout->task, layout->task.shards, 1, node->threads);
	for (int64_t c = 0; c < channels; c++) {
		double sum, square, m, variance, unbiased;
		total(&layout->task, c, channels, &sum, &square);
		m = sum / count;
		variance = square / count - m * m;
		variance = variance < 0.0 ? 0.0 : variance;
		unbiased = count > 1.0 ? variance * count / (count - 1.0) : variance;
		m += (double)shift[c];
		mean[c] = (float)m;
		inverse_std[c] = (float)(1.0 / sqrt(variance + options->eps));
		call->param[2][c] = (float)((1.0 - momentum) * (double)call->param[2][c] + momentum * m);
		call->param[3][c] = (float)((1.0 - momentum) * (double)call->param[3][c] + momentum * unbiased);
	}
}

static void running(const struct hl_call *call, float *mean, float *inverse_std)
{
	const struct hl_batchnorm_options *options = call->options;

	for (int64_t c = 0; c < call->in[0]->shape.c; c++) {
		mean[c] = call->param[2][c];
		inverse_std[c] = (float)(1.0 / sqrt((double)call->param[3][c] + options->eps));
	}
}

static void forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct hl_vector *node = (const struct hl_vector *)primitive;
	int64_t channels = call->in[0]->shape.c;
	struct layout layout;
	float *mean, *inverse_std;

	lay_out(&layout, call);
	mean = call->saved ? call->saved : layout.coefficient[3];
	inverse_std = call->saved ? mean + channels : layout.coefficient[1];
	if (call->training)
		statistics(node, &layout, mean, inverse_std);
	else
		running(call, mean, inverse_std);
	for (int64_t c = 0; c < channels; c++) {
		layout.coefficient[0][c] = mean[c];
		layout.coefficient[1][c] = call->param[0][c] * inverse_std[c];
		layout.coefficient[2][c] = call->param[1][c];
	}
	for (int k = 0; k < 3; k++)
		repeat(layout.coefficient[k], channels, layout.task.tile);
	layout.task.out = call->out->data;
	hl_vector_run(node->half ? normalise16 : normalise32, &layout.task,
	              (layout.task.elements + layout.task.tile - 1) / layout.task.tile, 1 + 16384 / layout.task.tile,
	              node->threads);
}

static void backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct hl_vector *node = (const struct hl_vector *)primitive;
	int64_t channels = call->in[0]->shape.c;
	const float *mean = call->saved, *inverse_std = mean + channels;
	struct layout layout;
	int64_t places;
	double count;

	lay_out(&layout, call);
	places = layout.task.elements / channels;
	count = (double)places;
	layout.task.b = call->dout->data;
	memcpy(layout.coefficient[0], mean, (size_t)channels * sizeof *mean);
	repeat(layout.coefficient[0], channels, layout.task.tile);
	hl_vector_run(node->half ? sum_backward16 : sum_backward32, &layout.task, layout.task.shards, 1, node->threads);
	for (int64_t c = 0; c < channels; c++) {
		double sum, product, inverse = (double)inverse_std[c];
		total(&layout.task, c, channels, &sum, &product);
		if (call->dparam[0])
			call->dparam[0][c] = (float)(product * inverse);
		if (call->dparam[1])
			call->dparam[1][c] = (float)sum;
		/* Running statistics do not depend on the batch. */
		layout.coefficient[1][c] = call->param[0][c] * inverse_std[c];
		layout.coefficient[2][c] = call->training ? (float)(sum / count) : 0.0F;
		layout.coefficient[3][c] = call->training ? (float)(product * inverse * inverse / count) : 0.0F;
	}
	if (!call->din[0])
		return;
	for (int k = 1; k < 4; k++)
		repeat(layout.coefficient[k], channels, layout.task.tile);
	layout.task.out = call->din[0]->data;
	hl_vector_run(node->half ? differentiate16 : differentiate32, &layout.task,
	              (layout.task.elements + layout.task.tile - 1) / layout.task.tile, 1 + 16384 / layout.task.tile,
	              node->threads);
}

enum hilum_status hl_vector_batchnorm(const struct hl_compile *request, struct hl_vector *node)
{
	int64_t channels = request->shapes->in[0].c;

	node->primitive.forward = forward;
	node->primitive.backward = backward;
	node->primitive.saved = request->training ? 2 * (size_t)channels * sizeof(float) : 0;
	node->primitive.scratch = scratch_of(hl_shape_count(request->shapes->in[0]), tile_of(channels));
	return HILUM_OK;
}
