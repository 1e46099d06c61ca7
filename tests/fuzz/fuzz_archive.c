/* libFuzzer target: any bytes as an archive, in this process; then a sum over what came out, so that a sanitizer sees
 * every byte of it. */
#include <string.h>

#include "scan/formats/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	const struct hl_sandbox_input input = {-1, bytes, length};
	struct hl_archive archive = {0};
	struct hilum_error error = {0};
	volatile size_t sum = 0;

	hilum_sandbox(false);
	(void)hl_archive_detect(bytes, length);
	if ((hl_archive_open(&input, &archive, &error) == HILUM_OK) != (archive.memory != NULL))
		__builtin_trap();
	for (size_t i = 0; i < archive.count; i++) {
		sum += strlen(archive.file[i].name);
		for (size_t k = 0; k < archive.file[i].length; k++)
			sum += archive.file[i].bytes[k];
	}
	hl_archive_close(&archive);
	return 0;
}
