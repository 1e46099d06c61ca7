/* hilum_robustness: the same cases answered again, each with a flaw. */
#include "eval/robustness.h"

#include "base/file.h"
#include "base/memory.h"
#include "eval/cases.h"
#include "eval/json.h"
#include "eval/print.h"
#include "infer/precision.h"
#include "infer/predict.h"

#include <math.h>
#include <string.h>

#define OPTION(member, name_, kind_, ...)                                                                              \
	{                                                                                                              \
		.name = (name_), .kind = HILUM_OPTION_##kind_,                                                         \
		.offset = offsetof(struct hilum_robustness_options, member), __VA_ARGS__                               \
	}

const struct hilum_option hilum_robustness_option_table[] = {
    OPTION(split, "split", TEXT, .value = "PART",
           .help = "train, val or test of the split stored in the model, or all; by default test on the data set "
                   "that the model was trained on and all on any other"),
    OPTION(groups, "groups", TEXT, .value = "CSV",
           .help = "table path,group (or path,patient): cases that belong together"),
    OPTION(positive, "positive", TEXT, .value = "A,B",
           .help = "classes merged into the positive one; by default as the model was trained"),
    OPTION(out, "out", TEXT, .value = "FILE",
           .help = "also write the JSON here; by default into the run folder, if MODEL is one, where hilum report "
                   "finds it"),
    OPTION(threads, "threads", INT, .minimum = 0, .maximum = 1024, .initial = "0", .value = "N",
           .help = "threads; 0 means the cores that are available"),
    OPTION(precision, "precision", CHOICE, .choices = hl_precision_names, .initial = "fp32",
           .help = "arithmetic of the network"),
    OPTION(batch, "batch", INT, .minimum = 1, .maximum = 4096, .initial = "1", .value = "N", .help = "images a pass"),
    OPTION(resamples, "resamples", INT, .minimum = 100, .maximum = HL_RESAMPLES_MOST, .initial = "2000", .value = "N",
           .help = "draws of groups behind the 95 % intervals"),
    OPTION(seed, "seed", INT, .minimum = 0, .maximum = 9007199254740992, .initial = "1", .value = "N",
           .help = "of those draws"),
    {0},
};

/* From what another scanner may do to what nobody would send. */
static const struct hl_flaw flaws[] = {
    {HL_FLAW_NOISE, 0.02},     {HL_FLAW_NOISE, 0.05},     {HL_FLAW_NOISE, 0.1},       {HL_FLAW_BLUR, 0.5},
    {HL_FLAW_BLUR, 1},         {HL_FLAW_BLUR, 2},         {HL_FLAW_BRIGHTNESS, -0.2}, {HL_FLAW_BRIGHTNESS, -0.1},
    {HL_FLAW_BRIGHTNESS, 0.1}, {HL_FLAW_BRIGHTNESS, 0.2}, {HL_FLAW_SHIFT, 0.02},      {HL_FLAW_SHIFT, 0.05},
    {HL_FLAW_SHIFT, 0.1},      {HL_FLAW_JPEG, 75},        {HL_FLAW_JPEG, 50},         {HL_FLAW_JPEG, 25},
    {HL_FLAW_JPEG, 10},
};
#define FLAWS (sizeof(flaws) / sizeof(flaws[0]))

struct work {
	const struct hilum_model *model;
	const struct hilum_robustness_options *options;
	const struct hilum_audit_events *events;
	const struct hl_cases *cases;
	struct hilum_score_options scoring;
};

static enum hilum_status answer(const struct work *work, const struct hl_flaw *flaw, bool scored,
                                struct hl_predictions *predictions, struct hilum_scores **scores,
                                struct hilum_error *error)
{
	const struct hilum_robustness_options *options = work->options;
	const struct hl_predict_options predicting = {.batch = options->batch,
	                                              .threads = (int32_t)options->threads,
	                                              .precision = options->precision,
	                                              .flaw = flaw,
	                                              .stop = work->events->stop};
	struct hilum_score_options scoring = work->scoring;
	scoring.resamples = scored ? scoring.resamples : 0; /* of differences only */
	enum hilum_status status = hl_predict(work->model, work->cases->dataset, work->cases->index, work->cases->count,
	                                      &predicting, predictions, error);
	if (!status)
		status = hl_scores_from_predictions(work->cases->dataset, predictions, NULL, &scoring, scores, error);
	if (status)
		hl_predictions_free(predictions);
	return status;
}

static void compare_answers(const struct hl_table *plain, const struct hl_table *spoilt, struct hl_robustness_row *row)
{
	for (size_t i = 0; i < plain->n; i++) {
		double apart = 0;
		for (int32_t c = 0; c < plain->classes; c++)
			apart =
			    fmax(apart, fabs(hl_table_probability(plain, i, c) - hl_table_probability(spoilt, i, c)));
		row->moved += apart / (double)plain->n;
		row->changed += hl_table_predicted(plain, i) != hl_table_predicted(spoilt, i);
	}
}

static enum hilum_status measure_flaw(const struct work *work, const struct hl_flaw *flaw,
                                      const struct hilum_scores *plain, struct hl_robustness_row *row,
                                      struct hilum_error *error)
{
	struct hl_predictions predictions = {0};
	struct hilum_scores *scores = NULL;
	struct hilum_comparison *comparison = NULL;
	enum hilum_status status = answer(work, flaw, false, &predictions, &scores, error);
	if (status)
		return status;
	if (scores->table.n != plain->table.n)
		status = hl_fail(error, HILUM_ERROR_IO, "files changed while they were read");
	if (!status)
		status = hilum_compare(scores, plain, &work->scoring, &comparison, error);
	row->flaw = *flaw;
	for (int i = 0; i < HL_FIGURES && !status; i++) {
		row->figure[i] = comparison->figure[0][i];
		row->difference[i] = comparison->figure[0][i] - comparison->figure[1][i];
		row->interval[i] = comparison->interval[i];
	}
	if (!status)
		compare_answers(&plain->table, &scores->table, row);
	hilum_comparison_free(comparison);
	hilum_scores_free(scores);
	hl_predictions_free(&predictions);
	return status;
}

static enum hilum_status measure(const struct work *work, struct hilum_robustness *out, struct hilum_error *error)
{
	struct hl_predictions predictions = {0};
	struct hilum_scores *plain = NULL;
	enum hilum_status status = answer(work, NULL, true, &predictions, &plain, error);
	if (status)
		return status;
	out->cases = plain->metrics.n;
	out->groups = plain->groups;
	out->resamples = plain->resamples;
	for (int i = 0; i < HL_FIGURES; i++) {
		out->figure[i] = hl_figure_get(&plain->metrics, hl_figures[i].offset);
		out->interval[i] = plain->interval[i];
	}
	for (; out->rows < FLAWS && !status; out->rows++) {
		if (work->events->progress)
			work->events->progress(work->events->context, "measuring", (int64_t)out->rows + 1, FLAWS);
		status = measure_flaw(work, &flaws[out->rows], plain, &out->row[out->rows], error);
	}
	hilum_scores_free(plain);
	hl_predictions_free(&predictions);
	return status;
}

/* ---- telling ---- */

static json_t *figures(const double *value, const char *name, const struct hl_interval *interval)
{
	json_t *root = json_object();
	char key[64];
	for (int i = 0; i < HL_FIGURES; i++) {
		if (hl_figures[i].sought || hl_figures[i].of_prevalence)
			continue;
		json_object_set_new(root, hl_figures[i].name, hl_json_number(value[i]));
		snprintf(key, sizeof(key), "%s%s", hl_figures[i].name, name);
		json_object_set_new(root, key, hl_json_interval(interval[i]));
	}
	return root;
}

static json_t *tell(const struct hilum_robustness *robustness)
{
	json_t *rows = json_array();
	for (size_t i = 0; i < robustness->rows; i++) {
		const struct hl_robustness_row *row = &robustness->row[i];
		const struct hl_flaw_name *name = &hl_flaw_names[row->flaw.kind];
		json_t *one =
		    json_pack("{s:s,s:f,s:s,s:f,s:I}", "flaw", name->name, "strength", row->flaw.strength, "unit",
		              name->unit, "mean_change", row->moved, "changed", (json_int_t)row->changed);
		json_t *scores = figures(row->figure, "_difference_interval", row->interval);
		json_object_update(one, scores);
		json_decref(scores);
		json_array_append_new(rows, one);
	}
	return json_pack("{s:s,s:s,s:I,s:o,s:o,s:o,s:b}", "kind", "robustness", "part", robustness->part, "cases",
	                 (json_int_t)robustness->cases, "intervals",
	                 hl_json_resampling(robustness->resamples, robustness->groups), "as_they_are",
	                 figures(robustness->figure, "_interval", robustness->interval), "flaws", rows,
	                 "research_use_only", 1);
}

void hl_flaw_print(const struct hl_flaw *flaw, char text[HL_FLAW_TEXT])
{
	switch (flaw->kind) {
	case HL_FLAW_BLUR:
		snprintf(text, HL_FLAW_TEXT, "blur, %g pixel%s", flaw->strength, flaw->strength == 1 ? "" : "s");
		break;
	case HL_FLAW_JPEG:
		snprintf(text, HL_FLAW_TEXT, "JPEG, quality %g", flaw->strength);
		break;
	case HL_FLAW_BRIGHTNESS:
		snprintf(text, HL_FLAW_TEXT, "brightness %+g %%", 100 * flaw->strength);
		break;
	default:
		snprintf(text, HL_FLAW_TEXT, "%s, %g %%", hl_flaw_names[flaw->kind].name, 100 * flaw->strength);
	}
}

static void print_text(const struct hilum_robustness *robustness, FILE *file)
{
	fprintf(file, "%zu cases, part: %s", robustness->cases, robustness->part);
	if (robustness->groups)
		fprintf(file, ", in %zu groups", robustness->groups);
	fprintf(file,
	        ". Differences are to pictures as they are, with their 95 %% intervals.\n\n%-20s%9s%27s%10s%10s%16s\n",
	        "", "ROC-AUC", "difference", "accuracy", "log loss", "other class");
	fprintf(file, "%-20s%9.4f%27s%10.4f%10.4f\n", "as they are", robustness->figure[HL_AUC], "",
	        robustness->figure[HL_ACCURACY], robustness->figure[HL_LOG_LOSS]);
	for (size_t i = 0; i < robustness->rows; i++) {
		const struct hl_robustness_row *row = &robustness->row[i];
		char text[HL_FLAW_TEXT], range[64];
		hl_flaw_print(&row->flaw, text);
		snprintf(range, sizeof(range), "%+.3f [%+.3f, %+.3f]", row->difference[HL_AUC],
		         row->interval[HL_AUC].low, row->interval[HL_AUC].high);
		fprintf(file, "%-20s%9.4f%27s%10.4f%10.4f%9zu, %4.1f %%\n", text, row->figure[HL_AUC], range,
		        row->figure[HL_ACCURACY], row->figure[HL_LOG_LOSS], row->changed,
		        100 * (double)row->changed / (double)robustness->cases);
	}
	fputs("\nFlaws are put into pictures as the network sees them, one at a time; scanners differ in more than "
	      "that.\n"
	      "Research use only: not a medical device.\n",
	      file);
}

enum hilum_status hilum_robustness_print(const struct hilum_robustness *robustness, enum hilum_output output,
                                         FILE *file, struct hilum_error *error)
{
	if (output == HILUM_OUTPUT_JSON) {
		char *text = hl_json_dump(tell(robustness));
		if (!text)
			return hl_fail_memory(error, 4096, "JSON");
		fprintf(file, "%s\n", text);
		hl_free(text);
	} else {
		print_text(robustness, file);
	}
	return ferror(file) ? hl_fail_errno(error, "writing") : HILUM_OK;
}

/* ---- all together ---- */

static enum hilum_status keep(const struct hilum_robustness *robustness, const char *path, const char *out,
                              struct hilum_error *error)
{
	char *joined = !out && hl_path_is_directory(path) ? hl_path_join(path, HL_ROBUSTNESS_FILE) : NULL;
	const char *to = out ? out : joined;
	if (!to)
		return HILUM_OK;
	char *text = hl_json_dump(tell(robustness));
	enum hilum_status status = text ? hl_file_write(to, &(struct hl_part){text, strlen(text)}, 1, error)
	                                : hl_fail_memory(error, 4096, "JSON");
	hl_free(text);
	hl_free(joined);
	return status;
}

static enum hilum_status open_and_measure(const struct hilum_model *model,
                                          const struct hilum_robustness_options *options,
                                          const struct hilum_audit_events *events, struct hilum_robustness *out,
                                          struct hilum_error *error)
{
	const struct hl_cases_options choosing = {.data = options->data,
	                                          .split = options->split,
	                                          .groups = options->groups,
	                                          .positive = options->positive,
	                                          .own = HL_PART_TEST,
	                                          .or_all = true};
	struct hl_cases cases;
	struct work work = {.model = model, .options = options, .events = events, .cases = &cases};
	hilum_options_init(hilum_score_option_table, &work.scoring);
	work.scoring.resamples = options->resamples;
	work.scoring.seed = options->seed;
	enum hilum_status status = hl_cases_open(model, &choosing, &cases, error);
	if (status)
		return status;
	snprintf(out->part, sizeof(out->part), "%s", cases.part == HL_PART_NONE ? "all" : hl_part_names[cases.part]);
	status = measure(&work, out, error);
	hl_cases_free(&cases);
	return status;
}

enum hilum_status hilum_robustness(const char *path, const struct hilum_robustness_options *options,
                                   const struct hilum_audit_events *events, struct hilum_robustness **out,
                                   struct hilum_error *error)
{
	static const struct hilum_audit_events none = {.stop = NULL};
	struct hilum_model *model = NULL;
	if (options->threads < 0 || options->threads > 1024)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "threads: %lld is not from 0 to 1024",
		               (long long)options->threads);
	struct hilum_robustness *made = hl_alloc(1, sizeof(*made));
	if (made)
		made->row = hl_alloc(FLAWS, sizeof(*made->row));
	enum hilum_status status =
	    made && made->row ? HILUM_OK : hl_fail_memory(error, FLAWS * sizeof(*made->row), "robustness");
	if (!status)
		status = hilum_model_open(path, &model, error);
	if (!status)
		status = open_and_measure(model, options, events ? events : &none, made, error);
	hilum_model_close(model);
	if (!status)
		status = keep(made, path, options->out, error);
	if (status)
		hilum_robustness_free(made);
	else
		*out = made;
	return status;
}

void hilum_robustness_free(struct hilum_robustness *robustness)
{
	if (robustness)
		hl_free(robustness->row);
	hl_free(robustness);
}
