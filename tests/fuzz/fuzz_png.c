/* libFuzzer target: any bytes as a PNG, checksums set right first, since a fuzzer does not find those by itself. */
#include <stdlib.h>
#include <string.h>

#include "samples.h"
#include "scan/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct hl_volume volume = {0};
	struct hilum_error error = {0};
	uint8_t *copy = malloc(length ? length : 1);
	enum hilum_status status;

	if (!copy)
		return 0;
	memcpy(copy, bytes, length);
	sample_repair_png(copy, length);
	status = hl_format_png.decode(copy, length, &volume, &error);
	if ((status == HILUM_OK) != (volume.voxels != NULL) || status != error.code)
		__builtin_trap();
	hl_volume_free(&volume);
	free(copy);
	return 0;
}
