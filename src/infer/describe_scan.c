/* hilum_info of a scan: what it is, where it lies, what its values are, and what was noticed. */
#include "infer/describe.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "scan/chest.h"
#include "scan/load.h"

/* ---- values ---- */

/* Hounsfield units from low on, up to the next band's. */
static const struct band {
	double low;
	const char *name;
} bands[] = {
    {-(double)INFINITY, "air"},     {-900, "lung"}, {-500, "dense lung"},        {-190, "fat"}, {-10, "soft tissue"},
    {100, "contrast, spongy bone"}, {300, "bone"},  {1800, "metal, dense bone"},
};
#define BANDS (sizeof(bands) / sizeof(*bands))

/* 64 bins of 64 from -1024 on; what lies outside is in the first and the last. */
#define BINS 64
#define BIN_WIDTH 64
#define BIN_LOW (-1024)

struct values {
	double minimum, maximum, mean;
	int64_t count, undefined;
	int64_t band[BANDS], bin[BINS];
};

static void count_value(struct values *values, double value, int64_t times)
{
	size_t band = 0;
	double bin = floor((value - BIN_LOW) / BIN_WIDTH);

	values->minimum = value < values->minimum ? value : values->minimum;
	values->maximum = value > values->maximum ? value : values->maximum;
	values->count += times;
	while (band + 1 < BANDS && value >= bands[band + 1].low)
		band++;
	values->band[band] += times;
	values->bin[bin < 0 ? 0 : bin < BINS ? (int)bin : BINS - 1] += times;
}

static size_t count_of(const struct hl_volume *volume)
{
	return (size_t)volume->width * (size_t)volume->height * (size_t)volume->depth * (size_t)volume->channels;
}

static long double measure_floats(const struct hl_volume *volume, struct values *values)
{
	const float *voxel = volume->voxels;
	size_t count = count_of(volume);
	long double sum = 0;

	for (size_t i = 0; i < count; i++) {
		if (!isfinite(voxel[i])) {
			values->undefined++;
			continue;
		}
		count_value(values, (double)voxel[i], 1);
		sum += voxel[i];
	}
	return sum;
}

/* Whole numbers are counted one by one, and what they add up to is computed once for each. */
static long double measure_integers(const struct hl_volume *volume, int64_t *times, struct values *values)
{
	size_t count = count_of(volume);
	int32_t low = volume->type == HL_VOXEL_I16 ? INT16_MIN : 0;
	long double sum = 0;

	for (size_t i = 0; i < count && volume->type == HL_VOXEL_I16; i++)
		times[((const int16_t *)volume->voxels)[i] - low]++;
	for (size_t i = 0; i < count && volume->type == HL_VOXEL_U16; i++)
		times[((const uint16_t *)volume->voxels)[i]]++;
	for (size_t i = 0; i < count && volume->type == HL_VOXEL_U8; i++)
		times[((const uint8_t *)volume->voxels)[i]]++;
	for (int32_t i = 0; i <= UINT16_MAX; i++)
		if (times[i] > 0) {
			count_value(values, i + low, times[i]);
			sum += (long double)(i + low) * times[i];
		}
	return sum;
}

static enum hilum_status measure(const struct hl_volume *volume, struct values *values, struct hilum_error *error)
{
	int64_t *times = hl_alloc((size_t)UINT16_MAX + 1, sizeof(*times));
	long double sum;

	if (!times)
		return hl_fail_memory(error, ((size_t)UINT16_MAX + 1) * sizeof(*times), "a histogram");
	*values = (struct values){.minimum = (double)INFINITY, .maximum = -(double)INFINITY};
	sum = volume->type == HL_VOXEL_F32 ? measure_floats(volume, values) : measure_integers(volume, times, values);
	values->mean = values->count ? (double)(sum / values->count) : (double)NAN;
	hl_free(times);
	return HILUM_OK;
}

/* ---- words ---- */

static const char *const voxel_names[] = {
    [HL_VOXEL_U8] = "u8", [HL_VOXEL_U16] = "u16", [HL_VOXEL_I16] = "i16", [HL_VOXEL_F32] = "f32"};
static const char *const voxel_words[] = {[HL_VOXEL_U8] = "8-bit",
                                          [HL_VOXEL_U16] = "16-bit",
                                          [HL_VOXEL_I16] = "16-bit signed",
                                          [HL_VOXEL_F32] = "32-bit floating point"};
static const char *const grade_names[] = {[HL_FINDING_NOTICED] = "noticed",
                                          [HL_FINDING_REPAIRED] = "repaired",
                                          [HL_FINDING_FORCED] = "forced",
                                          [HL_FINDING_REFUSED] = "refused"};

/* What may be wrong with the numbers, or NULL. */
static const char *warning_of(const struct hl_volume *volume)
{
	if (hl_volume_is_narrow(volume))
		return "16-bit with no value above 4095: spans 16 of 255 grey levels of the full scale; Hounsfield "
		       "units belong into a signed 16-bit TIFF, or into NIfTI or MetaImage with the negative ones";
	return NULL;
}

/* Where a slice's axes point, by the largest part: "left, posterior, superior" for what was turned there. */
static bool is_straight(const struct hl_volume *volume)
{
	for (int k = 0; k < 3; k++)
		if (fabs(volume->direction[k][k]) < 1 - 1e-6)
			return false;
	return true;
}

static json_t *number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

/* ---- as JSON ---- */

static json_t *numbers(const double *value, int count)
{
	json_t *list = json_array();

	for (int i = 0; i < count; i++)
		json_array_append_new(list, json_real(value[i] + 0.0));
	return list;
}

static json_t *findings_json(const struct hl_findings *findings)
{
	json_t *list = json_array();

	for (int32_t i = 0; i < findings->count; i++) {
		const struct hl_finding *finding = &findings->list[i];
		json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:o?}", "kind", hl_finding_name(finding->kind),
		                                      "grade", grade_names[finding->grade], "count", finding->count,
		                                      "text", hl_json_text(finding->text)));
	}
	return list;
}

static json_t *histogram_json(const struct values *values)
{
	json_t *bins = json_array(), *tissue = json_object();

	for (int i = 0; i < BINS; i++)
		json_array_append_new(bins, json_integer(values->bin[i]));
	for (size_t i = 0; i < BANDS; i++)
		json_object_set_new(tissue, bands[i].name, json_integer(values->band[i]));
	return json_pack("{s:i, s:i, s:o, s:o}", "from", BIN_LOW, "width", BIN_WIDTH, "counts", bins, "bands", tissue);
}

static json_t *scan_json(const char *path, const struct hl_volume *volume, const struct hl_findings *findings,
                         const struct values *values, enum hl_chest_verdict verdict)
{
	bool hounsfield = volume->unit == HL_UNIT_HOUNSFIELD;
	const char *warning = warning_of(volume);
	json_t *root = json_pack(
	    "{s:s, s:o?, s:s, s:i, s:i, s:i, s:i, s:s, s:s, s:o, s:o, s:o, s:I, s:o, s:b, s:o, s:b}", "kind",
	    volume->depth > 1 ? "volume" : "picture", "path", hl_json_text(path), "format", volume->format, "width",
	    volume->width, "height", volume->height, "depth", volume->depth, "channels", volume->channels, "type",
	    voxel_names[volume->type], "unit", hounsfield ? "hounsfield" : "grey", "minimum", number(values->minimum),
	    "maximum", number(values->maximum), "mean", number(values->mean), "undefined",
	    (json_int_t)values->undefined, "spacing_mm", numbers(volume->spacing, 3), "oriented", (int)volume->oriented,
	    "findings", findings_json(findings), "research_use_only", 1);

	if (root)
		json_object_set_new(root, "chest",
		                    json_pack("{s:b, s:s}", "plausible", (int)(verdict == HL_CHEST_YES), "reason",
		                              hl_chest_reason(verdict)));
	if (root && volume->oriented) {
		json_object_set_new(root, "origin_lps", numbers(volume->origin, 3));
		json_object_set_new(root, "directions_lps", numbers(volume->direction[0], 9));
	}
	if (root && hounsfield)
		json_object_set_new(root, "histogram", histogram_json(values));
	if (root && warning)
		json_object_set_new(root, "warning", json_string(warning));
	return root;
}

/* ---- as text ---- */

static void print_place(const struct hl_volume *volume, FILE *file)
{
	if (volume->spacing[0] > 0) {
		fprintf(file, "  spacing    %.6g x %.6g", volume->spacing[0], volume->spacing[1]);
		if (volume->depth > 1)
			fprintf(file, " x %.6g", volume->spacing[2]);
		fputs(" mm\n", file);
	}
	if (!volume->oriented)
		return;
	fprintf(file, "  place      first voxel at %.6g, %.6g, %.6g mm (left, posterior, superior)\n",
	        volume->origin[0] + 0.0, volume->origin[1] + 0.0, volume->origin[2] + 0.0);
	if (is_straight(volume))
		fputs("  axes       to the patient's left, back and head\n", file);
	else
		for (int k = 0; k < 3; k++)
			fprintf(file, "  %s     %8.5f %8.5f %8.5f\n", k ? "    " : "axes",
			        volume->direction[k][0] + 0.0, volume->direction[k][1] + 0.0,
			        volume->direction[k][2] + 0.0);
}

static void print_bands(const struct values *values, FILE *file)
{
	enum { BAR = 40 };

	for (size_t i = 0; i < BANDS; i++) {
		double share = values->count ? (double)values->band[i] / (double)values->count : 0;
		char range[32], bar[BAR + 1];
		int length = (int)(share * BAR + 0.5);
		if (i == 0)
			snprintf(range, sizeof(range), "below %g", bands[1].low);
		else if (i + 1 < BANDS)
			snprintf(range, sizeof(range), "%g to %g", bands[i].low, bands[i + 1].low);
		else
			snprintf(range, sizeof(range), "%g on", bands[i].low);
		memset(bar, '#', (size_t)length);
		bar[length] = '\0';
		fprintf(file, "  %-10s %14s HU %-22s %5.1f %%  %s\n", i ? "" : "tissue", range, bands[i].name,
		        share * 100, bar);
	}
}

static void print_scan(const char *path, const struct hl_volume *volume, const struct hl_findings *findings,
                       const struct values *values, enum hl_chest_verdict verdict, FILE *file)
{
	const char *warning = warning_of(volume);
	bool hounsfield = volume->unit == HL_UNIT_HOUNSFIELD;

	hl_put_safe(file, path);
	fprintf(file, ": a %s\n  format     %s\n  size       %d x %d", volume->depth > 1 ? "volume" : "picture",
	        volume->format, volume->width, volume->height);
	if (volume->depth > 1)
		fprintf(file, " x %d", volume->depth);
	fprintf(file, ", %s\n  values     %s, %s, from %g to %g, mean %.4g\n",
	        volume->channels == 3 ? "colour" : "grey", voxel_words[volume->type],
	        hounsfield ? "Hounsfield units" : "grey levels", values->minimum, values->maximum, values->mean);
	if (values->undefined)
		fprintf(file, "  undefined  %lld values are not numbers\n", (long long)values->undefined);
	if (verdict == HL_CHEST_YES)
		fputs("  looks like a chest CT\n", file);
	else
		fprintf(file, "  does not look like a chest CT: %s\n", hl_chest_reason(verdict));
	print_place(volume, file);
	if (hounsfield && values->count > 0)
		print_bands(values, file);
	for (int32_t i = 0; i < findings->count; i++) {
		fprintf(file, "  %-10s ", grade_names[findings->list[i].grade]);
		hl_put_safe(file, findings->list[i].text);
		fputc('\n', file);
	}
	if (warning)
		fprintf(file, "  warning    %s\n", warning);
}

/* ---- several series ---- */

static enum hilum_status describe_series(const char *path, const struct hl_series_list *list, enum hilum_output output,
                                         FILE *file, struct hilum_error *error)
{
	json_t *entries;

	if (output == HILUM_OUTPUT_TEXT) {
		hl_put_safe(file, path);
		fprintf(file, ": %d series; --series N takes one of them\n", list->count + list->left_out);
		for (int32_t i = 0; i < list->count; i++) {
			const struct hl_series_entry *entry = &list->list[i];
			fprintf(file, "  %-3d ", i + 1);
			hl_put_safe(file, entry->modality);
			fprintf(file, ", %d slices of %d x %d", entry->slices, entry->width, entry->height);
			if (entry->spacing[0] > 0)
				fprintf(file, ", %.4g x %.4g x %.4g mm", entry->spacing[0], entry->spacing[1],
				        entry->spacing[2]);
			fputs(entry->text[0] ? ": " : "", file);
			hl_put_safe(file, entry->text);
			fputc('\n', file);
		}
		return HILUM_OK;
	}
	entries = json_array();
	for (int32_t i = 0; i < list->count; i++) {
		const struct hl_series_entry *entry = &list->list[i];
		json_array_append_new(entries, json_pack("{s:i, s:i, s:i, s:i, s:o, s:o?, s:b, s:o?}", "series", i + 1,
		                                         "slices", entry->slices, "width", entry->width, "height",
		                                         entry->height, "spacing_mm", numbers(entry->spacing, 3),
		                                         "modality", hl_json_text(entry->modality), "usable",
		                                         (int)entry->usable, "text", hl_json_text(entry->text)));
	}
	return hl_put_json(file,
	                   json_pack("{s:s, s:o?, s:o, s:i, s:b}", "kind", "several series", "path", hl_json_text(path),
	                             "series", entries, "left_out", list->left_out, "research_use_only", 1),
	                   error);
}

enum hilum_status hl_describe_scan(const char *path, enum hilum_output output, FILE *file, struct hilum_error *error)
{
	struct hl_findings findings = {0};
	struct hl_volume volume;
	struct values values = {0};
	enum hl_chest_verdict verdict = HL_CHEST_YES;
	enum hilum_status status;

	status = hl_load(path, NULL, &volume, &findings, error);
	for (int32_t i = 0; i < findings.count && status; i++)
		if (findings.list[i].kind == HL_FINDING_SEVERAL_SERIES) {
			struct hl_series_list list;
			if (!hl_load_list(path, &list, NULL))
				return describe_series(path, &list, output, file, error);
		}
	if (status)
		return status;
	status = measure(&volume, &values, error);
	if (!status)
		status = hl_chest_judge(&volume, &verdict, error);
	if (!status && output == HILUM_OUTPUT_JSON)
		status = hl_put_json(file, scan_json(path, &volume, &findings, &values, verdict), error);
	else if (!status)
		print_scan(path, &volume, &findings, &values, verdict, file);
	hl_volume_free(&volume);
	return status;
}
