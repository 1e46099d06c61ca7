/* Cross-validation: public as struct hilum_crossval. */
#ifndef HL_TRAIN_CROSSVAL_H
#define HL_TRAIN_CROSSVAL_H
#include "data/folds.h"
#include "eval/compare.h"
#include "train/run.h"

/* One fold of one repeat, or one training of it. */
struct hl_fold {
	int32_t repeat, number;
	double threshold;            /* chosen on the validation part; NaN: none */
	struct hilum_scores *scores; /* of its test part, by case and without intervals */
};

struct hl_crossval_baseline {
	const char *name;            /* of the features */
	struct hilum_scores *scores; /* all folds together */
	struct hilum_comparison *comparison;
};

struct hilum_crossval {
	struct hilum_crossval_options options;
	struct hl_run run;
	struct hl_dataset *dataset; /* as it is trained on */
	struct hl_dataset *given;   /* the caller's, whose cases are the same ones */
	char *data;                 /* path of the former, where that is not the latter */
	struct hl_folds folds;
	struct hl_fold *fold; /* count of them; the mean over seeds */
	size_t count;
	double (*seed_figures)[HL_FIGURES]; /* seeds of them: all folds together */
	struct hilum_scores *all;           /* of all folds together */
	struct hilum_scores *at_thresholds; /* the same with answers of 0 and 1 at each fold's threshold; NULL: none */
	struct hl_features *features;
	struct hl_crossval_baseline *baseline;
	int32_t baselines;
};

/* Trains one fold with one seed and predicts its test part, or reads what an earlier sitting left. */
struct hl_fold_work {
	const struct hilum_crossval *crossval;
	const struct hilum_train_events *events;
	int32_t repeat, number;
	int64_t seed; /* from 0 */
};
enum hilum_status hl_fold_run(const struct hl_fold_work *work, struct hl_fold *out, struct hilum_error *error);

/* The folds' tables one below the other, scored as the options say. binary: answers of 0 and 1 at each fold's
 * threshold. */
enum hilum_status hl_folds_score(const struct hilum_crossval *crossval, const struct hl_fold *fold, bool binary,
                                 int64_t resamples, struct hilum_scores **out, struct hilum_error *error);
/* predictions.csv of the run folder. */
enum hilum_status hl_folds_write_predictions(const struct hilum_crossval *crossval, struct hilum_error *error);

/* The answers that need no network, on the same folds. */
enum hilum_status hl_crossval_baselines(struct hilum_crossval *crossval, struct hilum_error *error);

/* One JSON object on one line (hl_free), or NULL without memory. */
char *hl_crossval_json(const struct hilum_crossval *crossval);

/* The mean and standard deviation of a figure over the folds where it is defined; how many those are. */
size_t hl_folds_spread(const struct hilum_crossval *crossval, int figure, double *mean, double *deviation);
#endif
