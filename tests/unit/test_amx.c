/* The tile operations of AMX: the emulation against plain sums, and, where the processor has tiles, against them. Then
 * convolutions on either: float32 in two and in three parts, and strict. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/random.h"
#include "nn/backends/amx_tiles.h"
#include "nn/tensor.h"

enum { SUMS, LEFT, RIGHT, SIDES };

/* c += a b with tiles of these sizes; rows of memory lie further apart than they are long. */
struct product {
	int rows, columns, depth; /* c is rows by columns, each product of depth times four bytes */
	int stride[SIDES];
	struct hl_amx_config config;
	uint8_t memory[SIDES][HL_AMX_ROWS * 2 * HL_AMX_ROW];
};

static void size_tile(struct product *p, int tile, int rows, int row_bytes)
{
	p->config.rows[tile] = (uint8_t)rows;
	p->config.row_bytes[tile] = (uint16_t)row_bytes;
}

static struct product product_of(int rows, int columns, int depth)
{
	struct product p = {.rows = rows, .columns = columns, .depth = depth, .config = {.palette = 1}};
	size_tile(&p, 0, rows, columns * 4);
	size_tile(&p, 5, rows, depth * 4);
	size_tile(&p, 7, depth, columns * 4);
	p.stride[SUMS] = columns * 4 + 12;
	p.stride[LEFT] = depth * 4 + 3;
	p.stride[RIGHT] = columns * 4 + 64;
	return p;
}

static void run(struct product *p, struct hl_amx_registers *registers, bool bytes)
{
	hl_amx_configure(registers, &p->config);
	hl_amx_load(registers, 0, p->memory[SUMS], p->stride[SUMS]);
	hl_amx_load(registers, 5, p->memory[LEFT], p->stride[LEFT]);
	hl_amx_load(registers, 7, p->memory[RIGHT], p->stride[RIGHT]);
	if (bytes)
		HL_AMX_MULTIPLY_U8(false, registers, 0, 5, 7);
	else
		HL_AMX_MULTIPLY_BF16(false, registers, 0, 5, 7);
	hl_amx_store(registers, 0, p->memory[SUMS], p->stride[SUMS]);
	hl_amx_release(registers);
}

static void run_real(struct product *p, bool bytes)
{
	hl_amx_configure(NULL, &p->config);
	HL_AMX_ZERO(true, NULL, 0);
	HL_AMX_LOAD(true, NULL, 0, p->memory[SUMS], p->stride[SUMS]);
	HL_AMX_LOAD(true, NULL, 5, p->memory[LEFT], p->stride[LEFT]);
	HL_AMX_LOAD(true, NULL, 7, p->memory[RIGHT], p->stride[RIGHT]);
	if (bytes)
		HL_AMX_MULTIPLY_U8(true, NULL, 0, 5, 7);
	else
		HL_AMX_MULTIPLY_BF16(true, NULL, 0, 5, 7);
	HL_AMX_STORE(true, NULL, 0, p->memory[SUMS], p->stride[SUMS]);
	hl_amx_release(NULL);
}

static bool has_tiles(void)
{
	struct hl_cpu cpu = hl_cpu_describe();
	return cpu.amx && !cpu.amx_emulated;
}

static float bf16_at(const struct product *p, int side, int row, int column)
{
	uint16_t half;
	memcpy(&half, p->memory[side] + row * p->stride[side] + 2 * column, sizeof(half));
	return hl_bf16_to_f32(half);
}

static float flushed(float x)
{
	return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}

/* As the manual has it: TDPBF16PS, "Operation". */
static float expected_bf16(const struct product *p, int m, int n)
{
	float sum[2] = {0, 0}, before;
	for (int k = 0; k < p->depth; k++)
		for (int i = 0; i < 2; i++) {
			float a = flushed(bf16_at(p, LEFT, m, 2 * k + i)), b = flushed(bf16_at(p, RIGHT, k, 2 * n + i));
			sum[i] = flushed(fmaf(a, b, sum[i]));
		}
	memcpy(&before, p->memory[SUMS] + m * p->stride[SUMS] + 4 * n, sizeof(before));
	return flushed(flushed(before) + flushed(sum[0] + sum[1]));
}

static int32_t expected_u8(const struct product *p, int m, int n)
{
	int64_t sum;
	int32_t before;
	memcpy(&before, p->memory[SUMS] + m * p->stride[SUMS] + 4 * n, sizeof(before));
	sum = before;
	for (int k = 0; k < p->depth; k++)
		for (int i = 0; i < 4; i++)
			sum += (int64_t)p->memory[LEFT][m * p->stride[LEFT] + 4 * k + i] *
			       (int8_t)p->memory[RIGHT][k * p->stride[RIGHT] + 4 * n + i];
	return (int32_t)(uint32_t)(uint64_t)sum;
}

static void put_bf16(struct product *p, int side, struct hl_random *random, int span)
{
	for (size_t i = 0; i + 1 < sizeof(p->memory[side]); i += 2) {
		/* Exponents far apart, so that denormal numbers are among products and sums. */
		double value = hl_random_range(random, -1, 1) * exp2(hl_random_range(random, -span, 0));
		uint16_t half = hl_bf16_from_f32((float)value);
		memcpy(p->memory[side] + i, &half, sizeof(half));
	}
}

static void put_bytes(struct product *p, int side, struct hl_random *random)
{
	for (size_t i = 0; i < sizeof(p->memory[side]); i++)
		p->memory[side][i] = (uint8_t)hl_random_range(random, 0, 256);
}

static void put_floats(struct product *p, struct hl_random *random, double size)
{
	for (size_t i = 0; i < sizeof(p->memory[SUMS]); i += 4) {
		float value = (float)(hl_random_range(random, -1, 1) * size);
		memcpy(p->memory[SUMS] + i, &value, sizeof(value));
	}
}

static const int sizes[][3] = {{16, 16, 16}, {1, 1, 1}, {16, 16, 1}, {5, 16, 13}, {16, 3, 7}, {7, 11, 16}};

/* The same bits as sums in the manual's order, and nothing written elsewhere. */
static void check(const struct product *before, const struct product *after, bool bytes, const char *what)
{
	uint8_t expected[sizeof(before->memory[SUMS])];
	memcpy(expected, before->memory[SUMS], sizeof(expected));
	for (int m = 0; m < before->rows; m++)
		for (int n = 0; n < before->columns; n++) {
			float sum = expected_bf16(before, m, n);
			int32_t whole = expected_u8(before, m, n);
			memcpy(expected + m * before->stride[SUMS] + 4 * n, bytes ? (void *)&whole : (void *)&sum, 4);
		}
	if (memcmp(expected, after->memory[SUMS], sizeof(expected)) != 0)
		fail_msg("%s, %s, %d x %d x %d: other bits", what, bytes ? "bytes" : "bf16", before->rows,
		         before->columns, before->depth);
}

static void test_products(void **state)
{
	static struct hl_amx_registers registers;
	static const int spans[] = {4, 70, 126};
	struct hl_random random = hl_random_stream(3, 0, 0, HL_RANDOM_TEST);
	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int kind = 0; kind < 4; kind++) {
			bool bytes = kind == 3;
			struct product before = product_of(sizes[i][0], sizes[i][1], sizes[i][2]), after;
			for (int side = LEFT; side < SIDES; side++)
				if (bytes)
					put_bytes(&before, side, &random);
				else
					put_bf16(&before, side, &random, spans[kind]);
			if (bytes)
				put_bytes(&before, SUMS, &random);
			else
				put_floats(&before, &random, exp2(-spans[kind] / 2.0));
			after = before;
			run(&after, &registers, bytes);
			check(&before, &after, bytes, "emulated");
			if (!has_tiles())
				continue;
			after = before;
			run_real(&after, bytes);
			check(&before, &after, bytes, "processor");
		}
}

/* A tile holds zeros beyond its size, and sizes that do not fit spoil the sums rather than pass. */
static void test_sizes(void **state)
{
	static struct hl_amx_registers registers;
	static const struct {
		int tile, rows, row_bytes;
	} wrong[] = {{0, 4, 12}, {5, 5, 12}, {7, 5, 16}, {7, 1, 12}, {0, 0, 12}};
	(void)state;
	for (size_t i = 0; i <= sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct product p = product_of(5, 3, 2);
		float sum;
		if (i > 0)
			size_tile(&p, wrong[i - 1].tile, wrong[i - 1].rows, wrong[i - 1].row_bytes);
		hl_amx_configure(&registers, &p.config);
		memset(registers.tile, 1, sizeof(registers.tile));
		hl_amx_load(&registers, 7, p.memory[RIGHT], p.stride[RIGHT]);
		for (int at = 0; at < HL_AMX_BYTES; at++)
			assert_int_equal(registers.tile[7][at / HL_AMX_ROW][at % HL_AMX_ROW], 0);
		hl_amx_zero(&registers, 0);
		hl_amx_multiply_bf16(&registers, 0, 5, 7);
		memcpy(&sum, registers.tile[0], sizeof(sum));
		assert_int_equal(isnan(sum) != 0, i > 0);
	}
	/* Whole tiles, as kernels use them, fit. */
	hl_amx_configure(&registers, &hl_amx_whole);
	hl_amx_multiply_bf16(&registers, 3, 5, 7);
	for (int at = 0; at < HL_AMX_BYTES; at++)
		assert_int_equal(registers.tile[3][at / HL_AMX_ROW][at % HL_AMX_ROW], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_products),
	    cmocka_unit_test(test_sizes),
	};
	if (!hl_cpu_describe().avx512) {
		print_message("this processor has no AVX-512, which the emulation needs: nothing to test\n");
		return 0;
	}
	if (!has_tiles())
		print_message("this processor has no tiles: the emulation alone is tested\n");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
