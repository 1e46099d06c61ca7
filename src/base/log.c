/* One callback for words meant for people. */
#include "base/log.h"

#include <stdarg.h>

static hilum_log_function *sink;
static void *sink_context;

void hilum_log_to(hilum_log_function *function, void *context)
{
	sink = function;
	sink_context = context;
}

void hl_log(enum hilum_level level, const char *format, ...)
{
	char line[1024];
	va_list arguments;

	if (!sink)
		return;
	va_start(arguments, format);
	if (vsnprintf(line, sizeof(line), format, arguments) < 0)
		line[0] = '\0';
	va_end(arguments);
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	sink(sink_context, level, line);
}
