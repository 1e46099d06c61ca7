/* Sound DICOM files in every encoding that hilum reads. Most are written by hilum's own encoders; JPEG of 12 bits,
 * which it has none for, is encoded here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "samples.h"
#include "scan/dicom/write.h"

struct dicom_kind {
	const char *name;
	enum hl_dicom_encoding encoding;
	int32_t frames;
	int allocated, stored;
	bool is_signed;
	double slope, intercept;
	enum hl_voxel type; /* expected */
};

static const struct dicom_kind kinds[] = {
    {"explicit", HL_ENCODING_EXPLICIT, 1, 16, 12, false, 1, -1024, HL_VOXEL_I16},
    {"implicit", HL_ENCODING_IMPLICIT, 1, 16, 16, true, 1, 0, HL_VOXEL_I16},
    {"big-endian", HL_ENCODING_BIG_ENDIAN, 1, 16, 13, true, 2, -100, HL_VOXEL_I16},
    {"deflated", HL_ENCODING_DEFLATED, 1, 16, 12, false, 1, -1024, HL_VOXEL_I16},
    {"rle", HL_ENCODING_RLE, 1, 16, 12, false, 1, -1024, HL_VOXEL_I16},
    {"rle 8", HL_ENCODING_RLE, 1, 8, 8, false, 4, -1000, HL_VOXEL_I16},
    {"jpeg lossless", HL_ENCODING_JPEG_LOSSLESS, 1, 16, 16, true, 1, 0, HL_VOXEL_I16},
    {"jpeg lossless 8", HL_ENCODING_JPEG_LOSSLESS, 1, 8, 7, false, 8, -1000, HL_VOXEL_I16},
    {"jpeg-ls", HL_ENCODING_JPEG_LS, 1, 16, 12, false, 1, -1024, HL_VOXEL_I16},
    {"jpeg-ls 8", HL_ENCODING_JPEG_LS, 1, 8, 8, true, 8, 0, HL_VOXEL_I16},
    {"jpeg 2000", HL_ENCODING_JPEG_2000, 1, 16, 12, false, 1, -1024, HL_VOXEL_I16},
    {"jpeg 2000 signed", HL_ENCODING_JPEG_2000, 1, 16, 14, true, 0.25, 0, HL_VOXEL_F32},
    {"enhanced", HL_ENCODING_EXPLICIT, 3, 16, 12, false, 1, -1024, HL_VOXEL_I16},
    {"enhanced implicit", HL_ENCODING_IMPLICIT, 3, 16, 16, true, 0.5, 0, HL_VOXEL_F32},
    {"enhanced deflated", HL_ENCODING_DEFLATED, 3, 8, 8, false, 4, -1024, HL_VOXEL_I16},
    {"enhanced jpeg-ls", HL_ENCODING_JPEG_LS, 3, 16, 12, false, 1, -1024, HL_VOXEL_I16},
    {"enhanced rle", HL_ENCODING_RLE, 3, 16, 12, false, 1, -1024, HL_VOXEL_I16},
};

enum { WIDTH = 23, HEIGHT = 18, FRAMES = 3 };

/* A slope with some noise on it, within the stored bits. */
static int32_t stored_value(const struct dicom_kind *kind, int32_t x, int32_t y, int32_t z)
{
	int32_t range = 1 << kind->stored, value = range * (x + y + z) / (WIDTH + HEIGHT + FRAMES);

	value += (int32_t)((unsigned)(x * 73 + y * 151 + z * 57) % 7);
	return value - (kind->is_signed ? range / 2 : 0);
}

static void describe(const struct dicom_kind *kind, struct hl_dicom_image *image, struct hl_dicom_frame *frames)
{
	struct hl_dicom *head = &image->head;

	image->encoding = kind->encoding;
	*head = (struct hl_dicom){.width = WIDTH,
	                          .height = HEIGHT,
	                          .samples = 1,
	                          .frames = kind->frames,
	                          .frame = frames,
	                          .photometric = HL_DICOM_MONOCHROME2,
	                          .bits_allocated = kind->allocated,
	                          .bits_stored = kind->stored,
	                          .high_bit = kind->stored - 1,
	                          .is_signed = kind->is_signed,
	                          .has_instance = true,
	                          .instance = 1,
	                          .has_padding = true};
	snprintf(head->modality, sizeof(head->modality), "CT");
	hl_dicom_uid("sample", head->sop_instance);
	hl_dicom_uid("samples", head->series);
	for (int32_t i = 0; i < kind->frames; i++)
		frames[i] = (struct hl_dicom_frame){.has_position = true,
		                                    .has_orientation = true,
		                                    .has_spacing = true,
		                                    .has_rescale = true,
		                                    .hounsfield = true,
		                                    .position = {-10, -20, 2.5 * i},
		                                    .row = {1},
		                                    .column = {0, 1},
		                                    .spacing = {0.75, 0.75},
		                                    .thickness = 2.5,
		                                    .slope = kind->slope,
		                                    .intercept = kind->intercept};
}

static bool make(struct sample *sample, const struct dicom_kind *kind)
{
	struct hl_dicom_frame frames[FRAMES];
	struct hl_dicom_image image = {0};
	uint16_t values[WIDTH * HEIGHT * FRAMES];
	struct hl_buffer out;

	snprintf(sample->name, sizeof(sample->name), "dicom %s", kind->name);
	sample->kind = SAMPLE_DICOM;
	describe(kind, &image, frames);
	if (hl_volume_init(&sample->expected, WIDTH, HEIGHT, kind->frames, 1, kind->type, NULL))
		return false;
	for (int32_t z = 0; z < kind->frames; z++)
		for (int32_t y = 0; y < HEIGHT; y++)
			for (int32_t x = 0; x < WIDTH; x++) {
				int32_t value = stored_value(kind, x, y, z), at = (z * HEIGHT + y) * WIDTH + x;
				if (kind->allocated == 8)
					((uint8_t *)values)[at] = (uint8_t)value;
				else
					values[at] = (uint16_t)value;
				sample_set(&sample->expected, x, y, z, 0, value * kind->slope + kind->intercept);
			}
	image.values = values;
	hl_buffer_init(&out, 1 << 20);
	if (hl_dicom_write(&image, &out, NULL)) {
		hl_buffer_free(&out);
		return false;
	}
	sample->bytes = (uint8_t *)out.data;
	sample->length = out.length;
	return true;
}

/* ---- JPEG of 12 bits (ITU-T T.81), one component, quantised by 1 ---- */

enum { WIDE = 3, HIGH = 3, BLOCKS = WIDE * HIGH };

static const uint8_t zigzag[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,
                                   12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
                                   35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
                                   58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

struct bits {
	struct hl_buffer *out;
	uint32_t hold;
	int count;
};

static void put(struct hl_buffer *out, const void *bytes, size_t length)
{
	if (hl_buffer_append(out, bytes, length, NULL))
		abort();
}

static void put_byte(struct hl_buffer *out, int byte)
{
	uint8_t one = (uint8_t)byte;
	put(out, &one, 1);
}

static void put_bits(struct bits *bits, uint32_t value, int count)
{
	for (int i = count - 1; i >= 0; i--) {
		bits->hold = bits->hold << 1 | (value >> i & 1);
		if (++bits->count == 8) {
			put_byte(bits->out, (int)(bits->hold & 255));
			if ((bits->hold & 255) == 255)
				put_byte(bits->out, 0);
			bits->hold = 0;
			bits->count = 0;
		}
	}
}

static void flush(struct bits *bits)
{
	while (bits->count > 0)
		put_bits(bits, 1, 1);
}

/* 16 symbols of 5 bits for DC; 255 of 9 bits and one of 10 for AC. */
static void put_tables(struct hl_buffer *out)
{
	put(out, "\xff\xc4\x00\x23\x00", 5);
	for (int length = 1; length <= 16; length++)
		put_byte(out, length == 5 ? 16 : 0);
	for (int symbol = 0; symbol < 16; symbol++)
		put_byte(out, symbol);
	put(out, "\xff\xc4\x01\x13\x10", 5);
	for (int length = 1; length <= 16; length++)
		put_byte(out, length == 9 ? 255 : length == 10);
	for (int symbol = 0; symbol < 256; symbol++)
		put_byte(out, symbol);
	put(out, "\xff\xdb\x00\x43\x00", 5);
	for (int i = 0; i < 64; i++)
		put_byte(out, 1);
}

static void put_dc(struct bits *bits, int symbol)
{
	put_bits(bits, (uint32_t)symbol, 5);
}

static void put_ac(struct bits *bits, int symbol)
{
	put_bits(bits, symbol < 255 ? (uint32_t)symbol : 510, symbol < 255 ? 9 : 10);
}

static int size_of(int value)
{
	int size = 0;
	while (abs(value) >> size)
		size++;
	return size;
}

static void put_value(struct bits *bits, int value, int size)
{
	put_bits(bits, (uint32_t)(value < 0 ? value - 1 : value) & ((1u << size) - 1), size);
}

static void begin_scan(struct hl_buffer *out, int first, int last, int high, int low)
{
	put(out, "\xff\xda\x00\x08\x01\x01\x00", 7);
	put_byte(out, first);
	put_byte(out, last);
	put_byte(out, high << 4 | low);
}

/* Coefficients in zigzag order from first on, their low bits left out; a run of blocks that end at once is one symbol.
 */
static void put_coefficients(struct bits *bits, int16_t (*block)[64], int first, int low, bool runs)
{
	int previous = 0, ended = 0;
	for (int i = 0; i < BLOCKS; i++) {
		int zeros = 0, k = first;
		if (k == 0) {
			int value = block[i][0] >> low;
			put_dc(bits, size_of(value - previous));
			put_value(bits, value - previous, size_of(value - previous));
			previous = value;
			k = 1;
		}
		for (; k < 64 && (first > 0 || !runs); k++) {
			int value = abs(block[i][k]) >> low;
			if (value == 0) {
				zeros++;
				continue;
			}
			if (ended > 0) {
				put_ac(bits, (size_of(ended) - 1) << 4);
				put_bits(bits, (uint32_t)ended & ((1u << (size_of(ended) - 1)) - 1),
				         size_of(ended) - 1);
				ended = 0;
			}
			for (; zeros > 15; zeros -= 16)
				put_ac(bits, 0xf0);
			put_ac(bits, zeros << 4 | size_of(value));
			put_value(bits, block[i][k] < 0 ? -value : value, size_of(value));
			zeros = 0;
		}
		if (zeros > 0 && runs)
			ended++;
		else if (zeros > 0)
			put_ac(bits, 0);
	}
	if (ended > 0) {
		put_ac(bits, (size_of(ended) - 1) << 4);
		put_bits(bits, (uint32_t)ended & ((1u << (size_of(ended) - 1)) - 1), size_of(ended) - 1);
	}
}

/* The bit at low of coefficients that are known already, and those that appear with it (figure G.7). */
static void put_refinement(struct bits *bits, int16_t (*block)[64], int low)
{
	for (int i = 0; i < BLOCKS; i++) {
		int zeros = 0, last = 0, corrections = 0;
		uint8_t correction[64];
		for (int k = 1; k < 64; k++)
			last = abs(block[i][k]) >> low == 1 ? k : last;
		for (int k = 1; k < 64; k++) {
			int value = abs(block[i][k]) >> low;
			if (value == 0) {
				zeros++;
				continue;
			}
			while (zeros > 15 && k <= last) {
				put_ac(bits, 0xf0);
				for (int c = 0; c < corrections; c++)
					put_bits(bits, correction[c], 1);
				corrections = 0;
				zeros -= 16;
			}
			if (value > 1) {
				correction[corrections++] = (uint8_t)(value & 1);
				continue;
			}
			put_ac(bits, zeros << 4 | 1);
			put_bits(bits, block[i][k] > 0, 1);
			for (int c = 0; c < corrections; c++)
				put_bits(bits, correction[c], 1);
			corrections = zeros = 0;
		}
		if (zeros > 0 || corrections > 0) {
			put_ac(bits, 0);
			for (int c = 0; c < corrections; c++)
				put_bits(bits, correction[c], 1);
		}
	}
}

static void encode_jpeg12(struct hl_buffer *out, int16_t (*block)[64], bool progressive)
{
	struct bits bits = {.out = out};
	put(out, progressive ? "\xff\xd8\xff\xc2\x00\x0b\x0c\x00" : "\xff\xd8\xff\xc1\x00\x0b\x0c\x00", 8);
	put_byte(out, HEIGHT);
	put_byte(out, 0);
	put_byte(out, WIDTH);
	put(out, "\x01\x01\x11\x00", 4);
	put_tables(out);
	if (!progressive) {
		begin_scan(out, 0, 63, 0, 0);
		put_coefficients(&bits, block, 0, 0, false);
		flush(&bits);
	} else {
		begin_scan(out, 0, 0, 0, 1);
		put_coefficients(&bits, block, 0, 1, true);
		flush(&bits);
		begin_scan(out, 1, 63, 0, 1);
		put_coefficients(&bits, block, 1, 1, true);
		flush(&bits);
		begin_scan(out, 0, 0, 1, 0);
		for (int i = 0; i < BLOCKS; i++)
			put_bits(&bits, (uint32_t)block[i][0] & 1, 1);
		flush(&bits);
		begin_scan(out, 1, 63, 1, 0);
		put_refinement(&bits, block, 0);
		flush(&bits);
	}
	put(out, "\xff\xd9", 2);
}

/* A.3.3, in floating point. */
static double inverse(int16_t (*block)[64], int32_t x, int32_t y)
{
	const int16_t *from = block[y / 8 * WIDE + x / 8];
	double sum = 0, pi = 3.14159265358979323846;
	for (int k = 0; k < 64; k++) {
		int u = zigzag[k] % 8, v = zigzag[k] / 8;
		double scale = (u ? 1 : sqrt(0.5)) * (v ? 1 : sqrt(0.5)) / 4;
		sum += scale * from[k] * cos((2 * (x % 8) + 1) * u * pi / 16) * cos((2 * (y % 8) + 1) * v * pi / 16);
	}
	sum = floor(sum + 2048.5);
	return sum < 0 ? 0 : sum > 4095 ? 4095 : sum;
}

/* A file of the writer, its pixel data replaced. */
static bool make_jpeg12(struct sample *sample, bool progressive)
{
	static const struct dicom_kind plain = {"", HL_ENCODING_EXPLICIT, 1, 16, 12, false, 1, -1024, HL_VOXEL_I16};
	static const char before[] = "1.2.840.10008.1.2.4.70";
	static const char after[2][sizeof(before)] = {"1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.55"};
	struct dicom_kind kind = plain;
	int16_t block[BLOCKS][64] = {{0}};
	struct hl_buffer stream, out;

	kind.encoding = HL_ENCODING_JPEG_LOSSLESS;
	kind.name = progressive ? "jpeg 12 progressive" : "jpeg 12";
	if (!make(sample, &kind))
		return false;
	for (int i = 0; i < BLOCKS; i++) {
		block[i][0] = (int16_t)(300 * i - 900);
		/* Two blocks in a row stay flat. */
		for (int k = 1; k < 64 && i != 3 && i != 4; k++)
			block[i][k] = (int16_t)((i * 37 + k * 11) % 5 ? 0 : ((i * 7 + k * 13) % 23 - 11) * 40 / k);
	}
	for (int32_t y = 0; y < HEIGHT; y++)
		for (int32_t x = 0; x < WIDTH; x++)
			sample_set(&sample->expected, x, y, 0, 0, inverse(block, x, y) - 1024);
	sample->tolerance = 1;
	hl_buffer_init(&stream, 1 << 20);
	encode_jpeg12(&stream, block, progressive);
	if (stream.length % 2)
		put_byte(&stream, 0);
	/* The value of the pixel data begins with an empty item of offsets. */
	uint8_t *item = memmem(sample->bytes, sample->length, "\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff", 12);
	uint8_t *uid = memmem(sample->bytes, sample->length, before, sizeof(before) - 1);
	if (!item || !uid)
		return false;
	memcpy(uid, after[progressive], sizeof(before) - 1);
	hl_buffer_init(&out, 1 << 20);
	put(&out, sample->bytes, (size_t)(item - sample->bytes) + 20);
	put(&out, "\xfe\xff\x00\xe0", 4);
	for (int i = 0; i < 4; i++)
		put_byte(&out, (int)(stream.length >> 8 * i & 255));
	put(&out, stream.data, stream.length);
	put(&out, "\xfe\xff\xdd\xe0\0\0\0", 8);
	hl_buffer_free(&stream);
	hl_free(sample->bytes);
	sample->bytes = (uint8_t *)out.data;
	sample->length = out.length;
	return true;
}

bool samples_make_dicom(struct sample *samples, size_t *count)
{
	bool done = true;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds) && done; i++) {
		samples[*count] = (struct sample){0};
		done = make(&samples[(*count)++], &kinds[i]);
	}
	for (int progressive = 0; progressive < 2 && done; progressive++) {
		samples[*count] = (struct sample){0};
		done = make_jpeg12(&samples[(*count)++], progressive);
	}
	if (!done)
		fprintf(stderr, "cannot make %s\n", samples[*count - 1].name);
	return done;
}
