/* Archives made in memory, by libarchive's writers: for the tests of the reader. */
#ifndef HILUM_TESTS_ARCHIVES_H
#define HILUM_TESTS_ARCHIVES_H
#include "base/buffer.h"

enum archive_kind {
	ARCHIVE_KIND_ZIP,
	ARCHIVE_KIND_ZIP_STORED,
	ARCHIVE_KIND_ZIP_LOCKED,
	ARCHIVE_KIND_TAR,
	ARCHIVE_KIND_TGZ
};

/* bytes NULL: length zeros. A name that ends in a slash is a folder; link: the entry is a symbolic link to it. */
struct archived {
	const char *name;
	const void *bytes;
	size_t length;
	const char *link;
};

/* An empty buffer where the archive cannot be made. hl_buffer_free. */
struct hl_buffer archive_make(enum archive_kind kind, const struct archived *files, size_t count);
#endif
