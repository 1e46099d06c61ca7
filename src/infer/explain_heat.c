#include "infer/explain_heat.h"

#include "base/memory.h"
#include "infer/explain_blur.h"
#include "infer/predict.h"
#include "scan/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LAYER_SIDE 7 /* pixels of a layer's maps: fewer say too little of where */
#define BATCH 8      /* images a pass where a map needs many */

/* ---- which layer ---- */

enum hilum_status hl_heat_choose_layer(const struct hl_graph *graph, int32_t *node, struct hilum_error *error)
{
	int32_t best = -1;
	int64_t most = 1;
	bool filtered = false;
	for (int32_t i = 1; i <= graph->logits; i++) {
		struct hl_shape shape = graph->node[i].shapes.out;
		int64_t least = shape.h < shape.w ? shape.h : shape.w;
		filtered |= strcmp(graph->node[i].op->name, "conv") == 0;
		least = least < LAYER_SIDE ? least : LAYER_SIDE;
		if (filtered && least > 1 && least >= most) {
			most = least;
			best = i;
		}
	}
	if (best < 0)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED,
		               "Grad-CAM: the network has no convolution whose output has places");
	*node = best;
	return HILUM_OK;
}

static enum hilum_status find_layer(const struct hl_graph *graph, const char *name, int32_t *node,
                                    struct hilum_error *error)
{
	if (!name)
		return hl_heat_choose_layer(graph, node, error);
	int32_t found = hl_graph_find(graph, name);
	if (found < 1 || found > graph->logits)
		return hl_fail(error, HILUM_ERROR_ARGUMENT,
		               "layer: the network has none of that name before its answer");
	struct hl_shape shape = graph->node[found].shapes.out;
	if (shape.h == 1 && shape.w == 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "layer: the output of %s has no places", name);
	*node = found;
	return HILUM_OK;
}

/* ---- making ---- */

static void measure(struct hl_heat *heat)
{
	int32_t tenth = (heat->recipe->size + 5) / 10, depth;
	heat->size = heat->recipe->size;
	heat->depth = heat->recipe->dims == HL_DIMS_3 ? heat->recipe->depth : 1;
	heat->patch = heat->options.patch > 0 ? (int32_t)heat->options.patch : tenth > 0 ? tenth : 1;
	heat->patch = heat->patch < heat->size ? heat->patch : heat->size;
	depth = (int32_t)lrint((double)heat->depth * heat->patch / heat->size);
	heat->patch_depth = depth > 0 ? depth : 1;
}

static enum hilum_status take_memory(struct hl_heat *heat, struct hilum_error *error)
{
	size_t images = (size_t)heat->batch * sizeof(float);
	if (!hl_mul_size(hl_recipe_bytes(heat->recipe), images, &heat->input_bytes))
		return hl_fail(error, HILUM_ERROR_LIMIT, "pictures of %zu values are too large",
		               hl_recipe_bytes(heat->recipe));
	heat->input = hl_block_alloc(heat->input_bytes);
	heat->dlogits = hl_alloc((size_t)heat->batch, (size_t)heat->outputs * sizeof(*heat->dlogits));
	if (!heat->input || !heat->dlogits)
		return hl_fail_memory(error, heat->input_bytes, "heat");
	if (heat->options.method != HILUM_METHOD_GRADCAM)
		return HILUM_OK;
	size_t count = (size_t)hl_shape_sample(heat->graph->node[heat->node].shapes.out);
	heat->activation = hl_alloc(count, sizeof(*heat->activation));
	heat->gradient = hl_alloc(count, sizeof(*heat->gradient));
	return heat->activation && heat->gradient ? HILUM_OK : hl_fail_memory(error, count * sizeof(float), "heat");
}

enum hilum_status hl_heat_open(struct hl_heat *heat, const struct hl_graph *graph, const struct hl_recipe *recipe,
                               const struct hl_heat_options *options, struct hilum_error *error)
{
	bool gradcam = options->method == HILUM_METHOD_GRADCAM;
	*heat = (struct hl_heat){.options = *options, .graph = graph, .recipe = recipe, .batch = gradcam ? 1 : BATCH};
	heat->outputs = (int32_t)hl_shape_sample(graph->node[graph->logits].shapes.out);
	measure(heat);
	enum hilum_status status = gradcam ? find_layer(graph, options->layer, &heat->node, error) : HILUM_OK;
	const struct hl_plan_options planning = {.batch = heat->batch,
	                                         .threads = options->threads,
	                                         .attribution = options->method != HILUM_METHOD_OCCLUSION};
	if (!status)
		status = take_memory(heat, error);
	return status ? status : hl_plan_create(graph, &planning, &heat->plan, error);
}

void hl_heat_close(struct hl_heat *heat)
{
	hl_plan_destroy(heat->plan);
	if (heat->input)
		hl_block_free(heat->input, heat->input_bytes);
	hl_free(heat->dlogits);
	hl_free(heat->activation);
	hl_free(heat->gradient);
	*heat = (struct hl_heat){.batch = 0};
}

void hl_heat_bind(struct hl_heat *heat, float *slab)
{
	hl_plan_bind(heat->plan, slab);
}

size_t hl_heat_count(const struct hl_heat *heat)
{
	return (size_t)heat->depth * (size_t)heat->size * (size_t)heat->size;
}

/* ---- logits ---- */

double hl_heat_score(const struct hl_heat *heat, const float *logits)
{
	if (heat->outputs > 1)
		return logits[heat->target];
	return heat->target == 1 ? logits[0] : -logits[0];
}

enum hilum_status hl_heat_logits(struct hl_heat *heat, const uint8_t *images, int64_t count, float *logits,
                                 struct hilum_error *error)
{
	size_t bytes = hl_recipe_bytes(heat->recipe), outputs = (size_t)heat->outputs;
	for (int64_t first = 0; first < count; first += heat->batch) {
		int64_t here = count - first < heat->batch ? count - first : heat->batch;
		memset(heat->input, 0, heat->input_bytes);
		for (int64_t i = 0; i < here; i++)
			hl_recipe_normalise(heat->recipe, images + (size_t)(first + i) * bytes,
			                    heat->input + (size_t)i * bytes);
		const float *answer = hl_plan_forward(heat->plan, heat->input, false, 0, 0);
		enum hilum_status status = hl_check_logits(answer, here * heat->outputs, error);
		if (status)
			return status;
		memcpy(logits + (size_t)first * outputs, answer, (size_t)here * outputs * sizeof(*logits));
	}
	return HILUM_OK;
}

/* The gradient of the target's logit, of the first count images of the batch. */
static void seed_gradient(struct hl_heat *heat, int64_t count)
{
	memset(heat->dlogits, 0, (size_t)heat->batch * (size_t)heat->outputs * sizeof(*heat->dlogits));
	for (int64_t i = 0; i < count; i++)
		if (heat->outputs > 1)
			heat->dlogits[i * heat->outputs + heat->target] = 1;
		else
			heat->dlogits[i] = heat->target == 1 ? 1 : -1;
}

/* ---- from few places to many ---- */

struct grid {
	int32_t depth, height, width;
};

/* Values of a coarse grid, whose cells fill the input, as a map: linear between the cells' middles. */
static enum hilum_status spread(const struct hl_heat *heat, const float *values, const struct grid *grid, float *map,
                                struct hilum_error *error)
{
	size_t plane = (size_t)heat->size * (size_t)heat->size, coarse = (size_t)grid->height * (size_t)grid->width;
	float *planes = hl_alloc((size_t)grid->depth, plane * sizeof(*planes));
	enum hilum_status status =
	    planes ? HILUM_OK : hl_fail_memory(error, (size_t)grid->depth * plane * sizeof(*planes), "heat");
	for (int32_t z = 0; z < grid->depth && !status; z++)
		status = hl_resize(values + (size_t)z * coarse, grid->width, grid->height, 1,
		                   planes + (size_t)z * plane, heat->size, heat->size, error);
	for (int32_t z = 0; z < heat->depth && !status; z++) {
		double at = (z + 0.5) * grid->depth / heat->depth - 0.5;
		at = at < 0 ? 0 : at > grid->depth - 1 ? grid->depth - 1 : at;
		int32_t low = (int32_t)at, high = low + 1 < grid->depth ? low + 1 : low;
		float share = (float)(at - low);
		for (size_t i = 0; i < plane; i++)
			map[(size_t)z * plane + i] =
			    (1 - share) * planes[(size_t)low * plane + i] + share * planes[(size_t)high * plane + i];
	}
	hl_free(planes);
	return status;
}

/* ---- Grad-CAM ---- */

static void keep_output(void *context, int32_t node, const struct hl_tensor *output)
{
	struct hl_heat *heat = context;
	if (node == heat->node)
		memcpy(heat->activation, output->data, (size_t)hl_shape_count(output->shape) * sizeof(float));
}

static void keep_gradient(void *context, int32_t node, const struct hl_tensor *gradient)
{
	struct hl_heat *heat = context;
	if (node == heat->node)
		memcpy(heat->gradient, gradient->data, (size_t)hl_shape_count(gradient->shape) * sizeof(float));
}

static enum hilum_status gradcam(struct hl_heat *heat, const uint8_t *image, float *map, struct hilum_error *error)
{
	struct hl_shape shape = heat->graph->node[heat->node].shapes.out;
	const struct grid grid = {(int32_t)shape.d, (int32_t)shape.h, (int32_t)shape.w};
	size_t places = (size_t)(shape.d * shape.h * shape.w), channels = (size_t)shape.c;
	float *values = hl_alloc(places, sizeof(*values));
	double *weight = hl_alloc(channels, sizeof(*weight));
	enum hilum_status status = HILUM_OK;
	if (!values || !weight) {
		status = hl_fail_memory(error, (places + channels) * sizeof(*weight), "heat");
		goto out;
	}
	hl_recipe_normalise(heat->recipe, image, heat->input);
	hl_plan_watch(heat->plan, keep_output, heat);
	hl_plan_watch_gradients(heat->plan, keep_gradient, heat);
	const float *logits = hl_plan_forward(heat->plan, heat->input, false, 0, 0);
	status = hl_check_logits(logits, heat->outputs, error);
	if (!status) {
		seed_gradient(heat, 1);
		hl_plan_attribute(heat->plan, heat->dlogits);
	}
	hl_plan_watch(heat->plan, NULL, NULL);
	hl_plan_watch_gradients(heat->plan, NULL, NULL);
	if (status)
		goto out;
	for (size_t i = 0; i < places * channels; i++)
		weight[i % channels] += (double)heat->gradient[i] / (double)places;
	for (size_t i = 0; i < places; i++) {
		double sum = 0;
		for (size_t c = 0; c < channels; c++)
			sum += weight[c] * heat->activation[i * channels + c];
		values[i] = (float)sum;
	}
	status = spread(heat, values, &grid, map, error);
out:
	hl_free(values);
	hl_free(weight);
	return status;
}

/* ---- occlusion ---- */

struct hl_box hl_heat_box(const struct hl_heat *heat, const double middle[3])
{
	const int32_t side[3] = {heat->patch_depth, heat->patch, heat->patch};
	const int32_t whole[3] = {heat->depth, heat->size, heat->size};
	struct hl_box box;
	for (int k = 0; k < 3; k++) {
		int32_t first = (int32_t)lrint(middle[k] - side[k] / 2.0), end = first + side[k];
		first = first < 0 ? 0 : first;
		end = end > whole[k] ? whole[k] : end;
		box.first[k] = first < whole[k] ? first : whole[k] - 1;
		box.size[k] = end > box.first[k] ? end - box.first[k] : 1;
	}
	return box;
}

static bool within(const struct hl_box *box, int32_t y, int32_t x)
{
	return y >= box->first[1] && y < box->first[1] + box->size[1] && x >= box->first[2] &&
	       x < box->first[2] + box->size[2];
}

/* The weighted mean of what lies within reach of a pixel but not in the box; black where there is nothing. */
static uint8_t surroundings(const uint8_t *plane, size_t step, int32_t size, const struct hl_box *box, int32_t y,
                            int32_t x, const double *weight, int32_t reach)
{
	double sum = 0, total = 0;
	for (int32_t v = y - reach < 0 ? 0 : y - reach; v <= y + reach && v < size; v++)
		for (int32_t u = x - reach < 0 ? 0 : x - reach; u <= x + reach && u < size; u++)
			if (!within(box, v, u)) {
				double share = weight[abs(v - y)] * weight[abs(u - x)];
				sum += share * plane[((size_t)v * (size_t)size + (size_t)u) * step];
				total += share;
			}
	return (uint8_t)(total > 0 ? sum / total + 0.5 : 0);
}

/* One channel of one slice. Weights fall as a normal curve of half the patch. */
static void cover_plane(const struct hl_heat *heat, uint8_t *plane, size_t step, const struct hl_box *box)
{
	double weight[HL_RECIPE_SIZE_MAX + 1], deviation = heat->patch / 2.0;
	int32_t reach = heat->patch, size = heat->size;
	for (int32_t k = 0; k <= reach; k++)
		weight[k] = exp(-0.5 * k * k / (deviation * deviation));
	for (int32_t y = box->first[1]; y < box->first[1] + box->size[1]; y++)
		for (int32_t x = box->first[2]; x < box->first[2] + box->size[2]; x++)
			plane[((size_t)y * (size_t)size + (size_t)x) * step] =
			    surroundings(plane, step, size, box, y, x, weight, reach);
}

void hl_heat_cover(const struct hl_heat *heat, uint8_t *image, const struct hl_box *box)
{
	size_t plane = hl_recipe_plane_size(heat->recipe), channels = (size_t)heat->recipe->channels;
	int32_t slices = hl_recipe_depth(heat->recipe);
	bool deep = heat->recipe->dims == HL_DIMS_3; /* in 2.5-D slices are channels */
	for (int32_t z = 0; z < slices; z++)
		for (size_t c = 0; c < channels; c++)
			if (!deep || (z >= box->first[0] && z < box->first[0] + box->size[0]))
				cover_plane(heat, image + (size_t)z * plane + c, channels, box);
}

/* The middles of the covered boxes: two to a patch along each side. */
static int32_t cells(int32_t whole, int32_t patch)
{
	int32_t step = patch / 2 > 0 ? patch / 2 : 1;
	return (whole + step - 1) / step;
}

static struct hl_box cell_box(const struct hl_heat *heat, const struct grid *grid, int64_t cell)
{
	const int64_t plane = (int64_t)grid->height * grid->width, z = cell / plane, y = cell % plane / grid->width;
	const double middle[3] = {((double)z + 0.5) * heat->depth / grid->depth,
	                          ((double)y + 0.5) * heat->size / grid->height,
	                          ((double)(cell % grid->width) + 0.5) * heat->size / grid->width};
	return hl_heat_box(heat, middle);
}

static enum hilum_status occlusion(struct hl_heat *heat, const uint8_t *image, float *map, struct hilum_error *error)
{
	const struct grid grid = {cells(heat->depth, heat->patch_depth), cells(heat->size, heat->patch),
	                          cells(heat->size, heat->patch)};
	int64_t count = (int64_t)grid.depth * grid.height * grid.width;
	size_t bytes = hl_recipe_bytes(heat->recipe), outputs = (size_t)heat->outputs;
	uint8_t *covered = hl_alloc((size_t)heat->batch, bytes);
	float *logits = hl_alloc((size_t)heat->batch, outputs * sizeof(*logits));
	float *values = hl_alloc((size_t)count, sizeof(*values));
	enum hilum_status status = HILUM_OK;
	if (!covered || !logits || !values)
		status = hl_fail_memory(error, (size_t)heat->batch * bytes, "covered pictures");
	if (!status)
		status = hl_heat_logits(heat, image, 1, logits, error);
	double whole = status ? 0 : hl_heat_score(heat, logits);
	for (int64_t first = 0; first < count && !status; first += heat->batch) {
		int64_t here = count - first < heat->batch ? count - first : heat->batch;
		for (int64_t i = 0; i < here; i++) {
			struct hl_box box = cell_box(heat, &grid, first + i);
			memcpy(covered + (size_t)i * bytes, image, bytes);
			hl_heat_cover(heat, covered + (size_t)i * bytes, &box);
		}
		status = hl_heat_logits(heat, covered, here, logits, error);
		for (int64_t i = 0; i < here && !status; i++)
			values[first + i] = (float)(whole - hl_heat_score(heat, logits + (size_t)i * outputs));
	}
	if (!status)
		status = spread(heat, values, &grid, map, error);
	hl_free(covered);
	hl_free(logits);
	hl_free(values);
	return status;
}

/* ---- integrated gradients ---- */

/* Each channel of each slice alone. */
static enum hilum_status blur_image(const struct hl_heat *heat, const uint8_t *image, uint8_t *out,
                                    struct hilum_error *error)
{
	size_t side = (size_t)heat->size, channels = (size_t)heat->recipe->channels;
	size_t planes = (size_t)hl_recipe_depth(heat->recipe) * channels;
	float *values = hl_alloc(side * side, sizeof(*values));
	enum hilum_status status = values ? HILUM_OK : hl_fail_memory(error, side * side * sizeof(*values), "blurring");
	for (size_t k = 0; k < planes && !status; k++) {
		size_t first = k / channels * side * side * channels + k % channels;
		for (size_t i = 0; i < side * side; i++)
			values[i] = image[first + i * channels];
		status = hl_heat_blur(values, 1, side, (double)side / 16, error);
		for (size_t i = 0; i < side * side && !status; i++)
			out[first + i * channels] = (uint8_t)(values[i] + 0.5F);
	}
	hl_free(values);
	return status;
}

/* Adds the gradients at the next here points of the line to sum. Each step is taken at its middle. */
static enum hilum_status add_gradients(struct hl_heat *heat, const float *from, const float *to, int64_t first,
                                       int64_t here, double *sum, struct hilum_error *error)
{
	size_t values = hl_recipe_bytes(heat->recipe);
	memset(heat->input, 0, heat->input_bytes);
	for (int64_t i = 0; i < here; i++) {
		float share = (float)(((double)(first + i) + 0.5) / (double)heat->options.steps);
		for (size_t k = 0; k < values; k++)
			heat->input[(size_t)i * values + k] = from[k] + share * (to[k] - from[k]);
	}
	const float *logits = hl_plan_forward(heat->plan, heat->input, false, 0, 0);
	enum hilum_status status = hl_check_logits(logits, here * heat->outputs, error);
	if (status)
		return status;
	seed_gradient(heat, here);
	const float *gradient = hl_plan_attribute(heat->plan, heat->dlogits);
	for (int64_t i = 0; i < here; i++)
		for (size_t k = 0; k < values; k++)
			sum[k] += gradient[(size_t)i * values + k];
	return HILUM_OK;
}

/* What the channels of a place add up to; in 2.5-D its slices are among them. */
static double gather(const struct hl_heat *heat, const float *from, const float *to, const double *sum, float *map)
{
	size_t places = hl_heat_count(heat), channels = hl_recipe_bytes(heat->recipe) / places;
	double total = 0;
	for (size_t i = 0; i < places; i++) {
		double here = 0;
		for (size_t c = 0; c < channels; c++) {
			size_t k = i * channels + c;
			here += (to[k] - from[k]) * sum[k] / (double)heat->options.steps;
		}
		map[i] = (float)here;
		total += here;
	}
	return total;
}

static enum hilum_status integrate(struct hl_heat *heat, const uint8_t *image, float *map,
                                   struct hl_completeness *complete, struct hilum_error *error)
{
	size_t values = hl_recipe_bytes(heat->recipe), outputs = (size_t)heat->outputs;
	uint8_t *ends = hl_alloc(2, values); /* blurred, and the picture */
	float *from = hl_alloc(values, sizeof(*from)), *to = hl_alloc(values, sizeof(*to));
	float *logits = hl_alloc(2, outputs * sizeof(*logits));
	double *sum = hl_alloc(values, sizeof(*sum));
	enum hilum_status status = HILUM_OK;
	if (!ends || !from || !to || !logits || !sum) {
		status = hl_fail_memory(error, values * sizeof(*sum), "gradients");
		goto out;
	}
	memcpy(ends + values, image, values);
	status = blur_image(heat, image, ends, error);
	if (status)
		goto out;
	hl_recipe_normalise(heat->recipe, ends, from);
	hl_recipe_normalise(heat->recipe, image, to);
	status = hl_heat_logits(heat, ends, 2, logits, error);
	for (int64_t first = 0; first < heat->options.steps && !status; first += heat->batch) {
		int64_t left = heat->options.steps - first;
		status = add_gradients(heat, from, to, first, left < heat->batch ? left : heat->batch, sum, error);
	}
	if (status)
		goto out;
	complete->sum = gather(heat, from, to, sum, map);
	complete->difference = hl_heat_score(heat, logits + outputs) - hl_heat_score(heat, logits);
out:
	hl_free(ends);
	hl_free(from);
	hl_free(to);
	hl_free(logits);
	hl_free(sum);
	return status;
}

enum hilum_status hl_heat_map(struct hl_heat *heat, const uint8_t *image, float *map, struct hl_completeness *complete,
                              struct hilum_error *error)
{
	struct hl_completeness sums = {NAN, NAN};
	enum hilum_status status = heat->options.method == HILUM_METHOD_GRADCAM ? gradcam(heat, image, map, error)
	                           : heat->options.method == HILUM_METHOD_OCCLUSION
	                               ? occlusion(heat, image, map, error)
	                               : integrate(heat, image, map, &sums, error);
	if (!status && complete)
		*complete = sums;
	return status;
}

enum hilum_status hl_heat_smooth(const struct hl_heat *heat, float *map, struct hilum_error *error)
{
	if (heat->options.method == HILUM_METHOD_OCCLUSION)
		return HILUM_OK;
	return hl_heat_blur(map, (size_t)heat->depth, (size_t)heat->size, (double)heat->size / 32, error);
}
