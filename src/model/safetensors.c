#include "model/safetensors.h"

#include "base/file.h"
#include "base/memory.h"

#include <jansson.h>
#include <string.h>

/* The header's own limit, as the format's reference implementation has it. */
#define HEADER_MAX ((uint64_t)100 << 20)
#define ALIGNMENT 8

static const struct {
	const char *name;
	size_t size;
} dtypes[] = {
    [HL_DTYPE_F32] = {"F32", 4}, [HL_DTYPE_BF16] = {"BF16", 2}, [HL_DTYPE_I64] = {"I64", 8},
    [HL_DTYPE_U8] = {"U8", 1},   [HL_DTYPE_I8] = {"I8", 1},     [HL_DTYPE_I32] = {"I32", 4},
};
#define DTYPES (sizeof(dtypes) / sizeof(dtypes[0]))

void hl_safetensors_free(struct hl_safetensors *tensors)
{
	for (size_t i = 0; i < tensors->entries; i++)
		hl_free(tensors->entry[i].name);
	hl_free(tensors->entry);
	for (size_t i = 0; i < tensors->texts; i++) {
		hl_free(tensors->metadata[i].key);
		hl_free(tensors->metadata[i].value);
	}
	hl_free(tensors->metadata);
	hl_buffer_free(&tensors->file);
	memset(tensors, 0, sizeof(*tensors));
}

const struct hl_entry *hl_safetensors_find(const struct hl_safetensors *tensors, const char *name)
{
	for (size_t i = 0; i < tensors->entries; i++)
		if (strcmp(tensors->entry[i].name, name) == 0)
			return &tensors->entry[i];
	return NULL;
}

const char *hl_safetensors_text(const struct hl_safetensors *tensors, const char *key)
{
	for (size_t i = 0; i < tensors->texts; i++)
		if (strcmp(tensors->metadata[i].key, key) == 0)
			return tensors->metadata[i].value;
	return NULL;
}

static uint64_t read_u64(const char *bytes)
{
	uint64_t value = 0;
	for (int i = 7; i >= 0; i--)
		value = value << 8 | (uint8_t)bytes[i];
	return value;
}

static enum hilum_status parse_metadata(const json_t *object, struct hl_safetensors *out, struct hilum_error *error)
{
	if (!json_is_object(object))
		return hl_fail(error, HILUM_ERROR_FORMAT, "__metadata__ is not an object");
	out->metadata = hl_alloc(json_object_size(object) + 1, sizeof(*out->metadata));
	if (!out->metadata)
		return hl_fail_memory(error, json_object_size(object) * sizeof(*out->metadata), "metadata");
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		if (!json_is_string(value))
			return hl_fail(error, HILUM_ERROR_FORMAT, "metadata \"%.60s\" is not a text", key);
		struct hl_text *text = &out->metadata[out->texts++];
		text->key = hl_strdup(key);
		text->value = hl_strdup(json_string_value(value));
		if (!text->key || !text->value)
			return hl_fail_memory(error, json_string_length(value), "metadata");
	}
	return HILUM_OK;
}

static enum hilum_status parse_entry(const char *name, const json_t *object, size_t data_bytes, const char *data,
                                     struct hl_entry *entry, struct hilum_error *error)
{
	const char *dtype = json_string_value(json_object_get(object, "dtype"));
	const json_t *shape = json_object_get(object, "shape"), *offsets = json_object_get(object, "data_offsets");
	if (!dtype || !json_is_array(shape) || json_array_size(offsets) != 2)
		return hl_fail(error, HILUM_ERROR_FORMAT, "tensor \"%.60s\" lacks dtype, shape or data_offsets", name);
	size_t kind = 0;
	while (kind < DTYPES && strcmp(dtypes[kind].name, dtype) != 0)
		kind++;
	if (kind == DTYPES)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "tensor \"%.60s\" has dtype %.10s", name, dtype);
	if (json_array_size(shape) > 8)
		return hl_fail(error, HILUM_ERROR_FORMAT, "tensor \"%.60s\" has more than 8 dimensions", name);
	entry->dtype = (enum hl_dtype)kind;
	entry->rank = (int)json_array_size(shape);
	size_t bytes = dtypes[kind].size;
	for (int i = 0; i < entry->rank; i++) {
		const json_t *size = json_array_get(shape, (size_t)i);
		if (!json_is_integer(size) || json_integer_value(size) < 0)
			return hl_fail(error, HILUM_ERROR_FORMAT, "tensor \"%.60s\" has a bad shape", name);
		entry->dims[i] = json_integer_value(size);
		if (!hl_mul_size(bytes, (size_t)entry->dims[i], &bytes))
			return hl_fail(error, HILUM_ERROR_FORMAT, "tensor \"%.60s\" is impossibly large", name);
	}
	const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
	json_int_t from = json_integer_value(begin), to = json_integer_value(end);
	if (!json_is_integer(begin) || !json_is_integer(end) || from < 0 || to < from || (size_t)to > data_bytes ||
	    (size_t)(to - from) != bytes)
		return hl_fail(error, HILUM_ERROR_FORMAT, "tensor \"%.60s\": offsets do not fit its shape", name);
	entry->bytes = bytes;
	entry->data = data + from;
	entry->name = hl_strdup(name);
	return entry->name ? HILUM_OK : hl_fail_memory(error, strlen(name), "a tensor's name");
}

static int by_data(const void *a, const void *b)
{
	const struct hl_entry *x = a, *y = b;
	if (x->data != y->data)
		return (const char *)x->data < (const char *)y->data ? -1 : 1;
	return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* The tensors must cover the data without gap or overlap, so that no byte of the file goes unchecked. */
static enum hilum_status check_cover(const struct hl_safetensors *tensors, const char *data, size_t data_bytes,
                                     struct hilum_error *error)
{
	const char *expected = data;
	for (size_t i = 0; i < tensors->entries; i++) {
		if ((const char *)tensors->entry[i].data != expected)
			return hl_fail(error, HILUM_ERROR_FORMAT, "tensor \"%.60s\" leaves a gap or overlaps another",
			               tensors->entry[i].name);
		expected += tensors->entry[i].bytes;
	}
	if (expected != data + data_bytes)
		return hl_fail(error, HILUM_ERROR_FORMAT, "%zu bytes at the end belong to no tensor",
		               (size_t)(data + data_bytes - expected));
	return HILUM_OK;
}

static enum hilum_status parse_header(const json_t *root, struct hl_safetensors *out, const char *data,
                                      size_t data_bytes, struct hilum_error *error)
{
	if (!json_is_object(root))
		return hl_fail(error, HILUM_ERROR_FORMAT, "the header is not an object");
	out->entry = hl_alloc(json_object_size(root) + 1, sizeof(*out->entry));
	if (!out->entry)
		return hl_fail_memory(error, json_object_size(root) * sizeof(*out->entry), "the list of tensors");
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)root, key, value)
	{
		enum hilum_status status;
		if (strcmp(key, "__metadata__") == 0) {
			status = parse_metadata(value, out, error);
		} else {
			status = parse_entry(key, value, data_bytes, data, &out->entry[out->entries], error);
			out->entries += status == HILUM_OK;
		}
		if (status)
			return status;
	}
	qsort(out->entry, out->entries, sizeof(*out->entry), by_data);
	return check_cover(out, data, data_bytes, error);
}

enum hilum_status hl_safetensors_parse(struct hl_buffer *bytes, struct hl_safetensors *out, struct hilum_error *error)
{
	struct hl_safetensors result = {0};
	if (bytes->length < 8)
		return hl_fail(error, HILUM_ERROR_FORMAT, "not a safetensors file: too short");
	uint64_t header = read_u64(bytes->data);
	if (header > HEADER_MAX || header > bytes->length - 8)
		return hl_fail(error, HILUM_ERROR_FORMAT, "not a safetensors file, or cut off: header of %llu bytes",
		               (unsigned long long)header);
	json_error_t where;
	json_t *root = json_loadb(bytes->data + 8, (size_t)header, JSON_REJECT_DUPLICATES, &where);
	if (!root)
		return hl_fail(error, HILUM_ERROR_FORMAT, "not a safetensors file: %.100s", where.text);
	enum hilum_status status =
	    parse_header(root, &result, bytes->data + 8 + header, bytes->length - 8 - (size_t)header, error);
	json_decref(root);
	if (status) {
		hl_safetensors_free(&result);
		return status;
	}
	result.file = *bytes;
	memset(bytes, 0, sizeof(*bytes));
	*out = result;
	return HILUM_OK;
}

enum hilum_status hl_safetensors_read(const char *path, size_t maximum, struct hl_safetensors *out,
                                      struct hilum_error *error)
{
	struct hl_buffer bytes = {0};
	enum hilum_status status = hl_file_read(path, maximum, &bytes, error);
	if (status)
		return status;
	status = hl_safetensors_parse(&bytes, out, error);
	hl_buffer_free(&bytes);
	return status ? hl_prefix(error, status, "%s", path) : HILUM_OK;
}

static json_t *entry_json(const struct hl_entry *entry, size_t offset)
{
	json_t *shape = json_array();
	for (int i = 0; i < entry->rank; i++)
		json_array_append_new(shape, json_integer(entry->dims[i]));
	return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[entry->dtype].name, "shape", shape, "data_offsets",
	                 (json_int_t)offset, (json_int_t)offset + (json_int_t)entry->bytes);
}

/* The header as text padded with spaces, so that the data begin on a multiple of ALIGNMENT. NULL without memory. */
static char *header_text(const struct hl_entry *entry, size_t entries, const struct hl_text *metadata, size_t texts)
{
	json_t *root = json_object();
	char *text = NULL, *padded = NULL;
	if (texts > 0) {
		json_t *map = json_object();
		for (size_t i = 0; i < texts; i++)
			if (json_object_set_new(map, metadata[i].key, json_string(metadata[i].value)) != 0) {
				json_decref(map);
				goto out;
			}
		if (json_object_set_new(root, "__metadata__", map) != 0)
			goto out;
	}
	size_t offset = 0;
	for (size_t i = 0; i < entries; i++) {
		if (json_object_set_new(root, entry[i].name, entry_json(&entry[i], offset)) != 0)
			goto out;
		offset += entry[i].bytes;
	}
	text = json_dumps(root, JSON_COMPACT);
	if (text)
		padded = hl_format("%s%*s", text, (int)((ALIGNMENT - strlen(text) % ALIGNMENT) % ALIGNMENT), "");
out:
	free(text);
	json_decref(root);
	return padded;
}

enum hilum_status hl_safetensors_write(const char *path, const struct hl_entry *entry, size_t entries,
                                       const struct hl_text *metadata, size_t texts, struct hilum_error *error)
{
	enum hilum_status status;
	struct hl_part *part = hl_alloc(entries + 2, sizeof(*part));
	char *header = header_text(entry, entries, metadata, texts);
	if (!part || !header) {
		status = hl_fail_memory(error, entries * sizeof(*part), path);
		goto out;
	}
	uint8_t length[8];
	uint64_t bytes = strlen(header);
	for (int i = 0; i < 8; i++)
		length[i] = (uint8_t)(bytes >> (8 * i));
	part[0] = (struct hl_part){length, sizeof(length)};
	part[1] = (struct hl_part){header, (size_t)bytes};
	for (size_t i = 0; i < entries; i++)
		part[i + 2] = (struct hl_part){entry[i].data, entry[i].bytes};
	status = hl_file_write(path, part, entries + 2, error);
out:
	hl_free(header);
	hl_free(part);
	return status;
}
