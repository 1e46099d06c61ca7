/* Batch norm, an addition, an activation and max pooling as one: forward reads the input twice (statistics, then
 * everything else) and writes nothing but what comes out of the pooling and, for each of its values, one byte: the
 * winner's place in its window, with a flag where the activation bent it. Backward reads the input twice (sums, then
 * the gradient, which may be written over it).
 *
 * Windows of two by two, or two by two by two, side by side, of channels that fill whole vectors, have loops of their
 * own; all other windows are walked place by place. */
#include "base/cpu.h"
#include "nn/backends/vector_norm.h"
#include "nn/backends/vector_pool.h"
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define PLACE 0x7f          /* of the winner in its window */
#define BENT 0x80           /* the winner was not above zero */
#define CHANNELS 16         /* the most that a vector holds */
#define ROWS_ELEMENTS 16384 /* about as many elements a piece */

/* What the loops need beyond the chain's own. */
struct job {
	struct hl_vector_task task;
	const struct hl_norm *norm;
	struct hl_shape in, out;
	uint8_t *winner; /* NULL: no backward will follow */
};

/* Where a row of windows lies in the input: the rows of pixels that it covers, and which row of windows it is. */
struct twos {
	int64_t first[4];
	int64_t image, d, h;
};

HL_VECTOR_INLINE struct twos twos_of(const struct job *job, int64_t row, const int depth)
{
	struct twos twos = {
	    .image = row / job->out.h / job->out.d, .d = row / job->out.h % job->out.d, .h = row % job->out.h};

	for (int k = 0; k < 2 * depth; k++) {
		int64_t d = depth * twos.d + k / 2, h = 2 * twos.h + k % 2;
		twos.first[k] = ((twos.image * job->in.d + d) * job->in.h + h) * job->in.w * job->in.c;
	}
	return twos;
}

/* A window: where it lies in the batch, the part of it inside the input, and its first place, which may be outside. */
struct view {
	int64_t image;
	struct hl_span span;
	struct hl_axes first;
};

HL_VECTOR_INLINE struct view view_of(const struct job *job, int64_t row, int64_t w)
{
	const struct hl_window *v = &job->norm->window;
	int64_t d = row / job->out.h % job->out.d, h = row % job->out.h;

	return (struct view){
	    .image = row / job->out.h / job->out.d,
	    .span = hl_pool_span(v, job->in, d, h, w),
	    .first = {d * v->stride.d - v->pad.d, h * v->stride.h - v->pad.h, w * v->stride.w - v->pad.w},
	};
}

/* The first element of a pixel of a window, and the pixel's place in it. */
HL_VECTOR_INLINE int64_t pixel_of(const struct job *job, const struct view *view, int64_t d, int64_t h, int64_t w,
                                  int32_t *place)
{
	const struct hl_axes *size = &job->norm->window.size;
	struct hl_shape in = job->in;

	*place = (int32_t)(((d - view->first.d) * size->h + h - view->first.h) * size->w + w - view->first.w);
	return (((view->image * in.d + d) * in.h + h) * in.w + w) * in.c;
}

/* The windows over a row of the input: rows of them, each by its first in pixels of the output and the place in it of
 * the row's beginning, as if the window began there; and the columns over one place of the row. */
struct over {
	int64_t row;
	int rows;
	int64_t first[HL_WINDOWS_MAX];
	int32_t place[HL_WINDOWS_MAX];
	int64_t from, to;
};

static void begin_row(const struct job *job, int64_t row, struct over *over)
{
	const struct hl_window *v = &job->norm->window;
	struct hl_shape in = job->in, out = job->out;
	int64_t image = row / in.h / in.d, d = row / in.h % in.d, h = row % in.h;
	struct hl_reach over_d = hl_reach_of(d, v->size.d, v->stride.d, v->pad.d, out.d);
	struct hl_reach over_h = hl_reach_of(h, v->size.h, v->stride.h, v->pad.h, out.h);

	over->row = row;
	over->rows = 0;
	over->from = over->to = 0;
	for (int64_t od = over_d.from; od < over_d.to; od++)
		for (int64_t oh = over_h.from; oh < over_h.to; oh++) {
			int64_t pd = d - od * v->stride.d + v->pad.d, ph = h - oh * v->stride.h + v->pad.h;
			over->first[over->rows] = ((image * out.d + od) * out.h + oh) * out.w;
			over->place[over->rows++] = (int32_t)((pd * v->size.h + ph) * v->size.w);
		}
}

/* ---- the loops, once for each instruction set ---- */

struct loops {
	hl_vector_range *forward, *sum, *differentiate;
};

#define LANES 4
#include "nn/backends/vector_fused_loops.h"
#undef LANES

/* Clang 14 takes no target from a pragma. */
#if defined(__x86_64__) && !defined(__clang__)
#define WIDE
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define LANES 8
#include "nn/backends/vector_fused_loops.h"
#undef LANES
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#define LANES 16
#include "nn/backends/vector_fused_loops.h"
#undef LANES
#pragma GCC pop_options
#endif

static const struct loops *loops_of(const struct hl_norm *norm, int depth)
{
	bool half = norm->node.half;

#if defined(WIDE)
	if (norm->node.width == 16)
		return &loops_x16[depth][half];
	if (norm->node.width == 8)
		return &loops_x8[depth][half];
#endif
	return &loops_x4[depth][half];
}

/* ---- the primitive ---- */

static int depth_of(const struct hl_norm *norm, int64_t channels)
{
	const struct hl_window *v = &norm->window;
	bool flat = v->size.d == 1 && v->stride.d == 1 && v->pad.d == 0;
	bool deep = v->size.d == 2 && v->stride.d == 2 && v->pad.d == 0;
	bool two =
	    v->size.h == 2 && v->size.w == 2 && v->stride.h == 2 && v->stride.w == 2 && v->pad.h == 0 && v->pad.w == 0;

	if (norm->adds || channels % CHANNELS || !two)
		return 0;
	return flat ? 1 : deep ? 2 : 0;
}

/* Mean and inverse deviation come first in what is saved. */
static size_t winners_at(int64_t channels)
{
	return (2 * (size_t)channels * sizeof(float) + 63) & ~(size_t)63;
}

static struct job job_of(const struct hl_norm *norm, const struct hl_call *call, const struct hl_norm_work *work)
{
	struct hl_shape in = call->in[0]->shape;

	return (struct job){.task = work->task,
	                    .norm = norm,
	                    .in = in,
	                    .out = norm->out,
	                    .winner = call->saved ? (uint8_t *)call->saved + winners_at(in.c) : NULL};
}

static int64_t grain_of(int64_t row)
{
	return (ROWS_ELEMENTS + row - 1) / row;
}

static void forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct hl_norm *norm = (const struct hl_norm *)primitive;
	struct hl_norm_work work;
	struct job job;

	hl_norm_begin(norm, call, &work);
	job = job_of(norm, call, &work);
	job.task.y = norm->adds ? call->in[1]->data : NULL;
	job.task.out = call->out->data;
	hl_vector_run(loops_of(norm, depth_of(norm, job.in.c))->forward, &job.task, job.out.n * job.out.d * job.out.h,
	              grain_of(job.in.w * job.in.c), norm->node.threads);
}

static void backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct hl_norm *norm = (const struct hl_norm *)primitive;
	int depth = depth_of(norm, call->in[0]->shape.c);
	const struct loops *loops = loops_of(norm, depth);
	struct hl_norm_work work;
	struct hl_shape by;
	struct job job;

	hl_norm_resume(norm, call, &work);
	job = job_of(norm, call, &work);
	job.task.b = call->dout->data;
	hl_vector_run(loops->sum, &job.task, job.task.shards, 1, norm->node.threads);
	hl_norm_conclude(norm, call, &work);
	job.task.out = call->din[0] ? call->din[0]->data : NULL;
	job.task.rest = norm->adds && call->din[1] ? call->din[1]->data : NULL;
	if (!job.task.out && !job.task.rest)
		return;
	by = depth > 0 ? job.out : job.in;
	hl_vector_run(loops->differentiate, &job.task, by.n * by.d * by.h, grain_of(job.in.w * job.in.c),
	              norm->node.threads);
}

enum hilum_status hl_norm_pooled(const struct hl_compile *request, struct hl_norm *norm)
{
	const struct hl_axes *size = &norm->window.size;
	struct hl_primitive *primitive = &norm->node.primitive;
	struct hl_cpu cpu = hl_cpu_describe();

	if (size->d * size->h * size->w > PLACE + 1 || !hl_windows_few(&norm->window))
		return HILUM_ERROR_UNSUPPORTED;
	norm->node.width = cpu.avx512 ? 16 : cpu.avx2 ? 8 : 4;
	primitive->forward = forward;
	primitive->backward = backward;
	primitive->keeps_output = false;
	if (request->training)
		primitive->saved = winners_at(request->shapes->in[0].c) + (size_t)hl_shape_count(norm->out);
	return HILUM_OK;
}
