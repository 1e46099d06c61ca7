/* Splits with whole groups on one side. */
#ifndef HL_DATA_SPLIT_H
#define HL_DATA_SPLIT_H
#include "data/dataset.h"

/* "70/15/15": percentages of train / val / test that sum to 100 (val or test may be 0). Stratified by origin class,
 * whole groups, by seed: groups are taken larger ones first (shuffled among equals), and each is drawn into one of the
 * parts that have room for it, with chances in proportion to the room left, so that large groups too land anywhere;
 * then groups are moved while that brings the shares nearer to those asked for. Every part asked for must get each
 * class, or HILUM_ERROR_DATA says which cannot. */
enum hilum_status hl_split_random(struct hl_dataset *dataset, const char *parts, uint64_t seed,
                                  struct hilum_error *error);

/* Test = rows whose fold column equals fold; train = the rest; then validation (a fraction of train, by groups, 0 for
 * none) is taken from train. CSV: path and column (NULL: "fold", or the only column that begins with fold). Cases
 * missing from the CSV are an error, and so is a group on two sides. */
enum hilum_status hl_split_folds(struct hl_dataset *dataset, const char *csv, const char *column, int64_t fold,
                                 double validation, uint64_t seed, struct hilum_error *error);

/* The number in that column for each case, in the cases' order. */
enum hilum_status hl_split_fold_numbers(struct hl_dataset *dataset, const char *csv, const char *column,
                                        int32_t *number, struct hilum_error *error);

/* A group on two sides is HILUM_ERROR_DATA naming the group's first two paths. */
enum hilum_status hl_split_check(const struct hl_dataset *dataset, struct hilum_error *error);

/* The split as CSV (path,label,group,part) to a file; and back (every case must be there). */
enum hilum_status hl_split_write(const struct hl_dataset *dataset, const char *path, struct hilum_error *error);
enum hilum_status hl_split_read(struct hl_dataset *dataset, const char *path, struct hilum_error *error);

/* The split as JSON text {"train": [paths], "val": [...], "test": [...]} for the model file, and applied back. A case
 * that the JSON does not name gets HL_PART_NONE. */
char *hl_split_json(const struct hl_dataset *dataset);
enum hilum_status hl_split_apply(struct hl_dataset *dataset, const char *json, struct hilum_error *error);
#endif
