/* Times convolutions of the nets S, R (ResNet-18) and V on each back end that takes them, in turn:
 *   conv_layers fp32|bf16 BATCH THREADS [REPEATS [LAYER]]
 * For forward (inference) and the gradient of the input (training): GFLOP/s by the least processor time of one thread,
 * or by the least wall time of several. Back ends alternate, so that what else runs on the machine slows all alike.
 * Those asked are those of hl_backends() but the reference; LAYER picks those whose name contains it. */
#include "base/memory.h"
#include "base/random.h"
#include "nn/backend.h"
#include "nn/ops/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BACKENDS_MAX 8

struct layer {
	const char *name, *shape, *options; /* shape without the batch */
	bool gradient;                      /* false: the first of its net, whose input has none */
};

static const struct layer layers[] = {
    {"S1", "1x256x256x3", "filters=32 size=3 pad=1", false},
    {"S2", "1x128x128x32", "filters=64 size=3 pad=1", true},
    {"S3", "1x64x64x64", "filters=128 size=3 pad=1", true},
    {"S4", "1x32x32x128", "filters=128 size=3 pad=1", true},
    {"R-stem", "1x224x224x3", "filters=64 size=7 stride=2 pad=3 bias=false", false},
    {"R1", "1x56x56x64", "filters=64 size=3 pad=1 bias=false", true},
    {"R2-down", "1x56x56x64", "filters=128 size=3 stride=2 pad=1 bias=false", true},
    {"R2-short", "1x56x56x64", "filters=128 size=1 stride=2 bias=false", true},
    {"R2", "1x28x28x128", "filters=128 size=3 pad=1 bias=false", true},
    {"R3-down", "1x28x28x128", "filters=256 size=3 stride=2 pad=1 bias=false", true},
    {"R3-short", "1x28x28x128", "filters=256 size=1 stride=2 bias=false", true},
    {"R3", "1x14x14x256", "filters=256 size=3 pad=1 bias=false", true},
    {"R4-down", "1x14x14x256", "filters=512 size=3 stride=2 pad=1 bias=false", true},
    {"R4-short", "1x14x14x256", "filters=512 size=1 stride=2 bias=false", true},
    {"R4", "1x7x7x512", "filters=512 size=3 pad=1 bias=false", true},
    {"V1", "64x64x64x1", "filters=32 size=3 pad=1", false},
    {"V2", "32x32x32x32", "filters=64 size=3 pad=1", true},
    {"V3", "16x16x16x64", "filters=128 size=3 pad=1", true},
    {"V4", "8x8x8x128", "filters=128 size=3 pad=1", true},
};

struct work {
	const struct hl_op *op;
	void *options;
	struct hl_infer shapes;
	struct hl_tensor in, out; /* of the gradients too: in is written by the backward pass */
	float *param[HL_PARAMS_MAX];
	double flops;
};

static double seconds(int32_t threads)
{
	struct timespec time;
	clock_gettime(threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void *take(size_t bytes)
{
	void *block = hl_block_alloc(bytes);
	if (!block) {
		fputs("conv_layers: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	return block;
}

static void fill(float *to, int64_t count, uint32_t key)
{
	struct hl_random random = hl_random_stream(1, 0, key, HL_RANDOM_TEST);
	for (int64_t i = 0; i < count; i++)
		to[i] = (float)hl_random_range(&random, -1, 1);
}

static void fill_tensor(struct hl_tensor *tensor, struct hl_shape shape, enum hl_type type, uint32_t key)
{
	int64_t count = hl_shape_count(shape);
	size_t bytes = (size_t)count * sizeof(float);
	float *values = take(bytes);
	*tensor = (struct hl_tensor){shape, type, take((size_t)count * hl_type_size(type))};
	fill(values, count, key);
	hl_convert(values, HL_F32, tensor->data, type, count);
	hl_block_free(values, bytes);
}

static enum hilum_status open_work(const struct layer *layer, int64_t batch, enum hl_type type, struct work *work,
                                   struct hilum_error *error)
{
	char shape[64], text[128], *rest;
	*work = (struct work){.op = hl_op_find("conv")};
	work->options = take(work->op->options_size);
	hilum_options_init(work->op->options, work->options);
	snprintf(text, sizeof(text), "%s", layer->options);
	snprintf(shape, sizeof(shape), "%lldx%s", (long long)batch, layer->shape);
	enum hilum_status status = HILUM_OK;
	for (char *word = strtok_r(text, " ", &rest); word && !status; word = strtok_r(NULL, " ", &rest)) {
		char *value = strchr(word, '=');
		*value++ = '\0';
		status = hilum_option_set(work->op->options, work->options, word, value, error);
	}
	work->shapes = (struct hl_infer){.inputs = 1};
	if (status || !hl_shape_parse(shape, &work->shapes.in[0]))
		return status ? status : HILUM_ERROR_ARGUMENT;
	work->shapes.spatial = work->shapes.in[0].d > 1 ? 3 : 2;
	status = work->op->infer(work->options, &work->shapes, error);
	if (status)
		return status;
	work->flops = 2;
	for (int i = 0; i < work->shapes.params; i++) {
		const struct hl_param_spec *spec = &work->shapes.param[i];
		int64_t count = 1;
		for (int k = 0; k < spec->rank; k++)
			count *= spec->dims[k];
		work->param[i] = take((size_t)count * sizeof(float));
		fill(work->param[i], count, 10 + (uint32_t)i);
		if (i == 0)
			work->flops *= (double)count;
	}
	work->flops *= (double)(hl_shape_count(work->shapes.out) / work->shapes.out.c);
	fill_tensor(&work->in, work->shapes.in[0], type, 1);
	fill_tensor(&work->out, work->shapes.out, type, 2);
	return HILUM_OK;
}

/* GFLOP/s of each back end; 0: it does not take the layer. */
static void race(const struct work *work, bool backward, int32_t threads, int repeats, double *speed)
{
	const struct hl_backend *const *backends = hl_backends();
	struct hl_compile request = {.op = work->op,
	                             .options = work->options,
	                             .shapes = &work->shapes,
	                             .type = work->in.type,
	                             .training = backward,
	                             .want_din = {backward},
	                             .threads = threads};
	struct hl_primitive *primitive[BACKENDS_MAX] = {NULL};
	void *scratch[BACKENDS_MAX];
	double least[BACKENDS_MAX];
	for (int i = 0; backends[i] && i < BACKENDS_MAX; i++) {
		struct hilum_error refusal;
		speed[i] = 0;
		least[i] = 1e30;
		if (backends[i] == &hl_backend_reference ||
		    backends[i]->compile(&request, &primitive[i], &refusal) != HILUM_OK)
			continue;
		scratch[i] = take(primitive[i]->scratch + 1);
		if (primitive[i]->prepare)
			primitive[i]->prepare(primitive[i], work->param);
	}
	for (int repeat = 0; repeat < repeats; repeat++)
		for (int i = 0; backends[i] && i < BACKENDS_MAX; i++) {
			struct hl_call call = {.shapes = &work->shapes,
			                       .options = work->options,
			                       .in = {&work->in},
			                       .out = &work->out,
			                       .dout = &work->out,
			                       .din = {&work->in},
			                       .training = backward};
			if (!primitive[i])
				continue;
			memcpy(call.param, work->param, sizeof(work->param));
			call.scratch = scratch[i];
			double begin = seconds(threads);
			(backward ? primitive[i]->backward : primitive[i]->forward)(primitive[i], &call);
			double time = seconds(threads) - begin;
			least[i] = time < least[i] ? time : least[i];
		}
	for (int i = 0; backends[i] && i < BACKENDS_MAX; i++)
		if (primitive[i]) {
			speed[i] = work->flops / least[i] * 1e-9;
			hl_block_free(scratch[i], primitive[i]->scratch + 1);
			primitive[i]->destroy(primitive[i]);
		}
}

static void close_work(struct work *work)
{
	/* The blocks of tensors and parameters go with the process; those of the largest nets are released here. */
	hl_block_free(work->in.data, (size_t)hl_shape_count(work->in.shape) * hl_type_size(work->in.type));
	hl_block_free(work->out.data, (size_t)hl_shape_count(work->out.shape) * hl_type_size(work->out.type));
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fputs("usage: conv_layers fp32|bf16 BATCH THREADS [REPEATS [LAYER]]\n", stderr);
		return EXIT_FAILURE;
	}
	enum hl_type type = strcmp(argv[1], "bf16") == 0 ? HL_BF16 : HL_F32;
	int repeats = argc > 4 ? atoi(argv[4]) : 5;
	printf("%-10s %-9s", "layer", "pass");
	for (const struct hl_backend *const *backend = hl_backends(); *backend; backend++)
		printf(" %10s", (*backend)->name);
	puts("  GFLOP/s");
	for (size_t i = 0; i < sizeof(layers) / sizeof(layers[0]); i++) {
		struct hilum_error error = {HILUM_OK, ""};
		struct work work;
		if (argc > 5 && !strstr(layers[i].name, argv[5]))
			continue;
		if (open_work(&layers[i], atoi(argv[2]), type, &work, &error)) {
			fprintf(stderr, "conv_layers: %s: %s\n", layers[i].name, error.message);
			return EXIT_FAILURE;
		}
		for (int backward = 0; backward <= (int)layers[i].gradient; backward++) {
			double speed[BACKENDS_MAX];
			race(&work, backward, atoi(argv[3]), repeats, speed);
			printf("%-10s %-9s", layers[i].name, backward ? "gradient" : "forward");
			for (int k = 0; hl_backends()[k] && k < BACKENDS_MAX; k++)
				printf(" %10.1f", speed[k]);
			puts("");
			fflush(stdout);
		}
		close_work(&work);
	}
	return EXIT_SUCCESS;
}
