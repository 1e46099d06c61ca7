/* Losses against PyTorch 1.13.1 (float64 cross_entropy, binary_cross_entropy_with_logits) and finite differences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "nn/loss.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const float logit[5] = {0.3F, -1.2F, 2.5F, -0.7F, 4.0F};
static const float soft[5] = {1, 0, 0, 1, 0.25F}, hard[5] = {1, 0, 0, 1, 0};
static const float logits[12] = {0.2F, -0.5F, 1.1F, 2.0F, 0.1F, -1.3F, -0.4F, 0.9F, 0.3F, 3.0F, -2.0F, 0.5F};
static const float one_hot[12] = {0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0};
static const float mixed[12] = {0.7F, 0.3F, 0, 0, 1, 0, 0.25F, 0.25F, 0.5F, 0, 0, 1};
static const double two[2] = {1, 2.5}, quarter[2] = {0.25, 0.75}, three[3] = {0.5, 2.0, 1.5};

static const struct {
	const char *name;
	struct hl_loss loss;
	const float *logits, *target;
	double value, gradient[12];
} cases[] = {
    {"bce",
     {HL_LOSS_BCE, 1, 0, 0, NULL},
     logit,
     soft,
     1.5035726845804753,
     {-0.08511149663766819, 0.04629504330019647, 0.1848283639957513, -0.13363755443363323, 0.14640275800758168}},
    {"bce weighted",
     {HL_LOSS_BCE, 1, 0, 0, two},
     logit,
     soft,
     2.0021963171805064,
     {-0.21277874159417048, 0.04629504330019647, 0.1848283639957513, -0.3340938860840831, 0.14505379226042484}},
    {"bce smoothed",
     {HL_LOSS_BCE, 1, 0.1, 0, NULL},
     logit,
     soft,
     1.4665726845804752,
     {-0.07511149663766821, 0.03629504330019647, 0.1748283639957513, -0.12363755443363322, 0.14140275800758167}},
    {"ce",
     {HL_LOSS_CE, 3, 0, 0, NULL},
     logits,
     one_hot,
     1.5827299561018042,
     {0.06319213692031987, 0.03138028650980539, -0.09457242343012529, -0.03928768718753328, 0.03151594968056861,
      0.007771737506964662, 0.03740807316669626, -0.11273868178738455, 0.07533060862068827, 0.22960574169105086,
      -0.2484529286818, 0.01884718699074917}},
    {"ce weighted",
     {HL_LOSS_CE, 3, 0, 0, three},
     logits,
     one_hot,
     2.0279580645022786,
     {0.06319213692031987, 0.03138028650980539, -0.09457242343012529, -0.01309589572917776, 0.010505316560189536,
      0.0025905791689882205, 0.04987743088892835, -0.1503182423831794, 0.10044081149425102, 0.3061409889214011,
      -0.3312705715757333, 0.025129582654332225}},
    {"ce weighted smoothed",
     {HL_LOSS_CE, 3, 0.1, 0, three},
     logits,
     one_hot,
     2.008627143038878,
     {0.059712224287871866, 0.01992050554858533, -0.07963272983645721, 0.00416589942707039, 0.001145091542443348,
      -0.0053109909695137425, 0.045437072081519626, -0.13419652319262898, 0.08875945111110933, 0.29315851151291,
      -0.3091171080787644, 0.015958596565854487}},
    {"ce soft",
     {HL_LOSS_CE, 3, 0, 0, NULL},
     logits,
     mixed,
     1.8664799561018044,
     {-0.11180786307968012, -0.043619713490194605, 0.15542757656987471, 0.21071231281246672, -0.21848405031943138,
      0.007771737506964662, -0.02509192683330374, 0.07476131821261545, -0.04966939137931173, 0.22960574169105086,
      0.0015470713182000097, -0.23115281300925083}},
    {"ce soft smoothed",
     {HL_LOSS_CE, 3, 0.2, 0, NULL},
     logits,
     mixed,
     1.8447299561018042,
     {-0.09347452974634679, -0.045286380156861275, 0.13876090990320802, 0.19404564614580005, -0.18515071698609806,
      -0.008894929159702004, -0.029258593499970405, 0.07059465154594878, -0.0413360580459784, 0.2129390750243842,
      -0.015119595348466656, -0.1978194796759175}},
    {"focal, one logit",
     {HL_LOSS_FOCAL, 1, 0, 2, quarter},
     logit,
     hard,
     0.3935149339890577,
     {-0.02886126589729232, 0.0017042796874039204, 0.056170153677734785, -0.09377908434506461, 0.05431979265424177}},
    {"focal, three logits",
     {HL_LOSS_FOCAL, 3, 0, 1.5, NULL},
     logits,
     one_hot,
     1.3351928166229563,
     {0.031929611606848395, 0.015855775879728525, -0.04778538748657693, -0.005813969582668368, 0.004663872727786225,
      0.0011500968548821416, 0.023732658320582488, -0.07152436326912721, 0.04779170494854471, 0.23828201907493016,
      -0.25784139828279556, 0.019559379207865466}},
};

static void test_pytorch(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t n = cases[i].loss.outputs == 1 ? 5 : 4, count = n * cases[i].loss.outputs;
		float gradient[12];
		double value = hl_loss_compute(&cases[i].loss, cases[i].logits, cases[i].target, n, gradient);
		if (!(fabs(value - cases[i].value) < 2e-7))
			fail_msg("%s: %.9f, not %.9f", cases[i].name, value, cases[i].value);
		for (int64_t k = 0; k < count; k++)
			if (!(fabs((double)gradient[k] - cases[i].gradient[k]) < 1e-7))
				fail_msg("%s: gradient %d is %.9f, not %.9f", cases[i].name, (int)k,
				         (double)gradient[k], cases[i].gradient[k]);
		/* The value does not depend on whether the gradient is asked for. */
		assert_true(value == hl_loss_compute(&cases[i].loss, cases[i].logits, cases[i].target, n, NULL));
	}
}

/* Focal loss with soft targets, smoothing and weights has no PyTorch counterpart. */
static void test_differences(void **state)
{
	(void)state;
	const struct hl_loss loss[] = {
	    {HL_LOSS_FOCAL, 3, 0.1, 2, three}, {HL_LOSS_FOCAL, 3, 0.1, 0.5, NULL}, {HL_LOSS_FOCAL, 1, 0.2, 1.5, two}};
	for (size_t i = 0; i < COUNT(loss); i++) {
		float z[12], gradient[12];
		memcpy(z, logits, sizeof(z));
		int64_t n = 12 / loss[i].outputs;
		hl_loss_compute(&loss[i], z, mixed, n, gradient);
		for (int k = 0; k < 12; k++) {
			float keep = z[k], h = 0x1p-8F;
			z[k] = keep + h;
			double up = hl_loss_compute(&loss[i], z, mixed, n, NULL);
			z[k] = keep - h;
			double down = hl_loss_compute(&loss[i], z, mixed, n, NULL);
			z[k] = keep;
			assert_true(fabs((up - down) / (2 * (double)h) - (double)gradient[k]) < 2e-5);
		}
	}
}

static void test_extremes(void **state)
{
	(void)state;
	const float z1[4] = {1000, -1000, 1000, -1000}, y1[4] = {1, 0, 0, 1};
	const float z3[6] = {1000, 0, -1000, -1000, 1000, 0}, y3[6] = {1, 0, 0, 1, 0, 0};
	for (double gamma = 0; gamma <= 2; gamma += 0.5) {
		enum hl_loss_kind kind = gamma > 0 ? HL_LOSS_FOCAL : HL_LOSS_BCE;
		float gradient[6];
		struct hl_loss loss = {kind, 1, 0, gamma, NULL};
		assert_true(fabs(hl_loss_compute(&loss, z1, y1, 4, gradient) - 500) < 1e-9);
		assert_true(gradient[0] == 0 && gradient[1] == 0);
		assert_true(fabsf(gradient[2] - 0.25F) < 1e-6F && fabsf(gradient[3] + 0.25F) < 1e-6F);
		loss = (struct hl_loss){gamma > 0 ? HL_LOSS_FOCAL : HL_LOSS_CE, 3, 0, gamma, NULL};
		assert_true(fabs(hl_loss_compute(&loss, z3, y3, 2, gradient) - 1000) < 1e-9);
		assert_true(gradient[0] == 0 && fabsf(gradient[3] + 0.5F) < 1e-6F);
	}
	/* A damaged logit is not hidden. */
	const float bad[1] = {NAN}, one[1] = {1};
	struct hl_loss loss = {HL_LOSS_BCE, 1, 0, 0, NULL};
	assert_true(isnan(hl_loss_compute(&loss, bad, one, 1, NULL)));
}

static void test_probabilities(void **state)
{
	(void)state;
	const float z[4] = {0, 2, -800, 800}, many[3] = {1000, 999, -1000};
	double p[8];
	hl_probabilities(z, 4, 1, p);
	assert_true(p[0] == 0.5 && p[1] == 0.5);
	assert_true(fabs(p[3] - 0.8807970779778823) < 1e-15 && fabs(p[2] - 0.11920292202211755) < 1e-15);
	assert_true(p[4] == 1 && p[5] < 1e-300 && p[7] == 1);
	hl_probabilities(many, 1, 3, p);
	assert_true(fabs(p[0] - 0.7310585786300049) < 1e-12 && fabs(p[0] + p[1] + p[2] - 1) < 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pytorch),
	    cmocka_unit_test(test_differences),
	    cmocka_unit_test(test_extremes),
	    cmocka_unit_test(test_probabilities),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
