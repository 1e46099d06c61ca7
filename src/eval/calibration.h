/* How far probabilities mean what they say, and maps that make them do so (model/calibration.h). */
#ifndef HL_EVAL_CALIBRATION_H
#define HL_EVAL_CALIBRATION_H
#include "eval/confidence.h"
#include "model/calibration.h"

/* Reliability. Two classes: the probability of class 1 and whether the case has it; more: the probability of the class
 * called and whether that is right (Guo et al., "On calibration of modern neural networks", ICML 2017).
 *
 * Bins of equal mass: as many as there are ten cases for, from 1 to 10, each ended where the probability changes.
 * ECE: over bins, the mean distance of mean probability and observed share, weighted by cases.
 * Slope, intercept: logistic regression of the label on the logit, two classes (Cox 1958; Van Calster et al., "A
 * calibration hierarchy for risk models was defined", J. Clin. Epidemiol. 74, 2016): 1 and 0 are right; a slope below 1
 * is too sure, an intercept below 0 (at a slope of 1) too high. Their intervals by the jackknife over groups (one
 * Newton step each), with the degrees of freedom of confidence.h. NaN where the regression has no end: labels that the
 * logit parts, one class, or one probability. */
#define HL_BINS_MAX 10
struct hl_reliability {
	size_t bins;
	struct hl_bin {
		size_t n;
		double low, high; /* least and largest probability */
		double mean, share;
	} bin[HL_BINS_MAX];
	double ece, slope, intercept;
	struct hl_interval slope_interval, intercept_interval;
};

/* counting: of the same table. */
enum hilum_status hl_reliability_compute(const struct hl_table *table, const struct hl_counting *counting,
                                         struct hl_reliability *out, struct hilum_error *error);

/* Logistic regression of a target in [0, 1] on one number, by Newton's method with halved steps. False where there is
 * no end. use: cases that count, NULL for all. */
bool hl_logistic(const double *x, const double *target, const uint8_t *use, size_t n, double *slope, double *intercept);

/* Fits a map on the cases of a table that use names (NULL: all).
 *
 * temperature  the slope with the least log loss
 * platt        slope and intercept with the targets (N1 + 1)/(N1 + 2) and 1/(N0 + 2) (Platt 1999; Lin, Lin and Weng
 *              2007). HILUM_ERROR_DATA where the slope is not above 0: the model ranks the wrong way round
 * isotonic     pool adjacent violators (Ayer et al. 1955; Zadrozny and Elkan 2002), held to [1/(N + 2), 1 - 1/(N + 2)],
 *              for no finite number of cases shows that something never happens
 *
 * HILUM_ERROR_DATA where a class is missing. hl_calibration_free. */
enum hilum_status hl_calibration_fit(const struct hl_table *table, enum hl_map_kind kind, const uint8_t *use,
                                     struct hl_calibration *out, struct hilum_error *error);

/* Mean log loss of each kind of map on cases whose group took no part in its fit: 5 folds of whole groups (as many as
 * there are groups, where fewer), drawn with the seed; NaN for a kind that the classes do not allow or that could not
 * be fitted.
 *
 * best: the first kind from which no later one takes over. One takes over where its loss is significantly lower (95 %,
 * over groups); isotonic only from 1,000 cases and 100 groups on, because with fewer it follows chance
 * (Niculescu-Mizil and Caruana, ICML 2005). */
#define HL_MAP_KINDS 4
enum hilum_status hl_calibration_try(const struct hl_table *table, const struct hl_counting *counting, uint64_t seed,
                                     double loss[HL_MAP_KINDS], enum hl_map_kind *best, struct hilum_error *error);

/* Split conformal prediction within each class (Vovk, "Conditional validity of inductive conformal predictors", 2012):
 * sets the conformal part of a calibration from the network's own probabilities. Of new cases of class 1 exchangeable
 * with those of the table, at most alpha are below low_below in the mean over tables; of class 0, above high_above.
 * Where groups hold several cases of a class, one of each, drawn with the seed, stands for it, and so the new case is
 * one of its class drawn from a new group (Dunn, Wasserman and Ramdas, "Distribution-free prediction sets for two-layer
 * hierarchical models", JASA 2022): cases of one group are not exchangeable. used: cases of class 0 and 1 that were. */
enum hilum_status hl_conformal_fit(const struct hl_table *table, const struct hl_counting *counting, double alpha,
                                   uint64_t seed, struct hl_calibration *out, size_t used[2],
                                   struct hilum_error *error);
#endif
