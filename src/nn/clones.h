/* Loops that the compiler vectorises once per instruction set, of which the loader picks one. */
#ifndef HL_NN_CLONES_H
#define HL_NN_CLONES_H

/* On functions that hold a hot loop and no OpenMP pragma (outlined regions are not cloned). Clang 14 has no clones that
 * are not inlined, and ThreadSanitizer's runtime is not up yet when the loader picks one. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
#define HL_VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), noinline))
#else
#define HL_VECTOR_CLONES __attribute__((noinline))
#endif
#define HL_VECTOR_INLINE static inline __attribute__((always_inline))
#endif
