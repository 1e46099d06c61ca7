/* Sixteen channels of an activation in a register, as float32. type is a constant where these are inlined. */
#ifndef HL_NN_BACKENDS_AVX512_LANES_H
#define HL_NN_BACKENDS_AVX512_LANES_H
#include "nn/backends/avx512_tile.h"
#include <immintrin.h>

#define HL_AVX512_INLINE HL_AVX512 static inline __attribute__((always_inline))

/* The lanes of channels from c on, of so many. */
static inline uint16_t hl_lanes_mask(int64_t channels, int64_t c)
{
	int64_t left = channels - c;

	return left < HL_TILE_LANES ? (uint16_t)((1U << left) - 1) : 0xffff;
}

/* whole: the mask is not looked at. */
HL_AVX512_INLINE void hl_lanes_store(const enum hl_type type, char *out, __m512 value, __mmask16 mask, const bool whole)
{
	if (type == HL_BF16 && whole)
		_mm256_storeu_si256((__m256i *)(void *)out, (__m256i)_mm512_cvtneps_pbh(value));
	else if (type == HL_BF16)
		_mm256_mask_storeu_epi16(out, mask, (__m256i)_mm512_cvtneps_pbh(value));
	else if (whole)
		_mm512_storeu_ps(out, value);
	else
		_mm512_mask_storeu_ps(out, mask, value);
}

HL_AVX512_INLINE __m512 hl_lanes_load(const enum hl_type type, const char *in, __mmask16 mask)
{
	if (type == HL_BF16)
		return _mm512_castsi512_ps(
		    _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, in)), 16));
	return _mm512_maskz_loadu_ps(mask, in);
}

/* Below zero: zero or slope times as much. NaN passes, as in PyTorch. */
HL_AVX512_INLINE __m512 hl_lanes_rectify(__m512 value, enum hl_tile_end end, __m512 slope)
{
	__mmask16 negative = _mm512_cmp_ps_mask(value, _mm512_setzero_ps(), _CMP_LT_OQ);

	if (end == HL_TILE_LEAKY)
		return _mm512_mask_mul_ps(value, negative, value, slope);
	return _mm512_mask_mov_ps(value, negative, _mm512_setzero_ps());
}
#endif
