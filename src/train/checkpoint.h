/* A checkpoint: all that a training needs to go on bit for bit, in one safetensors file that is written anew, synced
 * and renamed. It also holds what the training was started with, so that going on with something else is an error. */
#ifndef HL_TRAIN_CHECKPOINT_H
#define HL_TRAIN_CHECKPOINT_H
#include "model/safetensors.h"
#include "nn/optimizer.h"

/* Where a training stands. */
struct hl_position {
	int64_t epoch;      /* whole epochs done */
	int64_t step;       /* steps done of the next one; all of them: only its validation is missing */
	double loss;        /* sum of the losses of those steps */
	double best;        /* lowest validation loss so far; infinite before the first */
	int64_t best_epoch; /* from 1; 0: none */
	double seconds;     /* spent in training so far, over all sittings */
};

enum hl_checkpoint_text {
	HL_CHECKPOINT_OPTIONS,    /* JSON of all options that matter */
	HL_CHECKPOINT_PROVENANCE, /* JSON, as the models store it */
	HL_CHECKPOINT_ARCH,
	HL_CHECKPOINT_RECIPE,
	HL_CHECKPOINT_DATASET, /* hash */
	HL_CHECKPOINT_SPLIT,   /* hash */
	HL_CHECKPOINT_CASES,   /* readable ones per part */
	HL_CHECKPOINT_LOG,     /* log.csv up to here */
	HL_CHECKPOINT_TEXTS
};

struct hl_checkpoint {
	struct hl_position position;
	const char *text[HL_CHECKPOINT_TEXTS]; /* borrowed: from the caller, or from the file that was opened */
	struct hl_safetensors file;            /* when opened */
};

enum hilum_status hl_checkpoint_write(const char *path, const struct hl_checkpoint *checkpoint,
                                      const struct hl_graph *graph, const float *slab,
                                      const struct hl_optimizer *optimizer, struct hilum_error *error);

/* Reads and checks all but the tensors' sizes. hl_checkpoint_close. */
enum hilum_status hl_checkpoint_open(const char *path, struct hl_checkpoint *out, struct hilum_error *error);
/* Weights and the optimiser's state out of it; their sizes must be the graph's. */
enum hilum_status hl_checkpoint_restore(const struct hl_checkpoint *checkpoint, const struct hl_graph *graph,
                                        float *slab, struct hl_optimizer *optimizer, struct hilum_error *error);
void hl_checkpoint_close(struct hl_checkpoint *checkpoint);
#endif
