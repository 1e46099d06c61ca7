/* How often the 95 % intervals of hilum score and hilum compare hold the truth, on simulated tables (clusters.h):
 *   interval_coverage [SIMULATIONS [RESAMPLES [FIRST [LAST]]]]
 * Prints, for each kind of table and each figure, the share of intervals that hold the truth, those that lie above and
 * below it, their mean width and how many tables had none; then the same for the differences of two models. Tables with
 * one class only are drawn again. Some ten minutes of one core with 2,000 simulations of 2,000 resamples a kind. */
#include "clusters.h"

#include <stdio.h>

#define TRUTH_GROUPS 300000
#define KINDS (sizeof(clusters) / sizeof(*clusters))

struct tally {
	long intervals, above, below, missing;
	double width;
};

static void count(struct tally *tally, struct hl_interval interval, double truth)
{
	if (isnan(interval.low)) {
		tally->missing++;
		return;
	}
	tally->intervals++;
	tally->above += interval.low > truth;
	tally->below += interval.high < truth;
	tally->width += interval.high - interval.low;
}

static void print(const char *what, const struct tally *tally, const double *truth, int rows)
{
	static const char *const others[] = {"calibration slope", "calibration intercept"};
	printf("  %-34s%9s%10s%8s%8s%8s%8s\n", what, "truth", "covered", "above", "below", "width", "none");
	for (int i = 0; i < rows; i++) {
		const char *title = i < HL_FIGURES ? hl_figures[i].title : others[i - SLOPE];
		double n = (double)tally[i].intervals;
		printf("  %-34s%9.3f%9.1f%%%7.1f%%%7.1f%%%8.3f%8ld\n", title, truth[i],
		       100 - 100 * (double)(tally[i].above + tally[i].below) / n, 100 * (double)tally[i].above / n,
		       100 * (double)tally[i].below / n, tally[i].width / n, tally[i].missing);
	}
}

static void try(const struct clusters *kind, long simulations, int64_t resamples)
{
	struct tally figures[ROWS] = {{0}}, differences[HL_FIGURES] = {{0}};
	double truth[ROWS], apart[HL_FIGURES];
	find_truth(kind, TRUTH_GROUPS, truth, apart);
	long done = 0;
#pragma omp parallel for schedule(dynamic)
	for (long i = 0; i < simulations; i++) {
		struct hl_interval figure[ROWS], difference[HL_FIGURES];
		if (!find_intervals(kind, (uint32_t)i, resamples, false, figure, difference))
			continue;
#pragma omp critical
		{
			done++;
			for (int k = 0; k < ROWS; k++)
				count(&figures[k], figure[k], truth[k]);
			for (int k = 0; k < HL_FIGURES; k++)
				count(&differences[k], difference[k], apart[k]);
		}
	}
	printf("%s: %ld tables, %lld resamples\n", kind->name, done, (long long)resamples);
	print("figure", figures, truth, ROWS);
	print("difference of two models", differences, apart, HL_FIGURES);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	long simulations = argc > 1 ? atol(argv[1]) : 2000;
	int64_t resamples = argc > 2 ? atol(argv[2]) : HL_RESAMPLES;
	size_t first = argc > 3 ? (size_t)atol(argv[3]) : 0, last = argc > 4 ? (size_t)atol(argv[4]) : KINDS - 1;
	for (size_t i = first; i <= last && i < KINDS; i++)
		try(&clusters[i], simulations, resamples);
	return EXIT_SUCCESS;
}
