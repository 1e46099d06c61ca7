#include "train/leaks.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/inferred.h"

#define NAMED 3 /* pairs in a message */

enum hilum_status hl_leaks_check(const struct hl_dataset *dataset, bool allow, int32_t threads, size_t *pairs,
                                 struct hilum_error *error)
{
	struct hl_looks looks = {.count = 0};
	struct hl_pairs found = {.count = 0};
	char names[3 * 300] = "";
	size_t used = 0, named = 0;
	int32_t *part = hl_alloc(dataset->count, sizeof(*part));
	if (!part)
		return hl_fail_memory(error, dataset->count * sizeof(*part), "the split");
	for (size_t i = 0; i < dataset->count; i++)
		part[i] = dataset->cases[i].part == HL_PART_NONE ? -1 : (int32_t)dataset->cases[i].part;
	const struct hl_alike_options how = {.cheap = true, .part = part, .threads = threads};
	enum hilum_status status = hl_looks_read(dataset, false, threads, NULL, &looks, error);
	if (!status)
		status = hl_alike_find(&looks, &how, NULL, &found, error);
	hl_looks_free(&looks);
	hl_free(part);
	if (status)
		return status;
	size_t count = 0;
	for (size_t i = 0; i < found.count; i++) {
		const struct hl_pair *pair = &found.pair[i];
		const struct hl_case *a = &dataset->cases[pair->a], *b = &dataset->cases[pair->b];
		/* Where groups were given, what was moved may be a neighbour that looks like a copy. */
		if (pair->kind == HL_ALIKE_ADJACENT || (dataset->grouped && hl_alike_moved(pair->kind)))
			continue;
		if (named < NAMED && used + 1 < sizeof(names)) {
			int length = snprintf(names + used, sizeof(names) - used, "%s%.90s (%s) and %.90s (%s)",
			                      named ? "; " : "", a->path, hl_part_names[a->part], b->path,
			                      hl_part_names[b->part]);
			used += length > 0 ? (size_t)length : 0;
			named++;
		}
		count++;
	}
	hl_free(found.pair);
	*pairs = count;
	if (count == 0)
		return HILUM_OK;
	if (!allow)
		return hl_fail(error, HILUM_ERROR_DATA,
		               "the split leaks: %zu pairs of the same picture or nearly so stand on two sides of it: "
		               "%.300s%s; hilum audit shows them, --groups auto keeps them together, --allow-leakage "
		               "trains all the same",
		               count, names, count > NAMED ? "; ..." : "");
	hl_log(HILUM_LOG_WARNING,
	       "the split leaks: %zu pairs of pictures on two sides of it are the same or nearly so; "
	       "the scores flatter",
	       count);
	return HILUM_OK;
}

enum hilum_status hl_groups_infer(struct hl_dataset *dataset, int32_t threads, struct hilum_error *error)
{
	const struct hl_alike_options how = {.threads = threads};
	struct hl_looks looks = {.count = 0};
	struct hl_pairs found = {.count = 0};
	uint32_t *group = hl_alloc(dataset->count, sizeof(*group));
	if (!group)
		return hl_fail_memory(error, dataset->count * sizeof(*group), "groups");
	enum hilum_status status = hl_looks_read(dataset, false, threads, NULL, &looks, error);
	if (!status)
		status = hl_alike_find(&looks, &how, NULL, &found, error);
	hl_looks_free(&looks);
	if (!status) {
		uint32_t groups = hl_inferred_groups(&found, dataset->count, group);
		status = hl_dataset_regroup(dataset, group, groups, error);
		if (!status)
			hl_log(HILUM_LOG_INFO, "groups: %zu pictures in %u groups of those that look alike",
			       dataset->count, groups);
	}
	hl_free(found.pair);
	hl_free(group);
	return status;
}
