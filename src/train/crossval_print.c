/* A cross-validation told: a table for people, an object for machines. */
#include "train/crossval.h"

#include "base/memory.h"
#include "eval/json.h"
#include "eval/print.h"
#include "eval/scores.h"
#include "infer/describe.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const control_names[] = {"none", "shuffled-labels", "background-only"};

static double figure_of(const struct hilum_scores *scores, int figure)
{
	return hl_figure_get(&scores->metrics, hl_figures[figure].offset);
}

/* Sample mean and deviation of what is defined. */
static size_t spread(const double *value, size_t stride, size_t count, double *mean, double *deviation)
{
	size_t n = 0;
	double sum = 0, squares = 0;
	for (size_t i = 0; i < count; i++) {
		if (isnan(value[i * stride]))
			continue;
		sum += value[i * stride];
		n++;
	}
	*mean = n ? sum / (double)n : (double)NAN;
	for (size_t i = 0; i < count; i++)
		if (!isnan(value[i * stride]))
			squares += (value[i * stride] - *mean) * (value[i * stride] - *mean);
	*deviation = n > 1 ? sqrt(squares / (double)(n - 1)) : (double)NAN;
	return n;
}

size_t hl_folds_spread(const struct hilum_crossval *crossval, int figure, double *mean, double *deviation)
{
	double *value = hl_alloc(crossval->count, sizeof(*value));
	*mean = *deviation = (double)NAN;
	if (!value)
		return 0;
	for (size_t f = 0; f < crossval->count; f++)
		value[f] = figure_of(crossval->fold[f].scores, figure);
	size_t n = spread(value, 1, crossval->count, mean, deviation);
	hl_free(value);
	return n;
}

/* ---- for people ---- */

static const char *title_of(const struct hl_figure *figure, char title[64])
{
	snprintf(title, 64, "%s%s", figure->title, figure->less_is_better ? " (less is better)" : "");
	return title;
}

static void print_heading(const struct hilum_crossval *crossval, FILE *file)
{
	const struct hl_dataset *dataset = crossval->dataset;
	const struct hilum_crossval_options *options = &crossval->options;
	size_t cases = crossval->all->cases ? crossval->all->cases : crossval->all->metrics.n;
	fprintf(file, "%zu folds", crossval->count / (size_t)crossval->folds.repeats);
	if (crossval->folds.repeats > 1)
		fprintf(file, ", drawn %d times", crossval->folds.repeats);
	fprintf(file, ": %zu answers", cases);
	if (dataset->grouped)
		fprintf(file, " on %d groups", dataset->group_count);
	fputs(" (", file);
	for (int32_t c = 0; c < dataset->class_count; c++) {
		fputs(c ? ", " : "", file);
		hl_put_text(file, dataset->classes[c], hl_text_columns(dataset->classes[c]), false);
		fprintf(file, ": %lld", (long long)crossval->all->metrics.per_class[c].count);
	}
	fputs(").\nEvery case was answered by a model that had seen none of its ", file);
	fprintf(file, "%s%s%s.\n", dataset->grouped ? "group" : "own picture",
	        options->seeds > 1 ? "; the answer is the mean over several trainings" : "",
	        options->tta ? "; each picture was answered as it is and mirrored" : "");
	if (options->by == HILUM_BY_GROUP)
		fputs("Scored by group: the mean of its cases' probabilities.\n", file);
}

static void print_control(const struct hilum_crossval *crossval, FILE *file)
{
	struct hl_interval auc = crossval->all->interval[HL_AUC];
	int control = crossval->options.control;
	if (control == HILUM_CONTROL_NONE)
		return;
	fprintf(file, "\nControl run, %s: %s\n", control_names[control],
	        control == HILUM_CONTROL_SHUFFLED_LABELS
	            ? "labels mean nothing, so that an honest pipeline scores chance."
	            : "lungs were blanked out, so that what is scored is no disease.");
	if (isnan(auc.low))
		return;
	if (auc.low <= 0.5 && auc.high >= 0.5)
		fputs("The ROC-AUC's interval holds 0.5: nothing was learnt that should not be there.\n", file);
	else if (control == HILUM_CONTROL_SHUFFLED_LABELS)
		fputs("The ROC-AUC's interval does NOT hold 0.5: cases of one patient stand on both sides, or "
		      "chance (one run in twenty).\n",
		      file);
	else
		fputs("The ROC-AUC's interval does NOT hold 0.5: the pictures' background tells the classes apart, and "
		      "a score\nof the whole pictures is not to be credited to the lungs alone.\n",
		      file);
}

static void print_row(const struct hilum_crossval *crossval, int i, FILE *file)
{
	const struct hl_figure *figure = &hl_figures[i];
	char title[64];
	double mean, deviation;
	hl_folds_spread(crossval, i, &mean, &deviation);
	fprintf(file, "%-32s", title_of(figure, title));
	hl_put_figure(file, mean, 10);
	hl_put_figure(file, deviation, 10);
	hl_put_figure(file, figure_of(crossval->all, i), 10);
	if (crossval->all->resamples)
		hl_put_interval(file, crossval->all->interval[i], 6);
	fputc('\n', file);
}

static void print_figures(const struct hilum_crossval *crossval, FILE *file)
{
	fprintf(file, "\n%-32s%10s%10s%10s%s\n", "", "mean", "sd", "together",
	        crossval->all->resamples ? "   95 % interval" : "");
	for (int i = 0; i < HL_FIGURES; i++)
		if (!hl_figures[i].sought && !hl_figures[i].of_prevalence)
			print_row(crossval, i, file);
	if (crossval->dataset->class_count == 2) {
		fputs("At thresholds sought in this very table:\n", file);
		for (int i = 0; i < HL_FIGURES; i++)
			if (hl_figures[i].sought)
				print_row(crossval, i, file);
	}
	if (crossval->options.prevalence > 0) {
		fprintf(file, "Where %.4g %% of all are positive:\n", 100 * crossval->options.prevalence);
		for (int i = 0; i < HL_FIGURES; i++)
			if (hl_figures[i].of_prevalence)
				print_row(crossval, i, file);
	}
	fputs(
	    "Mean and standard deviation are over folds; together: all folds' answers as one table. Its intervals do\n"
	    "not know that folds share training cases.\n",
	    file);
}

static const int at_threshold[] = {HL_ACCURACY, HL_BALANCED_ACCURACY, HL_SENSITIVITY, HL_SPECIFICITY, HL_F1, HL_MCC};

static void print_thresholds(const struct hilum_crossval *crossval, FILE *file)
{
	double low = 1, high = 0;
	if (!crossval->at_thresholds)
		return;
	for (size_t f = 0; f < crossval->count; f++) {
		low = fmin(low, crossval->fold[f].threshold);
		high = fmax(high, crossval->fold[f].threshold);
	}
	fprintf(file, "\nAt the threshold that was best on each fold's validation part (%.4f to %.4f):\n", low, high);
	for (size_t i = 0; i < sizeof(at_threshold) / sizeof(at_threshold[0]); i++) {
		fprintf(file, "%-32s%30.4f", hl_figures[at_threshold[i]].title,
		        figure_of(crossval->at_thresholds, at_threshold[i]));
		if (crossval->at_thresholds->resamples)
			hl_put_interval(file, crossval->at_thresholds->interval[at_threshold[i]], 6);
		fputc('\n', file);
	}
}

static void print_seeds(const struct hilum_crossval *crossval, FILE *file)
{
	static const int shown[] = {HL_LOG_LOSS, HL_AUC, HL_ACCURACY};
	size_t seeds = (size_t)crossval->options.seeds;
	double mean, deviation;
	if (!crossval->seed_figures)
		return;
	fprintf(file, "\nEach of the %zu seeds alone, all folds together:\n", seeds);
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		spread(&crossval->seed_figures[0][shown[i]], HL_FIGURES, seeds, &mean, &deviation);
		fprintf(file, "%-32s%10.4f%10.4f  (", hl_figures[shown[i]].title, mean, deviation);
		for (size_t s = 0; s < seeds; s++)
			fprintf(file, "%s%.4f", s ? ", " : "", crossval->seed_figures[s][shown[i]]);
		fputs(")\n", file);
	}
}

/* Whether a baseline is beaten in ranking. More than two classes have no area that a majority class has. */
static void print_baselines(const struct hilum_crossval *crossval, FILE *file)
{
	size_t beaten = 0, total = 0;
	if (crossval->baselines == 0)
		return;
	fprintf(file, "\nWithout a network, fitted on the same training parts:\n%-32s%10s%10s%10s%s\n", "", "log loss",
	        "accuracy", "ROC-AUC", "   this model's ROC-AUC less that one");
	for (int32_t b = 0; b < crossval->baselines; b++) {
		const struct hl_crossval_baseline *one = &crossval->baseline[b];
		hl_put_text(file, one->name, 32, false);
		hl_put_figure(file, figure_of(one->scores, HL_LOG_LOSS), 10);
		hl_put_figure(file, figure_of(one->scores, HL_ACCURACY), 10);
		hl_put_figure(file, figure_of(one->scores, HL_AUC), 10);
		if (one->comparison) {
			struct hl_interval interval = one->comparison->interval[HL_AUC];
			fprintf(file, "%+10.4f", figure_of(crossval->all, HL_AUC) - figure_of(one->scores, HL_AUC));
			hl_put_interval(file, interval, 6);
			total++;
			beaten += interval.low > 0;
		}
		fputc('\n', file);
	}
	if (total == 0 || beaten == total)
		return;
	fputs("Not shown to rank better than:", file);
	for (int32_t b = 0, said = 0; b < crossval->baselines; b++) {
		const struct hl_crossval_baseline *one = &crossval->baseline[b];
		if (!one->comparison || one->comparison->interval[HL_AUC].low > 0)
			continue;
		fputs(said++ ? ", " : " ", file);
		hl_put_text(file, one->name, hl_text_columns(one->name), false);
	}
	fputs(".\n", file);
}

/* ---- for machines ---- */

static json_t *figures_json(const struct hilum_scores *scores, bool intervals)
{
	json_t *object = json_object();
	char name[64];
	for (int i = 0; i < HL_FIGURES; i++) {
		json_object_set_new(object, hl_figures[i].name, hl_json_number(figure_of(scores, i)));
		snprintf(name, sizeof(name), "%s_interval", hl_figures[i].name);
		if (intervals)
			json_object_set_new(object, name, hl_json_interval(scores->interval[i]));
	}
	return object;
}

static json_t *folds_json(const struct hilum_crossval *crossval)
{
	json_t *list = json_array();
	for (size_t f = 0; f < crossval->count; f++) {
		const struct hl_fold *fold = &crossval->fold[f];
		json_t *object = figures_json(fold->scores, false);
		json_object_set_new(object, "fold", json_integer(fold->number));
		json_object_set_new(object, "repeat", json_integer(fold->repeat + 1));
		json_object_set_new(object, "n", json_integer((json_int_t)fold->scores->metrics.n));
		json_object_set_new(object, "threshold", hl_json_number(fold->threshold));
		json_array_append_new(list, object);
	}
	return list;
}

static json_t *spread_json(const struct hilum_crossval *crossval, bool deviations)
{
	json_t *object = json_object();
	double mean, deviation;
	for (int i = 0; i < HL_FIGURES; i++) {
		hl_folds_spread(crossval, i, &mean, &deviation);
		json_object_set_new(object, hl_figures[i].name, hl_json_number(deviations ? deviation : mean));
	}
	return object;
}

static json_t *baselines_json(const struct hilum_crossval *crossval)
{
	json_t *list = json_array();
	for (int32_t b = 0; b < crossval->baselines; b++) {
		const struct hl_crossval_baseline *one = &crossval->baseline[b];
		json_t *object = figures_json(one->scores, true);
		json_object_set_new(object, "name", hl_json_text(one->name));
		json_object_set_new(object, "auc_difference",
		                    hl_json_number(figure_of(crossval->all, HL_AUC) - figure_of(one->scores, HL_AUC)));
		json_object_set_new(object, "auc_difference_interval",
		                    one->comparison ? hl_json_interval(one->comparison->interval[HL_AUC])
		                                    : json_null());
		json_array_append_new(list, object);
	}
	return list;
}

static json_t *seeds_json(const struct hilum_crossval *crossval)
{
	json_t *list = json_array();
	for (int64_t s = 0; s < crossval->options.seeds && crossval->seed_figures; s++) {
		json_t *object = json_object();
		json_object_set_new(object, "seed", json_integer(crossval->options.train.seed + s));
		for (int i = 0; i < HL_FIGURES; i++)
			json_object_set_new(object, hl_figures[i].name, hl_json_number(crossval->seed_figures[s][i]));
		json_array_append_new(list, object);
	}
	return list;
}

char *hl_crossval_json(const struct hilum_crossval *crossval)
{
	const struct hl_dataset *dataset = crossval->dataset;
	json_t *root = json_object(), *classes = json_array();
	for (int32_t c = 0; c < dataset->class_count; c++)
		json_array_append_new(classes, hl_json_text(dataset->classes[c]));
	json_object_set_new(root, "kind", json_string("crossval"));
	json_object_set_new(root, "run", hl_json_text(crossval->run.folder));
	json_object_set_new(root, "n", json_integer((json_int_t)crossval->all->metrics.n));
	json_object_set_new(root, "groups",
	                    dataset->grouped ? json_integer((json_int_t)crossval->all->groups) : json_null());
	json_object_set_new(root, "classes", classes);
	json_object_set_new(root, "control", json_string(control_names[crossval->options.control]));
	json_object_set_new(root, "tta", json_boolean(crossval->options.tta));
	json_object_set_new(root, "by", json_string(hl_bys[crossval->options.by]));
	json_object_set_new(root, "repeats", json_integer(crossval->folds.repeats));
	json_object_set_new(root, "folds", folds_json(crossval));
	json_object_set_new(root, "mean", spread_json(crossval, false));
	json_object_set_new(root, "sd", spread_json(crossval, true));
	json_object_set_new(root, "together", figures_json(crossval->all, true));
	json_object_set_new(root, "at_thresholds",
	                    crossval->at_thresholds ? figures_json(crossval->at_thresholds, true) : json_null());
	json_object_set_new(root, "intervals",
	                    hl_json_resampling(crossval->all->resamples, dataset->grouped ? crossval->all->groups : 0));
	json_object_set_new(root, "seeds", seeds_json(crossval));
	json_object_set_new(root, "baselines", baselines_json(crossval));
	json_object_set_new(root, "research_use_only", json_true());
	return hl_json_dump(root);
}

enum hilum_status hilum_crossval_print(const struct hilum_crossval *crossval, enum hilum_output output, FILE *file,
                                       struct hilum_error *error)
{
	if (output == HILUM_OUTPUT_JSON) {
		char *json = hl_crossval_json(crossval);
		if (!json)
			return hl_fail_memory(error, 4096, "JSON");
		fprintf(file, "%s\n", json);
		hl_free(json);
	} else {
		print_heading(crossval, file);
		print_figures(crossval, file);
		print_thresholds(crossval, file);
		print_seeds(crossval, file);
		print_baselines(crossval, file);
		print_control(crossval, file);
		fputs("Research use only: not a medical device.\n", file);
	}
	if (ferror(file))
		return hl_fail_errno(error, "writing scores");
	return HILUM_OK;
}
