/* MetaImage out: one file (.mha), or a header and its voxels beside it (.mhd with .raw or .zraw). */
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/number.h"
#include "scan/format.h"
#include "scan/formats/inflate.h"
#include "scan/formats/stored.h"

static enum hilum_status put_numbers(struct hl_buffer *header, const char *key, const double *number, int count,
                                     struct hilum_error *error)
{
	enum hilum_status status = hl_buffer_print(header, error, "%s =", key);

	for (int i = 0; i < count && !status; i++) {
		char text[40];
		hl_number_print_shortest(text, sizeof(text), number[i] + 0.0);
		status = hl_buffer_print(header, error, " %s", text);
	}
	return status ? status : hl_buffer_append(header, "\n", 1, error);
}

static enum hilum_status put_place(struct hl_buffer *header, const struct hl_volume *volume, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;

	if (volume->oriented) {
		status = put_numbers(header, "TransformMatrix", volume->direction[0], 9, error);
		if (!status)
			status = put_numbers(header, "Offset", volume->origin, 3, error);
		if (!status)
			status =
			    hl_buffer_print(header, error, "CenterOfRotation = 0 0 0\nAnatomicalOrientation = RAI\n");
	}
	if (!status && volume->spacing[0] > 0)
		status = put_numbers(header, "ElementSpacing", volume->spacing, 3, error);
	return status;
}

static enum hilum_status make_header(const struct hl_volume *volume, size_t packed, const char *data,
                                     struct hl_buffer *header, struct hilum_error *error)
{
	static const char *const types[] = {[HL_VOXEL_U8] = "MET_UCHAR",
	                                    [HL_VOXEL_U16] = "MET_USHORT",
	                                    [HL_VOXEL_I16] = "MET_SHORT",
	                                    [HL_VOXEL_F32] = "MET_FLOAT"};
	bool hounsfield = volume->unit == HL_UNIT_HOUNSFIELD;
	enum hilum_status status = hl_buffer_print(
	    header, error,
	    "ObjectType = Image\nNDims = 3\n%sBinaryData = True\nBinaryDataByteOrderMSB = False\n"
	    "CompressedData = %s\n",
	    hounsfield ? "Comment = " HL_STORED_HOUNSFIELD "\nModality = MET_MOD_CT\n" : "", packed ? "True" : "False");

	if (!status && packed)
		status = hl_buffer_print(header, error, "CompressedDataSize = %zu\n", packed);
	if (!status)
		status = put_place(header, volume, error);
	if (!status)
		status = hl_buffer_print(header, error, "DimSize = %d %d %d\nElementType = %s\nElementDataFile = %s\n",
		                         volume->width, volume->height, volume->depth, types[volume->type], data);
	return status;
}

/* path with another extension in place of .mhd; its last part is what the header names. */
static char *beside(const char *path, bool packed)
{
	return hl_format("%.*s%s", (int)(strlen(path) - 4), path, packed ? ".zraw" : ".raw");
}

static enum hilum_status write_parts(const char *path, const struct hl_volume *volume, const char *second,
                                     struct hl_part voxels, size_t packed, struct hilum_error *error)
{
	const char *slash = second ? strrchr(second, '/') : NULL;
	struct hl_part parts[2] = {{0}, voxels};
	struct hl_buffer header;
	enum hilum_status status;

	hl_buffer_init(&header, 65536);
	status = make_header(volume, packed, !second ? "LOCAL" : slash ? slash + 1 : second, &header, error);
	parts[0] = (struct hl_part){header.data, header.length};
	if (!status && second)
		status = hl_file_write(second, &voxels, 1, error);
	if (!status)
		status = hl_file_write(path, parts, second ? 1 : 2, error);
	hl_buffer_free(&header);
	return status;
}

enum hilum_status hl_metaimage_write(const char *path, const struct hl_volume *volume, bool packed,
                                     struct hilum_error *error)
{
	struct hl_part voxels = {volume->voxels, (size_t)volume->width * (size_t)volume->height *
	                                             (size_t)volume->depth * hl_voxel_size(volume->type)};
	size_t length = strlen(path);
	bool two = length > 4 && strcasecmp(path + length - 4, ".mhd") == 0;
	struct hl_buffer buffer;
	enum hilum_status status = HILUM_OK;
	char *second = NULL;

	if (volume->channels != 1)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "%s: a MetaImage of colours", path);
	hl_buffer_init(&buffer, 2 * (size_t)HL_VOLUME_BYTES_MAX);
	if (packed) {
		status = hl_deflate(&voxels, 1, false, &buffer, error);
		voxels = (struct hl_part){buffer.data, buffer.length};
	}
	if (!status && two) {
		second = beside(path, packed);
		if (!second)
			status = hl_fail_memory(error, length, "a path");
	}
	if (!status)
		status = write_parts(path, volume, second, voxels, buffer.length, error);
	hl_free(second);
	hl_buffer_free(&buffer);
	return status;
}
