/* Dense layers on AVX-512. Weights are most of what they read, and are used as they lie; for inference in bfloat16
 * prepare() makes a copy of half the size.
 *
 * The inputs are cut into shards fixed by the shapes, so that the result does not depend on threads: forward each shard
 * leaves sums that are added in order, backward shards are independent. */
#include "nn/backends/avx512_dense.h"
#include "base/cpu.h"
#include "base/memory.h"
#include "nn/backends/avx512.h"
#include <omp.h>
#include <string.h>

#if defined(__x86_64__)

#define LANES HL_DENSE_LANES
#define MATRIX_FROM 3                    /* samples; fewer are products of a matrix and a vector each */
#define PIECE 2048                       /* inputs that all outputs of a task are computed from before the next */
#define SHARDS 16                        /* that keep threads busy without cutting the outputs too */
#define PARTIAL_BYTES ((int64_t)4 << 20) /* of sums waiting to be added */
#define BACK_FLOATS 16384                /* of x, and of din, at a time */

struct dense {
	struct hl_primitive primitive;
	enum hl_type type;
	int32_t threads;
	bool bias, half; /* half: packed is multiplied as it is */
	int64_t batch, inputs, units;
	int64_t shards;        /* of inputs */
	int64_t blocks, block; /* of outputs, and outputs of one */
	int64_t piece, back;   /* inputs that are taken at once, forward and backward */
	uint16_t *packed;
	int64_t packed_row;
	size_t packed_bytes;
};

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t pieces(int64_t whole, int64_t part)
{
	return (whole + part - 1) / part;
}

/* Shards begin at whole vectors of either type. */
static int64_t shard_begin(const struct dense *dense, int64_t shard)
{
	int64_t vectors = pieces(dense->inputs, 2 * LANES);

	return least(vectors * shard / dense->shards * 2 * LANES, dense->inputs);
}

static const char *element(const struct hl_tensor *tensor, int64_t at)
{
	return (const char *)tensor->data + (size_t)at * hl_type_size(tensor->type);
}

/* ---- forward ---- */

/* bfloat16 must be widened, and many samples that lie a power of two apart would share few sets of a cache: then a
 * piece of them is copied. */
static bool copies(const struct dense *dense)
{
	return !dense->half && (dense->type == HL_BF16 || dense->batch > 8);
}

static int64_t copy_row(const struct dense *dense)
{
	return dense->piece + LANES;
}

/* HL_DENSE_UNITS rows of weights by all samples; while the second and later few samples are at work, the next rows are
 * fetched. */
static void forward_rows(const struct dense *dense, struct hl_dense_tile tile, bool more)
{
	int64_t parts = pieces(dense->batch, HL_DENSE_SAMPLES), row = tile.row, done = 0;
	const char *x = tile.x;
	float *out = tile.out;

	for (int64_t part = 0; part < parts; part++) {
		int64_t n = dense->batch * part / parts;
		tile.samples = dense->batch * (part + 1) / parts - n;
		tile.x = x + n * tile.x_bytes;
		tile.out = out + n * dense->units;
		tile.ahead = (HL_DENSE_UNITS + done) * row;
		tile.rows_ahead = part > 0 && more ? HL_DENSE_UNITS * part / (parts - 1) - done : 0;
		done += tile.rows_ahead;
		hl_dense_forward(&tile);
	}
}

static void forward_piece(const struct dense *dense, const struct hl_call *call, int64_t from, int64_t count,
                          int64_t first, int64_t last, float *copy, float *partial)
{
	int64_t size = dense->half ? sizeof(uint16_t) : sizeof(float);
	int64_t row = size * (dense->half ? dense->packed_row : dense->inputs);
	const char *weight = dense->half ? (const char *)(dense->packed + from) : (const char *)(call->param[0] + from);
	struct hl_dense_tile tile = {.half = dense->half,
	                             .x = element(call->in[0], from),
	                             .x_bytes = dense->inputs * size,
	                             .count = count,
	                             .out_step = dense->units};

	for (int64_t n = 0; copies(dense) && n < dense->batch; n++)
		hl_dense_widen(element(call->in[0], n * dense->inputs + from), dense->type, count,
		               copy + n * copy_row(dense), LANES);
	if (copies(dense)) {
		tile.x = copy;
		tile.x_bytes = copy_row(dense) * size;
	}
	for (int64_t o = first; o < last; o += tile.wanted) {
		/* Where there are fewer rows than a tile has, each is taken for all of one. */
		bool whole = o + HL_DENSE_UNITS <= last;
		tile.wanted = whole ? HL_DENSE_UNITS : 1;
		tile.row = whole ? row : 0;
		tile.weight = weight + o * row;
		tile.out = partial + o;
		forward_rows(dense, tile, o + 2 * HL_DENSE_UNITS <= last);
	}
}

static void forward_task(const struct dense *dense, const struct hl_call *call, int64_t task, float *copy,
                         float *partials)
{
	int64_t shard = task / dense->blocks, first = task % dense->blocks * dense->block;
	int64_t last = least(first + dense->block, dense->units);
	int64_t begin = shard_begin(dense, shard), end = shard_begin(dense, shard + 1);
	float *partial = partials + shard * dense->batch * dense->units;

	for (int64_t n = 0; n < dense->batch; n++)
		memset(partial + n * dense->units + first, 0, (size_t)(last - first) * sizeof *partial);
	for (int64_t from = begin; from < end; from += dense->piece)
		forward_piece(dense, call, from, least(dense->piece, end - from), first, last, copy, partial);
}

static size_t partial_floats(const struct dense *dense)
{
	return (size_t)(dense->shards * dense->batch * dense->units + LANES) / LANES * LANES;
}

static size_t copy_floats(const struct dense *dense)
{
	return copies(dense) ? (size_t)(dense->batch * copy_row(dense)) : 0;
}

static void forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct dense *dense = (const struct dense *)primitive;
	const float *bias = dense->bias ? call->param[1] : NULL;
	float *partials = call->scratch, *scratch = partials + partial_floats(dense);
	int64_t outputs = dense->batch * dense->units;

#pragma omp parallel for schedule(static) num_threads(dense->threads)
	for (int64_t task = 0; task < dense->shards * dense->blocks; task++)
		forward_task(dense, call, task, scratch + (size_t)omp_get_thread_num() * copy_floats(dense), partials);
	for (int64_t k = 0; k < outputs; k++) {
		float sum = bias ? bias[k % dense->units] : 0.0F;
		for (int64_t shard = 0; shard < dense->shards; shard++)
			sum += partials[shard * outputs + k];
		if (dense->type == HL_BF16)
			((uint16_t *)call->out->data)[k] = hl_bf16_from_f32(sum);
		else
			((float *)call->out->data)[k] = sum;
	}
}

/* Rows of whole vectors, the rest zero. */
static void prepare(struct hl_primitive *primitive, float *const *param)
{
	struct dense *dense = (struct dense *)primitive;

#pragma omp parallel for schedule(static) num_threads(dense->threads) if (dense->packed_bytes > 1 << 16)
	for (int64_t o = 0; o < dense->units; o++) {
		uint16_t *row = dense->packed + o * dense->packed_row;
		hl_dense_narrow(param[0] + o * dense->inputs, LANES, dense->inputs, row, HL_BF16);
	}
}

/* ---- backward ---- */

/* The gradient of the output for each group of rows: group, sample, row. */
static int64_t groups_of(const struct dense *dense)
{
	return pieces(dense->units, HL_DENSE_ROWS);
}

static size_t dout_floats(const struct dense *dense)
{
	return (size_t)(groups_of(dense) * dense->batch * HL_DENSE_ROWS + LANES) / LANES * LANES;
}

static void spread_output(const struct dense *dense, const struct hl_call *call, float *out)
{
	const void *dout = call->dout->data;

	for (int64_t group = 0; group < groups_of(dense); group++)
		for (int64_t n = 0; n < dense->batch; n++)
			for (int64_t k = 0; k < HL_DENSE_ROWS; k++) {
				int64_t o = group * HL_DENSE_ROWS + k, at = n * dense->units + o;
				float value = 0.0F;
				if (o < dense->units)
					value = dense->type == HL_BF16 ? hl_bf16_to_f32(((const uint16_t *)dout)[at])
					                               : ((const float *)dout)[at];
				*out++ = value;
			}
}

static void backward_piece(const struct dense *dense, const struct hl_call *call, int64_t piece, const float *dout,
                           float *x)
{
	int64_t from = piece * dense->back, count = least(dense->back, dense->inputs - from);
	int64_t step = dense->batch * LANES;
	float *din = x + dense->back * dense->batch;
	struct hl_dense_group group = {.samples = dense->batch, .row = dense->inputs, .count = count};

	if (call->dparam[0]) {
		group.x = x;
		for (int64_t n = 0; n < dense->batch; n++)
			hl_dense_widen(element(call->in[0], n * dense->inputs + from), dense->type, count,
			               x + n * LANES, step);
	}
	group.din = call->din[0] ? din : NULL;
	for (int64_t k = 0; k < groups_of(dense); k++) {
		int64_t o = k * HL_DENSE_ROWS;
		group.rows = least(HL_DENSE_ROWS, dense->units - o);
		group.dout = dout + k * dense->batch * HL_DENSE_ROWS;
		group.weight = call->param[0] + o * dense->inputs + from;
		group.dweight = call->dparam[0] ? call->dparam[0] + o * dense->inputs + from : NULL;
		group.first = k == 0;
		hl_dense_backward(&group);
	}
	for (int64_t n = 0; call->din[0] && n < dense->batch; n++)
		hl_dense_narrow(din + n * LANES, step, count,
		                (char *)call->din[0]->data +
		                    (size_t)(n * dense->inputs + from) * hl_type_size(dense->type),
		                dense->type);
}

static void backward_bias(const struct dense *dense, const float *dout, float *dbias)
{
	for (int64_t o = 0; o < dense->units; o++) {
		const float *at = dout + o / HL_DENSE_ROWS * dense->batch * HL_DENSE_ROWS + o % HL_DENSE_ROWS;
		double sum = 0.0;
		for (int64_t n = 0; n < dense->batch; n++)
			sum += (double)at[n * HL_DENSE_ROWS];
		dbias[o] = (float)sum;
	}
}

static void backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct dense *dense = (const struct dense *)primitive;
	float *dout = call->scratch, *x = dout + dout_floats(dense);

	spread_output(dense, call, dout);
	if (call->din[0] || call->dparam[0]) {
#pragma omp parallel for schedule(static) num_threads(dense->threads)
		for (int64_t piece = 0; piece < pieces(dense->inputs, dense->back); piece++)
			backward_piece(dense, call, piece, dout,
			               x + omp_get_thread_num() * 2 * dense->back * dense->batch);
	}
	if (dense->bias && call->dparam[1])
		backward_bias(dense, dout, call->dparam[1]);
}

/* ---- making ---- */

static void destroy(struct hl_primitive *primitive)
{
	struct dense *dense = (struct dense *)primitive;

	if (dense->packed)
		hl_block_free(dense->packed, dense->packed_bytes);
	hl_free(dense);
}

static void plan(struct dense *dense, const struct hl_compile *request)
{
	int64_t outputs = dense->batch * dense->units, fit = PARTIAL_BYTES / (int64_t)sizeof(float) / outputs;
	int64_t vectors = pieces(dense->inputs, LANES);
	size_t floats;

	dense->piece = PIECE;
	dense->shards = least(pieces(dense->inputs, PIECE), fit < 1 ? 1 : fit);
	dense->block = dense->shards < SHARDS ? 16 * HL_DENSE_UNITS : dense->units;
	if (dense->batch < MATRIX_FROM) {
		/* Long rows are read fastest. */
		dense->piece = vectors * LANES;
		dense->shards = 1;
		dense->block = 2 * HL_DENSE_UNITS;
	}
	dense->blocks = pieces(dense->units, dense->block);
	dense->back = least(BACK_FLOATS / dense->batch / LANES, vectors) * LANES;
	dense->back = dense->back < LANES ? LANES : dense->back;
	floats = partial_floats(dense) + (size_t)dense->threads * copy_floats(dense);
	dense->primitive.scratch = floats * sizeof(float);
	if (!request->training)
		return;
	floats = dout_floats(dense) + (size_t)(dense->threads * 2 * dense->back * dense->batch);
	if (floats * sizeof(float) > dense->primitive.scratch)
		dense->primitive.scratch = floats * sizeof(float);
}

static enum hilum_status make_packed(struct dense *dense, struct hilum_error *error)
{
	dense->packed_row = pieces(dense->inputs, 2 * LANES) * 2 * LANES;
	dense->packed_bytes = (size_t)(dense->units * dense->packed_row) * sizeof *dense->packed;
	dense->packed = hl_block_alloc(dense->packed_bytes);
	dense->primitive.prepare = prepare;
	return dense->packed ? HILUM_OK : hl_fail_memory(error, dense->packed_bytes, "packed weights");
}

enum hilum_status hl_avx512_dense(const struct hl_compile *request, struct hl_primitive **out,
                                  struct hilum_error *error)
{
	struct hl_cpu cpu = hl_cpu_describe();
	struct dense *dense;
	enum hilum_status status = HILUM_OK;

	if (request->links > 0 || !cpu.avx512)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "avx512: no dense layer of this kind");
	dense = hl_alloc(1, sizeof *dense);
	if (!dense)
		return hl_fail_memory(error, sizeof *dense, "a dense layer");
	*dense = (struct dense){
	    .primitive = {.backend = hl_backend_avx512.name,
	                  .forward = forward,
	                  .backward = backward,
	                  .destroy = destroy},
	    .type = request->type,
	    .threads = request->threads > 0 ? request->threads : 1,
	    .bias = request->shapes->params > 1,
	    .half = request->type == HL_BF16 && !request->training && cpu.bf16_pairs,
	    .batch = request->shapes->in[0].n,
	    .inputs = request->shapes->in[0].c,
	    .units = request->shapes->out.c,
	};
	plan(dense, request);
	if (dense->half)
		status = make_packed(dense, error);
	if (status)
		destroy(&dense->primitive);
	else
		*out = &dense->primitive;
	return status;
}
#endif
