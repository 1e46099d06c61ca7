#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/csv.h"
#include "base/file.h"
#include "base/memory.h"
#include "scan/format.h"
#include "scan/phantom.h"

static struct hl_phantom drawn(uint64_t seed, uint32_t index, int32_t size, bool with_lesion)
{
	struct hl_phantom phantom;
	struct hilum_error error;
	assert_int_equal(hl_phantom_draw(seed, index, size, with_lesion, &phantom, &error), HILUM_OK);
	return phantom;
}

static size_t pixel_count(const struct hl_phantom *phantom)
{
	return (size_t)phantom->volume.width * (size_t)phantom->volume.height;
}

static bool same_pixels(const struct hl_phantom *a, const struct hl_phantom *b)
{
	return memcmp(a->volume.voxels, b->volume.voxels, pixel_count(a) * sizeof(int16_t)) == 0;
}

static void pure_function(void **state)
{
	struct hl_phantom first = drawn(5, 3, 96, true), other = drawn(5, 4, 96, true), again = drawn(5, 3, 96, true);
	struct hl_phantom seed = drawn(6, 3, 96, true);
	(void)state;
	assert_true(same_pixels(&first, &again));
	assert_memory_equal(&first.lesion.x, &again.lesion.x, sizeof first.lesion.x);
	assert_false(same_pixels(&first, &other));
	assert_false(same_pixels(&first, &seed));
	hl_volume_free(&first.volume);
	hl_volume_free(&other.volume);
	hl_volume_free(&again.volume);
	hl_volume_free(&seed.volume);
}

static void sizes_and_limits(void **state)
{
	static const int32_t good[] = {32, 33, 127, 1024}, bad[] = {31, 1025, 0, -1, INT32_MIN, INT32_MAX};
	struct hilum_error error;
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct hl_phantom phantom = drawn(1, 1, good[i], true);
		assert_int_equal(phantom.volume.width, good[i]);
		assert_int_equal(phantom.volume.height, good[i]);
		assert_int_equal(phantom.volume.type, HL_VOXEL_I16);
		assert_int_equal(phantom.volume.unit, HL_UNIT_HOUNSFIELD);
		assert_true(phantom.volume.spacing[0] * good[i] > 200 && phantom.volume.spacing[0] * good[i] < 500);
		hl_volume_free(&phantom.volume);
	}
	for (size_t i = 0; i < 6; i++) {
		struct hl_phantom untouched = {.lesion = {.x = -7}};
		assert_int_equal(hl_phantom_draw(1, 1, bad[i], true, &untouched, &error), HILUM_ERROR_ARGUMENT);
		assert_true(untouched.lesion.x == -7 && !untouched.volume.voxels);
	}
	assert_int_equal(hl_phantom_draw(1, 1, 31, true, NULL, NULL), HILUM_ERROR_ARGUMENT);
}

/* With and without the lesion a case differs inside the lesion and nowhere else. */
static void only_the_lesion_differs(void **state)
{
	(void)state;
	for (uint32_t index = 0; index < 60; index++) {
		struct hl_phantom with = drawn(2, index, 128, true), without = drawn(2, index, 128, false);
		const int16_t *a = with.volume.voxels, *b = without.volume.voxels;
		const struct hl_lesion *lesion = &with.lesion;
		double inside = 0, changed = 0, lung = 0, disc = 0;
		assert_true(with.has_lesion && !without.has_lesion);
		for (int y = 0; y < 128; y++) {
			for (int x = 0; x < 128; x++) {
				double far = hypot(x + 0.5 - lesion->x, y + 0.5 - lesion->y);
				int difference = a[y * 128 + x] - b[y * 128 + x];
				/* Spicules reach 1.9 radii; blur and sharpening a few pixels more. */
				if (far > 0.95 * lesion->diameter + 8)
					assert_int_equal(difference, 0);
				if (far > 0.5 * lesion->diameter)
					continue;
				disc++;
				lung += b[y * 128 + x] < -300;
				inside += difference;
				changed += difference != 0;
			}
		}
		assert_true(inside / disc > 60);
		assert_true(changed / disc > 0.5);
		assert_true(lung / disc > 0.5);
		assert_true(lesion->diameter_mm >= 4.9 && lesion->diameter_mm <= 45);
		assert_true(fabs(lesion->diameter * with.volume.spacing[0] - lesion->diameter_mm) < 1e-9);
		assert_true(lesion->hounsfield > -700 && lesion->hounsfield < 100);
		hl_volume_free(&with.volume);
		hl_volume_free(&without.volume);
	}
}

static void kinds_and_sizes(void **state)
{
	int margin[3] = {0}, density[3] = {0}, left = 0, at_least_10 = 0, over_30 = 0;
	(void)state;
	for (uint32_t index = 0; index < 300; index++) {
		struct hl_phantom phantom = drawn(3, index, 48, true);
		margin[phantom.lesion.margin]++;
		density[phantom.lesion.density]++;
		left += phantom.lesion.left;
		at_least_10 += phantom.lesion.diameter_mm >= 10;
		over_30 += phantom.lesion.diameter_mm > 30;
		hl_volume_free(&phantom.volume);
	}
	for (int i = 0; i < 3; i++) {
		assert_true(margin[i] > 60);
		assert_true(density[i] > 8);
	}
	assert_true(density[HL_DENSITY_SOLID] > 180);
	assert_true(left > 100 && left < 200);
	assert_true(at_least_10 > 250);
	assert_true(over_30 > 10 && over_30 < 100);
}

/* Shares of air, lung, soft tissue and bone such as chest slices have. */
static void looks_like_a_chest(void **state)
{
	(void)state;
	for (uint32_t index = 0; index < 40; index++) {
		struct hl_phantom phantom = drawn(4, index, 128, false);
		const int16_t *hu = phantom.volume.voxels;
		int lung = 0, soft = 0, bone = 0, air = 0, count = 128 * 128;
		for (int i = 0; i < count; i++) {
			assert_true(hu[i] >= -1024 && hu[i] <= 3071);
			air += hu[i] < -950;
			lung += hu[i] >= -920 && hu[i] < -600;
			soft += hu[i] >= -150 && hu[i] < 150;
			bone += hu[i] >= 350;
		}
		assert_true(hu[0] < -800 && hu[127] < -800);
		assert_true(lung > count / 20 && lung < count / 2);
		assert_true(soft > count / 8);
		assert_true(bone > count / 300 && bone < count / 8);
		assert_true(air > count / 50);
		hl_volume_free(&phantom.volume);
	}
}

static void neighbours(void **state)
{
	(void)state;
	for (uint32_t index = 0; index < 20; index++) {
		struct hl_phantom one = drawn(7, index, 96, true),
		                  two = drawn(7, index | HL_PHANTOM_NEIGHBOUR, 96, true);
		struct hl_phantom other = drawn(7, index + 100, 96, true);
		double near = 0, far = 0;
		const int16_t *a = one.volume.voxels, *b = two.volume.voxels, *c = other.volume.voxels;
		for (size_t i = 0; i < pixel_count(&one); i++) {
			near += abs(a[i] - b[i]);
			far += abs(a[i] - c[i]);
		}
		assert_true(near > 0 && near < 0.6 * far);
		assert_int_equal(one.lesion.margin, two.lesion.margin);
		assert_int_equal(one.lesion.density, two.lesion.density);
		assert_true(one.volume.spacing[0] == two.volume.spacing[0]);
		hl_volume_free(&one.volume);
		hl_volume_free(&two.volume);
		hl_volume_free(&other.volume);
	}
}

/* The mean alone must not tell the classes apart: the chance that a case with a lesion is the brighter one. */
static void mean_tells_nothing(void **state)
{
	enum { N = 150 };
	double mean[2][N], wins = 0;
	(void)state;
	for (uint32_t i = 0; i < 2 * N; i++) {
		struct hl_phantom phantom = drawn(8, i, 64, i % 2);
		const int16_t *hu = phantom.volume.voxels;
		double sum = 0;
		for (size_t k = 0; k < pixel_count(&phantom); k++)
			sum += fmin(fmax(hu[k], -1350), 150);
		mean[i % 2][i / 2] = sum;
		hl_volume_free(&phantom.volume);
	}
	for (int i = 0; i < N; i++)
		for (int k = 0; k < N; k++)
			wins += mean[1][i] > mean[0][k];
	assert_true(fabs(wins / (N * N) - 0.5) < 0.13);
}

static void every_allocation_may_fail(void **state)
{
	struct hl_phantom phantom = {0};
	struct hilum_error error;
	(void)state;
	int64_t before = hl_memory_count();
	struct hl_phantom whole = drawn(1, 0, 32, true);
	int64_t count = hl_memory_count() - before;
	hl_volume_free(&whole.volume);
	assert_true(count >= 2);
	for (int64_t i = 0; i < count; i++) {
		hl_memory_fail_after(i);
		enum hilum_status status = hl_phantom_draw(1, 0, 32, true, &phantom, &error);
		hl_memory_fail_after(-1);
		/* Whether the countdown starts at 0 or 1, each failure is a typed one. */
		if (status)
			assert_int_equal(status, HILUM_ERROR_MEMORY);
		else
			hl_volume_free(&phantom.volume);
	}
}

/* ---- whole sets ---- */

static int make_folder(void **state)
{
	static char path[64];
	strcpy(path, "/tmp/hilum-phantom-XXXXXX");
	*state = mkdtemp(path);
	return *state ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", (const char *)*state);
	return system(command);
}

static struct hilum_phantom_options set_options(const char *directory, int64_t cases)
{
	struct hilum_phantom_options options;
	hilum_options_init(hilum_phantom_option_table, &options);
	assert_int_equal(options.cases, 100);
	assert_int_equal(options.size, 256);
	assert_int_equal(options.seed, 1);
	assert_int_equal(options.format, 0);
	options.directory = directory;
	options.cases = cases;
	options.size = 32;
	return options;
}

static size_t count_files(const char *directory, const char *name)
{
	struct hl_names names;
	struct hilum_error error;
	char *path = hl_path_join(directory, name);
	assert_int_equal(hl_directory_list(path, 100000, &names, &error), HILUM_OK);
	size_t count = names.count;
	hl_names_free(&names);
	hl_free(path);
	return count;
}

static struct hl_buffer read_whole(const char *directory, const char *name)
{
	struct hl_buffer buffer;
	struct hilum_error error;
	char *path = hl_path_join(directory, name);
	assert_int_equal(hl_file_read(path, 1 << 24, &buffer, &error), HILUM_OK);
	hl_free(path);
	return buffer;
}

static bool has_truth(const char *directory)
{
	char *path = hl_path_join(directory, "truth.csv");
	bool exists = hl_path_exists(path);
	hl_free(path);
	return exists;
}

static void put_file(const char *directory, const char *name)
{
	char *path = hl_path_join(directory, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs("somebody's\n", file);
	fclose(file);
	hl_free(path);
}

static void set_is_as_its_truth_says(void **state)
{
	const char *directory = *state;
	struct hilum_phantom_options options = set_options(directory, 121);
	struct hilum_error error;
	struct hl_csv csv;
	assert_int_equal(hilum_phantom_write(&options, &error), HILUM_OK);
	assert_int_equal(count_files(directory, "nodule"), 61);
	assert_int_equal(count_files(directory, "normal"), 60);
	char *truth = hl_path_join(directory, "truth.csv");
	assert_int_equal(hl_csv_read(truth, &csv, &error), HILUM_OK);
	hl_free(truth);
	assert_int_equal(csv.rows, 121);
	assert_int_equal(csv.columns, 11);
	size_t pairs = 0, odd = 0, parity = 0, changes = 0;
	for (size_t row = 0; row < csv.rows; row++) {
		const char *path = hl_csv_get(&csv, row, 0), *label = hl_csv_get(&csv, row, 1);
		struct hl_volume picture;
		char *whole = hl_path_join(directory, path);
		assert_int_equal(hl_scan_open(whole, &picture, &error), HILUM_OK);
		assert_int_equal(picture.width, 32);
		assert_int_equal(picture.type, HL_VOXEL_U8);
		hl_volume_free(&picture);
		hl_free(whole);
		assert_memory_equal(path, label, strlen(label));
		assert_int_equal(path[strlen(label)], '/');
		assert_int_equal(atoi(strchr(path, '-') + 1), row + 1);
		bool nodule = strcmp(label, "nodule") == 0;
		for (size_t column = 4; column < 11; column++)
			assert_int_equal(*hl_csv_get(&csv, row, column) != 0, nodule);
		odd += row % 2;
		parity += row % 2 && nodule;
		if (row == 0)
			continue;
		changes += strcmp(label, hl_csv_get(&csv, row - 1, 1)) != 0;
		if (strcmp(hl_csv_get(&csv, row, 2), hl_csv_get(&csv, row - 1, 2)) == 0) {
			pairs++;
			assert_string_equal(label, hl_csv_get(&csv, row - 1, 1));
		}
	}
	/* A fifth of the patients: 20 of 101. */
	assert_int_equal(pairs, 20);
	assert_true(parity > odd / 4 && parity < odd * 3 / 4);
	assert_true(changes > 30 && changes < 80);
	hl_csv_free(&csv);
}

static void same_options_same_bytes(void **state)
{
	const char *directory = *state;
	struct hilum_phantom_options options = set_options(directory, 7);
	struct hilum_error error;
	for (options.format = 0; options.format < 2; options.format++) {
		assert_int_equal(hilum_phantom_write(&options, &error), HILUM_OK);
		struct hl_buffer truth = read_whole(directory, "truth.csv");
		struct hl_csv csv;
		assert_int_equal(hl_csv_parse("truth", truth.data, truth.length, &csv, &error), HILUM_OK);
		char *name = hl_strdup(hl_csv_get(&csv, 3, 0));
		struct hl_buffer first = read_whole(directory, name);
		assert_int_equal(hilum_phantom_write(&options, &error), HILUM_OK);
		struct hl_buffer again = read_whole(directory, name), truth_again = read_whole(directory, "truth.csv");
		assert_int_equal(first.length, again.length);
		assert_memory_equal(first.data, again.data, first.length);
		assert_string_equal(truth.data, truth_again.data);
		hl_buffer_free(&first);
		hl_buffer_free(&again);
		hl_buffer_free(&truth);
		hl_buffer_free(&truth_again);
		hl_csv_free(&csv);
		hl_free(name);
	}
}

/* The first patient of a set is index 0: what a TIFF holds is what was drawn. */
static void tiff_holds_the_drawing(void **state)
{
	const char *directory = *state;
	struct hilum_phantom_options options = set_options(directory, 5);
	struct hilum_error error;
	struct hl_volume picture;
	options.format = 1;
	options.seed = 9;
	options.size = 40;
	assert_int_equal(hilum_phantom_write(&options, &error), HILUM_OK);
	char *path = hl_path_join(directory, "nodule/case-0001.tif");
	bool with_lesion = hl_path_exists(path);
	if (!with_lesion) {
		hl_free(path);
		path = hl_path_join(directory, "normal/case-0001.tif");
	}
	struct hl_phantom phantom = drawn(9, 0, 40, with_lesion);
	assert_int_equal(hl_scan_open(path, &picture, &error), HILUM_OK);
	assert_int_equal(picture.type, HL_VOXEL_I16);
	assert_memory_equal(picture.voxels, phantom.volume.voxels, 40 * 40 * sizeof(int16_t));
	hl_volume_free(&picture);
	hl_volume_free(&phantom.volume);
	hl_free(path);
}

static void an_earlier_set_is_replaced(void **state)
{
	const char *directory = *state;
	struct hilum_phantom_options options = set_options(directory, 20);
	struct hilum_error error;
	assert_int_equal(hilum_phantom_write(&options, &error), HILUM_OK);
	options.cases = 3;
	options.format = 1;
	assert_int_equal(hilum_phantom_write(&options, &error), HILUM_OK);
	assert_int_equal(count_files(directory, "nodule"), 2);
	assert_int_equal(count_files(directory, "normal"), 1);
	options.cases = 1;
	assert_int_equal(hilum_phantom_write(&options, &error), HILUM_OK);
	assert_int_equal(count_files(directory, "nodule"), 1);
	assert_int_equal(count_files(directory, "normal"), 0);
}

/* Names like ours prove nothing: without our truth.csv nothing is deleted. */
static void a_set_without_its_truth_is_left_alone(void **state)
{
	const char *directory = *state;
	struct hilum_phantom_options options = set_options(directory, 6);
	struct hilum_error error;
	assert_int_equal(hilum_phantom_write(&options, &error), HILUM_OK);
	char *truth = hl_path_join(directory, "truth.csv");
	assert_int_equal(unlink(truth), 0);
	for (int foreign = 0; foreign < 2; foreign++) {
		if (foreign)
			put_file(directory, "truth.csv");
		assert_int_equal(hilum_phantom_write(&options, &error), HILUM_ERROR_ARGUMENT);
		assert_non_null(strstr(error.message, directory));
		assert_non_null(strstr(error.message, "by hand"));
		assert_int_equal(count_files(directory, "nodule") + count_files(directory, "normal"), 6);
	}
	hl_free(truth);
	char *hidden = hl_path_join(directory, "hidden");
	assert_int_equal(hl_directory_make(hidden, &error), HILUM_OK);
	options.directory = hidden;
	put_file(hidden, ".settings");
	assert_int_equal(hilum_phantom_write(&options, &error), HILUM_ERROR_ARGUMENT);
	hl_free(hidden);
}

static void others_data_are_left_alone(void **state)
{
	const char *directory = *state;
	struct hilum_phantom_options options = set_options(directory, 4);
	struct hilum_error error;
	put_file(directory, "thesis.txt");
	assert_int_equal(hilum_phantom_write(&options, &error), HILUM_ERROR_ARGUMENT);
	assert_non_null(strstr(error.message, directory));
	assert_int_equal(count_files(directory, ""), 1);

	char *inner = hl_path_join(directory, "mine"), *normal = hl_path_join(inner, "normal");
	assert_int_equal(hl_directory_make(normal, &error), HILUM_OK);
	put_file(normal, "patient.png");
	options.directory = inner;
	assert_int_equal(hilum_phantom_write(&options, &error), HILUM_ERROR_ARGUMENT);
	assert_int_equal(count_files(inner, "normal"), 1);
	hl_free(inner);
	hl_free(normal);

	/* A file where the folder should be. */
	char *file = hl_path_join(directory, "thesis.txt");
	options.directory = file;
	assert_int_equal(hilum_phantom_write(&options, &error), HILUM_ERROR_IO);
	assert_non_null(strstr(error.message, file));
	char *below = hl_path_join(file, "set");
	options.directory = below;
	assert_int_equal(hilum_phantom_write(&options, &error), HILUM_ERROR_IO);
	assert_non_null(strstr(error.message, file));
	hl_free(below);
	hl_free(file);
}

/* A limit on file sizes stands in for a full disk. */
static void full_disk(void **state)
{
	const char *directory = *state;
	struct hilum_phantom_options options = set_options(directory, 6);
	struct hilum_error error;
	struct rlimit before, little;
	assert_int_equal(hilum_phantom_write(&options, &error), HILUM_OK);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	little = before;
	little.rlim_cur = 100;
	setrlimit(RLIMIT_FSIZE, &little);
	enum hilum_status status = hilum_phantom_write(&options, &error);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(status, HILUM_ERROR_IO);
	assert_non_null(strstr(error.message, "case-0001.png"));
	assert_int_equal(count_files(directory, ""), 0);
	assert_int_equal(hilum_phantom_write(&options, &error), HILUM_OK);
	assert_true(has_truth(directory));
}

static void wrong_options(void **state)
{
	const char *directory = *state;
	struct hilum_error error;
	for (int wrong = 0; wrong < 8; wrong++) {
		struct hilum_phantom_options options = set_options(directory, 4);
		switch (wrong) {
		case 0:
			options.cases = 0;
			break;
		case 1:
			options.cases = INT64_MAX;
			break;
		case 2:
			options.size = 31;
			break;
		case 3:
			options.size = INT64_MAX;
			break;
		case 4:
			options.format = 4;
			break;
		case 5:
			options.seed = -1;
			break;
		case 6:
			options.directory = NULL;
			break;
		default:
			options.directory = "";
		}
		assert_int_equal(hilum_phantom_write(&options, &error), HILUM_ERROR_ARGUMENT);
		assert_true(strlen(error.message) > 10);
	}
	assert_int_equal(count_files(directory, ""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pure_function),
	    cmocka_unit_test(sizes_and_limits),
	    cmocka_unit_test(only_the_lesion_differs),
	    cmocka_unit_test(kinds_and_sizes),
	    cmocka_unit_test(looks_like_a_chest),
	    cmocka_unit_test(neighbours),
	    cmocka_unit_test(mean_tells_nothing),
	    cmocka_unit_test(every_allocation_may_fail),
	    cmocka_unit_test_setup_teardown(set_is_as_its_truth_says, make_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(same_options_same_bytes, make_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(tiff_holds_the_drawing, make_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(an_earlier_set_is_replaced, make_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(a_set_without_its_truth_is_left_alone, make_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(others_data_are_left_alone, make_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(full_disk, make_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(wrong_options, make_folder, remove_folder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
