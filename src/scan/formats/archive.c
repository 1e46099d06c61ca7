/* Archives by libarchive, in the sandbox: of its many formats only tar, gzip, and zip by its directory, without which a
 * zip is cut off. */
#include "scan/formats/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "scan/formats/inflate.h"

#define TAR_MAGIC_AT 257

/* Where a file lies in the output: the table behind the files' bytes has one for each, names after the last. */
struct place {
	uint64_t offset, length, name; /* name: from the table's end */
};

struct answer {
	uint64_t count, table; /* where the table begins */
};

static bool is_tar(const uint8_t *bytes, size_t length)
{
	return length >= TAR_MAGIC_AT + 5 && memcmp(bytes + TAR_MAGIC_AT, "ustar", 5) == 0;
}

bool hl_archive_detect(const uint8_t *bytes, size_t length)
{
	uint8_t head[TAR_MAGIC_AT + 5];

	if (length >= 4 && (memcmp(bytes, "PK\3\4", 4) == 0 || memcmp(bytes, "PK\5\6", 4) == 0))
		return true;
	if (length >= 18 && bytes[0] == 0x1f && bytes[1] == 0x8b)
		return is_tar(head, hl_inflate_peek(bytes, length, head, sizeof(head)));
	return is_tar(bytes, length);
}

/* ---- in the child ---- */

struct unpacking {
	struct archive *archive;
	uint8_t *output;
	size_t used, most; /* of the files' bytes */
	struct hl_buffer places, names;
	uint64_t count;
};

static enum hilum_status fail_archive(const struct unpacking *unpacking, struct hilum_error *error)
{
	const char *reason = archive_error_string(unpacking->archive);

	if (archive_errno(unpacking->archive) == ENOMEM)
		return hl_fail(error, HILUM_ERROR_MEMORY, "no memory to unpack it");
	return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %s", reason ? reason : "it cannot be unpacked");
}

/* What is hidden on a disk, and the shadows that a Mac puts beside files. */
static bool is_hidden(const char *name)
{
	for (const char *part = name; part; part = strchr(part, '/')) {
		part += *part == '/';
		if (*part == '.' && part[1] != '/' && !(part[1] == '.' && part[2] == '/'))
			return true;
	}
	return strncmp(name, "__MACOSX/", 9) == 0;
}

/* The current file's bytes to the output. */
static enum hilum_status unpack_file(struct unpacking *unpacking, struct hilum_error *error)
{
	uint8_t *output = unpacking->output;
	for (;;) {
		size_t room = unpacking->most > unpacking->used ? unpacking->most - unpacking->used : 0;
		la_ssize_t got;
		/* A byte more than there is room for tells that there is too much. */
		if (room == 0) {
			uint8_t byte;
			got = archive_read_data(unpacking->archive, &byte, 1);
			if (got > 0)
				return hl_fail(error, HILUM_ERROR_LIMIT, "it unpacks to more than %zu MiB",
				               unpacking->most >> 20);
		} else {
			got = archive_read_data(unpacking->archive, output + unpacking->used,
			                        room < (1 << 20) ? room : 1 << 20);
		}
		if (got < 0)
			return fail_archive(unpacking, error);
		if (got == 0)
			return HILUM_OK;
		unpacking->used += (size_t)got;
	}
}

static enum hilum_status unpack_entry(struct unpacking *unpacking, struct archive_entry *entry,
                                      struct hilum_error *error)
{
	const char *name = archive_entry_pathname_utf8(entry);
	struct place place = {.offset = unpacking->used, .name = unpacking->names.length};
	enum hilum_status status;

	if (!name)
		name = archive_entry_pathname(entry);
	if (!name || !*name)
		name = "a file without a name";
	if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) || is_hidden(name))
		return HILUM_OK;
	if (archive_entry_is_encrypted(entry))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "its files are encrypted");
	if (++unpacking->count > HL_ARCHIVE_FILES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "more than %d files", HL_ARCHIVE_FILES_MAX);
	status = unpack_file(unpacking, error);
	place.length = unpacking->used - place.offset;
	if (!status)
		status = hl_buffer_append(&unpacking->places, &place, sizeof(place), error);
	if (!status)
		status = hl_buffer_append(&unpacking->names, name, strlen(name) + 1, error);
	/* Each file begins where numbers of any size may lie. */
	unpacking->used = (unpacking->used + 63) & ~(size_t)63;
	return status;
}

static enum hilum_status unpack_all(struct unpacking *unpacking, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	/* What is left out counts too: folders, links, hidden files. */
	for (int64_t headers = 0; !status; headers++) {
		struct archive_entry *entry;
		int code = archive_read_next_header(unpacking->archive, &entry);
		if (code == ARCHIVE_EOF)
			return HILUM_OK;
		if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
			return fail_archive(unpacking, error);
		if (headers >= 2 * (int64_t)HL_ARCHIVE_FILES_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "more than %d files and folders",
			               2 * HL_ARCHIVE_FILES_MAX);
		status = unpack_entry(unpacking, entry, error);
	}
	return status;
}

/* Of the output: the files, and 8 MiB for what tells where they are, within the whole. */
static size_t capacity_of(const struct unpacking *unpacking)
{
	size_t table = (size_t)8 << 20;

	return unpacking->most < HL_ARCHIVE_BYTES_MAX - table ? unpacking->most + table : HL_ARCHIVE_BYTES_MAX;
}

/* Puts the table and the names behind the files. */
static enum hilum_status finish(struct unpacking *unpacking, struct hl_sandbox_call *call, struct hilum_error *error)
{
	struct answer *answer = call->result;
	size_t table = (unpacking->used + 63) & ~(size_t)63;
	size_t end = table + unpacking->places.length + unpacking->names.length;

	if (end > capacity_of(unpacking))
		return hl_fail(error, HILUM_ERROR_LIMIT, "it unpacks to more than %zu MiB", HL_ARCHIVE_BYTES_MAX >> 20);
	if (unpacking->count > 0) {
		memcpy(unpacking->output + table, unpacking->places.data, unpacking->places.length);
		memcpy(unpacking->output + table + unpacking->places.length, unpacking->names.data,
		       unpacking->names.length);
	}
	answer->count = unpacking->count;
	answer->table = table;
	call->output_length = end;
	return HILUM_OK;
}

static enum hilum_status unpack_there(struct hl_sandbox_call *call, struct hilum_error *error)
{
	struct unpacking unpacking = {.archive = archive_read_new(), .most = HL_ARCHIVE_BYTES_MAX};
	size_t packed = call->input[0].length, spare = (size_t)1 << 20;
	enum hilum_status status = HILUM_OK;

	/* A zip of nothing is its end alone, which libarchive does not know for one. */
	bool empty = call->input[0].length >= 4 && memcmp(call->input[0].bytes, "PK\5\6", 4) == 0;

	if (packed < (HL_ARCHIVE_BYTES_MAX - spare) / HL_ARCHIVE_RATIO_MAX)
		unpacking.most = packed * HL_ARCHIVE_RATIO_MAX + spare;
	unpacking.output = hl_sandbox_output(call, capacity_of(&unpacking));
	hl_buffer_init(&unpacking.places, HL_ARCHIVE_FILES_MAX * sizeof(struct place));
	hl_buffer_init(&unpacking.names, (size_t)64 << 20);
	if (!unpacking.archive || !unpacking.output)
		status = hl_fail(error, HILUM_ERROR_MEMORY, "no memory to unpack an archive");
	if (!status && !empty &&
	    (archive_read_support_filter_gzip(unpacking.archive) != ARCHIVE_OK ||
	     archive_read_support_format_tar(unpacking.archive) != ARCHIVE_OK ||
	     archive_read_support_format_zip_seekable(unpacking.archive) != ARCHIVE_OK ||
	     archive_read_open_memory(unpacking.archive, call->input[0].bytes, call->input[0].length) != ARCHIVE_OK))
		status = fail_archive(&unpacking, error);
	if (!status && !empty)
		status = unpack_all(&unpacking, error);
	if (!status)
		status = finish(&unpacking, call, error);
	archive_read_free(unpacking.archive);
	hl_buffer_free(&unpacking.places);
	hl_buffer_free(&unpacking.names);
	return status;
}

/* ---- in this process ---- */

/* Every place and every name must lie where it says. */
static enum hilum_status find_files(struct hl_archive *archive, const struct answer *answer, size_t length,
                                    struct hilum_error *error)
{
	size_t table = (size_t)answer->table, names = table + (size_t)answer->count * sizeof(struct place);

	archive->count = (size_t)answer->count;
	archive->file = hl_alloc(archive->count, sizeof(*archive->file));
	if (!archive->file)
		return hl_fail_memory(error, archive->count * sizeof(*archive->file), "files");
	for (size_t i = 0; i < archive->count; i++) {
		struct place place;
		memcpy(&place, archive->memory + table + i * sizeof(place), sizeof(place));
		if (place.offset > table || place.length > table - place.offset || place.name >= length - names)
			return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: no sound list of files");
		archive->file[i] = (struct hl_file){.name = (const char *)archive->memory + names + place.name,
		                                    .bytes = archive->memory + place.offset,
		                                    .length = (size_t)place.length};
	}
	return HILUM_OK;
}

static enum hilum_status receive(void *context, const void *result, const uint8_t *output, size_t length,
                                 struct hilum_error *error)
{
	const struct answer *answer = result;
	struct hl_archive archive = {0};
	enum hilum_status status;

	if (answer->count > HL_ARCHIVE_FILES_MAX || answer->table > length ||
	    answer->count * sizeof(struct place) > length - answer->table)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: no sound list of files");
	/* Ended by a zero, so that the last name is, whatever came. */
	archive.memory = hl_alloc(length + 1, 1);
	if (!archive.memory)
		return hl_fail_memory(error, length, "an archive's files");
	hl_sandbox_copy(archive.memory, output, length);
	status = find_files(&archive, answer, length, error);
	if (status)
		hl_archive_close(&archive);
	else
		*(struct hl_archive *)context = archive;
	return status;
}

enum hilum_status hl_archive_open(const struct hl_sandbox_input *input, struct hl_archive *out,
                                  struct hilum_error *error)
{
	const struct hl_sandbox_job job = {.work = unpack_there,
	                                   .input = {*input, {.fd = -1}},
	                                   .result_size = sizeof(struct answer),
	                                   .receive = receive,
	                                   .context = out};

	return hl_sandbox_run(&job, error);
}

void hl_archive_close(struct hl_archive *archive)
{
	hl_free(archive->file);
	hl_free(archive->memory);
	*archive = (struct hl_archive){0};
}
