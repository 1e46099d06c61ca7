#include "data/traits.h"

#include <math.h>
#include <stdlib.h>

enum { BLOCKS = HL_TRAITS_BLOCKS, RANGES = HL_TRAITS_RANGES };

/* Sums of whole numbers: exact in any order. */
struct sums {
	uint64_t sum[BLOCKS * BLOCKS], squares[BLOCKS * BLOCKS], count[BLOCKS * BLOCKS];
	uint64_t range[RANGES], step[2];
};

static void add_plane(const uint8_t *plane, size_t size, size_t channels, struct sums *to)
{
	size_t row = size * channels;
	for (size_t y = 0; y < size; y++) {
		const uint8_t *here = plane + y * row;
		size_t across = 0, down = 0;
		for (size_t v = 0; v < BLOCKS; v++) {
			size_t block = y * BLOCKS / size * BLOCKS + v;
			size_t first = v * size / BLOCKS * channels, last = (v + 1) * size / BLOCKS * channels;
			uint64_t sum = 0, squares = 0;
			for (size_t i = first; i < last; i++) {
				uint32_t value = here[i];
				sum += value;
				squares += value * value;
				to->range[value * RANGES / 256]++;
			}
			to->sum[block] += sum;
			to->squares[block] += squares;
			to->count[block] += last - first;
		}
		for (size_t i = channels; i < row; i++)
			across += (size_t)abs(here[i] - here[i - channels]);
		for (size_t i = 0; i < row && y > 0; i++)
			down += (size_t)abs(here[i] - here[i - row]);
		to->step[0] += across;
		to->step[1] += down;
	}
}

void hl_traits_add(const struct hl_recipe *recipe, const uint8_t *image, double weight, double *out)
{
	struct sums sums = {{0}, {0}, {0}, {0}, {0}};
	size_t size = (size_t)recipe->size, channels = (size_t)recipe->channels, bytes = hl_recipe_plane_size(recipe);
	int32_t depth = hl_recipe_depth(recipe);
	for (int32_t k = 0; k < depth; k++)
		add_plane(image + (size_t)k * bytes, size, channels, &sums);
	double values = (double)bytes * depth;
	for (int i = 0; i < BLOCKS * BLOCKS; i++) {
		double count = (double)sums.count[i], mean = count > 0 ? (double)sums.sum[i] / count : 0;
		double variance = count > 0 ? (double)sums.squares[i] / count - mean * mean : 0;
		*out++ += weight * mean / 255;
		*out++ += weight * sqrt(variance > 0 ? variance : 0) / 255;
	}
	for (int i = 1; i < RANGES; i++)
		*out++ += weight * (double)sums.range[i] / values;
	for (int i = 0; i < 2; i++)
		*out++ += weight * log2((double)sums.step[i] / values + 0.25) / 8;
}
