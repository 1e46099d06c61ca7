#include "eval/scores.h"

#include "base/memory.h"
#include "data/dataset.h"
#include "infer/predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool count_groups(const struct hl_table *table, size_t *count)
{
	*count = 0;
	if (!table->group)
		return true;
	const char **sorted = hl_alloc(table->n, sizeof(*sorted));
	if (!sorted)
		return false;
	memcpy(sorted, table->group, table->n * sizeof(*sorted));
	qsort(sorted, table->n, sizeof(*sorted), by_text);
	for (size_t i = 0; i < table->n; i++)
		*count += i == 0 || strcmp(sorted[i], sorted[i - 1]) != 0;
	hl_free(sorted);
	return true;
}

enum hilum_status hl_scores_from_table(const struct hl_table *table, struct hilum_scores **out,
                                       struct hilum_error *error)
{
	struct hilum_scores *scores = hl_alloc(1, sizeof(*scores));
	if (!scores)
		return hl_fail_memory(error, sizeof(*scores), "scores");
	enum hilum_status status = hl_metrics_compute(table, &scores->metrics, error);
	if (status)
		goto out;
	size_t width = table->classes == 2 ? 1 : (size_t)table->classes;
	struct hl_table *copy = &scores->table;
	copy->n = table->n;
	copy->classes = table->classes;
	copy->label = copy_bytes(table->label, table->n, sizeof(*table->label));
	copy->probability = copy_bytes(table->probability, table->n * width, sizeof(*table->probability));
	copy->names = copy_texts(table->names, (size_t)table->classes);
	copy->id = table->id ? copy_texts(table->id, table->n) : NULL;
	copy->group = table->group ? copy_texts(table->group, table->n) : NULL;
	if (!copy->label || !copy->probability || !copy->names || (table->id && !copy->id) ||
	    (table->group && !copy->group) || !count_groups(copy, &scores->groups))
		status = hl_fail_memory(error, table->n * width * sizeof(double), "scores");
out:
	if (status)
		hilum_scores_free(scores);
	else
		*out = scores;
	return status;
}

enum hilum_status hl_scores_from_predictions(const struct hl_dataset *dataset, const struct hl_predictions *predictions,
                                             const char *part, struct hilum_scores **out, struct hilum_error *error)
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
	status = hl_scores_from_table(&table, &scores, error);
	if (status)
		goto out;
	scores->unreadable = predictions->unreadable;
	snprintf(scores->part, sizeof(scores->part), "%s", part ? part : "");
	*out = scores;
out:
	hl_free(group);
	hl_free(id);
	hl_free(probability);
	hl_free(label);
	return status;
}

double hilum_scores_get(const struct hilum_scores *scores, const char *name)
{
	static const char prefix[] = "baseline_";
	bool baseline = strncmp(name, prefix, sizeof(prefix) - 1) == 0;
	const char *plain = baseline ? name + sizeof(prefix) - 1 : name;
	for (const struct hl_figure *figure = hl_figures; figure->name; figure++)
		if (strcmp(figure->name, plain) == 0)
			return hl_figure_get(&scores->metrics, baseline ? figure->baseline : figure->offset);
	if (strcmp(name, "n") == 0)
		return (double)scores->metrics.n;
	if (strcmp(name, "groups") == 0 && scores->groups)
		return (double)scores->groups;
	if (strcmp(name, "unreadable") == 0)
		return (double)scores->unreadable;
	return (double)NAN;
}
