/* JPEG by discrete cosine transform. 8 bits: libjpeg. 12 bits, which libjpeg leaves out: Huffman-coded sequential and
 * progressive scans of one component (ITU-T T.81 annexes F, G), and the integer inverse transform of Loeffler,
 * Ligtenberg and Moschytz ("Practical fast 1-D DCT algorithms with 11 multiplications", ICASSP 1989) in the fixed point
 * arithmetic of the Independent JPEG Group's reference, so that values agree with it to the last bit. */
#include "scan/dicom/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include "base/memory.h"

/* ---- 12 bits: coefficients ---- */

/* Figure A.6: where the k-th coefficient of the zigzag lies. */
static const uint8_t zigzag[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,
                                   12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
                                   35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
                                   58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

struct scan {
	struct hl_jpeg_bits bits;
	const struct hl_jpeg_table *dc, *ac;
	int first, last, high, low;
	int32_t previous; /* DC */
	int32_t run;      /* blocks that have ended already: EOBRUN */
};

static int32_t read_dc(struct scan *scan)
{
	hl_jpeg_need(&scan->bits, 32);
	int size = hl_jpeg_symbol(&scan->bits, scan->dc);
	if (size > 15) {
		hl_jpeg_spoil(&scan->bits);
		return 0;
	}
	int32_t sum = scan->previous + hl_jpeg_extend(hl_jpeg_take(&scan->bits, size), size);
	if (sum < INT16_MIN || sum > INT16_MAX)
		hl_jpeg_spoil(&scan->bits);
	else
		scan->previous = sum;
	return scan->previous;
}

/* F.2.2 and, where the spectrum is cut, G.1.2.2: coefficients that are met for the first time. */
static void read_block(struct scan *scan, bool progressive, int16_t *block)
{
	int k = scan->first;

	if (k == 0) {
		block[0] = (int16_t)((uint32_t)read_dc(scan) << scan->low);
		k = 1;
	}
	if (scan->run > 0) {
		scan->run--;
		return;
	}
	while (k <= scan->last) {
		hl_jpeg_need(&scan->bits, 32);
		int symbol = hl_jpeg_symbol(&scan->bits, scan->ac), zeros = symbol >> 4, size = symbol & 15;
		if (size == 0 && zeros < 15) {
			/* The end of this block and, if progressive, of more that follow. */
			if (progressive && zeros > 0)
				scan->run = (int32_t)((UINT32_C(1) << zeros) + hl_jpeg_take(&scan->bits, zeros)) - 1;
			return;
		}
		k += zeros;
		if (size > 0 && k <= scan->last) {
			int32_t value = hl_jpeg_extend(hl_jpeg_take(&scan->bits, size), size);
			block[zigzag[k]] = (int16_t)((uint32_t)value << scan->low);
		} else if (size > 0) {
			hl_jpeg_spoil(&scan->bits);
		}
		k++;
	}
}

/* One more bit of a coefficient that is not zero. */
static void refine(struct scan *scan, int16_t *value)
{
	int16_t bit = (int16_t)(1 << scan->low);

	hl_jpeg_need(&scan->bits, 1);
	if (hl_jpeg_take(&scan->bits, 1) && !(*value & bit))
		*value = (int16_t)(*value + (*value >= 0 ? bit : -bit));
}

/* G.1.2.3: further bits of coefficients, and new ones of one bit. */
static void refine_block(struct scan *scan, int16_t *block)
{
	int k = scan->first;

	if (k == 0) {
		hl_jpeg_need(&scan->bits, 1);
		if (hl_jpeg_take(&scan->bits, 1))
			block[0] = (int16_t)(block[0] | 1 << scan->low);
		return;
	}
	while (scan->run == 0 && k <= scan->last) {
		hl_jpeg_need(&scan->bits, 32);
		int symbol = hl_jpeg_symbol(&scan->bits, scan->ac), zeros = symbol >> 4, size = symbol & 15;
		int32_t value = 0;
		if (size > 1)
			hl_jpeg_spoil(&scan->bits);
		if (size == 1)
			value = hl_jpeg_take(&scan->bits, 1) ? 1 << scan->low : -(1 << scan->low);
		if (size == 0 && zeros < 15) {
			scan->run = (int32_t)((UINT32_C(1) << zeros) + hl_jpeg_take(&scan->bits, zeros));
			break;
		}
		for (; k <= scan->last; k++) {
			int16_t *at = &block[zigzag[k]];
			if (*at)
				refine(scan, at);
			else if (zeros-- == 0) {
				*at = (int16_t)value;
				break;
			}
		}
		k++;
	}
	if (scan->run > 0) {
		for (; k <= scan->last; k++)
			if (block[zigzag[k]])
				refine(scan, &block[zigzag[k]]);
		scan->run--;
	}
}

static enum hilum_status begin_scan(const struct hl_jpeg *jpeg, struct scan *scan, struct hilum_error *error)
{
	const struct hl_jpeg_component *component = &jpeg->component[0];
	bool progressive = jpeg->process == 2;

	*scan = (struct scan){.dc = &jpeg->dc[component->dc], .ac = &jpeg->ac[component->ac], .last = 63};
	if (progressive) {
		scan->first = jpeg->spectral_first;
		scan->last = jpeg->spectral_last;
		scan->high = jpeg->high;
		scan->low = jpeg->low;
		if (scan->last > 63 || scan->first > scan->last || (scan->first == 0 && scan->last > 0) ||
		    scan->low > 13 || (scan->high > 0 && scan->high != scan->low + 1))
			return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG scan of coefficients %d to %d",
			               scan->first, scan->last);
	}
	if ((scan->first == 0 && scan->high == 0 && !scan->dc->defined) || (scan->last > 0 && !scan->ac->defined))
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG without its Huffman table");
	return HILUM_OK;
}

static enum hilum_status read_scan(struct hl_jpeg *jpeg, int16_t *blocks, size_t wide, size_t high,
                                   struct hilum_error *error)
{
	struct scan scan;
	bool progressive = jpeg->process == 2;
	int32_t left = jpeg->restart;
	int restarts = 0;
	enum hilum_status status = begin_scan(jpeg, &scan, error);

	if (status)
		return status;
	hl_jpeg_begin(&scan.bits, jpeg->at, jpeg->end);
	for (size_t i = 0; i < wide * high; i++) {
		if (jpeg->restart > 0 && left-- == 0) {
			if (!hl_jpeg_restart(&scan.bits, restarts++))
				return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG without a restart marker");
			scan.previous = scan.run = 0;
			left = jpeg->restart - 1;
		}
		if (scan.high > 0)
			refine_block(&scan, blocks + 64 * i);
		else
			read_block(&scan, progressive, blocks + 64 * i);
		if (hl_jpeg_overrun(&scan.bits))
			return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG data");
	}
	hl_jpeg_end_scan(jpeg, scan.bits.at);
	return HILUM_OK;
}

/* ---- 12 bits: the inverse transform ---- */

enum { FRACTION = 13, EXTRA = 1 }; /* bits of the constants, and kept between the two passes */

static inline int64_t fixed(double constant)
{
	return (int64_t)(constant * (1 << FRACTION) + 0.5);
}

/* Eight values to eight, stride apart in both, scaled by 2^FRACTION. */
static inline void inverse(const int64_t in[8], int64_t out[8])
{
	int64_t turned = (in[2] + in[6]) * fixed(0.541196100);
	int64_t even2 = turned - in[6] * fixed(1.847759065), even3 = turned + in[2] * fixed(0.765366865);
	int64_t even0 = (in[0] + in[4]) * (1 << FRACTION), even1 = (in[0] - in[4]) * (1 << FRACTION);
	int64_t sum[4] = {even0 + even3, even1 + even2, even1 - even2, even0 - even3};

	int64_t z1 = (in[7] + in[1]) * -fixed(0.899976223), z2 = (in[5] + in[3]) * -fixed(2.562915447);
	int64_t z3 = in[7] + in[3], z4 = in[5] + in[1], z5 = (z3 + z4) * fixed(1.175875602);
	z3 = z3 * -fixed(1.961570560) + z5;
	z4 = z4 * -fixed(0.390180644) + z5;
	int64_t odd[4] = {in[1] * fixed(1.501321110) + z1 + z4, in[3] * fixed(3.072711026) + z2 + z3,
	                  in[5] * fixed(2.053119869) + z2 + z4, in[7] * fixed(0.298631336) + z1 + z3};
	for (int i = 0; i < 4; i++) {
		out[i] = sum[i] + odd[i];
		out[7 - i] = sum[i] - odd[i];
	}
}

static inline int64_t descale(int64_t value, int bits)
{
	return (value + (INT64_C(1) << (bits - 1))) >> bits;
}

/* Columns, then rows. */
static void transform(const int16_t block[64], const uint16_t quant[64], uint16_t out[64])
{
	int64_t plane[64], in[8], line[8];

	for (int x = 0; x < 8; x++) {
		for (int y = 0; y < 8; y++)
			in[y] = (int64_t)block[8 * y + x] * quant[8 * y + x];
		inverse(in, line);
		for (int y = 0; y < 8; y++)
			plane[8 * y + x] = descale(line[y], FRACTION - EXTRA);
	}
	for (int y = 0; y < 8; y++) {
		inverse(plane + 8 * (size_t)y, line);
		for (int x = 0; x < 8; x++) {
			int64_t value = descale(line[x], FRACTION + EXTRA + 3) + 2048;
			out[8 * y + x] = (uint16_t)(value < 0 ? 0 : value > 4095 ? 4095 : value);
		}
	}
}

static void put_blocks(const struct hl_jpeg *jpeg, const int16_t *blocks, size_t wide, size_t high,
                       const struct hl_dicom_plane *plane)
{
	uint16_t quant[64], block[64], *out = plane->out;
	size_t width = (size_t)plane->width, height = (size_t)plane->height;

	for (int k = 0; k < 64; k++)
		quant[zigzag[k]] = jpeg->quant[jpeg->component[0].quant][k];
	for (size_t i = 0; i < wide * high; i++) {
		size_t left = i % wide * 8, top = i / wide * 8;
		transform(blocks + 64 * i, quant, block);
		for (size_t y = 0; y < 8 && top + y < height; y++)
			for (size_t x = 0; x < 8 && left + x < width; x++)
				out[(top + y) * width + left + x] = block[8 * y + x];
	}
}

enum hilum_status hl_jpeg_dct12(struct hl_jpeg *jpeg, const struct hl_dicom_plane *plane, struct hilum_error *error)
{
	size_t wide = ((size_t)jpeg->width + 7) / 8, high = ((size_t)jpeg->height + 7) / 8;
	enum hilum_status status = HILUM_OK;
	int16_t *blocks;
	bool found = true;

	if (jpeg->components != 1)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "coloured JPEG of 12 bits");
	if (jpeg->process == 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: baseline JPEG of 12 bits");
	blocks = hl_alloc(wide * high * 64, sizeof(*blocks));
	if (!blocks)
		return hl_fail_memory(error, wide * high * 64 * sizeof(*blocks), "JPEG coefficients");
	/* The scans that follow a sequential picture's only one are none of its own. */
	for (int scans = 1; !status && found; scans++) {
		if (scans > HL_JPEG_SCANS_MAX) {
			status = hl_fail(error, HILUM_ERROR_LIMIT, "JPEG of more than %d scans", HL_JPEG_SCANS_MAX);
			break;
		}
		status = read_scan(jpeg, blocks, wide, high, error);
		if (!status)
			status = hl_jpeg_next_scan(jpeg, &found, error);
		if (jpeg->process != 2)
			break;
	}
	if (!status && !jpeg->has_quant[jpeg->component[0].quant])
		status = hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG without its quantisation table");
	if (!status)
		put_blocks(jpeg, blocks, wide, high, plane);
	hl_free(blocks);
	return status;
}

/* ---- 8 bits ---- */

struct failure {
	struct jpeg_error_mgr manager;
	jmp_buf back;
	char text[JMSG_LENGTH_MAX];
};

static void on_error(j_common_ptr jpeg)
{
	struct failure *failure = (struct failure *)jpeg->err;

	jpeg->err->format_message(jpeg, failure->text);
	longjmp(failure->back, 1);
}

/* Warnings are damage too: a picture that is half grey is none. */
static void on_message(j_common_ptr jpeg, int level)
{
	if (level < 0)
		on_error(jpeg);
}

static int count_scans(const uint8_t *bytes, size_t length)
{
	int count = 0;

	/* No such pair stands in the data of a scan. */
	for (size_t i = 0; i + 1 < length; i++)
		count += bytes[i] == 0xff && bytes[i + 1] == 0xda;
	return count;
}

static void read_rows(struct jpeg_decompress_struct *jpeg, const struct hl_dicom_plane *plane)
{
	size_t row = (size_t)plane->width * (size_t)plane->samples;

	while (jpeg->output_scanline < jpeg->output_height) {
		uint8_t *at = (uint8_t *)plane->out + jpeg->output_scanline * row * plane->size;
		JSAMPROW to = at;
		jpeg_read_scanlines(jpeg, &to, 1);
		/* In place from the end, where values take 16 bits. */
		for (size_t x = row; plane->size == 2 && x-- > 0;)
			((uint16_t *)(void *)at)[x] = at[x];
	}
}

enum hilum_status hl_jpeg_dct8(const uint8_t *bytes, size_t length, const struct hl_dicom_plane *plane,
                               struct hilum_error *error)
{
	struct jpeg_decompress_struct jpeg = {0};
	struct failure failure = {.text = ""};

	if (count_scans(bytes, length) > HL_JPEG_SCANS_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "JPEG of more than %d scans", HL_JPEG_SCANS_MAX);
	jpeg.err = jpeg_std_error(&failure.manager);
	failure.manager.error_exit = on_error;
	failure.manager.emit_message = on_message;
	if (setjmp(failure.back)) {
		jpeg_destroy_decompress(&jpeg);
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %s", failure.text);
	}
	jpeg_create_decompress(&jpeg);
	jpeg.mem->max_memory_to_use = (long)HL_VOLUME_BYTES_MAX;
	jpeg_mem_src(&jpeg, bytes, (unsigned long)length);
	jpeg_read_header(&jpeg, TRUE);
	/* Components as they are stored. */
	jpeg.out_color_space = jpeg.jpeg_color_space;
	jpeg_start_decompress(&jpeg);
	if (jpeg.output_width != (JDIMENSION)plane->width || jpeg.output_height != (JDIMENSION)plane->height ||
	    jpeg.output_components != plane->samples) {
		jpeg_destroy_decompress(&jpeg);
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: a JPEG picture of another size than its file's");
	}
	read_rows(&jpeg, plane);
	jpeg_finish_decompress(&jpeg);
	jpeg_destroy_decompress(&jpeg);
	return HILUM_OK;
}
