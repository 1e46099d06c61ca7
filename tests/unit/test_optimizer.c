/* Optimisers and schedules against PyTorch 1.13.1: five steps with falling rates on two parameters, one that decays. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <omp.h>

#include "base/memory.h"
#include "nn/optimizer.h"
#include "nn/schedule.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct hl_param params[3] = {
    {.name = "weight", .spec = {.trained = true, .decay = true}, .offset = 0, .count = 3},
    {.name = "bias", .spec = {.trained = true}, .offset = 16, .count = 2},
    {.name = "running_mean", .offset = 32, .count = 1},
};
static const struct hl_graph graph = {.params = 3, .param = params, .trained = 32, .floats = 48};

static const float gradients[5][5] = {{0.1F, -0.2F, 0.3F, 1.0F, -0.5F},
                                      {-0.4F, 0.25F, 0.0F, 0.2F, 0.1F},
                                      {0.05F, 0.6F, -0.7F, -0.3F, 0.9F},
                                      {1.5F, -0.1F, 0.2F, 0.0F, -0.25F},
                                      {-0.3F, 0.3F, 0.15F, 0.8F, 0.4F}};

static void start(float slab[48])
{
	const float weight[3] = {0.5F, -1.0F, 2.0F}, bias[2] = {0.1F, -0.3F};
	memset(slab, 0, 48 * sizeof(float));
	memcpy(slab, weight, sizeof(weight));
	memcpy(slab + 16, bias, sizeof(bias));
	slab[32] = 7;
}

static void step(struct hl_optimizer *optimizer, int i, const bool *skip, float *slab)
{
	float gradient[32] = {0};
	memcpy(gradient, gradients[i], 3 * sizeof(float));
	memcpy(gradient + 16, gradients[i] + 3, 2 * sizeof(float));
	hl_optimizer_step(optimizer, &graph, skip, 0.1 / (i + 1), slab, gradient);
}

static const struct {
	const char *name;
	struct hl_optimizer optimizer;
	double expected[5];
} cases[] = {
    {"sgd",
     {.kind = HL_OPTIMIZER_SGD},
     {0.4768333435058594, -1.0160000324249268, 1.9853333234786987, -0.01599999889731407, -0.2867499887943268}},
    {"sgd momentum",
     {.kind = HL_OPTIMIZER_SGD, .momentum = 0.9, .weight_decay = 0.05},
     {0.45225024223327637, -1.0105541944503784, 1.9331356287002563, -0.12070300430059433, -0.27188950777053833}},
    {"sgd nesterov",
     {.kind = HL_OPTIMIZER_SGD, .momentum = 0.9, .nesterov = true, .weight_decay = 0.05},
     {0.4283062219619751, -1.0144175291061401, 1.903230905532837, -0.21463270485401154, -0.2614505887031555}},
    {"adam",
     {.kind = HL_OPTIMIZER_ADAM, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.05},
     {0.41463354229927063, -0.9315841794013977, 1.85783052444458, -0.0736423134803772, -0.19650453329086304}},
    {"adamw",
     {.kind = HL_OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.05},
     {0.41652145981788635, -0.9394620060920715, 1.8617238998413086, -0.0736423134803772, -0.19650453329086304}},
};

static void test_pytorch(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct hl_optimizer optimizer = cases[i].optimizer;
		float slab[48];
		start(slab);
		assert_int_equal(hl_optimizer_init(&optimizer, &graph, NULL), HILUM_OK);
		for (int k = 0; k < 5; k++)
			step(&optimizer, k, NULL, slab);
		for (int k = 0; k < 5; k++) {
			double value = slab[k < 3 ? k : 13 + k];
			if (!(fabs(value - cases[i].expected[k]) < 5e-7))
				fail_msg("%s: value %d is %.9f, not %.9f", cases[i].name, k, value,
				         cases[i].expected[k]);
		}
		assert_true(slab[32] == 7);
		assert_int_equal(optimizer.step, 5);
		hl_optimizer_free(&optimizer);
	}
}

static void test_frozen(void **state)
{
	(void)state;
	const bool skip[3] = {true, false, false};
	struct hl_optimizer optimizer = cases[4].optimizer;
	float slab[48];
	start(slab);
	assert_int_equal(hl_optimizer_init(&optimizer, &graph, NULL), HILUM_OK);
	for (int k = 0; k < 5; k++)
		step(&optimizer, k, skip, slab);
	assert_true(slab[0] == 0.5F && slab[1] == -1.0F && slab[2] == 2.0F);
	assert_true(fabs((double)slab[16] - cases[4].expected[3]) < 5e-7);
	hl_optimizer_free(&optimizer);
}

static void test_average(void **state)
{
	(void)state;
	struct hl_optimizer optimizer = {.kind = HL_OPTIMIZER_SGD, .ema = 0.25};
	float slab[48];
	double expected = 0;
	start(slab);
	assert_int_equal(hl_optimizer_init(&optimizer, &graph, NULL), HILUM_OK);
	for (int k = 0; k < 5; k++) {
		slab[32] = (float)k; /* running statistics are averaged too */
		step(&optimizer, k, NULL, slab);
		double keep = k == 0 ? 0 : fmin(0.25, (1.0 + k) / (10.0 + k));
		expected = keep * expected + (1 - keep) * (double)slab[0];
	}
	assert_true(fabs((double)optimizer.average[0] - expected) < 1e-6);
	assert_true(optimizer.average[32] > 2 && optimizer.average[32] < 4);
	hl_optimizer_free(&optimizer);
	assert_null(optimizer.average);
}

static void test_memory(void **state)
{
	(void)state;
	for (int64_t k = 0; k < 3; k++) {
		struct hl_optimizer optimizer = {.kind = HL_OPTIMIZER_ADAM, .ema = 0.9};
		struct hilum_error error;
		hl_memory_fail_after(k);
		assert_int_equal(hl_optimizer_init(&optimizer, &graph, &error), HILUM_ERROR_MEMORY);
		hl_memory_fail_after(-1);
		hl_optimizer_free(&optimizer);
	}
}

static void test_clip(void **state)
{
	(void)state;
	float g[4] = {3, -4, 12, 0};
	assert_true(hl_gradient_clip(g, 4, 0) == 13 && g[2] == 12.0F);
	assert_true(hl_gradient_clip(g, 4, 20) == 13 && g[2] == 12.0F);
	assert_true(hl_gradient_clip(g, 4, 2) == 13);
	assert_true(fabsf(g[0] - 0.4615384F) < 1e-6F && fabsf(g[1] + 0.6153846F) < 1e-6F && g[3] == 0);
	assert_true(hl_gradient_clip(g, 0, 1) == 0);
	float bad[2] = {INFINITY, 1};
	assert_true(isinf(hl_gradient_clip(bad, 2, 1)) && bad[1] == 1.0F);
}

/* Parameters of many pieces, and lengths that leave a rest of each: every float as it would be alone, and the gaps left
 * alone, with any number of threads. */
#define LARGE 100003
#define NEXT 100016
#define FLOATS (NEXT + 48)

static void large_step(struct hl_optimizer *optimizer, int32_t threads, float *slab, float *average)
{
	static struct hl_param large[3] = {
	    {.spec = {.trained = true, .decay = true}, .offset = 0, .count = LARGE},
	    {.spec = {.trained = true}, .offset = NEXT, .count = 17},
	    {.offset = NEXT + 32, .count = 3},
	};
	static const struct hl_graph whole = {.params = 3, .param = large, .trained = NEXT + 32, .floats = FLOATS};
	float *gradient = calloc(FLOATS, sizeof(*gradient));
	for (int i = 0; i < FLOATS; i++)
		slab[i] = i < LARGE || i >= NEXT ? (float)(i % 5 + 1) : 7;
	assert_int_equal(hl_optimizer_init(optimizer, &whole, NULL), HILUM_OK);
	omp_set_num_threads(threads);
	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < FLOATS; i++)
			gradient[i] = gradients[k][i % 5];
		hl_optimizer_step(optimizer, &whole, NULL, 0.1, slab, gradient);
	}
	if (optimizer->average)
		memcpy(average, optimizer->average, FLOATS * sizeof(*average));
	hl_optimizer_free(optimizer);
	free(gradient);
}

static void test_large(void **state)
{
	(void)state;
	float *one = calloc(4 * FLOATS, sizeof(*one)), *many = one + FLOATS;
	float *average = many + FLOATS, *averages = average + FLOATS;
	for (size_t c = 0; c < COUNT(cases); c++) {
		struct hl_optimizer optimizer = cases[c].optimizer;
		optimizer.ema = 0.5;
		large_step(&optimizer, 1, one, average);
		large_step(&optimizer, 3, many, averages);
		assert_memory_equal(one, many, FLOATS * sizeof(*one));
		assert_memory_equal(average, averages, FLOATS * sizeof(*one));
		for (int i = 0; i < FLOATS; i++) {
			/* Only the first parameter decays. */
			int like = i < LARGE ? i % 5 : NEXT + (i - NEXT) % 5;
			bool gap = (i >= LARGE && i < NEXT) || i >= NEXT + 17;
			if (gap)
				assert_true(one[i] == (i < NEXT ? 7.0F : (float)(i % 5 + 1)));
			else
				assert_true(one[i] == one[like] && average[i] == average[like] && one[i] != 7.0F);
		}
		assert_true(average[NEXT + 32] == one[NEXT + 32]);
	}
	free(one);
}

static void test_norm(void **state)
{
	(void)state;
	float *g = calloc(LARGE, sizeof(*g)), *copy = calloc(LARGE, sizeof(*copy));
	double sum = 0, norm;
	for (int i = 0; i < LARGE; i++) {
		g[i] = copy[i] = (float)(i % 17 - 8) * 0.01F;
		sum += (double)g[i] * (double)g[i];
	}
	omp_set_num_threads(1);
	norm = hl_gradient_clip(g, LARGE, 1);
	assert_true(fabs(norm - sqrt(sum)) < 1e-9);
	for (int i = 0; i < LARGE; i++)
		assert_true(fabs((double)g[i] * norm - (double)copy[i]) < 1e-7);
	omp_set_num_threads(3);
	assert_true(hl_gradient_clip(copy, LARGE, 1) == norm);
	assert_memory_equal(g, copy, LARGE * sizeof(*g));
	free(g);
	free(copy);
}

static void compare(const struct hl_schedule *schedule, const double *expected, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		if (!(fabs(hl_schedule_at(schedule, i) - expected[i]) < 1e-15))
			fail_msg("schedule %d, step %d: %.17g, not %.17g", (int)schedule->kind, (int)i,
			         hl_schedule_at(schedule, i), expected[i]);
}

static void test_schedules(void **state)
{
	(void)state;
	const double cosine[8] = {0.02,
	                          0.019238795325112867,
	                          0.017071067811865473,
	                          0.013826834323650897,
	                          0.009999999999999998,
	                          0.006173165676349102,
	                          0.002928932188134525,
	                          0.0007612046748871325};
	const double onecycle[10] = {0.0007999999999999986,
	                             0.0104,
	                             0.02,
	                             0.019009692640269475,
	                             0.016234913078995262,
	                             0.012225240438725785,
	                             0.007774839561274216,
	                             0.00376516692100474,
	                             0.0009903873597305257,
	                             8e-08};
	const double fall[7] = {0.02, 0.02, 0.02, 0.002, 0.002, 0.002, 0.0002};
	const double warm[6] = {0.005, 0.01, 0.015, 0.02, 0.02, 0.02};
	compare(&(struct hl_schedule){.kind = HL_SCHEDULE_COSINE, .lr = 0.02, .steps = 8}, cosine, 8);
	compare(&(struct hl_schedule){.kind = HL_SCHEDULE_ONECYCLE, .lr = 0.02, .steps = 10}, onecycle, 10);
	compare(&(struct hl_schedule){.kind = HL_SCHEDULE_STEP, .lr = 0.02, .step_every = 3, .step_factor = 0.1}, fall,
	        7);
	compare(&(struct hl_schedule){.kind = HL_SCHEDULE_CONSTANT, .lr = 0.02, .steps = 6, .warmup = 4}, warm, 6);
	/* After a warm-up of two steps the cosine runs over the rest. */
	struct hl_schedule late = {.kind = HL_SCHEDULE_COSINE, .lr = 0.02, .steps = 10, .warmup = 2};
	assert_true(hl_schedule_at(&late, 0) == 0.01);
	for (int64_t i = 0; i < 8; i++)
		assert_true(fabs(hl_schedule_at(&late, i + 2) - cosine[i]) < 1e-15);
}

static void test_schedule_edges(void **state)
{
	(void)state;
	for (int kind = HL_SCHEDULE_CONSTANT; kind <= HL_SCHEDULE_ONECYCLE; kind++)
		for (int64_t steps = 1; steps < 4; steps++)
			for (int64_t warmup = 0; warmup <= steps; warmup++)
				for (int64_t at = 0; at < steps; at++) {
					struct hl_schedule schedule = {.kind = kind,
					                               .lr = 1,
					                               .steps = steps,
					                               .warmup = warmup,
					                               .step_factor = 0.1};
					double lr = hl_schedule_at(&schedule, at);
					assert_true(lr > 0 && lr <= 1);
				}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pytorch), cmocka_unit_test(test_frozen), cmocka_unit_test(test_average),
	    cmocka_unit_test(test_memory),  cmocka_unit_test(test_clip),   cmocka_unit_test(test_schedules),
	    cmocka_unit_test(test_large),   cmocka_unit_test(test_norm),   cmocka_unit_test(test_schedule_edges),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
