/* Resampling of one slice: PIL's precomputed separable filter (Pillow, src/libImaging/Resample.c, float mode), first
 * along rows, then along columns, sums in double: the same numbers to the last bit. */
#include "scan/resample.h"

#include <string.h>

#include "base/memory.h"
#include "scan/resample_filter.h"

/* One row along x. The grey case stands apart so that its sum stays in a register. */
static void row(const struct hl_filter *filter, const float *in, size_t channels, float *out, size_t size)
{
	for (size_t x = 0; x < size; x++) {
		const double *weight = filter->weight + x * filter->taps;
		const float *from = in + (size_t)filter->first[x] * channels;
		size_t count = (size_t)filter->count[x];
		if (channels == 1) {
			double sum = 0;
			for (size_t k = 0; k < count; k++)
				sum += (double)from[k] * weight[k];
			out[x] = (float)sum;
			continue;
		}
		for (size_t c = 0; c < channels; c++) {
			double sum = 0;
			for (size_t k = 0; k < count; k++)
				sum += (double)from[k * channels + c] * weight[k];
			out[x * channels + c] = (float)sum;
		}
	}
}

static void add_row(double *restrict sum, const float *restrict in, double weight, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sum[i] += (double)in[i] * weight;
}

static void columns(const struct hl_filter *filter, const float *in, size_t stride, double *sum, float *out,
                    size_t size)
{
	for (size_t y = 0; y < size; y++) {
		const double *weight = filter->weight + y * filter->taps;
		const float *from = in + (size_t)filter->first[y] * stride;
		memset(sum, 0, stride * sizeof(*sum));
		for (size_t k = 0; k < (size_t)filter->count[y]; k++)
			add_row(sum, from + k * stride, weight[k], stride);
		for (size_t i = 0; i < stride; i++)
			out[y * stride + i] = (float)sum[i];
	}
}

enum hilum_status hl_resize(const float *in, int32_t in_width, int32_t in_height, int32_t channels, float *out,
                            int32_t out_width, int32_t out_height, struct hilum_error *error)
{
	struct hl_filter across = {0}, down = {0};
	enum hilum_status status = HILUM_OK;
	size_t in_row, out_row, between;
	float *rows = NULL;
	double *sum = NULL;

	if (in_width < 1 || in_height < 1 || channels < 1 || out_width < 1 || out_height < 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "resampling %d x %d x %d to %d x %d", in_width, in_height,
		               channels, out_width, out_height);
	if (!hl_mul_size((size_t)in_width, (size_t)channels, &in_row) ||
	    !hl_mul_size((size_t)out_width, (size_t)channels, &out_row) ||
	    !hl_mul_size(out_row, (size_t)in_height, &between))
		return hl_fail(error, HILUM_ERROR_LIMIT, "resampling %d x %d x %d to %d x %d", in_width, in_height,
		               channels, out_width, out_height);
	if (in_width != out_width) {
		status = hl_filter_make(&across, in_width, out_width, (double)in_width / out_width, error);
		if (status)
			goto out;
		rows = in_height == out_height ? out : hl_alloc(between, sizeof(*rows));
		if (!rows) {
			status = hl_fail_memory(error, between * sizeof(*rows), "resampled rows");
			goto out;
		}
		for (size_t y = 0; y < (size_t)in_height; y++)
			row(&across, in + y * in_row, (size_t)channels, rows + y * out_row, (size_t)out_width);
	}
	if (in_height != out_height) {
		status = hl_filter_make(&down, in_height, out_height, (double)in_height / out_height, error);
		if (status)
			goto out;
		sum = hl_alloc(out_row, sizeof(*sum));
		if (!sum) {
			status = hl_fail_memory(error, out_row * sizeof(*sum), "a row of sums");
			goto out;
		}
		columns(&down, rows ? rows : in, out_row, sum, out, (size_t)out_height);
	} else if (!rows) {
		memcpy(out, in, between * sizeof(*out));
	}
out:
	if (rows != out)
		hl_free(rows);
	hl_free(sum);
	hl_filter_free(&across);
	hl_filter_free(&down);
	return status;
}
