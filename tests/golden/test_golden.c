/* Nets S, R and V at small size against the numbers that PyTorch gave (golden.py): logits, gradients, ten losses. */
#include "base/memory.h"
#include "nn/arch.h"
#include "nn/loss.h"
#include "nn/optimizer.h"
#include "nn/plan.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TOLERANCE 1e-4

static int failures;

/* The formula of golden.py: numbers in [-1, 1), a hash of (key, index). */
static float fill(uint32_t key, uint32_t index)
{
	uint32_t x = index + key * 0x9E3779B9U;
	x = (x ^ x >> 16) * 0x7FEB352DU;
	x = (x ^ x >> 15) * 0x846CA68BU;
	x ^= x >> 16;
	return (float)(x / 2147483648.0 - 1.0);
}

static void check(const char *net, const char *what, int64_t index, double got, double wanted, double scale)
{
	double error = fabs(got - wanted) / (scale > 0 ? scale : 1);
	if (error <= TOLERANCE)
		return;
	failures++;
	printf("%s: %s[%lld] is %.9g, PyTorch's %.9g (off by %.2g of %.3g)\n", net, what, (long long)index, got, wanted,
	       error, scale);
}

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

static double item(const json_t *object, const char *key, size_t index)
{
	return json_number_value(json_array_get(json_object_get(object, key), index));
}

static void set_parameters(const struct hl_graph *graph, float *slab)
{
	uint32_t key = 0;
	hl_graph_initialise(graph, 1, slab);
	for (int32_t i = 0; i < graph->params; i++) {
		const struct hl_param *param = &graph->param[i];
		if (!param->spec.trained)
			continue;
		key++;
		float scale = 0.1F, one = 0;
		if (param->spec.rank > 1)
			scale = (float)sqrt(6.0 / ((double)param->count / (double)param->spec.dims[0]));
		else if (strcmp(graph->node[param->node].op->name, "batchnorm") == 0 &&
		         strcmp(param->spec.name, "weight") == 0)
			one = 1;
		for (int64_t k = 0; k < param->count; k++)
			slab[param->offset + k] = fill(key, (uint32_t)k) * scale + one;
	}
}

/* PyTorch's channels-first images as channels-last ones. */
static void set_images(const struct hl_shape *shape, float *images, float *labels)
{
	for (int64_t n = 0; n < shape->n; n++) {
		labels[n] = (float)(n % 2);
		float scale = 1.0F + 0.5F * labels[n];
		for (int64_t c = 0; c < shape->c; c++)
			for (int64_t i = 0; i < shape->d * shape->h * shape->w; i++) {
				int64_t area = shape->d * shape->h * shape->w;
				uint32_t from = (uint32_t)((n * shape->c + c) * area + i);
				images[(n * area + i) * shape->c + c] = fill(1000, from) * scale;
			}
	}
}

static void check_gradients(const char *net, const json_t *golden, const struct hl_graph *graph, const float *gradients)
{
	const json_t *list = json_object_get(golden, "gradients");
	uint32_t key = 0;
	for (int32_t i = 0; i < graph->params; i++) {
		const struct hl_param *param = &graph->param[i];
		if (!param->spec.trained)
			continue;
		const json_t *wanted = json_array_get(list, key++);
		const float *got = gradients + param->offset;
		double norm = 0, product = 0, scale = number(wanted, "norm");
		int64_t count = 1;
		for (int k = 0; k < param->spec.rank; k++)
			count *= (int64_t)item(wanted, "shape", (size_t)k);
		if (count != param->count) {
			failures++;
			printf("%s: %s holds %lld numbers, PyTorch's %lld\n", net, param->name, (long long)param->count,
			       (long long)count);
			return;
		}
		for (int64_t k = 0; k < param->count; k++) {
			norm += (double)got[k] * got[k];
			product += (double)got[k] * fill(key - 1 + 2000, (uint32_t)k);
		}
		/* The gradient of a bias before batch norm is zero but for rounding: the net's own scale is the
		 * yardstick. */
		double floor_scale = scale > 1e-4 ? scale : 1;
		check(net, param->name, -1, sqrt(norm), scale, floor_scale);
		check(net, param->name, -2, product, number(wanted, "product"), floor_scale);
		for (int64_t k = 0; k < 4 && k < param->count; k++)
			check(net, param->name, k, got[k], item(wanted, "first", (size_t)k), floor_scale);
	}
	if (key != json_array_size(list)) {
		failures++;
		printf("%s: %u trained parameters, PyTorch has %zu\n", net, key, json_array_size(list));
	}
}

static void check_logits(const char *net, const json_t *golden, const char *what, const float *logits, int64_t count)
{
	double scale = 1;
	for (int64_t i = 0; i < count; i++)
		scale = fmax(scale, fabs(item(golden, what, (size_t)i)));
	for (int64_t i = 0; i < count; i++)
		check(net, what, i, logits[i], item(golden, what, (size_t)i), scale);
}

struct state {
	const struct hl_graph *graph;
	struct hl_plan *plan;
	struct hl_shape shape;
	float *slab, *images, *labels, *gradients, *dlogits;
	uint32_t step;
};

static double step(struct state *state, float *logits)
{
	struct hl_loss loss = {.kind = HL_LOSS_BCE, .outputs = 1};
	const float *out = hl_plan_forward(state->plan, state->images, true, 1, state->step++);
	memcpy(logits, out, (size_t)state->shape.n * sizeof(float));
	double value = hl_loss_compute(&loss, logits, state->labels, state->shape.n, state->dlogits);
	hl_plan_backward(state->plan, state->dlogits, state->gradients);
	return value;
}

static enum hilum_status replay(const char *net, const json_t *golden, struct state *state, struct hilum_error *error)
{
	float logits[64];
	struct hl_optimizer optimizer = {.kind = HL_OPTIMIZER_SGD, .momentum = number(golden, "momentum")};
	enum hilum_status status = hl_optimizer_init(&optimizer, state->graph, error);
	if (status)
		return status;
	set_parameters(state->graph, state->slab);
	set_images(&state->shape, state->images, state->labels);
	hl_plan_bind(state->plan, state->slab);
	check_logits(net, golden, "inference", hl_plan_forward(state->plan, state->images, false, 1, 0),
	             state->shape.n);
	step(state, logits);
	check_logits(net, golden, "logits", logits, state->shape.n);
	check_gradients(net, golden, state->graph, state->gradients);
	size_t steps = json_array_size(json_object_get(golden, "losses"));
	for (size_t i = 0; i < steps; i++) {
		check(net, "loss", (int64_t)i, step(state, logits), item(golden, "losses", i), 1);
		hl_optimizer_step(&optimizer, state->graph, NULL, number(golden, "lr"), state->slab, state->gradients);
		hl_plan_changed(state->plan);
	}
	check_logits(net, golden, "after", hl_plan_forward(state->plan, state->images, false, 1, 0), state->shape.n);
	hl_optimizer_free(&optimizer);
	return HILUM_OK;
}

static enum hilum_status compare(const char *net, const json_t *golden, struct hilum_error *error)
{
	struct hl_buffer text;
	struct hl_graph *graph = NULL;
	struct state state = {0};
	const json_t *sizes = json_object_get(golden, "shape");
	size_t rank = json_array_size(sizes);
	state.shape = (struct hl_shape){.n = (int64_t)number(golden, "batch"),
	                                .d = rank == 4 ? (int64_t)item(golden, "shape", 1) : 1,
	                                .h = (int64_t)item(golden, "shape", rank - 2),
	                                .w = (int64_t)item(golden, "shape", rank - 1),
	                                .c = (int64_t)item(golden, "shape", 0)};
	hl_buffer_init(&text, 1 << 20);
	enum hilum_status status = hl_arch_text(json_string_value(json_object_get(golden, "arch")), &text, error);
	if (!status)
		status = hl_arch_parse(text.data, state.shape, 1, &graph, error);
	if (status)
		goto out;
	struct hl_plan_options options = {.batch = state.shape.n, .training = true};
	status = hl_plan_create(graph, &options, &state.plan, error);
	if (status)
		goto out;
	state.graph = graph;
	state.slab = hl_alloc((size_t)graph->floats, sizeof(float));
	state.gradients = hl_alloc((size_t)graph->trained, sizeof(float));
	state.images = hl_alloc((size_t)hl_shape_count(state.shape), sizeof(float));
	state.labels = hl_alloc((size_t)state.shape.n, sizeof(float));
	state.dlogits = hl_alloc((size_t)state.shape.n, sizeof(float));
	status = replay(net, golden, &state, error);
out:
	hl_free(state.slab);
	hl_free(state.gradients);
	hl_free(state.images);
	hl_free(state.labels);
	hl_free(state.dlogits);
	hl_plan_destroy(state.plan);
	hl_graph_free(graph);
	hl_buffer_free(&text);
	return status;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct hilum_error error = {HILUM_ERROR_IO, "cannot be read"};
		json_t *golden = json_load_file(argv[i], 0, NULL);
		int before = failures;
		if (!golden || compare(argv[i], golden, &error)) {
			failures++;
			printf("%s: %s\n", argv[i], error.message);
		}
		printf("%s: %s\n", argv[i], failures == before ? "as PyTorch" : "differs");
		json_decref(golden);
	}
	return argc < 2 || failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
