#include "infer/combine.h"

#include <math.h>
#include <string.h>

double hl_combine(enum hilum_aggregate how, const double *probability, size_t step, const size_t *index, size_t count)
{
	double sum = 0, most = 0, spared = 0;
	for (size_t i = 0; i < count; i++) {
		double p = probability[(index ? index[i] : i) * step];
		sum += p;
		most = fmax(most, p);
		spared += log1p(-p); /* minus infinity where a case is certain */
	}
	double mean = fmin(sum / (double)count, 1);
	return how == HILUM_AGGREGATE_MAX ? most : how == HILUM_AGGREGATE_NOISY_OR ? -expm1(spared) : mean;
}

void hl_combine_rows(const double *probability, size_t classes, const size_t *index, size_t count, double *out)
{
	double sum = 0;
	memset(out, 0, classes * sizeof(*out));
	for (size_t i = 0; i < count; i++)
		for (size_t c = 0; c < classes; c++)
			out[c] += probability[(index ? index[i] : i) * classes + c];
	for (size_t c = 0; c < classes; c++)
		sum += out[c];
	for (size_t c = 0; c < classes; c++)
		out[c] /= sum;
}
