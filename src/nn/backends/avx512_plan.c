/* How a pass is cut into tasks, tiles and slices. */
#include "base/cpu.h"
#include "base/memory.h"
#include "nn/backends/amx.h"
#include <stdlib.h>
#include <string.h>

#define AXIS_MAX (INT64_C(1) << 30)        /* places are compared as 32-bit numbers */
#define WEIGHTS_MAX (INT64_C(1) << 27)     /* floats of an output channel: sixteen of them are gathered at once */
#define TAPS_MAX (INT64_C(1) << 16)        /* more would make large tables */
#define JOINT_MAX 8                        /* channels */
#define JOINT_TAPS_MAX 512                 /* so that weights are one slice */
#define SLICE_BYTES (INT64_C(320) << 10)   /* of one group's weights, to stay in the second-level cache */
#define WEIGHTS_BYTES (INT64_C(512) << 10) /* above this no more than one group stays there */
#define BOX_BYTES (INT64_C(256) << 10)     /* of places before pooling, to stay there too */
#define STRIP_MAX 512                      /* places */
#define STRIP_MIN 48
#define OVERLAP_ROWS 4 /* pooled rows of a box, at least, where windows overlap and rows are summed twice */
#define ROW_MIN 4      /* places of a row that tiles are fitted to */
#define ROW_NARROW 8   /* one tile of three blocks, rather than two of four that load weights twice */
#define ROW_SHORT 16   /* fitted even if padded at the ends, for the taps above and below that then fall away */
#define TASKS_MIN 32

bool hl_pass_machine(enum hl_type type)
{
	struct hl_cpu cpu = hl_cpu_describe();

	if (type == HL_U8)
		return cpu.avx512 && cpu.avx512_vnni;
	return type == HL_BF16 ? cpu.bf16_pairs || cpu.amx : cpu.avx512;
}

/* One tap without padding or steps: places are rows of a matrix, however they lie. */
static void flatten(struct hl_pass *pass)
{
	int64_t places = hl_pass_places(pass);

	for (int k = 0; k < 3; k++) {
		const struct hl_pass_axis *a = &pass->axis[k];
		if (a->size != 1 || a->offset != 0 || a->step != 1 || a->out_step != 1 || a->in != a->out)
			return;
	}
	if (pass->pools || places > AXIS_MAX)
		return;
	for (int k = 0; k < 2; k++)
		pass->axis[k].in = pass->axis[k].count = pass->axis[k].out = 1;
	pass->images = 1;
	pass->axis[2].in = pass->axis[2].count = pass->axis[2].out = places;
}

static void find_inner(struct hl_pass *pass)
{
	for (int k = 0; k < 3; k++) {
		const struct hl_pass_axis *a = &pass->axis[k];
		int64_t end = a->in - a->offset - (a->taps - 1) * a->offset_step;
		pass->from[k] = a->offset < 0 ? hl_divide_up(-a->offset, a->step) : 0;
		pass->to[k] = end < 1 ? 0 : hl_divide_up(end, a->step);
		if (pass->to[k] > a->count)
			pass->to[k] = a->count;
	}
}

static void choose_slices(struct hl_pass *pass)
{
	int64_t units = hl_divide_up(pass->run, hl_pass_unit(pass)), row = pass->axis[2].count;
	int64_t bytes = pass->taps * units * HL_TILE_BLOCKS * HL_TILE_LANES * 4;

	pass->groups = hl_divide_up(hl_pass_blocks(pass), row <= ROW_NARROW ? 3 : HL_TILE_BLOCKS);
	pass->slices = hl_divide_up(bytes, SLICE_BYTES);
	pass->slices = pass->slices < 1 ? 1 : pass->slices > units ? units : pass->slices;
	pass->units = hl_divide_up(units, pass->slices);
	pass->slices = hl_divide_up(units, pass->units);
	pass->weights_bytes = (size_t)(hl_pass_blocks(pass) * hl_pass_block_bytes(pass));
}

static void choose_strips(struct hl_pass *pass)
{
	int64_t places = hl_pass_places(pass), row = pass->axis[2].count;
	int64_t strip = hl_divide_up(places, hl_divide_up(TASKS_MIN, pass->groups));

	strip = strip > STRIP_MAX ? STRIP_MAX : strip < STRIP_MIN ? STRIP_MIN : strip;
	pass->strip = hl_divide_up(places, hl_divide_up(places, strip));
	pass->by_rows = row >= ROW_MIN && (row <= ROW_SHORT || (pass->from[2] == 0 && pass->to[2] == row));
	if (pass->by_rows)
		pass->strip = hl_divide_up(pass->strip, row) * row;
	pass->groups_first = (int64_t)pass->weights_bytes > WEIGHTS_BYTES;
}

/* Rows of results (pooled, where the pass pools) for a task. */
static int64_t choose_rows(const struct hl_pass *pass)
{
	const struct hl_axes *size = &pass->window.size, *stride = &pass->window.stride;
	int64_t row = pass->axis[2].count, results = pass->pooled.h, most, rows, least = 1;

	most = pass->pools ? BOX_BYTES / (row * pass->out_bytes * size->d) : hl_divide_up(STRIP_MAX, row);
	rows = (most - size->h) / stride->h + 1;
	if (rows * TASKS_MIN > pass->images * pass->pooled.d * results)
		rows = pass->images * pass->pooled.d * results / TASKS_MIN;
	if (size->h > stride->h)
		least = OVERLAP_ROWS;
	rows = rows < least ? least : rows;
	rows = rows < results ? rows : results;
	return hl_divide_up(results, hl_divide_up(results, rows));
}

static void choose_box(struct hl_pass *pass)
{
	const struct hl_pass_axis *a = pass->axis;
	const struct hl_axes one = {1, 1, 1};
	int64_t rows;

	if (!pass->pools) {
		pass->window = (struct hl_window){.size = one, .stride = one};
		pass->pooled = (struct hl_shape){pass->images, a[0].count, a[1].count, a[2].count, pass->outputs};
	}
	pass->box.d = pass->window.size.d < a[0].count ? pass->window.size.d : a[0].count;
	rows = pass->tiles.used ? hl_amx_rows(pass)
	       : pass->winograd ? hl_winograd_rows(pass) / pass->window.stride.h
	                        : choose_rows(pass);
	rows = rows < 1 ? 1 : rows < pass->pooled.h ? rows : pass->pooled.h;
	pass->strip = rows;
	pass->by_rows = true;
	pass->box.h = (rows - 1) * pass->window.stride.h + pass->window.size.h;
	pass->box.h = pass->box.h < a[1].count ? pass->box.h : a[1].count;
	pass->box.w = a[2].count;
	if (!pass->joint)
		return;
	pass->copy_rows = (pass->box.h - 1) * a[1].step + (a[1].taps - 1) * a[1].offset_step + 1;
	pass->copy_places = (a[2].count - 1) * a[2].step + a[2].taps;
}

static void find_views(struct hl_pass *pass)
{
	const struct hl_pass_axis *a = pass->axis;
	struct hl_pass_view *in = &pass->in, *out = &pass->out;
	int64_t in_step = pass->in_bytes, out_step = pass->out_bytes;

	if (pass->pools) {
		out->axis[2] = pass->out_bytes;
		out->axis[1] = pass->box.w * out->axis[2];
		out->axis[0] = pass->box.h * out->axis[1];
	}
	for (int k = 2; k >= 0; in_step *= a[k].in, out_step *= a[k].out, k--) {
		in->axis[k] = a[k].step * in_step;
		if (pass->pools)
			continue;
		out->axis[k] = a[k].out_step * out_step;
		out->first += a[k].out_first * out_step;
	}
	in->image = in_step;
	out->image = pass->pools ? 0 : out_step;
}

static size_t align(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

struct hl_pass_scratch hl_pass_scratch(const struct hl_pass *pass)
{
	int64_t places = pass->joint || pass->pools ? pass->box.d * pass->box.h * pass->box.w : pass->strip;
	struct hl_pass_scratch bytes = {.taps = (size_t)pass->taps * sizeof(struct hl_tap)};

	if (pass->joint)
		bytes.rows =
		    align((size_t)(pass->axis[0].taps * pass->copy_rows * pass->copy_places * pass->in_bytes) + 3);
	if (pass->tiles.used)
		bytes.sums = hl_amx_scratch(pass);
	else if (pass->winograd)
		bytes.sums = pass->winograd_bytes;
	else if (pass->slices > 1)
		bytes.sums = (size_t)(places * HL_TILE_BLOCKS * HL_TILE_LANES) * sizeof(float);
	if (pass->pools)
		bytes.box = align((size_t)(places * pass->out_bytes));
	return bytes;
}

/* Addresses of taps, from the first place of a tile; of a joint run, within the copy; of tiles, within the panel. */
static void fill_inner(struct hl_pass *pass)
{
	const struct hl_pass_axis *a = pass->axis;
	int64_t across = pass->joint ? 1 : a[2].taps;

	for (int64_t i = 0; pass->tiles.used && i < pass->taps; i++)
		pass->inner[i].place[0] = hl_amx_tap(pass, i);
	for (int64_t i = 0; !pass->tiles.used && i < pass->taps; i++) {
		int64_t d = i / across / a[1].taps, h = i / across % a[1].taps, w = i % across, at;
		if (pass->joint) {
			at = (d * pass->copy_rows + h * a[1].offset_step) * pass->copy_places;
		} else {
			at = a[0].offset + d * a[0].offset_step;
			at = at * a[1].in + a[1].offset + h * a[1].offset_step;
			at = at * a[2].in + a[2].offset + w * a[2].offset_step;
		}
		pass->inner[i].place[0] = (uintptr_t)(at * pass->in_bytes);
		pass->inner[i].weight = (uintptr_t)i;
	}
}

static bool countable(const struct hl_pass *pass)
{
	int64_t taps = 1;

	for (int k = 0; k < 3; k++) {
		taps *= pass->axis[k].taps;
		if (pass->axis[k].in > AXIS_MAX || pass->axis[k].count > AXIS_MAX || taps > TAPS_MAX)
			return false;
	}
	return pass->weight_out <= WEIGHTS_MAX;
}

/* A run, or a tile's bias. */
static size_t zeros_bytes(const struct hl_pass *pass)
{
	size_t run = (size_t)(pass->run * hl_pass_size(pass)), bias = HL_TILE_BLOCKS * HL_TILE_LANES * sizeof(float);

	return run > bias ? run : bias;
}

static enum hilum_status take_memory(struct hl_pass *pass, struct hilum_error *error)
{
	pass->inner = hl_block_alloc((size_t)(pass->taps + 1) * sizeof *pass->inner);
	pass->weights = hl_block_alloc(pass->weights_bytes + 1);
	pass->bias = hl_block_alloc((size_t)(hl_pass_blocks(pass) * HL_TILE_LANES) * sizeof *pass->bias);
	pass->zeros = hl_block_alloc(zeros_bytes(pass));
	if (pass->type == HL_U8)
		pass->scale = hl_block_alloc((size_t)(hl_pass_blocks(pass) * HL_TILE_LANES) * sizeof *pass->scale);
	if (!pass->inner || !pass->weights || !pass->bias || !pass->zeros || (pass->type == HL_U8 && !pass->scale))
		return hl_fail_memory(error, pass->weights_bytes, "a convolution's weights");
	if (pass->type == HL_U8)
		memset(pass->zeros, pass->int8->in.zero, zeros_bytes(pass));
	return HILUM_OK;
}

/* Where sums are taken one by one. */
static void cut(struct hl_pass *pass)
{
	choose_slices(pass);
	if (pass->joint || pass->pools)
		choose_box(pass);
	else
		choose_strips(pass);
}

/* Which way sums are taken, and what follows from that. */
static void choose_way(struct hl_pass *pass)
{
	const struct hl_pass_axis *a = pass->axis;

	if (hl_amx_plan(pass)) {
		choose_box(pass);
		hl_amx_size(pass);
		return;
	}
	pass->joint = pass->inputs <= JOINT_MAX && a[2].offset_step == 1 && a[2].taps > 1 && pass->taps > 0 &&
	              pass->taps <= JOINT_TAPS_MAX;
	if (pass->joint)
		pass->taps /= a[2].taps;
	pass->run = pass->inputs * (pass->joint ? a[2].taps : 1);
	pass->winograd = !pass->joint && pass->type != HL_U8 && hl_winograd_suits(pass);
	if (pass->winograd && pass->pools)
		choose_box(pass);
	pass->winograd = pass->winograd && hl_winograd_plan(pass);
	if (!pass->winograd)
		cut(pass);
}

enum hilum_status hl_pass_plan(struct hl_pass *pass, struct hilum_error *error)
{
	const struct hl_pass_axis *a = pass->axis;
	struct hl_pass_scratch bytes;
	enum hilum_status status;

	if (!countable(pass))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "avx512: no convolution of this size");
	/* A box is as deep as one window, and planes that two windows share would be summed twice. */
	if (pass->pools && pass->pooled.d > 1 && pass->window.size.d > pass->window.stride.d)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "avx512: no windows that overlap in depth");
	flatten(pass);
	find_inner(pass);
	pass->taps = a[0].taps * a[1].taps * a[2].taps;
	pass->in_bytes = pass->inputs * hl_pass_size(pass);
	pass->out_bytes = pass->outputs * hl_pass_size(pass);
	choose_way(pass);
	if (pass->type == HL_BF16 && !pass->tiles.used && pass->taps > 0 && !hl_cpu_describe().bf16_pairs)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "avx512: no tiles for a convolution of this size");
	find_views(pass);
	bytes = hl_pass_scratch(pass);
	pass->scratch = (bytes.taps + bytes.rows + bytes.sums + bytes.box) * (size_t)pass->threads;
	status = take_memory(pass, error);
	if (!status && !pass->winograd)
		fill_inner(pass);
	return status;
}

void hl_pass_free(struct hl_pass *pass)
{
	if (pass->inner)
		hl_block_free(pass->inner, (size_t)(pass->taps + 1) * sizeof *pass->inner);
	if (pass->weights)
		hl_block_free(pass->weights, pass->weights_bytes + 1);
	if (pass->bias)
		hl_block_free(pass->bias, (size_t)(hl_pass_blocks(pass) * HL_TILE_LANES) * sizeof *pass->bias);
	if (pass->scale)
		hl_block_free(pass->scale, (size_t)(hl_pass_blocks(pass) * HL_TILE_LANES) * sizeof *pass->scale);
	if (pass->zeros)
		hl_block_free(pass->zeros, zeros_bytes(pass));
}
