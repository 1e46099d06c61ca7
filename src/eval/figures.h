/* The figures of metrics.h computed with every group of cases counted any whole number of times: once each for the
 * figures themselves, as often as it was drawn for a resample, not at all when it is left out. Cases are ordered once,
 * so that each further set of counts costs one pass over them. */
#ifndef HL_EVAL_FIGURES_H
#define HL_EVAL_FIGURES_H
#include "eval/metrics.h"

/* Places in hl_figures. */
enum {
	HL_LOG_LOSS,
	HL_ACCURACY,
	HL_BALANCED_ACCURACY,
	HL_SENSITIVITY,
	HL_SPECIFICITY,
	HL_PRECISION,
	HL_F1,
	HL_MCC,
	HL_AUC,
	HL_AVERAGE_PRECISION,
	HL_BRIER,
	HL_SENSITIVITY_AT_SPECIFICITY_90,
	HL_SENSITIVITY_AT_SPECIFICITY_95,
	HL_SPECIFICITY_AT_SENSITIVITY_90,
	HL_SPECIFICITY_AT_SENSITIVITY_95,
	HL_PPV,
	HL_NPV,
	HL_FIGURES
};

/* What a table's figures are computed from. */
struct hl_counting {
	size_t n, groups;
	int32_t classes;
	double prevalence;
	uint32_t *group;       /* of each case: 0 .. groups-1, in the order of the groups' names */
	uint8_t *actual;       /* of each case: its class, and the one that it is called */
	uint8_t *predicted;    /* */
	double *loss, *square; /* of each case: minus the log of the true class's probability, and the square error */
	/* Cases by falling probability, one run of n for class 1 of two or for each class of more: group * 4, + 2 where
	 * the case is of that class, + 1 where the next case has another probability. */
	uint32_t *order;
};

/* The table must have passed hl_table_check. hl_counting_free. Groups are those of the table; without any, and where
 * single is true, every case is its own. At most HL_GROUPS_MAX. */
#define HL_GROUPS_MAX ((size_t)1 << 30)
enum hilum_status hl_counting_create(const struct hl_table *table, bool single, struct hl_counting *out,
                                     struct hilum_error *error);
void hl_counting_free(struct hl_counting *counting);

/* All figures with group g counted count[g] times, NULL for once each; NaN where one is undefined. per_class holds
 * counting->classes entries and confusion so many rows; both may be NULL. Any number of threads. */
void hl_counting_figures(const struct hl_counting *counting, const uint32_t *count, double figure[HL_FIGURES],
                         struct hl_class_metrics *per_class, int64_t (*confusion)[HL_METRICS_CLASSES_MAX]);

/* Those that follow from a confusion matrix alone; the others are left as they are. */
void hl_confusion_figures(int32_t classes, double prevalence, int64_t (*confusion)[HL_METRICS_CLASSES_MAX],
                          double figure[HL_FIGURES], struct hl_class_metrics *per_class);

/* Areas under the ROC and the precision-recall curve of plain scores; label 1 is positive, any other negative. False
 * without memory. */
bool hl_areas(const int32_t *label, const double *score, size_t n, double *auc, double *average_precision);
#endif
