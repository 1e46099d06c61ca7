/* DICOM series with every fault that there is: repaired rightly or refused by name, never wrong in silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "scan/findings.h"
#include "slices.h"

static struct slices slices;
static struct hl_volume volume;
static struct hl_findings findings;
static struct hilum_error problem;

static double axial[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};

/* 12 slices of 20 x 16 pixels of 0.8 mm every 2.5 mm. */
static void plain(double direction[3][3])
{
	static const double spacing[3] = {0.8, 0.8, 2.5}, origin[3] = {-8.5, 3.25, -120};
	slices_make(&slices, 12, 20, 16, spacing, origin, direction);
}

static enum hilum_status load(bool force)
{
	const struct hl_load_options options = {.force = force, .threads = 2};

	hl_volume_free(&volume);
	problem = (struct hilum_error){0};
	slices_encode(&slices, NULL, false);
	enum hilum_status status =
	    hl_load_files(slices.file, (size_t)slices.files, &options, &volume, &findings, &problem);
	slices_free(&slices);
	return status;
}

static void assert_loaded(bool force)
{
	if (load(force))
		fail_msg("refused: %s", problem.message);
}

static const struct hl_finding *finding(enum hl_finding_kind kind)
{
	return hl_findings_get(&findings, kind);
}

static void assert_finding(enum hl_finding_kind kind, enum hl_finding_grade grade, int32_t count)
{
	const struct hl_finding *found = finding(kind);

	if (!found)
		fail_msg("no finding of %s", hl_finding_name(kind));
	assert_int_equal(found->grade, grade);
	assert_int_equal(found->count, count);
	assert_true(found->text[0]);
}

/* Refused for that reason and no other; and forced, which says so. */
static void assert_refused(enum hl_finding_kind kind, int32_t count)
{
	assert_int_equal(load(false), HILUM_ERROR_UNSUPPORTED);
	assert_finding(kind, HL_FINDING_REFUSED, count);
	assert_non_null(strstr(problem.message, finding(kind)->text));
	assert_null(volume.voxels);
	assert_loaded(true);
	assert_finding(kind, HL_FINDING_FORCED, count);
}

static void assert_near3(const double *got, double x, double y, double z)
{
	const double expected[3] = {x, y, z};
	for (int k = 0; k < 3; k++)
		if (!(fabs(got[k] - expected[k]) < 1e-4))
			fail_msg("%g where %g is expected", got[k], expected[k]);
}

static void assert_size(int32_t width, int32_t height, int32_t depth)
{
	assert_int_equal(volume.width, width);
	assert_int_equal(volume.height, height);
	assert_int_equal(volume.depth, depth);
}

/* ---- what is right ---- */

static void test_plain(void **state)
{
	(void)state;
	plain(axial);
	assert_loaded(false);
	assert_size(20, 16, 12);
	assert_int_equal(volume.type, HL_VOXEL_I16);
	assert_int_equal(volume.unit, HL_UNIT_HOUNSFIELD);
	assert_true(volume.oriented);
	assert_near3(volume.origin, -8.5, 3.25, -120);
	assert_near3(volume.spacing, 0.8, 0.8, 2.5);
	assert_near3(volume.direction[2], 0, 0, 1);
	assert_true(slices_error(&volume, 0) <= 0.5);
	assert_int_equal(findings.count, 0);
	assert_string_equal(volume.format, "DICOM");
}

/* Prone, feet first, and a stack from the head down: all come out the same way round. */
static void test_flips(void **state)
{
	double turned[3][3] = {{-1, 0, 0}, {0, -1, 0}, {0, 0, -1}};
	(void)state;
	plain(turned);
	assert_loaded(false);
	assert_near3(volume.direction[0], 1, 0, 0);
	assert_near3(volume.direction[1], 0, 1, 0);
	assert_near3(volume.direction[2], 0, 0, 1);
	assert_near3(volume.origin, -8.5 - 19 * 0.8, 3.25 - 15 * 0.8, -120 - 11 * 2.5);
	assert_true(slices_error(&volume, 0) <= 0.5);
	assert_finding(HL_FINDING_FLIPPED, HL_FINDING_REPAIRED, 0);
	/* Feet first: only y and z. */
	double feet[3][3] = {{1, 0, 0}, {0, -1, 0}, {0, 0, -1}};
	plain(feet);
	assert_loaded(false);
	assert_true(slices_error(&volume, 0) <= 0.5);
}

static void test_permuted(void **state)
{
	double sagittal[3][3] = {{0, 1, 0}, {0, 0, -1}, {-1, 0, 0}}, coronal[3][3] = {{1, 0, 0}, {0, 0, -1}, {0, 1, 0}};
	(void)state;
	plain(sagittal);
	assert_loaded(false);
	assert_size(12, 20, 16);
	assert_near3(volume.spacing, 2.5, 0.8, 0.8);
	assert_true(slices_error(&volume, 0) <= 0.5);
	assert_finding(HL_FINDING_NOT_AXIAL, HL_FINDING_REPAIRED, 12);
	plain(coronal);
	assert_loaded(false);
	assert_size(20, 12, 16);
	assert_true(slices_error(&volume, 0) <= 0.5);
}

static void test_single(void **state)
{
	double coronal[3][3] = {{1, 0, 0}, {0, 0, -1}, {0, 1, 0}};
	(void)state;
	plain(axial);
	slices.count = 1;
	assert_loaded(false);
	assert_size(20, 16, 1);
	assert_near3(volume.spacing, 0.8, 0.8, 2.5);
	plain(coronal);
	slices.count = 1;
	assert_refused(HL_FINDING_NOT_AXIAL, 1);
}

static void test_units(void **state)
{
	(void)state;
	plain(axial);
	/* Signed, with bits beyond those stored; another slope in each slice. */
	for (int32_t i = 0; i < slices.count; i++) {
		slices.image[i].head.is_signed = true;
		slices.image[i].head.bits_stored = 13;
		slices.image[i].head.high_bit = 13;
		slices.frame[i].intercept = i;
	}
	assert_loaded(false);
	assert_int_equal(volume.type, HL_VOXEL_I16);
	assert_true(slices_error(&volume, 0) <= 0.5);

	/* A slope that is no whole number: floating point. */
	plain(axial);
	slices.frame[3].slope = 0.5;
	assert_loaded(false);
	assert_int_equal(volume.type, HL_VOXEL_F32);
	assert_true(slices_error(&volume, 0) <= 0.5);

	/* Values that do not fit into 16 bits: -1024 - 32768. */
	plain(axial);
	for (int32_t i = 0; i < slices.count; i++)
		slices.frame[i].slope = 40;
	slices.frame[2].intercept = -70000;
	assert_loaded(false);
	assert_int_equal(volume.type, HL_VOXEL_I16);
	slices.image[2].head.photometric = HL_DICOM_MONOCHROME1;
	assert_loaded(false);
	assert_true(slices_error(&volume, 0) <= 20);

	plain(axial);
	slices.frame[4].has_rescale = false;
	assert_refused(HL_FINDING_UNITS, 1);
	plain(axial);
	slices.frame[4].hounsfield = false;
	assert_refused(HL_FINDING_UNITS, 1);
}

static void test_wide_values(void **state)
{
	static const double spacing[3] = {1, 1, 1}, origin[3] = {-40, -40, 0};
	(void)state;
	/* 16 bits without a sign, taken as they are: values of 32768 and more fit into no 16-bit volume. */
	slices_make(&slices, 4, 8, 8, spacing, origin, axial);
	for (int32_t i = 0; i < 4; i++) {
		slices.image[i].head.bits_stored = 16;
		slices.image[i].head.high_bit = 15;
		slices.frame[i].intercept = i == 2 ? -40000 : -1024;
	}
	assert_loaded(false);
	assert_int_equal(volume.type, HL_VOXEL_I16);
	assert_true(slices_error(&volume, 0) <= 0.5);
	for (int32_t i = 0; i < 4; i++) {
		/* Stored -1000 is 64536 without its sign. */
		slices.image[i].head.is_signed = false;
		slices.frame[i].intercept = 0;
	}
	assert_loaded(false);
	assert_int_equal(volume.type, HL_VOXEL_F32);
	assert_true(hl_volume_get(&volume, 0, 0, 0, 0) > 60000);
}

static void test_shape_of_pixels(void **state)
{
	static const double spacing[3] = {0.7, 0.9, 3}, origin[3] = {1, 2, 3};
	(void)state;
	slices_make(&slices, 5, 14, 18, spacing, origin, axial);
	assert_loaded(false);
	assert_near3(volume.spacing, 0.7, 0.9, 3);
	assert_true(slices_error(&volume, 0) <= 0.5);
	assert_finding(HL_FINDING_NOT_SQUARE, HL_FINDING_NOTICED, 0);
}

static void test_thickness(void **state)
{
	(void)state;
	plain(axial);
	slices.frame[0].thickness = 5;
	assert_loaded(false);
	assert_near3(volume.spacing, 0.8, 0.8, 2.5); /* thickness has no say */
	assert_finding(HL_FINDING_OVERLAP, HL_FINDING_NOTICED, 0);
	plain(axial);
	slices.frame[0].thickness = 1;
	assert_loaded(false);
	assert_finding(HL_FINDING_SPARSE, HL_FINDING_NOTICED, 0);
}

/* ---- what can be repaired ---- */

static void test_tilt(void **state)
{
	static const double angles[] = {-25, -0.5, 12, 30};
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		double angle = angles[i] / 57.29577951308232;
		double tilted[3][3] = {{1, 0, 0}, {0, cos(angle), sin(angle)}, {0, 0, 1}};
		plain(tilted);
		for (int32_t k = 0; k < 12; k++)
			slices.image[k].head.height = 24;
		assert_loaded(false);
		assert_finding(HL_FINDING_TILT, HL_FINDING_REPAIRED, 12);
		assert_near3(volume.direction[1], 0, cos(angle), sin(angle));
		assert_near3(volume.direction[2], 0, -sin(angle), cos(angle));
		assert_near3(volume.spacing, 0.8, 0.8, 2.5 * cos(angle));
		assert_int_equal(volume.depth, 12);
		assert_true(slices_error(&volume, 2) < 4);
	}
	double fallen[3][3] = {{1, 0, 0}, {0, cos(1), sin(1)}, {0, 0, 1}};
	plain(fallen);
	assert_int_equal(load(false), HILUM_ERROR_UNSUPPORTED);
	assert_finding(HL_FINDING_TILT, HL_FINDING_REFUSED, 12);
}

static void test_shifted(void **state)
{
	static const double by[3] = {3 * 0.8, -2 * 0.8, 0}, back[3] = {0.37, 0, 0};
	(void)state;
	plain(axial);
	slices_move(&slices, 5, by);
	assert_loaded(false);
	assert_finding(HL_FINDING_SHIFTED, HL_FINDING_REPAIRED, 12);
	assert_size(23, 18, 12);
	assert_true(slices_error(&volume, 0) <= 0.5); /* whole pixels: exact */
	plain(axial);
	slices_move(&slices, 5, back);
	assert_loaded(false);
	assert_true(slices_error(&volume, 2) < 4);
	plain(axial);
	slices_move(&slices, 5, (double[3]){300, 0, 0});
	assert_int_equal(load(false), HILUM_ERROR_UNSUPPORTED);
	assert_finding(HL_FINDING_SHIFTED, HL_FINDING_REFUSED, 12);
}

static void test_oblique(void **state)
{
	double a = 0.2, b = -0.1;
	double turned[3][3] = {{cos(a), sin(a), 0}, {-sin(a) * cos(b), cos(a) * cos(b), sin(b)}, {0}};
	(void)state;
	for (int k = 0; k < 3; k++)
		turned[2][k] =
		    turned[0][(k + 1) % 3] * turned[1][(k + 2) % 3] - turned[0][(k + 2) % 3] * turned[1][(k + 1) % 3];
	plain(turned);
	assert_loaded(false);
	assert_finding(HL_FINDING_OBLIQUE, HL_FINDING_NOTICED, 0);
	assert_near3(volume.direction[0], cos(a), sin(a), 0);
	assert_true(slices_error(&volume, 0) <= 0.5);
}

static void test_duplicates(void **state)
{
	(void)state;
	plain(axial);
	slices_copy(&slices, 0);
	slices_copy(&slices, 7);
	slices_copy(&slices, 7);
	assert_loaded(false);
	assert_size(20, 16, 12);
	assert_finding(HL_FINDING_DUPLICATE, HL_FINDING_REPAIRED, 3);
	assert_true(slices_error(&volume, 0) <= 0.5);
	/* At the same place with other values. */
	plain(axial);
	slices.frame[slices_copy(&slices, 7)].intercept = -1000;
	slices.frame[12].slope = 2;
	assert_refused(HL_FINDING_CONFLICT, 1);
	/* In the same plane, beside it. */
	plain(axial);
	slices_move(&slices, slices_copy(&slices, 7), (double[3]){4, 0, 0});
	assert_int_equal(load(false), HILUM_ERROR_UNSUPPORTED);
	assert_finding(HL_FINDING_CONFLICT, HL_FINDING_REFUSED, 1);
}

static void test_rounding(void **state)
{
	static const double spacing[3] = {0.8, 0.8, 0.625}, origin[3] = {0, 0, 10};
	(void)state;
	slices_make(&slices, 40, 8, 8, spacing, origin, axial);
	for (int32_t i = 0; i < 40; i++)
		slices.frame[i].position[2] = floor(slices.frame[i].position[2] * 10 + 0.5) / 10;
	assert_loaded(false);
	assert_finding(HL_FINDING_IRREGULAR, HL_FINDING_NOTICED, 40);
	/* Not the median of the rounded distances, 0.6. */
	assert_true(fabs(volume.spacing[2] - 0.625) < 0.002);
	assert_true(slices_error(&volume, 0) <= 2);
}

/* ---- what cannot ---- */

static void test_gaps(void **state)
{
	(void)state;
	plain(axial);
	slices_remove(&slices, 4);
	slices_remove(&slices, 7);
	slices_remove(&slices, 7);
	assert_refused(HL_FINDING_GAP, 3);
	assert_size(20, 16, 12);
	assert_near3(volume.spacing, 0.8, 0.8, 2.5);
	assert_true(slices_error(&volume, 0) < 40);
}

static void test_irregular(void **state)
{
	(void)state;
	plain(axial);
	slices_move(&slices, 4, (double[3]){0, 0, 0.7});
	assert_refused(HL_FINDING_IRREGULAR, 12);
	assert_true(slices_error(&volume, 0) < 12);
}

static void test_missing_tags(void **state)
{
	(void)state;
	plain(axial);
	slices.frame[2].has_position = false;
	assert_refused(HL_FINDING_MISSING_TAGS, 1);
	assert_false(volume.oriented);
	plain(axial);
	for (int32_t i = 0; i < slices.count; i++)
		slices.frame[i].has_orientation = false;
	assert_refused(HL_FINDING_MISSING_TAGS, 12);
	assert_size(20, 16, 12);
	plain(axial);
	for (int32_t i = 0; i < slices.count; i++)
		slices.frame[i].has_spacing = false;
	assert_refused(HL_FINDING_MISSING_TAGS, 12);
	/* Directions that are none. */
	plain(axial);
	for (int32_t i = 0; i < slices.count; i++)
		slices.frame[i].row[1] = 0.5;
	assert_refused(HL_FINDING_MISSING_TAGS, 12);
}

static void test_other_modality(void **state)
{
	(void)state;
	plain(axial);
	for (int32_t i = 0; i < slices.count; i++)
		snprintf(slices.image[i].head.modality, sizeof(slices.image[i].head.modality), "MR");
	assert_refused(HL_FINDING_MODALITY, 12);
	assert_non_null(strstr(finding(HL_FINDING_MODALITY)->text, "MR"));
	plain(axial);
	for (int32_t i = 0; i < slices.count; i++)
		snprintf(slices.image[i].head.sop_class, 65, "1.2.840.10008.5.1.4.1.1.7");
	assert_refused(HL_FINDING_MODALITY, 12);
}

/* ---- which slices belong together ---- */

static void test_localisers(void **state)
{
	(void)state;
	plain(axial);
	int32_t scout = slices_copy(&slices, 0);
	slices.frame[scout].localiser = true;
	memcpy(slices.frame[scout].column, (double[3]){0, 0, -1}, sizeof(double[3]));
	assert_loaded(false);
	assert_finding(HL_FINDING_LOCALISER, HL_FINDING_NOTICED, 1);
	assert_size(20, 16, 12);
	plain(axial);
	slices.count = 1;
	slices.frame[0].localiser = true;
	assert_refused(HL_FINDING_LOCALISER, 1);
}

static void test_strays(void **state)
{
	static const double spacing[3] = {0.8, 0.8, 2.5}, origin[3] = {0};
	(void)state;
	slices_make(&slices, 20, 20, 16, spacing, origin, axial);
	int32_t stray = slices_copy(&slices, 0);
	slices.image[stray].head.width = 10;
	assert_loaded(false);
	assert_finding(HL_FINDING_STRAY, HL_FINDING_NOTICED, 1);
	assert_size(20, 16, 20);
}

static void test_several_series(void **state)
{
	struct hl_load_options options = {.series = 2};
	(void)state;
	plain(axial);
	for (int32_t i = 0; i < 12; i++) {
		slices.image[i].head.series_number = i < 5 ? 3 : 2;
		hl_dicom_uid(i < 5 ? "one" : "other", slices.image[i].head.series);
	}
	assert_refused(HL_FINDING_SEVERAL_SERIES, 2);
	assert_size(20, 16, 7); /* the larger one */
	slices_encode(&slices, NULL, false);
	hl_volume_free(&volume);
	assert_int_equal(hl_load_files(slices.file, 12, &options, &volume, &findings, &problem), HILUM_OK);
	assert_size(20, 16, 5);
	hl_volume_free(&volume);
	options.series = 3;
	assert_int_equal(hl_load_files(slices.file, 12, &options, &volume, &findings, &problem), HILUM_ERROR_ARGUMENT);
	slices_free(&slices);
}

static void test_acquisitions(void **state)
{
	(void)state;
	/* Two that overlap, the second half a slice off. */
	plain(axial);
	for (int32_t i = 0; i < 12; i++) {
		slices.image[i].head.has_acquisition = true;
		slices.image[i].head.acquisition = 1 + i / 6;
		if (i >= 6)
			slices_move(&slices, i, (double[3]){0, 0, -3 * 2.5 - 1.25});
	}
	assert_refused(HL_FINDING_SEVERAL_SERIES, 2);
	assert_size(20, 16, 6);
	assert_finding(HL_FINDING_ACQUISITIONS, HL_FINDING_NOTICED, 0);
	/* One behind the other: one scan. */
	plain(axial);
	for (int32_t i = 0; i < 12; i++) {
		slices.image[i].head.has_acquisition = true;
		slices.image[i].head.acquisition = 1 + i / 6;
	}
	assert_loaded(false);
	assert_size(20, 16, 12);
	assert_int_equal(findings.count, 0);
}

static void test_references(void **state)
{
	(void)state;
	plain(axial);
	for (int32_t i = 0; i < 12; i++)
		hl_dicom_uid(i < 6 ? "here" : "there", slices.image[i].head.frame_of_reference);
	assert_refused(HL_FINDING_SEVERAL_SERIES, 2);
	plain(axial);
	for (int32_t i = 0; i < 12; i++)
		memcpy(slices.image[i].head.frame_of_reference, slices.image[i].head.sop_instance, 65);
	assert_loaded(false);
	assert_finding(HL_FINDING_REFERENCE, HL_FINDING_NOTICED, 12);
}

static void test_damaged(void **state)
{
	const struct hl_load_options options = {.force = true};
	(void)state;
	plain(axial);
	slices_encode(&slices, NULL, false);
	slices.file[11].length -= 100;
	hl_volume_free(&volume);
	assert_int_equal(hl_load_files(slices.file, 12, NULL, &volume, &findings, &problem), HILUM_ERROR_FORMAT);
	assert_non_null(strstr(problem.message, "file 11"));
	assert_int_equal(hl_load_files(slices.file, 12, &options, &volume, &findings, &problem), HILUM_OK);
	assert_size(20, 16, 11);
	assert_finding(HL_FINDING_UNREADABLE, HL_FINDING_FORCED, 1);
	slices_free(&slices);
}

static void test_enhanced(void **state)
{
	(void)state;
	for (int encoding = 0; encoding < HL_ENCODING_COUNT; encoding++) {
		plain(axial);
		for (int32_t i = 0; i < 12; i++) {
			slices.image[i].encoding = (enum hl_dicom_encoding)encoding;
			slices.frame[i].intercept = -1024 - 10 * (i % 3);
		}
		/* Frames need not be in order. */
		struct hl_dicom_frame swap = slices.frame[2];
		slices.frame[2] = slices.frame[9];
		slices.frame[9] = swap;
		slices_encode(&slices, NULL, true);
		hl_volume_free(&volume);
		assert_int_equal(hl_load_files(slices.file, 1, NULL, &volume, &findings, &problem), HILUM_OK);
		assert_size(20, 16, 12);
		assert_true(slices_error(&volume, 0) <= 0.5);
		slices_free(&slices);
	}
}

/* ---- a thousand combinations ---- */

static double uniform(struct hl_random *random, double low, double high)
{
	return hl_random_range(random, low, high);
}

/* A rotation about a random axis. */
static void rotate(struct hl_random *random, double most, double direction[3][3])
{
	double axis[3], length = 0, angle = uniform(random, -most, most);
	for (int k = 0; k < 3; k++) {
		axis[k] = uniform(random, -1, 1);
		length += axis[k] * axis[k];
	}
	length = sqrt(length);
	for (int i = 0; i < 3; i++) {
		double v[3], along = 0;
		for (int k = 0; k < 3; k++)
			along += axis[k] / length * direction[i][k];
		for (int k = 0; k < 3; k++)
			v[k] = direction[i][k] * cos(angle) +
			       (axis[(k + 1) % 3] * direction[i][(k + 2) % 3] -
			        axis[(k + 2) % 3] * direction[i][(k + 1) % 3]) /
			           length * sin(angle) +
			       axis[k] / length * along * (1 - cos(angle));
		memcpy(direction[i], v, sizeof(v));
	}
}

/* One of the 24 ways in which a box can stand. */
static void stand(struct hl_random *random, double direction[3][3])
{
	static const int permutations[6][3] = {{0, 1, 2}, {1, 2, 0}, {2, 0, 1}, {0, 2, 1}, {2, 1, 0}, {1, 0, 2}};
	uint32_t which = hl_random_below(random, 3) ? 0 : hl_random_below(random, 6);
	double sign[3], product = which < 3 ? 1 : -1;
	for (int k = 0; k < 2; k++) {
		sign[k] = hl_random_below(random, 2) ? 1 : -1;
		product *= sign[k];
	}
	sign[2] = product;
	memset(direction, 0, sizeof(double[3][3]));
	for (int k = 0; k < 3; k++)
		direction[k][permutations[which][k]] = sign[k];
}

struct expectation {
	bool refused[HL_FINDING_KIND_COUNT]; /* any of these */
	bool any, interpolated, coarse;
	int32_t slices;
};

static void refuse(struct expectation *expectation, enum hl_finding_kind kind)
{
	expectation->refused[kind] = expectation->any = true;
}

/* Makes a series with random faults and says what must become of it. */
static void make_random(struct hl_random *random, struct expectation *expect)
{
	double direction[3][3], spacing[3], origin[3], step[3];
	int32_t count = 4 + (int32_t)hl_random_below(random, 20);

	*expect = (struct expectation){.slices = count};
	for (int k = 0; k < 3; k++)
		origin[k] = uniform(random, -200, 200);
	spacing[0] = spacing[1] = uniform(random, 0.5, 1.2);
	if (hl_random_below(random, 4) == 0)
		spacing[1] = uniform(random, 0.5, 1.2);
	spacing[2] = uniform(random, 0.6, 4);
	stand(random, direction);
	if (hl_random_below(random, 3) == 0)
		rotate(random, 0.35, direction);
	if (hl_random_below(random, 3) == 0) { /* the step leans */
		double angle = uniform(random, 0.02, 0.5), turn = uniform(random, 0, 6.28);
		for (int k = 0; k < 3; k++)
			direction[2][k] = cos(angle) * direction[2][k] +
			                  sin(angle) * (hl_random_below(random, 2) + 1 > 0) *
			                      (cos(turn) * direction[0][k] + sin(turn) * direction[1][k]);
		expect->interpolated = true;
	}
	memcpy(step, direction[2], sizeof(step));
	slices_make(&slices, count, 10 + (int32_t)hl_random_below(random, 14),
	            10 + (int32_t)hl_random_below(random, 14), spacing, origin, direction);
	/* A canvas of more than twice the size is refused, so that a stack must not lean too far. */
	double side = fmin(slices.image[0].head.width * spacing[0], slices.image[0].head.height * spacing[1]);
	if (expect->interpolated && 0.55 * (count - 1) * spacing[2] > side) {
		slices.count = count = (int32_t)(side / spacing[2] / 0.55);
		if (count < 4) {
			for (int32_t i = 0; i < 4; i++)
				for (int k = 0; k < 3; k++)
					slices.frame[i].position[k] = origin[k] + i * step[k] * side / 0.55 / 4;
			slices.count = count = 4;
			spacing[2] = side / 0.55 / 4;
		}
		expect->slices = count;
	}

	for (int32_t i = 0; i < count; i++) {
		struct hl_dicom *head = &slices.image[i].head;
		slices.image[i].encoding = (enum hl_dicom_encoding)hl_random_below(random, HL_ENCODING_COUNT);
		head->bits_stored = 12 + (int32_t)hl_random_below(random, 5);
		head->is_signed = hl_random_below(random, 2);
		slices.frame[i].intercept = head->is_signed ? -(double)hl_random_below(random, 100) : -1024;
		head->high_bit = head->bits_stored - 1;
	}
	if (hl_random_below(random, 4) == 0) { /* copies */
		uint32_t copies = 1 + hl_random_below(random, 4);
		while (copies--)
			slices_copy(&slices, (int32_t)hl_random_below(random, (uint32_t)count));
	}
	if (hl_random_below(random, 8) == 0 && count > 6) { /* a gap, not at the ends */
		slices_remove(&slices, 2 + (int32_t)hl_random_below(random, (uint32_t)count - 4));
		/* Unless it was copied before. */
		expect->coarse |= slices.count > count - 1;
		refuse(expect, HL_FINDING_GAP);
	}
	if (hl_random_below(random, 8) == 0) { /* one is out of place */
		double by[3];
		for (int k = 0; k < 3; k++)
			by[k] = step[k] * spacing[2] * 0.3;
		slices_move(&slices, 1, by);
		refuse(expect, HL_FINDING_IRREGULAR);
		refuse(expect, HL_FINDING_CONFLICT);
		refuse(expect, HL_FINDING_GAP);
	}
	if (hl_random_below(random, 12) == 0) { /* sideways by whole pixels */
		double by[3];
		for (int k = 0; k < 3; k++)
			by[k] = 2 * slices.frame[0].spacing[0] * slices.frame[0].row[k];
		slices_move(&slices, 2, by);
		refuse(expect, HL_FINDING_CONFLICT);
		expect->coarse = true;
	}
	if (hl_random_below(random, 16) == 0) {
		slices.frame[hl_random_below(random, (uint32_t)slices.count)].has_position = false;
		refuse(expect, HL_FINDING_MISSING_TAGS);
	}
	if (hl_random_below(random, 16) == 0) {
		for (int32_t i = 0; i < slices.count; i++)
			slices.frame[i].has_rescale = false;
		refuse(expect, HL_FINDING_UNITS);
	}
	if (hl_random_below(random, 16) == 0) {
		for (int32_t i = 0; i < slices.count; i++)
			snprintf(slices.image[i].head.modality, 17, "PT");
		refuse(expect, HL_FINDING_MODALITY);
	}
	if (hl_random_below(random, 6) == 0) {
		int32_t scout = slices_copy(&slices, 0);
		slices.frame[scout].localiser = true;
	}
}

static bool refused_rightly(const struct expectation *expect)
{
	for (int32_t i = 0; i < findings.count; i++)
		if (findings.list[i].grade == HL_FINDING_REFUSED && expect->refused[findings.list[i].kind])
			return true;
	return false;
}

static void test_random(void **state)
{
	int32_t loaded = 0, refused = 0;
	(void)state;
	for (uint32_t round = 0; round < 1000; round++) {
		struct hl_random random = hl_random_stream(7, round, 0, HL_RANDOM_TEST);
		struct expectation expect;
		uint32_t order[SLICES_MAX];
		make_random(&random, &expect);
		for (uint32_t i = 0; i < (uint32_t)slices.count; i++)
			order[i] = i;
		hl_random_shuffle(&random, order, (uint32_t)slices.count);
		slices_encode(&slices, order, false);
		hl_volume_free(&volume);
		enum hilum_status status =
		    hl_load_files(slices.file, (size_t)slices.files, NULL, &volume, &findings, &problem);
		slices_free(&slices);
		if (status) {
			refused++;
			if (status != HILUM_ERROR_UNSUPPORTED || !refused_rightly(&expect))
				fail_msg("round %u: refused: %s", round, problem.message);
			continue;
		}
		loaded++;
		if (expect.any && !expect.coarse)
			fail_msg("round %u: should have been refused", round);
		double most =
		    expect.interpolated || finding(HL_FINDING_TILT) || finding(HL_FINDING_SHIFTED) ? 6 : 0.501;
		double wrong = slices_error(&volume, most > 1 ? 2 : 0);
		if (!(wrong <= most))
			fail_msg("round %u: voxels are wrong by %g", round, wrong);
		if (volume.direction[0][0] <= 0 || volume.direction[1][1] <= 0 || volume.direction[2][2] <= 0)
			fail_msg("round %u: axes point elsewhere", round);
	}
	print_message("%d loaded, %d refused\n", loaded, refused);
	assert_true(loaded > 400 && refused > 100);
}

static int tear_down(void **state)
{
	(void)state;
	hl_volume_free(&volume);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_flips),
	    cmocka_unit_test(test_permuted),
	    cmocka_unit_test(test_single),
	    cmocka_unit_test(test_units),
	    cmocka_unit_test(test_wide_values),
	    cmocka_unit_test(test_shape_of_pixels),
	    cmocka_unit_test(test_thickness),
	    cmocka_unit_test(test_tilt),
	    cmocka_unit_test(test_shifted),
	    cmocka_unit_test(test_oblique),
	    cmocka_unit_test(test_duplicates),
	    cmocka_unit_test(test_rounding),
	    cmocka_unit_test(test_gaps),
	    cmocka_unit_test(test_irregular),
	    cmocka_unit_test(test_missing_tags),
	    cmocka_unit_test(test_other_modality),
	    cmocka_unit_test(test_localisers),
	    cmocka_unit_test(test_strays),
	    cmocka_unit_test(test_several_series),
	    cmocka_unit_test(test_acquisitions),
	    cmocka_unit_test(test_references),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_enhanced),
	    cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, tear_down);
}
