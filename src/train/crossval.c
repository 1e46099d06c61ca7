/* hilum_crossval: every fold trained and tested, and all of them together scored. */
#include "train/crossval.h"

#include "base/csv.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/number.h"
#include "eval/baseline.h"
#include "eval/scores.h"
#include "train/control.h"
#include "train/leaks.h"
#include "train/options.h"

#include <math.h>
#include <string.h>

#define TABLE_MAX ((size_t)1 << 30)

static const char *const controls[] = {"none", "shuffled-labels", "background-only", NULL};

#define OPTION(member, name_, kind_, ...)                                                                              \
	{                                                                                                              \
		.name = (name_), .kind = HILUM_OPTION_##kind_,                                                         \
		.offset = offsetof(struct hilum_crossval_options, member), __VA_ARGS__                                 \
	}

/* clang-format off */
const struct hilum_option hilum_crossval_option_table[] = {
    OPTION(k, "k", INT, .minimum = 2, .maximum = HL_FOLDS_MAX, .initial = "5", .value = "N", .help = "folds to draw where --folds names no table: whole groups, classes in their shares"),
    OPTION(repeats, "repeats", INT, .minimum = 1, .maximum = 1000, .initial = "1", .value = "N", .help = "how often folds are drawn anew"),
    OPTION(seeds, "seeds", INT, .minimum = 1, .maximum = 1000, .initial = "1", .value = "N", .help = "trainings of each fold, with --seed and the numbers after it; their mean answers"),
    OPTION(control, "control", CHOICE, .choices = controls, .initial = "none", .help = "shuffled-labels: labels permuted over groups, so that an honest pipeline scores chance; background-only: the box around the lungs is blanked out, so that what is scored is no disease"),
    OPTION(tta, "tta", FLAG, .help = "answer every picture as it is and mirrored, and take the mean"),
    OPTION(baselines, "baselines", FLAG, .initial = "true", .help = "also what can be had without a network; --baselines=false leaves it out"),
    OPTION(by, "by", CHOICE, .choices = hl_bys, .initial = "case", .help = "score every case, or every group (patient) as one, by the mean of its cases"),
    OPTION(prevalence, "prevalence", REAL, .minimum = 0, .maximum = 1, .initial = "0", .value = "SHARE", .help = "share of positives where the model would be used, for PPV and NPV; 0 means not stated"),
    OPTION(resamples, "resamples", INT, .minimum = 0, .maximum = HL_RESAMPLES_MOST, .initial = "2000", .value = "N", .help = "draws of groups behind the 95 % intervals, 100 or more; 0: no intervals"),
    {0},
};
/* clang-format on */

static enum hilum_status check_options(const struct hilum_crossval_options *options, struct hilum_error *error)
{
	const struct hilum_train_options *train = &options->train;
	const char *reason = NULL;
	if (!train->data || !train->data[0])
		reason = "no data set was given";
	else if (train->split || train->fold >= 0)
		reason = "split and fold say what one training tests; every fold is tested here";
	else if (train->resume && !train->out)
		reason = "resume needs out, the run to go on with";
	else if (options->k < 2 || options->k > HL_FOLDS_MAX || options->repeats < 1 || options->repeats > 1000 ||
	         options->seeds < 1 || options->seeds > 1000)
		reason = "k is from 2 to 1000, repeats and seeds from 1 to 1000";
	else if (train->folds && options->repeats > 1)
		reason = "repeats draws folds anew, which excludes folds from a table";
	else if (options->control < HILUM_CONTROL_NONE || options->control > HILUM_CONTROL_BACKGROUND_ONLY)
		reason = "control is none, shuffled-labels or background-only";
	else if (options->control == HILUM_CONTROL_SHUFFLED_LABELS && (options->seeds > 1 || options->tta))
		reason = "each seed shuffles labels in its own way, and what tta answers again has lost them: "
		         "shuffled-labels goes with neither";
	else if (options->control == HILUM_CONTROL_BACKGROUND_ONLY && train->dims != HL_DIMS_2)
		reason = "background-only is for cases of one slice";
	else if (options->resamples && options->resamples < HL_RESAMPLES_LEAST)
		reason = "resamples is 0, or 100 or more";
	return reason ? hl_fail(error, HILUM_ERROR_ARGUMENT, "%s", reason) : HILUM_OK;
}

/* Groups that are inferred from the pictures stand in no table. */
static const char *table_of_groups(const struct hilum_train_options *train)
{
	return train->groups && strcmp(train->groups, "auto") == 0 ? NULL : train->groups;
}

/* ---- all folds together ---- */

struct pool {
	int32_t *label;
	double *probability;
	char **id;
	const char **group;
	size_t n;
};

static void pool_free(struct pool *pool)
{
	for (size_t i = 0; pool->id && i < pool->n; i++)
		hl_free(pool->id[i]);
	hl_free(pool->label);
	hl_free(pool->probability);
	hl_free(pool->id);
	hl_free(pool->group);
}

/* A case that is tested in several repeats is told apart by its name, and is its own group where none were given: what
 * repeats say of it is not independent. */
static enum hilum_status pool_fill(const struct hilum_crossval *crossval, const struct hl_fold *folds, bool binary,
                                   struct pool *pool, struct hilum_error *error)
{
	size_t width = crossval->dataset->class_count == 2 ? 1 : (size_t)crossval->dataset->class_count, total = 0;
	for (size_t f = 0; f < crossval->count; f++)
		total += folds[f].scores->table.n;
	pool->label = hl_alloc(total, sizeof(*pool->label));
	pool->probability = hl_alloc(total * width, sizeof(*pool->probability));
	pool->id = hl_alloc(total, sizeof(*pool->id));
	pool->group = hl_alloc(total, sizeof(*pool->group));
	if (!pool->label || !pool->probability || !pool->id || !pool->group)
		return hl_fail_memory(error, total * width * sizeof(double), "all folds");
	for (size_t f = 0; f < crossval->count; f++) {
		const struct hl_table *table = &folds[f].scores->table;
		for (size_t i = 0; i < table->n; i++) {
			size_t at = pool->n++;
			pool->label[at] = table->label[i];
			pool->group[at] = table->group ? table->group[i] : table->id[i];
			pool->id[at] = crossval->folds.repeats == 1
			                   ? hl_strdup(table->id[i])
			                   : hl_format("%s (repeat %d)", table->id[i], folds[f].repeat + 1);
			if (!pool->id[at])
				return hl_fail_memory(error, total, "all folds");
			for (size_t c = 0; c < width; c++)
				pool->probability[at * width + c] = table->probability[i * width + c];
			if (binary)
				pool->probability[at] = table->probability[i] >= folds[f].threshold;
		}
	}
	return HILUM_OK;
}

static struct hilum_score_options scoring_options(const struct hilum_crossval *crossval, int64_t resamples)
{
	return (struct hilum_score_options){.by = crossval->options.by,
	                                    .prevalence = crossval->options.prevalence,
	                                    .resamples = resamples,
	                                    .seed = crossval->options.train.seed};
}

enum hilum_status hl_folds_score(const struct hilum_crossval *crossval, const struct hl_fold *fold, bool binary,
                                 int64_t resamples, struct hilum_scores **out, struct hilum_error *error)
{
	const struct hl_dataset *dataset = crossval->dataset;
	const struct hilum_score_options scoring = scoring_options(crossval, resamples);
	struct pool pool = {0};
	enum hilum_status status = pool_fill(crossval, fold, binary, &pool, error);
	bool grouped = dataset->grouped || crossval->folds.repeats > 1;
	if (!status) {
		const struct hl_table table = {.n = pool.n,
		                               .classes = dataset->class_count,
		                               .label = pool.label,
		                               .probability = pool.probability,
		                               .names = (const char *const *)dataset->classes,
		                               .id = (const char *const *)pool.id,
		                               .group = grouped ? pool.group : NULL};
		status = hl_scores_from_table(&table, &scoring, out, error);
	}
	pool_free(&pool);
	return status;
}

/* ---- the table of all predictions ---- */

static enum hilum_status put_number(struct hl_buffer *buffer, double value, struct hilum_error *error)
{
	char text[40] = "";
	if (!isnan(value))
		hl_number_print(text, sizeof(text), 17, value);
	return hl_buffer_print(buffer, error, ",%s", text);
}

static enum hilum_status put_field(struct hl_buffer *buffer, const char *text, struct hilum_error *error)
{
	enum hilum_status status = hl_buffer_append(buffer, ",", 1, error);
	return status ? status : hl_csv_append(buffer, text, error);
}

static enum hilum_status put_header(const struct hilum_crossval *crossval, bool grouped, struct hl_buffer *buffer,
                                    struct hilum_error *error)
{
	const struct hl_dataset *dataset = crossval->dataset;
	enum hilum_status status =
	    hl_buffer_print(buffer, error, dataset->class_count == 2 ? "path,label,probability" : "path,label");
	for (int32_t c = 0; c < dataset->class_count && dataset->class_count > 2 && !status; c++) {
		char *name = hl_format("p_%s", dataset->classes[c]);
		status = name ? put_field(buffer, name, error) : hl_fail_memory(error, 64, "a column's name");
		hl_free(name);
	}
	if (!status)
		status = hl_buffer_print(buffer, error, "%s,fold%s%s\n", grouped ? ",group" : "",
		                         crossval->folds.repeats > 1 ? ",repeat" : "",
		                         crossval->at_thresholds ? ",threshold" : "");
	return status;
}

static enum hilum_status put_case(const struct hilum_crossval *crossval, const struct hl_fold *fold, size_t i,
                                  bool grouped, struct hl_buffer *buffer, struct hilum_error *error)
{
	const struct hl_table *table = &fold->scores->table;
	int32_t classes = table->classes;
	const struct hl_case *item = hl_dataset_find(crossval->dataset, table->id[i]);
	if (!item)
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s was tested and is not in the data set", table->id[i]);
	const char *path = crossval->given->cases[item - crossval->dataset->cases].path;
	enum hilum_status status = hl_csv_append(buffer, path, error);
	if (!status && classes > 2)
		status = put_field(buffer, crossval->dataset->classes[table->label[i]], error);
	else if (!status)
		status = hl_buffer_print(buffer, error, ",%d", table->label[i]);
	for (int32_t c = classes == 2 ? 1 : 0; c < classes && !status; c++)
		status = put_number(buffer, hl_table_probability(table, i, c), error);
	if (!status && grouped)
		status = put_field(buffer, table->group ? table->group[i] : table->id[i], error);
	if (!status)
		status = hl_buffer_print(buffer, error, ",%d", fold->number);
	if (!status && crossval->folds.repeats > 1)
		status = hl_buffer_print(buffer, error, ",%d", fold->repeat + 1);
	if (!status && crossval->at_thresholds)
		status = put_number(buffer, fold->threshold, error);
	return status ? status : hl_buffer_append(buffer, "\n", 1, error);
}

enum hilum_status hl_folds_write_predictions(const struct hilum_crossval *crossval, struct hilum_error *error)
{
	char path[HL_RUN_PATH_MAX];
	struct hl_buffer buffer;
	bool grouped = crossval->dataset->grouped || crossval->folds.repeats > 1;
	hl_buffer_init(&buffer, TABLE_MAX);
	enum hilum_status status = hl_run_path(&crossval->run, "predictions.csv", path, error);
	if (!status)
		status = put_header(crossval, grouped, &buffer, error);
	for (size_t f = 0; f < crossval->count && !status; f++)
		for (size_t i = 0; i < crossval->fold[f].scores->table.n && !status; i++)
			status = put_case(crossval, &crossval->fold[f], i, grouped, &buffer, error);
	if (!status)
		status = hl_file_write(path, &(struct hl_part){buffer.data, buffer.length}, 1, error);
	hl_buffer_free(&buffer);
	return status;
}

/* ---- training ---- */

/* The mean of several seeds' answers, into the first one's table. */
static enum hilum_status average(struct hl_fold *of_seed, int64_t seeds, struct hl_fold *out, struct hilum_error *error)
{
	struct hl_table *table = &of_seed[0].scores->table;
	size_t width = table->classes == 2 ? 1 : (size_t)table->classes, values = table->n * width;
	double *mean = hl_alloc(values, sizeof(*mean)), threshold = 0;
	enum hilum_status status = HILUM_OK;
	if (!mean)
		return hl_fail_memory(error, values * sizeof(*mean), "a fold");
	for (int64_t s = 0; s < seeds && !status; s++) {
		const struct hl_table *one = &of_seed[s].scores->table;
		threshold += of_seed[s].threshold / (double)seeds;
		bool same = one->n == table->n && one->classes == table->classes;
		for (size_t i = 0; i < table->n && same; i++)
			same = strcmp(one->id[i], table->id[i]) == 0;
		if (!same)
			status = hl_fail(error, HILUM_ERROR_DATA, "fold %d: two seeds tested different cases",
			                 of_seed[0].number);
		for (size_t i = 0; i < values && same; i++)
			mean[i] += one->probability[i] / (double)seeds;
	}
	for (size_t i = 0; i < values && !status; i++)
		mean[i] = fmin(mean[i], 1);
	const struct hl_table answers = {.n = table->n,
	                                 .classes = table->classes,
	                                 .label = table->label,
	                                 .probability = mean,
	                                 .names = table->names,
	                                 .id = table->id,
	                                 .group = table->group};
	const struct hilum_score_options plain = {.by = HILUM_BY_CASE};
	*out = of_seed[0];
	out->threshold = threshold;
	if (!status)
		status = hl_scores_from_table(&answers, &plain, &out->scores, error);
	hl_free(mean);
	return status;
}

/* of_seed: for each seed as many folds as there are. */
static enum hilum_status run_folds(struct hilum_crossval *crossval, const struct hilum_train_events *events,
                                   struct hl_fold *of_seed, struct hilum_error *error)
{
	int64_t seeds = crossval->options.seeds;
	size_t at = 0;
	enum hilum_status status = HILUM_OK;
	for (int32_t r = 0; r < crossval->folds.repeats; r++) {
		const struct hl_fold_list *list = &crossval->folds.listed[r];
		for (int32_t f = 0; f < list->count; f++, at++) {
			for (int64_t s = 0; s < seeds; s++) {
				const struct hl_fold_work work = {crossval, events, r, list->number[f], s};
				hl_log(HILUM_LOG_INFO, "fold %d (%zu of %zu)%s", list->number[f], at + 1,
				       crossval->count, seeds > 1 ? ", one of its seeds" : "");
				status = hl_fold_run(&work, &of_seed[(size_t)s * crossval->count + at], error);
				if (status == HILUM_ERROR_STOPPED)
					return hl_fail(error, status,
					               "stopped in fold %d; go on with --out %s --resume",
					               list->number[f], crossval->run.quoted);
				if (status)
					return hl_prefix(error, status, "fold %d", list->number[f]);
			}
		}
	}
	return status;
}

static enum hilum_status score_seeds(struct hilum_crossval *crossval, const struct hl_fold *of_seed,
                                     struct hilum_error *error)
{
	int64_t seeds = crossval->options.seeds;
	enum hilum_status status = HILUM_OK;
	crossval->seed_figures = hl_alloc((size_t)seeds, sizeof(*crossval->seed_figures));
	if (!crossval->seed_figures)
		return hl_fail_memory(error, (size_t)seeds * sizeof(*crossval->seed_figures), "figures");
	for (int64_t s = 0; s < seeds && !status; s++) {
		struct hilum_scores *scores;
		status = hl_folds_score(crossval, of_seed + (size_t)s * crossval->count, false, 0, &scores, error);
		if (status)
			break;
		for (int i = 0; i < HL_FIGURES; i++)
			crossval->seed_figures[s][i] = hl_figure_get(&scores->metrics, hl_figures[i].offset);
		hilum_scores_free(scores);
	}
	return status;
}

static enum hilum_status train_all(struct hilum_crossval *crossval, const struct hilum_train_events *events,
                                   struct hilum_error *error)
{
	int64_t seeds = crossval->options.seeds;
	struct hl_fold *of_seed, *mine;
	for (int32_t r = 0; r < crossval->folds.repeats; r++)
		crossval->count += (size_t)crossval->folds.listed[r].count;
	of_seed = hl_alloc(crossval->count * (size_t)seeds, sizeof(*of_seed));
	crossval->fold = hl_alloc(crossval->count, sizeof(*crossval->fold));
	mine = hl_alloc((size_t)seeds, sizeof(*mine));
	enum hilum_status status = HILUM_OK;
	if (!of_seed || !crossval->fold || !mine)
		status = hl_fail_memory(error, crossval->count * sizeof(*of_seed), "folds");
	else
		status = run_folds(crossval, events, of_seed, error);
	if (!status && seeds > 1)
		status = score_seeds(crossval, of_seed, error);
	for (size_t f = 0; f < crossval->count && !status; f++) {
		for (int64_t s = 0; s < seeds; s++)
			mine[s] = of_seed[(size_t)s * crossval->count + f];
		status = average(mine, seeds, &crossval->fold[f], error);
	}
	for (size_t i = 0; of_seed && i < crossval->count * (size_t)seeds; i++)
		hilum_scores_free(of_seed[i].scores);
	hl_free(mine);
	hl_free(of_seed);
	return status;
}

static enum hilum_status score_all(struct hilum_crossval *crossval, struct hilum_error *error)
{
	bool thresholds = crossval->dataset->class_count == 2;
	for (size_t f = 0; f < crossval->count; f++)
		thresholds = thresholds && !isnan(crossval->fold[f].threshold);
	int64_t resamples = crossval->options.resamples;
	enum hilum_status status = hl_folds_score(crossval, crossval->fold, false, resamples, &crossval->all, error);
	if (!status && thresholds && crossval->options.by == HILUM_BY_CASE)
		status = hl_folds_score(crossval, crossval->fold, true, resamples, &crossval->at_thresholds, error);
	return status;
}

/* ---- baselines ---- */

/* One baseline's answers on the cases that the folds tested. */
static enum hilum_status answer(struct hilum_crossval *crossval, int32_t baseline, double *row, struct hl_fold *folds,
                                struct hilum_error *error)
{
	const struct hl_dataset *dataset = crossval->dataset;
	size_t width = dataset->class_count == 2 ? 1 : (size_t)dataset->class_count;
	enum hilum_status status = HILUM_OK;
	const struct hilum_score_options plain = {.by = HILUM_BY_CASE};
	int32_t repeat = -1;
	for (size_t f = 0; f < crossval->count && !status; f++) {
		const struct hl_table *table = &crossval->fold[f].scores->table;
		if (crossval->fold[f].repeat != repeat) {
			repeat = crossval->fold[f].repeat;
			status = hl_baseline_predict(crossval->features, dataset, &crossval->folds, repeat, baseline,
			                             (int32_t)crossval->options.train.threads, row, error);
		}
		double *mine = hl_alloc(table->n * width, sizeof(*mine));
		if (!mine)
			status = hl_fail_memory(error, table->n * width * sizeof(*mine), "a baseline");
		for (size_t i = 0; i < table->n && !status; i++) {
			const struct hl_case *item = hl_dataset_find(dataset, table->id[i]);
			const double *from = item ? row + (size_t)(item - dataset->cases) * width : NULL;
			for (size_t c = 0; c < width; c++)
				mine[i * width + c] =
				    from && !isnan(from[c]) ? from[c] : 1.0 / (double)dataset->class_count;
		}
		struct hl_table answers = *table;
		answers.probability = mine;
		folds[f] = crossval->fold[f];
		folds[f].scores = NULL;
		if (!status)
			status = hl_scores_from_table(&answers, &plain, &folds[f].scores, error);
		hl_free(mine);
	}
	return status;
}

static enum hilum_status run_baseline(struct hilum_crossval *crossval, int32_t baseline, double *row,
                                      struct hl_fold *folds, struct hilum_error *error)
{
	struct hl_crossval_baseline *out = &crossval->baseline[baseline];
	const struct hilum_score_options comparing = {.by = HILUM_BY_CASE,
	                                              .prevalence = crossval->options.prevalence,
	                                              .resamples = crossval->options.resamples,
	                                              .seed = crossval->options.train.seed};
	enum hilum_status status = answer(crossval, baseline, row, folds, error);
	out->name = hl_baseline_name(crossval->features, baseline);
	if (!status)
		status = hl_folds_score(crossval, folds, false, crossval->options.resamples, &out->scores, error);
	if (!status && comparing.resamples)
		status = hilum_compare(crossval->all, out->scores, &comparing, &out->comparison, error);
	for (size_t f = 0; f < crossval->count; f++) {
		hilum_scores_free(folds[f].scores);
		folds[f].scores = NULL;
	}
	return status;
}

enum hilum_status hl_crossval_baselines(struct hilum_crossval *crossval, struct hilum_error *error)
{
	const struct hl_dataset *dataset = crossval->dataset;
	const struct hilum_train_options *train = &crossval->options.train;
	const char *const tables[2] = {crossval->data ? crossval->data : train->data,
	                               crossval->data ? NULL : table_of_groups(train)};
	const struct hl_window window = {train->window_center, train->window_width};
	size_t width = dataset->class_count == 2 ? 1 : (size_t)dataset->class_count;
	struct hl_fold *folds = hl_alloc(crossval->count, sizeof(*folds));
	double *row = hl_alloc(dataset->count * width, sizeof(*row));
	enum hilum_status status = HILUM_OK;
	crossval->features = hl_alloc(1, sizeof(*crossval->features));
	if (!folds || !row || !crossval->features)
		status = hl_fail_memory(error, dataset->count * width * sizeof(*row), "baselines");
	if (!status)
		status =
		    hl_features_create(dataset, tables, &window, (int32_t)train->threads, crossval->features, error);
	if (!status) {
		crossval->baselines = hl_baseline_count(crossval->features, dataset->class_count);
		crossval->baseline = hl_alloc((size_t)crossval->baselines, sizeof(*crossval->baseline));
		if (!crossval->baseline) {
			crossval->baselines = 0;
			status = hl_fail_memory(error, sizeof(*crossval->baseline), "baselines");
		}
	}
	for (int32_t b = 0; b < crossval->baselines && !status; b++)
		status = run_baseline(crossval, b, row, folds, error);
	hl_free(row);
	hl_free(folds);
	return status;
}

/* ---- in order ---- */

static enum hilum_status open_folds(struct hilum_crossval *crossval, struct hilum_error *error)
{
	const struct hilum_train_options *train = &crossval->options.train;
	const struct hl_dataset_options how = {
	    .positive = train->positive, .groups = table_of_groups(train), .dims = (enum hl_dims)train->dims};
	enum hilum_status status = hl_dataset_open(train->data, &how, &crossval->given, error);
	crossval->dataset = crossval->given;
	if (!status && crossval->dataset->class_count > HILUM_CLASSES_MAX)
		status = hl_fail(error, HILUM_ERROR_DATA, "%s: %d classes; at most %d can be told apart", train->data,
		                 crossval->dataset->class_count, HILUM_CLASSES_MAX);
	if (!status && train->groups && !table_of_groups(train))
		status = hl_groups_infer(crossval->given, (int32_t)train->threads, error);
	if (!status && train->folds)
		status = hl_folds_read(crossval->given, train->folds, train->fold_column, &crossval->folds, error);
	else if (!status)
		status =
		    hl_folds_draw(crossval->dataset, (int32_t)crossval->options.k, (int32_t)crossval->options.repeats,
		                  (uint64_t)train->seed, &crossval->folds, error);
	return status;
}

static enum hilum_status open_run(struct hilum_crossval *crossval, struct hilum_error *error)
{
	char path[HL_RUN_PATH_MAX];
	enum hilum_status status = hl_run_open(&crossval->options.train, &crossval->run, error);
	if (!status && !crossval->options.train.resume && hl_run_has(&crossval->run, "folds.csv"))
		status =
		    hl_fail(error, HILUM_ERROR_ARGUMENT,
		            "%s: holds a cross-validation already; go on with it by --resume, or use another --out",
		            crossval->run.folder);
	if (!status && crossval->options.control == HILUM_CONTROL_BACKGROUND_ONLY)
		status = hl_control_background(&crossval->run, &crossval->options.train, crossval->given,
		                               &crossval->dataset, &crossval->data, error);
	if (!status)
		status = hl_run_path(&crossval->run, "folds.csv", path, error);
	return status ? status : hl_folds_write(&crossval->folds, crossval->dataset, path, error);
}

static enum hilum_status write_results(const struct hilum_crossval *crossval, struct hilum_error *error)
{
	enum hilum_status status = hl_folds_write_predictions(crossval, error);
	char *json = status ? NULL : hl_crossval_json(crossval);
	if (!status && !json)
		status = hl_fail_memory(error, TABLE_MAX, "JSON");
	if (!status)
		status = hl_run_write(&crossval->run, "crossval.json", json, error);
	hl_free(json);
	return status;
}

enum hilum_status hilum_crossval(const struct hilum_crossval_options *options, const struct hilum_train_events *events,
                                 struct hilum_crossval **out, struct hilum_error *error)
{
	enum hilum_status status = check_options(options, error);
	if (status)
		return status;
	struct hilum_crossval *crossval = hl_alloc(1, sizeof(*crossval));
	if (!crossval)
		return hl_fail_memory(error, sizeof(*crossval), "a cross-validation");
	crossval->options = *options;
	crossval->run.lock = -1;
	status = open_folds(crossval, error);
	if (!status)
		status = open_run(crossval, error);
	if (!status && !crossval->dataset->grouped && !options->train.folds)
		hl_log(HILUM_LOG_WARNING, "no groups were given, so each picture counts as a patient of its own; if "
		                          "some share a patient, the scores flatter (--groups)");
	if (!status)
		status = train_all(crossval, events, error);
	if (!status)
		status = score_all(crossval, error);
	if (!status && options->baselines && options->control != HILUM_CONTROL_SHUFFLED_LABELS)
		status = hl_crossval_baselines(crossval, error);
	if (!status)
		status = write_results(crossval, error);
	if (status)
		hilum_crossval_free(crossval);
	else
		*out = crossval;
	return status;
}

void hilum_crossval_free(struct hilum_crossval *crossval)
{
	if (!crossval)
		return;
	for (int32_t b = 0; b < crossval->baselines; b++) {
		hilum_scores_free(crossval->baseline[b].scores);
		hilum_comparison_free(crossval->baseline[b].comparison);
	}
	hl_free(crossval->baseline);
	if (crossval->features)
		hl_features_free(crossval->features);
	hl_free(crossval->features);
	for (size_t f = 0; crossval->fold && f < crossval->count; f++)
		hilum_scores_free(crossval->fold[f].scores);
	hl_free(crossval->fold);
	hl_free(crossval->seed_figures);
	hilum_scores_free(crossval->all);
	hilum_scores_free(crossval->at_thresholds);
	hl_folds_free(&crossval->folds);
	if (crossval->dataset != crossval->given)
		hl_dataset_free(crossval->dataset);
	hl_dataset_free(crossval->given);
	hl_free(crossval->data);
	hl_run_close(&crossval->run);
	hl_free(crossval);
}

const char *hilum_crossval_folder(const struct hilum_crossval *crossval)
{
	return crossval->run.folder;
}

const struct hilum_scores *hilum_crossval_scores(const struct hilum_crossval *crossval)
{
	return crossval->all;
}
