#include "model/domain.h"

#include "base/memory.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#define SHRINKAGE 0.1
#define DEVIATION_MIN (1.0 / 255)
#define NUMBER_MAX 1e6 /* figures lie about 1 */
#define CASES_MAX ((json_int_t)1 << 40)

static size_t factor_size(int32_t traits)
{
	return (size_t)traits * ((size_t)traits + 1) / 2;
}

void hl_domain_free(struct hl_domain *domain)
{
	hl_free(domain->mean);
	hl_free(domain->factor);
	*domain = (struct hl_domain){0};
}

/* ---- reading and writing ---- */

static enum hilum_status damaged(const char *what, struct hilum_error *error)
{
	return hl_fail(error, HILUM_ERROR_FORMAT, "its description of the training pictures is damaged: %s", what);
}

static bool read_count(const json_t *object, const char *key, int64_t *out)
{
	const json_t *value = json_object_get(object, key);
	*out = (int64_t)json_integer_value(value);
	return json_is_integer(value) && *out >= 0 && *out <= CASES_MAX;
}

static bool read_number(const json_t *object, const char *key, double most, double *out)
{
	const json_t *value = json_object_get(object, key);
	*out = json_number_value(value);
	return json_is_number(value) && *out >= 0 && *out <= most;
}

static bool read_numbers(const json_t *array, size_t count, double *out)
{
	for (size_t i = 0; i < count; i++) {
		const json_t *value = json_array_get(array, i);
		out[i] = json_number_value(value);
		if (!json_is_number(value) || !(fabs(out[i]) <= NUMBER_MAX))
			return false;
	}
	return true;
}

static enum hilum_status read_traits(const json_t *object, struct hl_domain *out, struct hilum_error *error)
{
	const json_t *mean = json_object_get(object, "mean"), *factor = json_object_get(object, "factor");
	const char *part = json_string_value(json_object_get(object, "part"));
	size_t count = json_array_size(mean);
	if (!object || json_is_null(object))
		return HILUM_OK;
	if (count < 1 || count > HL_DOMAIN_TRAITS_MAX || json_array_size(factor) != factor_size((int32_t)count))
		return damaged("figures", error);
	if (!part || (strcmp(part, "val") != 0 && strcmp(part, "train") != 0) ||
	    !read_number(object, "threshold", NUMBER_MAX, &out->threshold) ||
	    !read_number(object, "rate", 1, &out->rate) || !read_count(object, "cases", &out->cases))
		return damaged("threshold", error);
	out->validation = part[0] == 'v';
	out->traits = (int32_t)count;
	out->mean = hl_alloc(count, sizeof(*out->mean));
	out->factor = hl_alloc(factor_size(out->traits), sizeof(*out->factor));
	if (!out->mean || !out->factor)
		return hl_fail_memory(error, factor_size(out->traits) * sizeof(double), "figures");
	if (!read_numbers(mean, count, out->mean) || !read_numbers(factor, factor_size(out->traits), out->factor))
		return damaged("figures", error);
	for (int32_t i = 0; i < out->traits; i++)
		if (!(out->factor[factor_size(i) + (size_t)i] >= DEVIATION_MIN / 1000))
			return damaged("figures", error);
	return HILUM_OK;
}

enum hilum_status hl_domain_parse(const char *text, struct hl_domain *out, struct hilum_error *error)
{
	struct hl_domain made = {0};
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	const json_t *chest = json_object_get(root, "chest"), *rule = json_object_get(chest, "rule");
	enum hilum_status status = HILUM_OK;
	if (!read_count(chest, "looked", &made.looked) || !read_count(chest, "chests", &made.chests) ||
	    made.chests > made.looked || !json_is_boolean(rule))
		status = damaged("chest", error);
	made.rule = json_is_true(rule);
	if (!status)
		status = read_traits(json_object_get(root, "traits"), &made, error);
	json_decref(root);
	if (status)
		hl_domain_free(&made);
	else
		*out = made;
	return status;
}

static json_t *numbers(const double *value, size_t count)
{
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_real(value[i]));
	return list;
}

char *hl_domain_print(const struct hl_domain *domain)
{
	json_t *root = json_pack("{s:{s:I, s:I, s:b}, s:n}", "chest", "looked", (json_int_t)domain->looked, "chests",
	                         (json_int_t)domain->chests, "rule", (int)domain->rule, "traits");
	if (root && domain->traits > 0)
		json_object_set_new(root, "traits",
		                    json_pack("{s:o, s:o, s:f, s:f, s:I, s:s}", "mean",
		                              numbers(domain->mean, (size_t)domain->traits), "factor",
		                              numbers(domain->factor, factor_size(domain->traits)), "threshold",
		                              domain->threshold, "rate", domain->rate, "cases",
		                              (json_int_t)domain->cases, "part", domain->validation ? "val" : "train"));
	char *dump = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	char *text = dump ? hl_strdup(dump) : NULL;
	free(dump);
	json_decref(root);
	return text;
}

/* ---- fitting and measuring ---- */

static void covariance(const double *rows, size_t count, int32_t traits, const double *mean, double *out)
{
	for (int32_t i = 0; i < traits; i++)
		for (int32_t k = 0; k <= i; k++) {
			double sum = 0;
			for (size_t r = 0; r < count; r++) {
				const double *row = rows + r * (size_t)traits;
				sum += (row[i] - mean[i]) * (row[k] - mean[k]);
			}
			sum /= (double)count;
			out[factor_size(i) + (size_t)k] =
			    i == k ? fmax(sum, DEVIATION_MIN * DEVIATION_MIN) : (1 - SHRINKAGE) * sum;
		}
}

/* In place: the lower Cholesky factor of a matrix that is positive definite. */
static void factorise(double *matrix, int32_t size)
{
	for (int32_t i = 0; i < size; i++)
		for (int32_t k = 0; k <= i; k++) {
			double *row = matrix + factor_size(i), *other = matrix + factor_size(k), sum = row[k];
			for (int32_t j = 0; j < k; j++)
				sum -= row[j] * other[j];
			row[k] = i == k ? sqrt(fmax(sum, DEVIATION_MIN * DEVIATION_MIN / 1000)) : sum / other[k];
		}
}

enum hilum_status hl_domain_fit(struct hl_domain *domain, const double *rows, size_t count, int32_t traits,
                                struct hilum_error *error)
{
	double *mean = hl_alloc((size_t)traits, sizeof(*mean));
	double *factor = hl_alloc(factor_size(traits), sizeof(*factor));
	if (!mean || !factor) {
		hl_free(mean);
		hl_free(factor);
		return hl_fail_memory(error, factor_size(traits) * sizeof(*factor), "figures");
	}
	for (size_t r = 0; r < count; r++)
		for (int32_t i = 0; i < traits; i++)
			mean[i] += rows[r * (size_t)traits + (size_t)i];
	for (int32_t i = 0; i < traits; i++)
		mean[i] /= (double)count;
	covariance(rows, count, traits, mean, factor);
	factorise(factor, traits);
	domain->traits = traits;
	domain->mean = mean;
	domain->factor = factor;
	return HILUM_OK;
}

double hl_domain_distance(const struct hl_domain *domain, const double *row)
{
	double solved[HL_DOMAIN_TRAITS_MAX], squares = 0;
	for (int32_t i = 0; i < domain->traits; i++) {
		const double *factor = domain->factor + factor_size(i);
		double sum = row[i] - domain->mean[i];
		for (int32_t k = 0; k < i; k++)
			sum -= factor[k] * solved[k];
		solved[i] = sum / factor[i];
		squares += solved[i] * solved[i];
	}
	return sqrt(squares / domain->traits);
}
