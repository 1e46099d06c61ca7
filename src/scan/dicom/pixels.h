/* From the bytes of the pixel data to stored values: fragments (PS3.5 annex A.4), the layout of native values (PS3.5
 * section 8.1) and what the codecs have in common. */
#ifndef HL_SCAN_DICOM_PIXELS_H
#define HL_SCAN_DICOM_PIXELS_H
#include "scan/dicom.h"

/* The raw deflate stream of a deflated data set (PS3.5 annex A.5); hl_free(*out). */
enum hilum_status hl_dicom_inflate(const uint8_t *bytes, size_t length, size_t maximum, uint8_t **out, size_t *size,
                                   struct hilum_error *error);
/* Whether sizes, frames and bits are such that pixels can be read. */
enum hilum_status hl_dicom_check(struct hl_dicom *dicom, struct hilum_error *error);
/* Fills fragment, fragments and first_fragment of an encapsulated file. */
enum hilum_status hl_dicom_find_fragments(struct hl_dicom *dicom, struct hilum_error *error);

/* What a decoder must deliver: width * height * samples values of size bytes (1 or 2), interleaved, the code stream's
 * numbers in their low bits. A stream whose own header says otherwise is an error. */
struct hl_dicom_plane {
	int32_t width, height, samples;
	size_t size;
	int32_t bits;   /* stored; a stream of more does not fit */
	bool is_signed; /* what the file says of the numbers */
	void *out;
};
enum hilum_status hl_decode_rle(const uint8_t *bytes, size_t length, const struct hl_dicom_plane *plane,
                                struct hilum_error *error);
enum hilum_status hl_decode_jpeg(const uint8_t *bytes, size_t length, const struct hl_dicom_plane *plane,
                                 struct hilum_error *error);
enum hilum_status hl_decode_jpegls(const uint8_t *bytes, size_t length, const struct hl_dicom_plane *plane,
                                   struct hilum_error *error);
enum hilum_status hl_decode_jpeg2000(const uint8_t *bytes, size_t length, const struct hl_dicom_plane *plane,
                                     struct hilum_error *error);
#endif
