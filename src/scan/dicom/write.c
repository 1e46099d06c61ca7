#include "scan/dicom/write.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/number.h"
#include "scan/dicom/element.h"

const char *const hl_dicom_encodings[] = {"explicit",      "implicit", "big-endian", "deflated", "rle",
                                          "jpeg-lossless", "jpeg-ls",  "jpeg-2000",  NULL};
static const char *const syntaxes[HL_ENCODING_COUNT] = {
    [HL_ENCODING_EXPLICIT] = "1.2.840.10008.1.2.1",   [HL_ENCODING_IMPLICIT] = "1.2.840.10008.1.2",
    [HL_ENCODING_BIG_ENDIAN] = "1.2.840.10008.1.2.2", [HL_ENCODING_DEFLATED] = "1.2.840.10008.1.2.1.99",
    [HL_ENCODING_RLE] = "1.2.840.10008.1.2.5",        [HL_ENCODING_JPEG_LOSSLESS] = "1.2.840.10008.1.2.4.70",
    [HL_ENCODING_JPEG_LS] = "1.2.840.10008.1.2.4.80", [HL_ENCODING_JPEG_2000] = "1.2.840.10008.1.2.4.90",
};
static const char ct_class[] = "1.2.840.10008.5.1.4.1.1.2", enhanced_class[] = "1.2.840.10008.5.1.4.1.1.2.1";

void hl_dicom_uid(const char *text, char uid[65])
{
	struct hl_sha256 hash = hl_sha256(text, strlen(text));
	char digits[48] = {0}, *at = digits + sizeof(digits) - 1;
	uint8_t number[16];
	bool left = true;

	for (int i = 0; i < 16; i++) {
		char pair[3] = {hash.hex[2 * i], hash.hex[2 * i + 1], '\0'};
		number[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	/* 128 bits as decimal digits, the last one first. */
	while (left) {
		unsigned rest = 0;
		left = false;
		for (int i = 0; i < 16; i++) {
			rest = rest << 8 | number[i];
			number[i] = (uint8_t)(rest / 10);
			left |= number[i] > 0;
			rest %= 10;
		}
		*--at = (char)('0' + rest);
	}
	snprintf(uid, 65, "2.25.%s", at);
}

/* ---- elements ---- */

struct writer {
	struct hl_buffer *out;
	bool explicit_vr, big_endian;
	enum hilum_status status; /* of the first failure; nothing is written after it */
	struct hilum_error *error;
};

static void put_bytes(struct writer *to, const void *bytes, size_t length)
{
	if (!to->status)
		to->status = hl_buffer_append(to->out, bytes, length, to->error);
}

static void put_number(struct writer *to, uint32_t value, int size)
{
	uint8_t bytes[4];

	for (int i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> 8 * (to->big_endian ? size - 1 - i : i));
	put_bytes(to, bytes, (size_t)size);
}

static void put_tag(struct writer *to, uint32_t tag)
{
	put_number(to, tag >> 16, 2);
	put_number(to, tag & 0xffff, 2);
}

static void put_head(struct writer *to, uint32_t tag, const char vr[3], uint32_t length)
{
	bool wide = strcmp(vr, "OB") == 0 || strcmp(vr, "OW") == 0 || strcmp(vr, "SQ") == 0;

	put_tag(to, tag);
	if (!to->explicit_vr) {
		put_number(to, length, 4);
		return;
	}
	put_bytes(to, vr, 2);
	if (wide)
		put_number(to, 0, 2);
	put_number(to, length, wide ? 4 : 2);
}

static void put_text(struct writer *to, uint32_t tag, const char vr[3], const char *text)
{
	size_t length = strlen(text);

	put_head(to, tag, vr, (uint32_t)(length + length % 2));
	put_bytes(to, text, length);
	if (length % 2)
		put_bytes(to, strcmp(vr, "UI") == 0 ? "" : " ", 1);
}

static void put_u16(struct writer *to, uint32_t tag, int32_t value)
{
	put_head(to, tag, "US", 2);
	put_number(to, (uint32_t)value, 2);
}

static void put_int(struct writer *to, uint32_t tag, int32_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", value);
	put_text(to, tag, "IS", text);
}

/* Decimal strings of 16 characters at most (PS3.5 6.2): as many digits as fit. */
static void put_decimals(struct writer *to, uint32_t tag, const double *value, int count)
{
	char text[8 * 18] = "", one[32];
	size_t used = 0;

	for (int i = 0; i < count; i++) {
		int digits = 17;
		if (hl_number_print_shortest(one, sizeof(one), value[i]) > 16)
			while (hl_number_print(one, sizeof(one), digits, value[i]) > 16 && digits > 1)
				digits--;
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? "\\" : "", one);
	}
	put_text(to, tag, "DS", text);
}

/* Sequences and items of undefined length. */
static void begin(struct writer *to, uint32_t tag)
{
	put_head(to, tag, "SQ", UINT32_MAX);
	put_tag(to, HL_TAG_ITEM);
	put_number(to, UINT32_MAX, 4);
}

static void end(struct writer *to)
{
	put_tag(to, HL_TAG_ITEM_END);
	put_number(to, 0, 4);
	put_tag(to, HL_TAG_SEQUENCE_END);
	put_number(to, 0, 4);
}

static void end_item(struct writer *to, bool another)
{
	put_tag(to, HL_TAG_ITEM_END);
	put_number(to, 0, 4);
	if (another) {
		put_tag(to, HL_TAG_ITEM);
		put_number(to, UINT32_MAX, 4);
	}
}

/* ---- attributes, in the order of their tags ---- */

static const char *type_of(const struct hl_dicom_frame *frame)
{
	if (frame->localiser)
		return "ORIGINAL\\PRIMARY\\LOCALIZER";
	return frame->derived ? "DERIVED\\SECONDARY\\AXIAL" : "ORIGINAL\\PRIMARY\\AXIAL";
}

static void put_if(struct writer *to, uint32_t tag, const char vr[3], const char *text)
{
	if (text && *text)
		put_text(to, tag, vr, text);
}

static void put_identity(struct writer *to, const struct hl_dicom_image *image)
{
	const struct hl_dicom *head = &image->head;
	const struct hl_dicom_frame *frame = &head->frame[0];

	put_text(to, HL_TAG(0x0008, 0x0008), "CS", type_of(frame));
	put_text(to, HL_TAG(0x0008, 0x0016), "UI",
	         head->sop_class[0]  ? head->sop_class
	         : head->frames == 1 ? ct_class
	                             : enhanced_class);
	put_if(to, HL_TAG(0x0008, 0x0018), "UI", head->sop_instance);
	put_if(to, HL_TAG(0x0008, 0x0060), "CS", head->modality);
	put_text(to, HL_TAG(0x0008, 0x0070), "LO", "hilum phantom");
	put_text(to, HL_TAG(0x0010, 0x0010), "PN", "");
	put_text(to, HL_TAG(0x0010, 0x0020), "LO", image->patient ? image->patient : "");
	if (head->frames == 1 && frame->thickness > 0)
		put_decimals(to, HL_TAG(0x0018, 0x0050), &frame->thickness, 1);
	if (head->has_tilt)
		put_decimals(to, HL_TAG(0x0018, 0x1120), &head->tilt, 1);
	put_if(to, HL_TAG(0x0020, 0x000d), "UI", head->study);
	put_if(to, HL_TAG(0x0020, 0x000e), "UI", head->series);
	if (head->series_number)
		put_int(to, HL_TAG(0x0020, 0x0011), head->series_number);
	if (head->has_acquisition)
		put_int(to, HL_TAG(0x0020, 0x0012), head->acquisition);
	if (head->has_instance)
		put_int(to, HL_TAG(0x0020, 0x0013), head->instance);
}

static void put_orientation(struct writer *to, const struct hl_dicom_frame *frame)
{
	double six[6];

	memcpy(six, frame->row, sizeof(frame->row));
	memcpy(six + 3, frame->column, sizeof(frame->column));
	put_decimals(to, HL_TAG(0x0020, 0x0037), six, 6);
}

static void put_spacing(struct writer *to, const struct hl_dicom_frame *frame)
{
	const double spacing[2] = {frame->spacing[1], frame->spacing[0]};

	put_decimals(to, HL_TAG(0x0028, 0x0030), spacing, 2);
}

static void put_rescale(struct writer *to, const struct hl_dicom_frame *frame)
{
	put_decimals(to, HL_TAG(0x0028, 0x1052), &frame->intercept, 1);
	put_decimals(to, HL_TAG(0x0028, 0x1053), &frame->slope, 1);
	put_text(to, HL_TAG(0x0028, 0x1054), "LO", frame->hounsfield ? "HU" : "US");
}

static void put_pixel_attributes(struct writer *to, const struct hl_dicom *head)
{
	const struct hl_dicom_frame *frame = &head->frame[0];
	bool plain = head->frames == 1;

	put_u16(to, HL_TAG(0x0028, 0x0002), 1);
	put_text(to, HL_TAG(0x0028, 0x0004), "CS",
	         head->photometric == HL_DICOM_MONOCHROME1 ? "MONOCHROME1" : "MONOCHROME2");
	if (!plain)
		put_int(to, HL_TAG(0x0028, 0x0008), head->frames);
	put_u16(to, HL_TAG(0x0028, 0x0010), head->height);
	put_u16(to, HL_TAG(0x0028, 0x0011), head->width);
	if (plain && frame->has_spacing)
		put_spacing(to, frame);
	put_u16(to, HL_TAG(0x0028, 0x0100), head->bits_allocated);
	put_u16(to, HL_TAG(0x0028, 0x0101), head->bits_stored);
	put_u16(to, HL_TAG(0x0028, 0x0102), head->high_bit);
	put_u16(to, HL_TAG(0x0028, 0x0103), head->is_signed);
	if (head->has_padding) {
		put_head(to, HL_TAG(0x0028, 0x0120), head->is_signed ? "SS" : "US", 2);
		put_number(to, (uint32_t)head->padding, 2);
	}
	if (plain && frame->has_rescale)
		put_rescale(to, frame);
}

/* The functional groups of an enhanced image (C.7.6.16.2): what may differ stands with each frame. */
static void put_groups(struct writer *to, const struct hl_dicom *head)
{
	begin(to, HL_TAG(0x5200, 0x9229));
	if (head->frame[0].has_orientation) {
		begin(to, HL_TAG(0x0020, 0x9116));
		put_orientation(to, &head->frame[0]);
		end(to);
	}
	end(to);
	begin(to, HL_TAG(0x5200, 0x9230));
	for (int32_t i = 0; i < head->frames; i++) {
		const struct hl_dicom_frame *frame = &head->frame[i];
		if (frame->has_position) {
			begin(to, HL_TAG(0x0020, 0x9113));
			put_decimals(to, HL_TAG(0x0020, 0x0032), frame->position, 3);
			end(to);
		}
		begin(to, HL_TAG(0x0028, 0x9110));
		if (frame->thickness > 0)
			put_decimals(to, HL_TAG(0x0018, 0x0050), &frame->thickness, 1);
		if (frame->has_spacing)
			put_spacing(to, frame);
		end(to);
		if (frame->has_rescale) {
			begin(to, HL_TAG(0x0028, 0x9145));
			put_rescale(to, frame);
			end(to);
		}
		end_item(to, i + 1 < head->frames);
	}
	put_tag(to, HL_TAG_SEQUENCE_END);
	put_number(to, 0, 4);
}

/* ---- pixels ---- */

static void put_native(struct writer *to, const struct hl_dicom_image *image)
{
	const struct hl_dicom *head = &image->head;
	size_t count = (size_t)head->width * (size_t)head->height * (size_t)head->frames;
	size_t size = (size_t)head->bits_allocated / 8;

	put_head(to, HL_TAG_PIXEL_DATA, size == 2 || !to->explicit_vr ? "OW" : "OB",
	         (uint32_t)(count * size + count * size % 2));
	if (size == 1)
		put_bytes(to, image->values, count);
	else
		for (size_t i = 0; i < count && !to->status; i++)
			put_number(to, ((const uint16_t *)image->values)[i], 2);
	if (count * size % 2)
		put_bytes(to, "", 1);
}

static void put_fragment(struct writer *to, const struct hl_dicom_image *image, int32_t frame)
{
	const struct hl_dicom *head = &image->head;
	struct hl_dicom_raw raw = {.width = head->width,
	                           .height = head->height,
	                           .size = head->bits_allocated / 8,
	                           .bits = head->bits_stored,
	                           .is_signed = head->is_signed};
	size_t at = to->out->length + 4;

	raw.values = (const uint8_t *)image->values +
	             (size_t)frame * (size_t)head->width * (size_t)head->height * (size_t)raw.size;
	put_tag(to, HL_TAG_ITEM);
	put_number(to, 0, 4);
	if (to->status)
		return;
	switch (image->encoding) {
	case HL_ENCODING_RLE:
		to->status = hl_encode_rle(&raw, to->out, to->error);
		break;
	case HL_ENCODING_JPEG_LOSSLESS:
		to->status = hl_encode_jpeg_lossless(&raw, to->out, to->error);
		break;
	case HL_ENCODING_JPEG_LS:
		to->status = hl_encode_jpegls(&raw, to->out, to->error);
		break;
	default:
		to->status = hl_encode_jpeg2000(&raw, to->out, to->error);
		break;
	}
	if ((to->out->length - at) % 2)
		put_bytes(to, "", 1);
	/* The length, now that it is known. */
	for (int i = 0; i < 4 && !to->status; i++)
		to->out->data[at + (size_t)i] = (char)((to->out->length - at - 4) >> 8 * i);
}

static void put_encapsulated(struct writer *to, const struct hl_dicom_image *image)
{
	put_head(to, HL_TAG_PIXEL_DATA, "OB", UINT32_MAX);
	put_tag(to, HL_TAG_ITEM); /* an empty table of offsets */
	put_number(to, 0, 4);
	for (int32_t i = 0; i < image->head.frames && !to->status; i++)
		put_fragment(to, image, i);
	put_tag(to, HL_TAG_SEQUENCE_END);
	put_number(to, 0, 4);
}

/* ---- the file ---- */

static void put_data_set(struct writer *to, const struct hl_dicom_image *image)
{
	const struct hl_dicom *head = &image->head;

	put_identity(to, image);
	if (head->frames == 1 && head->frame[0].has_position)
		put_decimals(to, HL_TAG(0x0020, 0x0032), head->frame[0].position, 3);
	if (head->frames == 1 && head->frame[0].has_orientation)
		put_orientation(to, &head->frame[0]);
	put_if(to, HL_TAG(0x0020, 0x0052), "UI", head->frame_of_reference);
	put_pixel_attributes(to, head);
	if (head->frames > 1)
		put_groups(to, head);
	if (image->encoding < HL_ENCODING_RLE)
		put_native(to, image);
	else
		put_encapsulated(to, image);
}

static void put_meta(struct writer *to, const struct hl_dicom_image *image)
{
	static const char preamble[128] = {0};
	static const uint8_t version[2] = {0, 1};
	size_t at;

	put_bytes(to, preamble, sizeof(preamble));
	put_bytes(to, "DICM", 4);
	put_head(to, HL_TAG(2, 0), "UL", 4);
	put_number(to, 0, 4);
	at = to->out->length;
	put_head(to, HL_TAG(2, 1), "OB", 2);
	put_bytes(to, version, 2);
	put_text(to, HL_TAG(2, 2), "UI",
	         image->head.sop_class[0]  ? image->head.sop_class
	         : image->head.frames == 1 ? ct_class
	                                   : enhanced_class);
	put_text(to, HL_TAG(2, 3), "UI", image->head.sop_instance);
	put_text(to, HL_TAG(2, 0x10), "UI", syntaxes[image->encoding]);
	put_text(to, HL_TAG(2, 0x12), "UI", "2.25.182416839274910526351840227461907255183");
	for (int i = 0; i < 4 && !to->status; i++)
		to->out->data[at - 4 + (size_t)i] = (char)((to->out->length - at) >> 8 * i);
}

enum hilum_status hl_dicom_write(const struct hl_dicom_image *image, struct hl_buffer *out, struct hilum_error *error)
{
	struct writer to = {.out = out, .explicit_vr = true, .error = error};
	struct hl_buffer plain;

	put_meta(&to, image);
	to.explicit_vr = image->encoding != HL_ENCODING_IMPLICIT;
	to.big_endian = image->encoding == HL_ENCODING_BIG_ENDIAN;
	if (image->encoding != HL_ENCODING_DEFLATED) {
		put_data_set(&to, image);
		return to.status;
	}
	hl_buffer_init(&plain, out->maximum);
	to.out = &plain;
	put_data_set(&to, image);
	if (!to.status)
		to.status = hl_encode_deflate(plain.data, plain.length, out, error);
	hl_buffer_free(&plain);
	return to.status;
}
