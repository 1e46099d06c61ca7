#include "base/csv.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "scan/dicom/write.h"
#include "scan/format.h"
#include "scan/phantom.h"
#include "scan/phantom_series.h"
#include "scan/window.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CASES_MAX = 1000000, NAMES_MAX = 4000000, TRUTH_MAX = 256 << 20 };

static const char header[] = "path,label,patient,seed,center_x,center_y,diameter_px,diameter_mm,margin,density,side\n";
/* Of a set of volumes: places in mm of the patient (LPS). */
static const char volume_header[] =
    "path,label,patient,seed,center_x,center_y,center_z,diameter_mm,height_mm,margin,density,side\n";
enum { PNG, TIFF, DICOM, NIFTI };
static const char *const formats[] = {"png", "tiff", "dicom", "nifti", NULL};
static const char *const extensions[] = {".png", ".tif", ".dcm", ".nii.gz"};
static const char *const orders[] = {"feet", "head", "shuffled", NULL};
static const char *const classes[] = {"normal", "nodule"};
static const char *const margins[] = {"smooth", "lobulated", "spiculated"};
static const char *const densities[] = {"solid", "part-solid", "ground-glass"};

/* The lung window, as radiologists set it. */
static const struct hl_window lung_window = {-600, 1500};

#define MEMBER(name) offsetof(struct hilum_phantom_options, name)
const struct hilum_option hilum_phantom_option_table[] = {
    {"cases", HILUM_OPTION_INT, MEMBER(cases), 1, CASES_MAX, "100", NULL, "N", "images, half of them with a nodule"},
    {"seed", HILUM_OPTION_INT, MEMBER(seed), 0, 9007199254740992.0, "1", NULL, "S",
     "the same seed draws the same images"},
    {"size", HILUM_OPTION_INT, MEMBER(size), HL_PHANTOM_SIZE_MIN, HL_PHANTOM_SIZE_MAX, "256", NULL, "PX",
     "pixels a side"},
    {"format", HILUM_OPTION_CHOICE, MEMBER(format), 0, 0, "png", formats, NULL,
     "png (8-bit grey, lung window), tiff, dicom or nifti (16-bit, Hounsfield units)"},
    {"volume", HILUM_OPTION_FLAG, MEMBER(volume), 0, 0, NULL, NULL, NULL,
     "whole chests instead of single slices, as dicom series (a folder each) or nifti files"},
    {"slices", HILUM_OPTION_INT, MEMBER(slices), 1, HL_PHANTOM_SLICES_MAX, "64", NULL, "N", "slices of a volume"},
    {"spacing", HILUM_OPTION_REAL, MEMBER(spacing), 0.1, 50, "3", NULL, "MM", "from slice to slice of a volume"},
    {"encoding", HILUM_OPTION_CHOICE, MEMBER(encoding), 0, 0, "explicit", hl_dicom_encodings, NULL,
     "transfer syntax of dicom files"},
    {"order", HILUM_OPTION_CHOICE, MEMBER(order), 0, 0, "feet", orders, NULL,
     "which slice of a series has the first name: that at the feet, that at the head, or any"},
    {"tilt", HILUM_OPTION_REAL, MEMBER(tilt), -40, 40, "0", NULL, "DEGREES", "of the gantry, in dicom series"},
    {"faults", HILUM_OPTION_TEXT, MEMBER(faults), 0, 0, NULL, NULL, "LIST",
     "faults of dicom series, separated by commas: gap, duplicate, conflict, irregular, shifted, localiser, "
     "no-position, mr, prone"},
    {0},
};

/* One patient of the set: index is its number among them. */
struct person {
	bool with_lesion, two_slices;
};

/* Within each class a sixth of the slices, that is a fifth of the patients, have a neighbour in the same patient, so
 * that a split by image leaks. Both classes have them alike, and the order is shuffled, so that neither a pair nor a
 * number tells the class. */
static size_t plan_people(const struct hilum_phantom_options *options, struct person *people, uint32_t *order)
{
	size_t count = 0;
	for (int class = 0; class < 2; class ++) {
		int64_t cases = class ? (options->cases + 1) / 2 : options->cases / 2, pairs = (cases + 3) / 6;
		for (int64_t i = 0; i < cases - pairs; i++)
			people[count++] = (struct person){class == 1, i < pairs};
	}
	for (size_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	struct hl_random random = hl_random_stream((uint64_t)options->seed, 0, 0, HL_RANDOM_SHUFFLE);
	hl_random_shuffle(&random, order, (uint32_t)count);
	return count;
}

/* PREFIX-0001 and more digits: what follows them, or NULL. */
static const char *after_number(const char *name, const char *prefix)
{
	size_t length = strlen(prefix), digits;
	if (strncmp(name, prefix, length) != 0)
		return NULL;
	digits = strspn(name + length, "0123456789");
	return digits >= 4 ? name + length + digits : NULL;
}

/* case-0001.png, case-0001: a name that this file gives, to a file or to a series' folder. */
static bool is_own_name(const char *name)
{
	const char *rest = after_number(name, "case-");
	bool own = rest && !*rest;
	for (size_t i = 0; i < sizeof extensions / sizeof *extensions && rest; i++)
		own |= strcmp(rest, extensions[i]) == 0;
	return own;
}

static bool is_own_slice(const char *name)
{
	const char *rest = after_number(name, "IM-");
	return rest && strcmp(rest, ".dcm") == 0;
}

static enum hilum_status clear_folder(const char *folder, bool (*is_own)(const char *name), struct hilum_error *error);

/* A file, or the folder of a series with what is ours in it. */
static enum hilum_status clear_entry(const char *path, struct hilum_error *error)
{
	if (!hl_path_is_directory(path))
		return unlink(path) && errno != ENOENT ? hl_fail_errno(error, path) : HILUM_OK;
	enum hilum_status status = clear_folder(path, is_own_slice, error);
	return !status && rmdir(path) ? hl_fail_errno(error, path) : status;
}

/* Removes what an earlier set has left in a folder. */
static enum hilum_status clear_folder(const char *folder, bool (*is_own)(const char *name), struct hilum_error *error)
{
	struct hl_names names = {0};
	if (!hl_path_exists(folder))
		return HILUM_OK;
	enum hilum_status status = hl_directory_list(folder, NAMES_MAX, &names, error);
	if (status)
		return status;
	for (size_t i = 0; i < names.count && !status; i++) {
		if (!is_own(names.name[i]))
			continue;
		char *path = hl_path_join(folder, names.name[i]);
		status = path ? clear_entry(path, error)
		              : hl_fail_memory(error, strlen(folder) + strlen(names.name[i]), "a path");
		hl_free(path);
	}
	hl_names_free(&names);
	return status;
}

static bool begins_with(const struct hl_buffer *text, const char *beginning)
{
	return text->length >= strlen(beginning) && memcmp(text->data, beginning, strlen(beginning)) == 0;
}

/* Whether truth.csv is one of those written here: by its header. */
static enum hilum_status is_own_truth(const char *truth, bool *own, struct hilum_error *error)
{
	struct hl_buffer csv;
	*own = false;
	if (!hl_path_exists(truth))
		return HILUM_OK;
	hl_buffer_init(&csv, TRUTH_MAX);
	enum hilum_status status = hl_file_read(truth, TRUTH_MAX, &csv, error);
	if (!status)
		*own = begins_with(&csv, header) || begins_with(&csv, volume_header);
	hl_buffer_free(&csv);
	return status;
}

/* Hidden entries count too: they may be somebody's. */
static enum hilum_status is_empty(const char *directory, bool *empty, struct hilum_error *error)
{
	DIR *stream = opendir(directory);
	if (!stream)
		return hl_fail_errno(error, directory);
	*empty = true;
	for (const struct dirent *entry; *empty && (entry = readdir(stream));)
		*empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(stream);
	return HILUM_OK;
}

/* Only a folder with a truth.csv of ours holds an earlier set that may be deleted; names of files prove nothing. */
static enum hilum_status check_directory(const char *directory, const char *truth, struct hilum_error *error)
{
	bool own, empty = false;
	if (!hl_path_exists(directory))
		return HILUM_OK;
	if (!hl_path_is_directory(directory))
		return hl_fail(error, HILUM_ERROR_IO, "%s: exists and is no folder", directory);
	enum hilum_status status = is_own_truth(truth, &own, error);
	if (status || own)
		return status;
	status = is_empty(directory, &empty, error);
	if (status || empty)
		return status;
	return hl_fail(
	    error, HILUM_ERROR_ARGUMENT,
	    "%s: not empty and holds no truth.csv of earlier phantoms; name an empty or a new folder (what a "
	    "run that was broken off left behind must be removed by hand)",
	    directory);
}

/* The old truth goes first and the new one comes last: a set with truth.csv is whole. */
static enum hilum_status make_room(const char *directory, const char *truth, char *const folders[2],
                                   struct hilum_error *error)
{
	enum hilum_status status = check_directory(directory, truth, error);
	if (!status && unlink(truth) && errno != ENOENT && errno != ENOTDIR)
		status = hl_fail_errno(error, truth);
	for (int class = 0; class < 2 && !status; class ++) {
		status = clear_folder(folders[class], is_own_name, error);
		if (!status)
			status = hl_directory_make(folders[class], error);
	}
	return status;
}

/* After a failure nothing is left that would stand in the way of the next attempt. */
static void clear_up(char *const folders[2])
{
	for (int class = 0; class < 2; class ++) {
		(void)clear_folder(folders[class], is_own_name, NULL);
		(void)rmdir(folders[class]);
	}
}

static enum hilum_status write_png(const char *path, const struct hl_volume *slice, struct hilum_error *error)
{
	struct hl_volume grey = {0};
	size_t count = (size_t)slice->width * (size_t)slice->height;
	float *shades = hl_alloc(count, sizeof *shades);
	enum hilum_status status = HILUM_OK;
	if (!shades)
		return hl_fail_memory(error, count * sizeof *shades, "a phantom");
	status = hl_volume_init(&grey, slice->width, slice->height, 1, 1, HL_VOXEL_U8, error);
	if (status)
		goto out;
	grey.unit = HL_UNIT_GREY;
	grey.maximum = 255;
	hl_window_slice(slice, 0, lung_window, 1, shades);
	uint8_t *bytes = grey.voxels;
	for (size_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)(shades[i] * 255 + 0.5F);
	status = hl_png_write(path, &grey, error);
	hl_volume_free(&grey);
out:
	hl_free(shades);
	return status;
}

/* A number with two decimals, whatever the locale's decimal point is. */
static enum hilum_status append_number(struct hl_buffer *csv, double value, struct hilum_error *error)
{
	long long hundredths = (long long)(fabs(value) * 100 + 0.5);
	return hl_buffer_print(csv, error, ",%s%lld.%02lld", value < 0 && hundredths > 0 ? "-" : "", hundredths / 100,
	                       hundredths % 100);
}

static enum hilum_status append_lesion(struct hl_buffer *csv, const struct hl_lesion *lesion, struct hilum_error *error)
{
	return hl_buffer_print(csv, error, ",%s,%s,%s\n", margins[lesion->margin], densities[lesion->density],
	                       lesion->left ? "left" : "right");
}

static enum hilum_status append_row(struct hl_buffer *csv, const char *path, size_t patient, int64_t seed,
                                    const struct hl_phantom *phantom, struct hilum_error *error)
{
	const struct hl_lesion *lesion = &phantom->lesion;
	enum hilum_status status = hl_buffer_print(csv, error, "%s,%s,P%04zu,%lld", path, classes[phantom->has_lesion],
	                                           patient + 1, (long long)seed);
	if (!phantom->has_lesion)
		return status ? status : hl_buffer_print(csv, error, ",,,,,,,\n");
	double numbers[4] = {lesion->x, lesion->y, lesion->diameter, lesion->diameter_mm};
	for (int i = 0; i < 4 && !status; i++)
		status = append_number(csv, numbers[i], error);
	return status ? status : append_lesion(csv, lesion, error);
}

static enum hilum_status append_volume_row(struct hl_buffer *csv, const char *path, size_t patient, int64_t seed,
                                           const struct hl_phantom_volume *phantom, struct hilum_error *error)
{
	const struct hl_lesion *lesion = &phantom->lesion;
	const struct hl_volume *volume = &phantom->volume;
	enum hilum_status status = hl_buffer_print(csv, error, "%s,%s,P%04zu,%lld", path, classes[phantom->has_lesion],
	                                           patient + 1, (long long)seed);
	if (!phantom->has_lesion)
		return status ? status : hl_buffer_print(csv, error, ",,,,,,,,\n");
	/* Lesions are placed by corners of pixels, volumes by middles. */
	const double voxel[3] = {lesion->x - 0.5, lesion->y - 0.5, phantom->z};
	for (int i = 0; i < 3 && !status; i++)
		status = append_number(csv, volume->origin[i] + voxel[i] * volume->spacing[i], error);
	if (!status)
		status = append_number(csv, lesion->diameter_mm, error);
	if (!status)
		status = append_number(csv, phantom->height_mm, error);
	return status ? status : append_lesion(csv, lesion, error);
}

static struct hl_phantom_series series_of(const struct hilum_phantom_options *options, uint32_t index, char patient[24])
{
	struct hl_phantom_series series = {.encoding = options->encoding,
	                                   .order = options->order,
	                                   .tilt = options->tilt,
	                                   .patient = patient,
	                                   .seed = (uint64_t)options->seed,
	                                   .number = index};
	snprintf(patient, 24, "P%04u", (index & ~HL_PHANTOM_NEIGHBOUR) + 1);
	(void)hl_phantom_parse_faults(options->faults, &series.faults, NULL);
	return series;
}

static enum hilum_status write_slice(const struct hilum_phantom_options *options, const char *path, uint32_t index,
                                     const struct hl_volume *slice, struct hilum_error *error)
{
	char patient[24];
	struct hl_phantom_series series = series_of(options, index, patient);
	switch (options->format) {
	case PNG:
		return write_png(path, slice, error);
	case TIFF:
		return hl_tiff_write(path, slice, error);
	case DICOM:
		return hl_phantom_slice_write(path, slice, &series, error);
	default:
		return hl_nifti_write(path, slice, error);
	}
}

static enum hilum_status write_volume(const struct hilum_phantom_options *options, const char *path, uint32_t index,
                                      const struct hl_volume *volume, struct hilum_error *error)
{
	char patient[24];
	struct hl_phantom_series series = series_of(options, index, patient);
	return options->format == DICOM ? hl_phantom_series_write(path, volume, &series, error)
	                                : hl_nifti_write(path, volume, error);
}

struct number {
	size_t patient;
	int64_t file;
	bool neighbour, with_lesion;
};

static enum hilum_status write_case(const struct hilum_phantom_options *options, struct number number,
                                    struct hl_buffer *csv, struct hilum_error *error)
{
	struct hl_phantom slice = {0};
	struct hl_phantom_volume volume = {0};
	bool folder = options->volume && options->format == DICOM;
	char name[64];
	snprintf(name, sizeof name, "%s/case-%04lld%s", classes[number.with_lesion], (long long)number.file,
	         folder ? "" : extensions[options->format]);
	char *path = hl_path_join(options->directory, name);
	if (!path)
		return hl_fail_memory(error, strlen(options->directory) + sizeof name, "a path");
	uint32_t index = (uint32_t)number.patient | (number.neighbour ? HL_PHANTOM_NEIGHBOUR : 0);
	uint64_t seed = (uint64_t)options->seed;
	int32_t size = (int32_t)options->size;
	enum hilum_status status;
	if (options->volume) {
		status = hl_phantom_draw_volume(seed, index, size, (int32_t)options->slices, options->spacing,
		                                number.with_lesion, &volume, error);
		if (!status)
			status = write_volume(options, path, index, &volume.volume, error);
		if (!status)
			status = append_volume_row(csv, name, number.patient, options->seed, &volume, error);
	} else {
		status = hl_phantom_draw(seed, index, size, number.with_lesion, &slice, error);
		if (!status)
			status = write_slice(options, path, index, &slice.volume, error);
		if (!status)
			status = append_row(csv, name, number.patient, options->seed, &slice, error);
	}
	hl_volume_free(&slice.volume);
	hl_volume_free(&volume.volume);
	hl_free(path);
	return status;
}

static enum hilum_status write_cases(const struct hilum_phantom_options *options, const char *truth,
                                     struct hilum_error *error)
{
	struct hl_buffer csv;
	struct person *people = hl_alloc((size_t)options->cases, sizeof *people);
	uint32_t *order = hl_alloc((size_t)options->cases, sizeof *order);
	enum hilum_status status = HILUM_OK;
	hl_buffer_init(&csv, TRUTH_MAX);
	if (!people || !order) {
		status = hl_fail_memory(error, (size_t)options->cases * (sizeof *people + sizeof *order), "the cases");
		goto out;
	}
	size_t count = plan_people(options, people, order);
	int64_t number = 0;
	status = hl_buffer_print(&csv, error, "%s", options->volume ? volume_header : header);
	for (size_t i = 0; i < count && !status; i++) {
		struct person person = people[order[i]];
		/* A volume is all of its patient. */
		for (int slice = 0; slice <= (person.two_slices && !options->volume) && !status; slice++)
			status = write_case(options, (struct number){i, ++number, slice == 1, person.with_lesion}, &csv,
			                    error);
	}
	if (!status) {
		struct hl_part part = {csv.data, csv.length};
		status = hl_file_write(truth, &part, 1, error);
	}
out:
	hl_buffer_free(&csv);
	hl_free(people);
	hl_free(order);
	return status;
}

static enum hilum_status check_options(const struct hilum_phantom_options *options, struct hilum_error *error)
{
	enum hilum_status status;
	unsigned faults;
	if (!options->directory || !*options->directory)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "no folder to write phantoms to");
	if (options->cases < 1 || options->cases > CASES_MAX)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "cases: %lld is not between 1 and %d",
		               (long long)options->cases, CASES_MAX);
	if (options->size < HL_PHANTOM_SIZE_MIN || options->size > HL_PHANTOM_SIZE_MAX)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "size: %lld is not between %d and %d",
		               (long long)options->size, HL_PHANTOM_SIZE_MIN, HL_PHANTOM_SIZE_MAX);
	if (options->seed < 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "seed: %lld is negative", (long long)options->seed);
	if (options->format < PNG || options->format > NIFTI)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "format: %d is not between 0 and 3", options->format);
	if (options->volume && options->format < DICOM)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "volume: format must be dicom or nifti");
	if (options->encoding < 0 || options->encoding >= HL_ENCODING_COUNT || options->order < 0 || options->order > 2)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "encoding or order: no such one");
	if (options->volume && (options->slices < 1 || options->slices > HL_PHANTOM_SLICES_MAX ||
	                        !(options->spacing >= 0.1 && options->spacing <= 50) || !(fabs(options->tilt) <= 40)))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "slices, spacing or tilt: out of range");
	status = hl_phantom_parse_faults(options->faults, &faults, error);
	if (!status && (faults || options->tilt != 0) && !(options->volume && options->format == DICOM))
		status = hl_fail(error, HILUM_ERROR_ARGUMENT, "faults and tilt are for dicom volumes");
	return status;
}

enum hilum_status hilum_phantom_write(const struct hilum_phantom_options *options, struct hilum_error *error)
{
	enum hilum_status status = check_options(options, error);
	if (status)
		return status;
	char *truth = hl_path_join(options->directory, "truth.csv");
	char *folders[2] = {hl_path_join(options->directory, classes[0]), hl_path_join(options->directory, classes[1])};
	if (!truth || !folders[0] || !folders[1])
		status = hl_fail_memory(error, strlen(options->directory), "a path");
	if (!status)
		status = make_room(options->directory, truth, folders, error);
	if (!status) {
		status = write_cases(options, truth, error);
		if (status)
			clear_up(folders);
	}
	hl_free(truth);
	hl_free(folders[0]);
	hl_free(folders[1]);
	return status;
}
