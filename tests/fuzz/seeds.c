/* seeds DIR: writes every sound sample into a folder of DIR by its kind (DIR/jpeg, ...) and a small model into
 * DIR/model, as a corpus to fuzz from. */
#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "model/model.h"
#include "samples.h"

static enum hilum_status write_model(const char *folder, struct hilum_error *error)
{
	char no[] = "no", yes[] = "yes", *path = hl_path_join(folder, "model/0");
	char *const classes[] = {no, yes};
	const struct hl_shape input = {.n = 1, .d = 1, .h = 4, .w = 4, .c = 1};
	struct hilum_model *model = NULL;
	enum hilum_status status = hl_model_create(
	    "conv filters=2 size=3\nbatchnorm\nrelu\nglobalpool\ndense units=1\n", input, classes, 2, 1, &model, error);
	char *into = hl_path_join(folder, "model");
	if (!status)
		status = hl_directory_make(into, error);
	if (!status)
		status = hl_model_save(model, path, error);
	hilum_model_close(model);
	hl_free(into);
	hl_free(path);
	return status;
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = {"jpeg", "png", "tiff", "csv", "nifti", "metaimage", "dicom", "archive"};
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
	if (result == 0 && write_model(argv[1], &error)) {
		fprintf(stderr, "%s\n", error.message);
		result = 1;
	}
	return result;
}
