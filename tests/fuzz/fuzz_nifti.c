/* libFuzzer target: any bytes as NIfTI, plain or gzip. */
#include "scan/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct hl_volume volume = {0};
	struct hilum_error error = {0};

	if (!hl_format_nifti.detect(bytes, length))
		return 0;
	if ((hl_format_nifti.decode(bytes, length, &volume, &error) == HILUM_OK) != (volume.voxels != NULL))
		__builtin_trap();
	hl_volume_free(&volume);
	return 0;
}
