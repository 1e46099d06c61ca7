/* Maps fitted to a table: temperature, Platt, isotonic, conformal thresholds. */
#include "base/memory.h"
#include "base/random.h"
#include "eval/calibration.h"
#include "eval/distribution.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FOLDS 5U
#define ISOTONIC_CASES 1000
#define ISOTONIC_GROUPS 100

static size_t count_used(const struct hl_table *table, const uint8_t *use, int32_t label)
{
	size_t count = 0;
	for (size_t i = 0; i < table->n; i++)
		count += (!use || use[i]) && (label < 0 || table->label[i] == label);
	return count;
}

/* ---- temperature ---- */

/* Derivative by the slope of a case's log loss, which rises with the slope. */
static double tilt(const struct hl_table *table, size_t i, double slope)
{
	if (table->classes == 2) {
		double x = hl_logit(table->probability[i]);
		return x * (1 / (1 + exp(-slope * x)) - (table->label[i] == 1));
	}
	double most = -HUGE_VAL, sum = 0, mean = 0, own = 0;
	for (int32_t c = 0; c < table->classes; c++)
		most = fmax(most, log(fmax(hl_table_probability(table, i, c), DBL_EPSILON)));
	for (int32_t c = 0; c < table->classes; c++) {
		double x = log(fmax(hl_table_probability(table, i, c), DBL_EPSILON)) - most;
		double weight = exp(slope * x);
		sum += weight;
		mean += weight * x;
		own = c == table->label[i] ? x : own;
	}
	return mean / sum - own;
}

static double find_temperature(const struct hl_table *table, const uint8_t *use)
{
	double low = log(1 / HL_MAP_SLOPE_MAX), high = log(HL_MAP_SLOPE_MAX);
	for (int i = 0; i < 50; i++) {
		double middle = (low + high) / 2, sum = 0;
		for (size_t k = 0; k < table->n; k++)
			sum += !use || use[k] ? tilt(table, k, exp(middle)) : 0;
		if (sum < 0)
			low = middle;
		else
			high = middle;
	}
	return exp((low + high) / 2);
}

/* ---- Platt ---- */

static enum hilum_status fit_platt(const struct hl_table *table, const uint8_t *use, struct hl_calibration *out,
                                   struct hilum_error *error)
{
	double *x = hl_alloc(table->n, sizeof(*x)), *target = hl_alloc(table->n, sizeof(*target));
	double positives = (double)count_used(table, use, 1), negatives = (double)count_used(table, use, 0);
	enum hilum_status status = HILUM_OK;
	for (size_t i = 0; i < table->n && x && target; i++) {
		x[i] = hl_logit(table->probability[i]);
		target[i] = table->label[i] == 1 ? (positives + 1) / (positives + 2) : 1 / (negatives + 2);
	}
	if (!x || !target)
		status = hl_fail_memory(error, table->n * 2 * sizeof(*x), "a calibration");
	else if (!hl_logistic(x, target, use, table->n, &out->slope, &out->intercept) ||
	         !(out->slope >= 1 / HL_MAP_SLOPE_MAX && out->slope <= HL_MAP_SLOPE_MAX) ||
	         fabs(out->intercept) > HL_MAP_SLOPE_MAX)
		status = hl_fail(error, HILUM_ERROR_DATA,
		                 "platt: no rising line fits these cases: the model does not rank them");
	hl_free(x);
	hl_free(target);
	return status;
}

/* ---- isotonic ---- */

struct block {
	double low, high; /* probabilities */
	size_t n, hits;
};

static int by_low(const void *a, const void *b)
{
	double x = ((const struct block *)a)->low, y = ((const struct block *)b)->low;
	return (x > y) - (x < y);
}

static bool is_above(const struct block *a, const struct block *b)
{
	return (double)a->hits * (double)b->n >= (double)b->hits * (double)a->n;
}

static void join(struct block *to, const struct block *from)
{
	to->high = from->high;
	to->n += from->n;
	to->hits += from->hits;
}

/* Blocks of rising shares from sorted ones, in place. Returns their number. */
static size_t pool(struct block *block, size_t n)
{
	size_t distinct = 0, count = 0;
	for (size_t i = 0; i < n; i++)
		if (distinct > 0 && block[distinct - 1].low == block[i].low)
			join(&block[distinct - 1], &block[i]);
		else
			block[distinct++] = block[i];
	for (size_t i = 0; i < distinct; i++) {
		block[count++] = block[i];
		for (; count > 1 && is_above(&block[count - 2], &block[count - 1]); count--)
			join(&block[count - 2], &block[count - 1]);
	}
	return count;
}

static enum hilum_status fit_isotonic(const struct hl_table *table, const uint8_t *use, struct hl_calibration *out,
                                      struct hilum_error *error)
{
	size_t n = 0, count;
	struct block *block = hl_alloc(table->n, sizeof(*block));
	if (!block)
		return hl_fail_memory(error, table->n * sizeof(*block), "a calibration");
	for (size_t i = 0; i < table->n; i++)
		if (!use || use[i])
			block[n++] =
			    (struct block){table->probability[i], table->probability[i], 1, table->label[i] == 1};
	qsort(block, n, sizeof(*block), by_low);
	count = pool(block, n);
	double least = 1 / ((double)n + 2);
	if (count > HL_MAP_KNOTS_MAX / 2) {
		hl_free(block);
		return hl_fail(error, HILUM_ERROR_LIMIT, "isotonic: more than %zu points", HL_MAP_KNOTS_MAX / 2);
	}
	out->from = hl_alloc(count, 2 * sizeof(*out->from));
	out->to = hl_alloc(count, 2 * sizeof(*out->to));
	for (size_t i = 0; i < count && out->from && out->to; i++) {
		double share = (double)block[i].hits / (double)block[i].n;
		for (int end = 0; end < (block[i].high > block[i].low ? 2 : 1); end++) {
			out->from[out->knots] = end ? block[i].high : block[i].low;
			out->to[out->knots++] = fmin(fmax(share, least), 1 - least);
		}
	}
	hl_free(block);
	return out->from && out->to ? HILUM_OK : hl_fail_memory(error, count * 4 * sizeof(double), "a calibration");
}

/* ---- any ---- */

enum hilum_status hl_calibration_fit(const struct hl_table *table, enum hl_map_kind kind, const uint8_t *use,
                                     struct hl_calibration *out, struct hilum_error *error)
{
	struct hl_calibration made = {.kind = kind, .slope = 1};
	enum hilum_status status = HILUM_OK;
	if (table->classes > 2 && kind > HL_MAP_TEMPERATURE)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "%s is for two classes; temperature is for any",
		               hl_map_names[kind]);
	for (int32_t c = 0; c < table->classes && kind != HL_MAP_NONE; c++)
		if (count_used(table, use, c) == 0)
			return hl_fail(error, HILUM_ERROR_DATA, "no case of class %s to calibrate with",
			               table->names[c]);
	if (kind == HL_MAP_TEMPERATURE)
		made.slope = find_temperature(table, use);
	else if (kind == HL_MAP_PLATT)
		status = fit_platt(table, use, &made, error);
	else if (kind == HL_MAP_ISOTONIC)
		status = fit_isotonic(table, use, &made, error);
	if (status)
		hl_calibration_free(&made);
	else
		*out = made;
	return status;
}

/* ---- which of them ---- */

static double mapped_loss(const struct hl_table *table, const struct hl_calibration *calibration, size_t i)
{
	double row[HL_METRICS_CLASSES_MAX];
	const int32_t label[1] = {table->label[i]};
	struct hl_table one = {.n = 1, .classes = table->classes, .label = label, .probability = row};
	for (int32_t c = 0; c < table->classes; c++)
		row[c] = hl_table_probability(table, i, c);
	hl_calibration_apply(calibration, table->classes, row);
	if (table->classes == 2)
		row[0] = row[1];
	return -hl_table_log(&one, 0);
}

/* Fits on all folds but one and notes the losses of that one's cases: NaN where the rest cannot be fitted. */
static enum hilum_status try_fold(const struct hl_table *table, const uint32_t *fold_of, const uint32_t *group,
                                  uint32_t fold, uint8_t *use, double (*loss)[HL_MAP_KINDS], struct hilum_error *error)
{
	for (size_t i = 0; i < table->n; i++)
		use[i] = fold_of[group[i]] != fold;
	for (int kind = HL_MAP_NONE; kind < HL_MAP_KINDS; kind++) {
		struct hl_calibration calibration = {0};
		struct hilum_error unfit;
		enum hilum_status status = hl_calibration_fit(table, (enum hl_map_kind)kind, use, &calibration, &unfit);
		if (status == HILUM_ERROR_MEMORY)
			return hl_fail(error, status, "%s", unfit.message);
		for (size_t i = 0; i < table->n; i++)
			if (!use[i])
				loss[i][kind] = status ? (double)NAN : mapped_loss(table, &calibration, i);
		hl_calibration_free(&calibration);
	}
	return HILUM_OK;
}

/* Whether kind b has a lower mean loss than a, significantly so: 95 %, over groups (a ratio, for their sizes differ).
 */
static bool is_better(const struct hl_counting *counting, double (*loss)[HL_MAP_KINDS], int a, int b, double *of_group)
{
	double gain = 0, square = 0, n = (double)counting->n, groups = (double)counting->groups;
	memset(of_group, 0, counting->groups * sizeof(*of_group));
	for (size_t i = 0; i < counting->n; i++)
		gain += (loss[i][a] - loss[i][b]) / n;
	for (size_t i = 0; i < counting->n; i++)
		of_group[counting->group[i]] += loss[i][a] - loss[i][b] - gain;
	for (size_t g = 0; g < counting->groups; g++)
		square += of_group[g] * of_group[g];
	if (counting->groups < 2)
		return false;
	double error = sqrt(square * groups / (groups - 1)) / n;
	return gain > hl_student_quantile(0.975, groups - 1) * error;
}

static enum hl_map_kind choose(const struct hl_counting *counting, double (*loss)[HL_MAP_KINDS], double *of_group)
{
	int best = HL_MAP_NONE;
	for (int kind = HL_MAP_TEMPERATURE; kind < HL_MAP_KINDS; kind++) {
		bool enough =
		    kind != HL_MAP_ISOTONIC || (counting->n >= ISOTONIC_CASES && counting->groups >= ISOTONIC_GROUPS);
		if (enough && is_better(counting, loss, best, kind, of_group))
			best = kind;
	}
	return (enum hl_map_kind)best;
}

static void draw_folds(uint64_t seed, uint32_t groups, uint32_t *order, uint32_t *fold_of)
{
	struct hl_random random = hl_random_stream(seed, 1, 0, HL_RANDOM_BOOTSTRAP);
	for (uint32_t g = 0; g < groups; g++)
		order[g] = g;
	hl_random_shuffle(&random, order, groups);
	for (uint32_t g = 0; g < groups; g++)
		fold_of[order[g]] = g % FOLDS;
}

enum hilum_status hl_calibration_try(const struct hl_table *table, const struct hl_counting *counting, uint64_t seed,
                                     double mean[HL_MAP_KINDS], enum hl_map_kind *best, struct hilum_error *error)
{
	uint32_t groups = (uint32_t)counting->groups;
	uint32_t *order = hl_alloc(groups, sizeof(*order)), *fold_of = hl_alloc(groups, sizeof(*fold_of));
	double(*loss)[HL_MAP_KINDS] = hl_alloc(table->n, sizeof(*loss)),
	*of_group = hl_alloc(groups, sizeof(*of_group));
	uint8_t *use = hl_alloc(table->n, 1);
	enum hilum_status status = HILUM_OK;
	if (!order || !fold_of || !loss || !of_group || !use) {
		status = hl_fail_memory(error, table->n * sizeof(*loss), "folds");
		goto out;
	}
	draw_folds(seed, groups, order, fold_of);
	for (uint32_t fold = 0; fold < FOLDS && fold < groups && !status; fold++)
		status = try_fold(table, fold_of, counting->group, fold, use, loss, error);
	if (status)
		goto out;
	*best = choose(counting, loss, of_group);
	for (int kind = 0; kind < HL_MAP_KINDS; kind++) {
		mean[kind] = 0;
		for (size_t i = 0; i < table->n; i++)
			mean[kind] += loss[i][kind] / (double)table->n;
	}
out:
	hl_free(order);
	hl_free(fold_of);
	hl_free(loss);
	hl_free(of_group);
	hl_free(use);
	return status;
}

/* ---- conformal ---- */

static int rising(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The probabilities of a class, one of each group, sorted; their number. */
static size_t draw_class(const struct hl_table *table, const struct hl_counting *counting, int32_t label, uint64_t seed,
                         uint32_t *seen, double *chosen, double *out)
{
	size_t count = 0;
	memset(seen, 0, counting->groups * sizeof(*seen));
	struct hl_random random = hl_random_stream(seed, 2, (uint32_t)label, HL_RANDOM_BOOTSTRAP);
	for (size_t i = 0; i < table->n; i++) {
		uint32_t g = counting->group[i];
		/* Each of the k cases seen so far is the chosen one with a probability of 1/k. */
		if (table->label[i] == label && hl_random_below(&random, ++seen[g]) == 0)
			chosen[g] = table->probability[i];
	}
	for (size_t g = 0; g < counting->groups; g++)
		if (seen[g])
			out[count++] = chosen[g];
	qsort(out, count, sizeof(*out), rising);
	return count;
}

enum hilum_status hl_conformal_fit(const struct hl_table *table, const struct hl_counting *counting, double alpha,
                                   uint64_t seed, struct hl_calibration *out, size_t used[2], struct hilum_error *error)
{
	if (table->classes != 2)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "conformal: low and high are for two classes");
	if (!(alpha > 0 && alpha < 1))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "conformal: %g is not between 0 and 1", alpha);
	uint32_t *seen = hl_alloc(counting->groups, sizeof(*seen));
	double *chosen = hl_alloc(counting->groups, 2 * sizeof(*chosen));
	enum hilum_status status = HILUM_OK;
	if (!seen || !chosen) {
		status = hl_fail_memory(error, counting->groups * 3 * sizeof(*chosen), "conformal thresholds");
		goto out;
	}
	double *sorted = chosen + counting->groups, threshold[2] = {1, 0};
	size_t count[2];
	for (int32_t label = 0; label < 2; label++) {
		size_t n = count[label] = draw_class(table, counting, label, seed, seen, chosen, sorted);
		/* So many of n + 1 exchangeable cases may lie outside; none where the cases are too few to tell. */
		size_t outside = (size_t)floor(alpha * ((double)n + 1) * (1 + 4 * DBL_EPSILON));
		outside = outside < n ? outside : n;
		if (n > 0 && outside > 0)
			threshold[label] = label ? sorted[outside - 1] : sorted[n - outside];
	}
	out->conformal = true;
	out->alpha = alpha;
	out->low_below = threshold[1];
	out->high_above = threshold[0];
	memcpy(used, count, sizeof(count));
out:
	hl_free(seen);
	hl_free(chosen);
	return status;
}
