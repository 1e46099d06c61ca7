/* NIfTI-1 out: one file, little-endian, plain or gzip. Version 1 because every program reads it; its reals have 32
 * bits, so a place is kept to about 1e-5 mm. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "scan/format.h"
#include "scan/formats/inflate.h"
#include "scan/formats/nifti.h"
#include "scan/formats/stored.h"
#include "scan/orient.h"

#define HEADER 352 /* the header and four zeros: no extensions */

static void put(uint8_t *header, size_t offset, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		header[offset + i] = (uint8_t)(value >> 8 * i);
}

static void put_real(uint8_t *header, size_t offset, int index, double value)
{
	float single = (float)value;
	uint32_t bits;

	memcpy(&bits, &single, 4);
	put(header, offset + (size_t)index * 4, bits, 4);
}

/* The quaternion of a rotation, by the largest of its four numbers (Shepperd 1978); a is not negative. */
static void quaternion(double r[3][3], double out[4])
{
	double square[4] = {1 + r[0][0] + r[1][1] + r[2][2], 1 + r[0][0] - r[1][1] - r[2][2],
	                    1 - r[0][0] + r[1][1] - r[2][2], 1 - r[0][0] - r[1][1] + r[2][2]};
	int largest = 0;

	for (int i = 1; i < 4; i++)
		if (square[i] > square[largest])
			largest = i;
	double twice = sqrt(square[largest]), products[4][4] = {
	                                          {square[0], r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]},
	                                          {r[2][1] - r[1][2], square[1], r[0][1] + r[1][0], r[0][2] + r[2][0]},
	                                          {r[0][2] - r[2][0], r[0][1] + r[1][0], square[2], r[1][2] + r[2][1]},
	                                          {r[1][0] - r[0][1], r[0][2] + r[2][0], r[1][2] + r[2][1], square[3]},
	                                      };
	for (int i = 0; i < 4; i++)
		out[i] = products[largest][i] / (2 * twice) * (products[largest][0] < 0 ? -1 : 1);
}

/* Both transforms, for readers that know only one. */
static void put_place(uint8_t *header, const struct hl_nifti_layout *layout, const struct hl_volume *volume)
{
	double affine[3][4], rotation[3][3], turn[4], determinant;

	hl_volume_affine(volume, affine);
	for (int i = 0; i < 3; i++) {
		/* Left, posterior, superior to right, anterior, superior. */
		double sign = i < 2 ? -1 : 1;
		for (int k = 0; k < 4; k++)
			put_real(header, layout->srow, 4 * i + k, sign * affine[i][k] + 0.0);
		for (int k = 0; k < 3; k++)
			rotation[i][k] = sign * volume->direction[k][i];
		put_real(header, layout->qoffset, i, sign * affine[i][3] + 0.0);
	}
	determinant = rotation[0][0] * (rotation[1][1] * rotation[2][2] - rotation[1][2] * rotation[2][1]) -
	              rotation[0][1] * (rotation[1][0] * rotation[2][2] - rotation[1][2] * rotation[2][0]) +
	              rotation[0][2] * (rotation[1][0] * rotation[2][1] - rotation[1][1] * rotation[2][0]);
	/* A mirror image is a rotation with z reversed. */
	for (int i = 0; i < 3 && determinant < 0; i++)
		rotation[i][2] = -rotation[i][2];
	put_real(header, layout->pixdim, 0, determinant < 0 ? -1 : 1);
	quaternion(rotation, turn);
	for (int i = 0; i < 3; i++)
		put_real(header, layout->quatern, i, turn[i + 1]);
	put(header, layout->qform_code, 1, 2);
	put(header, layout->sform_code, 1, 2);
}

static void make_header(const struct hl_volume *volume, uint8_t header[HEADER])
{
	static const int16_t codes[] = {[HL_VOXEL_U8] = HL_NIFTI_U8,
	                                [HL_VOXEL_U16] = HL_NIFTI_U16,
	                                [HL_VOXEL_I16] = HL_NIFTI_I16,
	                                [HL_VOXEL_F32] = HL_NIFTI_F32};
	const struct hl_nifti_layout *layout = &hl_nifti_layouts[0];
	const int32_t dim[8] = {3, volume->width, volume->height, volume->depth, 1, 1, 1, 1};

	memset(header, 0, HEADER);
	put(header, 0, layout->size, 4);
	memcpy(header + layout->magic, "n+1", 4);
	for (size_t i = 0; i < 8; i++)
		put(header, layout->dim + 2 * i, (uint64_t)dim[i], 2);
	put(header, layout->datatype, (uint64_t)codes[volume->type], 2);
	put(header, layout->datatype + 2, hl_voxel_size(volume->type) * 8, 2); /* bitpix */
	for (int k = 0; k < 3; k++)
		put_real(header, layout->pixdim, k + 1, volume->spacing[k] > 0 ? volume->spacing[k] : 1);
	put_real(header, layout->pixdim, 0, 1);
	put_real(header, layout->vox_offset, 0, HEADER);
	put_real(header, layout->scl_slope, 0, 1);
	/* Millimetres, or unknown. */
	header[layout->xyzt_units] = volume->spacing[0] > 0 ? 2 : 0;
	snprintf((char *)header + layout->descrip, 80, "%s",
	         volume->unit == HL_UNIT_HOUNSFIELD ? HL_STORED_HOUNSFIELD "; hilum" : "hilum");
	if (volume->oriented)
		put_place(header, layout, volume);
}

enum hilum_status hl_nifti_write(const char *path, const struct hl_volume *volume, struct hilum_error *error)
{
	size_t size =
	    (size_t)volume->width * (size_t)volume->height * (size_t)volume->depth * hl_voxel_size(volume->type);
	size_t length = strlen(path);
	uint8_t header[HEADER];
	struct hl_part parts[] = {{header, HEADER}, {volume->voxels, size}};
	struct hl_buffer packed;
	enum hilum_status status;

	if (volume->channels != 1)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "%s: a NIfTI of colours", path);
	make_header(volume, header);
	if (length < 3 || strcmp(path + length - 3, ".gz") != 0)
		return hl_file_write(path, parts, 2, error);
	hl_buffer_init(&packed, 2 * (size_t)HL_VOLUME_BYTES_MAX);
	status = hl_deflate(parts, 2, true, &packed, error);
	if (status)
		hl_prefix(error, status, "%s", path);
	else
		status = hl_file_write(path, &(struct hl_part){packed.data, packed.length}, 1, error);
	hl_buffer_free(&packed);
	return status;
}
