/* What maxpool and avgpool share. */
#include <inttypes.h>

#include "nn/ops/common.h"

const struct hilum_option hl_pool_option_table[] = {
    {.name = "size",
     .kind = HILUM_OPTION_SIZES,
     .offset = offsetof(struct hl_pool_options, size),
     .minimum = 1,
     .maximum = 1024,
     .initial = "2",
     .value = "N",
     .help = "Size of the window"},
    {.name = "stride",
     .kind = HILUM_OPTION_SIZES,
     .offset = offsetof(struct hl_pool_options, stride),
     .minimum = 1,
     .maximum = 1024,
     .value = "N",
     .help = "Step between windows; the window's size where it is not given"},
    {.name = "pad",
     .kind = HILUM_OPTION_SIZES,
     .offset = offsetof(struct hl_pool_options, pad),
     .minimum = 0,
     .maximum = 512,
     .initial = "0",
     .value = "N",
     .help = "Rows added on each side, at most half the window; they never win and do not count"},
    {.name = NULL}};

struct hl_window hl_pool_window(const struct hl_pool_options *options, int spatial)
{
	struct hl_window window = {
	    .size = hl_axes_get(&options->size, spatial, 2, 1),
	    .pad = hl_axes_get(&options->pad, spatial, 0, 0),
	    .dilation = {1, 1, 1},
	};
	window.stride = options->stride.count ? hl_axes_get(&options->stride, spatial, 1, 1) : window.size;
	return window;
}

/* A window with more padding than half its size could lie in padding alone and have no value. */
static enum hilum_status check_pad(const char *axis, int64_t pad, int64_t size, struct hilum_error *error)
{
	if (2 * pad <= size)
		return HILUM_OK;
	return hl_fail(error, HILUM_ERROR_ARGUMENT, "pad: %" PRId64 " is more than half of size %" PRId64 " along %s",
	               pad, size, axis);
}

enum hilum_status hl_pool_infer(const void *options, struct hl_infer *infer, struct hilum_error *error)
{
	const struct hl_pool_options *pool = options;
	struct hl_shape out;
	enum hilum_status status = hl_infer_begin(infer, error);
	if (!status)
		status = hl_axes_check("size", &pool->size, 1, error);
	if (!status)
		status = hl_axes_check("stride", &pool->stride, 1, error);
	if (!status)
		status = hl_axes_check("pad", &pool->pad, 0, error);
	if (status)
		return status;
	struct hl_window window = hl_pool_window(pool, infer->spatial);
	status = check_pad("depth", window.pad.d, window.size.d, error);
	if (!status)
		status = check_pad("height", window.pad.h, window.size.h, error);
	if (!status)
		status = check_pad("width", window.pad.w, window.size.w, error);
	if (!status)
		status = hl_window_out(&window, infer->in[0], &out, error);
	return status ? status : hl_infer_end(infer, out, error);
}

static void clip(int64_t at, int64_t size, int64_t limit, int64_t *from, int64_t *to)
{
	*from = at < 0 ? 0 : at;
	*to = at + size > limit ? limit : at + size;
}

struct hl_span hl_pool_span(const struct hl_window *window, struct hl_shape in, int64_t d, int64_t h, int64_t w)
{
	struct hl_span span;
	clip(d * window->stride.d - window->pad.d, window->size.d, in.d, &span.from.d, &span.to.d);
	clip(h * window->stride.h - window->pad.h, window->size.h, in.h, &span.from.h, &span.to.h);
	clip(w * window->stride.w - window->pad.w, window->size.w, in.w, &span.from.w, &span.to.w);
	return span;
}
