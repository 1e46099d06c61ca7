#include "eval/metrics.h"

#include "base/memory.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	LOG_LOSS,
	ACCURACY,
	BALANCED_ACCURACY,
	SENSITIVITY,
	SPECIFICITY,
	PRECISION,
	F1,
	MCC,
	AUC,
	AVERAGE_PRECISION,
	BRIER,
	FIGURES
};

#define FIGURE(member, title, less)                                                                                    \
	{                                                                                                              \
#member, title, offsetof(struct hl_metrics, member), offsetof(struct hl_metrics, baseline_##member),   \
		    less                                                                                               \
	}

const struct hl_figure hl_figures[FIGURES + 1] = {
    [LOG_LOSS] = FIGURE(log_loss, "log loss", true),
    [ACCURACY] = FIGURE(accuracy, "accuracy", false),
    [BALANCED_ACCURACY] = FIGURE(balanced_accuracy, "balanced accuracy", false),
    [SENSITIVITY] = FIGURE(sensitivity, "sensitivity", false),
    [SPECIFICITY] = FIGURE(specificity, "specificity", false),
    [PRECISION] = FIGURE(precision, "precision", false),
    [F1] = FIGURE(f1, "F1", false),
    [MCC] = FIGURE(mcc, "MCC", false),
    [AUC] = FIGURE(auc, "ROC-AUC", false),
    [AVERAGE_PRECISION] = FIGURE(average_precision, "PR-AUC (average precision)", false),
    [BRIER] = FIGURE(brier, "Brier", true),
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

static double square_error(const struct hl_table *table, size_t i)
{
	if (table->classes == 2) {
		double difference = table->probability[i] - (table->label[i] == 1);
		return difference * difference;
	}
	long double sum = 0;
	for (int32_t c = 0; c < table->classes; c++) {
		double difference = hl_table_probability(table, i, c) - (table->label[i] == c);
		sum += (long double)difference * difference;
	}
	return (double)sum;
}

/* ---- figures that follow from the confusion matrix ---- */

static double ratio(int64_t part, int64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

/* Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation coefficient"; with two classes the
 * usual formula. */
static double correlation(int32_t classes, const int64_t *actual, const int64_t *predicted, int64_t correct, int64_t n)
{
	long double square = (long double)n * n;
	long double both = (long double)correct * n, actuals = square, predictions = square;
	for (int32_t c = 0; c < classes; c++) {
		both -= (long double)actual[c] * predicted[c];
		actuals -= (long double)actual[c] * actual[c];
		predictions -= (long double)predicted[c] * predicted[c];
	}
	return actuals == 0 || predictions == 0 ? 0 : (double)(both / (sqrtl(actuals) * sqrtl(predictions)));
}

static void from_confusion(int32_t classes, int64_t confusion[][HL_METRICS_CLASSES_MAX], double figure[FIGURES],
                           struct hl_class_metrics *per_class)
{
	int64_t actual[HL_METRICS_CLASSES_MAX] = {0}, predicted[HL_METRICS_CLASSES_MAX] = {0}, correct = 0, n = 0;
	for (int32_t r = 0; r < classes; r++)
		for (int32_t c = 0; c < classes; c++) {
			actual[r] += confusion[r][c];
			predicted[c] += confusion[r][c];
			correct += r == c ? confusion[r][c] : 0;
			n += confusion[r][c];
		}
	long double sensitivity = 0, specificity = 0, precision = 0, f1 = 0, recalls = 0;
	int32_t present = 0;
	for (int32_t c = 0; c < classes; c++) {
		struct hl_class_metrics *one = &per_class[c];
		int64_t hits = confusion[c][c];
		one->count = actual[c];
		one->sensitivity = ratio(hits, actual[c]);
		one->specificity = ratio(n - actual[c] - predicted[c] + hits, n - actual[c]);
		one->precision = ratio(hits, predicted[c]);
		one->f1 = ratio(2 * hits, actual[c] + predicted[c]);
		sensitivity += one->sensitivity;
		specificity += one->specificity;
		precision += one->precision;
		f1 += one->f1;
		recalls += actual[c] ? one->sensitivity : 0;
		present += actual[c] > 0;
	}
	bool binary = classes == 2;
	figure[ACCURACY] = ratio(correct, n);
	figure[BALANCED_ACCURACY] = (double)(recalls / present);
	figure[SENSITIVITY] = binary ? per_class[1].sensitivity : (double)(sensitivity / classes);
	figure[SPECIFICITY] = binary ? per_class[1].specificity : (double)(specificity / classes);
	figure[PRECISION] = binary ? per_class[1].precision : (double)(precision / classes);
	figure[F1] = binary ? per_class[1].f1 : (double)(f1 / classes);
	figure[MCC] = correlation(classes, actual, predicted, correct, n);
}

/* ---- figures that follow from the order of the scores ---- */

struct ranked {
	double score;
	bool positive;
};

static int falling(const void *a, const void *b)
{
	double x = ((const struct ranked *)a)->score, y = ((const struct ranked *)b)->score;
	return (x < y) - (x > y);
}

/* Sorts cases. Tied scores are one threshold: half a win each for the AUC, one step for the average precision. */
static void rank(struct ranked *cases, size_t n, double *auc, double *average_precision)
{
	qsort(cases, n, sizeof(*cases), falling);
	uint64_t positives = 0, negatives = 0, seen = 0;
	for (size_t i = 0; i < n; i++)
		positives += cases[i].positive;
	/* Twice the pairs in which the positive case is ahead: at most n * n / 2. */
	uint64_t wins = 0;
	long double precision = 0;
	for (size_t i = 0, end; i < n; i = end) {
		uint64_t here = 0;
		for (end = i; end < n && cases[end].score == cases[i].score; end++)
			here += cases[end].positive;
		uint64_t others = end - i - here;
		wins += others * (2 * seen + here);
		seen += here;
		negatives += others;
		if (here)
			precision += (long double)here * seen / end;
	}
	long double pairs = (long double)positives * negatives;
	*auc = pairs > 0 ? (double)((long double)wins / (2 * pairs)) : (double)NAN;
	*average_precision = positives ? (double)(precision / positives) : 0;
}

double hl_auc(const int32_t *label, const double *score, size_t n)
{
	double auc = (double)NAN, average_precision;
	struct ranked *cases = n ? hl_alloc(n, sizeof(*cases)) : NULL;
	if (!cases)
		return auc;
	bool ordered = true;
	for (size_t i = 0; i < n; i++) {
		cases[i] = (struct ranked){score[i], label[i] == 1};
		ordered = ordered && !isnan(score[i]);
	}
	if (ordered)
		rank(cases, n, &auc, &average_precision);
	hl_free(cases);
	return auc;
}

static enum hilum_status from_order(const struct hl_table *table, double figure[FIGURES],
                                    struct hl_class_metrics *per_class, struct hilum_error *error)
{
	struct ranked *cases = hl_alloc(table->n, sizeof(*cases));
	if (!cases)
		return hl_fail_memory(error, table->n * sizeof(*cases), "ranking");
	long double auc = 0, average_precision = 0;
	for (int32_t c = 0; c < table->classes; c++) {
		for (size_t i = 0; i < table->n; i++) {
			/* The other class of two in the opposite order of the same numbers: 1 - p could tie two. */
			double score = table->classes > 2 ? hl_table_probability(table, i, c)
			               : c == 1           ? table->probability[i]
			                                  : -table->probability[i];
			cases[i] = (struct ranked){score, table->label[i] == c};
		}
		rank(cases, table->n, &per_class[c].auc, &per_class[c].average_precision);
		auc += per_class[c].auc;
		average_precision += per_class[c].average_precision;
	}
	hl_free(cases);
	bool binary = table->classes == 2;
	figure[AUC] = binary ? per_class[1].auc : (double)(auc / table->classes);
	figure[AVERAGE_PRECISION] =
	    binary ? per_class[1].average_precision : (double)(average_precision / table->classes);
	return HILUM_OK;
}

/* ---- the baseline, and all together ---- */

/* Every case gets the same row, so that each figure has a closed form in the class counts. */
static void baseline(int32_t classes, const struct hl_class_metrics *model, size_t n, double figure[FIGURES])
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
	from_confusion(classes, confusion, figure, unused);
	bool binary = classes == 2;
	figure[LOG_LOSS] = (double)loss;
	figure[BRIER] = (double)(binary ? squares / 2 : squares);
	figure[AUC] = present == classes ? 0.5 : (double)NAN;
	figure[AVERAGE_PRECISION] = binary ? (double)model[1].count / (double)n : (double)(precision / classes);
}

static enum hilum_status check(const struct hl_table *table, struct hilum_error *error)
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

enum hilum_status hl_metrics_compute(const struct hl_table *table, struct hl_metrics *out, struct hilum_error *error)
{
	enum hilum_status status = check(table, error);
	if (status)
		return status;
	struct hl_metrics metrics = {.n = table->n, .classes = table->classes};
	double figure[FIGURES], base[FIGURES];
	long double loss = 0, squares = 0;
	for (size_t i = 0; i < table->n; i++) {
		metrics.confusion[table->label[i]][hl_table_predicted(table, i)]++;
		loss -= hl_table_log(table, i);
		squares += square_error(table, i);
	}
	figure[LOG_LOSS] = (double)(loss / table->n);
	figure[BRIER] = (double)(squares / table->n);
	from_confusion(table->classes, metrics.confusion, figure, metrics.per_class);
	status = from_order(table, figure, metrics.per_class, error);
	if (status)
		return status;
	baseline(table->classes, metrics.per_class, table->n, base);
	for (int i = 0; i < FIGURES; i++) {
		set(&metrics, hl_figures[i].offset, figure[i]);
		set(&metrics, hl_figures[i].baseline, base[i]);
	}
	*out = metrics;
	return HILUM_OK;
}
