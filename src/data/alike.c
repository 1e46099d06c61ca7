#include "data/alike.h"

#include "base/memory.h"
#include "base/parallel.h"
#include "data/alike_search.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What proves that two pictures are the same slice, and what that they are next to each other; docs/audit.md has the
 * measurements behind these numbers. */
#define SAME_CORRELATION 0.94f
#define SAME_DETAIL 0.965f /* neighbours in a scan come near it */
#define NEAR_CORRELATION 0.93f
#define NEAR_DETAIL 0.86f
/* The largest change of position between slices of one scan. */
#define GIVE_UP 10 /* candidates in a row that are not it: those behind them are less like it still */
#define NEAR_SHIFT 0.05f
#define NEAR_SCALE 0.05f
#define NEAR_ANGLE 3.0f /* degrees */

const char *const hl_alike_names[HL_ALIKE_COUNT] = {"bytes",   "pixels",    "turned",  "rotated",
                                                    "cropped", "shifted",   "resized", "brightness",
                                                    "noise",   "reencoded", "adjacent"};

bool hl_alike_moved(enum hl_alike kind)
{
	return kind >= HL_ALIKE_TURNED && kind <= HL_ALIKE_SHIFTED;
}

/* ---- the same digests ---- */

struct digest {
	uint8_t value[HL_LOOK_DIGEST];
	uint32_t index;
};

static int compare_digests(const void *a, const void *b)
{
	const struct digest *x = a, *y = b;
	int order = memcmp(x->value, y->value, HL_LOOK_DIGEST);
	return order ? order : (x->index > y->index) - (x->index < y->index);
}

struct found {
	struct hl_pairs pairs;
	size_t capacity;
};

static enum hilum_status add(struct found *found, const struct hl_pair *pair, struct hilum_error *error)
{
	struct hl_pairs *pairs = &found->pairs;
	if (pairs->count == found->capacity) {
		size_t capacity = found->capacity ? 2 * found->capacity : 256;
		struct hl_pair *grown = hl_realloc(pairs->pair, capacity, sizeof(*grown));
		if (!grown)
			return hl_fail_memory(error, capacity * sizeof(*grown), "pairs");
		pairs->pair = grown;
		found->capacity = capacity;
	}
	pairs->pair[pairs->count++] = *pair;
	return HILUM_OK;
}

static bool apart(const int32_t *part, uint32_t a, uint32_t b)
{
	return part[a] >= 0 && part[b] >= 0 && part[a] != part[b];
}

/* Of equal pictures each is paired with the first; only that one is compared with others. first[i]: that of i. */
static enum hilum_status find_equal(const struct hl_looks *looks, const int32_t *part, uint32_t *first,
                                    struct found *found, struct hilum_error *error)
{
	struct digest *list = hl_alloc(looks->count, sizeof(*list));
	enum hilum_status status = HILUM_OK;
	size_t count = 0;
	if (!list)
		return hl_fail_memory(error, looks->count * sizeof(*list), "digests");
	for (size_t i = 0; i < looks->count; i++) {
		first[i] = (uint32_t)i;
		if (looks->look[i].reason)
			continue;
		memcpy(list[count].value, looks->look[i].pixels, HL_LOOK_DIGEST);
		list[count++].index = (uint32_t)i;
	}
	qsort(list, count, sizeof(*list), compare_digests);
	for (size_t i = 1, start = 0; i < count && !status; i++) {
		if (memcmp(list[start].value, list[i].value, HL_LOOK_DIGEST) != 0) {
			start = i;
			continue;
		}
		/* Bytes may agree with another of them than the first. */
		uint32_t with = list[start].index;
		for (size_t k = start; k < i; k++)
			if (looks->look[list[k].index].hashed && looks->look[list[i].index].hashed &&
			    memcmp(looks->look[list[k].index].bytes, looks->look[list[i].index].bytes,
			           HL_LOOK_DIGEST) == 0) {
				with = list[k].index;
				break;
			}
		const struct hl_look *a = &looks->look[with], *b = &looks->look[list[i].index];
		bool bytes = a->hashed && b->hashed && memcmp(a->bytes, b->bytes, HL_LOOK_DIGEST) == 0;
		if (part) {
			/* Each part keeps its own to be compared; what counts is one that stands in another. */
			for (size_t k = start; k < i && !apart(part, with, list[i].index); k++)
				with = list[k].index;
			if (!apart(part, with, list[i].index))
				continue;
		} else {
			first[list[i].index] = list[start].index;
		}
		status =
		    add(found, &(struct hl_pair){with, list[i].index, bytes ? HL_ALIKE_BYTES : HL_ALIKE_PIXELS, 1, 1},
		        error);
	}
	hl_free(list);
	return status;
}

/* ---- what was done ---- */

/* The map as a turn, a small rotation, a scale and a shift. */
struct change {
	bool turned;
	float angle, scale, shift; /* degrees; factor - 1; share of the side */
};

static struct change understand(const struct hl_affine *map)
{
	float a = map->matrix[0][0], b = map->matrix[0][1], c = map->matrix[1][0], d = map->matrix[1][1];
	struct change change = {.turned = false};
	float det = a * d - b * c;
	if (det < 0) { /* mirrored: undone first */
		a = -a;
		c = -c;
		change.turned = true;
	}
	float angle = atan2f(c - b, a + d) * 180 / (float)M_PI, quarter = roundf(angle / 90);
	change.turned = change.turned || quarter != 0;
	change.angle = angle - 90 * quarter;
	change.scale = sqrtf(fabsf(det)) - 1;
	change.shift = sqrtf(map->shift[0] * map->shift[0] + map->shift[1] * map->shift[1]);
	return change;
}

static bool is_plausible(const struct hl_affine *map)
{
	float det = fabsf(map->matrix[0][0] * map->matrix[1][1] - map->matrix[0][1] * map->matrix[1][0]);
	float sum = 0;
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2; j++)
			sum += map->matrix[i][j] * map->matrix[i][j];
	/* Far from a similarity the sum of squares is more than twice the determinant. */
	return det > 0.4f && det < 2.5f && sum < 2.25f * det;
}

static enum hl_alike kind_of(const struct hl_look *moving, const struct hl_look *fixed, const struct hl_match *match)
{
	struct change change = understand(&match->map);
	/* Grey values on the pictures' own scales. */
	float moving_range = moving->high - moving->low, fixed_range = fixed->high - fixed->low;
	float gain = match->gain * moving_range / fixed_range;
	float at_mean = moving->low + (match->gain * (fixed->mean - fixed->low) / fixed_range * 255 + match->offset) *
	                                  moving_range / 255;
	float residual = match->residual / 255 * moving_range;
	if (change.turned)
		return HL_ALIKE_TURNED;
	if (fabsf(change.angle) > 0.6f)
		return HL_ALIKE_ROTATED;
	if (fabsf(change.scale) > 0.012f)
		return HL_ALIKE_CROPPED;
	if (change.shift > 0.006f)
		return HL_ALIKE_SHIFTED;
	if (moving->width != fixed->width || moving->height != fixed->height)
		return HL_ALIKE_RESIZED;
	if (fabsf(gain - 1) > 0.03f || fabsf(at_mean - fixed->mean) > 0.012f)
		return HL_ALIKE_BRIGHTNESS;
	return residual > 0.008f ? HL_ALIKE_NOISE : HL_ALIKE_REENCODED;
}

static bool judge(const struct hl_look *moving, const struct hl_look *fixed, const struct hl_match *match,
                  enum hl_alike *kind)
{
	struct change change = understand(&match->map);
	if (!is_plausible(&match->map))
		return false;
	if (match->correlation >= SAME_CORRELATION && match->detail >= SAME_DETAIL) {
		*kind = kind_of(moving, fixed, match);
		return true;
	}
	*kind = HL_ALIKE_ADJACENT;
	return match->correlation >= NEAR_CORRELATION && match->detail >= NEAR_DETAIL && !change.turned &&
	       fabsf(change.angle) < NEAR_ANGLE && fabsf(change.scale) < NEAR_SCALE && change.shift < NEAR_SHIFT;
}

/* ---- proof ---- */

struct proving {
	const struct hl_looks *looks;
	const int32_t *part;   /* NULL: all pairs are of interest */
	const uint32_t *index; /* of each picture searched: its case */
	size_t count;
	const struct hl_candidate *candidates;
	bool *proven_one;       /* of each picture */
	struct hl_pair *proven; /* count * HL_ALIKE_KEPT; score 0: not proven */
	const struct hl_watch *watch;
	pthread_mutex_t mutex;
	int64_t done;
};

static void prove_one(void *context, int32_t index)
{
	struct proving *proving = context;
	const struct hl_candidate *candidates = proving->candidates + (size_t)index * HL_ALIKE_KEPT;
	struct hl_pair *proven = proving->proven + (size_t)index * HL_ALIKE_KEPT;
	const struct hl_look *own = &proving->looks->look[proving->index[index]];
	struct hl_view moving, fixed;
	struct hl_match match;
	if (hl_watch_stopped(proving->watch))
		return;
	hl_view_make(own->small, &moving);
	for (int32_t k = 0, failed = 0; k < HL_ALIKE_KEPT; k++) {
		enum hl_alike kind;
		failed = k % HL_ALIKE_OF_A_WAY == 0 ? 0 : failed;
		if (candidates[k].likeness < 0 || failed >= GIVE_UP)
			continue;
		uint32_t other = proving->index[candidates[k].index], this = proving->index[index];
		const struct hl_look *look = &proving->looks->look[other];
		/* Copies in place are far more alike than this; with parts one of them is enough. */
		if (proving->part && (proving->proven_one[index] || candidates[k].likeness < 0.95f ||
		                      !apart(proving->part, this, other)))
			continue;
		hl_view_make(look->small, &fixed);
		failed++;
		if (!hl_match(&moving, &fixed, &candidates[k].start, &match) || !judge(own, look, &match, &kind))
			continue;
		failed = 0;
		proving->proven_one[index] = kind != HL_ALIKE_ADJACENT;
		proven[k] = (struct hl_pair){this < other ? this : other, this < other ? other : this, kind,
		                             match.correlation, match.detail};
	}
	pthread_mutex_lock(&proving->mutex);
	proving->done++;
	if (proving->watch && proving->watch->progress)
		proving->watch->progress(proving->watch->context, "registering", proving->done,
		                         (int64_t)proving->count);
	pthread_mutex_unlock(&proving->mutex);
}

static int compare_pairs(const void *a, const void *b)
{
	const struct hl_pair *x = a, *y = b;
	if (x->a != y->a)
		return x->a < y->a ? -1 : 1;
	if (x->b != y->b)
		return x->b < y->b ? -1 : 1;
	/* The better proof first. */
	bool near_x = x->kind == HL_ALIKE_ADJACENT, near_y = y->kind == HL_ALIKE_ADJACENT;
	if (near_x != near_y)
		return near_x - near_y;
	if (x->detail != y->detail)
		return x->detail > y->detail ? -1 : 1;
	return (int)x->kind - (int)y->kind;
}

static enum hilum_status search_and_prove(const struct hl_looks *looks, const struct hl_alike_options *options,
                                          const struct hl_watch *watch, const uint32_t *index, size_t count,
                                          struct found *found, struct hilum_error *error)
{
	struct proving proving = {
	    .looks = looks, .part = options->part, .index = index, .count = count, .watch = watch};
	const uint8_t **pictures = hl_alloc(count, sizeof(*pictures));
	struct hl_candidate *candidates = hl_alloc(count * HL_ALIKE_KEPT, sizeof(*candidates));
	enum hilum_status status = HILUM_OK;
	proving.proven = hl_alloc(count * HL_ALIKE_KEPT, sizeof(*proving.proven));
	proving.proven_one = hl_alloc(count, sizeof(*proving.proven_one));
	if (!pictures || !candidates || !proving.proven || !proving.proven_one) {
		status = hl_fail_memory(error, count * HL_ALIKE_KEPT * sizeof(*proving.proven), "pairs");
		goto out;
	}
	for (size_t i = 0; i < count; i++)
		pictures[i] = looks->look[index[i]].small;
	status = hl_alike_search(pictures, count, options->cheap, options->threads, watch, candidates, error);
	if (status)
		goto out;
	proving.candidates = candidates;
	pthread_mutex_init(&proving.mutex, NULL);
	hl_parallel((int32_t)count, options->threads, prove_one, &proving);
	pthread_mutex_destroy(&proving.mutex);
	if (hl_watch_stopped(watch))
		status = hl_fail(error, HILUM_ERROR_STOPPED, "stopped while comparing");
	for (size_t i = 0; i < count * HL_ALIKE_KEPT && !status; i++)
		if (proving.proven[i].score > 0)
			status = add(found, &proving.proven[i], error);
out:
	hl_free(pictures);
	hl_free(candidates);
	hl_free(proving.proven);
	hl_free(proving.proven_one);
	return status;
}

enum hilum_status hl_alike_find(const struct hl_looks *looks, const struct hl_alike_options *options,
                                const struct hl_watch *watch, struct hl_pairs *out, struct hilum_error *error)
{
	struct found found = {.capacity = 0};
	size_t count = 0, kept = 0;
	uint32_t *first = hl_alloc(looks->count, sizeof(*first)), *index = hl_alloc(looks->count, sizeof(*index));
	enum hilum_status status = HILUM_OK;
	if (!first || !index)
		status = hl_fail_memory(error, looks->count * sizeof(*first), "pairs");
	if (!status)
		status = find_equal(looks, options->part, first, &found, error);
	for (size_t i = 0; i < looks->count && !status; i++)
		if (!looks->look[i].reason && first[i] == i)
			index[count++] = (uint32_t)i;
	if (!status && count > 1)
		status = search_and_prove(looks, options, watch, index, count, &found, error);
	hl_free(first);
	hl_free(index);
	if (status) {
		hl_free(found.pairs.pair);
		return status;
	}
	if (found.pairs.count > 0)
		qsort(found.pairs.pair, found.pairs.count, sizeof(*found.pairs.pair), compare_pairs);
	for (size_t i = 0; i < found.pairs.count; i++) {
		const struct hl_pair *pair = &found.pairs.pair[i];
		if (kept > 0 && found.pairs.pair[kept - 1].a == pair->a && found.pairs.pair[kept - 1].b == pair->b)
			continue;
		found.pairs.pair[kept++] = *pair;
	}
	found.pairs.count = kept;
	*out = found.pairs;
	return HILUM_OK;
}
