/* A zlib (RFC 1950) or gzip (RFC 1952, several members too) stream in memory, read in order: what is inflated is never
 * held as a whole. And its counterpart for writers. */
#ifndef HL_SCAN_FORMATS_INFLATE_H
#define HL_SCAN_FORMATS_INFLATE_H
#define ZLIB_CONST
#include <zlib.h>

#include "base/buffer.h"
#include "base/file.h"

struct hl_inflate {
	z_stream stream;
	const uint8_t *next;
	size_t left;
	bool open, done;
};

/* The bytes stay the caller's and must outlive the reading. hl_inflate_close, whatever this returns. */
enum hilum_status hl_inflate_open(struct hl_inflate *reader, const uint8_t *bytes, size_t length,
                                  struct hilum_error *error);
void hl_inflate_close(struct hl_inflate *reader);

/* Exactly length bytes, into out or past them. HILUM_ERROR_FORMAT where the stream is damaged or ends before. */
enum hilum_status hl_inflate_read(struct hl_inflate *reader, void *out, size_t length, struct hilum_error *error);
enum hilum_status hl_inflate_skip(struct hl_inflate *reader, size_t length, struct hilum_error *error);

/* Reads to the stream's end, so that its checksum is compared; HILUM_ERROR_LIMIT where more than spare bytes come. */
enum hilum_status hl_inflate_finish(struct hl_inflate *reader, size_t spare, struct hilum_error *error);

/* As many of the first size bytes as can be had; for telling what a file is. */
size_t hl_inflate_peek(const uint8_t *bytes, size_t length, uint8_t *out, size_t size);

/* Appends parts, one after another, as one stream to out. The same bytes always give the same stream. */
enum hilum_status hl_deflate(const struct hl_part *parts, size_t count, bool gzip, struct hl_buffer *out,
                             struct hilum_error *error);
#endif
