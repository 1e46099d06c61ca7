/* Readers of untrusted files run in child processes: what a hostile file can break is the child, which has no files, no
 * network, no way to start programs, and limits on memory and time. A crash there is one file's error.
 *
 * Children are kept warm and handed from call to call. They are forked off a helper process that is itself forked once,
 * at first use or by hl_sandbox_start, and does nothing else: so a program with threads and gigabytes of memory is
 * forked once, early, and never again. All of them end when this process does. See docs/decisions/0011.
 * hilum_sandbox turns it on and off. */
#ifndef HL_SCAN_SANDBOX_H
#define HL_SCAN_SANDBOX_H
#include "base/error.h"

/* Bytes of a call's argument and of its result. */
#define HL_SANDBOX_SMALL ((size_t)65536)
/* Of what is read from memory and of what comes out in bulk, each. */
#define HL_SANDBOX_INPUT_MAX ((size_t)1 << 30)
#define HL_SANDBOX_OUTPUT_MAX ((size_t)768 << 20)
/* Of the input and of the output, what a child keeps from one call to the next; what lies beyond is zero. */
#define HL_SANDBOX_KEPT ((size_t)8 << 20)

struct hl_sandbox_bytes {
	const uint8_t *bytes;
	size_t length;
};

/* What the work in the child sees. */
struct hl_sandbox_call {
	const void *argument;
	struct hl_sandbox_bytes input[2]; /* bytes NULL: there is none */
	void *result;                     /* zeroed */
	uint8_t *output;                  /* set by hl_sandbox_output */
	size_t output_length;
	uint8_t *shared; /* of the sandbox: where output will be, in a child */
};

/* The work: runs in the child and must depend on its call alone. What it allocates it must free, as the child lives on.
 * It may call hl_sandbox_output once. */
typedef enum hilum_status hl_sandbox_work(struct hl_sandbox_call *call, struct hilum_error *error);

/* Room for length bytes of output, not zeroed; NULL where there is no memory. Never freed by the work. */
uint8_t *hl_sandbox_output(struct hl_sandbox_call *call, size_t length);

/* A file open for reading, or bytes where fd is negative; neither: none. */
struct hl_sandbox_input {
	int fd;
	const uint8_t *bytes;
	size_t length; /* of the file or of the bytes */
};

struct hl_sandbox_job {
	hl_sandbox_work *work;
	const void *argument; /* plain data: no pointers */
	size_t argument_size;
	struct hl_sandbox_input input[2];
	size_t result_size;
	/* Called in this process when the work has succeeded. result is a private copy but holds what the child wrote,
	 * be it nonsense: everything in it must be checked. output is memory that the child may still write to: it must
	 * be copied, by hl_sandbox_copy, before it is looked at. NULL: nothing comes out. */
	enum hilum_status (*receive)(void *context, const void *result, const uint8_t *output, size_t length,
	                             struct hilum_error *error);
	void *context;
	double seconds; /* of processor time; 0: 10 and one for every 8 MiB of input */
};

/* Runs a job in a child, or in this process where the sandbox is off. Safe from any thread: as many jobs as there are
 * cores run at a time, others wait. HILUM_ERROR_FORMAT where the work crashed, HILUM_ERROR_LIMIT where it took too
 * long; HILUM_ERROR_IO where no child can be had. */
enum hilum_status hl_sandbox_run(const struct hl_sandbox_job *job, struct hilum_error *error);

/* Copies output and gives its memory back on the way, so that a large volume is never there twice. */
void hl_sandbox_copy(void *to, const uint8_t *output, size_t length);

/* Forks the helper process now, if the sandbox is on: a program that will have much memory or many threads does well to
 * call it before. Failure is left to hl_sandbox_run to tell. */
void hl_sandbox_start(void);

enum hl_sandbox_state { HL_SANDBOX_OFF, HL_SANDBOX_FULL, HL_SANDBOX_UNFILTERED, HL_SANDBOX_BROKEN };
/* What it is on this machine, by trying: UNFILTERED where the kernel has no seccomp, so that children have their limits
 * but not their lack of system calls; BROKEN where no child can be had. */
enum hl_sandbox_state hl_sandbox_state(void);
#endif
