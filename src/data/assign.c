#include "data/assign.h"

#include "base/memory.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

#define PARTS 3
#define PASSES 8

struct group {
	uint32_t start, size; /* its cases: member[start .. start + size) */
	uint32_t rank;        /* place after shuffling: the order among equals */
	int part;
};

struct assign {
	const struct hl_dataset *dataset;
	const double *share;
	uint32_t *member; /* cases, group by group */
	struct group *group;
	uint32_t group_count;
	double want[PARTS][HILUM_CLASSES_MAX], have[PARTS][HILUM_CLASSES_MAX]; /* cases */
	uint32_t groups_with[PARTS][HILUM_CLASSES_MAX];
};

/* What a group holds: the classes it has, and how many cases of each. */
struct content {
	int32_t count;
	int32_t origin[HILUM_CLASSES_MAX];
	double cases[HILUM_CLASSES_MAX];
};

static void content_of(const struct assign *assign, const struct group *group, struct content *out)
{
	out->count = 0;
	for (uint32_t i = 0; i < group->size; i++) {
		int32_t origin = assign->dataset->cases[assign->member[group->start + i]].origin, k = 0;
		while (k < out->count && out->origin[k] != origin)
			k++;
		if (k == out->count) {
			out->origin[out->count++] = origin;
			out->cases[k] = 0;
		}
		out->cases[k] += 1;
	}
}

static void put(struct assign *assign, struct group *group, const struct content *content, int part)
{
	for (int32_t k = 0; k < content->count; k++) {
		assign->have[part][content->origin[k]] += content->cases[k];
		assign->groups_with[part][content->origin[k]]++;
	}
	group->part = part;
}

static void lift(struct assign *assign, const struct group *group, const struct content *content)
{
	for (int32_t k = 0; k < content->count; k++) {
		assign->have[group->part][content->origin[k]] -= content->cases[k];
		assign->groups_with[group->part][content->origin[k]]--;
	}
}

/* Change of sum((have - want)^2 / want) when the group is added to a part: small parts count as much as large ones. */
static double cost_of_adding(const struct assign *assign, const struct content *content, int part)
{
	double cost = 0;
	for (int32_t k = 0; k < content->count; k++) {
		int32_t c = content->origin[k];
		double over = assign->have[part][c] - assign->want[part][c];
		cost += content->cases[k] * (2 * over + content->cases[k]) / assign->want[part][c];
	}
	return cost;
}

/* Draws a part with room for the whole group; where none has room, the one that it harms least. */
static int draw_part(const struct assign *assign, const struct content *content, struct hl_random *random)
{
	double room[PARTS] = {0}, total = 0, least = 0;
	int best = -1;
	for (int p = 0; p < PARTS; p++) {
		bool fits = assign->share[p] > 0;
		for (int32_t k = 0; k < content->count && fits; k++) {
			int32_t c = content->origin[k];
			double left = assign->want[p][c] - assign->have[p][c];
			fits = content->cases[k] <= left + 0.5;
			room[p] += left * content->cases[k];
		}
		room[p] = fits && room[p] > 0 ? room[p] : 0;
		total += room[p];
	}
	/* One number a group whether it is used or not, so that an early difference does not shift all later draws. */
	double mark = hl_random_uniform(random) * total;
	for (int p = 0; p < PARTS; p++) {
		if (room[p] > 0 && mark < room[p])
			return p;
		mark -= room[p];
	}
	for (int p = 0; p < PARTS; p++) {
		double cost = assign->share[p] > 0 ? cost_of_adding(assign, content, p) : 0;
		if (assign->share[p] > 0 && (best < 0 || cost < least)) {
			best = p;
			least = cost;
		}
	}
	return best;
}

/* Whether the part it is in would still have each of the group's classes without it. */
static bool can_leave(const struct assign *assign, const struct group *group, const struct content *content)
{
	for (int32_t k = 0; k < content->count; k++)
		if (assign->groups_with[group->part][content->origin[k]] < 2)
			return false;
	return true;
}

/* Brings a class into a part that has none of it, by the move that harms the shares least. */
static bool cover(struct assign *assign, int part, int32_t origin)
{
	struct group *best = NULL;
	struct content content, best_content = {0};
	double least = 0;
	for (uint32_t i = 0; i < assign->group_count; i++) {
		struct group *group = &assign->group[i];
		bool has = false;
		if (group->part == part)
			continue;
		content_of(assign, group, &content);
		for (int32_t k = 0; k < content.count; k++)
			has = has || content.origin[k] == origin;
		if (!has || !can_leave(assign, group, &content))
			continue;
		lift(assign, group, &content);
		double cost = cost_of_adding(assign, &content, part) - cost_of_adding(assign, &content, group->part);
		put(assign, group, &content, group->part);
		if (!best || cost < least) {
			best = group;
			best_content = content;
			least = cost;
		}
	}
	if (!best)
		return false;
	lift(assign, best, &best_content);
	put(assign, best, &best_content, part);
	return true;
}

/* Moves single groups while that lowers the cost; stops early when a pass changes nothing. */
static void improve(struct assign *assign)
{
	for (int pass = 0; pass < PASSES; pass++) {
		bool moved = false;
		for (uint32_t i = 0; i < assign->group_count; i++) {
			struct group *group = &assign->group[i];
			struct content content;
			content_of(assign, group, &content);
			if (!can_leave(assign, group, &content))
				continue;
			int from = group->part, best = from;
			lift(assign, group, &content);
			double least = cost_of_adding(assign, &content, from) - 1e-9;
			for (int p = 0; p < PARTS; p++) {
				double cost =
				    assign->share[p] > 0 && p != from ? cost_of_adding(assign, &content, p) : least;
				if (cost < least) {
					best = p;
					least = cost;
				}
			}
			put(assign, group, &content, best);
			moved = moved || best != from;
		}
		if (!moved)
			return;
	}
}

static int compare_groups(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	return (x->rank > y->rank) - (x->rank < y->rank);
}

static enum hilum_status no_memory(size_t count, struct hilum_error *error)
{
	return hl_fail_memory(error, count * sizeof(struct group), "the split");
}

/* Sorts the cases by group and lists the groups, larger ones first, shuffled among equals. */
static enum hilum_status list_groups(struct assign *assign, const uint32_t *cases, size_t count, uint64_t seed,
                                     struct hilum_error *error)
{
	const struct hl_dataset *dataset = assign->dataset;
	size_t all = (size_t)dataset->group_count;
	uint32_t *size = hl_alloc(all + 1, sizeof(*size)), used = 0, at = 0;
	uint32_t *rank = hl_alloc(all + 1, sizeof(*rank));
	struct hl_random random = hl_random_stream(seed, 0, 0, HL_RANDOM_SPLIT);
	assign->member = hl_alloc(count, sizeof(*assign->member));
	assign->group = hl_alloc(all + 1, sizeof(*assign->group));
	if (!size || !rank || !assign->member || !assign->group) {
		hl_free(size);
		hl_free(rank);
		return no_memory(all, error);
	}
	for (size_t i = 0; i < count; i++)
		size[dataset->cases[cases[i]].group]++;
	for (size_t g = 0; g < all; g++) {
		uint32_t cases_here = size[g];
		size[g] = at; /* from now on: where its next case goes */
		at += cases_here;
		if (cases_here)
			assign->group[used++] = (struct group){.start = size[g], .size = cases_here};
	}
	for (size_t i = 0; i < count; i++)
		assign->member[size[dataset->cases[cases[i]].group]++] = cases[i];
	for (uint32_t i = 0; i < used; i++)
		rank[i] = i;
	hl_random_shuffle(&random, rank, used);
	for (uint32_t i = 0; i < used; i++)
		assign->group[i].rank = rank[i];
	assign->group_count = used;
	qsort(assign->group, used, sizeof(*assign->group), compare_groups);
	hl_free(size);
	hl_free(rank);
	return HILUM_OK;
}

/* Counts cases and groups of each class; refuses what no assignment could satisfy. */
static enum hilum_status plan(struct assign *assign, size_t *parts, bool *present, struct hilum_error *error)
{
	const struct hl_dataset *dataset = assign->dataset;
	double cases[HILUM_CLASSES_MAX] = {0};
	uint32_t groups[HILUM_CLASSES_MAX] = {0};
	for (uint32_t i = 0; i < assign->group_count; i++) {
		struct content content;
		content_of(assign, &assign->group[i], &content);
		for (int32_t k = 0; k < content.count; k++) {
			cases[content.origin[k]] += content.cases[k];
			groups[content.origin[k]]++;
		}
	}
	*parts = 0;
	for (int p = 0; p < PARTS; p++)
		*parts += assign->share[p] > 0;
	for (int32_t c = 0; c < dataset->origin_count; c++) {
		present[c] = groups[c] > 0;
		if (present[c] && groups[c] < *parts)
			return hl_fail(
			    error, HILUM_ERROR_DATA,
			    "class \"%.80s\" has %u %s%s (%.0f cases), too few for %zu parts that each need one",
			    dataset->origins[c], groups[c], dataset->grouped ? "group" : "case",
			    groups[c] == 1 ? "" : "s", cases[c], *parts);
		for (int p = 0; p < PARTS; p++)
			assign->want[p][c] = assign->share[p] * cases[c];
	}
	return HILUM_OK;
}

static enum hilum_status fill(struct assign *assign, const bool *present, uint64_t seed, struct hilum_error *error)
{
	struct hl_random random = hl_random_stream(seed, 0, 1, HL_RANDOM_SPLIT);
	for (uint32_t i = 0; i < assign->group_count; i++) {
		struct content content;
		content_of(assign, &assign->group[i], &content);
		put(assign, &assign->group[i], &content, draw_part(assign, &content, &random));
	}
	for (int p = 0; p < PARTS; p++)
		for (int32_t c = 0; c < assign->dataset->origin_count; c++)
			if (assign->share[p] > 0 && present[c] && !assign->groups_with[p][c] && !cover(assign, p, c))
				return hl_fail(
				    error, HILUM_ERROR_DATA,
				    "class \"%.80s\" cannot be brought into the %s part: its groups hold other "
				    "classes that are needed elsewhere",
				    assign->dataset->origins[c], hl_part_names[p]);
	improve(assign);
	return HILUM_OK;
}

enum hilum_status hl_assign(struct hl_dataset *dataset, const uint32_t *cases, size_t count, const double share[3],
                            uint64_t seed, struct hilum_error *error)
{
	struct assign *assign = hl_alloc(1, sizeof(*assign));
	bool present[HILUM_CLASSES_MAX] = {false};
	size_t parts;
	if (!assign)
		return hl_fail_memory(error, sizeof(*assign), "the split");
	assign->dataset = dataset;
	assign->share = share;
	enum hilum_status status = list_groups(assign, cases, count, seed, error);
	if (!status)
		status = plan(assign, &parts, present, error);
	if (!status)
		status = fill(assign, present, seed, error);
	for (uint32_t i = 0; i < assign->group_count && !status; i++)
		for (uint32_t k = 0; k < assign->group[i].size; k++)
			dataset->cases[assign->member[assign->group[i].start + k]].part =
			    (enum hl_split_part)assign->group[i].part;
	hl_free(assign->member);
	hl_free(assign->group);
	hl_free(assign);
	return status;
}
