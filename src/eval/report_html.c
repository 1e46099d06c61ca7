#include "eval/report.h"

#include "base/memory.h"
#include "base/number.h"
#include "scan/format.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void hl_put(struct hl_page *page, const char *format, ...)
{
	char text[4096];
	va_list arguments;
	if (page->status)
		return;
	va_start(arguments, format);
	int length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof(text))
		page->status = hl_fail(&page->error, HILUM_ERROR_INTERNAL, "a line of the report is too long");
	else
		page->status = hl_buffer_append(&page->html, text, (size_t)length, &page->error);
}

static void put_bytes(struct hl_page *page, const char *bytes, size_t length)
{
	if (!page->status)
		page->status = hl_buffer_append(&page->html, bytes, length, &page->error);
}

/* Length of a sound UTF-8 sequence, 0 for none. */
static size_t sequence(const unsigned char *text)
{
	size_t length = text[0] < 0x80   ? 1
	                : text[0] < 0xc2 ? 0
	                : text[0] < 0xe0 ? 2
	                : text[0] < 0xf0 ? 3
	                : text[0] < 0xf5 ? 4
	                                 : 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	bool overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
	bool beyond = (text[0] == 0xed && text[1] > 0x9f) || (text[0] == 0xf4 && text[1] > 0x8f);
	/* C1 control characters may not stand in HTML. */
	bool control = text[0] == 0xc2 && text[1] < 0xa0;
	return overlong || beyond || control ? 0 : length;
}

void hl_put_escaped(struct hl_page *page, const char *text)
{
	while (*text) {
		size_t length = sequence((const unsigned char *)text);
		unsigned char first = (unsigned char)*text;
		if (length == 0)
			put_bytes(page, "\xef\xbf\xbd", 3);
		else if (first < 0x20 || first == 0x7f)
			put_bytes(page, "?", 1);
		else if (first == '&')
			put_bytes(page, "&amp;", 5);
		else if (first == '<')
			put_bytes(page, "&lt;", 4);
		else if (first == '>')
			put_bytes(page, "&gt;", 4);
		else if (first == '"')
			put_bytes(page, "&quot;", 6);
		else
			put_bytes(page, text, length);
		text += length ? length : 1;
	}
}

void hl_put_number(struct hl_page *page, double value, int decimals)
{
	if (isnan(value))
		hl_put(page, "<span title=\"undefined\">&ndash;</span>");
	else
		hl_put(page, "%.*f", decimals, fabs(value) < 5e-7 ? 0 : value);
}

void hl_put_range(struct hl_page *page, struct hl_interval interval, int decimals)
{
	if (!isnan(interval.low))
		hl_put(page, "%.*f to %.*f", decimals, interval.low, decimals, interval.high);
}

static void put_base64(struct hl_page *page, const uint8_t *bytes, size_t length)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < length; i += 3) {
		uint32_t three = (uint32_t)bytes[i] << 16;
		three |= i + 1 < length ? (uint32_t)bytes[i + 1] << 8 : 0;
		three |= i + 2 < length ? bytes[i + 2] : 0;
		const char four[4] = {digits[three >> 18], digits[three >> 12 & 63],
		                      i + 1 < length ? digits[three >> 6 & 63] : '=',
		                      i + 2 < length ? digits[three & 63] : '='};
		put_bytes(page, four, 4);
	}
}

void hl_put_picture(struct hl_page *page, const uint8_t *pixels, int32_t width, int32_t height, int32_t channels)
{
	struct hl_volume picture;
	struct hl_buffer png;
	if (page->status)
		return;
	page->status = hl_volume_init(&picture, width, height, 1, channels, HL_VOXEL_U8, &page->error);
	if (page->status)
		return;
	memcpy(picture.voxels, pixels, (size_t)width * (size_t)height * (size_t)channels);
	page->status = hl_png_encode(&picture, &png, &page->error);
	hl_volume_free(&picture);
	if (page->status)
		return;
	hl_put(page, "data:image/png;base64,");
	put_base64(page, (const uint8_t *)png.data, png.length);
	hl_buffer_free(&png);
}

void hl_put_lines(struct hl_page *page, const char *const *lines)
{
	for (; *lines; lines++) {
		put_bytes(page, *lines, strlen(*lines));
		put_bytes(page, "\n", 1);
	}
}

void hl_section_open(struct hl_page *page, const char *id, const char *title)
{
	hl_put(page, "<section id=\"%s\" aria-labelledby=\"%s-title\">\n<h2 id=\"%s-title\">", id, id, id);
	hl_put_escaped(page, title);
	hl_put(page, "</h2>\n");
}

void hl_section_close(struct hl_page *page)
{
	hl_put(page, "</section>\n");
}
