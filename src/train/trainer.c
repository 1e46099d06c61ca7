#include "train/trainer.h"

#include "base/log.h"
#include "base/memory.h"
#include "eval/metrics.h"
#include "infer/combine.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static bool asked_to_stop(const struct hl_trainer *trainer)
{
	return trainer->events && trainer->events->stop && *trainer->events->stop;
}

static int64_t epoch_steps(const struct hl_trainer *trainer)
{
	return hl_loader_steps(trainer->material->train);
}

/* ---- making ready ---- */

static enum hilum_status choose_loss(struct hl_trainer *trainer, struct hilum_error *error)
{
	enum { AUTO, BCE, CE, FOCAL };
	const struct hilum_train_options *options = trainer->options;
	int32_t outputs = (int32_t)hl_model_outputs(trainer->model);
	if (options->loss == BCE && outputs > 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "loss: bce is for two classes, and here are %d",
		               trainer->model->class_count);
	trainer->loss = (struct hl_loss){.kind = options->loss == FOCAL ? HL_LOSS_FOCAL
	                                         : outputs == 1         ? HL_LOSS_BCE
	                                                                : HL_LOSS_CE,
	                                 .outputs = outputs,
	                                 .smoothing = options->label_smoothing,
	                                 .gamma = options->focal};
	if (options->balance == 1) {
		hl_material_weights(trainer->material, trainer->class_weight);
		trainer->loss.weight = trainer->class_weight;
	}
	return HILUM_OK;
}

static void choose_schedule(struct hl_trainer *trainer)
{
	const struct hilum_train_options *options = trainer->options;
	int64_t steps = epoch_steps(trainer);
	trainer->schedule = (struct hl_schedule){.kind = (enum hl_schedule_kind)options->schedule,
	                                         .lr = options->lr,
	                                         .steps = steps * options->epochs,
	                                         .warmup = llround(options->warmup * (double)steps),
	                                         .step_every = (steps * options->epochs + 2) / 3,
	                                         .step_factor = 0.1};
}

static enum hilum_status choose_optimizer(struct hl_trainer *trainer, struct hilum_error *error)
{
	const struct hilum_train_options *options = trainer->options;
	trainer->optimizer = (struct hl_optimizer){.kind = (enum hl_optimizer_kind)options->optimizer,
	                                           .momentum = options->momentum,
	                                           .nesterov = options->momentum > 0,
	                                           .beta1 = 0.9,
	                                           .beta2 = 0.999,
	                                           .eps = 1e-8,
	                                           .weight_decay = options->weight_decay,
	                                           .ema = options->ema};
	return hl_optimizer_init(&trainer->optimizer, trainer->model->graph, error);
}

static enum hilum_status make_plan(struct hl_trainer *trainer, struct hilum_error *error)
{
	const struct hl_graph *graph = trainer->model->graph;
	const struct hl_plan_options how = {.batch = trainer->options->batch,
	                                    .type = trainer->options->precision == 1 ? HL_BF16 : HL_F32,
	                                    .strict = trainer->options->precision == 2,
	                                    .training = true,
	                                    .freeze = (int32_t)trainer->options->freeze,
	                                    .threads = (int32_t)trainer->options->threads};
	enum hilum_status status = hl_plan_create(graph, &how, &trainer->plan, error);
	if (status)
		return status;
	int64_t left = 0, all = 0;
	for (int32_t i = 0; i < graph->params; i++) {
		trainer->frozen[i] = hl_plan_frozen(trainer->plan, i);
		if (graph->param[i].spec.trained) {
			all += graph->param[i].count;
			left += trainer->frozen[i] ? 0 : graph->param[i].count;
		}
	}
	if (left == 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "freeze: nothing is left to train");
	hl_log(HILUM_LOG_INFO, "%lld weights, %lld of them trained; %.1f MiB for batches of %lld", (long long)all,
	       (long long)left, (double)hl_plan_bytes(trainer->plan) / 1048576, (long long)trainer->options->batch);
	hl_plan_bind(trainer->plan, trainer->model->slab);
	return HILUM_OK;
}

enum hilum_status hl_trainer_open(struct hl_trainer *trainer, struct hilum_error *error)
{
	const struct hl_graph *graph = trainer->model->graph;
	size_t outputs = (size_t)hl_model_outputs(trainer->model), batch = (size_t)trainer->options->batch;
	size_t val = trainer->material->val ? hl_loader_samples(trainer->material->val) : 0;
	trainer->frozen = hl_alloc((size_t)graph->params + 1, sizeof(bool));
	trainer->gradients = hl_block_alloc((size_t)graph->trained * sizeof(float));
	trainer->dlogits = hl_alloc(batch * outputs, sizeof(float));
	trainer->index = hl_alloc(val + 1, sizeof(uint32_t));
	trainer->label = hl_alloc(val + 1, sizeof(int32_t));
	trainer->probability = hl_alloc(val + batch, (outputs == 1 ? 2 : outputs) * sizeof(double));
	trainer->score = hl_alloc(val + 1, sizeof(double));
	if (!trainer->frozen || !trainer->gradients || !trainer->dlogits || !trainer->index || !trainer->label ||
	    !trainer->probability || !trainer->score)
		return hl_fail_memory(error, (size_t)graph->trained * sizeof(float), "gradients");
	enum hilum_status status = choose_loss(trainer, error);
	if (!status)
		status = choose_optimizer(trainer, error);
	if (!status)
		status = make_plan(trainer, error);
	choose_schedule(trainer);
	return status;
}

void hl_trainer_free(struct hl_trainer *trainer)
{
	if (trainer->plan)
		hl_plan_destroy(trainer->plan);
	hl_optimizer_free(&trainer->optimizer);
	if (trainer->gradients)
		hl_block_free(trainer->gradients, (size_t)trainer->model->graph->trained * sizeof(float));
	hl_free(trainer->frozen);
	hl_free(trainer->dlogits);
	hl_free(trainer->index);
	hl_free(trainer->label);
	hl_free(trainer->probability);
	hl_free(trainer->score);
	*trainer = (struct hl_trainer){.options = NULL};
}

/* ---- saving ---- */

struct hilum_model hl_trainer_view(const struct hl_trainer *trainer)
{
	struct hilum_model view = *trainer->model;
	if (trainer->optimizer.average && trainer->optimizer.step > 0)
		view.slab = trainer->optimizer.average;
	return view;
}

static enum hilum_status save_model(const struct hl_trainer *trainer, const char *name, struct hilum_error *error)
{
	char path[HL_RUN_PATH_MAX];
	struct hilum_model view = hl_trainer_view(trainer);
	json_t *root = json_loads(view.provenance, 0, NULL);
	json_object_set_new(root, "epoch", json_integer(trainer->checkpoint->position.epoch));
	view.provenance = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	enum hilum_status status = hl_run_path(trainer->run, name, path, error);
	if (!status && !view.provenance)
		status = hl_fail_memory(error, 1024, "provenance");
	if (!status)
		status = hl_model_save(&view, path, error);
	free(view.provenance);
	return status;
}

static enum hilum_status save_checkpoint(struct hl_trainer *trainer, struct hilum_error *error)
{
	char path[HL_RUN_PATH_MAX];
	double time = now();
	struct hl_checkpoint *checkpoint = trainer->checkpoint;
	checkpoint->position.seconds += time - trainer->started;
	trainer->started = time;
	checkpoint->text[HL_CHECKPOINT_LOG] = trainer->run->log.data;
	enum hilum_status status = hl_run_path(trainer->run, HL_RUN_CHECKPOINT, path, error);
	if (!status)
		status = hl_checkpoint_write(path, checkpoint, trainer->model->graph, trainer->model->slab,
		                             &trainer->optimizer, error);
	trainer->checkpointed = now();
	return status;
}

static enum hilum_status stop(struct hl_trainer *trainer, struct hilum_error *error)
{
	enum hilum_status status = save_checkpoint(trainer, error);
	const struct hl_position *at = &trainer->checkpoint->position;
	if (status)
		return status;
	return hl_fail(error, HILUM_ERROR_STOPPED,
	               "stopped in epoch %lld of %lld after step %lld of %lld, saved; go on with --out %s --resume",
	               (long long)at->epoch + 1, (long long)trainer->options->epochs, (long long)at->step,
	               (long long)epoch_steps(trainer), trainer->run->quoted);
}

/* ---- validation ---- */

struct validation {
	double loss, auc, accuracy;
};

/* One against the rest, averaged over the classes for which it is defined. */
static double macro_auc(struct hl_trainer *trainer, size_t count, int32_t *scratch)
{
	int32_t classes = trainer->model->class_count, defined = 0;
	double sum = 0;
	for (int32_t k = classes == 2 ? 1 : 0; k < classes; k++) {
		for (size_t i = 0; i < count; i++) {
			trainer->score[i] = trainer->probability[i * (size_t)classes + (size_t)k];
			scratch[i] = trainer->label[i] == k;
		}
		double auc = hl_auc(scratch, trainer->score, count);
		if (!isnan(auc)) {
			sum += auc;
			defined++;
		}
	}
	return defined ? sum / defined : NAN;
}

static double accuracy(const struct hl_trainer *trainer, size_t count)
{
	int32_t classes = trainer->model->class_count;
	size_t right = 0;
	for (size_t i = 0; i < count; i++) {
		const double *p = trainer->probability + i * (size_t)classes;
		int32_t top = 0;
		for (int32_t k = 1; k < classes; k++)
			if (p[k] > p[top] || (classes == 2 && p[1] >= 0.5))
				top = k;
		right += top == trainer->label[i];
	}
	return (double)right / (double)count;
}

/* Samples to cases: several slices of a volume become one answer, as in use, and the loss that of the answers. */
static size_t combine_slices(struct hl_trainer *trainer, size_t samples, double *sum)
{
	size_t classes = (size_t)trainer->model->class_count;
	size_t cases = hl_combine_runs(trainer->index, trainer->probability, classes, samples);
	for (size_t i = 0; i < cases; i++)
		trainer->label[i] = trainer->material->dataset->cases[trainer->index[i]].label;
	if (cases == samples)
		return cases;
	*sum = 0;
	for (size_t i = 0; i < cases; i++)
		*sum -= log(fmax(trainer->probability[i * classes + (size_t)trainer->label[i]], DBL_EPSILON));
	return cases;
}

/* The plain log loss, without weights or smoothing, so that it means the same in every training. */
static enum hilum_status validate(struct hl_trainer *trainer, struct validation *out, struct hilum_error *error)
{
	int32_t outputs = trainer->loss.outputs, classes = trainer->model->class_count;
	const struct hl_loss plain = {.kind = outputs == 1 ? HL_LOSS_BCE : HL_LOSS_CE, .outputs = outputs};
	const struct hl_batch *batch = NULL;
	size_t done = 0, count = hl_loader_samples(trainer->material->val);
	double sum = 0;
	struct hilum_model view = hl_trainer_view(trainer);
	hl_plan_bind(trainer->plan, view.slab);
	enum hilum_status status = hl_loader_start(trainer->material->val, 0, 0, error);
	while (!status && !(status = hl_loader_next(trainer->material->val, &batch, error)) && batch) {
		if (asked_to_stop(trainer)) {
			status = stop(trainer, error);
			break;
		}
		const float *logits = hl_plan_forward(trainer->plan, batch->images, false, 0, 0);
		sum += hl_loss_compute(&plain, logits, batch->targets, batch->count, NULL) * (double)batch->count;
		hl_probabilities(logits, batch->count, outputs, trainer->probability + done * (size_t)classes);
		for (int64_t i = 0; i < batch->count && done < count; i++)
			trainer->index[done++] = batch->index[i];
	}
	hl_plan_bind(trainer->plan, trainer->model->slab);
	if (status)
		return status;
	if (done != count || !isfinite(sum))
		return hl_fail(error, done != count ? HILUM_ERROR_INTERNAL : HILUM_ERROR_DATA,
		               done != count ? "validation lost cases"
		                             : "the validation loss is not a number: a smaller lr may help");
	count = combine_slices(trainer, count, &sum);
	int32_t *scratch = hl_alloc(count + 1, sizeof(*scratch));
	if (!scratch)
		return hl_fail_memory(error, count * sizeof(*scratch), "validation");
	*out = (struct validation){sum / (double)count, macro_auc(trainer, count, scratch), accuracy(trainer, count)};
	hl_free(scratch);
	return HILUM_OK;
}

/* ---- the loop ---- */

static void report(struct hl_trainer *trainer, double rate, const struct validation *validation, bool best)
{
	if (!trainer->events || !trainer->events->progress)
		return;
	const struct hl_position *at = &trainer->checkpoint->position;
	int64_t steps = epoch_steps(trainer), epochs = trainer->options->epochs;
	/* At the end of an epoch the position has moved on already; the report is about the epoch that ended. */
	int64_t epoch = validation ? at->epoch : at->epoch + 1, step = validation ? steps : at->step;
	double left = (double)(steps * epochs - trainer->optimizer.step) * (double)trainer->options->batch;
	struct hilum_progress progress = {.epoch = epoch,
	                                  .epochs = epochs,
	                                  .step = step,
	                                  .steps = steps,
	                                  .images_per_second = rate,
	                                  .seconds_left = rate > 0 ? left / rate : NAN,
	                                  .loss = at->loss / (double)step,
	                                  .epoch_done = validation != NULL,
	                                  .validation_loss = NAN,
	                                  .validation_auc = NAN,
	                                  .validation_accuracy = NAN,
	                                  .best = best};
	if (validation) {
		progress.validation_loss = validation->loss;
		progress.validation_auc = validation->auc;
		progress.validation_accuracy = validation->accuracy;
	}
	trainer->events->progress(trainer->events->context, &progress);
}

static enum hilum_status step(struct hl_trainer *trainer, const struct hl_batch *batch, struct hilum_error *error)
{
	const struct hl_graph *graph = trainer->model->graph;
	struct hl_position *at = &trainer->checkpoint->position;
	int64_t outputs = trainer->loss.outputs;
	const float *logits = hl_plan_forward(trainer->plan, batch->images, true, (uint64_t)trainer->options->seed,
	                                      (uint32_t)trainer->optimizer.step);
	memset(trainer->dlogits, 0, (size_t)(trainer->options->batch * outputs) * sizeof(float));
	double loss = hl_loss_compute(&trainer->loss, logits, batch->targets, batch->count, trainer->dlogits);
	hl_plan_backward(trainer->plan, trainer->dlogits, trainer->gradients);
	double norm = hl_gradient_clip(trainer->gradients, graph->trained, trainer->options->clip);
	/* Nothing has been changed yet, so that the last checkpoint and the weights stay sound. */
	if (!isfinite(loss) || !isfinite(norm))
		return hl_fail(error, HILUM_ERROR_DATA,
		               "the %s is not a number in epoch %lld, step %lld: a smaller lr, warmup or clip may help",
		               isfinite(loss) ? "gradient" : "loss", (long long)at->epoch + 1, (long long)at->step + 1);
	double lr = hl_schedule_at(&trainer->schedule, trainer->optimizer.step);
	hl_optimizer_step(&trainer->optimizer, graph, trainer->frozen, lr, trainer->model->slab, trainer->gradients);
	hl_plan_changed(trainer->plan);
	at->loss += loss;
	at->step++;
	return HILUM_OK;
}

/* The steps that are left of the epoch; *rate is the images a second over them. */
static enum hilum_status run_steps(struct hl_trainer *trainer, double *rate, struct hilum_error *error)
{
	struct hl_position *at = &trainer->checkpoint->position;
	const struct hl_batch *batch = NULL;
	int64_t steps = epoch_steps(trainer), first = at->step;
	double began = now();
	*rate = 0;
	if (at->step >= steps)
		return HILUM_OK;
	enum hilum_status status = hl_loader_start(trainer->material->train, (uint32_t)at->epoch, at->step, error);
	while (!status && at->step < steps) {
		status = hl_loader_next(trainer->material->train, &batch, error);
		if (status)
			break;
		if (!batch)
			return hl_fail(error, HILUM_ERROR_INTERNAL, "the loader ended the epoch early");
		status = step(trainer, batch, error);
		if (status)
			break;
		double time = now(), taken = time - began;
		*rate = taken > 0 ? (double)((at->step - first) * trainer->options->batch) / taken : 0;
		report(trainer, *rate, NULL, false);
		if (asked_to_stop(trainer))
			status = stop(trainer, error);
		else if (time - trainer->checkpointed >= trainer->options->checkpoint)
			status = save_checkpoint(trainer, error);
	}
	return status;
}

/* Models first, then the log, then the checkpoint: whatever is newer than the checkpoint after a crash will be written
 * again with the same bytes. */
static enum hilum_status end_epoch(struct hl_trainer *trainer, double rate, struct hilum_error *error)
{
	struct hl_position *at = &trainer->checkpoint->position, before = *at;
	struct validation validation = {NAN, NAN, NAN};
	enum hilum_status status = trainer->material->val ? validate(trainer, &validation, error) : HILUM_OK;
	if (status)
		return status;
	bool best = !trainer->material->val || validation.loss < at->best;
	int64_t steps = epoch_steps(trainer);
	at->epoch++;
	at->step = 0;
	if (best) {
		at->best = trainer->material->val ? validation.loss : INFINITY;
		at->best_epoch = at->epoch;
		status = save_model(trainer, HL_RUN_BEST, error);
	}
	if (!status)
		status = save_model(trainer, HL_RUN_LAST, error);
	const struct hl_run_line line = {.epoch = at->epoch,
	                                 .step = trainer->optimizer.step,
	                                 .lr = hl_schedule_at(&trainer->schedule, trainer->optimizer.step - 1),
	                                 .train_loss = before.loss / (double)steps,
	                                 .val_loss = validation.loss,
	                                 .val_auc = validation.auc,
	                                 .val_accuracy = validation.accuracy,
	                                 .seconds = at->seconds + now() - trainer->started,
	                                 .images_per_second = rate > 0 ? rate : NAN};
	if (!status)
		status = hl_run_log_add(trainer->run, &line, error);
	if (!status)
		status = hl_run_log_write(trainer->run, error);
	report(trainer, rate, &validation, best);
	at->loss = 0;
	return status ? status : save_checkpoint(trainer, error);
}

static bool finished(const struct hl_trainer *trainer)
{
	const struct hl_position *at = &trainer->checkpoint->position;
	int64_t patience = trainer->options->patience;
	if (at->epoch >= trainer->options->epochs)
		return true;
	if (patience == 0 || !trainer->material->val || at->epoch - at->best_epoch < patience)
		return false;
	hl_log(HILUM_LOG_INFO, "no better validation loss for %lld epochs: stopping early after epoch %lld",
	       (long long)patience, (long long)at->epoch);
	return true;
}

enum hilum_status hl_trainer_run(struct hl_trainer *trainer, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	double rate;
	trainer->started = trainer->checkpointed = now();
	while (!status && !finished(trainer)) {
		if (asked_to_stop(trainer)) {
			status = stop(trainer, error);
			break;
		}
		status = run_steps(trainer, &rate, error);
		if (!status)
			status = end_epoch(trainer, rate, error);
	}
	return status;
}
