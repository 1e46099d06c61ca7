/* hilum_audit: from a data set to what stands against believing a score on it. */
#include "eval/audit.h"

#include "base/buffer.h"
#include "base/csv.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/split.h"

#include <math.h>
#include <string.h>

#define GROUPS_FILE_MAX ((size_t)1 << 30)

#define OPTION(member, name_, kind_, ...)                                                                              \
	{                                                                                                              \
		.name = name_, .kind = HILUM_OPTION_##kind_, .offset = offsetof(struct hilum_audit_options, member),   \
		__VA_ARGS__                                                                                            \
	}
const struct hilum_option hilum_audit_option_table[] = {
    OPTION(groups, "groups", TEXT, .value = "CSV",
           .help = "table with the columns path and group (or patient) to compare the inferred groups with"),
    OPTION(positive, "positive", TEXT, .value = "A,B",
           .help = "classes that together are the positive class; all others become the negative one"),
    OPTION(split, "split", TEXT, .value = "A/B/C",
           .help = "look for leaks in this split, as hilum train would make it (the manifest's split column if it has "
                   "one)"),
    OPTION(folds, "folds", TEXT, .value = "CSV",
           .help = "table with the columns path and fold: look for leaks between folds, or with --fold between its "
                   "test, training and validation parts"),
    OPTION(fold, "fold", INT, .minimum = -1, .maximum = 1000000, .initial = "-1", .value = "N",
           .help = "the test fold; -1: every fold against every other"),
    OPTION(fold_column, "fold-column", TEXT, .value = "NAME",
           .help = "column of --folds where several begin with fold"),
    OPTION(validation, "validation", REAL, .minimum = 0, .maximum = 0.9, .initial = "0", .value = "X",
           .help = "with --fold: share of the training part that is taken for validation"),
    OPTION(seed, "seed", INT, .minimum = 0, .maximum = 9007199254740992, .initial = "1", .value = "N",
           .help = "of the split and of the draws behind intervals"),
    OPTION(resamples, "resamples", INT, .minimum = 0, .maximum = HL_RESAMPLES_MOST, .initial = "1000", .value = "N",
           .help = "draws of groups behind the intervals of shortcuts; 0: none"),
    OPTION(threads, "threads", INT, .minimum = 0, .maximum = 1024, .initial = "0", .value = "N",
           .help = "threads; 0: as many as there are cores"),
    OPTION(quick, "quick", FLAG,
           .help = "only exact copies and pictures in the same position, without shortcuts: what hilum train looks "
                   "for"),
    {0},
};

bool hl_audit_leaks(const struct hilum_audit *audit, const struct hl_pair *pair)
{
	return audit->split && audit->part[pair->a] >= 0 && audit->part[pair->b] >= 0 &&
	       audit->part[pair->a] != audit->part[pair->b];
}

bool hl_audit_conflicts(const struct hilum_audit *audit, const struct hl_pair *pair)
{
	const struct hl_case *cases = audit->dataset->cases;
	return pair->kind != HL_ALIKE_ADJACENT && cases[pair->a].origin != cases[pair->b].origin;
}

void hl_audit_part_name(const struct hilum_audit *audit, uint32_t index, char text[24])
{
	if (audit->folds)
		snprintf(text, 24, "fold %d", audit->part[index]);
	else
		snprintf(text, 24, "%s", hl_part_names[audit->part[index] < 0 ? HL_PART_NONE : audit->part[index]]);
}

/* ---- the split ---- */

static enum hilum_status find_parts(const struct hilum_audit_options *options, struct hilum_audit *audit,
                                    struct hilum_error *error)
{
	struct hl_dataset *dataset = audit->dataset;
	uint64_t seed = (uint64_t)options->seed;
	enum hilum_status status = HILUM_OK;
	audit->part = hl_alloc(dataset->count, sizeof(*audit->part));
	if (!audit->part)
		return hl_fail_memory(error, dataset->count * sizeof(*audit->part), "the split");
	if (options->split && options->folds)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "split and folds exclude each other");
	audit->folds = options->folds && options->fold < 0;
	audit->split = options->folds || options->split || dataset->has_parts;
	if (audit->folds)
		return hl_split_fold_numbers(dataset, options->folds, options->fold_column, audit->part, error);
	if (options->folds)
		status = hl_split_folds(dataset, options->folds, options->fold_column, options->fold,
		                        options->validation, seed, error);
	else if (options->split)
		status = hl_split_random(dataset, options->split, seed, error);
	for (size_t i = 0; i < dataset->count; i++)
		audit->part[i] = dataset->cases[i].part == HL_PART_NONE ? -1 : (int32_t)dataset->cases[i].part;
	return status;
}

/* ---- counting ---- */

static enum hilum_status compare_groups(struct hilum_audit *audit, struct hilum_error *error)
{
	const struct hl_dataset *dataset = audit->dataset;
	audit->adjusted_rand = (double)NAN;
	audit->group = hl_alloc(dataset->count, sizeof(*audit->group));
	uint32_t *given = hl_alloc(dataset->count, sizeof(*given));
	if (!audit->group || !given) {
		hl_free(given);
		return hl_fail_memory(error, dataset->count * sizeof(*given), "groups");
	}
	audit->groups = hl_inferred_groups(&audit->pairs, dataset->count, audit->group);
	for (size_t i = 0; i < dataset->count; i++)
		given[i] = (uint32_t)dataset->cases[i].group;
	if (dataset->grouped)
		audit->adjusted_rand = hl_adjusted_rand(audit->group, given, dataset->count);
	for (size_t i = 0; i < audit->pairs.count; i++) {
		const struct hl_pair *pair = &audit->pairs.pair[i];
		audit->across_given += dataset->grouped && given[pair->a] != given[pair->b];
		audit->leaks += hl_audit_leaks(audit, pair);
		audit->conflicts += hl_audit_conflicts(audit, pair);
	}
	hl_free(given);
	return HILUM_OK;
}

void hilum_audit_free(struct hilum_audit *audit)
{
	if (!audit)
		return;
	hl_looks_free(&audit->looks);
	hl_free(audit->pairs.pair);
	hl_free(audit->group);
	hl_free(audit->part);
	hl_dataset_free(audit->dataset);
	hl_free(audit);
}

enum hilum_status hilum_audit(const struct hilum_audit_options *options, const struct hilum_audit_events *events,
                              struct hilum_audit **out, struct hilum_error *error)
{
	struct hl_watch watch = {.progress = events ? events->progress : NULL,
	                         .context = events ? events->context : NULL,
	                         .stop = events ? events->stop : NULL};
	const struct hl_dataset_options how = {.positive = options->positive, .groups = options->groups};
	const struct hl_alike_options search = {.cheap = options->quick, .threads = (int32_t)options->threads};
	struct hilum_audit *audit = hl_alloc(1, sizeof(*audit));
	if (!audit)
		return hl_fail_memory(error, sizeof(*audit), "an audit");
	enum hilum_status status = hl_dataset_open(options->data, &how, &audit->dataset, error);
	if (!status)
		status = find_parts(options, audit, error);
	if (!status)
		status = hl_looks_read(audit->dataset, !options->quick, (int32_t)options->threads, &watch,
		                       &audit->looks, error);
	if (!status)
		status = hl_alike_find(&audit->looks, &search, &watch, &audit->pairs, error);
	if (!status)
		status = compare_groups(audit, error);
	if (!status && !options->quick)
		status = hl_audit_shortcuts(audit, options->resamples, error);
	if (status)
		hilum_audit_free(audit);
	else
		*out = audit;
	return status;
}

enum hilum_status hilum_audit_write_groups(const struct hilum_audit *audit, const char *path, struct hilum_error *error)
{
	struct hl_buffer buffer;
	hl_buffer_init(&buffer, GROUPS_FILE_MAX);
	enum hilum_status status = hl_buffer_print(&buffer, error, "path,group\n");
	for (size_t i = 0; i < audit->dataset->count && !status; i++) {
		status = hl_csv_append(&buffer, audit->dataset->cases[i].path, error);
		if (!status)
			status = hl_buffer_print(&buffer, error, ",%u\n", audit->group[i] + 1);
	}
	if (!status) {
		struct hl_part whole = {buffer.data, buffer.length};
		status = hl_file_write(path, &whole, 1, error);
	}
	hl_buffer_free(&buffer);
	return status;
}
