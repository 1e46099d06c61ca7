/* Every figure that hilum prints of a table of labels and probabilities, each defined as scikit-learn defines it.
 *
 * log_loss           log_loss(y, p, labels=range(classes)) of scikit-learn 1.2: every probability is clipped to
 *                    [eps, 1 - eps] with eps = 2^-52, rows of more than two classes are then scaled to sum to 1
 * accuracy           accuracy_score
 * balanced_accuracy  balanced_accuracy_score: mean recall of the classes that occur
 * sensitivity        recall_score of class 1; 0 where there is no such case
 * specificity        recall_score of class 0; 0 where there is no such case
 * precision, f1      precision_score, f1_score of class 1 with zero_division=0
 * mcc                matthews_corrcoef; 0 where its denominator is 0
 * auc                roc_auc_score, undefined with one class only
 * average_precision  average_precision_score (no interpolation); 0 where there is no positive case
 * brier              brier_score_loss; with more classes the mean over cases of the sum of squares (Brier 1950)
 *
 * Two classes only, NaN with more of them or one in the table:
 * sensitivity_at_specificity_90 (95)  the largest sensitivity of all thresholds (p >= t) whose specificity is at least
 *                                     0.90 (0.95), both in this table, without interpolation; and the reverse
 * ppv, npv                            predictive values of the answers at 0.5 where hl_table.prevalence of all have
 *                                     class 1 (Bayes); NaN where no prevalence is stated
 *
 * With more than two classes sensitivity, specificity, precision, f1, auc (one against the rest) and average_precision
 * are unweighted means over all classes of the table. */
#ifndef HL_EVAL_METRICS_H
#define HL_EVAL_METRICS_H
#include "base/error.h"

/* A table of cases. Binary: classes = 2 and probability holds n values, that of class 1; otherwise n x classes rows. */
struct hl_table {
	size_t n;
	int32_t classes;
	const int32_t *label;
	const double *probability;
	const char *const *names; /* of classes */
	const char *const *id;    /* of cases, or NULL: numbered */
	const char *const *group; /* of cases, or NULL */
	double prevalence;        /* stated share of class 1 where the model would be used; 0: none */
};

#define HL_METRICS_CLASSES_MAX 64

/* NaN where a figure is undefined (AUC with one class only, ...). Threshold 0.5 in binary tasks, else the most probable
 * class, the first on ties. With more than two classes the plain figures are macro averages and the arrays hold
 * one-against-rest ones. */
struct hl_metrics {
	size_t n;
	int32_t classes;
	double log_loss, accuracy, balanced_accuracy, sensitivity, specificity, precision, f1, mcc, auc,
	    average_precision, brier, sensitivity_at_specificity_90, sensitivity_at_specificity_95,
	    specificity_at_sensitivity_90, specificity_at_sensitivity_95, ppv, npv;
	/* The same figures of a model that knows only how frequent each class is: predicts the majority (the first on
	 * ties), with the observed frequencies as probabilities. */
	double baseline_log_loss, baseline_accuracy, baseline_balanced_accuracy, baseline_sensitivity,
	    baseline_specificity, baseline_precision, baseline_f1, baseline_mcc, baseline_auc,
	    baseline_average_precision, baseline_brier, baseline_sensitivity_at_specificity_90,
	    baseline_sensitivity_at_specificity_95, baseline_specificity_at_sensitivity_90,
	    baseline_specificity_at_sensitivity_95, baseline_ppv, baseline_npv;
	int64_t confusion[HL_METRICS_CLASSES_MAX][HL_METRICS_CLASSES_MAX]; /* rows actual, columns predicted */
	struct hl_class_metrics {
		int64_t count;
		double sensitivity, specificity, precision, f1, auc, average_precision;
	} per_class[HL_METRICS_CLASSES_MAX];
};

/* The figures in the order in which they are printed; a NULL name ends the list. */
struct hl_figure {
	const char *name, *title; /* "log_loss", "log loss" */
	size_t offset, baseline;  /* of the two doubles in struct hl_metrics */
	bool less_is_better;
	bool sought;        /* at a threshold sought in the table itself; two classes only */
	bool of_prevalence; /* where one is stated; two classes only */
};
extern const struct hl_figure hl_figures[];
double hl_figure_get(const struct hl_metrics *metrics, size_t offset);

/* Probabilities must be finite and in [0, 1] (rows of more than two classes: sum to 1 within 1e-3), labels in range. */
enum hilum_status hl_metrics_compute(const struct hl_table *table, struct hl_metrics *out, struct hilum_error *error);

/* What hl_metrics_compute refuses. */
enum hilum_status hl_table_check(const struct hl_table *table, struct hilum_error *error);

/* The class that case i is called, and the probability given to a class. */
int32_t hl_table_predicted(const struct hl_table *table, size_t i);
double hl_table_probability(const struct hl_table *table, size_t i, int32_t class_index);
/* log of the (clipped) probability of the actual class; minus its mean is the log loss. */
double hl_table_log(const struct hl_table *table, size_t i);

/* Area under the ROC curve with ties counted half: the Mann-Whitney statistic. label 1 is positive, any other
 * negative. NaN with one class only, with a score that is NaN, or without memory. */
double hl_auc(const int32_t *label, const double *score, size_t n);
#endif
