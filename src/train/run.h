/* The run folder: everything about one training in files that people can read, and a lock so that two trainings cannot
 * write into one folder. */
#ifndef HL_TRAIN_RUN_H
#define HL_TRAIN_RUN_H
#include "base/buffer.h"

#define HL_RUN_BEST "best.hilum"
#define HL_RUN_LAST "last.hilum"
#define HL_RUN_CHECKPOINT "checkpoint.safetensors"

struct hl_run {
	char folder[512];
	char quoted[2048];    /* the same as a word for a shell */
	int lock;             /* file descriptor, -1: none */
	struct hl_buffer log; /* log.csv so far */
};

/* Makes and locks the folder: out, or runs/ARCH-DATA-N with the first free N. Without resume a folder that holds a
 * training already is HILUM_ERROR_ARGUMENT; with it, a folder may be missing: a training that was killed at once is
 * resumed like any other. hl_run_close. */
enum hilum_status hl_run_open(const struct hilum_train_options *options, struct hl_run *out, struct hilum_error *error);
void hl_run_close(struct hl_run *run);

/* FOLDER/NAME. */
#define HL_RUN_PATH_MAX 640
enum hilum_status hl_run_path(const struct hl_run *run, const char *name, char path[HL_RUN_PATH_MAX],
                              struct hilum_error *error);
bool hl_run_has(const struct hl_run *run, const char *name);
enum hilum_status hl_run_write(const struct hl_run *run, const char *name, const char *text, struct hilum_error *error);

/* One line of log.csv: epoch,step,lr,train_loss,val_loss,val_auc,val_accuracy,seconds,images_per_second. NaN is written
 * as an empty field. The file is replaced whole, so that it never ends in half a line. */
struct hl_run_line {
	int64_t epoch, step; /* step over the whole training */
	double lr, train_loss, val_loss, val_auc, val_accuracy, seconds, images_per_second;
};
enum hilum_status hl_run_log_start(struct hl_run *run, const char *text, struct hilum_error *error); /* NULL: empty */
enum hilum_status hl_run_log_add(struct hl_run *run, const struct hl_run_line *line, struct hilum_error *error);
enum hilum_status hl_run_log_write(const struct hl_run *run, struct hilum_error *error);
#endif
