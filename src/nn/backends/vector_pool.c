/* Pooling. The gradient gathers: each input place sums over the windows that hold it, so rows are independent and the
 * order of the sums is the reference's. Max pooling keeps one byte per output: the winner's place in its window. */
#include "nn/backends/vector.h"
#include "nn/ops/common.h"
#include <string.h>

#define BLOCK 64            /* channels at a time, so that running values stay in registers or the first cache */
#define PLACES_MAX 255      /* of a window of max pooling, for one byte to name them */
#define WINDOWS_MAX 64      /* over one input place; more (stride much below size) goes to the reference */
#define ROWS_ELEMENTS 16384 /* about as many elements a piece */

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- max, forward ---- */

HL_VECTOR_INLINE void max_place(const void *in, int64_t from, int64_t count, int32_t place, bool first,
                                float *restrict best, int32_t *restrict winner, const bool half)
{
	if (first) {
		for (int64_t c = 0; c < count; c++) {
			best[c] = hl_vector_load(in, from + c, half);
			winner[c] = place;
		}
		return;
	}
	for (int64_t c = 0; c < count; c++) {
		float x = hl_vector_load(in, from + c, half);
		/* Ties stay with the first; NaN wins. */
		bool wins = (x > best[c]) | (x != x);
		best[c] = wins ? x : best[c];
		winner[c] = wins ? place : winner[c];
	}
}

HL_VECTOR_INLINE void max_window(const struct hl_vector_task *task, const struct hl_window *window,
                                 const struct hl_axes *at, int64_t image, int64_t to, const bool half)
{
	struct hl_shape in = task->call->shapes->in[0];
	struct hl_span span = hl_pool_span(window, in, at->d, at->h, at->w);
	int64_t d0 = at->d * window->stride.d - window->pad.d, h0 = at->h * window->stride.h - window->pad.h;
	int64_t w0 = at->w * window->stride.w - window->pad.w;
	uint8_t *saved = task->call->saved;

	for (int64_t c0 = 0; c0 < in.c; c0 += BLOCK) {
		int64_t count = least(BLOCK, in.c - c0);
		float best[BLOCK];
		int32_t winner[BLOCK];
		bool first = true;
		for (int64_t d = span.from.d; d < span.to.d; d++)
			for (int64_t h = span.from.h; h < span.to.h; h++)
				for (int64_t w = span.from.w; w < span.to.w; w++, first = false) {
					int64_t place = ((d - d0) * window->size.h + h - h0) * window->size.w + w - w0;
					int64_t from = (((image * in.d + d) * in.h + h) * in.w + w) * in.c + c0;
					max_place(task->a, from, count, (int32_t)place, first, best, winner, half);
				}
		/* Padding is at most half a window (ops/pool.c), so that some voxel set every best. */
		for (int64_t c = 0; c < count; c++) /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage) */
			hl_vector_store(task->out, to + c0 + c, best[c], half);
		if (saved)
			for (int64_t c = 0; c < count; c++)
				saved[to + c0 + c] = (uint8_t)winner[c];
	}
}

HL_VECTOR_INLINE void max_rows(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half)
{
	struct hl_window window = hl_pool_window(task->call->options, task->call->shapes->spatial);
	struct hl_shape out = task->call->shapes->out;

	for (int64_t row = begin; row < end; row++)
		for (int64_t w = 0; w < out.w; w++) {
			struct hl_axes at = {row / out.h % out.d, row % out.h, w};
			max_window(task, &window, &at, row / out.h / out.d, (row * out.w + w) * out.c, half);
		}
}

static HL_VECTOR_CLONES void max_rows32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	max_rows(task, begin, end, false);
}

static HL_VECTOR_CLONES void max_rows16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	max_rows(task, begin, end, true);
}

/* ---- which windows hold an input place ---- */

struct reach {
	int64_t from, to;
};

static inline struct reach reach_of(int64_t at, int64_t size, int64_t stride, int64_t pad, int64_t limit)
{
	int64_t first = at + pad - size + 1;
	struct reach reach = {first <= 0 ? 0 : (first + stride - 1) / stride, (at + pad) / stride + 1};

	reach.to = least(reach.to, limit);
	return reach;
}

struct windows {
	int count;
	int64_t out[WINDOWS_MAX];   /* place of the window's output, in pixels of the batch */
	int32_t place[WINDOWS_MAX]; /* of the input in that window */
	float share[WINDOWS_MAX];   /* one over the places of the window that count */
};

static inline void windows_over(const struct hl_window *v, struct hl_shape in, struct hl_shape out, int64_t row,
                                int64_t w, bool shares, struct windows *list)
{
	int64_t image = row / in.h / in.d, d = row / in.h % in.d, h = row % in.h;
	struct reach over_d = reach_of(d, v->size.d, v->stride.d, v->pad.d, out.d);
	struct reach over_h = reach_of(h, v->size.h, v->stride.h, v->pad.h, out.h);
	struct reach over_w = reach_of(w, v->size.w, v->stride.w, v->pad.w, out.w);

	list->count = 0;
	for (int64_t od = over_d.from; od < over_d.to; od++)
		for (int64_t oh = over_h.from; oh < over_h.to; oh++)
			for (int64_t ow = over_w.from; ow < over_w.to; ow++) {
				int64_t pd = d - od * v->stride.d + v->pad.d, ph = h - oh * v->stride.h + v->pad.h;
				int64_t pw = w - ow * v->stride.w + v->pad.w;
				list->out[list->count] = ((image * out.d + od) * out.h + oh) * out.w + ow;
				list->place[list->count] = (int32_t)((pd * v->size.h + ph) * v->size.w + pw);
				if (shares) {
					struct hl_span span = hl_pool_span(v, in, od, oh, ow);
					list->share[list->count] =
					    1.0F / (float)((span.to.d - span.from.d) * (span.to.h - span.from.h) *
					                   (span.to.w - span.from.w));
				}
				list->count++;
			}
}

static bool few_windows(const struct hl_window *v)
{
	int64_t d = (v->size.d + v->stride.d - 1) / v->stride.d, h = (v->size.h + v->stride.h - 1) / v->stride.h;
	int64_t w = (v->size.w + v->stride.w - 1) / v->stride.w;

	return d <= WINDOWS_MAX && h <= WINDOWS_MAX && w <= WINDOWS_MAX && d * h * w <= WINDOWS_MAX;
}

/* ---- gradients: a is the gradient of the output ---- */

HL_VECTOR_INLINE float term(const struct hl_vector_task *task, const struct windows *list, int k, int64_t at,
                            const bool half, const bool maximum)
{
	float d = hl_vector_load(task->a, at, half);

	if (maximum)
		return ((const uint8_t *)task->b)[at] == list->place[k] ? d : 0.0F;
	return d * list->share[k];
}

HL_VECTOR_INLINE void gather(const struct hl_vector_task *task, const struct windows *list, int64_t to,
                             int64_t channels, const bool half, const bool maximum)
{
	if (list->count == 0) {
		memset((char *)task->out + (size_t)to * (half ? 2 : 4), 0, (size_t)channels * (half ? 2 : 4));
		return;
	}
	if (list->count == 1) {
		int64_t from = list->out[0] * channels;
#pragma GCC ivdep
		for (int64_t c = 0; c < channels; c++)
			hl_vector_store(task->out, to + c, term(task, list, 0, from + c, half, maximum), half);
		return;
	}
	for (int64_t c0 = 0; c0 < channels; c0 += BLOCK) {
		int64_t count = least(BLOCK, channels - c0);
		float sum[BLOCK];
		for (int64_t c = 0; c < count; c++)
			sum[c] = 0.0F;
		for (int k = 0; k < list->count; k++) {
			int64_t from = list->out[k] * channels + c0;
			for (int64_t c = 0; c < count; c++)
				sum[c] += term(task, list, k, from + c, half, maximum);
		}
		for (int64_t c = 0; c < count; c++)
			hl_vector_store(task->out, to + c0 + c, sum[c], half);
	}
}

HL_VECTOR_INLINE void gather_rows(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half,
                                  const bool maximum)
{
	struct hl_window window = hl_pool_window(task->call->options, task->call->shapes->spatial);
	struct hl_shape in = task->call->shapes->in[0], out = task->call->shapes->out;
	struct windows list;

	for (int64_t row = begin; row < end; row++)
		for (int64_t w = 0; w < in.w; w++) {
			windows_over(&window, in, out, row, w, !maximum, &list);
			gather(task, &list, (row * in.w + w) * in.c, in.c, half, maximum);
		}
}

static HL_VECTOR_CLONES void max_gather32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	gather_rows(task, begin, end, false, true);
}

static HL_VECTOR_CLONES void max_gather16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	gather_rows(task, begin, end, true, true);
}

static HL_VECTOR_CLONES void average_gather32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	gather_rows(task, begin, end, false, false);
}

static HL_VECTOR_CLONES void average_gather16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	gather_rows(task, begin, end, true, false);
}

/* ---- average, forward ---- */

/* Mean of the places of a span of one image. */
HL_VECTOR_INLINE void average_window(const struct hl_vector_task *task, const struct hl_span *span, int64_t image,
                                     int64_t to, const bool half)
{
	struct hl_shape in = task->call->shapes->in[0];
	double places =
	    (double)((span->to.d - span->from.d) * (span->to.h - span->from.h) * (span->to.w - span->from.w));

	for (int64_t c0 = 0; c0 < in.c; c0 += BLOCK) {
		int64_t count = least(BLOCK, in.c - c0);
		double sum[BLOCK] = {0};
		for (int64_t d = span->from.d; d < span->to.d; d++)
			for (int64_t h = span->from.h; h < span->to.h; h++)
				for (int64_t w = span->from.w; w < span->to.w; w++) {
					int64_t from = (((image * in.d + d) * in.h + h) * in.w + w) * in.c + c0;
					for (int64_t c = 0; c < count; c++)
						sum[c] += (double)hl_vector_load(task->a, from + c, half);
				}
		for (int64_t c = 0; c < count; c++)
			hl_vector_store(task->out, to + c0 + c, (float)(sum[c] / places), half);
	}
}

HL_VECTOR_INLINE void average_rows(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half)
{
	struct hl_window window = hl_pool_window(task->call->options, task->call->shapes->spatial);
	struct hl_shape in = task->call->shapes->in[0], out = task->call->shapes->out;

	for (int64_t row = begin; row < end; row++)
		for (int64_t w = 0; w < out.w; w++) {
			struct hl_span span = hl_pool_span(&window, in, row / out.h % out.d, row % out.h, w);
			average_window(task, &span, row / out.h / out.d, (row * out.w + w) * out.c, half);
		}
}

static HL_VECTOR_CLONES void average_rows32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	average_rows(task, begin, end, false);
}

static HL_VECTOR_CLONES void average_rows16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	average_rows(task, begin, end, true);
}

/* ---- global average ---- */

HL_VECTOR_INLINE void whole_images(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half)
{
	struct hl_shape in = task->call->shapes->in[0];
	struct hl_span span = {{0, 0, 0}, {in.d, in.h, in.w}};

	for (int64_t image = begin; image < end; image++)
		average_window(task, &span, image, image * in.c, half);
}

static HL_VECTOR_CLONES void whole_images32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	whole_images(task, begin, end, false);
}

static HL_VECTOR_CLONES void whole_images16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	whole_images(task, begin, end, true);
}

HL_VECTOR_INLINE void spread(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half)
{
	struct hl_shape in = task->call->shapes->in[0];
	int64_t places = in.d * in.h * in.w;
	float share = 1.0F / (float)places;

	for (int64_t image = begin; image < end; image++)
		for (int64_t place = 0; place < places; place++) {
			int64_t to = (image * places + place) * in.c, from = image * in.c;
#pragma GCC ivdep
			for (int64_t c = 0; c < in.c; c++)
				hl_vector_store(task->out, to + c, hl_vector_load(task->a, from + c, half) * share,
				                half);
		}
}

static HL_VECTOR_CLONES void spread32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	spread(task, begin, end, false);
}

static HL_VECTOR_CLONES void spread16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	spread(task, begin, end, true);
}

/* ---- the nodes ---- */

static void over_rows(struct hl_primitive *primitive, const struct hl_call *call, bool back, hl_vector_range *range32,
                      hl_vector_range *range16)
{
	const struct hl_vector *node = (const struct hl_vector *)primitive;
	struct hl_vector_task task = {.call = call, .b = call->saved};
	struct hl_shape shape = back ? call->shapes->in[0] : call->shapes->out;
	int64_t row = shape.w * shape.c;

	if (back && !call->din[0])
		return;
	task.a = back ? call->dout->data : call->in[0]->data;
	task.out = back ? call->din[0]->data : call->out->data;
	hl_vector_run(node->half ? range16 : range32, &task, shape.n * shape.d * shape.h,
	              (ROWS_ELEMENTS + row - 1) / row, node->threads);
}

static void over_images(struct hl_primitive *primitive, const struct hl_call *call, bool back, hl_vector_range *range32,
                        hl_vector_range *range16)
{
	const struct hl_vector *node = (const struct hl_vector *)primitive;
	struct hl_vector_task task = {.call = call};

	if (back && !call->din[0])
		return;
	task.a = back ? call->dout->data : call->in[0]->data;
	task.out = back ? call->din[0]->data : call->out->data;
	hl_vector_run(node->half ? range16 : range32, &task, call->shapes->in[0].n, 1, node->threads);
}

static void max_forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	over_rows(primitive, call, false, max_rows32, max_rows16);
}

static void max_backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	over_rows(primitive, call, true, max_gather32, max_gather16);
}

static void average_forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	over_rows(primitive, call, false, average_rows32, average_rows16);
}

static void average_backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	over_rows(primitive, call, true, average_gather32, average_gather16);
}

static void whole_forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	over_images(primitive, call, false, whole_images32, whole_images16);
}

static void whole_backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	over_images(primitive, call, true, spread32, spread16);
}

enum hilum_status hl_vector_maxpool(const struct hl_compile *request, struct hl_vector *node)
{
	struct hl_window window = hl_pool_window(request->options, request->shapes->spatial);

	if (window.size.d * window.size.h * window.size.w > PLACES_MAX || !few_windows(&window))
		return HILUM_ERROR_UNSUPPORTED;
	node->primitive.forward = max_forward;
	node->primitive.backward = max_backward;
	node->primitive.saved = request->training ? (size_t)hl_shape_count(request->shapes->out) : 0;
	return HILUM_OK;
}

enum hilum_status hl_vector_avgpool(const struct hl_compile *request, struct hl_vector *node)
{
	struct hl_window window = hl_pool_window(request->options, request->shapes->spatial);

	if (!few_windows(&window))
		return HILUM_ERROR_UNSUPPORTED;
	node->primitive.forward = average_forward;
	node->primitive.backward = average_backward;
	return HILUM_OK;
}

enum hilum_status hl_vector_globalpool(const struct hl_compile *request, struct hl_vector *node)
{
	const struct hl_globalpool_options *options = request->options;

	if (options->mode != HL_GLOBALPOOL_AVG)
		return HILUM_ERROR_UNSUPPORTED;
	node->primitive.forward = whole_forward;
	node->primitive.backward = whole_backward;
	return HILUM_OK;
}
