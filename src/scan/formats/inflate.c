/* Inflating and deflating in memory. */
#include "scan/formats/inflate.h"

#include "base/memory.h"

#define CHUNK ((size_t)1 << 30) /* zlib counts in unsigned int */

static voidpf allocate(voidpf opaque, uInt count, uInt size)
{
	(void)opaque;
	return hl_alloc(count, size);
}

static void release(voidpf opaque, voidpf address)
{
	(void)opaque;
	hl_free(address);
}

enum hilum_status hl_inflate_open(struct hl_inflate *reader, const uint8_t *bytes, size_t length,
                                  struct hilum_error *error)
{
	*reader = (struct hl_inflate){.next = bytes, .left = length};
	reader->stream.zalloc = allocate;
	reader->stream.zfree = release;
	/* 15: the largest window; 32: zlib or gzip, as the stream says. */
	if (inflateInit2(&reader->stream, 15 + 32) != Z_OK)
		return hl_fail(error, HILUM_ERROR_MEMORY, "no memory for the decoder");
	reader->open = true;
	return HILUM_OK;
}

void hl_inflate_close(struct hl_inflate *reader)
{
	if (reader->open)
		inflateEnd(&reader->stream);
	reader->open = false;
}

/* Fills size bytes as far as the stream goes; *got tells how many. */
static enum hilum_status fill(struct hl_inflate *reader, uint8_t *out, size_t size, size_t *got,
                              struct hilum_error *error)
{
	z_stream *stream = &reader->stream;

	*got = 0;
	while (*got < size && !reader->done) {
		uInt room = (uInt)(size - *got < CHUNK ? size - *got : CHUNK);
		uInt input = (uInt)(reader->left < CHUNK ? reader->left : CHUNK);
		int code;
		stream->next_in = reader->next;
		stream->avail_in = input;
		stream->next_out = out + *got;
		stream->avail_out = room;
		code = inflate(stream, Z_NO_FLUSH);
		*got += room - stream->avail_out;
		reader->next += input - stream->avail_in;
		reader->left -= input - stream->avail_in;
		if (code == Z_STREAM_END) {
			/* Another member of a gzip file may follow; anything else after the end is not looked at. */
			bool more = reader->left >= 2 && reader->next[0] == 0x1f && reader->next[1] == 0x8b;
			reader->done = !more || inflateReset(stream) != Z_OK;
		} else if (code == Z_MEM_ERROR) {
			return hl_fail(error, HILUM_ERROR_MEMORY, "no memory for the decoder");
		} else if (code == Z_BUF_ERROR) {
			return hl_fail(error, HILUM_ERROR_FORMAT, "cut off: its compressed data end too early");
		} else if (code != Z_OK) {
			return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %s",
			               stream->msg ? stream->msg : "its compressed data make no sense");
		}
	}
	return HILUM_OK;
}

enum hilum_status hl_inflate_read(struct hl_inflate *reader, void *out, size_t length, struct hilum_error *error)
{
	size_t got;
	enum hilum_status status = fill(reader, out, length, &got, error);

	if (!status && got < length)
		return hl_fail(error, HILUM_ERROR_FORMAT, "cut off: %zu bytes are missing", length - got);
	return status;
}

enum hilum_status hl_inflate_skip(struct hl_inflate *reader, size_t length, struct hilum_error *error)
{
	uint8_t waste[4096];
	enum hilum_status status = HILUM_OK;

	while (length > 0 && !status) {
		size_t step = length < sizeof(waste) ? length : sizeof(waste);
		status = hl_inflate_read(reader, waste, step, error);
		length -= step;
	}
	return status;
}

enum hilum_status hl_inflate_finish(struct hl_inflate *reader, size_t spare, struct hilum_error *error)
{
	uint8_t waste[4096];
	size_t got, sum = 0;

	do {
		enum hilum_status status = fill(reader, waste, sizeof(waste), &got, error);
		if (status)
			return status;
		sum += got;
		if (sum > spare)
			return hl_fail(error, HILUM_ERROR_LIMIT, "more than %zu bytes after its voxels", spare);
	} while (got > 0);
	return HILUM_OK;
}

size_t hl_inflate_peek(const uint8_t *bytes, size_t length, uint8_t *out, size_t size)
{
	struct hl_inflate reader;
	size_t got = 0;

	if (!hl_inflate_open(&reader, bytes, length, NULL))
		(void)fill(&reader, out, size, &got, NULL);
	hl_inflate_close(&reader);
	return got;
}

/* Packs what stream has been given into out. */
static enum hilum_status pack(z_stream *stream, int flush, struct hl_buffer *out, struct hilum_error *error)
{
	uint8_t packed[32768];
	int code;

	do {
		enum hilum_status status;
		stream->next_out = packed;
		stream->avail_out = sizeof(packed);
		code = deflate(stream, flush);
		status = hl_buffer_append(out, packed, sizeof(packed) - stream->avail_out, error);
		if (status)
			return status;
	} while (stream->avail_out == 0 || (flush == Z_FINISH && code == Z_OK));
	return HILUM_OK;
}

enum hilum_status hl_deflate(const struct hl_part *parts, size_t count, bool gzip, struct hl_buffer *out,
                             struct hilum_error *error)
{
	z_stream stream = {.zalloc = allocate, .zfree = release};
	enum hilum_status status = HILUM_OK;

	/* Level 3: half the time of the default for a few percent more bytes of a CT. */
	if (deflateInit2(&stream, 3, Z_DEFLATED, 15 + (gzip ? 16 : 0), 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return hl_fail(error, HILUM_ERROR_MEMORY, "no memory for the encoder");
	for (size_t i = 0; i < count && !status; i++) {
		const uint8_t *next = parts[i].data;
		size_t left = parts[i].length;
		while (left > 0 && !status) {
			uInt step = (uInt)(left < CHUNK ? left : CHUNK);
			stream.next_in = next;
			stream.avail_in = step;
			status = pack(&stream, Z_NO_FLUSH, out, error);
			next += step;
			left -= step;
		}
	}
	if (!status)
		status = pack(&stream, Z_FINISH, out, error);
	deflateEnd(&stream);
	return status;
}
