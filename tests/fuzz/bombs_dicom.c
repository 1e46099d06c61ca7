/* Hostile DICOM files. Those not to be refused are sound and at the limit. */
#include <stdlib.h>
#include <string.h>

#include "samples.h"

/* A sound file of one slice of these sizes up to its pixel data. */
struct outline {
	const char *syntax; /* the end of its UID, behind 1.2.840.10008.1.2 */
	uint16_t rows, columns, samples, allocated, stored;
	const char *frames;
};

static bool add(struct hl_buffer *out, const void *bytes, size_t length)
{
	return hl_buffer_append(out, bytes, length, NULL) == HILUM_OK;
}

static bool add16(struct hl_buffer *out, unsigned value)
{
	const uint8_t bytes[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
	return add(out, bytes, 2);
}

static bool add32(struct hl_buffer *out, size_t value)
{
	return add16(out, value & 0xffff) && add16(out, (unsigned)(value >> 16));
}

static bool element(struct hl_buffer *out, unsigned group, unsigned number, const char *vr, const char *text)
{
	size_t length = strlen(text);
	return add16(out, group) && add16(out, number) && add(out, vr, 2) &&
	       add16(out, (unsigned)(length + length % 2)) && add(out, text, length) &&
	       add(out, *vr == 'U' ? "" : " ", length % 2);
}

static bool number(struct hl_buffer *out, unsigned element, uint16_t value)
{
	return add16(out, 0x28) && add16(out, element) && add(out, "US\2\0", 4) && add16(out, value);
}

static bool data_set(struct hl_buffer *out, const struct outline *outline)
{
	return element(out, 8, 0x60, "CS", "CT") && element(out, 0x20, 0x32, "DS", "0\\0\\0") &&
	       element(out, 0x20, 0x37, "DS", "1\\0\\0\\0\\1\\0") && number(out, 2, outline->samples) &&
	       element(out, 0x28, 4, "CS", "MONOCHROME2") &&
	       (!outline->frames || element(out, 0x28, 8, "IS", outline->frames)) && number(out, 0x10, outline->rows) &&
	       number(out, 0x11, outline->columns) && element(out, 0x28, 0x30, "DS", "1\\1") &&
	       number(out, 0x100, outline->allocated) && number(out, 0x101, outline->stored) &&
	       number(out, 0x102, (uint16_t)(outline->stored - 1)) && number(out, 0x103, 0) &&
	       element(out, 0x28, 0x1052, "DS", "-1024") && element(out, 0x28, 0x1053, "DS", "1");
}

static bool meta(struct hl_buffer *out, const char *syntax)
{
	static const char preamble[128];
	char uid[65];
	snprintf(uid, sizeof(uid), "1.2.840.10008.1.2%s", syntax);
	return add(out, preamble, sizeof(preamble)) && add(out, "DICM", 4) && element(out, 2, 0x10, "UI", uid);
}

static bool head(struct hl_buffer *out, const struct outline *outline)
{
	return meta(out, outline->syntax) && data_set(out, outline);
}

/* Pixel data of one fragment. */
static bool fragment(struct hl_buffer *out, const void *bytes, size_t length)
{
	return add(out, "\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\0\0\0\0\xfe\xff\0\xe0", 24) &&
	       add32(out, length + length % 2) && add(out, bytes, length) && add(out, "", length % 2) &&
	       add(out, "\xfe\xff\xdd\xe0\0\0\0", 8);
}

static bool repeated(struct hl_buffer *out, const void *bytes, size_t length, size_t times)
{
	bool done = true;
	while (times-- > 0 && done)
		done = add(out, bytes, length);
	return done;
}

static bool too_large(struct hl_buffer *out)
{
	const struct outline outline = {".1", 65535, 65535, 1, 16, 12, NULL};
	return head(out, &outline) && add(out, "\xe0\x7f\x10\0OW\0\0\0\0\0\0", 12);
}

static bool no_data(struct hl_buffer *out)
{
	const struct outline outline = {".1", 8192, 8192, 1, 16, 12, NULL};
	return head(out, &outline) && add(out, "\xe0\x7f\x10\0OW\0\0\0\0\0\0", 12);
}

static bool many_frames(struct hl_buffer *out)
{
	const struct outline outline = {".1", 8192, 8192, 1, 16, 12, "16384"};
	return head(out, &outline) && add(out, "\xe0\x7f\x10\0OW\0\0\0\0\0\0", 12);
}

static bool too_many_frames(struct hl_buffer *out)
{
	const struct outline outline = {".1", 1, 1, 1, 16, 12, "2147483647"};
	return head(out, &outline) && add(out, "\xe0\x7f\x10\0OW\0\0\0\0\0\0", 12);
}

static bool deep(struct hl_buffer *out)
{
	return meta(out, ".1") &&
	       repeated(out, "\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff", 20, 300000);
}

static bool many_fragments(struct hl_buffer *out)
{
	const struct outline outline = {".5", 512, 512, 1, 16, 12, NULL};
	return head(out, &outline) && add(out, "\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff", 12) &&
	       repeated(out, "\xfe\xff\0\xe0\0\0\0\0", 8, 4000000) && add(out, "\xfe\xff\xdd\xe0\0\0\0", 8);
}

/* Elements without end: each 8 bytes long and empty. */
static bool many_elements(struct hl_buffer *out)
{
	return meta(out, ".1") && repeated(out, "\x08\0\x40\x10LO\0\0", 8, 8000000);
}

static bool deflated(struct hl_buffer *out, size_t zeros)
{
	const struct outline outline = {".1.99", 512, 512, 1, 16, 12, "1"};
	struct hl_buffer plain;

	hl_buffer_init(&plain, 4096);
	bool done = meta(out, ".1.99") && data_set(&plain, &outline) && add(&plain, "\xe0\x7f\x10\0OW\0\0", 8) &&
	            add32(&plain, zeros) && bomb_deflate(out, plain.data, plain.length, zeros, BOMB_RAW);
	hl_buffer_free(&plain);
	return done;
}

static bool deflated_full(struct hl_buffer *out)
{
	return deflated(out, (size_t)255 << 20);
}

static bool deflated_over(struct hl_buffer *out)
{
	return deflated(out, (size_t)1 << 30);
}

static bool rle_full(struct hl_buffer *out)
{
	const struct outline outline = {".5", 8192, 8192, 1, 16, 12, NULL};
	struct hl_buffer stream;
	uint8_t header[64] = {2, 0, 0, 0, 64};
	/* Each segment: 64 Mi zeros in runs of 128. */
	size_t segment = (size_t)2 << 19;
	bool done;
	header[8] = 64;
	header[10] = (uint8_t)(segment >> 16);
	hl_buffer_init(&stream, (size_t)8 << 20);
	done = add(&stream, header, 64) && repeated(&stream, "\x81\0", 2, segment) && head(out, &outline) &&
	       fragment(out, stream.data, stream.length);
	hl_buffer_free(&stream);
	return done;
}

static const uint8_t jpeg_head[] = {0xff, 0xd8, 0xff, 0xc3, 0, 11, 16, 0x20, 0, 0x20, 0, 1, 1, 0x11, 0};

/* A table of one code of one bit, for no difference. */
static bool jpeg_lossless(struct hl_buffer *out)
{
	const struct outline outline = {".4.70", 8192, 8192, 1, 16, 16, NULL};
	struct hl_buffer stream;
	bool done;
	hl_buffer_init(&stream, (size_t)16 << 20);
	done = add(&stream, jpeg_head, sizeof(jpeg_head)) &&
	       add(&stream, "\xff\xc4\0\x14\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22) &&
	       add(&stream, "\xff\xda\0\10\1\1\0\1\0\0", 10) && repeated(&stream, "", 1, (size_t)8 << 20) &&
	       add(&stream, "\xff\xd9", 2) && head(out, &outline) && fragment(out, stream.data, stream.length);
	hl_buffer_free(&stream);
	return done;
}

/* Progressive, 12 bits: scans that skip all blocks. */
static bool jpeg_scans(struct hl_buffer *out, size_t scans)
{
	const struct outline outline = {".4.55", 8192, 8192, 1, 16, 12, NULL};
	uint8_t jpeg[sizeof(jpeg_head)];
	struct hl_buffer stream;
	bool done;
	memcpy(jpeg, jpeg_head, sizeof(jpeg));
	jpeg[3] = 0xc2;
	jpeg[6] = 12;
	hl_buffer_init(&stream, (size_t)64 << 20);
	done = add(&stream, jpeg, sizeof(jpeg)) && add(&stream, "\xff\xdb\0\x43\0", 5) &&
	       repeated(&stream, "\1", 1, 64) &&
	       /* One AC code, 0: EOB14, a run of 16384 blocks and more. */
	       add(&stream, "\xff\xc4\0\x14\x10\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xe0", 22);
	for (size_t i = 0; i < scans && done; i++) {
		done = add(&stream, "\xff\xda\0\10\1\1\0\1\x3f\0", 10);
		/* 64 runs cover a million blocks: a zero and 14 zeros each. */
		for (int k = 0; k < 128 && done; k++)
			done = add(&stream, "\0", 1);
	}
	done = done && add(&stream, "\xff\xd9", 2) && head(out, &outline) && fragment(out, stream.data, stream.length);
	hl_buffer_free(&stream);
	return done;
}

static bool jpeg_most_scans(struct hl_buffer *out)
{
	return jpeg_scans(out, 32);
}

static bool jpeg_many_scans(struct hl_buffer *out)
{
	return jpeg_scans(out, 10000);
}

/* A black picture is one run after the other, of up to 32768 pixels a bit. */
static bool jpegls(struct hl_buffer *out, const char *scans, size_t times, int components)
{
	const struct outline outline = {".4.80", 8192, 8192, (uint16_t)components, 16, 12, NULL};
	uint8_t frame[] = {0xff, 0xd8, 0xff, 0xf7, 0,    (uint8_t)(8 + 3 * components),
	                   12,   0x20, 0,    0x20, 0,    (uint8_t)components,
	                   1,    0x11, 0,    2,    0x11, 0,
	                   3,    0x11, 0};
	struct hl_buffer stream;
	bool done;
	hl_buffer_init(&stream, (size_t)64 << 20);
	done = add(&stream, frame, sizeof(frame) - (components == 1 ? 6 : 0));
	for (size_t i = 0; i < times && done; i++) {
		done = add(&stream, scans, 10);
		for (int k = 0; k < 20000 && done; k++)
			done = add(&stream, "\xff\x7f", 2);
	}
	done = done && add(&stream, "\xff\xd9", 2) && head(out, &outline) && fragment(out, stream.data, stream.length);
	hl_buffer_free(&stream);
	return done;
}

static bool jpegls_black(struct hl_buffer *out)
{
	return jpegls(out, "\xff\xda\0\10\1\1\0\0\0\0", 1, 1);
}

static bool jpegls_again(struct hl_buffer *out)
{
	return jpegls(out, "\xff\xda\0\10\1\1\0\0\0\0", 500, 3);
}

/* A code stream of 64 Mi pixels whose packets are all empty, or missing. */
static bool jpeg2000(struct hl_buffer *out, uint8_t tile_log, uint8_t block, uint8_t precinct, uint16_t layers)
{
	const struct outline outline = {".4.90", 8192, 8192, 1, 16, 12, NULL};
	uint32_t tile = UINT32_C(1) << tile_log;
	const uint8_t stream[] = {0xff,
	                          0x4f,
	                          0xff,
	                          0x51,
	                          0,
	                          41,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0x20,
	                          0,
	                          0,
	                          0,
	                          0x20,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          (uint8_t)(tile >> 8),
	                          (uint8_t)tile,
	                          0,
	                          0,
	                          (uint8_t)(tile >> 8),
	                          (uint8_t)tile,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          1,
	                          11,
	                          1,
	                          1,
	                          0xff,
	                          0x52,
	                          0,
	                          13,
	                          1,
	                          0,
	                          (uint8_t)(layers >> 8),
	                          (uint8_t)layers,
	                          0,
	                          0,
	                          block,
	                          block,
	                          0,
	                          1,
	                          precinct,
	                          0xff,
	                          0x5c,
	                          0,
	                          4,
	                          0x40,
	                          0x60,
	                          0xff,
	                          0x90,
	                          0,
	                          10,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          0,
	                          1,
	                          0xff,
	                          0x93,
	                          0x80,
	                          0xff,
	                          0xd9};
	return head(out, &outline) && fragment(out, stream, sizeof(stream));
}

static bool jpeg2000_empty(struct hl_buffer *out)
{
	return jpeg2000(out, 13, 4, 0xff, 1);
}

static bool jpeg2000_tiles(struct hl_buffer *out)
{
	return jpeg2000(out, 5, 4, 0xff, 1);
}

static bool jpeg2000_precincts(struct hl_buffer *out)
{
	return jpeg2000(out, 13, 4, 0x11, 1);
}

static bool jpeg2000_blocks(struct hl_buffer *out)
{
	return jpeg2000(out, 13, 0, 0xff, 1);
}

static bool jpeg2000_layers(struct hl_buffer *out)
{
	return jpeg2000(out, 13, 4, 0x55, 65535);
}

const struct bomb dicom_bombs[] = {
    {"DICOM of 65535 pixels a side", SAMPLE_DICOM, too_large, true},
    {"DICOM of 64 Mi pixels without data", SAMPLE_DICOM, no_data, true},
    {"DICOM of 16384 frames without data", SAMPLE_DICOM, many_frames, true},
    {"DICOM of 2^31 frames", SAMPLE_DICOM, too_many_frames, true},
    {"DICOM of sequences 300000 deep", SAMPLE_DICOM, deep, true},
    {"DICOM of 4 million fragments", SAMPLE_DICOM, many_fragments, true},
    {"DICOM of 8 million elements", SAMPLE_DICOM, many_elements, true},
    {"DICOM deflated, 255 MiB", SAMPLE_DICOM, deflated_full, false},
    {"DICOM deflated, 1 GiB", SAMPLE_DICOM, deflated_over, true},
    {"DICOM of 64 Mi pixels, RLE", SAMPLE_DICOM, rle_full, false},
    {"DICOM of 64 Mi pixels, JPEG lossless", SAMPLE_DICOM, jpeg_lossless, false},
    {"DICOM of 64 Mi pixels, JPEG in 32 scans", SAMPLE_DICOM, jpeg_most_scans, false},
    {"DICOM of 64 Mi pixels, JPEG in 10000 scans", SAMPLE_DICOM, jpeg_many_scans, true},
    {"DICOM of 64 Mi pixels, JPEG-LS", SAMPLE_DICOM, jpegls_black, false},
    {"DICOM of 64 Mi pixels, JPEG-LS in 500 scans", SAMPLE_DICOM, jpegls_again, true},
    {"DICOM of 64 Mi pixels, JPEG 2000 without data", SAMPLE_DICOM, jpeg2000_empty, false},
    {"DICOM of 65536 JPEG 2000 tiles", SAMPLE_DICOM, jpeg2000_tiles, true},
    {"DICOM of 16 Mi JPEG 2000 precincts", SAMPLE_DICOM, jpeg2000_precincts, true},
    {"DICOM of 4 Mi JPEG 2000 code blocks", SAMPLE_DICOM, jpeg2000_blocks, true},
    {"DICOM of 65535 JPEG 2000 layers", SAMPLE_DICOM, jpeg2000_layers, true},
};
const size_t dicom_bomb_count = sizeof(dicom_bombs) / sizeof(*dicom_bombs);
