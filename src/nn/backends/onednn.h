/* What the files of the oneDNN back end share. oneDNN 2.6, C API. */
#ifndef HL_NN_BACKENDS_ONEDNN_H
#define HL_NN_BACKENDS_ONEDNN_H
#include "nn/backend.h"
#include "nn/backends/layout.h"
#include <oneapi/dnnl/dnnl.h>

/* One engine per process; NULL when oneDNN gives none. */
dnnl_engine_t hl_onednn_engine(void);
/* Whether this processor has AVX-512, where oneDNN computes channels-last and bfloat16 at full speed. */
bool hl_onednn_wide(void);

enum hilum_status hl_onednn_fail(struct hilum_error *error, dnnl_status_t status, const char *what);

/* oneDNN takes every handle without const; for those that it only reads. */
static inline void *hl_onednn_unconst(const void *pointer)
{
	return (void *)(uintptr_t)pointer;
}

/* Runs a primitive with so many OpenMP threads. */
dnnl_status_t hl_onednn_execute(dnnl_primitive_t primitive, dnnl_stream_t stream, int count,
                                const dnnl_exec_arg_t *arguments, int32_t threads);

/* Dense row-major memory of rank dims: rank up to 6. */
dnnl_status_t hl_onednn_plain(dnnl_memory_desc_t *md, int rank, const dnnl_dims_t dims, dnnl_data_type_t type);

/* A matrix or tensor moved between two formats, set up once and run with any pointers. */
struct hl_onednn_reorder {
	dnnl_primitive_t primitive;
	dnnl_memory_t from, to;
};
dnnl_status_t hl_onednn_reorder_create(struct hl_onednn_reorder *reorder, const dnnl_memory_desc_t *from,
                                       const dnnl_memory_desc_t *to);
void hl_onednn_reorder_run(const struct hl_onednn_reorder *reorder, dnnl_stream_t stream, const void *from, void *to,
                           int32_t threads);
void hl_onednn_reorder_destroy(struct hl_onednn_reorder *reorder);

/* How a memory descriptor lies, for hl_layout_pack; false if it is of a kind that hl_layout does not describe. shape is
 * that of the tensor. */
bool hl_onednn_layout(const dnnl_memory_desc_t *md, struct hl_shape shape, struct hl_layout *out);

/* An attribute that makes primitives take their workspace from the caller. dnnl_primitive_attr_destroy. */
dnnl_status_t hl_onednn_attributes(dnnl_primitive_attr_t *out);

/* What follows a convolution outside of training: [batchnorm] [add] [relu | leakyrelu]. Batch norm is folded into
 * weights and bias; an addition is one to what the output holds before. */
struct hl_onednn_chain {
	const struct hl_batchnorm_options *norm; /* NULL: none */
	bool adds, bends;
	float slope;
	int64_t count, units;  /* weights, outputs */
	float *weights, *bias; /* folded; NULL without norm */
};
/* False where that is not all, or a backward pass comes. */
bool hl_onednn_chain_read(const struct hl_compile *request, struct hl_onednn_chain *chain);
dnnl_status_t hl_onednn_chain_attributes(const struct hl_onednn_chain *chain, dnnl_primitive_attr_t attributes);
/* Room for what is folded; false for want of memory. */
bool hl_onednn_chain_reserve(struct hl_onednn_chain *chain, int64_t count, int64_t units);
/* Parameters of the convolution, then those of batch norm; returns the weights, (O, I, D, H, W). */
const float *hl_onednn_chain_fold(const struct hl_onednn_chain *chain, float *const *param, bool biased);
void hl_onednn_chain_free(struct hl_onednn_chain *chain);

enum hilum_status hl_onednn_conv(const struct hl_compile *request, struct hl_primitive **out,
                                 struct hilum_error *error);
enum hilum_status hl_onednn_dense(const struct hl_compile *request, struct hl_primitive **out,
                                  struct hilum_error *error);
#endif
