/* Probabilities of many cases of a data set. */
#ifndef HL_INFER_PREDICT_H
#define HL_INFER_PREDICT_H
#include "data/dataset.h"
#include "data/recipe.h"
#include "model/model.h"
#include "scan/chest.h"

/* The recipe stored in a model; HILUM_ERROR_FORMAT where there is none or it does not fit the network's input. */
enum hilum_status hl_model_recipe(const struct hilum_model *model, struct hl_recipe *out, struct hilum_error *error);

/* HILUM_ERROR_DATA unless all are finite: weights that overflow must not pass for a finding or its absence. */
enum hilum_status hl_check_logits(const float *logits, int64_t count, struct hilum_error *error);

/* Left and right exchanged, in rows of width pixels. */
void hl_mirror(float *images, size_t rows, size_t width, size_t channels);

struct hl_flaw;

struct hl_predict_options {
	int64_t batch;   /* 0: 1, which gives the bits of a session of one */
	int32_t threads; /* 0: hl_cpu_count() */
	int precision;   /* 0 fp32, 1 bf16, 2 int8, 3 fp32-strict */
	int64_t
	    memory; /* bytes for images, which are read and run in as many goes; 0: a quarter of what is available */
	const volatile int *stop;
	const struct hl_flaw *flaw; /* put into every picture; NULL: none */
	bool raw;                   /* the network's own probabilities, without the model's calibration */
	bool mirror; /* each picture is also answered with left and right exchanged, and the mean of both taken */
};

struct hl_predictions {
	size_t count;    /* readable cases, in order */
	uint32_t *index; /* into dataset->cases */
	int32_t classes;
	double *probability;          /* count x classes (two for a binary task) */
	size_t narrow;                /* of those, pictures of hl_volume_is_narrow */
	enum hl_chest_verdict *chest; /* of each case */
	double *distance;             /* of each case from the training pictures; NULL: the model does not tell */
	size_t refused, unusual; /* that hilum_predict_case would not answer; that lie far from the training pictures */
	size_t unreadable;       /* each was logged as a warning, by path with the reason */
};

/* A volume that a network for slices answers is what hl_profile_volume says of it, its slices made one by their mean.
 * The whole batch is computed at one fixed size, the last one filled up with zeros: a case's probability does not
 * depend on the cases beside it. HILUM_ERROR_DATA when no case can be read. */
enum hilum_status hl_predict(const struct hilum_model *model, const struct hl_dataset *dataset, const uint32_t *cases,
                             size_t count, const struct hl_predict_options *options, struct hl_predictions *out,
                             struct hilum_error *error);
void hl_predictions_free(struct hl_predictions *predictions);
#endif
