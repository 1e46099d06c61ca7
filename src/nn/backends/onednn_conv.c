/* Convolution on oneDNN.
 *
 * With AVX-512 the primitives read and write channels-last activations, of bfloat16 too. Without, the formats that
 * oneDNN would choose itself (blocks of eight channels, float32) are faster by more than packing costs when it is done
 * for a few images at a time, while they are in cache. GFLOP/s of one Zen 3 core, packing included, 3x3 (channels-last
 * in brackets):
 *
 *   32 to 64 channels, 128x128: forward 85 (75), gradient of the input 84 (65)
 *   64 to 128, 64x64:           forward 72 (71), gradient of the input 74 (68)
 *   128 to 128, 32x32:          forward 75 (59), gradient of the input 76 (68)
 *
 * Outside of training batch norm behind it is folded into weights and bias, and an addition and an activation are done
 * before the output is written.
 *
 * 1x1 is as fast channels-last, and stays so. The weight gradient there is our own (weight_gradient.h) unless there are
 * groups. */
#include "base/memory.h"
#include "nn/backends/onednn.h"
#include "nn/backends/weight_gradient.h"
#include "nn/ops/options.h"
#include <omp.h>
#include <string.h>

#define CHUNK_BYTES ((int64_t)8 << 20) /* of packed activations, so that they stay in the last-level cache */

#define SHARDS_MIN 2
#define SHARDS_MAX 16
#define SHARDS_BYTES ((int64_t)64 << 20) /* of weight gradients waiting to be added */

enum pass { FORWARD, GRADIENT_IN, GRADIENT_WEIGHT, PASSES };

/* One activation of a pass. */
struct side {
	dnnl_memory_desc_t md;
	struct hl_layout layout;
	dnnl_memory_t memory;
	bool packed; /* goes through scratch */
	size_t bytes;
};

/* One oneDNN primitive for a number of images. */
struct stage {
	dnnl_primitive_desc_t pd;
	dnnl_primitive_t primitive;
	struct side in, out; /* the convolution's input and output, or their gradients */
	dnnl_memory_t weight, bias, workspace;
	size_t workspace_bytes;
	int64_t images;
	int32_t threads; /* that it was made for */
};

/* Threads that run one primitive at once each need memory objects of their own. */
struct shard {
	dnnl_stream_t stream;
	dnnl_memory_t in, out, weight, bias, workspace;
	int64_t first;
	bool rest; /* runs stage[1] */
};

struct conv {
	struct hl_primitive primitive;
	enum hl_type type;
	int32_t threads;
	dnnl_stream_t stream;
	struct hl_shape in, out;
	/* what oneDNN is told */
	int spatial;
	bool bias, own_bias, groups; /* a bias may come from batch norm alone */
	struct hl_onednn_chain chain;
	int64_t weight_count;
	int weight_rank;
	dnnl_dims_t weight_dims, bias_dims, stride, dilation, pad;
	dnnl_data_type_t data;
	/* passes: whole chunks and what is left over */
	struct stage stage[PASSES][2];
	int64_t chunks[PASSES];
	struct hl_onednn_reorder pack[2], unpack; /* weights for FORWARD and GRADIENT_IN; their gradient back */
	void *weights[2];
	size_t weights_bytes[2];
	int32_t shards; /* of the batch, for oneDNN's weight gradient */
	struct shard *shard;
	size_t gradient_bytes, shard_bytes; /* one shard's weight gradient in oneDNN's format, and all its scratch */
	bool own;                           /* gradient is used */
	struct hl_wgrad gradient;
};

/* ---- setting up ---- */

static int dims_of(struct hl_shape shape, int spatial, int64_t images, dnnl_dims_t out)
{
	out[0] = images;
	out[1] = shape.c;
	out[2] = shape.d;
	out[spatial] = shape.h;
	out[spatial + 1] = shape.w;
	return spatial + 2;
}

static dnnl_status_t activation(const struct conv *conv, struct hl_shape shape, int64_t images, bool any,
                                dnnl_memory_desc_t *md)
{
	dnnl_dims_t dims;
	int rank = dims_of(shape, conv->spatial, images, dims);
	dnnl_format_tag_t tag = any ? dnnl_format_tag_any : conv->spatial == 3 ? dnnl_ndhwc : dnnl_nhwc;

	return dnnl_memory_desc_init_by_tag(md, rank, dims, conv->data, tag);
}

static void describe(struct conv *conv, const struct hl_compile *request)
{
	const struct hl_conv_options *options = request->options;
	const struct hl_infer *shapes = request->shapes;
	int spatial = shapes->spatial, at = 0;
	struct hl_axes stride = hl_axes_get(&options->stride, spatial, 1, 1);
	struct hl_axes pad = hl_axes_get(&options->pad, spatial, 0, 0);
	struct hl_axes dilation = hl_axes_get(&options->dilation, spatial, 1, 1);
	const int64_t *weight = shapes->param[0].dims;

	conv->type = request->type;
	conv->threads = request->threads > 0 ? request->threads : 1;
	conv->in = shapes->in[0];
	conv->out = shapes->out;
	conv->spatial = spatial;
	conv->own_bias = shapes->params > 1;
	conv->bias = conv->own_bias || conv->chain.norm;
	conv->groups = options->groups > 1;
	conv->data = request->type == HL_BF16 && hl_onednn_wide() ? dnnl_bf16 : dnnl_f32;
	if (conv->groups) {
		conv->weight_dims[at++] = options->groups;
		conv->weight_dims[at++] = weight[0] / options->groups;
	} else
		conv->weight_dims[at++] = weight[0];
	for (int k = 1; k < spatial + 2; k++)
		conv->weight_dims[at++] = weight[k];
	conv->weight_rank = at;
	conv->weight_count = weight[0];
	for (int k = 1; k < spatial + 2; k++)
		conv->weight_count *= weight[k];
	conv->bias_dims[0] = weight[0];
	for (int k = 0; k < spatial; k++) {
		bool depth = spatial == 3 && k == 0, height = k == spatial - 2;
		conv->stride[k] = depth ? stride.d : height ? stride.h : stride.w;
		conv->pad[k] = depth ? pad.d : height ? pad.h : pad.w;
		conv->dilation[k] = (depth ? dilation.d : height ? dilation.h : dilation.w) - 1;
	}
}

static dnnl_status_t describe_pass(const struct conv *conv, enum pass pass, bool training, const dnnl_memory_desc_t *in,
                                   const dnnl_memory_desc_t *weight, const dnnl_memory_desc_t *out,
                                   dnnl_convolution_desc_t *desc)
{
	dnnl_prop_kind_t kind = training ? dnnl_forward_training : dnnl_forward_inference;
	dnnl_memory_desc_t bias_md;
	const dnnl_memory_desc_t *bias = conv->bias ? &bias_md : NULL;
	dnnl_status_t status = hl_onednn_plain(&bias_md, 1, conv->bias_dims, dnnl_f32);

	if (status)
		return status;
	switch (pass) {
	case FORWARD:
		return dnnl_dilated_convolution_forward_desc_init(desc, kind, dnnl_convolution_direct, in, weight, bias,
		                                                  out, conv->stride, conv->dilation, conv->pad,
		                                                  conv->pad);
	case GRADIENT_IN:
		return dnnl_dilated_convolution_backward_data_desc_init(
		    desc, dnnl_convolution_direct, in, weight, out, conv->stride, conv->dilation, conv->pad, conv->pad);
	default:
		return dnnl_dilated_convolution_backward_weights_desc_init(desc, dnnl_convolution_direct, in, weight,
		                                                           bias, out, conv->stride, conv->dilation,
		                                                           conv->pad, conv->pad);
	}
}

static dnnl_status_t set_side(const struct conv *conv, struct side *side, const dnnl_memory_desc_t *md,
                              struct hl_shape shape, int64_t images)
{
	dnnl_memory_desc_t plain;
	dnnl_status_t status = activation(conv, shape, images, false, &plain);
	bool own = conv->data == (conv->type == HL_BF16 ? dnnl_bf16 : dnnl_f32);

	if (status)
		return status;
	shape.n = images;
	side->md = *md;
	side->packed = !own || !dnnl_memory_desc_equal(md, &plain);
	side->bytes = side->packed ? (dnnl_memory_desc_get_size(md) + 63) & ~(size_t)63 : 0;
	if (side->packed && !hl_onednn_layout(md, shape, &side->layout))
		return dnnl_unimplemented;
	return dnnl_memory_create(&side->memory, md, hl_onednn_engine(), DNNL_MEMORY_NONE);
}

/* A convolution by matrix product, which oneDNN falls back on, cuts its sums by the threads that there are. */
static bool cuts_sums(const_dnnl_primitive_desc_t pd)
{
	const char *name = NULL;

	return dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) || strstr(name, "gemm");
}

/* With all threads, or with one where the result would depend on how many they are. */
static dnnl_status_t make_description(const struct conv *conv, struct stage *stage, const dnnl_convolution_desc_t *desc,
                                      dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t hint)
{
	dnnl_engine_t engine = hl_onednn_engine();
	int before = omp_get_max_threads();
	dnnl_status_t status = dnnl_primitive_desc_create(&stage->pd, desc, attributes, engine, hint);

	stage->threads = conv->threads;
	if (!status && cuts_sums(stage->pd)) {
		stage->threads = 1;
		dnnl_primitive_desc_destroy(stage->pd);
		stage->pd = NULL;
		omp_set_num_threads(1);
		status = dnnl_primitive_desc_create(&stage->pd, desc, attributes, engine, hint);
		if (!status)
			status = dnnl_primitive_create(&stage->primitive, stage->pd);
		omp_set_num_threads(before);
		return status;
	}
	return status ? status : dnnl_primitive_create(&stage->primitive, stage->pd);
}

static dnnl_status_t make_primitive(const struct conv *conv, struct stage *stage, enum pass pass,
                                    const dnnl_convolution_desc_t *desc, dnnl_primitive_desc_t hint)
{
	dnnl_engine_t engine = hl_onednn_engine();
	dnnl_query_t query_in = pass == GRADIENT_IN ? dnnl_query_diff_src_md : dnnl_query_src_md;
	dnnl_query_t query_out = pass == FORWARD ? dnnl_query_dst_md : dnnl_query_diff_dst_md;
	dnnl_query_t query_weight = pass == GRADIENT_WEIGHT ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
	dnnl_primitive_attr_t attributes = NULL;
	const dnnl_memory_desc_t *workspace;
	dnnl_memory_desc_t bias;
	dnnl_status_t status = hl_onednn_attributes(&attributes);

	if (!status && pass == FORWARD)
		status = hl_onednn_chain_attributes(&conv->chain, attributes);
	if (!status)
		status = make_description(conv, stage, desc, attributes, hint);
	dnnl_primitive_attr_destroy(attributes);
	if (!status)
		status = set_side(conv, &stage->in, dnnl_primitive_desc_query_md(stage->pd, query_in, 0), conv->in,
		                  stage->images);
	if (!status)
		status = set_side(conv, &stage->out, dnnl_primitive_desc_query_md(stage->pd, query_out, 0), conv->out,
		                  stage->images);
	if (!status)
		status = dnnl_memory_create(&stage->weight, dnnl_primitive_desc_query_md(stage->pd, query_weight, 0),
		                            engine, DNNL_MEMORY_NONE);
	if (!status)
		status = hl_onednn_plain(&bias, 1, conv->bias_dims, dnnl_f32);
	if (!status && conv->bias && pass != GRADIENT_IN)
		status = dnnl_memory_create(&stage->bias, &bias, engine, DNNL_MEMORY_NONE);
	if (status)
		return status;
	workspace = dnnl_primitive_desc_query_md(stage->pd, dnnl_query_scratchpad_md, 0);
	stage->workspace_bytes = dnnl_memory_desc_get_size(workspace);
	return dnnl_memory_create(&stage->workspace, workspace, engine, DNNL_MEMORY_NONE);
}

/* Formats of oneDNN's choice (any) or channels last. like: a stage whose formats are taken over. */
static dnnl_status_t make_stage(const struct conv *conv, struct stage *stage, enum pass pass, int64_t images, bool any,
                                bool training, const struct stage *like, dnnl_primitive_desc_t hint)
{
	dnnl_memory_desc_t in, out, weight;
	dnnl_convolution_desc_t desc;
	dnnl_dims_t dims, zero = {0};
	dnnl_status_t status;
	/* Gradients of weights are float32 whatever the activations are. */
	dnnl_data_type_t weight_type = pass == GRADIENT_WEIGHT ? dnnl_f32 : conv->data;

	stage->images = images;
	if (like) {
		dims_of(conv->in, conv->spatial, images, dims);
		status = dnnl_memory_desc_init_submemory(&in, &like->in.md, dims, zero);
		dims_of(conv->out, conv->spatial, images, dims);
		if (!status)
			status = dnnl_memory_desc_init_submemory(&out, &like->out.md, dims, zero);
		weight = *dnnl_primitive_desc_query_md(
		    like->pd, pass == GRADIENT_WEIGHT ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
	} else {
		status = activation(conv, conv->in, images, any, &in);
		if (!status)
			status = activation(conv, conv->out, images, any, &out);
		if (!status)
			status = dnnl_memory_desc_init_by_tag(&weight, conv->weight_rank, conv->weight_dims,
			                                      weight_type, dnnl_format_tag_any);
	}
	if (!status)
		status = describe_pass(conv, pass, training, &in, &weight, &out, &desc);
	return status ? status : make_primitive(conv, stage, pass, &desc, hint);
}

static void destroy_stage(struct stage *stage)
{
	dnnl_primitive_destroy(stage->primitive);
	dnnl_primitive_desc_destroy(stage->pd);
	dnnl_memory_destroy(stage->in.memory);
	dnnl_memory_destroy(stage->out.memory);
	dnnl_memory_destroy(stage->weight);
	dnnl_memory_destroy(stage->bias);
	dnnl_memory_destroy(stage->workspace);
	memset(stage, 0, sizeof *stage);
}

/* Whether oneDNN chooses the formats of a pass. */
static bool any_of(const struct conv *conv, enum pass pass)
{
	int64_t taps = 1;

	for (int k = 0; k < conv->spatial; k++)
		taps *= conv->weight_dims[conv->weight_rank - 1 - k];
	return !hl_onednn_wide() && pass != GRADIENT_WEIGHT && taps > 1;
}

/* Into how many the batch is cut for oneDNN's weight gradient: fewer where each part's copy of the weights is large. */
static int64_t shards_of(const struct conv *conv)
{
	int64_t bytes = (int64_t)sizeof(float), shards;

	for (int k = 0; k < conv->weight_rank; k++)
		bytes *= conv->weight_dims[k];
	shards = SHARDS_BYTES / bytes;
	return shards < SHARDS_MIN ? SHARDS_MIN : shards > SHARDS_MAX ? SHARDS_MAX : shards;
}

/* The whole chunks of a pass and the rest. */
static dnnl_status_t make_pass(struct conv *conv, enum pass pass, bool training)
{
	bool any = any_of(conv, pass);
	bool packs = any || (conv->type == HL_BF16 && conv->data == dnnl_f32);
	int64_t sample = (hl_shape_sample(conv->in) + hl_shape_sample(conv->out)) * (int64_t)sizeof(float);
	int64_t images = packs ? CHUNK_BYTES / sample : conv->in.n, chunks;
	dnnl_primitive_desc_t hint = pass == FORWARD ? NULL : conv->stage[FORWARD][0].pd;
	struct stage *stage = conv->stage[pass];
	dnnl_status_t status;

	if (pass == GRADIENT_WEIGHT)
		images = (conv->in.n + shards_of(conv) - 1) / shards_of(conv);
	images = images < 1 ? 1 : images > conv->in.n ? conv->in.n : images;
	chunks = (conv->in.n + images - 1) / images;
	images = (conv->in.n + chunks - 1) / chunks;
	chunks = (conv->in.n + images - 1) / images;
	conv->chunks[pass] = chunks;
	status = make_stage(conv, &stage[0], pass, images, any, training, NULL, hint);
	if (status == dnnl_unimplemented && any) {
		destroy_stage(&stage[0]);
		status = make_stage(conv, &stage[0], pass, images, false, training, NULL, hint);
	}
	if (!status && conv->in.n % images)
		status = make_stage(conv, &stage[1], pass, conv->in.n % images, any, training, &stage[0], hint);
	return status;
}

static size_t stage_bytes(const struct stage *stage)
{
	return stage->in.bytes + stage->out.bytes + ((stage->workspace_bytes + 63) & ~(size_t)63);
}

static dnnl_status_t plain_weights(const struct conv *conv, dnnl_memory_desc_t *md)
{
	return hl_onednn_plain(md, conv->weight_rank, conv->weight_dims, dnnl_f32);
}

/* Where prepare packs the weights for a pass. */
static dnnl_status_t make_weights(struct conv *conv, enum pass pass)
{
	const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(conv->stage[pass][0].pd, dnnl_query_weights_md, 0);
	dnnl_memory_desc_t plain;
	dnnl_status_t status = plain_weights(conv, &plain);

	if (!status)
		status = hl_onednn_reorder_create(&conv->pack[pass], &plain, md);
	if (status)
		return status;
	conv->weights_bytes[pass] = dnnl_memory_desc_get_size(md);
	conv->weights[pass] = hl_block_alloc(conv->weights_bytes[pass]);
	return conv->weights[pass] ? dnnl_success : dnnl_out_of_memory;
}

static void plan_own_gradient(struct conv *conv, const struct hl_compile *request)
{
	const struct hl_conv_options *options = request->options;
	int spatial = conv->spatial;

	conv->gradient = (struct hl_wgrad){
	    .in = conv->in,
	    .out = conv->out,
	    .type = conv->type,
	    .strict = request->strict,
	    .threads = conv->threads,
	    .window = {.size = hl_axes_get(&options->size, spatial, 3, 1),
	               .stride = hl_axes_get(&options->stride, spatial, 1, 1),
	               .pad = hl_axes_get(&options->pad, spatial, 0, 0),
	               .dilation = hl_axes_get(&options->dilation, spatial, 1, 1)},
	};
	conv->own = !conv->groups && hl_wgrad_plan(&conv->gradient);
}

static void destroy_shard(struct shard *shard)
{
	dnnl_stream_destroy(shard->stream);
	dnnl_memory_destroy(shard->in);
	dnnl_memory_destroy(shard->out);
	dnnl_memory_destroy(shard->weight);
	dnnl_memory_destroy(shard->bias);
	dnnl_memory_destroy(shard->workspace);
}

static dnnl_status_t make_shard(const struct conv *conv, struct shard *shard, int64_t index)
{
	const struct stage *stage = &conv->stage[GRADIENT_WEIGHT][0];
	dnnl_engine_t engine = hl_onednn_engine();
	dnnl_status_t status;

	shard->first = index * stage->images;
	shard->rest = shard->first + stage->images > conv->in.n;
	stage += shard->rest ? 1 : 0;
	status = dnnl_stream_create(&shard->stream, engine, dnnl_stream_default_flags);
	if (!status)
		status = dnnl_memory_create(&shard->in, &stage->in.md, engine, DNNL_MEMORY_NONE);
	if (!status)
		status = dnnl_memory_create(&shard->out, &stage->out.md, engine, DNNL_MEMORY_NONE);
	if (!status)
		status = dnnl_memory_create(&shard->weight,
		                            dnnl_primitive_desc_query_md(stage->pd, dnnl_query_diff_weights_md, 0),
		                            engine, DNNL_MEMORY_NONE);
	if (!status && conv->bias)
		status = dnnl_memory_create(&shard->bias,
		                            dnnl_primitive_desc_query_md(stage->pd, dnnl_query_diff_weights_md, 1),
		                            engine, DNNL_MEMORY_NONE);
	if (!status)
		status = dnnl_memory_create(&shard->workspace,
		                            dnnl_primitive_desc_query_md(stage->pd, dnnl_query_scratchpad_md, 0),
		                            engine, DNNL_MEMORY_NONE);
	return status;
}

static size_t aligned(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

/* oneDNN divides the sum over the batch among the threads it has. Shards fixed by the shapes, one thread each, give the
 * same bits at any number of threads. */
static dnnl_status_t make_weight_gradient(struct conv *conv)
{
	struct stage *stage = conv->stage[GRADIENT_WEIGHT];
	const dnnl_memory_desc_t *md;
	dnnl_memory_desc_t plain;
	int before = omp_get_max_threads();
	dnnl_status_t status;

	omp_set_num_threads(1);
	status = make_pass(conv, GRADIENT_WEIGHT, true);
	omp_set_num_threads(before);
	if (!status)
		status = plain_weights(conv, &plain);
	if (status)
		return status;
	md = dnnl_primitive_desc_query_md(stage->pd, dnnl_query_diff_weights_md, 0);
	conv->gradient_bytes = aligned(dnnl_memory_desc_get_size(md));
	conv->shard_bytes = conv->gradient_bytes + aligned((size_t)conv->out.c * sizeof(float)) +
	                    aligned(stage[0].workspace_bytes > stage[1].workspace_bytes ? stage[0].workspace_bytes
	                                                                                : stage[1].workspace_bytes);
	conv->shards = (int32_t)conv->chunks[GRADIENT_WEIGHT];
	conv->shard = hl_alloc((size_t)conv->shards, sizeof *conv->shard);
	if (!conv->shard)
		return dnnl_out_of_memory;
	for (int32_t k = 0; k < conv->shards && !status; k++)
		status = make_shard(conv, &conv->shard[k], k);
	return status ? status : hl_onednn_reorder_create(&conv->unpack, md, &plain);
}

/* ---- running ---- */

/* The activation of a side from image number first on: where it lies, or its place in scratch. */
static void *place(const struct side *side, const struct hl_tensor *tensor, int64_t first, char **scratch)
{
	char *at = *scratch;

	if (!side->packed)
		return (char *)tensor->data +
		       (size_t)(first * hl_shape_sample(tensor->shape)) * hl_type_size(tensor->type);
	*scratch += side->bytes;
	return at;
}

static const char *source(const struct hl_tensor *tensor, int64_t first)
{
	return (const char *)tensor->data +
	       (size_t)(first * hl_shape_sample(tensor->shape)) * hl_type_size(tensor->type);
}

/* oneDNN refuses nothing that it has compiled; should it, the loss shows NaN instead of a wrong number. */
static void spoil(struct hl_tensor tensor)
{
	memset(tensor.data, 0xff, (size_t)hl_shape_count(tensor.shape) * hl_type_size(tensor.type));
}

/* Puts what is added where the output will be. */
static void preload(const struct conv *conv, const struct stage *stage, const struct hl_tensor *added, int64_t first,
                    void *target)
{
	if (stage->out.packed)
		hl_layout_pack(&stage->out.layout, source(added, first), conv->type, target, conv->threads);
	else if (target != source(added, first))
		memcpy(target, source(added, first),
		       (size_t)(stage->images * hl_shape_sample(conv->out)) * hl_type_size(conv->type));
}

/* added: what comes on top of the output, or NULL. */
static void run_pass(struct conv *conv, enum pass pass, const struct hl_tensor *from, const struct hl_tensor *to,
                     const struct hl_tensor *added, const float *bias, void *scratch)
{
	bool back = pass == GRADIENT_IN;
	int count = 4;

	for (int64_t chunk = 0, first = 0; chunk < conv->chunks[pass]; chunk++) {
		const struct stage *stage = &conv->stage[pass][0];
		const struct side *source_side, *target_side;
		dnnl_exec_arg_t arguments[5];
		char *free_bytes = scratch;
		void *source_at, *target_at;
		if (first + stage->images > conv->in.n)
			stage++;
		source_side = back ? &stage->out : &stage->in;
		target_side = back ? &stage->in : &stage->out;
		source_at = place(source_side, from, first, &free_bytes);
		target_at = place(target_side, to, first, &free_bytes);
		if (source_side->packed)
			hl_layout_pack(&source_side->layout, source(from, first), conv->type, source_at, conv->threads);
		if (added)
			preload(conv, stage, added, first, target_at);
		dnnl_memory_set_data_handle(source_side->memory, source_at);
		dnnl_memory_set_data_handle(target_side->memory, target_at);
		dnnl_memory_set_data_handle(stage->weight, conv->weights[pass]);
		dnnl_memory_set_data_handle(stage->workspace, free_bytes);
		arguments[0] = (dnnl_exec_arg_t){back ? DNNL_ARG_DIFF_DST : DNNL_ARG_SRC, source_side->memory};
		arguments[1] = (dnnl_exec_arg_t){back ? DNNL_ARG_DIFF_SRC : DNNL_ARG_DST, target_side->memory};
		arguments[2] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, stage->weight};
		arguments[3] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, stage->workspace};
		if (stage->bias) {
			dnnl_memory_set_data_handle(stage->bias, hl_onednn_unconst(bias));
			arguments[4] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, stage->bias};
			count = 5;
		}
		if (hl_onednn_execute(stage->primitive, conv->stream, count, arguments, stage->threads)) {
			spoil(*to);
			return;
		}
		if (target_side->packed)
			hl_layout_unpack(&target_side->layout, target_at, hl_onednn_unconst(source(to, first)),
			                 conv->type, conv->threads);
		first += stage->images;
	}
}

static void run_shard(const struct conv *conv, const struct hl_call *call, int32_t index)
{
	const struct shard *shard = &conv->shard[index];
	const struct stage *stage = &conv->stage[GRADIENT_WEIGHT][shard->rest ? 1 : 0];
	char *scratch = (char *)call->scratch + (size_t)index * conv->shard_bytes;
	char *bias = scratch + conv->gradient_bytes, *workspace = bias + aligned((size_t)conv->out.c * sizeof(float));
	dnnl_exec_arg_t arguments[5] = {{DNNL_ARG_SRC, shard->in},
	                                {DNNL_ARG_DIFF_DST, shard->out},
	                                {DNNL_ARG_DIFF_WEIGHTS, shard->weight},
	                                {DNNL_ARG_SCRATCHPAD, shard->workspace},
	                                {DNNL_ARG_DIFF_BIAS, shard->bias}};

	dnnl_memory_set_data_handle(shard->in, hl_onednn_unconst(source(call->in[0], shard->first)));
	dnnl_memory_set_data_handle(shard->out, hl_onednn_unconst(source(call->dout, shard->first)));
	dnnl_memory_set_data_handle(shard->weight, scratch);
	dnnl_memory_set_data_handle(shard->workspace, workspace);
	if (conv->bias)
		dnnl_memory_set_data_handle(shard->bias, bias);
	if (dnnl_primitive_execute(stage->primitive, shard->stream, conv->bias ? 5 : 4, arguments))
		memset(scratch, 0xff, conv->gradient_bytes);
}

/* Adds the shards' floats at an offset to the first's, in order. */
static void add_shards(const struct conv *conv, void *scratch, size_t offset, int64_t count)
{
	float *sum = (float *)(void *)((char *)scratch + offset);

#pragma omp parallel for schedule(static) num_threads(conv->threads) if (count > 65536)
	for (int64_t i = 0; i < count; i++)
		for (int32_t k = 1; k < conv->shards; k++)
			sum[i] += sum[(size_t)k * conv->shard_bytes / sizeof *sum + (size_t)i];
}

static void run_weight_gradient(struct conv *conv, const struct hl_call *call)
{
	int before = omp_get_max_threads();

	omp_set_num_threads(1);
#pragma omp parallel for schedule(static) num_threads(conv->threads)
	for (int32_t k = 0; k < conv->shards; k++)
		run_shard(conv, call, k);
	omp_set_num_threads(before);
	add_shards(conv, call->scratch, 0, (int64_t)(conv->gradient_bytes / sizeof(float)));
	hl_onednn_reorder_run(&conv->unpack, conv->stream, call->scratch, call->dparam[0], conv->threads);
	if (!conv->bias || !call->dparam[1])
		return;
	add_shards(conv, call->scratch, conv->gradient_bytes, conv->out.c);
	memcpy(call->dparam[1], (const char *)call->scratch + conv->gradient_bytes,
	       (size_t)conv->out.c * sizeof(float));
}

static void prepare(struct hl_primitive *primitive, float *const *param)
{
	struct conv *conv = (struct conv *)primitive;
	const float *weights = param[0];

	if (conv->chain.norm)
		weights = hl_onednn_chain_fold(&conv->chain, param, conv->own_bias);
	for (int k = 0; k < 2; k++)
		if (conv->weights[k])
			hl_onednn_reorder_run(&conv->pack[k], conv->stream, weights, conv->weights[k], conv->threads);
}

static void forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	struct conv *conv = (struct conv *)primitive;
	const float *bias = conv->chain.norm ? conv->chain.bias : call->param[1];

	run_pass(conv, FORWARD, call->in[0], call->out, conv->chain.adds ? call->in[1] : NULL, bias, call->scratch);
}

static void backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	struct conv *conv = (struct conv *)primitive;

	if (call->din[0])
		run_pass(conv, GRADIENT_IN, call->dout, call->din[0], NULL, NULL, call->scratch);
	if (!call->dparam[0])
		return;
	if (conv->own)
		hl_wgrad_run(&conv->gradient, call->in[0]->data, call->dout->data, call->dparam[0],
		             conv->bias ? call->dparam[1] : NULL, call->scratch);
	else
		run_weight_gradient(conv, call);
}

static void destroy(struct hl_primitive *primitive)
{
	struct conv *conv = (struct conv *)primitive;

	for (int pass = 0; pass < PASSES; pass++) {
		destroy_stage(&conv->stage[pass][0]);
		destroy_stage(&conv->stage[pass][1]);
	}
	for (int k = 0; k < 2; k++) {
		hl_onednn_reorder_destroy(&conv->pack[k]);
		if (conv->weights[k])
			hl_block_free(conv->weights[k], conv->weights_bytes[k]);
	}
	for (int32_t k = 0; conv->shard && k < conv->shards; k++)
		destroy_shard(&conv->shard[k]);
	hl_free(conv->shard);
	hl_onednn_chain_free(&conv->chain);
	hl_onednn_reorder_destroy(&conv->unpack);
	dnnl_stream_destroy(conv->stream);
	hl_free(conv);
}

static dnnl_status_t compile(struct conv *conv, const struct hl_compile *request)
{
	dnnl_status_t status = dnnl_stream_create(&conv->stream, hl_onednn_engine(), dnnl_stream_default_flags);

	describe(conv, request);
	if (!status && !hl_onednn_chain_reserve(&conv->chain, conv->weight_count, conv->out.c))
		status = dnnl_out_of_memory;
	if (!status)
		status = make_pass(conv, FORWARD, request->training);
	if (!status)
		status = make_weights(conv, FORWARD);
	if (!status && request->training && request->want_din[0])
		status = make_pass(conv, GRADIENT_IN, true);
	if (!status && request->training && request->want_din[0])
		status = make_weights(conv, GRADIENT_IN);
	if (status || !request->training || !request->want_dparam)
		return status;
	plan_own_gradient(conv, request);
	if (conv->own)
		return dnnl_success;
	/* oneDNN's weight gradient reads bfloat16 only where the processor has it. */
	return conv->type == HL_BF16 && conv->data == dnnl_f32 ? dnnl_unimplemented : make_weight_gradient(conv);
}

enum hilum_status hl_onednn_conv(const struct hl_compile *request, struct hl_primitive **out, struct hilum_error *error)
{
	struct conv *conv = hl_alloc(1, sizeof *conv);
	dnnl_status_t status;
	size_t bytes;

	if (!conv)
		return hl_fail_memory(error, sizeof *conv, "a convolution");
	if (!hl_onednn_chain_read(request, &conv->chain)) {
		hl_free(conv);
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "onednn: no convolution with these behind it");
	}
	status = compile(conv, request);
	if (status) {
		destroy(&conv->primitive);
		if (status == dnnl_unimplemented && request->type == HL_BF16 && request->links == 0)
			return hl_widen(request, &hl_backend_onednn, out, error);
		return hl_onednn_fail(error, status, "convolution");
	}
	conv->primitive.backend = hl_backend_onednn.name;
	conv->primitive.prepare = prepare;
	conv->primitive.forward = forward;
	conv->primitive.backward = backward;
	conv->primitive.destroy = destroy;
	conv->primitive.scratch = (size_t)conv->shards * conv->shard_bytes;
	for (int pass = 0; pass < GRADIENT_WEIGHT; pass++)
		for (int k = 0; k < 2; k++) {
			bytes = stage_bytes(&conv->stage[pass][k]);
			if (bytes > conv->primitive.scratch)
				conv->primitive.scratch = bytes;
		}
	if (conv->own && conv->gradient.scratch > conv->primitive.scratch)
		conv->primitive.scratch = conv->gradient.scratch;
	*out = &conv->primitive;
	return HILUM_OK;
}
