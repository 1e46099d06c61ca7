/* Cases made into one for each group: slices into patients. */
#ifndef HL_EVAL_AGGREGATE_H
#define HL_EVAL_AGGREGATE_H
#include "eval/metrics.h"

extern const char *const hl_aggregates[]; /* "auto", "mean", "max", "noisy-or": names of enum hilum_aggregate */

/* A table of groups in the order of their names. id and group borrow the names of the table that it was made from. */
struct hl_grouped {
	int32_t *label;
	double *probability;
	const char **id;
	struct hl_table table;
};

/* Two classes: a group's label is 1 where any of its cases has 1; its probability is the mean, the largest, or one
 * minus the product of the complements (noisy or: at least one of independent findings). More classes: the mean only
 * (and with it auto), and the cases of a group must have one label. Auto is the mean. HILUM_ERROR_DATA where the table
 * has no groups. hl_grouped_free. */
enum hilum_status hl_table_aggregate(const struct hl_table *table, enum hilum_aggregate how, struct hl_grouped *out,
                                     struct hilum_error *error);
void hl_grouped_free(struct hl_grouped *grouped);
#endif
