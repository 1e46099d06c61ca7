/* libFuzzer target: any bytes as a model file. What loads must save, load again and hold the same weights. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_again(const struct hilum_model *model, const char *path)
{
	struct hilum_model *again = NULL;
	char hash[17], hash_again[17];
	if (hl_model_save(model, path, NULL))
		return;
	if (hl_model_load(path, &again, NULL))
		__builtin_trap();
	hl_model_hash(model, hash);
	hl_model_hash(again, hash_again);
	for (int i = 0; i < 16; i++)
		if (hash[i] != hash_again[i])
			__builtin_trap();
	hilum_model_close(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct hilum_error error = {0};
	struct hilum_model *model = NULL;
	char path[64], saved[64];
	int fd = memfd_create("model", MFD_CLOEXEC);

	if (fd < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	snprintf(saved, sizeof(saved), "/dev/shm/hilum-fuzz-%ld", (long)getpid());
	if (write(fd, bytes, length) == (ssize_t)length) {
		if (hl_model_load(path, &model, &error)) {
			if (error.code == HILUM_OK || error.code == HILUM_ERROR_INTERNAL || model)
				__builtin_trap();
		} else {
			check_again(model, saved);
			unlink(saved);
			hilum_model_close(model);
		}
	}
	close(fd);
	return 0;
}
