/* A network: nodes in topological order, each with one output, and the layout of its parameters in one slab. */
#ifndef HL_NN_GRAPH_H
#define HL_NN_GRAPH_H
#include "nn/op.h"

#define HL_PARAM_ALIGNMENT 16 /* floats: one cache line; the gaps hold zeros */

struct hl_param {
	char name[96]; /* "conv1.weight": node name, dot, parameter name; unique */
	struct hl_param_spec spec;
	int64_t offset; /* floats from the start of the slab; multiples of HL_PARAM_ALIGNMENT */
	int64_t count;
	int32_t node;
};

struct hl_node {
	char name[64];          /* given, or op name and a running number: conv1, conv2, batchnorm1 */
	const struct hl_op *op; /* NULL for node 0, the input */
	void *options;          /* options_size bytes, owned */
	int32_t inputs;
	int32_t input[HL_INPUTS_MAX]; /* node indexes, all smaller than this node's */
	struct hl_infer shapes;       /* at batch 1 */
	int32_t param;                /* index of the first parameter in graph->param */
};

struct hl_graph {
	int32_t nodes;
	struct hl_node *node; /* node[0] is the input */
	int32_t spatial;      /* 2 or 3 */
	int32_t logits;       /* the last node, or its input when the last is sigmoid or softmax */
	int32_t params;
	struct hl_param
	    *param; /* trained ones first in the slab: [0, trained) are trained, [trained, floats) is state */
	int64_t trained, floats;
};

/* Limits on what text may ask for, checked before memory is taken. */
#define HL_NODES_MAX 4096
#define HL_FLOATS_MAX (INT64_C(1) << 30) /* parameters */
#define HL_TENSOR_MAX (INT64_C(1) << 31) /* floats in one output at batch 1 */
#define HL_NAME_MAX 63                   /* letters, digits, _ . - */

/* Building, node by node: begin with the input (n ignored), append in topological order, finish. */
enum hilum_status hl_graph_begin(struct hl_shape input, struct hl_graph **out, struct hilum_error *error);

/* options (op->options_size bytes) are copied. name NULL: the op's name and a running number. A name that is taken,
 * inputs that the op does not take and sizes beyond the limits are errors, after which the graph is as before. */
enum hilum_status hl_graph_append(struct hl_graph *graph, const char *name, const struct hl_op *op, const void *options,
                                  const int32_t *input, int32_t inputs, struct hilum_error *error);

/* Finds the logits, refuses nodes that nobody reads, and lays the parameters out. Nothing is appended afterwards. */
enum hilum_status hl_graph_finish(struct hl_graph *graph, struct hilum_error *error);

void hl_graph_free(struct hl_graph *graph); /* NULL is fine */
bool hl_graph_name_valid(const char *name);
int32_t hl_graph_find(const struct hl_graph *graph, const char *name); /* node index, or -1 */

/* Shapes of every node at another batch size; out has graph->nodes entries, of which [0].out is the input. */
enum hilum_status hl_graph_infer(const struct hl_graph *graph, int64_t batch, struct hl_infer *out,
                                 struct hilum_error *error);

/* Fills a slab of graph->floats: streams (seed, 0, parameter index, HL_RANDOM_INIT). */
void hl_graph_initialise(const struct hl_graph *graph, uint64_t seed, float *slab);

/* Arithmetic of one forward pass of one sample: 2 x multiply-adds of convolutions and dense layers; of
 * the whole, or of one node. INT64_MAX stands for more than fits. */
int64_t hl_graph_flops(const struct hl_graph *graph);
int64_t hl_graph_node_flops(const struct hl_graph *graph, int32_t node);
#endif
