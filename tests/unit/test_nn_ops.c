/* What the loop over all ops does not reach: shapes and numbers of tensors, options that infer refuses and with which
 * words, conventions that only one op has, and the choice of back ends. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "nn/backend.h"
#include "nn/ops/options.h"

#define BIG (INT64_C(1) << 31)

/* ---- tensors -------------------------------------------------------------------------------------------------- */

static void test_shapes(void **state)
{
	static const char *const bad[] = {
	    "",           "1",         "1x2x3x4",    "1x2x3x4x",  "1x2x3x4x5x6", "1x2x3x4x5 ",
	    " 1x2x3x4x5", "0x2x3x4x5", "1x-2x3x4x5", "1x2x3x4xa", "1x2xx4x5",    "1x2x3x4x9223372036854775808",
	    "1,2,3,4,5"};
	struct hl_shape shape, kept = {1, 2, 3, 4, 5};
	char text[64];
	(void)state;
	assert_true(hl_shape_parse("2x1x6x6x3", &shape));
	assert_true(hl_shape_equal(shape, (struct hl_shape){2, 1, 6, 6, 3}));
	assert_int_equal(hl_shape_count(shape), 216);
	assert_int_equal(hl_shape_sample(shape), 108);
	hl_shape_print(shape, text, sizeof(text));
	assert_string_equal(text, "2x1x6x6x3");
	assert_true(hl_shape_parse("1x1x1x1x9223372036854775807", &shape));
	assert_int_equal(hl_shape_count(shape), INT64_MAX);
	shape.n = 2;
	assert_int_equal(hl_shape_count(shape), 0);
	assert_int_equal(hl_shape_count((struct hl_shape){1, 1, 0, 1, 1}), 0);
	assert_int_equal(hl_shape_count((struct hl_shape){-1, -1, 1, 1, 1}), 0);
	assert_int_equal(hl_shape_count((struct hl_shape){BIG, BIG, BIG, 1, 1}), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		shape = kept;
		assert_false(hl_shape_parse(bad[i], &shape));
		assert_true(hl_shape_equal(shape, kept));
	}
}

static void test_bf16(void **state)
{
	static const struct {
		float value;
		uint16_t bits;
	} cases[] = {{0.0F, 0x0000},        {-0.0F, 0x8000},       {1.0F, 0x3f80},    {1.00390625F, 0x3f80},
	             {1.01171875F, 0x3f82}, {1.00390637F, 0x3f81}, {3.4e38F, 0x7f80}, {INFINITY, 0x7f80},
	             {-INFINITY, 0xff80},   {1e-45F, 0x0000},      {-2.5F, 0xc020}};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(hl_bf16_from_f32(cases[i].value), cases[i].bits);
	assert_true(isnan(hl_bf16_to_f32(hl_bf16_from_f32(NAN))));
	for (uint32_t bits = 0; bits < 0x10000; bits++) {
		float value = hl_bf16_to_f32((uint16_t)bits);
		if (!isnan(value))
			assert_int_equal(hl_bf16_from_f32(value), bits);
	}
}

/* Beyond the size at which threads take part. */
static void test_convert(void **state)
{
	const int64_t count = 100003;
	float *wide = malloc((size_t)count * sizeof(*wide)), *back = malloc((size_t)count * sizeof(*back));
	uint16_t *narrow = malloc((size_t)count * sizeof(*narrow));
	(void)state;
	for (int64_t i = 0; i < count; i++)
		wide[i] = (float)(i - 50000) * 0.37F;
	hl_convert(wide, HL_F32, narrow, HL_BF16, count);
	hl_convert(narrow, HL_BF16, back, HL_F32, count);
	for (int64_t i = 0; i < count; i++) {
		assert_int_equal(narrow[i], hl_bf16_from_f32(wide[i]));
		assert_true(back[i] == hl_bf16_to_f32(narrow[i]));
	}
	hl_convert(wide, HL_F32, back, HL_F32, count);
	assert_memory_equal(wide, back, (size_t)count * sizeof(*wide));
	hl_convert(wide, HL_F32, back, HL_F32, 0);
	free(wide);
	free(back);
	free(narrow);
}

static void test_axes(void **state)
{
	const struct hilum_sizes none = {0}, one = {1, {3}}, two = {2, {3, 5}}, three = {3, {2, 3, 5}};
	struct hl_axes axes;
	(void)state;
#define SAME(sizes, spatial, D, H, W)                                                                                  \
	axes = hl_axes_get(&(sizes), spatial, 7, 1);                                                                   \
	assert_true(axes.d == (D) && axes.h == (H) && axes.w == (W))
	SAME(none, 2, 1, 7, 7);
	SAME(none, 3, 7, 7, 7);
	SAME(one, 2, 1, 3, 3);
	SAME(one, 3, 3, 3, 3);
	SAME(two, 2, 1, 3, 5);
	SAME(two, 3, 1, 3, 5);
	SAME(three, 2, 2, 3, 5);
	SAME(three, 3, 2, 3, 5);
#undef SAME
}

/* ---- what infer refuses --------------------------------------------------------------------------------------- */

#define ARGUMENT HILUM_ERROR_ARGUMENT
#define LIMIT HILUM_ERROR_LIMIT

static const struct {
	const char *op, *options;
	int spatial, inputs;
	struct hl_shape in[2];
	enum hilum_status status;
	const char *message;
} refused[] = {
    {"conv", "", 2, 1, {{1, 1, 8, 8, 3}}, ARGUMENT, "filters: must be given, 1 or more"},
    {"conv", "filters=4 groups=2", 2, 1, {{1, 1, 8, 8, 3}}, ARGUMENT, "groups: 2 does not divide 3 channels"},
    {"conv", "filters=4 groups=3", 2, 1, {{1, 1, 8, 8, 3}}, ARGUMENT, "groups: 3 does not divide 4 filters"},
    {"conv",
     "filters=4 size=7 dilation=2",
     2,
     1,
     {{1, 1, 8, 16, 3}},
     ARGUMENT,
     "size: 7 (reaching over 13) is larger than the padded height of 8"},
    {"conv",
     "filters=4 size=3x9 pad=1",
     2,
     1,
     {{1, 1, 8, 6, 3}},
     ARGUMENT,
     "size: 9 (reaching over 9) is larger than the padded width of 8"},
    {"conv",
     "filters=4 size=3",
     3,
     1,
     {{1, 2, 8, 8, 3}},
     ARGUMENT,
     "size: 3 (reaching over 3) is larger than the padded depth of 2"},
    {"conv", "filters=4 size=3x3x3", 2, 1, {{1, 1, 8, 8, 3}}, ARGUMENT, "size: a depth of 3 in a 2-D net"},
    {"conv",
     "filters=4 size=1,2,3,4",
     3,
     1,
     {{1, 8, 8, 8, 3}},
     ARGUMENT,
     "size: 4 sizes; takes 1 to 3 (depth, height, width)"},
    {"conv",
     "filters=4 stride=1,1,1,1",
     3,
     1,
     {{1, 8, 8, 8, 3}},
     ARGUMENT,
     "stride: 4 sizes; takes 1 to 3 (depth, height, width)"},
    {"conv", "filters=4", 2, 1, {{1, 1, 0, 8, 3}}, ARGUMENT, "input 1x1x0x8x3 has an empty axis"},
    {"conv", "filters=4", 2, 1, {{1, 1, -8, -8, 3}}, ARGUMENT, "input 1x1x-8x-8x3 has an empty axis"},
    {"conv",
     "filters=4",
     2,
     1,
     {{BIG, BIG, BIG, 8, 3}},
     LIMIT,
     "input 2147483648x2147483648x2147483648x8x3 has more than 1099511627776 elements"},
    {"conv",
     "filters=65536 size=1024 pad=1024",
     2,
     1,
     {{1, 1, 8, 8, 65536}},
     LIMIT,
     "weight 65536x65536x1024x1024x1 has more than 1099511627776 elements"},
    {"conv",
     "filters=65536 size=1",
     2,
     1,
     {{1024, 1, 1024, 1024, 1}},
     LIMIT,
     "output 1024x1x1024x1024x65536 has more than 1099511627776 elements"},
    {"dense", "", 2, 1, {{1, 1, 1, 1, 3}}, ARGUMENT, "units: must be given, 1 or more"},
    {"dense",
     "units=4",
     2,
     1,
     {{1, 1, 4, 5, 3}},
     ARGUMENT,
     "input of depth 1, height 4, width 5: put flatten or globalpool before dense"},
    {"dense",
     "units=1048576",
     2,
     1,
     {{1, 1, 1, 1, 2097152}},
     LIMIT,
     "weight 1048576x2097152x1x1x1 has more than 1099511627776 elements"},
    {"maxpool",
     "size=3",
     2,
     1,
     {{1, 1, 2, 8, 3}},
     ARGUMENT,
     "size: 3 (reaching over 3) is larger than the padded height of 2"},
    {"maxpool", "size=3 pad=2", 2, 1, {{1, 1, 8, 8, 3}}, ARGUMENT, "pad: 2 is more than half of size 3 along height"},
    {"avgpool",
     "size=3x2 pad=1x2",
     2,
     1,
     {{1, 1, 8, 8, 3}},
     ARGUMENT,
     "pad: 2 is more than half of size 2 along width"},
    {"avgpool",
     "size=1,2,3,4",
     2,
     1,
     {{1, 1, 8, 8, 3}},
     ARGUMENT,
     "size: 4 sizes; takes 1 to 3 (depth, height, width)"},
    {"globalpool", "", 2, 1, {{1, 1, 65536, 65536, 1}}, LIMIT, "input of 4294967296 places: at most 2147483647"},
    {"add",
     "",
     2,
     2,
     {{1, 1, 8, 8, 3}, {1, 1, 8, 8, 4}},
     ARGUMENT,
     "inputs of different shapes: 1x1x8x8x3 and 1x1x8x8x4"},
    {"concat",
     "",
     2,
     2,
     {{1, 1, 8, 8, 3}, {1, 1, 8, 9, 3}},
     ARGUMENT,
     "inputs that differ in more than channels: 1x1x8x8x3 and 1x1x8x9x3"},
    {"relu", "", 2, 0, {{1, 1, 8, 8, 3}}, ARGUMENT, "0 inputs: takes 1 to 8"},
    {"relu", "", 4, 1, {{1, 1, 8, 8, 3}}, HILUM_ERROR_INTERNAL, "a net has 2 or 3 spatial axes, not 4"},
    {"pad",
     "pad=1024",
     3,
     1,
     {{1, 4096, 4096, 4096, 8}},
     LIMIT,
     "output 1x6144x6144x6144x8 has more than 1099511627776 elements"},
    {"flatten",
     "",
     2,
     1,
     {{2, 1, INT64_MAX, 1, 1}},
     LIMIT,
     "input 2x1x9223372036854775807x1x1 has more than 1099511627776 elements"},
};

static void *options_of(const struct hl_op *op, const char *text)
{
	void *options = calloc(1, op->options_size + 1);
	char copy[128], *rest = NULL;
	hilum_options_init(op->options, options);
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		struct hilum_error error;
		char *value = strchr(word, '=');
		*value++ = '\0';
		if (hilum_option_set(op->options, options, word, value, &error))
			fail_msg("%s: %s", op->name, error.message);
	}
	return options;
}

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		const struct hl_op *op = hl_op_find(refused[i].op);
		struct hl_infer shapes = {.inputs = refused[i].inputs, .spatial = refused[i].spatial};
		struct hilum_error error = {0};
		void *options = options_of(op, refused[i].options);
		memcpy(shapes.in, refused[i].in, sizeof(refused[i].in));
		assert_int_equal(op->infer(options, &shapes, &error), refused[i].status);
		assert_string_equal(error.message, refused[i].message);
		assert_int_equal(op->infer(options, &shapes, NULL), refused[i].status);
		free(options);
	}
}

/* Options that a program filled in, past their table. */
static void test_refused_past_the_table(void **state)
{
	const struct hl_op *op = hl_op_find("conv");
	struct hl_infer shapes = {.inputs = 1, .in = {{1, 1, 8, 8, 3}}, .spatial = 2};
	struct hl_conv_options *conv = options_of(op, "filters=4");
	struct hilum_error error = {0};
	(void)state;
	conv->stride = (struct hilum_sizes){1, {0}};
	assert_int_equal(op->infer(conv, &shapes, &error), HILUM_ERROR_ARGUMENT);
	assert_string_equal(error.message, "stride: 0 is outside 1 to 1024");
	conv->stride = (struct hilum_sizes){-1, {1}};
	assert_int_equal(op->infer(conv, &shapes, &error), HILUM_ERROR_ARGUMENT);
	conv->stride = (struct hilum_sizes){1, {1}};
	conv->groups = 0;
	assert_int_equal(op->infer(conv, &shapes, &error), HILUM_ERROR_ARGUMENT);
	assert_string_equal(error.message, "groups: 0 does not divide 3 channels");
	free(conv);
}

/* ---- parameters ----------------------------------------------------------------------------------------------- */

static void test_parameters(void **state)
{
	const struct hl_op *op = hl_op_find("conv");
	struct hl_infer shapes = {.inputs = 1, .in = {{1, 1, 8, 8, 6}}, .spatial = 2};
	void *options = options_of(op, "filters=4 size=3x5 groups=2");
	const struct hl_param_spec *weight = &shapes.param[0], *bias = &shapes.param[1];
	(void)state;
	assert_int_equal(op->infer(options, &shapes, NULL), HILUM_OK);
	assert_int_equal(shapes.params, 2);
	assert_string_equal(weight->name, "weight");
	assert_int_equal(weight->rank, 4);
	assert_true(weight->dims[0] == 4 && weight->dims[1] == 3 && weight->dims[2] == 3 && weight->dims[3] == 5);
	assert_int_equal(weight->fan_in, 45);
	assert_true(weight->trained && weight->decay && weight->init == HL_INIT_KAIMING_UNIFORM);
	assert_string_equal(bias->name, "bias");
	assert_true(bias->rank == 1 && bias->dims[0] == 4 && bias->fan_in == 45);
	assert_true(bias->trained && !bias->decay && bias->init == HL_INIT_KAIMING_UNIFORM);
	shapes.spatial = 3;
	shapes.in[0].d = 8;
	free(options);
	options = options_of(op, "filters=4 size=1x3x5 bias=false");
	assert_int_equal(op->infer(options, &shapes, NULL), HILUM_OK);
	assert_int_equal(shapes.params, 1);
	assert_int_equal(weight->rank, 5);
	assert_true(weight->dims[2] == 1 && weight->dims[3] == 3 && weight->dims[4] == 5);
	free(options);
	op = hl_op_find("batchnorm");
	options = options_of(op, "");
	assert_int_equal(op->infer(options, &shapes, NULL), HILUM_OK);
	assert_int_equal(shapes.params, 4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(shapes.param[i].trained, i < 2);
		assert_false(shapes.param[i].decay);
		assert_int_equal(shapes.param[i].init, i == 0 || i == 3 ? HL_INIT_ONE : HL_INIT_ZERO);
	}
	free(options);
}

/* ---- conventions of one op ------------------------------------------------------------------------------------ */

struct line {
	struct hl_infer shapes;
	struct hl_tensor in, out, dout, din;
	float x[64], y[64], dy[64], dx[64];
	_Alignas(64) unsigned char saved[1024], scratch[1024];
	struct hl_call call;
};

static void run(struct line *line, const char *name, const char *text, struct hl_shape in, bool training)
{
	const struct hl_op *op = hl_op_find(name);
	void *options = options_of(op, text);
	line->shapes = (struct hl_infer){.inputs = 1, .in = {in}, .spatial = 2};
	assert_int_equal(op->infer(options, &line->shapes, NULL), HILUM_OK);
	assert_true(line->shapes.saved <= sizeof(line->saved) && line->shapes.scratch <= sizeof(line->scratch));
	line->in = (struct hl_tensor){in, HL_F32, line->x};
	line->din = (struct hl_tensor){in, HL_F32, line->dx};
	line->out = (struct hl_tensor){line->shapes.out, HL_F32, line->y};
	line->dout = (struct hl_tensor){line->shapes.out, HL_F32, line->dy};
	line->call = (struct hl_call){.shapes = &line->shapes,
	                              .options = options,
	                              .in = {&line->in},
	                              .out = &line->out,
	                              .dout = &line->dout,
	                              .din = {&line->din},
	                              .saved = line->saved,
	                              .scratch = line->scratch,
	                              .training = training,
	                              .seed = 5,
	                              .step = 6,
	                              .node = 7};
	op->forward(&line->call);
	op->backward(&line->call);
	free(options);
}

static void test_maxpool_conventions(void **state)
{
	static const struct {
		float x[4];
		int winner;
	} cases[] = {{{1, 1, 1, 1}, 0},
	             {{0, 2, 2, 1}, 1},
	             {{-INFINITY, -INFINITY, -INFINITY, -INFINITY}, 0},
	             {{3, NAN, 9, 2}, 1}};
	struct line line;
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (int global = 0; global < 2; global++) {
			memcpy(line.x, cases[i].x, sizeof(cases[i].x));
			line.dy[0] = 5;
			run(&line, global ? "globalpool" : "maxpool", global ? "mode=max" : "size=2",
			    (struct hl_shape){1, 1, 2, 2, 1}, true);
			assert_memory_equal(line.y, &cases[i].x[cases[i].winner], sizeof(float));
			for (int k = 0; k < 4; k++)
				assert_true(line.dx[k] == (k == cases[i].winner ? 5 : 0));
		}
}

static void test_average_leaves_padding_out(void **state)
{
	struct line line;
	(void)state;
	for (int i = 0; i < 4; i++)
		line.x[i] = (float)(i + 1);
	for (int i = 0; i < 9; i++)
		line.dy[i] = 1;
	run(&line, "avgpool", "size=2 stride=1 pad=1", (struct hl_shape){1, 1, 2, 2, 1}, true);
	const float expected[9] = {1, 1.5F, 2, 2, 2.5F, 3, 3, 3.5F, 4};
	assert_memory_equal(line.y, expected, sizeof(expected));
	for (int i = 0; i < 4; i++)
		assert_true(line.dx[i] == 2.25F);
}

static void test_dropout_words(void **state)
{
	struct hl_random stream = hl_random_stream(5, 6, 7, HL_RANDOM_DROPOUT);
	struct line line;
	int dropped = 0;
	(void)state;
	for (int i = 0; i < 60; i++) {
		line.x[i] = (float)(i + 1);
		line.dy[i] = 1;
	}
	run(&line, "dropout", "rate=0.25", (struct hl_shape){2, 1, 3, 5, 2}, true);
	for (int i = 0; i < 60; i++) {
		bool drop = hl_random_u32(&stream) < 0x40000000U;
		float scale = (float)(1 / 0.75);
		dropped += drop;
		assert_true(line.y[i] == (drop ? 0 : line.x[i] * scale));
		assert_true(line.dx[i] == (drop ? 0 : scale));
	}
	assert_in_range(dropped, 5, 25);
	run(&line, "dropout", "rate=0.25", (struct hl_shape){2, 1, 3, 5, 2}, false);
	assert_memory_equal(line.y, line.x, 60 * sizeof(float));
	assert_memory_equal(line.dx, line.dy, 60 * sizeof(float));
}

static void test_flatten_order(void **state)
{
	struct line line;
	(void)state;
	/* value = 100 c + 10 h + w, stored with the channels innermost */
	for (int i = 0; i < 12; i++)
		line.x[i] = (float)(100 * (i % 2) + 10 * (i / 2 / 3) + i / 2 % 3);
	memset(line.dy, 0, sizeof(line.dy));
	run(&line, "flatten", "", (struct hl_shape){1, 1, 2, 3, 2}, true);
	const float expected[12] = {0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112};
	assert_memory_equal(line.y, expected, sizeof(expected));
	assert_int_equal(line.shapes.out.c, 12);
}

static void test_softmax_large(void **state)
{
	struct line line;
	(void)state;
	memcpy(line.x, (float[]){1000, 1000, -1000, -INFINITY}, 4 * sizeof(float));
	memset(line.dy, 0, sizeof(line.dy));
	run(&line, "softmax", "", (struct hl_shape){1, 1, 1, 1, 4}, true);
	assert_memory_equal(line.y, ((float[]){0.5F, 0.5F, 0, 0}), 4 * sizeof(float));
}

static void test_nan_passes_relu(void **state)
{
	struct line line;
	(void)state;
	line.x[0] = NAN;
	line.dy[0] = 1;
	run(&line, "relu", "", (struct hl_shape){1, 1, 1, 1, 1}, true);
	assert_true(isnan(line.y[0]));
	run(&line, "leakyrelu", "", (struct hl_shape){1, 1, 1, 1, 1}, true);
	assert_true(isnan(line.y[0]));
}

/* ---- back ends ------------------------------------------------------------------------------------------------ */

static void test_backends_narrowed(void **state)
{
	const struct hl_backend *const *list;
	(void)state;
	setenv("HILUM_BACKENDS", "nothing,reference,refer", 1);
	list = hl_backends();
	assert_ptr_equal(list[0], &hl_backend_reference);
	assert_null(list[1]);
	/* read once, so that a running program does not change its mind */
	setenv("HILUM_BACKENDS", "nothing", 1);
	assert_ptr_equal(hl_backends(), list);
	assert_ptr_equal(list[0], &hl_backend_reference);
}

/* A widened primitive takes two allocations; whichever fails, nothing leaks and out is left alone. */
static void test_no_memory(void **state)
{
	struct hl_infer shapes = {.inputs = 1, .in = {{1, 1, 4, 4, 3}}, .spatial = 2};
	const struct hl_op *op = hl_op_find("relu");
	struct hl_compile request = {.op = op, .shapes = &shapes, .type = HL_BF16, .threads = 1};
	int failures = 0;
	(void)state;
	assert_int_equal(op->infer(NULL, &shapes, NULL), HILUM_OK);
	for (int64_t countdown = 0; countdown < 5; countdown++) {
		struct hl_primitive *primitive = NULL;
		struct hilum_error error = {0};
		hl_memory_fail_after(countdown);
		enum hilum_status status = hl_backend_reference.compile(&request, &primitive, &error);
		hl_memory_fail_after(-1);
		if (status) {
			assert_int_equal(status, HILUM_ERROR_MEMORY);
			assert_int_equal(error.code, HILUM_ERROR_MEMORY);
			assert_null(primitive);
			failures++;
		} else {
			primitive->destroy(primitive);
		}
	}
	assert_int_equal(failures, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_shapes),
	    cmocka_unit_test(test_bf16),
	    cmocka_unit_test(test_convert),
	    cmocka_unit_test(test_axes),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_refused_past_the_table),
	    cmocka_unit_test(test_parameters),
	    cmocka_unit_test(test_maxpool_conventions),
	    cmocka_unit_test(test_average_leaves_padding_out),
	    cmocka_unit_test(test_dropout_words),
	    cmocka_unit_test(test_flatten_order),
	    cmocka_unit_test(test_softmax_large),
	    cmocka_unit_test(test_nan_passes_relu),
	    cmocka_unit_test(test_no_memory),
	    cmocka_unit_test(test_backends_narrowed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
