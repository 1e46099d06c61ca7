/* Lossless JPEG with Huffman codes (ITU-T T.81 annex H): each sample as its difference from a prediction. */
#include "scan/dicom/jpeg.h"

#include <string.h>

#include "base/memory.h"

struct scan {
	struct hl_jpeg_bits bits;
	const struct hl_jpeg_table *table[HL_JPEG_COMPONENTS_MAX];
	int components, predictor, precision, shift;
	size_t width;
	uint16_t *rows[2]; /* the row above and this one: components planes of width samples, with one before each */
};

/* H.1.2.2, table H.2; 16 is one difference without further bits. */
static inline uint16_t read_difference(struct hl_jpeg_bits *bits, const struct hl_jpeg_table *table)
{
	hl_jpeg_need(bits, 32);
	int size = hl_jpeg_symbol(bits, table);
	if (size == 16)
		return 0x8000;
	if (size > 16) {
		hl_jpeg_spoil(bits);
		return 0;
	}
	return (uint16_t)hl_jpeg_extend(hl_jpeg_take(bits, size), size);
}

/* Table H.1: left, above, above left. */
static inline __attribute__((always_inline)) uint16_t predict(int predictor, int32_t a, int32_t b, int32_t c)
{
	switch (predictor) {
	case 1:
		return (uint16_t)a;
	case 2:
		return (uint16_t)b;
	case 3:
		return (uint16_t)c;
	case 4:
		return (uint16_t)(a + b - c);
	case 5:
		return (uint16_t)(a + ((b - c) >> 1));
	case 6:
		return (uint16_t)(b + ((a - c) >> 1));
	default:
		return (uint16_t)((a + b) >> 1);
	}
}

/* One row but for its first column. A body for each predictor, so that the choice is out of the loop. */
static inline __attribute__((always_inline)) void row_of(struct scan *scan, int predictor)
{
	size_t stride = scan->width + 1;

	if (scan->components == 1) {
		const uint16_t *above = scan->rows[0] + 1;
		uint16_t *now = scan->rows[1] + 1;
		struct hl_jpeg_bits bits = scan->bits;
		int32_t left = now[0];
		for (size_t x = 1; x < scan->width; x++) {
			left = (uint16_t)(predict(predictor, left, above[x], above[x - 1]) +
			                  read_difference(&bits, scan->table[0]));
			now[x] = (uint16_t)left;
		}
		scan->bits = bits;
		return;
	}
	for (size_t x = 1; x < scan->width; x++)
		for (int i = 0; i < scan->components; i++) {
			const uint16_t *above = scan->rows[0] + (size_t)i * stride + 1 + x;
			uint16_t *now = scan->rows[1] + (size_t)i * stride + 1 + x;
			*now = (uint16_t)(predict(predictor, now[-1], *above, above[-1]) +
			                  read_difference(&scan->bits, scan->table[i]));
		}
}

/* first: nothing above it counts, as at the top and behind a restart marker (H.1.2.1). */
static void read_row(struct scan *scan, bool first)
{
	size_t stride = scan->width + 1;
	uint16_t middle = (uint16_t)(1u << (scan->precision - scan->shift - 1));

	for (int i = 0; i < scan->components; i++) {
		uint16_t from = first ? middle : scan->rows[0][(size_t)i * stride + 1];
		scan->rows[1][(size_t)i * stride + 1] = (uint16_t)(from + read_difference(&scan->bits, scan->table[i]));
	}
	switch (first ? 1 : scan->predictor) {
	case 1:
		row_of(scan, 1);
		break;
	case 2:
		row_of(scan, 2);
		break;
	case 3:
		row_of(scan, 3);
		break;
	case 4:
		row_of(scan, 4);
		break;
	case 5:
		row_of(scan, 5);
		break;
	case 6:
		row_of(scan, 6);
		break;
	default:
		row_of(scan, 7);
		break;
	}
}

static void put_row(const struct hl_jpeg *jpeg, const struct scan *scan, const struct hl_dicom_plane *plane, int32_t y)
{
	size_t samples = (size_t)plane->samples, first = (size_t)y * scan->width * samples;

	for (int i = 0; i < scan->components; i++) {
		const uint16_t *from = scan->rows[1] + (size_t)i * (scan->width + 1) + 1;
		size_t at = first + (size_t)jpeg->scan[i];
		if (plane->size == 1) {
			uint8_t *to = (uint8_t *)plane->out + at;
			for (size_t x = 0; x < scan->width; x++)
				to[x * samples] = (uint8_t)(from[x] << scan->shift);
		} else {
			uint16_t *to = (uint16_t *)plane->out + at;
			for (size_t x = 0; x < scan->width; x++)
				to[x * samples] = (uint16_t)(from[x] << scan->shift);
		}
	}
}

static enum hilum_status begin_scan(const struct hl_jpeg *jpeg, struct scan *scan, struct hilum_error *error)
{
	scan->components = jpeg->scan_components;
	scan->predictor = jpeg->spectral_first;
	scan->precision = jpeg->precision;
	scan->shift = jpeg->low;
	if (scan->predictor < 1 || scan->predictor > 7 || scan->shift >= scan->precision)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG predictor %d, point transform %d",
		               scan->predictor, scan->shift);
	for (int i = 0; i < scan->components; i++) {
		const struct hl_jpeg_component *component = &jpeg->component[jpeg->scan[i]];
		if (component->h != 1 || component->v != 1)
			return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "subsampled lossless JPEG");
		scan->table[i] = &jpeg->dc[component->dc];
		if (!scan->table[i]->defined)
			return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG without its Huffman table");
	}
	/* H.1.1: intervals are whole rows. */
	if (jpeg->restart % jpeg->width)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "lossless JPEG that restarts within a row");
	return HILUM_OK;
}

static enum hilum_status read_one_scan(struct hl_jpeg *jpeg, struct scan *scan, const struct hl_dicom_plane *plane,
                                       struct hilum_error *error)
{
	int32_t interval = jpeg->restart / jpeg->width, left = interval;
	int restarts = 0;
	enum hilum_status status = begin_scan(jpeg, scan, error);

	if (status)
		return status;
	hl_jpeg_begin(&scan->bits, jpeg->at, jpeg->end);
	for (int32_t y = 0; y < jpeg->height; y++) {
		bool first = y == 0;
		if (interval > 0 && left == 0) {
			if (!hl_jpeg_restart(&scan->bits, restarts++))
				return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG without a restart marker");
			left = interval;
			first = true;
		}
		left--;
		read_row(scan, first);
		if (hl_jpeg_overrun(&scan->bits))
			return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG data");
		put_row(jpeg, scan, plane, y);
		uint16_t *swap = scan->rows[0];
		scan->rows[0] = scan->rows[1];
		scan->rows[1] = swap;
	}
	hl_jpeg_end_scan(jpeg, scan->bits.at);
	return HILUM_OK;
}

enum hilum_status hl_jpeg_lossless(struct hl_jpeg *jpeg, const struct hl_dicom_plane *plane, struct hilum_error *error)
{
	struct scan scan = {.width = (size_t)jpeg->width};
	size_t row = ((size_t)jpeg->width + 1) * (size_t)jpeg->components;
	uint16_t *rows = hl_alloc(2 * row, sizeof(*rows));
	enum hilum_status status = HILUM_OK;
	unsigned seen = 0;
	bool found = true;

	if (!rows)
		return hl_fail_memory(error, 2 * row * sizeof(*rows), "JPEG rows");
	scan.rows[0] = rows;
	scan.rows[1] = rows + row;
	while (found && !status) {
		unsigned now = 0;
		for (int i = 0; i < jpeg->scan_components; i++)
			now |= 1u << jpeg->scan[i];
		if (seen & now)
			status = hl_fail(error, HILUM_ERROR_FORMAT, "damaged: a JPEG component in two scans");
		else
			status = read_one_scan(jpeg, &scan, plane, error);
		seen |= now;
		if (!status && seen == (1u << jpeg->components) - 1)
			break;
		if (!status)
			status = hl_jpeg_next_scan(jpeg, &found, error);
	}
	if (!status && !found)
		status = hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG without all its components");
	hl_free(rows);
	return status;
}
