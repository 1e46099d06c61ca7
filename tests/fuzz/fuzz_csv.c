/* libFuzzer target: any bytes as a table; what was read is written and read again, and must be the same. */
#include <string.h>

#include "base/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Not for tables of one column: an empty field is a blank line there, which is skipped on reading. */
static bool write_table(const struct hl_csv *csv, struct hl_buffer *out)
{
	for (size_t i = 0; i < (csv->rows + 1) * csv->columns; i++) {
		bool last = i % csv->columns == csv->columns - 1;
		if (hl_csv_append(out, csv->field[i], NULL) || hl_buffer_append(out, last ? "\n" : ",", 1, NULL))
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct hilum_error error = {0};
	struct hl_csv csv, again;
	struct hl_buffer text;

	if (hl_csv_parse("table", (const char *)bytes, length, &csv, &error)) {
		if (error.code == HILUM_OK)
			__builtin_trap();
		return 0;
	}
	hl_buffer_init(&text, 64 << 20);
	if (csv.columns > 1 && write_table(&csv, &text)) {
		if (hl_csv_parse("again", text.data, text.length, &again, &error) || again.rows != csv.rows ||
		    again.columns != csv.columns)
			__builtin_trap();
		for (size_t i = 0; i < (csv.rows + 1) * csv.columns; i++)
			if (strcmp(csv.field[i], again.field[i]) != 0)
				__builtin_trap();
		hl_csv_free(&again);
	}
	hl_buffer_free(&text);
	hl_csv_free(&csv);
	return 0;
}
