/* Resampling of one slice: PIL's precomputed separable filter (Pillow, src/libImaging/Resample.c, float mode), first
 * along rows, then along columns, sums in double: the same numbers to the last bit. */
#include "scan/resample.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

/* For each output position: which inputs it sums and with which weights. */
struct filter {
	int32_t *first, *count;
	double *weight; /* size by taps */
	size_t taps;
};

static void filter_free(struct filter *filter)
{
	hl_free(filter->first);
	hl_free(filter->count);
	hl_free(filter->weight);
}

static double triangle(double x)
{
	x = fabs(x);
	return x < 1.0 ? 1.0 - x : 0.0;
}

static void fill_weights(struct filter *filter, int32_t in, int32_t out)
{
	double scale = (double)in / out;
	double stretch = scale < 1.0 ? 1.0 : scale;
	double support = stretch, inverse = 1.0 / stretch;

	for (int32_t i = 0; i < out; i++) {
		double *weight = filter->weight + (size_t)i * filter->taps;
		double center = (i + 0.5) * scale;
		double sum = 0;
		int32_t first = (int32_t)(center - support + 0.5);
		int32_t last = (int32_t)(center + support + 0.5);
		if (first < 0)
			first = 0;
		if (last > in)
			last = in;
		filter->first[i] = first;
		filter->count[i] = last - first;
		for (int32_t k = 0; k < last - first; k++) {
			weight[k] = triangle((k + first - center + 0.5) * inverse);
			sum += weight[k];
		}
		for (int32_t k = 0; k < last - first; k++)
			if (sum != 0)
				weight[k] /= sum;
	}
}

static enum hilum_status filter_make(struct filter *filter, int32_t in, int32_t out, struct hilum_error *error)
{
	double stretch = in > out ? (double)in / out : 1.0;
	size_t weights;

	filter->taps = (size_t)ceil(stretch) * 2 + 1;
	if (!hl_mul_size((size_t)out, filter->taps, &weights)) {
		hl_fail(error, HILUM_ERROR_LIMIT, "resampling %d to %d", in, out);
		return HILUM_ERROR_LIMIT;
	}
	filter->first = hl_alloc((size_t)out, sizeof(*filter->first));
	filter->count = hl_alloc((size_t)out, sizeof(*filter->count));
	filter->weight = hl_alloc(weights, sizeof(*filter->weight));
	if (!filter->first || !filter->count || !filter->weight) {
		hl_fail_memory(error, weights * sizeof(*filter->weight), "resampling weights");
		return HILUM_ERROR_MEMORY;
	}
	fill_weights(filter, in, out);
	return HILUM_OK;
}

/* One row along x. The grey case stands apart so that its sum stays in a register. */
static void row(const struct filter *filter, const float *in, size_t channels, float *out, size_t size)
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

static void columns(const struct filter *filter, const float *in, size_t stride, double *sum, float *out, size_t size)
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
	struct filter across = {0}, down = {0};
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
		status = filter_make(&across, in_width, out_width, error);
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
		status = filter_make(&down, in_height, out_height, error);
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
	filter_free(&across);
	filter_free(&down);
	return status;
}
