/* libFuzzer target: any bytes as a TIFF. */
#include "scan/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct hl_volume volume = {0};
	struct hilum_error error = {0};
	enum hilum_status status = hl_format_tiff.decode(bytes, length, &volume, &error);

	if ((status == HILUM_OK) != (volume.voxels != NULL) || status != error.code)
		__builtin_trap();
	hl_volume_free(&volume);
	return 0;
}
