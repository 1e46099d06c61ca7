/* The innermost loops of the AVX-512 convolution: a tile of places by output channels, whose sums stay in registers
 * over all taps and input channels.
 *
 * Per step, 32 bits of input channels (one float32, two bfloat16, four bytes) of each place are broadcast and
 * multiplied with up to four registers of weights, each of 16 output channels by as many input channels. With 24 sums
 * two products a cycle need ten loads in twelve cycles. */
#ifndef HL_NN_BACKENDS_AVX512_TILE_H
#define HL_NN_BACKENDS_AVX512_TILE_H
#include "nn/tensor.h"

#define HL_TILE_LANES 16  /* output channels in a register */
#define HL_TILE_BLOCKS 4  /* most registers of output channels */
#define HL_TILE_PLACES 12 /* most places */

/* Of functions with AVX-512 in them. Those for float32 run on machines without bf16 and VNNI, and gcc makes none of
 * those instructions unless told to by name. */
#define HL_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512vnni")))

/* A tap: where each place finds its input channels, and which of the packed taps they meet. */
struct hl_tap {
	uintptr_t place[15]; /* addresses; HL_TILE_PLACES are used. Of an even tile the first one's, less tile->in */
	uintptr_t weight;
};

/* What becomes of a sum. */
enum hl_tile_end { HL_TILE_PLAIN, HL_TILE_RELU, HL_TILE_LEAKY };

struct hl_tile {
	int blocks;
	const struct hl_tap *tap;
	int64_t taps;
	uintptr_t in;        /* added to every address */
	int64_t in_step;     /* even: bytes from one place to the next, also from the last of a tile to the next tile */
	const char *weights; /* tap, 32 bits of input channels, block, lane, input channels */
	int64_t tap_bytes;
	int64_t run;       /* bytes of input channels in a tap, a multiple of four */
	int odd;           /* bytes of channels behind them, fewer than four */
	bool first;        /* sums begin at zero, rather than with those of the tile before */
	bool last;         /* they are finished, rather than left for the next one */
	float *sums;       /* where they wait: place, block, lane; of bytes int32 */
	uint16_t mask;     /* lanes of the last block that exist */
	const float *bias; /* block, lane */
	bool adds;         /* what lies so many bytes from the output is added */
	int64_t add;
	enum hl_tile_end end;
	float slope;
	/* of bytes, whose sums are whole numbers: see nn/backends/int8.h */
	const float *scale; /* block, lane */
	float add_scale, low, high;
	int32_t zero;     /* of the output */
	char *const *out; /* of each place; even: of the first */
	int64_t out_step; /* even, as in_step */
	int64_t repeat;   /* even: so many tiles beside each other; else 1 */
};

typedef void hl_tile_run(const struct hl_tile *tile);

/* For so many places (up to hl_tile_places) and blocks; even: places lie at equal distances, and see no padding. */
hl_tile_run *hl_tile_find(enum hl_type type, bool even, int places, int blocks);
int hl_tile_places(int blocks);
#endif
