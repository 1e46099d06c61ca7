/* Batches, prepared by worker threads ahead of the net. Decodes each file once and keeps the resized 8-bit image while
 * the memory limit allows (beyond it, decodes again). A batch is a pure function of (seed, epoch, step). Augmentation
 * is keyed by a sample's place in the epoch, so that a case drawn twice is augmented twice.
 *
 * A network for slices looks at several of a volume (data/lung_slices.h): preloading finds out which. A shuffled epoch
 * then has one slice of it, drawn anew for each place of each epoch; one in order has all of them, one behind the other
 * with the same index. Without preloading a volume is its middle slice. */
#ifndef HL_DATA_LOADER_H
#define HL_DATA_LOADER_H
#include "data/augment.h"
#include "data/dataset.h"

struct hl_flaw;

struct hl_loader_options {
	const struct hl_dataset *dataset; /* borrowed for the loader's life, as is all below */
	const struct hl_recipe *recipe;   /* may still change (mean, deviation) until hl_loader_start */
	const uint32_t *cases;            /* indexes into dataset; copied */
	size_t count;
	int64_t batch;
	uint64_t seed;
	const struct hl_augment *augment; /* NULL: none */
	const struct hl_flaw *flaw;       /* put into every image instead of augmentation; NULL: none */
	bool shuffle;          /* training order: a permutation per epoch; the incomplete last batch is left out
	                          (unless there is only that one: then it is filled up from the start) */
	const double *weights; /* weights[i] of cases[i]: draws with replacement in proportion; NULL: none. Needs
	                          shuffle; copied */
	int32_t outputs;       /* of the net: 1 or the number of classes */
	int32_t threads;       /* workers; 0: hl_cpu_count() */
	int64_t memory;        /* bytes for kept images */
};

struct hl_batch {
	int64_t count;   /* of real samples; the rest of images up to batch is zero (evaluation's last batch) */
	float *images;   /* batch times the recipe's shape, normalised */
	float *targets;  /* batch x outputs */
	uint32_t *index; /* batch: index into dataset->cases; UINT32_MAX for padding */
};

struct hl_loader;

/* A case that could not be read. Called on the caller's thread, once per case, in the order of cases. */
typedef void hl_unreadable_function(void *context, uint32_t index, const struct hilum_error *error);

enum hilum_status hl_loader_create(const struct hl_loader_options *options, struct hl_loader **out,
                                   struct hilum_error *error);
/* Decodes every case now (all workers), drops the unreadable ones from the loader and reports each. HILUM_ERROR_DATA if
 * none is left. stop may be NULL. Without it, the first epoch decodes as it goes and an unreadable case is an error. */
enum hilum_status hl_loader_preload(struct hl_loader *loader, hl_unreadable_function *unreadable, void *context,
                                    const volatile int *stop, struct hilum_error *error);
/* Mean and deviation per channel over all its cases on [0, 1]: sums of whole numbers, so exact in any order. A
 * deviation is at least 1/255, one grey level. */
enum hilum_status hl_loader_statistics(struct hl_loader *loader, double mean[3], double deviation[3],
                                       struct hilum_error *error);
/* HL_TRAITS (data/traits.h) figures of its first case and of each every-th from there, in order; of several slices
 * their mean. */
enum hilum_status hl_loader_traits(struct hl_loader *loader, size_t every, double *traits, struct hilum_error *error);
/* Whether the position-th readable case that preloading met is a chest. */
enum hl_chest_verdict hl_loader_chest(const struct hl_loader *loader, size_t position);
/* Of the readable cases that preloading met, those of hl_volume_is_narrow; and the warning for a sum of them. */
size_t hl_loader_narrow(const struct hl_loader *loader);
void hl_loader_warn_narrow(size_t narrow, size_t count);
size_t hl_loader_count(const struct hl_loader *loader);   /* readable cases */
size_t hl_loader_samples(const struct hl_loader *loader); /* of an epoch that is not shuffled */
int64_t hl_loader_steps(const struct hl_loader *loader);  /* batches an epoch */
/* Begins an epoch (from 0) at a step: resuming goes on where it stopped. Waits for workers of the last one. */
enum hilum_status hl_loader_start(struct hl_loader *loader, uint32_t epoch, int64_t step, struct hilum_error *error);
/* The next batch, borrowed until the next call; *out = NULL at the end of the epoch. A case that cannot be read is an
 * error at its batch, and again at each further call until the next start. */
enum hilum_status hl_loader_next(struct hl_loader *loader, const struct hl_batch **out, struct hilum_error *error);
void hl_loader_destroy(struct hl_loader *loader);
#endif
