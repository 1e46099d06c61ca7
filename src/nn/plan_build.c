/* From a graph to steps, in four passes: what each node is (type, frozen, gradient wanted), the primitives of nodes and
 * chains, the steps with the values that they read and write, and the place of each value. */
#include <string.h>

#include "base/memory.h"
#include "nn/plan_private.h"

/* ---- what each node is ---- */

static bool has_weights(const struct hl_infer *shapes)
{
	for (int i = 0; i < shapes->params; i++)
		if (shapes->param[i].trained && shapes->param[i].rank >= 2)
			return true;
	return false;
}

static bool has_trained(const struct hl_infer *shapes)
{
	for (int i = 0; i < shapes->params; i++)
		if (shapes->param[i].trained)
			return true;
	return false;
}

/* A mean over all places has more to tell than a byte holds, and is small: in float32 where that is read. */
static void spare_means(struct hl_plan *plan)
{
	const struct hl_graph *graph = plan->graph;
	for (int32_t i = plan->nodes - 1; i > 0; i--) {
		bool spared = strcmp(graph->node[i].op->name, "globalpool") == 0;
		for (int32_t k = i + 1; k < plan->nodes && spared; k++)
			for (int32_t j = 0; j < graph->node[k].inputs; j++)
				spared = spared && (graph->node[k].input[j] != i || plan->unit[k].type == HL_F32);
		if (spared)
			plan->unit[i].type = HL_F32;
	}
}

/* The logits are made in float32: by the last node, and where that has no weights (a sum of two heads, say) by those
 * before it up to weights. */
static void choose_types(struct hl_plan *plan)
{
	const struct hl_graph *graph = plan->graph;
	for (int32_t i = 1; i < plan->nodes; i++)
		plan->unit[i].type = plan->options.type;
	plan->unit[0].type = HL_F32;
	plan->unit[plan->nodes - 1].type = HL_F32;
	if (plan->options.type == HL_F32)
		return;
	for (int32_t i = plan->nodes - 1; i > 0; i--)
		for (int32_t k = 0; k < graph->node[i].inputs; k++)
			if (plan->unit[i].type == HL_F32 && plan->shapes[i].params == 0)
				plan->unit[graph->node[i].input[k]].type = HL_F32;
	if (plan->options.type == HL_U8)
		spare_means(plan);
}

static void mark_gradients(struct hl_plan *plan)
{
	const struct hl_graph *graph = plan->graph;
	int32_t layers = 0;
	if (plan->options.attribution) {
		for (int32_t i = 0; i < plan->nodes; i++)
			plan->unit[i].gradient = true;
		return;
	}
	for (int32_t i = 1; i < plan->nodes && plan->options.training; i++) {
		struct hl_unit *unit = &plan->unit[i];
		layers += has_weights(&plan->shapes[i]);
		unit->frozen = plan->options.freeze > 0 && layers <= plan->options.freeze && plan->shapes[i].params > 0;
		unit->trains = has_trained(&plan->shapes[i]) && !unit->frozen;
		unit->gradient = unit->trains;
		for (int32_t k = 0; k < graph->node[i].inputs; k++)
			unit->gradient |= plan->unit[graph->node[i].input[k]].gradient;
	}
}

/* ---- a few images at a time ---- */

#define AT_A_TIME 4 /* images at most, or one for each thread where those are more */

static bool is_op(const struct hl_node *node, const char *name)
{
	return node->op && strcmp(node->op->name, name) == 0;
}

/* The last node before the first dense layer, and before what only passes values on to that; 0 where there is none, or
 * where anything behind reads more than that one. */
static int32_t find_cut(const struct hl_plan *plan)
{
	const struct hl_node *node = plan->graph->node;
	int32_t cut = 0;
	while (cut < plan->nodes && !is_op(&node[cut], "dense"))
		cut++;
	if (cut == plan->nodes)
		return 0;
	do
		cut = node[cut].input[0];
	while (is_op(&node[cut], "flatten") || is_op(&node[cut], "dropout"));
	for (int32_t i = cut + 1; i < plan->nodes; i++)
		for (int32_t k = 0; k < node[i].inputs; k++)
			if (node[i].input[k] < cut)
				return 0;
	return cut;
}

/* Also infers the shapes: up to the cut, those of a go. */
static enum hilum_status cut_batch(struct hl_plan *plan, struct hilum_error *error)
{
	int64_t batch = plan->options.batch, go = plan->options.at_a_time, most = AT_A_TIME;
	struct hl_infer *whole;
	enum hilum_status status;
	if (most < plan->options.threads)
		most = plan->options.threads;
	for (int64_t size = most; go == 0 && size > 0; size--)
		if (batch % size == 0)
			go = size;
	if (go < 1 || batch % go)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "at_a_time: %lld does not divide %lld", (long long)go,
		               (long long)batch);
	plan->goes = 1;
	if (!plan->options.training && go < batch)
		plan->cut = find_cut(plan);
	status = hl_graph_infer(plan->graph, batch, plan->shapes, error);
	if (status || plan->cut == 0)
		return status;
	whole = hl_alloc((size_t)plan->graph->nodes, sizeof(*whole));
	if (!whole)
		return hl_fail_memory(error, (size_t)plan->graph->nodes * sizeof(*whole), "a plan");
	memcpy(whole, plan->shapes, (size_t)plan->graph->nodes * sizeof(*whole));
	status = hl_graph_infer(plan->graph, go, plan->shapes, error);
	plan->goes = batch / go;
	plan->whole = whole[plan->cut].out;
	memcpy(plan->shapes + plan->cut + 1, whole + plan->cut + 1,
	       (size_t)(plan->graph->nodes - plan->cut - 1) * sizeof(*whole));
	hl_free(whole);
	return status;
}

/* What those behind read. */
static struct hl_shape shape_of(const struct hl_plan *plan, int32_t index)
{
	return plan->cut > 0 && index == plan->cut ? plan->whole : plan->shapes[index].out;
}

/* ---- primitives ---- */

/* HILUM_ERROR_UNSUPPORTED, without words: nobody takes it. */
static enum hilum_status ask(struct hl_plan *plan, const struct hl_compile *request, struct hl_unit *unit,
                             const struct hl_node *node, struct hilum_error *error)
{
	for (const struct hl_backend *const *backend = plan->options.backends; *backend; backend++) {
		struct hilum_error refusal = {.code = HILUM_OK};
		if (request->type == HL_U8 && !(*backend)->bytes)
			continue;
		enum hilum_status status = (*backend)->compile(request, &unit->primitive, &refusal);
		if (!status)
			return HILUM_OK;
		if (status != HILUM_ERROR_UNSUPPORTED)
			return hl_fail(error, status, "%s (%s): %s", node->name, (*backend)->name, refusal.message);
	}
	return HILUM_ERROR_UNSUPPORTED;
}

/* Compiles head and the first links of chain as one. */
static enum hilum_status compile(struct hl_plan *plan, int32_t head, const struct hl_chain *chain, int32_t links,
                                 struct hilum_error *error)
{
	const struct hl_node *node = &plan->graph->node[head];
	int32_t tail = links > 0 ? chain->node[links - 1] : head;
	struct hl_unit *first = &plan->unit[head], *unit = &plan->unit[tail];
	struct hl_unit as_one = *unit;
	struct hl_compile request = {.op = node->op,
	                             .options = node->options,
	                             .shapes = &plan->shapes[head],
	                             .links = links,
	                             .type = first->type,
	                             .strict = plan->options.strict,
	                             .training = plan->options.training && !first->frozen,
	                             .want_dparam = first->trains,
	                             .threads = plan->options.threads};
	as_one.head = head;
	as_one.chain = *chain;
	as_one.chain.links = links;
	as_one.still = first->frozen || plan->options.attribution;
	if (links > 0) {
		request.training = plan->options.training && first->gradient;
		as_one.still = !first->gradient;
	}
	as_one.inputs = hl_chain_inputs(plan->graph, head, chain, links, as_one.input);
	for (int32_t k = 0; k < as_one.inputs; k++) {
		request.want_din[k] = plan->unit[as_one.input[k]].gradient;
		if (request.type == HL_U8)
			request.quant_in[k] = plan->options.quant[as_one.input[k]];
	}
	if (request.type == HL_U8)
		request.quant_out = plan->options.quant[tail];
	for (int32_t i = 0; i < links; i++) {
		const struct hl_node *link = &plan->graph->node[chain->node[i]];
		request.link[i] = (struct hl_link){link->op, link->options, &plan->shapes[chain->node[i]]};
		request.want_dparam |= plan->unit[chain->node[i]].trains;
	}
	enum hilum_status status = ask(plan, &request, &as_one, node, error);
	if (status)
		return status;
	as_one.in_place = links > 0 ? as_one.primitive->in_place : node->op->in_place;
	as_one.keeps_input = links > 0 ? as_one.primitive->keeps_input : node->op->keeps_input;
	as_one.keeps_output = links > 0 ? as_one.primitive->keeps_output : node->op->keeps_output;
	*unit = as_one;
	first->tail = tail;
	for (int32_t i = 0; i < links; i++)
		plan->unit[chain->node[i]].tail = tail;
	return HILUM_OK;
}

#define TAKEN (-1)

/* Nodes run as one only where they share type and fate: a backward pass or none, a few images at a time or all; and
 * only in one chain. */
static struct hl_fuse_node *describe(const struct hl_plan *plan, struct hilum_error *error)
{
	struct hl_fuse_node *list = hl_alloc((size_t)plan->nodes, sizeof(*list));
	if (!list) {
		hl_fail_memory(error, (size_t)plan->nodes * sizeof(*list), "a plan");
		return NULL;
	}
	for (int32_t i = 1; i < plan->nodes; i++) {
		list[i].kind = 4 * (i > plan->cut) + 2 * hl_slot(plan->unit[i].type) + plan->unit[i].gradient;
		for (int32_t k = 0; k < plan->graph->node[i].inputs; k++) {
			list[plan->graph->node[i].input[k]].readers++;
			list[plan->graph->node[i].input[k]].reader = i;
		}
	}
	return list;
}

static enum hilum_status compile_all(struct hl_plan *plan, struct hilum_error *error)
{
	bool fuse = !plan->options.unfused && hl_fuse_wanted();
	struct hl_fuse_node *list = describe(plan, error);
	enum hilum_status status = list ? HILUM_OK : HILUM_ERROR_MEMORY;
	for (int32_t i = 1; i < plan->nodes && !status; i++) {
		struct hl_chain chain = {.links = 0};
		if (plan->unit[i].tail)
			continue;
		if (fuse)
			chain = hl_fuse(plan->graph, list, plan->nodes, i);
		status = HILUM_ERROR_UNSUPPORTED;
		for (int32_t links = chain.links; links >= 0 && status == HILUM_ERROR_UNSUPPORTED; links--)
			status = compile(plan, i, &chain, links, error);
		for (int32_t k = 0; k < chain.links && plan->unit[chain.node[k]].tail; k++)
			list[chain.node[k]].kind = TAKEN;
		if (status == HILUM_ERROR_UNSUPPORTED)
			hl_fail(error, status, "%s: no back end runs %s", plan->graph->node[i].name,
			        plan->graph->node[i].op->name);
	}
	hl_free(list);
	return status;
}

static void count_readers(struct hl_plan *plan)
{
	for (int32_t i = 1; i < plan->nodes; i++)
		for (int32_t k = 0; k < plan->unit[i].inputs; k++)
			plan->unit[plan->unit[i].input[k]].readers[hl_slot(plan->unit[i].type)]++;
	for (int32_t i = 0; i < plan->nodes; i++) {
		struct hl_unit *unit = &plan->unit[i];
		int own = hl_slot(unit->type);
		unit->readers[own] += unit->readers[!own] > 0;
	}
}

/* ---- blocks and steps ---- */

static int32_t new_block(struct hl_plan *plan, size_t bytes)
{
	plan->block[plan->blocks] = (struct hl_arena_block){.bytes = bytes, .first = INT32_MAX, .last = -1};
	return plan->blocks++;
}

/* The block is in use at this step. */
static void touch(struct hl_plan *plan, int32_t block, int32_t step)
{
	if (block == HL_BLOCK_NONE)
		return;
	if (step < plan->block[block].first)
		plan->block[block].first = step;
	if (step > plan->block[block].last)
		plan->block[block].last = step;
}

/* A value with a block of its own, or in that of another value. */
static void make_value(struct hl_plan *plan, struct hl_value *value, struct hl_shape shape, enum hl_type type,
                       const struct hl_value *share)
{
	size_t bytes;
	value->tensor = (struct hl_tensor){.shape = shape, .type = type};
	value->absent = value->tensor;
	if (share) {
		value->block = share->block;
		return;
	}
	/* What does not fit a size is refused when the arena is laid out. */
	if (!hl_mul_size((size_t)hl_shape_count(shape), hl_type_size(type), &bytes))
		bytes = SIZE_MAX;
	value->block = new_block(plan, bytes);
}

static int32_t push(struct hl_plan *plan, enum hl_step_kind kind, int32_t node)
{
	plan->step[plan->steps] = (struct hl_step){.kind = kind, .node = node};
	return plan->steps++;
}

/* CONVERT or ADD. */
static void push_move(struct hl_plan *plan, enum hl_step_kind kind, int32_t node, const struct hl_value *from,
                      const struct hl_value *to)
{
	int32_t step = push(plan, kind, node);
	plan->step[step].from = &from->tensor;
	plan->step[step].to = &to->tensor;
	touch(plan, from->block, step);
	touch(plan, to->block, step);
}

static struct hl_call *begin_call(struct hl_plan *plan, int32_t step)
{
	struct hl_call *call = &plan->step[step].call;
	const struct hl_unit *unit = &plan->unit[plan->step[step].node];
	call->shapes = &plan->shapes[unit->head];
	call->options = plan->graph->node[unit->head].options;
	call->node = (uint32_t)unit->head;
	touch(plan, unit->saved, step);
	return call;
}

/* Whether a node may write its output over its first input: nobody else reads that, and neither the backward pass of
 * its producer nor its own does. */
static bool may_overwrite(const struct hl_plan *plan, int32_t index)
{
	const struct hl_unit *unit = &plan->unit[index], *source = &plan->unit[unit->input[0]];
	if (!unit->in_place || source->value[hl_slot(unit->type)].block == HL_BLOCK_NONE ||
	    source->readers[hl_slot(unit->type)] != 1 ||
	    !hl_shape_equal(shape_of(plan, unit->input[0]), shape_of(plan, index)))
		return false;
	if (unit->gradient && unit->keeps_input)
		return false;
	return !(source->type == unit->type && source->gradient && source->keeps_output);
}

static void push_forward(struct hl_plan *plan, int32_t index)
{
	struct hl_unit *unit = &plan->unit[index];
	for (int32_t k = 0; k < unit->inputs; k++) {
		struct hl_unit *source = &plan->unit[unit->input[k]];
		struct hl_value *value = &source->value[hl_slot(unit->type)];
		if (source->type == unit->type || value->block != HL_BLOCK_NONE)
			continue;
		make_value(plan, value, shape_of(plan, unit->input[k]), unit->type, NULL);
		push_move(plan, HL_STEP_CONVERT, unit->input[k], &source->value[hl_slot(source->type)], value);
		if (plan->options.type == HL_U8)
			plan->step[plan->steps - 1].quant = plan->options.quant[unit->input[k]];
	}
	if (unit->primitive->saved > 0)
		unit->saved = new_block(plan, unit->primitive->saved);
	const struct hl_value *share =
	    may_overwrite(plan, index) ? &plan->unit[unit->input[0]].value[hl_slot(unit->type)] : NULL;
	make_value(plan, &unit->value[hl_slot(unit->type)], shape_of(plan, index), unit->type, share);
	int32_t step = push(plan, HL_STEP_FORWARD, index);
	struct hl_call *call = begin_call(plan, step);
	for (int32_t k = 0; k < unit->inputs; k++) {
		const struct hl_value *value = &plan->unit[unit->input[k]].value[hl_slot(unit->type)];
		call->in[k] = &value->tensor;
		touch(plan, value->block, step);
	}
	call->out = &unit->value[hl_slot(unit->type)].tensor;
	touch(plan, unit->value[hl_slot(unit->type)].block, step);
	if (plan->cut == 0 || index != plan->cut)
		return;
	/* Earlier goes have left theirs. */
	touch(plan, unit->value[hl_slot(unit->type)].block, 0);
	plan->part = (struct hl_tensor){.shape = plan->shapes[index].out, .type = unit->type};
	call->out = &plan->part;
	plan->early_steps = plan->steps;
}

/* ---- gradients ---- */

static struct hl_value *new_spare(struct hl_plan *plan)
{
	struct hl_value *spare = &plan->spare[plan->spares++];
	spare->block = HL_BLOCK_NONE;
	return spare;
}

/* The gradient by a node's output that came from readers of the other type, brought to its own. */
static void merge_types(struct hl_plan *plan, int32_t index)
{
	struct hl_unit *unit = &plan->unit[index];
	const struct hl_value *from = &unit->grad[!hl_slot(unit->type)];
	struct hl_value *own = &unit->grad[hl_slot(unit->type)], *to = own;
	if (!unit->written[!hl_slot(unit->type)])
		return;
	if (unit->written[hl_slot(unit->type)])
		to = new_spare(plan);
	make_value(plan, to, plan->shapes[index].out, unit->type, NULL);
	push_move(plan, HL_STEP_CONVERT, index, from, to);
	if (to != own)
		push_move(plan, HL_STEP_ADD, index, to, own);
	unit->written[hl_slot(unit->type)] = true;
}

/* Whether the gradient by a node's first input may be written over that input: nobody else reads that, and its
 * producer's backward pass does not. */
static bool may_replace(const struct hl_plan *plan, int32_t index)
{
	const struct hl_unit *unit = &plan->unit[index], *source = &plan->unit[unit->input[0]];
	return unit->primitive->in_place_gradient && source->value[hl_slot(unit->type)].block != HL_BLOCK_NONE &&
	       source->readers[hl_slot(unit->type)] == 1 && !(source->type == unit->type && source->keeps_output);
}

/* The value whose memory the gradient by input k may take, or NULL. */
static const struct hl_value *gradient_place(const struct hl_plan *plan, int32_t index, int32_t k)
{
	const struct hl_unit *unit = &plan->unit[index], *source = &plan->unit[unit->input[k]];
	const struct hl_value *own = &unit->grad[hl_slot(unit->type)];
	if (k == 0 && may_replace(plan, index))
		return &source->value[hl_slot(unit->type)];
	bool of_add = k >= plan->graph->node[unit->head].inputs;
	if (of_add ? !unit->primitive->in_place_gradient : k > 0 || !unit->in_place)
		return NULL;
	/* The gradient by the output is not needed again, unless it is the caller's. */
	return own->block != HL_BLOCK_NONE && hl_shape_equal(plan->shapes[unit->input[k]].out, plan->shapes[index].out)
	           ? own
	           : NULL;
}

/* Where the gradient by input k goes: the first to come writes, the others leave theirs to be added. */
static struct hl_value *gradient_target(struct hl_plan *plan, int32_t index, int32_t k)
{
	struct hl_unit *unit = &plan->unit[index], *source = &plan->unit[unit->input[k]];
	struct hl_value *target = &source->grad[hl_slot(unit->type)];
	if (source->written[hl_slot(unit->type)])
		target = new_spare(plan);
	make_value(plan, target, plan->shapes[unit->input[k]].out, unit->type, gradient_place(plan, index, k));
	source->written[hl_slot(unit->type)] = true;
	return target;
}

static enum hilum_status push_backward(struct hl_plan *plan, int32_t index, struct hilum_error *error)
{
	struct hl_unit *unit = &plan->unit[index];
	struct hl_value *target[HL_INPUTS_MAX] = {NULL};
	merge_types(plan, index);
	if (!unit->written[hl_slot(unit->type)])
		return hl_fail(error, HILUM_ERROR_INTERNAL, "%s: no gradient arrives", plan->graph->node[index].name);
	for (int32_t k = 0; k < unit->inputs; k++)
		if (plan->unit[unit->input[k]].gradient)
			target[k] = gradient_target(plan, index, k);
	int32_t step = push(plan, HL_STEP_BACKWARD, index);
	struct hl_call *call = begin_call(plan, step);
	for (int32_t k = 0; k < unit->inputs; k++) {
		const struct hl_value *value = &plan->unit[unit->input[k]].value[hl_slot(unit->type)];
		bool kept = unit->keeps_input && k < plan->graph->node[unit->head].inputs;
		call->in[k] = kept ? &value->tensor : &value->absent;
		if (kept)
			touch(plan, value->block, step);
		if (target[k]) {
			call->din[k] = &target[k]->tensor;
			touch(plan, target[k]->block, step);
		}
	}
	const struct hl_value *out = &unit->value[hl_slot(unit->type)];
	call->out = unit->keeps_output ? &out->tensor : &out->absent;
	if (unit->keeps_output)
		touch(plan, out->block, step);
	call->dout = &unit->grad[hl_slot(unit->type)].tensor;
	touch(plan, unit->grad[hl_slot(unit->type)].block, step);
	for (int32_t k = 0; k < unit->inputs; k++) {
		const struct hl_value *sum = &plan->unit[unit->input[k]].grad[hl_slot(unit->type)];
		if (target[k] && target[k] != sum)
			push_move(plan, HL_STEP_ADD, unit->input[k], target[k], sum);
	}
	return HILUM_OK;
}

/* ---- the whole ---- */

static enum hilum_status allocate(struct hl_plan *plan, struct hilum_error *error)
{
	size_t nodes = (size_t)plan->nodes, edges = 0;
	for (int32_t i = 1; i < plan->nodes; i++)
		edges += (size_t)plan->graph->node[i].inputs;
	/* Per node: forward, backward, a conversion each way and an addition after it; per edge: an addition. */
	size_t steps = 5 * nodes + edges, spares = nodes + edges, blocks = 5 * nodes + spares + 1;
	plan->shapes = hl_alloc((size_t)plan->graph->nodes, sizeof(*plan->shapes));
	plan->unit = hl_alloc(nodes, sizeof(*plan->unit));
	plan->step = hl_alloc(steps, sizeof(*plan->step));
	plan->spare = hl_alloc(spares, sizeof(*plan->spare));
	plan->block = hl_alloc(blocks, sizeof(*plan->block));
	if (!plan->shapes || !plan->unit || !plan->step || !plan->spare || !plan->block)
		return hl_fail_memory(error, steps * sizeof(*plan->step), "a plan");
	for (int32_t i = 0; i < plan->nodes; i++) {
		struct hl_unit *unit = &plan->unit[i];
		unit->saved = HL_BLOCK_NONE;
		for (int type = 0; type < 2; type++)
			unit->value[type].block = unit->grad[type].block = HL_BLOCK_NONE;
	}
	return HILUM_OK;
}

/* One workspace serves every step. */
static void reserve_scratch(struct hl_plan *plan)
{
	size_t bytes = 0;
	for (int32_t i = 1; i < plan->nodes; i++)
		if (plan->unit[i].primitive && plan->unit[i].primitive->scratch > bytes)
			bytes = plan->unit[i].primitive->scratch;
	plan->scratch = new_block(plan, bytes);
	touch(plan, plan->scratch, 0);
	touch(plan, plan->scratch, plan->steps - 1);
}

static enum hilum_status push_all(struct hl_plan *plan, struct hilum_error *error)
{
	int32_t logits = plan->nodes - 1;
	struct hl_unit *last = &plan->unit[logits];
	enum hilum_status status = HILUM_OK;
	plan->unit[0].value[HL_F32].tensor = (struct hl_tensor){.shape = plan->shapes[0].out, .type = HL_F32};
	plan->unit[0].value[HL_F32].absent = plan->unit[0].value[HL_F32].tensor;
	for (int32_t i = 1; i < plan->nodes; i++)
		if (plan->unit[i].primitive)
			push_forward(plan, i);
	plan->forward_steps = plan->steps;
	last->grad[HL_F32].tensor = (struct hl_tensor){.shape = plan->shapes[logits].out, .type = HL_F32};
	last->written[HL_F32] = true;
	for (int32_t i = logits; i > 0 && !status; i--)
		if (plan->unit[i].primitive && plan->unit[i].gradient)
			status = push_backward(plan, i, error);
	/* The logits are the caller's to read until the next run. */
	touch(plan, last->value[HL_F32].block, plan->steps - 1);
	touch(plan, plan->unit[0].grad[HL_F32].block, plan->steps - 1);
	reserve_scratch(plan);
	return status;
}

enum hilum_status hl_plan_build(struct hl_plan *plan, struct hilum_error *error)
{
	enum hilum_status status = allocate(plan, error);
	if (!status)
		status = cut_batch(plan, error);
	if (status)
		return status;
	choose_types(plan);
	mark_gradients(plan);
	status = compile_all(plan, error);
	if (!status) {
		count_readers(plan);
		status = push_all(plan, error);
	}
	if (!status)
		status = hl_arena_place(plan->block, (size_t)plan->blocks, &plan->bytes, error);
	return status;
}
