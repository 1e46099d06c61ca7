/* What lies below a path, and what each file's head says: the first half of scan/load.h. */
#ifndef HL_SCAN_LOAD_HEADS_H
#define HL_SCAN_LOAD_HEADS_H
#include "base/file.h"
#include "scan/dicom.h"
#include "scan/load.h"

#define HL_LOAD_FILES_MAX 100000

/* The paths of all regular files below a folder; hidden ones and folders behind symbolic links are left out.
 * hl_names_free. */
enum hilum_status hl_folder_walk(const char *folder, struct hl_names *out, struct hilum_error *error);

/* The paths of the files that a DICOMDIR names. hl_names_free. */
enum hilum_status hl_directory_files(const char *path, struct hl_names *out, struct hilum_error *error);
/* The first bytes of a regular file, at most size. */
enum hilum_status hl_file_peek(const char *path, uint8_t *out, size_t size, size_t *got, struct hilum_error *error);

enum hl_head_kind {
	HL_HEAD_OTHER, /* no DICOM */
	HL_HEAD_SCAN,  /* another format that hilum reads */
	HL_HEAD_DICOM,
	HL_HEAD_DAMAGED /* DICOM that cannot be read */
};

struct hl_head {
	enum hl_head_kind kind;
	struct hl_dicom dicom; /* no pixels */
	struct hilum_error error;
};

/* Reads the heads of all files, several at a time; the caller frees them with hl_heads_free. Only memory can fail: what
 * a file cannot is in its head. */
enum hilum_status hl_heads_read(const struct hl_file *files, size_t count, int32_t threads, struct hl_head **out,
                                struct hilum_error *error);
void hl_heads_free(struct hl_head *heads, size_t count);
#endif
