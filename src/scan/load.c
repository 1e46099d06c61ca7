#include "scan/load.h"

#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "scan/format.h"
#include "scan/formats/archive.h"
#include "scan/load_heads.h"
#include "scan/open.h"
#include "scan/series.h"

/* A stack of so many slices is a scan; one of no more than FEW beside it is none that anybody would mean. */
enum { MANY = 16, FEW = 3 };

struct work {
	const struct hl_file *files;
	size_t count;
	struct hl_load_options options;
	struct hl_head *heads;
	struct hl_slice *slices;
	int32_t slice_count;
	struct hl_series series;
	struct hl_findings *findings;
};

static void free_work(struct work *work)
{
	hl_heads_free(work->heads, work->count);
	hl_free(work->slices);
	hl_series_free(&work->series);
}

/* ---- from files to stacks ---- */

static enum hilum_status list_slices(struct work *work, struct hilum_error *error)
{
	int64_t frames = 0;

	for (size_t i = 0; i < work->count; i++)
		frames += work->heads[i].kind == HL_HEAD_DICOM ? work->heads[i].dicom.frames : 0;
	if (frames > (int64_t)HL_LOAD_FILES_MAX * 4)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%lld slices", (long long)frames);
	work->slices = hl_alloc((size_t)(frames ? frames : 1), sizeof(*work->slices));
	if (!work->slices)
		return hl_fail_memory(error, (size_t)frames * sizeof(*work->slices), "slices");
	for (size_t i = 0; i < work->count; i++) {
		const struct hl_head *head = &work->heads[i];
		for (int32_t k = 0; head->kind == HL_HEAD_DICOM && k < head->dicom.frames; k++)
			work->slices[work->slice_count++] =
			    (struct hl_slice){.dicom = &head->dicom, .frame = k, .file = (int32_t)i};
	}
	return HILUM_OK;
}

static enum hilum_status check_damaged(const struct work *work, struct hilum_error *error)
{
	int32_t damaged = 0;
	const struct hilum_error *first = NULL;

	for (size_t i = 0; i < work->count; i++)
		if (work->heads[i].kind == HL_HEAD_DAMAGED) {
			first = damaged++ ? first : &work->heads[i].error;
		}
	if (damaged == 0)
		return HILUM_OK;
	hl_findings_note(work->findings, HL_FINDING_UNREADABLE,
	                 work->options.force ? HL_FINDING_FORCED : HL_FINDING_REFUSED, damaged,
	                 "%d files cannot be read%s", damaged, work->options.force ? ": left out" : "");
	return work->options.force ? HILUM_OK : hl_fail(error, first->code, "%s", first->message);
}

/* Heads, slices, stacks. */
static enum hilum_status find_stacks(struct work *work, struct hilum_error *error)
{
	int32_t others = 0;
	enum hilum_status status =
	    hl_heads_read(work->files, work->count, work->options.threads, work->options.inside, &work->heads, error);

	if (!status)
		status = check_damaged(work, error);
	if (!status)
		status = list_slices(work, error);
	if (!status && work->slice_count > 0)
		status = hl_series_group(work->slices, work->slice_count, &work->series, error);
	if (status || work->slice_count == 0)
		return status;
	for (size_t i = 0; i < work->count; i++)
		others += work->heads[i].kind <= HL_HEAD_SCAN ||
		          (work->heads[i].kind == HL_HEAD_DICOM && !work->heads[i].dicom.has_pixels);
	if (others > 0)
		hl_findings_note(work->findings, HL_FINDING_OTHER_FILES, HL_FINDING_NOTICED, others,
		                 "%d files that hold no slices left out", others);
	if (work->series.localisers > 0)
		hl_findings_note(work->findings, HL_FINDING_LOCALISER, HL_FINDING_NOTICED, work->series.localisers,
		                 "%d localisers left out", work->series.localisers);
	if (work->series.strays > 0)
		hl_findings_note(work->findings, HL_FINDING_STRAY, HL_FINDING_NOTICED, work->series.strays,
		                 "%d slices of another orientation, size or place left out", work->series.strays);
	return HILUM_OK;
}

/* ---- which of several ---- */

static bool is_ct(const struct work *work, int32_t which)
{
	return !*hl_dicom_not_ct(work->slices[work->series.stack[which].slice[0]].dicom);
}

/* Whether a stack can be laid out without force. */
static bool is_usable(const struct work *work, int32_t which)
{
	struct hl_layout layout = {0};
	bool usable =
	    hl_series_layout(work->slices, &work->series.stack[which], false, &layout, NULL, NULL) == HILUM_OK;

	hl_layout_free(&layout);
	return usable;
}

static enum hilum_status fail_several(const struct work *work, const bool *candidate, int32_t candidates,
                                      struct hilum_error *error)
{
	char list[128] = "";
	int32_t count = 0;

	for (int32_t i = 0; i < work->series.count && count < 4; i++) {
		const struct hl_stack *stack = &work->series.stack[i];
		size_t used = strlen(list);
		if (!candidate[i])
			continue;
		count++;
		snprintf(list + used, sizeof(list) - used, "%s%d: %d slices%s", used ? ", " : "", i + 1, stack->count,
		         stack->of_acquisition ? " of an acquisition" : "");
	}
	return hl_findings_refuse(work->findings, HL_FINDING_SEVERAL_SERIES, work->options.force, candidates, error,
	                          "%d series to choose from (%s%s)", candidates, list,
	                          candidates > count ? ", ..." : "");
}

/* Candidates for the series that is meant: those of CT, or all if there is none, without a few slices beside many. best
 * is the usable one of the most slices, or else the one of the most; usable counts them. */
static int32_t find_candidates(const struct work *work, bool *candidate, int32_t *best, int32_t *usable)
{
	const struct hl_series *series = &work->series;
	int32_t candidates = 0, largest = 0;
	bool best_usable = false;

	for (int32_t i = 0; i < series->count; i++)
		if (is_ct(work, i) && series->stack[i].count > largest)
			largest = series->stack[i].count;
	*best = -1;
	*usable = 0;
	for (int32_t i = 0; i < series->count; i++) {
		candidate[i] = (largest == 0 || is_ct(work, i)) && (series->stack[i].count > FEW || largest < MANY);
		if (!candidate[i])
			continue;
		bool sound = is_usable(work, i);
		candidates++;
		*usable += sound;
		if (*best < 0 || (sound && !best_usable) ||
		    (sound == best_usable && series->stack[i].count > series->stack[*best].count)) {
			*best = i;
			best_usable = sound;
		}
	}
	return candidates;
}

/* The series that was asked for, or the only one that can be meant. */
static enum hilum_status choose(const struct work *work, int32_t *chosen, struct hilum_error *error)
{
	bool candidate[HL_STACKS_MAX] = {false};
	int32_t candidates, usable, count = work->series.count;

	if (work->options.series > 0) {
		if (work->options.series > count)
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "series %d of %d", work->options.series, count);
		*chosen = work->options.series - 1;
		return HILUM_OK;
	}
	if (count == 1) {
		*chosen = 0;
		return HILUM_OK;
	}
	candidates = find_candidates(work, candidate, chosen, &usable);
	return candidates > 1 ? fail_several(work, candidate, candidates, error) : HILUM_OK;
}

/* ---- from a stack to a volume ---- */

/* A stack without the slices whose files failed; false if none is left. */
static bool drop_failed(struct hl_stack *stack, const bool *failed)
{
	int32_t left = 0;

	for (int32_t i = 0; i < stack->count; i++)
		if (!failed[stack->slice[i]])
			stack->slice[left++] = stack->slice[i];
	stack->count = left;
	return left > 0;
}

static enum hilum_status build(struct work *work, struct hl_stack *stack, struct hl_volume *out,
                               struct hilum_error *error)
{
	bool force = work->options.force;
	bool *failed = hl_alloc((size_t)work->slice_count, sizeof(*failed));
	struct hl_findings before = {0};
	int32_t had = stack->count;
	enum hilum_status status;

	if (!failed)
		return hl_fail_memory(error, (size_t)work->slice_count, "slices");
	if (work->findings)
		before = *work->findings;
	for (;;) {
		struct hl_layout layout = {0};
		if (work->findings)
			*work->findings = before;
		if (stack->count < had)
			hl_findings_note(work->findings, HL_FINDING_UNREADABLE, HL_FINDING_FORCED, had - stack->count,
			                 "%d slices cannot be read: left out", had - stack->count);
		status = hl_series_layout(work->slices, stack, force, &layout, work->findings, error);
		if (!status)
			status = hl_series_read(work->slices, &layout, work->files, &work->options, failed, out,
			                        work->findings, error);
		hl_layout_free(&layout);
		int32_t count = stack->count;
		if (!status || !force || status == HILUM_ERROR_MEMORY || !drop_failed(stack, failed) ||
		    stack->count == count)
			break;
	}
	hl_free(failed);
	return status;
}

/* ---- other formats among the files ---- */

/* Formats other than DICOM do not say what their numbers mean: Hounsfield units of a chest include air. */
static void check_units(const struct hl_volume *volume, struct hl_findings *findings)
{
	size_t count =
	    (size_t)volume->width * (size_t)volume->height * (size_t)volume->depth * (size_t)volume->channels;

	if (volume->unit != HL_UNIT_HOUNSFIELD || !findings)
		return;
	for (size_t i = 0; i < count; i++)
		if (volume->type == HL_VOXEL_I16 ? ((const int16_t *)volume->voxels)[i] <= -500
		                                 : ((const float *)volume->voxels)[i] <= -500)
			return;
	hl_findings_note(findings, HL_FINDING_UNITS, HL_FINDING_NOTICED, 0,
	                 "no value below -500, as air and lung have: these may be no Hounsfield units");
}

static enum hilum_status load_other(const struct work *work, struct hl_volume *out, struct hilum_error *error)
{
	size_t scans = 0, only = 0;

	for (size_t i = 0; i < work->count; i++)
		if (work->heads[i].kind == HL_HEAD_SCAN) {
			only = i;
			scans++;
		}
	if (scans == 1) {
		enum hilum_status status = hl_scan_open_among(work->files, work->count, only, out, error);
		if (!status)
			check_units(out, work->findings);
		return status;
	}
	if (scans == 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "no scan among %zu files", work->count);
	return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "%zu pictures or scans, no DICOM series: name one of them",
	               scans);
}

/* ---- in and out ---- */

enum hilum_status hl_load_files(const struct hl_file *files, size_t count, const struct hl_load_options *options,
                                struct hl_volume *out, struct hl_findings *findings, struct hilum_error *error)
{
	struct work work = {.files = files, .count = count, .findings = findings};
	enum hilum_status status;
	int32_t chosen = 0;

	if (options)
		work.options = *options;
	if (findings)
		*findings = (struct hl_findings){0};
	status = find_stacks(&work, error);
	if (!status && work.series.count == 0) {
		status = load_other(&work, out, error);
	} else if (!status) {
		status = choose(&work, &chosen, error);
		if (!status)
			status = build(&work, &work.series.stack[chosen], out, error);
		if (!status)
			snprintf(out->format, sizeof(out->format), "DICOM");
	}
	free_work(&work);
	return status;
}

enum what { FOLDER, DIRECTORY, DICOM_FILE, ARCHIVE, OTHER_FILE };

/* The first bytes of a file; 0 where there are none. */
static size_t peek(const char *path, uint8_t *out, size_t size)
{
	ssize_t got;
	size_t length;
	int fd;

	if (hl_file_open(path, HL_FILE_BYTES_MAX, &fd, &length, NULL))
		return 0;
	got = pread(fd, out, size, 0);
	close(fd);
	return got > 0 ? (size_t)got : 0;
}

/* What a path is; a file that cannot be read is left to what reads it, which says why. */
static enum what find_out(const char *path)
{
	const struct hl_file file = {.name = path, .path = path};
	struct hl_head head;
	enum what what = OTHER_FILE;
	uint8_t first[4096];
	size_t got;

	if (hl_path_is_directory(path))
		return FOLDER;
	got = peek(path, first, sizeof(first));
	/* A DICOM file may begin as another kind does (PS3.10, 7.1). */
	if (!hl_dicom_detect(first, got)) {
		if (hl_archive_detect(first, got))
			return ARCHIVE;
		if (hl_scan_is_known(first, got))
			return OTHER_FILE;
	}
	hl_head_read(&file, false, &head);
	if (head.kind == HL_HEAD_DIRECTORY)
		what = DIRECTORY;
	else if (head.kind == HL_HEAD_DICOM)
		what = DICOM_FILE;
	hl_dicom_close(&head.dicom);
	return what;
}

/* What a path stands for. */
struct set {
	const struct hl_file *file;
	size_t count;
	struct hl_file one, *listed;
	struct hl_names names; /* of listed */
	struct hl_archive archive;
};

static void set_free(struct set *set)
{
	hl_free(set->listed);
	hl_names_free(&set->names);
	hl_archive_close(&set->archive);
}

static enum hilum_status list_files(const char *path, bool folder, struct set *set, struct hilum_error *error)
{
	enum hilum_status status =
	    folder ? hl_folder_walk(path, &set->names, error) : hl_directory_files(path, &set->names, error);

	if (status)
		return status;
	set->listed = hl_alloc(set->names.count, sizeof(*set->listed));
	if (!set->listed)
		return hl_fail_memory(error, set->names.count * sizeof(*set->listed), "files");
	for (size_t i = 0; i < set->names.count; i++)
		set->listed[i] = (struct hl_file){.name = set->names.name[i], .path = set->names.name[i]};
	set->file = set->listed;
	set->count = set->names.count;
	return HILUM_OK;
}

static enum hilum_status open_archive(const char *path, struct set *set, struct hilum_error *error)
{
	struct hl_sandbox_input input = {.fd = -1};
	enum hilum_status status = hl_file_open(path, HL_FILE_BYTES_MAX, &input.fd, &input.length, error);

	if (status)
		return status;
	status = hl_archive_open(&input, &set->archive, error);
	close(input.fd);
	set->file = set->archive.file;
	set->count = set->archive.count;
	return status;
}

static enum hilum_status set_open(const char *path, enum what what, struct set *set, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;

	*set = (struct set){.one = {.name = path, .path = path}, .count = 1};
	set->file = &set->one;
	if (what == ARCHIVE)
		status = open_archive(path, set, error);
	else if (what == FOLDER || what == DIRECTORY)
		status = list_files(path, what == FOLDER, set, error);
	return !status && set->count == 0 ? hl_fail(error, HILUM_ERROR_FORMAT, "%s: no files in it", path) : status;
}

enum hilum_status hl_load(const char *path, const struct hl_load_options *options, struct hl_volume *out,
                          struct hl_findings *findings, struct hilum_error *error)
{
	enum what what = find_out(path);
	enum hilum_status status;
	struct set set;

	if (findings)
		*findings = (struct hl_findings){0};
	if (what == OTHER_FILE) {
		status = hl_scan_open(path, out, error);
		if (!status)
			check_units(out, findings);
		return status;
	}
	status = set_open(path, what, &set, error);
	if (!status)
		status = hl_load_files(set.file, set.count, options, out, findings, error);
	/* Unless a file below it is named already. */
	if (status && error && strncmp(error->message, path, strlen(path)) != 0)
		hl_prefix(error, status, "%s", path);
	set_free(&set);
	return status;
}

/* ---- the list of series ---- */

static void describe(const struct work *work, int32_t which, struct hl_series_entry *entry)
{
	const struct hl_stack *stack = &work->series.stack[which];
	const struct hl_dicom *dicom = work->slices[stack->slice[0]].dicom;
	struct hilum_error error = {0};
	struct hl_layout layout = {0};

	*entry = (struct hl_series_entry){.slices = stack->count, .width = dicom->width, .height = dicom->height};
	memcpy(entry->modality, dicom->modality, sizeof(entry->modality));
	entry->usable = !hl_series_layout(work->slices, stack, false, &layout, NULL, &error);
	if (entry->usable)
		memcpy(entry->spacing, layout.spacing, sizeof(entry->spacing));
	snprintf(entry->text, sizeof(entry->text), "%.*s", (int)sizeof(entry->text) - 1, error.message);
	hl_layout_free(&layout);
}

static enum hilum_status list_series(struct work *work, struct hl_series_list *out, struct hilum_error *error)
{
	enum hilum_status status = find_stacks(work, error);

	if (status)
		return status;
	*out = (struct hl_series_list){0};
	for (int32_t i = 0; i < work->series.count && i < HL_SERIES_MAX; i++)
		describe(work, i, &out->list[out->count++]);
	out->left_out = work->series.count - out->count;
	return HILUM_OK;
}

enum hilum_status hl_load_list(const char *path, struct hl_series_list *out, struct hilum_error *error)
{
	struct work work = {.options.force = true};
	enum hilum_status status;
	struct set set;

	status = set_open(path, find_out(path), &set, error);
	work.files = set.file;
	work.count = set.count;
	if (!status)
		status = list_series(&work, out, error);
	free_work(&work);
	set_free(&set);
	return status;
}
