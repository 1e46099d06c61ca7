#include "eval/figures.h"

#include "base/memory.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define FIGURE(member, title_, ...)                                                                                    \
	{                                                                                                              \
		.name = #member, .title = title_, .offset = offsetof(struct hl_metrics, member),                       \
		.baseline = offsetof(struct hl_metrics, baseline_##member), __VA_ARGS__                                \
	}

const struct hl_figure hl_figures[HL_FIGURES + 1] = {
    [HL_LOG_LOSS] = FIGURE(log_loss, "log loss", .less_is_better = true),
    [HL_ACCURACY] = FIGURE(accuracy, "accuracy"),
    [HL_BALANCED_ACCURACY] = FIGURE(balanced_accuracy, "balanced accuracy"),
    [HL_SENSITIVITY] = FIGURE(sensitivity, "sensitivity"),
    [HL_SPECIFICITY] = FIGURE(specificity, "specificity"),
    [HL_PRECISION] = FIGURE(precision, "precision"),
    [HL_F1] = FIGURE(f1, "F1"),
    [HL_MCC] = FIGURE(mcc, "MCC"),
    [HL_AUC] = FIGURE(auc, "ROC-AUC"),
    [HL_AVERAGE_PRECISION] = FIGURE(average_precision, "PR-AUC (average precision)"),
    [HL_BRIER] = FIGURE(brier, "Brier", .less_is_better = true),
    [HL_SENSITIVITY_AT_SPECIFICITY_90] =
        FIGURE(sensitivity_at_specificity_90, "sensitivity at specificity 0.90", .sought = true),
    [HL_SENSITIVITY_AT_SPECIFICITY_95] =
        FIGURE(sensitivity_at_specificity_95, "sensitivity at specificity 0.95", .sought = true),
    [HL_SPECIFICITY_AT_SENSITIVITY_90] =
        FIGURE(specificity_at_sensitivity_90, "specificity at sensitivity 0.90", .sought = true),
    [HL_SPECIFICITY_AT_SENSITIVITY_95] =
        FIGURE(specificity_at_sensitivity_95, "specificity at sensitivity 0.95", .sought = true),
    [HL_PPV] = FIGURE(ppv, "PPV", .of_prevalence = true),
    [HL_NPV] = FIGURE(npv, "NPV", .of_prevalence = true),
};

double hl_figure_get(const struct hl_metrics *metrics, size_t offset)
{
	double value;
	memcpy(&value, (const char *)metrics + offset, sizeof(value));
	return value;
}

static void set(struct hl_metrics *metrics, size_t offset, double value)
{
	memcpy((char *)metrics + offset, &value, sizeof(value));
}

/* ---- cases ---- */

double hl_table_probability(const struct hl_table *table, size_t i, int32_t class_index)
{
	if (table->classes == 2)
		return class_index == 1 ? table->probability[i] : 1 - table->probability[i];
	return table->probability[i * (size_t)table->classes + (size_t)class_index];
}

int32_t hl_table_predicted(const struct hl_table *table, size_t i)
{
	if (table->classes == 2)
		return table->probability[i] >= 0.5;
	const double *row = table->probability + i * (size_t)table->classes;
	int32_t best = 0;
	for (int32_t c = 1; c < table->classes; c++)
		if (row[c] > row[best])
			best = c;
	return best;
}

static double clip(double p)
{
	return fmin(fmax(p, DBL_EPSILON), 1 - DBL_EPSILON);
}

double hl_table_log(const struct hl_table *table, size_t i)
{
	int32_t label = table->label[i];
	if (table->classes == 2) {
		/* Clipped before it is turned round: 1 - p would lose p below 2^-53. */
		double p = clip(table->probability[i]);
		return label == 1 ? log(p) : log1p(-p);
	}
	long double sum = 0;
	for (int32_t c = 0; c < table->classes; c++)
		sum += clip(hl_table_probability(table, i, c));
	return log((double)(clip(hl_table_probability(table, i, label)) / sum));
}

double hl_auc(const int32_t *label, const double *score, size_t n)
{
	double auc = (double)NAN, average_precision;
	for (size_t i = 0; i < n; i++)
		if (isnan(score[i]))
			return (double)NAN;
	return n && hl_areas(label, score, n, &auc, &average_precision) ? auc : (double)NAN;
}

/* ---- the baseline, and all together ---- */

/* Every case gets the same row, so that each figure has a closed form in the class counts. */
static void baseline(int32_t classes, double prevalence, const struct hl_class_metrics *model, size_t n,
                     double figure[HL_FIGURES])
{
	int64_t confusion[HL_METRICS_CLASSES_MAX][HL_METRICS_CLASSES_MAX] = {{0}};
	struct hl_class_metrics unused[HL_METRICS_CLASSES_MAX];
	int32_t majority = 0, present = 0;
	for (int32_t c = 1; c < classes; c++)
		if (model[c].count > model[majority].count)
			majority = c;
	long double sum = 0, loss = 0, squares = 0, precision = 0;
	for (int32_t c = 0; c < classes; c++)
		sum += clip((double)model[c].count / (double)n);
	for (int32_t c = 0; c < classes; c++) {
		double share = (double)model[c].count / (double)n;
		confusion[c][majority] = model[c].count;
		present += model[c].count > 0;
		loss -= share ? share * logl(clip(share) / sum) : 0;
		squares += (long double)share * (1 - share);
		precision += share;
	}
	hl_confusion_figures(classes, prevalence, confusion, figure, unused);
	bool binary = classes == 2;
	figure[HL_LOG_LOSS] = (double)loss;
	figure[HL_BRIER] = (double)(binary ? squares / 2 : squares);
	figure[HL_AUC] = present == classes ? 0.5 : (double)NAN;
	/* One threshold only: everybody or nobody is called positive. */
	for (int i = HL_SENSITIVITY_AT_SPECIFICITY_90; i <= HL_SPECIFICITY_AT_SENSITIVITY_95; i++)
		figure[i] = binary && present == 2 ? 0 : (double)NAN;
	figure[HL_AVERAGE_PRECISION] = binary ? (double)model[1].count / (double)n : (double)(precision / classes);
}

enum hilum_status hl_table_check(const struct hl_table *table, struct hilum_error *error)
{
	if (table->n == 0)
		return hl_fail(error, HILUM_ERROR_DATA, "there is no case to score");
	if (table->classes < 2 || table->classes > HL_METRICS_CLASSES_MAX)
		return hl_fail(error, HILUM_ERROR_DATA, "%d classes; from 2 to %d can be scored", table->classes,
		               HL_METRICS_CLASSES_MAX);
	size_t width = table->classes == 2 ? 1 : (size_t)table->classes;
	for (size_t i = 0; i < table->n; i++) {
		double sum = 0;
		if (table->label[i] < 0 || table->label[i] >= table->classes)
			return hl_fail(error, HILUM_ERROR_DATA, "case %zu: label %d is not one of %d classes", i + 1,
			               table->label[i], table->classes);
		for (size_t c = 0; c < width; c++) {
			double p = table->probability[i * width + c];
			if (!(p >= 0 && p <= 1))
				return hl_fail(error, HILUM_ERROR_DATA, "case %zu: probability %g is not in [0, 1]",
				               i + 1, p);
			sum += p;
		}
		if (width > 1 && fabs(sum - 1) > 1e-3)
			return hl_fail(error, HILUM_ERROR_DATA, "case %zu: its probabilities sum to %g, not 1", i + 1,
			               sum);
	}
	return HILUM_OK;
}

/* Class 0 of two, in the opposite order of the same numbers: 1 - p could tie two. */
static bool other_areas(const struct hl_table *table, struct hl_class_metrics *out)
{
	int32_t *label = hl_alloc(table->n, sizeof(*label));
	double *score = hl_alloc(table->n, sizeof(*score));
	for (size_t i = 0; i < table->n && label && score; i++) {
		label[i] = table->label[i] == 0;
		score[i] = -table->probability[i];
	}
	bool done = label && score && hl_areas(label, score, table->n, &out->auc, &out->average_precision);
	hl_free(label);
	hl_free(score);
	return done;
}

enum hilum_status hl_metrics_compute(const struct hl_table *table, struct hl_metrics *out, struct hilum_error *error)
{
	struct hl_counting counting;
	enum hilum_status status = hl_table_check(table, error);
	if (!status)
		status = hl_counting_create(table, true, &counting, error);
	if (status)
		return status;
	struct hl_metrics metrics = {.n = table->n, .classes = table->classes};
	double figure[HL_FIGURES], base[HL_FIGURES];
	hl_counting_figures(&counting, NULL, figure, metrics.per_class, metrics.confusion);
	hl_counting_free(&counting);
	if (table->classes == 2 && !other_areas(table, &metrics.per_class[0]))
		return hl_fail_memory(error, table->n * sizeof(double), "ranking");
	baseline(table->classes, table->prevalence, metrics.per_class, table->n, base);
	for (int i = 0; i < HL_FIGURES; i++) {
		set(&metrics, hl_figures[i].offset, figure[i]);
		set(&metrics, hl_figures[i].baseline, base[i]);
	}
	*out = metrics;
	return HILUM_OK;
}
