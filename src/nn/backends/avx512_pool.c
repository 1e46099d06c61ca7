/* Max pooling of what a pass has summed, while it is in cache. */
#include "nn/backends/avx512_lanes.h"
#include "nn/backends/avx512_private.h"

#define INLINE HL_AVX512_INLINE

/* The largest of a window that begins at in, of so many planes, rows and places, for some of the channels. NaN wins. */
INLINE __m512 window(const enum hl_type type, const struct hl_pass *pass, const char *in, struct hl_axes size,
                     __mmask16 mask)
{
	__m512 best = hl_lanes_load(type, in, mask);

	for (int64_t d = 0; d < size.d; d++)
		for (int64_t h = 0; h < size.h; h++) {
			const char *at = in + d * pass->out.axis[0] + h * pass->out.axis[1];
			for (int64_t w = 0; w < size.w; w++, at += pass->out.axis[2]) {
				__m512 value = hl_lanes_load(type, at, mask);
				__mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
				/* Of two numbers of which one is NaN, the second. */
				best = _mm512_mask_mov_ps(_mm512_max_ps(value, best), nan, value);
			}
		}
	return best;
}

INLINE __m512i window_u8(const struct hl_pass *pass, const char *in, struct hl_axes size, __mmask64 mask)
{
	__m512i best = _mm512_setzero_si512();

	for (int64_t d = 0; d < size.d; d++)
		for (int64_t h = 0; h < size.h; h++) {
			const char *at = in + d * pass->out.axis[0] + h * pass->out.axis[1];
			for (int64_t w = 0; w < size.w; w++, at += pass->out.axis[2])
				best = _mm512_max_epu8(best, _mm512_maskz_loadu_epi8(mask, at));
		}
	return best;
}

INLINE void pool_rows(const enum hl_type type, const struct hl_pass *pass, const struct hl_pass_pool *pool)
{
	const struct hl_shape grid = {1, pass->axis[0].count, pass->axis[1].count, pass->axis[2].count, 1};
	const struct hl_shape *shape = &pass->pooled;
	const struct hl_window *v = &pass->window;
	const int64_t bytes = type == HL_BF16 ? 2 : 4;

	for (int64_t h = pool->h; h < pool->h + pool->rows; h++) {
		int64_t at = ((pool->image * shape->d + pool->d) * shape->h + h) * shape->w;
		struct hl_span span = hl_pool_span(v, grid, pool->d, h, 0);
		struct hl_axes size = {span.to.d - span.from.d, span.to.h - span.from.h, 0};
		const char *row = pool->box + (span.from.d - pool->from.d) * pass->out.axis[0] +
		                  (span.from.h - pool->from.h) * pass->out.axis[1];
		char *out = pool->out + at * pass->out_bytes;
		for (int64_t w = 0; w < shape->w; w++, out += pass->out_bytes) {
			int64_t from = w * v->stride.w - v->pad.w, to = from + v->size.w;
			const char *in;
			from = from < 0 ? 0 : from;
			size.w = (to < grid.w ? to : grid.w) - from;
			in = row + from * pass->out.axis[2];
			for (int64_t c = 0; c < pass->outputs; c += HL_TILE_LANES) {
				__mmask16 mask = hl_lanes_mask(pass->outputs, c);
				__m512 best = size.d == 1 && size.h == 2 && size.w == 2
				                  ? window(type, pass, in + c * bytes, (struct hl_axes){1, 2, 2}, mask)
				                  : window(type, pass, in + c * bytes, size, mask);
				hl_lanes_store(type, out + c * bytes, best, mask, false);
			}
		}
	}
}

/* The same of bytes: sixty-four channels at a time. */
HL_AVX512 static void pool_u8(const struct hl_pass *pass, const struct hl_pass_pool *pool)
{
	const struct hl_shape grid = {1, pass->axis[0].count, pass->axis[1].count, pass->axis[2].count, 1};
	const struct hl_shape *shape = &pass->pooled;
	const struct hl_window *v = &pass->window;

	for (int64_t h = pool->h; h < pool->h + pool->rows; h++) {
		int64_t at = ((pool->image * shape->d + pool->d) * shape->h + h) * shape->w;
		char *out = pool->out + at * pass->out_bytes;
		for (int64_t w = 0; w < shape->w; w++, out += pass->out_bytes) {
			struct hl_span span = hl_pool_span(v, grid, pool->d, h, w);
			const char *in = pool->box + (span.from.d - pool->from.d) * pass->out.axis[0] +
			                 (span.from.h - pool->from.h) * pass->out.axis[1] +
			                 span.from.w * pass->out.axis[2];
			struct hl_axes size = {span.to.d - span.from.d, span.to.h - span.from.h,
			                       span.to.w - span.from.w};
			for (int64_t c = 0; c < pass->outputs; c += 64) {
				int64_t left = pass->outputs - c;
				__mmask64 mask = left < 64 ? ((__mmask64)1 << left) - 1 : ~(__mmask64)0;
				_mm512_mask_storeu_epi8(out + c, mask, window_u8(pass, in + c, size, mask));
			}
		}
	}
}

HL_AVX512 static void pool_f32(const struct hl_pass *pass, const struct hl_pass_pool *pool)
{
	pool_rows(HL_F32, pass, pool);
}

HL_AVX512 static void pool_bf16(const struct hl_pass *pass, const struct hl_pass_pool *pool)
{
	pool_rows(HL_BF16, pass, pool);
}

void hl_pass_pool(const struct hl_pass *pass, const struct hl_pass_pool *pool)
{
	(pass->type == HL_U8 ? pool_u8 : pass->type == HL_BF16 ? pool_bf16 : pool_f32)(pass, pool);
}
