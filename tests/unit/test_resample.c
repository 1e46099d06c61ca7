/* Volumes to voxels of another size, and blocks of volumes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "scan/orient.h"
#include "scan/resample.h"

static void make(struct hl_volume *volume, int32_t width, int32_t height, int32_t depth, enum hl_voxel type)
{
	static const double spacing[3] = {0.7, 0.8, 2.5};

	assert_int_equal(hl_volume_init(volume, width, height, depth, 1, type, NULL), HILUM_OK);
	volume->oriented = true;
	for (int k = 0; k < 3; k++) {
		volume->spacing[k] = spacing[k];
		volume->origin[k] = 100 * k - 30.5;
		volume->direction[k][k] = 1;
	}
	strcpy(volume->format, "test");
}

static void put(struct hl_volume *volume, int32_t x, int32_t y, int32_t z, double value)
{
	size_t at = ((size_t)z * (size_t)volume->height + (size_t)y) * (size_t)volume->width + (size_t)x;

	if (volume->type == HL_VOXEL_I16)
		((int16_t *)volume->voxels)[at] = (int16_t)value;
	else if (volume->type == HL_VOXEL_U8)
		((uint8_t *)volume->voxels)[at] = (uint8_t)value;
	else if (volume->type == HL_VOXEL_U16)
		((uint16_t *)volume->voxels)[at] = (uint16_t)value;
	else
		((float *)volume->voxels)[at] = (float)value;
}

#define EACH(volume)                                                                                                   \
	for (int32_t z = 0; z < (volume)->depth; z++)                                                                  \
		for (int32_t y = 0; y < (volume)->height; y++)                                                         \
			for (int32_t x = 0; x < (volume)->width; x++)

static void noise(struct hl_volume *volume)
{
	EACH(volume)
	put(volume, x, y, z, (x * 73 + y * 151 + z * 977 + x * y * z) % 2000 - 1000);
}

static void resample(const struct hl_volume *volume, double x, double y, double z, enum hl_voxel type, int32_t threads,
                     struct hl_volume *out)
{
	const double spacing[3] = {x, y, z};
	struct hilum_error error;

	if (hl_volume_resample(volume, spacing, type, threads, out, &error))
		fail_msg("%s", error.message);
}

/* Its own size: nothing changes. */
static void test_identity(void **state)
{
	struct hl_volume volume, same;

	(void)state;
	make(&volume, 23, 17, 9, HL_VOXEL_I16);
	noise(&volume);
	resample(&volume, 0.7, 0.8, 2.5, HL_VOXEL_I16, 2, &same);
	assert_int_equal(same.width, 23);
	assert_memory_equal(same.voxels, volume.voxels, 23 * 17 * 9 * 2);
	for (int k = 0; k < 3; k++)
		assert_true(same.origin[k] == volume.origin[k]);
	hl_volume_free(&same);
	hl_volume_free(&volume);
}

/* A ramp in millimetres stays that ramp wherever voxels come to lie, but for half a filter at the edges. */
static void check_ramp(double sx, double sy, double sz, enum hl_voxel type)
{
	struct hl_volume volume, out;
	double affine[3][4], far[3];

	make(&volume, 50, 40, 30, type);
	hl_volume_affine(&volume, affine);
	EACH(&volume)
	put(&volume, x, y, z,
	    4 * (affine[0][0] * x + affine[0][3]) - 3 * (affine[1][1] * y + affine[1][3]) +
	        2 * (affine[2][2] * z + affine[2][3]));
	resample(&volume, sx, sy, sz, type, 2, &out);
	far[0] = fmax(sx, 0.7);
	far[1] = fmax(sy, 0.8);
	far[2] = fmax(sz, 2.5);
	hl_volume_affine(&out, affine);
	assert_int_equal(out.width, (int)round(50 * 0.7 / sx));
	assert_int_equal(out.depth, (int)round(30 * 2.5 / sz));
	EACH(&out)
	{
		double mm[3] = {affine[0][0] * x + affine[0][3], affine[1][1] * y + affine[1][3],
		                affine[2][2] * z + affine[2][3]};
		double expected = 4 * mm[0] - 3 * mm[1] + 2 * mm[2];
		bool inside = true;
		for (int k = 0; k < 3; k++) {
			double low = volume.origin[k], count = k == 0 ? 50 : k == 1 ? 40 : 30;
			double high = low + (count - 1) * volume.spacing[k];
			inside = inside && mm[k] > low + far[k] && mm[k] < high - far[k];
		}
		/* Whole numbers are cut off when put, and rounded when made. */
		double tolerance = type == HL_VOXEL_F32 ? 0.01 : 1.6;
		if (inside && !(fabs(hl_volume_get(&out, x, y, z, 0) - expected) <= tolerance))
			fail_msg("%g %g %g: voxel %d %d %d is %g, not %g", sx, sy, sz, x, y, z,
			         hl_volume_get(&out, x, y, z, 0), expected);
	}
	hl_volume_free(&out);
	hl_volume_free(&volume);
}

static void test_ramp(void **state)
{
	(void)state;
	check_ramp(1, 1, 1, HL_VOXEL_F32);
	check_ramp(0.7, 0.5, 1.25, HL_VOXEL_F32);
	check_ramp(0.33, 0.8, 6.1, HL_VOXEL_F32);
	check_ramp(2.1, 1.9, 2.5, HL_VOXEL_F32);
	check_ramp(1, 1, 1, HL_VOXEL_I16);
	check_ramp(1.4, 0.4, 5, HL_VOXEL_I16);
}

/* What is too fine for the new voxels is averaged away, along every axis. */
static void test_antialiasing(void **state)
{
	(void)state;
	for (int axis = 0; axis < 3; axis++) {
		struct hl_volume volume, out;
		double spacing[3] = {0.7, 0.8, 2.5};
		make(&volume, 40, 40, 40, HL_VOXEL_F32);
		EACH(&volume)
		put(&volume, x, y, z, (axis == 0 ? x : axis == 1 ? y : z) % 2 ? 1000 : -1000);
		spacing[axis] *= 4;
		resample(&volume, spacing[0], spacing[1], spacing[2], HL_VOXEL_F32, 1, &out);
		EACH(&out)
		{
			int at = axis == 0 ? x : axis == 1 ? y : z;
			if (at > 0 && at < 9)
				assert_true(fabs(hl_volume_get(&out, x, y, z, 0)) < 1);
		}
		hl_volume_free(&out);
		hl_volume_free(&volume);
	}
}

/* The same bits on any number of threads, and from a spacing that was kept with 32 bits. */
static void test_same_bits(void **state)
{
	static const int32_t threads[] = {1, 2, 3, 7};
	struct hl_volume volume, first, other;
	size_t bytes;

	(void)state;
	make(&volume, 61, 47, 70, HL_VOXEL_I16);
	noise(&volume);
	for (int type = HL_VOXEL_I16; type <= HL_VOXEL_F32; type++) {
		resample(&volume, 1, 0.9, 1.1, (enum hl_voxel)type, 1, &first);
		bytes = (size_t)first.width * (size_t)first.height * (size_t)first.depth *
		        hl_voxel_size((enum hl_voxel)type);
		for (int i = 0; i < 4; i++) {
			struct hl_volume single = volume;
			for (int k = 0; k < 3 && i % 2; k++)
				single.spacing[k] = (double)(float)volume.spacing[k];
			resample(&single, 1, 0.9, 1.1, (enum hl_voxel)type, threads[i], &other);
			assert_memory_equal(first.voxels, other.voxels, bytes);
			hl_volume_free(&other);
		}
		hl_volume_free(&first);
	}
	hl_volume_free(&volume);
}

static void test_types(void **state)
{
	static const enum hl_voxel types[] = {HL_VOXEL_U8, HL_VOXEL_U16};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct hl_volume volume, out;
		make(&volume, 20, 20, 20, types[i]);
		EACH(&volume)
		put(&volume, x, y, z, x < 10 ? 200 : 0);
		resample(&volume, 1.4, 1.6, 5, types[i], 1, &out);
		assert_int_equal(out.type, types[i]);
		assert_true(out.maximum == volume.maximum && out.unit == HL_UNIT_GREY);
		assert_true(hl_volume_get(&out, 1, 5, 5, 0) == 200 && hl_volume_get(&out, 8, 5, 5, 0) == 0);
		hl_volume_free(&out);
		hl_volume_free(&volume);
	}
}

static void test_resample_refuses(void **state)
{
	struct hl_volume volume, out = {.width = 77};
	struct hilum_error error;
	const double one[3] = {1, 1, 1}, bad[3] = {1, (double)NAN, 1}, fine[3] = {1e-3, 1, 1};

	(void)state;
	make(&volume, 30, 5, 5, HL_VOXEL_I16);
	assert_int_equal(hl_volume_resample(&volume, bad, HL_VOXEL_I16, 1, &out, &error), HILUM_ERROR_ARGUMENT);
	assert_int_equal(hl_volume_resample(&volume, fine, HL_VOXEL_I16, 1, &out, &error), HILUM_ERROR_LIMIT);
	assert_int_equal(hl_volume_resample(&volume, one, HL_VOXEL_U8, 1, &out, &error), HILUM_ERROR_UNSUPPORTED);
	volume.spacing[1] = 0;
	assert_int_equal(hl_volume_resample(&volume, one, HL_VOXEL_I16, 1, &out, &error), HILUM_ERROR_UNSUPPORTED);
	volume.spacing[1] = 1;
	for (int64_t k = 0;; k++) {
		int64_t before = hl_memory_count();
		enum hilum_status status;
		hl_memory_fail_after(k);
		status = hl_volume_resample(&volume, one, HL_VOXEL_I16, 1, &out, &error);
		hl_memory_fail_after(-1);
		if (hl_memory_count() - before <= k) {
			assert_int_equal(status, HILUM_OK);
			break;
		}
		assert_int_equal(status, HILUM_ERROR_MEMORY);
		assert_int_equal(out.width, 77);
	}
	hl_volume_free(&out);
	hl_volume_free(&volume);
}

static void check_block(const struct hl_volume *volume, int32_t fx, int32_t fy, int32_t fz, int32_t sx, int32_t sy,
                        int32_t sz)
{
	const int32_t first[3] = {fx, fy, fz}, size[3] = {sx, sy, sz};
	struct hl_volume block;

	assert_int_equal(hl_volume_crop(volume, first, size, &block, NULL), HILUM_OK);
	assert_int_equal(block.width, sx);
	assert_int_equal(block.depth, sz);
	EACH(&block)
	{
		int32_t a = x + fx, b = y + fy, c = z + fz;
		bool inside =
		    a >= 0 && b >= 0 && c >= 0 && a < volume->width && b < volume->height && c < volume->depth;
		double air = volume->unit == HL_UNIT_GREY ? 0 : -1000;
		double expected = inside ? hl_volume_get(volume, a, b, c, 0) : air;
		if (hl_volume_get(&block, x, y, z, 0) != expected)
			fail_msg("block from %d %d %d: voxel %d %d %d", fx, fy, fz, x, y, z);
	}
	for (int k = 0; k < 3; k++)
		assert_true(fabs(block.origin[k] - volume->origin[k] - first[k] * volume->spacing[k]) < 1e-9);
	hl_volume_free(&block);
}

static void test_crop(void **state)
{
	static const enum hl_voxel types[] = {HL_VOXEL_I16, HL_VOXEL_F32, HL_VOXEL_U8};
	struct hl_volume volume;
	const int32_t first[3] = {0, 0, 0}, size[3] = {1, 0, 1}, far[3] = {0, INT32_MAX, 0}, one[3] = {1, 1, 1};

	(void)state;
	for (int i = 0; i < 3; i++) {
		make(&volume, 11, 9, 7, types[i]);
		noise(&volume);
		check_block(&volume, 0, 0, 0, 11, 9, 7);
		check_block(&volume, 3, 2, 1, 5, 4, 3);
		check_block(&volume, -3, -2, -1, 20, 15, 10);
		check_block(&volume, 8, -5, 6, 9, 9, 9);
		check_block(&volume, 50, 0, 0, 4, 4, 4);
		check_block(&volume, 0, -50, 0, 4, 4, 4);
		assert_int_equal(hl_volume_crop(&volume, first, size, &volume, NULL), HILUM_ERROR_ARGUMENT);
		assert_int_equal(hl_volume_crop(&volume, far, one, &volume, NULL), HILUM_ERROR_ARGUMENT);
		hl_volume_free(&volume);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_identity),  cmocka_unit_test(test_ramp),  cmocka_unit_test(test_antialiasing),
	    cmocka_unit_test(test_same_bits), cmocka_unit_test(test_types), cmocka_unit_test(test_resample_refuses),
	    cmocka_unit_test(test_crop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
