/* NIfTI-1 and NIfTI-2 in one file (.nii), plain or gzip: nifti1.h of 2007 and nifti2.h of 2011, nifti.nimh.nih.gov. As
 * in nibabel, the sform says where voxels lie, then the qform. Why this is no library: docs/decisions/0010. */
#include <math.h>
#include <string.h>

#include "scan/format.h"
#include "scan/formats/inflate.h"
#include "scan/formats/nifti.h"
#include "scan/formats/stored.h"
#include "scan/orient.h"

/* A header in memory: where its fields lie depends on the version alone. */
struct header {
	const uint8_t *bytes;
	const struct hl_nifti_layout *layout;
	bool big_endian;
};

const struct hl_nifti_layout hl_nifti_layouts[2] = {
    {.size = 348,
     .magic = 344,
     .datatype = 70,
     .dim = 40,
     .pixdim = 76,
     .vox_offset = 108,
     .scl_slope = 112,
     .scl_inter = 116,
     .descrip = 148,
     .qform_code = 252,
     .sform_code = 254,
     .quatern = 256,
     .qoffset = 268,
     .srow = 280,
     .xyzt_units = 123},
    {.size = 540,
     .magic = 4,
     .datatype = 12,
     .dim = 16,
     .pixdim = 104,
     .vox_offset = 168,
     .scl_slope = 176,
     .scl_inter = 184,
     .descrip = 240,
     .qform_code = 344,
     .sform_code = 348,
     .quatern = 352,
     .qoffset = 376,
     .srow = 400,
     .xyzt_units = 500},
};

static uint64_t number(const struct header *header, size_t offset, size_t size)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)header->bytes[offset + i] << 8 * (header->big_endian ? size - 1 - i : i);
	return value;
}

/* Whole numbers have 16 bits in version 1; in version 2 dimensions have 64 and codes 32. */
static int64_t whole(const struct header *header, size_t offset, size_t wide)
{
	size_t size = header->layout->size == 348 ? 2 : wide;
	uint64_t value = number(header, offset, size);

	return size == 2 ? (int16_t)value : size == 4 ? (int32_t)value : (int64_t)value;
}

static int64_t dimension(const struct header *header, int index)
{
	size_t size = header->layout->size == 348 ? 2 : 8;

	return whole(header, header->layout->dim + (size_t)index * size, 8);
}

/* Number index from offset on: 32 bits in version 1, 64 in version 2. */
static double real(const struct header *header, size_t offset, int index)
{
	double value;
	float single;

	if (header->layout->size == 348) {
		uint32_t bits = (uint32_t)number(header, offset + (size_t)index * 4, 4);
		memcpy(&single, &bits, 4);
		return (double)single;
	}
	uint64_t bits = number(header, offset + (size_t)index * 8, 8);
	memcpy(&value, &bits, 8);
	return value;
}

static bool is_gzip(const uint8_t *bytes, size_t length)
{
	return length > 18 && bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == 8;
}

/* Makes out the header at the beginning of length bytes. */
static bool find(const uint8_t *bytes, size_t length, struct header *out)
{
	for (int version = 0; version < 2; version++) {
		const struct hl_nifti_layout *layout = &hl_nifti_layouts[version];
		const uint8_t *magic = bytes + layout->magic;
		if (length < layout->size)
			continue;
		for (int big = 0; big < 2; big++) {
			struct header header = {bytes, layout, big};
			if (number(&header, 0, 4) != layout->size)
				continue;
			/* "n+1" in one file, "ni1" for a header whose voxels are in another. */
			if (magic[0] == 'n' && (magic[1] == '+' || magic[1] == 'i') && magic[2] == '1' + version) {
				*out = header;
				return true;
			}
		}
	}
	return false;
}

static bool detect(const uint8_t *bytes, size_t length)
{
	uint8_t head[540];
	struct header header;

	if (is_gzip(bytes, length)) {
		length = hl_inflate_peek(bytes, length, head, sizeof(head));
		bytes = head;
	}
	return find(bytes, length, &header);
}

static enum hilum_status read_type(const struct header *header, struct hl_stored *stored, struct hilum_error *error)
{
	static const struct {
		int code;
		enum hl_element element;
	} types[] = {
	    {HL_NIFTI_U8, HL_ELEMENT_U8},   {HL_NIFTI_I16, HL_ELEMENT_I16}, {HL_NIFTI_I32, HL_ELEMENT_I32},
	    {HL_NIFTI_F32, HL_ELEMENT_F32}, {HL_NIFTI_F64, HL_ELEMENT_F64}, {HL_NIFTI_I8, HL_ELEMENT_I8},
	    {HL_NIFTI_U16, HL_ELEMENT_U16}, {HL_NIFTI_U32, HL_ELEMENT_U32}, {HL_NIFTI_I64, HL_ELEMENT_I64},
	    {HL_NIFTI_U64, HL_ELEMENT_U64},
	};
	int code = (int16_t)number(header, header->layout->datatype, 2);

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (types[i].code == code) {
			stored->element = types[i].element;
			return HILUM_OK;
		}
	return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "voxels of type %d (%s), which no CT has", code,
	               code == 128 || code == 2304                  ? "colour"
	               : code == 32 || code == 1792 || code == 2048 ? "complex numbers"
	                                                            : "unknown");
}

static enum hilum_status read_scale(const struct header *header, struct hl_stored *stored, struct hilum_error *error)
{
	double slope = real(header, header->layout->scl_slope, 0),
	       intercept = real(header, header->layout->scl_inter, 0);

	/* A slope of 0 means that there is no scale, and no intercept either. */
	if (slope == 0 || !isfinite(slope)) {
		slope = 1;
		intercept = 0;
	}
	if (!isfinite(intercept))
		return hl_fail(error, HILUM_ERROR_FORMAT, "its scl_inter is not a finite number");
	stored->slope = slope;
	stored->intercept = intercept;
	return HILUM_OK;
}

static enum hilum_status read_sizes(const struct header *header, struct hl_volume *volume, struct hilum_error *error)
{
	int64_t count = dimension(header, 0);
	int32_t size[3] = {1, 1, 1};

	if (count < 1 || count > 7)
		return hl_fail(error, HILUM_ERROR_FORMAT, "%lld dimensions", (long long)count);
	for (int i = 1; i <= (int)count; i++) {
		int64_t side = dimension(header, i);
		if (i > 3 && side != 1)
			return hl_fail(error, HILUM_ERROR_UNSUPPORTED,
			               "%lld volumes in one file (dimension %d); hilum reads one", (long long)side, i);
		if (i > 3)
			continue;
		if (side < 1)
			return hl_fail(error, HILUM_ERROR_FORMAT, "dimension %d is %lld", i, (long long)side);
		if (side > HL_VOLUME_SIDE_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "%lld voxels along dimension %d, more than %d",
			               (long long)side, i, HL_VOLUME_SIDE_MAX);
		size[i - 1] = (int32_t)side;
	}
	volume->width = size[0];
	volume->height = size[1];
	volume->depth = size[2];
	volume->channels = 1;
	return HILUM_OK;
}

/* The rotation of a unit quaternion (nifti1.h, METHOD 2); pixdim[0] tells whether z is reversed. */
static enum hilum_status read_qform(const struct header *header, double affine[3][4], struct hilum_error *error)
{
	const struct hl_nifti_layout *layout = header->layout;
	double b = real(header, layout->quatern, 0), c = real(header, layout->quatern, 1),
	       d = real(header, layout->quatern, 2), rest = 1 - (b * b + c * c + d * d), a;
	/* What rounding leaves of 0 under the numbers' precision. */
	double spare = layout->size == 348 ? 3 * 1.1920929e-7 : 3 * 2.220446049250313e-16;

	if (!(rest >= -spare))
		return hl_fail(error, HILUM_ERROR_FORMAT, "its qform is no rotation");
	a = rest > 0 ? sqrt(rest) : 0;
	double rotation[3][3] = {
	    {a * a + b * b - c * c - d * d, 2 * b * c - 2 * a * d, 2 * b * d + 2 * a * c},
	    {2 * b * c + 2 * a * d, a * a + c * c - b * b - d * d, 2 * c * d - 2 * a * b},
	    {2 * b * d - 2 * a * c, 2 * c * d + 2 * a * b, a * a + d * d - c * c - b * b},
	};
	for (int k = 0; k < 3; k++) {
		double spacing = real(header, layout->pixdim, k + 1);
		if (spacing < 0)
			return hl_fail(error, HILUM_ERROR_FORMAT, "voxels of %g mm along axis %d", spacing, k + 1);
		if (k == 2 && real(header, layout->pixdim, 0) < 0)
			spacing = -spacing;
		for (int i = 0; i < 3; i++)
			affine[i][k] = rotation[i][k] * spacing;
	}
	for (int i = 0; i < 3; i++)
		affine[i][3] = real(header, layout->qoffset, i);
	return HILUM_OK;
}

/* One slice may come without a thickness: 1 mm at right angles to it. */
static void complete_slice(double affine[3][4])
{
	double normal[3], length = 0;

	if (affine[0][2] != 0 || affine[1][2] != 0 || affine[2][2] != 0)
		return;
	for (int i = 0; i < 3; i++) {
		int j = (i + 1) % 3, k = (i + 2) % 3;
		normal[i] = affine[j][0] * affine[k][1] - affine[k][0] * affine[j][1];
		length += normal[i] * normal[i];
	}
	for (int i = 0; i < 3 && length > 0; i++)
		affine[i][2] = normal[i] / sqrt(length);
}

/* Millimetres a unit of length: metres, millimetres, micrometres; where it is not said, millimetres. */
static double unit_of(const struct header *header)
{
	int units = header->layout->size == 348 ? header->bytes[header->layout->xyzt_units]
	                                        : (int)number(header, header->layout->xyzt_units, 4);

	return (units & 7) == 1 ? 1000 : (units & 7) == 3 ? 0.001 : 1;
}

static enum hilum_status read_place(const struct header *header, struct hl_volume *volume, struct hilum_error *error)
{
	const struct hl_nifti_layout *layout = header->layout;
	double affine[3][4], unit = unit_of(header);

	if (whole(header, layout->sform_code, 4) != 0) {
		for (int i = 0; i < 12; i++)
			affine[i / 4][i % 4] = real(header, layout->srow, i);
	} else if (whole(header, layout->qform_code, 4) != 0) {
		enum hilum_status status = read_qform(header, affine, error);
		if (status)
			return status;
	} else {
		for (int k = 0; k < 3; k++) {
			double spacing = fabs(real(header, layout->pixdim, k + 1)) * unit;
			volume->spacing[k] = isfinite(spacing) && spacing >= 1e-6 && spacing <= 1e6 ? spacing : 0;
		}
		return HILUM_OK;
	}
	/* Right, anterior, superior to left, posterior, superior. */
	for (int i = 0; i < 12; i++)
		affine[i / 4][i % 4] *= i < 8 ? -unit : unit;
	if (volume->depth == 1)
		complete_slice(affine);
	return hl_volume_set_affine(volume, affine, error);
}

static enum hilum_status read_offset(const struct header *header, size_t *out, struct hilum_error *error)
{
	const struct hl_nifti_layout *layout = header->layout;
	double offset = layout->size == 348 ? real(header, layout->vox_offset, 0)
	                                    : (double)(int64_t)number(header, layout->vox_offset, 8);

	if (offset == 0)
		offset = (double)layout->size + 4;
	if (!(offset >= (double)layout->size && offset <= (double)HL_STORED_BYTES_MAX))
		return hl_fail(error, HILUM_ERROR_FORMAT, "its voxels begin at byte %g", offset);
	*out = (size_t)offset;
	return HILUM_OK;
}

static enum hilum_status decode(const uint8_t *bytes, size_t length, struct hl_volume *out, struct hilum_error *error)
{
	uint8_t head[540];
	struct hl_stored stored = {.bytes = bytes, .length = length, .packed = is_gzip(bytes, length)};
	struct hl_volume volume = {0};
	struct header header;
	enum hilum_status status;
	char words[81] = "";

	if (stored.packed) {
		length = hl_inflate_peek(bytes, length, head, sizeof(head));
		bytes = head;
	}
	if (!find(bytes, length, &header))
		return hl_fail(error, HILUM_ERROR_FORMAT, "cut off within its header");
	if (header.bytes[header.layout->magic + 1] == 'i')
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED,
		               "a header whose voxels are in another file (.hdr and .img); convert it to .nii");
	stored.big_endian = header.big_endian;
	memcpy(words, bytes + header.layout->descrip, 80);
	stored.hounsfield = strstr(words, HL_STORED_HOUNSFIELD) != NULL;
	status = read_type(&header, &stored, error);
	if (!status)
		status = read_scale(&header, &stored, error);
	if (!status)
		status = read_offset(&header, &stored.skip, error);
	if (!status)
		status = read_sizes(&header, &volume, error);
	if (!status)
		status = read_place(&header, &volume, error);
	if (!status)
		status = hl_stored_read(&stored, &volume, error);
	if (!status)
		*out = volume;
	return status;
}

const struct hl_format hl_format_nifti = {
    .name = "NIfTI",
    .extensions = "nii nii.gz",
    .detect = detect,
    .decode = decode,
};
