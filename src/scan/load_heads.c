#include "scan/load_heads.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "scan/dicom/directory.h"
#include "scan/format.h"

enum { DEPTH_MAX = 16 };
/* Most headers fit into the first piece; those of enhanced images are longer. */
#define FIRST_PIECE ((size_t)32 << 10)

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
	const char *slash = strrchr(path, '/');
	char *folder = hl_format("%.*s", slash ? (int)(slash - path + 1) : 0, path);
	struct hl_buffer bytes;
	struct hl_names names = {0};
	enum hilum_status status;

	if (!folder)
		return hl_fail_memory(error, strlen(path), "a path");
	status = hl_file_read(path, HL_FILE_BYTES_MAX, &bytes, error);
	if (!status) {
		status = hl_dicom_directory((const uint8_t *)bytes.data, bytes.length, &names, error);
		if (status)
			hl_prefix(error, status, "%s", path);
		hl_buffer_free(&bytes);
	}
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

struct piece {
	int descriptor; /* -1: in memory */
	const uint8_t *bytes;
	uint8_t *own;
	size_t length, total;
};

static enum hilum_status open_piece(const struct hl_file *file, struct piece *piece, struct hilum_error *error)
{
	struct stat what;

	*piece = (struct piece){.descriptor = -1, .bytes = file->bytes, .length = file->length, .total = file->length};
	if (file->bytes)
		return HILUM_OK;
	/* Not blocked by a pipe that nobody writes to. */
	piece->descriptor = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (piece->descriptor < 0 || fstat(piece->descriptor, &what))
		return hl_fail_errno(error, file->name);
	if (!S_ISREG(what.st_mode))
		return hl_fail(error, HILUM_ERROR_IO, "%s: no regular file", file->name);
	if ((uint64_t)what.st_size > HL_FILE_BYTES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%s: more than %zu bytes", file->name, HL_FILE_BYTES_MAX);
	piece->total = (size_t)what.st_size;
	return HILUM_OK;
}

/* At least length bytes, or all there are. */
static enum hilum_status extend_piece(const struct hl_file *file, struct piece *piece, size_t length,
                                      struct hilum_error *error)
{
	uint8_t *own;

	if (piece->descriptor < 0 || length > piece->total)
		length = piece->total;
	if (length <= piece->length)
		return HILUM_OK;
	own = hl_realloc(piece->own, length, 1);
	if (!own)
		return hl_fail_memory(error, length, "a file's head");
	piece->bytes = piece->own = own;
	while (piece->length < length) {
		ssize_t got =
		    pread(piece->descriptor, own + piece->length, length - piece->length, (off_t)piece->length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return hl_fail_errno(error, file->name);
		if (got == 0)
			return hl_fail(error, HILUM_ERROR_IO, "%s: became shorter while it was read", file->name);
		piece->length += (size_t)got;
	}
	return HILUM_OK;
}

struct heads {
	const struct hl_file *files;
	struct hl_head *heads;
};

static void read_head(void *context, int32_t index)
{
	const struct heads *heads = context;
	const struct hl_file *file = &heads->files[index];
	struct hl_head *head = &heads->heads[index];
	struct piece piece;
	enum hilum_status status = open_piece(file, &piece, &head->error);
	bool more = true;

	if (!status)
		status = extend_piece(file, &piece, FIRST_PIECE, &head->error);
	if (status) {
		head->kind = HL_HEAD_DAMAGED;
		goto out;
	}
	if (!hl_dicom_detect(piece.bytes, piece.length)) {
		head->kind = hl_scan_is_known(piece.bytes, piece.length) ? HL_HEAD_SCAN : HL_HEAD_OTHER;
		goto out;
	}
	while (more && !status) {
		status = hl_dicom_open_head(piece.bytes, piece.length, piece.total, &head->dicom, &more, &head->error);
		if (status)
			hl_prefix(&head->error, status, "%s", file->name);
		else if (more)
			status = extend_piece(file, &piece, piece.length * 8, &head->error);
	}
	head->kind = status ? HL_HEAD_DAMAGED : HL_HEAD_DICOM;
	/* They point into the piece. */
	head->dicom.pixels = NULL;
	head->dicom.pixel_bytes = 0;
	hl_free(head->dicom.inflated);
	hl_free(head->dicom.fragment);
	hl_free(head->dicom.first_fragment);
	head->dicom.inflated = NULL;
	head->dicom.fragment = NULL;
	head->dicom.first_fragment = NULL;
out:
	if (piece.descriptor >= 0)
		close(piece.descriptor);
	hl_free(piece.own);
}

enum hilum_status hl_heads_read(const struct hl_file *files, size_t count, int32_t threads, struct hl_head **out,
                                struct hilum_error *error)
{
	struct heads heads = {.files = files};

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

enum hilum_status hl_file_peek(const char *path, uint8_t *out, size_t size, size_t *got, struct hilum_error *error)
{
	struct hl_file file = {.name = path, .path = path};
	struct piece piece;
	enum hilum_status status = open_piece(&file, &piece, error);

	if (!status)
		status = extend_piece(&file, &piece, size, error);
	*got = status ? 0 : piece.length < size ? piece.length : size;
	if (*got > 0)
		memcpy(out, piece.bytes, *got);
	if (piece.descriptor >= 0)
		close(piece.descriptor);
	hl_free(piece.own);
	return status;
}
