/* libFuzzer target: any bytes as a DICOM file: its header, its frames, and the volume they make. */
#include "base/memory.h"
#include "scan/dicom.h"
#include "scan/dicom/directory.h"
#include "scan/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void read_frames(const struct hl_dicom *dicom)
{
	size_t size = hl_dicom_frame_bytes(dicom);
	void *values = size < (size_t)16 << 20 ? hl_alloc(size, 1) : NULL;

	for (int32_t i = 0; i < dicom->frames && i < 4 && values; i++) {
		struct hilum_error error = {0};
		if (hl_dicom_read(dicom, i, values, &error) != error.code)
			__builtin_trap();
	}
	hl_free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct hl_volume volume = {0};
	struct hl_dicom dicom = {0};
	struct hl_names names = {0};
	struct hilum_error error = {0};

	if (!hl_dicom_open(bytes, length, &dicom, &error) && dicom.has_pixels)
		read_frames(&dicom);
	hl_dicom_close(&dicom);
	if (hl_format_dicom.detect(bytes, length) &&
	    (hl_format_dicom.decode(bytes, length, &volume, &error) == HILUM_OK) != (volume.voxels != NULL))
		__builtin_trap();
	hl_volume_free(&volume);
	if (hl_dicom_is_directory(bytes, length) && !hl_dicom_directory(bytes, length, &names, &error))
		for (size_t i = 0; i < names.count; i++)
			if (!hl_dicom_is_path(names.name[i]))
				__builtin_trap();
	hl_names_free(&names);
	return 0;
}
