/* The back-end seam. The plan asks each back end in turn to compile one node at fixed shapes; the first that does not
 * answer HILUM_ERROR_UNSUPPORTED runs it. Forward and backward compile together. The reference takes every node. */
#ifndef HL_NN_BACKEND_H
#define HL_NN_BACKEND_H
#include "nn/op.h"

struct hl_compile {
	const struct hl_op *op;
	const void *options;
	const struct hl_infer *shapes;
	enum hl_type type; /* of inputs, output and their gradients; parameters are float32 */
	bool training;     /* backward will be called; otherwise forward only, with training = false */
	bool want_din[HL_INPUTS_MAX];
	bool want_dparam;
	int32_t threads;
};

struct hl_primitive {
	const char *backend;   /* name, for --plan */
	size_t saved, scratch; /* bytes that this primitive needs in hl_call */
	/* Packs parameters privately. Called before the first forward and whenever parameters have changed (every step
	 * in training). NULL: nothing to pack. */
	void (*prepare)(struct hl_primitive *primitive, float *const *param);
	void (*forward)(struct hl_primitive *primitive, const struct hl_call *call);
	void (*backward)(struct hl_primitive *primitive, const struct hl_call *call);
	void (*destroy)(struct hl_primitive *primitive);
};

struct hl_backend {
	const char *name;
	enum hilum_status (*compile)(const struct hl_compile *request, struct hl_primitive **out,
	                             struct hilum_error *error);
};

extern const struct hl_backend hl_backend_reference; /* plain C; every op; bf16 by widening */
extern const struct hl_backend hl_backend_vector;    /* bandwidth-bound ops, vectorised by the compiler per ISA */
extern const struct hl_backend hl_backend_onednn;    /* convolution, dense, pooling */

/* The order in which they are asked, NULL-terminated: vector, onednn, reference. HILUM_BACKENDS=reference,onednn in the
 * environment narrows it (for tests and for finding faults). */
const struct hl_backend *const *hl_backends(void);

/* Serves a bf16 node with a primitive compiled for float32: converts inputs before and results after. Used by any back
 * end that has no bf16 of its own for a node. compile32 is called with request->type = HL_F32. */
enum hilum_status hl_widen(const struct hl_compile *request, const struct hl_backend *backend,
                           struct hl_primitive **out, struct hilum_error *error);
#endif
