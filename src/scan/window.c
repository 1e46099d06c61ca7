/* Voxels to grey on [0, 1]. */
#include "scan/window.h"

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
