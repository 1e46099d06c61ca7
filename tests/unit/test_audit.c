/* Copies of phantoms under each change are found, and what is no copy is not; groups and their agreement. */
#include "data/inferred.h"

#include "base/memory.h"
#include "base/random.h"
#include "scan/format.h"
#include "scan/phantom.h"
#include "scan/window.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SIDE 96
#define PATIENTS 6
#define CHANGES 8

static char folder[64];

/* Where a pixel of the copy lies in the original, and what its grey becomes. */
static double changed(const float *in, int change, int x, int y, double noise)
{
	double u = x, v = y, gain = 1, offset = 0;
	switch (change) {
	case 0: /* mirrored */
		u = SIDE - 1 - x;
		break;
	case 1: /* a quarter turn */
		u = y;
		v = SIDE - 1 - x;
		break;
	case 2: /* moved */
		u = x + 4;
		v = y - 3;
		break;
	case 3: /* rotated by six degrees */
		u = cos(0.105) * (x - 47.5) - sin(0.105) * (y - 47.5) + 47.5;
		v = sin(0.105) * (x - 47.5) + cos(0.105) * (y - 47.5) + 47.5;
		break;
	case 4:
		gain = 0.8;
		offset = 0.1;
		break;
	case 5:
		offset = 0.03 * noise;
		break;
	case 6: /* a cut between the positions that are searched */
		u = 5 + 0.85 * x;
		v = 8 + 0.85 * y;
		break;
	default: /* what is dark is lost */
		gain = 1.3;
		offset = -0.2;
	}
	if (u < 0 || v < 0 || u > SIDE - 1 || v > SIDE - 1)
		return 0;
	int iu = u < SIDE - 1 ? (int)u : SIDE - 2, iv = v < SIDE - 1 ? (int)v : SIDE - 2;
	double fu = u - iu, fv = v - iv;
	const float *at = in + iv * SIDE + iu;
	return gain * ((1 - fv) * ((1 - fu) * (double)at[0] + fu * (double)at[1]) +
	               fv * ((1 - fu) * (double)at[SIDE] + fu * (double)at[SIDE + 1])) +
	       offset;
}

static void write_picture(const float *grey, int patient, int change)
{
	struct hl_volume picture = {0};
	char path[128];
	struct hl_random random = hl_random_stream(1, 0, (uint32_t)patient, HL_RANDOM_TEST);
	assert_int_equal(hl_volume_init(&picture, SIDE, SIDE, 1, 1, HL_VOXEL_U8, NULL), HILUM_OK);
	picture.maximum = 255;
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++) {
			double value = change < 0 ? (double)grey[y * SIDE + x]
			                          : changed(grey, change, x, y, hl_random_normal(&random));
			((uint8_t *)picture.voxels)[y * SIDE + x] = (uint8_t)(255 * fmin(fmax(value, 0), 1) + 0.5);
		}
	snprintf(path, sizeof(path), "%s/%c/%d-%d.png", folder, patient % 2 ? 'a' : 'b', patient, change + 1);
	assert_int_equal(hl_png_write(path, &picture, NULL), HILUM_OK);
	hl_volume_free(&picture);
}

static int make_data(void **state)
{
	char path[96];
	float grey[SIDE * SIDE];
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/hilum-audit-XXXXXX");
	assert_non_null(mkdtemp(folder));
	for (int k = 0; k < 2; k++) {
		snprintf(path, sizeof(path), "%s/%c", folder, 'a' + k);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	for (int p = 0; p < PATIENTS; p++) {
		struct hl_phantom phantom;
		assert_int_equal(hl_phantom_draw(5, (uint32_t)p, SIDE, p % 2, &phantom, NULL), HILUM_OK);
		hl_window_slice(&phantom.volume, 0, (struct hl_window){-600, 1500}, 1, grey);
		hl_volume_free(&phantom.volume);
		for (int change = -1; change < CHANGES; change++)
			write_picture(grey, p, change);
	}
	return 0;
}

static int remove_data(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static void find(const struct hl_alike_options *how, struct hl_dataset **dataset, struct hl_pairs *pairs)
{
	struct hl_looks looks;
	assert_int_equal(hl_dataset_open(folder, NULL, dataset, NULL), HILUM_OK);
	assert_int_equal(hl_looks_read(*dataset, true, how->threads, NULL, &looks, NULL), HILUM_OK);
	for (size_t i = 0; i < looks.count; i++) {
		assert_null(looks.look[i].reason);
		assert_int_equal(looks.look[i].width, SIDE);
	}
	assert_int_equal(hl_alike_find(&looks, how, NULL, pairs, NULL), HILUM_OK);
	hl_looks_free(&looks);
}

/* "a/3-2.png": patient 3, change 1. */
static void tell(const struct hl_dataset *dataset, uint32_t index, int *patient, int *change)
{
	const char *path = dataset->cases[index].path;
	*patient = path[2] - '0';
	*change = path[4] - '1';
}

static void test_every_change_is_found_and_named(void **state)
{
	static const enum hl_alike expected[CHANGES] = {HL_ALIKE_TURNED,  HL_ALIKE_TURNED,     HL_ALIKE_SHIFTED,
	                                                HL_ALIKE_ROTATED, HL_ALIKE_BRIGHTNESS, HL_ALIKE_NOISE,
	                                                HL_ALIKE_CROPPED, HL_ALIKE_BRIGHTNESS};
	bool found[PATIENTS][CHANGES] = {{false}};
	struct hl_dataset *dataset;
	struct hl_pairs pairs;
	(void)state;
	find(&(struct hl_alike_options){.threads = 2}, &dataset, &pairs);
	for (size_t i = 0; i < pairs.count; i++) {
		int patient[2], change[2];
		tell(dataset, pairs.pair[i].a, &patient[0], &change[0]);
		tell(dataset, pairs.pair[i].b, &patient[1], &change[1]);
		if (pairs.pair[i].kind != HL_ALIKE_ADJACENT)
			assert_int_equal(patient[0], patient[1]);
		if (change[0] >= 0)
			continue;
		assert_int_equal(pairs.pair[i].kind, expected[change[1]]);
		found[patient[0]][change[1]] = true;
	}
	for (int p = 0; p < PATIENTS; p++)
		for (int c = 0; c < CHANGES; c++)
			assert_true(found[p][c]);
	hl_free(pairs.pair);
	hl_dataset_free(dataset);
}

static void test_threads_change_nothing(void **state)
{
	struct hl_dataset *dataset[2];
	struct hl_pairs pairs[2];
	(void)state;
	for (int k = 0; k < 2; k++)
		find(&(struct hl_alike_options){.threads = 1 + 2 * k}, &dataset[k], &pairs[k]);
	assert_int_equal(pairs[0].count, pairs[1].count);
	assert_memory_equal(pairs[0].pair, pairs[1].pair, pairs[0].count * sizeof(*pairs[0].pair));
	for (int k = 0; k < 2; k++) {
		hl_free(pairs[k].pair);
		hl_dataset_free(dataset[k]);
	}
}

static void test_only_pairs_across_parts(void **state)
{
	struct hl_dataset *dataset;
	struct hl_pairs pairs;
	int32_t part[PATIENTS * (CHANGES + 1)];
	(void)state;
	/* In the order of paths: every brightened copy is in the other part. */
	for (int i = 0; i < PATIENTS * (CHANGES + 1); i++)
		part[i] = i % (CHANGES + 1) == 5;
	find(&(struct hl_alike_options){.cheap = true, .part = part, .threads = 2}, &dataset, &pairs);
	assert_true(pairs.count >= PATIENTS);
	for (size_t i = 0; i < pairs.count; i++)
		assert_true(part[pairs.pair[i].a] != part[pairs.pair[i].b]);
	hl_free(pairs.pair);
	hl_dataset_free(dataset);
}

static void test_groups(void **state)
{
	struct hl_pair list[] = {{.a = 1, .b = 4}, {.a = 0, .b = 2}, {.a = 2, .b = 4}};
	const struct hl_pairs pairs = {3, list};
	const uint32_t expected[6] = {0, 0, 0, 1, 0, 2};
	uint32_t group[6];
	(void)state;
	assert_int_equal(hl_inferred_groups(&pairs, 6, group), 3);
	assert_memory_equal(group, expected, sizeof(group));
}

static void test_adjusted_rand(void **state)
{
	/* sklearn.metrics.adjusted_rand_score gives 0.24242424 for the first two. */
	const uint32_t a[6] = {0, 0, 0, 1, 1, 1}, b[6] = {0, 0, 1, 1, 2, 2}, renamed[6] = {7, 7, 7, 2, 2, 2};
	(void)state;
	assert_true(fabs(hl_adjusted_rand(a, b, 6) - 0.24242424242424243) < 1e-12);
	assert_true(fabs(hl_adjusted_rand(a, renamed, 6) - 1) < 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_change_is_found_and_named),
	                                   cmocka_unit_test(test_threads_change_nothing),
	                                   cmocka_unit_test(test_only_pairs_across_parts),
	                                   cmocka_unit_test(test_groups), cmocka_unit_test(test_adjusted_rand)};
	return cmocka_run_group_tests_name("audit", tests, make_data, remove_data);
}
