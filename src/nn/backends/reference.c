/* The ops' own forward and backward, as a back end: takes every node, and is what the others are measured against. */
#include "nn/backends/reference.h"
#include "base/memory.h"

struct reference {
	struct hl_primitive primitive;
	const struct hl_op *op;
};

static const struct hl_op *op_of(struct hl_primitive *primitive)
{
	return ((struct reference *)primitive)->op;
}

static void forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	op_of(primitive)->forward(call);
}

static void backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	op_of(primitive)->backward(call);
}

static void destroy(struct hl_primitive *primitive)
{
	hl_free(primitive);
}

static enum hilum_status compile(const struct hl_compile *request, struct hl_primitive **out, struct hilum_error *error)
{
	struct reference *reference;
	if (request->type == HL_U8)
		return hl_reference_bytes(request, out, error);
	if (request->links > 0)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "reference: no nodes as one");
	if (request->type == HL_BF16)
		return hl_widen(request, &hl_backend_reference, out, error);
	reference = hl_alloc(1, sizeof(*reference));
	if (!reference)
		return hl_fail_memory(error, sizeof(*reference), "a reference primitive");
	reference->op = request->op;
	reference->primitive = (struct hl_primitive){
	    .backend = hl_backend_reference.name,
	    .saved = request->training ? request->shapes->saved : 0,
	    .scratch = request->shapes->scratch,
	    .forward = forward,
	    .backward = backward,
	    .destroy = destroy,
	};
	*out = &reference->primitive;
	return HILUM_OK;
}

const struct hl_backend hl_backend_reference = {.name = "reference", .bytes = true, .compile = compile};
