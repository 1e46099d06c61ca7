/* The two sides of the sandbox: what passes between this process, the helper that forks, and the workers. */
#ifndef HL_SCAN_SANDBOX_CHILD_H
#define HL_SCAN_SANDBOX_CHILD_H
#include "scan/sandbox.h"

/* The memory that a worker shares with this process: this, then the input bytes, then the output. Sparse: only what is
 * written takes memory. */
struct hl_sandbox_shared {
	/* Set by this process. */
	hl_sandbox_work *work; /* the same address in every fork */
	size_t result_size, length[2];
	bool is_file[2]; /* sent along; otherwise the bytes are here */
	double seconds;
	/* Set by the worker. */
	uint32_t status;
	uint64_t output_length;
	char message[512];
	_Alignas(64) uint8_t argument[HL_SANDBOX_SMALL];
	_Alignas(64) uint8_t result[HL_SANDBOX_SMALL];
};

#define HL_SANDBOX_INPUT_AT ((size_t)1 << 20)
#define HL_SANDBOX_OUTPUT_AT (HL_SANDBOX_INPUT_AT + HL_SANDBOX_INPUT_MAX)
#define HL_SANDBOX_SHARED_BYTES (HL_SANDBOX_OUTPUT_AT + HL_SANDBOX_OUTPUT_MAX)

/* What the helper is asked. */
struct hl_sandbox_request {
	int32_t kind; /* 0: fork a worker on the two descriptors sent along; 1: end worker pid */
	int32_t pid;
};
/* The new worker's pid or -errno; or the ended worker's wait status. */
struct hl_sandbox_reply {
	int32_t value;
};

/* One message with up to two descriptors; false when the other side is gone. */
bool hl_sandbox_send(int channel, const void *data, size_t size, const int *fds, int count);
/* The message's length, 0 at the end; descriptors that did not come are -1. */
int64_t hl_sandbox_receive(int channel, void *data, size_t size, int fds[2]);

/* The helper's life: forks workers until channel is closed. */
_Noreturn void hl_sandbox_helper(int channel);

/* Leaves only the system calls that reading from memory takes; false where the kernel cannot. */
bool hl_sandbox_filter(void);

#endif
