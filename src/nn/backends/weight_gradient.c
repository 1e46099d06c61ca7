/* Which kernel computes a weight gradient. */
#include "nn/backends/weight_gradient.h"
#include "base/cpu.h"
#include "nn/backends/wgrad_kernels.h"

#if defined(__x86_64__)
#include "nn/backends/amx.h"

#define CHANNELS_TILED 16

bool hl_wgrad_plan(struct hl_wgrad *g)
{
	struct hl_cpu cpu = hl_cpu_describe();

	/* With few channels tiles would be all but empty. */
	if (g->kernel == HL_WGRAD_BEST && cpu.amx && g->in.c >= CHANNELS_TILED &&
	    (g->type == HL_BF16 || (!g->strict && hl_amx_parts() == 2)))
		g->kernel = HL_WGRAD_AMX;
	if (g->kernel == HL_WGRAD_BEST)
		g->kernel = cpu.bf16_pairs ? HL_WGRAD_AVX512_BF16 : cpu.avx512 ? HL_WGRAD_AVX512 : HL_WGRAD_AVX2;
	switch (g->kernel) {
	case HL_WGRAD_AMX:
		return cpu.amx && hl_wgrad_avx512_plan(g);
	case HL_WGRAD_AVX512_BF16:
		return cpu.avx512_bf16 && hl_wgrad_avx512_plan(g);
	case HL_WGRAD_AVX512:
		return cpu.avx512 && hl_wgrad_avx512_plan(g);
	default:
		return cpu.avx2 && hl_wgrad_avx2_plan(g);
	}
}

void hl_wgrad_run(const struct hl_wgrad *g, const void *in, const void *dout, float *dweight, float *dbias,
                  void *scratch)
{
	if (g->kernel == HL_WGRAD_AVX2)
		hl_wgrad_avx2_run(g, in, dout, dweight, dbias, scratch);
	else
		hl_wgrad_avx512_run(g, in, dout, dweight, dbias, scratch);
}
#else
bool hl_wgrad_plan(struct hl_wgrad *g)
{
	(void)g;
	return false;
}

void hl_wgrad_run(const struct hl_wgrad *g, const void *in, const void *dout, float *dweight, float *dbias,
                  void *scratch)
{
	(void)g, (void)in, (void)dout, (void)dweight, (void)dbias, (void)scratch;
}
#endif
