#include "scan/dicom/pixels.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "scan/dicom/element.h"

/* ---- the bytes of a frame ---- */

enum hilum_status hl_dicom_inflate(const uint8_t *bytes, size_t length, size_t maximum, uint8_t **out, size_t *size,
                                   struct hilum_error *error)
{
	enum { CHUNK = 1 << 16 };
	z_stream stream = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)length};
	uint8_t *chunk = hl_alloc(CHUNK, 1);
	struct hl_buffer buffer;
	enum hilum_status status = HILUM_OK;
	int code = Z_OK;

	hl_buffer_init(&buffer, maximum);
	if (!chunk || length > UINT_MAX || inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
		hl_free(chunk);
		return hl_fail_memory(error, CHUNK, "inflating");
	}
	while (!status && code == Z_OK) {
		stream.next_out = chunk;
		stream.avail_out = CHUNK;
		code = inflate(&stream, Z_NO_FLUSH);
		if (code == Z_OK || code == Z_STREAM_END)
			status = hl_buffer_append(&buffer, chunk, CHUNK - stream.avail_out, error);
	}
	if (!status && code != Z_STREAM_END)
		status = code == Z_MEM_ERROR ? hl_fail(error, HILUM_ERROR_MEMORY, "out of memory")
		                             : hl_fail(error, HILUM_ERROR_FORMAT, "damaged: the deflated data");
	inflateEnd(&stream);
	hl_free(chunk);
	if (status) {
		hl_buffer_free(&buffer);
		return status;
	}
	*out = (uint8_t *)buffer.data;
	*size = buffer.length;
	return HILUM_OK;
}

/* The next item of encapsulated pixel data (always little endian): END at the delimiter. */
static enum hl_dicom_step next_fragment(const struct hl_dicom *dicom, size_t *at, struct hl_dicom_fragment *out,
                                        struct hilum_error *error)
{
	const uint8_t *head = dicom->pixels + *at;
	size_t left = dicom->pixel_bytes - *at;
	uint32_t tag, length;

	if (left < 8) {
		hl_fail(error, HILUM_ERROR_FORMAT, "damaged: pixel data cut off");
		return HL_DICOM_DAMAGED;
	}
	tag = HL_TAG(hl_dicom_get16(head, false), hl_dicom_get16(head + 2, false));
	length = hl_dicom_get32(head + 4, false);
	if (tag == HL_TAG_SEQUENCE_END)
		return HL_DICOM_END;
	if (tag != HL_TAG_ITEM || length > left - 8) {
		hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %s",
		        tag == HL_TAG_ITEM ? "a fragment longer than the file"
		                           : "pixel data of something else than items");
		return HL_DICOM_DAMAGED;
	}
	*out = (struct hl_dicom_fragment){*at + 8, length};
	*at += 8 + (size_t)length;
	return HL_DICOM_ELEMENT;
}

/* Whether a fragment begins a code stream: JPEG and JPEG-LS by SOI, JPEG 2000 by SOC and SIZ or by its box. */
static bool begins_stream(const struct hl_dicom *dicom, const struct hl_dicom_fragment *fragment)
{
	static const uint8_t soi[] = {0xff, 0xd8, 0xff}, soc[] = {0xff, 0x4f, 0xff, 0x51};
	const uint8_t *bytes = dicom->pixels + fragment->offset;

	if (fragment->length < sizeof(soc))
		return false;
	return memcmp(bytes, soi, sizeof(soi)) == 0 || memcmp(bytes, soc, sizeof(soc)) == 0 ||
	       memcmp(bytes, "\0\0\0\fjP", 6) == 0;
}

/* By the basic offset table: where, counted from behind the table, each frame's first item begins. */
static bool frames_by_table(struct hl_dicom *dicom, const struct hl_dicom_fragment *table)
{
	int32_t fragment = 0;

	if (table->length / 4 != (size_t)dicom->frames || table->length % 4)
		return false;
	for (int32_t i = 0; i < dicom->frames; i++) {
		size_t offset = hl_dicom_get32(dicom->pixels + table->offset + 4 * (size_t)i, false);
		offset += table->offset + table->length + 8;
		while (fragment < dicom->fragments && dicom->fragment[fragment].offset < offset)
			fragment++;
		if (fragment == dicom->fragments || dicom->fragment[fragment].offset != offset ||
		    (i > 0 && fragment <= dicom->first_fragment[i - 1]))
			return false;
		dicom->first_fragment[i] = fragment;
	}
	return dicom->first_fragment[0] == 0;
}

static bool frames_by_stream(struct hl_dicom *dicom)
{
	int32_t frame = 0;

	for (int32_t i = 0; i < dicom->fragments; i++) {
		if (!begins_stream(dicom, &dicom->fragment[i]))
			continue;
		if (frame == dicom->frames)
			return false;
		dicom->first_fragment[frame++] = i;
	}
	return frame == dicom->frames && dicom->first_fragment[0] == 0;
}

enum hilum_status hl_dicom_find_fragments(struct hl_dicom *dicom, struct hilum_error *error)
{
	struct hl_dicom_fragment table = {0}, fragment;
	enum hl_dicom_step step;
	size_t at = 0, begin;
	int32_t count = 0;

	step = next_fragment(dicom, &at, &table, error);
	begin = at;
	while (step == HL_DICOM_ELEMENT && (step = next_fragment(dicom, &at, &fragment, error)) == HL_DICOM_ELEMENT)
		count++;
	if (step == HL_DICOM_DAMAGED)
		return HILUM_ERROR_FORMAT;
	if (count < dicom->frames)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %d frames of %d", count, dicom->frames);
	dicom->fragment = hl_alloc((size_t)count, sizeof(*dicom->fragment));
	dicom->first_fragment = hl_alloc((size_t)dicom->frames + 1, sizeof(*dicom->first_fragment));
	if (!dicom->fragment || !dicom->first_fragment)
		return hl_fail_memory(error, (size_t)count * sizeof(fragment), "fragments");
	dicom->fragments = count;
	for (int32_t i = 0; i < count; i++)
		next_fragment(dicom, &begin, &dicom->fragment[i], error);
	dicom->first_fragment[dicom->frames] = count;
	if (dicom->frames == 1)
		return HILUM_OK;
	if (count == dicom->frames) {
		for (int32_t i = 0; i < count; i++)
			dicom->first_fragment[i] = i;
		return HILUM_OK;
	}
	if (frames_by_table(dicom, &table) || frames_by_stream(dicom))
		return HILUM_OK;
	return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %d fragments for %d frames, and no table of them", count,
	               dicom->frames);
}

size_t hl_dicom_value_size(const struct hl_dicom *dicom)
{
	if (dicom->numbers != HL_DICOM_INTEGERS)
		return dicom->numbers == HL_DICOM_FLOATS ? 4 : 8;
	return dicom->bits_allocated <= 8 ? 1 : (size_t)dicom->bits_allocated / 8;
}

size_t hl_dicom_frame_bytes(const struct hl_dicom *dicom)
{
	return (size_t)dicom->width * (size_t)dicom->height * (size_t)dicom->samples * hl_dicom_value_size(dicom);
}

/* ---- native values ---- */

static bool host_is_big(void)
{
	const uint16_t one = 1;

	return *(const uint8_t *)&one == 0;
}

static void swap_bytes(uint8_t *values, size_t count, size_t size)
{
	for (size_t i = 0; i < count; i++, values += size)
		for (size_t k = 0; k < size / 2; k++) {
			uint8_t byte = values[k];
			values[k] = values[size - 1 - k];
			values[size - 1 - k] = byte;
		}
}

static void swap16(uint16_t *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
		values[i] = (uint16_t)(values[i] << 8 | values[i] >> 8);
}

/* One bit a pixel, the lowest bit of a byte first (PS3.5 8.1.1), frames without padding between them. */
static enum hilum_status read_bits(const struct hl_dicom *dicom, const uint8_t *bytes, size_t length, size_t first,
                                   uint8_t *out, struct hilum_error *error)
{
	size_t count = (size_t)dicom->width * (size_t)dicom->height;

	if ((first + count + 7) / 8 > length)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %zu bytes of pixel data for %d frames", length,
		               dicom->frames);
	for (size_t i = 0; i < count; i++)
		out[i] = bytes[(first + i) / 8] >> ((first + i) % 8) & 1;
	return HILUM_OK;
}

/* Colour that shares chrominance between two neighbours (PS3.3 C.7.6.3.1.2): Y Y Cb Cr. */
static void spread_422(const uint8_t *in, size_t pixels, uint8_t *out)
{
	for (size_t i = 0; i + 1 < pixels; i += 2, in += 4) {
		uint8_t pair[6] = {in[0], in[2], in[3], in[1], in[2], in[3]};
		memcpy(out + 3 * i, pair, sizeof(pair));
	}
}

static enum hilum_status read_native(const struct hl_dicom *dicom, const uint8_t *bytes, size_t length, int32_t frame,
                                     void *out, struct hilum_error *error)
{
	size_t pixels = (size_t)dicom->width * (size_t)dicom->height, size = hl_dicom_value_size(dicom);
	size_t frame_bytes = hl_dicom_frame_bytes(dicom), stored = frame_bytes, samples = (size_t)dicom->samples;
	bool shared = dicom->photometric == HL_DICOM_YBR_422 && samples == 3 && size == 1 && !dicom->planar;

	if (dicom->bits_allocated == 1 && dicom->numbers == HL_DICOM_INTEGERS)
		return read_bits(dicom, bytes, length, (size_t)frame * pixels, out, error);
	if (shared && length / (size_t)dicom->frames < frame_bytes && dicom->width % 2 == 0)
		stored = pixels * 2;
	if (((size_t)frame + 1) * stored > length)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %zu bytes of pixel data, %zu are needed", length,
		               stored * (size_t)dicom->frames);
	bytes += stored * (size_t)frame;
	if (stored != frame_bytes) {
		spread_422(bytes, pixels, out);
		return HILUM_OK;
	}
	if (dicom->planar && samples == 3) {
		for (size_t plane = 0; plane < samples; plane++)
			for (size_t i = 0; i < pixels; i++)
				memcpy((uint8_t *)out + (i * samples + plane) * size,
				       bytes + (plane * pixels + i) * size, size);
	} else {
		memcpy(out, bytes, frame_bytes);
	}
	if (dicom->big_endian != host_is_big() && size == 2)
		swap16(out, frame_bytes / 2);
	else if (dicom->big_endian != host_is_big() && size > 2)
		swap_bytes(out, frame_bytes / size, size);
	return HILUM_OK;
}

/* ---- compressed values ---- */

/* A frame's fragments one after the other; *own is what has to be freed, if anything. */
static enum hilum_status join(const struct hl_dicom *dicom, int32_t frame, const uint8_t **bytes, size_t *length,
                              uint8_t **own, struct hilum_error *error)
{
	int32_t first = dicom->first_fragment[frame], last = dicom->first_fragment[frame + 1];
	size_t sum = 0;

	*own = NULL;
	for (int32_t i = first; i < last; i++)
		sum += dicom->fragment[i].length;
	*length = sum;
	*bytes = dicom->pixels + dicom->fragment[first].offset;
	if (last - first == 1)
		return HILUM_OK;
	*own = hl_alloc(sum ? sum : 1, 1);
	if (!*own)
		return hl_fail_memory(error, sum, "a frame's fragments");
	*bytes = *own;
	sum = 0;
	for (int32_t i = first; i < last; i++) {
		memcpy(*own + sum, dicom->pixels + dicom->fragment[i].offset, dicom->fragment[i].length);
		sum += dicom->fragment[i].length;
	}
	return HILUM_OK;
}

static enum hilum_status inflate_frame(const uint8_t *bytes, size_t length, const struct hl_dicom_plane *plane,
                                       struct hilum_error *error)
{
	size_t needed = (size_t)plane->width * (size_t)plane->height * (size_t)plane->samples * plane->size, size = 0;
	uint8_t *inflated = NULL;
	/* One byte of padding, perhaps. */
	enum hilum_status status = hl_dicom_inflate(bytes, length, needed + 1, &inflated, &size, error);

	if (!status && size < needed)
		status =
		    hl_fail(error, HILUM_ERROR_FORMAT, "damaged: a frame of %zu bytes inflates to %zu", needed, size);
	if (!status)
		memcpy(plane->out, inflated, needed);
	hl_free(inflated);
	return status;
}

static enum hilum_status decode(const struct hl_dicom *dicom, const uint8_t *bytes, size_t length,
                                const struct hl_dicom_plane *plane, struct hilum_error *error)
{
	switch (dicom->syntax->codec) {
	case HL_DICOM_RLE:
		return hl_decode_rle(bytes, length, plane, error);
	case HL_DICOM_DEFLATE:
		return inflate_frame(bytes, length, plane, error);
	case HL_DICOM_JPEG:
		return hl_decode_jpeg(bytes, length, plane, error);
	case HL_DICOM_JPEG_LS:
		return hl_decode_jpegls(bytes, length, plane, error);
	case HL_DICOM_JPEG_2000:
		return hl_decode_jpeg2000(bytes, length, plane, error);
	default:
		return read_native(dicom, bytes, length, 0, plane->out, error);
	}
}

/* One bit a pixel: eight of them are a byte to what packs bytes. */
static enum hilum_status decode_bits(const struct hl_dicom *dicom, const uint8_t *bytes, size_t length, void *out,
                                     struct hilum_error *error)
{
	size_t packed = ((size_t)dicom->width * (size_t)dicom->height + 7) / 8;
	struct hl_dicom_plane plane = {.width = (int32_t)packed, .height = 1, .samples = 1, .size = 1, .bits = 8};
	enum hilum_status status;

	plane.out = hl_alloc(packed, 1);
	if (!plane.out)
		return hl_fail_memory(error, packed, "a frame of bits");
	status = decode(dicom, bytes, length, &plane, error);
	if (!status)
		status = read_bits(dicom, plane.out, packed, 0, out, error);
	hl_free(plane.out);
	return status;
}

static enum hilum_status read_compressed(const struct hl_dicom *dicom, int32_t frame, void *out,
                                         struct hilum_error *error)
{
	struct hl_dicom_plane plane = {.width = dicom->width,
	                               .height = dicom->height,
	                               .samples = dicom->samples,
	                               .size = hl_dicom_value_size(dicom),
	                               .bits = dicom->bits_stored,
	                               .is_signed = dicom->is_signed,
	                               .out = out};
	const uint8_t *bytes;
	size_t length;
	uint8_t *own;
	enum hilum_status status = join(dicom, frame, &bytes, &length, &own, error);

	if (status)
		return status;
	bool bits = dicom->bits_allocated == 1 &&
	            (dicom->syntax->codec == HL_DICOM_RLE || dicom->syntax->codec == HL_DICOM_DEFLATE);
	status = bits ? decode_bits(dicom, bytes, length, out, error) : decode(dicom, bytes, length, &plane, error);
	hl_free(own);
	return status;
}

/* ---- the bits that count ---- */

/* Shifts the stored bits down, drops all others (overlays once lived there) and extends the sign. */
static void mask(const struct hl_dicom *dicom, void *out, int shift)
{
	size_t count = hl_dicom_frame_bytes(dicom) / hl_dicom_value_size(dicom);
	int bits = dicom->bits_stored, above;

	switch (hl_dicom_value_size(dicom)) {
	case 1: {
		uint8_t *value = out;
		above = 8 - bits;
		for (size_t i = 0; i < count; i++) {
			uint8_t top = (uint8_t)(value[i] >> shift << above);
			value[i] = dicom->is_signed ? (uint8_t)((int8_t)top >> above) : (uint8_t)(top >> above);
		}
		break;
	}
	case 2: {
		uint16_t *value = out;
		above = 16 - bits;
		for (size_t i = 0; i < count; i++) {
			uint16_t top = (uint16_t)(value[i] >> shift << above);
			value[i] = dicom->is_signed ? (uint16_t)((int16_t)top >> above) : (uint16_t)(top >> above);
		}
		break;
	}
	default: {
		uint32_t *value = out;
		above = 32 - bits;
		for (size_t i = 0; i < count; i++) {
			uint32_t top = value[i] >> shift << above;
			value[i] = dicom->is_signed ? (uint32_t)((int32_t)top >> above) : top >> above;
		}
		break;
	}
	}
}

enum hilum_status hl_dicom_read(const struct hl_dicom *dicom, int32_t frame, void *out, struct hilum_error *error)
{
	enum hilum_status status;
	int shift = 0;

	if (!dicom->has_pixels || frame < 0 || frame >= dicom->frames || (dicom->encapsulated && !dicom->fragment))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "no such frame");
	if (dicom->encapsulated)
		status = read_compressed(dicom, frame, out, error);
	else
		status = read_native(dicom, dicom->pixels, dicom->pixel_bytes, frame, out, error);
	if (status || dicom->numbers != HL_DICOM_INTEGERS || dicom->bits_allocated == 1)
		return status;
	/* Picture codecs deliver numbers in the low bits; those that pack bytes keep the layout of native values. */
	if (dicom->syntax->codec <= HL_DICOM_DEFLATE)
		shift = dicom->high_bit + 1 - dicom->bits_stored;
	if (shift > 0 || dicom->bits_stored < dicom->bits_allocated)
		mask(dicom, out, shift);
	return HILUM_OK;
}
