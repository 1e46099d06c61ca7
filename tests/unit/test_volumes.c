/* NIfTI and MetaImage: places in the patient, what is refused and why, and what the writers write. Their voxels are
 * compared in test_scan.c, as those of all formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/samples.h"
#include "base/file.h"
#include "base/memory.h"
#include "scan/format.h"
#include "scan/orient.h"

static char folder[] = "/tmp/hilum-volumes-XXXXXX";
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

static const struct sample *find(const char *name)
{
	for (size_t i = 0; i < sample_count; i++)
		if (strcmp(samples[i].name, name) == 0)
			return &samples[i];
	fail_msg("no sample %s", name);
	return NULL;
}

static void assert_same(const char *name, const struct hl_volume *got, const struct hl_volume *expected,
                        double tolerance)
{
	if (got->width != expected->width || got->height != expected->height || got->depth != expected->depth ||
	    got->type != expected->type || got->unit != expected->unit || got->oriented != expected->oriented)
		fail_msg("%s: %d x %d x %d of type %d", name, got->width, got->height, got->depth, (int)got->type);
	for (int i = 0; i < 9; i++)
		if (!(fabs(got->direction[i / 3][i % 3] - expected->direction[i / 3][i % 3]) <= tolerance) ||
		    !(fabs(got->origin[i / 3] - expected->origin[i / 3]) <= tolerance * 1000) ||
		    !(fabs(got->spacing[i / 3] - expected->spacing[i / 3]) <= tolerance))
			fail_msg("%s: axis %d: %.9g %.9g", name, i / 3, got->origin[i / 3], got->spacing[i / 3]);
	assert_memory_equal(got->voxels, expected->voxels,
	                    (size_t)got->width * (size_t)got->height * (size_t)got->depth * hl_voxel_size(got->type));
}

static void open_volume(const char *path, struct hl_volume *out)
{
	struct hilum_error error;

	if (hl_scan_open(path, out, &error))
		fail_msg("%s", error.message);
}

/* ---- places ---- */

static bool is_volume(const struct sample *sample)
{
	return sample->kind == SAMPLE_NIFTI || sample->kind == SAMPLE_METAIMAGE;
}

static void test_places(void **state)
{
	(void)state;
	for (size_t i = 0; i < sample_count; i++) {
		struct hl_volume volume;
		struct hilum_error error;
		if (!is_volume(&samples[i]))
			continue;
		if (hl_scan_decode(samples[i].bytes, samples[i].length, &volume, &error))
			fail_msg("%s: %s", samples[i].name, error.message);
		assert_same(samples[i].name, &volume, &samples[i].expected, 0);
		hl_volume_free(&volume);
	}
}

/* ---- headers that were changed ---- */

static void set_number(uint8_t *at, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static void set_float(uint8_t *at, float value)
{
	memcpy(at, &value, 4);
}

/* Decodes a copy of a NIfTI-1 sample, little-endian, after change. */
static enum hilum_status decode_changed(const char *name, void (*change)(uint8_t *header), struct hl_volume *volume,
                                        struct hilum_error *error)
{
	const struct sample *sample = find(name);
	uint8_t *copy = hl_alloc(sample->length, 1);
	enum hilum_status status;

	memcpy(copy, sample->bytes, sample->length);
	change(copy);
	status = hl_scan_decode(copy, sample->length, volume, error);
	hl_free(copy);
	return status;
}

static void four_dimensions(uint8_t *header)
{
	set_number(header + 40, 4, 2);
	set_number(header + 46, 1, 2);
	set_number(header + 48, 5, 2);
}

static void shear(uint8_t *header)
{
	set_float(header + 280 + 8, 0.131F); /* srow_x[2] */
}

static void colour(uint8_t *header)
{
	set_number(header + 70, 128, 2);
}

static void pair(uint8_t *header)
{
	header[345] = 'i';
}

static void huge(uint8_t *header)
{
	set_number(header + 42, 16384, 2);
	set_number(header + 44, 16384, 2);
	set_number(header + 46, 16384, 2);
}

static void negative(uint8_t *header)
{
	set_number(header + 42, 0x8000, 2);
}

static void late(uint8_t *header)
{
	set_float(header + 108, 1e9F);
}

static void nowhere(uint8_t *header)
{
	set_float(header + 108, NAN);
}

static void no_rotation(uint8_t *header)
{
	set_number(header + 254, 0, 2);
	set_float(header + 256, 1.5F);
}

static void bad_intercept(uint8_t *header)
{
	set_float(header + 112, 2);
	set_float(header + 116, INFINITY);
}

static void flat_voxels(uint8_t *header)
{
	memset(header + 280, 0, 48);
}

static void test_nifti_refused(void **state)
{
	static const struct {
		void (*change)(uint8_t *header);
		enum hilum_status status;
		const char *message;
	} cases[] = {
	    {four_dimensions, HILUM_ERROR_UNSUPPORTED, "NIfTI: 5 volumes in one file (dimension 4)"},
	    {shear, HILUM_ERROR_UNSUPPORTED, "NIfTI: sheared: its axes 2 and 3 stand at"},
	    {colour, HILUM_ERROR_UNSUPPORTED, "type 128 (colour)"},
	    {pair, HILUM_ERROR_UNSUPPORTED, "in another file (.hdr and .img)"},
	    {huge, HILUM_ERROR_LIMIT, "bytes of voxels"},
	    {negative, HILUM_ERROR_FORMAT, "dimension 1 is -32768"},
	    {late, HILUM_ERROR_FORMAT, "cut off"},
	    {nowhere, HILUM_ERROR_FORMAT, "begin at byte"},
	    {no_rotation, HILUM_ERROR_FORMAT, "no rotation"},
	    {bad_intercept, HILUM_ERROR_FORMAT, "scl_inter"},
	    {flat_voxels, HILUM_ERROR_FORMAT, "voxels of 0 mm"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct hl_volume volume = {.width = 77};
		struct hilum_error error = {0};
		enum hilum_status status = decode_changed("i16 NIfTI-1", cases[i].change, &volume, &error);
		if (status != cases[i].status || !strstr(error.message, cases[i].message))
			fail_msg("case %zu: %d, %s", i, (int)status, error.message);
		assert_int_equal(volume.width, 77);
	}
}

static void in_metres(uint8_t *header)
{
	for (size_t i = 0; i < 12; i++) {
		float value;
		memcpy(&value, header + 280 + 4 * i, 4);
		set_float(header + 280 + 4 * i, value / 1000);
	}
	header[123] = 1;
}

static void test_metres(void **state)
{
	struct hl_volume volume;

	(void)state;
	assert_int_equal(decode_changed("i16 NIfTI-1", in_metres, &volume, NULL), HILUM_OK);
	assert_same("metres", &volume, &find("i16 NIfTI-1")->expected, 1e-6);
	hl_volume_free(&volume);
}

/* A few degrees about every axis: neither flips nor permutations make it straight, and nothing is lost. */
static void oblique(uint8_t *header)
{
	static const float rows[3][4] = {{-0.73F, 0.2F, 0.1F, 10}, {0.1F, 1.46F, -0.3F, 20}, {0.16F, 0.3F, 2.47F, 30}};
	double columns[3][3];

	/* Gram and Schmidt. */
	for (int k = 0; k < 3; k++) {
		for (int i = 0; i < 3; i++)
			columns[k][i] = (double)rows[i][k];
		for (int j = 0; j < k; j++) {
			double dot = 0, square = 0;
			for (int i = 0; i < 3; i++) {
				dot += columns[k][i] * columns[j][i];
				square += columns[j][i] * columns[j][i];
			}
			for (int i = 0; i < 3; i++)
				columns[k][i] -= dot / square * columns[j][i];
		}
		for (size_t i = 0; i < 3; i++)
			set_float(header + 280 + 16 * i + 4 * (size_t)k, (float)columns[k][i]);
	}
	for (size_t i = 0; i < 3; i++)
		set_float(header + 280 + 16 * i + 12, rows[i][3]);
}

static void test_oblique(void **state)
{
	struct hl_volume volume, back;
	char *path = hl_path_join(folder, "oblique.nii.gz");

	(void)state;
	assert_int_equal(decode_changed("i16 NIfTI-1", oblique, &volume, NULL), HILUM_OK);
	assert_true(volume.oriented && volume.direction[0][0] > 0.9 && volume.direction[1][1] > 0.9);
	assert_true(volume.direction[0][0] < 0.999);
	assert_int_equal(hl_nifti_write(path, &volume, NULL), HILUM_OK);
	open_volume(path, &back);
	assert_same("oblique", &back, &volume, 1e-6);
	hl_volume_free(&back);
	hl_volume_free(&volume);
	hl_free(path);
}

/* ---- MetaImage ---- */

#define HEAD "ObjectType = Image\nNDims = 3\n"
#define TAIL "DimSize = 2 2 1\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"

static enum hilum_status decode_text(const char *text, struct hl_volume *volume, struct hilum_error *error)
{
	static const int16_t voxels[4] = {-1000, 0, 40, 3000};
	size_t length = strlen(text);
	uint8_t *bytes = hl_alloc(length + sizeof(voxels), 1);
	enum hilum_status status;

	memcpy(bytes, text, length);
	memcpy(bytes + length, voxels, sizeof(voxels));
	status = hl_scan_decode(bytes, length + sizeof(voxels), volume, error);
	hl_free(bytes);
	return status;
}

static void test_metaimage_refused(void **state)
{
	static const struct {
		const char *text;
		enum hilum_status status;
		const char *message;
	} cases[] = {
	    {"NDims = 4\n" TAIL, HILUM_ERROR_UNSUPPORTED, "neither 2 nor 3"},
	    {HEAD "ElementNumberOfChannels = 3\n" TAIL, HILUM_ERROR_UNSUPPORTED, "3 channels"},
	    {HEAD "BinaryData = False\n" TAIL, HILUM_ERROR_UNSUPPORTED, "as text"},
	    {HEAD "ElementToIntensityFunctionSlope = 2\n" TAIL, HILUM_ERROR_UNSUPPORTED, "a scale"},
	    {HEAD "ElementSpacing = 1 1\n" TAIL, HILUM_ERROR_FORMAT, "ElementSpacing is not 3 numbers"},
	    {HEAD "ElementSpacing = 1 1 1 1\n" TAIL, HILUM_ERROR_FORMAT, "ElementSpacing is not 3 numbers"},
	    {HEAD "ElementSpacing = 1 nan 1\n" TAIL, HILUM_ERROR_FORMAT, "ElementSpacing is not 3 numbers"},
	    {HEAD "ElementSpacing = 1 -1 1\n" TAIL, HILUM_ERROR_FORMAT, "voxels of -1 mm along axis 2"},
	    {HEAD "TransformMatrix = 1 0 0 0 1 0 0 0.1 1\n" TAIL, HILUM_ERROR_UNSUPPORTED, "sheared"},
	    {HEAD "TransformMatrix = 1 0 0 0 1 0 0 0 0\n" TAIL, HILUM_ERROR_FORMAT, "voxels of 0 mm"},
	    {HEAD "HeaderSize = 5\n" TAIL, HILUM_ERROR_FORMAT, "cut off"},
	    {HEAD "HeaderSize = 1e30\n" TAIL, HILUM_ERROR_FORMAT, "cut off"},
	    {HEAD "CompressedData = True\n" TAIL, HILUM_ERROR_FORMAT, "damaged"},
	    {HEAD "CompressedData = True\nCompressedDataSize = 9\n" TAIL, HILUM_ERROR_FORMAT, "cut off"},
	    {HEAD "DimSize = 2 2 2\nElementType = MET_SHORT\nElementDataFile = LOCAL\n", HILUM_ERROR_FORMAT, "too few"},
	    {HEAD "DimSize = 2 2.5 1\nElementType = MET_SHORT\nElementDataFile = LOCAL\n", HILUM_ERROR_FORMAT,
	     "2.5 voxels"},
	    {HEAD "DimSize = 1 1 1e9\nElementType = MET_SHORT\nElementDataFile = LOCAL\n", HILUM_ERROR_LIMIT,
	     "1000000000 voxels along axis 3"},
	    {HEAD "ElementType = MET_SHORT\nElementDataFile = LOCAL\n", HILUM_ERROR_FORMAT, "no DimSize"},
	    {HEAD "DimSize = 2 2 1\nElementDataFile = LOCAL\n", HILUM_ERROR_FORMAT, "no ElementType"},
	    {HEAD "DimSize = 2 2 1\nElementType = MET_STRING\nElementDataFile = LOCAL\n", HILUM_ERROR_UNSUPPORTED,
	     "ElementType"},
	    {"ObjectType = Tube\nNDims = 3\n" TAIL, HILUM_ERROR_UNSUPPORTED, "ObjectType is not Image"},
	    {HEAD "words\n" TAIL, HILUM_ERROR_FORMAT, "no \"=\""},
	    {HEAD "DimSize = 2 2 1\n", HILUM_ERROR_FORMAT, "header"},
	    {HEAD "ElementDataFile = LIST\n", HILUM_ERROR_UNSUPPORTED, "several files"},
	    {HEAD "ElementDataFile = a%03d.raw 1 9 1\n", HILUM_ERROR_UNSUPPORTED, "several files"},
	    {HEAD "ElementDataFile = ../../etc/passwd\n", HILUM_ERROR_UNSUPPORTED, "same folder"},
	    {HEAD "ElementDataFile = /etc/passwd\n", HILUM_ERROR_UNSUPPORTED, "same folder"},
	    {HEAD "ElementDataFile = a/../b.raw\n", HILUM_ERROR_UNSUPPORTED, "same folder"},
	    {HEAD "ElementDataFile = ..\n", HILUM_ERROR_UNSUPPORTED, "same folder"},
	    {HEAD "ElementDataFile = c:\\b.raw\n", HILUM_ERROR_UNSUPPORTED, "same folder"},
	    {HEAD "ElementDataFile = \n", HILUM_ERROR_UNSUPPORTED, "same folder"},
	    {HEAD "ElementDataFile = x.raw\n", HILUM_ERROR_UNSUPPORTED, "not at hand"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct hl_volume volume = {.width = 77};
		struct hilum_error error = {0};
		enum hilum_status status = decode_text(cases[i].text, &volume, &error);
		if (status != cases[i].status || !strstr(error.message, cases[i].message))
			fail_msg("case %zu: %d, %s", i, (int)status, error.message);
		assert_int_equal(volume.width, 77);
	}
}

static void test_metaimage_forms(void **state)
{
	struct hl_volume volume;

	(void)state;
	/* Two dimensions, a matrix, blanks and returns, keys nobody knows. */
	assert_int_equal(decode_text("NDims=2 \r\n\n Strange = 7\nTransformMatrix = -1 0 0 1\nOffset = 5 6\n"
	                             "ElementSpacing = 2 3\nDimSize = 2 2\nElementType = MET_SHORT\n"
	                             "ElementDataFile = Local\n",
	                             &volume, NULL),
	                 HILUM_OK);
	assert_true(volume.oriented && volume.origin[0] == 3 && volume.origin[1] == 6 && volume.spacing[1] == 3);
	assert_true(hl_volume_get(&volume, 0, 0, 0, 0) == 0 && hl_volume_get(&volume, 1, 0, 0, 0) == -1000);
	hl_volume_free(&volume);
	/* Letters that make no sense tell nothing; the spacing stays. */
	assert_int_equal(decode_text(HEAD "AnatomicalOrientation = RRS\nElementSize = 2 3 4\n" TAIL, &volume, NULL),
	                 HILUM_OK);
	assert_true(!volume.oriented && volume.spacing[2] == 4);
	hl_volume_free(&volume);
	assert_int_equal(decode_text(HEAD "HeaderSize = -1\n" TAIL, &volume, NULL), HILUM_OK);
	assert_true(hl_volume_get(&volume, 1, 1, 0, 0) == 3000 && volume.spacing[0] == 0);
	hl_volume_free(&volume);
}

/* ---- writers ---- */

static const char *const outputs[] = {"x.nii", "x.nii.gz", "x.mha", "x.mhd"};

static enum hilum_status write_as(const char *path, const struct hl_volume *volume, bool packed)
{
	struct hilum_error error;

	if (strstr(path, ".nii"))
		return hl_nifti_write(path, volume, &error);
	return hl_metaimage_write(path, volume, packed, &error);
}

static void test_round_trips(void **state)
{
	(void)state;
	for (size_t i = 0; i < sample_count; i++) {
		const struct hl_volume *volume = &samples[i].expected;
		if (!volume->voxels || volume->channels != 1)
			continue;
		for (size_t k = 0; k < 2 * sizeof(outputs) / sizeof(*outputs); k++) {
			char *path = hl_path_join(folder, outputs[k / 2]);
			struct hl_volume expected = *volume, back;
			assert_int_equal(write_as(path, volume, k % 2), HILUM_OK);
			open_volume(path, &back);
			/* NIfTI has no way to say that a spacing is not known. */
			for (int axis = 0; axis < 3 && k < 4; axis++)
				if (!(expected.spacing[axis] > 0))
					expected.spacing[axis] = 1;
			assert_same(samples[i].name, &back, &expected, 0);
			hl_volume_free(&back);
			hl_free(path);
		}
	}
}

static void test_same_bytes(void **state)
{
	const struct hl_volume *volume = &find("i16 NIfTI-1")->expected;

	(void)state;
	for (size_t k = 0; k < sizeof(outputs) / sizeof(*outputs); k++) {
		char *path = hl_path_join(folder, outputs[k]);
		struct hl_buffer first, second;
		assert_int_equal(write_as(path, volume, true), HILUM_OK);
		assert_int_equal(hl_file_read(path, 1 << 20, &first, NULL), HILUM_OK);
		assert_int_equal(write_as(path, volume, true), HILUM_OK);
		assert_int_equal(hl_file_read(path, 1 << 20, &second, NULL), HILUM_OK);
		assert_int_equal(first.length, second.length);
		assert_memory_equal(first.data, second.data, first.length);
		hl_buffer_free(&first);
		hl_buffer_free(&second);
		hl_free(path);
	}
}

static void test_companion(void **state)
{
	const struct hl_volume *volume = &find("i16 MetaImage")->expected;
	char *path = hl_path_join(folder, "pair.mhd"), *raw = hl_path_join(folder, "pair.raw"), *zraw = NULL;
	char name[HL_COMPANION_MAX];
	struct hl_volume back;
	struct hl_buffer first, second;
	struct hilum_error error;

	(void)state;
	assert_int_equal(hl_metaimage_write(path, volume, false, &error), HILUM_OK);
	assert_int_equal(hl_file_read(path, 1 << 20, &first, NULL), HILUM_OK);
	assert_int_equal(hl_file_read(raw, 1 << 20, &second, NULL), HILUM_OK);
	/* From memory, as out of an archive. */
	assert_int_equal(hl_scan_companion((uint8_t *)first.data, first.length, name, &error), HILUM_OK);
	assert_string_equal(name, "pair.raw");
	assert_int_equal(hl_scan_decode_both((uint8_t *)first.data, first.length, (uint8_t *)second.data, second.length,
	                                     &back, &error),
	                 HILUM_OK);
	assert_same("pair", &back, volume, 0);
	hl_volume_free(&back);
	/* Without the second file. */
	assert_int_equal(remove(raw), 0);
	assert_int_equal(hl_scan_open(path, &back, &error), HILUM_ERROR_IO);
	assert_non_null(strstr(error.message, "pair.raw"));
	hl_buffer_free(&first);
	hl_buffer_free(&second);
	/* Packed, it has another name. */
	assert_int_equal(hl_metaimage_write(path, volume, true, &error), HILUM_OK);
	zraw = hl_path_join(folder, "pair.zraw");
	assert_true(hl_path_exists(zraw) && !hl_path_exists(raw));
	open_volume(path, &back);
	assert_same("packed pair", &back, volume, 0);
	hl_volume_free(&back);
	hl_free(path);
	hl_free(raw);
	hl_free(zraw);
}

static void test_writers_refuse(void **state)
{
	struct hl_volume colour;

	(void)state;
	assert_int_equal(hl_volume_init(&colour, 3, 3, 1, 3, HL_VOXEL_U8, NULL), HILUM_OK);
	assert_int_equal(hl_nifti_write("/tmp/x.nii", &colour, NULL), HILUM_ERROR_UNSUPPORTED);
	assert_int_equal(hl_metaimage_write("/tmp/x.mha", &colour, false, NULL), HILUM_ERROR_UNSUPPORTED);
	hl_volume_free(&colour);
	assert_int_equal(hl_nifti_write("/nonexistent/x.nii", &find("i16 NIfTI-1")->expected, NULL), HILUM_ERROR_IO);
	assert_int_equal(hl_metaimage_write("/nonexistent/x.mhd", &find("i16 NIfTI-1")->expected, true, NULL),
	                 HILUM_ERROR_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_places),
	    cmocka_unit_test(test_nifti_refused),
	    cmocka_unit_test(test_metres),
	    cmocka_unit_test(test_oblique),
	    cmocka_unit_test(test_metaimage_refused),
	    cmocka_unit_test(test_metaimage_forms),
	    cmocka_unit_test(test_round_trips),
	    cmocka_unit_test(test_same_bytes),
	    cmocka_unit_test(test_companion),
	    cmocka_unit_test(test_writers_refuse),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
