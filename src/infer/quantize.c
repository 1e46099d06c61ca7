#include "infer/quantize.h"

#include "base/cpu.h"
#include "base/log.h"
#include "data/loader.h"
#include "infer/predict.h"
#include "nn/quant_fit.h"

static void say_unreadable(void *context, uint32_t index, const struct hilum_error *error)
{
	const struct hl_dataset *dataset = context;
	hl_log(HILUM_LOG_WARNING, "%s: %s", dataset->cases[index].path, error->message);
}

static enum hilum_status show_all(struct hl_loader *loader, struct hl_quant_fit *fit, struct hilum_error *error)
{
	const struct hl_batch *batch = NULL;
	enum hilum_status status = hl_loader_start(loader, 0, 0, error);
	if (!status)
		status = hl_loader_next(loader, &batch, error);
	while (!status && batch) {
		hl_quant_fit_show(fit, batch->images);
		status = hl_loader_next(loader, &batch, error);
	}
	return status;
}

static size_t fitting(const struct hl_recipe *recipe, int64_t memory, size_t count)
{
	size_t most = (size_t)memory / hl_recipe_bytes(recipe);
	most = most ? most : 1;
	return count < most ? count : most;
}

enum hilum_status hl_quantize_fit(const struct hilum_model *model, const struct hl_dataset *dataset,
                                  const uint32_t *cases, size_t count, int32_t threads, struct hl_quant *out,
                                  size_t *shown, struct hilum_error *error)
{
	struct hl_recipe recipe;
	struct hl_loader *loader = NULL;
	struct hl_quant_fit *fit = NULL;
	enum hilum_status status = hl_model_recipe(model, &recipe, error);
	if (status)
		return status;
	int64_t memory = hl_memory_available() / 4;
	count = fitting(&recipe, memory, count);
	const struct hl_loader_options loading = {.dataset = dataset,
	                                          .recipe = &recipe,
	                                          .cases = cases,
	                                          .count = count,
	                                          .batch = 1,
	                                          .outputs = (int32_t)hl_model_outputs(model),
	                                          .threads = threads,
	                                          .memory = memory};
	status = hl_quant_fit_open(model->graph, model->slab, threads, &fit, error);
	if (!status)
		status = hl_loader_create(&loading, &loader, error);
	if (!status)
		status = hl_loader_preload(loader, say_unreadable, (void *)(uintptr_t)dataset, NULL, error);
	for (int i = 0; i < HL_QUANT_SHOWINGS && !status; i++) {
		status = show_all(loader, fit, error);
		if (!status)
			status = hl_quant_fit_next(fit, error);
	}
	if (!status) {
		hl_quant_fit_get(fit, out);
		*shown = hl_loader_count(loader);
	}
	hl_loader_destroy(loader);
	hl_quant_fit_close(fit);
	return status;
}
