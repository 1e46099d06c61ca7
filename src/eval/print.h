/* Words and numbers in columns, for people. */
#ifndef HL_EVAL_PRINT_H
#define HL_EVAL_PRINT_H
#include "eval/confidence.h"

/* Columns that UTF-8 text takes, one a code point. */
int hl_text_columns(const char *text);
/* Text in a column of that width, or its end behind "...". Control characters could drive a terminal. */
void hl_put_text(FILE *file, const char *text, int width, bool right);
/* Four decimals, or "undefined" where the value is NaN. */
void hl_put_figure(FILE *file, double value, int width);
/* "   LOW to HIGH" with so many columns for each, or "-". */
void hl_put_interval(FILE *file, struct hl_interval interval, int width);
#endif
