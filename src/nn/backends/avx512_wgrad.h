/* What the files of the AVX-512 weight gradient share: avx512_wgrad.c plans and runs tasks, avx512_wgrad_gather.c
 * brings each chunk of one into place, avx512_wgrad_kernel.c multiplies. */
#ifndef HL_NN_BACKENDS_AVX512_WGRAD_H
#define HL_NN_BACKENDS_AVX512_WGRAD_H
#include "nn/backends/weight_gradient.h"

#define HL_WGRAD_LANES 16
#define HL_WGRAD_VECTORS 4                                 /* of outputs at most */
#define HL_WGRAD_BLOCK (HL_WGRAD_LANES * HL_WGRAD_VECTORS) /* outputs */
#define HL_WGRAD_TILED (2 * HL_WGRAD_LANES)                /* inputs of a tile of AMX */

/* A row of places: where its input and its gradient begin. Both consist of 32-bit values, each a float or a pair of
 * bfloat16 that belong to two places. */
struct hl_wgrad_line {
	const float *x, *dy;
};

struct hl_wgrad_rows {
	const struct hl_wgrad_line *line;
	int64_t lines;
	int64_t begin, end;       /* places of each line */
	int64_t shift;            /* of the first input value behind line->x */
	int64_t step;             /* from place to place of the input */
	int64_t below;            /* of a square: from one row of its inputs to the next */
	int64_t width;            /* of the gradient */
	uint16_t mask;            /* of its last vector */
	float *sums;              /* count x vectors x LANES */
	const char *const *ahead; /* cache lines to fetch meanwhile, one with each place while there are any */
	int64_t fetch;
};

/* sums[i][o] += over all places x[place][i] dy[place][o]; places are added one by one, in order. */
typedef void hl_wgrad_tile(const struct hl_wgrad_rows *rows);
/* The one for count inputs by vectors of outputs: 1 <= count <= hl_wgrad_tile_max[vectors]. */
hl_wgrad_tile *hl_wgrad_tile_for(bool pairs, int vectors, int64_t count);
/* For inputs that are 3 neighbours in each of 3 rows, by 1 or 2 vectors. */
hl_wgrad_tile *hl_wgrad_square_for(bool pairs, int vectors);
extern const int hl_wgrad_tile_max[HL_WGRAD_VECTORS + 1];

/* sums[o] += over all places dy[place][o] */
void hl_wgrad_add_bias(const float *dy, int64_t width, int64_t places, int64_t outputs, uint16_t mask, bool pairs,
                       float *sums);

/* count channels of places that lie stride apart, to 32-bit values that lie place apart. May write up to LANES - 1
 * values beyond the last. NULL stands for zeros in pairs. */
void hl_wgrad_pack_pairs(const uint16_t *first, const uint16_t *second, int64_t stride, int64_t count, int64_t places,
                         float *out, int64_t place);
void hl_wgrad_pack_widened(const uint16_t *in, int64_t stride, int64_t count, int64_t places, float *out,
                           int64_t place);
void hl_wgrad_pack_floats(const float *in, int64_t stride, int64_t count, int64_t places, float *out, int64_t place);

/* Of float32: what rounding to bfloat16 leaves is a second value, so many further on. Writes as hl_wgrad_pack_pairs. */
void hl_amx_pack_split(const float *first, const float *second, int64_t stride, int64_t count, int64_t places,
                       float *out, int64_t place, int64_t part);

/* Adds up to LANES rows of LANES outputs over the shards, which lie distance apart, in order, and writes them as
 * columns: out[o * stride + row]. */
void hl_wgrad_write(const float *const *row, int rows, int64_t shards, int64_t distance, int64_t outputs, float *out,
                    int64_t stride);

/* ---- sizes ---- */

static inline int64_t hl_wgrad_least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static inline int64_t hl_wgrad_most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static inline int64_t hl_wgrad_pieces(int64_t whole, int64_t part)
{
	return (whole + part - 1) / part;
}

/* Taps of depth and height that lines are listed for. */
static inline int64_t hl_wgrad_row_taps_of(const struct hl_wgrad *g)
{
	return g->window.size.d * (g->avx512.square ? 1 : g->window.size.h);
}

/* Taps that have sums of their own; in a joint run the taps of a row are among the values. */
static inline int64_t hl_wgrad_taps_of(const struct hl_wgrad *g)
{
	return hl_wgrad_row_taps_of(g) * (g->avx512.joint ? 1 : g->window.size.w);
}

/* Rows of packed input that length lines of a slice take under one tap of depth: each once where lines share most of
 * them (shared), or for each line its own. */
int64_t hl_wgrad_rows_of(const struct hl_wgrad *g, int64_t length, bool *shared);
/* Cache lines that a line of places takes at most: its own gradient, and input that the line before did not need. */
int64_t hl_wgrad_ahead_of_line(const struct hl_wgrad *g);

/* ---- a task ---- */

/* Places whose input under a tap is not padding. */
struct hl_wgrad_range {
	int64_t begin, end;
};

/* The inputs of a part that one tile takes: [from, to). */
struct hl_wgrad_tile_place {
	int64_t from, to;
	hl_wgrad_tile *run;
};

/* Of one thread. */
struct hl_wgrad_workspace {
	float *in, *dout, *sums;
	struct hl_wgrad_line *line;   /* for each tap of depth and height, the chunk's lines that are not all padding */
	int64_t *before;              /* likewise: how many of them come before each line of the chunk */
	bool *packed;                 /* for each row of packed input */
	struct hl_wgrad_range *range; /* for each tap of a row */
	struct hl_wgrad_tile_place *tile;
	const char **ahead; /* what the next chunk reads, a cache line each */
	/* of tiles */
	float *plain; /* a line of the gradient before places become columns */
	float *tiles; /* tile, tap, block of outputs, two of inputs, output, input */
	struct hl_amx_registers *registers;
};

struct hl_wgrad_task {
	const struct hl_wgrad *g;
	const char *in, *dout;
	struct hl_wgrad_workspace w;
	int64_t shard, block, part;
	int64_t from, to;         /* of the run */
	int64_t outputs, present; /* of the block, with and without those that fill it up */
	float *sums;
	double *bias; /* NULL: not asked for, or another part's */
	int64_t tiles;
	int64_t ahead, fetched, pace; /* cache lines of the next chunk: all, so far, and with each tile */
};

/* Packs lines begin to end (at most a chunk), lists them and adds their bias. */
void hl_wgrad_gather(struct hl_wgrad_task *task, int64_t begin, int64_t end);
/* Lists what gathering lines begin to end will read: their gradient, and of the input what the lines before them did
 * not need. */
void hl_wgrad_foresee(struct hl_wgrad_task *task, int64_t begin, int64_t end);
/* On tiles (amx_wgrad.c): a task begins, adds a chunk's lines, and ends with task->sums. */
void hl_amx_begin(const struct hl_wgrad_task *task);
void hl_amx_multiply(const struct hl_wgrad_task *task, int64_t lines);
void hl_amx_end(const struct hl_wgrad_task *task);
/* A packed line of the gradient, place by output, to groups of 16 places, each output by place, filled with zeros. */
void hl_amx_turn(const struct hl_wgrad_task *task, const float *plain, float *out);
/* Values of such a line at most, all its parts. */
int64_t hl_wgrad_left_of(const struct hl_wgrad *g);
/* The mask of a block's last vector of gradients, and the floats from place to place. */
uint16_t hl_wgrad_last_mask(const struct hl_wgrad_task *task);
int64_t hl_wgrad_output_width(const struct hl_wgrad_task *task);
#endif
