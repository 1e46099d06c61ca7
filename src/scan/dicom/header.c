/* What a DICOM file says of its pictures: file meta information (PS3.10 section 7), then the attributes of image plane
 * and image pixel (PS3.3 C.7.6.2, C.7.6.3), CT image (C.8.2.1) and the functional groups of enhanced images (C.7.6.16).
 */
#include "scan/dicom.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "scan/dicom/element.h"
#include "scan/dicom/pixels.h"

#define LITTLE .explicit_vr = true
#define COMPRESSED(kind) LITTLE, .codec = HL_DICOM_##kind
const struct hl_dicom_syntax hl_dicom_syntaxes[] = {
    {"1.2.840.10008.1.2", "implicit little endian", .codec = HL_DICOM_NATIVE},
    {"1.2.840.10008.1.2.1", "explicit little endian", LITTLE},
    {"1.2.840.10008.1.2.1.98", "encapsulated uncompressed", LITTLE},
    {"1.2.840.10008.1.2.1.99", "deflated", LITTLE, .deflated = true},
    {"1.2.840.10008.1.2.2", "explicit big endian", LITTLE, .big_endian = true},
    {"1.2.840.10008.1.2.5", "RLE", COMPRESSED(RLE)},
    {"1.2.840.10008.1.2.8.1", "deflated frames", COMPRESSED(DEFLATE)},
    {"1.2.840.10008.1.2.4.50", "JPEG baseline", COMPRESSED(JPEG), .lossy = true},
    {"1.2.840.10008.1.2.4.51", "JPEG extended", COMPRESSED(JPEG), .lossy = true},
    {"1.2.840.10008.1.2.4.53", "JPEG spectral selection", COMPRESSED(JPEG), .lossy = true},
    {"1.2.840.10008.1.2.4.55", "JPEG full progression", COMPRESSED(JPEG), .lossy = true},
    {"1.2.840.10008.1.2.4.57", "JPEG lossless", COMPRESSED(JPEG)},
    {"1.2.840.10008.1.2.4.70", "JPEG lossless, first order", COMPRESSED(JPEG)},
    {"1.2.840.10008.1.2.4.80", "JPEG-LS", COMPRESSED(JPEG_LS)},
    {"1.2.840.10008.1.2.4.81", "JPEG-LS near-lossless", COMPRESSED(JPEG_LS), .lossy = true},
    {"1.2.840.10008.1.2.4.90", "JPEG 2000 lossless", COMPRESSED(JPEG_2000)},
    {"1.2.840.10008.1.2.4.91", "JPEG 2000", COMPRESSED(JPEG_2000), .lossy = true},
    {"1.2.840.10008.1.2.4.201", "high-throughput JPEG 2000 lossless", COMPRESSED(JPEG_2000)},
    {"1.2.840.10008.1.2.4.202", "high-throughput JPEG 2000 lossless, RPCL", COMPRESSED(JPEG_2000)},
    {"1.2.840.10008.1.2.4.203", "high-throughput JPEG 2000", COMPRESSED(JPEG_2000), .lossy = true},
    {0},
};

const int hl_dicom_syntax_count = sizeof(hl_dicom_syntaxes) / sizeof(*hl_dicom_syntaxes) - 1;

enum { PREAMBLE = 128 };
/* Of a deflated data set: 512 slices of 512 x 512. */
#define INFLATED_MAX ((size_t)256 << 20)

/* ---- how the data set is encoded ---- */

static bool is_upper(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z';
}

/* A data set without its preamble, as old archives have them: it begins with the first groups that there are. */
static bool is_bare(const uint8_t *bytes, size_t length)
{
	if (length < 132)
		return false;
	bool big_endian = bytes[0] == 0 && (bytes[1] == 8 || bytes[1] == 2);
	uint16_t group = hl_dicom_get16(bytes, big_endian), element = hl_dicom_get16(bytes + 2, big_endian);
	if ((group != 2 && group != 8) || element > 0x60)
		return false;
	if (is_upper(bytes[4]) && is_upper(bytes[5]))
		return hl_dicom_get16(bytes + 6, big_endian) <= 64;
	return !big_endian && hl_dicom_get32(bytes + 4, false) <= 64;
}

bool hl_dicom_detect(const uint8_t *bytes, size_t length)
{
	return (length >= PREAMBLE + 4 && memcmp(bytes + PREAMBLE, "DICM", 4) == 0) || is_bare(bytes, length);
}

static const struct hl_dicom_syntax *find_syntax(const char *uid)
{
	for (const struct hl_dicom_syntax *syntax = hl_dicom_syntaxes; syntax->uid; syntax++)
		if (strcmp(syntax->uid, uid) == 0)
			return syntax;
	return NULL;
}

/* By the first element, where the file does not say. */
static const struct hl_dicom_syntax *guess_syntax(const uint8_t *at, size_t length)
{
	if (length < 8)
		return NULL;
	if (at[0] == 0 && at[1] != 0)
		return find_syntax("1.2.840.10008.1.2.2");
	return find_syntax(is_upper(at[4]) && is_upper(at[5]) ? "1.2.840.10008.1.2.1" : "1.2.840.10008.1.2");
}

/* Group 2 (always explicit little endian), up to the first element of another group. */
static enum hl_dicom_step read_meta(struct hl_dicom_set *set, char uid[65], struct hilum_error *error)
{
	uid[0] = '\0';
	for (;;) {
		struct hl_dicom_element element;
		if (set->end - set->at < 8 || hl_dicom_get16(set->at, false) != 2)
			return HL_DICOM_ELEMENT;
		enum hl_dicom_step step = hl_dicom_next(set, &element, error);
		if (step != HL_DICOM_ELEMENT)
			return step;
		if (element.tag == HL_TAG(2, 0x10) && !hl_dicom_text(&element, uid, 65))
			uid[0] = '\0';
	}
}

static enum hilum_status choose_syntax(struct hl_dicom *dicom, const char *uid, struct hl_dicom_set *set,
                                       struct hilum_error *error)
{
	size_t left = (size_t)(set->end - set->at);

	dicom->syntax = uid[0] ? find_syntax(uid) : guess_syntax(set->at, left);
	if (!dicom->syntax && uid[0] && strspn(uid, "0123456789.") == strlen(uid))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "transfer syntax %s", uid);
	if (!dicom->syntax)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: no transfer syntax");
	set->explicit_vr = dicom->syntax->explicit_vr;
	set->big_endian = dicom->big_endian = dicom->syntax->big_endian;
	/* Some files do not keep to the syntax that they name; the first element tells. */
	if (left >= 8 && !dicom->syntax->deflated)
		set->explicit_vr = is_upper(set->at[4]) && is_upper(set->at[5]);
	return HILUM_OK;
}

/* ---- attributes ---- */

/* Elements that are looked into once all of them have been seen. */
struct later {
	struct hl_dicom_element shared, per_frame, offsets, spacing, aspect;
	bool has_number_of_frames, modality_lut, has_bits;
	uint16_t padding;
	double frames;
};

static void read_spacing(const struct hl_dicom_element *element, struct hl_dicom_frame *frame)
{
	double value[2]; /* between rows first: PS3.3 10.7.1.3 */

	frame->has_spacing =
	    hl_dicom_numbers(element, 2, value) && value[0] > 0 && value[1] > 0 && value[0] < 1e3 && value[1] < 1e3;
	if (frame->has_spacing) {
		frame->spacing[0] = value[1];
		frame->spacing[1] = value[0];
	}
}

/* Two directions of length 1 at right angles, as near as decimals allow, made exactly so. */
static bool straighten(double row[3], double column[3])
{
	double lengths[2] = {0}, dot = 0;

	for (int i = 0; i < 3; i++) {
		lengths[0] += row[i] * row[i];
		lengths[1] += column[i] * column[i];
		dot += row[i] * column[i];
	}
	if (!(fabs(lengths[0] - 1) < 1e-2 && fabs(lengths[1] - 1) < 1e-2 && fabs(dot) < 1e-3))
		return false;
	double length = sqrt(lengths[0]), rest = 0;
	if (fabs(lengths[0] - 1) < 1e-15 && fabs(lengths[1] - 1) < 1e-15 && fabs(dot) < 1e-15)
		return true;
	for (int i = 0; i < 3; i++)
		row[i] /= length;
	dot /= length;
	for (int i = 0; i < 3; i++) {
		column[i] -= dot * row[i];
		rest += column[i] * column[i];
	}
	for (int i = 0; i < 3; i++)
		column[i] /= sqrt(rest);
	return true;
}

static void read_orientation(const struct hl_dicom_element *element, struct hl_dicom_frame *frame)
{
	double value[6];

	frame->has_orientation = hl_dicom_numbers(element, 6, value) && straighten(value, value + 3);
	if (frame->has_orientation) {
		memcpy(frame->row, value, sizeof(frame->row));
		memcpy(frame->column, value + 3, sizeof(frame->column));
	}
}

static bool read_position(const struct hl_dicom_element *element, double position[3])
{
	return hl_dicom_numbers(element, 3, position) && fabs(position[0]) < 1e5 && fabs(position[1]) < 1e5 &&
	       fabs(position[2]) < 1e5;
}

/* Attributes of a frame that stand in the data set itself or, for enhanced images, in its functional groups. */
static void read_frame_attribute(const struct hl_dicom_element *element, struct hl_dicom_frame *frame)
{
	double value;

	switch (element->tag) {
	case HL_TAG(0x0008, 0x0008): /* Image Type */
	case HL_TAG(0x0008, 0x9007): /* Frame Type */
		frame->localiser = hl_dicom_has_word(element, "LOCALIZER") || hl_dicom_has_word(element, "SCOUT") ||
		                   hl_dicom_has_word(element, "TOPOGRAM");
		frame->derived = hl_dicom_has_word(element, "DERIVED");
		break;
	case HL_TAG(0x0018, 0x0050):
		if (hl_dicom_number(element, 0, &value) && value > 0)
			frame->thickness = value;
		break;
	case HL_TAG(0x0020, 0x0032):
		frame->has_position = read_position(element, frame->position);
		break;
	case HL_TAG(0x0020, 0x0037):
		read_orientation(element, frame);
		break;
	case HL_TAG(0x0028, 0x0030):
		read_spacing(element, frame);
		break;
	case HL_TAG(0x0028, 0x1052):
		if (hl_dicom_number(element, 0, &value))
			frame->intercept = value;
		break;
	case HL_TAG(0x0028, 0x1053):
		/* A file with a slope has an intercept too (PS3.3 C.11.1): type 1C both. */
		frame->has_rescale = hl_dicom_number(element, 0, &value) && value != 0;
		if (frame->has_rescale)
			frame->slope = value;
		break;
	case HL_TAG(0x0028, 0x1054):
		frame->hounsfield = element->length == 0 || hl_dicom_has_word(element, "HU");
		break;
	default:
		break;
	}
}

static enum hl_dicom_photometric read_photometric(const struct hl_dicom_element *element)
{
	static const struct {
		const char *name;
		enum hl_dicom_photometric photometric;
	} names[] = {
	    {"MONOCHROME1", HL_DICOM_MONOCHROME1}, {"MONOCHROME2", HL_DICOM_MONOCHROME2},
	    {"PALETTE COLOR", HL_DICOM_PALETTE},   {"RGB", HL_DICOM_RGB},
	    {"YBR_FULL", HL_DICOM_YBR_FULL},       {"YBR_FULL_422", HL_DICOM_YBR_422},
	    {"YBR_RCT", HL_DICOM_YBR_J2K},         {"YBR_ICT", HL_DICOM_YBR_J2K},
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (hl_dicom_has_word(element, names[i].name))
			return names[i].photometric;
	return HL_DICOM_OTHER;
}

static void read_u16(const struct hl_dicom_element *element, int32_t *out)
{
	uint16_t value;

	if (hl_dicom_u16(element, 0, &value))
		*out = value;
}

static bool read_int(const struct hl_dicom_element *element, int32_t *out)
{
	double value;

	if (!hl_dicom_number(element, 0, &value) || !(fabs(value) <= INT32_MAX) || value != floor(value))
		return false;
	*out = (int32_t)value;
	return true;
}

static void read_pixel_attribute(const struct hl_dicom_element *element, struct hl_dicom *dicom, struct later *later)
{
	int32_t flag = 0;

	switch (element->tag) {
	case HL_TAG(0x0028, 0x0002):
		read_u16(element, &dicom->samples);
		break;
	case HL_TAG(0x0028, 0x0004):
		dicom->photometric = read_photometric(element);
		break;
	case HL_TAG(0x0028, 0x0006):
		read_u16(element, &flag);
		dicom->planar = flag == 1;
		break;
	case HL_TAG(0x0028, 0x0008):
		later->has_number_of_frames = element->length > 0;
		if (!hl_dicom_number(element, 0, &later->frames))
			later->frames = -1;
		break;
	case HL_TAG(0x0028, 0x0010):
		read_u16(element, &dicom->height);
		break;
	case HL_TAG(0x0028, 0x0011):
		read_u16(element, &dicom->width);
		break;
	case HL_TAG(0x0028, 0x0100):
		read_u16(element, &dicom->bits_allocated);
		break;
	case HL_TAG(0x0028, 0x0101):
		read_u16(element, &dicom->bits_stored);
		break;
	case HL_TAG(0x0028, 0x0102):
		read_u16(element, &dicom->high_bit);
		break;
	case HL_TAG(0x0028, 0x0103):
		read_u16(element, &flag);
		dicom->is_signed = flag == 1;
		break;
	case HL_TAG(0x0028, 0x0120):
		dicom->has_padding = hl_dicom_u16(element, 0, &later->padding);
		break;
	case HL_TAG(0x0028, 0x3000):
		later->modality_lut = element->length > 0;
		break;
	default:
		break;
	}
}

static void read_identity(const struct hl_dicom_element *element, struct hl_dicom *dicom)
{
	double value;

	switch (element->tag) {
	case HL_TAG(0x0008, 0x0016):
		(void)hl_dicom_text(element, dicom->sop_class, sizeof(dicom->sop_class));
		break;
	case HL_TAG(0x0008, 0x0018):
		(void)hl_dicom_text(element, dicom->sop_instance, sizeof(dicom->sop_instance));
		break;
	case HL_TAG(0x0008, 0x0060):
		(void)hl_dicom_text(element, dicom->modality, sizeof(dicom->modality));
		break;
	case HL_TAG(0x0018, 0x1120):
		dicom->has_tilt = hl_dicom_number(element, 0, &value) && fabs(value) < 90;
		dicom->tilt = dicom->has_tilt ? value : 0;
		break;
	case HL_TAG(0x0020, 0x000d):
		(void)hl_dicom_text(element, dicom->study, sizeof(dicom->study));
		break;
	case HL_TAG(0x0020, 0x000e):
		(void)hl_dicom_text(element, dicom->series, sizeof(dicom->series));
		break;
	case HL_TAG(0x0020, 0x0011):
		(void)read_int(element, &dicom->series_number);
		break;
	case HL_TAG(0x0020, 0x0012):
		dicom->has_acquisition = read_int(element, &dicom->acquisition);
		break;
	case HL_TAG(0x0020, 0x0013):
		dicom->has_instance = read_int(element, &dicom->instance);
		break;
	case HL_TAG(0x0020, 0x0052):
		(void)hl_dicom_text(element, dicom->frame_of_reference, sizeof(dicom->frame_of_reference));
		break;
	default:
		break;
	}
}

/* The elements up to and including the pixel data. */
static enum hl_dicom_step read_elements(struct hl_dicom *dicom, struct hl_dicom_set *set, struct hl_dicom_frame *frame,
                                        struct later *later, struct hilum_error *error)
{
	for (;;) {
		struct hl_dicom_element element;
		enum hl_dicom_step step = hl_dicom_next(set, &element, error);
		if (step != HL_DICOM_ELEMENT)
			return step;
		read_identity(&element, dicom);
		read_frame_attribute(&element, frame);
		read_pixel_attribute(&element, dicom, later);
		switch (element.tag) {
		case HL_TAG(0x5200, 0x9229):
			later->shared = element;
			break;
		case HL_TAG(0x5200, 0x9230):
			later->per_frame = element;
			break;
		case HL_TAG(0x7fe0, 0x0008):
		case HL_TAG(0x7fe0, 0x0009):
		case HL_TAG_PIXEL_DATA:
			dicom->numbers = element.tag == HL_TAG_PIXEL_DATA        ? HL_DICOM_INTEGERS
			                 : element.tag == HL_TAG(0x7fe0, 0x0008) ? HL_DICOM_FLOATS
			                                                         : HL_DICOM_DOUBLES;
			dicom->has_pixels = true;
			dicom->encapsulated = element.undefined_length;
			dicom->pixels = element.value;
			dicom->pixel_bytes = element.length;
			return HL_DICOM_ELEMENT;
		default:
			break;
		}
	}
}

/* One item of the functional groups: sequences of one item each, with the attributes in it. */
static enum hilum_status read_groups(struct hl_dicom_set item, struct hl_dicom_frame *frame, struct hilum_error *error)
{
	struct hl_dicom_element sequence, element;
	enum hl_dicom_step step;

	while ((step = hl_dicom_next(&item, &sequence, error)) == HL_DICOM_ELEMENT) {
		struct hl_dicom_set items = hl_dicom_items(&sequence), group;
		switch (sequence.tag) {
		case HL_TAG(0x0018, 0x9329): /* CT image frame type */
		case HL_TAG(0x0020, 0x9113): /* plane position */
		case HL_TAG(0x0020, 0x9116): /* plane orientation */
		case HL_TAG(0x0028, 0x9110): /* pixel measures */
		case HL_TAG(0x0028, 0x9145): /* pixel value transformation */
			break;
		default:
			continue;
		}
		step = hl_dicom_item(&items, &group, error);
		while (step == HL_DICOM_ELEMENT && (step = hl_dicom_next(&group, &element, error)) == HL_DICOM_ELEMENT)
			read_frame_attribute(&element, frame);
		if (step == HL_DICOM_DAMAGED)
			return error->code;
	}
	return step == HL_DICOM_DAMAGED ? error->code : HILUM_OK;
}

/* The frames of an enhanced image; of others the data set's own attributes hold for the only frame. */
static enum hilum_status read_frames(struct hl_dicom *dicom, struct hl_dicom_frame *common, const struct later *later,
                                     struct hilum_error *error)
{
	struct hl_dicom_set items, item;
	enum hilum_status status = HILUM_OK;
	enum hl_dicom_step step;

	if (later->shared.length > 0) {
		items = hl_dicom_items(&later->shared);
		step = hl_dicom_item(&items, &item, error);
		if (step == HL_DICOM_ELEMENT)
			status = read_groups(item, common, error);
		if (step == HL_DICOM_DAMAGED || status)
			return error->code;
	}
	if (later->modality_lut && !common->has_rescale)
		common->hounsfield = false;
	dicom->frame = hl_alloc((size_t)dicom->frames, sizeof(*dicom->frame));
	if (!dicom->frame)
		return hl_fail_memory(error, (size_t)dicom->frames * sizeof(*dicom->frame), "frames");
	if (dicom->frames > 1 && later->shared.length == 0)
		common->has_position = false; /* one position for many frames */
	for (int32_t i = 0; i < dicom->frames; i++)
		dicom->frame[i] = *common;
	if (later->per_frame.length == 0)
		return HILUM_OK;
	items = hl_dicom_items(&later->per_frame);
	for (int32_t i = 0; i < dicom->frames && !status; i++) {
		step = hl_dicom_item(&items, &item, error);
		if (step == HL_DICOM_DAMAGED)
			return error->code;
		if (step == HL_DICOM_END)
			break;
		status = read_groups(item, &dicom->frame[i], error);
	}
	return status;
}

static enum hilum_status count_frames(struct hl_dicom *dicom, const struct later *later, struct hilum_error *error)
{
	dicom->frames = 1;
	if (!later->has_number_of_frames)
		return HILUM_OK;
	if (!(later->frames >= 1) || later->frames != floor(later->frames))
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: a number of frames that is none");
	if (later->frames > HL_VOLUME_SIDE_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%.0f frames: more than %d", later->frames,
		               HL_VOLUME_SIDE_MAX);
	dicom->frames = (int32_t)later->frames;
	return HILUM_OK;
}

static enum hilum_status check_size(const struct hl_dicom *dicom, struct hilum_error *error)
{
	if (dicom->width < 1 || dicom->height < 1 || dicom->frames < 1)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: a picture of %d x %d pixels", dicom->width,
		               dicom->height);
	if (dicom->width > HL_VOLUME_SIDE_MAX || dicom->height > HL_VOLUME_SIDE_MAX ||
	    dicom->frames > HL_VOLUME_SIDE_MAX || (int64_t)dicom->width * dicom->height > HL_VOLUME_PIXELS_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%d x %d pixels: more than %d a side or %lld a slice",
		               dicom->width, dicom->height, HL_VOLUME_SIDE_MAX, (long long)HL_VOLUME_PIXELS_MAX);
	return HILUM_OK;
}

static enum hilum_status check_numbers(struct hl_dicom *dicom, struct hilum_error *error)
{
	int32_t allocated = dicom->bits_allocated;

	if (dicom->samples != 1 && dicom->samples != 3)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "%d samples a pixel", dicom->samples);
	if (dicom->numbers == HL_DICOM_INTEGERS) {
		if (allocated != 1 && allocated != 8 && allocated != 16 && allocated != 32)
			return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "%d bits allocated", allocated);
		if (allocated == 1 && dicom->samples != 1)
			return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "%d samples of one bit", dicom->samples);
		if (dicom->bits_stored == 0)
			dicom->bits_stored = allocated;
		if (dicom->high_bit < 0)
			dicom->high_bit = dicom->bits_stored - 1;
		if (dicom->bits_stored < 1 || dicom->bits_stored > allocated || dicom->high_bit >= allocated ||
		    dicom->high_bit < dicom->bits_stored - 1)
			return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %d bits stored of %d, the highest is %d",
			               dicom->bits_stored, allocated, dicom->high_bit);
	} else if (dicom->encapsulated || dicom->samples != 1) {
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "compressed or coloured floating point");
	}
	if (hl_dicom_frame_bytes(dicom) > (size_t)HL_VOLUME_BYTES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "a frame of %zu bytes: more than %lld",
		               hl_dicom_frame_bytes(dicom), (long long)HL_VOLUME_BYTES_MAX);
	return HILUM_OK;
}

enum hilum_status hl_dicom_check(struct hl_dicom *dicom, struct hilum_error *error)
{
	enum hilum_status status = check_size(dicom, error);

	return status ? status : check_numbers(dicom, error);
}

/* The padding value has the pixels' representation (PS3.3 C.7.5.1.1.2), whatever its VR. */
static int32_t padding_of(const struct hl_dicom *dicom, uint16_t padding)
{
	return dicom->is_signed ? (int16_t)padding : padding;
}

static enum hilum_status read_data_set(struct hl_dicom *dicom, struct hl_dicom_set *set, struct hilum_error *error)
{
	struct hl_dicom_frame common = {.slope = 1, .hounsfield = true};
	struct later later = {0};
	enum hl_dicom_step step;
	enum hilum_status status;

	dicom->samples = 1;
	dicom->high_bit = -1;
	step = read_elements(dicom, set, &common, &later, error);
	if (step == HL_DICOM_DAMAGED)
		return error->code;
	if (!dicom->has_pixels)
		return HILUM_OK;
	status = count_frames(dicom, &later, error);
	if (!status)
		status = hl_dicom_check(dicom, error);
	if (status)
		return status;
	dicom->padding = padding_of(dicom, later.padding);
	status = read_frames(dicom, &common, &later, error);
	if (status)
		return status;
	/* Deflated and native files may hold fragments too; compressed ones must. */
	if (dicom->syntax->codec != HL_DICOM_NATIVE && !dicom->encapsulated)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %s without fragments", dicom->syntax->name);
	return HILUM_OK;
}

static enum hilum_status open_set(const uint8_t *bytes, size_t length, struct hl_dicom *dicom,
                                  struct hilum_error *error)
{
	struct hl_dicom_set set = {.at = bytes, .end = bytes + length, .explicit_vr = true};
	char uid[65];
	enum hilum_status status;

	if (length >= PREAMBLE + 4 && memcmp(bytes + PREAMBLE, "DICM", 4) == 0)
		set.at += PREAMBLE + 4;
	else if (!is_bare(bytes, length))
		return hl_fail(error, HILUM_ERROR_FORMAT, "not a DICOM file");
	if (read_meta(&set, uid, error) == HL_DICOM_DAMAGED)
		return error->code;
	status = choose_syntax(dicom, uid, &set, error);
	if (status)
		return status;
	if (dicom->syntax->deflated) {
		size_t inflated = 0;
		status = hl_dicom_inflate(set.at, (size_t)(set.end - set.at), INFLATED_MAX, &dicom->inflated, &inflated,
		                          error);
		if (status)
			return status;
		set.at = dicom->inflated;
		set.end = set.at + inflated;
	}
	status = read_data_set(dicom, &set, error);
	return !status && dicom->encapsulated ? hl_dicom_find_fragments(dicom, error) : status;
}

enum hilum_status hl_dicom_open(const uint8_t *bytes, size_t length, struct hl_dicom *out, struct hilum_error *error)
{
	struct hilum_error own = {0};
	struct hl_dicom dicom = {0};
	enum hilum_status status = open_set(bytes, length, &dicom, &own);

	if (status) {
		hl_dicom_close(&dicom);
		return hl_fail(error, status, "%s", own.message);
	}
	*out = dicom;
	return HILUM_OK;
}

void hl_dicom_close(struct hl_dicom *dicom)
{
	hl_free(dicom->frame);
	hl_free(dicom->inflated);
	hl_free(dicom->fragment);
	hl_free(dicom->first_fragment);
	*dicom = (struct hl_dicom){0};
}

const char *hl_dicom_not_ct(const struct hl_dicom *dicom)
{
	static const char capture[] = "1.2.840.10008.5.1.4.1.1.7";

	if (!dicom->has_pixels)
		return "no picture";
	if (strcmp(dicom->modality, "CT") != 0)
		return dicom->modality[0] ? "another modality than CT" : "no modality";
	if (strncmp(dicom->sop_class, capture, sizeof(capture) - 1) == 0)
		return "a secondary capture";
	if (dicom->samples != 1 ||
	    (dicom->photometric != HL_DICOM_MONOCHROME1 && dicom->photometric != HL_DICOM_MONOCHROME2))
		return "a coloured picture";
	return "";
}
