/* What a training feeds on: the data set, split, its recipe and loaders. */
#ifndef HL_TRAIN_PREPARE_H
#define HL_TRAIN_PREPARE_H
#include "base/hash.h"
#include "data/loader.h"

struct hl_material {
	struct hl_dataset *dataset;
	char dataset_hash[65]; /* before any shuffling of labels */
	char *split;           /* JSON, as the model stores it */
	struct hl_sha256 split_hash;
	uint32_t *cases[3]; /* per part: train, val, test */
	size_t count[3];
	size_t readable[2][HILUM_CLASSES_MAX]; /* train, val: readable cases per class */
	struct hl_recipe recipe;
	bool normalised; /* mean and deviation are set already, and stay */
	char *recipe_json;
	char summary[64]; /* readable cases of train and val as text: tells whether files have come or gone */
	struct hl_augment augment;
	double *draw;                  /* per training case: how often the sampler draws it */
	struct hl_loader *train, *val; /* val: NULL without a validation part */
};

/* Opens and splits the data set, decoding nothing. Fills the recipe but its statistics. HILUM_ERROR_IO when there is
 * not one file of the training part. */
enum hilum_status hl_material_open(const struct hilum_train_options *options, struct hl_material *out,
                                   struct hilum_error *error);

/* Decodes the training and validation parts, leaves out what cannot be read, and completes the recipe.
 * HILUM_ERROR_DATA when a class vanishes. stop may be NULL. */
enum hilum_status hl_material_load(const struct hilum_train_options *options, const volatile int *stop,
                                   struct hl_material *material, struct hilum_error *error);

/* n / (k n_c) over the readable training cases. */
void hl_material_weights(const struct hl_material *material, double weight[HILUM_CLASSES_MAX]);

void hl_material_free(struct hl_material *material);
#endif
