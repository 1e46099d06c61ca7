/* hilum_info and hilum_describe_ops: what a model, a scan or a layer is. */
#include "infer/describe.h"

#include "base/file.h"
#include "base/memory.h"
#include "nn/op.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

void hl_put_safe(FILE *file, const char *text)
{
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;
		fputc((byte < 0x20 && byte != '\n') || byte == 0x7f ? '?' : byte, file);
	}
}

json_t *hl_json_text(const char *text)
{
	size_t length = strlen(text), used = 0;
	json_t *value = json_stringn(text, length);
	char *copy = value ? NULL : hl_alloc(length * 3 + 1, 1);
	if (!copy)
		return value;
	/* The longest prefix that is UTF-8, then one byte that is not, and so on. */
	while (*text) {
		size_t sound = 1;
		json_t *piece = NULL;
		while (sound <= 4 && text[sound - 1] && !(piece = json_stringn(text, sound)))
			sound++;
		json_decref(piece);
		memcpy(copy + used, piece ? text : "\xef\xbf\xbd", piece ? sound : 3);
		used += piece ? sound : 3;
		text += piece ? sound : 1;
	}
	value = json_stringn(copy, used);
	hl_free(copy);
	return value;
}

enum hilum_status hl_put_json(FILE *file, json_t *root, struct hilum_error *error)
{
	bool written =
	    root && json_dumpf(root, file, JSON_REAL_PRECISION(17)) == 0 && fputc('\n', file) != EOF && !ferror(file);
	json_decref(root);
	return written ? HILUM_OK : hl_fail(error, HILUM_ERROR_IO, "the description could not be written");
}

/* A safetensors file begins with the length of its header and a brace. */
bool hl_is_model(const char *path)
{
	unsigned char head[9];
	if (hl_path_is_directory(path)) {
		char *best = hl_path_join(path, "best.hilum");
		bool there = best && hl_path_exists(best);
		hl_free(best);
		return there;
	}
	FILE *file = fopen(path, "rbe");
	size_t got = file ? fread(head, 1, sizeof(head), file) : 0;
	if (file)
		fclose(file);
	return got == sizeof(head) && head[8] == '{' && head[5] == 0 && head[6] == 0 && head[7] == 0;
}

enum hilum_status hilum_info(const char *path, enum hilum_output output, bool plan, FILE *file,
                             struct hilum_error *error)
{
	enum hilum_status status;
	if (hl_is_model(path))
		status = hl_describe_model(path, output, plan, file, error);
	else if (plan)
		status = hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: plan: only a model has one", path);
	else
		status = hl_describe_scan(path, output, file, error);
	if (!status && ferror(file))
		status = hl_fail_errno(error, "writing the description");
	return status;
}

/* ---- layers ---- */

static const char *const kind_names[] = {
    [HILUM_OPTION_FLAG] = "flag", [HILUM_OPTION_INT] = "int",       [HILUM_OPTION_REAL] = "real",
    [HILUM_OPTION_TEXT] = "text", [HILUM_OPTION_CHOICE] = "choice", [HILUM_OPTION_SIZES] = "sizes"};

static bool is_ranged(const struct hilum_option *option)
{
	return (option->kind == HILUM_OPTION_INT || option->kind == HILUM_OPTION_REAL ||
	        option->kind == HILUM_OPTION_SIZES) &&
	       (option->minimum != 0 || option->maximum != 0);
}

static json_t *option_json(const struct hilum_option *option)
{
	json_t *object = json_pack("{s:s, s:s, s:s?, s:s}", "name", option->name, "kind", kind_names[option->kind],
	                           "default", option->initial, "help", option->help ? option->help : "");
	if (is_ranged(option)) {
		json_object_set_new(object, "minimum", json_real(option->minimum));
		json_object_set_new(object, "maximum", json_real(option->maximum));
	}
	if (option->kind == HILUM_OPTION_CHOICE) {
		json_t *choices = json_array();
		for (size_t i = 0; option->choices[i]; i++)
			json_array_append_new(choices, json_string(option->choices[i]));
		json_object_set_new(object, "choices", choices);
	}
	return object;
}

static json_t *ops_json(void)
{
	json_t *list = json_array();
	for (const struct hl_op *const *op = hl_ops; *op; op++) {
		json_t *options = json_array();
		for (const struct hilum_option *option = (*op)->options; option && option->name; option++)
			json_array_append_new(options, option_json(option));
		json_array_append_new(list, json_pack("{s:s, s:s?, s:s, s:[i,i], s:o}", "name", (*op)->name, "onnx",
		                                      (*op)->onnx, "help", (*op)->help ? (*op)->help : "", "inputs",
		                                      (*op)->inputs_min, (*op)->inputs_max, "options", options));
	}
	return json_pack("{s:o}", "ops", list);
}

static void print_option(const struct hilum_option *option, FILE *file)
{
	char range[160] = "";
	if (is_ranged(option))
		snprintf(range, sizeof(range), "%.10g to %.10g", option->minimum, option->maximum);
	else if (option->kind == HILUM_OPTION_FLAG)
		snprintf(range, sizeof(range), "true, false");
	for (size_t i = 0; option->kind == HILUM_OPTION_CHOICE && option->choices[i]; i++)
		snprintf(range + strlen(range), sizeof(range) - strlen(range), "%s%s", i ? ", " : "",
		         option->choices[i]);
	fprintf(file, "    %-10s %-6s %-20s %s%-8s %s\n", option->name, kind_names[option->kind], range,
	        option->initial ? "= " : "  ", option->initial ? option->initial : "",
	        option->help ? option->help : "");
}

static void print_ops(FILE *file)
{
	fputs("Layers of an architecture: NAME OPTION=VALUE ... (option, kind, range, = default, meaning)\n", file);
	for (const struct hl_op *const *op = hl_ops; *op; op++) {
		fprintf(file, "\n%s", (*op)->name);
		if ((*op)->onnx)
			fprintf(file, "  (ONNX %s)", (*op)->onnx);
		if ((*op)->inputs_max > 1)
			fprintf(file, "  from %d to %d inputs", (*op)->inputs_min, (*op)->inputs_max);
		fprintf(file, "\n    %s\n", (*op)->help ? (*op)->help : "");
		for (const struct hilum_option *option = (*op)->options; option && option->name; option++)
			print_option(option, file);
	}
}

enum hilum_status hilum_describe_ops(enum hilum_output output, FILE *file, struct hilum_error *error)
{
	if (output == HILUM_OUTPUT_JSON)
		return hl_put_json(file, ops_json(), error);
	print_ops(file);
	return ferror(file) ? hl_fail_errno(error, "writing the layers") : HILUM_OK;
}
