/* Option tables: text to members and back. Strict: the whole of a value is used, or none of it. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"

static bool has_range(const struct hilum_option *option)
{
	return option->minimum != 0 || option->maximum != 0;
}

static enum hilum_status fail_range(const struct hilum_option *option, const char *value, struct hilum_error *error)
{
	char low[40], high[40];
	hl_number_print_shortest(low, sizeof(low), option->minimum);
	hl_number_print_shortest(high, sizeof(high), option->maximum);
	return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: %.80s is outside %s to %s", option->name, value, low, high);
}

/* Digits with an optional minus sign; *end is left at the first character that does not belong. */
static bool parse_digits(const char *text, const char **end, int64_t *out, bool *overflow)
{
	bool negative = *text == '-';
	int64_t value = 0;
	const char *at = text + (negative ? 1 : 0);
	*overflow = false;
	if (*at < '0' || *at > '9')
		return false;
	for (; *at >= '0' && *at <= '9'; at++) {
		int digit = *at - '0';
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, negative ? -digit : digit, &value))
			*overflow = true;
	}
	*end = at;
	*out = value;
	return true;
}

static enum hilum_status set_int(const struct hilum_option *option, void *member, const char *value,
                                 struct hilum_error *error)
{
	const char *end;
	int64_t number;
	bool overflow;
	if (!parse_digits(value, &end, &number, &overflow) || *end)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: '%.80s' is not a whole number", option->name, value);
	if (overflow && !has_range(option))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: %.80s does not fit 64 bits", option->name, value);
	if (overflow || (has_range(option) && ((double)number < option->minimum || (double)number > option->maximum)))
		return fail_range(option, value, error);
	memcpy(member, &number, sizeof(number));
	return HILUM_OK;
}

static enum hilum_status set_real(const struct hilum_option *option, void *member, const char *value,
                                  struct hilum_error *error)
{
	char *end = NULL;
	double number = 0;
	/* strtod would also take blanks, hexadecimal, "inf" and "nan". */
	if (*value && !value[strspn(value, "0123456789.eE+-")])
		number = hl_number_parse(value, &end);
	if (!end || end == value || *end)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: '%.80s' is not a number", option->name, value);
	if (!isfinite(number) && !has_range(option))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: %.80s is too large", option->name, value);
	if (!isfinite(number) || (has_range(option) && !(number >= option->minimum && number <= option->maximum)))
		return fail_range(option, value, error);
	memcpy(member, &number, sizeof(number));
	return HILUM_OK;
}

static enum hilum_status set_choice(const struct hilum_option *option, void *member, const char *value,
                                    struct hilum_error *error)
{
	char list[256] = "";
	size_t length = 0;
	for (int i = 0; option->choices[i]; i++) {
		if (strcmp(option->choices[i], value) == 0) {
			memcpy(member, &i, sizeof(i));
			return HILUM_OK;
		}
		int written = snprintf(list + length, sizeof(list) - length, "%s%s", i ? ", " : "", option->choices[i]);
		if (written > 0 && (size_t)written < sizeof(list) - length)
			length += (size_t)written;
	}
	return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: '%.80s' is not one of %s", option->name, value, list);
}

static enum hilum_status set_sizes(const struct hilum_option *option, void *member, const char *value,
                                   struct hilum_error *error)
{
	struct hilum_sizes sizes = {0};
	const char *at = value;
	char separator = '\0';
	/* A table without a default leaves the list empty, which must have a spelling too. */
	while (*value || option->initial) {
		int64_t number;
		bool overflow;
		if (!parse_digits(at, &at, &number, &overflow))
			goto malformed;
		if (overflow || number < INT32_MIN || number > INT32_MAX ||
		    (has_range(option) && ((double)number < option->minimum || (double)number > option->maximum)))
			return fail_range(option, value, error);
		if (sizes.count == HILUM_SIZES_MAX)
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: '%.80s' has more than %d sizes", option->name,
			               value, HILUM_SIZES_MAX);
		sizes.size[sizes.count++] = (int32_t)number;
		if (!*at)
			break;
		if ((*at != 'x' && *at != ',') || (separator && *at != separator))
			goto malformed;
		separator = *at++;
	}
	memcpy(member, &sizes, sizeof(sizes));
	return HILUM_OK;
malformed:
	return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: '%.80s' is not a size such as 3, 3x3 or 32,64", option->name,
	               value);
}

static enum hilum_status set_flag(const struct hilum_option *option, void *member, const char *value,
                                  struct hilum_error *error)
{
	bool flag = !value || strcmp(value, "true") == 0;
	if (!flag && strcmp(value, "false") != 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: '%.80s' is neither true nor false", option->name,
		               value);
	memcpy(member, &flag, sizeof(flag));
	return HILUM_OK;
}

static enum hilum_status set_member(const struct hilum_option *option, void *object, const char *value,
                                    struct hilum_error *error)
{
	void *member = (char *)object + option->offset;
	if (!value && option->kind != HILUM_OPTION_FLAG)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: a value is missing", option->name);
	switch (option->kind) {
	case HILUM_OPTION_FLAG:
		return set_flag(option, member, value, error);
	case HILUM_OPTION_INT:
		return set_int(option, member, value, error);
	case HILUM_OPTION_REAL:
		return set_real(option, member, value, error);
	case HILUM_OPTION_TEXT:
		memcpy(member, &value, sizeof(value));
		return HILUM_OK;
	case HILUM_OPTION_CHOICE:
		return set_choice(option, member, value, error);
	case HILUM_OPTION_SIZES:
		return set_sizes(option, member, value, error);
	}
	return hl_fail(error, HILUM_ERROR_INTERNAL, "%s: unknown kind of option", option->name);
}

static size_t member_size(enum hilum_option_kind kind)
{
	switch (kind) {
	case HILUM_OPTION_FLAG:
		return sizeof(bool);
	case HILUM_OPTION_INT:
		return sizeof(int64_t);
	case HILUM_OPTION_REAL:
		return sizeof(double);
	case HILUM_OPTION_TEXT:
		return sizeof(const char *);
	case HILUM_OPTION_CHOICE:
		return sizeof(int);
	case HILUM_OPTION_SIZES:
		return sizeof(struct hilum_sizes);
	}
	return 0;
}

void hilum_options_init(const struct hilum_option *table, void *object)
{
	if (!table)
		return;
	for (const struct hilum_option *option = table; option->name; option++) {
		memset((char *)object + option->offset, 0, member_size(option->kind));
		if (option->initial)
			set_member(option, object, option->initial, NULL);
	}
}

const struct hilum_option *hilum_option_find(const struct hilum_option *table, const char *name)
{
	for (const struct hilum_option *option = table; option && option->name; option++)
		if (strcmp(option->name, name) == 0)
			return option;
	return NULL;
}

enum hilum_status hilum_option_set(const struct hilum_option *table, void *object, const char *name, const char *value,
                                   struct hilum_error *error)
{
	const struct hilum_option *option = hilum_option_find(table, name);
	char list[384] = "";
	size_t length = 0;
	if (option)
		return set_member(option, object, value, error);
	for (option = table; option && option->name; option++) {
		int written = snprintf(list + length, sizeof(list) - length, "%s%s", length ? ", " : "", option->name);
		if (written < 0 || (size_t)written >= sizeof(list) - length)
			break;
		length += (size_t)written;
	}
	if (length == 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "unknown option '%.80s': there are none", name);
	return hl_fail(error, HILUM_ERROR_ARGUMENT, "unknown option '%.80s'; there are: %s", name, list);
}

static bool get_sizes(const struct hilum_option *option, const struct hilum_sizes *sizes, char *text, size_t size)
{
	bool list = sizes->count > 3 || (option->value && strchr(option->value, ','));
	size_t length = 0;
	if (sizes->count < 0 || sizes->count > HILUM_SIZES_MAX)
		return false;
	text[0] = '\0';
	for (int32_t i = 0; i < sizes->count; i++) {
		int written = snprintf(text + length, size - length, "%s%" PRId32,
		                       i == 0 ? ""
		                       : list ? ","
		                              : "x",
		                       sizes->size[i]);
		if (written < 0 || (size_t)written >= size - length)
			return false;
		length += (size_t)written;
	}
	return true;
}

static int get_choice(const struct hilum_option *option, int index, char *text, size_t size)
{
	for (int i = 0; option->choices[i]; i++)
		if (i == index)
			return snprintf(text, size, "%s", option->choices[i]);
	return -1;
}

bool hilum_option_get(const struct hilum_option *option, const void *object, char *text, size_t size)
{
	const void *member = (const char *)object + option->offset;
	union {
		bool flag;
		int64_t integer;
		double real;
		const char *text;
		int choice;
		struct hilum_sizes sizes;
	} value;
	int written = -1;
	if (size == 0)
		return false;
	memcpy(&value, member, member_size(option->kind));
	switch (option->kind) {
	case HILUM_OPTION_FLAG:
		written = snprintf(text, size, "%s", value.flag ? "true" : "false");
		break;
	case HILUM_OPTION_INT:
		written = snprintf(text, size, "%" PRId64, value.integer);
		break;
	case HILUM_OPTION_REAL:
		written = hl_number_print_shortest(text, size, value.real);
		break;
	case HILUM_OPTION_TEXT:
		written = snprintf(text, size, "%s", value.text ? value.text : "");
		break;
	case HILUM_OPTION_CHOICE:
		written = get_choice(option, value.choice, text, size);
		break;
	case HILUM_OPTION_SIZES:
		return get_sizes(option, &value.sizes, text, size);
	}
	return written >= 0 && (size_t)written < size;
}
