/* Variance of the area under the ROC curve where cases are independent: DeLong, DeLong and Clarke-Pearson, "Comparing
 * the areas under two or more correlated receiver operating characteristic curves", Biometrics 44, 1988, by the ranks
 * of Sun and Xu, IEEE Signal Process. Lett. 21, 2014. */
#ifndef HL_EVAL_DELONG_H
#define HL_EVAL_DELONG_H
#include "eval/confidence.h"

/* One or two scores of the same cases; the second's members are NaN where there is none. */
struct hl_delong {
	double auc[2], variance[2], covariance;
};

/* label 1 is positive, any other negative; b may be NULL. Variances are NaN with fewer than two cases of a kind. */
enum hilum_status hl_delong(const int32_t *label, const double *a, const double *b, size_t n, struct hl_delong *out,
                            struct hilum_error *error);
/* 95 % by the normal distribution, cut to [0, 1]. None where the variance is 0 or undefined: an area of 0 or 1. */
struct hl_interval hl_delong_interval(double auc, double variance);
/* Two-sided probability of a difference like this one or larger if the areas were the same; NaN where the variance of
 * the difference is 0. */
double hl_delong_test(const struct hl_delong *delong, double *variance);
#endif
