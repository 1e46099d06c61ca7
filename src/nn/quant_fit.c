#include "nn/quant_fit.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "nn/plan.h"

struct hl_quant_fit {
	const struct hl_graph *graph;
	struct hl_plan *plan;
	struct hl_range *range; /* of each node's output */
	bool counting;
};

static void see(struct hl_quant_fit *fit, int32_t node, const float *values, int64_t count)
{
	if (fit->counting)
		hl_range_count(&fit->range[node], values, count);
	else
		hl_range_widen(&fit->range[node], values, count);
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
	enum hilum_status status = fit->range ? hl_plan_create(graph, &planning, &fit->plan, error)
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
	hl_free(fit);
}

void hl_quant_fit_show(struct hl_quant_fit *fit, const float *sample)
{
	see(fit, 0, sample, hl_shape_sample(fit->graph->node[0].shapes.out));
	(void)hl_plan_forward(fit->plan, sample, false, 0, 0);
}

enum hilum_status hl_quant_fit_count(struct hl_quant_fit *fit, struct hilum_error *error)
{
	for (int32_t i = 0; i <= fit->graph->logits; i++)
		if (!isfinite(fit->range[i].low) || !isfinite(fit->range[i].high))
			return hl_fail(error, HILUM_ERROR_DATA, "%s: its values are not finite",
			               fit->graph->node[i].name);
	fit->counting = true;
	return HILUM_OK;
}

void hl_quant_fit_choose(const struct hl_quant_fit *fit, struct hl_quant *out)
{
	memset(out, 0, (size_t)fit->graph->nodes * sizeof(*out));
	for (int32_t i = 0; i <= fit->graph->logits; i++)
		out[i] = hl_range_choose(&fit->range[i]);
	hl_quant_settle(fit->graph, out);
}
