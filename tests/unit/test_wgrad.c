/* The weight gradient's kernels against plain sums, on sizes that leave a rest everywhere: each kernel that this
 * processor has, both types, and the same bits at any number of threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/memory.h"
#include "base/random.h"
#include "nn/backends/weight_gradient.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct sample {
	struct hl_shape in;
	int64_t filters;
	struct hl_axes size, stride, pad, dilation;
};

#define ONE                                                                                                            \
	{                                                                                                              \
		1, 1, 1                                                                                                \
	}
#define NONE                                                                                                           \
	{                                                                                                              \
		0, 0, 0                                                                                                \
	}

static const struct sample samples[] = {
    /* outputs: one vector, its rest, several, several blocks and a rest */
    {{2, 1, 6, 5, 8}, 1, {1, 3, 3}, ONE, {0, 1, 1}, ONE},
    {{2, 1, 6, 5, 7}, 17, {1, 3, 3}, ONE, {0, 1, 1}, ONE},
    {{2, 1, 6, 5, 12}, 48, {1, 3, 3}, ONE, {0, 1, 1}, ONE},
    {{2, 1, 5, 6, 13}, 33, {1, 3, 3}, ONE, {0, 1, 1}, ONE},
    {{2, 1, 5, 6, 33}, 139, {1, 3, 3}, ONE, {0, 1, 1}, ONE},
    /* inputs: each number up to the run of a tile, and parts of many */
    {{2, 1, 5, 4, 1}, 20, {1, 2, 2}, ONE, NONE, ONE},
    {{2, 1, 5, 4, 2}, 9, {1, 3, 4}, ONE, {0, 1, 2}, ONE},
    {{2, 1, 5, 4, 3}, 64, {1, 3, 3}, ONE, {0, 1, 1}, ONE},
    {{2, 1, 9, 11, 3}, 32, {1, 7, 7}, {1, 2, 2}, {0, 3, 3}, ONE},
    {{2, 1, 5, 4, 5}, 40, {1, 3, 2}, ONE, {0, 1, 0}, ONE},
    {{1, 1, 4, 5, 70}, 66, {1, 3, 3}, ONE, {0, 1, 1}, ONE},
    {{1, 1, 4, 5, 40}, 80, {1, 3, 3}, ONE, {0, 1, 1}, ONE},
    {{2, 1, 4, 4, 130}, 24, {1, 1, 3}, ONE, {0, 0, 1}, ONE},
    /* pairs: of images, of rows, and the last row alone */
    {{1, 1, 7, 5, 9}, 18, {1, 3, 3}, ONE, {0, 1, 1}, ONE},
    {{3, 1, 8, 5, 9}, 18, {1, 3, 3}, {1, 2, 1}, {0, 1, 1}, ONE},
    {{1, 1, 1, 9, 6}, 5, {1, 1, 3}, ONE, NONE, ONE},
    /* one channel by 3 x 3 */
    {{2, 1, 7, 9, 1}, 30, {1, 3, 3}, ONE, {0, 1, 1}, ONE},
    {{3, 1, 7, 9, 1}, 8, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 2, 1}},
    {{2, 4, 5, 6, 1}, 32, {3, 3, 3}, ONE, {1, 1, 1}, ONE},
    /* stride, dilation, padding, depth */
    {{2, 1, 9, 8, 20}, 36, {1, 1, 1}, {1, 2, 2}, NONE, ONE},
    {{2, 1, 9, 8, 20}, 36, {1, 1, 1}, {1, 3, 2}, {0, 1, 1}, ONE},
    {{3, 1, 8, 9, 64}, 128, {1, 1, 1}, ONE, NONE, ONE},
    {{2, 1, 12, 11, 6}, 10, {1, 3, 3}, {1, 2, 3}, {0, 3, 2}, {1, 2, 2}},
    {{2, 1, 30, 6, 7}, 16, {1, 3, 2}, ONE, {0, 9, 0}, {1, 11, 1}},
    {{2, 5, 6, 7, 10}, 35, {3, 3, 3}, {2, 1, 2}, {1, 1, 1}, ONE},
    {{1, 6, 5, 5, 7}, 9, {2, 2, 2}, {1, 2, 1}, {1, 1, 1}, {2, 1, 3}},
    /* filters that lie in the padding with some taps at every place */
    {{2, 1, 2, 2, 6}, 7, {1, 5, 5}, ONE, {0, 2, 2}, ONE},
    /* several groups of places, chunks and shards */
    {{2, 1, 40, 200, 6}, 20, {1, 3, 3}, ONE, {0, 1, 1}, ONE},
    {{3, 1, 33, 170, 3}, 16, {1, 3, 3}, ONE, {0, 1, 1}, ONE},
    {{2, 1, 48, 90, 1}, 17, {1, 3, 3}, ONE, {0, 1, 1}, ONE},
    {{2, 2, 200, 100, 4}, 16, {1, 1, 3}, ONE, NONE, ONE},
    {{4, 3, 20, 20, 16}, 65, {2, 2, 2}, ONE, {0, 0, 1}, ONE},
};

static int64_t places(int64_t in, int64_t size, int64_t stride, int64_t pad, int64_t dilation)
{
	return (in + 2 * pad - (size - 1) * dilation - 1) / stride + 1;
}

static struct hl_shape shape_out(const struct sample *s)
{
	return (struct hl_shape){s->in.n, places(s->in.d, s->size.d, s->stride.d, s->pad.d, s->dilation.d),
	                         places(s->in.h, s->size.h, s->stride.h, s->pad.h, s->dilation.h),
	                         places(s->in.w, s->size.w, s->stride.w, s->pad.w, s->dilation.w), s->filters};
}

/* NaN before it is written. */
static void *block(size_t bytes)
{
	void *memory = NULL;
	assert_int_equal(posix_memalign(&memory, 64, bytes), 0);
	memset(memory, 0xff, bytes);
	return memory;
}

/* Memory that ends where a page begins that must not be touched: sanitizers do not see all vector loads. */
struct guarded {
	char *pages, *data;
	size_t bytes;
};

static struct guarded guarded_open(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
	struct guarded g = {.bytes = whole + page};
	g.pages = mmap(NULL, g.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(g.pages != MAP_FAILED);
	assert_int_equal(mprotect(g.pages + whole, page, PROT_NONE), 0);
	g.data = g.pages + whole - bytes;
	return g;
}

static void guarded_close(struct guarded g)
{
	munmap(g.pages, g.bytes);
}

/* A tensor of random numbers of a type, and the numbers themselves. */
static struct guarded tensor(struct hl_shape shape, enum hl_type type, uint64_t seed, float **values)
{
	struct hl_random random = hl_random_stream(seed, 0, 0, HL_RANDOM_TEST);
	int64_t count = hl_shape_count(shape);
	struct guarded tensor = guarded_open((size_t)count * hl_type_size(type));
	*values = block((size_t)count * sizeof(float));
	for (int64_t i = 0; i < count; i++)
		(*values)[i] = (float)hl_random_range(&random, -1, 1);
	hl_convert(*values, HL_F32, tensor.data, type, count);
	hl_convert(tensor.data, type, *values, HL_F32, count);
	return tensor;
}

static bool inside(const struct sample *s, int64_t d, int64_t h, int64_t w)
{
	return d >= 0 && d < s->in.d && h >= 0 && h < s->in.h && w >= 0 && w < s->in.w;
}

/* sum[o][i] for one tap, and the sum of what was added, all positive. */
static void tap_sums(const struct sample *s, const float *x, const float *dy, struct hl_axes tap, double *sum,
                     double *size)
{
	struct hl_shape in = s->in, out = shape_out(s);
	memset(sum, 0, (size_t)(out.c * in.c) * sizeof(*sum));
	memset(size, 0, (size_t)(out.c * in.c) * sizeof(*size));
	for (int64_t p = 0; p < out.n * out.d * out.h * out.w; p++) {
		int64_t w = p % out.w * s->stride.w - s->pad.w + tap.w * s->dilation.w;
		int64_t h = p / out.w % out.h * s->stride.h - s->pad.h + tap.h * s->dilation.h;
		int64_t d = p / out.w / out.h % out.d * s->stride.d - s->pad.d + tap.d * s->dilation.d;
		int64_t n = p / out.w / out.h / out.d;
		if (!inside(s, d, h, w))
			continue;
		for (int64_t o = 0; o < out.c; o++)
			for (int64_t i = 0; i < in.c; i++) {
				double a = dy[p * out.c + o],
				       b = x[(((n * in.d + d) * in.h + h) * in.w + w) * in.c + i];
				sum[o * in.c + i] += a * b;
				size[o * in.c + i] += fabs(a * b);
			}
	}
}

/* The worst error as a share of what was added up; infinite where there is no number. */
static double worst_weight(const struct sample *s, const float *x, const float *dy, const float *dweight)
{
	int64_t taps = s->size.d * s->size.h * s->size.w, cells = s->filters * s->in.c;
	double *sum = block((size_t)cells * sizeof(*sum)), *size = block((size_t)cells * sizeof(*size)), worst = 0;
	for (int64_t tap = 0; tap < taps; tap++) {
		struct hl_axes at = {tap / s->size.w / s->size.h, tap / s->size.w % s->size.h, tap % s->size.w};
		tap_sums(s, x, dy, at, sum, size);
		for (int64_t k = 0; k < cells; k++) {
			double got = (double)dweight[k * taps + tap];
			worst = fmax(worst, isnan(got) ? INFINITY : fabs(got - sum[k]) / (size[k] + 1e-30));
		}
	}
	free(sum);
	free(size);
	return worst;
}

static double worst_bias(const struct sample *s, const float *dy, const float *dbias)
{
	int64_t count = hl_shape_count(shape_out(s)) / s->filters;
	double worst = 0;
	for (int64_t o = 0; o < s->filters; o++) {
		double sum = 0, size = 0;
		for (int64_t p = 0; p < count; p++) {
			sum += (double)dy[p * s->filters + o];
			size += fabs((double)dy[p * s->filters + o]);
		}
		worst = fmax(worst, isnan(dbias[o]) ? INFINITY : fabs((double)dbias[o] - sum) / size);
	}
	return worst;
}

/* Weights, then biases; NULL where the kernel cannot run. */
static float *gradient(const struct sample *s, enum hl_type type, enum hl_wgrad_kernel kernel, int32_t threads,
                       const void *in, const void *dout)
{
	struct hl_wgrad g = {.in = s->in,
	                     .out = shape_out(s),
	                     .window = {.size = s->size, .stride = s->stride, .pad = s->pad, .dilation = s->dilation},
	                     .type = type,
	                     .threads = threads,
	                     .kernel = kernel};
	int64_t weights = s->filters * s->in.c * s->size.d * s->size.h * s->size.w;
	if (!hl_wgrad_plan(&g))
		return NULL;
	float *result = block((size_t)(weights + s->filters) * sizeof(float));
	void *scratch = block(g.scratch);
	hl_wgrad_run(&g, in, dout, result, result + weights, scratch);
	free(scratch);
	return result;
}

static void check(const struct sample *s, size_t index, enum hl_type type, enum hl_wgrad_kernel kernel)
{
	float *x, *dy;
	struct guarded in = tensor(s->in, type, index, &x), dout = tensor(shape_out(s), type, index + 1000, &dy);
	int64_t weights = s->filters * s->in.c * s->size.d * s->size.h * s->size.w;
	float *one = gradient(s, type, kernel, 1, in.data, dout.data);
	assert_non_null(one);
	double weight = worst_weight(s, x, dy, one), bias = worst_bias(s, dy, one + weights);
	/* Two bfloat16 lose up to 2^-18 of a number, and three products of four the least. */
	double limit = kernel == HL_WGRAD_AMX && type == HL_F32 ? 0x1p-16 : 1e-6;
	if (!(weight < limit && bias < limit))
		fail_msg("sample %zu, %s, kernel %d: error %g of weights, %g of biases", index,
		         type == HL_BF16 ? "bf16" : "fp32", (int)kernel, weight, bias);
	for (int32_t threads = 2; threads <= 13; threads += 11) {
		float *many = gradient(s, type, kernel, threads, in.data, dout.data);
		if (memcmp(one, many, (size_t)(weights + s->filters) * sizeof(float)) != 0)
			fail_msg("sample %zu, %s, kernel %d: %d threads give other bits", index,
			         type == HL_BF16 ? "bf16" : "fp32", (int)kernel, (int)threads);
		free(many);
	}
	free(one);
	free(x);
	free(dy);
	guarded_close(in);
	guarded_close(dout);
}

static void check_all(enum hl_wgrad_kernel kernel, bool present)
{
	if (!present)
		skip();
	for (size_t i = 0; i < COUNT(samples); i++)
		for (int type = HL_F32; type <= HL_BF16; type++)
			check(&samples[i], i, (enum hl_type)type, kernel);
}

static void test_avx2(void **state)
{
	(void)state;
	check_all(HL_WGRAD_AVX2, hl_cpu_describe().avx2);
}

static void test_avx512(void **state)
{
	(void)state;
	check_all(HL_WGRAD_AVX512, hl_cpu_describe().avx512);
}

static void test_avx512_bf16(void **state)
{
	(void)state;
	check_all(HL_WGRAD_AVX512_BF16, hl_cpu_describe().avx512_bf16);
}

/* On the processor's tiles where there are any, and emulated. */
static void test_amx(void **state)
{
	(void)state;
	if (!hl_cpu_describe().avx512_bf16)
		skip();
	if (hl_cpu_describe().amx)
		check_all(HL_WGRAD_AMX, true);
	setenv("HILUM_CPU", "amx-emulated", 1);
	check_all(HL_WGRAD_AMX, hl_cpu_describe().amx);
	unsetenv("HILUM_CPU");
}

/* What the processor lacks is refused; the best that it has is not. */
static void test_choice(void **state)
{
	(void)state;
	struct hl_cpu cpu = hl_cpu_describe();
	const bool present[] = {cpu.avx2, cpu.avx2, cpu.avx512, cpu.avx512_bf16, cpu.amx};
	for (int kernel = HL_WGRAD_BEST; kernel <= HL_WGRAD_AMX; kernel++) {
		struct hl_wgrad g = {.in = samples[0].in,
		                     .out = shape_out(&samples[0]),
		                     .window = {.size = {1, 3, 3}, .stride = ONE, .pad = {0, 1, 1}, .dilation = ONE},
		                     .threads = 1,
		                     .kernel = (enum hl_wgrad_kernel)kernel};
		assert_int_equal(hl_wgrad_plan(&g), present[kernel]);
		assert_true(g.kernel != HL_WGRAD_BEST);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_avx2), cmocka_unit_test(test_avx512), cmocka_unit_test(test_avx512_bf16),
	    cmocka_unit_test(test_amx),  cmocka_unit_test(test_choice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
