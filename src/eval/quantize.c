/* hilum_quantize: scales for int8, and what int8 costs on cases that they were not found on. */
#include "eval/cases.h"
#include "eval/json.h"
#include "eval/scores.h"

#include "base/log.h"
#include "base/memory.h"
#include "infer/precision.h"
#include "infer/predict.h"
#include "infer/quantize.h"
#include "model/quantization.h"

#include <math.h>
#include <string.h>

#define OPTION(member, kind_, ...)                                                                                     \
	{                                                                                                              \
		.name = #member, .kind = HILUM_OPTION_##kind_,                                                         \
		.offset = offsetof(struct hilum_quantize_options, member), __VA_ARGS__                                 \
	}

const struct hilum_option hilum_quantize_option_table[] = {
    OPTION(split, TEXT, .value = "PART",
           .help = "part that the ranges are found on: train, val or test of the split stored in the model, or all; by "
                   "default train on the data set that the model was trained on and all on any other"),
    OPTION(test, TEXT, .value = "PART",
           .help = "part that float32 and int8 are compared on; by default test, or all on any other data set"),
    OPTION(cases, INT, .minimum = 1, .maximum = 1048576, .initial = "256", .value = "N",
           .help = "cases that the ranges are found on at most, evenly taken from the part"),
    OPTION(groups, TEXT, .value = "CSV", .help = "table path,group (or path,patient): cases that belong together"),
    OPTION(positive, TEXT, .value = "A,B",
           .help = "classes merged into the positive one; by default as the model was trained"),
    OPTION(out, TEXT, .value = "FILE", .help = "write the model with its scales here instead of into MODEL"),
    OPTION(threads, INT, .minimum = 0, .maximum = 1024, .initial = "0", .value = "N",
           .help = "threads; 0 means the cores that are available"),
    {0},
};

static const char *part_name(const struct hl_cases *cases)
{
	return cases->part == HL_PART_NONE ? "all" : hl_part_names[cases->part];
}

static enum hilum_status open_cases(const struct hilum_model *model, const struct hilum_quantize_options *options,
                                    const char *split, enum hl_split_part own, struct hl_cases *out,
                                    struct hilum_error *error)
{
	const struct hl_cases_options choosing = {.data = options->data,
	                                          .split = split,
	                                          .groups = options->groups,
	                                          .positive = options->positive,
	                                          .own = own,
	                                          .or_all = true};
	return hl_cases_open(model, &choosing, out, error);
}

/* Into the model, for its use here; fitted is JSON. */
static enum hilum_status set(struct hilum_model *model, const struct hl_quant *quant, const char *fitted,
                             struct hilum_error *error)
{
	char *text = hl_quantization_print(model->graph, quant, fitted);
	if (!text)
		return hl_fail_memory(error, 4096, "JSON");
	hl_free(model->quantization);
	model->quantization = text;
	return HILUM_OK;
}

/* ---- ranges ---- */

static enum hilum_status fit(const struct hilum_model *model, const struct hilum_quantize_options *options,
                             struct hl_quant *quant, struct hilum_quantize_result *out, struct hilum_error *error)
{
	struct hl_cases cases = {0};
	enum hilum_status status = open_cases(model, options, options->split, HL_PART_TRAIN, &cases, error);
	if (status)
		return status;
	size_t most = (size_t)options->cases, count = cases.count < most ? cases.count : most;
	for (size_t i = 0; i < count; i++)
		cases.index[i] = cases.index[i * cases.count / count];
	snprintf(out->part, sizeof(out->part), "%s", part_name(&cases));
	status = hl_quantize_fit(model, cases.dataset, cases.index, count, (int32_t)options->threads, quant,
	                         &out->cases, error);
	hl_cases_free(&cases);
	return status;
}

/* ---- what it costs ---- */

static enum hilum_status score(const struct hilum_model *model, const struct hl_cases *cases, int32_t threads,
                               int precision, struct hl_predictions *predictions, struct hilum_quantize_result *out,
                               struct hilum_error *error)
{
	const struct hl_predict_options predicting = {.batch = 1, .threads = threads, .precision = precision};
	const struct hilum_score_options plain = {.by = HILUM_BY_CASE};
	struct hilum_scores *scores = NULL;
	int at = precision == HL_PRECISION_INT8;
	enum hilum_status status =
	    hl_predict(model, cases->dataset, cases->index, cases->count, &predicting, predictions, error);
	if (!status)
		status = hl_scores_from_predictions(cases->dataset, predictions, NULL, &plain, &scores, error);
	if (status)
		return status;
	out->auc[at] = hilum_scores_get(scores, "auc");
	out->log_loss[at] = hilum_scores_get(scores, "log_loss");
	out->accuracy[at] = hilum_scores_get(scores, "accuracy");
	hilum_scores_free(scores);
	return HILUM_OK;
}

static int32_t answer(const double *probability, int32_t classes)
{
	int32_t best = 0;
	if (classes == 2)
		return probability[1] >= 0.5;
	for (int32_t c = 1; c < classes; c++)
		if (probability[c] > probability[best])
			best = c;
	return best;
}

static void compare(const struct hl_predictions *a, const struct hl_predictions *b, struct hilum_quantize_result *out)
{
	size_t classes = (size_t)a->classes;
	out->test_cases = a->count;
	for (size_t i = 0; i < a->count; i++) {
		const double *p = a->probability + i * classes, *q = b->probability + i * classes;
		double apart = 0;
		for (size_t c = 0; c < classes; c++)
			apart = fmax(apart, fabs(p[c] - q[c]));
		out->largest = fmax(out->largest, apart);
		out->mean += apart / (double)a->count;
		out->changed += answer(p, a->classes) != answer(q, b->classes);
	}
}

static enum hilum_status measure(const struct hilum_model *model, const struct hilum_quantize_options *options,
                                 struct hilum_quantize_result *out, struct hilum_error *error)
{
	struct hl_cases cases = {0};
	struct hl_predictions plain = {0}, bytes = {0};
	enum hilum_status status = open_cases(model, options, options->test, HL_PART_TEST, &cases, error);
	if (status)
		return status;
	snprintf(out->test_part, sizeof(out->test_part), "%s", part_name(&cases));
	int32_t threads = (int32_t)options->threads;
	status = score(model, &cases, threads, HL_PRECISION_FP32, &plain, out, error);
	if (!status)
		status = score(model, &cases, threads, HL_PRECISION_INT8, &bytes, out, error);
	if (!status && plain.count != bytes.count)
		status = hl_fail(error, HILUM_ERROR_IO, "files changed while they were read");
	if (!status)
		compare(&plain, &bytes, out);
	if (!status && strcmp(out->part, out->test_part) == 0)
		hl_log(HILUM_LOG_WARNING, "float32 and int8 are compared on the cases that the ranges come from");
	hl_predictions_free(&plain);
	hl_predictions_free(&bytes);
	hl_cases_free(&cases);
	return status;
}

/* ---- keeping and telling ---- */

static json_t *pair(const double value[2])
{
	return json_pack("{s:o,s:o}", "fp32", hl_json_number(value[0]), "int8", hl_json_number(value[1]));
}

static char *figures(const struct hilum_quantize_result *result, bool published)
{
	json_t *root = json_pack(
	    "{s:s,s:I,s:s,s:I,s:o,s:o,s:o,s:f,s:f,s:I}", "part", result->part, "cases", (json_int_t)result->cases,
	    "test_part", result->test_part, "test_cases", (json_int_t)result->test_cases, "auc", pair(result->auc),
	    "log_loss", pair(result->log_loss), "accuracy", pair(result->accuracy), "largest_difference",
	    result->largest, "mean_difference", result->mean, "changed", (json_int_t)result->changed);
	if (root && published)
		json_object_set_new(root, "research_use_only", json_true());
	return hl_json_dump(root);
}

/* Written, read again and found to have the same weights and scales. */
static enum hilum_status keep(struct hilum_model *model, const struct hl_quant *quant,
                              const struct hilum_quantize_result *result, struct hilum_error *error)
{
	char before[17], after[17], *fitted = figures(result, false);
	struct hilum_model *again = NULL;
	enum hilum_status status = fitted ? set(model, quant, fitted, error) : hl_fail_memory(error, 4096, "JSON");
	hl_free(fitted);
	if (!status)
		status = hl_model_save(model, result->file, error);
	if (!status)
		status = hl_model_load(result->file, &again, error);
	if (status)
		return status;
	hl_model_hash(model, before);
	hl_model_hash(again, after);
	if (strcmp(before, after) != 0 || !again->quantization || strcmp(again->quantization, model->quantization) != 0)
		status = hl_fail(error, HILUM_ERROR_INTERNAL, "%s: not what was written", result->file);
	hilum_model_close(again);
	return status;
}

static enum hilum_status quantize(struct hilum_model *model, const struct hilum_quantize_options *options,
                                  struct hilum_quantize_result *out, struct hilum_error *error)
{
	struct hl_quant *quant = hl_alloc((size_t)model->graph->nodes, sizeof(*quant));
	if (!quant)
		return hl_fail_memory(error, (size_t)model->graph->nodes * sizeof(*quant), "int8 scales");
	enum hilum_status status = fit(model, options, quant, out, error);
	if (!status)
		status = set(model, quant, "{}", error);
	if (!status)
		status = measure(model, options, out, error);
	if (!status)
		status = keep(model, quant, out, error);
	hl_free(quant);
	return status;
}

enum hilum_status hilum_quantize(const char *path, const struct hilum_quantize_options *options,
                                 struct hilum_quantize_result *result, struct hilum_error *error)
{
	struct hilum_quantize_result made = {.cases = 0};
	struct hilum_model *model = NULL;
	if (options->cases < 1 || options->cases > 1048576)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "cases: %lld is not from 1 to 1048576",
		               (long long)options->cases);
	if (options->threads < 0 || options->threads > 1024)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "threads: %lld is not from 0 to 1024",
		               (long long)options->threads);
	enum hilum_status status = hl_model_file(path, options->out, made.file, sizeof(made.file), error);
	if (!status)
		status = hilum_model_open(path, &model, error);
	if (!status)
		status = quantize(model, options, &made, error);
	hilum_model_close(model);
	if (!status)
		*result = made;
	return status;
}

static void print_row(const char *name, const double value[2], FILE *file)
{
	fprintf(file, "  %-10s %10.4f %10.4f %+12.4f\n", name, value[0], value[1], value[1] - value[0]);
}

enum hilum_status hilum_quantize_print(const struct hilum_quantize_result *result, enum hilum_output output, FILE *file,
                                       struct hilum_error *error)
{
	if (output == HILUM_OUTPUT_JSON) {
		char *text = figures(result, true);
		if (!text)
			return hl_fail_memory(error, 4096, "JSON");
		fprintf(file, "%s\n", text);
		hl_free(text);
		return ferror(file) ? hl_fail_errno(error, "writing") : HILUM_OK;
	}
	fprintf(file, "Ranges from %zu cases, part: %s. Compared on %zu cases, part: %s.\n\n", result->cases,
	        result->part, result->test_cases, result->test_part);
	fprintf(file, "  %-10s %10s %10s %12s\n", "", "float32", "int8", "difference");
	print_row("ROC-AUC", result->auc, file);
	print_row("log loss", result->log_loss, file);
	print_row("accuracy", result->accuracy, file);
	fprintf(file,
	        "\nProbabilities differ by %.4f in the mean and %.4f at most; %zu of %zu cases get another class.\n"
	        "Research use only: not a medical device.\n",
	        result->mean, result->largest, result->changed, result->test_cases);
	return ferror(file) ? hl_fail_errno(error, "writing") : HILUM_OK;
}
