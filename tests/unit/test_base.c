/* The base room: errors, memory, buffers, files, tables, hashes, the processor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cpu.h"
#include "base/csv.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"

static char folder[] = "/tmp/hilum-base-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	char *command = hl_format("rm -rf '%s'", folder);
	int result = command ? system(command) : -1;

	(void)state;
	hl_free(command);
	return result;
}

static char *in_folder(const char *name)
{
	char *path = hl_path_join(folder, name);

	assert_non_null(path);
	return path;
}

/* ---- errors and log ---- */

static void test_error(void **state)
{
	struct hilum_error error = {0};
	char longer[2000];

	(void)state;
	assert_int_equal(hl_fail(NULL, HILUM_ERROR_IO, "%d", 1), HILUM_ERROR_IO);
	assert_int_equal(hl_fail(&error, HILUM_ERROR_FORMAT, "row %d", 7), HILUM_ERROR_FORMAT);
	assert_string_equal(error.message, "row 7");
	assert_int_equal(hl_prefix(&error, HILUM_ERROR_FORMAT, "%s", "a.csv"), HILUM_ERROR_FORMAT);
	assert_string_equal(error.message, "a.csv: row 7");
	/* The code that it holds wins; an argument may be the message itself. */
	assert_int_equal(hl_prefix(&error, HILUM_ERROR_IO, "x"), HILUM_ERROR_FORMAT);
	hl_fail(&error, HILUM_ERROR_DATA, "again: %s", error.message);
	assert_string_equal(error.message, "again: x: a.csv: row 7");
	assert_int_equal(hl_prefix(NULL, HILUM_ERROR_IO, "x"), HILUM_ERROR_IO);
	hl_fail(&error, HILUM_ERROR_DATA, "a\nb\x1b[31m\tc");
	assert_string_equal(error.message, "a?b?[31m?c");
	assert_int_equal(hl_fail_memory(&error, 12, "a thing"), HILUM_ERROR_MEMORY);
	assert_string_equal(error.message, "out of memory (12 bytes for a thing)");

	/* A two-byte character lies across the end: it is dropped whole. */
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	memcpy(longer + sizeof(error.message) - 2, "\xc3\xa9", 2);
	hl_fail(&error, HILUM_ERROR_DATA, "%s", longer);
	assert_int_equal(strlen(error.message), sizeof(error.message) - 2);

	for (int i = 0; i < HILUM_STATUS_COUNT; i++)
		assert_true(strlen(hilum_status_name((enum hilum_status)i)) > 0);
	assert_string_equal(hilum_status_name((enum hilum_status)99), "unknown status");
	assert_string_equal(hilum_status_name((enum hilum_status) - 1), "unknown status");
	assert_true(strlen(hilum_version()) > 0);
}

static void keep_line(void *context, enum hilum_level level, const char *line)
{
	snprintf(context, 64, "%d %s", (int)level, line);
}

static void test_log(void **state)
{
	char seen[64] = "";

	(void)state;
	hl_log(HILUM_LOG_INFO, "nobody listens");
	hilum_log_to(keep_line, seen);
	hl_log(HILUM_LOG_WARNING, "%s %d", "a\n", 2);
	hilum_log_to(NULL, NULL);
	hl_log(HILUM_LOG_INFO, "nobody listens");
	assert_string_equal(seen, "2 a? 2");
}

/* ---- memory and buffers ---- */

static void test_memory(void **state)
{
	size_t out = 5;
	char *bytes;

	(void)state;
	assert_null(hl_alloc(SIZE_MAX / 2, 3));
	assert_null(hl_alloc(SIZE_MAX, 1));
	assert_null(hl_realloc(NULL, SIZE_MAX / 4, 8));
	assert_null(hl_block_alloc(SIZE_MAX - 3));
	assert_false(hl_mul_size(SIZE_MAX, 2, &out));
	assert_false(hl_add_size(SIZE_MAX, 1, &out));
	assert_int_equal(out, 5);
	assert_true(hl_mul_size(0, SIZE_MAX, &out) && out == 0);
	bytes = hl_alloc(0, 8);
	assert_non_null(bytes);
	hl_free(bytes);
	bytes = hl_alloc(1000, 3);
	for (size_t i = 0; i < 3000; i++)
		assert_int_equal(bytes[i], 0);
	bytes[2999] = 7;
	bytes = hl_realloc(bytes, 100000, 1);
	assert_int_equal(bytes[2999], 7);
	hl_free(bytes);
	hl_free(NULL);
	bytes = hl_format("%s-%05d", "a", 42);
	assert_string_equal(bytes, "a-00042");
	hl_free(bytes);

	hl_memory_fail_after(1);
	bytes = hl_alloc(1, 1);
	assert_non_null(bytes);
	assert_null(hl_realloc(bytes, 2, 1));
	bytes = hl_realloc(bytes, 2, 1);
	assert_non_null(bytes);
	hl_free(bytes);
	hl_memory_fail_after(0);
	assert_null(hl_strdup("x"));
	hl_memory_fail_after(0);
	assert_null(hl_block_alloc(5));
	hl_memory_fail_after(-1);
}

static void test_block(void **state)
{
	static const size_t sizes[] = {0, 1, 63, 64, 65, 4097, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, (5 << 20) + 77};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		unsigned char *block = hl_block_alloc(sizes[i]);
		assert_non_null(block);
		assert_int_equal((uintptr_t)block % 64, 0);
		for (size_t k = 0; k < sizes[i]; k += 61)
			assert_int_equal(block[k], 0);
		memset(block, 1, sizes[i]);
		hl_block_free(block, sizes[i]);
	}
	hl_block_free(NULL, 9);
}

static void test_buffer(void **state)
{
	struct hl_buffer buffer;
	struct hilum_error error;

	(void)state;
	hl_buffer_init(&buffer, 10);
	assert_int_equal(hl_buffer_append(&buffer, NULL, 0, &error), HILUM_OK);
	assert_string_equal(buffer.data, "");
	assert_int_equal(hl_buffer_append(&buffer, "12345", 5, &error), HILUM_OK);
	assert_int_equal(hl_buffer_print(&buffer, &error, "%05d", 67890), HILUM_OK);
	assert_string_equal(buffer.data, "1234567890");
	assert_int_equal(hl_buffer_append(&buffer, "x", 1, &error), HILUM_ERROR_LIMIT);
	assert_int_equal(hl_buffer_print(&buffer, NULL, "%d", 1), HILUM_ERROR_LIMIT);
	assert_int_equal(hl_buffer_append(&buffer, "x", SIZE_MAX - 3, &error), HILUM_ERROR_LIMIT);
	assert_int_equal(buffer.length, 10);
	assert_string_equal(buffer.data, "1234567890");
	assert_int_equal(hl_buffer_append(&buffer, "", 0, &error), HILUM_OK);
	hl_buffer_free(&buffer);

	hl_buffer_init(&buffer, SIZE_MAX);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(hl_buffer_print(&buffer, &error, "%d,", i % 10), HILUM_OK);
	assert_int_equal(buffer.length, 10000);
	hl_memory_fail_after(0);
	assert_int_equal(hl_buffer_append(&buffer, buffer.data, 10000, &error), HILUM_ERROR_MEMORY);
	hl_memory_fail_after(-1);
	assert_int_equal(buffer.length, 10000);
	hl_buffer_free(&buffer);
}

/* ---- tables ---- */

struct csv_case {
	const char *text;
	enum hilum_status status;
	size_t columns, rows;
	const char *fields; /* all of them, joined by | */
	const char *message;
};

static const struct csv_case csv_cases[] = {
    {"a,b\n1,2\n", HILUM_OK, 2, 1, "a|b|1|2", NULL},
    {"a,b\r\n1,2", HILUM_OK, 2, 1, "a|b|1|2", NULL},
    {"a,b\r1,2\r", HILUM_OK, 2, 1, "a|b|1|2", NULL},
    {"\xef\xbb\xbf"
     "a\nx\n",
     HILUM_OK, 1, 1, "a|x", NULL},
    {"a,b", HILUM_OK, 2, 0, "a|b", NULL},
    {"a,b\n\n1,2\n\r\n3,4\n\n", HILUM_OK, 2, 2, "a|b|1|2|3|4", NULL},
    {"a,b\n,\n", HILUM_OK, 2, 1, "a|b||", NULL},
    {"a,b\n1,", HILUM_OK, 2, 1, "a|b|1|", NULL},
    {",\nx,y\n", HILUM_OK, 2, 1, "||x|y", NULL},
    {"\"a\",\"b\"\n\"1\n2\",\"say \"\"x\"\", y\"\n", HILUM_OK, 2, 1, "a|b|1\n2|say \"x\", y", NULL},
    {"a\n\"\"\n", HILUM_OK, 1, 1, "a|", NULL},
    {"a\n\"\"\"\"", HILUM_OK, 1, 1, "a|\"", NULL},
    {"a, b \n 1 ,2\n", HILUM_OK, 2, 1, "a| b | 1 |2", NULL},
    {"", HILUM_ERROR_FORMAT, 0, 0, NULL, "t: an empty table"},
    {"\xef\xbb\xbf", HILUM_ERROR_FORMAT, 0, 0, NULL, "t: an empty table"},
    {"\n\r\n\n", HILUM_ERROR_FORMAT, 0, 0, NULL, "t: an empty table"},
    {"a,b\n1\n", HILUM_ERROR_FORMAT, 0, 0, NULL, "t: line 2: 1 fields where the header has 2"},
    {"a,b\n\n\"1\n\",2\n1,2,3\n", HILUM_ERROR_FORMAT, 0, 0, NULL, "t: line 5: 3 fields where the header has 2"},
    {"a\n\"x", HILUM_ERROR_FORMAT, 0, 0, NULL, "t: line 2: a quote that is never closed"},
    {"a\n\"x\"\"", HILUM_ERROR_FORMAT, 0, 0, NULL, "t: line 2: a quote that is never closed"},
    {"a\n\"x\"y\n", HILUM_ERROR_FORMAT, 0, 0, NULL, "t: line 2: text after a closing quote"},
    {"a\nx\"y\"\n", HILUM_ERROR_FORMAT, 0, 0, NULL, "t: line 2: a quote inside a field that does not begin with one"},
    {"a,b,a\n1,2,3\n", HILUM_ERROR_FORMAT, 0, 0, NULL, "t: column 'a' stands twice"},
};

static void test_csv_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(csv_cases) / sizeof(*csv_cases); i++) {
		const struct csv_case *c = &csv_cases[i];
		struct hl_csv csv = {.columns = 77};
		struct hilum_error error = {0};
		struct hl_buffer joined;
		assert_int_equal(hl_csv_parse("t", c->text, strlen(c->text), &csv, &error), c->status);
		if (c->status) {
			assert_string_equal(error.message, c->message);
			assert_int_equal(csv.columns, 77);
			continue;
		}
		assert_int_equal(csv.columns, c->columns);
		assert_int_equal(csv.rows, c->rows);
		hl_buffer_init(&joined, 1000);
		for (size_t k = 0; k < (csv.rows + 1) * csv.columns; k++)
			hl_buffer_print(&joined, NULL, "%s%s", k ? "|" : "", csv.field[k]);
		assert_string_equal(joined.data, c->fields);
		hl_buffer_free(&joined);
		hl_csv_free(&csv);
	}
}

static void test_csv_access(void **state)
{
	static const char text[] = "path,label\na.png,1\nb.png,0\n";
	struct hilum_error error;
	struct hl_csv csv;

	(void)state;
	assert_int_equal(hl_csv_parse("t", text, sizeof(text) - 1, &csv, &error), HILUM_OK);
	assert_int_equal(hl_csv_column(&csv, "label"), 1);
	assert_int_equal(hl_csv_column(&csv, "group"), -1);
	assert_string_equal(hl_csv_get(&csv, 1, 0), "b.png");
	hl_csv_free(&csv);
	assert_int_equal(hl_csv_parse("t", text, sizeof(text), &csv, &error), HILUM_ERROR_FORMAT);
	assert_string_equal(error.message, "t: a NUL byte: not a text table");
}

static void test_csv_limits(void **state)
{
	struct hilum_error error;
	struct hl_csv csv;
	char *text = hl_alloc(5000, 1);

	(void)state;
	memset(text, ',', 5000);
	assert_int_equal(hl_csv_parse("t", text, 4095, &csv, &error), HILUM_OK);
	assert_int_equal(csv.columns, 4096);
	hl_csv_free(&csv);
	assert_int_equal(hl_csv_parse("t", text, 4096, &csv, &error), HILUM_ERROR_LIMIT);
	hl_free(text);
	assert_int_equal(hl_csv_parse("t", "", (size_t)257 << 20, &csv, &error), HILUM_ERROR_LIMIT);
}

/* Whatever is written by hl_csv_append comes back from hl_csv_parse. */
static void test_csv_round_trip(void **state)
{
	static const char *const fields[] = {"\xef\xbb\xbfx", "plain",  "",           "a,b",  "\"",
	                                     "\"\"",          "a\"b\"", "line\nline", "cr\r", " x "};
	size_t count = sizeof(fields) / sizeof(*fields);
	struct hl_buffer buffer;
	struct hl_csv csv;

	(void)state;
	hl_buffer_init(&buffer, 1000);
	for (size_t i = 0; i < count; i++) {
		if (i)
			hl_buffer_append(&buffer, ",", 1, NULL);
		assert_int_equal(hl_csv_append(&buffer, fields[i], NULL), HILUM_OK);
	}
	assert_int_equal(hl_csv_parse("t", buffer.data, buffer.length, &csv, NULL), HILUM_OK);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(csv.field[i], fields[i]);
	hl_csv_free(&csv);
	hl_buffer_free(&buffer);
	hl_buffer_init(&buffer, 4);
	assert_int_equal(hl_csv_append(&buffer, "a,b", NULL), HILUM_ERROR_LIMIT);
	hl_buffer_free(&buffer);
}

/* ---- files ---- */

static void test_file(void **state)
{
	char *path = in_folder("file"), *deep = in_folder("a/b//c/"), *file_in_file = in_folder("file/x");
	struct hl_part parts[] = {{"abc", 3}, {NULL, 0}, {"de", 2}};
	struct hl_buffer buffer = {.length = 99};
	struct hilum_error error;

	(void)state;
	assert_int_equal(hl_file_read(path, 10, &buffer, &error), HILUM_ERROR_IO);
	assert_non_null(strstr(error.message, path));
	assert_int_equal(buffer.length, 99);
	assert_int_equal(hl_file_write(path, parts, 3, &error), HILUM_OK);
	assert_int_equal(hl_file_read(path, 5, &buffer, &error), HILUM_OK);
	assert_int_equal(buffer.length, 5);
	assert_string_equal(buffer.data, "abcde");
	hl_buffer_free(&buffer);
	buffer.length = 99;
	assert_int_equal(hl_file_read(path, 4, &buffer, &error), HILUM_ERROR_LIMIT);
	assert_int_equal(hl_file_read(folder, 4000000, &buffer, &error), HILUM_ERROR_IO);
	assert_int_equal(hl_file_read("/dev/zero", 10, &buffer, &error), HILUM_ERROR_IO);
	assert_int_equal(buffer.length, 99);
	assert_int_equal(hl_file_write(path, NULL, 0, &error), HILUM_OK);
	assert_int_equal(hl_file_read(path, 0, &buffer, &error), HILUM_OK);
	assert_string_equal(buffer.data, "");
	hl_buffer_free(&buffer);

	assert_int_equal(hl_directory_make(deep, &error), HILUM_OK);
	assert_int_equal(hl_directory_make(deep, &error), HILUM_OK);
	assert_true(hl_path_is_directory(deep));
	assert_false(hl_path_is_directory(path));
	assert_true(hl_path_exists(path));
	assert_int_equal(hl_directory_make(path, &error), HILUM_ERROR_IO);
	assert_int_equal(hl_directory_make(file_in_file, &error), HILUM_ERROR_IO);
	assert_int_equal(hl_file_write(file_in_file, parts, 1, &error), HILUM_ERROR_IO);
	assert_int_equal(hl_file_write(deep, parts, 1, &error), HILUM_ERROR_IO);
	/* A device is written through, never replaced. */
	assert_int_equal(hl_file_write("/dev/null", parts, 1, &error), HILUM_OK);
	assert_int_equal(hl_file_read("/dev/null", 10, &buffer, &error), HILUM_ERROR_IO);
	hl_free(path);
	hl_free(deep);
	hl_free(file_in_file);
}

static void test_path_join(void **state)
{
	static const char *const cases[][3] = {
	    {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a", "/b", "/b"}, {"", "b", "b"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *joined = hl_path_join(cases[i][0], cases[i][1]);
		assert_string_equal(joined, cases[i][2]);
		hl_free(joined);
	}
}

static void test_directory_list(void **state)
{
	static const char *const made[] = {"list/b", "list/A", "list/.hidden", "list/a b", "list/10", "list/9"};
	static const char *const expected[] = {"10", "9", "A", "a b", "b"};
	char *list = in_folder("list");
	struct hl_names names = {.count = 99};
	struct hilum_error error;

	(void)state;
	assert_int_equal(hl_directory_list(list, 10, &names, &error), HILUM_ERROR_IO);
	assert_int_equal(hl_directory_make(list, &error), HILUM_OK);
	assert_int_equal(hl_directory_list(list, 0, &names, &error), HILUM_OK);
	assert_int_equal(names.count, 0);
	hl_names_free(&names);
	for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++) {
		char *path = in_folder(made[i]);
		assert_int_equal(hl_file_write(path, NULL, 0, &error), HILUM_OK);
		hl_free(path);
	}
	assert_int_equal(hl_directory_list(list, 5, &names, &error), HILUM_OK);
	assert_int_equal(names.count, 5);
	for (size_t i = 0; i < names.count; i++)
		assert_string_equal(names.name[i], expected[i]);
	hl_names_free(&names);
	assert_int_equal(hl_directory_list(list, 4, &names, &error), HILUM_ERROR_LIMIT);
	hl_free(list);
}

static size_t count_names(const char *path)
{
	struct hl_names names;
	size_t count;

	assert_int_equal(hl_directory_list(path, 100, &names, NULL), HILUM_OK);
	count = names.count;
	hl_names_free(&names);
	return count;
}

/* A disk that fills up while writing: the old contents stay and nothing is left over. */
static void test_write_fails(void **state)
{
	struct rlimit old, small = {.rlim_cur = 4096};
	char *sub = in_folder("full"), *path = in_folder("full/file");
	struct hl_part part = {"old", 3};
	struct hl_buffer buffer;
	struct hilum_error error;
	char *large = hl_alloc(100000, 1);

	(void)state;
	assert_int_equal(hl_directory_make(sub, &error), HILUM_OK);
	assert_int_equal(hl_file_write(path, &part, 1, &error), HILUM_OK);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small);
	part = (struct hl_part){large, 100000};
	assert_int_equal(hl_file_write(path, &part, 1, &error), HILUM_ERROR_IO);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_non_null(strstr(error.message, path));
	assert_int_equal(hl_file_read(path, 100, &buffer, &error), HILUM_OK);
	assert_string_equal(buffer.data, "old");
	assert_int_equal(count_names(sub), 1);
	hl_buffer_free(&buffer);
	hl_free(large);
	hl_free(sub);
	hl_free(path);
}

/* A process killed at any moment while it replaces a file leaves one whole version of it. */
static void test_write_killed(void **state)
{
	enum { SIZE = 200000 };
	char *path = in_folder("killed");
	char *contents = hl_alloc(SIZE, 1);
	struct hl_part part = {contents, SIZE};

	(void)state;
	assert_int_equal(hl_file_write(path, &part, 1, NULL), HILUM_OK);
	for (int round = 0; round < 20; round++) {
		struct hl_buffer buffer;
		pid_t child = fork();
		if (child == 0) {
			for (int i = 0;; i++) {
				memset(contents, 'a' + i % 26, SIZE);
				hl_file_write(path, &part, 1, NULL);
			}
		}
		assert_true(child > 0);
		usleep((useconds_t)(1000 + 777 * round));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		assert_int_equal(hl_file_read(path, SIZE, &buffer, NULL), HILUM_OK);
		assert_int_equal(buffer.length, SIZE);
		for (size_t i = 1; i < SIZE; i++)
			assert_int_equal(buffer.data[i], buffer.data[0]);
		hl_buffer_free(&buffer);
	}
	hl_free(contents);
	hl_free(path);
}

/* ---- every allocation in turn ---- */

static enum hilum_status many_names(const char *path, struct hilum_error *error)
{
	struct hl_names names;
	enum hilum_status status = hl_directory_list(path, 1000, &names, error);

	if (!status)
		hl_names_free(&names);
	return status;
}

static enum hilum_status read_table(const char *path, struct hilum_error *error)
{
	struct hl_csv csv;
	enum hilum_status status = hl_csv_read(path, &csv, error);

	if (!status)
		hl_csv_free(&csv);
	return status;
}

static enum hilum_status parse_table(const char *path, struct hilum_error *error)
{
	static const char text[] = "a,b\n1,2\n";
	struct hl_csv csv;
	enum hilum_status status = hl_csv_parse(path, text, sizeof(text) - 1, &csv, error);

	if (!status)
		hl_csv_free(&csv);
	return status;
}

static enum hilum_status write_file(const char *path, struct hilum_error *error)
{
	struct hl_part part = {"a\n1\n", 4};

	return hl_file_write(path, &part, 1, error);
}

static void fail_each(enum hilum_status (*call)(const char *, struct hilum_error *), const char *path)
{
	int failed = 0;

	for (int64_t i = 0;; i++, failed++) {
		struct hilum_error error = {0};
		int64_t before = hl_memory_count();
		enum hilum_status status;
		hl_memory_fail_after(i);
		status = call(path, &error);
		if (hl_memory_count() - before <= i) {
			assert_int_equal(status, HILUM_OK);
			break;
		}
		assert_int_equal(status, HILUM_ERROR_MEMORY);
		assert_int_equal(error.code, HILUM_ERROR_MEMORY);
	}
	hl_memory_fail_after(-1);
	assert_true(failed > 0);
}

static void test_fail_each(void **state)
{
	char *path = in_folder("table.csv"), *list = in_folder("many");
	struct hl_buffer table;

	(void)state;
	hl_buffer_init(&table, 100000);
	hl_buffer_print(&table, NULL, "a,b\n");
	for (int i = 0; i < 200; i++)
		hl_buffer_print(&table, NULL, "%d,%d\n", i, i);
	fail_each(write_file, path);
	assert_int_equal(hl_file_write(path, &(struct hl_part){table.data, table.length}, 1, NULL), HILUM_OK);
	hl_buffer_free(&table);
	fail_each(read_table, path);
	fail_each(parse_table, "t");
	fail_each(hl_directory_make, list);
	for (int i = 0; i < 70; i++) {
		char *name = hl_format("%s/%d", list, i);
		assert_int_equal(hl_file_write(name, NULL, 0, NULL), HILUM_OK);
		hl_free(name);
	}
	fail_each(many_names, list);
	hl_free(path);
	hl_free(list);
}

/* ---- hashes and the processor ---- */

/* FIPS 180-4 examples. */
static void test_sha256(void **state)
{
	char *million = hl_alloc(1000000, 1);

	(void)state;
	memset(million, 'a', 1000000);
	assert_string_equal(hl_sha256(NULL, 0).hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_string_equal(hl_sha256("abc", 3).hex,
	                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_string_equal(hl_sha256(million, 1000000).hex,
	                    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	hl_free(million);
}

static void test_hash64(void **state)
{
	unsigned char bytes[40] = {0};
	uint64_t zero = hl_hash64(HL_HASH_START, bytes, sizeof(bytes)), whole;

	(void)state;
	assert_true(hl_hash64(HL_HASH_START, NULL, 0) == HL_HASH_START);
	/* (start ^ 'a') * prime, folded: worked out by hand from the definition. */
	assert_true(hl_hash64(HL_HASH_START, "a", 1) ==
	            (UINT64_C(0xaf63dc4c8601ec8c) ^ UINT64_C(0xaf63dc4c8601ec8c) >> 29));
	for (size_t i = 0; i < sizeof(bytes) * 8; i++) {
		bytes[i / 8] ^= (unsigned char)(1 << i % 8);
		assert_true(hl_hash64(HL_HASH_START, bytes, sizeof(bytes)) != zero);
		bytes[i / 8] ^= (unsigned char)(1 << i % 8);
	}
	/* Two sign bits. */
	bytes[7] = bytes[15] = 0x80;
	assert_true(hl_hash64(HL_HASH_START, bytes, sizeof(bytes)) != zero);
	whole = hl_hash64(HL_HASH_START, bytes, sizeof(bytes));
	assert_true(hl_hash64(hl_hash64(HL_HASH_START, bytes, 16), bytes + 16, 24) == whole);
}

static void test_cpu(void **state)
{
	struct hl_cpu cpu = hl_cpu_describe();

	(void)state;
	assert_in_range(hl_cpu_count(), 1, sysconf(_SC_NPROCESSORS_CONF));
	assert_true(hl_memory_available() > 1 << 20);
	assert_true(hl_memory_available() <= sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
	assert_true(strlen(cpu.name) > 0 && strlen(cpu.name) < sizeof(cpu.name));
	assert_true(!cpu.avx512 || cpu.avx2);
	assert_true(!cpu.avx512_bf16 || cpu.avx512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_error),          cmocka_unit_test(test_log),
	    cmocka_unit_test(test_memory),         cmocka_unit_test(test_block),
	    cmocka_unit_test(test_buffer),         cmocka_unit_test(test_csv_cases),
	    cmocka_unit_test(test_csv_access),     cmocka_unit_test(test_csv_limits),
	    cmocka_unit_test(test_csv_round_trip), cmocka_unit_test(test_file),
	    cmocka_unit_test(test_path_join),      cmocka_unit_test(test_directory_list),
	    cmocka_unit_test(test_write_fails),    cmocka_unit_test(test_write_killed),
	    cmocka_unit_test(test_fail_each),      cmocka_unit_test(test_sha256),
	    cmocka_unit_test(test_hash64),         cmocka_unit_test(test_cpu),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
