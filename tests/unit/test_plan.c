/* Plans against nodes run one by one in memory of their own, against finite differences, and short of memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "nn/arch.h"
#include "nn/plan_private.h"
#include "one_by_one.h"

static const struct hl_backend *const reference_only[] = {&hl_backend_reference, NULL};

/* Small nets that between them hold every way in which values can be shared. */
static const struct net {
	const char *text;
	bool smooth; /* no kinks: finite differences are exact to second order */
} nets[] = {
    /* the seed network, 2-D and 3-D */
    {"input 1x9x8x3\nconv filters=5 size=3 pad=1\nbatchnorm\nrelu\nmaxpool size=2\nconv filters=7 size=3 pad=1\n"
     "batchnorm\nrelu\nmaxpool size=2\nflatten\ndense units=6\nrelu\ndropout rate=0.4\ndense units=2",
     false},
    {"input 6x7x6x1\nconv filters=3 size=3 pad=1\nbatchnorm\nsilu\navgpool size=2\nconv filters=4 size=3 pad=1\n"
     "batchnorm\ngelu\nflatten\ndense units=5\ngelu\ndropout rate=0.5\ndense units=1\nsigmoid",
     true},
    /* a residual network with an identity and a projection */
    {"input 1x9x9x2\nconv filters=4 size=3 stride=2 pad=1 bias=false\nbatchnorm\na: relu\nconv filters=4 size=3 pad=1\n"
     "batchnorm\nrelu\nconv filters=4 size=3 pad=1\nbatchnorm\nadd from=batchnorm3,a\nb: relu\n"
     "conv filters=6 size=3 stride=2 pad=1\nbatchnorm\nrelu\nconv filters=6 size=3 pad=1\nm: batchnorm\n"
     "conv filters=6 size=1 stride=2 from=b\nbatchnorm\nadd from=m,batchnorm6\nrelu\n"
     "globalpool\ndense units=3\nsoftmax",
     false},
    {"input 4x5x4x2\nconv filters=4 size=3 pad=1\nbatchnorm\na: silu\nconv filters=4 size=3 pad=1\nbatchnorm\n"
     "add from=batchnorm2,a\nsilu\nglobalpool\ndense units=1",
     true},
    /* many readers, also of one node twice, of the input, and in place behind one another */
    {"input 1x6x5x4\nc: conv filters=4 size=3 pad=1\nadd from=c,c,input\ns: sigmoid\ng: gelu from=c\n"
     "concat from=s,g,input,c\nconv filters=3 size=1\nd: dropout rate=0.3\nrelu\ndropout rate=0.2\n"
     "batchnorm\nleakyrelu slope=0.1\nadd from=leakyrelu1,d\nsigmoid\ndropout rate=0.2\npad pad=1\n"
     "conv filters=3 size=3\nadd from=conv3,d,d\nflatten\ndense units=2",
     false},
    /* logits that two heads add up to, one of them also read inside */
    {"input 1x4x4x2\ndropout rate=0.25\nconv filters=3 size=3\ngelu\nf: flatten\nh: dense units=3\nq: sigmoid\n"
     "silu from=h\nk: dense units=3\nadd from=k,q\ndropout rate=0.1",
     true},
    /* nothing but a head; a head on the input alone; no weights at all */
    {"input 1x1x1x5\ndense units=3", true},
    {"input 1x3x3x2\nglobalpool\ndense units=1 bias=false\nsigmoid", true},
    {"input 1x3x3x2\nglobalpool\nrelu", true},
};
#define NETS (sizeof(nets) / sizeof(nets[0]))

static struct hl_graph *parse(const char *text)
{
	struct hl_graph *graph = NULL;
	struct hilum_error error = {.code = HILUM_OK};
	if (hl_arch_parse(text, (struct hl_shape){0}, 1, &graph, &error))
		fail_msg("%s", error.message);
	return graph;
}

static float *noise(int64_t count, uint32_t stream)
{
	float *out = hl_alloc((size_t)count, sizeof(*out));
	struct hl_random random = hl_random_stream(11, 0, stream, HL_RANDOM_TEST);
	for (int64_t i = 0; i < count; i++)
		out[i] = (float)hl_random_normal(&random);
	return out;
}

/* Random weights, scales and running statistics away from where they start. */
static float *weights(const struct hl_graph *graph)
{
	float *slab = hl_block_alloc((size_t)graph->floats * sizeof(float) + 64);
	struct hl_random random = hl_random_stream(12, 0, 0, HL_RANDOM_TEST);
	hl_graph_initialise(graph, 3, slab);
	for (int32_t i = 0; i < graph->params; i++)
		if (graph->param[i].spec.rank == 1)
			for (int64_t k = 0; k < graph->param[i].count; k++)
				slab[graph->param[i].offset + k] += (float)hl_random_range(&random, 0, 0.4);
	return slab;
}

static void free_weights(const struct hl_graph *graph, float *slab)
{
	hl_block_free(slab, (size_t)graph->floats * sizeof(float) + 64);
}

static int64_t outputs_of(const struct hl_graph *graph)
{
	return hl_shape_sample(graph->node[graph->logits].shapes.out);
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

/* ---- the same bits ---- */

static bool same_bits(const float *a, const float *b, int64_t count)
{
	return memcmp(a, b, (size_t)count * sizeof(float)) == 0;
}

static void check_same(const struct net *net, const struct hl_plan_options *options)
{
	struct hl_graph *graph = parse(net->text);
	float *slab = weights(graph), *twin = weights(graph);
	int64_t batch = options->batch, outputs = batch * outputs_of(graph);
	int64_t pixels = batch * hl_shape_sample(graph->node[0].shapes.out);
	float *images = noise(pixels, 0), *images_before = noise(pixels, 0);
	float *dlogits = noise(outputs, 1), *dlogits_before = noise(outputs, 1);
	float *gradients = noise(graph->trained + 1, 2), *expected = noise(graph->trained + 1, 3);
	struct hl_plan *plan = make(graph, options, slab);
	struct naive naive = naive_make(plan);
	for (uint32_t step = 0; step < 3; step++) {
		bool training = options->training && step < 2;
		memset(plan->arena, 0xff, plan->bytes); /* NaN: nothing is read before it is written */
		const float *logits = hl_plan_forward(plan, images, training, 5, step);
		const float *wanted = naive_forward(&naive, images, twin, training, step);
		for (int64_t i = 0; i < outputs; i++)
			assert_true(isfinite(logits[i]));
		assert_true(same_bits(logits, wanted, outputs));
		if (training) {
			hl_plan_backward(plan, dlogits, gradients);
			naive_backward(&naive, dlogits, twin, expected, step);
			assert_true(same_bits(gradients, expected, graph->trained));
			assert_true(same_bits(logits, wanted, outputs));
		}
		assert_true(same_bits(slab, twin, graph->floats));
		assert_true(same_bits(images, images_before, pixels));
		assert_true(same_bits(dlogits, dlogits_before, outputs));
	}
	naive_free(&naive);
	hl_plan_destroy(plan);
	hl_free(images);
	hl_free(images_before);
	hl_free(dlogits);
	hl_free(dlogits_before);
	hl_free(gradients);
	hl_free(expected);
	free_weights(graph, slab);
	free_weights(graph, twin);
	hl_graph_free(graph);
}

static void check_all(const struct hl_backend *const *backends)
{
	for (size_t i = 0; i < NETS; i++)
		for (int type = 0; type < 2; type++) {
			struct hl_plan_options options = {
			    .batch = 3, .type = (enum hl_type)type, .threads = 2, .backends = backends};
			/* Here every node is run alone, and a chain rounds less often. */
			options.unfused = true;
			check_same(&nets[i], &options);
			options.training = true;
			check_same(&nets[i], &options);
			if (backends != reference_only)
				continue; /* oneDNN takes its time to compile */
			for (options.freeze = 1; options.freeze < 4; options.freeze++)
				check_same(&nets[i], &options);
			options.batch = 1 + type;
			options.freeze = 0;
			check_same(&nets[i], &options);
		}
}

static void test_same_as_one_by_one(void **state)
{
	(void)state;
	check_all(reference_only);
}

static void test_same_on_all_backends(void **state)
{
	(void)state;
	check_all(hl_backends());
}

/* ---- gradients ---- */

/* The loss is the logits' product with fixed numbers, in double. */
static double loss_at(struct hl_plan *plan, const float *images, const float *dlogits, int64_t outputs)
{
	double sum = 0;
	hl_plan_changed(plan);
	const float *logits = hl_plan_forward(plan, images, true, 5, 1);
	for (int64_t i = 0; i < outputs; i++)
		sum += (double)logits[i] * dlogits[i];
	return sum;
}

/* Each parameter's gradient along a random direction against the central difference. */
static void check_differences(const struct net *net)
{
	const struct hl_plan_options options = {.batch = 4, .training = true, .threads = 1, .backends = reference_only};
	struct hl_graph *graph = parse(net->text);
	float *slab = weights(graph), *images = noise(4 * hl_shape_sample(graph->node[0].shapes.out), 4);
	int64_t outputs = 4 * outputs_of(graph);
	float *dlogits = noise(outputs, 5), *gradients = noise(graph->trained + 1, 6);
	struct hl_plan *plan = make(graph, &options, slab);
	hl_plan_forward(plan, images, true, 5, 1);
	hl_plan_backward(plan, dlogits, gradients);
	for (int32_t i = 0; i < graph->params; i++) {
		const struct hl_param *param = &graph->param[i];
		const double step = net->smooth ? 3e-3 : 3e-4;
		float *at = slab + param->offset, *direction = noise(param->count, 100 + (uint32_t)i);
		float *before = hl_alloc((size_t)param->count, sizeof(float));
		double expected = 0, got, scale = 0, loss[2];
		if (param->spec.trained) {
			memcpy(before, at, (size_t)param->count * sizeof(float));
			for (int64_t k = 0; k < param->count; k++)
				scale += (double)direction[k] * direction[k];
			scale = 1 / sqrt(scale);
			for (int side = 0; side < 2; side++) {
				for (int64_t k = 0; k < param->count; k++)
					at[k] = (float)(before[k] + (side ? -step : step) * scale * direction[k]);
				loss[side] = loss_at(plan, images, dlogits, outputs);
			}
			memcpy(at, before, (size_t)param->count * sizeof(float));
			got = (loss[0] - loss[1]) / (2 * step);
			for (int64_t k = 0; k < param->count; k++)
				expected += (double)gradients[param->offset + k] * direction[k] * scale;
			double tolerance = (net->smooth ? 1e-3 : 1e-2) * (fabs(expected) + 1);
			if (!(fabs(got - expected) <= tolerance))
				fail_msg("%s: %g by differences, %g by backward", param->name, got, expected);
		}
		hl_free(direction);
		hl_free(before);
	}
	hl_plan_destroy(plan);
	hl_free(images);
	hl_free(dlogits);
	hl_free(gradients);
	free_weights(graph, slab);
	hl_graph_free(graph);
}

static void test_finite_differences(void **state)
{
	(void)state;
	for (size_t i = 0; i < NETS; i++)
		check_differences(&nets[i]);
}

/* ---- attribution ---- */

struct seen {
	const struct hl_graph *graph;
	float *gradient[64]; /* of each node's output */
};

static void keep_gradient(void *context, int32_t node, const struct hl_tensor *gradient)
{
	struct seen *seen = context;
	size_t bytes = (size_t)hl_shape_count(gradient->shape) * sizeof(float);
	assert_true(node < 64 && !seen->gradient[node]);
	seen->gradient[node] = hl_alloc(bytes, 1);
	memcpy(seen->gradient[node], gradient->data, bytes);
}

static double evaluated(struct hl_plan *plan, const float *images, const float *dlogits, int64_t outputs)
{
	double sum = 0;
	hl_plan_changed(plan);
	const float *logits = hl_plan_forward(plan, images, false, 0, 0);
	for (int64_t i = 0; i < outputs; i++)
		sum += (double)logits[i] * dlogits[i];
	return sum;
}

/* Moves values along a direction and tells by what the loss changes; they are as before afterwards. */
static double moved(struct hl_plan *plan, float *values, const float *direction, int64_t count, double step,
                    const float *images, const float *dlogits, int64_t outputs)
{
	float *before = hl_alloc((size_t)count, sizeof(*before));
	double loss[2];
	memcpy(before, values, (size_t)count * sizeof(*before));
	for (int side = 0; side < 2; side++) {
		for (int64_t k = 0; k < count; k++)
			values[k] = (float)(before[k] + (side ? -step : step) * direction[k]);
		loss[side] = evaluated(plan, images, dlogits, outputs);
	}
	memcpy(values, before, (size_t)count * sizeof(*before));
	hl_free(before);
	return (loss[0] - loss[1]) / (2 * step);
}

static void expect_near(const struct net *net, const char *what, double got, double expected)
{
	double tolerance = (net->smooth ? 1e-3 : 1e-2) * (fabs(expected) + 1);
	if (!(fabs(got - expected) <= tolerance))
		fail_msg("%s: %g by differences, %g by attribution", what, got, expected);
}

/* The gradient by the images against the central difference; that by a node's output by moving what the node adds to
 * every place, its bias. All of it in evaluation: running statistics, no dropout. */
static void check_attribution(const struct net *net, const struct hl_backend *const *backends)
{
	const struct hl_plan_options options = {.batch = 2, .threads = 2, .attribution = true, .backends = backends};
	struct hl_graph *graph = parse(net->text);
	float *slab = weights(graph), *before = weights(graph);
	int64_t pixels = 2 * hl_shape_sample(graph->node[0].shapes.out), outputs = 2 * outputs_of(graph);
	float *images = noise(pixels, 4), *dlogits = noise(outputs, 5);
	struct hl_plan *plan = make(graph, &options, slab);
	struct seen seen = {.graph = graph};
	const double step = net->smooth ? 3e-3 : 3e-4;
	double expected = 0;
	memset(plan->arena, 0xff, plan->bytes);
	hl_plan_forward(plan, images, false, 0, 0);
	hl_plan_watch_gradients(plan, keep_gradient, &seen);
	const float *gradient = hl_plan_attribute(plan, dlogits);
	hl_plan_watch_gradients(plan, NULL, NULL);
	float *direction = noise(pixels, 6);
	for (int64_t i = 0; i < pixels; i++)
		expected += (double)gradient[i] * direction[i];
	assert_true(pixels < 10 || expected != 0);
	expect_near(net, "images", moved(plan, images, direction, pixels, step / 4, images, dlogits, outputs),
	            expected);
	hl_free(direction);
	for (int32_t i = 0; i < graph->params; i++) {
		const struct hl_param *param = &graph->param[i];
		if (!param->spec.trained || strcmp(param->spec.name, "bias") != 0)
			continue;
		struct hl_shape shape = graph->node[param->node].shapes.out;
		assert_non_null(seen.gradient[param->node]);
		assert_int_equal(shape.c, param->count);
		direction = noise(param->count, 200 + (uint32_t)i);
		expected = 0;
		for (int64_t k = 0; k < 2 * hl_shape_sample(shape); k++)
			expected += (double)seen.gradient[param->node][k] * direction[k % shape.c];
		expect_near(net, param->name,
		            moved(plan, slab + param->offset, direction, param->count, step, images, dlogits, outputs),
		            expected);
		hl_free(direction);
	}
	assert_true(same_bits(slab, before, graph->floats));
	for (int i = 0; i < 64; i++)
		hl_free(seen.gradient[i]);
	hl_plan_destroy(plan);
	hl_free(images);
	hl_free(dlogits);
	free_weights(graph, slab);
	free_weights(graph, before);
	hl_graph_free(graph);
}

static void test_attribution(void **state)
{
	(void)state;
	for (size_t i = 0; i < NETS; i++) {
		check_attribution(&nets[i], reference_only);
		check_attribution(&nets[i], hl_backends());
	}
}

/* y = w x summed three times over has three times the gradient; the values are small integers and so exact. */
static void test_fan_out(void **state)
{
	struct hl_graph *graph =
	    parse("input 1x1x1x2\na: dense units=1\nadd from=a,a\nadd from=add1,a\nrelu\nadd from=relu1,a");
	float *slab = weights(graph), gradients[32];
	const float images[] = {1, 2, 3, 4}, dlogits[] = {1, 10};
	(void)state;
	assert_int_equal(graph->trained, 32);
	for (int type = 0; type < 2; type++) {
		const struct hl_plan_options options = {
		    .batch = 2, .training = true, .type = (enum hl_type)type, .backends = reference_only};
		struct hl_plan *plan = make(graph, &options, slab);
		slab[0] = 1;
		slab[1] = 1;
		slab[16] = 0;
		hl_plan_changed(plan);
		const float *logits = hl_plan_forward(plan, images, true, 0, 0);
		assert_true(logits[0] == 4 * 3 && logits[1] == 4 * 7);
		hl_plan_backward(plan, dlogits, gradients);
		assert_true(gradients[0] == 4 * (1 + 30) && gradients[1] == 4 * (2 + 40) && gradients[16] == 4 * 11);
		/* Gaps between parameters hold zeros. */
		for (int i = 0; i < 32; i++)
			assert_true(i < 2 || i == 16 || gradients[i] == 0);
		hl_plan_destroy(plan);
	}
	free_weights(graph, slab);
	hl_graph_free(graph);
}

/* ---- freezing ---- */

static void test_freeze(void **state)
{
	static const char *const first[] = {"conv1", "batchnorm1", "conv2", "batchnorm2",
	                                    "conv3", "batchnorm3", "conv4", "batchnorm4"};
	struct hl_graph *graph = parse(nets[2].text);
	float *slab = weights(graph), *before = weights(graph);
	float *images = noise(2 * hl_shape_sample(graph->node[0].shapes.out), 4), dlogits[6] = {1, -2, 3, 1, 1, 1};
	float *gradients = noise(graph->trained, 1);
	(void)state;
	for (int32_t freeze = 0; freeze <= 4; freeze++) {
		const struct hl_plan_options options = {.batch = 2, .training = true, .freeze = freeze};
		struct hl_plan *plan = make(graph, &options, slab);
		memcpy(slab, before, (size_t)graph->floats * sizeof(float));
		hl_plan_forward(plan, images, true, 0, 0);
		hl_plan_backward(plan, dlogits, gradients);
		for (int32_t i = 0; i < graph->params; i++) {
			const struct hl_param *param = &graph->param[i];
			bool frozen = false, zero = true, same;
			for (int32_t k = 0; k < 2 * freeze; k++)
				frozen |= strcmp(first[k], graph->node[param->node].name) == 0;
			assert_int_equal(hl_plan_frozen(plan, i), frozen);
			same = same_bits(slab + param->offset, before + param->offset, param->count);
			for (int64_t k = 0; param->spec.trained && k < param->count; k++)
				zero &= gradients[param->offset + k] == 0;
			assert_int_equal(same, param->spec.trained || frozen);
			assert_int_equal(zero, !param->spec.trained || frozen);
		}
		hl_plan_destroy(plan);
	}
	/* Everything frozen: a backward pass that does nothing. */
	const struct hl_plan_options options = {.batch = 2, .training = true, .freeze = INT32_MAX};
	struct hl_plan *plan = make(graph, &options, slab);
	hl_plan_forward(plan, images, true, 0, 0);
	hl_plan_backward(plan, dlogits, gradients);
	for (int64_t i = 0; i < graph->trained; i++)
		assert_true(gradients[i] == 0);
	hl_plan_destroy(plan);
	hl_free(images);
	hl_free(gradients);
	free_weights(graph, slab);
	free_weights(graph, before);
	hl_graph_free(graph);
}

/* ---- types ---- */

static void test_types(void **state)
{
	const struct hl_plan_options options = {.batch = 1, .type = HL_BF16};
	(void)state;
	struct hl_graph *graph = parse(nets[0].text);
	float *slab = weights(graph);
	struct hl_plan *plan = make(graph, &options, slab);
	for (int32_t i = 0; i < graph->nodes; i++)
		assert_int_equal(plan->unit[i].type, i == 0 || i == graph->logits ? HL_F32 : HL_BF16);
	hl_plan_destroy(plan);
	free_weights(graph, slab);
	hl_graph_free(graph);
	graph = parse(nets[5].text);
	slab = weights(graph);
	plan = make(graph, &options, slab);
	assert_int_equal(plan->unit[hl_graph_find(graph, "k")].type, HL_F32);
	assert_int_equal(plan->unit[hl_graph_find(graph, "h")].type, HL_F32);
	assert_int_equal(plan->unit[hl_graph_find(graph, "silu1")].type, HL_BF16);
	assert_int_equal(plan->unit[hl_graph_find(graph, "f")].type, HL_BF16);
	hl_plan_destroy(plan);
	free_weights(graph, slab);
	hl_graph_free(graph);
}

/* ---- batches, threads, changes ---- */

static void test_two_plans_on_one_slab(void **state)
{
	(void)state;
	for (size_t n = 0; n < NETS; n++) {
		struct hl_graph *graph = parse(nets[n].text);
		float *slab = weights(graph);
		int64_t sample = hl_shape_sample(graph->node[0].shapes.out), outputs = outputs_of(graph);
		float *images = noise(4 * sample, 9), all[4 * 8];
		struct hl_plan_options options = {.batch = 4, .training = true, .backends = reference_only};
		struct hl_plan *four = make(graph, &options, slab);
		options = (struct hl_plan_options){.batch = 1, .backends = reference_only};
		struct hl_plan *one = make(graph, &options, slab);
		assert_true(outputs <= 8);
		assert_int_equal(hl_plan_outputs(four), outputs);
		for (int round = 0; round < 2; round++) {
			memcpy(all, hl_plan_forward(four, images, false, 0, 0), (size_t)(4 * outputs) * sizeof(float));
			for (int64_t i = 0; i < 4; i++)
				assert_true(same_bits(hl_plan_forward(one, images + i * sample, false, 0, 0),
				                      all + i * outputs, outputs));
			/* A training pass moves the running statistics that both read. */
			hl_plan_forward(four, images, true, 0, 0);
			hl_plan_changed(one);
		}
		hl_plan_destroy(four);
		hl_plan_destroy(one);
		hl_free(images);
		free_weights(graph, slab);
		hl_graph_free(graph);
	}
}

/* The same bits at any thread count, on the back ends that are really used. */
static void test_threads(void **state)
{
	struct hl_graph *graph = parse("input 1x40x40x3\nconv filters=32 size=3 pad=1\nbatchnorm\na: relu\n"
	                               "conv filters=32 size=3 pad=1\nbatchnorm\nadd from=batchnorm2,a\nrelu\n"
	                               "maxpool size=2\nconv filters=16 size=3\nflatten\ndense units=16\nrelu\n"
	                               "dropout\ndense units=1");
	float *slab = weights(graph), *images = noise(6 * 40 * 40 * 3, 1), *dlogits = noise(6, 2);
	float *expected = noise(graph->trained, 3), *gradients = noise(graph->trained, 4);
	float *before = weights(graph), *after = weights(graph), logits[6];
	(void)state;
	for (int type = 0; type < 2; type++)
		for (int32_t threads = 1; threads <= 4; threads++) {
			const struct hl_plan_options options = {
			    .batch = 6, .training = true, .type = (enum hl_type)type, .threads = threads};
			memcpy(slab, before, (size_t)graph->floats * sizeof(float));
			struct hl_plan *plan = make(graph, &options, slab);
			const float *now = hl_plan_forward(plan, images, true, 1, 2);
			if (threads == 1)
				memcpy(logits, now, sizeof(logits));
			assert_true(same_bits(now, logits, 6));
			hl_plan_backward(plan, dlogits, gradients);
			hl_plan_destroy(plan);
			if (threads == 1) {
				memcpy(expected, gradients, (size_t)graph->trained * sizeof(float));
				memcpy(after, slab, (size_t)graph->floats * sizeof(float));
				continue;
			}
			for (int32_t i = 0; i < graph->params; i++) {
				const struct hl_param *param = &graph->param[i];
				if (!same_bits(slab + param->offset, after + param->offset, param->count) ||
				    (param->spec.trained &&
				     !same_bits(gradients + param->offset, expected + param->offset, param->count)))
					fail_msg("%s, type %d: other bits with %d threads", param->name, type, threads);
			}
		}
	hl_free(images);
	hl_free(dlogits);
	hl_free(expected);
	hl_free(gradients);
	free_weights(graph, slab);
	free_weights(graph, before);
	free_weights(graph, after);
	hl_graph_free(graph);
}

/* What a primitive packed must not outlive a change of the parameters. */
static void test_changed_parameters(void **state)
{
	struct hl_graph *graph = parse(nets[0].text);
	float *slab = weights(graph), *other = weights(graph), first[2], second[2];
	float *images = noise(hl_shape_sample(graph->node[0].shapes.out), 1);
	const struct hl_plan_options options = {.batch = 1};
	(void)state;
	for (int64_t i = 0; i < graph->trained; i++)
		other[i] *= 0.5F;
	struct hl_plan *plan = make(graph, &options, slab), *fresh_plan = make(graph, &options, other);
	memcpy(first, hl_plan_forward(plan, images, false, 0, 0), sizeof(first));
	memcpy(second, hl_plan_forward(fresh_plan, images, false, 0, 0), sizeof(second));
	assert_memory_not_equal(first, second, sizeof(first));
	hl_plan_bind(plan, other);
	assert_memory_equal(hl_plan_forward(plan, images, false, 0, 0), second, sizeof(second));
	memcpy(other, slab, (size_t)graph->floats * sizeof(float));
	hl_plan_changed(plan);
	assert_memory_equal(hl_plan_forward(plan, images, false, 0, 0), first, sizeof(first));
	hl_plan_destroy(plan);
	hl_plan_destroy(fresh_plan);
	hl_free(images);
	free_weights(graph, slab);
	free_weights(graph, other);
	hl_graph_free(graph);
}

/* The reference, with its preparations counted. */
static int prepared;

static void count_prepare(struct hl_primitive *primitive, float *const *param)
{
	(void)primitive;
	assert_non_null(param[0]);
	prepared++;
}

static enum hilum_status compile_counted(const struct hl_compile *request, struct hl_primitive **out,
                                         struct hilum_error *error)
{
	enum hilum_status status = hl_backend_reference.compile(request, out, error);
	if (!status && request->shapes->params)
		(*out)->prepare = count_prepare;
	return status;
}

static const struct hl_backend counted = {.name = "counted", .compile = compile_counted};

static void test_preparation(void **state)
{
	static const struct hl_backend *const backends[] = {&counted, NULL};
	struct hl_graph *graph = parse("input 1x4x4x1\nconv filters=2\nbatchnorm\nflatten\ndense units=1");
	float *slab = weights(graph), *images = noise(32, 1), dlogits[2] = {1, 1};
	float *gradients = noise(graph->trained, 2);
	const struct hl_plan_options options = {.batch = 2, .training = true, .backends = backends};
	struct hl_plan *plan = make(graph, &options, slab);
	(void)state;
	prepared = 0;
	for (int i = 0; i < 3; i++)
		hl_plan_forward(plan, images, false, 0, 0);
	assert_int_equal(prepared, 3);
	hl_plan_changed(plan);
	hl_plan_forward(plan, images, true, 0, 0);
	assert_int_equal(prepared, 6);
	hl_plan_backward(plan, dlogits, gradients);
	assert_int_equal(prepared, 6);
	/* The running statistics moved. */
	hl_plan_forward(plan, images, false, 0, 0);
	assert_int_equal(prepared, 9);
	hl_plan_bind(plan, slab);
	hl_plan_forward(plan, images, false, 0, 0);
	assert_int_equal(prepared, 12);
	hl_plan_destroy(plan);
	hl_free(images);
	hl_free(gradients);
	free_weights(graph, slab);
	hl_graph_free(graph);
}

static void test_backend_names(void **state)
{
	struct hl_graph *graph = parse(nets[2].text);
	float *slab = weights(graph);
	const struct hl_plan_options options = {.batch = 1, .backends = reference_only};
	struct hl_plan *plan = make(graph, &options, slab);
	(void)state;
	assert_string_equal(hl_plan_backend(plan, 0), "none");
	assert_string_equal(hl_plan_backend(plan, 1), "reference");
	assert_string_equal(hl_plan_backend(plan, graph->nodes - 1), "none"); /* softmax */
	assert_string_equal(hl_plan_backend(plan, -1), "none");
	assert_string_equal(hl_plan_backend(plan, graph->nodes), "none");
	hl_plan_destroy(plan);
	free_weights(graph, slab);
	hl_graph_free(graph);
}

/* ---- memory ---- */

static void test_arena(void **state)
{
	struct hl_random random = hl_random_stream(1, 2, 3, HL_RANDOM_TEST);
	struct hl_arena_block block[60];
	size_t total;
	(void)state;
	for (int round = 0; round < 300; round++) {
		size_t count = hl_random_below(&random, 61), alive[100] = {0}, peak = 0;
		for (size_t i = 0; i < count; i++) {
			int32_t first = (int32_t)hl_random_below(&random, 100);
			block[i] = (struct hl_arena_block){
			    .bytes = hl_random_below(&random, round % 2 ? 3 : 5000),
			    .first = first,
			    .last = first + (int32_t)hl_random_below(&random, (uint32_t)(100 - first))};
			for (int32_t t = block[i].first; t <= block[i].last; t++)
				alive[t] += (block[i].bytes + 63) / 64 * 64;
		}
		for (int t = 0; t < 100; t++)
			peak = alive[t] > peak ? alive[t] : peak;
		assert_int_equal(hl_arena_place(block, count, &total, NULL), HILUM_OK);
		assert_true(total >= peak && total <= peak + peak / 2);
		for (size_t i = 0; i < count; i++) {
			assert_true(block[i].offset % HL_ARENA_ALIGNMENT == 0);
			assert_true(block[i].offset + block[i].bytes <= total);
			for (size_t k = 0; k < i; k++)
				if (block[i].bytes && block[k].bytes && block[i].first <= block[k].last &&
				    block[k].first <= block[i].last)
					assert_true(block[i].offset + block[i].bytes <= block[k].offset ||
					            block[k].offset + block[k].bytes <= block[i].offset);
		}
	}
	block[0] = block[1] = (struct hl_arena_block){.bytes = PTRDIFF_MAX / 64 * 64, .first = 0, .last = 1};
	assert_int_equal(hl_arena_place(block, 2, &total, NULL), HILUM_ERROR_LIMIT);
	block[0].bytes = SIZE_MAX;
	assert_int_equal(hl_arena_place(block, 1, &total, NULL), HILUM_ERROR_LIMIT);
}

/* A chain of layers needs two activations at a time, and in place but one; training keeps what backward reads. */
static void test_memory_is_recycled(void **state)
{
	struct hl_buffer text;
	(void)state;
	hl_buffer_init(&text, 1 << 16);
	hl_buffer_print(&text, NULL, "input 1x32x32x16\n");
	for (int i = 0; i < 30; i++)
		hl_buffer_print(&text, NULL, "maxpool size=1\nrelu\n");
	hl_buffer_print(&text, NULL, "flatten\ndense units=1\n");
	struct hl_graph *graph = parse(text.data);
	float *slab = weights(graph);
	struct hl_plan_options options = {.batch = 2, .backends = reference_only};
	const size_t one = 2 * 32 * 32 * 16 * sizeof(float);
	struct hl_plan *plan = make(graph, &options, slab);
	assert_in_range(hl_plan_bytes(plan), 2 * one, 2 * one + 200000);
	hl_plan_destroy(plan);
	/* No weights before the last layer: no gradient, and no activation but the last, is kept. */
	options.training = true;
	plan = make(graph, &options, slab);
	assert_in_range(hl_plan_bytes(plan), 2 * one, 3 * one + 200000);
	hl_plan_destroy(plan);
	free_weights(graph, slab);
	hl_graph_free(graph);
	hl_buffer_free(&text);
	/* relu over batch norm in place, and its gradient too. */
	graph = parse("input 1x32x32x16\nconv filters=16 size=1\nbatchnorm\nrelu\nconv filters=16 size=1\nglobalpool\n"
	              "dense units=1");
	slab = weights(graph);
	plan = make(graph, &options, slab);
	assert_in_range(hl_plan_bytes(plan), 3 * one, 4 * one + 200000);
	hl_plan_destroy(plan);
	free_weights(graph, slab);
	hl_graph_free(graph);
}

static void test_refusals(void **state)
{
	struct hl_graph *graph = parse(nets[0].text);
	struct hl_plan *plan = NULL;
	struct hilum_error error;
	(void)state;
	static const struct {
		struct hl_plan_options options;
		enum hilum_status status;
		const char *message;
	} cases[] = {
	    {{.batch = 0}, HILUM_ERROR_ARGUMENT, "batch"},
	    {{.batch = -1}, HILUM_ERROR_ARGUMENT, "batch"},
	    {{.batch = 1, .threads = -1}, HILUM_ERROR_ARGUMENT, "threads"},
	    {{.batch = 1, .freeze = -1}, HILUM_ERROR_ARGUMENT, "freeze"},
	    {{.batch = INT64_MAX, .backends = reference_only}, HILUM_ERROR_LIMIT, "batch"},
	    {{.batch = INT64_C(1) << 56, .backends = reference_only}, HILUM_ERROR_LIMIT, ""},
	    {{.batch = INT64_C(1) << 31, .backends = reference_only}, HILUM_ERROR_MEMORY, "--batch"},
	    {{.batch = INT64_C(1) << 31, .training = true, .type = HL_BF16, .backends = reference_only},
	     HILUM_ERROR_MEMORY,
	     "--batch"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum hilum_status status = hl_plan_create(graph, &cases[i].options, &plan, &error);
		if (status != cases[i].status || !strstr(error.message, cases[i].message))
			fail_msg("case %zu: %d, '%s'", i, (int)status, error.message);
	}
	static const struct hl_backend *const none[] = {NULL};
	const struct hl_plan_options options = {.batch = 1, .backends = none};
	assert_int_equal(hl_plan_create(graph, &options, &plan, &error), HILUM_ERROR_UNSUPPORTED);
	assert_null(plan);
	hl_plan_destroy(NULL);
	hl_graph_free(graph);
}

static void test_memory_failures(void **state)
{
	(void)state;
	for (int type = 0; type < 2; type++)
		for (int64_t countdown = 0;; countdown++) {
			struct hl_graph *graph = parse(nets[2].text);
			struct hl_plan *plan = NULL;
			struct hilum_error error = {.code = HILUM_OK};
			const struct hl_plan_options options = {
			    .batch = 2, .training = true, .type = (enum hl_type)type, .threads = 1};
			hl_memory_fail_after(countdown);
			enum hilum_status status = hl_plan_create(graph, &options, &plan, &error);
			hl_memory_fail_after(-1);
			assert_int_equal(status == HILUM_OK, plan != NULL);
			hl_plan_destroy(plan);
			hl_graph_free(graph);
			if (!status) {
				assert_true(countdown > 20);
				break;
			}
			assert_int_equal(status, HILUM_ERROR_MEMORY);
			assert_int_equal(error.code, HILUM_ERROR_MEMORY);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_arena),
	    cmocka_unit_test(test_same_as_one_by_one),
	    cmocka_unit_test(test_same_on_all_backends),
	    cmocka_unit_test(test_finite_differences),
	    cmocka_unit_test(test_attribution),
	    cmocka_unit_test(test_fan_out),
	    cmocka_unit_test(test_freeze),
	    cmocka_unit_test(test_types),
	    cmocka_unit_test(test_two_plans_on_one_slab),
	    cmocka_unit_test(test_threads),
	    cmocka_unit_test(test_changed_parameters),
	    cmocka_unit_test(test_preparation),
	    cmocka_unit_test(test_backend_names),
	    cmocka_unit_test(test_memory_is_recycled),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_memory_failures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
