#include "data/dataset.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/collect.h"
#include "scan/format.h"
#include "scan/sandbox.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define DEPTH_MAX 32

const char *const hl_part_names[] = {"train", "val", "test", "none"};

void hl_dataset_free(struct hl_dataset *dataset)
{
	if (!dataset)
		return;
	for (size_t i = 0; dataset->cases && i < dataset->count; i++) {
		hl_free(dataset->cases[i].path);
		hl_free(dataset->cases[i].file);
	}
	for (int32_t i = 0; dataset->classes && i < dataset->class_count; i++)
		hl_free(dataset->classes[i]);
	for (int32_t i = 0; dataset->origins && i < dataset->origin_count; i++)
		hl_free(dataset->origins[i]);
	for (int32_t i = 0; dataset->groups && i < dataset->group_count; i++)
		hl_free(dataset->groups[i]);
	for (size_t i = 0; i < dataset->slice_total; i++)
		hl_free(dataset->slices[i]);
	hl_free(dataset->slices);
	hl_free(dataset->cases);
	hl_free(dataset->classes);
	hl_free(dataset->origins);
	hl_free(dataset->groups);
	hl_free(dataset->root);
	hl_free(dataset);
}

/* ---- gathering ---- */

int32_t hl_collect_origin(struct hl_collect *collect, const char *name, struct hilum_error *error)
{
	for (int32_t i = 0; i < collect->origin_count; i++)
		if (strcmp(collect->origins[i], name) == 0)
			return i;
	if (collect->origin_count == HILUM_CLASSES_MAX) {
		hl_fail(error, HILUM_ERROR_DATA, "more than %d classes: \"%.60s\" is one too many", HILUM_CLASSES_MAX,
		        name);
		return -1;
	}
	char *copy = hl_strdup(name);
	if (!copy) {
		hl_fail_memory(error, strlen(name), "a class name");
		return -1;
	}
	collect->origins[collect->origin_count] = copy;
	return collect->origin_count++;
}

enum hilum_status hl_collect_add(struct hl_collect *collect, const char *path, int32_t origin, const char *group,
                                 enum hl_split_part part, struct hilum_error *error)
{
	if (collect->count == HL_CASES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "more than %d cases", HL_CASES_MAX);
	if (collect->count == collect->capacity) {
		size_t capacity = collect->capacity ? collect->capacity * 2 : 256;
		struct hl_found *grown = hl_realloc(collect->found, capacity, sizeof(*grown));
		if (!grown)
			return hl_fail_memory(error, capacity * sizeof(*grown), "the list of cases");
		collect->found = grown;
		collect->capacity = capacity;
	}
	struct hl_found *found = &collect->found[collect->count];
	*found = (struct hl_found){.item = {.origin = origin, .part = part}, .group = group};
	found->item.path = hl_strdup(path);
	found->item.file = hl_path_join(collect->root, path);
	if (!found->item.path || !found->item.file) {
		hl_free(found->item.path);
		hl_free(found->item.file);
		return hl_fail_memory(error, strlen(path), "a path");
	}
	collect->count++;
	return HILUM_OK;
}

static void collect_free(struct hl_collect *collect)
{
	for (size_t i = 0; i < collect->count; i++) {
		hl_free(collect->found[i].item.path);
		hl_free(collect->found[i].item.file);
	}
	for (int32_t i = 0; i < collect->origin_count; i++)
		hl_free(collect->origins[i]);
	for (size_t i = 0; i < collect->slice_total; i++)
		hl_free(collect->slices[i]);
	hl_free(collect->slices);
	hl_free(collect->found);
	hl_free(collect->root);
	hl_csv_free(&collect->manifest);
	hl_csv_free(&collect->groups);
}

int hl_found_compare(const void *a, const void *b)
{
	return strcmp(((const struct hl_found *)a)->item.path, ((const struct hl_found *)b)->item.path);
}

struct hl_found *hl_collect_find(const struct hl_collect *collect, const char *path)
{
	size_t low = 0, high = collect->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(path, collect->found[middle].item.path);
		if (order == 0)
			return &collect->found[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* ---- folders ---- */

struct walk {
	struct hl_collect *collect;
	int32_t origin;
	size_t skipped; /* files of no known format */
	size_t series;  /* folders that are cases */
	int depth;
	struct {
		dev_t device;
		ino_t inode;
	} above[DEPTH_MAX]; /* folders from the class folder down: a link back to one of them would never end */
};

static enum hilum_status walk_enter(struct walk *walk, const char *folder, struct hilum_error *error)
{
	struct stat about;
	if (walk->depth == DEPTH_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%s: folders more than %d deep", folder, DEPTH_MAX);
	if (stat(folder, &about) != 0)
		return hl_fail_errno(error, folder);
	for (int i = 0; i < walk->depth; i++)
		if (walk->above[i].device == about.st_dev && walk->above[i].inode == about.st_ino)
			return hl_fail(error, HILUM_ERROR_DATA, "%s: a link back to a folder that holds it", folder);
	walk->above[walk->depth].device = about.st_dev;
	walk->above[walk->depth].inode = about.st_ino;
	walk->depth++;
	return HILUM_OK;
}

static enum hilum_status walk_add(struct walk *walk, const char *path, struct hilum_error *error)
{
	char tidy[HL_PATH_MAX];
	const char *wrong = hl_path_tidy(path, tidy);
	if (wrong)
		return hl_fail(error, HILUM_ERROR_DATA, "%s: a name below it %s", walk->collect->root, wrong);
	return hl_collect_add(walk->collect, tidy, walk->origin, NULL, HL_PART_NONE, error);
}

/* path is the folder's, relative to the root. */
static enum hilum_status walk_folder(struct walk *walk, const char *path, struct hilum_error *error)
{
	struct hl_names names = {0};
	char *folder = hl_path_join(walk->collect->root, path), *child = NULL, *file = NULL;
	enum hilum_status status;
	if (!folder)
		return hl_fail_memory(error, strlen(path), "a path");
	status = walk_enter(walk, folder, error);
	if (status) {
		hl_free(folder);
		return status;
	}
	status = hl_directory_list(folder, HL_CASES_MAX, &names, error);
	bool series = !status && walk->depth > 1 && hl_folder_is_series(folder, &names);
	if (series) {
		walk->series++;
		status = walk_add(walk, path, error);
	}
	for (size_t i = 0; i < names.count && !status && !series; i++) {
		child = hl_path_join(path, names.name[i]);
		file = hl_path_join(folder, names.name[i]);
		if (!child || !file)
			status = hl_fail_memory(error, strlen(folder), "a path");
		else if (hl_path_is_directory(file))
			status = walk_folder(walk, child, error);
		else if (!hl_scan_has_extension(names.name[i]))
			walk->skipped++;
		else
			status = walk_add(walk, child, error);
		hl_free(child);
		hl_free(file);
	}
	hl_names_free(&names);
	hl_free(folder);
	walk->depth--;
	return status;
}

static bool is_part_name(const char *name)
{
	static const char *const parts[] = {"train", "training", "val", "valid", "validation", "test", "testing"};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcasecmp(name, parts[i]) == 0)
			return true;
	return false;
}

static enum hilum_status walk_class(struct hl_collect *collect, const char *name, size_t *skipped, size_t *series,
                                    struct hilum_error *error)
{
	struct walk walk = {.collect = collect};
	const char *wrong = hl_name_check(name);
	size_t before = collect->count;
	if (wrong)
		return hl_fail(error, HILUM_ERROR_DATA, "%s: a class folder's name %s", collect->root, wrong);
	walk.origin = hl_collect_origin(collect, name, error);
	if (walk.origin < 0)
		return hl_prefix(error, HILUM_ERROR_DATA, "%s", collect->root);
	enum hilum_status status = walk_folder(&walk, name, error);
	*skipped += walk.skipped;
	*series += walk.series;
	if (!status && collect->count == before)
		return hl_fail(error, HILUM_ERROR_DATA, "%s/%s: no pictures in this class folder", collect->root, name);
	return status;
}

static enum hilum_status collect_folders(struct hl_collect *collect, struct hilum_error *error)
{
	struct hl_names names = {0};
	enum hilum_status status = hl_directory_list(collect->root, HL_CASES_MAX, &names, error);
	size_t skipped = 0, series = 0, folders = 0, parts = 0, loose = 0;
	if (status)
		return status;
	for (size_t i = 0; i < names.count && !status; i++) {
		char *folder = hl_path_join(collect->root, names.name[i]);
		if (!folder) {
			status = hl_fail_memory(error, strlen(names.name[i]), "a path");
		} else if (hl_path_is_directory(folder)) {
			folders++;
			parts += is_part_name(names.name[i]);
			status = walk_class(collect, names.name[i], &skipped, &series, error);
		} else {
			loose += hl_scan_has_extension(names.name[i]);
		}
		hl_free(folder);
	}
	hl_names_free(&names);
	if (status)
		return status;
	if (folders < 2)
		return hl_fail(error, HILUM_ERROR_DATA,
		               "%s: %zu class folder%s; at least two are needed, or a CSV manifest (path,label)",
		               collect->root, folders, folders == 1 ? "" : "s");
	if (parts == folders)
		return hl_fail(
		    error, HILUM_ERROR_DATA,
		    "%s: its folders are named like the parts of a split, not like classes; give a CSV manifest "
		    "with a split column",
		    collect->root);
	if (series > 0)
		hl_log(HILUM_LOG_INFO, "%s: %zu folder%s of DICOM series, each one case", collect->root, series,
		       series == 1 ? "" : "s");
	if (skipped > 0)
		hl_log(HILUM_LOG_WARNING, "%s: %zu file%s of no known picture format skipped", collect->root, skipped,
		       skipped == 1 ? "" : "s");
	if (loose > 0)
		hl_log(HILUM_LOG_WARNING, "%s: %zu picture%s outside the class folders skipped", collect->root, loose,
		       loose == 1 ? "" : "s");
	return HILUM_OK;
}

/* ---- from what was gathered to a data set ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum hilum_status sort_found(struct hl_collect *collect, const char *path, struct hilum_error *error)
{
	char *unsorted[HILUM_CLASSES_MAX];
	int32_t place[HILUM_CLASSES_MAX] = {0};
	memcpy(unsorted, collect->origins, sizeof(unsorted));
	qsort(collect->origins, (size_t)collect->origin_count, sizeof(*collect->origins), compare_names);
	for (int32_t i = 0; i < collect->origin_count; i++)
		for (int32_t j = 0; j < collect->origin_count; j++)
			if (unsorted[i] == collect->origins[j])
				place[i] = j;
	for (size_t i = 0; i < collect->count; i++)
		collect->found[i].item.origin = place[collect->found[i].item.origin];
	if (collect->origin_count < 2)
		return hl_fail(error, HILUM_ERROR_DATA, "%s: one class only (\"%s\"); at least two are needed", path,
		               collect->origin_count ? collect->origins[0] : "");
	qsort(collect->found, collect->count, sizeof(*collect->found), hl_found_compare);
	for (size_t i = 1; i < collect->count; i++)
		if (hl_found_compare(&collect->found[i - 1], &collect->found[i]) == 0)
			return hl_fail(error, HILUM_ERROR_DATA, "%s: %s is listed twice%s", path,
			               collect->found[i].item.path,
			               collect->found[i - 1].item.origin != collect->found[i].item.origin
			                   ? ", under different labels"
			                   : "");
	return HILUM_OK;
}

struct grouped {
	const char *group;
	size_t index;
};

static int compare_grouped(const void *a, const void *b)
{
	const struct grouped *x = a, *y = b;
	int order = strcmp(x->group, y->group);
	return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Groups in the order of their names; a case without one is its own, under its path. */
static enum hilum_status number_groups(const struct hl_collect *collect, struct hl_dataset *dataset,
                                       struct hilum_error *error)
{
	struct grouped *order = hl_alloc(dataset->count, sizeof(*order));
	enum hilum_status status = HILUM_OK;
	dataset->groups = hl_alloc(dataset->count, sizeof(*dataset->groups));
	dataset->grouped = collect->grouped;
	if (!order || !dataset->groups) {
		hl_free(order);
		return hl_fail_memory(error, dataset->count * sizeof(*order), "groups");
	}
	for (size_t i = 0; i < dataset->count; i++) {
		order[i].group = collect->grouped ? collect->found[i].group : dataset->cases[i].path;
		order[i].index = i;
	}
	if (collect->grouped)
		qsort(order, dataset->count, sizeof(*order), compare_grouped);
	for (size_t i = 0; i < dataset->count && !status; i++) {
		if (i == 0 || strcmp(order[i - 1].group, order[i].group) != 0) {
			char *name = hl_strdup(order[i].group);
			if (!name)
				status = hl_fail_memory(error, strlen(order[i].group), "a group's name");
			else
				dataset->groups[dataset->group_count++] = name;
		}
		dataset->cases[order[i].index].group = dataset->group_count - 1;
	}
	hl_free(order);
	return status;
}

static bool first_word_is(const char *name, const char *word)
{
	size_t length = strlen(word);
	return strncasecmp(name, word, length) == 0 && !isalnum((unsigned char)name[length]);
}

/* How much a class's name sounds like the negative one: 3 plainly, 2 as the negation of a finding, 1 for benign
 * findings, 0 not at all. Negations turn it round, so that "not normal" is positive and "no nodule" negative; "nodule"
 * itself is no negation, and beside "normal" neither is "non-small cell". */
static int negative_rank(const char *name)
{
	static const char *const words[] = {"normal", "healthy", "negative", "neg", "control", "controls", "none", "0"};
	static const char *const negations[] = {"no", "non", "not", "without"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (first_word_is(name, words[i]))
			return 3;
	if (first_word_is(name, "benign"))
		return 1;
	for (size_t i = 0; i < sizeof(negations) / sizeof(negations[0]); i++)
		if (first_word_is(name, negations[i]) && name[strlen(negations[i])])
			return negative_rank(name + strlen(negations[i]) + 1) ? 0 : 2;
	if (strncasecmp(name, "non", 3) == 0 && name[3])
		return negative_rank(name + 3) ? 0 : 2;
	return 0;
}

/* "A+B" of the origins on one side of a binary task. */
static char *side_name(const struct hl_dataset *dataset, const bool *positive, bool side)
{
	char text[HL_NAME_MAX] = "";
	size_t used = 0;
	for (int32_t i = 0; i < dataset->origin_count; i++) {
		if (positive[i] != side)
			continue;
		size_t length = strlen(dataset->origins[i]);
		if (used + length + 2 > sizeof(text))
			return hl_strdup(side ? "positive" : "negative");
		if (used)
			text[used++] = '+';
		memcpy(text + used, dataset->origins[i], length + 1);
		used += length;
	}
	return hl_strdup(text);
}

static enum hilum_status mark_positive(const struct hl_dataset *dataset, const char *text, bool *positive,
                                       struct hilum_error *error)
{
	for (const char *at = text;;) {
		size_t length = strcspn(at, ","), skip = strspn(at, " ");
		const char *name = at + (skip < length ? skip : length);
		size_t end = length - (size_t)(name - at);
		bool known = false;
		while (end > 0 && name[end - 1] == ' ')
			end--;
		for (int32_t i = 0; i < dataset->origin_count; i++) {
			if (strncmp(dataset->origins[i], name, end) == 0 && dataset->origins[i][end] == '\0')
				positive[i] = known = true;
		}
		if (!known) {
			char found[300] = "";
			for (int32_t i = 0; i < dataset->origin_count && strlen(found) + 40 < sizeof(found); i++)
				snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%.36s", i ? ", " : "",
				         dataset->origins[i]);
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "--positive: no class \"%.*s\"; found: %s",
			               (int)(end < 80 ? end : 80), name, found);
		}
		if (!at[length])
			return HILUM_OK;
		at += length + 1;
	}
}

static enum hilum_status set_classes(struct hl_dataset *dataset, const char *positive_names, struct hilum_error *error)
{
	bool positive[HILUM_CLASSES_MAX] = {false};
	int32_t count = 0;
	bool binary = positive_names || dataset->origin_count == 2;
	if (positive_names) {
		enum hilum_status status = mark_positive(dataset, positive_names, positive, error);
		if (status)
			return status;
	} else if (binary) {
		int first = negative_rank(dataset->origins[0]), second = negative_rank(dataset->origins[1]);
		positive[first < second ? 0 : 1] = true;
	}
	for (int32_t i = 0; i < dataset->origin_count; i++)
		count += positive[i];
	if (binary && count == dataset->origin_count)
		return hl_fail(error, HILUM_ERROR_ARGUMENT,
		               "--positive: all %d classes are named; none is left to be negative", count);
	dataset->class_count = binary ? 2 : dataset->origin_count;
	dataset->classes = hl_alloc((size_t)dataset->class_count, sizeof(*dataset->classes));
	for (int32_t i = 0; dataset->classes && i < dataset->class_count; i++) {
		dataset->classes[i] = binary ? side_name(dataset, positive, i == 1) : hl_strdup(dataset->origins[i]);
		if (!dataset->classes[i])
			return hl_fail_memory(error, HL_NAME_MAX, "class names");
	}
	if (!dataset->classes)
		return hl_fail_memory(error, sizeof(*dataset->classes), "class names");
	for (size_t i = 0; i < dataset->count; i++)
		dataset->cases[i].label = binary ? positive[dataset->cases[i].origin] : dataset->cases[i].origin;
	return HILUM_OK;
}

/* Moves what was gathered into the data set. */
static enum hilum_status take(struct hl_collect *collect, struct hl_dataset *dataset, struct hilum_error *error)
{
	dataset->cases = hl_alloc(collect->count, sizeof(*dataset->cases));
	dataset->origins = hl_alloc((size_t)collect->origin_count, sizeof(*dataset->origins));
	if (!dataset->cases || !dataset->origins)
		return hl_fail_memory(error, collect->count * sizeof(*dataset->cases), "cases");
	for (size_t i = 0; i < collect->count; i++)
		dataset->cases[i] = collect->found[i].item;
	memcpy(dataset->origins, collect->origins, (size_t)collect->origin_count * sizeof(*dataset->origins));
	dataset->count = collect->count;
	dataset->origin_count = collect->origin_count;
	dataset->root = collect->root;
	dataset->has_parts = collect->has_parts;
	dataset->slices = collect->slices;
	dataset->slice_total = collect->slice_total;
	collect->slices = NULL;
	collect->slice_total = 0;
	collect->root = NULL;
	collect->count = 0;
	collect->origin_count = 0;
	return number_groups(collect, dataset, error);
}

static enum hilum_status gather(struct hl_collect *collect, const char *path, struct hilum_error *error)
{
	bool folder = hl_path_is_directory(path);
	const char *slash = strrchr(path, '/');
	if (!folder && !hl_path_exists(path))
		return hl_fail(error, HILUM_ERROR_IO, "%s: no such file or folder", path);
	if (folder || !slash)
		collect->root = hl_strdup(folder ? path : ".");
	else
		collect->root = hl_format("%.*s", slash == path ? 1 : (int)(slash - path), path);
	if (!collect->root)
		return hl_fail_memory(error, strlen(path), "a path");
	return folder ? collect_folders(collect, error) : hl_manifest_read(collect, path, error);
}

enum hilum_status hl_dataset_open(const char *path, const struct hl_dataset_options *options, struct hl_dataset **out,
                                  struct hilum_error *error)
{
	struct hl_collect *collect = hl_alloc(1, sizeof(*collect));
	struct hl_dataset *dataset = hl_alloc(1, sizeof(*dataset));
	enum hilum_status status;
	/* Before the memory for batches and tensors is taken. */
	hl_sandbox_start();
	if (!collect || !dataset) {
		status = hl_fail_memory(error, sizeof(*dataset), "a data set");
		goto out;
	}
	status = gather(collect, path, error);
	if (!status)
		status = sort_found(collect, path, error);
	if (!status && options && options->groups)
		status = hl_manifest_groups(collect, options->groups, error);
	if (!status && options && options->dims != HL_DIMS_2)
		status = hl_stacks_make(collect, path, options->dims, error);
	if (!status)
		status = take(collect, dataset, error);
	if (!status)
		status = set_classes(dataset, options ? options->positive : NULL, error);
	if (status)
		goto out;
	*out = dataset;
	dataset = NULL;
out:
	hl_dataset_free(dataset);
	if (collect)
		collect_free(collect);
	hl_free(collect);
	return status;
}

/* ---- asking ---- */

struct hl_case *hl_dataset_find(const struct hl_dataset *dataset, const char *path)
{
	char tidy[HL_PATH_MAX];
	size_t low = 0, high = dataset->count;
	if (hl_path_tidy(path, tidy))
		return NULL;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(tidy, dataset->cases[middle].path);
		if (order == 0)
			return &dataset->cases[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

uint32_t *hl_dataset_select(const struct hl_dataset *dataset, enum hl_split_part part, size_t *count)
{
	uint32_t *selected = hl_alloc(dataset->count ? dataset->count : 1, sizeof(*selected));
	size_t used = 0;
	if (!selected)
		return NULL;
	for (size_t i = 0; i < dataset->count; i++)
		if (part == HL_PART_NONE || dataset->cases[i].part == part)
			selected[used++] = (uint32_t)i;
	*count = used;
	return selected;
}

/* Bytes of a file, or of the files in a folder, which is a series; -1 where there is nothing. */
static long long size_of(const char *path)
{
	struct hl_names names;
	struct stat about;
	long long size = 0;
	if (stat(path, &about) != 0)
		return -1;
	if (!S_ISDIR(about.st_mode))
		return (long long)about.st_size;
	if (hl_directory_list(path, HL_CASES_MAX, &names, NULL))
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		char *file = hl_path_join(path, names.name[i]);
		if (file && stat(file, &about) == 0 && S_ISREG(about.st_mode))
			size += (long long)about.st_size;
		hl_free(file);
	}
	hl_names_free(&names);
	return size;
}

/* Of a case: of all files of its stack. */
static long long size_of_case(const struct hl_dataset *dataset, const struct hl_case *item)
{
	long long size = 0;
	if (item->slice_count == 0)
		return size_of(item->file);
	for (int32_t i = 0; i < item->slice_count; i++)
		size += size_of(dataset->slices[item->slice_first + (size_t)i]);
	return size;
}

/* A chain of digests, so that the memory needed does not grow with the data set. */
void hl_dataset_hash(const struct hl_dataset *dataset, char hex[65])
{
	struct hl_sha256 chain = hl_sha256("", 0);
	for (size_t i = 0; i < dataset->count; i++) {
		const struct hl_case *item = &dataset->cases[i];
		const char *label = dataset->origins[item->origin];
		char link[256];
		long long size = size_of_case(dataset, item);
		int length =
		    snprintf(link, sizeof(link), "%s %s %s %lld\n", chain.hex,
		             hl_sha256(item->path, strlen(item->path)).hex, hl_sha256(label, strlen(label)).hex, size);
		chain = hl_sha256(link, (size_t)length);
	}
	memcpy(hex, chain.hex, sizeof(chain.hex));
}

/* ---- reading ---- */

enum hilum_status hl_dataset_read(const struct hl_dataset *dataset, size_t index, const struct hl_recipe *recipe,
                                  uint8_t *out, struct hl_met *met, struct hilum_error *error)
{
	const struct hl_case *item = &dataset->cases[index];
	if (item->slice_count == 0)
		return hl_recipe_open(recipe, item->file, out, met, error);
	return hl_recipe_open_stack(recipe, dataset->slices + item->slice_first, item->slice_count, item->slice_at, out,
	                            met, error);
}
