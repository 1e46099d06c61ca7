#include "eval/delong.h"

#include "base/memory.h"
#include "eval/distribution.h"

#include <math.h>
#include <stdlib.h>

struct placed {
	double score;
	size_t index;
};

static int rising(const void *a, const void *b)
{
	double x = ((const struct placed *)a)->score, y = ((const struct placed *)b)->score;
	return (x > y) - (x < y);
}

/* place[i]: the share of cases of the other kind that case i is on the right side of, ties counted half. */
static void find_places(const int32_t *label, const double *score, size_t n, size_t positives, struct placed *sorted,
                        double *place)
{
	size_t seen[2] = {0, 0}, of[2] = {n - positives, positives};
	for (size_t i = 0; i < n; i++)
		sorted[i] = (struct placed){score[i], i};
	qsort(sorted, n, sizeof(*sorted), rising);
	for (size_t i = 0, end; i < n; i = end) {
		size_t here[2] = {0, 0};
		for (end = i; end < n && sorted[end].score == sorted[i].score; end++)
			here[label[sorted[end].index] == 1]++;
		for (size_t k = i; k < end; k++) {
			bool positive = label[sorted[k].index] == 1;
			double below = (double)seen[!positive] + 0.5 * (double)here[!positive];
			double all = (double)of[!positive];
			place[sorted[k].index] = (positive ? below : all - below) / all;
		}
		seen[0] += here[0];
		seen[1] += here[1];
	}
}

/* Sums over both kinds of the covariance of places within the kind, divided by its number. */
static double covariance(const int32_t *label, const double *a, double mean_a, const double *b, double mean_b, size_t n,
                         size_t positives)
{
	double sum[2] = {0, 0}, of[2] = {(double)(n - positives), (double)positives};
	for (size_t i = 0; i < n; i++)
		sum[label[i] == 1] += (a[i] - mean_a) * (b[i] - mean_b);
	if (of[0] < 2 || of[1] < 2)
		return (double)NAN;
	return sum[0] / ((of[0] - 1) * of[0]) + sum[1] / ((of[1] - 1) * of[1]);
}

static double area(const int32_t *label, const double *place, size_t n, size_t positives)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += label[i] == 1 ? place[i] : 0;
	return sum / (double)positives;
}

enum hilum_status hl_delong(const int32_t *label, const double *a, const double *b, size_t n, struct hl_delong *out,
                            struct hilum_error *error)
{
	struct hl_delong made = {{(double)NAN, (double)NAN}, {(double)NAN, (double)NAN}, (double)NAN};
	size_t positives = 0;
	for (size_t i = 0; i < n; i++)
		positives += label[i] == 1;
	if (positives == 0 || positives == n) {
		*out = made;
		return HILUM_OK;
	}
	struct placed *sorted = hl_alloc(n, sizeof(*sorted));
	double *place = hl_alloc(n, 2 * sizeof(*place));
	enum hilum_status status = HILUM_OK;
	if (!sorted || !place) {
		status = hl_fail_memory(error, n * 4 * sizeof(double), "the areas' variances");
		goto out;
	}
	for (int k = 0; k < (b ? 2 : 1); k++) {
		double *own = place + (size_t)k * n;
		find_places(label, k ? b : a, n, positives, sorted, own);
		made.auc[k] = area(label, own, n, positives);
		made.variance[k] = covariance(label, own, made.auc[k], own, made.auc[k], n, positives);
	}
	if (b)
		made.covariance = covariance(label, place, made.auc[0], place + n, made.auc[1], n, positives);
	*out = made;
out:
	hl_free(sorted);
	hl_free(place);
	return status;
}

struct hl_interval hl_delong_interval(double auc, double variance)
{
	double half = HL_NORMAL_95 * sqrt(variance);
	if (!(variance > 0))
		return (struct hl_interval){(double)NAN, (double)NAN};
	return (struct hl_interval){fmax(auc - half, 0), fmin(auc + half, 1)};
}

double hl_delong_test(const struct hl_delong *delong, double *variance)
{
	*variance = delong->variance[0] + delong->variance[1] - 2 * delong->covariance;
	if (!(*variance > 0))
		return (double)NAN;
	return 2 * hl_normal_cdf(-fabs(delong->auc[0] - delong->auc[1]) / sqrt(*variance));
}
