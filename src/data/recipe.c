#include "data/recipe.h"

#include "base/memory.h"
#include "scan/resample.h"

#include <math.h>
#include <string.h>

/* Floats worked on at a time and in between; a picture so long and thin that it needs more is refused. */
#define BAND_FLOATS ((size_t)4 << 20)
#define RESIZED_FLOATS_MAX ((size_t)64 << 20)

struct hl_shape hl_recipe_shape(const struct hl_recipe *recipe)
{
	int32_t depth = hl_recipe_depth(recipe);
	bool deep = recipe->dims == HL_DIMS_3;
	return (struct hl_shape){1, deep ? depth : 1, recipe->size, recipe->size,
	                         recipe->channels * (deep ? 1 : depth)};
}

bool hl_recipe_has_channels(const struct hl_recipe *recipe, int64_t channels)
{
	return recipe->beside_count ? channels == 1 + recipe->beside_count : channels == 1 || channels == 3;
}

int32_t hl_recipe_depth(const struct hl_recipe *recipe)
{
	return recipe->dims == HL_DIMS_2 ? 1 : recipe->depth;
}

size_t hl_recipe_plane_size(const struct hl_recipe *recipe)
{
	return (size_t)recipe->size * (size_t)recipe->size * (size_t)recipe->channels;
}

size_t hl_recipe_bytes(const struct hl_recipe *recipe)
{
	return (size_t)hl_recipe_depth(recipe) * hl_recipe_plane_size(recipe);
}

/* ---- from slice to square ---- */

struct geometry {
	int32_t width, height; /* after resizing */
	int32_t left, top;     /* of the square within the resized image; negative: of the image within the square */
};

/* Half of what is cut off, rounded half to even like Python's round(), which places torchvision's CenterCrop; half of
 * what is added (negative) towards 0. */
static int32_t half(int32_t difference)
{
	return difference < 0 ? difference / 2 : (int32_t)lrint((double)difference / 2);
}

static enum hilum_status fit(const struct hl_recipe *recipe, const struct hl_volume *volume, struct geometry *out,
                             struct hilum_error *error)
{
	int64_t width = volume->width, height = volume->height;
	int64_t size =
	    recipe->middle > 0 ? lrint(recipe->size / recipe->middle) : recipe->size; /* of the whole square */
	int64_t side =
	    (width < height) == (recipe->fit == HL_FIT_CROP) ? width : height; /* the one that becomes size */
	int64_t other = width + height - side;
	/* Crop as torchvision's Resize (the longer side is rounded down); padded, no side may vanish. */
	int64_t scaled = recipe->fit == HL_FIT_CROP ? size * other / side : (2 * size * other + side) / (2 * side);
	if (scaled < 1)
		scaled = 1;
	if ((uint64_t)scaled * (uint64_t)size * (uint64_t)recipe->channels > RESIZED_FLOATS_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "a picture of %d x %d is too long and thin for a square of %d",
		               volume->width, volume->height, recipe->size);
	bool wide = side == height && width != height;
	out->width = (int32_t)(wide ? scaled : size);
	out->height = (int32_t)(wide ? size : scaled);
	if (width == height)
		out->width = out->height = (int32_t)size;
	out->left = half(out->width - recipe->size);
	out->top = half(out->height - recipe->size);
	return HILUM_OK;
}

/* Rows of a slice in grey or colour, or seen through each window. */
static void window_rows(const struct hl_recipe *recipe, const struct hl_volume *rows, float *out)
{
	struct hl_window windows[HL_WINDOWS_MAX] = {recipe->window};
	if (recipe->beside_count == 0) {
		hl_window_slice(rows, 0, recipe->window, recipe->channels, out);
		return;
	}
	memcpy(windows + 1, recipe->beside, sizeof(recipe->beside));
	hl_windows_slice(rows, 0, windows, recipe->channels, out);
}

/* Resizes one slice: band by band across, then as a whole down, so that a large picture is never held in floats. The
 * filter is separable, so this gives what one call would. */
static enum hilum_status resize(const struct hl_recipe *recipe, const struct hl_volume *volume, int32_t z,
                                const struct geometry *to, float *out, struct hilum_error *error)
{
	size_t row = (size_t)volume->width * (size_t)recipe->channels,
	       wide = (size_t)to->width * (size_t)recipe->channels;
	size_t voxel_row = (size_t)volume->width * (size_t)volume->channels * hl_voxel_size(volume->type);
	int32_t step = (int32_t)(BAND_FLOATS / row) + 1, height = volume->height;
	step = step < height ? step : height;
	float *band = hl_alloc((size_t)step * row, sizeof(*band));
	float *across = hl_alloc((size_t)height * wide, sizeof(*across));
	enum hilum_status status = HILUM_OK;
	char *voxels = (char *)volume->voxels + (size_t)z * (size_t)height * voxel_row;
	if (!band || !across)
		status = hl_fail_memory(error, (size_t)height * wide * sizeof(*across), "resizing");
	for (int32_t y = 0; y < height && !status; y += step) {
		struct hl_volume part = *volume;
		part.height = height - y < step ? height - y : step;
		part.depth = 1;
		part.voxels = voxels + (size_t)y * voxel_row;
		window_rows(recipe, &part, band);
		status = hl_resize(band, volume->width, part.height, recipe->channels, across + (size_t)y * wide,
		                   to->width, part.height, error);
	}
	if (!status)
		status = hl_resize(across, to->width, height, recipe->channels, out, to->width, to->height, error);
	hl_free(band);
	hl_free(across);
	return status;
}

/* Cuts or pads to the square; what the image does not cover stays black. */
static void place(const struct hl_recipe *recipe, const struct geometry *from, const float *in, float *out)
{
	int32_t channels = recipe->channels, size = recipe->size;
	memset(out, 0, hl_recipe_plane_size(recipe) * sizeof(*out));
	for (int32_t y = 0; y < size; y++) {
		int32_t from_y = y + from->top;
		if (from_y < 0 || from_y >= from->height)
			continue;
		int32_t first = from->left < 0 ? -from->left : 0;
		int32_t last = from->width - from->left < size ? from->width - from->left : size;
		const float *row =
		    in + ((size_t)from_y * (size_t)from->width + (size_t)(first + from->left)) * (size_t)channels;
		float *to = out + ((size_t)y * (size_t)size + (size_t)first) * (size_t)channels;
		memcpy(to, row, (size_t)(last - first) * (size_t)channels * sizeof(*to));
	}
}

enum hilum_status hl_recipe_plane(const struct hl_recipe *recipe, const struct hl_volume *volume, int32_t z, float *out,
                                  struct hilum_error *error)
{
	struct geometry geometry = {0};
	if (volume->width < 1 || volume->height < 1 || volume->depth < 1)
		return hl_fail(error, HILUM_ERROR_FORMAT, "an empty picture");
	if (recipe->beside_count > 0 && volume->channels != 1)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "a picture in colour, which has no windows");
	enum hilum_status status = fit(recipe, volume, &geometry, error);
	if (status)
		return status;
	size_t count = (size_t)geometry.width * (size_t)geometry.height * (size_t)recipe->channels;
	float *resized = hl_alloc(count, sizeof(*resized));
	if (!resized)
		return hl_fail_memory(error, count * sizeof(*resized), "resizing");
	status = resize(recipe, volume, z, &geometry, resized, error);
	if (!status)
		place(recipe, &geometry, resized, out);
	hl_free(resized);
	return status;
}

enum hilum_status hl_recipe_unplace(const struct hl_recipe *recipe, const float *map, int32_t width, int32_t height,
                                    float *out, struct hilum_error *error)
{
	const struct hl_volume slice = {.width = width, .height = height};
	struct geometry geometry = {0};
	if (width < 1 || height < 1)
		return hl_fail(error, HILUM_ERROR_FORMAT, "an empty picture");
	enum hilum_status status = fit(recipe, &slice, &geometry, error);
	if (status)
		return status;
	size_t count = (size_t)geometry.width * (size_t)geometry.height;
	float *resized = hl_alloc(count, sizeof(*resized));
	if (!resized)
		return hl_fail_memory(error, count * sizeof(*resized), "resizing");
	for (int32_t y = 0; y < geometry.height; y++)
		for (int32_t x = 0; x < geometry.width; x++) {
			int32_t from_x = x - geometry.left, from_y = y - geometry.top;
			if (from_x >= 0 && from_x < recipe->size && from_y >= 0 && from_y < recipe->size)
				resized[(size_t)y * (size_t)geometry.width + (size_t)x] =
				    map[(size_t)from_y * (size_t)recipe->size + (size_t)from_x];
		}
	status = hl_resize(resized, geometry.width, geometry.height, 1, out, width, height, error);
	hl_free(resized);
	return status;
}

/* ---- from 8 bits to the net's input ---- */

/* (x/255 - mean) / deviation as x * scale + bias. */
struct affine {
	float scale[3], bias[3];
};

static struct affine affine_of(const struct hl_recipe *recipe)
{
	struct affine affine = {{0}, {0}};
	for (int32_t c = 0; c < recipe->channels; c++) {
		affine.scale[c] = (float)(1 / (255 * recipe->deviation[c]));
		affine.bias[c] = (float)(-recipe->mean[c] / recipe->deviation[c]);
	}
	return affine;
}

/* Slices as channels: each pixel's values of all slices lie together. step: from one pixel's values of a slice to the
 * next one's. */
struct order {
	size_t slices, pixels, channels, step, jump; /* jump: from a slice to the next */
};

static struct order order_of(const struct hl_recipe *recipe)
{
	struct order order = {.slices = (size_t)hl_recipe_depth(recipe),
	                      .pixels = (size_t)recipe->size * (size_t)recipe->size,
	                      .channels = (size_t)recipe->channels};
	bool together = recipe->dims == HL_DIMS_25;
	order.step = together ? order.slices * order.channels : order.channels;
	order.jump = together ? order.channels : order.pixels * order.channels;
	return order;
}

void hl_recipe_normalise(const struct hl_recipe *recipe, const uint8_t *image, float *out)
{
	struct affine to = affine_of(recipe);
	struct order order = order_of(recipe);
	if (order.step == 1) {
		for (size_t i = 0; i < order.slices * order.pixels; i++)
			out[i] = (float)image[i] * to.scale[0] + to.bias[0];
		return;
	}
	for (size_t k = 0; k < order.slices; k++)
		for (size_t i = 0; i < order.pixels; i++)
			for (size_t c = 0; c < order.channels; c++)
				out[k * order.jump + i * order.step + c] = (float)*image++ * to.scale[c] + to.bias[c];
}

void hl_recipe_blend(const struct hl_recipe *recipe, const uint8_t *a, const uint8_t *b, float share, float *out)
{
	struct affine to = affine_of(recipe);
	struct order order = order_of(recipe);
	float rest = 1 - share;
	for (size_t k = 0; k < order.slices; k++)
		for (size_t i = 0; i < order.pixels; i++)
			for (size_t c = 0; c < order.channels; c++)
				out[k * order.jump + i * order.step + c] =
				    (share * (float)*a++ + rest * (float)*b++) * to.scale[c] + to.bias[c];
}
