#include "nn/plan.h"

#include <math.h>
#include <omp.h>
#include <time.h>

#include "base/cpu.h"
#include "base/memory.h"
#include "nn/plan_private.h"

/* ---- making ---- */

static void place(const struct hl_plan *plan, struct hl_value *value)
{
	if (value->block != HL_BLOCK_NONE)
		value->tensor.data = (char *)plan->arena + plan->block[value->block].offset;
}

static void *block_data(const struct hl_plan *plan, int32_t block)
{
	if (block == HL_BLOCK_NONE || plan->block[block].bytes == 0)
		return NULL;
	return (char *)plan->arena + plan->block[block].offset;
}

/* Every pointer into the arena, once its place is known. */
static void place_all(struct hl_plan *plan)
{
	for (int32_t i = 0; i < plan->nodes; i++)
		for (int type = 0; type < 2; type++) {
			place(plan, &plan->unit[i].value[type]);
			place(plan, &plan->unit[i].grad[type]);
		}
	for (int32_t i = 0; i < plan->spares; i++)
		place(plan, &plan->spare[i]);
	for (int32_t i = 0; i < plan->steps; i++) {
		struct hl_step *step = &plan->step[i];
		step->call.saved = block_data(plan, plan->unit[step->node].saved);
		step->call.scratch = block_data(plan, plan->scratch);
	}
}

static enum hilum_status take_memory(struct hl_plan *plan, struct hilum_error *error)
{
	int64_t available = hl_memory_available();
	if (available >= 0 && plan->bytes <= (uint64_t)available)
		plan->arena = hl_block_alloc(plan->bytes);
	if (!plan->arena)
		return hl_fail(error, HILUM_ERROR_MEMORY,
		               "the network needs %.1f MiB for batches of %lld, and %.1f MiB are free; a smaller "
		               "--batch needs less",
		               (double)plan->bytes / 1048576, (long long)plan->options.batch,
		               (double)available / 1048576);
	place_all(plan);
	return HILUM_OK;
}

enum hilum_status hl_plan_create(const struct hl_graph *graph, const struct hl_plan_options *options,
                                 struct hl_plan **out, struct hilum_error *error)
{
	struct hl_plan *plan;
	enum hilum_status status;
	if (options->batch < 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "batch: %lld is not 1 or more", (long long)options->batch);
	if (options->freeze < 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "freeze: %d is not 0 or more", options->freeze);
	if (options->threads < 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "threads: %d is not 0 or more", options->threads);
	if (options->type == HL_U8 && (options->training || !options->quant))
		return hl_fail(error, HILUM_ERROR_INTERNAL, "int8 without scales, or in training");
	if (options->type != HL_F32 && options->attribution)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "attribution in another type than float32");
	plan = hl_alloc(1, sizeof(*plan));
	if (!plan)
		return hl_fail_memory(error, sizeof(*plan), "a plan");
	plan->graph = graph;
	plan->options = *options;
	if (options->attribution) {
		plan->options.training = plan->options.unfused = true;
		plan->options.freeze = 0;
	}
	plan->nodes = graph->logits + 1;
	if (plan->options.threads == 0)
		plan->options.threads = hl_cpu_count();
	if (!plan->options.backends)
		plan->options.backends = hl_backends();
	status = hl_plan_build(plan, error);
	if (!status)
		status = take_memory(plan, error);
	if (status) {
		hl_plan_destroy(plan);
		return status;
	}
	*out = plan;
	return HILUM_OK;
}

void hl_plan_destroy(struct hl_plan *plan)
{
	if (!plan)
		return;
	for (int32_t i = 0; plan->unit && i < plan->nodes; i++)
		if (plan->unit[i].primitive)
			plan->unit[i].primitive->destroy(plan->unit[i].primitive);
	hl_block_free(plan->arena, plan->bytes);
	hl_free(plan->shapes);
	hl_free(plan->unit);
	hl_free(plan->step);
	hl_free(plan->spare);
	hl_free(plan->block);
	hl_free(plan);
}

/* ---- parameters ---- */

/* The parameters of the nodes that a step runs, in hl_call's order; returns how many. */
static int params_of(const struct hl_plan *plan, const struct hl_unit *unit,
                     const struct hl_param *param[HL_CALL_PARAMS_MAX])
{
	int count = 0;
	for (int32_t i = -1; i < unit->chain.links; i++) {
		int32_t node = i < 0 ? unit->head : unit->chain.node[i];
		for (int k = 0; k < plan->shapes[node].params; k++)
			param[count++] = plan->graph->param + plan->graph->node[node].param + k;
	}
	return count;
}

void hl_plan_bind(struct hl_plan *plan, float *slab)
{
	plan->slab = slab;
	plan->changed = true;
	for (int32_t i = 0; i < plan->steps; i++) {
		struct hl_step *step = &plan->step[i];
		const struct hl_param *param[HL_CALL_PARAMS_MAX];
		int count = params_of(plan, &plan->unit[step->node], param);
		for (int k = 0; k < count; k++)
			step->call.param[k] = slab + param[k]->offset;
	}
}

void hl_plan_changed(struct hl_plan *plan)
{
	plan->changed = true;
}

void hl_plan_time(struct hl_plan *plan, struct hl_node_time *time)
{
	plan->time = time;
}

void hl_plan_watch(struct hl_plan *plan, hl_plan_watcher *watcher, void *context)
{
	plan->watcher = watcher;
	plan->watching = context;
}

void hl_plan_watch_gradients(struct hl_plan *plan, hl_plan_watcher *watcher, void *context)
{
	plan->gradient_watcher = watcher;
	plan->gradient_watching = context;
}

static int64_t now(const struct hl_plan *plan)
{
	struct timespec time;
	if (!plan->time)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void prepare(struct hl_plan *plan)
{
	plan->broken = false;
	for (int32_t i = 0; i < plan->forward_steps; i++) {
		struct hl_step *step = &plan->step[i];
		struct hl_primitive *primitive = plan->unit[step->node].primitive;
		if (step->kind != HL_STEP_FORWARD || !primitive->prepare)
			continue;
		int64_t began = now(plan);
		primitive->prepare(primitive, step->call.param);
		plan->broken |= primitive->broken;
		if (plan->time)
			plan->time[plan->unit[step->node].head].prepare += now(plan) - began;
	}
	plan->changed = false;
}

/* ---- running ---- */

static void run_node(struct hl_plan *plan, const struct hl_step *step, bool training, float *gradients)
{
	const struct hl_unit *unit = &plan->unit[step->node];
	struct hl_primitive *primitive = unit->primitive;
	struct hl_call call = step->call;
	call.training = training && !unit->still;
	call.seed = plan->seed;
	call.step = plan->run;
	if (step->kind == HL_STEP_FORWARD) {
		primitive->forward(primitive, &call);
		return;
	}
	const struct hl_param *param[HL_CALL_PARAMS_MAX];
	int count = params_of(plan, unit, param);
	for (int k = 0; k < count; k++)
		if (plan->unit[param[k]->node].trains && param[k]->spec.trained)
			call.dparam[k] = gradients + param[k]->offset;
	primitive->backward(primitive, &call);
}

static void convert(const struct hl_step *step)
{
	int64_t count = hl_shape_count(step->to->shape);
	if (step->to->type == HL_U8)
		hl_quantise(step->from->data, step->quant, step->to->data, count);
	else if (step->from->type == HL_U8)
		hl_dequantise(step->from->data, step->quant, step->to->data, count);
	else
		hl_convert(step->from->data, step->from->type, step->to->data, step->to->type, count);
}

static void run(struct hl_plan *plan, int32_t first, int32_t end, bool training, float *gradients)
{
	for (int32_t i = first; i < end; i++) {
		const struct hl_step *step = &plan->step[i];
		int64_t began = now(plan);
		if (plan->gradient_watcher && step->kind == HL_STEP_BACKWARD)
			plan->gradient_watcher(plan->gradient_watching, step->node, step->call.dout);
		switch (step->kind) {
		case HL_STEP_FORWARD:
		case HL_STEP_BACKWARD:
			run_node(plan, step, training, gradients);
			break;
		case HL_STEP_CONVERT:
			convert(step);
			break;
		case HL_STEP_ADD:
			hl_accumulate(step->from, step->to);
			break;
		}
		if (plan->time && i < plan->forward_steps)
			plan->time[plan->unit[step->node].head].forward += now(plan) - began;
		else if (plan->time)
			plan->time[plan->unit[step->node].head].backward += now(plan) - began;
		if (plan->watcher && step->kind == HL_STEP_FORWARD)
			plan->watcher(plan->watching, step->node, step->call.out);
	}
}

/* Bytes know no NaN, by which floats tell of parameters that overflow. */
static void deny(struct hl_plan *plan)
{
	const struct hl_tensor *logits = &plan->unit[plan->nodes - 1].value[0].tensor;
	for (int64_t i = 0; i < hl_shape_count(logits->shape); i++)
		((float *)logits->data)[i] = NAN;
}

/* Where the last early layer leaves what it makes of these images. */
static void begin_go(struct hl_plan *plan, int64_t go)
{
	const struct hl_value *whole = &plan->unit[plan->cut].value[hl_slot(plan->part.type)];
	if (plan->cut > 0)
		plan->part.data = (char *)whole->tensor.data +
		                  (size_t)(go * hl_shape_count(plan->part.shape)) * hl_type_size(plan->part.type);
}

const float *hl_plan_forward(struct hl_plan *plan, const float *images, bool training, uint64_t seed, uint32_t step)
{
	omp_set_num_threads(plan->options.threads);
	if (plan->changed)
		prepare(plan);
	plan->seed = seed;
	plan->run = step;
	for (int64_t go = 0; go < plan->goes; go++) {
		struct hl_tensor *input = &plan->unit[0].value[HL_F32].tensor;
		/* Nothing writes to the input; a tensor has one kind of pointer. */
		input->data = (void *)(uintptr_t)(images + go * hl_shape_count(input->shape));
		begin_go(plan, go);
		run(plan, 0, plan->cut > 0 ? plan->early_steps : plan->forward_steps, training, NULL);
	}
	if (plan->cut > 0)
		run(plan, plan->early_steps, plan->forward_steps, training, NULL);
	if (plan->broken)
		deny(plan);
	/* Running statistics have moved, which a primitive may have packed. */
	if (training)
		plan->changed = true;
	return plan->unit[plan->nodes - 1].value[HL_F32].tensor.data;
}

void hl_plan_backward(struct hl_plan *plan, const float *dlogits, float *gradients)
{
	const struct hl_graph *graph = plan->graph;
	omp_set_num_threads(plan->options.threads);
	for (int32_t i = 0; i < graph->params; i++) {
		const struct hl_param *param = &graph->param[i];
		int64_t from = param->offset + param->count;
		int64_t end = (from + HL_PARAM_ALIGNMENT - 1) / HL_PARAM_ALIGNMENT * HL_PARAM_ALIGNMENT;
		if (!param->spec.trained)
			continue;
		/* Also the gaps between parameters, which norms and optimisers run over. */
		if (param->node >= plan->nodes || !plan->unit[param->node].trains)
			from = param->offset;
		for (int64_t k = from; k < end; k++)
			gradients[k] = 0;
	}
	plan->unit[plan->nodes - 1].grad[HL_F32].tensor.data = (void *)(uintptr_t)dlogits;
	run(plan, plan->forward_steps, plan->steps, true, gradients);
}

const float *hl_plan_attribute(struct hl_plan *plan, const float *dlogits)
{
	omp_set_num_threads(plan->options.threads);
	plan->unit[plan->nodes - 1].grad[HL_F32].tensor.data = (void *)(uintptr_t)dlogits;
	run(plan, plan->forward_steps, plan->steps, false, NULL);
	return plan->unit[0].grad[HL_F32].tensor.data;
}

/* ---- answers ---- */

int64_t hl_plan_outputs(const struct hl_plan *plan)
{
	return hl_shape_sample(plan->shapes[plan->nodes - 1].out);
}

size_t hl_plan_bytes(const struct hl_plan *plan)
{
	return plan->bytes;
}

const char *hl_plan_backend(const struct hl_plan *plan, int32_t node)
{
	if (node < 1 || node >= plan->nodes)
		return "none";
	return plan->unit[plan->unit[node].tail].primitive->backend;
}

int32_t hl_plan_tail(const struct hl_plan *plan, int32_t node)
{
	return node < 1 || node >= plan->nodes ? node : plan->unit[node].tail;
}

bool hl_plan_frozen(const struct hl_plan *plan, int32_t param)
{
	int32_t node = plan->graph->param[param].node;
	return node < plan->nodes && plan->unit[node].frozen;
}
