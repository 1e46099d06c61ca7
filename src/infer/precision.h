/* A loaded model planned for its use. */
#ifndef HL_INFER_PRECISION_H
#define HL_INFER_PRECISION_H
#include "model/model.h"
#include "nn/plan.h"

/* As struct hilum_session_options has it. */
enum hl_precision { HL_PRECISION_FP32, HL_PRECISION_BF16, HL_PRECISION_INT8, HL_PRECISION_FP32_STRICT };
extern const char *const hl_precision_names[]; /* NULL-terminated */

/* A plan for the model's use, with its parameters; type, strict and quant of planning are set. HILUM_ERROR_DATA where
 * int8 is asked of a model that has no scales for it. */
enum hilum_status hl_model_plan(const struct hilum_model *model, const struct hl_plan_options *planning, int precision,
                                struct hl_plan **out, struct hilum_error *error);
#endif
