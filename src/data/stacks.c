/* Stacks of a manifest: rows of one patient and one stack (or nodule), their slices in the order of a column. */
#include "data/collect.h"

#include "base/memory.h"
#include "base/number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SLICES_MAX 16384

/* A row in the order of patient, stack and slice. */
struct row {
	const struct hl_found *found;
	size_t index;
	double slice;
};

static int compare_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int compare_stacks(const struct hl_found *a, const struct hl_found *b)
{
	int order = compare_text(a->patient, b->patient);
	return order ? order : compare_text(a->stack, b->stack);
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = compare_stacks(x->found, y->found);
	return order ? order : (x->slice > y->slice) - (x->slice < y->slice);
}

static enum hilum_status sort_rows(const struct hl_collect *collect, struct row *rows, struct hilum_error *error)
{
	for (size_t i = 0; i < collect->count; i++) {
		const struct hl_found *found = &collect->found[i];
		char *end;
		rows[i] = (struct row){.found = found, .index = i, .slice = hl_number_parse(found->slice, &end)};
		if (end == found->slice || *end || !isfinite(rows[i].slice))
			return hl_fail(error, HILUM_ERROR_FORMAT, "%s: slice \"%.40s\" is not a number",
			               found->item.path, found->slice);
	}
	qsort(rows, collect->count, sizeof(*rows), compare_rows);
	return HILUM_OK;
}

/* Rows from first on that are of one stack. */
static enum hilum_status measure(const struct row *rows, size_t first, size_t count, size_t *length,
                                 struct hilum_error *error)
{
	const struct hl_found *head = rows[first].found;
	size_t end = first + 1;
	for (; end < count && compare_stacks(head, rows[end].found) == 0; end++) {
		const struct hl_found *found = rows[end].found;
		const char *differ = NULL;
		if (rows[end].slice == rows[end - 1].slice)
			differ = "the same slice number";
		else if (found->item.origin != head->item.origin)
			differ = "different labels";
		else if (compare_text(found->group, head->group) != 0)
			differ = "different groups";
		else if (found->item.part != head->item.part)
			differ = "different parts of the split";
		if (differ)
			return hl_fail(error, HILUM_ERROR_DATA, "%.150s and %.150s are of one stack and have %s",
			               head->item.path, found->item.path, differ);
	}
	*length = end - first;
	if (*length > SLICES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%s: a stack of %zu slices, more than %d", head->item.path,
		               *length, SLICES_MAX);
	return HILUM_OK;
}

/* What the rows of one stack know of it. */
static enum hilum_status note_stack(struct hl_collect *collect, const struct row *rows, size_t first, size_t length,
                                    struct hilum_error *error)
{
	for (size_t i = 0; i < length; i++) {
		struct hl_case *item = &collect->found[rows[first + i].index].item;
		item->slice_first = first;
		item->slice_count = (int32_t)length;
		item->slice_at = (int32_t)i;
		collect->slices[first + i] = hl_strdup(item->file);
		if (!collect->slices[first + i])
			return hl_fail_memory(error, strlen(item->file), "a path");
	}
	return HILUM_OK;
}

/* The first slice of each stack is left as the case. */
static void merge(struct hl_collect *collect)
{
	size_t left = 0;
	for (size_t i = 0; i < collect->count; i++) {
		struct hl_case *item = &collect->found[i].item;
		if (item->slice_at > 0) {
			hl_free(item->path);
			hl_free(item->file);
			continue;
		}
		item->slice_at = item->slice_count / 2;
		collect->found[left++] = collect->found[i];
	}
	collect->count = left;
}

enum hilum_status hl_stacks_make(struct hl_collect *collect, const char *path, enum hl_dims dims,
                                 struct hilum_error *error)
{
	if (collect->count == 0 || !collect->found[0].stack)
		return HILUM_OK;
	if (!collect->found[0].slice)
		return hl_fail(error, HILUM_ERROR_FORMAT,
		               "%s: no column \"slice\" to tell the order of the slices of a stack", path);
	struct row *rows = hl_alloc(collect->count, sizeof(*rows));
	collect->slices = hl_alloc(collect->count, sizeof(*collect->slices));
	enum hilum_status status = HILUM_OK;
	if (!rows || !collect->slices)
		status = hl_fail_memory(error, collect->count * sizeof(*rows), "stacks");
	else
		collect->slice_total = collect->count;
	if (!status)
		status = sort_rows(collect, rows, error);
	for (size_t first = 0, length = 0; first < collect->count && !status; first += length) {
		status = measure(rows, first, collect->count, &length, error);
		if (!status)
			status = note_stack(collect, rows, first, length, error);
	}
	hl_free(rows);
	if (status)
		return hl_prefix(error, status, "%s", path);
	if (dims == HL_DIMS_3)
		merge(collect);
	return HILUM_OK;
}
