/* Cases as they are gathered from folders or from a manifest, before they are sorted and become a data set. */
#ifndef HL_DATA_COLLECT_H
#define HL_DATA_COLLECT_H
#include "base/csv.h"
#include "base/file.h"
#include "data/dataset.h"

#define HL_PATH_MAX 4096
#define HL_NAME_MAX 256 /* bytes of a class's or group's name, with its NUL */

struct hl_found {
	struct hl_case item; /* label and group are not set yet */
	const char *group;   /* borrowed from manifest or groups below; NULL: none given */
	/* The manifest's columns, borrowed from it: whose stack, which, and which of its slices; NULL: no such column.
	 */
	const char *patient, *stack, *slice;
};

struct hl_collect {
	char *root;
	struct hl_found *found;
	size_t count, capacity;
	char *origins[HILUM_CLASSES_MAX];
	int32_t origin_count;
	char **slices; /* see struct hl_dataset */
	size_t slice_total;
	bool grouped, has_parts;
	struct hl_csv manifest, groups;
};

/* Writes path into out (HL_PATH_MAX bytes) without "./" and doubled slashes. A message when it is empty, too long, not
 * UTF-8 or holds control characters; NULL when it is sound. */
const char *hl_path_tidy(const char *path, char *out);
/* The same for the name of a class or group. */
const char *hl_name_check(const char *name);

/* Index of the class of that name, which is added when new; -1 with an error. */
int32_t hl_collect_origin(struct hl_collect *collect, const char *name, struct hilum_error *error);
/* Adds a case; path is tidy and relative to root, or absolute. It is the last of found then. */
enum hilum_status hl_collect_add(struct hl_collect *collect, const char *path, int32_t origin, const char *group,
                                 enum hl_split_part part, struct hilum_error *error);
/* The case of a tidy path in an array sorted by path, or NULL. */
struct hl_found *hl_collect_find(const struct hl_collect *collect, const char *path);

/* For qsort: by path. */
int hl_found_compare(const void *a, const void *b);

/* Makes one case of the slices of each stack (HL_DIMS_3), or tells each slice its neighbours (HL_DIMS_25). Without a
 * column stack or nodule nothing is done. HILUM_ERROR_DATA where slices of one stack have different labels, groups or
 * parts, or the same number. path: the manifest, for messages. */
enum hilum_status hl_stacks_make(struct hl_collect *collect, const char *path, enum hl_dims dims,
                                 struct hilum_error *error);

/* Whether the files of a folder are slices of a DICOM series, as the heads of the first few tell, whatever their names
 * are. names: what is in it. */
bool hl_folder_is_series(const char *folder, const struct hl_names *names);

/* All cases of a manifest. */
enum hilum_status hl_manifest_read(struct hl_collect *collect, const char *path, struct hilum_error *error);
/* The groups of all cases, which are sorted by path. */
enum hilum_status hl_manifest_groups(struct hl_collect *collect, const char *path, struct hilum_error *error);
/* Line of a row (from 0, without the header) as an editor counts if no line is blank, for messages. */
size_t hl_csv_line(const struct hl_csv *csv, size_t row);
/* A column that must be there, or -1 with an error that lists those that are. */
int hl_csv_need(const struct hl_csv *csv, const char *file, const char *name, struct hilum_error *error);
#endif
