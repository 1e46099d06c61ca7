#include "model/quantization.h"

#include <jansson.h>

#include "base/memory.h"

/* A scale is written and read as a double that is a float32. */
static bool read_quant(const json_t *pair, struct hl_quant *out)
{
	const json_t *scale = json_array_get(pair, 0), *zero = json_array_get(pair, 1),
	             *offset = json_array_get(pair, 2);
	if (json_array_size(pair) != 3 || !json_is_number(scale) || !json_is_integer(zero) || !json_is_number(offset))
		return false;
	double value = json_number_value(scale);
	json_int_t whole = json_integer_value(zero);
	if (!(value >= (double)HL_QUANT_SCALE_MIN && value <= (double)HL_QUANT_SCALE_MAX) || whole < 0 || whole > 255)
		return false;
	double shift = json_number_value(offset), most = 255 * value;
	if (!(shift >= -most && shift <= most))
		return false;
	*out = (struct hl_quant){.scale = (float)value, .zero = (int32_t)whole, .offset = (float)shift};
	return true;
}

static enum hilum_status read_outputs(const json_t *outputs, const struct hl_graph *graph, struct hl_quant *quant,
                                      struct hilum_error *error)
{
	if (json_object_size(outputs) != (size_t)graph->logits + 1)
		return hl_fail(error, HILUM_ERROR_FORMAT, "its int8 scales are of %zu layers, and the network has %d",
		               json_object_size(outputs), graph->logits + 1);
	for (int32_t i = 0; i <= graph->logits; i++)
		if (!read_quant(json_object_get(outputs, graph->node[i].name), &quant[i]))
			return hl_fail(error, HILUM_ERROR_FORMAT, "its int8 scale of %s is missing or out of bounds",
			               graph->node[i].name);
	hl_quant_settle(graph, quant);
	return HILUM_OK;
}

enum hilum_status hl_quantization_parse(const char *text, const struct hl_graph *graph, struct hl_quant **out,
                                        struct hilum_error *error)
{
	struct hl_quant *quant = hl_alloc((size_t)graph->nodes, sizeof(*quant));
	if (!quant)
		return hl_fail_memory(error, (size_t)graph->nodes * sizeof(*quant), "int8 scales");
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	enum hilum_status status =
	    json_is_object(root) ? read_outputs(json_object_get(root, "outputs"), graph, quant, error)
	                         : hl_fail(error, HILUM_ERROR_FORMAT, "its int8 scales are damaged: no JSON object");
	json_decref(root);
	if (status)
		hl_free(quant);
	else
		*out = quant;
	return status;
}

char *hl_quantization_print(const struct hl_graph *graph, const struct hl_quant *quant, const char *fitted)
{
	json_t *outputs = json_object(), *about = json_loads(fitted, 0, NULL);
	for (int32_t i = 0; i <= graph->logits; i++)
		json_object_set_new(
		    outputs, graph->node[i].name,
		    json_pack("[f,I,f]", (double)quant[i].scale, (json_int_t)quant[i].zero, (double)quant[i].offset));
	json_t *root = json_pack("{s:o,s:o}", "outputs", outputs, "fitted", about);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL, *copy = text ? hl_strdup(text) : NULL;
	free(text);
	json_decref(root);
	return copy;
}
