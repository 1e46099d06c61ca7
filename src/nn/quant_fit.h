/* Scales of a network's activations, from what it makes of samples. All samples are shown three times: to find the
 * ranges, to count what lies where in them, and to see what the scales chosen by that take away. */
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
enum { HL_QUANT_SHOWINGS = 3 };
/* After each showing. HILUM_ERROR_DATA where an activation is not finite. */
enum hilum_status hl_quant_fit_next(struct hl_quant_fit *fit, struct hilum_error *error);
/* After the last: an entry for every node of the graph; those behind the logits are zero. */
void hl_quant_fit_get(const struct hl_quant_fit *fit, struct hl_quant *out);
#endif
