/* Optimisers over the flat slab of trained parameters: one loop each. */
#ifndef HL_NN_OPTIMIZER_H
#define HL_NN_OPTIMIZER_H
#include "nn/graph.h"

enum hl_optimizer_kind { HL_OPTIMIZER_SGD, HL_OPTIMIZER_ADAM, HL_OPTIMIZER_ADAMW };

struct hl_optimizer {
	enum hl_optimizer_kind kind;
	double momentum; /* SGD */
	bool nesterov;
	double beta1, beta2, eps; /* Adam: 0.9, 0.999, 1e-8 */
	double weight_decay; /* SGD and Adam: L2 added to the gradient; AdamW: decoupled (Loshchilov & Hutter 2019) */
	double ema;          /* decay of the moving average of weights, reached as (1 + t) / (10 + t); 0: none */
	/* state, saved in checkpoints */
	int64_t step;
	float *first, *second; /* graph->trained floats each; SGD has no second */
	float *average;        /* graph->floats, when ema > 0 */
	/* of the graph, so that the state can be freed without it */
	int64_t trained, floats;
};

/* Allocates the state; the settings above it are the caller's. */
enum hilum_status hl_optimizer_init(struct hl_optimizer *optimizer, const struct hl_graph *graph,
                                    struct hilum_error *error);
void hl_optimizer_free(struct hl_optimizer *optimizer);
/* One step; skip[i] true leaves parameter i of the graph as it is (frozen); skip may be NULL. */
void hl_optimizer_step(struct hl_optimizer *optimizer, const struct hl_graph *graph, const bool *skip, double lr,
                       float *slab, const float *gradients);
/* Scales gradients so that their norm is at most clip (0: no limit); returns the norm before, and leaves them
 * alone when it is not finite. The same bits at any
 * thread count. */
double hl_gradient_clip(float *gradients, int64_t count, double clip);
#endif
