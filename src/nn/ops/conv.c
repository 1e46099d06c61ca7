#include <inttypes.h>
#include <string.h>

#include "nn/ops/common.h"

#define WINDOW(option, low, high, text, words)                                                                         \
	{                                                                                                              \
		.name = #option, .kind = HILUM_OPTION_SIZES, .offset = offsetof(struct hl_conv_options, option),       \
		.minimum = low, .maximum = high, .initial = text, .value = "N", .help = words                          \
	}

static const struct hilum_option options[] = {
    {.name = "filters",
     .kind = HILUM_OPTION_INT,
     .offset = offsetof(struct hl_conv_options, filters),
     .minimum = 1,
     .maximum = 65536,
     .value = "N",
     .help = "Channels of the output; must be given"},
    WINDOW(size, 1, 1024, "3", "Size of the filters"),
    WINDOW(stride, 1, 1024, "1", "Step between places where a filter is laid"),
    WINDOW(pad, 0, 1024, "0", "Zeros added on both sides of each axis"),
    WINDOW(dilation, 1, 1024, "1", "Distance between a filter's own elements"),
    {.name = "groups",
     .kind = HILUM_OPTION_INT,
     .offset = offsetof(struct hl_conv_options, groups),
     .minimum = 1,
     .maximum = 65536,
     .initial = "1",
     .value = "N",
     .help = "Groups of channels that do not see each other; divides the channels of input and output"},
    {.name = "bias",
     .kind = HILUM_OPTION_FLAG,
     .offset = offsetof(struct hl_conv_options, bias),
     .initial = "true",
     .help = "Adds a learnt constant to each channel"},
    {.name = NULL}};

static struct hl_window window_of(const struct hl_conv_options *conv, int spatial)
{
	return (struct hl_window){
	    .size = hl_axes_get(&conv->size, spatial, 3, 1),
	    .stride = hl_axes_get(&conv->stride, spatial, 1, 1),
	    .pad = hl_axes_get(&conv->pad, spatial, 0, 0),
	    .dilation = hl_axes_get(&conv->dilation, spatial, 1, 1),
	};
}

static enum hilum_status check(const struct hl_conv_options *conv, const struct hl_infer *infer,
                               struct hilum_error *error)
{
	int64_t channels = infer->in[0].c;
	enum hilum_status status = hl_axes_check("size", &conv->size, 1, error);
	if (!status)
		status = hl_axes_check("stride", &conv->stride, 1, error);
	if (!status)
		status = hl_axes_check("pad", &conv->pad, 0, error);
	if (!status)
		status = hl_axes_check("dilation", &conv->dilation, 1, error);
	if (status)
		return status;
	if (infer->spatial == 2 && conv->size.count == 3 && conv->size.size[0] != 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "size: a depth of %d in a 2-D net", conv->size.size[0]);
	if (conv->filters < 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "filters: must be given, 1 or more");
	if (conv->groups < 1 || channels % conv->groups)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "groups: %" PRId64 " does not divide %" PRId64 " channels",
		               conv->groups, channels);
	if (conv->filters % conv->groups)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "groups: %" PRId64 " does not divide %" PRId64 " filters",
		               conv->groups, conv->filters);
	return HILUM_OK;
}

static enum hilum_status infer(const void *settings, struct hl_infer *infer, struct hilum_error *error)
{
	const struct hl_conv_options *conv = settings;
	enum hilum_status status = hl_infer_begin(infer, error);
	struct hl_shape out;
	if (!status)
		status = check(conv, infer, error);
	if (status)
		return status;
	struct hl_window window = window_of(conv, infer->spatial);
	status = hl_window_out(&window, infer->in[0], &out, error);
	if (status)
		return status;
	out.c = conv->filters;
	int64_t inputs = infer->in[0].c / conv->groups, outputs = conv->filters / conv->groups;
	struct hl_param_spec weight = {.name = "weight",
	                               .rank = 5,
	                               .dims = {conv->filters, inputs, window.size.d, window.size.h, window.size.w},
	                               .init = HL_INIT_KAIMING_UNIFORM,
	                               .trained = true,
	                               .decay = true};
	if (infer->spatial == 2) {
		weight.rank = 4;
		weight.dims[2] = window.size.h;
		weight.dims[3] = window.size.w;
		weight.dims[4] = 0;
	}
	/* Before the product is taken for anything else, this has checked that it does not overflow. */
	status = hl_infer_param(infer, weight, error);
	if (status)
		return status;
	int64_t fan_in = inputs * window.size.d * window.size.h * window.size.w;
	infer->param[0].fan_in = fan_in;
	if (conv->bias)
		status = hl_infer_param(infer,
		                        (struct hl_param_spec){.name = "bias",
		                                               .rank = 1,
		                                               .dims = {conv->filters},
		                                               .init = HL_INIT_KAIMING_UNIFORM,
		                                               .fan_in = fan_in,
		                                               .trained = true},
		                        error);
	/* Weights with the channels of one side innermost and one row of sums; or the sums of one tap's weights. */
	size_t packed = (size_t)(conv->filters * fan_in) * sizeof(float) + sizeof(double);
	size_t row = (size_t)(inputs > outputs ? inputs : outputs) * sizeof(double);
	size_t tap = (size_t)(inputs * outputs) * sizeof(double);
	infer->scratch = packed + row > tap ? packed + row : tap;
	return status ? status : hl_infer_end(infer, out, error);
}

/* A convolution spelled out for the loops below. */
struct geometry {
	struct hl_shape in, out;
	struct hl_window window;
	int64_t groups, inputs, outputs; /* channels of one group */
	int64_t taps;
};

static struct geometry geometry_of(const struct hl_call *call)
{
	const struct hl_conv_options *conv = call->options;
	struct geometry g = {
	    .in = call->shapes->in[0],
	    .out = call->shapes->out,
	    .window = window_of(conv, call->shapes->spatial),
	    .groups = conv->groups,
	    .inputs = call->shapes->in[0].c / conv->groups,
	    .outputs = conv->filters / conv->groups,
	};
	g.taps = g.window.size.d * g.window.size.h * g.window.size.w;
	return g;
}

static struct hl_axes place(int64_t index, int64_t h, int64_t w)
{
	return (struct hl_axes){index / (h * w), index / w % h, index % w};
}

/* The input's place under a tap of the filter laid at an output's place; false in the padding. */
static bool under(const struct geometry *g, struct hl_axes out, struct hl_axes tap, int64_t *in)
{
	const struct hl_window *v = &g->window;
	int64_t d = out.d * v->stride.d - v->pad.d + tap.d * v->dilation.d;
	int64_t h = out.h * v->stride.h - v->pad.h + tap.h * v->dilation.h;
	int64_t w = out.w * v->stride.w - v->pad.w + tap.w * v->dilation.w;
	*in = (d * g->in.h + h) * g->in.w + w;
	return d >= 0 && d < g->in.d && h >= 0 && h < g->in.h && w >= 0 && w < g->in.w;
}

static bool over_axis(int64_t in, int64_t tap, int64_t stride, int64_t pad, int64_t dilation, int64_t limit,
                      int64_t *out)
{
	int64_t at = in + pad - tap * dilation;
	*out = at / stride;
	return at >= 0 && at % stride == 0 && *out < limit;
}

/* The output's place whose filter has this tap on an input's place; false if there is none. */
static bool over(const struct geometry *g, struct hl_axes in, struct hl_axes tap, int64_t *out)
{
	const struct hl_window *v = &g->window;
	int64_t d, h, w;
	if (!over_axis(in.d, tap.d, v->stride.d, v->pad.d, v->dilation.d, g->out.d, &d) ||
	    !over_axis(in.h, tap.h, v->stride.h, v->pad.h, v->dilation.h, g->out.h, &h) ||
	    !over_axis(in.w, tap.w, v->stride.w, v->pad.w, v->dilation.w, g->out.w, &w))
		return false;
	*out = (d * g->out.h + h) * g->out.w + w;
	return true;
}

/* Weights (O, I, tap) with another axis innermost, so that the inner loops run over neighbouring floats:
 * group, tap, I, O (outputs_last), or group, tap, O, I. */
static void pack(const struct geometry *g, const float *weight, bool outputs_last, float *packed)
{
	for (int64_t group = 0; group < g->groups; group++)
		for (int64_t tap = 0; tap < g->taps; tap++)
			for (int64_t o = 0; o < g->outputs; o++)
				for (int64_t i = 0; i < g->inputs; i++) {
					int64_t from = ((group * g->outputs + o) * g->inputs + i) * g->taps + tap;
					int64_t block = (group * g->taps + tap) * g->inputs * g->outputs;
					int64_t to = outputs_last ? i * g->outputs + o : o * g->inputs + i;
					packed[block + to] = weight[from];
				}
}

/* sum[j] += row[i] * matrix[i][j] */
static void row_times_matrix(const float *row, const float *matrix, int64_t rows, int64_t columns, double *sum)
{
	for (int64_t i = 0; i < rows; i++) {
		double value = row[i];
		const float *line = matrix + i * columns;
		for (int64_t j = 0; j < columns; j++)
			sum[j] += value * line[j];
	}
}

static double *after_packed(const struct geometry *g, void *scratch)
{
	size_t bytes = (size_t)(g->out.c * g->inputs * g->taps) * sizeof(float);
	return (void *)((char *)scratch + (bytes + sizeof(double) - 1) / sizeof(double) * sizeof(double));
}

static void forward(const struct hl_call *call)
{
	struct geometry g = geometry_of(call);
	const float *bias = call->shapes->params > 1 ? call->param[1] : NULL;
	float *out = call->out->data, *packed = call->scratch;
	double *sum = after_packed(&g, call->scratch);
	int64_t places = g.out.d * g.out.h * g.out.w;
	pack(&g, call->param[0], true, packed);
	for (int64_t n = 0; n < g.out.n; n++) {
		const float *in = (const float *)call->in[0]->data + n * hl_shape_sample(g.in);
		for (int64_t p = 0; p < places; p++)
			for (int64_t group = 0; group < g.groups; group++, out += g.outputs) {
				for (int64_t o = 0; o < g.outputs; o++)
					sum[o] = bias ? bias[group * g.outputs + o] : 0;
				for (int64_t tap = 0; tap < g.taps; tap++) {
					int64_t from;
					if (!under(&g, place(p, g.out.h, g.out.w),
					           place(tap, g.window.size.h, g.window.size.w), &from))
						continue;
					row_times_matrix(in + from * g.in.c + group * g.inputs,
					                 packed + (group * g.taps + tap) * g.inputs * g.outputs,
					                 g.inputs, g.outputs, sum);
				}
				for (int64_t o = 0; o < g.outputs; o++)
					out[o] = (float)sum[o];
			}
	}
}

static void backward_input(const struct hl_call *call, const struct geometry *g)
{
	float *din = call->din[0]->data, *packed = call->scratch;
	double *sum = after_packed(g, call->scratch);
	int64_t places = g->in.d * g->in.h * g->in.w;
	pack(g, call->param[0], false, packed);
	for (int64_t n = 0; n < g->in.n; n++) {
		const float *dout = (const float *)call->dout->data + n * hl_shape_sample(g->out);
		for (int64_t p = 0; p < places; p++)
			for (int64_t group = 0; group < g->groups; group++, din += g->inputs) {
				memset(sum, 0, (size_t)g->inputs * sizeof(*sum));
				for (int64_t tap = 0; tap < g->taps; tap++) {
					int64_t from;
					if (!over(g, place(p, g->in.h, g->in.w),
					          place(tap, g->window.size.h, g->window.size.w), &from))
						continue;
					row_times_matrix(dout + from * g->out.c + group * g->outputs,
					                 packed + (group * g->taps + tap) * g->inputs * g->outputs,
					                 g->outputs, g->inputs, sum);
				}
				for (int64_t i = 0; i < g->inputs; i++)
					din[i] = (float)sum[i];
			}
	}
}

/* One tap of one group: the sum over all places of x[i] * dy[o]. */
static void tap_gradient(const struct hl_call *call, const struct geometry *g, int64_t group, int64_t tap, double *sum)
{
	int64_t places = g->out.d * g->out.h * g->out.w;
	memset(sum, 0, (size_t)(g->inputs * g->outputs) * sizeof(*sum));
	for (int64_t n = 0; n < g->out.n; n++) {
		const float *in = (const float *)call->in[0]->data + n * hl_shape_sample(g->in) + group * g->inputs;
		const float *dout = (const float *)call->dout->data + n * hl_shape_sample(g->out) + group * g->outputs;
		for (int64_t p = 0; p < places; p++) {
			int64_t from;
			if (!under(g, place(p, g->out.h, g->out.w), place(tap, g->window.size.h, g->window.size.w),
			           &from))
				continue;
			const float *x = in + from * g->in.c, *dy = dout + p * g->out.c;
			for (int64_t i = 0; i < g->inputs; i++)
				for (int64_t o = 0; o < g->outputs; o++)
					sum[i * g->outputs + o] += (double)x[i] * dy[o];
		}
	}
}

static void backward_weight(const struct hl_call *call, const struct geometry *g)
{
	double *sum = call->scratch;
	for (int64_t group = 0; group < g->groups; group++)
		for (int64_t tap = 0; tap < g->taps; tap++) {
			tap_gradient(call, g, group, tap, sum);
			for (int64_t o = 0; o < g->outputs; o++)
				for (int64_t i = 0; i < g->inputs; i++) {
					int64_t to = ((group * g->outputs + o) * g->inputs + i) * g->taps + tap;
					call->dparam[0][to] = (float)sum[i * g->outputs + o];
				}
		}
}

static void backward_bias(const struct hl_call *call, const struct geometry *g)
{
	const float *dout = call->dout->data;
	int64_t channels = g->out.c, rows = hl_shape_count(g->out) / channels;
	for (int64_t o = 0; o < channels; o++) {
		double sum = 0;
		for (int64_t row = 0; row < rows; row++)
			sum += dout[row * channels + o];
		call->dparam[1][o] = (float)sum;
	}
}

static void backward(const struct hl_call *call)
{
	struct geometry g = geometry_of(call);
	if (call->din[0])
		backward_input(call, &g);
	if (call->dparam[0])
		backward_weight(call, &g);
	if (call->shapes->params > 1 && call->dparam[1])
		backward_bias(call, &g);
}

const struct hl_op hl_op_conv = {
    .name = "conv",
    .onnx = "Conv",
    .help = "Convolution: a bank of small filters slid over the input",
    .options = options,
    .options_size = sizeof(struct hl_conv_options),
    .inputs_min = 1,
    .inputs_max = 1,
    .keeps_input = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .samples =
        (const char *const[]){
            "2x1x6x5x3 filters=5 size=3 pad=1", "1x1x1x1x1 filters=1 size=1", "3x1x5x7x13 filters=8 size=1 bias=false",
            "1x1x7x9x16 filters=16 size=3 pad=1", "1x1x11x9x3 filters=9 size=7 stride=2 pad=3",
            "2x1x9x7x4 filters=6 size=3 dilation=2 pad=2", "2x1x7x6x8 filters=8 size=3 groups=8 pad=1",
            "3x1x5x5x6 filters=9 size=3x2 groups=3 stride=2x1 pad=1x0", "1x1x8x8x8 filters=16 size=1 stride=2",
            "2x4x5x3x3 filters=4 size=3 pad=1", "1x5x6x7x4 filters=6 size=3x2x1 stride=2x1x3 pad=1x0x0 groups=2",
            "1x6x5x5x2 filters=3 size=2 dilation=2x1x3 stride=1x2x1 pad=1", "1x1x3x3x2 filters=2 size=3",
            "1x1x12x10x32 filters=24 size=3 pad=1 stride=2",
            /* the ends of vectors and tiles of places and channels, and more padding than needed */
            "1x1x5x23x33 filters=40 size=3 pad=1 bias=false", "1x1x4x19x3 filters=72 size=5 pad=4",
            "2x1x3x4x72 filters=33 size=3 pad=2 stride=2", "1x3x4x5x5 filters=20 size=3 dilation=1x2x2 pad=1x2x3",
            NULL},
};
