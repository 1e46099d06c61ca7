/* Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * A stream is a pure function of its key, so that results do not depend on threads, workers or order. */
#ifndef HL_BASE_RANDOM_H
#define HL_BASE_RANDOM_H
#include <stdint.h>

enum hl_purpose {
	HL_RANDOM_SPLIT = 1,
	HL_RANDOM_SHUFFLE,
	HL_RANDOM_AUGMENT,
	HL_RANDOM_DROPOUT,
	HL_RANDOM_INIT,
	HL_RANDOM_SAMPLER,
	HL_RANDOM_MIXUP,
	HL_RANDOM_PHANTOM,
	HL_RANDOM_CONTROL,
	HL_RANDOM_TEST,
	HL_RANDOM_BOOTSTRAP,
	HL_RANDOM_SLICE
};

struct hl_random {
	uint32_t key[2];
	uint32_t counter[4];
	uint32_t block[4];
	unsigned used; /* words of block already given out; 4: none left */
};

/* The stream of (seed, epoch, sample, purpose). */
struct hl_random hl_random_stream(uint64_t seed, uint32_t epoch, uint32_t sample, enum hl_purpose purpose);
uint32_t hl_random_u32(struct hl_random *random);
double hl_random_uniform(struct hl_random *random);                        /* [0, 1), 53 bits */
double hl_random_range(struct hl_random *random, double low, double high); /* [low, high) */
uint32_t hl_random_below(struct hl_random *random, uint32_t bound);        /* 0 .. bound-1, unbiased; bound > 0 */
double hl_random_normal(struct hl_random *random);                         /* mean 0, variance 1 */
double hl_normal_quantile(double p);                                       /* p in (0, 1) */
void hl_random_shuffle(struct hl_random *random, uint32_t *items, uint32_t count);
/* count words of the stream, starting at word offset: the same as drawing them one by one, but seekable. */
void hl_random_fill(const struct hl_random *start, uint64_t offset, uint32_t *out, uint64_t count);
#endif
