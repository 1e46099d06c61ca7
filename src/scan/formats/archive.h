/* Archives of scans: .zip, .tar and .tar.gz, unpacked into memory and never onto a disk. */
#ifndef HL_SCAN_FORMATS_ARCHIVE_H
#define HL_SCAN_FORMATS_ARCHIVE_H
#include "scan/load.h"
#include "scan/sandbox.h"

#define HL_ARCHIVE_FILES_MAX 100000
/* Of all files unpacked together, with what is needed to find them; held twice while it is handed over. */
#define HL_ARCHIVE_BYTES_MAX ((size_t)448 << 20)
/* How many times its size an archive may unpack to beyond the first megabyte: deflate's most is 1032. What makes more
 * is made to. */
#define HL_ARCHIVE_RATIO_MAX 1100

/* Regular files in the archive's order; hidden ones, links and folders are left out. Names are as the archive has them:
 * labels, which lead nowhere. */
struct hl_archive {
	size_t count;
	struct hl_file *file; /* name and bytes, which lie in memory; no path */
	uint8_t *memory;
};

/* By the first bytes, 4096 of which are enough. */
bool hl_archive_detect(const uint8_t *bytes, size_t length);

/* Unpacks in the sandbox. HILUM_ERROR_LIMIT beyond the limits above, HILUM_ERROR_UNSUPPORTED for encrypted files,
 * HILUM_ERROR_FORMAT for damage. hl_archive_close. */
enum hilum_status hl_archive_open(const struct hl_sandbox_input *input, struct hl_archive *out,
                                  struct hilum_error *error);
void hl_archive_close(struct hl_archive *archive);
#endif
