/* Copies what a convolution on tiles reads into a panel. */
#include "nn/backends/amx.h"
#include <string.h>

/* The places of one tap that lie at one remainder of the stride: rows of an image, of columns. */
struct plane {
	const char *in; /* its first input place of an image; NULL: all padding */
	int64_t h, w;   /* input row and column of the first place */
	char *out;
};

/* Padding: channels of zero, or of bytes the input's zero. */
static void clear(const struct hl_pass *pass, int64_t places, char *out)
{
	memset(out, pass->zeros[0], (size_t)(places * pass->tiles.place));
}

/* One row of a plane, of so many places of which some may lie in the padding. */
static void fill_row(const struct hl_pass *pass, const char *row, int64_t w, int64_t places, char *out)
{
	const struct hl_pass_axis *a = &pass->axis[2];
	int64_t from = w < 0 ? hl_divide_up(-w, a->step) : 0, to = w < a->in ? hl_divide_up(a->in - w, a->step) : 0;

	from = from < places ? from : places;
	to = to < places ? to : places;
	to = to < from ? from : to;
	clear(pass, from, out);
	for (int64_t i = from; i < to; i++)
		hl_amx_copy(pass, row + (w + i * a->step) * pass->in_bytes, pass->inputs, out + i * pass->tiles.place);
	clear(pass, places - to, out + to * pass->tiles.place);
}

static void fill_plane(const struct hl_pass *pass, const struct plane *plane, int64_t rows, int64_t places)
{
	const struct hl_pass_axis *a = &pass->axis[1];
	char *out = plane->out;

	for (int64_t i = 0; i < rows; i++, out += pass->tiles.columns * pass->tiles.place) {
		int64_t h = plane->h + i * a->step;
		if (!plane->in || h < 0 || h >= a->in)
			clear(pass, places, out);
		else
			fill_row(pass, plane->in + h * pass->axis[2].in * pass->in_bytes, plane->w, places, out);
	}
}

/* Where the first input under output place at lies, of the slot number of remainders. */
static int64_t begin(const struct hl_pass_axis *a, int64_t at, int64_t slot)
{
	return at * a->step + a->offset + slot * a->offset_step % a->step;
}

/* Every tap in depth, remainder in height and width, image of the box. */
static void fill_planes(const struct hl_pass_walk *walk, const struct hl_pass_box *box, int64_t d)
{
	const struct hl_pass *pass = walk->pass;
	const struct hl_pass_axis *a = pass->axis;
	const struct hl_pass_tiles *v = &pass->tiles;
	int64_t each = a[1].in * a[2].in * pass->in_bytes;
	struct plane plane;

	for (int64_t i = 0; i < a[0].taps * v->phases[1] * v->phases[2]; i++) {
		int64_t tap = i / v->phases[2] / v->phases[1];
		int64_t depth = (box->from.at[0] + d) * a[0].step + a[0].offset + tap * a[0].offset_step;
		plane.h = begin(&a[1], box->from.at[1], i / v->phases[2] % v->phases[1]);
		plane.w = begin(&a[2], box->from.at[2], i % v->phases[2]);
		for (int64_t image = 0; image < box->images; image++) {
			int64_t from = (box->from.image + image) * a[0].in + depth;
			plane.in = NULL;
			if (depth >= 0 && depth < a[0].in)
				plane.in = (const char *)(walk->in + (uintptr_t)(from * each));
			plane.out = walk->panel + (i * v->images + image) * v->lines * v->columns * v->place;
			fill_plane(pass, &plane, box->size.h + v->reach[1], box->size.w + v->reach[2]);
		}
	}
}

/* ---- joint ---- */

/* All taps of one place, from the copied rows at row on: runs of bytes behind each other. */
static void gather_place(const struct hl_pass *pass, const char *row, char *out)
{
	const struct hl_pass_axis *a = pass->axis;
	int64_t run = a[2].taps * pass->in_bytes, plane = pass->copy_rows * pass->copy_places * pass->in_bytes;
	int64_t down = a[1].offset_step * pass->copy_places * pass->in_bytes;

	for (int64_t d = 0; d < a[0].taps; d++)
		for (int64_t h = 0; h < a[1].taps; h++, out += run)
			memcpy(out, row + d * plane + h * down, (size_t)run);
}

static void fill_joint(const struct hl_pass_walk *walk, const struct hl_pass_box *box, int64_t d)
{
	const struct hl_pass *pass = walk->pass;
	const struct hl_pass_axis *a = pass->axis;
	struct hl_pass_place place = box->from;
	_Alignas(64) char values[HL_AMX_JOINT_VALUES * sizeof(float)];
	char *out = walk->panel;

	place.at[0] += d;
	hl_pass_copy_rows(walk, &place, box->size.h);
	for (int64_t h = 0; h < box->size.h; h++) {
		const char *row = walk->rows + h * a[1].step * pass->copy_places * pass->in_bytes;
		for (int64_t w = 0; w < box->size.w; w++, out += pass->tiles.place) {
			gather_place(pass, row + w * a[2].step * pass->in_bytes, values);
			hl_amx_copy(pass, values, pass->run, out);
		}
	}
}

void hl_amx_fill(const struct hl_pass_walk *walk, const struct hl_pass_box *box, int64_t d)
{
	if (walk->pass->joint)
		fill_joint(walk, box, d);
	else
		fill_planes(walk, box, d);
}
