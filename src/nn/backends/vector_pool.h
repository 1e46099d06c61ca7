/* Which pooling windows hold a place of the input: what the gradients of pooling gather from. */
#ifndef HL_NN_BACKENDS_VECTOR_POOL_H
#define HL_NN_BACKENDS_VECTOR_POOL_H
#include "nn/backends/vector.h"
#include "nn/ops/common.h"

#define HL_WINDOWS_MAX 64 /* over one input place; more (stride much below size) goes to the reference */

static inline int64_t hl_least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

struct hl_reach {
	int64_t from, to;
};

static inline struct hl_reach hl_reach_of(int64_t at, int64_t size, int64_t stride, int64_t pad, int64_t limit)
{
	int64_t first = at + pad - size + 1;
	struct hl_reach reach = {first <= 0 ? 0 : (first + stride - 1) / stride, (at + pad) / stride + 1};

	reach.to = hl_least(reach.to, limit);
	return reach;
}

struct hl_windows {
	int count;
	int64_t out[HL_WINDOWS_MAX];   /* place of the window's output, in pixels of the batch */
	int32_t place[HL_WINDOWS_MAX]; /* of the input in that window */
	float share[HL_WINDOWS_MAX];   /* one over the places of the window that count */
};

static inline void hl_windows_over(const struct hl_window *v, struct hl_shape in, struct hl_shape out, int64_t row,
                                   int64_t w, bool shares, struct hl_windows *list)
{
	int64_t image = row / in.h / in.d, d = row / in.h % in.d, h = row % in.h;
	struct hl_reach over_d = hl_reach_of(d, v->size.d, v->stride.d, v->pad.d, out.d);
	struct hl_reach over_h = hl_reach_of(h, v->size.h, v->stride.h, v->pad.h, out.h);
	struct hl_reach over_w = hl_reach_of(w, v->size.w, v->stride.w, v->pad.w, out.w);

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

static inline bool hl_windows_few(const struct hl_window *v)
{
	int64_t d = (v->size.d + v->stride.d - 1) / v->stride.d, h = (v->size.h + v->stride.h - 1) / v->stride.h;
	int64_t w = (v->size.w + v->stride.w - 1) / v->stride.w;

	return d <= HL_WINDOWS_MAX && h <= HL_WINDOWS_MAX && w <= HL_WINDOWS_MAX && d * h * w <= HL_WINDOWS_MAX;
}
#endif
