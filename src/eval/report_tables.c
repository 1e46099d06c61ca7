#include "eval/report.h"

#include "base/memory.h"
#include "eval/robustness.h"

#include <math.h>
#include <string.h>

static void put_figure_cell(struct hl_page *page, double value)
{
	hl_put(page, "<td>");
	hl_put_number(page, value, 3);
	hl_put(page, "</td>");
}

static void put_range_cell(struct hl_page *page, struct hl_interval interval)
{
	hl_put(page, "<td class=\"range\">");
	hl_put_range(page, interval, 3);
	hl_put(page, "</td>");
}

static void put_row_head(struct hl_page *page, const char *text, const char *more)
{
	hl_put(page, "<tr><th scope=\"row\">");
	hl_put_escaped(page, text);
	hl_put(page, "%s</th>", more);
}

/* ---- figures ---- */

void hl_report_figures(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	const struct hilum_scores *scores = report->source[0].scores;
	hl_section_open(page, "figures", "All figures");
	hl_put(page, "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"All figures\"><table><thead><tr>"
	             "<th scope=\"col\">figure</th><th scope=\"col\">score</th><th scope=\"col\">95&#8239;%% "
	             "interval</th><th scope=\"col\">majority class</th></tr></thead><tbody>\n");
	for (int i = 0; i < HL_FIGURES; i++) {
		if (isnan(hl_figure_of(scores, i)))
			continue;
		put_row_head(page, hl_figures[i].title,
		             hl_figures[i].less_is_better ? " <small>less is better</small>"
		             : hl_figures[i].sought       ? " <small>threshold sought in this table</small>"
		                                          : "");
		put_figure_cell(page, hl_figure_of(scores, i));
		put_range_cell(page, scores->interval[i]);
		put_figure_cell(page, hl_figure_get(&scores->metrics, hl_figures[i].baseline));
		hl_put(page, "</tr>\n");
	}
	hl_put(page, "</tbody></table></div>\n<p class=\"note\">");
	if (scores->resamples && scores->groups)
		hl_put(page, "Intervals: %lld draws of whole groups out of %zu.", (long long)scores->resamples,
		       scores->groups);
	else if (scores->resamples)
		hl_put(page,
		       "Intervals: %lld draws of cases, each taken as independent, because no groups were given; "
		       "where several are of one patient, they are too narrow.",
		       (long long)scores->resamples);
	hl_put(page, "</p>\n");
	hl_section_close(page);
}

/* ---- confusion matrix ---- */

void hl_report_confusion(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	const struct hilum_scores *scores = report->source[0].scores;
	const struct hl_metrics *metrics = &scores->metrics;
	hl_section_open(page, "confusion", "Confusion matrix");
	hl_put(page,
	       "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Confusion matrix\"><table "
	       "class=\"matrix\"><caption>Rows are what is, columns what was answered%s.</caption><thead><tr><td></td>",
	       metrics->classes == 2 ? " at the threshold 0.5" : "");
	for (int32_t c = 0; c < metrics->classes; c++) {
		hl_put(page, "<th scope=\"col\">");
		hl_put_escaped(page, scores->table.names[c]);
		hl_put(page, "</th>");
	}
	hl_put(page, "</tr></thead><tbody>\n");
	for (int32_t r = 0; r < metrics->classes; r++) {
		put_row_head(page, scores->table.names[r], "");
		for (int32_t c = 0; c < metrics->classes; c++) {
			double all = (double)metrics->per_class[r].count;
			double share = all > 0 ? (double)metrics->confusion[r][c] / all : 0;
			hl_put(page, "<td class=\"%s\" style=\"--share:%.3f\">%lld <small>%.0f&#8239;%%</small></td>",
			       r == c ? "right" : "wrong", share, (long long)metrics->confusion[r][c], 100 * share);
		}
		hl_put(page, "</tr>\n");
	}
	hl_put(page, "</tbody></table></div>\n");
	hl_section_close(page);
}

/* ---- folds, and what needs no network ---- */

static double number_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static struct hl_interval interval_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	struct hl_interval none = {(double)NAN, (double)NAN};
	if (!json_is_array(value) || json_array_size(value) != 2)
		return none;
	return (struct hl_interval){json_number_value(json_array_get(value, 0)),
	                            json_number_value(json_array_get(value, 1))};
}

static const int shown[] = {HL_AUC, HL_LOG_LOSS, HL_ACCURACY, HL_SENSITIVITY, HL_SPECIFICITY};
enum { SHOWN = sizeof(shown) / sizeof(shown[0]) };

static void put_heads(struct hl_page *page, const char *first, const char *more)
{
	hl_put(page, "<thead><tr><th scope=\"col\">%s</th>", first);
	for (int i = 0; i < SHOWN; i++)
		hl_put(page, "<th scope=\"col\">%s</th>", hl_figures[shown[i]].title);
	hl_put(page, "%s</tr></thead><tbody>\n", more);
}

static void put_json_cells(struct hl_page *page, const json_t *object)
{
	for (int i = 0; i < SHOWN; i++)
		put_figure_cell(page, number_of(object, hl_figures[shown[i]].name));
}

static void put_baselines(struct hl_page *page, const json_t *baselines)
{
	size_t i;
	const json_t *one;
	hl_put(page, "<h3>Without a network</h3>\n<p>The same cases answered from next to nothing, fitted on the same "
	             "training parts. What is not beaten here has not been shown to need a network.</p>\n<div "
	             "class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Without a network\"><table>");
	put_heads(page, "answer by", "<th scope=\"col\">model&#8217;s ROC-AUC less this one</th>");
	json_array_foreach(baselines, i, one)
	{
		const char *name = json_string_value(json_object_get(one, "name"));
		struct hl_interval interval = interval_of(one, "auc_difference_interval");
		put_row_head(page, name ? name : "", "");
		put_json_cells(page, one);
		hl_put(page, "<td class=\"range\">%s%+.3f (", interval.low > 0 ? "" : "<strong>not shown:</strong> ",
		       number_of(one, "auc_difference"));
		hl_put_range(page, interval, 3);
		hl_put(page, ")</td></tr>\n");
	}
	hl_put(page, "</tbody></table></div>\n");
}

void hl_report_folds(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	const json_t *crossval = report->source[0].crossval, *folds = json_object_get(crossval, "folds"), *fold;
	const json_t *baselines = json_object_get(crossval, "baselines");
	size_t i;
	if (!json_is_array(folds))
		return;
	hl_section_open(page, "folds", "Fold by fold");
	hl_put(page, "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Folds\"><table>");
	put_heads(page, "fold", "<th scope=\"col\">cases</th>");
	json_array_foreach(folds, i, fold)
	{
		hl_put(page, "<tr><th scope=\"row\">%.0f</th>", number_of(fold, "fold"));
		put_json_cells(page, fold);
		hl_put(page, "<td>%.0f</td></tr>\n", number_of(fold, "n"));
	}
	put_row_head(page, "mean", "");
	put_json_cells(page, json_object_get(crossval, "mean"));
	hl_put(page, "<td></td></tr>\n");
	put_row_head(page, "standard deviation", "");
	put_json_cells(page, json_object_get(crossval, "sd"));
	hl_put(page, "<td></td></tr>\n</tbody></table></div>\n");
	if (json_array_size(baselines) > 0)
		put_baselines(page, baselines);
	hl_section_close(page);
}

/* ---- other inputs beside the first ---- */

static void put_comparison(struct hl_report *report, const struct hl_source *other)
{
	struct hl_page *page = &report->page;
	struct hilum_comparison *comparison = NULL;
	const struct hilum_score_options how = {.by = HILUM_BY_CASE,
	                                        .prevalence = report->options.scoring.prevalence,
	                                        .resamples = report->options.scoring.resamples,
	                                        .seed = report->options.scoring.seed};
	struct hilum_error error;
	hl_put(page, "<h3>");
	hl_put_escaped(page, other->input);
	hl_put(page, "</h3>\n");
	if (how.resamples == 0 || hilum_compare(report->source[0].scores, other->scores, &how, &comparison, &error)) {
		hl_put(page, "<p>Not compared case by case: ");
		hl_put_escaped(page, how.resamples == 0 ? "no intervals were asked for" : error.message);
		hl_put(page, ".</p>\n");
		return;
	}
	hl_put(page,
	       "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Comparison\"><table><caption>%zu "
	       "cases that both answered</caption><thead><tr><th scope=\"col\">figure</th><th "
	       "scope=\"col\">first</th><th scope=\"col\">this one</th><th scope=\"col\">difference</th><th "
	       "scope=\"col\">95&#8239;%% interval</th><th scope=\"col\">in words</th></tr></thead><tbody>\n",
	       comparison->n);
	for (int i = 0; i < HL_BRIER + 1; i++) {
		double first = comparison->figure[0][i], second = comparison->figure[1][i];
		if (isnan(first) || isnan(second))
			continue;
		put_row_head(page, hl_figures[i].title, "");
		put_figure_cell(page, first);
		put_figure_cell(page, second);
		hl_put(page, "<td>%+.3f</td>", first - second);
		put_range_cell(page, comparison->interval[i]);
		hl_put(page, "<td class=\"words\">%s</td></tr>\n",
		       !hl_comparison_is_significant(comparison, i) ? "not significant"
		       : hl_comparison_better(comparison, i) == 0   ? "first is better"
		                                                    : "this one is better");
	}
	hl_put(page, "</tbody></table></div>\n");
	hilum_comparison_free(comparison);
}

void hl_report_comparisons(struct hl_report *report)
{
	if (report->count < 2)
		return;
	hl_section_open(&report->page, "compared", "Compared with others on the same cases");
	for (size_t i = 1; i < report->count; i++)
		put_comparison(report, &report->source[i]);
	hl_section_close(&report->page);
}

/* ---- subgroups ---- */

#define SUBGROUPS_MAX 40

static void put_subgroup(struct hl_report *report, const char *value, const uint8_t *use, size_t n)
{
	struct hl_page *page = &report->page;
	const struct hl_table *all = &report->source[0].scores->table;
	size_t width = all->classes == 2 ? 1 : (size_t)all->classes, at = 0;
	int32_t *label = hl_alloc(n, sizeof(*label));
	double *probability = hl_alloc(n * width, sizeof(*probability));
	const char **group = hl_alloc(n, sizeof(*group));
	struct hilum_scores *scores = NULL;
	if (!label || !probability || !group)
		page->status = hl_fail_memory(&page->error, n * width * sizeof(*probability), "a subgroup");
	for (size_t i = 0; i < all->n && !page->status; i++) {
		if (!use[i])
			continue;
		label[at] = all->label[i];
		group[at] = all->group ? all->group[i] : NULL;
		memcpy(probability + at * width, all->probability + i * width, width * sizeof(*probability));
		at++;
	}
	struct hl_table table = *all;
	table.n = at;
	table.label = label;
	table.probability = probability;
	table.group = all->group ? group : NULL;
	table.id = NULL;
	struct hilum_score_options how = report->options.scoring;
	how.by = HILUM_BY_CASE;
	how.aggregate = HILUM_AGGREGATE_AUTO;
	if (!page->status)
		page->status = hl_scores_from_table(&table, &how, &scores, &page->error);
	if (!page->status) {
		put_row_head(page, value[0] ? value : "(missing)", "");
		hl_put(page, "<td>%zu</td><td>%lld</td>", at, (long long)scores->metrics.per_class[1].count);
		put_figure_cell(page, scores->metrics.auc);
		put_range_cell(page, scores->interval[HL_AUC]);
		put_figure_cell(page, scores->metrics.sensitivity);
		put_figure_cell(page, scores->metrics.specificity);
		put_figure_cell(page, scores->metrics.log_loss);
		hl_put(page, "</tr>\n");
	}
	hilum_scores_free(scores);
	hl_free(label);
	hl_free(probability);
	hl_free(group);
}

/* The value of the column for each case, "" where there is none. */
static enum hilum_status look_up(struct hl_report *report, const char **value)
{
	const struct hl_table *cases = &report->source[0].scores->table;
	const struct hl_csv *csv = &report->table;
	struct hilum_error *error = &report->page.error;
	int path = hl_csv_column(csv, "path"), column = hl_csv_column(csv, report->options.subgroups);
	if (path < 0 || column < 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "subgroups: the table has no column \"%.60s\"",
		               path < 0 ? "path" : report->options.subgroups);
	for (size_t i = 0; i < cases->n; i++) {
		value[i] = "";
		for (size_t row = 0; row < csv->rows; row++) {
			size_t at = (row + i) % csv->rows; /* tables are mostly in one order */
			if (strcmp(hl_csv_get(csv, at, (size_t)path), cases->id[i]) == 0) {
				value[i] = hl_csv_get(csv, at, (size_t)column);
				break;
			}
		}
	}
	return HILUM_OK;
}

void hl_report_subgroups(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	const struct hl_table *cases = &report->source[0].scores->table;
	if (!report->options.subgroups || page->status || !cases->id || report->table.rows == 0)
		return;
	const char **value = hl_alloc(cases->n, sizeof(*value));
	uint8_t *use = hl_alloc(cases->n, 1), *done = hl_alloc(cases->n, 1);
	int written = 0;
	if (!value || !use || !done)
		page->status = hl_fail_memory(&page->error, cases->n * sizeof(*value), "subgroups");
	else
		page->status = look_up(report, value);
	hl_section_open(page, "subgroups", "Subgroups");
	hl_put(page,
	       "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Subgroups\"><table><thead><tr><th "
	       "scope=\"col\">");
	hl_put_escaped(page, report->options.subgroups);
	hl_put(page,
	       "</th><th scope=\"col\">cases</th><th scope=\"col\">positive</th><th scope=\"col\">ROC-AUC</th><th "
	       "scope=\"col\">95&#8239;%% interval</th><th scope=\"col\">sensitivity</th><th "
	       "scope=\"col\">specificity</th><th scope=\"col\">log loss</th></tr></thead><tbody>\n");
	for (size_t i = 0; value && use && done && i < cases->n && !page->status; i++) {
		size_t n = 0;
		if (done[i])
			continue;
		for (size_t k = i; k < cases->n; k++)
			done[k] |= use[k] = strcmp(value[k], value[i]) == 0;
		for (size_t k = 0; k < cases->n; k++) {
			use[k] = k >= i && use[k];
			n += use[k];
		}
		if (written++ == SUBGROUPS_MAX)
			page->status = hl_fail(&page->error, HILUM_ERROR_LIMIT,
			                       "subgroups: \"%.60s\" has more than %d different values",
			                       report->options.subgroups, SUBGROUPS_MAX);
		else
			put_subgroup(report, value[i], use, n);
	}
	hl_put(page,
	       "</tbody></table></div>\n<p class=\"note\">Subgroups are small, and one in twenty intervals misses by "
	       "chance: look for what is large.</p>\n");
	hl_section_close(page);
	hl_free(value);
	hl_free(use);
	hl_free(done);
}

/* ---- robustness ---- */

/* A difference and its interval as a line about 0, from -LEFT to +RIGHT; what lies beyond is cut off. */
static void put_whisker(struct hl_page *page, double value, struct hl_interval interval)
{
	const double left = -0.3, right = 0.1, width = 160;
	double x[3] = {interval.low, value, interval.high};
	for (int i = 0; i < 3; i++)
		x[i] = (fmin(fmax(x[i], left), right) - left) / (right - left) * width;
	hl_put(page, "<td>");
	if (!isnan(value))
		hl_put(
		    page,
		    "<svg class=\"whisker\" width=\"%.0f\" height=\"16\" viewBox=\"0 0 %.0f 16\" aria-hidden=\"true\">"
		    "<path class=\"axis\" d=\"M%.1f 0V16\"/>",
		    width, width, -left / (right - left) * width);
	if (!isnan(value) && !isnan(interval.low))
		hl_put(page, "<path class=\"line\" d=\"M%.1f 8H%.1f\"/>", x[0], x[2]);
	if (!isnan(value))
		hl_put(page, "<circle class=\"point\" cx=\"%.1f\" cy=\"8\" r=\"4\"/></svg>", x[1]);
	hl_put(page, "</td>");
}

static void put_flaw(struct hl_page *page, const json_t *row, double plain, double cases)
{
	const char *name = json_string_value(json_object_get(row, "flaw"));
	struct hl_flaw flaw = {.strength = number_of(row, "strength")};
	struct hl_interval interval = interval_of(row, "auc_difference_interval");
	char text[HL_FLAW_TEXT];
	while (flaw.kind < HL_FLAW_KINDS && (!name || strcmp(name, hl_flaw_names[flaw.kind].name) != 0))
		flaw.kind++;
	if (flaw.kind == HL_FLAW_KINDS)
		return;
	hl_flaw_print(&flaw, text);
	put_row_head(page, text, "");
	put_figure_cell(page, number_of(row, "auc"));
	put_figure_cell(page, number_of(row, "auc") - plain);
	put_range_cell(page, interval);
	put_whisker(page, number_of(row, "auc") - plain, interval);
	put_figure_cell(page, number_of(row, "accuracy"));
	hl_put(page, "<td>");
	hl_put_number(page, 100 * number_of(row, "changed") / cases, 1);
	hl_put(page, "&#8239;%%</td></tr>\n");
}

void hl_report_robustness(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	const json_t *root = report->source[0].robustness, *plain = json_object_get(root, "as_they_are"), *row;
	size_t i;
	if (!root)
		return;
	double auc = number_of(plain, "auc"), cases = number_of(root, "cases");
	hl_section_open(page, "robustness", "Robustness");
	hl_put(page, "<p>The same cases with one flaw at a time, put into the pictures as the network sees them: what "
	             "another scanner, another window or another archive may do. Differences are to the pictures as "
	             "they are (ROC-AUC ");
	hl_put_number(page, auc, 3);
	hl_put(page, "), with their 95&#8239;%% intervals.</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" "
	             "aria-label=\"Robustness\"><table><thead><tr>");
	static const char *const heads[] = {"flaw",         "ROC-AUC",  "difference",      "interval",
	                                    "-0.3 to +0.1", "accuracy", "called otherwise"};
	for (size_t h = 0; h < sizeof(heads) / sizeof(heads[0]); h++)
		hl_put(page, "<th scope=\"col\">%s</th>", heads[h]);
	hl_put(page, "</tr></thead><tbody>\n");
	json_array_foreach(json_object_get(root, "flaws"), i, row)
	{
		put_flaw(page, row, auc, cases);
	}
	hl_put(page, "</tbody></table></div>\n");
	hl_section_close(page);
}
