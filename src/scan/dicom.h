/* DICOM files from memory: what a file says of its pictures, and their stored values. Nothing of the patient is taken
 * from a file but where the patient lies; UIDs are compared and never shown. See docs/decisions for why hilum parses
 * DICOM itself. */
#ifndef HL_SCAN_DICOM_H
#define HL_SCAN_DICOM_H
#include "scan/volume.h"

enum hl_dicom_codec {
	HL_DICOM_NATIVE,
	HL_DICOM_RLE,
	HL_DICOM_DEFLATE, /* frame by frame */
	HL_DICOM_JPEG,    /* DCT of 8 or 12 bits, or lossless (process 14) */
	HL_DICOM_JPEG_LS,
	HL_DICOM_JPEG_2000 /* and high-throughput JPEG 2000 */
};

/* PS3.5 section 10, PS3.6 annex A. */
struct hl_dicom_syntax {
	const char *uid, *name;
	bool explicit_vr, big_endian, deflated;
	enum hl_dicom_codec codec;
	bool lossy;
};
extern const struct hl_dicom_syntax hl_dicom_syntaxes[]; /* ended by one without a uid */
extern const int hl_dicom_syntax_count;

enum hl_dicom_photometric {
	HL_DICOM_OTHER,
	HL_DICOM_MONOCHROME1,
	HL_DICOM_MONOCHROME2,
	HL_DICOM_PALETTE,
	HL_DICOM_RGB,
	HL_DICOM_YBR_FULL,
	HL_DICOM_YBR_422,
	HL_DICOM_YBR_J2K /* YBR_RCT, YBR_ICT: RGB once decoded */
};

/* Where a frame lies and what its numbers mean. */
struct hl_dicom_frame {
	bool has_position, has_orientation, has_spacing, has_rescale;
	bool localiser, derived;
	bool hounsfield;          /* no Rescale Type but HU */
	double position[3];       /* of the centre of the first voxel, mm, LPS */
	double row[3], column[3]; /* the directions in which columns and rows are counted */
	double spacing[2];        /* mm between columns (along row) and between rows (along column) */
	double thickness;         /* mm; 0: unknown */
	double slope, intercept;  /* 1 and 0 where the file has none */
};

enum hl_dicom_numbers { HL_DICOM_INTEGERS, HL_DICOM_FLOATS, HL_DICOM_DOUBLES };

struct hl_dicom {
	const struct hl_dicom_syntax *syntax;
	char modality[17], sop_class[65], sop_instance[65], series[65], frame_of_reference[65], study[65];
	bool has_acquisition, has_instance, has_tilt, has_padding;
	int32_t acquisition, instance, series_number; /* 0: none */
	double tilt;                                  /* GantryDetectorTilt, degrees */
	int32_t width, height, samples;
	bool planar; /* samples one plane after the other */
	enum hl_dicom_photometric photometric;
	int32_t bits_allocated, bits_stored, high_bit;
	bool is_signed;
	int32_t padding; /* stored value */
	enum hl_dicom_numbers numbers;
	int32_t frames;
	struct hl_dicom_frame *frame; /* owned */
	bool has_pixels, encapsulated;
	const uint8_t *pixels; /* the value of the pixel data, in the file's bytes or in inflated */
	size_t pixel_bytes;
	bool big_endian;
	uint8_t *inflated; /* owned: the data set of a deflated file */
	/* Encapsulated: where fragments are. Owned. */
	struct hl_dicom_fragment {
		size_t offset, length; /* in pixels */
	} * fragment;
	int32_t fragments, *first_fragment; /* of frame i, frames + 1 of them */
};

/* Whether bytes are the beginning of a DICOM file, with or without its preamble. */
bool hl_dicom_detect(const uint8_t *bytes, size_t length);

/* Reads what a file says. bytes must outlive out, which the caller closes. A file without pictures (a report, a plan)
 * has has_pixels false and no frames. */
enum hilum_status hl_dicom_open(const uint8_t *bytes, size_t length, struct hl_dicom *out, struct hilum_error *error);
void hl_dicom_close(struct hl_dicom *dicom);

/* Bytes of one stored value as hl_dicom_read gives it (1, 2, 4 or 8), and of one frame. */
size_t hl_dicom_value_size(const struct hl_dicom *dicom);
size_t hl_dicom_frame_bytes(const struct hl_dicom *dicom);
/* The stored values of one frame, from 0: samples interleaved, in this machine's order of bytes, masked to Bits Stored
 * and sign-extended; colour as it is stored, but for JPEG 2000's own transform. out has hl_dicom_frame_bytes. */
enum hilum_status hl_dicom_read(const struct hl_dicom *dicom, int32_t frame, void *out, struct hilum_error *error);

/* The reasons for which a frame is no slice of a CT in Hounsfield units; empty where it is one. Static text. */
const char *hl_dicom_not_ct(const struct hl_dicom *dicom);
#endif
