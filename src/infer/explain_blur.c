#include "infer/explain_blur.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

/* One row of values that lie step apart. */
static void blur_row(const float *in, float *out, size_t side, size_t step, const double *weight, int32_t reach)
{
	for (int32_t i = 0; i < (int32_t)side; i++) {
		double sum = 0;
		for (int32_t k = -reach; k <= reach; k++) {
			int32_t from = i + k < 0 ? 0 : i + k >= (int32_t)side ? (int32_t)side - 1 : i + k;
			sum += weight[abs(k)] * in[(size_t)from * step];
		}
		out[(size_t)i * step] = (float)sum;
	}
}

enum hilum_status hl_heat_blur(float *values, size_t planes, size_t side, double deviation, struct hilum_error *error)
{
	int32_t reach = (int32_t)ceil(3 * deviation);
	double *weight = hl_alloc((size_t)reach + 1, sizeof(*weight)), total = 0;
	float *across = hl_alloc(side * side, sizeof(*across));
	enum hilum_status status =
	    weight && across ? HILUM_OK : hl_fail_memory(error, side * side * sizeof(*across), "blurring");
	for (int32_t k = 0; k <= reach && !status; k++) {
		weight[k] = exp(-0.5 * k * k / (deviation * deviation));
		total += k ? 2 * weight[k] : 1;
	}
	for (int32_t k = 0; k <= reach && !status; k++)
		weight[k] /= total;
	for (size_t z = 0; z < planes && !status; z++, values += side * side) {
		for (size_t y = 0; y < side; y++)
			blur_row(values + y * side, across + y * side, side, 1, weight, reach);
		for (size_t x = 0; x < side; x++)
			blur_row(across + x, values + x, side, side, weight, reach);
	}
	hl_free(weight);
	hl_free(across);
	return status;
}
