/* What the caller's side of the loader (loader.c) and its workers (loader_work.c) share.
 *
 * One mutex guards all of it but the pictures themselves, whose slots pass from the worker that fills them to all
 * others by an atomic state. Workers sleep on `work` until there is a sample to prepare, the caller on `done`.
 *
 * Work is handed out sample by sample in the order of the epoch, at most HL_LOADER_RING - 1 batches ahead of the one
 * that the caller holds. Which worker prepares what has no influence on any value: random numbers are keyed by places
 * in the epoch, and the last worker to finish a batch does what needs the whole of it. */
#ifndef HL_DATA_LOADER_WORK_H
#define HL_DATA_LOADER_WORK_H
#include "data/loader.h"
#include "scan/volume.h"

#include <pthread.h>
#include <stdatomic.h>

#define HL_LOADER_RING 4

enum hl_loader_job { JOB_NONE, JOB_PRELOAD, JOB_STATISTICS, JOB_TRAITS, JOB_EPOCH };
enum hl_loader_kept { KEPT_NOT, KEPT_FILLING, KEPT_READY };

struct hl_loader_place {
	struct hl_batch batch;
	uint8_t *mixing; /* the batch's augmented pictures, where mixup needs them; NULL otherwise */
	uint32_t *partner;
	double *share;
	int64_t missing; /* samples not yet prepared */
	size_t failed;   /* sample of error below; SIZE_MAX: none */
	struct hilum_error error;
};

/* The slices of a volume that a network for slices looks at, once preloading has met it. */
struct hl_loader_inside {
	int32_t count;     /* 0: none was met, the case is one picture */
	int32_t *slice;    /* from 0 */
	uint8_t *pictures; /* count of them; NULL: they are not kept */
};

/* The volume that a worker decoded last. */
struct hl_loader_volume {
	struct hl_volume volume;
	size_t slot;
};

struct hl_loader_failure {
	size_t position;
	enum hilum_status code;
	char *message;
};

struct hl_loader {
	struct hl_loader_options options;
	uint32_t *cases; /* those left, in order */
	uint32_t *slot;  /* of each: its place in kept */
	size_t slots;
	struct hl_loader_inside *inside; /* by slot */
	uint8_t *chest;                  /* by slot: enum hl_chest_verdict that preloading met */
	size_t *first;   /* of each case in an epoch in order, and their sum; NULL: each case is one sample */
	double *running; /* sums of weights up to and including each; NULL: none */
	size_t count;

	size_t bytes; /* of a picture, and so the number of floats of an input */
	uint8_t *kept;
	size_t kept_count, kept_bytes;
	atomic_uchar *kept_state;
	atomic_size_t spare; /* bytes that are left for slices of volumes */

	pthread_mutex_t mutex;
	pthread_cond_t work, done;
	pthread_t *threads;
	int32_t thread_count;
	bool quit;

	/* The job at hand. */
	enum hl_loader_job job;
	size_t next, end; /* positions: the next to hand out, and where to stop */
	int32_t busy;     /* workers preparing one */
	const volatile int *stop;
	struct hl_loader_failure *failures;
	size_t failure_count, failure_capacity;
	bool no_memory; /* for a failure */
	uint64_t sum[3], squares[3];
	size_t narrow;
	double *traits; /* HL_TRAITS of every so-many-th case */
	size_t every;

	/* The epoch. */
	uint32_t epoch;
	uint32_t *order; /* position to index into cases */
	size_t positions;
	int64_t step, steps; /* the batch that the caller holds (or will get first), and how many there are */
	bool holds;
	struct hl_loader_place ring[HL_LOADER_RING];
};

/* ---- loader_slices.c ---- */

/* Whether the case's file may hold several slices of which each is a sample. */
bool hl_loader_looks_inside(const struct hl_loader *loader, size_t index);
/* Preloading of such a case: picture, where the file holds one slice; otherwise *several, and what it holds is noted.
 */
enum hilum_status hl_loader_look_inside(struct hl_loader *loader, size_t index, uint8_t *picture, bool *several,
                                        struct hl_met *met, struct hilum_error *error);
/* Samples of a case. */
int32_t hl_loader_inside_count(const struct hl_loader *loader, size_t index);
/* One of several: *out is where it is kept, or picture. */
enum hilum_status hl_loader_slice(struct hl_loader *loader, struct hl_loader_volume *at_hand, size_t index,
                                  int32_t which, uint8_t *picture, const uint8_t **out, struct hilum_error *error);
/* Numbers the samples of an epoch in order. */
enum hilum_status hl_loader_number_slices(struct hl_loader *loader, struct hilum_error *error);
/* The case of a position in it, and which of its slices. */
size_t hl_loader_find_slice(const struct hl_loader *loader, size_t position, int32_t *which);
void hl_loader_free_slices(struct hl_loader *loader);

/* ---- loader_work.c ---- */

/* Starts the workers that the options ask for; on failure some may be running. */
enum hilum_status hl_loader_start_workers(struct hl_loader *loader, struct hilum_error *error);
/* Whether a worker could take a position now. Called with the mutex held. */
bool hl_loader_has_work(const struct hl_loader *loader);
/* Whether the caller's stop was raised. */
bool hl_loader_stopped(const struct hl_loader *loader);
#endif
