#include "infer/explain_sanity.h"

#include "base/memory.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PLACES 24      /* covered for comparison */
#define ALIKE 0.5      /* rank correlation from which on heat is that of any network */
#define DROP_LEAST 0.5 /* of the logit: odds by a factor of 1.6 */

/* ---- likeness ---- */

struct ranked {
	float value;
	uint32_t index;
};

static int by_value(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

/* Mean ranks, less their mean. */
static void rank(const float *values, size_t count, struct ranked *order, double *ranks)
{
	for (size_t i = 0; i < count; i++)
		order[i] = (struct ranked){values[i], (uint32_t)i};
	qsort(order, count, sizeof(*order), by_value);
	for (size_t first = 0, end; first < count; first = end) {
		for (end = first + 1; end < count && order[end].value == order[first].value;)
			end++;
		for (size_t i = first; i < end; i++)
			ranks[order[i].index] = (double)(first + end - 1) / 2 - (double)(count - 1) / 2;
	}
}

double hl_rank_correlation(const float *a, const float *b, size_t count)
{
	struct ranked *order = hl_alloc(count, sizeof(*order));
	double *x = hl_alloc(count, sizeof(*x)), *y = hl_alloc(count, sizeof(*y));
	double product = 0, squares[2] = {0}, correlation = NAN;
	if (order && x && y) {
		rank(a, count, order, x);
		rank(b, count, order, y);
		for (size_t i = 0; i < count; i++) {
			product += x[i] * y[i];
			squares[0] += x[i] * x[i];
			squares[1] += y[i] * y[i];
		}
		correlation = squares[0] > 0 && squares[1] > 0 ? product / sqrt(squares[0] * squares[1]) : 0;
	}
	hl_free(order);
	hl_free(x);
	hl_free(y);
	return correlation;
}

struct range {
	double low, scale;
};

static struct range range_of(const float *map, size_t count)
{
	double low = map[0], high = map[0];
	for (size_t i = 1; i < count; i++) {
		low = fmin(low, map[i]);
		high = fmax(high, map[i]);
	}
	return (struct range){low, high > low ? 1 / (high - low) : 0};
}

#define WINDOW 8

/* Of one window. */
static double similarity(const float *a, const float *b, size_t side, size_t width, const struct range range[2])
{
	const double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03, count = (double)(width * width);
	double sum[2] = {0}, square[2] = {0}, product = 0;
	for (size_t y = 0; y < width; y++)
		for (size_t x = 0; x < width; x++) {
			double p = (a[y * side + x] - range[0].low) * range[0].scale;
			double q = (b[y * side + x] - range[1].low) * range[1].scale;
			sum[0] += p;
			sum[1] += q;
			square[0] += p * p;
			square[1] += q * q;
			product += p * q;
		}
	double mean[2] = {sum[0] / count, sum[1] / count};
	double variance[2] = {square[0] / count - mean[0] * mean[0], square[1] / count - mean[1] * mean[1]};
	double covariance = product / count - mean[0] * mean[1];
	return (2 * mean[0] * mean[1] + c1) * (2 * covariance + c2) /
	       ((mean[0] * mean[0] + mean[1] * mean[1] + c1) * (variance[0] + variance[1] + c2));
}

double hl_structural_similarity(const float *a, const float *b, size_t planes, size_t side)
{
	size_t plane = side * side, width = side < WINDOW ? side : WINDOW, windows = 0;
	const struct range range[2] = {range_of(a, planes * plane), range_of(b, planes * plane)};
	double sum = 0;
	for (size_t z = 0; z < planes; z++)
		for (size_t y = 0; y + width <= side; y += WINDOW / 2)
			for (size_t x = 0; x + width <= side; x += WINDOW / 2) {
				size_t place = z * plane + y * side + x;
				sum += similarity(a + place, b + place, side, width, range);
				windows++;
			}
	return sum / (double)windows;
}

size_t hl_hottest(const float *map, size_t count)
{
	size_t best = 0;
	for (size_t i = 1; i < count; i++)
		if (map[i] > map[best])
			best = i;
	return best;
}

/* ---- does heat hang on the weights? ---- */

static enum hilum_status randomise(struct hl_heat *heat, const uint8_t *image, const float *map, int32_t randomised,
                                   uint64_t seed, struct hilum_sanity *out, struct hilum_error *error)
{
	size_t count = hl_heat_count(heat), bytes = (size_t)heat->graph->floats * sizeof(float) + 64;
	float *other = hl_alloc(count, sizeof(*other)), *slab = hl_block_alloc(bytes);
	enum hilum_status status = other && slab ? HILUM_OK : hl_fail_memory(error, bytes, "randomised weights");
	for (int32_t k = 0; k < randomised && !status; k++) {
		hl_graph_initialise(heat->graph, seed + (uint64_t)k, slab);
		hl_heat_bind(heat, slab);
		status = hl_heat_map(heat, image, other, NULL, error);
		if (!status)
			status = hl_heat_smooth(heat, other, error);
		if (status)
			break;
		double correlation = hl_rank_correlation(map, other, count);
		if (isnan(correlation))
			status = hl_fail_memory(error, count * sizeof(double), "ranks");
		out->correlation += fabs(correlation) / randomised;
		out->similarity +=
		    hl_structural_similarity(map, other, (size_t)heat->depth, (size_t)heat->size) / randomised;
	}
	hl_free(other);
	if (slab)
		hl_block_free(slab, bytes);
	return status;
}

/* ---- does the answer hang on the place? ---- */

static bool overlap(const struct hl_box *a, const struct hl_box *b)
{
	for (int k = 0; k < 3; k++)
		if (a->first[k] + a->size[k] <= b->first[k] || b->first[k] + b->size[k] <= a->first[k])
			return false;
	return true;
}

/* A box somewhere else; the hottest one where there is no room for another. */
static struct hl_box elsewhere(const struct hl_heat *heat, const struct hl_box *hot, uint64_t seed, uint32_t index)
{
	struct hl_random random = hl_random_stream(seed, 0, index, HL_RANDOM_CONTROL);
	struct hl_box box = *hot;
	for (int tries = 0; tries < 64 && overlap(&box, hot); tries++) {
		const double middle[3] = {hl_random_range(&random, 0, heat->depth),
		                          hl_random_range(&random, 0, heat->size),
		                          hl_random_range(&random, 0, heat->size)};
		box = hl_heat_box(heat, middle);
	}
	return box;
}

/* Image 0 as it is, 1 with the hottest box covered, the others each with another one. */
static void prepare(const struct hl_heat *heat, const uint8_t *image, const struct hl_box *hot, uint64_t seed,
                    uint32_t index, uint8_t *out)
{
	memcpy(out, image, hl_recipe_bytes(heat->recipe));
	if (index == 0)
		return;
	struct hl_box box = index == 1 ? *hot : elsewhere(heat, hot, seed, index);
	hl_heat_cover(heat, out, &box);
}

static enum hilum_status cover(struct hl_heat *heat, const uint8_t *image, const float *map, uint64_t seed,
                               struct hilum_sanity *out, struct hilum_error *error)
{
	size_t bytes = hl_recipe_bytes(heat->recipe), place = hl_hottest(map, hl_heat_count(heat));
	size_t side = (size_t)heat->size, outputs = (size_t)heat->outputs;
	const size_t z = place / (side * side), y = place / side % side;
	const double middle[3] = {(double)z + 0.5, (double)y + 0.5, (double)(place % side) + 0.5};
	struct hl_box hot = hl_heat_box(heat, middle);
	uint8_t *images = hl_alloc((size_t)heat->batch, bytes);
	float *logits = hl_alloc(2 + PLACES, outputs * sizeof(*logits));
	enum hilum_status status =
	    images && logits ? HILUM_OK : hl_fail_memory(error, (size_t)heat->batch * bytes, "covered pictures");
	for (uint32_t first = 0, end; first < 2 + PLACES && !status; first = end) {
		end = first + (uint32_t)heat->batch;
		end = end < 2 + PLACES ? end : 2 + PLACES;
		for (uint32_t i = first; i < end; i++)
			prepare(heat, image, &hot, seed, i, images + (i - first) * bytes);
		status = hl_heat_logits(heat, images, end - first, logits + first * outputs, error);
	}
	if (!status) {
		double whole = hl_heat_score(heat, logits);
		out->drop = whole - hl_heat_score(heat, logits + outputs);
		out->drop_elsewhere = -INFINITY;
		for (size_t i = 2; i < 2 + PLACES; i++)
			out->drop_elsewhere =
			    fmax(out->drop_elsewhere, whole - hl_heat_score(heat, logits + i * outputs));
	}
	hl_free(images);
	hl_free(logits);
	return status;
}

/* ---- both ---- */

static void judge(struct hilum_sanity *sanity, double hottest)
{
	const char *reason = "";
	if (!(hottest > 0))
		reason = "nothing in the picture speaks for this class";
	else if (sanity->correlation > ALIKE)
		reason = "networks with random weights give much the same heat";
	else if (sanity->drop < DROP_LEAST)
		reason = "covering the hottest place hardly lowers the answer";
	else if (sanity->drop <= sanity->drop_elsewhere)
		reason = "covering another place lowers the answer as much";
	sanity->reliable = !*reason;
	snprintf(sanity->reason, sizeof(sanity->reason), "%s", reason);
}

enum hilum_status hl_sanity_check(struct hl_heat *heat, float *slab, const uint8_t *image, const float *map,
                                  int32_t randomised, uint64_t seed, struct hilum_sanity *out,
                                  struct hilum_error *error)
{
	double start = randomised > 0 ? 0 : NAN;
	struct hilum_sanity sanity = {.randomised = randomised, .correlation = start, .similarity = start};
	enum hilum_status status = cover(heat, image, map, seed, &sanity, error);
	if (!status) {
		status = randomise(heat, image, map, randomised, seed, &sanity, error);
		hl_heat_bind(heat, slab);
	}
	if (status)
		return status;
	judge(&sanity, map[hl_hottest(map, hl_heat_count(heat))]);
	*out = sanity;
	return HILUM_OK;
}
