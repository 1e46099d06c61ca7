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

void hl_combine_slices(enum hilum_aggregate how, const double *probability, size_t classes, size_t count, double *out)
{
	double mean[HILUM_CLASSES_MAX];
	if (classes == 2) {
		out[1] = hl_combine(how, probability + 1, 2, NULL, count);
		out[0] = 1 - out[1];
		return;
	}
	hl_combine_rows(probability, classes, NULL, count, mean);
	memcpy(out, mean, classes * sizeof(*out));
}

size_t hl_combine_runs(uint32_t *index, double *probability, size_t classes, size_t count)
{
	size_t left = 0, length;
	for (size_t first = 0; first < count; first += length, left++) {
		const double *row = probability + first * classes;
		double *to = probability + left * classes;
		for (length = 1; first + length < count && index[first + length] == index[first];)
			length++;
		index[left] = index[first];
		if (length > 1)
			hl_combine_slices(HILUM_AGGREGATE_AUTO, row, classes, length, to);
		else
			memmove(to, row, classes * sizeof(*to));
	}
	return left;
}
