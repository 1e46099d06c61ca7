#include "eval/scores.h"

#include "base/memory.h"
#include "data/dataset.h"
#include "infer/predict.h"

#include <math.h>
#include <string.h>

const char *const hl_bys[] = {"case", "group", NULL};

#define OPTION(member, name_, kind_, ...)                                                                              \
	{                                                                                                              \
		.name = (name_), .kind = HILUM_OPTION_##kind_, .offset = offsetof(struct hilum_score_options, member), \
		__VA_ARGS__                                                                                            \
	}

const struct hilum_option hilum_score_option_table[] = {HL_SCORE_OPTIONS(), {0}};

static void free_texts(const char *const *text, size_t count)
{
	for (size_t i = 0; text && i < count; i++)
		hl_free((char *)(uintptr_t)text[i]);
	hl_free((void *)(uintptr_t)text);
}

void hilum_scores_free(struct hilum_scores *scores)
{
	if (!scores)
		return;
	struct hl_table *table = &scores->table;
	hl_free((void *)(uintptr_t)table->label);
	hl_free((void *)(uintptr_t)table->probability);
	free_texts(table->names, (size_t)table->classes);
	free_texts(table->id, table->n);
	free_texts(table->group, table->n);
	hl_free(scores);
}

static const char *const *copy_texts(const char *const *text, size_t count)
{
	char **copy = hl_alloc(count, sizeof(*copy));
	for (size_t i = 0; copy && i < count; i++) {
		copy[i] = hl_strdup(text[i]);
		if (!copy[i]) {
			free_texts((const char *const *)copy, count);
			return NULL;
		}
	}
	return (const char *const *)copy;
}

static const void *copy_bytes(const void *from, size_t count, size_t size)
{
	void *copy = hl_alloc(count, size);
	if (copy)
		memcpy(copy, from, count * size);
	return copy;
}

/* What is said of figures beyond themselves. */
static enum hilum_status find_confidence(const struct hl_table *table, const struct hilum_score_options *scoring,
                                         struct hilum_scores *scores, struct hilum_error *error)
{
	const struct hl_resample_options resampling = {.resamples = scoring->resamples,
	                                               .seed = (uint64_t)scoring->seed};
	struct hl_counting counting;
	enum hilum_status status = hl_counting_create(table, false, &counting, error);
	if (status)
		return status;
	status = hl_confidence(&counting, &resampling, scores->interval, error);
	scores->resamples = scoring->resamples;
	scores->groups = table->group ? counting.groups : 0;
	bool single = counting.groups == table->n;
	if (!status)
		status = hl_reliability_compute(table, &counting, &scores->reliability, error);
	hl_counting_free(&counting);
	scores->delong = (struct hl_delong){{(double)NAN, (double)NAN}, {(double)NAN, (double)NAN}, (double)NAN};
	if (!status && single && table->classes == 2)
		status = hl_delong(table->label, table->probability, NULL, table->n, &scores->delong, error);
	return status;
}

enum hilum_status hl_scoring_check(const struct hilum_score_options *scoring, struct hilum_error *error)
{
	if (scoring->by < HILUM_BY_CASE || scoring->by > HILUM_BY_GROUP)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "by: %d is neither case nor group", scoring->by);
	if (scoring->aggregate < HILUM_AGGREGATE_AUTO || scoring->aggregate > HILUM_AGGREGATE_NOISY_OR)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "aggregate: %d is none of the ways", scoring->aggregate);
	if (!(scoring->prevalence >= 0 && scoring->prevalence <= 1))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "prevalence: %g is not from 0 to 1", scoring->prevalence);
	if (scoring->by == HILUM_BY_CASE && scoring->aggregate != HILUM_AGGREGATE_AUTO)
		return hl_fail(error, HILUM_ERROR_ARGUMENT,
		               "aggregate: \"%s\" says how groups are scored, which "
		               "--by group asks for",
		               hl_aggregates[scoring->aggregate]);
	return HILUM_OK;
}

enum hilum_aggregate hl_scoring_aggregate(const struct hilum_score_options *scoring)
{
	return scoring->aggregate == HILUM_AGGREGATE_AUTO ? HILUM_AGGREGATE_MEAN
	                                                  : (enum hilum_aggregate)scoring->aggregate;
}

static enum hilum_status from_cases(const struct hl_table *table, const struct hilum_score_options *scoring,
                                    struct hilum_scores **out, struct hilum_error *error)
{
	struct hilum_scores *scores = hl_alloc(1, sizeof(*scores));
	if (!scores)
		return hl_fail_memory(error, sizeof(*scores), "scores");
	enum hilum_status status = hl_metrics_compute(table, &scores->metrics, error);
	if (!status)
		status = find_confidence(table, scoring, scores, error);
	if (status)
		goto out;
	size_t width = table->classes == 2 ? 1 : (size_t)table->classes;
	struct hl_table *copy = &scores->table;
	copy->n = table->n;
	copy->classes = table->classes;
	copy->prevalence = table->prevalence;
	copy->label = copy_bytes(table->label, table->n, sizeof(*table->label));
	copy->probability = copy_bytes(table->probability, table->n * width, sizeof(*table->probability));
	copy->names = copy_texts(table->names, (size_t)table->classes);
	copy->id = table->id ? copy_texts(table->id, table->n) : NULL;
	copy->group = table->group ? copy_texts(table->group, table->n) : NULL;
	if (!copy->label || !copy->probability || !copy->names || (table->id && !copy->id) ||
	    (table->group && !copy->group))
		status = hl_fail_memory(error, table->n * width * sizeof(double), "scores");
out:
	if (status)
		hilum_scores_free(scores);
	else
		*out = scores;
	return status;
}

enum hilum_status hl_scores_from_table(const struct hl_table *given, const struct hilum_score_options *scoring,
                                       struct hilum_scores **out, struct hilum_error *error)
{
	struct hilum_score_options defaults;
	struct hl_grouped grouped = {0};
	struct hl_table table = *given;
	hilum_options_init(hilum_score_option_table, &defaults);
	if (!scoring)
		scoring = &defaults;
	table.prevalence = scoring->prevalence;
	enum hilum_status status = hl_scoring_check(scoring, error);
	if (status)
		return status;
	if (scoring->by == HILUM_BY_CASE)
		return from_cases(&table, scoring, out, error);
	enum hilum_aggregate how = hl_scoring_aggregate(scoring);
	status = hl_table_aggregate(&table, how, &grouped, error);
	if (!status)
		status = from_cases(&grouped.table, scoring, out, error);
	hl_grouped_free(&grouped);
	if (!status) {
		(*out)->cases = table.n;
		(*out)->aggregate = hl_aggregates[how];
	}
	return status;
}

enum hilum_status hl_scores_from_predictions(const struct hl_dataset *dataset, const struct hl_predictions *predictions,
                                             const char *part, const struct hilum_score_options *scoring,
                                             struct hilum_scores **out, struct hilum_error *error)
{
	size_t n = predictions->count, width = predictions->classes == 2 ? 1 : (size_t)predictions->classes;
	if (predictions->classes != dataset->class_count)
		return hl_fail(error, HILUM_ERROR_DATA, "the model knows %d classes, the data set has %d",
		               predictions->classes, dataset->class_count);
	int32_t *label = hl_alloc(n + 1, sizeof(*label));
	double *probability = hl_alloc(n * width + 1, sizeof(*probability));
	const char **id = hl_alloc(n + 1, sizeof(*id)), **group = hl_alloc(n + 1, sizeof(*group));
	enum hilum_status status = HILUM_OK;
	struct hilum_scores *scores = NULL;
	if (!label || !probability || !id || !group) {
		status = hl_fail_memory(error, n * width * sizeof(double), "scores");
		goto out;
	}
	for (size_t i = 0; i < n; i++) {
		const struct hl_case *one = &dataset->cases[predictions->index[i]];
		const double *row = predictions->probability + i * (size_t)predictions->classes;
		label[i] = one->label;
		id[i] = one->path;
		group[i] = dataset->grouped ? dataset->groups[one->group] : "";
		if (width == 1)
			probability[i] = row[1];
		else
			memcpy(probability + i * width, row, width * sizeof(*row));
	}
	struct hl_table table = {.n = n,
	                         .classes = predictions->classes,
	                         .label = label,
	                         .probability = probability,
	                         .names = (const char *const *)dataset->classes,
	                         .id = id,
	                         .group = dataset->grouped ? group : NULL};
	status = hl_scores_from_table(&table, scoring, &scores, error);
	if (status)
		goto out;
	scores->unreadable = predictions->unreadable;
	scores->refused = predictions->refused;
	scores->unusual = predictions->unusual;
	snprintf(scores->part, sizeof(scores->part), "%s", part ? part : "");
	*out = scores;
out:
	hl_free(group);
	hl_free(id);
	hl_free(probability);
	hl_free(label);
	return status;
}

static const struct hl_figure *find_figure(const char *name)
{
	for (const struct hl_figure *figure = hl_figures; figure->name; figure++)
		if (strcmp(figure->name, name) == 0)
			return figure;
	return NULL;
}

bool hilum_scores_interval(const struct hilum_scores *scores, const char *name, double *low, double *high)
{
	const struct hl_figure *figure = find_figure(name);
	if (!figure || isnan(scores->interval[figure - hl_figures].low))
		return false;
	*low = scores->interval[figure - hl_figures].low;
	*high = scores->interval[figure - hl_figures].high;
	return true;
}

double hilum_scores_get(const struct hilum_scores *scores, const char *name)
{
	static const char prefix[] = "baseline_";
	bool baseline = strncmp(name, prefix, sizeof(prefix) - 1) == 0;
	const char *plain = baseline ? name + sizeof(prefix) - 1 : name;
	const struct hl_figure *figure = find_figure(plain);
	if (figure)
		return hl_figure_get(&scores->metrics, baseline ? figure->baseline : figure->offset);
	if (strcmp(name, "n") == 0)
		return (double)scores->metrics.n;
	if (strcmp(name, "groups") == 0 && scores->groups)
		return (double)scores->groups;
	if (strcmp(name, "unreadable") == 0)
		return (double)scores->unreadable;
	if (strcmp(name, "refused") == 0)
		return (double)scores->refused;
	if (strcmp(name, "unusual") == 0)
		return (double)scores->unusual;
	return (double)NAN;
}
