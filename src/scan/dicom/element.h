/* The bytes of a DICOM data set as elements (PS3.5 section 7): a cursor that checks every length before it is believed.
 * Nothing is copied; values point into the bytes. */
#ifndef HL_SCAN_DICOM_ELEMENT_H
#define HL_SCAN_DICOM_ELEMENT_H
#include "base/error.h"

#define HL_TAG(group, element) ((uint32_t)(group) << 16 | (uint32_t)(element))
#define HL_TAG_ITEM HL_TAG(0xfffe, 0xe000)
#define HL_TAG_ITEM_END HL_TAG(0xfffe, 0xe00d)
#define HL_TAG_SEQUENCE_END HL_TAG(0xfffe, 0xe0dd)
#define HL_TAG_PIXEL_DATA HL_TAG(0x7fe0, 0x0010)

/* Items within items; deeper ones are refused. */
#define HL_DICOM_DEPTH_MAX 32

/* A run of elements: a data set, or one item of a sequence. */
struct hl_dicom_set {
	const uint8_t *at, *end;
	bool explicit_vr, big_endian;
	int depth;
};

struct hl_dicom_element {
	uint32_t tag;
	char vr[2]; /* 0 0 where the encoding does not say */
	bool undefined_length;
	const uint8_t *value; /* for undefined length: without the delimiter at its end */
	size_t length;
	bool big_endian;
	bool explicit_vr; /* of the items within */
	int depth;
};

/* What hl_dicom_next found. */
enum hl_dicom_step { HL_DICOM_ELEMENT, HL_DICOM_END, HL_DICOM_DAMAGED };

/* The next element. At pixel data of undefined length (encapsulated) the value is all that follows, fragments and
 * delimiter. */
enum hl_dicom_step hl_dicom_next(struct hl_dicom_set *set, struct hl_dicom_element *out, struct hilum_error *error);

/* The items of a sequence, one after the other: begin with hl_dicom_items, then hl_dicom_item until it answers END. */
struct hl_dicom_set hl_dicom_items(const struct hl_dicom_element *sequence);
enum hl_dicom_step hl_dicom_item(struct hl_dicom_set *items, struct hl_dicom_set *out, struct hilum_error *error);

/* Values. All answer false where the value is empty or not what is asked for; what they write is then undefined. */
bool hl_dicom_u16(const struct hl_dicom_element *element, size_t index, uint16_t *out);
/* Number index of a DS or IS text, or of FD, FL, US, SS, UL, SL where the encoding says so. Finite. */
bool hl_dicom_number(const struct hl_dicom_element *element, size_t index, double *out);
/* All count numbers. */
bool hl_dicom_numbers(const struct hl_dicom_element *element, size_t count, double *out);
/* The text without trailing spaces and zeros; size bytes with the closing zero. */
bool hl_dicom_text(const struct hl_dicom_element *element, char *out, size_t size);
/* Whether one of the values of a text, separated by backslashes, is word. */
bool hl_dicom_has_word(const struct hl_dicom_element *element, const char *word);

uint16_t hl_dicom_get16(const uint8_t *bytes, bool big_endian);
uint32_t hl_dicom_get32(const uint8_t *bytes, bool big_endian);
#endif
