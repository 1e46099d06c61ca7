/* The inner loops of the weight gradient on AVX-512. */
#include "nn/backends/avx512_wgrad.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANES HL_WGRAD_LANES
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define INLINE static inline __attribute__((always_inline))
#define TILE_MAX 12

const int hl_wgrad_tile_max[HL_WGRAD_VECTORS + 1] = {0, 12, 12, 8, 6};

/* ---- a tile ---- */

/* vdpbf16ps by name, so that one function serves both types although the compiler is not told of AVX512_BF16. */
TARGET INLINE __m512 add_product(__m512 sum, __m512 a, __m512 b, const bool pairs)
{
	if (pairs)
		__asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
	else
		sum = _mm512_fmadd_ps(a, b, sum);
	return sum;
}

/* Up to 24 of the 32 registers hold sums; each broadcast is used for every vector of outputs. across of the inputs lie
 * side by side, the next below them. */
TARGET INLINE void tile(const struct hl_wgrad_rows *rows, const int vectors, const int count, const int across,
                        const bool pairs)
{
	const int64_t step = rows->step, width = rows->width, begin = rows->begin, end = rows->end;
	const int64_t below = rows->below;
	const __mmask16 mask = rows->mask;
	const char *const *ahead = rows->ahead;
	int64_t fetch = rows->fetch;
	__m512 sum[TILE_MAX][HL_WGRAD_VECTORS], dy[HL_WGRAD_VECTORS];

#pragma GCC unroll 12
	for (int i = 0; i < count; i++)
#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
			sum[i][v] = _mm512_loadu_ps(rows->sums + (i * vectors + v) * LANES);
	for (int64_t row = 0; row < rows->lines; row++) {
		const float *x = rows->line[row].x + rows->shift + begin * step;
		const float *from = rows->line[row].dy + begin * width;
		for (int64_t w = begin; w < end; w++, x += step, from += width) {
			if (fetch > 0) {
				__builtin_prefetch(*ahead++, 0, 2);
				fetch--;
			}
#pragma GCC unroll 4
			for (int v = 0; v < vectors; v++)
				dy[v] = v + 1 < vectors ? _mm512_loadu_ps(from + v * LANES)
				                        : _mm512_maskz_loadu_ps(mask, from + v * LANES);
#pragma GCC unroll 12
			for (int i = 0; i < count; i++) {
				__m512 value = _mm512_set1_ps(x[i / across * below + i % across]);
#pragma GCC unroll 4
				for (int v = 0; v < vectors; v++)
					sum[i][v] = add_product(sum[i][v], dy[v], value, pairs);
			}
		}
	}
#pragma GCC unroll 12
	for (int i = 0; i < count; i++)
#pragma GCC unroll 4
		for (int v = 0; v < vectors; v++)
			_mm512_storeu_ps(rows->sums + (i * vectors + v) * LANES, sum[i][v]);
}

#define DEFINE(vectors, count)                                                                                         \
	TARGET static void floats_##vectors##_##count(const struct hl_wgrad_rows *rows)                                \
	{                                                                                                              \
		tile(rows, vectors, count, count, false);                                                              \
	}                                                                                                              \
	TARGET static void pairs_##vectors##_##count(const struct hl_wgrad_rows *rows)                                 \
	{                                                                                                              \
		tile(rows, vectors, count, count, true);                                                               \
	}

/* Every size of tile, for DEFINE and for the table. */
#define TILES_6(EACH, vectors)                                                                                         \
	EACH(vectors, 1) EACH(vectors, 2) EACH(vectors, 3) EACH(vectors, 4) EACH(vectors, 5) EACH(vectors, 6)
#define TILES_8(EACH, vectors) TILES_6(EACH, vectors) EACH(vectors, 7) EACH(vectors, 8)
#define TILES_12(EACH, vectors)                                                                                        \
	TILES_8(EACH, vectors) EACH(vectors, 9) EACH(vectors, 10) EACH(vectors, 11) EACH(vectors, 12)
#define TILES(EACH) TILES_12(EACH, 1) TILES_12(EACH, 2) TILES_8(EACH, 3) TILES_6(EACH, 4)
#define ENTRY(vectors, count) [vectors][count] = {floats_##vectors##_##count, pairs_##vectors##_##count},

TILES(DEFINE)

#define DEFINE_SQUARE(vectors)                                                                                         \
	TARGET static void square_floats_##vectors(const struct hl_wgrad_rows *rows)                                   \
	{                                                                                                              \
		tile(rows, vectors, 9, 3, false);                                                                      \
	}                                                                                                              \
	TARGET static void square_pairs_##vectors(const struct hl_wgrad_rows *rows)                                    \
	{                                                                                                              \
		tile(rows, vectors, 9, 3, true);                                                                       \
	}

DEFINE_SQUARE(1)
DEFINE_SQUARE(2)

hl_wgrad_tile *hl_wgrad_tile_for(bool pairs, int vectors, int64_t count)
{
	static hl_wgrad_tile *const table[HL_WGRAD_VECTORS + 1][TILE_MAX + 1][2] = {TILES(ENTRY)};

	return table[vectors][count][pairs];
}

hl_wgrad_tile *hl_wgrad_square_for(bool pairs, int vectors)
{
	static hl_wgrad_tile *const table[2][2] = {{square_floats_1, square_pairs_1},
	                                           {square_floats_2, square_pairs_2}};

	return table[vectors - 1][pairs];
}

/* ---- the bias ---- */

/* Four sums at once, since each addition waits for the one before. */
TARGET INLINE void sum_vector(const float *dy, int64_t width, int64_t places, __mmask16 mask, const bool pairs,
                              float *sums)
{
	__m512 sum[4] = {_mm512_loadu_ps(sums), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
	/* Ones in float32, or pairs of them in bfloat16. */
	const __m512 one = _mm512_castsi512_ps(_mm512_set1_epi32(pairs ? 0x3f803f80 : 0x3f800000));
	int64_t w = 0;

	for (; w + 4 <= places; w += 4)
#pragma GCC unroll 4
		for (int k = 0; k < 4; k++) {
			__m512 value = _mm512_maskz_loadu_ps(mask, dy + (w + k) * width);
			sum[k] = add_product(sum[k], value, one, pairs);
		}
	for (; w < places; w++) {
		__m512 value = _mm512_maskz_loadu_ps(mask, dy + w * width);
		sum[0] = add_product(sum[0], value, one, pairs);
	}
	_mm512_storeu_ps(sums, _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
}

TARGET void hl_wgrad_add_bias(const float *dy, int64_t width, int64_t places, int64_t outputs, uint16_t mask,
                              bool pairs, float *sums)
{
	for (int64_t o = 0; o < outputs; o += LANES) {
		__mmask16 part = o + LANES < outputs ? UINT16_MAX : mask;
		if (pairs)
			sum_vector(dy + o, width, places, part, true, sums + o);
		else
			sum_vector(dy + o, width, places, part, false, sums + o);
	}
}

/* ---- packing ---- */

INLINE uint32_t first_bits(int64_t count, int64_t most)
{
	return count >= most ? (uint32_t)((UINT64_C(1) << most) - 1) : (1U << count) - 1;
}

/* Places that follow each other without a gap are one long one. */
INLINE void join(int64_t stride, int64_t place, int64_t *count, int64_t *places)
{
	if (*count == stride && *count == place) {
		*count *= *places;
		*places = 1;
	}
}

TARGET void hl_wgrad_pack_pairs(const uint16_t *first, const uint16_t *second, int64_t stride, int64_t count,
                                int64_t places, float *out, int64_t place)
{
	static const uint16_t order[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
	                                   8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
	const __m512i low = _mm512_loadu_si512(order), high = _mm512_add_epi16(low, _mm512_set1_epi16(LANES));
	const __mmask32 one = first ? UINT32_MAX : 0, two = second ? UINT32_MAX : 0;
	/* Nothing is read where a mask is empty, but the address must be one. */
	const uint16_t *a = first ? first : second, *b = second ? second : first;

	join(stride, place, &count, &places);
	for (int64_t w = 0; w < places; w++, a += stride, b += stride, out += place)
		for (int64_t c = 0; c < count; c += 2 * LANES) {
			__mmask32 mask = first_bits(count - c, 2 * LANES);
			__m512i x = _mm512_maskz_loadu_epi16(mask & one, a + c);
			__m512i y = _mm512_maskz_loadu_epi16(mask & two, b + c);
			_mm512_storeu_si512(out + c, _mm512_permutex2var_epi16(x, low, y));
			if (count - c > LANES)
				_mm512_storeu_si512(out + c + LANES, _mm512_permutex2var_epi16(x, high, y));
		}
}

TARGET void hl_wgrad_pack_widened(const uint16_t *in, int64_t stride, int64_t count, int64_t places, float *out,
                                  int64_t place)
{
	join(stride, place, &count, &places);
	for (int64_t w = 0; w < places; w++, in += stride, out += place)
		for (int64_t c = 0; c < count; c += LANES) {
			__mmask16 mask = (__mmask16)first_bits(count - c, LANES);
			__m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, in + c));
			_mm512_storeu_si512(out + c, _mm512_slli_epi32(wide, 16));
		}
}

TARGET void hl_wgrad_pack_floats(const float *in, int64_t stride, int64_t count, int64_t places, float *out,
                                 int64_t place)
{
	join(stride, place, &count, &places);
	for (int64_t w = 0; w < places; w++, in += stride, out += place)
		for (int64_t c = 0; c < count; c += LANES) {
			__mmask16 mask = (__mmask16)first_bits(count - c, LANES);
			_mm512_storeu_ps(out + c, _mm512_maskz_loadu_ps(mask, in + c));
		}
}

/* ---- the result ---- */

/* Rows become columns: pairs of rows, then pairs of pairs, within quarters of registers, then the quarters. */
TARGET INLINE void transpose(__m512 r[LANES])
{
	__m512 t[LANES];

#pragma GCC unroll 8
	for (int i = 0; i < 16; i += 2) {
		t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
		t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
	}
#pragma GCC unroll 4
	for (int i = 0; i < 16; i += 4)
#pragma GCC unroll 2
		for (int k = 0; k < 2; k++) {
			__m512d a = _mm512_castps_pd(t[i + k]), b = _mm512_castps_pd(t[i + k + 2]);
			r[i + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
			r[i + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
		}
#pragma GCC unroll 2
	for (int i = 0; i < 16; i += 8)
#pragma GCC unroll 4
		for (int k = 0; k < 4; k++) {
			t[i + k] = _mm512_shuffle_f32x4(r[i + k], r[i + k + 4], 0x88);
			t[i + k + 4] = _mm512_shuffle_f32x4(r[i + k], r[i + k + 4], 0xdd);
		}
#pragma GCC unroll 8
	for (int k = 0; k < 8; k++) {
		r[k] = _mm512_shuffle_f32x4(t[k], t[k + 8], 0x88);
		r[k + 8] = _mm512_shuffle_f32x4(t[k], t[k + 8], 0xdd);
	}
}

TARGET void hl_wgrad_write(const float *const *row, int rows, int64_t shards, int64_t distance, int64_t outputs,
                           float *out, int64_t stride)
{
	const __mmask16 mask = (__mmask16)first_bits(rows, LANES);
	__m512 sum[LANES];

	for (int k = 0; k < LANES; k++) {
		sum[k] = k < rows ? _mm512_loadu_ps(row[k]) : _mm512_setzero_ps();
		for (int64_t shard = 1; k < rows && shard < shards; shard++)
			sum[k] = _mm512_add_ps(sum[k], _mm512_loadu_ps(row[k] + shard * distance));
	}
	transpose(sum);
	for (int64_t o = 0; o < outputs; o++)
		_mm512_mask_storeu_ps(out + o * stride, mask, sum[o]);
}
#endif
