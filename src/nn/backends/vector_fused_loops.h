/* The loops of vector_fused.c for one instruction set; included once for each (lanes.h). */
#include "nn/backends/lanes.h"

#define two_forward LANES_NAME(two_forward)
#define two_sum LANES_NAME(two_sum)
#define two_differentiate LANES_NAME(two_differentiate)
#define any_forward LANES_NAME(any_forward)
#define any_sum LANES_NAME(any_sum)
#define any_differentiate LANES_NAME(any_differentiate)
#define any_differentiate_row LANES_NAME(any_differentiate_row)
#define no_window LANES_NAME(no_window)
#define left_over LANES_NAME(left_over)
#define forward_rows LANES_NAME(forward_rows)
#define sum_rows LANES_NAME(sum_rows)
#define differentiate_rows LANES_NAME(differentiate_rows)
#define bent LANES_NAME(bent)
#define unbent LANES_NAME(unbent)
#define coefficients LANES_NAME(coefficients)
#define coefficients_of LANES_NAME(coefficients_of)

/* value * below, or 0: see hl_vector_bend. */
HL_VECTOR_INLINE lanes_float bent(const struct hl_vector_task *task, lanes_float value)
{
	return (lanes_float)((lanes_int)(value * task->below) & task->keep);
}

/* What a window's gradient is before the activation, and the place that it goes to. */
HL_VECTOR_INLINE lanes_float unbent(const struct job *job, int64_t at, int64_t count, const bool half, lanes_int *place)
{
	lanes_int winner = lanes_load_bytes(job->winner + at, count);
	lanes_float d = lanes_load(job->task.b, at, count, half);

	*place = winner & PLACE;
	return lanes_select(lanes_equal(winner, *place), d, bent(&job->task, d));
}

/* Of the channels at hand; the tiles go on beyond the last channel. */
struct coefficients {
	lanes_float shift, scale, offset, slant;
};

HL_VECTOR_INLINE struct coefficients coefficients_of(const struct hl_vector_task *task, int64_t c)
{
	struct coefficients of;

	memcpy(&of.shift, task->shift + c, sizeof of.shift);
	memcpy(&of.scale, task->scale + c, sizeof of.scale);
	memcpy(&of.offset, task->offset + c, sizeof of.offset);
	memcpy(&of.slant, task->slant + c, sizeof of.slant);
	return of;
}

/* ---- forward ---- */

/* The winner so far of each channel. */
#define running LANES_NAME(running)
#define compete LANES_NAME(compete)
#define win LANES_NAME(win)
struct running {
	lanes_float best;
	lanes_int place;
};

/* Ties stay with the first; NaN wins. */
HL_VECTOR_INLINE void compete(struct running *running, lanes_float z, int32_t place, bool first)
{
	lanes_int here = lanes_all(place);
	lanes_mask wins = lanes_above(z, running->best) | lanes_nan(z);

	running->best = first ? z : lanes_select(wins, z, running->best);
	running->place = first ? here : lanes_select_int(wins, here, running->place);
}

HL_VECTOR_INLINE void win(const struct job *job, const struct running *running, int64_t at, int64_t count,
                          const bool half)
{
	lanes_float best = running->best, zero = {0}, other = bent(&job->task, best);
	lanes_mask above = lanes_above(best, zero);

	lanes_store(job->task.out, at, lanes_select(lanes_above(zero, best), other, best), count, half);
	if (job->winner)
		lanes_store_bytes(job->winner + at, lanes_select_int(above, running->place, running->place | BENT),
		                  count);
}

HL_VECTOR_INLINE void two_forward(const struct job *job, const struct twos *twos, int64_t from, int64_t to, int64_t c,
                                  const bool half, const int depth)
{
	struct coefficients of = coefficients_of(&job->task, c);
	struct running running = {{0}, {0}};

#pragma GCC unroll 8
	for (int place = 0; place < 4 * depth; place++) {
		int64_t at = twos->first[place / 2] + from + place % 2 * job->in.c;
		lanes_float x = lanes_load(job->task.a, at, LANES, half);
		compete(&running, (x - of.shift) * of.scale + of.offset, place, place == 0);
	}
	win(job, &running, to, LANES, half);
}

HL_VECTOR_INLINE void any_forward(const struct job *job, const struct view *view, int64_t to, int64_t c, int64_t count,
                                  const bool half)
{
	const struct hl_span *span = &view->span;
	struct coefficients of = coefficients_of(&job->task, c);
	struct running running = {{0}, {0}};
	bool first = true;

	for (int64_t d = span->from.d; d < span->to.d; d++)
		for (int64_t h = span->from.h; h < span->to.h; h++) {
			int32_t place;
			int64_t at = pixel_of(job, view, d, h, span->from.w, &place) + c;
			for (int64_t w = span->from.w; w < span->to.w; w++, at += job->in.c, place++, first = false) {
				lanes_float x = lanes_load(job->task.a, at, count, half);
				lanes_float z = (x - of.shift) * of.scale + of.offset;
				if (job->task.y)
					z += lanes_load(job->task.y, at, count, half);
				compete(&running, z, place, first);
			}
		}
	win(job, &running, to, count, half);
}

HL_VECTOR_INLINE void forward_rows(const struct job *job, int64_t begin, int64_t end, const bool half, const int depth)
{
	int64_t channels = job->in.c;

	for (int64_t row = begin; row < end; row++)
		for (int64_t w = 0; w < job->out.w; w++) {
			int64_t to = (row * job->out.w + w) * channels, c = 0;
			if (depth > 0) {
				struct twos twos = twos_of(job, row, depth);
				for (; c < channels; c += LANES)
					two_forward(job, &twos, 2 * w * channels + c, to + c, c, half, depth);
				continue;
			}
			struct view view = view_of(job, row, w);
			for (; c + LANES <= channels; c += LANES)
				any_forward(job, &view, to + c, c, LANES, half);
			if (c < channels)
				any_forward(job, &view, to + c, c, channels - c, half);
		}
}

/* ---- sums ---- */

#define add_terms LANES_NAME(add_terms)
HL_VECTOR_INLINE void add_terms(lanes_float g, lanes_float x, float *sum, float *product)
{
	lanes_float term;

	memcpy(&term, sum, sizeof term);
	term += g;
	memcpy(sum, &term, sizeof term);
	memcpy(&term, product, sizeof term);
	term += g * x;
	memcpy(product, &term, sizeof term);
}

HL_VECTOR_INLINE void two_sum(const struct job *job, const struct twos *twos, int64_t from, int64_t to, int64_t c,
                              float *sum, float *product, const bool half, const int depth)
{
	lanes_float shift, x = {0};
	lanes_int place;
	lanes_float g = unbent(job, to, LANES, half, &place);

	memcpy(&shift, job->task.shift + c, sizeof shift);
#pragma GCC unroll 8
	for (int k = 0; k < 4 * depth; k++) {
		int64_t at = twos->first[k / 2] + from + k % 2 * job->in.c;
		lanes_mask here = lanes_equal(place, lanes_all(k));
		lanes_float value = lanes_loaded(lanes_load(job->task.a, at, LANES, half));
		x = lanes_select(here, value, x);
	}
	add_terms(g, x - shift, sum + c, product + c);
}

HL_VECTOR_INLINE void any_sum(const struct job *job, const struct view *view, int64_t to, int64_t c, int64_t count,
                              float *sum, float *product, const bool half)
{
	const struct hl_span *span = &view->span;
	lanes_float shift, x = {0};
	lanes_int place;
	lanes_float g = unbent(job, to, count, half, &place);

	memcpy(&shift, job->task.shift + c, sizeof shift);
	for (int64_t d = span->from.d; d < span->to.d; d++)
		for (int64_t h = span->from.h; h < span->to.h; h++) {
			int32_t k;
			int64_t at = pixel_of(job, view, d, h, span->from.w, &k) + c;
			for (int64_t w = span->from.w; w < span->to.w; w++, at += job->in.c, k++) {
				lanes_float value = lanes_loaded(lanes_load(job->task.a, at, count, half));
				x = lanes_select(lanes_equal(place, lanes_all(k)), value, x);
			}
		}
	add_terms(g, x - shift, sum + c, product + c);
}

#define sum_row LANES_NAME(sum_row)
HL_VECTOR_INLINE void sum_row(const struct job *job, int64_t row, float *sum, float *product, const bool half,
                              const int depth)
{
	int64_t channels = job->in.c;

	for (int64_t w = 0; w < job->out.w; w++) {
		int64_t to = (row * job->out.w + w) * channels, c = 0;
		if (depth > 0) {
			struct twos twos = twos_of(job, row, depth);
			for (; c < channels; c += LANES)
				two_sum(job, &twos, 2 * w * channels + c, to + c, c, sum, product, half, depth);
			continue;
		}
		struct view view = view_of(job, row, w);
		for (; c + LANES <= channels; c += LANES)
			any_sum(job, &view, to + c, c, LANES, sum, product, half);
		if (c < channels)
			any_sum(job, &view, to + c, c, channels - c, sum, product, half);
	}
}

/* Over shards of rows of windows: in float along a row, in double from row to row. */
HL_VECTOR_INLINE void sum_rows(const struct job *job, int64_t begin, int64_t end, const bool half, const int depth)
{
	int64_t tile = job->task.tile, channels = job->in.c, rows = job->out.n * job->out.d * job->out.h;

	for (int64_t shard = begin; shard < end; shard++) {
		float *sum = job->task.partial + shard * 2 * tile, *product = sum + tile;
		double *sums = job->task.sums + shard * 2 * tile;
		memset(sums, 0, (size_t)(2 * tile) * sizeof *sums);
		for (int64_t row = rows * shard / job->task.shards; row < rows * (shard + 1) / job->task.shards;
		     row++) {
			memset(sum, 0, (size_t)(2 * tile) * sizeof *sum);
			sum_row(job, row, sum, product, half, depth);
			for (int64_t c = 0; c < channels; c++) {
				sums[c] += (double)sum[c];
				sums[tile + c] += (double)product[c];
			}
		}
	}
}

/* ---- the gradient by the input ---- */

/* dx for g, written for count channels from element at on. */
#define put LANES_NAME(put)
HL_VECTOR_INLINE void put(const struct job *job, const struct coefficients *of, lanes_float g, int64_t at,
                          int64_t count, const bool half)
{
	lanes_float x = lanes_load(job->task.a, at, count, half) - of->shift;

	lanes_store(job->task.out, at, ((g - of->offset) - x * of->slant) * of->scale, count, half);
}

HL_VECTOR_INLINE void two_differentiate(const struct job *job, const struct twos *twos, int64_t from, int64_t to,
                                        int64_t c, const bool half, const int depth)
{
	struct coefficients of = coefficients_of(&job->task, c);
	lanes_float zero = {0};
	lanes_int place;
	lanes_float g = unbent(job, to, LANES, half, &place);

#pragma GCC unroll 8
	for (int k = 0; k < 4 * depth; k++) {
		lanes_mask here = lanes_equal(place, lanes_all(k));
		put(job, &of, lanes_select(here, g, zero), twos->first[k / 2] + from + k % 2 * job->in.c, LANES, half);
	}
}

/* Pixels that no window holds. */
HL_VECTOR_INLINE void no_window(const struct job *job, int64_t at, int64_t count, const bool half)
{
	int64_t channels = job->in.c;

	for (int64_t end = at + count; at < end; at += channels)
		for (int64_t c = 0; c < channels; c += LANES) {
			struct coefficients of = coefficients_of(&job->task, c);
			put(job, &of, (lanes_float){0}, at + c, LANES, half);
		}
}

/* What is left over of odd sizes, done by the last row of windows next to it. */
HL_VECTOR_INLINE void left_over(const struct job *job, const struct twos *twos, const bool half, const int depth)
{
	int64_t line = job->in.w * job->in.c, plane = job->in.h * line, used = 2 * job->out.w * job->in.c;
	int64_t image = twos->image * job->in.d * plane;

	if (used < line)
		for (int k = 0; k < 2 * depth; k++)
			no_window(job, twos->first[k] + used, line - used, half);
	if (twos->h < job->out.h - 1)
		return;
	for (int k = 0; k < depth; k++)
		no_window(job, image + (depth * twos->d + k) * plane + 2 * job->out.h * line,
		          (job->in.h - 2 * job->out.h) * line, half);
	if (twos->d == job->out.d - 1)
		no_window(job, image + depth * job->out.d * plane, (job->in.d - depth * job->out.d) * plane, half);
}

/* One pixel of the input, place w of its row: the windows that it won, in columns [from, to), give their gradients.
 * task.rest: where their sum goes too, or NULL. */
HL_VECTOR_INLINE void any_differentiate(const struct job *job, const struct over *over, int64_t w, int64_t c,
                                        int64_t count, const bool half)
{
	const struct hl_window *v = &job->norm->window;
	struct coefficients of = coefficients_of(&job->task, c);
	int64_t at = (over->row * job->in.w + w) * job->in.c + c;
	lanes_float g = {0}, zero = {0};

	for (int k = 0; k < over->rows; k++)
		for (int64_t column = over->from; column < over->to; column++) {
			lanes_int place;
			lanes_float d = unbent(job, (over->first[k] + column) * job->in.c + c, count, half, &place);
			int32_t mine = over->place[k] + (int32_t)(w + v->pad.w - column * v->stride.w);
			g += lanes_select(lanes_equal(place, lanes_all(mine)), d, zero);
		}
	if (job->task.rest)
		lanes_store(job->task.rest, at, g, count, half);
	if (job->task.out)
		put(job, &of, g, at, count, half);
}

HL_VECTOR_INLINE void any_differentiate_row(const struct job *job, int64_t row, const bool half)
{
	const struct hl_window *v = &job->norm->window;
	int64_t channels = job->in.c;
	struct over over;

	begin_row(job, row, &over);
	for (int64_t w = 0; w < job->in.w; w++) {
		int64_t c = 0;
		while (over.from < job->out.w && over.from * v->stride.w - v->pad.w + v->size.w <= w)
			over.from++;
		while (over.to < job->out.w && over.to * v->stride.w - v->pad.w <= w)
			over.to++;
		for (; c + LANES <= channels; c += LANES)
			any_differentiate(job, &over, w, c, LANES, half);
		if (c < channels)
			any_differentiate(job, &over, w, c, channels - c, half);
	}
}

HL_VECTOR_INLINE void differentiate_rows(const struct job *job, int64_t begin, int64_t end, const bool half,
                                         const int depth)
{
	int64_t channels = job->in.c;

	for (int64_t row = begin; row < end && depth > 0; row++) {
		struct twos twos = twos_of(job, row, depth);
		for (int64_t w = 0; w < job->out.w; w++)
			for (int64_t c = 0; c < channels; c += LANES)
				two_differentiate(job, &twos, 2 * w * channels + c,
				                  (row * job->out.w + w) * channels + c, c, half, depth);
		left_over(job, &twos, half, depth);
	}
	for (int64_t row = begin; row < end && depth == 0; row++)
		any_differentiate_row(job, row, half);
}

/* ---- one function for each ---- */

#define LOOP(name, body, half, depth)                                                                                  \
	static __attribute__((noinline)) void LANES_NAME(name)(const struct hl_vector_task *task, int64_t begin,       \
	                                                       int64_t end)                                            \
	{                                                                                                              \
		/* A copy that nothing points to stays in registers whatever is written. */                            \
		struct job job = *(const struct job *)task;                                                            \
		body(&job, begin, end, half, depth);                                                                   \
	}

LOOP(forward_any32, forward_rows, false, 0)
LOOP(forward_any16, forward_rows, true, 0)
LOOP(forward_flat32, forward_rows, false, 1)
LOOP(forward_flat16, forward_rows, true, 1)
LOOP(forward_deep32, forward_rows, false, 2)
LOOP(forward_deep16, forward_rows, true, 2)
LOOP(sum_any32, sum_rows, false, 0)
LOOP(sum_any16, sum_rows, true, 0)
LOOP(sum_flat32, sum_rows, false, 1)
LOOP(sum_flat16, sum_rows, true, 1)
LOOP(sum_deep32, sum_rows, false, 2)
LOOP(sum_deep16, sum_rows, true, 2)
LOOP(differentiate_any32, differentiate_rows, false, 0)
LOOP(differentiate_any16, differentiate_rows, true, 0)
LOOP(differentiate_flat32, differentiate_rows, false, 1)
LOOP(differentiate_flat16, differentiate_rows, true, 1)
LOOP(differentiate_deep32, differentiate_rows, false, 2)
LOOP(differentiate_deep16, differentiate_rows, true, 2)
#undef LOOP

#define TRIO(kind)                                                                                                     \
	{                                                                                                              \
		LANES_NAME(forward_##kind), LANES_NAME(sum_##kind), LANES_NAME(differentiate_##kind)                   \
	}

/* [depth, 0: any windows][bfloat16] */
static const struct loops LANES_NAME(loops)[3][2] = {
    {TRIO(any32), TRIO(any16)}, {TRIO(flat32), TRIO(flat16)}, {TRIO(deep32), TRIO(deep16)}};
#undef TRIO
