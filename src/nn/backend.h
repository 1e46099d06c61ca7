/* The back-end seam. The plan asks each back end in turn to compile one node at fixed shapes; the first that does not
 * answer HILUM_ERROR_UNSUPPORTED runs it. Forward and backward compile together. The reference takes every node.
 *
 * Nodes behind one another can be asked for as one, a chain: the longest first, then shorter ones, down to the node
 * alone. A back end that cannot run a chain as a whole answers HILUM_ERROR_UNSUPPORTED; one that knows of no chains
 * does so whenever links > 0. */
#ifndef HL_NN_BACKEND_H
#define HL_NN_BACKEND_H
#include "nn/op.h"
#include "nn/quant.h"

#define HL_LINKS_MAX 5

/* A node that runs together with those before it: it reads the preceding node's output (add: as one of its two inputs,
 * either), which nobody else reads. */
struct hl_link {
	const struct hl_op *op;
	const void *options;
	const struct hl_infer *shapes;
};

/* op, options and shapes are those of the node, or of a chain's first, the head. The rest of a chain is in link[],
 * which is the caller's and gone after compile; what its members point to stays as long as the primitive. Where links >
 * 0, struct hl_call is to be read like this: shapes, options, node: the head's; in, din: the head's inputs, then the
 * other input of each add in order; out, dout: the last node's; param, dparam: the head's, then those of the links in
 * order. Every node of a chain has the same type and the same training. */
struct hl_compile {
	const struct hl_op *op;
	const void *options;
	const struct hl_infer *shapes;
	int32_t links; /* 0: a node alone */
	struct hl_link link[HL_LINKS_MAX];
	enum hl_type type; /* of inputs, output and their gradients; parameters are float32 */
	struct hl_quant quant_in[HL_INPUTS_MAX], quant_out; /* with HL_U8; inputs as in struct hl_call */
	bool strict;                  /* float32 is multiplied as it is, not split into bfloat16 for tiles (amx.h) */
	bool training;                /* backward will be called; otherwise forward only, with training = false */
	bool want_din[HL_INPUTS_MAX]; /* as hl_call's din */
	bool want_dparam;
	int32_t threads;
};

struct hl_primitive {
	const char *backend;   /* name, for --plan */
	size_t saved, scratch; /* bytes that this primitive needs in hl_call */
	/* Of a chain, what struct hl_op says of a node: set by compile, and without meaning for a node alone. The
	 * inputs of its adds are never read by backward. */
	bool in_place, keeps_input, keeps_output;
	/* Of a node or a chain: din[0] may be the same memory as in[0], and the din of an add in a chain as dout. */
	bool in_place_gradient;
	bool broken; /* set by prepare: with these parameters outputs would not tell what the layer computes */
	/* Packs parameters privately. Called before the first forward and whenever parameters have changed (every step
	 * in training). NULL: nothing to pack. */
	void (*prepare)(struct hl_primitive *primitive, float *const *param);
	void (*forward)(struct hl_primitive *primitive, const struct hl_call *call);
	void (*backward)(struct hl_primitive *primitive, const struct hl_call *call);
	void (*destroy)(struct hl_primitive *primitive);
};

struct hl_backend {
	const char *name;
	bool bytes; /* takes HL_U8; the others are not asked for it */
	enum hilum_status (*compile)(const struct hl_compile *request, struct hl_primitive **out,
	                             struct hilum_error *error);
};

extern const struct hl_backend hl_backend_reference; /* plain C; every op; bf16 by widening */
extern const struct hl_backend hl_backend_avx512;    /* convolution and dense layers with AVX-512; x86-64 only */
extern const struct hl_backend hl_backend_vector;    /* bandwidth-bound ops, vectorised by the compiler per ISA */
extern const struct hl_backend hl_backend_onednn;    /* convolution, dense, pooling */

/* The order in which they are asked, NULL-terminated: avx512, vector, onednn, reference.
 * HILUM_BACKENDS=reference,onednn in the environment narrows it (for tests and for finding faults). */
const struct hl_backend *const *hl_backends(void);

/* Serves a node of bf16 or bytes with a primitive compiled for float32: converts inputs before and results after. Used
 * by any back end that has no bf16 of its own for a node. compile32 is called with request->type = HL_F32. */
enum hilum_status hl_widen(const struct hl_compile *request, const struct hl_backend *backend,
                           struct hl_primitive **out, struct hilum_error *error);
#endif
