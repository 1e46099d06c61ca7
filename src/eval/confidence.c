#include "eval/confidence.h"

#include "base/cpu.h"
#include "base/memory.h"
#include "base/random.h"
#include "eval/distribution.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define TAIL 0.025           /* beyond each end of an interval */
#define THREADS_FROM 5000000 /* cases over all draws: some ten milliseconds */
#define REDRAWS 100          /* until every class occurs */
#define DEFINED_LEAST 0.9    /* share of draws in which a figure must be defined */

static const struct hl_interval none = {(double)NAN, (double)NAN};

/* ---- drawing ---- */

static void count_draw(struct hl_random *random, uint32_t groups, uint32_t *count)
{
	memset(count, 0, groups * sizeof(*count));
	for (uint32_t i = 0; i < groups; i++)
		count[hl_random_below(random, groups)]++;
}

/* Whether every class of the table occurs among the counted cases. */
static bool is_full(const struct hl_class_metrics *table, const struct hl_class_metrics *drawn, int32_t classes)
{
	for (int32_t c = 0; c < classes; c++)
		if (table[c].count > 0 && drawn[c].count == 0)
			return false;
	return true;
}

static void draw(const struct hl_counting *counting, uint64_t seed, uint32_t number,
                 const struct hl_class_metrics *table, uint32_t *count, double figure[HL_FIGURES])
{
	struct hl_class_metrics drawn[HL_METRICS_CLASSES_MAX];
	struct hl_random random = hl_random_stream(seed, 0, number, HL_RANDOM_BOOTSTRAP);
	for (int i = 0; i < REDRAWS; i++) {
		count_draw(&random, (uint32_t)counting->groups, count);
		hl_counting_figures(counting, count, figure, drawn, NULL);
		if (is_full(table, drawn, counting->classes))
			return;
	}
	for (int i = 0; i < HL_FIGURES; i++)
		figure[i] = (double)NAN;
}

static void leave_out(const struct hl_counting *counting, size_t block, size_t blocks, uint32_t *count,
                      double figure[HL_FIGURES])
{
	for (size_t g = 0; g < counting->groups; g++)
		count[g] = g % blocks != block;
	hl_counting_figures(counting, count, figure, NULL, NULL);
}

enum hilum_status hl_resamples_create(const struct hl_counting *counting, const struct hl_resample_options *options,
                                      struct hl_resamples *out, struct hilum_error *error)
{
	if (options->resamples < HL_RESAMPLES_LEAST || options->resamples > HL_RESAMPLES_MOST)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "resamples: %lld is not from %d to %d",
		               (long long)options->resamples, HL_RESAMPLES_LEAST, HL_RESAMPLES_MOST);
	struct hl_resamples made = {.count = (size_t)options->resamples};
	made.blocks = counting->groups < HL_BLOCKS_MAX ? counting->groups : HL_BLOCKS_MAX;
	int threads = made.count * counting->n < THREADS_FROM ? 1 : (int)hl_cpu_count();
	uint32_t *counts = hl_alloc((size_t)threads, counting->groups * sizeof(*counts));
	made.drawn = hl_alloc(made.count, sizeof(*made.drawn));
	made.without = hl_alloc(made.blocks, sizeof(*made.without));
	if (!counts || !made.drawn || !made.without) {
		hl_free(counts);
		hl_resamples_free(&made);
		return hl_fail_memory(error, (made.count + made.blocks) * sizeof(*made.drawn), "resampling");
	}
	struct hl_class_metrics table[HL_METRICS_CLASSES_MAX];
	hl_counting_figures(counting, NULL, made.whole, table, NULL);
#pragma omp parallel num_threads(threads)
	{
		uint32_t *count = counts + (size_t)omp_get_thread_num() * counting->groups;
#pragma omp for
		for (size_t i = 0; i < made.count; i++)
			draw(counting, options->seed, (uint32_t)i, table, count, made.drawn[i]);
#pragma omp for
		for (size_t i = 0; i < made.blocks; i++)
			leave_out(counting, i, made.blocks, count, made.without[i]);
	}
	hl_free(counts);
	*out = made;
	return HILUM_OK;
}

void hl_resamples_free(struct hl_resamples *resamples)
{
	hl_free(resamples->drawn);
	hl_free(resamples->without);
	*resamples = (struct hl_resamples){0};
}

void hl_resamples_subtract(struct hl_resamples *a, const struct hl_resamples *b)
{
	a->differences = true;
	for (int k = 0; k < HL_FIGURES; k++) {
		a->whole[k] -= b->whole[k];
		for (size_t i = 0; i < a->count; i++)
			a->drawn[i][k] -= b->drawn[i][k];
		for (size_t i = 0; i < a->blocks; i++)
			a->without[i][k] -= b->without[i][k];
	}
}

/* ---- one interval ---- */

struct hl_jackknife hl_jackknife(const double *without, size_t stride, size_t count)
{
	size_t n = 0;
	double mean = 0, square = 0, cube = 0, fourth = 0;
	for (size_t i = 0; i < count; i++) {
		double value = without[i * stride];
		mean += isnan(value) ? 0 : value;
		n += !isnan(value);
	}
	mean /= n ? (double)n : 1;
	for (size_t i = 0; i < count; i++) {
		double d = mean - without[i * stride];
		if (isnan(d))
			continue;
		square += d * d;
		cube += d * d * d;
		fourth += d * d * d * d;
	}
	if (n < 2 || !(square > 0))
		return (struct hl_jackknife){.df = 1};
	double spare = (double)n - 1, least = 2 / spare;
	double excess = fourth / (square * square) - 1 / (double)n;
	return (struct hl_jackknife){.acceleration = cube / (6 * pow(square, 1.5)),
	                             .error = sqrt(square * spare / (double)n),
	                             .df = fmax(2 / fmax(excess, least), 1)};
}

static struct hl_jackknife jackknife_of(const struct hl_resamples *resamples, int figure)
{
	return hl_jackknife(&resamples->without[0][figure], HL_FIGURES, resamples->blocks);
}

/* The sorted draws of a figure that are defined. */
struct sorted {
	double *value;
	size_t count;
};

static int rising(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static struct sorted sort_draws(const struct hl_resamples *resamples, int figure, double *value)
{
	struct sorted sorted = {.value = value};
	for (size_t i = 0; i < resamples->count; i++)
		if (!isnan(resamples->drawn[i][figure]))
			value[sorted.count++] = resamples->drawn[i][figure];
	qsort(value, sorted.count, sizeof(*value), rising);
	return sorted;
}

static double quantile(const struct sorted *sorted, double p)
{
	double place = p * (double)(sorted->count + 1) - 1;
	if (!(place > 0))
		return sorted->value[0];
	size_t below = (size_t)place;
	if (below + 1 >= sorted->count)
		return sorted->value[sorted->count - 1];
	return sorted->value[below] + (place - (double)below) * (sorted->value[below + 1] - sorted->value[below]);
}

static double deviation(const struct sorted *sorted)
{
	double mean = 0, square = 0;
	for (size_t i = 0; i < sorted->count; i++)
		mean += sorted->value[i];
	mean /= (double)sorted->count;
	for (size_t i = 0; i < sorted->count; i++)
		square += (sorted->value[i] - mean) * (sorted->value[i] - mean);
	return sqrt(square / ((double)sorted->count - 1));
}

/* By how many standard errors the levels lie out. */
static double reach(const struct hl_jackknife *jackknife, const struct sorted *sorted)
{
	return hl_student_quantile(1 - TAIL, jackknife->df) * fmax(1, jackknife->error / deviation(sorted));
}

static struct hl_interval accelerated(const struct sorted *sorted, double whole, const struct hl_jackknife *jackknife)
{
	double below = 0, z = reach(jackknife, sorted), n = (double)sorted->count;
	for (size_t i = 0; i < sorted->count; i++)
		below += sorted->value[i] < whole ? 1 : sorted->value[i] == whole ? 0.5 : 0;
	double bias = hl_normal_quantile(fmin(fmax(below / n, 1 / n), 1 - 1 / n)), a = jackknife->acceleration;
	/* Beyond the pole of the transformation the level is the last one. */
	double left = bias - z, right = bias + z;
	double low = 1 - a * left > 0 ? bias + left / (1 - a * left) : -HUGE_VAL;
	double high = 1 - a * right > 0 ? bias + right / (1 - a * right) : HUGE_VAL;
	return (struct hl_interval){quantile(sorted, hl_normal_cdf(low)), quantile(sorted, hl_normal_cdf(high))};
}

static bool is_usable(const struct sorted *sorted, const struct hl_resamples *resamples)
{
	return (double)sorted->count >= DEFINED_LEAST * (double)resamples->count &&
	       sorted->value[0] < sorted->value[sorted->count - 1];
}

/* Percentiles. What resampling underestimates is taken from the ROC-AUC, a smooth figure of the same groups. */
static struct hl_interval percentiles(const struct hl_resamples *resamples, const struct sorted *sorted,
                                      double *scratch)
{
	struct hl_jackknife of_auc = jackknife_of(resamples, HL_AUC);
	struct sorted auc = sort_draws(resamples, HL_AUC, scratch);
	double z = is_usable(&auc, resamples) ? reach(&of_auc, &auc) : HL_NORMAL_95;
	return (struct hl_interval){quantile(sorted, hl_normal_cdf(-z)), quantile(sorted, hl_normal_cdf(z))};
}

/* A difference is spread evenly about itself, where BCa's corrections are but noise. */
static struct hl_interval symmetric(const struct hl_resamples *resamples, int figure, const struct sorted *sorted)
{
	struct hl_jackknife of_figure = jackknife_of(resamples, figure);
	double z = hl_figures[figure].sought ? HL_NORMAL_95 : hl_student_quantile(1 - TAIL, of_figure.df);
	double half = z * deviation(sorted), whole = resamples->whole[figure];
	double most = hl_figures[figure].less_is_better ? HUGE_VAL : figure == HL_MCC ? 2 : 1; /* figures apart */
	return (struct hl_interval){fmax(whole - half, -most), fmin(whole + half, most)};
}

static struct hl_interval one_interval(const struct hl_resamples *resamples, int figure, double *scratch)
{
	struct sorted sorted = sort_draws(resamples, figure, scratch);
	if (resamples->blocks < 2 || isnan(resamples->whole[figure]) || !is_usable(&sorted, resamples))
		return none;
	if (resamples->differences)
		return symmetric(resamples, figure, &sorted);
	if (hl_figures[figure].sought)
		return percentiles(resamples, &sorted, scratch + resamples->count);
	struct hl_jackknife of_figure = jackknife_of(resamples, figure);
	return accelerated(&sorted, resamples->whole[figure], &of_figure);
}

enum hilum_status hl_resamples_intervals(const struct hl_resamples *resamples, struct hl_interval interval[HL_FIGURES],
                                         struct hilum_error *error)
{
	double *scratch = hl_alloc(resamples->count, 2 * sizeof(*scratch));
	if (!scratch)
		return hl_fail_memory(error, resamples->count * 2 * sizeof(*scratch), "resampling");
	for (int i = 0; i < HL_FIGURES; i++)
		interval[i] = one_interval(resamples, i, scratch);
	hl_free(scratch);
	return HILUM_OK;
}

/* ---- where every draw is the same ---- */

#define SCALE 1000000 /* cases become so many, that shares of them are whole numbers */

/* The largest share of groups that may be wrong though none of so many was. */
static double unseen(size_t groups)
{
	return -expm1(log(TAIL) / (double)groups);
}

/* Newcombe 2006, method 5: the least area whose score test does not reject an estimate of 1. */
static double least_area(double positives, double negatives)
{
	double low = 0.5, high = 1, others = (positives + negatives) / 2 - 1;
	for (int i = 0; i < 60; i++) {
		double area = (low + high) / 2;
		double variance = area * (1 - area) / (positives * negatives) *
		                  (1 + others * ((1 - area) / (2 - area) + area / (1 + area)));
		if (1 - area > HL_NORMAL_95 * sqrt(variance))
			low = area;
		else
			high = area;
	}
	return low;
}

/* Groups that hold a case of each class, and a case of any other. */
struct holders {
	size_t of[HL_METRICS_CLASSES_MAX], of_rest[HL_METRICS_CLASSES_MAX];
};

static bool count_holders(const struct hl_counting *counting, struct holders *out)
{
	size_t classes = (size_t)counting->classes;
	uint8_t *holds = hl_alloc(counting->groups, classes);
	if (!holds)
		return false;
	*out = (struct holders){{0}, {0}};
	for (size_t i = 0; i < counting->n; i++)
		holds[counting->group[i] * classes + counting->actual[i]] = 1;
	for (size_t g = 0; g < counting->groups; g++) {
		size_t kinds = 0;
		for (size_t c = 0; c < classes; c++)
			kinds += holds[g * classes + c];
		for (size_t c = 0; c < classes; c++) {
			out->of[c] += holds[g * classes + c];
			out->of_rest[c] += kinds > holds[g * classes + c];
		}
	}
	hl_free(holds);
	return true;
}

/* The figures if of every class that was right throughout the unseen share were wrong. */
static void worsen(const struct hl_counting *counting, const struct holders *holders, double figure[HL_FIGURES])
{
	struct hl_class_metrics per_class[HL_METRICS_CLASSES_MAX];
	int64_t confusion[HL_METRICS_CLASSES_MAX][HL_METRICS_CLASSES_MAX];
	int32_t classes = counting->classes;
	double area = 1, share = 0;
	hl_counting_figures(counting, NULL, figure, per_class, confusion);
	for (int32_t c = 0; c < classes; c++) {
		bool right = per_class[c].count > 0 && confusion[c][c] == per_class[c].count;
		double wrong = holders->of[c] ? unseen(holders->of[c]) : 0;
		for (int32_t k = 0; k < classes; k++)
			confusion[c][k] *= SCALE;
		if (right) {
			int64_t moved = (int64_t)(wrong * (double)confusion[c][c]);
			confusion[c][c] -= moved;
			confusion[c][(c + 1) % classes] += moved;
		}
		if (holders->of[c] && holders->of_rest[c])
			area = fmin(area, least_area((double)holders->of[c], (double)holders->of_rest[c]));
		share = fmax(share, wrong);
	}
	hl_confusion_figures(classes, counting->prevalence, confusion, figure, per_class);
	bool binary = classes == 2;
	figure[HL_ACCURACY] = 1 - unseen(counting->groups);
	figure[HL_AUC] = area;
	figure[HL_AVERAGE_PRECISION] = 1 - (binary ? unseen(holders->of[1]) : share);
	for (int i = 0; i < 2 && binary; i++) {
		figure[HL_SENSITIVITY_AT_SPECIFICITY_90 + i] = 1 - unseen(holders->of[1]);
		figure[HL_SPECIFICITY_AT_SENSITIVITY_90 + i] = 1 - unseen(holders->of[0]);
	}
}

static bool is_constant(const struct hl_resamples *resamples, int figure)
{
	for (size_t i = 0; i < resamples->count; i++)
		if (resamples->drawn[i][figure] != resamples->whole[figure])
			return false;
	return true;
}

static enum hilum_status bound_constant(const struct hl_counting *counting, const struct hl_resamples *resamples,
                                        struct hl_interval interval[HL_FIGURES], struct hilum_error *error)
{
	struct holders holders;
	double worse[HL_FIGURES];
	if (!count_holders(counting, &holders))
		return hl_fail_memory(error, counting->groups * (size_t)counting->classes, "resampling");
	worsen(counting, &holders, worse);
	for (int i = 0; i < HL_FIGURES; i++) {
		if (!is_constant(resamples, i))
			continue;
		if (!hl_figures[i].less_is_better && resamples->whole[i] == 1)
			interval[i] = (struct hl_interval){worse[i], 1};
		else if (counting->classes == 2 && resamples->whole[i] == 0 &&
		         (i == HL_SENSITIVITY || i == HL_SPECIFICITY))
			interval[i] = (struct hl_interval){0, unseen(holders.of[i == HL_SENSITIVITY])};
	}
	return HILUM_OK;
}

enum hilum_status hl_confidence(const struct hl_counting *counting, const struct hl_resample_options *options,
                                struct hl_interval interval[HL_FIGURES], struct hilum_error *error)
{
	struct hl_resamples resamples;
	struct hl_interval made[HL_FIGURES];
	for (int i = 0; i < HL_FIGURES && options->resamples == 0; i++)
		interval[i] = none;
	if (options->resamples == 0)
		return HILUM_OK;
	enum hilum_status status = hl_resamples_create(counting, options, &resamples, error);
	if (status)
		return status;
	status = hl_resamples_intervals(&resamples, made, error);
	if (!status)
		status = bound_constant(counting, &resamples, made, error);
	hl_resamples_free(&resamples);
	if (!status)
		memcpy(interval, made, sizeof(made));
	return status;
}
