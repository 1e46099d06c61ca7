/* How a convolution on tiles is cut into tasks, and the walk over the places of one. */
#include "base/cpu.h"
#include "nn/backends/amx.h"
#include <stdlib.h>
#include <string.h>

#define JOINT_BYTES 48                   /* of a place in the panel: fewer do not fill a row of a tile */
#define PANEL_BYTES (INT64_C(384) << 10) /* to stay in the second-level cache */
#define PANEL_MOST (INT64_C(16) << 20)   /* of one row; more are refused */
#define BOX_BYTES (INT64_C(256) << 10)   /* of places before pooling, to stay there too */
#define TASKS 4                          /* for each thread */
#define USE_LEAST 0.3                    /* of three products, so much must be of places and channels, not padding */
#define PLACES_LEAST 4                   /* of bytes; fewer are as fast without tiles */
#define OVERLAP_ROWS 4                   /* pooled rows of a box, at least, where windows overlap */
#define SUMS (HL_AMX_PLACES * HL_AMX_BLOCKS * HL_TILE_LANES)

/* ---- planning ---- */

static enum hl_amx_kind kind_of(const struct hl_pass *pass)
{
	return pass->type == HL_U8      ? HL_AMX_U8
	       : pass->type == HL_BF16  ? HL_AMX_BF16
	       : pass->tiles.parts == 2 ? HL_AMX_SPLIT3
	                                : HL_AMX_SPLIT6;
}

/* Values in 64 bytes of one part. */
static int64_t chunk_values(const struct hl_pass *pass)
{
	return pass->type == HL_U8 ? 64 : 32;
}

int hl_amx_parts(void)
{
	const char *products = getenv("HILUM_FP32_PRODUCTS");

	return products && strcmp(products, "6") == 0 ? 3 : 2;
}

static bool joins(const struct hl_pass *pass)
{
	const struct hl_pass_axis *a = pass->axis;
	int64_t place = pass->inputs * (pass->type == HL_U8 ? 1 : 2);

	return place <= JOINT_BYTES && a[2].offset_step == 1 && pass->taps > 1 &&
	       pass->taps * pass->inputs <= HL_AMX_JOINT_VALUES;
}

static int64_t greatest_divisor(int64_t a, int64_t b)
{
	while (b) {
		int64_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

/* Taps whose places have the same remainder by the stride share rows or columns of the panel: of tap t it is number t
 * modulo phases, so many rows or columns further on. */
static void choose_phases(struct hl_pass *pass)
{
	struct hl_pass_tiles *v = &pass->tiles;

	for (int k = 1; k < 3; k++) {
		const struct hl_pass_axis *a = &pass->axis[k];
		int64_t period = a->step / greatest_divisor(a->step, a->offset_step);
		v->phases[k] = pass->joint ? 1 : period < a->taps ? period : a->taps;
		v->reach[k] = pass->joint ? 0 : (a->taps - 1) * a->offset_step / a->step;
	}
}

static int64_t row_bytes(const struct hl_pass *pass, int64_t width)
{
	const struct hl_pass_tiles *v = &pass->tiles;
	int64_t depth = pass->joint ? 1 : pass->axis[0].taps;

	return depth * v->phases[1] * v->phases[2] * (width + v->reach[2]) * v->place;
}

/* What is multiplied with something, of all that is. */
static double use_of(const struct hl_pass *pass)
{
	double inputs = (double)pass->run / (double)(pass->tiles.chunks * chunk_values(pass));
	double outputs = (double)pass->outputs / (double)(hl_pass_blocks(pass) * HL_TILE_LANES);
	const struct hl_pass_axis *a = pass->axis;
	int64_t places = a[1].count * a[2].count;

	return inputs * outputs * (double)places / (double)(hl_divide_up(places, HL_AMX_ROWS) * HL_AMX_ROWS);
}

bool hl_amx_plan(struct hl_pass *pass)
{
	struct hl_pass_tiles *v = &pass->tiles;
	struct hl_cpu cpu = hl_cpu_describe();

	if (!cpu.amx || pass->taps == 0 || (pass->type == HL_F32 && pass->strict) ||
	    (pass->type == HL_U8 && hl_pass_places(pass) < PLACES_LEAST))
		return false;
	v->emulated = cpu.amx_emulated;
	v->parts = pass->type != HL_F32 ? 1 : pass->fine ? 3 : hl_amx_parts();
	pass->joint = joins(pass);
	pass->run = pass->inputs * (pass->joint ? pass->taps : 1);
	v->chunks = hl_divide_up(pass->run, chunk_values(pass));
	v->place = v->parts * v->chunks * HL_AMX_ROW;
	choose_phases(pass);
	v->used = pass->type != HL_F32 || use_of(pass) >= (v->parts == 3 ? 2 : 1) * USE_LEAST;
	v->width = pass->axis[2].count;
	if (!pass->pools && !pass->joint && row_bytes(pass, v->width) > PANEL_BYTES) {
		int64_t most = PANEL_BYTES / row_bytes(pass, 1 - v->reach[2]) - v->reach[2];
		most = most < 4 * HL_AMX_PLACES ? 4 * HL_AMX_PLACES : most;
		v->width = most < v->width ? most : v->width;
	}
	v->used = v->used && row_bytes(pass, v->width) * (1 + v->reach[1]) <= PANEL_MOST;
	if (!v->used)
		return false;
	if (pass->joint)
		pass->taps = 1;
	pass->slices = 1;
	pass->units = v->chunks * HL_AMX_ROWS;
	pass->groups = hl_divide_up(hl_pass_blocks(pass), HL_AMX_BLOCKS);
	pass->weights_bytes = (size_t)(hl_pass_blocks(pass) * hl_pass_block_bytes(pass));
	return true;
}

static int64_t tasks_least(const struct hl_pass *pass)
{
	return TASKS * pass->threads;
}

/* Rows of results (pooled, where the pass pools) for a task. */
int64_t hl_amx_rows(const struct hl_pass *pass)
{
	const struct hl_axes *size = &pass->window.size, *stride = &pass->window.stride;
	int64_t results = pass->pooled.h, rows, least = 1,
	        pieces = hl_divide_up(pass->axis[2].count, pass->tiles.width);
	int64_t all = pass->images * pass->pooled.d * pieces * results;
	int64_t most = PANEL_BYTES / row_bytes(pass, pass->tiles.width) - pass->tiles.reach[1];

	if (pass->pools) {
		int64_t box = BOX_BYTES / (pass->axis[2].count * pass->out_bytes * size->d);
		most = box < most ? box : most;
	}
	rows = (most - size->h) / stride->h + 1;
	if (rows * tasks_least(pass) > all)
		rows = all / tasks_least(pass);
	if (size->h > stride->h)
		least = OVERLAP_ROWS;
	rows = rows < least ? least : rows;
	rows = rows < results ? rows : results;
	return hl_divide_up(results, hl_divide_up(results, rows));
}

void hl_amx_size(struct hl_pass *pass)
{
	struct hl_pass_tiles *v = &pass->tiles;
	int64_t image, boxes, depth = pass->joint ? 1 : pass->axis[0].taps;

	v->columns = v->width + v->reach[2];
	v->lines = pass->box.h + v->reach[1];
	image = row_bytes(pass, v->width) * v->lines;
	v->images = 1;
	if (!pass->pools && !pass->joint && pass->box.h == pass->axis[1].count) {
		int64_t most = pass->images / tasks_least(pass);
		v->images = PANEL_BYTES / image < most ? PANEL_BYTES / image : most;
		v->images = v->images < 1 ? 1 : v->images;
	}
	boxes = hl_divide_up(pass->images, v->images) * pass->axis[0].count *
	        hl_divide_up(pass->axis[1].count, pass->box.h) * hl_divide_up(pass->axis[2].count, v->width);
	v->shares = pass->pools ? 1 : hl_divide_up(tasks_least(pass), boxes);
	v->shares = v->shares < pass->groups ? v->shares : pass->groups;
	v->panel = (size_t)(depth * v->phases[1] * v->phases[2] * v->images * v->lines * v->columns + HL_AMX_PLACES) *
	           (size_t)v->place;
}

/* Where tap i finds the places of a panel, from the first. */
uintptr_t hl_amx_tap(const struct hl_pass *pass, int64_t i)
{
	const struct hl_pass_tiles *v = &pass->tiles;
	const struct hl_pass_axis *a = pass->axis;
	int64_t d = i / a[2].taps / a[1].taps, h = i / a[2].taps % a[1].taps, w = i % a[2].taps, at;

	if (pass->joint)
		return 0;
	at = (d * v->phases[1] + h % v->phases[1]) * v->phases[2] + w % v->phases[2];
	at = at * v->images * v->lines + h * a[1].offset_step / a[1].step;
	at = at * v->columns + w * a[2].offset_step / a[2].step;
	return (uintptr_t)(at * v->place);
}

size_t hl_amx_scratch(const struct hl_pass *pass)
{
	return pass->tiles.panel + SUMS * sizeof(float) +
	       (pass->tiles.emulated ? (sizeof(struct hl_amx_registers) + 63) / 64 * 64 : 0);
}

/* ---- running ---- */

static float *sums_of(const struct hl_pass_walk *walk)
{
	return (float *)(void *)(walk->panel + walk->pass->tiles.panel);
}

static struct hl_amx_registers *registers_of(const struct hl_pass_walk *walk)
{
	return walk->pass->tiles.emulated ? (struct hl_amx_registers *)(void *)(sums_of(walk) + SUMS) : NULL;
}

void hl_amx_open(const struct hl_pass_walk *walk)
{
	hl_amx_configure(registers_of(walk), &hl_amx_whole);
}

void hl_amx_close(const struct hl_pass_walk *walk)
{
	hl_amx_release(registers_of(walk));
}

/* The places of a product that exist become outputs: from number first on of an image of the box. */
static void finish_places(const struct hl_pass_walk *walk, const struct hl_pass_box *box, struct hl_pass_place place,
                          const struct hl_tile *tile, int64_t first, int64_t places)
{
	const struct hl_pass *pass = walk->pass;
	const float *sums = sums_of(walk);
	int64_t column = first % pass->tiles.columns;

	place.at[1] += first / pass->tiles.columns;
	for (int64_t m = 0; m < places;) {
		int64_t here = pass->tiles.columns - column < places - m ? pass->tiles.columns - column : places - m;
		int64_t to = box->size.w - column < here ? box->size.w - column : here;
		char *out;
		place.at[2] = box->from.at[2] + column;
		out = (char *)hl_pass_at(&pass->out, walk->out, &place);
		for (int64_t i = 0; i < to; i++, out += pass->out.axis[2])
			hl_amx_finish(pass->type, tile, sums + (m + i) * tile->blocks * HL_TILE_LANES, out);
		m += here;
		column = 0;
		place.at[1]++;
	}
}

/* One image of a box for a group of output channels: its rows are one line, with what lies between them. */
static void sum_image(const struct hl_pass_walk *walk, const struct hl_pass_box *box, struct hl_pass_place place,
                      int64_t image, const struct hl_tile *tile)
{
	const struct hl_pass *pass = walk->pass;
	const struct hl_pass_tiles *v = &pass->tiles;
	int64_t length = (box->size.h - 1) * v->columns + box->size.w;
	struct hl_amx_sum sum = {.tap = pass->inner,
	                         .taps = pass->taps,
	                         .in = walk->panel + image * v->lines * v->columns * v->place,
	                         .place = v->place,
	                         .chunks = v->chunks,
	                         .weights = tile->weights,
	                         .out = sums_of(walk),
	                         .registers = registers_of(walk)};

	place.image += image;
	for (int64_t first = 0; first < length; first += HL_AMX_PLACES, sum.in += HL_AMX_PLACES * v->place) {
		int64_t places = length - first < HL_AMX_PLACES ? length - first : HL_AMX_PLACES;
		hl_amx_find(v->emulated, kind_of(pass), places > HL_AMX_ROWS ? 2 : 1, tile->blocks)(&sum);
		finish_places(walk, box, place, tile, first, places);
	}
}

static void sum_groups(struct hl_pass_walk walk, const struct hl_pass_box *box, int64_t from, int64_t to)
{
	const struct hl_pass *pass = walk.pass;
	uintptr_t out = walk.out;

	for (int64_t d = 0; d < box->size.d; d++) {
		struct hl_pass_place place = box->from;
		place.at[0] += d;
		hl_amx_fill(&walk, box, d);
		for (int64_t group = from; group < to; group++) {
			struct hl_tile tile = hl_pass_group_tile(pass, group);
			tile.adds = pass->adds;
			tile.add = walk.add;
			walk.out = out + (uintptr_t)hl_pass_group_offset(pass, group);
			for (int64_t image = 0; image < box->images; image++)
				sum_image(&walk, box, place, image, &tile);
		}
	}
}

void hl_amx_box(const struct hl_pass_walk *walk, const struct hl_pass_box *box)
{
	sum_groups(*walk, box, 0, walk->pass->groups);
}

/* Boxes of images, depth, rows and columns, and shares of the groups. */
int64_t hl_amx_tasks(const struct hl_pass *pass)
{
	const struct hl_pass_tiles *v = &pass->tiles;

	return hl_divide_up(pass->images, v->images) * pass->axis[0].count *
	       hl_divide_up(pass->axis[1].count, pass->box.h) * hl_divide_up(pass->axis[2].count, v->width) * v->shares;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void hl_amx_task(const struct hl_pass_walk *walk, int64_t task)
{
	const struct hl_pass *pass = walk->pass;
	const struct hl_pass_tiles *v = &pass->tiles;
	const struct hl_pass_axis *a = pass->axis;
	int64_t strips = hl_divide_up(a[1].count, pass->box.h), pieces = hl_divide_up(a[2].count, v->width);
	int64_t share = task % v->shares, at = task / v->shares;
	struct hl_pass_box box = {.size.d = 1};

	box.from.at[2] = at % pieces * v->width;
	at /= pieces;
	box.from.at[1] = at % strips * pass->box.h;
	at /= strips;
	box.from.at[0] = at % a[0].count;
	box.from.image = at / a[0].count * v->images;
	box.images = least(v->images, pass->images - box.from.image);
	box.size.h = least(pass->box.h, a[1].count - box.from.at[1]);
	box.size.w = least(v->width, a[2].count - box.from.at[2]);
	sum_groups(*walk, &box, pass->groups * share / v->shares, pass->groups * (share + 1) / v->shares);
}
