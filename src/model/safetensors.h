/* safetensors: 8 bytes little-endian header length, JSON header {"__metadata__": {text: text}, name: {"dtype", "shape",
 * "data_offsets": [begin, end]}}, then the tensors without gaps. https://github.com/huggingface/safetensors */
#ifndef HL_MODEL_SAFETENSORS_H
#define HL_MODEL_SAFETENSORS_H
#include "base/buffer.h"

enum hl_dtype { HL_DTYPE_F32, HL_DTYPE_BF16, HL_DTYPE_I64, HL_DTYPE_U8, HL_DTYPE_I8, HL_DTYPE_I32 };

struct hl_entry {
	char *name;
	enum hl_dtype dtype;
	int rank;
	int64_t dims[8];
	const void *data; /* reading: into the file's bytes; writing: borrowed from the caller */
	size_t bytes;
};

struct hl_text {
	char *key, *value;
};

struct hl_safetensors {
	struct hl_entry *entry;
	size_t entries;
	struct hl_text *metadata;
	size_t texts;
	struct hl_buffer file; /* reading: the whole file */
};

/* Everything is checked: header length, JSON, names unique, dtypes, shapes against byte counts, offsets in order
 * without gap or overlap, total equal to the file's size. Errors name the path. At most maximum bytes. */
enum hilum_status hl_safetensors_read(const char *path, size_t maximum, struct hl_safetensors *out,
                                      struct hilum_error *error);
enum hilum_status hl_safetensors_parse(struct hl_buffer *bytes, struct hl_safetensors *out, struct hilum_error *error);
void hl_safetensors_free(struct hl_safetensors *tensors);
const struct hl_entry *hl_safetensors_find(const struct hl_safetensors *tensors, const char *name);
const char *hl_safetensors_text(const struct hl_safetensors *tensors, const char *key); /* or NULL */
/* Written to a new file, synced and renamed. Same contents, same bytes. */
enum hilum_status hl_safetensors_write(const char *path, const struct hl_entry *entry, size_t entries,
                                       const struct hl_text *metadata, size_t texts, struct hilum_error *error);
#endif
