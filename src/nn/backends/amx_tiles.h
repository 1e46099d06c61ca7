/* The tile registers of AMX and the few instructions on them that kernels here use (Intel 64 and IA-32 Architectures
 * Software Developer's Manual, volume 1, chapter 18, and volume 2, LDTILECFG, TILELOADD, TDPBF16PS, TDPBUSD), or the
 * same in C, for tests on processors without them.
 *
 * A kernel is written once, as an always-inlined function with a constant flag real, and instantiated for both. Tile
 * numbers are literal digits, since they are part of the instruction. Written as assembly rather than with the
 * compiler's intrinsics, because those of gcc 12 do not say that a load reads memory. */
#ifndef HL_NN_BACKENDS_AMX_TILES_H
#define HL_NN_BACKENDS_AMX_TILES_H
#include <stdbool.h>
#include <stdint.h>

#define HL_AMX_TILES 8
#define HL_AMX_ROWS 16    /* of a tile at most */
#define HL_AMX_ROW 64     /* bytes of a row at most */
#define HL_AMX_BYTES 1024 /* of a whole tile */
#define HL_AMX_COLUMNS 16 /* float32 or int32 of a row */

/* What LDTILECFG reads. */
struct hl_amx_config {
	uint8_t palette, start_row, reserved[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
};

/* The registers of a processor that has none. */
struct hl_amx_registers {
	struct hl_amx_config config;
	uint8_t tile[HL_AMX_TILES][HL_AMX_ROWS][HL_AMX_ROW];
};

/* Every tile of the largest size. */
extern const struct hl_amx_config hl_amx_whole;

/* This thread may use tiles from now on, which are all zero; hl_amx_release when it is done, so that the system need
 * not keep them. registers: the emulated ones; NULL: the processor's. */
void hl_amx_configure(struct hl_amx_registers *registers, const struct hl_amx_config *config);
void hl_amx_release(struct hl_amx_registers *registers);

/* The emulation. What a processor would stop at (tiles whose sizes do not fit each other) spoils the sums: all bits
 * set, which is NaN. */
void hl_amx_zero(struct hl_amx_registers *registers, int tile);
void hl_amx_load(struct hl_amx_registers *registers, int tile, const void *from, int64_t stride);
void hl_amx_store(const struct hl_amx_registers *registers, int tile, void *to, int64_t stride);
/* c[m][n] += a[m][2 k] b[k][2 n] + a[m][2 k + 1] b[k][2 n + 1] over all k: even and odd products are summed by
 * themselves in float32, denormal numbers are zero, and both sums are added to c. */
void hl_amx_multiply_bf16(struct hl_amx_registers *registers, int c, int a, int b);
/* c[m][n] += sum of four a[m][4 k + i] b[k][4 n + i], over all k; a unsigned, b signed, c int32 that wraps. */
void hl_amx_multiply_u8(struct hl_amx_registers *registers, int c, int a, int b);

#define HL_AMX_ZERO(real, registers, tile)                                                                             \
	do {                                                                                                           \
		if (real)                                                                                              \
			__asm__ volatile("tilezero %%tmm" #tile ::);                                                   \
		else                                                                                                   \
			hl_amx_zero(registers, tile);                                                                  \
	} while (0)
/* Rows lie stride bytes apart. */
#define HL_AMX_LOAD(real, registers, tile, from, stride)                                                               \
	do {                                                                                                           \
		if (real)                                                                                              \
			__asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(from), "r"((int64_t)(stride))        \
			                 : "memory");                                                                  \
		else                                                                                                   \
			hl_amx_load(registers, tile, from, stride);                                                    \
	} while (0)
#define HL_AMX_STORE(real, registers, tile, to, stride)                                                                \
	do {                                                                                                           \
		if (real)                                                                                              \
			__asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(to), "r"((int64_t)(stride))      \
			                 : "memory");                                                                  \
		else                                                                                                   \
			hl_amx_store(registers, tile, to, stride);                                                     \
	} while (0)
#define HL_AMX_MULTIPLY_BF16(real, registers, c, a, b)                                                                 \
	do {                                                                                                           \
		if (real)                                                                                              \
			__asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::);                           \
		else                                                                                                   \
			hl_amx_multiply_bf16(registers, c, a, b);                                                      \
	} while (0)
#define HL_AMX_MULTIPLY_U8(real, registers, c, a, b)                                                                   \
	do {                                                                                                           \
		if (real)                                                                                              \
			__asm__ volatile("tdpbusd %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::);                             \
		else                                                                                                   \
			hl_amx_multiply_u8(registers, c, a, b);                                                        \
	} while (0)
#endif
