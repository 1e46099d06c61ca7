/* The sandbox: what passes through it, and what hostile work in it can and cannot do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "scan/format.h"
#include "scan/open.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define NO_INPUT                                                                                                       \
	{                                                                                                              \
		{.fd = -1},                                                                                            \
		{                                                                                                      \
			.fd = -1                                                                                       \
		}                                                                                                      \
	}

/* ---- what passes ---- */

struct sums {
	uint64_t sum[2];
	size_t length[2];
	int64_t pid;
	int32_t factor;
};

static enum hilum_status add_up(struct hl_sandbox_call *call, struct hilum_error *error)
{
	struct sums *sums = call->result;
	uint8_t *output;
	size_t length = call->input[0].length + call->input[1].length;

	memcpy(&sums->factor, call->argument, sizeof(sums->factor));
	sums->pid = getpid();
	output = hl_sandbox_output(call, length);
	if (!output)
		return hl_fail_memory(error, length, "the output");
	for (int i = 0; i < 2; i++) {
		sums->length[i] = call->input[i].length;
		for (size_t k = 0; k < call->input[i].length; k++) {
			sums->sum[i] += call->input[i].bytes[k];
			*output++ = (uint8_t)(call->input[i].bytes[k] * sums->factor);
		}
	}
	return HILUM_OK;
}

struct taken {
	struct sums sums;
	uint8_t *output;
	size_t length;
};

static enum hilum_status take(void *context, const void *result, const uint8_t *output, size_t length,
                              struct hilum_error *error)
{
	struct taken *taken = context;

	(void)error;
	taken->sums = *(const struct sums *)result;
	taken->output = malloc(length + 1);
	taken->length = length;
	hl_sandbox_copy(taken->output, output, length);
	return HILUM_OK;
}

static void add_up_bytes(const uint8_t *first, size_t first_length, const uint8_t *second, size_t second_length)
{
	int32_t factor = 3;
	struct taken taken = {0};
	struct hilum_error error;
	struct hl_sandbox_job job = {.work = add_up,
	                             .argument = &factor,
	                             .argument_size = sizeof(factor),
	                             .input = {{-1, first, first_length}, {-1, second, second_length}},
	                             .result_size = sizeof(struct sums),
	                             .receive = take,
	                             .context = &taken};
	uint64_t sums[2] = {0, 0};

	if (hl_sandbox_run(&job, &error))
		fail_msg("%s", error.message);
	assert_int_equal(taken.length, first_length + second_length);
	assert_int_equal(taken.sums.length[0], first_length);
	for (size_t i = 0; i < first_length; i++) {
		sums[0] += first[i];
		assert_int_equal(taken.output[i], (uint8_t)(first[i] * 3));
	}
	for (size_t i = 0; i < second_length; i++)
		sums[1] += second[i];
	assert_int_equal(taken.sums.sum[0], sums[0]);
	assert_int_equal(taken.sums.sum[1], sums[1]);
	free(taken.output);
}

static void test_passes(void **state)
{
	size_t large = (size_t)20 << 20;
	uint8_t *bytes = malloc(large);

	(void)state;
	for (size_t i = 0; i < large; i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	for (int on = 0; on < 2; on++) {
		hilum_sandbox(on);
		add_up_bytes(bytes, 1000, bytes + 5, 77);
		add_up_bytes(bytes, large, NULL, 0);
		add_up_bytes(bytes + 1, 1, bytes, 1);
		/* What a larger call left behind is not seen by a smaller one. */
		add_up_bytes(bytes + 9, 100, bytes + 3, large / 2);
	}
	free(bytes);
}

static void test_files(void **state)
{
	char path[] = "/tmp/hilum-sandbox-XXXXXX";
	int fd = mkstemp(path);
	int32_t factor = 1;
	struct taken taken = {0};
	struct hl_sandbox_job job = {.work = add_up,
	                             .argument = &factor,
	                             .argument_size = sizeof(factor),
	                             .input = {{.fd = fd, .length = 5000}, {-1, (const uint8_t *)"ab", 2}},
	                             .result_size = sizeof(struct sums),
	                             .receive = take,
	                             .context = &taken};

	(void)state;
	for (int i = 0; i < 5000; i++)
		assert_int_equal(write(fd, "c", 1), 1);
	for (int on = 0; on < 2; on++) {
		hilum_sandbox(on);
		assert_int_equal(hl_sandbox_run(&job, NULL), HILUM_OK);
		assert_int_equal(taken.sums.sum[0], 5000 * 'c');
		assert_int_equal(taken.sums.sum[1], 'a' + 'b');
		free(taken.output);
	}
	/* Cut off behind our back: an error of this file. */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_not_equal(hl_sandbox_run(&job, NULL), HILUM_OK);
	close(fd);
	unlink(path);
}

static enum hilum_status refuse(struct hl_sandbox_call *call, struct hilum_error *error)
{
	(void)call;
	return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "words of the work");
}

static void test_errors(void **state)
{
	const struct hl_sandbox_job job = {.work = refuse, .input = NO_INPUT};

	(void)state;
	for (int on = 0; on < 2; on++) {
		struct hilum_error error;
		hilum_sandbox(on);
		assert_int_equal(hl_sandbox_run(&job, &error), HILUM_ERROR_UNSUPPORTED);
		assert_string_equal(error.message, "words of the work");
	}
}

/* ---- what hostile work does ---- */

static enum hilum_status write_nowhere(struct hl_sandbox_call *call, struct hilum_error *error)
{
	volatile char *nowhere = (volatile char *)(uintptr_t)(16 + call->input[0].length);

	(void)error;
	*nowhere = 1;
	return HILUM_OK;
}

static enum hilum_status give_up(struct hl_sandbox_call *call, struct hilum_error *error)
{
	(void)call;
	(void)error;
	abort();
}

static enum hilum_status leave(struct hl_sandbox_call *call, struct hilum_error *error)
{
	(void)call;
	(void)error;
	_exit(0);
}

static enum hilum_status run_forever(struct hl_sandbox_call *call, struct hilum_error *error)
{
	(void)error;
	while (*(volatile size_t *)&call->input[0].length == 0)
		continue;
	return HILUM_OK;
}

static enum hilum_status hoard(struct hl_sandbox_call *call, struct hilum_error *error)
{
	(void)call;
	for (int i = 0; i < 100; i++) {
		/* Never freed, on purpose: the next call must find its memory all the same. */
		void *block = malloc((size_t)100 << 20);
		if (!block)
			return hl_fail(error, HILUM_ERROR_MEMORY, "after %d", i);
		memset(block, 1, (size_t)100 << 20);
	}
	return HILUM_OK;
}

static enum hilum_status break_out(struct hl_sandbox_call *call, struct hilum_error *error)
{
	char path[4096];

	(void)call;
	if (open("/etc/passwd", O_RDONLY) >= 0)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "opened a file");
	if (socket(AF_INET, SOCK_STREAM, 0) >= 0)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "made a socket");
	if (fork() >= 0)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "forked");
	if (execl("/bin/true", "true", (char *)NULL) != -1 || errno != EPERM)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "started a program");
	if (kill(getppid(), 0) == 0)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "reached another process");
	if (getcwd(path, sizeof(path)) || unlink("/nothing") == 0 || errno != EPERM)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "reached folders");
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "got memory to execute");
	for (int fd = 4; fd < 64; fd++)
		if (read(fd, path, 1) >= 0 || errno != EBADF)
			return hl_fail(error, HILUM_ERROR_INTERNAL, "found descriptor %d open", fd);
	return HILUM_OK;
}

static void assert_works(void)
{
	add_up_bytes((const uint8_t *)"sound", 5, NULL, 0);
}

static void test_hostile(void **state)
{
	static const struct {
		hl_sandbox_work *work;
		double seconds;
		enum hilum_status status;
		const char *message;
	} cases[] = {
	    {write_nowhere, 0, HILUM_ERROR_FORMAT, "its decoder crashed"},
	    {give_up, 0, HILUM_ERROR_FORMAT, "its decoder crashed"},
	    {leave, 0, HILUM_ERROR_FORMAT, "its decoder crashed"},
	    {run_forever, 0.3, HILUM_ERROR_LIMIT, "seconds"},
	    {hoard, 0, HILUM_ERROR_MEMORY, "after "},
	    {break_out, 0, HILUM_OK, ""},
	};

	(void)state;
	hilum_sandbox(true);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct hl_sandbox_job job = {
		    .work = cases[i].work, .input = NO_INPUT, .seconds = cases[i].seconds};
		struct hilum_error error = {0};
		/* Sanitizers want memory and system calls, and make signals into exits. */
		if (SANITIZED && i != 2 && i != 3)
			continue;
		enum hilum_status status = hl_sandbox_run(&job, &error);
		if (status != cases[i].status || !strstr(error.message, cases[i].message))
			fail_msg("case %zu: %d, %s", i, (int)status, error.message);
		assert_works();
	}
	assert_int_equal(hl_sandbox_state(), SANITIZED ? HL_SANDBOX_UNFILTERED : HL_SANDBOX_FULL);
	hilum_sandbox(false);
	assert_int_equal(hl_sandbox_state(), HL_SANDBOX_OFF);
	hilum_sandbox(true);
}

/* ---- volumes that are none ---- */

static struct hl_volume forged;
static size_t forged_length;

static enum hilum_status forge(struct hl_sandbox_call *call, struct hilum_error *error)
{
	struct {
		struct hl_volume volume;
		size_t length;
	} argument;
	uint8_t *output;

	memcpy(&argument, call->argument, sizeof(argument));
	memcpy(call->result, &argument.volume, sizeof(argument.volume));
	output = hl_sandbox_output(call, argument.length);
	if (!output)
		return hl_fail_memory(error, argument.length, "the output");
	memset(output, 1, argument.length);
	return HILUM_OK;
}

static enum hilum_status accept_volume(void *context, const void *result, const uint8_t *output, size_t length,
                                       struct hilum_error *error)
{
	return hl_volume_accept(result, output, length, context, error);
}

static enum hilum_status pass_forged(struct hl_volume *out)
{
	struct {
		struct hl_volume volume;
		size_t length;
	} argument;
	struct hilum_error error = {0};

	memset(&argument, 0, sizeof(argument));
	memcpy(&argument.volume, &forged, sizeof(forged));
	argument.length = forged_length;
	const struct hl_sandbox_job job = {.work = forge,
	                                   .argument = &argument,
	                                   .argument_size = sizeof(argument),
	                                   .input = NO_INPUT,
	                                   .result_size = sizeof(struct hl_volume),
	                                   .receive = accept_volume,
	                                   .context = out};
	return hl_sandbox_run(&job, &error);
}

static void reset_forged(void)
{
	forged = (struct hl_volume){.width = 5,
	                            .height = 4,
	                            .depth = 3,
	                            .channels = 1,
	                            .type = HL_VOXEL_I16,
	                            .unit = HL_UNIT_HOUNSFIELD,
	                            .spacing = {1, 1, 1}};
	forged_length = 120;
}

static void test_forged(void **state)
{
	struct hl_volume volume = {.width = 77};

	(void)state;
	reset_forged();
	memset(forged.format, 'x', sizeof(forged.format));
	assert_int_equal(pass_forged(&volume), HILUM_OK);
	assert_int_equal(strlen(volume.format), sizeof(volume.format) - 1);
	hl_volume_free(&volume);
	/* Neither true nor false. */
	reset_forged();
	memset(&forged.oriented, 0xff, 1);
	assert_int_equal(pass_forged(&volume), HILUM_OK);
	assert_false(volume.oriented);
	hl_volume_free(&volume);
	for (int i = 0; i < 10; i++) {
		reset_forged();
		volume.width = 77;
		switch (i) {
		case 0:
			forged_length = 119;
			break;
		case 1:
			forged.depth = INT32_MAX;
			break;
		case 2:
			forged.width = -5;
			break;
		case 3:
			forged.channels = 3;
			break;
		case 4:
			forged.type = (enum hl_voxel)99;
			break;
		case 5:
			forged.unit = HL_UNIT_GREY;
			break;
		case 6:
			forged.spacing[1] = (double)NAN;
			break;
		case 7:
			forged.origin[2] = (double)INFINITY;
			break;
		case 8:
			forged.maximum = (double)NAN;
			break;
		default:
			forged.unit = (enum hl_unit)7;
			break;
		}
		if (pass_forged(&volume) == HILUM_OK)
			fail_msg("case %d was accepted", i);
		assert_int_equal(volume.width, 77);
	}
}

/* ---- processes and threads ---- */

static int64_t worker_pid(void)
{
	int32_t factor = 1;
	struct taken taken = {0};
	const struct hl_sandbox_job job = {.work = add_up,
	                                   .argument = &factor,
	                                   .argument_size = sizeof(factor),
	                                   .input = NO_INPUT,
	                                   .result_size = sizeof(struct sums),
	                                   .receive = take,
	                                   .context = &taken};

	assert_int_equal(hl_sandbox_run(&job, NULL), HILUM_OK);
	free(taken.output);
	return taken.sums.pid;
}

static void test_warm(void **state)
{
	int64_t pid = worker_pid();

	(void)state;
	assert_true(pid != getpid());
	assert_int_equal(worker_pid(), pid);
	/* One that is killed while it is idle is replaced. */
	assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
	assert_true(worker_pid() != pid);
	/* None of them is a child that this program could wait for. */
	assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void *run_many(void *context)
{
	uint8_t bytes[5000];

	memset(bytes, *(int *)context, sizeof(bytes));
	for (int i = 0; i < 50; i++)
		add_up_bytes(bytes, sizeof(bytes) - (size_t)i, bytes, (size_t)i);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[6];
	int value[6];

	(void)state;
	for (int i = 0; i < 6; i++) {
		value[i] = i + 1;
		assert_int_equal(pthread_create(&threads[i], NULL, run_many, &value[i]), 0);
	}
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
}

/* A program that forks: both sides go on, with workers of their own. */
static void test_fork(void **state)
{
	int64_t before = worker_pid();
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		int64_t own = worker_pid();
		_exit(own != before && worker_pid() == own ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(worker_pid(), before);
}

static int restore(void **state)
{
	(void)state;
	hilum_sandbox(true);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(test_passes, restore),
	    cmocka_unit_test_teardown(test_files, restore),
	    cmocka_unit_test_teardown(test_errors, restore),
	    cmocka_unit_test_teardown(test_hostile, restore),
	    cmocka_unit_test(test_forged),
	    cmocka_unit_test(test_warm),
	    cmocka_unit_test(test_threads),
	    cmocka_unit_test(test_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
