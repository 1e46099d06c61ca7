/* Which slices belong together. */
#include "scan/series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Orientations that differ by less in each number are one: 0.06 degrees. */
#define SAME_DIRECTION 1e-3
/* A stack of at most so many slices beside one of at least so many in the same series is not what was scanned. */
enum { STRAYS_MAX = 3, MANY = 16 };

void hl_normal(const struct hl_dicom_frame *frame, double normal[3])
{
	const double *a = frame->row, *b = frame->column;

	normal[0] = a[1] * b[2] - a[2] * b[1];
	normal[1] = a[2] * b[0] - a[0] * b[2];
	normal[2] = a[0] * b[1] - a[1] * b[0];
}

/* ---- sorting ---- */

static int by_number(double a, double b)
{
	return (a > b) - (a < b);
}

/* By what headers say, so that the order of files has no say. */
static int by_header(const struct hl_slice *a, const struct hl_slice *b)
{
	int order = by_number(a->dicom->instance, b->dicom->instance);

	if (!order)
		order = by_number(a->dicom->acquisition, b->dicom->acquisition);
	if (!order)
		order = strcmp(a->dicom->sop_instance, b->dicom->sop_instance);
	if (!order)
		order = by_number(a->frame, b->frame);
	return order ? order : by_number(a->file, b->file);
}

static int by_along(const void *a, const void *b)
{
	const struct hl_offset *one = a, *other = b;

	return by_number(one->along, other->along);
}

static int by_place(const void *a, const void *b, void *context)
{
	const struct hl_slice *slices = context;
	const struct hl_offset *one = a, *other = b;

	if (one->place != other->place)
		return one->place - other->place;
	return by_header(&slices[one->slice], &slices[other->slice]);
}

int32_t hl_series_sort(const struct hl_slice *slices, struct hl_offset *offsets, int32_t count)
{
	int32_t place = 0;

	if (count == 0)
		return 0;
	qsort(offsets, (size_t)count, sizeof(*offsets), by_along);
	for (int32_t i = 0; i < count; i++) {
		if (i > 0 && offsets[i].along - offsets[i - 1].along >= HL_SAME_PLACE)
			place++;
		offsets[i].place = place;
	}
	qsort_r(offsets, (size_t)count, sizeof(*offsets), by_place, (void *)(uintptr_t)slices);
	return place + 1;
}

double hl_series_tolerance(double spacing)
{
	return fmin(fmax(0.051, 0.02 * spacing), 0.25 * spacing);
}

static int by_value(const void *a, const void *b)
{
	return by_number(*(const double *)a, *(const double *)b);
}

double hl_series_steps(const double *along, int32_t count, int32_t *step, double *miss)
{
	double *gap, median, spacing, steps = 0;

	*miss = 0;
	step[0] = 0;
	if (count < 2)
		return 0;
	gap = hl_alloc((size_t)count - 1, sizeof(*gap));
	if (!gap)
		return -1;
	for (int32_t i = 0; i + 1 < count; i++)
		gap[i] = along[i + 1] - along[i];
	qsort(gap, (size_t)count - 1, sizeof(*gap), by_value);
	median = (gap[(count - 1) / 2] + gap[(count - 2) / 2]) / 2;
	hl_free(gap);
	for (int32_t i = 1; i < count; i++) {
		double here = floor((along[i] - along[i - 1]) / median + 0.5);
		steps += here;
		if (!(here >= 1 && steps <= INT32_MAX))
			return -1;
		step[i] = (int32_t)steps;
	}
	spacing = (along[count - 1] - along[0]) / steps;
	for (int32_t i = 0; i < count; i++)
		*miss = fmax(*miss, fabs(along[i] - along[0] - step[i] * spacing));
	return spacing;
}

/* ---- grouping ---- */

static bool near(const double *a, const double *b, int count, double tolerance)
{
	for (int i = 0; i < count; i++)
		if (!(fabs(a[i] - b[i]) <= tolerance))
			return false;
	return true;
}

static bool same_series(const struct hl_dicom *a, const struct hl_dicom *b)
{
	return strcmp(a->series, b->series) == 0 && strcmp(a->study, b->study) == 0;
}

static bool belongs(const struct hl_slice *one, const struct hl_slice *other)
{
	const struct hl_dicom *a = one->dicom, *b = other->dicom;
	const struct hl_dicom_frame *p = hl_slice_frame(one), *q = hl_slice_frame(other);

	return a->width == b->width && a->height == b->height && same_series(a, b) &&
	       strcmp(a->modality, b->modality) == 0 && strcmp(hl_dicom_not_ct(a), hl_dicom_not_ct(b)) == 0 &&
	       p->has_orientation == q->has_orientation && p->has_spacing == q->has_spacing &&
	       p->localiser == q->localiser && near(p->row, q->row, 3, SAME_DIRECTION) &&
	       near(p->column, q->column, 3, SAME_DIRECTION) &&
	       near(p->spacing, q->spacing, 2, 1e-3 * fmax(p->spacing[0], p->spacing[1]));
}

/* Adds a stack for slice, empty as yet. */
static enum hilum_status add_stack(struct hl_series *series, int32_t *room, struct hilum_error *error)
{
	if (series->count >= HL_STACKS_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "slices of more than %d different stacks", HL_STACKS_MAX);
	if (series->count == *room) {
		int32_t more = *room ? *room * 2 : 8;
		struct hl_stack *stack = hl_realloc(series->stack, (size_t)more, sizeof(*stack));
		if (!stack)
			return hl_fail_memory(error, (size_t)more * sizeof(*stack), "stacks");
		series->stack = stack;
		*room = more;
	}
	series->stack[series->count++] = (struct hl_stack){0};
	return HILUM_OK;
}

/* stack_of[i]: the stack of slice i; sizes counts their slices. */
static enum hilum_status assign(const struct hl_slice *slices, int32_t count, int32_t *stack_of,
                                struct hl_series *series, int32_t *room, struct hilum_error *error)
{
	int32_t last = 0;

	for (int32_t i = 0; i < count; i++) {
		int32_t k = 0;
		/* Files of a series follow each other. */
		if (series->count > 0 && belongs(&slices[series->stack[last].slice[0]], &slices[i]))
			k = last;
		else
			while (k < series->count && !belongs(&slices[series->stack[k].slice[0]], &slices[i]))
				k++;
		if (k == series->count) {
			enum hilum_status status = add_stack(series, room, error);
			if (status)
				return status;
			series->stack[k].slice = hl_alloc(1, sizeof(int32_t));
			if (!series->stack[k].slice)
				return hl_fail_memory(error, sizeof(int32_t), "a stack");
			series->stack[k].slice[0] = i;
		}
		series->stack[k].count++;
		stack_of[i] = last = k;
	}
	for (int32_t k = 0; k < series->count; k++) {
		struct hl_stack *stack = &series->stack[k];
		int32_t *slice = hl_realloc(stack->slice, (size_t)stack->count, sizeof(*slice));
		if (!slice)
			return hl_fail_memory(error, (size_t)stack->count * sizeof(*slice), "a stack");
		stack->slice = slice;
		stack->count = 0;
	}
	for (int32_t i = 0; i < count; i++) {
		struct hl_stack *stack = &series->stack[stack_of[i]];
		stack->slice[stack->count++] = i;
	}
	return HILUM_OK;
}

static void remove_stack(struct hl_series *series, int32_t which)
{
	hl_free(series->stack[which].slice);
	series->stack[which] = series->stack[--series->count];
}

static void leave_out(const struct hl_slice *slices, struct hl_series *series)
{
	int32_t others = 0;

	for (int32_t k = 0; k < series->count; k++)
		others += !hl_slice_frame(&slices[series->stack[k].slice[0]])->localiser;
	for (int32_t k = series->count; others > 0 && k-- > 0;)
		if (hl_slice_frame(&slices[series->stack[k].slice[0]])->localiser) {
			series->localisers += series->stack[k].count;
			remove_stack(series, k);
		}
	for (int32_t k = series->count; k-- > 0;) {
		const struct hl_stack *stack = &series->stack[k];
		bool stray = false;
		for (int32_t i = 0; i < series->count && stack->count <= STRAYS_MAX; i++)
			stray |= series->stack[i].count >= MANY &&
			         same_series(slices[series->stack[i].slice[0]].dicom, slices[stack->slice[0]].dicom);
		if (stray) {
			series->strays += stack->count;
			remove_stack(series, k);
		}
	}
}

/* ---- stacks that have to be split ---- */

/* Slices of which one must be in another stack than the other. */
typedef int comparison(const struct hl_dicom *one, const struct hl_dicom *other);

static int by_acquisition(const struct hl_dicom *one, const struct hl_dicom *other)
{
	return by_number(one->acquisition, other->acquisition);
}

static int by_reference(const struct hl_dicom *one, const struct hl_dicom *other)
{
	return strcmp(one->frame_of_reference, other->frame_of_reference);
}

struct sorting {
	const struct hl_slice *slices;
	comparison *compare;
};

static int by_part(const void *a, const void *b, void *context)
{
	const struct sorting *sorting = context;
	const int32_t *one = a, *other = b;
	int order = sorting->compare(sorting->slices[*one].dicom, sorting->slices[*other].dicom);

	return order ? order : by_number(*one, *other);
}

/* The end of the part that begins at first, in a sorted stack. */
static int32_t end_of(const struct sorting *sorting, const struct hl_stack *stack, int32_t first)
{
	int32_t last = first + 1;

	while (last < stack->count && sorting->compare(sorting->slices[stack->slice[last]].dicom,
	                                               sorting->slices[stack->slice[first]].dicom) == 0)
		last++;
	return last;
}

/* Sorts a stack into parts and answers how many there are. */
static int32_t sort_parts(const struct sorting *sorting, struct hl_stack *stack)
{
	int32_t parts = 0;

	qsort_r(stack->slice, (size_t)stack->count, sizeof(*stack->slice), by_part, (void *)(uintptr_t)sorting);
	for (int32_t first = 0; first < stack->count; first = end_of(sorting, stack, first))
		parts++;
	return parts;
}

/* A stack that sort_parts has sorted becomes one stack for each part. */
static enum hilum_status split(const struct sorting *sorting, struct hl_series *series, int32_t which, int32_t *room,
                               struct hilum_error *error)
{
	struct hl_stack whole = series->stack[which];
	enum hilum_status status = HILUM_OK;

	for (int32_t first = 0, last; first < whole.count && !status; first = last) {
		last = end_of(sorting, &whole, first);
		status = add_stack(series, room, error);
		if (status)
			break;
		struct hl_stack *part = &series->stack[series->count - 1];
		part->of_acquisition = whole.of_acquisition || sorting->compare == by_acquisition;
		part->slice = hl_alloc((size_t)(last - first), sizeof(*part->slice));
		if (!part->slice) {
			status = hl_fail_memory(error, (size_t)(last - first) * sizeof(*part->slice), "a stack");
			break;
		}
		part->count = last - first;
		memcpy(part->slice, whole.slice + first, (size_t)part->count * sizeof(*part->slice));
	}
	if (!status)
		remove_stack(series, which);
	return status;
}

/* By frame of reference, unless every slice has one of its own: some who take names out of files give each file new
 * UIDs. */
static enum hilum_status split_references(const struct hl_slice *slices, struct hl_series *series, int32_t which,
                                          int32_t *room, struct hilum_error *error)
{
	const struct sorting sorting = {slices, by_reference};
	struct hl_stack *stack = &series->stack[which];
	int32_t parts = sort_parts(&sorting, stack);

	stack->own_references = parts > STRAYS_MAX && parts == stack->count;
	return parts == 1 || stack->own_references ? HILUM_OK : split(&sorting, series, which, room, error);
}

/* Whether slices are one behind the other at equal distances, one at each place. */
static bool is_regular(const struct hl_slice *slices, const int32_t *slice, int32_t count, struct hl_offset *offsets,
                       double *along, int32_t *step)
{
	double normal[3], miss, spacing;

	hl_normal(hl_slice_frame(&slices[slice[0]]), normal);
	for (int32_t i = 0; i < count; i++) {
		const struct hl_dicom_frame *frame = hl_slice_frame(&slices[slice[i]]);
		offsets[i] = (struct hl_offset){.slice = slice[i]};
		for (int k = 0; k < 3; k++)
			offsets[i].along += frame->position[k] * normal[k];
	}
	if (hl_series_sort(slices, offsets, count) != count)
		return false;
	for (int32_t i = 0; i < count; i++)
		along[i] = offsets[i].along;
	spacing = hl_series_steps(along, count, step, &miss);
	return spacing >= 0 && step[count - 1] == count - 1 && miss <= hl_series_tolerance(spacing);
}

/* A stack that is irregular as a whole, of acquisitions each of which is regular, becomes one stack for each. */
static enum hilum_status split_acquisitions(const struct hl_slice *slices, struct hl_series *series, int32_t which,
                                            int32_t *room, struct hilum_error *error)
{
	const struct sorting sorting = {slices, by_acquisition};
	struct hl_stack *stack = &series->stack[which];
	struct hl_offset *offsets = hl_alloc((size_t)stack->count, sizeof(*offsets));
	double *along = hl_alloc((size_t)stack->count, sizeof(*along));
	int32_t *step = hl_alloc((size_t)stack->count, sizeof(*step));
	enum hilum_status status = HILUM_OK;

	if (!offsets || !along || !step) {
		status = hl_fail_memory(error, (size_t)stack->count * sizeof(*offsets), "places");
		goto out;
	}
	bool apart =
	    !is_regular(slices, stack->slice, stack->count, offsets, along, step) && sort_parts(&sorting, stack) > 1;
	for (int32_t first = 0, last; apart && first < stack->count; first = last) {
		last = end_of(&sorting, stack, first);
		apart =
		    last - first > 1 && is_regular(slices, stack->slice + first, last - first, offsets, along, step);
	}
	if (apart)
		status = split(&sorting, series, which, room, error);
out:
	hl_free(offsets);
	hl_free(along);
	hl_free(step);
	return status;
}

/* ---- all of it ---- */

static bool has_places(const struct hl_slice *slices, const struct hl_stack *stack)
{
	for (int32_t i = 0; i < stack->count; i++) {
		const struct hl_dicom_frame *frame = hl_slice_frame(&slices[stack->slice[i]]);
		if (!frame->has_position || !frame->has_orientation || !slices[stack->slice[i]].dicom->has_acquisition)
			return false;
	}
	return true;
}

static int by_stack(const void *a, const void *b, void *context)
{
	const struct hl_slice *slices = context;
	const struct hl_stack *one = a, *other = b;
	const struct hl_dicom *p = slices[one->slice[0]].dicom, *q = slices[other->slice[0]].dicom;
	int order = by_number(p->series_number, q->series_number);

	if (!order)
		order = strcmp(p->series, q->series);
	if (!order)
		order = by_number(other->count, one->count);
	return order ? order : by_number(p->acquisition, q->acquisition);
}

enum hilum_status hl_series_group(const struct hl_slice *slices, int32_t count, struct hl_series *out,
                                  struct hilum_error *error)
{
	struct hl_series series = {0};
	int32_t *stack_of = hl_alloc((size_t)count, sizeof(*stack_of)), room = 0;
	enum hilum_status status;

	if (!stack_of)
		return hl_fail_memory(error, (size_t)count * sizeof(*stack_of), "slices");
	status = assign(slices, count, stack_of, &series, &room, error);
	hl_free(stack_of);
	for (int32_t k = series.count; k-- > 0 && !status;)
		status = split_references(slices, &series, k, &room, error);
	if (!status)
		leave_out(slices, &series);
	for (int32_t k = series.count; k-- > 0 && !status;)
		if (series.stack[k].count > 1 && has_places(slices, &series.stack[k]))
			status = split_acquisitions(slices, &series, k, &room, error);
	if (status) {
		hl_series_free(&series);
		return status;
	}
	if (series.count > 0)
		qsort_r(series.stack, (size_t)series.count, sizeof(*series.stack), by_stack, (void *)(uintptr_t)slices);
	*out = series;
	return HILUM_OK;
}

void hl_series_free(struct hl_series *series)
{
	for (int32_t k = 0; k < series->count; k++)
		hl_free(series->stack[k].slice);
	hl_free(series->stack);
	*series = (struct hl_series){0};
}
