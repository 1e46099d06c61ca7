/* JPEG markers, tables and bits (ITU-T T.81 annexes B, C, F.2.2), and which decoder a picture goes to. */
#include "scan/dicom/jpeg.h"

#include <string.h>

#include "base/memory.h"

enum marker {
	SOF0 = 0xc0,
	DHT = 0xc4,
	JPG = 0xc8,
	DAC = 0xcc,
	SOF15 = 0xcf,
	RST0 = 0xd0,
	RST7 = 0xd7,
	SOI = 0xd8,
	EOI = 0xd9,
	SOS = 0xda,
	DQT = 0xdb,
	DNL = 0xdc,
	DRI = 0xdd,
	TEM = 0x01
};

static enum hilum_status damaged(struct hilum_error *error, const char *what)
{
	return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG %s", what);
}

/* ---- bits ---- */

void hl_jpeg_begin(struct hl_jpeg_bits *bits, const uint8_t *at, const uint8_t *end)
{
	*bits = (struct hl_jpeg_bits){.at = at, .end = end};
}

void hl_jpeg_refill(struct hl_jpeg_bits *bits)
{
	while (bits->count <= 56) {
		uint64_t byte = 0;
		if (bits->at < bits->end && *bits->at != 0xff) {
			byte = *bits->at++;
		} else if (bits->end - bits->at >= 2 && bits->at[1] == 0) {
			byte = 0xff;
			bits->at += 2;
		} else {
			bits->made_up += 8;
		}
		bits->hold |= byte << (56 - bits->count);
		bits->count += 8;
	}
	/* However long zeros are taken. */
	if (bits->made_up > 1 << 20)
		bits->made_up = 1 << 20;
}

bool hl_jpeg_restart(struct hl_jpeg_bits *bits, int number)
{
	const uint8_t *at = bits->at;

	if (hl_jpeg_overrun(bits))
		return false;
	/* What is left in hold is padding of the last byte only when the marker comes next. */
	while (bits->end - at >= 2 && at[0] == 0xff && at[1] == 0xff)
		at++;
	if (bits->end - at < 2 || at[0] != 0xff || at[1] != RST0 + (number & 7))
		return false;
	hl_jpeg_begin(bits, at + 2, bits->end);
	return true;
}

/* ---- tables ---- */

static bool build_table(struct hl_jpeg_table *table, const uint8_t counts[16], const uint8_t *symbols, size_t total)
{
	int32_t code = 0, index = 0;

	memset(table, 0, sizeof(*table));
	memcpy(table->symbol, symbols, total);
	for (int length = 1; length <= 16; length++) {
		int32_t count = counts[length - 1];
		table->first[length] = index - code;
		if (code + count > 1 << length)
			return false;
		for (int32_t i = 0; i < count && length <= HL_JPEG_FAST; i++)
			for (int32_t k = 0; k < 1 << (HL_JPEG_FAST - length); k++)
				table->fast[((code + i) << (HL_JPEG_FAST - length)) + k] =
				    (uint16_t)(length << 8 | symbols[index + i]);
		index += count;
		code += count;
		table->last[length] = count ? code - 1 : -1;
		code <<= 1;
	}
	table->defined = true;
	return true;
}

static enum hilum_status read_huffman(struct hl_jpeg *jpeg, const uint8_t *at, const uint8_t *end,
                                      struct hilum_error *error)
{
	while (at < end) {
		size_t total = 0;
		if (end - at < 17 || (at[0] & 15) > 3 || at[0] >> 4 > 1)
			return damaged(error, "Huffman table");
		for (int i = 1; i <= 16; i++)
			total += at[i];
		if (total > 256 || total > (size_t)(end - at - 17) ||
		    !build_table(at[0] >> 4 ? &jpeg->ac[at[0] & 15] : &jpeg->dc[at[0] & 15], at + 1, at + 17, total))
			return damaged(error, "Huffman table");
		at += 17 + total;
	}
	return HILUM_OK;
}

static enum hilum_status read_quantisation(struct hl_jpeg *jpeg, const uint8_t *at, const uint8_t *end,
                                           struct hilum_error *error)
{
	while (at < end) {
		int wide = at[0] >> 4, table = at[0] & 15;
		size_t size = wide ? 128 : 64;
		if (wide > 1 || table > 3 || (size_t)(end - at - 1) < size)
			return damaged(error, "quantisation table");
		for (int i = 0; i < 64; i++)
			jpeg->quant[table][i] = wide ? (uint16_t)(at[1 + 2 * i] << 8 | at[2 + 2 * i]) : at[1 + i];
		jpeg->has_quant[table] = true;
		at += 1 + size;
	}
	return HILUM_OK;
}

static enum hilum_status read_frame(struct hl_jpeg *jpeg, int marker, const uint8_t *at, const uint8_t *end,
                                    struct hilum_error *error)
{
	if (jpeg->components > 0 || end - at < 6)
		return damaged(error, "frame header");
	if (marker > 0xc3)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "JPEG process %d", marker - SOF0);
	jpeg->process = marker - SOF0;
	jpeg->precision = at[0];
	jpeg->height = at[1] << 8 | at[2];
	jpeg->width = at[3] << 8 | at[4];
	if (at[5] < 1 || at[5] > HL_JPEG_COMPONENTS_MAX || end - at != 6 + 3 * at[5])
		return damaged(error, "frame header");
	jpeg->components = at[5];
	for (int i = 0; i < jpeg->components; i++) {
		const uint8_t *from = at + 6 + 3 * i;
		jpeg->component[i] = (struct hl_jpeg_component){
		    .id = from[0], .h = from[1] >> 4, .v = from[1] & 15, .quant = from[2] & 3};
	}
	return HILUM_OK;
}

static enum hilum_status read_scan(struct hl_jpeg *jpeg, const uint8_t *at, const uint8_t *end,
                                   struct hilum_error *error)
{
	int count = end > at ? at[0] : 0;

	if (jpeg->components == 0 || count < 1 || count > jpeg->components || end - at != 4 + 2 * count)
		return damaged(error, "scan header");
	jpeg->scan_components = count;
	for (int i = 0; i < count; i++) {
		int which = 0;
		while (which < jpeg->components && jpeg->component[which].id != at[1 + 2 * i])
			which++;
		if (which == jpeg->components || (i > 0 && which <= jpeg->scan[i - 1]) || (at[2 + 2 * i] & 0xcc))
			return damaged(error, "scan header");
		jpeg->scan[i] = which;
		jpeg->component[which].dc = at[2 + 2 * i] >> 4;
		jpeg->component[which].ac = at[2 + 2 * i] & 3;
	}
	at += 1 + 2 * count;
	jpeg->spectral_first = at[0];
	jpeg->spectral_last = at[1];
	jpeg->high = at[2] >> 4;
	jpeg->low = at[2] & 15;
	return HILUM_OK;
}

/* ---- markers ---- */

static enum hilum_status read_segment(struct hl_jpeg *jpeg, int marker, const uint8_t *at, const uint8_t *end,
                                      struct hilum_error *error)
{
	if (marker == DHT)
		return read_huffman(jpeg, at, end, error);
	if (marker == DQT)
		return read_quantisation(jpeg, at, end, error);
	if (marker == SOS)
		return read_scan(jpeg, at, end, error);
	if (marker == DRI) {
		if (end - at != 2)
			return damaged(error, "restart interval");
		jpeg->restart = at[0] << 8 | at[1];
		return HILUM_OK;
	}
	if (marker == DNL)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "JPEG with its height at its end");
	if (marker >= SOF0 && marker <= SOF15 && marker != JPG && marker != DAC)
		return read_frame(jpeg, marker, at, end, error);
	return HILUM_OK; /* applications' segments, comments */
}

enum hilum_status hl_jpeg_next_scan(struct hl_jpeg *jpeg, bool *found, struct hilum_error *error)
{
	*found = false;
	for (;;) {
		while (jpeg->end - jpeg->at >= 2 && jpeg->at[0] == 0xff && jpeg->at[1] == 0xff)
			jpeg->at++;
		if (jpeg->end - jpeg->at < 2 || jpeg->at[0] != 0xff)
			return damaged(error, "picture cut off");
		int marker = jpeg->at[1];
		jpeg->at += 2;
		if (marker == EOI)
			return HILUM_OK;
		if (marker == SOI || marker == TEM || (marker >= RST0 && marker <= RST7))
			continue;
		size_t left = (size_t)(jpeg->end - jpeg->at);
		size_t length = left >= 2 ? (size_t)jpeg->at[0] << 8 | jpeg->at[1] : 0;
		if (length < 2 || length > left)
			return damaged(error, "picture cut off");
		enum hilum_status status = read_segment(jpeg, marker, jpeg->at + 2, jpeg->at + length, error);
		if (status)
			return status;
		jpeg->at += length;
		if (marker == SOS) {
			*found = true;
			return HILUM_OK;
		}
	}
}

void hl_jpeg_end_scan(struct hl_jpeg *jpeg, const uint8_t *at)
{
	while (jpeg->end - at >= 2 &&
	       (at[0] != 0xff || at[1] == 0 || at[1] == 0xff || (at[1] >= RST0 && at[1] <= RST7)))
		at++;
	jpeg->at = at;
}

enum hilum_status hl_decode_jpeg(const uint8_t *bytes, size_t length, const struct hl_dicom_plane *plane,
                                 struct hilum_error *error)
{
	struct hl_jpeg *jpeg = hl_alloc(1, sizeof(*jpeg));
	enum hilum_status status;
	bool found;

	if (!jpeg)
		return hl_fail_memory(error, sizeof(*jpeg), "a JPEG picture");
	jpeg->at = bytes;
	jpeg->end = bytes + length;
	status = hl_jpeg_next_scan(jpeg, &found, error);
	if (!status && !found)
		status = damaged(error, "picture without a scan");
	if (status)
		goto out;
	if (jpeg->width != plane->width || jpeg->height != plane->height || jpeg->components != plane->samples) {
		status =
		    hl_fail(error, HILUM_ERROR_FORMAT,
		            "damaged: a JPEG picture of %d x %d, %d components, in a "
		            "file of %d x %d, %d",
		            jpeg->width, jpeg->height, jpeg->components, plane->width, plane->height, plane->samples);
		goto out;
	}
	if (jpeg->precision < 2 || jpeg->precision > (int)plane->size * 8 || plane->size > 2)
		status = hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG of %d bits in %zu", jpeg->precision,
		                 plane->size * 8);
	else if (jpeg->process == 3)
		status = hl_jpeg_lossless(jpeg, plane, error);
	else if (jpeg->precision == 12)
		status = hl_jpeg_dct12(jpeg, plane, error);
	else if (jpeg->precision == 8)
		status = hl_jpeg_dct8(bytes, length, plane, error);
	else
		status = hl_fail(error, HILUM_ERROR_UNSUPPORTED, "JPEG of %d bits", jpeg->precision);
out:
	hl_free(jpeg);
	return status;
}
