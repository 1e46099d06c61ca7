/* Brings a chunk of the AVX-512 weight gradient into place. */
#include "nn/backends/avx512_wgrad.h"
#include <string.h>

#if defined(__x86_64__)

#define CACHE_LINE 64

int64_t hl_wgrad_rows_of(const struct hl_wgrad *g, int64_t length, bool *shared)
{
	const struct hl_window *window = &g->window;
	int64_t span = (length - 1) * g->avx512.step + (window->size.h - 1) * window->dilation.h + 1;

	*shared = g->avx512.square || span <= length * window->size.h;
	return *shared ? span : length * window->size.h;
}

int64_t hl_wgrad_ahead_of_line(const struct hl_wgrad *g)
{
	int64_t size = (int64_t)hl_type_size(g->type), block = hl_wgrad_least(HL_WGRAD_BLOCK, g->out.c) * size;
	int64_t rows = hl_wgrad_least(g->avx512.step, g->window.size.h) *
	               (hl_wgrad_pieces(g->in.w * g->in.c * size, CACHE_LINE) + 1);

	return 2 * (g->out.w * (hl_wgrad_pieces(block, CACHE_LINE) + 1) + rows);
}

int64_t hl_wgrad_left_of(const struct hl_wgrad *g)
{
	if (g->avx512.tiles)
		return g->avx512.split * hl_wgrad_pieces(g->out.w, HL_WGRAD_LANES) * HL_WGRAD_LANES * HL_WGRAD_BLOCK;
	return g->out.w * HL_WGRAD_BLOCK;
}

/* A line: where its places begin, as numbers of elements; -1 for the second where there is none. */
struct places {
	int64_t unit, d, h;    /* of the output; h of the first row */
	int64_t first, second; /* elements of the gradient, channel 0 */
};

static struct places places_of(const struct hl_wgrad *g, int64_t number)
{
	const struct hl_wgrad_avx512 *v = &g->avx512;
	int64_t slice = number / v->lines, row = g->out.w * g->out.c;
	struct places p = {.unit = slice / g->out.d, .d = slice % g->out.d};

	p.h = number % v->lines * (v->next_row ? 2 : 1);
	p.first = ((p.unit * (v->next_image ? 2 : 1) * g->out.d + p.d) * g->out.h + p.h) * row;
	p.second = -1;
	if (v->next_image)
		p.second = p.first + g->out.d * g->out.h * row;
	else if (v->next_row && p.h + 1 < g->out.h)
		p.second = p.first + row;
	return p;
}

/* Where the input rows under a tap begin; false if there is neither. */
static bool rows_under(const struct hl_wgrad *g, const struct places *p, int64_t kd, int64_t kh, int64_t *first,
                       int64_t *second)
{
	const struct hl_wgrad_avx512 *v = &g->avx512;
	const struct hl_window *window = &g->window;
	int64_t d = p->d * window->stride.d - window->pad.d + kd * window->dilation.d;
	int64_t h = p->h * window->stride.h - window->pad.h + kh * window->dilation.h, row = g->in.w * g->in.c;
	int64_t at = ((p->unit * (v->next_image ? 2 : 1) * g->in.d + d) * g->in.h + h) * row;

	*first = *second = -1;
	if (d < 0 || d >= g->in.d)
		return false;
	if (h >= 0 && h < g->in.h)
		*first = at;
	if (v->next_image && *first >= 0)
		*second = at + g->in.d * g->in.h * row;
	else if (v->next_row && p->second >= 0 && h + v->next_row >= 0 && h + v->next_row < g->in.h)
		*second = at + v->next_row * row;
	return *first >= 0 || *second >= 0;
}

/* part: values to a number's second part. */
static void pack(const struct hl_wgrad *g, const char *data, int64_t first, int64_t second, int64_t stride,
                 int64_t count, int64_t places, float *out, int64_t place, int64_t part)
{
	const uint16_t *half = (const uint16_t *)(const void *)data;
	const float *whole = (const float *)(const void *)data;

	if (g->avx512.split > 1 && (first >= 0 || second >= 0))
		hl_amx_pack_split(first < 0 ? NULL : whole + first, second < 0 ? NULL : whole + second, stride, count,
		                  places, out, place, part);
	else if (g->avx512.pairs && (first >= 0 || second >= 0))
		hl_wgrad_pack_pairs(first < 0 ? NULL : half + first, second < 0 ? NULL : half + second, stride, count,
		                    places, out, place);
	else if (first < 0)
		memset(out, 0, (size_t)(places * place) * sizeof *out);
	else if (g->type == HL_BF16)
		hl_wgrad_pack_widened(half + first, stride, count, places, out, place);
	else
		hl_wgrad_pack_floats(whole + first, stride, count, places, out, place);
}

static void pack_input(const struct hl_wgrad_task *t, int64_t first, int64_t second, float *to)
{
	const struct hl_wgrad *g = t->g;
	const struct hl_wgrad_avx512 *v = &g->avx512;
	bool padded = v->joint || v->tiles;
	int64_t lead = padded ? g->window.pad.w * v->place : 0, channel = v->joint ? 0 : t->from;
	int64_t channels = v->joint ? g->in.c : t->to - t->from, columns = padded ? g->in.w : v->columns;
	int64_t behind = v->columns * v->place - lead - columns * v->place;

	for (int part = 0; part < v->split; part++)
		memset(to + part * v->part, 0, (size_t)lead * sizeof *to);
	pack(g, t->in, first < 0 ? -1 : first + channel, second < 0 ? -1 : second + channel, v->skip * g->in.c,
	     channels, columns, to + lead, v->place, v->part);
	for (int part = 0; part < v->split && padded; part++)
		memset(to + part * v->part + lead + columns * v->place, 0, (size_t)behind * sizeof *to);
}

uint16_t hl_wgrad_last_mask(const struct hl_wgrad_task *t)
{
	int64_t rest = t->g->avx512.pack_out ? 0 : t->present % HL_WGRAD_LANES;

	return (uint16_t)(rest ? (1U << rest) - 1 : UINT16_MAX);
}

int64_t hl_wgrad_output_width(const struct hl_wgrad_task *t)
{
	return t->g->avx512.pack_out ? t->outputs : t->g->out.c;
}

/* A line at a time, so that where chunks begin changes no bit. */
static void add_bias(const struct hl_wgrad_task *t, const float *dy)
{
	float sum[HL_WGRAD_BLOCK] = {0};

	hl_wgrad_add_bias(dy, hl_wgrad_output_width(t), t->g->out.w, t->outputs, hl_wgrad_last_mask(t),
	                  t->g->avx512.pairs, sum);
	for (int64_t o = 0; o < t->outputs; o++)
		t->bias[o] += (double)sum[o];
}

static const float *output_line(const struct hl_wgrad_task *t, const struct places *p, int64_t n)
{
	const struct hl_wgrad *g = t->g;
	int64_t o = t->block * HL_WGRAD_BLOCK, line = g->out.w * t->outputs,
	        second = p->second < 0 ? -1 : p->second + o;
	float *to = t->w.dout + n * line, *plain = t->w.plain;

	if (!g->avx512.pack_out)
		return (const float *)(const void *)t->dout + p->first + o;
	if (!g->avx512.tiles) {
		pack(g, t->dout, p->first + o, second, g->out.c, t->present, g->out.w, to, t->outputs, 0);
		return to;
	}
	pack(g, t->dout, p->first + o, second, g->out.c, t->present, g->out.w, plain, t->outputs, line);
	to = t->w.dout + n * hl_wgrad_left_of(g);
	for (int part = 0; part < g->avx512.split; part++, plain += line) {
		hl_amx_turn(t, plain, to + part * hl_wgrad_left_of(g) / g->avx512.split);
		if (t->bias)
			add_bias(t, plain);
	}
	return to;
}

/* Where the packed input of a slice's lines lies: row number base + depth * rows + line * step + height * apart. */
struct slots {
	int64_t base, rows, step, apart;
};

static struct slots slots_of(const struct hl_wgrad *g, int64_t base, int64_t length)
{
	struct slots s = {.base = base};
	bool shared;

	s.rows = hl_wgrad_rows_of(g, length, &shared);
	s.step = shared ? g->avx512.step : g->window.size.h;
	s.apart = shared ? g->window.dilation.h : 1;
	return s;
}

/* Packed input under a tap; row: its place, kept for other lines of the chunk. */
static const float *packed_row(const struct hl_wgrad_task *t, int64_t row, int64_t first, int64_t second)
{
	float *to = t->w.in + row * t->g->avx512.row;

	if (!t->w.packed[row])
		pack_input(t, first, second, to);
	t->w.packed[row] = true;
	return to;
}

static void list(const struct hl_wgrad_task *t, int64_t tap, int64_t n, const float *x, const float *dy)
{
	int64_t *before = t->w.before + tap * (t->g->avx512.chunk + 1) + n;

	before[1] = before[0];
	if (x)
		t->w.line[tap * t->g->avx512.chunk + before[1]++] = (struct hl_wgrad_line){x, dy};
}

/* Lists line n of the chunk, which is line l of its slice there, under every tap of depth and height. */
static void list_line(const struct hl_wgrad_task *t, const struct places *p, const struct slots *s, int64_t n,
                      int64_t l, const float *dy)
{
	const struct hl_wgrad *g = t->g;

	for (int64_t kd = 0; kd < g->window.size.d; kd++)
		for (int64_t kh = 0; kh < g->window.size.h; kh++) {
			int64_t row = s->base + kd * s->rows + l * s->step + kh * s->apart, first, second;
			const float *x = NULL;
			if (rows_under(g, p, kd, kh, &first, &second))
				x = g->avx512.pack_in ? packed_row(t, row, first, second)
				                      : (const float *)(const void *)t->in + first + t->from;
			list(t, kd * g->window.size.h + kh, n, x, dy);
		}
}

/* The same where a filter's 3 x 3 inputs are one tile: rows of padding are needed too. */
static void list_square(const struct hl_wgrad_task *t, const struct places *p, const struct slots *s, int64_t n,
                        int64_t l, const float *dy)
{
	const struct hl_wgrad *g = t->g;

	for (int64_t kd = 0; kd < g->window.size.d; kd++) {
		int64_t row = s->base + kd * s->rows + l * s->step;
		bool any = false;
		for (int64_t kh = 0; kh < g->window.size.h; kh++) {
			int64_t first, second;
			any = rows_under(g, p, kd, kh, &first, &second) || any;
			packed_row(t, row + kh * s->apart, first, second);
		}
		list(t, kd, n, any ? t->w.in + row * g->avx512.row : NULL, dy);
	}
}

void hl_wgrad_gather(struct hl_wgrad_task *t, int64_t begin, int64_t end)
{
	const struct hl_wgrad *g = t->g;
	const struct hl_wgrad_avx512 *v = &g->avx512;
	struct slots slots = {0};
	int64_t first = begin;

	memset(t->w.packed, 0, (size_t)v->rows * sizeof *t->w.packed);
	for (int64_t tap = 0; tap < hl_wgrad_row_taps_of(g); tap++)
		t->w.before[tap * (v->chunk + 1)] = 0;
	for (int64_t number = begin; number < end; number++) {
		struct places p = places_of(g, number);
		const float *dy = output_line(t, &p, number - begin);
		if (number == begin || number % v->lines == 0) {
			int64_t length = hl_wgrad_least(end - number, v->lines - number % v->lines);
			slots = slots_of(g, slots.base + g->window.size.d * slots.rows, length);
			first = number;
		}
		(v->square ? list_square : list_line)(t, &p, &slots, number - begin, number - first, dy);
		if (t->bias && !v->tiles)
			add_bias(t, dy);
	}
}

/* ---- fetching ahead ---- */

static void foresee_row(struct hl_wgrad_task *t, const char *data, int64_t element, int64_t count, int64_t length,
                        int64_t stride)
{
	int64_t size = (int64_t)hl_type_size(t->g->type);

	for (int64_t k = 0; element >= 0 && k < count; k++, element += stride) {
		const char *at = data + element * size, *end = at + length * size;
		for (at -= (uintptr_t)at % CACHE_LINE; at < end; at += CACHE_LINE)
			t->w.ahead[t->ahead++] = at;
	}
}

void hl_wgrad_foresee(struct hl_wgrad_task *t, int64_t begin, int64_t end)
{
	const struct hl_wgrad *g = t->g;
	int64_t fresh = hl_wgrad_least(g->avx512.step, g->window.size.h), o = t->block * HL_WGRAD_BLOCK,
	        row = g->in.w * g->in.c;
	bool whole = g->out.c <= HL_WGRAD_BLOCK;

	t->ahead = t->fetched = 0;
	for (int64_t number = begin; number < end; number++) {
		struct places p = places_of(g, number);
		int64_t element[2] = {p.first + o, p.second < 0 ? -1 : p.second + o};
		for (int k = 0; k < 2; k++)
			foresee_row(t, t->dout, element[k], whole ? 1 : g->out.w,
			            whole ? g->out.w * g->out.c : t->present, g->out.c);
		for (int64_t k = 1; k <= fresh; k++)
			if (rows_under(g, &p, g->window.size.d - 1, g->window.size.h - k, &element[0], &element[1])) {
				foresee_row(t, t->in, element[0], 1, row, 0);
				foresee_row(t, t->in, element[1], 1, row, 0);
			}
	}
}
#endif
