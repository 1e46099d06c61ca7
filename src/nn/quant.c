#include "nn/quant.h"

#include <math.h>
#include <string.h>

#include "nn/clones.h"
#include "nn/graph.h"

bool hl_quant_valid(struct hl_quant quant)
{
	return quant.scale >= HL_QUANT_SCALE_MIN && quant.scale <= HL_QUANT_SCALE_MAX && quant.zero >= 0 &&
	       quant.zero <= 255 && fabsf(quant.offset) <= 255 * quant.scale;
}

struct hl_quant hl_quant_of_range(float low, float high)
{
	struct hl_quant quant = {.offset = 0};
	double from = low < 0 ? (double)low : 0, to = high > 0 ? (double)high : 0, scale = (to - from) / 255;
	if (!(scale > (double)HL_QUANT_SCALE_MIN))
		scale = (double)HL_QUANT_SCALE_MIN;
	if (scale > (double)HL_QUANT_SCALE_MAX)
		scale = (double)HL_QUANT_SCALE_MAX;
	double zero = rint(-from / scale);
	quant.scale = (float)scale;
	quant.zero = zero < 255 ? (int32_t)zero : 255;
	return quant;
}

/* ---- conversion ---- */

/* Adding it leaves a number of less than 2^22 rounded to an integer in the low bits of a float32. */
#define ROUNDER 0x1.8p23F

static HL_VECTOR_CLONES void quantise(const float *restrict in, float inverse, int32_t zero, uint8_t *restrict out,
                                      int64_t count)
{
	const float low = (float)-zero, high = (float)(255 - zero);
	for (int64_t i = 0; i < count; i++) {
		union {
			float f;
			int32_t i;
		} bits;
		float value = in[i] * inverse;
		value = value > low ? value : low;
		value = value < high ? value : high;
		bits.f = value + ROUNDER;
		out[i] = (uint8_t)(bits.i + zero);
	}
}

static HL_VECTOR_CLONES void dequantise(const uint8_t *restrict in, float scale, int32_t zero, float offset,
                                        float *restrict out, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		out[i] = (float)(in[i] - zero) * scale + offset;
}

void hl_quantise(const float *in, struct hl_quant quant, uint8_t *out, int64_t count)
{
	quantise(in, 1 / quant.scale, quant.zero, out, count);
}

void hl_dequantise(const uint8_t *in, struct hl_quant quant, float *out, int64_t count)
{
	dequantise(in, quant.scale, quant.zero, quant.offset, out, count);
}

double hl_quant_loss(const float *values, struct hl_quant quant, int64_t count)
{
	uint8_t byte[256];
	double sum = 0;
	for (int64_t from = 0; from < count; from += 256) {
		int64_t some = count - from < 256 ? count - from : 256;
		hl_quantise(values + from, quant, byte, some);
		for (int64_t i = 0; i < some; i++)
			sum += (double)values[from + i] - (byte[i] - quant.zero) * (double)quant.scale;
	}
	return sum;
}

/* ---- graphs ---- */

void hl_quant_settle(const struct hl_graph *graph, struct hl_quant *quant)
{
	static const char *const movers[] = {"maxpool", "flatten", "dropout"};
	for (int32_t i = 1; i <= graph->logits; i++)
		for (size_t k = 0; k < sizeof(movers) / sizeof(*movers); k++)
			if (strcmp(graph->node[i].op->name, movers[k]) == 0)
				quant[i] = quant[graph->node[i].input[0]];
}

/* ---- ranges ---- */

void hl_range_widen(struct hl_range *range, const float *values, int64_t count)
{
	float low = range->low, high = range->high;
	for (int64_t i = 0; i < count; i++) {
		low = values[i] < low ? values[i] : low;
		high = values[i] > high ? values[i] : high;
	}
	range->low = low;
	range->high = high;
}

void hl_range_count(struct hl_range *range, const float *values, int64_t count)
{
	double low = (double)range->low, width = (double)range->high - low;
	double bins = width > 0 ? HL_RANGE_BINS / width : 0;
	for (int64_t i = 0; i < count; i++) {
		if (values[i] == 0 || !isfinite(values[i]))
			continue;
		int64_t bin = (int64_t)(((double)values[i] - low) * bins);
		bin = bin < 0 ? 0 : bin;
		range->count[bin < HL_RANGE_BINS ? bin : HL_RANGE_BINS - 1]++;
	}
}

/* Mean square error, times the number of values, of those in the middle of their bins. */
static double error_of(const struct hl_range *range, struct hl_quant quant)
{
	double low = (double)range->low, width = ((double)range->high - low) / HL_RANGE_BINS, sum = 0;
	double scale = (double)quant.scale, least = -quant.zero * scale, most = (255 - quant.zero) * scale;
	for (int i = 0; i < HL_RANGE_BINS; i++) {
		double value = low + (i + 0.5) * width;
		double beyond = value < least ? least - value : value > most ? value - most : 0;
		/* Within, rounding errors are even between the steps, unless a bin is all that there is. */
		sum += (double)range->count[i] * (beyond > 0 ? beyond * beyond : scale * scale / 12);
	}
	return sum;
}

struct hl_quant hl_range_choose(const struct hl_range *range)
{
	enum { CUTS = 96, LEAST = 32 };
	struct hl_quant best = hl_quant_of_range(range->low, range->high);
	double least = error_of(range, best);
	for (int i = CUTS - 1; i >= LEAST; i--) {
		float share = (float)i / CUTS;
		struct hl_quant trial = hl_quant_of_range(range->low * share, range->high * share);
		double error = error_of(range, trial);
		if (error < least) {
			least = error;
			best = trial;
		}
	}
	return best;
}
