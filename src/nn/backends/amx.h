/* The convolution of avx512_pass.h on tiles (AMX).
 *
 * A task copies the inputs that its places see into a panel: all taps' places, with padding and without steps, each
 * place's channels filled up with zeros to whole rows of a tile (64 bytes). Then every tap is a matrix product with the
 * places of a row, and of the next row, at equal distances: 32 places by 32 output channels at a time, four tiles of
 * sums, over all taps and input channels. Places between rows are summed too and dropped.
 *
 * Few channels would fill little of a row: then a place of the panel holds those of all taps, and there is one product
 * ("joint").
 *
 * Float32 is split: x = a + b, both bfloat16, and the product of two such numbers is a a' + a b' + b a', which leaves
 * an error of 4e-6 of a sum; with three parts and six products it is 2e-7. An infinite number, and one beyond 3.39e38,
 * gives NaN. */
#ifndef HL_NN_BACKENDS_AMX_H
#define HL_NN_BACKENDS_AMX_H
#include "nn/backends/amx_tiles.h"
#include "nn/backends/avx512_private.h"

#define HL_AMX_PLACES 32         /* of a product */
#define HL_AMX_BLOCKS 2          /* of output channels */
#define HL_AMX_JOINT_VALUES 4096 /* of a joint place at most */

/* ---- the innermost loops (amx_kernel.c) ---- */

enum hl_amx_kind { HL_AMX_BF16, HL_AMX_U8, HL_AMX_SPLIT3, HL_AMX_SPLIT6, HL_AMX_KINDS };

struct hl_amx_sum {
	const struct hl_tap *tap; /* place[0]: bytes from in */
	int64_t taps;
	const char *in;
	int64_t place;       /* bytes from one place to the next: parts, each of so many chunks */
	int64_t chunks;      /* of 64 bytes */
	const char *weights; /* tap, chunk, part, block, tile */
	float *out;          /* place, block, lane; of bytes int32 */
	struct hl_amx_registers *registers;
};
typedef void hl_amx_run(const struct hl_amx_sum *sum);

/* For up to 16 times rows places (1 or 2) and blocks of output channels (1 or 2). */
hl_amx_run *hl_amx_find(bool emulated, enum hl_amx_kind kind, int rows, int blocks);
/* One place's sums become its output channels. */
void hl_amx_finish(enum hl_type type, const struct hl_tile *tile, const float *sums, char *out);
/* So many values of a place (bytes, bfloat16, or float32 to be split) to a place of a panel. */
void hl_amx_copy(const struct hl_pass *pass, const char *in, int64_t values, char *out);

/* ---- a pass ---- */

/* Parts that float32 is split into: 2, or 3 where HILUM_FP32_PRODUCTS=6 in the environment asks for six products. */
int hl_amx_parts(void);
/* Whether tiles sum a pass, and then what of its plan is particular to that; the rows of a task; and, with those
 * chosen, the panel and where a tap finds its places in it. */
bool hl_amx_plan(struct hl_pass *pass);
int64_t hl_amx_rows(const struct hl_pass *pass);
void hl_amx_size(struct hl_pass *pass);
uintptr_t hl_amx_tap(const struct hl_pass *pass, int64_t tap);
/* Bytes of a thread's scratch. */
size_t hl_amx_scratch(const struct hl_pass *pass);

/* Fills a thread's panel with what plane d of a box sees (amx_panel.c). */
void hl_amx_fill(const struct hl_pass_walk *walk, const struct hl_pass_box *box, int64_t d);

/* A thread configures its tiles before the first sum, and releases them after the last. */
void hl_amx_open(const struct hl_pass_walk *walk);
void hl_amx_close(const struct hl_pass_walk *walk);
int64_t hl_amx_tasks(const struct hl_pass *pass);
void hl_amx_task(const struct hl_pass_walk *walk, int64_t task);
/* All groups of a box. */
void hl_amx_box(const struct hl_pass_walk *walk, const struct hl_pass_box *box);
#endif
