/* Several models as one network. */
#ifndef HL_INFER_ENSEMBLE_H
#define HL_INFER_ENSEMBLE_H
#include "model/model.h"

/* A model whose logits are the mean of the members'. Each member's layers are a branch under its number ("2.conv1");
 * before a branch stands a batch norm that undoes the first member's brightness and does the member's own, so that the
 * branch sees what it saw alone; behind it one that divides by the number of members.
 *
 * A case is of the test part where it was tested on by every member, of the validation part where none was trained on
 * it, and of the training part otherwise; a member that tells no split leaves the ensemble without one.
 *
 * What it refuses and calls unusual is what the first member would, where all of them know what they learnt from.
 *
 * HILUM_ERROR_DATA where classes, or recipes but for mean and deviation, differ. hilum_model_close. */
enum hilum_status hl_ensemble_make(struct hilum_model *const *members, size_t count, struct hilum_model **out,
                                   struct hilum_error *error);
#endif
