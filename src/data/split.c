#include "data/split.h"

#include "base/csv.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/assign.h"
#include "data/collect.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- by chance ---- */

/* One percentage, moving *at behind it: digits with an optional fraction, whatever the locale. */
static bool parse_percent(const char **at, double *out)
{
	double value = 0, scale = 1;
	const char *start = *at;
	for (; **at >= '0' && **at <= '9' && value < 1000; ++*at)
		value = value * 10 + (**at - '0');
	bool digits = *at > start;
	if (digits && **at == '.')
		for (++*at; **at >= '0' && **at <= '9'; ++*at)
			value += (**at - '0') * (scale /= 10);
	*out = value / 100;
	return digits;
}

static enum hilum_status parse_shares(const char *text, double share[3], struct hilum_error *error)
{
	const char *at = text;
	bool sound = true;
	for (int i = 0; i < 3 && sound; i++)
		sound = parse_percent(&at, &share[i]) && *at == (i < 2 ? '/' : '\0') && (i == 2 || *at++);
	if (!sound)
		return hl_fail(error, HILUM_ERROR_ARGUMENT,
		               "--split: \"%.60s\" is not three percentages such as 70/15/15", text);
	double sum = share[0] + share[1] + share[2];
	if (fabs(sum - 1) > 1e-3)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "--split: \"%.60s\" sums to %g, not to 100", text,
		               sum * 100);
	if (share[0] <= 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "--split: \"%.60s\" leaves nothing to train on", text);
	for (int i = 0; i < 3; i++)
		share[i] /= sum;
	return HILUM_OK;
}

enum hilum_status hl_split_random(struct hl_dataset *dataset, const char *parts, uint64_t seed,
                                  struct hilum_error *error)
{
	double share[3];
	size_t count;
	enum hilum_status status = parse_shares(parts, share, error);
	if (status)
		return status;
	uint32_t *all = hl_dataset_select(dataset, HL_PART_NONE, &count);
	if (!all)
		return hl_fail_memory(error, dataset->count * sizeof(*all), "the split");
	status = hl_assign(dataset, all, count, share, seed, error);
	hl_free(all);
	return status ? hl_prefix(error, status, "--split %s", parts) : HILUM_OK;
}

/* ---- tables of path and something ---- */

/* Reads a table and hands each row that names a case of the data set to use(); a case twice or not at all fails. */
typedef enum hilum_status use_row(struct hl_case *item, const char *value, void *context, struct hilum_error *error);

static enum hilum_status use_rows(struct hl_dataset *dataset, const char *file, const struct hl_csv *csv, int column,
                                  use_row *use, void *context, struct hilum_error *error)
{
	int path_column = hl_csv_need(csv, file, "path", error);
	bool *seen = hl_alloc(dataset->count, sizeof(*seen));
	enum hilum_status status = path_column < 0 ? HILUM_ERROR_FORMAT : HILUM_OK;
	const char *missing = NULL;
	size_t missing_count = 0;
	if (!seen)
		return hl_fail_memory(error, dataset->count, file);
	for (size_t row = 0; row < csv->rows && !status; row++) {
		const char *path = hl_csv_get(csv, row, (size_t)path_column);
		struct hl_case *item = hl_dataset_find(dataset, path);
		if (!item)
			continue;
		size_t index = (size_t)(item - dataset->cases);
		if (seen[index])
			status = hl_fail(error, HILUM_ERROR_DATA, "%s stands twice", item->path);
		else
			status = use(item, hl_csv_get(csv, row, (size_t)column), context, error);
		seen[index] = true;
		if (status)
			hl_prefix(error, status, "%s: line %zu", file, hl_csv_line(csv, row));
	}
	for (size_t i = 0; i < dataset->count && !status; i++) {
		if (seen[i])
			continue;
		missing = missing ? missing : dataset->cases[i].path;
		missing_count++;
	}
	if (missing)
		status = hl_fail(error, HILUM_ERROR_DATA, "%s: no row for %s%s (%zu of %zu cases have none)", file,
		                 missing, missing_count > 1 ? " and others" : "", missing_count, dataset->count);
	hl_free(seen);
	return status;
}

/* ---- by folds ---- */

static enum hilum_status fold_column(const struct hl_csv *csv, const char *file, const char *name, int *out,
                                     struct hilum_error *error)
{
	char found[300] = "";
	int count = 0;
	*out = hl_csv_column(csv, name ? name : "fold");
	if (*out >= 0)
		return HILUM_OK;
	if (name)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "--fold-column: %s has no column \"%.60s\"", file, name);
	for (size_t i = 0; i < csv->columns; i++) {
		if (strncmp(csv->field[i], "fold", 4) != 0)
			continue;
		*out = (int)i;
		if (strlen(found) + 40 < sizeof(found))
			snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%.36s", count ? ", " : "",
			         csv->field[i]);
		count++;
	}
	if (count == 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s: no column that begins with \"fold\"", file);
	if (count > 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: several fold columns (%s): name one by --fold-column",
		               file, found);
	return HILUM_OK;
}

static enum hilum_status parse_fold(const char *value, int32_t *out, struct hilum_error *error)
{
	int32_t number = 0;
	size_t length = strlen(value);
	if (length == 0 || length > 9 || strspn(value, "0123456789") != length)
		return hl_fail(error, HILUM_ERROR_FORMAT, "fold \"%.40s\" is not a whole number", value);
	for (size_t i = 0; i < length; i++)
		number = number * 10 + (value[i] - '0');
	*out = number;
	return HILUM_OK;
}

struct folds {
	int64_t fold;
	size_t test;
};

static enum hilum_status use_fold(struct hl_case *item, const char *value, void *context, struct hilum_error *error)
{
	struct folds *folds = context;
	int32_t number = -1;
	enum hilum_status status = parse_fold(value, &number, error);
	if (status)
		return status;
	item->part = number == folds->fold ? HL_PART_TEST : HL_PART_TRAIN;
	folds->test += number == folds->fold;
	return HILUM_OK;
}

/* Every class must be there to be learnt; one that is missing from the test fold only goes unmeasured. */
static enum hilum_status check_fold(const struct hl_dataset *dataset, const char *file, int64_t fold,
                                    struct hilum_error *error)
{
	size_t found[2][HILUM_CLASSES_MAX] = {{0}};
	for (size_t i = 0; i < dataset->count; i++)
		found[dataset->cases[i].part == HL_PART_TEST][dataset->cases[i].origin]++;
	for (int32_t c = 0; c < dataset->origin_count; c++) {
		if (!found[0][c])
			return hl_fail(error, HILUM_ERROR_DATA,
			               "%s: fold %lld holds all of class \"%.80s\", none is left to train on", file,
			               (long long)fold, dataset->origins[c]);
		if (!found[1][c])
			hl_log(HILUM_LOG_WARNING, "%s: fold %lld has no case of class \"%s\"", file, (long long)fold,
			       dataset->origins[c]);
	}
	return HILUM_OK;
}

static enum hilum_status take_validation(struct hl_dataset *dataset, double validation, uint64_t seed,
                                         struct hilum_error *error)
{
	const double share[3] = {1 - validation, validation, 0};
	size_t count;
	uint32_t *train = hl_dataset_select(dataset, HL_PART_TRAIN, &count);
	if (!train)
		return hl_fail_memory(error, dataset->count * sizeof(*train), "the split");
	enum hilum_status status = hl_assign(dataset, train, count, share, seed, error);
	hl_free(train);
	return status ? hl_prefix(error, status, "validation part") : HILUM_OK;
}

enum hilum_status hl_split_folds(struct hl_dataset *dataset, const char *csv, const char *column, int64_t fold,
                                 double validation, uint64_t seed, struct hilum_error *error)
{
	struct hl_csv table = {0};
	struct folds folds = {.fold = fold};
	int index;
	if (!(validation >= 0 && validation < 1))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "validation share %g is outside 0 to 1", validation);
	enum hilum_status status = hl_csv_read(csv, &table, error);
	if (status)
		return hl_prefix(error, status, "--folds");
	status = fold_column(&table, csv, column, &index, error);
	if (!status)
		status = use_rows(dataset, csv, &table, index, use_fold, &folds, error);
	if (!status && folds.test == 0)
		status = hl_fail(error, HILUM_ERROR_DATA, "%s: no case in fold %lld", csv, (long long)fold);
	if (!status)
		status = check_fold(dataset, csv, fold, error);
	if (!status)
		status = hl_split_check(dataset, error);
	if (!status && validation > 0)
		status = take_validation(dataset, validation, seed, error);
	hl_csv_free(&table);
	return status;
}

struct numbers {
	const struct hl_dataset *dataset;
	int32_t *number;
};

static enum hilum_status use_number(struct hl_case *item, const char *value, void *context, struct hilum_error *error)
{
	const struct numbers *numbers = context;
	return parse_fold(value, &numbers->number[item - numbers->dataset->cases], error);
}

enum hilum_status hl_split_fold_numbers(struct hl_dataset *dataset, const char *csv, const char *column,
                                        int32_t *number, struct hilum_error *error)
{
	struct hl_csv table = {0};
	struct numbers numbers = {dataset, number};
	int index;
	enum hilum_status status = hl_csv_read(csv, &table, error);
	if (status)
		return hl_prefix(error, status, "--folds");
	status = fold_column(&table, csv, column, &index, error);
	if (!status)
		status = use_rows(dataset, csv, &table, index, use_number, &numbers, error);
	hl_csv_free(&table);
	return status;
}

/* ---- checking ---- */

enum hilum_status hl_split_check(const struct hl_dataset *dataset, struct hilum_error *error)
{
	uint32_t *first; /* of each group: its first case with a part, counted from 1 */
	enum hilum_status status = HILUM_OK;
	if (!dataset->grouped)
		return HILUM_OK;
	first = hl_alloc((size_t)dataset->group_count, sizeof(*first));
	if (!first)
		return hl_fail_memory(error, (size_t)dataset->group_count * sizeof(*first), "groups");
	for (size_t i = 0; i < dataset->count && !status; i++) {
		const struct hl_case *item = &dataset->cases[i];
		if (item->part == HL_PART_NONE)
			continue;
		if (!first[item->group]) {
			first[item->group] = (uint32_t)i + 1;
			continue;
		}
		const struct hl_case *other = &dataset->cases[first[item->group] - 1];
		if (other->part != item->part)
			status =
			    hl_fail(error, HILUM_ERROR_DATA,
			            "a group stands on two sides of the split: %.150s (%s) and %.150s (%s)",
			            other->path, hl_part_names[other->part], item->path, hl_part_names[item->part]);
	}
	hl_free(first);
	return status;
}

/* ---- as a table ---- */

static enum hilum_status append_row(struct hl_buffer *buffer, const char *const field[4], struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	for (int i = 0; i < 4 && !status; i++) {
		status = hl_csv_append(buffer, field[i], error);
		if (!status)
			status = hl_buffer_append(buffer, i < 3 ? "," : "\n", 1, error);
	}
	return status;
}

enum hilum_status hl_split_write(const struct hl_dataset *dataset, const char *path, struct hilum_error *error)
{
	static const char *const header[4] = {"path", "label", "group", "part"};
	struct hl_buffer buffer;
	hl_buffer_init(&buffer, (size_t)1 << 30);
	enum hilum_status status = append_row(&buffer, header, error);
	for (size_t i = 0; i < dataset->count && !status; i++) {
		const struct hl_case *item = &dataset->cases[i];
		const char *const row[4] = {item->path, dataset->origins[item->origin], dataset->groups[item->group],
		                            hl_part_names[item->part]};
		status = append_row(&buffer, row, error);
	}
	if (!status) {
		struct hl_part whole = {buffer.data, buffer.length};
		status = hl_file_write(path, &whole, 1, error);
	}
	hl_buffer_free(&buffer);
	return status;
}

static enum hilum_status use_part(struct hl_case *item, const char *value, void *context, struct hilum_error *error)
{
	(void)context;
	for (int p = 0; p <= HL_PART_NONE; p++) {
		if (strcmp(value, hl_part_names[p]) == 0) {
			item->part = (enum hl_split_part)p;
			return HILUM_OK;
		}
	}
	return hl_fail(error, HILUM_ERROR_FORMAT, "part \"%.40s\" is none of train, val, test, none", value);
}

enum hilum_status hl_split_read(struct hl_dataset *dataset, const char *path, struct hilum_error *error)
{
	struct hl_csv table = {0};
	enum hilum_status status = hl_csv_read(path, &table, error);
	if (status)
		return status;
	int column = hl_csv_need(&table, path, "part", error);
	status = column < 0 ? HILUM_ERROR_FORMAT : use_rows(dataset, path, &table, column, use_part, NULL, error);
	if (!status)
		status = hl_split_check(dataset, error);
	hl_csv_free(&table);
	return status;
}

/* ---- as JSON ---- */

char *hl_split_json(const struct hl_dataset *dataset)
{
	json_t *root = json_object();
	char *text = NULL, *copy = NULL;
	bool sound = root != NULL;
	for (int p = 0; p < HL_PART_NONE && sound; p++) {
		json_t *list = json_array();
		for (size_t i = 0; i < dataset->count && sound; i++)
			if ((int)dataset->cases[i].part == p)
				sound = json_array_append_new(list, json_string(dataset->cases[i].path)) == 0;
		sound = json_object_set_new(root, hl_part_names[p], list) == 0 && sound;
	}
	if (sound)
		text = json_dumps(root, JSON_COMPACT);
	if (text)
		copy = hl_strdup(text);
	free(text);
	json_decref(root);
	return copy;
}

static enum hilum_status apply_list(struct hl_dataset *dataset, const json_t *list, enum hl_split_part part,
                                    struct hilum_error *error)
{
	size_t i;
	json_t *path;
	json_array_foreach(list, i, path)
	{
		const char *text = json_string_value(path);
		struct hl_case *item = text ? hl_dataset_find(dataset, text) : NULL;
		if (!text)
			return hl_fail(error, HILUM_ERROR_FORMAT, "the split's %s list holds what is not a path",
			               hl_part_names[part]);
		if (item && item->part != HL_PART_NONE)
			return hl_fail(error, HILUM_ERROR_FORMAT, "the split names %.200s twice", item->path);
		if (item)
			item->part = part;
	}
	return HILUM_OK;
}

enum hilum_status hl_split_apply(struct hl_dataset *dataset, const char *json, struct hilum_error *error)
{
	json_error_t where;
	json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &where);
	enum hilum_status status = HILUM_OK;
	if (!root)
		return hl_fail(error, HILUM_ERROR_FORMAT, "the split is not sound JSON: %s", where.text);
	for (size_t i = 0; i < dataset->count; i++)
		dataset->cases[i].part = HL_PART_NONE;
	for (int p = 0; p < HL_PART_NONE && !status; p++) {
		json_t *list = json_object_get(root, hl_part_names[p]);
		if (!json_is_array(list))
			status = hl_fail(error, HILUM_ERROR_FORMAT, "the split has no list \"%s\"", hl_part_names[p]);
		else
			status = apply_list(dataset, list, (enum hl_split_part)p, error);
	}
	json_decref(root);
	return status;
}
