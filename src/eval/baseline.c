#include "eval/baseline.h"

#include "base/csv.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/number.h"
#include "base/parallel.h"
#include "data/recipe.h"
#include "eval/calibration.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PIXELS (HL_THUMBNAIL * HL_THUMBNAIL)
#define COLUMNS_MAX 64
#define NAME_BYTES_MAX 64
#define OWN_COLUMNS 2 /* mean grey, file size */

/* ---- features ---- */

struct looking {
	const struct hl_dataset *dataset;
	struct hl_features *features;
	struct hl_recipe recipe;
};

static void look(void *context, int32_t index)
{
	const struct looking *looking = context;
	struct hl_features *features = looking->features;
	const struct hl_case *item = &looking->dataset->cases[index];
	uint8_t *thumbnail = features->thumbnail + (size_t)index * PIXELS;
	struct stat about;
	uint32_t sum = 0;
	features->readable[index] =
	    hl_dataset_read(looking->dataset, (size_t)index, &looking->recipe, thumbnail, NULL, NULL) == HILUM_OK;
	for (size_t i = 0; i < PIXELS; i++)
		sum += thumbnail[i];
	features->value[index] = features->readable[index] ? sum / (255.0 * PIXELS) : (double)NAN;
	bool file = stat(item->file, &about) == 0 && S_ISREG(about.st_mode);
	features->value[features->count + (size_t)index] = file ? (double)about.st_size : (double)NAN;
}

static bool is_number(const char *text, double *out)
{
	char *end;
	*out = hl_number_parse(text, &end);
	return end != text && *end == '\0' && isfinite(*out);
}

/* The values of one column by case; false where it is no number throughout, or always the same. */
static bool read_column(const struct hl_csv *csv, size_t column, size_t path, const struct hl_dataset *dataset,
                        double *value)
{
	bool varies = false;
	double first = (double)NAN;
	for (size_t i = 0; i < dataset->count; i++)
		value[i] = (double)NAN;
	for (size_t row = 0; row < csv->rows; row++) {
		const char *text = hl_csv_get(csv, row, column);
		const struct hl_case *item = hl_dataset_find(dataset, hl_csv_get(csv, row, path));
		double number;
		if (!item || !text[0])
			continue;
		if (!is_number(text, &number))
			return false;
		value[item - dataset->cases] = number;
		varies = varies || (!isnan(first) && number != first);
		first = number;
	}
	return varies;
}

static bool says_what_it_is(const char *name)
{
	static const char *const names[] = {"path", "label", "group", "patient", "split", "id"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static enum hilum_status add_name(struct hl_features *features, const char *name, struct hilum_error *error)
{
	char *copy = hl_format("%.*s", NAME_BYTES_MAX, name);
	if (!copy)
		return hl_fail_memory(error, NAME_BYTES_MAX, "a column's name");
	features->name[features->columns++] = copy;
	return HILUM_OK;
}

static enum hilum_status add_table(struct hl_features *features, const struct hl_dataset *dataset, const char *file,
                                   struct hilum_error *error)
{
	struct hl_csv csv;
	enum hilum_status status = hl_csv_read(file, &csv, error);
	if (status)
		return status;
	int path = hl_csv_column(&csv, "path");
	for (size_t c = 0; c < csv.columns && path >= 0 && !status; c++) {
		bool known = says_what_it_is(csv.field[c]);
		for (int32_t k = 0; k < features->columns; k++)
			known = known || strncmp(features->name[k], csv.field[c], NAME_BYTES_MAX) == 0;
		double *value = features->value + (size_t)features->columns * features->count;
		if (!known && features->columns < COLUMNS_MAX && read_column(&csv, c, (size_t)path, dataset, value))
			status = add_name(features, csv.field[c], error);
	}
	hl_csv_free(&csv);
	return status;
}

enum hilum_status hl_features_create(const struct hl_dataset *dataset, const char *const tables[2],
                                     const struct hl_window *window, int32_t threads, struct hl_features *out,
                                     struct hilum_error *error)
{
	struct hl_features features = {.count = dataset->count};
	features.thumbnail = hl_alloc(dataset->count, PIXELS);
	features.readable = hl_alloc(dataset->count, 1);
	features.name = hl_alloc(COLUMNS_MAX, sizeof(*features.name));
	features.value = hl_alloc(dataset->count, COLUMNS_MAX * sizeof(*features.value));
	enum hilum_status status = HILUM_OK;
	if (!features.thumbnail || !features.readable || !features.name || !features.value)
		status = hl_fail_memory(error, dataset->count * PIXELS, "thumbnails");
	if (!status)
		status = add_name(&features, "mean grey", error);
	if (!status)
		status = add_name(&features, "file size", error);
	if (!status) {
		struct looking looking = {.dataset = dataset,
		                          .features = &features,
		                          .recipe = {.channels = 1,
		                                     .size = HL_THUMBNAIL,
		                                     .fit = HL_FIT_CROP,
		                                     .window = *window,
		                                     .deviation = {1, 1, 1}}};
		hl_parallel((int32_t)dataset->count, threads, look, &looking);
	}
	for (int t = 0; t < 2 && !status; t++)
		if (tables[t] && !hl_path_is_directory(tables[t]))
			status = add_table(&features, dataset, tables[t], error);
	if (status)
		hl_features_free(&features);
	else
		*out = features;
	return status;
}

void hl_features_free(struct hl_features *features)
{
	for (int32_t i = 0; i < features->columns; i++)
		hl_free(features->name[i]);
	hl_free(features->name);
	hl_free(features->value);
	hl_free(features->readable);
	hl_free(features->thumbnail);
	*features = (struct hl_features){0};
}

/* ---- answers ---- */

enum { MAJORITY, NEIGHBOUR, FIRST_COLUMN };

int32_t hl_baseline_count(const struct hl_features *features, int32_t classes)
{
	return FIRST_COLUMN + (classes == 2 ? features->columns : 0);
}

const char *hl_baseline_name(const struct hl_features *features, int32_t baseline)
{
	return baseline == MAJORITY    ? "majority class"
	       : baseline == NEIGHBOUR ? "nearest of 32x32 thumbnails"
	                               : features->name[baseline - FIRST_COLUMN];
}

struct answering {
	const struct hl_features *features;
	const struct hl_dataset *dataset;
	const int32_t *fold;
	double *probability;
};

/* At most 1024 x 255^2, which an int32_t holds. */
static int32_t distance(const uint8_t *a, const uint8_t *b)
{
	int32_t sum = 0;
	for (int i = 0; i < PIXELS; i++) {
		int16_t difference = (int16_t)(a[i] - b[i]);
		sum += (int32_t)difference * difference;
	}
	return sum;
}

static void put_row(const struct answering *answering, size_t index, const double *row)
{
	int32_t classes = answering->dataset->class_count;
	if (classes == 2)
		answering->probability[index] = row[1];
	else
		memcpy(answering->probability + index * (size_t)classes, row, (size_t)classes * sizeof(*row));
}

static void find_neighbour(void *context, int32_t index)
{
	const struct answering *answering = context;
	const struct hl_features *features = answering->features;
	int32_t nearest[HILUM_CLASSES_MAX], classes = answering->dataset->class_count;
	double row[HILUM_CLASSES_MAX], sum = 0;
	for (int32_t c = 0; c < classes; c++)
		nearest[c] = INT32_MAX;
	for (size_t i = 0; i < features->count && features->readable[index]; i++) {
		if (answering->fold[i] == answering->fold[index] || !features->readable[i])
			continue;
		int32_t label = answering->dataset->cases[i].label;
		int32_t far = distance(features->thumbnail + (size_t)index * PIXELS, features->thumbnail + i * PIXELS);
		if (far < nearest[label])
			nearest[label] = far;
	}
	/* One grey level in one pixel is added, so that a copy among the training cases does not divide by nothing. */
	for (int32_t c = 0; c < classes; c++) {
		row[c] = nearest[c] == INT32_MAX ? 0 : 1 / (1 + sqrt(nearest[c]));
		sum += row[c];
	}
	for (int32_t c = 0; c < classes; c++)
		row[c] = sum > 0 ? row[c] / sum : (double)NAN;
	put_row(answering, (size_t)index, row);
}

static void answer_majority(const struct answering *answering, int32_t fold)
{
	const struct hl_dataset *dataset = answering->dataset;
	double row[HILUM_CLASSES_MAX] = {0}, sum = 0;
	for (size_t i = 0; i < dataset->count; i++) {
		if (answering->fold[i] == fold)
			continue;
		row[dataset->cases[i].label] += 1;
		sum += 1;
	}
	for (int32_t c = 0; c < dataset->class_count && sum > 0; c++)
		row[c] /= sum;
	for (size_t i = 0; i < dataset->count; i++)
		if (answering->fold[i] == fold)
			put_row(answering, i, row);
}

struct column_fit {
	double *x, *target; /* of all cases */
	uint8_t *use;
};

/* Values that are used are brought to mean 0 and deviation 1, and the others alike. */
static void standardise(const double *value, const struct column_fit *fit, size_t count)
{
	double sum = 0, squares = 0, n = 0;
	for (size_t i = 0; i < count; i++) {
		sum += fit->use[i] ? value[i] : 0;
		n += fit->use[i];
	}
	double mean = n > 0 ? sum / n : 0;
	for (size_t i = 0; i < count; i++)
		squares += fit->use[i] ? (value[i] - mean) * (value[i] - mean) : 0;
	double deviation = squares > 0 ? sqrt(squares / n) : 1;
	for (size_t i = 0; i < count; i++)
		fit->x[i] = isnan(value[i]) ? 0 : (value[i] - mean) / deviation;
}

static void answer_column(const struct answering *answering, const double *value, int32_t fold,
                          const struct column_fit *fit)
{
	const struct hl_dataset *dataset = answering->dataset;
	double of[2][2] = {{0}}, slope = 0, intercept = 0; /* training cases: missing or not, by label */
	for (size_t i = 0; i < dataset->count; i++) {
		bool training = answering->fold[i] != fold;
		fit->use[i] = training && !isnan(value[i]);
		of[fit->use[i]][dataset->cases[i].label == 1] += training;
	}
	for (size_t i = 0; i < dataset->count; i++)
		fit->target[i] = dataset->cases[i].label == 1 ? (of[1][1] + 1) / (of[1][1] + 2) : 1 / (of[1][0] + 2);
	standardise(value, fit, dataset->count);
	if (!hl_logistic(fit->x, fit->target, fit->use, dataset->count, &slope, &intercept)) {
		slope = 0;
		intercept = log((of[1][1] + 1) / (of[1][0] + 1));
	}
	double missing = (of[0][1] + 1) / (of[0][0] + of[0][1] + 2);
	for (size_t i = 0; i < dataset->count; i++)
		if (answering->fold[i] == fold)
			answering->probability[i] =
			    isnan(value[i]) ? missing : 1 / (1 + exp(-(slope * fit->x[i] + intercept)));
}

enum hilum_status hl_baseline_predict(const struct hl_features *features, const struct hl_dataset *dataset,
                                      const struct hl_folds *folds, int32_t repeat, int32_t baseline, int32_t threads,
                                      double *probability, struct hilum_error *error)
{
	const struct hl_fold_list *list = &folds->listed[repeat];
	struct answering answering = {features, dataset, folds->number + (size_t)repeat * folds->cases, probability};
	if (baseline == NEIGHBOUR) {
		hl_parallel((int32_t)dataset->count, threads, find_neighbour, &answering);
		return HILUM_OK;
	}
	if (baseline == MAJORITY) {
		for (int32_t f = 0; f < list->count; f++)
			answer_majority(&answering, list->number[f]);
		return HILUM_OK;
	}
	struct column_fit fit = {hl_alloc(dataset->count, sizeof(double)), hl_alloc(dataset->count, sizeof(double)),
	                         hl_alloc(dataset->count, 1)};
	enum hilum_status status = HILUM_OK;
	if (!fit.x || !fit.target || !fit.use)
		status = hl_fail_memory(error, dataset->count * sizeof(double), "a baseline");
	const double *value = features->value + (size_t)(baseline - FIRST_COLUMN) * features->count;
	for (int32_t f = 0; f < list->count && !status; f++)
		answer_column(&answering, value, list->number[f], &fit);
	hl_free(fit.x);
	hl_free(fit.target);
	hl_free(fit.use);
	return status;
}
