#include "nn/ops/common.h"

#include <inttypes.h>

static enum hilum_status check_elements(struct hl_shape shape, const char *what, struct hilum_error *error)
{
	int64_t count = hl_shape_count(shape);
	char text[128];
	if (count > 0 && count <= HL_ELEMENTS_MAX)
		return HILUM_OK;
	hl_shape_print(shape, text, sizeof(text));
	if (shape.n < 1 || shape.d < 1 || shape.h < 1 || shape.w < 1 || shape.c < 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s %s has an empty axis", what, text);
	return hl_fail(error, HILUM_ERROR_LIMIT, "%s %s has more than %" PRId64 " elements", what, text,
	               HL_ELEMENTS_MAX);
}

enum hilum_status hl_infer_begin(struct hl_infer *infer, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	infer->params = 0;
	infer->saved = 0;
	infer->scratch = 0;
	if (infer->spatial != 2 && infer->spatial != 3)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "a net has 2 or 3 spatial axes, not %d", infer->spatial);
	if (infer->inputs < 1 || infer->inputs > HL_INPUTS_MAX)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%d inputs: takes 1 to %d", infer->inputs, HL_INPUTS_MAX);
	for (int i = 0; i < infer->inputs && !status; i++)
		status = check_elements(infer->in[i], "input", error);
	return status;
}

enum hilum_status hl_infer_end(struct hl_infer *infer, struct hl_shape out, struct hilum_error *error)
{
	enum hilum_status status = check_elements(out, "output", error);
	if (!status)
		infer->out = out;
	return status;
}

enum hilum_status hl_infer_same(const void *options, struct hl_infer *infer, struct hilum_error *error)
{
	enum hilum_status status = hl_infer_begin(infer, error);
	(void)options;
	return status ? status : hl_infer_end(infer, infer->in[0], error);
}

enum hilum_status hl_infer_param(struct hl_infer *infer, struct hl_param_spec spec, struct hilum_error *error)
{
	struct hl_shape shape = {1, 1, 1, 1, 1};
	int64_t *const axis[5] = {&shape.n, &shape.d, &shape.h, &shape.w, &shape.c};
	for (int i = 0; i < spec.rank; i++)
		*axis[i] = spec.dims[i];
	if (infer->params == HL_PARAMS_MAX)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "more than %d parameters", HL_PARAMS_MAX);
	enum hilum_status status = check_elements(shape, spec.name, error);
	if (!status)
		infer->param[infer->params++] = spec;
	return status;
}

struct hl_axes hl_axes_get(const struct hilum_sizes *sizes, int spatial, int64_t fallback, int64_t flat)
{
	switch (sizes->count) {
	case 0:
		return (struct hl_axes){spatial == 3 ? fallback : flat, fallback, fallback};
	case 1:
		return (struct hl_axes){spatial == 3 ? sizes->size[0] : flat, sizes->size[0], sizes->size[0]};
	case 2:
		return (struct hl_axes){flat, sizes->size[0], sizes->size[1]};
	default:
		return (struct hl_axes){sizes->size[0], sizes->size[1], sizes->size[2]};
	}
}

enum hilum_status hl_axes_check(const char *name, const struct hilum_sizes *sizes, int32_t minimum,
                                struct hilum_error *error)
{
	if (sizes->count < 0 || sizes->count > 3)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: %d sizes; takes 1 to 3 (depth, height, width)", name,
		               sizes->count);
	for (int32_t i = 0; i < sizes->count; i++)
		if (sizes->size[i] < minimum || sizes->size[i] > HL_AXIS_MAX)
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: %d is outside %d to %d", name, sizes->size[i],
			               minimum, HL_AXIS_MAX);
	return HILUM_OK;
}

static enum hilum_status axis_out(const char *axis, int64_t in, int64_t size, int64_t stride, int64_t pad,
                                  int64_t dilation, int64_t *out, struct hilum_error *error)
{
	int64_t reach = dilation * (size - 1) + 1, padded = in + 2 * pad;
	if (reach > padded)
		return hl_fail(error, HILUM_ERROR_ARGUMENT,
		               "size: %" PRId64 " (reaching over %" PRId64 ") is larger than the padded %s of %" PRId64,
		               size, reach, axis, padded);
	*out = (padded - reach) / stride + 1;
	return HILUM_OK;
}

enum hilum_status hl_window_out(const struct hl_window *window, struct hl_shape in, struct hl_shape *out,
                                struct hilum_error *error)
{
	const struct hl_axes *size = &window->size, *stride = &window->stride, *pad = &window->pad,
	                     *dilation = &window->dilation;
	struct hl_shape result = in;
	enum hilum_status status;
	status = axis_out("depth", in.d, size->d, stride->d, pad->d, dilation->d, &result.d, error);
	if (!status)
		status = axis_out("height", in.h, size->h, stride->h, pad->h, dilation->h, &result.h, error);
	if (!status)
		status = axis_out("width", in.w, size->w, stride->w, pad->w, dilation->w, &result.w, error);
	if (!status)
		*out = result;
	return status;
}
