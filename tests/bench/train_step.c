/* Times one training step (forward, loss, backward, Adam) of a network:
 *   train_step ARCH DxHxWxC BATCH fp32|bf16 THREADS [REPEATS]
 * Prints the median, least and most wall milliseconds, and the median milliseconds of processor time. */
#include "base/memory.h"
#include "nn/arch.h"
#include "nn/loss.h"
#include "nn/optimizer.h"
#include "nn/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REPEATS_MAX 1000

static double clock_ms(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static int fail(const struct hilum_error *error)
{
	fprintf(stderr, "train_step: %s\n", error->message);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct hilum_error error = {HILUM_OK, "usage: train_step ARCH DxHxWxC BATCH fp32|bf16 THREADS [REPEATS]"};
	struct hl_buffer text;
	struct hl_graph *graph;
	struct hl_plan *plan;
	struct hl_shape shape;
	char sizes[64];
	if (argc < 6)
		return fail(&error);
	int64_t batch = atoi(argv[3]);
	int repeats = argc > 6 ? atoi(argv[6]) : 5;
	snprintf(sizes, sizeof(sizes), "%lldx%s", (long long)batch, argv[2]);
	if (batch < 1 || repeats < 1 || repeats > REPEATS_MAX || !hl_shape_parse(sizes, &shape))
		return fail(&error);
	hl_buffer_init(&text, 1 << 20);
	if (hl_arch_text(argv[1], &text, &error) || hl_arch_parse(text.data, shape, 1, &graph, &error))
		return fail(&error);
	struct hl_plan_options options = {.batch = batch,
	                                  .training = true,
	                                  .type = strcmp(argv[4], "bf16") == 0 ? HL_BF16 : HL_F32,
	                                  .threads = atoi(argv[5])};
	struct hl_optimizer optimizer = {.kind = HL_OPTIMIZER_ADAM, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
	if (hl_plan_create(graph, &options, &plan, &error) || hl_optimizer_init(&optimizer, graph, &error))
		return fail(&error);
	int64_t count = hl_shape_count(shape);
	float *slab = hl_block_alloc((size_t)graph->floats * sizeof(float));
	float *gradients = hl_block_alloc((size_t)graph->trained * sizeof(float));
	float *images = hl_block_alloc((size_t)count * sizeof(float));
	float *labels = hl_alloc((size_t)batch, sizeof(float)), *dlogits = hl_alloc((size_t)batch, sizeof(float));
	if (!slab || !gradients || !images || !labels || !dlogits)
		return EXIT_FAILURE;
	for (int64_t i = 0; i < count; i++)
		images[i] = (float)((uint32_t)i * 2654435761U >> 8) * 0x1p-24F;
	for (int64_t i = 0; i < batch; i++)
		labels[i] = (float)(i % 2);
	hl_graph_initialise(graph, 1, slab);
	hl_plan_bind(plan, slab);
	struct hl_loss loss = {.kind = HL_LOSS_BCE, .outputs = 1};
	static double wall[REPEATS_MAX], processor[REPEATS_MAX];
	for (int i = -2; i < repeats; i++) {
		double began = clock_ms(CLOCK_MONOTONIC), spent = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
		const float *logits = hl_plan_forward(plan, images, true, 1, (uint32_t)(i + 2));
		hl_loss_compute(&loss, logits, labels, batch, dlogits);
		hl_plan_backward(plan, dlogits, gradients);
		hl_optimizer_step(&optimizer, graph, NULL, 1e-4, slab, gradients);
		hl_plan_changed(plan);
		if (i >= 0) {
			wall[i] = clock_ms(CLOCK_MONOTONIC) - began;
			processor[i] = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - spent;
		}
	}
	qsort(wall, (size_t)repeats, sizeof(*wall), by_value);
	qsort(processor, (size_t)repeats, sizeof(*processor), by_value);
	printf("%.1f %.1f %.1f %.1f\n", wall[repeats / 2], wall[0], wall[repeats - 1], processor[repeats / 2]);
	hl_block_free(slab, (size_t)graph->floats * sizeof(float));
	hl_block_free(gradients, (size_t)graph->trained * sizeof(float));
	hl_block_free(images, (size_t)count * sizeof(float));
	hl_free(labels);
	hl_free(dlogits);
	hl_optimizer_free(&optimizer);
	hl_plan_destroy(plan);
	hl_graph_free(graph);
	hl_buffer_free(&text);
	return EXIT_SUCCESS;
}
