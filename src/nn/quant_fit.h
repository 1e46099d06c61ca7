/* Scales of a network's activations, from what it makes of samples. Each sample is shown twice: first all of them to
 * find the ranges, then all again to count what lies where in them. */
#ifndef HL_NN_QUANT_FIT_H
#define HL_NN_QUANT_FIT_H
#include "nn/graph.h"
#include "nn/quant.h"

struct hl_quant_fit;

/* graph and slab (its parameters) must outlive it. hl_quant_fit_close. */
enum hilum_status hl_quant_fit_open(const struct hl_graph *graph, float *slab, int32_t threads,
                                    struct hl_quant_fit **out, struct hilum_error *error);
void hl_quant_fit_close(struct hl_quant_fit *fit);

/* One sample, as hl_plan_forward takes it. */
void hl_quant_fit_show(struct hl_quant_fit *fit, const float *sample);
/* Between the first showing and the second. HILUM_ERROR_DATA where an activation is not finite. */
enum hilum_status hl_quant_fit_count(struct hl_quant_fit *fit, struct hilum_error *error);
/* After the second: an entry for every node of the graph; those behind the logits are zero. */
void hl_quant_fit_choose(const struct hl_quant_fit *fit, struct hl_quant *out);
#endif
