/* What can be had without a network: answers that know next to nothing of a picture, fitted on the same training parts.
 * A model that does not beat them has not been shown to have learnt anything else.
 *
 * majority class     the shares of the classes in the training part, whatever the picture
 * nearest neighbour  thumbnails of 32 x 32 pixels, 8 bits, sum of squared differences; the probability of a class is in
 *                    proportion to one over the distance to its nearest training case, so that the nearest decides the
 *                    class and how much nearer it is the ranking
 * one number         logistic regression on the mean grey of that thumbnail, the size of the file, or a numeric column
 *                    of a table; targets held off 0 and 1 (Platt 1999), so that a perfect one has an end too; where a
 *                    value is missing, the share of positives among the training cases that lack it (that it is
 *                    missing may tell the label). Two classes only */
#ifndef HL_EVAL_BASELINE_H
#define HL_EVAL_BASELINE_H
#include "data/dataset.h"
#include "data/folds.h"
#include "scan/window.h"

#define HL_THUMBNAIL 32

struct hl_features {
	size_t count;       /* cases of the data set */
	uint8_t *thumbnail; /* count x 32 x 32 */
	uint8_t *readable;
	int32_t columns;
	char **name;
	double *value; /* columns x count; NaN where missing */
};

/* Decodes every picture once (window: for Hounsfield units), and takes the numeric columns of the tables (NULL entries
 * are passed over) but for those that say what a case is: path, label, group, patient, split. Pictures that cannot be
 * read are left out without a word. threads: 0 for as many as there are cores. hl_features_free. */
enum hilum_status hl_features_create(const struct hl_dataset *dataset, const char *const tables[2],
                                     const struct hl_window *window, int32_t threads, struct hl_features *out,
                                     struct hilum_error *error);
void hl_features_free(struct hl_features *features);

/* How many baselines there are for so many classes, and what they are called. */
int32_t hl_baseline_count(const struct hl_features *features, int32_t classes);
const char *hl_baseline_name(const struct hl_features *features, int32_t baseline);

/* Each case of one repeat answered from the cases of the other folds: rows of as many values as there are classes, of
 * two that of class 1. NaN for unreadable pictures where the baseline needs one. */
enum hilum_status hl_baseline_predict(const struct hl_features *features, const struct hl_dataset *dataset,
                                      const struct hl_folds *folds, int32_t repeat, int32_t baseline, int32_t threads,
                                      double *probability, struct hilum_error *error);
#endif
