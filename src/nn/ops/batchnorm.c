/* Ioffe & Szegedy, "Batch normalization", ICML 2015. Normalises by the biased variance and keeps the unbiased one, as
 * PyTorch does. */
#include <math.h>
#include <string.h>

#include "nn/ops/common.h"

enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR };

static const struct hilum_option options[] = {{.name = "eps",
                                               .kind = HILUM_OPTION_REAL,
                                               .offset = offsetof(struct hl_batchnorm_options, eps),
                                               .minimum = 1e-12,
                                               .maximum = 1,
                                               .initial = "1e-5",
                                               .value = "X",
                                               .help = "Added to the variance"},
                                              {.name = "momentum",
                                               .kind = HILUM_OPTION_REAL,
                                               .offset = offsetof(struct hl_batchnorm_options, momentum),
                                               .minimum = 0,
                                               .maximum = 1,
                                               .initial = "0.1",
                                               .value = "X",
                                               .help = "Share of each batch in the running statistics"},
                                              {.name = NULL}};

static enum hilum_status infer(const void *settings, struct hl_infer *infer, struct hilum_error *error)
{
	static const struct {
		const char *name;
		enum hl_init_kind init;
		bool trained;
	} params[] = {[WEIGHT] = {"weight", HL_INIT_ONE, true},
	              [BIAS] = {"bias", HL_INIT_ZERO, true},
	              [RUNNING_MEAN] = {"running_mean", HL_INIT_ZERO, false},
	              [RUNNING_VAR] = {"running_var", HL_INIT_ONE, false}};
	enum hilum_status status = hl_infer_begin(infer, error);
	int64_t channels = infer->in[0].c;
	(void)settings;
	for (int i = 0; i < 4 && !status; i++)
		status = hl_infer_param(infer,
		                        (struct hl_param_spec){.name = params[i].name,
		                                               .rank = 1,
		                                               .dims = {channels},
		                                               .init = params[i].init,
		                                               .trained = params[i].trained},
		                        error);
	if (status)
		return status;
	infer->saved = 2 * (size_t)channels * sizeof(float);
	infer->scratch = 3 * (size_t)channels * sizeof(double);
	return hl_infer_end(infer, infer->in[0], error);
}

/* Mean and biased variance of each channel, in two passes, because E[x^2] - E[x]^2 cancels. */
static void statistics(const float *in, int64_t rows, int64_t channels, double *mean, double *variance)
{
	memset(mean, 0, (size_t)channels * sizeof(*mean));
	memset(variance, 0, (size_t)channels * sizeof(*variance));
	for (int64_t row = 0; row < rows; row++)
		for (int64_t c = 0; c < channels; c++)
			mean[c] += in[row * channels + c];
	for (int64_t c = 0; c < channels; c++)
		mean[c] /= (double)rows;
	for (int64_t row = 0; row < rows; row++)
		for (int64_t c = 0; c < channels; c++) {
			double apart = in[row * channels + c] - mean[c];
			variance[c] += apart * apart;
		}
	for (int64_t c = 0; c < channels; c++)
		variance[c] /= (double)rows;
}

static void update_running(const struct hl_call *call, int64_t rows, const double *mean, const double *variance)
{
	const struct hl_batchnorm_options *norm = call->options;
	double unbiased = rows > 1 ? (double)rows / (double)(rows - 1) : 1, share = norm->momentum;
	float *running_mean = call->param[RUNNING_MEAN], *running_var = call->param[RUNNING_VAR];
	for (int64_t c = 0; c < call->shapes->out.c; c++) {
		running_mean[c] = (float)((1 - share) * running_mean[c] + share * mean[c]);
		running_var[c] = (float)((1 - share) * running_var[c] + share * unbiased * variance[c]);
	}
}

static void forward(const struct hl_call *call)
{
	const struct hl_batchnorm_options *norm = call->options;
	int64_t channels = call->shapes->out.c, rows = hl_shape_count(call->shapes->out) / channels;
	const float *in = call->in[0]->data, *weight = call->param[WEIGHT], *bias = call->param[BIAS];
	float *out = call->out->data, *saved = call->saved;
	double *mean = call->scratch, *variance = mean + channels;
	if (call->training) {
		statistics(in, rows, channels, mean, variance);
		update_running(call, rows, mean, variance);
	} else {
		for (int64_t c = 0; c < channels; c++) {
			mean[c] = call->param[RUNNING_MEAN][c];
			variance[c] = call->param[RUNNING_VAR][c];
		}
	}
	double *inverse = variance;
	for (int64_t c = 0; c < channels; c++) {
		inverse[c] = 1 / sqrt(variance[c] + norm->eps);
		if (saved) {
			saved[c] = (float)mean[c];
			saved[channels + c] = (float)inverse[c];
		}
	}
	for (int64_t row = 0; row < rows; row++)
		for (int64_t c = 0; c < channels; c++) {
			int64_t i = row * channels + c;
			out[i] = (float)((in[i] - mean[c]) * inverse[c] * weight[c] + bias[c]);
		}
}

static void backward(const struct hl_call *call)
{
	int64_t channels = call->shapes->out.c, rows = hl_shape_count(call->shapes->out) / channels;
	const float *in = call->in[0]->data, *dout = call->dout->data, *weight = call->param[WEIGHT];
	const float *mean = call->saved, *inverse = mean + channels;
	double *sum = call->scratch, *product = sum + channels;
	memset(sum, 0, 2 * (size_t)channels * sizeof(*sum));
	for (int64_t row = 0; row < rows; row++)
		for (int64_t c = 0; c < channels; c++) {
			int64_t i = row * channels + c;
			sum[c] += dout[i];
			product[c] += (double)dout[i] * (in[i] - mean[c]) * inverse[c];
		}
	for (int64_t c = 0; c < channels; c++) {
		if (call->dparam[WEIGHT])
			call->dparam[WEIGHT][c] = (float)product[c];
		if (call->dparam[BIAS])
			call->dparam[BIAS][c] = (float)sum[c];
		/* Mean and variance depend on the input only when they are the batch's own. */
		sum[c] = call->training ? sum[c] / (double)rows : 0;
		product[c] = call->training ? product[c] / (double)rows : 0;
	}
	if (!call->din[0])
		return;
	float *din = call->din[0]->data;
	for (int64_t row = 0; row < rows; row++)
		for (int64_t c = 0; c < channels; c++) {
			int64_t i = row * channels + c;
			double normal = ((double)in[i] - mean[c]) * inverse[c];
			din[i] = (float)((dout[i] - sum[c] - normal * product[c]) * inverse[c] * weight[c]);
		}
}

const struct hl_op hl_op_batchnorm = {
    .name = "batchnorm",
    .onnx = "BatchNormalization",
    .help = "Gives each channel a learnt mean and spread",
    .options = options,
    .options_size = sizeof(struct hl_batchnorm_options),
    .inputs_min = 1,
    .inputs_max = 1,
    .keeps_input = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .samples = (const char *const[]){"2x1x5x7x3", "3x2x3x3x5 eps=0.001 momentum=0.3", "3x1x1x1x11", "1x1x4x5x16",
                                     "1x1x9x3x37 momentum=1", "2x1x31x29x6", NULL},
};
