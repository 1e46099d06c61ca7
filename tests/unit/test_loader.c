#include "pictures.h"

#include <math.h>
#include <pthread.h>

#include "base/memory.h"
#include "data/loader.h"

#define CASES 23
#define SIDE 12

struct setting {
	struct hl_dataset *dataset;
	struct hl_recipe recipe;
	struct hl_augment augment;
	uint32_t *cases;
	struct hl_loader_options options;
};

/* CASES pictures of three classes and several shapes. */
static void set_up(const struct pictures *pictures, struct setting *setting)
{
	char path[512], name[64];
	size_t count;
	memset(setting, 0, sizeof(*setting));
	for (int i = 0; i < CASES; i++) {
		snprintf(name, sizeof(name), "set/%c", 'a' + i % 3);
		pictures_folder(pictures, name);
		snprintf(name, sizeof(name), "set/%c/%02d.png", 'a' + i % 3, i);
		pictures_png(pictures, name, SIDE + i % 4, SIDE + i % 3, i);
	}
	pictures_path(pictures, "set", path);
	assert_int_equal(hl_dataset_open(path, NULL, &setting->dataset, NULL), HILUM_OK);
	setting->recipe = (struct hl_recipe){.channels = 1,
	                                     .size = SIDE,
	                                     .window = {-600, 1500},
	                                     .mean = {0.5, 0.5, 0.5},
	                                     .deviation = {0.25, 0.25, 0.25}};
	setting->cases = hl_dataset_select(setting->dataset, HL_PART_NONE, &count);
	setting->options = (struct hl_loader_options){.dataset = setting->dataset,
	                                              .recipe = &setting->recipe,
	                                              .cases = setting->cases,
	                                              .count = count,
	                                              .batch = 4,
	                                              .seed = 7,
	                                              .outputs = 3,
	                                              .threads = 2,
	                                              .memory = 1 << 20};
}

static void tear_down(struct setting *setting)
{
	hl_free(setting->cases);
	hl_dataset_free(setting->dataset);
}

static struct hl_loader *create(const struct setting *setting)
{
	struct hl_loader *loader = NULL;
	struct hilum_error error;
	if (hl_loader_create(&setting->options, &loader, &error))
		fail_msg("%s", error.message);
	return loader;
}

static const struct hl_batch *next(struct hl_loader *loader)
{
	const struct hl_batch *batch = NULL;
	struct hilum_error error;
	if (hl_loader_next(loader, &batch, &error))
		fail_msg("%s", error.message);
	return batch;
}

static uint64_t mix_hash(uint64_t hash, const void *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ ((const uint8_t *)data)[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* Hashes of the batches of an epoch from a step on; returns how many there were. */
static int64_t epoch_hashes(struct hl_loader *loader, const struct setting *setting, uint32_t epoch, int64_t step,
                            uint64_t *hash)
{
	const struct hl_loader_options *options = &setting->options;
	int64_t count = 0;
	assert_int_equal(hl_loader_start(loader, epoch, step, NULL), HILUM_OK);
	for (const struct hl_batch *batch; (batch = next(loader)) != NULL; count++) {
		uint64_t h = mix_hash(14695981039346656037U, &batch->count, sizeof(batch->count));
		h = mix_hash(h, batch->images,
		             (size_t)options->batch * hl_recipe_bytes(options->recipe) * sizeof(float));
		h = mix_hash(h, batch->targets, (size_t)(options->batch * options->outputs) * sizeof(float));
		hash[count] = mix_hash(h, batch->index, (size_t)options->batch * sizeof(uint32_t));
	}
	assert_null(next(loader));
	return count;
}

static void evaluates_in_order(void **state)
{
	struct setting setting;
	set_up(*state, &setting);
	struct hl_loader *loader = create(&setting);
	size_t seen = 0;
	uint8_t picture[SIDE * SIDE];
	float wanted[SIDE * SIDE];
	assert_null(next(loader)); /* nothing before start */
	assert_int_equal(hl_loader_steps(loader), 6);
	assert_int_equal(hl_loader_start(loader, 0, 0, NULL), HILUM_OK);
	for (const struct hl_batch *batch; (batch = next(loader)) != NULL;) {
		assert_int_equal(batch->count, seen < 20 ? 4 : 3);
		for (int i = 0; i < 4; i++) {
			const float *image = batch->images + i * SIDE * SIDE, *target = batch->targets + i * 3;
			if (i >= batch->count) {
				assert_int_equal(batch->index[i], UINT32_MAX);
				for (int k = 0; k < SIDE * SIDE; k++)
					assert_true(image[k] == 0);
				assert_true(target[0] == 0 && target[1] == 0 && target[2] == 0);
				continue;
			}
			const struct hl_case *item = &setting.dataset->cases[seen];
			assert_int_equal(batch->index[i], seen++);
			assert_int_equal(hl_recipe_open(&setting.recipe, item->file, picture, NULL, NULL), HILUM_OK);
			hl_recipe_normalise(&setting.recipe, picture, wanted);
			assert_memory_equal(image, wanted, sizeof(wanted));
			for (int32_t c = 0; c < 3; c++)
				assert_true(target[c] == (float)(c == item->label));
		}
	}
	assert_int_equal(seen, CASES);
	hl_loader_destroy(loader);
	tear_down(&setting);
}

/* The same bits with any number of workers, any memory, preloaded or not, from the start or resumed. */
static void depends_on_nothing_else(void **state)
{
	static const char *const augments[] = {"none", "strong", "medium,mixup=0.4"};
	struct setting setting;
	set_up(*state, &setting);
	setting.options.shuffle = true;
	for (size_t a = 0; a < 3; a++) {
		uint64_t first[3][8], hash[8];
		assert_int_equal(hl_augment_parse(augments[a], &setting.augment, NULL), HILUM_OK);
		setting.options.augment = &setting.augment;
		setting.options.threads = 1;
		setting.options.memory = 1 << 20;
		struct hl_loader *loader = create(&setting);
		for (uint32_t epoch = 0; epoch < 3; epoch++)
			assert_int_equal(epoch_hashes(loader, &setting, epoch, 0, first[epoch]), 5);
		assert_true(first[0][0] != first[1][0] && first[0][0] != first[0][1]);
		hl_loader_destroy(loader);
		for (int trial = 0; trial < 6; trial++) {
			setting.options.threads = 1 + trial * 2;
			setting.options.memory = trial == 1 ? 0 : trial == 2 ? 5 * SIDE * SIDE + 1 : 1 << 20;
			loader = create(&setting);
			if (trial % 2)
				assert_int_equal(hl_loader_preload(loader, NULL, NULL, NULL, NULL), HILUM_OK);
			assert_int_equal(epoch_hashes(loader, &setting, 2, 0, hash), 5);
			assert_memory_equal(hash, first[2], 5 * sizeof(*hash));
			for (int64_t step = 0; step <= 5; step++) {
				assert_int_equal(epoch_hashes(loader, &setting, 1, step, hash), 5 - step);
				assert_memory_equal(hash, first[1] + step, (size_t)(5 - step) * sizeof(*hash));
			}
			hl_loader_destroy(loader);
		}
	}
	tear_down(&setting);
}

static void shuffles_each_epoch(void **state)
{
	struct setting setting;
	set_up(*state, &setting);
	setting.options.shuffle = true;
	struct hl_loader *loader = create(&setting);
	uint32_t left_out[CASES] = {0};
	for (uint32_t epoch = 0; epoch < 40; epoch++) {
		bool seen[CASES] = {false};
		assert_int_equal(hl_loader_start(loader, epoch, 0, NULL), HILUM_OK);
		for (const struct hl_batch *batch; (batch = next(loader)) != NULL;) {
			assert_int_equal(batch->count, 4);
			for (int i = 0; i < 4; i++) {
				assert_false(seen[batch->index[i]]);
				seen[batch->index[i]] = true;
			}
		}
		for (int i = 0; i < CASES; i++)
			left_out[i] += !seen[i];
	}
	for (int i = 0; i < CASES; i++)
		assert_in_range(left_out[i], 0, 17); /* 5.2 on average */
	hl_loader_destroy(loader);
	/* One short batch is filled up from the start of its order. */
	setting.options.batch = 50;
	loader = create(&setting);
	assert_int_equal(hl_loader_steps(loader), 1);
	assert_int_equal(hl_loader_start(loader, 0, 0, NULL), HILUM_OK);
	const struct hl_batch *batch = next(loader);
	assert_int_equal(batch->count, 50);
	for (int i = CASES; i < 50; i++)
		assert_int_equal(batch->index[i], batch->index[i - CASES]);
	hl_loader_destroy(loader);
	tear_down(&setting);
}

static void samples_by_weight(void **state)
{
	struct setting setting;
	double weights[CASES];
	size_t drawn[CASES] = {0}, total = 0;
	set_up(*state, &setting);
	for (int i = 0; i < CASES; i++)
		weights[i] = i % 3 == 0 ? 0 : i;
	setting.options.shuffle = true;
	setting.options.weights = weights;
	setting.options.threads = 4;
	struct hl_loader *loader = create(&setting);
	for (uint32_t epoch = 0; epoch < 300; epoch++) {
		assert_int_equal(hl_loader_start(loader, epoch, 0, NULL), HILUM_OK);
		for (const struct hl_batch *batch; (batch = next(loader)) != NULL;)
			for (int i = 0; i < 4; i++, total++)
				drawn[batch->index[i]]++;
	}
	assert_int_equal(total, 300 * 20);
	double sum = 0;
	for (int i = 0; i < CASES; i++)
		sum += weights[i];
	for (int i = 0; i < CASES; i++) {
		double wanted = (double)total * weights[i] / sum;
		assert_true(fabs((double)drawn[i] - wanted) <= 5 * sqrt(wanted));
	}
	hl_loader_destroy(loader);
	tear_down(&setting);
}

/* Targets are softened by the very share by which pictures are mixed. */
static void mixes_pictures_and_targets(void **state)
{
	struct setting setting;
	set_up(*state, &setting);
	setting.augment = (struct hl_augment){.mixup = 1};
	setting.options.augment = &setting.augment;
	setting.options.shuffle = true;
	struct hl_loader *loader = create(&setting);
	int soft = 0;
	assert_int_equal(hl_loader_start(loader, 0, 0, NULL), HILUM_OK);
	for (const struct hl_batch *batch; (batch = next(loader)) != NULL;) {
		float plain[4][SIDE * SIDE];
		for (int i = 0; i < 4; i++) {
			uint8_t picture[SIDE * SIDE];
			hl_recipe_open(&setting.recipe, setting.dataset->cases[batch->index[i]].file, picture, NULL,
			               NULL);
			hl_recipe_normalise(&setting.recipe, picture, plain[i]);
		}
		for (int i = 0; i < 4; i++) {
			const float *target = batch->targets + 3 * i, *image = batch->images + i * SIDE * SIDE;
			int32_t own = setting.dataset->cases[batch->index[i]].label;
			bool explained = false;
			assert_true(fabsf(target[0] + target[1] + target[2] - 1) < 1e-6f);
			soft += target[own] < 0.999f;
			for (int j = 0; j < 4; j++) {
				/* The share from the pixel that differs most, then all pixels and the targets by it. */
				int32_t other = setting.dataset->cases[batch->index[j]].label;
				int at = 0;
				for (int k = 0; k < SIDE * SIDE; k++)
					if (fabsf(plain[i][k] - plain[j][k]) > fabsf(plain[i][at] - plain[j][at]))
						at = k;
				float difference = plain[i][at] - plain[j][at], worst = 0;
				float share = i == j ? 1 : (image[at] - plain[j][at]) / difference;
				for (int k = 0; k < SIDE * SIDE; k++)
					worst = fmaxf(
					    worst, fabsf(share * plain[i][k] + (1 - share) * plain[j][k] - image[k]));
				float wanted = own == other ? 1 : share;
				explained = explained || (worst < 1e-3f && fabsf(target[own] - wanted) < 1e-3f);
			}
			assert_true(explained);
		}
	}
	assert_true(soft > 3);
	hl_loader_destroy(loader);
	tear_down(&setting);
}

static void binary_targets_are_labels(void **state)
{
	struct setting setting;
	char path[512];
	set_up(*state, &setting);
	tear_down(&setting);
	pictures_path(*state, "set", path);
	assert_int_equal(hl_dataset_open(path, &(struct hl_dataset_options){.positive = "b"}, &setting.dataset, NULL),
	                 HILUM_OK);
	setting.cases = hl_dataset_select(setting.dataset, HL_PART_NONE, &setting.options.count);
	setting.options.dataset = setting.dataset;
	setting.options.cases = setting.cases;
	setting.options.outputs = 1;
	struct hl_loader *loader = create(&setting);
	assert_int_equal(hl_loader_start(loader, 0, 0, NULL), HILUM_OK);
	for (const struct hl_batch *batch; (batch = next(loader)) != NULL;)
		for (int i = 0; i < batch->count; i++)
			assert_true(batch->targets[i] ==
			            (float)(setting.dataset->cases[batch->index[i]].path[0] == 'b'));
	hl_loader_destroy(loader);
	tear_down(&setting);
}

/* ---- what cannot be read ---- */

struct reports {
	int count;
	uint32_t index[CASES];
};

static void report(void *context, uint32_t index, const struct hilum_error *error)
{
	struct reports *reports = context;
	assert_non_null(strstr(error->message, ".png"));
	reports->index[reports->count++] = index;
}

static void damage(const struct setting *setting, uint32_t index)
{
	assert_int_equal(truncate(setting->dataset->cases[index].file, 40), 0);
}

static void drops_the_unreadable(void **state)
{
	struct setting setting;
	double weights[CASES];
	set_up(*state, &setting);
	for (int i = 0; i < CASES; i++)
		weights[i] = i == 19 ? 1 : 0;
	damage(&setting, 0);
	damage(&setting, 9);
	damage(&setting, 22);
	for (int trial = 0; trial < 3; trial++) {
		struct reports reports = {0};
		setting.options.threads = 1 + 3 * trial;
		setting.options.memory = trial ? 1 << 20 : 2 * SIDE * SIDE;
		setting.options.shuffle = trial == 2;
		setting.options.weights = trial == 2 ? weights : NULL;
		struct hl_loader *loader = create(&setting);
		assert_int_equal(hl_loader_preload(loader, report, &reports, NULL, NULL), HILUM_OK);
		assert_int_equal(reports.count, 3);
		assert_int_equal(reports.index[0], 0);
		assert_int_equal(reports.index[1], 9);
		assert_int_equal(reports.index[2], 22);
		assert_int_equal(hl_loader_count(loader), CASES - 3);
		size_t count = 0;
		assert_int_equal(hl_loader_start(loader, 0, 0, NULL), HILUM_OK);
		for (const struct hl_batch *batch; (batch = next(loader)) != NULL;) {
			for (int i = 0; i < batch->count; i++, count++) {
				assert_true(batch->index[i] != 0 && batch->index[i] != 9 && batch->index[i] != 22);
				assert_true(trial != 2 || batch->index[i] == 19);
			}
		}
		assert_int_equal(count, CASES - 3);
		/* A second time: nothing left to report. */
		reports.count = 0;
		assert_int_equal(hl_loader_preload(loader, report, &reports, NULL, NULL), HILUM_OK);
		assert_int_equal(reports.count, 0);
		hl_loader_destroy(loader);
	}
	tear_down(&setting);
}

static void fails_where_none_is_left(void **state)
{
	struct setting setting;
	struct hilum_error error = {0};
	struct reports reports = {0};
	set_up(*state, &setting);
	for (uint32_t i = 0; i < CASES; i++)
		damage(&setting, i);
	struct hl_loader *loader = create(&setting);
	assert_int_equal(hl_loader_preload(loader, report, &reports, NULL, &error), HILUM_ERROR_DATA);
	assert_non_null(strstr(error.message, "none of 23"));
	assert_int_equal(reports.count, CASES);
	hl_loader_destroy(loader);
	tear_down(&setting);
}

/* Without preloading the error comes with its batch, after the sound ones, and always the first of that batch. */
static void errors_reach_the_caller(void **state)
{
	struct setting setting;
	double mean[3], deviation[3];
	set_up(*state, &setting);
	damage(&setting, 9);
	damage(&setting, 11);
	for (int trial = 0; trial < 8; trial++) {
		const struct hl_batch *batch;
		struct hilum_error error = {0};
		setting.options.threads = 1 + trial;
		struct hl_loader *loader = create(&setting);
		assert_int_equal(hl_loader_start(loader, 0, 0, NULL), HILUM_OK);
		assert_non_null(next(loader));
		assert_non_null(next(loader));
		for (int again = 0; again < 2; again++) {
			assert_int_not_equal(hl_loader_next(loader, &batch, &error), HILUM_OK);
			assert_non_null(strstr(error.message, setting.dataset->cases[9].path));
		}
		/* Over again from behind it. */
		assert_int_equal(hl_loader_start(loader, 0, 3, NULL), HILUM_OK);
		assert_int_equal(next(loader)->index[0], 12);
		assert_int_not_equal(hl_loader_statistics(loader, mean, deviation, &error), HILUM_OK);
		assert_non_null(strstr(error.message, setting.dataset->cases[9].path));
		assert_null(next(loader)); /* the statistics ended the epoch */
		hl_loader_destroy(loader);
	}
	tear_down(&setting);
}

/* ---- the rest ---- */

static void statistics_are_exact(void **state)
{
	struct setting setting;
	double sum = 0, squares = 0, n = 0, first[3], first_deviation[3];
	set_up(*state, &setting);
	for (size_t i = 0; i < CASES; i++) {
		uint8_t picture[SIDE * SIDE];
		hl_recipe_open(&setting.recipe, setting.dataset->cases[i].file, picture, NULL, NULL);
		for (int k = 0; k < SIDE * SIDE; k++, n++) {
			sum += picture[k] / 255.0;
			squares += picture[k] / 255.0 * picture[k] / 255.0;
		}
	}
	for (int trial = 0; trial < 4; trial++) {
		double mean[3], deviation[3];
		setting.options.threads = 1 + trial;
		setting.options.memory = trial == 3 ? 0 : 1 << 20;
		struct hl_loader *loader = create(&setting);
		assert_int_equal(hl_loader_statistics(loader, mean, deviation, NULL), HILUM_OK);
		assert_true(fabs(mean[0] - sum / n) < 1e-12);
		assert_true(fabs(deviation[0] - sqrt(squares / n - sum / n * sum / n)) < 1e-12);
		if (trial == 0) {
			memcpy(first, mean, sizeof(mean));
			memcpy(first_deviation, deviation, sizeof(deviation));
		}
		assert_memory_equal(first, mean, sizeof(mean));
		assert_memory_equal(first_deviation, deviation, sizeof(deviation));
		hl_loader_destroy(loader);
	}
	tear_down(&setting);
}

static void stops_while_preloading(void **state)
{
	struct setting setting;
	volatile int stop = 1;
	set_up(*state, &setting);
	struct hl_loader *loader = create(&setting);
	struct hilum_error error = {0};
	assert_int_equal(hl_loader_preload(loader, NULL, NULL, &stop, &error), HILUM_ERROR_STOPPED);
	stop = 0;
	assert_int_equal(hl_loader_preload(loader, NULL, NULL, &stop, &error), HILUM_OK);
	hl_loader_destroy(loader);
	tear_down(&setting);
}

static void *raise_stop(void *stop)
{
	usleep(300);
	__atomic_store_n((int *)stop, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Stopped from another thread at some moment: it returns, either way. */
static void stops_at_any_moment(void **state)
{
	struct setting setting;
	set_up(*state, &setting);
	setting.options.memory = 0;
	for (int trial = 0; trial < 30; trial++) {
		int stop = 0;
		pthread_t thread;
		struct hl_loader *loader = create(&setting);
		assert_int_equal(pthread_create(&thread, NULL, raise_stop, &stop), 0);
		enum hilum_status status = hl_loader_preload(loader, NULL, NULL, &stop, NULL);
		assert_true(status == HILUM_OK || status == HILUM_ERROR_STOPPED);
		pthread_join(thread, NULL);
		hl_loader_destroy(loader);
	}
	tear_down(&setting);
}

static void ends_at_any_moment(void **state)
{
	struct setting setting;
	uint64_t whole[8], hash[8];
	set_up(*state, &setting);
	assert_int_equal(hl_augment_parse("medium,mixup=0.4", &setting.augment, NULL), HILUM_OK);
	setting.options.augment = &setting.augment;
	setting.options.shuffle = true;
	setting.options.threads = 3;
	struct hl_loader *loader = create(&setting);
	epoch_hashes(loader, &setting, 5, 0, whole);
	hl_loader_destroy(loader);
	for (int taken = 0; taken <= 6; taken++) {
		/* Left in the middle of an epoch, for another one and for good. */
		loader = create(&setting);
		assert_int_equal(hl_loader_start(loader, 1, 0, NULL), HILUM_OK);
		for (int i = 0; i < taken; i++)
			next(loader);
		epoch_hashes(loader, &setting, 5, 0, hash);
		assert_memory_equal(hash, whole, 5 * sizeof(*hash));
		assert_int_equal(hl_loader_start(loader, 2, 0, NULL), HILUM_OK);
		for (int i = 0; i < taken; i++)
			next(loader);
		hl_loader_destroy(loader);
	}
	hl_loader_destroy(NULL);
	tear_down(&setting);
}

static void refuses_options(void **state)
{
	struct setting setting;
	struct hl_loader *loader = NULL;
	double weights[CASES] = {0};
	uint32_t far = CASES;
	set_up(*state, &setting);
	struct hl_loader_options sound = setting.options, *options = &setting.options;
#define REFUSED(change)                                                                                                \
	do {                                                                                                           \
		*options = sound;                                                                                      \
		change;                                                                                                \
		assert_int_not_equal(hl_loader_create(options, &loader, NULL), HILUM_OK);                              \
		assert_null(loader);                                                                                   \
	} while (0)
	REFUSED(options->batch = 0);
	REFUSED(options->batch = INT64_MAX);
	REFUSED(options->count = 0);
	REFUSED(options->outputs = 0);
	REFUSED(options->outputs = 1);
	REFUSED(options->outputs = 2);
	REFUSED(options->threads = -1);
	REFUSED(options->memory = -1);
	REFUSED(options->cases = &far; options->count = 1);
	REFUSED(options->weights = weights; options->shuffle = true);
	weights[3] = 1;
	REFUSED(options->weights = weights);
	weights[4] = NAN;
	REFUSED(options->weights = weights; options->shuffle = true);
	weights[4] = -1;
	REFUSED(options->weights = weights; options->shuffle = true);
	setting.recipe.size = 4096;
	REFUSED((void)0);
	setting.recipe.size = SIDE;
	*options = sound;
	loader = create(&setting);
	assert_int_equal(hl_loader_start(loader, 0, -1, NULL), HILUM_ERROR_ARGUMENT);
	assert_int_equal(hl_loader_start(loader, 0, 7, NULL), HILUM_ERROR_ARGUMENT);
	assert_int_equal(hl_loader_start(loader, 0, 6, NULL), HILUM_OK);
	assert_null(next(loader));
	hl_loader_destroy(loader);
	tear_down(&setting);
}

static void survives_no_memory(void **state)
{
	struct setting setting;
	enum hilum_status status = HILUM_ERROR_MEMORY;
	int64_t countdown = 0;
	set_up(*state, &setting);
	assert_int_equal(hl_augment_parse("mixup=1", &setting.augment, NULL), HILUM_OK);
	setting.options.augment = &setting.augment;
	setting.options.shuffle = true;
	for (; status == HILUM_ERROR_MEMORY; countdown++) {
		struct hl_loader *loader = NULL;
		double mean[3], deviation[3];
		const struct hl_batch *batch;
		assert_true(countdown < 2000);
		hl_memory_fail_after(countdown);
		status = hl_loader_create(&setting.options, &loader, NULL);
		if (!status)
			status = hl_loader_preload(loader, NULL, NULL, NULL, NULL);
		if (!status)
			status = hl_loader_statistics(loader, mean, deviation, NULL);
		if (!status)
			status = hl_loader_start(loader, 0, 0, NULL);
		if (!status)
			status = hl_loader_next(loader, &batch, NULL);
		hl_memory_fail_after(-1);
		hl_loader_destroy(loader);
	}
	assert_int_equal(status, HILUM_OK);
	assert_true(countdown > 20);
	tear_down(&setting);
}

#define WITH_PICTURES(test) cmocka_unit_test_setup_teardown(test, pictures_setup, pictures_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_PICTURES(evaluates_in_order),         WITH_PICTURES(depends_on_nothing_else),
	    WITH_PICTURES(shuffles_each_epoch),        WITH_PICTURES(samples_by_weight),
	    WITH_PICTURES(mixes_pictures_and_targets), WITH_PICTURES(binary_targets_are_labels),
	    WITH_PICTURES(drops_the_unreadable),       WITH_PICTURES(fails_where_none_is_left),
	    WITH_PICTURES(errors_reach_the_caller),    WITH_PICTURES(statistics_are_exact),
	    WITH_PICTURES(stops_while_preloading),     WITH_PICTURES(stops_at_any_moment),
	    WITH_PICTURES(ends_at_any_moment),         WITH_PICTURES(refuses_options),
	    WITH_PICTURES(survives_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
