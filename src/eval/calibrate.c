/* hilum_calibrate: a model's probabilities fitted to cases that it was not trained on. */
#include "eval/cases.h"
#include "eval/json.h"
#include "eval/scores.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/loader.h"
#include "infer/predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const precisions[] = {"fp32", "bf16", NULL};
static const char *const methods[] = {"auto", "none", "temperature", "platt", "isotonic", NULL};

#define OPTION(member, kind_, ...)                                                                                     \
	{                                                                                                              \
		.name = #member, .kind = HILUM_OPTION_##kind_,                                                         \
		.offset = offsetof(struct hilum_calibrate_options, member), __VA_ARGS__                                \
	}

const struct hilum_option hilum_calibrate_option_table[] = {
    OPTION(method, CHOICE, .choices = methods, .initial = "auto",
           .help = "map of the probabilities; auto: the simplest that no other clearly beats in log loss, in "
                   "cross-validation by group; none removes it"),
    OPTION(conformal, REAL, .minimum = 0, .maximum = 0.5, .initial = "0", .value = "SHARE",
           .help = "also find the borders of low, uncertain and high, such that of each class at most this share is "
                   "called the other; 0: none"),
    OPTION(split, TEXT, .value = "PART",
           .help = "val, test or train of the split stored in the model, or all; by default val on the data set that "
                   "the model was trained on and all on any other"),
    OPTION(groups, TEXT, .value = "CSV", .help = "table path,group (or path,patient): cases that belong together"),
    OPTION(positive, TEXT, .value = "A,B",
           .help = "classes merged into the positive one; by default as the model was trained"),
    OPTION(out, TEXT, .value = "FILE", .help = "write the calibrated model here instead of into MODEL"),
    OPTION(threads, INT, .minimum = 0, .maximum = 1024, .initial = "0", .value = "N",
           .help = "threads; 0 means the cores that are available"),
    OPTION(precision, CHOICE, .choices = precisions, .initial = "fp32", .help = "arithmetic of the network"),
    OPTION(batch, INT, .minimum = 1, .maximum = 4096, .initial = "1", .value = "N", .help = "images a pass"),
    OPTION(seed, INT, .minimum = 0, .maximum = 9007199254740992, .initial = "1", .value = "N",
           .help = "of the folds behind auto and of the case drawn of each group"),
    {0},
};

/* What is fitted to. */
struct fit {
	const struct hl_table *table;
	struct hl_counting counting;
	struct hl_calibration calibration;
};

/* ---- fitting ---- */

static void count_zones(const struct fit *fit, struct hilum_calibrate_result *out)
{
	double *share[] = {[HILUM_ZONE_LOW] = &out->share_low,
	                   [HILUM_ZONE_UNCERTAIN] = &out->share_uncertain,
	                   [HILUM_ZONE_HIGH] = &out->share_high};
	for (size_t i = 0; i < fit->table->n; i++)
		*share[hl_calibration_zone(&fit->calibration, fit->table->probability[i])] += 1 / (double)fit->table->n;
}

static enum hilum_status fit_all(struct fit *fit, const struct hilum_calibrate_options *options,
                                 struct hilum_calibrate_result *out, struct hilum_error *error)
{
	double loss[HL_MAP_KINDS];
	enum hl_map_kind kind;
	size_t used[2] = {0, 0};
	uint64_t seed = (uint64_t)options->seed;
	enum hilum_status status = hl_calibration_try(fit->table, &fit->counting, seed, loss, &kind, error);
	if (status)
		return status;
	if (options->method != HILUM_CALIBRATION_AUTO)
		kind = (enum hl_map_kind)(options->method - HILUM_CALIBRATION_NONE);
	status = hl_calibration_fit(fit->table, kind, NULL, &fit->calibration, error);
	if (!status && options->conformal > 0)
		status = hl_conformal_fit(fit->table, &fit->counting, options->conformal, seed, &fit->calibration, used,
		                          error);
	if (status)
		return status;
	out->cases = fit->table->n;
	out->groups = fit->table->group ? fit->counting.groups : 0;
	out->method = (int)kind + HILUM_CALIBRATION_NONE;
	out->slope = fit->calibration.slope;
	out->intercept = fit->calibration.intercept;
	out->points = fit->calibration.knots;
	out->log_loss[HILUM_CALIBRATION_AUTO] = (double)NAN;
	memcpy(&out->log_loss[HILUM_CALIBRATION_NONE], loss, sizeof(loss));
	out->conformal = options->conformal;
	out->low_below = fit->calibration.low_below;
	out->high_above = fit->calibration.high_above;
	out->negatives = used[0];
	out->positives = used[1];
	if (fit->calibration.conformal)
		count_zones(fit, out);
	return HILUM_OK;
}

/* ---- keeping ---- */

static json_t *numbers(const double *value, size_t count)
{
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_real(value[i]));
	return array;
}

static json_t *map_json(const struct hl_calibration *calibration)
{
	const char *kind = hl_map_names[calibration->kind];
	if (calibration->kind == HL_MAP_ISOTONIC)
		return json_pack("{s:s,s:o,s:o}", "kind", kind, "from", numbers(calibration->from, calibration->knots),
		                 "to", numbers(calibration->to, calibration->knots));
	return json_pack("{s:s,s:f,s:f}", "kind", kind, "slope", calibration->slope, "intercept",
	                 calibration->intercept);
}

static json_t *conformal_json(const struct hilum_calibrate_result *result)
{
	if (!(result->conformal > 0))
		return json_null();
	return json_pack("{s:f,s:f,s:f,s:I,s:I}", "alpha", result->conformal, "low_below", result->low_below,
	                 "high_above", result->high_above, "negatives", (json_int_t)result->negatives, "positives",
	                 (json_int_t)result->positives);
}

static json_t *fitted_json(const struct hilum_calibrate_result *result)
{
	json_t *loss = json_object();
	for (int i = HILUM_CALIBRATION_NONE; i < HILUM_CALIBRATION_COUNT; i++)
		json_object_set_new(loss, methods[i], hl_json_number(result->log_loss[i]));
	return json_pack("{s:s,s:I,s:o,s:I,s:o}", "part", result->part, "cases", (json_int_t)result->cases, "groups",
	                 result->groups ? json_integer((json_int_t)result->groups) : json_null(), "unreadable",
	                 (json_int_t)result->unreadable, "cross_validated_log_loss", loss);
}

/* Into the model, which is written, read again and found to have the same weights. */
static enum hilum_status keep(struct hilum_model *model, const struct fit *fit, const struct hl_dataset *dataset,
                              const struct hilum_calibrate_result *result, struct hilum_error *error)
{
	char hash[65], before[17], after[17];
	struct hilum_model *again = NULL;
	hl_dataset_hash(dataset, hash);
	json_t *fitted = fitted_json(result), *root = NULL;
	if (fitted)
		json_object_set_new(fitted, "dataset", json_string(hash));
	root = json_pack("{s:o,s:o,s:o}", "map", map_json(&fit->calibration), "conformal", conformal_json(result),
	                 "fitted", fitted);
	hl_free(model->calibration);
	bool nothing = fit->calibration.kind == HL_MAP_NONE && !fit->calibration.conformal;
	model->calibration = hl_json_dump(root);
	if (!model->calibration)
		return hl_fail_memory(error, 4096, "JSON");
	if (nothing) {
		hl_free(model->calibration);
		model->calibration = NULL;
	}
	hl_model_hash(model, before);
	enum hilum_status status = hl_model_save(model, result->file, error);
	if (!status)
		status = hl_model_load(result->file, &again, error);
	if (status)
		return status;
	hl_model_hash(again, after);
	hilum_model_close(again);
	if (strcmp(before, after) != 0)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "%s: its weights changed when it was calibrated",
		               result->file);
	return HILUM_OK;
}

/* ---- all together ---- */

static void warn(const struct hl_cases *cases)
{
	if (cases->own && (cases->part == HL_PART_TRAIN || cases->part == HL_PART_NONE))
		hl_log(HILUM_LOG_WARNING,
		       "calibrated on cases that the model was trained on: it is surer of them than of "
		       "any others, and so will be the calibration");
	else if (cases->own && cases->part == HL_PART_TEST)
		hl_log(HILUM_LOG_WARNING, "calibrated on the test part, which is no test of this calibration any more");
}

static enum hilum_status calibrate(struct hilum_model *model, const struct hilum_calibrate_options *options,
                                   const struct hl_cases *cases, struct hilum_calibrate_result *result,
                                   struct hilum_error *error)
{
	const struct hl_predict_options predicting = {.batch = options->batch,
	                                              .threads = (int32_t)options->threads,
	                                              .precision = options->precision,
	                                              .raw = true};
	const struct hilum_score_options plain = {.by = HILUM_BY_CASE};
	struct hl_predictions predictions = {0};
	struct hilum_scores *scores = NULL;
	struct fit fit = {0};
	warn(cases);
	enum hilum_status status =
	    hl_predict(model, cases->dataset, cases->index, cases->count, &predicting, &predictions, error);
	if (!status)
		hl_loader_warn_narrow(predictions.narrow, predictions.count);
	if (!status)
		status = hl_scores_from_predictions(cases->dataset, &predictions, NULL, &plain, &scores, error);
	if (!status) {
		fit.table = &scores->table;
		status = hl_counting_create(fit.table, false, &fit.counting, error);
	}
	if (!status)
		status = fit_all(&fit, options, result, error);
	if (!status) {
		result->unreadable = predictions.unreadable;
		status = keep(model, &fit, cases->dataset, result, error);
	}
	hl_calibration_free(&fit.calibration);
	hl_counting_free(&fit.counting);
	hilum_scores_free(scores);
	hl_predictions_free(&predictions);
	return status;
}

static enum hilum_status check(const struct hilum_calibrate_options *options, struct hilum_error *error)
{
	if (options->method < 0 || options->method >= HILUM_CALIBRATION_COUNT)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "method: %d is none of the methods", options->method);
	if (!(options->conformal >= 0 && options->conformal <= 0.5))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "conformal: %g is not from 0 to 0.5", options->conformal);
	if (options->threads < 0 || options->threads > 1024)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "threads: %lld is not from 0 to 1024",
		               (long long)options->threads);
	return HILUM_OK;
}

enum hilum_status hilum_calibrate(const char *path, const struct hilum_calibrate_options *options,
                                  struct hilum_calibrate_result *result, struct hilum_error *error)
{
	const struct hl_cases_options choosing = {.data = options->data,
	                                          .split = options->split,
	                                          .groups = options->groups,
	                                          .positive = options->positive,
	                                          .own = HL_PART_VAL};
	struct hilum_calibrate_result made = {.method = HILUM_CALIBRATION_NONE};
	struct hilum_model *model = NULL;
	struct hl_cases cases = {0};
	enum hilum_status status = check(options, error);
	if (!status)
		status = hl_model_file(path, options->out, made.file, sizeof(made.file), error);
	if (!status)
		status = hilum_model_open(path, &model, error);
	if (!status)
		status = hl_cases_open(model, &choosing, &cases, error);
	if (!status) {
		snprintf(made.part, sizeof(made.part), "%s",
		         cases.part == HL_PART_NONE ? "all" : hl_part_names[cases.part]);
		status = calibrate(model, options, &cases, &made, error);
	}
	hl_cases_free(&cases);
	hilum_model_close(model);
	if (!status)
		*result = made;
	return status;
}

static void print_text(const struct hilum_calibrate_result *result, FILE *file)
{
	double before = result->log_loss[HILUM_CALIBRATION_NONE], after = result->log_loss[result->method];
	fprintf(file, "%zu cases, part: %s", result->cases, result->part);
	if (result->groups)
		fprintf(file, ", in %zu groups", result->groups);
	fputs("\n\nLog loss in cross-validation by group:\n", file);
	for (int i = HILUM_CALIBRATION_NONE; i < HILUM_CALIBRATION_COUNT; i++)
		if (!isnan(result->log_loss[i]))
			fprintf(file, "  %-12s %.4f%s\n", methods[i], result->log_loss[i],
			        i == result->method ? "  taken" : "");
	if (result->method == HILUM_CALIBRATION_TEMPERATURE)
		fprintf(file, "Temperature %.4f\n", 1 / result->slope);
	else if (result->method == HILUM_CALIBRATION_PLATT)
		fprintf(file, "Logit times %.4f, plus %.4f\n", result->slope, result->intercept);
	else if (result->method == HILUM_CALIBRATION_ISOTONIC)
		fprintf(file, "%zu points\n", result->points);
	if (after > before)
		fputs("That is worse than leaving the probabilities as they are.\n", file);
	if (!result->groups)
		fputs("No groups were given: every case is taken as independent.\n", file);
}

static void print_zone(const char *class_, const char *zone, double alpha, size_t count, FILE *file)
{
	fprintf(file, "Of %s cases at most %.3g %% are called %s", class_, 100 * alpha, zone);
	if (floor(alpha * ((double)count + 1)) < 1)
		fprintf(file, ": none, for %zu are too few to tell (%.0f would do)", count, ceil(1 / alpha - 1));
	fputs(".\n", file);
}

static void print_zones(const struct hilum_calibrate_result *result, FILE *file)
{
	if (!(result->conformal > 0))
		return;
	fprintf(file,
	        "\nZones by the network's own probability: low below %.4g, high above %.4g, uncertain otherwise.\n"
	        "Of these cases %.1f %% are low, %.1f %% uncertain, %.1f %% high.\n",
	        result->low_below, result->high_above, 100 * result->share_low, 100 * result->share_uncertain,
	        100 * result->share_high);
	print_zone("positive", "low", result->conformal, result->positives, file);
	print_zone("negative", "high", result->conformal, result->negatives, file);
	fprintf(file,
	        "This is guaranteed in the mean over sets such as this one (%zu negative and %zu positive\n"
	        "cases%s), for new patients of the same kind and scanners, and no others.\n",
	        result->negatives, result->positives,
	        result->groups ? ", one of each group" : ", taken as independent");
}

static char *print_json(const struct hilum_calibrate_result *result)
{
	json_t *root =
	    json_pack("{s:s,s:f,s:f,s:I,s:o,s:o,s:b}", "method", methods[result->method], "slope", result->slope,
	              "intercept", result->intercept, "points", (json_int_t)result->points, "fitted",
	              fitted_json(result), "conformal", conformal_json(result), "research_use_only", 1);
	if (root && result->conformal > 0)
		json_object_set_new(root, "shares",
		                    json_pack("{s:f,s:f,s:f}", "low", result->share_low, "uncertain",
		                              result->share_uncertain, "high", result->share_high));
	return hl_json_dump(root);
}

enum hilum_status hilum_calibrate_print(const struct hilum_calibrate_result *result, enum hilum_output output,
                                        FILE *file, struct hilum_error *error)
{
	if (output == HILUM_OUTPUT_JSON) {
		char *text = print_json(result);
		if (!text)
			return hl_fail_memory(error, 4096, "JSON");
		fprintf(file, "%s\n", text);
		hl_free(text);
	} else {
		print_text(result, file);
		print_zones(result, file);
		fputs("Research use only: not a medical device.\n", file);
	}
	return ferror(file) ? hl_fail_errno(error, "writing a calibration") : HILUM_OK;
}
