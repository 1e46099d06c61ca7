#include "base/memory.h"
#include "nn/backends/onednn.h"
#include "nn/ops/options.h"
#include <math.h>
#include <string.h>

bool hl_onednn_chain_read(const struct hl_compile *request, struct hl_onednn_chain *chain)
{
	int32_t at = 0;

	if (at < request->links && strcmp(request->link[at].op->name, "batchnorm") == 0)
		chain->norm = request->link[at++].options;
	if (at < request->links && strcmp(request->link[at].op->name, "add") == 0) {
		chain->adds = true;
		at++;
	}
	if (at < request->links && strcmp(request->link[at].op->name, "relu") == 0) {
		chain->bends = true;
		at++;
	} else if (at < request->links && strcmp(request->link[at].op->name, "leakyrelu") == 0) {
		const struct hl_leakyrelu_options *options = request->link[at].options;
		chain->bends = true;
		chain->slope = (float)options->slope;
		at++;
	}
	return at == request->links && !(at > 0 && request->training);
}

dnnl_status_t hl_onednn_chain_attributes(const struct hl_onednn_chain *chain, dnnl_primitive_attr_t attributes)
{
	dnnl_post_ops_t post = NULL;
	dnnl_status_t status;

	if (!chain->adds && !chain->bends)
		return dnnl_success;
	status = dnnl_post_ops_create(&post);
	if (!status && chain->adds)
		status = dnnl_post_ops_append_sum(post, 1.0F);
	if (!status && chain->bends)
		status = dnnl_post_ops_append_eltwise(post, 1.0F, dnnl_eltwise_relu, chain->slope, 0.0F);
	if (!status)
		status = dnnl_primitive_attr_set_post_ops(attributes, post);
	dnnl_post_ops_destroy(post);
	return status;
}

static size_t folded_bytes(const struct hl_onednn_chain *chain)
{
	return (size_t)(chain->count + chain->units) * sizeof(float);
}

bool hl_onednn_chain_reserve(struct hl_onednn_chain *chain, int64_t count, int64_t units)
{
	if (!chain->norm)
		return true;
	chain->count = count;
	chain->units = units;
	chain->weights = hl_block_alloc(folded_bytes(chain));
	if (!chain->weights)
		return false;
	chain->bias = chain->weights + count;
	return true;
}

/* s (conv + b - mean) + shift, with s = scale / deviation, is a convolution with s times the weights. */
const float *hl_onednn_chain_fold(const struct hl_onednn_chain *chain, float *const *param, bool biased)
{
	float *const *norm = param + (biased ? 2 : 1);
	int64_t taps = chain->count / chain->units;

	for (int64_t o = 0; o < chain->units; o++) {
		double scale = (double)norm[0][o] / sqrt((double)norm[3][o] + chain->norm->eps);
		double bias = biased ? (double)param[1][o] : 0.0;
		for (int64_t k = o * taps; k < (o + 1) * taps; k++)
			chain->weights[k] = (float)(scale * (double)param[0][k]);
		chain->bias[o] = (float)((bias - (double)norm[2][o]) * scale + (double)norm[1][o]);
	}
	return chain->weights;
}

void hl_onednn_chain_free(struct hl_onednn_chain *chain)
{
	hl_block_free(chain->weights, folded_bytes(chain));
}
