/* libFuzzer target: any bytes as MetaImage; where the header names another file, the same bytes are that file's. */
#include <string.h>

#include "scan/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	char name[HL_COMPANION_MAX];
	struct hl_volume volume = {0};
	struct hilum_error error = {0};

	if (hl_format_metaimage.companion(bytes, length, name, &error))
		return 0;
	if (strchr(name, '/') || strcmp(name, "..") == 0)
		__builtin_trap();
	if ((hl_format_metaimage.decode_both(bytes, length, bytes, length, &volume, &error) == HILUM_OK) !=
	    (volume.voxels != NULL))
		__builtin_trap();
	hl_volume_free(&volume);
	return 0;
}
