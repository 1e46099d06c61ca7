/* Sets of pixels, one bit each, and their dilation, erosion and closing by ellipses: 64 pixels a step, which is faster
 * than distance transforms for the radii that scans need. */
#ifndef HL_SCAN_MORPHOLOGY_H
#define HL_SCAN_MORPHOLOGY_H
#include <stddef.h>

#include "base/error.h"

/* Pixel (x, y, z) is bit x % 64 of word x / 64 of row y of plane z. Bits of the last word beyond width are clear. */
struct hl_bits {
	int32_t width, height, depth;
	size_t stride; /* words of a row */
	uint64_t *words;
};

#define HL_BITS_WIDTH_MAX 20480

/* Clear. The sizes are at least 1. */
enum hilum_status hl_bits_init(struct hl_bits *bits, int32_t width, int32_t height, int32_t depth,
                               struct hilum_error *error);
void hl_bits_free(struct hl_bits *bits);

static inline uint64_t *hl_bits_row(const struct hl_bits *bits, int32_t y, int32_t z)
{
	return bits->words + ((size_t)z * (size_t)bits->height + (size_t)y) * bits->stride;
}

static inline bool hl_bits_get(const struct hl_bits *bits, int32_t x, int32_t y, int32_t z)
{
	return hl_bits_row(bits, y, z)[x / 64] >> (x % 64) & 1;
}

static inline void hl_bits_set(struct hl_bits *bits, int32_t x, int32_t y, int32_t z)
{
	hl_bits_row(bits, y, z)[x / 64] |= UINT64_C(1) << (x % 64);
}

/* Plane z as a set of depth 1 that shares the words. */
struct hl_bits hl_bits_plane(const struct hl_bits *bits, int32_t z);
/* Sets (or clears) pixels first to last of a row. */
void hl_bits_fill(uint64_t *row, int32_t first, int32_t last, bool value);
int64_t hl_bits_count(const struct hl_bits *bits);
void hl_bits_clear(struct hl_bits *bits);

/* Of sets of the same size: to = a, to = to or a, to = to and a, to = to and not a. */
void hl_bits_copy(struct hl_bits *to, const struct hl_bits *a);
void hl_bits_add(struct hl_bits *to, const struct hl_bits *a);
void hl_bits_keep(struct hl_bits *to, const struct hl_bits *a);
void hl_bits_remove(struct hl_bits *to, const struct hl_bits *a);

/* The largest radius in pixels; longer ones are cut to it. */
#define HL_BITS_RADIUS_MAX 64

/* Each plane by the ellipse x*x / (rx*rx) + y*y / (ry*ry) <= 1, radii in pixels; a radius below 1 has no effect along
 * its axis. Nothing lies outside of the frame for a dilation, and nothing is missing there for an erosion. to is a
 * set of the same size, not from. */
void hl_bits_dilate(const struct hl_bits *from, double rx, double ry, struct hl_bits *to);
void hl_bits_erode(const struct hl_bits *from, double rx, double ry, struct hl_bits *to);

/* A dilation and an erosion on a plane that goes on, empty, beyond the frame. In place, plane by plane. */
enum hilum_status hl_bits_close(struct hl_bits *bits, double rx, double ry, struct hilum_error *error);
#endif
