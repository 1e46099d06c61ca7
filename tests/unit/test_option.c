/* Option tables: what is taken, what is refused and with which words, and that printing reads back. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/number.h"
#include "hilum/hilum.h"

struct all {
	char before;
	bool flag;
	int64_t count, any;
	double rate, free;
	const char *name;
	int mode;
	struct hilum_sizes size, list;
	char after;
};

static const char *const modes[] = {"avg", "max", "none", NULL};
static const struct hilum_option table[] = {
    {"flag", HILUM_OPTION_FLAG, offsetof(struct all, flag), 0, 0, "true", NULL, NULL, ""},
    {"count", HILUM_OPTION_INT, offsetof(struct all, count), -1, 65536, "7", NULL, "N", ""},
    {"any", HILUM_OPTION_INT, offsetof(struct all, any), 0, 0, NULL, NULL, "N", ""},
    {"rate", HILUM_OPTION_REAL, offsetof(struct all, rate), 0, 1, "0.1", NULL, "X", ""},
    {"free", HILUM_OPTION_REAL, offsetof(struct all, free), 0, 0, NULL, NULL, "X", ""},
    {"name", HILUM_OPTION_TEXT, offsetof(struct all, name), 0, 0, NULL, NULL, "TEXT", ""},
    {"mode", HILUM_OPTION_CHOICE, offsetof(struct all, mode), 0, 0, "max", modes, NULL, ""},
    {"size", HILUM_OPTION_SIZES, offsetof(struct all, size), 1, 64, "3x3", NULL, "N", ""},
    {"list", HILUM_OPTION_SIZES, offsetof(struct all, list), 1, 4096, NULL, NULL, "N,N,...", ""},
    {NULL, HILUM_OPTION_FLAG, 0, 0, 0, NULL, NULL, NULL, NULL},
};

static void test_init(void **state)
{
	struct all object;
	(void)state;
	memset(&object, 0x5a, sizeof(object));
	hilum_options_init(table, &object);
	assert_int_equal(object.before, 0x5a);
	assert_int_equal(object.after, 0x5a);
	assert_true(object.flag);
	assert_int_equal(object.count, 7);
	assert_int_equal(object.any, 0);
	assert_true(object.rate == 0.1);
	assert_true(object.free == 0);
	assert_null(object.name);
	assert_int_equal(object.mode, 1);
	assert_int_equal(object.size.count, 2);
	assert_int_equal(object.size.size[0], 3);
	assert_int_equal(object.size.size[1], 3);
	assert_int_equal(object.list.count, 0);
	hilum_options_init(NULL, NULL);
}

/* What hilum_option_set reads and hilum_option_get then writes. */
static const struct {
	const char *name, *value, *printed;
} good[] = {
    {"flag", NULL, "true"},
    {"flag", "true", "true"},
    {"flag", "false", "false"},
    {"count", "-1", "-1"},
    {"count", "0", "0"},
    {"count", "-0", "0"},
    {"count", "65536", "65536"},
    {"count", "00012", "12"},
    {"any", "9223372036854775807", "9223372036854775807"},
    {"any", "-9223372036854775808", "-9223372036854775808"},
    {"rate", "0", "0"},
    {"rate", "1", "1"},
    {"rate", "1e-5", "1e-05"},
    {"rate", ".25", "0.25"},
    {"rate", "0.1", "0.1"},
    {"rate", "0.30000000000000004", "0.30000000000000004"},
    {"rate", "1e-400", "0"},
    {"free", "-1.5E+3", "-1500"},
    {"free", "1048576", "1048576"},
    {"free", "1.7976931348623157e308", "1.7976931348623157e+308"},
    {"free", "5e-324", "5e-324"},
    {"name", "", ""},
    {"name", "a b=c", "a b=c"},
    {"mode", "avg", "avg"},
    {"mode", "none", "none"},
    {"size", "5", "5"},
    {"size", "1x2x3", "1x2x3"},
    {"size", "1,2,3", "1x2x3"},
    {"size", "1,2,3,4", "1,2,3,4"},
    {"size", "1x2x3x4", "1,2,3,4"},
    {"list", "", ""},
    {"list", "32", "32"},
    {"list", "32,64", "32,64"},
    {"list", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16"},
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		const struct hilum_option *option = hilum_option_find(table, good[i].name);
		struct all object, again;
		struct hilum_error error = {0};
		char text[128], second[128];
		hilum_options_init(table, &object);
		hilum_options_init(table, &again);
		assert_non_null(option);
		if (hilum_option_set(table, &object, good[i].name, good[i].value, &error))
			fail_msg("%s", error.message);
		assert_true(hilum_option_get(option, &object, text, sizeof(text)));
		assert_string_equal(text, good[i].printed);
		assert_int_equal(hilum_option_set(table, &again, good[i].name, text, NULL), HILUM_OK);
		assert_true(hilum_option_get(option, &again, second, sizeof(second)));
		assert_string_equal(text, second);
		/* a buffer one byte short must be refused */
		if (text[0])
			assert_false(hilum_option_get(option, &object, second, strlen(text)));
		assert_true(hilum_option_get(option, &object, second, strlen(text) + 1));
		assert_false(hilum_option_get(option, &object, second, 0));
	}
}

static const struct {
	const char *name, *value, *message;
} bad[] = {
    {"flag", "", "flag: '' is neither true nor false"},
    {"flag", "yes", "flag: 'yes' is neither true nor false"},
    {"count", NULL, "count: a value is missing"},
    {"count", "", "count: '' is not a whole number"},
    {"count", "-", "count: '-' is not a whole number"},
    {"count", "+1", "count: '+1' is not a whole number"},
    {"count", " 1", "count: ' 1' is not a whole number"},
    {"count", "1 ", "count: '1 ' is not a whole number"},
    {"count", "3x", "count: '3x' is not a whole number"},
    {"count", "0x10", "count: '0x10' is not a whole number"},
    {"count", "1e3", "count: '1e3' is not a whole number"},
    {"count", "1.0", "count: '1.0' is not a whole number"},
    {"count", "65537", "count: 65537 is outside -1 to 65536"},
    {"count", "-2", "count: -2 is outside -1 to 65536"},
    {"count", "9223372036854775808", "count: 9223372036854775808 is outside -1 to 65536"},
    {"count", "-99999999999999999999", "count: -99999999999999999999 is outside -1 to 65536"},
    {"any", "9223372036854775808", "any: 9223372036854775808 does not fit 64 bits"},
    {"rate", NULL, "rate: a value is missing"},
    {"rate", "", "rate: '' is not a number"},
    {"rate", "nan", "rate: 'nan' is not a number"},
    {"rate", "inf", "rate: 'inf' is not a number"},
    {"rate", "0x1p-1", "rate: '0x1p-1' is not a number"},
    {"rate", "0,5", "rate: '0,5' is not a number"},
    {"rate", "0.5 ", "rate: '0.5 ' is not a number"},
    {"rate", "0.5.5", "rate: '0.5.5' is not a number"},
    {"rate", "1e", "rate: '1e' is not a number"},
    {"rate", "--1", "rate: '--1' is not a number"},
    {"rate", "1.0000001", "rate: 1.0000001 is outside 0 to 1"},
    {"rate", "-0.1", "rate: -0.1 is outside 0 to 1"},
    {"rate", "1e999", "rate: 1e999 is outside 0 to 1"},
    {"free", "1e999", "free: 1e999 is too large"},
    {"name", NULL, "name: a value is missing"},
    {"mode", NULL, "mode: a value is missing"},
    {"mode", "mean", "mode: 'mean' is not one of avg, max, none"},
    {"mode", "", "mode: '' is not one of avg, max, none"},
    {"size", "", "size: '' is not a size such as 3, 3x3 or 32,64"},
    {"size", "3x", "size: '3x' is not a size such as 3, 3x3 or 32,64"},
    {"size", "x3", "size: 'x3' is not a size such as 3, 3x3 or 32,64"},
    {"size", "3xx3", "size: '3xx3' is not a size such as 3, 3x3 or 32,64"},
    {"size", "3x3,3", "size: '3x3,3' is not a size such as 3, 3x3 or 32,64"},
    {"size", "3 3", "size: '3 3' is not a size such as 3, 3x3 or 32,64"},
    {"size", "3x0", "size: 3x0 is outside 1 to 64"},
    {"size", "65", "size: 65 is outside 1 to 64"},
    {"size", "4294967297", "size: 4294967297 is outside 1 to 64"},
    {"size", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
     "size: '1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17' has more than 16 sizes"},
    {"sizes", "3", "unknown option 'sizes'; there are: flag, count, any, rate, free, name, mode, size, list"},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct all object, before;
		struct hilum_error error = {0};
		memset(&object, 0, sizeof(object));
		hilum_options_init(table, &object);
		before = object;
		assert_int_equal(hilum_option_set(table, &object, bad[i].name, bad[i].value, &error),
		                 HILUM_ERROR_ARGUMENT);
		assert_int_equal(error.code, HILUM_ERROR_ARGUMENT);
		assert_string_equal(error.message, bad[i].message);
		assert_memory_equal(&object, &before, sizeof(object));
		assert_int_equal(hilum_option_set(table, &object, bad[i].name, bad[i].value, NULL),
		                 HILUM_ERROR_ARGUMENT);
	}
}

static void test_text_is_borrowed(void **state)
{
	struct all object;
	const char *value = "kept where it is";
	(void)state;
	hilum_options_init(table, &object);
	assert_int_equal(hilum_option_set(table, &object, "name", value, NULL), HILUM_OK);
	assert_ptr_equal(object.name, value);
}

static void test_find(void **state)
{
	struct hilum_error error = {0};
	int nothing = 0;
	(void)state;
	assert_ptr_equal(hilum_option_find(table, "mode"), &table[6]);
	assert_null(hilum_option_find(table, "mod"));
	assert_null(hilum_option_find(table, ""));
	assert_null(hilum_option_find(NULL, "mode"));
	assert_int_equal(hilum_option_set(NULL, &nothing, "size", "3", &error), HILUM_ERROR_ARGUMENT);
	assert_string_equal(error.message, "unknown option 'size': there are none");
}

/* A member that holds no valid choice or size count, as a caller's mistake could leave it. */
static void test_get_refuses(void **state)
{
	struct all object;
	char text[64];
	(void)state;
	hilum_options_init(table, &object);
	object.mode = 3;
	assert_false(hilum_option_get(hilum_option_find(table, "mode"), &object, text, sizeof(text)));
	object.mode = -1;
	assert_false(hilum_option_get(hilum_option_find(table, "mode"), &object, text, sizeof(text)));
	object.size.count = HILUM_SIZES_MAX + 1;
	assert_false(hilum_option_get(hilum_option_find(table, "size"), &object, text, sizeof(text)));
	object.name = NULL;
	assert_true(hilum_option_get(hilum_option_find(table, "name"), &object, text, sizeof(text)));
	assert_string_equal(text, "");
}

static const struct {
	double value;
	const char *shortest, *nine;
} numbers[] = {
    {0, "0", "0"},
    {-2, "-2", "-2"},
    {0.1, "0.1", "0.1"},
    {1.0 / 3, "0.3333333333333333", "0.333333333"},
    {1e-300, "1e-300", "1e-300"},
    {123456789012345, "123456789012345", "1.23456789e+14"},
    {2.5e17, "2.5e+17", "2.5e+17"},
};

static void check_numbers(void)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		char text[64], *end;
		hl_number_print_shortest(text, sizeof(text), numbers[i].value);
		assert_string_equal(text, numbers[i].shortest);
		assert_true(hl_number_parse(text, &end) == numbers[i].value && *end == '\0');
		hl_number_print(text, sizeof(text), 9, numbers[i].value);
		assert_string_equal(text, numbers[i].nine);
		hl_number_print(text, sizeof(text), 17, numbers[i].value);
		assert_true(hl_number_parse(text, NULL) == numbers[i].value);
	}
}

static void test_numbers(void **state)
{
	(void)state;
	check_numbers();
}

/* With a comma, in any locale of this system that has one. */
static void test_numbers_elsewhere(void **state)
{
	static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "es_ES.UTF-8", "ru_RU.UTF-8", NULL};
	const char *found = NULL;
	(void)state;
	for (size_t i = 0; commas[i] && !found; i++)
		found = setlocale(LC_NUMERIC, commas[i]);
	if (!found)
		skip();
	char text[16];
	snprintf(text, sizeof(text), "%.1f", 0.5);
	assert_string_equal(text, "0,5");
	check_numbers();
	snprintf(text, sizeof(text), "%.1f", 0.5);
	assert_string_equal(text, "0,5");
	setlocale(LC_NUMERIC, "C");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_init),    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),     cmocka_unit_test(test_text_is_borrowed),
	    cmocka_unit_test(test_find),    cmocka_unit_test(test_get_refuses),
	    cmocka_unit_test(test_numbers), cmocka_unit_test(test_numbers_elsewhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
