/* Whether a model answers for a scan at all, and how far the scan lies from what it learnt from: model/domain.h. */
#ifndef HL_INFER_REFUSE_H
#define HL_INFER_REFUSE_H
#include "model/domain.h"
#include "model/model.h"
#include "scan/chest.h"

/* The model's description of its training pictures; without traits where they are of another hilum's kind, and empty,
 * which refuses and flags nothing, where there is none. hl_domain_free. */
enum hilum_status hl_model_domain(const struct hilum_model *model, struct hl_domain *out, struct hilum_error *error);

/* Of a stack of count files, at most 16 of which are read. */
enum hilum_status hl_chest_judge_stack(char *const *files, int32_t count, enum hl_chest_verdict *out,
                                       struct hilum_error *error);

/* HILUM_ERROR_REFUSED with the reason in words where the model's rule is to answer for chests only, and this is none.
 */
enum hilum_status hl_domain_admit(const struct hl_domain *domain, enum hl_chest_verdict verdict,
                                  struct hilum_error *error);

/* Whether a distance lies beyond the threshold; false without traits. */
bool hl_domain_flags(const struct hl_domain *domain, double distance);
#endif
