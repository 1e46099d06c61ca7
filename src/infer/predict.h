/* Probabilities of many cases of a data set. */
#ifndef HL_INFER_PREDICT_H
#define HL_INFER_PREDICT_H
#include "data/dataset.h"
#include "data/recipe.h"
#include "model/model.h"

struct hl_predict_options {
	int64_t batch;
	int32_t threads;
	int precision;  /* 0 fp32, 1 bf16 */
	int64_t memory; /* bytes for kept images */
	const volatile int *stop;
};

struct hl_predictions {
	size_t count;    /* readable cases, in order */
	uint32_t *index; /* into dataset->cases */
	int32_t classes;
	double *probability; /* count x classes (two for a binary task) */
	size_t unreadable;   /* each was logged as a warning, by path with the reason */
};

enum hilum_status hl_predict(const struct hilum_model *model, const struct hl_dataset *dataset, const uint32_t *cases,
                             size_t count, const struct hl_predict_options *options, struct hl_predictions *out,
                             struct hilum_error *error);
void hl_predictions_free(struct hl_predictions *predictions);
#endif
