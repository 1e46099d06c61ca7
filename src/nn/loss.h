/* Losses from logits, in double, with their gradient. */
#ifndef HL_NN_LOSS_H
#define HL_NN_LOSS_H
#include "base/error.h"

enum hl_loss_kind {
	HL_LOSS_BCE,  /* one logit; binary cross-entropy: max(z,0) - z y + log(1 + exp(-|z|)) */
	HL_LOSS_CE,   /* K logits; categorical cross-entropy from log-softmax */
	HL_LOSS_FOCAL /* Lin et al., "Focal loss for dense object detection", ICCV 2017; one logit or K */
};

struct hl_loss {
	enum hl_loss_kind kind;
	int32_t outputs;  /* 1 or K >= 2 */
	double smoothing; /* label smoothing: y (1 - s) + s/2 for one logit, y (1 - s) + s/K for K */
	double gamma;     /* focal */
	/* Per class (2 for one logit), or NULL. Each class's term of a sample's loss is multiplied by that class's
	 * weight, as in PyTorch, and the sum over the batch divided by: one logit, the number of samples (as
	 * BCEWithLogitsLoss with pos_weight); K logits, the sum of the weights of the true classes (as
	 * CrossEntropyLoss). */
	const double *weight;
};

/* logits: n x outputs. target: n x outputs in [0, 1] (soft after mixup); one logit: the probability of the positive
 * class. dlogits (may be NULL) receives the gradient of the returned mean. */
double hl_loss_compute(const struct hl_loss *loss, const float *logits, const float *target, int64_t n, float *dlogits);

/* Logits to probabilities: n x classes doubles (one logit: 1-p, p). */
void hl_probabilities(const float *logits, int64_t n, int32_t outputs, double *out);
#endif
