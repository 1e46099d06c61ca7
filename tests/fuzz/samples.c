/* Sound files of every kind, made by the codecs themselves. */
#include "samples.h"

#include <spng.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "base/memory.h"
#include "scan/formats/tiff_memory.h"

struct maker {
	struct sample *samples;
	size_t count;
	bool failed;
};

static struct sample *begin(struct maker *maker, const char *name, enum sample_kind kind)
{
	struct sample *sample = &maker->samples[maker->count++];

	*sample = (struct sample){.kind = kind};
	snprintf(sample->name, sizeof(sample->name), "%s", name);
	return sample;
}

static void end(struct maker *maker, struct sample *sample, bool done)
{
	if (!done || !sample->bytes || sample->length == 0) {
		fprintf(stderr, "cannot make %s\n", sample->name);
		maker->failed = true;
	}
}

/* Any bits for lossless files. */
static unsigned noise(int32_t x, int32_t y, int32_t c)
{
	return (unsigned)(x * 73 + y * 151 + c * 57 + x * y * 7) * 2654435761u >> 16;
}

/* A gentle slope for JPEG. */
static uint8_t slope(int32_t x, int32_t y, int32_t c, int32_t width, int32_t height)
{
	return (uint8_t)(30 + 20 * c + 80 * x / width + 60 * y / height);
}

void sample_set(struct hl_volume *volume, int32_t x, int32_t y, int32_t z, int32_t c, double value)
{
	size_t at = (((size_t)z * (size_t)volume->height + (size_t)y) * (size_t)volume->width + (size_t)x) *
	                (size_t)volume->channels +
	            (size_t)c;

	switch (volume->type) {
	case HL_VOXEL_U8:
		((uint8_t *)volume->voxels)[at] = (uint8_t)value;
		break;
	case HL_VOXEL_U16:
		((uint16_t *)volume->voxels)[at] = (uint16_t)value;
		break;
	case HL_VOXEL_I16:
		((int16_t *)volume->voxels)[at] = (int16_t)value;
		break;
	case HL_VOXEL_F32:
		((float *)volume->voxels)[at] = (float)value;
		break;
	}
}

/* ---- JPEG ---- */

static void make_jpeg(struct maker *maker, const char *name, int32_t width, int32_t height, int subsampling, int flags)
{
	struct sample *sample = begin(maker, name, SAMPLE_JPEG);
	int32_t channels = subsampling == TJSAMP_GRAY ? 1 : 3;
	tjhandle handle = tjInitCompress();
	unsigned char *jpeg = NULL;
	unsigned long size = 0;
	bool done = handle && !hl_volume_init(&sample->expected, width, height, 1, channels, HL_VOXEL_U8, NULL);

	for (int32_t y = 0; done && y < height; y++)
		for (int32_t x = 0; x < width; x++)
			for (int32_t c = 0; c < channels; c++)
				sample_set(&sample->expected, x, y, 0, c, slope(x, y, c, width, height));
	done = done && !tjCompress2(handle, sample->expected.voxels, width, 0, height,
	                            channels == 1 ? TJPF_GRAY : TJPF_RGB, &jpeg, &size, subsampling, 92, flags);
	sample->bytes = done ? hl_alloc(size, 1) : NULL;
	if (sample->bytes)
		memcpy(sample->bytes, jpeg, size);
	sample->length = size;
	sample->tolerance = 6;
	tjFree(jpeg);
	tjDestroy(handle);
	end(maker, sample, done);
}

/* ---- PNG ---- */

struct png_kind {
	const char *name;
	uint8_t depth, color;
	bool transparent, interlaced, text;
};

static const struct png_kind png_kinds[] = {
    {"grey 1", 1, SPNG_COLOR_TYPE_GRAYSCALE, false, false, false},
    {"grey 2", 2, SPNG_COLOR_TYPE_GRAYSCALE, false, false, false},
    {"grey 4", 4, SPNG_COLOR_TYPE_GRAYSCALE, false, false, false},
    {"grey 8", 8, SPNG_COLOR_TYPE_GRAYSCALE, false, false, true},
    {"grey 16", 16, SPNG_COLOR_TYPE_GRAYSCALE, false, false, false},
    {"grey 8 interlaced", 8, SPNG_COLOR_TYPE_GRAYSCALE, false, true, false},
    {"grey 8 with a transparent value", 8, SPNG_COLOR_TYPE_GRAYSCALE, true, false, false},
    {"grey 16 with a transparent value", 16, SPNG_COLOR_TYPE_GRAYSCALE, true, false, false},
    {"grey alpha 8", 8, SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, false, false, false},
    {"grey alpha 16", 16, SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, false, false, false},
    {"rgb 8", 8, SPNG_COLOR_TYPE_TRUECOLOR, false, false, true},
    {"rgb 16", 16, SPNG_COLOR_TYPE_TRUECOLOR, false, false, false},
    {"rgb 16 interlaced", 16, SPNG_COLOR_TYPE_TRUECOLOR, false, true, false},
    {"rgb 8 with a transparent value", 8, SPNG_COLOR_TYPE_TRUECOLOR, true, false, false},
    {"rgb 16 with a transparent value", 16, SPNG_COLOR_TYPE_TRUECOLOR, true, false, false},
    {"rgba 8", 8, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, false, false, false},
    {"rgba 16", 16, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, false, false, false},
    {"palette 8", 8, SPNG_COLOR_TYPE_INDEXED, false, false, false},
    {"palette 4", 4, SPNG_COLOR_TYPE_INDEXED, false, false, false},
    {"palette 8 with transparency", 8, SPNG_COLOR_TYPE_INDEXED, true, false, false},
};

static int32_t png_samples(uint8_t color)
{
	static const int32_t samples[] = {1, 0, 3, 1, 2, 0, 4};

	return samples[color];
}

/* One sample as the file stores it, at the file's depth. */
static unsigned png_value(const struct png_kind *kind, int32_t x, int32_t y, int32_t c)
{
	return noise(x, y, c) & ((1u << kind->depth) - 1);
}

static struct spng_plte_entry palette_entry(unsigned index)
{
	return (struct spng_plte_entry){(uint8_t)(index * 7), (uint8_t)(255 - index), (uint8_t)(index * 3 + 1), 255};
}

static uint8_t palette_alpha(unsigned index)
{
	return (uint8_t)(255 - index * 5 % 256);
}

/* The value of a transparent pixel: the first pixel's own. */
static bool is_keyed(const struct png_kind *kind, int32_t x, int32_t y, int32_t samples)
{
	for (int32_t c = 0; c < samples; c++)
		if (png_value(kind, x, y, c) != png_value(kind, 0, 0, c))
			return false;
	return kind->transparent;
}

static void expect_png_pixel(const struct png_kind *kind, struct hl_volume *volume, int32_t x, int32_t y)
{
	unsigned full = kind->depth == 16 ? 65535 : 255;
	unsigned scale = kind->depth >= 8 ? 1 : 255 / ((1u << kind->depth) - 1);
	int32_t samples = png_samples(kind->color);

	for (int32_t c = 0; c < volume->channels; c++) {
		unsigned value = png_value(kind, x, y, c) * scale, alpha = full;
		if (kind->color == SPNG_COLOR_TYPE_INDEXED) {
			unsigned index = png_value(kind, x, y, 0);
			struct spng_plte_entry entry = palette_entry(index);
			value = c == 0 ? entry.red : c == 1 ? entry.green : entry.blue;
			alpha = kind->transparent ? palette_alpha(index) : 255;
		} else if (samples == 2 || samples == 4) {
			alpha = png_value(kind, x, y, samples - 1);
		} else if (is_keyed(kind, x, y, samples)) {
			alpha = 0;
		}
		sample_set(volume, x, y, 0, c, (double)(((uint64_t)value * alpha + full / 2) / full));
	}
}

/* The file's rows, samples under 8 bits packed from the high end. */
static uint8_t *png_rows(const struct png_kind *kind, int32_t width, int32_t height, size_t *size)
{
	int32_t samples = png_samples(kind->color);
	size_t row = ((size_t)width * (size_t)samples * kind->depth + 7) / 8;
	uint8_t *rows = hl_alloc(row, (size_t)height);

	*size = row * (size_t)height;
	for (int32_t y = 0; rows && y < height; y++)
		for (int32_t i = 0; i < width * samples; i++) {
			unsigned value = png_value(kind, i / samples, y, i % samples);
			size_t bit = (size_t)i * kind->depth;
			uint8_t *to = rows + (size_t)y * row + bit / 8;
			if (kind->depth == 16)
				memcpy(to, &(uint16_t){(uint16_t)value}, 2);
			else
				*to |= (uint8_t)(value << (8 - kind->depth - bit % 8));
		}
	return rows;
}

static int png_extras(spng_ctx *context, const struct png_kind *kind)
{
	struct spng_plte palette = {.n_entries = 1u << (kind->depth > 8 ? 8 : kind->depth)};
	struct spng_trns key = {.gray = (uint16_t)png_value(kind, 0, 0, 0)};
	struct spng_text text = {.type = SPNG_TEXT};
	char words[] = "made for a test";
	int code = 0;

	for (unsigned i = 0; i < palette.n_entries; i++) {
		palette.entries[i] = palette_entry(i);
		key.type3_alpha[i] = palette_alpha(i);
	}
	key.n_type3_entries = palette.n_entries;
	key.red = (uint16_t)png_value(kind, 0, 0, 0);
	key.green = (uint16_t)png_value(kind, 0, 0, 1);
	key.blue = (uint16_t)png_value(kind, 0, 0, 2);
	if (kind->color == SPNG_COLOR_TYPE_INDEXED)
		code = spng_set_plte(context, &palette);
	if (!code && kind->transparent)
		code = spng_set_trns(context, &key);
	if (!code && kind->text) {
		strcpy(text.keyword, "Comment");
		text.text = words;
		text.length = strlen(words);
		code = spng_set_text(context, &text, 1);
		if (!code)
			code = spng_encode_chunks(context);
	}
	return code;
}

static void make_png(struct maker *maker, const struct png_kind *kind, int32_t width, int32_t height)
{
	struct sample *sample = begin(maker, kind->name, SAMPLE_PNG);
	struct spng_ihdr header = {.width = (uint32_t)width,
	                           .height = (uint32_t)height,
	                           .bit_depth = kind->depth,
	                           .color_type = kind->color,
	                           .interlace_method = kind->interlaced};
	int32_t channels = kind->color & 2 ? 3 : 1;
	spng_ctx *context = spng_ctx_new(SPNG_CTX_ENCODER);
	size_t size;
	uint8_t *rows = png_rows(kind, width, height, &size);
	int code = !context || !rows;
	void *png = NULL;

	if (!code)
		code = hl_volume_init(&sample->expected, width, height, 1, channels,
		                      kind->depth == 16 ? HL_VOXEL_U16 : HL_VOXEL_U8, NULL);
	for (int32_t y = 0; !code && y < height; y++)
		for (int32_t x = 0; x < width; x++)
			expect_png_pixel(kind, &sample->expected, x, y);
	if (!code)
		code = spng_set_ihdr(context, &header);
	if (!code)
		code = spng_set_option(context, SPNG_ENCODE_TO_BUFFER, 1);
	if (!code)
		code = png_extras(context, kind);
	if (!code)
		code = spng_encode_image(context, rows, size, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
	if (!code)
		png = spng_get_png_buffer(context, &sample->length, &code);
	sample->bytes = png ? hl_alloc(sample->length, 1) : NULL;
	if (sample->bytes)
		memcpy(sample->bytes, png, sample->length);
	free(png);
	hl_free(rows);
	spng_ctx_free(context);
	end(maker, sample, code == 0);
}

/* ---- TIFF ---- */

struct tiff_kind {
	const char *name, *mode;
	enum hl_voxel type;
	int32_t colours, extra, depth; /* extra: 1 when unassociated alpha follows */
	int compression, predictor, photometric, planar, orientation, tile;
	uint32_t rows; /* a strip */
};

#define GREY PHOTOMETRIC_MINISBLACK
static const struct tiff_kind tiff_kinds[] = {
    {"u8 lzw", "wl", HL_VOXEL_U8, 1, 0, 1, COMPRESSION_LZW, 1, GREY, 1, 1, 0, 4},
    {"u8 packbits big-endian", "wb", HL_VOXEL_U8, 1, 0, 1, COMPRESSION_PACKBITS, 1, GREY, 1, 1, 0, 7},
    {"u16 deflate predictor", "wl", HL_VOXEL_U16, 1, 0, 1, COMPRESSION_ADOBE_DEFLATE, 2, GREY, 1, 1, 0, 100},
    {"i16 plain", "wl", HL_VOXEL_I16, 1, 0, 1, COMPRESSION_NONE, 1, GREY, 1, 1, 0, 5},
    {"i16 big-endian", "wb", HL_VOXEL_I16, 1, 0, 1, COMPRESSION_LZW, 2, GREY, 1, 1, 0, 5},
    {"i16 stack", "wl", HL_VOXEL_I16, 1, 0, 4, COMPRESSION_ADOBE_DEFLATE, 1, GREY, 1, 1, 0, 5},
    {"f32 predictor", "wl", HL_VOXEL_F32, 1, 0, 1, COMPRESSION_ADOBE_DEFLATE, 3, GREY, 1, 1, 0, 9},
    {"f32 bigtiff", "w8", HL_VOXEL_F32, 1, 0, 1, COMPRESSION_NONE, 1, GREY, 1, 1, 0, 9},
    {"u8 white is zero", "wl", HL_VOXEL_U8, 1, 0, 1, COMPRESSION_NONE, 1, PHOTOMETRIC_MINISWHITE, 1, 1, 0, 9},
    {"u16 white is zero", "wl", HL_VOXEL_U16, 1, 0, 1, COMPRESSION_LZW, 1, PHOTOMETRIC_MINISWHITE, 1, 1, 0, 9},
    {"u8 palette", "wl", HL_VOXEL_U8, 3, 0, 1, COMPRESSION_LZW, 1, PHOTOMETRIC_PALETTE, 1, 1, 0, 9},
    {"u16 tiles", "wl", HL_VOXEL_U16, 1, 0, 1, COMPRESSION_ADOBE_DEFLATE, 1, GREY, 1, 1, 16, 0},
    {"rgb 8", "wl", HL_VOXEL_U8, 3, 0, 1, COMPRESSION_LZW, 2, PHOTOMETRIC_RGB, 1, 1, 0, 9},
    {"rgb 8 planes", "wl", HL_VOXEL_U8, 3, 0, 1, COMPRESSION_PACKBITS, 1, PHOTOMETRIC_RGB, 2, 1, 0, 4},
    {"rgb 16 planes in tiles", "wl", HL_VOXEL_U16, 3, 0, 1, COMPRESSION_NONE, 1, PHOTOMETRIC_RGB, 2, 1, 16, 0},
    {"rgba 8", "wl", HL_VOXEL_U8, 3, 1, 1, COMPRESSION_ADOBE_DEFLATE, 1, PHOTOMETRIC_RGB, 1, 1, 0, 9},
    {"rgba 16 planes", "wb", HL_VOXEL_U16, 3, 1, 1, COMPRESSION_LZW, 1, PHOTOMETRIC_RGB, 2, 1, 0, 9},
    {"grey alpha 16", "wl", HL_VOXEL_U16, 1, 1, 1, COMPRESSION_NONE, 1, GREY, 1, 1, 0, 9},
    {"u8 orientation 2", "wl", HL_VOXEL_U8, 1, 0, 1, COMPRESSION_NONE, 1, GREY, 1, 2, 0, 9},
    {"u16 orientation 3", "wl", HL_VOXEL_U16, 1, 0, 1, COMPRESSION_NONE, 1, GREY, 1, 3, 0, 9},
    {"i16 orientation 4", "wl", HL_VOXEL_I16, 1, 0, 1, COMPRESSION_NONE, 1, GREY, 1, 4, 0, 9},
    {"f32 orientation 5", "wl", HL_VOXEL_F32, 1, 0, 1, COMPRESSION_NONE, 1, GREY, 1, 5, 0, 9},
    {"rgb 8 orientation 6", "wl", HL_VOXEL_U8, 3, 0, 1, COMPRESSION_NONE, 1, PHOTOMETRIC_RGB, 1, 6, 0, 9},
    {"u8 orientation 7", "wl", HL_VOXEL_U8, 1, 0, 1, COMPRESSION_NONE, 1, GREY, 1, 7, 16, 0},
    {"i16 stack orientation 8", "wl", HL_VOXEL_I16, 1, 0, 2, COMPRESSION_NONE, 1, GREY, 1, 8, 0, 9},
};

static double tiff_value(const struct tiff_kind *kind, int32_t x, int32_t y, int32_t z, int32_t c)
{
	unsigned value = noise(x, y + 31 * z, c);

	switch (kind->type) {
	case HL_VOXEL_U8:
		return value & 255;
	case HL_VOXEL_U16:
		return value & 65535;
	case HL_VOXEL_I16:
		return (int)(value % 4096) - 1024;
	default:
		return ((int)(value % 65536) - 30000) / 16.0;
	}
}

/* TIFF 6.0, Orientation: where the stored pixel (x, y) is seen. */
static void oriented(int orientation, int32_t width, int32_t height, int32_t *x, int32_t *y)
{
	int32_t a = *x, b = *y;

	if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8)
		a = width - 1 - a;
	if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7)
		b = height - 1 - b;
	*x = orientation >= 5 ? b : a;
	*y = orientation >= 5 ? a : b;
}

static void expect_tiff_pixel(const struct tiff_kind *kind, struct hl_volume *volume, int32_t x, int32_t y, int32_t z,
                              int32_t width, int32_t height)
{
	double full = kind->type == HL_VOXEL_U8 ? 255 : 65535;
	int32_t to_x = x, to_y = y;

	oriented(kind->orientation, width, height, &to_x, &to_y);
	for (int32_t c = 0; c < kind->colours; c++) {
		double value = tiff_value(kind, x, y, z, c);
		if (kind->photometric == PHOTOMETRIC_PALETTE) {
			struct spng_plte_entry entry = palette_entry((unsigned)tiff_value(kind, x, y, z, 0));
			value = c == 0 ? entry.red : c == 1 ? entry.green : entry.blue;
		}
		if (kind->photometric == PHOTOMETRIC_MINISWHITE)
			value = full - value;
		if (kind->extra)
			value = (double)(((uint64_t)value * (uint64_t)tiff_value(kind, x, y, z, kind->colours) +
			                  (uint64_t)full / 2) /
			                 (uint64_t)full);
		sample_set(volume, to_x, to_y, z, c, value);
	}
}

static void tiff_tags(TIFF *tiff, const struct tiff_kind *kind, int32_t width, int32_t height, int32_t samples)
{
	static const int formats[] = {SAMPLEFORMAT_UINT, SAMPLEFORMAT_UINT, SAMPLEFORMAT_INT, SAMPLEFORMAT_IEEEFP};
	uint16_t map[3][256];

	TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, (uint32_t)width);
	TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, (uint32_t)height);
	TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, (int)hl_voxel_size(kind->type) * 8);
	TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, samples);
	TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, formats[kind->type]);
	TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, kind->photometric);
	TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, kind->planar);
	TIFFSetField(tiff, TIFFTAG_ORIENTATION, kind->orientation);
	TIFFSetField(tiff, TIFFTAG_COMPRESSION, kind->compression);
	if (kind->predictor > 1)
		TIFFSetField(tiff, TIFFTAG_PREDICTOR, kind->predictor);
	if (kind->extra)
		TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, (uint16_t[]){EXTRASAMPLE_UNASSALPHA});
	if (kind->tile) {
		TIFFSetField(tiff, TIFFTAG_TILEWIDTH, kind->tile);
		TIFFSetField(tiff, TIFFTAG_TILELENGTH, kind->tile);
	} else {
		TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, kind->rows);
	}
	if (kind->photometric == PHOTOMETRIC_PALETTE) {
		for (unsigned i = 0; i < 256; i++) {
			struct spng_plte_entry entry = palette_entry(i);
			map[0][i] = (uint16_t)(entry.red * 257);
			map[1][i] = (uint16_t)(entry.green * 257);
			map[2][i] = (uint16_t)(entry.blue * 257);
		}
		TIFFSetField(tiff, TIFFTAG_COLORMAP, map[0], map[1], map[2]);
	}
}

/* Writes every strip or tile of the current page. */
static bool tiff_blocks(TIFF *tiff, const struct tiff_kind *kind, int32_t width, int32_t height, int32_t samples,
                        int32_t z)
{
	int32_t block_width = kind->tile ? kind->tile : width;
	int32_t block_height = kind->tile ? kind->tile : kind->rows < (uint32_t)height ? (int32_t)kind->rows : height;
	int32_t planes = kind->planar == PLANARCONFIG_SEPARATE ? samples : 1, each = samples / planes;
	size_t size = hl_voxel_size(kind->type);
	size_t bytes = (size_t)block_width * (size_t)block_height * (size_t)each * size;
	uint8_t *block = hl_alloc(bytes, 1);
	bool done = block != NULL;
	uint32_t index = 0;

	for (int32_t plane = 0; plane < planes; plane++)
		for (int32_t top = 0; top < height; top += block_height)
			for (int32_t left = 0; left < width && done; left += block_width, index++) {
				struct hl_volume view = {.width = block_width,
				                         .height = block_height,
				                         .depth = 1,
				                         .channels = each,
				                         .type = kind->type,
				                         .voxels = block};
				int32_t rows = kind->tile || height - top > block_height ? block_height : height - top;
				for (int32_t y = 0; y < rows; y++)
					for (int32_t x = 0; x < block_width; x++)
						for (int32_t c = 0; c < each; c++)
							sample_set(&view, x, y, 0, c,
							           tiff_value(kind, left + x, top + y, z, plane + c));
				bytes = (size_t)block_width * (size_t)rows * (size_t)each * size;
				done = (kind->tile ? TIFFWriteEncodedTile(tiff, index, block, (tmsize_t)bytes)
				                   : TIFFWriteEncodedStrip(tiff, index, block, (tmsize_t)bytes)) >= 0;
			}
	hl_free(block);
	return done && TIFFWriteDirectory(tiff);
}

static void make_tiff(struct maker *maker, const struct tiff_kind *kind, int32_t width, int32_t height)
{
	struct sample *sample = begin(maker, kind->name, SAMPLE_TIFF);
	int32_t samples = kind->photometric == PHOTOMETRIC_PALETTE ? 1 : kind->colours + kind->extra;
	int32_t seen_width = kind->orientation >= 5 ? height : width;
	int32_t seen_height = kind->orientation >= 5 ? width : height;
	struct hl_tiff_memory memory = {0};
	bool done =
	    !hl_volume_init(&sample->expected, seen_width, seen_height, kind->depth, kind->colours, kind->type, NULL);
	TIFF *tiff;

	hl_buffer_init(&memory.buffer, 1 << 20);
	tiff = hl_tiff_open(&memory, kind->mode, NULL);
	for (int32_t z = 0; z < kind->depth && done && tiff; z++) {
		for (int32_t y = 0; y < height; y++)
			for (int32_t x = 0; x < width; x++)
				expect_tiff_pixel(kind, &sample->expected, x, y, z, width, height);
		tiff_tags(tiff, kind, width, height, samples);
		done = tiff_blocks(tiff, kind, width, height, samples, z);
	}
	if (tiff)
		TIFFClose(tiff);
	sample->bytes = (uint8_t *)memory.buffer.data;
	sample->length = memory.buffer.length;
	end(maker, sample, done && tiff && !memory.log.first[0]);
}

/* ---- tables ---- */

static void make_csv(struct maker *maker)
{
	struct sample *sample = begin(maker, "table", SAMPLE_CSV);
	struct hl_buffer buffer;
	bool done = true;

	hl_buffer_init(&buffer, 1 << 20);
	done = !hl_buffer_print(&buffer, NULL, "path,label,group,note\r\n");
	for (int i = 0; i < 40 && done; i++)
		done = !hl_buffer_print(&buffer, NULL, "a/%d.png,%s,%d,\"said \"\"%d\"\",\nand more\"\r\n", i,
		                        i % 2 ? "benign" : "malignant", i / 3, i);
	sample->bytes = (uint8_t *)buffer.data;
	sample->length = buffer.length;
	end(maker, sample, done);
}

size_t samples_make(struct sample *samples)
{
	struct maker maker = {.samples = samples};

	make_jpeg(&maker, "grey", 37, 29, TJSAMP_GRAY, 0);
	make_jpeg(&maker, "colour", 255, 255, TJSAMP_444, 0);
	make_jpeg(&maker, "colour 4:2:0", 61, 47, TJSAMP_420, 0);
	make_jpeg(&maker, "grey progressive", 64, 48, TJSAMP_GRAY, TJFLAG_PROGRESSIVE);
	make_jpeg(&maker, "colour progressive", 50, 70, TJSAMP_422, TJFLAG_PROGRESSIVE);
	make_jpeg(&maker, "one pixel", 1, 1, TJSAMP_GRAY, 0);
	for (size_t i = 0; i < sizeof(png_kinds) / sizeof(*png_kinds); i++)
		make_png(&maker, &png_kinds[i], i % 2 ? 33 : 20, i % 3 ? 21 : 17);
	for (size_t i = 0; i < sizeof(tiff_kinds) / sizeof(*tiff_kinds); i++)
		make_tiff(&maker, &tiff_kinds[i], i % 2 ? 33 : 20, i % 3 ? 21 : 17);
	make_csv(&maker);
	maker.failed = !samples_make_volumes(samples, &maker.count) || maker.failed;
	maker.failed = !samples_make_dicom(samples, &maker.count) || maker.failed;
	maker.failed = !samples_make_archives(samples, &maker.count) || maker.failed;
	if (maker.failed) {
		samples_free(samples, maker.count);
		return 0;
	}
	return maker.count;
}

void samples_free(struct sample *samples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		hl_free(samples[i].bytes);
		hl_volume_free(&samples[i].expected);
	}
}

/* ISO/IEC 15948, annex D, bit by bit. */
static uint32_t crc32_of(const uint8_t *bytes, size_t length)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

void sample_repair_png(uint8_t *bytes, size_t length)
{
	size_t at = 8;

	while (length >= 12 && at <= length - 12) {
		size_t size =
		    (size_t)bytes[at] << 24 | (size_t)bytes[at + 1] << 16 | (size_t)bytes[at + 2] << 8 | bytes[at + 3];
		uint32_t crc;
		if (size > length - at - 12)
			break;
		crc = crc32_of(bytes + at + 4, size + 4);
		for (int i = 0; i < 4; i++)
			bytes[at + 8 + size + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
		at += size + 12;
	}
}
