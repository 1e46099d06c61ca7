/* hilum_explain: from a case to heat over one of its slices. */
#include "infer/explain.h"

#include "base/memory.h"
#include "infer/explain_sanity.h"
#include "infer/predict.h"
#include "infer/profile.h"
#include "model/calibration.h"
#include "nn/loss.h"
#include "scan/load.h"

#include <math.h>
#include <string.h>

const char *const hl_method_names[] = {"gradcam", "occlusion", "integrated-gradients", NULL};

#define OPTION(member, title, type, ...)                                                                               \
	{                                                                                                              \
		.name = (title), .kind = HILUM_OPTION_##type,                                                          \
		.offset = offsetof(struct hilum_explain_options, member), __VA_ARGS__                                  \
	}
const struct hilum_option hilum_explain_option_table[] = {
    OPTION(method, "method", CHOICE, .choices = hl_method_names, .initial = "gradcam",
           .help = "how heat is found: from a layer's maps and gradients, by covering places, or from gradients "
                   "along the way from the blurred picture to the picture"),
    OPTION(subject, "class", TEXT, .value = "NAME",
           .help = "the class whose heat is wanted; by default of two the positive one, otherwise the answer"),
    OPTION(layer, "layer", TEXT, .value = "NAME",
           .help = "of gradcam: the layer, as hilum info names it; by default the last with maps of at least 7 x 7"),
    OPTION(patch, "patch", INT, .minimum = 0, .maximum = 2048, .initial = "0", .value = "N",
           .help = "side of what is covered, in pixels of the network's input; 0: a tenth of it"),
    OPTION(steps, "steps", INT, .minimum = 1, .maximum = 4096, .initial = "64", .value = "N",
           .help = "of integrated-gradients: points on the way from the blurred picture to the picture"),
    OPTION(randomised, "randomised", INT, .minimum = 0, .maximum = 16, .initial = "3", .value = "N",
           .help = "networks with random weights that the heat is compared with; 0: it is not checked"),
    OPTION(seed, "seed", INT, .minimum = 0, .maximum = 4294967295, .initial = "1", .value = "N",
           .help = "of the random weights"),
    OPTION(slice, "slice", INT, .minimum = 0, .maximum = 16384, .initial = "0", .value = "N",
           .help = "which of several slices, from 1; 0: the one that speaks for the class the most"),
    OPTION(threads, "threads", INT, .minimum = 0, .maximum = 1024, .initial = "0", .value = "N",
           .help = "threads; 0 means the cores that are available"),
    {0},
};

struct hilum_explainer {
	const struct hilum_model *model;
	struct hilum_explain_options options;
	struct hl_recipe recipe;
	struct hl_calibration calibration;
	struct hl_heat heat;
	int32_t subject; /* -1: the answer */
	uint8_t *image;  /* of the recipe */
	float *map;      /* of the recipe's square */
};

/* ---- making ---- */

static enum hilum_status find_subject(struct hilum_explainer *explainer, struct hilum_error *error)
{
	const struct hilum_model *model = explainer->model;
	const char *name = explainer->options.subject;
	explainer->subject = model->class_count == 2 ? 1 : -1;
	if (!name)
		return HILUM_OK;
	for (int32_t c = 0; c < model->class_count; c++)
		if (strcmp(model->classes[c], name) == 0) {
			explainer->subject = c;
			return HILUM_OK;
		}
	return hl_fail(error, HILUM_ERROR_ARGUMENT, "class: the model has none of that name; hilum info lists them");
}

static enum hilum_status prepare(struct hilum_explainer *explainer, struct hilum_error *error)
{
	const struct hilum_model *model = explainer->model;
	const struct hilum_explain_options *options = &explainer->options;
	const struct hl_heat_options how = {.method = (enum hilum_method)options->method,
	                                    .layer = options->layer,
	                                    .patch = options->patch,
	                                    .steps = options->steps,
	                                    .threads = (int32_t)options->threads};
	enum hilum_status status = hl_model_recipe(model, &explainer->recipe, error);
	if (!status && model->calibration)
		status = hl_calibration_parse(model->calibration, model->class_count, &explainer->calibration, error);
	if (!status)
		status = find_subject(explainer, error);
	if (!status)
		status = hl_heat_open(&explainer->heat, model->graph, &explainer->recipe, &how, error);
	if (status)
		return status;
	hl_heat_bind(&explainer->heat, model->slab);
	explainer->image = hl_alloc(hl_recipe_bytes(&explainer->recipe), 1);
	explainer->map = hl_alloc(hl_heat_count(&explainer->heat), sizeof(*explainer->map));
	return explainer->image && explainer->map
	           ? HILUM_OK
	           : hl_fail_memory(error, hl_recipe_bytes(&explainer->recipe), "an explanation");
}

/* What the option table would refuse; a caller may have filled the structure by hand. */
static enum hilum_status check(const struct hilum_explain_options *options, struct hilum_error *error)
{
	for (const struct hilum_option *option = hilum_explain_option_table; option->name; option++) {
		const char *member = (const char *)options + option->offset;
		if (option->kind == HILUM_OPTION_INT) {
			int64_t value = *(const int64_t *)(const void *)member;
			if (!((double)value >= option->minimum && (double)value <= option->maximum))
				return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: %lld is not from %.0f to %.0f",
				               option->name, (long long)value, option->minimum, option->maximum);
		}
	}
	if (options->method < HILUM_METHOD_GRADCAM || options->method > HILUM_METHOD_INTEGRATED_GRADIENTS)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "method: %d is none", options->method);
	return HILUM_OK;
}

enum hilum_status hilum_explainer_open(const struct hilum_model *model, const struct hilum_explain_options *options,
                                       struct hilum_explainer **out, struct hilum_error *error)
{
	struct hilum_explain_options defaults;
	hilum_options_init(hilum_explain_option_table, &defaults);
	if (!options)
		options = &defaults;
	enum hilum_status status = check(options, error);
	if (status)
		return status;
	struct hilum_explainer *explainer = hl_alloc(1, sizeof(*explainer));
	if (!explainer)
		return hl_fail_memory(error, sizeof(*explainer), "an explanation");
	explainer->model = model;
	explainer->options = *options;
	status = prepare(explainer, error);
	if (status)
		hilum_explainer_close(explainer);
	else
		*out = explainer;
	return status;
}

void hilum_explainer_close(struct hilum_explainer *explainer)
{
	if (!explainer)
		return;
	hl_heat_close(&explainer->heat);
	hl_calibration_free(&explainer->calibration);
	hl_free(explainer->image);
	hl_free(explainer->map);
	hl_free(explainer);
}

/* ---- a case ---- */

struct looked {
	const char *const *paths;
	int32_t count;           /* files */
	struct hl_volume volume; /* of a single file; otherwise of the slice that is shown */
	int32_t slices, at;      /* at: that is shown, in volume or among the files */
};

/* The slice that the network gives the class the most; of more than two classes without a wish, the most of any. */
static enum hilum_status choose_slice(struct hilum_explainer *explainer, struct looked *looked,
                                      struct hilum_error *error)
{
	const int32_t classes = explainer->model->class_count;
	const struct hl_profiler profiler = {.recipe = &explainer->recipe,
	                                     .plan = explainer->heat.plan,
	                                     .batch = explainer->heat.batch,
	                                     .classes = classes,
	                                     .threads = (int32_t)explainer->options.threads};
	struct hl_profile profile = {0};
	double most = -1;
	enum hilum_status status =
	    looked->count == 1
	        ? hl_profile_volume(&profiler, &looked->volume, &profile, error)
	        : hl_profile_stack(&profiler, (char *const *)(uintptr_t)looked->paths, looked->count, &profile, error);
	for (int32_t i = 0; i < profile.count && !status; i++)
		for (int32_t c = 0; c < classes; c++)
			if ((explainer->subject < 0 || c == explainer->subject) &&
			    profile.probability[i * classes + c] > most) {
				most = profile.probability[i * classes + c];
				looked->at = profile.slice[i];
			}
	hl_profile_free(&profile);
	return status;
}

/* The image that the network sees, in explainer->image. */
static enum hilum_status read_image(struct hilum_explainer *explainer, struct looked *looked, struct hilum_error *error)
{
	const struct hl_recipe *recipe = &explainer->recipe;
	int64_t wanted = explainer->options.slice;
	enum hilum_status status = HILUM_OK;
	if (wanted > looked->slices)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "slice: %lld of %d", (long long)wanted, looked->slices);
	if (wanted > 0 && recipe->dims == HL_DIMS_3)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "slice: the model looks at a volume as a whole");
	if (wanted > 0)
		looked->at = (int32_t)wanted - 1;
	else if (looked->slices > 1 && recipe->dims != HL_DIMS_3)
		status = choose_slice(explainer, looked, error);
	if (status)
		return status;
	if (looked->count == 1)
		return hl_recipe_apply_at(recipe, &looked->volume, looked->at, explainer->image, error);
	return hl_recipe_open_stack(recipe, (char *const *)(uintptr_t)looked->paths, looked->count, looked->at,
	                            explainer->image, NULL, error);
}

static enum hilum_status load(struct hilum_explainer *explainer, struct looked *looked, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	looked->slices = looked->count;
	if (looked->count == 1) {
		status = hl_load(looked->paths[0], NULL, &looked->volume, NULL, error);
		looked->slices = looked->volume.depth;
	}
	if (!status)
		status = read_image(explainer, looked, error);
	if (status && looked->count == 1 && error && !strstr(error->message, looked->paths[0]))
		hl_prefix(error, status, "%s", looked->paths[0]);
	return status;
}

/* The class to be explained, and its probability as hilum_predict_... has it. */
static enum hilum_status answer(struct hilum_explainer *explainer, struct hilum_explanation *made,
                                struct hilum_error *error)
{
	int32_t classes = explainer->model->class_count, subject = explainer->subject;
	float logits[HILUM_CLASSES_MAX];
	double probability[HILUM_CLASSES_MAX];
	enum hilum_status status = hl_heat_logits(&explainer->heat, explainer->image, 1, logits, error);
	if (status)
		return status;
	hl_probabilities(logits, 1, explainer->heat.outputs, probability);
	hl_calibration_apply(&explainer->calibration, classes, probability);
	for (int32_t c = 0; c < classes && explainer->subject < 0; c++)
		subject = subject < 0 || probability[c] > probability[subject] ? c : subject;
	explainer->heat.target = subject;
	made->probability = probability[subject];
	snprintf(made->subject, sizeof(made->subject), "%s", explainer->model->classes[subject]);
	return HILUM_OK;
}

/* ---- heat over the slice ---- */

static enum hilum_status find_heat(struct hilum_explainer *explainer, struct hilum_explanation *made,
                                   struct hilum_error *error)
{
	struct hl_heat *heat = &explainer->heat;
	const struct hilum_explain_options *options = &explainer->options;
	struct hl_completeness complete = {NAN, NAN};
	enum hilum_status status = hl_heat_map(heat, explainer->image, explainer->map, &complete, error);
	if (!status)
		status = hl_heat_smooth(heat, explainer->map, error);
	made->sum = complete.sum;
	made->difference = complete.difference;
	made->sanity = (struct hilum_sanity){.correlation = NAN, .similarity = NAN};
	if (!status)
		status = hl_sanity_check(heat, explainer->model->slab, explainer->image, explainer->map,
		                         (int32_t)options->randomised, (uint64_t)options->seed, &made->sanity, error);
	return status;
}

/* The slice of the case that shows the hottest place, and the plane of the map over it. */
static enum hilum_status choose_plane(const struct hilum_explainer *explainer, struct looked *looked,
                                      const float **plane, struct hilum_error *error)
{
	size_t side = (size_t)explainer->heat.size, count = hl_heat_count(&explainer->heat);
	size_t k = hl_hottest(explainer->map, count) / (side * side);
	*plane = explainer->map + k * side * side;
	if (explainer->recipe.dims != HL_DIMS_3)
		return HILUM_OK;
	return hl_recipe_source(&explainer->recipe, looked->count == 1 ? &looked->volume : NULL, looked->slices,
	                        (int32_t)k, &looked->at, error);
}

/* The slice in grey, as the network's first window shows it. */
static enum hilum_status show(const struct hilum_explainer *explainer, const struct looked *looked,
                              struct hilum_explanation *made, struct hilum_error *error)
{
	const struct hl_volume *volume = &looked->volume;
	size_t count = (size_t)volume->width * (size_t)volume->height;
	float *grey = hl_alloc(count, sizeof(*grey));
	made->picture = hl_alloc(count, 1);
	made->heat = hl_alloc(count, sizeof(*made->heat));
	if (!grey || !made->picture || !made->heat) {
		hl_free(grey);
		return hl_fail_memory(error, count * sizeof(*grey), "a picture");
	}
	made->width = volume->width;
	made->height = volume->height;
	hl_window_slice(volume, looked->count == 1 ? looked->at : 0, explainer->recipe.window, 1, grey);
	for (size_t i = 0; i < count; i++)
		made->picture[i] = (uint8_t)(grey[i] * 255 + 0.5F);
	hl_free(grey);
	return HILUM_OK;
}

/* Lays a plane of the map over the slice; what speaks against the class is no heat. */
static enum hilum_status lay(const struct hilum_explainer *explainer, const float *plane,
                             struct hilum_explanation *made, struct hilum_error *error)
{
	size_t count = (size_t)made->width * (size_t)made->height;
	enum hilum_status status =
	    hl_recipe_unplace(&explainer->recipe, plane, made->width, made->height, made->heat, error);
	if (status)
		return status;
	size_t hottest = hl_hottest(made->heat, count);
	float most = made->heat[hottest];
	made->hottest_x = made->hottest_y = -1;
	made->strongest = fmax(most, 0);
	if (most > 0) {
		made->hottest_x = (int32_t)(hottest % (size_t)made->width);
		made->hottest_y = (int32_t)(hottest / (size_t)made->width);
	}
	for (size_t i = 0; i < count; i++)
		made->heat[i] = most > 0 && made->heat[i] > 0 ? made->heat[i] / most : 0;
	return HILUM_OK;
}

static enum hilum_status explain(struct hilum_explainer *explainer, struct looked *looked,
                                 struct hilum_explanation *made, struct hilum_error *error)
{
	const float *plane = NULL;
	enum hilum_status status = load(explainer, looked, error);
	if (!status)
		status = answer(explainer, made, error);
	if (!status)
		status = find_heat(explainer, made, error);
	if (!status)
		status = choose_plane(explainer, looked, &plane, error);
	if (!status && looked->count > 1)
		status = hl_load(looked->paths[looked->at], NULL, &looked->volume, NULL, error);
	if (!status)
		status = show(explainer, looked, made, error);
	if (!status)
		status = lay(explainer, plane, made, error);
	made->method = explainer->options.method;
	hl_model_hash(explainer->model, made->model);
	made->slice = looked->at + 1;
	made->slices = looked->slices;
	if (explainer->options.method == HILUM_METHOD_GRADCAM)
		snprintf(made->layer, sizeof(made->layer), "%s",
		         explainer->model->graph->node[explainer->heat.node].name);
	return status;
}

enum hilum_status hilum_explain(struct hilum_explainer *explainer, const char *const *paths, int32_t count,
                                struct hilum_explanation **out, struct hilum_error *error)
{
	if (count < 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "a case of %d files", count);
	struct looked looked = {.paths = paths, .count = count};
	struct hilum_explanation *made = hl_alloc(1, sizeof(*made));
	if (!made)
		return hl_fail_memory(error, sizeof(*made), "an explanation");
	enum hilum_status status = explain(explainer, &looked, made, error);
	hl_volume_free(&looked.volume);
	if (status)
		hilum_explanation_free(made);
	else
		*out = made;
	return status;
}

void hilum_explanation_free(struct hilum_explanation *explanation)
{
	if (!explanation)
		return;
	hl_free(explanation->picture);
	hl_free(explanation->heat);
	hl_free(explanation);
}
