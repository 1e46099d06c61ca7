/* Option structures that back ends read too. Sizes given as one number cover every spatial axis of the net; resolved by
 * hl_axes into d, h, w (d = 1 or 0 in 2-D). */
#ifndef HL_NN_OPS_OPTIONS_H
#define HL_NN_OPS_OPTIONS_H
#include "nn/op.h"

struct hl_axes {
	int64_t d, h, w;
};

/* count 1: the same for each axis; 2: H x W; 3: D x H x W; 0: fallback for every axis. In 2-D, d is flat (1 for sizes,
 * strides and dilations, 0 for padding) unless three sizes are given. */
struct hl_axes hl_axes_get(const struct hilum_sizes *sizes, int spatial, int64_t fallback, int64_t flat);

struct hl_conv_options {
	int64_t filters;
	struct hilum_sizes size, stride, pad, dilation;
	int64_t groups;
	bool bias; /* default true */
};

struct hl_pool_options {                      /* maxpool, avgpool */
	struct hilum_sizes size, stride, pad; /* stride defaults to size; the average leaves padding out */
};

struct hl_globalpool_options {
	int mode; /* enum hl_globalpool_mode */
};
enum hl_globalpool_mode { HL_GLOBALPOOL_AVG, HL_GLOBALPOOL_MAX };

struct hl_dense_options {
	int64_t units;
	bool bias;
};

struct hl_batchnorm_options {
	double eps;      /* 1e-5 */
	double momentum; /* of the running statistics, 0.1; running variance is the unbiased one, as PyTorch's */
};
/* batchnorm's parameters: weight, bias, running_mean, running_var; its saved block: float mean[c], inverse_std[c]. */

struct hl_leakyrelu_options {
	double slope;
};

/* Element i of the output is zero where word i of the stream is below rate * 2^32; the others grow by 1 / (1 - rate).
 */
struct hl_dropout_options {
	double rate;
};

struct hl_pad_options {
	struct hilum_sizes pad; /* zeros on both sides of each axis */
};
#endif
