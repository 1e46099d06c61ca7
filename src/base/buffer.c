/* A growing run of bytes with a stated maximum. */
#include "base/buffer.h"

#include <stdarg.h>
#include <string.h>

#include "base/memory.h"

void hl_buffer_init(struct hl_buffer *buffer, size_t maximum)
{
	*buffer = (struct hl_buffer){.maximum = maximum};
}

void hl_buffer_free(struct hl_buffer *buffer)
{
	hl_free(buffer->data);
	*buffer = (struct hl_buffer){.maximum = buffer->maximum};
}

/* Room for length more bytes and the NUL. */
static enum hilum_status reserve(struct hl_buffer *buffer, size_t length, struct hilum_error *error)
{
	size_t needed, capacity;
	char *data;

	if (!hl_add_size(buffer->length, length, &needed) || needed > buffer->maximum || needed == SIZE_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "more than %zu bytes", buffer->maximum);
	needed++;
	if (needed <= buffer->capacity)
		return HILUM_OK;
	capacity = buffer->capacity < 64 ? 64 : buffer->capacity;
	while (capacity < needed)
		capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
	if (capacity > buffer->maximum && buffer->maximum >= needed - 1)
		capacity = buffer->maximum < SIZE_MAX ? buffer->maximum + 1 : SIZE_MAX;
	data = hl_realloc(buffer->data, capacity, 1);
	if (!data)
		return hl_fail_memory(error, capacity, "a buffer");
	buffer->data = data;
	buffer->capacity = capacity;
	return HILUM_OK;
}

enum hilum_status hl_buffer_append(struct hl_buffer *buffer, const void *bytes, size_t length,
                                   struct hilum_error *error)
{
	enum hilum_status status = reserve(buffer, length, error);

	if (status)
		return status;
	if (length > 0)
		memcpy(buffer->data + buffer->length, bytes, length);
	buffer->length += length;
	buffer->data[buffer->length] = '\0';
	return HILUM_OK;
}

enum hilum_status hl_buffer_print(struct hl_buffer *buffer, struct hilum_error *error, const char *format, ...)
{
	va_list arguments;
	enum hilum_status status;
	int length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "text that cannot be formatted");
	status = reserve(buffer, (size_t)length, error);
	if (status)
		return status;
	va_start(arguments, format);
	vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, arguments);
	va_end(arguments);
	buffer->length += (size_t)length;
	return HILUM_OK;
}
