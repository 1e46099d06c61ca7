#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "eval/metrics.h"

#define NEAR(a, b) assert_float_equal(a, b, 1e-12)

static const char *const names[] = {"a", "b", "c"};

static struct hl_metrics compute(int32_t classes, size_t n, const int32_t *label, const double *probability)
{
	struct hl_metrics metrics;
	struct hl_table table = {
	    .n = n, .classes = classes, .label = label, .probability = probability, .names = names};
	struct hilum_error error = {0};
	if (hl_metrics_compute(&table, &metrics, &error))
		fail_msg("%s", error.message);
	return metrics;
}

/* Six cases worked out by hand. */
static void binary(void **state)
{
	const int32_t label[] = {1, 1, 1, 0, 0, 0};
	const double p[] = {0.9, 0.5, 0.25, 0.5, 0.25, 0.1};
	struct hl_metrics m = compute(2, 6, label, p);
	(void)state;
	assert_int_equal(m.confusion[1][1], 2);
	assert_int_equal(m.confusion[1][0], 1);
	assert_int_equal(m.confusion[0][1], 1);
	assert_int_equal(m.confusion[0][0], 2);
	NEAR(m.log_loss, -(log(0.9) + log(0.5) + log(0.25) + log(0.5) + log(0.75) + log(0.9)) / 6);
	NEAR(m.accuracy, 4.0 / 6);
	NEAR(m.sensitivity, 2.0 / 3);
	NEAR(m.specificity, 2.0 / 3);
	NEAR(m.precision, 2.0 / 3);
	NEAR(m.f1, 2.0 / 3);
	NEAR(m.mcc, 1.0 / 3);
	/* Of nine pairs: 3 won by 0.9; 0.5 wins 2, ties 1; 0.25 wins 1, ties 1. */
	NEAR(m.auc, 7.0 / 9);
	/* Thresholds 0.9: 1 of 1; 0.5: 2 of 3; 0.25: 3 of 5. */
	NEAR(m.average_precision, (1.0 + 2.0 / 3 + 3.0 / 5) / 3);
	NEAR(m.brier, (0.01 + 0.25 + 0.5625 + 0.25 + 0.0625 + 0.01) / 6);
	NEAR(m.baseline_log_loss, log(2));
	NEAR(m.baseline_accuracy, 0.5);
	NEAR(m.baseline_auc, 0.5);
	NEAR(m.baseline_average_precision, 0.5);
	NEAR(m.baseline_brier, 0.25);
	NEAR(m.baseline_mcc, 0);
	NEAR(m.baseline_sensitivity, 0); /* the first class on ties */
	NEAR(m.baseline_specificity, 1);
	NEAR(m.per_class[0].auc, m.auc);
	NEAR(hl_auc(label, p, 6), m.auc);
}

static void certain_and_wrong(void **state)
{
	const int32_t label[] = {1, 0};
	const double wrong[] = {0, 1}, right[] = {1, 0};
	(void)state;
	struct hl_metrics m = compute(2, 2, label, wrong);
	NEAR(m.log_loss, -log(DBL_EPSILON));
	NEAR(m.brier, 1);
	NEAR(m.mcc, -1);
	NEAR(m.auc, 0);
	m = compute(2, 2, label, right);
	assert_float_equal(m.log_loss, DBL_EPSILON, 1e-18);
	NEAR(m.brier, 0);
	NEAR(m.mcc, 1);
	NEAR(m.auc, 1);
}

static void one_class(void **state)
{
	const int32_t zero[] = {0}, one[] = {1, 1};
	const double p[] = {0.25, 0.75};
	(void)state;
	struct hl_metrics m = compute(2, 1, zero, p);
	assert_true(isnan(m.auc));
	assert_true(isnan(m.baseline_auc));
	NEAR(m.average_precision, 0);
	NEAR(m.sensitivity, 0);
	NEAR(m.specificity, 1);
	NEAR(m.balanced_accuracy, 1);
	NEAR(m.mcc, 0);
	assert_true(m.baseline_log_loss < 1e-15);
	m = compute(2, 2, one, p);
	assert_true(isnan(m.auc));
	NEAR(m.average_precision, 1);
	NEAR(m.sensitivity, 0.5);
	NEAR(m.precision, 1);
	NEAR(m.baseline_accuracy, 1);
	assert_true(isnan(hl_auc(one, p, 2)));
	assert_true(isnan(hl_auc(one, p, 0)));
}

static void three_classes(void **state)
{
	const int32_t label[] = {0, 1, 2, 1};
	const double p[] = {0.5, 0.25, 0.25, 0.4, 0.4, 0.2, 0, 0, 1, 0.25, 0.5, 0.25};
	struct hl_metrics m = compute(3, 4, label, p);
	(void)state;
	assert_int_equal(m.confusion[1][0], 1); /* the first on ties */
	assert_int_equal(m.confusion[1][1], 1);
	NEAR(m.log_loss, -(log(0.5) + log(0.4) + 0 + log(0.5)) / 4);
	NEAR(m.accuracy, 0.75);
	NEAR(m.balanced_accuracy, (1 + 0.5 + 1) / 3);
	NEAR(m.sensitivity, (1 + 0.5 + 1) / 3);
	NEAR(m.specificity, (2.0 / 3 + 1 + 1) / 3);
	NEAR(m.precision, (0.5 + 1 + 1) / 3);
	NEAR(m.f1, (2.0 / 3 + 2.0 / 3 + 1) / 3);
	NEAR(m.mcc, (3 * 4 - (1 * 2 + 2 * 1 + 1 * 1)) / sqrt((16.0 - 6) * (16.0 - 6)));
	NEAR(m.auc, 1);
	NEAR(m.brier, (0.25 + 2 * 0.0625 + 0.16 + 0.36 + 0.04 + 0 + 0.25 + 2 * 0.0625) / 4);
	NEAR(m.baseline_log_loss, 0.5 * log(4) + 0.5 * log(2));
	NEAR(m.baseline_brier, 1 - (0.25 * 0.25 * 2 + 0.25));
	NEAR(m.baseline_average_precision, 1.0 / 3);
	assert_int_equal(m.per_class[1].count, 2);
	/* A class that never occurs: undefined area, other figures count it as 0. */
	m = compute(3, 2, label, p);
	assert_true(isnan(m.auc));
	assert_true(isnan(m.per_class[2].auc));
	NEAR(m.balanced_accuracy, 0.5);
	NEAR(m.sensitivity, 1.0 / 3);
}

/* Twenty negatives, ten positives: thresholds whose specificity or sensitivity is exactly the one asked for count. */
static void operating_points(void **state)
{
	int32_t label[30];
	double p[30];
	(void)state;
	for (int i = 0; i < 30; i++)
		label[i] = i >= 20;
	/* Negatives at 0.01 .. 0.18 and two high ones; positives at 0.05, 0.1, 0.5 (five), 0.7 (two), 0.95. */
	for (int i = 0; i < 18; i++)
		p[i] = 0.01 * (i + 1);
	p[18] = 0.6;
	p[19] = 0.9;
	for (int i = 0; i < 5; i++)
		p[20 + i] = 0.5;
	p[25] = p[26] = 0.7;
	p[27] = 0.95;
	p[28] = 0.1;
	p[29] = 0.05;
	struct hl_metrics m = compute(2, 30, label, p);
	NEAR(m.sensitivity_at_specificity_90, 0.8); /* at 0.5 two of 20 negatives are above: 0.90 to the last bit */
	NEAR(m.sensitivity_at_specificity_95, 0.3); /* at 0.7 one is */
	NEAR(m.specificity_at_sensitivity_90, 9.0 / 20); /* at 0.1 nine negatives are below */
	NEAR(m.specificity_at_sensitivity_95, 4.0 / 20); /* at 0.05, all positives */
	NEAR(m.baseline_sensitivity_at_specificity_90, 0);
	assert_true(isnan(m.ppv) && isnan(m.npv));
	struct hl_table table = {
	    .n = 30, .classes = 2, .label = label, .probability = p, .names = names, .prevalence = 0.01};
	assert_int_equal(hl_metrics_compute(&table, &m, NULL), HILUM_OK);
	NEAR(m.sensitivity, 0.8);
	NEAR(m.specificity, 0.9);
	NEAR(m.ppv, 0.008 / (0.008 + 0.099));
	NEAR(m.npv, 0.891 / (0.891 + 0.002));
	NEAR(m.baseline_npv, 0.99);
	assert_true(isnan(m.baseline_ppv));
	table.n = 20;
	assert_int_equal(hl_metrics_compute(&table, &m, NULL), HILUM_OK);
	assert_true(isnan(m.ppv) && isnan(m.sensitivity_at_specificity_90));
}

static void refused(void **state)
{
	const int32_t label[] = {0, 1}, high[] = {0, 3}, low[] = {-1, 0};
	const double good[] = {0.5, 0.5}, nan_[] = {0.5, (double)NAN}, over[] = {0.5, 1.0000001}, under[] = {-1e-9, 1},
	             rows[] = {0.5, 0.25, 0.25, 0.5, 0.25, 0.3};
	const struct {
		int32_t classes;
		size_t n;
		const int32_t *label;
		const double *probability;
		const char *says;
	} cases[] = {
	    {2, 0, label, good, "no case"},       {1, 2, label, good, "classes"}, {65, 2, label, good, "classes"},
	    {2, 2, high, good, "label 3"},        {2, 2, low, good, "label -1"},  {2, 2, label, nan_, "case 2"},
	    {2, 2, label, over, "not in [0, 1]"}, {2, 2, label, under, "case 1"}, {3, 2, label, rows, "sum to 1.05"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct hl_table table = {.n = cases[i].n,
		                         .classes = cases[i].classes,
		                         .label = cases[i].label,
		                         .probability = cases[i].probability,
		                         .names = names};
		struct hl_metrics metrics = {.n = 77};
		struct hilum_error error = {0};
		assert_int_equal(hl_metrics_compute(&table, &metrics, &error), HILUM_ERROR_DATA);
		assert_int_equal(error.code, HILUM_ERROR_DATA);
		assert_non_null(strstr(error.message, cases[i].says));
		assert_int_equal(metrics.n, 77);
		assert_int_equal(hl_metrics_compute(&table, &metrics, NULL), HILUM_ERROR_DATA);
	}
}

static void without_memory(void **state)
{
	const int32_t label[] = {0, 1};
	const double p[] = {0.5, 0.5};
	struct hl_table table = {.n = 2, .classes = 2, .label = label, .probability = p, .names = names};
	struct hl_metrics metrics;
	(void)state;
	hl_memory_fail_after(0);
	assert_int_equal(hl_metrics_compute(&table, &metrics, NULL), HILUM_ERROR_MEMORY);
	hl_memory_fail_after(-1);
}

/* The area of a large table against the definition: the share of pairs in order. */
static void many_ties(void **state)
{
	enum { N = 400 };
	int32_t label[N];
	double p[N];
	uint32_t x = 1;
	double wins = 0, pairs = 0;
	(void)state;
	for (int i = 0; i < N; i++) {
		x = x * 1664525U + 1013904223U;
		label[i] = (int32_t)(x >> 31);
		p[i] = (double)((x >> 20) & 15) / 15;
	}
	for (int i = 0; i < N; i++)
		for (int k = 0; k < N; k++)
			if (label[i] == 1 && label[k] == 0) {
				wins += p[i] > p[k] ? 1 : p[i] == p[k] ? 0.5 : 0;
				pairs++;
			}
	NEAR(compute(2, N, label, p).auc, wins / pairs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(binary),        cmocka_unit_test(certain_and_wrong), cmocka_unit_test(one_class),
	    cmocka_unit_test(three_classes), cmocka_unit_test(refused),           cmocka_unit_test(without_memory),
	    cmocka_unit_test(many_ties),     cmocka_unit_test(operating_points),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
