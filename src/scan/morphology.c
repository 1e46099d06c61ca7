/* Morphology on packed bits. Source: the decomposition of a disc into rows, van den Boomgaard and van Balen 1992. */
#include "scan/morphology.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

enum { PAD = HL_BITS_RADIUS_MAX, STRIDE_MAX = HL_BITS_WIDTH_MAX / 64 };

enum hilum_status hl_bits_init(struct hl_bits *bits, int32_t width, int32_t height, int32_t depth,
                               struct hilum_error *error)
{
	size_t stride = ((size_t)width + 63) / 64, rows, count;

	if (width > HL_BITS_WIDTH_MAX || !hl_mul_size((size_t)height, (size_t)depth, &rows) ||
	    !hl_mul_size(rows, stride, &count))
		return hl_fail(error, HILUM_ERROR_LIMIT, "%d x %d x %d pixels", width, height, depth);
	uint64_t *words = hl_alloc(count, sizeof(uint64_t));
	if (!words)
		return hl_fail_memory(error, count * sizeof(uint64_t), "sets of pixels");
	*bits = (struct hl_bits){.width = width, .height = height, .depth = depth, .stride = stride, .words = words};
	return HILUM_OK;
}

void hl_bits_free(struct hl_bits *bits)
{
	hl_free(bits->words);
	*bits = (struct hl_bits){0};
}

struct hl_bits hl_bits_plane(const struct hl_bits *bits, int32_t z)
{
	struct hl_bits plane = *bits;
	plane.depth = 1;
	plane.words = hl_bits_row(bits, 0, z);
	return plane;
}

void hl_bits_fill(uint64_t *row, int32_t first, int32_t last, bool value)
{
	for (int32_t word = first / 64; word <= last / 64; word++) {
		uint64_t mask = UINT64_MAX;
		if (word == first / 64)
			mask &= UINT64_MAX << (first % 64);
		if (word == last / 64)
			mask &= UINT64_MAX >> (63 - last % 64);
		row[word] = value ? row[word] | mask : row[word] & ~mask;
	}
}

static size_t word_count(const struct hl_bits *bits)
{
	return (size_t)bits->depth * (size_t)bits->height * bits->stride;
}

int64_t hl_bits_count(const struct hl_bits *bits)
{
	int64_t count = 0;
	for (size_t i = 0; i < word_count(bits); i++)
		count += __builtin_popcountll(bits->words[i]);
	return count;
}

void hl_bits_clear(struct hl_bits *bits)
{
	memset(bits->words, 0, word_count(bits) * sizeof(uint64_t));
}

void hl_bits_copy(struct hl_bits *to, const struct hl_bits *a)
{
	memcpy(to->words, a->words, word_count(to) * sizeof(uint64_t));
}

void hl_bits_add(struct hl_bits *to, const struct hl_bits *a)
{
	for (size_t i = 0; i < word_count(to); i++)
		to->words[i] |= a->words[i];
}

void hl_bits_keep(struct hl_bits *to, const struct hl_bits *a)
{
	for (size_t i = 0; i < word_count(to); i++)
		to->words[i] &= a->words[i];
}

void hl_bits_remove(struct hl_bits *to, const struct hl_bits *a)
{
	for (size_t i = 0; i < word_count(to); i++)
		to->words[i] &= ~a->words[i];
}

static uint64_t tail_of(const struct hl_bits *bits)
{
	return UINT64_MAX >> (63 - (bits->width - 1) % 64);
}

/* The complement within the frame. */
static void invert(struct hl_bits *bits)
{
	uint64_t tail = tail_of(bits);
	for (size_t i = 0; i < word_count(bits); i++)
		bits->words[i] = ~bits->words[i] & ((i + 1) % bits->stride == 0 ? tail : UINT64_MAX);
}

/* Half the width of the ellipse's row dy, and the number of rows above its middle. */
static int32_t half_widths(double rx, double ry, int32_t half[HL_BITS_RADIUS_MAX + 1])
{
	int32_t rows = ry >= 1 ? (int32_t)fmin(ry, HL_BITS_RADIUS_MAX) : 0;
	rx = rx >= 1 ? fmin(rx, HL_BITS_RADIUS_MAX) : 0;
	for (int32_t dy = 0; dy <= rows; dy++) {
		double share = ry >= 1 ? fmin(dy / ry, 1) : 0;
		/* The small term keeps 3-4-5 triangles whole whatever the rounding. */
		half[dy] = (int32_t)(rx * sqrt(1 - share * share) + 1e-9);
	}
	return rows;
}

/* One pixel wider on both sides. */
static void widen(uint64_t *row, size_t stride, uint64_t tail)
{
	uint64_t before = 0;
	for (size_t i = 0; i < stride; i++) {
		uint64_t word = row[i], after = i + 1 < stride ? row[i + 1] : 0;
		row[i] = word | word << 1 | before >> 63 | word >> 1 | after << 63;
		before = word;
	}
	row[stride - 1] &= tail;
}

static void add_row(uint64_t *to, const uint64_t *from, size_t stride)
{
	for (size_t i = 0; i < stride; i++)
		to[i] |= from[i];
}

static bool is_empty(const uint64_t *row, size_t stride)
{
	uint64_t any = 0;
	for (size_t i = 0; i < stride; i++)
		any |= row[i];
	return any == 0;
}

/* A row of the source is widened step by step, and at each width laid onto the rows where the ellipse is that wide. */
static void dilate_row(const uint64_t *source, uint64_t *wide, int32_t y, const int32_t *half, int32_t rows,
                       struct hl_bits *plane)
{
	size_t stride = plane->stride;
	uint64_t tail = tail_of(plane);
	int32_t width = 0;

	memcpy(wide, source, stride * sizeof(uint64_t));
	for (int32_t dy = rows; dy >= 0; dy--) {
		for (; width < half[dy]; width++)
			widen(wide, stride, tail);
		if (y - dy >= 0)
			add_row(hl_bits_row(plane, y - dy, 0), wide, stride);
		if (dy > 0 && y + dy < plane->height)
			add_row(hl_bits_row(plane, y + dy, 0), wide, stride);
	}
}

void hl_bits_dilate(const struct hl_bits *from, double rx, double ry, struct hl_bits *to)
{
	int32_t half[HL_BITS_RADIUS_MAX + 1], rows = half_widths(rx, ry, half);
	uint64_t wide[STRIDE_MAX];

	hl_bits_clear(to);
	for (int32_t z = 0; z < from->depth; z++) {
		struct hl_bits plane = hl_bits_plane(to, z);
		for (int32_t y = 0; y < from->height; y++) {
			const uint64_t *row = hl_bits_row(from, y, z);
			if (!is_empty(row, from->stride))
				dilate_row(row, wide, y, half, rows, &plane);
		}
	}
}

void hl_bits_erode(const struct hl_bits *from, double rx, double ry, struct hl_bits *to)
{
	int32_t half[HL_BITS_RADIUS_MAX + 1], rows = half_widths(rx, ry, half);
	uint64_t wide[STRIDE_MAX], missing[STRIDE_MAX] = {0};
	uint64_t tail = tail_of(from);

	hl_bits_clear(to);
	for (int32_t z = 0; z < from->depth; z++) {
		struct hl_bits plane = hl_bits_plane(to, z);
		for (int32_t y = 0; y < from->height; y++) {
			const uint64_t *row = hl_bits_row(from, y, z);
			for (size_t i = 0; i < from->stride; i++)
				missing[i] = ~row[i];
			missing[from->stride - 1] &= tail;
			if (!is_empty(missing, from->stride))
				dilate_row(missing, wide, y, half, rows, &plane);
		}
	}
	invert(to);
}

static void shift_in(const uint64_t *row, size_t stride, uint64_t *padded)
{
	memcpy(padded + PAD / 64, row, stride * sizeof(uint64_t));
}

enum hilum_status hl_bits_close(struct hl_bits *bits, double rx, double ry, struct hilum_error *error)
{
	struct hl_bits from = {0}, to = {0};
	enum hilum_status status;

	rx = fmin(rx, PAD);
	ry = fmin(ry, PAD);
	if (!(rx >= 1 || ry >= 1))
		return HILUM_OK;
	status = hl_bits_init(&from, bits->width + 2 * PAD, bits->height + 2 * PAD, 1, error);
	if (!status)
		status = hl_bits_init(&to, bits->width + 2 * PAD, bits->height + 2 * PAD, 1, error);
	for (int32_t z = 0; !status && z < bits->depth; z++) {
		hl_bits_clear(&from);
		for (int32_t y = 0; y < bits->height; y++)
			shift_in(hl_bits_row(bits, y, z), bits->stride, hl_bits_row(&from, y + PAD, 0));
		hl_bits_dilate(&from, rx, ry, &to);
		hl_bits_erode(&to, rx, ry, &from);
		for (int32_t y = 0; y < bits->height; y++) {
			uint64_t *row = hl_bits_row(bits, y, z);
			memcpy(row, hl_bits_row(&from, y + PAD, 0) + PAD / 64, bits->stride * sizeof(uint64_t));
			row[bits->stride - 1] &= tail_of(bits);
		}
	}
	hl_bits_free(&from);
	hl_bits_free(&to);
	return status;
}
