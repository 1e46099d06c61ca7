/* Dense layers on oneDNN: inner products on plain matrices, so that weights and their gradient are used as they lie.
 * Only bfloat16 (where the processor has it) needs a copy of the weights. */
#include "base/memory.h"
#include "nn/backends/onednn.h"
#include "nn/ops/options.h"
#include <string.h>

enum pass { FORWARD, GRADIENT_IN, GRADIENT_WEIGHT, PASSES };

struct stage {
	dnnl_primitive_desc_t pd;
	dnnl_primitive_t primitive;
	dnnl_memory_t in, weight, bias, out, workspace;
	size_t workspace_bytes;
};

struct dense {
	struct hl_primitive primitive;
	int32_t threads;
	dnnl_stream_t stream;
	dnnl_data_type_t data;
	bool bias;
	int64_t batch, inputs, units;
	struct stage stage[PASSES];
	struct hl_onednn_reorder pack; /* to bfloat16 */
	void *weights;
	size_t weights_bytes;
};

static dnnl_status_t describe(const struct dense *dense, enum pass pass, bool training, dnnl_memory_desc_t *bias,
                              dnnl_inner_product_desc_t *desc)
{
	dnnl_dims_t in_dims = {dense->batch, dense->inputs}, weight_dims = {dense->units, dense->inputs};
	dnnl_dims_t out_dims = {dense->batch, dense->units}, bias_dims = {dense->units};
	dnnl_prop_kind_t kind = training ? dnnl_forward_training : dnnl_forward_inference;
	dnnl_memory_desc_t in, weight, out;
	dnnl_status_t status = hl_onednn_plain(&in, 2, in_dims, dense->data);

	if (!status)
		status = hl_onednn_plain(&weight, 2, weight_dims, pass == GRADIENT_WEIGHT ? dnnl_f32 : dense->data);
	if (!status)
		status = hl_onednn_plain(&out, 2, out_dims, dense->data);
	if (!status)
		status = hl_onednn_plain(bias, 1, bias_dims, dnnl_f32);
	if (status)
		return status;
	switch (pass) {
	case FORWARD:
		return dnnl_inner_product_forward_desc_init(desc, kind, &in, &weight, dense->bias ? bias : NULL, &out);
	case GRADIENT_IN:
		return dnnl_inner_product_backward_data_desc_init(desc, &in, &weight, &out);
	default:
		return dnnl_inner_product_backward_weights_desc_init(desc, &in, &weight, dense->bias ? bias : NULL,
		                                                     &out);
	}
}

static dnnl_status_t make_memory(const struct stage *stage, dnnl_query_t query, dnnl_memory_t *out)
{
	return dnnl_memory_create(out, dnnl_primitive_desc_query_md(stage->pd, query, 0), hl_onednn_engine(),
	                          DNNL_MEMORY_NONE);
}

static dnnl_status_t make_stage(struct dense *dense, enum pass pass, bool training)
{
	static const dnnl_query_t queries[PASSES][3] = {
	    {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
	    {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
	    {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md}};
	struct stage *stage = &dense->stage[pass];
	dnnl_primitive_attr_t attributes = NULL;
	dnnl_inner_product_desc_t desc;
	dnnl_memory_desc_t bias;
	dnnl_status_t status = describe(dense, pass, training, &bias, &desc);

	if (!status)
		status = hl_onednn_attributes(&attributes);
	if (!status)
		status = dnnl_primitive_desc_create(&stage->pd, &desc, attributes, hl_onednn_engine(),
		                                    pass == FORWARD ? NULL : dense->stage[FORWARD].pd);
	dnnl_primitive_attr_destroy(attributes);
	if (!status)
		status = dnnl_primitive_create(&stage->primitive, stage->pd);
	if (!status)
		status = make_memory(stage, queries[pass][0], &stage->in);
	if (!status)
		status = make_memory(stage, queries[pass][1], &stage->weight);
	if (!status)
		status = make_memory(stage, queries[pass][2], &stage->out);
	if (!status && dense->bias && pass != GRADIENT_IN)
		status = dnnl_memory_create(&stage->bias, &bias, hl_onednn_engine(), DNNL_MEMORY_NONE);
	if (!status)
		status = make_memory(stage, dnnl_query_scratchpad_md, &stage->workspace);
	if (!status)
		stage->workspace_bytes =
		    dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(stage->pd, dnnl_query_scratchpad_md, 0));
	return status;
}

/* Only where weights are copied. */
static dnnl_status_t make_weights(struct dense *dense)
{
	dnnl_dims_t dims = {dense->units, dense->inputs};
	dnnl_memory_desc_t from, to;
	dnnl_status_t status = hl_onednn_plain(&from, 2, dims, dnnl_f32);

	if (!status)
		status = hl_onednn_plain(&to, 2, dims, dense->data);
	if (!status)
		status = hl_onednn_reorder_create(&dense->pack, &from, &to);
	if (status)
		return status;
	dense->weights_bytes = dnnl_memory_desc_get_size(&to);
	dense->weights = hl_block_alloc(dense->weights_bytes);
	return dense->weights ? dnnl_success : dnnl_out_of_memory;
}

static void prepare(struct hl_primitive *primitive, float *const *param)
{
	struct dense *dense = (struct dense *)primitive;

	hl_onednn_reorder_run(&dense->pack, dense->stream, param[0], dense->weights, dense->threads);
}

/* Binds the pointers in the order in, weight, out, bias and runs; kinds are oneDNN's names for them. */
static void run(const struct dense *dense, enum pass pass, const int *kinds, void *const *pointers, void *scratch,
                const void *result, size_t result_bytes)
{
	const struct stage *stage = &dense->stage[pass];
	dnnl_memory_t memories[4] = {stage->in, stage->weight, stage->out, stage->bias};
	dnnl_exec_arg_t arguments[5];
	int count = stage->bias ? 4 : 3;

	for (int k = 0; k < count; k++) {
		dnnl_memory_set_data_handle(memories[k], pointers[k]);
		arguments[k] = (dnnl_exec_arg_t){kinds[k], memories[k]};
	}
	dnnl_memory_set_data_handle(stage->workspace, scratch);
	arguments[count] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, stage->workspace};
	/* oneDNN refuses nothing that it has compiled; should it, the loss shows NaN instead of a wrong number. */
	if (hl_onednn_execute(stage->primitive, dense->stream, count + 1, arguments, dense->threads))
		memset(hl_onednn_unconst(result), 0xff, result_bytes);
}

static size_t bytes_of(const struct hl_tensor *tensor)
{
	return (size_t)hl_shape_count(tensor->shape) * hl_type_size(tensor->type);
}

static void forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	static const int kinds[] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS};
	const struct dense *dense = (const struct dense *)primitive;
	void *pointers[] = {call->in[0]->data, dense->weights ? dense->weights : call->param[0], call->out->data,
	                    dense->bias ? call->param[1] : NULL};

	run(dense, FORWARD, kinds, pointers, call->scratch, call->out->data, bytes_of(call->out));
}

static void backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	static const int in_kinds[] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST, 0};
	static const int weight_kinds[] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_BIAS};
	const struct dense *dense = (const struct dense *)primitive;

	if (call->din[0]) {
		void *pointers[] = {call->din[0]->data, dense->weights ? dense->weights : call->param[0],
		                    call->dout->data, NULL};
		run(dense, GRADIENT_IN, in_kinds, pointers, call->scratch, call->din[0]->data, bytes_of(call->din[0]));
	}
	if (call->dparam[0]) {
		void *pointers[] = {call->in[0]->data, call->dparam[0], call->dout->data,
		                    dense->bias ? call->dparam[1] : NULL};
		run(dense, GRADIENT_WEIGHT, weight_kinds, pointers, call->scratch, call->dparam[0],
		    (size_t)(dense->inputs * dense->units) * sizeof(float));
	}
}

static void destroy(struct hl_primitive *primitive)
{
	struct dense *dense = (struct dense *)primitive;

	for (int pass = 0; pass < PASSES; pass++) {
		struct stage *stage = &dense->stage[pass];
		dnnl_primitive_destroy(stage->primitive);
		dnnl_primitive_desc_destroy(stage->pd);
		dnnl_memory_destroy(stage->in);
		dnnl_memory_destroy(stage->weight);
		dnnl_memory_destroy(stage->bias);
		dnnl_memory_destroy(stage->out);
		dnnl_memory_destroy(stage->workspace);
	}
	hl_onednn_reorder_destroy(&dense->pack);
	if (dense->weights)
		hl_block_free(dense->weights, dense->weights_bytes);
	dnnl_stream_destroy(dense->stream);
	hl_free(dense);
}

static dnnl_status_t compile(struct dense *dense, const struct hl_compile *request)
{
	dnnl_status_t status = dnnl_stream_create(&dense->stream, hl_onednn_engine(), dnnl_stream_default_flags);

	dense->threads = request->threads > 0 ? request->threads : 1;
	dense->data = request->type == HL_BF16 ? dnnl_bf16 : dnnl_f32;
	dense->bias = request->shapes->params > 1;
	dense->batch = request->shapes->in[0].n;
	dense->inputs = request->shapes->in[0].c;
	dense->units = request->shapes->out.c;
	if (!status)
		status = make_stage(dense, FORWARD, request->training);
	if (!status && request->training && request->want_din[0])
		status = make_stage(dense, GRADIENT_IN, true);
	if (!status && request->training && request->want_dparam)
		status = make_stage(dense, GRADIENT_WEIGHT, true);
	if (!status && dense->data == dnnl_bf16)
		status = make_weights(dense);
	return status;
}

enum hilum_status hl_onednn_dense(const struct hl_compile *request, struct hl_primitive **out,
                                  struct hilum_error *error)
{
	struct dense *dense;
	dnnl_status_t status;

	if (request->type == HL_BF16 && !hl_onednn_wide())
		return hl_widen(request, &hl_backend_onednn, out, error);
	dense = hl_alloc(1, sizeof *dense);
	if (!dense)
		return hl_fail_memory(error, sizeof *dense, "a dense layer");
	status = compile(dense, request);
	if (status) {
		destroy(&dense->primitive);
		if (status == dnnl_unimplemented && request->type == HL_BF16)
			return hl_widen(request, &hl_backend_onednn, out, error);
		return hl_onednn_fail(error, status, "dense layer");
	}
	dense->primitive.backend = hl_backend_onednn.name;
	dense->primitive.prepare = dense->weights ? prepare : NULL;
	dense->primitive.forward = forward;
	dense->primitive.backward = backward;
	dense->primitive.destroy = destroy;
	for (int pass = 0; pass < PASSES; pass++)
		if (dense->stage[pass].workspace_bytes > dense->primitive.scratch)
			dense->primitive.scratch = dense->stage[pass].workspace_bytes;
	*out = &dense->primitive;
	return HILUM_OK;
}
