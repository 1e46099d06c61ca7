/* What the files of ops/ share: checking shapes and options once, in infer. */
#ifndef HL_NN_OPS_COMMON_H
#define HL_NN_OPS_COMMON_H
#include "nn/ops/options.h"

/* No tensor and no parameter has more elements, so that byte counts and offsets cannot overflow. */
#define HL_ELEMENTS_MAX (INT64_C(1) << 40)

/* Checks the inputs' sizes and clears the answer. */
enum hilum_status hl_infer_begin(struct hl_infer *infer, struct hilum_error *error);
/* Sets and checks the output's shape. */
enum hilum_status hl_infer_end(struct hl_infer *infer, struct hl_shape out, struct hilum_error *error);
/* infer of an op whose output has the shape of its input. */
enum hilum_status hl_infer_same(const void *options, struct hl_infer *infer, struct hilum_error *error);
/* Appends a parameter; dims beyond rank are ignored. */
enum hilum_status hl_infer_param(struct hl_infer *infer, struct hl_param_spec spec, struct hilum_error *error);

/* A window that slides over depth, height and width, as convolution and pooling have it. */
struct hl_window {
	struct hl_axes size, stride, pad, dilation;
};

/* More sizes than axes, or one outside minimum to HL_AXIS_MAX: the options may not have come through their table. */
#define HL_AXIS_MAX 1024
enum hilum_status hl_axes_check(const char *name, const struct hilum_sizes *sizes, int32_t minimum,
                                struct hilum_error *error);
/* Sizes of what the window visits; the channels are left as in the input. */
enum hilum_status hl_window_out(const struct hl_window *window, struct hl_shape in, struct hl_shape *out,
                                struct hilum_error *error);
/* The pooling ops' window. */
struct hl_window hl_pool_window(const struct hl_pool_options *options, int spatial);
enum hilum_status hl_pool_infer(const void *options, struct hl_infer *infer, struct hilum_error *error);
extern const struct hilum_option hl_pool_option_table[];

/* The part of a window that lies inside the input: [from, to) of each axis, in the input's coordinates (undilated). */
struct hl_span {
	struct hl_axes from, to;
};
struct hl_span hl_pool_span(const struct hl_window *window, struct hl_shape in, int64_t d, int64_t h, int64_t w);
#endif
