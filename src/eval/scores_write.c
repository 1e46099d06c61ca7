/* Scores for machines: JSON, and the table of predictions as CSV. */
#include "eval/scores.h"

#include "base/csv.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/number.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#define CSV_BYTES_MAX ((size_t)1 << 30)

/* JSON has no NaN: an undefined figure is null. */
static json_t *number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static void put_figures(json_t *root, const struct hl_metrics *metrics)
{
	for (const struct hl_figure *figure = hl_figures; figure->name; figure++)
		json_object_set_new(root, figure->name, number(hl_figure_get(metrics, figure->offset)));
	for (const struct hl_figure *figure = hl_figures; figure->name; figure++) {
		char name[64];
		snprintf(name, sizeof(name), "baseline_%s", figure->name);
		json_object_set_new(root, name, number(hl_figure_get(metrics, figure->baseline)));
	}
}

static json_t *confusion(const struct hl_metrics *metrics)
{
	json_t *rows = json_array();
	for (int32_t r = 0; r < metrics->classes; r++) {
		json_t *row = json_array();
		for (int32_t c = 0; c < metrics->classes; c++)
			json_array_append_new(row, json_integer(metrics->confusion[r][c]));
		json_array_append_new(rows, row);
	}
	return rows;
}

/* Text that is not UTF-8 would make the whole object fail: bytes beyond ASCII are then shown as "?". */
static json_t *text(const char *string)
{
	json_t *value = json_string(string);
	if (value)
		return value;
	char *copy = hl_strdup(string);
	for (char *c = copy; c && *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	value = json_string(copy ? copy : "");
	hl_free(copy);
	return value;
}

static json_t *per_class(const struct hilum_scores *scores)
{
	json_t *list = json_array();
	for (int32_t c = 0; c < scores->metrics.classes; c++) {
		const struct hl_class_metrics *one = &scores->metrics.per_class[c];
		json_t *object = json_object();
		json_object_set_new(object, "class", text(scores->table.names[c]));
		json_object_set_new(object, "n", json_integer(one->count));
		json_object_set_new(object, "sensitivity", number(one->sensitivity));
		json_object_set_new(object, "specificity", number(one->specificity));
		json_object_set_new(object, "precision", number(one->precision));
		json_object_set_new(object, "f1", number(one->f1));
		json_object_set_new(object, "auc", number(one->auc));
		json_object_set_new(object, "average_precision", number(one->average_precision));
		json_array_append_new(list, object);
	}
	return list;
}

char *hl_scores_json(const struct hilum_scores *scores)
{
	json_t *root = json_object(), *classes = json_array();
	json_object_set_new(root, "n", json_integer((json_int_t)scores->metrics.n));
	put_figures(root, &scores->metrics);
	json_object_set_new(root, "confusion", confusion(&scores->metrics));
	for (int32_t c = 0; c < scores->metrics.classes; c++)
		json_array_append_new(classes, text(scores->table.names[c]));
	json_object_set_new(root, "classes", classes);
	if (scores->metrics.classes > 2)
		json_object_set_new(root, "per_class", per_class(scores));
	json_object_set_new(root, "groups", scores->groups ? json_integer((json_int_t)scores->groups) : json_null());
	json_object_set_new(root, "unreadable", json_integer((json_int_t)scores->unreadable));
	json_object_set_new(root, "part", scores->part[0] ? text(scores->part) : json_null());
	json_object_set_new(root, "research_use_only", json_true());
	char *dumped = json_dumps(root, JSON_REAL_PRECISION(17));
	char *copy = dumped ? hl_strdup(dumped) : NULL;
	free(dumped);
	json_decref(root);
	return copy;
}

static enum hilum_status write_header(const struct hl_table *table, struct hl_buffer *buffer, struct hilum_error *error)
{
	enum hilum_status status =
	    hl_buffer_print(buffer, error, table->classes == 2 ? "path,label,probability" : "path,label");
	for (int32_t c = 0; table->classes > 2 && c < table->classes && !status; c++) {
		char *name = hl_format("p_%s", table->names[c]);
		status = name ? hl_buffer_append(buffer, ",", 1, error) : hl_fail_memory(error, 64, "a column's name");
		if (!status)
			status = hl_csv_append(buffer, name, error);
		hl_free(name);
	}
	if (!status && table->group)
		status = hl_buffer_print(buffer, error, ",group");
	return status ? status : hl_buffer_append(buffer, "\n", 1, error);
}

static enum hilum_status write_number(double value, struct hl_buffer *buffer, struct hilum_error *error)
{
	char text[40];
	hl_number_print(text, sizeof(text), 17, value);
	return hl_buffer_print(buffer, error, ",%s", text);
}

static enum hilum_status write_row(const struct hl_table *table, size_t i, struct hl_buffer *buffer,
                                   struct hilum_error *error)
{
	enum hilum_status status =
	    table->id ? hl_csv_append(buffer, table->id[i], error) : hl_buffer_print(buffer, error, "%zu", i + 1);
	if (!status)
		status = hl_buffer_append(buffer, ",", 1, error);
	if (!status)
		status = table->classes == 2 ? hl_buffer_print(buffer, error, "%d", table->label[i])
		                             : hl_csv_append(buffer, table->names[table->label[i]], error);
	for (int32_t c = table->classes == 2 ? 1 : 0; c < table->classes && !status; c++)
		status = write_number(hl_table_probability(table, i, c), buffer, error);
	if (!status && table->group) {
		status = hl_buffer_append(buffer, ",", 1, error);
		if (!status)
			status = hl_csv_append(buffer, table->group[i], error);
	}
	return status ? status : hl_buffer_append(buffer, "\n", 1, error);
}

enum hilum_status hl_scores_write_predictions(const struct hilum_scores *scores, const char *path,
                                              struct hilum_error *error)
{
	struct hl_buffer buffer;
	hl_buffer_init(&buffer, CSV_BYTES_MAX);
	enum hilum_status status = write_header(&scores->table, &buffer, error);
	for (size_t i = 0; i < scores->table.n && !status; i++)
		status = write_row(&scores->table, i, &buffer, error);
	if (!status)
		status = hl_file_write(path, &(struct hl_part){buffer.data, buffer.length}, 1, error);
	hl_buffer_free(&buffer);
	return status;
}
