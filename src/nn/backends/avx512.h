/* The AVX-512 back end: kernels of our own for processors that have it. */
#ifndef HL_NN_BACKENDS_AVX512_H
#define HL_NN_BACKENDS_AVX512_H
#include "nn/backend.h"

enum hilum_status hl_avx512_conv(const struct hl_compile *request, struct hl_primitive **out,
                                 struct hilum_error *error);
enum hilum_status hl_avx512_dense(const struct hl_compile *request, struct hl_primitive **out,
                                  struct hilum_error *error);
#endif
