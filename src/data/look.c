#include "data/look.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "scan/load.h"
#include "scan/lungs.h"
#include "scan/resample.h"
#include "scan/window.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HASHED_MAX ((size_t)256 << 20)
#define BAND_FLOATS ((size_t)1 << 20)
#define COLOURED 0.06 /* mean distance between the channels of what is no grey picture */

/* The lung window: the usual one of the recipe. */
static const struct hl_window window = {-600, 1500};

bool hl_watch_stopped(const struct hl_watch *watch)
{
	return watch && watch->stop && __atomic_load_n(watch->stop, __ATOMIC_RELAXED);
}

/* ---- the file ---- */

/* Sum of a JPEG's first quantisation table: what quality it was saved with, 0 for other files. */
static unsigned quantisation(const uint8_t *bytes, size_t length)
{
	size_t at = 2;
	if (length < 4 || bytes[0] != 0xff || bytes[1] != 0xd8)
		return 0;
	while (at + 4 <= length && bytes[at] == 0xff && bytes[at + 1] != 0xda) {
		size_t size = (size_t)bytes[at + 2] << 8 | bytes[at + 3];
		if (bytes[at + 1] == 0xdb && size >= 67 && at + 2 + 67 <= length) {
			unsigned sum = 0;
			for (size_t i = 0; i < 64; i++)
				sum += bytes[at + 5 + i];
			return sum;
		}
		at += 2 + size;
	}
	return 0;
}

static void digest(const void *data, size_t length, const char *salt, uint8_t out[HL_LOOK_DIGEST])
{
	char chain[160];
	struct hl_sha256 hash = hl_sha256(data, length);
	int used = snprintf(chain, sizeof(chain), "%s %s", salt, hash.hex);
	hash = hl_sha256(chain, (size_t)used);
	for (size_t i = 0; i < HL_LOOK_DIGEST; i++) {
		char pair[3] = {hash.hex[2 * i], hash.hex[2 * i + 1], '\0'};
		out[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
}

/* Size, digest and kind of encoding; a folder has none of them. */
static void look_at_file(const char *path, struct hl_look *look, unsigned *quantised)
{
	struct hl_buffer file = {0};
	struct stat about;
	*quantised = 0;
	if (stat(path, &about) != 0 || !S_ISREG(about.st_mode))
		return;
	look->file_size = (int64_t)about.st_size;
	if (hl_file_read(path, HASHED_MAX, &file, NULL))
		return;
	digest(file.data, file.length, "file", look->bytes);
	look->hashed = true;
	*quantised = quantisation((const uint8_t *)file.data, file.length);
	hl_buffer_free(&file);
}

/* ---- the slice ---- */

/* Rows are looked at as they pass; a border is told by rows and columns that are one grey from end to end. */
struct survey {
	double sum, squares, colour;
	size_t count, outer, bright;
	int32_t top, bottom; /* rows of one grey above the first that is not, and the last such row */
	float *least, *most; /* of each column */
};

static void survey_rows(const struct hl_volume *volume, const float *band, int32_t first, int32_t rows,
                        struct survey *survey)
{
	int32_t width = volume->width, height = volume->height;
	for (int32_t y = 0; y < rows; y++) {
		const float *row = band + (size_t)y * (size_t)width;
		float least = row[0], most = row[0];
		double sum = 0, squares = 0;
		bool edge = (int64_t)(first + y) * 8 < height || (int64_t)(first + y) * 8 >= 7 * (int64_t)height;
		for (int32_t x = 0; x < width; x++) {
			float value = row[x];
			least = value < least ? value : least;
			most = value > most ? value : most;
			sum += (double)value;
			squares += (double)value * (double)value;
			survey->least[x] = value < survey->least[x] ? value : survey->least[x];
			survey->most[x] = value > survey->most[x] ? value : survey->most[x];
			if (edge || (int64_t)x * 8 < width || (int64_t)x * 8 >= 7 * (int64_t)width) {
				survey->outer++;
				survey->bright += value > 0.97f;
			}
		}
		survey->sum += sum;
		survey->squares += squares;
		if (most - least > 0.01f) {
			survey->top = survey->top < 0 ? first + y : survey->top;
			survey->bottom = first + y;
		}
	}
	survey->count += (size_t)rows * (size_t)width;
}

/* Mean distance between the largest and the smallest of three channels, on [0, 1]. */
static double colour_of(const struct hl_volume *volume)
{
	double sum = 0;
	size_t step = (size_t)volume->width * (size_t)volume->height / 4096 + 1, count = 0;
	if (volume->channels != 3)
		return 0;
	for (size_t i = 0; i < (size_t)volume->width * (size_t)volume->height; i += step, count++) {
		double value[3];
		for (int c = 0; c < 3; c++)
			value[c] = hl_volume_get(volume, (int32_t)(i % (size_t)volume->width),
			                         (int32_t)(i / (size_t)volume->width), volume->depth / 2, c);
		sum += fmax(value[0], fmax(value[1], value[2])) - fmin(value[0], fmin(value[1], value[2]));
	}
	return volume->maximum > 0 ? sum / ((double)count * volume->maximum) : 0;
}

static float border_of(const struct hl_volume *volume, const struct survey *survey)
{
	int32_t left = 0, right = 0, width = volume->width;
	if (survey->top < 0)
		return 1;
	while (left < width && survey->most[left] - survey->least[left] <= 0.01f)
		left++;
	while (right < width - left && survey->most[width - 1 - right] - survey->least[width - 1 - right] <= 0.01f)
		right++;
	int32_t rows = survey->top + volume->height - 1 - survey->bottom;
	return (float)((double)(left + right) / width + (double)rows / volume->height) / 2;
}

/* The middle slice resized to HL_LOOK_SIDE pixels a side, band by band, so that a large picture is never held in
 * floats. */
static enum hilum_status shrink(const struct hl_volume *volume, float *out, struct survey *survey,
                                struct hilum_error *error)
{
	size_t width = (size_t)volume->width;
	size_t voxel_row = width * (size_t)volume->channels * hl_voxel_size(volume->type);
	int32_t height = volume->height, step = (int32_t)(BAND_FLOATS / width) + 1;
	step = step < height ? step : height;
	float *band = hl_alloc((size_t)step * width, sizeof(*band));
	float *across = hl_alloc((size_t)height * HL_LOOK_SIDE, sizeof(*across));
	enum hilum_status status = HILUM_OK;
	char *voxels = (char *)volume->voxels + (size_t)(volume->depth / 2) * (size_t)height * voxel_row;
	if (!band || !across)
		status = hl_fail_memory(error, (size_t)height * HL_LOOK_SIDE * sizeof(*across), "a small picture");
	for (int32_t y = 0; y < height && !status; y += step) {
		struct hl_volume part = *volume;
		part.height = height - y < step ? height - y : step;
		part.depth = 1;
		part.voxels = voxels + (size_t)y * voxel_row;
		hl_window_slice(&part, 0, window, 1, band);
		survey_rows(volume, band, y, part.height, survey);
		status = hl_resize(band, volume->width, part.height, 1, across + (size_t)y * HL_LOOK_SIDE, HL_LOOK_SIDE,
		                   part.height, error);
	}
	if (!status)
		status = hl_resize(across, HL_LOOK_SIDE, height, 1, out, HL_LOOK_SIDE, HL_LOOK_SIDE, error);
	hl_free(band);
	hl_free(across);
	return status;
}

static void stretch(const float *in, size_t count, float low, float high, uint8_t *out)
{
	float scale = high > low ? 255 / (high - low) : 0;
	for (size_t i = 0; i < count; i++) {
		float value = (in[i] - low) * scale + 0.5f;
		out[i] = value >= 255 ? 255 : value > 0 ? (uint8_t)value : 0;
	}
}

/* The picture without its lungs: everything in the box around them is their own mean grey, for their outline would tell
 * as much as they do. Without lungs the picture stays as it is. */
static enum hilum_status blank_lungs(float *middle, const uint8_t *small, struct hl_look *look, uint8_t *out,
                                     struct hilum_error *error)
{
	struct hl_volume volume = {0};
	struct hl_lungs lungs = {.count = 0};
	float blanked[HL_LOOK_BLANKED * HL_LOOK_BLANKED];
	int32_t box[4] = {HL_LOOK_SIDE, HL_LOOK_SIDE, -1, -1};
	double sum = 0;
	enum hilum_status status = hl_volume_init(&volume, HL_LOOK_SIDE, HL_LOOK_SIDE, 1, 1, HL_VOXEL_U8, error);
	if (status)
		return status;
	volume.unit = HL_UNIT_GREY;
	volume.maximum = 255;
	memcpy(volume.voxels, small, HL_LOOK_PIXELS);
	if (hl_lungs_find(&volume, 1, &lungs, NULL) == HILUM_OK && lungs.count > 0) {
		const uint8_t *mask = lungs.mask.voxels;
		look->lungs = true;
		for (int32_t y = 0; y < HL_LOOK_SIDE; y++)
			for (int32_t x = 0; x < HL_LOOK_SIDE; x++) {
				if (!mask[y * HL_LOOK_SIDE + x])
					continue;
				box[0] = x < box[0] ? x : box[0];
				box[1] = y < box[1] ? y : box[1];
				box[2] = x > box[2] ? x : box[2];
				box[3] = y > box[3] ? y : box[3];
			}
	}
	int64_t inside = (int64_t)(box[2] - box[0] + 1) * (box[3] - box[1] + 1);
	for (int32_t y = box[1]; look->lungs && y <= box[3]; y++)
		for (int32_t x = box[0]; x <= box[2]; x++)
			sum += (double)middle[y * HL_LOOK_SIDE + x];
	for (int32_t y = box[1]; look->lungs && y <= box[3]; y++)
		for (int32_t x = box[0]; x <= box[2]; x++)
			middle[y * HL_LOOK_SIDE + x] = (float)(sum / (double)inside);
	status = hl_resize(middle, HL_LOOK_SIDE, HL_LOOK_SIDE, 1, blanked, HL_LOOK_BLANKED, HL_LOOK_BLANKED, error);
	if (!status)
		stretch(blanked, sizeof(blanked) / sizeof(blanked[0]), look->low, look->high, out);
	hl_volume_free(&lungs.mask);
	hl_volume_free(&volume);
	return status;
}

static const char *foreign_because(const struct hl_findings *findings, const struct hl_look *look, double colour)
{
	for (int32_t i = 0; i < findings->count; i++)
		if (findings->list[i].kind == HL_FINDING_MODALITY)
			return findings->list[i].text;
	if (colour > COLOURED)
		return "a picture in colour, not CT";
	if (look->deviation < 0.004f)
		return "blank: one grey all over";
	return NULL;
}

static enum hilum_status look_at_slice(const struct hl_volume *volume, bool lungs, struct hl_look *look, uint8_t *small,
                                       uint8_t *blanked, struct hilum_error *error)
{
	struct survey survey = {.top = -1};
	float *middle = hl_alloc(HL_LOOK_PIXELS, sizeof(*middle));
	float *columns = hl_alloc((size_t)volume->width, 2 * sizeof(*columns));
	enum hilum_status status = HILUM_OK;
	if (!middle || !columns) {
		status = hl_fail_memory(error, (size_t)volume->width * sizeof(*columns), "a small picture");
		goto out;
	}
	survey.least = columns;
	survey.most = columns + volume->width;
	for (int32_t x = 0; x < volume->width; x++)
		survey.least[x] = 1;
	status = shrink(volume, middle, &survey, error);
	if (status)
		goto out;
	look->mean = (float)(survey.sum / (double)survey.count);
	look->deviation =
	    (float)sqrt(fmax(0, survey.squares / (double)survey.count - (double)look->mean * (double)look->mean));
	look->border = border_of(volume, &survey);
	look->marks = survey.outer ? (float)((double)survey.bright / (double)survey.outer) : 0;
	look->low = look->high = middle[0];
	for (size_t i = 1; i < HL_LOOK_PIXELS; i++) {
		look->low = middle[i] < look->low ? middle[i] : look->low;
		look->high = middle[i] > look->high ? middle[i] : look->high;
	}
	stretch(middle, HL_LOOK_PIXELS, look->low, look->high, small);
	if (lungs)
		status = blank_lungs(middle, small, look, blanked, error);
out:
	hl_free(middle);
	hl_free(columns);
	return status;
}

/* ---- a case ---- */

static enum hilum_status look_at(const char *file, bool lungs, struct hl_look *look, uint8_t *small, uint8_t *blanked,
                                 struct hilum_error *error)
{
	static const char *const types[] = {[HL_VOXEL_U8] = "8 bit",
	                                    [HL_VOXEL_U16] = "16 bit",
	                                    [HL_VOXEL_I16] = "16 bit signed",
	                                    [HL_VOXEL_F32] = "32 bit float"};
	struct hl_volume volume = {0};
	struct hl_findings findings = {.count = 0};
	unsigned quantised;
	char salt[96];
	look_at_file(file, look, &quantised);
	enum hilum_status status = hl_load(file, NULL, &volume, &findings, error);
	if (status)
		return status;
	size_t row = (size_t)volume.width * (size_t)volume.channels * hl_voxel_size(volume.type);
	snprintf(salt, sizeof(salt), "%d %d %d %d %d", volume.width, volume.height, volume.depth, volume.channels,
	         (int)volume.type);
	digest(volume.voxels, row * (size_t)volume.height * (size_t)volume.depth, salt, look->pixels);
	look->width = volume.width;
	look->height = volume.height;
	look->depth = volume.depth;
	int used = snprintf(look->encoding, sizeof(look->encoding), "%s %dx%s", volume.format, volume.channels,
	                    types[volume.type]);
	if (quantised && used > 0 && (size_t)used < sizeof(look->encoding))
		snprintf(look->encoding + used, sizeof(look->encoding) - (size_t)used, ", quantised %u", quantised);
	status = look_at_slice(&volume, lungs, look, small, blanked, error);
	const char *reason = status ? NULL : foreign_because(&findings, look, colour_of(&volume));
	hl_volume_free(&volume);
	if (status || !reason)
		return status;
	look->foreign = true;
	look->reason = hl_strdup(reason);
	return look->reason ? HILUM_OK : hl_fail_memory(error, strlen(reason), "a reason");
}

/* ---- all of them ---- */

struct reading {
	const struct hl_dataset *dataset;
	const struct hl_watch *watch;
	struct hl_looks *looks;
	bool lungs;
	pthread_mutex_t mutex;
	int64_t done;
	bool no_memory;
};

static void read_one(void *context, int32_t index)
{
	struct reading *reading = context;
	struct hl_look *look = &reading->looks->look[index];
	const struct hl_case *item = &reading->dataset->cases[index];
	/* Of a stack the slice that it is about, or its middle. */
	const char *file =
	    item->slice_count > 0 ? reading->dataset->slices[item->slice_first + (size_t)item->slice_at] : item->file;
	struct hilum_error error = {0};
	bool no_memory = false;
	if (hl_watch_stopped(reading->watch))
		return;
	uint8_t *small = reading->looks->block + (size_t)index * (HL_LOOK_PIXELS + HL_LOOK_BLANKED * HL_LOOK_BLANKED);
	uint8_t *blanked = small + HL_LOOK_PIXELS;
	look->small = small;
	look->blanked = blanked;
	if (look_at(file, reading->lungs, look, small, blanked, &error)) {
		/* The path stands beside the reason wherever it is shown. */
		size_t length = strlen(file);
		bool named = strncmp(error.message, file, length) == 0 && error.message[length] == ':';
		look->reason = hl_strdup(named ? error.message + length + 1 + strspn(error.message + length + 1, " ")
		                               : error.message);
		no_memory = error.code == HILUM_ERROR_MEMORY || !look->reason;
	}
	pthread_mutex_lock(&reading->mutex);
	reading->no_memory = reading->no_memory || no_memory;
	reading->done++;
	if (reading->watch && reading->watch->progress)
		reading->watch->progress(reading->watch->context, "reading", reading->done,
		                         (int64_t)reading->dataset->count);
	pthread_mutex_unlock(&reading->mutex);
}

void hl_looks_free(struct hl_looks *looks)
{
	for (size_t i = 0; looks->look && i < looks->count; i++)
		hl_free(looks->look[i].reason);
	hl_free(looks->look);
	hl_free(looks->block);
	*looks = (struct hl_looks){.count = 0};
}

enum hilum_status hl_looks_read(const struct hl_dataset *dataset, bool lungs, int32_t threads,
                                const struct hl_watch *watch, struct hl_looks *out, struct hilum_error *error)
{
	size_t each = HL_LOOK_PIXELS + HL_LOOK_BLANKED * HL_LOOK_BLANKED;
	struct hl_looks looks = {.count = dataset->count};
	struct reading reading = {.dataset = dataset, .watch = watch, .looks = &looks, .lungs = lungs};
	enum hilum_status status = HILUM_OK;
	looks.look = hl_alloc(dataset->count, sizeof(*looks.look));
	looks.block = hl_alloc(dataset->count, each);
	if (!looks.look || !looks.block) {
		hl_looks_free(&looks);
		return hl_fail_memory(error, dataset->count * each, "small pictures");
	}
	pthread_mutex_init(&reading.mutex, NULL);
	hl_parallel((int32_t)dataset->count, threads, read_one, &reading);
	pthread_mutex_destroy(&reading.mutex);
	if (hl_watch_stopped(watch))
		status = hl_fail(error, HILUM_ERROR_STOPPED, "stopped while reading the pictures");
	else if (reading.no_memory)
		status = hl_fail_memory(error, each, "small pictures");
	if (status)
		hl_looks_free(&looks);
	else
		*out = looks;
	return status;
}
