#include <inttypes.h>

#include "nn/ops/common.h"

static const struct hilum_option options[] = {{.name = "units",
                                               .kind = HILUM_OPTION_INT,
                                               .offset = offsetof(struct hl_dense_options, units),
                                               .minimum = 1,
                                               .maximum = 1048576,
                                               .value = "N",
                                               .help = "Outputs; must be given"},
                                              {.name = "bias",
                                               .kind = HILUM_OPTION_FLAG,
                                               .offset = offsetof(struct hl_dense_options, bias),
                                               .initial = "true",
                                               .help = "Adds a learnt constant to each output"},
                                              {.name = NULL}};

static enum hilum_status infer(const void *settings, struct hl_infer *infer, struct hilum_error *error)
{
	const struct hl_dense_options *dense = settings;
	struct hl_shape in = infer->in[0];
	enum hilum_status status = hl_infer_begin(infer, error);
	if (status)
		return status;
	if (dense->units < 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "units: must be given, 1 or more");
	if (in.d > 1 || in.h > 1 || in.w > 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT,
		               "input of depth %" PRId64 ", height %" PRId64 ", width %" PRId64
		               ": put flatten or globalpool before dense",
		               in.d, in.h, in.w);
	status = hl_infer_param(infer,
	                        (struct hl_param_spec){.name = "weight",
	                                               .rank = 2,
	                                               .dims = {dense->units, in.c},
	                                               .init = HL_INIT_KAIMING_UNIFORM,
	                                               .fan_in = in.c,
	                                               .trained = true,
	                                               .decay = true},
	                        error);
	if (!status && dense->bias)
		status = hl_infer_param(infer,
		                        (struct hl_param_spec){.name = "bias",
		                                               .rank = 1,
		                                               .dims = {dense->units},
		                                               .init = HL_INIT_KAIMING_UNIFORM,
		                                               .fan_in = in.c,
		                                               .trained = true},
		                        error);
	infer->scratch = (size_t)in.c * sizeof(double);
	return status ? status : hl_infer_end(infer, (struct hl_shape){in.n, 1, 1, 1, dense->units}, error);
}

static void forward(const struct hl_call *call)
{
	int64_t inputs = call->shapes->in[0].c, units = call->shapes->out.c;
	const float *weight = call->param[0], *bias = call->shapes->params > 1 ? call->param[1] : NULL;
	const float *in = call->in[0]->data;
	float *out = call->out->data;
	for (int64_t n = 0; n < call->shapes->out.n; n++, in += inputs, out += units)
		for (int64_t o = 0; o < units; o++) {
			double sum = bias ? bias[o] : 0;
			for (int64_t i = 0; i < inputs; i++)
				sum += (double)weight[o * inputs + i] * in[i];
			out[o] = (float)sum;
		}
}

static void backward_input(const struct hl_call *call)
{
	int64_t inputs = call->shapes->in[0].c, units = call->shapes->out.c;
	const float *weight = call->param[0], *dout = call->dout->data;
	float *din = call->din[0]->data;
	double *sum = call->scratch;
	for (int64_t n = 0; n < call->shapes->out.n; n++, din += inputs, dout += units) {
		for (int64_t i = 0; i < inputs; i++)
			sum[i] = 0;
		for (int64_t o = 0; o < units; o++)
			for (int64_t i = 0; i < inputs; i++)
				sum[i] += (double)weight[o * inputs + i] * dout[o];
		for (int64_t i = 0; i < inputs; i++)
			din[i] = (float)sum[i];
	}
}

static void backward_weight(const struct hl_call *call)
{
	int64_t batch = call->shapes->out.n, inputs = call->shapes->in[0].c, units = call->shapes->out.c;
	const float *in = call->in[0]->data, *dout = call->dout->data;
	double *sum = call->scratch;
	for (int64_t o = 0; o < units; o++) {
		for (int64_t i = 0; i < inputs; i++)
			sum[i] = 0;
		for (int64_t n = 0; n < batch; n++)
			for (int64_t i = 0; i < inputs; i++)
				sum[i] += (double)dout[n * units + o] * in[n * inputs + i];
		for (int64_t i = 0; i < inputs; i++)
			call->dparam[0][o * inputs + i] = (float)sum[i];
	}
}

static void backward(const struct hl_call *call)
{
	int64_t units = call->shapes->out.c;
	const float *dout = call->dout->data;
	if (call->din[0])
		backward_input(call);
	if (call->dparam[0])
		backward_weight(call);
	if (call->shapes->params > 1 && call->dparam[1])
		for (int64_t o = 0; o < units; o++) {
			double sum = 0;
			for (int64_t n = 0; n < call->shapes->out.n; n++)
				sum += dout[n * units + o];
			call->dparam[1][o] = (float)sum;
		}
}

const struct hl_op hl_op_dense = {
    .name = "dense",
    .onnx = "Gemm",
    .help = "Every output a weighted sum of all inputs",
    .options = options,
    .options_size = sizeof(struct hl_dense_options),
    .inputs_min = 1,
    .inputs_max = 1,
    .keeps_input = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .samples = (const char *const[]){"3x1x1x1x7 units=5", "1x1x1x1x1 units=1", "2x1x1x1x13 units=3 bias=false",
                                     "1x1x1x1x33 units=16", "3x1x1x1x64 units=1", "19x1x1x1x7 units=17", NULL},
};
