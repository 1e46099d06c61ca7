/* What lies below a path, and what each file's head says: the first half of scan/load.h. */
#ifndef HL_SCAN_LOAD_HEADS_H
#define HL_SCAN_LOAD_HEADS_H
#include "base/file.h"
#include "scan/dicom_work.h"

#define HL_LOAD_FILES_MAX 100000

/* The paths of all regular files below a folder; hidden ones and folders behind symbolic links are left out.
 * hl_names_free. */
enum hilum_status hl_folder_walk(const char *folder, struct hl_names *out, struct hilum_error *error);
/* The paths of the files that a DICOMDIR names. hl_names_free. */
enum hilum_status hl_directory_files(const char *path, struct hl_names *out, struct hilum_error *error);

/* Reads the heads of all files, several at a time; the caller frees them with hl_heads_free. Only memory can fail: what
 * a file cannot is in its head. */
enum hilum_status hl_heads_read(const struct hl_file *files, size_t count, int32_t threads, bool inside,
                                struct hl_head **out, struct hilum_error *error);
void hl_heads_free(struct hl_head *heads, size_t count);
#endif
