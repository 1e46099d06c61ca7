/* The helper, which forks, and the workers, which read. Neither returns to the program it was forked from. */
#include "scan/sandbox_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define CHANNEL 3 /* the one descriptor of helpers and workers beside the standard ones */
#define HEAP_BYTES ((rlim_t)1 << 30)

bool hl_sandbox_send(int channel, const void *data, size_t size, const int *fds, int count)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct iovec part = {(void *)(uintptr_t)data, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t sent;

	if (count > 0) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, (size_t)count * sizeof(int));
		message.msg_control = control.room;
		message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
	}
	do
		sent = sendmsg(channel, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)size;
}

int64_t hl_sandbox_receive(int channel, void *data, size_t size, int fds[2])
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct iovec part = {data, size};
	struct msghdr message = {
	    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	struct cmsghdr *header;
	ssize_t got;

	fds[0] = fds[1] = -1;
	do
		got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len <= CMSG_LEN(2 * sizeof(int)))
		memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
	return got;
}

/* Leaves channel, as CHANNEL, and nothing else that this process had open. */
static void close_others(int channel)
{
	int null = open("/dev/null", O_RDWR);

	for (int fd = 0; fd <= STDERR_FILENO && null >= 0; fd++)
		if (!SANITIZED || fd != STDERR_FILENO)
			dup2(null, fd);
	if (channel != CHANNEL)
		dup2(channel, CHANNEL);
	if (close_range(CHANNEL + 1, ~0U, 0) == 0)
		return;
	for (int fd = CHANNEL + 1; fd < 65536; fd++)
		close(fd);
}

static void default_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* ---- worker ---- */

static void limit(int resource, rlim_t value)
{
	const struct rlimit both = {value, value};

	setrlimit(resource, &both);
}

/* What is there already was inherited and counts too. /proc/self/statm: size resident shared text lib data dt, in
 * pages.
 */
static void limit_memory(void)
{
	rlim_t page = (rlim_t)sysconf(_SC_PAGESIZE), field[6] = {0};
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[256], *at = text;
	ssize_t got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	if (fd >= 0)
		close(fd);
	if (got <= 0 || SANITIZED)
		return;
	text[got] = '\0';
	for (int i = 0; i < 6; i++)
		field[i] = strtoull(at, &at, 10);
	limit(RLIMIT_DATA, field[5] * page + HEAP_BYTES);
	limit(RLIMIT_AS, field[0] * page + 2 * HL_SANDBOX_INPUT_MAX + HEAP_BYTES);
}

static void set_timer(double seconds)
{
	struct itimerval timer = {.it_value = {.tv_sec = (time_t)seconds,
	                                       .tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)}};

	setitimer(ITIMER_PROF, &timer, NULL);
}

/* Finds the inputs: files are mapped, bytes lie in the shared memory one behind the other. */
static bool map_inputs(struct hl_sandbox_shared *shared, const int fds[2], struct hl_sandbox_call *call)
{
	uint8_t *bytes = (uint8_t *)shared + HL_SANDBOX_INPUT_AT;
	int files = 0;

	for (int i = 0; i < 2; i++) {
		call->input[i].length = shared->length[i];
		if (!shared->is_file[i]) {
			call->input[i].bytes = shared->length[i] > 0 || i == 0 ? bytes : NULL;
			bytes += (shared->length[i] + 63) & ~(size_t)63;
		} else if (shared->length[i] == 0) {
			call->input[i].bytes = bytes;
			files++;
		} else {
			void *map = mmap(NULL, shared->length[i], PROT_READ, MAP_PRIVATE, fds[files++], 0);
			if (map == MAP_FAILED)
				return false;
			call->input[i].bytes = map;
		}
	}
	return true;
}

static void serve(struct hl_sandbox_shared *shared, const int fds[2])
{
	struct hl_sandbox_call call = {
	    .argument = shared->argument, .result = shared->result, .shared = (uint8_t *)shared + HL_SANDBOX_OUTPUT_AT};
	struct hilum_error error = {0};

	memset(shared->result, 0, shared->result_size);
	set_timer(shared->seconds);
	if (map_inputs(shared, fds, &call))
		shared->status = (uint32_t)shared->work(&call, &error);
	else
		shared->status = (uint32_t)hl_fail(&error, HILUM_ERROR_MEMORY, "no memory to map a file");
	set_timer(0);
	memcpy(shared->message, error.message, sizeof(shared->message));
	shared->output_length = call.output_length;
	for (int i = 0; i < 2; i++) {
		if (shared->is_file[i] && shared->length[i] > 0 && call.input[i].bytes)
			munmap((void *)(uintptr_t)call.input[i].bytes, shared->length[i]);
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

_Noreturn static void work(int channel, int memory)
{
	struct hl_sandbox_shared *shared =
	    mmap(NULL, HL_SANDBOX_SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	char byte = 0;
	int fds[2];

	if (shared == MAP_FAILED)
		_exit(1);
	close_others(channel);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit_memory();
	(void)hl_sandbox_filter();
	while (hl_sandbox_receive(CHANNEL, &byte, 1, fds) == 1) {
		serve(shared, fds);
		while (write(CHANNEL, &byte, 1) < 0 && errno == EINTR)
			continue;
	}
	_exit(0);
}

/* ---- helper ---- */

static int32_t fork_worker(const int fds[2])
{
	pid_t pid;

	if (fds[0] < 0 || fds[1] < 0)
		return -EINVAL;
	pid = fork();
	if (pid == 0)
		work(fds[0], fds[1]);
	return pid < 0 ? -errno : pid;
}

/* Its wait status: what it died of, if it was dead already. */
static int32_t end_worker(pid_t pid)
{
	int status = 0;

	if (pid <= 0)
		return 0;
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return status;
}

_Noreturn void hl_sandbox_helper(int channel)
{
	struct hl_sandbox_request request;
	struct hl_sandbox_reply reply;
	int fds[2];

	default_signals();
	close_others(channel);
	prctl(PR_SET_NAME, "hilum-sandbox", 0, 0, 0);
	while (hl_sandbox_receive(CHANNEL, &request, sizeof(request), fds) == (int64_t)sizeof(request)) {
		reply.value = request.kind == 0 ? fork_worker(fds) : end_worker(request.pid);
		for (int i = 0; i < 2; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		if (!hl_sandbox_send(CHANNEL, &reply, sizeof(reply), NULL, 0))
			break;
	}
	_exit(0);
}
