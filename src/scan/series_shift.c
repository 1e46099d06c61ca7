/* Slices that do not stand where a volume needs them: moved within their plane, or interpolated between planes. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "scan/series.h"

/* What is outside a shifted slice. */
#define AIR (-1024)

/* Cubic convolution (Keys 1981, a = -1/2) at t between the second and the third of four samples. */
static void cubic(double t, float weight[4])
{
	weight[0] = (float)(((-0.5 * t + 1) * t - 0.5) * t);
	weight[1] = (float)((1.5 * t - 2.5) * t * t + 1);
	weight[2] = (float)(((-1.5 * t + 2) * t + 0.5) * t);
	weight[3] = (float)((0.5 * t - 0.5) * t * t);
}

/* A line of in samples to one of out, moved by shift: air where it is not covered. Lines of the picture's rows or, with
 * a stride, of its columns; width of them side by side. */
static void shift_line(const float *in, int32_t in_count, size_t in_stride, float *out, int32_t out_count,
                       size_t out_stride, size_t width, double shift)
{
	double whole = floor(shift + 1e-6), rest = shift - whole;
	float weight[4] = {0, 1, 0, 0};

	/* Sample i lies at i + whole + rest: output j is at j - whole - rest = (j - whole - 1) + (1 - rest). */
	if (rest > 1e-6)
		cubic(1 - rest, weight);
	for (int32_t j = 0; j < out_count; j++) {
		double at = j - shift;
		int32_t base = j - (int32_t)whole - (rest > 1e-6);
		float *to = out + (size_t)j * out_stride;
		if (at < -0.5 || at > in_count - 0.5) {
			for (size_t x = 0; x < width; x++)
				to[x] = AIR;
			continue;
		}
		const float *from[4];
		for (int k = 0; k < 4; k++) {
			int32_t i = base - 1 + k;
			i = i < 0 ? 0 : i >= in_count ? in_count - 1 : i;
			from[k] = in + (size_t)i * in_stride;
		}
		for (size_t x = 0; x < width; x++)
			to[x] = weight[0] * from[0][x] + weight[1] * from[1][x] + weight[2] * from[2][x] +
			        weight[3] * from[3][x];
	}
}

static void to_floats(const void *in, enum hl_voxel type, size_t count, float *out)
{
	if (type == HL_VOXEL_F32)
		memcpy(out, in, count * sizeof(float));
	else
		for (size_t i = 0; i < count; i++)
			out[i] = ((const int16_t *)in)[i];
}

static void from_floats(const float *in, enum hl_voxel type, size_t count, void *out)
{
	if (type == HL_VOXEL_F32) {
		memcpy(out, in, count * sizeof(float));
		return;
	}
	for (size_t i = 0; i < count; i++) {
		float value = floorf(in[i] + 0.5F);
		((int16_t *)out)[i] = (int16_t)(value < INT16_MIN ? INT16_MIN : value > INT16_MAX ? INT16_MAX : value);
	}
}

enum hilum_status hl_slice_shift(const struct hl_layout *layout, const struct hl_place *place, const void *in,
                                 enum hl_voxel type, void *out, struct hilum_error *error)
{
	size_t width = (size_t)layout->width, from = (size_t)layout->slice_width;
	size_t rows = (size_t)layout->slice_height;
	size_t floats = from * rows + width * rows + width * (size_t)layout->height;
	float *plain = hl_alloc(floats, sizeof(*plain)), *across, *done;

	if (!plain)
		return hl_fail_memory(error, floats * sizeof(*plain), "a shifted slice");
	across = plain + from * rows;
	done = across + width * rows;
	to_floats(in, type, from * rows, plain);
	if (width == from && place->shift[0] == 0)
		across = plain;
	for (size_t y = 0; y < rows && across != plain; y++)
		shift_line(plain + y * from, layout->slice_width, 1, across + y * width, layout->width, 1, 1,
		           place->shift[0]);
	shift_line(across, layout->slice_height, width, done, layout->height, width, width, place->shift[1]);
	from_floats(done, type, width * (size_t)layout->height, out);
	hl_free(plain);
	return HILUM_OK;
}

enum hilum_status hl_volume_regularise(const struct hl_layout *layout, struct hl_volume *volume,
                                       struct hilum_error *error)
{
	size_t plane = (size_t)volume->width * (size_t)volume->height, size = hl_voxel_size(volume->type);
	struct hl_volume regular = {0};
	enum hilum_status status =
	    hl_volume_init(&regular, volume->width, volume->height, layout->regular, 1, volume->type, error);
	int32_t below = 0;

	if (status)
		return status;
	for (int32_t z = 0; z < layout->regular; z++) {
		double along = z * layout->spacing[2];
		while (below + 2 < layout->count && layout->place[below + 1].along <= along)
			below++;
		double from = layout->place[below].along, to = layout->place[below + 1].along;
		double part = fmin(fmax((along - from) / (to - from), 0), 1);
		const char *a = (const char *)volume->voxels + (size_t)below * plane * size, *b = a + plane * size;
		char *out = (char *)regular.voxels + (size_t)z * plane * size;
		/* A slice that is there is kept as it is. */
		if (part < 1e-3 || part > 1 - 1e-3) {
			memcpy(out, part < 0.5 ? a : b, plane * size);
			continue;
		}
		for (size_t i = 0; i < plane; i++) {
			if (volume->type == HL_VOXEL_F32) {
				float low = ((const float *)(const void *)a)[i],
				      high = ((const float *)(const void *)b)[i];
				((float *)(void *)out)[i] = (float)(low + part * (high - low));
			} else {
				int16_t low = ((const int16_t *)(const void *)a)[i];
				int16_t high = ((const int16_t *)(const void *)b)[i];
				((int16_t *)(void *)out)[i] = (int16_t)floor(low + part * (high - low) + 0.5);
			}
		}
	}
	hl_volume_free(volume);
	*volume = regular;
	return HILUM_OK;
}
