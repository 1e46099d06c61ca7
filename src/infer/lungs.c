/* hilum_lungs: the lungs in a scan, told and written. */
#include "infer/describe.h"
#include "infer/scans.h"

#include <math.h>

#include "scan/lungs.h"

#define OPTION(name_, kind_, ...)                                                                                      \
	{                                                                                                              \
		.name = #name_, .kind = HILUM_OPTION_##kind_, .offset = offsetof(struct hilum_lungs_options, name_),   \
		__VA_ARGS__                                                                                            \
	}
/* clang-format off */
const struct hilum_option hilum_lungs_option_table[] = {
    OPTION(out, TEXT, .value = "FILE", .help = "write the mask, 1 right lung and 2 left lung, as .nii, .nii.gz, .mha, .mhd, .tif or, one slice, .png; -o for short"),
    OPTION(truth, TEXT, .value = "FILE", .help = "compare with a mask of the same size, in which all but 0 is lung (Dice)"),
    OPTION(series, INT, .minimum = 0, .maximum = 1000000, .initial = "0", .value = "N", .help = "which of several series, as hilum info counts them"),
    OPTION(threads, INT, .minimum = 0, .maximum = 1024, .initial = "0", .value = "N", .help = "threads; 0 means the cores that are available"),
    OPTION(force, FLAG, .help = "go on where a scan would be refused, and say so"),
    {0},
};
/* clang-format on */

static enum hilum_status write_mask(const char *path, const struct hl_volume *mask, struct hilum_error *error)
{
	struct hilum_convert_options options = {.compress = true};
	if (hl_has_ending(path, ".png") && mask->depth > 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: a PNG holds one slice, the scan has %d", path,
		               mask->depth);
	return hl_scan_write(path, mask, &options, error);
}

/* 2 |A and B| / (|A| + |B|); 1 where both are empty. */
static enum hilum_status compare(const char *path, const struct hl_volume *mask, double *dice,
                                 struct hilum_error *error)
{
	struct hl_volume truth;
	const uint8_t *voxel = mask->voxels;
	int64_t both = 0, sum = 0;
	enum hilum_status status = hl_scan_load(path, false, 0, &truth, error);

	if (status)
		return status;
	if (truth.width != mask->width || truth.height != mask->height || truth.depth != mask->depth) {
		status = hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: %d x %d x %d voxels, but the scan has %d x %d x %d",
		                 path, truth.width, truth.height, truth.depth, mask->width, mask->height, mask->depth);
	} else {
		for (int32_t z = 0; z < mask->depth; z++)
			for (int32_t y = 0; y < mask->height; y++)
				for (int32_t x = 0; x < mask->width; x++, voxel++) {
					bool lung = hl_volume_get(&truth, x, y, z, 0) != 0;
					both += lung && *voxel;
					sum += lung + (*voxel != 0);
				}
		*dice = sum ? 2 * (double)both / (double)sum : 1;
	}
	hl_volume_free(&truth);
	return status;
}

/* ---- told ---- */

static json_t *number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *side_json(const struct hl_lungs *lungs, enum hl_side side)
{
	json_t *slices = json_array();
	for (int32_t z = 0; z < lungs->mask.depth; z++) {
		int64_t count[2];
		hl_lungs_count(&lungs->mask, z, count);
		json_array_append_new(slices, json_integer(count[side]));
	}
	return json_pack("{s:I, s:o, s:o}", "voxels", (json_int_t)lungs->voxels[side], "ml", number(lungs->ml[side]),
	                 "voxels_by_slice", slices);
}

static json_t *lungs_json(const char *path, const struct hl_lungs *lungs, bool hounsfield, double dice)
{
	json_t *chest = json_pack("{s:b, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "plausible", (int)lungs->chest, "slice",
	                          lungs->slice + 1, "share", lungs->share, "balance", lungs->balance, "offset",
	                          lungs->offset, "width", lungs->width, "height", lungs->height, "body", lungs->body);
	json_t *levels = json_pack("{s:s, s:o, s:o, s:o, s:o}", "unit", hounsfield ? "hounsfield" : "grey", "outside",
	                           number(lungs->outside), "lung", number(lungs->lung), "tissue", number(lungs->tissue),
	                           "threshold", number(lungs->threshold));
	json_t *root =
	    json_pack("{s:s, s:o?, s:i, s:o, s:o, s:b, s:b, s:o, s:o, s:b}", "kind", "lungs", "path",
	              hl_json_text(path), "lungs", lungs->count, "right", side_json(lungs, HL_SIDE_RIGHT), "left",
	              side_json(lungs, HL_SIDE_LEFT), "spacing_known", (int)lungs->spacing_known, "airways",
	              (int)lungs->airways, "chest", chest, "levels", levels, "research_use_only", 1);
	if (root && !isnan(dice))
		json_object_set_new(root, "dice", json_real(dice));
	return root;
}

static void print_side(const char *name, int64_t voxels, double ml, FILE *file)
{
	if (isnan(ml))
		fprintf(file, "  %-10s %lld pixels\n", name, (long long)voxels);
	else
		fprintf(file, "  %-10s %.4g ml\n", name, ml);
}

static void print(const char *path, const struct hl_lungs *lungs, bool hounsfield, double dice, FILE *file)
{
	static const char *const counts[] = {"no lungs", "one lung", "two lungs"};
	const char *unit = hounsfield ? "HU" : "grey levels";

	hl_put_safe(file, path);
	fprintf(file, ": %s, %s a chest\n", counts[lungs->count], lungs->chest ? "looks like" : "does not look like");
	if (lungs->count > 0) {
		print_side("right", lungs->voxels[HL_SIDE_RIGHT], lungs->ml[HL_SIDE_RIGHT], file);
		print_side("left", lungs->voxels[HL_SIDE_LEFT], lungs->ml[HL_SIDE_LEFT], file);
		if (!lungs->spacing_known)
			fprintf(file, "  spacing    not known; taken to be %g mm across\n", HL_LUNGS_FIELD);
		fprintf(
		    file,
		    "  slice %-4d lungs are %.0f %% of the body, %.0f %% of its width and %.0f %% of its height; the "
		    "smaller is %.0f %% of the larger\n",
		    lungs->slice + 1, 100 * lungs->share, 100 * lungs->width, 100 * lungs->height,
		    100 * lungs->balance);
		fprintf(file, "  levels     air %.0f, lung %.0f, tissue %.0f, threshold %.0f %s\n", lungs->outside,
		        lungs->lung, lungs->tissue, lungs->threshold, unit);
		if (lungs->mask.depth > 1)
			fprintf(file, "  airways    %s\n",
			        lungs->airways ? "followed from the trachea" : "no trachea: looked for slice by slice");
	}
	if (!isnan(dice))
		fprintf(file, "  Dice       %.4f\n", dice);
}

enum hilum_status hilum_lungs(const char *scan, const struct hilum_lungs_options *options, enum hilum_output output,
                              FILE *file, struct hilum_lungs *result, struct hilum_error *error)
{
	struct hl_volume volume;
	struct hl_lungs lungs = {0};
	double dice = (double)NAN;
	bool hounsfield = false;
	enum hilum_status status = options->out ? hl_scan_check_ending(options->out, error) : HILUM_OK;

	if (!status)
		status = hl_scan_load(scan, options->force, options->series, &volume, error);
	if (status)
		return status;
	hounsfield = volume.unit == HL_UNIT_HOUNSFIELD;
	status = hl_lungs_find(&volume, (int32_t)options->threads, &lungs, error);
	if (status)
		hl_prefix(error, status, "%s", scan);
	hl_volume_free(&volume);
	if (!status && options->truth)
		status = compare(options->truth, &lungs.mask, &dice, error);
	if (!status && options->out)
		status = write_mask(options->out, &lungs.mask, error);
	if (!status && file && output == HILUM_OUTPUT_JSON)
		status = hl_put_json(file, lungs_json(scan, &lungs, hounsfield, dice), error);
	else if (!status && file)
		print(scan, &lungs, hounsfield, dice, file);
	if (!status && result)
		*result = (struct hilum_lungs){.count = lungs.count,
		                               .chest = lungs.chest,
		                               .right_voxels = lungs.voxels[HL_SIDE_RIGHT],
		                               .left_voxels = lungs.voxels[HL_SIDE_LEFT],
		                               .right_ml = lungs.ml[HL_SIDE_RIGHT],
		                               .left_ml = lungs.ml[HL_SIDE_LEFT],
		                               .dice = dice};
	hl_volume_free(&lungs.mask);
	return status;
}
