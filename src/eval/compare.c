#include "eval/compare.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the cases of both tables ---- */

/* Two tables of the same cases in the same order; texts are borrowed. */
struct matched {
	size_t n, only[2];
	int32_t *label;
	double *probability[2];
	const char **id, **group;
	struct hl_table table[2];
};

static int by_id(const void *a, const void *b, void *context)
{
	const char *const *id = context;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int order = strcmp(id[x], id[y]);
	return order ? order : (x > y) - (x < y);
}

/* The cases of a table in the order of their ids, each of which must be there once. */
static enum hilum_status sort_ids(const struct hl_table *table, char name, size_t **out, struct hilum_error *error)
{
	if (!table->id)
		return hl_fail(error, HILUM_ERROR_DATA,
		               "table %c: no column path (or id), by which its cases could be matched", name);
	size_t *sorted = hl_alloc(table->n, sizeof(*sorted));
	if (!sorted)
		return hl_fail_memory(error, table->n * sizeof(*sorted), "matching");
	for (size_t i = 0; i < table->n; i++)
		sorted[i] = i;
	qsort_r(sorted, table->n, sizeof(*sorted), by_id, (void *)(uintptr_t)table->id);
	for (size_t i = 1; i < table->n; i++)
		if (strcmp(table->id[sorted[i]], table->id[sorted[i - 1]]) == 0) {
			size_t first = sorted[i - 1], second = sorted[i];
			hl_free(sorted);
			return hl_fail(error, HILUM_ERROR_DATA, "table %c: cases %zu and %zu have the same path", name,
			               first + 1, second + 1);
		}
	*out = sorted;
	return HILUM_OK;
}

static enum hilum_status take(const struct hl_table *a, size_t i, const struct hl_table *b, size_t k,
                              struct matched *out, struct hilum_error *error)
{
	size_t width = a->classes == 2 ? 1 : (size_t)a->classes, n = out->n++;
	if (a->label[i] != b->label[k])
		return hl_fail(error, HILUM_ERROR_DATA,
		               "case %zu of A and case %zu of B have one path but different labels", i + 1, k + 1);
	out->label[n] = a->label[i];
	out->id[n] = a->id[i];
	if (a->group || b->group)
		out->group[n] = a->group ? a->group[i] : b->group[k];
	memcpy(out->probability[0] + n * width, a->probability + i * width, width * sizeof(double));
	memcpy(out->probability[1] + n * width, b->probability + k * width, width * sizeof(double));
	return HILUM_OK;
}

static enum hilum_status check_classes(const struct hl_table *a, const struct hl_table *b, struct hilum_error *error)
{
	bool same = a->classes == b->classes;
	for (int32_t c = 0; c < a->classes && same && a->classes > 2; c++)
		same = strcmp(a->names[c], b->names[c]) == 0;
	return same ? HILUM_OK : hl_fail(error, HILUM_ERROR_DATA, "the two tables do not have the same classes");
}

static void matched_free(struct matched *matched)
{
	hl_free(matched->label);
	hl_free(matched->probability[0]);
	hl_free(matched->probability[1]);
	hl_free((void *)matched->id);
	hl_free((void *)matched->group);
}

static enum hilum_status merge(const struct hl_table *a, const size_t *in_a, const struct hl_table *b,
                               const size_t *in_b, struct matched *out, struct hilum_error *error)
{
	size_t i = 0, k = 0, width = a->classes == 2 ? 1 : (size_t)a->classes;
	enum hilum_status status = HILUM_OK;
	out->label = hl_alloc(a->n, sizeof(*out->label));
	out->probability[0] = hl_alloc(a->n, width * sizeof(double));
	out->probability[1] = hl_alloc(a->n, width * sizeof(double));
	out->id = hl_alloc(a->n, sizeof(*out->id));
	out->group = hl_alloc(a->n, sizeof(*out->group));
	if (!out->label || !out->probability[0] || !out->probability[1] || !out->id || !out->group)
		return hl_fail_memory(error, a->n * (2 * width + 2) * sizeof(double), "matching");
	while (i < a->n && k < b->n && !status) {
		int order = strcmp(a->id[in_a[i]], b->id[in_b[k]]);
		if (order == 0)
			status = take(a, in_a[i], b, in_b[k], out, error);
		out->only[0] += order < 0;
		out->only[1] += order > 0;
		i += order <= 0;
		k += order >= 0;
	}
	out->only[0] += a->n - i;
	out->only[1] += b->n - k;
	if (!status && out->n == 0)
		status = hl_fail(error, HILUM_ERROR_DATA, "the two tables have no case in common");
	for (int t = 0; t < 2; t++) {
		out->table[t] = *a;
		out->table[t].n = out->n;
		out->table[t].label = out->label;
		out->table[t].probability = out->probability[t];
		out->table[t].id = out->id;
		out->table[t].group = a->group || b->group ? out->group : NULL;
	}
	return status;
}

static enum hilum_status match(const struct hl_table *a, const struct hl_table *b, struct matched *out,
                               struct hilum_error *error)
{
	size_t *in_a = NULL, *in_b = NULL;
	*out = (struct matched){0};
	enum hilum_status status = check_classes(a, b, error);
	if (!status)
		status = sort_ids(a, 'A', &in_a, error);
	if (!status)
		status = sort_ids(b, 'B', &in_b, error);
	if (!status)
		status = merge(a, in_a, b, in_b, out, error);
	hl_free(in_a);
	hl_free(in_b);
	return status;
}

/* ---- the difference ---- */

/* Two tables of the same cases, whatever they were made from. */
static enum hilum_status compare_tables(const struct hl_table tables[2], const struct hl_resample_options *options,
                                        struct hilum_comparison *out, struct hilum_error *error)
{
	struct hl_counting counting[2] = {{0}, {0}};
	struct hl_resamples resamples[2] = {{0}, {0}};
	enum hilum_status status = HILUM_OK;
	for (int t = 0; t < 2 && !status; t++) {
		status = hl_counting_create(&tables[t], false, &counting[t], error);
		if (!status)
			status = hl_resamples_create(&counting[t], options, &resamples[t], error);
		if (!status)
			memcpy(out->figure[t], resamples[t].whole, sizeof(out->figure[t]));
	}
	if (!status) {
		hl_resamples_subtract(&resamples[0], &resamples[1]);
		status = hl_resamples_intervals(&resamples[0], out->interval, error);
	}
	out->n = tables[0].n;
	out->classes = tables[0].classes;
	out->groups = tables[0].group ? counting[0].groups : 0;
	out->delong = (struct hl_delong){{(double)NAN, (double)NAN}, {(double)NAN, (double)NAN}, (double)NAN};
	if (!status && counting[0].groups == tables[0].n && tables[0].classes == 2)
		status = hl_delong(tables[0].label, tables[0].probability, tables[1].probability, tables[0].n,
		                   &out->delong, error);
	for (int t = 0; t < 2; t++) {
		hl_counting_free(&counting[t]);
		hl_resamples_free(&resamples[t]);
	}
	return status;
}

static enum hilum_status compare_groups(const struct hl_table tables[2], const struct hilum_score_options *scoring,
                                        const struct hl_resample_options *options, struct hilum_comparison *out,
                                        struct hilum_error *error)
{
	struct hl_grouped grouped[2] = {{0}, {0}};
	enum hilum_aggregate how = hl_scoring_aggregate(scoring);
	enum hilum_status status = HILUM_OK;
	for (int t = 0; t < 2 && !status; t++)
		status = hl_table_aggregate(&tables[t], how, &grouped[t], error);
	if (!status) {
		const struct hl_table both[2] = {grouped[0].table, grouped[1].table};
		status = compare_tables(both, options, out, error);
	}
	for (int t = 0; t < 2; t++)
		hl_grouped_free(&grouped[t]);
	out->aggregate = hl_aggregates[how];
	out->cases = tables[0].n;
	return status;
}

enum hilum_status hilum_compare(const struct hilum_scores *a, const struct hilum_scores *b,
                                const struct hilum_score_options *options, struct hilum_comparison **out,
                                struct hilum_error *error)
{
	struct hilum_score_options scoring;
	struct matched matched;
	hilum_options_init(hilum_score_option_table, &scoring);
	if (options)
		scoring = *options;
	const struct hl_resample_options resampling = {.resamples = scoring.resamples, .seed = (uint64_t)scoring.seed};
	enum hilum_status status = hl_scoring_check(&scoring, error);
	if (status)
		return status;
	struct hilum_comparison *made = hl_alloc(1, sizeof(*made));
	if (!made)
		return hl_fail_memory(error, sizeof(*made), "a comparison");
	status = match(&a->table, &b->table, &matched, error);
	matched.table[0].prevalence = matched.table[1].prevalence = scoring.prevalence;
	if (!status && scoring.by == HILUM_BY_GROUP)
		status = compare_groups(matched.table, &scoring, &resampling, made, error);
	else if (!status)
		status = compare_tables(matched.table, &resampling, made, error);
	made->only[0] = matched.only[0];
	made->only[1] = matched.only[1];
	made->prevalence = scoring.prevalence;
	made->resamples = scoring.resamples;
	matched_free(&matched);
	if (status)
		hilum_comparison_free(made);
	else
		*out = made;
	return status;
}

void hilum_comparison_free(struct hilum_comparison *comparison)
{
	hl_free(comparison);
}

bool hl_comparison_is_significant(const struct hilum_comparison *comparison, int figure)
{
	struct hl_interval interval = comparison->interval[figure];
	return interval.low > 0 || interval.high < 0;
}

int hl_comparison_better(const struct hilum_comparison *comparison, int figure)
{
	bool larger = comparison->figure[1][figure] > comparison->figure[0][figure];
	return larger != hl_figures[figure].less_is_better;
}
