/* MetaImage (.mha, and .mhd with its voxels in a file beside it): lines of "Key = Value", ended by ElementDataFile. As
 * MetaIO and ITK read it: TransformMatrix holds the direction of each voxel axis in turn, in LPS. Where it is missing,
 * AnatomicalOrientation names the side that each axis comes from ("RAI" is LPS); with neither, the place is unknown. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/number.h"
#include "scan/format.h"
#include "scan/formats/stored.h"
#include "scan/orient.h"

#define HEADER_MAX ((size_t)65536)

struct header {
	char text[HEADER_MAX + 1]; /* cut into strings */
	int32_t dimensions;
	double size[4], spacing[4], offset[4], matrix[16];
	bool has_size, has_spacing, has_element_size, has_offset, has_matrix, has_channels;
	double element_size[4], channels, slope, intercept, packed_bytes, header_bytes;
	bool packed, big_endian, text_voxels, hounsfield;
	const char *type, *object, *orientation, *data;
	size_t length; /* of the header, its last newline included */
};

static bool is_key(const char *line, size_t length, const char *key)
{
	size_t size = strlen(key);

	if (length < size || memcmp(line, key, size) != 0)
		return false;
	while (size < length && (line[size] == ' ' || line[size] == '\t'))
		size++;
	return size < length && line[size] == '=';
}

/* A header begins with one of a few keys and names its dimensions early. */
static bool detect(const uint8_t *bytes, size_t length)
{
	static const char *const first[] = {"ObjectType", "NDims", "Comment", "ID", "Name", "ObjectSubType"};
	const char *text = (const char *)bytes;
	bool known = false;

	length = length < 8192 ? length : 8192;
	for (size_t i = 0; i < sizeof(first) / sizeof(*first); i++)
		known = known || is_key(text, length, first[i]);
	while (known && length > 0) {
		const char *end = memchr(text, '\n', length);
		if (is_key(text, length, "NDims"))
			return true;
		if (!end)
			break;
		length -= (size_t)(end + 1 - text);
		text = end + 1;
	}
	return false;
}

/* Exactly count finite numbers; a spacing of one dimension more or less would be another file's. */
static bool parse_numbers(const char *value, double *out, int32_t count)
{
	for (int32_t i = 0; i < count; i++) {
		char *end;
		out[i] = hl_number_parse(value, &end);
		if (end == value || !isfinite(out[i]))
			return false;
		value = end;
	}
	return value[strspn(value, " \t")] == '\0';
}

static bool is_true(const char *value)
{
	return *value == 'T' || *value == 't' || *value == '1';
}

struct list {
	const char *key;
	size_t offset, present; /* of the numbers and of the flag that they are there; 0: no flag */
	int power;              /* how many numbers: dimensions to this power */
};

#define MEMBER(name) offsetof(struct header, name)
static const struct list lists[] = {
    {"DimSize", MEMBER(size), MEMBER(has_size), 1},
    {"ElementSpacing", MEMBER(spacing), MEMBER(has_spacing), 1},
    {"ElementSize", MEMBER(element_size), MEMBER(has_element_size), 1},
    {"Offset", MEMBER(offset), MEMBER(has_offset), 1},
    {"Origin", MEMBER(offset), MEMBER(has_offset), 1},
    {"Position", MEMBER(offset), MEMBER(has_offset), 1},
    {"TransformMatrix", MEMBER(matrix), MEMBER(has_matrix), 2},
    {"Rotation", MEMBER(matrix), MEMBER(has_matrix), 2},
    {"Orientation", MEMBER(matrix), MEMBER(has_matrix), 2},
    {"ElementNumberOfChannels", MEMBER(channels), 0, 0},
    {"ElementToIntensityFunctionSlope", MEMBER(slope), 0, 0},
    {"ElementToIntensityFunctionOffset", MEMBER(intercept), 0, 0},
    {"CompressedDataSize", MEMBER(packed_bytes), 0, 0},
    {"HeaderSize", MEMBER(header_bytes), 0, 0},
};

static const struct {
	const char *key;
	size_t offset;
} words[] = {
    {"ElementType", MEMBER(type)},
    {"ObjectType", MEMBER(object)},
    {"AnatomicalOrientation", MEMBER(orientation)},
    {"ElementDataFile", MEMBER(data)},
};

static enum hilum_status read_numbers(struct header *header, const struct list *list, const char *value,
                                      struct hilum_error *error)
{
	int32_t count = list->power == 0 ? 1 : header->dimensions;

	if (list->power > 0 && header->dimensions == 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s before NDims", list->key);
	if (list->power == 2)
		count *= header->dimensions;
	if (!parse_numbers(value, (double *)(void *)((char *)header + list->offset), count))
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s is not %d numbers", list->key, count);
	if (list->present)
		*((bool *)header + list->present) = true;
	return HILUM_OK;
}

static enum hilum_status read_line(struct header *header, const char *key, const char *value, struct hilum_error *error)
{
	double number;

	if (strcmp(key, "NDims") == 0) {
		if (!parse_numbers(value, &number, 1) || (number != 2 && number != 3))
			return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "NDims is neither 2 nor 3");
		header->dimensions = (int32_t)number;
		return HILUM_OK;
	}
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if (strcmp(key, lists[i].key) == 0)
			return read_numbers(header, &lists[i], value, error);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(key, words[i].key) == 0)
			*(const char **)(void *)((char *)header + words[i].offset) = value;
	if (strcmp(key, "BinaryData") == 0)
		header->text_voxels = !is_true(value);
	else if (strcmp(key, "BinaryDataByteOrderMSB") == 0 || strcmp(key, "ElementByteOrderMSB") == 0)
		header->big_endian = is_true(value);
	else if (strcmp(key, "CompressedData") == 0)
		header->packed = is_true(value);
	else if (strcmp(key, "Comment") == 0)
		header->hounsfield = strstr(value, HL_STORED_HOUNSFIELD) != NULL;
	return HILUM_OK;
}

/* Cuts "Key = Value" in place, blanks at the ends taken off. */
static bool split(char *line, char **key, char **value)
{
	char *equals = strchr(line, '='), *end;

	if (!equals)
		return false;
	for (end = equals; end > line && (end[-1] == ' ' || end[-1] == '\t'); end--)
		continue;
	*end = '\0';
	*key = line + strspn(line, " \t");
	*value = equals + 1 + strspn(equals + 1, " \t");
	end = *value + strlen(*value);
	while (end > *value && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		*--end = '\0';
	return **key != '\0';
}

static enum hilum_status parse(const uint8_t *bytes, size_t length, struct header *header, struct hilum_error *error)
{
	size_t at = 0;

	length = length < HEADER_MAX ? length : HEADER_MAX;
	memcpy(header->text, bytes, length);
	header->channels = header->slope = 1;
	while (!header->data) {
		char *line = header->text + at, *key, *value;
		char *end = memchr(line, '\n', length - at);
		enum hilum_status status;
		/* The last line of a header file may lack its newline. */
		if (!end && (length == HEADER_MAX || at == length))
			return hl_fail(error, HILUM_ERROR_FORMAT, "its header has no ElementDataFile");
		at = end ? (size_t)(end + 1 - header->text) : length;
		if (end)
			*end = '\0';
		if (memchr(line, '\0', (size_t)(header->text + at - line) - (end ? 1 : 0)))
			return hl_fail(error, HILUM_ERROR_FORMAT, "its header is no text");
		if (line[strspn(line, " \t\r")] == '\0')
			continue;
		if (!split(line, &key, &value))
			return hl_fail(error, HILUM_ERROR_FORMAT, "a line of its header has no \"=\"");
		status = read_line(header, key, value, error);
		if (status)
			return status;
	}
	header->length = at;
	if (header->object && strcasecmp(header->object, "Image") != 0)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "its ObjectType is not Image");
	return HILUM_OK;
}

static enum hilum_status read_type(const struct header *header, struct hl_stored *stored, struct hilum_error *error)
{
	static const struct {
		const char *name;
		enum hl_element element;
	} types[] = {
	    {"MET_UCHAR", HL_ELEMENT_U8},      {"MET_CHAR", HL_ELEMENT_I8},        {"MET_ASCII_CHAR", HL_ELEMENT_I8},
	    {"MET_USHORT", HL_ELEMENT_U16},    {"MET_SHORT", HL_ELEMENT_I16},      {"MET_UINT", HL_ELEMENT_U32},
	    {"MET_INT", HL_ELEMENT_I32},       {"MET_ULONG", HL_ELEMENT_U32},      {"MET_LONG", HL_ELEMENT_I32},
	    {"MET_LONG_LONG", HL_ELEMENT_I64}, {"MET_ULONG_LONG", HL_ELEMENT_U64}, {"MET_FLOAT", HL_ELEMENT_F32},
	    {"MET_DOUBLE", HL_ELEMENT_F64},
	};

	if (!header->type)
		return hl_fail(error, HILUM_ERROR_FORMAT, "its header has no ElementType");
	if (header->channels != 1)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "voxels of %g channels, which no CT has",
		               header->channels);
	if (header->text_voxels)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "voxels written as text (BinaryData = False)");
	/* MetaIO keeps these numbers and ITK ignores them: what the voxels mean is not sure. */
	if (header->slope != 1 || header->intercept != 0)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "a scale (ElementToIntensityFunction) that is not 1, 0");
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strcmp(header->type, types[i].name) == 0) {
			stored->element = types[i].element;
			return HILUM_OK;
		}
	return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "an ElementType that no CT has");
}

static enum hilum_status read_sizes(const struct header *header, struct hl_volume *volume, struct hilum_error *error)
{
	int32_t size[3] = {1, 1, 1};

	if (!header->has_size)
		return hl_fail(error, HILUM_ERROR_FORMAT, "its header has no DimSize");
	for (int32_t k = 0; k < header->dimensions; k++) {
		if (header->size[k] != trunc(header->size[k]) || header->size[k] < 1)
			return hl_fail(error, HILUM_ERROR_FORMAT, "%g voxels along axis %d", header->size[k], k + 1);
		if (header->size[k] > HL_VOLUME_SIDE_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "%.15g voxels along axis %d, more than %d",
			               header->size[k], k + 1, HL_VOLUME_SIDE_MAX);
		size[k] = (int32_t)header->size[k];
	}
	volume->width = size[0];
	volume->height = size[1];
	volume->depth = size[2];
	volume->channels = 1;
	return HILUM_OK;
}

/* The letter names the side that an axis comes from: R for one that runs to the left. */
static bool axes_of(const char *letters, double direction[3][3])
{
	static const char from[] = "RLAPIS";
	int seen = 0;

	for (int k = 0; k < 3; k++) {
		const char *at = letters && letters[k] ? strchr(from, letters[k]) : NULL;
		if (!at)
			return false;
		seen |= 1 << (at - from) / 2;
		memset(direction[k], 0, sizeof(direction[k]));
		direction[k][(at - from) / 2] = (at - from) % 2 ? -1 : 1;
	}
	return seen == 7 && letters[3] == '\0';
}

static enum hilum_status read_place(const struct header *header, struct hl_volume *volume, struct hilum_error *error)
{
	const double *spacing = header->has_spacing ? header->spacing : header->element_size;
	bool known = header->has_spacing || header->has_element_size;
	double direction[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, affine[3][4] = {{0}};
	int32_t count = header->dimensions;

	for (int32_t k = 0; k < count && known; k++)
		if (!(spacing[k] > 0))
			return hl_fail(error, HILUM_ERROR_FORMAT, "voxels of %g mm along axis %d", spacing[k], k + 1);
	if (header->has_matrix) {
		for (int32_t k = 0; k < count; k++)
			for (int32_t i = 0; i < count; i++)
				direction[k][i] = header->matrix[k * count + i];
	} else if (count != 3 || !axes_of(header->orientation, direction)) {
		for (int32_t k = 0; k < count && known; k++)
			volume->spacing[k] = spacing[k];
		return HILUM_OK;
	}
	for (int k = 0; k < 3; k++) {
		for (int i = 0; i < 3; i++)
			affine[i][k] = direction[k][i] * (known && k < count ? spacing[k] : 1);
		affine[k][3] = k < count ? header->offset[k] : 0;
	}
	return hl_volume_set_affine(volume, affine, error);
}

static enum hilum_status find_voxels(const struct header *header, const struct hl_volume *volume,
                                     struct hl_stored *stored, struct hilum_error *error)
{
	double skip = header->header_bytes;
	size_t voxels = (size_t)volume->width * (size_t)volume->height * (size_t)volume->depth;

	stored->big_endian = header->big_endian;
	stored->packed = header->packed;
	stored->hounsfield = header->hounsfield;
	stored->slope = 1;
	if (header->packed) {
		if (header->packed_bytes > (double)stored->length)
			return hl_fail(error, HILUM_ERROR_FORMAT, "cut off: %zu compressed bytes of %.15g",
			               stored->length, header->packed_bytes);
		if (header->packed_bytes > 0)
			stored->length = (size_t)header->packed_bytes;
		return HILUM_OK;
	}
	/* -1: the voxels are the end of the file. */
	if (skip == -1 && stored->length >= voxels * hl_element_size(stored->element))
		skip = (double)(stored->length - voxels * hl_element_size(stored->element));
	if (!(skip >= -1 && skip <= (double)stored->length))
		return hl_fail(error, HILUM_ERROR_FORMAT, "cut off: its voxels begin at byte %.15g of %zu", skip,
		               stored->length);
	stored->skip = skip > 0 ? (size_t)skip : 0;
	return HILUM_OK;
}

/* Whether a name says another file in the same folder and nothing else. */
static bool is_plain_name(const char *name)
{
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == '/' || *p == '\\' || *p == 0x7f)
			return false;
	return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strlen(name) < HL_COMPANION_MAX;
}

static enum hilum_status find_data(const struct header *header, char name[HL_COMPANION_MAX], struct hilum_error *error)
{
	if (strcasecmp(header->data, "LOCAL") == 0) {
		name[0] = '\0';
		return HILUM_OK;
	}
	if (strncasecmp(header->data, "LIST", 4) == 0 || strchr(header->data, '%'))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "voxels in several files (ElementDataFile)");
	if (!is_plain_name(header->data))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED,
		               "its voxels (ElementDataFile) are not in a file of the same folder");
	snprintf(name, HL_COMPANION_MAX, "%s", header->data);
	return HILUM_OK;
}

static enum hilum_status companion(const uint8_t *bytes, size_t length, char name[HL_COMPANION_MAX],
                                   struct hilum_error *error)
{
	struct header *header = hl_alloc(1, sizeof(*header));
	enum hilum_status status;

	if (!header)
		return hl_fail_memory(error, sizeof(*header), "the header");
	status = parse(bytes, length, header, error);
	if (!status)
		status = find_data(header, name, error);
	hl_free(header);
	return status;
}

static enum hilum_status decode_both(const uint8_t *bytes, size_t length, const uint8_t *voxels, size_t voxels_length,
                                     struct hl_volume *out, struct hilum_error *error)
{
	struct header *header = hl_alloc(1, sizeof(*header));
	struct hl_volume volume = {0};
	char name[HL_COMPANION_MAX];
	struct hl_stored stored = {.bytes = voxels, .length = voxels_length};
	enum hilum_status status;

	if (!header)
		return hl_fail_memory(error, sizeof(*header), "the header");
	status = parse(bytes, length, header, error);
	if (!status)
		status = find_data(header, name, error);
	if (!status && !name[0]) {
		stored.bytes = bytes + header->length;
		stored.length = length - header->length;
	}
	if (!status)
		status = read_type(header, &stored, error);
	if (!status)
		status = read_sizes(header, &volume, error);
	if (!status)
		status = find_voxels(header, &volume, &stored, error);
	if (!status)
		status = read_place(header, &volume, error);
	if (!status)
		status = hl_stored_read(&stored, &volume, error);
	if (!status)
		*out = volume;
	hl_free(header);
	return status;
}

static enum hilum_status decode(const uint8_t *bytes, size_t length, struct hl_volume *out, struct hilum_error *error)
{
	char name[HL_COMPANION_MAX];
	enum hilum_status status = companion(bytes, length, name, error);

	if (status)
		return status;
	if (name[0])
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "its voxels are in another file, which is not at hand");
	return decode_both(bytes, length, NULL, 0, out, error);
}

const struct hl_format hl_format_metaimage = {
    .name = "MetaImage",
    .extensions = "mha mhd",
    .detect = detect,
    .decode = decode,
    .companion = companion,
    .decode_both = decode_both,
};
