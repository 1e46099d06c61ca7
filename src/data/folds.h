/* Folds: every case is tested once by a model that has seen none of its group. */
#ifndef HL_DATA_FOLDS_H
#define HL_DATA_FOLDS_H
#include "data/dataset.h"

#define HL_FOLDS_MAX 1000

/* number[repeat * cases + i] is the fold in which case i is tested, of the numbers in listed[repeat], which rise. */
struct hl_folds {
	size_t cases;
	int32_t repeats;
	int32_t *number;
	struct hl_fold_list {
		int32_t count;
		int32_t number[HL_FOLDS_MAX];
	} * listed;
};

/* Draws k folds, as often as there are repeats, each time anew: whole groups, larger ones first (shuffled among
 * equals), each into the fold where the classes' shares suffer least. HILUM_ERROR_DATA where a class has fewer than two
 * groups. A fold may lack a class that has fewer groups than there are folds. hl_folds_free. */
enum hilum_status hl_folds_draw(const struct hl_dataset *dataset, int32_t k, int32_t repeats, uint64_t seed,
                                struct hl_folds *out, struct hilum_error *error);
/* One repeat, from a table as hl_split_folds takes it. */
enum hilum_status hl_folds_read(struct hl_dataset *dataset, const char *csv, const char *column, struct hl_folds *out,
                                struct hilum_error *error);
void hl_folds_free(struct hl_folds *folds);

/* The name of a repeat's column in the table that is written: "fold", or "fold_1" and so on. */
void hl_folds_column(const struct hl_folds *folds, int32_t repeat, char name[32]);
/* As a table: path and those columns. */
enum hilum_status hl_folds_write(const struct hl_folds *folds, const struct hl_dataset *dataset, const char *path,
                                 struct hilum_error *error);
#endif
