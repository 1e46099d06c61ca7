/* What plan_build.c makes and plan.c runs: a list of steps over tensors that lie in one arena. */
#ifndef HL_NN_PLAN_PRIVATE_H
#define HL_NN_PLAN_PRIVATE_H
#include "nn/arena.h"
#include "nn/fuse.h"
#include "nn/plan.h"

#define HL_BLOCK_NONE (-1)

struct hl_value {
	struct hl_tensor tensor;
	struct hl_tensor absent; /* the same shape without data, for backward passes that do not read it */
	int32_t block;           /* in plan->block; HL_BLOCK_NONE: not made, or the caller's memory */
};

/* A node as planned. Where several run as one, the last of them, the tail, stands for all: it has the primitive, the
 * output and the steps; the others have nothing but what they are. A node alone is its own tail and head. Its output,
 * and the gradient by it, exist in up to two types, because a plan of bfloat16 or bytes has float32 nodes at its ends:
 * [hl_slot(type)] is the node's own, the other is converted for those who read that. */
static inline int hl_slot(enum hl_type type)
{
	return type != HL_F32;
}

struct hl_unit {
	struct hl_primitive *primitive; /* NULL but for a tail */
	enum hl_type type;
	int32_t tail; /* the node in whose steps this one runs */
	/* of a tail */
	int32_t head;
	struct hl_chain chain; /* what comes behind the head, the tail last */
	int32_t inputs, input[HL_INPUTS_MAX];
	bool in_place, keeps_input, keeps_output; /* see struct hl_op */
	bool still;                               /* runs as in evaluation, also in training */
	bool frozen;                              /* has parameters, and they are kept as they are */
	bool trains;                              /* has parameters that get gradients */
	bool gradient;                            /* the gradient by its output is wanted */
	int readers[2];                           /* of each version of its output; a conversion counts as one */
	bool written[2];
	struct hl_value value[2], grad[2];
	int32_t saved; /* block */
};

enum hl_step_kind { HL_STEP_FORWARD, HL_STEP_BACKWARD, HL_STEP_CONVERT, HL_STEP_ADD };

struct hl_step {
	enum hl_step_kind kind;
	int32_t node;
	struct hl_call call;               /* FORWARD, BACKWARD: all but parameters, gradients and the run's settings */
	const struct hl_tensor *from, *to; /* CONVERT: to = from; ADD: to += from */
	struct hl_quant quant;             /* CONVERT: of the one that is HL_U8 */
};

struct hl_plan {
	const struct hl_graph *graph;
	struct hl_plan_options options;
	int32_t nodes; /* that run: up to the logits */
	struct hl_infer *shapes;
	struct hl_unit *unit;
	struct hl_step *step;
	int32_t steps, forward_steps;
	/* The nodes up to cut run for at_a_time images and again, goes times; the others once. 0: all run once. */
	int32_t cut, early_steps;
	int64_t goes;
	struct hl_shape whole; /* of the cut's output, of which a go writes part */
	struct hl_tensor part;
	struct hl_value *spare; /* gradients to be added to others */
	int32_t spares;
	struct hl_arena_block *block;
	int32_t blocks, scratch;
	void *arena;
	size_t bytes;
	float *slab;
	bool changed;  /* parameters, since they were last prepared */
	bool broken;   /* a primitive says so */
	uint64_t seed; /* of the last forward, for its backward */
	uint32_t run;
	struct hl_node_time *time; /* the caller's, or NULL */
	hl_plan_watcher *watcher;  /* likewise */
	void *watching;
	hl_plan_watcher *gradient_watcher;
	void *gradient_watching;
};

/* From the settings in plan (graph, options) to steps and blocks; primitives are compiled on the way. */
enum hilum_status hl_plan_build(struct hl_plan *plan, struct hilum_error *error);
#endif
