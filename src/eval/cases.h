/* Which cases of a data set a model is to answer: its classes given to them, its split looked up. */
#ifndef HL_EVAL_CASES_H
#define HL_EVAL_CASES_H
#include "data/dataset.h"
#include "model/model.h"

struct hl_cases_options {
	const char *data, *split, *groups, *positive; /* as in struct hilum_eval_options */
	enum hl_split_part own;                       /* where no split is named: the part of a model's own data set */
	bool or_all;                                  /* all cases, with a warning, where that part is empty */
};

struct hl_cases {
	struct hl_dataset *dataset; /* with the model's classes */
	enum hl_split_part part;    /* HL_PART_NONE: all */
	bool own;                   /* the data set that the model was trained on */
	uint32_t *index;
	size_t count;
};

/* Warns where scores on the cases would flatter. hl_cases_free. */
enum hilum_status hl_cases_open(const struct hilum_model *model, const struct hl_cases_options *options,
                                struct hl_cases *out, struct hilum_error *error);
void hl_cases_free(struct hl_cases *cases);
#endif
