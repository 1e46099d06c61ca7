/* Dense layers on oneDNN's matrix product, with weights and their gradient used as they lie.
 *
 * Given several threads, the product divides long sums among them and the result would depend on how many there are.
 * So the work is cut here, into blocks fixed by the shapes, and each block is one thread's: the product is told so
 * by the number of threads that a block's thread would start in turn, which is set to one around the loops. */
#include "base/memory.h"
#include "nn/backends/onednn.h"
#include <omp.h>
#include <string.h>

#define UNITS 16    /* outputs a block, forward */
#define INPUTS 1024 /* inputs a block, backward */

struct dense {
	struct hl_primitive primitive;
	int32_t threads;
	bool bias;
	int64_t batch, inputs, units;
};

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* A product that failed (for want of memory) leaves NaN rather than a wrong number. */
static void spoil(float *matrix, int64_t rows, int64_t columns, int64_t stride)
{
	for (int64_t row = 0; row < rows; row++)
		memset(matrix + row * stride, 0xff, (size_t)columns * sizeof *matrix);
}

/* out[n][o] = bias[o] + sum over i of in[n][i] weight[o][i] */
static void forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct dense *dense = (const struct dense *)primitive;
	const float *in = call->in[0]->data, *weight = call->param[0], *bias = dense->bias ? call->param[1] : NULL;
	int64_t inputs = dense->inputs, units = dense->units, blocks = (units + UNITS - 1) / UNITS;
	int before = omp_get_max_threads();

	omp_set_num_threads(1);
#pragma omp parallel for schedule(static) num_threads(dense->threads)
	for (int64_t block = 0; block < blocks; block++) {
		int64_t o = block * UNITS, count = least(UNITS, units - o);
		float *out = (float *)call->out->data + o;
		for (int64_t n = 0; n < dense->batch; n++)
			for (int64_t k = 0; k < count; k++)
				out[n * units + k] = bias ? bias[o + k] : 0.0F;
		if (dnnl_sgemm('N', 'T', dense->batch, count, inputs, 1.0F, in, inputs, weight + o * inputs, inputs,
		               1.0F, out, units))
			spoil(out, dense->batch, count, units);
	}
	omp_set_num_threads(before);
}

/* din[n][i] = sum over o of dout[n][o] weight[o][i]; dweight[o][i] = sum over n of dout[n][o] in[n][i] */
static void backward_block(const struct dense *dense, const struct hl_call *call, int64_t block)
{
	int64_t inputs = dense->inputs, units = dense->units, batch = dense->batch;
	int64_t i = block * INPUTS, count = least(INPUTS, inputs - i);
	const float *in = call->in[0]->data, *dout = call->dout->data;

	if (call->din[0]) {
		float *din = (float *)call->din[0]->data + i;
		if (dnnl_sgemm('N', 'N', batch, count, units, 1.0F, dout, units, call->param[0] + i, inputs, 0.0F, din,
		               inputs))
			spoil(din, batch, count, inputs);
	}
	if (call->dparam[0]) {
		float *dweight = call->dparam[0] + i;
		if (dnnl_sgemm('T', 'N', units, count, batch, 1.0F, dout, units, in + i, inputs, 0.0F, dweight, inputs))
			spoil(dweight, units, count, inputs);
	}
}

static void backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	const struct dense *dense = (const struct dense *)primitive;
	const float *dout = call->dout->data;
	int64_t blocks = (dense->inputs + INPUTS - 1) / INPUTS;
	int before = omp_get_max_threads();

	omp_set_num_threads(1);
#pragma omp parallel for schedule(static) num_threads(dense->threads)
	for (int64_t block = 0; block < blocks; block++)
		backward_block(dense, call, block);
	omp_set_num_threads(before);
	if (!dense->bias || !call->dparam[1])
		return;
	for (int64_t o = 0; o < dense->units; o++) {
		double sum = 0.0;
		for (int64_t n = 0; n < dense->batch; n++)
			sum += (double)dout[n * dense->units + o];
		call->dparam[1][o] = (float)sum;
	}
}

static void destroy(struct hl_primitive *primitive)
{
	hl_free(primitive);
}

enum hilum_status hl_onednn_dense(const struct hl_compile *request, struct hl_primitive **out,
                                  struct hilum_error *error)
{
	struct dense *dense;

	if (request->type == HL_BF16)
		return hl_widen(request, &hl_backend_onednn, out, error);
	dense = hl_alloc(1, sizeof *dense);
	if (!dense)
		return hl_fail_memory(error, sizeof *dense, "a dense layer");
	*dense = (struct dense){
	    .primitive = {.backend = hl_backend_onednn.name,
	                  .forward = forward,
	                  .backward = backward,
	                  .destroy = destroy},
	    .threads = request->threads > 0 ? request->threads : 1,
	    .bias = request->shapes->params > 1,
	    .batch = request->shapes->in[0].n,
	    .inputs = request->shapes->in[0].c,
	    .units = request->shapes->out.c,
	};
	*out = &dense->primitive;
	return HILUM_OK;
}
