/* One fold: trained by hilum_train in a folder of its own, tested, and its threshold chosen on the validation part,
 * which like the test part of another fold takes no part in this one's weights. */
#include "base/csv.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/split.h"
#include "eval/scores.h"
#include "infer/predict.h"
#include "train/crossval.h"
#include "train/options.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DONE "fold.json" /* the last thing written */
#define DONE_MAX ((size_t)1 << 20)
#define PREDICTIONS "predictions.csv"

static const struct hilum_score_options plain = {.by = HILUM_BY_CASE};

/* ---- where and how ---- */

struct place {
	char folder[HL_RUN_PATH_MAX], folds[HL_RUN_PATH_MAX], column[32];
	char done[HL_RUN_PATH_MAX + 16], predictions[HL_RUN_PATH_MAX + 32];
};

static enum hilum_status find_place(const struct hl_fold_work *work, struct place *out, struct hilum_error *error)
{
	const struct hilum_crossval *crossval = work->crossval;
	char repeat[32] = "", seed[32] = "", name[128];
	if (crossval->folds.repeats > 1)
		snprintf(repeat, sizeof(repeat), "repeat-%d/", work->repeat + 1);
	long long number = crossval->options.train.seed + work->seed;
	if (crossval->options.seeds > 1)
		snprintf(seed, sizeof(seed), "/seed-%lld", number);
	snprintf(name, sizeof(name), "%sfold-%d%s", repeat, work->number, seed);
	enum hilum_status status = hl_run_path(&crossval->run, name, out->folder, error);
	if (!status)
		status = hl_run_path(&crossval->run, "folds.csv", out->folds, error);
	hl_folds_column(&crossval->folds, work->repeat, out->column);
	snprintf(out->done, sizeof(out->done), "%s/%s", out->folder, DONE);
	snprintf(out->predictions, sizeof(out->predictions), "%s/%s", out->folder, PREDICTIONS);
	return status;
}

static struct hilum_train_options training_options(const struct hl_fold_work *work, const struct place *place)
{
	const struct hilum_crossval *crossval = work->crossval;
	struct hilum_train_options options = crossval->options.train;
	if (crossval->data) {
		options.data = crossval->data;
		options.groups = NULL;        /* they stand in its manifest */
		options.allow_leakage = true; /* blanked pictures are alike */
	}
	options.out = place->folder;
	options.folds = place->folds;
	options.fold_column = place->column;
	options.fold = work->number;
	options.seed += work->seed;
	options.resume = crossval->options.train.resume && hl_path_exists(place->folder);
	options.shuffle_labels = options.shuffle_labels || crossval->options.control == HILUM_CONTROL_SHUFFLED_LABELS;
	return options;
}

/* ---- the threshold ---- */

struct called {
	double probability;
	int32_t label;
};

static int rising(const void *a, const void *b)
{
	double x = ((const struct called *)a)->probability, y = ((const struct called *)b)->probability;
	return (x > y) - (x < y);
}

/* Where sensitivity and specificity sum to most (Youden 1950), halfway between the probabilities beside it: the first
 * of equals. NaN with one class only. */
static double best_threshold(struct called *cases, size_t n)
{
	int64_t positives = 0, below[2] = {0, 0};
	double best = -1, threshold = (double)NAN;
	for (size_t i = 0; i < n; i++)
		positives += cases[i].label == 1;
	double negatives = (double)((int64_t)n - positives);
	if (positives == 0 || negatives == 0)
		return threshold;
	qsort(cases, n, sizeof(*cases), rising);
	for (size_t i = 0; i <= n; i++) {
		if (i == 0 || i == n || cases[i].probability > cases[i - 1].probability) {
			double low = i > 0 ? cases[i - 1].probability : 0, high = i < n ? cases[i].probability : 1;
			double sum = (double)(positives - below[1]) / (double)positives + (double)below[0] / negatives;
			if (sum > best + 1e-12) {
				best = sum;
				threshold = i == 0 ? high : low + (high - low) / 2;
			}
		}
		if (i < n)
			below[cases[i].label == 1]++;
	}
	return threshold;
}

static enum hilum_status choose_threshold(const struct hl_dataset *dataset, const struct hl_predictions *predictions,
                                          double *out, struct hilum_error *error)
{
	struct called *cases = hl_alloc(predictions->count, sizeof(*cases));
	if (!cases)
		return hl_fail_memory(error, predictions->count * sizeof(*cases), "the validation part");
	for (size_t i = 0; i < predictions->count; i++)
		cases[i] =
		    (struct called){predictions->probability[2 * i + 1], dataset->cases[predictions->index[i]].label};
	*out = best_threshold(cases, predictions->count);
	hl_free(cases);
	return HILUM_OK;
}

/* ---- after training ---- */

static enum hilum_status predict_part(const struct hl_fold_work *work, const struct hilum_model *model,
                                      enum hl_split_part part, struct hl_predictions *out, struct hilum_error *error)
{
	const struct hilum_crossval *crossval = work->crossval;
	const struct hl_predict_options how = {.batch = 1,
	                                       .threads = (int32_t)crossval->options.train.threads,
	                                       .stop = work->events ? work->events->stop : NULL,
	                                       .mirror = crossval->options.tta};
	size_t count;
	uint32_t *cases = hl_dataset_select(crossval->dataset, part, &count);
	if (!cases)
		return hl_fail_memory(error, crossval->dataset->count * sizeof(*cases), "the cases");
	enum hilum_status status =
	    count ? hl_predict(model, crossval->dataset, cases, count, &how, out, error) : HILUM_OK;
	hl_free(cases);
	return status;
}

/* The model kept: its answers mirrored too where that was asked for, and the threshold. Labels that were shuffled
 * stand in no data set, so that none is chosen then. */
static enum hilum_status use_model(const struct hl_fold_work *work, const struct hilum_train_options *options,
                                   struct hl_fold *fold, struct hilum_error *error)
{
	struct hl_dataset *dataset = work->crossval->dataset;
	bool last = options->keep && strcmp(options->keep, "last") == 0, shuffled = options->shuffle_labels;
	char *path = hl_path_join(options->out, last ? HL_RUN_LAST : HL_RUN_BEST);
	struct hilum_model *model = NULL;
	struct hl_predictions test = {0}, validation = {0};
	if (!path)
		return hl_fail_memory(error, strlen(options->out), "a path");
	enum hilum_status status = hl_model_load(path, &model, error);
	hl_free(path);
	if (!status)
		status = hl_split_apply(dataset, model->split, error);
	if (!status && dataset->class_count == 2 && !shuffled)
		status = predict_part(work, model, HL_PART_VAL, &validation, error);
	if (!status && validation.count > 0)
		status = choose_threshold(dataset, &validation, &fold->threshold, error);
	if (!status && work->crossval->options.tta && !shuffled)
		status = predict_part(work, model, HL_PART_TEST, &test, error);
	if (!status && test.count > 0) {
		hilum_scores_free(fold->scores);
		fold->scores = NULL;
		status = hl_scores_from_predictions(dataset, &test, "test", &plain, &fold->scores, error);
	}
	hl_predictions_free(&test);
	hl_predictions_free(&validation);
	hilum_model_close(model);
	return status;
}

static enum hilum_status write_done(const struct place *place, const struct hl_fold *fold, const char *options,
                                    const struct hilum_train_result *result, bool tta, struct hilum_error *error)
{
	json_t *root = json_pack("{s:s, s:s, s:I, s:b, s:o}", "options", options, "weights", result->weights_hash,
	                         "epochs", (json_int_t)result->epochs_done, "tta", (int)tta, "threshold",
	                         isnan(fold->threshold) ? json_null() : json_real(fold->threshold));
	char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
	json_decref(root);
	if (!text)
		return hl_fail_memory(error, DONE_MAX, "a fold's record");
	enum hilum_status status = hl_file_write(place->done, &(struct hl_part){text, strlen(text)}, 1, error);
	free(text);
	return status;
}

static enum hilum_status train(const struct hl_fold_work *work, const struct hilum_train_options *options,
                               const struct place *place, const char *as_json, struct hl_fold *fold,
                               struct hilum_error *error)
{
	struct hilum_train_result result = {.run = ""};
	enum hilum_status status = hilum_train(options, work->events, &result, error);
	fold->scores = result.test;
	if (!status && !fold->scores)
		status = hl_fail(error, HILUM_ERROR_INTERNAL, "%s: nothing was tested", place->folder);
	if (!status)
		status = use_model(work, options, fold, error);
	if (!status)
		status = hl_scores_write_predictions(fold->scores, place->predictions, error);
	if (!status)
		status = write_done(place, fold, as_json, &result, work->crossval->options.tta, error);
	return status;
}

/* ---- what an earlier sitting left ---- */

static enum hilum_status recall(const struct hl_fold_work *work, const struct place *place, const char *as_json,
                                struct hl_fold *fold, struct hilum_error *error)
{
	struct hl_buffer file;
	enum hilum_status status = hl_file_read(place->done, DONE_MAX, &file, error);
	if (status)
		return status;
	json_t *root = json_loadb(file.data, file.length, 0, NULL);
	const char *options = json_string_value(json_object_get(root, "options"));
	json_t *threshold = json_object_get(root, "threshold");
	if (!options || !(json_is_null(threshold) || json_is_real(threshold)))
		status = hl_fail(error, HILUM_ERROR_FORMAT, "%s is damaged", place->done);
	else if (strcmp(options, as_json) != 0 ||
	         json_is_true(json_object_get(root, "tta")) != work->crossval->options.tta)
		status =
		    hl_fail(error, HILUM_ERROR_ARGUMENT,
		            "%s was trained with other options; give the same ones or another --out", place->folder);
	else if (json_is_real(threshold))
		fold->threshold = json_real_value(threshold);
	json_decref(root);
	hl_buffer_free(&file);
	if (!status)
		status = hilum_score_file(place->predictions, &plain, &fold->scores, error);
	return status;
}

enum hilum_status hl_fold_run(const struct hl_fold_work *work, struct hl_fold *out, struct hilum_error *error)
{
	struct hl_fold fold = {.repeat = work->repeat, .number = work->number, .threshold = (double)NAN};
	struct place place;
	char *as_json = NULL;
	enum hilum_status status = find_place(work, &place, error);
	if (status)
		return status;
	const struct hilum_train_options options = training_options(work, &place);
	status = hl_train_options_json(&options, &as_json, error);
	if (!status && hl_path_exists(place.done))
		status = recall(work, &place, as_json, &fold, error);
	else if (!status)
		status = train(work, &options, &place, as_json, &fold, error);
	hl_free(as_json);
	if (status)
		hilum_scores_free(fold.scores);
	else
		*out = fold;
	return status;
}
