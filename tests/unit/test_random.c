#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

static void known_answers(void **state)
{
	/* kat_vectors of Random123, "philox4x32 10": counter, key, result. */
	static const uint32_t table[][10] = {
	    {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
	    {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
	     0x6d5451fd},
	    {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
	     0x24126ea1},
	};
	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct hl_random random = {.used = 4};
		uint32_t filled[4];
		memcpy(random.counter, table[i], 16);
		memcpy(random.key, table[i] + 4, 8);
		hl_random_fill(&random, 0, filled, 4);
		for (int k = 0; k < 4; k++) {
			assert_int_equal(hl_random_u32(&random), table[i][6 + k]);
			assert_int_equal(filled[k], table[i][6 + k]);
		}
	}
}

static void counter_carries(void **state)
{
	struct hl_random random = {.counter = {0xffffffff, 7, 1, 2}, .used = 4};
	(void)state;
	hl_random_u32(&random);
	assert_int_equal(random.counter[0], 0);
	assert_int_equal(random.counter[1], 8);
	assert_int_equal(random.counter[2], 1);
}

static void fill_is_seekable(void **state)
{
	enum { N = 203 };
	uint32_t drawn[N], filled[N];
	(void)state;
	/* From a fresh stream and from one in the middle of a block. */
	for (int before = 0; before < 6; before++) {
		struct hl_random start = hl_random_stream(12345678901, 3, 4, HL_RANDOM_TEST);
		for (int k = 0; k < before; k++)
			hl_random_u32(&start);
		struct hl_random random = start;
		for (int k = 0; k < N; k++)
			drawn[k] = hl_random_u32(&random);
		for (uint64_t offset = 0; offset < 40; offset++) {
			for (uint64_t count = 0; count < 20; count++) {
				memset(filled, 0xaa, sizeof filled);
				hl_random_fill(&start, offset, filled, count);
				assert_memory_equal(filled, drawn + offset, count * 4);
				assert_int_equal(filled[count], 0xaaaaaaaa);
			}
		}
		hl_random_fill(&start, 1, filled, N - 1);
		assert_memory_equal(filled, drawn + 1, (N - 1) * 4);
	}
}

static void streams_differ(void **state)
{
	uint32_t first[6][4];
	struct hl_random streams[6] = {
	    hl_random_stream(1, 0, 0, HL_RANDOM_TEST),
	    hl_random_stream(2, 0, 0, HL_RANDOM_TEST),
	    hl_random_stream(UINT64_C(1) << 32, 0, 0, HL_RANDOM_TEST),
	    hl_random_stream(1, 1, 0, HL_RANDOM_TEST),
	    hl_random_stream(1, 0, 1, HL_RANDOM_TEST),
	    hl_random_stream(1, 0, 0, HL_RANDOM_SPLIT),
	};
	(void)state;
	for (int i = 0; i < 6; i++) {
		hl_random_fill(&streams[i], 0, first[i], 4);
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(first[i], first[j], 16);
	}
}

static void uniform_moments(void **state)
{
	struct hl_random random = hl_random_stream(9, 0, 0, HL_RANDOM_TEST);
	double sum = 0, squares = 0;
	int n = 200000;
	(void)state;
	for (int i = 0; i < n; i++) {
		double u = hl_random_uniform(&random);
		assert_true(u >= 0 && u < 1);
		sum += u;
		squares += u * u;
	}
	/* Five standard errors. */
	assert_true(fabs(sum / n - 0.5) < 5 * sqrt(1.0 / 12 / n));
	assert_true(fabs(squares / n - 1.0 / 3) < 5 * sqrt(4.0 / 45 / n));
	for (int i = 0; i < 1000; i++) {
		double u = hl_random_range(&random, -3, -2.5);
		assert_true(u >= -3 && u < -2.5);
	}
	/* A range so narrow that only its ends exist. */
	for (int i = 0; i < 100; i++)
		assert_true(hl_random_range(&random, 1, nextafter(1, 2)) == 1);
}

static void normal_moments(void **state)
{
	struct hl_random random = hl_random_stream(10, 0, 0, HL_RANDOM_TEST);
	double moments[5] = {0};
	int n = 400000, beyond3 = 0;
	(void)state;
	for (int i = 0; i < n; i++) {
		double x = hl_random_normal(&random), power = 1;
		assert_true(isfinite(x));
		beyond3 += fabs(x) > 3;
		for (int k = 0; k < 5; k++, power *= x)
			moments[k] += power / n;
	}
	assert_true(fabs(moments[1]) < 5 / sqrt(n));
	assert_true(fabs(moments[2] - 1) < 5 * sqrt(2.0 / n));
	assert_true(fabs(moments[3]) < 5 * sqrt(15.0 / n));
	assert_true(fabs(moments[4] - 3) < 5 * sqrt(96.0 / n));
	double expected = 0.0026997960632601866 * n;
	assert_true(fabs(beyond3 - expected) < 5 * sqrt(expected));
}

/* The uniform that a normal was made from is known, so that the quantile is checked by the error function. */
static void normal_is_the_quantile(void **state)
{
	struct hl_random random = hl_random_stream(11, 0, 0, HL_RANDOM_TEST);
	(void)state;
	for (int i = 0; i < 100000; i++) {
		struct hl_random copy = random;
		uint64_t high = hl_random_u32(&copy), low = hl_random_u32(&copy);
		double p = ((double)((high << 32 | low) >> 12) + 0.5) * 0x1p-52;
		double x = hl_random_normal(&random), back = 0.5 * erfc(-x / sqrt(2));
		assert_true(fabs(back - p) <= 1e-13 * fmin(p, 1 - p) + 2e-16);
	}
}

static void normal_at_the_far_ends(void **state)
{
	/* A block that holds the smallest or the greatest 53 bits. */
	struct hl_random low = {.used = 0}, high = {.block = {UINT32_MAX, UINT32_MAX, 0, 0}, .used = 0};
	(void)state;
	/* The quantile of 2^-53. */
	assert_true(fabs(hl_random_normal(&low) + 8.209536151601387) < 1e-12);
	assert_true(fabs(hl_random_normal(&high) - 8.209536151601387) < 1e-12);
}

static void below_is_even(void **state)
{
	struct hl_random random = hl_random_stream(12, 0, 0, HL_RANDOM_TEST);
	int count[7] = {0};
	double chi = 0;
	(void)state;
	for (int i = 0; i < 70000; i++)
		count[hl_random_below(&random, 7)]++;
	for (int k = 0; k < 7; k++)
		chi += (count[k] - 10000) * (count[k] - 10000) / 10000.0;
	assert_true(chi < 30); /* 6 degrees of freedom: 4e-5 */
	assert_int_equal(hl_random_below(&random, 1), 0);
	/* A bound just above 2^31 rejects nearly half of the draws; halves must stay even. */
	int upper = 0;
	for (int i = 0; i < 40000; i++) {
		uint32_t drawn = hl_random_below(&random, UINT32_C(0x80000001));
		assert_true(drawn <= UINT32_C(0x80000000));
		upper += drawn >= UINT32_C(0x40000000);
	}
	assert_true(abs(upper - 20000) < 500);
}

static void shuffle_permutes(void **state)
{
	uint32_t items[50], seen[50] = {0}, place[6] = {0};
	struct hl_random random = hl_random_stream(13, 0, 0, HL_RANDOM_TEST);
	(void)state;
	for (uint32_t i = 0; i < 50; i++)
		items[i] = i;
	hl_random_shuffle(&random, items, 50);
	for (uint32_t i = 0; i < 50; i++)
		seen[items[i]]++;
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(seen[i], 1);
	/* All six orders of three come about equally often. */
	for (int i = 0; i < 6000; i++) {
		uint32_t three[3] = {0, 1, 2};
		hl_random_shuffle(&random, three, 3);
		place[three[0] * 2 + (three[1] > three[2])]++;
	}
	for (int i = 0; i < 6; i++)
		assert_true(place[i] > 850 && place[i] < 1150);
	items[0] = 7;
	hl_random_shuffle(&random, items, 1);
	assert_int_equal(items[0], 7);
	hl_random_shuffle(&random, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(known_answers),          cmocka_unit_test(counter_carries),
	    cmocka_unit_test(fill_is_seekable),       cmocka_unit_test(streams_differ),
	    cmocka_unit_test(uniform_moments),        cmocka_unit_test(normal_moments),
	    cmocka_unit_test(normal_is_the_quantile), cmocka_unit_test(normal_at_the_far_ends),
	    cmocka_unit_test(below_is_even),          cmocka_unit_test(shuffle_permutes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
