#include "nn/graph.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

/* ---- building ---- */

bool hl_graph_name_valid(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
	return length > 0 && length <= HL_NAME_MAX && !name[length];
}

int32_t hl_graph_find(const struct hl_graph *graph, const char *name)
{
	for (int32_t i = 0; i < graph->nodes; i++)
		if (strcmp(graph->node[i].name, name) == 0)
			return i;
	return -1;
}

void hl_graph_free(struct hl_graph *graph)
{
	if (!graph)
		return;
	for (int32_t i = 0; i < graph->nodes; i++)
		hl_free(graph->node[i].options);
	hl_free(graph->node);
	hl_free(graph->param);
	hl_free(graph);
}

static enum hilum_status check_shape(struct hl_shape shape, struct hilum_error *error)
{
	char text[128];
	int64_t count = hl_shape_sample(shape);
	if (count >= 1 && count <= HL_TENSOR_MAX)
		return HILUM_OK;
	hl_shape_print(shape, text, sizeof(text));
	return hl_fail(error, HILUM_ERROR_LIMIT, "a tensor of %s is not from 1 to %lld values", text,
	               (long long)HL_TENSOR_MAX);
}

enum hilum_status hl_graph_begin(struct hl_shape input, struct hl_graph **out, struct hilum_error *error)
{
	struct hl_graph *graph;
	enum hilum_status status;
	input.n = 1;
	status = check_shape(input, error);
	if (status)
		return hl_prefix(error, status, "input");
	graph = hl_alloc(1, sizeof(*graph));
	if (!graph)
		return hl_fail_memory(error, sizeof(*graph), "a network");
	graph->node = hl_alloc(1, sizeof(*graph->node));
	if (!graph->node) {
		hl_free(graph);
		return hl_fail_memory(error, sizeof(struct hl_node), "a network");
	}
	graph->nodes = 1;
	graph->spatial = input.d > 1 ? 3 : 2;
	strcpy(graph->node[0].name, "input");
	graph->node[0].shapes.spatial = graph->spatial;
	graph->node[0].shapes.out = input;
	*out = graph;
	return HILUM_OK;
}

/* The given name, or the op's with a running number. */
static enum hilum_status choose_name(const struct hl_graph *graph, const char *name, const struct hl_op *op,
                                     char chosen[HL_NAME_MAX + 1], struct hilum_error *error)
{
	int32_t number = 1;
	if (name) {
		if (!hl_graph_name_valid(name))
			return hl_fail(error, HILUM_ERROR_ARGUMENT,
			               "'%.80s' is no name: up to %d letters, digits, '_', '.' and '-'", name,
			               HL_NAME_MAX);
		if (hl_graph_find(graph, name) >= 0)
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "the name '%s' is taken", name);
		strcpy(chosen, name);
		return HILUM_OK;
	}
	for (int32_t i = 1; i < graph->nodes; i++)
		number += graph->node[i].op == op;
	snprintf(chosen, HL_NAME_MAX + 1, "%.40s%d", op->name, number);
	if (hl_graph_find(graph, chosen) >= 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "the name '%s' is taken; give this layer another", chosen);
	return HILUM_OK;
}

static int64_t padded(int64_t count)
{
	return (count + HL_PARAM_ALIGNMENT - 1) / HL_PARAM_ALIGNMENT * HL_PARAM_ALIGNMENT;
}

static int64_t param_count(const struct hl_param_spec *spec)
{
	int64_t count = 1;
	for (int i = 0; i < spec->rank; i++)
		if (spec->dims[i] < 1 || __builtin_mul_overflow(count, spec->dims[i], &count))
			return 0;
	return count;
}

/* Parameters of a node against the limit, together with those of the nodes before it. */
static enum hilum_status check_params(const struct hl_graph *graph, const struct hl_infer *shapes,
                                      struct hilum_error *error)
{
	int64_t total = graph->floats;
	for (int i = 0; i < shapes->params; i++) {
		int64_t count = param_count(&shapes->param[i]);
		if (count < 1 || count > HL_FLOATS_MAX - total)
			return hl_fail(error, HILUM_ERROR_LIMIT, "the network has more than %lld parameters",
			               (long long)HL_FLOATS_MAX);
		total += padded(count);
	}
	return HILUM_OK;
}

/* Shapes of a node from those of its inputs at batch 1. */
static enum hilum_status infer_node(const struct hl_graph *graph, struct hl_node *node, struct hilum_error *error)
{
	enum hilum_status status;
	if (node->inputs < node->op->inputs_min || node->inputs > node->op->inputs_max)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s takes %d to %d inputs, not %d", node->op->name,
		               node->op->inputs_min, node->op->inputs_max, node->inputs);
	node->shapes.inputs = node->inputs;
	node->shapes.spatial = graph->spatial;
	for (int32_t i = 0; i < node->inputs; i++)
		node->shapes.in[i] = graph->node[node->input[i]].shapes.out;
	status = node->op->infer(node->options, &node->shapes, error);
	if (!status)
		status = check_shape(node->shapes.out, error);
	return status ? status : check_params(graph, &node->shapes, error);
}

/* Room for one node more; as many parameters as a node can have come with it. */
static enum hilum_status grow(struct hl_graph *graph, struct hilum_error *error)
{
	size_t nodes = (size_t)graph->nodes + 1;
	void *larger;
	if (graph->nodes >= HL_NODES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "more than %d layers", HL_NODES_MAX - 1);
	/* Powers of two, so that a long network is not copied at every node. */
	if ((nodes & (nodes - 1)) != 0)
		return HILUM_OK;
	larger = hl_realloc(graph->node, nodes * 2, sizeof(*graph->node));
	if (!larger)
		return hl_fail_memory(error, nodes * 2 * sizeof(*graph->node), "layers");
	graph->node = larger;
	larger = hl_realloc(graph->param, nodes * 2 * HL_PARAMS_MAX, sizeof(*graph->param));
	if (!larger)
		return hl_fail_memory(error, nodes * 2 * HL_PARAMS_MAX * sizeof(*graph->param), "layers");
	graph->param = larger;
	return HILUM_OK;
}

static void add_params(struct hl_graph *graph, struct hl_node *node)
{
	node->param = graph->params;
	for (int i = 0; i < node->shapes.params; i++) {
		struct hl_param *param = &graph->param[graph->params++];
		*param = (struct hl_param){
		    .spec = node->shapes.param[i], .count = param_count(&node->shapes.param[i]), .node = graph->nodes};
		snprintf(param->name, sizeof(param->name), "%s.%s", node->name, param->spec.name);
		graph->floats += padded(param->count);
	}
}

enum hilum_status hl_graph_append(struct hl_graph *graph, const char *name, const struct hl_op *op, const void *options,
                                  const int32_t *input, int32_t inputs, struct hilum_error *error)
{
	struct hl_node node = {.op = op, .inputs = inputs};
	enum hilum_status status = choose_name(graph, name, op, node.name, error);
	if (status)
		return status;
	if (inputs < 0 || inputs > HL_INPUTS_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "more than %d inputs", HL_INPUTS_MAX);
	for (int32_t i = 0; i < inputs; i++) {
		if (input[i] < 0 || input[i] >= graph->nodes)
			return hl_fail(error, HILUM_ERROR_INTERNAL, "input %d of %s is not before it", input[i],
			               node.name);
		node.input[i] = input[i];
	}
	status = grow(graph, error);
	if (status)
		return status;
	if (op->options_size > 0) {
		node.options = hl_alloc(1, op->options_size);
		if (!node.options)
			return hl_fail_memory(error, op->options_size, "a layer's options");
		memcpy(node.options, options, op->options_size);
	}
	status = infer_node(graph, &node, error);
	if (status) {
		hl_free(node.options);
		return status;
	}
	add_params(graph, &node);
	graph->node[graph->nodes++] = node;
	return HILUM_OK;
}

static bool is_output_function(const struct hl_op *op)
{
	return strcmp(op->name, "sigmoid") == 0 || strcmp(op->name, "softmax") == 0;
}

static enum hilum_status check_use(const struct hl_graph *graph, struct hilum_error *error)
{
	bool *used = hl_alloc((size_t)graph->nodes, sizeof(*used));
	enum hilum_status status = HILUM_OK;
	if (!used)
		return hl_fail_memory(error, (size_t)graph->nodes * sizeof(*used), "a network");
	used[graph->nodes - 1] = true;
	for (int32_t i = 1; i < graph->nodes; i++)
		for (int32_t k = 0; k < graph->node[i].inputs; k++)
			used[graph->node[i].input[k]] = true;
	for (int32_t i = 0; i < graph->nodes && !status; i++)
		if (!used[i])
			status = hl_fail(error, HILUM_ERROR_ARGUMENT, "nothing reads '%s'", graph->node[i].name);
	hl_free(used);
	return status;
}

enum hilum_status hl_graph_finish(struct hl_graph *graph, struct hilum_error *error)
{
	const struct hl_node *last = &graph->node[graph->nodes - 1];
	enum hilum_status status = check_use(graph, error);
	if (status)
		return status;
	graph->logits = graph->nodes - 1;
	if (last->op && is_output_function(last->op))
		graph->logits = last->input[0];
	if (graph->logits == 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "the network has no layer");
	graph->floats = 0;
	for (int trained = 1; trained >= 0; trained--) {
		for (int32_t i = 0; i < graph->params; i++) {
			struct hl_param *param = &graph->param[i];
			if (param->spec.trained != (bool)trained)
				continue;
			param->offset = graph->floats;
			graph->floats += padded(param->count);
		}
		if (trained)
			graph->trained = graph->floats;
	}
	return HILUM_OK;
}

/* ---- use ---- */

enum hilum_status hl_graph_infer(const struct hl_graph *graph, int64_t batch, struct hl_infer *out,
                                 struct hilum_error *error)
{
	for (int32_t i = 0; i < graph->nodes; i++) {
		const struct hl_node *node = &graph->node[i];
		enum hilum_status status = HILUM_OK;
		out[i] = (struct hl_infer){.inputs = node->inputs, .spatial = graph->spatial};
		for (int32_t k = 0; k < node->inputs; k++)
			out[i].in[k] = out[node->input[k]].out;
		if (node->op)
			status = node->op->infer(node->options, &out[i], error);
		else
			out[i].out = node->shapes.out;
		if (i == 0)
			out[i].out.n = batch;
		if (!status && hl_shape_count(out[i].out) < 1)
			status = hl_fail(error, HILUM_ERROR_LIMIT, "a batch of %lld does not fit", (long long)batch);
		if (status)
			return hl_prefix(error, status, "%s", node->name);
	}
	return HILUM_OK;
}

void hl_graph_initialise(const struct hl_graph *graph, uint64_t seed, float *slab)
{
	memset(slab, 0, (size_t)graph->floats * sizeof(float));
	for (int32_t i = 0; i < graph->params; i++) {
		const struct hl_param *param = &graph->param[i];
		float *at = slab + param->offset;
		double bound = param->spec.fan_in > 0 ? 1 / sqrt((double)param->spec.fan_in) : 0;
		struct hl_random random = hl_random_stream(seed, 0, (uint32_t)i, HL_RANDOM_INIT);
		switch (param->spec.init) {
		case HL_INIT_ZERO:
			break;
		case HL_INIT_ONE:
			for (int64_t k = 0; k < param->count; k++)
				at[k] = 1;
			break;
		case HL_INIT_KAIMING_UNIFORM:
			for (int64_t k = 0; k < param->count; k++)
				at[k] = (float)hl_random_range(&random, -bound, bound);
			break;
		}
	}
}

int64_t hl_graph_node_flops(const struct hl_graph *graph, int32_t node)
{
	const struct hl_node *at = &graph->node[node];
	struct hl_shape out = at->shapes.out;
	int64_t total = 0;
	/* Every weight of a convolution meets every position of the output once; a dense layer has one position. */
	out.c = 2;
	for (int i = 0; i < at->shapes.params; i++) {
		const struct hl_param *param = &graph->param[at->param + i];
		int64_t flops;
		if (!param->spec.trained || param->spec.rank < 2)
			continue;
		if (__builtin_mul_overflow(hl_shape_sample(out), param->count, &flops) ||
		    __builtin_add_overflow(total, flops, &total))
			return INT64_MAX;
	}
	return total;
}

int64_t hl_graph_flops(const struct hl_graph *graph)
{
	int64_t total = 0;
	for (int32_t i = 0; i < graph->nodes; i++)
		if (__builtin_add_overflow(total, hl_graph_node_flops(graph, i), &total))
			return INT64_MAX;
	return total;
}
