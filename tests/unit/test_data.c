#include "pictures.h"

#include <math.h>

#include "base/log.h"
#include "base/memory.h"
#include "data/recipe.h"
#include "data/split.h"

static struct hl_dataset *open_data(const struct pictures *pictures, const char *name,
                                    const struct hl_dataset_options *options)
{
	char path[512];
	struct hl_dataset *dataset = NULL;
	struct hilum_error error = {0};
	pictures_path(pictures, name, path);
	if (hl_dataset_open(path, options, &dataset, &error))
		fail_msg("%s", error.message);
	return dataset;
}

static void refuse_data(const struct pictures *pictures, const char *name, const struct hl_dataset_options *options,
                        enum hilum_status code, const char *says)
{
	char path[512];
	struct hl_dataset *dataset = (struct hl_dataset *)0x10;
	struct hilum_error error = {0};
	pictures_path(pictures, name, path);
	assert_int_equal(hl_dataset_open(path, options, &dataset, &error), code);
	assert_ptr_equal(dataset, (struct hl_dataset *)0x10);
	if (!strstr(error.message, says))
		fail_msg("\"%s\" does not say \"%s\"", error.message, says);
	assert_int_equal(hl_dataset_open(path, options, &dataset, NULL), code);
}

static void count_warnings(void *context, enum hilum_level level, const char *line)
{
	(void)line;
	*(int *)context += level == HILUM_LOG_WARNING;
}

static void reads_folders(void **state)
{
	const struct pictures *pictures = *state;
	int warnings = 0;
	pictures_folder(pictures, "set/normal/deep (1)");
	pictures_folder(pictures, "set/not normal");
	pictures_png(pictures, "set/normal/deep (1)/b, \"c\".png", 4, 4, 0);
	pictures_png(pictures, "set/normal/case (2).PNG", 4, 4, 0);
	pictures_png(pictures, "set/not normal/x.png", 4, 4, 0);
	pictures_png(pictures, "set/not normal/.hidden.png", 4, 4, 0);
	pictures_png(pictures, "set/loose.png", 4, 4, 0);
	pictures_text(pictures, "set/not normal/notes.txt", "skipped");
	hilum_log_to(count_warnings, &warnings);
	struct hl_dataset *dataset = open_data(pictures, "set", NULL);
	hilum_log_to(NULL, NULL);
	assert_int_equal(warnings, 2); /* notes.txt; loose.png */
	assert_int_equal(dataset->count, 3);
	assert_string_equal(dataset->cases[0].path, "normal/case (2).PNG");
	assert_string_equal(dataset->cases[1].path, "normal/deep (1)/b, \"c\".png");
	assert_string_equal(dataset->cases[2].path, "not normal/x.png");
	assert_true(hl_path_exists(dataset->cases[1].file));
	assert_int_equal(dataset->class_count, 2);
	assert_string_equal(dataset->classes[1], "not normal");
	assert_int_equal(dataset->cases[2].label, 1);
	assert_false(dataset->grouped);
	assert_int_equal(dataset->group_count, 3);
	assert_ptr_equal(hl_dataset_find(dataset, ".//not normal/./x.png"), &dataset->cases[2]);
	assert_null(hl_dataset_find(dataset, "x.png"));
	size_t count = 9;
	uint32_t *none = hl_dataset_select(dataset, HL_PART_TEST, &count);
	assert_int_equal(count, 0);
	hl_free(none);
	hl_dataset_free(dataset);
}

static void refuses_folders(void **state)
{
	const struct pictures *pictures = *state;
	refuse_data(pictures, "absent", NULL, HILUM_ERROR_IO, "absent");
	pictures_folder(pictures, "one/a");
	refuse_data(pictures, "one", NULL, HILUM_ERROR_DATA, "no pictures");
	pictures_png(pictures, "one/a/x.png", 2, 2, 0);
	refuse_data(pictures, "one", NULL, HILUM_ERROR_DATA, "1 class folder;");
	pictures_folder(pictures, "one/b");
	refuse_data(pictures, "one", NULL, HILUM_ERROR_DATA, "one/b");
	pictures_folder(pictures, "parts/train");
	pictures_folder(pictures, "parts/test");
	pictures_png(pictures, "parts/train/x.png", 2, 2, 0);
	pictures_png(pictures, "parts/test/x.png", 2, 2, 0);
	refuse_data(pictures, "parts", NULL, HILUM_ERROR_DATA, "parts of a split");
	/* A link to a folder above it. */
	char from[512];
	pictures_png(pictures, "one/b/x.png", 2, 2, 0);
	pictures_path(pictures, "one/b/loop", from);
	assert_int_equal(symlink(".", from), 0);
	refuse_data(pictures, "one", NULL, HILUM_ERROR_DATA, "link back");
	pictures_folder(pictures, "bytes/a");
	pictures_folder(pictures, "bytes/\xff\xfe");
	pictures_png(pictures, "bytes/a/x.png", 2, 2, 0);
	refuse_data(pictures, "bytes", NULL, HILUM_ERROR_DATA, "UTF-8");
}

static void finds_the_positive_class(void **state)
{
	static const struct {
		const char *first, *second, *positive;
	} table[] = {{"normal", "nodule", "nodule"},
	             {"healthy", "cancer", "cancer"},
	             {"no nodule", "nodule", "nodule"},
	             {"non-small cell", "normal", "non-small cell"},
	             {"benign", "malignant", "malignant"},
	             {"benign", "normal", "benign"},
	             {"noncancer", "cancer", "cancer"},
	             {"normal", "not normal", "not normal"},
	             {"0", "1", "1"},
	             {"NEGATIVE", "PCR", "PCR"},
	             {"a", "b", "b"},
	             {"abnormal", "Normal cases", "abnormal"}};
	const struct pictures *pictures = *state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char text[200];
		snprintf(text, sizeof(text), "path,label\na.png,%s\nb.png,%s\n", table[i].first, table[i].second);
		pictures_text(pictures, "m.csv", text);
		struct hl_dataset *dataset = open_data(pictures, "m.csv", NULL);
		assert_string_equal(dataset->classes[1], table[i].positive);
		assert_int_equal(dataset->cases[0].label, strcmp(table[i].first, table[i].positive) == 0);
		hl_dataset_free(dataset);
	}
}

static void merges_classes(void **state)
{
	const struct pictures *pictures = *state;
	pictures_text(pictures, "m.csv", "path,label\n1.png,normal\n2.png,benign\n3.png,malignant\n");
	struct hl_dataset *dataset = open_data(pictures, "m.csv", NULL);
	assert_int_equal(dataset->class_count, 3);
	assert_string_equal(dataset->classes[2], "normal");
	char all[65], merged[65];
	hl_dataset_hash(dataset, all);
	hl_dataset_free(dataset);
	dataset = open_data(pictures, "m.csv", &(struct hl_dataset_options){.positive = " malignant , benign"});
	assert_int_equal(dataset->class_count, 2);
	assert_string_equal(dataset->classes[0], "normal");
	assert_string_equal(dataset->classes[1], "benign+malignant");
	assert_int_equal(dataset->cases[0].label, 0);
	assert_int_equal(dataset->cases[1].label, 1);
	assert_int_equal(dataset->cases[2].label, 1);
	assert_string_equal(dataset->origins[dataset->cases[2].origin], "malignant");
	hl_dataset_hash(dataset, merged);
	assert_string_equal(all, merged);
	hl_dataset_free(dataset);
	refuse_data(pictures, "m.csv", &(struct hl_dataset_options){.positive = "cancer"}, HILUM_ERROR_ARGUMENT,
	            "found: benign, malignant, normal");
	refuse_data(pictures, "m.csv", &(struct hl_dataset_options){.positive = "benign,,normal"}, HILUM_ERROR_ARGUMENT,
	            "no class \"\"");
	refuse_data(pictures, "m.csv", &(struct hl_dataset_options){.positive = "benign,normal,malignant"},
	            HILUM_ERROR_ARGUMENT, "all 3");
}

static void reads_manifests(void **state)
{
	const struct pictures *pictures = *state;
	pictures_text(pictures, "m.csv",
	              "\xef\xbb\xbflabel,path,patient,split\r\nb,./z.png,p2,test\r\na,\"y, (1).png\",p1,train\r\n"
	              "a,../x.png,p1,\r\n");
	struct hl_dataset *dataset = open_data(pictures, "m.csv", NULL);
	assert_int_equal(dataset->count, 3);
	assert_string_equal(dataset->cases[0].path, "../x.png");
	assert_string_equal(dataset->cases[1].path, "y, (1).png");
	assert_string_equal(dataset->cases[2].path, "z.png");
	assert_true(dataset->grouped);
	assert_true(dataset->has_parts);
	assert_int_equal(dataset->group_count, 2);
	assert_string_equal(dataset->groups[0], "p1");
	assert_int_equal(dataset->cases[0].group, dataset->cases[1].group);
	assert_int_equal(dataset->cases[0].part, HL_PART_NONE);
	assert_int_equal(dataset->cases[1].part, HL_PART_TRAIN);
	assert_int_equal(dataset->cases[2].part, HL_PART_TEST);
	hl_dataset_free(dataset);

	pictures_text(pictures, "m.csv",
	              "path,label,split\n0,a,train\n1,b,training\n2,a,val\n3,b,valid\n4,a,validation\n5,b,test\n"
	              "6,a,testing\n7,b,none\n");
	dataset = open_data(pictures, "m.csv", NULL);
	const enum hl_split_part parts[] = {HL_PART_TRAIN, HL_PART_TRAIN, HL_PART_VAL,  HL_PART_VAL,
	                                    HL_PART_VAL,   HL_PART_TEST,  HL_PART_TEST, HL_PART_NONE};
	assert_int_equal(dataset->count, 8);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(dataset->cases[i].part, parts[i]);
	hl_dataset_free(dataset);
}

static void refuses_manifests(void **state)
{
	static const struct {
		const char *text;
		enum hilum_status code;
		const char *says;
	} table[] = {
	    {"", HILUM_ERROR_FORMAT, "m.csv"},
	    {"path,label\n", HILUM_ERROR_DATA, "no cases"},
	    {"file,label\na,b\n", HILUM_ERROR_FORMAT, "no column \"path\" (columns: file,label)"},
	    {"path,class\na,b\n", HILUM_ERROR_FORMAT, "no column \"label\""},
	    {"path,label\na,x\nb,x\n", HILUM_ERROR_DATA, "one class only (\"x\")"},
	    {"path,label\na,x\n,y\n", HILUM_ERROR_FORMAT, "line 3: the path is empty"},
	    {"path,label\na,x\n./,y\n", HILUM_ERROR_FORMAT, "line 3: the path is empty"},
	    {"path,label\na,x\nb,\n", HILUM_ERROR_FORMAT, "line 3: the label is empty"},
	    {"path,label\na,x\n\"b\nc\",y\n", HILUM_ERROR_FORMAT, "control character"},
	    {"path,label\na,x\nb\xc0\xaf,y\n", HILUM_ERROR_FORMAT, "UTF-8"},
	    {"path,label\na,x\nb,\xed\xa0\x80\n", HILUM_ERROR_FORMAT, "UTF-8"},
	    {"path,label\na,x\n./a,y\n", HILUM_ERROR_DATA, "a is listed twice, under different labels"},
	    {"path,label\na,x\na,x\nb,y\n", HILUM_ERROR_DATA, "a is listed twice"},
	    {"path,label,group\na,x,1\nb,y,\n", HILUM_ERROR_FORMAT, "line 3: the group is empty"},
	    {"path,label,split\na,x,train\nb,y,learn\n", HILUM_ERROR_FORMAT, "line 3: split \"learn\""},
	};
	const struct pictures *pictures = *state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		pictures_text(pictures, "m.csv", table[i].text);
		refuse_data(pictures, "m.csv", NULL, table[i].code, table[i].says);
	}
	char many[4096] = "path,label\n", *at = many + strlen(many), longest[5000];
	for (int i = 0; i < 65; i++)
		at += sprintf(at, "%d.png,class %d\n", i, i);
	pictures_text(pictures, "m.csv", many);
	refuse_data(pictures, "m.csv", NULL, HILUM_ERROR_DATA, "more than 64 classes");
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "path,label\n", 11);
	strcpy(longest + sizeof(longest) - 4, ",x\n");
	pictures_text(pictures, "m.csv", longest);
	refuse_data(pictures, "m.csv", NULL, HILUM_ERROR_FORMAT, "too long");
}

static void reads_groups(void **state)
{
	const struct pictures *pictures = *state;
	char groups[512];
	struct hl_dataset_options options = {.groups = groups};
	pictures_path(pictures, "g.csv", groups);
	pictures_text(pictures, "m.csv", "path,label,group\n1.png,a,own\n2.png,b,own\n3.png,b,own\n");
	pictures_text(pictures, "g.csv", "patient,path\nq,./2.png\np,1.png\nq,3.png\nz,elsewhere.png\n");
	struct hl_dataset *dataset = open_data(pictures, "m.csv", &options);
	assert_int_equal(dataset->group_count, 2);
	assert_string_equal(dataset->groups[dataset->cases[0].group], "p");
	assert_string_equal(dataset->groups[dataset->cases[2].group], "q");
	hl_dataset_free(dataset);
	pictures_text(pictures, "g.csv", "group,path\nq,2.png\n");
	refuse_data(pictures, "m.csv", &options, HILUM_ERROR_DATA, "no group for 1.png and others (2 of 3");
	pictures_text(pictures, "g.csv", "group,path\nq,2.png\nr,2.png\n");
	refuse_data(pictures, "m.csv", &options, HILUM_ERROR_DATA, "line 3: a second group for 2.png");
	pictures_text(pictures, "g.csv", "path\n2.png\n");
	refuse_data(pictures, "m.csv", &options, HILUM_ERROR_FORMAT, "no column \"group\"");
	strcat(groups, "x");
	refuse_data(pictures, "m.csv", &options, HILUM_ERROR_IO, "--groups");
}

/* Every allocation fails once: an error, no leak, no crash. */
static void survives_no_memory(void **state)
{
	const struct pictures *pictures = *state;
	char path[512];
	struct hl_dataset *dataset = NULL;
	struct hilum_error error;
	enum hilum_status status = HILUM_ERROR_MEMORY;
	int64_t countdown = 0;
	pictures_text(pictures, "m.csv", "path,label,group\n1,a,x\n2,b,y\n3,a,z\n4,b,w\n5,a,q\n6,b,r\n");
	pictures_path(pictures, "m.csv", path);
	for (; status == HILUM_ERROR_MEMORY; countdown++) {
		assert_true(countdown < 1000);
		hl_memory_fail_after(countdown);
		status = hl_dataset_open(path, &(struct hl_dataset_options){.groups = path}, &dataset, &error);
		if (!status) {
			status = hl_split_random(dataset, "34/33/33", 1, &error);
			hl_memory_fail_after(-1);
			if (status)
				hl_dataset_free(dataset);
		}
	}
	hl_memory_fail_after(-1);
	assert_int_equal(status, HILUM_OK);
	assert_true(countdown > 20);
	hl_dataset_free(dataset);
}

/* ---- splits ---- */

/* groups of sizes 1, 2, ... in turn, two classes; every seventh group holds both. */
static struct hl_dataset *make_groups(const struct pictures *pictures, int groups)
{
	char *text = malloc((size_t)groups * 400 + 100), *at = text;
	at += sprintf(at, "path,label,group\n");
	for (int g = 0; g < groups; g++)
		for (int k = 0; k <= g % 9; k++)
			at += sprintf(at, "%d-%d.png,%s,g%d\n", g, k, (g % 3 == 0) ^ (g % 7 == 0 && k % 2) ? "x" : "y",
			              g);
	pictures_text(pictures, "m.csv", text);
	free(text);
	return open_data(pictures, "m.csv", NULL);
}

static double share_of(const struct hl_dataset *dataset, enum hl_split_part part, int32_t origin)
{
	double all = 0, here = 0;
	for (size_t i = 0; i < dataset->count; i++) {
		all += dataset->cases[i].origin == origin;
		here += dataset->cases[i].origin == origin && dataset->cases[i].part == part;
	}
	return here / all;
}

static void splits_in_shares(void **state)
{
	static const double want[3] = {0.70, 0.15, 0.15};
	struct hl_dataset *dataset = make_groups(*state, 200);
	uint32_t first[3] = {0};
	for (uint64_t seed = 0; seed < 20; seed++) {
		assert_int_equal(hl_split_random(dataset, "70/15/15", seed, NULL), HILUM_OK);
		assert_int_equal(hl_split_check(dataset, NULL), HILUM_OK);
		for (int p = 0; p < 3; p++)
			for (int32_t c = 0; c < 2; c++)
				assert_true(fabs(share_of(dataset, (enum hl_split_part)p, c) - want[p]) < 0.01);
		first[dataset->cases[dataset->count - 1].part]++;
		/* Again: the same. */
		char *once = hl_split_json(dataset);
		assert_int_equal(hl_split_random(dataset, "70/15/15", seed, NULL), HILUM_OK);
		char *twice = hl_split_json(dataset);
		assert_string_equal(once, twice);
		hl_free(once);
		hl_free(twice);
	}
	/* A group of the largest size goes not always to the same part. */
	assert_true(first[0] < 20 && first[0] > 5);
	hl_dataset_free(dataset);
}

static void splits_without_a_part(void **state)
{
	struct hl_dataset *dataset = make_groups(*state, 30);
	assert_int_equal(hl_split_random(dataset, "80/20/0", 1, NULL), HILUM_OK);
	assert_true(share_of(dataset, HL_PART_TEST, 0) == 0);
	assert_true(fabs(share_of(dataset, HL_PART_VAL, 0) - 0.2) < 0.1);
	assert_int_equal(hl_split_random(dataset, "100/0/0", 1, NULL), HILUM_OK);
	assert_true(share_of(dataset, HL_PART_TRAIN, 0) == 1);
	assert_int_equal(hl_split_random(dataset, "33.3/33.3/33.4", 1, NULL), HILUM_OK);
	static const char *const wrong[] = {"",
	                                    "70",
	                                    "70/30",
	                                    "70/15/15/0",
	                                    "70/15/10",
	                                    "0/50/50",
	                                    "a/b/c",
	                                    "70/15/15 ",
	                                    "-10/60/50",
	                                    "nan/50/50",
	                                    "1e2/0/0",
	                                    "/50/50",
	                                    "99999999999999999999/0/0"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct hilum_error error = {0};
		assert_int_equal(hl_split_random(dataset, wrong[i], 1, &error), HILUM_ERROR_ARGUMENT);
		assert_non_null(strstr(error.message, "--split"));
	}
	hl_dataset_free(dataset);
}

static void split_says_what_cannot_be(void **state)
{
	const struct pictures *pictures = *state;
	struct hilum_error error = {0};
	pictures_text(pictures, "m.csv", "path,label,group\n1,x,a\n2,x,a\n3,y,b\n4,y,c\n5,y,d\n");
	struct hl_dataset *dataset = open_data(pictures, "m.csv", NULL);
	assert_int_equal(hl_split_random(dataset, "70/15/15", 1, &error), HILUM_ERROR_DATA);
	assert_non_null(strstr(error.message, "class \"x\" has 1 group (2 cases)"));
	hl_dataset_free(dataset);
	/* Exactly as many groups as parts: one each, whatever the shares say. */
	pictures_text(pictures, "m.csv", "path,label,group\n1,x,a\n2,x,e\n3,y,b\n4,y,c\n5,y,d\n6,x,f\n7,x,f\n8,x,f\n");
	dataset = open_data(pictures, "m.csv", NULL);
	for (uint64_t seed = 0; seed < 30; seed++) {
		assert_int_equal(hl_split_random(dataset, "98/1/1", seed, NULL), HILUM_OK);
		for (int p = 0; p < 3; p++)
			for (int32_t c = 0; c < 2; c++)
				assert_true(share_of(dataset, (enum hl_split_part)p, c) > 0);
	}
	hl_dataset_free(dataset);
}

static void splits_by_folds(void **state)
{
	const struct pictures *pictures = *state;
	char csv[512], text[4000] = "path,fold_a,label,fold_b\n", *at = text + strlen(text);
	struct hilum_error error = {0};
	struct hl_dataset *dataset = make_groups(pictures, 18);
	for (size_t i = 0; i < dataset->count; i++) {
		int group = atoi(dataset->cases[i].path);
		at += sprintf(at, "./%s,%zu,?,%d\n", dataset->cases[i].path, i % 3, group % 4);
	}
	pictures_text(pictures, "f.csv", text);
	pictures_path(pictures, "f.csv", csv);
	assert_int_equal(hl_split_folds(dataset, csv, NULL, 1, 0.2, 1, &error), HILUM_ERROR_ARGUMENT);
	assert_non_null(strstr(error.message, "(fold_a, fold_b)"));
	assert_int_equal(hl_split_folds(dataset, csv, "fold_c", 1, 0.2, 1, &error), HILUM_ERROR_ARGUMENT);
	assert_int_equal(hl_split_folds(dataset, csv, "fold_b", 4, 0.2, 1, &error), HILUM_ERROR_DATA);
	assert_int_equal(hl_split_folds(dataset, csv, "fold_b", 1, 1, 1, &error), HILUM_ERROR_ARGUMENT);
	assert_int_equal(hl_split_folds(dataset, csv, "fold_b", 1, 0.2, 1, &error), HILUM_OK);
	size_t validation = 0;
	for (size_t i = 0; i < dataset->count; i++) {
		bool test = atoi(dataset->cases[i].path) % 4 == 1;
		assert_int_equal(dataset->cases[i].part == HL_PART_TEST, test);
		validation += dataset->cases[i].part == HL_PART_VAL;
	}
	assert_true(validation > 5 && validation < 25);
	/* Folds through the middle of groups are an error where groups were given, and none where not. */
	assert_int_equal(hl_split_folds(dataset, csv, "fold_a", 1, 0.2, 1, &error), HILUM_ERROR_DATA);
	assert_non_null(strstr(error.message, "two sides"));
	dataset->grouped = false;
	assert_int_equal(hl_split_folds(dataset, csv, "fold_a", 1, 0, 1, &error), HILUM_OK);
	/* Damaged. */
	pictures_text(pictures, "f.csv", "path,fold\n0-0.png,1\n");
	assert_int_equal(hl_split_folds(dataset, csv, NULL, 1, 0, 1, &error), HILUM_ERROR_DATA);
	assert_non_null(strstr(error.message, "no row for 1-0.png and others"));
	pictures_text(pictures, "f.csv", "path,fold\n0-0.png,1\n0-0.png,2\n");
	assert_int_equal(hl_split_folds(dataset, csv, NULL, 1, 0, 1, &error), HILUM_ERROR_DATA);
	assert_non_null(strstr(error.message, "line 3: 0-0.png stands twice"));
	pictures_text(pictures, "f.csv", "path,fold\n0-0.png,1.5\n");
	assert_int_equal(hl_split_folds(dataset, csv, NULL, 1, 0, 1, &error), HILUM_ERROR_FORMAT);
	pictures_text(pictures, "f.csv", "path,part\n0-0.png,1\n");
	assert_int_equal(hl_split_folds(dataset, csv, NULL, 1, 0, 1, &error), HILUM_ERROR_FORMAT);
	hl_dataset_free(dataset);
}

static void split_goes_round(void **state)
{
	const struct pictures *pictures = *state;
	char csv[512];
	struct hilum_error error = {0};
	struct hl_dataset *dataset = make_groups(pictures, 40), *again = make_groups(pictures, 40);
	pictures_path(pictures, "split.csv", csv);
	assert_int_equal(hl_split_random(dataset, "60/20/20", 3, NULL), HILUM_OK);
	dataset->cases[0].part = HL_PART_NONE;
	assert_int_equal(hl_split_write(dataset, csv, &error), HILUM_OK);
	assert_int_equal(hl_split_read(again, csv, &error), HILUM_OK);
	for (size_t i = 0; i < dataset->count; i++) {
		assert_int_equal(dataset->cases[i].part, again->cases[i].part);
		again->cases[i].part = HL_PART_TEST;
	}
	char *json = hl_split_json(dataset);
	assert_int_equal(hl_split_apply(again, json, &error), HILUM_OK);
	for (size_t i = 0; i < dataset->count; i++)
		assert_int_equal(dataset->cases[i].part, again->cases[i].part);
	hl_free(json);
	static const char *const wrong[] = {
	    "",
	    "[]",
	    "{\"train\":[],\"val\":[]}",
	    "{\"train\":[],\"val\":[],\"test\":1}",
	    "{\"train\":[1],\"val\":[],\"test\":[]}",
	    "{\"train\":[\"1-0.png\"],\"val\":[\"1-0.png\"],\"test\":[]}",
	    "{\"train\":[],\"train\":[],\"val\":[],\"test\":[]}",
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(hl_split_apply(again, wrong[i], &error), HILUM_ERROR_FORMAT);
	pictures_text(pictures, "split.csv", "path,part\n0-0.png,learn\n");
	assert_int_equal(hl_split_read(again, csv, &error), HILUM_ERROR_FORMAT);
	hl_dataset_free(again);
	hl_dataset_free(dataset);
}

/* ---- recipe ---- */

static struct hl_recipe make_recipe(int32_t channels, int32_t size, enum hl_fit fit)
{
	return (struct hl_recipe){.channels = channels,
	                          .size = size,
	                          .fit = fit,
	                          .window = {-600, 1500},
	                          .mean = {0.5, 0.25, 0.1},
	                          .deviation = {0.25, 0.5, 1.0 / 3}};
}

static void fill(struct hl_volume *volume, int32_t width, int32_t height, int32_t channels)
{
	assert_int_equal(hl_volume_init(volume, width, height, 1, channels, HL_VOXEL_U8, NULL), HILUM_OK);
	volume->unit = HL_UNIT_GREY;
	volume->maximum = 255;
	for (int32_t i = 0; i < width * height * channels; i++)
		((uint8_t *)volume->voxels)[i] = (uint8_t)(7 * i + 1);
}

static void fits_without_resizing(void **state)
{
	(void)state;
	struct hl_volume volume = {0};
	uint8_t out[36];
	fill(&volume, 9, 4, 1);
	const uint8_t *in = volume.voxels;
	/* 9 x 4 to 4: the middle four columns, from round(2.5) = 2 (to even, as Python has it). */
	struct hl_recipe recipe = make_recipe(1, 4, HL_FIT_CROP);
	assert_int_equal(hl_recipe_apply(&recipe, &volume, out, NULL), HILUM_OK);
	for (int y = 0; y < 4; y++)
		for (int x = 0; x < 4; x++)
			assert_int_equal(out[y * 4 + x], in[y * 9 + x + 2]);
	hl_volume_free(&volume);
	/* 3 x 6 padded to 6: one black column and two. */
	fill(&volume, 3, 6, 1);
	in = volume.voxels;
	recipe = make_recipe(1, 6, HL_FIT_PAD);
	assert_int_equal(hl_recipe_apply(&recipe, &volume, out, NULL), HILUM_OK);
	for (int y = 0; y < 6; y++)
		for (int x = 0; x < 6; x++)
			assert_int_equal(out[y * 6 + x], x >= 1 && x < 4 ? in[y * 3 + x - 1] : 0);
	hl_volume_free(&volume);
}

static void fits_any_shape(void **state)
{
	static const int32_t shapes[][2] = {{1, 1}, {1, 7}, {7, 1}, {300, 2}, {2, 300}, {5, 5}, {64, 63}, {16384, 1}};
	static const int32_t sizes[] = {1, 2, 5, 33};
	(void)state;
	for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
		for (int channels = 1; channels <= 3; channels += 2) {
			struct hl_volume volume = {0};
			fill(&volume, shapes[s][0], shapes[s][1], channels);
			memset(volume.voxels, 200, (size_t)(shapes[s][0] * shapes[s][1] * channels));
			for (size_t k = 0; k < 4; k++) {
				for (int fit = 0; fit <= 1; fit++) {
					struct hl_recipe recipe = make_recipe(4 - channels, sizes[k], (enum hl_fit)fit);
					uint8_t out[33 * 33 * 3];
					int64_t lit = 0;
					assert_int_equal(hl_recipe_apply(&recipe, &volume, out, NULL), HILUM_OK);
					for (size_t i = 0; i < hl_recipe_bytes(&recipe); i++) {
						assert_true(out[i] == 200 || (fit == HL_FIT_PAD && out[i] == 0));
						lit += out[i] == 200;
					}
					assert_true(lit >= sizes[k]);
				}
			}
			hl_volume_free(&volume);
		}
	}
	/* So long and thin that the square would need gigabytes on the way. */
	struct hl_volume volume = {0};
	struct hl_recipe recipe = make_recipe(1, 2048, HL_FIT_CROP);
	struct hilum_error error = {0};
	fill(&volume, 1, 16384, 1);
	uint8_t *out = malloc(hl_recipe_bytes(&recipe));
	assert_int_equal(hl_recipe_apply(&recipe, &volume, out, &error), HILUM_ERROR_LIMIT);
	free(out);
	hl_volume_free(&volume);
}

/* Large enough for several bands: the same as if it were resized in one go, here an exact average. */
static void fits_in_bands(void **state)
{
	(void)state;
	struct hl_volume volume = {0};
	struct hl_recipe recipe = make_recipe(3, 2, HL_FIT_CROP);
	uint8_t out[12];
	assert_int_equal(hl_volume_init(&volume, 3000, 3000, 1, 1, HL_VOXEL_U16, NULL), HILUM_OK);
	volume.unit = HL_UNIT_GREY;
	volume.maximum = 65535;
	for (int y = 0; y < 3000; y++)
		for (int x = 0; x < 3000; x++)
			((uint16_t *)volume.voxels)[y * 3000 + x] = y < 1500 ? 0 : 65535;
	assert_int_equal(hl_recipe_apply(&recipe, &volume, out, NULL), HILUM_OK);
	/* A triangle of half-width 1500 px about 749.5 reaches 1/8 of its weight beyond the middle, of 7/8 in the
	 * image. */
	for (int i = 0; i < 6; i++) {
		assert_in_range(out[i], 36, 37);
		assert_in_range(out[6 + i], 218, 219);
	}
	hl_volume_free(&volume);
}

static void windows_hounsfield(void **state)
{
	(void)state;
	struct hl_volume volume = {0};
	struct hl_recipe recipe = make_recipe(1, 2, HL_FIT_PAD);
	uint8_t out[4];
	assert_int_equal(hl_volume_init(&volume, 2, 2, 3, 1, HL_VOXEL_I16, NULL), HILUM_OK);
	volume.unit = HL_UNIT_HOUNSFIELD;
	int16_t *middle = (int16_t *)volume.voxels + 4;
	middle[0] = -2000;
	middle[1] = -600;
	middle[2] = 150;
	middle[3] = -1050;
	assert_int_equal(hl_recipe_apply(&recipe, &volume, out, NULL), HILUM_OK);
	assert_int_equal(out[0], 0);
	assert_int_equal(out[1], 128);
	assert_int_equal(out[2], 255);
	assert_in_range(out[3], 50, 51);
	hl_volume_free(&volume);
}

static void normalises(void **state)
{
	(void)state;
	struct hl_recipe recipe = make_recipe(3, 1, HL_FIT_CROP);
	uint8_t image[3] = {0, 128, 255}, other[3] = {255, 0, 51};
	float out[3];
	hl_recipe_normalise(&recipe, image, out);
	for (int c = 0; c < 3; c++)
		assert_true(fabs(out[c] - (image[c] / 255.0 - recipe.mean[c]) / recipe.deviation[c]) < 1e-6);
	hl_recipe_blend(&recipe, image, other, 0.75f, out);
	for (int c = 0; c < 3; c++) {
		double mixed = 0.75 * image[c] + 0.25 * other[c];
		assert_true(fabs(out[c] - (mixed / 255 - recipe.mean[c]) / recipe.deviation[c]) < 1e-6);
	}
	assert_int_equal(hl_shape_count(hl_recipe_shape(&recipe)), 3);
}

static void recipe_goes_round(void **state)
{
	(void)state;
	for (int channels = 1; channels <= 3; channels += 2) {
		struct hl_recipe recipe = make_recipe(channels, 224, HL_FIT_PAD), back = {0};
		char *json = hl_recipe_json(&recipe), *again;
		assert_int_equal(hl_recipe_parse(json, &back, NULL), HILUM_OK);
		assert_int_equal(back.size, 224);
		assert_int_equal(back.fit, HL_FIT_PAD);
		for (int c = 0; c < channels; c++)
			assert_true(back.mean[c] == recipe.mean[c] && back.deviation[c] == recipe.deviation[c]);
		assert_true(back.window.center == -600 && back.window.width == 1500);
		again = hl_recipe_json(&back);
		assert_string_equal(json, again);
		hl_free(json);
		hl_free(again);
	}
}

#define RECIPE(channels, size, fit, window, mean, deviation)                                                           \
	"{\"channels\":" channels ",\"size\":" size ",\"fit\":" fit ",\"window\":" window ",\"mean\":" mean            \
	",\"deviation\":" deviation "}"
#define WINDOW "{\"center\":-600,\"width\":1500}"

static void refuses_recipes(void **state)
{
	static const char *const wrong[] = {
	    "",
	    "{}",
	    "[1]",
	    "nonsense",
	    RECIPE("2", "64", "\"crop\"", WINDOW, "[0.5,0.5]", "[1,1]"),
	    RECIPE("1", "0", "\"crop\"", WINDOW, "[0.5]", "[1]"),
	    RECIPE("1", "2049", "\"crop\"", WINDOW, "[0.5]", "[1]"),
	    RECIPE("1", "4294967360", "\"crop\"", WINDOW, "[0.5]", "[1]"),
	    RECIPE("1", "64.5", "\"crop\"", WINDOW, "[0.5]", "[1]"),
	    RECIPE("1", "64", "\"stretch\"", WINDOW, "[0.5]", "[1]"),
	    RECIPE("1", "64", "1", WINDOW, "[0.5]", "[1]"),
	    RECIPE("1", "64", "\"crop\"", "{\"center\":-600,\"width\":0}", "[0.5]", "[1]"),
	    RECIPE("1", "64", "\"crop\"", "{\"center\":1e300,\"width\":1}", "[0.5]", "[1]"),
	    RECIPE("1", "64", "\"crop\"", "{\"center\":0}", "[0.5]", "[1]"),
	    RECIPE("1", "64", "\"crop\"", WINDOW, "[0.5]", "[0]"),
	    RECIPE("1", "64", "\"crop\"", WINDOW, "[0.5]", "[-1]"),
	    RECIPE("1", "64", "\"crop\"", WINDOW, "[1e999]", "[1]"),
	    RECIPE("1", "64", "\"crop\"", WINDOW, "[NaN]", "[1]"),
	    RECIPE("1", "64", "\"crop\"", WINDOW, "[\"0.5\"]", "[1]"),
	    RECIPE("1", "64", "\"crop\"", WINDOW, "[0.5,0.5]", "[1]"),
	    RECIPE("3", "64", "\"crop\"", WINDOW, "[0.5]", "[1]"),
	    RECIPE("1", "64", "\"crop\"", WINDOW, "[0.5]", "[1],\"flip\":true"),
	    RECIPE("1", "64", "\"crop\"", WINDOW, "[0.5]", "[1],\"size\":64"),
	};
	(void)state;
	struct hl_recipe recipe;
	assert_int_equal(hl_recipe_parse(RECIPE("1", "64", "\"crop\"", WINDOW, "[0.5]", "[1]"), &recipe, NULL),
	                 HILUM_OK);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct hl_recipe untouched = {.size = -7};
		struct hilum_error error = {0};
		if (hl_recipe_parse(wrong[i], &untouched, &error) != HILUM_ERROR_FORMAT)
			fail_msg("taken: %s", wrong[i]);
		assert_int_equal(untouched.size, -7);
		assert_non_null(strstr(error.message, "recipe"));
	}
}

static void names_the_file(void **state)
{
	const struct pictures *pictures = *state;
	char path[512];
	struct hl_recipe recipe = make_recipe(1, 8, HL_FIT_CROP);
	struct hilum_error error = {0};
	uint8_t out[64];
	pictures_png(pictures, "sound.png", 8, 8, 3);
	pictures_path(pictures, "sound.png", path);
	assert_int_equal(hl_recipe_open(&recipe, path, out, NULL, &error), HILUM_OK);
	assert_int_equal(out[9], 3 + 3 + 5);
	pictures_text(pictures, "broken.png", "\x89PNG\r\n\x1a\nand no more");
	pictures_path(pictures, "broken.png", path);
	assert_int_not_equal(hl_recipe_open(&recipe, path, out, NULL, &error), HILUM_OK);
	assert_non_null(strstr(error.message, "broken.png"));
}

/* A case may be a volume, in one file, in two, or in a folder: the net sees its middle slice, whichever it is. */
static void takes_volumes(void **state)
{
	const struct pictures *pictures = *state;
	static const char *const names[] = {"a.nii.gz", "b.mhd", "c.tif", "series"};
	struct hl_recipe recipe = make_recipe(1, 8, HL_FIT_CROP);
	uint8_t expected[64], out[64];
	struct hl_volume volume;
	char path[512], inner[600], hash[65], again[65];
	assert_int_equal(hl_volume_init(&volume, 8, 8, 5, 1, HL_VOXEL_I16, NULL), HILUM_OK);
	for (int i = 0; i < 8 * 8 * 5; i++)
		((int16_t *)volume.voxels)[i] = (int16_t)(i * 37 % 1400 - 1300);
	assert_int_equal(hl_recipe_apply(&recipe, &volume, expected, NULL), HILUM_OK);
	pictures_path(pictures, names[0], path);
	assert_int_equal(hl_nifti_write(path, &volume, NULL), HILUM_OK);
	pictures_path(pictures, names[1], path);
	assert_int_equal(hl_metaimage_write(path, &volume, true, NULL), HILUM_OK);
	pictures_path(pictures, names[2], path);
	assert_int_equal(hl_tiff_write(path, &volume, NULL), HILUM_OK);
	pictures_path(pictures, names[3], path);
	assert_int_equal(hl_directory_make(path, NULL), HILUM_OK);
	snprintf(inner, sizeof(inner), "%s/x.mha", path);
	assert_int_equal(hl_metaimage_write(inner, &volume, false, NULL), HILUM_OK);
	pictures_text(pictures, "m.csv", "path,label,patient\na.nii.gz,a,1\nb.mhd,b,2\nc.tif,a,3\nseries,b,4\n");
	struct hl_dataset *dataset = open_data(pictures, "m.csv", NULL);
	assert_int_equal(dataset->count, 4);
	for (size_t i = 0; i < 4; i++) {
		struct hilum_error error = {0};
		assert_string_equal(dataset->cases[i].path, names[i]);
		if (hl_recipe_open(&recipe, dataset->cases[i].file, out, NULL, &error))
			fail_msg("%s", error.message);
		assert_memory_equal(out, expected, sizeof(out));
	}
	/* What is in the folder counts, the folder itself does not. */
	hl_dataset_hash(dataset, hash);
	hl_dataset_hash(dataset, again);
	assert_string_equal(hash, again);
	snprintf(inner, sizeof(inner), "%s/y.mha", path);
	assert_int_equal(hl_metaimage_write(inner, &volume, false, NULL), HILUM_OK);
	hl_dataset_hash(dataset, again);
	assert_string_not_equal(hash, again);
	hl_dataset_free(dataset);
	hl_volume_free(&volume);
}

#define WITH_PICTURES(test) cmocka_unit_test_setup_teardown(test, pictures_setup, pictures_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_PICTURES(reads_folders),
	    WITH_PICTURES(refuses_folders),
	    WITH_PICTURES(finds_the_positive_class),
	    WITH_PICTURES(merges_classes),
	    WITH_PICTURES(reads_manifests),
	    WITH_PICTURES(refuses_manifests),
	    WITH_PICTURES(reads_groups),
	    WITH_PICTURES(survives_no_memory),
	    WITH_PICTURES(splits_in_shares),
	    WITH_PICTURES(splits_without_a_part),
	    WITH_PICTURES(split_says_what_cannot_be),
	    WITH_PICTURES(splits_by_folds),
	    WITH_PICTURES(split_goes_round),
	    cmocka_unit_test(fits_without_resizing),
	    cmocka_unit_test(fits_any_shape),
	    cmocka_unit_test(fits_in_bands),
	    cmocka_unit_test(windows_hounsfield),
	    cmocka_unit_test(normalises),
	    cmocka_unit_test(recipe_goes_round),
	    cmocka_unit_test(refuses_recipes),
	    WITH_PICTURES(names_the_file),
	    WITH_PICTURES(takes_volumes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
