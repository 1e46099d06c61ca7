/* What the files of a pass share. */
#ifndef HL_NN_BACKENDS_AVX512_PRIVATE_H
#define HL_NN_BACKENDS_AVX512_PRIVATE_H
#include "nn/backends/avx512_pass.h"

static inline int64_t hl_divide_up(int64_t a, int64_t b)
{
	return (a + b - 1) / b;
}

static inline int64_t hl_pass_size(const struct hl_pass *pass)
{
	return pass->type == HL_U8 ? 1 : pass->type == HL_BF16 ? 2 : 4;
}

/* Input channels in 32 bits of packed weights. */
static inline int64_t hl_pass_unit(const struct hl_pass *pass)
{
	return pass->tiles.used && pass->type == HL_F32 ? 2 : 4 / hl_pass_size(pass);
}

static inline int64_t hl_pass_blocks(const struct hl_pass *pass)
{
	return hl_divide_up(pass->outputs, HL_TILE_LANES);
}

static inline int64_t hl_pass_places(const struct hl_pass *pass)
{
	return pass->images * pass->axis[0].count * pass->axis[1].count * pass->axis[2].count;
}

/* The first block of a group: groups differ by one block at most. */
static inline int64_t hl_pass_group(const struct hl_pass *pass, int64_t group)
{
	return hl_pass_blocks(pass) * group / pass->groups;
}

/* Packed weights: of a tap for so many blocks, and of all taps for one block. */
static inline int64_t hl_pass_tap_bytes(const struct hl_pass *pass, int64_t blocks)
{
	return pass->units * blocks * HL_TILE_LANES * 4;
}

static inline int64_t hl_pass_block_bytes(const struct hl_pass *pass)
{
	return pass->slices * pass->taps * hl_pass_tap_bytes(pass, 1) * (pass->tiles.used ? pass->tiles.parts : 1);
}

/* A thread's scratch: bytes of its taps of a tile, copied rows, sums that wait, and places before pooling. */
struct hl_pass_scratch {
	size_t taps, rows, sums, box;
};
struct hl_pass_scratch hl_pass_scratch(const struct hl_pass *pass);

struct hl_pass_place {
	int64_t image, at[3];
};

/* What one thread works with. Addresses are of the first place of the grid, which may lie outside of a box. */
struct hl_pass_walk {
	const struct hl_pass *pass;
	uintptr_t in, out;
	int64_t add; /* bytes from there to what is added */
	struct hl_tap *tap;
	char *rows, *box, *panel;
	float *sums;
};

/* What is the same for every tile of a group, and bytes from an output place's first channel to the group's. */
struct hl_tile hl_pass_group_tile(const struct hl_pass *pass, int64_t group);
int64_t hl_pass_group_offset(const struct hl_pass *pass, int64_t group);

static inline uintptr_t hl_pass_at(const struct hl_pass_view *view, uintptr_t base, const struct hl_pass_place *place)
{
	return base + (uintptr_t)(view->first + place->image * view->image + place->at[0] * view->axis[0] +
	                          place->at[1] * view->axis[1] + place->at[2] * view->axis[2]);
}

/* The places of planes and rows from a place on, over their whole width. */
struct hl_pass_box {
	struct hl_pass_place from;
	int64_t images;
	struct hl_axes size;
};

/* The largest of each window of a thread's box, for pooled rows from at on of plane d; box begins at the place from. */
struct hl_pass_pool {
	const char *box;
	struct hl_axes from;
	int64_t image, d, h, rows;
	char *out; /* the whole tensor */
};
void hl_pass_pool(const struct hl_pass *pass, const struct hl_pass_pool *pool);

/* Joint: what rows of one plane see, from place on, with padding, to a thread's rows. */
void hl_pass_copy_rows(const struct hl_pass_walk *walk, const struct hl_pass_place *place, int64_t rows);

/* Winograd's way (avx512_winograd.c), for passes that it suits; plan: false where it does not pay. */
bool hl_winograd_suits(const struct hl_pass *pass);
int64_t hl_winograd_rows(const struct hl_pass *pass);
bool hl_winograd_plan(struct hl_pass *pass);
void hl_winograd_pack(struct hl_pass *pass, const float *weight, const float *scale);
/* A box's work is cut into so many chunks; each is run for groups from to to of output channels. */
int64_t hl_winograd_chunks(const struct hl_pass *pass, const struct hl_pass_box *box);
void hl_winograd_run(const struct hl_pass_walk *walk, const struct hl_pass_box *box, int64_t chunk, int64_t group_from,
                     int64_t group_to);
#endif
