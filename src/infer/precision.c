#include "infer/precision.h"

#include "base/memory.h"
#include "model/quantization.h"

const char *const hl_precision_names[] = {"fp32", "bf16", "int8", "fp32-strict", NULL};

enum hilum_status hl_model_plan(const struct hilum_model *model, const struct hl_plan_options *planning, int precision,
                                struct hl_plan **out, struct hilum_error *error)
{
	static const enum hl_type types[] = {HL_F32, HL_BF16, HL_U8, HL_F32};
	struct hl_plan_options options = *planning;
	struct hl_quant *quant = NULL;
	enum hilum_status status = HILUM_OK;
	if (precision < HL_PRECISION_FP32 || precision > HL_PRECISION_FP32_STRICT)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "precision: %d is not from 0 to 3", precision);
	if (precision == HL_PRECISION_INT8 && !model->quantization)
		return hl_fail(error, HILUM_ERROR_DATA,
		               "precision: the model has no scales for int8; hilum quantize finds them");
	if (precision == HL_PRECISION_INT8)
		status = hl_quantization_parse(model->quantization, model->graph, &quant, error);
	options.type = types[precision];
	options.quant = quant;
	options.strict = precision == HL_PRECISION_FP32_STRICT;
	if (!status)
		status = hl_plan_create(model->graph, &options, out, error);
	hl_free(quant);
	if (!status)
		hl_plan_bind(*out, model->slab);
	return status;
}
