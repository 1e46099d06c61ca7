#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "scan/format.h"
#include "scan/lungs.h"
#include "scan/phantom.h"
#include "scan/regions.h"

/* ---- sets of pixels ---- */

static struct hl_bits new_bits(int32_t width, int32_t height, int32_t depth)
{
	struct hl_bits bits;
	assert_int_equal(hl_bits_init(&bits, width, height, depth, NULL), HILUM_OK);
	return bits;
}

/* Smooth blobs and single pixels. */
static void scatter(struct hl_bits *bits, struct hl_random *random, double share)
{
	for (int32_t z = 0; z < bits->depth; z++)
		for (int32_t y = 0; y < bits->height; y++)
			for (int32_t x = 0; x < bits->width; x++) {
				double wave = sin(0.3 * x + z) + sin(0.4 * y - 0.1 * x);
				if (hl_random_uniform(random) < (wave > 0.5 ? 0.95 : share))
					hl_bits_set(bits, x, y, z);
			}
}

static bool at(const struct hl_bits *bits, int32_t x, int32_t y, int32_t z, bool outside)
{
	bool inside = x >= 0 && y >= 0 && z >= 0 && x < bits->width && y < bits->height && z < bits->depth;
	return inside ? hl_bits_get(bits, x, y, z) : outside;
}

/* Whether any pixel (or, of an erosion, none that is missing) lies in the ellipse around one. */
static bool slow(const struct hl_bits *bits, int32_t x, int32_t y, double rx, double ry, bool erode)
{
	for (int32_t v = -(int32_t)ry; v <= (int32_t)ry; v++)
		for (int32_t u = -(int32_t)rx; u <= (int32_t)rx; u++) {
			double a = rx >= 1 ? u / rx : 0, b = ry >= 1 ? v / ry : 0;
			if (a * a + b * b <= 1 + 1e-9 && at(bits, x + u, y + v, 0, erode) != erode)
				return !erode;
		}
	return erode;
}

static void dilation_and_erosion(void **state)
{
	static const int32_t sizes[][2] = {{1, 1}, {5, 9}, {64, 7}, {65, 20}, {130, 33}};
	static const double radii[][2] = {{0.4, 0.9}, {1, 1}, {5, 5}, {2.5, 7.1}, {12, 0}, {0, 3}, {9.3, 4}};
	struct hl_random random = hl_random_stream(1, 2, 3, 4);
	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (size_t k = 0; k < sizeof(radii) / sizeof(*radii); k++) {
			struct hl_bits from = new_bits(sizes[i][0], sizes[i][1], 1);
			struct hl_bits wide = new_bits(sizes[i][0], sizes[i][1], 1);
			struct hl_bits thin = new_bits(sizes[i][0], sizes[i][1], 1);
			double rx = radii[k][0], ry = radii[k][1];
			scatter(&from, &random, 0.02);
			hl_bits_dilate(&from, rx, ry, &wide);
			hl_bits_erode(&from, rx, ry, &thin);
			for (int32_t y = 0; y < from.height; y++)
				for (int32_t x = 0; x < from.width; x++) {
					assert_int_equal(hl_bits_get(&wide, x, y, 0), slow(&from, x, y, rx, ry, false));
					assert_int_equal(hl_bits_get(&thin, x, y, 0), slow(&from, x, y, rx, ry, true));
				}
			hl_bits_free(&from);
			hl_bits_free(&wide);
			hl_bits_free(&thin);
		}
}

/* A closing adds, twice is once, and a shape at the border is closed as one in the middle is. */
static void closing(void **state)
{
	struct hl_bits bits = new_bits(90, 70, 2), once = new_bits(90, 70, 2);
	struct hl_random random = hl_random_stream(5, 6, 7, 8);
	(void)state;
	scatter(&bits, &random, 0.01);
	hl_bits_copy(&once, &bits);
	assert_int_equal(hl_bits_close(&once, 4, 6, NULL), HILUM_OK);
	for (size_t i = 0; i < 2 * 70 * bits.stride; i++)
		assert_int_equal(bits.words[i] & ~once.words[i], 0);
	assert_true(hl_bits_count(&once) > hl_bits_count(&bits));
	hl_bits_copy(&bits, &once);
	assert_int_equal(hl_bits_close(&bits, 4, 6, NULL), HILUM_OK);
	assert_memory_equal(bits.words, once.words, 2 * 70 * bits.stride * sizeof(uint64_t));

	/* Two bars, in a corner and in the middle. */
	hl_bits_clear(&bits);
	for (int32_t y = 0; y < 16; y++)
		for (int32_t x = 0; x < 10; x += x == 1 ? 7 : 1) {
			hl_bits_set(&bits, x, y, 0);
			hl_bits_set(&bits, 40 + x, 40 + y, 1);
		}
	assert_int_equal(hl_bits_close(&bits, 5, 5, NULL), HILUM_OK);
	struct hl_bits corner = hl_bits_plane(&bits, 0), middle = hl_bits_plane(&bits, 1);
	assert_true(hl_bits_get(&corner, 4, 8, 0) && hl_bits_get(&middle, 44, 48, 0));
	assert_false(hl_bits_get(&middle, 44, 40, 0) || hl_bits_get(&middle, 44, 57, 0));
	for (int32_t y = 0; y < 20; y++)
		for (int32_t x = 0; x < 14; x++)
			assert_int_equal(hl_bits_get(&corner, x, y, 0), hl_bits_get(&middle, 40 + x, 40 + y, 0));
	hl_bits_free(&bits);
	hl_bits_free(&once);
}

/* Floods from every pixel in turn, by hand. */
static uint32_t slow_regions(const struct hl_bits *bits, bool holes, uint32_t *label)
{
	static const int step[6][3] = {{-1, 0, 0}, {1, 0, 0}, {0, -1, 0}, {0, 1, 0}, {0, 0, -1}, {0, 0, 1}};
	size_t count = (size_t)bits->width * (size_t)bits->height * (size_t)bits->depth, top;
	size_t *stack = calloc(count * 7, sizeof(*stack));
	uint32_t regions = 0;
	memset(label, 0, count * sizeof(*label));
	for (size_t first = 0; first < count; first++) {
		top = 0;
		stack[top++] = first;
		bool begun = false;
		while (top > 0) {
			size_t i = stack[--top];
			int32_t x = (int32_t)(i % (size_t)bits->width);
			int32_t y = (int32_t)(i / (size_t)bits->width % (size_t)bits->height);
			int32_t z = (int32_t)(i / (size_t)bits->width / (size_t)bits->height);
			if (label[i] || hl_bits_get(bits, x, y, z) == holes)
				continue;
			regions += !begun;
			begun = true;
			label[i] = regions;
			for (int k = 0; k < 6; k++) {
				int32_t u = x + step[k][0], v = y + step[k][1], w = z + step[k][2];
				if (at(bits, u, v, w, holes) != holes)
					stack[top++] =
					    ((size_t)w * (size_t)bits->height + (size_t)v) * (size_t)bits->width +
					    (size_t)u;
			}
		}
	}
	free(stack);
	return regions;
}

static void connected_regions(void **state)
{
	static const int32_t sizes[][3] = {{1, 1, 1}, {64, 5, 1}, {67, 31, 1}, {20, 20, 9}, {129, 8, 3}};
	struct hl_random random = hl_random_stream(9, 1, 1, 1);
	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (int holes = 0; holes < 2; holes++) {
			struct hl_bits bits = new_bits(sizes[i][0], sizes[i][1], sizes[i][2]);
			struct hl_bits again = new_bits(sizes[i][0], sizes[i][1], sizes[i][2]);
			size_t count = (size_t)bits.width * (size_t)bits.height * (size_t)bits.depth;
			uint32_t *label = calloc(count, sizeof(*label));
			struct hl_regions regions;
			scatter(&bits, &random, 0.4);
			assert_int_equal((holes ? hl_regions_find_holes : hl_regions_find)(&bits, &regions, NULL),
			                 HILUM_OK);
			assert_int_equal(regions.count, slow_regions(&bits, holes, label));
			bool *keep = calloc(regions.count + 1, 1);
			int64_t *overlap = calloc(regions.count + 1, sizeof(*overlap)), largest = 0;
			for (uint32_t k = 0; k < regions.count; k++) {
				/* Regions are numbered by their first pixels, as the floods are. */
				struct hl_region expected = {.x0 = 999, .y0 = 999, .z0 = 999};
				for (size_t p = 0; p < count; p++) {
					int32_t x = (int32_t)(p % (size_t)bits.width);
					int32_t y = (int32_t)(p / (size_t)bits.width % (size_t)bits.height);
					int32_t z = (int32_t)(p / (size_t)bits.width / (size_t)bits.height);
					if (label[p] != k + 1)
						continue;
					expected.size++;
					expected.sum_x += x;
					expected.sum_y += y;
					expected.x0 = x < expected.x0 ? x : expected.x0;
					expected.x1 = x > expected.x1 ? x : expected.x1;
					expected.y0 = y < expected.y0 ? y : expected.y0;
					expected.y1 = y > expected.y1 ? y : expected.y1;
					expected.z0 = z < expected.z0 ? z : expected.z0;
					expected.z1 = z > expected.z1 ? z : expected.z1;
				}
				assert_memory_equal(&regions.region[k], &expected, sizeof(expected));
				largest = expected.size > largest ? expected.size : largest;
				keep[k] = k % 2 == 0;
			}
			hl_regions_paint(&regions, keep, &again);
			hl_regions_overlap(&regions, &again, overlap);
			for (uint32_t k = 0; k < regions.count; k++)
				assert_int_equal(overlap[k], keep[k] ? regions.region[k].size : 0);
			int64_t found = hl_regions_largest(&regions);
			assert_int_equal(found < 0 ? 0 : regions.region[found].size, largest);
			free(keep);
			free(overlap);
			free(label);
			hl_regions_free(&regions);
			hl_bits_free(&bits);
			hl_bits_free(&again);
		}
}

static void noise_is_refused(void **state)
{
	struct hl_bits bits = new_bits(2048, 1024, 1);
	struct hl_regions regions;
	struct hilum_error error;
	(void)state;
	memset(bits.words, 0x55, 1024 * bits.stride * sizeof(uint64_t));
	assert_int_equal(hl_regions_find(&bits, &regions, &error), HILUM_ERROR_LIMIT);
	hl_bits_free(&bits);
	assert_int_equal(hl_bits_init(&bits, HL_BITS_WIDTH_MAX + 1, 1, 1, &error), HILUM_ERROR_LIMIT);
}

/* ---- drawn chests: lengths in mm from the middle of the picture ---- */

struct chest {
	double spacing[3];
	int32_t size, depth;
	bool touching; /* the lungs meet before the heart */
	bool nodule, couch, bowel, heart;
	uint64_t noise;
};

enum { NONE, RIGHT, LEFT };

/* Which lung a place is in. Half ellipsoids that stand on domes, 110 mm tall on either side of z = 0. */
static int truth_at(const struct chest *chest, double x, double y, double z)
{
	double side = x < 0 ? -1 : 1, middle = chest->touching ? 52 : 66;
	double a = (x - side * middle) / 55, b = y / 80, c = z / 125;
	double dome_x = (x + 60) / 30, dome_y = y / 30, dome_z = (z + 75) / 40;
	double hilum_x = (fabs(x) - 18) / 26, hilum_y = y / 30;
	if (a * a + b * b + c * c > 1 || fabs(x) < 1.5 || (chest->heart && hilum_x * hilum_x + hilum_y * hilum_y < 1))
		return NONE;
	if (chest->depth > 1 && dome_x * dome_x + dome_y * dome_y + dome_z * dome_z < 1)
		return NONE;
	return x < 0 ? RIGHT : LEFT;
}

static bool in_tube(double x, double y, double radius)
{
	return x * x + y * y < radius * radius;
}

static double value_at(const struct chest *chest, double x, double y, double z)
{
	double bx = x / 160, by = y / 110;
	bool edge = chest->nodule && in_tube(x - (chest->touching ? 99 : 113), y, 9);
	/* Trachea down to z = 10, then two bronchi. */
	bool lumen = z > 10 ? in_tube(x, y + 5, 8) : in_tube(fabs(x) - (10 - z) * 1.2, y + 5, 5) && z > -16;
	bool wall = z > 10 ? in_tube(x, y + 5, 10) : in_tube(fabs(x) - (10 - z) * 1.2, y + 5, 7) && z > -18;
	if (chest->couch && ((fabs(y - 125) < 2 && fabs(x) < 190) || (fabs(y - 160) < 2 && fabs(x) < 190) ||
	                     (fabs(fabs(x) - 190) < 2 && y > 125 && y < 160)))
		return 80;
	if (bx * bx + by * by > 1)
		return -1000;
	if (chest->depth > 1 && lumen)
		return -990;
	if (chest->bowel && in_tube(x - 100, y + 40, 15) && z < -90)
		return -1000;
	if (truth_at(chest, x, y, z) == NONE || edge || (chest->depth > 1 && wall))
		return 40;
	/* Vessels. */
	if (in_tube(fabs(x) - 60, y - 30, 4) || in_tube(fabs(x) - 85, y + 20, 3) || fabs(y - 12 - 0.2 * fabs(x)) < 1.5)
		return 50;
	return -850;
}

static struct hl_volume draw(const struct chest *chest)
{
	struct hl_volume volume;
	struct hl_random random = hl_random_stream(chest->noise, 0, 0, 0);
	int16_t *voxel;
	assert_int_equal(hl_volume_init(&volume, chest->size, chest->size, chest->depth, 1, HL_VOXEL_I16, NULL),
	                 HILUM_OK);
	memcpy(volume.spacing, chest->spacing, sizeof(volume.spacing));
	voxel = volume.voxels;
	for (int32_t z = 0; z < chest->depth; z++)
		for (int32_t y = 0; y < chest->size; y++)
			for (int32_t x = 0; x < chest->size; x++) {
				double value = value_at(chest, (x + 0.5 - chest->size / 2.0) * chest->spacing[0],
				                        (y + 0.5 - chest->size / 2.0) * chest->spacing[1],
				                        (z + 0.5 - chest->depth / 2.0) * chest->spacing[2]);
				*voxel++ = (int16_t)(value + hl_random_range(&random, -60, 60));
			}
	return volume;
}

static double dice(const struct chest *chest, const struct hl_volume *mask, int side)
{
	int64_t both = 0, sum = 0;
	const uint8_t *voxel = mask->voxels;
	for (int32_t z = 0; z < chest->depth; z++)
		for (int32_t y = 0; y < chest->size; y++)
			for (int32_t x = 0; x < chest->size; x++, voxel++) {
				int truth = truth_at(chest, (x + 0.5 - chest->size / 2.0) * chest->spacing[0],
				                     (y + 0.5 - chest->size / 2.0) * chest->spacing[1],
				                     (z + 0.5 - chest->depth / 2.0) * chest->spacing[2]);
				both += truth == side && *voxel == side;
				sum += (truth == side) + (*voxel == side);
			}
	return 2.0 * (double)both / (double)sum;
}

static struct hl_lungs found(const struct hl_volume *volume, int32_t threads)
{
	struct hl_lungs lungs;
	struct hilum_error error;
	assert_int_equal(hl_lungs_find(volume, threads, &lungs, &error), HILUM_OK);
	assert_int_equal(lungs.mask.width, volume->width);
	assert_int_equal(lungs.mask.height, volume->height);
	assert_int_equal(lungs.mask.depth, volume->depth);
	assert_int_equal(lungs.mask.type, HL_VOXEL_U8);
	return lungs;
}

static struct hl_volume filled(int32_t width, int32_t height, int32_t depth, int16_t value)
{
	struct hl_volume volume;
	assert_int_equal(hl_volume_init(&volume, width, height, depth, 1, HL_VOXEL_I16, NULL), HILUM_OK);
	for (int64_t i = 0; i < (int64_t)width * height * depth; i++)
		((int16_t *)volume.voxels)[i] = value;
	return volume;
}

/* Slices of many kinds, with pixels of many sizes, square and not. */
static void slices(void **state)
{
	static const struct chest chests[] = {
	    {.spacing = {1.5, 1.5, 5}, .size = 256, .depth = 1},
	    {.spacing = {0.8, 0.8, 1}, .size = 512, .depth = 1, .couch = true, .nodule = true},
	    {.spacing = {1.6, 1.6, 1}, .size = 256, .depth = 1, .touching = true},
	    {.spacing = {1.6, 1.2, 1}, .size = 300, .depth = 1, .touching = true, .nodule = true},
	    {.spacing = {3, 3, 1}, .size = 128, .depth = 1, .heart = true},
	    {.spacing = {0.22, 0.22, 1}, .size = 1600, .depth = 1, .heart = true, .nodule = true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(chests) / sizeof(*chests); i++) {
		struct hl_volume volume = draw(&chests[i]);
		struct hl_lungs lungs = found(&volume, 1);
		assert_int_equal(lungs.count, 2);
		assert_true(lungs.chest && lungs.spacing_known && !lungs.airways);
		for (int side = RIGHT; side <= LEFT; side++) {
			assert_true(dice(&chests[i], &lungs.mask, side) > (chests[i].spacing[0] > 2 ? 0.975 : 0.985));
			double ml = (double)lungs.voxels[side - 1] * volume.spacing[0] * volume.spacing[1] *
			            volume.spacing[2] / 1000;
			assert_true(fabs(lungs.ml[side - 1] - ml) < 1e-9 * ml);
		}
		assert_true(fabs(lungs.lung + 850) < 40 && fabs(lungs.tissue - 40) < 40);
		assert_true(fabs(lungs.outside + 1000) < 20);
		hl_volume_free(&volume);
		hl_volume_free(&lungs.mask);
	}
}

/* Whole chests: the trachea and the main bronchi are left out, so is gas in the bowel, and the liver stays out below
 * its dome. The same upside down, for a volume that is not oriented may begin at either end. */
static void volumes(void **state)
{
	struct chest chest = {.spacing = {1.5, 1.5, 4},
	                      .size = 256,
	                      .depth = 64,
	                      .touching = true,
	                      .couch = true,
	                      .bowel = true,
	                      .nodule = true};
	struct hl_volume volume = draw(&chest);
	struct hl_lungs lungs = found(&volume, 1);
	size_t slice = 256 * 256, count = 64 * slice;
	const uint8_t *mask = lungs.mask.voxels;
	(void)state;
	assert_true(lungs.count == 2 && lungs.airways && lungs.chest);
	assert_true(dice(&chest, &lungs.mask, RIGHT) > 0.975);
	assert_true(dice(&chest, &lungs.mask, LEFT) > 0.975);
	/* Trachea, wall of the bronchi, bowel, just below the top of the dome. */
	assert_int_equal(mask[50 * slice + 125 * 256 + 128], 0);
	assert_int_equal(mask[30 * slice + 125 * 256 + 142], 0);
	assert_int_equal(mask[1 * slice + 101 * 256 + 194], 0);
	assert_int_equal(mask[22 * slice + 128 * 256 + 88], 0);
	/* Nodule at the pleura, vessel. */
	assert_int_equal(mask[32 * slice + 128 * 256 + 194], LEFT);
	assert_int_equal(mask[32 * slice + 148 * 256 + 168], LEFT);

	int16_t *voxel = volume.voxels, *turned = malloc(count * sizeof(*turned));
	for (size_t z = 0; z < 64; z++)
		memcpy(turned + z * slice, voxel + (63 - z) * slice, slice * sizeof(*turned));
	memcpy(voxel, turned, count * sizeof(*turned));
	struct hl_lungs other = found(&volume, 2);
	for (size_t z = 0; z < 64; z++)
		assert_memory_equal((const uint8_t *)other.mask.voxels + z * slice, mask + (63 - z) * slice, slice);
	free(turned);
	hl_volume_free(&volume);
	hl_volume_free(&lungs.mask);
	hl_volume_free(&other.mask);
}

static void same_for_any_number_of_threads(void **state)
{
	struct chest chest = {.spacing = {2, 2, 6}, .size = 192, .depth = 30, .touching = true, .noise = 3};
	struct hl_volume volume = draw(&chest);
	struct hl_lungs one = found(&volume, 1), three = found(&volume, 3);
	(void)state;
	assert_memory_equal(one.mask.voxels, three.mask.voxels, 192 * 192 * 30);
	hl_volume_free(&volume);
	hl_volume_free(&one.mask);
	hl_volume_free(&three.mask);
}

/* Grey and colour pictures through a window, spacing unknown, against what the Hounsfield units give. */
static void pictures_through_windows(void **state)
{
	static const double windows[][2] = {{-600, 1500}, {-500, 1200}, {40, 400}, {-200, 2000}};
	struct chest chest = {.spacing = {0.9, 0.9, 1}, .size = 400, .depth = 1, .touching = true, .nodule = true};
	struct hl_volume volume = draw(&chest), picture;
	(void)state;
	for (size_t i = 0; i < 4; i++)
		for (int32_t channels = 1; channels <= 3; channels += 2) {
			const int16_t *from = volume.voxels;
			assert_int_equal(hl_volume_init(&picture, 400, 400, 1, channels, HL_VOXEL_U8, NULL), HILUM_OK);
			uint8_t *to = picture.voxels;
			for (int k = 0; k < 400 * 400 * channels; k++) {
				double grey = (from[k / channels] - windows[i][0]) / windows[i][1] + 0.5;
				to[k] = (uint8_t)lrint(255 * fmin(fmax(grey, 0), 1));
			}
			struct hl_lungs lungs = found(&picture, 1);
			assert_true(lungs.count == 2 && lungs.chest && !lungs.spacing_known);
			assert_true(isnan(lungs.ml[0]) && isnan(lungs.ml[1]));
			assert_true(lungs.threshold > 0 && lungs.threshold < 255 && lungs.lung < lungs.tissue);
			assert_true(dice(&chest, &lungs.mask, RIGHT) > 0.98);
			assert_true(dice(&chest, &lungs.mask, LEFT) > 0.98);
			hl_volume_free(&lungs.mask);
			hl_volume_free(&picture);
		}
	hl_volume_free(&volume);
}

/* Phantoms have two lungs, also where the field of view cuts them, and lesions lie in one of them, be they 40 mm wide
 * at the ribs; only those at the heart may not. */
static void phantoms(void **state)
{
	int inside = 0, chests = 0;
	(void)state;
	for (uint32_t index = 0; index < 40; index++) {
		struct hl_phantom phantom;
		assert_int_equal(hl_phantom_draw(11, index, 256, true, &phantom, NULL), HILUM_OK);
		struct hl_lungs lungs = found(&phantom.volume, 1);
		assert_true(lungs.count >= 1);
		const uint8_t *mask = lungs.mask.voxels;
		uint8_t here = mask[(int)phantom.lesion.y * 256 + (int)phantom.lesion.x];
		inside += here == (phantom.lesion.left ? LEFT : RIGHT);
		chests += lungs.chest && lungs.count == 2;
		hl_volume_free(&phantom.volume);
		hl_volume_free(&lungs.mask);
	}
	assert_true(chests >= 39);
	assert_true(inside >= 34);
}

/* Whole phantoms, in space. */
static void phantom_volumes(void **state)
{
	(void)state;
	for (uint32_t index = 0; index < 3; index++) {
		struct hl_phantom_volume phantom;
		assert_int_equal(hl_phantom_draw_volume(4, index, 128, 40, 5, true, &phantom, NULL), HILUM_OK);
		struct hl_lungs lungs = found(&phantom.volume, 2);
		assert_true(lungs.count == 2 && lungs.chest && lungs.spacing_known);
		assert_true(lungs.ml[0] > 500 && lungs.ml[0] < 5000);
		assert_true(lungs.ml[1] > 0.4 * lungs.ml[0] && lungs.ml[1] < 1.6 * lungs.ml[0]);
		hl_volume_free(&phantom.volume);
		hl_volume_free(&lungs.mask);
	}
}

/* ---- hilum_lungs ---- */

static char folder[] = "/tmp/hilum-lungs-XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	struct hl_names names;
	(void)state;
	if (hl_directory_list(folder, 100, &names, NULL))
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		char *path = hl_path_join(folder, names.name[i]);
		remove(path);
		hl_free(path);
	}
	hl_names_free(&names);
	return rmdir(folder);
}

static json_t *json_of(const char *scan, const struct hilum_lungs_options *options, struct hilum_lungs *result)
{
	FILE *file = tmpfile();
	json_t *root;
	assert_int_equal(hilum_lungs(scan, options, HILUM_OUTPUT_JSON, file, result, NULL), HILUM_OK);
	rewind(file);
	root = json_loadf(file, 0, NULL);
	assert_non_null(root);
	fclose(file);
	return root;
}

/* The mask lies where the scan lies; sides are the patient's, however the file counts its columns. */
static void masks_of_files(void **state)
{
	static const char *const endings[] = {"mask.nii", "mask.nii.gz", "mask.mha", "mask.mhd", "mask.tif"};
	struct chest chest = {.spacing = {3, 3, 10}, .size = 128, .depth = 26, .nodule = true};
	struct hl_volume volume = draw(&chest), mask;
	size_t row = 128;
	char *scan = hl_path_join(folder, "scan.nii.gz");
	struct hilum_lungs first = {0};
	(void)state;
	for (int flipped = 0; flipped < 2; flipped++) {
		volume.oriented = true;
		for (int k = 0; k < 9; k++)
			volume.direction[k / 3][k % 3] = k % 4 == 0;
		volume.origin[0] = -190.5;
		if (flipped) {
			int16_t *voxel = volume.voxels;
			volume.direction[0][0] = -1;
			volume.origin[0] = 190.5;
			for (size_t i = 0; i < row * 128 * 26; i += row)
				for (size_t x = 0; x < row / 2; x++) {
					int16_t swap = voxel[i + x];
					voxel[i + x] = voxel[i + row - 1 - x];
					voxel[i + row - 1 - x] = swap;
				}
		}
		assert_int_equal(hl_nifti_write(scan, &volume, NULL), HILUM_OK);
		for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
			char *out = hl_path_join(folder, endings[i]);
			struct hilum_lungs_options options = {.out = out, .threads = 1};
			struct hilum_lungs result;
			json_t *root = json_of(scan, &options, &result);
			int64_t sum = 0;
			assert_int_equal(json_integer_value(json_object_get(root, "lungs")), 2);
			json_t *right = json_object_get(root, "right");
			assert_int_equal(json_integer_value(json_object_get(right, "voxels")), result.right_voxels);
			json_t *slices = json_object_get(right, "voxels_by_slice");
			for (size_t z = 0; z < 26; z++)
				sum += json_integer_value(json_array_get(slices, z));
			assert_true(json_array_size(slices) == 26 && sum == result.right_voxels);
			assert_true(isnan(result.dice) && !json_object_get(root, "dice"));
			json_decref(root);

			if (!flipped && i == 0)
				first = result;
			assert_true(result.chest && result.right_voxels == first.right_voxels);
			assert_true(result.left_voxels == first.left_voxels && result.left_ml == first.left_ml);
			assert_int_equal(hl_scan_open(out, &mask, NULL), HILUM_OK);
			assert_true(mask.width == 128 && mask.height == 128 && mask.depth == 26);
			if (i < 4)
				assert_true(mask.oriented && fabs(mask.origin[0] + 190.5) < 1e-4);
			hl_volume_free(&mask);

			options = (struct hilum_lungs_options){.truth = out, .threads = 1};
			root = json_of(scan, &options, &result);
			assert_true(result.dice == 1 && json_real_value(json_object_get(root, "dice")) == 1);
			json_decref(root);
			hl_free(out);
		}
	}
	hl_volume_free(&volume);
	hl_free(scan);
}

static void one_slice_and_what_is_refused(void **state)
{
	struct chest chest = {.spacing = {3, 3, 1}, .size = 128, .depth = 1};
	struct hl_volume volume = draw(&chest), other = filled(64, 128, 1, 1);
	char *scan = hl_path_join(folder, "slice.tif"), *out = hl_path_join(folder, "slice.png");
	char *wrong = hl_path_join(folder, "slice.gif"), *narrow = hl_path_join(folder, "narrow.tif");
	struct hilum_lungs_options options = {.out = out};
	struct hilum_lungs result = {0}, untouched = {.count = -7};
	struct hilum_error error;
	(void)state;
	assert_int_equal(hl_tiff_write(scan, &volume, NULL), HILUM_OK);
	assert_int_equal(hl_tiff_write(narrow, &other, NULL), HILUM_OK);
	assert_int_equal(hilum_lungs(scan, &options, HILUM_OUTPUT_TEXT, NULL, &result, NULL), HILUM_OK);
	assert_true(result.count == 2 && result.right_voxels > 0 && hl_path_exists(out));

	options = (struct hilum_lungs_options){.out = wrong};
	assert_int_equal(hilum_lungs(scan, &options, HILUM_OUTPUT_TEXT, NULL, &untouched, &error),
	                 HILUM_ERROR_ARGUMENT);
	assert_non_null(strstr(error.message, "slice.gif"));
	options = (struct hilum_lungs_options){.truth = narrow};
	assert_int_equal(hilum_lungs(scan, &options, HILUM_OUTPUT_TEXT, NULL, &untouched, &error),
	                 HILUM_ERROR_ARGUMENT);
	assert_non_null(strstr(error.message, "64 x 128 x 1"));
	options = (struct hilum_lungs_options){.truth = wrong};
	assert_int_equal(hilum_lungs(scan, &options, HILUM_OUTPUT_TEXT, NULL, &untouched, &error), HILUM_ERROR_IO);
	assert_int_equal(untouched.count, -7);
	assert_false(hl_path_exists(wrong));
	hl_volume_free(&volume);
	hl_volume_free(&other);
	hl_free(scan);
	hl_free(out);
	hl_free(wrong);
	hl_free(narrow);
}

/* ---- what is no chest ---- */

static void expect_nothing(struct hl_volume *volume)
{
	struct hl_lungs lungs = found(volume, 1);
	size_t count = (size_t)volume->width * (size_t)volume->height * (size_t)volume->depth;
	const uint8_t *mask = lungs.mask.voxels;
	assert_false(lungs.chest);
	assert_int_equal(lungs.count, 0);
	assert_int_equal(lungs.voxels[0] + lungs.voxels[1], 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(mask[i], 0);
	hl_volume_free(&lungs.mask);
	hl_volume_free(volume);
}

static void nothing_to_find(void **state)
{
	static const int32_t sizes[][3] = {{1, 1, 1}, {2, 1, 1}, {1, 300, 1}, {300, 1, 2}, {64, 64, 1}, {40, 40, 40}};
	static const double spacings[] = {0, 1e-300, 1e-5, 0.7, 1000, 1e300, -1, (double)NAN, (double)INFINITY};
	static const int16_t values[] = {INT16_MIN, -1000, -700, 0, INT16_MAX};
	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (size_t k = 0; k < sizeof(spacings) / sizeof(*spacings); k++) {
			struct hl_volume volume = filled(sizes[i][0], sizes[i][1], sizes[i][2], values[k % 5]);
			for (int axis = 0; axis < 3; axis++)
				volume.spacing[axis] = spacings[k];
			expect_nothing(&volume);
		}
}

static void other_things(void **state)
{
	struct hl_random random = hl_random_stream(3, 3, 3, 3);
	struct hl_volume volume;
	(void)state;
	/* A disc, a disc with a hole in its middle, stripes, a slope. */
	for (int kind = 0; kind < 4; kind++) {
		volume = filled(256, 256, 1, -1000);
		int16_t *voxel = volume.voxels;
		for (int y = 0; y < 256; y++)
			for (int x = 0; x < 256; x++) {
				double far = hypot(x - 128, y - 128);
				bool on = kind < 2 ? far < 100 && (kind == 0 || far > 12) : (x / 8) % 2 == 0;
				voxel[y * 256 + x] = kind == 3 ? (int16_t)(8 * x - 1024) : on ? 50 : -1000;
			}
		expect_nothing(&volume);
	}
	/* Numbers that are none. */
	assert_int_equal(hl_volume_init(&volume, 100, 100, 3, 1, HL_VOXEL_F32, NULL), HILUM_OK);
	for (int i = 0; i < 30000; i++) {
		static const float odd[] = {NAN, INFINITY, -INFINITY, 1e38F, -1e38F};
		((float *)volume.voxels)[i] = odd[i % 5];
	}
	expect_nothing(&volume);
	volume = filled(100, 100, 3, 0);
	volume.unit = HL_UNIT_GREY;
	volume.maximum = 4095;
	expect_nothing(&volume);
	/* Noise ends somehow, in memory that is bounded. */
	volume = filled(400, 400, 20, 0);
	for (int i = 0; i < 400 * 400 * 20; i++)
		((int16_t *)volume.voxels)[i] = (int16_t)hl_random_range(&random, -1000, 1000);
	struct hl_lungs lungs;
	enum hilum_status status = hl_lungs_find(&volume, 2, &lungs, NULL);
	assert_true(status == HILUM_ERROR_LIMIT || (status == HILUM_OK && !lungs.chest));
	if (!status)
		hl_volume_free(&lungs.mask);
	hl_volume_free(&volume);
}

static void every_allocation_may_fail(void **state)
{
	struct chest flat = {.spacing = {4, 4, 1}, .size = 96, .depth = 1, .touching = true};
	struct chest deep = {.spacing = {4, 4, 12}, .size = 96, .depth = 20, .touching = true};
	const struct chest *chests[] = {&flat, &deep};
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct hl_volume volume = draw(chests[i]);
		int64_t before = hl_memory_count();
		struct hl_lungs lungs = found(&volume, 1);
		int64_t count = hl_memory_count() - before;
		hl_volume_free(&lungs.mask);
		for (int64_t k = 0; k < count; k += i ? 7 : 1) {
			struct hl_lungs untouched = {.count = -7};
			struct hilum_error error;
			hl_memory_fail_after(k);
			assert_int_equal(hl_lungs_find(&volume, 1, &untouched, &error), HILUM_ERROR_MEMORY);
			assert_int_equal(untouched.count, -7);
			hl_memory_fail_after(-1);
		}
		hl_volume_free(&volume);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(dilation_and_erosion),
	    cmocka_unit_test(closing),
	    cmocka_unit_test(connected_regions),
	    cmocka_unit_test(noise_is_refused),
	    cmocka_unit_test(slices),
	    cmocka_unit_test(volumes),
	    cmocka_unit_test(same_for_any_number_of_threads),
	    cmocka_unit_test(pictures_through_windows),
	    cmocka_unit_test(phantoms),
	    cmocka_unit_test(phantom_volumes),
	    cmocka_unit_test(masks_of_files),
	    cmocka_unit_test(one_slice_and_what_is_refused),
	    cmocka_unit_test(nothing_to_find),
	    cmocka_unit_test(other_things),
	    cmocka_unit_test(every_allocation_may_fail),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
