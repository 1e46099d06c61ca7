/* Resampling and cropping of volumes. Slices are reduced or enlarged in their plane, down and then across, and only as
 * many of them are kept as one output slice sums: the volume is never there as floats. */
#include "scan/resample.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "scan/resample_filter.h"

/* Of a voxel's air outside of a scan. */
#define AIR (-1000)

struct job {
	const struct hl_volume *from;
	struct hl_volume to;
	struct hl_filter filter[3]; /* along x, y, z */
	float *across;              /* weights of filter[0] in single precision */
	int32_t chunk;              /* output slices that a thread does at a time */
	atomic_int status;
};

/* What one thread works with: a ring of slices already resampled in their plane. */
struct scratch {
	float *row;   /* of the source, as floats */
	float *sum;   /* of rows of the source */
	float *slice; /* ring slices of the output's width and height */
	int32_t *which;
	int32_t ring;
};

static void scratch_free(struct scratch *scratch)
{
	hl_free(scratch->row);
	hl_free(scratch->sum);
	hl_free(scratch->slice);
	hl_free(scratch->which);
}

static bool scratch_make(const struct job *job, struct scratch *scratch)
{
	size_t pixels = (size_t)job->to.width * (size_t)job->to.height, floats;
	bool done;

	scratch->ring = (int32_t)job->filter[2].taps;
	scratch->row = hl_alloc((size_t)job->from->width, sizeof(float));
	scratch->sum = hl_alloc((size_t)job->from->width, sizeof(float));
	scratch->which = hl_alloc((size_t)scratch->ring, sizeof(*scratch->which));
	done = hl_mul_size(pixels, (size_t)scratch->ring, &floats);
	scratch->slice = done ? hl_alloc(floats, sizeof(float)) : NULL;
	for (int32_t i = 0; scratch->which && i < scratch->ring; i++)
		scratch->which[i] = -1;
	return scratch->row && scratch->sum && scratch->which && scratch->slice;
}

/* One row of the source as floats. */
static void widen(const struct hl_volume *volume, int32_t y, int32_t z, float *out)
{
	size_t width = (size_t)volume->width, first = ((size_t)z * (size_t)volume->height + (size_t)y) * width;

	switch (volume->type) {
	case HL_VOXEL_U8:
		for (size_t x = 0; x < width; x++)
			out[x] = (float)((const uint8_t *)volume->voxels)[first + x];
		break;
	case HL_VOXEL_U16:
		for (size_t x = 0; x < width; x++)
			out[x] = (float)((const uint16_t *)volume->voxels)[first + x];
		break;
	case HL_VOXEL_I16:
		for (size_t x = 0; x < width; x++)
			out[x] = (float)((const int16_t *)volume->voxels)[first + x];
		break;
	case HL_VOXEL_F32:
		memcpy(out, (const float *)volume->voxels + first, width * sizeof(*out));
		break;
	}
}

static void add_row(float *restrict sum, const float *restrict row, float weight, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sum[i] += row[i] * weight;
}

/* Source slice z in the output's plane. Down first: rows are summed as wholes. */
static void reduce_slice(const struct job *job, const struct scratch *scratch, int32_t z, float *out)
{
	const struct hl_filter *down = &job->filter[1], *across = &job->filter[0];
	size_t width = (size_t)job->from->width;

	for (int32_t y = 0; y < job->to.height; y++) {
		const double *weight = down->weight + (size_t)y * down->taps;
		memset(scratch->sum, 0, width * sizeof(*scratch->sum));
		for (int32_t k = 0; k < down->count[y]; k++) {
			widen(job->from, down->first[y] + k, z, scratch->row);
			add_row(scratch->sum, scratch->row, (float)weight[k], width);
		}
		for (int32_t x = 0; x < job->to.width; x++) {
			const float *from = scratch->sum + across->first[x];
			const float *share = job->across + (size_t)x * across->taps;
			float sum = 0;
			for (int32_t k = 0; k < across->count[x]; k++)
				sum += from[k] * share[k];
			*out++ = sum;
		}
	}
}

/* The slice out of the ring, put there first if it is not. */
static const float *plane_of(const struct job *job, struct scratch *scratch, int32_t z)
{
	int32_t slot = z % scratch->ring;
	float *slice = scratch->slice + (size_t)slot * (size_t)job->to.width * (size_t)job->to.height;

	if (scratch->which[slot] != z) {
		reduce_slice(job, scratch, z, slice);
		scratch->which[slot] = z;
	}
	return slice;
}

/* One row of sums as voxels. NaN, which only floats can hold, becomes the type's least number. */
static void narrow(const float *sum, size_t count, enum hl_voxel type, void *out)
{
	for (size_t i = 0; i < count && type == HL_VOXEL_I16; i++) {
		float value = sum[i] > INT16_MIN ? sum[i] : INT16_MIN;
		((int16_t *)out)[i] = (int16_t)lrintf(value < INT16_MAX ? value : INT16_MAX);
	}
	for (size_t i = 0; i < count && type == HL_VOXEL_U16; i++) {
		float value = sum[i] > 0 ? sum[i] : 0;
		((uint16_t *)out)[i] = (uint16_t)lrintf(value < UINT16_MAX ? value : UINT16_MAX);
	}
	for (size_t i = 0; i < count && type == HL_VOXEL_U8; i++) {
		float value = sum[i] > 0 ? sum[i] : 0;
		((uint8_t *)out)[i] = (uint8_t)lrintf(value < UINT8_MAX ? value : UINT8_MAX);
	}
	if (type == HL_VOXEL_F32)
		memcpy(out, sum, count * sizeof(*sum));
}

static void make_slice(const struct job *job, struct scratch *scratch, int32_t z)
{
	enum { RUN = 2048 };
	const struct hl_filter *through = &job->filter[2];
	const double *weight = through->weight + (size_t)z * through->taps;
	size_t pixels = (size_t)job->to.width * (size_t)job->to.height, voxel = hl_voxel_size(job->to.type);
	uint8_t *out = (uint8_t *)job->to.voxels + (size_t)z * pixels * voxel;
	float sum[RUN];

	/* All of them, before any is looked at. */
	for (int32_t k = 0; k < through->count[z]; k++)
		(void)plane_of(job, scratch, through->first[z] + k);
	for (size_t done = 0; done < pixels; done += RUN) {
		size_t run = pixels - done < RUN ? pixels - done : RUN;
		memset(sum, 0, run * sizeof(*sum));
		for (int32_t k = 0; k < through->count[z]; k++)
			add_row(sum, plane_of(job, scratch, through->first[z] + k) + done, (float)weight[k], run);
		narrow(sum, run, job->to.type, out + done * voxel);
	}
}

static void make_chunk(void *context, int32_t index)
{
	struct job *job = context;
	struct scratch scratch = {0};
	int32_t first = index * job->chunk;
	int32_t last = job->to.depth - first < job->chunk ? job->to.depth : first + job->chunk;

	if (!scratch_make(job, &scratch))
		atomic_store(&job->status, HILUM_ERROR_MEMORY);
	else
		for (int32_t z = first; z < last; z++)
			make_slice(job, &scratch, z);
	scratch_free(&scratch);
}

/* ---- the new volume ---- */

static double rounded(double spacing)
{
	return round(spacing * 1e6) / 1e6;
}

static enum hilum_status plan(struct job *job, const double spacing[3], enum hl_voxel type, struct hilum_error *error)
{
	const struct hl_volume *from = job->from;
	const int32_t size[3] = {from->width, from->height, from->depth};
	int32_t made[3];
	double scale[3];
	enum hilum_status status;

	for (int k = 0; k < 3; k++) {
		double own = rounded(from->spacing[k]), count;
		if (!(own > 0))
			return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "the size of its voxels is not known");
		if (!(spacing[k] >= 1e-3 && spacing[k] <= 1e4))
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "voxels of %g mm", spacing[k]);
		scale[k] = spacing[k] / own;
		if (scale[k] > 1e6)
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "voxels of %g mm from ones of %g mm", spacing[k],
			               own);
		count = fmax(1, round(size[k] / scale[k]));
		if (count > HL_VOLUME_SIDE_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "%.0f voxels of %g mm along axis %d, more than %d",
			               count, spacing[k], k + 1, HL_VOLUME_SIDE_MAX);
		made[k] = (int32_t)count;
	}
	status = hl_volume_init(&job->to, made[0], made[1], made[2], 1, type, error);
	for (int k = 0; k < 3 && !status; k++)
		status = hl_filter_make(&job->filter[k], size[k], made[k], scale[k], error);
	if (status)
		return status;
	for (int k = 0; k < 3; k++)
		hl_filter_center(&job->filter[k], size[k], made[k], scale[k]);
	job->across = hl_alloc((size_t)made[0] * job->filter[0].taps, sizeof(float));
	if (!job->across)
		return hl_fail_memory(error, (size_t)made[0] * job->filter[0].taps * sizeof(float), "weights");
	for (size_t i = 0; i < (size_t)made[0] * job->filter[0].taps; i++)
		job->across[i] = (float)job->filter[0].weight[i];
	/* As many as share most of the slices that they sum. */
	job->chunk = (int32_t)ceil(16 / scale[2]);
	job->chunk = job->chunk < 16 ? 16 : job->chunk;
	return HILUM_OK;
}

static void set_place(struct job *job, const double spacing[3])
{
	const struct hl_volume *from = job->from;
	struct hl_volume *to = &job->to;

	to->oriented = from->oriented;
	to->maximum = from->maximum;
	memcpy(to->format, from->format, sizeof(to->format));
	memcpy(to->direction, from->direction, sizeof(to->direction));
	memcpy(to->origin, from->origin, sizeof(to->origin));
	for (int k = 0; k < 3; k++) {
		to->spacing[k] = spacing[k];
		for (int i = 0; i < 3 && from->oriented; i++)
			to->origin[i] += (spacing[k] - from->spacing[k]) / 2 * from->direction[k][i];
	}
}

enum hilum_status hl_volume_resample(const struct hl_volume *volume, const double spacing[3], enum hl_voxel type,
                                     int32_t threads, struct hl_volume *out, struct hilum_error *error)
{
	struct job job = {.from = volume, .status = HILUM_OK};
	bool grey = type == HL_VOXEL_U8 || type == HL_VOXEL_U16;
	enum hilum_status status;

	if (volume->channels != 1 || grey != (volume->unit == HL_UNIT_GREY))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "resampling %d channels of one unit to another",
		               volume->channels);
	status = plan(&job, spacing, type, error);
	if (!status) {
		set_place(&job, spacing);
		hl_parallel((job.to.depth + job.chunk - 1) / job.chunk, threads, make_chunk, &job);
		if (atomic_load(&job.status))
			status = hl_fail(error, HILUM_ERROR_MEMORY, "out of memory for resampling");
	}
	for (int k = 0; k < 3; k++)
		hl_filter_free(&job.filter[k]);
	hl_free(job.across);
	if (status)
		hl_volume_free(&job.to);
	else
		*out = job.to;
	return status;
}

/* ---- cropping ---- */

static void fill(struct hl_volume *volume)
{
	size_t count =
	    (size_t)volume->width * (size_t)volume->height * (size_t)volume->depth * (size_t)volume->channels;

	for (size_t i = 0; i < count && volume->type == HL_VOXEL_I16; i++)
		((int16_t *)volume->voxels)[i] = AIR;
	for (size_t i = 0; i < count && volume->type == HL_VOXEL_F32; i++)
		((float *)volume->voxels)[i] = AIR;
}

enum hilum_status hl_volume_crop(const struct hl_volume *volume, const int32_t first[3], const int32_t size[3],
                                 struct hl_volume *out, struct hilum_error *error)
{
	const int32_t whole[3] = {volume->width, volume->height, volume->depth};
	size_t voxel = hl_voxel_size(volume->type) * (size_t)volume->channels;
	int32_t from[3], to[3];
	struct hl_volume made;
	enum hilum_status status;
	bool inside = true;

	for (int k = 0; k < 3; k++) {
		if (first[k] < -HL_VOLUME_SIDE_MAX || first[k] > HL_VOLUME_SIDE_MAX || size[k] < 1)
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "a block of %d voxels from %d on", size[k],
			               first[k]);
	}
	status = hl_volume_init(&made, size[0], size[1], size[2], volume->channels, volume->type, error);
	if (status)
		return status;
	for (int k = 0; k < 3; k++) {
		/* From and to where of the block there are voxels. */
		from[k] = first[k] < 0 ? -first[k] : 0;
		to[k] = whole[k] - first[k] < size[k] ? whole[k] - first[k] : size[k];
		inside = inside && from[k] == 0 && to[k] == size[k];
	}
	if (!inside)
		fill(&made);
	for (int32_t z = from[2]; z < to[2]; z++)
		for (int32_t y = from[1]; y < to[1] && from[0] < to[0]; y++) {
			size_t there = ((size_t)z * (size_t)size[1] + (size_t)y) * (size_t)size[0] + (size_t)from[0];
			size_t here =
			    ((size_t)(z + first[2]) * (size_t)whole[1] + (size_t)(y + first[1])) * (size_t)whole[0] +
			    (size_t)(from[0] + first[0]);
			memcpy((uint8_t *)made.voxels + there * voxel, (const uint8_t *)volume->voxels + here * voxel,
			       (size_t)(to[0] - from[0]) * voxel);
		}
	void *voxels = made.voxels;
	made = *volume;
	made.voxels = voxels;
	made.width = size[0];
	made.height = size[1];
	made.depth = size[2];
	for (int k = 0; k < 3; k++)
		for (int i = 0; i < 3 && volume->oriented; i++)
			made.origin[i] += first[k] * volume->spacing[k] * volume->direction[k][i];
	*out = made;
	return HILUM_OK;
}
