/* Cases of several slices for a network that sees one at a time: volumes in 2-D and 2.5-D. Preloading finds out which
 * slices of each are looked at and keeps them, as far as the memory allows; a volume that does not fit is decoded again
 * where one of its slices is wanted. */
#include "data/loader_work.h"

#include "base/memory.h"
#include "data/lung_slices.h"
#include "scan/load.h"

#include <string.h>

bool hl_loader_looks_inside(const struct hl_loader *loader, size_t index)
{
	return loader->options.recipe->dims != HL_DIMS_3 &&
	       loader->options.dataset->cases[loader->cases[index]].slice_count == 0;
}

static const char *file_of(const struct hl_loader *loader, size_t index)
{
	return loader->options.dataset->cases[loader->cases[index]].file;
}

/* Takes bytes from what is left for pictures, if there are as many. */
static bool reserve(struct hl_loader *loader, size_t bytes)
{
	size_t left = atomic_load(&loader->spare);
	while (left >= bytes)
		if (atomic_compare_exchange_weak(&loader->spare, &left, left - bytes))
			return true;
	return false;
}

/* The pictures of all slices that are looked at; only the first one's to see that it can be made, where there is no
 * room to keep them. */
static enum hilum_status make_pictures(struct hl_loader *loader, const struct hl_volume *volume,
                                       struct hl_loader_inside *inside, uint8_t *picture, struct hilum_error *error)
{
	const struct hl_recipe *recipe = loader->options.recipe;
	size_t bytes = 0, count = (size_t)inside->count;
	if (!hl_mul_size(count, loader->bytes, &bytes) || !reserve(loader, bytes))
		return hl_recipe_apply_at(recipe, volume, inside->slice[0], picture, error);
	uint8_t *pictures = hl_alloc(count, loader->bytes);
	enum hilum_status status = pictures ? HILUM_OK : hl_fail_memory(error, bytes, "slices to keep (--memory)");
	for (size_t i = 0; i < count && !status; i++)
		status = hl_recipe_apply_at(recipe, volume, inside->slice[i], pictures + i * loader->bytes, error);
	if (status) {
		hl_free(pictures);
		atomic_fetch_add(&loader->spare, bytes);
	} else {
		inside->pictures = pictures;
	}
	return status;
}

enum hilum_status hl_loader_look_inside(struct hl_loader *loader, size_t index, uint8_t *picture, bool *several,
                                        struct hl_met *met, struct hilum_error *error)
{
	struct hl_loader_inside made = {.count = 0}, *inside = &loader->inside[loader->slot[index]];
	const char *file = file_of(loader, index);
	struct hl_volume volume = {0};
	enum hilum_status status = hl_load(file, NULL, &volume, NULL, error);
	if (status)
		return status;
	status = hl_recipe_meet(&volume, met, error);
	*several = volume.depth > 1;
	if (status) {
		hl_volume_free(&volume);
		return status;
	}
	if (*several) {
		/* On one thread: there are as many workers as are wanted. */
		status = hl_lung_slices(&volume, 1, &made.slice, &made.count, error);
		if (!status)
			status = make_pictures(loader, &volume, &made, picture, error);
	} else {
		status = hl_recipe_apply(loader->options.recipe, &volume, picture, error);
	}
	hl_volume_free(&volume);
	if (status) {
		hl_free(made.slice);
		return hl_prefix(error, status, "%s", file);
	}
	*inside = made;
	return HILUM_OK;
}

enum hilum_status hl_loader_slice(struct hl_loader *loader, struct hl_loader_volume *at_hand, size_t index,
                                  int32_t which, uint8_t *picture, const uint8_t **out, struct hilum_error *error)
{
	size_t slot = loader->slot[index];
	const struct hl_loader_inside *inside = &loader->inside[slot];
	const char *file = file_of(loader, index);
	enum hilum_status status = HILUM_OK;
	if (inside->pictures) {
		*out = inside->pictures + (size_t)which * loader->bytes;
		return HILUM_OK;
	}
	if (!at_hand->volume.voxels || at_hand->slot != slot) {
		hl_volume_free(&at_hand->volume);
		status = hl_load(file, NULL, &at_hand->volume, NULL, error);
		at_hand->slot = slot;
	}
	if (status)
		return status;
	status = hl_recipe_apply_at(loader->options.recipe, &at_hand->volume, inside->slice[which], picture, error);
	*out = picture;
	return status ? hl_prefix(error, status, "%s", file) : HILUM_OK;
}

int32_t hl_loader_inside_count(const struct hl_loader *loader, size_t index)
{
	int32_t count = loader->inside[loader->slot[index]].count;
	return count > 0 ? count : 1;
}

enum hilum_status hl_loader_number_slices(struct hl_loader *loader, struct hilum_error *error)
{
	bool several = false;
	for (size_t i = 0; i < loader->count; i++)
		several = several || hl_loader_inside_count(loader, i) > 1;
	hl_free(loader->first);
	loader->first = NULL;
	if (!several)
		return HILUM_OK;
	loader->first = hl_alloc(loader->count + 1, sizeof(*loader->first));
	if (!loader->first)
		return hl_fail_memory(error, (loader->count + 1) * sizeof(*loader->first), "the loader");
	for (size_t i = 0; i < loader->count; i++)
		loader->first[i + 1] = loader->first[i] + (size_t)hl_loader_inside_count(loader, i);
	return HILUM_OK;
}

size_t hl_loader_find_slice(const struct hl_loader *loader, size_t position, int32_t *which)
{
	size_t low = 0, high = loader->count - 1;
	*which = 0;
	if (!loader->first)
		return position;
	/* The last case that begins there or before. */
	while (low < high) {
		size_t middle = low + (high - low + 1) / 2;
		if (loader->first[middle] <= position)
			low = middle;
		else
			high = middle - 1;
	}
	*which = (int32_t)(position - loader->first[low]);
	return low;
}

void hl_loader_free_slices(struct hl_loader *loader)
{
	for (size_t i = 0; loader->inside && i < loader->slots; i++) {
		hl_free(loader->inside[i].slice);
		hl_free(loader->inside[i].pictures);
	}
	hl_free(loader->inside);
	hl_free(loader->first);
}
