#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/random.h"
#include "eval/compare.h"
#include "eval/distribution.h"

/* assert_float_equal compares as float. */
static void is_near(double a, double b, double most, int line)
{
	if (!(fabs(a - b) <= most))
		fail_msg("line %d: %.17g is not %.17g", line, a, b);
}

#define WITHIN(a, b, most) is_near(a, b, most, __LINE__)
#define NEAR(a, b) WITHIN(a, b, 1e-12)

static char path[] = "/tmp/hilum-compare-XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(path);
	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return remove(path);
}

static struct hilum_scores *scored(const char *text)
{
	const struct hilum_score_options plain = {.by = HILUM_BY_CASE};
	struct hilum_scores *scores = NULL;
	struct hilum_error error;
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	if (hilum_score_file(path, &plain, &scores, &error))
		fail_msg("%s", error.message);
	return scores;
}

static const struct hilum_score_options usual = {.resamples = 400, .seed = 1};

static enum hilum_status compare(const char *a, const char *b, const struct hilum_score_options *options,
                                 struct hilum_comparison **out, struct hilum_error *error)
{
	struct hilum_scores *first = scored(a), *second = scored(b);
	enum hilum_status status = hilum_compare(first, second, options, out, error);
	hilum_scores_free(first);
	hilum_scores_free(second);
	return status;
}

static char *printed(const struct hilum_comparison *comparison, enum hilum_output output)
{
	char *text;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	assert_int_equal(hilum_comparison_print(comparison, output, file, NULL), HILUM_OK);
	fclose(file);
	return text;
}

enum { GROUPS = 40, EACH = 4, BYTES = GROUPS * EACH * 64 };

/* Tables of cases in groups whose probabilities follow the label with a given noise; rows of b run the other way. */
static void make_tables(double noise_a, double noise_b, bool grouped, char *a, char *b)
{
	static char rows[GROUPS * EACH][64];
	size_t used = (size_t)sprintf(a, grouped ? "path,label,probability,group\n" : "path,label,probability\n");
	for (uint32_t i = 0; i < GROUPS * EACH; i++) {
		struct hl_random random = hl_random_stream(3, 0, i, HL_RANDOM_TEST);
		struct hl_random of_group = hl_random_stream(3, 1, i / EACH, HL_RANDOM_TEST);
		int label = hl_random_uniform(&random) < 0.4;
		double shared = hl_random_normal(&random) + hl_random_normal(&of_group),
		       own = hl_random_normal(&random);
		double logit[2] = {2 * label - 1 + noise_a * shared, 2 * label - 1 + noise_b * (shared + own)};
		for (int k = 0; k < 2; k++) {
			double p = 1 / (1 + exp(-logit[k]));
			char *row = k ? rows[i] : a + used;
			int length = grouped ? snprintf(row, 64, "s%u.png,%d,%.6f,g%u\n", i, label, p, i / EACH)
			                     : snprintf(row, 64, "s%u.png,%d,%.6f\n", i, label, p);
			used += k ? 0 : (size_t)length;
		}
	}
	used = (size_t)sprintf(b, grouped ? "path,label,probability,group\n" : "path,label,probability\n");
	for (int i = GROUPS * EACH - 1; i >= 0; i--)
		used += (size_t)sprintf(b + used, "%s", rows[i]);
}

static void better(void **state)
{
	static char a[BYTES], b[BYTES];
	struct hilum_comparison *comparison, *turned;
	(void)state;
	make_tables(0.4, 1.5, true, a, b);
	assert_int_equal(compare(a, b, &usual, &comparison, NULL), HILUM_OK);
	assert_int_equal(compare(b, a, &usual, &turned, NULL), HILUM_OK);
	assert_int_equal(comparison->n, GROUPS * EACH);
	assert_int_equal(comparison->groups, GROUPS);
	assert_true(isnan(comparison->delong.auc[0]));
	assert_true(hl_comparison_is_significant(comparison, HL_AUC));
	assert_true(hl_comparison_is_significant(comparison, HL_LOG_LOSS));
	assert_int_equal(hl_comparison_better(comparison, HL_AUC), 0);
	assert_int_equal(hl_comparison_better(comparison, HL_LOG_LOSS), 0);
	assert_int_equal(hl_comparison_better(turned, HL_LOG_LOSS), 1);
	/* The same cases and draws: only the sign differs. */
	WITHIN(turned->interval[HL_AUC].low, -comparison->interval[HL_AUC].high, 1e-12);
	WITHIN(turned->interval[HL_LOG_LOSS].low, -comparison->interval[HL_LOG_LOSS].high, 1e-12);
	char *text = printed(comparison, HILUM_OUTPUT_TEXT);
	assert_non_null(strstr(text, "In ROC-AUC A is better by 0."));
	assert_non_null(strstr(text, "In log loss A is better by "));
	assert_null(strstr(text, "taken as independent"));
	free(text);
	text = printed(comparison, HILUM_OUTPUT_JSON);
	json_t *root = json_loads(text, 0, NULL);
	json_t *auc = json_object_get(json_object_get(root, "figures"), "auc");
	assert_string_equal(json_string_value(json_object_get(auc, "better")), "a");
	assert_true(json_is_true(json_object_get(auc, "significant")));
	WITHIN(json_real_value(json_object_get(auc, "difference")),
	       comparison->figure[0][HL_AUC] - comparison->figure[1][HL_AUC], 0);
	assert_int_equal(json_array_size(json_object_get(auc, "interval")), 2);
	assert_true(json_is_null(json_object_get(root, "delong")));
	json_decref(root);
	free(text);
	hilum_comparison_free(turned);
	hilum_comparison_free(comparison);
}

static void not_significant(void **state)
{
	static char a[BYTES], b[BYTES];
	struct hilum_comparison *comparison;
	double variance;
	(void)state;
	make_tables(0.7, 0.48, false, a, b);
	assert_int_equal(compare(a, b, NULL, &comparison, NULL), HILUM_OK);
	assert_int_equal(comparison->groups, 0);
	assert_int_equal(comparison->resamples, 2000);
	assert_false(hl_comparison_is_significant(comparison, HL_AUC));
	assert_true(hl_delong_test(&comparison->delong, &variance) > 0.05);
	/* Both say much the same of the spread. */
	double half = (comparison->interval[HL_AUC].high - comparison->interval[HL_AUC].low) / 2;
	WITHIN(half / (HL_NORMAL_95 * sqrt(variance)), 1, 0.15);
	char *text = printed(comparison, HILUM_OUTPUT_TEXT);
	assert_non_null(strstr(text, "In ROC-AUC the difference is not significant: "));
	assert_non_null(strstr(text, "ROC-AUC by DeLong: p = 0."));
	assert_non_null(strstr(text, "No groups were given"));
	free(text);
	hilum_comparison_free(comparison);
	assert_int_equal(compare(a, a, &usual, &comparison, NULL), HILUM_OK);
	text = printed(comparison, HILUM_OUTPUT_TEXT);
	assert_non_null(strstr(text, "In ROC-AUC there is no difference."));
	free(text);
	hilum_comparison_free(comparison);
}

static void matched(void **state)
{
	static const char a[] =
	    "id,label,probability,group\nx,1,0.9,p\ny,0,0.2,p\nz,1,0.6,q\nu,0,0.3,q\nonly,0,0.1,r\n";
	static const char b[] = "probability,path,label\n0.4,u,0\n0.8,x,1\n0.5,z,1\n0.7,more,0\n0.1,y,0\n0.2,less,0\n";
	struct hilum_score_options options = usual;
	struct hilum_comparison *comparison;
	(void)state;
	assert_int_equal(compare(a, b, &usual, &comparison, NULL), HILUM_OK);
	assert_int_equal(comparison->n, 4);
	assert_int_equal(comparison->only[0], 1);
	assert_int_equal(comparison->only[1], 2);
	assert_int_equal(comparison->groups, 2);
	WITHIN(comparison->figure[1][HL_BRIER], (0.04 + 0.01 + 0.25 + 0.16) / 4, 1e-12);
	char *text = printed(comparison, HILUM_OUTPUT_TEXT);
	assert_non_null(strstr(text, "1 of A, 2 of B"));
	free(text);
	hilum_comparison_free(comparison);
	/* Groups of B, where A has none. */
	assert_int_equal(compare(b, a, &usual, &comparison, NULL), HILUM_OK);
	assert_int_equal(comparison->groups, 2);
	hilum_comparison_free(comparison);
	options.by = HILUM_BY_GROUP;
	options.aggregate = HILUM_AGGREGATE_MAX;
	assert_int_equal(compare(a, b, &options, &comparison, NULL), HILUM_OK);
	assert_int_equal(comparison->n, 2);
	assert_int_equal(comparison->cases, 4);
	WITHIN(comparison->figure[0][HL_LOG_LOSS], -(log(0.9) + log(0.6)) / 2, 1e-12);
	hilum_comparison_free(comparison);
}

static void refused(void **state)
{
	static const char good[] = "path,label,probability\na,1,0.5\nb,0,0.5\n";
	static const struct {
		const char *a, *b, *says;
	} cases[] = {
	    {good, "label,probability\n1,0.5\n", "table B: no column path"},
	    {"label,probability\n1,0.5\n", good, "table A: no column path"},
	    {good, "path,label,probability\na,1,0.5\na,1,0.5\n", "table B: cases 1 and 2 have the same path"},
	    {good, "path,label,probability\nb,0,0.5\na,0,0.5\n", "case 1 of A and case 2 of B"},
	    {good, "path,label,probability\nc,1,0.5\n", "no case in common"},
	    {good, "path,label,p_x,p_y,p_z\na,x,1,0,0\n", "same classes"},
	    {"path,label,p_x,p_z,p_y\na,x,1,0,0\n", "path,label,p_x,p_y,p_z\na,x,1,0,0\n", "same classes"},
	};
	struct hilum_score_options options = usual;
	struct hilum_comparison *comparison = NULL;
	struct hilum_error error;
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(compare(cases[i].a, cases[i].b, &usual, &comparison, &error), HILUM_ERROR_DATA);
		assert_null(comparison);
		if (!strstr(error.message, cases[i].says))
			fail_msg("%zu: %s", i, error.message);
	}
	options.by = HILUM_BY_GROUP;
	assert_int_equal(compare(good, good, &options, &comparison, &error), HILUM_ERROR_DATA);
	options = usual;
	options.resamples = 0;
	assert_int_equal(compare(good, good, &options, &comparison, &error), HILUM_ERROR_ARGUMENT);
	options = usual;
	options.prevalence = 2;
	assert_int_equal(compare(good, good, &options, &comparison, &error), HILUM_ERROR_ARGUMENT);
}

static void without_memory(void **state)
{
	struct hilum_scores *a = scored("path,label,probability,group\na,1,0.5,x\nb,0,0.25,y\n");
	struct hilum_score_options options = {.by = HILUM_BY_GROUP, .resamples = 100};
	(void)state;
	for (int64_t i = 0; i < 200; i++) {
		struct hilum_comparison *comparison = NULL;
		hl_memory_fail_after(i);
		enum hilum_status status = hilum_compare(a, a, &options, &comparison, NULL);
		hl_memory_fail_after(-1);
		if (!status) {
			assert_true(i > 20);
			hilum_comparison_free(comparison);
			hilum_scores_free(a);
			return;
		}
		assert_int_equal(status, HILUM_ERROR_MEMORY);
		assert_null(comparison);
	}
	fail();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(better),  cmocka_unit_test(not_significant), cmocka_unit_test(matched),
	    cmocka_unit_test(refused), cmocka_unit_test(without_memory),
	};
	hilum_comparison_free(NULL);
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
