/* The part of an audit that every training begins with: pictures of the training part that the test or validation part
 * holds too; and groups where nobody gave any. */
#ifndef HL_TRAIN_LEAKS_H
#define HL_TRAIN_LEAKS_H
#include "data/dataset.h"

/* Looks for pictures on two sides of the split that are the same one, in the same place, saved or shown otherwise;
 * where no groups were given, neighbouring slices as alike as copies count too. Of stacks every slice is looked at, of
 * volumes the middle one. *pairs is how many pictures have one.
 * HILUM_ERROR_DATA naming the first where there are any, unless allow is set. */
enum hilum_status hl_leaks_check(const struct hl_dataset *dataset, bool allow, int32_t threads, size_t *pairs,
                                 struct hilum_error *error);

/* Gives the data set the groups that an audit infers. */
enum hilum_status hl_groups_infer(struct hl_dataset *dataset, int32_t threads, struct hilum_error *error);
#endif
