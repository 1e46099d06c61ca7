/* Nodes of bf16 or bytes on float32 primitives. The float32 copies live in the call's scratch, behind the inner
 * primitive's own. */
#include "base/memory.h"
#include "nn/backend.h"
#include <string.h>

#define ALIGNMENT ((size_t)64)

/* Where the float32 copies begin in scratch. Forward and backward never run at once, so their copies share it. */
struct places {
	size_t in[HL_INPUTS_MAX], out, dout, din[HL_INPUTS_MAX];
};

struct widened {
	struct hl_primitive primitive;
	struct hl_primitive *inner;
	struct places forward, backward;
	bool keeps_input, keeps_output;
	struct hl_quant quant_in[HL_INPUTS_MAX], quant_out; /* of bytes */
};

/* Reserves room for a tensor's float32 copy behind *bytes; false when the sum overflows. */
static bool reserve(size_t *bytes, struct hl_shape shape, size_t *at)
{
	size_t size;
	*at = *bytes;
	return hl_mul_size((size_t)hl_shape_count(shape), sizeof(float), &size) &&
	       hl_add_size(size, ALIGNMENT - 1, &size) && hl_add_size(*bytes, size / ALIGNMENT * ALIGNMENT, bytes);
}

static bool lay_out(struct widened *widened, const struct hl_compile *request)
{
	const struct hl_infer *shapes = request->shapes;
	size_t start, forward, backward;
	bool fits = hl_add_size(widened->inner->scratch, ALIGNMENT - 1, &start);
	start = start / ALIGNMENT * ALIGNMENT;
	forward = start;
	backward = start;
	for (int i = 0; i < shapes->inputs; i++)
		fits = fits && reserve(&forward, shapes->in[i], &widened->forward.in[i]);
	fits = fits && reserve(&forward, shapes->out, &widened->forward.out);
	for (int i = 0; request->training && i < shapes->inputs; i++) {
		if (widened->keeps_input)
			fits = fits && reserve(&backward, shapes->in[i], &widened->backward.in[i]);
		if (request->want_din[i])
			fits = fits && reserve(&backward, shapes->in[i], &widened->backward.din[i]);
	}
	if (request->training) {
		if (widened->keeps_output)
			fits = fits && reserve(&backward, shapes->out, &widened->backward.out);
		fits = fits && reserve(&backward, shapes->out, &widened->backward.dout);
	}
	widened->primitive.scratch = forward > backward ? forward : backward;
	return fits;
}

/* The float32 twin of a tensor, in scratch. */
static struct hl_tensor twin(const struct hl_call *call, size_t at, const struct hl_tensor *of)
{
	return (struct hl_tensor){of->shape, HL_F32, (char *)call->scratch + at};
}

static void widen(const struct hl_tensor *from, const struct hl_tensor *to)
{
	hl_convert(from->data, from->type, to->data, HL_F32, hl_shape_count(from->shape));
}

static void narrow(const struct hl_tensor *from, const struct hl_tensor *to)
{
	hl_convert(from->data, HL_F32, to->data, to->type, hl_shape_count(to->shape));
}

static void widen_input(const struct widened *widened, const struct hl_call *call, int i, const struct hl_tensor *to)
{
	const struct hl_tensor *from = call->in[i];
	if (from->type == HL_U8)
		hl_dequantise(from->data, widened->quant_in[i], to->data, hl_shape_count(from->shape));
	else
		widen(from, to);
}

static void forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	struct widened *widened = (struct widened *)primitive;
	struct hl_call inner = *call;
	struct hl_tensor in[HL_INPUTS_MAX], out = twin(call, widened->forward.out, call->out);
	for (int i = 0; i < call->shapes->inputs; i++) {
		in[i] = twin(call, widened->forward.in[i], call->in[i]);
		widen_input(widened, call, i, &in[i]);
		inner.in[i] = &in[i];
	}
	inner.out = &out;
	widened->inner->forward(widened->inner, &inner);
	if (call->out->type == HL_U8)
		hl_quantise(out.data, widened->quant_out, call->out->data, hl_shape_count(out.shape));
	else
		narrow(&out, call->out);
}

static void backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	struct widened *widened = (struct widened *)primitive;
	struct hl_call inner = *call;
	struct hl_tensor in[HL_INPUTS_MAX], din[HL_INPUTS_MAX], dout;
	struct hl_tensor out = {call->shapes->out, HL_F32, NULL};
	for (int i = 0; i < call->shapes->inputs; i++) {
		in[i] = (struct hl_tensor){call->shapes->in[i], HL_F32, NULL};
		if (widened->keeps_input) {
			in[i] = twin(call, widened->backward.in[i], call->in[i]);
			widen(call->in[i], &in[i]);
		}
		inner.in[i] = &in[i];
		if (call->din[i]) {
			din[i] = twin(call, widened->backward.din[i], call->din[i]);
			inner.din[i] = &din[i];
		}
	}
	if (widened->keeps_output) {
		out = twin(call, widened->backward.out, call->out);
		widen(call->out, &out);
	}
	inner.out = &out;
	dout = twin(call, widened->backward.dout, call->dout);
	widen(call->dout, &dout);
	inner.dout = &dout;
	widened->inner->backward(widened->inner, &inner);
	for (int i = 0; i < call->shapes->inputs; i++)
		if (call->din[i])
			narrow(&din[i], call->din[i]);
}

static void prepare(struct hl_primitive *primitive, float *const *param)
{
	struct widened *widened = (struct widened *)primitive;
	widened->inner->prepare(widened->inner, param);
}

static void destroy(struct hl_primitive *primitive)
{
	struct widened *widened = (struct widened *)primitive;
	widened->inner->destroy(widened->inner);
	hl_free(widened);
}

enum hilum_status hl_widen(const struct hl_compile *request, const struct hl_backend *backend,
                           struct hl_primitive **out, struct hilum_error *error)
{
	struct hl_compile request32 = *request;
	struct widened *widened = hl_alloc(1, sizeof(*widened));
	enum hilum_status status;
	if (!widened)
		return hl_fail_memory(error, sizeof(*widened), "a widened primitive");
	request32.type = HL_F32;
	status = backend->compile(&request32, &widened->inner, error);
	if (status)
		goto out;
	widened->keeps_input = request->op->keeps_input;
	widened->keeps_output = request->op->keeps_output;
	memcpy(widened->quant_in, request->quant_in, sizeof(widened->quant_in));
	widened->quant_out = request->quant_out;
	widened->primitive = (struct hl_primitive){
	    .backend = widened->inner->backend,
	    .saved = widened->inner->saved,
	    .prepare = widened->inner->prepare ? prepare : NULL,
	    .forward = forward,
	    .backward = backward,
	    .destroy = destroy,
	};
	if (!lay_out(widened, request)) {
		widened->inner->destroy(widened->inner);
		status = hl_fail(error, HILUM_ERROR_LIMIT, "scratch of a widened primitive exceeds memory");
		goto out;
	}
	*out = &widened->primitive;
	widened = NULL;
out:
	hl_free(widened);
	return status;
}
