/* Voxels to grey on [0, 1]. */
#include "scan/window.h"

#include <math.h>
#include <string.h>

#include "base/number.h"

/* Pixels converted at a time: a few kilobytes on the stack, whatever the picture's size. */
#define CHUNK 256

/* (value - low) / width, clamped. Written so that NaN fails the comparison and becomes 0. */
static inline float to_unit(float value, float low, float width)
{
	float unit = (value - low) / width;

	unit = unit > 0.0f ? unit : 0.0f;
	return unit < 1.0f ? unit : 1.0f;
}

static void convert(const struct hl_volume *volume, size_t first, size_t count, float low, float width, float *out)
{
	switch (volume->type) {
	case HL_VOXEL_U8: {
		const uint8_t *in = (const uint8_t *)volume->voxels + first;
		for (size_t i = 0; i < count; i++)
			out[i] = to_unit((float)in[i], low, width);
		break;
	}
	case HL_VOXEL_U16: {
		const uint16_t *in = (const uint16_t *)volume->voxels + first;
		for (size_t i = 0; i < count; i++)
			out[i] = to_unit((float)in[i], low, width);
		break;
	}
	case HL_VOXEL_I16: {
		const int16_t *in = (const int16_t *)volume->voxels + first;
		for (size_t i = 0; i < count; i++)
			out[i] = to_unit((float)in[i], low, width);
		break;
	}
	case HL_VOXEL_F32: {
		const float *in = (const float *)volume->voxels + first;
		for (size_t i = 0; i < count; i++)
			out[i] = to_unit(in[i], low, width);
		break;
	}
	}
}

void hl_window_slice(const struct hl_volume *volume, int32_t z, struct hl_window window, int32_t channels, float *out)
{
	size_t pixels = (size_t)volume->width * (size_t)volume->height;
	size_t samples = (size_t)volume->channels;
	size_t first = (size_t)z * pixels * samples;
	float low = 0.0f, width = (float)volume->maximum;
	float chunk[CHUNK * 3] = {0};

	if (volume->unit == HL_UNIT_HOUNSFIELD) {
		low = (float)(window.center - window.width / 2);
		width = (float)window.width;
	}
	/* A window without width is a threshold. */
	if (!(width > 1e-6f))
		width = 1e-6f;
	if (volume->channels == channels) {
		convert(volume, first, pixels * samples, low, width, out);
		return;
	}
	for (size_t done = 0; done < pixels; done += CHUNK) {
		size_t count = pixels - done < CHUNK ? pixels - done : CHUNK;
		convert(volume, first + done * samples, count * samples, low, width, chunk);
		for (size_t i = 0; i < count; i++) {
			if (channels == 1) {
				const float *rgb = chunk + 3 * i;
				out[done + i] = 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2];
			} else {
				float *to = out + 3 * (done + i);
				to[0] = to[1] = to[2] = chunk[i];
			}
		}
	}
}

const struct hl_named_window hl_named_windows[] = {
    {"lung", {-600, 1500}}, {"mediastinum", {40, 400}}, {"bone", {400, 1800}}, {0}};

/* The window that length bytes of text name. */
static bool parse(const char *text, size_t length, struct hl_window *out)
{
	char copy[64], *end;

	if (length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	for (size_t i = 0; hl_named_windows[i].name; i++)
		if (strcmp(copy, hl_named_windows[i].name) == 0) {
			*out = hl_named_windows[i].window;
			return true;
		}
	out->center = hl_number_parse(copy, &end);
	if (end == copy || *end != '/')
		return false;
	char *second = end + 1;
	out->width = hl_number_parse(second, &end);
	return end != second && !*end && fabs(out->center) <= 1e6 && out->width >= 1e-3 && out->width <= 1e6;
}

enum hilum_status hl_windows_parse(const char *text, struct hl_window out[HL_WINDOWS_MAX], int32_t *count,
                                   struct hilum_error *error)
{
	*count = 0;
	for (const char *at = text;; at++) {
		size_t length = strcspn(at, ",");
		if (*count == HL_WINDOWS_MAX)
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "window: more than %d in '%.80s'", HL_WINDOWS_MAX,
			               text);
		if (!parse(at, length, &out[(*count)++]))
			return hl_fail(error, HILUM_ERROR_ARGUMENT,
			               "window: '%.*s' is none of lung, mediastinum, bone, nor center/width",
			               (int)(length < 80 ? length : 80), at);
		at += length;
		if (!*at)
			return HILUM_OK;
	}
}

enum hilum_status hl_window_parse(const char *text, struct hl_window *out, struct hilum_error *error)
{
	struct hl_window windows[HL_WINDOWS_MAX];
	int32_t count;
	enum hilum_status status = hl_windows_parse(text, windows, &count, error);

	if (!status && count != 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "window: '%.80s' is more than one", text);
	if (!status)
		*out = windows[0];
	return status;
}

void hl_windows_slice(const struct hl_volume *volume, int32_t z, const struct hl_window *windows, int32_t count,
                      float *out)
{
	size_t pixels = (size_t)volume->width * (size_t)volume->height, first = (size_t)z * pixels;
	float chunk[CHUNK];

	for (int32_t c = 0; c < count; c++) {
		float low = 0.0f, width = (float)volume->maximum;
		if (volume->unit == HL_UNIT_HOUNSFIELD) {
			low = (float)(windows[c].center - windows[c].width / 2);
			width = (float)windows[c].width;
		}
		for (size_t done = 0; done < pixels; done += CHUNK) {
			size_t step = pixels - done < CHUNK ? pixels - done : CHUNK;
			convert(volume, first + done, step, low, width, chunk);
			for (size_t i = 0; i < step; i++)
				out[(done + i) * (size_t)count + (size_t)c] = chunk[i];
		}
	}
}
