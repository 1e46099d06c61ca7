#include "train/control.h"

#include "base/csv.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "scan/format.h"
#include "scan/load.h"
#include "scan/lungs.h"
#include "scan/window.h"

#include <stdatomic.h>

#define FOLDER "background"
#define MANIFEST_MAX ((size_t)1 << 30)

struct drawing {
	const struct hl_dataset *dataset;
	struct hl_window window;
	const char *folder;
	atomic_size_t guessed, unreadable, unwritten;
};

struct box {
	int32_t left, top, right, bottom; /* right and bottom are outside */
};

static struct box middle_of(const struct hl_volume *slice)
{
	return (struct box){slice->width / 5, slice->height / 5, slice->width - slice->width / 5,
	                    slice->height - slice->height / 5};
}

static struct box around(const struct hl_volume *mask)
{
	const uint8_t *voxel = mask->voxels;
	struct box box = {mask->width, mask->height, 0, 0};
	for (int32_t y = 0; y < mask->height; y++)
		for (int32_t x = 0; x < mask->width; x++, voxel++) {
			if (!*voxel)
				continue;
			box.left = x < box.left ? x : box.left;
			box.right = x >= box.right ? x + 1 : box.right;
			box.top = y < box.top ? y : box.top;
			box.bottom = y >= box.bottom ? y + 1 : box.bottom;
		}
	int32_t wider = (box.right - box.left) * 3 / 100 + 1, higher = (box.bottom - box.top) * 3 / 100 + 1;
	box.left = box.left > wider ? box.left - wider : 0;
	box.top = box.top > higher ? box.top - higher : 0;
	box.right = box.right + wider < mask->width ? box.right + wider : mask->width;
	box.bottom = box.bottom + higher < mask->height ? box.bottom + higher : mask->height;
	return box;
}

static struct box find_box(struct drawing *drawing, const struct hl_volume *slice)
{
	struct hl_lungs lungs = {.count = 0};
	bool found = hl_lungs_find(slice, 1, &lungs, NULL) == HILUM_OK && lungs.count > 0 && lungs.chest;
	struct box box = found ? around(&lungs.mask) : middle_of(slice);
	hl_volume_free(&lungs.mask);
	if (!found)
		atomic_fetch_add(&drawing->guessed, 1);
	return box;
}

/* The middle slice alone, its voxels borrowed. */
static struct hl_volume middle_slice(const struct hl_volume *volume)
{
	struct hl_volume slice = *volume;
	size_t bytes =
	    (size_t)volume->width * (size_t)volume->height * (size_t)volume->channels * hl_voxel_size(volume->type);
	slice.depth = 1;
	slice.voxels = (uint8_t *)volume->voxels + (size_t)(volume->depth / 2) * bytes;
	return slice;
}

static enum hilum_status draw_slice(struct drawing *drawing, const struct hl_volume *volume, const char *path,
                                    struct hilum_error *error)
{
	struct hl_volume slice = middle_slice(volume), drawn;
	struct box box = find_box(drawing, &slice);
	size_t pixels = (size_t)slice.width * (size_t)slice.height;
	enum hilum_status status = hl_volume_init(&drawn, slice.width, slice.height, 1, 1, HL_VOXEL_U8, error);
	if (status)
		return status;
	float *grey = hl_alloc(pixels, sizeof(*grey));
	if (!grey) {
		hl_volume_free(&drawn);
		return hl_fail_memory(error, pixels * sizeof(*grey), "a slice");
	}
	hl_window_slice(&slice, 0, drawing->window, 1, grey);
	uint8_t *out = drawn.voxels;
	for (int32_t y = 0; y < slice.height; y++)
		for (int32_t x = 0; x < slice.width; x++) {
			bool inside = x >= box.left && x < box.right && y >= box.top && y < box.bottom;
			size_t at = (size_t)y * (size_t)slice.width + (size_t)x;
			out[at] = inside ? 0 : (uint8_t)(grey[at] * 255.0f + 0.5f);
		}
	status = hl_png_write(path, &drawn, error);
	hl_free(grey);
	hl_volume_free(&drawn);
	return status;
}

static void file_name(size_t index, char name[32])
{
	snprintf(name, 32, "%08zu.png", index);
}

static void draw_case(void *context, int32_t index)
{
	struct drawing *drawing = context;
	const struct hl_load_options loading = {.threads = 1};
	struct hl_volume volume;
	char name[32];
	if (hl_load(drawing->dataset->cases[index].file, &loading, &volume, NULL, NULL)) {
		atomic_fetch_add(&drawing->unreadable, 1);
		return;
	}
	file_name((size_t)index, name);
	char *path = hl_path_join(drawing->folder, name);
	if (!path || draw_slice(drawing, &volume, path, NULL))
		atomic_fetch_add(&drawing->unwritten, 1);
	hl_free(path);
	hl_volume_free(&volume);
}

static enum hilum_status write_manifest(const struct hl_dataset *dataset, const char *path, struct hilum_error *error)
{
	struct hl_buffer buffer;
	hl_buffer_init(&buffer, MANIFEST_MAX);
	enum hilum_status status =
	    hl_buffer_print(&buffer, error, dataset->grouped ? "path,label,group\n" : "path,label\n");
	for (size_t i = 0; i < dataset->count && !status; i++) {
		const struct hl_case *item = &dataset->cases[i];
		char name[32];
		file_name(i, name);
		status = hl_buffer_print(&buffer, error, "%s,", name);
		if (!status)
			status = hl_csv_append(&buffer, dataset->origins[item->origin], error);
		if (!status && dataset->grouped)
			status = hl_buffer_append(&buffer, ",", 1, error);
		if (!status && dataset->grouped)
			status = hl_csv_append(&buffer, dataset->groups[item->group], error);
		if (!status)
			status = hl_buffer_append(&buffer, "\n", 1, error);
	}
	if (!status)
		status = hl_file_write(path, &(struct hl_part){buffer.data, buffer.length}, 1, error);
	hl_buffer_free(&buffer);
	return status;
}

static enum hilum_status draw_all(const struct hilum_train_options *options, const struct hl_dataset *dataset,
                                  const char *folder, const char *manifest, struct hilum_error *error)
{
	struct drawing drawing = {
	    .dataset = dataset, .window = {options->window_center, options->window_width}, .folder = folder};
	enum hilum_status status = hl_directory_make(folder, error);
	if (status)
		return status;
	hl_parallel((int32_t)dataset->count, (int32_t)options->threads, draw_case, &drawing);
	if (atomic_load(&drawing.unwritten))
		return hl_fail(error, HILUM_ERROR_IO, "%s: %zu of %zu pictures could not be drawn", folder,
		               atomic_load(&drawing.unwritten), dataset->count);
	if (atomic_load(&drawing.guessed))
		hl_log(HILUM_LOG_WARNING, "control: no lungs found in %zu of %zu pictures; their middle is blanked out",
		       atomic_load(&drawing.guessed), dataset->count);
	if (atomic_load(&drawing.unreadable))
		hl_log(HILUM_LOG_WARNING, "control: %zu of %zu pictures could not be read",
		       atomic_load(&drawing.unreadable), dataset->count);
	return write_manifest(dataset, manifest, error);
}

enum hilum_status hl_control_background(const struct hl_run *run, const struct hilum_train_options *options,
                                        const struct hl_dataset *dataset, struct hl_dataset **blanked, char **data,
                                        struct hilum_error *error)
{
	char folder[HL_RUN_PATH_MAX];
	const struct hl_dataset_options how = {.positive = options->positive};
	enum hilum_status status = hl_run_path(run, FOLDER, folder, error);
	if (status)
		return status;
	char *manifest = hl_path_join(folder, "manifest.csv");
	if (!manifest)
		return hl_fail_memory(error, sizeof(folder), "a path");
	if (!hl_path_exists(manifest))
		status = draw_all(options, dataset, folder, manifest, error);
	if (!status)
		status = hl_dataset_open(manifest, &how, blanked, error);
	if (status)
		hl_free(manifest);
	else
		*data = manifest;
	return status;
}
