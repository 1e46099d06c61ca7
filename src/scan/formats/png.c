/* PNG (ISO/IEC 15948) by libspng: every colour type and depth; 16 bits are kept. */
#include <spng.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "scan/format.h"

/* Of one chunk other than the picture's data, compressed or inflated, and of all of them together. */
#define CHUNK_BYTES_MAX ((size_t)8 << 20)
#define CHUNKS_BYTES_MAX ((size_t)32 << 20)

/* How a file's pixels are asked for, and what they become. */
struct layout {
	int format, flags;
	int32_t samples;  /* as decoded: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA */
	int32_t channels; /* as kept */
	enum hl_voxel type;
};

static void *allocate(size_t size)
{
	return hl_alloc(size, 1);
}

static void *allocate_many(size_t count, size_t size)
{
	return hl_alloc(count, size);
}

static void *grow(void *old, size_t size)
{
	return hl_realloc(old, size, 1);
}

static struct spng_alloc allocator = {
    .malloc_fn = allocate, .realloc_fn = grow, .calloc_fn = allocate_many, .free_fn = hl_free};

static bool detect(const uint8_t *bytes, size_t length)
{
	static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

	return length >= sizeof(signature) && memcmp(bytes, signature, sizeof(signature)) == 0;
}

static enum hilum_status fail_spng(struct hilum_error *error, int code)
{
	switch (code) {
	case SPNG_EMEM:
		return hl_fail(error, HILUM_ERROR_MEMORY, "out of memory");
	case SPNG_EUSER_WIDTH:
	case SPNG_EUSER_HEIGHT:
		return hl_fail(error, HILUM_ERROR_LIMIT, "more than %d pixels a side", HL_VOLUME_SIDE_MAX);
	case SPNG_ECHUNK_LIMITS:
		return hl_fail(error, HILUM_ERROR_LIMIT, "chunks beside the picture larger than %zu bytes",
		               CHUNKS_BYTES_MAX);
	default:
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %s", spng_strerror(code));
	}
}

static struct layout choose_layout(const struct spng_ihdr *header, bool transparent)
{
	bool deep = header->bit_depth == 16;
	struct layout layout = {.format = SPNG_FMT_PNG, .type = deep ? HL_VOXEL_U16 : HL_VOXEL_U8, .channels = 3};

	switch (header->color_type) {
	case SPNG_COLOR_TYPE_GRAYSCALE:
		layout.channels = 1;
		layout.samples = transparent ? 2 : 1;
		if (transparent)
			layout.format = deep ? SPNG_FMT_GA16 : SPNG_FMT_GA8;
		else if (!deep)
			layout.format = SPNG_FMT_G8;
		break;
	case SPNG_COLOR_TYPE_GRAYSCALE_ALPHA:
		layout.channels = 1;
		layout.samples = 2;
		break;
	case SPNG_COLOR_TYPE_TRUECOLOR:
		layout.samples = transparent ? 4 : 3;
		if (transparent)
			layout.format = deep ? SPNG_FMT_RGBA16 : SPNG_FMT_RGBA8;
		break;
	case SPNG_COLOR_TYPE_TRUECOLOR_ALPHA:
		layout.samples = 4;
		break;
	default: /* indexed: the header's values have been checked */
		layout.samples = transparent ? 4 : 3;
		layout.format = transparent ? SPNG_FMT_RGBA8 : SPNG_FMT_RGB8;
		break;
	}
	if (transparent)
		layout.flags = SPNG_DECODE_TRNS;
	return layout;
}

/* Alpha (the last sample) over black: value * alpha / full scale, rounded. */
static inline void composite_u8(const uint8_t *in, uint8_t *out, size_t pixels, size_t channels)
{
	for (size_t i = 0; i < pixels; i++, in += channels + 1, out += channels)
		for (size_t c = 0; c < channels; c++)
			out[c] = (uint8_t)(((unsigned)in[c] * in[channels] + 127) / 255);
}

static inline void composite_u16(const uint16_t *in, uint16_t *out, size_t pixels, size_t channels)
{
	for (size_t i = 0; i < pixels; i++, in += channels + 1, out += channels)
		for (size_t c = 0; c < channels; c++)
			out[c] = (uint16_t)(((uint32_t)in[c] * in[channels] + 32767) / 65535);
}

/* A loop for each number of channels, so that the compiler knows it. */
static void composite(const void *in, void *out, size_t pixels, const struct layout *layout)
{
	if (layout->type == HL_VOXEL_U8 && layout->channels == 1)
		composite_u8(in, out, pixels, 1);
	else if (layout->type == HL_VOXEL_U8)
		composite_u8(in, out, pixels, 3);
	else if (layout->channels == 1)
		composite_u16(in, out, pixels, 1);
	else
		composite_u16(in, out, pixels, 3);
}

static enum hilum_status decode_pixels(spng_ctx *context, const struct layout *layout, struct hl_volume *volume,
                                       struct hilum_error *error)
{
	size_t pixels = (size_t)volume->width * (size_t)volume->height;
	size_t size = pixels * (size_t)layout->samples * hl_voxel_size(layout->type);
	size_t kept = pixels * (size_t)layout->channels * hl_voxel_size(layout->type);
	enum hilum_status status = HILUM_OK;
	void *samples = volume->voxels;
	int code;

	if (layout->samples != layout->channels) {
		if (size + kept > (size_t)HL_VOLUME_BYTES_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "%d x %d pixels with transparency", volume->width,
			               volume->height);
		samples = hl_alloc(size, 1);
		if (!samples)
			return hl_fail_memory(error, size, "pixels with transparency");
	}
	code = spng_decode_image(context, samples, size, layout->format, layout->flags);
	/* The chunks after the picture, so that a file cut off behind its last row is noticed. */
	if (!code)
		code = spng_decode_chunks(context);
	if (code)
		status = fail_spng(error, code);
	else if (samples != volume->voxels)
		composite(samples, volume->voxels, pixels, layout);
	if (samples != volume->voxels)
		hl_free(samples);
	return status;
}

static enum hilum_status decode(const uint8_t *bytes, size_t length, struct hl_volume *out, struct hilum_error *error)
{
	struct hl_volume volume = {0};
	struct spng_ihdr header;
	struct spng_trns transparency;
	struct layout layout;
	enum hilum_status status = HILUM_OK;
	spng_ctx *context = spng_ctx_new2(&allocator, 0);
	int code;

	if (!context)
		return hl_fail(error, HILUM_ERROR_MEMORY, "no memory for the decoder");
	code = spng_set_image_limits(context, HL_VOLUME_SIDE_MAX, HL_VOLUME_SIDE_MAX);
	if (!code)
		code = spng_set_chunk_limits(context, CHUNK_BYTES_MAX, CHUNKS_BYTES_MAX);
	/* Transparency is an ancillary chunk, and by default a damaged one is passed over. */
	if (!code)
		code = spng_set_crc_action(context, SPNG_CRC_ERROR, SPNG_CRC_ERROR);
	if (!code)
		code = spng_set_png_buffer(context, bytes, length);
	if (!code)
		code = spng_get_ihdr(context, &header);
	if (code) {
		status = fail_spng(error, code);
		goto out;
	}
	code = spng_get_trns(context, &transparency);
	if (code && code != SPNG_ECHUNKAVAIL) {
		status = fail_spng(error, code);
		goto out;
	}
	layout = choose_layout(&header, code == 0);
	status = hl_volume_init(&volume, (int32_t)header.width, (int32_t)header.height, 1, layout.channels, layout.type,
	                        error);
	if (!status)
		status = decode_pixels(context, &layout, &volume, error);
	if (status)
		goto out;
	*out = volume;
	volume = (struct hl_volume){0};
out:
	hl_volume_free(&volume);
	spng_ctx_free(context);
	return status;
}

enum hilum_status hl_png_encode(const struct hl_volume *volume, struct hl_buffer *out, struct hilum_error *error)
{
	struct spng_ihdr header = {.width = (uint32_t)volume->width, .height = (uint32_t)volume->height};
	enum hilum_status status;
	spng_ctx *context;
	void *png = NULL;
	size_t size, length = 0;
	int code;

	if (volume->depth != 1 || (volume->type != HL_VOXEL_U8 && volume->type != HL_VOXEL_U16))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "PNG holds one slice of 8 or 16 bits, unsigned");
	context = spng_ctx_new(SPNG_CTX_ENCODER);
	if (!context)
		return hl_fail_memory(error, sizeof(header), "the PNG encoder");
	header.bit_depth = volume->type == HL_VOXEL_U8 ? 8 : 16;
	header.color_type = volume->channels == 1 ? SPNG_COLOR_TYPE_GRAYSCALE : SPNG_COLOR_TYPE_TRUECOLOR;
	size = (size_t)volume->width * (size_t)volume->height * (size_t)volume->channels * hl_voxel_size(volume->type);
	code = spng_set_ihdr(context, &header);
	if (!code)
		code = spng_set_option(context, SPNG_ENCODE_TO_BUFFER, 1);
	if (!code)
		code = spng_encode_image(context, volume->voxels, size, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
	if (!code)
		png = spng_get_png_buffer(context, &length, &code);
	hl_buffer_init(out, length);
	if (code || !png)
		status = hl_fail(error, code == SPNG_EMEM ? HILUM_ERROR_MEMORY : HILUM_ERROR_INTERNAL, "%s",
		                 spng_strerror(code));
	else
		status = hl_buffer_append(out, png, length, error);
	free(png);
	spng_ctx_free(context);
	return status;
}

enum hilum_status hl_png_write(const char *path, const struct hl_volume *volume, struct hilum_error *error)
{
	struct hl_buffer png;
	enum hilum_status status = hl_png_encode(volume, &png, error);
	if (status)
		return hl_prefix(error, status, "%s", path);
	status = hl_file_write(path, &(struct hl_part){png.data, png.length}, 1, error);
	hl_buffer_free(&png);
	return status;
}

const struct hl_format hl_format_png = {
    .name = "PNG",
    .extensions = "png",
    .detect = detect,
    .decode = decode,
};
