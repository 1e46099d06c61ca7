/* Archives: what comes out of them, and what hostile ones get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/archives.h"
#include "base/file.h"
#include "base/memory.h"
#include "scan/format.h"
#include "scan/formats/archive.h"

static char folder[] = "/tmp/hilum-archive-XXXXXX";
static const enum archive_kind kinds[] = {ARCHIVE_KIND_ZIP, ARCHIVE_KIND_ZIP_STORED, ARCHIVE_KIND_TAR,
                                          ARCHIVE_KIND_TGZ};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	char *command = hl_format("rm -rf '%s'", folder);
	int result = command ? system(command) : -1;

	(void)state;
	hl_free(command);
	return result;
}

static enum hilum_status open_bytes(const struct hl_buffer *bytes, struct hl_archive *out, struct hilum_error *error)
{
	const struct hl_sandbox_input input = {-1, (const uint8_t *)bytes->data, bytes->length};

	return hl_archive_open(&input, out, error);
}

static void test_contents(void **state)
{
	static uint8_t large[300000];
	const struct archived files[] = {
	    {.name = "folder/"},
	    {"folder/a.txt", "words", 5, NULL},
	    {"folder/empty", "", 0, NULL},
	    {.name = "link", .link = "folder/a.txt"},
	    {"large", large, sizeof(large), NULL},
	    {"__MACOSX/folder/._a.txt", "x", 1, NULL},
	    {"folder/.hidden", "x", 1, NULL},
	    {".git/x", "x", 1, NULL},
	    {"../../up", "up", 2, NULL},
	    {"./b", "b", 1, NULL},
	};
	static const char *const names[] = {"folder/a.txt", "folder/empty", "large", "../../up", "./b"};
	static const size_t lengths[] = {5, 0, sizeof(large), 2, 1};

	(void)state;
	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (uint8_t)(i * i >> 7);
	for (size_t k = 0; k < KINDS; k++) {
		struct hl_buffer bytes = archive_make(kinds[k], files, sizeof(files) / sizeof(*files));
		struct hl_archive archive;
		struct hilum_error error;
		assert_true(hl_archive_detect((const uint8_t *)bytes.data, bytes.length < 4096 ? bytes.length : 4096));
		if (open_bytes(&bytes, &archive, &error))
			fail_msg("kind %zu: %s", k, error.message);
		assert_int_equal(archive.count, 5);
		for (size_t i = 0; i < 5; i++) {
			assert_string_equal(archive.file[i].name, names[i]);
			assert_int_equal(archive.file[i].length, lengths[i]);
			assert_null(archive.file[i].path);
		}
		assert_memory_equal(archive.file[2].bytes, large, sizeof(large));
		hl_archive_close(&archive);
		hl_buffer_free(&bytes);
	}
}

static void test_foreign(void **state)
{
	(void)state;
	assert_false(hl_archive_detect((const uint8_t *)"PK", 2));
	assert_false(hl_archive_detect((const uint8_t *)"\x1f\x8b\x08 and then nothing that inflates", 30));
	assert_false(hl_archive_detect((const uint8_t *)"", 0));
}

/* ---- scans in archives ---- */

static void load_from(const char *name, enum archive_kind kind, const struct archived *files, size_t count,
                      enum hilum_status expected, struct hl_volume *out, struct hilum_error *error)
{
	char *path = hl_path_join(folder, name);
	struct hl_buffer bytes = archive_make(kind, files, count);
	enum hilum_status status;

	assert_int_equal(hl_file_write(path, &(struct hl_part){bytes.data, bytes.length}, 1, NULL), HILUM_OK);
	hl_buffer_free(&bytes);
	status = hl_load(path, NULL, out, NULL, error);
	if (status != expected)
		fail_msg("%s: %d, %s", name, (int)status, error->message);
	hl_free(path);
}

static void test_scans(void **state)
{
	char *path = hl_path_join(folder, "x.mhd"), *raw = hl_path_join(folder, "x.zraw");
	struct hl_buffer header, voxels;
	struct hl_volume volume, back;
	struct hilum_error error;

	(void)state;
	assert_int_equal(hl_volume_init(&volume, 9, 7, 5, 1, HL_VOXEL_I16, NULL), HILUM_OK);
	for (int i = 0; i < 9 * 7 * 5; i++)
		((int16_t *)volume.voxels)[i] = (int16_t)(i * 37 % 3000 - 1000);
	assert_int_equal(hl_metaimage_write(path, &volume, true, NULL), HILUM_OK);
	assert_int_equal(hl_file_read(path, 1 << 20, &header, NULL), HILUM_OK);
	assert_int_equal(hl_file_read(raw, 1 << 20, &voxels, NULL), HILUM_OK);
	const struct archived files[] = {{"other/x.zraw", "wrong", 5, NULL},
	                                 {"scan/x.mhd", header.data, header.length, NULL},
	                                 {"notes.txt", "words", 5, NULL},
	                                 {"scan/x.zraw", voxels.data, voxels.length, NULL}};
	for (size_t k = 0; k < KINDS; k++) {
		load_from("scan", kinds[k], files, 4, HILUM_OK, &back, &error);
		assert_memory_equal(back.voxels, volume.voxels, 9 * 7 * 5 * 2);
		hl_volume_free(&back);
	}
	/* Not without its second file, though one of that name lies in another folder, or on the disk. */
	load_from("part", ARCHIVE_KIND_ZIP, files, 3, HILUM_ERROR_IO, &back, &error);
	assert_non_null(strstr(error.message, "part: scan/x.mhd: the file of its voxels, x.zraw, is not there"));
	load_from("words", ARCHIVE_KIND_TAR, files + 2, 1, HILUM_ERROR_FORMAT, &back, &error);
	assert_non_null(strstr(error.message, "no scan among 1 files"));
	load_from("none", ARCHIVE_KIND_ZIP, files, 0, HILUM_ERROR_FORMAT, &back, &error);
	if (!strstr(error.message, "no files in it"))
		fail_msg("%s", error.message);
	hl_volume_free(&volume);
	hl_buffer_free(&header);
	hl_buffer_free(&voxels);
	hl_free(path);
	hl_free(raw);
}

/* ---- hostile ---- */

static void assert_refused(const struct hl_buffer *bytes, enum hilum_status status, const char *message)
{
	struct hl_archive archive = {.count = 77};
	struct hilum_error error = {0};
	enum hilum_status got = open_bytes(bytes, &archive, &error);

	if (got != status || !strstr(error.message, message))
		fail_msg("%d, %s", (int)got, error.message);
	assert_int_equal(archive.count, 77);
}

static void test_locked(void **state)
{
	const struct archived file = {"a", "words", 5, NULL};
	struct hl_buffer bytes = archive_make(ARCHIVE_KIND_ZIP_LOCKED, &file, 1);

	(void)state;
	assert_true(bytes.length > 0);
	assert_refused(&bytes, HILUM_ERROR_UNSUPPORTED, "encrypted");
	hl_buffer_free(&bytes);
}

static void test_bombs(void **state)
{
	const struct archived zeros[] = {{"a", NULL, (size_t)500 << 20, NULL}, {"b", NULL, (size_t)500 << 20, NULL}};
	static const enum archive_kind packed[] = {ARCHIVE_KIND_ZIP, ARCHIVE_KIND_TGZ};

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		struct hl_buffer bytes = archive_make(packed[k], zeros, 2);
		assert_true(bytes.length > 0 && bytes.length < (size_t)4 << 20);
		assert_refused(&bytes, HILUM_ERROR_LIMIT, "unpacks to more than 448 MiB");
		hl_buffer_free(&bytes);
	}
}

static void test_many(void **state)
{
	size_t count = HL_ARCHIVE_FILES_MAX + 1;
	struct archived *files = calloc(count, sizeof(*files));
	struct hl_buffer bytes;

	(void)state;
	for (size_t i = 0; i < count; i++)
		files[i] = (struct archived){"a", "", 0, NULL};
	bytes = archive_make(ARCHIVE_KIND_TGZ, files, count);
	assert_refused(&bytes, HILUM_ERROR_LIMIT, "more than 100000 files");
	hl_buffer_free(&bytes);
	/* Folders are no files, but too many of them are too many. */
	for (size_t i = 0; i < count; i++)
		files[i].name = "a/";
	bytes = archive_make(ARCHIVE_KIND_TGZ, files, count);
	struct hl_archive archive;
	assert_int_equal(open_bytes(&bytes, &archive, NULL), HILUM_OK);
	assert_int_equal(archive.count, 0);
	hl_archive_close(&archive);
	hl_buffer_free(&bytes);
	free(files);
}

/* A zip cut off anywhere lacks its directory; a tar lacks bytes of a file, or its end. */
static void test_truncated(void **state)
{
	static uint8_t noise[3000];
	const struct archived files[] = {{"a", noise, sizeof(noise), NULL}, {"b", noise, 1000, NULL}};

	(void)state;
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 2654435761u >> 11);
	for (size_t k = 0; k < KINDS; k++) {
		struct hl_buffer bytes = archive_make(kinds[k], files, 2), cut;
		for (size_t length = 1; length < bytes.length; length += 97) {
			struct hl_archive archive;
			struct hilum_error error = {0};
			cut = bytes;
			cut.length = length;
			if (open_bytes(&cut, &archive, &error) == HILUM_OK) {
				/* All that there is is whole. */
				assert_int_equal(kinds[k], ARCHIVE_KIND_TAR);
				assert_true(archive.count < 1 || archive.file[0].length == sizeof(noise));
				assert_true(archive.count < 2 || archive.file[1].length == 1000);
				hl_archive_close(&archive);
			} else {
				assert_true(error.code == HILUM_ERROR_FORMAT && error.message[0]);
			}
		}
		hl_buffer_free(&bytes);
	}
}

/* A wrong checksum is noticed. */
static void test_damaged(void **state)
{
	static uint8_t noise[3000];
	const struct archived file = {"a", noise, sizeof(noise), NULL};
	struct hl_buffer bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 2654435761u >> 11);
	bytes = archive_make(ARCHIVE_KIND_ZIP_STORED, &file, 1);
	bytes.data[1000] ^= 1;
	assert_refused(&bytes, HILUM_ERROR_FORMAT, "damaged");
	hl_buffer_free(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_contents),  cmocka_unit_test(test_foreign), cmocka_unit_test(test_scans),
	    cmocka_unit_test(test_locked),    cmocka_unit_test(test_bombs),   cmocka_unit_test(test_many),
	    cmocka_unit_test(test_truncated), cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
