/* Architecture text and graphs: presets against PyTorch's counts, printing and parsing, hostile text. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "nn/arch.h"
#include "nn/ops/options.h"

static const struct hl_shape unknown;

static struct hl_graph *parse(const char *text, struct hl_shape input, int64_t outputs)
{
	struct hl_graph *graph = NULL;
	struct hilum_error error = {.code = HILUM_OK};
	if (hl_arch_parse(text, input, outputs, &graph, &error))
		fail_msg("%s", error.message);
	return graph;
}

static struct hl_graph *parse_preset(const char *arch, struct hl_shape input, int64_t outputs)
{
	struct hl_buffer text;
	struct hilum_error error = {.code = HILUM_OK};
	hl_buffer_init(&text, 1 << 20);
	if (hl_arch_text(arch, &text, &error))
		fail_msg("%s", error.message);
	struct hl_graph *graph = parse(text.data, input, outputs);
	hl_buffer_free(&text);
	return graph;
}

static int64_t trained(const struct hl_graph *graph)
{
	int64_t count = 0;
	for (int32_t i = 0; i < graph->params; i++)
		count += graph->param[i].spec.trained ? graph->param[i].count : 0;
	return count;
}

/* Counts and arithmetic of the same nets in PyTorch: numel() of parameters(), and 2 x multiply-adds of hooks on its
 * convolutions and linear layers. */
static void test_presets_as_pytorch(void **state)
{
	static const struct {
		const char *arch;
		struct hl_shape input;
		int64_t outputs, params, flops;
	} nets[] = {
	    {"seed", {0, 1, 256, 256, 3}, 1, 4436097, INT64_C(1631584512)},
	    {"seed", {0, 1, 255, 255, 3}, 1, 3928193, INT64_C(1582979008)},
	    {"resnet18", {0, 1, 224, 224, 3}, 1, 11177025, INT64_C(3627123712)},
	    {"resnet18", {0, 1, 224, 224, 3}, 1000, 11689512, INT64_C(3628146688)},
	    {"seed", {0, 64, 64, 64, 1}, 1, 1769601, INT64_C(6343885056)},
	    /* torchvision's r3d_18 */
	    {"resnet18-3d", {0, 16, 112, 112, 3}, 400, 33371472, INT64_C(81393106944)},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++) {
		struct hl_graph *graph = parse_preset(nets[i].arch, nets[i].input, nets[i].outputs);
		assert_int_equal(trained(graph), nets[i].params);
		assert_int_equal(hl_graph_flops(graph), nets[i].flops);
		hl_graph_free(graph);
	}
}

static void test_preset_settings(void **state)
{
	const struct hl_shape input = {0, 1, 32, 32, 1};
	(void)state;
	struct hl_graph *graph = parse_preset("seed filters=4,8 size=5 dense=7 dropout=0 batchnorm=false", input, 3);
	static const char *const names[] = {"input",    "conv1",    "relu1",  "maxpool1", "conv2", "relu2",
	                                    "maxpool2", "flatten1", "dense1", "relu3",    "dense2"};
	assert_int_equal(graph->nodes, 11);
	for (int32_t i = 0; i < graph->nodes; i++)
		assert_string_equal(graph->node[i].name, names[i]);
	assert_int_equal(trained(graph), 4 * 25 + 4 + 8 * 4 * 25 + 8 + 7 * 8 * 64 + 7 + 3 * 7 + 3);
	assert_int_equal(graph->node[graph->logits].shapes.out.c, 3);
	hl_graph_free(graph);
	graph = parse_preset("seed filters=4,8 head=max dense=0 dropout=0", input, 1);
	static const char *const pooled[] = {"input", "conv1",      "batchnorm1", "relu1",       "maxpool1",
	                                     "conv2", "batchnorm2", "relu2",      "globalpool1", "dense1"};
	assert_int_equal(graph->nodes, 10);
	for (int32_t i = 0; i < graph->nodes; i++)
		assert_string_equal(graph->node[i].name, pooled[i]);
	assert_int_equal(trained(graph), 4 * 9 + 4 + 8 + 8 * 4 * 9 + 8 + 16 + 8 + 1);
	hl_graph_free(graph);
	graph = parse_preset("seed filters=4 head=average dense=3", input, 1);
	assert_int_equal(trained(graph), 4 * 9 + 4 + 8 + 3 * 4 + 3 + 3 + 1);
	hl_graph_free(graph);
	graph = parse_preset("  resnet18" + 2, input, 1);
	assert_true(hl_graph_find(graph, "layer3.0.downsample.0") > 0);
	assert_int_equal(hl_graph_find(graph, "layer1.0.downsample.0"), -1);
	assert_string_equal(graph->param[0].name, "conv1.weight");
	hl_graph_free(graph);
	/* 16 slices: the first block leaves them, two halve them, the last has no pooling. */
	graph = parse_preset("seed3d", (struct hl_shape){0, 16, 32, 32, 1}, 1);
	assert_true(hl_shape_equal(graph->node[hl_graph_find(graph, "maxpool1")].shapes.out,
	                           (struct hl_shape){1, 16, 16, 16, 16}));
	assert_true(hl_shape_equal(graph->node[hl_graph_find(graph, "maxpool3")].shapes.out,
	                           (struct hl_shape){1, 4, 4, 4, 64}));
	hl_graph_free(graph);
	graph = parse_preset("resnet18 width=8 stem=3", (struct hl_shape){0, 8, 32, 32, 1}, 1);
	assert_int_equal(graph->param[0].spec.rank, 5);
	hl_graph_free(graph);
	static const char *const wrong[] = {"seed filters=0", "seed size=x",      "seed dropout=1",
	                                    "seed depth=3",   "seed head=middle", "seed filters=",
	                                    "resnet18 a=b=c", "resnet19",         "",
	                                    "/nowhere/net",   "seed=3",           "/"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct hl_buffer text;
		struct hilum_error error = {.code = HILUM_OK};
		hl_buffer_init(&text, 1 << 20);
		assert_int_not_equal(hl_arch_text(wrong[i], &text, &error), HILUM_OK);
		assert_true(error.message[0]);
		hl_buffer_free(&text);
	}
	struct hl_buffer text;
	struct hilum_error error;
	hl_buffer_init(&text, 1 << 20);
	assert_int_equal(hl_arch_text("resnet19", &text, &error), HILUM_ERROR_ARGUMENT);
	assert_non_null(strstr(error.message, "seed, resnet18"));
	hl_buffer_free(&text);
}

static void test_text_from_file(void **state)
{
	char path[] = "/tmp/hilum-arch-XXXXXX";
	static const char content[] = "# a file\ninput 1x4x4x1\nflatten\ndense units=$outputs\n";
	struct hl_buffer text;
	struct hilum_error error;
	(void)state;
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, sizeof(content) - 1), sizeof(content) - 1);
	hl_buffer_init(&text, 1 << 20);
	assert_int_equal(hl_arch_text(path, &text, &error), HILUM_OK);
	assert_string_equal(text.data, content);
	hl_buffer_free(&text);
	assert_int_equal(write(fd, "\0", 1), 1);
	close(fd);
	assert_int_equal(hl_arch_text(path, &text, &error), HILUM_ERROR_FORMAT);
	unlink(path);
}

static void assert_graphs_equal(const struct hl_graph *a, const struct hl_graph *b)
{
	assert_int_equal(a->nodes, b->nodes);
	assert_int_equal(a->logits, b->logits);
	assert_int_equal(a->spatial, b->spatial);
	assert_int_equal(a->params, b->params);
	assert_int_equal(a->floats, b->floats);
	assert_int_equal(a->trained, b->trained);
	for (int32_t i = 0; i < a->nodes; i++) {
		assert_string_equal(a->node[i].name, b->node[i].name);
		assert_ptr_equal(a->node[i].op, b->node[i].op);
		assert_int_equal(a->node[i].inputs, b->node[i].inputs);
		assert_memory_equal(a->node[i].input, b->node[i].input, sizeof(a->node[i].input));
		assert_true(hl_shape_equal(a->node[i].shapes.out, b->node[i].shapes.out));
		if (a->node[i].op && a->node[i].op->options_size)
			assert_memory_equal(a->node[i].options, b->node[i].options, a->node[i].op->options_size);
	}
	for (int32_t i = 0; i < a->params; i++) {
		assert_string_equal(a->param[i].name, b->param[i].name);
		assert_int_equal(a->param[i].offset, b->param[i].offset);
		assert_int_equal(a->param[i].count, b->param[i].count);
	}
}

static void check_round_trip(struct hl_graph *graph)
{
	struct hl_buffer text, again;
	struct hl_graph *twin;
	hl_buffer_init(&text, 1 << 20);
	hl_buffer_init(&again, 1 << 20);
	assert_int_equal(hl_arch_print(graph, &text, NULL), HILUM_OK);
	assert_null(strchr(text.data, '$'));
	twin = parse(text.data, unknown, 12345);
	assert_graphs_equal(graph, twin);
	assert_int_equal(hl_arch_print(twin, &again, NULL), HILUM_OK);
	assert_string_equal(text.data, again.data);
	hl_graph_free(twin);
	hl_graph_free(graph);
	hl_buffer_free(&text);
	hl_buffer_free(&again);
}

static void test_print_parses_back(void **state)
{
	(void)state;
	check_round_trip(parse_preset("seed", (struct hl_shape){0, 1, 64, 64, 3}, 1));
	check_round_trip(parse_preset("seed dropout=0.3 filters=5", (struct hl_shape){0, 16, 16, 16, 1}, 7));
	check_round_trip(parse_preset("resnet18 width=16", (struct hl_shape){0, 1, 65, 33, 1}, 2));
	check_round_trip(parse("input 2x9x8x3\r\n"
	                       "  # all kinds of options\n"
	                       "a: conv filters=6 size=1x3x3 stride=1,2,2 pad=0x1x1 groups=3 bias=false # why\n"
	                       "b.-_9: leakyrelu slope=0.123456789012345678\n"
	                       "batchnorm eps=1e-3 momentum=0.25\n\n"
	                       "pad pad=1\n"
	                       "avgpool size=2 stride=1\n"
	                       "gelu from=b.-_9\n"
	                       "c: globalpool from=avgpool1\n"
	                       "globalpool from=gelu1\n"
	                       "concat from=c,globalpool2\n"
	                       "dense units=$outputs bias\n"
	                       "softmax",
	                       unknown, 4));
	/* Every sample of every op, as far as a graph of one op can hold it. */
	for (const struct hl_op *const *op = hl_ops; *op; op++)
		for (const char *const *sample = (*op)->samples; *sample; sample++) {
			char text[512];
			size_t shape = strcspn(*sample, " +");
			if ((*op)->inputs_min != 1 || strchr(*sample, '+'))
				continue;
			const char *options = *sample + strcspn(*sample, " "), *depth = strchr(*sample, 'x') + 1;
			snprintf(text, sizeof(text), "input %.*s\n%s%s\nflatten\ndense units=1\n",
			         (int)(shape - (size_t)(depth - *sample)), depth, (*op)->name, options);
			check_round_trip(parse(text, unknown, 1));
		}
}

static void test_logits(void **state)
{
	(void)state;
	struct hl_graph *graph = parse("input 1x1x1x4\ndense units=2\nsoftmax\n", unknown, 1);
	assert_int_equal(graph->logits, 1);
	hl_graph_free(graph);
	graph = parse("input 1x1x1x4\ndense units=2\nrelu\n", unknown, 1);
	assert_int_equal(graph->logits, 2);
	hl_graph_free(graph);
}

static void test_slab_layout(void **state)
{
	(void)state;
	struct hl_graph *graph = parse_preset("seed filters=3,5 dense=2", (struct hl_shape){0, 1, 8, 8, 1}, 1);
	int64_t at = 0;
	for (int pass = 1; pass >= 0; pass--)
		for (int32_t i = 0; i < graph->params; i++)
			if (graph->param[i].spec.trained == (bool)pass) {
				assert_int_equal(graph->param[i].offset, at);
				assert_ptr_equal(&graph->param[i], graph->param +
				                                       graph->node[graph->param[i].node].param +
				                                       (i - graph->node[graph->param[i].node].param));
				at += (graph->param[i].count + 15) / 16 * 16;
				assert_true(pass ? at <= graph->trained : at > graph->trained);
			}
	assert_int_equal(at, graph->floats);
	float *a = hl_alloc((size_t)graph->floats, sizeof(*a)), *b = hl_alloc((size_t)graph->floats, sizeof(*b));
	memset(b, 0x55, (size_t)graph->floats * sizeof(*b));
	hl_graph_initialise(graph, 7, a);
	hl_graph_initialise(graph, 7, b);
	assert_memory_equal(a, b, (size_t)graph->floats * sizeof(*a));
	hl_graph_initialise(graph, 8, b);
	assert_memory_not_equal(a, b, (size_t)graph->floats * sizeof(*a));
	for (int32_t i = 0; i < graph->params; i++) {
		const struct hl_param *param = &graph->param[i];
		double sum = 0, bound = param->spec.fan_in ? 1 / sqrt((double)param->spec.fan_in) : 1;
		for (int64_t k = 0; k < param->count; k++) {
			assert_true(fabs(a[param->offset + k]) <= bound);
			sum += fabs(a[param->offset + k]);
		}
		if (strstr(param->name, "running_mean") ||
		    (strstr(param->name, "batchnorm") && strstr(param->name, "bias")))
			assert_true(sum == 0);
		else if (strstr(param->name, "batchnorm"))
			assert_true(sum == (double)param->count);
		else /* the mean of |U(-b, b)| is b/2 */
			assert_true(param->count < 100 || fabs(sum / (double)param->count / bound - 0.5) < 0.1);
	}
	hl_free(a);
	hl_free(b);
	hl_graph_free(graph);
}

static void test_batches(void **state)
{
	(void)state;
	struct hl_graph *graph = parse_preset("seed filters=3 dense=2", (struct hl_shape){0, 1, 8, 8, 1}, 1);
	struct hl_infer *shapes = hl_alloc((size_t)graph->nodes, sizeof(*shapes));
	struct hilum_error error;
	assert_int_equal(hl_graph_infer(graph, 5, shapes, &error), HILUM_OK);
	for (int32_t i = 0; i < graph->nodes; i++) {
		struct hl_shape shape = shapes[i].out;
		assert_int_equal(shape.n, 5);
		shape.n = 1;
		assert_true(hl_shape_equal(shape, graph->node[i].shapes.out));
	}
	assert_int_not_equal(hl_graph_infer(graph, 0, shapes, &error), HILUM_OK);
	assert_int_not_equal(hl_graph_infer(graph, INT64_MAX, shapes, &error), HILUM_OK);
	hl_free(shapes);
	hl_graph_free(graph);
}

static void test_hostile_text(void **state)
{
	static const struct {
		const char *text;
		enum hilum_status status;
		const char *message;
	} cases[] = {
	    {"", HILUM_ERROR_ARGUMENT, "no layer"},
	    {"# nothing\n\n", HILUM_ERROR_ARGUMENT, "no layer"},
	    {"input 1x8x8x1", HILUM_ERROR_ARGUMENT, "no layer"},
	    {"input 1x1x1x4\nsigmoid", HILUM_ERROR_ARGUMENT, "no layer"},
	    {"relu\n", HILUM_ERROR_ARGUMENT, "line 1: an input line is missing"},
	    {"input", HILUM_ERROR_ARGUMENT, "line 1: input: one size"},
	    {"input 8x8x1\nrelu", HILUM_ERROR_ARGUMENT, "line 1: input: '8x8x1'"},
	    {"input 1x-8x8x1\nrelu", HILUM_ERROR_ARGUMENT, "line 1: input"},
	    {"input 1x0x8x1\nrelu", HILUM_ERROR_ARGUMENT, "line 1: input"},
	    {"input 1x99999999999999999999x8x1\nrelu", HILUM_ERROR_ARGUMENT, "line 1: input"},
	    {"input 1x8x8x1x1\nrelu", HILUM_ERROR_ARGUMENT, "line 1: input"},
	    {"input 4194304x4194304x4194304x4194304\nrelu", HILUM_ERROR_LIMIT, "line 1: input"},
	    {"input 1x65536x65536x1\nrelu", HILUM_ERROR_LIMIT, "line 1: input"},
	    {"input 1x8x8x1\ninput 1x8x8x1\nrelu", HILUM_ERROR_ARGUMENT, "line 2: input"},
	    {"input 1x8x8x1\nrelu\ninput 1x8x8x1", HILUM_ERROR_ARGUMENT, "line 3: input"},
	    {"input 1x8x8x1\nrulu", HILUM_ERROR_ARGUMENT, "line 2: unknown layer 'rulu'; did you mean 'relu'?"},
	    {"input 1x8x8x1\n\nmaxpol size=2", HILUM_ERROR_ARGUMENT,
	     "line 3: unknown layer 'maxpol'; did you mean 'maxpool'?"},
	    {"input 1x8x8x1\ntransformer", HILUM_ERROR_ARGUMENT, "line 2: unknown layer 'transformer'"},
	    {"input 1x8x8x1\nx:\n", HILUM_ERROR_ARGUMENT, "line 2: a name without a layer"},
	    {"input 1x8x8x1\n:\n", HILUM_ERROR_ARGUMENT, "line 2"},
	    {"input 1x8x8x1\n: relu\n", HILUM_ERROR_ARGUMENT, "line 2: relu: '' is no name"},
	    {"input 1x8x8x1\na/b: relu\n", HILUM_ERROR_ARGUMENT, "line 2: relu: 'a/b' is no name"},
	    {"input 1x8x8x1\na: relu\na: relu\n", HILUM_ERROR_ARGUMENT, "line 3: relu: the name 'a' is taken"},
	    {"input 1x8x8x1\nrelu2: relu\nrelu\n", HILUM_ERROR_ARGUMENT, "line 3: relu: the name 'relu2' is taken"},
	    {"input 1x8x8x1\ninput: relu\n", HILUM_ERROR_ARGUMENT, ""},
	    {"input 1x8x8x1\n"
	     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: relu\n",
	     HILUM_ERROR_ARGUMENT, "is no name"},
	    {"input 1x8x8x1\nrelu from=later\nlater: relu", HILUM_ERROR_ARGUMENT, "line 2: relu: from: no line before"},
	    {"input 1x8x8x1\na: relu from=a", HILUM_ERROR_ARGUMENT, "line 2: relu: from"},
	    {"input 1x8x8x1\nrelu from=", HILUM_ERROR_ARGUMENT, "line 2: relu: from"},
	    {"input 1x8x8x1\nrelu from", HILUM_ERROR_ARGUMENT, "line 2: relu"},
	    {"input 1x8x8x1\nadd from=input,", HILUM_ERROR_ARGUMENT, "line 2: add: from"},
	    {"input 1x8x8x1\nrelu from=input,input", HILUM_ERROR_ARGUMENT, "line 2: relu: relu takes 1 to 1"},
	    {"input 1x8x8x1\nadd", HILUM_ERROR_ARGUMENT, "line 2: add: add takes 2 to"},
	    {"input 1x8x8x1\nadd from=input,input,input,input,input,input,input,input,input", HILUM_ERROR_LIMIT,
	     "line 2: add: from: more than"},
	    {"input 1x8x8x1\na: relu\nb: relu from=input\n", HILUM_ERROR_ARGUMENT, "nothing reads 'a'"},
	    {"input 1x8x8x1\na: conv filters=1\nb: conv filters=2 from=a\nadd from=a,b", HILUM_ERROR_ARGUMENT,
	     "line 4: add"},
	    {"input 1x8x8x1\nconv filters=1 filters=2", HILUM_ERROR_ARGUMENT, "line 2: conv: filters: given twice"},
	    {"input 1x8x8x1\nrelu from=input from=input", HILUM_ERROR_ARGUMENT, "line 2: relu: from: given twice"},
	    {"input 1x8x8x1\nconv filters=$classes", HILUM_ERROR_ARGUMENT, "line 2: conv: filters: unknown variable"},
	    {"input 1x8x8x1\nconv filters=$", HILUM_ERROR_ARGUMENT, "line 2: conv: filters: unknown variable"},
	    {"input 1x8x8x1\nconv filters=", HILUM_ERROR_ARGUMENT, "line 2: conv: filters"},
	    {"input 1x8x8x1\nconv filters", HILUM_ERROR_ARGUMENT, "line 2: conv: filters"},
	    {"input 1x8x8x1\nconv =3", HILUM_ERROR_ARGUMENT, "line 2: conv: unknown option"},
	    {"input 1x8x8x1\nconv filters=-1", HILUM_ERROR_ARGUMENT, "line 2: conv: filters"},
	    {"input 1x8x8x1\nconv filters=1 size=9", HILUM_ERROR_ARGUMENT, "line 2: conv"},
	    {"input 1x8x8x1\nconv\n", HILUM_ERROR_ARGUMENT, "line 2: conv"},
	    {"input 1x8x8x1\nrelu speed=1", HILUM_ERROR_ARGUMENT, "line 2: relu: unknown option 'speed'"},
	    {"input 1x8x8x1\nconv filters=65536 pad=100 size=100\nconv filters=65536 size=100", HILUM_ERROR_LIMIT,
	     "line "},
	    {"input 1x4096x4096x64\nflatten\ndense units=1048576", HILUM_ERROR_LIMIT, "line 3: dense"},
	    {"input 1x1x1x32768\ndense units=16384\nrelu\ndense units=40000", HILUM_ERROR_LIMIT,
	     "line 4: dense: the network has more"},
	    {"input 1x1x1x1\ndense units=\xff\xfe\x1b[31m", HILUM_ERROR_ARGUMENT, "line 2: dense: units"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hl_graph *graph = NULL;
		struct hilum_error error = {.code = HILUM_OK};
		enum hilum_status status = hl_arch_parse(cases[i].text, unknown, 1, &graph, &error);
		if (status != cases[i].status || status != error.code || !strstr(error.message, cases[i].message) ||
		    graph)
			fail_msg("'%s': status %d, '%s'", cases[i].text, (int)status, error.message);
		/* Errors may be asked not to be told. */
		assert_int_equal(hl_arch_parse(cases[i].text, unknown, 1, &graph, NULL), status);
	}
}

static void test_input_must_agree(void **state)
{
	static const char text[] = "input 1x8x9x3\nflatten\ndense units=1";
	struct hl_graph *graph = NULL;
	struct hilum_error error;
	(void)state;
	hl_graph_free(parse(text, (struct hl_shape){5, 1, 8, 9, 3}, 1));
	hl_graph_free(parse(text, (struct hl_shape){0, 0, 0, 9, 0}, 1));
	assert_int_equal(hl_arch_parse(text, (struct hl_shape){0, 1, 8, 8, 3}, 1, &graph, &error),
	                 HILUM_ERROR_ARGUMENT);
	assert_non_null(strstr(error.message, "line 1: input: 1x8x9x3"));
	assert_int_equal(hl_arch_parse("relu", (struct hl_shape){0, 1, 8, 0, 3}, 1, &graph, &error),
	                 HILUM_ERROR_ARGUMENT);
	assert_null(graph);
}

/* Long, wide and endless texts end soon, with an error. */
static void test_sizes_of_text(void **state)
{
	struct hl_buffer text;
	struct hl_graph *graph = NULL;
	struct hilum_error error;
	(void)state;
	hl_buffer_init(&text, 1 << 24);
	hl_buffer_print(&text, NULL, "input 1x1x1x1\n");
	for (int i = 1; i < HL_NODES_MAX; i++)
		hl_buffer_print(&text, NULL, "relu\n");
	assert_int_equal(hl_arch_parse(text.data, unknown, 1, &graph, &error), HILUM_OK);
	assert_int_equal(graph->nodes, HL_NODES_MAX);
	hl_graph_free(graph);
	graph = NULL;
	hl_buffer_print(&text, NULL, "relu\n");
	assert_int_equal(hl_arch_parse(text.data, unknown, 1, &graph, &error), HILUM_ERROR_LIMIT);
	hl_buffer_free(&text);
	for (int i = 0; i < 200000; i++)
		hl_buffer_append(&text, "\n", 1, NULL);
	assert_int_equal(hl_arch_parse(text.data, unknown, 1, &graph, &error), HILUM_ERROR_LIMIT);
	hl_buffer_free(&text);
	for (int i = 0; i < 200000; i++)
		hl_buffer_append(&text, "x", 1, NULL);
	assert_int_equal(hl_arch_parse(text.data, unknown, 1, &graph, &error), HILUM_ERROR_LIMIT);
	hl_buffer_free(&text);
	for (int i = 0; i < 500; i++)
		hl_buffer_append(&text, "x ", 2, NULL);
	assert_int_equal(hl_arch_parse(text.data, unknown, 1, &graph, &error), HILUM_ERROR_LIMIT);
	hl_buffer_free(&text);
	assert_null(graph);
}

/* Any prefix and any changed byte of a sound text parses or fails cleanly (under AddressSanitizer). */
static void test_mutations(void **state)
{
	static const char sound[] = "input 1x9x8x3\na: conv filters=6 size=3 pad=1 groups=3\nbatchnorm eps=1e-3\n"
	                            "relu\nadd from=a,relu1\nglobalpool\ndense units=$outputs\nsoftmax\n";
	static const char bytes[] = "\t 09=:x,#$\n\xff"
	                            "a-.";
	char text[sizeof(sound)];
	(void)state;
	for (size_t i = 0; i < sizeof(sound) - 1; i++)
		for (size_t k = 0; k < sizeof(bytes); k++) {
			struct hl_graph *graph = NULL;
			struct hilum_error error;
			memcpy(text, sound, sizeof(sound));
			text[i] = bytes[k];
			if (!hl_arch_parse(text, unknown, 2, &graph, &error))
				hl_graph_free(graph);
		}
}

static void test_memory_failures(void **state)
{
	(void)state;
	for (int64_t countdown = 0;; countdown++) {
		struct hl_buffer text, printed;
		struct hl_graph *graph = NULL;
		struct hilum_error error;
		hl_buffer_init(&text, 1 << 20);
		hl_buffer_init(&printed, 1 << 20);
		hl_memory_fail_after(countdown);
		enum hilum_status status = hl_arch_text("seed filters=2,3", &text, &error);
		if (!status)
			status = hl_arch_parse(text.data, (struct hl_shape){0, 1, 8, 8, 1}, 1, &graph, &error);
		if (!status)
			status = hl_arch_print(graph, &printed, &error);
		hl_memory_fail_after(-1);
		hl_graph_free(graph);
		hl_buffer_free(&text);
		hl_buffer_free(&printed);
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
	    cmocka_unit_test(test_presets_as_pytorch),
	    cmocka_unit_test(test_preset_settings),
	    cmocka_unit_test(test_text_from_file),
	    cmocka_unit_test(test_print_parses_back),
	    cmocka_unit_test(test_logits),
	    cmocka_unit_test(test_slab_layout),
	    cmocka_unit_test(test_batches),
	    cmocka_unit_test(test_hostile_text),
	    cmocka_unit_test(test_input_must_agree),
	    cmocka_unit_test(test_sizes_of_text),
	    cmocka_unit_test(test_mutations),
	    cmocka_unit_test(test_memory_failures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
