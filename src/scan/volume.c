/* Volumes: sizes checked against the limits before memory is taken. */
#include "scan/volume.h"

#include <string.h>

#include "base/memory.h"

/* Memory lent to this thread for one volume's voxels. Those of earlier ones may have left it dirty up to a mark. */
static _Thread_local struct {
	uint8_t *memory;
	size_t size, dirty;
	bool taken;
} lent;

void hl_volume_lend(void *memory, size_t size, size_t dirty)
{
	lent.memory = memory;
	lent.size = size;
	lent.dirty = dirty;
	lent.taken = false;
}

static void *allocate(size_t size)
{
	if (lent.taken || size > lent.size)
		return hl_alloc(size, 1);
	memset(lent.memory, 0, size < lent.dirty ? size : lent.dirty);
	lent.dirty = size > lent.dirty ? size : lent.dirty;
	lent.taken = true;
	return lent.memory;
}

void hl_voxels_free(void *voxels)
{
	if (!voxels || voxels != lent.memory)
		hl_free(voxels);
	else
		lent.taken = false;
}

void *hl_voxels_shrink(void *voxels, size_t size)
{
	void *smaller = voxels == lent.memory ? NULL : hl_realloc(voxels, size, 1);

	return smaller ? smaller : voxels;
}

size_t hl_voxel_size(enum hl_voxel type)
{
	switch (type) {
	case HL_VOXEL_U8:
		return 1;
	case HL_VOXEL_U16:
	case HL_VOXEL_I16:
		return 2;
	case HL_VOXEL_F32:
		return 4;
	}
	return 0;
}

enum hilum_status hl_volume_init(struct hl_volume *volume, int32_t width, int32_t height, int32_t depth,
                                 int32_t channels, enum hl_voxel type, struct hilum_error *error)
{
	size_t size = hl_voxel_size(type);
	int64_t count;
	void *voxels;

	if (width < 1 || height < 1 || depth < 1)
		return hl_fail(error, HILUM_ERROR_FORMAT, "a picture of %d x %d x %d pixels", width, height, depth);
	if ((channels != 1 && channels != 3) || size == 0)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "%d channels of type %d", channels, (int)type);
	if (width > HL_VOLUME_SIDE_MAX || height > HL_VOLUME_SIDE_MAX || depth > HL_VOLUME_SIDE_MAX ||
	    (int64_t)width * height > HL_VOLUME_PIXELS_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%d x %d x %d pixels: more than %d a side or %lld a slice",
		               width, height, depth, HL_VOLUME_SIDE_MAX, (long long)HL_VOLUME_PIXELS_MAX);
	/* At most 2^26 * 2^14 * 3. */
	count = (int64_t)width * height * depth * channels;
	if (count > HL_VOLUME_BYTES_MAX / (int64_t)size)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%d x %d x %d pixels of %zu bytes: more than %lld bytes",
		               width, height, depth, size * (size_t)channels, (long long)HL_VOLUME_BYTES_MAX);
	voxels = allocate((size_t)count * size);
	if (!voxels)
		return hl_fail_memory(error, (size_t)count * size, "a volume");
	*volume = (struct hl_volume){
	    .width = width, .height = height, .depth = depth, .channels = channels, .type = type, .voxels = voxels};
	if (type == HL_VOXEL_I16 || type == HL_VOXEL_F32) {
		volume->unit = HL_UNIT_HOUNSFIELD;
	} else {
		volume->unit = HL_UNIT_GREY;
		volume->maximum = type == HL_VOXEL_U8 ? 255 : 65535;
	}
	return HILUM_OK;
}

void hl_volume_free(struct hl_volume *volume)
{
	hl_voxels_free(volume->voxels);
	*volume = (struct hl_volume){0};
}

bool hl_volume_is_narrow(const struct hl_volume *volume)
{
	size_t count =
	    (size_t)volume->width * (size_t)volume->height * (size_t)volume->depth * (size_t)volume->channels;
	const uint16_t *voxel = volume->voxels;
	uint16_t largest = 0;
	if (volume->type != HL_VOXEL_U16 || volume->unit != HL_UNIT_GREY || volume->maximum < 65535)
		return false;
	for (size_t i = 0; i < count; i++)
		largest = voxel[i] > largest ? voxel[i] : largest;
	return largest > 0 && largest < 4096;
}

double hl_volume_get(const struct hl_volume *volume, int32_t x, int32_t y, int32_t z, int32_t channel)
{
	size_t index = (((size_t)z * (size_t)volume->height + (size_t)y) * (size_t)volume->width + (size_t)x) *
	                   (size_t)volume->channels +
	               (size_t)channel;

	switch (volume->type) {
	case HL_VOXEL_U8:
		return ((const uint8_t *)volume->voxels)[index];
	case HL_VOXEL_U16:
		return ((const uint16_t *)volume->voxels)[index];
	case HL_VOXEL_I16:
		return ((const int16_t *)volume->voxels)[index];
	case HL_VOXEL_F32:
		return ((const float *)volume->voxels)[index];
	}
	return 0;
}
