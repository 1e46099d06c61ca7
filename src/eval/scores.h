/* Scores: a table with its metrics, printable. Public as struct hilum_scores. */
#ifndef HL_EVAL_SCORES_H
#define HL_EVAL_SCORES_H
#include "eval/aggregate.h"
#include "eval/calibration.h"
#include "eval/confidence.h"
#include "eval/delong.h"

struct hl_dataset;
struct hl_predictions;

struct hilum_scores {
	struct hl_metrics metrics;
	struct hl_table table; /* owned copies */
	size_t groups;         /* different ones; 0 where none were given */
	struct hl_interval interval[HL_FIGURES];
	int64_t resamples; /* behind them; 0: there are none */
	struct hl_reliability reliability;
	struct hl_delong delong;   /* of single cases of two classes; otherwise NaN */
	const char *aggregate;     /* how cases were made into groups: "mean", ...; NULL: they were not */
	bool chosen_on_validation; /* that way */
	size_t cases;              /* that were made into groups; 0: they were not */
	int64_t leaks;             /* pairs of one picture across the model's own split that its training was allowed */
	size_t unreadable;
	size_t refused, unusual; /* cases that a prediction would refuse; that lie far from the training pictures */
	char part[16];           /* "test", "all", ...; empty when scored from a table */
};

/* The entries of hilum_score_option_table, at a member of that type in any structure; an option table's OPTION(place,
 * name, kind, ...) must be defined. */
#define HL_SCORE_OPTIONS(at)                                                                                           \
	OPTION(at by, "by", CHOICE, .choices = hl_bys, .initial = "case",                                              \
	       .help = "score every case, or every group (patient) as one"),                                           \
	    OPTION(at aggregate, "aggregate", CHOICE, .choices = hl_aggregates, .initial = "auto",                     \
	           .help = "with --by group, how the probabilities of a group's cases become one; auto: on a model's " \
	                   "own test part the way with the largest ROC-AUC on its validation part, otherwise mean"),   \
	    OPTION(at prevalence, "prevalence", REAL, .minimum = 0, .maximum = 1, .initial = "0", .value = "SHARE",    \
	           .help = "share of positives where the model would be used: PPV, NPV and the decision curve are "    \
	                   "computed for it; 0 means not stated"),                                                     \
	    OPTION(at resamples, "resamples", INT, .minimum = 0, .maximum = HL_RESAMPLES_MOST, .initial = "2000",      \
	           .value = "N", .help = "draws of groups behind the 95 % intervals, 100 or more; 0: no intervals"),   \
	    OPTION(at seed, "seed", INT, .minimum = 0, .maximum = 9007199254740992, .initial = "1", .value = "N",      \
	           .help = "of those draws")
extern const char *const hl_bys[]; /* "case", "group" */

/* HILUM_ERROR_ARGUMENT where options contradict themselves or are out of range; resamples are checked when used. */
enum hilum_status hl_scoring_check(const struct hilum_score_options *scoring, struct hilum_error *error);
/* The way to make groups where there is no validation part: the mean for auto. */
enum hilum_aggregate hl_scoring_aggregate(const struct hilum_score_options *scoring);

/* Copies what it needs. Groups are kept where the data set was given some. NULL scoring: the defaults. */
enum hilum_status hl_scores_from_predictions(const struct hl_dataset *dataset, const struct hl_predictions *predictions,
                                             const char *part, const struct hilum_score_options *scoring,
                                             struct hilum_scores **out, struct hilum_error *error);
/* The same from any table. */
enum hilum_status hl_scores_from_table(const struct hl_table *table, const struct hilum_score_options *scoring,
                                       struct hilum_scores **out, struct hilum_error *error);
/* One JSON object on one line as a new string (hl_free), or NULL without memory. */
char *hl_scores_json(const struct hilum_scores *scores);
/* path,label,probability,group (binary; label 0/1) or path,label,p_CLASS...,group. Probabilities with 17 digits. */
enum hilum_status hl_scores_write_predictions(const struct hilum_scores *scores, const char *path,
                                              struct hilum_error *error);
#endif
