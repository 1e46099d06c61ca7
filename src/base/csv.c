/* Comma-separated tables, parsed in place: a field becomes a string inside the text that held it. */
#include "base/csv.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"

#define MARK "\xef\xbb\xbf" /* the byte order mark in UTF-8 */
#define BYTES_MAX ((size_t)256 << 20)
#define COLUMNS_MAX 4096
#define FIELDS_MAX ((size_t)32 << 20)

struct parser {
	const char *name;
	char *at, *end; /* *end is a NUL of ours */
	size_t line;
	char **field;
	size_t count, capacity;
	struct hilum_error *error;
};

static enum hilum_status add_field(struct parser *parser, char *field)
{
	if (parser->count == parser->capacity) {
		size_t wanted = parser->capacity ? parser->capacity * 2 : 64;
		char **grown;
		if (parser->count >= FIELDS_MAX)
			return hl_fail(parser->error, HILUM_ERROR_LIMIT, "%s: more than %zu fields", parser->name,
			               FIELDS_MAX);
		grown = hl_realloc(parser->field, wanted, sizeof(*grown));
		if (!grown)
			return hl_fail_memory(parser->error, wanted * sizeof(*grown), parser->name);
		parser->field = grown;
		parser->capacity = wanted;
	}
	parser->field[parser->count++] = field;
	return HILUM_OK;
}

/* Reads a quoted field, at its opening quote; doubled quotes are folded where they stand. Sets the end of its text. */
static enum hilum_status read_quoted(struct parser *parser, char **last)
{
	size_t start = parser->line;
	char *write = parser->at++;

	for (;; parser->at++) {
		if (parser->at == parser->end)
			return hl_fail(parser->error, HILUM_ERROR_FORMAT, "%s: line %zu: a quote that is never closed",
			               parser->name, start);
		if (*parser->at == '"') {
			if (parser->at[1] != '"')
				break;
			parser->at++;
		} else if (*parser->at == '\n') {
			parser->line++;
		}
		*write++ = *parser->at;
	}
	parser->at++;
	*last = write;
	if (parser->at < parser->end && *parser->at != ',' && *parser->at != '\n' && *parser->at != '\r')
		return hl_fail(parser->error, HILUM_ERROR_FORMAT, "%s: line %zu: text after a closing quote",
		               parser->name, parser->line);
	return HILUM_OK;
}

static enum hilum_status read_plain(struct parser *parser, char **last)
{
	while (parser->at < parser->end && *parser->at != ',' && *parser->at != '\n' && *parser->at != '\r') {
		if (*parser->at == '"')
			return hl_fail(parser->error, HILUM_ERROR_FORMAT,
			               "%s: line %zu: a quote inside a field that does not begin with one",
			               parser->name, parser->line);
		parser->at++;
	}
	*last = parser->at;
	return HILUM_OK;
}

/* Reads one row's fields and the end of its line (LF, CR LF or CR). */
static enum hilum_status read_row(struct parser *parser, size_t *columns)
{
	*columns = 0;
	for (;;) {
		char *field = parser->at;
		char *last = field;
		bool more;
		enum hilum_status status = *parser->at == '"' ? read_quoted(parser, &last) : read_plain(parser, &last);
		if (!status)
			status = add_field(parser, field);
		if (status)
			return status;
		/* Here, so that a header without end costs nothing. */
		if (++*columns > COLUMNS_MAX)
			return hl_fail(parser->error, HILUM_ERROR_LIMIT, "%s: line %zu: more than %d columns",
			               parser->name, parser->line, COLUMNS_MAX);
		more = *parser->at == ',';
		if (parser->at < parser->end && *parser->at == '\r' && parser->at[1] == '\n')
			parser->at++;
		if (parser->at < parser->end)
			parser->at++;
		*last = '\0';
		if (!more)
			break;
	}
	parser->line++;
	return HILUM_OK;
}

static bool skip_blank_line(struct parser *parser)
{
	if (*parser->at != '\n' && *parser->at != '\r')
		return false;
	parser->at += parser->at[0] == '\r' && parser->at[1] == '\n' ? 2 : 1;
	parser->line++;
	return true;
}

static enum hilum_status check_header(const struct parser *parser, size_t columns)
{
	for (size_t i = 0; i < columns; i++)
		for (size_t j = 0; j < i; j++)
			if (*parser->field[i] && strcmp(parser->field[i], parser->field[j]) == 0)
				return hl_fail(parser->error, HILUM_ERROR_FORMAT, "%s: column '%s' stands twice",
				               parser->name, parser->field[i]);
	return HILUM_OK;
}

static enum hilum_status read_table(struct parser *parser, size_t *columns, size_t *rows)
{
	enum hilum_status status;

	while (skip_blank_line(parser))
		;
	if (parser->at == parser->end)
		return hl_fail(parser->error, HILUM_ERROR_FORMAT, "%s: an empty table", parser->name);
	status = read_row(parser, columns);
	if (!status)
		status = check_header(parser, *columns);
	*rows = 0;
	while (!status && parser->at < parser->end) {
		size_t line = parser->line, found;
		if (skip_blank_line(parser))
			continue;
		status = read_row(parser, &found);
		if (!status && found != *columns)
			status = hl_fail(parser->error, HILUM_ERROR_FORMAT,
			                 "%s: line %zu: %zu fields where the header has %zu", parser->name, line, found,
			                 *columns);
		++*rows;
	}
	return status;
}

/* Parses the NUL-terminated text, which out takes over on success. */
static enum hilum_status parse(const char *name, char *text, size_t length, struct hl_csv *out,
                               struct hilum_error *error)
{
	struct parser parser = {.name = name, .at = text, .end = text + length, .line = 1, .error = error};
	enum hilum_status status;
	size_t columns = 0, rows = 0;

	if (memchr(text, '\0', length))
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s: a NUL byte: not a text table", name);
	if (strncmp(text, MARK, strlen(MARK)) == 0)
		parser.at += strlen(MARK);
	status = read_table(&parser, &columns, &rows);
	if (status) {
		hl_free(parser.field);
		return status;
	}
	*out = (struct hl_csv){.columns = columns, .rows = rows, .field = parser.field, .text = text};
	return HILUM_OK;
}

enum hilum_status hl_csv_parse(const char *name, const char *text, size_t length, struct hl_csv *out,
                               struct hilum_error *error)
{
	enum hilum_status status;
	char *copy;

	if (length > BYTES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%s: %zu bytes, more than %zu", name, length, BYTES_MAX);
	copy = hl_alloc(length + 1, 1);
	if (!copy)
		return hl_fail_memory(error, length + 1, name);
	if (length > 0)
		memcpy(copy, text, length);
	status = parse(name, copy, length, out, error);
	if (status)
		hl_free(copy);
	return status;
}

enum hilum_status hl_csv_read(const char *path, struct hl_csv *out, struct hilum_error *error)
{
	struct hl_buffer buffer;
	enum hilum_status status = hl_file_read(path, BYTES_MAX, &buffer, error);

	if (status)
		return status;
	status = parse(path, buffer.data, buffer.length, out, error);
	if (status)
		hl_buffer_free(&buffer);
	return status;
}

void hl_csv_free(struct hl_csv *csv)
{
	hl_free(csv->field);
	hl_free(csv->text);
	*csv = (struct hl_csv){0};
}

int hl_csv_column(const struct hl_csv *csv, const char *name)
{
	for (size_t i = 0; i < csv->columns; i++)
		if (strcmp(csv->field[i], name) == 0)
			return (int)i;
	return -1;
}

const char *hl_csv_get(const struct hl_csv *csv, size_t row, size_t column)
{
	return csv->field[(row + 1) * csv->columns + column];
}

enum hilum_status hl_csv_append(struct hl_buffer *buffer, const char *field, struct hilum_error *error)
{
	enum hilum_status status;

	/* A mark that opens a table's first field would be skipped as the table's own. */
	if (!strpbrk(field, ",\"\r\n") && strncmp(field, MARK, strlen(MARK)) != 0)
		return hl_buffer_append(buffer, field, strlen(field), error);
	status = hl_buffer_append(buffer, "\"", 1, error);
	while (!status && *field) {
		size_t run = strcspn(field, "\"");
		status = hl_buffer_append(buffer, field, run, error);
		field += run;
		if (!status && *field == '"') {
			status = hl_buffer_append(buffer, "\"\"", 2, error);
			field++;
		}
	}
	return status ? status : hl_buffer_append(buffer, "\"", 1, error);
}
