/* hilum_report: what is known of a run, a cross-validation or a table of answers, on one page. */
#include "eval/report.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "eval/robustness.h"
#include "infer/predict.h"

#include <locale.h>
#include <math.h>
#include <string.h>

#define PAGE_MAX ((size_t)256 << 20)
#define JSON_MAX ((size_t)256 << 20)

#define OPTION(member, name_, kind_, ...)                                                                              \
	{                                                                                                              \
		.name = (name_), .kind = HILUM_OPTION_##kind_,                                                         \
		.offset = offsetof(struct hilum_report_options, member), __VA_ARGS__                                   \
	}

/* clang-format off */
const struct hilum_option hilum_report_option_table[] = {
    OPTION(out, "out", TEXT, .initial = "report.html", .value = "FILE", .help = "the page to write; -o for short"),
    OPTION(title, "title", TEXT, .value = "TEXT", .help = "heading; by default the first input's name"),
    OPTION(data, "data", TEXT, .value = "DATA", .help = "folder or manifest in which pictures are looked up; by default where the run says that it was trained"),
    OPTION(table, "table", TEXT, .value = "CSV", .help = "table with path and further columns, for --subgroups; by default the manifest, if the data set is one"),
    OPTION(subgroups, "subgroups", TEXT, .value = "COLUMN", .help = "column of that table whose values are scored apart"),
    OPTION(errors, "errors", INT, .minimum = 0, .maximum = 200, .initial = "12", .value = "N", .help = "worst errors shown as pictures"),
    HL_SCORE_OPTIONS(scoring.),
    {0},
};
/* clang-format on */

/* ---- inputs ---- */

static json_t *read_json(const char *folder, const char *name)
{
	struct hl_buffer file;
	char *path = hl_path_join(folder, name);
	json_t *root = NULL;
	if (path && hl_path_exists(path) && hl_file_read(path, JSON_MAX, &file, NULL) == HILUM_OK) {
		root = json_loadb(file.data, file.length, 0, NULL);
		hl_buffer_free(&file);
	}
	if (!root && path && hl_path_exists(path))
		hl_log(HILUM_LOG_WARNING, "%s is damaged and left out", path);
	hl_free(path);
	return root;
}

static void read_table(const char *folder, const char *name, struct hl_csv *out)
{
	struct hilum_error error;
	char *path = hl_path_join(folder, name);
	if (path && hl_path_exists(path) && hl_csv_read(path, out, &error)) {
		hl_log(HILUM_LOG_WARNING, "%s; left out", error.message);
		*out = (struct hl_csv){.rows = 0};
	}
	hl_free(path);
}

static char *read_text(const char *folder, const char *name)
{
	struct hl_buffer file;
	char *path = hl_path_join(folder, name), *text = NULL;
	if (path && hl_path_exists(path) && hl_file_read(path, (size_t)1 << 20, &file, NULL) == HILUM_OK) {
		text = hl_strdup(file.data);
		if (text)
			text[strcspn(text, "\n")] = '\0';
		hl_buffer_free(&file);
	}
	hl_free(path);
	return text;
}

static enum hilum_status open_run(struct hl_source *source, struct hilum_error *error)
{
	const char *folder = source->input;
	enum hilum_status status = HILUM_OK;
	source->is_run = true;
	source->crossval = read_json(folder, "crossval.json");
	source->is_crossval = source->crossval != NULL;
	source->options = read_json(folder, "options.json");
	source->audit = read_json(folder, "audit.json");
	source->robustness = read_json(folder, HL_ROBUSTNESS_FILE);
	source->command = read_text(folder, "command.txt");
	read_table(folder, "log.csv", &source->log);
	read_table(folder, "split.csv", &source->split);
	source->predictions = hl_path_join(folder, "predictions.csv");
	if (!source->predictions)
		return hl_fail_memory(error, strlen(folder), "a path");
	if (!source->is_crossval)
		status = hilum_model_open(folder, &source->model, error);
	if (!status && !hl_path_exists(source->predictions))
		status = hl_fail(error, HILUM_ERROR_IO,
		                 "%s: no predictions.csv; hilum eval --predictions makes such a table", folder);
	if (source->model && source->model->provenance)
		source->provenance = json_loads(source->model->provenance, 0, NULL);
	return status;
}

/* The classes' names, which a table of two does not tell: a model, a cross-validation or the data set does. */
static const char *class_name(const struct hl_report *report, const struct hl_source *source, int32_t c)
{
	const json_t *classes = json_object_get(source->crossval, "classes");
	const struct hl_dataset *dataset = report->dataset;
	if (source->model)
		return hilum_model_class_name(source->model, c);
	if (classes)
		return json_string_value(json_array_get(classes, (size_t)c));
	bool alike = dataset && dataset->class_count == 2 && source->scores->table.classes == 2;
	return alike ? dataset->classes[c] : NULL;
}

static enum hilum_status name_classes(const struct hl_report *report, struct hl_source *source,
                                      struct hilum_error *error)
{
	struct hl_table *table = &source->scores->table;
	for (int32_t c = 0; c < table->classes; c++) {
		const char *name = class_name(report, source, c);
		char *copy = name ? hl_strdup(name) : NULL;
		if (name && !copy)
			return hl_fail_memory(error, strlen(name), "a class's name");
		if (!copy)
			continue;
		const char **place = (const char **)(uintptr_t)&table->names[c];
		hl_free((char *)(uintptr_t)*place);
		*place = copy;
	}
	return HILUM_OK;
}

static enum hilum_status open_source(const struct hl_report *report, struct hl_source *source,
                                     struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	if (hl_path_is_directory(source->input)) {
		status = open_run(source, error);
	} else {
		source->predictions = hl_strdup(source->input);
		if (!source->predictions)
			status = hl_fail_memory(error, strlen(source->input), "a path");
	}
	if (!status)
		status = hilum_score_file(source->predictions, &report->options.scoring, &source->scores, error);
	return status;
}

static void close_source(struct hl_source *source)
{
	hl_free(source->predictions);
	hilum_scores_free(source->scores);
	hl_csv_free(&source->log);
	hl_csv_free(&source->split);
	hilum_model_close(source->model);
	json_decref(source->provenance);
	json_decref(source->options);
	json_decref(source->crossval);
	json_decref(source->audit);
	json_decref(source->robustness);
	hl_free(source->command);
}

const char *hl_report_option(const struct hl_report *report, const char *name)
{
	const char *value = json_string_value(json_object_get(report->source[0].options, name));
	return value && value[0] ? value : NULL;
}

bool hl_report_is_binary(const struct hl_report *report)
{
	const struct hl_metrics *metrics = &report->source[0].scores->metrics;
	return metrics->classes == 2 && metrics->per_class[0].count > 0 && metrics->per_class[1].count > 0;
}

/* The data set of "hilum train DATA --epochs ...", unquoted; NULL where it is not to be had. */
static char *trained_on(const char *command)
{
	static const char before[] = "hilum train ";
	if (!command || strncmp(command, before, sizeof(before) - 1) != 0)
		return NULL;
	const char *at = command + sizeof(before) - 1;
	char *word = hl_alloc(strlen(at) + 1, 1);
	size_t used = 0;
	bool quoted = false;
	for (; word && *at && (quoted || *at != ' '); at++) {
		if (*at == '\'')
			quoted = !quoted;
		else if (!quoted && *at == '\\' && at[1])
			word[used++] = *++at;
		else
			word[used++] = *at;
	}
	return word;
}

/* Pictures are a help and no need: without them the report says so. */
static void open_data(struct hl_report *report)
{
	struct hilum_error error;
	struct hl_dataset_options how = {.positive = NULL};
	struct hl_recipe recipe;
	/* Stacks, where the model looks at them. */
	if (report->source[0].model && hl_model_recipe(report->source[0].model, &recipe, NULL) == HILUM_OK)
		how.dims = recipe.dims;
	report->data = report->options.data ? hl_strdup(report->options.data) : NULL;
	if (!report->data)
		report->data = trained_on(report->source[0].command);
	if (!report->data)
		return;
	if (hl_dataset_open(report->data, &how, &report->dataset, &error))
		hl_log(HILUM_LOG_WARNING, "%s; errors are shown without pictures (--data)", error.message);
}

static enum hilum_status open_all(struct hl_report *report, const char *const *inputs, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	for (size_t i = 0; i < report->count && !status; i++) {
		report->source[i].input = inputs[i];
		status = open_source(report, &report->source[i], error);
	}
	if (status)
		return status;
	open_data(report);
	for (size_t i = 0; i < report->count && !status; i++)
		status = name_classes(report, &report->source[i], error);
	if (status)
		return status;
	const char *table = report->options.table ? report->options.table : report->data;
	if (report->options.subgroups && (!table || hl_path_is_directory(table)))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "subgroups: no table to look in; name one by --table");
	return report->options.subgroups ? hl_csv_read(table, &report->table, error) : HILUM_OK;
}

/* ---- the page ---- */

static void put_card(struct hl_page *page, const char *name, const struct hilum_scores *scores, int figure)
{
	if (isnan(hl_figure_of(scores, figure)))
		return;
	hl_put(page, "<div class=\"card\"><span class=\"name\">%s</span><span class=\"value\">", name);
	hl_put_number(page, hl_figure_of(scores, figure), 3);
	hl_put(page, "</span><span class=\"range\">");
	hl_put_range(page, scores->interval[figure], 3);
	hl_put(page, "</span></div>\n");
}

/* In words, so that nobody has to know what a figure means. */
static void put_verdict(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	const struct hilum_scores *scores = report->source[0].scores;
	const json_t *baseline;
	size_t i, beaten = 0, open = 0;
	double auc = hl_figure_of(scores, HL_AUC);
	struct hl_interval interval = scores->interval[HL_AUC];
	hl_put(page, "<ul class=\"verdict\">\n");
	if (!isnan(auc) && !isnan(interval.low))
		hl_put(page, "<li>%s</li>\n",
		       interval.low > 0.5 ? "It ranks better than chance: the interval of the ROC-AUC lies above 0.5."
		       : interval.high < 0.5
		           ? "It ranks worse than chance: labels may be the wrong way round."
		           : "It has not been shown to rank better than chance: the interval of the ROC-AUC "
		             "holds 0.5.");
	json_array_foreach(json_object_get(report->source[0].crossval, "baselines"), i, baseline)
	{
		const json_t *range = json_object_get(baseline, "auc_difference_interval");
		bool above = json_number_value(json_array_get(range, 0)) > 0;
		*(above ? &beaten : &open) += json_is_array(range);
	}
	if (open > 0)
		hl_put(page,
		       "<li>It has not been shown to rank better than %zu of %zu answers that need no network (see "
		       "<a href=\"#folds\">Fold by fold</a>).</li>\n",
		       open, open + beaten);
	else if (beaten > 0)
		hl_put(page, "<li>It ranks better than all %zu answers that need no network.</li>\n", beaten);
	if (!isnan(scores->reliability.slope_interval.low))
		hl_put(page, "<li>%s</li>\n",
		       scores->reliability.slope_interval.high < 1
		           ? "Its probabilities are too sure (calibration slope below 1)."
		       : scores->reliability.slope_interval.low > 1
		           ? "Its probabilities are not sure enough (calibration slope "
		             "above 1)."
		           : "Its probabilities are not shown to be too sure or not sure "
		             "enough.");
	for (int32_t c = 0; c < scores->metrics.classes; c++)
		if (scores->metrics.per_class[c].count < 30)
			hl_put(page, "<li>Only %lld cases of one class: every figure is rough.</li>\n",
			       (long long)scores->metrics.per_class[c].count);
	hl_put(page, "</ul>\n");
}

static void put_summary(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	const struct hilum_scores *scores = report->source[0].scores;
	hl_section_open(page, "summary", "In short");
	hl_put(page, "<div class=\"cards\">\n");
	put_card(page, "ROC-AUC", scores, HL_AUC);
	put_card(page, "sensitivity at 0.5", scores, HL_SENSITIVITY);
	put_card(page, "specificity at 0.5", scores, HL_SPECIFICITY);
	put_card(page, "log loss", scores, HL_LOG_LOSS);
	hl_put(page, "</div>\n");
	put_verdict(report);
	hl_section_close(page);
}

static const char *title_of(const struct hl_report *report)
{
	return report->options.title ? report->options.title : report->source[0].input;
}

static void put_head(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	const struct hl_source *source = &report->source[0];
	hl_put(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
	             "content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light "
	             "dark\">\n<title>");
	hl_put_escaped(page, title_of(report));
	hl_put(page, " &ndash; hilum report</title>\n<style>\n");
	hl_put_lines(page, hl_report_css);
	hl_put(page, "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#summary\">Skip to the "
	             "content</a>\n<header>\n<p class=\"use\">For research only. Not a medical device.</p>\n<h1>");
	hl_put_escaped(page, title_of(report));
	hl_put(page, "</h1>\n<p class=\"sub\">%s; %zu %s",
	       source->is_crossval ? "cross-validation"
	       : source->is_run    ? "test part of a run"
	                           : "table of answers",
	       source->scores->metrics.n, source->scores->aggregate ? "groups" : "cases");
	if (source->scores->groups && !source->scores->aggregate)
		hl_put(page, " of %zu groups", source->scores->groups);
	hl_put(page, "</p>\n</header>\n");
}

/* The list of sections is made from the page itself, so that it names those that are there. */
static void put_navigation(struct hl_page *page, const char *body)
{
	hl_put(page, "<nav aria-label=\"Sections\"><ul>\n");
	for (const char *at = body; (at = strstr(at, "<section id=\"")) != NULL;) {
		const char *id = at + strlen("<section id=\""), *title = strstr(at, "-title\">");
		title = title ? strstr(title + 1, "-title\">") : NULL;
		title = title ? title : strstr(at, "-title\">");
		if (!title)
			break;
		title += strlen("-title\">");
		hl_put(page, "<li><a href=\"#%.*s\">%.*s</a></li>\n", (int)strcspn(id, "\""), id,
		       (int)strcspn(title, "<"), title);
		at = title;
	}
	hl_put(page, "</ul></nav>\n");
}

static enum hilum_status make_page(struct hl_report *report, struct hilum_error *error)
{
	struct hl_page *page = &report->page, whole = {.status = HILUM_OK};
	void (*const sections[])(struct hl_report *) = {
	    put_summary,           hl_report_flow,     hl_report_curves,     hl_report_reliability, hl_report_confusion,
	    hl_report_figures,     hl_report_folds,    hl_report_subgroups,  hl_report_robustness,  hl_report_errors,
	    hl_report_comparisons, hl_report_learning, hl_report_model_card, hl_report_checklist};
	hl_buffer_init(&whole.html, PAGE_MAX);
	hl_buffer_init(&page->html, PAGE_MAX);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		sections[i](report);
	struct hl_page body = *page;
	*page = whole;
	put_head(report);
	if (body.status)
		page->status = body.status;
	if (!page->status) {
		put_navigation(page, body.html.data);
		hl_put(page, "<main>\n");
		page->status = hl_buffer_append(&page->html, body.html.data, body.html.length, &page->error);
	}
	if (body.status)
		page->error = body.error;
	hl_buffer_free(&body.html);
	hl_put(page,
	       "</main>\n<footer><p>Made by hilum %s. For research only: not a medical device, and no basis for a "
	       "diagnosis.</p></footer>\n<script>\n",
	       hilum_version());
	hl_put_lines(page, hl_report_js);
	hl_put(page, "</script>\n</body>\n</html>\n");
	if (page->status)
		return hl_fail(error, page->status, "%s", page->error.message);
	const char *path = report->options.out ? report->options.out : "report.html";
	return hl_file_write(path, &(struct hl_part){page->html.data, page->html.length}, 1, error);
}

enum hilum_status hilum_report(const char *const *inputs, size_t count, const struct hilum_report_options *options,
                               struct hilum_error *error)
{
	struct hl_report report = {.options = *options, .count = count};
	enum hilum_status status = hl_scoring_check(&options->scoring, error);
	if (status)
		return status;
	if (count == 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "no run and no table to report");
	report.source = hl_alloc(count, sizeof(*report.source));
	if (!report.source)
		return hl_fail_memory(error, count * sizeof(*report.source), "a report");
	/* Numbers in SVG have a point, whatever the caller's language. */
	locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0), before = plain ? uselocale(plain) : (locale_t)0;
	status = open_all(&report, inputs, error);
	if (!status)
		status = make_page(&report, error);
	if (plain) {
		uselocale(before);
		freelocale(plain);
	}
	hl_buffer_free(&report.page.html);
	for (size_t i = 0; i < count; i++)
		close_source(&report.source[i]);
	hl_free(report.source);
	hl_dataset_free(report.dataset);
	hl_csv_free(&report.table);
	hl_free(report.data);
	return status;
}
