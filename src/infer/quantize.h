/* Scales for int8, from cases of a data set. */
#ifndef HL_INFER_QUANTIZE_H
#define HL_INFER_QUANTIZE_H
#include "data/dataset.h"
#include "model/model.h"
#include "nn/quant.h"

/* Runs the network in float32 over the cases, a few times; out has an entry for every node of its graph. Unreadable
 * cases are logged as warnings and left out; *shown counts the others. As many of the cases are read as memory holds.
 */
enum hilum_status hl_quantize_fit(const struct hilum_model *model, const struct hl_dataset *dataset,
                                  const uint32_t *cases, size_t count, int32_t threads, struct hl_quant *out,
                                  size_t *shown, struct hilum_error *error);
#endif
