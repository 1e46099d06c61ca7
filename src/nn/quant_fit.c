#include "nn/quant_fit.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "nn/plan.h"

struct hl_quant_fit {
	const struct hl_graph *graph;
	struct hl_plan *plan;
	int showing;
	/* of each node's output */
	struct hl_range *range;
	struct hl_quant *quant;
	struct loss {
		double sum, count;
	} * loss;
};

static void see(struct hl_quant_fit *fit, int32_t node, const float *values, int64_t count)
{
	if (fit->showing == 0) {
		hl_range_widen(&fit->range[node], values, count);
	} else if (fit->showing == 1) {
		hl_range_count(&fit->range[node], values, count);
	} else {
		fit->loss[node].sum += hl_quant_loss(values, fit->quant[node], count);
		fit->loss[node].count += (double)count;
	}
}

static void watch(void *context, int32_t node, const struct hl_tensor *output)
{
	see(context, node, output->data, hl_shape_count(output->shape));
}

enum hilum_status hl_quant_fit_open(const struct hl_graph *graph, float *slab, int32_t threads,
                                    struct hl_quant_fit **out, struct hilum_error *error)
{
	const struct hl_plan_options planning = {.batch = 1, .type = HL_F32, .threads = threads, .unfused = true};
	size_t nodes = (size_t)graph->logits + 1;
	struct hl_quant_fit *fit = hl_alloc(1, sizeof(*fit));
	if (!fit)
		return hl_fail_memory(error, sizeof(*fit), "ranges");
	fit->graph = graph;
	fit->range = hl_alloc(nodes, sizeof(*fit->range));
	fit->quant = hl_alloc((size_t)graph->nodes, sizeof(*fit->quant));
	fit->loss = hl_alloc(nodes, sizeof(*fit->loss));
	enum hilum_status status = fit->range && fit->quant && fit->loss
	                               ? hl_plan_create(graph, &planning, &fit->plan, error)
	                               : hl_fail_memory(error, nodes * sizeof(*fit->range), "ranges");
	if (status) {
		hl_quant_fit_close(fit);
		return status;
	}
	hl_plan_bind(fit->plan, slab);
	hl_plan_watch(fit->plan, watch, fit);
	*out = fit;
	return HILUM_OK;
}

void hl_quant_fit_close(struct hl_quant_fit *fit)
{
	if (!fit)
		return;
	hl_plan_destroy(fit->plan);
	hl_free(fit->range);
	hl_free(fit->quant);
	hl_free(fit->loss);
	hl_free(fit);
}

void hl_quant_fit_show(struct hl_quant_fit *fit, const float *sample)
{
	see(fit, 0, sample, hl_shape_sample(fit->graph->node[0].shapes.out));
	(void)hl_plan_forward(fit->plan, sample, false, 0, 0);
}

enum hilum_status hl_quant_fit_next(struct hl_quant_fit *fit, struct hilum_error *error)
{
	int32_t nodes = fit->graph->logits + 1;
	for (int32_t i = 0; i < nodes; i++)
		if (!isfinite(fit->range[i].low) || !isfinite(fit->range[i].high))
			return hl_fail(error, HILUM_ERROR_DATA, "%s: its values are not finite",
			               fit->graph->node[i].name);
	for (int32_t i = 0; i < nodes && fit->showing == 1; i++)
		fit->quant[i] = hl_range_choose(&fit->range[i]);
	for (int32_t i = 0; i < nodes && fit->showing == 2; i++) {
		double most = 255 * (double)fit->quant[i].scale, mean = fit->loss[i].sum / fit->loss[i].count;
		fit->quant[i].offset = (float)(mean < -most ? -most : mean > most ? most : mean);
	}
	/* Also before the last: what only moves values loses nothing of its own. */
	hl_quant_settle(fit->graph, fit->quant);
	fit->showing++;
	return HILUM_OK;
}

void hl_quant_fit_get(const struct hl_quant_fit *fit, struct hl_quant *out)
{
	memcpy(out, fit->quant, (size_t)fit->graph->nodes * sizeof(*out));
}
