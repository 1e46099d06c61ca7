#include "infer/predict.h"

#include "base/cpu.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/loader.h"
#include "data/traits.h"
#include "infer/combine.h"
#include "infer/precision.h"
#include "infer/refuse.h"
#include "model/calibration.h"
#include "nn/loss.h"
#include "nn/plan.h"

#include <math.h>
#include <string.h>

#define DEFAULT_BATCH 1
#define BATCH_MAX 4096
#define NAMED_MAX 20 /* refused cases that are named one by one */

enum hilum_status hl_model_recipe(const struct hilum_model *model, struct hl_recipe *out, struct hilum_error *error)
{
	struct hl_recipe recipe;
	if (!model->recipe)
		return hl_fail(error, HILUM_ERROR_FORMAT, "the model holds no recipe that says how to read a picture");
	enum hilum_status status = hl_recipe_parse(model->recipe, &recipe, error);
	if (status)
		return hl_prefix(error, status, "the model's recipe");
	struct hl_shape input = model->graph->node[0].shapes.out, wanted = hl_recipe_shape(&recipe);
	input.n = wanted.n;
	if (!hl_shape_equal(input, wanted)) {
		char is[96], needs[96];
		hl_shape_print(wanted, is, sizeof(is));
		hl_shape_print(input, needs, sizeof(needs));
		return hl_fail(error, HILUM_ERROR_FORMAT, "the model's recipe makes %s, its network takes %s", is,
		               needs);
	}
	*out = recipe;
	return HILUM_OK;
}

enum hilum_status hl_check_logits(const float *logits, int64_t count, struct hilum_error *error)
{
	for (int64_t i = 0; i < count; i++)
		if (!isfinite(logits[i]))
			return hl_fail(error, HILUM_ERROR_DATA,
			               "the network's answer is not a finite number: its weights are out of bounds");
	return HILUM_OK;
}

struct unread {
	const struct hl_dataset *dataset;
	size_t count;
};

static void count_unreadable(void *context, uint32_t index, const struct hilum_error *error)
{
	struct unread *unread = context;
	const char *path = unread->dataset->cases[index].path;
	unread->count++;
	/* Messages name the file already when it was the file that failed. */
	if (strstr(error->message, path))
		hl_log(HILUM_LOG_WARNING, "%s", error->message);
	else
		hl_log(HILUM_LOG_WARNING, "%s: %s", path, error->message);
}

/* Cases whose pictures fit the memory: those are decoded once, found readable and run through the net before the next
 * ones. Whole batches, so that only the last is incomplete. */
static size_t cases_at_once(const struct hl_recipe *recipe, int64_t batch, int64_t memory)
{
	size_t batches = (size_t)memory / hl_recipe_bytes(recipe) / (size_t)batch;
	return (batches ? batches : 1) * (size_t)batch;
}

void hl_mirror(float *images, size_t rows, size_t width, size_t channels)
{
	for (size_t r = 0; r < rows; r++, images += width * channels)
		for (size_t x = 0; x < width / 2; x++)
			for (size_t c = 0; c < channels; c++) {
				float *a = images + x * channels + c, *b = images + (width - 1 - x) * channels + c;
				float kept = *a;
				*a = *b;
				*b = kept;
			}
}

/* The mean of what is in probability already and what the mirrored images give. */
static enum hilum_status answer_mirrored(struct hl_plan *plan, struct hl_shape shape, const struct hl_batch *batch,
                                         int32_t outputs, int32_t classes, double *probability,
                                         struct hilum_error *error)
{
	size_t values = (size_t)batch->count * (size_t)classes;
	double *other = hl_alloc(values, sizeof(*other));
	if (!other)
		return hl_fail_memory(error, values * sizeof(*other), "probabilities");
	hl_mirror(batch->images, (size_t)(batch->count * shape.d * shape.h), (size_t)shape.w, (size_t)shape.c);
	const float *logits = hl_plan_forward(plan, batch->images, false, 0, 0);
	enum hilum_status status = hl_check_logits(logits, batch->count * outputs, error);
	if (!status)
		hl_probabilities(logits, batch->count, outputs, other);
	for (size_t i = 0; i < values && !status; i++)
		probability[i] = (probability[i] + other[i]) / 2;
	hl_free(other);
	return status;
}

/* Samples that the net has answered, in the loader's order. */
struct answers {
	size_t count;
	uint32_t *index;
	double *probability;
};

/* Every batch of one pass through the net. mirrored: the shape of its pictures, which are answered so too; or NULL. */
static enum hilum_status answer_all(struct hl_loader *loader, struct hl_plan *plan, const struct hl_shape *mirrored,
                                    const volatile int *stop, int32_t classes, struct answers *out,
                                    struct hilum_error *error)
{
	int32_t outputs = (int32_t)hl_plan_outputs(plan);
	size_t total = hl_loader_samples(loader);
	enum hilum_status status = hl_loader_start(loader, 0, 0, error);
	while (!status) {
		const struct hl_batch *batch;
		status = hl_loader_next(loader, &batch, error);
		if (status || !batch)
			break;
		if (stop && *stop)
			return hl_fail(error, HILUM_ERROR_STOPPED, "stopped after %zu of %zu pictures", out->count,
			               total);
		size_t count = (size_t)batch->count;
		if (count > total - out->count)
			return hl_fail(error, HILUM_ERROR_INTERNAL, "the loader gave more pictures than it has");
		const float *logits = hl_plan_forward(plan, batch->images, false, 0, 0);
		status = hl_check_logits(logits, batch->count * outputs, error);
		if (status)
			return status;
		double *probability = out->probability + out->count * (size_t)classes;
		hl_probabilities(logits, batch->count, outputs, probability);
		if (mirrored)
			status = answer_mirrored(plan, *mirrored, batch, outputs, classes, probability, error);
		if (status)
			return status;
		memcpy(out->index + out->count, batch->index, count * sizeof(*out->index));
		out->count += count;
	}
	if (!status && out->count != total)
		status = hl_fail(error, HILUM_ERROR_INTERNAL, "the loader gave %zu of %zu pictures", out->count, total);
	return status;
}

/* What the readable cases of a loader, which become those from out->count on, are. */
static enum hilum_status meet(struct hl_loader *loader, const struct hl_domain *domain, struct hl_predictions *out,
                              struct hilum_error *error)
{
	size_t count = hl_loader_count(loader);
	for (size_t i = 0; i < count; i++)
		out->chest[out->count + i] = hl_loader_chest(loader, i);
	if (domain->traits == 0 || !out->distance)
		return HILUM_OK;
	double *rows = hl_alloc(count, HL_TRAITS * sizeof(*rows));
	if (!rows)
		return hl_fail_memory(error, count * HL_TRAITS * sizeof(*rows), "figures");
	enum hilum_status status = hl_loader_traits(loader, 1, rows, error);
	for (size_t i = 0; i < count && !status; i++)
		out->distance[out->count + i] = hl_domain_distance(domain, rows + i * HL_TRAITS);
	hl_free(rows);
	return status;
}

/* Counts and names cases that a prediction would refuse, and counts those that are unusual. They are answered all the
 * same: whoever labelled them says what they are. */
static void name_refused(const struct hl_dataset *dataset, const struct hl_domain *domain, struct hl_predictions *out)
{
	for (size_t i = 0; i < out->count; i++) {
		struct hilum_error reason = {0};
		out->unusual += out->distance && hl_domain_flags(domain, out->distance[i]);
		if (!hl_domain_admit(domain, out->chest[i], &reason))
			continue;
		if (out->refused++ < NAMED_MAX)
			hl_log(HILUM_LOG_WARNING, "%s: hilum predict would answer: %s",
			       dataset->cases[out->index[i]].path, reason.message);
	}
	if (out->refused > NAMED_MAX)
		hl_log(HILUM_LOG_WARNING, "%zu more would be refused", out->refused - NAMED_MAX);
}

/* The answers of a loader's samples as those of its cases. */
static enum hilum_status run(struct hl_loader *loader, struct hl_plan *plan, const struct hl_shape *mirrored,
                             const volatile int *stop, struct hl_predictions *out, struct hilum_error *error)
{
	size_t total = hl_loader_samples(loader), classes = (size_t)out->classes;
	struct answers answers = {.index = hl_alloc(total, sizeof(*answers.index)),
	                          .probability = hl_alloc(total, classes * sizeof(double))};
	enum hilum_status status = HILUM_OK;
	if (!answers.index || !answers.probability)
		status = hl_fail_memory(error, total * classes * sizeof(double), "predictions");
	if (!status)
		status = answer_all(loader, plan, mirrored, stop, out->classes, &answers, error);
	if (!status) {
		size_t cases = hl_combine_runs(answers.index, answers.probability, classes, answers.count);
		memcpy(out->index + out->count, answers.index, cases * sizeof(*out->index));
		memcpy(out->probability + out->count * classes, answers.probability,
		       cases * classes * sizeof(*out->probability));
		out->count += cases;
	}
	hl_free(answers.index);
	hl_free(answers.probability);
	return status;
}

/* The cases that loading names. That none of them can be read is no failure while there are others. */
static enum hilum_status predict_some(const struct hl_loader_options *loading, struct hl_plan *plan,
                                      const struct hl_shape *mirrored, const volatile int *stop, struct unread *unread,
                                      const struct hl_domain *domain, struct hl_predictions *out,
                                      struct hilum_error *error)
{
	struct hl_loader *loader = NULL;
	size_t before = unread->count;
	enum hilum_status status = hl_loader_create(loading, &loader, error);
	if (status)
		return status;
	status = hl_loader_preload(loader, count_unreadable, unread, stop, error);
	if (!status) {
		out->narrow += hl_loader_narrow(loader);
		status = meet(loader, domain, out, error);
		if (!status)
			status = run(loader, plan, mirrored, stop, out, error);
	} else if (unread->count - before == loading->count)
		status = HILUM_OK;
	hl_loader_destroy(loader);
	return status;
}

static enum hilum_status calibrate(const struct hilum_model *model, struct hl_predictions *predictions,
                                   struct hilum_error *error)
{
	struct hl_calibration calibration;
	enum hilum_status status = hl_calibration_parse(model->calibration, model->class_count, &calibration, error);
	if (status)
		return hl_prefix(error, status, "the model");
	for (size_t i = 0; i < predictions->count; i++)
		hl_calibration_apply(&calibration, predictions->classes,
		                     predictions->probability + i * (size_t)predictions->classes);
	hl_calibration_free(&calibration);
	return HILUM_OK;
}

enum hilum_status hl_predict(const struct hilum_model *model, const struct hl_dataset *dataset, const uint32_t *cases,
                             size_t count, const struct hl_predict_options *options, struct hl_predictions *out,
                             struct hilum_error *error)
{
	struct hl_recipe recipe;
	struct hl_domain domain = {0};
	struct hl_plan *plan = NULL;
	struct hl_predictions result = {.classes = model->class_count};
	struct unread unread = {.dataset = dataset};
	struct hilum_error none = {0};
	int64_t batch = options->batch ? options->batch : DEFAULT_BATCH;
	if (batch < 1 || batch > BATCH_MAX)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "batch: %lld is not from 1 to %d", (long long)batch,
		               BATCH_MAX);
	if (count == 0)
		return hl_fail(error, HILUM_ERROR_DATA, "there is no case to predict");
	enum hilum_status status = hl_model_recipe(model, &recipe, error);
	if (status)
		return status;
	const struct hl_plan_options planning = {.batch = batch, .threads = options->threads};
	status = hl_model_plan(model, &planning, options->precision, &plan, error);
	if (status)
		return status;
	status = hl_model_domain(model, &domain, error);
	const struct hl_shape shape = model->graph->node[0].shapes.out;
	result.index = hl_alloc(count, sizeof(*result.index));
	result.probability = hl_alloc(count, (size_t)result.classes * sizeof(*result.probability));
	result.chest = hl_alloc(count, sizeof(*result.chest));
	if (domain.traits > 0)
		result.distance = hl_alloc(count, sizeof(*result.distance));
	if (!result.index || !result.probability || !result.chest || (domain.traits > 0 && !result.distance))
		status = hl_fail_memory(error, count * (size_t)result.classes * sizeof(double), "predictions");
	/* What is not taken by a picture for each case is left for the slices of volumes. */
	int64_t memory = options->memory > 0 ? options->memory : hl_memory_available() / 4;
	size_t most = cases_at_once(&recipe, batch, memory);
	memory =
	    memory > (int64_t)(most * hl_recipe_bytes(&recipe)) ? memory : (int64_t)(most * hl_recipe_bytes(&recipe));
	for (size_t done = 0; done < count && !status; done += most) {
		const struct hl_loader_options loading = {.dataset = dataset,
		                                          .recipe = &recipe,
		                                          .cases = cases + done,
		                                          .count = count - done < most ? count - done : most,
		                                          .batch = batch,
		                                          .flaw = options->flaw,
		                                          .outputs = (int32_t)hl_model_outputs(model),
		                                          .threads = options->threads,
		                                          .memory = memory};
		status = predict_some(&loading, plan, options->mirror ? &shape : NULL, options->stop, &unread, &domain,
		                      &result, &none);
	}
	if (status && none.code)
		hl_fail(error, status, "%s", none.message);
	else if (!status && result.count == 0)
		status = hl_fail(error, HILUM_ERROR_DATA, "%s", none.message);
	if (!status && model->calibration && !options->raw)
		status = calibrate(model, &result, error);
	if (!status)
		name_refused(dataset, &domain, &result);
	result.unreadable = unread.count;
	hl_domain_free(&domain);
	hl_plan_destroy(plan);
	if (status)
		hl_predictions_free(&result);
	else
		*out = result;
	return status;
}

void hl_predictions_free(struct hl_predictions *predictions)
{
	hl_free(predictions->index);
	hl_free(predictions->probability);
	hl_free(predictions->chest);
	hl_free(predictions->distance);
	*predictions = (struct hl_predictions){0};
}
