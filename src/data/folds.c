#include "data/folds.h"

#include "base/csv.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/split.h"

#include <stdlib.h>
#include <string.h>

#define TABLE_MAX ((size_t)1 << 30)

/* ---- drawing ---- */

struct group {
	uint32_t start, size; /* its cases: member[start .. start + size) */
	uint32_t rank;        /* order among groups of one size */
};

struct draw {
	const struct hl_dataset *dataset;
	int32_t k;
	uint32_t *member;
	struct group *group;
	double want[HILUM_CLASSES_MAX];                 /* cases of each class in a fold */
	double (*have)[HILUM_CLASSES_MAX], *cases_have; /* by fold */
};

static int larger_first(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	return (x->rank > y->rank) - (x->rank < y->rank);
}

/* Cases by group, and how many of each class belong into a fold. */
static enum hilum_status list_groups(struct draw *draw, struct hilum_error *error)
{
	const struct hl_dataset *dataset = draw->dataset;
	uint32_t at = 0, *next = hl_alloc((size_t)dataset->group_count, sizeof(*next));
	uint32_t groups_of[HILUM_CLASSES_MAX] = {0};
	int32_t *last = hl_alloc((size_t)dataset->origin_count, sizeof(*last)); /* group seen, counted from 1 */
	enum hilum_status status = HILUM_OK;
	if (!next || !last) {
		status = hl_fail_memory(error, dataset->count * sizeof(*next), "folds");
		goto out;
	}
	for (size_t i = 0; i < dataset->count; i++)
		draw->group[dataset->cases[i].group].size++;
	for (int32_t g = 0; g < dataset->group_count; g++) {
		draw->group[g].start = next[g] = at;
		at += draw->group[g].size;
	}
	for (size_t i = 0; i < dataset->count; i++)
		draw->member[next[dataset->cases[i].group]++] = (uint32_t)i;
	for (size_t i = 0; i < dataset->count; i++) {
		const struct hl_case *item = &dataset->cases[draw->member[i]];
		draw->want[item->origin] += 1.0 / draw->k;
		groups_of[item->origin] += last[item->origin] != item->group + 1;
		last[item->origin] = item->group + 1;
	}
	for (int32_t c = 0; c < dataset->origin_count && !status; c++)
		if (groups_of[c] < 2)
			status = hl_fail(error, HILUM_ERROR_DATA,
			                 "class \"%.80s\" has one %s only: it cannot be both learnt and tested",
			                 dataset->origins[c], dataset->grouped ? "group" : "case");
out:
	hl_free(next);
	hl_free(last);
	return status;
}

/* The fold where adding the group raises sum((have - want)^2 / want) least; then the one with the fewest cases. */
static int32_t best_fold(const struct draw *draw, const double content[HILUM_CLASSES_MAX])
{
	int32_t best = 0;
	double least = 0;
	for (int32_t f = 0; f < draw->k; f++) {
		double cost = 0;
		for (int32_t c = 0; c < draw->dataset->origin_count; c++)
			if (content[c] > 0)
				cost +=
				    content[c] * (2 * (draw->have[f][c] - draw->want[c]) + content[c]) / draw->want[c];
		bool tie = cost < least + 1e-9;
		if (f == 0 || cost < least - 1e-9 || (tie && draw->cases_have[f] < draw->cases_have[best])) {
			best = f;
			least = cost;
		}
	}
	return best;
}

static void draw_once(struct draw *draw, uint32_t *rank, struct hl_random *random, int32_t *number)
{
	const struct hl_dataset *dataset = draw->dataset;
	size_t groups = (size_t)dataset->group_count;
	memset(draw->have, 0, (size_t)draw->k * sizeof(*draw->have));
	memset(draw->cases_have, 0, (size_t)draw->k * sizeof(*draw->cases_have));
	for (size_t g = 0; g < groups; g++)
		rank[g] = (uint32_t)g;
	hl_random_shuffle(random, rank, (uint32_t)groups);
	for (size_t g = 0; g < groups; g++)
		draw->group[g].rank = rank[g];
	qsort(draw->group, groups, sizeof(*draw->group), larger_first);
	for (size_t g = 0; g < groups; g++) {
		double content[HILUM_CLASSES_MAX] = {0};
		const uint32_t *member = draw->member + draw->group[g].start;
		for (uint32_t i = 0; i < draw->group[g].size; i++)
			content[dataset->cases[member[i]].origin] += 1;
		int32_t fold = best_fold(draw, content);
		for (int32_t c = 0; c < dataset->origin_count; c++)
			draw->have[fold][c] += content[c];
		draw->cases_have[fold] += draw->group[g].size;
		for (uint32_t i = 0; i < draw->group[g].size; i++)
			number[member[i]] = fold;
	}
}

static enum hilum_status folds_init(struct hl_folds *folds, size_t cases, int32_t repeats, struct hilum_error *error)
{
	size_t total;
	*folds = (struct hl_folds){.cases = cases, .repeats = repeats};
	if (!hl_mul_size(cases, (size_t)repeats, &total))
		return hl_fail(error, HILUM_ERROR_LIMIT, "%d repeats of %zu cases are too many", repeats, cases);
	folds->number = hl_alloc(total, sizeof(*folds->number));
	folds->listed = hl_alloc((size_t)repeats, sizeof(*folds->listed));
	if (folds->number && folds->listed)
		return HILUM_OK;
	hl_folds_free(folds);
	return hl_fail_memory(error, total * sizeof(*folds->number), "folds");
}

static int rising(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	return (x > y) - (x < y);
}

static enum hilum_status list_numbers(struct hl_folds *folds, int32_t repeat, struct hilum_error *error)
{
	const int32_t *number = folds->number + (size_t)repeat * folds->cases;
	struct hl_fold_list *list = &folds->listed[repeat];
	for (size_t i = 0; i < folds->cases; i++) {
		int32_t k = 0;
		while (k < list->count && list->number[k] != number[i])
			k++;
		if (k < list->count)
			continue;
		if (k == HL_FOLDS_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "more than %d folds", HL_FOLDS_MAX);
		list->number[list->count++] = number[i];
	}
	qsort(list->number, (size_t)list->count, sizeof(*list->number), rising);
	if (list->count < 2)
		return hl_fail(error, HILUM_ERROR_DATA, "one fold only: nothing would be left to train on");
	return HILUM_OK;
}

enum hilum_status hl_folds_draw(const struct hl_dataset *dataset, int32_t k, int32_t repeats, uint64_t seed,
                                struct hl_folds *out, struct hilum_error *error)
{
	struct draw draw = {.dataset = dataset, .k = k};
	size_t groups = (size_t)dataset->group_count;
	if (k < 2 || k > HL_FOLDS_MAX || repeats < 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT,
		               "%d folds, %d repeats: from 2 to %d folds, 1 repeat or more", k, repeats, HL_FOLDS_MAX);
	if ((size_t)k > groups)
		return hl_fail(error, HILUM_ERROR_DATA, "%d folds of %zu %s", k, groups,
		               dataset->grouped ? "groups" : "cases");
	enum hilum_status status = folds_init(out, dataset->count, repeats, error);
	if (status)
		return status;
	uint32_t *rank = hl_alloc(groups, sizeof(*rank));
	draw.member = hl_alloc(dataset->count, sizeof(*draw.member));
	draw.group = hl_alloc(groups, sizeof(*draw.group));
	draw.have = hl_alloc((size_t)k, sizeof(*draw.have));
	draw.cases_have = hl_alloc((size_t)k, sizeof(*draw.cases_have));
	if (!rank || !draw.member || !draw.group || !draw.have || !draw.cases_have)
		status = hl_fail_memory(error, groups * sizeof(*draw.group), "folds");
	if (!status)
		status = list_groups(&draw, error);
	for (int32_t r = 0; r < repeats && !status; r++) {
		struct hl_random random = hl_random_stream(seed, (uint32_t)r, 2, HL_RANDOM_SPLIT);
		draw_once(&draw, rank, &random, out->number + (size_t)r * dataset->count);
		status = list_numbers(out, r, error);
	}
	hl_free(rank);
	hl_free(draw.member);
	hl_free(draw.group);
	hl_free(draw.have);
	hl_free(draw.cases_have);
	if (status)
		hl_folds_free(out);
	return status;
}

/* ---- tables ---- */

enum hilum_status hl_folds_read(struct hl_dataset *dataset, const char *csv, const char *column, struct hl_folds *out,
                                struct hilum_error *error)
{
	enum hilum_status status = folds_init(out, dataset->count, 1, error);
	if (status)
		return status;
	status = hl_split_fold_numbers(dataset, csv, column, out->number, error);
	if (!status)
		status = list_numbers(out, 0, error);
	if (status)
		hl_folds_free(out);
	return status;
}

void hl_folds_free(struct hl_folds *folds)
{
	hl_free(folds->number);
	hl_free(folds->listed);
	*folds = (struct hl_folds){0};
}

void hl_folds_column(const struct hl_folds *folds, int32_t repeat, char name[32])
{
	if (folds->repeats == 1)
		snprintf(name, 32, "fold");
	else
		snprintf(name, 32, "fold_%d", repeat + 1);
}

enum hilum_status hl_folds_write(const struct hl_folds *folds, const struct hl_dataset *dataset, const char *path,
                                 struct hilum_error *error)
{
	struct hl_buffer buffer;
	char name[32];
	hl_buffer_init(&buffer, TABLE_MAX);
	enum hilum_status status = hl_buffer_print(&buffer, error, "path");
	for (int32_t r = 0; r < folds->repeats && !status; r++) {
		hl_folds_column(folds, r, name);
		status = hl_buffer_print(&buffer, error, ",%s", name);
	}
	for (size_t i = 0; i < folds->cases && !status; i++) {
		status = hl_buffer_append(&buffer, "\n", 1, error);
		if (!status)
			status = hl_csv_append(&buffer, dataset->cases[i].path, error);
		for (int32_t r = 0; r < folds->repeats && !status; r++)
			status = hl_buffer_print(&buffer, error, ",%d", folds->number[(size_t)r * folds->cases + i]);
	}
	if (!status)
		status = hl_buffer_append(&buffer, "\n", 1, error);
	if (!status)
		status = hl_file_write(path, &(struct hl_part){buffer.data, buffer.length}, 1, error);
	hl_buffer_free(&buffer);
	return status;
}
