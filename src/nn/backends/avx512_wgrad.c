/* How the weight gradient is cut up for AVX-512.
 *
 * Both types become 32-bit values: floats as they are, bfloat16 in pairs that one instruction multiplies and adds
 * (vdpbf16ps). A pair is two images, so that every tap, stride and padding falls on whole values; where the number of
 * images is odd it is two neighbouring rows. A row of such values is a line; lines are numbered over units (images or
 * pairs of them), depth and height.
 *
 * A task is one shard of the lines, one block of up to 64 outputs and one part of the input channels. It takes a chunk
 * of lines at a time, small enough for the second-level cache, packs what must be packed, and fetches the next chunk's
 * memory while it multiplies. Within a chunk a tile of 64 outputs by 6 inputs (or 32 by 12) goes over one group of
 * places after another, with all taps, so that group and sums stay in the first-level cache. With one or two taps the
 * group goes over all tiles instead ("across").
 *
 * Places are added one by one in the order in which they lie: chunks, groups and parts change nothing in the result,
 * and so may depend on the number of threads. Shards do not. */
#include "nn/backends/avx512_wgrad.h"
#include "base/cpu.h"
#include "nn/backends/amx_tiles.h"
#include "nn/backends/wgrad_kernels.h"
#include <omp.h>
#include <string.h>

#if defined(__x86_64__)

#define LANES HL_WGRAD_LANES
#define JOINT_BELOW 6 /* channels, below which the taps of a row and the channels are one run */

#define CHUNK_BYTES ((int64_t)320 << 10) /* of what is packed at once, and likewise of what is fetched ahead */
#define GROUP_PLACES 80                  /* whose gradient (64 outputs) takes less than half of the first-level cache */
#define SUMS_BYTES ((int64_t)512 << 10)  /* of a part */
#define SHARDS 16                        /* at most, over all blocks */
#define SHARD_PLACES 1024                /* fewer are not worth sums of their own */
#define TASKS 3                          /* for each thread */

/* ---- sizes ---- */

static int64_t lines_of(const struct hl_wgrad *g)
{
	return g->avx512.units * g->out.d * g->avx512.lines;
}

/* Outputs with those that fill up the last vector. */
static int64_t outputs_of(const struct hl_wgrad *g)
{
	return hl_wgrad_pieces(g->out.c, LANES) * LANES;
}

static int64_t block_outputs(const struct hl_wgrad *g, int64_t block)
{
	return hl_wgrad_least(HL_WGRAD_BLOCK, outputs_of(g) - block * HL_WGRAD_BLOCK);
}

static int64_t part_begin(const struct hl_wgrad *g, int64_t part)
{
	return g->avx512.run * part / g->avx512.parts;
}

static int64_t tiles_of(const struct hl_wgrad *g, int64_t length, int64_t outputs)
{
	return hl_wgrad_pieces(length, g->avx512.tiles ? HL_WGRAD_TILED : hl_wgrad_tile_max[outputs / LANES]);
}

/* ---- memory ---- */

struct memory {
	float *sums;  /* shard, block, part, tile, tap, input, output; with one shard a thread's own */
	double *bias; /* shard, output */
	char *workspaces;
	size_t workspace;
};

static size_t align(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

/* Cuts memory from base (NULL: counts only) and returns what is used. */
static char *cut(char *base, size_t *at, size_t bytes)
{
	char *here = base ? base + *at : NULL;

	*at += align(bytes);
	return here;
}

static size_t lay_workspace(const struct hl_wgrad *g, char *base, struct hl_wgrad_workspace *w)
{
	const struct hl_wgrad_avx512 *v = &g->avx512;
	size_t at = 0, taps = (size_t)hl_wgrad_row_taps_of(g), chunk = (size_t)v->chunk;
	size_t taps_all = (size_t)hl_wgrad_taps_of(g), part = (size_t)hl_wgrad_pieces(v->run, v->parts);
	size_t tiles = (size_t)tiles_of(g, (int64_t)part, HL_WGRAD_BLOCK);

	w->in = (float *)(void *)cut(base, &at,
	                             v->pack_in ? (size_t)(v->rows * v->row + HL_WGRAD_TILED) * sizeof(float) : 0);
	w->dout =
	    (float *)(void *)cut(base, &at, v->pack_out ? chunk * (size_t)hl_wgrad_left_of(g) * sizeof(float) : 0);
	w->plain = (float *)(void *)cut(
	    base, &at, v->tiles ? (size_t)(v->split * g->out.w * HL_WGRAD_BLOCK + LANES) * sizeof(float) : 0);
	w->tiles = (float *)(void *)cut(
	    base, &at, v->tiles ? tiles * taps_all * HL_WGRAD_BLOCK * HL_WGRAD_TILED * sizeof(float) : 0);
	w->registers = (struct hl_amx_registers *)(void *)cut(base, &at, v->emulated ? sizeof *w->registers : 0);
	w->sums = (float *)(void *)cut(
	    base, &at, v->shards > 1 ? 0 : part * (size_t)hl_wgrad_taps_of(g) * HL_WGRAD_BLOCK * sizeof(float));
	w->line = (struct hl_wgrad_line *)(void *)cut(base, &at, taps * chunk * sizeof *w->line);
	w->before = (int64_t *)(void *)cut(base, &at, taps * (chunk + 1) * sizeof *w->before);
	w->packed = (bool *)(void *)cut(base, &at, (size_t)v->rows * sizeof *w->packed);
	w->range = (struct hl_wgrad_range *)(void *)cut(base, &at, (size_t)g->window.size.w * sizeof *w->range);
	w->tile = (struct hl_wgrad_tile_place *)(void *)cut(base, &at, tiles * sizeof *w->tile);
	w->ahead = (const char **)(void *)cut(base, &at, chunk * (size_t)hl_wgrad_ahead_of_line(g) * sizeof *w->ahead);
	return at;
}

static size_t lay_out(const struct hl_wgrad *g, char *base, struct memory *m)
{
	size_t at = 0, outputs = (size_t)outputs_of(g), shards = (size_t)g->avx512.shards;
	size_t sums = shards > 1 ? shards * outputs * (size_t)(g->avx512.run * hl_wgrad_taps_of(g)) * sizeof(float) : 0;
	struct hl_wgrad_workspace w;

	m->sums = (float *)(void *)cut(base, &at, sums);
	m->bias = (double *)(void *)cut(base, &at, shards * outputs * sizeof(double));
	m->workspace = lay_workspace(g, NULL, &w);
	m->workspaces = cut(base, &at, m->workspace * (size_t)g->threads);
	return at;
}

/* ---- planning ---- */

static void plan_values(struct hl_wgrad *g)
{
	struct hl_wgrad_avx512 *v = &g->avx512;
	const struct hl_window *window = &g->window;
	bool rows;
	int64_t last;

	v->tiles = g->kernel == HL_WGRAD_AMX;
	v->emulated = v->tiles && hl_cpu_describe().amx_emulated;
	v->split = v->tiles && g->type == HL_F32 ? 2 : 1;
	v->pairs = v->tiles || (g->type == HL_BF16 && g->kernel == HL_WGRAD_AVX512_BF16);
	rows = v->pairs && g->in.n % 2 == 1;
	v->next_image = v->pairs && !rows;
	v->next_row = rows ? window->stride.h : 0;
	v->units = v->next_image ? g->in.n / 2 : g->in.n;
	v->lines = rows ? hl_wgrad_pieces(g->out.h, 2) : g->out.h;
	v->step = window->stride.h * (rows ? 2 : 1);
	v->joint = g->in.c < JOINT_BELOW && window->dilation.w == 1 && window->size.w > 1;
	v->square = v->joint && !v->tiles && g->in.c == 1 && window->size.w == 3 && window->size.h == 3 &&
	            window->dilation.h <= 2 && g->out.c <= 2 * LANES;
	v->joined = !v->joint ? 1 : window->size.w * (v->square ? window->size.h : 1);
	v->run = v->joined * g->in.c;
	v->pack_in = v->joint || v->tiles || g->type == HL_BF16;
	/* Packed, a gradient is read again from neighbouring addresses; that must be often to pay. */
	v->pack_out = v->tiles || g->type == HL_BF16 || v->run * hl_wgrad_taps_of(g) > 2 * HL_WGRAD_BLOCK;
	v->across = v->tiles || hl_wgrad_taps_of(g) <= 2;
	/* A filter of one column passes over columns of the input. */
	v->skip = v->pack_in && !v->tiles && window->size.w == 1 && window->pad.w == 0 ? window->stride.w : 1;
	v->columns = v->joint || v->tiles ? g->in.w + 2 * window->pad.w : hl_wgrad_pieces(g->in.w, v->skip);
	/* The last 16 places of a tile are read whole; what lies there meets zeros, and so must be numbers. */
	last = (hl_wgrad_pieces(g->out.w, LANES) * LANES - 1) * window->stride.w +
	       (window->size.w - 1) * window->dilation.w + 1;
	if (v->tiles && v->columns < last)
		v->columns = last;
}

/* Lines a chunk, and what follows from that. */
static void plan_chunk(struct hl_wgrad *g)
{
	struct hl_wgrad_avx512 *v = &g->avx512;
	const struct hl_window *window = &g->window;
	int64_t channels = v->joint ? g->in.c : hl_wgrad_pieces(v->run, v->parts),
	        limit = hl_wgrad_pieces(lines_of(g), v->shards);
	int64_t line_bytes = hl_wgrad_left_of(g) * (int64_t)sizeof(float), row_bytes, overlap, length, slices;
	bool shared;

	/* Places a power of two apart would share few sets of the cache. */
	v->place = channels < 2 * LANES ? channels : (hl_wgrad_pieces(channels, LANES) | 1) * LANES;
	if (!v->pack_in)
		v->place = g->in.c;
	v->part = v->columns * v->place + LANES;
	v->row = v->part * v->split;
	row_bytes = v->row * (int64_t)sizeof(float) * window->size.d;
	overlap = hl_wgrad_most(0, (window->size.h - 1) * window->dilation.h + 1 - v->step);
	v->chunk = hl_wgrad_most((CHUNK_BYTES - overlap * row_bytes) / (line_bytes + v->step * row_bytes),
	                         CHUNK_BYTES / (line_bytes + window->size.h * row_bytes));
	v->chunk = hl_wgrad_most(1, hl_wgrad_least(limit, v->chunk));
	if (v->chunk > v->lines)
		v->chunk -= v->chunk % v->lines;
	else
		v->chunk = hl_wgrad_pieces(v->lines, hl_wgrad_pieces(v->lines, v->chunk));
	/* The most slices that it can touch, each with rows of its own. */
	slices = (v->chunk + v->lines - 2) / v->lines + 1;
	length = hl_wgrad_least(v->chunk, v->lines);
	v->rows = window->size.d * slices * hl_wgrad_rows_of(g, length, &shared);
}

bool hl_wgrad_avx512_plan(struct hl_wgrad *g)
{
	struct hl_wgrad_avx512 *v = &g->avx512;
	struct memory memory;
	int64_t places, group = GROUP_PLACES;

	plan_values(g);
	v->blocks = hl_wgrad_pieces(g->out.c, HL_WGRAD_BLOCK);
	places = lines_of(g) * g->out.w;
	v->shards = hl_wgrad_most(
	    1, hl_wgrad_least(hl_wgrad_least(hl_wgrad_pieces(SHARDS, v->blocks), places / SHARD_PLACES), lines_of(g)));
	v->parts = 1;
	while (v->run / v->parts >= (v->tiles ? 2 * HL_WGRAD_TILED : 2 * LANES) &&
	       (v->shards * v->blocks * v->parts < (g->threads > 1 ? TASKS * g->threads : 1) ||
	        hl_wgrad_pieces(v->run, v->parts) * hl_wgrad_taps_of(g) * HL_WGRAD_BLOCK * (int64_t)sizeof(float) >
	            SUMS_BYTES))
		v->parts += v->tiles ? v->parts : 1;
	plan_chunk(g);
	v->group_places = hl_wgrad_pieces(g->out.w, hl_wgrad_pieces(g->out.w, group));
	v->group_lines = hl_wgrad_most(1, group / g->out.w);
	g->scratch = lay_out(g, NULL, &memory);
	return true;
}

/* ---- a task ---- */

/* ---- multiplying ---- */

static void set_ranges(const struct hl_wgrad_task *t)
{
	const struct hl_wgrad *g = t->g;

	for (int64_t kw = 0; kw < g->window.size.w; kw++) {
		int64_t shift = kw * g->window.dilation.w - g->window.pad.w, stride = g->window.stride.w;
		struct hl_wgrad_range *range = &t->w.range[kw];
		*range = (struct hl_wgrad_range){0, g->out.w};
		if (g->avx512.joint)
			continue;
		range->begin = shift < 0 ? hl_wgrad_pieces(-shift, stride) : 0;
		range->end = shift < g->in.w ? hl_wgrad_least(g->out.w, (g->in.w - 1 - shift) / stride + 1) : 0;
	}
}

static void set_tiles(struct hl_wgrad_task *t)
{
	int64_t length = t->to - t->from;

	t->tiles = tiles_of(t->g, length, t->outputs);
	for (int64_t k = 0; k < t->tiles; k++) {
		int64_t from = length * k / t->tiles, to = length * (k + 1) / t->tiles;
		int vectors = (int)(t->outputs / LANES);
		hl_wgrad_tile *run = t->g->avx512.tiles    ? NULL
		                     : t->g->avx512.square ? hl_wgrad_square_for(t->g->avx512.pairs, vectors)
		                                           : hl_wgrad_tile_for(t->g->avx512.pairs, vectors, to - from);
		t->w.tile[k] = (struct hl_wgrad_tile_place){from, to, run};
	}
}

/* One tile, one group of places, all taps. */
static void add_group(struct hl_wgrad_task *t, const struct hl_wgrad_tile_place *tile, int64_t line, int64_t end,
                      int64_t place)
{
	const struct hl_wgrad *g = t->g;
	const struct hl_wgrad_avx512 *v = &g->avx512;
	int64_t taps = hl_wgrad_row_taps_of(g), columns = v->joint ? 1 : g->window.size.w;
	struct hl_wgrad_rows rows = {.step = v->place * (v->skip > 1 ? 1 : g->window.stride.w),
	                             .below = g->window.dilation.h * v->row,
	                             .width = hl_wgrad_output_width(t),
	                             .mask = hl_wgrad_last_mask(t),
	                             .sums = t->sums + tile->from * taps * columns * t->outputs};

	for (int64_t tap = 0; tap < taps; tap++) {
		const int64_t *before = t->w.before + tap * (v->chunk + 1);
		rows.line = t->w.line + tap * v->chunk + before[line];
		rows.lines = before[end] - before[line];
		for (int64_t kw = 0; kw < columns; kw++, rows.sums += (tile->to - tile->from) * t->outputs) {
			rows.shift = tile->from;
			if (!v->joint)
				rows.shift += (kw * g->window.dilation.w - g->window.pad.w) * v->place;
			rows.begin = hl_wgrad_most(place, t->w.range[kw].begin);
			rows.end = hl_wgrad_least(place + v->group_places, t->w.range[kw].end);
			if (rows.begin >= rows.end || rows.lines == 0)
				continue;
			rows.ahead = t->w.ahead + t->fetched;
			rows.fetch = hl_wgrad_least(t->pace, t->ahead - t->fetched);
			tile->run(&rows);
			t->fetched += rows.fetch;
		}
	}
}

static void multiply(struct hl_wgrad_task *t, int64_t lines)
{
	const struct hl_wgrad_avx512 *v = &t->g->avx512;
	int64_t groups_across = hl_wgrad_pieces(t->g->out.w, v->group_places);
	int64_t groups = hl_wgrad_pieces(lines, v->group_lines) * groups_across;
	int64_t outer = v->across ? groups : t->tiles, inner = v->across ? t->tiles : groups;

	if (v->tiles) {
		hl_amx_multiply(t, lines);
		return;
	}
	t->pace = hl_wgrad_pieces(t->ahead, t->tiles * groups * hl_wgrad_taps_of(t->g));
	for (int64_t a = 0; a < outer; a++)
		for (int64_t b = 0; b < inner; b++) {
			int64_t tile = v->across ? b : a, group = v->across ? a : b;
			int64_t line = group / groups_across * v->group_lines;
			add_group(t, t->w.tile + tile, line, hl_wgrad_least(line + v->group_lines, lines),
			          group % groups_across * v->group_places);
		}
}

/* ---- the whole ---- */

static void place_task(struct hl_wgrad_task *t, int64_t index)
{
	const struct hl_wgrad *g = t->g;
	const struct hl_wgrad_avx512 *v = &g->avx512;

	t->part = index % v->parts;
	t->block = index / v->parts % v->blocks;
	t->shard = index / v->parts / v->blocks;
	t->from = part_begin(g, t->part);
	t->to = part_begin(g, t->part + 1);
	t->outputs = block_outputs(g, t->block);
	t->present = hl_wgrad_least(t->outputs, g->out.c - t->block * HL_WGRAD_BLOCK);
}

static float *sums_of(const struct hl_wgrad_task *t, const struct memory *m)
{
	const struct hl_wgrad *g = t->g;

	return m->sums +
	       ((t->shard * outputs_of(g) + t->block * HL_WGRAD_BLOCK) * g->avx512.run + t->from * t->outputs) *
	           hl_wgrad_taps_of(g);
}

/* Writes LANES outputs of a task's block and part, from o on, in PyTorch's order: input, tap. */
static void write_outputs(const struct hl_wgrad_task *t, const float *sums, int64_t o, float *dweight)
{
	const struct hl_wgrad *g = t->g;
	bool joint = g->avx512.joint;
	int64_t taps = g->window.size.d * g->window.size.h * g->window.size.w, sets = hl_wgrad_taps_of(g);
	int64_t length = t->to - t->from, tiles = tiles_of(g, length, t->outputs), stride = g->in.c * taps;
	int64_t channels = joint ? g->in.c : length, distance = outputs_of(g) * g->avx512.run * sets;
	int64_t present = hl_wgrad_least(LANES, t->present - o);
	const float *row[LANES], *first = NULL;
	int64_t apart = 0;
	int rows = 0;
	float *out = dweight + (t->block * HL_WGRAD_BLOCK + o) * stride + (joint ? 0 : t->from * taps);

	for (int64_t c = 0; c < channels; c++)
		for (int64_t tap = 0; tap < taps; tap++) {
			int64_t set = tap / g->avx512.joined;
			if (joint || tap == 0) {
				int64_t value = tap % g->avx512.joined * g->in.c + c;
				int64_t tile = ((value + 1) * tiles - 1) / length, from = length * tile / tiles;
				apart = (length * (tile + 1) / tiles - from) * t->outputs;
				first = sums + (from * sets + value - from) * t->outputs + o;
			}
			row[rows++] = first + set * apart;
			if (rows < LANES && (c + 1 < channels || tap + 1 < taps))
				continue;
			hl_wgrad_write(row, rows, g->avx512.shards, distance, present, out, stride);
			out += rows;
			rows = 0;
		}
}

static void run_task(const struct hl_wgrad *g, const struct memory *m, const void *in, const void *dout, int64_t index,
                     float *dweight, bool bias)
{
	struct hl_wgrad_task t = {.g = g, .in = in, .dout = dout};
	int64_t lines = lines_of(g), begin, end;

	place_task(&t, index);
	lay_workspace(g, m->workspaces + (size_t)omp_get_thread_num() * m->workspace, &t.w);
	set_ranges(&t);
	set_tiles(&t);
	t.sums = g->avx512.shards > 1 ? sums_of(&t, m) : t.w.sums;
	if (g->avx512.tiles)
		hl_amx_begin(&t);
	else
		memset(t.sums, 0, (size_t)((t.to - t.from) * hl_wgrad_taps_of(g) * t.outputs) * sizeof *t.sums);
	if (bias && t.part == 0) {
		t.bias = m->bias + t.shard * outputs_of(g) + t.block * HL_WGRAD_BLOCK;
		memset(t.bias, 0, (size_t)t.outputs * sizeof *t.bias);
	}
	begin = lines * t.shard / g->avx512.shards;
	end = lines * (t.shard + 1) / g->avx512.shards;
	for (int64_t next; begin < end; begin = next) {
		next = hl_wgrad_least(begin + g->avx512.chunk, end);
		hl_wgrad_gather(&t, begin, next);
		if (!g->avx512.across)
			hl_wgrad_foresee(&t, next, hl_wgrad_least(next + g->avx512.chunk, end));
		multiply(&t, next - begin);
	}
	if (g->avx512.tiles)
		hl_amx_end(&t);
	if (g->avx512.shards == 1)
		for (int64_t o = 0; o < t.present; o += LANES)
			write_outputs(&t, t.sums, o, dweight);
}

static void write_all(const struct hl_wgrad *g, const struct memory *m, int64_t index, float *dweight)
{
	struct hl_wgrad_task t = {.g = g};
	int64_t vector = index % HL_WGRAD_VECTORS;

	place_task(&t, index / HL_WGRAD_VECTORS);
	if (vector * LANES < t.present)
		write_outputs(&t, sums_of(&t, m), vector * LANES, dweight);
}

void hl_wgrad_avx512_run(const struct hl_wgrad *g, const void *in, const void *dout, float *dweight, float *dbias,
                         void *scratch)
{
	const struct hl_wgrad_avx512 *v = &g->avx512;
	int64_t tasks = v->shards * v->blocks * v->parts;
	struct memory m;

	lay_out(g, scratch, &m);
#pragma omp parallel num_threads(g->threads)
	{
#pragma omp for schedule(dynamic)
		for (int64_t k = 0; k < tasks; k++)
			run_task(g, &m, in, dout, k, dweight, dbias != NULL);
		if (v->shards > 1) {
#pragma omp for schedule(static)
			for (int64_t k = 0; k < v->blocks * v->parts * HL_WGRAD_VECTORS; k++)
				write_all(g, &m, k, dweight);
		}
	}
	for (int64_t o = 0; dbias && o < g->out.c; o++) {
		double sum = 0.0;
		for (int64_t shard = 0; shard < v->shards; shard++)
			sum += m.bias[shard * outputs_of(g) + o];
		dbias[o] = (float)sum;
	}
}
#endif
