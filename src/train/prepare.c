#include "train/prepare.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/split.h"
#include "train/leaks.h"

#include <string.h>

#define DEFAULT_SPLIT "70/15/15"
#define DEFAULT_SIZE 256
#define DEFAULT_DEPTH_25 3
#define DEFAULT_DEPTH_3 16

/* ---- the control: labels that mean nothing ---- */

/* Deals the labels of whole groups out anew among the groups of one part, so that each part keeps its classes and a
 * group its likeness. Where two groups differ in size, the donor's labels are repeated or cut. */
static void deal(struct hl_dataset *dataset, enum hl_split_part part, uint64_t seed, uint32_t *groups,
                 const uint32_t *first, const uint32_t *member, int32_t *label, int32_t *origin)
{
	uint32_t count = 0;
	for (int32_t g = 0; g < dataset->group_count; g++)
		if (first[g] < first[g + 1] && dataset->cases[member[first[g]]].part == part)
			groups[count++] = (uint32_t)g;
	uint32_t *donor = groups + dataset->group_count;
	memcpy(donor, groups, count * sizeof(*donor));
	struct hl_random random = hl_random_stream(seed, 0, (uint32_t)part, HL_RANDOM_CONTROL);
	hl_random_shuffle(&random, donor, count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t to = groups[i], from = donor[i], given = first[from + 1] - first[from];
		for (uint32_t k = first[to]; k < first[to + 1]; k++) {
			uint32_t source = member[first[from] + (k - first[to]) % given];
			label[member[k]] = dataset->cases[source].label;
			origin[member[k]] = dataset->cases[source].origin;
		}
	}
}

static enum hilum_status shuffle_labels(struct hl_dataset *dataset, uint64_t seed, struct hilum_error *error)
{
	size_t groups = (size_t)dataset->group_count, count = dataset->count;
	uint32_t *list = hl_alloc(2 * groups, sizeof(*list)), *first = hl_alloc(groups + 2, sizeof(*first));
	uint32_t *member = hl_alloc(count, sizeof(*member));
	int32_t *label = hl_alloc(count, sizeof(*label)), *origin = hl_alloc(count, sizeof(*origin));
	enum hilum_status status = HILUM_OK;
	if (!list || !first || !member || !label || !origin) {
		status = hl_fail_memory(error, count * sizeof(*label), "the shuffled labels");
		goto out;
	}
	/* Cases by group: counted one place late, so that filling moves each start to where it belongs. */
	for (size_t i = 0; i < count; i++)
		first[dataset->cases[i].group + 2]++;
	for (size_t g = 2; g < groups + 2; g++)
		first[g] += first[g - 1];
	for (size_t i = 0; i < count; i++)
		member[first[dataset->cases[i].group + 1]++] = (uint32_t)i;
	for (size_t i = 0; i < count; i++) {
		label[i] = dataset->cases[i].label;
		origin[i] = dataset->cases[i].origin;
	}
	for (int part = HL_PART_TRAIN; part <= HL_PART_TEST; part++)
		deal(dataset, (enum hl_split_part)part, seed, list, first, member, label, origin);
	for (size_t i = 0; i < count; i++) {
		dataset->cases[i].label = label[i];
		dataset->cases[i].origin = origin[i];
	}
	hl_log(HILUM_LOG_WARNING, "control: labels are shuffled over %d groups; the scores should be chance",
	       dataset->group_count);
out:
	hl_free(list);
	hl_free(first);
	hl_free(member);
	hl_free(label);
	hl_free(origin);
	return status;
}

/* ---- opening ---- */

static enum hilum_status split(const struct hilum_train_options *options, struct hl_dataset *dataset,
                               struct hilum_error *error)
{
	uint64_t seed = (uint64_t)options->seed;
	enum hilum_status status = HILUM_OK;
	if (options->folds)
		status = hl_split_folds(dataset, options->folds, options->fold_column, options->fold,
		                        options->validation, seed, error);
	else if (options->split || !dataset->has_parts)
		status = hl_split_random(dataset, options->split ? options->split : DEFAULT_SPLIT, seed, error);
	return status ? status : hl_split_check(dataset, error);
}

static enum hilum_status check_classes(const struct hl_dataset *dataset, const size_t *readable, const char *which,
                                       struct hilum_error *error)
{
	for (int32_t k = 0; k < dataset->class_count; k++)
		if (readable[k] == 0)
			return hl_fail(error, HILUM_ERROR_DATA, "the training part has no %scase of class \"%s\"",
			               which, dataset->classes[k]);
	return HILUM_OK;
}

static enum hilum_status select_parts(struct hl_material *material, struct hilum_error *error)
{
	const struct hl_dataset *dataset = material->dataset;
	for (int part = HL_PART_TRAIN; part <= HL_PART_TEST; part++) {
		material->cases[part] = hl_dataset_select(dataset, (enum hl_split_part)part, &material->count[part]);
		if (!material->cases[part])
			return hl_fail_memory(error, dataset->count * sizeof(uint32_t), "the split");
	}
	for (int part = HL_PART_TRAIN; part <= HL_PART_VAL; part++)
		for (size_t i = 0; i < material->count[part]; i++)
			material->readable[part][dataset->cases[material->cases[part][i]].label]++;
	material->split = hl_split_json(dataset);
	if (!material->split)
		return hl_fail_memory(error, dataset->count, "the split");
	material->split_hash = hl_sha256(material->split, strlen(material->split));
	return check_classes(dataset, material->readable[HL_PART_TRAIN], "", error);
}

/* Before anything is written: a wrong folder beside a manifest is the commonest slip. */
static enum hilum_status check_files(const struct hl_material *material, struct hilum_error *error)
{
	const uint32_t *cases = material->cases[HL_PART_TRAIN];
	size_t count = material->count[HL_PART_TRAIN];
	for (size_t i = 0; i < count; i++)
		if (hl_path_exists(material->dataset->cases[cases[i]].file))
			return HILUM_OK;
	return hl_fail(error, HILUM_ERROR_IO, "%s: not there, and neither are the other pictures of the training part",
	               material->dataset->cases[cases[0]].file);
}

/* Several windows are as many channels. */
static enum hilum_status set_windows(const char *text, struct hl_recipe *recipe, struct hilum_error *error)
{
	struct hl_window windows[HL_WINDOWS_MAX];
	int32_t count;
	enum hilum_status status = hl_windows_parse(text, windows, &count, error);
	if (status)
		return status;
	if (count < 2)
		return hl_fail(error, HILUM_ERROR_ARGUMENT,
		               "windows: two or three are wanted; of one, --window-center and "
		               "--window-width are");
	recipe->window = windows[0];
	recipe->channels = count;
	recipe->beside_count = count - 1;
	for (int32_t i = 1; i < count; i++)
		recipe->beside[i - 1] = windows[i];
	return HILUM_OK;
}

static int32_t default_depth(const struct hilum_train_options *options)
{
	int32_t usual = options->dims == HL_DIMS_3 ? DEFAULT_DEPTH_3 : DEFAULT_DEPTH_25;
	return options->dims == HL_DIMS_2 ? 1 : options->depth ? (int32_t)options->depth : usual;
}

static struct hl_recipe basic_recipe(const struct hilum_train_options *options)
{
	return (struct hl_recipe){.channels = options->channels ? 3 : 1,
	                          .size = options->size ? (int32_t)options->size : DEFAULT_SIZE,
	                          .fit = options->fit ? HL_FIT_PAD : HL_FIT_CROP,
	                          .middle = options->middle,
	                          .window = {options->window_center, options->window_width},
	                          .deviation = {1, 1, 1},
	                          .dims = (enum hl_dims)options->dims,
	                          .depth = default_depth(options),
	                          .spacing = options->spacing,
	                          .extent = (enum hl_extent)options->extent};
}

/* "auto" is no table. */
static bool infers_groups(const struct hilum_train_options *options)
{
	return options->groups && strcmp(options->groups, "auto") == 0;
}

enum hilum_status hl_material_open(const struct hilum_train_options *options, struct hl_material *out,
                                   struct hilum_error *error)
{
	struct hl_material material = {.recipe = basic_recipe(options)};
	const struct hl_dataset_options how = {.positive = options->positive,
	                                       .groups = infers_groups(options) ? NULL : options->groups,
	                                       .dims = (enum hl_dims)options->dims};
	enum hilum_status status =
	    hl_augment_parse(options->augment ? options->augment : "light", &material.augment, error);
	if (!status && options->windows && options->windows[0])
		status = set_windows(options->windows, &material.recipe, error);
	if (!status)
		status = hl_dataset_open(options->data, &how, &material.dataset, error);
	if (!status && material.dataset->class_count > HILUM_CLASSES_MAX)
		status = hl_fail(error, HILUM_ERROR_DATA, "%s: %d classes; at most %d can be told apart", options->data,
		                 material.dataset->class_count, HILUM_CLASSES_MAX);
	if (!status && infers_groups(options))
		status = hl_groups_infer(material.dataset, (int32_t)options->threads, error);
	if (!status) {
		hl_dataset_hash(material.dataset, material.dataset_hash);
		status = split(options, material.dataset, error);
	}
	if (!status && options->shuffle_labels)
		status = shuffle_labels(material.dataset, (uint64_t)options->seed, error);
	if (!status)
		status = select_parts(&material, error);
	if (!status)
		status = check_files(&material, error);
	if (status) {
		hl_material_free(&material);
		return status;
	}
	*out = material;
	return HILUM_OK;
}

/* ---- loading ---- */

struct loss_of_files {
	struct hl_material *material;
	int part;
	size_t count;
};

static void unreadable(void *context, uint32_t index, const struct hilum_error *error)
{
	struct loss_of_files *lost = context;
	const struct hl_case *this = &lost->material->dataset->cases[index];
	lost->material->readable[lost->part][this->label]--;
	lost->count++;
	hl_log(HILUM_LOG_WARNING, "%s: left out: %s", this->path, error->message);
}

static enum hilum_status load_part(const struct hilum_train_options *options, int part, const volatile int *stop,
                                   struct hl_material *material, struct hl_loader **out, struct hilum_error *error)
{
	bool train = part == HL_PART_TRAIN;
	int64_t memory = options->memory << 20;
	/* Each part's share of the memory goes by its number of pictures. */
	double share =
	    (double)material->count[part] / (double)(material->count[HL_PART_TRAIN] + material->count[HL_PART_VAL]);
	int32_t classes = material->dataset->class_count;
	const struct hl_loader_options how = {.dataset = material->dataset,
	                                      .recipe = &material->recipe,
	                                      .cases = material->cases[part],
	                                      .count = material->count[part],
	                                      .batch = options->batch,
	                                      .seed = (uint64_t)options->seed,
	                                      .augment = train ? &material->augment : NULL,
	                                      .shuffle = train,
	                                      .weights = train ? material->draw : NULL,
	                                      .outputs = classes == 2 ? 1 : classes,
	                                      .threads = (int32_t)options->threads,
	                                      .memory = (int64_t)((double)memory * share)};
	struct loss_of_files lost = {material, part, 0};
	enum hilum_status status = hl_loader_create(&how, out, error);
	if (!status)
		status = hl_loader_preload(*out, unreadable, &lost, stop, error);
	if (!status && lost.count > 0)
		hl_log(HILUM_LOG_WARNING, "%zu of %zu pictures of the %s part could not be read and are left out",
		       lost.count, material->count[part], hl_part_names[part]);
	return status;
}

static enum hilum_status sampler_weights(struct hl_material *material, struct hilum_error *error)
{
	size_t count = material->count[HL_PART_TRAIN];
	material->draw = hl_alloc(count, sizeof(*material->draw));
	if (!material->draw)
		return hl_fail_memory(error, count * sizeof(*material->draw), "the sampler");
	for (size_t i = 0; i < count; i++) {
		int32_t label = material->dataset->cases[material->cases[HL_PART_TRAIN][i]].label;
		material->draw[i] = 1 / (double)material->readable[HL_PART_TRAIN][label];
	}
	return HILUM_OK;
}

enum hilum_status hl_material_load(const struct hilum_train_options *options, const volatile int *stop,
                                   struct hl_material *material, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	if (options->balance == 2)
		status = sampler_weights(material, error);
	if (!status)
		status = load_part(options, HL_PART_TRAIN, stop, material, &material->train, error);
	if (!status)
		status = check_classes(material->dataset, material->readable[HL_PART_TRAIN], "readable ", error);
	if (!status && !material->normalised)
		status =
		    hl_loader_statistics(material->train, material->recipe.mean, material->recipe.deviation, error);
	if (!status && material->count[HL_PART_VAL] > 0)
		status = load_part(options, HL_PART_VAL, stop, material, &material->val, error);
	if (status)
		return status;
	hl_loader_warn_narrow(hl_loader_narrow(material->train) + (material->val ? hl_loader_narrow(material->val) : 0),
	                      hl_loader_count(material->train) + (material->val ? hl_loader_count(material->val) : 0));
	material->recipe_json = hl_recipe_json(&material->recipe);
	if (!material->recipe_json)
		return hl_fail_memory(error, sizeof(material->recipe), "the recipe");
	snprintf(material->summary, sizeof(material->summary), "%zu/%zu", hl_loader_count(material->train),
	         material->val ? hl_loader_count(material->val) : 0);
	return HILUM_OK;
}

void hl_material_weights(const struct hl_material *material, double weight[HILUM_CLASSES_MAX])
{
	const size_t *readable = material->readable[HL_PART_TRAIN];
	int32_t classes = material->dataset->class_count;
	for (int32_t k = 0; k < classes; k++)
		weight[k] = (double)hl_loader_count(material->train) / ((double)classes * (double)readable[k]);
}

void hl_material_free(struct hl_material *material)
{
	if (material->train)
		hl_loader_destroy(material->train);
	if (material->val)
		hl_loader_destroy(material->val);
	for (int part = 0; part < 3; part++)
		hl_free(material->cases[part]);
	hl_free(material->draw);
	hl_free(material->split);
	hl_free(material->recipe_json);
	hl_dataset_free(material->dataset);
	*material = (struct hl_material){.dataset = NULL};
}
