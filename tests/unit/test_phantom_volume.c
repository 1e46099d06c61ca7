/* Phantoms in space, as DICOM series and NIfTI, and what becomes of them when they are loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/csv.h"
#include "base/file.h"
#include "base/memory.h"
#include "scan/dicom/write.h"
#include "scan/findings.h"
#include "scan/phantom.h"

static char *folder;

static int make_folder(void **state)
{
	static char name[32];
	(void)state;
	snprintf(name, sizeof(name), "/tmp/hilum-volume-XXXXXX");
	folder = mkdtemp(name);
	return folder ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[64];
	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

static struct hl_phantom_volume drawn(int32_t size, int32_t slices, bool with_lesion)
{
	struct hl_phantom_volume phantom;
	assert_int_equal(hl_phantom_draw_volume(2, 1, size, slices, 190.0 / slices, with_lesion, &phantom, NULL),
	                 HILUM_OK);
	return phantom;
}

static int16_t at(const struct hl_volume *volume, int32_t x, int32_t y, int32_t z)
{
	return ((const int16_t *)volume
	            ->voxels)[((size_t)z * (size_t)volume->height + (size_t)y) * (size_t)volume->width + (size_t)x];
}

/* The lesion is where it is said to be, an ellipsoid, and nothing else differs. */
static void lesion_is_an_ellipsoid(void **state)
{
	struct hl_phantom_volume with = drawn(96, 48, true), without = drawn(96, 48, false);
	const struct hl_volume *volume = &with.volume;
	double radius = with.lesion.diameter_mm / 2, half = with.height_mm / 2;
	double sum[3] = {0}, count = 0;
	(void)state;
	for (int32_t z = 0; z < 48; z++)
		for (int32_t y = 0; y < 96; y++)
			for (int32_t x = 0; x < 96; x++) {
				int apart = abs(at(volume, x, y, z) - at(&without.volume, x, y, z));
				double dx = (x + 0.5 - with.lesion.x) * volume->spacing[0];
				double dy = (y + 0.5 - with.lesion.y) * volume->spacing[1];
				double dz = (z - with.z) * volume->spacing[2];
				/* Spicules reach 1.9 radii; blur and sharpening a few pixels more. */
				double blur = 6 * volume->spacing[0];
				bool near = sqrt(dx * dx + dy * dy) < 2 * radius + blur && fabs(dz) < half;
				if (apart > 0 && !near)
					fail_msg("voxel %d %d %d differs by %d", x, y, z, apart);
				if (apart > 100) {
					sum[0] += dx;
					sum[1] += dy;
					sum[2] += dz;
					count++;
				}
			}
	double voxel = volume->spacing[0] * volume->spacing[1] * volume->spacing[2];
	double ellipsoid = 4.0 / 3 * 3.14159 * radius * radius * half;
	assert_true(count * voxel > 0.5 * ellipsoid && count * voxel < 1.6 * ellipsoid);
	for (int k = 0; k < 3; k++)
		assert_true(fabs(sum[k] / count) < 0.3 * radius);
	assert_true(with.lesion.left == (with.lesion.x > 48 - 3));
	hl_volume_free(&with.volume);
	hl_volume_free(&without.volume);
}

/* Left is left: the heart reaches further to the left, the windpipe is in the middle above, the liver's dome right. */
static void left_is_left(void **state)
{
	struct hl_phantom_volume phantom = drawn(96, 48, false);
	const struct hl_volume *volume = &phantom.volume;
	double left = 0, right = 0, step = 0, leap = 0;
	(void)state;
	for (int32_t z = 8; z < 18; z++)
		for (int32_t y = 20; y < 60; y++)
			for (int32_t x = 20; x < 76; x++)
				*(volume->origin[0] + x * volume->spacing[0] > 0 ? &left : &right) +=
				    at(volume, x, y, z) > -200;
	assert_true(left > 1.15 * right);
	/* Neighbours are more alike than slices far apart. */
	for (int32_t z = 10; z < 30; z++)
		for (int32_t y = 0; y < 96; y += 3)
			for (int32_t x = 0; x < 96; x += 3) {
				step += abs(at(volume, x, y, z) - at(volume, x, y, z + 1));
				leap += abs(at(volume, x, y, z) - at(volume, x, y, z + 12));
			}
	assert_true(step < 0.7 * leap);
	assert_true(volume->oriented);
	hl_volume_free(&phantom.volume);
}

static void sizes_and_limits(void **state)
{
	struct hl_phantom_volume phantom;
	(void)state;
	assert_int_equal(hl_phantom_draw_volume(1, 1, 31, 4, 1, true, &phantom, NULL), HILUM_ERROR_ARGUMENT);
	assert_int_equal(hl_phantom_draw_volume(1, 1, 64, 0, 1, true, &phantom, NULL), HILUM_ERROR_ARGUMENT);
	assert_int_equal(hl_phantom_draw_volume(1, 1, 64, 1025, 1, true, &phantom, NULL), HILUM_ERROR_ARGUMENT);
	assert_int_equal(hl_phantom_draw_volume(1, 1, 64, 4, 0, true, &phantom, NULL), HILUM_ERROR_ARGUMENT);
	assert_int_equal(hl_phantom_draw_volume(1, 1, 64, 1, 5, true, &phantom, NULL), HILUM_OK);
	hl_volume_free(&phantom.volume);
}

/* ---- as files ---- */

static struct hilum_phantom_options set_options(void)
{
	struct hilum_phantom_options options;
	hilum_options_init(hilum_phantom_option_table, &options);
	options.directory = folder;
	options.cases = 1;
	options.size = 48;
	options.volume = true;
	options.slices = 20;
	options.spacing = 9;
	options.format = 2;
	return options;
}

static enum hilum_status load(const char *name, struct hl_volume *volume, struct hl_findings *findings)
{
	char *path = hl_path_join(folder, name);
	enum hilum_status status = hl_load(path, NULL, volume, findings, NULL);
	hl_free(path);
	return status;
}

static void assert_same(const struct hl_volume *one, const struct hl_volume *other)
{
	assert_int_equal(one->type, other->type);
	assert_int_equal(one->width, other->width);
	assert_int_equal(one->height, other->height);
	assert_int_equal(one->depth, other->depth);
	assert_memory_equal(one->voxels, other->voxels,
	                    (size_t)one->width * (size_t)one->height * (size_t)one->depth * sizeof(int16_t));
	for (int k = 0; k < 3; k++) {
		assert_true(fabs(one->spacing[k] - other->spacing[k]) < 1e-5);
		assert_true(fabs(one->origin[k] - other->origin[k]) < 1e-4);
	}
}

static void same_scan_in_every_encoding(void **state)
{
	struct hilum_phantom_options options = set_options();
	struct hl_volume first = {0}, other;
	struct hl_findings findings;
	(void)state;
	for (options.encoding = 0; hl_dicom_encodings[options.encoding]; options.encoding++) {
		options.order = options.encoding % 3;
		assert_int_equal(hilum_phantom_write(&options, NULL), HILUM_OK);
		assert_int_equal(load("nodule/case-0001", &other, &findings), HILUM_OK);
		assert_int_equal(findings.count, 0);
		if (first.voxels) {
			assert_same(&first, &other);
			hl_volume_free(&other);
		} else {
			first = other;
		}
	}
	options.encoding = 0;
	options.format = 3;
	assert_int_equal(hilum_phantom_write(&options, NULL), HILUM_OK);
	assert_int_equal(load("nodule/case-0001.nii.gz", &other, NULL), HILUM_OK);
	assert_same(&first, &other);
	hl_volume_free(&other);
	/* The folder of the series before has gone. */
	char *path = hl_path_join(folder, "nodule/case-0001");
	assert_false(hl_path_exists(path));
	hl_free(path);
	hl_volume_free(&first);
}

static void single_slices(void **state)
{
	static const char *const names[] = {
	    [1] = "nodule/case-0001.tif", [2] = "nodule/case-0001.dcm", [3] = "nodule/case-0001.nii.gz"};
	struct hilum_phantom_options options = set_options();
	struct hl_volume volume[4];
	(void)state;
	options.volume = false;
	for (int format = 1; format < 4; format++) {
		options.format = format;
		assert_int_equal(hilum_phantom_write(&options, NULL), HILUM_OK);
		assert_int_equal(load(names[format], &volume[format], NULL), HILUM_OK);
		assert_memory_equal(volume[format].voxels, volume[1].voxels, 48 * 48 * sizeof(int16_t));
	}
	assert_true(fabs(volume[2].spacing[0] - volume[3].spacing[0]) < 1e-5);
	assert_true(volume[2].oriented);
	for (int format = 1; format < 4; format++)
		hl_volume_free(&volume[format]);
}

static void faults_are_found(void **state)
{
	static const struct {
		const char *faults;
		enum hl_finding_kind kind;
		enum hl_finding_grade grade;
	} cases[] = {
	    {"gap", HL_FINDING_GAP, HL_FINDING_REFUSED},
	    {"duplicate", HL_FINDING_DUPLICATE, HL_FINDING_REPAIRED},
	    {"duplicate,conflict", HL_FINDING_CONFLICT, HL_FINDING_REFUSED},
	    {"irregular", HL_FINDING_IRREGULAR, HL_FINDING_REFUSED},
	    {"shifted", HL_FINDING_SHIFTED, HL_FINDING_REPAIRED},
	    {"localiser", HL_FINDING_LOCALISER, HL_FINDING_NOTICED},
	    {"no-position", HL_FINDING_MISSING_TAGS, HL_FINDING_REFUSED},
	    {"mr", HL_FINDING_MODALITY, HL_FINDING_REFUSED},
	    {"prone", HL_FINDING_FLIPPED, HL_FINDING_REPAIRED},
	};
	struct hilum_phantom_options options = set_options();
	struct hl_volume plain, volume;
	struct hl_findings findings;
	(void)state;
	options.order = 2;
	assert_int_equal(hilum_phantom_write(&options, NULL), HILUM_OK);
	assert_int_equal(load("nodule/case-0001", &plain, &findings), HILUM_OK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		options.faults = cases[i].faults;
		assert_int_equal(hilum_phantom_write(&options, NULL), HILUM_OK);
		enum hilum_status status = load("nodule/case-0001", &volume, &findings);
		assert_int_equal(status, cases[i].grade == HL_FINDING_REFUSED ? HILUM_ERROR_UNSUPPORTED : HILUM_OK);
		const struct hl_finding *finding = hl_findings_get(&findings, cases[i].kind);
		assert_non_null(finding);
		assert_int_equal(finding->grade, cases[i].grade);
		if (!status && cases[i].kind != HL_FINDING_SHIFTED)
			assert_same(&plain, &volume);
		if (!status)
			hl_volume_free(&volume);
	}
	hl_volume_free(&plain);
	options.faults = "gaps";
	assert_int_equal(hilum_phantom_write(&options, NULL), HILUM_ERROR_ARGUMENT);
	options.faults = NULL;
	options.format = 0;
	assert_int_equal(hilum_phantom_write(&options, NULL), HILUM_ERROR_ARGUMENT);
}

/* A tilted gantry: the lesion is found where it was put. */
static void tilt_is_undone(void **state)
{
	struct hilum_phantom_options options = set_options();
	struct hl_volume plain, tilted;
	struct hl_findings findings;
	double worst = 0, sum = 0, count = 0;
	(void)state;
	options.size = 96;
	options.slices = 60;
	options.spacing = 3;
	assert_int_equal(hilum_phantom_write(&options, NULL), HILUM_OK);
	assert_int_equal(load("nodule/case-0001", &plain, NULL), HILUM_OK);
	options.tilt = 8;
	assert_int_equal(hilum_phantom_write(&options, NULL), HILUM_OK);
	assert_int_equal(load("nodule/case-0001", &tilted, &findings), HILUM_OK);
	assert_int_equal(hl_findings_get(&findings, HL_FINDING_TILT)->grade, HL_FINDING_REPAIRED);
	/* Voxels of the tilted volume, where they lie in the plain one. */
	for (int32_t z = 10; z < 50; z += 3)
		for (int32_t y = 20; y < 76; y += 2)
			for (int32_t x = 20; x < 76; x += 2) {
				double voxel[3];
				for (int k = 0; k < 3; k++) {
					double mm = tilted.origin[k] + x * tilted.spacing[0] * tilted.direction[0][k] +
					            y * tilted.spacing[1] * tilted.direction[1][k] +
					            z * tilted.spacing[2] * tilted.direction[2][k];
					voxel[k] = (mm - plain.origin[k]) / plain.spacing[k];
				}
				int32_t i = (int32_t)floor(voxel[0] + 0.5), j = (int32_t)floor(voxel[1] + 0.5),
				        k = (int32_t)floor(voxel[2] + 0.5);
				if (k < 0 || k > 59)
					continue;
				sum += fabs((double)at(&tilted, x, y, z) - at(&plain, i, j, k));
				worst += fabs((double)at(&tilted, x, y, z) - at(&plain, i, j, k > 50 ? k - 9 : k + 9));
				count++;
			}
	/* Far more alike than nine slices on. */
	assert_true(count > 1000 && sum < 0.45 * worst);
	hl_volume_free(&plain);
	hl_volume_free(&tilted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lesion_is_an_ellipsoid),
	    cmocka_unit_test(left_is_left),
	    cmocka_unit_test(sizes_and_limits),
	    cmocka_unit_test_setup_teardown(same_scan_in_every_encoding, make_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(single_slices, make_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(faults_are_found, make_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(tilt_is_undone, make_folder, remove_folder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
