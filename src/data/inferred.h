/* Groups made of pairs: what stands in for patients where nobody says who they are. */
#ifndef HL_DATA_INFERRED_H
#define HL_DATA_INFERRED_H
#include "data/alike.h"

/* Single linkage: pictures that a chain of pairs joins are one group. group[i] of each of count cases: 0 .. groups-1 in
 * the order of their first cases. Returns the number of groups. */
uint32_t hl_inferred_groups(const struct hl_pairs *pairs, size_t count, uint32_t *group);

/* How far two groupings of the same cases agree beyond chance: 1 where they are the same, about 0 where they have
 * nothing to do with each other (Hubert and Arabie, "Comparing partitions", J. Classif. 2, 1985). NaN without memory.
 */
double hl_adjusted_rand(const uint32_t *a, const uint32_t *b, size_t count);
#endif
