/* hilum_bench: how long a network takes on this machine. */
#include "infer/bench.h"

#include "base/file.h"
#include "base/memory.h"
#include "infer/describe.h"
#include "infer/precision.h"
#include "model/model.h"
#include "nn/arch.h"
#include "nn/loss.h"
#include "nn/optimizer.h"
#include "nn/presets.h"
#include "nn/quant_fit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARCH_BYTES_MAX ((size_t)16 << 20)
#define BATCH_MAX 4096
#define REPEATS_MAX 10000
#define REPEATS_LEAST 5
#define SECONDS 3.0
#define WARM_RUNS 2
#define WARM_SECONDS 0.2

const char *const hl_bench_modes[] = {[HL_BENCH_TRAIN] = "train", [HL_BENCH_INFER] = "infer", NULL};
const char *const hl_bench_precisions[] = {[HL_BENCH_FP32] = "fp32",
                                           [HL_BENCH_BF16] = "bf16",
                                           [HL_BENCH_INT8] = "int8",
                                           [HL_BENCH_FP32_STRICT] = "fp32-strict",
                                           NULL};

#define OPTION(name_, kind_, ...)                                                                                      \
	{                                                                                                              \
		.name = #name_, .kind = HILUM_OPTION_##kind_, .offset = offsetof(struct hilum_bench_options, name_),   \
		__VA_ARGS__                                                                                            \
	}
/* clang-format off */
const struct hilum_option hilum_bench_option_table[] = {
    OPTION(net, TEXT, .initial = "S", .value = "S|R|V|FILE", .help = "S, the seed's network on 3x256x256 values; R, resnet18 on 3x224x224; V, the seed's in 3-D on 1x64x64x64; a model; or a network as hilum train --arch takes it, with an input line if it is a file"),
    OPTION(mode, CHOICE, .choices = hl_bench_modes, .initial = "train", .help = "a training step (forward, loss, backward, Adam) or a forward pass"),
    OPTION(precision, CHOICE, .choices = hl_bench_precisions, .initial = "fp32", .help = "arithmetic of the network; fp32-strict: without the parts that fp32 is split into where there is AMX; int8 only with infer, of a model that hilum quantize has seen or with scales found on noise"),
    OPTION(batch, INT, .minimum = 0, .maximum = BATCH_MAX, .initial = "0", .value = "N", .help = "images a pass; 0 means 1 for infer, and for train 32, in 3-D 8"),
    OPTION(threads, INT, .minimum = 0, .maximum = 1024, .initial = "0", .value = "N", .help = "threads; 0 means the cores that are available"),
    OPTION(repeats, INT, .minimum = 0, .maximum = REPEATS_MAX, .initial = "0", .value = "N", .help = "passes that are timed, after some that are not; 0 means as many as three seconds hold, at least 5"),
    OPTION(nodes, FLAG, .help = "also the time of each layer, with the back end that runs it"),
    {0},
};
/* clang-format on */

struct bench {
	struct hilum_model *model; /* NULL unless the network is a model's */
	struct hl_graph *own;      /* NULL where it is */
	const struct hl_graph *graph;
	struct hl_plan *plan;
	struct hl_optimizer optimizer;
	struct hl_loss loss;
	float *slab, *gradients, *images, *targets, *dlogits;
	size_t slab_bytes, gradients_bytes, images_bytes;
	struct hl_node_time *node;
	double *node_flops, *wall, *cpu;
	uint32_t step;
	int64_t loss_time, optimizer_time;
	struct hl_bench_result result;
};

/* ---- arithmetic ---- */

enum hilum_status hl_bench_count(const struct hl_graph *graph, enum hl_bench_mode mode, double *flops, double *total,
                                 struct hilum_error *error)
{
	bool *trained = hl_alloc((size_t)graph->nodes, sizeof(*trained));
	if (!trained)
		return hl_fail_memory(error, (size_t)graph->nodes * sizeof(*trained), "counts");
	*total = 0;
	for (int32_t i = 0; i < graph->nodes; i++) {
		const struct hl_node *node = &graph->node[i];
		bool behind = false; /* a layer that is trained, and so wants the gradient by this node's input */
		for (int32_t k = 0; k < node->inputs; k++)
			behind |= trained[node->input[k]];
		trained[i] = behind;
		for (int p = 0; p < node->shapes.params; p++)
			trained[i] |= node->shapes.param[p].trained;
		flops[i] = (double)hl_graph_node_flops(graph, i) * (mode == HL_BENCH_INFER ? 1 : behind ? 3 : 2);
		*total += flops[i];
	}
	hl_free(trained);
	return HILUM_OK;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

/* The value that a share of the sorted values lie below. */
static double quantile(const double *values, int64_t count, double share)
{
	double place = share * (double)(count - 1);
	int64_t below = (int64_t)place;
	int64_t above = below + 1 < count ? below + 1 : below;
	return values[below] + (place - (double)below) * (values[above] - values[below]);
}

struct hl_summary hl_summarise(double *values, int64_t count)
{
	struct hl_summary summary;
	qsort(values, (size_t)count, sizeof(*values), by_value);
	summary.median = quantile(values, count, 0.5);
	summary.minimum = values[0];
	summary.maximum = values[count - 1];
	summary.spread =
	    summary.median > 0 ? (quantile(values, count, 0.75) - quantile(values, count, 0.25)) / summary.median : 0;
	return summary;
}

/* ---- what is measured ---- */

static enum hilum_status open_model(struct bench *bench, const char *path, struct hilum_error *error)
{
	enum hilum_status status = hilum_model_open(path, &bench->model, error);
	if (!status)
		bench->graph = bench->model->graph;
	return status;
}

static enum hilum_status open_network(struct bench *bench, const char *net, struct hilum_error *error)
{
	static const struct {
		const char *name, *arch;
		struct hl_shape input;
	} known[] = {{"S", "seed", {1, 1, 256, 256, 3}},
	             {"R", "resnet18", {1, 1, 224, 224, 3}},
	             {"V", "seed", {1, 64, 64, 64, 1}}};
	const char *arch = net;
	/* Where the network's text says nothing: zero members agree with anything, but are no input by themselves. */
	struct hl_shape input = {.n = 1};
	struct hl_buffer text;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(net, known[i].name) == 0) {
			arch = known[i].arch;
			input = known[i].input;
		}
	if (arch == net && hl_preset_find(net, strcspn(net, " \t"))) {
		input = known[0].input;
	} else if (arch == net) {
		if (!hl_path_exists(net))
			return hl_fail(error, HILUM_ERROR_ARGUMENT,
			               "net: '%.200s' is none of S, R, V, a model or a network's text", net);
		if (hl_is_model(net))
			return open_model(bench, net, error);
	}
	hl_buffer_init(&text, ARCH_BYTES_MAX);
	enum hilum_status status = hl_arch_text(arch, &text, error);
	if (!status) {
		status = hl_arch_parse(text.data ? text.data : "", input, 1, &bench->own, error);
		if (status)
			hl_prefix(error, status, "%s", arch);
	}
	hl_buffer_free(&text);
	bench->graph = bench->own;
	return status;
}

/* A block for tensors; refused beyond what the machine has, since the system promises more than it keeps. */
static enum hilum_status take(size_t count, float **out, size_t *bytes, const char *what, struct hilum_error *error)
{
	int64_t available = hl_memory_available();
	if (!hl_mul_size(count, sizeof(float), bytes))
		*bytes = SIZE_MAX;
	if (available < 0 || *bytes <= (uint64_t)available)
		*out = hl_block_alloc(*bytes);
	return *out ? HILUM_OK : hl_fail_memory(error, *bytes, what);
}

static enum hilum_status prepare_training(struct bench *bench, struct hilum_error *error)
{
	int64_t batch = bench->result.batch, outputs = hl_plan_outputs(bench->plan);
	size_t values = (size_t)(batch * outputs);
	if (outputs > INT32_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "the network gives %lld values, too many for a loss",
		               (long long)outputs);
	bench->loss = (struct hl_loss){.kind = outputs == 1 ? HL_LOSS_BCE : HL_LOSS_CE, .outputs = (int32_t)outputs};
	bench->optimizer = (struct hl_optimizer){.kind = HL_OPTIMIZER_ADAM, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
	enum hilum_status status = hl_optimizer_init(&bench->optimizer, bench->graph, error);
	if (!status)
		status =
		    take((size_t)bench->graph->trained, &bench->gradients, &bench->gradients_bytes, "gradients", error);
	if (status)
		return status;
	bench->targets = hl_alloc(values, sizeof(float));
	bench->dlogits = hl_alloc(values, sizeof(float));
	if (!bench->targets || !bench->dlogits)
		return hl_fail_memory(error, values * sizeof(float), "labels");
	for (int64_t i = 0; i < batch; i++)
		if (outputs > 1)
			bench->targets[i * outputs + i % outputs] = 1;
		else
			bench->targets[i] = (float)(i % 2);
	return HILUM_OK;
}

/* The parameters of the model, or fresh ones; images of even noise, since arithmetic takes as long whatever they show.
 */
static enum hilum_status prepare_data(struct bench *bench, struct hilum_error *error)
{
	const struct hl_graph *graph = bench->graph;
	size_t sample = (size_t)hl_shape_sample(graph->node[0].shapes.out), count;
	if (!hl_mul_size(sample, (size_t)bench->result.batch, &count))
		count = SIZE_MAX;
	enum hilum_status status = take(count, &bench->images, &bench->images_bytes, "images", error);
	for (size_t i = 0; i < count && !status; i++)
		bench->images[i] = (float)((uint32_t)i * 2654435761U >> 8) * 0x1p-24F;
	if (!status && bench->own) {
		status = take((size_t)graph->floats, &bench->slab, &bench->slab_bytes, "parameters", error);
		if (!status)
			hl_graph_initialise(graph, 1, bench->slab);
	}
	return status;
}

/* Of a network without a model: scales from the first image. */
static enum hilum_status fit_noise(struct bench *bench, struct hl_quant *quant, struct hilum_error *error)
{
	struct hl_quant_fit *fit = NULL;
	enum hilum_status status = hl_quant_fit_open(bench->graph, bench->slab, bench->result.threads, &fit, error);
	if (status)
		return status;
	for (int i = 0; i < HL_QUANT_SHOWINGS && !status; i++) {
		hl_quant_fit_show(fit, bench->images);
		status = hl_quant_fit_next(fit, error);
	}
	if (!status)
		hl_quant_fit_get(fit, quant);
	hl_quant_fit_close(fit);
	return status;
}

static enum hilum_status make_plan(struct bench *bench, const struct hl_plan_options *planning,
                                   struct hilum_error *error)
{
	enum hl_bench_precision precision = bench->result.precision;
	struct hl_plan_options options = *planning;
	struct hl_quant *quant = NULL;
	enum hilum_status status = HILUM_OK;
	if (bench->model && !planning->training)
		return hl_model_plan(bench->model, planning, (int)precision, &bench->plan, error);
	options.type = precision == HL_BENCH_INT8 ? HL_U8 : precision == HL_BENCH_BF16 ? HL_BF16 : HL_F32;
	options.strict = precision == HL_BENCH_FP32_STRICT;
	if (precision == HL_BENCH_INT8) {
		quant = hl_alloc((size_t)bench->graph->nodes, sizeof(*quant));
		status = quant ? fit_noise(bench, quant, error) : hl_fail_memory(error, sizeof(*quant), "int8 scales");
		options.quant = quant;
	}
	if (!status)
		status = hl_plan_create(bench->graph, &options, &bench->plan, error);
	hl_free(quant);
	if (!status)
		hl_plan_bind(bench->plan, bench->model ? bench->model->slab : bench->slab);
	return status;
}

static enum hilum_status prepare(struct bench *bench, const struct hilum_bench_options *options,
                                 struct hilum_error *error)
{
	struct hl_bench_result *result = &bench->result;
	enum hilum_status status = open_network(bench, result->net, error);
	if (status)
		return status;
	result->graph = bench->graph;
	result->batch = options->batch                           ? options->batch
	                : result->mode == HL_BENCH_INFER         ? 1
	                : bench->graph->node[0].shapes.out.d > 1 ? 8
	                                                         : 32;
	result->threads = options->threads ? (int32_t)options->threads : hl_cpu_count();
	status = prepare_data(bench, error);
	if (status)
		return status;
	bench->node_flops = hl_alloc((size_t)bench->graph->nodes, sizeof(double));
	if (!bench->node_flops)
		return hl_fail_memory(error, (size_t)bench->graph->nodes * sizeof(double), "counts");
	status = hl_bench_count(bench->graph, result->mode, bench->node_flops, &result->flops, error);
	const struct hl_plan_options planning = {
	    .batch = result->batch, .training = result->mode == HL_BENCH_TRAIN, .threads = result->threads};
	if (!status)
		status = make_plan(bench, &planning, error);
	if (!status && result->mode == HL_BENCH_TRAIN)
		status = prepare_training(bench, error);
	result->plan = bench->plan;
	return status;
}

/* ---- measuring ---- */

static double clock_ns(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void run_once(struct bench *bench)
{
	bool training = bench->result.mode == HL_BENCH_TRAIN;
	const float *logits = hl_plan_forward(bench->plan, bench->images, training, 1, bench->step++);
	if (!training)
		return;
	float *slab = bench->model ? bench->model->slab : bench->slab;
	double began = clock_ns(CLOCK_MONOTONIC);
	(void)hl_loss_compute(&bench->loss, logits, bench->targets, bench->result.batch, bench->dlogits);
	bench->loss_time += (int64_t)(clock_ns(CLOCK_MONOTONIC) - began);
	hl_plan_backward(bench->plan, bench->dlogits, bench->gradients);
	began = clock_ns(CLOCK_MONOTONIC);
	hl_optimizer_step(&bench->optimizer, bench->graph, NULL, 1e-4, slab, bench->gradients);
	bench->optimizer_time += (int64_t)(clock_ns(CLOCK_MONOTONIC) - began);
	hl_plan_changed(bench->plan);
}

static void warm(struct bench *bench)
{
	double began = clock_ns(CLOCK_MONOTONIC);
	for (int i = 0; i < WARM_RUNS || clock_ns(CLOCK_MONOTONIC) - began < WARM_SECONDS * 1e9; i++)
		run_once(bench);
	bench->loss_time = bench->optimizer_time = 0;
}

static enum hilum_status measure(struct bench *bench, const struct hilum_bench_options *options,
                                 struct hilum_error *error)
{
	struct hl_bench_result *result = &bench->result;
	int64_t most = options->repeats ? options->repeats : REPEATS_MAX, count = 0;
	bench->wall = hl_alloc((size_t)most, sizeof(double));
	bench->cpu = hl_alloc((size_t)most, sizeof(double));
	bench->node = hl_alloc((size_t)bench->graph->nodes, sizeof(*bench->node));
	if (!bench->wall || !bench->cpu || !bench->node)
		return hl_fail_memory(error, (size_t)most * sizeof(double), "times");
	result->peak = hl_peak_measure(result->precision, result->threads);
	warm(bench);
	hl_plan_time(bench->plan, options->nodes ? bench->node : NULL);
	double first = clock_ns(CLOCK_MONOTONIC);
	while (count < most &&
	       (options->repeats || count < REPEATS_LEAST || clock_ns(CLOCK_MONOTONIC) - first < SECONDS * 1e9)) {
		double began = clock_ns(CLOCK_MONOTONIC), spent = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		run_once(bench);
		bench->wall[count] = (clock_ns(CLOCK_MONOTONIC) - began) * 1e-6;
		bench->cpu[count++] = (clock_ns(CLOCK_PROCESS_CPUTIME_ID) - spent) * 1e-6;
	}
	result->repeats = count;
	result->wall = hl_summarise(bench->wall, count);
	result->cpu = hl_summarise(bench->cpu, count).median;
	if (options->nodes) {
		result->node = bench->node;
		result->node_flops = bench->node_flops;
		result->loss = bench->loss_time;
		result->optimizer = bench->optimizer_time;
	}
	return HILUM_OK;
}

static void clear(struct bench *bench)
{
	hl_plan_destroy(bench->plan);
	hl_optimizer_free(&bench->optimizer);
	hl_block_free(bench->slab, bench->slab_bytes);
	hl_block_free(bench->gradients, bench->gradients_bytes);
	hl_block_free(bench->images, bench->images_bytes);
	hl_free(bench->targets);
	hl_free(bench->dlogits);
	hl_free(bench->node);
	hl_free(bench->node_flops);
	hl_free(bench->wall);
	hl_free(bench->cpu);
	hl_graph_free(bench->own);
	hilum_model_close(bench->model);
}

static enum hilum_status check(const struct hilum_bench_options *options, struct hilum_error *error)
{
	if (options->mode < 0 || options->mode > HL_BENCH_INFER)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "mode: %d is neither 0 nor 1", options->mode);
	if (options->precision < 0 || options->precision >= HL_BENCH_PRECISIONS)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "precision: %d is not from 0 to %d", options->precision,
		               HL_BENCH_PRECISIONS - 1);
	if (options->batch < 0 || options->batch > BATCH_MAX)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "batch: %lld is not from 0 to %d",
		               (long long)options->batch, BATCH_MAX);
	if (options->threads < 0 || options->threads > 1024)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "threads: %lld is not from 0 to 1024",
		               (long long)options->threads);
	if (options->repeats < 0 || options->repeats > REPEATS_MAX)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "repeats: %lld is not from 0 to %d",
		               (long long)options->repeats, REPEATS_MAX);
	if (options->precision == HL_BENCH_INT8 && options->mode == HL_BENCH_TRAIN)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "precision: int8 is for --mode infer");
	return HILUM_OK;
}

enum hilum_status hilum_bench(const struct hilum_bench_options *options, enum hilum_output output, FILE *file,
                              struct hilum_error *error)
{
	enum hilum_status status = check(options, error);
	if (status)
		return status;
	struct bench bench = {.result = {.net = options->net ? options->net : "S",
	                                 .mode = (enum hl_bench_mode)options->mode,
	                                 .precision = (enum hl_bench_precision)options->precision}};
	status = prepare(&bench, options, error);
	if (!status)
		status = measure(&bench, options, error);
	if (!status)
		status = hl_bench_print(&bench.result, output, file, error);
	clear(&bench);
	return status;
}
