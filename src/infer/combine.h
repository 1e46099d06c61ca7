/* How the probabilities of several looks at one thing become one: slices of a case, cases of a patient. */
#ifndef HL_INFER_COMBINE_H
#define HL_INFER_COMBINE_H
#include "base/error.h"

/* Two classes. Of the count probabilities at index (NULL: the first count), step values apart: the mean (also for
 * auto), the largest, or one minus the product of the complements (noisy or: at least one of independent findings). */
double hl_combine(enum hilum_aggregate how, const double *probability, size_t step, const size_t *index, size_t count);

/* Any number of classes: the mean of count rows, which sums to one. */
void hl_combine_rows(const double *probability, size_t classes, const size_t *index, size_t count, double *out);

/* A case's slices: count rows, two classes by how, more by the mean of the rows. out may be the first row. */
void hl_combine_slices(enum hilum_aggregate how, const double *probability, size_t classes, size_t count, double *out);

/* Samples to cases, in place: each run of rows with the same index becomes one row, as hl_combine_slices makes it by
 * the mean; a row alone stays as it is. Returns how many rows are left. */
size_t hl_combine_runs(uint32_t *index, double *probability, size_t classes, size_t count);
#endif
