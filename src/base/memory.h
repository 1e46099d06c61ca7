/* Memory: every size is checked for overflow; tests can make any allocation fail. */
#ifndef HL_BASE_MEMORY_H
#define HL_BASE_MEMORY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* count * size zeroed bytes, or NULL when that overflows or the system has none. Freed by hl_free. */
void *hl_alloc(size_t count, size_t size);
/* Grows (or shrinks) to count * size bytes, contents kept, new bytes not zeroed. On failure NULL, and old stays valid.
 */
void *hl_realloc(void *old, size_t count, size_t size);
void hl_free(void *pointer);
char *hl_strdup(const char *text);
/* printf into a new string, or NULL. */
char *hl_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Large zeroed blocks for tensors: 64-byte aligned, huge pages advised. bytes is rounded up inside. Freed by
 * hl_block_free with the same size. */
void *hl_block_alloc(size_t bytes);
void hl_block_free(void *block, size_t bytes);

bool hl_mul_size(size_t a, size_t b, size_t *out); /* false on overflow */
bool hl_add_size(size_t a, size_t b, size_t *out);

/* Fault injection for tests: after countdown more allocations in this process the next one fails (0: the very next),
 * once; negative: none fails.
 */
void hl_memory_fail_after(int64_t countdown);
/* Allocations attempted so far; with it a test fails each one in turn. */
int64_t hl_memory_count(void);
#endif
