/* Mixup (Zhang et al., "mixup: Beyond empirical risk minimization", ICLR 2018): each sample of a batch is blended with
 * another of the same batch, and so are their targets. */
#ifndef HL_DATA_MIXUP_H
#define HL_DATA_MIXUP_H
#include "base/random.h"

/* For each of count samples its partner (a permutation) and the share of itself that it keeps, from Beta(alpha, alpha).
 */
void hl_mixup_draw(double alpha, uint64_t seed, uint32_t epoch, uint32_t step, uint32_t count, uint32_t *partner,
                   double *share);
#endif
