#include "nn/backends/amx_tiles.h"
#include "nn/backends/avx512_tile.h"
#include <float.h>
#include <immintrin.h>
#include <string.h>

_Static_assert(sizeof(struct hl_amx_config) == 64, "as LDTILECFG reads it");

#define EIGHT(x) x, x, x, x, x, x, x, x

const struct hl_amx_config hl_amx_whole = {
    .palette = 1, .row_bytes = {EIGHT(HL_AMX_ROW)}, .rows = {EIGHT(HL_AMX_ROWS)}};

void hl_amx_configure(struct hl_amx_registers *registers, const struct hl_amx_config *config)
{
	if (registers)
		*registers = (struct hl_amx_registers){.config = *config};
	else
		__asm__ volatile("ldtilecfg %0" ::"m"(*config));
}

void hl_amx_release(struct hl_amx_registers *registers)
{
	if (registers)
		*registers = (struct hl_amx_registers){0};
	else
		__asm__ volatile("tilerelease" ::);
}

void hl_amx_zero(struct hl_amx_registers *registers, int tile)
{
	memset(registers->tile[tile], 0, sizeof registers->tile[tile]);
}

void hl_amx_load(struct hl_amx_registers *registers, int tile, const void *from, int64_t stride)
{
	const struct hl_amx_config *config = &registers->config;

	hl_amx_zero(registers, tile);
	for (int row = 0; row < config->rows[tile]; row++)
		memcpy(registers->tile[tile][row], (const char *)from + row * stride, config->row_bytes[tile]);
}

void hl_amx_store(const struct hl_amx_registers *registers, int tile, void *to, int64_t stride)
{
	const struct hl_amx_config *config = &registers->config;

	for (int row = 0; row < config->rows[tile]; row++)
		memcpy((char *)to + row * stride, registers->tile[tile][row], config->row_bytes[tile]);
}

/* Sizes of a product: rows and columns of c, and products of four bytes. False where they do not fit. */
struct sizes {
	int rows, columns, depth;
};

static bool sizes_of(struct hl_amx_registers *registers, int c, int a, int b, struct sizes *out)
{
	const struct hl_amx_config *config = &registers->config;

	*out = (struct sizes){config->rows[c], config->row_bytes[c] / 4, config->row_bytes[a] / 4};
	if (config->palette == 1 && out->rows > 0 && out->columns > 0 && config->rows[a] == out->rows &&
	    config->rows[b] == out->depth && config->row_bytes[b] == config->row_bytes[c])
		return true;
	memset(registers->tile[c], 0xff, sizeof registers->tile[c]);
	return false;
}

HL_AVX512 static __m512 flush(__m512 x)
{
	__m512 size = _mm512_abs_ps(x);
	__m512i sign = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(INT32_MIN));

	return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(size, _mm512_set1_ps(FLT_MIN), _CMP_LT_OQ),
	                          _mm512_castsi512_ps(sign));
}

/* The first or second of each two bfloat16. */
HL_AVX512 static __m512 half(__m512i pairs, bool second)
{
	__m512i bits =
	    second ? _mm512_and_si512(pairs, _mm512_set1_epi32((int32_t)0xffff0000)) : _mm512_slli_epi32(pairs, 16);

	return flush(_mm512_castsi512_ps(bits));
}

HL_AVX512 void hl_amx_multiply_bf16(struct hl_amx_registers *registers, int c, int a, int b)
{
	struct sizes sizes;

	if (!sizes_of(registers, c, a, b, &sizes))
		return;
	for (int m = 0; m < sizes.rows; m++) {
		__m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()}, *to = (void *)registers->tile[c][m], all;
		for (int k = 0; k < sizes.depth; k++) {
			__m512i y = _mm512_loadu_si512(registers->tile[b][k]);
			int32_t pair;
			memcpy(&pair, registers->tile[a][m] + 4 * k, sizeof pair);
			for (int i = 0; i < 2; i++)
				sum[i] = flush(_mm512_fmadd_ps(half(_mm512_set1_epi32(pair), i), half(y, i), sum[i]));
		}
		all = flush(_mm512_add_ps(sum[0], sum[1]));
		all = flush(_mm512_add_ps(flush(_mm512_loadu_ps(to)), all));
		_mm512_storeu_ps(to, _mm512_maskz_mov_ps((__mmask16)((1U << sizes.columns) - 1), all));
	}
}

void hl_amx_multiply_u8(struct hl_amx_registers *registers, int c, int a, int b)
{
	struct sizes sizes;

	if (!sizes_of(registers, c, a, b, &sizes))
		return;
	for (int m = 0; m < sizes.rows; m++) {
		uint32_t sum[HL_AMX_COLUMNS];
		memcpy(sum, registers->tile[c][m], sizeof sum);
		for (int k = 0; k < sizes.depth; k++) {
			const uint8_t *x = registers->tile[a][m] + 4 * k, *row = registers->tile[b][k];
			for (int n = 0; n < sizes.columns; n++)
				for (int i = 0; i < 4; i++)
					sum[n] += (uint32_t)(x[i] * (int8_t)row[4 * n + i]);
		}
		memcpy(registers->tile[c][m], sum, sizeof sum);
	}
}
