/* Control runs: data that should teach nothing. */
#ifndef HL_TRAIN_CONTROL_H
#define HL_TRAIN_CONTROL_H
#include "data/dataset.h"
#include "train/run.h"

/* Draws every case anew without what could be disease, into RUN/background: its middle slice through the window, with
 * the box around the lungs (hl_lungs_find, 3 % wider on every side) made black. A box, because the lungs' own outline
 * would tell of what lies at their border. Where no lungs are found, as in a picture of a nodule alone, the middle
 * three fifths of the picture are taken. Files that cannot be read are listed and not drawn.
 *
 * *data is the path of their manifest (hl_free) and *blanked the data set opened from it, whose cases are those of
 * dataset in the same order. A folder that an earlier sitting finished is used as it is. */
enum hilum_status hl_control_background(const struct hl_run *run, const struct hilum_train_options *options,
                                        const struct hl_dataset *dataset, struct hl_dataset **blanked, char **data,
                                        struct hilum_error *error);
#endif
