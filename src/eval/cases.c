#include "eval/cases.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/split.h"
#include "infer/predict.h"

#include <jansson.h>
#include <string.h>

/* ---- classes ---- */

/* Whether name is one of those joined by "+" in joined: how a merged class is called. */
static bool is_part(const char *joined, const char *name)
{
	size_t length = strlen(name);
	for (const char *at = joined; at; at = strchr(at, '+') ? strchr(at, '+') + 1 : NULL)
		if (strncmp(at, name, length) == 0 && (at[length] == '+' || at[length] == '\0'))
			return true;
	return false;
}

static int32_t find_class(const struct hilum_model *model, const char *name)
{
	for (int32_t c = 0; c < model->class_count; c++)
		if (strcmp(model->classes[c], name) == 0)
			return c;
	for (int32_t c = 0; c < model->class_count; c++)
		if (is_part(model->classes[c], name))
			return c;
	return -1;
}

static void join(char *text, size_t size, char *const *names, int32_t count)
{
	text[0] = '\0';
	for (int32_t i = 0; i < count && strlen(text) + 4 < size; i++)
		snprintf(text + strlen(text), size - strlen(text), "%s%s", i ? ", " : "", names[i]);
}

static enum hilum_status refuse_classes(const struct hilum_model *model, const struct hl_dataset *dataset,
                                        struct hilum_error *error)
{
	char its[160], ours[160];
	join(its, sizeof(its), dataset->classes, dataset->class_count);
	join(ours, sizeof(ours), model->classes, model->class_count);
	return hl_fail(error, HILUM_ERROR_DATA, "the data set's classes (%s) are not the model's (%s)%s", its, ours,
	               model->class_count == 2 ? "; --positive A,B says which are the positive class" : "");
}

/* Gives the data set the model's classes. Its folders are looked up by name, merged classes by their parts; where
 * --positive was given, the caller has said what is positive, and names may differ: another hospital's words. */
static enum hilum_status take_classes(const struct hilum_model *model, bool told, struct hl_dataset *dataset,
                                      struct hilum_error *error)
{
	int32_t of_origin[HILUM_CLASSES_MAX];
	if (told && (model->class_count != 2 || dataset->class_count != 2))
		return refuse_classes(model, dataset, error);
	if (dataset->origin_count > HILUM_CLASSES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%d classes; at most %d are possible", dataset->origin_count,
		               HILUM_CLASSES_MAX);
	for (int32_t i = 0; i < dataset->origin_count && !told; i++) {
		of_origin[i] = find_class(model, dataset->origins[i]);
		if (of_origin[i] < 0)
			return refuse_classes(model, dataset, error);
	}
	char **names = hl_alloc((size_t)model->class_count, sizeof(*names));
	bool whole = names != NULL;
	for (int32_t c = 0; whole && c < model->class_count; c++)
		whole = (names[c] = hl_strdup(model->classes[c])) != NULL;
	if (!whole) {
		for (int32_t c = 0; names && c < model->class_count; c++)
			hl_free(names[c]);
		hl_free(names);
		return hl_fail_memory(error, (size_t)model->class_count * sizeof(*names), "class names");
	}
	for (int32_t c = 0; c < dataset->class_count; c++) {
		if (told && strcmp(dataset->classes[c], names[c]) != 0)
			hl_log(HILUM_LOG_WARNING, "class \"%s\" is scored as the model's \"%s\"", dataset->classes[c],
			       names[c]);
		hl_free(dataset->classes[c]);
	}
	hl_free(dataset->classes);
	dataset->classes = names;
	dataset->class_count = model->class_count;
	for (size_t i = 0; i < dataset->count && !told; i++)
		dataset->cases[i].label = of_origin[dataset->cases[i].origin];
	return HILUM_OK;
}

/* ---- parts ---- */

static size_t count_named(const struct hl_dataset *dataset)
{
	size_t named = 0;
	for (size_t i = 0; i < dataset->count; i++)
		named += dataset->cases[i].part != HL_PART_NONE;
	return named;
}

/* Whether the model was trained on this very data set: by the hash in its provenance. Names alone would not do: case
 * numbers are much the same everywhere. */
static bool is_own(const struct hilum_model *model, const struct hl_dataset *dataset)
{
	char hex[65];
	json_t *root = model->provenance ? json_loads(model->provenance, 0, NULL) : NULL;
	const char *stored = json_string_value(json_object_get(root, "dataset"));
	hl_dataset_hash(dataset, hex);
	bool own = stored ? strcmp(stored, hex) == 0 : count_named(dataset) > 0;
	json_decref(root);
	return own;
}

/* The stored split, where the model has one that names cases of this data set; otherwise the manifest's own. */
static enum hilum_status apply_split(const struct hilum_model *model, struct hl_dataset *dataset, bool *stored,
                                     struct hilum_error *error)
{
	*stored = false;
	if (!model->split)
		return HILUM_OK;
	enum hl_split_part *kept = hl_alloc(dataset->count, sizeof(*kept));
	if (!kept)
		return hl_fail_memory(error, dataset->count * sizeof(*kept), "the split");
	for (size_t i = 0; i < dataset->count; i++)
		kept[i] = dataset->cases[i].part;
	enum hilum_status status = hl_split_apply(dataset, model->split, error);
	if (status)
		status = hl_prefix(error, status, "the model's split");
	*stored = !status && count_named(dataset) > 0;
	for (size_t i = 0; i < dataset->count && !*stored; i++)
		dataset->cases[i].part = kept[i];
	hl_free(kept);
	return status;
}

static enum hilum_status choose_part(const struct hilum_model *model, const struct hl_cases_options *options,
                                     struct hl_dataset *dataset, struct hl_cases *out, struct hilum_error *error)
{
	const char *asked = options->split;
	bool stored, all = asked && strcmp(asked, "all") == 0;
	enum hl_split_part part = HL_PART_NONE;
	for (int i = HL_PART_TRAIN; asked && i <= HL_PART_TEST; i++)
		if (strcmp(asked, hl_part_names[i]) == 0)
			part = (enum hl_split_part)i;
	if (asked && !all && part == HL_PART_NONE)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "split: \"%.40s\" is none of train, val, test, all", asked);
	enum hilum_status status = apply_split(model, dataset, &stored, error);
	if (status)
		return status;
	bool own = stored && is_own(model, dataset);
	if (part != HL_PART_NONE && !stored && !dataset->has_parts)
		return hl_fail(error, HILUM_ERROR_DATA,
		               model->split ? "split: the split stored in the model names none of these cases"
		                            : "split: the model holds no split");
	if (stored && !own && !all)
		hl_log(HILUM_LOG_WARNING,
		       "not the data set that the model was trained on, but %zu of its %zu cases have names of the "
		       "model's split; %s",
		       count_named(dataset), dataset->count,
		       asked ? "taken at their names"
		             : "all are taken; if it is the same data set with changes, say which with --split");
	if (!asked && own)
		part = options->own;
	struct hilum_error leak;
	if (stored && (part == HL_PART_VAL || part == HL_PART_TEST) &&
	    hl_split_check(dataset, &leak) == HILUM_ERROR_DATA)
		hl_log(HILUM_LOG_WARNING, "the model was trained without these groups and the scores flatter: %s",
		       leak.message);
	out->part = part;
	out->own = own;
	return HILUM_OK;
}

static enum hilum_status select_cases(const struct hl_cases_options *options, struct hl_cases *out,
                                      struct hilum_error *error)
{
	const struct hl_dataset *dataset = out->dataset;
	out->index = hl_dataset_select(dataset, out->part, &out->count);
	if (out->index && out->count == 0 && !options->split && options->or_all) {
		hl_log(HILUM_LOG_WARNING,
		       "the model's split has no %s part: all cases are taken, those that it was trained on among them",
		       hl_part_names[out->part]);
		hl_free(out->index);
		out->part = HL_PART_NONE;
		out->index = hl_dataset_select(dataset, out->part, &out->count);
	}
	if (!out->index)
		return hl_fail_memory(error, dataset->count * sizeof(*out->index), "the cases");
	if (out->count == 0)
		return hl_fail(error, HILUM_ERROR_DATA, "split: the %s part is empty", hl_part_names[out->part]);
	return HILUM_OK;
}

enum hilum_status hl_cases_open(const struct hilum_model *model, const struct hl_cases_options *options,
                                struct hl_cases *out, struct hilum_error *error)
{
	struct hl_dataset_options opening = {.positive = options->positive, .groups = options->groups};
	struct hl_recipe recipe;
	struct hl_cases made = {0};
	if (!options->data)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "data: no data set is named");
	/* What a case is. A model without a sound recipe is refused where it is used. */
	if (hl_model_recipe(model, &recipe, NULL) == HILUM_OK)
		opening.dims = recipe.dims;
	enum hilum_status status = hl_dataset_open(options->data, &opening, &made.dataset, error);
	if (status)
		return status;
	status = choose_part(model, options, made.dataset, &made, error);
	if (!status)
		status = take_classes(model, options->positive != NULL, made.dataset, error);
	if (!status)
		status = select_cases(options, &made, error);
	if (status)
		hl_cases_free(&made);
	else
		*out = made;
	return status;
}

void hl_cases_free(struct hl_cases *cases)
{
	hl_dataset_free(cases->dataset);
	hl_free(cases->index);
	*cases = (struct hl_cases){0};
}
