/* DICOM files of synthetic scans: CT images (PS3.3 A.3) and enhanced CT images (A.38), in every lossless encoding. What
 * is asked for is written, be it wrong: tests need files with faults. Nothing here is anybody's: no name, and UIDs made
 * from a text (PS3.5 annex B.2). */
#ifndef HL_SCAN_DICOM_WRITE_H
#define HL_SCAN_DICOM_WRITE_H
#include "base/buffer.h"
#include "scan/dicom.h"

enum hl_dicom_encoding {
	HL_ENCODING_EXPLICIT, /* little endian */
	HL_ENCODING_IMPLICIT,
	HL_ENCODING_BIG_ENDIAN,
	HL_ENCODING_DEFLATED,
	HL_ENCODING_RLE,
	HL_ENCODING_JPEG_LOSSLESS, /* first order prediction */
	HL_ENCODING_JPEG_LS,
	HL_ENCODING_JPEG_2000,
	HL_ENCODING_COUNT
};
/* "explicit", "implicit", ... and NULL: for option tables. */
extern const char *const hl_dicom_encodings[];

struct hl_dicom_image {
	enum hl_dicom_encoding encoding;
	/* As hl_dicom_open reads them; what is empty or not had is left out: modality (CT), sop_class, sop_instance,
	 * series, study, frame_of_reference, acquisition, instance, series_number, tilt, width, height, photometric,
	 * bits_allocated (8 or 16), bits_stored, high_bit, is_signed, padding, frames and of each frame place, spacing,
	 * thickness, rescale (as decimal text of 16 characters at most), localiser, derived. More than one frame makes
	 * an enhanced image. */
	struct hl_dicom head;
	const char *patient; /* a synthetic id; NULL: none */
	const void *values;  /* stored, all frames, in this machine's order of bytes */
};
enum hilum_status hl_dicom_write(const struct hl_dicom_image *image, struct hl_buffer *out, struct hilum_error *error);

/* "2.25." and a number made from the text: the same text, the same UID. */
void hl_dicom_uid(const char *text, char uid[65]);

/* ---- encoders (encode.c) ---- */

/* Values of one frame, 8 or 16 bits in low bits, to a code stream appended to out. */
struct hl_dicom_raw {
	int32_t width, height;
	int size; /* 1 or 2 bytes */
	int bits;
	bool is_signed;
	const void *values;
};
enum hilum_status hl_encode_rle(const struct hl_dicom_raw *raw, struct hl_buffer *out, struct hilum_error *error);
enum hilum_status hl_encode_jpeg_lossless(const struct hl_dicom_raw *raw, struct hl_buffer *out,
                                          struct hilum_error *error);
enum hilum_status hl_encode_jpegls(const struct hl_dicom_raw *raw, struct hl_buffer *out, struct hilum_error *error);
enum hilum_status hl_encode_jpeg2000(const struct hl_dicom_raw *raw, struct hl_buffer *out, struct hilum_error *error);
/* A raw deflate stream of bytes. */
enum hilum_status hl_encode_deflate(const void *bytes, size_t length, struct hl_buffer *out, struct hilum_error *error);
#endif
