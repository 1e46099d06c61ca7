/* Lossless encoders, for synthetic scans. */
#include <openjpeg.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "scan/dicom/write.h"

static size_t pixels_of(const struct hl_dicom_raw *raw)
{
	return (size_t)raw->width * (size_t)raw->height;
}

/* Value i without its sign: the low bits that are stored. */
static uint16_t bits_of(const struct hl_dicom_raw *raw, size_t i)
{
	uint16_t value = raw->size == 1 ? ((const uint8_t *)raw->values)[i] : ((const uint16_t *)raw->values)[i];

	return (uint16_t)(value & ((1u << raw->bits) - 1));
}

/* ---- RLE (PS3.5 annex G) ---- */

/* One row of every stride-th byte, as PackBits. */
static enum hilum_status pack_row(const uint8_t *in, size_t count, size_t stride, struct hl_buffer *out,
                                  struct hilum_error *error)
{
	uint8_t packet[129];
	enum hilum_status status = HILUM_OK;

	for (size_t i = 0; i < count && !status;) {
		size_t run = 1, length;
		while (i + run < count && run < 128 && in[(i + run) * stride] == in[i * stride])
			run++;
		if (run > 2) {
			packet[0] = (uint8_t)(257 - run);
			packet[1] = in[i * stride];
			length = 2;
		} else {
			for (run = 1; i + run < count && run < 128; run++)
				if (i + run + 2 < count && in[(i + run) * stride] == in[(i + run + 1) * stride] &&
				    in[(i + run) * stride] == in[(i + run + 2) * stride])
					break;
			packet[0] = (uint8_t)(run - 1);
			for (size_t k = 0; k < run; k++)
				packet[1 + k] = in[(i + k) * stride];
			length = run + 1;
		}
		status = hl_buffer_append(out, packet, length, error);
		i += run;
	}
	return status;
}

static void put32(uint8_t *at, size_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

enum hilum_status hl_encode_rle(const struct hl_dicom_raw *raw, struct hl_buffer *out, struct hilum_error *error)
{
	size_t width = (size_t)raw->width, size = (size_t)raw->size, begin = out->length;
	uint8_t header[64] = {(uint8_t)size}, *plain = hl_alloc(pixels_of(raw), size);
	enum hilum_status status;

	if (!plain)
		return hl_fail_memory(error, pixels_of(raw) * size, "a frame");
	/* The most significant byte first, whatever this machine's order is. */
	for (size_t i = 0; i < pixels_of(raw); i++) {
		unsigned value = size == 1 ? ((const uint8_t *)raw->values)[i] : ((const uint16_t *)raw->values)[i];
		plain[i * size] = (uint8_t)(value >> 8 * (size - 1));
		plain[i * size + size - 1] = (uint8_t)value;
	}
	status = hl_buffer_append(out, header, sizeof(header), error);
	for (size_t segment = 0; segment < size && !status; segment++) {
		put32((uint8_t *)out->data + begin + 4 + 4 * segment, out->length - begin);
		for (int32_t y = 0; y < raw->height && !status; y++)
			status = pack_row(plain + (size_t)y * width * size + segment, width, size, out, error);
		if (!status && (out->length - begin) % 2)
			status = hl_buffer_append(out, "", 1, error);
	}
	hl_free(plain);
	return status;
}

/* ---- JPEG lossless (ITU-T T.81 annex H), predictor 1 ---- */

struct bits {
	struct hl_buffer *out;
	uint64_t hold;
	int count;
	enum hilum_status status;
	struct hilum_error *error;
};

static void put_bits(struct bits *bits, uint32_t value, int count)
{
	bits->hold = bits->hold << count | value;
	bits->count += count;
	while (bits->count >= 8 && !bits->status) {
		uint8_t byte[2] = {(uint8_t)(bits->hold >> (bits->count - 8)), 0};
		bits->status = hl_buffer_append(bits->out, byte, byte[0] == 0xff ? 2 : 1, bits->error);
		bits->count -= 8;
	}
}

/* How many codes there are of each length for the categories 0 to 16, in this order. */
static const uint8_t lengths[16] = {0, 1, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0};

static void put_difference(struct bits *bits, int32_t difference)
{
	int size = 0, length = 2;
	uint32_t code = 0, first = 0;

	while (size < 16 && (difference < 0 ? -difference : difference) >> size)
		size++;
	/* Canonical codes (annex C). */
	for (int left = size;; length++, first = (first + lengths[length - 2]) << 1) {
		if (left < lengths[length - 1]) {
			code = first + (uint32_t)left;
			break;
		}
		left -= lengths[length - 1];
	}
	put_bits(bits, code, length);
	if (size > 0 && size < 16)
		put_bits(bits, (uint32_t)(difference < 0 ? difference - 1 : difference) & ((1u << size) - 1), size);
}

enum hilum_status hl_encode_jpeg_lossless(const struct hl_dicom_raw *raw, struct hl_buffer *out,
                                          struct hilum_error *error)
{
	uint8_t head[] = {0xff,
	                  0xd8,
	                  0xff,
	                  0xc3,
	                  0,
	                  11,
	                  (uint8_t)raw->bits,
	                  (uint8_t)(raw->height >> 8),
	                  (uint8_t)raw->height,
	                  (uint8_t)(raw->width >> 8),
	                  (uint8_t)raw->width,
	                  1,
	                  1,
	                  0x11,
	                  0,
	                  0xff,
	                  0xc4,
	                  0,
	                  2 + 17 + 17,
	                  0};
	static const uint8_t symbols[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	static const uint8_t scan[] = {0xff, 0xda, 0, 8, 1, 1, 0, 1, 0, 0}, end[] = {0xff, 0xd9};
	struct bits bits = {.out = out, .error = error};
	size_t width = (size_t)raw->width;
	enum hilum_status status = hl_buffer_append(out, head, sizeof(head), error);

	if (!status)
		status = hl_buffer_append(out, lengths, sizeof(lengths), error);
	if (!status)
		status = hl_buffer_append(out, symbols, sizeof(symbols), error);
	bits.status = status ? status : hl_buffer_append(out, scan, sizeof(scan), error);
	for (size_t i = 0; i < pixels_of(raw) && !bits.status; i++) {
		int32_t before = i == 0          ? 1 << (raw->bits - 1)
		                 : i % width > 0 ? bits_of(raw, i - 1)
		                                 : bits_of(raw, i - width);
		int32_t difference = (int16_t)(uint16_t)(bits_of(raw, i) - before);
		put_difference(&bits, difference);
	}
	if (bits.count > 0)
		put_bits(&bits, 0x7f >> (bits.count - 1), 8 - bits.count);
	return bits.status ? bits.status : hl_buffer_append(out, end, sizeof(end), error);
}

/* ---- JPEG 2000 ---- */

/* Where the library writes to; it goes back to fill in what it did not know. */
struct sink {
	struct hl_buffer buffer;
	size_t at;
};

static OPJ_SIZE_T on_write(void *bytes, OPJ_SIZE_T count, void *context)
{
	struct sink *sink = context;
	size_t over = sink->buffer.length - sink->at < count ? sink->buffer.length - sink->at : count;

	if (over > 0)
		memcpy(sink->buffer.data + sink->at, bytes, over);
	if (hl_buffer_append(&sink->buffer, (const uint8_t *)bytes + over, count - over, NULL))
		return (OPJ_SIZE_T)-1;
	sink->at += count;
	return count;
}

static OPJ_BOOL on_seek(OPJ_OFF_T place, void *context)
{
	struct sink *sink = context;

	if (place < 0 || (size_t)place > sink->buffer.length)
		return OPJ_FALSE;
	sink->at = (size_t)place;
	return OPJ_TRUE;
}

static OPJ_OFF_T on_skip(OPJ_OFF_T count, void *context)
{
	struct sink *sink = context;

	return on_seek((OPJ_OFF_T)sink->at + count, sink) ? count : -1;
}

static opj_image_t *make_image(const struct hl_dicom_raw *raw)
{
	opj_image_cmptparm_t component = {.dx = 1,
	                                  .dy = 1,
	                                  .w = (OPJ_UINT32)raw->width,
	                                  .h = (OPJ_UINT32)raw->height,
	                                  .prec = (OPJ_UINT32)raw->bits,
	                                  .sgnd = raw->is_signed};
	opj_image_t *image = opj_image_create(1, &component, OPJ_CLRSPC_GRAY);

	if (!image)
		return NULL;
	image->x1 = component.w;
	image->y1 = component.h;
	int above = raw->is_signed ? 32 - raw->bits : 0;
	for (size_t i = 0; i < pixels_of(raw); i++)
		image->comps[0].data[i] = (OPJ_INT32)((uint32_t)bits_of(raw, i) << above) >> above;
	return image;
}

enum hilum_status hl_encode_jpeg2000(const struct hl_dicom_raw *raw, struct hl_buffer *out, struct hilum_error *error)
{
	opj_cparameters_t parameters;
	opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
	opj_stream_t *stream = opj_stream_default_create(OPJ_FALSE);
	opj_image_t *image = make_image(raw);
	struct sink sink = {.at = 0};
	int32_t side = raw->width < raw->height ? raw->width : raw->height;
	enum hilum_status status;

	hl_buffer_init(&sink.buffer, out->maximum);
	opj_set_default_encoder_parameters(&parameters);
	parameters.tcp_numlayers = 1;
	parameters.cp_disto_alloc = 1;
	/* No more levels than the picture halves. */
	while (parameters.numresolution > 1 && side >> (parameters.numresolution - 1) == 0)
		parameters.numresolution--;
	if (!codec || !stream || !image) {
		status = hl_fail_memory(error, pixels_of(raw) * 4, "JPEG 2000");
		goto out;
	}
	opj_stream_set_user_data(stream, &sink, NULL);
	opj_stream_set_write_function(stream, on_write);
	opj_stream_set_seek_function(stream, on_seek);
	opj_stream_set_skip_function(stream, on_skip);
	if (opj_setup_encoder(codec, &parameters, image) && opj_start_compress(codec, image, stream) &&
	    opj_encode(codec, stream) && opj_end_compress(codec, stream))
		status = hl_buffer_append(out, sink.buffer.data, sink.buffer.length, error);
	else
		status = hl_fail(error, HILUM_ERROR_INTERNAL, "JPEG 2000: %d x %d pixels were not encoded", raw->width,
		                 raw->height);
out:
	if (image)
		opj_image_destroy(image);
	if (stream)
		opj_stream_destroy(stream);
	if (codec)
		opj_destroy_codec(codec);
	hl_buffer_free(&sink.buffer);
	return status;
}

/* ---- deflate ---- */

enum hilum_status hl_encode_deflate(const void *bytes, size_t length, struct hl_buffer *out, struct hilum_error *error)
{
	z_stream stream = {0};
	size_t room = length + length / 100 + 1024;
	uint8_t *packed = hl_alloc(room, 1);
	enum hilum_status status;

	if (!packed)
		return hl_fail_memory(error, room, "deflating");
	if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
		hl_free(packed);
		return hl_fail_memory(error, room, "deflating");
	}
	stream.next_in = (Bytef *)(uintptr_t)bytes;
	stream.avail_in = (uInt)length;
	stream.next_out = packed;
	stream.avail_out = (uInt)room;
	status = deflate(&stream, Z_FINISH) == Z_STREAM_END
	             ? hl_buffer_append(out, packed, room - stream.avail_out, error)
	             : hl_fail(error, HILUM_ERROR_INTERNAL, "deflating failed");
	deflateEnd(&stream);
	hl_free(packed);
	return status;
}
