/* What is darker than tissue within the body, and the rows of the scan that it is found in. */
#include "scan/lungs_private.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"

/* ---- slices on threads ---- */

struct pass {
	struct hl_lung_work *work;
	hl_lungs_slice *run;
	pthread_mutex_t lock;
	int32_t failed; /* the first slice that did; depth: none */
	enum hilum_status status;
	struct hilum_error error;
};

static void run_slice(void *context, int32_t z)
{
	struct pass *pass = context;
	struct hilum_error error;
	enum hilum_status status = pass->run(pass->work, z, &error);
	if (!status)
		return;
	pthread_mutex_lock(&pass->lock);
	if (z < pass->failed) {
		pass->failed = z;
		pass->status = status;
		pass->error = error;
	}
	pthread_mutex_unlock(&pass->lock);
}

enum hilum_status hl_lungs_each(struct hl_lung_work *work, hl_lungs_slice *run, struct hilum_error *error)
{
	struct pass pass = {.work = work, .run = run, .lock = PTHREAD_MUTEX_INITIALIZER, .failed = work->depth};
	hl_parallel(work->depth, work->threads, run_slice, &pass);
	pthread_mutex_destroy(&pass.lock);
	if (pass.status && error)
		*error = pass.error;
	return pass.status;
}

/* ---- rows ---- */

/* ITU-R BT.601 luma of colours, as scan/window.h takes it. */
#define ADD(type)                                                                                                      \
	do {                                                                                                           \
		const type *from = (const type *)scan->voxels + first;                                                 \
		for (int32_t x = 0, u = 0; x < width; x++)                                                             \
			for (int32_t end = u + step; u < end && u < scan->width; u++)                                  \
				sum[x] += scan->channels == 1                                                          \
				              ? (double)from[u]                                                        \
				              : 0.299 * (double)from[3 * u] + 0.587 * (double)from[3 * u + 1] +        \
				                    0.114 * (double)from[3 * u + 2];                                   \
	} while (0)

/* Adds each stretch of step pixels of a row of the scan to one of width sums. */
static void add_row(const struct hl_volume *scan, int32_t y, int32_t z, int32_t step, int32_t width, double *sum)
{
	size_t first = ((size_t)z * (size_t)scan->height + (size_t)y) * (size_t)scan->width * (size_t)scan->channels;
	switch (scan->type) {
	case HL_VOXEL_U8:
		ADD(uint8_t);
		break;
	case HL_VOXEL_U16:
		ADD(uint16_t);
		break;
	case HL_VOXEL_I16:
		ADD(int16_t);
		break;
	case HL_VOXEL_F32:
		ADD(float);
		break;
	}
}

static int16_t to_hounsfield(const struct hl_lung_work *work, double value)
{
	value = value * work->scale + work->shift;
	/* NaN is padding. */
	return !(value > HL_LUNGS_FLOOR)  ? HL_LUNGS_FLOOR
	       : value > HL_LUNGS_CEILING ? HL_LUNGS_CEILING
	                                  : (int16_t)lrint(value);
}

void hl_lungs_row(const struct hl_lung_work *work, int32_t y, int32_t z, int16_t *row)
{
	const struct hl_volume *scan = work->scan;
	int32_t first = y * work->step[1], last = first + work->step[1];
	double sum[HL_VOLUME_SIDE_MAX];

	last = last < scan->height ? last : scan->height;
	if (scan->type == HL_VOXEL_I16 && work->step[0] == 1 && work->step[1] == 1 && scan->channels == 1 &&
	    work->scale == 1 && work->shift == 0) {
		const int16_t *from = (const int16_t *)scan->voxels +
		                      ((size_t)z * (size_t)scan->height + (size_t)y) * (size_t)scan->width;
		for (int32_t x = 0; x < work->width; x++) {
			int16_t value = from[x] > HL_LUNGS_FLOOR ? from[x] : HL_LUNGS_FLOOR;
			row[x] = value < HL_LUNGS_CEILING ? value : HL_LUNGS_CEILING;
		}
		return;
	}
	memset(sum, 0, (size_t)work->width * sizeof(*sum));
	for (int32_t v = first; v < last; v++)
		add_row(scan, v, z, work->step[0], work->width, sum);
	for (int32_t x = 0; x < work->width; x++) {
		int32_t across = scan->width - x * work->step[0];
		across = across < work->step[0] ? across : work->step[0];
		row[x] = to_hounsfield(work, sum[x] / ((double)across * (last - first)));
	}
}

double hl_lungs_grey(const struct hl_volume *scan, int32_t x, int32_t y, int32_t z)
{
	double value = hl_volume_get(scan, x, y, z, 0);
	if (scan->channels == 3)
		value =
		    0.299 * value + 0.587 * hl_volume_get(scan, x, y, z, 1) + 0.114 * hl_volume_get(scan, x, y, z, 2);
	return value;
}

int16_t hl_lungs_value(const struct hl_lung_work *work, int32_t x, int32_t y, int32_t z)
{
	const struct hl_volume *scan = work->scan;
	double sum = 0;
	int32_t count = 0;
	for (int32_t v = y * work->step[1]; v < (y + 1) * work->step[1] && v < scan->height; v++)
		for (int32_t u = x * work->step[0]; u < (x + 1) * work->step[0] && u < scan->width; u++, count++)
			sum += hl_lungs_grey(scan, u, v, z);
	return to_hounsfield(work, sum / count);
}

/* ---- air ---- */

/* out[x] = in[x - 1] + 2 in[x] + in[x + 1]. */
static void smooth(const int16_t *in, int32_t width, int32_t *out)
{
	for (int32_t x = 1; x < width - 1; x++)
		out[x] = in[x - 1] + 2 * in[x] + in[x + 1];
	out[0] = width > 1 ? 3 * in[0] + in[1] : 4 * in[0];
	if (width > 1)
		out[width - 1] = in[width - 2] + 3 * in[width - 1];
}

static void body_row(const struct hl_lung_work *work, int32_t y, int32_t z, uint64_t *row)
{
	for (int32_t u = 0; u < work->body.width; u++) {
		int32_t first = u * work->cell[0], last = first + work->cell[0] - 1;
		hl_bits_fill(row, first, last < work->width ? last : work->width - 1,
		             hl_bits_get(&work->body, u, y / work->cell[1], z));
	}
}

/* Means over 3 x 3 pixels with weights 1, 2, 1 (a deviation of 0.7 pixels) against the two levels: noise of single
 * pixels makes no holes. */
static enum hilum_status air_of_slice(struct hl_lung_work *work, int32_t z, struct hilum_error *error)
{
	size_t width = (size_t)work->width;
	int32_t threshold = (int32_t)lrint(16 * work->threshold), dark = (int32_t)lrint(16 * work->dark);
	int16_t *row = hl_alloc(width, sizeof(*row));
	int32_t *smoothed = hl_alloc(width * 3, sizeof(*smoothed)), *rows[3];
	uint64_t *body = hl_alloc(work->air.stride, sizeof(*body));
	enum hilum_status status = HILUM_OK;

	if (!row || !smoothed || !body) {
		status = hl_fail_memory(error, width * 14, "rows of a slice");
		goto out;
	}
	for (int32_t y = -1; y < work->height; y++) {
		/* Row y + 1 comes in; the first and the last row are met twice. */
		int32_t next = y + 1 < work->height ? y + 1 : work->height - 1;
		if (y + 1 < work->height) {
			hl_lungs_row(work, next, z, row);
			smooth(row, work->width, smoothed + width * (size_t)(next % 3));
		}
		if (y < 0)
			continue;
		rows[0] = smoothed + width * (size_t)((y > 0 ? y - 1 : 0) % 3);
		rows[1] = smoothed + width * (size_t)(y % 3);
		rows[2] = smoothed + width * (size_t)(next % 3);
		if (y % work->cell[1] == 0)
			body_row(work, y, z, body);
		uint64_t *air = hl_bits_row(&work->air, y, z), *gas = hl_bits_row(&work->gas, y, z);
		for (size_t word = 0; word < work->air.stride; word++) {
			if (!body[word])
				continue;
			size_t first = word * 64, count = width - first < 64 ? width - first : 64;
			uint64_t is_air = 0, is_gas = 0;
			for (size_t i = 0; i < count; i++) {
				int32_t value = rows[0][first + i] + 2 * rows[1][first + i] + rows[2][first + i];
				is_air |= (uint64_t)(value < threshold) << i;
				is_gas |= (uint64_t)(value < dark) << i;
			}
			air[word] = is_air & body[word];
			gas[word] = is_gas & body[word];
		}
	}
out:
	hl_free(row);
	hl_free(smoothed);
	hl_free(body);
	return status;
}

enum hilum_status hl_lungs_find_air(struct hl_lung_work *work, struct hilum_error *error)
{
	enum hilum_status status = hl_bits_init(&work->air, work->width, work->height, work->depth, error);
	if (!status)
		status = hl_bits_init(&work->gas, work->width, work->height, work->depth, error);
	if (!status)
		status = hl_lungs_each(work, air_of_slice, error);
	return status;
}
