#include "train/domain.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/traits.h"
#include "model/domain.h"

#include <math.h>
#include <stdlib.h>

/* More would tell nothing further, and a run would need much memory for them. */
#define CASES_MAX 20000

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Of CASES_MAX cases at the most. */
static enum hilum_status traits_of(struct hl_loader *loader, double **out, size_t *rows_out, struct hilum_error *error)
{
	size_t every = (hl_loader_count(loader) - 1) / CASES_MAX + 1, count = (hl_loader_count(loader) - 1) / every + 1;
	double *rows = hl_alloc(count, HL_TRAITS * sizeof(*rows));
	if (!rows)
		return hl_fail_memory(error, count * HL_TRAITS * sizeof(*rows), "figures");
	enum hilum_status status = hl_loader_traits(loader, every, rows, error);
	if (status) {
		hl_free(rows);
		return status;
	}
	*out = rows;
	*rows_out = count;
	return HILUM_OK;
}

/* The distance that a further picture of the same kind exceeds with a probability of rate at the most: the k-th of n
 * with k = ceil((1 - rate) (n + 1)), as in split conformal prediction (Vovk et al. 2005); of few the largest, whose
 * rate is 1 / (n + 1). */
static enum hilum_status take_threshold(struct hl_domain *domain, const double *rows, size_t count,
                                        struct hilum_error *error)
{
	double *distance = hl_alloc(count, sizeof(*distance));
	if (!distance)
		return hl_fail_memory(error, count * sizeof(*distance), "distances");
	for (size_t i = 0; i < count; i++)
		distance[i] = hl_domain_distance(domain, rows + i * HL_TRAITS);
	qsort(distance, count, sizeof(*distance), by_size);
	size_t place = (size_t)ceil((1 - HL_DOMAIN_RATE) * (double)(count + 1));
	place = place < count ? place : count;
	domain->threshold = distance[place - 1];
	domain->rate = fmax(HL_DOMAIN_RATE, 1 / (double)(count + 1));
	domain->cases = (int64_t)count;
	hl_free(distance);
	return HILUM_OK;
}

static enum hilum_status fit(const struct hl_material *material, struct hl_domain *domain, struct hilum_error *error)
{
	double *train = NULL, *val = NULL;
	size_t count = 0, held_out = 0;
	if (hl_loader_count(material->train) < HL_DOMAIN_CASES_MIN)
		return HILUM_OK;
	enum hilum_status status = traits_of(material->train, &train, &count, error);
	if (!status)
		status = hl_domain_fit(domain, train, count, HL_TRAITS, error);
	if (!status && material->val)
		status = traits_of(material->val, &val, &held_out, error);
	if (!status) {
		domain->validation = val != NULL;
		status = take_threshold(domain, val ? val : train, val ? held_out : count, error);
	}
	hl_free(train);
	hl_free(val);
	return status;
}

enum hilum_status hl_domain_make(const struct hl_material *material, char **out, struct hilum_error *error)
{
	struct hl_domain domain = {.looked = (int64_t)hl_loader_count(material->train)};
	for (int64_t i = 0; i < domain.looked; i++)
		domain.chests += hl_loader_chest(material->train, (size_t)i) == HL_CHEST_YES;
	domain.rule = (double)domain.chests >= HL_DOMAIN_CHESTS * (double)domain.looked;
	enum hilum_status status = fit(material, &domain, error);
	char *text = status ? NULL : hl_domain_print(&domain);
	if (!status && !text)
		status = hl_fail_memory(error, HL_TRAITS * HL_TRAITS * sizeof(double), "figures");
	if (!status)
		hl_log(HILUM_LOG_INFO, "%lld of %lld training pictures look like chest CT: the model %s",
		       (long long)domain.chests, (long long)domain.looked,
		       domain.rule ? "refuses what does not" : "will not refuse what does not");
	hl_domain_free(&domain);
	if (!status)
		*out = text;
	return status;
}
