/* hilum_view: a scan as one picture: a slice, a montage of slices, or three planes; a mask over it. */
#include "infer/scans.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "scan/format.h"
#include "scan/resample.h"
#include "scan/window.h"

#define SIDE_MAX 8192 /* of the picture */

static const char *const layouts[] = {"slice", "montage", "planes", NULL};
enum { LAYOUT_SLICE, LAYOUT_MONTAGE, LAYOUT_PLANES };

#define OPTION(member, title, type, ...)                                                                               \
	{                                                                                                              \
		.name = (title), .kind = HILUM_OPTION_##type, .offset = offsetof(struct hilum_view_options, member),   \
		__VA_ARGS__                                                                                            \
	}
const struct hilum_option hilum_view_option_table[] = {
    OPTION(out, "out", TEXT, .value = "FILE", .help = "the PNG to write; -o for short"),
    OPTION(layout, "layout", CHOICE, .choices = layouts, .initial = "slice",
           .help = "one axial slice, a montage of them, or an axial, a coronal and a sagittal one"),
    OPTION(slice, "slice", INT, .minimum = 0, .maximum = 16384, .initial = "0", .value = "N",
           .help = "axial slice, from 1 at the feet's end; 0: the one with most of the mask, or the middle"),
    OPTION(count, "count", INT, .minimum = 1, .maximum = 400, .initial = "20", .value = "N",
           .help = "slices of a montage, evenly from the first to the last"),
    OPTION(columns, "columns", INT, .minimum = 0, .maximum = 100, .initial = "0", .value = "N",
           .help = "of a montage; 0: about as many as rows"),
    OPTION(window, "window", TEXT, .initial = "lung", .value = "NAME|C/W",
           .help = "lung, mediastinum, bone or center/width in Hounsfield units"),
    OPTION(mask, "mask", TEXT, .value = "FILE",
           .help = "a scan of the same size whose voxels above 0 are coloured, each value in a colour of its own"),
    OPTION(opacity, "opacity", REAL, .minimum = 0, .maximum = 1, .initial = "0.4", .value = "SHARE",
           .help = "how much the mask's colour covers"),
    OPTION(series, "series", INT, .minimum = 0, .maximum = 1000000, .initial = "0", .value = "N",
           .help = "which of several series, as hilum info counts them"),
    OPTION(force, "force", FLAG, .help = "go on where a scan would be refused, and say so"),
    {0},
};

struct view {
	const struct hilum_view_options *options;
	struct hl_window window;
	struct hl_volume scan, mask; /* mask without voxels: there is none */
	double spacing[3];           /* 1 where it is unknown */
	struct hl_volume picture;    /* RGB */
};

enum plane { AXIAL, CORONAL, SAGITTAL };

/* ---- slices in any plane ---- */

static void plane_size(const struct hl_volume *volume, enum plane plane, int32_t *width, int32_t *height)
{
	*width = plane == SAGITTAL ? volume->height : volume->width;
	*height = plane == AXIAL ? volume->height : volume->depth;
}

/* A copy of one slice, head up. */
static enum hilum_status cut(const struct hl_volume *volume, enum plane plane, int32_t at, struct hl_volume *out,
                             struct hilum_error *error)
{
	size_t voxel = hl_voxel_size(volume->type) * (size_t)volume->channels;
	const uint8_t *from = volume->voxels;
	enum hilum_status status;
	int32_t width, height;
	uint8_t *to;

	plane_size(volume, plane, &width, &height);
	status = hl_volume_init(out, width, height, 1, volume->channels, volume->type, error);
	if (status)
		return status;
	out->maximum = volume->maximum;
	to = out->voxels;
	for (int32_t row = 0; row < height; row++)
		for (int32_t column = 0; column < width; column++, to += voxel) {
			size_t x = (size_t)(plane == SAGITTAL ? at : column);
			size_t y = (size_t)(plane == SAGITTAL ? column : plane == CORONAL ? at : row);
			size_t z = (size_t)(plane == AXIAL ? at : height - 1 - row);
			size_t place = (z * (size_t)volume->height + y) * (size_t)volume->width + x;
			memcpy(to, from + place * voxel, voxel);
		}
	return HILUM_OK;
}

/* A slice as RGB of 0 to 1, resized to width * height pixels. */
static enum hilum_status draw_grey(const struct view *view, enum plane plane, int32_t at, int32_t width, int32_t height,
                                   float *out, struct hilum_error *error)
{
	struct hl_volume slice;
	enum hilum_status status = cut(&view->scan, plane, at, &slice, error);
	float *values;

	if (status)
		return status;
	values = hl_alloc((size_t)slice.width * (size_t)slice.height, 3 * sizeof(*values));
	if (!values) {
		status = hl_fail_memory(error, (size_t)slice.width * (size_t)slice.height * 3, "a slice");
	} else {
		hl_window_slice(&slice, 0, view->window, 3, values);
		status = hl_resize(values, slice.width, slice.height, 3, out, width, height, error);
	}
	hl_free(values);
	hl_volume_free(&slice);
	return status;
}

/* Colours the mask's pixels, each the mask's nearest voxel. */
static enum hilum_status draw_mask(const struct view *view, enum plane plane, int32_t at, int32_t width, int32_t height,
                                   float *out, struct hilum_error *error)
{
	static const float colours[][3] = {{1, 0.2F, 0.2F}, {0.25F, 0.6F, 1}, {0.3F, 1, 0.3F}, {1, 0.85F, 0.2F}};
	float share = (float)view->options->opacity;
	struct hl_volume slice;
	enum hilum_status status = cut(&view->mask, plane, at, &slice, error);

	if (status)
		return status;
	for (int32_t y = 0; y < height; y++)
		for (int32_t x = 0; x < width; x++, out += 3) {
			int32_t from_x = (int32_t)(((int64_t)2 * x + 1) * slice.width / ((int64_t)2 * width));
			int32_t from_y = (int32_t)(((int64_t)2 * y + 1) * slice.height / ((int64_t)2 * height));
			double value = hl_volume_get(&slice, from_x, from_y, 0, 0);
			if (!(value > 0))
				continue;
			const float *colour = colours[value < 1e6 ? (int32_t)(ceil(value) - 1) % 4 : 0];
			for (int c = 0; c < 3; c++)
				out[c] = (1 - share) * out[c] + share * colour[c];
		}
	hl_volume_free(&slice);
	return HILUM_OK;
}

/* Draws a slice into the picture's rectangle at (left, top). */
static enum hilum_status draw(struct view *view, enum plane plane, int32_t at, int32_t left, int32_t top, int32_t width,
                              int32_t height, struct hilum_error *error)
{
	float *values = hl_alloc((size_t)width * (size_t)height, 3 * sizeof(*values));
	enum hilum_status status;

	if (!values)
		return hl_fail_memory(error, (size_t)width * (size_t)height * 3 * sizeof(*values), "a picture");
	status = draw_grey(view, plane, at, width, height, values, error);
	if (!status && view->mask.voxels)
		status = draw_mask(view, plane, at, width, height, values, error);
	for (int32_t y = 0; y < height && !status; y++) {
		size_t place = ((size_t)(top + y) * (size_t)view->picture.width + (size_t)left) * 3;
		uint8_t *to = (uint8_t *)view->picture.voxels + place;
		const float *from = values + (size_t)y * (size_t)width * 3;
		for (size_t i = 0; i < (size_t)width * 3; i++)
			to[i] = (uint8_t)(from[i] * 255.0F + 0.5F);
	}
	hl_free(values);
	return status;
}

/* ---- layouts ---- */

/* Pixels that a plane takes at so many millimetres a pixel. */
static enum hilum_status measure(const struct view *view, enum plane plane, double pixel, int32_t *width,
                                 int32_t *height, struct hilum_error *error)
{
	const double *spacing = view->spacing;
	int32_t columns, rows;
	double wide, high;

	plane_size(&view->scan, plane, &columns, &rows);
	wide = fmax(1, round(columns * (plane == SAGITTAL ? spacing[1] : spacing[0]) / pixel));
	high = fmax(1, round(rows * (plane == AXIAL ? spacing[1] : spacing[2]) / pixel));
	if (wide > SIDE_MAX || high > SIDE_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "a picture of %.0f x %.0f pixels, more than %d a side", wide,
		               high, SIDE_MAX);
	*width = (int32_t)wide;
	*height = (int32_t)high;
	return HILUM_OK;
}

static enum hilum_status begin(struct view *view, int32_t width, int32_t height, struct hilum_error *error)
{
	return hl_volume_init(&view->picture, width, height, 1, 3, HL_VOXEL_U8, error);
}

/* How many voxels of each axial slice are in the mask. */
static int32_t fullest_slice(const struct hl_volume *mask)
{
	size_t most = 0;
	int32_t best = mask->depth / 2;

	for (int32_t z = 0; z < mask->depth; z++) {
		size_t count = 0;
		for (int32_t y = 0; y < mask->height; y++)
			for (int32_t x = 0; x < mask->width; x++)
				count += hl_volume_get(mask, x, y, z, 0) > 0;
		if (count > most) {
			most = count;
			best = z;
		}
	}
	return best;
}

static enum hilum_status choose_slice(const struct view *view, int32_t *out, struct hilum_error *error)
{
	int64_t wanted = view->options->slice;

	if (wanted > view->scan.depth)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "slice: %lld of %d", (long long)wanted, view->scan.depth);
	*out = wanted > 0 ? (int32_t)wanted - 1 : view->mask.voxels ? fullest_slice(&view->mask) : view->scan.depth / 2;
	return HILUM_OK;
}

static enum hilum_status draw_slice(struct view *view, struct hilum_error *error)
{
	int32_t z = 0, width = 0, height = 0;
	enum hilum_status status = choose_slice(view, &z, error);

	if (!status)
		status = measure(view, AXIAL, fmin(view->spacing[0], view->spacing[1]), &width, &height, error);
	if (!status)
		status = begin(view, width, height, error);
	return status ? status : draw(view, AXIAL, z, 0, 0, width, height, error);
}

static enum hilum_status draw_montage(struct view *view, struct hilum_error *error)
{
	enum { WIDTH = 2048 };
	int32_t depth = view->scan.depth, width = 0, height = 0;
	int64_t wanted = view->options->count > 0 ? view->options->count : 20;
	int32_t count = wanted < depth ? (int32_t)wanted : depth;
	int32_t columns =
	    view->options->columns > 0 ? (int32_t)view->options->columns : (int32_t)ceil(sqrt((double)count));
	double pixel = fmin(view->spacing[0], view->spacing[1]);
	enum hilum_status status;

	columns = columns < count ? columns : count;
	/* Never larger than the voxels are. */
	pixel = fmax(pixel, view->scan.width * view->spacing[0] * columns / WIDTH);
	status = measure(view, AXIAL, pixel, &width, &height, error);
	int32_t rows = (count + columns - 1) / columns;
	if (!status)
		status = begin(view, columns * width, rows * height, error);
	for (int32_t i = 0; i < count && !status; i++) {
		/* From head to feet. */
		int32_t z = count == 1 ? depth / 2 : depth - 1 - (int32_t)((int64_t)i * (depth - 1) / (count - 1));
		status = draw(view, AXIAL, z, i % columns * width, i / columns * height, width, height, error);
	}
	return status;
}

static enum hilum_status draw_planes(struct view *view, struct hilum_error *error)
{
	double pixel = fmin(view->spacing[0], fmin(view->spacing[1], view->spacing[2]));
	int32_t at[3] = {0, view->scan.height / 2, view->scan.width / 2}, width[3] = {0}, height[3] = {0};
	int32_t wide = 0, high = 0, left = 0;
	enum hilum_status status = choose_slice(view, &at[AXIAL], error);

	pixel = fmax(pixel, fmin(view->spacing[0], view->spacing[1]));
	for (int plane = AXIAL; plane <= SAGITTAL && !status; plane++) {
		status = measure(view, (enum plane)plane, pixel, &width[plane], &height[plane], error);
		if (!status) {
			wide += width[plane];
			high = height[plane] > high ? height[plane] : high;
		}
	}
	if (!status)
		status = begin(view, wide, high, error);
	for (int plane = AXIAL; plane <= SAGITTAL && !status; plane++) {
		status = draw(view, (enum plane)plane, at[plane], left, 0, width[plane], height[plane], error);
		left += width[plane];
	}
	return status;
}

/* ---- the whole ---- */

static enum hilum_status load(struct view *view, const char *scan, struct hilum_error *error)
{
	const struct hilum_view_options *options = view->options;
	enum hilum_status status = hl_window_parse(options->window ? options->window : "lung", &view->window, error);

	if (!status)
		status = hl_scan_load(scan, options->force, options->series, &view->scan, error);
	if (!status && options->mask)
		status = hl_scan_load(options->mask, false, 0, &view->mask, error);
	if (status)
		return status;
	if (options->mask && (view->mask.width != view->scan.width || view->mask.height != view->scan.height ||
	                      view->mask.depth != view->scan.depth))
		return hl_fail(error, HILUM_ERROR_ARGUMENT,
		               "%s: a mask of %d x %d x %d voxels for a scan of %d x %d x %d", options->mask,
		               view->mask.width, view->mask.height, view->mask.depth, view->scan.width,
		               view->scan.height, view->scan.depth);
	for (int k = 0; k < 3; k++)
		view->spacing[k] = view->scan.spacing[k] > 0 ? view->scan.spacing[k] : 1;
	return HILUM_OK;
}

enum hilum_status hilum_view(const char *scan, const struct hilum_view_options *options, struct hilum_error *error)
{
	struct view view = {.options = options};
	enum hilum_status status;

	if (!options->out)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "out: no file is named");
	status = load(&view, scan, error);
	if (!status)
		status = options->layout == LAYOUT_PLANES    ? draw_planes(&view, error)
		         : options->layout == LAYOUT_MONTAGE ? draw_montage(&view, error)
		                                             : draw_slice(&view, error);
	if (!status)
		status = hl_png_write(options->out, &view.picture, error);
	hl_volume_free(&view.picture);
	hl_volume_free(&view.scan);
	hl_volume_free(&view.mask);
	return status;
}
