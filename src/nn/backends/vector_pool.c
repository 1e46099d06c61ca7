/* Pooling. The gradient gathers: each input place sums over the windows that hold it, so rows are independent and the
 * order of the sums is the reference's. Max pooling keeps one byte per output: the winner's place in its window. */
#include "nn/backends/vector_pool.h"
#include <string.h>

#define BLOCK 64            /* channels at a time, so that running values stay in registers or the first cache */
#define PLACES_MAX 255      /* of a window of max pooling, for one byte to name them */
#define ROWS_ELEMENTS 16384 /* about as many elements a piece */

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
		int64_t count = hl_least(BLOCK, in.c - c0);
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

/* ---- gradients: a is the gradient of the output ---- */

HL_VECTOR_INLINE float term(const struct hl_vector_task *task, const struct hl_windows *list, int k, int64_t at,
                            const bool half, const bool maximum)
{
	float d = hl_vector_load(task->a, at, half);

	if (maximum)
		return ((const uint8_t *)task->b)[at] == list->place[k] ? d : 0.0F;
	return d * list->share[k];
}

HL_VECTOR_INLINE void gather(const struct hl_vector_task *task, const struct hl_windows *list, int64_t to,
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
		int64_t count = hl_least(BLOCK, channels - c0);
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
	struct hl_windows list;

	for (int64_t row = begin; row < end; row++)
		for (int64_t w = 0; w < in.w; w++) {
			hl_windows_over(&window, in, out, row, w, !maximum, &list);
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
		int64_t count = hl_least(BLOCK, in.c - c0);
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

	if (window.size.d * window.size.h * window.size.w > PLACES_MAX || !hl_windows_few(&window))
		return HILUM_ERROR_UNSUPPORTED;
	node->primitive.forward = max_forward;
	node->primitive.backward = max_backward;
	node->primitive.saved = request->training ? (size_t)hl_shape_count(request->shapes->out) : 0;
	return HILUM_OK;
}

enum hilum_status hl_vector_avgpool(const struct hl_compile *request, struct hl_vector *node)
{
	struct hl_window window = hl_pool_window(request->options, request->shapes->spatial);

	if (!hl_windows_few(&window))
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
