/* libtiff's client procedures over memory. */
#include "scan/formats/tiff_memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* libtiff's own allocations (tag arrays, codec state), each. */
#define SINGLE_ALLOCATION_MAX ((tmsize_t)256 << 20)

static size_t length_of(const struct hl_tiff_memory *memory)
{
	return memory->bytes ? memory->length : memory->buffer.length;
}

static tmsize_t read_bytes(thandle_t handle, void *out, tmsize_t size)
{
	struct hl_tiff_memory *memory = handle;
	const uint8_t *bytes = memory->bytes ? memory->bytes : (const uint8_t *)memory->buffer.data;
	size_t length = length_of(memory);
	size_t count = size > 0 ? (size_t)size : 0;

	if (memory->at >= length)
		return 0;
	if (count > length - memory->at)
		count = length - memory->at;
	memcpy(out, bytes + memory->at, count);
	memory->at += count;
	return (tmsize_t)count;
}

/* Writes over what is there and beyond its end; a gap left by a seek is filled with zeros. */
static tmsize_t write_bytes(thandle_t handle, void *in, tmsize_t size)
{
	struct hl_tiff_memory *memory = handle;
	const char *from = in;
	size_t left = size > 0 ? (size_t)size : 0;
	size_t over = 0;

	if (memory->bytes)
		return 0;
	while (memory->buffer.length < memory->at) {
		static const char zeros[64];
		size_t gap = memory->at - memory->buffer.length;
		if (hl_buffer_append(&memory->buffer, zeros, gap < sizeof(zeros) ? gap : sizeof(zeros), NULL))
			return 0;
	}
	if (memory->at < memory->buffer.length) {
		over = memory->buffer.length - memory->at;
		if (over > left)
			over = left;
		memcpy(memory->buffer.data + memory->at, from, over);
	}
	if (hl_buffer_append(&memory->buffer, from + over, left - over, NULL))
		return 0;
	memory->at += left;
	return size;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence)
{
	struct hl_tiff_memory *memory = handle;

	if (whence == SEEK_CUR)
		offset += memory->at;
	else if (whence == SEEK_END)
		offset += length_of(memory);
	/* Beyond any size this reader or writer allows. */
	if (offset > (toff_t)1 << 40)
		return (toff_t)-1;
	memory->at = offset;
	return offset;
}

static int close_nothing(thandle_t handle)
{
	(void)handle;
	return 0;
}

static toff_t size_of(thandle_t handle)
{
	return length_of(handle);
}

/* A reader's bytes are lent without a copy; libtiff does not write to a mapped file. */
static int map(thandle_t handle, void **base, toff_t *size)
{
	struct hl_tiff_memory *memory = handle;

	if (!memory->bytes)
		return 0;
	memcpy(base, &memory->bytes, sizeof(*base));
	*size = memory->length;
	return 1;
}

static void unmap(thandle_t handle, void *base, toff_t size)
{
	(void)handle;
	(void)base;
	(void)size;
}

/* Both keep libtiff from going on to its global handlers, which print. */
static int on_error(TIFF *tiff, void *context, const char *module, const char *format, va_list arguments)
    __attribute__((format(printf, 4, 0)));
static int on_warning(TIFF *tiff, void *context, const char *module, const char *format, va_list arguments)
    __attribute__((format(printf, 4, 0)));

static int on_error(TIFF *tiff, void *context, const char *module, const char *format, va_list arguments)
{
	struct hl_tiff_log *log = context;

	(void)tiff;
	(void)module;
	if (!log->first[0])
		vsnprintf(log->first, sizeof(log->first), format, arguments);
	return 1;
}

/* A tag whose value lies beyond the file's end is only warned about and then ignored, so that a palette picture cut
 * short would pass for a grey one. libtiff's wording is all there is to know it by. */
static int on_warning(TIFF *tiff, void *context, const char *module, const char *format, va_list arguments)
{
	struct hl_tiff_log *log = context;

	log->warnings++;
	return strstr(format, "IO error") ? on_error(tiff, context, module, format, arguments) : 1;
}

TIFF *hl_tiff_open(struct hl_tiff_memory *memory, const char *mode, struct hilum_error *error)
{
	TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
	TIFF *tiff;

	if (!options) {
		hl_fail(error, HILUM_ERROR_MEMORY, "no memory for libtiff");
		return NULL;
	}
	TIFFOpenOptionsSetMaxSingleMemAlloc(options, SINGLE_ALLOCATION_MAX);
	TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, &memory->log);
	TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, &memory->log);
	tiff = TIFFClientOpenExt("TIFF", mode, memory, read_bytes, write_bytes, seek, close_nothing, size_of, map,
	                         unmap, options);
	TIFFOpenOptionsFree(options);
	if (!tiff)
		hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %s", hl_tiff_reason(&memory->log, "no directory"));
	return tiff;
}

const char *hl_tiff_reason(const struct hl_tiff_log *log, const char *otherwise)
{
	return log->first[0] ? log->first : otherwise;
}
