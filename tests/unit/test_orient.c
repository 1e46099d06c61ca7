/* Turning volumes to patient axes: every voxel stays where it was in the patient. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "scan/orient.h"

static const int permutations[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

static void put(struct hl_volume *volume, size_t at, int value)
{
	switch (volume->type) {
	case HL_VOXEL_U8:
		((uint8_t *)volume->voxels)[at] = (uint8_t)value;
		break;
	case HL_VOXEL_U16:
		((uint16_t *)volume->voxels)[at] = (uint16_t)value;
		break;
	case HL_VOXEL_I16:
		((int16_t *)volume->voxels)[at] = (int16_t)value;
		break;
	case HL_VOXEL_F32:
		((float *)volume->voxels)[at] = (float)value;
		break;
	}
}

/* 5 x 4 x 3 voxels that are all different, their axes along the permutation, each towards sign, turned by angle about
 * the superior axis and then about the left one. */
static void make(struct hl_volume *volume, enum hl_voxel type, int32_t channels, const int *permutation, int signs,
                 double angle)
{
	static const double spacing[3] = {0.75, 1.25, 2.5};
	double c = cos(angle), s = sin(angle);
	double turn[3][3] = {{c, -s, 0}, {s * c, c * c, -s}, {s * s, s * c, c}};

	assert_int_equal(hl_volume_init(volume, 5, 4, 3, channels, type, NULL), HILUM_OK);
	for (int i = 0; i < 60 * channels; i++)
		put(volume, (size_t)i, i + 1);
	for (int k = 0; k < 3; k++) {
		double sign = signs >> k & 1 ? -1 : 1;
		volume->spacing[k] = spacing[k];
		volume->origin[k] = 10.0 * k - 7;
		for (int i = 0; i < 3; i++)
			volume->direction[k][i] = sign * turn[i][permutation[k]];
	}
	volume->oriented = true;
}

static void place(const struct hl_volume *volume, int32_t x, int32_t y, int32_t z, double mm[3])
{
	double affine[3][4];

	hl_volume_affine(volume, affine);
	for (int i = 0; i < 3; i++)
		mm[i] = affine[i][0] * x + affine[i][1] * y + affine[i][2] * z + affine[i][3];
}

/* Where value lies, by looking at all voxels. */
static void find(const struct hl_volume *volume, int32_t channel, double value, double mm[3])
{
	for (int32_t z = 0; z < volume->depth; z++)
		for (int32_t y = 0; y < volume->height; y++)
			for (int32_t x = 0; x < volume->width; x++)
				if (hl_volume_get(volume, x, y, z, channel) == value) {
					place(volume, x, y, z, mm);
					return;
				}
	fail_msg("value %g is gone", value);
}

static void check(enum hl_voxel type, int32_t channels, const int *permutation, int signs, double angle)
{
	struct hl_volume before, after;
	struct hilum_error error;
	int32_t size[3];

	make(&before, type, channels, permutation, signs, angle);
	make(&after, type, channels, permutation, signs, angle);
	assert_int_equal(hl_volume_orient(&after, &error), HILUM_OK);
	size[0] = after.width;
	size[1] = after.height;
	size[2] = after.depth;
	for (int k = 0; k < 3; k++) {
		assert_int_equal(size[permutation[k]], k == 0 ? 5 : k == 1 ? 4 : 3);
		/* Nearer to its patient axis than to any other. */
		assert_true(after.direction[k][k] > 0.7);
	}
	for (int i = 0; i < 60; i++)
		for (int32_t c = 0; c < channels; c++) {
			double was[3], is[3];
			find(&before, c, i * channels + c + 1, was);
			find(&after, c, i * channels + c + 1, is);
			for (int k = 0; k < 3; k++)
				if (!(fabs(was[k] - is[k]) < 1e-9))
					fail_msg("voxel %d of permutation %d%d%d, signs %d: %g became %g", i,
					         permutation[0], permutation[1], permutation[2], signs, was[k], is[k]);
		}
	hl_volume_free(&before);
	hl_volume_free(&after);
}

static void test_every_orientation(void **state)
{
	(void)state;
	for (int p = 0; p < 6; p++)
		for (int signs = 0; signs < 8; signs++) {
			check(HL_VOXEL_I16, 1, permutations[p], signs, 0);
			check(HL_VOXEL_I16, 1, permutations[p], signs, 0.3);
			check(HL_VOXEL_U8, 1, permutations[p], signs, 0);
			check(HL_VOXEL_F32, 1, permutations[p], signs, -0.2);
			check(HL_VOXEL_U8, 3, permutations[p], signs, 0);
			check(HL_VOXEL_U16, 3, permutations[p], signs, 0);
		}
}

static void test_unoriented(void **state)
{
	struct hl_volume volume;

	(void)state;
	make(&volume, HL_VOXEL_I16, 1, permutations[5], 7, 0);
	volume.oriented = false;
	assert_int_equal(hl_volume_orient(&volume, NULL), HILUM_OK);
	assert_int_equal(volume.width, 5);
	assert_true(hl_volume_get(&volume, 0, 0, 0, 0) == 1);
	hl_volume_free(&volume);
}

static void test_memory(void **state)
{
	struct hl_volume volume;
	struct hilum_error error;

	(void)state;
	make(&volume, HL_VOXEL_I16, 1, permutations[3], 2, 0);
	hl_memory_fail_after(0);
	assert_int_equal(hl_volume_orient(&volume, &error), HILUM_ERROR_MEMORY);
	hl_memory_fail_after(-1);
	assert_int_equal(volume.width, 5);
	assert_true(volume.direction[0][0] == 0);
	hl_volume_free(&volume);
}

static void test_affine(void **state)
{
	double oblique[3][4] = {{0.6, -0.8, 0, -100.5}, {0.8, 0.6, 0, 20}, {0, 0, -2.5, 300}}, back[3][4];
	struct hl_volume volume = {.width = 9, .height = 9, .depth = 9};
	struct hilum_error error = {0};

	(void)state;
	assert_int_equal(hl_volume_set_affine(&volume, oblique, &error), HILUM_OK);
	assert_true(volume.oriented);
	assert_true(fabs(volume.spacing[0] - 1) < 1e-12 && volume.spacing[2] == 2.5);
	hl_volume_affine(&volume, back);
	for (int i = 0; i < 12; i++)
		assert_true(fabs(back[i / 4][i % 4] - oblique[i / 4][i % 4]) < 1e-12);
}

static void test_affine_refused(void **state)
{
	static double sheared[3][4] = {{1, 0, 0, 0}, {0, 1, 0.0524, 0}, {0, 0, 1, 0}};
	static double flat[3][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 0, 0}};
	static double endless[3][4] = {{1, 0, 0, 0}, {0, 1, 0, (double)INFINITY}, {0, 0, 1, 0}};
	static double none[3][4] = {{(double)NAN, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}};
	struct hl_volume volume = {.width = 9};
	struct hilum_error error = {0};

	(void)state;
	assert_int_equal(hl_volume_set_affine(&volume, sheared, &error), HILUM_ERROR_UNSUPPORTED);
	assert_non_null(strstr(error.message, "axes 2 and 3 stand at 87.00 degrees"));
	assert_int_equal(hl_volume_set_affine(&volume, flat, &error), HILUM_ERROR_FORMAT);
	assert_int_equal(hl_volume_set_affine(&volume, endless, &error), HILUM_ERROR_FORMAT);
	assert_int_equal(hl_volume_set_affine(&volume, none, &error), HILUM_ERROR_FORMAT);
	assert_false(volume.oriented);
	assert_true(volume.spacing[0] == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_orientation),
	    cmocka_unit_test(test_unoriented),
	    cmocka_unit_test(test_memory),
	    cmocka_unit_test(test_affine),
	    cmocka_unit_test(test_affine_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
