/* The weight gradient of a convolution for processors with AVX2 but no AVX-512. There oneDNN's takes twice as long on
 * channels-last data, and on its own formats sums in an order that depends on threads. GFLOP/s of one Zen 3 core, 3x3
 * (oneDNN channels-last; blocked with its reorders): 32 to 64 channels, 128x128: 64 (37; 65), 64 to 128, 64x64: 70 (47;
 * 68), 1 to 32, 256x256: 13 (9; 5), 3 to 32: 31 (11; 27).
 *
 * dW[o][i][tap] = sum over output places p of dy[p][o] x[p stride + tap][i]: for each tap a product of two matrices
 * that share the long side p. Both are repacked, a few images at a time, so that a tile of 16 o by up to 6 i stays in
 * registers over many places. Tiles are independent of each other, so the result does not depend on threads. */
#ifndef HL_NN_BACKENDS_WEIGHT_GRADIENT_H
#define HL_NN_BACKENDS_WEIGHT_GRADIENT_H
#include "nn/ops/common.h"

struct hl_wgrad {
	struct hl_shape in, out;
	struct hl_window window;
	enum hl_type type;
	int32_t threads;
	/* set by hl_wgrad_plan */
	bool joint;     /* few channels: the taps of a row and the channels are one run of neighbouring floats */
	int64_t step;   /* floats from one place to the next in packed input */
	int64_t blocks; /* of input channels */
	int64_t images; /* a chunk */
	int64_t shards; /* of rows, where there are few tiles */
	int64_t tiles;  /* for one block of outputs */
	size_t scratch;
};

/* Fills the rest; false where this machine or these sizes are not for it. */
bool hl_wgrad_plan(struct hl_wgrad *gradient);
/* dweight as (O, I, D, H, W); dbias NULL or O floats. */
void hl_wgrad_run(const struct hl_wgrad *gradient, const void *in, const void *dout, float *dweight, float *dbias,
                  void *scratch);
#endif
