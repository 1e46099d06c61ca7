/* The weight gradient of a convolution on channels-last activations:
 * dW[o][i][tap] = sum over output places p of dy[p][o] x[p stride + tap][i], for each tap a product of two matrices
 * that share the long side p. A tile of dW stays in registers over many places.
 *
 * GFLOP/s of one core, 3x3, against oneDNN 2.6.3 on channels-last data: docs/speed.md.
 *
 * The result does not depend on the number of threads: sums over places are cut into shards fixed by the shapes, which
 * are added in order. */
#ifndef HL_NN_BACKENDS_WEIGHT_GRADIENT_H
#define HL_NN_BACKENDS_WEIGHT_GRADIENT_H
#include "nn/ops/common.h"

enum hl_wgrad_kernel {
	HL_WGRAD_BEST, /* of those that this processor has and that the sizes suit; tests name one */
	HL_WGRAD_AVX2,
	HL_WGRAD_AVX512,      /* bfloat16 is widened */
	HL_WGRAD_AVX512_BF16, /* products of pairs of bfloat16; of float32 as HL_WGRAD_AVX512 */
	HL_WGRAD_AMX          /* likewise on tiles; float32 is split in two, as in amx.h */
};

/* Planned by avx2_wgrad.c. */
struct hl_wgrad_avx2 {
	bool joint;     /* few channels: the taps of a row and the channels are one run of neighbouring floats */
	int64_t step;   /* floats from one place to the next in packed input */
	int64_t blocks; /* of input channels */
	int64_t images; /* a chunk */
	int64_t shards; /* of rows, where there are few tiles */
	int64_t tiles;  /* for one block of outputs */
};

/* Planned by avx512_wgrad.c, which explains the words. */
struct hl_wgrad_avx512 {
	bool pairs;             /* of bfloat16 are multiplied as they are */
	bool joint;             /* few channels: the taps of a row and the channels are one run of values */
	bool square;            /* one channel, 3 x 3: all nine taps are one run */
	bool pack_in, pack_out; /* or read where they lie, which float32 can be */
	bool across;            /* a group of places goes over all tiles before the next */
	int64_t units, lines;   /* units, and lines of one depth place of a unit */
	int64_t next_image;     /* what the second place of a pair is: 1 for the next image's, */
	int64_t next_row;       /* or so many rows of the input further down */
	int64_t step;           /* rows of the input from line to line */
	int64_t run, joined;    /* values at a place that tiles divide, and how many taps they hold */
	int64_t columns, skip;  /* of a packed row, and columns of the input from one to the next */
	int64_t blocks, parts, shards;
	int64_t chunk; /* lines */
	int64_t group_lines, group_places;
	int64_t place, row, rows; /* values of a place and of a row, and rows, of packed input */
	bool tiles, emulated;     /* amx_wgrad.c */
	int split;                /* parts of a number */
	int64_t part;             /* values from a row's first parts to its second */
};

struct hl_wgrad {
	struct hl_shape in, out;
	struct hl_window window;
	enum hl_type type;
	int32_t threads;
	enum hl_wgrad_kernel kernel;
	bool strict; /* float32 is not split */
	/* set by hl_wgrad_plan */
	size_t scratch;
	union {
		struct hl_wgrad_avx2 avx2;
		struct hl_wgrad_avx512 avx512;
	};
};

/* Fills the rest, and names the kernel where it was left open; false where this machine or these sizes are not for it.
 */
bool hl_wgrad_plan(struct hl_wgrad *gradient);
/* dweight as (O, I, D, H, W); dbias NULL or O floats; scratch aligned to 64 bytes. */
void hl_wgrad_run(const struct hl_wgrad *gradient, const void *in, const void *dout, float *dweight, float *dbias,
                  void *scratch);
#endif
