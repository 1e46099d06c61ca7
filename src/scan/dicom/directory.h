/* DICOMDIR (PS3.3 annex F, PS3.10 section 8): the files that a medium's directory names. */
#ifndef HL_SCAN_DICOM_DIRECTORY_H
#define HL_SCAN_DICOM_DIRECTORY_H
#include "base/file.h"

/* Whether a DICOM file is a directory. */
bool hl_dicom_is_directory(const uint8_t *bytes, size_t length);

/* Whether a path is relative and leads to nothing outside of its folder: parts of letters, digits, "_", "-" and ".",
 * none of them dots alone. */
bool hl_dicom_is_path(const char *path);

#define HL_DIRECTORY_FILES_MAX 100000
/* Paths relative to the directory's folder, in its order; never one that leads out of it. hl_names_free. */
enum hilum_status hl_dicom_directory(const uint8_t *bytes, size_t length, struct hl_names *out,
                                     struct hilum_error *error);
#endif
