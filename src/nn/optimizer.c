#include "nn/optimizer.h"

#include "base/memory.h"
#include "nn/clones.h"

#include <math.h>

/* Below this many floats one thread is faster than waking the others. */
#define PARALLEL_FROM (INT64_C(1) << 16)
#define GRAIN (INT64_C(1) << 14) /* floats that a thread takes at a time: with their state, a quarter of a megabyte */

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

/* ---- one piece of one parameter ---- */

/* What a step does to every float of a parameter; of these each optimiser uses its own. */
struct update {
	float lr, decay, momentum;
	bool nesterov;
	/* Adam: shrink is AdamW's factor on the weights, decay Adam's L2 term; one of them is idle. */
	float shrink, b1, b2, c1, c2, size, root, eps;
};

static HL_VECTOR_CLONES void sgd(const struct update *u, int64_t count, float *restrict weight,
                                 const float *restrict gradient, float *restrict velocity)
{
	float lr = u->lr, decay = u->decay, momentum = u->momentum;
	bool nesterov = u->nesterov;

	for (int64_t i = 0; i < count; i++) {
		float g = gradient[i] + decay * weight[i];
		velocity[i] = momentum * velocity[i] + g;
		weight[i] -= lr * (nesterov ? g + momentum * velocity[i] : velocity[i]);
	}
}

/* Kingma & Ba 2015, algorithm 1. */
static HL_VECTOR_CLONES void adam(const struct update *u, int64_t count, float *restrict weight,
                                  const float *restrict gradient, float *restrict first, float *restrict second)
{
	float decay = u->decay, shrink = u->shrink, b1 = u->b1, b2 = u->b2, c1 = u->c1, c2 = u->c2;
	float size = u->size, root = u->root, eps = u->eps;

	for (int64_t i = 0; i < count; i++) {
		float w = weight[i] * shrink, g = gradient[i] + decay * w;
		first[i] = b1 * first[i] + c1 * g;
		second[i] = b2 * second[i] + c2 * g * g;
		weight[i] = w - size * first[i] / (sqrtf(second[i]) * root + eps);
	}
}

static HL_VECTOR_CLONES void follow(int64_t count, float keep, float *restrict average, const float *restrict weight)
{
	float take = 1 - keep;

	for (int64_t i = 0; i < count; i++)
		average[i] = keep * average[i] + take * weight[i];
}

/* ---- a step ---- */

static struct update update_of(const struct hl_optimizer *optimizer, const struct hl_param_spec *spec, double lr)
{
	double decay = spec->decay ? optimizer->weight_decay : 0;
	bool apart = optimizer->kind == HL_OPTIMIZER_ADAMW;

	return (struct update){
	    .lr = (float)lr,
	    .decay = apart ? 0 : (float)decay,
	    .momentum = (float)optimizer->momentum,
	    .nesterov = optimizer->nesterov,
	    .shrink = apart ? (float)(1 - lr * decay) : 1,
	    .b1 = (float)optimizer->beta1,
	    .b2 = (float)optimizer->beta2,
	    .c1 = (float)(1 - optimizer->beta1),
	    .c2 = (float)(1 - optimizer->beta2),
	    .size = (float)(lr / (1 - pow(optimizer->beta1, (double)optimizer->step))),
	    .root = (float)(1 / sqrt(1 - pow(optimizer->beta2, (double)optimizer->step))),
	    .eps = (float)optimizer->eps,
	};
}

/* The average's decay grows as (1 + t) / (10 + t) up to its value, so that a short training is not an average of its
 * random start (as TensorFlow's ExponentialMovingAverage with num_updates). The first step's average is the weights. */
static float keep_of(const struct hl_optimizer *optimizer)
{
	double step = (double)(optimizer->step - 1);

	return optimizer->step == 1 ? 0 : (float)fmin(optimizer->ema, (1 + step) / (10 + step));
}

/* The average follows while the weights are in the cache. */
static void step_piece(const struct hl_optimizer *optimizer, const struct update *update, int64_t at, int64_t count,
                       float *slab, const float *gradients)
{
	if (update && optimizer->kind == HL_OPTIMIZER_SGD)
		sgd(update, count, slab + at, gradients + at, optimizer->first + at);
	else if (update)
		adam(update, count, slab + at, gradients + at, optimizer->first + at, optimizer->second + at);
	if (optimizer->average)
		follow(count, keep_of(optimizer), optimizer->average + at, slab + at);
}

void hl_optimizer_step(struct hl_optimizer *optimizer, const struct hl_graph *graph, const bool *skip, double lr,
                       float *slab, const float *gradients)
{
	optimizer->step++;
	/* Every thread goes over all parameters and takes its share of each. */
#pragma omp parallel if (graph->floats >= PARALLEL_FROM)
	for (int32_t i = 0; i < graph->params; i++) {
		const struct hl_param *param = &graph->param[i];
		struct update update = update_of(optimizer, &param->spec, lr);
		bool moves = param->spec.trained && !(skip && skip[i]);
#pragma omp for schedule(static) nowait
		for (int64_t at = 0; at < param->count; at += GRAIN) {
			int64_t count = param->count - at < GRAIN ? param->count - at : GRAIN;
			step_piece(optimizer, moves ? &update : NULL, param->offset + at, count, slab, gradients);
		}
	}
}

/* ---- the norm ---- */

/* Always cut into as many pieces, each summed in as many parts, whoever sums it. */
#define PIECES 64
#define PARTS 16

static HL_VECTOR_CLONES double squares(const float *gradients, int64_t count)
{
	double part[PARTS] = {0}, sum = 0;
	int64_t i = 0;

	for (; i + PARTS <= count; i += PARTS)
		for (int k = 0; k < PARTS; k++)
			part[k] += (double)gradients[i + k] * (double)gradients[i + k];
	for (; i < count; i++)
		part[i % PARTS] += (double)gradients[i] * (double)gradients[i];
	for (int k = 0; k < PARTS; k++)
		sum += part[k];
	return sum;
}

static HL_VECTOR_CLONES void shrink(float *gradients, int64_t count, float scale)
{
	for (int64_t i = 0; i < count; i++)
		gradients[i] *= scale;
}

double hl_gradient_clip(float *gradients, int64_t count, double clip)
{
	double sums[PIECES] = {0}, sum = 0;
	int64_t piece = (count + PIECES - 1) / PIECES;
#pragma omp parallel for schedule(static) if (count >= PARALLEL_FROM)
	for (int64_t k = 0; k < PIECES; k++) {
		int64_t begin = k * piece, left = count - begin;
		if (left > 0)
			sums[k] = squares(gradients + begin, left < piece ? left : piece);
	}
	for (int k = 0; k < PIECES; k++)
		sum += sums[k];
	double norm = sqrt(sum);
	if (!(clip > 0 && norm > clip) || !isfinite(norm))
		return norm;
	float scale = (float)(clip / norm);
#pragma omp parallel for schedule(static) if (count >= PARALLEL_FROM)
	for (int64_t k = 0; k < PIECES; k++) {
		int64_t begin = k * piece, left = count - begin;
		if (left > 0)
			shrink(gradients + begin, left < piece ? left : piece, scale);
	}
	return norm;
}
