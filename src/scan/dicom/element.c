/* DICOM PS3.5 section 7: the encoding of data elements, sequences and items. */
#include "scan/dicom/element.h"

#include <math.h>
#include <string.h>

#include "base/number.h"

#define UNDEFINED UINT32_C(0xffffffff)

uint16_t hl_dicom_get16(const uint8_t *bytes, bool big_endian)
{
	return (uint16_t)(big_endian ? bytes[0] << 8 | bytes[1] : bytes[1] << 8 | bytes[0]);
}

uint32_t hl_dicom_get32(const uint8_t *bytes, bool big_endian)
{
	uint32_t first = hl_dicom_get16(bytes, big_endian), second = hl_dicom_get16(bytes + 2, big_endian);

	return big_endian ? first << 16 | second : second << 16 | first;
}

static uint32_t get_tag(const uint8_t *bytes, bool big_endian)
{
	return HL_TAG(hl_dicom_get16(bytes, big_endian), hl_dicom_get16(bytes + 2, big_endian));
}

static bool is_vr(const char *vr, const char *list)
{
	for (; *list; list += 3)
		if (vr[0] == list[0] && vr[1] == list[1])
			return true;
	return false;
}

/* PS3.5 table 7.1-2: those with a length of 16 bits. All others, future ones too, have one of 32 (7.1.2). */
static bool is_short(const char *vr)
{
	return is_vr(vr, "AE.AS.AT.CS.DA.DS.DT.FL.FD.IS.LO.LT.PN.SH.SL.SS.ST.TM.UI.UL.US.");
}

static enum hl_dicom_step fail(struct hilum_error *error, const char *reason)
{
	hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %s", reason);
	return HL_DICOM_DAMAGED;
}

/* Tag, VR and length; set->at moves behind them. */
static enum hl_dicom_step read_head(struct hl_dicom_set *set, struct hl_dicom_element *out, uint32_t *length,
                                    struct hilum_error *error)
{
	size_t left = (size_t)(set->end - set->at), head = 8;

	if (left == 0)
		return HL_DICOM_END;
	if (left < 8)
		return fail(error, "cut off within an element's head");
	*out = (struct hl_dicom_element){.tag = get_tag(set->at, set->big_endian),
	                                 .big_endian = set->big_endian,
	                                 .explicit_vr = set->explicit_vr,
	                                 .depth = set->depth};
	if (!set->explicit_vr || out->tag >> 16 == 0xfffe) {
		*length = hl_dicom_get32(set->at + 4, set->big_endian);
	} else {
		memcpy(out->vr, set->at + 4, 2);
		if (is_short(out->vr)) {
			*length = hl_dicom_get16(set->at + 6, set->big_endian);
		} else {
			head = 12;
			if (left < head)
				return fail(error, "cut off within an element's head");
			*length = hl_dicom_get32(set->at + 8, set->big_endian);
		}
	}
	set->at += head;
	return HL_DICOM_ELEMENT;
}

static enum hl_dicom_step skip_items(struct hl_dicom_set *set, const uint8_t **end, struct hilum_error *error);

/* To behind the item delimiter of an item of undefined length; *end is before it. */
static enum hl_dicom_step skip_item(struct hl_dicom_set *set, const uint8_t **end, struct hilum_error *error)
{
	for (;;) {
		struct hl_dicom_element element;
		const uint8_t *before = set->at, *inner;
		uint32_t length;
		enum hl_dicom_step step = read_head(set, &element, &length, error);
		if (step == HL_DICOM_END)
			return fail(error, "an item without an end");
		if (step != HL_DICOM_ELEMENT)
			return step;
		if (element.tag == HL_TAG_ITEM_END) {
			*end = before;
			return HL_DICOM_ELEMENT;
		}
		if (length != UNDEFINED) {
			if (length > (size_t)(set->end - set->at))
				return fail(error, "an element longer than the file");
			set->at += length;
			continue;
		}
		/* PS3.5 6.2.2, note 2 to UN: what is within is implicit little endian. */
		bool explicit_vr = set->explicit_vr, big_endian = set->big_endian;
		if (is_vr(element.vr, "UN."))
			set->explicit_vr = set->big_endian = false;
		step = skip_items(set, &inner, error);
		set->explicit_vr = explicit_vr;
		set->big_endian = big_endian;
		if (step != HL_DICOM_ELEMENT)
			return step;
	}
}

/* To behind the delimiter of a sequence of undefined length; *end is before it. */
static enum hl_dicom_step skip_items(struct hl_dicom_set *set, const uint8_t **end, struct hilum_error *error)
{
	enum hl_dicom_step step = HL_DICOM_ELEMENT;

	if (++set->depth > HL_DICOM_DEPTH_MAX) {
		hl_fail(error, HILUM_ERROR_LIMIT, "sequences more than %d deep", HL_DICOM_DEPTH_MAX);
		return HL_DICOM_DAMAGED;
	}
	for (;;) {
		struct hl_dicom_element item;
		const uint8_t *before = set->at, *inner;
		uint32_t length;
		step = read_head(set, &item, &length, error);
		if (step == HL_DICOM_END)
			step = fail(error, "a sequence without an end");
		if (step != HL_DICOM_ELEMENT)
			break;
		if (item.tag == HL_TAG_SEQUENCE_END) {
			*end = before;
			break;
		}
		if (item.tag != HL_TAG_ITEM) {
			step = fail(error, "something in a sequence that is no item");
			break;
		}
		if (length == UNDEFINED) {
			step = skip_item(set, &inner, error);
			if (step != HL_DICOM_ELEMENT)
				break;
		} else if (length > (size_t)(set->end - set->at)) {
			step = fail(error, "an item longer than the file");
			break;
		} else {
			set->at += length;
		}
	}
	set->depth--;
	return step;
}

enum hl_dicom_step hl_dicom_next(struct hl_dicom_set *set, struct hl_dicom_element *out, struct hilum_error *error)
{
	int depth = set->depth;
	uint32_t length;
	enum hl_dicom_step step = read_head(set, out, &length, error);

	if (step != HL_DICOM_ELEMENT)
		return step;
	out->value = set->at;
	if (length != UNDEFINED) {
		out->length = length;
		if (length <= (size_t)(set->end - set->at)) {
			set->at += length;
			return HL_DICOM_ELEMENT;
		}
		return fail(error, "an element longer than the file");
	}
	out->undefined_length = true;
	if (out->tag == HL_TAG_PIXEL_DATA) {
		out->length = (size_t)(set->end - set->at);
		set->at = set->end;
		return HL_DICOM_ELEMENT;
	}
	if (is_vr(out->vr, "UN."))
		out->explicit_vr = out->big_endian = false;
	struct hl_dicom_set inner = *set;
	const uint8_t *end = set->at;
	inner.explicit_vr = out->explicit_vr;
	inner.big_endian = out->big_endian;
	step = skip_items(&inner, &end, error);
	set->depth = depth;
	if (step != HL_DICOM_ELEMENT)
		return step;
	out->length = (size_t)(end - out->value);
	set->at = inner.at;
	return HL_DICOM_ELEMENT;
}

struct hl_dicom_set hl_dicom_items(const struct hl_dicom_element *sequence)
{
	return (struct hl_dicom_set){.at = sequence->value,
	                             .end = sequence->value + sequence->length,
	                             .explicit_vr = sequence->explicit_vr,
	                             .big_endian = sequence->big_endian,
	                             .depth = sequence->depth + 1};
}

enum hl_dicom_step hl_dicom_item(struct hl_dicom_set *items, struct hl_dicom_set *out, struct hilum_error *error)
{
	struct hl_dicom_element item;
	const uint8_t *end;
	uint32_t length;
	enum hl_dicom_step step = read_head(items, &item, &length, error);

	if (step != HL_DICOM_ELEMENT)
		return step;
	if (item.tag != HL_TAG_ITEM)
		return fail(error, "something in a sequence that is no item");
	*out = *items;
	if (length == UNDEFINED) {
		step = skip_item(items, &end, error);
		if (step != HL_DICOM_ELEMENT)
			return step;
		out->end = end;
		return HL_DICOM_ELEMENT;
	}
	if (length > (size_t)(items->end - items->at))
		return fail(error, "an item longer than its sequence");
	items->at += length;
	out->end = items->at;
	return HL_DICOM_ELEMENT;
}

/* ---- values ---- */

bool hl_dicom_u16(const struct hl_dicom_element *element, size_t index, uint16_t *out)
{
	if (element->length % 2 || element->length / 2 <= index)
		return false;
	*out = hl_dicom_get16(element->value + 2 * index, element->big_endian);
	return true;
}

static bool binary(const struct hl_dicom_element *element, size_t index, double *out)
{
	size_t size = is_vr(element->vr, "FD.") ? 8 : is_vr(element->vr, "US.SS.") ? 2 : 4;
	if (element->length % size || element->length / size <= index)
		return false;
	const uint8_t *at = element->value + size * index;
	uint32_t low = size == 2 ? hl_dicom_get16(at, element->big_endian) : hl_dicom_get32(at, element->big_endian);
	if (size == 8) {
		uint32_t second = hl_dicom_get32(at + 4, element->big_endian);
		uint64_t bits = element->big_endian ? (uint64_t)low << 32 | second : (uint64_t)second << 32 | low;
		memcpy(out, &bits, sizeof(*out));
	} else if (is_vr(element->vr, "FL.")) {
		float value;
		memcpy(&value, &low, sizeof(value));
		*out = (double)value;
	} else if (is_vr(element->vr, "SS.")) {
		*out = (int16_t)low;
	} else if (is_vr(element->vr, "SL.")) {
		*out = (int32_t)low;
	} else {
		*out = low;
	}
	return isfinite(*out);
}

bool hl_dicom_number(const struct hl_dicom_element *element, size_t index, double *out)
{
	const char *text = (const char *)element->value, *end = text + element->length;
	char copy[64], *stop;

	if (is_vr(element->vr, "FD.FL.US.SS.UL.SL."))
		return binary(element, index, out);
	while (index > 0 && text < end)
		index -= *text++ == '\\';
	if (index > 0)
		return false;
	const char *last = memchr(text, '\\', (size_t)(end - text));
	end = last ? last : end;
	while (text < end && *text == ' ')
		text++;
	while (text < end && (end[-1] == ' ' || end[-1] == '\0'))
		end--;
	if (text == end || (size_t)(end - text) >= sizeof(copy) || memchr(text, '\0', (size_t)(end - text)) != NULL)
		return false;
	memcpy(copy, text, (size_t)(end - text));
	copy[end - text] = '\0';
	/* No words and no hexadecimal numbers, which strtod takes. */
	if (strspn(copy, "0123456789+-.eE") != (size_t)(end - text))
		return false;
	*out = hl_number_parse(copy, &stop);
	return *stop == '\0' && isfinite(*out);
}

bool hl_dicom_numbers(const struct hl_dicom_element *element, size_t count, double *out)
{
	for (size_t i = 0; i < count; i++)
		if (!hl_dicom_number(element, i, out + i))
			return false;
	return true;
}

bool hl_dicom_text(const struct hl_dicom_element *element, char *out, size_t size)
{
	const char *text = (const char *)element->value;
	size_t length = element->length;

	while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\0'))
		length--;
	while (length > 0 && *text == ' ') {
		text++;
		length--;
	}
	if (length == 0 || length >= size || memchr(text, '\0', length))
		return false;
	memcpy(out, text, length);
	out[length] = '\0';
	return true;
}

bool hl_dicom_has_word(const struct hl_dicom_element *element, const char *word)
{
	const char *text = (const char *)element->value, *end = text + element->length;
	size_t length = strlen(word);

	while (text < end) {
		const char *stop = memchr(text, '\\', (size_t)(end - text));
		const char *last = stop ? stop : end;
		while (last > text && (last[-1] == ' ' || last[-1] == '\0'))
			last--;
		while (text < last && *text == ' ')
			text++;
		if ((size_t)(last - text) == length && memcmp(text, word, length) == 0)
			return true;
		if (!stop)
			return false;
		text = stop + 1;
	}
	return false;
}
