/* Words in pictures: a font of points for ASCII. */
#ifndef HL_INFER_EXPLAIN_TEXT_H
#define HL_INFER_EXPLAIN_TEXT_H
#include "scan/volume.h"

#define HL_TEXT_ROWS 9
#define HL_TEXT_COLUMNS 5
#define HL_TEXT_STEP 6 /* points from one character to the next */

/* One line; a point is scale x scale pixels. */
int32_t hl_text_width(const char *text, int32_t scale);
/* Into an RGB picture of 8 bits, its upper left corner at (left, top); what does not fit is cut off. */
void hl_text_draw(struct hl_volume *picture, const char *text, int32_t left, int32_t top, int32_t scale,
                  const uint8_t colour[3]);
/* Bytes of the line that fit a width, up to a space where there is one; at least one character. */
size_t hl_text_break(const char *text, int32_t width, int32_t scale);
#endif
