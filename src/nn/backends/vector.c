/* The vector back end: element-wise ops here, batch norm and pooling in their own files. */
#include "base/memory.h"
#include "nn/backends/vector_norm.h"
#include "nn/ops/options.h"
#include <string.h>

/* Elements a piece: large enough to hide the cost of a parallel loop, small enough to stay in the second-level cache.
 */
#define GRAIN 16384

void hl_vector_run(hl_vector_range *range, const struct hl_vector_task *task, int64_t count, int64_t grain,
                   int32_t threads)
{
	int64_t pieces = (count + grain - 1) / grain;

#pragma omp parallel for schedule(static) num_threads(threads) if (pieces > 1)
	for (int64_t i = 0; i < pieces; i++)
		range(task, i * grain, i + 1 < pieces ? (i + 1) * grain : count);
}

static int32_t threads_of(const struct hl_call *call, const struct hl_primitive *primitive)
{
	(void)call;
	return ((const struct hl_vector *)primitive)->threads;
}

/* ---- relu and leakyrelu: out = x > 0 ? x : slope x; slope 0 passes NaN on, as PyTorch does ---- */

HL_VECTOR_INLINE void rectify(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half)
{
	const void *in = task->a;
	void *out = task->out;
	float slope = task->slope;

	if (slope == 0.0F)
		for (int64_t i = begin; i < end; i++) {
			float x = hl_vector_load(in, i, half);
			hl_vector_store(out, i, x < 0.0F ? 0.0F : x, half);
		}
	else
		for (int64_t i = begin; i < end; i++) {
			float x = hl_vector_load(in, i, half);
			hl_vector_store(out, i, x < 0.0F ? slope * x : x, half);
		}
}

static HL_VECTOR_CLONES void rectify32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	rectify(task, begin, end, false);
}

static HL_VECTOR_CLONES void rectify16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	rectify(task, begin, end, true);
}

/* a: the input or output, b: gradient of the output */
HL_VECTOR_INLINE void unrectify(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half)
{
	const void *sign = task->a, *dout = task->b;
	void *din = task->out;
	float slope = task->slope;

	for (int64_t i = begin; i < end; i++) {
		float d = hl_vector_load(dout, i, half);
		float rest = slope == 0.0F ? 0.0F : slope * d;
		hl_vector_store(din, i, hl_vector_load(sign, i, half) > 0.0F ? d : rest, half);
	}
}

static HL_VECTOR_CLONES void unrectify32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	unrectify(task, begin, end, false);
}

static HL_VECTOR_CLONES void unrectify16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	unrectify(task, begin, end, true);
}

static void rectify_forward(struct hl_primitive *primitive, const struct hl_call *call, float slope)
{
	struct hl_vector_task task = {.a = call->in[0]->data, .out = call->out->data, .slope = slope};

	hl_vector_run(call->out->type == HL_BF16 ? rectify16 : rectify32, &task, hl_shape_count(call->out->shape),
	              GRAIN, threads_of(call, primitive));
}

static void rectify_backward(struct hl_primitive *primitive, const struct hl_call *call, float slope)
{
	const struct hl_vector *node = (const struct hl_vector *)primitive;
	const struct hl_tensor *sign = node->use_output ? call->out : call->in[0];
	struct hl_vector_task task = {.a = sign->data, .b = call->dout->data, .slope = slope};

	if (!call->din[0])
		return;
	task.out = call->din[0]->data;
	hl_vector_run(node->half ? unrectify16 : unrectify32, &task, hl_shape_count(call->dout->shape), GRAIN,
	              node->threads);
}

static void relu_forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	rectify_forward(primitive, call, 0.0F);
}

static void relu_backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	rectify_backward(primitive, call, 0.0F);
}

static void leakyrelu_forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct hl_leakyrelu_options *options = call->options;

	rectify_forward(primitive, call, (float)options->slope);
}

static void leakyrelu_backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct hl_leakyrelu_options *options = call->options;

	rectify_backward(primitive, call, (float)options->slope);
}

/* ---- add ---- */

HL_VECTOR_INLINE void add_two(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half)
{
	const void *a = task->a, *b = task->b;
	void *out = task->out;

	for (int64_t i = begin; i < end; i++)
		hl_vector_store(out, i, hl_vector_load(a, i, half) + hl_vector_load(b, i, half), half);
}

static HL_VECTOR_CLONES void add32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	add_two(task, begin, end, false);
}

static HL_VECTOR_CLONES void add16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	add_two(task, begin, end, true);
}

static void add_forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct hl_vector *node = (const struct hl_vector *)primitive;
	struct hl_vector_task task = {.a = call->in[0]->data, .b = call->in[1]->data, .out = call->out->data};

	hl_vector_run(node->half ? add16 : add32, &task, hl_shape_count(call->out->shape), GRAIN, node->threads);
}

static void copy_range(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	memcpy((char *)task->out + begin, (const char *)task->a + begin, (size_t)(end - begin));
}

/* Copies bytes unless they lie there already. */
static void copy(const void *from, const struct hl_tensor *to, int32_t threads)
{
	struct hl_vector_task task = {.a = from, .out = to->data};
	int64_t bytes = hl_shape_count(to->shape) * (int64_t)hl_type_size(to->type);

	if (from != to->data)
		hl_vector_run(copy_range, &task, bytes, INT64_C(4) * GRAIN, threads);
}

static void add_backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct hl_vector *node = (const struct hl_vector *)primitive;

	for (int i = 0; i < 2; i++)
		if (call->din[i])
			copy(call->dout->data, call->din[i], node->threads);
}

/* ---- dropout outside of training ---- */

static void same_forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	copy(call->in[0]->data, call->out, threads_of(call, primitive));
}

/* ---- flatten: to channels first ---- */

#define SQUARE 16 /* by as many elements at a time, which stay in the first cache on both sides */

/* a: matrices of tile rows by shards columns, one behind the other; out: the same, columns for rows. Number i of a
 * range is a strip of SQUARE rows. */
HL_VECTOR_INLINE void transpose(const struct hl_vector_task *task, int64_t begin, int64_t end, const bool half)
{
	const int64_t rows = task->tile, columns = task->shards, strips = (rows + SQUARE - 1) / SQUARE;

	for (int64_t i = begin; i < end; i++) {
		int64_t matrix = i / strips * rows * columns, from = i % strips * SQUARE;
		int64_t to = from + SQUARE < rows ? from + SQUARE : rows;
		for (int64_t c0 = 0; c0 < columns; c0 += SQUARE)
			for (int64_t c = c0; c < c0 + SQUARE && c < columns; c++)
				for (int64_t r = from; r < to; r++)
					if (half)
						((uint16_t *)task->out)[matrix + c * rows + r] =
						    ((const uint16_t *)task->a)[matrix + r * columns + c];
					else
						((float *)task->out)[matrix + c * rows + r] =
						    ((const float *)task->a)[matrix + r * columns + c];
	}
}

static HL_VECTOR_CLONES void transpose32(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	transpose(task, begin, end, false);
}

static HL_VECTOR_CLONES void transpose16(const struct hl_vector_task *task, int64_t begin, int64_t end)
{
	transpose(task, begin, end, true);
}

static void flatten(const struct hl_vector *node, const void *from, void *to, int64_t images, int64_t rows,
                    int64_t columns)
{
	struct hl_vector_task task = {.a = from, .out = to, .tile = rows, .shards = columns};
	int64_t grain = GRAIN / (SQUARE * columns) + 1;

	hl_vector_run(node->half ? transpose16 : transpose32, &task, images * ((rows + SQUARE - 1) / SQUARE), grain,
	              node->threads);
}

static void flatten_forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	struct hl_shape in = call->shapes->in[0];

	flatten((const struct hl_vector *)primitive, call->in[0]->data, call->out->data, in.n, in.d * in.h * in.w,
	        in.c);
}

static void flatten_backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	struct hl_shape in = call->shapes->in[0];

	if (call->din[0])
		flatten((const struct hl_vector *)primitive, call->dout->data, call->din[0]->data, in.n, in.c,
		        in.d * in.h * in.w);
}

/* ---- which node runs here ---- */

static void destroy(struct hl_primitive *primitive)
{
	hl_free(primitive);
}

static enum hilum_status fill_relu(const struct hl_compile *request, struct hl_vector *node)
{
	(void)request;
	node->primitive.forward = relu_forward;
	node->primitive.backward = relu_backward;
	return HILUM_OK;
}

static enum hilum_status fill_leakyrelu(const struct hl_compile *request, struct hl_vector *node)
{
	(void)request;
	node->primitive.forward = leakyrelu_forward;
	node->primitive.backward = leakyrelu_backward;
	return HILUM_OK;
}

static enum hilum_status fill_add(const struct hl_compile *request, struct hl_vector *node)
{
	/* Sums of more are rounded once by the reference, and rare. */
	if (request->shapes->inputs != 2)
		return HILUM_ERROR_UNSUPPORTED;
	node->primitive.forward = add_forward;
	node->primitive.backward = add_backward;
	return HILUM_OK;
}

static enum hilum_status fill_dropout(const struct hl_compile *request, struct hl_vector *node)
{
	if (request->training)
		return hl_vector_dropout(request, node);
	node->primitive.forward = same_forward;
	return HILUM_OK;
}

static enum hilum_status fill_flatten(const struct hl_compile *request, struct hl_vector *node)
{
	(void)request;
	node->primitive.forward = flatten_forward;
	node->primitive.backward = flatten_backward;
	return HILUM_OK;
}

static enum hilum_status fill_batchnorm(const struct hl_compile *request, struct hl_vector *node)
{
	return hl_vector_batchnorm(request, (struct hl_norm *)node);
}

static const struct {
	const char *op;
	enum hilum_status (*fill)(const struct hl_compile *request, struct hl_vector *node);
} table[] = {
    {"batchnorm", fill_batchnorm},
    {"maxpool", hl_vector_maxpool},
    {"avgpool", hl_vector_avgpool},
    {"globalpool", hl_vector_globalpool},
    {"relu", fill_relu},
    {"leakyrelu", fill_leakyrelu},
    {"add", fill_add},
    {"flatten", fill_flatten},
    {"dropout", fill_dropout},
};

static enum hilum_status compile(const struct hl_compile *request, struct hl_primitive **out, struct hilum_error *error)
{
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct hl_vector *node;
		enum hilum_status status;
		if (strcmp(table[i].op, request->op->name) != 0)
			continue;
		if (request->links > 0 && table[i].fill != fill_batchnorm)
			break;
		node = hl_alloc(1, sizeof(struct hl_norm)); /* the largest */
		if (!node)
			return hl_fail_memory(error, sizeof(struct hl_norm), "a compiled layer");
		node->threads = request->threads > 0 ? request->threads : 1;
		node->half = request->type == HL_BF16;
		node->use_output = request->op->keeps_output;
		node->primitive.backend = hl_backend_vector.name;
		node->primitive.destroy = destroy;
		status = table[i].fill(request, node);
		if (status) {
			hl_free(node);
			return hl_fail(error, status, "vector: %s: not of a kind that runs here", request->op->name);
		}
		*out = &node->primitive;
		return HILUM_OK;
	}
	return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "vector: no %s here%s", request->op->name,
	               request->links > 0 ? " with others" : "");
}

const struct hl_backend hl_backend_vector = {.name = "vector", .compile = compile};
