/* A training that was stopped, killed or damaged goes on to the same bits, or says why it cannot. */
#include "training.h"

#include <sys/file.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static const struct variant {
	const char *name;
	int optimizer;
	double ema;
	const char *augment, *keep;
	int balance, precision;
} variants[] = {{"adamw", 2, 0, "medium", NULL, 0, 0}, {"sgd", 0, 0.9, "flip,mixup=0.4", "last", 2, 1}};

static struct hilum_train_options variant_options(const struct variant *variant, const char *out)
{
	struct hilum_train_options options = defaults("two", out);
	options.arch = "seed filters=4,8 dense=8 dropout=0.3";
	options.optimizer = variant->optimizer;
	options.ema = variant->ema;
	options.augment = variant->augment;
	options.keep = variant->keep;
	options.balance = variant->balance;
	options.precision = variant->precision;
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
			struct hilum_train_events events = {
			    .progress = count_down, .context = &stopper, .stop = &stopper.stop};
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
		execl("/proc/self/exe", "test_resume", "--child", root, (char *)NULL);
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
	struct hilum_train_events events = {.progress = count_down, .context = &stopper, .stop = &stopper.stop};
	struct hilum_train_result result;
	assert_int_equal(hilum_train(&options, &events, &result, NULL), HILUM_ERROR_STOPPED);
	options.resume = true;
	return options;
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
		/* "F32" becomes a type that another version may know. */
		struct hilum_error error;
		struct hilum_train_result result;
		enum hilum_status got = hilum_train(&options, NULL, &result, &error);
		if (got != HILUM_ERROR_FORMAT && got != HILUM_ERROR_UNSUPPORTED)
			fail_msg("byte %zu: %s", at, hilum_status_name(got));
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_resume),  cmocka_unit_test(test_stop_anywhere),
	    cmocka_unit_test(test_kill),    cmocka_unit_test(test_damaged_checkpoint),
	    cmocka_unit_test(test_changed), cmocka_unit_test(test_no_space),
	};
	if (argc == 3 && strcmp(argv[1], "--child") == 0)
		return child(argv[2]);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
