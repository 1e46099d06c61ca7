/* Heat against what can be computed otherwise: by hand, by covering a picture and asking anew, by what gradients must
 * add up to; a network whose reason is known, and networks with random weights, which have none. */
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
#include "infer/explain.h"
#include "infer/explain_sanity.h"
#include "infer/explain_text.h"
#include "infer/predict.h"
#include "model/model.h"
#include "scan/format.h"

#define SIDE 32
#define RADIUS 1.6

static char folder[] = "/tmp/hilum-explain-XXXXXX";
static char *two[] = {"clear", "spot"};
static char *three[] = {"none", "one", "other"};

static const char *in_folder(const char *name)
{
	static char path[4][512];
	static int next;
	next = (next + 1) % 4;
	snprintf(path[next], sizeof(path[next]), "%s/%s", folder, name);
	return path[next];
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int clean_up(void **state)
{
	char command[600];
	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	return system(command);
}

/* ---- pictures, and networks to look at them ---- */

/* Dark noise with darker holes; with a bright spot at (x, y), unless x is negative. */
static void draw(uint32_t index, double x, double y, uint8_t *pixels, int width, int height)
{
	struct hl_random random = hl_random_stream(6, 0, index, HL_RANDOM_TEST);
	for (int row = 0; row < height; row++)
		for (int column = 0; column < width; column++) {
			double value = 60 + 8 * hl_random_normal(&random);
			if ((column + 3) % 11 < 3 && (row + 5) % 13 < 3)
				value -= 40;
			if (x >= 0 && hypot(column - x, row - y) < RADIUS)
				value += 130;
			pixels[row * width + column] = (uint8_t)fmin(fmax(value, 0), 255);
		}
}

static const char *write_picture(const char *name, const uint8_t *pixels, int width, int height)
{
	struct hl_volume volume = {.width = width,
	                           .height = height,
	                           .depth = 1,
	                           .channels = 1,
	                           .type = HL_VOXEL_U8,
	                           .maximum = 255,
	                           .voxels = (void *)(uintptr_t)pixels};
	const char *path = in_folder(name);
	assert_int_equal(hl_png_write(path, &volume, NULL), HILUM_OK);
	return path;
}

static struct hl_recipe recipe_of(enum hl_dims dims, enum hl_fit fit)
{
	return (struct hl_recipe){.channels = 1,
	                          .size = SIDE,
	                          .fit = fit,
	                          .window = {-600, 1500},
	                          .mean = {0, 0, 0},
	                          .deviation = {1, 1, 1},
	                          .dims = dims,
	                          .depth = dims == HL_DIMS_2    ? 0
	                                   : dims == HL_DIMS_25 ? 3
	                                                        : 4,
	                          .extent = dims == HL_DIMS_3 ? HL_EXTENT_WHOLE : HL_EXTENT_MIDDLE};
}

static struct hilum_model *make_model(const char *arch, const struct hl_recipe *recipe, char *const *classes,
                                      int32_t count, uint64_t seed)
{
	struct hilum_model *model;
	struct hilum_error error;
	if (hl_model_create(arch, hl_recipe_shape(recipe), classes, count, seed, &model, &error))
		fail_msg("%s", error.message);
	model->recipe = hl_recipe_json(recipe);
	return model;
}

static float *param(const struct hilum_model *model, const char *name)
{
	for (int32_t i = 0; i < model->graph->params; i++)
		if (strcmp(model->graph->param[i].name, name) == 0)
			return model->slab + model->graph->param[i].offset;
	fail_msg("no parameter %s", name);
	return NULL;
}

/* One filter answers to what is bright over 3 x 3 pixels, the other to what is dark: the largest answers decide. */
static struct hilum_model *spot_finder(const struct hl_recipe *recipe)
{
	struct hilum_model *model = make_model(
	    "conv filters=2 size=3 pad=1\nrelu\nglobalpool mode=max\ndense units=$outputs\n", recipe, two, 2, 1);
	int64_t taps = model->graph->param[0].count / 2;
	float *weight = param(model, "conv1.weight"), *bias = param(model, "conv1.bias");
	for (int64_t i = 0; i < taps; i++) {
		weight[i] = 1 / (float)taps;
		weight[taps + i] = -1 / (float)taps;
	}
	bias[0] = taps > 9 ? -0.29F : -0.35F;
	bias[1] = 0.35F;
	float *last = param(model, "dense1.weight");
	last[0] = taps > 9 ? 60 : 30;
	last[1] = -2;
	param(model, "dense1.bias")[0] = -1;
	return model;
}

static struct hilum_explanation *explained(const struct hilum_model *model, const struct hilum_explain_options *options,
                                           const char *const *paths, int32_t count)
{
	struct hilum_explainer *explainer;
	struct hilum_explanation *made = NULL;
	struct hilum_error error;
	if (hilum_explainer_open(model, options, &explainer, &error) ||
	    hilum_explain(explainer, paths, count, &made, &error))
		fail_msg("%s", error.message);
	hilum_explainer_close(explainer);
	return made;
}

static struct hilum_explain_options defaults(enum hilum_method method)
{
	struct hilum_explain_options options;
	hilum_options_init(hilum_explain_option_table, &options);
	options.method = (int)method;
	options.threads = 1;
	return options;
}

static struct hl_heat opened(const struct hilum_model *model, const struct hl_recipe *recipe,
                             const struct hl_heat_options *options, int32_t target)
{
	struct hl_heat heat;
	struct hilum_error error;
	if (hl_heat_open(&heat, model->graph, recipe, options, &error))
		fail_msg("%s", error.message);
	hl_heat_bind(&heat, model->slab);
	heat.target = target;
	return heat;
}

/* ---- each method against another way ---- */

static const char deep[] = "conv filters=3 size=3 pad=1\nbatchnorm\nrelu\nmaxpool size=2\nconv filters=4 size=3 pad=1\n"
                           "relu\nflatten\ndropout rate=0.5\ndense units=$outputs\n";

/* With the mean over all places and one dense layer, the gradient by a map is its weight over the number of places
 * (Zhou et al., CVPR 2016): the maps of one convolution can be had by hand. */
static void gradcam_by_hand(void **state)
{
	const struct hl_recipe recipe = recipe_of(HL_DIMS_2, HL_FIT_CROP);
	struct hilum_model *model = make_model(
	    "conv filters=3 size=3 pad=1\nrelu\nglobalpool mode=avg\ndense units=$outputs\n", &recipe, three, 3, 5);
	uint8_t image[SIDE * SIDE];
	float map[SIDE * SIDE];
	(void)state;
	draw(1, 9, 20, image, SIDE, SIDE);
	for (int32_t target = 0; target < 3; target++) {
		const struct hl_heat_options options = {.method = HILUM_METHOD_GRADCAM, .threads = 1};
		struct hl_heat heat = opened(model, &recipe, &options, target);
		assert_string_equal(model->graph->node[heat.node].name, "relu1");
		assert_int_equal(hl_heat_map(&heat, image, map, NULL, NULL), HILUM_OK);
		for (int y = 0; y < SIDE; y++)
			for (int x = 0; x < SIDE; x++) {
				double expected = 0;
				for (int f = 0; f < 3; f++) {
					double sum = param(model, "conv1.bias")[f];
					for (int k = 0; k < 9; k++) {
						int v = y + k / 3 - 1, u = x + k % 3 - 1;
						if (u >= 0 && u < SIDE && v >= 0 && v < SIDE)
							sum += param(model, "conv1.weight")[9 * f + k] *
							       (image[v * SIDE + u] / 255.0);
					}
					expected += fmax(sum, 0) * param(model, "dense1.weight")[3 * target + f] /
					            (SIDE * SIDE);
				}
				assert_float_equal(map[y * SIDE + x], expected, 1e-7);
			}
		hl_heat_close(&heat);
	}
	hilum_model_close(model);
}

/* The log odds of the second class, through the public use of the model. */
static double logit_of(struct hilum_session *session, const uint8_t *image)
{
	struct hilum_prediction prediction;
	assert_int_equal(hilum_predict_pixels(session, image, HILUM_PIXEL_U8, SIDE, SIDE, 1, &prediction, NULL),
	                 HILUM_OK);
	return log(prediction.probability_raw / (1 - prediction.probability_raw));
}

/* Covers a square: each pixel by the mean of all pixels outside and not farther than side along either axis, with
 * normal weights. */
static void cover(const uint8_t *image, int left, int top, int side, uint8_t *out)
{
	memcpy(out, image, SIDE * SIDE);
	for (int i = 0; i < SIDE * SIDE; i++) {
		double sum = 0, total = 0;
		int x = i % SIDE, y = i / SIDE;
		if (x < left || x >= left + side || y < top || y >= top + side)
			continue;
		for (int k = 0; k < SIDE * SIDE; k++) {
			int u = k % SIDE, v = k / SIDE;
			bool inside = u >= left && u < left + side && v >= top && v < top + side;
			double weight = exp(-((u - x) * (u - x) + (v - y) * (v - y)) / (0.5 * side * side));
			if (!inside && abs(u - x) <= side && abs(v - y) <= side) {
				sum += weight * image[k];
				total += weight;
			}
		}
		out[i] = (uint8_t)lround(sum / total);
	}
}

/* Places one by one, each asked anew; between them heat is linear, so at them it is exact where the map has a pixel. */
static void occlusion_by_force(void **state)
{
	const struct hl_recipe recipe = recipe_of(HL_DIMS_2, HL_FIT_CROP);
	struct hilum_model *model = make_model(deep, &recipe, two, 2, 5);
	const struct hl_heat_options options = {.method = HILUM_METHOD_OCCLUSION, .patch = 6, .threads = 1};
	struct hl_heat heat = opened(model, &recipe, &options, 1);
	struct hilum_session *session;
	uint8_t image[SIDE * SIDE], covered[SIDE * SIDE];
	float map[SIDE * SIDE];
	double largest = 0, grid[11 * 11];
	(void)state;
	draw(2, 9, 20, image, SIDE, SIDE);
	assert_int_equal(hilum_session_open(model, NULL, &session, NULL), HILUM_OK);
	assert_int_equal(hl_heat_map(&heat, image, map, NULL, NULL), HILUM_OK);
	double whole = logit_of(session, image);
	for (int j = 0; j < 11; j++)
		for (int i = 0; i < 11; i++) {
			double x = (i + 0.5) * SIDE / 11, y = (j + 0.5) * SIDE / 11;
			cover(image, (int)lrint(x - 3), (int)lrint(y - 3), 6, covered);
			grid[11 * j + i] = whole - logit_of(session, covered);
			largest = fmax(largest, fabs(grid[11 * j + i]));
		}
	assert_true(largest > 1e-3);
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++) {
			double u = fmin(fmax((x + 0.5) * 11 / SIDE - 0.5, 0), 10),
			       v = fmin(fmax((y + 0.5) * 11 / SIDE - 0.5, 0), 10);
			int i = (int)u < 9 ? (int)u : 9, j = (int)v < 9 ? (int)v : 9;
			double expected =
			    (1 - (v - j)) * ((1 - (u - i)) * grid[11 * j + i] + (u - i) * grid[11 * j + i + 1]) +
			    (v - j) * ((1 - (u - i)) * grid[11 * j + 11 + i] + (u - i) * grid[11 * j + 12 + i]);
			assert_float_equal(map[y * SIDE + x], expected, 1e-5 + 1e-3 * largest);
		}
	hilum_session_close(session);
	hl_heat_close(&heat);
	hilum_model_close(model);
}

/* Completeness: attributions add up to the difference of the logits; exactly where the network is linear, the better
 * the more steps otherwise. */
static void gradients_are_complete(void **state)
{
	static const char *const nets[] = {"flatten\ndense units=$outputs\n", deep};
	uint8_t image[4 * SIDE * SIDE];
	(void)state;
	for (uint32_t z = 0; z < 4; z++)
		draw(3 + z, 9, 20, image + (size_t)z * SIDE * SIDE, SIDE, SIDE);
	for (int dims = HL_DIMS_2; dims <= HL_DIMS_3; dims++)
		for (int net = 0; net < 2; net++) {
			const struct hl_recipe recipe = recipe_of((enum hl_dims)dims, HL_FIT_CROP);
			struct hilum_model *model = make_model(nets[net], &recipe, two, 2, 8);
			for (int32_t target = 0; target < 2; target++) {
				const struct hl_heat_options options = {
				    .method = HILUM_METHOD_INTEGRATED_GRADIENTS, .steps = net ? 300 : 3, .threads = 1};
				struct hl_heat heat = opened(model, &recipe, &options, target);
				struct hl_completeness complete;
				float *map = hl_alloc(hl_heat_count(&heat), sizeof(*map));
				double sum = 0, sizes = 0;
				assert_int_equal(hl_heat_map(&heat, image, map, &complete, NULL), HILUM_OK);
				for (size_t i = 0; i < hl_heat_count(&heat); i++) {
					sum += map[i];
					sizes += fabs(map[i]);
				}
				assert_float_equal(sum, complete.sum, 1e-5 * sizes);
				assert_true(sizes > 1e-2);
				assert_float_equal(complete.sum, complete.difference, (net ? 2e-3 : 1e-5) * sizes);
				hl_free(map);
				hl_heat_close(&heat);
			}
			hilum_model_close(model);
		}
}

/* ---- a known reason, and none ---- */

static void known_spot(void **state)
{
	const struct hl_recipe recipe = recipe_of(HL_DIMS_2, HL_FIT_CROP);
	struct hilum_model *model = spot_finder(&recipe);
	(void)state;
	for (int method = 0; method < 3; method++) {
		const struct hilum_explain_options options = defaults((enum hilum_method)method);
		for (uint32_t i = 0; i < 10; i++) {
			double x = 3 + (i * 7) % 26, y = 3 + (i * 11) % 26;
			uint8_t pixels[SIDE * SIDE];
			draw(i, x, y, pixels, SIDE, SIDE);
			const char *path = write_picture("spot.png", pixels, SIDE, SIDE);
			struct hilum_explanation *e = explained(model, &options, &path, 1);
			assert_true(e->probability > 0.9);
			if (!(hypot(e->hottest_x - x, e->hottest_y - y) <= RADIUS + 1))
				fail_msg("method %d: hottest at %d,%d, spot at %g,%g", method, e->hottest_x,
				         e->hottest_y, x, y);
			if (!e->sanity.reliable)
				fail_msg("method %d: %s", method, e->sanity.reason);
			assert_int_equal(e->width, SIDE);
			assert_memory_equal(e->picture, pixels, sizeof(pixels));
			assert_true(e->heat[e->hottest_y * SIDE + e->hottest_x] == 1);
			hilum_explanation_free(e);
		}
	}
	hilum_model_close(model);
}

/* Heat of a network that has learnt nothing is marked, whatever the method, and says so everywhere. */
static void random_weights_fail(void **state)
{
	const struct hl_recipe recipe = recipe_of(HL_DIMS_2, HL_FIT_CROP);
	(void)state;
	for (uint64_t seed = 100; seed < 104; seed++) {
		struct hilum_model *model = make_model(deep, &recipe, two, 2, seed);
		for (int method = 0; method < 3; method++) {
			const struct hilum_explain_options options = defaults((enum hilum_method)method);
			for (uint32_t i = 0; i < 4; i++) {
				uint8_t pixels[SIDE * SIDE];
				draw(50 + i, 5 + 6 * i, 20, pixels, SIDE, SIDE);
				const char *path = write_picture("none.png", pixels, SIDE, SIDE);
				struct hilum_explanation *e = explained(model, &options, &path, 1);
				if (e->sanity.reliable)
					fail_msg("seed %d, method %d: taken for reliable", (int)seed, method);
				assert_true(e->sanity.reason[0]);
				hilum_explanation_free(e);
			}
		}
		hilum_model_close(model);
	}
	/* Nor does what was learnt make heat reliable where there is nothing to be found. */
	struct hilum_model *model = spot_finder(&recipe);
	const struct hilum_explain_options options = defaults(HILUM_METHOD_GRADCAM);
	uint8_t pixels[SIDE * SIDE];
	draw(70, -1, 0, pixels, SIDE, SIDE);
	const char *path = write_picture("clear.png", pixels, SIDE, SIDE);
	struct hilum_explanation *e = explained(model, &options, &path, 1);
	assert_true(e->probability < 0.5);
	assert_false(e->sanity.reliable);
	hilum_explanation_free(e);
	hilum_model_close(model);
}

/* ---- places ---- */

/* A spot in a picture of another shape than the network's square is found where it is in the picture; what is cut off
 * has no heat. */
static void own_geometry(void **state)
{
	static const int sizes[][2] = {{64, 48}, {40, 72}, {32, 32}, {96, 96}};
	(void)state;
	for (int fit = HL_FIT_CROP; fit <= HL_FIT_PAD; fit++) {
		const struct hl_recipe recipe = recipe_of(HL_DIMS_2, (enum hl_fit)fit);
		struct hilum_model *model = spot_finder(&recipe);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			int width = sizes[i][0], height = sizes[i][1];
			int least = width < height ? width : height, most = width + height - least;
			double scale = (double)(fit == HL_FIT_CROP ? least : most) / SIDE, x = width * 0.6,
			       y = height * 0.4;
			uint8_t *pixels = hl_alloc((size_t)(width * height), 1);
			for (int k = 0; k < width * height; k++)
				pixels[k] = hypot(k % width - x, (double)(k / width) - y) < 2 * scale ? 190 : 60;
			const char *path = write_picture("shape.png", pixels, width, height);
			const struct hilum_explain_options options = defaults(HILUM_METHOD_GRADCAM);
			struct hilum_explanation *e = explained(model, &options, &path, 1);
			assert_int_equal(e->width, width);
			assert_int_equal(e->height, height);
			if (!(hypot(e->hottest_x - x, e->hottest_y - y) <= 2 * scale))
				fail_msg("%d x %d: hottest at %d,%d, spot at %g,%g", width, height, e->hottest_x,
				         e->hottest_y, x, y);
			if (fit == HL_FIT_CROP && most - least > 4)
				assert_true(e->heat[0] == 0 && e->heat[width * height - 1] == 0);
			hilum_explanation_free(e);
			hl_free(pixels);
		}
		hilum_model_close(model);
	}
}

/* Of a stack, the slice with the spot. */
static void right_slice(void **state)
{
	char names[6][512];
	const char *paths[6];
	uint8_t pixels[SIDE * SIDE];
	(void)state;
	for (int at = 0; at < 6; at += 2)
		for (int dims = HL_DIMS_2; dims <= HL_DIMS_3; dims++) {
			struct hl_recipe recipe = recipe_of((enum hl_dims)dims, HL_FIT_CROP);
			recipe.depth = dims == HL_DIMS_3 ? 6 : dims == HL_DIMS_25 ? 3 : 0;
			struct hilum_model *model = spot_finder(&recipe);
			for (int z = 0; z < 6; z++) {
				snprintf(names[z], sizeof(names[z]), "%s/%d.png", folder, z);
				paths[z] = names[z];
				draw((uint32_t)z, abs(z - at) <= (dims > HL_DIMS_2) ? 21 : -1, 10, pixels, SIDE, SIDE);
				char name[16];
				snprintf(name, sizeof(name), "%d.png", z);
				write_picture(name, pixels, SIDE, SIDE);
			}
			struct hilum_explain_options options = defaults(HILUM_METHOD_GRADCAM);
			options.randomised = 0;
			struct hilum_explanation *e = explained(model, &options, paths, 6);
			assert_int_equal(e->slices, 6);
			assert_true(abs(e->slice - 1 - at) <= (dims > HL_DIMS_2));
			assert_true(hypot(e->hottest_x - 21, e->hottest_y - 10) <= RADIUS + 1);
			hilum_explanation_free(e);
			hilum_model_close(model);
		}
}

/* ---- the rest ---- */

static void likeness(void **state)
{
	float a[256], b[256], c[256];
	(void)state;
	for (int i = 0; i < 256; i++) {
		a[i] = (float)((i * 37) % 256);
		b[i] = -a[i] * a[i];
		c[i] = 5;
	}
	assert_float_equal(hl_rank_correlation(a, a, 256), 1, 1e-12);
	assert_float_equal(hl_rank_correlation(a, b, 256), -1, 1e-12);
	assert_true(hl_rank_correlation(a, c, 256) == 0);
	/* Ties at their mean rank: 1, 2.5, 2.5, 4 and 1, 4, 2.5, 2.5. */
	const float p[] = {1, 2, 2, 3}, q[] = {1, 3, 2, 2};
	assert_float_equal(hl_rank_correlation(p, q, 4), 0.5, 1e-9);
	assert_float_equal(hl_structural_similarity(a, a, 1, 16), 1, 1e-9);
	assert_true(hl_structural_similarity(a, b, 1, 16) < 0.5);
	assert_int_equal(hl_hottest(a, 256), 83);
	float map[64] = {0};
	double sum = 0;
	struct hl_heat heat = {.options = {.method = HILUM_METHOD_GRADCAM}, .depth = 1, .size = 8};
	map[27] = 1;
	assert_int_equal(hl_heat_smooth(&heat, map, NULL), HILUM_OK);
	for (int i = 0; i < 64; i++)
		sum += map[i];
	assert_float_equal(sum, 1, 1e-6);
	assert_int_equal(hl_hottest(map, 64), 27);
	assert_true(map[28] > 0 && map[28] == map[26] && map[19] == map[35]);
}

static void drawing(void **state)
{
	const struct hl_recipe recipe = recipe_of(HL_DIMS_2, HL_FIT_CROP);
	struct hilum_model *model = spot_finder(&recipe);
	const struct hilum_explain_options options = defaults(HILUM_METHOD_GRADCAM);
	uint8_t pixels[SIDE * SIDE];
	int red[2] = {0, 0};
	(void)state;
	for (int spot = 0; spot < 2; spot++) {
		struct hl_volume drawn;
		char *text = NULL;
		size_t length;
		draw(9, spot ? 12 : -1, 12, pixels, SIDE, SIDE);
		const char *path = write_picture("drawn.png", pixels, SIDE, SIDE);
		struct hilum_explanation *e = explained(model, &options, &path, 1);
		assert_int_equal(hilum_explanation_draw(e, in_folder("heat.png"), NULL), HILUM_OK);
		assert_int_equal(hl_scan_open(in_folder("heat.png"), &drawn, NULL), HILUM_OK);
		assert_true(drawn.width > 2 * drawn.height / 2 && drawn.channels == 3);
		for (size_t i = 0; i < (size_t)drawn.width * (size_t)drawn.height; i++) {
			const uint8_t *at = (const uint8_t *)drawn.voxels + 3 * i;
			red[spot] += at[0] == 176 && at[1] == 42 && at[2] == 32;
		}
		hl_volume_free(&drawn);
		for (int output = HILUM_OUTPUT_TEXT; output <= HILUM_OUTPUT_JSON; output++) {
			FILE *file = open_memstream(&text, &length);
			assert_int_equal(hilum_explanation_print(e, "a\nb", (enum hilum_output)output, file, NULL),
			                 HILUM_OK);
			fclose(file);
			if (output == HILUM_OUTPUT_TEXT) {
				assert_int_equal(strstr(text, "UNRELIABLE") != NULL, !spot);
			} else {
				json_t *root = json_loads(text, 0, NULL);
				assert_non_null(root);
				assert_int_equal(
				    json_is_true(json_object_get(json_object_get(root, "sanity"), "reliable")), spot);
				assert_string_equal(json_string_value(json_object_get(root, "method")), "gradcam");
				json_decref(root);
			}
			free(text);
		}
		hilum_explanation_free(e);
	}
	/* The banner and the frame, in one case only. */
	assert_true(red[0] > 1000 && red[1] == 0);
	assert_int_equal(hl_text_break("one two three", 7 * HL_TEXT_STEP, 1), 7);
	assert_int_equal(hl_text_break("one two three", 6 * HL_TEXT_STEP, 1), 3);
	assert_int_equal(hl_text_break("onetwo", 3 * HL_TEXT_STEP, 1), 3);
	assert_int_equal(hl_text_break("\xc3\xa9", 0, 1), 2);
	hilum_model_close(model);
}

static void refusals(void **state)
{
	const struct hl_recipe recipe = recipe_of(HL_DIMS_2, HL_FIT_CROP);
	struct hilum_model *model = spot_finder(&recipe),
	                   *flat = make_model("flatten\ndense units=$outputs\n", &recipe, two, 2, 1);
	struct hilum_explain_options wrong[7];
	struct hilum_explainer *explainer = NULL;
	struct hilum_explanation *e = NULL;
	struct hilum_error error;
	(void)state;
	for (int i = 0; i < 7; i++)
		wrong[i] = defaults(HILUM_METHOD_GRADCAM);
	wrong[0].method = 3;
	wrong[1].layer = "nowhere";
	wrong[2].layer = "globalpool1";
	wrong[3].subject = "nobody";
	wrong[4].steps = 0;
	wrong[5].randomised = 1000;
	wrong[6].threads = -1;
	for (int i = 0; i < 7; i++)
		assert_int_equal(hilum_explainer_open(model, &wrong[i], &explainer, &error), HILUM_ERROR_ARGUMENT);
	assert_int_equal(hilum_explainer_open(flat, NULL, &explainer, &error), HILUM_ERROR_UNSUPPORTED);
	assert_null(explainer);
	struct hilum_explain_options options = defaults(HILUM_METHOD_OCCLUSION);
	options.slice = 2;
	assert_int_equal(hilum_explainer_open(flat, &options, &explainer, &error), HILUM_OK);
	uint8_t pixels[SIDE * SIDE];
	draw(9, 12, 12, pixels, SIDE, SIDE);
	const char *path = write_picture("one.png", pixels, SIDE, SIDE), *absent = in_folder("absent.png");
	assert_int_equal(hilum_explain(explainer, &path, 1, &e, &error), HILUM_ERROR_ARGUMENT);
	assert_int_equal(hilum_explain(explainer, &absent, 1, &e, &error), HILUM_ERROR_IO);
	assert_non_null(strstr(error.message, "absent.png"));
	assert_int_equal(hilum_explain(explainer, &path, 0, &e, &error), HILUM_ERROR_ARGUMENT);
	assert_null(e);
	hilum_explainer_close(explainer);
	hilum_explainer_close(NULL);
	hilum_explanation_free(NULL);
	hilum_model_close(flat);
	hilum_model_close(model);
}

/* Every allocation fails in turn: an error and nothing else. */
static void without_memory(void **state)
{
	const struct hl_recipe recipe = recipe_of(HL_DIMS_2, HL_FIT_CROP);
	struct hilum_model *model = spot_finder(&recipe);
	uint8_t pixels[SIDE * SIDE];
	(void)state;
	draw(9, 12, 12, pixels, SIDE, SIDE);
	char picture[512], *drawn = picture + 256;
	const char *path = picture;
	snprintf(picture, 256, "%s", write_picture("one.png", pixels, SIDE, SIDE));
	snprintf(drawn, 256, "%s", in_folder("out.png"));
	hilum_sandbox(false);
	for (int method = 0; method < 3; method++) {
		struct hilum_explain_options options = defaults((enum hilum_method)method);
		options.steps = 8;
		options.randomised = 1;
		bool done = false;
		for (int64_t after = 0; !done; after++) {
			struct hilum_explainer *explainer = NULL;
			struct hilum_explanation *e = NULL;
			struct hilum_error error = {.code = HILUM_OK};
			hl_memory_fail_after(after);
			int64_t before = hl_memory_count();
			enum hilum_status status = hilum_explainer_open(model, &options, &explainer, &error);
			if (!status)
				status = hilum_explain(explainer, &path, 1, &e, &error);
			if (!status)
				status = hilum_explanation_draw(e, drawn, &error);
			done = hl_memory_count() - before <= after;
			hl_memory_fail_after(-1);
			if (done && status)
				fail_msg("%s", error.message);
			hilum_explanation_free(e);
			hilum_explainer_close(explainer);
			assert_true(after < 2000);
		}
	}
	hilum_model_close(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(gradcam_by_hand),
	    cmocka_unit_test(occlusion_by_force),
	    cmocka_unit_test(gradients_are_complete),
	    cmocka_unit_test(known_spot),
	    cmocka_unit_test(random_weights_fail),
	    cmocka_unit_test(own_geometry),
	    cmocka_unit_test(right_slice),
	    cmocka_unit_test(likeness),
	    cmocka_unit_test(drawing),
	    cmocka_unit_test(refusals),
	    cmocka_unit_test(without_memory),
	};
	return cmocka_run_group_tests(tests, set_up, clean_up);
}
