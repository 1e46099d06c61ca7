#include "data/lung_slices.h"

#include "base/memory.h"
#include "scan/lungs.h"

#include <math.h>

#define SHARE 0.05

/* How many are left in slice, which has all of them. */
static int32_t drop_without_lung(const struct hl_volume *mask, int32_t *slice)
{
	int64_t side[2], most = 0;
	int32_t left = 0;
	for (int pass = 0; pass < 2; pass++)
		for (int32_t z = 0; z < mask->depth; z++) {
			hl_lungs_count(mask, z, side);
			int64_t both = side[0] + side[1];
			if (pass == 0)
				most = both > most ? both : most;
			else if (both > 0 && (double)both >= SHARE * (double)most)
				slice[left++] = z;
		}
	return left;
}

enum hilum_status hl_lung_slices(const struct hl_volume *volume, int32_t threads, int32_t **out, int32_t *count,
                                 struct hilum_error *error)
{
	struct hl_lungs lungs;
	struct hl_volume scan = *volume;
	int32_t *slice = hl_alloc((size_t)volume->depth, sizeof(*slice)), left = volume->depth;
	if (!slice)
		return hl_fail_memory(error, (size_t)volume->depth * sizeof(*slice), "slices");
	for (int32_t z = 0; z < volume->depth; z++)
		slice[z] = z;
	/* Formats that keep it with 32 bits must not give other slices. */
	for (int k = 0; k < 3; k++)
		scan.spacing[k] = round(scan.spacing[k] * 1e6) / 1e6;
	enum hilum_status status = hl_lungs_find(&scan, threads, &lungs, error);
	if (status == HILUM_ERROR_MEMORY) {
		hl_free(slice);
		return status;
	}
	if (!status) {
		if (lungs.chest)
			left = drop_without_lung(&lungs.mask, slice);
		hl_volume_free(&lungs.mask);
	}
	*out = slice;
	*count = left;
	return HILUM_OK;
}
