/* This process's side of the sandbox: which workers there are, and calls to them. */
#include "scan/sandbox_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/memory.h"

#define COPY_BYTES ((size_t)4 << 20)

struct worker {
	struct worker *next;
	int channel;
	int32_t pid;
	uint32_t helper; /* which one forked it: only that one may end it */
	struct hl_sandbox_shared *shared;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	int control;     /* to the helper; negative: there is none */
	uint32_t helper; /* how many there have been */
	bool prepared;
	struct worker *idle;
	int count, most;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .freed = PTHREAD_COND_INITIALIZER, .control = -1};

static atomic_int wanted = -1; /* 0 off, 1 on, negative: as the environment says */

static bool is_on(void)
{
	int on = atomic_load(&wanted);

	if (on < 0) {
		const char *word = getenv("HILUM_SANDBOX");
		on = !word || strcmp(word, "off") != 0;
		atomic_store(&wanted, on);
	}
	return on != 0;
}

void hilum_sandbox(bool on)
{
	atomic_store(&wanted, on);
	hl_sandbox_start();
}

/* ---- the helper ---- */

static void forget_worker(struct worker *worker)
{
	close(worker->channel);
	munmap(worker->shared, HL_SANDBOX_SHARED_BYTES);
	hl_free(worker);
}

static void forget_all(void)
{
	while (pool.idle) {
		struct worker *next = pool.idle->next;
		forget_worker(pool.idle);
		pool.idle = next;
	}
	if (pool.control >= 0)
		close(pool.control);
	pool.control = -1;
	pool.count = 0;
}

/* In a process forked off this one: the workers are the parent's, and so may be the lock. */
static void after_fork(void)
{
	pthread_mutex_init(&pool.lock, NULL);
	pthread_cond_init(&pool.freed, NULL);
	forget_all();
}

/* When the library is unloaded: workers end when their channels do. */
__attribute__((destructor)) static void at_end(void)
{
	if (pthread_mutex_trylock(&pool.lock) == 0) {
		forget_all();
		pthread_mutex_unlock(&pool.lock);
	}
}

static enum hilum_status fail_start(struct hilum_error *error)
{
	return hl_fail(error, HILUM_ERROR_IO,
	               "no child process can be had to read files in (%s); HILUM_SANDBOX=off reads them without",
	               strerror(errno));
}

/* Forks twice, so that the helper is nobody's child here: a program that waits for all its children waits for its own.
 * Signals are held back meanwhile, so that no handler of the program runs in a fork of it. */
static enum hilum_status start_helper(struct hilum_error *error)
{
	sigset_t all, before;
	int ends[2];
	pid_t pid;

	if (pool.control >= 0)
		return HILUM_OK;
	if (!pool.prepared) {
		pthread_atfork(NULL, NULL, after_fork);
		pool.most = hl_cpu_count();
		pool.prepared = true;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return fail_start(error);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0) {
		setsid();
		if (fork() == 0)
			hl_sandbox_helper(ends[1]);
		_exit(0);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(ends[1]);
	if (pid < 0) {
		enum hilum_status status = fail_start(error);
		close(ends[0]);
		return status;
	}
	/* The program may have waited for it already. */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	pool.control = ends[0];
	pool.helper++;
	return HILUM_OK;
}

/* Asks the helper; under the lock. false when it is gone. */
static bool ask(const struct hl_sandbox_request *request, const int *fds, int count, int32_t *value)
{
	struct hl_sandbox_reply reply = {0};
	int none[2];

	if (pool.control < 0 || !hl_sandbox_send(pool.control, request, sizeof(*request), fds, count) ||
	    hl_sandbox_receive(pool.control, &reply, sizeof(reply), none) != (int64_t)sizeof(reply)) {
		if (pool.control >= 0)
			close(pool.control);
		pool.control = -1;
		errno = EPIPE;
		return false;
	}
	*value = reply.value;
	return true;
}

/* ---- workers ---- */

static enum hilum_status start_worker(struct worker **out, struct hilum_error *error)
{
	struct hl_sandbox_request request = {.kind = 0};
	struct worker *worker = hl_alloc(1, sizeof(*worker));
	int memory = memfd_create("hilum", MFD_CLOEXEC | MFD_ALLOW_SEALING), ends[2] = {-1, -1};
	enum hilum_status status = HILUM_OK;
	int32_t pid = 0;

	if (!worker) {
		status = hl_fail_memory(error, sizeof(*worker), "a worker");
		goto out;
	}
	worker->shared = MAP_FAILED;
	/* Sealed, so that reading here never meets memory that was cut off there. */
	if (memory >= 0 && ftruncate(memory, (off_t)HL_SANDBOX_SHARED_BYTES) == 0 &&
	    fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		worker->shared = mmap(NULL, HL_SANDBOX_SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (worker->shared == MAP_FAILED || madvise(worker->shared, HL_SANDBOX_SHARED_BYTES, MADV_DONTFORK) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends)) {
		status = fail_start(error);
		goto out;
	}
	if (!ask(&request, (int[]){ends[1], memory}, 2, &pid) || pid <= 0) {
		errno = pid < 0 ? -pid : errno;
		status = fail_start(error);
		goto out;
	}
	worker->pid = pid;
	worker->helper = pool.helper;
	worker->channel = ends[0];
	ends[0] = -1;
	*out = worker;
out:
	if (status && worker) {
		if (worker->shared != MAP_FAILED)
			munmap(worker->shared, HL_SANDBOX_SHARED_BYTES);
		hl_free(worker);
	}
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
	if (memory >= 0)
		close(memory);
	return status;
}

/* An idle worker, a new one, or the next that is given back. */
static enum hilum_status take(struct worker **out, struct hilum_error *error)
{
	enum hilum_status status;

	pthread_mutex_lock(&pool.lock);
	status = start_helper(error);
	while (!status && !pool.idle && pool.count >= pool.most)
		pthread_cond_wait(&pool.freed, &pool.lock);
	if (!status && pool.idle) {
		*out = pool.idle;
		pool.idle = pool.idle->next;
	} else if (!status) {
		status = start_worker(out, error);
		pool.count += !status;
	}
	pthread_mutex_unlock(&pool.lock);
	return status;
}

static void give_back(struct worker *worker)
{
	pthread_mutex_lock(&pool.lock);
	worker->next = pool.idle;
	pool.idle = worker;
	pthread_cond_signal(&pool.freed);
	pthread_mutex_unlock(&pool.lock);
}

/* Ends a worker; the answer is what it died of, as wait status, 0 where that is not known. */
static int32_t end(struct worker *worker)
{
	struct hl_sandbox_request request = {.kind = 1, .pid = worker->pid};
	int32_t value = 0;

	pthread_mutex_lock(&pool.lock);
	if (worker->helper != pool.helper || !ask(&request, NULL, 0, &value))
		value = 0;
	forget_worker(worker);
	pool.count--;
	pthread_cond_signal(&pool.freed);
	pthread_mutex_unlock(&pool.lock);
	return value;
}

/* ---- calls ---- */

static double seconds_of(const struct hl_sandbox_job *job)
{
	double bytes = (double)job->input[0].length + (double)job->input[1].length;

	return job->seconds > 0 ? job->seconds : 10 + bytes / (8 << 20);
}

static enum hilum_status check(const struct hl_sandbox_job *job, struct hilum_error *error)
{
	size_t sum;

	if (job->argument_size > HL_SANDBOX_SMALL || job->result_size > HL_SANDBOX_SMALL)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "an argument of %zu bytes and a result of %zu",
		               job->argument_size, job->result_size);
	if (!hl_add_size(job->input[0].length, job->input[1].length, &sum) || sum > HL_SANDBOX_INPUT_MAX - 64)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%zu bytes, more than %zu", sum, HL_SANDBOX_INPUT_MAX - 64);
	return HILUM_OK;
}

static bool send_job(const struct worker *worker, const struct hl_sandbox_job *job)
{
	struct hl_sandbox_shared *shared = worker->shared;
	uint8_t *bytes = (uint8_t *)shared + HL_SANDBOX_INPUT_AT;
	int fds[2], files = 0;
	char byte = 0;

	shared->work = job->work;
	shared->result_size = job->result_size;
	shared->seconds = seconds_of(job);
	shared->output_length = 0;
	if (job->argument_size > 0)
		memcpy(shared->argument, job->argument, job->argument_size);
	for (int i = 0; i < 2; i++) {
		const struct hl_sandbox_input *input = &job->input[i];
		shared->is_file[i] = !input->bytes && input->fd >= 0;
		shared->length[i] = shared->is_file[i] || input->bytes ? input->length : 0;
		if (shared->is_file[i])
			fds[files++] = input->fd;
		else if (input->bytes)
			memcpy(bytes, input->bytes, input->length);
		if (!shared->is_file[i])
			bytes += (shared->length[i] + 63) & ~(size_t)63;
	}
	return hl_sandbox_send(worker->channel, &byte, 1, fds, files);
}

enum answer { ANSWERED, DIED, LATE };

static enum answer wait_for(const struct worker *worker, double seconds)
{
	struct pollfd channel = {.fd = worker->channel, .events = POLLIN};
	struct timespec now, deadline;
	char byte = 0;
	int ready, none[2];

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += (time_t)seconds;
	do {
		int64_t left;
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = (int64_t)(deadline.tv_sec - now.tv_sec) * 1000 + (deadline.tv_nsec - now.tv_nsec) / 1000000;
		ready = poll(&channel, 1, left > 0 ? (int)left : 0);
	} while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return LATE;
	return hl_sandbox_receive(worker->channel, &byte, 1, none) == 1 ? ANSWERED : DIED;
}

static enum hilum_status fail_death(int32_t wait_status, double seconds, struct hilum_error *error)
{
	int number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;

	if (number == SIGPROF)
		return hl_fail(error, HILUM_ERROR_LIMIT, "reading it took more than %.0f seconds", seconds);
	/* Only the kernel sends it, when memory has run out. */
	if (number == SIGKILL)
		return hl_fail(error, HILUM_ERROR_MEMORY, "reading it took more memory than there is");
	return hl_fail(error, HILUM_ERROR_FORMAT,
	               "damaged: its decoder crashed on it (signal %d), in a process of its own", number);
}

/* What a worker left in the shared memory is taken with care: it may be in the hands of the file. */
static enum hilum_status receive(const struct worker *worker, const struct hl_sandbox_job *job,
                                 struct hilum_error *error)
{
	struct hl_sandbox_shared *shared = worker->shared;
	uint32_t status = shared->status;
	uint64_t length = shared->output_length;
	char message[sizeof(shared->message)];
	enum hilum_status done = HILUM_OK;
	void *result;

	memcpy(message, shared->message, sizeof(message));
	message[sizeof(message) - 1] = '\0';
	if (status >= HILUM_STATUS_COUNT || length > HL_SANDBOX_OUTPUT_MAX)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: its decoder gave no sound answer");
	if (status)
		return hl_fail(error, (enum hilum_status)status, "%s", message);
	if (!job->receive)
		return HILUM_OK;
	result = hl_alloc(job->result_size, 1);
	if (!result)
		return hl_fail_memory(error, job->result_size, "a result");
	memcpy(result, shared->result, job->result_size);
	done =
	    job->receive(job->context, result, (const uint8_t *)shared + HL_SANDBOX_OUTPUT_AT, (size_t)length, error);
	hl_free(result);
	return done;
}

/* Gives memory back that a large file took. */
static void trim(const struct worker *worker, const struct hl_sandbox_job *job)
{
	uint8_t *bytes = (uint8_t *)worker->shared;
	size_t input = 0, output = (size_t)worker->shared->output_length;

	for (int i = 0; i < 2; i++)
		if (job->input[i].bytes)
			input += job->input[i].length + 64;
	if (input > HL_SANDBOX_KEPT)
		(void)madvise(bytes + HL_SANDBOX_INPUT_AT + HL_SANDBOX_KEPT, HL_SANDBOX_INPUT_MAX - HL_SANDBOX_KEPT,
		              MADV_REMOVE);
	if (output > HL_SANDBOX_KEPT)
		(void)madvise(bytes + HL_SANDBOX_OUTPUT_AT + HL_SANDBOX_KEPT, HL_SANDBOX_OUTPUT_MAX - HL_SANDBOX_KEPT,
		              MADV_REMOVE);
}

/* A worker that takes the job. One that died while it was idle gives way to another. */
static enum hilum_status take_sending(const struct hl_sandbox_job *job, struct worker **out, struct hilum_error *error)
{
	for (int attempt = 0; attempt < 3; attempt++) {
		enum hilum_status status = take(out, error);
		if (status)
			return status;
		if (send_job(*out, job))
			return HILUM_OK;
		(void)end(*out);
	}
	return hl_fail(error, HILUM_ERROR_IO, "child processes end before they have done anything");
}

static enum hilum_status run_there(const struct hl_sandbox_job *job, struct hilum_error *error)
{
	/* Others may want the processor: the clock is given many times what the processor is. */
	double seconds = seconds_of(job), clock = 60 + 10 * seconds;

	for (bool again = true;; again = false) {
		struct worker *worker = NULL;
		enum hilum_status status = take_sending(job, &worker, error);
		enum answer answer;
		int32_t reason;
		if (status)
			return status;
		answer = wait_for(worker, clock);
		if (answer == ANSWERED) {
			status = receive(worker, job, error);
			trim(worker, job);
			give_back(worker);
			return status;
		}
		reason = end(worker);
		if (answer == LATE)
			return hl_fail(error, HILUM_ERROR_LIMIT, "reading it took more than %.0f seconds", clock);
		/* Killed from outside, perhaps while it was idle: once more. */
		if (!again || !WIFSIGNALED(reason) || WTERMSIG(reason) != SIGKILL)
			return fail_death(reason, seconds, error);
	}
}

/* ---- without a sandbox ---- */

uint8_t *hl_sandbox_output(struct hl_sandbox_call *call, size_t length)
{
	if (length > HL_SANDBOX_OUTPUT_MAX || call->output)
		return NULL;
	call->output = call->shared ? call->shared : hl_alloc(length, 1);
	if (call->output)
		call->output_length = length;
	return call->output;
}

static enum hilum_status map_here(const struct hl_sandbox_input *input, struct hl_sandbox_bytes *out,
                                  struct hilum_error *error)
{
	*out = (struct hl_sandbox_bytes){input->bytes, input->length};
	if (input->bytes || input->fd < 0)
		return HILUM_OK;
	if (input->length == 0) {
		out->bytes = (const uint8_t *)"";
		return HILUM_OK;
	}
	/* Read and not mapped: a file cut off meanwhile must not end this process. */
	uint8_t *bytes = hl_alloc(input->length, 1);
	size_t got = 0;
	if (!bytes)
		return hl_fail_memory(error, input->length, "a file");
	while (got < input->length) {
		ssize_t step = pread(input->fd, bytes + got, input->length - got, (off_t)got);
		if (step < 0 && errno == EINTR)
			continue;
		if (step <= 0) {
			hl_free(bytes);
			return step < 0 ? hl_fail_errno(error, "reading")
			                : hl_fail(error, HILUM_ERROR_IO, "the file shrank while it was read");
		}
		got += (size_t)step;
	}
	out->bytes = bytes;
	return HILUM_OK;
}

static enum hilum_status run_here(const struct hl_sandbox_job *job, struct hilum_error *error)
{
	struct hl_sandbox_call call = {.argument = job->argument};
	enum hilum_status status;

	call.result = hl_alloc(job->result_size, 1);
	status = call.result ? HILUM_OK : hl_fail_memory(error, job->result_size, "a result");
	for (int i = 0; i < 2 && !status; i++)
		status = map_here(&job->input[i], &call.input[i], error);
	if (!status)
		status = job->work(&call, error);
	if (!status && job->receive)
		status = job->receive(job->context, call.result, call.output, call.output_length, error);
	for (int i = 0; i < 2; i++)
		if (!job->input[i].bytes && job->input[i].fd >= 0 && call.input[i].length > 0 && call.input[i].bytes)
			hl_free((void *)(uintptr_t)call.input[i].bytes);
	hl_free(call.output);
	hl_free(call.result);
	return status;
}

enum hilum_status hl_sandbox_run(const struct hl_sandbox_job *job, struct hilum_error *error)
{
	enum hilum_status status = check(job, error);

	if (status)
		return status;
	return is_on() ? run_there(job, error) : run_here(job, error);
}

/* Gives back the whole pages between two addresses: of shared memory, or of the heap where there is no sandbox. What
 * comes before and behind them is not touched. */
static void drop(const uint8_t *from, const uint8_t *to)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t first = ((uintptr_t)from + page - 1) & ~(page - 1), last = (uintptr_t)to & ~(page - 1);

	if (first < last && madvise((void *)first, last - first, MADV_REMOVE))
		(void)madvise((void *)first, last - first, MADV_DONTNEED);
}

void hl_sandbox_copy(void *to, const uint8_t *output, size_t length)
{
	size_t done = 0;

	while (length - done > HL_SANDBOX_KEPT) {
		memcpy((uint8_t *)to + done, output + done, COPY_BYTES);
		drop(output + done, output + done + COPY_BYTES);
		done += COPY_BYTES;
	}
	if (length > done)
		memcpy((uint8_t *)to + done, output + done, length - done);
}

void hl_sandbox_start(void)
{
	if (!is_on())
		return;
	pthread_mutex_lock(&pool.lock);
	(void)start_helper(NULL);
	pthread_mutex_unlock(&pool.lock);
}

/* ---- what it is ---- */

/* The question itself is not permitted where there is a filter. */
static enum hilum_status ask_filter(struct hl_sandbox_call *call, struct hilum_error *error)
{
	(void)error;
	*(bool *)call->result = prctl(PR_GET_SECCOMP) != 0;
	return HILUM_OK;
}

static enum hilum_status take_filter(void *context, const void *result, const uint8_t *output, size_t length,
                                     struct hilum_error *error)
{
	(void)output;
	(void)length;
	(void)error;
	*(uint8_t *)context = *(const uint8_t *)result;
	return HILUM_OK;
}

enum hl_sandbox_state hl_sandbox_state(void)
{
	uint8_t filtered = 0;
	const struct hl_sandbox_job job = {.work = ask_filter,
	                                   .input = {{.fd = -1}, {.fd = -1}},
	                                   .result_size = sizeof(bool),
	                                   .receive = take_filter,
	                                   .context = &filtered};

	if (!is_on())
		return HL_SANDBOX_OFF;
	if (hl_sandbox_run(&job, NULL))
		return HL_SANDBOX_BROKEN;
	return filtered ? HL_SANDBOX_FULL : HL_SANDBOX_UNFILTERED;
}
