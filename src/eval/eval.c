/* hilum_eval: a model on a data set. */
#include "eval/cases.h"
#include "eval/scores.h"

#include "base/memory.h"
#include "data/loader.h"
#include "infer/precision.h"
#include "infer/predict.h"

#include <jansson.h>

#define OPTION(member, name_, kind_, ...)                                                                              \
	{                                                                                                              \
		.name = (name_), .kind = HILUM_OPTION_##kind_, .offset = offsetof(struct hilum_eval_options, member),  \
		__VA_ARGS__                                                                                            \
	}

const struct hilum_option hilum_eval_option_table[] = {
    OPTION(split, "split", TEXT, .value = "PART",
           .help = "train, val or test of the split stored in the model, or all; by default test on the data set "
                   "that the model was trained on and all on any other"),
    OPTION(groups, "groups", TEXT, .value = "CSV",
           .help = "table path,group (or path,patient): cases that belong together"),
    OPTION(positive, "positive", TEXT, .value = "A,B",
           .help = "classes merged into the positive one; by default as the model was trained"),
    OPTION(predictions, "predictions", TEXT, .value = "OUT.csv",
           .help = "write every case with its label and probabilities here"),
    OPTION(threads, "threads", INT, .minimum = 0, .maximum = 1024, .initial = "0", .value = "N",
           .help = "threads; 0 means the cores that are available"),
    OPTION(precision, "precision", CHOICE, .choices = hl_precision_names, .initial = "fp32",
           .help = "arithmetic of the network; fp32-strict: fp32 as it is, also where there is AMX"),
    OPTION(batch, "batch", INT, .minimum = 1, .maximum = 4096, .initial = "1", .value = "N",
           .help = "images a pass; more may be faster, but only 1 gives the very bits of hilum predict"),
    OPTION(tta, "tta", FLAG, .help = "answer every picture as it is and mirrored, and take the mean"),
    HL_SCORE_OPTIONS(scoring.),
    {0},
};

/* ---- groups ---- */

/* Of the ways to make a group's probabilities one, that with the largest ROC-AUC on the validation part: the first on
 * ties. Left as it is where there is no such part or area. */
static enum hilum_status choose_aggregate(const struct hilum_model *model, const struct hl_dataset *dataset,
                                          const struct hl_predict_options *predicting,
                                          struct hilum_score_options *scoring, struct hilum_error *error)
{
	struct hl_predictions predictions = {0};
	size_t count = 0;
	uint32_t *cases = hl_dataset_select(dataset, HL_PART_VAL, &count);
	if (!cases)
		return hl_fail_memory(error, dataset->count * sizeof(*cases), "the cases");
	enum hilum_status status =
	    count ? hl_predict(model, dataset, cases, count, predicting, &predictions, error) : HILUM_OK;
	double best = -1;
	for (int how = HILUM_AGGREGATE_MEAN; how <= HILUM_AGGREGATE_NOISY_OR && count && !status; how++) {
		const struct hilum_score_options trial = {.by = HILUM_BY_GROUP, .aggregate = how};
		struct hilum_scores *scores = NULL;
		status = hl_scores_from_predictions(dataset, &predictions, "val", &trial, &scores, error);
		if (!status && scores->metrics.auc > best) {
			best = scores->metrics.auc;
			scoring->aggregate = how;
		}
		hilum_scores_free(scores);
	}
	hl_predictions_free(&predictions);
	hl_free(cases);
	return status;
}

/* Cases, however they are scored. */
static enum hilum_status write_cases(const struct hl_dataset *dataset, const struct hl_predictions *predictions,
                                     const char *path, struct hilum_error *error)
{
	const struct hilum_score_options plain = {.by = HILUM_BY_CASE};
	struct hilum_scores *scores = NULL;
	enum hilum_status status = hl_scores_from_predictions(dataset, predictions, NULL, &plain, &scores, error);
	if (!status)
		status = hl_scores_write_predictions(scores, path, error);
	hilum_scores_free(scores);
	return status;
}

/* As training wrote it into the model. */
static int64_t count_leaks(const struct hilum_model *model)
{
	json_t *root = model->provenance ? json_loads(model->provenance, 0, NULL) : NULL;
	int64_t leaks = json_integer_value(json_object_get(root, "leaks"));
	json_decref(root);
	return leaks > 0 ? leaks : 0;
}

/* ---- all together ---- */

static enum hilum_status eval(const struct hilum_model *model, const struct hilum_eval_options *options,
                              const struct hl_cases *cases, struct hilum_scores **out, struct hilum_error *error)
{
	const struct hl_dataset *dataset = cases->dataset;
	const struct hl_predict_options predicting = {.batch = options->batch,
	                                              .threads = (int32_t)options->threads,
	                                              .precision = options->precision,
	                                              .mirror = options->tta};
	struct hilum_score_options scoring = options->scoring;
	struct hl_predictions predictions = {0};
	struct hilum_scores *scores = NULL;
	bool choosing = scoring.by == HILUM_BY_GROUP && scoring.aggregate == HILUM_AGGREGATE_AUTO &&
	                cases->part == HL_PART_TEST && dataset->grouped && model->class_count == 2;
	enum hilum_status status =
	    hl_predict(model, dataset, cases->index, cases->count, &predicting, &predictions, error);
	if (!status)
		hl_loader_warn_narrow(predictions.narrow, predictions.count);
	if (!status && choosing)
		status = choose_aggregate(model, dataset, &predicting, &scoring, error);
	if (!status)
		status = hl_scores_from_predictions(dataset, &predictions,
		                                    cases->part == HL_PART_NONE ? "all" : hl_part_names[cases->part],
		                                    &scoring, &scores, error);
	if (!status)
		scores->leaks = count_leaks(model);
	if (!status)
		scores->chosen_on_validation = choosing && scoring.aggregate != HILUM_AGGREGATE_AUTO;
	if (!status && options->predictions)
		status = write_cases(dataset, &predictions, options->predictions, error);
	hl_predictions_free(&predictions);
	if (status)
		hilum_scores_free(scores);
	else
		*out = scores;
	return status;
}

enum hilum_status hilum_eval(const struct hilum_model *model, const struct hilum_eval_options *options,
                             struct hilum_scores **out, struct hilum_error *error)
{
	const struct hl_cases_options choosing = {.data = options->data,
	                                          .split = options->split,
	                                          .groups = options->groups,
	                                          .positive = options->positive,
	                                          .own = HL_PART_TEST,
	                                          .or_all = true};
	struct hl_cases cases;
	if (options->threads < 0 || options->threads > 1024)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "threads: %lld is not from 0 to 1024",
		               (long long)options->threads);
	enum hilum_status status = hl_cases_open(model, &choosing, &cases, error);
	if (status)
		return status;
	status = eval(model, options, &cases, out, error);
	hl_cases_free(&cases);
	return status;
}
