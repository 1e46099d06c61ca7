/* A chest in space: the slices of one patient, drawn one by one from what goes on through all of them. */
#include <math.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "scan/phantom_canvas.h"

/* mm from level 0, just below the apex, to level 1, the dome of the diaphragm. */
#define HEIGHT 220
/* Anatomy ends there; slices beyond repeat the last. */
#define LEVEL_MIN 0.02
#define LEVEL_MAX 0.99

struct drawing {
	uint64_t seed;
	uint32_t index;
	int32_t size, slices;
	double spacing;
	struct hl_canvas frame; /* pixel, rotation and shift for all slices; no memory of its own */
	struct hl_patient patient;
	struct hl_vessels vessels;
	bool with_lesion;
	struct hl_lesion_shape shape;
	struct hl_random left;
	struct hl_lesion lesion;
	int32_t middle; /* slice of the lesion's middle */
	double half;    /* mm of its half height */
	int16_t *voxels;
	atomic_bool failed;
};

/* mm towards the feet from the middle of the volume. */
static double depth_of(const struct drawing *drawing, int32_t slice)
{
	return (0.5 * (drawing->slices - 1) - slice) * drawing->spacing;
}

/* A canvas with this slice's anatomy, and its patient. */
static enum hilum_status draw_anatomy(const struct drawing *drawing, int32_t slice, struct hl_canvas *canvas,
                                      struct hilum_error *error)
{
	struct hl_patient patient = drawing->patient;
	enum hilum_status status = hl_canvas_init(canvas, drawing->size, error);

	if (status)
		return status;
	canvas->pixel = drawing->frame.pixel;
	canvas->cosine = drawing->frame.cosine;
	canvas->sine = drawing->frame.sine;
	canvas->shift_x = drawing->frame.shift_x;
	canvas->shift_y = drawing->frame.shift_y;
	canvas->seed = drawing->seed;
	canvas->index = drawing->index;
	canvas->vessels = &drawing->vessels;
	canvas->depth = depth_of(drawing, slice);
	patient.level = fmin(fmax(0.5 + canvas->depth / HEIGHT, LEVEL_MIN), LEVEL_MAX);
	hl_phantom_anatomy(canvas, &patient);
	return HILUM_OK;
}

static void draw_slice(void *context, int32_t slice)
{
	struct drawing *drawing = context;
	struct hl_canvas canvas;
	size_t count = (size_t)drawing->size * (size_t)drawing->size;
	double away = (slice - drawing->middle) * drawing->spacing / drawing->half;

	if (draw_anatomy(drawing, slice, &canvas, NULL)) {
		drawing->failed = true;
		return;
	}
	struct hl_lesion lesion = drawing->lesion;
	if (drawing->with_lesion && away > -1 && away < 1)
		hl_lesion_draw(&canvas, drawing->shape, drawing->left, sqrt(1 - away * away), &lesion);
	hl_phantom_scanner(&canvas, HL_PART_SLICE * ((uint32_t)slice + 1));
	int16_t *voxels = drawing->voxels + (size_t)slice * count;
	for (size_t i = 0; i < count; i++)
		voxels[i] = (int16_t)fmin(fmax(floor((double)canvas.hu[i] + 0.5), -1024), 3071);
	hl_canvas_free(&canvas);
}

/* Chooses the lesion in a slice of the middle half. */
static enum hilum_status choose_lesion(struct drawing *drawing, struct hilum_error *error)
{
	struct hl_canvas canvas = {.seed = drawing->seed, .index = drawing->index};
	struct hl_random random = hl_canvas_stream(&canvas, HL_PART_LESION + HL_PART_SLICE);
	double place = hl_random_range(&random, 0.3, 0.7), squeeze = hl_random_range(&random, 0.85, 1.15);
	enum hilum_status status;

	drawing->middle = (int32_t)(place * drawing->slices);
	status = draw_anatomy(drawing, drawing->middle, &canvas, error);
	if (status)
		return status;
	hl_lesion_choose(&canvas, false, &drawing->shape, &drawing->left, &drawing->lesion);
	hl_lesion_draw(&canvas, drawing->shape, drawing->left, 1, &drawing->lesion);
	drawing->half = drawing->shape.radius * squeeze;
	hl_canvas_free(&canvas);
	return HILUM_OK;
}

/* What all slices share. */
static enum hilum_status begin(struct drawing *drawing, struct hilum_error *error)
{
	struct hl_canvas *frame = &drawing->frame;

	*frame = (struct hl_canvas){.size = drawing->size, .pixel = 1, .seed = drawing->seed, .index = drawing->index};
	hl_phantom_patient(frame, false, &drawing->patient);
	/* Glands are drawn slice by slice, and the field of view must hold every level. */
	drawing->patient.breast = 0;
	return hl_phantom_vessels(frame, &drawing->patient, &drawing->vessels, error);
}

enum hilum_status hl_phantom_draw_volume(uint64_t seed, uint32_t index, int32_t size, int32_t slices, double spacing,
                                         bool with_lesion, struct hl_phantom_volume *out, struct hilum_error *error)
{
	struct drawing drawing = {.seed = seed,
	                          .index = index,
	                          .size = size,
	                          .slices = slices,
	                          .spacing = spacing,
	                          .with_lesion = with_lesion,
	                          .half = 1};
	struct hl_volume volume = {0};
	enum hilum_status status;

	if (size < HL_PHANTOM_SIZE_MIN || size > HL_PHANTOM_SIZE_MAX || slices < 1 || slices > HL_PHANTOM_SLICES_MAX ||
	    !(spacing > 0 && spacing <= 100))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "a phantom of %d slices of %d pixels, %g mm apart", slices,
		               size, spacing);
	status = hl_volume_init(&volume, size, size, slices, 1, HL_VOXEL_I16, error);
	if (status)
		return status;
	drawing.voxels = volume.voxels;
	status = begin(&drawing, error);
	if (!status && with_lesion)
		status = choose_lesion(&drawing, error);
	if (!status)
		hl_parallel(slices, 0, draw_slice, &drawing);
	hl_vessels_free(&drawing.vessels);
	if (!status && drawing.failed)
		status = hl_fail_memory(error, (size_t)size * (size_t)size * sizeof(float), "a phantom");
	if (status) {
		hl_volume_free(&volume);
		return status;
	}
	volume.spacing[0] = volume.spacing[1] = drawing.frame.pixel;
	volume.spacing[2] = spacing;
	volume.oriented = true;
	for (int k = 0; k < 3; k++) {
		volume.direction[k][k] = 1;
		volume.origin[k] = -0.5 * ((k < 2 ? size : slices) - 1) * volume.spacing[k];
	}
	*out = (struct hl_phantom_volume){.volume = volume,
	                                  .has_lesion = with_lesion,
	                                  .lesion = drawing.lesion,
	                                  .z = drawing.middle,
	                                  .height_mm = with_lesion ? 2 * drawing.half : 0};
	return HILUM_OK;
}
