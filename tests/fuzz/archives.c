/* Archives made in memory. */
#include "archives.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "samples.h"

static la_ssize_t append(struct archive *archive, void *context, const void *bytes, size_t length)
{
	(void)archive;
	return hl_buffer_append(context, bytes, length, NULL) ? -1 : (la_ssize_t)length;
}

static bool open_for(struct archive *archive, enum archive_kind kind, struct hl_buffer *out)
{
	bool zip = kind <= ARCHIVE_KIND_ZIP_LOCKED;

	if (zip ? archive_write_set_format_zip(archive) : archive_write_set_format_pax_restricted(archive))
		return false;
	if (kind == ARCHIVE_KIND_ZIP_STORED && archive_write_set_options(archive, "zip:compression=store"))
		return false;
	if (kind == ARCHIVE_KIND_ZIP_LOCKED && (archive_write_set_options(archive, "zip:encryption=traditional") ||
	                                        archive_write_set_passphrase(archive, "words")))
		return false;
	if (kind == ARCHIVE_KIND_TGZ && archive_write_add_filter_gzip(archive))
		return false;
	/* Nothing behind the end. */
	archive_write_set_bytes_in_last_block(archive, 1);
	return archive_write_open(archive, out, NULL, append, NULL) == ARCHIVE_OK;
}

static bool add(struct archive *archive, const struct archived *file)
{
	static const char zeros[65536];
	struct archive_entry *entry = archive_entry_new();
	size_t length = strlen(file->name);
	bool folder = length > 0 && file->name[length - 1] == '/', done;

	archive_entry_set_pathname(entry, file->name);
	archive_entry_set_filetype(entry, folder ? AE_IFDIR : file->link ? AE_IFLNK : AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_size(entry, (la_int64_t)file->length);
	if (file->link)
		archive_entry_set_symlink(entry, file->link);
	done = archive_write_header(archive, entry) == ARCHIVE_OK;
	for (size_t at = 0; at < file->length && done;) {
		size_t step = file->length - at;
		step = !file->bytes && step > sizeof(zeros) ? sizeof(zeros) : step;
		done = archive_write_data(archive, file->bytes ? file->bytes : zeros, step) == (la_ssize_t)step;
		at += step;
	}
	archive_entry_free(entry);
	return done;
}

struct hl_buffer archive_make(enum archive_kind kind, const struct archived *files, size_t count)
{
	struct archive *archive = archive_write_new();
	struct hl_buffer out;
	bool done;

	hl_buffer_init(&out, (size_t)256 << 20);
	done = archive && open_for(archive, kind, &out);
	for (size_t i = 0; i < count && done; i++)
		done = add(archive, &files[i]);
	done = done && archive_write_close(archive) == ARCHIVE_OK;
	archive_write_free(archive);
	if (!done)
		hl_buffer_free(&out);
	return out;
}

bool samples_make_archives(struct sample *samples, size_t *count)
{
	enum { FILES = 6 };
	struct archived files[FILES + 2] = {{.name = "folder/"}, {.name = "link", .link = "a0"}};
	char names[FILES][32];
	size_t used = 2;

	for (size_t i = 0; i < *count && used < FILES + 2; i += *count / FILES) {
		snprintf(names[used - 2], sizeof(names[0]), "folder/a%zu", i);
		files[used] = (struct archived){names[used - 2], samples[i].bytes, samples[i].length, NULL};
		used++;
	}
	for (int kind = ARCHIVE_KIND_ZIP; kind <= ARCHIVE_KIND_TGZ; kind++) {
		struct sample *sample = &samples[(*count)++];
		struct hl_buffer bytes = archive_make((enum archive_kind)kind, files, used);
		*sample = (struct sample){.kind = SAMPLE_ARCHIVE};
		snprintf(sample->name, sizeof(sample->name), "archive of kind %d", kind);
		sample->bytes = (uint8_t *)bytes.data;
		sample->length = bytes.length;
		if (bytes.length == 0) {
			fprintf(stderr, "cannot make %s\n", sample->name);
			return false;
		}
	}
	return true;
}
