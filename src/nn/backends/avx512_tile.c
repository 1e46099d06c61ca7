#include "nn/backends/avx512_finish.h"
#include <string.h>

#define INLINE HL_AVX512_INLINE

typedef __m512 sums[HL_TILE_PLACES][HL_TILE_BLOCKS];

INLINE __m512 broadcast(const char *x)
{
	float bits;

	memcpy(&bits, x, sizeof bits);
	return _mm512_set1_ps(bits);
}

/* Fewer than four bytes of a unit are there. */
INLINE __m512 broadcast_odd(const char *x, int bytes)
{
	uint16_t low = 0;
	uint32_t bits = 0;

	if (bytes > 1)
		memcpy(&low, x, sizeof low);
	bits = bytes > 1 ? low : 0;
	if (bytes & 1)
		bits |= (uint32_t)(uint8_t)x[bytes - 1] << 8 * (bytes - 1);
	return _mm512_castsi512_ps(_mm512_set1_epi32((int32_t)bits));
}

INLINE __m512 multiply(const enum hl_type type, __m512 sum, __m512 x, __m512 w)
{
	if (type == HL_U8)
		return _mm512_castsi512_ps(
		    _mm512_dpbusd_epi32(_mm512_castps_si512(sum), _mm512_castps_si512(x), _mm512_castps_si512(w)));
	if (type == HL_BF16)
		return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
	return _mm512_fmadd_ps(x, w, sum);
}

/* Adds one unit of input channels, at x plus each place's distance. */
INLINE void add_unit(const enum hl_type type, const int places, const int blocks, const int odd, const char *x,
                     const int64_t *place, const char *w, sums sum)
{
	__m512 weight[HL_TILE_BLOCKS];

#pragma GCC unroll 4
	for (int j = 0; j < blocks; j++)
		weight[j] = _mm512_loadu_ps(w + j * 64);
#pragma GCC unroll 12
	for (int m = 0; m < places; m++) {
		__m512 value = odd ? broadcast_odd(x + place[m], odd) : broadcast(x + place[m]);
#pragma GCC unroll 4
		for (int j = 0; j < blocks; j++)
			sum[m][j] = multiply(type, sum[m][j], value, weight[j]);
	}
}

INLINE void add_tap(const enum hl_type type, const int places, const int blocks, const char *x, const int64_t *place,
                    const char *w, int64_t run, int odd, sums sum)
{
	const char *end = x + run;

	for (; x < end; x += 4, w += blocks * 64)
		add_unit(type, places, blocks, 0, x, place, w, sum);
	if (type == HL_BF16 && odd)
		add_unit(type, places, blocks, 2, x, place, w, sum);
	if (type == HL_U8 && odd)
		add_unit(type, places, blocks, odd, x, place, w, sum);
}

INLINE void tile(const enum hl_type type, const bool even, const int places, const int blocks, const struct hl_tile *t)
{
	const struct hl_tap *const taps = t->tap, *const end = taps + t->taps;
	const char *const weights = t->weights;
	const int64_t in_step = t->in_step, tap_bytes = t->tap_bytes, run = t->run;
	const bool first = t->first, last = t->last;
	const int odd = t->odd;
	const int64_t out_step = t->out_step;
	uintptr_t in = t->in;
	int64_t place[HL_TILE_PLACES];
	float *waiting = t->sums;
	char *out = t->out[0];

	if (even)
#pragma GCC unroll 12
		for (int m = 0; m < places; m++)
			place[m] = m * in_step;
	for (int64_t repeat = even ? t->repeat : 1; repeat > 0; repeat--) {
		sums sum;
#pragma GCC unroll 12
		for (int m = 0; m < places; m++)
#pragma GCC unroll 4
			for (int j = 0; j < blocks; j++)
				sum[m][j] = first ? _mm512_setzero_ps()
				                  : _mm512_loadu_ps(waiting + (m * blocks + j) * HL_TILE_LANES);
		for (const struct hl_tap *tap = taps; tap < end; tap++) {
			const char *w = weights + (int64_t)tap->weight * tap_bytes;
			if (!even)
#pragma GCC unroll 12
				for (int m = 0; m < places; m++)
					place[m] = (int64_t)(tap->place[m] - tap->place[0]);
			add_tap(type, places, blocks, (const char *)(in + tap->place[0]), place, w, run, odd, sum);
		}
		if (last) {
			const struct hl_tile own = *t;
#pragma GCC unroll 12
			for (int m = 0; m < places; m++)
				hl_finish(type, blocks, &own, sum[m], even ? out + m * out_step : own.out[m]);
		} else {
#pragma GCC unroll 12
			for (int m = 0; m < places; m++)
#pragma GCC unroll 4
				for (int j = 0; j < blocks; j++)
					_mm512_storeu_ps(waiting + (m * blocks + j) * HL_TILE_LANES, sum[m][j]);
		}
		in += (uintptr_t)(places * in_step);
		out += places * out_step;
		waiting += places * blocks * HL_TILE_LANES;
	}
}

#define TILE(type, places, blocks)                                                                                     \
	HL_AVX512 static void even_##type##_##places##_##blocks(const struct hl_tile *t)                               \
	{                                                                                                              \
		tile(HL_##type, true, places, blocks, t);                                                              \
	}                                                                                                              \
	HL_AVX512 static void uneven_##type##_##places##_##blocks(const struct hl_tile *t)                             \
	{                                                                                                              \
		tile(HL_##type, false, places, blocks, t);                                                             \
	}
#define NAMES(type, places, blocks) {uneven_##type##_##places##_##blocks, even_##type##_##places##_##blocks},
#define UP_TO_6(what, type, blocks)                                                                                    \
	what(type, 1, blocks) what(type, 2, blocks) what(type, 3, blocks) what(type, 4, blocks) what(type, 5, blocks)  \
	    what(type, 6, blocks)
#define UP_TO_8(what, type, blocks) UP_TO_6(what, type, blocks) what(type, 7, blocks) what(type, 8, blocks)
#define UP_TO_12(what, type, blocks)                                                                                   \
	UP_TO_8(what, type, blocks)                                                                                    \
	what(type, 9, blocks) what(type, 10, blocks) what(type, 11, blocks) what(type, 12, blocks)
#define EVERY(type)                                                                                                    \
	UP_TO_12(TILE, type, 1)                                                                                        \
	UP_TO_12(TILE, type, 2)                                                                                        \
	UP_TO_8(TILE, type, 3)                                                                                         \
	UP_TO_6(TILE, type, 4)
#define TABLE(type)                                                                                                    \
	{                                                                                                              \
		{UP_TO_12(NAMES, type, 1)}, {UP_TO_12(NAMES, type, 2)}, {UP_TO_8(NAMES, type, 3)},                     \
		    {UP_TO_6(NAMES, type, 4)},                                                                         \
	}

EVERY(F32)
EVERY(BF16)
EVERY(U8)

static hl_tile_run *const tiles[3][HL_TILE_BLOCKS][HL_TILE_PLACES][2] = {
    [HL_F32] = TABLE(F32), [HL_BF16] = TABLE(BF16), [HL_U8] = TABLE(U8)};

hl_tile_run *hl_tile_find(enum hl_type type, bool even, int places, int blocks)
{
	return tiles[type][blocks - 1][places - 1][even];
}

int hl_tile_places(int blocks)
{
	static const int most[HL_TILE_BLOCKS] = {12, 12, 8, 6};

	return most[blocks - 1];
}
