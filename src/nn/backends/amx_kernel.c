/* The innermost loops of the convolution on tiles. */
#include "nn/backends/amx.h"
#include "nn/backends/avx512_finish.h"

#define INLINE HL_AVX512_INLINE

/* Tiles 0 to 3 are sums: of the first 16 places for two blocks, then of the others. 4 and 5 are places, 6 and 7 weights
 * of a block. */
#define LOAD_PLACES(part)                                                                                              \
	do {                                                                                                           \
		HL_AMX_LOAD(real, registers, 4, a + (part)*size, place);                                               \
		if (rows > 1)                                                                                          \
			HL_AMX_LOAD(real, registers, 5, a + (part)*size + HL_AMX_ROWS * place, place);                 \
	} while (0)
#define LOAD_WEIGHTS(part)                                                                                             \
	do {                                                                                                           \
		HL_AMX_LOAD(real, registers, 6, w + (part)*blocks * HL_AMX_BYTES, HL_AMX_ROW);                         \
		if (blocks > 1)                                                                                        \
			HL_AMX_LOAD(real, registers, 7, w + ((part)*blocks + 1) * HL_AMX_BYTES, HL_AMX_ROW);           \
	} while (0)
#define MULTIPLY(type)                                                                                                 \
	do {                                                                                                           \
		HL_AMX_MULTIPLY_##type(real, registers, 0, 4, 6);                                                      \
		if (blocks > 1)                                                                                        \
			HL_AMX_MULTIPLY_##type(real, registers, 1, 4, 7);                                              \
		if (rows > 1)                                                                                          \
			HL_AMX_MULTIPLY_##type(real, registers, 2, 5, 6);                                              \
		if (rows > 1 && blocks > 1)                                                                            \
			HL_AMX_MULTIPLY_##type(real, registers, 3, 5, 7);                                              \
	} while (0)

/* One chunk of one tap. Small products first; what is in a tile is used again. */
INLINE void add_chunk(const bool real, const enum hl_amx_kind kind, const int rows, const int blocks, const char *a,
                      const char *w, const int64_t place, const int64_t size, struct hl_amx_registers *registers)
{
	if (kind == HL_AMX_SPLIT6) {
		LOAD_PLACES(0);
		LOAD_WEIGHTS(2);
		MULTIPLY(BF16);
		LOAD_PLACES(2);
		LOAD_WEIGHTS(0);
		MULTIPLY(BF16);
		LOAD_PLACES(1);
		MULTIPLY(BF16);
		LOAD_WEIGHTS(1);
		MULTIPLY(BF16);
		LOAD_PLACES(0);
		MULTIPLY(BF16);
		LOAD_WEIGHTS(0);
		MULTIPLY(BF16);
		return;
	}
	LOAD_PLACES(kind == HL_AMX_SPLIT3 ? 1 : 0);
	LOAD_WEIGHTS(0);
	if (kind == HL_AMX_U8)
		MULTIPLY(U8);
	else
		MULTIPLY(BF16);
	if (kind == HL_AMX_SPLIT3) {
		LOAD_PLACES(0);
		MULTIPLY(BF16);
		LOAD_WEIGHTS(1);
		MULTIPLY(BF16);
	}
}

INLINE void sum(const bool real, const enum hl_amx_kind kind, const int rows, const int blocks,
                const struct hl_amx_sum *s)
{
	const int parts = kind == HL_AMX_SPLIT6 ? 3 : kind == HL_AMX_SPLIT3 ? 2 : 1;
	const int64_t place = s->place, chunks = s->chunks, taps = s->taps, size = chunks * HL_AMX_ROW;
	const int64_t out_step = blocks * HL_AMX_ROW;
	const char *w = s->weights, *const in = s->in;
	const struct hl_tap *const tap = s->tap;
	char *out = (char *)s->out;
	struct hl_amx_registers *const registers = s->registers;

	HL_AMX_ZERO(real, registers, 0);
	HL_AMX_ZERO(real, registers, 1);
	HL_AMX_ZERO(real, registers, 2);
	HL_AMX_ZERO(real, registers, 3);
	for (int64_t t = 0; t < taps; t++) {
		const char *a = in + tap[t].place[0];
		for (int64_t chunk = 0; chunk < chunks; chunk++, a += HL_AMX_ROW, w += parts * blocks * HL_AMX_BYTES)
			add_chunk(real, kind, rows, blocks, a, w, place, size, registers);
	}
	HL_AMX_STORE(real, registers, 0, out, out_step);
	if (blocks > 1)
		HL_AMX_STORE(real, registers, 1, out + HL_AMX_ROW, out_step);
	if (rows > 1)
		HL_AMX_STORE(real, registers, 2, out + HL_AMX_ROWS * out_step, out_step);
	if (rows > 1 && blocks > 1)
		HL_AMX_STORE(real, registers, 3, out + HL_AMX_ROWS * out_step + HL_AMX_ROW, out_step);
}

#define SUM(kind, rows, blocks)                                                                                        \
	HL_AVX512 static void real_##kind##_##rows##_##blocks(const struct hl_amx_sum *s)                              \
	{                                                                                                              \
		sum(true, HL_AMX_##kind, rows, blocks, s);                                                             \
	}                                                                                                              \
	HL_AVX512 static void emulated_##kind##_##rows##_##blocks(const struct hl_amx_sum *s)                          \
	{                                                                                                              \
		sum(false, HL_AMX_##kind, rows, blocks, s);                                                            \
	}
#define SUMS(kind) SUM(kind, 1, 1) SUM(kind, 1, 2) SUM(kind, 2, 1) SUM(kind, 2, 2)
#define NAMES(how, kind)                                                                                               \
	[HL_AMX_##kind] = {{how##_##kind##_1_1, how##_##kind##_1_2}, {how##_##kind##_2_1, how##_##kind##_2_2}}
#define TABLE(how)                                                                                                     \
	{                                                                                                              \
		NAMES(how, BF16), NAMES(how, U8), NAMES(how, SPLIT3), NAMES(how, SPLIT6)                               \
	}

SUMS(BF16)
SUMS(U8)
SUMS(SPLIT3)
SUMS(SPLIT6)

hl_amx_run *hl_amx_find(bool emulated, enum hl_amx_kind kind, int rows, int blocks)
{
	static hl_amx_run *const table[2][HL_AMX_KINDS][2][2] = {TABLE(real), TABLE(emulated)};

	return table[emulated][kind][rows - 1][blocks - 1];
}

/* ---- before and after ---- */

INLINE void finish(const enum hl_type type, const int blocks, const struct hl_tile *t, const float *from, char *out)
{
	__m512 sums[HL_AMX_BLOCKS];

	for (int j = 0; j < blocks; j++)
		sums[j] = _mm512_loadu_ps(from + j * HL_TILE_LANES);
	hl_finish(type, blocks, t, sums, out);
}

HL_AVX512 void hl_amx_finish(enum hl_type type, const struct hl_tile *t, const float *sums, char *out)
{
	if (type == HL_U8 && t->blocks > 1)
		finish(HL_U8, 2, t, sums, out);
	else if (type == HL_U8)
		finish(HL_U8, 1, t, sums, out);
	else if (type == HL_BF16 && t->blocks > 1)
		finish(HL_BF16, 2, t, sums, out);
	else if (type == HL_BF16)
		finish(HL_BF16, 1, t, sums, out);
	else if (t->blocks > 1)
		finish(HL_F32, 2, t, sums, out);
	else
		finish(HL_F32, 1, t, sums, out);
}

/* The lanes of a row of lanes from the one at on, of so many. */
static uint64_t mask_of(int64_t values, int64_t at, int lanes)
{
	int64_t left = values - at;

	return left >= lanes ? UINT64_MAX >> (64 - lanes) : left > 0 ? (UINT64_C(1) << left) - 1 : 0;
}

HL_AVX512 static __m512 widen(__m256i half)
{
	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

/* 32 values, each as so many bfloat16. */
INLINE void split(const float *in, int64_t values, int64_t at, const int64_t parts, const int64_t size, char *out)
{
	__m512 low = _mm512_maskz_loadu_ps((__mmask16)mask_of(values, at, 16), in + at);
	__m512 high = _mm512_maskz_loadu_ps((__mmask16)mask_of(values, at + 16, 16), in + at + 16);

	for (int64_t part = 0; part < parts; part++) {
		__m256i a = (__m256i)_mm512_cvtneps_pbh(low), b = (__m256i)_mm512_cvtneps_pbh(high);
		_mm256_storeu_si256((__m256i *)(void *)(out + part * size), a);
		_mm256_storeu_si256((__m256i *)(void *)(out + part * size + HL_AMX_ROW / 2), b);
		low = _mm512_sub_ps(low, widen(a));
		high = _mm512_sub_ps(high, widen(b));
	}
}

HL_AVX512 void hl_amx_copy(const struct hl_pass *pass, const char *in, int64_t values, char *out)
{
	const struct hl_pass_tiles *v = &pass->tiles;
	const int64_t size = v->chunks * HL_AMX_ROW, bytes = values * hl_pass_size(pass);

	for (int64_t chunk = 0; chunk < v->chunks; chunk++, out += HL_AMX_ROW) {
		if (pass->type == HL_F32 && v->parts == 2)
			split((const float *)(const void *)in, values, chunk * 32, 2, size, out);
		else if (pass->type == HL_F32)
			split((const float *)(const void *)in, values, chunk * 32, 3, size, out);
		else
			_mm512_storeu_si512(out, _mm512_maskz_loadu_epi8(mask_of(bytes, chunk * HL_AMX_ROW, 64),
			                                                 in + chunk * HL_AMX_ROW));
	}
}
