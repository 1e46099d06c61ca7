/* Convolution, and of bytes dense layers too, with AVX-512: the forward pass and the gradient of the input
 * (avx512_pass.h). Outside of training also with what follows it: batch norm in the weights, a sum, an activation and
 * max pooling on the sums. */
#include "base/memory.h"
#include "nn/backends/avx512.h"
#include "nn/backends/avx512_pass.h"
#include "nn/backends/weight_gradient.h"
#include <math.h>
#include <string.h>

#define GRADIENTS_MAX 64 /* passes */

/* Of batch norm's parameters. */
enum { WEIGHT, BIAS, MEAN, VARIANCE };

struct conv {
	struct hl_primitive primitive;
	bool trains;            /* the weight gradient is wanted */
	struct hl_wgrad weight; /* it */
	int params;             /* of the convolution: those of batch norm follow */
	bool norms;
	double eps;
	float *scale, *shift; /* of each output channel; NULL: none */
	struct hl_int8 int8;  /* of bytes, with batch norm */
	struct hl_pass forward;
	struct hl_pass *gradient; /* one for each remainder of input places by the stride */
	int64_t gradients;
};

/* ---- passes ---- */

static struct hl_window window_of(const struct hl_compile *request)
{
	const struct hl_conv_options *options = request->options;
	int spatial = request->shapes->spatial;

	return (struct hl_window){.size = hl_axes_get(&options->size, spatial, 3, 1),
	                          .stride = hl_axes_get(&options->stride, spatial, 1, 1),
	                          .pad = hl_axes_get(&options->pad, spatial, 0, 0),
	                          .dilation = hl_axes_get(&options->dilation, spatial, 1, 1)};
}

static void split(struct hl_axes axes, int64_t out[3])
{
	out[0] = axes.d;
	out[1] = axes.h;
	out[2] = axes.w;
}

struct geometry {
	int64_t in[3], out[3], size[3], stride[3], pad[3], dilation[3];
	int64_t taps;
};

static struct geometry geometry_of(const struct hl_compile *request)
{
	const struct hl_shape *in = &request->shapes->in[0], *out = &request->shapes->out;
	const struct hl_axes one = {1, 1, 1}, none = {0, 0, 0};
	bool dense = strcmp(request->op->name, "dense") == 0;
	struct hl_window window =
	    dense ? (struct hl_window){.size = one, .stride = one, .pad = none, .dilation = one} : window_of(request);
	struct geometry g = {.in = {in->d, in->h, in->w}, .out = {out->d, out->h, out->w}};

	split(window.size, g.size);
	split(window.stride, g.stride);
	split(window.pad, g.pad);
	split(window.dilation, g.dilation);
	g.taps = g.size[0] * g.size[1] * g.size[2];
	return g;
}

static struct hl_pass forward_pass(const struct hl_compile *request, const struct geometry *g)
{
	const struct hl_infer *shapes = request->shapes;
	struct hl_pass pass = {.type = request->type,
	                       .strict = request->strict,
	                       .threads = request->threads > 0 ? request->threads : 1,
	                       .repacked = request->training,
	                       .fine = request->training,
	                       .images = shapes->in[0].n,
	                       .inputs = shapes->in[0].c,
	                       .outputs = shapes->out.c,
	                       .weight_in = g->taps,
	                       .weight_out = g->taps * shapes->in[0].c};

	for (int k = 0; k < 3; k++)
		pass.axis[k] = (struct hl_pass_axis){.in = g->in[k],
		                                     .count = g->out[k],
		                                     .step = g->stride[k],
		                                     .taps = g->size[k],
		                                     .offset = -g->pad[k],
		                                     .offset_step = g->dilation[k],
		                                     .size = g->size[k],
		                                     .tap_step = 1,
		                                     .out = g->out[k],
		                                     .out_step = 1};
	return pass;
}

/* Input place i is under tap t of output place (i + pad - t dilation) / stride where that is whole. For places of one
 * remainder these taps are a sequence with equal steps; taken from the last to the first, their output places rise. */
static struct hl_pass_axis gradient_axis(const struct geometry *g, int k, int64_t remainder)
{
	int64_t stride = g->stride[k], first = -1, last = -1, step = 1, taps = 0;
	struct hl_pass_axis axis = {.in = g->out[k],
	                            .count = (g->in[k] - remainder + stride - 1) / stride,
	                            .step = 1,
	                            .offset_step = 1,
	                            .size = g->size[k],
	                            .tap_step = -1,
	                            .out = g->in[k],
	                            .out_first = remainder,
	                            .out_step = stride};

	for (int64_t t = 0; t < g->size[k]; t++) {
		if ((remainder + g->pad[k] - t * g->dilation[k]) % stride != 0)
			continue;
		if (taps == 1)
			step = t - first;
		if (taps == 0)
			first = t;
		last = t;
		taps++;
	}
	if (taps == 0)
		return axis;
	axis.taps = taps;
	axis.tap = last;
	axis.tap_step = -step;
	axis.offset = (remainder + g->pad[k] - last * g->dilation[k]) / stride;
	axis.offset_step = step * g->dilation[k] / stride;
	if (taps == 1)
		axis.offset_step = 1;
	return axis;
}

/* How many remainders there are among the places of an axis. */
static int64_t remainders(const struct geometry *g, int k)
{
	return g->stride[k] < g->in[k] ? g->stride[k] : g->in[k];
}

static struct hl_pass gradient_pass(const struct hl_compile *request, const struct geometry *g, int64_t number)
{
	const struct hl_infer *shapes = request->shapes;
	struct hl_pass pass = {.type = request->type,
	                       .strict = request->strict,
	                       .threads = request->threads > 0 ? request->threads : 1,
	                       .repacked = request->training,
	                       .images = shapes->in[0].n,
	                       .inputs = shapes->out.c,
	                       .outputs = shapes->in[0].c,
	                       .weight_in = g->taps * shapes->in[0].c,
	                       .weight_out = g->taps};

	for (int k = 2; k >= 0; k--) {
		pass.axis[k] = gradient_axis(g, k, number % remainders(g, k));
		number /= remainders(g, k);
	}
	return pass;
}

/* ---- the primitive ---- */

/* What batch norm makes of the convolution: both are linear in each channel. */
static void fold_norm(const struct conv *conv, float *const *param)
{
	float *const *norm = param + conv->params;

	for (int64_t c = 0; c < conv->forward.outputs; c++) {
		double scale = norm[WEIGHT][c] / sqrt((double)norm[VARIANCE][c] + conv->eps);
		double bias = conv->params > 1 ? (double)param[1][c] : 0;
		conv->scale[c] = (float)scale;
		conv->shift[c] = (float)((bias - (double)norm[MEAN][c]) * scale + (double)norm[BIAS][c]);
	}
}

static void prepare(struct hl_primitive *primitive, float *const *param)
{
	struct conv *conv = (struct conv *)primitive;

	if (conv->forward.type == HL_U8) {
		hl_int8_fold(&conv->int8, param);
		primitive->broken = conv->int8.broken;
		hl_pass_pack(&conv->forward, NULL, NULL, NULL);
		return;
	}
	if (conv->norms)
		fold_norm(conv, param);
	hl_pass_pack(&conv->forward, param[0], conv->scale,
	             conv->norms        ? conv->shift
	             : conv->params > 1 ? param[1]
	                                : NULL);
	for (int64_t i = 0; i < conv->gradients; i++)
		hl_pass_pack(&conv->gradient[i], param[0], NULL, NULL);
}

static void forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct hl_pass *pass = &((struct conv *)primitive)->forward;

	hl_pass_run(pass, call->in[0]->data, pass->adds ? call->in[1]->data : NULL, call->out->data, call->scratch);
}

static void backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	struct conv *conv = (struct conv *)primitive;

	if (call->din[0])
		for (int64_t i = 0; i < conv->gradients; i++)
			hl_pass_run(&conv->gradient[i], call->dout->data, NULL, call->din[0]->data, call->scratch);
	if (conv->trains && call->dparam[0])
		hl_wgrad_run(&conv->weight, call->in[0]->data, call->dout->data, call->dparam[0],
		             conv->params > 1 ? call->dparam[1] : NULL, call->scratch);
}

static void destroy(struct hl_primitive *primitive)
{
	struct conv *conv = (struct conv *)primitive;

	hl_pass_free(&conv->forward);
	for (int64_t i = 0; i < conv->gradients; i++)
		hl_pass_free(&conv->gradient[i]);
	hl_free(conv->gradient);
	hl_int8_close(&conv->int8);
	hl_free(conv->scale);
	hl_free(conv->shift);
	hl_free(conv);
}

static enum hilum_status plan_pass(struct conv *conv, struct hl_pass *pass, struct hilum_error *error)
{
	enum hilum_status status = hl_pass_plan(pass, error);

	if (!status && pass->scratch > conv->primitive.scratch)
		conv->primitive.scratch = pass->scratch;
	return status;
}

static enum hilum_status plan_gradient(struct conv *conv, const struct hl_compile *request, const struct geometry *g,
                                       struct hilum_error *error)
{
	int64_t count = remainders(g, 0) * remainders(g, 1) * remainders(g, 2);
	enum hilum_status status = HILUM_OK;

	if (count > GRADIENTS_MAX)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "avx512: no convolution of such a stride");
	conv->gradient = hl_alloc((size_t)count, sizeof *conv->gradient);
	if (!conv->gradient)
		return hl_fail_memory(error, (size_t)count * sizeof *conv->gradient, "a convolution");
	for (; conv->gradients < count && !status; conv->gradients++) {
		struct hl_pass *pass = &conv->gradient[conv->gradients];
		*pass = gradient_pass(request, g, conv->gradients);
		status = plan_pass(conv, pass, error);
	}
	return status;
}

static enum hilum_status plan_weight(struct conv *conv, const struct hl_compile *request, struct hilum_error *error)
{
	conv->trains = true;
	conv->weight = (struct hl_wgrad){.in = request->shapes->in[0],
	                                 .out = request->shapes->out,
	                                 .type = request->type,
	                                 .strict = request->strict,
	                                 .threads = request->threads > 0 ? request->threads : 1,
	                                 .window = window_of(request)};
	if (!hl_wgrad_plan(&conv->weight))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "avx512: no weight gradient of this kind");
	if (conv->weight.scratch > conv->primitive.scratch)
		conv->primitive.scratch = conv->weight.scratch;
	return HILUM_OK;
}

/* ---- chains ---- */

static enum hilum_status refuse(struct hilum_error *error)
{
	return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "avx512: no such chain behind a convolution");
}

static enum hilum_status link_norm(struct conv *conv, const struct hl_link *link, struct hilum_error *error)
{
	const struct hl_batchnorm_options *options = link->options;
	size_t channels = (size_t)conv->forward.outputs;

	conv->norms = true;
	conv->eps = options->eps;
	conv->scale = hl_alloc(channels, sizeof *conv->scale);
	conv->shift = hl_alloc(channels, sizeof *conv->shift);
	if (!conv->scale || !conv->shift)
		return hl_fail_memory(error, channels * sizeof *conv->scale, "a convolution");
	return HILUM_OK;
}

/* Takes one more node into the forward pass. They come in the order of nn/fuse.h. */
static enum hilum_status add_link(struct conv *conv, const struct hl_link *link, struct hilum_error *error)
{
	struct hl_pass *pass = &conv->forward;
	const char *name = link->op->name;

	if (strcmp(name, "batchnorm") == 0)
		return link_norm(conv, link, error);
	if (strcmp(name, "add") == 0 && link->shapes->inputs == 2) {
		pass->adds = true;
	} else if (strcmp(name, "relu") == 0) {
		pass->end = HL_TILE_RELU;
	} else if (strcmp(name, "leakyrelu") == 0) {
		const struct hl_leakyrelu_options *options = link->options;
		pass->end = options->slope == 0 ? HL_TILE_RELU : HL_TILE_LEAKY;
		pass->slope = (float)options->slope;
	} else if (strcmp(name, "maxpool") == 0 && !pass->adds) {
		pass->pools = true;
		pass->window = hl_pool_window(link->options, link->shapes->spatial);
		pass->pooled = link->shapes->out;
	} else {
		return refuse(error);
	}
	return HILUM_OK;
}

static enum hilum_status add_links(struct conv *conv, const struct hl_compile *request, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;

	if (request->links > 0 && request->training)
		return refuse(error);
	for (int32_t i = 0; i < request->links && !status; i++)
		status = add_link(conv, &request->link[i], error);
	return status;
}

static enum hilum_status plan(struct conv *conv, const struct hl_compile *request, struct hilum_error *error)
{
	struct geometry g = geometry_of(request);
	enum hilum_status status;

	conv->params = request->shapes->params;
	conv->forward = forward_pass(request, &g);
	conv->forward.int8 = request->type == HL_U8 ? &conv->int8 : NULL;
	status = request->type == HL_U8 ? hl_int8_open(&conv->int8, request, error) : HILUM_OK;
	if (!status)
		status = add_links(conv, request, error);
	if (!status)
		status = plan_pass(conv, &conv->forward, error);
	if (!status && request->training && request->want_din[0])
		status = plan_gradient(conv, request, &g, error);
	if (!status && request->training && request->want_dparam)
		status = plan_weight(conv, request, error);
	return status;
}

enum hilum_status hl_avx512_conv(const struct hl_compile *request, struct hl_primitive **out, struct hilum_error *error)
{
	const struct hl_conv_options *options = request->options;
	enum hilum_status status;
	struct conv *conv;

	if (!hl_pass_machine(request->type))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "avx512: not on this processor");
	if (strcmp(request->op->name, "conv") == 0 && options->groups > 1)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "avx512: no convolution in groups");
	conv = hl_alloc(1, sizeof *conv);
	if (!conv)
		return hl_fail_memory(error, sizeof *conv, "a convolution");
	status = plan(conv, request, error);
	if (status) {
		destroy(&conv->primitive);
		return status;
	}
	conv->primitive.backend = hl_backend_avx512.name;
	conv->primitive.prepare = prepare;
	conv->primitive.forward = forward;
	conv->primitive.backward = backward;
	conv->primitive.destroy = destroy;
	*out = &conv->primitive;
	return HILUM_OK;
}
