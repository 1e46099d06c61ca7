/* Training end to end on a small data set that the test draws itself. */
#include "training.h"

#include "data/split.h"
#include "train/options.h"
#include "train/prepare.h"

static void test_two_classes(void **state)
{
	(void)state;
	struct hilum_train_options options = defaults("two", "plain");
	char *groups = hl_strdup(in_root("two/groups.csv"));
	options.groups = groups;
	options.epochs = 12;
	struct stopper seen = {.after = -1};
	struct hilum_train_events events = {.progress = count_down, .context = &seen};
	struct hilum_train_result result;
	struct hilum_error error;
	if (hilum_train(&options, &events, &result, &error))
		fail_msg("%s", error.message);
	assert_int_equal(result.epochs_done, 12);
	assert_int_equal(seen.epochs, 12);
	assert_true(seen.best > 0 && isfinite(seen.last_loss));
	assert_non_null(result.test);
	assert_true(hilum_scores_get(result.test, "auc") > 0.9);
	char *log = read_log(result.run);
	assert_true(log_value(log, 11, 3) < 0.7 * log_value(log, 0, 3));
	assert_int_equal((int)log_value(log, 11, 0), 12);
	hl_free(log);
	char hash[17];
	model_hash(result.run, "last.hilum", hash);
	assert_string_equal(hash, result.weights_hash);
	char path[3 * PATH];
	struct hilum_model *model = NULL;
	snprintf(path, sizeof(path), "%s/best.hilum", result.run);
	assert_int_equal(hl_model_load(path, &model, NULL), HILUM_OK);
	assert_non_null(strstr(model->scores, "log_loss"));
	assert_non_null(strstr(model->provenance, "\"shuffled_labels\":false"));
	assert_non_null(strstr(model->provenance, "hilum train"));
	assert_non_null(model->split);
	assert_string_equal(model->classes[1], "small");
	char *recipe = read_text(result.run, "recipe.json");
	assert_string_equal(recipe, model->recipe);
	hl_free(recipe);
	hilum_model_close(model);
	char *command = read_text(result.run, "command.txt");
	assert_non_null(strstr(command, "--arch 'seed filters=4,8 dense=8'"));
	hl_free(command);
	hilum_scores_free(result.test);

	/* A finished run is only scored again. */
	options.resume = true;
	struct hilum_train_result again;
	train(&options, &again);
	assert_string_equal(again.weights_hash, result.weights_hash);
	assert_non_null(again.test);
	hilum_scores_free(again.test);
	/* And is not overwritten. */
	options.resume = false;
	expect(&options, HILUM_ERROR_ARGUMENT, "--resume");
	hl_free(groups);
}

static void test_seed(void **state)
{
	(void)state;
	char hash[3][17];
	for (int i = 0; i < 3; i++) {
		char out[32];
		snprintf(out, sizeof(out), "seed%d", i);
		struct hilum_train_options options = defaults("two", out);
		options.epochs = 2;
		options.threads = i == 1 ? 1 : 3;
		options.seed = i == 2 ? 4 : 3;
		options.augment = "medium";
		struct hilum_train_result result;
		train(&options, &result);
		memcpy(hash[i], result.weights_hash, 17);
		hilum_scores_free(result.test);
	}
	assert_string_equal(hash[0], hash[1]);
	assert_string_not_equal(hash[0], hash[2]);
}

static void test_three_classes(void **state)
{
	(void)state;
	struct hilum_train_options options = defaults("three", "three-run");
	options.arch = "seed filters=4,8 dense=16 dropout=0";
	options.balance = 1;
	options.label_smoothing = 0.05;
	options.epochs = 8;
	struct hilum_train_result result;
	train(&options, &result);
	assert_true(hilum_scores_get(result.test, "auc") > 0.7);
	char *log = read_log(result.run);
	assert_true(log_value(log, 7, 3) < log_value(log, 0, 3));
	assert_true(log_value(log, 7, 5) > 0.5);
	hl_free(log);
	hilum_scores_free(result.test);
	options = defaults("three", "three-bce");
	options.loss = 1;
	expect(&options, HILUM_ERROR_ARGUMENT, "bce");
	options = defaults("three", "merged");
	options.positive = "small,wide";
	options.loss = 3;
	options.epochs = 1;
	train(&options, &result);
	hilum_scores_free(result.test);
	struct hilum_model *model;
	assert_int_equal(hl_model_load(in_root("merged/best.hilum"), &model, NULL), HILUM_OK);
	assert_int_equal(model->class_count, 2);
	hilum_model_close(model);
}

static void test_init(void **state)
{
	(void)state;
	struct hilum_train_options options = defaults("two", "source");
	options.epochs = 1;
	struct hilum_train_result result;
	train(&options, &result);
	hilum_scores_free(result.test);
	/* A folder stands for its best model; the head is new because there are three classes. */
	char *source = hl_strdup(in_root("source"));
	options = defaults("three", "target");
	options.init = source;
	options.freeze = 1;
	options.epochs = 2;
	train(&options, &result);
	hilum_scores_free(result.test);
	struct hilum_model *from, *to;
	assert_int_equal(hl_model_load(in_root("source/best.hilum"), &from, NULL), HILUM_OK);
	assert_int_equal(hl_model_load(in_root("target/last.hilum"), &to, NULL), HILUM_OK);
	assert_non_null(strstr(to->provenance, "\"init\""));
	const struct hl_param *first = &to->graph->param[0], *second = NULL;
	for (int32_t i = 1; i < to->graph->params && !second; i++)
		if (to->graph->param[i].node != first->node && to->graph->param[i].spec.rank > 1)
			second = &to->graph->param[i];
	assert_non_null(second);
	assert_memory_equal(to->slab + first->offset, from->slab + first->offset, (size_t)first->count * sizeof(float));
	assert_memory_not_equal(to->slab + second->offset, from->slab + second->offset,
	                        (size_t)second->count * sizeof(float));
	hilum_model_close(from);
	hilum_model_close(to);
	options = defaults("two", "frozen");
	options.freeze = 1000;
	expect(&options, HILUM_ERROR_ARGUMENT, "freeze");
	options = defaults("two", "no-init");
	options.init = "/nonexistent/model.hilum";
	expect(&options, HILUM_ERROR_IO, "/nonexistent/model.hilum");
	hl_free(source);
}

static struct hilum_model *open_model(const char *name)
{
	struct hilum_model *model;
	struct hilum_error error;
	if (hl_model_load(in_root(name), &model, &error))
		fail_msg("%s", error.message);
	return model;
}

static void recipe_of(const char *name, struct hl_recipe *out)
{
	struct hilum_model *model = open_model(name);
	assert_int_equal(hl_recipe_parse(model->recipe, out, NULL), HILUM_OK);
	hilum_model_close(model);
}

/* Without an architecture the model's is taken, with all that says how it reads pictures. */
static void test_init_alone(void **state)
{
	(void)state;
	struct hilum_train_options options = defaults("two", "teacher");
	struct hilum_train_result result;
	struct hl_recipe from, to;
	options.arch = "seed filters=4,6 dense=8 head=max dropout=0.25";
	options.size = 24;
	options.channels = options.fit = 1;
	options.window_center = 40;
	options.epochs = 1;
	train(&options, &result);
	hilum_scores_free(result.test);
	char *teacher = hl_strdup(in_root("teacher"));
	recipe_of("teacher/last.hilum", &from);
	for (int freeze = 0; freeze < 2; freeze++) {
		options = defaults("three", freeze ? "pupil-frozen" : "pupil");
		options.arch = NULL;
		options.size = 0;
		options.init = teacher;
		options.freeze = freeze;
		options.epochs = 2;
		struct stopper stopper = {.after = 3};
		struct hilum_train_events events = {count_down, &stopper, &stopper.stop, 0};
		struct hilum_error error;
		assert_int_equal(hilum_train(&options, &events, &result, &error), HILUM_ERROR_STOPPED);
		/* What was taken from the model is in the run: it may be gone. */
		char *elsewhere = hl_strdup(in_root("elsewhere"));
		assert_int_equal(rename(teacher, elsewhere), 0);
		options.resume = true;
		train(&options, &result);
		assert_int_equal(rename(elsewhere, teacher), 0);
		hl_free(elsewhere);
		hilum_scores_free(result.test);
		recipe_of(freeze ? "pupil-frozen/last.hilum" : "pupil/last.hilum", &to);
		assert_true(to.size == 24 && to.channels == 3 && to.fit == HL_FIT_PAD && to.window.center == 40);
		assert_true((memcmp(to.mean, from.mean, sizeof(to.mean)) == 0) == (freeze > 0));
		assert_true((memcmp(to.deviation, from.deviation, sizeof(to.mean)) == 0) == (freeze > 0));
		struct hilum_model *model = open_model(freeze ? "pupil-frozen/last.hilum" : "pupil/last.hilum");
		assert_int_equal(model->class_count, 3);
		assert_int_equal(model->graph->node[model->graph->logits].shapes.out.c, 3);
		hilum_model_close(model);
	}
	char *command = read_text(in_root("pupil"), "command.txt");
	assert_non_null(
	    strstr(command, " --size 24 --channels rgb --fit pad --middle 1 --window-center 40 --window-width 1500 "));
	hl_free(command);

	/* What is given goes before, be it the default. */
	options = defaults("two", "wilful");
	options.arch = NULL;
	options.size = 28;
	options.init = teacher;
	options.epochs = 1;
	struct hilum_train_events events = {
	    .given = UINT64_C(1) << (hilum_option_find(hilum_train_option_table, "fit") - hilum_train_option_table)};
	assert_int_equal(hilum_train(&options, &events, &result, NULL), HILUM_OK);
	hilum_scores_free(result.test);
	recipe_of("wilful/last.hilum", &to);
	assert_true(to.size == 28 && to.channels == 3 && to.fit == HL_FIT_CROP && to.window.center == 40);
	hl_free(teacher);
}

/* What cannot begin leaves no folder behind. */
static void test_nothing_begun(void **state)
{
	(void)state;
	FILE *file = fopen(in_root("gone.csv"), "w");
	fprintf(file, "path,label\n");
	for (int i = 0; i < 20; i++)
		fprintf(file, "nowhere/%d.png,%d\n", i, i % 2);
	fclose(file);
	struct hilum_train_options options = defaults("gone.csv", "unbegun");
	expect(&options, HILUM_ERROR_IO, "nowhere/");
	assert_int_equal(access(in_root("unbegun"), F_OK), -1);
	options = defaults("two", "unbegun");
	for (int bad = 0; bad < 2; bad++) {
		char *init = hl_strdup(bad ? in_root("gone.csv") : in_root("no-model"));
		options.init = init;
		expect(&options, bad ? HILUM_ERROR_FORMAT : HILUM_ERROR_IO, init);
		assert_int_equal(access(in_root("unbegun"), F_OK), -1);
		hl_free(init);
	}
}

static void test_no_validation(void **state)
{
	(void)state;
	struct hilum_train_options options = defaults("two", "unvalidated");
	options.split = "70/0/30";
	options.keep = "best";
	expect(&options, HILUM_ERROR_ARGUMENT, "validation");
	options.keep = NULL;
	options.patience = 2;
	expect(&options, HILUM_ERROR_ARGUMENT, "validation");
	options.patience = 0;
	struct hilum_train_result result;
	train(&options, &result);
	char best[17];
	model_hash(result.run, "best.hilum", best);
	assert_string_equal(best, result.weights_hash);
	assert_non_null(result.test);
	hilum_scores_free(result.test);
	/* And no test part: nothing to score. */
	options = defaults("two", "untested");
	options.split = "80/20/0";
	train(&options, &result);
	assert_null(result.test);
}

static void test_patience(void **state)
{
	(void)state;
	struct hilum_train_options options = defaults("two", "patient");
	options.patience = 2;
	options.epochs = 60;
	options.schedule = 0;
	options.lr = 0.05;
	struct hilum_train_result result, again;
	train(&options, &result);
	assert_true(result.epochs_done < 60);
	hilum_scores_free(result.test);
	options.resume = true;
	train(&options, &again);
	assert_int_equal(again.epochs_done, result.epochs_done);
	assert_string_equal(again.weights_hash, result.weights_hash);
	hilum_scores_free(again.test);
}

static void test_unreadable(void **state)
{
	(void)state;
	make_data(in_root("broken"), 2);
	copy_file(in_root("two/groups.csv"), in_root("broken/small/case 05.png"));
	struct hilum_train_options options = defaults("broken", "broken-run");
	options.split = "80/20/0";
	options.epochs = 1;
	warning[0] = '\0';
	struct hilum_train_result result;
	train(&options, &result);
	assert_non_null(strstr(warning, "case 05.png"));
	for (uint32_t i = 0; i < CASES; i++) {
		char name[64];
		snprintf(name, sizeof(name), "broken/small/case %02u.png", i);
		copy_file(in_root("two/groups.csv"), in_root(name));
	}
	options.out = in_root("broken-run-2");
	expect(&options, HILUM_ERROR_DATA, "\"small\"");
}

static void test_shuffle(void **state)
{
	(void)state;
	struct hilum_train_options options = defaults("two", "control");
	char *groups = hl_strdup(in_root("two/groups.csv"));
	options.groups = groups;
	struct hl_material plain, shuffled;
	assert_int_equal(hl_material_open(&options, &plain, NULL), HILUM_OK);
	options.shuffle_labels = true;
	assert_int_equal(hl_material_open(&options, &shuffled, NULL), HILUM_OK);
	assert_string_equal(plain.split, shuffled.split);
	size_t moved = 0;
	int32_t counts[2][4][2] = {{{0}}};
	for (size_t i = 0; i < plain.dataset->count; i++) {
		const struct hl_case *a = &plain.dataset->cases[i], *b = &shuffled.dataset->cases[i];
		assert_int_equal(a->part, b->part);
		moved += a->label != b->label;
		counts[0][a->part][a->label]++;
		counts[1][b->part][b->label]++;
		for (size_t k = 0; k < i; k++)
			if (shuffled.dataset->cases[k].group == b->group)
				assert_int_equal(shuffled.dataset->cases[k].label, b->label);
	}
	assert_true(moved > plain.dataset->count / 5);
	assert_memory_equal(counts[0], counts[1], sizeof(counts[0]));
	hl_material_free(&plain);
	hl_material_free(&shuffled);
	struct hilum_train_result result;
	options.epochs = 1;
	train(&options, &result);
	hilum_scores_free(result.test);
	struct hilum_model *model;
	assert_int_equal(hl_model_load(in_root("control/best.hilum"), &model, NULL), HILUM_OK);
	assert_non_null(strstr(model->provenance, "\"shuffled_labels\":true"));
	hilum_model_close(model);
	hl_free(groups);
}

static void test_folds(void **state)
{
	(void)state;
	FILE *file = fopen(in_root("folds.csv"), "w");
	fprintf(file, "path,fold\n");
	for (int k = 0; k < 2; k++)
		for (uint32_t i = 0; i < CASES; i++)
			fprintf(file, "%s/case %02u.png,%u\n", k ? "small" : "clear", i, i % 3);
	fclose(file);
	char *folds = hl_strdup(in_root("folds.csv"));
	struct hilum_train_options options = defaults("two", "folded");
	options.split = NULL;
	options.folds = folds;
	options.fold = 1;
	options.validation = 0.25;
	options.epochs = 1;
	struct hilum_train_result result;
	train(&options, &result);
	assert_true(hilum_scores_get(result.test, "n") == 2 * CASES / 3);
	hilum_scores_free(result.test);
	hl_free(folds);
}

static void test_bad_options(void **state)
{
	(void)state;
	struct hilum_train_options base = defaults("two", "never"), options = base;
	options.data = NULL;
	expect(&options, HILUM_ERROR_ARGUMENT, "data set");
	options = base;
	options.fold = 1;
	expect(&options, HILUM_ERROR_ARGUMENT, "folds");
	options = base;
	options.folds = "x.csv";
	expect(&options, HILUM_ERROR_ARGUMENT, "exclude");
	options.split = NULL;
	expect(&options, HILUM_ERROR_ARGUMENT, "needs fold");
	options = base;
	options.validation = 0.2;
	expect(&options, HILUM_ERROR_ARGUMENT, "validation");
	options = base;
	options.warmup = 3;
	expect(&options, HILUM_ERROR_ARGUMENT, "warmup");
	options = base;
	options.keep = "first";
	expect(&options, HILUM_ERROR_ARGUMENT, "keep");
	options = base;
	options.batch = 0;
	expect(&options, HILUM_ERROR_ARGUMENT, "batch");
	options = base;
	options.lr = NAN;
	expect(&options, HILUM_ERROR_ARGUMENT, "lr");
	options = base;
	options.optimizer = 17;
	expect(&options, HILUM_ERROR_ARGUMENT, "optimizer");
	options = base;
	options.arch = "no such network";
	expect(&options, HILUM_ERROR_ARGUMENT, "");
	options = base;
	options.augment = "sideways";
	expect(&options, HILUM_ERROR_ARGUMENT, "sideways");
	options = base;
	options.out = "/dev/null/run";
	expect(&options, HILUM_ERROR_IO, "/dev/null");
	/* None of them left a folder behind. */
	assert_int_equal(access(base.out, F_OK), -1);
}

/* An input line in a file of layers decides about size and channels. */
static void test_input_line(void **state)
{
	(void)state;
	FILE *file = fopen(in_root("net.txt"), "w");
	fprintf(file, "# a small one\ninput 1x24x24x3\nconv filters=4 size=3 stride=2\nrelu\nglobalpool\nflatten\n"
	              "dense units=$outputs\n");
	fclose(file);
	char *net = hl_strdup(in_root("net.txt"));
	struct hilum_train_options options = defaults("two", "lined");
	options.arch = net;
	expect(&options, HILUM_ERROR_ARGUMENT, "size is 32");
	options.size = 0;
	options.epochs = 1;
	struct hilum_train_result result;
	train(&options, &result);
	hilum_scores_free(result.test);
	char *recipe = read_text(result.run, "recipe.json");
	assert_non_null(strstr(recipe, "24"));
	hl_free(recipe);
	hl_free(net);
}

static void test_option_texts(void **state)
{
	(void)state;
	struct hilum_train_options options = defaults("two", "x");
	struct hl_buffer command;
	hl_buffer_init(&command, 1 << 16);
	options.data = "it's here";
	options.shuffle_labels = true;
	options.checkpoint = 0.5;
	assert_int_equal(hl_train_options_command(&options, &command, NULL), HILUM_OK);
	assert_non_null(strstr(command.data, "hilum train 'it'\\''s here' --arch 'seed filters=4,8 dense=8' --out /"));
	assert_non_null(strstr(command.data, " --shuffle-labels"));
	assert_null(strstr(command.data, "weight-decay"));
	hl_buffer_free(&command);

	char *json, *keep = NULL;
	struct hilum_train_options later;
	assert_int_equal(hl_train_options_json(&options, &json, NULL), HILUM_OK);
	hilum_options_init(hilum_train_option_table, &later);
	later.threads = 7;
	assert_int_equal(hl_train_options_merge(&later, 0, json, &keep, NULL), HILUM_OK);
	assert_true(later.epochs == 3 && later.threads == 7 && later.checkpoint == 60 && later.shuffle_labels);
	assert_true(later.lr == options.lr && later.keep == NULL);
	assert_string_equal(later.arch, options.arch);
	hl_free(keep);
	hilum_options_init(hilum_train_option_table, &later);
	later.epochs = 4;
	keep = NULL;
	struct hilum_error error;
	assert_int_equal(hl_train_options_merge(&later, 0, json, &keep, &error), HILUM_ERROR_ARGUMENT);
	assert_non_null(strstr(error.message, "epochs"));
	assert_null(keep);
	/* The default itself, when it was asked for. */
	uint64_t given =
	    UINT64_C(1) << (hilum_option_find(hilum_train_option_table, "epochs") - hilum_train_option_table);
	hilum_options_init(hilum_train_option_table, &later);
	assert_int_equal(hl_train_options_merge(&later, given, json, &keep, &error), HILUM_ERROR_ARGUMENT);
	assert_non_null(strstr(error.message, "epochs is \"20\""));
	later.epochs = 3;
	assert_int_equal(hl_train_options_merge(&later, given, json, &keep, &error), HILUM_OK);
	hl_free(keep);
	keep = NULL;
	assert_int_equal(hl_train_options_merge(&later, 0, "{\"epochs\": 4", &keep, &error), HILUM_ERROR_FORMAT);
	assert_int_equal(hl_train_options_merge(&later, 0, "{}", &keep, &error), HILUM_ERROR_FORMAT);
	hl_free(json);
}

/* Each allocation in turn fails; strides keep the test short. */
static void test_memory(void **state)
{
	(void)state;
	int64_t before = hl_memory_count();
	struct hilum_train_options options = defaults("two", "lean");
	options.epochs = 1;
	options.threads = 1;
	struct hilum_train_result result;
	train(&options, &result);
	hilum_scores_free(result.test);
	int64_t all = hl_memory_count() - before, stride = all / 60 + 1, failures = 0;
	for (int64_t k = 0; k < all; k += stride) {
		char out[64];
		snprintf(out, sizeof(out), "lean-%d", (int)k);
		options = defaults("two", out);
		options.epochs = 1;
		options.threads = 1;
		struct hilum_error error = {.code = HILUM_OK};
		hl_memory_fail_after(k);
		enum hilum_status status = hilum_train(&options, NULL, &result, &error);
		hl_memory_fail_after(-1);
		if (status)
			assert_true(error.message[0] != '\0');
		else
			hilum_scores_free(result.test);
		failures += status == HILUM_ERROR_MEMORY;
	}
	assert_true(failures > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_two_classes),   cmocka_unit_test(test_seed),
	    cmocka_unit_test(test_three_classes), cmocka_unit_test(test_init),
	    cmocka_unit_test(test_init_alone),    cmocka_unit_test(test_nothing_begun),
	    cmocka_unit_test(test_no_validation), cmocka_unit_test(test_patience),
	    cmocka_unit_test(test_unreadable),    cmocka_unit_test(test_shuffle),
	    cmocka_unit_test(test_folds),         cmocka_unit_test(test_bad_options),
	    cmocka_unit_test(test_input_line),    cmocka_unit_test(test_option_texts),
	    cmocka_unit_test(test_memory),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
