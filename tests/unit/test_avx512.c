/* The AVX-512 back end where samples of the ops do not lead: every size of tile in both types, chains of layers that
 * run as one, and what is refused. Each is compared with the reference, node by node. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/random.h"
#include "nn/backend.h"

#define NODES_MAX (HL_LINKS_MAX + 1)

static const struct hl_backend *backend;

/* Exactly as many bytes as asked for, so that the address sanitizer sees the first one too many; NaN. */
static void *block(size_t bytes)
{
	void *memory = NULL;
	if (posix_memalign(&memory, 64, bytes ? bytes : 1))
		abort();
	memset(memory, 0xff, bytes ? bytes : 1);
	return memory;
}

static void fill(float *out, int64_t count, uint32_t key, double low, double high)
{
	struct hl_random random = hl_random_stream(5, 0, key, HL_RANDOM_TEST);
	for (int64_t i = 0; i < count; i++)
		out[i] = (float)hl_random_range(&random, low, high);
}

/* A tensor of values that its type can hold exactly. */
static struct hl_tensor tensor(struct hl_shape shape, enum hl_type type, uint32_t key)
{
	int64_t count = hl_shape_count(shape);
	struct hl_tensor out = {shape, type, block((size_t)count * hl_type_size(type))};
	float *values = block((size_t)count * sizeof(float));
	fill(values, count, key, -1, 1);
	hl_convert(values, HL_F32, out.data, type, count);
	free(values);
	return out;
}

static struct hl_tensor widened(const struct hl_tensor *of)
{
	struct hl_tensor out = {of->shape, HL_F32, block((size_t)hl_shape_count(of->shape) * sizeof(float))};
	hl_convert(of->data, of->type, out.data, HL_F32, hl_shape_count(of->shape));
	return out;
}

/* |got - expected| / |expected| in the Euclidean norm. */
static double error_of(const struct hl_tensor *got, const struct hl_tensor *expected)
{
	struct hl_tensor values = widened(got);
	const float *a = values.data, *b = expected->data;
	double apart = 0, norm = 1e-6;
	for (int64_t i = 0; i < hl_shape_count(got->shape); i++) {
		double difference = (double)a[i] - b[i];
		apart += difference * difference;
		norm += (double)b[i] * b[i];
	}
	free(values.data);
	return sqrt(apart / norm);
}

static void assert_near(const struct hl_tensor *got, const struct hl_tensor *expected, const char *what)
{
	double error = error_of(got, expected), limit = got->type == HL_BF16 ? 1e-2 : 1e-5;
	if (!(error <= limit))
		fail_msg("%s, %s: error %.3g", what, got->type == HL_BF16 ? "bf16" : "fp32", error);
}

/* ---- layers behind one another ---- */

struct node {
	const struct hl_op *op;
	void *options;
	struct hl_infer shapes;
	float *param[HL_PARAMS_MAX];
};

struct chain {
	int nodes;
	struct node node[NODES_MAX];
};

/* "conv filters=3; batchnorm; add; relu" on an input of a shape. */
static void chain_open(struct chain *chain, const char *text, struct hl_shape in)
{
	char copy[256], *rest_of_text, *rest;
	snprintf(copy, sizeof(copy), "%s", text);
	*chain = (struct chain){0};
	for (char *line = strtok_r(copy, ";", &rest_of_text); line; line = strtok_r(NULL, ";", &rest_of_text)) {
		struct node *node = &chain->node[chain->nodes++];
		char *word = strtok_r(line, " ", &rest);
		node->op = hl_op_find(word);
		node->options = block(node->op->options_size);
		memset(node->options, 0, node->op->options_size);
		hilum_options_init(node->op->options, node->options);
		while ((word = strtok_r(NULL, " ", &rest))) {
			char *value = strchr(word, '=');
			*value++ = '\0';
			assert_int_equal(hilum_option_set(node->op->options, node->options, word, value, NULL), 0);
		}
		node->shapes = (struct hl_infer){.inputs = node->op->inputs_min, .spatial = in.d > 1 ? 3 : 2};
		for (int i = 0; i < node->shapes.inputs; i++)
			node->shapes.in[i] = in;
		if (node->op->infer(node->options, &node->shapes, NULL))
			fail_msg("%s: refused", text);
		in = node->shapes.out;
		for (int i = 0; i < node->shapes.params; i++) {
			const struct hl_param_spec *spec = &node->shapes.param[i];
			int64_t count = 1;
			for (int k = 0; k < spec->rank; k++)
				count *= spec->dims[k];
			node->param[i] = block((size_t)count * sizeof(float));
			fill(node->param[i], count, 10 + (uint32_t)i, spec->init == HL_INIT_ONE ? 0.5 : -0.5, 1);
		}
	}
}

static void chain_close(struct chain *chain)
{
	for (int i = 0; i < chain->nodes; i++) {
		for (int k = 0; k < chain->node[i].shapes.params; k++)
			free(chain->node[i].param[k]);
		free(chain->node[i].options);
	}
}

static bool strict;

static struct hl_compile request_of(const struct chain *chain, enum hl_type type, int32_t threads)
{
	const struct node *head = &chain->node[0];
	struct hl_compile request = {.op = head->op,
	                             .options = head->options,
	                             .shapes = &head->shapes,
	                             .links = chain->nodes - 1,
	                             .type = type,
	                             .strict = strict,
	                             .threads = threads};
	for (int i = 1; i < chain->nodes; i++)
		request.link[i - 1] =
		    (struct hl_link){chain->node[i].op, chain->node[i].options, &chain->node[i].shapes};
	return request;
}

static struct hl_tensor run_reference(const struct chain *chain, const struct hl_tensor *in,
                                      const struct hl_tensor *add)
{
	struct hl_tensor now = widened(in), other = widened(add);
	for (int i = 0; i < chain->nodes; i++) {
		const struct node *node = &chain->node[i];
		struct hl_tensor out = {node->shapes.out, HL_F32, NULL};
		struct hl_call call = {.shapes = &node->shapes,
		                       .options = node->options,
		                       .in = {&now, &other},
		                       .out = &out,
		                       .scratch = block(node->shapes.scratch)};
		out.data = block((size_t)hl_shape_count(out.shape) * sizeof(float));
		memcpy(call.param, node->param, sizeof(node->param));
		node->op->forward(&call);
		free(call.scratch);
		free(now.data);
		now = out;
	}
	free(other.data);
	return now;
}

static enum hilum_status run_backend(const struct chain *chain, const struct hl_tensor *in, const struct hl_tensor *add,
                                     int32_t threads, struct hl_tensor *out)
{
	struct hl_compile request = request_of(chain, in->type, threads);
	struct hl_shape shape = chain->node[chain->nodes - 1].shapes.out;
	struct hl_primitive *primitive;
	enum hilum_status status = backend->compile(&request, &primitive, NULL);
	if (status)
		return status;
	*out = (struct hl_tensor){shape, in->type, block((size_t)hl_shape_count(shape) * hl_type_size(in->type))};
	struct hl_call call = {.shapes = request.shapes, .options = request.options, .in = {in, add}, .out = out};
	int params = 0;
	for (int i = 0; i < chain->nodes; i++)
		for (int k = 0; k < chain->node[i].shapes.params; k++)
			call.param[params++] = chain->node[i].param[k];
	call.scratch = block(primitive->scratch);
	primitive->prepare(primitive, call.param);
	primitive->forward(primitive, &call);
	free(call.scratch);
	primitive->destroy(primitive);
	return HILUM_OK;
}

static void check_chain(const char *text, const char *shape_text, enum hl_type type)
{
	struct hl_shape shape;
	struct chain chain;
	char what[512];
	assert_true(hl_shape_parse(shape_text, &shape));
	chain_open(&chain, text, shape);
	struct hl_tensor in = tensor(shape, type, 1), add = tensor(chain.node[0].shapes.out, type, 2), out[2];
	struct hl_tensor expected = run_reference(&chain, &in, &add);
	snprintf(what, sizeof(what), "%s %s", shape_text, text);
	for (int i = 0; i < 2; i++)
		if (run_backend(&chain, &in, &add, i == 0 ? 1 : 3, &out[i]))
			fail_msg("%s: not taken", what);
	assert_near(&out[0], &expected, what);
	assert_memory_equal(out[0].data, out[1].data, (size_t)hl_shape_count(out[0].shape) * hl_type_size(type));
	for (int i = 0; i < 2; i++)
		free(out[i].data);
	free(in.data);
	free(add.data);
	free(expected.data);
	chain_close(&chain);
}

static bool runs(enum hl_type type)
{
	struct hl_cpu cpu = hl_cpu_describe();
	return type == HL_BF16 ? cpu.bf16_pairs || cpu.amx : cpu.avx512;
}

static void check_chains(const char *const texts[][2], size_t count)
{
	for (int type = HL_F32; type <= HL_BF16; type++)
		for (size_t i = 0; i < count && runs((enum hl_type)type); i++)
			check_chain(texts[i][0], texts[i][1], (enum hl_type)type);
}

static void test_chains(void **state)
{
	static const char *const chains[][2] = {
	    {"conv filters=40 size=3 pad=1; batchnorm", "2x1x9x17x20"},
	    {"conv filters=40 size=3 pad=1 bias=false; batchnorm; relu", "2x1x9x17x3"},
	    {"conv filters=33 size=3 pad=1; relu", "1x1x20x21x17"},
	    {"conv filters=24 size=3 pad=1; leakyrelu slope=0.2", "1x1x6x21x7"},
	    {"conv filters=70 size=3 pad=1 stride=2; batchnorm; add; relu", "2x1x9x15x40"},
	    {"conv filters=19 size=3 pad=1; batchnorm; add; leakyrelu slope=0.1", "2x1x9x15x3"},
	    {"conv filters=33 size=1; add", "2x3x4x5x24"},
	    {"conv filters=18 size=3 pad=1; batchnorm; relu; maxpool size=2", "2x1x9x12x3"},
	    {"conv filters=35 size=3 pad=1; batchnorm; relu; maxpool size=2", "2x1x36x31x20"},
	    {"conv filters=20 size=3 pad=1; maxpool size=2x3 stride=3x1 pad=1", "2x1x36x31x20"},
	    {"conv filters=32 size=7 stride=2 pad=3; batchnorm; relu; maxpool size=3 stride=2 pad=1", "1x1x61x33x3"},
	    {"conv filters=20 size=3 pad=1; leakyrelu slope=0.3; maxpool size=2", "2x5x6x7x1"},
	    {"conv filters=20 size=3 pad=1; relu; maxpool size=2 pad=1", "2x4x6x7x18"},
	    {"conv filters=20 size=3 pad=1; relu; maxpool size=2", "1x1x7x5x330"},
	    {"conv filters=20 size=3 pad=1; leakyrelu slope=0.3", "3x7x6x5x18"},
	    {"conv filters=33 size=3 pad=1x0x2 stride=1; relu", "2x1x27x38x16"},
	    {"conv filters=20 size=2x3x3 pad=1x1x1 stride=1; add", "5x2x3x2x50"},
	    {"conv filters=20 size=1x3x3 stride=2x1x1 dilation=3x1x1; add", "5x5x6x7x17"},
	    /* for tiles: several images a task, rows in pieces, every remainder by the stride */
	    {"conv filters=33 size=3 pad=1; relu", "19x1x3x3x33"},
	    {"conv filters=17 size=1; add", "1x1x50x150x5"},
	    {"conv filters=18 size=1x3 pad=0x1; batchnorm", "1x1x2x4100x33"},
	    {"conv filters=18 size=2x3 stride=2x3 pad=1x2", "1x1x5x9000x34"},
	    {"conv filters=40 size=4x5 stride=3x2 dilation=2x3 pad=5x4; relu", "2x1x17x19x66"},
	    {"conv filters=20 size=2x3x3 stride=2x3x2 pad=1; add", "9x5x7x8x49"},
	};
	(void)state;
	check_chains(chains, sizeof(chains) / sizeof(chains[0]));
}

/* ---- NaN ---- */

/* Activation and pooling let NaN through, as the reference does. */
static void test_nan(void **state)
{
	struct hl_shape shape = {1, 1, 6, 6, 3};
	struct chain chain;
	(void)state;
	chain_open(&chain, "conv filters=20 size=1; relu; maxpool size=2", shape);
	for (int type = HL_F32; type <= HL_BF16 && runs((enum hl_type)type); type++) {
		struct hl_tensor in = tensor(shape, (enum hl_type)type, 1), out;
		memset((char *)in.data + 9 * 3 * hl_type_size(in.type), 0xff, hl_type_size(in.type));
		struct hl_tensor expected = run_reference(&chain, &in, &in);
		assert_int_equal(run_backend(&chain, &in, &in, 1, &out), HILUM_OK);
		struct hl_tensor values = widened(&out);
		const float *a = values.data, *b = expected.data;
		int64_t count = 0;
		for (int64_t i = 0; i < hl_shape_count(out.shape); i++) {
			assert_int_equal(isnan(a[i]) != 0, isnan(b[i]) != 0);
			count += isnan(a[i]) != 0;
		}
		assert_int_equal(count, 20);
		free(values.data);
		free(expected.data);
		free(out.data);
		free(in.data);
	}
	chain_close(&chain);
}

/* ---- tiles ---- */

/* Rows of 1 to 14 places and 1 to 5 blocks of output channels, padded and not, in one slice of channels and several. */
static void test_tiles(void **state)
{
	static const char *const kinds[] = {"size=1x3", "size=1x3 pad=0x1", "size=3 pad=1", "size=1"};
	static const int channels[] = {2, 9, 11};
	(void)state;
	for (int type = HL_F32; type <= HL_BF16 && runs((enum hl_type)type); type++)
		for (int blocks = 1; blocks <= 5; blocks++)
			for (int width = 1; width <= 14; width++)
				for (int kind = 0; kind < 4; kind++) {
					char text[64], shape[64];
					if (kind == 0 && width < 3)
						continue;
					snprintf(text, sizeof(text), "conv filters=%d %s", 16 * blocks - width,
					         kinds[kind]);
					snprintf(shape, sizeof(shape), "1x1x2x%dx%d", width, channels[width % 3]);
					check_chain(text, shape, (enum hl_type)type);
				}
}

/* Many channels and taps: weights in slices, sums that wait. */
static void test_slices(void **state)
{
	static const char *const chains[][2] = {
	    {"conv filters=70 size=3 pad=1", "2x1x5x9x301"},
	    {"conv filters=130 size=1 stride=2", "2x1x9x9x1500"},
	    {"conv filters=20 size=5x7 pad=2x3; relu", "1x1x9x11x75"},
	    {"conv filters=66 size=3 pad=1; batchnorm; add; relu", "1x3x5x4x101"},
	};
	(void)state;
	check_chains(chains, sizeof(chains) / sizeof(chains[0]));
}

/* Float32 on tiles: as exact as two and three parts are, and strict the very bits that there are without tiles. */
static void test_parts(void **state)
{
	static const char *const texts[] = {"conv filters=40 size=3 pad=1", "conv filters=40 size=1",
	                                    "conv filters=32 size=5"};
	static const int channels[] = {70, 32, 3};
	const char *processor = getenv("HILUM_CPU");
	(void)state;
	if (!hl_cpu_describe().amx)
		skip();
	for (int i = 0; i < 3; i++) {
		struct hl_shape shape = {2, 1, 12, 17, channels[i]};
		struct hl_tensor in = tensor(shape, HL_F32, 1), out[4];
		struct chain chain;
		chain_open(&chain, texts[i], shape);
		struct hl_tensor expected = run_reference(&chain, &in, &in);
		assert_int_equal(run_backend(&chain, &in, &in, 1, &out[0]), HILUM_OK);
		setenv("HILUM_FP32_PRODUCTS", "6", 1);
		assert_int_equal(run_backend(&chain, &in, &in, 1, &out[1]), HILUM_OK);
		unsetenv("HILUM_FP32_PRODUCTS");
		strict = true;
		assert_int_equal(run_backend(&chain, &in, &in, 1, &out[2]), HILUM_OK);
		strict = false;
		setenv("HILUM_CPU", "avx512", 1);
		assert_int_equal(run_backend(&chain, &in, &in, 1, &out[3]), HILUM_OK);
		if (processor)
			setenv("HILUM_CPU", "amx-emulated", 1);
		else
			unsetenv("HILUM_CPU");
		double three = error_of(&out[0], &expected), six = error_of(&out[1], &expected);
		/* The reference sums in float32 too. */
		if (!(three > 2e-6 && three < 6e-6 && six < 1.2e-6))
			fail_msg("%s: error %.3g with two parts, %.3g with three", texts[i], three, six);
		assert_memory_equal(out[2].data, out[3].data, (size_t)hl_shape_count(out[2].shape) * sizeof(float));
		for (int k = 0; k < 4; k++)
			free(out[k].data);
		free(in.data);
		free(expected.data);
		chain_close(&chain);
	}
}

/* ---- gradient of the input ---- */

static void check_gradient(const char *text, const char *shape_text, enum hl_type type)
{
	struct hl_shape shape;
	struct chain chain;
	assert_true(hl_shape_parse(shape_text, &shape));
	chain_open(&chain, text, shape);
	const struct node *node = &chain.node[0];
	struct hl_tensor dout = tensor(node->shapes.out, type, 3), din = tensor(shape, type, 4);
	struct hl_tensor wide = widened(&dout), expected = widened(&din);
	struct hl_compile request = request_of(&chain, type, 2);
	request.training = true;
	request.want_din[0] = true;
	struct hl_call call = {.shapes = &node->shapes,
	                       .options = node->options,
	                       .dout = &wide,
	                       .din = {&expected},
	                       .scratch = block(node->shapes.scratch)};
	memcpy(call.param, node->param, sizeof(node->param));
	node->op->backward(&call);
	free(call.scratch);
	struct hl_primitive *primitive;
	if (backend->compile(&request, &primitive, NULL))
		fail_msg("%s %s: not taken", shape_text, text);
	call.dout = &dout;
	call.din[0] = &din;
	call.scratch = block(primitive->scratch);
	primitive->prepare(primitive, call.param);
	primitive->backward(primitive, &call);
	assert_near(&din, &expected, text);
	primitive->destroy(primitive);
	free(call.scratch);
	free(dout.data);
	free(din.data);
	free(wide.data);
	free(expected.data);
	chain_close(&chain);
}

static void test_gradient(void **state)
{
	static const char *const layers[][2] = {
	    {"conv filters=40 size=3 pad=1", "2x1x9x17x20"},
	    {"conv filters=5 size=3 pad=1", "2x1x9x17x36"},
	    {"conv filters=70 size=3 pad=1 stride=2", "2x1x9x15x40"},
	    {"conv filters=33 size=1 stride=2", "2x1x8x9x24"},
	    {"conv filters=33 size=1", "2x3x4x5x24"},
	    {"conv filters=20 size=4x5 stride=3x2 dilation=2x3 pad=5x4", "1x1x17x19x18"},
	    {"conv filters=20 size=3 stride=2 dilation=2 pad=2", "1x1x9x9x18"},
	    {"conv filters=12 size=2 stride=3", "2x5x7x9x18"},
	    {"conv filters=18 size=3 pad=1", "3x7x6x5x40"},
	    {"conv filters=18 size=2x3x3 stride=2x1x1 pad=0x2x0", "2x7x6x5x40"},
	    {"conv filters=320 size=3 pad=1", "1x1x5x7x20"},
	    {"conv filters=20 size=1 pad=2 stride=3", "1x1x3x2x18"},
	    {"conv filters=34 size=3 pad=1 stride=2", "19x1x5x4x33"},
	    {"conv filters=65 size=3x3x2 pad=1 stride=2x2x1", "9x3x5x4x7"},
	};
	(void)state;
	for (int type = HL_F32; type <= HL_BF16; type++)
		for (size_t i = 0; i < sizeof(layers) / sizeof(layers[0]) && runs((enum hl_type)type); i++)
			check_gradient(layers[i][0], layers[i][1], (enum hl_type)type);
}

/* ---- what is left to others ---- */

static enum hilum_status compile(const char *text, const char *shape_text, bool training)
{
	struct hl_shape shape;
	struct chain chain;
	struct hl_primitive *primitive;
	assert_true(hl_shape_parse(shape_text, &shape));
	chain_open(&chain, text, shape);
	struct hl_compile request = request_of(&chain, HL_F32, 1);
	request.training = training;
	request.want_din[0] = training;
	enum hilum_status status = backend->compile(&request, &primitive, NULL);
	if (!status)
		primitive->destroy(primitive);
	chain_close(&chain);
	return status;
}

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(compile("conv filters=8 size=3 groups=4", "1x1x5x5x4", false), HILUM_ERROR_UNSUPPORTED);
	assert_int_equal(compile("conv filters=8; silu", "1x1x5x5x4", false), HILUM_ERROR_UNSUPPORTED);
	assert_int_equal(compile("conv filters=8; relu", "1x1x5x5x4", true), HILUM_ERROR_UNSUPPORTED);
	assert_int_equal(compile("conv filters=8; add; maxpool", "1x1x5x5x4", false), HILUM_ERROR_UNSUPPORTED);
	assert_int_equal(compile("conv filters=8; maxpool size=3 stride=2", "1x7x7x7x4", false),
	                 HILUM_ERROR_UNSUPPORTED);
	assert_int_equal(compile("relu", "1x1x5x5x4", false), HILUM_ERROR_UNSUPPORTED);
	assert_int_equal(compile("conv filters=8 size=2 stride=9", "1x1x20x20x4", true), HILUM_ERROR_UNSUPPORTED);
}

static int find_backend(void **state)
{
	(void)state;
	for (const struct hl_backend *const *one = hl_backends(); *one; one++)
		if (strcmp((*one)->name, "avx512") == 0)
			backend = *one;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_chains), cmocka_unit_test(test_nan),      cmocka_unit_test(test_tiles),
	    cmocka_unit_test(test_slices), cmocka_unit_test(test_gradient), cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_parts),
	};
	find_backend(NULL);
	if (!backend || !runs(HL_F32)) {
		print_message("this processor has no AVX-512: nothing to test\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
