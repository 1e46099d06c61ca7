/* Hashes: SHA-256 (nettle) for files and provenance; a fast 64-bit hash (FNV-1a over
 * little-endian 64-bit words, folded after each, then over the bytes left) for weights. */
#ifndef HL_BASE_HASH_H
#define HL_BASE_HASH_H
#include <stddef.h>
#include <stdint.h>

struct hl_sha256 {
	char hex[65];
};
struct hl_sha256 hl_sha256(const void *data, size_t length);

/* Start from HL_HASH_START and feed block after block; how the bytes are cut into blocks counts unless each block but
 * the last is a multiple of 8 bytes. */
#define HL_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t hl_hash64(uint64_t hash, const void *data, size_t length);
#endif
