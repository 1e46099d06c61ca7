/* The kernels between which weight_gradient.c chooses. */
#ifndef HL_NN_BACKENDS_WGRAD_KERNELS_H
#define HL_NN_BACKENDS_WGRAD_KERNELS_H
#include "nn/backends/weight_gradient.h"

bool hl_wgrad_avx2_plan(struct hl_wgrad *gradient);
void hl_wgrad_avx2_run(const struct hl_wgrad *gradient, const void *in, const void *dout, float *dweight, float *dbias,
                       void *scratch);
bool hl_wgrad_avx512_plan(struct hl_wgrad *gradient);
void hl_wgrad_avx512_run(const struct hl_wgrad *gradient, const void *in, const void *dout, float *dweight,
                         float *dbias, void *scratch);
#endif
