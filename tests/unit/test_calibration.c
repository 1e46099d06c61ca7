/* Calibration: known miscalibration found again, references by R 4.2, conformal coverage, a model's file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/recipe.h"
#include "eval/scores.h"
#include "model/model.h"
#include "scan/format.h"

/* assert_float_equal compares as float. */
static void is_near(double a, double b, double most, int line)
{
	if (!(fabs(a - b) <= most))
		fail_msg("line %d: %.17g is not %.17g", line, a, b);
}

#define WITHIN(a, b, most) is_near(a, b, most, __LINE__)
#define NEAR(a, b) WITHIN(a, b, 1e-12)

static const char *const names[] = {"healthy", "ill", "other"};

/* y and p of test_confidence's first model: glm(y ~ qlogis(p), binomial) and friends say what it should give. */
static const int32_t label[] = {0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1};
static const double given[] = {0.34, 0.14, 0.89, 0.78, 0.28, 0.81, 0.06, 0.49, 0.74, 0.09, 0.78, 0.37,
                               0.46, 0.19, 0.55, 0.28, 0.77, 0.4,  0.2,  0.87, 0.84, 0.06, 0.83, 0.37};
static const struct hl_table small = {.n = 24, .classes = 2, .label = label, .probability = given, .names = names};

static struct hl_calibration fitted(const struct hl_table *table, enum hl_map_kind kind)
{
	struct hl_calibration calibration;
	struct hilum_error error;
	if (hl_calibration_fit(table, kind, NULL, &calibration, &error))
		fail_msg("%s", error.message);
	return calibration;
}

static void as_r(void **state)
{
	struct hl_counting counting;
	struct hl_reliability reliability;
	(void)state;
	struct hl_calibration calibration = fitted(&small, HL_MAP_PLATT);
	WITHIN(calibration.slope, 0.48088711927811406, 1e-9);
	WITHIN(calibration.intercept, -0.69760367937774238, 1e-9);
	NEAR(hl_calibration_map(&calibration, 0.5), 1 / (1 + exp(-calibration.intercept)));
	calibration = fitted(&small, HL_MAP_TEMPERATURE);
	WITHIN(calibration.slope, 0.55054814433776111, 1e-7);
	/* Blocks 0.06 .. 0.34, 0.37 .. 0.87 and 0.89 with shares 0, 0.5 and 1, held off 0 and 1 by 1/26. */
	calibration = fitted(&small, HL_MAP_ISOTONIC);
	assert_int_equal(calibration.knots, 5);
	NEAR(calibration.from[1], 0.34);
	NEAR(calibration.from[4], 0.89);
	NEAR(hl_calibration_map(&calibration, 0), 1.0 / 26);
	NEAR(hl_calibration_map(&calibration, 0.6), 0.5);
	NEAR(hl_calibration_map(&calibration, 0.355), (1.0 / 26 + 0.5) / 2);
	NEAR(hl_calibration_map(&calibration, 0.95), 25.0 / 26);
	hl_calibration_free(&calibration);
	assert_int_equal(hl_counting_create(&small, false, &counting, NULL), HILUM_OK);
	assert_int_equal(hl_reliability_compute(&small, &counting, &reliability, NULL), HILUM_OK);
	hl_counting_free(&counting);
	WITHIN(reliability.slope, 0.59505021731872776, 1e-9);
	WITHIN(reliability.intercept, -0.74462511072083559, 1e-9);
	assert_true(reliability.slope_interval.low < 0.3 && reliability.slope_interval.high > 0.9);
}

static void bins(void **state)
{
	enum { N = 40 };
	int32_t y[N];
	double p[N];
	struct hl_table table = {.n = N, .classes = 2, .label = y, .probability = p, .names = names};
	struct hl_counting counting;
	struct hl_reliability reliability;
	(void)state;
	/* Four bins of ten; the second ends later, because its last probability goes on. */
	for (int i = 0; i < N; i++) {
		p[N - 1 - i] = i < 10 ? 0.1 : i < 22 ? 0.4 : i < 30 ? 0.6 : 0.9;
		y[N - 1 - i] = i == 3 || (i >= 10 && i < 16) || i >= 24;
	}
	assert_int_equal(hl_counting_create(&table, false, &counting, NULL), HILUM_OK);
	assert_int_equal(hl_reliability_compute(&table, &counting, &reliability, NULL), HILUM_OK);
	assert_int_equal(reliability.bins, 4);
	assert_int_equal(reliability.bin[1].n, 12);
	assert_int_equal(reliability.bin[2].n, 8);
	NEAR(reliability.bin[0].share, 0.1);
	NEAR(reliability.bin[1].share, 0.5);
	NEAR(reliability.bin[2].share, 0.75);
	NEAR(reliability.bin[3].mean, 0.9);
	NEAR(reliability.ece, (12 * 0.1 + 8 * 0.15 + 10 * 0.1) / 40);
	hl_counting_free(&counting);
	/* Labels that the logit parts: no slope. */
	for (int i = 0; i < N; i++)
		y[i] = p[i] > 0.5;
	assert_int_equal(hl_counting_create(&table, false, &counting, NULL), HILUM_OK);
	assert_int_equal(hl_reliability_compute(&table, &counting, &reliability, NULL), HILUM_OK);
	assert_true(isnan(reliability.slope) && isnan(reliability.slope_interval.low));
	hl_counting_free(&counting);
	/* Three classes: what is called, and whether it is right. */
	const int32_t three[] = {0, 1};
	const double rows[] = {0.5, 0.3, 0.2, 0.1, 0.1, 0.8};
	table = (struct hl_table){.n = 2, .classes = 3, .label = three, .probability = rows, .names = names};
	assert_int_equal(hl_counting_create(&table, false, &counting, NULL), HILUM_OK);
	assert_int_equal(hl_reliability_compute(&table, &counting, &reliability, NULL), HILUM_OK);
	assert_int_equal(reliability.bins, 1);
	NEAR(reliability.ece, 0.65 - 0.5);
	hl_counting_free(&counting);
}

/* ---- simulated ---- */

enum { MANY = 60000 };

struct simulated {
	int32_t label[MANY];
	double truth[MANY], probability[3 * MANY];
	char name[MANY][8];
	const char *group[MANY];
	struct hl_table table;
};

/* Labels drawn with probabilities whose logits are spread normally; the table gives logits (logit - b) / a. */
static void simulate(uint32_t number, size_t n, double a, double b, size_t each, struct simulated *out)
{
	struct hl_random random = hl_random_stream(11, 0, number, HL_RANDOM_TEST);
	double shared = 0;
	for (size_t i = 0; i < n; i++) {
		if (i % each == 0)
			shared = hl_random_normal(&random);
		double z = -0.5 + (each > 1 ? 1.5 * shared + hl_random_normal(&random) : 2 * hl_random_normal(&random));
		out->truth[i] = 1 / (1 + exp(-z));
		out->label[i] = hl_random_uniform(&random) < out->truth[i];
		out->probability[i] = 1 / (1 + exp(-(z - b) / a));
		snprintf(out->name[i], sizeof(out->name[i]), "%zu", i / each);
		out->group[i] = out->name[i];
	}
	out->table = (struct hl_table){.n = n,
	                               .classes = 2,
	                               .label = out->label,
	                               .probability = out->probability,
	                               .names = names,
	                               .group = out->group};
}

static double error_of(const struct simulated *table, const struct hl_calibration *calibration)
{
	double sum = 0;
	for (size_t i = 0; i < table->table.n; i++)
		sum += fabs(hl_calibration_map(calibration, table->probability[i]) - table->truth[i]);
	return sum / (double)table->table.n;
}

static void found_again(void **state)
{
	static struct simulated table;
	static const struct hl_calibration nothing;
	double loss[HL_MAP_KINDS];
	enum hl_map_kind best;
	struct hl_counting counting;
	(void)state;
	/* Twice too sure. */
	simulate(1, MANY, 0.5, 0, 1, &table);
	struct hl_calibration calibration = fitted(&table.table, HL_MAP_TEMPERATURE);
	WITHIN(1 / calibration.slope, 2, 0.06);
	assert_true(error_of(&table, &nothing) > 0.08 && error_of(&table, &calibration) < 0.005);
	/* Too sure and too high. */
	simulate(2, MANY, 0.7, -0.8, 1, &table);
	calibration = fitted(&table.table, HL_MAP_PLATT);
	WITHIN(calibration.slope, 0.7, 0.02);
	WITHIN(calibration.intercept, -0.8, 0.04);
	assert_true(error_of(&table, &nothing) > 0.1 && error_of(&table, &calibration) < 0.005);
	assert_int_equal(hl_counting_create(&table.table, false, &counting, NULL), HILUM_OK);
	assert_int_equal(hl_calibration_try(&table.table, &counting, 1, loss, &best, NULL), HILUM_OK);
	assert_true(loss[HL_MAP_PLATT] < loss[HL_MAP_TEMPERATURE] && loss[HL_MAP_TEMPERATURE] < loss[HL_MAP_NONE]);
	assert_true(loss[HL_MAP_PLATT] < loss[HL_MAP_ISOTONIC]);
	assert_int_equal(best, HL_MAP_PLATT);
	struct hl_reliability reliability;
	assert_int_equal(hl_reliability_compute(&table.table, &counting, &reliability, NULL), HILUM_OK);
	assert_true(reliability.slope_interval.low < 0.7 && reliability.slope_interval.high > 0.7);
	WITHIN(reliability.slope, 0.7, 0.02);
	hl_counting_free(&counting);
	/* Bent: only isotonic follows. */
	for (size_t i = 0; i < MANY; i++)
		table.probability[i] = pow(table.truth[i], 4);
	calibration = fitted(&table.table, HL_MAP_ISOTONIC);
	assert_true(error_of(&table, &nothing) > 0.1 && error_of(&table, &calibration) < 0.02);
	hl_calibration_free(&calibration);
	assert_int_equal(hl_counting_create(&table.table, false, &counting, NULL), HILUM_OK);
	assert_int_equal(hl_calibration_try(&table.table, &counting, 1, loss, &best, NULL), HILUM_OK);
	assert_int_equal(best, HL_MAP_ISOTONIC);
	hl_counting_free(&counting);
	/* Right as it is. */
	simulate(3, MANY, 1, 0, 1, &table);
	assert_int_equal(hl_counting_create(&table.table, false, &counting, NULL), HILUM_OK);
	assert_int_equal(hl_calibration_try(&table.table, &counting, 1, loss, &best, NULL), HILUM_OK);
	assert_int_equal(best, HL_MAP_NONE);
	hl_counting_free(&counting);
	calibration = fitted(&table.table, HL_MAP_TEMPERATURE);
	WITHIN(calibration.slope, 1, 0.03);
}

static void more_classes(void **state)
{
	static struct simulated table;
	struct hl_random random = hl_random_stream(4, 0, 0, HL_RANDOM_TEST);
	struct hl_calibration calibration, none;
	(void)state;
	/* Labels from softmax(z), the table holds softmax(3 z). */
	for (size_t i = 0; i < MANY; i++) {
		double z[3], sum = 0, sharp = 0, u = hl_random_uniform(&random);
		for (int c = 0; c < 3; c++) {
			z[c] = hl_random_normal(&random);
			sum += exp(z[c]);
			sharp += exp(3 * z[c]);
		}
		table.label[i] = u < exp(z[0]) / sum ? 0 : u < (exp(z[0]) + exp(z[1])) / sum ? 1 : 2;
		for (int c = 0; c < 3; c++)
			table.probability[3 * i + (size_t)c] = exp(3 * z[c]) / sharp;
	}
	table.table = (struct hl_table){
	    .n = MANY, .classes = 3, .label = table.label, .probability = table.probability, .names = names};
	calibration = fitted(&table.table, HL_MAP_TEMPERATURE);
	WITHIN(1 / calibration.slope, 3, 0.1);
	double row[] = {0.7, 0.2, 0.1}, whole = 0;
	hl_calibration_apply(&calibration, 3, row);
	for (int c = 0; c < 3; c++)
		whole += row[c];
	NEAR(whole, 1);
	WITHIN(log(row[0] / row[2]), calibration.slope * log(7), 1e-12);
	assert_int_equal(hl_calibration_fit(&table.table, HL_MAP_PLATT, NULL, &none, NULL), HILUM_ERROR_UNSUPPORTED);
}

static void unfit(void **state)
{
	const int32_t ones[] = {1, 1, 1}, turned[] = {1, 1, 0, 0};
	const double p[] = {0.2, 0.3, 0.7, 0.8};
	struct hl_table table = {.n = 3, .classes = 2, .label = ones, .probability = p, .names = names};
	struct hl_calibration calibration;
	struct hl_counting counting;
	struct hilum_error error;
	double loss[HL_MAP_KINDS];
	enum hl_map_kind best;
	size_t used[2];
	(void)state;
	assert_int_equal(hl_calibration_fit(&table, HL_MAP_TEMPERATURE, NULL, &calibration, &error), HILUM_ERROR_DATA);
	assert_non_null(strstr(error.message, "no case of class healthy"));
	table.n = 4;
	table.label = turned;
	assert_int_equal(hl_calibration_fit(&table, HL_MAP_PLATT, NULL, &calibration, &error), HILUM_ERROR_DATA);
	assert_non_null(strstr(error.message, "does not rank"));
	assert_int_equal(hl_counting_create(&table, false, &counting, NULL), HILUM_OK);
	assert_int_equal(hl_calibration_try(&table, &counting, 1, loss, &best, NULL), HILUM_OK);
	assert_true(isnan(loss[HL_MAP_PLATT]) && loss[HL_MAP_NONE] > 0.69);
	assert_int_equal(hl_conformal_fit(&table, &counting, 0, 1, &calibration, used, NULL), HILUM_ERROR_ARGUMENT);
	/* Too few to exclude anything. */
	calibration = (struct hl_calibration){0};
	assert_int_equal(hl_conformal_fit(&table, &counting, 0.3, 1, &calibration, used, NULL), HILUM_OK);
	assert_true(calibration.low_below == 0 && calibration.high_above == 1);
	assert_int_equal(hl_calibration_zone(&calibration, 0.99), HILUM_ZONE_UNCERTAIN);
	hl_counting_free(&counting);
}

/* ---- conformal ---- */

/* Mean share of new cases that are not called the other class, over many splits: 1 - alpha within 1 %. New cases are
 * one of each class of new groups, as the guarantee says. */
static void check_coverage(size_t each, double alpha)
{
	enum { SPLITS = 1000, FIT = 600, NEW = 300 };
	static struct simulated table;
	double held[2] = {0, 0}, of[2] = {0, 0};
	for (uint32_t split = 0; split < SPLITS; split++) {
		struct hl_calibration calibration = {0};
		struct hl_counting counting;
		size_t used[2];
		simulate(100 + split, FIT + NEW * each, 1.3, 0.4, each, &table);
		table.table.n = FIT;
		assert_int_equal(hl_counting_create(&table.table, false, &counting, NULL), HILUM_OK);
		assert_int_equal(hl_conformal_fit(&table.table, &counting, alpha, split, &calibration, used, NULL),
		                 HILUM_OK);
		bool seen[2] = {false, false};
		for (size_t i = FIT; i < FIT + NEW * each; i++) {
			int32_t y = table.label[i];
			if (i % each == 0)
				seen[0] = seen[1] = false;
			if (seen[y])
				continue;
			seen[y] = true;
			enum hilum_zone zone = hl_calibration_zone(&calibration, table.probability[i]);
			held[y] += zone != (y ? HILUM_ZONE_LOW : HILUM_ZONE_HIGH);
			of[y]++;
		}
		hl_counting_free(&counting);
	}
	for (int y = 0; y < 2; y++)
		if (fabs(held[y] / of[y] - (1 - alpha)) > 0.01)
			fail_msg("class %d, groups of %zu: %.4f held, %.2f wanted", y, each, held[y] / of[y],
			         1 - alpha);
}

static void conformal_coverage(void **state)
{
	(void)state;
	check_coverage(1, 0.1);
	check_coverage(4, 0.1);
}

static void zones(void **state)
{
	const struct hl_calibration usual = {.conformal = true, .low_below = 0.3, .high_above = 0.7};
	const struct hl_calibration crossed = {.conformal = true, .low_below = 0.7, .high_above = 0.3};
	const struct hl_calibration none = {0};
	(void)state;
	assert_int_equal(hl_calibration_zone(&usual, 0.29), HILUM_ZONE_LOW);
	assert_int_equal(hl_calibration_zone(&usual, 0.3), HILUM_ZONE_UNCERTAIN);
	assert_int_equal(hl_calibration_zone(&usual, 0.7), HILUM_ZONE_UNCERTAIN);
	assert_int_equal(hl_calibration_zone(&usual, 0.71), HILUM_ZONE_HIGH);
	assert_int_equal(hl_calibration_zone(&crossed, 0.2), HILUM_ZONE_LOW);
	assert_int_equal(hl_calibration_zone(&crossed, 0.5), HILUM_ZONE_UNCERTAIN);
	assert_int_equal(hl_calibration_zone(&crossed, 0.8), HILUM_ZONE_HIGH);
	assert_int_equal(hl_calibration_zone(&none, 0.8), HILUM_ZONE_NONE);
}

/* ---- text ---- */

static void parsing(void **state)
{
	static const char *const good[] = {
	    "{\"map\":{\"kind\":\"none\",\"slope\":1,\"intercept\":0}}",
	    "{\"map\":{\"kind\":\"platt\",\"slope\":0.5,\"intercept\":-1},\"conformal\":null,\"fitted\":{}}",
	    "{\"map\":{\"kind\":\"isotonic\",\"from\":[0.1,0.5],\"to\":[0.2,0.2]},"
	    "\"conformal\":{\"alpha\":0.1,\"low_below\":0.2,\"high_above\":0.9}}",
	};
	static const char *const bad[] = {
	    "",
	    "[]",
	    "{}",
	    "{\"map\":{\"kind\":\"cubic\",\"slope\":1,\"intercept\":0}}",
	    "{\"map\":{\"kind\":\"platt\",\"slope\":0,\"intercept\":0}}",
	    "{\"map\":{\"kind\":\"platt\",\"slope\":-1,\"intercept\":0}}",
	    "{\"map\":{\"kind\":\"platt\",\"slope\":1e9,\"intercept\":0}}",
	    "{\"map\":{\"kind\":\"platt\",\"slope\":1,\"intercept\":\"0\"}}",
	    "{\"map\":{\"kind\":\"temperature\",\"slope\":1,\"intercept\":0.5}}",
	    "{\"map\":{\"kind\":\"isotonic\",\"from\":[],\"to\":[]}}",
	    "{\"map\":{\"kind\":\"isotonic\",\"from\":[0.1,0.1],\"to\":[0.2,0.3]}}",
	    "{\"map\":{\"kind\":\"isotonic\",\"from\":[0.1,0.2],\"to\":[0.3,0.2]}}",
	    "{\"map\":{\"kind\":\"isotonic\",\"from\":[0.1,0.2],\"to\":[0.2]}}",
	    "{\"map\":{\"kind\":\"isotonic\",\"from\":[0.1,2],\"to\":[0.2,0.3]}}",
	    "{\"map\":{\"kind\":\"none\",\"slope\":1,\"intercept\":0},\"conformal\":{\"alpha\":0}}",
	    "{\"map\":{\"kind\":\"none\",\"slope\":1,\"intercept\":0},"
	    "\"conformal\":{\"alpha\":0.1,\"low_below\":-0.2,\"high_above\":0.9}}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct hl_calibration calibration;
		assert_int_equal(hl_calibration_parse(good[i], 2, &calibration, NULL), HILUM_OK);
		hl_calibration_free(&calibration);
		assert_int_equal(hl_calibration_parse(good[i], 3, &calibration, NULL),
		                 i ? HILUM_ERROR_FORMAT : HILUM_OK);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct hl_calibration calibration = {.knots = 77};
		struct hilum_error error = {0};
		if (hl_calibration_parse(bad[i], 2, &calibration, &error) != HILUM_ERROR_FORMAT)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(calibration.knots, 77);
		assert_non_null(strstr(error.message, "calibration"));
	}
	for (int64_t i = 0; i < 2; i++) {
		struct hl_calibration calibration;
		hl_memory_fail_after(i);
		assert_int_equal(hl_calibration_parse(good[2], 2, &calibration, NULL), HILUM_ERROR_MEMORY);
		hl_memory_fail_after(-1);
	}
}

static void without_memory(void **state)
{
	static struct simulated table;
	(void)state;
	simulate(5, 60, 1, 0, 3, &table);
	for (int64_t i = 0; i < 200; i++) {
		struct hl_calibration calibration = {0};
		struct hl_counting counting;
		struct hl_reliability reliability;
		double loss[HL_MAP_KINDS];
		enum hl_map_kind best;
		size_t used[2];
		hl_memory_fail_after(i);
		enum hilum_status status = hl_counting_create(&table.table, false, &counting, NULL);
		bool made = !status;
		if (!status)
			status = hl_reliability_compute(&table.table, &counting, &reliability, NULL);
		if (!status)
			status = hl_calibration_try(&table.table, &counting, 1, loss, &best, NULL);
		if (!status)
			status = hl_calibration_fit(&table.table, HL_MAP_ISOTONIC, NULL, &calibration, NULL);
		if (!status)
			status = hl_conformal_fit(&table.table, &counting, 0.1, 1, &calibration, used, NULL);
		hl_memory_fail_after(-1);
		hl_calibration_free(&calibration);
		if (made)
			hl_counting_free(&counting);
		if (!status) {
			assert_true(i > 30);
			return;
		}
		assert_int_equal(status, HILUM_ERROR_MEMORY);
	}
	fail();
}

/* ---- a model's file ---- */

enum { SIDE = 16, PICTURES = 60 };
static char folder[] = "/tmp/hilum-calibration-XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[4][512];
	static int next;
	next = (next + 1) % 4;
	snprintf(path[next], sizeof(path[next]), "%s/%s", folder, name);
	return path[next];
}

/* Noisy pictures, brighter in class ill, with groups of two; and a net that has learnt nothing. */
static int set_up(void **state)
{
	static char *classes[] = {"healthy", "ill"};
	struct hl_recipe recipe = {.channels = 1,
	                           .size = SIDE,
	                           .fit = HL_FIT_CROP,
	                           .window = {-600, 1500},
	                           .mean = {0.5, 0.5, 0.5},
	                           .deviation = {0.25, 0.25, 0.25}};
	struct hilum_model *model;
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	hl_directory_make(in_folder("data/healthy"), NULL);
	hl_directory_make(in_folder("data/ill"), NULL);
	FILE *groups = fopen(in_folder("groups.csv"), "w");
	fputs("path,group\n", groups);
	for (uint32_t i = 0; i < PICTURES; i++) {
		struct hl_random random = hl_random_stream(9, 0, i, HL_RANDOM_TEST);
		uint8_t pixels[SIDE * SIDE];
		char name[64];
		for (int k = 0; k < SIDE * SIDE; k++)
			pixels[k] = (uint8_t)(hl_random_below(&random, 100) + i % 7 * 15 + (i % 2 ? 60 : 0));
		snprintf(name, sizeof(name), "data/%s/%u.png", classes[i % 2], i);
		fprintf(groups, "%s,g%u\n", name + 5, i / 4 * 2 + i % 2);
		struct hl_volume volume = {.width = SIDE,
		                           .height = SIDE,
		                           .depth = 1,
		                           .channels = 1,
		                           .type = HL_VOXEL_U8,
		                           .maximum = 255,
		                           .voxels = pixels};
		if (hl_png_write(in_folder(name), &volume, NULL))
			return -1;
	}
	fclose(groups);
	enum hilum_status status = hl_model_create("globalpool\nflatten\ndense units=$outputs\n",
	                                           hl_recipe_shape(&recipe), classes, 2, 7, &model, NULL);
	if (status)
		return -1;
	/* Brighter is surer, far too much so. */
	model->slab[model->graph->param[0].offset] = 12;
	model->recipe = hl_recipe_json(&recipe);
	status = hl_model_save(model, in_folder("model.hilum"), NULL);
	hilum_model_close(model);
	return status ? -1 : 0;
}

static int clean_up(void **state)
{
	char command[600];
	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	return system(command);
}

static struct hilum_prediction predicted(const char *model_path)
{
	struct hilum_model *model;
	struct hilum_session *session;
	struct hilum_prediction prediction;
	assert_int_equal(hilum_model_open(model_path, &model, NULL), HILUM_OK);
	assert_int_equal(hilum_session_open(model, NULL, &session, NULL), HILUM_OK);
	assert_int_equal(hilum_predict_file(session, in_folder("data/ill/1.png"), &prediction, NULL), HILUM_OK);
	hilum_session_close(session);
	hilum_model_close(model);
	return prediction;
}

static double log_loss(const char *model_path)
{
	struct hilum_model *model;
	struct hilum_scores *scores;
	struct hilum_eval_options options;
	hilum_options_init(hilum_eval_option_table, &options);
	options.data = in_folder("data");
	options.scoring.resamples = 0;
	assert_int_equal(hilum_model_open(model_path, &model, NULL), HILUM_OK);
	assert_int_equal(hilum_eval(model, &options, &scores, NULL), HILUM_OK);
	double loss = hilum_scores_get(scores, "log_loss");
	hilum_scores_free(scores);
	hilum_model_close(model);
	return loss;
}

static void stored(void **state)
{
	char model[512], calibrated[512], data[512], groups[512];
	struct hilum_calibrate_options options;
	struct hilum_calibrate_result result;
	struct hilum_error error;
	(void)state;
	snprintf(model, sizeof(model), "%s", in_folder("model.hilum"));
	snprintf(calibrated, sizeof(calibrated), "%s", in_folder("calibrated.hilum"));
	hilum_options_init(hilum_calibrate_option_table, &options);
	snprintf(data, sizeof(data), "%s", in_folder("data"));
	snprintf(groups, sizeof(groups), "%s", in_folder("groups.csv"));
	options.data = data;
	options.groups = groups;
	options.out = calibrated;
	options.conformal = 0.2;
	if (hilum_calibrate(model, &options, &result, &error))
		fail_msg("%s", error.message);
	assert_string_equal(result.file, calibrated);
	assert_string_equal(result.part, "all");
	assert_int_equal(result.cases, PICTURES);
	assert_int_equal(result.groups, PICTURES / 2);
	assert_int_equal(result.positives, PICTURES / 4);
	assert_true(result.method > HILUM_CALIBRATION_NONE);
	assert_true(result.log_loss[result.method] < result.log_loss[HILUM_CALIBRATION_NONE]);
	NEAR(result.share_low + result.share_uncertain + result.share_high, 1);
	struct hilum_prediction before = predicted(model), after = predicted(calibrated);
	NEAR(before.probability, before.probability_raw);
	assert_int_equal(before.zone, HILUM_ZONE_NONE);
	NEAR(after.probability_raw, before.probability);
	assert_true(fabs(after.probability - before.probability) > 0.01);
	NEAR(after.probabilities[0] + after.probabilities[1], 1);
	assert_true(after.zone != HILUM_ZONE_NONE);
	assert_true(log_loss(calibrated) < log_loss(model) - 0.05);
	char *text;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	assert_int_equal(hilum_calibrate_print(&result, HILUM_OUTPUT_TEXT, file, NULL), HILUM_OK);
	fclose(file);
	assert_non_null(strstr(text, "Of positive cases at most 20 % are called low."));
	free(text);
	/* Again from the network's own probabilities, in place; then taken away. */
	options.out = NULL;
	options.method = HILUM_CALIBRATION_PLATT;
	options.conformal = 0;
	assert_int_equal(hilum_calibrate(calibrated, &options, &result, NULL), HILUM_OK);
	assert_int_equal(result.method, HILUM_CALIBRATION_PLATT);
	after = predicted(calibrated);
	NEAR(after.probability_raw, before.probability);
	assert_int_equal(after.zone, HILUM_ZONE_NONE);
	options.method = HILUM_CALIBRATION_NONE;
	assert_int_equal(hilum_calibrate(calibrated, &options, &result, NULL), HILUM_OK);
	struct hl_buffer one, two;
	assert_int_equal(hl_file_read(model, 1 << 20, &one, NULL), HILUM_OK);
	assert_int_equal(hl_file_read(calibrated, 1 << 20, &two, NULL), HILUM_OK);
	assert_int_equal(one.length, two.length);
	assert_memory_equal(one.data, two.data, one.length);
	hl_buffer_free(&one);
	hl_buffer_free(&two);
}

static void refused(void **state)
{
	struct hilum_calibrate_options options = {.data = NULL};
	struct hilum_calibrate_result result = {.points = 77};
	struct hilum_error error;
	(void)state;
	hilum_options_init(hilum_calibrate_option_table, &options);
	assert_int_equal(hilum_calibrate(in_folder("model.hilum"), &options, &result, NULL), HILUM_ERROR_ARGUMENT);
	char data[512];
	snprintf(data, sizeof(data), "%s", in_folder("data"));
	options.data = data;
	assert_int_equal(hilum_calibrate(in_folder("absent"), &options, &result, NULL), HILUM_ERROR_IO);
	options.split = "val";
	assert_int_equal(hilum_calibrate(in_folder("model.hilum"), &options, &result, &error), HILUM_ERROR_DATA);
	assert_non_null(strstr(error.message, "no split"));
	options.split = NULL;
	options.conformal = 0.7;
	assert_int_equal(hilum_calibrate(in_folder("model.hilum"), &options, &result, NULL), HILUM_ERROR_ARGUMENT);
	options.conformal = 0;
	options.method = 9;
	assert_int_equal(hilum_calibrate(in_folder("model.hilum"), &options, &result, NULL), HILUM_ERROR_ARGUMENT);
	assert_int_equal(result.points, 77);
	/* A model file whose calibration is damaged does not open. */
	struct hilum_model *model, *untouched = NULL;
	assert_int_equal(hl_model_load(in_folder("model.hilum"), &model, NULL), HILUM_OK);
	model->calibration = hl_strdup("{\"map\":{\"kind\":\"platt\",\"slope\":-2,\"intercept\":0}}");
	assert_int_equal(hl_model_save(model, in_folder("damaged.hilum"), NULL), HILUM_OK);
	hilum_model_close(model);
	assert_int_equal(hilum_model_open(in_folder("damaged.hilum"), &untouched, &error), HILUM_ERROR_FORMAT);
	assert_null(untouched);
	assert_non_null(strstr(error.message, "slope"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(as_r),         cmocka_unit_test(bins),    cmocka_unit_test(found_again),
	    cmocka_unit_test(more_classes), cmocka_unit_test(unfit),   cmocka_unit_test(conformal_coverage),
	    cmocka_unit_test(zones),        cmocka_unit_test(parsing), cmocka_unit_test(without_memory),
	    cmocka_unit_test(stored),       cmocka_unit_test(refused),
	};
	return cmocka_run_group_tests(tests, set_up, clean_up);
}
