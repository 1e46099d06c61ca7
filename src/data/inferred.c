#include "data/inferred.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

static uint32_t find_root(uint32_t *parent, uint32_t i)
{
	while (parent[i] != i) {
		parent[i] = parent[parent[i]];
		i = parent[i];
	}
	return i;
}

uint32_t hl_inferred_groups(const struct hl_pairs *pairs, size_t count, uint32_t *group)
{
	uint32_t groups = 0;
	for (size_t i = 0; i < count; i++)
		group[i] = (uint32_t)i;
	for (size_t i = 0; i < pairs->count; i++) {
		uint32_t a = find_root(group, pairs->pair[i].a), b = find_root(group, pairs->pair[i].b);
		/* The smaller number is the root, so that it comes before all of its group. */
		group[a > b ? a : b] = a > b ? b : a;
	}
	for (size_t i = 0; i < count; i++)
		group[i] = find_root(group, (uint32_t)i);
	/* Roots lie before their members, so a number is there when a member asks for it. */
	for (size_t i = 0; i < count; i++)
		group[i] = group[i] == i ? groups++ : group[group[i]];
	return groups;
}

struct both {
	uint32_t a, b;
};

static int compare_both(const void *x, const void *y)
{
	const struct both *p = x, *q = y;
	if (p->a != q->a)
		return p->a < q->a ? -1 : 1;
	return (p->b > q->b) - (p->b < q->b);
}

static int compare_b(const void *x, const void *y)
{
	const struct both *p = x, *q = y;
	return (p->b > q->b) - (p->b < q->b);
}

static double choose_two(size_t n)
{
	return 0.5 * (double)n * ((double)n - 1);
}

/* Pairs of cases within runs of equal a, equal b where by_b, or equal both. */
static double pairs_within(const struct both *list, size_t count, bool use_a, bool use_b)
{
	double sum = 0;
	for (size_t i = 0, start = 0; i < count; i++) {
		bool last =
		    i + 1 == count || (use_a && list[i + 1].a != list[i].a) || (use_b && list[i + 1].b != list[i].b);
		if (last) {
			sum += choose_two(i + 1 - start);
			start = i + 1;
		}
	}
	return sum;
}

double hl_adjusted_rand(const uint32_t *a, const uint32_t *b, size_t count)
{
	struct both *list = hl_alloc(count, sizeof(*list));
	if (!list)
		return (double)NAN;
	for (size_t i = 0; i < count; i++)
		list[i] = (struct both){a[i], b[i]};
	qsort(list, count, sizeof(*list), compare_both);
	double same = pairs_within(list, count, true, true), of_a = pairs_within(list, count, true, false);
	qsort(list, count, sizeof(*list), compare_b);
	double of_b = pairs_within(list, count, false, true);
	hl_free(list);
	double expected = of_a * of_b / fmax(choose_two(count), 1), most = (of_a + of_b) / 2;
	return most == expected ? 1 : (same - expected) / (most - expected);
}

enum hilum_status hl_dataset_regroup(struct hl_dataset *dataset, const uint32_t *group, uint32_t groups,
                                     struct hilum_error *error)
{
	char **names = hl_alloc(groups, sizeof(*names));
	bool sound = names != NULL;
	for (uint32_t g = 0; g < groups && sound; g++) {
		names[g] = hl_format("%u", g + 1);
		sound = names[g] != NULL;
	}
	if (!sound) {
		for (uint32_t g = 0; names && g < groups; g++)
			hl_free(names[g]);
		hl_free(names);
		return hl_fail_memory(error, groups * sizeof(*names), "groups");
	}
	for (int32_t g = 0; g < dataset->group_count; g++)
		hl_free(dataset->groups[g]);
	hl_free(dataset->groups);
	dataset->groups = names;
	dataset->group_count = (int32_t)groups;
	dataset->grouped = true;
	for (size_t i = 0; i < dataset->count; i++)
		dataset->cases[i].group = (int32_t)group[i];
	return HILUM_OK;
}
