/* Scores: a table with its metrics, printable. Public as struct hilum_scores. */
#ifndef HL_EVAL_SCORES_H
#define HL_EVAL_SCORES_H
#include "eval/metrics.h"

struct hl_dataset;
struct hl_predictions;

struct hilum_scores {
	struct hl_metrics metrics;
	struct hl_table table; /* owned copies */
	size_t groups;         /* different ones; 0 where none were given */
	size_t unreadable;
	char part[16]; /* "test", "all", ...; empty when scored from a table */
};

/* Copies what it needs. Groups are kept where the data set was given some. */
enum hilum_status hl_scores_from_predictions(const struct hl_dataset *dataset, const struct hl_predictions *predictions,
                                             const char *part, struct hilum_scores **out, struct hilum_error *error);
/* The same from any table. */
enum hilum_status hl_scores_from_table(const struct hl_table *table, struct hilum_scores **out,
                                       struct hilum_error *error);
/* One JSON object on one line as a new string (hl_free), or NULL without memory. */
char *hl_scores_json(const struct hilum_scores *scores);
/* path,label,probability,group (binary; label 0/1) or path,label,p_CLASS...,group. Probabilities with 17 digits. */
enum hilum_status hl_scores_write_predictions(const struct hilum_scores *scores, const char *path,
                                              struct hilum_error *error);
#endif
