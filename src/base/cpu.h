/* What this machine really offers. */
#ifndef HL_BASE_CPU_H
#define HL_BASE_CPU_H
#include <stdbool.h>
#include <stdint.h>

/* Cores available to this process: affinity mask and cgroup quota (v1 and v2), at least 1. */
int32_t hl_cpu_count(void);
struct hl_cpu {
	char name[64];
	/* amx: tiles, for bfloat16 and bytes, with all AVX-512 named here; asking for it takes the system's permission
	 * to use them, for the whole process. */
	bool avx2, avx512, avx512_bf16, avx512_vnni, amx;
	bool amx_emulated; /* amx, but the tile instructions are to be done in C */
	/* avx512_bf16 is worth using: where there are tiles (amx) it has half the rate of float32. */
	bool bf16_pairs;
};
/* HILUM_CPU=avx512, avx2 or none in the environment hides what is newer than that, and amx-emulated has the kernels for
 * tiles run on a processor that has none, slowly; it needs AVX-512 with bfloat16 and VNNI (for tests). */
struct hl_cpu hl_cpu_describe(void);
/* Bytes of memory available to this process: the smaller of MemAvailable and the cgroup's limit. */
int64_t hl_memory_available(void);
#endif
