/* Voxels as NIfTI and MetaImage keep them: rows of numbers of any type and byte order, plain or compressed, perhaps
 * with a scale. Here they become a volume: int16 where that is exact, its axes turned to the patient's while they are
 * read.
 *
 * Neither format says what its numbers mean. They are taken as Hounsfield units where the file says so in words, where
 * a value is negative, is no whole number or is above 65535. What is left are whole numbers from 0 to 65535, which are
 * grey values: of 8 bits if they were stored so, otherwise of 16. */
#ifndef HL_SCAN_FORMATS_STORED_H
#define HL_SCAN_FORMATS_STORED_H
#include "scan/volume.h"

enum hl_element {
	HL_ELEMENT_U8,
	HL_ELEMENT_I8,
	HL_ELEMENT_U16,
	HL_ELEMENT_I16,
	HL_ELEMENT_U32,
	HL_ELEMENT_I32,
	HL_ELEMENT_U64,
	HL_ELEMENT_I64,
	HL_ELEMENT_F32,
	HL_ELEMENT_F64
};
size_t hl_element_size(enum hl_element element);

/* How a file's description or comment says it. */
#define HL_STORED_HOUNSFIELD "Hounsfield units"

/* The most that is read for one volume, as stored. */
#define HL_STORED_BYTES_MAX (INT64_C(1) << 30)

struct hl_stored {
	enum hl_element element;
	bool big_endian;
	bool packed;             /* a zlib or gzip stream */
	bool hounsfield;         /* the file says so */
	double slope, intercept; /* value = stored * slope + intercept */
	const uint8_t *bytes;    /* borrowed */
	size_t length;
	size_t skip; /* bytes before the first voxel, once inflated */
};

/* volume: sizes, spacing and place as the file has them, one channel, no voxels yet. On success its voxels, type, unit
 * and maximum are set and it is turned to patient axes if it is oriented. On failure it holds no voxels. */
enum hilum_status hl_stored_read(const struct hl_stored *stored, struct hl_volume *volume, struct hilum_error *error);
#endif
