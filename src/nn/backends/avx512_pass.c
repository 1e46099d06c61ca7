/* The walk over the places of a pass. */
#include "nn/backends/amx.h"
#include <immintrin.h>
#include <omp.h>
#include <string.h>

static struct hl_pass_place place_of(const struct hl_pass *pass, int64_t index)
{
	struct hl_pass_place place;

	for (int k = 2; k >= 0; k--) {
		place.at[k] = index % pass->axis[k].count;
		index /= pass->axis[k].count;
	}
	place.image = index;
	return place;
}

/* After axis 2 has been moved on: to the next row where this one has ended. */
static void carry(const struct hl_pass *pass, struct hl_pass_place *place)
{
	for (int k = 2; place->at[k] >= pass->axis[k].count; k--) {
		place->at[k] = 0;
		if (k == 0) {
			place->image++;
			return;
		}
		place->at[k - 1]++;
	}
}

static uintptr_t input_at(const struct hl_pass_walk *walk, const struct hl_pass_place *place)
{
	return hl_pass_at(&walk->pass->in, walk->in, place);
}

static char *output_at(const struct hl_pass_walk *walk, const struct hl_pass_place *place)
{
	return (char *)hl_pass_at(&walk->pass->out, walk->out, place);
}

struct hl_tile hl_pass_group_tile(const struct hl_pass *pass, int64_t group)
{
	int64_t begin = hl_pass_group(pass, group), blocks = hl_pass_group(pass, group + 1) - begin;
	int64_t lanes = pass->outputs - (begin + blocks - 1) * HL_TILE_LANES;

	return (struct hl_tile){.blocks = (int)blocks,
	                        .tap_bytes = hl_pass_tap_bytes(pass, blocks),
	                        .weights = pass->weights + begin * hl_pass_block_bytes(pass),
	                        .in_step = pass->in.axis[2],
	                        .out_step = pass->out.axis[2],
	                        .bias = pass->bias + begin * HL_TILE_LANES,
	                        .mask = lanes < HL_TILE_LANES ? (uint16_t)((1U << lanes) - 1) : 0xffff,
	                        .end = pass->end,
	                        .slope = pass->slope,
	                        .scale = pass->scale ? pass->scale + begin * HL_TILE_LANES : NULL,
	                        .add_scale = pass->int8 ? pass->int8->add : 0,
	                        .low = pass->int8 ? pass->int8->low : 0,
	                        .high = pass->int8 ? pass->int8->high : 0,
	                        .zero = pass->int8 ? pass->int8->out.zero : 0};
}

int64_t hl_pass_group_offset(const struct hl_pass *pass, int64_t group)
{
	return hl_pass_group(pass, group) * HL_TILE_LANES * hl_pass_size(pass);
}

/* ---- tiles that see padding, or more than one row ---- */

/* The places of a tile, each by itself. */
struct outer {
	int32_t at[3][16];    /* of the input */
	uintptr_t origin[16]; /* addresses */
};

HL_AVX512 static __mmask16 inside(const struct hl_pass *pass, const struct outer *outer, int axis, int64_t tap)
{
	const struct hl_pass_axis *a = &pass->axis[axis];
	__m512i offset = _mm512_set1_epi32((int32_t)(a->offset + tap * a->offset_step));
	__m512i at = _mm512_add_epi32(_mm512_loadu_si512(outer->at[axis]), offset);

	return _mm512_cmplt_epu32_mask(at, _mm512_set1_epi32((int32_t)a->in));
}

/* Addresses of a tap for the places in mask; zeros for the others. */
HL_AVX512 static void set_tap(const struct hl_pass_walk *walk, const struct outer *outer, __mmask16 mask, int64_t tap,
                              struct hl_tap *out)
{
	__m512i zeros = _mm512_set1_epi64((int64_t)(uintptr_t)walk->pass->zeros);
	__m512i offset = _mm512_set1_epi64((int64_t)walk->pass->inner[tap].place[0]);

	for (int half = 0; half < 2; half++) {
		__m512i at = _mm512_add_epi64(_mm512_loadu_si512(outer->origin + 8 * half), offset);
		_mm512_storeu_si512(out->place + 8 * half,
		                    _mm512_mask_mov_epi64(zeros, (__mmask8)(mask >> 8 * half), at));
	}
	out->weight = (uintptr_t)tap;
}

/* Addresses of each place of a tile; place is moved on. */
static void set_places(const struct hl_pass_walk *walk, struct hl_pass_place *place, int places, struct outer *outer,
                       char **out)
{
	const struct hl_pass *pass = walk->pass;

	memset(outer, 0, sizeof *outer);
	for (int m = 0; m < places; m++) {
		if (m == 0 || place->at[2] == 0) {
			outer->origin[m] = input_at(walk, place);
			out[m] = output_at(walk, place);
		} else {
			outer->origin[m] = outer->origin[m - 1] + (uintptr_t)pass->in.axis[2];
			out[m] = out[m - 1] + pass->out.axis[2];
		}
		for (int k = 0; k < 3; k++)
			outer->at[k][m] = (int32_t)(place->at[k] * pass->axis[k].step);
		place->at[2]++;
		carry(pass, place);
	}
}

/* The taps that have any input; returns how many. Of bytes whose zero is another, all: weights meet it in padding too.
 */
HL_AVX512 static int64_t outer_taps(const struct hl_pass_walk *walk, const struct outer *outer, int places)
{
	const struct hl_pass *pass = walk->pass;
	const struct hl_pass_axis *a = pass->axis;
	const bool every = pass->int8 && pass->int8->in.zero != 0;
	__mmask16 exist = (__mmask16)((1U << places) - 1);
	int64_t made = 0;

	for (int64_t d = 0; d < a[0].taps; d++) {
		__mmask16 slices = exist & inside(pass, outer, 0, d);
		for (int64_t h = 0; (slices || every) && h < a[1].taps; h++) {
			__mmask16 rows = slices & inside(pass, outer, 1, h);
			for (int64_t w = 0; (rows || every) && w < a[2].taps; w++) {
				__mmask16 mask = rows & inside(pass, outer, 2, w);
				int64_t tap = (d * a[1].taps + h) * a[2].taps + w;
				if (mask || every)
					set_tap(walk, outer, mask, tap, walk->tap + made++);
			}
		}
	}
	return made;
}

/* ---- lines of places ---- */

/* How many tiles from place on see no padding and stay in the row. */
static int64_t inner_tiles(const struct hl_pass *pass, const struct hl_pass_place *place, int places)
{
	for (int k = 0; k < 2; k++)
		if (place->at[k] < pass->from[k] || place->at[k] >= pass->to[k])
			return 0;
	return place->at[2] < pass->from[2] ? 0 : (pass->to[2] - place->at[2]) / places;
}

/* Runs a tile of places, and up to tiles - 1 more of that size behind it; returns how many it ran. */
static int64_t run_tiles(const struct hl_pass_walk *walk, struct hl_pass_place *place, int places, int64_t tiles,
                         struct hl_tile tile)
{
	const struct hl_pass *pass = walk->pass;
	int64_t inner = inner_tiles(pass, place, places);
	char *out[HL_TILE_PLACES];
	struct outer outer;

	tile.out = out;
	if (inner > 0) {
		tile.repeat = inner < tiles ? inner : tiles;
		out[0] = output_at(walk, place);
		tile.in += input_at(walk, place);
		tile.tap = pass->inner;
		tile.taps = pass->taps;
		place->at[2] += tile.repeat * places;
		carry(pass, place);
	} else {
		tile.repeat = 1;
		set_places(walk, place, places, &outer, out);
		tile.tap = walk->tap;
		tile.taps = outer_taps(walk, &outer, places);
	}
	hl_tile_find(pass->type, inner > 0, places, tile.blocks)(&tile);
	return tile.repeat;
}

/* Neighbours. Tiles differ by one place at most; the larger ones come first. */
static void run_line(const struct hl_pass_walk *walk, struct hl_pass_place *place, int64_t length, struct hl_tile *tile)
{
	int64_t tiles = hl_divide_up(length, hl_tile_places(tile->blocks)), larger = length % tiles;

	for (int64_t i = 0, ran; i < tiles; i += ran) {
		int places = (int)(length / tiles + (i < larger ? 1 : 0));
		ran = run_tiles(walk, place, places, (i < larger ? larger : tiles) - i, *tile);
		tile->sums += ran * places * tile->blocks * HL_TILE_LANES;
	}
}

/* Sets a tile to one slice of the input channels. */
static void set_slice(const struct hl_pass_walk *walk, int64_t slice, int64_t group, struct hl_tile *tile)
{
	const struct hl_pass *pass = walk->pass;
	int64_t each = hl_pass_unit(pass), most = pass->units * each, left = pass->run - slice * most;

	*tile = hl_pass_group_tile(pass, group);
	left = left < most ? left : most;
	tile->run = left / each * 4;
	tile->odd = (int)(left % each * hl_pass_size(pass));
	/* Bytes behind a copied run are there, and meet weights of zero. */
	if (pass->joint && pass->type == HL_U8 && tile->odd) {
		tile->run += 4;
		tile->odd = 0;
	}
	tile->first = slice == 0;
	tile->last = slice + 1 == pass->slices;
	tile->in = (uintptr_t)(slice * pass->units * 4);
	tile->weights += slice * pass->taps * tile->tap_bytes;
	tile->sums = walk->sums;
	tile->adds = pass->adds;
	tile->add = walk->add;
}

static void run_strip(struct hl_pass_walk walk, int64_t group, int64_t strip)
{
	const struct hl_pass *pass = walk.pass;
	int64_t all = hl_pass_places(pass), first = strip * pass->strip;
	int64_t length = all - first < pass->strip ? all - first : pass->strip;
	int64_t line = pass->by_rows ? pass->axis[2].count : length;
	struct hl_tile tile;

	walk.out += (uintptr_t)hl_pass_group_offset(pass, group);
	for (int64_t slice = 0; slice < pass->slices; slice++) {
		struct hl_pass_place place = place_of(pass, first);
		set_slice(&walk, slice, group, &tile);
		for (int64_t done = 0; done < length; done += line)
			run_line(&walk, &place, line < length - done ? line : length - done, &tile);
	}
}

/* Places that no tap reaches. */
static void clear_strip(const struct hl_pass_walk *walk, int64_t strip)
{
	const struct hl_pass *pass = walk->pass;
	int64_t all = hl_pass_places(pass), first = strip * pass->strip;
	int64_t left = all - first < pass->strip ? all - first : pass->strip;
	struct hl_pass_place place = place_of(pass, first);

	while (left > 0) {
		int64_t row = pass->axis[2].count - place.at[2], count = row < left ? row : left;
		char *out = output_at(walk, &place);
		for (int64_t i = 0; i < count; i++)
			memset(out + i * pass->out.axis[2], 0, (size_t)pass->out_bytes);
		left -= count;
		place.at[2] += count;
		carry(pass, &place);
	}
}

/* ---- boxes of rows ---- */

/* The places of a row from at on, of which some may lie outside. */
static void copy_row(const struct hl_pass *pass, const char *row, int64_t at, char *out)
{
	int64_t size = pass->axis[2].in, places = pass->copy_places, bytes = pass->in_bytes;
	int64_t before = at < 0 ? -at : 0, end = size - at < places ? size - at : places;

	before = before < places ? before : places;
	end = end > before ? end : before;
	memset(out, pass->zeros[0], (size_t)(before * bytes));
	memcpy(out + before * bytes, row + (at + before) * bytes, (size_t)((end - before) * bytes));
	memset(out + end * bytes, pass->zeros[0], (size_t)((places - end) * bytes));
}

void hl_pass_copy_rows(const struct hl_pass_walk *walk, const struct hl_pass_place *place, int64_t rows)
{
	const struct hl_pass *pass = walk->pass;
	const struct hl_pass_axis *a = pass->axis;
	int64_t bytes = pass->copy_places * pass->in_bytes,
	        seen = (rows - 1) * a[1].step + (a[1].taps - 1) * a[1].offset_step + 1;

	for (int64_t i = 0; i < a[0].taps; i++) {
		int64_t d = place->at[0] * a[0].step + a[0].offset + i * a[0].offset_step;
		int64_t h = place->at[1] * a[1].step + a[1].offset;
		char *out = walk->rows + i * pass->copy_rows * bytes;
		for (int64_t row = 0; row < seen; row++, h++, out += bytes) {
			int64_t from = ((place->image * a[0].in + d) * a[1].in + h) * a[2].in * pass->in_bytes;
			if (d >= 0 && d < a[0].in && h >= 0 && h < a[1].in)
				copy_row(pass, (const char *)(walk->in + (uintptr_t)from), a[2].offset, out);
			else
				memset(out, pass->zeros[0], (size_t)bytes);
		}
	}
}

/* A row whose input has been copied. */
static void run_joint(const struct hl_pass_walk *walk, const struct hl_pass_place *place, int64_t group, const char *in)
{
	const struct hl_pass *pass = walk->pass;
	struct hl_tile tile;
	int64_t length = pass->axis[2].count, tiles, larger;
	char *out = output_at(walk, place) + hl_pass_group_offset(pass, group);

	set_slice(walk, 0, group, &tile);
	tile.tap = pass->inner;
	tile.taps = pass->taps;
	tile.in = (uintptr_t)in;
	tile.out = &out;
	tiles = hl_divide_up(length, hl_tile_places(tile.blocks));
	larger = length % tiles;
	for (int part = 0; part < 2; part++) {
		int64_t places = length / tiles + (part == 0 ? 1 : 0);
		tile.repeat = part == 0 ? larger : tiles - larger;
		if (tile.repeat > 0)
			hl_tile_find(pass->type, true, (int)places, tile.blocks)(&tile);
		out += tile.repeat * places * tile.out_step;
		tile.in += (uintptr_t)(tile.repeat * places * tile.in_step);
	}
}

static void sum_joint(const struct hl_pass_walk *walk, const struct hl_pass_box *box)
{
	const struct hl_pass *pass = walk->pass;
	int64_t step = pass->axis[1].step * pass->copy_places * pass->in_bytes;

	for (int64_t d = 0; d < box->size.d; d++) {
		struct hl_pass_place place = box->from;
		place.at[0] += d;
		hl_pass_copy_rows(walk, &place, box->size.h);
		for (int64_t h = 0; h < box->size.h; h++, place.at[1]++)
			for (int64_t group = 0; group < pass->groups; group++)
				run_joint(walk, &place, group, walk->rows + h * step);
	}
}

static void sum_rows(struct hl_pass_walk walk, const struct hl_pass_box *box)
{
	const struct hl_pass *pass = walk.pass;
	uintptr_t out = walk.out;
	struct hl_tile tile;

	for (int64_t group = 0; group < pass->groups; group++) {
		walk.out = out + (uintptr_t)hl_pass_group_offset(pass, group);
		for (int64_t slice = 0; slice < pass->slices; slice++) {
			set_slice(&walk, slice, group, &tile);
			for (int64_t row = 0; row < box->size.d * box->size.h; row++) {
				struct hl_pass_place place = box->from;
				place.at[0] += row / box->size.h;
				place.at[1] += row % box->size.h;
				run_line(&walk, &place, box->size.w, &tile);
			}
		}
	}
}

static void sum_winograd(const struct hl_pass_walk *walk, const struct hl_pass_box *box)
{
	for (int64_t i = 0; i < hl_winograd_chunks(walk->pass, box); i++)
		hl_winograd_run(walk, box, i, 0, walk->pass->groups);
}

static void clip(int64_t at, int64_t size, int64_t limit, int64_t *from, int64_t *count)
{
	*from = at < 0 ? 0 : at;
	*count = (at + size < limit ? at + size : limit) - *from;
}

static int64_t row_strips(const struct hl_pass *pass)
{
	return hl_divide_up(pass->pooled.h, pass->strip);
}

static void run_box(struct hl_pass_walk walk, int64_t task)
{
	const struct hl_pass *pass = walk.pass;
	const struct hl_axes *size = &pass->window.size, *stride = &pass->window.stride, *pad = &pass->window.pad;
	int64_t strips = row_strips(pass), plane = task / strips;
	struct hl_pass_pool pool = {.box = walk.box,
	                            .image = plane / pass->pooled.d,
	                            .d = plane % pass->pooled.d,
	                            .h = task % strips * pass->strip,
	                            .out = (char *)walk.out};
	struct hl_pass_box box = {.from = {.image = pool.image}, .images = 1, .size = {.w = pass->axis[2].count}};

	pool.rows = pass->pooled.h - pool.h < pass->strip ? pass->pooled.h - pool.h : pass->strip;
	clip(pool.d * stride->d - pad->d, size->d, pass->axis[0].count, &box.from.at[0], &box.size.d);
	clip(pool.h * stride->h - pad->h, (pool.rows - 1) * stride->h + size->h, pass->axis[1].count, &box.from.at[1],
	     &box.size.h);
	pool.from = (struct hl_axes){box.from.at[0], box.from.at[1], 0};
	if (pass->pools)
		walk.out = (uintptr_t)walk.box -
		           (uintptr_t)(pool.from.d * pass->out.axis[0] + pool.from.h * pass->out.axis[1]);
	if (pass->tiles.used)
		hl_amx_box(&walk, &box);
	else if (pass->winograd)
		sum_winograd(&walk, &box);
	else if (pass->joint)
		sum_joint(&walk, &box);
	else
		sum_rows(walk, &box);
	if (pass->pools)
		hl_pass_pool(pass, &pool);
}

/* ---- the whole ---- */

static struct hl_pass_box whole(const struct hl_pass *pass)
{
	return (struct hl_pass_box){.images = pass->images,
	                            .size = {pass->axis[0].count, pass->axis[1].count, pass->axis[2].count}};
}

static int64_t count_tasks(const struct hl_pass *pass)
{
	struct hl_pass_box all = whole(pass);

	if (pass->tiles.used && !pass->pools)
		return hl_amx_tasks(pass);
	if (pass->joint || pass->pools)
		return pass->images * pass->pooled.d * row_strips(pass);
	if (pass->winograd)
		return hl_winograd_chunks(pass, &all) * pass->parts;
	return hl_divide_up(hl_pass_places(pass), pass->strip) * (pass->taps > 0 ? pass->groups : 1);
}

static void run_chunk(const struct hl_pass_walk *walk, int64_t task)
{
	const struct hl_pass *pass = walk->pass;
	struct hl_pass_box all = whole(pass);
	int64_t part = task % pass->parts;

	hl_winograd_run(walk, &all, task / pass->parts, pass->groups * part / pass->parts,
	                pass->groups * (part + 1) / pass->parts);
}

static void run_linear(const struct hl_pass_walk *walk, int64_t task)
{
	const struct hl_pass *pass = walk->pass;
	int64_t strips = hl_divide_up(hl_pass_places(pass), pass->strip);

	if (pass->taps == 0)
		clear_strip(walk, task);
	else if (pass->groups_first)
		run_strip(*walk, task / strips, task % strips);
	else
		run_strip(*walk, task % pass->groups, task / pass->groups);
}

static void run_task(const struct hl_pass_walk *walk, int64_t task)
{
	const struct hl_pass *pass = walk->pass;

	if (pass->tiles.used && !pass->pools)
		hl_amx_task(walk, task);
	else if (pass->joint || pass->pools)
		run_box(*walk, task);
	else if (pass->winograd)
		run_chunk(walk, task);
	else
		run_linear(walk, task);
}

void hl_pass_run(const struct hl_pass *pass, const void *in, const void *add, void *out, void *scratch)
{
	int64_t tasks = count_tasks(pass);
	struct hl_pass_scratch bytes = hl_pass_scratch(pass);
	size_t each = bytes.taps + bytes.rows + bytes.sums + bytes.box;

#pragma omp parallel num_threads(pass->threads)
	{
		char *own = (char *)scratch + each * (size_t)omp_get_thread_num();
		struct hl_pass_walk walk = {.pass = pass,
		                            .in = (uintptr_t)in,
		                            .out = (uintptr_t)out,
		                            .add = add ? (int64_t)((uintptr_t)add - (uintptr_t)out) : 0,
		                            .tap = (struct hl_tap *)(void *)own,
		                            .rows = own + bytes.taps,
		                            .panel = own + bytes.taps + bytes.rows,
		                            .sums = (float *)(void *)(own + bytes.taps + bytes.rows),
		                            .box = own + bytes.taps + bytes.rows + bytes.sums};
		if (pass->tiles.used)
			hl_amx_open(&walk);
#pragma omp for schedule(static)
		for (int64_t task = 0; task < tasks; task++)
			run_task(&walk, task);
		if (pass->tiles.used)
			hl_amx_close(&walk);
	}
}
