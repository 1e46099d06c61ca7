/* A growing run of bytes that must state its maximum. Always NUL-terminated after its length. */
#ifndef HL_BASE_BUFFER_H
#define HL_BASE_BUFFER_H
#include "base/error.h"

struct hl_buffer {
	char *data;
	size_t length, capacity, maximum;
};

void hl_buffer_init(struct hl_buffer *buffer, size_t maximum);
void hl_buffer_free(struct hl_buffer *buffer);
enum hilum_status hl_buffer_append(struct hl_buffer *buffer, const void *bytes, size_t length,
                                   struct hilum_error *error);
enum hilum_status hl_buffer_print(struct hl_buffer *buffer, struct hilum_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#endif
