/* A few robust figures of a recipe's 8-bit image, by which pictures far from those that a network learnt from are
 * known: mean and deviation of 4 x 4 blocks, shares of eight ranges of grey (but the first), and the mean step from
 * pixel to pixel across and down, as a logarithm. Of several slices and channels their mean. */
#ifndef HL_DATA_TRAITS_H
#define HL_DATA_TRAITS_H
#include "data/recipe.h"

enum { HL_TRAITS_BLOCKS = 4, HL_TRAITS_RANGES = 8 };
#define HL_TRAITS (2 * HL_TRAITS_BLOCKS * HL_TRAITS_BLOCKS + HL_TRAITS_RANGES - 1 + 2)

/* Adds weight times the traits of an image to the HL_TRAITS values at out. */
void hl_traits_add(const struct hl_recipe *recipe, const uint8_t *image, double weight, double *out);
#endif
