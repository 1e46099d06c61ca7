/* What the files of the reference share. */
#ifndef HL_NN_BACKENDS_REFERENCE_H
#define HL_NN_BACKENDS_REFERENCE_H
#include "nn/backend.h"

/* Of requests with HL_U8. */
enum hilum_status hl_reference_bytes(const struct hl_compile *request, struct hl_primitive **out,
                                     struct hilum_error *error);
#endif
