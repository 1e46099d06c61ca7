/* Scores for people: each figure beside the baseline's, the confusion matrix, and the table of corrected
 * probabilities. */
#include "eval/print.h"
#include "eval/scores.h"

#include "base/memory.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME_WIDTH 24 /* columns for a class's name */
#define ID_WIDTH 36   /* for a case's */
#define ALL_SHOWN 12  /* a table with at most so many cases is shown whole */
#define WORST_SHOWN 10

static int widest(const struct hl_table *table, int least, int most)
{
	int width = least;
	for (int32_t c = 0; c < table->classes; c++)
		if (hl_text_columns(table->names[c]) > width)
			width = hl_text_columns(table->names[c]);
	return width < most ? width : most;
}

static void print_heading(const struct hilum_scores *scores, FILE *file)
{
	const struct hl_metrics *metrics = &scores->metrics;
	const char *kind = scores->aggregate ? "group" : "case";
	fprintf(file, "%zu %s%s", metrics->n, kind, metrics->n == 1 ? "" : "s");
	if (scores->aggregate)
		fprintf(file, " of %zu case%s", scores->cases, scores->cases == 1 ? "" : "s");
	if (scores->part[0])
		fprintf(file, ", part: %s", scores->part);
	fputs(" (", file);
	for (int32_t c = 0; c < metrics->classes; c++) {
		fputs(c ? ", " : "", file);
		int width = hl_text_columns(scores->table.names[c]);
		hl_put_text(file, scores->table.names[c], width < NAME_WIDTH ? width : NAME_WIDTH, false);
		fprintf(file, ": %lld", (long long)metrics->per_class[c].count);
	}
	fputs(")\n", file);
	if (scores->aggregate)
		fprintf(file, "A group's probability is the %s of its cases'%s.\n", scores->aggregate,
		        scores->chosen_on_validation ? ", the way that was best on the validation part" : "");
	if (scores->groups && scores->groups < metrics->n)
		fprintf(file, "%zu cases in %zu group%s; neighbours of one patient are not independent\n", metrics->n,
		        scores->groups, scores->groups == 1 ? "" : "s");
	if (scores->unreadable)
		fprintf(file, "%zu file%s could not be read and %s not scored\n", scores->unreadable,
		        scores->unreadable == 1 ? "" : "s", scores->unreadable == 1 ? "is" : "are");
	if (scores->refused)
		fprintf(file, "%zu case%s would be refused by hilum predict as no chest CT; scored all the same\n",
		        scores->refused, scores->refused == 1 ? "" : "s");
	if (scores->unusual)
		fprintf(file, "%zu case%s unlike the training pictures\n", scores->unusual,
		        scores->unusual == 1 ? " is" : "s are");
}

static void print_row(const struct hilum_scores *scores, const struct hl_figure *figure, FILE *file)
{
	char title[64];
	snprintf(title, sizeof(title), "%s%s", figure->title, figure->less_is_better ? " (less is better)" : "");
	fprintf(file, "%-32s", title);
	hl_put_figure(file, hl_figure_get(&scores->metrics, figure->offset), 10);
	if (scores->resamples)
		hl_put_interval(file, scores->interval[figure - hl_figures], 6);
	hl_put_figure(file, hl_figure_get(&scores->metrics, figure->baseline), 12);
	fputc('\n', file);
}

static void print_points(const struct hilum_scores *scores, FILE *file)
{
	if (scores->metrics.classes != 2 || isnan(scores->metrics.sensitivity_at_specificity_90))
		return;
	fputs("At thresholds sought in this very table:\n", file);
	for (const struct hl_figure *figure = hl_figures; figure->name; figure++)
		if (figure->sought)
			print_row(scores, figure, file);
	if (!(scores->table.prevalence > 0))
		return;
	fprintf(file, "At the threshold 0.5, where %.4g %% of all are positive:\n", 100 * scores->table.prevalence);
	for (const struct hl_figure *figure = hl_figures; figure->name; figure++)
		if (figure->of_prevalence)
			print_row(scores, figure, file);
}

/* Where the intervals come from, and what they do not know. */
static void print_trust(const struct hilum_scores *scores, FILE *file)
{
	struct hl_interval delong = hl_delong_interval(scores->delong.auc[0], scores->delong.variance[0]);
	if (!isnan(delong.low))
		fprintf(file, "The ROC-AUC's interval by DeLong: %.4f to %.4f.\n", delong.low, delong.high);
	if (scores->resamples && scores->groups)
		fprintf(file, "Intervals: %lld draws of whole groups out of %zu.\n", (long long)scores->resamples,
		        scores->groups);
	else if (scores->resamples)
		fprintf(file,
		        "Intervals: %lld draws of cases. No groups were given, so every case is taken as\n"
		        "independent; where there are several of one patient, the intervals are too narrow.\n",
		        (long long)scores->resamples);
}

static void print_coefficient(const char *name, double value, struct hl_interval interval, const char *meaning,
                              FILE *file)
{
	fprintf(file, "%s %.2f", name, value);
	if (!isnan(interval.low))
		fprintf(file, " (%.2f to %.2f)", interval.low, interval.high);
	fprintf(file, ": %s.\n", meaning);
}

/* Whether probabilities mean what they say. */
static void print_reliability(const struct hilum_scores *scores, FILE *file)
{
	const struct hl_reliability *reliability = &scores->reliability;
	fprintf(file, "Calibration: off by %.4f on average over %zu bin%s of cases (ECE).\n", reliability->ece,
	        reliability->bins, reliability->bins == 1 ? "" : "s");
	if (isnan(reliability->slope))
		return;
	print_coefficient("Its slope is", reliability->slope, reliability->slope_interval,
	                  "1 is right, less is too sure", file);
	print_coefficient("Its intercept is", reliability->intercept, reliability->intercept_interval,
	                  "0 is right, less is too high", file);
}

static void print_figures(const struct hilum_scores *scores, FILE *file)
{
	fprintf(file, "\n%-32s%10s%s%12s\n", "", "score", scores->resamples ? "   95 % interval   " : "", "baseline");
	for (const struct hl_figure *figure = hl_figures; figure->name; figure++)
		if (!figure->sought && !figure->of_prevalence)
			print_row(scores, figure, file);
	print_points(scores, file);
	fputs("The baseline knows only how frequent each class is: it always answers the majority.\n", file);
	if (scores->metrics.classes > 2)
		fputs("Sensitivity, specificity, precision, F1, ROC-AUC and PR-AUC are means over the classes.\n",
		      file);
	print_reliability(scores, file);
	print_trust(scores, file);
}

static void print_names(const char *before, const char *const *name, int count, const char *after, FILE *file)
{
	if (count == 0)
		return;
	fputs(before, file);
	for (int i = 0; i < count; i++)
		fprintf(file, "%s%s", i == 0 ? "" : i == count - 1 ? " and " : ", ", name[i]);
	fputs(after, file);
}

/* What a figure beside its baseline means, said in words so that nobody has to know. */
static void print_leaks(const struct hilum_scores *scores, FILE *file)
{
	if (scores->leaks)
		fprintf(
		    file,
		    "Leakage was allowed in training: %lld pair%s of the same picture, or nearly so, on two sides of "
		    "the model's split. On its own data set these figures flatter.\n",
		    (long long)scores->leaks, scores->leaks == 1 ? "" : "s");
}

static void print_verdict(const struct hilum_scores *scores, FILE *file)
{
	static const int shown[] = {HL_LOG_LOSS, HL_ACCURACY, HL_AUC};
	const struct hl_metrics *metrics = &scores->metrics;
	const char *worse[3], *open[3];
	int worses = 0, opens = 0;
	for (int i = 0; i < 3; i++) {
		const struct hl_figure *figure = &hl_figures[shown[i]];
		struct hl_interval interval = scores->interval[shown[i]];
		double value = hl_figure_get(metrics, figure->offset), base = hl_figure_get(metrics, figure->baseline);
		if (figure->less_is_better ? value >= base : value <= base)
			worse[worses++] = figure->title;
		else if (figure->less_is_better ? interval.high >= base : interval.low <= base)
			open[opens++] = figure->title;
	}
	print_names("Not better than the baseline in ", worse, worses, ".\n", file);
	print_names("Better than the baseline, but not by more than chance may do, in ", open, opens, ".\n", file);
	for (int32_t c = 0; c < metrics->classes; c++)
		if (metrics->per_class[c].count == 0) {
			fputs("No case of class ", file);
			hl_put_text(file, scores->table.names[c], hl_text_columns(scores->table.names[c]), false);
			fputs(": figures that need one are undefined or 0.\n", file);
		}
}

static void print_confusion(const struct hilum_scores *scores, FILE *file)
{
	const struct hl_metrics *metrics = &scores->metrics;
	int name = widest(&scores->table, 6, NAME_WIDTH), cell = widest(&scores->table, 7, 16) + 2;
	bool numbered = name + 2 + metrics->classes * cell > 100;
	if (numbered)
		cell = 7;
	fputs("\nConfusion matrix: rows are what is, columns what was predicted.\n", file);
	fprintf(file, "%*s", name + (numbered ? 5 : 0), "");
	for (int32_t c = 0; c < metrics->classes; c++) {
		if (numbered) {
			fprintf(file, "%*d", cell, c);
		} else {
			fputs("  ", file);
			hl_put_text(file, scores->table.names[c], cell - 2, true);
		}
	}
	fputc('\n', file);
	for (int32_t r = 0; r < metrics->classes; r++) {
		if (numbered)
			fprintf(file, "%3d  ", r);
		hl_put_text(file, scores->table.names[r], name, false);
		for (int32_t c = 0; c < metrics->classes; c++)
			fprintf(file, "%*lld", cell, (long long)metrics->confusion[r][c]);
		fputc('\n', file);
	}
}

static void print_classes(const struct hilum_scores *scores, FILE *file)
{
	const struct hl_metrics *metrics = &scores->metrics;
	if (metrics->classes == 2)
		return;
	int name = widest(&scores->table, 6, NAME_WIDTH);
	fprintf(file, "\nEach class against the rest:\n%*s%8s%13s%13s%11s%11s%11s%11s\n", name, "", "cases",
	        "sensitivity", "specificity", "precision", "F1", "ROC-AUC", "PR-AUC");
	for (int32_t c = 0; c < metrics->classes; c++) {
		const struct hl_class_metrics *one = &metrics->per_class[c];
		hl_put_text(file, scores->table.names[c], name, false);
		fprintf(file, "%8lld", (long long)one->count);
		hl_put_figure(file, one->sensitivity, 13);
		hl_put_figure(file, one->specificity, 13);
		hl_put_figure(file, one->precision, 11);
		hl_put_figure(file, one->f1, 11);
		hl_put_figure(file, one->auc, 11);
		hl_put_figure(file, one->average_precision, 11);
		fputc('\n', file);
	}
}

struct shown {
	double log;
	size_t index;
};

static int worst_first(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;
	if (x->log != y->log)
		return x->log < y->log ? -1 : 1;
	return x->index < y->index ? -1 : 1;
}

static void print_case(const struct hl_table *table, size_t i, int name, FILE *file)
{
	char number[32];
	int32_t predicted = hl_table_predicted(table, i);
	snprintf(number, sizeof(number), "%zu", i + 1);
	hl_put_text(file, table->id ? table->id[i] : number, table->id ? ID_WIDTH : 8, false);
	fputs("  ", file);
	hl_put_text(file, table->names[table->label[i]], name, false);
	if (table->classes > 2) {
		fputs("  ", file);
		hl_put_text(file, table->names[predicted], name < 9 ? 9 : name, false);
	} else {
		fprintf(file, "  %9.4f", table->probability[i]);
	}
	hl_put_figure(file, hl_table_probability(table, i, table->label[i]), 11);
	hl_put_figure(file, hl_table_log(table, i), 11);
	fputc('\n', file);
}

static enum hilum_status print_corrected(const struct hilum_scores *scores, FILE *file, struct hilum_error *error)
{
	const struct hl_table *table = &scores->table;
	struct shown *order = hl_alloc(table->n, sizeof(*order));
	if (!order)
		return hl_fail_memory(error, table->n * sizeof(*order), "the table of cases");
	bool all = table->n <= ALL_SHOWN;
	for (size_t i = 0; i < table->n; i++)
		order[i] = (struct shown){hl_table_log(table, i), i};
	if (!all)
		qsort(order, table->n, sizeof(*order), worst_first);
	int name = widest(table, 6, 16);
	fputs("\nCorrected probabilities: what the model gave to the class that is true", file);
	if (table->classes == 2) {
		fputs("; predicted: to class ", file);
		hl_put_text(file, table->names[1], hl_text_columns(table->names[1]), false);
	}
	fputs(".\n", file);
	if (!all)
		fprintf(file, "The %d worst of %zu cases:\n", WORST_SHOWN, table->n);
	hl_put_text(file, "id", table->id ? ID_WIDTH : 8, false);
	fputs("  ", file);
	hl_put_text(file, "actual", name, false);
	fputs("  ", file);
	hl_put_text(file, "predicted", table->classes > 2 && name > 9 ? name : 9, table->classes == 2);
	fprintf(file, "  %9s  %9s\n", "corrected", "log");
	for (size_t i = 0; i < (all ? table->n : WORST_SHOWN); i++)
		print_case(table, order[i].index, name, file);
	fprintf(file, "Log loss is minus the mean of the last column%s: %.4f\n", all ? "" : " over all cases",
	        scores->metrics.log_loss);
	hl_free(order);
	return HILUM_OK;
}

enum hilum_status hilum_scores_print(const struct hilum_scores *scores, enum hilum_output output, FILE *file,
                                     struct hilum_error *error)
{
	if (output == HILUM_OUTPUT_JSON) {
		char *json = hl_scores_json(scores);
		if (!json)
			return hl_fail_memory(error, 4096, "JSON");
		fprintf(file, "%s\n", json);
		hl_free(json);
	} else {
		print_heading(scores, file);
		print_leaks(scores, file);
		print_figures(scores, file);
		print_verdict(scores, file);
		print_confusion(scores, file);
		print_classes(scores, file);
		enum hilum_status status = print_corrected(scores, file, error);
		if (status)
			return status;
		fputs("Research use only: not a medical device.\n", file);
	}
	if (ferror(file))
		return hl_fail_errno(error, "writing scores");
	return HILUM_OK;
}
