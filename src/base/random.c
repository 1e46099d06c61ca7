#include "base/random.h"

#include <math.h>
#include <string.h>

/* Salmon et al. 2011, section 4.2: the multipliers and the Weyl increments of the key. */
#define MULTIPLIER_0 UINT32_C(0xD2511F53)
#define MULTIPLIER_1 UINT32_C(0xCD9E8D57)
#define WEYL_0 UINT32_C(0x9E3779B9)
#define WEYL_1 UINT32_C(0xBB67AE85)
#define ROUNDS 10

static void philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
	uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t p0 = (uint64_t)MULTIPLIER_0 * c0, p1 = (uint64_t)MULTIPLIER_1 * c2;
		c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
		c1 = (uint32_t)p1;
		c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
		c3 = (uint32_t)p0;
		k0 += WEYL_0;
		k1 += WEYL_1;
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

/* The low two words of the counter count blocks; the purpose lies in their top 8 bits. */
static void advance(uint32_t counter[4], uint64_t blocks)
{
	uint64_t low = ((uint64_t)counter[1] << 32 | counter[0]) + blocks;
	counter[0] = (uint32_t)low;
	counter[1] = (uint32_t)(low >> 32);
}

struct hl_random hl_random_stream(uint64_t seed, uint32_t epoch, uint32_t sample, enum hl_purpose purpose)
{
	/* Every (epoch, sample, purpose) is a disjoint range of 2^56 counters under the seed's key, so that no two
	 * streams of one seed can meet. */
	return (struct hl_random){
	    .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
	    .counter = {0, (uint32_t)purpose << 24, epoch, sample},
	    .used = 4,
	};
}

uint32_t hl_random_u32(struct hl_random *random)
{
	if (random->used >= 4) {
		philox(random->key, random->counter, random->block);
		advance(random->counter, 1);
		random->used = 0;
	}
	return random->block[random->used++];
}

static uint64_t bits53(struct hl_random *random)
{
	uint64_t high = hl_random_u32(random), low = hl_random_u32(random);
	return (high << 32 | low) >> 11;
}

double hl_random_uniform(struct hl_random *random)
{
	return (double)bits53(random) * 0x1p-53;
}

double hl_random_range(struct hl_random *random, double low, double high)
{
	double value = low + (high - low) * hl_random_uniform(random);
	/* Rounding can reach high itself. */
	return value < high ? value : low;
}

uint32_t hl_random_below(struct hl_random *random, uint32_t bound)
{
	/* Lemire, "Fast random integer generation in an interval", 2019, algorithm 5. */
	if (bound == 0)
		return 0;
	uint64_t product = (uint64_t)hl_random_u32(random) * bound;
	if ((uint32_t)product < bound) {
		uint32_t threshold = -bound % bound;
		while ((uint32_t)product < threshold)
			product = (uint64_t)hl_random_u32(random) * bound;
	}
	return (uint32_t)(product >> 32);
}

/* log in plain arithmetic: a C library's own differs in the last bit between processors with and without fused
 * multiply-add. Only for normal numbers above 0. */
static double plain_log(double x)
{
	uint64_t bits;
	memcpy(&bits, &x, sizeof bits);
	int exponent = (int)(bits >> 52) - 1023;
	bits = (bits & UINT64_C(0xFFFFFFFFFFFFF)) | UINT64_C(1023) << 52;
	memcpy(&x, &bits, sizeof x);
	if (x > 1.4142135623730951) {
		x /= 2;
		exponent++;
	}
	double s = (x - 1) / (x + 1), square = s * s, sum = 0;
	for (int k = 23; k >= 1; k -= 2)
		sum = sum * square + 1.0 / k;
	return exponent * 0.69314718055994530942 + 2 * s * sum;
}

static double ratio(double x, const double over[8], const double under[8])
{
	double a = over[7], b = under[7];
	for (int k = 6; k >= 0; k--) {
		a = a * x + over[k];
		b = b * x + under[k];
	}
	return a / b;
}

/* The normal quantile by Wichura, algorithm AS 241 (PPND16), 1988: about 1 part in 10^16. One draw of 53 bits gives one
 * normal, so that the place in the stream never depends on the values drawn. */
double hl_normal_quantile(double p)
{
	static const double a[8] = {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
	                            1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
	                            3.3430575583588128105e4, 2.5090809287301226727e3};
	static const double b[8] = {1.0,
	                            4.2313330701600911252e1,
	                            6.8718700749205790830e2,
	                            5.3941960214247511077e3,
	                            2.1213794301586595867e4,
	                            3.9307895800092710610e4,
	                            2.8729085735721942674e4,
	                            5.2264952788528545610e3};
	static const double c[8] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
	                            3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
	                            2.27238449892691845833e-2, 7.74545014278341407640e-4};
	static const double d[8] = {1.0,
	                            2.05319162663775882187e0,
	                            1.67638483018380384940e0,
	                            6.89767334985100004550e-1,
	                            1.48103976427480074590e-1,
	                            1.51986665636164571966e-2,
	                            5.47593808499534494600e-4,
	                            1.05075007164441684324e-9};
	static const double e[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
	                            2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
	                            2.71155556874348757815e-5, 2.01033439929228813265e-7};
	static const double f[8] = {1.0,
	                            5.99832206555887937690e-1,
	                            1.36929880922735805310e-1,
	                            1.48753612908506148525e-2,
	                            7.86869131145613259100e-4,
	                            1.84631831751005468180e-5,
	                            1.42151175831644588870e-7,
	                            2.04426310338993978564e-15};
	double q = p - 0.5;
	if (fabs(q) <= 0.425)
		return q * ratio(0.180625 - q * q, a, b);
	double r = sqrt(-plain_log(q < 0 ? p : 1 - p));
	double value = r <= 5 ? ratio(r - 1.6, c, d) : ratio(r - 5, e, f);
	return q < 0 ? -value : value;
}

double hl_random_normal(struct hl_random *random)
{
	/* The middle of each of 2^52 cells: never 0 or 1, and exact. */
	return hl_normal_quantile(((double)(bits53(random) >> 1) + 0.5) * 0x1p-52);
}

void hl_random_shuffle(struct hl_random *random, uint32_t *items, uint32_t count)
{
	for (uint32_t i = count; i > 1; i--) {
		uint32_t j = hl_random_below(random, i), swap = items[j];
		items[j] = items[i - 1];
		items[i - 1] = swap;
	}
}

void hl_random_fill(const struct hl_random *start, uint64_t offset, uint32_t *out, uint64_t count)
{
	struct hl_random random = *start;
	uint64_t left = random.used < 4 ? 4 - random.used : 0;
	if (offset < left) {
		random.used += (unsigned)offset;
	} else {
		advance(random.counter, (offset - left) / 4);
		random.used = 4;
		for (uint64_t skip = (offset - left) % 4; skip > 0; skip--)
			hl_random_u32(&random);
	}
	uint64_t i = 0;
	while (i < count && random.used < 4)
		out[i++] = hl_random_u32(&random);
	for (; count - i >= 4; i += 4) {
		philox(random.key, random.counter, out + i);
		advance(random.counter, 1);
	}
	while (i < count)
		out[i++] = hl_random_u32(&random);
}
