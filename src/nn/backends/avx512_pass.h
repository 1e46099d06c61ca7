/* One pass of a convolution with AVX-512: each place of a grid is a sum, over taps, of input places times weights.
 *
 * The forward pass is one such; the gradient of the input is one for each remainder of places modulo the stride, with
 * the taps that reach it. Places are walked as one line over images, depth, height and width, or row by row, a tile of
 * neighbours at a time; where a tile touches padding or crosses the end of a row, each of its places has addresses of
 * its own, in the way of Dukhan, "The indirect convolution algorithm", 2019. Every sum is taken in the same order
 * whatever the number of threads. */
#ifndef HL_NN_BACKENDS_AVX512_PASS_H
#define HL_NN_BACKENDS_AVX512_PASS_H
#include "nn/backends/avx512_tile.h"
#include "nn/backends/int8.h"
#include "nn/ops/common.h"

struct hl_pass_axis {
	int64_t in;                        /* places of what is read */
	int64_t count, step;               /* of the grid; input places from one of its places to the next */
	int64_t taps, offset, offset_step; /* tap i of place p reads p step + offset + i offset_step; offset_step > 0 */
	int64_t size, tap, tap_step;       /* the weights have size taps, of which tap i is number tap + i tap_step */
	int64_t out, out_first, out_step;  /* place p is written to out_first + p out_step, of out places */
};

/* Bytes from the start of a tensor to a place of the grid in it. */
struct hl_pass_view {
	int64_t first, image, axis[3];
};

/* Where tiles sum a pass: amx.h. */
struct hl_pass_tiles {
	bool used, emulated;
	int parts;              /* that a number is split into */
	int64_t chunks, place;  /* rows of a tile in one part of a place of the panel, and bytes of the place */
	int64_t phases[3];      /* remainders by the stride that taps have, of height and width */
	int64_t reach[3];       /* rows and columns of the panel beyond those of the results */
	int64_t images, width;  /* of a task; width: columns of results */
	int64_t lines, columns; /* of an image of the panel */
	int64_t shares;         /* of the groups, tasks of their own */
	size_t panel;           /* bytes */
};

struct hl_pass {
	/* given */
	enum hl_type type;
	int32_t threads;
	int64_t images, inputs, outputs; /* channels */
	struct hl_pass_axis axis[3];
	int64_t weight_in, weight_out; /* floats in the weights from one channel to the next; taps are neighbours */
	enum hl_tile_end end;          /* what is done to a sum behind its bias */
	float slope;                   /* of HL_TILE_LEAKY */
	bool adds;                     /* a tensor like the output is added, before that */
	bool pools;                    /* the largest of each window is kept, after that; not with adds */
	struct hl_window window;
	struct hl_shape pooled;
	bool repacked;              /* weights change with every run */
	bool fine;                  /* float32 is split into three parts rather than two */
	bool strict;                /* float32 is multiplied as it is, rather than split for tiles */
	const struct hl_int8 *int8; /* of bytes: weights and how a sum becomes an output; made before hl_pass_pack */

	/* set by hl_pass_plan */
	size_t scratch;
	int64_t in_bytes, out_bytes; /* of a place */
	struct hl_pass_view in, out; /* out: of the sums; pools: in a thread's box */
	/* Few channels: those of neighbouring taps of a row are one run, read from a copy with zeros around. */
	bool joint;
	int64_t copy_rows, copy_places;    /* of a copied plane */
	bool winograd;                     /* summed as in avx512_winograd.c */
	int64_t chunk_tiles, chunk_planes; /* of its tiles, that are summed together */
	int64_t parts;                     /* of the groups, tasks of their own */
	size_t winograd_bytes;             /* of a thread's scratch */
	struct hl_pass_tiles tiles;
	int64_t taps;           /* that a tile goes through */
	int64_t run;            /* input channels of a tap, times the taps of a joint run */
	int64_t units;          /* 32-bit units of a run that are summed at once */
	int64_t slices;         /* of so many units, in a run */
	int64_t groups;         /* of blocks of output channels */
	bool by_rows;           /* tiles end where rows do */
	bool groups_first;      /* a thread keeps a group's weights rather than a strip's inputs */
	int64_t strip;          /* places of a task */
	struct hl_axes box;     /* joint, pools: places of a task, pools: before pooling; whole rows */
	int64_t from[3], to[3]; /* the places of each axis that see no padding */
	struct hl_tap *inner;   /* taps of a tile that sees none, in bytes from its first place */
	char *weights;          /* packed: group, slice, tap, unit, block, lane, channel of the unit; for
	                           tiles group, tap, 16 units, part, block, unit, lane, channel */
	float *bias, *scale;    /* to whole blocks; scale of bytes, otherwise NULL */
	char *zeros;            /* a run of them; of bytes the input's zero */
	size_t weights_bytes;
};

/* Whether this processor has what a type needs. */
bool hl_pass_machine(enum hl_type type);
/* Fills the rest. HILUM_ERROR_UNSUPPORTED: sizes beyond what it counts with. hl_pass_free in any case. */
enum hilum_status hl_pass_plan(struct hl_pass *pass, struct hilum_error *error);
void hl_pass_free(struct hl_pass *pass);
/* Weights as PyTorch keeps them. Each output channel is scale times its sum, plus shift; NULL: 1 and 0. Of bytes all
 * three are those of pass->int8, and not looked at. */
void hl_pass_pack(struct hl_pass *pass, const float *weight, const float *scale, const float *shift);
/* add: NULL unless pass->adds. */
void hl_pass_run(const struct hl_pass *pass, const void *in, const void *add, void *out, void *scratch);
#endif
