/* Comma-separated tables (RFC 4180: quotes, doubled quotes, CR LF; a UTF-8 byte order mark is skipped). The first row
 * is the header. Every row must have as many fields as the header; blank lines are skipped. */
#ifndef HL_BASE_CSV_H
#define HL_BASE_CSV_H
#include "base/buffer.h"

struct hl_csv {
	size_t columns, rows; /* rows without the header */
	char **field;         /* (rows + 1) * columns strings, header first */
	char *text;           /* what the fields point into */
};

/* Takes the table from memory; text is copied. name is for messages, which give the line. */
enum hilum_status hl_csv_parse(const char *name, const char *text, size_t length, struct hl_csv *out,
                               struct hilum_error *error);
/* At most 256 MiB, 32 Mi fields and 4096 columns. */
enum hilum_status hl_csv_read(const char *path, struct hl_csv *out, struct hilum_error *error);
void hl_csv_free(struct hl_csv *csv);
/* Index of the column, or -1. */
int hl_csv_column(const struct hl_csv *csv, const char *name);
const char *hl_csv_get(const struct hl_csv *csv, size_t row, size_t column);
/* Appends one field, quoted if it must be. */
enum hilum_status hl_csv_append(struct hl_buffer *buffer, const char *field, struct hilum_error *error);
#endif
