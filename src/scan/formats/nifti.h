/* Where the fields of a NIfTI header lie: shared by the reader and the writer. */
#ifndef HL_SCAN_FORMATS_NIFTI_H
#define HL_SCAN_FORMATS_NIFTI_H
#include <stddef.h>

/* Offsets in bytes. Version 1: dimensions and codes of 16 bits, reals of 32. Version 2: dimensions of 64 bits, codes of
 * 32 (but for datatype), reals of 64. */
struct hl_nifti_layout {
	size_t size, magic, datatype, dim, pixdim, vox_offset, scl_slope, scl_inter, descrip, qform_code, sform_code,
	    quatern, qoffset, srow, xyzt_units;
};
extern const struct hl_nifti_layout hl_nifti_layouts[2]; /* of version 1 and 2 */

enum {
	HL_NIFTI_U8 = 2,
	HL_NIFTI_I16 = 4,
	HL_NIFTI_I32 = 8,
	HL_NIFTI_F32 = 16,
	HL_NIFTI_F64 = 64,
	HL_NIFTI_I8 = 256,
	HL_NIFTI_U16 = 512,
	HL_NIFTI_U32 = 768,
	HL_NIFTI_I64 = 1024,
	HL_NIFTI_U64 = 1280
};
#endif
