/* Sound NIfTI and MetaImage files of every type and byte order, put together byte by byte. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "samples.h"

enum stored { U8, I8, U16, I16, U32, I32, U64, I64, F32, F64 };
enum place { NOWHERE, SFORM, QFORM, MATRIX, LETTERS };

/* Axis k of the file runs along patient axis permutation[k] (0 left-right, 1 front-back, 2 up-down), towards the right,
 * the front or the head, the other way where bit k of reversed is set. */
struct volume_kind {
	const char *name;
	enum sample_kind kind;
	int version; /* of NIfTI */
	enum stored stored;
	bool big, packed;
	enum place place;
	int permutation[3], reversed;
	double slope, intercept;
	bool said;          /* that the values are Hounsfield units */
	enum hl_voxel type; /* expected */
};

#define NII SAMPLE_NIFTI
#define MHA SAMPLE_METAIMAGE
#define STRAIGHT                                                                                                       \
	{                                                                                                              \
		0, 1, 2                                                                                                \
	}
static const struct volume_kind kinds[] = {
    {"u8", NII, 1, U8, 0, 0, SFORM, STRAIGHT, 3, 1, 0, 0, HL_VOXEL_U8},
    {"i8 big-endian", NII, 1, I8, 1, 0, SFORM, STRAIGHT, 2, 1, 0, 0, HL_VOXEL_I16},
    {"u16 big-endian", NII, 1, U16, 1, 0, SFORM, STRAIGHT, 0, 0, 99, 0, HL_VOXEL_U16},
    {"i16", NII, 1, I16, 0, 0, SFORM, {2, 0, 1}, 5, 1, 0, 0, HL_VOXEL_I16},
    {"i16 big-endian", NII, 1, I16, 1, 0, SFORM, {1, 2, 0}, 1, 1, 0, 0, HL_VOXEL_I16},
    {"i16 gzip", NII, 1, I16, 0, 1, SFORM, STRAIGHT, 3, 1, 0, 1, HL_VOXEL_I16},
    {"u32", NII, 1, U32, 0, 0, SFORM, {0, 2, 1}, 4, 1, 0, 0, HL_VOXEL_U16},
    {"i32 big-endian gzip", NII, 1, I32, 1, 1, SFORM, {2, 1, 0}, 7, 1, 0, 0, HL_VOXEL_F32},
    {"u64", NII, 1, U64, 0, 0, NOWHERE, STRAIGHT, 0, 1, 0, 0, HL_VOXEL_U16},
    {"i64 big-endian", NII, 1, I64, 1, 0, SFORM, {1, 0, 2}, 6, 1, 0, 0, HL_VOXEL_I16},
    {"f32", NII, 1, F32, 0, 0, SFORM, STRAIGHT, 1, 1, 0, 0, HL_VOXEL_F32},
    {"f32 big-endian", NII, 1, F32, 1, 0, SFORM, {2, 0, 1}, 2, 1, 0, 0, HL_VOXEL_F32},
    {"f64 gzip", NII, 1, F64, 0, 1, SFORM, STRAIGHT, 3, 1, 0, 0, HL_VOXEL_F32},
    {"f64 big-endian", NII, 1, F64, 1, 0, NOWHERE, STRAIGHT, 0, 1, 0, 0, HL_VOXEL_F32},
    {"u16 scaled", NII, 1, U16, 0, 0, SFORM, STRAIGHT, 3, 0.5, -1024, 0, HL_VOXEL_F32},
    {"u8 scaled", NII, 1, U8, 0, 0, SFORM, {1, 0, 2}, 0, 4, -1024, 0, HL_VOXEL_I16},
    {"u8 said to be HU", NII, 1, U8, 0, 0, SFORM, STRAIGHT, 0, 1, 0, 1, HL_VOXEL_I16},
    {"u16 said to be HU", NII, 1, U16, 0, 0, SFORM, STRAIGHT, 0, 1, 0, 1, HL_VOXEL_F32},
    {"qform", NII, 1, I16, 0, 0, QFORM, STRAIGHT, 0, 1, 0, 0, HL_VOXEL_I16},
    {"qform turned", NII, 1, I16, 0, 0, QFORM, {1, 2, 0}, 0, 1, 0, 0, HL_VOXEL_I16},
    {"qform mirrored", NII, 1, I16, 1, 0, QFORM, STRAIGHT, 4, 1, 0, 0, HL_VOXEL_I16},
    {"u8", NII, 2, U8, 0, 0, SFORM, STRAIGHT, 3, 1, 0, 0, HL_VOXEL_U8},
    {"i16 big-endian", NII, 2, I16, 1, 0, SFORM, {2, 1, 0}, 3, 1, 0, 0, HL_VOXEL_I16},
    {"f64 gzip", NII, 2, F64, 0, 1, QFORM, {1, 2, 0}, 0, 1, 0, 0, HL_VOXEL_F32},
    {"u8", MHA, 0, U8, 0, 0, MATRIX, STRAIGHT, 3, 1, 0, 0, HL_VOXEL_U8},
    {"i8", MHA, 0, I8, 0, 0, MATRIX, {1, 0, 2}, 1, 1, 0, 0, HL_VOXEL_I16},
    {"u16 big-endian", MHA, 0, U16, 1, 0, MATRIX, STRAIGHT, 7, 1, 0, 0, HL_VOXEL_U16},
    {"i16", MHA, 0, I16, 0, 0, MATRIX, STRAIGHT, 3, 1, 0, 1, HL_VOXEL_I16},
    {"i16 big-endian packed", MHA, 0, I16, 1, 1, MATRIX, {0, 2, 1}, 2, 1, 0, 0, HL_VOXEL_I16},
    {"u32", MHA, 0, U32, 0, 0, NOWHERE, STRAIGHT, 0, 1, 0, 0, HL_VOXEL_U16},
    {"i32 big-endian", MHA, 0, I32, 1, 0, LETTERS, {2, 1, 0}, 4, 1, 0, 0, HL_VOXEL_F32},
    {"i64", MHA, 0, I64, 0, 0, MATRIX, STRAIGHT, 0, 1, 0, 0, HL_VOXEL_I16},
    {"f32 packed", MHA, 0, F32, 0, 1, LETTERS, STRAIGHT, 3, 1, 0, 0, HL_VOXEL_F32},
    {"f64 big-endian", MHA, 0, F64, 1, 0, MATRIX, STRAIGHT, 3, 1, 0, 0, HL_VOXEL_F32},
};

static const int32_t sides[3] = {13, 6, 5};
static const double spacing[3] = {0.75, 1.5, 2.5}, corner[3] = {-120.5, 33.25, 400};

/* ---- numbers as bytes ---- */

static bool add(struct hl_buffer *out, const void *bytes, size_t length)
{
	return hl_buffer_append(out, bytes, length, NULL) == HILUM_OK;
}

static void put(uint8_t *at, uint64_t value, size_t size, bool big)
{
	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> 8 * (big ? size - 1 - i : i));
}

static void put_real(uint8_t *at, double value, size_t size, bool big)
{
	float single = (float)value;
	uint32_t small;
	uint64_t large;

	memcpy(&small, &single, 4);
	memcpy(&large, &value, 8);
	put(at, size == 4 ? small : large, size, big);
}

static size_t size_of(enum stored stored)
{
	return stored <= I8 ? 1 : stored <= I16 ? 2 : stored == U32 || stored == I32 || stored == F32 ? 4 : 8;
}

/* The number stored for a voxel of the file: over the whole range of the small types, beyond int16 for i32. */
static double stored_value(enum stored stored, int32_t x, int32_t y, int32_t z)
{
	unsigned noise = (unsigned)(x * 73 + y * 151 + z * 977 + x * y * 7) * 2654435761u >> 16;

	switch (stored) {
	case U8:
		return noise & 255;
	case I8:
		return (int)(noise & 255) - 128;
	case I16:
	case I64:
		return (int)noise - 32768;
	case I32:
		return 2.0 * noise - 65536;
	case F32:
	case F64:
		return noise / 16.0 - 2048;
	default:
		return noise;
	}
}

static bool add_voxels(struct hl_buffer *out, const struct volume_kind *kind)
{
	bool done = true;

	for (int32_t i = 0; i < sides[0] * sides[1] * sides[2] && done; i++) {
		double value =
		    stored_value(kind->stored, i % sides[0], i / sides[0] % sides[1], i / sides[0] / sides[1]);
		uint8_t bytes[8];
		if (kind->stored >= F32)
			put_real(bytes, value, size_of(kind->stored), kind->big);
		else
			put(bytes, (uint64_t)(int64_t)value, size_of(kind->stored), kind->big);
		done = add(out, bytes, size_of(kind->stored));
	}
	return done;
}

static bool pack(struct hl_buffer *bytes, bool gzip)
{
	z_stream stream = {0};
	struct hl_buffer packed;
	char room[16384];
	bool done;

	hl_buffer_init(&packed, 1 << 20);
	if (deflateInit2(&stream, 6, Z_DEFLATED, gzip ? 31 : 15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	stream.next_in = (Bytef *)bytes->data;
	stream.avail_in = (uInt)bytes->length;
	stream.next_out = (Bytef *)room;
	stream.avail_out = sizeof(room);
	done = deflate(&stream, Z_FINISH) == Z_STREAM_END && add(&packed, room, sizeof(room) - stream.avail_out);
	deflateEnd(&stream);
	hl_buffer_free(bytes);
	*bytes = packed;
	return done;
}

/* ---- what must come out ---- */

/* Along which of the patient's axes, of LPS, and which way. */
static double sign_of(const struct volume_kind *kind, int k)
{
	double sign = kind->reversed >> k & 1 ? -1 : 1;

	return kind->permutation[k] < 2 ? -sign : sign;
}

static bool expect(const struct volume_kind *kind, struct hl_volume *volume)
{
	int32_t turned[3] = {sides[0], sides[1], sides[2]};

	for (int k = 0; k < 3 && kind->place != NOWHERE; k++)
		turned[kind->permutation[k]] = sides[k];
	if (hl_volume_init(volume, turned[0], turned[1], turned[2], 1, kind->type, NULL))
		return false;
	for (int32_t i = 0; i < sides[0] * sides[1] * sides[2]; i++) {
		int32_t from[3] = {i % sides[0], i / sides[0] % sides[1], i / sides[0] / sides[1]}, to[3];
		double value = stored_value(kind->stored, from[0], from[1], from[2]);
		memcpy(to, from, sizeof(to));
		for (int k = 0; k < 3 && kind->place != NOWHERE; k++)
			to[kind->permutation[k]] = sign_of(kind, k) > 0 ? from[k] : sides[k] - 1 - from[k];
		if (kind->slope != 0)
			value = value * kind->slope + kind->intercept;
		sample_set(volume, to[0], to[1], to[2], 0, value);
	}
	volume->oriented = kind->place != NOWHERE;
	for (int k = 0; k < 3; k++) {
		int axis = volume->oriented ? kind->permutation[k] : k;
		volume->spacing[axis] = spacing[k];
		volume->direction[k][k] = volume->oriented;
		if (volume->oriented)
			volume->origin[axis] = (axis < 2 ? -1 : 1) * corner[axis] -
			                       (sign_of(kind, k) > 0 ? 0 : (sides[k] - 1) * spacing[k]);
	}
	return true;
}

/* ---- NIfTI ---- */

/* nifti1.h and nifti2.h. */
static void nifti_header(const struct volume_kind *kind, uint8_t *header)
{
	static const int16_t codes[] = {2, 256, 512, 4, 768, 8, 1280, 1024, 16, 64};
	bool one = kind->version == 1, big = kind->big;
	size_t real = one ? 4 : 8, code = one ? 2 : 4;
	uint8_t *srow = header + (one ? 280 : 400), *quatern = header + (one ? 256 : 352);

	put(header, one ? 348 : 540, 4, big);
	memcpy(header + (one ? 344 : 4), one ? "n+1" : "n+2\0\r\n\x1a\n", one ? 4 : 8);
	put(header + (one ? 70 : 12), (uint64_t)codes[kind->stored], 2, big);
	put(header + (one ? 72 : 14), size_of(kind->stored) * 8, 2, big);
	put(header + (one ? 40 : 16), 3, one ? 2 : 8, big);
	for (size_t k = 0; k < 3; k++) {
		put(header + (one ? 42 + 2 * k : 24 + 8 * k), (uint64_t)sides[k], one ? 2 : 8, big);
		put_real(header + (one ? 80 : 112) + real * k, spacing[k], real, big);
	}
	put_real(header + (one ? 76 : 104), kind->reversed == 4 ? -1 : 1, real, big);
	if (one)
		put_real(header + 108, 352, 4, big);
	else
		put(header + 168, 544, 8, big);
	put_real(header + (one ? 112 : 176), kind->slope, real, big);
	put_real(header + (one ? 116 : 184), kind->intercept, real, big);
	if (kind->said)
		strcpy((char *)header + (one ? 148 : 240), "CT, Hounsfield units");
	put(header + (one ? 254 : 348), kind->place == SFORM, code, big);
	put(header + (one ? 252 : 344), kind->place == SFORM || kind->place == QFORM, code, big);
	for (size_t k = 0; k < 3; k++) {
		/* A qform that the sform must overrule is turned by a third. */
		bool turned = kind->place == SFORM || kind->permutation[0] == 1;
		put_real(quatern + real * k, turned ? 0.5 : 0, real, big);
		put_real(quatern + real * (3 + k), corner[k], real, big);
	}
	for (int k = 0; k < 3; k++) {
		size_t row = (size_t)kind->permutation[k];
		put_real(srow + real * (4 * row + (size_t)k), (kind->reversed >> k & 1 ? -1 : 1) * spacing[k], real,
		         big);
		put_real(srow + real * (4 * (size_t)k + 3), corner[k], real, big);
	}
}

static bool make_nifti(const struct volume_kind *kind, struct hl_buffer *out)
{
	uint8_t header[544] = {0};

	nifti_header(kind, header);
	return add(out, header, kind->version == 1 ? 352 : 544) && add_voxels(out, kind) &&
	       (!kind->packed || pack(out, true));
}

/* ---- MetaImage ---- */

static bool add_axes(const struct volume_kind *kind, struct hl_buffer *out)
{
	/* The side that an axis comes from, towards the left, the back and the head. */
	static const char from[3][2] = {"RL", "AP", "IS"};
	bool done =
	    !hl_buffer_print(out, NULL, kind->place == LETTERS ? "AnatomicalOrientation = " : "TransformMatrix =");

	for (int k = 0; k < 3 && done; k++) {
		double along[3] = {0};
		along[kind->permutation[k]] = sign_of(kind, k);
		if (kind->place == LETTERS)
			done = add(out, &from[kind->permutation[k]][sign_of(kind, k) < 0], 1);
		else
			done = !hl_buffer_print(out, NULL, " %g %g %g", along[0], along[1], along[2]);
	}
	return done && !hl_buffer_print(out, NULL, "\nOffset = %g %g %g\r\n", -corner[0], -corner[1], corner[2]);
}

static bool make_metaimage(const struct volume_kind *kind, struct hl_buffer *out)
{
	static const char *const types[] = {"MET_UCHAR", "MET_CHAR",       "MET_USHORT",    "MET_SHORT", "MET_UINT",
	                                    "MET_INT",   "MET_ULONG_LONG", "MET_LONG_LONG", "MET_FLOAT", "MET_DOUBLE"};
	struct hl_buffer voxels;
	bool done;

	hl_buffer_init(&voxels, 1 << 20);
	done = add_voxels(&voxels, kind) && (!kind->packed || pack(&voxels, false)) &&
	       !hl_buffer_print(out, NULL, "ObjectType = Image\nNDims = 3\nBinaryData = True\n%s%s = %s\n",
	                        kind->said ? "Comment = Hounsfield units\n" : "",
	                        kind->stored == U16 ? "ElementByteOrderMSB" : "BinaryDataByteOrderMSB",
	                        kind->big ? "True" : "False");
	if (done && kind->packed)
		done = !hl_buffer_print(out, NULL, "CompressedData = True\nCompressedDataSize = %zu\n", voxels.length);
	if (done && kind->place != NOWHERE)
		done = add_axes(kind, out);
	done = done &&
	       !hl_buffer_print(out, NULL,
	                        "ElementSpacing = %g %g %g\nDimSize = %d %d %d\nElementType = %s\n"
	                        "ElementDataFile = LOCAL\n",
	                        spacing[0], spacing[1], spacing[2], sides[0], sides[1], sides[2], types[kind->stored]);
	done = done && add(out, voxels.data, voxels.length);
	hl_buffer_free(&voxels);
	return done;
}

bool samples_make_volumes(struct sample *samples, size_t *count)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct sample *sample = &samples[(*count)++];
		struct hl_buffer bytes;
		bool done;
		*sample = (struct sample){.kind = kinds[i].kind};
		snprintf(sample->name, sizeof(sample->name), "%s %s", kinds[i].name,
		         kinds[i].kind == MHA    ? "MetaImage"
		         : kinds[i].version == 1 ? "NIfTI-1"
		                                 : "NIfTI-2");
		hl_buffer_init(&bytes, 1 << 20);
		done = (kinds[i].kind == NII ? make_nifti : make_metaimage)(&kinds[i], &bytes) &&
		       expect(&kinds[i], &sample->expected);
		sample->bytes = (uint8_t *)bytes.data;
		sample->length = bytes.length;
		if (!done) {
			fprintf(stderr, "cannot make %s\n", sample->name);
			return false;
		}
	}
	return true;
}
