/* Registration of two small pictures. Coordinates are shares of a side, 0 in the middle: -0.5 to 0.5. */
#ifndef HL_DATA_ALIKE_MATCH_H
#define HL_DATA_ALIKE_MATCH_H
#include "data/look.h"

/* Where a place of the fixed picture is found in the moving one: matrix * place + shift. */
struct hl_affine {
	float matrix[2][2], shift[2];
};

/* A small picture made ready for registration: grey at three sizes, and which pixels show something. */
struct hl_view {
	const uint8_t *small; /* borrowed */
	bool sharp;           /* fine and noise are made */
	float noise;          /* standard deviation of what is left of it in fine, in grey levels */
	float fine[HL_LOOK_PIXELS], middle[HL_LOOK_PIXELS / 4], coarse[HL_LOOK_PIXELS / 16];
	float shown[HL_LOOK_PIXELS]; /* 1, or 0 where a flat edge was filled up or shows nothing but air */
};

void hl_view_make(const uint8_t *small, struct hl_view *view);

struct hl_match {
	struct hl_affine map;
	float correlation, detail; /* of grey values, and of what is finer than about a tenth of the side */
	float overlap;             /* share of the fixed picture's shown pixels that have a counterpart */
	float gain, offset;        /* moving = gain * fixed + offset, on the small pictures' own scales */
	float residual;            /* root mean square of what is left, likewise */
};

/* Improves start until grey values agree best. False where it leads nowhere. */
bool hl_match(struct hl_view *moving, struct hl_view *fixed, const struct hl_affine *start, struct hl_match *out);

/* Gaussian blur with a share of the kernel at edges; in, scratch and out may not overlap and hold side * side, side at
 * most HL_LOOK_SIDE. */
void hl_blur(const float *in, int32_t side, float sigma, float *scratch, float *out);
#endif
