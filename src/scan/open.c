/* Files are opened here and read in the sandbox. */
#include "scan/open.h"

#include <math.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "scan/format.h"

void hl_volume_expect(struct hl_sandbox_call *call)
{
	if (call->shared)
		hl_volume_lend(call->shared, HL_SANDBOX_OUTPUT_MAX, HL_SANDBOX_KEPT);
}

enum hilum_status hl_volume_pass(struct hl_sandbox_call *call, struct hl_volume *volume, struct hl_volume *into,
                                 struct hilum_error *error)
{
	size_t size = (size_t)volume->width * (size_t)volume->height * (size_t)volume->depth *
	              (size_t)volume->channels * hl_voxel_size(volume->type);
	uint8_t *output = volume->voxels ? hl_sandbox_output(call, size) : NULL;
	bool given = volume->voxels;

	if (output) {
		if (output != volume->voxels)
			memcpy(output, volume->voxels, size);
		*into = *volume;
		into->voxels = NULL;
	}
	hl_volume_free(volume);
	hl_volume_lend(NULL, 0, 0);
	return output || !given ? HILUM_OK : hl_fail_memory(error, size, "a volume");
}

static bool is_sound(const struct hl_volume *volume)
{
	bool grey = volume->type == HL_VOXEL_U8 || volume->type == HL_VOXEL_U16, finite = isfinite(volume->maximum);

	for (int i = 0; i < 9; i++)
		finite = finite && isfinite(volume->direction[i / 3][i % 3]) && isfinite(volume->origin[i / 3]) &&
		         isfinite(volume->spacing[i / 3]) && volume->spacing[i / 3] >= 0;
	return finite && (volume->unit == HL_UNIT_GREY) == grey && (volume->maximum > 0) == grey &&
	       (grey || volume->unit == HL_UNIT_HOUNSFIELD);
}

enum hilum_status hl_volume_accept(const struct hl_volume *passed, const uint8_t *output, size_t length,
                                   struct hl_volume *out, struct hilum_error *error)
{
	struct hl_volume volume = *passed, made;
	uint8_t flag;
	enum hilum_status status;

	/* A bool that is neither true nor false must not be looked at as one. */
	memcpy(&flag, (const uint8_t *)passed + offsetof(struct hl_volume, oriented), 1);
	volume.oriented = flag == 1;
	volume.format[sizeof(volume.format) - 1] = '\0';
	status = hl_volume_init(&made, volume.width, volume.height, volume.depth, volume.channels, volume.type, error);
	if (status)
		return status;
	size_t size = (size_t)made.width * (size_t)made.height * (size_t)made.depth * (size_t)made.channels *
	              hl_voxel_size(made.type);
	if (size != length || !is_sound(&volume)) {
		hl_volume_free(&made);
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: its decoder gave no sound volume");
	}
	hl_sandbox_copy(made.voxels, output, size);
	volume.voxels = made.voxels;
	*out = volume;
	return HILUM_OK;
}

/* ---- one file ---- */

/* A volume, or the name of the file that is needed beside the first. */
struct answer {
	struct hl_volume volume;
	char companion[HL_COMPANION_MAX];
};

static enum hilum_status decode_there(struct hl_sandbox_call *call, struct hilum_error *error)
{
	const struct hl_sandbox_bytes *first = &call->input[0], *second = &call->input[1];
	struct answer *answer = call->result;
	struct hl_volume volume = {0};
	enum hilum_status status = HILUM_OK;

	if (!second->bytes)
		status = hl_scan_companion(first->bytes, first->length, answer->companion, error);
	if (status || answer->companion[0])
		return status;
	status = hl_scan_decode_both(first->bytes, first->length, second->bytes, second->length, &volume, error);
	return status ? status : hl_volume_pass(call, &volume, &answer->volume, error);
}

struct receiver {
	struct hl_volume *out;
	bool done;
	char companion[HL_COMPANION_MAX];
};

static enum hilum_status receive(void *context, const void *result, const uint8_t *output, size_t length,
                                 struct hilum_error *error)
{
	const struct answer *answer = result;
	struct receiver *receiver = context;

	if (answer->companion[0] == '\0') {
		receiver->done = true;
		return hl_volume_accept(&answer->volume, output, length, receiver->out, error);
	}
	memcpy(receiver->companion, answer->companion, HL_COMPANION_MAX);
	receiver->companion[HL_COMPANION_MAX - 1] = '\0';
	/* Formats have checked this, but it comes from where they run. */
	if (strchr(receiver->companion, '/') || strcmp(receiver->companion, "..") == 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: a file elsewhere is asked for");
	return HILUM_OK;
}

/* Runs the job; where the answer is the name of a second file, *name points to it and nothing is done yet. */
static enum hilum_status decode(struct hl_sandbox_job *job, struct hl_volume *out, char name[HL_COMPANION_MAX],
                                struct hilum_error *error)
{
	struct receiver receiver = {.out = out};
	bool whole = job->input[1].bytes || job->input[1].fd >= 0;
	enum hilum_status status;

	job->work = decode_there;
	job->result_size = sizeof(struct answer);
	job->receive = receive;
	job->context = &receiver;
	status = hl_sandbox_run(job, error);
	name[0] = '\0';
	if (status || receiver.done)
		return status;
	if (whole)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: its decoder gave no volume");
	memcpy(name, receiver.companion, HL_COMPANION_MAX);
	return HILUM_OK;
}

static enum hilum_status decode_file(const char *path, int fd, size_t size, struct hl_volume *out,
                                     struct hilum_error *error)
{
	struct hl_sandbox_job job = {.input = {{.fd = fd, .length = size}, {.fd = -1}}};
	char name[HL_COMPANION_MAX], *beside;
	const char *slash = strrchr(path, '/');
	enum hilum_status status = decode(&job, out, name, error);

	if (status || !name[0])
		return status;
	beside = hl_format("%.*s%s", slash ? (int)(slash - path + 1) : 0, path, name);
	if (!beside)
		return hl_fail_memory(error, strlen(path), "a path");
	status = hl_file_open(beside, HL_FILE_BYTES_MAX, &job.input[1].fd, &job.input[1].length, error);
	hl_free(beside);
	if (status)
		return status;
	status = decode(&job, out, name, error);
	close(job.input[1].fd);
	return status;
}

enum hilum_status hl_scan_open(const char *path, struct hl_volume *out, struct hilum_error *error)
{
	enum hilum_status status;
	size_t size;
	int fd;

	status = hl_file_open(path, HL_FILE_BYTES_MAX, &fd, &size, error);
	if (status)
		return status;
	status = decode_file(path, fd, size, out, error);
	if (status)
		hl_prefix(error, status, "%s", path);
	close(fd);
	return status;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The file of that name in the same folder. */
static const struct hl_file *find_beside(const struct hl_file *files, size_t count, const struct hl_file *first,
                                         const char *name)
{
	size_t folder = (size_t)(base_name(first->name) - first->name);

	for (size_t i = 0; i < count; i++)
		if (files[i].bytes && strncmp(files[i].name, first->name, folder) == 0 &&
		    strcmp(files[i].name + folder, name) == 0)
			return &files[i];
	return NULL;
}

enum hilum_status hl_scan_open_among(const struct hl_file *files, size_t count, size_t which, struct hl_volume *out,
                                     struct hilum_error *error)
{
	const struct hl_file *file = &files[which], *second;
	struct hl_sandbox_job job = {.input = {{-1, file->bytes, file->length}, {.fd = -1}}};
	char name[HL_COMPANION_MAX];
	enum hilum_status status;

	if (!file->bytes)
		return hl_scan_open(file->path, out, error);
	status = decode(&job, out, name, error);
	if (!status && name[0]) {
		second = find_beside(files, count, file, name);
		if (second) {
			job.input[1] = (struct hl_sandbox_input){-1, second->bytes, second->length};
			status = decode(&job, out, name, error);
		} else {
			status = hl_fail(error, HILUM_ERROR_IO, "the file of its voxels, %s, is not there", name);
		}
	}
	return status ? hl_prefix(error, status, "%s", file->name) : HILUM_OK;
}
