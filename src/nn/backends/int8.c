#include "nn/backends/int8.h"

#include <string.h>

#include "base/memory.h"
#include "nn/clones.h"
#include "nn/ops/options.h"

#define TAPS_MAX (INT64_C(1) << 23) /* so that sums of weights and bytes of any use fit an int32 */

static bool next_is(const struct hl_compile *request, int32_t at, const char *name)
{
	return at < request->links && strcmp(request->link[at].op->name, name) == 0;
}

static enum hilum_status read_links(struct hl_int8 *layer, const struct hl_compile *request, struct hilum_error *error)
{
	int32_t at = 0;
	if (next_is(request, at, "batchnorm"))
		layer->norm = request->link[at++].options;
	if (next_is(request, at, "add") && request->link[at].shapes->inputs == 2) {
		layer->adds = true;
		layer->other = request->quant_in[1];
		at++;
	}
	if (next_is(request, at, "relu")) {
		layer->bends = true;
		at++;
	} else if (next_is(request, at, "leakyrelu")) {
		layer->bends = true;
		layer->slope = (float)((const struct hl_leakyrelu_options *)request->link[at].options)->slope;
		at++;
	}
	if (next_is(request, at, "maxpool")) {
		layer->pools = true;
		at++;
	}
	if (at < request->links)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "int8: no such chain");
	return HILUM_OK;
}

enum hilum_status hl_int8_open(struct hl_int8 *layer, const struct hl_compile *request, struct hilum_error *error)
{
	const struct hl_param_spec *weight = &request->shapes->param[0];
	size_t bytes;
	*layer = (struct hl_int8){.biased = request->shapes->params > 1,
	                          .in = request->quant_in[0],
	                          .out = request->quant_out,
	                          .units = weight->dims[0],
	                          .taps = 1,
	                          .threads = request->threads > 0 ? request->threads : 1};
	for (int k = 1; k < weight->rank; k++)
		layer->taps *= weight->dims[k];
	enum hilum_status status = read_links(layer, request, error);
	if (status)
		return status;
	if (layer->taps > TAPS_MAX)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "int8: no output of more than %lld weights",
		               (long long)TAPS_MAX);
	if (!hl_mul_size((size_t)layer->units, (size_t)layer->taps, &bytes))
		return hl_fail(error, HILUM_ERROR_LIMIT, "int8: too many weights");
	layer->weight = hl_alloc(bytes, 1);
	layer->scale = hl_alloc((size_t)layer->units, sizeof(float));
	layer->shift = hl_alloc((size_t)layer->units, sizeof(float));
	if (!layer->weight || !layer->scale || !layer->shift)
		return hl_fail_memory(error, bytes, "weights as bytes");
	return HILUM_OK;
}

void hl_int8_close(struct hl_int8 *layer)
{
	hl_free(layer->weight);
	hl_free(layer->scale);
	hl_free(layer->shift);
}

/* ---- weights ---- */

/* The least step of weights with which no sum leaves an int32; rounding adds a half to each at most. */
static double least_step(double sum, int64_t taps)
{
	return sum * 255 / (0x1p31 - 256 - 127.5 * (double)taps);
}

struct extent {
	float most;
	double sum; /* of absolute values */
};

static HL_VECTOR_CLONES struct extent measure(const float *weight, int64_t count)
{
	enum { LANES = 16 };
	float most[LANES] = {0};
	double sum[LANES] = {0};
	struct extent extent = {0};
	int64_t i = 0;
	for (; i + LANES <= count; i += LANES)
		for (int k = 0; k < LANES; k++) {
			float value = fabsf(weight[i + k]);
			most[k] = value > most[k] ? value : most[k];
			sum[k] += (double)value;
		}
	for (; i < count; i++) {
		most[i % LANES] = fmaxf(most[i % LANES], fabsf(weight[i]));
		sum[i % LANES] += (double)fabsf(weight[i]);
	}
	for (int k = 0; k < LANES; k++) {
		extent.most = fmaxf(extent.most, most[k]);
		extent.sum += sum[k];
	}
	return extent;
}

/* Returns the sum of what it makes. Adding the rounder leaves an integer in the low bits of a float32. */
static HL_VECTOR_CLONES int64_t round_all(const float *restrict weight, float inverse, int8_t *restrict out,
                                          int64_t count)
{
	const float rounder = 0x1.8p23F;
	int64_t total = 0;
	for (int64_t from = 0; from < count; from += 65536) {
		int64_t to = count - from < 65536 ? count : from + 65536;
		int32_t sum = 0;
		for (int64_t i = from; i < to; i++) {
			union {
				float f;
				int32_t i;
			} bits = {.f = weight[i] * inverse + rounder};
			int32_t value = bits.i - 0x4b400000;
			value = value > 127 ? 127 : value < -127 ? -127 : value;
			out[i] = (int8_t)value;
			sum += value;
		}
		total += sum;
	}
	return total;
}

/* What is lost with a step, squared: of weights one by one, as inputs that have nothing to do with each other feel it,
 * and of their sum, as even inputs do. */
static double loss_of(const float *weight, int64_t count, double step)
{
	double inverse = 1 / step, sum = 0, squares = 0;
	for (int64_t i = 0; i < count; i++) {
		double lost = (double)weight[i] - rint((double)weight[i] * inverse) * step;
		sum += lost;
		squares += lost * lost;
	}
	return squares + sum * sum;
}

/* In sums of few the error of one weight counts, and pictures are even over large parts: among steps that are a little
 * larger than need be there is one with which rounding hardly moves the sum. */
static double choose_step(const float *weight, int64_t count, double step)
{
	enum { STEPS = 96, TAPS_FEW = 256 };
	double best = step, least;
	if (count > TAPS_FEW)
		return step;
	least = loss_of(weight, count, step);
	for (int i = 1; i < STEPS; i++) {
		double trial = step * (1 + 0.5 * i / STEPS), loss = loss_of(weight, count, trial);
		if (loss < least) {
			least = loss;
			best = trial;
		}
	}
	return best;
}

/* What batch norm makes of the convolution in channel o: times *factor, plus the result. */
static double fold_norm(const struct hl_int8 *layer, float *const *param, int64_t o, double *factor)
{
	double bias = layer->biased ? (double)param[1][o] : 0;
	float *const *norm = param + 1 + layer->biased;
	*factor = 1;
	if (!layer->norm)
		return bias;
	*factor = (double)norm[0][o] / sqrt((double)norm[3][o] + layer->norm->eps);
	return (bias - (double)norm[2][o]) * *factor + (double)norm[1][o];
}

/* The byte that stands for 0, if there were such between bytes. */
static double zero_of(struct hl_quant quant)
{
	return quant.zero - (double)quant.offset / (double)quant.scale;
}

static void fold_unit(struct hl_int8 *layer, float *const *param, int64_t o)
{
	const float *weight = param[0] + o * layer->taps;
	struct extent extent = measure(weight, layer->taps);
	double factor, bias = fold_norm(layer, param, o, &factor);
	double step = (double)extent.most / 127, least = least_step(extent.sum, layer->taps);
	step = step > least ? step : least;
	/* All are zero, or as good as. */
	if (!(step > 1e-30))
		step = 1e-30;
	step = choose_step(weight, layer->taps, step);
	int64_t sum = round_all(weight, (float)(1 / step), layer->weight + o * layer->taps, layer->taps);
	double scale = (double)layer->in.scale * step * factor / (double)layer->out.scale;
	double shift = bias / (double)layer->out.scale - scale * zero_of(layer->in) * (double)sum;
	if (layer->adds)
		shift -= (double)layer->add * zero_of(layer->other);
	layer->scale[o] = (float)scale;
	layer->shift[o] = (float)shift;
}

static bool finite_all(const float *value, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		if (!isfinite(value[i]))
			return false;
	return true;
}

void hl_int8_fold(struct hl_int8 *layer, float *const *param)
{
	layer->low = layer->bends && layer->slope == 0 ? 0 : (float)-layer->out.zero;
	layer->high = (float)(255 - layer->out.zero);
	if (layer->adds)
		layer->add = layer->other.scale / layer->out.scale;
#pragma omp parallel for schedule(static) num_threads(layer->threads)
	for (int64_t o = 0; o < layer->units; o++)
		fold_unit(layer, param, o);
	layer->broken = !finite_all(layer->scale, layer->units) || !finite_all(layer->shift, layer->units);
}
