/* What is known of where the figures come from, and what the authors of a study still have to say. */
#include "eval/report.h"

#include <math.h>
#include <string.h>

/* ---- data flow ---- */

enum { PARTS = 3 };

static void count_split(const struct hl_csv *split, size_t cases[PARTS], size_t groups[PARTS])
{
	int part = hl_csv_column(split, "part"), group = hl_csv_column(split, "group");
	for (size_t row = 0; part >= 0 && row < split->rows; row++)
		for (int p = 0; p < PARTS; p++) {
			if (strcmp(hl_csv_get(split, row, (size_t)part), hl_part_names[p]) != 0)
				continue;
			cases[p]++;
			/* A group stands in one part only, and its rows are counted at its first one. */
			bool first = group >= 0;
			for (size_t before = row; before-- > 0 && first;)
				first = strcmp(hl_csv_get(split, before, (size_t)group),
				               hl_csv_get(split, row, (size_t)group)) != 0;
			groups[p] += first;
		}
}

static void put_box(struct hl_page *page, const char *title, size_t cases, size_t groups)
{
	hl_put(page, "<li><strong>%s</strong><span>%zu cases</span>", title, cases);
	if (groups)
		hl_put(page, "<span>%zu groups</span>", groups);
	hl_put(page, "</li>\n");
}

static void put_parts(struct hl_page *page, const struct hl_source *source, bool grouped)
{
	static const char *const titles[PARTS] = {"training", "validation", "test"};
	size_t cases[PARTS] = {0}, groups[PARTS] = {0};
	count_split(&source->split, cases, groups);
	hl_put(page, "<ol class=\"flow\">\n");
	put_box(page, "data set", cases[0] + cases[1] + cases[2], grouped ? groups[0] + groups[1] + groups[2] : 0);
	for (int p = 0; p < PARTS; p++)
		put_box(page, titles[p], cases[p], grouped ? groups[p] : 0);
	hl_put(page, "</ol>\n");
}

void hl_report_flow(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	const struct hl_source *source = &report->source[0];
	const struct hilum_scores *scores = source->scores;
	bool grouped =
	    source->provenance ? json_is_true(json_object_get(source->provenance, "grouped")) : scores->groups > 0;
	hl_section_open(page, "data", "Where the cases came from");
	if (source->split.rows)
		put_parts(page, source, grouped);
	hl_put(page, "<dl class=\"facts\"><div><dt>scored</dt><dd>%zu</dd></div>", scores->metrics.n);
	for (int32_t c = 0; c < scores->metrics.classes; c++) {
		hl_put(page, "<div><dt>");
		hl_put_escaped(page, scores->table.names[c]);
		hl_put(page, "</dt><dd>%lld</dd></div>", (long long)scores->metrics.per_class[c].count);
	}
	hl_put(page, "<div><dt>groups</dt><dd>");
	if (scores->groups)
		hl_put(page, "%zu", scores->groups);
	else
		hl_put(page, "not given");
	hl_put(page, "</dd></div></dl>\n");
	if (!scores->groups)
		hl_put(page, "<p class=\"warning\"><strong>No groups were given.</strong> If several cases are of one "
		             "patient, they may stand on both sides of the split, and the figures flatter.</p>\n");
	if (json_is_true(json_object_get(source->provenance, "shuffled_labels")))
		hl_put(page,
		       "<p class=\"warning\"><strong>A control:</strong> labels were shuffled; the figures should be "
		       "chance.</p>\n");
	if (json_integer_value(json_object_get(source->provenance, "leaks")) > 0)
		hl_put(page,
		       "<p class=\"warning\"><strong>Leakage was allowed:</strong> look-alikes stand on both sides of "
		       "the split, and the figures flatter.</p>\n");
	if (source->audit) {
		size_t leaks = json_array_size(json_object_get(source->audit, "leaks"));
		size_t pairs = json_array_size(json_object_get(source->audit, "pairs"));
		hl_put(page, "<p>Audit: %zu pairs of look-alikes, %zu of them across the split.</p>\n", pairs, leaks);
	}
	hl_section_close(page);
}

/* ---- model card ---- */

static void put_fact(struct hl_page *page, const char *name, const char *value)
{
	if (!value || !value[0])
		return;
	hl_put(page, "<div><dt>%s</dt><dd>", name);
	hl_put_escaped(page, value);
	hl_put(page, "</dd></div>\n");
}

void hl_report_model_card(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	const struct hl_source *source = &report->source[0];
	const char *arch = hl_report_option(report, "arch");
	hl_section_open(page, "card", "Model card");
	hl_put(page, "<dl class=\"facts wide\">\n");
	put_fact(page, "intended use", "research; not a medical device, and no basis for a diagnosis or its exclusion");
	put_fact(page, "network", source->options ? arch ? arch : "seed" : NULL);
	put_fact(page, "input, pixels a side", hl_report_option(report, "size"));
	put_fact(page, "epochs", hl_report_option(report, "epochs"));
	put_fact(page, "augmentation", hl_report_option(report, "augment"));
	put_fact(page, "seed", hl_report_option(report, "seed"));
	put_fact(page, "numbers inside", hl_report_option(report, "precision"));
	put_fact(page, "data set (SHA-256)", json_string_value(json_object_get(source->provenance, "dataset")));
	put_fact(page, "split (SHA-256)", json_string_value(json_object_get(source->provenance, "split")));
	put_fact(page, "calibration",
	         source->model ? source->model->calibration ? "stored in the model" : "none" : NULL);
	put_fact(page, "made by", hilum_version());
	put_fact(page, "known limits",
	         "says nothing of other patients, scanners or hospitals than those of the cases above");
	hl_put(page, "</dl>\n");
	if (source->command) {
		hl_put(page, "<h3>To do it again</h3>\n<pre tabindex=\"0\"><code>");
		hl_put_escaped(page, source->command);
		hl_put(page, "</code></pre>\n");
	}
	hl_section_close(page);
}

/* ---- check list ---- */

/* Items after CLAIM 2024 (Tejani et al., Radiology: Artificial Intelligence 6, 2024, e240300) and TRIPOD+AI (Collins et
 * al., BMJ 385, 2024, e078378), in our words; what a program can know is filled in. */
struct item {
	const char *topic, *what;
	enum {
		BY_AUTHORS,
		ALWAYS,
		WITH_RUN,
		WITH_SPLIT,
		WITH_GROUPS,
		WITH_INTERVALS,
		WITH_ERRORS,
		WITH_SUBGROUPS
	} known;
	const char *where; /* what is filled in */
};

static const struct item items[] = {
    {"Title and abstract", "names the method as machine learning and the task (CLAIM 1, 2; TRIPOD+AI 1, 2)", BY_AUTHORS,
     NULL},
    {"Background", "clinical role, and what is known of alternatives (CLAIM 3; TRIPOD+AI 3)", BY_AUTHORS, NULL},
    {"Aims", "hypothesis; development, evaluation or both (CLAIM 4; TRIPOD+AI 4)", BY_AUTHORS, NULL},
    {"Design", "prospective or retrospective (CLAIM 5)", BY_AUTHORS, NULL},
    {"Data", "sources, dates, places, licences (CLAIM 7; TRIPOD+AI 5)", BY_AUTHORS, NULL},
    {"Data", "who was included and left out, and why (CLAIM 8; TRIPOD+AI 6)", BY_AUTHORS, NULL},
    {"Data", "how many cases and groups in each part (CLAIM 20, 21; TRIPOD+AI 20)", WITH_SPLIT,
     "Where the cases came from"},
    {"Preparation", "how a scan becomes the input (CLAIM 9; TRIPOD+AI 7)", WITH_RUN,
     "Model card; recipe.json of the run"},
    {"De-identification", "how it was done (CLAIM 12)", BY_AUTHORS, NULL},
    {"Reference standard", "what the labels are and who gave them; agreement (CLAIM 14 to 17; TRIPOD+AI 8)", BY_AUTHORS,
     NULL},
    {"Split", "parts kept apart by patient (CLAIM 20, 21)", WITH_GROUPS, "whole groups on one side of the split"},
    {"Sample size", "how it was chosen (CLAIM 19; TRIPOD+AI 10)", BY_AUTHORS, NULL},
    {"Missing data", "how it was handled (CLAIM 13; TRIPOD+AI 11)", BY_AUTHORS, NULL},
    {"Model", "network and its beginning (CLAIM 22, 24; TRIPOD+AI 12)", WITH_RUN, "Model card; arch.txt of the run"},
    {"Model", "software and versions (CLAIM 23)", ALWAYS, "Model card"},
    {"Training", "augmentation, hyperparameters, choice of the final model (CLAIM 25, 26; TRIPOD+AI 12)", WITH_RUN,
     "the command under Model card"},
    {"Fairness", "what was done about it (TRIPOD+AI 14)", WITH_SUBGROUPS, "Subgroups"},
    {"Evaluation", "measures, and how uncertain they are (CLAIM 28, 29; TRIPOD+AI 12, 23)", WITH_INTERVALS,
     "All figures"},
    {"Evaluation", "calibration (TRIPOD+AI 12, 23)", ALWAYS, "Whether probabilities mean what they say"},
    {"Evaluation", "external test data (CLAIM 32)", BY_AUTHORS, NULL},
    {"Errors", "cases that were called wrongly (CLAIM 37)", WITH_ERRORS, "The worst errors"},
    {"Explanation", "methods and whether they were checked (CLAIM 31)", BY_AUTHORS, NULL},
    {"Limits", "bias, uncertainty, where it does not hold (CLAIM 38; TRIPOD+AI 26)", BY_AUTHORS, NULL},
    {"Use", "what a person is to do with an answer (CLAIM 39; TRIPOD+AI 27)", BY_AUTHORS, NULL},
    {"Openness", "protocol, registration, data, code, funding (CLAIM 40 to 44; TRIPOD+AI 18)", BY_AUTHORS, NULL},
};

static bool is_known(const struct hl_report *report, const struct item *item)
{
	const struct hl_source *source = &report->source[0];
	switch (item->known) {
	case ALWAYS:
		return true;
	case WITH_RUN:
		return source->options != NULL;
	case WITH_SPLIT:
		return source->split.rows > 0;
	case WITH_GROUPS:
		return source->is_run && source->scores->groups > 0;
	case WITH_INTERVALS:
		return source->scores->resamples > 0;
	case WITH_ERRORS:
		return source->scores->table.id && report->options.errors > 0;
	case WITH_SUBGROUPS:
		return report->options.subgroups != NULL;
	case BY_AUTHORS:
		return false;
	}
	return false;
}

void hl_report_checklist(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	size_t known = 0, total = sizeof(items) / sizeof(items[0]);
	for (size_t i = 0; i < total; i++)
		known += is_known(report, &items[i]);
	hl_section_open(page, "checklist", "Check list");
	hl_put(page,
	       "<p>After CLAIM 2024 and TRIPOD+AI, in short words: %zu of %zu are filled in, the others are for the "
	       "authors. The guidelines themselves say more.</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" "
	       "aria-label=\"Check list\"><table class=\"list\"><thead><tr><th scope=\"col\">topic</th><th "
	       "scope=\"col\">to be said</th><th scope=\"col\">where</th></tr></thead><tbody>\n",
	       known, total);
	for (size_t i = 0; i < total; i++) {
		hl_put(page, "<tr><th scope=\"row\">%s</th><td>%s</td>", items[i].topic, items[i].what);
		if (is_known(report, &items[i]))
			hl_put(page, "<td>%s</td></tr>\n", items[i].where);
		else
			hl_put(page, "<td><span class=\"todo\">TODO</span></td></tr>\n");
	}
	hl_put(page, "</tbody></table></div>\n");
	hl_section_close(page);
}
