/* Hostile files made by hand: a few bytes that ask for much. Those not to be refused are sound and at the limit. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "samples.h"

#define BOMB_MAX ((size_t)128 << 20)

static bool add(struct hl_buffer *out, const void *bytes, size_t length)
{
	return hl_buffer_append(out, bytes, length, NULL) == HILUM_OK;
}

static bool add_big(struct hl_buffer *out, uint32_t value, int size)
{
	for (int i = size - 1; i >= 0; i--) {
		uint8_t byte = (uint8_t)(value >> 8 * i);
		if (!add(out, &byte, 1))
			return false;
	}
	return true;
}

static bool add_repeated(struct hl_buffer *out, uint8_t byte, size_t count)
{
	uint8_t run[4096];

	memset(run, byte, sizeof(run));
	for (; count > 0; count -= count < sizeof(run) ? count : sizeof(run))
		if (!add(out, run, count < sizeof(run) ? count : sizeof(run)))
			return false;
	return true;
}

/* A zlib stream of count zeros. */
static bool add_zeros(struct hl_buffer *out, size_t count)
{
	static const Bytef zeros[65536];
	Bytef packed[4096];
	z_stream stream = {0};
	bool done = true;
	int code = Z_OK;

	if (deflateInit(&stream, 1) != Z_OK)
		return false;
	while (code != Z_STREAM_END && done) {
		if (stream.avail_in == 0 && count > 0) {
			stream.next_in = (Bytef *)(uintptr_t)zeros;
			stream.avail_in = (uInt)(count < sizeof(zeros) ? count : sizeof(zeros));
			count -= stream.avail_in;
		}
		stream.next_out = packed;
		stream.avail_out = sizeof(packed);
		code = deflate(&stream, count > 0 ? Z_NO_FLUSH : Z_FINISH);
		done = (code == Z_OK || code == Z_STREAM_END) && add(out, packed, sizeof(packed) - stream.avail_out);
	}
	deflateEnd(&stream);
	return done;
}

/* ---- PNG ---- */

static bool png_chunk(struct hl_buffer *out, const char *type, const void *data, size_t length)
{
	uLong crc = crc32(crc32(0, (const Bytef *)type, 4), length ? data : (const Bytef *)"", (uInt)length);

	return add_big(out, (uint32_t)length, 4) && add(out, type, 4) && (!length || add(out, data, length)) &&
	       add_big(out, (uint32_t)crc, 4);
}

static bool png_start(struct hl_buffer *out, uint32_t width, uint32_t height, uint8_t depth, uint8_t color,
                      uint8_t interlace)
{
	uint8_t header[13] = {(uint8_t)(width >> 24),
	                      (uint8_t)(width >> 16),
	                      (uint8_t)(width >> 8),
	                      (uint8_t)width,
	                      (uint8_t)(height >> 24),
	                      (uint8_t)(height >> 16),
	                      (uint8_t)(height >> 8),
	                      (uint8_t)height,
	                      depth,
	                      color,
	                      0,
	                      0,
	                      interlace};

	return add(out, "\x89PNG\r\n\x1a\n", 8) && png_chunk(out, "IHDR", header, sizeof(header));
}

static bool png_zeros(struct hl_buffer *out, const char *type, const char *prefix, size_t prefix_length, size_t count)
{
	struct hl_buffer data;
	bool done;

	hl_buffer_init(&data, BOMB_MAX);
	done = add(&data, prefix, prefix_length) && add_zeros(&data, count) &&
	       png_chunk(out, type, data.data, data.length);
	hl_buffer_free(&data);
	return done;
}

static bool png_end(struct hl_buffer *out)
{
	return png_zeros(out, "IDAT", "", 0, 9 * 8) && png_chunk(out, "IEND", NULL, 0);
}

static bool png_huge(struct hl_buffer *out)
{
	return png_start(out, 0x7fffffff, 0x7fffffff, 16, 6, 0) && png_end(out);
}

static bool png_wide(struct hl_buffer *out)
{
	return png_start(out, 16384, 16384, 16, 6, 0) && png_end(out);
}

static bool png_empty(struct hl_buffer *out)
{
	return png_start(out, 8192, 8192, 16, 2, 0) && png_end(out);
}

static bool png_full(struct hl_buffer *out)
{
	return png_start(out, 8192, 8192, 16, 2, 0) && png_zeros(out, "IDAT", "", 0, 8192 * (1 + 8192 * (size_t)6)) &&
	       png_chunk(out, "IEND", NULL, 0);
}

static bool png_full_alpha(struct hl_buffer *out)
{
	return png_start(out, 8192, 8192, 8, 6, 0) && png_zeros(out, "IDAT", "", 0, 8192 * (1 + 8192 * (size_t)4)) &&
	       png_chunk(out, "IEND", NULL, 0);
}

/* Seven passes: at 8192 x 8192 every pass has 1024 to 8192 columns and a filter byte a row. */
static bool png_full_interlaced(struct hl_buffer *out)
{
	size_t rows = 1024 + 1024 + 1024 + 2048 + 2048 + 4096 + 4096;

	return png_start(out, 8192, 8192, 8, 2, 1) && png_zeros(out, "IDAT", "", 0, rows + 3 * (size_t)8192 * 8192) &&
	       png_chunk(out, "IEND", NULL, 0);
}

static bool png_text(struct hl_buffer *out)
{
	return png_start(out, 8, 8, 8, 0, 0) && png_zeros(out, "zTXt", "Comment\0\0", 9, (size_t)1 << 30) &&
	       png_end(out);
}

static bool png_profile(struct hl_buffer *out)
{
	return png_start(out, 8, 8, 8, 0, 0) && png_zeros(out, "iCCP", "icc\0\0", 5, (size_t)1 << 30) && png_end(out);
}

static bool png_texts(struct hl_buffer *out)
{
	bool done = png_start(out, 8, 8, 8, 0, 0);

	for (int i = 0; i < 300 && done; i++)
		done = png_zeros(out, "zTXt", "Comment\0\0", 9, (size_t)4 << 20);
	return done && png_end(out);
}

static bool png_many_chunks(struct hl_buffer *out)
{
	bool done = png_start(out, 8, 8, 8, 0, 0);

	for (int i = 0; i < 1000000 && done; i++)
		done = png_chunk(out, "tEXt", "a\0b", 3);
	return done && png_end(out);
}

/* ---- JPEG ---- */

static bool jpeg_start(struct hl_buffer *out, uint8_t frame, uint32_t width, uint32_t height)
{
	bool done = add(out, "\xff\xd8\xff\xdb\0\x43\0", 7) && add_repeated(out, 1, 64);

	return done && add_big(out, 0xff00u | frame, 2) && add_big(out, 11, 2) && add_big(out, 8, 1) &&
	       add_big(out, height, 2) && add_big(out, width, 2) && add(out, "\1\1\x11\0", 4);
}

/* One code of one bit (0) for the symbol. */
static bool jpeg_table(struct hl_buffer *out, uint8_t table, uint8_t symbol)
{
	return add(out, "\xff\xc4\0\x14", 4) && add(out, &table, 1) &&
	       add(out, "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16) && add(out, &symbol, 1);
}

static bool jpeg_scan(struct hl_buffer *out, uint8_t from, uint8_t to)
{
	uint8_t scan[10] = {0xff, 0xda, 0, 8, 1, 1, 0, from, to, 0};

	return add(out, scan, sizeof(scan));
}

static bool jpeg_huge(struct hl_buffer *out)
{
	return jpeg_start(out, 0xc0, 65535, 65535) && jpeg_table(out, 0, 0) && jpeg_table(out, 0x10, 0) &&
	       jpeg_scan(out, 0, 63) && add(out, "\0\xff\xd9", 3);
}

static bool jpeg_empty(struct hl_buffer *out)
{
	return jpeg_start(out, 0xc0, 8192, 8192) && jpeg_table(out, 0, 0) && jpeg_table(out, 0x10, 0) &&
	       jpeg_scan(out, 0, 63) && add(out, "\0\xff\xd9", 3);
}

static bool jpeg_full(struct hl_buffer *out)
{
	return jpeg_start(out, 0xc0, 8192, 8192) && jpeg_table(out, 0, 0) && jpeg_table(out, 0x10, 0) &&
	       jpeg_scan(out, 0, 63) && add_repeated(out, 0, 1024 * 1024 * 2 / 8) && add(out, "\xff\xd9", 2);
}

/* A DC scan of zeros, then scans of one coefficient each that end at once: runs of 32767 and fewer blocks without it
 * (T.81, G.1.2.2: EOB14 with 14 bits appended). */
static bool jpeg_scans(struct hl_buffer *out, uint32_t side, int count)
{
	size_t blocks = (size_t)(side / 8) * (side / 8), bits = (blocks + 16383) / 16384 * 15;
	bool done = jpeg_start(out, 0xc2, side, side) && jpeg_table(out, 0, 0) && jpeg_table(out, 0x10, 0xe0) &&
	            jpeg_scan(out, 0, 0) && add_repeated(out, 0, (blocks + 7) / 8);

	for (int i = 1; i < count && done; i++)
		done = jpeg_scan(out, (uint8_t)((i - 1) % 63 + 1), (uint8_t)((i - 1) % 63 + 1)) &&
		       add_repeated(out, 0, (bits + 7) / 8);
	return done && add(out, "\xff\xd9", 2);
}

static bool jpeg_allowed_scans(struct hl_buffer *out)
{
	return jpeg_scans(out, 8192, 31);
}

static bool jpeg_many_scans(struct hl_buffer *out)
{
	return jpeg_scans(out, 8192, 64);
}

static bool jpeg_endless_scans(struct hl_buffer *out)
{
	return jpeg_scans(out, 256, 10000);
}

/* ---- TIFF ---- */

struct entry {
	uint16_t tag, type; /* 3 SHORT, 4 LONG */
	uint32_t count, value;
};

/* A directory of little-endian entries at the buffer's end. */
static bool tiff_directory(struct hl_buffer *out, const struct entry *entries, uint16_t count, uint32_t next)
{
	bool done = add(out, &count, 2);

	for (uint16_t i = 0; i < count && done; i++)
		done = add(out, &entries[i].tag, 2) && add(out, &entries[i].type, 2) &&
		       add(out, &entries[i].count, 4) && add(out, &entries[i].value, 4);
	return done && add(out, &next, 4);
}

static bool tiff_start(struct hl_buffer *out, uint32_t directory)
{
	return add(out, "II*\0", 4) && add(out, &directory, 4);
}

/* A header, then the data at 8, then a directory: the usual entries, changed by their callers. */
#define TIFF_ENTRIES(width, height, bits, compression, rows, strips, offsets, counts)                                  \
	{                                                                                                              \
		{256, 4, 1, width}, {257, 4, 1, height}, {258, 3, 1, bits}, {259, 3, 1, compression}, {262, 3, 1, 1},  \
		    {273, 4, strips, offsets}, {277, 3, 1, 1}, {278, 4, 1, rows}, {279, 4, strips, counts},            \
	}

static bool tiff_huge(struct hl_buffer *out)
{
	const struct entry entries[] = TIFF_ENTRIES(0x7fffffff, 0x7fffffff, 16, 1, 0x7fffffff, 1, 8, 8);

	return tiff_start(out, 8) && tiff_directory(out, entries, 9, 0);
}

static bool tiff_empty(struct hl_buffer *out)
{
	const struct entry entries[] = TIFF_ENTRIES(8192, 8192, 32, 8, 8192, 1, 8, 100);

	return tiff_start(out, 8) && tiff_directory(out, entries, 9, 0) && add_repeated(out, 0, 200);
}

/* One strip of zeros. */
static bool tiff_zeros(struct hl_buffer *out, uint32_t side, uint16_t bits, uint32_t rows)
{
	struct hl_buffer data;
	bool done;

	hl_buffer_init(&data, BOMB_MAX);
	done = add_zeros(&data, (size_t)side * side * bits / 8);
	if (done) {
		const struct entry entries[] = TIFF_ENTRIES(side, side, bits, 8, rows, 1, 8, (uint32_t)data.length);
		done = tiff_start(out, 8 + (uint32_t)data.length) && add(out, data.data, data.length) &&
		       tiff_directory(out, entries, 9, 0);
	}
	hl_buffer_free(&data);
	return done;
}

static bool tiff_full(struct hl_buffer *out)
{
	return tiff_zeros(out, 8192, 16, 8192);
}

/* 64 Mi pixels of 64 bits: too much, and an unknown type. */
static bool tiff_wide(struct hl_buffer *out)
{
	return tiff_zeros(out, 8192, 64, 8192);
}

/* Strips that all lie on the same compressed bytes. */
static bool tiff_shared(struct hl_buffer *out, uint16_t compression, uint8_t byte, size_t length)
{
	enum { STRIPS = 16384 };
	uint32_t data = 8 + 2 * 4 * STRIPS;
	const struct entry entries[] = TIFF_ENTRIES(16, STRIPS, 8, compression, 1, STRIPS, 8, 8 + 4 * STRIPS);
	bool done = tiff_start(out, data + (uint32_t)length);

	for (int i = 0; i < STRIPS && done; i++)
		done = add(out, &data, 4);
	for (int i = 0; i < STRIPS && done; i++)
		done = add(out, &(uint32_t){(uint32_t)length}, 4);
	return done && add_repeated(out, byte, length) && tiff_directory(out, entries, 9, 0);
}

/* PackBits: -128 is no operation. */
static bool tiff_packbits(struct hl_buffer *out)
{
	return tiff_shared(out, 32773, 0x80, 8 << 20);
}

static bool tiff_lzw(struct hl_buffer *out)
{
	return tiff_shared(out, 5, 0x80, 8 << 20);
}

static bool tiff_strip_count(struct hl_buffer *out)
{
	const struct entry entries[] = TIFF_ENTRIES(16, 16384, 8, 1, 1, 0x7fffffff, 8, 8);

	return tiff_start(out, 8) && tiff_directory(out, entries, 9, 0) && add_repeated(out, 0, 1000);
}

static bool tiff_tile(struct hl_buffer *out, uint32_t width, uint32_t height, uint32_t tile_width, uint32_t tile_height)
{
	const struct entry entries[] = {
	    {256, 4, 1, width}, {257, 4, 1, height},     {258, 3, 1, 16},          {259, 3, 1, 8}, {262, 3, 1, 1},
	    {277, 3, 1, 1},     {322, 4, 1, tile_width}, {323, 4, 1, tile_height}, {324, 4, 1, 8}, {325, 4, 1, 100},
	};

	return tiff_start(out, 8) && tiff_directory(out, entries, 10, 0) && add_repeated(out, 0, 200);
}

static bool tiff_small_tiles(struct hl_buffer *out)
{
	return tiff_tile(out, 8192, 8192, 1, 1);
}

static bool tiff_large_tile(struct hl_buffer *out)
{
	return tiff_tile(out, 1, 1, 0x7ffffff0, 0x7ffffff0);
}

static bool tiff_padded_tiles(struct hl_buffer *out)
{
	return tiff_tile(out, 1, 16384, 16384, 16);
}

/* A page that follows itself, and two that follow each other. */
static bool tiff_loop(struct hl_buffer *out)
{
	const struct entry entries[] = TIFF_ENTRIES(1, 1, 8, 1, 1, 1, 4, 1);

	return tiff_start(out, 8) && tiff_directory(out, entries, 9, 8);
}

static bool tiff_loop_of_two(struct hl_buffer *out)
{
	const struct entry entries[] = TIFF_ENTRIES(1, 1, 8, 1, 1, 1, 4, 1);
	uint32_t size = 2 + 9 * 12 + 4;

	return tiff_start(out, 8) && tiff_directory(out, entries, 9, 8 + size) && tiff_directory(out, entries, 9, 8);
}

/* One pixel a page. */
static bool tiff_pages(struct hl_buffer *out, uint32_t count)
{
	const struct entry entries[] = TIFF_ENTRIES(1, 1, 8, 1, 1, 1, 4, 1);
	uint32_t size = 2 + 9 * 12 + 4;
	bool done = tiff_start(out, 8);

	for (uint32_t i = 0; i < count && done; i++)
		done = tiff_directory(out, entries, 9, i + 1 < count ? 8 + (i + 1) * size : 0);
	return done;
}

static bool tiff_most_pages(struct hl_buffer *out)
{
	return tiff_pages(out, 16384);
}

static bool tiff_too_many_pages(struct hl_buffer *out)
{
	return tiff_pages(out, 200000);
}

/* Thumbnails without a picture. */
static bool tiff_thumbnails(struct hl_buffer *out)
{
	const struct entry entries[] = {{254, 4, 1, 1}, {256, 4, 1, 1}, {257, 4, 1, 1}, {258, 3, 1, 8},
	                                {262, 3, 1, 1}, {273, 4, 1, 4}, {277, 3, 1, 1}, {279, 4, 1, 1}};
	uint32_t size = 2 + 8 * 12 + 4;
	bool done = tiff_start(out, 8);

	for (uint32_t i = 0; i < 200000 && done; i++)
		done = tiff_directory(out, entries, 8, 8 + (i + 1) * size);
	return done;
}

/* A tag of 100 million bytes that are not there. */
static bool tiff_tag(struct hl_buffer *out)
{
	struct entry entries[10] = TIFF_ENTRIES(1, 1, 8, 1, 1, 1, 4, 1);

	entries[9] = (struct entry){270, 2, 100000000, 8};
	memmove(entries + 6, entries + 5, 4 * sizeof(*entries));
	entries[5] = (struct entry){270, 2, 100000000, 8};
	return tiff_start(out, 8) && tiff_directory(out, entries, 10, 0);
}

/* ---- tables ---- */

static bool csv_fields(struct hl_buffer *out)
{
	bool done = add(out, "a\n", 2);

	for (int i = 0; i < 34000000 && done; i++)
		done = add(out, "x\n", 2);
	return done;
}

static bool csv_columns(struct hl_buffer *out)
{
	return add_repeated(out, ',', 50 << 20);
}

static bool csv_quote(struct hl_buffer *out)
{
	return add(out, "a\n\"", 3) && add_repeated(out, '\n', 100 << 20);
}

static bool csv_blank(struct hl_buffer *out)
{
	return add(out, "a\n", 2) && add_repeated(out, '\n', 100 << 20);
}

const struct bomb bombs[] = {
    {"PNG of 2^31 pixels a side", SAMPLE_PNG, png_huge, true},
    {"PNG of 16384 pixels a side", SAMPLE_PNG, png_wide, true},
    {"PNG of 64 Mi pixels without data", SAMPLE_PNG, png_empty, true},
    {"PNG of 64 Mi pixels, RGB, 16 bits", SAMPLE_PNG, png_full, false},
    {"PNG of 64 Mi pixels with alpha", SAMPLE_PNG, png_full_alpha, false},
    {"PNG of 64 Mi pixels, interlaced", SAMPLE_PNG, png_full_interlaced, false},
    {"PNG with 1 GiB in zTXt", SAMPLE_PNG, png_text, true},
    {"PNG with 1 GiB in iCCP", SAMPLE_PNG, png_profile, true},
    {"PNG with 300 texts of 4 MiB", SAMPLE_PNG, png_texts, true},
    {"PNG with a million texts", SAMPLE_PNG, png_many_chunks, true},
    {"JPEG of 65535 pixels a side", SAMPLE_JPEG, jpeg_huge, true},
    {"JPEG of 64 Mi pixels without data", SAMPLE_JPEG, jpeg_empty, true},
    {"JPEG of 64 Mi pixels", SAMPLE_JPEG, jpeg_full, false},
    {"JPEG of 64 Mi pixels in 31 scans", SAMPLE_JPEG, jpeg_allowed_scans, false},
    {"JPEG of 64 Mi pixels in 64 scans", SAMPLE_JPEG, jpeg_many_scans, true},
    {"JPEG of 10000 scans", SAMPLE_JPEG, jpeg_endless_scans, true},
    {"TIFF of 2^31 pixels a side", SAMPLE_TIFF, tiff_huge, true},
    {"TIFF of 64 Mi pixels without data", SAMPLE_TIFF, tiff_empty, true},
    {"TIFF of 64 Mi pixels in one strip", SAMPLE_TIFF, tiff_full, false},
    {"TIFF of 64 Mi pixels of 64 bits", SAMPLE_TIFF, tiff_wide, true},
    {"TIFF of strips on each other, PackBits", SAMPLE_TIFF, tiff_packbits, true},
    {"TIFF of strips on each other, LZW", SAMPLE_TIFF, tiff_lzw, true},
    {"TIFF of 2^31 strips", SAMPLE_TIFF, tiff_strip_count, true},
    {"TIFF of 64 Mi tiles", SAMPLE_TIFF, tiff_small_tiles, true},
    {"TIFF of one tile of 2^62 pixels", SAMPLE_TIFF, tiff_large_tile, true},
    {"TIFF of tiles that are mostly padding", SAMPLE_TIFF, tiff_padded_tiles, true},
    {"TIFF page that follows itself", SAMPLE_TIFF, tiff_loop, true},
    {"TIFF pages that follow each other", SAMPLE_TIFF, tiff_loop_of_two, true},
    {"TIFF of 16384 pages", SAMPLE_TIFF, tiff_most_pages, false},
    {"TIFF of 200000 pages", SAMPLE_TIFF, tiff_too_many_pages, true},
    {"TIFF of 200000 thumbnails", SAMPLE_TIFF, tiff_thumbnails, true},
    {"TIFF with a tag of 100 MB", SAMPLE_TIFF, tiff_tag, true},
    {"table of 34 million fields", SAMPLE_CSV, csv_fields, true},
    {"table of 50 million columns", SAMPLE_CSV, csv_columns, true},
    {"table with a quote never closed", SAMPLE_CSV, csv_quote, true},
    {"table of blank lines", SAMPLE_CSV, csv_blank, false},
};
const size_t bomb_count = sizeof(bombs) / sizeof(*bombs);
