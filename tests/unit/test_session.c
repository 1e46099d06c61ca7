#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/split.h"
#include "eval/scores.h"
#include "infer/predict.h"
#include "infer/selftest.h"
#include "scan/format.h"

#define SIDE 24
#define PER_CLASS 5

static char folder[] = "/tmp/hilum-session-XXXXXX";
static const char arch[] = "conv filters=4 size=3 pad=1\nbatchnorm\nrelu\nmaxpool size=2\ndropout rate=0.5\nflatten\n"
                           "dense units=$outputs\n";

static const char *in_folder(const char *name)
{
	static char path[4][512];
	static int next;
	next = (next + 1) % 4;
	snprintf(path[next], sizeof(path[next]), "%s/%s", folder, name);
	return path[next];
}

/* A noisy picture, brighter for class 1. */
static void draw(uint32_t index, int label, uint8_t *pixels, int width, int height)
{
	struct hl_random random = hl_random_stream(5, 0, index, HL_RANDOM_TEST);
	for (int i = 0; i < width * height; i++)
		pixels[i] = (uint8_t)(hl_random_below(&random, 156) + (label ? 100 : 0));
}

static void write_picture(const char *path, const uint8_t *pixels, int width, int height)
{
	struct hl_volume volume = {.width = width,
	                           .height = height,
	                           .depth = 1,
	                           .channels = 1,
	                           .type = HL_VOXEL_U8,
	                           .maximum = 255,
	                           .voxels = (void *)(uintptr_t)pixels};
	assert_int_equal(hl_png_write(path, &volume, NULL), HILUM_OK);
}

static struct hilum_model *make_model(char *const *classes, int32_t count, const char *split, const char *provenance)
{
	struct hl_recipe recipe = {.channels = 1,
	                           .size = 16,
	                           .fit = HL_FIT_CROP,
	                           .window = {-600, 1500},
	                           .mean = {0.5, 0.5, 0.5},
	                           .deviation = {0.25, 0.25, 0.25}};
	struct hilum_model *model;
	struct hilum_error error;
	if (hl_model_create(arch, hl_recipe_shape(&recipe), classes, count, 7, &model, &error))
		fail_msg("%s", error.message);
	model->recipe = hl_recipe_json(&recipe);
	model->split = split ? hl_strdup(split) : NULL;
	model->provenance = provenance ? hl_strdup(provenance) : NULL;
	return model;
}

static char *two[] = {"a", "b"};

/* a/ and b/ with five pictures each, model.hilum, and run/best.hilum, which is the same model. */
static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	hl_directory_make(in_folder("data/a"), NULL);
	hl_directory_make(in_folder("data/b"), NULL);
	hl_directory_make(in_folder("run"), NULL);
	hl_directory_make(in_folder("empty"), NULL);
	for (int i = 0; i < 2 * PER_CLASS; i++) {
		uint8_t pixels[SIDE * (SIDE + 7)];
		char name[64];
		int width = SIDE + i % 7;
		draw((uint32_t)i, i % 2, pixels, width, SIDE);
		snprintf(name, sizeof(name), "data/%s/%d.png", two[i % 2], i);
		write_picture(in_folder(name), pixels, width, SIDE);
	}
	struct hilum_model *model = make_model(two, 2, NULL, NULL);
	enum hilum_status status = hl_model_save(model, in_folder("model.hilum"), NULL);
	if (!status)
		status = hl_model_save(model, in_folder("run/best.hilum"), NULL);
	hilum_model_close(model);
	return status;
}

static int clean_up(void **state)
{
	char command[600];
	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	return system(command);
}

static struct hilum_model *opened(const char *name)
{
	struct hilum_model *model;
	struct hilum_error error;
	if (hilum_model_open(in_folder(name), &model, &error))
		fail_msg("%s", error.message);
	return model;
}

static struct hilum_session *session_of(const struct hilum_model *model, int64_t batch, int precision, int64_t threads)
{
	struct hilum_session *session;
	struct hilum_error error;
	const struct hilum_session_options options = {.batch = batch, .precision = precision, .threads = threads};
	if (hilum_session_open(model, &options, &session, &error))
		fail_msg("%s", error.message);
	return session;
}

static void opening(void **state)
{
	struct hilum_model *model = opened("run");
	struct hilum_error error;
	(void)state;
	assert_int_equal(hilum_model_class_count(model), 2);
	assert_string_equal(hilum_model_class_name(model, 1), "b");
	assert_null(hilum_model_class_name(model, 2));
	assert_null(hilum_model_class_name(model, -1));
	struct hilum_model *untouched = model;
	assert_int_equal(hilum_model_open(in_folder("empty"), &untouched, &error), HILUM_ERROR_IO);
	assert_non_null(strstr(error.message, "best.hilum"));
	assert_int_equal(hilum_model_open(in_folder("absent"), &untouched, NULL), HILUM_ERROR_IO);
	assert_int_equal(hilum_model_open(in_folder("data/a/0.png"), &untouched, NULL), HILUM_ERROR_FORMAT);
	assert_ptr_equal(untouched, model);
	struct hilum_session *session;
	const struct hilum_session_options wrong[] = {
	    {.batch = -1}, {.threads = -1}, {.precision = 4}, {.batch = 1 << 20}};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(hilum_session_open(model, &wrong[i], &session, NULL), HILUM_ERROR_ARGUMENT);
	assert_int_equal(hilum_session_open(model, NULL, &session, NULL), HILUM_OK);
	hilum_session_close(session);
	hl_free(model->recipe);
	model->recipe = NULL;
	assert_int_equal(hilum_session_open(model, NULL, &session, NULL), HILUM_ERROR_FORMAT);
	hilum_model_close(model);
	hilum_session_close(NULL);
}

/* Memory for one batch only gives the same bits, also where a whole batch cannot be read. */
static void little_memory(void **state)
{
	struct hilum_model *model = opened("model.hilum");
	struct hl_dataset *dataset;
	struct hilum_error error = {0};
	struct hl_predict_options options = {.batch = 4, .threads = 2};
	struct hl_predictions all, some;
	uint32_t cases[2 * PER_CLASS];
	char *files[2 * PER_CLASS], nowhere[] = "/nowhere/at all.png";
	(void)state;
	assert_int_equal(hl_dataset_open(in_folder("data"), NULL, &dataset, NULL), HILUM_OK);
	for (uint32_t i = 0; i < 2 * PER_CLASS; i++) {
		cases[i] = i;
		files[i] = dataset->cases[i].file;
	}
	for (uint32_t i = 4; i < 8; i++)
		dataset->cases[i].file = nowhere;
	assert_int_equal(hl_predict(model, dataset, cases, 2 * PER_CLASS, &options, &all, NULL), HILUM_OK);
	options.memory = 1;
	assert_int_equal(hl_predict(model, dataset, cases, 2 * PER_CLASS, &options, &some, NULL), HILUM_OK);
	assert_int_equal(all.unreadable, 4);
	assert_int_equal(some.unreadable, 4);
	assert_int_equal(all.count, 2 * PER_CLASS - 4);
	assert_int_equal(some.count, all.count);
	assert_memory_equal(some.index, all.index, all.count * sizeof(*all.index));
	assert_memory_equal(some.probability, all.probability, all.count * 2 * sizeof(double));
	hl_predictions_free(&some);
	hl_predictions_free(&all);
	assert_int_equal(hl_predict(model, dataset, cases + 4, 4, &options, &some, &error), HILUM_ERROR_DATA);
	assert_non_null(strstr(error.message, "none of 4 pictures"));
	for (uint32_t i = 0; i < 2 * PER_CLASS; i++)
		dataset->cases[i].file = files[i];
	hl_dataset_free(dataset);
	hilum_model_close(model);
}

/* The same bits one at a time, in batches, at other thread counts, and from memory. */
static void same_everywhere(void **state)
{
	struct hilum_model *model = opened("model.hilum");
	struct hl_dataset *dataset;
	(void)state;
	assert_int_equal(hl_dataset_open(in_folder("data"), NULL, &dataset, NULL), HILUM_OK);
	for (int precision = 0; precision < 2; precision++) {
		const struct hl_predict_options options = {.batch = 4, .precision = precision, .threads = 2};
		struct hl_predictions all;
		uint32_t cases[2 * PER_CLASS];
		for (uint32_t i = 0; i < 2 * PER_CLASS; i++)
			cases[i] = i;
		assert_int_equal(hl_predict(model, dataset, cases, 2 * PER_CLASS, &options, &all, NULL), HILUM_OK);
		assert_int_equal(all.count, 2 * PER_CLASS);
		assert_int_equal(all.unreadable, 0);
		struct hilum_session *four = session_of(model, 4, precision, 1),
		                     *one = session_of(model, 1, precision, 2);
		double low = 1, high = 0;
		for (size_t i = 0; i < all.count; i++) {
			const struct hl_case *this = &dataset->cases[all.index[i]];
			struct hilum_prediction a, b, c;
			struct hl_volume volume;
			assert_int_equal(hilum_predict_file(four, this->file, &a, NULL), HILUM_OK);
			assert_int_equal(hilum_predict_file(one, this->file, &b, NULL), HILUM_OK);
			assert_int_equal(hl_scan_open(this->file, &volume, NULL), HILUM_OK);
			assert_int_equal(hilum_predict_pixels(four, volume.voxels, HILUM_PIXEL_U8, volume.width,
			                                      volume.height, 1, &c, NULL),
			                 HILUM_OK);
			hl_volume_free(&volume);
			assert_memory_equal(a.probabilities, all.probability + 2 * i, 2 * sizeof(double));
			assert_memory_equal(&a, &c, sizeof(a));
			assert_float_equal(a.probability, b.probability, precision ? 1e-2 : 1e-6);
			assert_int_equal(a.count, 2);
			assert_true(a.probability == a.probabilities[1]);
			assert_int_equal(a.class_index, a.probability >= 0.5);
			low = fmin(low, a.probability);
			high = fmax(high, a.probability);
		}
		assert_true(high > low);
		hilum_session_close(one);
		hilum_session_close(four);
		hl_predictions_free(&all);
	}
	hl_dataset_free(dataset);
	hilum_model_close(model);
}

static void pixels(void **state)
{
	struct hilum_model *model = opened("model.hilum");
	struct hilum_session *session = session_of(model, 1, 0, 1);
	uint8_t grey[SIDE * SIDE];
	uint16_t deep[SIDE * SIDE];
	int16_t units[SIDE * SIDE];
	float reals[SIDE * SIDE];
	struct hilum_prediction a, b, c, d;
	(void)state;
	draw(77, 0, grey, SIDE, SIDE);
	for (int i = 0; i < SIDE * SIDE; i++) {
		deep[i] = (uint16_t)(grey[i] * 257);
		units[i] = (int16_t)(grey[i] * 6 - 1350); /* window -600 / 1500 */
		reals[i] = (float)units[i];
	}
	assert_int_equal(hilum_predict_pixels(session, grey, HILUM_PIXEL_U8, SIDE, SIDE, 1, &a, NULL), HILUM_OK);
	assert_int_equal(hilum_predict_pixels(session, deep, HILUM_PIXEL_U16, SIDE, SIDE, 1, &b, NULL), HILUM_OK);
	assert_float_equal(a.probability, b.probability, 1e-12);
	assert_int_equal(hilum_predict_pixels(session, units, HILUM_PIXEL_I16_HU, SIDE, SIDE, 1, &c, NULL), HILUM_OK);
	assert_int_equal(hilum_predict_pixels(session, reals, HILUM_PIXEL_F32_HU, SIDE, SIDE, 1, &d, NULL), HILUM_OK);
	assert_memory_equal(&c, &d, sizeof(c));
	assert_float_equal(a.probability, c.probability, 0.05);
	const struct {
		const void *pixels;
		int type, width, height, channels;
		enum hilum_status status;
	} wrong[] = {
	    {NULL, HILUM_PIXEL_U8, 8, 8, 1, HILUM_ERROR_ARGUMENT},
	    {grey, HILUM_PIXEL_U8, 0, 8, 1, HILUM_ERROR_ARGUMENT},
	    {grey, HILUM_PIXEL_U8, 8, -8, 1, HILUM_ERROR_ARGUMENT},
	    {grey, HILUM_PIXEL_U8, 8, 8, 2, HILUM_ERROR_ARGUMENT},
	    {grey, 9, 8, 8, 1, HILUM_ERROR_ARGUMENT},
	    {grey, -1, 8, 8, 1, HILUM_ERROR_ARGUMENT},
	    {(const char *)deep + 1, HILUM_PIXEL_U16, 8, 8, 1, HILUM_ERROR_ARGUMENT},
	    {grey, HILUM_PIXEL_U8, 1 << 30, 1 << 30, 1, HILUM_ERROR_LIMIT},
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		b = a;
		assert_int_equal(hilum_predict_pixels(session, wrong[i].pixels, (enum hilum_pixel)wrong[i].type,
		                                      wrong[i].width, wrong[i].height, wrong[i].channels, &b, NULL),
		                 wrong[i].status);
		assert_memory_equal(&a, &b, sizeof(a));
	}
	struct hilum_error error;
	assert_int_equal(hilum_predict_file(session, in_folder("absent.png"), &b, &error), HILUM_ERROR_IO);
	assert_non_null(strstr(error.message, "absent.png"));
	assert_int_equal(hilum_predict_file(session, in_folder("model.hilum"), &b, NULL), HILUM_ERROR_FORMAT);
	assert_memory_equal(&a, &b, sizeof(a));
	hilum_session_close(session);
	/* An answer that is not a finite number must not be taken for a class. */
	for (int64_t i = 0; i < model->graph->trained; i++)
		model->slab[i] = (float)NAN;
	session = session_of(model, 1, 0, 1);
	assert_int_equal(hilum_predict_pixels(session, grey, HILUM_PIXEL_U8, SIDE, SIDE, 1, &b, NULL),
	                 HILUM_ERROR_DATA);
	hilum_session_close(session);
	struct hl_dataset *dataset;
	struct hl_predictions predictions;
	const struct hl_predict_options options = {.batch = 2};
	assert_int_equal(hl_dataset_open(in_folder("data"), NULL, &dataset, NULL), HILUM_OK);
	assert_int_equal(hl_predict(model, dataset, (const uint32_t[]){0, 1, 2}, 3, &options, &predictions, NULL),
	                 HILUM_ERROR_DATA);
	hl_dataset_free(dataset);
	assert_int_equal(hl_check_logits((const float[]){0, (float)INFINITY}, 2, NULL), HILUM_ERROR_DATA);
	assert_int_equal(hl_check_logits((const float[]){0, 3e38F}, 2, NULL), HILUM_OK);
	hilum_model_close(model);
}

static void many_classes(void **state)
{
	char *names[] = {"x", "y", "z"};
	struct hilum_model *model = make_model(names, 3, NULL, NULL);
	struct hilum_session *session = session_of(model, 2, 0, 1);
	uint8_t grey[SIDE * SIDE];
	struct hilum_prediction p;
	(void)state;
	draw(3, 1, grey, SIDE, SIDE);
	assert_int_equal(hilum_predict_pixels(session, grey, HILUM_PIXEL_U8, SIDE, SIDE, 1, &p, NULL), HILUM_OK);
	assert_int_equal(p.count, 3);
	assert_float_equal(p.probabilities[0] + p.probabilities[1] + p.probabilities[2], 1, 1e-12);
	for (int i = 0; i < 3; i++)
		assert_true(p.probability >= p.probabilities[i]);
	assert_true(p.probability == p.probabilities[p.class_index]);
	hilum_session_close(session);
	hilum_model_close(model);
}

/* ---- evaluation ---- */

static struct hilum_scores *evaluated(const struct hilum_model *model, const struct hilum_eval_options *options)
{
	struct hilum_scores *scores;
	struct hilum_error error;
	if (hilum_eval(model, options, &scores, &error))
		fail_msg("%s", error.message);
	return scores;
}

static struct hilum_eval_options eval_options(void)
{
	struct hilum_eval_options options;
	hilum_options_init(hilum_eval_option_table, &options);
	options.data = in_folder("data");
	return options;
}

static void eval_parts(void **state)
{
	static const char split[] =
	    "{\"train\": [\"a/0.png\", \"a/2.png\", \"b/1.png\", \"b/3.png\"], \"val\": [\"a/4.png\", "
	    "\"b/5.png\"], \"test\": [\"a/6.png\", \"a/8.png\", \"b/7.png\", \"b/9.png\"]}";
	struct hl_dataset *dataset;
	char hex[65], provenance[128];
	(void)state;
	assert_int_equal(hl_dataset_open(in_folder("data"), NULL, &dataset, NULL), HILUM_OK);
	hl_dataset_hash(dataset, hex);
	hl_dataset_free(dataset);
	snprintf(provenance, sizeof(provenance), "{\"dataset\": \"%s\"}", hex);
	const struct {
		const char *split, *provenance, *asked;
		size_t n;
		const char *part;
	} cases[] = {
	    {split, provenance, NULL, 4, "test"},
	    {split, provenance, "test", 4, "test"},
	    {split, provenance, "val", 2, "val"},
	    {split, provenance, "train", 4, "train"},
	    {split, provenance, "all", 10, "all"},
	    {NULL, NULL, NULL, 10, "all"},
	    {split, "{\"dataset\": \"other\"}", NULL, 10, "all"},
	    {split, "{\"dataset\": \"other\"}", "test", 4, "test"},
	    {"{\"train\": [\"a/0.png\"], \"val\": [], \"test\": []}", provenance, NULL, 10, "all"},
	    {"{\"train\": [\"q/0.png\"], \"val\": [], \"test\": []}", provenance, NULL, 10, "all"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct hilum_model *model = make_model(two, 2, cases[i].split, cases[i].provenance);
		struct hilum_eval_options options = eval_options();
		options.split = cases[i].asked;
		struct hilum_scores *scores = evaluated(model, &options);
		assert_int_equal(scores->metrics.n, cases[i].n);
		assert_string_equal(scores->part, cases[i].part);
		hilum_scores_free(scores);
		hilum_model_close(model);
	}
	struct hilum_model *none = make_model(two, 2, NULL, NULL),
	                   *foreign = make_model(two, 2, "{\"train\": [\"q\"], \"val\": [], \"test\": []}", NULL),
	                   *no_val = make_model(two, 2, "{\"train\": [\"a/0.png\"], \"val\": [], \"test\": []}", NULL);
	struct hilum_eval_options options = eval_options();
	struct hilum_scores *scores = NULL;
	options.split = "test";
	assert_int_equal(hilum_eval(none, &options, &scores, NULL), HILUM_ERROR_DATA);
	assert_int_equal(hilum_eval(foreign, &options, &scores, NULL), HILUM_ERROR_DATA);
	options.split = "val";
	assert_int_equal(hilum_eval(no_val, &options, &scores, NULL), HILUM_ERROR_DATA);
	options.split = "most";
	assert_int_equal(hilum_eval(none, &options, &scores, NULL), HILUM_ERROR_ARGUMENT);
	assert_null(scores);
	hilum_model_close(none);
	hilum_model_close(foreign);
	hilum_model_close(no_val);
}

/* A model of merged classes finds them in the folders; other names need --positive. */
static void eval_classes(void **state)
{
	char *merged[] = {"a+c", "d+b"}, *swapped[] = {"b", "a"}, *wider[] = {"c", "b", "a"},
	     *other[] = {"well", "ill"};
	char *const *const good[] = {two, merged, wider};
	struct hilum_scores *scores, *untouched = NULL;
	struct hilum_eval_options options = eval_options();
	struct hilum_error error;
	(void)state;
	options.split = "all";
	for (size_t i = 0; i < 3; i++) {
		int32_t count = i == 2 ? 3 : 2;
		struct hilum_model *model = make_model(good[i], count, NULL, NULL);
		scores = evaluated(model, &options);
		for (size_t k = 0; k < scores->table.n; k++)
			assert_int_equal(scores->table.label[k], scores->table.id[k][0] == 'b' ? 1 : i == 2 ? 2 : 0);
		assert_string_equal(scores->table.names[0], good[i][0]);
		hilum_scores_free(scores);
		hilum_model_close(model);
	}
	struct hilum_model *model = make_model(swapped, 2, NULL, NULL);
	scores = evaluated(model, &options);
	assert_int_equal(scores->table.label[0], 1); /* a/0.png */
	hilum_scores_free(scores);
	hilum_model_close(model);
	model = make_model(other, 2, NULL, NULL);
	assert_int_equal(hilum_eval(model, &options, &untouched, &error), HILUM_ERROR_DATA);
	assert_non_null(strstr(error.message, "a, b"));
	assert_non_null(strstr(error.message, "well, ill"));
	assert_null(untouched);
	options.positive = "a";
	scores = evaluated(model, &options);
	assert_int_equal(scores->table.label[0], 1);
	assert_string_equal(scores->table.names[1], "ill");
	hilum_scores_free(scores);
	hilum_model_close(model);
}

static void eval_predictions(void **state)
{
	struct hilum_model *model = opened("model.hilum");
	struct hilum_eval_options options = eval_options();
	struct hilum_scores *scores, *again;
	FILE *broken = fopen(in_folder("data/b/broken.png"), "wb");
	(void)state;
	assert_non_null(broken);
	fputs("\x89PNG\r\n\x1a\n and then nothing", broken);
	fclose(broken);
	options.predictions = in_folder("predictions.csv");
	scores = evaluated(model, &options);
	assert_int_equal(scores->metrics.n, 2 * PER_CLASS);
	assert_int_equal(scores->unreadable, 1);
	assert_int_equal(hilum_score_file(options.predictions, NULL, &again, NULL), HILUM_OK);
	assert_memory_equal(&scores->metrics, &again->metrics, sizeof(scores->metrics));
	hilum_scores_free(again);
	hilum_scores_free(scores);
	options.predictions = in_folder("no/such/folder.csv");
	assert_int_equal(hilum_eval(model, &options, &scores, NULL), HILUM_ERROR_IO);
	remove(in_folder("data/b/broken.png"));
	hilum_model_close(model);
}

/* ---- descriptions ---- */

static char *described(const char *name, enum hilum_output output, bool plan)
{
	static char *text;
	static size_t size;
	struct hilum_error error;
	FILE *file = open_memstream(&text, &size);
	if (hilum_info(in_folder(name), output, plan, file, &error))
		fail_msg("%s", error.message);
	fclose(file);
	return text;
}

static void info(void **state)
{
	char *text = described("run", HILUM_OUTPUT_JSON, true);
	json_t *root = json_loads(text, 0, NULL);
	(void)state;
	assert_string_equal(json_string_value(json_object_get(root, "kind")), "model");
	assert_string_equal(json_string_value(json_object_get(root, "positive")), "b");
	assert_int_equal(json_array_size(json_object_get(root, "layers")), 7);
	/* conv 4x1x3x3 + 4, batch norm 8, dense 8*8*4 + 1 */
	assert_int_equal(json_integer_value(json_object_get(root, "parameters")), 40 + 8 + 257);
	const json_t *layer = json_array_get(json_object_get(root, "layers"), 0);
	assert_non_null(json_string_value(json_object_get(layer, "backend_fp32")));
	json_decref(root);
	free(text);
	text = described("model.hilum", HILUM_OUTPUT_TEXT, false);
	assert_non_null(strstr(text, "a, b (positive)"));
	assert_non_null(strstr(text, "conv1"));
	free(text);
	text = described("data/a/2.png", HILUM_OUTPUT_JSON, false);
	root = json_loads(text, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(root, "width")), SIDE + 2);
	assert_string_equal(json_string_value(json_object_get(root, "type")), "u8");
	json_decref(root);
	free(text);
	assert_int_equal(hilum_info(in_folder("data/a/2.png"), HILUM_OUTPUT_TEXT, true, stdout, NULL),
	                 HILUM_ERROR_ARGUMENT);
	assert_int_equal(hilum_info(in_folder("absent"), HILUM_OUTPUT_TEXT, false, stdout, NULL), HILUM_ERROR_IO);
	assert_int_equal(hilum_info(in_folder("empty"), HILUM_OUTPUT_TEXT, false, stdout, NULL), HILUM_ERROR_FORMAT);
}

static void ops(void **state)
{
	static char *text;
	static size_t size;
	FILE *file = open_memstream(&text, &size);
	(void)state;
	assert_int_equal(hilum_describe_ops(HILUM_OUTPUT_JSON, file, NULL), HILUM_OK);
	fclose(file);
	json_t *root = json_loads(text, 0, NULL);
	size_t count = 0;
	while (hl_ops[count])
		count++;
	assert_true(count > 10);
	assert_int_equal(json_array_size(json_object_get(root, "ops")), count);
	json_decref(root);
	free(text);
}

/* A back end that computes as the reference does, but for one wrong value. */
static void (*right)(struct hl_primitive *primitive, const struct hl_call *call);

static void wrong_forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	right(primitive, call);
	if (call->out->type == HL_F32)
		((float *)call->out->data)[0] += 0.01F;
}

static enum hilum_status wrong_compile(const struct hl_compile *request, struct hl_primitive **out,
                                       struct hilum_error *error)
{
	if (strcmp(request->op->name, "relu") != 0 || request->type != HL_F32)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "only relu");
	enum hilum_status status = hl_backend_reference.compile(request, out, error);
	if (!status) {
		right = (*out)->forward;
		(*out)->forward = wrong_forward;
	}
	return status;
}

static void self_test_notices(void **state)
{
	const struct hl_backend wrong = {.name = "wrong", .compile = wrong_compile};
	struct hl_selftest test;
	(void)state;
	assert_int_equal(hl_selftest_run(&wrong, &test, NULL), HILUM_OK);
	assert_true(test.ran > 0);
	assert_true(test.unsupported > test.ran);
	assert_false(test.agrees);
	assert_true(test.worst[HL_F32] > 1e-3);
	assert_non_null(strstr(test.where[HL_F32], "relu"));
	for (const struct hl_backend *const *backend = hl_backends(); *backend; backend++) {
		assert_int_equal(hl_selftest_run(*backend, &test, NULL), HILUM_OK);
		if (!test.agrees)
			fail_msg("%s: %s %g, %s %g", test.backend, test.where[0], test.worst[0], test.where[1],
			         test.worst[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(opening),           cmocka_unit_test(same_everywhere),
	    cmocka_unit_test(little_memory),     cmocka_unit_test(pixels),
	    cmocka_unit_test(many_classes),      cmocka_unit_test(eval_parts),
	    cmocka_unit_test(eval_classes),      cmocka_unit_test(info),
	    cmocka_unit_test(eval_predictions),  cmocka_unit_test(ops),
	    cmocka_unit_test(self_test_notices),
	};
	return cmocka_run_group_tests(tests, set_up, clean_up);
}
