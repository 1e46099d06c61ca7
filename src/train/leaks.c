#include "train/leaks.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/inferred.h"

#define NAMED 3 /* pairs in a message */

/* What is looked at: every picture of the data set, those of stacks one by one, and whose case each is. */
struct pictures {
	struct hl_dataset dataset; /* a view: it owns only its cases, and nothing in them */
	uint32_t *owner;
	int32_t *part;
};

static void pictures_free(struct pictures *pictures)
{
	hl_free(pictures->dataset.cases);
	hl_free(pictures->owner);
	hl_free(pictures->part);
}

static void add_picture(struct pictures *pictures, const struct hl_dataset *dataset, size_t owner, char *file)
{
	size_t at = pictures->dataset.count++;
	pictures->dataset.cases[at] = dataset->cases[owner];
	pictures->dataset.cases[at].file = file;
	pictures->dataset.cases[at].slice_count = 0;
	pictures->owner[at] = (uint32_t)owner;
	pictures->part[at] = dataset->cases[owner].part == HL_PART_NONE ? -1 : (int32_t)dataset->cases[owner].part;
}

/* In 2.5-D several cases are of one stack: each has its own slice. In 3-D the stack's case has all of them. */
static enum hilum_status pictures_make(const struct hl_dataset *dataset, struct pictures *out,
                                       struct hilum_error *error)
{
	struct pictures pictures = {.dataset = *dataset};
	size_t most = dataset->count + dataset->slice_total;
	bool *taken = hl_alloc(dataset->slice_total + 1, sizeof(*taken));
	pictures.dataset.cases = hl_alloc(most, sizeof(*pictures.dataset.cases));
	pictures.owner = hl_alloc(most, sizeof(*pictures.owner));
	pictures.part = hl_alloc(most, sizeof(*pictures.part));
	pictures.dataset.count = 0;
	if (!taken || !pictures.dataset.cases || !pictures.owner || !pictures.part) {
		hl_free(taken);
		pictures_free(&pictures);
		return hl_fail_memory(error, most * sizeof(*pictures.dataset.cases), "the split's pictures");
	}
	for (size_t i = 0; i < dataset->count; i++) {
		const struct hl_case *item = &dataset->cases[i];
		size_t own = item->slice_first + (size_t)item->slice_at;
		add_picture(&pictures, dataset, i, item->slice_count > 0 ? dataset->slices[own] : item->file);
		if (item->slice_count > 0)
			taken[own] = true;
	}
	for (size_t i = 0; i < dataset->count; i++)
		for (int32_t k = 0; k < dataset->cases[i].slice_count; k++) {
			size_t slice = dataset->cases[i].slice_first + (size_t)k;
			if (!taken[slice])
				add_picture(&pictures, dataset, i, dataset->slices[slice]);
			taken[slice] = true;
		}
	hl_free(taken);
	*out = pictures;
	return HILUM_OK;
}

enum hilum_status hl_leaks_check(const struct hl_dataset *dataset, bool allow, int32_t threads, size_t *pairs,
                                 struct hilum_error *error)
{
	struct hl_looks looks = {.count = 0};
	struct hl_pairs found = {.count = 0};
	char names[3 * 300] = "";
	struct pictures pictures;
	size_t used = 0, named = 0;
	enum hilum_status status = pictures_make(dataset, &pictures, error);
	if (status)
		return status;
	const struct hl_alike_options how = {.cheap = true, .part = pictures.part, .threads = threads};
	status = hl_looks_read(&pictures.dataset, false, threads, NULL, &looks, error);
	if (!status)
		status = hl_alike_find(&looks, &how, NULL, &found, error);
	hl_looks_free(&looks);
	if (status) {
		pictures_free(&pictures);
		return status;
	}
	size_t count = 0;
	for (size_t i = 0; i < found.count; i++) {
		const struct hl_pair *pair = &found.pair[i];
		const struct hl_case *a = &dataset->cases[pictures.owner[pair->a]];
		const struct hl_case *b = &dataset->cases[pictures.owner[pair->b]];
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
	pictures_free(&pictures);
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
