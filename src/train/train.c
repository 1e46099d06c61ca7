/* hilum_train: from options to a run folder and the test scores of the model as saved. */
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/number.h"
#include "data/split.h"
#include "eval/scores.h"
#include "infer/predict.h"
#include "nn/arch.h"
#include "nn/ops/options.h"
#include "train/domain.h"
#include "train/leaks.h"
#include "train/options.h"
#include "train/trainer.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ARCH_MAX ((size_t)16 << 20)
#define OPTIONS_FILE "options.json"
#define OPTIONS_FILE_MAX ((size_t)16 << 20)

struct training {
	struct hilum_train_options options;
	const struct hilum_train_events *events;
	uint64_t given;           /* see there */
	char *merged;             /* what texts in options point into after resuming */
	char *as_json;            /* the options that matter */
	struct hilum_model *init; /* to start from; NULL: none, or all of it is in the checkpoint */
	struct hl_recipe init_recipe;
	char init_hash[17];
	char init_windows[HL_WINDOWS_MAX * 64]; /* as --windows has them */
	struct hl_run run;
	struct hl_material material;
	struct hilum_model *model;
	struct hl_buffer arch; /* of the model, every value spelled out */
	struct hl_checkpoint checkpoint;
	bool resumed; /* the checkpoint came from disk */
	size_t leaks; /* pairs of pictures across the split that are one, allowed by the caller */
	struct hl_trainer trainer;
};

static const volatile int *stop_flag(const struct training *training)
{
	return training->events ? training->events->stop : NULL;
}

/* ---- the network ---- */

/* text: shape as the input line has it. */
static enum hilum_status follow_shape(struct hl_shape shape, const char *text, struct training *training,
                                      struct hilum_error *error)
{
	const struct hilum_train_options *options = &training->options;
	struct hl_recipe *recipe = &training->material.recipe;
	bool deep = recipe->dims == HL_DIMS_3;
	int64_t channels = recipe->dims == HL_DIMS_25 && options->depth ? shape.c / options->depth : shape.c;
	if (recipe->dims == HL_DIMS_25 && !options->depth)
		channels = recipe->channels;
	int64_t depth = recipe->dims == HL_DIMS_2 ? 1 : deep ? shape.d : shape.c / channels;
	if ((!deep && shape.d != 1) || shape.h != shape.w || !hl_recipe_has_channels(recipe, channels) ||
	    shape.c != channels * (deep ? 1 : depth) || shape.h > HL_RECIPE_SIZE_MAX || depth > HL_RECIPE_DEPTH_MAX)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED,
		               "arch: training feeds square slices of 1 or 3 channels (or one a window) up to %d "
		               "pixels, one of them or "
		               "as --dims and --depth say, not an input of %s",
		               HL_RECIPE_SIZE_MAX, text);
	if ((options->size && options->size != shape.h) || (options->depth && options->depth != depth))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s is %lld, but the architecture's input line says %s",
		               options->size && options->size != shape.h ? "size" : "depth",
		               (long long)(options->size && options->size != shape.h ? options->size : options->depth),
		               text);
	recipe->size = (int32_t)shape.h;
	recipe->channels = (int32_t)channels;
	recipe->depth = (int32_t)depth;
	return HILUM_OK;
}

/* An input line in the architecture fixes the input's size, depth and channels. */
static enum hilum_status follow_input_line(const char *text, struct training *training, struct hilum_error *error)
{
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *word = line + strspn(line, " \t");
		if (strncmp(word, "input", 5) != 0 || (word[5] != ' ' && word[5] != '\t'))
			continue;
		word += 5 + strspn(word + 5, " \t");
		char shape_text[128];
		struct hl_shape shape;
		snprintf(shape_text, sizeof(shape_text), "1x%.*s", (int)strcspn(word, " \t\r\n#"), word);
		if (!hl_shape_parse(shape_text, &shape))
			return HILUM_OK; /* hl_arch_parse says what is wrong with it, and where */
		return follow_shape(shape, shape_text + 2, training, error);
	}
	return HILUM_OK;
}

static void set_dropout(struct hl_graph *graph, double rate)
{
	for (int32_t i = 1; i < graph->nodes; i++)
		if (strcmp(graph->node[i].op->name, "dropout") == 0) {
			struct hl_dropout_options *options = graph->node[i].options;
			options->rate = rate;
		}
}

/* The model of --init. A training that goes on from its checkpoint has all of it there already. */
static enum hilum_status load_init(struct training *training, struct hilum_error *error)
{
	const char *path = training->options.init;
	if (!path || training->resumed)
		return HILUM_OK;
	char *joined = hl_path_is_directory(path) ? hl_path_join(path, HL_RUN_BEST) : hl_strdup(path);
	if (!joined)
		return hl_fail_memory(error, strlen(path), "a path");
	enum hilum_status status = hl_model_load(joined, &training->init, error);
	if (!status)
		status = hl_model_recipe(training->init, &training->init_recipe, error);
	if (status)
		hl_prefix(error, status, "init: %s", joined);
	else
		hl_model_hash(training->init, training->init_hash);
	hl_free(joined);
	return status;
}

static void print_windows(const struct hl_recipe *recipe, char *text, size_t size)
{
	size_t used = 0;
	for (int32_t i = 0; i <= recipe->beside_count; i++) {
		const struct hl_window *window = i ? &recipe->beside[i - 1] : &recipe->window;
		char center[32], width[32];
		hl_number_print_shortest(center, sizeof(center), window->center);
		hl_number_print_shortest(width, sizeof(width), window->width);
		used += (size_t)snprintf(text + used, size - used, "%s%s/%s", i ? "," : "", center, width);
	}
}

/* Without --arch, how pictures are read is the model's where it was not given. The values become options, so that the
 * run folder tells them. */
static void follow_init(struct training *training)
{
	struct hilum_train_options *options = &training->options;
	const struct hl_recipe *recipe = &training->init_recipe;
	if (!training->init || options->arch)
		return;
	if (!hl_train_option_given(options, training->given, "size"))
		options->size = recipe->size;
	if (!hl_train_option_given(options, training->given, "channels"))
		options->channels = recipe->channels == 3;
	if (!hl_train_option_given(options, training->given, "fit"))
		options->fit = recipe->fit == HL_FIT_PAD;
	if (!hl_train_option_given(options, training->given, "middle"))
		options->middle = recipe->middle;
	if (!hl_train_option_given(options, training->given, "window-center"))
		options->window_center = recipe->window.center;
	if (!hl_train_option_given(options, training->given, "window-width"))
		options->window_width = recipe->window.width;
	if (recipe->beside_count > 0 && !hl_train_option_given(options, training->given, "windows")) {
		print_windows(recipe, training->init_windows, sizeof(training->init_windows));
		options->windows = training->init_windows;
	}
	if (!hl_train_option_given(options, training->given, "dims"))
		options->dims = recipe->dims;
	if (recipe->dims == HL_DIMS_2 || options->dims != (int)recipe->dims)
		return;
	if (!hl_train_option_given(options, training->given, "depth"))
		options->depth = recipe->depth;
	if (!hl_train_option_given(options, training->given, "spacing"))
		options->spacing = recipe->spacing;
	if (!hl_train_option_given(options, training->given, "extent"))
		options->extent = recipe->extent;
}

static enum hilum_status arch_text(struct training *training, struct hl_buffer *out, struct hilum_error *error)
{
	const char *kept = training->resumed ? training->checkpoint.text[HL_CHECKPOINT_ARCH] : NULL;
	if (training->options.arch || !training->options.init)
		return hl_arch_text(training->options.arch ? training->options.arch : "seed", out, error);
	return kept ? hl_buffer_append(out, kept, strlen(kept), error)
	            : hl_arch_print_open(training->init->graph, out, error);
}

/* Frozen layers expect what they were trained on. */
static enum hilum_status keep_normalisation(struct training *training, struct hilum_error *error)
{
	struct hl_material *material = &training->material;
	struct hl_recipe recipe = training->init_recipe;
	enum hilum_status status = HILUM_OK;
	if (!training->options.init || training->options.freeze == 0)
		return HILUM_OK;
	if (training->resumed)
		status = hl_recipe_parse(training->checkpoint.text[HL_CHECKPOINT_RECIPE], &recipe, error);
	if (status || recipe.channels != material->recipe.channels)
		return status;
	memcpy(material->recipe.mean, recipe.mean, sizeof(recipe.mean));
	memcpy(material->recipe.deviation, recipe.deviation, sizeof(recipe.deviation));
	material->normalised = true;
	return HILUM_OK;
}

static enum hilum_status start_from(struct training *training, struct hilum_error *error)
{
	int32_t copied = 0, kept = 0;
	enum hilum_status status = hl_model_init_from(training->model, training->init, &copied, &kept, error);
	if (status)
		return hl_prefix(error, status, "init: %s", training->options.init);
	hl_log(HILUM_LOG_INFO, "init: %d tensors copied from %s, %d trained ones begin anew", copied,
	       training->options.init, kept);
	return HILUM_OK;
}

static enum hilum_status make_model(struct training *training, struct hilum_error *error)
{
	const struct hilum_train_options *options = &training->options;
	const struct hl_dataset *dataset = training->material.dataset;
	const char *name = options->arch ? options->arch : options->init ? "of --init" : "seed";
	struct hl_buffer text;
	hl_buffer_init(&text, ARCH_MAX);
	enum hilum_status status = arch_text(training, &text, error);
	if (!status)
		status = follow_input_line(text.data, training, error);
	if (!status)
		status = hl_model_create(text.data, hl_recipe_shape(&training->material.recipe), dataset->classes,
		                         dataset->class_count, (uint64_t)options->seed, &training->model, error);
	if (status && text.data)
		hl_prefix(error, status, "arch %.200s", name);
	hl_buffer_free(&text);
	if (status)
		return status;
	if (options->dropout >= 0)
		set_dropout(training->model->graph, options->dropout);
	if (training->init)
		status = start_from(training, error);
	if (!status)
		status = keep_normalisation(training, error);
	return status ? status : hl_arch_print(training->model->graph, &training->arch, error);
}

/* ---- the run folder ---- */

static enum hilum_status write_start(struct training *training, struct hilum_error *error)
{
	const struct hl_run *run = &training->run;
	struct hl_buffer command;
	char path[HL_RUN_PATH_MAX];
	hl_buffer_init(&command, OPTIONS_FILE_MAX);
	enum hilum_status status = hl_train_options_command(&training->options, &command, error);
	if (!status)
		status = hl_buffer_append(&command, "\n", 1, error);
	if (!status)
		status = hl_run_write(run, "command.txt", command.data, error);
	if (!status)
		status = hl_run_write(run, OPTIONS_FILE, training->as_json, error);
	if (!status)
		status = hl_run_write(run, "arch.txt", training->arch.data, error);
	if (!status)
		status = hl_run_path(run, "split.csv", path, error);
	if (!status)
		status = hl_split_write(training->material.dataset, path, error);
	hl_buffer_free(&command);
	return status;
}

/* The options of a run that is gone on with: from its checkpoint or, when it did not get that far, from the file that
 * its start wrote. */
static enum hilum_status recall(struct training *training, struct hilum_error *error)
{
	char path[HL_RUN_PATH_MAX];
	struct hl_buffer file = {.data = NULL};
	enum hilum_status status = HILUM_OK;
	if (hl_run_has(&training->run, HL_RUN_CHECKPOINT)) {
		status = hl_run_path(&training->run, HL_RUN_CHECKPOINT, path, error);
		if (!status)
			status = hl_checkpoint_open(path, &training->checkpoint, error);
		if (status)
			return status;
		training->resumed = true;
		return hl_train_options_merge(&training->options, training->given,
		                              training->checkpoint.text[HL_CHECKPOINT_OPTIONS], &training->merged,
		                              error);
	}
	hl_log(HILUM_LOG_WARNING, "%s: no checkpoint to resume; beginning at the beginning", training->run.folder);
	if (!hl_run_has(&training->run, OPTIONS_FILE))
		return HILUM_OK;
	status = hl_run_path(&training->run, OPTIONS_FILE, path, error);
	if (!status)
		status = hl_file_read(path, OPTIONS_FILE_MAX, &file, error);
	if (!status)
		status =
		    hl_train_options_merge(&training->options, training->given, file.data, &training->merged, error);
	hl_buffer_free(&file);
	return status;
}

static char *provenance(const struct training *training)
{
	const struct hl_material *material = &training->material;
	const struct hl_dataset *dataset = material->dataset;
	struct hl_buffer command;
	hl_buffer_init(&command, OPTIONS_FILE_MAX);
	if (hl_train_options_command(&training->options, &command, NULL)) {
		hl_buffer_free(&command);
		return NULL;
	}
	json_t *root =
	    json_pack("{s:s, s:s, s:I, s:s, s:{s:s, s:s}, s:b, s:b, s:{s:I, s:I, s:I}, s:s}", "dataset",
	              material->dataset_hash, "split", material->split_hash.hex, "seed",
	              (json_int_t)training->options.seed, "command", command.data, "versions", "hilum", hilum_version(),
	              "compiler", __VERSION__, "shuffled_labels", (int)training->options.shuffle_labels, "grouped",
	              (int)dataset->grouped, "cases", "train", (json_int_t)hl_loader_count(material->train), "val",
	              (json_int_t)(material->val ? hl_loader_count(material->val) : 0), "test",
	              (json_int_t)material->count[HL_PART_TEST], "readable", material->summary);
	if (root && training->leaks > 0)
		json_object_set_new(root, "leaks", json_integer((json_int_t)training->leaks));
	if (root && training->init)
		json_object_set_new(root, "init", json_string(training->init_hash));
	char *dump = root ? json_dumps(root, JSON_COMPACT) : NULL, *text = dump ? hl_strdup(dump) : NULL;
	free(dump);
	json_decref(root);
	hl_buffer_free(&command);
	return text;
}

static enum hilum_status take_copy(char **to, const char *text, struct hilum_error *error)
{
	*to = hl_strdup(text);
	return *to ? HILUM_OK : hl_fail_memory(error, strlen(text), "the model's texts");
}

/* What the model file will say of itself, and what a checkpoint holds besides numbers. */
static enum hilum_status describe(struct training *training, struct hilum_error *error)
{
	struct hilum_model *model = training->model;
	const char **text = training->checkpoint.text;
	enum hilum_status status = take_copy(&model->recipe, training->material.recipe_json, error);
	if (!status)
		status = take_copy(&model->split, training->material.split, error);
	if (!status)
		status = hl_domain_make(&training->material, &model->domain, error);
	if (!status && training->resumed)
		status = take_copy(&model->provenance, text[HL_CHECKPOINT_PROVENANCE], error);
	if (!status && !training->resumed) {
		model->provenance = provenance(training);
		if (!model->provenance)
			status = hl_fail_memory(error, OPTIONS_FILE_MAX, "provenance");
	}
	return status;
}

struct identity {
	enum hl_checkpoint_text which;
	const char *text, *what;
};

/* Replaces the checkpoint's texts by those of this sitting, having checked that they are the same.
 */
static enum hilum_status identify(struct training *training, struct hilum_error *error)
{
	const struct identity all[] = {
	    {HL_CHECKPOINT_OPTIONS, training->as_json, "the options have changed"},
	    {HL_CHECKPOINT_DATASET, training->material.dataset_hash, "the data set has changed"},
	    {HL_CHECKPOINT_SPLIT, training->material.split_hash.hex,
	     "groups or folds have changed, and the split with them"},
	    {HL_CHECKPOINT_ARCH, training->arch.data, "the architecture has changed"},
	    {HL_CHECKPOINT_CASES, training->material.summary, "other pictures can be read than when it started"},
	    {HL_CHECKPOINT_RECIPE, training->material.recipe_json, "the pictures have changed"},
	};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const char **text = &training->checkpoint.text[all[i].which];
		if (training->resumed && strcmp(*text, all[i].text) != 0)
			return hl_fail(error, HILUM_ERROR_DATA, "%s cannot be resumed: %s", training->run.folder,
			               all[i].what);
		*text = all[i].text;
	}
	training->checkpoint.text[HL_CHECKPOINT_PROVENANCE] = training->model->provenance;
	return HILUM_OK;
}

/* Best and last models that the checkpoint counts on must be there. */
static enum hilum_status restore(struct training *training, struct hilum_error *error)
{
	struct hl_checkpoint *checkpoint = &training->checkpoint;
	struct hl_position *at = &checkpoint->position;
	if (!training->resumed) {
		*at = (struct hl_position){.best = INFINITY};
		return hl_run_log_start(&training->run, NULL, error);
	}
	if (at->epoch > training->options.epochs || at->step > hl_loader_steps(training->material.train))
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s: the checkpoint's position is impossible",
		               training->run.folder);
	if (at->epoch > 0 && (!hl_run_has(&training->run, HL_RUN_BEST) || !hl_run_has(&training->run, HL_RUN_LAST)))
		return hl_fail(error, HILUM_ERROR_IO, "%s: %s or %s is missing, and the checkpoint counts on it",
		               training->run.folder, HL_RUN_BEST, HL_RUN_LAST);
	enum hilum_status status = hl_checkpoint_restore(checkpoint, training->model->graph, training->model->slab,
	                                                 &training->trainer.optimizer, error);
	if (!status)
		status = hl_run_log_start(&training->run, checkpoint->text[HL_CHECKPOINT_LOG], error);
	if (!status && at->epoch > 0)
		status = hl_run_log_write(&training->run, error);
	if (!status)
		hl_log(HILUM_LOG_INFO, "%s: going on after epoch %lld, step %lld", training->run.folder,
		       (long long)at->epoch, (long long)at->step);
	hl_safetensors_free(&checkpoint->file);
	checkpoint->file = (struct hl_safetensors){.entries = 0};
	checkpoint->text[HL_CHECKPOINT_LOG] = training->run.log.data;
	return status;
}

/* ---- the end: what is on disk is what is scored ---- */

static enum hilum_status score(struct training *training, const struct hilum_model *model, struct hilum_scores **out,
                               struct hilum_error *error)
{
	const struct hl_material *material = &training->material;
	/* In float32 one by one, whatever it was trained in: the bits of hilum eval and predict by default. */
	const struct hl_predict_options how = {
	    .batch = 1, .threads = (int32_t)training->options.threads, .stop = stop_flag(training)};
	struct hl_predictions predictions = {.count = 0};
	enum hilum_status status = hl_predict(model, material->dataset, material->cases[HL_PART_TEST],
	                                      material->count[HL_PART_TEST], &how, &predictions, error);
	if (status)
		return status;
	status = hl_scores_from_predictions(material->dataset, &predictions, "test", NULL, out, error);
	hl_predictions_free(&predictions);
	return status;
}

/* Puts the scores into the file, and makes sure that the weights in it stayed what they were. */
static enum hilum_status add_scores(const char *path, struct hilum_model *model, const struct hilum_scores *scores,
                                    struct hilum_error *error)
{
	char before[17], after[17];
	struct hilum_model *again = NULL;
	hl_model_hash(model, before);
	hl_free(model->scores);
	model->scores = hl_scores_json(scores);
	if (!model->scores)
		return hl_fail_memory(error, sizeof(*scores), "scores");
	enum hilum_status status = hl_model_save(model, path, error);
	if (!status)
		status = hl_model_load(path, &again, error);
	if (status)
		return status;
	hl_model_hash(again, after);
	hilum_model_close(again);
	if (strcmp(before, after) != 0)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "%s: its weights changed when its scores were added", path);
	return HILUM_OK;
}

static enum hilum_status finish(struct training *training, struct hilum_train_result *result, struct hilum_error *error)
{
	const struct hilum_train_options *options = &training->options;
	bool last = options->keep && strcmp(options->keep, "last") == 0;
	struct hilum_model *model = NULL, view = hl_trainer_view(&training->trainer);
	struct hilum_scores *scores = NULL;
	char path[HL_RUN_PATH_MAX], table[HL_RUN_PATH_MAX], hash[17], kept[17];
	hl_model_hash(&view, hash);
	enum hilum_status status = hl_run_path(&training->run, last ? HL_RUN_LAST : HL_RUN_BEST, path, error);
	if (!status)
		status = hl_model_load(path, &model, error);
	if (status)
		return status;
	hl_model_hash(model, kept);
	if (last && strcmp(hash, kept) != 0)
		status = hl_fail(error, HILUM_ERROR_FORMAT, "%s: holds other weights than were trained", path);
	if (!status && training->material.count[HL_PART_TEST] > 0) {
		status = score(training, model, &scores, error);
		if (!status)
			status = add_scores(path, model, scores, error);
		if (!status)
			status = hl_run_path(&training->run, "predictions.csv", table, error);
		if (!status)
			status = hl_scores_write_predictions(scores, table, error);
	}
	hilum_model_close(model);
	if (status) {
		hilum_scores_free(scores);
		return status;
	}
	hl_log(HILUM_LOG_INFO, "weights %s after %lld epochs; %s holds %s", hash,
	       (long long)training->checkpoint.position.epoch, path, kept);
	struct hilum_train_result done = {.epochs_done = training->checkpoint.position.epoch, .test = scores};
	memcpy(done.run, training->run.folder, sizeof(done.run));
	memcpy(done.weights_hash, hash, sizeof(hash));
	*result = done;
	return HILUM_OK;
}

/* ---- in order ---- */

/* Nothing is written before the data set and the network are known to be sound. */
static enum hilum_status open_all(struct training *training, struct hilum_error *error)
{
	struct hilum_train_options *options = &training->options;
	enum hilum_status status = hl_train_options_check(options, error);
	if (!status && options->resume) {
		status = hl_run_open(options, &training->run, error);
		if (!status)
			status = recall(training, error);
		if (training->merged)
			training->given = UINT64_MAX; /* they are the run's own now, looked up in no model again */
		if (!status)
			status = hl_train_options_check(options, error);
	}
	if (!status)
		status = load_init(training, error);
	if (!status) {
		follow_init(training);
		status = hl_train_options_json(options, &training->as_json, error);
	}
	if (!status)
		status = hl_material_open(options, &training->material, error);
	if (!status && training->material.count[HL_PART_VAL] == 0 &&
	    (options->patience > 0 || (options->keep && strcmp(options->keep, "best") == 0)))
		status = hl_fail(error, HILUM_ERROR_ARGUMENT, "patience and keep=best need a validation part");
	if (!status)
		status = make_model(training, error);
	/* Not to be stopped: it is short, and there is no run yet to go on with. */
	if (!status && !training->resumed)
		status = hl_leaks_check(training->material.dataset, options->allow_leakage, (int32_t)options->threads,
		                        &training->leaks, error);
	if (!status && !options->resume)
		status = hl_run_open(options, &training->run, error);
	if (!status && !training->resumed)
		status = write_start(training, error);
	return status;
}

/* What a reader of the scores must know of the task: what is positive, and whether patients are kept apart. */
static void say_task(const struct training *training)
{
	const struct hl_dataset *dataset = training->material.dataset;
	const struct hl_material *material = &training->material;
	hl_log(HILUM_LOG_INFO, "%s: %zu cases in %d groups; %zu train, %zu validation, %zu test; run folder %s",
	       training->options.data, dataset->count, dataset->group_count, material->count[HL_PART_TRAIN],
	       material->count[HL_PART_VAL], material->count[HL_PART_TEST], training->run.folder);
	if (dataset->class_count == 2)
		hl_log(HILUM_LOG_INFO, "positive: %s; negative: %s", dataset->classes[1], dataset->classes[0]);
	bool by_chance = !training->options.folds && (training->options.split || !dataset->has_parts);
	if (!dataset->grouped && by_chance)
		hl_log(HILUM_LOG_WARNING,
		       "no groups were given, so each picture counts as a patient of its own; if some "
		       "share a patient, the scores flatter (--groups)");
}

static enum hilum_status load_all(struct training *training, struct hilum_error *error)
{
	const struct hilum_train_options *options = &training->options;
	struct hl_material *material = &training->material;
	say_task(training);
	enum hilum_status status = hl_material_load(options, stop_flag(training), material, error);
	if (!status && !training->resumed)
		status = hl_run_write(&training->run, "recipe.json", material->recipe_json, error);
	if (!status)
		status = describe(training, error);
	if (!status)
		status = identify(training, error);
	if (status)
		return status;
	training->trainer = (struct hl_trainer){.options = options,
	                                        .events = training->events,
	                                        .run = &training->run,
	                                        .material = material,
	                                        .model = training->model,
	                                        .checkpoint = &training->checkpoint};
	status = hl_trainer_open(&training->trainer, error);
	return status ? status : restore(training, error);
}

/* Outside the loop nothing needs saving, but how to go on is said all the same. */
static enum hilum_status stopped_while(const char *what, const struct training *training, enum hilum_status status,
                                       struct hilum_error *error)
{
	if (status != HILUM_ERROR_STOPPED)
		return status;
	return hl_fail(error, status, "stopped while %s; go on with --out %s --resume", what, training->run.quoted);
}

enum hilum_status hilum_train(const struct hilum_train_options *options, const struct hilum_train_events *events,
                              struct hilum_train_result *result, struct hilum_error *error)
{
	struct training training = {
	    .options = *options, .events = events, .given = events ? events->given : 0, .run = {.lock = -1}};
	hl_buffer_init(&training.arch, ARCH_MAX);
	enum hilum_status status = open_all(&training, error);
	if (!status)
		status = stopped_while("reading the pictures", &training, load_all(&training, error), error);
	if (!status)
		status = hl_trainer_run(&training.trainer, error);
	if (!status)
		status = stopped_while("scoring the test part", &training, finish(&training, result, error), error);
	hl_trainer_free(&training.trainer);
	hl_checkpoint_close(&training.checkpoint);
	hilum_model_close(training.model);
	hilum_model_close(training.init);
	hl_material_free(&training.material);
	hl_run_close(&training.run);
	hl_buffer_free(&training.arch);
	hl_free(training.as_json);
	hl_free(training.merged);
	return status;
}
