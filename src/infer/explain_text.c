#include "infer/explain_text.h"

#include <string.h>

#define FIRST ' '
#define LAST '~'

/* A row of five points a byte, the leftmost the highest bit; the last two rows hang below the line. Drawn for this
 * program. */
static const uint8_t glyphs[LAST - FIRST + 1][HL_TEXT_ROWS] = {
    {0, 0, 0, 0, 0, 0, 0, 0, 0},        {4, 4, 4, 4, 4, 0, 4, 0, 0},        {10, 10, 0, 0, 0, 0, 0, 0, 0},
    {10, 10, 31, 10, 31, 10, 10, 0, 0}, {4, 15, 20, 14, 5, 30, 4, 0, 0},    {25, 25, 2, 4, 8, 19, 19, 0, 0},
    {12, 18, 18, 12, 19, 18, 13, 0, 0}, {4, 4, 0, 0, 0, 0, 0, 0, 0},        {2, 4, 8, 8, 8, 4, 2, 0, 0},
    {8, 4, 2, 2, 2, 4, 8, 0, 0},        {0, 4, 21, 14, 21, 4, 0, 0, 0},     {0, 4, 4, 31, 4, 4, 0, 0, 0},
    {0, 0, 0, 0, 0, 4, 4, 8, 0},        {0, 0, 0, 31, 0, 0, 0, 0, 0},       {0, 0, 0, 0, 0, 12, 12, 0, 0},
    {1, 1, 2, 4, 8, 16, 16, 0, 0},      {14, 17, 17, 17, 17, 17, 14, 0, 0}, {4, 12, 4, 4, 4, 4, 14, 0, 0},
    {14, 17, 1, 2, 4, 8, 31, 0, 0},     {14, 17, 1, 6, 1, 17, 14, 0, 0},    {2, 6, 10, 18, 31, 2, 2, 0, 0},
    {31, 16, 30, 1, 1, 17, 14, 0, 0},   {6, 8, 16, 30, 17, 17, 14, 0, 0},   {31, 1, 2, 4, 4, 8, 8, 0, 0},
    {14, 17, 17, 14, 17, 17, 14, 0, 0}, {14, 17, 17, 15, 1, 2, 12, 0, 0},   {0, 12, 12, 0, 12, 12, 0, 0, 0},
    {0, 12, 12, 0, 0, 4, 4, 8, 0},      {2, 4, 8, 16, 8, 4, 2, 0, 0},       {0, 0, 31, 0, 31, 0, 0, 0, 0},
    {8, 4, 2, 1, 2, 4, 8, 0, 0},        {14, 17, 1, 2, 4, 0, 4, 0, 0},      {14, 17, 23, 21, 22, 16, 14, 0, 0},
    {14, 17, 17, 31, 17, 17, 17, 0, 0}, {30, 17, 17, 30, 17, 17, 30, 0, 0}, {14, 17, 16, 16, 16, 17, 14, 0, 0},
    {30, 17, 17, 17, 17, 17, 30, 0, 0}, {31, 16, 16, 30, 16, 16, 31, 0, 0}, {31, 16, 16, 30, 16, 16, 16, 0, 0},
    {14, 17, 16, 23, 17, 17, 14, 0, 0}, {17, 17, 17, 31, 17, 17, 17, 0, 0}, {14, 4, 4, 4, 4, 4, 14, 0, 0},
    {7, 2, 2, 2, 2, 18, 12, 0, 0},      {17, 18, 20, 24, 20, 18, 17, 0, 0}, {16, 16, 16, 16, 16, 16, 31, 0, 0},
    {17, 27, 21, 21, 17, 17, 17, 0, 0}, {17, 25, 25, 21, 19, 19, 17, 0, 0}, {14, 17, 17, 17, 17, 17, 14, 0, 0},
    {30, 17, 17, 30, 16, 16, 16, 0, 0}, {14, 17, 17, 17, 21, 18, 13, 0, 0}, {30, 17, 17, 30, 20, 18, 17, 0, 0},
    {15, 16, 16, 14, 1, 1, 30, 0, 0},   {31, 4, 4, 4, 4, 4, 4, 0, 0},       {17, 17, 17, 17, 17, 17, 14, 0, 0},
    {17, 17, 17, 17, 10, 10, 4, 0, 0},  {17, 17, 17, 21, 21, 27, 17, 0, 0}, {17, 17, 10, 4, 10, 17, 17, 0, 0},
    {17, 17, 10, 4, 4, 4, 4, 0, 0},     {31, 1, 2, 4, 8, 16, 31, 0, 0},     {14, 8, 8, 8, 8, 8, 14, 0, 0},
    {16, 16, 8, 4, 2, 1, 1, 0, 0},      {14, 2, 2, 2, 2, 2, 14, 0, 0},      {4, 10, 17, 0, 0, 0, 0, 0, 0},
    {0, 0, 0, 0, 0, 0, 0, 31, 0},       {8, 4, 0, 0, 0, 0, 0, 0, 0},        {0, 0, 14, 1, 15, 17, 15, 0, 0},
    {16, 16, 30, 17, 17, 17, 30, 0, 0}, {0, 0, 14, 16, 16, 17, 14, 0, 0},   {1, 1, 15, 17, 17, 17, 15, 0, 0},
    {0, 0, 14, 17, 31, 16, 14, 0, 0},   {6, 9, 8, 28, 8, 8, 8, 0, 0},       {0, 0, 15, 17, 17, 17, 15, 1, 14},
    {16, 16, 30, 17, 17, 17, 17, 0, 0}, {4, 0, 12, 4, 4, 4, 14, 0, 0},      {2, 0, 6, 2, 2, 2, 2, 18, 12},
    {16, 16, 18, 20, 24, 20, 18, 0, 0}, {12, 4, 4, 4, 4, 4, 14, 0, 0},      {0, 0, 26, 21, 21, 21, 21, 0, 0},
    {0, 0, 30, 17, 17, 17, 17, 0, 0},   {0, 0, 14, 17, 17, 17, 14, 0, 0},   {0, 0, 30, 17, 17, 17, 30, 16, 16},
    {0, 0, 15, 17, 17, 17, 15, 1, 1},   {0, 0, 22, 25, 16, 16, 16, 0, 0},   {0, 0, 15, 16, 14, 1, 30, 0, 0},
    {8, 8, 28, 8, 8, 9, 6, 0, 0},       {0, 0, 17, 17, 17, 17, 15, 0, 0},   {0, 0, 17, 17, 17, 10, 4, 0, 0},
    {0, 0, 17, 21, 21, 21, 10, 0, 0},   {0, 0, 17, 10, 4, 10, 17, 0, 0},    {0, 0, 17, 17, 17, 17, 15, 1, 14},
    {0, 0, 31, 2, 4, 8, 31, 0, 0},      {2, 4, 4, 8, 4, 4, 2, 0, 0},        {4, 4, 4, 4, 4, 4, 4, 0, 0},
    {8, 4, 4, 2, 4, 4, 8, 0, 0},        {0, 0, 8, 21, 2, 0, 0, 0, 0},
};

/* The next character's points; bytes beyond ASCII are one "?" a sequence. */
static const uint8_t *next(const char **text)
{
	unsigned char byte = (unsigned char)**text;
	(*text)++;
	if (byte >= 0x80)
		while (((unsigned char)**text & 0xc0) == 0x80)
			(*text)++;
	return glyphs[byte >= FIRST && byte <= LAST ? byte - FIRST : '?' - FIRST];
}

static int32_t length(const char *text)
{
	int32_t count = 0;
	for (; *text; count++)
		next(&text);
	return count;
}

int32_t hl_text_width(const char *text, int32_t scale)
{
	return length(text) * HL_TEXT_STEP * scale;
}

static void put_point(struct hl_volume *picture, int32_t left, int32_t top, int32_t side, const uint8_t colour[3])
{
	uint8_t *pixels = picture->voxels;
	for (int32_t y = top; y < top + side; y++)
		for (int32_t x = left; x < left + side; x++)
			if (x >= 0 && x < picture->width && y >= 0 && y < picture->height)
				memcpy(pixels + 3 * ((size_t)y * (size_t)picture->width + (size_t)x), colour, 3);
}

void hl_text_draw(struct hl_volume *picture, const char *text, int32_t left, int32_t top, int32_t scale,
                  const uint8_t colour[3])
{
	for (; *text; left += HL_TEXT_STEP * scale) {
		const uint8_t *rows = next(&text);
		for (int32_t row = 0; row < HL_TEXT_ROWS; row++)
			for (int32_t column = 0; column < HL_TEXT_COLUMNS; column++)
				if (rows[row] >> (HL_TEXT_COLUMNS - 1 - column) & 1)
					put_point(picture, left + column * scale, top + row * scale, scale, colour);
	}
}

size_t hl_text_break(const char *text, int32_t width, int32_t scale)
{
	size_t room = (size_t)(width / (HL_TEXT_STEP * scale)), best = 0, at = 0;
	const char *end = text;
	room = room > 0 ? room : 1;
	for (; *end && at < room; at++) {
		if (*end == ' ')
			best = (size_t)(end - text);
		next(&end);
	}
	return *end && *end != ' ' && best > 0 ? best : (size_t)(end - text);
}
