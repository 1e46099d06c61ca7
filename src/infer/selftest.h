/* A small test of a back end on this machine: every op's samples against the reference. */
#ifndef HL_INFER_SELFTEST_H
#define HL_INFER_SELFTEST_H
#include "nn/backend.h"

struct hl_selftest {
	const char *backend;
	int32_t ran, unsupported; /* samples, counted once a type */
	double worst[2];          /* per enum hl_type: largest difference by the largest value of that tensor */
	char where[2][96];        /* "conv 2x1x6x6x3 size=3: gradient of input 1" */
	bool agrees;
};

/* float32 forward and backward within 1e-4, bf16 forward within 2e-2 of the reference at the same precision. Fails only
 * when the test could not be made. */
enum hilum_status hl_selftest_run(const struct hl_backend *backend, struct hl_selftest *out, struct hilum_error *error);
#endif
