/* Patient axes by flips and permutations. */
#include "scan/orient.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

struct hl_orient hl_orient_find(double direction[3][3])
{
	static const int permutations[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	struct hl_orient orient = {0};
	double best = -1;

	for (int i = 0; i < 6; i++) {
		const int *axis = permutations[i];
		double sum = fabs(direction[axis[0]][0]) + fabs(direction[axis[1]][1]) + fabs(direction[axis[2]][2]);
		/* What rounding makes of equals must not decide. */
		if (sum <= best + 1e-9)
			continue;
		best = sum;
		for (int k = 0; k < 3; k++) {
			orient.axis[k] = axis[k];
			orient.flip[k] = direction[axis[k]][k] < 0;
		}
	}
	return orient;
}

bool hl_orient_is_identity(const struct hl_orient *orient)
{
	for (int k = 0; k < 3; k++)
		if (orient->axis[k] != k || orient->flip[k])
			return false;
	return true;
}

struct hl_orient_map hl_orient_place(const struct hl_orient *orient, const int32_t size[3])
{
	struct hl_orient_map map = {0};
	ptrdiff_t stride = 1;

	for (int k = 0; k < 3; k++) {
		int from = orient->axis[k];
		map.step[from] = orient->flip[k] ? -stride : stride;
		if (orient->flip[k])
			map.first += stride * (size[from] - 1);
		stride *= size[from];
	}
	return map;
}

void hl_orient_geometry(const struct hl_orient *orient, struct hl_volume *volume)
{
	const struct hl_volume from = *volume;
	const int32_t size[3] = {from.width, from.height, from.depth};
	int32_t *turned[3] = {&volume->width, &volume->height, &volume->depth};

	for (int k = 0; k < 3; k++) {
		int axis = orient->axis[k];
		double sign = orient->flip[k] ? -1 : 1;
		*turned[k] = size[axis];
		volume->spacing[k] = from.spacing[axis];
		for (int i = 0; i < 3; i++) {
			volume->direction[k][i] = sign * from.direction[axis][i];
			if (orient->flip[k])
				volume->origin[i] += (size[axis] - 1) * from.spacing[axis] * from.direction[axis][i];
		}
	}
}

static void swap_bytes(uint8_t *a, uint8_t *b, size_t count)
{
	uint8_t chunk[4096];

	while (count > 0) {
		size_t step = count < sizeof(chunk) ? count : sizeof(chunk);
		memcpy(chunk, a, step);
		memcpy(a, b, step);
		memcpy(b, chunk, step);
		a += step;
		b += step;
		count -= step;
	}
}

/* Reverses the order of count blocks. */
static void reverse_blocks(uint8_t *bytes, size_t count, size_t block)
{
	for (size_t low = 0, high = count; low + 1 < high; low++) {
		high--;
		swap_bytes(bytes + low * block, bytes + high * block, block);
	}
}

/* Called with a constant, so that the compiler knows how many bytes a voxel has. */
static inline void reverse_voxels(uint8_t *row, size_t width, size_t voxel)
{
	uint8_t other[16];

	for (size_t low = 0, high = width - 1; low < high; low++, high--) {
		memcpy(other, row + low * voxel, voxel);
		memcpy(row + low * voxel, row + high * voxel, voxel);
		memcpy(row + high * voxel, other, voxel);
	}
}

static void reverse_row(uint8_t *row, size_t width, size_t voxel)
{
	switch (voxel) {
	case 1:
		reverse_voxels(row, width, 1);
		break;
	case 2:
		reverse_voxels(row, width, 2);
		break;
	case 4:
		reverse_voxels(row, width, 4);
		break;
	default:
		reverse_blocks(row, width, voxel);
		break;
	}
}

static void flip(struct hl_volume *volume, const struct hl_orient *orient, size_t voxel)
{
	size_t width = (size_t)volume->width, height = (size_t)volume->height, depth = (size_t)volume->depth;
	uint8_t *voxels = volume->voxels;

	for (size_t row = 0; orient->flip[0] && row < height * depth; row++)
		reverse_row(voxels + row * width * voxel, width, voxel);
	for (size_t z = 0; orient->flip[1] && z < depth; z++)
		reverse_blocks(voxels + z * height * width * voxel, height, width * voxel);
	if (orient->flip[2])
		reverse_blocks(voxels, depth, height * width * voxel);
}

/* One row of the source to every step-th voxel from out on. */
static inline void scatter_voxels(const uint8_t *row, size_t width, size_t voxel, uint8_t *out, ptrdiff_t step)
{
	for (size_t x = 0; x < width; x++)
		memcpy(out + (ptrdiff_t)x * step * (ptrdiff_t)voxel, row + x * voxel, voxel);
}

static void scatter(const uint8_t *row, size_t width, size_t voxel, uint8_t *out, ptrdiff_t step)
{
	switch (voxel) {
	case 1:
		scatter_voxels(row, width, 1, out, step);
		break;
	case 2:
		scatter_voxels(row, width, 2, out, step);
		break;
	case 4:
		scatter_voxels(row, width, 4, out, step);
		break;
	default:
		scatter_voxels(row, width, voxel, out, step);
		break;
	}
}

static enum hilum_status permute(struct hl_volume *volume, const struct hl_orient *orient, size_t voxel,
                                 struct hilum_error *error)
{
	const int32_t size[3] = {volume->width, volume->height, volume->depth};
	struct hl_orient_map map = hl_orient_place(orient, size);
	size_t width = (size_t)size[0], row = width * voxel;
	size_t rows = (size_t)size[1] * (size_t)size[2];
	uint8_t *out = hl_alloc(rows, row);

	if (!out)
		return hl_fail_memory(error, rows * row, "a turned volume");
	for (size_t i = 0; i < rows; i++) {
		ptrdiff_t y = (ptrdiff_t)(i % (size_t)size[1]), z = (ptrdiff_t)(i / (size_t)size[1]);
		ptrdiff_t first = map.first + y * map.step[1] + z * map.step[2];
		scatter((const uint8_t *)volume->voxels + i * row, width, voxel, out + first * (ptrdiff_t)voxel,
		        map.step[0]);
	}
	hl_voxels_free(volume->voxels);
	volume->voxels = out;
	return HILUM_OK;
}

enum hilum_status hl_volume_orient(struct hl_volume *volume, struct hilum_error *error)
{
	struct hl_orient orient = hl_orient_find(volume->direction);
	size_t voxel = hl_voxel_size(volume->type) * (size_t)volume->channels;
	enum hilum_status status = HILUM_OK;

	if (!volume->oriented || hl_orient_is_identity(&orient))
		return HILUM_OK;
	if (orient.axis[0] == 0 && orient.axis[1] == 1)
		flip(volume, &orient, voxel);
	else
		status = permute(volume, &orient, voxel, error);
	if (!status)
		hl_orient_geometry(&orient, volume);
	return status;
}

void hl_volume_affine(const struct hl_volume *volume, double affine[3][4])
{
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < 3; k++)
			affine[i][k] = volume->spacing[k] * volume->direction[k][i];
		affine[i][3] = volume->origin[i];
	}
}

enum hilum_status hl_volume_set_affine(struct hl_volume *volume, double affine[3][4], struct hilum_error *error)
{
	double direction[3][3], spacing[3];

	for (int k = 0; k < 3; k++) {
		double length =
		    sqrt(affine[0][k] * affine[0][k] + affine[1][k] * affine[1][k] + affine[2][k] * affine[2][k]);
		if (!isfinite(length) || !isfinite(affine[k][3]))
			return hl_fail(error, HILUM_ERROR_FORMAT, "its place in the patient is not a finite number");
		if (length < 1e-6 || length > 1e6)
			return hl_fail(error, HILUM_ERROR_FORMAT, "voxels of %g mm along axis %d", length, k + 1);
		spacing[k] = length;
		for (int i = 0; i < 3; i++)
			direction[k][i] = affine[i][k] / length;
	}
	for (int k = 0; k < 3; k++) {
		const double *a = direction[k], *b = direction[(k + 1) % 3];
		double cosine = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
		if (fabs(cosine) > HL_ORIENT_SHEAR_MAX)
			return hl_fail(error, HILUM_ERROR_UNSUPPORTED,
			               "sheared: its axes %d and %d stand at %.2f degrees instead of 90", k + 1,
			               (k + 1) % 3 + 1,
			               acos(fmax(-1, fmin(1, cosine))) * (180 / 3.14159265358979323846));
	}
	for (int k = 0; k < 3; k++)
		volume->origin[k] = affine[k][3];
	memcpy(volume->spacing, spacing, sizeof(spacing));
	memcpy(volume->direction, direction, sizeof(direction));
	volume->oriented = true;
	return HILUM_OK;
}
