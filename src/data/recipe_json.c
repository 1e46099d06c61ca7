/* The recipe as JSON. */
#include "data/recipe.h"

#include "base/memory.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const fit_names[] = {"crop", "pad", NULL};
const char *const hl_dims_names[] = {"2d", "2.5d", "3d", NULL};
const char *const hl_extent_names[] = {"middle", "whole", "lungs", NULL};

/* Only where there are several windows. */
static bool add_windows(const struct hl_recipe *recipe, json_t *root)
{
	json_t *list = json_array();
	bool sound = list != NULL;
	for (int32_t i = 0; i < recipe->beside_count && sound; i++)
		sound = !json_array_append_new(
		    list, json_pack("{s:f,s:f}", "center", recipe->beside[i].center, "width", recipe->beside[i].width));
	sound = sound && (recipe->beside_count == 0 || !json_object_set(root, "beside", list));
	json_decref(list);
	return sound;
}

/* What a 2-D recipe does not have. */
static bool add_depth(const struct hl_recipe *recipe, json_t *root)
{
	return recipe->dims == HL_DIMS_2 ||
	       (!json_object_set_new(root, "dims", json_string(hl_dims_names[recipe->dims])) &&
	        !json_object_set_new(root, "depth", json_integer(recipe->depth)) &&
	        !json_object_set_new(root, "spacing", json_real(recipe->spacing)) &&
	        !json_object_set_new(root, "extent", json_string(hl_extent_names[recipe->extent])));
}

/* What most recipes do not have, so that models stay readable by versions that do not know it. */
static bool add_middle(const struct hl_recipe *recipe, json_t *root)
{
	bool all = recipe->middle == 0 || recipe->middle == 1;
	return all || !json_object_set_new(root, "middle", json_real(recipe->middle));
}

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
	if (root && add_depth(recipe, root) && add_middle(recipe, root) && add_windows(recipe, root))
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

/* Index of a name in a list, or -1. */
static int find_name(const char *const *names, const char *name)
{
	for (int i = 0; names[i]; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

static enum hilum_status set_depth(struct hl_recipe *recipe, const char *dims_name, json_int_t depth, double spacing,
                                   const char *extent_name, struct hilum_error *error)
{
	int dims = find_name(hl_dims_names, dims_name), extent = find_name(hl_extent_names, extent_name);
	if (dims < 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: dims \"%.40s\" is none of 2d, 2.5d, 3d", dims_name);
	if (extent < 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: extent \"%.40s\" is none of middle, whole, lungs",
		               extent_name);
	if (depth < 1 || depth > HL_RECIPE_DEPTH_MAX)
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: depth %lld is outside 1 to %d", (long long)depth,
		               HL_RECIPE_DEPTH_MAX);
	if (!(spacing >= 0 && spacing <= 1000))
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: a spacing of %g mm", spacing);
	recipe->dims = (enum hl_dims)dims;
	recipe->depth = (int32_t)depth;
	recipe->spacing = spacing;
	recipe->extent = (enum hl_extent)extent;
	if (hl_recipe_bytes(recipe) > HL_RECIPE_BYTES_MAX)
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: %d slices of %d x %d are more than %zu values",
		               recipe->depth, recipe->size, recipe->size, HL_RECIPE_BYTES_MAX);
	return HILUM_OK;
}

static enum hilum_status check_window(double center, double width, struct hl_window *out, struct hilum_error *error)
{
	if (!(fabs(center) <= 1e6) || !(width >= 1e-3 && width <= 1e6))
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: a window of center %g and width %g", center, width);
	*out = (struct hl_window){center, width};
	return HILUM_OK;
}

/* list: NULL where there is none. */
static enum hilum_status set_windows(struct hl_recipe *recipe, json_t *list, struct hilum_error *error)
{
	size_t count = json_array_size(list);
	enum hilum_status status = HILUM_OK;
	if (list && (count < 1 || count >= HL_WINDOWS_MAX))
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: beside is not a list of 1 to %d windows",
		               HL_WINDOWS_MAX - 1);
	for (size_t i = 0; i < count && !status; i++) {
		double center, width;
		json_error_t where;
		if (json_unpack_ex(json_array_get(list, i), &where, JSON_STRICT, "{s:F,s:F!}", "center", &center,
		                   "width", &width))
			return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: beside: %s", where.text);
		status = check_window(center, width, &recipe->beside[i], error);
	}
	recipe->beside_count = (int32_t)count;
	return status;
}

static enum hilum_status read_members(json_t *root, struct hl_recipe *recipe, struct hilum_error *error)
{
	json_error_t where;
	json_t *mean, *deviation, *beside = NULL;
	json_int_t channels, size, depth = 1;
	const char *fit_name, *dims = hl_dims_names[0], *extent = hl_extent_names[0];
	double center, width, spacing = 0, middle = 1;
	/* Strict: a member that this version does not know would change what the net sees. */
	if (json_unpack_ex(root, &where, JSON_STRICT, "{s:I,s:I,s:s,s:{s:F,s:F!},s:o,s:o,s?s,s?I,s?F,s?s,s?F,s?o!}",
	                   "channels", &channels, "size", &size, "fit", &fit_name, "window", "center", &center, "width",
	                   &width, "mean", &mean, "deviation", &deviation, "dims", &dims, "depth", &depth, "spacing",
	                   &spacing, "extent", &extent, "middle", &middle, "beside", &beside))
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: %s", where.text);
	enum hilum_status status = set_windows(recipe, beside, error);
	if (status)
		return status;
	if (!hl_recipe_has_channels(recipe, channels))
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: %lld channels, neither 1 nor 3 nor one a window",
		               (long long)channels);
	if (size < 1 || size > HL_RECIPE_SIZE_MAX)
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: size %lld is outside 1 to %d", (long long)size,
		               HL_RECIPE_SIZE_MAX);
	if (strcmp(fit_name, fit_names[0]) != 0 && strcmp(fit_name, fit_names[1]) != 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: fit \"%.40s\" is neither crop nor pad", fit_name);
	if (!(middle >= HL_RECIPE_MIDDLE_MIN && middle <= 1))
		return hl_fail(error, HILUM_ERROR_FORMAT, "recipe: middle %g is outside %g to 1", middle,
		               HL_RECIPE_MIDDLE_MIN);
	recipe->middle = middle;
	recipe->channels = (int32_t)channels;
	recipe->size = (int32_t)size;
	recipe->fit = strcmp(fit_name, fit_names[0]) == 0 ? HL_FIT_CROP : HL_FIT_PAD;
	status = check_window(center, width, &recipe->window, error);
	if (!status)
		status = set_depth(recipe, dims, depth, spacing, extent, error);
	if (!status)
		status = parse_list(mean, "mean", recipe->channels, 0, 1, recipe->mean, error);
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
