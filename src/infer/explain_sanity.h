/* Whether heat may be believed: does it hang on what the network has learnt, and does the answer hang on it?
 *
 * Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018: with weights drawn anew (here all at once, as before
 * training), heat must become another; heat that does not shows the picture and not the network. Some networks never
 * learnt anything to begin with, so besides covering the hottest place must lower the class's logit, by more than
 * covering other places does. */
#ifndef HL_INFER_EXPLAIN_SANITY_H
#define HL_INFER_EXPLAIN_SANITY_H
#include "infer/explain_heat.h"

/* Checks the map that heat, bound to slab, made of image; map and heat's binding are as before afterwards. randomised:
 * networks drawn, 0 or more; seed: of theirs and of the places covered. */
enum hilum_status hl_sanity_check(struct hl_heat *heat, float *slab, const uint8_t *image, const float *map,
                                  int32_t randomised, uint64_t seed, struct hilum_sanity *out,
                                  struct hilum_error *error);

/* Spearman's rank correlation of count values, ties at their mean rank; 0 where one of them is constant. NaN without
 * memory. */
double hl_rank_correlation(const float *a, const float *b, size_t count);

/* Mean structural similarity (Wang et al., IEEE TIP 13, 2004) of planes of side x side values, each map brought to [0,
 * 1] first, over windows of 8 x 8, every fourth, all of them of one weight. */
double hl_structural_similarity(const float *a, const float *b, size_t planes, size_t side);

size_t hl_hottest(const float *map, size_t count); /* the first of the largest */
#endif
