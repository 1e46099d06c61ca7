/* From the files of a layout to a volume: slices are decoded on several threads, each straight into its place. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "scan/format.h"
#include "scan/orient.h"
#include "scan/series.h"

/* What is outside a shifted slice. */
#define AIR (-1024)
/* Slopes and intercepts up to which 16-bit values can be rescaled in 32 bits. */
#define SLOPE_MAX 4096
#define INTERCEPT_MAX (1 << 24)

/* A file that is being read: opened by the first of its frames, closed by the last. */
struct source {
	pthread_mutex_t mutex;
	struct hl_buffer bytes;
	struct hl_dicom dicom;
	bool open, broken;
	int32_t left; /* frames still to be read */
	struct hilum_error error;
};

struct job {
	const struct hl_slice *slices;
	const struct hl_layout *layout;
	const struct hl_file *files;
	struct source *source; /* by file */
	struct hl_volume *volume;
	bool *failed, force;
	pthread_mutex_t mutex; /* of what is below */
	int32_t first_failed;  /* place of error */
	struct hilum_error error;
	bool overflow;
	int32_t conflicts, first_conflict;
};

/* ---- files ---- */

static enum hilum_status open_source(struct source *source, const struct hl_file *file)
{
	const uint8_t *bytes = file->bytes;
	size_t length = file->length;
	enum hilum_status status = HILUM_OK;

	hl_buffer_init(&source->bytes, 0);
	if (!bytes) {
		status = hl_file_read(file->path, HL_FILE_BYTES_MAX, &source->bytes, &source->error);
		if (status)
			return status;
		bytes = (const uint8_t *)source->bytes.data;
		length = source->bytes.length;
	}
	status = hl_dicom_open(bytes, length, &source->dicom, &source->error);
	return status ? hl_prefix(&source->error, status, "%s", file->name) : HILUM_OK;
}

static void close_source(struct source *source)
{
	hl_dicom_close(&source->dicom);
	hl_buffer_free(&source->bytes);
	source->open = false;
}

/* A slice's stored values. */
static enum hilum_status read_values(struct job *job, int32_t number, void *values, struct hilum_error *error)
{
	const struct hl_slice *slice = &job->slices[number];
	struct source *source = &job->source[slice->file];
	enum hilum_status status = HILUM_OK;

	pthread_mutex_lock(&source->mutex);
	if (!source->open && !source->broken) {
		source->open = true;
		source->broken = open_source(source, &job->files[slice->file]) != HILUM_OK;
	}
	if (source->broken)
		status = hl_fail(error, source->error.code, "%s", source->error.message);
	pthread_mutex_unlock(&source->mutex);
	const struct hl_dicom *then = slice->dicom, *now = &source->dicom;
	if (!status && (now->width != then->width || now->height != then->height || now->samples != then->samples ||
	                now->frames != then->frames || now->bits_allocated != then->bits_allocated ||
	                now->is_signed != then->is_signed))
		status =
		    hl_fail(error, HILUM_ERROR_FORMAT, "%s: changed while it was read", job->files[slice->file].name);
	if (!status) {
		status = hl_dicom_read(now, slice->frame, values, error);
		if (status)
			hl_prefix(error, status, "%s", job->files[slice->file].name);
	}
	pthread_mutex_lock(&source->mutex);
	if (--source->left == 0 && source->open)
		close_source(source);
	pthread_mutex_unlock(&source->mutex);
	return status;
}

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

/* ---- slices that have to be moved ---- */

/* Cubic convolution (Keys 1981, a = -1/2) at t between the second and the third of four samples. */
static void cubic(double t, float weight[4])
{
	weight[0] = (float)(((-0.5 * t + 1) * t - 0.5) * t);
	weight[1] = (float)((1.5 * t - 2.5) * t * t + 1);
	weight[2] = (float)(((-1.5 * t + 2) * t + 0.5) * t);
	weight[3] = (float)((0.5 * t - 0.5) * t * t);
}

/* A line of in samples to one of out, moved by shift: air where it is not covered. Lines of the picture's rows or, with
 * a stride, of its columns; width of them side by side. */
static void shift_line(const float *in, int32_t in_count, size_t in_stride, float *out, int32_t out_count,
                       size_t out_stride, size_t width, double shift)
{
	double whole = floor(shift + 1e-6), rest = shift - whole;
	float weight[4] = {0, 1, 0, 0};

	/* Sample i lies at i + whole + rest: output j is at j - whole - rest = (j - whole - 1) + (1 - rest). */
	if (rest > 1e-6)
		cubic(1 - rest, weight);
	for (int32_t j = 0; j < out_count; j++) {
		double at = j - shift;
		int32_t base = j - (int32_t)whole - (rest > 1e-6);
		float *to = out + (size_t)j * out_stride;
		if (at < -0.5 || at > in_count - 0.5) {
			for (size_t x = 0; x < width; x++)
				to[x] = AIR;
			continue;
		}
		const float *from[4];
		for (int k = 0; k < 4; k++) {
			int32_t i = base - 1 + k;
			i = i < 0 ? 0 : i >= in_count ? in_count - 1 : i;
			from[k] = in + (size_t)i * in_stride;
		}
		for (size_t x = 0; x < width; x++)
			to[x] = weight[0] * from[0][x] + weight[1] * from[1][x] + weight[2] * from[2][x] +
			        weight[3] * from[3][x];
	}
}

static void to_floats(const void *in, enum hl_voxel type, size_t count, float *out)
{
	if (type == HL_VOXEL_F32)
		memcpy(out, in, count * sizeof(float));
	else
		for (size_t i = 0; i < count; i++)
			out[i] = ((const int16_t *)in)[i];
}

static void from_floats(const float *in, enum hl_voxel type, size_t count, void *out)
{
	if (type == HL_VOXEL_F32) {
		memcpy(out, in, count * sizeof(float));
		return;
	}
	for (size_t i = 0; i < count; i++) {
		float value = floorf(in[i] + 0.5F);
		((int16_t *)out)[i] = (int16_t)(value < INT16_MIN ? INT16_MIN : value > INT16_MAX ? INT16_MAX : value);
	}
}

/* A slice of the layout's slice size to one of its size. */
static enum hilum_status place_shifted(const struct hl_layout *layout, const struct hl_place *place, const void *in,
                                       enum hl_voxel type, void *out, struct hilum_error *error)
{
	size_t width = (size_t)layout->width, from = (size_t)layout->slice_width;
	size_t rows = (size_t)layout->slice_height;
	size_t floats = from * rows + width * rows + width * (size_t)layout->height;
	float *plain = hl_alloc(floats, sizeof(*plain)), *across = plain + from * rows, *done = across + width * rows;

	if (!plain)
		return hl_fail_memory(error, floats * sizeof(*plain), "a shifted slice");
	to_floats(in, type, from * rows, plain);
	if (width == from && place->shift[0] == 0)
		across = plain;
	for (size_t y = 0; y < rows && across != plain; y++)
		shift_line(plain + y * from, layout->slice_width, 1, across + y * width, layout->width, 1, 1,
		           place->shift[0]);
	shift_line(across, layout->slice_height, width, done, layout->height, width, width, place->shift[1]);
	from_floats(done, type, width * (size_t)layout->height, out);
	hl_free(plain);
	return HILUM_OK;
}

/* ---- places ---- */

/* A slice in the volume's type. values and out have room for a slice. */
static enum hilum_status read_slice(struct job *job, int32_t number, void *values, void *out, struct hilum_error *error)
{
	const struct hl_layout *layout = job->layout;
	size_t count = (size_t)layout->slice_width * (size_t)layout->slice_height;
	enum hilum_status status = read_values(job, number, values, error);

	if (status)
		return status;
	if (job->volume->type == HL_VOXEL_F32)
		rescale_f32(&job->slices[number], values, count, out);
	else if (!rescale_i16(&job->slices[number], values, count, out)) {
		pthread_mutex_lock(&job->mutex);
		job->overflow = true;
		pthread_mutex_unlock(&job->mutex);
	}
	return HILUM_OK;
}

static void note_failure(struct job *job, int32_t place, int32_t slice, const struct hilum_error *error)
{
	pthread_mutex_lock(&job->mutex);
	if (job->failed)
		job->failed[slice] = true;
	if (place < job->first_failed) {
		job->first_failed = place;
		job->error = *error;
	}
	pthread_mutex_unlock(&job->mutex);
}

static void fill_place(void *context, int32_t index)
{
	struct job *job = context;
	const struct hl_layout *layout = job->layout;
	const struct hl_place *place = &layout->place[index];
	size_t count = (size_t)layout->slice_width * (size_t)layout->slice_height;
	size_t size = hl_voxel_size(job->volume->type);
	size_t plane = (size_t)layout->width * (size_t)layout->height * size;
	char *out = (char *)job->volume->voxels + (size_t)index * plane;
	char *scratch = hl_alloc(count, sizeof(uint16_t) + 2 * size), *own = scratch + count * sizeof(uint16_t);
	struct hilum_error error = {0};
	int32_t slice = place->slice;
	enum hilum_status status;
	void *main_slice = layout->shifted ? own : out;

	if (!scratch) {
		hl_fail_memory(&error, count * (sizeof(uint16_t) + 2 * size), "a slice");
		note_failure(job, index, slice, &error);
		return;
	}
	status = read_slice(job, slice, scratch, main_slice, &error);
	for (int32_t i = 0; i < place->more && !status; i++) {
		slice = layout->extra[place->first_extra + i];
		status = read_slice(job, slice, scratch, own + count * size, &error);
		if (!status && memcmp(main_slice, own + count * size, count * size) != 0) {
			pthread_mutex_lock(&job->mutex);
			job->conflicts++;
			if (index < job->first_conflict)
				job->first_conflict = index;
			pthread_mutex_unlock(&job->mutex);
		}
	}
	if (!status && layout->shifted)
		status = place_shifted(layout, place, own, job->volume->type, out, &error);
	if (status)
		note_failure(job, index, slice, &error);
	hl_free(scratch);
}

static enum hilum_status fill(struct job *job, int32_t count, int32_t threads, struct hilum_error *error)
{
	const struct hl_layout *layout = job->layout;
	int32_t sources = 0;
	enum hilum_status status = HILUM_OK;

	for (int32_t i = 0; i < count; i++)
		sources = job->slices[i].file >= sources ? job->slices[i].file + 1 : sources;
	job->source = hl_alloc((size_t)sources, sizeof(*job->source));
	if (!job->source)
		return hl_fail_memory(error, (size_t)sources * sizeof(*job->source), "files");
	for (int32_t i = 0; i < sources; i++)
		pthread_mutex_init(&job->source[i].mutex, NULL);
	for (int32_t i = 0; i < layout->count; i++)
		job->source[job->slices[layout->place[i].slice].file].left++;
	for (int32_t i = 0; i < layout->extras; i++)
		job->source[job->slices[layout->extra[i]].file].left++;
	job->first_failed = INT32_MAX;
	job->overflow = false;
	job->conflicts = 0;
	job->first_conflict = INT32_MAX;
	hl_parallel(layout->count, threads, fill_place, job);
	for (int32_t i = 0; i < sources; i++) {
		if (job->source[i].open)
			close_source(&job->source[i]);
		pthread_mutex_destroy(&job->source[i].mutex);
	}
	hl_free(job->source);
	job->source = NULL;
	if (job->first_failed < INT32_MAX)
		status = hl_fail(error, job->error.code, "%s", job->error.message);
	return status;
}

/* ---- the volume ---- */

/* Places at unequal distances to slices at equal ones, linearly between neighbours. */
static enum hilum_status regularise(const struct hl_layout *layout, struct hl_volume *volume, struct hilum_error *error)
{
	size_t plane = (size_t)volume->width * (size_t)volume->height, size = hl_voxel_size(volume->type);
	struct hl_volume regular = {0};
	enum hilum_status status =
	    hl_volume_init(&regular, volume->width, volume->height, layout->regular, 1, volume->type, error);
	int32_t below = 0;

	if (status)
		return status;
	for (int32_t z = 0; z < layout->regular; z++) {
		double along = z * layout->spacing[2];
		while (below + 2 < layout->count && layout->place[below + 1].along <= along)
			below++;
		double from = layout->place[below].along, to = layout->place[below + 1].along;
		double part = fmin(fmax((along - from) / (to - from), 0), 1);
		const char *a = (const char *)volume->voxels + (size_t)below * plane * size, *b = a + plane * size;
		char *out = (char *)regular.voxels + (size_t)z * plane * size;
		/* A slice that is there is kept as it is. */
		if (part < 1e-3 || part > 1 - 1e-3) {
			memcpy(out, part < 0.5 ? a : b, plane * size);
			continue;
		}
		for (size_t i = 0; i < plane; i++) {
			if (volume->type == HL_VOXEL_F32) {
				float low = ((const float *)(const void *)a)[i],
				      high = ((const float *)(const void *)b)[i];
				((float *)(void *)out)[i] = (float)(low + part * (high - low));
			} else {
				int16_t low = ((const int16_t *)(const void *)a)[i];
				int16_t high = ((const int16_t *)(const void *)b)[i];
				((int16_t *)(void *)out)[i] = (int16_t)floor(low + part * (high - low) + 0.5);
			}
		}
	}
	hl_volume_free(volume);
	*volume = regular;
	return HILUM_OK;
}

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

static enum hilum_status check_copies(const struct job *job, struct hilum_error *error, struct hl_findings *findings)
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

enum hilum_status hl_series_read(const struct hl_slice *slices, int32_t count, const struct hl_layout *layout,
                                 const struct hl_file *files, int32_t threads, bool force, bool *failed,
                                 struct hl_volume *out, struct hl_findings *findings, struct hilum_error *error)
{
	struct hl_volume volume = {0};
	struct job job = {.slices = slices,
	                  .layout = layout,
	                  .files = files,
	                  .volume = &volume,
	                  .failed = failed,
	                  .force = force,
	                  .mutex = PTHREAD_MUTEX_INITIALIZER};
	enum hl_voxel type = choose_type(slices, layout);
	enum hilum_status status =
	    hl_volume_init(&volume, layout->width, layout->height, layout->count, 1, type, error);

	if (!status)
		status = fill(&job, count, threads, error);
	/* Headers do not tell whether values fit into 16 bits; when they do not, which is rare, all is read again. */
	if (!status && job.overflow && type == HL_VOXEL_I16) {
		hl_volume_free(&volume);
		status = hl_volume_init(&volume, layout->width, layout->height, layout->count, 1, HL_VOXEL_F32, error);
		if (!status)
			status = fill(&job, count, threads, error);
	}
	if (!status)
		status = check_copies(&job, error, findings);
	if (!status && layout->regular > 0)
		status = regularise(layout, &volume, error);
	if (status) {
		hl_volume_free(&volume);
		return status;
	}
	memcpy(volume.spacing, layout->spacing, sizeof(volume.spacing));
	volume.oriented = layout->oriented;
	if (layout->oriented) {
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
