#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data/augment.h"
#include "data/flaw.h"
#include "data/mixup.h"

#define SIDE_MAX 65
#define BYTES_MAX (SIDE_MAX * SIDE_MAX * 3)

struct bench {
	struct hl_recipe recipe;
	uint8_t in[BYTES_MAX], out[BYTES_MAX];
	void *scratch;
	size_t bytes;
};

static void prepare(struct bench *bench, int32_t size, int32_t channels, int value)
{
	bench->recipe = (struct hl_recipe){.channels = channels, .size = size};
	bench->bytes = hl_recipe_bytes(&bench->recipe);
	bench->scratch = hl_alloc(hl_augment_scratch(&bench->recipe), 1);
	assert_non_null(bench->scratch);
	for (size_t i = 0; i < bench->bytes; i++)
		bench->in[i] = (uint8_t)(value >= 0 ? value : (int)(i * 7 + i / 11));
}

static void apply(struct bench *bench, const struct hl_augment *augment, uint32_t index)
{
	memset(bench->out, 0xa5, sizeof(bench->out));
	hl_augment_apply(augment, &bench->recipe, 42, 1, index, bench->in, bench->out, bench->scratch);
}

static struct hl_augment parsed(const char *text)
{
	struct hl_augment augment;
	struct hilum_error error;
	if (hl_augment_parse(text, &augment, &error))
		fail_msg("%s", error.message);
	return augment;
}

static void parses(void **state)
{
	(void)state;
	struct hl_augment augment = parsed("flip, rotate=15,noise=0.02");
	assert_true(augment.flip && augment.rotate == 15 && augment.noise == 0.02);
	assert_true(!augment.vflip && augment.zoom == 0 && augment.mixup == 0);
	augment = parsed("medium,mixup=0.4,flip=false,rotate=0");
	assert_true(!augment.flip && augment.rotate == 0 && augment.zoom == 0.1 && augment.mixup == 0.4);
	struct hl_augment none = parsed("none"), unset = parsed(NULL), strong = parsed("strong");
	assert_memory_equal(&none, &unset, sizeof(none));
	assert_true(strong.blur == 1 && strong.cutout == 0.2 && strong.rotate == 20 && !strong.vflip);
	static const char *const wrong[] = {
	    "",      "sideways",    "rotate",    "rotate=", "rotate=181", "rotate=x",  "noise=nan", "zoom=-0.1",
	    "flip,", "flip,,vflip", "mixup=1e9", "flip=2",  "flip,light", "shift=inf", "blur=11",   "cutout=1.0001"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct hl_augment untouched = {.rotate = 77};
		struct hilum_error error = {0};
		if (hl_augment_parse(wrong[i], &untouched, &error) != HILUM_ERROR_ARGUMENT)
			fail_msg("taken: \"%s\"", wrong[i]);
		assert_non_null(strstr(error.message, "--augment"));
		assert_true(untouched.rotate == 77);
	}
}

static void none_copies(void **state)
{
	(void)state;
	struct bench bench;
	struct hl_augment augment = parsed("none");
	prepare(&bench, 17, 3, -1);
	apply(&bench, &augment, 0);
	assert_memory_equal(bench.in, bench.out, bench.bytes);
	assert_int_equal(bench.out[bench.bytes], 0xa5);
	hl_free(bench.scratch);
}

/* Flips and quarter turns: each of the images reachable is one of the square's eight, all occur, none is resampled. */
static void turns_exactly(void **state)
{
	static const struct {
		const char *text;
		int reachable;
	} table[] = {{"flip", 2}, {"vflip", 2}, {"flip,vflip", 4}, {"quarter", 4}, {"flip,vflip,quarter", 8}};
	(void)state;
	for (size_t t = 0; t < sizeof(table) / sizeof(table[0]); t++) {
		for (int32_t size = 1; size <= 8; size += 7) {
			struct bench bench;
			struct hl_augment augment = parsed(table[t].text);
			int seen = 0;
			prepare(&bench, size, 3, -1);
			for (uint32_t index = 0; index < 200; index++) {
				int found = -1;
				apply(&bench, &augment, index);
				for (int k = 0; k < 8 && found < 0; k++) {
					bool same = true;
					for (int32_t y = 0; y < size; y++) {
						for (int32_t x = 0; x < size; x++) {
							int32_t u = k & 1 ? size - 1 - x : x,
							        v = k & 2 ? size - 1 - y : y;
							int32_t from = k & 4 ? u * size + v : v * size + u;
							same = same && !memcmp(bench.out + 3 * (y * size + x),
							                       bench.in + 3 * from, 3);
						}
					}
					found = same ? k : -1;
				}
				assert_true(found >= 0);
				seen |= 1 << found;
			}
			assert_int_equal(__builtin_popcount((unsigned)seen), size == 1 ? 1 : table[t].reachable);
			hl_free(bench.scratch);
		}
	}
}

/* A resampling that moves nothing but by a flip is exact too, and a shift by whole pixels leaves air behind it. */
static void resamples(void **state)
{
	(void)state;
	struct bench bench;
	struct hl_augment augment = {.rotate = 1e-9, .shift = 1e-9, .zoom = 1e-9};
	prepare(&bench, 64, 1, -1);
	apply(&bench, &augment, 5);
	for (size_t i = 0; i < bench.bytes; i++)
		assert_true(abs(bench.in[i] - bench.out[i]) <= 1);
	/* Mirrored about the very centre. */
	augment.flip = true;
	bool mirrored = false;
	for (uint32_t index = 0; index < 20; index++) {
		apply(&bench, &augment, index);
		bool flipped = abs(bench.out[0] - bench.in[0]) > 1;
		mirrored = mirrored || flipped;
		for (int y = 0; y < 64; y++)
			for (int x = 0; x < 64; x++)
				assert_true(abs(bench.out[y * 64 + x] - bench.in[y * 64 + (flipped ? 63 - x : x)]) <=
				            1);
	}
	assert_true(mirrored);
	/* An even grey stays even inside, whatever the turn and zoom; outside is 0. */
	memset(bench.in, 100, bench.bytes);
	augment = parsed("rotate=180,zoom=1,shift=0.5,flip,quarter");
	bool air = false;
	for (uint32_t index = 0; index < 50; index++) {
		apply(&bench, &augment, index);
		for (size_t i = 0; i < bench.bytes; i++) {
			assert_in_range(bench.out[i], 0, 100);
			air = air || bench.out[i] == 0;
		}
	}
	assert_true(air);
	hl_free(bench.scratch);
}

/* A linear ramp comes out as the ramp of the place that the transform names: checked against plain arithmetic. */
static void rotates_about_the_centre(void **state)
{
	(void)state;
	struct bench bench;
	struct hl_augment augment = parsed("rotate=30");
	prepare(&bench, 65, 1, -1);
	for (int y = 0; y < 65; y++)
		for (int x = 0; x < 65; x++)
			bench.in[y * 65 + x] = (uint8_t)(2 * x + y);
	double least = 90, most = -90;
	for (uint32_t index = 0; index < 40; index++) {
		apply(&bench, &augment, index);
		assert_int_equal(bench.out[32 * 65 + 32], 96);
		/* The ramp's own turn gives the angle: right of the centre it reads 96 + d (2 cos - sin)... */
		double right = (bench.out[32 * 65 + 47] - bench.out[32 * 65 + 17]) / 30.0;
		double down = (bench.out[47 * 65 + 32] - bench.out[17 * 65 + 32]) / 30.0;
		double angle = (atan2(down, right) - atan2(1, 2)) * 57.29577951;
		least = angle < least ? angle : least;
		most = angle > most ? angle : most;
		assert_true(fabs(hypot(right, down) - sqrt(5)) < 0.06);
		for (int y = 20; y < 45; y++)
			for (int x = 20; x < 45; x++)
				assert_true(fabs(bench.out[y * 65 + x] - (96 + right * (x - 32) + down * (y - 32))) <
				            1.6);
	}
	assert_true(least > -31.5 && least < -20 && most < 31.5 && most > 20);
	hl_free(bench.scratch);
}

static void shades_about_the_mean(void **state)
{
	(void)state;
	struct bench bench;
	struct hl_augment bright = parsed("brightness=0.2"), contrast = parsed("contrast=0.5");
	int lowest = 255, highest = 0;
	prepare(&bench, 32, 3, 100);
	for (uint32_t index = 0; index < 200; index++) {
		apply(&bench, &contrast, index);
		assert_memory_equal(bench.in, bench.out, bench.bytes); /* an even picture is its mean */
		apply(&bench, &bright, index);
		lowest = bench.out[0] < lowest ? bench.out[0] : lowest;
		highest = bench.out[0] > highest ? bench.out[0] : highest;
		for (size_t i = 1; i < bench.bytes; i++)
			assert_int_equal(bench.out[i], bench.out[0]);
	}
	assert_in_range(lowest, 49, 54);
	assert_in_range(highest, 146, 151);
	for (size_t i = 0; i < bench.bytes; i++)
		bench.in[i] = i % 2 ? 90 : 110;
	for (uint32_t index = 0; index < 100; index++) {
		apply(&bench, &contrast, index);
		assert_in_range(bench.out[0], 106, 115);
		assert_true(abs(bench.out[0] + bench.out[1] - 200) <= 1);
	}
	hl_free(bench.scratch);
}

static void blurs_without_shade(void **state)
{
	(void)state;
	struct bench bench;
	struct hl_augment augment = parsed("blur=10");
	for (int channels = 1; channels <= 3; channels += 2) {
		for (int32_t size = 1; size <= 65; size += 32) {
			prepare(&bench, size, channels, 137);
			for (uint32_t index = 0; index < 10; index++) {
				apply(&bench, &augment, index);
				assert_memory_equal(bench.in, bench.out, bench.bytes);
			}
			hl_free(bench.scratch);
		}
	}
	/* An impulse spreads alike to all sides, but for the rounding between the two directions. */
	augment = parsed("blur=2");
	prepare(&bench, 65, 1, 0);
	memset(bench.in + 32 * 65 + 32, 255, 1);
	int spread = 0;
	for (uint32_t index = 0; index < 20; index++) {
		apply(&bench, &augment, index);
		for (int k = 1; k < 10; k++) {
			assert_int_equal(bench.out[32 * 65 + 32 - k], bench.out[32 * 65 + 32 + k]);
			assert_true(abs(bench.out[32 * 65 + 32 - k] - bench.out[(32 + k) * 65 + 32]) <= 1);
		}
		spread += bench.out[32 * 65 + 33] > 0;
	}
	assert_true(spread > 10);
	hl_free(bench.scratch);
}

static void noise_has_its_deviation(void **state)
{
	(void)state;
	struct bench bench;
	struct hl_augment augment = parsed("noise=0.1");
	double largest = 0;
	prepare(&bench, 64, 3, 128);
	for (uint32_t index = 0; index < 100; index++) {
		double sum = 0, squares = 0, next = 0;
		apply(&bench, &augment, index);
		for (size_t i = 0; i < bench.bytes; i++) {
			double d = bench.out[i] - 128.0;
			sum += d;
			squares += d * d;
			if (i > 0)
				next += d * (bench.out[i - 1] - 128.0);
		}
		double n = (double)bench.bytes, deviation = sqrt(squares / n);
		assert_true(fabs(sum / n) < 5 * (deviation + 0.3) / sqrt(n));
		assert_true(fabs(next) / (squares + 1) < 0.06);
		largest = deviation > largest ? deviation : largest;
	}
	assert_true(largest > 0.095 * 255 && largest < 0.102 * 255);
	hl_free(bench.scratch);
}

static void cuts_a_square(void **state)
{
	(void)state;
	struct bench bench;
	struct hl_augment augment = parsed("cutout=0.5");
	size_t largest = 0;
	prepare(&bench, 64, 1, -1);
	for (size_t i = 0; i < bench.bytes; i++)
		bench.in[i] = i % 2 ? 10 : 30;
	for (uint32_t index = 0; index < 300; index++) {
		size_t changed = 0;
		apply(&bench, &augment, index);
		for (size_t i = 0; i < bench.bytes; i++) {
			assert_true(bench.out[i] == bench.in[i] || bench.out[i] == 20);
			changed += bench.out[i] != bench.in[i];
		}
		largest = changed > largest ? changed : largest;
	}
	assert_in_range(largest, 700, 32 * 32);
	hl_free(bench.scratch);
}

static void is_a_function_of_its_key(void **state)
{
	(void)state;
	struct bench bench;
	struct hl_augment augment = parsed("strong,vflip,quarter");
	uint8_t first[BYTES_MAX];
	int same = 0;
	prepare(&bench, 33, 3, -1);
	for (uint32_t index = 0; index < 20; index++) {
		apply(&bench, &augment, index);
		memcpy(first, bench.out, sizeof(first));
		memset(bench.scratch, 0x5a, hl_augment_scratch(&bench.recipe));
		apply(&bench, &augment, index);
		assert_memory_equal(first, bench.out, sizeof(first));
		apply(&bench, &augment, index + 1);
		same += !memcmp(first, bench.out, bench.bytes);
		hl_augment_apply(&augment, &bench.recipe, 42, 2, index, bench.in, bench.out, bench.scratch);
		same += !memcmp(first, bench.out, bench.bytes);
		hl_augment_apply(&augment, &bench.recipe, 43, 1, index, bench.in, bench.out, bench.scratch);
		same += !memcmp(first, bench.out, bench.bytes);
	}
	assert_int_equal(same, 0);
	hl_free(bench.scratch);
}

/* Mean 1/2 and variance 1 / (4 (2 alpha + 1)) of Beta(alpha, alpha); partners are a permutation. */
static void mixup_draws_from_beta(void **state)
{
	static const double alphas[] = {0.001, 0.2, 1, 4, 10};
	enum { N = 20000 };
	uint32_t *partner = malloc(N * sizeof(*partner));
	double *share = malloc(N * sizeof(*share));
	uint8_t *seen = malloc(N);
	(void)state;
	for (size_t a = 0; a < sizeof(alphas) / sizeof(alphas[0]); a++) {
		double sum = 0, squares = 0;
		hl_mixup_draw(alphas[a], 9, 2, (uint32_t)a, N, partner, share);
		memset(seen, 0, N);
		for (int i = 0; i < N; i++) {
			assert_true(share[i] >= 0 && share[i] <= 1);
			assert_int_equal(seen[partner[i]]++, 0);
			sum += share[i];
			squares += (share[i] - 0.5) * (share[i] - 0.5);
		}
		double variance = 0.25 / (2 * alphas[a] + 1);
		assert_true(fabs(sum / N - 0.5) < 5 * sqrt(variance / N));
		assert_true(fabs(squares / N / variance - 1) < 0.05);
	}
	free(partner);
	free(share);
	free(seen);
}

static void flaws_have_their_strength(void **state)
{
	(void)state;
	struct bench bench, again;
	prepare(&bench, 64, 1, 100);
	struct hl_flaw flaw = {HL_FLAW_BRIGHTNESS, -0.2};
	assert_int_equal(hl_flaw_apply(&flaw, &bench.recipe, 3, bench.in, bench.out, bench.scratch, NULL), HILUM_OK);
	for (size_t i = 0; i < bench.bytes; i++)
		assert_int_equal(bench.out[i], 49);

	flaw = (struct hl_flaw){HL_FLAW_NOISE, 0.1};
	assert_int_equal(hl_flaw_apply(&flaw, &bench.recipe, 3, bench.in, bench.out, bench.scratch, NULL), HILUM_OK);
	double squares = 0;
	for (size_t i = 0; i < bench.bytes; i++)
		squares += (bench.out[i] - 100.0) * (bench.out[i] - 100.0);
	assert_true(fabs(sqrt(squares / (double)bench.bytes) - 25.5) < 1);
	again = bench;
	assert_int_equal(hl_flaw_apply(&flaw, &bench.recipe, 3, bench.in, again.out, bench.scratch, NULL), HILUM_OK);
	assert_memory_equal(bench.out, again.out, bench.bytes);
	assert_int_equal(hl_flaw_apply(&flaw, &bench.recipe, 4, bench.in, again.out, bench.scratch, NULL), HILUM_OK);
	assert_true(memcmp(bench.out, again.out, bench.bytes) != 0);
	hl_free(bench.scratch);

	/* Of 64 pixels an eighth: 8 to the right and down, and air before. */
	prepare(&bench, 64, 1, -1);
	flaw = (struct hl_flaw){HL_FLAW_SHIFT, 0.125};
	assert_int_equal(hl_flaw_apply(&flaw, &bench.recipe, 0, bench.in, bench.out, bench.scratch, NULL), HILUM_OK);
	for (int y = 0; y < 64; y++)
		for (int x = 0; x < 64; x++)
			assert_int_equal(bench.out[y * 64 + x], x < 8 || y < 8 ? 0 : bench.in[(y - 8) * 64 + x - 8]);

	/* An edge of height 200 blurred by sigma 2 rises by 200 / (2 sqrt(2 pi)) a pixel at its place. */
	for (size_t i = 0; i < bench.bytes; i++)
		bench.in[i] = i % 64 < 32 ? 20 : 220;
	flaw = (struct hl_flaw){HL_FLAW_BLUR, 2};
	assert_int_equal(hl_flaw_apply(&flaw, &bench.recipe, 0, bench.in, bench.out, bench.scratch, NULL), HILUM_OK);
	assert_true(abs(bench.out[32 * 64 + 32] - bench.out[32 * 64 + 31] - 40) <= 2);
	hl_free(bench.scratch);
}

/* The worse the quality, the further away; each channel for itself. */
static void flaws_compress(void **state)
{
	(void)state;
	static const double qualities[] = {100, 75, 25, 5};
	for (int32_t channels = 1; channels <= 3; channels += 2) {
		struct bench bench;
		double before = -1;
		prepare(&bench, 64, channels, -1);
		for (int i = 0; i < 4096; i++)
			for (int32_t c = 0; c < channels; c++)
				bench.in[i * channels + c] = (uint8_t)(c == 1 ? 77 : 3 * (i % 64) + (i / 64 % 9) * 4);
		for (int q = 0; q < 4; q++) {
			const struct hl_flaw flaw = {HL_FLAW_JPEG, qualities[q]};
			double sum = 0;
			assert_int_equal(
			    hl_flaw_apply(&flaw, &bench.recipe, 0, bench.in, bench.out, bench.scratch, NULL), HILUM_OK);
			for (size_t i = 0; i < bench.bytes; i++)
				sum += abs(bench.out[i] - bench.in[i]);
			assert_true(sum > before);
			assert_true(q > 0 || sum < (double)bench.bytes); /* below one level in the mean */
			before = sum;
			for (int i = 0; i < 4096 && channels == 3 && qualities[q] > 5; i++)
				assert_true(abs(bench.out[i * 3 + 1] - 77) <= 8);
		}
		hl_free(bench.scratch);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parses),
	    cmocka_unit_test(none_copies),
	    cmocka_unit_test(turns_exactly),
	    cmocka_unit_test(resamples),
	    cmocka_unit_test(rotates_about_the_centre),
	    cmocka_unit_test(shades_about_the_mean),
	    cmocka_unit_test(blurs_without_shade),
	    cmocka_unit_test(noise_has_its_deviation),
	    cmocka_unit_test(cuts_a_square),
	    cmocka_unit_test(flaws_have_their_strength),
	    cmocka_unit_test(flaws_compress),
	    cmocka_unit_test(is_a_function_of_its_key),
	    cmocka_unit_test(mixup_draws_from_beta),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
