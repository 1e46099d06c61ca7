/* The weight gradient for processors with AVX2 but no AVX-512. There oneDNN's takes twice as long on channels-last
 * data, and on its own formats sums in an order that depends on threads. GFLOP/s of one Zen 3 core, 3x3 (oneDNN
 * channels-last; blocked with its reorders): 32 to 64 channels, 128x128: 64 (37; 65), 64 to 128, 64x64: 70 (47; 68), 1
 * to 32, 256x256: 13 (9; 5), 3 to 32: 31 (11; 27).
 *
 * Input and gradient are repacked, a few images at a time, so that a tile of 16 outputs by up to 6 inputs stays in
 * registers over many places. Tiles are independent of each other, so the result does not depend on threads. */
#include "nn/backends/vector.h"
#include "nn/backends/wgrad_kernels.h"
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define OUTPUTS 16                    /* of a tile: two registers of eight */
#define INPUTS_MAX 6                  /* of a tile: twelve of the sixteen registers hold sums */
#define ROW_PLACES 256                /* places summed before the sums go to memory: 16 KiB of packed gradient */
#define CHUNK_BYTES ((size_t)6 << 20) /* of packed data, to stay in the last-level cache */
#define TASKS_MIN 32                  /* fewer than these and rows are divided too */

/* ---- what a tile is ---- */

/* Sums over places of 16 outputs by count values at offset of the packed input. */
struct tile {
	int64_t offset;
	int count;
	int64_t input, tap; /* the first value's; the others follow */
};

/* Padded sizes of the input. */
static struct hl_axes padded(const struct hl_wgrad *g)
{
	return (struct hl_axes){g->in.d + 2 * g->window.pad.d, g->in.h + 2 * g->window.pad.h,
	                        g->in.w + 2 * g->window.pad.w};
}

static int64_t image_floats(const struct hl_wgrad *g)
{
	struct hl_axes size = padded(g);

	return size.d * size.h * size.w * g->avx2.step;
}

/* Tiles that read the same rows of the same block follow each other: one group for each (block, tap d, tap h). */
static int64_t group_tiles(const struct hl_wgrad *g)
{
	int64_t run = g->window.size.w * g->avx2.step;

	return g->avx2.joint ? (run + INPUTS_MAX - 1) / INPUTS_MAX : g->window.size.w;
}

static int64_t groups_of(const struct hl_wgrad *g)
{
	return g->avx2.blocks * g->window.size.d * g->window.size.h;
}

static struct tile tile_of(const struct hl_wgrad *g, int64_t group, int64_t number)
{
	const struct hl_window *v = &g->window;
	struct hl_axes size = padded(g);
	int64_t h = group % v->size.h, d = group / v->size.h % v->size.d, block = group / v->size.h / v->size.d;
	int64_t row = block * g->avx2.images * image_floats(g) +
	              (d * v->dilation.d * size.h + h * v->dilation.h) * size.w * g->avx2.step;
	int64_t tap = (d * v->size.h + h) * v->size.w;
	struct tile tile;

	if (g->avx2.joint) {
		int64_t run = v->size.w * g->avx2.step, tiles = group_tiles(g);
		int64_t from = run * number / tiles, to = run * (number + 1) / tiles;
		tile = (struct tile){row + from, (int)(to - from), from % g->avx2.step, tap + from / g->avx2.step};
	} else {
		int64_t first = block * g->avx2.step, left = g->in.c - first;
		tile = (struct tile){row + number * v->dilation.w * g->avx2.step,
		                     (int)(left < g->avx2.step ? left : g->avx2.step), first, tap + number};
	}
	return tile;
}

/* ---- the kernel ---- */

/* One row: sums[i][o] += x[w][i] dy[w][o]. */
#define HL_TARGET __attribute__((target("avx2,fma")))

HL_TARGET static inline __attribute__((always_inline)) void kernel(const int count, const float *x, int64_t step,
                                                                   const float *dy, int64_t width, const int64_t *rows,
                                                                   int64_t begin, int64_t end, float *sums)
{
	__m256 low[INPUTS_MAX], high[INPUTS_MAX];

#pragma GCC unroll 6
	for (int i = 0; i < count; i++) {
		low[i] = _mm256_loadu_ps(sums + i * OUTPUTS);
		high[i] = _mm256_loadu_ps(sums + i * OUTPUTS + 8);
	}
	for (int64_t row = begin; row < end; row++) {
		const float *a = x + rows[row], *b = dy + row * width * OUTPUTS;
		for (int64_t w = 0; w < width; w++, a += step, b += OUTPUTS) {
			__m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
			for (int i = 0; i < count; i++) {
				__m256 value = _mm256_broadcast_ss(a + i);
				low[i] = _mm256_fmadd_ps(value, b0, low[i]);
				high[i] = _mm256_fmadd_ps(value, b1, high[i]);
			}
		}
	}
#pragma GCC unroll 6
	for (int i = 0; i < count; i++) {
		_mm256_storeu_ps(sums + i * OUTPUTS, low[i]);
		_mm256_storeu_ps(sums + i * OUTPUTS + 8, high[i]);
	}
}

HL_TARGET static void tile_rows(int count, const float *x, int64_t step, const float *dy, int64_t width,
                                const int64_t *rows, int64_t begin, int64_t end, float *sums)
{
	switch (count) {
	case 1:
		kernel(1, x, step, dy, width, rows, begin, end, sums);
		break;
	case 2:
		kernel(2, x, step, dy, width, rows, begin, end, sums);
		break;
	case 3:
		kernel(3, x, step, dy, width, rows, begin, end, sums);
		break;
	case 4:
		kernel(4, x, step, dy, width, rows, begin, end, sums);
		break;
	case 5:
		kernel(5, x, step, dy, width, rows, begin, end, sums);
		break;
	default:
		kernel(6, x, step, dy, width, rows, begin, end, sums);
	}
}

/* ---- packing ---- */

/* A row of places with channels c0 .. c0+count of c into step floats a place; the rest zero. */
HL_VECTOR_INLINE void pack_places(const void *in, int64_t from, int64_t c, int64_t count, int64_t places,
                                  float *restrict out, const int64_t step, const bool half)
{
	if (count == step) {
		for (int64_t w = 0; w < places; w++)
			for (int64_t j = 0; j < step; j++)
				out[w * step + j] = hl_vector_load(in, from + w * c + j, half);
		return;
	}
	for (int64_t w = 0; w < places; w++)
		for (int64_t j = 0; j < step; j++)
			out[w * step + j] = j < count ? hl_vector_load(in, from + w * c + j, half) : 0.0F;
}

HL_VECTOR_INLINE void pack_steps(const void *in, int64_t from, int64_t c, int64_t count, int64_t places, float *out,
                                 int64_t step, const bool half)
{
	switch (step) {
	case 4:
		pack_places(in, from, c, count, places, out, 4, half);
		break;
	case 5:
		pack_places(in, from, c, count, places, out, 5, half);
		break;
	case 6:
		pack_places(in, from, c, count, places, out, 6, half);
		break;
	case OUTPUTS:
		pack_places(in, from, c, count, places, out, OUTPUTS, half);
		break;
	default:
		pack_places(in, from, c, count, places, out, step, half);
	}
}

static HL_VECTOR_CLONES void pack32(const void *in, int64_t from, int64_t c, int64_t count, int64_t places, float *out,
                                    int64_t step)
{
	pack_steps(in, from, c, count, places, out, step, false);
}

static HL_VECTOR_CLONES void pack16(const void *in, int64_t from, int64_t c, int64_t count, int64_t places, float *out,
                                    int64_t step)
{
	pack_steps(in, from, c, count, places, out, step, true);
}

/* One padded row (number row over images, depth and height) of the input, every block of it. */
static void pack_input_row(const struct hl_wgrad *g, const void *in, int64_t first, int64_t row, float *packed)
{
	const struct hl_axes *pad = &g->window.pad;
	struct hl_axes size = padded(g);
	int64_t h = row % size.h - pad->h, d = row / size.h % size.d - pad->d, image = row / size.h / size.d;
	int64_t from = (((first + image) * g->in.d + d) * g->in.h + h) * g->in.w * g->in.c;
	bool inside = h >= 0 && h < g->in.h && d >= 0 && d < g->in.d;

	for (int64_t block = 0; block < g->avx2.blocks; block++) {
		float *to = packed + block * g->avx2.images * image_floats(g) + row * size.w * g->avx2.step;
		int64_t c0 = block * g->avx2.step, left = g->in.c - c0;
		if (!inside) {
			memset(to, 0, (size_t)(size.w * g->avx2.step) * sizeof *to);
			continue;
		}
		memset(to, 0, (size_t)(pad->w * g->avx2.step) * sizeof *to);
		(g->type == HL_BF16 ? pack16 : pack32)(in, from + c0, g->in.c,
		                                       left < g->avx2.step ? left : g->avx2.step, g->in.w,
		                                       to + pad->w * g->avx2.step, g->avx2.step);
		memset(to + (pad->w + g->in.w) * g->avx2.step, 0, (size_t)(pad->w * g->avx2.step) * sizeof *to);
	}
}

static void pack_output_row(const struct hl_wgrad *g, const void *dout, int64_t first, int64_t row, int64_t rows,
                            float *packed)
{
	int64_t length = g->out.w * OUTPUTS;
	int64_t from = (first * g->out.d * g->out.h + row) * g->out.w * g->out.c;

	for (int64_t c0 = 0; c0 < g->out.c; c0 += OUTPUTS) {
		int64_t left = g->out.c - c0;
		(g->type == HL_BF16 ? pack16 : pack32)(dout, from + c0, g->out.c, left < OUTPUTS ? left : OUTPUTS,
		                                       g->out.w, packed + (c0 / OUTPUTS * rows + row) * length,
		                                       OUTPUTS);
	}
}

/* ---- the passes ---- */

struct places {
	float *in, *dout, *sums; /* sums: shard, block of outputs, group, tile, INPUTS_MAX, OUTPUTS */
	double *bias;
	int64_t *rows; /* where each row of outputs begins in the packed input */
};

static int64_t output_blocks(const struct hl_wgrad *g)
{
	return (g->out.c + OUTPUTS - 1) / OUTPUTS;
}

static size_t align(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

/* Lays scratch out from base (NULL: only the size). */
static size_t lay_out(const struct hl_wgrad *g, char *base, struct places *places)
{
	size_t at = 0, rows = (size_t)(g->avx2.images * g->out.d * g->out.h);
	size_t sizes[5] = {(size_t)(g->avx2.blocks * g->avx2.images * image_floats(g)) * sizeof(float),
	                   (size_t)output_blocks(g) * rows * (size_t)g->out.w * OUTPUTS * sizeof(float),
	                   (size_t)(g->avx2.shards * output_blocks(g) * g->avx2.tiles) * INPUTS_MAX * OUTPUTS *
	                       sizeof(float),
	                   (size_t)output_blocks(g) * OUTPUTS * sizeof(double), rows * sizeof(int64_t)};
	size_t offsets[5];

	for (int k = 0; k < 5; k++) {
		offsets[k] = at;
		at += align(sizes[k] + 64); /* kernels may read a little beyond a run */
	}
	if (base) {
		places->in = (float *)(void *)(base + offsets[0]);
		places->dout = (float *)(void *)(base + offsets[1]);
		places->sums = (float *)(void *)(base + offsets[2]);
		places->bias = (double *)(void *)(base + offsets[3]);
		places->rows = (int64_t *)(void *)(base + offsets[4]);
	}
	return at;
}

/* Cycles a place takes: a register's worth of sums each, and never fewer than the latency of one addition. */
static int64_t cost(int64_t channels, int64_t step)
{
	int64_t rest = channels % step;

	return channels / step * step + (rest == 0 ? 0 : rest < 4 ? 4 : rest);
}

static void choose_step(struct hl_wgrad *g)
{
	g->avx2.joint = g->in.c < INPUTS_MAX && g->window.dilation.w == 1;
	g->avx2.step = g->in.c;
	if (!g->avx2.joint && g->in.c > 4) {
		g->avx2.step = INPUTS_MAX;
		for (int64_t step = INPUTS_MAX - 1; step >= 4; step--)
			if (cost(g->in.c, step) < cost(g->in.c, g->avx2.step))
				g->avx2.step = step;
	}
	g->avx2.blocks = (g->in.c + g->avx2.step - 1) / g->avx2.step;
}

bool hl_wgrad_avx2_plan(struct hl_wgrad *g)
{
	int64_t tasks, bytes;

	choose_step(g);
	g->avx2.tiles = groups_of(g) * group_tiles(g);
	tasks = output_blocks(g) * groups_of(g);
	g->avx2.shards = tasks >= TASKS_MIN ? 1 : (TASKS_MIN + tasks - 1) / tasks;
	bytes = (g->avx2.blocks * image_floats(g) + output_blocks(g) * OUTPUTS * g->out.d * g->out.h * g->out.w) *
	        (int64_t)sizeof(float);
	g->avx2.images = (int64_t)CHUNK_BYTES / bytes;
	g->avx2.images = g->avx2.images < 1 ? 1 : g->avx2.images > g->in.n ? g->in.n : g->avx2.images;
	g->scratch = lay_out(g, NULL, NULL);
	return true;
}

/* Sums of one group of tiles over one shard of the rows. */
static void sum_group(const struct hl_wgrad *g, const struct places *places, int64_t task, int64_t rows)
{
	int64_t groups = groups_of(g), count = group_tiles(g), blocks = output_blocks(g);
	int64_t group = task % groups, block = task / groups % blocks, shard = task / groups / blocks;
	int64_t begin = rows * shard / g->avx2.shards, end = rows * (shard + 1) / g->avx2.shards;
	int64_t together = ROW_PLACES / g->out.w > 0 ? ROW_PLACES / g->out.w : 1;
	float *sums = places->sums + ((shard * blocks + block) * groups + group) * count * INPUTS_MAX * OUTPUTS;
	const float *dout = places->dout + block * rows * g->out.w * OUTPUTS;

	for (int64_t row = begin; row < end; row += together)
		for (int64_t number = 0; number < count; number++) {
			struct tile tile = tile_of(g, group, number);
			tile_rows(tile.count, places->in + tile.offset, g->avx2.step * g->window.stride.w, dout,
			          g->out.w, places->rows, row, row + together < end ? row + together : end,
			          sums + number * INPUTS_MAX * OUTPUTS);
		}
}

static HL_VECTOR_CLONES void sum_bias(const struct hl_wgrad *g, const struct places *places, int64_t block,
                                      int64_t rows)
{
	const float *dout = places->dout + block * rows * g->out.w * OUTPUTS;
	double *bias = places->bias + block * OUTPUTS;

	for (int64_t row = 0; row < rows; row++, dout += g->out.w * OUTPUTS) {
		float sum[OUTPUTS] = {0};
		for (int64_t w = 0; w < g->out.w; w++)
			for (int o = 0; o < OUTPUTS; o++)
				sum[o] += dout[w * OUTPUTS + o];
		for (int o = 0; o < OUTPUTS; o++)
			bias[o] += (double)sum[o];
	}
}

static void chunk(const struct hl_wgrad *g, const struct places *places, const void *in, const void *dout,
                  int64_t first, int64_t images, bool bias)
{
	struct hl_axes size = padded(g);
	int64_t rows = images * g->out.d * g->out.h, in_rows = images * size.d * size.h;
	int64_t tasks = g->avx2.shards * output_blocks(g) * groups_of(g);

#pragma omp parallel num_threads(g->threads)
	{
#pragma omp for schedule(static) nowait
		for (int64_t row = 0; row < in_rows; row++)
			pack_input_row(g, in, first, row, places->in);
#pragma omp for schedule(static) nowait
		for (int64_t row = 0; row < rows; row++) {
			int64_t h = row % g->out.h, d = row / g->out.h % g->out.d, image = row / g->out.h / g->out.d;
			places->rows[row] =
			    ((image * size.d + d * g->window.stride.d) * size.h + h * g->window.stride.h) * size.w *
			    g->avx2.step;
			pack_output_row(g, dout, first, row, rows, places->dout);
		}
#pragma omp barrier
#pragma omp for schedule(dynamic) nowait
		for (int64_t task = 0; task < tasks; task++)
			sum_group(g, places, task, rows);
		if (bias) {
#pragma omp for schedule(dynamic)
			for (int64_t block = 0; block < output_blocks(g); block++)
				sum_bias(g, places, block, rows);
		}
	}
}

/* Sums of shards, in order, to PyTorch's layout. */
static void scatter(const struct hl_wgrad *g, const struct places *places, int64_t group, float *dweight)
{
	int64_t groups = groups_of(g), count = group_tiles(g), blocks = output_blocks(g);
	int64_t taps = g->window.size.d * g->window.size.h * g->window.size.w;

	for (int64_t o = 0; o < g->out.c; o++)
		for (int64_t number = 0; number < count; number++) {
			struct tile tile = tile_of(g, group, number);
			for (int i = 0; i < tile.count; i++) {
				int64_t input = tile.input + i, tap = tile.tap;
				float sum = 0.0F;
				if (g->avx2.joint) {
					tap += input / g->avx2.step;
					input %= g->avx2.step;
				}
				for (int64_t shard = 0; shard < g->avx2.shards; shard++) {
					int64_t block = (shard * blocks + o / OUTPUTS) * groups + group;
					int64_t at = (block * count + number) * INPUTS_MAX + i;
					sum += places->sums[at * OUTPUTS + o % OUTPUTS];
				}
				dweight[(o * g->in.c + input) * taps + tap] = sum;
			}
		}
}

void hl_wgrad_avx2_run(const struct hl_wgrad *g, const void *in, const void *dout, float *dweight, float *dbias,
                       void *scratch)
{
	struct places places;

	lay_out(g, scratch, &places);
	memset(places.sums, 0,
	       (size_t)(g->avx2.shards * output_blocks(g) * g->avx2.tiles) * INPUTS_MAX * OUTPUTS * sizeof(float));
	memset(places.bias, 0, (size_t)output_blocks(g) * OUTPUTS * sizeof(double));
	for (int64_t first = 0; first < g->in.n; first += g->avx2.images) {
		int64_t left = g->in.n - first;
		chunk(g, &places, in, dout, first, left < g->avx2.images ? left : g->avx2.images, dbias != NULL);
	}
#pragma omp parallel for schedule(static) num_threads(g->threads)
	for (int64_t group = 0; group < groups_of(g); group++)
		scatter(g, &places, group, dweight);
	for (int64_t o = 0; dbias && o < g->out.c; o++)
		dbias[o] = (float)places.bias[o];
}
#endif
