/* Reading and writing pictures, windows, resampling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "../fuzz/samples.h"
#include "base/file.h"
#include "base/memory.h"
#include "scan/format.h"
#include "scan/resample.h"
#include "scan/window.h"

static char folder[] = "/tmp/hilum-scan-XXXXXX";
static struct sample samples[SAMPLES_MAX];
static size_t sample_count;

static int set_up(void **state)
{
	(void)state;
	sample_count = samples_make(samples);
	return mkdtemp(folder) && sample_count > 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	char *command = hl_format("rm -rf '%s'", folder);
	int result = command ? system(command) : -1;

	(void)state;
	hl_free(command);
	samples_free(samples, sample_count);
	return result;
}

static char *in_folder(const char *name)
{
	char *path = hl_path_join(folder, name);

	assert_non_null(path);
	return path;
}

static void assert_same(const char *name, const struct hl_volume *got, const struct hl_volume *expected,
                        double tolerance)
{
	if (got->width != expected->width || got->height != expected->height || got->depth != expected->depth ||
	    got->channels != expected->channels || got->type != expected->type || got->unit != expected->unit ||
	    got->maximum != expected->maximum)
		fail_msg("%s: %d x %d x %d x %d of type %d", name, got->width, got->height, got->depth, got->channels,
		         (int)got->type);
	for (int32_t z = 0; z < got->depth; z++)
		for (int32_t y = 0; y < got->height; y++)
			for (int32_t x = 0; x < got->width; x++)
				for (int32_t c = 0; c < got->channels; c++) {
					double a = hl_volume_get(got, x, y, z, c);
					double b = hl_volume_get(expected, x, y, z, c);
					if (!(fabs(a - b) <= tolerance))
						fail_msg("%s: voxel %d %d %d %d is %g, not %g", name, x, y, z, c, a, b);
				}
}

/* ---- reading ---- */

static void test_every_kind(void **state)
{
	static const char *const names[] = {"JPEG", "PNG", "TIFF", "", "NIfTI", "MetaImage", "DICOM"};

	(void)state;
	for (size_t i = 0; i < sample_count; i++) {
		struct hl_volume volume;
		struct hilum_error error = {0};
		if (!samples[i].expected.voxels)
			continue;
		if (hl_scan_decode(samples[i].bytes, samples[i].length, &volume, &error))
			fail_msg("%s: %s", samples[i].name, error.message);
		assert_string_equal(volume.format, names[samples[i].kind]);
		assert_same(samples[i].name, &volume, &samples[i].expected, samples[i].tolerance);
		hl_volume_free(&volume);
	}
}

/* A file cut off anywhere is refused, and out stays as it was. What may be missing is the checksum of a PNG's last,
 * empty chunk and the empty link to a TIFF's next page (4 bytes each, 8 in a BigTIFF): then the picture must be whole.
 */
static void test_truncated(void **state)
{
	(void)state;
	for (size_t i = 0; i < sample_count; i++) {
		size_t step = samples[i].length > 3000 ? samples[i].length / 1000 : 1;
		size_t needed =
		    samples[i].length - (samples[i].kind == SAMPLE_PNG || samples[i].kind == SAMPLE_TIFF ? 8 : 0);
		if (!samples[i].expected.voxels)
			continue;
		for (size_t length = 0; length < samples[i].length; length += step) {
			struct hl_volume volume = {.width = 77};
			struct hilum_error error = {0};
			uint8_t *copy = hl_alloc(length, 1);
			enum hilum_status status;
			memcpy(copy, samples[i].bytes, length);
			status = hl_scan_decode(copy, length, &volume, &error);
			hl_free(copy);
			if (status == HILUM_OK) {
				if (length < needed)
					fail_msg("%s: %zu of %zu bytes were enough", samples[i].name, length,
					         samples[i].length);
				assert_same(samples[i].name, &volume, &samples[i].expected, samples[i].tolerance);
				hl_volume_free(&volume);
				continue;
			}
			assert_int_equal(error.code, status);
			assert_true(strlen(error.message) > 0);
			assert_int_equal(volume.width, 77);
		}
	}
}

/* A PNG's every bit is under a checksum. */
static void test_png_bits(void **state)
{
	(void)state;
	for (size_t i = 0; i < sample_count; i++) {
		if (samples[i].kind != SAMPLE_PNG)
			continue;
		for (size_t bit = 0; bit < samples[i].length * 8; bit += 5) {
			struct hl_volume volume;
			struct hilum_error error = {0};
			samples[i].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (hl_scan_decode(samples[i].bytes, samples[i].length, &volume, &error) == HILUM_OK) {
				/* Bits of that last checksum. */
				assert_same(samples[i].name, &volume, &samples[i].expected, 0);
				hl_volume_free(&volume);
			}
			samples[i].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void test_foreign(void **state)
{
	struct hl_volume volume;
	struct hilum_error error;

	(void)state;
	assert_int_equal(hl_scan_decode(NULL, 0, &volume, &error), HILUM_ERROR_FORMAT);
	assert_string_equal(error.message, "an empty file");
	assert_int_equal(hl_scan_decode((const uint8_t *)"GIF89a..", 8, &volume, &error), HILUM_ERROR_FORMAT);
	assert_int_equal(hl_scan_decode((const uint8_t *)"\xff\xd8\xff", 3, &volume, NULL), HILUM_ERROR_FORMAT);
	assert_int_equal(hl_scan_open("/nonexistent/x.png", &volume, &error), HILUM_ERROR_IO);
	assert_true(hl_scan_has_extension("a/b.PNG"));
	assert_true(hl_scan_has_extension("x.jpeg"));
	assert_true(hl_scan_has_extension("x.y.Tif"));
	assert_false(hl_scan_has_extension("x.jpg/y"));
	assert_false(hl_scan_has_extension("png"));
	assert_false(hl_scan_has_extension("x."));
	assert_false(hl_scan_has_extension("x.pn"));
	assert_false(hl_scan_has_extension("x.jpg "));
}

static void test_jpeg_cmyk(void **state)
{
	static const unsigned char pixels[16 * 16 * 4];
	tjhandle handle = tjInitCompress();
	unsigned char *jpeg = NULL;
	unsigned long size = 0;
	struct hl_volume volume;
	struct hilum_error error;

	(void)state;
	assert_int_equal(tjCompress2(handle, pixels, 16, 0, 16, TJPF_CMYK, &jpeg, &size, TJSAMP_444, 90, 0), 0);
	assert_int_equal(hl_scan_decode(jpeg, size, &volume, &error), HILUM_ERROR_UNSUPPORTED);
	tjFree(jpeg);
	tjDestroy(handle);
}

/* Every allocation of ours, and those libspng makes through us, fails in turn. */
static void test_fail_each(void **state)
{
	(void)state;
	for (size_t i = 0; i < sample_count; i++) {
		if (!samples[i].expected.voxels)
			continue;
		for (int64_t k = 0;; k++) {
			struct hl_volume volume = {.width = 77};
			struct hilum_error error = {0};
			int64_t before = hl_memory_count();
			enum hilum_status status;
			hl_memory_fail_after(k);
			status = hl_scan_decode(samples[i].bytes, samples[i].length, &volume, &error);
			hl_memory_fail_after(-1);
			if (hl_memory_count() - before <= k) {
				assert_int_equal(status, HILUM_OK);
				hl_volume_free(&volume);
				assert_true(k > 0);
				break;
			}
			if (status == HILUM_OK) {
				/* Only text beside the picture may go missing. */
				assert_same(samples[i].name, &volume, &samples[i].expected, samples[i].tolerance);
				hl_volume_free(&volume);
			} else {
				assert_int_equal(volume.width, 77);
				assert_true(error.code != HILUM_OK && error.code != HILUM_ERROR_INTERNAL);
			}
		}
	}
}

/* ---- volumes ---- */

static void test_volume_limits(void **state)
{
	static const struct {
		int32_t width, height, depth, channels;
		enum hilum_status status;
	} cases[] = {
	    {0, 1, 1, 1, HILUM_ERROR_FORMAT},
	    {1, -1, 1, 1, HILUM_ERROR_FORMAT},
	    {1, 1, 0, 1, HILUM_ERROR_FORMAT},
	    {1, 1, 1, 2, HILUM_ERROR_UNSUPPORTED},
	    {16385, 1, 1, 1, HILUM_ERROR_LIMIT},
	    {1, 16385, 1, 1, HILUM_ERROR_LIMIT},
	    {16384, 4097, 1, 1, HILUM_ERROR_LIMIT},
	    {8192, 8192, 9, 1, HILUM_ERROR_LIMIT},
	    {INT32_MAX, INT32_MAX, INT32_MAX, 3, HILUM_ERROR_LIMIT},
	    {512, 512, 2049, 1, HILUM_ERROR_LIMIT},
	    {16384, 1, 1, 3, HILUM_OK},
	    {1, 1, 16384, 1, HILUM_OK},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct hl_volume volume = {.width = 77};
		struct hilum_error error;
		enum hilum_status status = hl_volume_init(&volume, cases[i].width, cases[i].height, cases[i].depth,
		                                          cases[i].channels, HL_VOXEL_U8, &error);
		assert_int_equal(status, cases[i].status);
		if (status)
			assert_int_equal(volume.width, 77);
		else
			hl_volume_free(&volume);
	}
}

/* ---- writing ---- */

static void round_trip(const struct hl_volume *volume, const char *name,
                       enum hilum_status (*write)(const char *, const struct hl_volume *, struct hilum_error *))
{
	char *path = in_folder(name);
	struct hilum_error error = {0};
	struct hl_volume back;
	struct hl_buffer first, second;

	assert_int_equal(write(path, volume, &error), HILUM_OK);
	assert_int_equal(hl_scan_open(path, &back, &error), HILUM_OK);
	assert_same(name, &back, volume, 0);
	assert_int_equal(hl_file_read(path, 1 << 20, &first, &error), HILUM_OK);
	/* What was read, written again: the same bytes. */
	assert_int_equal(write(path, &back, &error), HILUM_OK);
	assert_int_equal(hl_file_read(path, 1 << 20, &second, &error), HILUM_OK);
	assert_int_equal(first.length, second.length);
	assert_memory_equal(first.data, second.data, first.length);
	hl_buffer_free(&first);
	hl_buffer_free(&second);
	hl_volume_free(&back);
	hl_free(path);
}

static void test_round_trips(void **state)
{
	(void)state;
	for (size_t i = 0; i < sample_count; i++) {
		const struct hl_volume *volume = &samples[i].expected;
		if (!samples[i].expected.voxels)
			continue;
		round_trip(volume, "x.tif", hl_tiff_write);
		if (volume->depth == 1 && (volume->type == HL_VOXEL_U8 || volume->type == HL_VOXEL_U16))
			round_trip(volume, "x.png", hl_png_write);
		else
			assert_int_equal(hl_png_write("/tmp/x.png", volume, NULL), HILUM_ERROR_UNSUPPORTED);
	}
	assert_int_equal(hl_tiff_write("/nonexistent/x.tif", &samples[0].expected, NULL), HILUM_ERROR_IO);
	assert_int_equal(hl_png_write("/nonexistent/x.png", &samples[0].expected, NULL), HILUM_ERROR_IO);
}

/* Pages of different sizes are no stack. */
static void test_mixed_pages(void **state)
{
	(void)state;
	for (size_t i = 0; i < sample_count; i++) {
		/* The second page's width, in a stack whose directories list tag 256 first. */
		struct hl_volume volume;
		struct hilum_error error;
		uint8_t *bytes = samples[i].bytes;
		size_t second = 0;
		uint32_t at;
		uint16_t count;
		if (strcmp(samples[i].name, "i16 stack") != 0)
			continue;
		memcpy(&at, bytes + 4, 4);
		memcpy(&count, bytes + at, 2);
		memcpy(&at, bytes + at + 2 + 12 * count, 4);
		second = at + 2 + 8;
		bytes[second]--;
		assert_int_equal(hl_scan_decode(bytes, samples[i].length, &volume, &error), HILUM_ERROR_UNSUPPORTED);
		assert_non_null(strstr(error.message, "not a stack"));
		bytes[second]++;
		return;
	}
	fail();
}

/* ---- windows ---- */

static void test_window_hounsfield(void **state)
{
	static const int16_t in[] = {-32768, -1350, -1349, -600, 149, 150, 32767};
	static const double expected[] = {0, 0, 1.0 / 1500, 0.5, 1499.0 / 1500, 1, 1};
	static const float real[] = {-600.75f, NAN, INFINITY, -INFINITY};
	static const double real_expected[] = {749.25 / 1500, 0, 1, 0};
	struct hl_window window = {-600, 1500};
	struct hl_volume volume;
	float out[21];

	(void)state;
	assert_int_equal(hl_volume_init(&volume, 7, 1, 1, 1, HL_VOXEL_I16, NULL), HILUM_OK);
	memcpy(volume.voxels, in, sizeof(in));
	hl_window_slice(&volume, 0, window, 1, out);
	for (int i = 0; i < 7; i++)
		assert_true(fabs(out[i] - expected[i]) < 1e-6);
	hl_window_slice(&volume, 0, window, 3, out);
	for (int i = 0; i < 21; i++)
		assert_true(fabs(out[i] - expected[i / 3]) < 1e-6);
	/* No width: a threshold. */
	hl_window_slice(&volume, 0, (struct hl_window){-600, 0}, 1, out);
	assert_true(out[2] == 0 && out[4] == 1);
	hl_volume_free(&volume);

	assert_int_equal(hl_volume_init(&volume, 4, 1, 1, 1, HL_VOXEL_F32, NULL), HILUM_OK);
	memcpy(volume.voxels, real, sizeof(real));
	hl_window_slice(&volume, 0, window, 1, out);
	for (int i = 0; i < 4; i++)
		assert_true(fabs(out[i] - real_expected[i]) < 1e-6);
	hl_volume_free(&volume);
}

static void test_window_grey(void **state)
{
	enum { WIDTH = 301, HEIGHT = 2, DEPTH = 2 };
	static float out[WIDTH * HEIGHT * 3];
	struct hl_window ignored = {0, 1};
	struct hl_volume volume;

	(void)state;
	/* Longer than one chunk, second slice. */
	assert_int_equal(hl_volume_init(&volume, WIDTH, HEIGHT, DEPTH, 3, HL_VOXEL_U16, NULL), HILUM_OK);
	for (size_t i = 0; i < (size_t)WIDTH * HEIGHT * DEPTH * 3; i++)
		((uint16_t *)volume.voxels)[i] = (uint16_t)(i * 2654435761u >> 7);
	hl_window_slice(&volume, 1, ignored, 3, out);
	for (int32_t i = 0; i < WIDTH * HEIGHT * 3; i++)
		assert_true(fabs(out[i] - hl_volume_get(&volume, i / 3 % WIDTH, i / 3 / WIDTH, 1, i % 3) / 65535) <
		            1e-6);
	hl_window_slice(&volume, 1, ignored, 1, out);
	for (int32_t i = 0; i < WIDTH * HEIGHT; i++) {
		double r = hl_volume_get(&volume, i % WIDTH, i / WIDTH, 1, 0);
		double g = hl_volume_get(&volume, i % WIDTH, i / WIDTH, 1, 1);
		double b = hl_volume_get(&volume, i % WIDTH, i / WIDTH, 1, 2);
		assert_true(fabs(out[i] - (0.299 * r + 0.587 * g + 0.114 * b) / 65535) < 1e-6);
	}
	hl_volume_free(&volume);
	assert_int_equal(hl_volume_init(&volume, 2, 1, 1, 1, HL_VOXEL_U8, NULL), HILUM_OK);
	((uint8_t *)volume.voxels)[1] = 255;
	hl_window_slice(&volume, 0, ignored, 1, out);
	assert_true(out[0] == 0 && out[1] == 1);
	hl_volume_free(&volume);
}

/* ---- resampling ---- */

struct golden {
	int32_t width, height, to_width, to_height;
	float out[48];
};

/* PIL 9.4: Image.fromarray(a).resize((to_width, to_height), BILINEAR), a float, a[y][x] = (37 x + 101 y + 13 x y) mod
 * 256. */
static const struct golden goldens[] = {
    {7,
     5,
     3,
     4,
     {59.75f, 127.176468f, 168.25f, 122.011909f, 152.470596f, 88.2738113f, 103.511909f, 104.980392f, 134.773804f,
      155.107147f, 142.823532f, 156.892853f}},
    {5, 4, 8, 6, {0.0f,        16.1875f,    39.3125f,   62.4375f,    85.5625f,    108.6875f,  131.8125f,   148.0f,
                  50.5f,       69.53125f,   96.71875f,  123.90625f,  151.09375f,  178.28125f, 133.46875f,  96.5f,
                  117.833336f, 121.989586f, 130.59375f, 163.197922f, 195.802078f, 228.40625f, 141.010422f, 70.5f,
                  185.166672f, 118.447914f, 36.46875f,  74.4895859f, 112.510414f, 150.53125f, 164.552078f, 172.5f,
                  124.5f,      98.90625f,   70.34375f,  113.78125f,  117.21875f,  80.65625f,  116.09375f,  146.5f,
                  47.0f,       80.25f,      127.75f,    175.25f,     142.75f,     30.25f,     61.75f,      95.0f}},
    {16,
     16,
     5,
     3,
     {121.562347f, 130.555038f, 122.245491f, 126.384575f, 121.786812f, 132.550552f, 137.187714f, 126.831314f,
      125.628319f, 132.548813f, 137.631058f, 139.568497f, 122.712547f, 133.799088f, 128.225494f}},
    {3, 3, 3, 2, {37.875f, 79.75f, 121.625f, 164.125f, 62.25f, 120.375f}},
};

static void test_resize_golden(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(goldens) / sizeof(*goldens); i++) {
		const struct golden *g = &goldens[i];
		int32_t pixels = g->to_width * g->to_height;
		float in[256], rgb[768], out[144];
		for (int32_t k = 0; k < g->width * g->height; k++) {
			int32_t x = k % g->width, y = k / g->width;
			in[k] = (float)((37 * x + 101 * y + 13 * x * y) % 256);
			for (int32_t c = 0; c < 3; c++)
				rgb[3 * k + c] = in[k] * (float)(1 << c);
		}
		assert_int_equal(hl_resize(in, g->width, g->height, 1, out, g->to_width, g->to_height, NULL), HILUM_OK);
		for (int32_t k = 0; k < pixels; k++)
			assert_true(out[k] == g->out[k]);
		/* Channels do not mix; doubling is exact. */
		assert_int_equal(hl_resize(rgb, g->width, g->height, 3, out, g->to_width, g->to_height, NULL),
		                 HILUM_OK);
		for (int32_t k = 0; k < 3 * pixels; k++)
			assert_true(out[k] == g->out[k / 3] * (float)(1 << k % 3));
	}
}

static void test_resize_edges(void **state)
{
	static const int32_t sizes[] = {1, 2, 3, 17, 64, 1000};
	static float in[1000 * 64], out[1000 * 64];
	struct hilum_error error;

	(void)state;
	for (size_t i = 0; i < sizeof(in) / sizeof(*in); i++)
		in[i] = 3.25f;
	/* A flat picture stays flat, whatever the sizes. */
	for (size_t a = 0; a < 6; a++)
		for (size_t b = 0; b < 6; b++) {
			assert_int_equal(hl_resize(in, sizes[a], 33, 1, out, sizes[b], 5, NULL), HILUM_OK);
			for (int32_t k = 0; k < sizes[b] * 5; k++)
				assert_true(fabsf(out[k] - 3.25f) < 1e-6f);
		}
	for (int i = 0; i < 12; i++)
		in[i] = (float)i;
	assert_int_equal(hl_resize(in, 4, 3, 1, out, 4, 3, NULL), HILUM_OK);
	assert_memory_equal(in, out, 12 * sizeof(float));
	assert_int_equal(hl_resize(in, 0, 3, 1, out, 4, 3, &error), HILUM_ERROR_ARGUMENT);
	assert_int_equal(hl_resize(in, 4, 3, 1, out, 4, -3, &error), HILUM_ERROR_ARGUMENT);
	for (int64_t i = 0;; i++) {
		int64_t before = hl_memory_count();
		enum hilum_status status;
		hl_memory_fail_after(i);
		status = hl_resize(in, 4, 3, 1, out, 3, 2, &error);
		hl_memory_fail_after(-1);
		if (hl_memory_count() - before <= i) {
			assert_int_equal(status, HILUM_OK);
			assert_true(i > 5);
			break;
		}
		assert_int_equal(status, HILUM_ERROR_MEMORY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_kind),    cmocka_unit_test(test_truncated),
	    cmocka_unit_test(test_png_bits),      cmocka_unit_test(test_foreign),
	    cmocka_unit_test(test_jpeg_cmyk),     cmocka_unit_test(test_fail_each),
	    cmocka_unit_test(test_volume_limits), cmocka_unit_test(test_round_trips),
	    cmocka_unit_test(test_mixed_pages),   cmocka_unit_test(test_window_hounsfield),
	    cmocka_unit_test(test_window_grey),   cmocka_unit_test(test_resize_golden),
	    cmocka_unit_test(test_resize_edges),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
