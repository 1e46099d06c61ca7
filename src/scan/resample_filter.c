/* Weights of the triangle filter. */
#include "scan/resample_filter.h"

#include <math.h>

#include "base/memory.h"

void hl_filter_free(struct hl_filter *filter)
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

static void fill_weights(struct hl_filter *filter, int32_t in, int32_t out, double scale)
{
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

enum hilum_status hl_filter_make(struct hl_filter *filter, int32_t in, int32_t out, double scale,
                                 struct hilum_error *error)
{
	double stretch = scale < 1.0 ? 1.0 : scale;
	size_t weights;

	filter->taps = stretch < in ? (size_t)ceil(stretch) * 2 + 1 : (size_t)in + 1;
	if (filter->taps > (size_t)in + 1)
		filter->taps = (size_t)in + 1;
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
	fill_weights(filter, in, out, scale);
	return HILUM_OK;
}

void hl_filter_center(struct hl_filter *filter, int32_t in, int32_t out, double scale)
{
	for (int32_t i = 0; i < out; i++) {
		double *weight = filter->weight + (size_t)i * filter->taps;
		double center = (i + 0.5) * scale, mean = 0, variance = 0, sum = 0;
		int32_t first = filter->first[i], count = filter->count[i];
		/* Cut off at an edge, it leans inwards and has to. */
		if (first == 0 || first + count == in)
			continue;
		for (int32_t k = 0; k < count; k++)
			mean += weight[k] * (k + first + 0.5);
		for (int32_t k = 0; k < count; k++)
			variance += weight[k] * (k + first + 0.5 - mean) * (k + first + 0.5 - mean);
		if (!(variance > 1e-9))
			continue;
		for (int32_t k = 0; k < count; k++) {
			weight[k] *= 1 + (center - mean) * (k + first + 0.5 - mean) / variance;
			sum += weight[k];
		}
		for (int32_t k = 0; k < count; k++)
			weight[k] /= sum;
	}
}
