/* Memory: checked sizes, and allocations that a test can make fail. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK_ALIGNMENT ((size_t)64)
#define HUGE_PAGE ((size_t)2 << 20)

static atomic_llong attempts;
static atomic_llong fail_at = -1; /* the attempt that fails; negative: none */

static bool refused(void)
{
	long long number = atomic_fetch_add(&attempts, 1);
	return number == atomic_load(&fail_at);
}

void hl_memory_fail_after(int64_t countdown)
{
	atomic_store(&fail_at, countdown < 0 ? -1 : atomic_load(&attempts) + countdown);
}

int64_t hl_memory_count(void)
{
	return atomic_load(&attempts);
}

bool hl_mul_size(size_t a, size_t b, size_t *out)
{
	size_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*out = product;
	return true;
}

bool hl_add_size(size_t a, size_t b, size_t *out)
{
	size_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*out = sum;
	return true;
}

/* Files and volumes: 17 MB are four thousand page faults, or nine. Only advice. */
static void advise(void *block, size_t bytes)
{
	uintptr_t start = ((uintptr_t)block + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
	uintptr_t end = ((uintptr_t)block + bytes) & ~(uintptr_t)(HUGE_PAGE - 1);

	if (end > start)
		(void)madvise((char *)block + (start - (uintptr_t)block), end - start, MADV_HUGEPAGE);
}

void *hl_alloc(size_t count, size_t size)
{
	size_t bytes;
	void *block;

	if (refused() || !hl_mul_size(count, size, &bytes) || bytes > PTRDIFF_MAX)
		return NULL;
	block = calloc(1, bytes > 0 ? bytes : 1);
	if (block && bytes >= 2 * HUGE_PAGE)
		advise(block, bytes);
	return block;
}

void *hl_realloc(void *old, size_t count, size_t size)
{
	size_t bytes;

	if (refused() || !hl_mul_size(count, size, &bytes) || bytes > PTRDIFF_MAX)
		return NULL;
	return realloc(old, bytes > 0 ? bytes : 1);
}

void hl_free(void *pointer)
{
	free(pointer);
}

char *hl_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = hl_alloc(size, 1);

	if (copy)
		memcpy(copy, text, size);
	return copy;
}

char *hl_format(const char *format, ...)
{
	va_list arguments;
	char *text;
	int length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0)
		return NULL;
	text = hl_alloc((size_t)length + 1, 1);
	if (!text)
		return NULL;
	va_start(arguments, format);
	vsnprintf(text, (size_t)length + 1, format, arguments);
	va_end(arguments);
	return text;
}

/* Blocks of a huge page and more come straight from the kernel: zeroed without being touched, and given back when
 * freed. Under AddressSanitizer all come from malloc, which sees what runs over the end. */
static bool is_mapped(size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
	(void)bytes;
	return false;
#else
	return bytes >= HUGE_PAGE;
#endif
}

static void *map_aligned(size_t bytes)
{
	size_t padded;
	uintptr_t start, aligned;
	void *whole;

	if (!hl_add_size(bytes, HUGE_PAGE, &padded))
		return NULL;
	whole = mmap(NULL, padded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (whole == MAP_FAILED)
		return NULL;
	start = (uintptr_t)whole;
	aligned = (start + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
	if (aligned > start)
		munmap(whole, aligned - start);
	if (aligned - start < HUGE_PAGE)
		munmap((char *)whole + (aligned - start) + bytes, HUGE_PAGE - (aligned - start));
	/* Only advice: without huge pages the block is as good. */
	(void)madvise((char *)whole + (aligned - start), bytes, MADV_HUGEPAGE);
	return (char *)whole + (aligned - start);
}

static bool block_size(size_t bytes, size_t *out)
{
	size_t unit = is_mapped(bytes) ? (size_t)4096 : BLOCK_ALIGNMENT;
	size_t padded;

	if (bytes == 0)
		bytes = 1;
	if (!hl_add_size(bytes, unit - 1, &padded) || padded > PTRDIFF_MAX)
		return false;
	*out = padded & ~(unit - 1);
	return true;
}

void *hl_block_alloc(size_t bytes)
{
	size_t padded;
	void *block;

	if (refused() || !block_size(bytes, &padded))
		return NULL;
	if (is_mapped(bytes))
		return map_aligned(padded);
	block = aligned_alloc(BLOCK_ALIGNMENT, padded);
	if (block)
		memset(block, 0, padded);
	return block;
}

void hl_block_free(void *block, size_t bytes)
{
	size_t padded;

	if (!block)
		return;
	if (!is_mapped(bytes))
		free(block);
	else if (block_size(bytes, &padded))
		munmap(block, padded);
}
