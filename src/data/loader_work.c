/* The loader's workers: what each does with the position it takes. */
#include "data/loader_work.h"

#include "base/cpu.h"
#include "base/memory.h"
#include "data/flaw.h"
#include "data/mixup.h"
#include "data/traits.h"

#include <signal.h>
#include <string.h>

#define THREADS_MAX 256

/* A worker's own memory. */
struct worker {
	uint8_t *picture, *augmented;
	void *scratch;
	struct hl_loader_volume at_hand;
	struct hl_met *met; /* where to note what is met in a case that is read; NULL: not asked */
};

/* ---- pictures ---- */

/* Points *out at the 8-bit picture, which-th of the case's: where it is kept, or in the worker's own memory. */
static enum hilum_status fetch(struct hl_loader *loader, struct worker *worker, size_t index, int32_t which,
                               const uint8_t **out, struct hilum_error *error)
{
	size_t slot = loader->slot[index];
	uint8_t *to = worker->picture;
	bool filling = false, several = false;
	if (loader->inside[slot].count > 0)
		return hl_loader_slice(loader, &worker->at_hand, index, which, worker->picture, out, error);
	if (slot < loader->kept_count) {
		unsigned char state = KEPT_NOT;
		to = loader->kept + slot * loader->bytes;
		filling = atomic_compare_exchange_strong(&loader->kept_state[slot], &state, KEPT_FILLING);
		if (state == KEPT_READY) {
			*out = to;
			return HILUM_OK;
		}
		/* Another worker is at it (a sampler may draw a case twice): rather decode it again than wait. */
		to = filling ? to : worker->picture;
	}
	enum hilum_status status;
	if (worker->met && hl_loader_looks_inside(loader, index))
		status = hl_loader_look_inside(loader, index, to, &several, worker->met, error);
	else
		status = hl_dataset_read(loader->options.dataset, loader->cases[index], loader->options.recipe, to,
		                         worker->met, error);
	if (filling)
		atomic_store(&loader->kept_state[slot], (unsigned char)(status || several ? KEPT_NOT : KEPT_READY));
	if (!status)
		*out = to;
	return status;
}

/* ---- workers: preloading and statistics ---- */

/* Called with the mutex held. */
static void note_failure(struct hl_loader *loader, size_t position, const struct hilum_error *error)
{
	if (loader->failure_count == loader->failure_capacity) {
		size_t capacity = loader->failure_capacity ? 2 * loader->failure_capacity : 16;
		struct hl_loader_failure *grown = hl_realloc(loader->failures, capacity, sizeof(*grown));
		loader->no_memory = loader->no_memory || !grown;
		if (!grown)
			return;
		loader->failures = grown;
		loader->failure_capacity = capacity;
	}
	char *message = hl_strdup(error->message);
	loader->no_memory = loader->no_memory || !message || error->code == HILUM_ERROR_MEMORY;
	loader->failures[loader->failure_count++] =
	    (struct hl_loader_failure){.position = position, .code = error->code, .message = message};
}

static void add_statistics(const struct hl_loader *loader, const uint8_t *picture, uint64_t sum[3], uint64_t squares[3])
{
	size_t channels = (size_t)loader->options.recipe->channels;
	for (size_t i = 0; i < loader->bytes; i += channels) {
		for (size_t c = 0; c < channels; c++) {
			uint32_t value = picture[i + c];
			sum[c] += value;
			squares[c] += value * value;
		}
	}
}

/* Called with the mutex held, which is given up while the picture is read. */
static void visit(struct hl_loader *loader, struct worker *worker, size_t position)
{
	struct hilum_error error = {0};
	const uint8_t *picture;
	uint64_t sum[3] = {0}, squares[3] = {0};
	bool statistics = loader->job == JOB_STATISTICS, traits = loader->job == JOB_TRAITS;
	struct hl_met met = {0};
	if (traits && position % loader->every != 0)
		return;
	worker->met = loader->job == JOB_PRELOAD ? &met : NULL;
	pthread_mutex_unlock(&loader->mutex);
	enum hilum_status status = HILUM_OK;
	int32_t count = statistics || traits ? hl_loader_inside_count(loader, position) : 1;
	for (int32_t i = 0; i < count && !status; i++) {
		status = fetch(loader, worker, position, i, &picture, &error);
		if (!status && statistics)
			add_statistics(loader, picture, sum, squares);
		if (!status && traits)
			hl_traits_add(loader->options.recipe, picture, 1.0 / count,
			              loader->traits + position / loader->every * HL_TRAITS);
	}
	if (!status && worker->met)
		loader->chest[loader->slot[position]] = (uint8_t)met.chest;
	worker->met = NULL;
	pthread_mutex_lock(&loader->mutex);
	loader->narrow += met.narrow && !status;
	if (status)
		note_failure(loader, position, &error);
	for (int c = 0; c < 3; c++) {
		loader->sum[c] += sum[c];
		loader->squares[c] += squares[c];
	}
}

/* ---- workers: batches ---- */

static void set_target(const struct hl_loader *loader, int32_t label, float share, float *target)
{
	if (loader->options.outputs == 1)
		target[0] += share * (float)label;
	else
		target[label] += share;
}

/* The case of a position, and which of its slices: one drawn by chance where the epoch is shuffled. */
static size_t choose(const struct hl_loader *loader, size_t position, int32_t *which)
{
	if (!loader->order)
		return hl_loader_find_slice(loader, position, which);
	size_t index = loader->order[position];
	struct hl_random random =
	    hl_random_stream(loader->options.seed, loader->epoch, (uint32_t)position, HL_RANDOM_SLICE);
	*which = (int32_t)hl_random_below(&random, (uint32_t)hl_loader_inside_count(loader, index));
	return index;
}

static enum hilum_status prepare(struct hl_loader *loader, struct worker *worker, struct hl_loader_place *place,
                                 size_t position, size_t sample, struct hilum_error *error)
{
	const struct hl_loader_options *options = &loader->options;
	int32_t which;
	size_t index = choose(loader, position, &which);
	const uint8_t *picture;
	place->batch.index[sample] = loader->cases[index];
	enum hilum_status status = fetch(loader, worker, index, which, &picture, error);
	if (status)
		return status;
	if (options->flaw) {
		status = hl_flaw_apply(options->flaw, options->recipe, place->batch.index[sample], picture,
		                       worker->augmented, worker->scratch, error);
		picture = worker->augmented;
		if (status)
			return status;
	} else if (options->augment) {
		uint8_t *to = place->mixing ? place->mixing + sample * loader->bytes : worker->augmented;
		hl_augment_apply(options->augment, options->recipe, options->seed, loader->epoch, (uint32_t)position,
		                 picture, to, worker->scratch);
		picture = to;
	}
	if (!place->mixing)
		hl_recipe_normalise(options->recipe, picture, place->batch.images + sample * loader->bytes);
	return HILUM_OK;
}

static void mix(const struct hl_loader *loader, struct hl_loader_place *place, int64_t step)
{
	const struct hl_loader_options *options = &loader->options;
	size_t samples = (size_t)place->batch.count;
	hl_mixup_draw(options->augment->mixup, options->seed, loader->epoch, (uint32_t)step, (uint32_t)samples,
	              place->partner, place->share);
	for (size_t i = 0; i < samples; i++)
		hl_recipe_blend(options->recipe, place->mixing + i * loader->bytes,
		                place->mixing + place->partner[i] * loader->bytes, (float)place->share[i],
		                place->batch.images + i * loader->bytes);
}

/* What needs all samples: padding, targets, mixing. */
static void complete(const struct hl_loader *loader, struct hl_loader_place *place, int64_t step)
{
	const struct hl_loader_options *options = &loader->options;
	size_t outputs = (size_t)options->outputs, batch = (size_t)options->batch, real = (size_t)place->batch.count;
	memset(place->batch.targets, 0, batch * outputs * sizeof(float));
	memset(place->batch.images + real * loader->bytes, 0, (batch - real) * loader->bytes * sizeof(float));
	for (size_t i = real; i < batch; i++)
		place->batch.index[i] = UINT32_MAX;
	if (place->mixing)
		mix(loader, place, step);
	for (size_t i = 0; i < real; i++) {
		const struct hl_case *cases = options->dataset->cases;
		float own = place->mixing ? (float)place->share[i] : 1;
		float *target = place->batch.targets + i * outputs;
		set_target(loader, cases[place->batch.index[i]].label, own, target);
		if (place->mixing)
			set_target(loader, cases[place->batch.index[place->partner[i]]].label, 1 - own, target);
	}
}

/* Called with the mutex held, which is given up while the sample is prepared. */
static void prepare_sample(struct hl_loader *loader, struct worker *worker, size_t position)
{
	int64_t step = (int64_t)position / loader->options.batch;
	size_t sample = position - (size_t)(step * loader->options.batch);
	struct hl_loader_place *place = &loader->ring[step % HL_LOADER_RING];
	struct hilum_error error = {0};
	pthread_mutex_unlock(&loader->mutex);
	enum hilum_status status = prepare(loader, worker, place, position, sample, &error);
	pthread_mutex_lock(&loader->mutex);
	if (status && sample < place->failed) {
		place->failed = sample;
		place->error = error;
	}
	if (place->missing > 1) {
		place->missing--;
		return;
	}
	if (place->failed == SIZE_MAX) {
		pthread_mutex_unlock(&loader->mutex);
		complete(loader, place, step);
		pthread_mutex_lock(&loader->mutex);
	}
	place->missing = 0;
	pthread_cond_signal(&loader->done);
}

/* ---- workers: what to do next ---- */

bool hl_loader_stopped(const struct hl_loader *loader)
{
	return loader->stop && __atomic_load_n(loader->stop, __ATOMIC_RELAXED);
}

bool hl_loader_has_work(const struct hl_loader *loader)
{
	if (loader->job == JOB_NONE || loader->next >= loader->end || hl_loader_stopped(loader))
		return false;
	return loader->job != JOB_EPOCH ||
	       (int64_t)loader->next / loader->options.batch < loader->step + HL_LOADER_RING;
}

struct start {
	struct hl_loader *loader;
	struct worker worker;
};

static void *run_worker(void *argument)
{
	struct start *start = argument;
	struct hl_loader *loader = start->loader;
	pthread_mutex_lock(&loader->mutex);
	while (!loader->quit) {
		if (!hl_loader_has_work(loader)) {
			/* The caller may have last looked before a stop took the rest of the work away. */
			if (loader->busy == 0)
				pthread_cond_signal(&loader->done);
			pthread_cond_wait(&loader->work, &loader->mutex);
			continue;
		}
		size_t position = loader->next++;
		loader->busy++;
		if (loader->job == JOB_EPOCH)
			prepare_sample(loader, &start->worker, position);
		else
			visit(loader, &start->worker, position);
		loader->busy--;
		if (loader->busy == 0)
			pthread_cond_signal(&loader->done);
	}
	pthread_mutex_unlock(&loader->mutex);
	hl_free(start->worker.picture);
	hl_free(start->worker.augmented);
	hl_free(start->worker.scratch);
	hl_volume_free(&start->worker.at_hand.volume);
	hl_free(start);
	return NULL;
}

static enum hilum_status start_worker(struct hl_loader *loader, struct hilum_error *error)
{
	struct start *start = hl_alloc(1, sizeof(*start));
	size_t scratch = hl_augment_scratch(loader->options.recipe);
	if (start) {
		start->loader = loader;
		start->worker.picture = hl_alloc(loader->bytes, 1);
		start->worker.augmented = hl_alloc(loader->bytes, 1);
		start->worker.scratch = hl_alloc(scratch, 1);
	}
	enum hilum_status status = HILUM_OK;
	if (!start || !start->worker.picture || !start->worker.augmented || !start->worker.scratch)
		status = hl_fail_memory(error, 2 * loader->bytes + scratch, "a loader's worker");
	else if (pthread_create(&loader->threads[loader->thread_count], NULL, run_worker, start) != 0)
		status = hl_fail(error, HILUM_ERROR_MEMORY, "the system gave no thread for the loader");
	if (!status) {
		loader->thread_count++;
		return HILUM_OK;
	}
	if (start) {
		hl_free(start->worker.picture);
		hl_free(start->worker.augmented);
		hl_free(start->worker.scratch);
	}
	hl_free(start);
	return status;
}

/* Signals are the program's business: they are blocked in workers, but for those that a fault of their own raises. */
enum hilum_status hl_loader_start_workers(struct hl_loader *loader, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	int32_t wanted = loader->options.threads ? loader->options.threads : hl_cpu_count();
	sigset_t blocked, before;
	wanted = wanted < THREADS_MAX ? wanted : THREADS_MAX;
	loader->threads = hl_alloc((size_t)wanted, sizeof(*loader->threads));
	if (!loader->threads)
		return hl_fail_memory(error, (size_t)wanted * sizeof(*loader->threads), "the loader");
	sigfillset(&blocked);
	sigdelset(&blocked, SIGSEGV);
	sigdelset(&blocked, SIGBUS);
	sigdelset(&blocked, SIGFPE);
	sigdelset(&blocked, SIGILL);
	pthread_sigmask(SIG_BLOCK, &blocked, &before);
	while (loader->thread_count < wanted && !status)
		status = start_worker(loader, error);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return status;
}
