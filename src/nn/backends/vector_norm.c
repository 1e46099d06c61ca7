/* Batch norm (Ioffe & Szegedy 2015, algorithm 1; gradients as in section 3), alone or with an addition and an
 * activation behind it. Two passes forward, two backward, which compute the activation again from what they read
 * anyway: batch norm's input, or behind an addition the output.
 *
 * Per-channel coefficients are repeated into a tile of at least 256 elements, so that the inner loop is long and
 * contiguous whatever the number of channels. Sums run over a fixed number of shards, in float within a few pixels and
 * in double beyond, about the first pixel's value: E[(x-k)^2] - E[x-k]^2 loses nothing when k is near the mean. */
#include "nn/backends/vector_norm.h"
#include "base/memory.h"
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

/* How backward finds where the activation bent. */
enum gate {
	OPEN,       /* it did not, or dy has been through it */
	FROM_INPUT, /* computed again from x */
	FROM_OUTPUT /* the sign of y */
};

/* What passes back through the activation at element at; x is less its shift. */
HL_VECTOR_INLINE float gated(const struct hl_vector_task *task, int64_t at, int64_t j, float x, const bool half,
                             const enum gate gate)
{
	float d = hl_vector_load(task->b, at, half);

	if (gate == OPEN)
		return d;
	if (gate == FROM_INPUT)
		return hl_vector_unbend(x * task->scale[j] + task->rise[j], d, task->below, task->keep);
	return hl_vector_unbend(hl_vector_load(task->y, at, half), d, task->below, task->keep);
}

/* Adds u and, by the pair, a product: (x-k), (x-k)^2 forward; g, g (x-mean) backward, where g is dy behind the
 * activation, and is left in task->rest if that is wanted. */
HL_VECTOR_INLINE void sum_terms(const struct hl_vector_task *task, int64_t at, int64_t count, float *restrict sum,
                                float *restrict product, const bool half, const bool backward, const enum gate gate,
                                const bool leave)
{
	const float *restrict shift = task->shift;

#pragma GCC ivdep
	for (int64_t j = 0; j < count; j++) {
		float x = hl_vector_load(task->a, at + j, half) - shift[j];
		float u = backward ? gated(task, at + j, j, x, half, gate) : x;
		if (leave)
			hl_vector_store(task->rest, at + j, u, half);
		sum[j] += u;
		product[j] += u * x;
	}
}

HL_VECTOR_INLINE void sum_terms_unrolled(const struct hl_vector_task *task, int64_t at, float *restrict sum,
                                         float *restrict product, const bool half, const bool backward,
                                         const enum gate gate, const bool leave)
{
	const float *restrict shift = task->shift;
	const int64_t tile = task->tile;

#pragma GCC ivdep
	for (int64_t j = 0; j < tile; j++) {
		float x[UNROLL], u[UNROLL];
#pragma GCC unroll 4
		for (int k = 0; k < UNROLL; k++) {
			int64_t i = at + k * tile + j;
			x[k] = hl_vector_load(task->a, i, half) - shift[j];
			u[k] = backward ? gated(task, i, j, x[k], half, gate) : x[k];
			if (leave)
				hl_vector_store(task->rest, i, u[k], half);
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
                                 const bool backward, const enum gate gate, const bool leave)
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
			sum_terms_unrolled(task, at, sum, product, half, backward, gate, leave);
			if (++turn == FLUSH) {
				flush(sum, sums, 2 * tile);
				turn = 0;
			}
		}
		for (; at < stop; at += tile)
			sum_terms(task, at, stop - at < tile ? stop - at : tile, sum, product, half, backward, gate,
			          leave);
		flush(sum, sums, 2 * tile);
	}
}

/* out = activation((x - shift) scale + offset [+ e]) */
HL_VECTOR_INLINE void normalise(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half,
                                const bool bends, const bool adds)
{
	const float *restrict shift = task->shift, *restrict scale = task->scale, *restrict offset = task->offset;
	const int64_t tile = task->tile;

	for (int64_t t = begin; t < end; t++) {
		int64_t at = t * tile, left = task->elements - at, count = left < tile ? left : tile;
#pragma GCC ivdep
		for (int64_t j = 0; j < count; j++) {
			float z = (hl_vector_load(task->a, at + j, half) - shift[j]) * scale[j] + offset[j];
			if (adds)
				z += hl_vector_load(task->b, at + j, half);
			if (bends)
				z = hl_vector_bend(z, task->below, task->keep);
			hl_vector_store(task->out, at + j, z, half);
		}
	}
}

/* din = (g - offset - (x - shift) slant) scale */
HL_VECTOR_INLINE void differentiate(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half,
                                    const enum gate gate)
{
	const float *restrict shift = task->shift, *restrict scale = task->scale, *restrict offset = task->offset;
	const float *restrict slant = task->slant;
	const int64_t tile = task->tile;

	for (int64_t t = begin; t < end; t++) {
		int64_t at = t * tile, left = task->elements - at, count = left < tile ? left : tile;
#pragma GCC ivdep
		for (int64_t j = 0; j < count; j++) {
			float x = hl_vector_load(task->a, at + j, half) - shift[j];
			float d = gated(task, at + j, j, x, half, gate) - offset[j];
			hl_vector_store(task->out, at + j, (d - x * slant[j]) * scale[j], half);
		}
	}
}

#define LOOP(name, body, ...)                                                                                          \
	static HL_VECTOR_CLONES void name##32(const struct hl_vector_task *task, int64_t begin, int64_t end)           \
	{                                                                                                              \
		body(task, begin, end, false, __VA_ARGS__);                                                            \
	}                                                                                                              \
	static HL_VECTOR_CLONES void name##16(const struct hl_vector_task *task, int64_t begin, int64_t end)           \
	{                                                                                                              \
		body(task, begin, end, true, __VA_ARGS__);                                                             \
	}

LOOP(sum_forward, sum_shards, false, OPEN, false)
LOOP(sum_backward, sum_shards, true, OPEN, false)
LOOP(sum_gated, sum_shards, true, FROM_INPUT, false)
LOOP(sum_signed, sum_shards, true, FROM_OUTPUT, false)
LOOP(sum_leaving, sum_shards, true, FROM_OUTPUT, true)
LOOP(normalise_only, normalise, false, false)
LOOP(normalise_bent, normalise, true, false)
LOOP(normalise_added, normalise, true, true)
LOOP(differentiate_open, differentiate, OPEN)
LOOP(differentiate_gated, differentiate, FROM_INPUT)
LOOP(differentiate_signed, differentiate, FROM_OUTPUT)

/* ---- workspace ---- */

/* In scratch: two tiles of double and two of float for each shard, then the coefficients. */
size_t hl_norm_scratch(struct hl_shape shape)
{
	int64_t tile = tile_of(shape.c);
	size_t shards = (size_t)shards_of(hl_shape_count(shape), tile), line = (size_t)tile;

	return HL_NORM_COEFFICIENTS * line * sizeof(float) + shards * 2 * line * (sizeof(float) + sizeof(double)) + 64;
}

static void lay_out(const struct hl_norm *norm, const struct hl_call *call, struct hl_norm_work *work)
{
	int64_t channels = call->in[0]->shape.c, elements = hl_shape_count(call->in[0]->shape);
	int64_t tile = tile_of(channels), shards = shards_of(elements, tile);
	double *sums = call->scratch;
	float *floats = (float *)(sums + shards * 2 * tile);

	work->task = (struct hl_vector_task){.call = call,
	                                     .a = call->in[0]->data,
	                                     .below = norm->below,
	                                     .keep = norm->keep,
	                                     .tile = tile,
	                                     .elements = elements,
	                                     .shards = shards,
	                                     .sums = sums,
	                                     .partial = floats};
	floats += shards * 2 * tile;
	for (int k = 0; k < HL_NORM_COEFFICIENTS; k++)
		work->coefficient[k] = floats + k * tile;
	work->task.shift = work->coefficient[HL_NORM_SHIFT];
	work->task.scale = work->coefficient[HL_NORM_SCALE];
	work->task.offset = work->coefficient[HL_NORM_OFFSET];
	work->task.slant = work->coefficient[HL_NORM_SLANT];
	work->task.rise = work->coefficient[HL_NORM_RISE];
}

/* Copies the first channels of a tile over the rest of it. */
static void repeat(const struct hl_norm_work *work, int which)
{
	float *tile = work->coefficient[which];
	int64_t channels = work->task.call->in[0]->shape.c;

	for (int64_t j = channels; j < work->task.tile; j++)
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

/* ---- statistics and coefficients ---- */

static void statistics(const struct hl_vector *node, struct hl_norm_work *work, float *mean, float *inverse_std)
{
	const struct hl_call *call = work->task.call;
	const struct hl_batchnorm_options *options = call->options;
	int64_t channels = call->in[0]->shape.c;
	int64_t places = work->task.elements / channels;
	double count = (double)places, momentum = options->momentum;
	float *shift = work->coefficient[HL_NORM_SHIFT];

	for (int64_t c = 0; c < channels; c++)
		shift[c] = hl_vector_load(call->in[0]->data, c, node->half);
	repeat(work, HL_NORM_SHIFT);
	hl_vector_run(node->half ? sum_forward16 : sum_forward32, &work->task, work->task.shards, 1, node->threads);
	for (int64_t c = 0; c < channels; c++) {
		double sum, square, m, variance, unbiased;
		total(&work->task, c, channels, &sum, &square);
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

void hl_norm_begin(const struct hl_norm *norm, const struct hl_call *call, struct hl_norm_work *work)
{
	int64_t channels = call->in[0]->shape.c;
	float *mean, *inverse_std;

	lay_out(norm, call, work);
	mean = call->saved ? call->saved : work->coefficient[HL_NORM_SLANT];
	inverse_std = call->saved ? mean + channels : work->coefficient[HL_NORM_RISE];
	if (call->training)
		statistics(&norm->node, work, mean, inverse_std);
	else
		running(call, mean, inverse_std);
	for (int64_t c = 0; c < channels; c++) {
		work->coefficient[HL_NORM_SHIFT][c] = mean[c];
		work->coefficient[HL_NORM_SCALE][c] = call->param[0][c] * inverse_std[c];
		work->coefficient[HL_NORM_OFFSET][c] = call->param[1][c];
	}
	for (int k = HL_NORM_SHIFT; k <= HL_NORM_OFFSET; k++)
		repeat(work, k);
}

void hl_norm_resume(const struct hl_norm *norm, const struct hl_call *call, struct hl_norm_work *work)
{
	int64_t channels = call->in[0]->shape.c;
	const float *mean = call->saved, *inverse_std = mean + channels;

	lay_out(norm, call, work);
	for (int64_t c = 0; c < channels; c++) {
		work->coefficient[HL_NORM_SHIFT][c] = mean[c];
		work->coefficient[HL_NORM_SCALE][c] = call->param[0][c] * inverse_std[c];
		work->coefficient[HL_NORM_RISE][c] = call->param[1][c];
	}
	repeat(work, HL_NORM_SHIFT);
	repeat(work, HL_NORM_SCALE);
	repeat(work, HL_NORM_RISE);
}

void hl_norm_conclude(const struct hl_norm *norm, const struct hl_call *call, struct hl_norm_work *work)
{
	int64_t channels = call->in[0]->shape.c, places = work->task.elements / channels;
	const float *inverse_std = (const float *)call->saved + channels;
	double count = (double)places;

	(void)norm;
	for (int64_t c = 0; c < channels; c++) {
		double sum, product, inverse = (double)inverse_std[c];
		total(&work->task, c, channels, &sum, &product);
		if (call->dparam[0])
			call->dparam[0][c] = (float)(product * inverse);
		if (call->dparam[1])
			call->dparam[1][c] = (float)sum;
		/* Running statistics do not depend on the batch. */
		work->coefficient[HL_NORM_OFFSET][c] = call->training ? (float)(sum / count) : 0.0F;
		work->coefficient[HL_NORM_SLANT][c] =
		    call->training ? (float)(product * inverse * inverse / count) : 0.0F;
	}
	repeat(work, HL_NORM_OFFSET);
	repeat(work, HL_NORM_SLANT);
}

/* ---- without pooling ---- */

/* Passes over x tile by tile. */
static void run_tiles(const struct hl_norm *norm, const struct hl_norm_work *work, hl_vector_range *range)
{
	const struct hl_vector_task *task = &work->task;

	hl_vector_run(range, task, (task->elements + task->tile - 1) / task->tile, 1 + 16384 / task->tile,
	              norm->node.threads);
}

static void forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct hl_norm *norm = (const struct hl_norm *)primitive;
	bool half = norm->node.half;
	struct hl_norm_work work;

	hl_norm_begin(norm, call, &work);
	work.task.out = call->out->data;
	if (norm->adds)
		work.task.b = call->in[1]->data;
	if (norm->adds)
		run_tiles(norm, &work, half ? normalise_added16 : normalise_added32);
	else if (norm->bends)
		run_tiles(norm, &work, half ? normalise_bent16 : normalise_bent32);
	else
		run_tiles(norm, &work, half ? normalise_only16 : normalise_only32);
}

static void backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct hl_norm *norm = (const struct hl_norm *)primitive;
	bool half = norm->node.half, leaves = norm->adds && call->din[1];
	hl_vector_range *sum = half ? sum_backward16 : sum_backward32;
	hl_vector_range *last = half ? differentiate_open16 : differentiate_open32;
	struct hl_norm_work work;

	hl_norm_resume(norm, call, &work);
	work.task.b = call->dout->data;
	work.task.y = call->out->data;
	if (leaves) {
		work.task.rest = call->din[1]->data;
		sum = half ? sum_leaving16 : sum_leaving32;
	} else if (norm->adds) {
		sum = half ? sum_signed16 : sum_signed32;
		last = half ? differentiate_signed16 : differentiate_signed32;
	} else if (norm->bends) {
		sum = half ? sum_gated16 : sum_gated32;
		last = half ? differentiate_gated16 : differentiate_gated32;
	}
	hl_vector_run(sum, &work.task, work.task.shards, 1, norm->node.threads);
	hl_norm_conclude(norm, call, &work);
	if (!call->din[0])
		return;
	if (leaves)
		work.task.b = call->din[1]->data;
	work.task.out = call->din[0]->data;
	run_tiles(norm, &work, last);
}

/* ---- which chain ---- */

bool hl_norm_read(const struct hl_compile *request, struct hl_norm *norm)
{
	int32_t at = 0;

	*norm = (struct hl_norm){.node = norm->node, .below = 1.0F, .keep = ~0U, .out = request->shapes->out};
	if (at < request->links && strcmp(request->link[at].op->name, "add") == 0) {
		norm->adds = true;
		at++;
	}
	if (at < request->links && strcmp(request->link[at].op->name, "relu") == 0) {
		norm->bends = true;
		norm->keep = 0;
		at++;
	} else if (at < request->links && strcmp(request->link[at].op->name, "leakyrelu") == 0) {
		const struct hl_leakyrelu_options *options = request->link[at].options;
		norm->bends = true;
		norm->below = (float)options->slope;
		at++;
	}
	if (at < request->links && strcmp(request->link[at].op->name, "maxpool") == 0) {
		norm->pools = true;
		norm->window = hl_pool_window(request->link[at].options, request->shapes->spatial);
		norm->out = request->link[at].shapes->out;
		at++;
	}
	return at == request->links;
}

enum hilum_status hl_vector_batchnorm(const struct hl_compile *request, struct hl_norm *norm)
{
	struct hl_primitive *primitive = &norm->node.primitive;

	if (!hl_norm_read(request, norm))
		return HILUM_ERROR_UNSUPPORTED;
	primitive->scratch = hl_norm_scratch(request->shapes->in[0]);
	primitive->keeps_input = true;
	primitive->keeps_output = norm->adds;
	primitive->in_place_gradient = true;
	if (norm->pools)
		return hl_norm_pooled(request, norm);
	primitive->forward = forward;
	primitive->backward = backward;
	primitive->in_place = !request->training;
	primitive->saved = request->training ? 2 * (size_t)request->shapes->in[0].c * sizeof(float) : 0;
	return HILUM_OK;
}
