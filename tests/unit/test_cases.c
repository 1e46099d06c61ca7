/* Cases of several slices: stacks of a manifest, volumes, slices with their neighbours. */
#include "pictures.h"

#include <math.h>

#include "base/memory.h"
#include "data/loader.h"
#include "infer/combine.h"
#include "infer/predict.h"
#include "model/model.h"
#include "train/leaks.h"

#define SIDE 6
#define PLANE ((size_t)SIDE * SIDE)
#define DEPTH_MAX 9

static struct hl_recipe make_recipe(enum hl_dims dims, int32_t depth)
{
	return (struct hl_recipe){.channels = 1,
	                          .size = SIDE,
	                          .window = {-600, 1500},
	                          .mean = {0.5, 0.5, 0.5},
	                          .deviation = {0.25, 0.25, 0.25},
	                          .dims = dims,
	                          .depth = depth};
}

/* Slices of one value each: 10, 20, ... */
static void fill(struct hl_volume *volume, int32_t depth)
{
	*volume = (struct hl_volume){0};
	assert_int_equal(hl_volume_init(volume, SIDE, SIDE, depth, 1, HL_VOXEL_U8, NULL), HILUM_OK);
	volume->unit = HL_UNIT_GREY;
	volume->maximum = 255;
	volume->spacing[2] = 2;
	for (size_t i = 0; i < PLANE * (size_t)depth; i++)
		((uint8_t *)volume->voxels)[i] = (uint8_t)(10 * (i / PLANE + 1));
}

/* The value of each slice of the result, which must be even. */
static void expect_slices(const struct hl_recipe *recipe, const struct hl_volume *volume, int32_t z, const int *wanted)
{
	uint8_t out[DEPTH_MAX * PLANE];
	struct hilum_error error = {0};
	if (hl_recipe_apply_at(recipe, volume, z, out, &error))
		fail_msg("%s", error.message);
	for (size_t i = 0; i < hl_recipe_bytes(recipe); i++)
		if (out[i] != wanted[i / PLANE])
			fail_msg("slice %zu of %d has %d, not %d", i / PLANE, recipe->depth, out[i], wanted[i / PLANE]);
}

static void takes_the_middle_of_volumes(void **state)
{
	(void)state;
	struct hl_volume volume;
	struct hl_recipe recipe = make_recipe(HL_DIMS_3, 3);
	fill(&volume, 7);
	expect_slices(&recipe, &volume, 0, (const int[]){30, 40, 50});
	recipe.depth = 4;
	expect_slices(&recipe, &volume, 0, (const int[]){20, 30, 40, 50});
	recipe.depth = 9;
	expect_slices(&recipe, &volume, 0, (const int[]){0, 10, 20, 30, 40, 50, 60, 70, 0});
	hl_volume_free(&volume);
	fill(&volume, 2);
	recipe.depth = 5;
	expect_slices(&recipe, &volume, 0, (const int[]){0, 0, 10, 20, 0});
	hl_volume_free(&volume);
}

/* Of a square whose side is whole when the middle is taken away, the middle's pixels as they are. */
static void keeps_the_middle(void **state)
{
	(void)state;
	enum { WIDE = 48, HIGH = 40, KEPT = 15, LEFT = 16, TOP = 12 };
	struct hl_recipe recipe = {.channels = 1,
	                           .size = KEPT,
	                           .middle = 0.375,
	                           .window = {-600, 1500},
	                           .deviation = {1, 1, 1}},
	                 back;
	struct hl_volume volume = {0};
	uint8_t out[KEPT * KEPT];
	assert_int_equal(hl_volume_init(&volume, WIDE, HIGH, 1, 1, HL_VOXEL_U8, NULL), HILUM_OK);
	volume.unit = HL_UNIT_GREY;
	volume.maximum = 255;
	uint8_t *pixels = volume.voxels;
	for (int i = 0; i < WIDE * HIGH; i++)
		pixels[i] = (uint8_t)(i * 7 + i / 13);
	assert_int_equal(hl_recipe_apply(&recipe, &volume, out, NULL), HILUM_OK);
	for (int y = 0; y < KEPT; y++)
		for (int x = 0; x < KEPT; x++)
			assert_int_equal(out[y * KEPT + x], pixels[(y + TOP) * WIDE + x + LEFT]);
	hl_volume_free(&volume);
	char *json = hl_recipe_json(&recipe);
	assert_int_equal(hl_recipe_parse(json, &back, NULL), HILUM_OK);
	assert_true(back.middle == 0.375);
	char *cut = strstr(json, "0.375");
	assert_non_null(cut);
	for (const char *wrong = "95"; *wrong; wrong++) { /* 9.375, 5.375 */
		cut[0] = *wrong;
		assert_int_equal(hl_recipe_parse(json, &back, NULL), HILUM_ERROR_FORMAT);
	}
	cut[0] = '0';
	cut[2] = '0';
	cut[3] = '1'; /* 0.015 */
	assert_int_equal(hl_recipe_parse(json, &back, NULL), HILUM_ERROR_FORMAT);
	hl_free(json);
	recipe.middle = 1;
	json = hl_recipe_json(&recipe);
	assert_null(strstr(json, "middle"));
	hl_free(json);
}

/* An even rise stays an even rise at another spacing, and its ends are where they were. */
static void takes_another_spacing(void **state)
{
	(void)state;
	struct hl_volume volume;
	struct hl_recipe recipe = make_recipe(HL_DIMS_3, 4);
	struct hilum_error error = {0};
	uint8_t out[DEPTH_MAX * PLANE];
	fill(&volume, 8);
	recipe.spacing = 1;
	expect_slices(&recipe, &volume, 0, (const int[]){38, 43, 48, 53});
	recipe.spacing = 2;
	expect_slices(&recipe, &volume, 0, (const int[]){30, 40, 50, 60});
	recipe.extent = HL_EXTENT_WHOLE;
	recipe.depth = 8;
	expect_slices(&recipe, &volume, 0, (const int[]){10, 20, 30, 40, 50, 60, 70, 80});
	/* Two source slices each; at the ends the triangle is cut off and leans inwards. */
	recipe.depth = 4;
	assert_int_equal(hl_recipe_apply(&recipe, &volume, out, NULL), HILUM_OK);
	assert_int_equal(out[PLANE], 35);
	assert_int_equal(out[2 * PLANE], 55);
	assert_int_equal(out[0] + out[3 * PLANE], 90);
	recipe.extent = HL_EXTENT_MIDDLE;
	/* What 32 bits make of a spacing changes nothing. */
	uint8_t again[DEPTH_MAX * PLANE];
	recipe.spacing = 1.3;
	volume.spacing[2] = 0.7;
	assert_int_equal(hl_recipe_apply(&recipe, &volume, out, NULL), HILUM_OK);
	volume.spacing[2] = (double)0.7f;
	assert_int_equal(hl_recipe_apply(&recipe, &volume, again, NULL), HILUM_OK);
	assert_memory_equal(out, again, hl_recipe_bytes(&recipe));
	volume.spacing[2] = 0;
	assert_int_equal(hl_recipe_apply(&recipe, &volume, out, &error), HILUM_ERROR_UNSUPPORTED);
	assert_non_null(strstr(error.message, "not known"));
	recipe.spacing = 0.01;
	volume.spacing[2] = 1000;
	assert_int_equal(hl_recipe_apply(&recipe, &volume, out, &error), HILUM_ERROR_UNSUPPORTED);
	hl_volume_free(&volume);
}

static void takes_neighbours(void **state)
{
	(void)state;
	struct hl_volume volume;
	struct hl_recipe recipe = make_recipe(HL_DIMS_25, 3);
	fill(&volume, 5);
	expect_slices(&recipe, &volume, 2, (const int[]){20, 30, 40});
	expect_slices(&recipe, &volume, 0, (const int[]){10, 10, 20});
	expect_slices(&recipe, &volume, 4, (const int[]){40, 50, 50});
	recipe.spacing = 3;
	expect_slices(&recipe, &volume, 2, (const int[]){15, 30, 45});
	assert_int_equal(hl_recipe_apply_at(&recipe, &volume, 5, (uint8_t[PLANE * 3]){0}, NULL), HILUM_ERROR_ARGUMENT);
	recipe = make_recipe(HL_DIMS_2, 9);
	expect_slices(&recipe, &volume, 3, (const int[]){40});
	hl_volume_free(&volume);
}

static void gives_shapes(void **state)
{
	(void)state;
	struct hl_recipe recipe = make_recipe(HL_DIMS_3, 5);
	recipe.channels = 3;
	assert_true(hl_shape_equal(hl_recipe_shape(&recipe), (struct hl_shape){1, 5, SIDE, SIDE, 3}));
	recipe.dims = HL_DIMS_25;
	assert_true(hl_shape_equal(hl_recipe_shape(&recipe), (struct hl_shape){1, 1, SIDE, SIDE, 15}));
	recipe.dims = HL_DIMS_2;
	assert_true(hl_shape_equal(hl_recipe_shape(&recipe), (struct hl_shape){1, 1, SIDE, SIDE, 3}));
	/* In 2.5-D the values of all slices of a pixel lie together. */
	enum { SLICES = 4, CHANNELS = 3 };
	uint8_t image[SLICES * CHANNELS * 4], other[sizeof(image)] = {0};
	float out[sizeof(image)], blended[sizeof(image)];
	recipe = make_recipe(HL_DIMS_25, SLICES);
	recipe.size = 2;
	recipe.channels = CHANNELS;
	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = (uint8_t)(5 * i);
	hl_recipe_normalise(&recipe, image, out);
	hl_recipe_blend(&recipe, image, other, 1, blended);
	for (size_t k = 0; k < SLICES; k++)
		for (size_t p = 0; p < 4; p++)
			for (size_t c = 0; c < CHANNELS; c++) {
				double wanted = (image[(k * 4 + p) * CHANNELS + c] / 255.0 - 0.5) / 0.25;
				size_t at = (p * SLICES + k) * CHANNELS + c;
				assert_true(fabs(out[at] - wanted) < 1e-5 && fabs(blended[at] - wanted) < 1e-5);
			}
}

/* Each window is a channel; grey pictures have the same in all. */
static void sees_through_windows(void **state)
{
	(void)state;
	struct hl_volume volume = {0};
	struct hl_recipe recipe = make_recipe(HL_DIMS_3, 2), back;
	struct hilum_error error = {0};
	uint8_t out[2 * 3 * PLANE];
	recipe.channels = 3;
	recipe.beside_count = 2;
	recipe.beside[0] = (struct hl_window){40, 400};
	recipe.beside[1] = (struct hl_window){400, 1800};
	assert_int_equal(hl_volume_init(&volume, SIDE, SIDE, 2, 1, HL_VOXEL_I16, NULL), HILUM_OK);
	volume.unit = HL_UNIT_HOUNSFIELD;
	for (size_t i = 0; i < 2 * PLANE; i++)
		((int16_t *)volume.voxels)[i] = i < PLANE ? -600 : 40;
	assert_int_equal(hl_recipe_apply(&recipe, &volume, out, NULL), HILUM_OK);
	for (size_t i = 0; i < 2 * PLANE; i++) {
		assert_int_equal(out[3 * i], i < PLANE ? 128 : 236);
		assert_int_equal(out[3 * i + 1], i < PLANE ? 0 : 128);
		assert_int_equal(out[3 * i + 2], i < PLANE ? 0 : 77);
	}
	hl_volume_free(&volume);
	fill(&volume, 1);
	recipe.dims = HL_DIMS_2;
	assert_int_equal(hl_recipe_apply(&recipe, &volume, out, NULL), HILUM_OK);
	for (size_t i = 0; i < 3 * PLANE; i++)
		assert_int_equal(out[i], 10);
	hl_volume_free(&volume);
	assert_int_equal(hl_volume_init(&volume, SIDE, SIDE, 1, 3, HL_VOXEL_U8, NULL), HILUM_OK);
	assert_int_equal(hl_recipe_apply(&recipe, &volume, out, &error), HILUM_ERROR_UNSUPPORTED);
	hl_volume_free(&volume);
	char *json = hl_recipe_json(&recipe);
	assert_int_equal(hl_recipe_parse(json, &back, NULL), HILUM_OK);
	assert_int_equal(back.beside_count, 2);
	assert_true(back.beside[1].center == 400 && back.beside[0].width == 400);
	hl_free(json);
	recipe.channels = 2;
	json = hl_recipe_json(&recipe);
	assert_int_equal(hl_recipe_parse(json, &back, NULL), HILUM_ERROR_FORMAT);
	hl_free(json);
}

static void goes_round_as_json(void **state)
{
	static const char *const wrong[] = {"\"dims\":\"4d\"",
	                                    "\"dims\":3",
	                                    "\"dims\":\"3d\",\"depth\":0",
	                                    "\"dims\":\"3d\",\"depth\":513",
	                                    "\"dims\":\"3d\",\"depth\":1.5",
	                                    "\"spacing\":-1",
	                                    "\"spacing\":1e9",
	                                    "\"extent\":\"half\"",
	                                    "\"beside\":[]",
	                                    "\"beside\":[{\"center\":0}]",
	                                    "\"beside\":[{\"center\":0,\"width\":0}]",
	                                    "\"beside\":3",
	                                    "\"heights\":3",
	                                    "\"size\":2048,\"dims\":\"3d\",\"depth\":17"};
	(void)state;
	struct hl_recipe recipe = make_recipe(HL_DIMS_3, 24), back = {0};
	recipe.spacing = 1.25;
	recipe.extent = HL_EXTENT_WHOLE;
	char *json = hl_recipe_json(&recipe);
	assert_int_equal(hl_recipe_parse(json, &back, NULL), HILUM_OK);
	assert_int_equal(back.dims, HL_DIMS_3);
	assert_int_equal(back.depth, 24);
	assert_true(back.spacing == 1.25 && back.extent == HL_EXTENT_WHOLE);
	hl_free(json);
	/* A 2-D recipe says nothing of depth, as ever. */
	recipe.dims = HL_DIMS_2;
	json = hl_recipe_json(&recipe);
	assert_null(strstr(json, "depth"));
	hl_free(json);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[400];
		const char *size = strstr(wrong[i], "\"size\"") ? "" : "\"size\":8,";
		snprintf(text, sizeof(text),
		         "{\"channels\":1,%s\"fit\":\"crop\",\"window\":{\"center\":0,\"width\":1},\"mean\":[0],"
		         "\"deviation\":[1],%s}",
		         size, wrong[i]);
		if (hl_recipe_parse(text, &back, NULL) != HILUM_ERROR_FORMAT)
			fail_msg("taken: %s", wrong[i]);
	}
}

/* ---- stacks of a manifest ---- */

static struct hl_dataset *open_data(const struct pictures *pictures, enum hl_dims dims)
{
	char path[512];
	struct hl_dataset *dataset = NULL;
	struct hilum_error error = {0};
	pictures_path(pictures, "m.csv", path);
	if (hl_dataset_open(path, &(struct hl_dataset_options){.dims = dims}, &dataset, &error))
		fail_msg("%s", error.message);
	return dataset;
}

/* Two patients, three nodules, ten slices: numbers that sort otherwise as text. */
static void write_stacks(const struct pictures *pictures)
{
	char name[64], text[1024] = "path,label,patient,nodule,slice\n";
	static const struct {
		const char *name, *label, *patient, *nodule;
		int slices;
	} stacks[] = {{"x", "bad", "p2", "n1", 3}, {"y", "good", "p1", "n1", 6}, {"z", "bad", "p1", "n2", 1}};
	for (size_t s = 0; s < 3; s++)
		for (int i = stacks[s].slices - 1; i >= 0; i--) {
			snprintf(name, sizeof(name), "%s%d.png", stacks[s].name, i);
			pictures_png(pictures, name, SIDE, SIDE, 40 * (int)s + i);
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s,%s,%s,%s,%g\n", name,
			         stacks[s].label, stacks[s].patient, stacks[s].nodule, i * 2.5 - 3);
		}
	pictures_text(pictures, "m.csv", text);
}

static void reads_stacks(void **state)
{
	const struct pictures *pictures = *state;
	char hash[65], again[65];
	write_stacks(pictures);
	struct hl_dataset *dataset = open_data(pictures, HL_DIMS_2);
	assert_int_equal(dataset->count, 10);
	assert_int_equal(dataset->cases[0].slice_count, 0);
	hl_dataset_free(dataset);

	dataset = open_data(pictures, HL_DIMS_3);
	assert_int_equal(dataset->count, 3);
	assert_int_equal(dataset->group_count, 2);
	static const char *const paths[] = {"x0.png", "y0.png", "z0.png"};
	static const int counts[] = {3, 6, 1};
	for (int i = 0; i < 3; i++) {
		const struct hl_case *item = &dataset->cases[i];
		assert_string_equal(item->path, paths[i]);
		assert_int_equal(item->slice_count, counts[i]);
		assert_int_equal(item->slice_at, counts[i] / 2);
		for (int k = 0; k < counts[i]; k++) {
			const char *file = dataset->slices[item->slice_first + (size_t)k];
			assert_int_equal(file[strlen(file) - 5], '0' + k);
		}
	}
	struct hl_recipe recipe = make_recipe(HL_DIMS_3, 4);
	uint8_t out[4 * PLANE];
	struct hl_met met = {0};
	assert_int_equal(hl_dataset_read(dataset, 0, &recipe, out, &met, NULL), HILUM_OK);
	assert_int_equal(met.slices, 3);
	for (int k = 0; k < 4; k++)
		for (size_t i = 0; i < PLANE; i++)
			assert_int_equal(out[(size_t)k * PLANE + i],
			                 k == 0 ? 0 : (size_t)(k - 1) + 3 * (i % SIDE) + 5 * (i / SIDE));
	/* Every slice counts for the data set's identity. */
	hl_dataset_hash(dataset, hash);
	pictures_text(pictures, "y3.png", "not a picture");
	hl_dataset_hash(dataset, again);
	assert_string_not_equal(hash, again);
	struct hilum_error error = {0};
	assert_int_not_equal(hl_dataset_read(dataset, 1, &recipe, out, NULL, &error), HILUM_OK);
	assert_non_null(strstr(error.message, "y3.png"));
	hl_dataset_free(dataset);
}

static void reads_neighbours(void **state)
{
	const struct pictures *pictures = *state;
	write_stacks(pictures);
	struct hl_dataset *dataset = open_data(pictures, HL_DIMS_25);
	struct hl_recipe recipe = make_recipe(HL_DIMS_25, 3);
	uint8_t out[3 * PLANE];
	assert_int_equal(dataset->count, 10);
	for (size_t i = 0; i < 10; i++) {
		const struct hl_case *item = &dataset->cases[i];
		int number = item->path[1] - '0', last = item->slice_count - 1;
		assert_int_equal(item->slice_at, number);
		assert_string_equal(dataset->slices[item->slice_first + (size_t)number], item->file);
		assert_int_equal(hl_dataset_read(dataset, i, &recipe, out, NULL, NULL), HILUM_OK);
		int start = 40 * (item->path[0] - 'x');
		assert_int_equal(out[0], start + (number ? number - 1 : 0));
		assert_int_equal(out[PLANE], start + number);
		assert_int_equal(out[2 * PLANE], start + (number < last ? number + 1 : last));
	}
	hl_dataset_free(dataset);
}

static void refuses_stacks(void **state)
{
	static const struct {
		const char *text;
		enum hilum_status code;
		const char *says;
	} table[] = {
	    {"path,label,stack\na,x,1\nb,y,2\n", HILUM_ERROR_FORMAT, "no column \"slice\""},
	    {"path,label,stack,slice\na,x,1,1\nb,y,2,two\n", HILUM_ERROR_FORMAT, "b: slice \"two\""},
	    {"path,label,stack,slice\na,x,1,1\nb,y,2,\n", HILUM_ERROR_FORMAT, "b: slice \"\""},
	    {"path,label,stack,slice\na,x,1,1\nb,y,2,inf\n", HILUM_ERROR_FORMAT, "is not a number"},
	    {"path,label,stack,slice\na,x,1,1\nb,y,2,1\nc,y,2,1.0\n", HILUM_ERROR_DATA, "the same slice number"},
	    {"path,label,stack,slice\na,x,1,1\nb,y,2,1\nc,x,2,2\n", HILUM_ERROR_DATA, "different labels"},
	    {"path,label,patient,group,stack,slice\na,x,p,1,1,1\nb,y,q,2,1,1\nc,y,q,3,1,2\n", HILUM_ERROR_DATA,
	     "different groups"},
	    {"path,label,stack,slice,split\na,x,1,1,train\nb,y,2,1,train\nc,y,2,2,test\n", HILUM_ERROR_DATA,
	     "different parts"},
	};
	const struct pictures *pictures = *state;
	char path[512];
	pictures_path(pictures, "m.csv", path);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		for (int dims = HL_DIMS_25; dims <= HL_DIMS_3; dims++) {
			struct hl_dataset *dataset = NULL;
			struct hilum_error error = {0};
			pictures_text(pictures, "m.csv", table[i].text);
			assert_int_equal(hl_dataset_open(path, &(struct hl_dataset_options){.dims = (enum hl_dims)dims},
			                                 &dataset, &error),
			                 table[i].code);
			if (!strstr(error.message, table[i].says))
				fail_msg("\"%s\" does not say \"%s\"", error.message, table[i].says);
			if (strstr(table[i].text, "stack,slice"))
				assert_int_equal(hl_dataset_open(path, NULL, &dataset, &error), HILUM_OK);
			hl_dataset_free(dataset);
		}
}

/* A stack's file that is a volume itself would hide slices. */
static void refuses_volumes_in_stacks(void **state)
{
	const struct pictures *pictures = *state;
	struct hl_recipe recipe = make_recipe(HL_DIMS_3, 2);
	struct hl_volume volume;
	struct hilum_error error = {0};
	char path[512], *files[1] = {path};
	uint8_t out[2 * PLANE];
	fill(&volume, 3);
	pictures_path(pictures, "v.nii", path);
	assert_int_equal(hl_nifti_write(path, &volume, NULL), HILUM_OK);
	assert_int_equal(hl_recipe_open_stack(&recipe, files, 1, 0, out, NULL, &error), HILUM_ERROR_DATA);
	assert_non_null(strstr(error.message, "3 slices"));
	assert_int_equal(hl_recipe_open_stack(&recipe, files, 1, 1, out, NULL, &error), HILUM_ERROR_ARGUMENT);
	hl_volume_free(&volume);
}

static void survives_no_memory(void **state)
{
	const struct pictures *pictures = *state;
	struct hilum_error error = {0};
	char path[512];
	write_stacks(pictures);
	pictures_path(pictures, "m.csv", path);
	for (int dims = HL_DIMS_25; dims <= HL_DIMS_3; dims++) {
		enum hilum_status status = HILUM_ERROR_MEMORY;
		for (int64_t i = 0; status == HILUM_ERROR_MEMORY; i++) {
			struct hl_dataset *dataset = NULL;
			hl_memory_fail_after(i);
			status = hl_dataset_open(path, &(struct hl_dataset_options){.dims = (enum hl_dims)dims},
			                         &dataset, &error);
			hl_memory_fail_after(-1);
			hl_dataset_free(dataset);
		}
		if (status)
			fail_msg("%s", error.message);
	}
	struct hl_volume volume;
	struct hl_recipe recipe = make_recipe(HL_DIMS_3, 5);
	uint8_t out[5 * PLANE];
	enum hilum_status status = HILUM_ERROR_MEMORY;
	fill(&volume, 9);
	recipe.spacing = 1.3;
	for (int64_t i = 0; status == HILUM_ERROR_MEMORY; i++) {
		hl_memory_fail_after(i);
		status = hl_recipe_apply(&recipe, &volume, out, NULL);
		hl_memory_fail_after(-1);
	}
	assert_int_equal(status, HILUM_OK);
	hl_volume_free(&volume);
}

/* ---- augmentation ---- */

/* Slices that are alike stay alike: all are turned, shifted, shaded and cut in the same way. */
static void augments_all_slices_alike(void **state)
{
	enum { BIG = 24, SLICES = 5, BYTES = BIG * BIG };
	static uint8_t in[SLICES * BYTES], out[SLICES * BYTES];
	(void)state;
	struct hl_recipe recipe = make_recipe(HL_DIMS_3, SLICES);
	struct hl_augment augment;
	recipe.size = BIG;
	void *scratch = hl_alloc(hl_augment_scratch(&recipe), 1);
	for (size_t i = 0; i < BYTES; i++)
		for (size_t k = 0; k < SLICES; k++)
			in[k * BYTES + i] = (uint8_t)(i * 7 + i / 11);
	assert_int_equal(hl_augment_parse("strong,vflip,quarter,zflip,noise=0", &augment, NULL), HILUM_OK);
	for (uint32_t index = 0; index < 20; index++) {
		hl_augment_apply(&augment, &recipe, 42, 1, index, in, out, scratch);
		assert_memory_not_equal(in, out, BYTES);
		for (size_t k = 1; k < SLICES; k++)
			assert_memory_equal(out, out + k * BYTES, BYTES);
	}
	hl_free(scratch);
}

static void turns_over_and_shifts(void **state)
{
	enum { SLICES = 7 };
	uint8_t in[SLICES * PLANE], out[SLICES * PLANE];
	(void)state;
	struct hl_recipe recipe = make_recipe(HL_DIMS_3, SLICES);
	struct hl_augment augment;
	bool seen[2][5] = {{false}};
	void *scratch = hl_alloc(hl_augment_scratch(&recipe), 1);
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(1 + i / PLANE);
	assert_int_equal(hl_augment_parse("zflip,zshift=2", &augment, NULL), HILUM_OK);
	for (uint32_t index = 0; index < 200; index++) {
		hl_augment_apply(&augment, &recipe, 1, 1, index, in, out, scratch);
		int middle = out[(SLICES / 2) * PLANE], next = out[(SLICES / 2 + 1) * PLANE];
		int turned = next < middle, shift = 4 - middle;
		assert_in_range(shift + 2, 0, 4);
		seen[turned][shift + 2] = true;
		for (int k = 0; k < SLICES; k++)
			for (size_t i = 0; i < PLANE; i++) {
				int from = middle + (turned ? -1 : 1) * (k - SLICES / 2);
				assert_int_equal(out[(size_t)k * PLANE + i], from >= 1 && from <= SLICES ? from : 0);
			}
	}
	for (int i = 0; i < 10; i++)
		assert_true(seen[i / 5][i % 5]);
	hl_free(scratch);
}

/* ---- loading ---- */

static void loads_stacks(void **state)
{
	const struct pictures *pictures = *state;
	write_stacks(pictures);
	for (int dims = HL_DIMS_25; dims <= HL_DIMS_3; dims++) {
		struct hl_dataset *dataset = open_data(pictures, (enum hl_dims)dims);
		struct hl_recipe recipe = make_recipe((enum hl_dims)dims, 3);
		uint32_t cases[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
		struct hl_loader_options options = {.dataset = dataset,
		                                    .recipe = &recipe,
		                                    .cases = cases,
		                                    .count = dataset->count,
		                                    .batch = 2,
		                                    .outputs = 1,
		                                    .threads = 2};
		for (int kept = 0; kept < 2; kept++) {
			struct hl_loader *loader = NULL;
			const struct hl_batch *batch;
			size_t seen = 0;
			uint8_t image[3 * PLANE];
			float wanted[3 * PLANE];
			options.memory = kept << 20;
			assert_int_equal(hl_loader_create(&options, &loader, NULL), HILUM_OK);
			assert_int_equal(hl_loader_preload(loader, NULL, NULL, NULL, NULL), HILUM_OK);
			assert_int_equal(hl_loader_start(loader, 0, 0, NULL), HILUM_OK);
			while (hl_loader_next(loader, &batch, NULL) == HILUM_OK && batch)
				for (int64_t i = 0; i < batch->count; i++, seen++) {
					assert_int_equal(
					    hl_dataset_read(dataset, batch->index[i], &recipe, image, NULL, NULL),
					    HILUM_OK);
					hl_recipe_normalise(&recipe, image, wanted);
					assert_memory_equal(batch->images + (size_t)i * 3 * PLANE, wanted,
					                    sizeof(wanted));
				}
			assert_int_equal(seen, dataset->count);
			hl_loader_destroy(loader);
		}
		recipe.depth = 513;
		struct hl_loader *none = NULL;
		assert_int_equal(hl_loader_create(&options, &none, NULL), HILUM_ERROR_ARGUMENT);
		hl_dataset_free(dataset);
	}
}

/* ---- answering slice by slice ---- */

static void combines(void **state)
{
	(void)state;
	const double rows[] = {0.8, 0.2, 0.4, 0.6, 0.9, 0.1};
	const size_t last[] = {1, 2};
	assert_true(fabs(hl_combine(HILUM_AGGREGATE_AUTO, rows + 1, 2, NULL, 3) - 0.3) < 1e-15);
	assert_true(hl_combine(HILUM_AGGREGATE_MAX, rows + 1, 2, NULL, 3) == 0.6);
	assert_true(fabs(hl_combine(HILUM_AGGREGATE_NOISY_OR, rows + 1, 2, last, 2) - (1 - 0.4 * 0.9)) < 1e-15);
	double mean[3];
	hl_combine_rows(rows, 3, NULL, 2, mean);
	assert_true(fabs(mean[0] - 0.7 / 1.5) < 1e-15 && fabs(mean[1] - 0.55 / 1.5) < 1e-15);
}

static struct hilum_model *make_model(const struct hl_recipe *recipe, int32_t count)
{
	static char *classes[] = {"one", "two", "three"};
	struct hilum_model *model = NULL;
	struct hilum_error error = {0};
	if (hl_model_create("conv filters=2\nrelu\nglobalpool\ndense units=$outputs\n", hl_recipe_shape(recipe),
	                    classes, count, 7, &model, &error))
		fail_msg("%s", error.message);
	model->recipe = hl_recipe_json(recipe);
	return model;
}

/* A volume slice by slice, without memory at any moment, and what cannot be asked for. */
static void answers_slice_by_slice(void **state)
{
	const struct pictures *pictures = *state;
	struct hl_recipe recipe = make_recipe(HL_DIMS_25, 3);
	struct hl_volume volume;
	struct hilum_error error = {0};
	char path[512];
	const char *paths[] = {path, path};
	fill(&volume, 20);
	pictures_path(pictures, "v.nii", path);
	assert_int_equal(hl_nifti_write(path, &volume, NULL), HILUM_OK);
	for (int32_t classes = 2; classes <= 3; classes++) {
		struct hilum_model *model = make_model(&recipe, classes);
		struct hilum_session *session = NULL;
		struct hilum_prediction prediction = {.count = -1}, first = {.count = -1};
		struct hilum_profile *profile = NULL;
		/* A slice's probability is calibrated as the case's is. */
		if (classes == 2)
			model->calibration = hl_strdup("{\"map\":{\"kind\":\"platt\",\"slope\":2,\"intercept\":0.5}}");
		assert_int_equal(hilum_session_open(model, NULL, &session, NULL), HILUM_OK);
		enum hilum_status status = HILUM_ERROR_MEMORY;
		for (int64_t i = 0; status == HILUM_ERROR_MEMORY; i++) {
			hl_memory_fail_after(i);
			status =
			    hilum_predict_case(session, paths, 1, HILUM_AGGREGATE_MEAN, &prediction, &profile, &error);
			hl_memory_fail_after(-1);
			if (status)
				assert_true(prediction.count == -1 && !profile);
		}
		if (status)
			fail_msg("%s", error.message);
		assert_int_equal(profile->count, 20);
		double sum = 0;
		for (int32_t i = 0; i < 20; i++) {
			assert_int_equal(profile->slices[i].slice, i + 1);
			assert_true(profile->slices[i].z == 2 * i);
			double raw = profile->slices[i].probability_raw;
			double wanted = classes == 2 ? 1 / (1 + exp(-2 * log(raw / (1 - raw)) - 0.5)) : raw;
			assert_true(fabs(profile->slices[i].probability - wanted) < 1e-12);
			sum += raw;
		}
		assert_true(fabs(sum / 20 - prediction.probability_raw) < 1e-12);
		assert_int_equal(hilum_predict_file(session, path, &first, NULL), HILUM_OK);
		assert_true(first.probability == prediction.probability);
		hilum_profile_free(profile);
		/* Whole batches give the same but for rounding. */
		struct hilum_session *wide = NULL;
		assert_int_equal(hilum_session_open(model, &(struct hilum_session_options){.batch = 7}, &wide, NULL),
		                 HILUM_OK);
		assert_int_equal(hilum_predict_file(wide, path, &first, NULL), HILUM_OK);
		assert_true(fabs(first.probability - prediction.probability) < 1e-6);
		hilum_session_close(wide);
		assert_int_equal(hilum_predict_case(session, paths, 0, 0, &prediction, NULL, NULL),
		                 HILUM_ERROR_ARGUMENT);
		assert_int_equal(hilum_predict_case(session, paths, 1, 4, &prediction, NULL, NULL),
		                 HILUM_ERROR_ARGUMENT);
		assert_int_equal(hilum_predict_case(session, paths, 1, HILUM_AGGREGATE_MAX, &prediction, NULL, NULL),
		                 classes == 2 ? HILUM_OK : HILUM_ERROR_UNSUPPORTED);
		assert_int_equal(hilum_predict_case(session, paths, 2, 0, &prediction, NULL, &error), HILUM_ERROR_DATA);
		assert_non_null(strstr(error.message, "v.nii"));
		hilum_session_close(session);
		hilum_model_close(model);
	}
	hl_volume_free(&volume);
}

/* ---- volumes before a network for slices ---- */

enum { VOLUMES = 4, EPOCHS = 12 };
static const int32_t depths[VOLUMES] = {3, 20, 1, 5}; /* of a/0, a/1, b/2, b/3 */

static struct hl_dataset *write_volumes(const struct pictures *pictures)
{
	struct hl_dataset *dataset = NULL;
	struct hilum_error error = {0};
	char path[512], name[32];
	for (int i = 0; i < VOLUMES; i++) {
		struct hl_volume volume;
		snprintf(name, sizeof(name), "set/%c", 'a' + i / 2);
		pictures_folder(pictures, name);
		snprintf(name, sizeof(name), "set/%c/%d.nii", 'a' + i / 2, i);
		pictures_path(pictures, name, path);
		fill(&volume, depths[i]);
		assert_int_equal(hl_nifti_write(path, &volume, NULL), HILUM_OK);
		hl_volume_free(&volume);
	}
	pictures_path(pictures, "set", path);
	if (hl_dataset_open(path, NULL, &dataset, &error))
		fail_msg("%s", error.message);
	return dataset;
}

static struct hl_loader *load(const struct hl_loader_options *options)
{
	struct hl_loader *loader = NULL;
	assert_int_equal(hl_loader_create(options, &loader, NULL), HILUM_OK);
	assert_int_equal(hl_loader_preload(loader, NULL, NULL, NULL, NULL), HILUM_OK);
	return loader;
}

/* Which slice, from 0, a sample is. */
static int32_t slice_of(const struct hl_batch *batch, int64_t i)
{
	double grey = (batch->images[(size_t)i * PLANE] * 0.25 + 0.5) * 255;
	return (int32_t)lround(grey / 10) - 1;
}

static uint32_t every[VOLUMES] = {0, 1, 2, 3};

/* In order: all slices of all volumes, one behind the other, whether they are kept or not. */
static void gives_all_slices_in_order(void **state)
{
	struct hl_dataset *dataset = write_volumes(*state);
	struct hl_recipe recipe = make_recipe(HL_DIMS_2, 1);
	struct hl_loader_options options = {.dataset = dataset,
	                                    .recipe = &recipe,
	                                    .cases = every,
	                                    .count = VOLUMES,
	                                    .batch = 4,
	                                    .outputs = 1,
	                                    .threads = 3};
	for (int64_t memory = 0; memory <= 1 << 20; memory += memory ? memory * 15 : 8 * (int64_t)PLANE) {
		options.memory = memory;
		struct hl_loader *loader = load(&options);
		const struct hl_batch *batch;
		uint32_t index = 0;
		int32_t slice = 0;
		double mean[3], deviation[3];
		assert_int_equal(hl_loader_count(loader), VOLUMES);
		assert_int_equal(hl_loader_samples(loader), 29);
		assert_int_equal(hl_loader_steps(loader), 8);
		assert_int_equal(hl_loader_statistics(loader, mean, deviation, NULL), HILUM_OK);
		/* 10 .. 30, 10 .. 200, 10 and 10 .. 50 */
		assert_true(fabs(mean[0] - (60 + 2100 + 10 + 150) / 29.0 / 255) < 1e-12);
		assert_int_equal(hl_loader_start(loader, 0, 0, NULL), HILUM_OK);
		while (hl_loader_next(loader, &batch, NULL) == HILUM_OK && batch)
			for (int64_t i = 0; i < batch->count; i++) {
				assert_int_equal(batch->index[i], index);
				assert_int_equal(slice_of(batch, i), slice);
				if (++slice == depths[index]) {
					slice = 0;
					index++;
				}
			}
		assert_int_equal(index, VOLUMES);
		hl_loader_destroy(loader);
	}
	hl_dataset_free(dataset);
}

/* Of shuffled epochs, by case: the slice that stood for it. */
static void draw_slices(const struct hl_loader_options *options, int32_t drawn[EPOCHS][VOLUMES])
{
	struct hl_loader *loader = load(options);
	for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
		const struct hl_batch *batch;
		size_t seen = 0;
		assert_int_equal(hl_loader_start(loader, epoch, 0, NULL), HILUM_OK);
		while (hl_loader_next(loader, &batch, NULL) == HILUM_OK && batch)
			for (int64_t i = 0; i < batch->count; i++, seen++)
				drawn[epoch][batch->index[i]] = slice_of(batch, i);
		assert_int_equal(seen, VOLUMES);
	}
	hl_loader_destroy(loader);
}

/* A shuffled epoch has one slice of each volume, another one each time; which, the seed alone decides. */
static void draws_slices(void **state)
{
	struct hl_dataset *dataset = write_volumes(*state);
	struct hl_recipe recipe = make_recipe(HL_DIMS_2, 1);
	int32_t one[EPOCHS][VOLUMES], other[EPOCHS][VOLUMES];
	struct hl_loader_options options = {.dataset = dataset,
	                                    .recipe = &recipe,
	                                    .cases = every,
	                                    .count = VOLUMES,
	                                    .batch = 2,
	                                    .seed = 5,
	                                    .shuffle = true,
	                                    .outputs = 1,
	                                    .threads = 1,
	                                    .memory = 1 << 20};
	draw_slices(&options, one);
	for (int i = 0; i < VOLUMES; i++) {
		bool seen[32] = {false};
		int32_t different = 0;
		for (int epoch = 0; epoch < EPOCHS; epoch++) {
			assert_in_range(one[epoch][i], 0, depths[i] - 1);
			different += !seen[one[epoch][i]];
			seen[one[epoch][i]] = true;
		}
		assert_true(different >= (depths[i] < 5 ? depths[i] : 4));
	}
	options.threads = 3;
	options.memory = 0;
	draw_slices(&options, other);
	assert_memory_equal(one, other, sizeof(one));
	options.seed = 6;
	draw_slices(&options, other);
	assert_memory_not_equal(one, other, sizeof(one));
	hl_dataset_free(dataset);
}

/* A data set's answers are those for each file by itself, bit for bit. */
static void answers_data_sets_as_files(void **state)
{
	struct hl_dataset *dataset = write_volumes(*state);
	for (int32_t classes = 2; classes <= 3; classes++)
		for (int dims = HL_DIMS_2; dims <= HL_DIMS_25; dims++) {
			struct hl_recipe recipe = make_recipe((enum hl_dims)dims, 3);
			struct hilum_model *model = make_model(&recipe, classes);
			struct hilum_session *session = NULL;
			struct hl_predictions got = {.count = 0};
			assert_int_equal(hilum_session_open(model, NULL, &session, NULL), HILUM_OK);
			for (int mirror = 0; mirror < 2; mirror++) {
				const struct hl_predict_options how = {
				    .threads = 2, .memory = 3 * (int64_t)PLANE, .mirror = mirror != 0};
				struct hilum_error error = {0};
				if (hl_predict(model, dataset, every, VOLUMES, &how, &got, &error))
					fail_msg("%s", error.message);
				assert_int_equal(got.count, VOLUMES);
				for (uint32_t i = 0; i < VOLUMES; i++) {
					struct hilum_prediction alone;
					assert_int_equal(got.index[i], i);
					assert_int_equal(
					    hilum_predict_file(session, dataset->cases[i].file, &alone, NULL),
					    HILUM_OK);
					/* Slices of one grey are their own mirror images. */
					for (int32_t c = 0; c < classes; c++)
						assert_true(got.probability[(int32_t)i * classes + c] ==
						            alone.probabilities[c]);
				}
				hl_predictions_free(&got);
			}
			hilum_session_close(session);
			hilum_model_close(model);
		}
	hl_dataset_free(dataset);
}

/* ---- leaks ---- */

/* Blocks of chance greys: no two numbers' are alike. */
static void draw_noise(const struct pictures *pictures, const char *name, uint32_t number)
{
	enum { WIDE = 48, BLOCK = 6 };
	struct hl_random random = hl_random_stream(3, 0, number, HL_RANDOM_TEST);
	struct hl_volume volume = {0};
	char path[512];
	uint8_t *pixel;
	pictures_path(pictures, name, path);
	assert_int_equal(hl_volume_init(&volume, WIDE, WIDE, 1, 1, HL_VOXEL_U8, NULL), HILUM_OK);
	volume.unit = HL_UNIT_GREY;
	volume.maximum = 255;
	pixel = volume.voxels;
	for (int y = 0; y < WIDE; y++)
		for (int x = 0; x < WIDE; x++)
			pixel[y * WIDE + x] = y % BLOCK   ? pixel[(y - 1) * WIDE + x]
			                      : x % BLOCK ? pixel[y * WIDE + x - 1]
			                                  : (uint8_t)hl_random_below(&random, 256);
	assert_int_equal(hl_png_write(path, &volume, NULL), HILUM_OK);
	hl_volume_free(&volume);
}

/* Six stacks of three slices, the last of which is of the test part. Its slice number shared is the
 * last one of the first stack; -1: none. */
static size_t leaks(const struct pictures *pictures, enum hl_dims dims, int shared)
{
	char text[4096] = "path,label,patient,stack,slice,split\n", path[512], name[64];
	struct hl_dataset *dataset = NULL;
	struct hilum_error error = {0};
	size_t pairs = 99;
	pictures_folder(pictures, "l");
	for (int i = 0; i < 18; i++) {
		int number = i / 3 == 5 && i % 3 == shared ? 2 : i; /* of the first stack, its last slice */
		snprintf(name, sizeof(name), "l/%02d.png", i);
		draw_noise(pictures, name, (uint32_t)number);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s,%c,p%d,s,%d,%s\n", name, 'a' + i / 3 % 2,
		         i / 3, i % 3,
		         i / 3 == 5   ? "test"
		         : i / 3 == 4 ? "val"
		                      : "train");
	}
	pictures_text(pictures, "l.csv", text);
	pictures_path(pictures, "l.csv", path);
	if (hl_dataset_open(path, &(struct hl_dataset_options){.dims = dims}, &dataset, &error))
		fail_msg("%s", error.message);
	assert_int_equal(dataset->count, dims == HL_DIMS_3 ? 6 : 18);
	assert_int_equal(hl_leaks_check(dataset, false, 1, &pairs, &error), shared < 0 ? HILUM_OK : HILUM_ERROR_DATA);
	hl_dataset_free(dataset);
	return pairs;
}

/* Whichever slice of a stack it is that stands on the other side too. */
static void finds_leaks_in_stacks(void **state)
{
	for (int shared = -1; shared < 3; shared++)
		assert_int_equal(leaks(*state, HL_DIMS_3, shared), shared >= 0);
	assert_int_equal(leaks(*state, HL_DIMS_25, 0), 1);
}

/* A folder of a DICOM series below a class folder is a case, whatever its files are called; other pictures beside it
 * are cases of their own. */
static void takes_folders_of_series(void **state)
{
	const struct pictures *pictures = *state;
	struct hilum_phantom_options options;
	struct hl_dataset *dataset = NULL;
	struct hilum_error error = {0};
	struct hl_recipe recipe = make_recipe(HL_DIMS_2, 1);
	struct hl_met met = {0};
	uint8_t out[PLANE];
	char path[512], file[1024], bare[1024];
	hilum_options_init(hilum_phantom_option_table, &options);
	pictures_path(pictures, "series", path);
	options.directory = path;
	options.cases = 2;
	options.size = 32;
	options.format = 2;
	options.volume = true;
	options.slices = 4;
	if (hilum_phantom_write(&options, &error))
		fail_msg("%s", error.message);
	pictures_png(pictures, "series/normal/case-0009.png", 8, 8, 1);
	pictures_folder(pictures, "series/normal/deep");
	pictures_png(pictures, "series/normal/deep/one.png", 8, 8, 2);
	pictures_png(pictures, "series/normal/deep/two.png", 8, 8, 3);
	for (int again = 0; again < 2; again++) {
		size_t series = 0;
		if (hl_dataset_open(path, NULL, &dataset, &error))
			fail_msg("%s", error.message);
		assert_int_equal(dataset->count, 5);
		for (size_t i = 0; i < dataset->count; i++) {
			const struct hl_case *item = &dataset->cases[i];
			assert_int_equal(hl_dataset_read(dataset, i, &recipe, out, &met, &error), HILUM_OK);
			series += met.slices == 4;
			if (met.slices != 4 || again)
				continue;
			/* Without an ending, as archives of hospitals name them. */
			struct hl_names names = {0};
			assert_int_equal(hl_directory_list(item->file, 10, &names, NULL), HILUM_OK);
			for (size_t k = 0; k < names.count; k++) {
				snprintf(file, sizeof(file), "%s/%s", item->file, names.name[k]);
				snprintf(bare, sizeof(bare), "%s/%zu", item->file, k);
				assert_int_equal(rename(file, bare), 0);
			}
			hl_names_free(&names);
		}
		assert_int_equal(series, 2);
		hl_dataset_free(dataset);
	}
}

#define WITH_PICTURES(test) cmocka_unit_test_setup_teardown(test, pictures_setup, pictures_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(takes_the_middle_of_volumes),
	    cmocka_unit_test(keeps_the_middle),
	    cmocka_unit_test(takes_another_spacing),
	    cmocka_unit_test(takes_neighbours),
	    cmocka_unit_test(gives_shapes),
	    cmocka_unit_test(sees_through_windows),
	    cmocka_unit_test(goes_round_as_json),
	    WITH_PICTURES(reads_stacks),
	    WITH_PICTURES(reads_neighbours),
	    WITH_PICTURES(refuses_stacks),
	    WITH_PICTURES(refuses_volumes_in_stacks),
	    WITH_PICTURES(survives_no_memory),
	    cmocka_unit_test(augments_all_slices_alike),
	    cmocka_unit_test(turns_over_and_shifts),
	    WITH_PICTURES(loads_stacks),
	    cmocka_unit_test(combines),
	    WITH_PICTURES(answers_slice_by_slice),
	    WITH_PICTURES(gives_all_slices_in_order),
	    WITH_PICTURES(draws_slices),
	    WITH_PICTURES(answers_data_sets_as_files),
	    WITH_PICTURES(finds_leaks_in_stacks),
	    WITH_PICTURES(takes_folders_of_series),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
