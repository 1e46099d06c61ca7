/* seeds DIR: writes every sound sample into DIR/jpeg, DIR/png, DIR/tiff and DIR/csv, as a corpus to fuzz from. */
#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "samples.h"

int main(int argc, char **argv)
{
	static const char *const kinds[] = {"jpeg", "png", "tiff", "csv"};
	static struct sample samples[SAMPLES_MAX];
	struct hilum_error error = {0};
	size_t count = samples_make(samples);
	int result = argc == 2 && count > 0 ? 0 : 1;

	for (size_t i = 0; i < count && result == 0; i++) {
		struct hl_part part = {samples[i].bytes, samples[i].length};
		char *folder = hl_path_join(argv[1], kinds[samples[i].kind]);
		char *path = folder ? hl_format("%s/%zu", folder, i) : NULL;
		if (!path || hl_directory_make(folder, &error) || hl_file_write(path, &part, 1, &error)) {
			fprintf(stderr, "%s\n", error.message);
			result = 1;
		}
		hl_free(path);
		hl_free(folder);
	}
	samples_free(samples, count);
	return result;
}
