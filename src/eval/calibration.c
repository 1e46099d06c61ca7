#include "eval/calibration.h"

#include "base/memory.h"
#include "eval/distribution.h"

#include <math.h>
#include <stdlib.h>

#define CASES_A_BIN 10
#define NEWTON_STEPS 100
#define CONVERGED 1e-7 /* a step of Newton's method: the error is of the order of its square */
#define ROUNDING 1e-12 /* of a sum over cases */
#define BEYOND 1e4     /* a coefficient that has no end */

/* ---- bins ---- */

struct point {
	double p;
	bool hit;
};

static int rising(const void *a, const void *b)
{
	double x = ((const struct point *)a)->p, y = ((const struct point *)b)->p;
	return (x > y) - (x < y);
}

static void fill_bin(const struct point *sorted, size_t n, struct hl_bin *bin)
{
	size_t hits = 0;
	double sum = 0;
	for (size_t i = 0; i < n; i++) {
		sum += sorted[i].p;
		hits += sorted[i].hit;
	}
	*bin = (struct hl_bin){.n = n,
	                       .low = sorted[0].p,
	                       .high = sorted[n - 1].p,
	                       .mean = sum / (double)n,
	                       .share = (double)hits / (double)n};
}

static enum hilum_status find_bins(const struct hl_table *table, struct hl_reliability *out, struct hilum_error *error)
{
	struct point *sorted = hl_alloc(table->n, sizeof(*sorted));
	if (!sorted)
		return hl_fail_memory(error, table->n * sizeof(*sorted), "reliability");
	for (size_t i = 0; i < table->n; i++) {
		int32_t called = table->classes == 2 ? 1 : hl_table_predicted(table, i);
		sorted[i] = (struct point){hl_table_probability(table, i, called), table->label[i] == called};
	}
	qsort(sorted, table->n, sizeof(*sorted), rising);
	size_t bins = table->n / CASES_A_BIN;
	bins = bins < 1 ? 1 : bins > HL_BINS_MAX ? HL_BINS_MAX : bins;
	size_t begin = 0;
	for (size_t k = 1; k <= bins; k++) {
		size_t end = table->n * k / bins;
		while (end < table->n && end > 0 && sorted[end].p == sorted[end - 1].p)
			end++;
		if (end <= begin)
			continue;
		struct hl_bin *bin = &out->bin[out->bins++];
		fill_bin(sorted + begin, end - begin, bin);
		out->ece += (double)bin->n / (double)table->n * fabs(bin->mean - bin->share);
		begin = end;
	}
	hl_free(sorted);
	return HILUM_OK;
}

/* ---- logistic regression ---- */

/* Gradient of minus the log likelihood, and its second derivatives. */
struct curve {
	double loss, slope, intercept, slope2, both, intercept2;
};

static double softplus(double x)
{
	return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static void add(struct curve *curve, double x, double target, double slope, double intercept)
{
	double z = slope * x + intercept, p = 1 / (1 + exp(-z)), weight = p * (1 - p);
	curve->loss += softplus(z) - target * z;
	curve->slope += (p - target) * x;
	curve->intercept += p - target;
	curve->slope2 += weight * x * x;
	curve->both += weight * x;
	curve->intercept2 += weight;
}

static struct curve sum_up(const double *x, const double *target, const uint8_t *use, size_t n, double slope,
                           double intercept)
{
	struct curve curve = {0};
	for (size_t i = 0; i < n; i++)
		if (!use || use[i])
			add(&curve, x[i], target[i], slope, intercept);
	return curve;
}

/* The step from where the curve was taken to the least of its parabola. */
static bool newton(const struct curve *curve, double *slope, double *intercept)
{
	double determinant = curve->slope2 * curve->intercept2 - curve->both * curve->both;
	if (!(determinant > 1e-12 * curve->slope2 * curve->intercept2))
		return false;
	*slope = -(curve->intercept2 * curve->slope - curve->both * curve->intercept) / determinant;
	*intercept = -(curve->slope2 * curve->intercept - curve->both * curve->slope) / determinant;
	return true;
}

bool hl_logistic(const double *x, const double *target, const uint8_t *use, size_t n, double *slope, double *intercept)
{
	double a = 0, b = 0, step_a, step_b;
	struct curve here = sum_up(x, target, use, n, a, b);
	for (int i = 0; i < NEWTON_STEPS; i++) {
		if (!newton(&here, &step_a, &step_b) || fabs(a) > BEYOND || fabs(b) > BEYOND)
			return false;
		if (fabs(step_a) <= CONVERGED * (1 + fabs(a)) && fabs(step_b) <= CONVERGED * (1 + fabs(b))) {
			*slope = a + step_a;
			*intercept = b + step_b;
			return true;
		}
		struct curve there = sum_up(x, target, use, n, a + step_a, b + step_b);
		for (int half = 0; half < 40 && !(there.loss <= here.loss * (1 + ROUNDING)); half++) {
			step_a /= 2;
			step_b /= 2;
			there = sum_up(x, target, use, n, a + step_a, b + step_b);
		}
		a += step_a;
		b += step_b;
		here = there;
	}
	return false;
}

/* ---- slope and intercept with their intervals ---- */

static struct hl_interval spread(double value, const double *without, size_t groups)
{
	struct hl_jackknife jackknife = hl_jackknife(without, 1, groups);
	double half = hl_student_quantile(0.975, jackknife.df) * jackknife.error;
	if (!(jackknife.error > 0))
		return (struct hl_interval){(double)NAN, (double)NAN};
	return (struct hl_interval){value - half, value + half};
}

/* The coefficients without each group: one step from those with all. */
static void leave_out(const struct curve *whole, const struct curve *of_group, size_t groups, double slope,
                      double intercept, double *slopes, double *intercepts)
{
	for (size_t g = 0; g < groups; g++) {
		const struct curve *one = &of_group[g];
		struct curve rest = {.slope = whole->slope - one->slope,
		                     .intercept = whole->intercept - one->intercept,
		                     .slope2 = whole->slope2 - one->slope2,
		                     .both = whole->both - one->both,
		                     .intercept2 = whole->intercept2 - one->intercept2};
		double step_a = (double)NAN, step_b = (double)NAN;
		newton(&rest, &step_a, &step_b);
		slopes[g] = slope + step_a;
		intercepts[g] = intercept + step_b;
	}
}

static enum hilum_status find_slope(const struct hl_table *table, const struct hl_counting *counting,
                                    struct hl_reliability *out, struct hilum_error *error)
{
	size_t n = table->n, groups = counting->groups;
	double *x = hl_alloc(n, sizeof(*x)), *target = hl_alloc(n, sizeof(*target));
	struct curve *of_group = hl_alloc(groups, sizeof(*of_group)), whole = {0};
	double *without = hl_alloc(groups, 2 * sizeof(*without));
	enum hilum_status status = HILUM_OK;
	if (!x || !target || !of_group || !without) {
		status = hl_fail_memory(error, n * 2 * sizeof(*x) + groups * sizeof(*of_group), "reliability");
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		x[i] = hl_logit(table->probability[i]);
		target[i] = table->label[i] == 1;
	}
	if (!hl_logistic(x, target, NULL, n, &out->slope, &out->intercept))
		goto out;
	for (size_t i = 0; i < n; i++) {
		add(&whole, x[i], target[i], out->slope, out->intercept);
		add(&of_group[counting->group[i]], x[i], target[i], out->slope, out->intercept);
	}
	leave_out(&whole, of_group, groups, out->slope, out->intercept, without, without + groups);
	out->slope_interval = spread(out->slope, without, groups);
	out->intercept_interval = spread(out->intercept, without + groups, groups);
out:
	hl_free(x);
	hl_free(target);
	hl_free(of_group);
	hl_free(without);
	return status;
}

enum hilum_status hl_reliability_compute(const struct hl_table *table, const struct hl_counting *counting,
                                         struct hl_reliability *out, struct hilum_error *error)
{
	const struct hl_interval none = {(double)NAN, (double)NAN};
	struct hl_reliability made = {
	    .slope = (double)NAN, .intercept = (double)NAN, .slope_interval = none, .intercept_interval = none};
	enum hilum_status status = find_bins(table, &made, error);
	if (!status && table->classes == 2)
		status = find_slope(table, counting, &made, error);
	if (!status)
		*out = made;
	return status;
}
