/* hilum_convert: a scan into another format, voxels and place unchanged unless another size of voxels is asked for. */
#include "infer/scans.h"

#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/number.h"
#include "scan/format.h"
#include "scan/resample.h"
#include "scan/window.h"

static const char *const slice_kinds[] = {"none", "png", "tiff", NULL};
enum { SLICES_NONE, SLICES_PNG, SLICES_TIFF };

const struct hilum_option hilum_convert_option_table[] = {
    {.name = "slices",
     .kind = HILUM_OPTION_CHOICE,
     .offset = offsetof(struct hilum_convert_options, slices),
     .choices = slice_kinds,
     .initial = "none",
     .help = "write a folder OUT with a picture for each slice, and geometry.json"},
    {.name = "window",
     .kind = HILUM_OPTION_TEXT,
     .offset = offsetof(struct hilum_convert_options, window),
     .initial = "lung",
     .value = "NAME|C/W",
     .help = "for PNG, which cannot hold Hounsfield units: lung, mediastinum, bone or center/width"},
    {.name = "spacing",
     .kind = HILUM_OPTION_TEXT,
     .offset = offsetof(struct hilum_convert_options, spacing),
     .value = "MM[,MM,MM]",
     .help = "resample to voxels of this size, along all axes or along x, y and z"},
    {.name = "compress",
     .kind = HILUM_OPTION_FLAG,
     .offset = offsetof(struct hilum_convert_options, compress),
     .help = "pack the voxels of a MetaImage"},
    {.name = "series",
     .kind = HILUM_OPTION_INT,
     .offset = offsetof(struct hilum_convert_options, series),
     .minimum = 0,
     .maximum = 1000000,
     .initial = "0",
     .value = "N",
     .help = "which of several series, as hilum info counts them"},
    {.name = "force",
     .kind = HILUM_OPTION_FLAG,
     .offset = offsetof(struct hilum_convert_options, force),
     .help = "go on where a scan would be refused, and say so"},
    {0},
};

bool hl_has_ending(const char *path, const char *ending)
{
	size_t length = strlen(path), size = strlen(ending);

	return length > size && strcasecmp(path + length - size, ending) == 0;
}

enum hilum_status hl_scan_load(const char *path, bool force, int64_t series, struct hl_volume *out,
                               struct hilum_error *error)
{
	struct hl_load_options options = {.force = force, .series = (int32_t)series};
	struct hl_findings findings = {0};
	enum hilum_status status = hl_load(path, &options, out, &findings, error);

	for (int32_t i = 0; i < findings.count && !status; i++)
		hl_log(findings.list[i].grade == HL_FINDING_FORCED ? HILUM_LOG_WARNING : HILUM_LOG_INFO, "%s: %s", path,
		       findings.list[i].text);
	return status;
}

/* 8 bits through the window for Hounsfield units; grey values as they are. */
static enum hilum_status write_png(const char *path, const struct hl_volume *volume, int32_t z,
                                   const struct hilum_convert_options *options, struct hilum_error *error)
{
	size_t pixels = (size_t)volume->width * (size_t)volume->height;
	struct hl_volume slice = *volume, drawn = {0};
	struct hl_window window;
	float *values;
	enum hilum_status status;

	slice.depth = 1;
	slice.voxels =
	    (uint8_t *)volume->voxels + (size_t)z * pixels * (size_t)volume->channels * hl_voxel_size(volume->type);
	if (volume->unit == HL_UNIT_GREY)
		return hl_png_write(path, &slice, error);
	status = hl_window_parse(options->window ? options->window : "lung", &window, error);
	if (!status)
		status = hl_volume_init(&drawn, volume->width, volume->height, 1, 1, HL_VOXEL_U8, error);
	if (status)
		return status;
	values = hl_alloc(pixels, sizeof(*values));
	if (!values) {
		status = hl_fail_memory(error, pixels * sizeof(*values), "a slice");
	} else {
		hl_window_slice(&slice, 0, window, 1, values);
		for (size_t i = 0; i < pixels; i++)
			((uint8_t *)drawn.voxels)[i] = (uint8_t)(values[i] * 255.0f + 0.5f);
		status = hl_png_write(path, &drawn, error);
	}
	hl_free(values);
	hl_volume_free(&drawn);
	return status;
}

/* ---- a folder of slices ---- */

static enum hilum_status put_list(struct hl_buffer *text, const char *key, const double *number, int count,
                                  struct hilum_error *error)
{
	enum hilum_status status = hl_buffer_print(text, error, ",\n  \"%s\": [", key);

	for (int i = 0; i < count && !status; i++) {
		char digits[40];
		hl_number_print_shortest(digits, sizeof(digits), number[i] + 0.0);
		status = hl_buffer_print(text, error, "%s%s", i ? ", " : "", digits);
	}
	return status ? status : hl_buffer_append(text, "]", 1, error);
}

/* What the pictures cannot hold. */
static enum hilum_status write_geometry(const char *folder, const struct hl_volume *volume, struct hilum_error *error)
{
	char *path = hl_path_join(folder, "geometry.json");
	struct hl_buffer text;
	enum hilum_status status;

	hl_buffer_init(&text, 65536);
	status =
	    hl_buffer_print(&text, error, "{\n  \"size\": [%d, %d, %d],\n  \"unit\": \"%s\"", volume->width,
	                    volume->height, volume->depth, volume->unit == HL_UNIT_HOUNSFIELD ? "hounsfield" : "grey");
	if (!status && volume->spacing[0] > 0)
		status = put_list(&text, "spacing_mm", volume->spacing, 3, error);
	if (!status && volume->oriented)
		status = put_list(&text, "origin_lps", volume->origin, 3, error);
	if (!status && volume->oriented)
		status = put_list(&text, "directions_lps", volume->direction[0], 9, error);
	if (!status)
		status = hl_buffer_append(&text, "\n}\n", 3, error);
	if (!status && !path)
		status = hl_fail_memory(error, strlen(folder), "a path");
	if (!status)
		status = hl_file_write(path, &(struct hl_part){text.data, text.length}, 1, error);
	hl_buffer_free(&text);
	hl_free(path);
	return status;
}

static enum hilum_status check_folder(const char *folder, struct hilum_error *error)
{
	struct hl_names names;
	enum hilum_status status;

	if (!hl_path_exists(folder))
		return hl_directory_make(folder, error);
	status = hl_directory_list(folder, 1 << 20, &names, error);
	if (!status && names.count > 0)
		status = hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: the folder is not empty", folder);
	else if (status)
		return status;
	hl_names_free(&names);
	return status;
}

static enum hilum_status write_slices(const char *folder, const struct hl_volume *volume,
                                      const struct hilum_convert_options *options, struct hilum_error *error)
{
	size_t bytes =
	    (size_t)volume->width * (size_t)volume->height * (size_t)volume->channels * hl_voxel_size(volume->type);
	enum hilum_status status = check_folder(folder, error);

	for (int32_t z = 0; z < volume->depth && !status; z++) {
		struct hl_volume slice = *volume;
		char *path =
		    hl_format("%s/slice_%05d.%s", folder, z + 1, options->slices == SLICES_PNG ? "png" : "tif");
		if (!path)
			return hl_fail_memory(error, strlen(folder), "a path");
		slice.depth = 1;
		slice.voxels = (uint8_t *)volume->voxels + (size_t)z * bytes;
		if (options->slices == SLICES_PNG)
			status = write_png(path, volume, z, options, error);
		else
			status = hl_tiff_write(path, &slice, error);
		hl_free(path);
	}
	return status ? status : write_geometry(folder, volume, error);
}

/* ---- one file ---- */

enum hilum_status hl_scan_write(const char *path, const struct hl_volume *volume,
                                const struct hilum_convert_options *options, struct hilum_error *error)
{
	if (hl_has_ending(path, ".nii") || hl_has_ending(path, ".nii.gz"))
		return hl_nifti_write(path, volume, error);
	if (hl_has_ending(path, ".mha") || hl_has_ending(path, ".mhd"))
		return hl_metaimage_write(path, volume, options->compress, error);
	if (hl_has_ending(path, ".tif") || hl_has_ending(path, ".tiff"))
		return hl_tiff_write(path, volume, error);
	if (volume->depth > 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT,
		               "%s: a PNG holds one slice, this has %d: --slices png writes a folder of them", path,
		               volume->depth);
	return write_png(path, volume, 0, options, error);
}

enum hilum_status hl_scan_check_ending(const char *path, struct hilum_error *error)
{
	static const char *const endings[] = {".nii", ".nii.gz", ".mha", ".mhd", ".tif", ".tiff", ".png"};

	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++)
		if (hl_has_ending(path, endings[i]))
			return HILUM_OK;
	return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: its ending is none of .nii .nii.gz .mha .mhd .tif .tiff .png",
	               path);
}

/* "1" for all axes, or "0.7,0.7,1.25". */
static bool parse_spacing(const char *text, double spacing[3])
{
	char *end;

	for (int k = 0; k < 3; k++) {
		spacing[k] = hl_number_parse(text, &end);
		if (end == text || !(spacing[k] > 0))
			return false;
		text = end + (*end == ',' && k < 2);
		if (k == 0 && !*end) {
			spacing[1] = spacing[2] = spacing[0];
			return true;
		}
		if (k < 2 && *end != ',')
			return false;
	}
	return !*end;
}

static enum hilum_status resample(struct hl_volume *volume, const char *text, struct hilum_error *error)
{
	struct hl_volume resampled;
	double spacing[3];
	enum hilum_status status;

	if (!parse_spacing(text, spacing))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "spacing: '%.80s' is not one or three sizes in mm", text);
	status = hl_volume_resample(volume, spacing, volume->type, 0, &resampled, error);
	if (status)
		return status;
	hl_volume_free(volume);
	*volume = resampled;
	return HILUM_OK;
}

enum hilum_status hilum_convert(const char *scan, const char *out, const struct hilum_convert_options *options,
                                struct hilum_error *error)
{
	struct hl_volume volume;
	/* Before the work is done for nothing. */
	enum hilum_status status = options->slices == SLICES_NONE ? hl_scan_check_ending(out, error) : HILUM_OK;

	if (!status)
		status = hl_scan_load(scan, options->force, options->series, &volume, error);
	if (status)
		return status;
	if (options->spacing)
		status = resample(&volume, options->spacing, error);
	if (!status)
		status = options->slices == SLICES_NONE ? hl_scan_write(out, &volume, options, error)
		                                        : write_slices(out, &volume, options, error);
	hl_volume_free(&volume);
	return status;
}
