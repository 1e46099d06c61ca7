#include "base/number.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The C locale is built into libc, so that this neither allocates nor fails. */
static locale_t plain(void)
{
	return newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

double hl_number_parse(const char *text, char **end)
{
	locale_t locale = plain();
	double value = strtod_l(text, end, locale);
	freelocale(locale);
	return value;
}

int hl_number_print(char *text, size_t size, int digits, double value)
{
	locale_t locale = plain(), before = uselocale(locale);
	int written = snprintf(text, size, "%.*g", digits, value);
	uselocale(before);
	freelocale(locale);
	return written;
}

int hl_number_print_shortest(char *text, size_t size, double value)
{
	char trial[40];
	if (fabs(value) < 1e15 && value == floor(value))
		return snprintf(text, size, "%.0f", value);
	for (int digits = 1; digits < 17; digits++) {
		hl_number_print(trial, sizeof(trial), digits, value);
		if (hl_number_parse(trial, NULL) == value)
			return snprintf(text, size, "%s", trial);
	}
	return hl_number_print(text, size, 17, value);
}
