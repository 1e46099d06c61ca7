/* Every figure that hilum prints of a table of labels and probabilities, each defined as scikit-learn defines it. */
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
};

#define HL_METRICS_CLASSES_MAX 64

/* NaN where a figure is undefined (AUC with one class only, ...). Threshold 0.5 in binary tasks, else the most probable
 * class. With more than two classes the plain figures are macro averages and the arrays hold one-against-rest ones. */
struct hl_metrics {
	size_t n;
	int32_t classes;
	double log_loss, accuracy, balanced_accuracy, sensitivity, specificity, precision, f1, mcc, auc,
	    average_precision, brier;
	/* The same figures of a model that knows only how frequent each class is: predicts the majority, with the
	 * observed frequencies as probabilities. */
	double baseline_log_loss, baseline_accuracy, baseline_balanced_accuracy, baseline_sensitivity,
	    baseline_specificity, baseline_precision, baseline_f1, baseline_mcc, baseline_auc,
	    baseline_average_precision, baseline_brier;
	int64_t confusion[HL_METRICS_CLASSES_MAX][HL_METRICS_CLASSES_MAX]; /* rows actual, columns predicted */
	struct hl_class_metrics {
		int64_t count;
		double sensitivity, specificity, precision, f1, auc, average_precision;
	} per_class[HL_METRICS_CLASSES_MAX];
};

/* Probabilities must be finite and in [0, 1] (rows of more than two classes: sum to 1 within 1e-3), labels in range. */
enum hilum_status hl_metrics_compute(const struct hl_table *table, struct hl_metrics *out, struct hilum_error *error);

/* Area under the ROC curve with ties counted half: the Mann-Whitney statistic. NaN with one class only. */
double hl_auc(const int32_t *label, const double *score, size_t n);
#endif
