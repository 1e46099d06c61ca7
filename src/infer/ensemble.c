#include "infer/ensemble.h"

#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "infer/predict.h"
#include "nn/arch.h"
#include "nn/ops/options.h"

#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS_MAX 64
#define ARCH_MAX ((size_t)16 << 20)
#define NORM_EPS 1e-12

struct merge {
	struct hilum_model *const *members;
	size_t count;
	struct hl_recipe *recipe;
	struct hl_graph *graph;
	int32_t share[MEMBERS_MAX]; /* nodes that hold each member's part of the logits */
	struct hilum_model *model;
};

/* ---- the network ---- */

static enum hilum_status append_norm(struct hl_graph *graph, size_t member, const char *name, int32_t from,
                                     struct hilum_error *error)
{
	const struct hl_op *op = hl_op_find("batchnorm");
	struct hl_batchnorm_options options;
	char full[HL_NAME_MAX + 1];
	hilum_options_init(op->options, &options);
	options.eps = NORM_EPS;
	snprintf(full, sizeof(full), "%zu.%s", member + 1, name);
	return hl_graph_append(graph, full, op, &options, &from, 1, error);
}

/* A member's layers up to its logits. */
static enum hilum_status append_branch(struct merge *merge, size_t member, struct hilum_error *error)
{
	const struct hl_graph *from = merge->members[member]->graph;
	int32_t *place = hl_alloc((size_t)from->nodes, sizeof(*place)); /* of its nodes in the new graph */
	if (!place)
		return hl_fail_memory(error, (size_t)from->nodes * sizeof(*place), "layers");
	enum hilum_status status = append_norm(merge->graph, member, "brightness", 0, error);
	place[0] = merge->graph->nodes - 1;
	for (int32_t i = 1; i <= from->logits && !status; i++) {
		const struct hl_node *node = &from->node[i];
		int32_t input[HL_INPUTS_MAX] = {0};
		char name[2 * HL_NAME_MAX];
		for (int32_t k = 0; k < node->inputs; k++)
			input[k] = place[node->input[k]];
		snprintf(name, sizeof(name), "%zu.%s", member + 1, node->name);
		status = hl_graph_append(merge->graph, name, node->op, node->options, input, node->inputs, error);
		place[i] = merge->graph->nodes - 1;
	}
	if (!status)
		status = append_norm(merge->graph, member, "share", place[from->logits], error);
	merge->share[member] = merge->graph->nodes - 1;
	hl_free(place);
	return status;
}

static enum hilum_status append_sums(struct merge *merge, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	int32_t sum = merge->share[0];
	for (size_t done = 1; done < merge->count && !status;) {
		int32_t input[HL_INPUTS_MAX] = {sum}, inputs = 1;
		while (inputs < HL_INPUTS_MAX && done < merge->count)
			input[inputs++] = merge->share[done++];
		status = hl_graph_append(merge->graph, NULL, hl_op_find("add"), NULL, input, inputs, error);
		sum = merge->graph->nodes - 1;
	}
	return status;
}

static enum hilum_status make_graph(struct merge *merge, struct hl_buffer *arch, struct hilum_error *error)
{
	enum hilum_status status = hl_graph_begin(merge->members[0]->graph->node[0].shapes.out, &merge->graph, error);
	for (size_t m = 0; m < merge->count && !status; m++)
		status = append_branch(merge, m, error);
	if (!status)
		status = append_sums(merge, error);
	if (!status)
		status = hl_graph_finish(merge->graph, error);
	return status ? status : hl_arch_print(merge->graph, arch, error);
}

/* ---- its weights ---- */

static float *find(const struct hilum_model *model, size_t member, const char *name, int64_t *count)
{
	char full[2 * sizeof(model->graph->param[0].name)];
	snprintf(full, sizeof(full), "%zu.%s", member + 1, name);
	for (int32_t i = 0; i < model->graph->params; i++)
		if (strcmp(model->graph->param[i].name, full) == 0) {
			*count = model->graph->param[i].count;
			return model->slab + model->graph->param[i].offset;
		}
	return NULL;
}

/* scale * x + shift, as a batch norm of variance 1 and mean 0. */
static bool set_norm(const struct hilum_model *model, size_t member, const char *name, const double *scale,
                     const double *shift, int64_t channels)
{
	static const char *const params[] = {"weight", "bias", "running_mean", "running_var"};
	for (int p = 0; p < 4; p++) {
		char full[64];
		int64_t count = 0;
		snprintf(full, sizeof(full), "%s.%s", name, params[p]);
		float *to = find(model, member, full, &count);
		for (int64_t c = 0; to && c < count; c++)
			to[c] = (float)(p == 0 ? scale[c % channels] : p == 1 ? shift[c % channels] : p - 2);
		if (!to)
			return false;
	}
	return true;
}

static enum hilum_status set_weights(const struct merge *merge, struct hilum_error *error)
{
	const struct hl_recipe *first = &merge->recipe[0];
	const double share = 1 / (double)merge->count, nothing = 0;
	bool whole = true;
	for (size_t m = 0; m < merge->count && whole; m++) {
		const struct hilum_model *member = merge->members[m];
		const struct hl_recipe *own = &merge->recipe[m];
		double scale[3] = {1, 1, 1}, shift[3] = {0};
		for (int32_t c = 0; c < first->channels; c++) {
			scale[c] = first->deviation[c] / own->deviation[c];
			shift[c] = (first->mean[c] - own->mean[c]) / own->deviation[c];
		}
		whole = set_norm(merge->model, m, "brightness", scale, shift, first->channels) &&
		        set_norm(merge->model, m, "share", &share, &nothing, 1);
		for (int32_t i = 0; i < member->graph->params && whole; i++) {
			const struct hl_param *param = &member->graph->param[i];
			int64_t count = 0;
			float *to =
			    param->node <= member->graph->logits ? find(merge->model, m, param->name, &count) : NULL;
			whole = !to || count == param->count;
			if (to && whole)
				memcpy(to, member->slab + param->offset, (size_t)count * sizeof(*to));
		}
	}
	return whole ? HILUM_OK : hl_fail(error, HILUM_ERROR_INTERNAL, "the ensemble's layers are not its members'");
}

/* ---- its texts ---- */

static char *dump(json_t *root)
{
	char *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
	char *copy = text ? hl_strdup(text) : NULL;
	free(text);
	json_decref(root);
	return copy;
}

static void note_split(json_t *const *split, size_t count, json_t *out)
{
	json_t *worst = json_object(); /* path to the worst part that any member had it in: 0 train */
	for (size_t m = 0; m < count; m++)
		for (int p = HL_PART_TRAIN; p <= HL_PART_TEST; p++) {
			size_t i;
			json_t *path;
			json_array_foreach(json_object_get(split[m], hl_part_names[p]), i, path)
			{
				const char *text = json_string_value(path);
				json_t *before = text ? json_object_get(worst, text) : NULL;
				if (text && (!before || json_integer_value(before) > p))
					json_object_set_new(worst, text, json_integer(p));
			}
		}
	const char *path;
	json_t *part;
	for (int p = HL_PART_TRAIN; p <= HL_PART_TEST; p++)
		json_object_set_new(out, hl_part_names[p], json_array());
	json_object_foreach(worst, path, part)
	{
		json_array_append_new(json_object_get(out, hl_part_names[json_integer_value(part)]), json_string(path));
	}
	json_decref(worst);
}

static char *make_split(const struct merge *merge)
{
	json_t *split[MEMBERS_MAX] = {NULL}, *out = json_object();
	bool all = true;
	for (size_t m = 0; m < merge->count; m++) {
		split[m] = merge->members[m]->split ? json_loads(merge->members[m]->split, 0, NULL) : NULL;
		all = all && split[m];
	}
	if (all)
		note_split(split, merge->count, out);
	for (size_t m = 0; m < merge->count; m++)
		json_decref(split[m]);
	if (all)
		return dump(out);
	json_decref(out);
	return NULL;
}

/* What all members agree on, the sum of their leaks, and who they are. */
static char *make_provenance(const struct merge *merge)
{
	static const char *const kept[] = {"dataset", "grouped", "shuffled_labels"};
	json_t *out = json_object(), *hashes = json_array();
	json_int_t leaks = 0;
	for (size_t m = 0; m < merge->count; m++) {
		const char *text = merge->members[m]->provenance;
		json_t *own = text ? json_loads(text, 0, NULL) : NULL;
		char hex[17];
		hl_model_hash(merge->members[m], hex);
		json_array_append_new(hashes, json_string(hex));
		leaks += json_integer_value(json_object_get(own, "leaks"));
		for (size_t k = 0; k < sizeof(kept) / sizeof(kept[0]); k++) {
			json_t *value = json_object_get(own, kept[k]), *before = json_object_get(out, kept[k]);
			if (m == 0 && value)
				json_object_set(out, kept[k], value);
			else if (m > 0 && before && !json_equal(before, value))
				json_object_del(out, kept[k]);
		}
		json_decref(own);
	}
	if (leaks > 0)
		json_object_set_new(out, "leaks", json_integer(leaks));
	json_object_set_new(out, "members", hashes);
	return dump(out);
}

static enum hilum_status set_texts(const struct merge *merge, struct hilum_error *error)
{
	struct hilum_model *model = merge->model;
	bool told = true, calibrated = false, same_kind = true; /* all know what they learnt from */
	for (size_t m = 0; m < merge->count; m++) {
		told = told && merge->members[m]->split;
		same_kind = same_kind && merge->members[m]->domain;
		calibrated = calibrated || merge->members[m]->calibration;
	}
	if (calibrated)
		hl_log(HILUM_LOG_WARNING, "the members' calibrations are not the ensemble's: hilum calibrate fits one");
	model->recipe = hl_strdup(merge->members[0]->recipe);
	model->provenance = make_provenance(merge);
	model->split = told ? make_split(merge) : NULL;
	model->domain = same_kind ? hl_strdup(merge->members[0]->domain) : NULL;
	if (!model->recipe || !model->provenance || (told && !model->split) || (same_kind && !model->domain))
		return hl_fail_memory(error, ARCH_MAX, "the ensemble's texts");
	return HILUM_OK;
}

/* ---- all together ---- */

/* Recipes but for mean and deviation. */
static bool same_recipe(const struct hl_recipe *a, const struct hl_recipe *b)
{
	struct hl_recipe as_a = *b;
	memcpy(as_a.mean, a->mean, sizeof(a->mean));
	memcpy(as_a.deviation, a->deviation, sizeof(a->deviation));
	char *first = hl_recipe_json(a), *second = hl_recipe_json(&as_a);
	bool same = first && second && strcmp(first, second) == 0;
	hl_free(first);
	hl_free(second);
	return same;
}

static enum hilum_status check(struct merge *merge, struct hilum_error *error)
{
	const struct hilum_model *first = merge->members[0];
	for (size_t m = 0; m < merge->count; m++) {
		const struct hilum_model *member = merge->members[m];
		enum hilum_status status = hl_model_recipe(member, &merge->recipe[m], error);
		if (status)
			return hl_prefix(error, status, "member %zu", m + 1);
		bool same = member->class_count == first->class_count;
		for (int32_t c = 0; c < first->class_count && same; c++)
			same = strcmp(member->classes[c], first->classes[c]) == 0;
		if (!same)
			return hl_fail(error, HILUM_ERROR_DATA, "member %zu has other classes than the first", m + 1);
		if (!same_recipe(&merge->recipe[0], &merge->recipe[m]))
			return hl_fail(
			    error, HILUM_ERROR_DATA,
			    "member %zu reads pictures in another way than the first (size, channels, window "
			    "or slices)",
			    m + 1);
	}
	return HILUM_OK;
}

enum hilum_status hl_ensemble_make(struct hilum_model *const *members, size_t count, struct hilum_model **out,
                                   struct hilum_error *error)
{
	struct merge merge = {.members = members, .count = count};
	struct hl_buffer arch;
	if (count < 1 || count > MEMBERS_MAX)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%zu members; an ensemble has 1 to %d", count, MEMBERS_MAX);
	merge.recipe = hl_alloc(count, sizeof(*merge.recipe));
	if (!merge.recipe)
		return hl_fail_memory(error, count * sizeof(*merge.recipe), "an ensemble");
	hl_buffer_init(&arch, ARCH_MAX);
	enum hilum_status status = check(&merge, error);
	if (!status)
		status = make_graph(&merge, &arch, error);
	if (!status)
		status = hl_model_create(arch.data, members[0]->graph->node[0].shapes.out, members[0]->classes,
		                         members[0]->class_count, 1, &merge.model, error);
	if (!status)
		status = set_weights(&merge, error);
	if (!status)
		status = set_texts(&merge, error);
	hl_graph_free(merge.graph);
	hl_buffer_free(&arch);
	hl_free(merge.recipe);
	if (status)
		hilum_model_close(merge.model);
	else
		*out = merge.model;
	return status;
}

/* ---- from files ---- */

/* The runs of the folds, where path is the folder of a cross-validation; otherwise path itself. */
static enum hilum_status list_runs(const char *path, char *run[MEMBERS_MAX], size_t *count, struct hilum_error *error)
{
	char *sign = hl_path_join(path, "crossval.json");
	bool crossval = sign && hl_path_exists(sign);
	hl_free(sign);
	if (!crossval) {
		if (*count == MEMBERS_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "more than %d members", MEMBERS_MAX);
		run[*count] = hl_strdup(path);
		return run[(*count)++] ? HILUM_OK : hl_fail_memory(error, strlen(path), "a path");
	}
	struct dirent **entry = NULL;
	int entries = scandir(path, &entry, NULL, alphasort);
	if (entries < 0)
		return hl_fail_errno(error, path);
	enum hilum_status status = HILUM_OK;
	for (int i = 0; i < entries; i++) {
		char *folder = hl_path_join(path, entry[i]->d_name),
		     *best = folder ? hl_path_join(folder, "best.hilum") : NULL;
		if (!status && (!folder || !best))
			status = hl_fail_memory(error, strlen(path), "a path");
		else if (!status && entry[i]->d_name[0] != '.' && hl_path_exists(best) && *count == MEMBERS_MAX)
			status = hl_fail(error, HILUM_ERROR_LIMIT, "more than %d members", MEMBERS_MAX);
		else if (!status && entry[i]->d_name[0] != '.' && hl_path_exists(best)) {
			run[(*count)++] = folder;
			folder = NULL;
		}
		hl_free(folder);
		hl_free(best);
		free(entry[i]);
	}
	free(entry);
	return status;
}

enum hilum_status hilum_ensemble(const char *const *paths, size_t count, const char *out, size_t *members,
                                 struct hilum_error *error)
{
	char *run[MEMBERS_MAX] = {NULL};
	struct hilum_model *model[MEMBERS_MAX] = {NULL}, *made = NULL;
	size_t runs = 0, opened = 0;
	enum hilum_status status = HILUM_OK;
	for (size_t i = 0; i < count && !status; i++)
		status = list_runs(paths[i], run, &runs, error);
	for (; opened < runs && !status; opened++)
		status = hilum_model_open(run[opened], &model[opened], error);
	if (!status)
		status = hl_ensemble_make(model, runs, &made, error);
	if (!status)
		status = hl_model_save(made, out, error);
	if (!status && members)
		*members = runs;
	hilum_model_close(made);
	for (size_t i = 0; i < runs; i++) {
		hilum_model_close(model[i]);
		hl_free(run[i]);
	}
	return status;
}
