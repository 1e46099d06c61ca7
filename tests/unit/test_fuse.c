/* Which nodes run as one, and that it makes no difference but in time and memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "nn/arch.h"
#include "nn/fuse.h"
#include "nn/plan.h"

static const struct hl_backend *const reference_only[] = {&hl_backend_reference, NULL};

static struct hl_graph *parse(const char *text)
{
	struct hl_graph *graph = NULL;
	struct hilum_error error = {.code = HILUM_OK};
	if (hl_arch_parse(text, (struct hl_shape){0}, 1, &graph, &error))
		fail_msg("%s", error.message);
	return graph;
}

static float *noise(int64_t count, uint32_t stream, double centre, double spread)
{
	float *out = hl_block_alloc((size_t)count * sizeof(float));
	struct hl_random random = hl_random_stream(21, 0, stream, HL_RANDOM_TEST);
	for (int64_t i = 0; i < count; i++)
		out[i] = (float)(centre + spread * hl_random_normal(&random));
	return out;
}

/* ---- what is found ---- */

/* The chain from a node, as names joined by spaces. */
static void chain_of(const struct hl_graph *graph, const char *head, int32_t odd, char text[256])
{
	struct hl_fuse_node node[64] = {{0}};
	int32_t nodes = graph->logits + 1;
	assert_true(nodes <= 64);
	for (int32_t i = 1; i < nodes; i++)
		for (int32_t k = 0; k < graph->node[i].inputs; k++) {
			node[graph->node[i].input[k]].readers++;
			node[graph->node[i].input[k]].reader = i;
		}
	if (odd > 0)
		node[odd].kind = 1;
	struct hl_chain chain = hl_fuse(graph, node, nodes, hl_graph_find(graph, head));
	text[0] = '\0';
	for (int32_t i = 0; i < chain.links; i++) {
		strcat(text, i ? " " : "");
		strcat(text, graph->node[chain.node[i]].name);
	}
}

static void test_chains(void **state)
{
	/* One of everything; what two read, what comes in another order, an add of three and of the same twice. */
	static const char *const text =
	    "input 1x16x16x3\na: conv filters=4 pad=1\nb: batchnorm\nc: conv filters=4 pad=1\nd: batchnorm\n"
	    "e: add from=d,b\nf: relu\ng: maxpool size=2\nh: relu\ni: batchnorm\nj: dropout\nk: leakyrelu\n"
	    "l: conv filters=4 pad=1\nm: add from=l,l\nn: gelu\no: conv filters=4 pad=1\np: add from=o,n,k\nq: silu\n"
	    "r: globalpool\ns: dense units=3\nt: relu\nu: dense units=2\nv: sigmoid";
	static const struct {
		const char *head, *chain;
	} cases[] = {
	    {"a", "b"}, /* b is read twice */
	    {"b", ""},    {"c", "d e f g"}, {"d", "e f g"}, {"e", "f g"},
	    {"f", "g"},   {"g", ""},        {"h", ""}, /* batch norm does not come behind an activation */
	    {"i", ""},                                 /* dropout is of no chain */
	    {"j", ""},    {"k", ""},        {"l", ""}, /* read twice by one */
	    {"m", "n"},   {"o", ""},                   /* an add of three */
	    {"p", "q r"}, {"q", "r"},       {"r", ""},      {"s", "t"},
	    {"t", ""},    {"u", ""}, /* the logits are the last */
	};
	struct hl_graph *graph = parse(text);
	char found[256];
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		chain_of(graph, cases[i].head, 0, found);
		if (strcmp(found, cases[i].chain) != 0)
			fail_msg("from %s: '%s' instead of '%s'", cases[i].head, found, cases[i].chain);
	}
	chain_of(graph, "c", hl_graph_find(graph, "f"), found);
	assert_string_equal(found, "d e");
	int32_t input[HL_INPUTS_MAX];
	struct hl_chain chain = {
	    .links = 3, .node = {hl_graph_find(graph, "d"), hl_graph_find(graph, "e"), hl_graph_find(graph, "f")}};
	assert_int_equal(hl_chain_inputs(graph, hl_graph_find(graph, "c"), &chain, 3, input), 2);
	assert_int_equal(input[0], hl_graph_find(graph, "b"));
	assert_int_equal(input[1], hl_graph_find(graph, "b"));
	assert_int_equal(hl_chain_inputs(graph, hl_graph_find(graph, "c"), &chain, 1, input), 1);
	hl_graph_free(graph);
}

static struct hl_plan *make(const struct hl_graph *graph, const struct hl_plan_options *options, float *slab)
{
	struct hl_plan *plan = NULL;
	struct hilum_error error = {.code = HILUM_OK};
	if (hl_plan_create(graph, options, &plan, &error))
		fail_msg("%s", error.message);
	hl_plan_bind(plan, slab);
	return plan;
}

static const char seed_text[] = "input 1x17x19x3\nconv filters=16 pad=1\nbatchnorm\nrelu\nmaxpool size=2\n"
                                "conv filters=7 pad=1\nbatchnorm\nleakyrelu\nmaxpool size=3 stride=2 pad=1\n"
                                "flatten\ndense units=5\nrelu\ndense units=2";

static void test_what_runs(void **state)
{
	struct hl_graph *graph = parse(seed_text);
	float *slab = noise(graph->floats, 0, 0.5, 0.1);
	struct hl_plan_options options = {.batch = 2, .training = true};
	(void)state;
	for (int type = HL_F32; type <= HL_BF16; type++) {
		options.type = (enum hl_type)type;
		struct hl_plan *plan = make(graph, &options, slab);
		for (int32_t i = 1; i < graph->nodes; i++) {
			/* conv batchnorm relu maxpool, twice */
			int32_t tail = i == 2 || i == 3 ? 4 : i == 6 || i == 7 ? 8 : i;
			assert_int_equal(hl_plan_tail(plan, i), tail);
			assert_string_equal(hl_plan_backend(plan, i), hl_plan_backend(plan, tail));
		}
		assert_string_equal(hl_plan_backend(plan, 2), "vector");
		assert_int_equal(hl_plan_tail(plan, -1), -1);
		assert_int_equal(hl_plan_tail(plan, graph->nodes), graph->nodes);
		hl_plan_destroy(plan);
	}
	options.unfused = true;
	struct hl_plan *plan = make(graph, &options, slab);
	size_t bytes = hl_plan_bytes(plan);
	for (int32_t i = 1; i < graph->nodes; i++)
		assert_int_equal(hl_plan_tail(plan, i), i);
	hl_plan_destroy(plan);
	options.unfused = false;
	plan = make(graph, &options, slab);
	assert_true(hl_plan_bytes(plan) < bytes);
	hl_plan_destroy(plan);
	setenv("HILUM_FUSE", "0", 1);
	plan = make(graph, &options, slab);
	assert_int_equal(hl_plan_tail(plan, 2), 2);
	assert_int_equal(hl_plan_bytes(plan), bytes);
	hl_plan_destroy(plan);
	unsetenv("HILUM_FUSE");
	hl_block_free(slab, (size_t)graph->floats * sizeof(float));
	hl_graph_free(graph);
}

/* ---- the same results ---- */

static double distance(const float *a, const float *b, int64_t count)
{
	double apart = 0, norm = 0;
	for (int64_t i = 0; i < count; i++) {
		apart += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
		norm += (double)b[i] * b[i];
	}
	double error = sqrt(apart) / fmax(sqrt(norm), 1e-6);
	return isfinite(error) ? error : INFINITY;
}

static const char *const nets[] = {
    seed_text,
    /* depth, odd sizes */
    "input 7x9x8x1\nconv filters=16 pad=1\nbatchnorm\nrelu\nmaxpool size=2\nconv filters=8 pad=1\nbatchnorm\nrelu\n"
    "maxpool size=2\nflatten\ndense units=1",
    /* residual: an identity, and a projection that comes before and after what it is added to */
    "input 1x12x12x2\nconv filters=16 pad=1 bias=false\nbatchnorm\na: relu\nconv filters=16 pad=1\nbatchnorm\nrelu\n"
    "conv filters=16 pad=1 bias=false\nbatchnorm\nadd from=batchnorm3,a\nb: relu\n"
    "conv filters=8 stride=2 pad=1 bias=false\nm: batchnorm\nconv filters=8 size=1 stride=2 from=b\nn: batchnorm\n"
    "add from=m,n\nc: relu\nconv filters=8 size=1 from=b stride=2\no: batchnorm\nconv filters=8 size=1 from=c\n"
    "batchnorm\nadd from=o,batchnorm7\nleakyrelu slope=0.2\nglobalpool\ndense units=2",
    /* the input of batch norm is read elsewhere too: no gradient in its place */
    "input 1x8x8x3\nc: conv filters=16 pad=1\nbatchnorm\nr: relu\nadd from=c,r\ns: sigmoid\nb: batchnorm\nadd "
    "from=b,s\n"
    "relu\nmaxpool size=2\nglobalpool\ndense units=1",
    /* behind what keeps its output */
    "input 1x8x8x3\nconv filters=16 pad=1\nsigmoid\nbatchnorm\nrelu\nmaxpool size=2\nflatten\ndense units=1",
    /* logits in the chain */
    "input 1x4x4x3\nconv filters=2 size=4\nbatchnorm\nrelu",
};
#define NETS (sizeof(nets) / sizeof(nets[0]))

struct outcome {
	float *logits, *slab, *gradients;
};

/* Two steps of training, or one pass of evaluation. */
static struct outcome run(const struct hl_graph *graph, const struct hl_plan_options *options)
{
	int64_t outputs = options->batch * hl_shape_sample(graph->node[graph->logits].shapes.out);
	int64_t pixels = options->batch * hl_shape_sample(graph->node[0].shapes.out);
	float *images = noise(pixels, 1, 0, 1), *dlogits = noise(outputs, 2, 0, 1);
	struct outcome outcome = {noise(outputs, 3, 0, 0), noise(graph->floats, 4, 0.4, 0.1),
	                          noise(graph->trained, 5, 0, 0)};
	for (int32_t i = 0; i < graph->params; i++)
		if (graph->param[i].spec.rank > 1)
			for (int64_t k = 0; k < graph->param[i].count; k++)
				outcome.slab[graph->param[i].offset + k] -= 0.4F;
	struct hl_plan *plan = make(graph, options, outcome.slab);
	for (uint32_t step = 0; step < (options->training ? 2 : 1); step++) {
		const float *logits = hl_plan_forward(plan, images, options->training, 3, step);
		memcpy(outcome.logits, logits, (size_t)outputs * sizeof(float));
		if (options->training)
			hl_plan_backward(plan, dlogits, outcome.gradients);
	}
	hl_plan_destroy(plan);
	hl_block_free(images, (size_t)pixels * sizeof(float));
	hl_block_free(dlogits, (size_t)outputs * sizeof(float));
	return outcome;
}

static void discard(const struct hl_graph *graph, int64_t outputs, struct outcome *outcome)
{
	hl_block_free(outcome->logits, (size_t)outputs * sizeof(float));
	hl_block_free(outcome->slab, (size_t)graph->floats * sizeof(float));
	hl_block_free(outcome->gradients, (size_t)graph->trained * sizeof(float));
}

static void check_same(const char *text, const struct hl_plan_options *options, const struct hl_plan_options *oracle,
                       double limit)
{
	struct hl_graph *graph = parse(text);
	int64_t outputs = options->batch * hl_shape_sample(graph->node[graph->logits].shapes.out);
	struct outcome got = run(graph, options), expected = run(graph, oracle);
	double logits = distance(got.logits, expected.logits, outputs);
	double state = distance(got.slab, expected.slab, graph->floats);
	double gradients = options->training ? distance(got.gradients, expected.gradients, graph->trained) : 0;
	if (logits > limit || state > limit || gradients > 10 * limit)
		fail_msg("%.40s...: type %d, logits %.2g, statistics %.2g, gradients %.2g apart", text,
		         (int)options->type, logits, state, gradients);
	discard(graph, outputs, &got);
	discard(graph, outputs, &expected);
	hl_graph_free(graph);
}

/* On the back ends in use against the reference node by node; in bfloat16, whose rounding moves winners of max pooling
 * about, only roughly. */
static void test_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < NETS; i++)
		for (int training = 0; training < 2; training++) {
			struct hl_plan_options fused = {.batch = 3, .training = training, .threads = 2};
			struct hl_plan_options oracle = fused;
			oracle.backends = reference_only;
			check_same(nets[i], &fused, &oracle, 1e-5);
			fused.type = oracle.type = HL_BF16;
			check_same(nets[i], &fused, &oracle, 3e-2);
		}
}

/* Frozen layers run as in evaluation, in chains too. */
static void test_frozen(void **state)
{
	(void)state;
	for (size_t i = 0; i < NETS; i++)
		for (int32_t freeze = 1; freeze < 4; freeze++) {
			struct hl_plan_options fused = {.batch = 2, .training = true, .freeze = freeze};
			struct hl_plan_options oracle = fused;
			oracle.backends = reference_only;
			check_same(nets[i], &fused, &oracle, 1e-5);
		}
}

/* A training plan run as in evaluation gives what a plan for evaluation gives. */
static void test_evaluation(void **state)
{
	struct hl_graph *graph = parse(seed_text);
	float *slab = noise(graph->floats, 4, 0.4, 0.1), *images = noise(2L * 17 * 19 * 3, 1, 0, 1);
	struct hl_plan_options options = {.batch = 2, .training = true};
	struct hl_plan *training = make(graph, &options, slab);
	options.training = false;
	struct hl_plan *evaluation = make(graph, &options, slab);
	(void)state;
	const float *a = hl_plan_forward(training, images, false, 0, 0);
	const float *b = hl_plan_forward(evaluation, images, false, 0, 0);
	assert_true(distance(a, b, 4) < 1e-5);
	hl_plan_destroy(training);
	hl_plan_destroy(evaluation);
	hl_block_free(slab, (size_t)graph->floats * sizeof(float));
	hl_block_free(images, sizeof(float) * 2 * 17 * 19 * 3);
	hl_graph_free(graph);
}

/* ---- a few images at a time ---- */

static void check_goes(const char *text, enum hl_type type, int64_t batch, int64_t at_a_time)
{
	struct hl_graph *graph = parse(text);
	int64_t pixels = batch * hl_shape_sample(graph->node[0].shapes.out);
	int64_t outputs = batch * hl_shape_sample(graph->node[graph->logits].shapes.out);
	float *slab = noise(graph->floats, 4, 0.4, 0.1), *images = noise(pixels, 1, 0, 1);
	struct hl_plan_options options = {.batch = batch, .type = type, .threads = 2, .at_a_time = batch};
	struct hl_plan *all = make(graph, &options, slab);
	options.at_a_time = at_a_time;
	struct hl_plan *few = make(graph, &options, slab);
	for (int round = 0; round < 2; round++) {
		const float *a = hl_plan_forward(all, images, false, 0, 0);
		const float *b = hl_plan_forward(few, images, false, 0, 0);
		if (memcmp(a, b, (size_t)outputs * sizeof(float)) != 0)
			fail_msg("%.40s...: type %d, other bits for %d images at a time", text, (int)type,
			         (int)at_a_time);
	}
	hl_plan_destroy(all);
	hl_plan_destroy(few);
	hl_block_free(slab, (size_t)graph->floats * sizeof(float));
	hl_block_free(images, (size_t)pixels * sizeof(float));
	hl_graph_free(graph);
}

static void test_goes(void **state)
{
	(void)state;
	for (size_t i = 0; i < NETS; i++)
		for (int type = HL_F32; type <= HL_BF16; type++) {
			check_goes(nets[i], (enum hl_type)type, 6, 2);
			check_goes(nets[i], (enum hl_type)type, 6, 1);
			check_goes(nets[i], (enum hl_type)type, 12, 0);
		}
	/* No weights before the dense layers, which all images go through together; no dense layer; one read twice. */
	check_goes("input 1x3x3x2\nflatten\ndense units=3\nrelu\ndense units=2", HL_BF16, 4, 1);
	check_goes("input 1x3x3x2\nconv filters=2\nglobalpool", HL_F32, 4, 1);
	check_goes("input 1x3x3x2\nconv filters=2\na: globalpool\nb: dense units=2\nadd from=a,b", HL_BF16, 4, 2);
	check_goes("input 1x3x3x2\na: conv filters=2\nb: globalpool\ndense units=2\nc: globalpool from=a\n"
	           "add from=dense1,c",
	           HL_F32, 4, 2);
}

/* Of a batch only a few are ever held. */
static void test_goes_memory(void **state)
{
	struct hl_graph *graph =
	    parse("input 1x32x32x3\nconv filters=16 pad=1\nsigmoid\nmaxpool size=4\nflatten\ndense units=1");
	float *slab = noise(graph->floats, 4, 0.4, 0.1);
	struct hl_plan_options options = {.batch = 32, .threads = 1, .at_a_time = 32, .backends = reference_only};
	struct hl_plan *all = make(graph, &options, slab);
	options.at_a_time = 0;
	struct hl_plan *few = make(graph, &options, slab);
	(void)state;
	assert_true(hl_plan_bytes(few) < hl_plan_bytes(all) / 4);
	hl_plan_destroy(all);
	hl_plan_destroy(few);
	struct hilum_error error;
	struct hl_plan *plan = NULL;
	options.at_a_time = 5;
	assert_int_equal(hl_plan_create(graph, &options, &plan, &error), HILUM_ERROR_ARGUMENT);
	assert_non_null(strstr(error.message, "at_a_time"));
	options.at_a_time = -1;
	assert_int_equal(hl_plan_create(graph, &options, &plan, &error), HILUM_ERROR_ARGUMENT);
	assert_null(plan);
	hl_block_free(slab, (size_t)graph->floats * sizeof(float));
	hl_graph_free(graph);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_chains),      cmocka_unit_test(test_what_runs),  cmocka_unit_test(test_same),
	    cmocka_unit_test(test_frozen),      cmocka_unit_test(test_evaluation), cmocka_unit_test(test_goes),
	    cmocka_unit_test(test_goes_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
