#include "model/model.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "model/calibration.h"
#include "model/domain.h"
#include "model/quantization.h"
#include "nn/arch.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#define FORMAT_NAME "hilum 1"
#define TEXTS_MAX 10

int64_t hl_model_outputs(const struct hilum_model *model)
{
	return model->class_count == 2 ? 1 : model->class_count;
}

static size_t slab_bytes(const struct hl_graph *graph)
{
	return (size_t)graph->floats * sizeof(float);
}

void hilum_model_close(struct hilum_model *model)
{
	if (!model)
		return;
	if (model->slab)
		hl_block_free(model->slab, slab_bytes(model->graph));
	hl_graph_free(model->graph);
	for (int32_t i = 0; model->classes && i < model->class_count; i++)
		hl_free(model->classes[i]);
	hl_free(model->classes);
	hl_free(model->recipe);
	hl_free(model->provenance);
	hl_free(model->split);
	hl_free(model->scores);
	hl_free(model->calibration);
	hl_free(model->quantization);
	hl_free(model->domain);
	hl_free(model);
}

static enum hilum_status copy_classes(struct hilum_model *model, const char *const *classes, int32_t count,
                                      struct hilum_error *error)
{
	if (count < 2 || count > HILUM_CLASSES_MAX)
		return hl_fail(error, HILUM_ERROR_DATA, "%d classes; from 2 to %d can be told apart", count,
		               HILUM_CLASSES_MAX);
	model->classes = hl_alloc((size_t)count, sizeof(*model->classes));
	if (!model->classes)
		return hl_fail_memory(error, (size_t)count * sizeof(*model->classes), "class names");
	model->class_count = count;
	for (int32_t i = 0; i < count; i++) {
		model->classes[i] = hl_strdup(classes[i]);
		if (!model->classes[i])
			return hl_fail_memory(error, strlen(classes[i]), "class names");
	}
	return HILUM_OK;
}

/* A model whose weights are all zero. */
static enum hilum_status build(const char *arch_text, struct hl_shape input, const char *const *classes,
                               int32_t class_count, struct hilum_model **out, struct hilum_error *error)
{
	struct hilum_model *model = hl_alloc(1, sizeof(*model));
	if (!model)
		return hl_fail_memory(error, sizeof(*model), "a model");
	enum hilum_status status = copy_classes(model, classes, class_count, error);
	if (!status)
		status = hl_arch_parse(arch_text, input, hl_model_outputs(model), &model->graph, error);
	if (!status) {
		int64_t outputs = model->graph->node[model->graph->logits].shapes.out.c;
		if (outputs != hl_model_outputs(model) ||
		    hl_shape_count(model->graph->node[model->graph->logits].shapes.out) != outputs)
			status = hl_fail(error, HILUM_ERROR_DATA,
			                 "the network ends in %lld outputs, but %d classes need %lld (write "
			                 "\"dense units=$outputs\")",
			                 (long long)hl_shape_count(model->graph->node[model->graph->logits].shapes.out),
			                 class_count, (long long)hl_model_outputs(model));
	}
	if (!status) {
		model->slab = hl_block_alloc(slab_bytes(model->graph));
		if (!model->slab)
			status = hl_fail_memory(error, slab_bytes(model->graph), "the weights");
	}
	if (status) {
		hilum_model_close(model);
		return status;
	}
	*out = model;
	return HILUM_OK;
}

enum hilum_status hl_model_create(const char *arch_text, struct hl_shape input, char *const *classes,
                                  int32_t class_count, uint64_t seed, struct hilum_model **out,
                                  struct hilum_error *error)
{
	enum hilum_status status = build(arch_text, input, (const char *const *)classes, class_count, out, error);
	if (!status)
		hl_graph_initialise((*out)->graph, seed, (*out)->slab);
	return status;
}

/* The tensors of a model file: one per parameter, in the order of the graph. */
static void list_entries(const struct hilum_model *model, struct hl_entry *entry)
{
	for (int32_t i = 0; i < model->graph->params; i++) {
		struct hl_param *param = &model->graph->param[i];
		entry[i] = (struct hl_entry){.name = param->name,
		                             .dtype = HL_DTYPE_F32,
		                             .rank = param->spec.rank,
		                             .data = model->slab + param->offset,
		                             .bytes = (size_t)param->count * sizeof(float)};
		for (int k = 0; k < param->spec.rank; k++)
			entry[i].dims[k] = param->spec.dims[k];
	}
}

static char *classes_json(const struct hilum_model *model)
{
	json_t *array = json_array();
	for (int32_t i = 0; i < model->class_count; i++)
		json_array_append_new(array, json_string(model->classes[i]));
	char *text = json_dumps(array, JSON_COMPACT);
	json_decref(array);
	return text;
}

enum hilum_status hl_model_save(const struct hilum_model *model, const char *path, struct hilum_error *error)
{
	struct hl_buffer arch;
	hl_buffer_init(&arch, (size_t)16 << 20);
	char *classes = classes_json(model);
	struct hl_entry *entry = hl_alloc((size_t)model->graph->params + 1, sizeof(*entry));
	enum hilum_status status = HILUM_OK;
	if (!classes || !entry)
		status = hl_fail_memory(error, (size_t)model->graph->params * sizeof(*entry), path);
	if (!status)
		status = hl_arch_print(model->graph, &arch, error);
	if (status)
		goto out;
	struct hl_text text[TEXTS_MAX];
	size_t texts = 0;
	const struct {
		const char *key, *value;
	} all[TEXTS_MAX] = {
	    {"format", FORMAT_NAME},   {"architecture", arch.data},         {"classes", classes},
	    {"recipe", model->recipe}, {"provenance", model->provenance},   {"split", model->split},
	    {"scores", model->scores}, {"calibration", model->calibration}, {"quantization", model->quantization},
	    {"domain", model->domain},
	};
	for (size_t i = 0; i < TEXTS_MAX; i++)
		if (all[i].value)
			text[texts++] =
			    (struct hl_text){(char *)(uintptr_t)all[i].key, (char *)(uintptr_t)all[i].value};
	list_entries(model, entry);
	status = hl_safetensors_write(path, entry, (size_t)model->graph->params, text, texts, error);
out:
	hl_free(entry);
	free(classes);
	hl_buffer_free(&arch);
	return status;
}

static enum hilum_status copy_text(const struct hl_safetensors *file, const char *key, char **out,
                                   struct hilum_error *error)
{
	const char *text = hl_safetensors_text(file, key);
	if (!text)
		return HILUM_OK;
	*out = hl_strdup(text);
	return *out ? HILUM_OK : hl_fail_memory(error, strlen(text), key);
}

static enum hilum_status copy_weights(const struct hl_safetensors *file, struct hilum_model *model,
                                      struct hilum_error *error)
{
	const struct hl_graph *graph = model->graph;
	if (file->entries != (size_t)graph->params)
		return hl_fail(error, HILUM_ERROR_FORMAT, "%zu tensors where the architecture has %d", file->entries,
		               graph->params);
	for (int32_t i = 0; i < graph->params; i++) {
		const struct hl_param *param = &graph->param[i];
		const struct hl_entry *entry = hl_safetensors_find(file, param->name);
		if (!entry)
			return hl_fail(error, HILUM_ERROR_FORMAT, "no tensor \"%s\"", param->name);
		bool same = entry->dtype == HL_DTYPE_F32 && entry->rank == param->spec.rank;
		for (int k = 0; same && k < entry->rank; k++)
			same = entry->dims[k] == param->spec.dims[k];
		if (!same)
			return hl_fail(error, HILUM_ERROR_FORMAT,
			               "tensor \"%s\" does not have the architecture's shape", param->name);
		float *to = model->slab + param->offset;
		memcpy(to, entry->data, entry->bytes);
		for (int64_t k = 0; k < param->count; k++)
			if (!isfinite(to[k]))
				return hl_fail(error, HILUM_ERROR_FORMAT,
				               "tensor \"%s\" holds a value that is not a number", param->name);
	}
	return HILUM_OK;
}

static enum hilum_status parse_classes(const char *text, const char **names, json_t **root, int32_t *count,
                                       struct hilum_error *error)
{
	*root = json_loads(text, 0, NULL);
	size_t size = json_array_size(*root);
	if (size < 2 || size > HILUM_CLASSES_MAX)
		return hl_fail(error, HILUM_ERROR_FORMAT, "its list of classes is damaged");
	for (size_t i = 0; i < size; i++) {
		names[i] = json_string_value(json_array_get(*root, i));
		if (!names[i])
			return hl_fail(error, HILUM_ERROR_FORMAT, "its list of classes is damaged");
	}
	*count = (int32_t)size;
	return HILUM_OK;
}

static enum hilum_status check_calibration(const struct hilum_model *model, struct hilum_error *error)
{
	struct hl_calibration calibration;
	enum hilum_status status = hl_calibration_parse(model->calibration, model->class_count, &calibration, error);
	if (!status)
		hl_calibration_free(&calibration);
	return status;
}

static enum hilum_status check_quantization(const struct hilum_model *model, struct hilum_error *error)
{
	struct hl_quant *quant = NULL;
	enum hilum_status status = hl_quantization_parse(model->quantization, model->graph, &quant, error);
	hl_free(quant);
	return status;
}

static enum hilum_status check_domain(const struct hilum_model *model, struct hilum_error *error)
{
	struct hl_domain domain;
	enum hilum_status status = hl_domain_parse(model->domain, &domain, error);
	if (!status)
		hl_domain_free(&domain);
	return status;
}

static enum hilum_status load(const struct hl_safetensors *file, struct hilum_model **out, struct hilum_error *error)
{
	struct hilum_model *model = NULL;
	json_t *root = NULL;
	const char *names[HILUM_CLASSES_MAX];
	int32_t count = 0;
	const char *format = hl_safetensors_text(file, "format"), *arch = hl_safetensors_text(file, "architecture"),
	           *classes = hl_safetensors_text(file, "classes");
	if (!format || strncmp(format, "hilum ", 6) != 0 || !arch || !classes)
		return hl_fail(error, HILUM_ERROR_FORMAT, "a safetensors file, but not a hilum model");
	if (strcmp(format, FORMAT_NAME) != 0)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "model format \"%.20s\"; this hilum reads \"%s\"",
		               format, FORMAT_NAME);
	enum hilum_status status = parse_classes(classes, names, &root, &count, error);
	if (!status)
		status = build(arch, (struct hl_shape){0}, names, count, &model, error);
	if (!status)
		status = copy_weights(file, model, error);
	if (!status)
		status = copy_text(file, "recipe", &model->recipe, error);
	if (!status)
		status = copy_text(file, "provenance", &model->provenance, error);
	if (!status)
		status = copy_text(file, "split", &model->split, error);
	if (!status)
		status = copy_text(file, "scores", &model->scores, error);
	if (!status)
		status = copy_text(file, "calibration", &model->calibration, error);
	if (!status && model->calibration)
		status = check_calibration(model, error);
	if (!status)
		status = copy_text(file, "quantization", &model->quantization, error);
	if (!status && model->quantization)
		status = check_quantization(model, error);
	if (!status)
		status = copy_text(file, "domain", &model->domain, error);
	if (!status && model->domain)
		status = check_domain(model, error);
	json_decref(root);
	if (status)
		hilum_model_close(model);
	else
		*out = model;
	return status;
}

enum hilum_status hl_model_load(const char *path, struct hilum_model **out, struct hilum_error *error)
{
	struct hl_safetensors file;
	enum hilum_status status = hl_safetensors_read(path, HL_MODEL_BYTES_MAX, &file, error);
	if (status)
		return status;
	status = load(&file, out, error);
	hl_safetensors_free(&file);
	return status ? hl_prefix(error, status, "%s", path) : HILUM_OK;
}

static bool same_classes(const struct hilum_model *a, const struct hilum_model *b)
{
	bool same = a->class_count == b->class_count;
	for (int32_t i = 0; same && i < a->class_count; i++)
		same = strcmp(a->classes[i], b->classes[i]) == 0;
	return same;
}

static bool same_shape(const struct hl_param *a, const struct hl_param *b)
{
	bool same = a->spec.rank == b->spec.rank;
	for (int k = 0; same && k < a->spec.rank; k++)
		same = a->spec.dims[k] == b->spec.dims[k];
	return same;
}

enum hilum_status hl_model_init_from(struct hilum_model *model, const struct hilum_model *from, int32_t *copied,
                                     int32_t *kept, struct hilum_error *error)
{
	int32_t taken = 0, trained = 0, left = 0;
	int32_t new_head = same_classes(model, from) ? -1 : model->graph->logits;
	for (int32_t i = 0; i < model->graph->params; i++) {
		const struct hl_param *to = &model->graph->param[i], *source = NULL;
		for (int32_t k = 0; k < from->graph->params && !source; k++)
			if (strcmp(from->graph->param[k].name, to->name) == 0)
				source = &from->graph->param[k];
		if (source && same_shape(source, to) && to->node != new_head) {
			memcpy(model->slab + to->offset, from->slab + source->offset,
			       (size_t)to->count * sizeof(float));
			taken++;
			trained += to->spec.trained;
		} else {
			left += to->spec.trained;
		}
	}
	if (trained == 0)
		return hl_fail(error, HILUM_ERROR_DATA,
		               "no layer has the same name and shape in both networks: nothing to start from");
	*copied = taken;
	*kept = left;
	return HILUM_OK;
}

void hl_model_hash(const struct hilum_model *model, char hex[17])
{
	uint64_t hash = HL_HASH_START;
	for (int32_t i = 0; i < model->graph->params; i++) {
		const struct hl_param *param = &model->graph->param[i];
		hash = hl_hash64(hash, model->slab + param->offset, (size_t)param->count * sizeof(float));
	}
	snprintf(hex, 17, "%016llx", (unsigned long long)hash);
}

enum hilum_status hl_model_file(const char *path, const char *out, char *file, size_t size, struct hilum_error *error)
{
	char *best =
	    out || !hl_path_is_directory(path) ? hl_strdup(out ? out : path) : hl_path_join(path, "best.hilum");
	if (!best)
		return hl_fail_memory(error, 1, "a path");
	bool fits = (size_t)snprintf(file, size, "%s", best) < size;
	hl_free(best);
	return fits ? HILUM_OK : hl_fail(error, HILUM_ERROR_LIMIT, "out: a path of more than %zu bytes", size - 1);
}
