/* What the tests of training share: a small data set that is drawn, options for it, and looking into a run folder. */
#ifndef HL_TESTS_TRAINING_H
#define HL_TESTS_TRAINING_H
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <spng.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "eval/scores.h"
#include "model/model.h"

#define SIDE 32
#define CASES 24 /* a class */
#define PATH 512

static char root[PATH]; /* temporary, removed at the end */
static char warning[1024];

/* ---- the data set ---- */

static inline void write_png(const char *path, const uint8_t *pixels)
{
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	spng_ctx *context = spng_ctx_new(SPNG_CTX_ENCODER);
	struct spng_ihdr header = {
	    .width = SIDE, .height = SIDE, .bit_depth = 8, .color_type = SPNG_COLOR_TYPE_GRAYSCALE};
	assert_int_equal(spng_set_png_file(context, file), 0);
	assert_int_equal(spng_set_ihdr(context, &header), 0);
	assert_int_equal(spng_encode_image(context, pixels, SIDE * SIDE, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE), 0);
	spng_ctx_free(context);
	fclose(file);
}

/* A dark field with noise, and a bright disc whose size is the class. */
static inline void draw(const char *path, uint32_t number, int kind)
{
	struct hl_random random = hl_random_stream(99, (uint32_t)kind, number, HL_RANDOM_TEST);
	double x0 = hl_random_range(&random, 11, 21), y0 = hl_random_range(&random, 11, 21), radius = 2.5 + 2.5 * kind;
	uint8_t pixels[SIDE * SIDE];
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++) {
			double value = 60 + 15 * hl_random_normal(&random);
			if (kind > 0 && hypot(x - x0, y - y0) < radius)
				value += 120;
			pixels[y * SIDE + x] = (uint8_t)fmin(fmax(value, 0), 255);
		}
	write_png(path, pixels);
}

static inline void make_data(const char *folder, int classes)
{
	static const char *const names[] = {"clear", "small", "wide"};
	char path[2 * PATH];
	for (int k = 0; k < classes; k++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[k]);
		assert_int_equal(hl_directory_make(path, NULL), HILUM_OK);
		for (uint32_t i = 0; i < CASES; i++) {
			snprintf(path, sizeof(path), "%s/%s/case %02u.png", folder, names[k], i);
			draw(path, i, k);
		}
	}
	snprintf(path, sizeof(path), "%s/groups.csv", folder);
	FILE *file = fopen(path, "w");
	fprintf(file, "path,group\n");
	for (int k = 0; k < classes; k++)
		for (uint32_t i = 0; i < CASES; i++)
			fprintf(file, "%s/case %02u.png,%s%u\n", names[k], i, names[k], i / 2);
	fclose(file);
}

static inline int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status, (void)type, (void)walk;
	return remove(path);
}

static inline void remove_all(const char *folder)
{
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A path in the temporary folder, in one of a few turns of static memory. */
static const char *in_root(const char *name)
{
	static char turns[8][2 * PATH];
	static int turn;
	turn = (turn + 1) % 8;
	snprintf(turns[turn], sizeof(turns[turn]), "%s/%s", root, name);
	return turns[turn];
}

static inline void keep_warning(void *context, enum hilum_level level, const char *line)
{
	(void)context;
	if (level == HILUM_LOG_WARNING && !strstr(warning, "left out"))
		snprintf(warning, sizeof(warning), "%s", line);
}

static inline int set_up(void **state)
{
	(void)state;
	hilum_log_to(keep_warning, NULL);
	if (root[0])
		return 0;
	const char *base = getenv("TMPDIR");
	snprintf(root, sizeof(root), "%s/hilum-train-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(root))
		return -1;
	make_data(in_root("two"), 2);
	make_data(in_root("three"), 3);
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	remove_all(root);
	return 0;
}

/* ---- helpers ---- */

static inline struct hilum_train_options defaults(const char *data, const char *out)
{
	static char paths[8][2][2 * PATH];
	static int turn;
	turn = (turn + 1) % 8;
	struct hilum_train_options options;
	hilum_options_init(hilum_train_option_table, &options);
	snprintf(paths[turn][0], sizeof(paths[turn][0]), "%s/%s", root, data);
	snprintf(paths[turn][1], sizeof(paths[turn][1]), "%s/%s", root, out);
	options.data = paths[turn][0];
	options.out = paths[turn][1];
	options.arch = "seed filters=4,8 dense=8";
	options.size = SIDE;
	options.batch = 8;
	options.epochs = 3;
	options.lr = 0.01;
	options.seed = 3;
	options.threads = 1;
	options.split = "60/20/20";
	return options;
}

static inline void train(const struct hilum_train_options *options, struct hilum_train_result *result)
{
	struct hilum_error error = {.code = HILUM_OK};
	if (hilum_train(options, NULL, result, &error))
		fail_msg("%s", error.message);
}

static inline void expect(const struct hilum_train_options *options, enum hilum_status status, const char *words)
{
	struct hilum_error error = {.code = HILUM_OK};
	struct hilum_train_result result;
	memset(&result, 0x5a, sizeof(result));
	struct hilum_train_result before = result;
	enum hilum_status got = hilum_train(options, NULL, &result, &error);
	if (got != status || error.code != status || !strstr(error.message, words))
		fail_msg("expected %s with \"%s\", got %s: %s", hilum_status_name(status), words,
		         hilum_status_name(got), error.message);
	assert_memory_equal(&result, &before, sizeof(result));
}

static inline void model_hash(const char *run, const char *name, char hex[17])
{
	char path[3 * PATH];
	struct hilum_model *model = NULL;
	struct hilum_error error;
	snprintf(path, sizeof(path), "%s/%s", run, name);
	if (hl_model_load(path, &model, &error))
		fail_msg("%s", error.message);
	hl_model_hash(model, hex);
	hilum_model_close(model);
}

static char *read_text(const char *run, const char *name)
{
	char path[3 * PATH];
	struct hl_buffer text;
	struct hilum_error error;
	snprintf(path, sizeof(path), "%s/%s", run, name);
	if (hl_file_read(path, 1 << 20, &text, &error))
		fail_msg("%s", error.message);
	char *copy = hl_strdup(text.data);
	hl_buffer_free(&text);
	return copy;
}

/* log.csv without what the clock says. */
static char *read_log(const char *run)
{
	char *text = read_text(run, "log.csv"), *to = text;
	for (char *line = text; *line;) {
		int commas = 0;
		for (; *line && *line != '\n'; line++) {
			commas += *line == ',';
			if (commas < 7)
				*to++ = *line;
		}
		*to++ = '\n';
		line += *line == '\n';
	}
	*to = '\0';
	return text;
}

static inline double log_value(const char *log, int row, int column)
{
	for (; row >= 0; row--)
		log = strchr(log, '\n') + 1;
	for (; column > 0; column--)
		log = strchr(log, ',') + 1;
	return strtod(log, NULL);
}

static inline void copy_file(const char *from, const char *to)
{
	struct hl_buffer bytes;
	assert_int_equal(hl_file_read(from, 1 << 26, &bytes, NULL), HILUM_OK);
	struct hl_part part = {bytes.data, bytes.length};
	assert_int_equal(hl_file_write(to, &part, 1, NULL), HILUM_OK);
	hl_buffer_free(&bytes);
}

struct stopper {
	volatile int stop;
	int after, calls, epochs, best;
	double last_loss;
};

static inline void count_down(void *context, const struct hilum_progress *progress)
{
	struct stopper *stopper = context;
	assert_true(progress->epoch >= 1 && progress->epoch <= progress->epochs);
	assert_true(progress->step >= 1 && progress->step <= progress->steps);
	assert_true(isfinite(progress->loss));
	stopper->calls++;
	stopper->epochs += progress->epoch_done;
	stopper->best += progress->best;
	stopper->last_loss = progress->validation_loss;
	if (stopper->calls == stopper->after)
		stopper->stop = 1;
}
#endif
