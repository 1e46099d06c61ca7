/* What is a slice of a chest and what is not, and a model's description of its training pictures. */
#include "scan/chest.h"

#include "base/memory.h"
#include "base/random.h"
#include "data/traits.h"
#include "infer/refuse.h"
#include "model/domain.h"
#include "scan/phantom.h"
#include "scan/window.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SIDE = 256 };

/* A phantom's slice in Hounsfield units. */
static struct hl_volume phantom(uint32_t index)
{
	struct hl_phantom drawn;
	assert_int_equal(hl_phantom_draw(4, index, SIDE, index % 2, &drawn, NULL), HILUM_OK);
	return drawn.volume;
}

static struct hl_volume picture(int32_t width, int32_t height, int32_t channels)
{
	struct hl_volume volume = {0};
	assert_int_equal(hl_volume_init(&volume, width, height, 1, channels, HL_VOXEL_U8, NULL), HILUM_OK);
	volume.unit = HL_UNIT_GREY;
	volume.maximum = 255;
	return volume;
}

/* The same as an 8-bit picture through a window. */
static struct hl_volume windowed(const struct hl_volume *scan, double center, double width)
{
	struct hl_volume volume = picture(scan->width, scan->height, 1);
	size_t pixels = (size_t)scan->width * (size_t)scan->height;
	float *grey = hl_alloc(pixels, sizeof(*grey));
	hl_window_slice(scan, 0, (struct hl_window){center, width}, 1, grey);
	for (size_t i = 0; i < pixels; i++)
		((uint8_t *)volume.voxels)[i] = (uint8_t)lrintf(grey[i] * 255);
	hl_free(grey);
	return volume;
}

static enum hl_chest_verdict verdict_of(struct hl_volume volume)
{
	enum hl_chest_verdict verdict;
	assert_int_equal(hl_chest_judge(&volume, &verdict, NULL), HILUM_OK);
	hl_volume_free(&volume);
	return verdict;
}

static void chests(void **state)
{
	int passed[3] = {0};
	(void)state;
	for (uint32_t i = 1; i <= 20; i++) {
		struct hl_volume scan = phantom(i);
		passed[0] += verdict_of(windowed(&scan, -600, 1500)) == HL_CHEST_YES;
		passed[1] += verdict_of(windowed(&scan, -500, 1400)) == HL_CHEST_YES;
		passed[2] += verdict_of(scan) == HL_CHEST_YES;
	}
	/* Some phantoms are cut off by the field of view at both sides. */
	for (int i = 0; i < 3; i++)
		assert_in_range(passed[i], 19, 20);
}

static void fill(struct hl_volume *volume, int (*value)(int32_t x, int32_t y, int32_t c))
{
	uint8_t *out = volume->voxels;
	for (int32_t y = 0; y < volume->height; y++)
		for (int32_t x = 0; x < volume->width; x++)
			for (int32_t c = 0; c < volume->channels; c++)
				*out++ = (uint8_t)value(x, y, c);
}

static int blank(int32_t x, int32_t y, int32_t c)
{
	return 90 + (x + y + c) % 2;
}

static int colours(int32_t x, int32_t y, int32_t c)
{
	return (x * (c + 1) + y * (3 - c)) / 4 % 256;
}

static uint32_t hash(int32_t x, int32_t y, int32_t c)
{
	struct hl_random random = hl_random_stream((uint64_t)c + 5, (uint32_t)x, (uint32_t)y, HL_RANDOM_CONTROL);
	return hl_random_u32(&random);
}

static int grains(int32_t x, int32_t y, int32_t c)
{
	return (int)(hash(x, y, c) % 256);
}

static int letters(int32_t x, int32_t y, int32_t c)
{
	(void)c;
	return y % 16 < 9 && x % 11 < 7 && (x * 7 / 11 + y / 16) % 3 ? 30 : 200;
}

static bool within(int32_t x, int32_t y, int cx, int cy, int rx, int ry)
{
	double u = (double)(x - cx) / rx, v = (double)(y - cy) / ry;
	return u * u + v * v < 1;
}

/* A belly: a body of tissue with a spine and a little gas. */
static int belly(int32_t x, int32_t y, int32_t c)
{
	int noise = (int)(hash(x, y, c) % 9);
	if (within(x, y, 128, 165, 14, 12))
		return 245 + noise;
	if (within(x, y, 100, 100, 26, 16))
		return 20 + noise;
	return within(x, y, 128, 128, 100, 70) ? 190 + noise : 18 + noise;
}

/* A head: skull and brain. */
static int head(int32_t x, int32_t y, int32_t c)
{
	int noise = (int)(hash(x, y, c) % 9);
	if (within(x, y, 128, 128, 66, 84))
		return 150 + noise;
	return within(x, y, 128, 128, 75, 94) ? 245 + noise : 15 + noise;
}

static void others(void **state)
{
	static const struct {
		int (*value)(int32_t x, int32_t y, int32_t c);
		int32_t channels;
		enum hl_chest_verdict verdict;
	} cases[] = {
	    {blank, 1, HL_CHEST_BLANK},  {blank, 3, HL_CHEST_BLANK},   {colours, 3, HL_CHEST_COLOUR},
	    {grains, 1, HL_CHEST_NOISE}, {letters, 1, HL_CHEST_DRAWN}, {belly, 1, HL_CHEST_SHAPE},
	    {head, 1, HL_CHEST_NO_LUNG},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct hl_volume volume = picture(SIDE, SIDE, cases[i].channels);
		fill(&volume, cases[i].value);
		enum hl_chest_verdict got = verdict_of(volume);
		if (got != cases[i].verdict)
			fail_msg("case %zu: %s instead of %s", i, hl_chest_reason(got),
			         hl_chest_reason(cases[i].verdict));
	}
	assert_int_equal(verdict_of(picture(16, 300, 1)), HL_CHEST_SMALL);
	for (int v = 0; v < HL_CHEST_VERDICT_COUNT; v++)
		assert_non_null(hl_chest_reason((enum hl_chest_verdict)v));
}

/* Chests that are none any more: inverted, and a strip of one. */
static void ruined(void **state)
{
	(void)state;
	for (uint32_t k = 1; k <= 8; k++) {
		struct hl_volume scan = phantom(k), inverted = windowed(&scan, -600, 1500);
		struct hl_volume strip = windowed(&scan, -600, 1500);
		uint8_t *a = inverted.voxels, *b = strip.voxels;
		for (size_t i = 0; i < (size_t)SIDE * SIDE; i++) {
			a[i] = (uint8_t)(255 - a[i]);
			b[i] = i / SIDE > 100 && i / SIDE < 135 ? b[i] : 0;
		}
		assert_int_not_equal(verdict_of(inverted), HL_CHEST_YES);
		assert_int_not_equal(verdict_of(strip), HL_CHEST_YES);
		hl_volume_free(&scan);
	}
}

/* A fifth of the slices is enough; and which slices are looked at. */
static void volumes(void **state)
{
	struct hl_volume chest = phantom(2), volume = {0};
	size_t slice = (size_t)SIDE * SIDE;
	(void)state;
	assert_int_equal(hl_volume_init(&volume, SIDE, SIDE, 20, 1, HL_VOXEL_I16, NULL), HILUM_OK);
	volume.unit = HL_UNIT_HOUNSFIELD;
	int16_t *out = volume.voxels;
	for (size_t i = 0; i < 20 * slice; i++)
		out[i] = -1000;
	enum hl_chest_verdict verdict;
	assert_int_equal(hl_chest_judge(&volume, &verdict, NULL), HILUM_OK);
	assert_int_equal(verdict, HL_CHEST_BLANK);
	for (size_t z = 10; z < 15; z++)
		memcpy(out + z * slice, chest.voxels, slice * sizeof(*out));
	assert_int_equal(hl_chest_judge(&volume, &verdict, NULL), HILUM_OK);
	assert_int_equal(verdict, HL_CHEST_YES);
	for (size_t i = 11 * slice; i < 20 * slice; i++)
		out[i] = -1000;
	assert_int_equal(hl_chest_judge(&volume, &verdict, NULL), HILUM_OK);
	assert_int_equal(verdict, HL_CHEST_BLANK);
	hl_volume_free(&chest);
	hl_volume_free(&volume);
}

/* ---- the description of the training pictures ---- */

static void distances(void **state)
{
	enum { ROWS = 4000, TRAITS = 3 };
	double *rows = hl_alloc((size_t)ROWS * TRAITS, sizeof(*rows));
	struct hl_domain domain = {.looked = 10, .chests = 9, .rule = true}, again;
	struct hl_random random = hl_random_stream(3, 0, 0, HL_RANDOM_CONTROL);
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		double common = hl_random_normal(&random);
		rows[3 * i] = 1 + common;
		rows[3 * i + 1] = 2 + common + 0.5 * hl_random_normal(&random);
		rows[3 * i + 2] = 3 + 2 * hl_random_normal(&random);
	}
	assert_int_equal(hl_domain_fit(&domain, rows, ROWS, TRAITS, NULL), HILUM_OK);
	domain.threshold = 2.5;
	domain.rate = 0.01;
	domain.cases = 99;
	domain.validation = true;
	/* Squared and times their number, distances have the mean of a chi-square with three degrees; a tenth less
	 * correlation changes little. */
	double sum = 0;
	for (size_t i = 0; i < ROWS; i++)
		sum += pow(hl_domain_distance(&domain, rows + 3 * i), 2);
	assert_true(fabs(sum / ROWS - 1) < 0.15);
	/* Against the correlation is farther than along it. */
	const double along[] = {2, 3, 3}, against[] = {2, 1, 3};
	assert_true(hl_domain_distance(&domain, against) > 2 * hl_domain_distance(&domain, along));
	char *text = hl_domain_print(&domain);
	assert_non_null(text);
	assert_int_equal(hl_domain_parse(text, &again, NULL), HILUM_OK);
	assert_int_equal(again.looked, 10);
	assert_int_equal(again.chests, 9);
	assert_true(again.rule && again.validation && again.cases == 99);
	assert_true(fabs(hl_domain_distance(&again, against) - hl_domain_distance(&domain, against)) < 1e-6);
	assert_false(hl_domain_flags(&again, 2.5));
	assert_true(hl_domain_flags(&again, 2.6));
	hl_domain_free(&again);
	hl_domain_free(&domain);
	hl_free(text);
	hl_free(rows);
}

static void admits(void **state)
{
	struct hl_domain domain = {.rule = true};
	struct hilum_error error;
	(void)state;
	assert_int_equal(hl_domain_admit(&domain, HL_CHEST_YES, &error), HILUM_OK);
	assert_int_equal(hl_domain_admit(&domain, HL_CHEST_COLOUR, &error), HILUM_ERROR_REFUSED);
	assert_string_equal(error.message, "refused: not a chest CT (a picture in colour)");
	domain.rule = false;
	assert_int_equal(hl_domain_admit(&domain, HL_CHEST_COLOUR, &error), HILUM_OK);
	assert_false(hl_domain_flags(&domain, 1e9));
}

static void hostile(void **state)
{
	static const char *const texts[] = {
	    "",
	    "[]",
	    "{}",
	    "{\"chest\": {\"looked\": 3, \"chests\": 4, \"rule\": true}}",
	    "{\"chest\": {\"looked\": -3, \"chests\": -4, \"rule\": true}}",
	    "{\"chest\": {\"looked\": 3, \"chests\": 3, \"rule\": 1}}",
	    "{\"chest\": {\"looked\": 3, \"chests\": 3, \"rule\": true}, \"traits\": 5}",
	    "{\"chest\": {\"looked\": 3, \"chests\": 3, \"rule\": true}, \"traits\": {\"mean\": [], \"factor\": []}}",
	    /* A factor of another size, one that divides by nothing, a number beyond bounds, no threshold. */
	    "{\"chest\": {\"looked\": 3, \"chests\": 3, \"rule\": true}, \"traits\": {\"mean\": [1, 2], \"factor\": "
	    "[1, 1], "
	    "\"threshold\": 1, \"rate\": 0.01, \"cases\": 9, \"part\": \"val\"}}",
	    "{\"chest\": {\"looked\": 3, \"chests\": 3, \"rule\": true}, \"traits\": {\"mean\": [1], \"factor\": [0], "
	    "\"threshold\": 1, \"rate\": 0.01, \"cases\": 9, \"part\": \"val\"}}",
	    "{\"chest\": {\"looked\": 3, \"chests\": 3, \"rule\": true}, \"traits\": {\"mean\": [1e300], \"factor\": "
	    "[1], "
	    "\"threshold\": 1, \"rate\": 0.01, \"cases\": 9, \"part\": \"val\"}}",
	    "{\"chest\": {\"looked\": 3, \"chests\": 3, \"rule\": true}, \"traits\": {\"mean\": [1], \"factor\": [1], "
	    "\"rate\": 0.01, \"cases\": 9, \"part\": \"val\"}}",
	    "{\"chest\": {\"looked\": 3, \"chests\": 3, \"rule\": true}, \"traits\": {\"mean\": [1], \"factor\": [1], "
	    "\"threshold\": 1, \"rate\": 0.01, \"cases\": 9, \"part\": \"elsewhere\"}}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct hl_domain domain;
		struct hilum_error error;
		if (hl_domain_parse(texts[i], &domain, &error) != HILUM_ERROR_FORMAT)
			fail_msg("taken: %s", texts[i]);
		assert_non_null(strstr(error.message, "damaged"));
	}
}

static void traits(void **state)
{
	const struct hl_recipe recipe = {.channels = 1, .size = 32, .dims = HL_DIMS_2, .depth = 1};
	uint8_t image[32 * 32];
	double row[HL_TRAITS] = {0};
	(void)state;
	/* Left half 51, right half 204. */
	for (int i = 0; i < 32 * 32; i++)
		image[i] = i % 32 < 16 ? 51 : 204;
	hl_traits_add(&recipe, image, 1, row);
	for (int block = 0; block < 16; block++) {
		assert_true(fabs(row[2 * block] - (block % 4 < 2 ? 0.2 : 0.8)) < 1e-12);
		assert_true(fabs(row[2 * block + 1]) < 1e-12);
	}
	for (int range = 1; range < 8; range++)
		assert_true(fabs(row[31 + range] - (range == 1 || range == 6 ? 0.5 : 0)) < 1e-12);
	assert_true(fabs(row[39] - log2(153 / 32.0 + 0.25) / 8) < 1e-12);
	assert_true(fabs(row[40] + 0.25) < 1e-12);
	/* Weights add up. */
	double half[HL_TRAITS] = {0};
	hl_traits_add(&recipe, image, 0.5, half);
	hl_traits_add(&recipe, image, 0.5, half);
	for (int i = 0; i < HL_TRAITS; i++)
		assert_true(fabs(half[i] - row[i]) < 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chests),    cmocka_unit_test(others), cmocka_unit_test(ruined),  cmocka_unit_test(volumes),
	    cmocka_unit_test(distances), cmocka_unit_test(admits), cmocka_unit_test(hostile), cmocka_unit_test(traits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
