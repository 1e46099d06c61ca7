/* Where the slices of a stack lie, and whether a volume can be made of them that is right. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "scan/series.h"

/* A stack that leans by less than this over all its slices stands upright, in pixels. */
#define UPRIGHT 0.01
/* A tilted gantry leans by up to 30 degrees. */
#define LEAN_MAX 45.0
/* An axis that deviates less from the patient's is along it, in degrees. */
#define ALONG 0.1

#define DEGREES (180 / 3.14159265358979323846)

static double dot(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* ---- what every slice must have ---- */

static enum hilum_status check_kind(const struct hl_slice *slices, const struct hl_stack *stack, bool force,
                                    struct hl_findings *findings, struct hilum_error *error)
{
	const struct hl_dicom *dicom = slices[stack->slice[0]].dicom;
	const char *reason = hl_dicom_not_ct(dicom);
	int32_t localisers = 0, bare = 0, other = 0, derived = 0;
	enum hilum_status status = HILUM_OK;

	for (int32_t i = 0; i < stack->count; i++) {
		const struct hl_dicom *one = slices[stack->slice[i]].dicom;
		const struct hl_dicom_frame *frame = hl_slice_frame(&slices[stack->slice[i]]);
		if (one->samples != 1 || one->numbers != HL_DICOM_INTEGERS ||
		    (one->bits_allocated != 8 && one->bits_allocated != 16))
			return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "%d samples of %d bits are no CT", one->samples,
			               one->bits_allocated);
		localisers += frame->localiser;
		bare += !frame->has_rescale;
		other += frame->has_rescale && !frame->hounsfield;
		derived += frame->derived;
	}
	if (*reason)
		status =
		    hl_findings_refuse(findings, HL_FINDING_MODALITY, force, stack->count, error, "not a CT: %s%s%.16s",
		                       reason, *dicom->modality ? ", " : "", dicom->modality);
	if (!status && localisers > 0)
		status = hl_findings_refuse(findings, HL_FINDING_LOCALISER, force, localisers, error,
		                            "nothing but a localiser");
	if (!status && bare > 0)
		status = hl_findings_refuse(findings, HL_FINDING_UNITS, force, bare, error,
		                            "no rescale slope: stored values are not Hounsfield units");
	else if (!status && other > 0)
		status = hl_findings_refuse(findings, HL_FINDING_UNITS, force, other, error,
		                            "rescaled to something else than Hounsfield units");
	if (!status && derived > 0)
		hl_findings_note(findings, HL_FINDING_DERIVED, HL_FINDING_NOTICED, derived,
		                 "computed from other images, so say %d of %d slices", derived, stack->count);
	return status;
}

/* Without a place a slice can only be numbered. */
static enum hilum_status check_places(const struct hl_slice *slices, const struct hl_stack *stack, bool force,
                                      bool *placed, struct hl_findings *findings, struct hilum_error *error)
{
	int32_t orientation = 0, position = 0, spacing = 0, count;
	const char *what;

	for (int32_t i = 0; i < stack->count; i++) {
		const struct hl_dicom_frame *frame = hl_slice_frame(&slices[stack->slice[i]]);
		orientation += !frame->has_orientation;
		position += !frame->has_position;
		spacing += !frame->has_spacing;
	}
	count = orientation ? orientation : position ? position : spacing;
	what = orientation ? "image orientation" : position ? "image position" : "pixel spacing";
	*placed = count == 0;
	if (*placed)
		return HILUM_OK;
	return hl_findings_refuse(findings, HL_FINDING_MISSING_TAGS, force, count, error,
	                          "%s missing or not sound in %d of %d slices%s", what, count, stack->count,
	                          force ? ": place in the patient unknown" : "");
}

static void note_padding(const struct hl_slice *slices, const struct hl_stack *stack, struct hl_findings *findings)
{
	int32_t count = 0;
	double worst = 0;

	for (int32_t i = 0; i < stack->count; i++) {
		const struct hl_dicom *dicom = slices[stack->slice[i]].dicom;
		const struct hl_dicom_frame *frame = hl_slice_frame(&slices[stack->slice[i]]);
		double padding = dicom->padding * frame->slope + frame->intercept;
		if (dicom->has_padding && padding > -900) {
			count++;
			worst = padding;
		}
	}
	if (count > 0)
		hl_findings_note(findings, HL_FINDING_PADDING, HL_FINDING_NOTICED, count,
		                 "what lies outside the scan has the value %g, which is not that of air", worst);
}

/* ---- the layout of a stack in space ---- */

struct work {
	const struct hl_slice *slices;
	const struct hl_stack *stack;
	bool force;
	struct hl_offset *offsets; /* of all slices, sorted */
	double *along;             /* of places */
	int32_t *step;             /* of places, in units of the spacing */
	int32_t places;
	double spacing, miss;
	struct hl_layout *layout;
	struct hl_findings *findings;
};

/* Distances from one slice, along its normal and its directions. */
static void measure(struct work *work, int32_t from)
{
	const struct hl_dicom_frame *first = hl_slice_frame(&work->slices[from]);
	double normal[3];

	hl_normal(first, normal);
	for (int32_t i = 0; i < work->stack->count; i++) {
		struct hl_offset *offset = &work->offsets[i];
		const struct hl_dicom_frame *frame = hl_slice_frame(&work->slices[offset->slice]);
		double apart[3];
		for (int k = 0; k < 3; k++)
			apart[k] = frame->position[k] - first->position[k];
		offset->along = dot(apart, normal);
		offset->across[0] = dot(apart, first->row);
		offset->across[1] = dot(apart, first->column);
	}
}

/* The position along the axis that a reader knows: of axial slices, z. */
static double seen(const struct work *work, int32_t place)
{
	const struct hl_dicom_frame *frame = hl_slice_frame(&work->slices[work->layout->place[place].slice]);
	double normal[3], most = 0, value = 0;

	hl_normal(frame, normal);
	for (int k = 0; k < 3; k++)
		if (fabs(normal[k]) > most) {
			most = fabs(normal[k]);
			value = frame->position[k];
		}
	return value;
}

/* Fills the places from the sorted offsets. */
static enum hilum_status make_places(struct work *work, struct hilum_error *error)
{
	struct hl_layout *layout = work->layout;
	int32_t count = work->stack->count, place = -1;

	layout->place = hl_alloc((size_t)work->places, sizeof(*layout->place));
	layout->extra = hl_alloc((size_t)count, sizeof(*layout->extra));
	if (!layout->place || !layout->extra)
		return hl_fail_memory(error, (size_t)count * sizeof(*layout->place), "places");
	layout->count = work->places;
	for (int32_t i = 0; i < count; i++) {
		const struct hl_offset *offset = &work->offsets[i];
		if (offset->place != place) {
			place = offset->place;
			layout->place[place] = (struct hl_place){
			    .slice = offset->slice, .along = offset->along, .first_extra = layout->extras};
			memcpy(layout->place[place].shift, offset->across, sizeof(offset->across));
			work->along[place] = offset->along;
		} else {
			layout->extra[layout->extras++] = offset->slice;
			layout->place[place].more++;
		}
	}
	return HILUM_OK;
}

/* Slices at the same place along the normal must be at the same place sideways too. */
static enum hilum_status check_extras(const struct work *work, struct hilum_error *error)
{
	int32_t conflicts = 0, first = 0;

	for (int32_t i = 0; i < work->stack->count; i++) {
		const struct hl_offset *offset = &work->offsets[i];
		const double *shift = work->layout->place[offset->place].shift;
		if (fabs(offset->across[0] - shift[0]) > HL_SAME_PLACE ||
		    fabs(offset->across[1] - shift[1]) > HL_SAME_PLACE) {
			first = conflicts++ ? first : offset->place;
		}
	}
	if (conflicts == 0)
		return HILUM_OK;
	return hl_findings_refuse(work->findings, HL_FINDING_CONFLICT, work->force, conflicts, error,
	                          "%d slices lie in the plane of another one, beside it, the first at %g mm", conflicts,
	                          seen(work, first));
}

/* Whether the places are at equal distances: gaps and irregular distances are refused, or resampled if forced. */
static enum hilum_status check_distances(struct work *work, struct hilum_error *error)
{
	struct hl_layout *layout = work->layout;
	int32_t last = work->places - 1, missing, gap = 0;
	enum hilum_status status = HILUM_OK;
	double regular;

	work->spacing = hl_series_steps(work->along, work->places, work->step, &work->miss);
	if (work->spacing < 0 || work->miss > hl_series_tolerance(work->spacing)) {
		double least = work->along[1] - work->along[0], most = least;
		for (int32_t i = 2; i <= last; i++) {
			least = fmin(least, work->along[i] - work->along[i - 1]);
			most = fmax(most, work->along[i] - work->along[i - 1]);
		}
		status = hl_findings_refuse(work->findings, HL_FINDING_IRREGULAR, work->force, work->places, error,
		                            "slices at unequal distances, from %g to %g mm%s", least, most,
		                            work->force ? ": interpolated" : "");
		if (status)
			return status;
		work->spacing = work->along[last] / last;
		layout->regular = last + 1;
		return HILUM_OK;
	}
	missing = work->step[last] - last;
	if (missing > 0) {
		while (work->step[gap + 1] - work->step[gap] == 1)
			gap++;
		status = hl_findings_refuse(work->findings, HL_FINDING_GAP, work->force, missing, error,
		                            "%d of %d slices missing, the first between %g and %g mm%s", missing,
		                            work->step[last] + 1, seen(work, gap), seen(work, gap + 1),
		                            work->force ? ": interpolated" : "");
		layout->regular = work->step[last] + 1;
	}
	regular = work->miss;
	if (!status && regular > 1e-3 * work->spacing)
		hl_findings_note(work->findings, HL_FINDING_IRREGULAR, HL_FINDING_NOTICED, work->places,
		                 "slices up to %.2g mm beside equal distances of %g mm, as rounding makes them",
		                 regular, work->spacing);
	return status;
}

/* Slices thinner or thicker than their distance. */
static void note_thickness(const struct work *work)
{
	const struct hl_dicom_frame *frame = hl_slice_frame(&work->slices[work->layout->place[0].slice]);

	if (frame->thickness <= 0 || work->places < 2)
		return;
	if (frame->thickness > 1.01 * work->spacing)
		hl_findings_note(work->findings, HL_FINDING_OVERLAP, HL_FINDING_NOTICED, 0,
		                 "slices of %g mm every %g mm overlap", frame->thickness, work->spacing);
	else if (frame->thickness < 0.5 * work->spacing)
		hl_findings_note(work->findings, HL_FINDING_SPARSE, HL_FINDING_NOTICED, 0,
		                 "slices of %g mm every %g mm leave out what lies between", frame->thickness,
		                 work->spacing);
}

/* Moves the canvas so that all shifted slices fit, and turns shifts into pixels on it. */
static enum hilum_status make_room(struct work *work, struct hilum_error *error)
{
	struct hl_layout *layout = work->layout;
	int32_t *side[2] = {&layout->width, &layout->height};

	for (int axis = 0; axis < 2; axis++) {
		double least = 0, most = 0, pixel = layout->spacing[axis];
		for (int32_t i = 0; i < layout->count; i++) {
			least = fmin(least, layout->place[i].shift[axis] / pixel);
			most = fmax(most, layout->place[i].shift[axis] / pixel);
		}
		/* Whole pixels, so that the first slice stays as it is. */
		least = floor(least + 1e-6);
		most = ceil(most - 1e-6);
		if (!(most - least <= *side[axis])) {
			hl_findings_note(work->findings, HL_FINDING_SHIFTED, HL_FINDING_REFUSED, work->places,
			                 "slices displaced by %.4g mm from each other", (most - least) * pixel);
			return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "slices displaced by %.4g mm from each other",
			               (most - least) * pixel);
		}
		*side[axis] += (int32_t)(most - least);
		for (int32_t i = 0; i < layout->count; i++)
			layout->place[i].shift[axis] = layout->place[i].shift[axis] / pixel - least;
		for (int k = 0; k < 3; k++)
			layout->origin[k] += least * pixel * layout->direction[axis][k];
	}
	layout->shifted = true;
	return HILUM_OK;
}

/* Slices that are not stacked along their normal: a tilted gantry, or a reconstruction that wandered. Positions are
 * rounded, so that a lean that is nearly even is taken as even. */
static enum hilum_status check_lean(struct work *work, struct hilum_error *error)
{
	struct hl_layout *layout = work->layout;
	const struct hl_place *end = &layout->place[work->places - 1];
	double residual = 0, most = 0, pixel = fmin(layout->spacing[0], layout->spacing[1]);
	double lean[2] = {0}, angle;
	enum hilum_status status;

	for (int k = 0; k < 2 && end->along > 0; k++)
		lean[k] = end->shift[k] / end->along;
	for (int32_t i = 0; i < work->places; i++)
		for (int k = 0; k < 2; k++) {
			const struct hl_place *place = &layout->place[i];
			residual = fmax(residual, fabs(place->shift[k] - lean[k] * place->along));
			most = fmax(most, fabs(place->shift[k]));
		}
	if (most <= UPRIGHT * pixel) {
		for (int32_t i = 0; i < work->places; i++)
			layout->place[i].shift[0] = layout->place[i].shift[1] = 0;
		return HILUM_OK;
	}
	if (residual > hl_series_tolerance(fmax(pixel, 1))) {
		hl_findings_note(work->findings, HL_FINDING_SHIFTED, HL_FINDING_REPAIRED, work->places,
		                 "slices displaced sideways by up to %.3g mm: moved back", most);
		return make_room(work, error);
	}
	angle = atan(hypot(lean[0], lean[1])) * DEGREES;
	if (angle > LEAN_MAX) {
		status = hl_findings_refuse(work->findings, HL_FINDING_TILT, work->force, work->places, error,
		                            "slices stacked at %.1f degrees to their normal", angle);
		if (status)
			return status;
	}
	for (int32_t i = 0; i < work->places; i++)
		for (int k = 0; k < 2; k++)
			layout->place[i].shift[k] = lean[k] * layout->place[i].along;
	/* A stack that leans by less than rounding can make it is told apart from a tilt by words only. */
	hl_findings_note(work->findings, HL_FINDING_TILT, HL_FINDING_REPAIRED, work->places,
	                 "gantry tilted by %.2f degrees: rows moved back with interpolation", angle);
	return make_room(work, error);
}

/* Which way the stack points in the patient. */
static enum hilum_status note_direction(const struct work *work, struct hilum_error *error)
{
	static const char *const planes[3] = {"sagittal", "coronal", "axial"};
	double(*direction)[3] = work->layout->direction, worst = 1;
	int main_axis[3] = {0};
	bool flipped = false;

	for (int axis = 0; axis < 3; axis++) {
		for (int k = 1; k < 3; k++)
			if (fabs(direction[axis][k]) > fabs(direction[axis][main_axis[axis]]))
				main_axis[axis] = k;
		worst = fmin(worst, fabs(direction[axis][main_axis[axis]]));
		flipped |= direction[axis][main_axis[axis]] < 0;
	}
	if (main_axis[2] != 2) {
		if (work->places == 1 && !work->force)
			return hl_findings_refuse(work->findings, HL_FINDING_NOT_AXIAL, false, 1, error,
			                          "a single %s slice", planes[main_axis[2]]);
		hl_findings_note(work->findings, HL_FINDING_NOT_AXIAL,
		                 work->places == 1 ? HL_FINDING_FORCED : HL_FINDING_REPAIRED, work->places,
		                 "%s slices: turned to axial ones", planes[main_axis[2]]);
	}
	if (flipped)
		hl_findings_note(work->findings, HL_FINDING_FLIPPED, HL_FINDING_REPAIRED, 0,
		                 "axes turned round to point left, posterior, superior");
	worst = acos(fmin(worst, 1)) * DEGREES;
	if (worst > ALONG)
		hl_findings_note(work->findings, HL_FINDING_OBLIQUE, HL_FINDING_NOTICED, 0,
		                 "axes deviate from the patient's by up to %.1f degrees", worst);
	return HILUM_OK;
}

static enum hilum_status lay_out(struct work *work, struct hilum_error *error)
{
	struct hl_layout *layout = work->layout;
	const struct hl_dicom_frame *first;
	enum hilum_status status;

	for (int32_t i = 0; i < work->stack->count; i++)
		work->offsets[i].slice = work->stack->slice[i];
	/* By the first file's normal, then exactly by that of the first slice, which does not depend on files. */
	measure(work, work->stack->slice[0]);
	hl_series_sort(work->slices, work->offsets, work->stack->count);
	measure(work, work->offsets[0].slice);
	work->places = hl_series_sort(work->slices, work->offsets, work->stack->count);
	measure(work, work->offsets[0].slice);
	status = make_places(work, error);
	if (status)
		return status;
	first = hl_slice_frame(&work->slices[layout->place[0].slice]);
	layout->oriented = true;
	memcpy(layout->origin, first->position, sizeof(layout->origin));
	memcpy(layout->direction[0], first->row, sizeof(first->row));
	memcpy(layout->direction[1], first->column, sizeof(first->column));
	hl_normal(first, layout->direction[2]);
	layout->spacing[0] = first->spacing[0];
	layout->spacing[1] = first->spacing[1];
	if (fabs(first->spacing[0] - first->spacing[1]) > 1e-4 * first->spacing[0])
		hl_findings_note(work->findings, HL_FINDING_NOT_SQUARE, HL_FINDING_NOTICED, 0, "pixels of %g x %g mm",
		                 first->spacing[0], first->spacing[1]);
	status = check_extras(work, error);
	if (!status && work->places > 1)
		status = check_distances(work, error);
	if (!status) {
		layout->spacing[2] = work->places > 1 ? work->spacing : first->thickness;
		note_thickness(work);
		status = note_direction(work, error);
	}
	return status ? status : check_lean(work, error);
}

/* ---- a stack without places ---- */

/* Forced: in the order of their numbers. */
static enum hilum_status number(struct work *work, struct hilum_error *error)
{
	const struct hl_dicom_frame *first = hl_slice_frame(&work->slices[work->stack->slice[0]]);
	int32_t count = work->stack->count;
	enum hilum_status status;

	for (int32_t i = 0; i < count; i++) {
		const struct hl_slice *slice = &work->slices[work->stack->slice[i]];
		work->offsets[i] = (struct hl_offset){.slice = work->stack->slice[i],
		                                      .along = (double)slice->dicom->instance + slice->frame};
	}
	hl_series_sort(work->slices, work->offsets, count);
	for (int32_t i = 0; i < count; i++)
		work->offsets[i].place = i;
	work->places = count;
	status = make_places(work, error);
	if (first->has_spacing)
		memcpy(work->layout->spacing, first->spacing, sizeof(first->spacing));
	work->layout->spacing[2] = first->thickness;
	return status;
}

enum hilum_status hl_series_layout(const struct hl_slice *slices, const struct hl_stack *stack, bool force,
                                   struct hl_layout *out, struct hl_findings *findings, struct hilum_error *error)
{
	const struct hl_dicom *dicom = slices[stack->slice[0]].dicom;
	struct hl_layout layout = {
	    .width = dicom->width, .height = dicom->height, .slice_width = dicom->width, .slice_height = dicom->height};
	struct work work = {.slices = slices, .stack = stack, .force = force, .layout = &layout, .findings = findings};
	size_t count = (size_t)stack->count;
	bool placed = false;
	enum hilum_status status = check_kind(slices, stack, force, findings, error);

	if (!status)
		status = check_places(slices, stack, force, &placed, findings, error);
	if (status)
		return status;
	note_padding(slices, stack, findings);
	work.offsets = hl_alloc(count, sizeof(*work.offsets));
	work.along = hl_alloc(count, sizeof(*work.along));
	work.step = hl_alloc(count, sizeof(*work.step));
	if (!work.offsets || !work.along || !work.step)
		status = hl_fail_memory(error, count * sizeof(*work.offsets), "places");
	else
		status = placed ? lay_out(&work, error) : number(&work, error);
	if (!status && stack->of_acquisition)
		hl_findings_note(findings, HL_FINDING_ACQUISITIONS, HL_FINDING_NOTICED, 0,
		                 "one of several acquisitions in its series");
	if (!status && stack->own_references)
		hl_findings_note(findings, HL_FINDING_REFERENCE, HL_FINDING_NOTICED, stack->count,
		                 "every slice names a frame of reference of its own: taken as one");
	hl_free(work.offsets);
	hl_free(work.along);
	hl_free(work.step);
	if (status)
		hl_layout_free(&layout);
	else
		*out = layout;
	return status;
}

void hl_layout_free(struct hl_layout *layout)
{
	hl_free(layout->place);
	hl_free(layout->extra);
	*layout = (struct hl_layout){0};
}
