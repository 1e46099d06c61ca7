/* What batch norm alone (vector_norm.c) and with pooling behind it (vector_fused.c) share: statistics, coefficients and
 * the workspace that they lie in. */
#ifndef HL_NN_BACKENDS_VECTOR_NORM_H
#define HL_NN_BACKENDS_VECTOR_NORM_H
#include "nn/backends/vector.h"
#include "nn/ops/common.h"

/* A node that is batch norm, or a chain that begins with it. */
struct hl_norm {
	struct hl_vector node;
	bool adds, bends;
	float below;   /* the activation is z < 0 ? below z : z */
	uint32_t keep; /* see hl_vector_bend */
	bool pools;
	struct hl_window window;
	struct hl_shape out; /* of the pooling */
};

/* Coefficients are repeated up to a tile of task.tile floats. */
enum { HL_NORM_SHIFT, HL_NORM_SCALE, HL_NORM_OFFSET, HL_NORM_SLANT, HL_NORM_RISE, HL_NORM_COEFFICIENTS };

struct hl_norm_work {
	float *coefficient[HL_NORM_COEFFICIENTS];
	struct hl_vector_task task; /* sums: shards x 2 x tile doubles, of which each shard fills its own */
};

size_t hl_norm_scratch(struct hl_shape shape);
enum hilum_status hl_vector_batchnorm(const struct hl_compile *request, struct hl_norm *norm);
/* Reads the chain behind a batch norm; false: of a kind that does not run here. */
bool hl_norm_read(const struct hl_compile *request, struct hl_norm *norm);

/* Before forward's second pass: mean and inverse deviation, of the batch (updating the running ones) or the running
 * ones, saved where there is room; then out = (x - shift) scale + offset. */
void hl_norm_begin(const struct hl_norm *norm, const struct hl_call *call, struct hl_norm_work *work);
/* Before backward's first pass, which leaves the sums of g and of g (x - mean) in task.sums; g, the gradient by
 * (x - shift) scale + rise. */
void hl_norm_resume(const struct hl_norm *norm, const struct hl_call *call, struct hl_norm_work *work);
/* After it: gradients of the parameters, and dx = (g - offset - (x - shift) slant) scale. */
void hl_norm_conclude(const struct hl_norm *norm, const struct hl_call *call, struct hl_norm_work *work);

/* Batch norm with pooling; fills the primitive. */
enum hilum_status hl_norm_pooled(const struct hl_compile *request, struct hl_norm *norm);
#endif
