#include "eval/print.h"

#include <math.h>

int hl_text_columns(const char *text)
{
	int count = 0;
	for (; *text; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

void hl_put_text(FILE *file, const char *text, int width, bool right)
{
	int length = hl_text_columns(text);
	bool cut = length > width;
	int pad = cut ? 0 : width - length;
	if (right)
		fprintf(file, "%*s", pad, "");
	if (cut) {
		fputs("...", file);
		for (int skip = length - (width - 3); skip > 0 || ((unsigned char)*text & 0xc0) == 0x80; text++)
			skip -= ((unsigned char)*text & 0xc0) != 0x80;
	}
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;
		fputc(byte < 0x20 || byte == 0x7f ? '?' : byte, file);
	}
	if (!right)
		fprintf(file, "%*s", pad, "");
}

void hl_put_figure(FILE *file, double value, int width)
{
	if (isnan(value))
		fprintf(file, "%*s", width, "undefined");
	else
		fprintf(file, "%*.4f", width, fabs(value) < 5e-5 ? 0 : value); /* no "-0.0000" */
}

void hl_put_interval(FILE *file, struct hl_interval interval, int width)
{
	if (isnan(interval.low)) {
		fprintf(file, "   %*s%*s", width + 3, "-", width + 1, "");
		return;
	}
	fputs("   ", file);
	hl_put_figure(file, interval.low, width);
	fputs(" to ", file);
	hl_put_figure(file, interval.high, width);
}
