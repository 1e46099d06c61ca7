/* Hashes for provenance (SHA-256) and for weights (64 bits). */
#include "base/hash.h"

#include <endian.h>
#include <nettle/sha2.h>
#include <string.h>

struct hl_sha256 hl_sha256(const void *data, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	struct sha256_ctx context;
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct hl_sha256 out;

	sha256_init(&context);
	if (length > 0)
		sha256_update(&context, length, data);
	sha256_digest(&context, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++) {
		out.hex[2 * i] = digits[digest[i] >> 4];
		out.hex[2 * i + 1] = digits[digest[i] & 15];
	}
	out.hex[64] = '\0';
	return out;
}

/* A product carries bits upwards only: without the fold two flipped sign bits would cancel. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x100000001b3);
	return hash ^ hash >> 29;
}

uint64_t hl_hash64(uint64_t hash, const void *data, size_t length)
{
	const uint8_t *bytes = data;
	size_t i = 0;

	for (; length - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		uint64_t word;
		memcpy(&word, bytes + i, sizeof(word));
		hash = mix(hash, le64toh(word));
	}
	for (; i < length; i++)
		hash = mix(hash, bytes[i]);
	return hash;
}
