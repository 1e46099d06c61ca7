#include "eval/figures.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* Bayes: the share of ill among those called ill, and of well among those called well, where the ill are prevalence of
 * all. NaN where none would be called so. */
static void predictive(double sensitivity, double specificity, double prevalence, double *positive, double *negative)
{
	double hits = sensitivity * prevalence, alarms = (1 - specificity) * (1 - prevalence);
	double rests = specificity * (1 - prevalence), misses = (1 - sensitivity) * prevalence;
	*positive = hits + alarms > 0 ? hits / (hits + alarms) : (double)NAN;
	*negative = rests + misses > 0 ? rests / (rests + misses) : (double)NAN;
}

void hl_confusion_figures(int32_t classes, double prevalence, int64_t (*confusion)[HL_METRICS_CLASSES_MAX],
                          double figure[HL_FIGURES], struct hl_class_metrics *per_class)
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
	figure[HL_ACCURACY] = ratio(correct, n);
	figure[HL_BALANCED_ACCURACY] = (double)(recalls / present);
	figure[HL_SENSITIVITY] = binary ? per_class[1].sensitivity : (double)(sensitivity / classes);
	figure[HL_SPECIFICITY] = binary ? per_class[1].specificity : (double)(specificity / classes);
	figure[HL_PRECISION] = binary ? per_class[1].precision : (double)(precision / classes);
	figure[HL_F1] = binary ? per_class[1].f1 : (double)(f1 / classes);
	figure[HL_MCC] = correlation(classes, actual, predicted, correct, n);
	figure[HL_PPV] = figure[HL_NPV] = (double)NAN;
	if (binary && prevalence > 0 && present == 2)
		predictive(figure[HL_SENSITIVITY], figure[HL_SPECIFICITY], prevalence, &figure[HL_PPV],
		           &figure[HL_NPV]);
}

/* ---- figures that follow from the order of the probabilities ---- */

struct area {
	uint64_t positives, negatives; /* cases, known beforehand */
	double auc, average_precision;
	double sensitivity[2], specificity[2]; /* at 18 and at 19 twentieths of the other */
};

#define POSITIVE 2U
#define LAST 1U

/* Tied probabilities are one threshold: half a win each for the AUC, one step for the average precision. */
static void walk(const uint32_t *order, size_t n, const uint32_t *count, struct area *area)
{
	uint64_t seen = 0, others = 0, tied[2] = {0, 0};
	uint64_t wins = 0; /* twice the pairs in which the positive case is ahead */
	uint64_t caught[2] = {0, 0}, alarms[2] = {area->negatives, area->negatives};
	bool reached[2] = {false, false};
	long double precision = 0;
	for (size_t i = 0; i < n; i++) {
		tied[(order[i] & POSITIVE) != 0] += count ? count[order[i] >> 2] : 1;
		if (!(order[i] & LAST))
			continue;
		wins += tied[0] * (2 * seen + tied[1]);
		seen += tied[1];
		others += tied[0];
		if (tied[1])
			precision += (long double)tied[1] * seen / (seen + others);
		for (unsigned k = 0; k < 2; k++) {
			if ((area->negatives - others) * 20 >= area->negatives * (18 + k))
				caught[k] = seen;
			if (!reached[k] && seen * 20 >= area->positives * (18 + k)) {
				reached[k] = true;
				alarms[k] = others;
			}
		}
		tied[0] = tied[1] = 0;
	}
	long double pairs = (long double)area->positives * area->negatives;
	area->auc = pairs > 0 ? (double)((long double)wins / (2 * pairs)) : (double)NAN;
	area->average_precision = area->positives ? (double)(precision / area->positives) : 0;
	for (unsigned k = 0; k < 2; k++) {
		area->sensitivity[k] = pairs > 0 ? (double)caught[k] / (double)area->positives : (double)NAN;
		area->specificity[k] =
		    pairs > 0 ? (double)(area->negatives - alarms[k]) / (double)area->negatives : (double)NAN;
	}
}

struct ranked {
	double score;
	uint32_t code;
};

static int falling(const void *a, const void *b)
{
	double x = ((const struct ranked *)a)->score, y = ((const struct ranked *)b)->score;
	return (x < y) - (x > y);
}

static void put_order(struct ranked *cases, size_t n, uint32_t *order)
{
	qsort(cases, n, sizeof(*cases), falling);
	for (size_t i = 0; i < n; i++)
		order[i] = cases[i].code | (i + 1 == n || cases[i + 1].score != cases[i].score ? LAST : 0);
}

bool hl_areas(const int32_t *label, const double *score, size_t n, double *auc, double *average_precision)
{
	struct ranked *cases = hl_alloc(n, sizeof(*cases));
	uint32_t *order = hl_alloc(n, sizeof(*order));
	struct area area = {0};
	bool whole = cases && order;
	for (size_t i = 0; i < n && whole; i++) {
		cases[i] = (struct ranked){score[i], label[i] == 1 ? POSITIVE : 0};
		area.positives += label[i] == 1;
	}
	if (whole) {
		area.negatives = n - area.positives;
		put_order(cases, n, order);
		walk(order, n, NULL, &area);
		*auc = area.auc;
		*average_precision = area.average_precision;
	}
	hl_free(cases);
	hl_free(order);
	return whole;
}

/* ---- a table made ready ---- */

static int by_group(const void *a, const void *b, void *context)
{
	const char *const *group = context;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int order = strcmp(group[x], group[y]);
	return order ? order : (x > y) - (x < y);
}

static bool number_groups(const struct hl_table *table, bool single, struct hl_counting *out)
{
	bool grouped = table->group && !single;
	uint32_t *sorted = grouped ? hl_alloc(table->n, sizeof(*sorted)) : NULL;
	if (grouped && !sorted)
		return false;
	for (size_t i = 0; i < table->n; i++)
		(grouped ? sorted : out->group)[i] = (uint32_t)i;
	out->groups = table->n;
	if (!grouped)
		return true;
	qsort_r(sorted, table->n, sizeof(*sorted), by_group, (void *)(uintptr_t)table->group);
	uint32_t number = 0;
	for (size_t i = 0; i < table->n; i++) {
		number += i > 0 && strcmp(table->group[sorted[i]], table->group[sorted[i - 1]]) != 0;
		out->group[sorted[i]] = number;
	}
	out->groups = (size_t)number + 1;
	hl_free(sorted);
	return true;
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

static bool order_cases(const struct hl_table *table, struct hl_counting *out)
{
	struct ranked *cases = hl_alloc(table->n, sizeof(*cases));
	bool binary = table->classes == 2;
	for (int32_t c = binary ? 1 : 0; c < table->classes && cases; c++) {
		for (size_t i = 0; i < table->n; i++)
			cases[i] = (struct ranked){hl_table_probability(table, i, c),
			                           out->group[i] << 2 | (table->label[i] == c ? POSITIVE : 0)};
		put_order(cases, table->n, out->order + (binary ? 0 : table->n * (size_t)c));
	}
	hl_free(cases);
	return cases != NULL;
}

enum hilum_status hl_counting_create(const struct hl_table *table, bool single, struct hl_counting *out,
                                     struct hilum_error *error)
{
	size_t n = table->n, orders = table->classes == 2 ? 1 : (size_t)table->classes;
	if (n > HL_GROUPS_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%zu cases; at most %zu can be scored", n, HL_GROUPS_MAX);
	struct hl_counting made = {.n = n, .classes = table->classes, .prevalence = table->prevalence};
	made.group = hl_alloc(n, sizeof(*made.group));
	made.actual = hl_alloc(n, 1);
	made.predicted = hl_alloc(n, 1);
	made.loss = hl_alloc(n, sizeof(*made.loss));
	made.square = hl_alloc(n, sizeof(*made.square));
	made.order = hl_alloc(n, orders * sizeof(*made.order));
	bool whole = made.group && made.actual && made.predicted && made.loss && made.square && made.order;
	if (whole)
		whole = number_groups(table, single, &made) && order_cases(table, &made);
	if (!whole) {
		hl_counting_free(&made);
		return hl_fail_memory(error, n * (orders + 8) * sizeof(uint32_t), "ranking");
	}
	for (size_t i = 0; i < n; i++) {
		made.actual[i] = (uint8_t)table->label[i];
		made.predicted[i] = (uint8_t)hl_table_predicted(table, i);
		made.loss[i] = -hl_table_log(table, i);
		made.square[i] = square_error(table, i);
	}
	*out = made;
	return HILUM_OK;
}

void hl_counting_free(struct hl_counting *counting)
{
	hl_free(counting->group);
	hl_free(counting->actual);
	hl_free(counting->predicted);
	hl_free(counting->loss);
	hl_free(counting->square);
	hl_free(counting->order);
	*counting = (struct hl_counting){0};
}

static void from_order(const struct hl_counting *counting, const uint32_t *count, uint64_t cases,
                       double figure[HL_FIGURES], struct hl_class_metrics *per_class)
{
	bool binary = counting->classes == 2;
	long double auc = 0, average_precision = 0;
	for (int32_t c = binary ? 1 : 0; c < counting->classes; c++) {
		struct area area = {.positives = (uint64_t)per_class[c].count,
		                    .negatives = cases - (uint64_t)per_class[c].count};
		walk(counting->order + (binary ? 0 : counting->n * (size_t)c), counting->n, count, &area);
		per_class[c].auc = area.auc;
		per_class[c].average_precision = area.average_precision;
		auc += area.auc;
		average_precision += area.average_precision;
		for (int k = 0; k < 2; k++) {
			figure[HL_SENSITIVITY_AT_SPECIFICITY_90 + k] = binary ? area.sensitivity[k] : (double)NAN;
			figure[HL_SPECIFICITY_AT_SENSITIVITY_90 + k] = binary ? area.specificity[k] : (double)NAN;
		}
	}
	figure[HL_AUC] = binary ? per_class[1].auc : (double)(auc / counting->classes);
	figure[HL_AVERAGE_PRECISION] =
	    binary ? per_class[1].average_precision : (double)(average_precision / counting->classes);
}

void hl_counting_figures(const struct hl_counting *counting, const uint32_t *count, double figure[HL_FIGURES],
                         struct hl_class_metrics *per_class, int64_t (*confusion)[HL_METRICS_CLASSES_MAX])
{
	struct hl_class_metrics own_classes[HL_METRICS_CLASSES_MAX];
	int64_t own_confusion[HL_METRICS_CLASSES_MAX][HL_METRICS_CLASSES_MAX];
	uint64_t cases = 0;
	long double loss = 0, squares = 0;
	if (!per_class)
		per_class = own_classes;
	if (!confusion)
		confusion = own_confusion;
	for (int32_t c = 0; c < counting->classes; c++)
		memset(confusion[c], 0, (size_t)counting->classes * sizeof(**confusion));
	for (size_t i = 0; i < counting->n; i++) {
		uint32_t times = count ? count[counting->group[i]] : 1;
		confusion[counting->actual[i]][counting->predicted[i]] += times;
		cases += times;
		loss += (long double)counting->loss[i] * times;
		squares += (long double)counting->square[i] * times;
	}
	figure[HL_LOG_LOSS] = cases ? (double)(loss / cases) : (double)NAN;
	figure[HL_BRIER] = cases ? (double)(squares / cases) : (double)NAN;
	hl_confusion_figures(counting->classes, counting->prevalence, confusion, figure, per_class);
	from_order(counting, count, cases, figure, per_class);
}
