/* libtiff over memory, its messages caught: shared by the reader and the writer. */
#ifndef HL_SCAN_FORMATS_TIFF_MEMORY_H
#define HL_SCAN_FORMATS_TIFF_MEMORY_H
#include <tiffio.h>

#include "base/buffer.h"

struct hl_tiff_log {
	char first[200]; /* the first error: later ones follow from it */
	int warnings;
};

/* Reads from bytes, or, when bytes is NULL, reads and writes the buffer. Stays where it is while the TIFF is open. */
struct hl_tiff_memory {
	const uint8_t *bytes;
	size_t length;
	struct hl_buffer buffer;
	size_t at;
	struct hl_tiff_log log;
};

/* NULL with an error set when this is no TIFF. Closed by TIFFClose; the buffer stays the caller's. */
TIFF *hl_tiff_open(struct hl_tiff_memory *memory, const char *mode, struct hilum_error *error);

/* The first error that libtiff named, or the other text. */
const char *hl_tiff_reason(const struct hl_tiff_log *log, const char *otherwise);
#endif
