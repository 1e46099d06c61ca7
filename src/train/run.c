#include "train/run.h"

#include "base/file.h"
#include "base/log.h"
#include "base/number.h"
#include "train/options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MAX ((size_t)64 << 20)
#define NAMES_MAX 100000 /* automatic run folders tried */

/* "resnet18" from "dir/resnet18.txt" or "resnet18 width=2": the word that names a run. */
static void short_name(const char *text, char *out, size_t size)
{
	size_t length = strcspn(text, " \t\n"), start = 0, used = 0;
	while (length > 0 && text[length - 1] == '/')
		length--;
	for (size_t i = 0; i < length; i++)
		if (text[i] == '/')
			start = i + 1;
	for (size_t i = length; i > start + 1; i--)
		if (text[i - 1] == '.') {
			length = i - 1;
			break;
		}
	for (size_t i = start; i < length && used + 1 < size; i++) {
		unsigned char c = (unsigned char)text[i];
		out[used++] = isalnum(c) && c < 128 ? (char)c : '-';
	}
	out[used] = '\0';
	if (used == 0)
		snprintf(out, size, "run");
}

/* mkdir tells apart who was first when two trainings look for a name at once. */
static enum hilum_status make_free(const struct hilum_train_options *options, char *folder, size_t size,
                                   struct hilum_error *error)
{
	char arch[48], data[48];
	short_name(options->arch ? options->arch : options->init ? options->init : "seed", arch, sizeof(arch));
	short_name(options->data, data, sizeof(data));
	enum hilum_status status = hl_directory_make("runs", error);
	for (int n = 1; n <= NAMES_MAX && !status; n++) {
		snprintf(folder, size, "runs/%s-%s-%d", arch, data, n);
		if (mkdir(folder, 0777) == 0)
			return HILUM_OK;
		if (errno != EEXIST)
			return hl_fail_errno(error, folder);
	}
	return status ? status : hl_fail(error, HILUM_ERROR_LIMIT, "runs: no free name for another run");
}

static enum hilum_status take_lock(struct hl_run *run, struct hilum_error *error)
{
	char path[HL_RUN_PATH_MAX];
	enum hilum_status status = hl_run_path(run, "lock", path, error);
	if (status)
		return status;
	run->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (run->lock < 0)
		return hl_fail_errno(error, path);
	if (flock(run->lock, LOCK_EX | LOCK_NB) == 0)
		return HILUM_OK;
	if (errno == EWOULDBLOCK)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: another training is writing into this folder",
		               run->folder);
	if (errno != ENOLCK && errno != EOPNOTSUPP && errno != ENOSYS)
		return hl_fail_errno(error, path);
	hl_log(HILUM_LOG_WARNING, "%s: this file system cannot lock; do not start two trainings here", run->folder);
	return HILUM_OK;
}

/* What a killed training left half written. */
static void clear_leftovers(const struct hl_run *run)
{
	struct hl_names names;
	if (hl_directory_list(run->folder, NAMES_MAX, &names, NULL))
		return;
	for (size_t i = 0; i < names.count; i++) {
		char path[HL_RUN_PATH_MAX];
		const char *tail = strstr(names.name[i], ".tmp-");
		if (tail && tail[5] && tail[5 + strspn(tail + 5, "0123456789")] == '\0' &&
		    hl_run_path(run, names.name[i], path, NULL) == HILUM_OK)
			unlink(path);
	}
	hl_names_free(&names);
}

enum hilum_status hl_run_open(const struct hilum_train_options *options, struct hl_run *out, struct hilum_error *error)
{
	struct hl_run run = {.lock = -1};
	enum hilum_status status = HILUM_OK;
	struct hl_buffer quoted;
	hl_buffer_init(&run.log, LOG_MAX);
	hl_buffer_init(&quoted, sizeof(run.quoted) - 1);
	if (options->out) {
		if (!options->out[0] || strlen(options->out) >= sizeof(run.folder))
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "out: from 1 to %zu bytes", sizeof(run.folder) - 1);
		memcpy(run.folder, options->out, strlen(options->out) + 1);
		status = hl_directory_make(run.folder, error);
	} else {
		status = make_free(options, run.folder, sizeof(run.folder), error);
	}
	if (!status)
		status = take_lock(&run, error);
	if (!status && !options->resume &&
	    (hl_run_has(&run, HL_RUN_CHECKPOINT) || hl_run_has(&run, HL_RUN_BEST) || hl_run_has(&run, HL_RUN_LAST)))
		status = hl_fail(error, HILUM_ERROR_ARGUMENT,
		                 "%s: holds a training already; go on with it by --resume, or use another --out",
		                 run.folder);
	if (!status)
		status = hl_shell_quote(&quoted, run.folder, error);
	if (status) {
		hl_buffer_free(&quoted);
		hl_run_close(&run);
		return status;
	}
	clear_leftovers(&run);
	memcpy(run.quoted, quoted.data, quoted.length + 1);
	hl_buffer_free(&quoted);
	*out = run;
	return HILUM_OK;
}

void hl_run_close(struct hl_run *run)
{
	if (run->lock >= 0)
		close(run->lock);
	run->lock = -1;
	hl_buffer_free(&run->log);
}

enum hilum_status hl_run_path(const struct hl_run *run, const char *name, char path[HL_RUN_PATH_MAX],
                              struct hilum_error *error)
{
	int length = snprintf(path, HL_RUN_PATH_MAX, "%s/%s", run->folder, name);
	if (length < 0 || length >= HL_RUN_PATH_MAX)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: the path is too long", run->folder);
	return HILUM_OK;
}

bool hl_run_has(const struct hl_run *run, const char *name)
{
	char path[HL_RUN_PATH_MAX];
	return hl_run_path(run, name, path, NULL) == HILUM_OK && hl_path_exists(path);
}

enum hilum_status hl_run_write(const struct hl_run *run, const char *name, const char *text, struct hilum_error *error)
{
	char path[HL_RUN_PATH_MAX];
	const struct hl_part part = {text, strlen(text)};
	enum hilum_status status = hl_run_path(run, name, path, error);
	return status ? status : hl_file_write(path, &part, 1, error);
}

enum hilum_status hl_run_log_start(struct hl_run *run, const char *text, struct hilum_error *error)
{
	static const char header[] =
	    "epoch,step,lr,train_loss,val_loss,val_auc,val_accuracy,seconds,images_per_second\n";
	hl_buffer_free(&run->log);
	hl_buffer_init(&run->log, LOG_MAX);
	if (!text)
		text = header;
	return hl_buffer_append(&run->log, text, strlen(text), error);
}

static enum hilum_status add_number(struct hl_buffer *log, int digits, double value, struct hilum_error *error)
{
	char text[64] = "";
	if (isfinite(value))
		hl_number_print(text, sizeof(text), digits, value);
	return hl_buffer_print(log, error, ",%s", text);
}

enum hilum_status hl_run_log_add(struct hl_run *run, const struct hl_run_line *line, struct hilum_error *error)
{
	const double value[] = {line->lr,           line->train_loss, line->val_loss,         line->val_auc,
	                        line->val_accuracy, line->seconds,    line->images_per_second};
	enum hilum_status status =
	    hl_buffer_print(&run->log, error, "%lld,%lld", (long long)line->epoch, (long long)line->step);
	for (size_t i = 0; i < sizeof(value) / sizeof(value[0]) && !status; i++)
		status = add_number(&run->log, i < 5 ? 9 : 5, value[i], error);
	return status ? status : hl_buffer_append(&run->log, "\n", 1, error);
}

enum hilum_status hl_run_log_write(const struct hl_run *run, struct hilum_error *error)
{
	char path[HL_RUN_PATH_MAX];
	const struct hl_part part = {run->log.data, run->log.length};
	enum hilum_status status = hl_run_path(run, "log.csv", path, error);
	return status ? status : hl_file_write(path, &part, 1, error);
}
