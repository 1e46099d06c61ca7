/* hilum_bench: the figures that it computes, the loops that it measures the processor with, and what it reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above before it. */
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "infer/bench.h"
#include "nn/arch.h"

static bool near(double value, double wanted)
{
	return fabs(value - wanted) <= 1e-9 * fabs(wanted);
}

static void test_summary(void **state)
{
	double odd[] = {5, 1, 3, 2, 4}, even[] = {4, 1, 2, 3}, one[] = {7};
	(void)state;
	struct hl_summary summary = hl_summarise(odd, 5);
	assert_true(near(summary.median, 3) && near(summary.minimum, 1) && near(summary.maximum, 5));
	assert_true(near(summary.spread, 2.0 / 3));
	summary = hl_summarise(even, 4);
	assert_true(near(summary.median, 2.5) && near(summary.minimum, 1) && near(summary.maximum, 4));
	assert_true(near(summary.spread, 0.6));
	summary = hl_summarise(one, 1);
	assert_true(near(summary.median, 7) && near(summary.minimum, 7) && near(summary.maximum, 7));
	assert_true(summary.spread == 0);
}

static struct hl_graph *parse(const char *text)
{
	struct hl_graph *graph = NULL;
	struct hilum_error error;
	if (hl_arch_parse(text, (struct hl_shape){1, 0, 0, 0, 0}, 1, &graph, &error))
		fail_msg("%s", error.message);
	return graph;
}

/* conv 1: 8 x 8 places, 9 x 3 x 4 weights; conv 2 likewise with 4 x 4 channels; dense: 4 weights. */
static void test_count(void **state)
{
	static const double first = 2 * 64 * 9 * 3 * 4, second = 2 * 64 * 9 * 4 * 4, dense = 2 * 4;
	double flops[8], total;
	struct hilum_error error;
	(void)state;
	struct hl_graph *graph = parse("input 1x8x8x3\nrelu\nconv filters=4 size=3 pad=1\nbatchnorm\n"
	                               "conv filters=4 size=3 pad=1\nglobalpool\ndense units=1\nsigmoid\n");
	assert_int_equal(graph->nodes, 8);
	assert_int_equal(hl_bench_count(graph, HL_BENCH_INFER, flops, &total, &error), HILUM_OK);
	assert_true(total == first + second + dense);
	assert_true(total == (double)hl_graph_flops(graph));
	assert_true(flops[2] == first && flops[4] == second && flops[6] == dense);
	assert_true(flops[0] + flops[1] + flops[3] + flops[5] + flops[7] == 0);
	/* Nothing is trained before the first convolution. */
	assert_int_equal(hl_bench_count(graph, HL_BENCH_TRAIN, flops, &total, &error), HILUM_OK);
	assert_true(total == 2 * first + 3 * second + 3 * dense);
	assert_true(flops[2] == 2 * first && flops[4] == 3 * second && flops[6] == 3 * dense);
	hl_memory_fail_after(0);
	assert_int_equal(hl_bench_count(graph, HL_BENCH_TRAIN, flops, &total, &error), HILUM_ERROR_MEMORY);
	hl_memory_fail_after(-1);
	hl_graph_free(graph);
}

/* The networks of docs/speed.md and their arithmetic there, in GFLOP an image. */
static void test_known_networks(void **state)
{
	static const struct {
		const char *arch;
		struct hl_shape input;
		double infer, train;
	} nets[] = {{"seed", {1, 1, 256, 256, 3}, 1.632, 4.782},
	            {"resnet18", {1, 1, 224, 224, 3}, 3.627, 10.645},
	            {"seed", {1, 64, 64, 64, 1}, 6.344, 18.579}};
	(void)state;
	for (size_t i = 0; i < sizeof(nets) / sizeof(*nets); i++) {
		struct hl_buffer text;
		struct hl_graph *graph = NULL;
		double flops[128], infer, train;
		hl_buffer_init(&text, 1 << 20);
		assert_int_equal(hl_arch_text(nets[i].arch, &text, NULL), HILUM_OK);
		assert_int_equal(hl_arch_parse(text.data, nets[i].input, 1, &graph, NULL), HILUM_OK);
		assert_in_range(graph->nodes, 1, 128);
		assert_int_equal(hl_bench_count(graph, HL_BENCH_INFER, flops, &infer, NULL), HILUM_OK);
		assert_int_equal(hl_bench_count(graph, HL_BENCH_TRAIN, flops, &train, NULL), HILUM_OK);
		assert_true(fabs(infer * 1e-9 - nets[i].infer) < 0.0006);
		assert_true(fabs(train * 1e-9 - nets[i].train) < 0.0011);
		hl_graph_free(graph);
		hl_buffer_free(&text);
	}
}

/* Each loop really does the arithmetic that it is counted with. */
static void test_loops(void **state)
{
	struct hl_cpu cpu = hl_cpu_describe();
	int ran = 0;
	(void)state;
	for (const struct hl_peak_loop *loop = hl_peak_loops; loop->name; loop++) {
		if (!loop->runs_on(&cpu))
			continue;
		ran++;
		for (int64_t rounds = 0; rounds < 1000; rounds = rounds * 3 + 1)
			if (2 * loop->run(rounds) != loop->operations * (double)rounds)
				fail_msg("%s: %lld rounds", loop->name, (long long)rounds);
	}
	assert_true(ran >= 1);
}

static void test_peak(void **state)
{
	(void)state;
	for (int precision = 0; precision < HL_BENCH_PRECISIONS; precision++) {
		struct hl_peak peak = hl_peak_measure((enum hl_bench_precision)precision, 1);
		assert_non_null(peak.name);
		assert_true(peak.gflops > 0 && isfinite(peak.gflops));
	}
}

static json_t *bench(struct hilum_bench_options *options)
{
	char *text = NULL;
	size_t size;
	struct hilum_error error = {HILUM_OK, ""};
	FILE *file = open_memstream(&text, &size);
	assert_non_null(file);
	if (hilum_bench(options, HILUM_OUTPUT_JSON, file, &error))
		fail_msg("%s", error.message);
	fclose(file);
	json_t *root = json_loads(text, 0, NULL);
	free(text);
	assert_non_null(root);
	return root;
}

static double number(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	if (!json_is_number(value))
		fail_msg("%s is no number", name);
	return json_number_value(value);
}

/* What belongs together agrees, and the nodes' times are those of the run: all in all no longer than it, and for a
 * single thread most of it. */
static void test_report(void **state)
{
	struct hilum_bench_options options;
	(void)state;
	hilum_options_init(hilum_bench_option_table, &options);
	options.net = "seed filters=8,8 dense=8";
	options.batch = 2;
	options.threads = 1;
	options.repeats = 4;
	options.nodes = true;
	for (options.mode = HL_BENCH_TRAIN; options.mode <= HL_BENCH_INFER; options.mode++)
		for (options.precision = HL_BENCH_FP32; options.precision <= HL_BENCH_BF16; options.precision++) {
			json_t *root = bench(&options), *node;
			size_t index;
			double median = number(root, "median_ms"), share = 0, ms = 0, backward = 0;
			assert_true(number(root, "batch") == 2 && number(root, "threads") == 1);
			assert_true(number(root, "repeats") == 4);
			assert_true(number(root, "min_ms") > 0 && number(root, "min_ms") <= median);
			assert_true(median <= number(root, "max_ms"));
			assert_true(number(root, "cpu_ms") > 0);
			assert_true(near(number(root, "images_per_s"), 2000 / median));
			assert_true(
			    near(number(root, "peak_share") * number(root, "peak_gflops"), number(root, "gflops")));
			json_array_foreach(json_object_get(root, "nodes"), index, node)
			{
				double sum = number(node, "forward_ms") + number(node, "backward_ms");
				share += number(node, "share");
				ms += sum;
				backward += number(node, "backward_ms");
				assert_true(sum >= 0);
			}
			assert_true(index >= 9);
			ms += number(root, "loss_ms") + number(root, "optimizer_ms");
			assert_true(share > 0 && share <= 1 + 1e-9);
			assert_true(options.mode == HL_BENCH_TRAIN ? backward > 0 : backward == 0);
			/* The nodes' sums are means over all repeats, so that the slowest bounds them. */
			assert_true(ms <= number(root, "max_ms"));
			assert_true(ms >= 0.5 * number(root, "min_ms"));
			json_decref(root);
		}
	options.mode = HL_BENCH_INFER;
	options.precision = HL_BENCH_FP32;
	options.nodes = false;
	json_t *root = bench(&options);
	assert_null(json_object_get(root, "nodes"));
	json_decref(root);
}

static void test_refusals(void **state)
{
	static const struct {
		struct hilum_bench_options options;
		enum hilum_status status;
		const char *message;
	} cases[] = {
	    {{.mode = 2}, HILUM_ERROR_ARGUMENT, "mode"},
	    {{.mode = -1}, HILUM_ERROR_ARGUMENT, "mode"},
	    {{.precision = 4}, HILUM_ERROR_ARGUMENT, "precision"},
	    {{.precision = HL_BENCH_INT8}, HILUM_ERROR_UNSUPPORTED, "int8"},
	    {{.batch = -1}, HILUM_ERROR_ARGUMENT, "batch"},
	    {{.batch = 4097}, HILUM_ERROR_ARGUMENT, "batch"},
	    {{.threads = -1}, HILUM_ERROR_ARGUMENT, "threads"},
	    {{.repeats = -1}, HILUM_ERROR_ARGUMENT, "repeats"},
	    {{.net = "no such file"}, HILUM_ERROR_ARGUMENT, "no such file"},
	    {{.net = "/dev/null"}, HILUM_ERROR_IO, "/dev/null"},
	    {{.net = "seed filters=0"}, HILUM_ERROR_ARGUMENT, "filters"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct hilum_error error = {HILUM_OK, ""};
		FILE *file = fopen("/dev/null", "we");
		enum hilum_status status = hilum_bench(&cases[i].options, HILUM_OUTPUT_TEXT, file, &error);
		fclose(file);
		if (status != cases[i].status || !strstr(error.message, cases[i].message))
			fail_msg("case %zu: %d, '%s'", i, (int)status, error.message);
	}
}

static void test_memory_failures(void **state)
{
	struct hilum_bench_options options;
	(void)state;
	hilum_options_init(hilum_bench_option_table, &options);
	options.net = "seed filters=4 dense=4";
	options.batch = options.threads = options.repeats = 1;
	FILE *file = fopen("/dev/null", "we");
	assert_non_null(file);
	for (int64_t countdown = 0;; countdown++) {
		struct hilum_error error = {HILUM_OK, ""};
		hl_memory_fail_after(countdown);
		enum hilum_status status = hilum_bench(&options, HILUM_OUTPUT_JSON, file, &error);
		hl_memory_fail_after(-1);
		if (!status) {
			assert_true(countdown > 20);
			break;
		}
		assert_int_equal(status, HILUM_ERROR_MEMORY);
		assert_int_equal(error.code, HILUM_ERROR_MEMORY);
	}
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_summary),        cmocka_unit_test(test_count),
	    cmocka_unit_test(test_known_networks), cmocka_unit_test(test_loops),
	    cmocka_unit_test(test_peak),           cmocka_unit_test(test_report),
	    cmocka_unit_test(test_refusals),       cmocka_unit_test(test_memory_failures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
