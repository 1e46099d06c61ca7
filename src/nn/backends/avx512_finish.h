/* What becomes of the sums of one place: its output channels. type and blocks are constants where these are inlined. */
#ifndef HL_NN_BACKENDS_AVX512_FINISH_H
#define HL_NN_BACKENDS_AVX512_FINISH_H
#include "nn/backends/avx512_lanes.h"

/* Of bytes: see nn/backends/int8.h. */
HL_AVX512_INLINE void hl_finish_bytes(const int blocks, const struct hl_tile *t, const __m512 *sum, char *out)
{
	const __m512 low = _mm512_set1_ps(t->low), high = _mm512_set1_ps(t->high);
	const __m512i zero = _mm512_set1_epi32(t->zero);

#pragma GCC unroll 4
	for (int j = 0; j < blocks; j++) {
		__mmask16 mask = j + 1 < blocks ? (__mmask16)0xffff : t->mask;
		__m512 value = _mm512_cvtepi32_ps(_mm512_castps_si512(sum[j]));
		value = _mm512_fmadd_ps(value, _mm512_loadu_ps(t->scale + j * HL_TILE_LANES),
		                        _mm512_loadu_ps(t->bias + j * HL_TILE_LANES));
		if (t->adds) {
			__m128i other = _mm_maskz_loadu_epi8(mask, out + t->add + j * HL_TILE_LANES);
			value = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(other)),
			                        _mm512_set1_ps(t->add_scale), value);
		}
		if (t->end == HL_TILE_LEAKY)
			value = hl_lanes_rectify(value, t->end, _mm512_set1_ps(t->slope));
		/* Of NaN the second is taken. */
		value = _mm512_min_ps(_mm512_max_ps(value, low), high);
		__m512i whole = _mm512_add_epi32(_mm512_cvtps_epi32(value), zero);
		if (j + 1 < blocks)
			_mm_storeu_si128((__m128i *)(void *)(out + j * HL_TILE_LANES), _mm512_cvtepi32_epi8(whole));
		else
			_mm512_mask_cvtepi32_storeu_epi8(out + j * HL_TILE_LANES, mask, whole);
	}
}

/* The sums of one place become its output channels. */
HL_AVX512_INLINE void hl_finish(const enum hl_type type, const int blocks, const struct hl_tile *t, const __m512 *sum,
                                char *out)
{
	const int bytes = HL_TILE_LANES * (type == HL_BF16 ? 2 : 4);

	if (type == HL_U8) {
		hl_finish_bytes(blocks, t, sum, out);
		return;
	}
#pragma GCC unroll 4
	for (int j = 0; j < blocks; j++) {
		__mmask16 mask = j + 1 < blocks ? (__mmask16)0xffff : t->mask;
		__m512 value = _mm512_add_ps(sum[j], _mm512_loadu_ps(t->bias + j * HL_TILE_LANES));
		if (t->adds)
			value = _mm512_add_ps(value, hl_lanes_load(type, out + t->add + j * bytes, mask));
		if (t->end != HL_TILE_PLAIN)
			value = hl_lanes_rectify(value, t->end, _mm512_set1_ps(t->slope));
		hl_lanes_store(type, out + j * bytes, value, mask, j + 1 < blocks);
	}
}
#endif
