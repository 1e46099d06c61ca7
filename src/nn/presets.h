/* Networks by name: architecture text made from a few settings. */
#ifndef HL_NN_PRESETS_H
#define HL_NN_PRESETS_H
#include "base/buffer.h"

struct hl_preset {
	const char *name, *help;
	const struct hilum_option *options;
	size_t options_size;
	enum hilum_status (*write)(const void *options, struct hl_buffer *out, struct hilum_error *error);
};

extern const struct hl_preset hl_presets[]; /* ends with a NULL name */

/* The preset whose name is the first length bytes of text, or NULL. */
const struct hl_preset *hl_preset_find(const char *text, size_t length);
#endif
