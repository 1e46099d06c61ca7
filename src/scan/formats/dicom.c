/* DICOM (PS3.5, PS3.10) as a format of one file: a slice of CT, or an enhanced image as a whole. A series of many files
 * is scan/load.h's. */
#include "scan/dicom.h"
#include "scan/format.h"
#include "scan/load.h"

static enum hilum_status decode(const uint8_t *bytes, size_t length, struct hl_volume *out, struct hilum_error *error)
{
	const struct hl_file file = {.name = "the file", .bytes = bytes, .length = length};
	const struct hl_load_options options = {.threads = 1, .inside = true};

	return hl_load_files(&file, 1, &options, out, NULL, error);
}

const struct hl_format hl_format_dicom = {
    .name = "DICOM",
    .extensions = "dcm dicom ima",
    .detect = hl_dicom_detect,
    .decode = decode,
};
