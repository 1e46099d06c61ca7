/* The formats that hilum reads, and what is promised for each of them whatever its driver does. */
#include "scan/format.h"

#include <string.h>
#include <strings.h>

#include "base/file.h"

const struct hl_format *const hl_formats[] = {&hl_format_jpeg, &hl_format_png, &hl_format_tiff, NULL};

static const struct hl_format *detect(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; hl_formats[i]; i++)
		if (hl_formats[i]->detect(bytes, length))
			return hl_formats[i];
	return NULL;
}

/* What a driver hands over must be a volume that hl_volume_init could have made. */
static bool is_sound(const struct hl_volume *volume)
{
	bool grey = volume->type == HL_VOXEL_U8 || volume->type == HL_VOXEL_U16;

	return volume->voxels && hl_voxel_size(volume->type) > 0 && volume->width > 0 && volume->height > 0 &&
	       volume->depth > 0 && (volume->channels == 1 || volume->channels == 3) &&
	       (volume->unit == HL_UNIT_GREY) == grey && (volume->maximum > 0) == grey;
}

enum hilum_status hl_scan_decode(const uint8_t *bytes, size_t length, struct hl_volume *out, struct hilum_error *error)
{
	const struct hl_format *format = detect(bytes, length);
	struct hilum_error own = {0};
	struct hl_volume volume = {0};
	enum hilum_status status;

	if (!format)
		return hl_fail(error, HILUM_ERROR_FORMAT,
		               length == 0 ? "an empty file" : "not a JPEG, PNG or TIFF picture");
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

enum hilum_status hl_scan_open(const char *path, struct hl_volume *out, struct hilum_error *error)
{
	struct hl_buffer buffer;
	enum hilum_status status = hl_file_read(path, HL_FILE_BYTES_MAX, &buffer, error);

	if (status)
		return status;
	status = hl_scan_decode((const uint8_t *)buffer.data, buffer.length, out, error);
	if (status)
		hl_prefix(error, status, "%s", path);
	hl_buffer_free(&buffer);
	return status;
}

bool hl_scan_has_extension(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *dot = strrchr(slash ? slash + 1 : path, '.');

	if (!dot || !dot[1])
		return false;
	dot++;
	for (size_t i = 0; hl_formats[i]; i++) {
		const char *word = hl_formats[i]->extensions;
		while (*word) {
			size_t length = strcspn(word, " ");
			if (strlen(dot) == length && strncasecmp(dot, word, length) == 0)
				return true;
			word += length + strspn(word + length, " ");
		}
	}
	return false;
}
