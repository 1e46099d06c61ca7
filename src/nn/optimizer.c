#include "nn/optimizer.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

/* Below this many floats one thread is faster than waking the others. */
#define PARALLEL_FROM (INT64_C(1) << 16)

static size_t bytes(int64_t floats)
{
	return (size_t)floats * sizeof(float);
}

enum hilum_status hl_optimizer_init(struct hl_optimizer *optimizer, const struct hl_graph *graph,
                                    struct hilum_error *error)
{
	optimizer->step = 0;
	optimizer->first = hl_block_alloc(bytes(graph->trained));
	optimizer->second = optimizer->kind == HL_OPTIMIZER_SGD ? NULL : hl_block_alloc(bytes(graph->trained));
	optimizer->average = optimizer->ema > 0 ? hl_block_alloc(bytes(graph->floats)) : NULL;
	optimizer->trained = graph->trained;
	optimizer->floats = graph->floats;
	if (optimizer->first && (optimizer->second || optimizer->kind == HL_OPTIMIZER_SGD) &&
	    (optimizer->average || optimizer->ema <= 0))
		return HILUM_OK;
	hl_optimizer_free(optimizer);
	return hl_fail_memory(error, bytes(graph->trained), "the optimiser");
}

void hl_optimizer_free(struct hl_optimizer *optimizer)
{
	if (optimizer->first)
		hl_block_free(optimizer->first, bytes(optimizer->trained));
	if (optimizer->second)
		hl_block_free(optimizer->second, bytes(optimizer->trained));
	if (optimizer->average)
		hl_block_free(optimizer->average, bytes(optimizer->floats));
	optimizer->first = optimizer->second = optimizer->average = NULL;
}

static void sgd(const struct hl_optimizer *optimizer, int64_t count, float decay, float lr, float *restrict weight,
                const float *restrict gradient, float *restrict velocity)
{
	float momentum = (float)optimizer->momentum;
	bool nesterov = optimizer->nesterov;
#pragma omp parallel for schedule(static) if (count >= PARALLEL_FROM)
	for (int64_t i = 0; i < count; i++) {
		float g = gradient[i] + decay * weight[i];
		velocity[i] = momentum * velocity[i] + g;
		weight[i] -= lr * (nesterov ? g + momentum * velocity[i] : velocity[i]);
	}
}

/* Kingma & Ba 2015, algorithm 1. shrink is AdamW's factor on the weights, decay Adam's L2 term; one of them is idle. */
static void adam(const struct hl_optimizer *optimizer, int64_t count, float decay, float shrink, double lr,
                 float *restrict weight, const float *restrict gradient, float *restrict first, float *restrict second)
{
	float b1 = (float)optimizer->beta1, b2 = (float)optimizer->beta2, eps = (float)optimizer->eps;
	float c1 = (float)(1 - optimizer->beta1), c2 = (float)(1 - optimizer->beta2);
	float size = (float)(lr / (1 - pow(optimizer->beta1, (double)optimizer->step)));
	float root = (float)(1 / sqrt(1 - pow(optimizer->beta2, (double)optimizer->step)));
#pragma omp parallel for schedule(static) if (count >= PARALLEL_FROM)
	for (int64_t i = 0; i < count; i++) {
		float w = weight[i] * shrink, g = gradient[i] + decay * w;
		first[i] = b1 * first[i] + c1 * g;
		second[i] = b2 * second[i] + c2 * g * g;
		weight[i] = w - size * first[i] / (sqrtf(second[i]) * root + eps);
	}
}

/* The decay grows as (1 + t) / (10 + t) up to its value, so that a short training is not an average of its random
 * start (as TensorFlow's ExponentialMovingAverage with num_updates). */
static void follow(struct hl_optimizer *optimizer, int64_t floats, const float *slab)
{
	float *average = optimizer->average;
	if (optimizer->step == 1) {
		memcpy(average, slab, bytes(floats));
		return;
	}
	double step = (double)(optimizer->step - 1);
	float keep = (float)fmin(optimizer->ema, (1 + step) / (10 + step)), take = 1 - keep;
#pragma omp parallel for schedule(static) if (floats >= PARALLEL_FROM)
	for (int64_t i = 0; i < floats; i++)
		average[i] = keep * average[i] + take * slab[i];
}

void hl_optimizer_step(struct hl_optimizer *optimizer, const struct hl_graph *graph, const bool *skip, double lr,
                       float *slab, const float *gradients)
{
	optimizer->step++;
	for (int32_t i = 0; i < graph->params; i++) {
		const struct hl_param *param = &graph->param[i];
		if (!param->spec.trained || (skip && skip[i]))
			continue;
		double decay = param->spec.decay ? optimizer->weight_decay : 0;
		int64_t at = param->offset, count = param->count;
		float *first = optimizer->first + at;
		if (optimizer->kind == HL_OPTIMIZER_SGD)
			sgd(optimizer, count, (float)decay, (float)lr, slab + at, gradients + at, first);
		else if (optimizer->kind == HL_OPTIMIZER_ADAM)
			adam(optimizer, count, (float)decay, 1, lr, slab + at, gradients + at, first,
			     optimizer->second + at);
		else
			adam(optimizer, count, 0, (float)(1 - lr * decay), lr, slab + at, gradients + at, first,
			     optimizer->second + at);
	}
	if (optimizer->average)
		follow(optimizer, graph->floats, slab);
}

/* Always cut into as many pieces, each summed in order, whoever sums it. */
#define PIECES 64

double hl_gradient_clip(float *gradients, int64_t count, double clip)
{
	double sums[PIECES] = {0}, sum = 0;
	int64_t piece = (count + PIECES - 1) / PIECES;
#pragma omp parallel for schedule(static) if (count >= PARALLEL_FROM)
	for (int64_t k = 0; k < PIECES; k++) {
		int64_t end = (k + 1) * piece < count ? (k + 1) * piece : count;
		double here = 0;
		for (int64_t i = k * piece; i < end; i++)
			here += (double)gradients[i] * (double)gradients[i];
		sums[k] = here;
	}
	for (int k = 0; k < PIECES; k++)
		sum += sums[k];
	double norm = sqrt(sum);
	if (!(clip > 0 && norm > clip) || !isfinite(norm))
		return norm;
	float scale = (float)(clip / norm);
#pragma omp parallel for schedule(static) if (count >= PARALLEL_FROM)
	for (int64_t i = 0; i < count; i++)
		gradients[i] *= scale;
	return norm;
}
