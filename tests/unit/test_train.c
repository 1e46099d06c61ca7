/* Training end to end on a small data set that the test draws itself. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <spng.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/split.h"
#include "eval/scores.h"
#include "model/model.h"
#include "train/checkpoint.h"
#include "train/options.h"
#include "train/prepare.h"

#define SIDE 32
#define CASES 24 /* a class */
#define PATH 512

static char root[PATH]; /* temporary, removed at the end */
static char warning[1024];

/* ---- the data set ---- */

static void write_png(const char *path, const uint8_t *pixels)
{
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	spng_ctx *context = spng_ctx_new(SPNG_CTX_ENCODER);
	struct spng_ihdr header = {
	    .width = SIDE, .height = SIDE, .bit_depth = 8, .color_type = SPNG_COLOR_TYPE_GRAYSCALE};
	assert_int_equal(spng_set_png_file(context, file), 0);
	assert_int_equal(spng_set_ihdr(context, &header), 0);
	assert_int_equal(spng_encode_image(context, pixels, SIDE * SIDE, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE), 0);
	spng_ctx_free(context);
	fclose(file);
}

/* A dark field with noise, and a bright disc whose size is the class. */
static void draw(const char *path, uint32_t number, int kind)
{
	struct hl_random random = hl_random_stream(99, (uint32_t)kind, number, HL_RANDOM_TEST);
	double x0 = hl_random_range(&random, 11, 21), y0 = hl_random_range(&random, 11, 21), radius = 2.5 + 2.5 * kind;
	uint8_t pixels[SIDE * SIDE];
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++) {
			double value = 60 + 15 * hl_random_normal(&random);
			if (kind > 0 && hypot(x - x0, y - y0) < radius)
				value += 120;
			pixels[y * SIDE + x] = (uint8_t)fmin(fmax(value, 0), 255);
		}
	write_png(path, pixels);
}

static void make_data(const char *folder, int classes)
{
	static const char *const names[] = {"clear", "small", "wide"};
	char path[2 * PATH];
	for (int k = 0; k < classes; k++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[k]);
		assert_int_equal(hl_directory_make(path, NULL), HILUM_OK);
		for (uint32_t i = 0; i < CASES; i++) {
			snprintf(path, sizeof(path), "%s/%s/case %02u.png", folder, names[k], i);
			draw(path, i, k);
		}
	}
	snprintf(path, sizeof(path), "%s/groups.csv", folder);
	FILE *file = fopen(path, "w");
	fprintf(file, "path,group\n");
	for (int k = 0; k < classes; k++)
		for (uint32_t i = 0; i < CASES; i++)
			fprintf(file, "%s/case %02u.png,%s%u\n", names[k], i, names[k], i / 2);
	fclose(file);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status, (void)type, (void)walk;
	return remove(path);
}

static void remove_all(const char *folder)
{
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A path in the temporary folder, in one of a few turns of static memory. */
static const char *in_root(const char *name)
{
	static char turns[8][2 * PATH];
	static int turn;
	turn = (turn + 1) % 8;
	snprintf(turns[turn], sizeof(turns[turn]), "%s/%s", root, name);
	return turns[turn];
}

static void keep_warning(void *context, enum hilum_level level, const char *line)
{
	(void)context;
	if (level == HILUM_LOG_WARNING && !strstr(warning, "left out"))
		snprintf(warning, sizeof(warning), "%s", line);
}

static int set_up(void **state)
{
	(void)state;
	hilum_log_to(keep_warning, NULL);
	if (root[0])
		return 0;
	const char *base = getenv("TMPDIR");
	snprintf(root, sizeof(root), "%s/hilum-train-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(root))
		return -1;
	make_data(in_root("two"), 2);
	make_data(in_root("three"), 3);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	remove_all(root);
	return 0;
}

/* ---- helpers ---- */

static struct hilum_train_options defaults(const char *data, const char *out)
{
	static char paths[8][2][2 * PATH];
	static int turn;
	turn = (turn + 1) % 8;
	struct hilum_train_options options;
	hilum_options_init(hilum_train_option_table, &options);
	snprintf(paths[turn][0], sizeof(paths[turn][0]), "%s/%s", root, data);
	snprintf(paths[turn][1], sizeof(paths[turn][1]), "%s/%s", root, out);
	options.data = paths[turn][0];
	options.out = paths[turn][1];
	options.arch = "seed filters=4,8 dense=8";
	options.size = SIDE;
	options.batch = 8;
	options.epochs = 3;
	options.lr = 0.01;
	options.seed = 3;
	options.threads = 2;
	options.split = "60/20/20";
	return options;
}

static void train(const struct hilum_train_options *options, struct hilum_train_result *result)
{
	struct hilum_error error = {.code = HILUM_OK};
	if (hilum_train(options, NULL, result, &error))
		fail_msg("%s", error.message);
}

static void expect(const struct hilum_train_options *options, enum hilum_status status, const char *words)
{
	struct hilum_error error = {.code = HILUM_OK};
	struct hilum_train_result result;
	memset(&result, 0x5a, sizeof(result));
	struct hilum_train_result before = result;
	enum hilum_status got = hilum_train(options, NULL, &result, &error);
	if (got != status || error.code != status || !strstr(error.message, words))
		fail_msg("expected %s with \"%s\", got %s: %s", hilum_status_name(status), words,
		         hilum_status_name(got), error.message);
	assert_memory_equal(&result, &before, sizeof(result));
}

static void model_hash(const char *run, const char *name, char hex[17])
{
	char path[3 * PATH];
	struct hilum_model *model = NULL;
	struct hilum_error error;
	snprintf(path, sizeof(path), "%s/%s", run, name);
	if (hl_model_load(path, &model, &error))
		fail_msg("%s", error.message);
	hl_model_hash(model, hex);
	hilum_model_close(model);
}

static char *read_text(const char *run, const char *name)
{
	char path[3 * PATH];
	struct hl_buffer text;
	struct hilum_error error;
	snprintf(path, sizeof(path), "%s/%s", run, name);
	if (hl_file_read(path, 1 << 20, &text, &error))
		fail_msg("%s", error.message);
	char *copy = hl_strdup(text.data);
	hl_buffer_free(&text);
	return copy;
}

/* log.csv without what the clock says. */
static char *read_log(const char *run)
{
	char *text = read_text(run, "log.csv"), *to = text;
	for (char *line = text; *line;) {
		int commas = 0;
		for (; *line && *line != '\n'; line++) {
			commas += *line == ',';
			if (commas < 7)
				*to++ = *line;
		}
		*to++ = '\n';
		line += *line == '\n';
	}
	*to = '\0';
	return text;
}

static double log_value(const char *log, int row, int column)
{
	for (; row >= 0; row--)
		log = strchr(log, '\n') + 1;
	for (; column > 0; column--)
		log = strchr(log, ',') + 1;
	return strtod(log, NULL);
}

struct stopper {
	volatile int stop;
	int after, calls, epochs, best;
	double last_loss;
};

static void count_down(void *context, const struct hilum_progress *progress)
{
	struct stopper *stopper = context;
	assert_true(progress->epoch >= 1 && progress->epoch <= progress->epochs);
	assert_true(progress->step >= 1 && progress->step <= progress->steps);
	assert_true(isfinite(progress->loss));
	stopper->calls++;
	stopper->epochs += progress->epoch_done;
	stopper->best += progress->best;
	stopper->last_loss = progress->validation_loss;
	if (stopper->calls == stopper->after)
		stopper->stop = 1;
}

/* ---- tests ---- */

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

static const struct variant {
	const char *name;
	int optimizer;
	double ema;
	const char *augment, *keep;
	int balance;
} variants[] = {{"adamw", 2, 0, "medium", NULL, 0}, {"sgd", 0, 0.9, "flip,mixup=0.4", "last", 2}};

static struct hilum_train_options variant_options(const struct variant *variant, const char *out)
{
	struct hilum_train_options options = defaults("two", out);
	options.arch = "seed filters=4,8 dense=8 dropout=0.3";
	options.optimizer = variant->optimizer;
	options.ema = variant->ema;
	options.augment = variant->augment;
	options.keep = variant->keep;
	options.balance = variant->balance;
	options.clip = 1;
	return options;
}

/* Stopped after every step, gone on with each time. */
static void test_resume(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
		char out[2][64], best[2][17];
		snprintf(out[0], sizeof(out[0]), "whole-%s", variants[i].name);
		snprintf(out[1], sizeof(out[1]), "pieces-%s", variants[i].name);
		struct hilum_train_options options = variant_options(&variants[i], out[0]);
		struct hilum_train_result whole, pieces;
		train(&options, &whole);
		options = variant_options(&variants[i], out[1]);
		int sittings = 0;
		enum hilum_status status;
		do {
			struct stopper stopper = {.after = 1};
			struct hilum_train_events events = {count_down, &stopper, &stopper.stop};
			struct hilum_error error = {.code = HILUM_OK};
			status = hilum_train(&options, &events, &pieces, &error);
			if (status && status != HILUM_ERROR_STOPPED)
				fail_msg("%s", error.message);
			if (status)
				assert_non_null(strstr(error.message, "--resume"));
			options.resume = true;
			options.threads = 1 + sittings % 3;
		} while (status && ++sittings < 100);
		assert_true(sittings >= 6);
		assert_string_equal(pieces.weights_hash, whole.weights_hash);
		model_hash(whole.run, "best.hilum", best[0]);
		model_hash(pieces.run, "best.hilum", best[1]);
		assert_string_equal(best[0], best[1]);
		char *a = read_log(whole.run), *b = read_log(pieces.run);
		assert_string_equal(a, b);
		hl_free(a);
		hl_free(b);
		assert_true(hilum_scores_get(whole.test, "log_loss") == hilum_scores_get(pieces.test, "log_loss"));
		hilum_scores_free(whole.test);
		hilum_scores_free(pieces.test);
	}
}

static volatile int alarm_stop;

static void on_alarm(int number)
{
	(void)number;
	alarm_stop = 1;
}

/* Asked to stop at moments of any kind: while reading, in a step, in validation, while scoring. */
static void test_stop_anywhere(void **state)
{
	(void)state;
	struct hilum_train_options options = variant_options(&variants[1], "steady");
	struct hilum_train_result whole, pieces;
	train(&options, &whole);
	options = variant_options(&variants[1], "alarmed");
	struct hl_random random = hl_random_stream(6, 0, 0, HL_RANDOM_TEST);
	struct hilum_train_events events = {.stop = &alarm_stop};
	struct hilum_error error = {.code = HILUM_OK};
	/* Before anything was read: the next sitting finds the options that the first was given. */
	alarm_stop = 1;
	assert_int_equal(hilum_train(&options, &events, &pieces, &error), HILUM_ERROR_STOPPED);
	struct hilum_train_options brief;
	hilum_options_init(hilum_train_option_table, &brief);
	brief.data = options.data;
	brief.out = options.out;
	brief.resume = true;
	signal(SIGALRM, on_alarm);
	enum hilum_status status = HILUM_ERROR_STOPPED;
	for (int i = 0; i < 40 && status == HILUM_ERROR_STOPPED; i++) {
		alarm_stop = 0;
		uint32_t wait = 500 + hl_random_below(&random, 20000);
		struct itimerval timer = {.it_value = {.tv_usec = (suseconds_t)wait}};
		setitimer(ITIMER_REAL, &timer, NULL);
		status = hilum_train(&brief, &events, &pieces, &error);
		if (status == HILUM_ERROR_STOPPED)
			assert_non_null(strstr(error.message, "--resume"));
	}
	setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {.tv_usec = 0}}, NULL);
	signal(SIGALRM, SIG_DFL);
	if (status == HILUM_ERROR_STOPPED)
		status = hilum_train(&brief, NULL, &pieces, &error);
	if (status)
		fail_msg("%s", error.message);
	assert_string_equal(pieces.weights_hash, whole.weights_hash);
	hilum_scores_free(whole.test);
	hilum_scores_free(pieces.test);
}

/* The child of the kill test: trains with a checkpoint after every step and prints the hash. */
static int child(const char *folder)
{
	snprintf(root, sizeof(root), "%s", folder);
	struct hilum_train_options options = variant_options(&variants[0], "killed");
	options.checkpoint = 0;
	options.resume = access(options.out, F_OK) == 0;
	struct hilum_train_result result;
	struct hilum_error error;
	if (hilum_train(&options, NULL, &result, &error)) {
		fprintf(stderr, "%s\n", error.message);
		return 1;
	}
	hilum_scores_free(result.test);
	FILE *file = fopen(in_root("killed.hash"), "w");
	fputs(result.weights_hash, file);
	return fclose(file) ? 1 : 0;
}

static int run_child(int64_t kill_after_us)
{
	pid_t pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "test_train", "--child", root, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	if (kill_after_us >= 0) {
		usleep((useconds_t)kill_after_us);
		kill(pid, SIGKILL);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void test_kill(void **state)
{
	(void)state;
	struct hilum_train_options options = variant_options(&variants[0], "unkilled");
	struct hilum_train_result result;
	struct timespec from, to;
	options.checkpoint = 0;
	clock_gettime(CLOCK_MONOTONIC, &from);
	train(&options, &result);
	clock_gettime(CLOCK_MONOTONIC, &to);
	hilum_scores_free(result.test);
	/* Each child is killed at a random moment of the time that a whole training takes. */
	uint32_t whole = (uint32_t)((to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000);
	struct hl_random random = hl_random_stream(5, 0, 0, HL_RANDOM_TEST);
	int kills = 0, status = -1;
	for (int i = 0; i < 25 && status < 0; i++) {
		status = run_child((int64_t)hl_random_below(&random, whole + 1));
		kills += status < 0;
	}
	if (status < 0)
		status = run_child(-1);
	assert_int_equal(status, 0);
	assert_true(kills > 0);
	char *hash = read_text(root, "killed.hash");
	assert_string_equal(hash, result.weights_hash);
	hl_free(hash);
	/* Nothing half written is left. */
	struct hl_names names;
	assert_int_equal(hl_directory_list(in_root("killed"), 100, &names, NULL), HILUM_OK);
	for (size_t i = 0; i < names.count; i++)
		assert_null(strstr(names.name[i], ".tmp-"));
	hl_names_free(&names);
}

/* A run that was stopped after two steps. */
static struct hilum_train_options stopped(const char *data, const char *out)
{
	struct hilum_train_options options = defaults(data, out);
	struct stopper stopper = {.after = 2};
	struct hilum_train_events events = {count_down, &stopper, &stopper.stop};
	struct hilum_train_result result;
	assert_int_equal(hilum_train(&options, &events, &result, NULL), HILUM_ERROR_STOPPED);
	options.resume = true;
	return options;
}

static void copy_file(const char *from, const char *to)
{
	struct hl_buffer bytes;
	assert_int_equal(hl_file_read(from, 1 << 26, &bytes, NULL), HILUM_OK);
	struct hl_part part = {bytes.data, bytes.length};
	assert_int_equal(hl_file_write(to, &part, 1, NULL), HILUM_OK);
	hl_buffer_free(&bytes);
}

static void test_damaged_checkpoint(void **state)
{
	(void)state;
	struct hilum_train_options options = stopped("two", "damaged");
	char path[3 * PATH];
	struct hl_buffer bytes;
	snprintf(path, sizeof(path), "%s/checkpoint.safetensors", options.out);
	assert_int_equal(hl_file_read(path, 1 << 26, &bytes, NULL), HILUM_OK);
	for (size_t keep = 0; keep < bytes.length; keep += bytes.length / 7) {
		struct hl_part part = {bytes.data, keep};
		assert_int_equal(hl_file_write(path, &part, 1, NULL), HILUM_OK);
		expect(&options, HILUM_ERROR_FORMAT, "checkpoint.safetensors");
	}
	for (size_t at = 8; at < bytes.length; at += bytes.length / 23) {
		bytes.data[at] ^= 0x10;
		struct hl_part part = {bytes.data, bytes.length};
		assert_int_equal(hl_file_write(path, &part, 1, NULL), HILUM_OK);
		expect(&options, HILUM_ERROR_FORMAT, "");
		bytes.data[at] ^= 0x10;
	}
	struct hl_part part = {bytes.data, bytes.length};
	assert_int_equal(hl_file_write(path, &part, 1, NULL), HILUM_OK);
	hl_buffer_free(&bytes);
	struct hilum_train_result result;
	train(&options, &result);
	hilum_scores_free(result.test);
}

static void test_changed(void **state)
{
	(void)state;
	make_data(in_root("moving"), 2);
	struct hilum_train_options options = stopped("moving", "changed"), other = options;
	other.lr = 0.02;
	expect(&other, HILUM_ERROR_ARGUMENT, "lr is");
	other = options;
	other.arch = "seed filters=4,8 dense=9";
	expect(&other, HILUM_ERROR_ARGUMENT, "arch is");
	other = options;
	other.out = NULL;
	expect(&other, HILUM_ERROR_ARGUMENT, "resume");
	other = options;
	other.resume = false;
	expect(&other, HILUM_ERROR_ARGUMENT, "--resume");
	/* A picture of the same name with other contents. */
	char *victim = hl_strdup(in_root("moving/clear/case 03.png"));
	copy_file(victim, in_root("kept.png"));
	draw(victim, 77, 1);
	expect(&options, HILUM_ERROR_DATA, "changed");
	copy_file(in_root("kept.png"), victim);
	/* Another training holds the folder. */
	char path[3 * PATH];
	snprintf(path, sizeof(path), "%s/lock", options.out);
	int lock = open(path, O_RDWR | O_CLOEXEC);
	assert_true(lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0);
	expect(&options, HILUM_ERROR_ARGUMENT, "another training");
	close(lock);
	/* Options left out are the run's own. */
	struct hilum_train_options brief;
	hilum_options_init(hilum_train_option_table, &brief);
	brief.data = options.data;
	brief.out = options.out;
	brief.resume = true;
	struct hilum_train_result result, whole;
	train(&brief, &result);
	assert_int_equal(result.epochs_done, 3);
	options = defaults("moving", "unchanged");
	train(&options, &whole);
	assert_string_equal(result.weights_hash, whole.weights_hash);
	hilum_scores_free(result.test);
	hilum_scores_free(whole.test);
	hl_free(victim);
}

/* A full disk, as far as a test can make one: files may not grow beyond a limit. */
static void test_no_space(void **state)
{
	(void)state;
	struct hilum_train_options options = stopped("two", "full");
	struct rlimit limit, small;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = 4096;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	struct hilum_error error = {.code = HILUM_OK};
	struct hilum_train_result result, whole;
	enum hilum_status status = hilum_train(&options, NULL, &result, &error);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(status, HILUM_ERROR_IO);
	assert_non_null(strstr(error.message, strerror(EFBIG)));
	train(&options, &result);
	options = defaults("two", "roomy");
	train(&options, &whole);
	assert_string_equal(result.weights_hash, whole.weights_hash);
	hilum_scores_free(result.test);
	hilum_scores_free(whole.test);
}

static void test_three_classes(void **state)
{
	(void)state;
	struct hilum_train_options options = defaults("three", "three-run");
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
	fprintf(file, "# a small one\ninput 1x24x24x3\nconv filters=4 size=3 stride=2\nrelu\nglobalavgpool\nflatten\n"
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
	assert_int_equal(hl_train_options_merge(&later, json, &keep, NULL), HILUM_OK);
	assert_true(later.epochs == 3 && later.threads == 7 && later.checkpoint == 60 && later.shuffle_labels);
	assert_true(later.lr == options.lr && later.keep == NULL);
	assert_string_equal(later.arch, options.arch);
	hl_free(keep);
	hilum_options_init(hilum_train_option_table, &later);
	later.epochs = 4;
	keep = NULL;
	struct hilum_error error;
	assert_int_equal(hl_train_options_merge(&later, json, &keep, &error), HILUM_ERROR_ARGUMENT);
	assert_non_null(strstr(error.message, "epochs"));
	assert_null(keep);
	assert_int_equal(hl_train_options_merge(&later, "{\"epochs\": 4", &keep, &error), HILUM_ERROR_FORMAT);
	assert_int_equal(hl_train_options_merge(&later, "{}", &keep, &error), HILUM_ERROR_FORMAT);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_option_texts),  cmocka_unit_test(test_bad_options),
	    cmocka_unit_test(test_two_classes),   cmocka_unit_test(test_seed),
	    cmocka_unit_test(test_resume),        cmocka_unit_test(test_kill),
	    cmocka_unit_test(test_stop_anywhere), cmocka_unit_test(test_damaged_checkpoint),
	    cmocka_unit_test(test_changed),       cmocka_unit_test(test_no_space),
	    cmocka_unit_test(test_three_classes), cmocka_unit_test(test_init),
	    cmocka_unit_test(test_no_validation), cmocka_unit_test(test_patience),
	    cmocka_unit_test(test_unreadable),    cmocka_unit_test(test_shuffle),
	    cmocka_unit_test(test_folds),         cmocka_unit_test(test_input_line),
	    cmocka_unit_test(test_memory),
	};
	if (argc == 3 && strcmp(argv[1], "--child") == 0)
		return child(argv[2]);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
