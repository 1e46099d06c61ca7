#include "nn/arena.h"

#include <stdlib.h>

#include "base/memory.h"

/* Larger first; of the same size, the one that comes first, so that the answer does not depend on qsort. */
static int by_size(const void *a, const void *b)
{
	const struct hl_arena_block *x = *(const struct hl_arena_block *const *)a;
	const struct hl_arena_block *y = *(const struct hl_arena_block *const *)b;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return x < y ? -1 : x > y;
}

static bool padded(size_t bytes, size_t *out)
{
	if (!hl_add_size(bytes, HL_ARENA_ALIGNMENT - 1, out) || *out > PTRDIFF_MAX)
		return false;
	*out = *out / HL_ARENA_ALIGNMENT * HL_ARENA_ALIGNMENT;
	return true;
}

static bool meet(const struct hl_arena_block *a, const struct hl_arena_block *b)
{
	return a->first <= b->last && b->first <= a->last;
}

/* The tightest gap of at least size bytes between those of placed (sorted by offset) that meet block, or the end. */
static size_t find_gap(struct hl_arena_block *const *placed, size_t count, const struct hl_arena_block *block,
                       size_t size)
{
	size_t end = 0, best = SIZE_MAX, best_size = SIZE_MAX;
	for (size_t i = 0; i < count; i++) {
		size_t taken;
		if (!meet(placed[i], block))
			continue;
		if (placed[i]->offset > end && placed[i]->offset - end >= size && placed[i]->offset - end < best_size) {
			best = end;
			best_size = placed[i]->offset - end;
		}
		padded(placed[i]->bytes, &taken);
		if (placed[i]->offset + taken > end)
			end = placed[i]->offset + taken;
	}
	return best != SIZE_MAX ? best : end;
}

enum hilum_status hl_arena_place(struct hl_arena_block *block, size_t count, size_t *total, struct hilum_error *error)
{
	struct hl_arena_block **order = hl_alloc(count, sizeof(struct hl_arena_block *));
	struct hl_arena_block **placed = hl_alloc(count, sizeof(struct hl_arena_block *));
	enum hilum_status status = HILUM_OK;
	size_t used = 0, done = 0;
	if (!order || !placed) {
		status = hl_fail_memory(error, count * sizeof(struct hl_arena_block *), "a memory plan");
		goto out;
	}
	for (size_t i = 0; i < count; i++)
		order[i] = &block[i];
	qsort(order, count, sizeof(struct hl_arena_block *), by_size);
	for (size_t i = 0; i < count && order[i]->bytes > 0; i++) {
		size_t size, end, at = done;
		if (!padded(order[i]->bytes, &size)) {
			status = hl_fail(error, HILUM_ERROR_LIMIT, "a block of %zu bytes", order[i]->bytes);
			goto out;
		}
		order[i]->offset = find_gap(placed, done, order[i], size);
		if (!hl_add_size(order[i]->offset, size, &end) || end > PTRDIFF_MAX) {
			status = hl_fail(error, HILUM_ERROR_LIMIT, "more memory than can be addressed");
			goto out;
		}
		if (end > used)
			used = end;
		for (; at > 0 && placed[at - 1]->offset > order[i]->offset; at--)
			placed[at] = placed[at - 1];
		placed[at] = order[i];
		done++;
	}
	*total = used;
out:
	hl_free(order);
	hl_free(placed);
	return status;
}
