/* Reading DICOM files in the sandbox: the parts of it that run there, and what is made of their answers here. */
#ifndef HL_SCAN_DICOM_WORK_H
#define HL_SCAN_DICOM_WORK_H
#include "base/file.h"
#include "scan/dicom.h"
#include "scan/load.h"

enum hl_head_kind {
	HL_HEAD_OTHER, /* nothing that hilum reads */
	HL_HEAD_SCAN,  /* another format */
	HL_HEAD_DICOM,
	HL_HEAD_DIRECTORY, /* DICOMDIR */
	HL_HEAD_DAMAGED    /* DICOM that cannot be read, or a file that cannot be opened */
};

struct hl_head {
	enum hl_head_kind kind;
	struct hl_dicom dicom; /* what its header says: no pixels. hl_dicom_close */
	struct hilum_error error;
};

/* inside: this process is a worker of the sandbox already; files must then be in memory. */
void hl_head_read(const struct hl_file *file, bool inside, struct hl_head *out);

/* At most so many frames of a file at a time. */
#define HL_FRAMES_MAX 4096
/* Reads frames of a file whose head says dicom: their stored values, one frame behind the other, as hl_dicom_read gives
 * them. hl_free(*out). */
enum hilum_status hl_frames_read(const struct hl_file *file, bool inside, const struct hl_dicom *dicom,
                                 const int32_t *frames, int32_t count, uint8_t **out, struct hilum_error *error);

/* The paths, relative to its folder, of the files that a DICOMDIR names. hl_names_free. */
enum hilum_status hl_directory_read(const struct hl_file *file, struct hl_names *out, struct hilum_error *error);
#endif
