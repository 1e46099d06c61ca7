/* Errors: set once where they happen, prefixed on the way up with the path or name concerned. */
#ifndef HL_BASE_ERROR_H
#define HL_BASE_ERROR_H
#include "hilum/hilum.h"

/* Sets error (may be NULL) and returns code, so that a caller writes: return hl_fail(error, HILUM_ERROR_IO, "..."). */
enum hilum_status hl_fail(struct hilum_error *error, enum hilum_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " before the message and returns the code it holds. */
enum hilum_status hl_prefix(struct hilum_error *error, enum hilum_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "out of memory (N bytes for WHAT)". */
enum hilum_status hl_fail_memory(struct hilum_error *error, size_t bytes, const char *what);

/* "WHAT: strerror". Uses errno. */
enum hilum_status hl_fail_errno(struct hilum_error *error, const char *what);

/* The static analyser reads one file at a time: told that none of these answers HILUM_OK, it does not follow paths on
 * which a failure looks like success. */
#ifdef __clang_analyzer__
#define hl_fail(error, code, ...) ((hl_fail)(error, code, __VA_ARGS__), code)
#define hl_prefix(error, code, ...) ((hl_prefix)(error, code, __VA_ARGS__), code)
#define hl_fail_memory(error, bytes, what) ((hl_fail_memory)(error, bytes, what), HILUM_ERROR_MEMORY)
#define hl_fail_errno(error, what) ((hl_fail_errno)(error, what), HILUM_ERROR_IO)
#endif
#endif
