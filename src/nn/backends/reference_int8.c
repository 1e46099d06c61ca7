/* Layers on bytes in plain C: convolution and dense layers with what follows them (int8.h), and what only moves values.
 * Every other op is computed in float32 between two conversions. */
#include "nn/backends/int8.h"
#include "nn/backends/reference.h"

#include <omp.h>
#include <string.h>

#include "base/memory.h"
#include "nn/clones.h"
#include "nn/ops/common.h"

struct layer {
	struct hl_primitive primitive;
	struct hl_int8 layer;
	bool dense;
	struct hl_window window;
	int64_t groups;
	size_t patch; /* bytes of a thread's scratch */
};

static struct layer *layer_of(struct hl_primitive *primitive)
{
	return (struct layer *)primitive;
}

static void prepare(struct hl_primitive *primitive, float *const *param)
{
	struct layer *layer = layer_of(primitive);
	hl_int8_fold(&layer->layer, param);
	primitive->broken = layer->layer.broken;
}

static HL_VECTOR_CLONES int32_t dot(const uint8_t *restrict in, const int8_t *restrict weight, int64_t count)
{
	int32_t sum = 0;
	for (int64_t i = 0; i < count; i++)
		sum += (int32_t)in[i] * weight[i];
	return sum;
}

/* What one place of a group sees, in the order of the weights: channel, then depth, height, width of the window. */
static void gather(const struct layer *layer, const struct hl_call *call, const int64_t at[4], int64_t group,
                   uint8_t *patch)
{
	const struct hl_window *v = &layer->window;
	struct hl_shape in = call->shapes->in[0];
	const uint8_t *x = call->in[0]->data;
	int64_t channels = in.c / layer->groups, places = v->size.d * v->size.h * v->size.w, k = 0;
	x += at[0] * in.d * in.h * in.w * in.c + group * channels;
	for (int64_t kd = 0; kd < v->size.d; kd++)
		for (int64_t kh = 0; kh < v->size.h; kh++)
			for (int64_t kw = 0; kw < v->size.w; kw++, k++) {
				int64_t d = at[1] * v->stride.d - v->pad.d + kd * v->dilation.d,
				        h = at[2] * v->stride.h - v->pad.h + kh * v->dilation.h,
				        w = at[3] * v->stride.w - v->pad.w + kw * v->dilation.w;
				bool inside = d >= 0 && d < in.d && h >= 0 && h < in.h && w >= 0 && w < in.w;
				const uint8_t *place = inside ? x + ((d * in.h + h) * in.w + w) * in.c : NULL;
				for (int64_t c = 0; c < channels; c++)
					patch[c * places + k] = place ? place[c] : (uint8_t)layer->layer.in.zero;
			}
}

/* Every channel of one place, whose number is index. */
static void run_place(const struct layer *layer, const struct hl_call *call, int64_t index, uint8_t *patch)
{
	const struct hl_int8 *int8 = &layer->layer;
	struct hl_shape out = call->out->shape;
	const uint8_t *other = int8->adds ? (const uint8_t *)call->in[1]->data + index * int8->units : NULL;
	uint8_t *y = (uint8_t *)call->out->data + index * int8->units;
	int64_t each = int8->units / layer->groups, rest = index;
	int64_t at[4];
	at[3] = rest % out.w;
	rest /= out.w;
	at[2] = rest % out.h;
	rest /= out.h;
	at[1] = rest % out.d;
	at[0] = rest / out.d;
	for (int64_t group = 0; group < layer->groups; group++) {
		const uint8_t *in = patch;
		if (layer->dense)
			in = (const uint8_t *)call->in[0]->data + index * int8->taps;
		else
			gather(layer, call, at, group, patch);
		for (int64_t o = group * each; o < (group + 1) * each; o++)
			y[o] = hl_int8_finish(int8, o, dot(in, int8->weight + o * int8->taps, int8->taps),
			                      other ? other[o] : 0);
	}
}

static void forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct layer *layer = layer_of(primitive);
	int64_t places = hl_shape_count(call->out->shape) / layer->layer.units;
#pragma omp parallel for schedule(static) num_threads(layer->layer.threads)
	for (int64_t i = 0; i < places; i++)
		run_place(layer, call, i, (uint8_t *)call->scratch + layer->patch * (size_t)omp_get_thread_num());
}

static void destroy(struct hl_primitive *primitive)
{
	struct layer *layer = layer_of(primitive);
	hl_int8_close(&layer->layer);
	hl_free(layer);
}

static void describe_window(struct layer *layer, const struct hl_compile *request)
{
	const struct hl_conv_options *options = request->options;
	int spatial = request->shapes->spatial;
	layer->groups = 1;
	layer->dense = strcmp(request->op->name, "dense") == 0;
	if (layer->dense)
		return;
	layer->groups = options->groups;
	layer->window = (struct hl_window){.size = hl_axes_get(&options->size, spatial, 3, 1),
	                                   .stride = hl_axes_get(&options->stride, spatial, 1, 1),
	                                   .pad = hl_axes_get(&options->pad, spatial, 0, 0),
	                                   .dilation = hl_axes_get(&options->dilation, spatial, 1, 1)};
}

static enum hilum_status compile_layer(const struct hl_compile *request, struct hl_primitive **out,
                                       struct hilum_error *error)
{
	struct layer *layer = hl_alloc(1, sizeof(*layer));
	if (!layer)
		return hl_fail_memory(error, sizeof(*layer), "a reference primitive");
	describe_window(layer, request);
	enum hilum_status status = hl_int8_open(&layer->layer, request, error);
	layer->patch = ((size_t)layer->layer.taps + 63) & ~(size_t)63;
	layer->primitive = (struct hl_primitive){
	    .backend = hl_backend_reference.name, .prepare = prepare, .forward = forward, .destroy = destroy};
	if (!status && layer->layer.pools)
		status = hl_fail(error, HILUM_ERROR_UNSUPPORTED, "reference: no pooling behind others");
	if (!status && !hl_mul_size(layer->patch, (size_t)layer->layer.threads, &layer->primitive.scratch))
		status = hl_fail(error, HILUM_ERROR_LIMIT, "reference: too many weights");
	if (status)
		destroy(&layer->primitive);
	else
		*out = &layer->primitive;
	return status;
}

/* ---- what moves values ---- */

static void move_all(struct hl_primitive *primitive, const struct hl_call *call)
{
	(void)primitive;
	memmove(call->out->data, call->in[0]->data, (size_t)hl_shape_count(call->out->shape));
}

static void flatten(struct hl_primitive *primitive, const struct hl_call *call)
{
	struct hl_shape shape = call->shapes->in[0];
	int64_t places = shape.d * shape.h * shape.w;
	const uint8_t *in = call->in[0]->data;
	uint8_t *out = call->out->data;
	(void)primitive;
	for (int64_t n = 0; n < shape.n; n++, in += places * shape.c, out += places * shape.c)
		for (int64_t place = 0; place < places; place++)
			for (int64_t c = 0; c < shape.c; c++)
				out[c * places + place] = in[place * shape.c + c];
}

static HL_VECTOR_CLONES void keep_larger(const uint8_t *restrict in, uint8_t *restrict out, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		out[i] = in[i] > out[i] ? in[i] : out[i];
}

static void pool_window(const struct hl_call *call, const struct hl_span *span, const uint8_t *in, uint8_t *out)
{
	struct hl_shape shape = call->shapes->in[0];
	memset(out, 0, (size_t)shape.c);
	for (int64_t d = span->from.d; d < span->to.d; d++)
		for (int64_t h = span->from.h; h < span->to.h; h++)
			for (int64_t w = span->from.w; w < span->to.w; w++)
				keep_larger(in + ((d * shape.h + h) * shape.w + w) * shape.c, out, shape.c);
}

static void maxpool(struct hl_primitive *primitive, const struct hl_call *call)
{
	struct hl_window window = hl_pool_window(call->options, call->shapes->spatial);
	struct hl_shape in = call->shapes->in[0], out = call->out->shape;
	int64_t rows = out.n * out.d * out.h;
	(void)primitive;
#pragma omp parallel for schedule(static)
	for (int64_t row = 0; row < rows; row++) {
		int64_t h = row % out.h, d = row / out.h % out.d, n = row / out.h / out.d;
		const uint8_t *x = (const uint8_t *)call->in[0]->data + n * in.d * in.h * in.w * in.c;
		uint8_t *y = (uint8_t *)call->out->data + row * out.w * out.c;
		for (int64_t w = 0; w < out.w; w++, y += out.c) {
			struct hl_span span = hl_pool_span(&window, in, d, h, w);
			pool_window(call, &span, x, y);
		}
	}
}

static void destroy_mover(struct hl_primitive *primitive)
{
	hl_free(primitive);
}

static enum hilum_status compile_mover(void (*run)(struct hl_primitive *, const struct hl_call *),
                                       struct hl_primitive **out, struct hilum_error *error)
{
	struct hl_primitive *primitive = hl_alloc(1, sizeof(*primitive));
	if (!primitive)
		return hl_fail_memory(error, sizeof(*primitive), "a reference primitive");
	*primitive =
	    (struct hl_primitive){.backend = hl_backend_reference.name, .forward = run, .destroy = destroy_mover};
	*out = primitive;
	return HILUM_OK;
}

enum hilum_status hl_reference_bytes(const struct hl_compile *request, struct hl_primitive **out,
                                     struct hilum_error *error)
{
	const char *name = request->op->name;
	if (strcmp(name, "conv") == 0 || strcmp(name, "dense") == 0)
		return compile_layer(request, out, error);
	if (request->links > 0)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "reference: no such nodes as one");
	if (strcmp(name, "maxpool") == 0)
		return compile_mover(maxpool, out, error);
	if (strcmp(name, "flatten") == 0)
		return compile_mover(flatten, out, error);
	if (strcmp(name, "dropout") == 0)
		return compile_mover(move_all, out, error);
	return hl_widen(request, &hl_backend_reference, out, error);
}
