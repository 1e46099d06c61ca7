/* Places blocks of known size and lifetime in one run of memory, so that those never alive at once share bytes. */
#ifndef HL_NN_ARENA_H
#define HL_NN_ARENA_H
#include "base/error.h"

#define HL_ARENA_ALIGNMENT 64

struct hl_arena_block {
	size_t bytes;        /* 0: takes no place */
	int32_t first, last; /* steps, both inclusive */
	size_t offset;       /* the answer, a multiple of HL_ARENA_ALIGNMENT */
};

/* Greedy by size: the largest block first, each in the tightest gap left by those alive at the same time (Pisarchyk &
 * Lee, "Efficient memory management for deep neural net inference", 2020, section 5.2). total is the size of the
 * whole. */
enum hilum_status hl_arena_place(struct hl_arena_block *block, size_t count, size_t *total, struct hilum_error *error);
#endif
