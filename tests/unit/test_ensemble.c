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
#include "infer/ensemble.h"
#include "infer/precision.h"
#include "infer/predict.h"

#define SIDE 20
#define MEMBERS_MOST 11

static const char *const archs[] = {
    "conv filters=4 size=3 pad=1\nbatchnorm\nrelu\nmaxpool size=2\nflatten\ndense units=$outputs\n",
    "stem: conv filters=3 size=3 pad=1\nrelu\na: conv filters=3 size=1\nadd from=stem,a\nglobalpool\n"
    "dense units=$outputs\n"};
static char *two[] = {"a", "b"}, *three[] = {"a", "b", "c"}, *others[] = {"a", "z"};

static struct hl_recipe recipe_of(uint32_t member)
{
	return (struct hl_recipe){.channels = 1,
	                          .size = SIDE,
	                          .window = {-600, 1500},
	                          .mean = {0.3 + 0.05 * member, 0.5, 0.5},
	                          .deviation = {0.2 + 0.03 * member, 0.25, 0.25}};
}

static struct hilum_model *make(uint32_t member, char *const *classes, int32_t count)
{
	struct hl_recipe recipe = recipe_of(member);
	struct hilum_model *model;
	struct hilum_error error;
	if (hl_model_create(archs[member % 2], hl_recipe_shape(&recipe), classes, count, 7 + member, &model, &error))
		fail_msg("%s", error.message);
	model->recipe = hl_recipe_json(&recipe);
	return model;
}

static void answer(const struct hilum_model *model, const uint8_t *pixels, float *logits)
{
	struct hl_plan *plan;
	struct hl_recipe recipe;
	struct hilum_error error;
	float input[SIDE * SIDE];
	const struct hl_plan_options planning = {.batch = 1, .threads = 1};
	if (hl_model_recipe(model, &recipe, &error) || hl_model_plan(model, &planning, 0, &plan, &error))
		fail_msg("%s", error.message);
	hl_recipe_normalise(&recipe, pixels, input);
	memcpy(logits, hl_plan_forward(plan, input, false, 0, 0), sizeof(float) * (size_t)hl_model_outputs(model));
	hl_plan_destroy(plan);
}

/* The mean of what the members answer alone, each after its own brightness: with one class, several, and more members
 * than an addition has inputs. */
static void answers_the_mean(void **state)
{
	static const size_t counts[] = {1, 2, 3, MEMBERS_MOST};
	(void)state;
	struct hl_random random = hl_random_stream(3, 0, 0, HL_RANDOM_TEST);
	uint8_t pixels[SIDE * SIDE];
	for (int i = 0; i < SIDE * SIDE; i++)
		pixels[i] = (uint8_t)hl_random_below(&random, 256);
	for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
		struct hilum_model *member[MEMBERS_MOST], *ensemble;
		struct hilum_error error;
		double wanted[3] = {0};
		float logits[3];
		bool more = k == 2;
		int outputs = more ? 3 : 1;
		for (uint32_t m = 0; m < counts[k]; m++) {
			member[m] = make(m, more ? three : two, more ? 3 : 2);
			answer(member[m], pixels, logits);
			for (int c = 0; c < outputs; c++)
				wanted[c] += (double)logits[c] / (double)counts[k];
		}
		if (hl_ensemble_make(member, counts[k], &ensemble, &error))
			fail_msg("%s", error.message);
		answer(ensemble, pixels, logits);
		for (int c = 0; c < outputs; c++)
			assert_true(fabs((double)logits[c] - wanted[c]) < 1e-5 * (1 + fabs(wanted[c])));
		for (uint32_t m = 0; m < counts[k]; m++)
			hilum_model_close(member[m]);
		hilum_model_close(ensemble);
	}
}

static void refuses_strangers(void **state)
{
	(void)state;
	struct hilum_model *member[2] = {make(0, two, 2), make(1, others, 2)}, *untouched = member[0];
	struct hilum_error error;
	assert_int_equal(hl_ensemble_make(member, 2, &untouched, &error), HILUM_ERROR_DATA);
	assert_non_null(strstr(error.message, "classes"));
	hilum_model_close(member[1]);
	member[1] = make(1, two, 2);
	struct hl_recipe recipe = recipe_of(1);
	recipe.window.width = 400;
	hl_free(member[1]->recipe);
	member[1]->recipe = hl_recipe_json(&recipe);
	assert_int_equal(hl_ensemble_make(member, 2, &untouched, &error), HILUM_ERROR_DATA);
	assert_non_null(strstr(error.message, "window"));
	assert_ptr_equal(untouched, member[0]);
	assert_int_equal(hl_ensemble_make(member, 0, &untouched, &error), HILUM_ERROR_ARGUMENT);
	hilum_model_close(member[0]);
	hilum_model_close(member[1]);
}

/* Tested on by all: test. Trained on by any: train. */
static void joins_splits(void **state)
{
	(void)state;
	struct hilum_model *member[2] = {make(0, two, 2), make(1, two, 2)}, *ensemble;
	member[0]->split = hl_strdup("{\"train\":[\"p\",\"q\"],\"val\":[\"r\"],\"test\":[\"s\",\"t\"]}");
	member[1]->split = hl_strdup("{\"train\":[\"s\"],\"val\":[\"p\"],\"test\":[\"q\",\"r\",\"t\"]}");
	member[0]->provenance = hl_strdup("{\"dataset\":\"x\",\"grouped\":true,\"leaks\":2}");
	member[1]->provenance = hl_strdup("{\"dataset\":\"x\",\"grouped\":false}");
	assert_int_equal(hl_ensemble_make(member, 2, &ensemble, NULL), HILUM_OK);
	json_t *split = json_loads(ensemble->split, 0, NULL), *told = json_loads(ensemble->provenance, 0, NULL);
	json_t *wanted = json_pack("{s:[s,s,s],s:[s],s:[s]}", "train", "p", "q", "s", "val", "r", "test", "t");
	const char *names[] = {"train", "val", "test"};
	for (int p = 0; p < 3; p++) {
		json_t *of = json_object_get(split, names[p]), *as = json_object_get(wanted, names[p]), *value;
		size_t i, k, found = 0;
		assert_int_equal(json_array_size(of), json_array_size(as));
		json_array_foreach(as, i, value) for (k = 0; k < json_array_size(of); k++) found +=
		    (size_t)json_equal(value, json_array_get(of, k));
		assert_int_equal(found, json_array_size(as));
	}
	assert_string_equal(json_string_value(json_object_get(told, "dataset")), "x");
	assert_null(json_object_get(told, "grouped"));
	assert_int_equal(json_integer_value(json_object_get(told, "leaks")), 2);
	assert_int_equal(json_array_size(json_object_get(told, "members")), 2);
	json_decref(split);
	json_decref(told);
	json_decref(wanted);
	hilum_model_close(ensemble);
	hl_free(member[1]->split);
	member[1]->split = NULL;
	assert_int_equal(hl_ensemble_make(member, 2, &ensemble, NULL), HILUM_OK);
	assert_null(ensemble->split);
	hilum_model_close(ensemble);
	hilum_model_close(member[0]);
	hilum_model_close(member[1]);
}

/* The folder of a cross-validation stands for its folds. */
static void takes_a_crossval(void **state)
{
	(void)state;
	char folder[] = "/tmp/hilum-ensemble-XXXXXX", path[600], command[600];
	const char *inputs[] = {folder};
	size_t members = 0;
	assert_non_null(mkdtemp(folder));
	for (uint32_t m = 0; m < 3; m++) {
		struct hilum_model *model = make(m, two, 2);
		snprintf(path, sizeof(path), "%s/fold-%u", folder, m);
		assert_int_equal(hl_directory_make(path, NULL), HILUM_OK);
		snprintf(path, sizeof(path), "%s/fold-%u/best.hilum", folder, m);
		assert_int_equal(hl_model_save(model, path, NULL), HILUM_OK);
		hilum_model_close(model);
	}
	snprintf(path, sizeof(path), "%s/all.hilum", folder);
	assert_int_equal(hilum_ensemble(inputs, 1, path, NULL, NULL), HILUM_ERROR_IO); /* a folder without a model */
	char sign[600];
	snprintf(sign, sizeof(sign), "%s/crossval.json", folder);
	assert_int_equal(hl_file_write(sign, &(struct hl_part){"{}", 2}, 1, NULL), HILUM_OK);
	assert_int_equal(hilum_ensemble(inputs, 1, path, &members, NULL), HILUM_OK);
	assert_int_equal(members, 3);
	struct hilum_model *back;
	assert_int_equal(hilum_model_open(path, &back, NULL), HILUM_OK);
	assert_true(hl_graph_find(back->graph, "3.conv1") > 0);
	hilum_model_close(back);
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_the_mean),
	    cmocka_unit_test(refuses_strangers),
	    cmocka_unit_test(joins_splits),
	    cmocka_unit_test(takes_a_crossval),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
