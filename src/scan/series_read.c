/* From the files of a layout to a volume: slices are decoded several at a time, in the sandbox, and rescaled into their
 * places here. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "scan/dicom_work.h"
#include "scan/orient.h"
#include "scan/series.h"

/* Slopes and intercepts up to which 16-bit values can be rescaled in 32 bits. */
#define SLOPE_MAX 4096
#define INTERCEPT_MAX (1 << 24)
/* Bytes of a file's frames that are asked for at a time. Deflated files are inflated anew each time. */
#define CHUNK_BYTES ((size_t)16 << 20)
#define CHUNK_BYTES_DEFLATED ((size_t)128 << 20)

/* A slice that is wanted at a place. */
struct want {
	int32_t slice, place;
};

/* Wants of one file, one behind the other. */
struct chunk {
	int32_t first, count;
};

struct job {
	const struct hl_slice *slices;
	const struct hl_layout *layout;
	const struct hl_file *files;
	struct hl_volume *volume;
	struct want *want;
	struct chunk *chunk;
	int32_t wants, chunks;
	bool copies; /* what is read is compared with what is at its place, and not put there */
	bool inside, force, *failed;
	pthread_mutex_t mutex; /* of what is below */
	int32_t first_failed;  /* place of error */
	struct hilum_error error;
	bool overflow;
	int32_t conflicts, first_conflict;
};

/* ---- numbers ---- */

static bool is_whole(const struct hl_dicom_frame *frame)
{
	return frame->slope == floor(frame->slope) && frame->intercept == floor(frame->intercept) &&
	       fabs(frame->slope) <= SLOPE_MAX && fabs(frame->intercept) <= INTERCEPT_MAX;
}

/* For each type of stored values. To 16 bits: false where a value does not fit. To floating point: in double precision,
 * rounded once, as pydicom's apply_rescale followed by astype("float32"). */
#define RESCALE(type)                                                                                                  \
	static bool type##_to_i16(const type *in, size_t count, int32_t slope, int32_t intercept, int16_t *out)        \
	{                                                                                                              \
		int32_t least = 0, most = 0;                                                                           \
		for (size_t i = 0; i < count; i++) {                                                                   \
			int32_t value = in[i] * slope + intercept;                                                     \
			least = value < least ? value : least;                                                         \
			most = value > most ? value : most;                                                            \
			out[i] = (int16_t)value;                                                                       \
		}                                                                                                      \
		return least >= INT16_MIN && most <= INT16_MAX;                                                        \
	}                                                                                                              \
	static void type##_to_f32(const type *in, size_t count, double slope, double intercept, float *out)            \
	{                                                                                                              \
		for (size_t i = 0; i < count; i++)                                                                     \
			out[i] = (float)(in[i] * slope + intercept);                                                   \
	}
RESCALE(int8_t)
RESCALE(uint8_t)
RESCALE(int16_t)
RESCALE(uint16_t)

static bool rescale_i16(const struct hl_slice *slice, const void *in, size_t count, int16_t *out)
{
	int32_t slope = (int32_t)hl_slice_frame(slice)->slope, intercept = (int32_t)hl_slice_frame(slice)->intercept;
	bool is_signed = slice->dicom->is_signed;

	if (slice->dicom->bits_allocated == 8)
		return is_signed ? int8_t_to_i16(in, count, slope, intercept, out)
		                 : uint8_t_to_i16(in, count, slope, intercept, out);
	return is_signed ? int16_t_to_i16(in, count, slope, intercept, out)
	                 : uint16_t_to_i16(in, count, slope, intercept, out);
}

static void rescale_f32(const struct hl_slice *slice, const void *in, size_t count, float *out)
{
	double slope = hl_slice_frame(slice)->slope, intercept = hl_slice_frame(slice)->intercept;
	bool is_signed = slice->dicom->is_signed;

	if (slice->dicom->bits_allocated == 8 && is_signed)
		int8_t_to_f32(in, count, slope, intercept, out);
	else if (slice->dicom->bits_allocated == 8)
		uint8_t_to_f32(in, count, slope, intercept, out);
	else if (is_signed)
		int16_t_to_f32(in, count, slope, intercept, out);
	else
		uint16_t_to_f32(in, count, slope, intercept, out);
}

/* ---- places ---- */

static void note_failure(struct job *job, const struct chunk *chunk, const struct hilum_error *error)
{
	pthread_mutex_lock(&job->mutex);
	for (int32_t i = chunk->first; i < chunk->first + chunk->count; i++) {
		const struct want *want = &job->want[i];
		if (job->failed)
			job->failed[want->slice] = true;
		if (want->place < job->first_failed) {
			job->first_failed = want->place;
			job->error = *error;
		}
	}
	pthread_mutex_unlock(&job->mutex);
}

static void note_conflict(struct job *job, int32_t place)
{
	pthread_mutex_lock(&job->mutex);
	job->conflicts++;
	if (place < job->first_conflict)
		job->first_conflict = place;
	pthread_mutex_unlock(&job->mutex);
}

/* Stored values to the volume's numbers. */
static void rescale(struct job *job, int32_t slice, const void *values, void *out)
{
	size_t count = (size_t)job->layout->slice_width * (size_t)job->layout->slice_height;

	if (job->volume->type == HL_VOXEL_F32) {
		rescale_f32(&job->slices[slice], values, count, out);
	} else if (!rescale_i16(&job->slices[slice], values, count, out)) {
		pthread_mutex_lock(&job->mutex);
		job->overflow = true;
		pthread_mutex_unlock(&job->mutex);
	}
}

/* Puts a slice into its place, or compares it with what is there. scratch has room for a slice as it is and for one as
 * it lies in the volume. */
static enum hilum_status put_slice(struct job *job, const struct want *want, const void *values, char *scratch,
                                   struct hilum_error *error)
{
	const struct hl_layout *layout = job->layout;
	size_t size = hl_voxel_size(job->volume->type);
	size_t slice = (size_t)layout->slice_width * (size_t)layout->slice_height * size;
	size_t plane = (size_t)layout->width * (size_t)layout->height * size;
	char *there = (char *)job->volume->voxels + (size_t)want->place * plane,
	     *to = job->copies ? scratch + slice : there;
	enum hilum_status status = HILUM_OK;

	rescale(job, want->slice, values, layout->shifted ? scratch : to);
	if (layout->shifted)
		status = hl_slice_shift(layout, &layout->place[want->place], scratch, job->volume->type, to, error);
	if (!status && job->copies && memcmp(to, there, plane) != 0)
		note_conflict(job, want->place);
	return status;
}

static void read_chunk(void *context, int32_t index)
{
	struct job *job = context;
	const struct chunk *chunk = &job->chunk[index];
	const struct want *want = &job->want[chunk->first];
	const struct hl_slice *first = &job->slices[want->slice];
	const struct hl_layout *layout = job->layout;
	size_t size = hl_voxel_size(job->volume->type), bytes = hl_dicom_frame_bytes(first->dicom);
	size_t room = ((size_t)layout->slice_width * (size_t)layout->slice_height +
	               (size_t)layout->width * (size_t)layout->height) *
	              size;
	char *scratch = layout->shifted || job->copies ? hl_alloc(room, 1) : NULL;
	int32_t *frames = hl_alloc((size_t)chunk->count, sizeof(*frames));
	struct hilum_error error = {0};
	uint8_t *values = NULL;
	enum hilum_status status = HILUM_OK;

	if (!frames || (!scratch && (layout->shifted || job->copies)))
		status = hl_fail_memory(&error, room, "a slice");
	for (int32_t i = 0; i < chunk->count && !status; i++)
		frames[i] = job->slices[want[i].slice].frame;
	if (!status)
		status = hl_frames_read(&job->files[first->file], job->inside, first->dicom, frames, chunk->count,
		                        &values, &error);
	for (int32_t i = 0; i < chunk->count && !status; i++)
		status = put_slice(job, &want[i], values + (size_t)i * bytes, scratch, &error);
	if (status)
		note_failure(job, chunk, &error);
	hl_free(values);
	hl_free(frames);
	hl_free(scratch);
}

/* ---- what is to be read ---- */

static int by_file(const void *a, const void *b, void *context)
{
	const struct hl_slice *slices = context;
	const struct hl_slice *one = &slices[((const struct want *)a)->slice];
	const struct hl_slice *other = &slices[((const struct want *)b)->slice];

	return one->file != other->file ? one->file - other->file : one->frame - other->frame;
}

static size_t chunk_bytes(const struct hl_dicom *dicom)
{
	return dicom->syntax->deflated ? CHUNK_BYTES_DEFLATED : CHUNK_BYTES;
}

/* Sorts the wants by file and cuts them into chunks. */
static void cut(struct job *job)
{
	struct chunk *chunk = NULL;

	qsort_r(job->want, (size_t)job->wants, sizeof(*job->want), by_file, (void *)(uintptr_t)job->slices);
	job->chunks = 0;
	for (int32_t i = 0; i < job->wants; i++) {
		const struct hl_slice *slice = &job->slices[job->want[i].slice];
		size_t bytes = hl_dicom_frame_bytes(slice->dicom);
		if (!chunk || slice->file != job->slices[job->want[chunk->first].slice].file ||
		    chunk->count == HL_FRAMES_MAX || (size_t)(chunk->count + 1) * bytes > chunk_bytes(slice->dicom)) {
			chunk = &job->chunk[job->chunks++];
			*chunk = (struct chunk){.first = i};
		}
		chunk->count++;
	}
}

/* Reads the slices of all places, then the copies of them. */
static enum hilum_status fill(struct job *job, int32_t threads, struct hilum_error *error)
{
	const struct hl_layout *layout = job->layout;
	int32_t most = layout->count > layout->extras ? layout->count : layout->extras;
	enum hilum_status status = HILUM_OK;

	job->want = hl_alloc((size_t)most, sizeof(*job->want));
	job->chunk = hl_alloc((size_t)most, sizeof(*job->chunk));
	if (!job->want || !job->chunk)
		status = hl_fail_memory(error, (size_t)most * sizeof(*job->want), "slices");
	job->first_failed = INT32_MAX;
	job->overflow = false;
	job->conflicts = 0;
	job->first_conflict = INT32_MAX;
	for (int pass = 0; pass < 2 && !status; pass++) {
		job->copies = pass == 1;
		job->wants = 0;
		for (int32_t i = 0; i < layout->count; i++) {
			const struct hl_place *place = &layout->place[i];
			for (int32_t k = 0; k < place->more && job->copies; k++)
				job->want[job->wants++] = (struct want){layout->extra[place->first_extra + k], i};
			if (!job->copies)
				job->want[job->wants++] = (struct want){place->slice, i};
		}
		cut(job);
		hl_parallel(job->chunks, threads, read_chunk, job);
		if (job->first_failed < INT32_MAX)
			status = hl_fail(error, job->error.code, "%s", job->error.message);
	}
	hl_free(job->want);
	hl_free(job->chunk);
	return status;
}

/* ---- the volume ---- */

static enum hl_voxel choose_type(const struct hl_slice *slices, const struct hl_layout *layout)
{
	for (int32_t i = 0; i < layout->count; i++)
		if (!is_whole(hl_slice_frame(&slices[layout->place[i].slice])))
			return HL_VOXEL_F32;
	for (int32_t i = 0; i < layout->extras; i++)
		if (!is_whole(hl_slice_frame(&slices[layout->extra[i]])))
			return HL_VOXEL_F32;
	return HL_VOXEL_I16;
}

static enum hilum_status check_copies(const struct job *job, struct hl_findings *findings, struct hilum_error *error)
{
	const struct hl_layout *layout = job->layout;

	if (job->conflicts > 0)
		return hl_findings_refuse(
		    findings, HL_FINDING_CONFLICT, job->force, job->conflicts, error,
		    "%d slices differ from another one at the same place, the first in slice %d%s", job->conflicts,
		    job->first_conflict + 1, job->force ? ": the one of the lowest number kept" : "");
	if (layout->extras > 0)
		hl_findings_note(findings, HL_FINDING_DUPLICATE, HL_FINDING_REPAIRED, layout->extras,
		                 "%d copies of slices left out", layout->extras);
	return HILUM_OK;
}

/* Decodes into a new volume of that type. */
static enum hilum_status decode(struct job *job, enum hl_voxel type, int32_t threads, struct hilum_error *error)
{
	const struct hl_layout *layout = job->layout;
	enum hilum_status status =
	    hl_volume_init(job->volume, layout->width, layout->height, layout->count, 1, type, error);

	return status ? status : fill(job, threads, error);
}

enum hilum_status hl_series_read(const struct hl_slice *slices, const struct hl_layout *layout,
                                 const struct hl_file *files, const struct hl_load_options *options, bool *failed,
                                 struct hl_volume *out, struct hl_findings *findings, struct hilum_error *error)
{
	struct hl_volume volume = {0};
	struct job job = {.slices = slices,
	                  .layout = layout,
	                  .files = files,
	                  .volume = &volume,
	                  .failed = failed,
	                  .force = options->force,
	                  .inside = options->inside,
	                  .mutex = PTHREAD_MUTEX_INITIALIZER};
	enum hl_voxel type = choose_type(slices, layout);
	enum hilum_status status = decode(&job, type, options->threads, error);

	/* Headers do not tell whether values fit into 16 bits; when they do not, which is rare, all is read again. */
	if (!status && job.overflow && type == HL_VOXEL_I16) {
		hl_volume_free(&volume);
		status = decode(&job, HL_VOXEL_F32, options->threads, error);
	}
	if (!status)
		status = check_copies(&job, findings, error);
	if (!status && layout->regular > 0)
		status = hl_volume_regularise(layout, &volume, error);
	if (!status) {
		memcpy(volume.spacing, layout->spacing, sizeof(volume.spacing));
		volume.oriented = layout->oriented;
	}
	if (!status && layout->oriented) {
		memcpy(volume.origin, layout->origin, sizeof(volume.origin));
		memcpy(volume.direction, layout->direction, sizeof(volume.direction));
		status = hl_volume_orient(&volume, error);
	}
	if (status)
		hl_volume_free(&volume);
	else
		*out = volume;
	return status;
}
