/* CSV manifests: path,label[,group|patient][,split][,stack|nodule,slice], and tables of groups. A manifest is the
 * user's own file, so paths may leave its folder by ".."; what it may not do is name things that no file or report
 * could hold. */
#include "data/collect.h"

#include "base/memory.h"

#include <string.h>

/* Length of the UTF-8 sequence at text (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF), 0 if unsound. */
static size_t utf8_length(const unsigned char *text)
{
	unsigned char first = text[0];
	size_t length = first < 0x80   ? 1
	                : first < 0xc2 ? 0
	                : first < 0xe0 ? 2
	                : first < 0xf0 ? 3
	                : first < 0xf5 ? 4
	                               : 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] > 0x9f) ||
	    (first == 0xf0 && text[1] < 0x90) || (first == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

static const char *text_check(const char *text, size_t maximum)
{
	size_t used = 0;
	if (!text[0])
		return "is empty";
	while (text[used]) {
		size_t length = utf8_length((const unsigned char *)text + used);
		if (!length)
			return "is not UTF-8";
		if ((unsigned char)text[used] < 0x20 || text[used] == 0x7f)
			return "holds a control character";
		used += length;
		if (used >= maximum)
			return "is too long";
	}
	return NULL;
}

const char *hl_name_check(const char *name)
{
	return text_check(name, HL_NAME_MAX);
}

const char *hl_path_tidy(const char *path, char *out)
{
	size_t used = 0;
	const char *wrong = text_check(path, HL_PATH_MAX);
	if (wrong)
		return wrong;
	if (path[0] == '/')
		out[used++] = '/';
	while (*path) {
		size_t length = strcspn(path, "/");
		if (length > 0 && !(length == 1 && path[0] == '.')) {
			if (used > 0 && out[used - 1] != '/')
				out[used++] = '/';
			memcpy(out + used, path, length);
			used += length;
		}
		path += length;
		path += *path == '/';
	}
	out[used] = '\0';
	return used == 0 ? "is empty" : NULL;
}

size_t hl_csv_line(const struct hl_csv *csv, size_t row)
{
	size_t line = 2 + row;
	for (size_t i = 0; i < (row + 1) * csv->columns; i++)
		for (const char *c = csv->field[i]; *c; c++)
			line += *c == '\n';
	return line;
}

int hl_csv_need(const struct hl_csv *csv, const char *file, const char *name, struct hilum_error *error)
{
	int column = hl_csv_column(csv, name);
	if (column < 0) {
		char found[200] = "";
		for (size_t i = 0; i < csv->columns && strlen(found) + 40 < sizeof(found); i++)
			snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%.32s", i ? "," : "",
			         csv->field[i]);
		hl_fail(error, HILUM_ERROR_FORMAT, "%s: no column \"%s\" (columns: %s)", file, name, found);
	}
	return column;
}

static int group_column(const struct hl_csv *csv)
{
	int column = hl_csv_column(csv, "group");
	return column >= 0 ? column : hl_csv_column(csv, "patient");
}

static bool parse_part(const char *text, enum hl_split_part *out)
{
	static const struct {
		const char *name;
		enum hl_split_part part;
	} names[] = {{"train", HL_PART_TRAIN},  {"training", HL_PART_TRAIN}, {"val", HL_PART_VAL},
	             {"valid", HL_PART_VAL},    {"validation", HL_PART_VAL}, {"test", HL_PART_TEST},
	             {"testing", HL_PART_TEST}, {"none", HL_PART_NONE},      {"", HL_PART_NONE}};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i].name) == 0) {
			*out = names[i].part;
			return true;
		}
	}
	return false;
}

struct columns {
	int path, label, group, part, patient, stack, slice;
};

/* The column of a row, or NULL where there is none. */
static const char *get(const struct hl_csv *csv, size_t row, int column)
{
	return column < 0 ? NULL : hl_csv_get(csv, row, (size_t)column);
}

static enum hilum_status read_row(struct hl_collect *collect, const char *file, const struct columns *columns,
                                  size_t row, struct hilum_error *error)
{
	const struct hl_csv *csv = &collect->manifest;
	char path[HL_PATH_MAX];
	const char *label = hl_csv_get(csv, row, (size_t)columns->label), *group = NULL, *wrong;
	enum hl_split_part part = HL_PART_NONE;
	wrong = hl_path_tidy(hl_csv_get(csv, row, (size_t)columns->path), path);
	if (wrong)
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s: line %zu: the path %s", file, hl_csv_line(csv, row),
		               wrong);
	wrong = hl_name_check(label);
	if (wrong)
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s: line %zu: the label %s", file, hl_csv_line(csv, row),
		               wrong);
	if (columns->group >= 0) {
		group = hl_csv_get(csv, row, (size_t)columns->group);
		wrong = hl_name_check(group);
		if (wrong)
			return hl_fail(error, HILUM_ERROR_FORMAT, "%s: line %zu: the group %s", file,
			               hl_csv_line(csv, row), wrong);
	}
	if (columns->part >= 0 && !parse_part(hl_csv_get(csv, row, (size_t)columns->part), &part))
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s: line %zu: split \"%.40s\" is none of train, val, test",
		               file, hl_csv_line(csv, row), hl_csv_get(csv, row, (size_t)columns->part));
	int32_t origin = hl_collect_origin(collect, label, error);
	if (origin < 0)
		return hl_prefix(error, HILUM_ERROR_DATA, "%s: line %zu", file, hl_csv_line(csv, row));
	enum hilum_status status = hl_collect_add(collect, path, origin, group, part, error);
	if (status)
		return status;
	struct hl_found *found = &collect->found[collect->count - 1];
	found->patient = get(csv, row, columns->patient);
	found->stack = get(csv, row, columns->stack);
	found->slice = get(csv, row, columns->slice);
	return HILUM_OK;
}

enum hilum_status hl_manifest_read(struct hl_collect *collect, const char *path, struct hilum_error *error)
{
	struct hl_csv *csv = &collect->manifest;
	enum hilum_status status = hl_csv_read(path, csv, error);
	if (status)
		return status;
	if (csv->rows == 0)
		return hl_fail(error, HILUM_ERROR_DATA, "%s: no cases", path);
	if (csv->rows > HL_CASES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%s: %zu cases, more than %d", path, csv->rows, HL_CASES_MAX);
	struct columns columns = {.path = hl_csv_need(csv, path, "path", error)};
	if (columns.path < 0)
		return HILUM_ERROR_FORMAT;
	columns.label = hl_csv_need(csv, path, "label", error);
	if (columns.label < 0)
		return HILUM_ERROR_FORMAT;
	columns.group = group_column(csv);
	columns.patient = hl_csv_column(csv, "patient");
	if (columns.patient < 0)
		columns.patient = columns.group;
	columns.stack = hl_csv_column(csv, "stack");
	if (columns.stack < 0)
		columns.stack = hl_csv_column(csv, "nodule");
	columns.slice = hl_csv_column(csv, "slice");
	columns.part = hl_csv_column(csv, "split");
	if (columns.part < 0)
		columns.part = hl_csv_column(csv, "part"); /* the name in a run's split.csv */
	for (size_t row = 0; row < csv->rows && !status; row++)
		status = read_row(collect, path, &columns, row, error);
	collect->grouped = columns.group >= 0;
	for (size_t i = 0; i < collect->count; i++)
		collect->has_parts = collect->has_parts || collect->found[i].item.part != HL_PART_NONE;
	return status;
}

static enum hilum_status group_row(struct hl_collect *collect, const char *file, int path_column, int column,
                                   size_t row, struct hilum_error *error)
{
	const struct hl_csv *csv = &collect->groups;
	char path[HL_PATH_MAX];
	const char *group = hl_csv_get(csv, row, (size_t)column);
	const char *wrong = hl_path_tidy(hl_csv_get(csv, row, (size_t)path_column), path);
	if (wrong)
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s: line %zu: the path %s", file, hl_csv_line(csv, row),
		               wrong);
	wrong = hl_name_check(group);
	if (wrong)
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s: line %zu: the group %s", file, hl_csv_line(csv, row),
		               wrong);
	struct hl_found *found = hl_collect_find(collect, path);
	if (!found)
		return HILUM_OK;
	if (found->group && strcmp(found->group, group) != 0)
		return hl_fail(error, HILUM_ERROR_DATA, "%s: line %zu: a second group for %s", file,
		               hl_csv_line(csv, row), path);
	found->group = group;
	return HILUM_OK;
}

enum hilum_status hl_manifest_groups(struct hl_collect *collect, const char *path, struct hilum_error *error)
{
	struct hl_csv *csv = &collect->groups;
	enum hilum_status status = hl_csv_read(path, csv, error);
	if (status)
		return hl_prefix(error, status, "--groups");
	int path_column = hl_csv_need(csv, path, "path", error);
	int column = group_column(csv);
	if (path_column < 0)
		return HILUM_ERROR_FORMAT;
	if (column < 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s: no column \"group\" or \"patient\"", path);
	for (size_t i = 0; i < collect->count; i++)
		collect->found[i].group = NULL;
	for (size_t row = 0; row < csv->rows && !status; row++)
		status = group_row(collect, path, path_column, column, row, error);
	if (status)
		return status;
	const char *missing = NULL;
	size_t missing_count = 0;
	for (size_t i = 0; i < collect->count; i++) {
		if (collect->found[i].group)
			continue;
		missing = missing ? missing : collect->found[i].item.path;
		missing_count++;
	}
	if (missing)
		return hl_fail(error, HILUM_ERROR_DATA, "%s: no group for %s%s (%zu of %zu cases have none)", path,
		               missing, missing_count > 1 ? " and others" : "", missing_count, collect->count);
	collect->grouped = true;
	return HILUM_OK;
}
