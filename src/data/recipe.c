#include "data/recipe.h"

#include "base/memory.h"
#include "scan/load.h"
#include "scan/resample.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Floats worked on at a time and in between; a picture so long and thin that it needs more is refused. */
#define BAND_FLOATS ((size_t)4 << 20)
#define RESIZED_FLOATS_MAX ((size_t)64 << 20)

static const char *const fit_names[] = {"crop", "pad"};

struct hl_shape hl_recipe_shape(const struct hl_recipe *recipe)
{
	return (struct hl_shape){1, 1, recipe->size, recipe->size, recipe->channels};
}

size_t hl_recipe_bytes(const struct hl_recipe *recipe)
{
	return (size_t)recipe->size * (size_t)recipe->size * (size_t)recipe->channels;
}

/* ---- from scan to 8-bit square ---- */

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
	int64_t width = volume->width, height = volume->height, size = recipe->size;
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
		out->width = out->height = recipe->size;
	out->left = half(out->width - recipe->size);
	out->top = half(out->height - recipe->size);
	return HILUM_OK;
}

/* Resizes one slice: band by band across, then as a whole down, so that a large picture is never held in floats. The
 * filter is separable, so this gives what one call would. */
static enum hilum_status resize(const struct hl_recipe *recipe, const struct hl_volume *volume,
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
	char *voxels = (char *)volume->voxels + (size_t)(volume->depth / 2) * (size_t)height * voxel_row;
	if (!band || !across)
		status = hl_fail_memory(error, (size_t)height * wide * sizeof(*across), "resizing");
	for (int32_t y = 0; y < height && !status; y += step) {
		struct hl_volume part = *volume;
		part.height = height - y < step ? height - y : step;
		part.depth = 1;
		part.voxels = voxels + (size_t)y * voxel_row;
		hl_window_slice(&part, 0, recipe->window, recipe->channels, band);
		status = hl_resize(band, volume->width, part.height, recipe->channels, across + (size_t)y * wide,
		                   to->width, part.height, error);
	}
	if (!status)
		status = hl_resize(across, to->width, height, recipe->channels, out, to->width, to->height, error);
	hl_free(band);
	hl_free(across);
	return status;
}

/* Cuts or pads to the square and rounds to 8 bits; what the image does not cover stays black. */
static void place(const struct hl_recipe *recipe, const struct geometry *from, const float *in, uint8_t *out)
{
	int32_t channels = recipe->channels, size = recipe->size;
	memset(out, 0, hl_recipe_bytes(recipe));
	for (int32_t y = 0; y < size; y++) {
		int32_t from_y = y + from->top;
		if (from_y < 0 || from_y >= from->height)
			continue;
		int32_t first = from->left < 0 ? -from->left : 0;
		int32_t last = from->width - from->left < size ? from->width - from->left : size;
		const float *row =
		    in + ((size_t)from_y * (size_t)from->width + (size_t)(first + from->left)) * (size_t)channels;
		uint8_t *to = out + ((size_t)y * (size_t)size + (size_t)first) * (size_t)channels;
		for (int32_t i = 0; i < (last - first) * channels; i++) {
			float value = row[i] * 255.0f + 0.5f;
			to[i] = value >= 255.0f ? 255 : value > 0.0f ? (uint8_t)value : 0;
		}
	}
}

enum hilum_status hl_recipe_apply(const struct hl_recipe *recipe, const struct hl_volume *volume, uint8_t *out,
                                  struct hilum_error *error)
{
	struct geometry geometry = {0};
	if (volume->width < 1 || volume->height < 1 || volume->depth < 1)
		return hl_fail(error, HILUM_ERROR_FORMAT, "an empty picture");
	enum hilum_status status = fit(recipe, volume, &geometry, error);
	if (status)
		return status;
	size_t count = (size_t)geometry.width * (size_t)geometry.height * (size_t)recipe->channels;
	float *resized = hl_alloc(count, sizeof(*resized));
	if (!resized)
		return hl_fail_memory(error, count * sizeof(*resized), "resizing");
	status = resize(recipe, volume, &geometry, resized, error);
	if (!status)
		place(recipe, &geometry, resized, out);
	hl_free(resized);
	return status;
}

enum hilum_status hl_recipe_open(const struct hl_recipe *recipe, const char *path, uint8_t *out, bool *narrow,
                                 struct hilum_error *error)
{
	struct hl_volume volume = {0};
	enum hilum_status status = hl_load(path, NULL, &volume, NULL, error);
	if (status)
		return status;
	status = hl_recipe_apply(recipe, &volume, out, error);
	if (narrow)
		*narrow = hl_volume_is_narrow(&volume);
	hl_volume_free(&volume);
	return status ? hl_prefix(error, status, "%s", path) : HILUM_OK;
}

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

void hl_recipe_normalise(const struct hl_recipe *recipe, const uint8_t *image, float *out)
{
	struct affine to = affine_of(recipe);
	size_t channels = (size_t)recipe->channels, count = hl_recipe_bytes(recipe);
	if (channels == 1) {
		for (size_t i = 0; i < count; i++)
			out[i] = (float)image[i] * to.scale[0] + to.bias[0];
		return;
	}
	for (size_t i = 0; i < count; i += channels)
		for (size_t c = 0; c < channels; c++)
			out[i + c] = (float)image[i + c] * to.scale[c] + to.bias[c];
}

void hl_recipe_blend(const struct hl_recipe *recipe, const uint8_t *a, const uint8_t *b, float share, float *out)
{
	struct affine to = affine_of(recipe);
	size_t channels = (size_t)recipe->channels, count = hl_recipe_bytes(recipe);
	float rest = 1 - share;
	for (size_t i = 0; i < count; i += channels)
		for (size_t c = 0; c < channels; c++)
			out[i + c] = (share * (float)a[i + c] + rest * (float)b[i + c]) * to.scale[c] + to.bias[c];
}

/* ---- as JSON ---- */

char *hl_recipe_json(const struct hl_recipe *recipe)
{
	json_t *mean = json_array(), *deviation = json_array(), *root = NULL;
	char *text = NULL, *copy = NULL;
	bool sound = mean && deviation;
	for (int32_t c = 0; c < recipe->channels && sound; c++)
		sound = !json_array_append_new(mean, json_real(recipe->mean[c])) &&
		        !json_array_append_new(deviation, json_real(recipe->deviation[c]));
	if (sound)
		root = json_pack("{s:i,s:i,s:s,s:{s:f,s:f},s:O,s:O}", "channels", recipe->channels, "size",
		                 recipe->size, "fit", fit_names[recipe->fit], "window", "center", recipe->window.center,
		                 "width", recipe->window.width, "mean", mean, "deviation", deviation);
	if (root)
		text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17));
	if (text)
		copy = hl_strdup(text);
	free(text);
	json_decref(mean);
	json_decref(deviation);
	json_decref(root);
	return copy;
}

static enum hilum_status parse_list(const json_t *list, const char *name, int32_t channels, double low, double high,
                                    double *out, struct hilum_error *error)
{
	if (!json_is_array(list) || json_array_size(list) != (size_t)channels)
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: %s is not a list of %d numbers", name, channels);
	for (int32_t c = 0; c < channels; c++) {
		const json_t *item = json_array_get(list, (size_t)c);
		double value = json_number_value(item);
		if (!json_is_number(item) || !(value >= low && value <= high))
			return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: %s is not a number from %g to %g", name, low,
			               high);
		out[c] = value;
	}
	return HILUM_OK;
}

static enum hilum_status read_members(json_t *root, struct hl_recipe *recipe, struct hilum_error *error)
{
	json_error_t where;
	json_t *mean, *deviation;
	json_int_t channels, size;
	const char *fit_name;
	double center, width;
	/* Strict: a member that this version does not know would change what the net sees. */
	if (json_unpack_ex(root, &where, JSON_STRICT, "{s:I,s:I,s:s,s:{s:F,s:F!},s:o,s:o!}", "channels", &channels,
	                   "size", &size, "fit", &fit_name, "window", "center", &center, "width", &width, "mean", &mean,
	                   "deviation", &deviation))
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: %s", where.text);
	if (channels != 1 && channels != 3)
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: %lld channels, neither 1 nor 3",
		               (long long)channels);
	if (size < 1 || size > HL_RECIPE_SIZE_MAX)
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: size %lld is outside 1 to %d", (long long)size,
		               HL_RECIPE_SIZE_MAX);
	if (strcmp(fit_name, fit_names[0]) != 0 && strcmp(fit_name, fit_names[1]) != 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: fit \"%.40s\" is neither crop nor pad", fit_name);
	if (!(fabs(center) <= 1e6) || !(width >= 1e-3 && width <= 1e6))
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: a window of center %g and width %g", center, width);
	recipe->channels = (int32_t)channels;
	recipe->size = (int32_t)size;
	recipe->fit = strcmp(fit_name, fit_names[0]) == 0 ? HL_FIT_CROP : HL_FIT_PAD;
	recipe->window = (struct hl_window){center, width};
	enum hilum_status status = parse_list(mean, "mean", recipe->channels, 0, 1, recipe->mean, error);
	if (!status)
		status = parse_list(deviation, "deviation", recipe->channels, 1e-6, 10, recipe->deviation, error);
	return status;
}

enum hilum_status hl_recipe_parse(const char *json, struct hl_recipe *out, struct hilum_error *error)
{
	json_error_t where;
	struct hl_recipe recipe = {0};
	json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &where);
	if (!root)
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: not sound JSON: %s", where.text);
	enum hilum_status status = read_members(root, &recipe, error);
	json_decref(root);
	if (!status)
		*out = recipe;
	return status;
}
