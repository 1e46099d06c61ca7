/* The report: one HTML file without any request to elsewhere. docs/decisions/0017 says why it is drawn by hand.
 *
 * report.c          inputs, order of the sections, the file
 * report_html.c     text, numbers and pictures as HTML
 * report_plots.c    curves as SVG
 * report_tables.c   figures, folds, baselines, comparisons, subgroups, robustness
 * report_card.c     where the data came from, model card, check lists
 * report_cases.c    the worst errors as pictures, with heat
 * report.css, .js   embedded when building; the script only moves the threshold, all else stands without it */
#ifndef HL_EVAL_REPORT_H
#define HL_EVAL_REPORT_H
#include "base/buffer.h"
#include "base/csv.h"
#include "data/dataset.h"
#include "eval/compare.h"
#include "eval/scores.h"
#include "model/model.h"

#include <jansson.h>

/* ---- writing: the first failure stays, and what is written after it is dropped ---- */

struct hl_page {
	struct hl_buffer html;
	enum hilum_status status;
	struct hilum_error error;
};

/* Markup as it is. */
void hl_put(struct hl_page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Text: what would be markup is escaped, control characters become "?", bytes that are not UTF-8 U+FFFD. */
void hl_put_escaped(struct hl_page *page, const char *text);
/* With so many decimals, or a dash. */
void hl_put_number(struct hl_page *page, double value, int decimals);
/* "LOW to HIGH", or nothing. */
void hl_put_range(struct hl_page *page, struct hl_interval interval, int decimals);
/* An 8-bit picture, grey (channels 1) or RGB (3), as the source of an img: "data:image/png;base64,...". */
void hl_put_picture(struct hl_page *page, const uint8_t *pixels, int32_t width, int32_t height, int32_t channels);
/* Lines of an embedded file. */
void hl_put_lines(struct hl_page *page, const char *const *lines);
extern const char *const hl_report_css[], *const hl_report_js[];

void hl_section_open(struct hl_page *page, const char *id, const char *title);
void hl_section_close(struct hl_page *page);

/* ---- what is reported ---- */

struct hl_source {
	const char *input;
	bool is_run, is_crossval;
	char *predictions;           /* path of the table */
	struct hilum_scores *scores; /* of it */
	struct hl_csv log, split;    /* rows 0: none */
	struct hilum_model *model;   /* of a run */
	json_t *provenance, *options, *crossval, *audit, *robustness;
	char *command;
};

struct hl_report {
	struct hilum_report_options options;
	struct hl_source *source;
	size_t count;
	struct hl_dataset *dataset; /* where pictures are; NULL: not known */
	char *data;                 /* its path */
	struct hl_csv table;        /* for subgroups */
	struct hl_page page;
};

static inline double hl_figure_of(const struct hilum_scores *scores, int figure)
{
	return hl_figure_get(&scores->metrics, hl_figures[figure].offset);
}
/* A text option of the first run's, or NULL where it is not known or empty. */
const char *hl_report_option(const struct hl_report *report, const char *name);
/* Two classes with cases of both, which curves need. */
bool hl_report_is_binary(const struct hl_report *report);

void hl_report_curves(struct hl_report *report);      /* ROC, precision-recall, threshold, decision curve */
void hl_report_reliability(struct hl_report *report); /* calibration */
void hl_report_learning(struct hl_report *report);
void hl_report_figures(struct hl_report *report);
void hl_report_confusion(struct hl_report *report);
void hl_report_folds(struct hl_report *report);
void hl_report_comparisons(struct hl_report *report);
void hl_report_subgroups(struct hl_report *report);
void hl_report_flow(struct hl_report *report);
void hl_report_model_card(struct hl_report *report);
void hl_report_checklist(struct hl_report *report);
void hl_report_robustness(struct hl_report *report);
void hl_report_errors(struct hl_report *report);
#endif
