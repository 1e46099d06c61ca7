#include "model/calibration.h"

#include "base/memory.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

const char *const hl_map_names[] = {"none", "temperature", "platt", "isotonic", NULL};

/* ---- reading ---- */

static bool read_number(const json_t *object, const char *key, double least, double most, double *out)
{
	const json_t *value = json_object_get(object, key);
	*out = json_number_value(value);
	return json_is_number(value) && *out >= least && *out <= most;
}

static bool read_points(const json_t *array, size_t count, bool strictly, double *out)
{
	for (size_t i = 0; i < count; i++) {
		const json_t *value = json_array_get(array, i);
		out[i] = json_number_value(value);
		if (!json_is_number(value) || !(out[i] >= 0 && out[i] <= 1))
			return false;
		if (i > 0 && (out[i] < out[i - 1] || (strictly && out[i] == out[i - 1])))
			return false;
	}
	return true;
}

static enum hilum_status read_knots(const json_t *map, struct hl_calibration *out, struct hilum_error *error)
{
	const json_t *from = json_object_get(map, "from"), *to = json_object_get(map, "to");
	size_t count = json_array_size(from);
	if (count == 0 || count > HL_MAP_KNOTS_MAX || json_array_size(to) != count)
		return hl_fail(error, HILUM_ERROR_FORMAT, "its calibration is damaged: %zu points, %zu values", count,
		               json_array_size(to));
	out->knots = count;
	out->from = hl_alloc(count, sizeof(*out->from));
	out->to = hl_alloc(count, sizeof(*out->to));
	if (!out->from || !out->to)
		return hl_fail_memory(error, count * 2 * sizeof(double), "the calibration");
	if (!read_points(from, count, true, out->from) || !read_points(to, count, false, out->to))
		return hl_fail(error, HILUM_ERROR_FORMAT,
		               "its calibration is damaged: points that do not rise from 0 to 1");
	return HILUM_OK;
}

static enum hilum_status read_map(const json_t *map, int32_t classes, struct hl_calibration *out,
                                  struct hilum_error *error)
{
	const char *kind = json_string_value(json_object_get(map, "kind"));
	int i = 0;
	while (kind && hl_map_names[i] && strcmp(hl_map_names[i], kind) != 0)
		i++;
	if (!kind || !hl_map_names[i])
		return hl_fail(error, HILUM_ERROR_FORMAT, "its calibration is of no kind known");
	out->kind = (enum hl_map_kind)i;
	if (classes != 2 && out->kind > HL_MAP_TEMPERATURE)
		return hl_fail(error, HILUM_ERROR_FORMAT, "its calibration (%s) is for two classes", kind);
	if (out->kind == HL_MAP_ISOTONIC)
		return read_knots(map, out, error);
	bool sound = read_number(map, "slope", 1 / HL_MAP_SLOPE_MAX, HL_MAP_SLOPE_MAX, &out->slope) &&
	             read_number(map, "intercept", -HL_MAP_SLOPE_MAX, HL_MAP_SLOPE_MAX, &out->intercept);
	if (!sound || (out->kind != HL_MAP_PLATT && out->intercept != 0))
		return hl_fail(error, HILUM_ERROR_FORMAT,
		               "its calibration is damaged: slope or intercept out of bounds");
	return HILUM_OK;
}

static enum hilum_status read_conformal(const json_t *object, int32_t classes, struct hl_calibration *out,
                                        struct hilum_error *error)
{
	if (!object || json_is_null(object))
		return HILUM_OK;
	out->conformal = true;
	if (classes != 2 || !read_number(object, "alpha", DBL_MIN, 1, &out->alpha) ||
	    !read_number(object, "low_below", 0, 1, &out->low_below) ||
	    !read_number(object, "high_above", 0, 1, &out->high_above))
		return hl_fail(error, HILUM_ERROR_FORMAT, "the conformal part of its calibration is damaged");
	return HILUM_OK;
}

enum hilum_status hl_calibration_parse(const char *text, int32_t classes, struct hl_calibration *out,
                                       struct hilum_error *error)
{
	struct hl_calibration made = {0};
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	enum hilum_status status =
	    json_is_object(root) ? read_map(json_object_get(root, "map"), classes, &made, error)
	                         : hl_fail(error, HILUM_ERROR_FORMAT, "its calibration is damaged: no JSON object");
	if (!status)
		status = read_conformal(json_object_get(root, "conformal"), classes, &made, error);
	json_decref(root);
	if (status)
		hl_calibration_free(&made);
	else
		*out = made;
	return status;
}

void hl_calibration_free(struct hl_calibration *calibration)
{
	hl_free(calibration->from);
	hl_free(calibration->to);
	*calibration = (struct hl_calibration){0};
}

/* ---- using ---- */

static double clip(double p)
{
	return fmin(fmax(p, DBL_EPSILON), 1 - DBL_EPSILON);
}

double hl_logit(double p)
{
	p = clip(p);
	return log(p) - log1p(-p);
}

static double interpolate(const struct hl_calibration *calibration, double p)
{
	size_t low = 0, high = calibration->knots - 1;
	if (p <= calibration->from[0])
		return calibration->to[0];
	if (p >= calibration->from[high])
		return calibration->to[high];
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (calibration->from[middle] <= p)
			low = middle;
		else
			high = middle;
	}
	double share = (p - calibration->from[low]) / (calibration->from[high] - calibration->from[low]);
	return calibration->to[low] + share * (calibration->to[high] - calibration->to[low]);
}

double hl_calibration_map(const struct hl_calibration *calibration, double p)
{
	if (calibration->kind == HL_MAP_NONE)
		return p;
	if (calibration->kind == HL_MAP_ISOTONIC)
		return interpolate(calibration, p);
	return 1 / (1 + exp(-(calibration->slope * hl_logit(p) + calibration->intercept)));
}

void hl_calibration_apply(const struct hl_calibration *calibration, int32_t classes, double *probability)
{
	if (calibration->kind == HL_MAP_NONE)
		return;
	if (classes == 2) {
		double p = hl_calibration_map(calibration, probability[1]);
		probability[0] = 1 - p;
		probability[1] = p;
		return;
	}
	double most = 0, sum = 0;
	for (int32_t c = 0; c < classes; c++)
		most = fmax(most, probability[c]);
	for (int32_t c = 0; c < classes; c++) {
		probability[c] = exp(calibration->slope * (log(clip(probability[c])) - log(clip(most))));
		sum += probability[c];
	}
	for (int32_t c = 0; c < classes; c++)
		probability[c] /= sum;
}

enum hilum_zone hl_calibration_zone(const struct hl_calibration *calibration, double p)
{
	if (!calibration->conformal)
		return HILUM_ZONE_NONE;
	bool is_low = p<calibration->low_below, is_high = p> calibration->high_above;
	return is_low == is_high ? HILUM_ZONE_UNCERTAIN : is_low ? HILUM_ZONE_LOW : HILUM_ZONE_HIGH;
}
