/* Numbers as text with a point, whatever the locale of the program that hilum is part of. */
#ifndef HL_BASE_NUMBER_H
#define HL_BASE_NUMBER_H
#include <stddef.h>

/* strtod. */
double hl_number_parse(const char *text, char **end);
/* With so many significant digits (%.*g); 17 always read back as the same double. As snprintf returns. */
int hl_number_print(char *text, size_t size, int digits, double value);
/* The shortest decimal that reads back as the same double; whole numbers below 1e15 without an exponent. */
int hl_number_print_shortest(char *text, size_t size, double value);
#endif
