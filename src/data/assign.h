/* The heart of a split: whole groups into parts, every class in its share. */
#ifndef HL_DATA_ASSIGN_H
#define HL_DATA_ASSIGN_H
#include "data/dataset.h"

/* Gives each of the cases listed (indexes) its part: TRAIN, VAL or TEST in the shares given, which sum to 1; a share of
 * 0 leaves that part empty. Other cases are not touched, nor is any on failure. */
enum hilum_status hl_assign(struct hl_dataset *dataset, const uint32_t *cases, size_t count, const double share[3],
                            uint64_t seed, struct hilum_error *error);
#endif
