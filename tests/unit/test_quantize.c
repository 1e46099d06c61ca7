/* Networks in int8: numbers as bytes, each layer against exact arithmetic and against float32, the same bytes from
 * every back end and thread count, and models that carry their scales. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/recipe.h"
#include "hilum/hilum.h"
#include "infer/precision.h"
#include "model/model.h"
#include "model/quantization.h"
#include "nn/arch.h"
#include "nn/backends/int8.h"
#include "nn/plan.h"
#include "nn/quant_fit.h"

#define NODES_MAX 32

static const struct hl_backend *const reference_only[] = {&hl_backend_reference, NULL};

static float *noise(int64_t count, uint32_t stream, double centre, double spread)
{
	float *out = hl_block_alloc((size_t)count * sizeof(float));
	struct hl_random random = hl_random_stream(31, 0, stream, HL_RANDOM_TEST);
	for (int64_t i = 0; i < count; i++)
		out[i] = (float)(centre + spread * hl_random_normal(&random));
	return out;
}

/* ---- numbers as bytes ---- */

/* Greys between two bytes are told exactly, all but at the border of a picture. */
static void test_offset(void **state)
{
	const struct hl_quant plain = {.scale = 0.5F, .zero = 10};
	const float values[] = {0.2F, 0.7F, 1.2F, -3.3F};
	float back[4];
	uint8_t bytes[4];
	(void)state;
	assert_float_equal(hl_quant_loss(values, plain, 4), 0.8, 1e-6);
	const struct hl_quant quant = {.scale = 0.5F, .zero = 10, .offset = 0.2F};
	hl_quantise(values, quant, bytes, 4);
	hl_dequantise(bytes, quant, back, 4);
	for (int i = 0; i < 4; i++)
		assert_float_equal(back[i], values[i], 1e-6);
}

static void test_ranges(void **state)
{
	static const struct {
		float low, high;
		int32_t zero;
	} cases[] = {{0, 1, 0}, {-1, 1, 128}, {-1, 0, 255}, {3, 5, 0}, {-5, -3, 255}, {0, 0, 0}, {-1, 3, 64}};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct hl_quant quant = hl_quant_of_range(cases[i].low, cases[i].high);
		float back[256], zero = 0;
		uint8_t all[256], byte = 77;
		assert_true(hl_quant_valid(quant));
		assert_int_equal(quant.zero, cases[i].zero);
		hl_quantise(&zero, quant, &byte, 1);
		assert_int_equal(byte, quant.zero);
		for (int k = 0; k < 256; k++)
			all[k] = (uint8_t)k;
		hl_dequantise(all, quant, back, 256);
		memset(all, 0, sizeof(all));
		hl_quantise(back, quant, all, 256);
		for (int k = 0; k < 256; k++)
			assert_int_equal(all[k], k);
	}
	assert_true(hl_quant_valid(hl_quant_of_range(-1e38F, 3e38F)));
	assert_true(hl_quant_valid(hl_quant_of_range(0, 1e-38F)));
}

static void test_rounding(void **state)
{
	const struct hl_quant quant = {.scale = 0.5F, .zero = 10};
	const float values[] = {0.25F, 0.75F, -0.25F, -0.75F, 0.24F,    0.26F,
	                        1000,  -1000, 1e30F,  -1e30F, INFINITY, -INFINITY};
	const uint8_t expected[] = {10, 12, 10, 8, 10, 11, 255, 0, 255, 0, 255, 0};
	uint8_t bytes[sizeof(expected)];
	(void)state;
	hl_quantise(values, quant, bytes, sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(expected));
}

/* A far value that hardly ever occurs is cut off; even values are not. */
static void test_choice(void **state)
{
	struct hl_range even = {.low = 0}, *far = hl_alloc(1, sizeof(*far));
	float values[1000], most = 10;
	(void)state;
	for (int i = 0; i < 1000; i++)
		values[i] = (float)i / 1000;
	hl_range_widen(&even, values, 1000);
	hl_range_count(&even, values, 1000);
	assert_float_equal(hl_range_choose(&even).scale, 0.999 / 255, 2e-5);
	hl_range_widen(far, &most, 1);
	for (int k = 0; k < 100; k++) {
		hl_range_widen(far, values, 1000);
		hl_range_count(far, values, 1000);
	}
	most = 1.5F;
	far->high = 1.5F;
	memset(far->count, 0, sizeof(far->count));
	for (int k = 0; k < 100; k++)
		hl_range_count(far, values, 1000);
	hl_range_count(far, &most, 1);
	assert_true(hl_range_choose(far).scale < 1.4F / 255);
	hl_free(far);
}

/* ---- layers ---- */

struct net {
	struct hl_graph *graph;
	float *slab, *images;
	int64_t batch, sample;
	struct hl_quant quant[NODES_MAX];
};

/* Batch norms that move and turn; scales from the images themselves. */
static void net_open(struct net *net, const char *text, int64_t batch)
{
	struct hilum_error error = {.code = HILUM_OK};
	struct hl_quant_fit *fit;
	if (hl_arch_parse(text, (struct hl_shape){0}, 1, &net->graph, &error))
		fail_msg("%s", error.message);
	assert_true(net->graph->nodes <= NODES_MAX);
	net->slab = noise(net->graph->floats, 1, 0, 0.2);
	for (int32_t i = 0; i < net->graph->params; i++) {
		const struct hl_param *param = &net->graph->param[i];
		bool variance = strcmp(param->spec.name, "running_var") == 0;
		for (int64_t k = 0; k < param->count && variance; k++)
			net->slab[param->offset + k] = 0.5F + fabsf(net->slab[param->offset + k]);
	}
	net->batch = batch;
	net->sample = hl_shape_sample(net->graph->node[0].shapes.out);
	net->images = noise(batch * net->sample, 2, 0.3, 1);
	assert_int_equal(hl_quant_fit_open(net->graph, net->slab, 2, &fit, &error), 0);
	for (int showing = 0; showing < HL_QUANT_SHOWINGS; showing++) {
		for (int64_t i = 0; i < batch; i++)
			hl_quant_fit_show(fit, net->images + i * net->sample);
		assert_int_equal(hl_quant_fit_next(fit, &error), 0);
	}
	hl_quant_fit_get(fit, net->quant);
	hl_quant_fit_close(fit);
}

static void net_close(struct net *net)
{
	hl_block_free(net->slab, (size_t)net->graph->floats * sizeof(float));
	hl_block_free(net->images, (size_t)(net->batch * net->sample) * sizeof(float));
	hl_graph_free(net->graph);
}

/* Copies of the outputs that a run showed. */
struct seen {
	enum hl_type type[NODES_MAX];
	int64_t count[NODES_MAX];
	void *data[NODES_MAX];
	float logits[64];
};

static void see(void *context, int32_t node, const struct hl_tensor *output)
{
	struct seen *seen = context;
	int64_t count = hl_shape_count(output->shape);
	size_t bytes = (size_t)count * hl_type_size(output->type);
	free(seen->data[node]);
	seen->data[node] = malloc(bytes);
	memcpy(seen->data[node], output->data, bytes);
	seen->type[node] = output->type;
	seen->count[node] = count;
}

static void run(const struct net *net, enum hl_type type, const struct hl_backend *const *backends, int32_t threads,
                int64_t at_a_time, struct seen *seen)
{
	const struct hl_plan_options options = {.batch = net->batch,
	                                        .type = type,
	                                        .quant = net->quant,
	                                        .threads = threads,
	                                        .backends = backends,
	                                        .at_a_time = at_a_time,
	                                        .unfused = type == HL_F32};
	struct hl_plan *plan = NULL;
	struct hilum_error error = {.code = HILUM_OK};
	if (hl_plan_create(net->graph, &options, &plan, &error))
		fail_msg("%s", error.message);
	hl_plan_bind(plan, net->slab);
	*seen = (struct seen){.logits = {0}};
	hl_plan_watch(plan, see, seen);
	const float *logits = hl_plan_forward(plan, net->images, false, 0, 0);
	assert_true(net->batch * hl_plan_outputs(plan) <= 64);
	memcpy(seen->logits, logits, (size_t)(net->batch * hl_plan_outputs(plan)) * sizeof(float));
	hl_plan_destroy(plan);
}

static void forget(struct seen *seen)
{
	for (int i = 0; i < NODES_MAX; i++)
		free(seen->data[i]);
}

static void assert_same(const struct net *net, const struct seen *a, const struct seen *b, const char *text)
{
	int compared = 0;
	for (int32_t i = 1; i < net->graph->nodes; i++) {
		if (!a->data[i] || !b->data[i] || a->type[i] != HL_U8 || b->type[i] != HL_U8)
			continue;
		compared++;
		assert_int_equal(a->count[i], b->count[i]);
		for (int64_t k = 0; k < a->count[i]; k++)
			if (((uint8_t *)a->data[i])[k] != ((uint8_t *)b->data[i])[k])
				fail_msg("%s: %s: byte %lld is %d and %d", text, net->graph->node[i].name, (long long)k,
				         ((uint8_t *)a->data[i])[k], ((uint8_t *)b->data[i])[k]);
	}
	assert_true(compared > 0);
}

#define END "globalpool\ndense units=2"

static const char *const nets[] = {
    /* few channels, read together; every remainder of four */
    "input 1x9x11x1\nconv filters=5 pad=1\nrelu\n" END,
    "input 1x13x7x3\nconv filters=16 pad=1\nbatchnorm\nrelu\nmaxpool size=2\n" END,
    "input 1x14x15x2\nconv filters=33 size=5 stride=2 pad=2\nbatchnorm\nleakyrelu slope=0.1\nmaxpool size=3 stride=2 "
    "pad=1\n" END,
    "input 1x20x19x7\nconv filters=70 size=7 stride=2 pad=3\nrelu\nmaxpool size=3 stride=2 pad=1\n" END,
    /* more, in runs of their own; odd numbers of them; tiles within a row and across */
    "input 1x12x12x9\nconv filters=17 pad=1\nbatchnorm\nrelu\n" END,
    "input 1x7x30x21\nconv filters=64 pad=1\nbatchnorm\nrelu\nmaxpool size=2\n" END,
    "input 1x6x6x10\nconv filters=3 size=1\nbatchnorm\n" END,
    "input 1x11x5x15\nconv filters=130 size=1 stride=2\nrelu\n" END,
    "input 1x10x10x16\nconv filters=31 dilation=2 pad=2\nrelu\n" END,
    "input 1x8x9x3\nconv filters=65 pad=1\nrelu\nmaxpool size=2\n" END,
    "input 1x8x8x24\nconv filters=48 size=3 stride=2\nrelu\nmaxpool size=2\n" END,
    /* slices of input channels: sums wait */
    "input 1x5x5x640\nconv filters=65 pad=1\nrelu\n" END,
    /* depth */
    "input 5x6x7x1\nconv filters=16 pad=1\nbatchnorm\nrelu\nmaxpool size=2\n" END,
    "input 4x6x5x11\nconv filters=20 pad=1 stride=1x2x1\nrelu\n" END,
    "input 6x5x6x4\nconv filters=8 pad=1\nmaxpool size=3 stride=2 pad=1\n" END,
    /* sums of two, either way round, with and without what comes behind */
    "input 1x9x9x8\na: conv filters=24 pad=1\nrelu\nb: conv filters=24 pad=1 bias=false\nbatchnorm\nadd "
    "from=batchnorm1,a\n"
    "relu\nmaxpool size=2\n" END,
    "input 1x8x7x8\na: conv filters=20 size=1\nb: conv filters=20 pad=1 from=a\nadd from=a,b\nleakyrelu\n" END,
    /* groups, and what is computed between two conversions */
    "input 1x9x8x6\nconv filters=12 groups=3 pad=1\nbatchnorm\nrelu\n" END,
    "input 1x9x8x6\nconv filters=8 pad=1\nsilu\nconv filters=8 pad=1\ngelu\nbatchnorm\navgpool size=2\n" END,
    "input 1x9x8x4\na: conv filters=8 pad=1\nb: conv filters=6 pad=1 from=a\nc: concat from=a,b\nconv filters=8\n" END,
    /* dense layers */
    "input 1x4x5x9\nconv filters=7\nflatten\ndense units=70\nrelu\ndropout\ndense units=9\ndense units=2",
    "input 1x1x1x3001\nflatten\ndense units=131 bias=false\nleakyrelu\ndense units=2",
};

static void test_back_ends(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(nets) / sizeof(*nets); i++) {
		struct net net;
		struct seen exact, one, two;
		net_open(&net, nets[i], 3);
		run(&net, HL_U8, reference_only, 1, 3, &exact);
		run(&net, HL_U8, NULL, 1, 3, &one);
		run(&net, HL_U8, NULL, 2, 3, &two);
		assert_same(&net, &exact, &one, nets[i]);
		assert_same(&net, &exact, &two, nets[i]);
		assert_memory_equal(one.logits, two.logits, sizeof(one.logits));
		forget(&two);
		run(&net, HL_U8, NULL, 2, 1, &two);
		assert_memory_equal(one.logits, two.logits, sizeof(one.logits));
		forget(&exact);
		forget(&one);
		forget(&two);
		net_close(&net);
	}
}

/* Each byte is what float32 gives for the same input and weights, rounded: half a step off, and what rounding of the
 * input, of weights and of sums adds. Over many layers that adds up; here it is told at the first one. */
static void test_near_float(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(nets) / sizeof(*nets); i++) {
		struct net net;
		struct seen exact, plain;
		net_open(&net, nets[i], 2);
		run(&net, HL_U8, reference_only, 1, 2, &exact);
		run(&net, HL_F32, reference_only, 1, 2, &plain);
		for (int32_t node = 1; node < net.graph->nodes; node++) {
			if (!exact.data[node] || exact.type[node] != HL_U8)
				continue;
			double apart = 0, norm = 1e-12;
			for (int64_t k = 0; k < exact.count[node]; k++) {
				double want = (double)((float *)plain.data[node])[k];
				double got = ((double)((uint8_t *)exact.data[node])[k] - net.quant[node].zero) *
				             (double)net.quant[node].scale;
				apart += (want - got) * (want - got);
				norm += want * want;
			}
			if (sqrt(apart / norm) > 0.06)
				fail_msg("%s: %s: error %.3g", nets[i], net.graph->node[node].name, sqrt(apart / norm));
		}
		forget(&exact);
		forget(&plain);
		net_close(&net);
	}
}

/* A layer by hand: two inputs 1 and 3 less a zero of 2, weights 1 and -0.5, bias 0.25. */
static void test_by_hand(void **state)
{
	static const char text[] = "input 1x1x1x2\nflatten\ndense units=1\ndense units=1";
	struct net net;
	struct seen seen;
	(void)state;
	net_open(&net, text, 1);
	const float images[] = {1, 3}, weights[] = {1, -0.5F}, bias = 0.25F;
	memcpy(net.images, images, sizeof(images));
	int32_t dense = hl_graph_find(net.graph, "dense1");
	memcpy(net.slab + net.graph->param[net.graph->node[dense].param].offset, weights, sizeof(weights));
	memcpy(net.slab + net.graph->param[net.graph->node[dense].param + 1].offset, &bias, sizeof(bias));
	net.quant[0] = (struct hl_quant){.scale = 0.5F, .zero = 2};
	hl_quant_settle(net.graph, net.quant);
	net.quant[dense] = (struct hl_quant){.scale = 0.125F, .zero = 100};
	run(&net, HL_U8, reference_only, 1, 1, &seen);
	/* Bytes 4 and 8 of the input, 127 and -64 of weights by 1/127: (2 * 127 - 6 * 64) / 254 + 0.25 = -0.26, of
	 * which -2.1 steps. */
	assert_int_equal(((uint8_t *)seen.data[dense])[0], 98);
	forget(&seen);
	net_close(&net);
}

/* No sum leaves an int32, though every byte and weight is as large as can be. */
static void test_no_overflow(void **state)
{
	static const char text[] = "input 1x1x1x90000\nflatten\ndense units=1\ndense units=1";
	struct net net;
	struct seen seen;
	(void)state;
	net_open(&net, text, 1);
	int32_t dense = hl_graph_find(net.graph, "dense1");
	float *weight = net.slab + net.graph->param[net.graph->node[dense].param].offset;
	for (int64_t i = 0; i < 90000; i++) {
		weight[i] = 1;
		net.images[i] = 1;
	}
	net.quant[0] = (struct hl_quant){.scale = 1.0F / 255, .zero = 0};
	hl_quant_settle(net.graph, net.quant);
	net.quant[dense] = (struct hl_quant){.scale = 500, .zero = 0};
	for (int all = 0; all < 2; all++) {
		run(&net, HL_U8, all ? NULL : reference_only, 1, 1, &seen);
		assert_in_range(((uint8_t *)seen.data[dense])[0], 179, 181);
		forget(&seen);
	}
	net_close(&net);
}

/* Parameters of which nothing can be computed do not pass for an answer. */
static void test_broken(void **state)
{
	struct net net;
	struct seen seen;
	(void)state;
	net_open(&net, nets[1], 1);
	int32_t norm = hl_graph_find(net.graph, "batchnorm1");
	net.slab[net.graph->param[net.graph->node[norm].param + 3].offset] = -5;
	for (int all = 0; all < 2; all++) {
		run(&net, HL_U8, all ? NULL : reference_only, 1, 1, &seen);
		assert_true(isnan(seen.logits[0]));
		forget(&seen);
	}
	net_close(&net);
}

static void test_backends_used(void **state)
{
	struct hl_cpu cpu = hl_cpu_describe();
	struct net net;
	struct hl_plan *plan;
	(void)state;
	net_open(&net, nets[1], 1);
	const struct hl_plan_options options = {.batch = 1, .type = HL_U8, .quant = net.quant, .threads = 1};
	assert_int_equal(hl_plan_create(net.graph, &options, &plan, NULL), 0);
	assert_string_equal(hl_plan_backend(plan, 1), cpu.avx512 && cpu.avx512_vnni ? "avx512" : "reference");
	hl_plan_destroy(plan);
	const struct hl_plan_options training = {.batch = 1, .type = HL_U8, .quant = net.quant, .training = true};
	assert_int_equal(hl_plan_create(net.graph, &training, &plan, NULL), HILUM_ERROR_INTERNAL);
	net_close(&net);
}

/* ---- models ---- */

#define SIDE 12

static const char arch[] = "conv filters=8 pad=1\nbatchnorm\nrelu\nmaxpool size=2\nflatten\ndense units=16\nrelu\n"
                           "dense units=$outputs\n";

static struct hilum_model *make_model(void)
{
	static char *classes[] = {"a", "b"};
	struct hl_recipe recipe = {.channels = 1,
	                           .size = SIDE,
	                           .fit = HL_FIT_CROP,
	                           .window = {-600, 1500},
	                           .mean = {0.5, 0.5, 0.5},
	                           .deviation = {0.25, 0.25, 0.25}};
	struct hilum_model *model;
	struct hilum_error error;
	if (hl_model_create(arch, hl_recipe_shape(&recipe), classes, 2, 7, &model, &error))
		fail_msg("%s", error.message);
	model->recipe = hl_recipe_json(&recipe);
	return model;
}

static void add_scales(struct hilum_model *model)
{
	struct hl_quant quant[NODES_MAX];
	struct hl_quant_fit *fit;
	float *image = noise(SIDE * SIDE, 4, 0, 1);
	assert_int_equal(hl_quant_fit_open(model->graph, model->slab, 1, &fit, NULL), 0);
	for (int showing = 0; showing < HL_QUANT_SHOWINGS; showing++) {
		hl_quant_fit_show(fit, image);
		assert_int_equal(hl_quant_fit_next(fit, NULL), 0);
	}
	hl_quant_fit_get(fit, quant);
	hl_quant_fit_close(fit);
	model->quantization = hl_quantization_print(model->graph, quant, "{}");
	assert_non_null(model->quantization);
	hl_block_free(image, SIDE * SIDE * sizeof(float));
}

static double predicted(const struct hilum_model *model, int precision, int64_t threads)
{
	const struct hilum_session_options options = {.precision = precision, .threads = threads};
	struct hilum_session *session;
	struct hilum_prediction prediction;
	uint8_t pixels[SIDE * SIDE];
	for (int i = 0; i < SIDE * SIDE; i++)
		pixels[i] = (uint8_t)(i * 37);
	assert_int_equal(hilum_session_open(model, &options, &session, NULL), 0);
	assert_int_equal(hilum_predict_pixels(session, pixels, HILUM_PIXEL_U8, SIDE, SIDE, 1, &prediction, NULL), 0);
	hilum_session_close(session);
	return prediction.probability;
}

static void test_model(void **state)
{
	char path[] = "/tmp/hilum-quantize-XXXXXX";
	struct hilum_model *model = make_model(), *again;
	struct hilum_error error;
	const struct hilum_session_options int8 = {.precision = 2};
	struct hilum_session *session = NULL;
	int fd = mkstemp(path);
	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(hilum_session_open(model, &int8, &session, &error), HILUM_ERROR_DATA);
	assert_non_null(strstr(error.message, "hilum quantize"));
	add_scales(model);
	double before = predicted(model, 2, 1), plain = predicted(model, 0, 1);
	assert_true(before != plain);
	assert_float_equal(before, plain, 0.05);
	assert_int_equal(hl_model_save(model, path, NULL), 0);
	if (hl_model_load(path, &again, &error))
		fail_msg("%s", error.message);
	assert_string_equal(again->quantization, model->quantization);
	assert_true(predicted(again, 2, 1) == before);
	assert_true(predicted(again, 2, 2) == before);
	hilum_model_close(again);
	hilum_model_close(model);
	unlink(path);
}

static void test_hostile(void **state)
{
	static const char *const from = "\"conv1\":[";
	static const char *const bad[] = {
	    "[]",
	    "[1]",
	    "[1,2]",
	    "[1,2,0,0]",
	    "[0,0,0]",
	    "[-1,0,0]",
	    "[1e-11,0,0]",
	    "[1e11,0,0]",
	    "[1,-1,0]",
	    "[1,256,0]",
	    "[1,0.5,0]",
	    "[\"1\",0,0]",
	    "[1,null,0]",
	    "[1,0,null]",
	    "[1,0,256]",
	    "[1,0,-256]",
	    "null",
	    "{}",
	    "1",
	    "[1e400,0,0]",
	    "[true,1,0]",
	    "[1,0,1e400]",
	    "[1,99999999999999999999,0]",
	    "[1,0,0],\"more\":[1,0,0]",
	};
	char path[] = "/tmp/hilum-hostile-XXXXXX";
	struct hilum_model *model = make_model(), *again = NULL;
	struct hl_quant *quant = NULL;
	int fd = mkstemp(path);
	(void)state;
	assert_true(fd >= 0);
	close(fd);
	add_scales(model);
	char *good = model->quantization, *at = strstr(good, from);
	assert_non_null(at);
	at += strlen(from) - 1;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char *text = malloc(strlen(good) + 64);
		sprintf(text, "%.*s%s%s", (int)(at - good), good, bad[i], strchr(at, ']') + 1);
		if (hl_quantization_parse(text, model->graph, &quant, NULL) != HILUM_ERROR_FORMAT)
			fail_msg("taken: %s", text);
		model->quantization = text;
		assert_int_equal(hl_model_save(model, path, NULL), 0);
		assert_int_equal(hl_model_load(path, &again, NULL), HILUM_ERROR_FORMAT);
		free(text);
	}
	model->quantization = good;
	for (const char *const *text = (const char *const[]){"", "[]", "{}", "{\"outputs\":{}}", "{\"outputs\":[]}",
	                                                     "x", "{\"outputs\":{\"input\":[1,0,0]}}", NULL};
	     *text; text++)
		assert_int_equal(hl_quantization_parse(*text, model->graph, &quant, NULL), HILUM_ERROR_FORMAT);
	assert_null(quant);
	hilum_model_close(model);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ranges),        cmocka_unit_test(test_offset),      cmocka_unit_test(test_rounding),
	    cmocka_unit_test(test_choice),        cmocka_unit_test(test_back_ends),   cmocka_unit_test(test_near_float),
	    cmocka_unit_test(test_by_hand),       cmocka_unit_test(test_no_overflow), cmocka_unit_test(test_broken),
	    cmocka_unit_test(test_backends_used), cmocka_unit_test(test_model),       cmocka_unit_test(test_hostile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
