/* What a model's activations are as bytes, found by hilum_quantize on cases and kept in the model's metadata as JSON:
 *
 *   {"outputs": {NODE: [scale, zero, offset], ...},    of the input and every layer up to the logits
 *    "fitted": {...}}                          where it comes from and what it costs, for people
 *
 * Weights are not stored as bytes: they are made so, by output channel, when the model is planned (nn/quant.h). */
#ifndef HL_MODEL_QUANTIZATION_H
#define HL_MODEL_QUANTIZATION_H
#include "nn/graph.h"
#include "nn/quant.h"

/* An entry for every node of the graph, settled (hl_quant_settle), in a new array (hl_free). HILUM_ERROR_FORMAT where
 * the text is damaged, names other layers than the network has or holds a number out of bounds. */
enum hilum_status hl_quantization_parse(const char *text, const struct hl_graph *graph, struct hl_quant **out,
                                        struct hilum_error *error);
/* The text of it as a new string (hl_free); fitted is a JSON object. NULL without memory. */
char *hl_quantization_print(const struct hl_graph *graph, const struct hl_quant *quant, const char *fitted);
#endif
