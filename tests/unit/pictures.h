/* A folder of tiny pictures for the tests of the data room, made and removed by each test. */
#ifndef HL_TEST_PICTURES_H
#define HL_TEST_PICTURES_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "scan/format.h"

struct pictures {
	char root[64];
};

static inline void pictures_path(const struct pictures *pictures, const char *name, char path[512])
{
	snprintf(path, 512, "%s/%s", pictures->root, name);
}

static inline int pictures_setup(void **state)
{
	struct pictures *pictures = calloc(1, sizeof(*pictures));
	strcpy(pictures->root, "/tmp/hilum-test-XXXXXX");
	*state = pictures;
	return mkdtemp(pictures->root) ? 0 : -1;
}

static inline int pictures_teardown(void **state)
{
	struct pictures *pictures = *state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf -- '%s'", pictures->root);
	int failed = system(command);
	free(pictures);
	return failed;
}

static inline void pictures_folder(const struct pictures *pictures, const char *name)
{
	char path[512];
	pictures_path(pictures, name, path);
	assert_int_equal(hl_directory_make(path, NULL), HILUM_OK);
}

static inline void pictures_text(const struct pictures *pictures, const char *name, const char *text)
{
	char path[512];
	pictures_path(pictures, name, path);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	fclose(file);
}

/* A grey picture whose pixels are (start + 3x + 5y) mod 256. */
static inline void pictures_png(const struct pictures *pictures, const char *name, int32_t width, int32_t height,
                                int start)
{
	char path[512];
	struct hl_volume volume = {0};
	pictures_path(pictures, name, path);
	assert_int_equal(hl_volume_init(&volume, width, height, 1, 1, HL_VOXEL_U8, NULL), HILUM_OK);
	volume.unit = HL_UNIT_GREY;
	volume.maximum = 255;
	for (int32_t y = 0; y < height; y++)
		for (int32_t x = 0; x < width; x++)
			((uint8_t *)volume.voxels)[y * width + x] = (uint8_t)(start + 3 * x + 5 * y);
	assert_int_equal(hl_png_write(path, &volume, NULL), HILUM_OK);
	hl_volume_free(&volume);
}

#endif
