/* Distributions that intervals and tests are read from. */
#ifndef HL_EVAL_DISTRIBUTION_H
#define HL_EVAL_DISTRIBUTION_H

#define HL_NORMAL_95 1.959963984540054 /* a standard normal lies within +- this with a probability of 0.95 */
double hl_normal_cdf(double x);        /* its inverse is in base/random.h */
/* Student's t with df > 0 degrees of freedom, not necessarily whole. Quantile: p in [0.5, 1), at most 1e6. */
double hl_student_cdf(double t, double df);
double hl_student_quantile(double p, double df);
#endif
