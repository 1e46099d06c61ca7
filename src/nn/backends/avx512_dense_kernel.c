/* The inner loops of dense layers on AVX-512. */
#include "nn/backends/avx512_dense.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANES HL_DENSE_LANES
#define UNITS HL_DENSE_UNITS
#define ROWS HL_DENSE_ROWS
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define INLINE static inline __attribute__((always_inline))

INLINE __mmask32 first_bits(int64_t count, int64_t most)
{
	return count >= most ? (__mmask32)((UINT64_C(1) << most) - 1) : (1U << count) - 1;
}

/* ---- forward ---- */

/* A vector of floats, or of pairs of bfloat16. */
TARGET INLINE __m512 load(const char *at, int64_t left, const bool half)
{
	if (half) {
		__mmask32 mask = first_bits(left, 2 * LANES);
		return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, at));
	}
	return _mm512_maskz_loadu_ps((__mmask16)first_bits(left, LANES), at);
}

/* vdpbf16ps by name, so that one function serves both types although the compiler is not told of AVX512_BF16. */
TARGET INLINE __m512 add_product(__m512 sum, __m512 a, __m512 b, const bool half)
{
	if (half)
		__asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
	else
		sum = _mm512_fmadd_ps(a, b, sum);
	return sum;
}

TARGET INLINE void step(__m512 sum[HL_DENSE_SAMPLES][UNITS], const char *x, int64_t x_bytes, const int samples,
                        const char *weight, int64_t row, int64_t left, const bool half)
{
	__m512 w[UNITS];

#pragma GCC unroll 4
	for (int k = 0; k < UNITS; k++)
		w[k] = load(weight + k * row, left, half);
#pragma GCC unroll 6
	for (int n = 0; n < samples; n++) {
		__m512 value = load(x + n * x_bytes, left, half);
#pragma GCC unroll 4
		for (int k = 0; k < UNITS; k++)
			sum[n][k] = add_product(sum[n][k], value, w[k], half);
	}
}

TARGET INLINE void tile(const struct hl_dense_tile *t, const int samples, const bool half)
{
	const int64_t vector = half ? 2 * LANES : LANES, x_bytes = t->x_bytes, row = t->row, ahead = t->ahead,
	              rows_ahead = t->rows_ahead;
	const char *x = t->x, *weight = t->weight;
	__m512 sum[HL_DENSE_SAMPLES][UNITS];
	int64_t left = t->count;

#pragma GCC unroll 6
	for (int n = 0; n < samples; n++)
#pragma GCC unroll 4
		for (int k = 0; k < UNITS; k++)
			sum[n][k] = _mm512_setzero_ps();
	for (; left >= vector; left -= vector, x += 64, weight += 64) {
		for (int64_t k = 0; k < rows_ahead; k++)
			__builtin_prefetch(weight + ahead + k * row, 0, 2);
		step(sum, x, x_bytes, samples, weight, row, vector, half);
	}
	if (left > 0)
		step(sum, x, x_bytes, samples, weight, row, left, half);
#pragma GCC unroll 6
	for (int n = 0; n < samples; n++)
#pragma GCC unroll 4
		for (int k = 0; k < UNITS; k++)
			if (k < t->wanted)
				t->out[n * t->out_step + k] += _mm512_reduce_add_ps(sum[n][k]);
}

TARGET INLINE void tiles(const struct hl_dense_tile *t, const bool half)
{
	switch (t->samples) {
	case 1:
		tile(t, 1, half);
		break;
	case 2:
		tile(t, 2, half);
		break;
	case 3:
		tile(t, 3, half);
		break;
	case 4:
		tile(t, 4, half);
		break;
	case 5:
		tile(t, 5, half);
		break;
	default:
		tile(t, 6, half);
	}
}

TARGET void hl_dense_forward(const struct hl_dense_tile *t)
{
	if (t->half)
		tiles(t, true);
	else
		tiles(t, false);
}

/* ---- backward ---- */

/* din[n][i] += sum over rows k of dout[n][k] weight[k][i]; dweight[k][i] = sum over n of dout[n][k] x[n][i]. Rows
 * beyond the last are read as the last, and have a gradient of zero. */
TARGET INLINE void vector_back(const struct hl_dense_group *g, int64_t i, const __mmask16 mask, const bool want_in,
                               const bool want_weight)
{
	const float *dout = g->dout, *x = want_weight ? g->x + i * g->samples : NULL;
	float *din = want_in ? g->din + i * g->samples : NULL;
	const int64_t samples = g->samples;
	const __mmask16 keep = g->first ? 0 : UINT16_MAX;
	__m512 w[ROWS], dw[ROWS];

#pragma GCC unroll 8
	for (int k = 0; k < ROWS; k++) {
		if (want_in)
			w[k] = _mm512_maskz_loadu_ps(mask, g->weight + (k < g->rows ? k : 0) * g->row + i);
		dw[k] = _mm512_setzero_ps();
	}
	for (int64_t n = 0; n < samples; n++) {
		__m512 value, even, odd = _mm512_setzero_ps();
		if (want_weight)
			value = _mm512_loadu_ps(x + n * LANES);
		if (want_in)
			even = _mm512_maskz_loadu_ps(keep, din + n * LANES);
#pragma GCC unroll 8
		for (int k = 0; k < ROWS; k++) {
			__m512 d = _mm512_set1_ps(dout[n * ROWS + k]);
			if (want_in && k % 2 == 0)
				even = _mm512_fmadd_ps(d, w[k], even);
			if (want_in && k % 2 == 1)
				odd = _mm512_fmadd_ps(d, w[k], odd);
			if (want_weight)
				dw[k] = _mm512_fmadd_ps(d, value, dw[k]);
		}
		if (want_in)
			_mm512_storeu_ps(din + n * LANES, _mm512_add_ps(even, odd));
	}
#pragma GCC unroll 8
	for (int k = 0; want_weight && k < ROWS; k++)
		if (k < g->rows)
			_mm512_mask_storeu_ps(g->dweight + k * g->row + i, mask, dw[k]);
}

TARGET INLINE void vectors_back(const struct hl_dense_group *g, const bool want_in, const bool want_weight)
{
	int64_t i = 0;

	for (; i + LANES <= g->count; i += LANES)
		vector_back(g, i, UINT16_MAX, want_in, want_weight);
	if (i < g->count)
		vector_back(g, i, (__mmask16)first_bits(g->count - i, LANES), want_in, want_weight);
}

TARGET void hl_dense_backward(const struct hl_dense_group *g)
{
	if (g->x && g->din)
		vectors_back(g, true, true);
	else if (g->din)
		vectors_back(g, true, false);
	else
		vectors_back(g, false, true);
}

/* ---- moving ---- */

TARGET void hl_dense_widen(const void *in, enum hl_type type, int64_t count, float *out, int64_t step)
{
	for (int64_t i = 0; i < count; i += LANES, out += step) {
		__mmask16 mask = (__mmask16)first_bits(count - i, LANES);
		if (type == HL_BF16) {
			__m256i half = _mm256_maskz_loadu_epi16(mask, (const uint16_t *)in + i);
			_mm512_storeu_si512(out, _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
		} else
			_mm512_storeu_ps(out, _mm512_maskz_loadu_ps(mask, (const float *)in + i));
	}
}

/* To nearest, ties to even, as hl_bf16_from_f32. */
TARGET INLINE __m256i to_bf16(__m512 value)
{
	__m512i bits = _mm512_castps_si512(value), odd;
	__mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);

	odd = _mm512_and_epi32(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
	odd = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
	odd = _mm512_mask_or_epi32(odd, nan, bits, _mm512_set1_epi32(0x400000));
	return _mm512_cvtepi32_epi16(_mm512_srli_epi32(odd, 16));
}

TARGET void hl_dense_narrow(const float *in, int64_t step, int64_t count, void *out, enum hl_type type)
{
	for (int64_t i = 0; i < count; i += LANES, in += step) {
		__mmask16 mask = (__mmask16)first_bits(count - i, LANES);
		__m512 value = _mm512_maskz_loadu_ps(mask, in);
		if (type == HL_BF16)
			_mm256_mask_storeu_epi16((uint16_t *)out + i, mask, to_bf16(value));
		else
			_mm512_mask_storeu_ps((float *)out + i, mask, value);
	}
}
#endif
