#include "scan/load_heads.h"

#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/parallel.h"

enum { DEPTH_MAX = 16 };

/* ---- folders ---- */

static enum hilum_status add_path(struct hl_names *names, size_t *room, char *path, struct hilum_error *error)
{
	if (names->count >= HL_LOAD_FILES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "more than %d files", HL_LOAD_FILES_MAX);
	if (names->count == *room) {
		size_t more = *room ? *room * 2 : 256;
		char **name = hl_realloc(names->name, more, sizeof(*name));
		if (!name)
			return hl_fail_memory(error, more * sizeof(*name), "names of files");
		names->name = name;
		*room = more;
	}
	names->name[names->count++] = path;
	return HILUM_OK;
}

static enum hilum_status walk(const char *folder, int depth, struct hl_names *names, size_t *room,
                              struct hilum_error *error)
{
	struct hl_names here = {0};
	enum hilum_status status = hl_directory_list(folder, HL_LOAD_FILES_MAX, &here, error);

	for (size_t i = 0; i < here.count && !status; i++) {
		char *path = hl_path_join(folder, here.name[i]);
		struct stat what;
		if (!path) {
			status = hl_fail_memory(error, strlen(folder) + strlen(here.name[i]), "a path");
			break;
		}
		if (lstat(path, &what) == 0 && S_ISDIR(what.st_mode) && depth < DEPTH_MAX) {
			status = walk(path, depth + 1, names, room, error);
		} else if (stat(path, &what) == 0 && S_ISREG(what.st_mode)) {
			status = add_path(names, room, path, error);
			path = status ? path : NULL;
		}
		hl_free(path);
	}
	hl_names_free(&here);
	return status;
}

enum hilum_status hl_folder_walk(const char *folder, struct hl_names *out, struct hilum_error *error)
{
	struct hl_names names = {0};
	size_t room = 0;
	enum hilum_status status = walk(folder, 0, &names, &room, error);

	if (status)
		hl_names_free(&names);
	else
		*out = names;
	return status;
}

enum hilum_status hl_directory_files(const char *path, struct hl_names *out, struct hilum_error *error)
{
	const struct hl_file file = {.name = path, .path = path};
	const char *slash = strrchr(path, '/');
	char *folder = hl_format("%.*s", slash ? (int)(slash - path + 1) : 0, path);
	struct hl_names names = {0};
	enum hilum_status status =
	    folder ? hl_directory_read(&file, &names, error) : hl_fail_memory(error, strlen(path), "a path");

	for (size_t i = 0; i < names.count && !status; i++) {
		char *joined = hl_path_join(folder, names.name[i]);
		if (!joined)
			status = hl_fail_memory(error, strlen(folder), "a path");
		hl_free(names.name[i]);
		names.name[i] = joined;
	}
	hl_free(folder);
	if (status)
		hl_names_free(&names);
	else
		*out = names;
	return status;
}

/* ---- heads ---- */

struct heads {
	const struct hl_file *files;
	struct hl_head *heads;
	bool inside;
};

static void read_head(void *context, int32_t index)
{
	const struct heads *heads = context;

	hl_head_read(&heads->files[index], heads->inside, &heads->heads[index]);
}

enum hilum_status hl_heads_read(const struct hl_file *files, size_t count, int32_t threads, bool inside,
                                struct hl_head **out, struct hilum_error *error)
{
	struct heads heads = {.files = files, .inside = inside};

	if (count > HL_LOAD_FILES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "more than %d files", HL_LOAD_FILES_MAX);
	heads.heads = hl_alloc(count ? count : 1, sizeof(*heads.heads));
	if (!heads.heads)
		return hl_fail_memory(error, count * sizeof(*heads.heads), "heads of files");
	hl_parallel((int32_t)count, threads, read_head, &heads);
	*out = heads.heads;
	return HILUM_OK;
}

void hl_heads_free(struct hl_head *heads, size_t count)
{
	for (size_t i = 0; heads && i < count; i++)
		hl_dicom_close(&heads[i].dicom);
	hl_free(heads);
}
