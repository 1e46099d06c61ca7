/* The formats that hilum reads, and what is promised for each of them whatever its driver does. */
#include "scan/format.h"

#include <string.h>
#include <strings.h>

const struct hl_format *const hl_formats[] = {
    &hl_format_jpeg, &hl_format_png, &hl_format_tiff, &hl_format_nifti, &hl_format_metaimage, &hl_format_dicom, NULL};

static const struct hl_format *detect(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; hl_formats[i]; i++)
		if (hl_formats[i]->detect(bytes, length))
			return hl_formats[i];
	return NULL;
}

bool hl_scan_is_known(const uint8_t *bytes, size_t length)
{
	return detect(bytes, length) != NULL;
}

/* What a driver hands over must be a volume that hl_volume_init could have made. */
static bool is_sound(const struct hl_volume *volume)
{
	bool grey = volume->type == HL_VOXEL_U8 || volume->type == HL_VOXEL_U16;

	return volume->voxels && hl_voxel_size(volume->type) > 0 && volume->width > 0 && volume->height > 0 &&
	       volume->depth > 0 && (volume->channels == 1 || volume->channels == 3) &&
	       (volume->unit == HL_UNIT_GREY) == grey && (volume->maximum > 0) == grey;
}

static enum hilum_status fail_unknown(size_t length, struct hilum_error *error)
{
	char names[128] = "";

	if (length == 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "an empty file");
	for (size_t i = 0; hl_formats[i]; i++) {
		size_t used = strlen(names);
		snprintf(names + used, sizeof(names) - used, "%s%s",
		         i == 0              ? ""
		         : hl_formats[i + 1] ? ", "
		                             : " or ",
		         hl_formats[i]->name);
	}
	return hl_fail(error, HILUM_ERROR_FORMAT, "not a %s file", names);
}

enum hilum_status hl_scan_companion(const uint8_t *bytes, size_t length, char name[HL_COMPANION_MAX],
                                    struct hilum_error *error)
{
	const struct hl_format *format = detect(bytes, length);
	struct hilum_error own = {0};

	name[0] = '\0';
	if (format && format->companion && format->companion(bytes, length, name, &own)) {
		name[0] = '\0';
		return hl_fail(error, own.code, "%s: %s", format->name, own.message);
	}
	return HILUM_OK;
}

enum hilum_status hl_scan_decode_both(const uint8_t *bytes, size_t length, const uint8_t *voxels, size_t voxels_length,
                                      struct hl_volume *out, struct hilum_error *error)
{
	const struct hl_format *format = detect(bytes, length);
	struct hilum_error own = {0};
	struct hl_volume volume = {0};
	enum hilum_status status;

	if (!format)
		return fail_unknown(length, error);
	if (voxels && format->decode_both)
		status = format->decode_both(bytes, length, voxels, voxels_length, &volume, &own);
	else
		status = format->decode(bytes, length, &volume, &own);
	if (!status && !is_sound(&volume))
		status = hl_fail(&own, HILUM_ERROR_INTERNAL, "the reader gave no sound volume");
	else if (status && own.code == HILUM_OK)
		status = hl_fail(&own, HILUM_ERROR_INTERNAL, "the reader failed without a reason");
	if (status) {
		hl_volume_free(&volume);
		return hl_fail(error, own.code, "%s: %s", format->name, own.message);
	}
	snprintf(volume.format, sizeof(volume.format), "%s", format->name);
	*out = volume;
	return HILUM_OK;
}

enum hilum_status hl_scan_decode(const uint8_t *bytes, size_t length, struct hl_volume *out, struct hilum_error *error)
{
	return hl_scan_decode_both(bytes, length, NULL, 0, out, error);
}

bool hl_scan_has_extension(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t size = strlen(name);

	for (size_t i = 0; hl_formats[i]; i++) {
		const char *word = hl_formats[i]->extensions;
		while (*word) {
			size_t length = strcspn(word, " ");
			if (size > length && name[size - length - 1] == '.' &&
			    strncasecmp(name + size - length, word, length) == 0)
				return true;
			word += length + strspn(word + length, " ");
		}
	}
	return false;
}
