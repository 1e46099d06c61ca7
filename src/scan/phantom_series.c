#include "scan/phantom_series.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "scan/dicom/write.h"

/* Stored values are Hounsfield units less the intercept: 12 bits without a sign. */
#define INTERCEPT (-1024)
#define FILE_MAX ((size_t)64 << 20)
#define DEGREE (3.14159265358979323846 / 180)

const char *const hl_phantom_faults[] = {"gap",       "duplicate",   "conflict", "irregular", "shifted",
                                         "localiser", "no-position", "mr",       "prone",     NULL};

enum hilum_status hl_phantom_parse_faults(const char *list, unsigned *out, struct hilum_error *error)
{
	unsigned bits = 0;

	while (list && *list) {
		size_t length = strcspn(list, ",");
		unsigned i = 0;
		while (hl_phantom_faults[i] &&
		       (strlen(hl_phantom_faults[i]) != length || strncmp(hl_phantom_faults[i], list, length) != 0))
			i++;
		if (!hl_phantom_faults[i])
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "faults: no \"%.*s\"", (int)length, list);
		bits |= 1u << i;
		list += length + (list[length] == ',');
	}
	*out = bits;
	return HILUM_OK;
}

struct writing {
	const char *folder;
	const struct hl_volume *volume;
	const struct hl_phantom_series *series;
	struct hl_dicom_image image;
	struct hl_dicom_frame frame;
	uint16_t *values;
	uint32_t *name; /* of each file in the order of writing */
	uint32_t files;
	struct hl_buffer bytes;
};

static int32_t clamp(int32_t x, int32_t count)
{
	return x < 0 ? 0 : x >= count ? count - 1 : x;
}

/* The volume between four voxels of one column of it; outside, its edge. */
static double between(const struct hl_volume *volume, int32_t x, double y, double z)
{
	int32_t j = (int32_t)floor(y), k = (int32_t)floor(z);
	double v = y - j, w = z - k, sum = 0;

	for (int i = 0; i < 4; i++)
		sum +=
		    (i & 1 ? v : 1 - v) * (i & 2 ? w : 1 - w) *
		    hl_volume_get(volume, x, clamp(j + (i & 1), volume->height), clamp(k + (i >> 1), volume->depth), 0);
	return sum;
}

/* The stored values of the slice whose first pixel lies at frame.position. */
static void cut(struct writing *to)
{
	const struct hl_volume *volume = to->volume;
	const struct hl_dicom_frame *frame = &to->frame;

	for (int32_t y = 0; y < volume->height; y++)
		for (int32_t x = 0; x < volume->width; x++) {
			double at[3], value;
			for (int k = 0; k < 3; k++)
				at[k] = (frame->position[k] + x * frame->spacing[0] * frame->row[k] +
				         y * frame->spacing[1] * frame->column[k] - volume->origin[k]) /
				        volume->spacing[k];
			value = between(volume, clamp((int32_t)floor(at[0] + 0.5), volume->width), at[1], at[2]);
			to->values[(size_t)y * (size_t)volume->width + (size_t)x] =
			    (uint16_t)floor(value - INTERCEPT + 0.5);
		}
}

static enum hilum_status write_path(struct writing *to, const char *path, struct hilum_error *error)
{
	struct hl_dicom *head = &to->image.head;
	char text[96];
	enum hilum_status status;

	snprintf(text, sizeof(text), "hilum phantom %llu/%u/%u", (unsigned long long)to->series->seed,
	         to->series->number, to->files);
	hl_dicom_uid(text, head->sop_instance);
	head->frame = &to->frame;
	to->image.values = to->values;
	to->bytes.length = 0;
	status = hl_dicom_write(&to->image, &to->bytes, error);
	if (status)
		return status;
	struct hl_part part = {to->bytes.data, to->bytes.length};
	return hl_file_write(path, &part, 1, error);
}

static enum hilum_status write_file(struct writing *to, struct hilum_error *error)
{
	char name[32];
	enum hilum_status status;

	snprintf(name, sizeof(name), "IM-%04u.dcm", to->name[to->files] + 1);
	char *path = hl_path_join(to->folder, name);
	if (!path)
		return hl_fail_memory(error, strlen(to->folder), "a path");
	status = write_path(to, path, error);
	to->files++;
	hl_free(path);
	return status;
}

/* Where slice i of count lies, and which way its rows and columns run. */
static void aim(struct writing *to, int32_t i)
{
	const struct hl_volume *volume = to->volume;
	struct hl_dicom_frame *frame = &to->frame;
	double angle = to->series->tilt * DEGREE, turn = to->series->faults & HL_FAULT_PRONE ? -1 : 1;
	double half[3] = {0.5 * (volume->width - 1) * volume->spacing[0],
	                  0.5 * (volume->height - 1) * volume->spacing[1], 0};

	frame->row[0] = turn;
	frame->column[1] = turn * cos(angle);
	frame->column[2] = sin(angle);
	/* The gantry turns about the middle of the picture; the table moves along z. */
	for (int k = 0; k < 3; k++)
		frame->position[k] = -half[0] * frame->row[k] - half[1] * frame->column[k];
	frame->position[0] += volume->origin[0] + half[0];
	frame->position[1] += volume->origin[1] + half[1];
	frame->position[2] += volume->origin[2] + i * volume->spacing[2];
}

/* The same with the faults that displace slices. */
static void place(struct writing *to, int32_t i)
{
	int32_t depth = to->volume->depth;

	aim(to, i);
	if ((to->series->faults & HL_FAULT_IRREGULAR) && i == depth / 4)
		to->frame.position[2] += 0.4 * to->volume->spacing[2];
	if ((to->series->faults & HL_FAULT_SHIFTED) && i >= depth / 2)
		to->frame.position[0] += 10 * to->volume->spacing[0];
}

/* Copies, slices that contradict another one, a localiser: after the slices themselves. */
static enum hilum_status write_extras(struct writing *to, struct hilum_error *error)
{
	int32_t depth = to->volume->depth;
	unsigned faults = to->series->faults;
	enum hilum_status status = HILUM_OK;

	for (int32_t i = 0; i < 2 && (faults & HL_FAULT_DUPLICATE) && !status; i++) {
		int32_t copied = i ? 3 * depth / 4 : depth / 2; /* not the one that a gap is made of */
		to->image.head.instance = copied + 1;
		place(to, copied);
		cut(to);
		status = write_file(to, error);
	}
	if (!status && (faults & HL_FAULT_CONFLICT)) {
		to->image.head.instance = depth + 1;
		place(to, depth / 2);
		cut(to);
		for (int32_t i = 0; i < to->volume->width; i++)
			to->values[i] = (uint16_t)(to->values[i] ^ 64);
		status = write_file(to, error);
	}
	if (!status && (faults & HL_FAULT_LOCALISER)) {
		to->image.head.instance = depth + 2;
		aim(to, 0);
		memcpy(to->frame.column, (double[3]){0, 0, -1}, sizeof(to->frame.column));
		to->frame.localiser = true;
		cut(to);
		status = write_file(to, error);
	}
	return status;
}

static enum hilum_status write_slices(struct writing *to, struct hilum_error *error)
{
	int32_t depth = to->volume->depth;
	unsigned faults = to->series->faults;
	enum hilum_status status = HILUM_OK;

	for (int32_t i = 0; i < depth && !status; i++) {
		if ((faults & HL_FAULT_GAP) && i == depth / 3)
			continue;
		to->image.head.instance = i + 1;
		place(to, i);
		cut(to);
		to->frame.has_position = !(faults & HL_FAULT_POSITION) || i != depth / 5;
		status = write_file(to, error);
		to->frame.has_position = true;
	}
	return status ? status : write_extras(to, error);
}

static void describe(struct writing *to)
{
	const struct hl_phantom_series *series = to->series;
	struct hl_dicom *head = &to->image.head;
	char text[96];

	to->image.encoding = (enum hl_dicom_encoding)series->encoding;
	to->image.patient = series->patient;
	*head = (struct hl_dicom){.width = to->volume->width,
	                          .height = to->volume->height,
	                          .samples = 1,
	                          .frames = 1,
	                          .photometric = HL_DICOM_MONOCHROME2,
	                          .bits_allocated = 16,
	                          .bits_stored = 12,
	                          .high_bit = 11,
	                          .has_instance = true,
	                          .has_acquisition = true,
	                          .acquisition = 1,
	                          .series_number = 1,
	                          .has_tilt = true,
	                          .tilt = series->tilt};
	snprintf(head->modality, sizeof(head->modality), series->faults & HL_FAULT_MODALITY ? "MR" : "CT");
	snprintf(text, sizeof(text), "hilum phantom %llu/%u", (unsigned long long)series->seed, series->number);
	hl_dicom_uid(text, head->study);
	strcat(text, " series");
	hl_dicom_uid(text, head->series);
	strcat(text, " frame");
	hl_dicom_uid(text, head->frame_of_reference);
	to->frame = (struct hl_dicom_frame){.has_position = true,
	                                    .has_orientation = true,
	                                    .has_spacing = true,
	                                    .has_rescale = true,
	                                    .hounsfield = true,
	                                    .spacing = {to->volume->spacing[0], to->volume->spacing[1]},
	                                    .thickness = to->volume->spacing[2],
	                                    .slope = 1,
	                                    .intercept = INTERCEPT};
}

static enum hilum_status begin(struct writing *to, struct hilum_error *error)
{
	size_t count = (size_t)to->volume->width * (size_t)to->volume->height;

	hl_buffer_init(&to->bytes, FILE_MAX);
	to->values = hl_alloc(count, sizeof(*to->values));
	if (!to->values)
		return hl_fail_memory(error, count * sizeof(*to->values), "a slice");
	describe(to);
	return HILUM_OK;
}

static void finish(struct writing *to)
{
	hl_free(to->values);
	hl_free(to->name);
	hl_buffer_free(&to->bytes);
}

enum hilum_status hl_phantom_slice_write(const char *path, const struct hl_volume *slice,
                                         const struct hl_phantom_series *series, struct hilum_error *error)
{
	struct hl_volume placed = *slice;
	struct writing to = {.volume = &placed, .series = series};
	enum hilum_status status;

	placed.spacing[2] = placed.spacing[2] > 0 ? placed.spacing[2] : 1;
	status = begin(&to, error);
	if (!status) {
		to.image.head.instance = 1;
		aim(&to, 0);
		cut(&to);
		status = write_path(&to, path, error);
	}
	finish(&to);
	return status;
}

enum hilum_status hl_phantom_series_write(const char *folder, const struct hl_volume *volume,
                                          const struct hl_phantom_series *series, struct hilum_error *error)
{
	/* Slices and what write_extras adds. */
	uint32_t most = (uint32_t)volume->depth + 4;
	struct writing to = {.folder = folder, .volume = volume, .series = series};
	struct hl_random random = hl_random_stream(series->seed, 1, series->number, HL_RANDOM_SHUFFLE);
	enum hilum_status status = hl_directory_make(folder, error);

	if (status)
		return status;
	status = begin(&to, error);
	to.name = hl_alloc(most, sizeof(*to.name));
	if (!status && !to.name)
		status = hl_fail_memory(error, most * sizeof(*to.name), "names of slices");
	for (uint32_t i = 0; i < most && !status; i++)
		to.name[i] = series->order == 1 ? most - 1 - i : i;
	if (!status && series->order == 2)
		hl_random_shuffle(&random, to.name, most);
	if (!status)
		status = write_slices(&to, error);
	finish(&to);
	return status;
}
