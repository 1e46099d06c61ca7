/* The inner loops of dense layers on AVX-512: avx512_dense.c cuts the work up, avx512_dense_kernel.c does it. */
#ifndef HL_NN_BACKENDS_AVX512_DENSE_H
#define HL_NN_BACKENDS_AVX512_DENSE_H
#include "nn/tensor.h"

#define HL_DENSE_LANES 16
#define HL_DENSE_UNITS 4   /* outputs of a forward tile */
#define HL_DENSE_SAMPLES 6 /* samples of a forward tile at most */
#define HL_DENSE_ROWS 8    /* outputs that the backward loop takes at once */

/* out[n * out_step + k] += sum over count i of x[n][i] weight[k][i], for samples n and the first wanted of
 * HL_DENSE_UNITS rows k, which are all read. Rows of x and weight lie so many bytes apart; both are floats, or bfloat16
 * where half is set. */
struct hl_dense_tile {
	bool half;
	const void *x, *weight;
	int64_t x_bytes, row;
	int64_t ahead, rows_ahead; /* so many rows are fetched, the first ahead of weight by so many bytes */
	int64_t samples, wanted, count;
	float *out;
	int64_t out_step;
};
void hl_dense_forward(const struct hl_dense_tile *tile);

/* One group of rows of weights by count inputs, for all samples. x and din: vector of inputs, sample, lane. */
struct hl_dense_group {
	const float *x;      /* NULL: dweight is not wanted */
	float *din;          /* NULL: not wanted */
	const float *dout;   /* sample, HL_DENSE_ROWS */
	const float *weight; /* row 0; the next rows follow at row floats */
	float *dweight;      /* likewise */
	int64_t samples, rows, row, count;
	bool first; /* din begins here */
};
void hl_dense_backward(const struct hl_dense_group *group);

/* count elements of a type as floats, each vector of LANES step floats after the one before; the last is filled up
 * with zeros. */
void hl_dense_widen(const void *in, enum hl_type type, int64_t count, float *out, int64_t step);
/* And back. */
void hl_dense_narrow(const float *in, int64_t step, int64_t count, void *out, enum hl_type type);
#endif
