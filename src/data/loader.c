/* The loader as its caller sees it; loader_work.h says how it works. */
#include "data/loader_work.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/traits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 65536

/* ---- creating ---- */

static enum hilum_status check(const struct hl_loader_options *options, struct hilum_error *error)
{
	const struct hl_recipe *recipe = options->recipe;
	double sum = 0;
	if (recipe->size < 1 || recipe->size > HL_RECIPE_SIZE_MAX || !hl_recipe_has_channels(recipe, recipe->channels))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "a recipe of size %d with %d channels", recipe->size,
		               recipe->channels);
	if (hl_recipe_depth(recipe) < 1 || hl_recipe_depth(recipe) > HL_RECIPE_DEPTH_MAX ||
	    hl_recipe_bytes(recipe) > HL_RECIPE_BYTES_MAX)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%d slices of %d x %d are more than %d, or %zu values",
		               hl_recipe_depth(recipe), recipe->size, recipe->size, HL_RECIPE_DEPTH_MAX,
		               HL_RECIPE_BYTES_MAX);
	if (options->batch < 1 || options->batch > BATCH_MAX)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "--batch %lld is outside 1 to %d",
		               (long long)options->batch, BATCH_MAX);
	if (options->count < 1 || options->count > HL_CASES_MAX)
		return hl_fail(error, HILUM_ERROR_DATA, "%zu cases to load", options->count);
	if (options->threads < 0 || options->memory < 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "a negative number of threads or bytes for the loader");
	if (options->outputs < 1 || (options->outputs == 1 ? 2 : options->outputs) < options->dataset->class_count)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%d outputs for %d classes", options->outputs,
		               options->dataset->class_count);
	for (size_t i = 0; i < options->count; i++)
		if (options->cases[i] >= options->dataset->count)
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "case %u of %zu", options->cases[i],
			               options->dataset->count);
	if (!options->weights)
		return HILUM_OK;
	for (size_t i = 0; i < options->count; i++) {
		if (!(options->weights[i] >= 0) || !isfinite(sum += options->weights[i]))
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "the sampler's weight %g", options->weights[i]);
	}
	if (!options->shuffle || sum <= 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "a sampler without %s", sum > 0 ? "shuffling" : "weights");
	return HILUM_OK;
}

static enum hilum_status take_cases(struct hl_loader *loader, struct hilum_error *error)
{
	const struct hl_loader_options *options = &loader->options;
	const double *weights = options->weights;
	size_t count = options->count;
	loader->count = count;
	loader->cases = hl_alloc(count, sizeof(*loader->cases));
	loader->slot = hl_alloc(count, sizeof(*loader->slot));
	loader->inside = hl_alloc(count, sizeof(*loader->inside));
	loader->chest = hl_alloc(count, sizeof(*loader->chest));
	loader->slots = count;
	if (weights)
		loader->running = hl_alloc(count, sizeof(*loader->running));
	if (!loader->cases || !loader->slot || !loader->inside || !loader->chest || (weights && !loader->running))
		return hl_fail_memory(error, count * sizeof(*loader->cases), "the loader");
	for (size_t i = 0; i < count; i++) {
		loader->cases[i] = options->cases[i];
		loader->slot[i] = (uint32_t)i;
		if (weights)
			loader->running[i] = weights[i] + (i ? loader->running[i - 1] : 0);
	}
	size_t room = (size_t)options->memory / loader->bytes;
	loader->kept_count = room < count ? room : count;
	loader->kept_bytes = loader->kept_count * loader->bytes;
	atomic_init(&loader->spare, (size_t)options->memory - loader->kept_bytes);
	if (loader->kept_count == 0)
		return HILUM_OK;
	loader->kept = hl_block_alloc(loader->kept_bytes);
	loader->kept_state = hl_alloc(loader->kept_count, sizeof(*loader->kept_state));
	if (!loader->kept || !loader->kept_state)
		return hl_fail_memory(error, loader->kept_bytes, "pictures to keep (--memory)");
	return HILUM_OK;
}

static size_t image_bytes(const struct hl_loader *loader)
{
	return (size_t)loader->options.batch * loader->bytes * sizeof(float);
}

static enum hilum_status make_ring(struct hl_loader *loader, struct hilum_error *error)
{
	size_t batch = (size_t)loader->options.batch;
	bool mixes = loader->options.augment && loader->options.augment->mixup > 0;
	for (int i = 0; i < HL_LOADER_RING; i++) {
		struct hl_loader_place *place = &loader->ring[i];
		place->batch.images = hl_block_alloc(image_bytes(loader));
		place->batch.targets = hl_alloc(batch * (size_t)loader->options.outputs, sizeof(float));
		place->batch.index = hl_alloc(batch, sizeof(uint32_t));
		if (mixes) {
			place->mixing = hl_alloc(batch, loader->bytes);
			place->partner = hl_alloc(batch, sizeof(uint32_t));
			place->share = hl_alloc(batch, sizeof(double));
		}
		if (!place->batch.images || !place->batch.targets || !place->batch.index ||
		    (mixes && (!place->mixing || !place->partner || !place->share)))
			return hl_fail_memory(error, image_bytes(loader), "batches");
	}
	return HILUM_OK;
}

enum hilum_status hl_loader_create(const struct hl_loader_options *options, struct hl_loader **out,
                                   struct hilum_error *error)
{
	enum hilum_status status = check(options, error);
	if (status)
		return status;
	struct hl_loader *loader = hl_alloc(1, sizeof(*loader));
	if (!loader)
		return hl_fail_memory(error, sizeof(*loader), "the loader");
	loader->options = *options;
	loader->bytes = hl_recipe_bytes(options->recipe);
	pthread_mutex_init(&loader->mutex, NULL);
	pthread_cond_init(&loader->work, NULL);
	pthread_cond_init(&loader->done, NULL);
	status = take_cases(loader, error);
	if (!status)
		status = make_ring(loader, error);
	if (!status)
		status = hl_loader_start_workers(loader, error);
	if (status) {
		hl_loader_destroy(loader);
		return status;
	}
	*out = loader;
	return HILUM_OK;
}

static void forget_failures(struct hl_loader *loader)
{
	for (size_t i = 0; i < loader->failure_count; i++)
		hl_free(loader->failures[i].message);
	hl_free(loader->failures);
	loader->failures = NULL;
	loader->failure_count = loader->failure_capacity = 0;
	loader->no_memory = false;
}

void hl_loader_destroy(struct hl_loader *loader)
{
	if (!loader)
		return;
	pthread_mutex_lock(&loader->mutex);
	loader->quit = true;
	pthread_cond_broadcast(&loader->work);
	pthread_mutex_unlock(&loader->mutex);
	for (int32_t i = 0; i < loader->thread_count; i++)
		pthread_join(loader->threads[i], NULL);
	pthread_mutex_destroy(&loader->mutex);
	pthread_cond_destroy(&loader->work);
	pthread_cond_destroy(&loader->done);
	for (int i = 0; i < HL_LOADER_RING; i++) {
		struct hl_loader_place *place = &loader->ring[i];
		if (place->batch.images)
			hl_block_free(place->batch.images, image_bytes(loader));
		hl_free(place->batch.targets);
		hl_free(place->batch.index);
		hl_free(place->mixing);
		hl_free(place->partner);
		hl_free(place->share);
	}
	if (loader->kept)
		hl_block_free(loader->kept, loader->kept_bytes);
	hl_free(loader->kept_state);
	hl_free(loader->cases);
	hl_free(loader->slot);
	hl_free(loader->chest);
	hl_loader_free_slices(loader);
	hl_free(loader->running);
	hl_free(loader->order);
	hl_free(loader->threads);
	forget_failures(loader);
	hl_free(loader);
}

/* ---- jobs, from the caller's side ---- */

/* Takes back what has not been handed out and waits for what has. No epoch is under way afterwards. */
static void halt(struct hl_loader *loader)
{
	pthread_mutex_lock(&loader->mutex);
	loader->end = loader->next;
	while (loader->busy > 0)
		pthread_cond_wait(&loader->done, &loader->mutex);
	loader->job = JOB_NONE;
	loader->stop = NULL;
	loader->next = loader->end = 0;
	loader->step = loader->steps = 0;
	loader->holds = false;
	pthread_mutex_unlock(&loader->mutex);
}

static int compare_failures(const void *a, const void *b)
{
	size_t x = ((const struct hl_loader_failure *)a)->position, y = ((const struct hl_loader_failure *)b)->position;
	return (x > y) - (x < y);
}

/* Visits every case on all workers and waits. Failures are then listed in order. */
static enum hilum_status visit_all(struct hl_loader *loader, enum hl_loader_job job, const volatile int *stop,
                                   struct hilum_error *error)
{
	halt(loader);
	forget_failures(loader);
	pthread_mutex_lock(&loader->mutex);
	memset(loader->sum, 0, sizeof(loader->sum));
	memset(loader->squares, 0, sizeof(loader->squares));
	loader->job = job;
	loader->stop = stop;
	loader->next = 0;
	loader->end = loader->count;
	pthread_cond_broadcast(&loader->work);
	while (loader->busy > 0 || hl_loader_has_work(loader))
		pthread_cond_wait(&loader->done, &loader->mutex);
	bool interrupted = hl_loader_stopped(loader) && loader->next < loader->end, no_memory = loader->no_memory;
	pthread_mutex_unlock(&loader->mutex);
	halt(loader);
	if (no_memory)
		return hl_fail_memory(error, loader->bytes, "reading pictures");
	if (interrupted)
		return hl_fail(error, HILUM_ERROR_STOPPED, "stopped while reading pictures");
	if (loader->failure_count > 1)
		qsort(loader->failures, loader->failure_count, sizeof(*loader->failures), compare_failures);
	return HILUM_OK;
}

static void get_failure(const struct hl_loader *loader, size_t i, struct hilum_error *error)
{
	if (error)
		hl_fail(error, loader->failures[i].code, "%s", loader->failures[i].message);
}

/* Drops the cases that failed. Their slots stay unused. */
static void drop_failures(struct hl_loader *loader)
{
	size_t left = 0, failure = 0;
	double before = 0, sum = 0;
	for (size_t i = 0; i < loader->count; i++) {
		double weight = loader->running ? loader->running[i] - before : 0;
		before = loader->running ? loader->running[i] : 0;
		if (failure < loader->failure_count && loader->failures[failure].position == i) {
			failure++;
			continue;
		}
		loader->cases[left] = loader->cases[i];
		loader->slot[left] = loader->slot[i];
		if (loader->running)
			loader->running[left] = sum += weight;
		left++;
	}
	loader->count = left;
}

enum hilum_status hl_loader_preload(struct hl_loader *loader, hl_unreadable_function *unreadable, void *context,
                                    const volatile int *stop, struct hilum_error *error)
{
	loader->narrow = 0;
	enum hilum_status status = visit_all(loader, JOB_PRELOAD, stop, error);
	if (status)
		return status;
	for (size_t i = 0; i < loader->failure_count && unreadable; i++) {
		struct hilum_error reason = {0};
		get_failure(loader, i, &reason);
		unreadable(context, loader->cases[loader->failures[i].position], &reason);
	}
	if (loader->failure_count == loader->count) {
		char first[300];
		snprintf(first, sizeof(first), "%s", loader->failures[0].message);
		return hl_fail(error, HILUM_ERROR_DATA, "none of %zu pictures can be read; the first: %s",
		               loader->count, first);
	}
	drop_failures(loader);
	if (loader->running && !(loader->running[loader->count - 1] > 0))
		return hl_fail(error, HILUM_ERROR_DATA, "none of the pictures that the sampler may draw can be read");
	return hl_loader_number_slices(loader, error);
}

enum hilum_status hl_loader_traits(struct hl_loader *loader, size_t every, double *traits, struct hilum_error *error)
{
	memset(traits, 0, ((loader->count - 1) / every + 1) * HL_TRAITS * sizeof(*traits));
	loader->traits = traits;
	loader->every = every;
	enum hilum_status status = visit_all(loader, JOB_TRAITS, NULL, error);
	if (!status && loader->failure_count > 0) {
		get_failure(loader, 0, error);
		status = loader->failures[0].code;
	}
	return status;
}

enum hilum_status hl_loader_statistics(struct hl_loader *loader, double mean[3], double deviation[3],
                                       struct hilum_error *error)
{
	enum hilum_status status = visit_all(loader, JOB_STATISTICS, NULL, error);
	if (status)
		return status;
	if (loader->failure_count > 0) {
		get_failure(loader, 0, error);
		return loader->failures[0].code;
	}
	int32_t channels = loader->options.recipe->channels;
	double pixels = (double)hl_loader_samples(loader) * (double)loader->bytes / channels;
	for (int32_t c = 0; c < 3; c++) {
		int32_t from = c < channels ? c : 0;
		double average = (double)loader->sum[from] / pixels;
		double variance = (double)loader->squares[from] / pixels - average * average;
		mean[c] = average / 255;
		deviation[c] = variance > 1 ? sqrt(variance) / 255 : 1.0 / 255;
	}
	return HILUM_OK;
}

enum hl_chest_verdict hl_loader_chest(const struct hl_loader *loader, size_t position)
{
	return (enum hl_chest_verdict)loader->chest[loader->slot[position]];
}

size_t hl_loader_narrow(const struct hl_loader *loader)
{
	return loader->narrow;
}

void hl_loader_warn_narrow(size_t narrow, size_t count)
{
	if (narrow > 0)
		hl_log(
		    HILUM_LOG_WARNING,
		    "%zu of %zu pictures are 16-bit with no value above 4095, as 12-bit scanners give: they span 16 of "
		    "255 grey levels; store Hounsfield units as signed 16-bit TIFF, or stretch the values to 65535",
		    narrow, count);
}

size_t hl_loader_count(const struct hl_loader *loader)
{
	return loader->count;
}

size_t hl_loader_samples(const struct hl_loader *loader)
{
	return loader->first ? loader->first[loader->count] : loader->count;
}

int64_t hl_loader_steps(const struct hl_loader *loader)
{
	int64_t count = (int64_t)loader->count, batch = loader->options.batch;
	if (!loader->options.shuffle)
		return ((int64_t)hl_loader_samples(loader) + batch - 1) / batch;
	return count < batch ? 1 : count / batch;
}

/* ---- epochs ---- */

static uint32_t draw_weighted(const struct hl_loader *loader, struct hl_random *random)
{
	double mark = hl_random_uniform(random) * loader->running[loader->count - 1];
	size_t low = 0, high = loader->count - 1;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (loader->running[middle] > mark)
			high = middle;
		else
			low = middle + 1;
	}
	return (uint32_t)low;
}

/* The whole epoch's order, of which a batch then is a stretch: resuming in the middle needs nothing else. */
static enum hilum_status make_order(struct hl_loader *loader, uint32_t epoch, struct hilum_error *error)
{
	const struct hl_loader_options *options = &loader->options;
	size_t positions =
	    options->shuffle ? (size_t)(hl_loader_steps(loader) * options->batch) : hl_loader_samples(loader);
	loader->positions = positions;
	if (!options->shuffle)
		return HILUM_OK;
	size_t length = positions > loader->count ? positions : loader->count;
	uint32_t *order = hl_alloc(length, sizeof(*order));
	if (!order)
		return hl_fail_memory(error, length * sizeof(*order), "the order of an epoch");
	struct hl_random random =
	    hl_random_stream(options->seed, epoch, 0, loader->running ? HL_RANDOM_SAMPLER : HL_RANDOM_SHUFFLE);
	if (loader->running) {
		for (size_t i = 0; i < positions; i++)
			order[i] = draw_weighted(loader, &random);
	} else {
		for (size_t i = 0; i < loader->count; i++)
			order[i] = (uint32_t)i;
		hl_random_shuffle(&random, order, (uint32_t)loader->count);
		for (size_t i = loader->count; i < positions; i++)
			order[i] = order[i - loader->count];
	}
	hl_free(loader->order);
	loader->order = order;
	return HILUM_OK;
}

/* Batches are whole but for the last one of an unshuffled epoch. */
static int64_t real_samples(const struct hl_loader *loader, int64_t step)
{
	int64_t left = (int64_t)loader->positions - step * loader->options.batch;
	return left < loader->options.batch ? left : loader->options.batch;
}

/* Makes a place ready for its next batch. Called with the mutex held. */
static void reset_place(struct hl_loader *loader, int64_t step)
{
	struct hl_loader_place *place = &loader->ring[step % HL_LOADER_RING];
	if (step >= loader->steps)
		return;
	place->batch.count = real_samples(loader, step);
	place->missing = place->batch.count;
	place->failed = SIZE_MAX;
}

enum hilum_status hl_loader_start(struct hl_loader *loader, uint32_t epoch, int64_t step, struct hilum_error *error)
{
	int64_t steps = hl_loader_steps(loader);
	if (step < 0 || step > steps)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "step %lld of an epoch of %lld", (long long)step,
		               (long long)steps);
	halt(loader);
	enum hilum_status status = make_order(loader, epoch, error);
	if (status)
		return status;
	pthread_mutex_lock(&loader->mutex);
	loader->epoch = epoch;
	loader->steps = steps;
	loader->step = step;
	for (int64_t i = step; i < step + HL_LOADER_RING; i++)
		reset_place(loader, i);
	loader->job = JOB_EPOCH;
	loader->next = (size_t)(step * loader->options.batch);
	loader->end = loader->positions;
	pthread_cond_broadcast(&loader->work);
	pthread_mutex_unlock(&loader->mutex);
	return HILUM_OK;
}

enum hilum_status hl_loader_next(struct hl_loader *loader, const struct hl_batch **out, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	pthread_mutex_lock(&loader->mutex);
	if (loader->holds) {
		loader->holds = false;
		reset_place(loader, loader->step + HL_LOADER_RING);
		loader->step++;
		pthread_cond_broadcast(&loader->work);
	}
	if (loader->step >= loader->steps) {
		pthread_mutex_unlock(&loader->mutex);
		*out = NULL;
		return HILUM_OK;
	}
	struct hl_loader_place *place = &loader->ring[loader->step % HL_LOADER_RING];
	while (place->missing > 0)
		pthread_cond_wait(&loader->done, &loader->mutex);
	if (place->failed != SIZE_MAX) {
		if (error)
			*error = place->error;
		status = place->error.code;
	} else {
		loader->holds = true;
		*out = &place->batch;
	}
	pthread_mutex_unlock(&loader->mutex);
	return status;
}
