/* The one type of scan: a stack of slices with its voxels, spacing, and place in the patient. A picture is a volume of
 * depth 1. */
#ifndef HL_SCAN_VOLUME_H
#define HL_SCAN_VOLUME_H
#include "base/error.h"

enum hl_voxel { HL_VOXEL_U8, HL_VOXEL_U16, HL_VOXEL_I16, HL_VOXEL_F32 };

/* What the numbers mean. Grey values are on a scale from 0 to maximum (255, 65535); Hounsfield units are absolute. */
enum hl_unit { HL_UNIT_GREY, HL_UNIT_HOUNSFIELD };

struct hl_volume {
	int32_t width, height, depth; /* voxels along x, y, z */
	int32_t channels;             /* 1 grey, 3 RGB interleaved; alpha is composited on black when read */
	enum hl_voxel type;
	enum hl_unit unit;
	double maximum;    /* full scale of grey values; 0 for Hounsfield units */
	double spacing[3]; /* mm along x, y, z; 0 where unknown */
	/* Place in the patient, where oriented: the centre of voxel (x, y, z) lies at origin + x spacing[0]
	 * direction[0] + y spacing[1] direction[1] + z spacing[2] direction[2], in mm along left, posterior, superior
	 * (LPS, as DICOM PS3.3 C.7.6.2.1.1). direction holds unit vectors at right angles to each other. */
	bool oriented;
	double origin[3], direction[3][3];
	void *voxels;    /* depth * height * width * channels, no padding; owned */
	char format[16]; /* "JPEG", "PNG", "TIFF" */
};

/* The limits on what is decoded, checked before memory is taken. */
#define HL_VOLUME_SIDE_MAX 16384
#define HL_VOLUME_PIXELS_MAX (INT64_C(64) << 20) /* of one slice */
#define HL_VOLUME_BYTES_MAX (INT64_C(512) << 20)

size_t hl_voxel_size(enum hl_voxel type);
/* Checks the sizes against the limits and allocates zeroed voxels. */
enum hilum_status hl_volume_init(struct hl_volume *volume, int32_t width, int32_t height, int32_t depth,
                                 int32_t channels, enum hl_voxel type, struct hilum_error *error);
void hl_volume_free(struct hl_volume *volume);

/* From now on one volume at a time of this thread has its voxels in memory, of size bytes, instead of on the heap, as
 * long as they fit; size 0 ends that. Bytes from dirty on are zero. For the sandbox, whose volumes are to lie where the
 * other process sees them. */
void hl_volume_lend(void *memory, size_t size, size_t dirty);
/* What volumes' voxels are freed with and cut to a smaller size, wherever they lie. */
void hl_voxels_free(void *voxels);
void *hl_voxels_shrink(void *voxels, size_t size);

/* Unsigned 16-bit grey values that all lie below 4096, as 12-bit scanners give: on their full scale they span 16 of 255
 * grey levels. Black alone is not meant. */
bool hl_volume_is_narrow(const struct hl_volume *volume);
double hl_volume_get(const struct hl_volume *volume, int32_t x, int32_t y, int32_t z, int32_t channel);
#endif
