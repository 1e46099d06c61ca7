#include "scan/dicom/directory.h"

#include <string.h>

#include "base/memory.h"
#include "scan/dicom/element.h"

enum { START = 132, COMPONENTS_MAX = 8, PATH_MAX_BYTES = 256 };

/* The data set: directories are explicit little endian (PS3.10 8.6). Skips the meta information, and answers its class
 * in uid. */
static bool open_set(const uint8_t *bytes, size_t length, struct hl_dicom_set *set, char uid[65])
{
	struct hl_dicom_element element;

	if (length < START || memcmp(bytes + START - 4, "DICM", 4) != 0)
		return false;
	*set = (struct hl_dicom_set){.at = bytes + START, .end = bytes + length, .explicit_vr = true};
	uid[0] = '\0';
	while (set->end - set->at >= 8 && hl_dicom_get16(set->at, false) == 2) {
		if (hl_dicom_next(set, &element, NULL) != HL_DICOM_ELEMENT)
			return false;
		if (element.tag == HL_TAG(2, 2))
			(void)hl_dicom_text(&element, uid, 65);
	}
	return true;
}

bool hl_dicom_is_directory(const uint8_t *bytes, size_t length)
{
	struct hl_dicom_set set;
	char uid[65];

	return open_set(bytes, length, &set, uid) && strcmp(uid, "1.2.840.10008.1.3.10") == 0;
}

bool hl_dicom_is_path(const char *path)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";

	for (int parts = 1;; parts++) {
		size_t length = strcspn(path, "/");
		if (parts > COMPONENTS_MAX || length == 0 || strspn(path, letters) < length ||
		    strspn(path, ".") >= length)
			return false;
		path += length;
		if (*path++ == '\0')
			return true;
	}
}

/* A\B\C to A/B/C. */
static bool make_path(const struct hl_dicom_element *element, char path[PATH_MAX_BYTES])
{
	if (!hl_dicom_text(element, path, PATH_MAX_BYTES) || strchr(path, '/'))
		return false;
	for (char *at = path; (at = strchr(at, '\\'));)
		*at = '/';
	return hl_dicom_is_path(path);
}

static enum hilum_status add_name(struct hl_names *names, size_t *room, const char *path, struct hilum_error *error)
{
	if (names->count >= HL_DIRECTORY_FILES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "a directory of more than %d files", HL_DIRECTORY_FILES_MAX);
	if (names->count == *room) {
		size_t more = *room ? *room * 2 : 64;
		char **name = hl_realloc(names->name, more, sizeof(*name));
		if (!name)
			return hl_fail_memory(error, more * sizeof(*name), "names of files");
		names->name = name;
		*room = more;
	}
	names->name[names->count] = hl_strdup(path);
	return names->name[names->count++] ? HILUM_OK : hl_fail_memory(error, strlen(path), "a name");
}

static enum hilum_status read_records(const struct hl_dicom_element *sequence, struct hl_names *names,
                                      struct hilum_error *error)
{
	struct hl_dicom_set items = hl_dicom_items(sequence), item;
	struct hl_dicom_element element;
	enum hilum_status status = HILUM_OK;
	enum hl_dicom_step step;
	char path[PATH_MAX_BYTES];
	size_t room = 0;

	while ((step = hl_dicom_item(&items, &item, error)) == HL_DICOM_ELEMENT && !status) {
		while ((step = hl_dicom_next(&item, &element, error)) == HL_DICOM_ELEMENT && !status) {
			if (element.tag != HL_TAG(4, 0x1500) || element.length == 0)
				continue;
			status = make_path(&element, path)
			             ? add_name(names, &room, path, error)
			             : hl_fail(error, HILUM_ERROR_FORMAT, "damaged: a file's name that is none");
		}
		if (step == HL_DICOM_DAMAGED)
			break;
	}
	return step == HL_DICOM_DAMAGED ? error->code : status;
}

enum hilum_status hl_dicom_directory(const uint8_t *bytes, size_t length, struct hl_names *out,
                                     struct hilum_error *error)
{
	struct hl_dicom_set set;
	struct hl_dicom_element element;
	struct hl_names names = {0};
	struct hilum_error own = {0};
	enum hilum_status status = HILUM_OK;
	enum hl_dicom_step step;
	char uid[65];

	if (!open_set(bytes, length, &set, uid))
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: not a DICOM directory");
	while ((step = hl_dicom_next(&set, &element, &own)) == HL_DICOM_ELEMENT && element.tag != HL_TAG(4, 0x1220))
		;
	if (step == HL_DICOM_DAMAGED)
		status = own.code;
	else if (step == HL_DICOM_ELEMENT)
		status = read_records(&element, &names, &own);
	if (status) {
		hl_names_free(&names);
		return hl_fail(error, status, "%s", own.message);
	}
	*out = names;
	return HILUM_OK;
}
