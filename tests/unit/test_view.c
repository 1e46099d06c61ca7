/* hilum_convert, hilum_view and hilum_info of scans, through the public header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "scan/format.h"
#include "scan/window.h"

static char folder[] = "/tmp/hilum-view-XXXXXX";
static char *scan_path, *mask_path;
static struct hl_volume scan;

enum { WIDTH = 24, HEIGHT = 20, DEPTH = 7 };

static int value_at(int x, int y, int z)
{
	return -1350 + (x * 57 + y * 31 + z * 113) % 1500;
}

static char *in_folder(const char *name)
{
	char *path = hl_path_join(folder, name);

	assert_non_null(path);
	return path;
}

/* A scan of 0.5 x 0.5 x 1.5 mm, and a mask with a block of 1 in slice 2 and a larger one of 2 in slice 4. */
static int set_up(void **state)
{
	struct hl_volume mask;

	(void)state;
	if (!mkdtemp(folder) || hl_volume_init(&scan, WIDTH, HEIGHT, DEPTH, 1, HL_VOXEL_I16, NULL) ||
	    hl_volume_init(&mask, WIDTH, HEIGHT, DEPTH, 1, HL_VOXEL_U8, NULL))
		return -1;
	scan.oriented = true;
	for (int k = 0; k < 3; k++) {
		scan.spacing[k] = k == 2 ? 1.5 : 0.5;
		scan.origin[k] = -10.25 * k;
		scan.direction[k][k] = 1;
	}
	for (int i = 0; i < WIDTH * HEIGHT * DEPTH; i++) {
		int x = i % WIDTH, y = i / WIDTH % HEIGHT, z = i / WIDTH / HEIGHT;
		((int16_t *)scan.voxels)[i] = (int16_t)value_at(x, y, z);
		if (z == 2 && x < 3 && y < 3)
			((uint8_t *)mask.voxels)[i] = 1;
		if (z == 4 && x >= 10 && x < 20 && y >= 5 && y < 15)
			((uint8_t *)mask.voxels)[i] = 2;
	}
	scan_path = in_folder("scan.nii.gz");
	mask_path = in_folder("mask.mha");
	if (hl_nifti_write(scan_path, &scan, NULL) || hl_metaimage_write(mask_path, &mask, true, NULL))
		return -1;
	hl_volume_free(&mask);
	return 0;
}

static int tear_down(void **state)
{
	char *command = hl_format("rm -rf '%s'", folder);
	int result = command ? system(command) : -1;

	(void)state;
	hl_free(command);
	hl_free(scan_path);
	hl_free(mask_path);
	hl_volume_free(&scan);
	return result;
}

static void assert_scan(const char *path, bool placed)
{
	struct hl_volume volume;
	struct hilum_error error;

	if (hl_scan_open(path, &volume, &error))
		fail_msg("%s", error.message);
	assert_int_equal(volume.width, WIDTH);
	assert_int_equal(volume.height, HEIGHT);
	assert_int_equal(volume.depth, DEPTH);
	assert_int_equal(volume.type, HL_VOXEL_I16);
	assert_memory_equal(volume.voxels, scan.voxels, WIDTH * HEIGHT * DEPTH * 2);
	for (int k = 0; k < 3 && placed; k++)
		assert_true(volume.spacing[k] == scan.spacing[k] && volume.origin[k] == scan.origin[k] &&
		            volume.direction[k][k] == 1);
	assert_int_equal(volume.oriented, placed);
	hl_volume_free(&volume);
}

static struct hilum_convert_options convert_options(void)
{
	struct hilum_convert_options options;

	hilum_options_init(hilum_convert_option_table, &options);
	return options;
}

static void test_convert(void **state)
{
	static const char *const names[] = {"a.nii", "a.nii.gz", "a.NII.GZ", "a.mha", "a.mhd", "a.tif", "a.tiff"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct hilum_convert_options options = convert_options();
		struct hilum_error error;
		char *path = in_folder(names[i]);
		options.compress = i % 2;
		if (hilum_convert(scan_path, path, &options, &error))
			fail_msg("%s", error.message);
		assert_scan(path, strstr(names[i], ".tif") == NULL);
		hl_free(path);
	}
}

static void test_convert_slices(void **state)
{
	struct hilum_convert_options options = convert_options();
	struct hilum_error error;
	char *tiff = in_folder("slices"), *png = in_folder("pictures"), *geometry, *slice;
	struct hl_window lung = {-600, 1500};
	float grey[WIDTH * HEIGHT];
	struct hl_volume volume;
	json_t *root;

	(void)state;
	options.slices = 2;
	assert_int_equal(hilum_convert(scan_path, tiff, &options, &error), HILUM_OK);
	for (int z = 0; z < DEPTH; z++) {
		slice = hl_format("%s/slice_%05d.tif", tiff, z + 1);
		assert_int_equal(hl_scan_open(slice, &volume, &error), HILUM_OK);
		assert_memory_equal(volume.voxels, (int16_t *)scan.voxels + z * WIDTH * HEIGHT, WIDTH * HEIGHT * 2);
		hl_volume_free(&volume);
		hl_free(slice);
	}
	geometry = hl_path_join(tiff, "geometry.json");
	root = json_load_file(geometry, 0, NULL);
	assert_non_null(root);
	assert_true(json_real_value(json_array_get(json_object_get(root, "spacing_mm"), 2)) == 1.5);
	assert_true(json_real_value(json_array_get(json_object_get(root, "origin_lps"), 1)) == -10.25);
	json_decref(root);
	/* Nothing is written into what is there already. */
	assert_int_equal(hilum_convert(scan_path, tiff, &options, &error), HILUM_ERROR_ARGUMENT);
	assert_non_null(strstr(error.message, "not empty"));
	options.slices = 1;
	assert_int_equal(hilum_convert(scan_path, png, &options, &error), HILUM_OK);
	slice = hl_format("%s/slice_%05d.png", png, 3);
	assert_int_equal(hl_scan_open(slice, &volume, &error), HILUM_OK);
	hl_window_slice(&scan, 2, lung, 1, grey);
	for (int i = 0; i < WIDTH * HEIGHT; i++)
		assert_int_equal(((uint8_t *)volume.voxels)[i], (int)(grey[i] * 255.0F + 0.5F));
	hl_volume_free(&volume);
	hl_free(slice);
	hl_free(geometry);
	hl_free(tiff);
	hl_free(png);
}

static void test_convert_resampled(void **state)
{
	struct hilum_convert_options options = convert_options();
	struct hilum_error error;
	char *path = in_folder("resampled.mha");
	struct hl_volume volume;

	(void)state;
	options.spacing = "1,0.5,3";
	assert_int_equal(hilum_convert(scan_path, path, &options, &error), HILUM_OK);
	assert_int_equal(hl_scan_open(path, &volume, &error), HILUM_OK);
	assert_int_equal(volume.width, WIDTH / 2);
	assert_int_equal(volume.height, HEIGHT);
	assert_int_equal(volume.depth, 4);
	assert_true(volume.spacing[0] == 1 && volume.spacing[2] == 3 && volume.origin[0] == 0.25);
	hl_volume_free(&volume);
	options.spacing = "1.5";
	assert_int_equal(hilum_convert(scan_path, path, &options, &error), HILUM_OK);
	assert_int_equal(hl_scan_open(path, &volume, &error), HILUM_OK);
	assert_int_equal(volume.depth, DEPTH);
	assert_int_equal(volume.width, WIDTH / 3);
	hl_volume_free(&volume);
	static const char *const wrong[] = {"", "x", "1,1", "1,1,1,1", "1,,1", "0", "-1", "1,1,1 ", "nan", "1x1x1"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		options.spacing = wrong[i];
		if (hilum_convert(scan_path, path, &options, &error) != HILUM_ERROR_ARGUMENT)
			fail_msg("'%s' was taken", wrong[i]);
	}
	hl_free(path);
}

static void test_convert_refuses(void **state)
{
	struct hilum_convert_options options = convert_options();
	struct hilum_error error;
	char *path = in_folder("b.xyz"), *png = in_folder("b.png"), *nifti = in_folder("b.nii");

	(void)state;
	assert_int_equal(hilum_convert(scan_path, path, &options, &error), HILUM_ERROR_ARGUMENT);
	assert_non_null(strstr(error.message, "b.xyz: its ending"));
	assert_int_equal(hilum_convert(scan_path, png, &options, &error), HILUM_ERROR_ARGUMENT);
	assert_non_null(strstr(error.message, "one slice, this has 7"));
	assert_int_equal(hilum_convert("/nonexistent.nii", nifti, &options, &error), HILUM_ERROR_IO);
	options.slices = 1;
	options.window = "liver";
	assert_int_equal(hilum_convert(scan_path, path, &options, &error), HILUM_ERROR_ARGUMENT);
	hl_free(path);
	hl_free(png);
	hl_free(nifti);
}

/* ---- windows ---- */

static void test_windows(void **state)
{
	struct hl_window windows[HL_WINDOWS_MAX];
	struct hl_volume volume;
	float out[3 * 4];
	int32_t count;

	(void)state;
	assert_int_equal(hl_windows_parse("lung,bone,-50.5/2e2", windows, &count, NULL), HILUM_OK);
	assert_int_equal(count, 3);
	assert_true(windows[0].center == -600 && windows[1].width == 1800 && windows[2].center == -50.5 &&
	            windows[2].width == 200);
	static const char *const wrong[] = {
	    "",        "lung,",    "liver",  "40",    "40/",  "/400",  "40/400x", "40/-400",
	    "nan/100", "40/400/1", "40/inf", "1e9/1", "40/0", ",lung", "a,b,c,d", "1/1,1/1,1/1,1/1"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		if (hl_windows_parse(wrong[i], windows, &count, NULL) != HILUM_ERROR_ARGUMENT)
			fail_msg("'%s' was taken", wrong[i]);
	assert_int_equal(hl_window_parse("lung,bone", windows, NULL), HILUM_ERROR_ARGUMENT);
	assert_int_equal(hl_volume_init(&volume, 2, 2, 2, 1, HL_VOXEL_I16, NULL), HILUM_OK);
	for (int i = 0; i < 8; i++)
		((int16_t *)volume.voxels)[i] = (int16_t)(i * 100 - 400);
	assert_int_equal(hl_windows_parse("0/200,-200/800,100/400", windows, &count, NULL), HILUM_OK);
	hl_windows_slice(&volume, 1, windows, count, out);
	for (int i = 0; i < 4; i++)
		for (int c = 0; c < 3; c++) {
			float one[4];
			hl_window_slice(&volume, 1, windows[c], 1, one);
			assert_true(out[3 * i + c] == one[i]);
		}
	hl_volume_free(&volume);
}

/* ---- pictures ---- */

static struct hilum_view_options view_options(char *out)
{
	struct hilum_view_options options;

	hilum_options_init(hilum_view_option_table, &options);
	options.out = out;
	return options;
}

static void view(const struct hilum_view_options *options, struct hl_volume *out)
{
	struct hilum_error error;

	if (hilum_view(scan_path, options, &error) || hl_scan_open(options->out, out, &error))
		fail_msg("%s", error.message);
	assert_int_equal(out->channels, 3);
}

/* The lung window by hand. */
static int grey_of(int x, int y, int z)
{
	double unit = (value_at(x, y, z) + 1350) / 1500.0;

	return (int)((unit > 1 ? 1 : unit) * 255 + 0.5);
}

static void test_view_slice(void **state)
{
	char *path = in_folder("slice.png");
	struct hilum_view_options options = view_options(path);
	struct hl_volume picture;

	(void)state;
	view(&options, &picture);
	assert_int_equal(picture.width, WIDTH);
	assert_int_equal(picture.height, HEIGHT);
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++)
			for (int c = 0; c < 3; c++)
				assert_in_range((int)hl_volume_get(&picture, x, y, 0, c), grey_of(x, y, 3) - 1,
				                grey_of(x, y, 3) + 1);
	hl_volume_free(&picture);
	options.slice = 7;
	view(&options, &picture);
	assert_in_range((int)hl_volume_get(&picture, 5, 6, 0, 0), grey_of(5, 6, 6) - 1, grey_of(5, 6, 6) + 1);
	hl_volume_free(&picture);
	hl_free(path);
}

static void test_view_mask(void **state)
{
	char *path = in_folder("mask.png");
	struct hilum_view_options options = view_options(path);
	struct hl_volume picture;

	(void)state;
	options.mask = mask_path;
	options.opacity = 1;
	/* Slice 4, which has most of it, in the second colour. */
	view(&options, &picture);
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++) {
			bool inside = x >= 10 && x < 20 && y >= 5 && y < 15;
			int blue = (int)hl_volume_get(&picture, x, y, 0, 2),
			    red = (int)hl_volume_get(&picture, x, y, 0, 0);
			if (inside)
				assert_true(blue == 255 && red == 64);
			else
				assert_in_range(blue, grey_of(x, y, 4) - 1, grey_of(x, y, 4) + 1);
		}
	hl_volume_free(&picture);
	hl_free(path);
}

static void test_view_layouts(void **state)
{
	char *path = in_folder("layout.png");
	struct hilum_view_options options = view_options(path);
	struct hl_volume picture;

	(void)state;
	options.layout = 1;
	options.count = 6;
	view(&options, &picture);
	/* 3 columns; from the last slice to the first. */
	assert_int_equal(picture.width, 3 * WIDTH);
	assert_int_equal(picture.height, 2 * HEIGHT);
	assert_in_range((int)hl_volume_get(&picture, 4, 3, 0, 0), grey_of(4, 3, 6) - 1, grey_of(4, 3, 6) + 1);
	assert_in_range((int)hl_volume_get(&picture, 2 * WIDTH + 4, HEIGHT + 3, 0, 0), grey_of(4, 3, 0) - 1,
	                grey_of(4, 3, 0) + 1);
	hl_volume_free(&picture);
	options.layout = 2;
	view(&options, &picture);
	/* Slices three times as thick as pixels are wide. */
	assert_int_equal(picture.width, WIDTH + WIDTH + HEIGHT);
	assert_int_equal(picture.height, 3 * DEPTH);
	/* Head up: the middle of the highest slice's three rows is that slice, coronal and sagittal. */
	assert_in_range((int)hl_volume_get(&picture, WIDTH + 5, 1, 0, 0), grey_of(5, HEIGHT / 2, 6) - 1,
	                grey_of(5, HEIGHT / 2, 6) + 1);
	assert_in_range((int)hl_volume_get(&picture, 2 * WIDTH + 5, 1, 0, 0), grey_of(WIDTH / 2, 5, 6) - 1,
	                grey_of(WIDTH / 2, 5, 6) + 1);
	hl_volume_free(&picture);
	hl_free(path);
}

static void test_view_refuses(void **state)
{
	char *path = in_folder("refused.png"), *other = in_folder("other.mha");
	struct hilum_view_options options = view_options(NULL);
	struct hilum_error error;
	struct hl_volume small;

	(void)state;
	assert_int_equal(hilum_view(scan_path, &options, &error), HILUM_ERROR_ARGUMENT);
	options.out = path;
	options.slice = 8;
	assert_int_equal(hilum_view(scan_path, &options, &error), HILUM_ERROR_ARGUMENT);
	assert_string_equal(error.message, "slice: 8 of 7");
	options.slice = 0;
	options.window = "?";
	assert_int_equal(hilum_view(scan_path, &options, &error), HILUM_ERROR_ARGUMENT);
	options.window = NULL;
	assert_int_equal(hl_volume_init(&small, 3, 3, 3, 1, HL_VOXEL_U8, NULL), HILUM_OK);
	assert_int_equal(hl_metaimage_write(other, &small, false, NULL), HILUM_OK);
	hl_volume_free(&small);
	options.mask = other;
	assert_int_equal(hilum_view(scan_path, &options, &error), HILUM_ERROR_ARGUMENT);
	assert_non_null(strstr(error.message, "a mask of 3 x 3 x 3 voxels"));
	assert_false(hl_path_exists(path));
	hl_free(path);
	hl_free(other);
}

/* ---- description ---- */

static void test_info(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	struct hilum_error error;
	json_t *root, *counts;
	json_int_t sum = 0;

	(void)state;
	assert_int_equal(hilum_info(scan_path, HILUM_OUTPUT_JSON, false, file, &error), HILUM_OK);
	assert_int_equal(hilum_info(scan_path, HILUM_OUTPUT_TEXT, false, file, &error), HILUM_OK);
	fclose(file);
	assert_non_null(strstr(text, "24 x 20 x 7"));
	assert_non_null(strstr(text, "0.5 x 0.5 x 1.5 mm"));
	*strchr(text, '\n') = '\0';
	root = json_loads(text, 0, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "kind")), "volume");
	assert_string_equal(json_string_value(json_object_get(root, "unit")), "hounsfield");
	assert_true(json_is_true(json_object_get(root, "oriented")));
	counts = json_object_get(json_object_get(root, "histogram"), "counts");
	for (size_t i = 0; i < json_array_size(counts); i++)
		sum += json_integer_value(json_array_get(counts, i));
	assert_int_equal(sum, WIDTH * HEIGHT * DEPTH);
	assert_null(json_object_get(root, "warning"));
	json_decref(root);
	free(text);
}

/* No air: noticed, since a NIfTI does not say what its numbers are. */
static void test_info_doubt(void **state)
{
	char *path = in_folder("doubt.nii"), *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	struct hl_volume volume;

	(void)state;
	assert_int_equal(hl_volume_init(&volume, 4, 4, 4, 1, HL_VOXEL_I16, NULL), HILUM_OK);
	((int16_t *)volume.voxels)[7] = -499;
	assert_int_equal(hl_nifti_write(path, &volume, NULL), HILUM_OK);
	hl_volume_free(&volume);
	assert_int_equal(hilum_info(path, HILUM_OUTPUT_TEXT, false, file, NULL), HILUM_OK);
	fflush(file);
	assert_non_null(strstr(text, "these may be no Hounsfield units"));
	assert_int_equal(hilum_info(scan_path, HILUM_OUTPUT_TEXT, false, file, NULL), HILUM_OK);
	fclose(file);
	assert_null(strstr(strstr(text, "scan.nii.gz"), "these may be"));
	free(text);
	hl_free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_convert),           cmocka_unit_test(test_convert_slices),
	    cmocka_unit_test(test_convert_resampled), cmocka_unit_test(test_convert_refuses),
	    cmocka_unit_test(test_windows),           cmocka_unit_test(test_view_slice),
	    cmocka_unit_test(test_view_mask),         cmocka_unit_test(test_view_layouts),
	    cmocka_unit_test(test_view_refuses),      cmocka_unit_test(test_info),
	    cmocka_unit_test(test_info_doubt),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
