#include "data/mixup.h"

#include <math.h>

/* Logarithm of a Gamma(shape, 1) deviate: Marsaglia & Tsang, "A simple method for generating gamma variables", ACM TOMS
 * 26 (2000); below shape 1 by their boost of section 6, in logarithms, where a small shape cannot underflow. */
static double log_gamma_deviate(double shape, struct hl_random *random)
{
	double boost = 0;
	if (shape < 1) {
		boost = log(1 - hl_random_uniform(random)) / shape;
		shape += 1;
	}
	double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
	for (;;) {
		double x = hl_random_normal(random), v = 1 + c * x;
		double u = 1 - hl_random_uniform(random); /* (0, 1] */
		if (v <= 0)
			continue;
		v = v * v * v;
		if (log(u) < x * x / 2 + d * (1 - v + log(v)))
			return log(d * v) + boost;
	}
}

void hl_mixup_draw(double alpha, uint64_t seed, uint32_t epoch, uint32_t step, uint32_t count, uint32_t *partner,
                   double *share)
{
	struct hl_random random = hl_random_stream(seed, epoch, step, HL_RANDOM_MIXUP);
	for (uint32_t i = 0; i < count; i++)
		partner[i] = i;
	hl_random_shuffle(&random, partner, count);
	for (uint32_t i = 0; i < count; i++) {
		/* X / (X + Y) of two Gamma deviates is Beta. */
		double x = log_gamma_deviate(alpha, &random), y = log_gamma_deviate(alpha, &random);
		share[i] = 1 / (1 + exp(y - x));
	}
}
