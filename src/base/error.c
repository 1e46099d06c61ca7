/* Errors: the code, one line of text, and how both travel upwards. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* What the header tells the static analyser. */
#undef hl_fail
#undef hl_prefix
#undef hl_fail_memory
#undef hl_fail_errno

#ifndef HL_VERSION
#define HL_VERSION "0.0.0"
#endif

const char *hilum_version(void)
{
	return HL_VERSION;
}

const char *hilum_status_name(enum hilum_status status)
{
	static const char *const names[HILUM_STATUS_COUNT] = {
	    [HILUM_OK] = "ok",
	    [HILUM_ERROR_ARGUMENT] = "bad argument",
	    [HILUM_ERROR_MEMORY] = "out of memory",
	    [HILUM_ERROR_IO] = "input or output failed",
	    [HILUM_ERROR_FORMAT] = "damaged or foreign file",
	    [HILUM_ERROR_LIMIT] = "beyond a limit",
	    [HILUM_ERROR_UNSUPPORTED] = "not supported",
	    [HILUM_ERROR_DATA] = "unusable data set",
	    [HILUM_ERROR_STOPPED] = "stopped",
	    [HILUM_ERROR_INTERNAL] = "defect in hilum",
	    [HILUM_ERROR_REFUSED] = "refused",
	};

	if ((unsigned)status >= HILUM_STATUS_COUNT)
		return "unknown status";
	return names[status];
}

/* Makes one line of printable UTF-8 out of what may hold a file's own bytes: control characters (terminal escapes
 * among them) become '?', and a character that the end of the buffer cut in two is dropped. */
static void tidy(char *text, bool cut)
{
	size_t length = strlen(text);
	size_t tail = 0;

	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x20 || c == 0x7f)
			text[i] = '?';
	}
	if (!cut)
		return;
	while (tail < 3 && tail < length && ((unsigned char)text[length - 1 - tail] & 0xc0) == 0x80)
		tail++;
	if (tail < length && ((unsigned char)text[length - 1 - tail] & 0xc0) == 0xc0)
		text[length - 1 - tail] = '\0';
}

enum hilum_status hl_fail(struct hilum_error *error, enum hilum_status code, const char *format, ...)
{
	/* Formatted aside, so that an argument may point into the message that it replaces. */
	struct hilum_error fresh = {.code = code};
	va_list arguments;
	int written;

	if (!error)
		return code;
	va_start(arguments, format);
	written = vsnprintf(fresh.message, sizeof(fresh.message), format, arguments);
	va_end(arguments);
	if (written < 0)
		fresh.message[0] = '\0';
	tidy(fresh.message, written >= (int)sizeof(fresh.message));
	*error = fresh;
	return code;
}

enum hilum_status hl_prefix(struct hilum_error *error, enum hilum_status code, const char *format, ...)
{
	struct hilum_error prefix = {.code = code};
	va_list arguments;

	if (!error)
		return code;
	va_start(arguments, format);
	if (vsnprintf(prefix.message, sizeof(prefix.message), format, arguments) < 0)
		prefix.message[0] = '\0';
	va_end(arguments);
	if (error->code != HILUM_OK)
		code = error->code;
	return hl_fail(error, code, "%s: %s", prefix.message, error->message);
}

enum hilum_status hl_fail_memory(struct hilum_error *error, size_t bytes, const char *what)
{
	return hl_fail(error, HILUM_ERROR_MEMORY, "out of memory (%zu bytes for %s)", bytes, what);
}

enum hilum_status hl_fail_errno(struct hilum_error *error, const char *what)
{
	int number = errno;
	char text[128];

	return hl_fail(error, number == ENOMEM ? HILUM_ERROR_MEMORY : HILUM_ERROR_IO, "%s: %s", what,
	               strerror_r(number, text, sizeof(text)));
}
