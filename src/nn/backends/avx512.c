/* The AVX-512 back end: which node goes where. */
#include "nn/backends/avx512.h"
#include <string.h>

static enum hilum_status compile(const struct hl_compile *request, struct hl_primitive **out, struct hilum_error *error)
{
	if (strcmp(request->op->name, "conv") == 0)
		return hl_avx512_conv(request, out, error);
	if (strcmp(request->op->name, "dense") == 0 && request->type == HL_U8)
		return hl_avx512_conv(request, out, error);
	if (strcmp(request->op->name, "dense") == 0)
		return hl_avx512_dense(request, out, error);
	return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "avx512: no %s here", request->op->name);
}

const struct hl_backend hl_backend_avx512 = {.name = "avx512", .bytes = true, .compile = compile};
