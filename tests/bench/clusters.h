/* Simulated tables of two models on cases in groups, with known figures: what intervals are tried on.
 *
 * Group g has a size, a share of positive cases and an effect b_g, normal; case i has a label y and an effect e_i.
 * Model A gives it the logit 2 (separation (y - 1/2) + between b_g + sqrt(1 - between^2) e_i); model B the same with
 * 9/10 of the separation and effects whose correlation with A's is 0.7. */
#ifndef TESTS_CLUSTERS_H
#define TESTS_CLUSTERS_H
#include "base/memory.h"
#include "base/random.h"
#include "eval/calibration.h"
#include "eval/confidence.h"
#include "eval/distribution.h"

#include <math.h>
#include <stdlib.h>

enum sizes { SINGLE, FIVE, UNEQUAL }; /* unequal: log-normal, median 3, mean 5, at most 60 */
enum labels { BY_CASE, BY_GROUP, MIXED };

struct clusters {
	const char *name;
	uint32_t groups;
	enum sizes sizes;
	enum labels labels;
	double separation, between, positive;
};

static const struct clusters clusters[] = {
    {"20 unequal groups, labels by case", 20, UNEQUAL, BY_CASE, 1.5, 0.6, 0.4},
    {"20 unequal groups, labels by group", 20, UNEQUAL, BY_GROUP, 1.5, 0.6, 0.5},
    {"30 unequal groups, labels mixed, AUC 0.95", 30, UNEQUAL, MIXED, 2.3, 0.6, 0.3},
    {"40 groups of 5, labels mixed, AUC 0.70", 40, FIVE, MIXED, 0.75, 0.6, 0.4},
    {"50 unequal groups, labels mixed", 50, UNEQUAL, MIXED, 1.5, 0.7, 0.3},
    {"50 unequal groups, labels by group, AUC 0.95", 50, UNEQUAL, BY_GROUP, 2.3, 0.6, 0.4},
    {"100 single cases, AUC 0.90", 100, SINGLE, BY_CASE, 1.8, 0, 0.3},
    {"200 unequal groups, labels by group, AUC 0.95", 200, UNEQUAL, BY_GROUP, 2.3, 0.6, 0.2},
};

/* What is looked at: the figures, and behind them those of calibration. */
enum { SLOPE = HL_FIGURES, INTERCEPT, ROWS };

struct simulated {
	size_t n, capacity;
	int32_t *label;
	double *a, *b;
	char (*name)[12];
	const char **group;
};

static void simulated_free(struct simulated *table)
{
	free(table->label);
	free(table->a);
	free(table->b);
	free(table->name);
	free((void *)table->group);
}

static size_t draw_size(struct hl_random *random, enum sizes sizes)
{
	if (sizes != UNEQUAL)
		return sizes == SINGLE ? 1 : 5;
	double size = ceil(exp(1.1 + 0.9 * hl_random_normal(random)));
	return size < 1 ? 1 : size > 60 ? 60 : (size_t)size;
}

static void grow(struct simulated *table)
{
	if (table->n < table->capacity)
		return;
	table->capacity = table->capacity ? 2 * table->capacity : 64;
	table->label = realloc(table->label, table->capacity * sizeof(*table->label));
	table->a = realloc(table->a, table->capacity * sizeof(*table->a));
	table->b = realloc(table->b, table->capacity * sizeof(*table->b));
	table->name = realloc(table->name, table->capacity * sizeof(*table->name));
	if (!table->label || !table->a || !table->b || !table->name)
		abort();
}

static double effect(struct hl_random *random, double shared)
{
	return 0.7 * shared + sqrt(1 - 0.7 * 0.7) * hl_random_normal(random);
}

static void simulate(const struct clusters *kind, struct hl_random *random, uint32_t groups, struct simulated *table)
{
	*table = (struct simulated){0};
	for (uint32_t g = 0; g < groups; g++) {
		size_t size = draw_size(random, kind->sizes);
		double of_group = hl_random_normal(random), other = effect(random, of_group), share = kind->positive;
		double within = sqrt(1 - kind->between * kind->between);
		if (kind->labels == BY_GROUP)
			share = hl_random_uniform(random) < share;
		else if (kind->labels == MIXED)
			share = hl_normal_cdf(hl_normal_quantile(share) * sqrt(2) + hl_random_normal(random));
		for (size_t i = 0; i < size; i++, table->n++) {
			grow(table);
			int32_t label = hl_random_uniform(random) < share;
			double of_case = hl_random_normal(random), side = kind->separation * (label - 0.5);
			table->label[table->n] = label;
			table->a[table->n] = 1 / (1 + exp(-2 * (side + kind->between * of_group + within * of_case)));
			table->b[table->n] =
			    1 / (1 + exp(-2 * (0.9 * side + kind->between * other + within * effect(random, of_case))));
			snprintf(table->name[table->n], sizeof(*table->name), "%08u", g);
		}
	}
	table->group = malloc(table->n * sizeof(*table->group));
	if (!table->group)
		abort();
	for (size_t i = 0; i < table->n; i++)
		table->group[i] = table->name[i];
}

static struct hl_table as_table(const struct simulated *table, const double *probability)
{
	static const char *const names[] = {"0", "1"};
	return (struct hl_table){.n = table->n,
	                         .classes = 2,
	                         .label = table->label,
	                         .probability = probability,
	                         .names = names,
	                         .group = table->group,
	                         .prevalence = 0.1};
}

static void count_simulated(const struct simulated *table, const double *probability, bool single,
                            struct hl_counting *out)
{
	const struct hl_table whole = as_table(table, probability);
	if (hl_counting_create(&whole, single, out, NULL))
		abort();
}

static struct hl_reliability find_reliability(const struct simulated *table, const struct hl_counting *counting)
{
	const struct hl_table whole = as_table(table, table->a);
	struct hl_reliability reliability;
	if (hl_reliability_compute(&whole, counting, &reliability, NULL))
		abort();
	return reliability;
}

/* The figures of model A, and how much they differ from B's, in so many groups that chance is small. */
static void find_truth(const struct clusters *kind, uint32_t groups, double figure[ROWS], double difference[HL_FIGURES])
{
	struct hl_random random = hl_random_stream(1, 0, 0, HL_RANDOM_TEST);
	struct simulated table;
	struct hl_counting a, b;
	simulate(kind, &random, groups, &table);
	count_simulated(&table, table.a, false, &a);
	count_simulated(&table, table.b, false, &b);
	hl_counting_figures(&a, NULL, figure, NULL, NULL);
	hl_counting_figures(&b, NULL, difference, NULL, NULL);
	for (int i = 0; i < HL_FIGURES; i++)
		difference[i] = figure[i] - difference[i];
	const struct hl_reliability reliability = find_reliability(&table, &a);
	figure[SLOPE] = reliability.slope;
	figure[INTERCEPT] = reliability.intercept;
	hl_counting_free(&a);
	hl_counting_free(&b);
	simulated_free(&table);
}

/* The intervals of one simulated table, its groups seen or (single) not. False where it has one class only. */
static bool find_intervals(const struct clusters *kind, uint32_t number, int64_t resamples, bool single,
                           struct hl_interval figure[ROWS], struct hl_interval difference[HL_FIGURES])
{
	struct hl_random random = hl_random_stream(2, 0, number, HL_RANDOM_TEST);
	const struct hl_resample_options options = {.resamples = resamples, .seed = number};
	struct simulated table;
	struct hl_counting a, b;
	struct hl_resamples first = {0}, second = {0};
	double whole[HL_FIGURES];
	simulate(kind, &random, kind->groups, &table);
	count_simulated(&table, table.a, single, &a);
	count_simulated(&table, table.b, single, &b);
	hl_counting_figures(&a, NULL, whole, NULL, NULL);
	bool both = !isnan(whole[HL_AUC]);
	if (both && (hl_confidence(&a, &options, figure, NULL) || hl_resamples_create(&a, &options, &first, NULL) ||
	             hl_resamples_create(&b, &options, &second, NULL)))
		abort();
	if (both) {
		hl_resamples_subtract(&first, &second);
		if (hl_resamples_intervals(&first, difference, NULL))
			abort();
		const struct hl_reliability reliability = find_reliability(&table, &a);
		figure[SLOPE] = reliability.slope_interval;
		figure[INTERCEPT] = reliability.intercept_interval;
	}
	hl_resamples_free(&first);
	hl_resamples_free(&second);
	hl_counting_free(&a);
	hl_counting_free(&b);
	simulated_free(&table);
	return both;
}
#endif
