/* A data set: a folder whose subfolders are classes, or a CSV manifest (path,label and optionally group or patient,
 * split, and stack or nodule with slice). No pixels are decoded here.
 *
 * A case is a file, a folder with a series or an archive. In 3-D the rows of a manifest that have one patient and one
 * stack (or nodule) are one case, its slices in the order of the column slice; in 2.5-D each row is a case that knows
 * its neighbours. */
#ifndef HL_DATA_DATASET_H
#define HL_DATA_DATASET_H
#include "data/recipe.h"

#define HL_CASES_MAX 10000000

enum hl_split_part { HL_PART_TRAIN, HL_PART_VAL, HL_PART_TEST, HL_PART_NONE };
extern const char *const hl_part_names[]; /* "train", "val", "test", "none" */

struct hl_case {
	char *path; /* as people write it: relative to the data set's root, "benign/case (1).jpg"; of a stack, that of
	               its first slice */
	char *file; /* to open */
	size_t slice_first;      /* of a stack: its files are slices[slice_first] ... of the data set */
	int32_t slice_count;     /* 0: not of a stack */
	int32_t slice_at;        /* 2.5-D: which of them the case is about; 3-D: the middle */
	int32_t label;           /* index into classes */
	int32_t origin;          /* index into origins: the class before merging */
	int32_t group;           /* index into groups; every case has one (its own where none was given) */
	enum hl_split_part part; /* HL_PART_NONE until split */
};

struct hl_dataset {
	char *root;
	size_t count;
	struct hl_case *cases; /* sorted by path */
	int32_t class_count;
	char **classes; /* binary: [negative, positive] */
	int32_t origin_count;
	char **origins; /* the classes as found */
	int32_t group_count;
	char **groups;
	char **slices; /* files of stacks */
	size_t slice_total;
	bool grouped;   /* groups were given (false: every case is its own) */
	bool has_parts; /* the manifest's split column was used */
};

struct hl_dataset_options {
	const char *positive; /* "A,B"; NULL: none. All other classes become the negative one */
	const char *groups;   /* CSV with path and group or patient; every case must be in it */
	enum hl_dims dims;    /* whether the stacks of a manifest are looked at */
};

/* Folder: class folders are taken as they are named; files whose name no format claims are skipped and counted in a
 * warning; folders inside class folders are walked, but one whose files are slices of a DICOM series is a case, so that
 * its slices never stand on two sides of a split (list them in a manifest where they are cases). A binary task's
 * positive class: of two folders the one whose name is not one of the usual negatives (normal, healthy, negative,
 * control, benign, no..., 0); otherwise the second in order. Errors: fewer than two classes, an empty class, a label
 * without cases, a duplicate path. */
enum hilum_status hl_dataset_open(const char *path, const struct hl_dataset_options *options, struct hl_dataset **out,
                                  struct hilum_error *error);
void hl_dataset_free(struct hl_dataset *dataset);
/* A case through a recipe, as hl_recipe_open. */
enum hilum_status hl_dataset_read(const struct hl_dataset *dataset, size_t index, const struct hl_recipe *recipe,
                                  uint8_t *out, struct hl_met *met, struct hilum_error *error);
/* Replaces the groups: group[i] of each case, 0 .. groups-1, which are named by their numbers from 1. Nothing has
 * changed on failure. */
enum hilum_status hl_dataset_regroup(struct hl_dataset *dataset, const uint32_t *group, uint32_t groups,
                                     struct hilum_error *error);
/* Cases of a part in order: a new array of indexes (hl_free), NULL without memory. HL_PART_NONE: all. */
uint32_t *hl_dataset_select(const struct hl_dataset *dataset, enum hl_split_part part, size_t *count);
/* The case of that path ("./" before it is allowed), or NULL. */
struct hl_case *hl_dataset_find(const struct hl_dataset *dataset, const char *path);
/* SHA-256 over paths, labels as found and file sizes: tells whether it is the same data set. Groups and merging are not
 * part of it, so that a model's own data set is known again without --groups and --positive. */
void hl_dataset_hash(const struct hl_dataset *dataset, char hex[65]);
#endif
