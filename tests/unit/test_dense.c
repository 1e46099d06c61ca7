/* Dense layers of every back end against the reference, on more inputs and samples than the loop over all ops can
 * afford: what is cut into pieces there, and the same bits at any number of threads. */
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
#include "nn/backend.h"
#include "nn/backends/avx512_dense.h"
#include "nn/ops/options.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	int64_t batch, inputs, units;
} samples[] = {
    {1, 5003, 13}, {2, 70, 9},     {3, 4133, 11},  {6, 2048, 4},  {7, 2081, 130}, {8, 4096, 5},
    {9, 65, 3},    {19, 2113, 70}, {33, 6161, 66}, {300, 600, 7}, {5, 33000, 12},
};

/* Memory that ends where a page begins that must not be touched. */
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
	memset(g.data, 0xff, bytes); /* NaN */
	return g;
}

static void fill(struct guarded g, int64_t count, enum hl_type type, uint64_t seed)
{
	struct hl_random random = hl_random_stream(seed, 0, 0, HL_RANDOM_TEST);
	for (int64_t i = 0; i < count; i++) {
		float value = (float)hl_random_range(&random, -1, 1);
		hl_convert(&value, HL_F32, g.data + (size_t)i * hl_type_size(type), type, 1);
	}
}

enum { IN, WEIGHT, BIAS, DOUT, OUT, DIN, DWEIGHT, DBIAS, ARRAYS };

struct run {
	struct guarded array[ARRAYS];
	int64_t count[ARRAYS];
	enum hl_type type[ARRAYS];
	struct hl_infer shapes;
	struct hl_dense_options options;
};

static void run_open(struct run *run, size_t index, enum hl_type type)
{
	int64_t batch = samples[index].batch, inputs = samples[index].inputs, units = samples[index].units;
	const int64_t counts[ARRAYS] = {batch * inputs, units * inputs, units,          batch * units,
	                                batch * units,  batch * inputs, units * inputs, units};
	*run = (struct run){.options = {.units = units, .bias = true},
	                    .shapes = {.inputs = 1, .in = {{batch, 1, 1, 1, inputs}}, .spatial = 2}};
	assert_int_equal(hl_op_find("dense")->infer(&run->options, &run->shapes, NULL), HILUM_OK);
	for (int k = 0; k < ARRAYS; k++) {
		bool activation = k == IN || k == DOUT || k == OUT || k == DIN;
		run->count[k] = counts[k];
		run->type[k] = activation ? type : HL_F32;
		run->array[k] = guarded_open((size_t)counts[k] * hl_type_size(run->type[k]));
		if (k < OUT)
			fill(run->array[k], counts[k], run->type[k], index * ARRAYS + (size_t)k);
	}
}

static void run_close(struct run *run)
{
	for (int k = 0; k < ARRAYS; k++)
		munmap(run->array[k].pages, run->array[k].bytes);
}

static struct hl_tensor tensor(const struct run *run, int array, struct hl_shape shape)
{
	return (struct hl_tensor){shape, run->type[array], run->array[array].data};
}

/* False where the back end has no dense layer. */
static bool compute(struct run *run, const struct hl_backend *backend, bool training, int32_t threads)
{
	struct hl_compile request = {.op = hl_op_find("dense"),
	                             .options = &run->options,
	                             .shapes = &run->shapes,
	                             .type = run->type[IN],
	                             .training = training,
	                             .want_din = {true},
	                             .want_dparam = true,
	                             .threads = threads};
	struct hl_tensor in = tensor(run, IN, run->shapes.in[0]), out = tensor(run, OUT, run->shapes.out);
	struct hl_tensor din = tensor(run, DIN, run->shapes.in[0]), dout = tensor(run, DOUT, run->shapes.out);
	float *param[2] = {(float *)(void *)run->array[WEIGHT].data, (float *)(void *)run->array[BIAS].data};
	float *dparam[2] = {(float *)(void *)run->array[DWEIGHT].data, (float *)(void *)run->array[DBIAS].data};
	struct hl_primitive *primitive;
	if (backend->compile(&request, &primitive, NULL))
		return false;
	void *scratch = hl_block_alloc(primitive->scratch + 1);
	struct hl_call call = {.shapes = &run->shapes,
	                       .options = &run->options,
	                       .in = {&in},
	                       .out = &out,
	                       .param = {param[0], param[1]},
	                       .dout = &dout,
	                       .din = {&din},
	                       .dparam = {dparam[0], dparam[1]},
	                       .scratch = scratch,
	                       .training = training};
	if (primitive->prepare)
		primitive->prepare(primitive, param);
	primitive->forward(primitive, &call);
	if (training)
		primitive->backward(primitive, &call);
	hl_block_free(scratch, primitive->scratch + 1);
	primitive->destroy(primitive);
	return true;
}

static double value(const struct run *run, int array, int64_t i)
{
	float result;
	hl_convert(run->array[array].data + (size_t)i * hl_type_size(run->type[array]), run->type[array], &result,
	           HL_F32, 1);
	return (double)result;
}

/* The largest difference as a share of the largest value; infinite where there is no number. */
static double difference(const struct run *a, const struct run *b, int array)
{
	double most = 0, worst = 0;
	for (int64_t i = 0; i < a->count[array]; i++) {
		double x = value(a, array, i), y = value(b, array, i);
		most = fmax(most, fabs(y));
		worst = fmax(worst, isnan(x) ? INFINITY : fabs(x - y));
	}
	return worst / most;
}

static void check(size_t index, const struct hl_backend *backend, enum hl_type type, bool training)
{
	struct run one, many, reference;
	/* bfloat16 has eight bits; and for inference, the weights have too. */
	double limit = type == HL_F32 ? 2e-6 : 1e-2;
	run_open(&one, index, type);
	run_open(&many, index, type);
	run_open(&reference, index, type);
	assert_true(compute(&reference, &hl_backend_reference, training, 1));
	if (compute(&one, backend, training, 1)) {
		for (int k = OUT; k < (training ? ARRAYS : OUT + 1); k++) {
			double got = difference(&one, &reference, k);
			if (!(got < limit))
				fail_msg("sample %zu, %s, %s, %s, array %d: %g", index, backend->name,
				         type == HL_BF16 ? "bf16" : "fp32", training ? "training" : "inference", k,
				         got);
		}
		for (int32_t threads = 2; threads <= 13; threads += 11) {
			assert_true(compute(&many, backend, training, threads));
			for (int k = OUT; k < (training ? ARRAYS : OUT + 1); k++)
				if (memcmp(one.array[k].data, many.array[k].data,
				           (size_t)one.count[k] * hl_type_size(one.type[k])) != 0)
					fail_msg("sample %zu, %s, %d threads, array %d: other bits", index,
					         backend->name, (int)threads, k);
		}
	}
	run_close(&one);
	run_close(&many);
	run_close(&reference);
}

static void test_dense(void **state)
{
	(void)state;
	for (const struct hl_backend *const *backend = hl_backends(); *backend; backend++)
		for (size_t i = 0; i < COUNT(samples) && *backend != &hl_backend_reference; i++)
			for (int k = 0; k < 4; k++)
				check(i, *backend, (enum hl_type)(k % 2), k < 2);
}

/* bfloat16 as everywhere else: ties, infinities, what is not a number, and a rest of any length. */
static void test_narrow(void **state)
{
	(void)state;
#if defined(__x86_64__)
	struct hl_random random = hl_random_stream(1, 0, 0, HL_RANDOM_TEST);
	if (!hl_cpu_describe().avx512)
		skip();
	for (int64_t count = 1; count < 2000; count += 37) {
		union {
			uint32_t bits[2000];
			float values[2000];
		} in;
		uint16_t out[2001];
		for (int64_t i = 0; i < count; i++) {
			in.bits[i] = hl_random_u32(&random);
			if (i % 3 == 0)
				in.bits[i] = (in.bits[i] & 0xffff0000U) | 0x8000U;
			if (i % 7 == 0)
				in.bits[i] |= 0x7f800000U;
		}
		out[count] = 77;
		hl_dense_narrow(in.values, HL_DENSE_LANES, count, out, HL_BF16);
		for (int64_t i = 0; i < count; i++)
			assert_int_equal(out[i], hl_bf16_from_f32(in.values[i]));
		assert_int_equal(out[count], 77);
	}
#else
	skip();
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_dense), cmocka_unit_test(test_narrow)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
