/* Files: read whole with a limit; replaced in one step. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

/* Some kernels cut one call at 2 GiB. */
#define IO_CHUNK ((size_t)1 << 30)

static enum hilum_status read_all(int fd, const char *path, size_t size, struct hl_buffer *out,
                                  struct hilum_error *error)
{
	out->data = hl_alloc(size + 1, 1);
	if (!out->data)
		return hl_prefix(error, hl_fail_memory(error, size, "the file"), "%s", path);
	out->capacity = size + 1;
	while (out->length < size) {
		size_t wanted = size - out->length < IO_CHUNK ? size - out->length : IO_CHUNK;
		ssize_t got = read(fd, out->data + out->length, wanted);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return hl_fail_errno(error, path);
		if (got == 0)
			return hl_fail(error, HILUM_ERROR_IO, "%s: the file shrank while it was read", path);
		out->length += (size_t)got;
	}
	return HILUM_OK;
}

enum hilum_status hl_file_open(const char *path, size_t maximum, int *out, size_t *size, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	struct stat info;
	/* Non-blocking, so that opening a pipe does not hang before its kind is known. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return hl_fail_errno(error, path);
	if (fstat(fd, &info))
		status = hl_fail_errno(error, path);
	else if (!S_ISREG(info.st_mode))
		status = hl_fail(error, HILUM_ERROR_IO, "%s: %s, not a file", path,
		                 S_ISDIR(info.st_mode) ? "a folder" : "a device or pipe");
	else if ((uint64_t)info.st_size > maximum || info.st_size >= PTRDIFF_MAX)
		status = hl_fail(error, HILUM_ERROR_LIMIT, "%s: %lld bytes, more than %zu", path,
		                 (long long)info.st_size, maximum);
	if (status) {
		close(fd);
		return status;
	}
	*out = fd;
	*size = (size_t)info.st_size;
	return HILUM_OK;
}

enum hilum_status hl_file_read(const char *path, size_t maximum, struct hl_buffer *out, struct hilum_error *error)
{
	struct hl_buffer buffer;
	enum hilum_status status;
	size_t size;
	int fd;

	hl_buffer_init(&buffer, maximum);
	status = hl_file_open(path, maximum, &fd, &size, error);
	if (status)
		return status;
	status = read_all(fd, path, size, &buffer, error);
	if (!status)
		*out = buffer;
	else
		hl_buffer_free(&buffer);
	close(fd);
	return status;
}

static bool write_all(int fd, const struct hl_part *parts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *data = parts[i].data;
		size_t left = parts[i].length;
		while (left > 0) {
			ssize_t done = write(fd, data, left < IO_CHUNK ? left : IO_CHUNK);
			if (done < 0 && errno == EINTR)
				continue;
			if (done < 0)
				return false;
			data += done;
			left -= (size_t)done;
		}
	}
	return true;
}

/* The folder that holds path, as a new string. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return hl_strdup(".");
	return hl_format("%.*s", (int)(slash == path ? 1 : slash - path), path);
}

/* A rename lasts through a power cut only when the folder is on disk too. Some file systems cannot sync a folder. */
static bool sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool done;

	if (fd < 0)
		return false;
	done = fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP;
	close(fd);
	return done;
}

/* Devices and pipes (/dev/stdout) are written through: there is nothing to replace. */
static enum hilum_status write_through(const char *path, const struct hl_part *parts, size_t count,
                                       struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return hl_fail_errno(error, path);
	if (!write_all(fd, parts, count))
		status = hl_fail_errno(error, path);
	if (close(fd) && !status)
		status = hl_fail_errno(error, path);
	return status;
}

enum hilum_status hl_file_write(const char *path, const struct hl_part *parts, size_t count, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	char *temporary, *folder;
	bool made = false;
	struct stat info;
	int fd = -1;

	if (stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
		return write_through(path, parts, count, error);
	temporary = hl_format("%s.tmp-%ld", path, (long)getpid());
	folder = folder_of(path);
	if (!temporary || !folder) {
		status = hl_fail_memory(error, strlen(path), "a path");
		goto out;
	}
	/* What an earlier process of the same number left behind. */
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0) {
		status = hl_fail_errno(error, path);
		goto out;
	}
	made = true;
	if (!write_all(fd, parts, count) || fsync(fd)) {
		status = hl_fail_errno(error, path);
		goto out;
	}
	if (close(fd)) {
		fd = -1;
		status = hl_fail_errno(error, path);
		goto out;
	}
	fd = -1;
	if (rename(temporary, path)) {
		status = hl_fail_errno(error, path);
		goto out;
	}
	made = false;
	if (!sync_folder(folder))
		status = hl_fail_errno(error, folder);
out:
	if (fd >= 0)
		close(fd);
	if (made)
		unlink(temporary);
	hl_free(folder);
	hl_free(temporary);
	return status;
}

enum hilum_status hl_directory_make(const char *path, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	char *copy = hl_strdup(path);

	if (!copy)
		return hl_fail_memory(error, strlen(path), "a path");
	for (char *c = copy + (*copy == '/');; c++) {
		char end = *c;
		if (end != '/' && end != '\0')
			continue;
		*c = '\0';
		if (*copy && mkdir(copy, 0777) && !hl_path_is_directory(copy)) {
			status = hl_fail_errno(error, copy);
			break;
		}
		*c = end;
		if (end == '\0')
			break;
	}
	hl_free(copy);
	return status;
}

/* errno is kept: callers ask after a call that failed. */
bool hl_path_is_directory(const char *path)
{
	int number = errno;
	struct stat info;
	bool is = stat(path, &info) == 0 && S_ISDIR(info.st_mode);

	errno = number;
	return is;
}

bool hl_path_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

char *hl_path_join(const char *folder, const char *name)
{
	size_t length = strlen(folder);

	if (name[0] == '/' || length == 0)
		return hl_strdup(name);
	return hl_format("%s%s%s", folder, folder[length - 1] == '/' ? "" : "/", name);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum hilum_status add_name(struct hl_names *names, size_t *capacity, const char *name, struct hilum_error *error)
{
	if (names->count == *capacity) {
		size_t wanted = *capacity ? *capacity * 2 : 64;
		char **grown = hl_realloc(names->name, wanted, sizeof(*grown));
		if (!grown)
			return hl_fail_memory(error, wanted * sizeof(*grown), "a list of names");
		names->name = grown;
		*capacity = wanted;
	}
	names->name[names->count] = hl_strdup(name);
	if (!names->name[names->count])
		return hl_fail_memory(error, strlen(name) + 1, "a name");
	names->count++;
	return HILUM_OK;
}

enum hilum_status hl_directory_list(const char *path, size_t maximum, struct hl_names *out, struct hilum_error *error)
{
	struct hl_names names = {0};
	enum hilum_status status = HILUM_OK;
	size_t capacity = 0;
	DIR *folder = opendir(path);

	if (!folder)
		return hl_fail_errno(error, path);
	for (;;) {
		struct dirent *entry;
		errno = 0;
		entry = readdir(folder);
		if (!entry) {
			if (errno)
				status = hl_fail_errno(error, path);
			break;
		}
		if (entry->d_name[0] == '.')
			continue;
		if (names.count == maximum) {
			status = hl_fail(error, HILUM_ERROR_LIMIT, "%s: more than %zu names", path, maximum);
			break;
		}
		status = add_name(&names, &capacity, entry->d_name, error);
		if (status) {
			hl_prefix(error, status, "%s", path);
			break;
		}
	}
	closedir(folder);
	if (status) {
		hl_names_free(&names);
		return status;
	}
	if (names.count > 1)
		qsort(names.name, names.count, sizeof(*names.name), compare_names);
	*out = names;
	return HILUM_OK;
}

void hl_names_free(struct hl_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		hl_free(names->name[i]);
	hl_free(names->name);
	*names = (struct hl_names){0};
}
