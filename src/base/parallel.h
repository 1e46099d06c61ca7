/* The same thing for many items, on several threads. */
#ifndef HL_BASE_PARALLEL_H
#define HL_BASE_PARALLEL_H
#include <stdint.h>

/* Calls run(context, i) for each i from 0 to count - 1, in no certain order, on at most threads threads of which the
 * caller is one; 0: as many as there are cores. Returns when all are done. Fewer threads than asked for are no failure.
 */
void hl_parallel(int32_t count, int32_t threads, void (*run)(void *context, int32_t index), void *context);
#endif
