/* hilum_score_file: any table of labels and probabilities, whoever made it. */
#include "eval/scores.h"

#include "base/csv.h"
#include "base/memory.h"
#include "base/number.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Which columns hold what; -1: none. */
struct columns {
	int label, probability, id, group;
	int32_t classes;
	int of_class[HL_METRICS_CLASSES_MAX]; /* in tables of p_CLASS */
};

static enum hilum_status find_columns(const struct hl_csv *csv, struct columns *out, struct hilum_error *error)
{
	out->label = hl_csv_column(csv, "label");
	out->probability = hl_csv_column(csv, "probability");
	out->id = hl_csv_column(csv, "path");
	if (out->id < 0)
		out->id = hl_csv_column(csv, "id");
	out->group = hl_csv_column(csv, "group");
	if (out->group < 0)
		out->group = hl_csv_column(csv, "patient");
	out->classes = 0;
	if (out->label < 0)
		return hl_fail(error, HILUM_ERROR_FORMAT,
		               "line 1: no column \"label\" (expected label,probability or label,p_CLASS,...)");
	for (size_t i = 0; i < csv->columns; i++) {
		const char *name = csv->field[i];
		if (strncmp(name, "p_", 2) != 0)
			continue;
		if (out->classes == HL_METRICS_CLASSES_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "line 1: more than %d columns p_CLASS",
			               HL_METRICS_CLASSES_MAX);
		out->of_class[out->classes++] = (int)i;
	}
	if (out->classes >= 2)
		return HILUM_OK;
	if (out->probability < 0)
		return hl_fail(error, HILUM_ERROR_FORMAT,
		               "line 1: no column \"probability\", nor one p_CLASS for each of two classes or more");
	out->classes = 0;
	return HILUM_OK;
}

/* The whole field, blanks around it apart. */
static bool parse_number(const char *text, double *out)
{
	char *end;
	while (isspace((unsigned char)*text))
		text++;
	double value = hl_number_parse(text, &end);
	if (end == text)
		return false;
	while (isspace((unsigned char)*end))
		end++;
	*out = value;
	return *end == '\0';
}

static enum hilum_status parse_probability(const char *text, size_t line, double *out, struct hilum_error *error)
{
	if (!parse_number(text, out))
		return hl_fail(error, HILUM_ERROR_FORMAT, "line %zu: probability \"%.40s\" is not a number", line,
		               text);
	if (!(*out >= 0 && *out <= 1))
		return hl_fail(error, HILUM_ERROR_DATA, "line %zu: probability \"%.40s\" is not in [0, 1]", line, text);
	return HILUM_OK;
}

/* A label as a class's name, or as its index: -1 if it is not one. */
static int32_t named_label(const char *text, const char *const *names, int32_t classes)
{
	for (int32_t c = 0; c < classes; c++)
		if (strcmp(names[c], text) == 0)
			return c;
	return -1;
}

static int32_t numbered_label(const char *text, int32_t classes)
{
	double value;
	if (!parse_number(text, &value) || !(value >= 0 && value < classes) || floor(value) != value)
		return -1;
	return (int32_t)value;
}

/* Names are tried for the whole table first, so that classes called "1", "2", "3" are not taken for indexes. */
static enum hilum_status parse_labels(const struct hl_csv *csv, const struct columns *columns, const char *const *names,
                                      int32_t classes, int32_t *label, struct hilum_error *error)
{
	bool named = columns->classes > 0;
	for (size_t i = 0; i < csv->rows && named; i++) {
		label[i] = named_label(hl_csv_get(csv, i, (size_t)columns->label), names, classes);
		named = label[i] >= 0;
	}
	for (size_t i = 0; i < csv->rows && !named; i++) {
		const char *text = hl_csv_get(csv, i, (size_t)columns->label);
		label[i] = numbered_label(text, classes);
		if (label[i] >= 0)
			continue;
		if (columns->classes == 0)
			return hl_fail(error, HILUM_ERROR_DATA, "line %zu: label \"%.40s\" is neither 0 nor 1", i + 2,
			               text);
		return hl_fail(error, HILUM_ERROR_DATA,
		               "line %zu: label \"%.40s\" is neither the name of a column p_CLASS nor an index from 0 "
		               "to %d",
		               i + 2, text, classes - 1);
	}
	return HILUM_OK;
}

static enum hilum_status parse_row(const struct hl_csv *csv, const struct columns *columns, size_t i, double *out,
                                   struct hilum_error *error)
{
	if (columns->classes == 0)
		return parse_probability(hl_csv_get(csv, i, (size_t)columns->probability), i + 2, out, error);
	double sum = 0, row[HL_METRICS_CLASSES_MAX];
	for (int32_t c = 0; c < columns->classes; c++) {
		enum hilum_status status =
		    parse_probability(hl_csv_get(csv, i, (size_t)columns->of_class[c]), i + 2, &row[c], error);
		if (status)
			return status;
		sum += row[c];
	}
	if (fabs(sum - 1) > 1e-3)
		return hl_fail(error, HILUM_ERROR_DATA, "line %zu: its probabilities sum to %g, not 1", i + 2, sum);
	if (columns->classes == 2)
		out[0] = row[1];
	else
		memcpy(out, row, (size_t)columns->classes * sizeof(*row));
	return HILUM_OK;
}

static enum hilum_status score_csv(const struct hl_csv *csv, const struct hilum_score_options *scoring,
                                   struct hilum_scores **out, struct hilum_error *error)
{
	struct columns columns;
	enum hilum_status status = find_columns(csv, &columns, error);
	if (status)
		return status;
	if (csv->rows == 0)
		return hl_fail(error, HILUM_ERROR_DATA, "no case below the header");
	int32_t classes = columns.classes ? columns.classes : 2;
	size_t width = classes == 2 ? 1 : (size_t)classes;
	const char *names[HL_METRICS_CLASSES_MAX] = {"0", "1"};
	for (int32_t c = 0; c < columns.classes; c++)
		names[c] = csv->field[columns.of_class[c]] + 2;
	int32_t *label = hl_alloc(csv->rows, sizeof(*label));
	double *probability = hl_alloc(csv->rows, width * sizeof(*probability));
	const char **id = hl_alloc(csv->rows, sizeof(*id)), **group = hl_alloc(csv->rows, sizeof(*group));
	if (!label || !probability || !id || !group)
		status = hl_fail_memory(error, csv->rows * width * sizeof(*probability), "the table");
	if (!status)
		status = parse_labels(csv, &columns, names, classes, label, error);
	for (size_t i = 0; i < csv->rows && !status; i++) {
		status = parse_row(csv, &columns, i, probability + i * width, error);
		id[i] = columns.id < 0 ? NULL : hl_csv_get(csv, i, (size_t)columns.id);
		group[i] = columns.group < 0 ? NULL : hl_csv_get(csv, i, (size_t)columns.group);
	}
	if (!status) {
		struct hl_table table = {.n = csv->rows,
		                         .classes = classes,
		                         .label = label,
		                         .probability = probability,
		                         .names = names,
		                         .id = columns.id < 0 ? NULL : id,
		                         .group = columns.group < 0 ? NULL : group};
		status = hl_scores_from_table(&table, scoring, out, error);
	}
	hl_free(group);
	hl_free(id);
	hl_free(probability);
	hl_free(label);
	return status;
}

enum hilum_status hilum_score_file(const char *path, const struct hilum_score_options *options,
                                   struct hilum_scores **out, struct hilum_error *error)
{
	struct hl_csv csv;
	enum hilum_status status = hl_csv_read(path, &csv, error);
	if (status)
		return status;
	status = score_csv(&csv, options, out, error);
	hl_csv_free(&csv);
	return status ? hl_prefix(error, status, "%s", path) : HILUM_OK;
}
