/* Files: read whole with a limit; written to a new file, synced and renamed, so that a reader or a kill -9 sees the old
 * contents or the new ones and nothing between. */
#ifndef HL_BASE_FILE_H
#define HL_BASE_FILE_H
#include "base/buffer.h"

/* Reads a regular file whole. HILUM_ERROR_LIMIT when larger than maximum; the size is checked before memory is taken.
 * Errors name the path. The caller frees out with hl_buffer_free. */
enum hilum_status hl_file_read(const char *path, size_t maximum, struct hl_buffer *out, struct hilum_error *error);

/* Opens a regular file for reading, with the same checks; the caller closes it. */
enum hilum_status hl_file_open(const char *path, size_t maximum, int *out, size_t *size, struct hilum_error *error);

/* Writes parts one after another to PATH.tmp-PID, fsyncs it, renames it to path and fsyncs the folder. The temporary
 * file is removed on failure. */
struct hl_part {
	const void *data;
	size_t length;
};
enum hilum_status hl_file_write(const char *path, const struct hl_part *parts, size_t count, struct hilum_error *error);

/* mkdir -p. */
enum hilum_status hl_directory_make(const char *path, struct hilum_error *error);
bool hl_path_is_directory(const char *path);
bool hl_path_exists(const char *path);
/* New string folder/name (or just name when it is absolute), or NULL without memory. */
char *hl_path_join(const char *folder, const char *name);
/* The names in a folder, sorted by byte value, without "." and "..", hidden ones left out. hl_names_free. */
struct hl_names {
	char **name;
	size_t count;
};
enum hilum_status hl_directory_list(const char *path, size_t maximum, struct hl_names *out, struct hilum_error *error);
void hl_names_free(struct hl_names *names);
#endif
