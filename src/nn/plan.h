/* A graph compiled for one batch size: back end of each node chosen, every byte placed in one arena from first and last
 * use. Nothing is allocated while it runs. */
#ifndef HL_NN_PLAN_H
#define HL_NN_PLAN_H
#include "nn/backend.h"
#include "nn/graph.h"

struct hl_plan;

struct hl_plan_options {
	int64_t batch;
	enum hl_type type; /* of activations; input, logits and the node that makes them stay float32 */
	/* With HL_U8, which is for inference: what the bytes of each node's output mean, an entry for every node up to
	 * the logits, settled (hl_quant_settle); borrowed until the plan is made. Weights are made bytes when they are
	 * bound. */
	const struct hl_quant *quant;
	bool strict; /* float32 is multiplied as it is, on processors too that are faster with parts of it */
	bool training;
	int32_t freeze;  /* the first convolutions and dense layers, in the graph's order, that are kept as they are,
	                    each with the batch norms between it and the next: no gradient, and batch norm uses its
	                    running statistics. Ignored unless training */
	int32_t threads; /* 0: hl_cpu_count() */
	const struct hl_backend *const *backends; /* NULL: hl_backends() */
	/* Outside of training, how many images go through the layers before the first dense one together, so that what
	 * they leave for each other stays in cache; divides batch. 0: chosen; batch: all. The results are the same. */
	int64_t at_a_time;
	bool unfused; /* every node alone, as with HILUM_FUSE=0 in the environment */
	/* For hl_plan_attribute: every pass runs as in evaluation, parameters get no gradients, the input does. With
	 * HL_F32; unfused, and training, freeze and at_a_time are ignored. */
	bool attribution;
};

/* The graph must outlive the plan. Memory that the machine does not have is refused: HILUM_ERROR_MEMORY. */
enum hilum_status hl_plan_create(const struct hl_graph *graph, const struct hl_plan_options *options,
                                 struct hl_plan **out, struct hilum_error *error);
void hl_plan_destroy(struct hl_plan *plan);

/* Parameters (graph->floats) that the plan reads, and whose running statistics it updates in training. Call again (or
 * hl_plan_changed) after changing them. Borrowed until the next call. */
void hl_plan_bind(struct hl_plan *plan, float *slab);
void hl_plan_changed(struct hl_plan *plan);

/* Runs the net: images is batch x sample floats; returns batch x outputs logits, valid until the next run. seed and
 * step key dropout. training = false on a training plan runs it as in evaluation (running statistics, no dropout).
 * Before a backward pass images must stay as they are. */
const float *hl_plan_forward(struct hl_plan *plan, const float *images, bool training, uint64_t seed, uint32_t step);

/* After a training forward: gradient of the loss by the logits in; gradients of all trained parameters (graph->trained
 * floats, frozen ones zero) out. */
void hl_plan_backward(struct hl_plan *plan, const float *dlogits, float *gradients);

/* Of a plan for attribution, after a forward: gradient of the loss by the logits in; gradient by the images out, batch
 * x sample floats, valid until the next run. */
const float *hl_plan_attribute(struct hl_plan *plan, const float *dlogits);

/* What the steps of a node took, in nanoseconds. A conversion or an addition counts for the node whose value it makes,
 * and where several nodes run as one, that one is the first of them. */
struct hl_node_time {
	int64_t prepare, forward, backward;
};

/* From now on every run adds to time, which has an entry for each node of the graph and is the caller's to clear;
 * borrowed until the next call. NULL, as at first: no clock is read. */
void hl_plan_time(struct hl_plan *plan, struct hl_node_time *time);

/* From now on each forward pass shows every output that it has made before anything overwrites it, node by node; of an
 * unfused plan those are the outputs of all nodes. The input is not shown. NULL: to nobody. */
typedef void hl_plan_watcher(void *context, int32_t node, const struct hl_tensor *output);
void hl_plan_watch(struct hl_plan *plan, hl_plan_watcher *watcher, void *context);
/* The same for the gradients by those outputs in each backward pass, once they are whole. */
void hl_plan_watch_gradients(struct hl_plan *plan, hl_plan_watcher *watcher, void *context);

int64_t hl_plan_outputs(const struct hl_plan *plan);
size_t hl_plan_bytes(const struct hl_plan *plan);
/* The node in whose place a node runs: itself, or the last of those that run as one with it. */
int32_t hl_plan_tail(const struct hl_plan *plan, int32_t node);
/* Which back end runs a node; "none" for the input and for what comes after the logits. */
const char *hl_plan_backend(const struct hl_plan *plan, int32_t node);
/* Whether a parameter (index into graph->param) belongs to a frozen layer. */
bool hl_plan_frozen(const struct hl_plan *plan, int32_t param);
#endif
