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

#include "base/memory.h"
#include "data/dataset.h"
#include "eval/scores.h"
#include "infer/predict.h"

static char path[] = "/tmp/hilum-scores-XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(path);
	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return remove(path);
}

static enum hilum_status score(const char *text, struct hilum_scores **out, struct hilum_error *error)
{
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	return hilum_score_file(path, NULL, out, error);
}

static struct hilum_scores *scored(const char *text)
{
	struct hilum_scores *scores = NULL;
	struct hilum_error error = {0};
	if (score(text, &scores, &error))
		fail_msg("%s", error.message);
	return scores;
}

static char *printed(const struct hilum_scores *scores, enum hilum_output output)
{
	static char *text;
	static size_t size;
	FILE *file = open_memstream(&text, &size);
	assert_int_equal(hilum_scores_print(scores, output, file, NULL), HILUM_OK);
	fclose(file);
	return text;
}

static void binary_table(void **state)
{
	struct hilum_scores *scores = scored("group,probability,path,label\r\nx,0.9,one,1\r\nx, 0.2 ,two,0.0\r\n"
	                                     "y,1e-3,three,1\r\n");
	(void)state;
	assert_float_equal(hilum_scores_get(scores, "log_loss"), -(log(0.9) + log(0.8) + log(1e-3)) / 3, 1e-12);
	assert_float_equal(hilum_scores_get(scores, "baseline_accuracy"), 2.0 / 3, 1e-12);
	assert_float_equal(hilum_scores_get(scores, "n"), 3, 0);
	assert_float_equal(hilum_scores_get(scores, "groups"), 2, 0);
	assert_true(isnan(hilum_scores_get(scores, "no such figure")));
	assert_string_equal(scores->table.id[2], "three");
	char *text = printed(scores, HILUM_OUTPUT_TEXT);
	assert_non_null(strstr(text, "3 cases in 2 groups; neighbours of one patient are not independent"));
	assert_non_null(strstr(text, "Not better than the baseline in log loss, accuracy and ROC-AUC."));
	assert_non_null(strstr(text, "three "));
	assert_non_null(strstr(text, "-6.9078"));
	assert_non_null(strstr(text, "Research use only: not a medical device."));
	free(text);
	hilum_scores_free(scores);
}

static void json(void **state)
{
	struct hilum_scores *scores = scored("label,probability\n1,0.1\n1,0.7\n");
	char *text = printed(scores, HILUM_OUTPUT_JSON);
	json_t *root = json_loads(text, 0, NULL);
	static const char *const keys[] = {"n",
	                                   "log_loss",
	                                   "accuracy",
	                                   "balanced_accuracy",
	                                   "sensitivity",
	                                   "specificity",
	                                   "precision",
	                                   "f1",
	                                   "mcc",
	                                   "auc",
	                                   "average_precision",
	                                   "brier",
	                                   "baseline_log_loss",
	                                   "baseline_brier",
	                                   "confusion",
	                                   "classes",
	                                   "groups",
	                                   "unreadable",
	                                   "part",
	                                   "research_use_only"};
	(void)state;
	assert_non_null(root);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		assert_non_null(json_object_get(root, keys[i]));
	assert_true(json_is_null(json_object_get(root, "auc")));
	assert_null(json_object_get(root, "per_class"));
	/* The figure reads back as the same double. */
	assert_true(json_real_value(json_object_get(root, "log_loss")) == scores->metrics.log_loss);
	assert_int_equal(json_integer_value(json_array_get(json_array_get(json_object_get(root, "confusion"), 1), 0)),
	                 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(root, "classes"), 1)), "1");
	json_decref(root);
	free(text);
	hilum_scores_free(scores);
}

static void class_columns(void **state)
{
	/* Names, indexes, and names that look like indexes. */
	static const char *const tables[] = {
	    "label,p_a,p_b,p_c\na,1,0,0\nb,0.5,0.25,0.25\nc,0,0,1\n",
	    "p_a,p_b,p_c,label\n1,0,0,0\n0.5,0.25,0.25,1\n0,0,1,2\n",
	    "label,p_1,p_2,p_3\n1,1,0,0\n2,0.5,0.25,0.25\n3,0,0,1\n",
	};
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct hilum_scores *scores = scored(tables[i]);
		assert_int_equal(scores->metrics.classes, 3);
		assert_int_equal(scores->metrics.confusion[1][0], 1);
		assert_float_equal(scores->metrics.log_loss, log(4) / 3, 1e-9);
		char *text = printed(scores, HILUM_OUTPUT_JSON);
		assert_non_null(strstr(text, "per_class"));
		free(text);
		hilum_scores_free(scores);
	}
	struct hilum_scores *two = scored("label,p_well,p_ill\nill,0.25,0.75\nwell,0.5,0.5\n");
	assert_float_equal(two->table.probability[0], 0.75, 0);
	assert_int_equal(two->metrics.confusion[0][1], 1);
	assert_string_equal(two->table.names[1], "ill");
	hilum_scores_free(two);
}

static void refused(void **state)
{
	static const struct {
		const char *text;
		enum hilum_status status;
		const char *says;
	} cases[] = {
	    {"", HILUM_ERROR_FORMAT, "empty"},
	    {"label,probability\n", HILUM_ERROR_DATA, "no case"},
	    {"truth,probability\n1,1\n", HILUM_ERROR_FORMAT, "\"label\""},
	    {"label,score\n1,1\n", HILUM_ERROR_FORMAT, "\"probability\""},
	    {"label,p_a\na,1\n", HILUM_ERROR_FORMAT, "\"probability\""},
	    {"label,probability\n1,0.5\n0,1.5\n", HILUM_ERROR_DATA, "line 3: probability \"1.5\""},
	    {"label,probability\n1,-0.5\n", HILUM_ERROR_DATA, "line 2"},
	    {"label,probability\n1,nan\n", HILUM_ERROR_DATA, "line 2"},
	    {"label,probability\n1,inf\n", HILUM_ERROR_DATA, "line 2"},
	    {"label,probability\n1,\n", HILUM_ERROR_FORMAT, "line 2"},
	    {"label,probability\n1,0.5x\n", HILUM_ERROR_FORMAT, "0.5x"},
	    {"label,probability\n1,0.5\n2,0.5\n", HILUM_ERROR_DATA, "line 3: label \"2\""},
	    {"label,probability\nyes,0.5\n", HILUM_ERROR_DATA, "neither 0 nor 1"},
	    {"label,probability\n0.5,0.5\n", HILUM_ERROR_DATA, "neither 0 nor 1"},
	    {"label,p_a,p_b\nc,0.5,0.5\n", HILUM_ERROR_DATA, "line 2: label \"c\""},
	    {"label,p_a,p_b\n2,0.5,0.5\n", HILUM_ERROR_DATA, "0 to 1"},
	    {"label,p_a,p_b\na,0.5,0.4\n", HILUM_ERROR_DATA, "sum to 0.9"},
	    {"label,p_a,p_a\na,0.5,0.5\n", HILUM_ERROR_FORMAT, "p_a"},
	    {"label,probability\n1\n", HILUM_ERROR_FORMAT, "line 2"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct hilum_scores *scores = NULL;
		struct hilum_error error = {0};
		assert_int_equal(score(cases[i].text, &scores, &error), cases[i].status);
		assert_null(scores);
		if (!strstr(error.message, cases[i].says) || !strstr(error.message, path))
			fail_msg("table %zu: %s", i, error.message);
	}
	assert_int_equal(hilum_score_file("/nonexistent/table.csv", NULL, &(struct hilum_scores *){NULL}, NULL),
	                 HILUM_ERROR_IO);
}

static void no_escapes(void **state)
{
	struct hilum_scores *scores =
	    scored("path,label,probability\n\x1b[31mred\x07,1,0.5\n"
	           "a/very/long/path/that/does/not/fit/into/the/column/image-\xc3\xa9.png,0,0.5\n");
	char *text = printed(scores, HILUM_OUTPUT_TEXT);
	(void)state;
	assert_null(strchr(text, 0x1b));
	assert_null(strchr(text, 0x07));
	assert_non_null(strstr(text, "..."));
	assert_non_null(strstr(text, "image-\xc3\xa9.png  0 "));
	free(text);
	hilum_scores_free(scores);
}

/* Only the worst cases of a long table are shown, and that is said. */
static void long_table(void **state)
{
	char table[4096] = "label,probability\n";
	for (int i = 0; i < 40; i++)
		snprintf(table + strlen(table), 64, "%d,%g\n", i % 2, i == 20 ? 0.99 : i % 2 ? 0.8 : 0.2);
	struct hilum_scores *scores = scored(table);
	char *text = printed(scores, HILUM_OUTPUT_TEXT);
	(void)state;
	assert_non_null(strstr(text, "The 10 worst of 40 cases"));
	const char *worst = strstr(text, "corrected        log\n");
	assert_non_null(worst);
	assert_int_equal(atoi(strchr(worst, '\n') + 1), 21);
	assert_null(strstr(text, "Not better"));
	free(text);
	hilum_scores_free(scores);
}

static void round_trip(int32_t classes)
{
	static char *names[] = {"a,b", "c\"d", "e"}, *groups[] = {"g1", "g2"};
	struct hl_case cases[] = {{.path = "x,1.png", .label = 0, .group = 0},
	                          {.path = "y.png", .label = 1, .group = 1},
	                          {.path = "z.png", .label = 1, .group = 1}};
	struct hl_dataset dataset = {.count = 3,
	                             .cases = cases,
	                             .class_count = classes,
	                             .classes = names,
	                             .group_count = 2,
	                             .groups = groups,
	                             .grouped = true};
	uint32_t index[] = {0, 2};
	double probability[] = {0.1, 0.9, 1.0 / 3, 2.0 / 3, 0, 0};
	double three[] = {0.1, 0.2, 0.7, 1.0 / 3, 1.0 / 3, 1.0 / 3};
	struct hl_predictions predictions = {.count = 2,
	                                     .index = index,
	                                     .classes = classes,
	                                     .probability = classes == 2 ? probability : three,
	                                     .unreadable = 1};
	struct hilum_scores *scores, *again;
	assert_int_equal(hl_scores_from_predictions(&dataset, &predictions, "test", NULL, &scores, NULL), HILUM_OK);
	assert_int_equal(scores->metrics.n, 2);
	assert_int_equal(scores->unreadable, 1);
	assert_int_equal(scores->groups, 2);
	assert_string_equal(scores->part, "test");
	assert_int_equal(hl_scores_write_predictions(scores, path, NULL), HILUM_OK);
	assert_int_equal(hilum_score_file(path, NULL, &again, NULL), HILUM_OK);
	assert_memory_equal(&again->metrics, &scores->metrics, sizeof(scores->metrics));
	assert_string_equal(again->table.id[0], "x,1.png");
	assert_string_equal(again->table.group[1], "g2");
	if (classes == 3)
		assert_string_equal(again->table.names[1], "c\"d");
	hilum_scores_free(again);
	hilum_scores_free(scores);
	dataset.class_count = 5 - classes;
	assert_int_equal(hl_scores_from_predictions(&dataset, &predictions, "test", NULL, &scores, NULL),
	                 HILUM_ERROR_DATA);
}

static void predictions_round_trip(void **state)
{
	(void)state;
	round_trip(2);
	round_trip(3);
}

static const char grouped[] = "path,label,probability,group\na,0,0.1,x\nb,1,0.7,x\nc,0,0.2,y\nd,0,0.4,y\ne,1,0.8,z\n"
                              "f,0,0.3,w\n";

static struct hilum_scores *scored_as(const char *text, const struct hilum_score_options *options)
{
	struct hilum_scores *scores = NULL;
	struct hilum_error error = {0};
	hilum_scores_free(scored(text));
	if (hilum_score_file(path, options, &scores, &error))
		fail_msg("%s", error.message);
	return scores;
}

static void by_group(void **state)
{
	static const double wanted[][4] = {
	    [HILUM_AGGREGATE_AUTO] = {0.3, 0.4, 0.3, 0.8},
	    [HILUM_AGGREGATE_MEAN] = {0.3, 0.4, 0.3, 0.8},
	    [HILUM_AGGREGATE_MAX] = {0.3, 0.7, 0.4, 0.8},
	    [HILUM_AGGREGATE_NOISY_OR] = {0.3, 1 - 0.9 * 0.3, 1 - 0.8 * 0.6, 0.8},
	};
	static const int32_t label[] = {0, 1, 0, 1};
	(void)state;
	for (int how = HILUM_AGGREGATE_AUTO; how <= HILUM_AGGREGATE_NOISY_OR; how++) {
		struct hilum_score_options options = {.by = HILUM_BY_GROUP, .aggregate = how, .resamples = 100};
		struct hilum_scores *scores = scored_as(grouped, &options);
		assert_int_equal(scores->metrics.n, 4);
		assert_int_equal(scores->cases, 6);
		assert_int_equal(scores->groups, 4);
		assert_string_equal(scores->table.id[1], "x");
		for (int i = 0; i < 4; i++) {
			assert_int_equal(scores->table.label[i], label[i]);
			assert_float_equal(scores->table.probability[i], wanted[how][i], 1e-15);
		}
		char *text = printed(scores, HILUM_OUTPUT_TEXT);
		assert_non_null(strstr(text, "4 groups of 6 cases"));
		free(text);
		hilum_scores_free(scores);
	}
	/* Three classes: the mean of rows, and one label a group. */
	const struct hilum_score_options mean = {.by = HILUM_BY_GROUP};
	struct hilum_scores *scores =
	    scored_as("label,p_a,p_b,p_c,group\na,0.5,0.5,0,x\na,1,0,0,x\nc,0,0,1,y\n", &mean);
	assert_float_equal(scores->table.probability[0], 0.75, 1e-15);
	assert_float_equal(scores->table.probability[5], 1, 1e-15);
	hilum_scores_free(scores);
}

static void by_group_refused(void **state)
{
	static const struct {
		const char *text;
		struct hilum_score_options options;
		enum hilum_status status;
		const char *says;
	} cases[] = {
	    {"label,probability\n1,0.5\n", {.by = HILUM_BY_GROUP}, HILUM_ERROR_DATA, "no groups"},
	    {grouped, {.aggregate = HILUM_AGGREGATE_MAX}, HILUM_ERROR_ARGUMENT, "--by group"},
	    {grouped, {.by = 7}, HILUM_ERROR_ARGUMENT, "by: 7"},
	    {grouped, {.by = HILUM_BY_GROUP, .aggregate = 9}, HILUM_ERROR_ARGUMENT, "aggregate: 9"},
	    {grouped, {.prevalence = -0.1}, HILUM_ERROR_ARGUMENT, "prevalence"},
	    {grouped, {.resamples = 5}, HILUM_ERROR_ARGUMENT, "resamples"},
	    {"label,p_a,p_b,p_c,group\na,1,0,0,x\nb,1,0,0,x\n",
	     {.by = HILUM_BY_GROUP},
	     HILUM_ERROR_DATA,
	     "cases 1 and 2 are of one group"},
	    {"label,p_a,p_b,p_c,group\na,1,0,0,x\n",
	     {.by = HILUM_BY_GROUP, .aggregate = HILUM_AGGREGATE_MAX},
	     HILUM_ERROR_UNSUPPORTED,
	     "max"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct hilum_scores *scores = NULL;
		struct hilum_error error = {0};
		hilum_scores_free(scored(cases[i].text));
		assert_int_equal(hilum_score_file(path, &cases[i].options, &scores, &error), cases[i].status);
		assert_null(scores);
		if (!strstr(error.message, cases[i].says))
			fail_msg("table %zu: %s", i, error.message);
	}
}

static double net_benefit(const json_t *root, const char *key, size_t percent)
{
	const json_t *curve = json_object_get(root, "decision_curve");
	return json_real_value(json_array_get(json_object_get(curve, key), percent - 1));
}

static void intervals(void **state)
{
	struct hilum_scores *scores = scored(grouped);
	double low = 7, high = 7;
	(void)state;
	assert_int_equal(scores->resamples, 2000);
	assert_true(hilum_scores_interval(scores, "log_loss", &low, &high));
	assert_true(low < scores->metrics.log_loss && scores->metrics.log_loss < high);
	assert_false(hilum_scores_interval(scores, "ppv", &low, &high));
	assert_false(hilum_scores_interval(scores, "nonsense", &low, &high));
	char *text = printed(scores, HILUM_OUTPUT_JSON);
	json_t *root = json_loads(text, 0, NULL), *interval = json_object_get(root, "log_loss_interval");
	assert_true(json_real_value(json_array_get(interval, 1)) == high);
	assert_true(json_is_null(json_object_get(root, "delong")));
	assert_true(json_is_false(json_object_get(json_object_get(root, "intervals"), "independent_cases")));
	/* Of six cases two are positive; at 0.25 four are called so, both of them among these. */
	assert_float_equal(net_benefit(root, "net_benefit", 25), 2.0 / 6 - 2.0 / 6 / 3, 1e-12);
	assert_float_equal(net_benefit(root, "net_benefit_of_all", 25), 2.0 / 6 - 4.0 / 6 / 3, 1e-12);
	/* A threshold is reached by what equals it, though 70/100 and 0.7 are written differently. */
	assert_float_equal(net_benefit(root, "net_benefit", 70), 2.0 / 6, 1e-12);
	json_decref(root);
	free(text);
	text = printed(scores, HILUM_OUTPUT_TEXT);
	assert_non_null(strstr(text, "2000 draws of whole groups out of 4"));
	free(text);
	hilum_scores_free(scores);
	const struct hilum_score_options options = {.prevalence = 0.5};
	scores = scored_as(grouped, &options);
	text = printed(scores, HILUM_OUTPUT_JSON);
	root = json_loads(text, 0, NULL);
	assert_true(json_is_null(json_object_get(root, "intervals")));
	assert_float_equal(json_real_value(json_object_get(root, "ppv")), 1, 0);
	assert_float_equal(net_benefit(root, "net_benefit", 25), 0.5 - 0.5 * 0.5 / 3, 1e-12);
	json_decref(root);
	free(text);
	hilum_scores_free(scores);
}

/* No line is wider than 100 columns. */
static void fits(void **state)
{
	const struct hilum_score_options options = {.prevalence = 0.015, .resamples = 100};
	struct hilum_scores *scores = scored_as(grouped, &options);
	char *text = printed(scores, HILUM_OUTPUT_TEXT);
	(void)state;
	for (const char *line = text; *line;) {
		size_t length = strcspn(line, "\n");
		if (length > 100)
			fail_msg("%zu columns: %.*s", length, (int)length, line);
		line += length + (line[length] == '\n');
	}
	free(text);
	hilum_scores_free(scores);
}

/* Each allocation in turn fails: a typed error, nothing leaked, nothing written. */
static void without_memory(void **state)
{
	(void)state;
	hilum_scores_free(scored("path,label,probability,group\na,1,0.5,x\nb,0,0.25,y\n"));
	for (int64_t i = 0; i < 1000; i++) {
		struct hilum_scores *scores = NULL;
		hl_memory_fail_after(i);
		enum hilum_status status = hilum_score_file(path, NULL, &scores, NULL);
		hl_memory_fail_after(-1);
		if (!status) {
			assert_true(i > 10);
			hilum_scores_free(scores);
			return;
		}
		assert_int_equal(status, HILUM_ERROR_MEMORY);
		assert_null(scores);
	}
	fail();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(binary_table),   cmocka_unit_test(json),       cmocka_unit_test(class_columns),
	    cmocka_unit_test(refused),        cmocka_unit_test(no_escapes), cmocka_unit_test(long_table),
	    cmocka_unit_test(without_memory), cmocka_unit_test(by_group),   cmocka_unit_test(by_group_refused),
	    cmocka_unit_test(intervals),      cmocka_unit_test(fits),       cmocka_unit_test(predictions_round_trip),
	};
	hilum_scores_free(NULL);
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
