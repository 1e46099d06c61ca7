#include "eval/aggregate.h"

#include "base/memory.h"
#include "infer/combine.h"

#include <stdlib.h>
#include <string.h>

const char *const hl_aggregates[] = {"auto", "mean", "max", "noisy-or", NULL};

static int by_group(const void *a, const void *b, void *context)
{
	const char *const *group = context;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int order = strcmp(group[x], group[y]);
	return order ? order : (x > y) - (x < y);
}

static enum hilum_status label_group(const struct hl_table *table, const size_t *cases, size_t count, int32_t *out,
                                     struct hilum_error *error)
{
	int32_t label = table->label[cases[0]];
	for (size_t i = 1; i < count; i++) {
		if (table->classes > 2 && table->label[cases[i]] != label)
			return hl_fail(error, HILUM_ERROR_DATA,
			               "cases %zu and %zu are of one group and have different labels: with more than "
			               "two classes a group cannot be scored as one",
			               cases[0] + 1, cases[i] + 1);
		label = label > table->label[cases[i]] ? label : table->label[cases[i]];
	}
	*out = label;
	return HILUM_OK;
}

static enum hilum_status fill(const struct hl_table *table, enum hilum_aggregate how, const size_t *sorted,
                              struct hl_grouped *out, struct hilum_error *error)
{
	size_t width = table->classes == 2 ? 1 : (size_t)table->classes, groups = 0;
	for (size_t i = 0, end; i < table->n; i = end, groups++) {
		for (end = i + 1; end < table->n && strcmp(table->group[sorted[end]], table->group[sorted[i]]) == 0;)
			end++;
		enum hilum_status status = label_group(table, sorted + i, end - i, &out->label[groups], error);
		if (status)
			return status;
		out->id[groups] = table->group[sorted[i]];
		if (width == 1)
			out->probability[groups] = hl_combine(how, table->probability, 1, sorted + i, end - i);
		else
			hl_combine_rows(table->probability, width, sorted + i, end - i,
			                out->probability + groups * width);
	}
	out->table = *table;
	out->table.n = groups;
	out->table.label = out->label;
	out->table.probability = out->probability;
	out->table.id = out->table.group = out->id;
	return HILUM_OK;
}

enum hilum_status hl_table_aggregate(const struct hl_table *table, enum hilum_aggregate how, struct hl_grouped *out,
                                     struct hilum_error *error)
{
	struct hl_grouped made = {0};
	if (!table->group)
		return hl_fail(error, HILUM_ERROR_DATA,
		               "by: no groups are given, so that there is none to score as one");
	if (table->classes > 2 && (how == HILUM_AGGREGATE_MAX || how == HILUM_AGGREGATE_NOISY_OR))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "aggregate: \"%s\" is for two classes, not %d",
		               hl_aggregates[how], table->classes);
	enum hilum_status status = hl_table_check(table, error);
	if (status)
		return status;
	size_t width = table->classes == 2 ? 1 : (size_t)table->classes;
	size_t *sorted = hl_alloc(table->n, sizeof(*sorted));
	made.label = hl_alloc(table->n, sizeof(*made.label));
	made.probability = hl_alloc(table->n, width * sizeof(*made.probability));
	made.id = hl_alloc(table->n, sizeof(*made.id));
	if (!sorted || !made.label || !made.probability || !made.id) {
		status = hl_fail_memory(error, table->n * width * sizeof(double), "groups");
		goto out;
	}
	for (size_t i = 0; i < table->n; i++)
		sorted[i] = i;
	qsort_r(sorted, table->n, sizeof(*sorted), by_group, (void *)(uintptr_t)table->group);
	status = fill(table, how, sorted, &made, error);
out:
	hl_free(sorted);
	if (status)
		hl_grouped_free(&made);
	else
		*out = made;
	return status;
}

void hl_grouped_free(struct hl_grouped *grouped)
{
	hl_free(grouped->label);
	hl_free(grouped->probability);
	hl_free((void *)grouped->id);
	*grouped = (struct hl_grouped){0};
}
