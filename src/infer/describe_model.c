/* What a model is: classes, recipe, layers, which back end runs each, where it comes from, what it scored. */
#include "infer/describe.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "infer/predict.h"
#include "model/domain.h"
#include "nn/arch.h"
#include "nn/plan.h"

#include <math.h>
#include <string.h>

#define ARCH_BYTES_MAX ((size_t)16 << 20)

struct description {
	struct hilum_model *model;
	struct hl_buffer arch;
	struct hl_plan *plan[2]; /* per enum hl_type; NULL unless asked for */
	json_t *recipe, *provenance, *split, *scores, *calibration, *quantization; /* NULL where absent or unreadable */
	char hash[17], input[96];
};

static const char *const types[] = {[HL_F32] = "fp32", [HL_BF16] = "bf16"};

/* Trained ones of a node, or of all (-1); the slab has room between them. */
static int64_t node_parameters(const struct hl_graph *graph, int32_t node)
{
	int64_t count = 0;
	for (int32_t i = 0; i < graph->params; i++)
		if ((node < 0 || graph->param[i].node == node) && graph->param[i].spec.trained)
			count += graph->param[i].count;
	return count;
}

static size_t part_size(const struct description *this, const char *name)
{
	return json_array_size(json_object_get(this->split, name));
}

/* The first of the layers that run as one with this one, or itself. */
static int32_t head_of(const struct description *this, int type, int32_t node)
{
	int32_t head = node, tail = hl_plan_tail(this->plan[type], node);
	for (int32_t i = node - 1; i > 0; i--)
		if (hl_plan_tail(this->plan[type], i) == tail)
			head = i;
	return head;
}

/* ---- JSON ---- */

static json_t *layers_json(const struct description *this)
{
	const struct hl_graph *graph = this->model->graph;
	json_t *list = json_array();
	for (int32_t i = 1; i < graph->nodes; i++) {
		const struct hl_node *node = &graph->node[i];
		char shape[96];
		hl_shape_print(node->shapes.out, shape, sizeof(shape));
		json_t *layer = json_pack("{s:s, s:s, s:s, s:I}", "name", node->name, "op", node->op->name, "output",
		                          shape, "parameters", (json_int_t)node_parameters(graph, i));
		for (int t = HL_F32; t <= HL_BF16; t++)
			if (this->plan[t]) {
				char key[32];
				snprintf(key, sizeof(key), "backend_%s", types[t]);
				json_object_set_new(layer, key, json_string(hl_plan_backend(this->plan[t], i)));
				snprintf(key, sizeof(key), "runs_with_%s", types[t]);
				int32_t head = head_of(this, t, i);
				if (head != i)
					json_object_set_new(layer, key, json_string(graph->node[head].name));
			}
		json_array_append_new(list, layer);
	}
	return list;
}

static json_t *model_json(const struct description *this, const char *path)
{
	const struct hilum_model *model = this->model;
	json_t *classes = json_array();
	for (int32_t i = 0; i < model->class_count; i++)
		json_array_append_new(classes, json_string(model->classes[i]));
	json_t *root =
	    json_pack("{s:s, s:o?, s:o, s:s*, s:s, s:s, s:I, s:I, s:s*, s:o, s:O?, s:O?, s:{s:I, s:I, s:I}, s:O?, s:b}",
	              "kind", "model", "path", hl_json_text(path), "classes", classes, "positive",
	              model->class_count == 2 ? model->classes[1] : NULL, "input", this->input, "weights_hash",
	              this->hash, "parameters", (json_int_t)node_parameters(model->graph, -1), "flops",
	              (json_int_t)hl_graph_flops(model->graph), "architecture", this->arch.data, "layers",
	              layers_json(this), "recipe", this->recipe, "provenance", this->provenance, "split", "train",
	              (json_int_t)part_size(this, "train"), "val", (json_int_t)part_size(this, "val"), "test",
	              (json_int_t)part_size(this, "test"), "scores", this->scores, "research_use_only", 1);
	if (root && this->calibration)
		json_object_set(root, "calibration", this->calibration);
	if (root && this->quantization)
		json_object_set(root, "quantization", json_object_get(this->quantization, "fitted"));
	for (int t = HL_F32; root && t <= HL_BF16; t++)
		if (this->plan[t]) {
			char key[32];
			snprintf(key, sizeof(key), "plan_bytes_%s", types[t]);
			json_object_set_new(root, key, json_integer((json_int_t)hl_plan_bytes(this->plan[t])));
		}
	return root;
}

/* ---- text ---- */

static void print_summary(const struct description *this, const char *path, FILE *file)
{
	const struct hilum_model *model = this->model;
	struct hl_recipe recipe;
	hl_put_safe(file, path);
	fprintf(file, ": a model of %d classes\n  classes      ", model->class_count);
	for (int32_t i = 0; i < model->class_count; i++) {
		fputs(i ? ", " : "", file);
		hl_put_safe(file, model->classes[i]);
		fputs(model->class_count == 2 && i == 1 ? " (positive)" : "", file);
	}
	fprintf(file, "\n  input        %s\n  parameters   %lld (weights %s)\n  arithmetic   %.3g Gflop a picture\n",
	        this->input, (long long)node_parameters(model->graph, -1), this->hash,
	        (double)hl_graph_flops(model->graph) * 1e-9);
	if (hl_model_recipe(model, &recipe, NULL)) {
		fputs("  recipe       none that fits: it cannot predict\n", file);
		return;
	}
	char kept[32] = "";
	if (recipe.middle < 1)
		snprintf(kept, sizeof(kept), ", the middle %.4g %%", 100 * recipe.middle);
	fprintf(file, "  recipe       %s, %d x %d, %s%s; window %g / %g HU",
	        recipe.beside_count    ? "several windows"
	        : recipe.channels == 3 ? "RGB"
	                               : "grey",
	        recipe.size, recipe.size, recipe.fit == HL_FIT_PAD ? "padded" : "cropped", kept, recipe.window.center,
	        recipe.window.width);
	for (int32_t i = 0; i < recipe.beside_count; i++)
		fprintf(file, ", %g / %g HU", recipe.beside[i].center, recipe.beside[i].width);
	fputs("; mean", file);
	for (int32_t i = 0; i < recipe.channels; i++)
		fprintf(file, " %.4f", recipe.mean[i]);
	fputs(", deviation", file);
	for (int32_t i = 0; i < recipe.channels; i++)
		fprintf(file, " %.4f", recipe.deviation[i]);
	fputc('\n', file);
	if (recipe.dims == HL_DIMS_2)
		return;
	fprintf(file, "  slices       %d, %s", recipe.depth,
	        recipe.dims == HL_DIMS_25          ? "one with its neighbours as channels"
	        : recipe.extent == HL_EXTENT_WHOLE ? "made of the whole case"
	        : recipe.extent == HL_EXTENT_LUNGS ? "made of the slices from the first with lung to the last"
	                                           : "from the middle of the case");
	if (recipe.spacing > 0 && (recipe.dims == HL_DIMS_25 || recipe.extent == HL_EXTENT_MIDDLE))
		fprintf(file, ", %g mm apart", recipe.spacing);
	fputc('\n', file);
}

/* A layer that runs with those before it names the first of them. */
static void print_backend(const struct description *this, int type, int32_t node, FILE *file)
{
	int32_t head = head_of(this, type, node);
	const char *name = this->model->graph->node[head].name;
	if (head == node) {
		fprintf(file, "  %-20s", hl_plan_backend(this->plan[type], node));
		return;
	}
	int pad = 15 - (int)strlen(name);
	fputs("  with ", file);
	hl_put_safe(file, name);
	fprintf(file, "%*s", pad > 0 ? pad : 0, "");
}

static void print_layers(const struct description *this, FILE *file)
{
	const struct hl_graph *graph = this->model->graph;
	fprintf(file, "\n  %-16s %-12s %-20s %12s", "layer", "op", "output", "parameters");
	for (int t = HL_F32; t <= HL_BF16; t++)
		if (this->plan[t])
			fprintf(file, "  %-20s", types[t]);
	fputc('\n', file);
	for (int32_t i = 1; i < graph->nodes; i++) {
		const struct hl_node *node = &graph->node[i];
		char shape[96];
		hl_shape_print(node->shapes.out, shape, sizeof(shape));
		fputs("  ", file);
		hl_put_safe(file, node->name);
		int pad = 16 - (int)strlen(node->name);
		fprintf(file, "%*s %-12s %-20s %12lld", pad > 0 ? pad : 0, "", node->op->name, shape,
		        (long long)node_parameters(graph, i));
		for (int t = HL_F32; t <= HL_BF16; t++)
			if (this->plan[t])
				print_backend(this, t, i, file);
		fputc('\n', file);
	}
	for (int t = HL_F32; t <= HL_BF16; t++)
		if (this->plan[t])
			fprintf(file, "  one picture in %s takes %.1f MiB\n", types[t],
			        (double)hl_plan_bytes(this->plan[t]) / (1 << 20));
}

static void print_provenance(const struct description *this, FILE *file)
{
	const char *key;
	json_t *value;
	if (json_is_object(this->provenance))
		fputs("\n  provenance\n", file);
	json_object_foreach(this->provenance, key, value)
	{
		char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		fputs("    ", file);
		hl_put_safe(file, key);
		fprintf(file, "%*s ", strlen(key) < 16 ? 16 - (int)strlen(key) : 0, "");
		hl_put_safe(file, text ? text : json_is_string(value) ? json_string_value(value) : "");
		fputc('\n', file);
		free(text);
	}
	if (this->split)
		fprintf(file, "    %-16s train %zu, val %zu, test %zu cases\n", "parts", part_size(this, "train"),
		        part_size(this, "val"), part_size(this, "test"));
	if (json_is_true(json_object_get(this->provenance, "shuffled_labels")))
		fputs("  A control: trained on shuffled labels. It knows nothing.\n", file);
	if (json_integer_value(json_object_get(this->provenance, "leaks")) > 0)
		fputs("  Its split leaks: the same pictures, or nearly so, stand on two sides of it. Its scores "
		      "flatter.\n",
		      file);
	if (json_is_false(json_object_get(this->provenance, "grouped")))
		fputs("  Split without groups: pictures of one patient may be on both sides, which flatters every "
		      "score.\n",
		      file);
}

static void print_scores(const struct description *this, FILE *file)
{
	static const char *const names[] = {"log_loss",    "accuracy", "balanced_accuracy", "sensitivity",
	                                    "specificity", "auc",      "average_precision", "brier"};
	const char *part = json_string_value(json_object_get(this->scores, "part"));
	if (!json_is_object(this->scores))
		return;
	fprintf(file, "\n  scored when it was saved: %lld cases",
	        (long long)json_integer_value(json_object_get(this->scores, "n")));
	if (part) {
		fputs(", part ", file);
		hl_put_safe(file, part);
	}
	fprintf(file, "\n    %-20s %10s %10s\n", "", "score", "baseline");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char baseline[64];
		snprintf(baseline, sizeof(baseline), "baseline_%s", names[i]);
		const json_t *score = json_object_get(this->scores, names[i]),
		             *base = json_object_get(this->scores, baseline);
		fprintf(file, "    %-20s", names[i]);
		for (int k = 0; k < 2; k++)
			if (json_is_number(k ? base : score))
				fprintf(file, " %10.4f", json_number_value(k ? base : score));
			else
				fprintf(file, " %10s", "undefined");
		fputc('\n', file);
	}
}

static void print_calibration(const struct description *this, FILE *file)
{
	const json_t *fitted = json_object_get(this->calibration, "fitted"),
	             *conformal = json_object_get(this->calibration, "conformal");
	const char *kind = json_string_value(json_object_get(json_object_get(this->calibration, "map"), "kind"));
	if (!kind)
		return;
	fputs("\n  calibrated since: ", file);
	hl_put_safe(file, kind);
	fprintf(file, ", of %lld cases", (long long)json_integer_value(json_object_get(fitted, "cases")));
	if (json_is_object(conformal))
		fprintf(file, "; low below %.4g, high above %.4g, each wrong for at most %.3g %% of its class",
		        json_number_value(json_object_get(conformal, "low_below")),
		        json_number_value(json_object_get(conformal, "high_above")),
		        100 * json_number_value(json_object_get(conformal, "alpha")));
	fputc('\n', file);
}

static void print_quantization(const struct description *this, FILE *file)
{
	const json_t *fitted = json_object_get(this->quantization, "fitted"), *auc = json_object_get(fitted, "auc");
	if (!this->quantization)
		return;
	fprintf(file, "\n  int8: scales from %lld cases",
	        (long long)json_integer_value(json_object_get(fitted, "cases")));
	if (json_is_number(json_object_get(auc, "int8")))
		fprintf(file, "; ROC-AUC %.4f instead of %.4f on %lld others",
		        json_number_value(json_object_get(auc, "int8")),
		        json_number_value(json_object_get(auc, "fp32")),
		        (long long)json_integer_value(json_object_get(fitted, "test_cases")));
	fputc('\n', file);
}

static void print_domain(const struct description *this, FILE *file)
{
	struct hl_domain domain = {0};
	if (!this->model->domain || hl_domain_parse(this->model->domain, &domain, NULL))
		return;
	fprintf(file, "\n  of %lld training pictures %lld look like chest CT: %s\n", (long long)domain.looked,
	        (long long)domain.chests,
	        domain.rule ? "anything else is refused" : "nothing is refused for not looking so");
	if (domain.traits > 0)
		fprintf(file,
		        "  unusual is a distance above %.4g, as at most %.3g %% of pictures like %lld of the %s part "
		        "have\n",
		        domain.threshold, 100 * domain.rate, (long long)domain.cases,
		        domain.validation ? "validation" : "training");
	hl_domain_free(&domain);
}

static void print_text(const struct description *this, const char *path, FILE *file)
{
	print_summary(this, path, file);
	print_layers(this, file);
	fputs("\n  architecture\n", file);
	for (const char *line = this->arch.data; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
		char *copy = hl_format("    %.*s\n", (int)strcspn(line, "\n"), line);
		hl_put_safe(file, copy ? copy : "");
		hl_free(copy);
	}
	print_provenance(this, file);
	print_scores(this, file);
	print_calibration(this, file);
	print_quantization(this, file);
	print_domain(this, file);
	fputs("Research use only: not a medical device.\n", file);
}

/* ---- gathering ---- */

static json_t *parse(const char *text)
{
	return text ? json_loads(text, 0, NULL) : NULL;
}

static enum hilum_status gather(const char *path, bool plan, struct description *this, struct hilum_error *error)
{
	enum hilum_status status = hilum_model_open(path, &this->model, error);
	if (!status)
		status = hl_arch_print(this->model->graph, &this->arch, error);
	for (int t = HL_F32; t <= HL_BF16 && plan && !status; t++) {
		const struct hl_plan_options options = {.batch = 1, .type = (enum hl_type)t};
		status = hl_plan_create(this->model->graph, &options, &this->plan[t], error);
	}
	if (status)
		return status;
	hl_model_hash(this->model, this->hash);
	hl_shape_print(this->model->graph->node[0].shapes.out, this->input, sizeof(this->input));
	this->recipe = parse(this->model->recipe);
	this->provenance = parse(this->model->provenance);
	this->split = parse(this->model->split);
	this->scores = parse(this->model->scores);
	this->calibration = parse(this->model->calibration);
	this->quantization = parse(this->model->quantization);
	return HILUM_OK;
}

enum hilum_status hl_describe_model(const char *path, enum hilum_output output, bool plan, FILE *file,
                                    struct hilum_error *error)
{
	struct description this = {.model = NULL};
	hl_buffer_init(&this.arch, ARCH_BYTES_MAX);
	enum hilum_status status = gather(path, plan, &this, error);
	if (!status && output == HILUM_OUTPUT_JSON)
		status = hl_put_json(file, model_json(&this, path), error);
	else if (!status)
		print_text(&this, path, file);
	json_decref(this.recipe);
	json_decref(this.provenance);
	json_decref(this.split);
	json_decref(this.scores);
	json_decref(this.calibration);
	json_decref(this.quantization);
	for (int t = HL_F32; t <= HL_BF16; t++)
		hl_plan_destroy(this.plan[t]);
	hl_buffer_free(&this.arch);
	hilum_model_close(this.model);
	return status;
}
