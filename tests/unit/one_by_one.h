/* Runs a plan's nodes one by one: every tensor in memory of its own, nothing shared, nothing recycled. */
#ifndef ONE_BY_ONE_H
#define ONE_BY_ONE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "nn/plan_private.h"

struct naive {
	const struct hl_graph *graph;
	struct hl_plan_options options;
	struct hl_infer *shapes;
	struct hl_primitive **primitive;
	enum hl_type *type;
	bool *wanted, *frozen;
	struct hl_tensor (*value)[2], (*grad)[2];
	void **saved;
	void *scratch;
};

static struct hl_tensor fresh(struct hl_shape shape, enum hl_type type)
{
	size_t bytes = (size_t)hl_shape_count(shape) * hl_type_size(type);
	struct hl_tensor tensor = {shape, type, hl_block_alloc(bytes)};
	memset(tensor.data, 0xff, bytes); /* NaN */
	return tensor;
}

static void discard(struct hl_tensor *tensor)
{
	if (tensor->data)
		hl_block_free(tensor->data, (size_t)hl_shape_count(tensor->shape) * hl_type_size(tensor->type));
	tensor->data = NULL;
}

static void naive_compile(struct naive *naive, const struct hl_plan *plan, int32_t i)
{
	const struct hl_node *node = &naive->graph->node[i];
	bool trained = false;
	for (int k = 0; k < naive->shapes[i].params; k++)
		trained |= naive->shapes[i].param[k].trained;
	naive->frozen[i] = naive->shapes[i].params && hl_plan_frozen(plan, node->param);
	naive->wanted[i] = naive->options.training && trained && !naive->frozen[i];
	struct hl_compile request = {.op = node->op,
	                             .options = node->options,
	                             .shapes = &naive->shapes[i],
	                             .type = naive->type[i],
	                             .training = naive->options.training && !naive->frozen[i],
	                             .want_dparam = naive->wanted[i],
	                             .threads = naive->options.threads};
	for (int32_t k = 0; k < node->inputs; k++) {
		request.want_din[k] = naive->wanted[node->input[k]];
		naive->wanted[i] |= naive->wanted[node->input[k]];
	}
	for (const struct hl_backend *const *backend = naive->options.backends; *backend; backend++)
		if ((*backend)->compile(&request, &naive->primitive[i], NULL) == HILUM_OK)
			break;
	assert_non_null(naive->primitive[i]);
	naive->saved[i] = hl_block_alloc(naive->primitive[i]->saved + 1);
}

/* The plan tells only which types and frozen layers it chose; those have tests of their own. */
static struct naive naive_make(const struct hl_plan *plan)
{
	const struct hl_graph *graph = plan->graph;
	size_t nodes = (size_t)graph->logits + 1;
	struct naive naive = {.graph = graph,
	                      .options = plan->options,
	                      .shapes = hl_alloc((size_t)graph->nodes, sizeof(*naive.shapes)),
	                      .primitive = hl_alloc(nodes, sizeof(struct hl_primitive *)),
	                      .type = hl_alloc(nodes, sizeof(*naive.type)),
	                      .wanted = hl_alloc(nodes, sizeof(bool)),
	                      .frozen = hl_alloc(nodes, sizeof(bool)),
	                      .value = hl_alloc(nodes, sizeof(*naive.value)),
	                      .grad = hl_alloc(nodes, sizeof(*naive.grad)),
	                      .saved = hl_alloc(nodes, sizeof(void *))};
	assert_int_equal(hl_graph_infer(graph, naive.options.batch, naive.shapes, NULL), HILUM_OK);
	for (int32_t i = 1; i <= graph->logits; i++) {
		naive.type[i] = plan->unit[i].type;
		naive_compile(&naive, plan, i);
	}
	naive.scratch = hl_block_alloc((size_t)1 << 20);
	return naive;
}

static void naive_clear(struct naive *naive)
{
	for (int32_t i = 0; i <= naive->graph->logits; i++)
		for (int type = 0; type < 2; type++) {
			discard(&naive->value[i][type]);
			discard(&naive->grad[i][type]);
		}
}

static void naive_free(struct naive *naive)
{
	naive_clear(naive);
	for (int32_t i = 1; i <= naive->graph->logits; i++) {
		hl_block_free(naive->saved[i], naive->primitive[i]->saved + 1);
		naive->primitive[i]->destroy(naive->primitive[i]);
	}
	hl_block_free(naive->scratch, (size_t)1 << 20);
	hl_free(naive->shapes);
	hl_free(naive->primitive);
	hl_free(naive->type);
	hl_free(naive->wanted);
	hl_free(naive->frozen);
	hl_free(naive->value);
	hl_free(naive->grad);
	hl_free(naive->saved);
}

static struct hl_call naive_call(struct naive *naive, int32_t i, float *slab, bool training, uint32_t step)
{
	const struct hl_node *node = &naive->graph->node[i];
	struct hl_call call = {.shapes = &naive->shapes[i],
	                       .options = node->options,
	                       .out = &naive->value[i][naive->type[i]],
	                       .saved = naive->primitive[i]->saved ? naive->saved[i] : NULL,
	                       .scratch = naive->scratch,
	                       .training = training && !naive->frozen[i],
	                       .seed = 5,
	                       .step = step,
	                       .node = (uint32_t)i};
	assert_true(naive->primitive[i]->scratch <= (size_t)1 << 20);
	for (int32_t k = 0; k < node->inputs; k++)
		call.in[k] = &naive->value[node->input[k]][naive->type[i]];
	for (int k = 0; k < naive->shapes[i].params; k++)
		call.param[k] = slab + naive->graph->param[node->param + k].offset;
	return call;
}

static const float *naive_forward(struct naive *naive, const float *images, float *slab, bool training, uint32_t step)
{
	const struct hl_graph *graph = naive->graph;
	naive_clear(naive);
	for (int32_t i = 0; i <= graph->logits; i++) {
		struct hl_tensor *out = &naive->value[i][naive->type[i]];
		*out = fresh(naive->shapes[i].out, naive->type[i]);
		if (i == 0) {
			memcpy(out->data, images, (size_t)hl_shape_count(out->shape) * sizeof(float));
		} else {
			struct hl_call call = naive_call(naive, i, slab, training, step);
			if (naive->primitive[i]->prepare)
				naive->primitive[i]->prepare(naive->primitive[i], call.param);
			naive->primitive[i]->forward(naive->primitive[i], &call);
		}
		struct hl_tensor *other = &naive->value[i][!naive->type[i]];
		*other = fresh(out->shape, !naive->type[i]);
		hl_convert(out->data, out->type, other->data, other->type, hl_shape_count(out->shape));
	}
	return naive->value[graph->logits][HL_F32].data;
}

static void accumulate(struct hl_tensor *sum, struct hl_tensor *term)
{
	int64_t count = hl_shape_count(term->shape);
	if (!sum->data) {
		*sum = *term;
		term->data = NULL;
		return;
	}
	for (int64_t i = 0; i < count; i++)
		if (sum->type == HL_F32) {
			((float *)sum->data)[i] += ((float *)term->data)[i];
		} else {
			uint16_t *a = sum->data, *b = term->data;
			a[i] = hl_bf16_from_f32(hl_bf16_to_f32(a[i]) + hl_bf16_to_f32(b[i]));
		}
	discard(term);
}

static void naive_backward(struct naive *naive, const float *dlogits, float *slab, float *gradients, uint32_t step)
{
	const struct hl_graph *graph = naive->graph;
	struct hl_tensor *last = &naive->grad[graph->logits][HL_F32];
	memset(gradients, 0, (size_t)graph->trained * sizeof(float));
	*last = fresh(naive->shapes[graph->logits].out, HL_F32);
	memcpy(last->data, dlogits, (size_t)hl_shape_count(last->shape) * sizeof(float));
	for (int32_t i = graph->logits; i > 0; i--) {
		const struct hl_node *node = &graph->node[i];
		enum hl_type type = naive->type[i];
		struct hl_tensor din[HL_INPUTS_MAX];
		if (!naive->wanted[i])
			continue;
		if (naive->grad[i][!type].data) {
			struct hl_tensor converted = fresh(naive->shapes[i].out, type);
			hl_convert(naive->grad[i][!type].data, !type, converted.data, type,
			           hl_shape_count(converted.shape));
			accumulate(&naive->grad[i][type], &converted);
		}
		struct hl_call call = naive_call(naive, i, slab, true, step);
		call.dout = &naive->grad[i][type];
		for (int32_t k = 0; k < node->inputs; k++)
			if (naive->wanted[node->input[k]]) {
				din[k] = fresh(naive->shapes[i].in[k], type);
				call.din[k] = &din[k];
			}
		for (int k = 0; k < naive->shapes[i].params && !naive->frozen[i]; k++)
			if (naive->shapes[i].param[k].trained)
				call.dparam[k] = gradients + graph->param[node->param + k].offset;
		naive->primitive[i]->backward(naive->primitive[i], &call);
		for (int32_t k = 0; k < node->inputs; k++)
			if (call.din[k])
				accumulate(&naive->grad[node->input[k]][type], &din[k]);
	}
}
#endif
