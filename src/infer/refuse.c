#include "infer/refuse.h"

#include "data/traits.h"
#include "scan/load.h"

enum hilum_status hl_model_domain(const struct hilum_model *model, struct hl_domain *out, struct hilum_error *error)
{
	struct hl_domain domain = {0};
	enum hilum_status status = model->domain ? hl_domain_parse(model->domain, &domain, error) : HILUM_OK;
	if (status)
		return hl_prefix(error, status, "the model");
	if (domain.traits != HL_TRAITS)
		domain.traits = 0;
	*out = domain;
	return HILUM_OK;
}

enum hilum_status hl_chest_judge_stack(char *const *files, int32_t count, enum hl_chest_verdict *out,
                                       struct hilum_error *error)
{
	struct hl_chest_tally tally = {.looked = count < HL_CHEST_LOOKS ? count : HL_CHEST_LOOKS};
	for (int32_t i = 0; i < tally.looked; i++) {
		struct hl_volume volume = {0};
		enum hl_chest_verdict verdict;
		const char *file = files[((int64_t)2 * i + 1) * count / (2 * (int64_t)tally.looked)];
		enum hilum_status status = hl_load(file, NULL, &volume, NULL, error);
		if (status)
			return status;
		status = hl_chest_judge(&volume, &verdict, error);
		hl_volume_free(&volume);
		if (status)
			return hl_prefix(error, status, "%s", file);
		tally.met[verdict]++;
	}
	*out = hl_chest_conclude(&tally);
	return HILUM_OK;
}

enum hilum_status hl_domain_admit(const struct hl_domain *domain, enum hl_chest_verdict verdict,
                                  struct hilum_error *error)
{
	if (!domain->rule || verdict == HL_CHEST_YES)
		return HILUM_OK;
	return hl_fail(error, HILUM_ERROR_REFUSED, "refused: not a chest CT (%s)", hl_chest_reason(verdict));
}

bool hl_domain_flags(const struct hl_domain *domain, double distance)
{
	return domain->traits > 0 && distance > domain->threshold;
}
