/* The weight gradient on tiles (AMX): what of avx512_wgrad.c is particular to them.
 *
 * A row of a tile holds 16 values at neighbouring places, each a pair of bfloat16. The gradient of the output is packed
 * with outputs as rows and places as columns, the input with places as rows and channels as columns, so that a product
 * of the two adds 32 places, pairs counted twice, to 16 by 16 weights, and every tap and stride is another address of
 * the input. Sums of a tile of 32 channels by all outputs of the block stay in memory and are taken up for each tap.
 *
 * Float32 is split in two as in amx.h, each part packed by itself. */
#include "nn/backends/amx_tiles.h"
#include "nn/backends/avx512_tile.h"
#include "nn/backends/avx512_wgrad.h"
#include <immintrin.h>
#include <string.h>

#define INLINE HL_AVX512 static inline __attribute__((always_inline))
#define LANES HL_WGRAD_LANES
#define TILE (HL_AMX_BYTES / (int64_t)sizeof(float))

/* Two blocks of 16 outputs, or one, by two of 16 channels, or one. */
struct sum {
	const struct hl_wgrad_line *line;
	int64_t lines, groups; /* groups of 16 places in a line */
	int64_t shift, step;   /* of the first input value behind line->x, and from place to place */
	int64_t in_part;       /* values from the first parts of inputs to the second */
	int64_t block;         /* values from the gradient's first to the first block of outputs */
	int64_t group;         /* from one group of places to the next */
	int64_t out_part;      /* from the first parts of gradients to the second */
	float *sums;           /* output block, channel block, output, channel */
	struct hl_amx_registers *registers;
};

/* Tiles 0 to 3 are sums, output block by channel block; 4 and 5 are gradients, 6 and 7 inputs. */
#define LOAD_GRADIENTS(from)                                                                                           \
	do {                                                                                                           \
		HL_AMX_LOAD(real, registers, 4, from, HL_AMX_ROW);                                                     \
		if (outputs > 1)                                                                                       \
			HL_AMX_LOAD(real, registers, 5, (from) + TILE, HL_AMX_ROW);                                    \
	} while (0)
#define LOAD_INPUTS(from)                                                                                              \
	do {                                                                                                           \
		HL_AMX_LOAD(real, registers, 6, from, step *(int64_t)sizeof(float));                                   \
		if (inputs > 1)                                                                                        \
			HL_AMX_LOAD(real, registers, 7, (from) + LANES, step * (int64_t)sizeof(float));                \
	} while (0)
#define MULTIPLY()                                                                                                     \
	do {                                                                                                           \
		HL_AMX_MULTIPLY_BF16(real, registers, 0, 4, 6);                                                        \
		if (inputs > 1)                                                                                        \
			HL_AMX_MULTIPLY_BF16(real, registers, 1, 4, 7);                                                \
		if (outputs > 1)                                                                                       \
			HL_AMX_MULTIPLY_BF16(real, registers, 2, 5, 6);                                                \
		if (outputs > 1 && inputs > 1)                                                                         \
			HL_AMX_MULTIPLY_BF16(real, registers, 3, 5, 7);                                                \
	} while (0)
#define MOVE(what, sums)                                                                                               \
	do {                                                                                                           \
		HL_AMX_##what(real, registers, 0, sums, HL_AMX_ROW);                                                   \
		if (inputs > 1)                                                                                        \
			HL_AMX_##what(real, registers, 1, (sums) + TILE, HL_AMX_ROW);                                  \
		if (outputs > 1)                                                                                       \
			HL_AMX_##what(real, registers, 2, (sums) + 2 * TILE, HL_AMX_ROW);                              \
		if (outputs > 1 && inputs > 1)                                                                         \
			HL_AMX_##what(real, registers, 3, (sums) + 3 * TILE, HL_AMX_ROW);                              \
	} while (0)

INLINE void add_lines(const bool real, const int parts, const int outputs, const int inputs, const struct sum *s)
{
	const int64_t step = s->step, in_part = s->in_part, out_part = s->out_part, group = s->group;
	struct hl_amx_registers *const registers = s->registers;
	float *const sums = s->sums;

	MOVE(LOAD, sums);
	for (int64_t line = 0; line < s->lines; line++) {
		const float *x = s->line[line].x + s->shift, *dy = s->line[line].dy + s->block;
		for (int64_t i = 0; i < s->groups; i++, x += LANES * step, dy += group) {
			LOAD_GRADIENTS(dy);
			if (parts > 1) {
				LOAD_INPUTS(x + in_part);
				MULTIPLY();
			}
			LOAD_INPUTS(x);
			MULTIPLY();
			if (parts > 1) {
				LOAD_GRADIENTS(dy + out_part);
				MULTIPLY();
			}
		}
	}
	MOVE(STORE, sums);
}

#define ADD(parts, outputs, inputs)                                                                                    \
	HL_AVX512 static void real_##parts##_##outputs##_##inputs(const struct sum *s)                                 \
	{                                                                                                              \
		add_lines(true, parts, outputs, inputs, s);                                                            \
	}                                                                                                              \
	HL_AVX512 static void emulated_##parts##_##outputs##_##inputs(const struct sum *s)                             \
	{                                                                                                              \
		add_lines(false, parts, outputs, inputs, s);                                                           \
	}
#define ADDS(parts) ADD(parts, 1, 1) ADD(parts, 1, 2) ADD(parts, 2, 1) ADD(parts, 2, 2)
#define NAMES(how, parts)                                                                                              \
	{                                                                                                              \
		{how##_##parts##_1_1, how##_##parts##_1_2}, {how##_##parts##_2_1, how##_##parts##_2_2},                \
	}

ADDS(1)
ADDS(2)

static void (*const adders[2][2][2][2])(const struct sum *) = {{NAMES(real, 1), NAMES(real, 2)},
                                                               {NAMES(emulated, 1), NAMES(emulated, 2)}};

/* ---- packing ---- */

/* 16 values of first and second in pairs, and what that leaves of both. */
INLINE __m512i round_pairs(__m512 *first, __m512 *second)
{
	__m512i a = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(*first));
	__m512i b = _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(*second)), 16);

	*first = _mm512_sub_ps(*first, _mm512_castsi512_ps(_mm512_slli_epi32(a, 16)));
	*second = _mm512_sub_ps(*second, _mm512_castsi512_ps(b));
	return _mm512_or_si512(a, b);
}

HL_AVX512 void hl_amx_pack_split(const float *first, const float *second, int64_t stride, int64_t count, int64_t places,
                                 float *out, int64_t place, int64_t part)
{
	const __mmask16 one = first ? UINT16_MAX : 0, two = second ? UINT16_MAX : 0;
	/* Nothing is read where a mask is empty, but the address must be one. */
	const float *a = first ? first : second, *b = second ? second : first;

	for (int64_t w = 0; w < places; w++, a += stride, b += stride, out += place)
		for (int64_t c = 0; c < count; c += LANES) {
			__mmask16 mask = count - c < LANES ? (__mmask16)((1U << (count - c)) - 1) : UINT16_MAX;
			__m512 x = _mm512_maskz_loadu_ps(mask & one, a + c);
			__m512 y = _mm512_maskz_loadu_ps(mask & two, b + c);
			_mm512_storeu_si512(out + c, round_pairs(&x, &y));
			_mm512_storeu_si512(out + part + c, round_pairs(&x, &y));
		}
}

void hl_amx_turn(const struct hl_wgrad_task *t, const float *plain, float *out)
{
	const struct hl_wgrad *g = t->g;
	int64_t width = t->outputs, groups = hl_wgrad_pieces(g->out.w, LANES);

	for (int64_t i = 0; i < groups; i++)
		for (int64_t o = 0; o < width; o++)
			for (int64_t w = 0; w < LANES; w++) {
				int64_t at = i * LANES + w;
				*out++ = at < g->out.w ? plain[at * width + o] : 0;
			}
}

/* ---- a task ---- */

static float *sums_of(const struct hl_wgrad_task *t, int64_t tile, int64_t tap)
{
	return t->w.tiles + (tile * hl_wgrad_taps_of(t->g) + tap) * t->outputs / LANES * 2 * TILE;
}

void hl_amx_begin(const struct hl_wgrad_task *t)
{
	memset(t->w.tiles, 0, (size_t)(sums_of(t, t->tiles, 0) - t->w.tiles) * sizeof(float));
	hl_amx_configure(t->g->avx512.emulated ? t->w.registers : NULL, &hl_amx_whole);
}

/* One tile under one tap, all lines of the chunk. */
static void add_tap(const struct hl_wgrad_task *t, int64_t tile, int64_t tap, int64_t kw, int64_t lines)
{
	const struct hl_wgrad *g = t->g;
	const struct hl_wgrad_avx512 *v = &g->avx512;
	int64_t columns = v->joint ? 1 : g->window.size.w, blocks = t->outputs / LANES;
	int64_t count = t->w.tile[tile].to - t->w.tile[tile].from;
	struct sum s = {.line = t->w.line + tap * v->chunk,
	                .lines = t->w.before[tap * (v->chunk + 1) + lines],
	                .groups = hl_wgrad_pieces(g->out.w, LANES),
	                .shift = t->w.tile[tile].from + (v->joint ? 0 : kw * g->window.dilation.w * v->place),
	                .step = v->place * g->window.stride.w,
	                .in_part = v->part,
	                .group = t->outputs * LANES,
	                .sums = sums_of(t, tile, tap * columns + kw),
	                .registers = t->w.registers};

	s.out_part = hl_wgrad_left_of(g) / v->split;
	for (int64_t block = 0; block < blocks && s.lines > 0; block += 2, s.sums += 4 * TILE, s.block += 2 * TILE)
		adders[v->emulated][v->split - 1][block + 1 < blocks][count > LANES](&s);
}

void hl_amx_multiply(const struct hl_wgrad_task *t, int64_t lines)
{
	const struct hl_wgrad *g = t->g;
	int64_t columns = g->avx512.joint ? 1 : g->window.size.w;

	for (int64_t tile = 0; tile < t->tiles; tile++)
		for (int64_t tap = 0; tap < hl_wgrad_row_taps_of(g); tap++)
			for (int64_t kw = 0; kw < columns; kw++)
				add_tap(t, tile, tap, kw, lines);
}

/* Sums of a tile under a tap, as the other kernels leave them: input, output. */
static void write_tile(const struct hl_wgrad_task *t, int64_t tile, int64_t tap, float *out)
{
	const float *sums = sums_of(t, tile, tap);
	int64_t count = t->w.tile[tile].to - t->w.tile[tile].from;

	for (int64_t i = 0; i < count; i++)
		for (int64_t o = 0; o < t->outputs; o++) {
			int64_t block = o / LANES * 2 + i / LANES;
			*out++ = sums[block * TILE + o % LANES * LANES + i % LANES];
		}
}

void hl_amx_end(const struct hl_wgrad_task *t)
{
	int64_t taps = hl_wgrad_taps_of(t->g);
	float *out = t->sums;

	hl_amx_release(t->g->avx512.emulated ? t->w.registers : NULL);
	for (int64_t tile = 0; tile < t->tiles; tile++)
		for (int64_t tap = 0; tap < taps; tap++) {
			write_tile(t, tile, tap, out);
			out += (t->w.tile[tile].to - t->w.tile[tile].from) * t->outputs;
		}
}
