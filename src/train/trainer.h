/* The training loop: epochs of steps, validation, the best model kept, checkpoints. Everything that decides about the
 * weights is a pure function of the options, the data and the position, so that going on from a checkpoint gives the
 * same bits as never having stopped. */
#ifndef HL_TRAIN_TRAINER_H
#define HL_TRAIN_TRAINER_H
#include "model/model.h"
#include "nn/loss.h"
#include "nn/optimizer.h"
#include "nn/plan.h"
#include "nn/schedule.h"
#include "train/checkpoint.h"
#include "train/prepare.h"
#include "train/run.h"

struct hl_trainer {
	/* borrowed */
	const struct hilum_train_options *options;
	const struct hilum_train_events *events; /* may be NULL */
	struct hl_run *run;
	const struct hl_material *material;
	struct hilum_model *model;        /* its slab holds the weights being trained */
	struct hl_checkpoint *checkpoint; /* its position moves; its texts are set */
	/* owned */
	struct hl_plan *plan;
	struct hl_optimizer optimizer;
	struct hl_loss loss;
	struct hl_schedule schedule;
	double class_weight[HILUM_CLASSES_MAX];
	bool *frozen;     /* per parameter of the graph */
	float *gradients; /* graph->trained */
	float *dlogits;   /* batch x outputs */
	uint32_t *index;  /* validation: cases of its samples, and their labels and probabilities */
	int32_t *label;
	double *probability;
	double *score;
	double started, checkpointed; /* monotonic seconds */
};

/* Plans the network and makes ready; the borrowed members are set. hl_trainer_free, also after a failure. */
enum hilum_status hl_trainer_open(struct hl_trainer *trainer, struct hilum_error *error);
void hl_trainer_free(struct hl_trainer *trainer);

/* Trains from the checkpoint's position to the end. Afterwards best.hilum and last.hilum are on disk. */
enum hilum_status hl_trainer_run(struct hl_trainer *trainer, struct hilum_error *error);

/* The weights that are validated and saved: the moving average where there is one. A view of the model that shares all
 * but the slab with it. */
struct hilum_model hl_trainer_view(const struct hl_trainer *trainer);
#endif
