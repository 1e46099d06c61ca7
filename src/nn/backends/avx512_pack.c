/* Weights as the tiles of a pass read them. */
#include "nn/backends/amx.h"
#include <immintrin.h>
#include <string.h>

/* Where in the weights of one pair of channels a tap lies; across: which of a joint run, of tiles over all taps. */
static int64_t weight_tap(const struct hl_pass *pass, int64_t tap, int64_t across)
{
	const struct hl_pass_axis *a = pass->axis;
	int64_t number = !pass->joint ? tap : pass->tiles.used ? across : tap * a[2].taps + across, row, d, h, w;

	row = number / a[2].taps;
	d = a[0].tap + row / a[1].taps * a[0].tap_step;
	h = a[1].tap + row % a[1].taps * a[1].tap_step;
	w = a[2].tap + number % a[2].taps * a[2].tap_step;
	return (d * a[1].size + h) * a[2].size + w;
}

/* Sixteen output channels for element e of a run of a tap; zero where there is none. */
HL_AVX512 static __m512 gather(const struct hl_pass *pass, const float *weight, const float *scale, int64_t output,
                               int64_t tap, int64_t e)
{
	const __m512i count = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
	int64_t left = pass->outputs - output;
	__mmask16 mask = left >= HL_TILE_LANES ? (__mmask16)0xffff : (__mmask16)((1U << left) - 1);
	__m512i index = _mm512_mullo_epi32(count, _mm512_set1_epi32((int32_t)pass->weight_out));
	__m512 value = _mm512_setzero_ps();

	if (e >= pass->run)
		return value;
	weight += output * pass->weight_out + e % pass->inputs * pass->weight_in;
	value = _mm512_mask_i32gather_ps(value, mask, index, weight + weight_tap(pass, tap, e / pass->inputs), 4);
	return scale ? _mm512_mul_ps(value, _mm512_maskz_loadu_ps(mask, scale + output)) : value;
}

/* Two bfloat16 in each lane. */
HL_AVX512 static __m512 pair(__m512 low, __m512 high)
{
	__m512i a = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(low));
	__m512i b = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(high));

	return _mm512_castsi512_ps(_mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
}

/* Where a unit's first block lies, of tiles of the first part; bytes to the next block. */
static char *unit_at(const struct hl_pass *pass, int64_t group, int64_t tap, int64_t number, int64_t *next)
{
	int64_t begin = hl_pass_group(pass, group), blocks = hl_pass_group(pass, group + 1) - begin;
	int64_t slice = number / pass->units, unit = number % pass->units;
	char *to = pass->weights + begin * hl_pass_block_bytes(pass);

	if (pass->tiles.used) {
		int64_t chunk = tap * pass->tiles.chunks + number / HL_AMX_ROWS;
		*next = HL_AMX_BYTES;
		return to + chunk * pass->tiles.parts * blocks * HL_AMX_BYTES + number % HL_AMX_ROWS * HL_AMX_ROW;
	}
	*next = HL_TILE_LANES * 4;
	return to + (slice * pass->taps + tap) * hl_pass_tap_bytes(pass, blocks) + unit * blocks * HL_TILE_LANES * 4;
}

/* Two numbers in each lane, or of float32 in parts what each of them leaves of the sum. */
HL_AVX512 static void pack_parts(const struct hl_pass *pass, __m512 low, __m512 high, char *to, int64_t next)
{
	for (int part = 0; part < pass->tiles.parts; part++, to += next) {
		__m512i both = _mm512_castps_si512(pair(low, high));
		_mm512_storeu_si512(to, both);
		low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_slli_epi32(both, 16)));
		high = _mm512_sub_ps(
		    high, _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32((int32_t)0xffff0000))));
	}
}

HL_AVX512 static void pack_unit(const struct hl_pass *pass, const float *weight, const float *scale, int64_t group,
                                int64_t number)
{
	int64_t e = number * hl_pass_unit(pass), next;
	int64_t begin = hl_pass_group(pass, group), blocks = hl_pass_group(pass, group + 1) - begin;

	for (int64_t tap = 0; tap < pass->taps; tap++) {
		char *to = unit_at(pass, group, tap, number, &next);
		for (int64_t block = 0; block < blocks; block++, to += next) {
			int64_t output = (begin + block) * HL_TILE_LANES;
			__m512 value = gather(pass, weight, scale, output, tap, e), other = value;
			if (hl_pass_unit(pass) == 2)
				other = gather(pass, weight, scale, output, tap, e + 1);
			if (pass->tiles.used)
				pack_parts(pass, value, other, to, blocks * next);
			else
				_mm512_storeu_ps(to, pass->type == HL_BF16 ? pair(value, other) : value);
		}
	}
}

/* Four bytes in each lane. */
static void pack_bytes(const struct hl_pass *pass, int64_t group, int64_t number)
{
	int64_t begin = hl_pass_group(pass, group), blocks = hl_pass_group(pass, group + 1) - begin, next;

	for (int64_t tap = 0; tap < pass->taps; tap++) {
		char *to = unit_at(pass, group, tap, number, &next);
		int64_t from[4], there = pass->run - number * 4;
		there = there < 0 ? 0 : there > 4 ? 4 : there;
		for (int64_t k = 0; k < there; k++) {
			int64_t e = number * 4 + k;
			from[k] = e % pass->inputs * pass->weight_in + weight_tap(pass, tap, e / pass->inputs);
		}
		for (int64_t lane = 0; lane < blocks * HL_TILE_LANES; lane++) {
			int64_t output = begin * HL_TILE_LANES + lane;
			char *at = to + lane / HL_TILE_LANES * next + lane % HL_TILE_LANES * 4;
			memset(at, 0, 4);
			for (int64_t k = 0; k < there && output < pass->outputs; k++)
				at[k] = pass->int8->weight[output * pass->weight_out + from[k]];
		}
	}
}

static void pack_all_bytes(struct hl_pass *pass)
{
#pragma omp parallel for collapse(2) schedule(static) num_threads(pass->threads)
	for (int64_t group = 0; group < pass->groups; group++)
		for (int64_t unit = 0; unit < pass->slices * pass->units; unit++)
			pack_bytes(pass, group, unit);
	memcpy(pass->bias, pass->int8->shift, (size_t)pass->outputs * sizeof *pass->bias);
	memcpy(pass->scale, pass->int8->scale, (size_t)pass->outputs * sizeof *pass->scale);
}

void hl_pass_pack(struct hl_pass *pass, const float *weight, const float *scale, const float *shift)
{
	int64_t units = pass->winograd ? 0 : pass->slices * pass->units;

	if (pass->type == HL_U8) {
		pack_all_bytes(pass);
		return;
	}
	if (pass->winograd)
		hl_winograd_pack(pass, weight, scale);
#pragma omp parallel for collapse(2) schedule(static) num_threads(pass->threads)
	for (int64_t group = 0; group < pass->groups; group++)
		for (int64_t unit = 0; unit < units; unit++)
			pack_unit(pass, weight, scale, group, unit);
	if (shift)
		memcpy(pass->bias, shift, (size_t)pass->outputs * sizeof *shift);
}
