/* Synthetic axial chest slices in Hounsfield units. */
#ifndef HL_SCAN_PHANTOM_H
#define HL_SCAN_PHANTOM_H
#include "scan/volume.h"

enum hl_margin { HL_MARGIN_SMOOTH, HL_MARGIN_LOBULATED, HL_MARGIN_SPICULATED };

enum hl_density { HL_DENSITY_SOLID, HL_DENSITY_PART_SOLID, HL_DENSITY_GROUND_GLASS };

struct hl_lesion {
	double x, y, diameter; /* pixels */
	double diameter_mm;
	double hounsfield; /* of its body: solid about 30, part-solid and ground glass lower */
	enum hl_margin margin;
	enum hl_density density;
	bool left; /* side of the patient: image right in the radiological convention */
};

struct hl_phantom {
	struct hl_volume volume; /* I16, Hounsfield units, spacing set */
	bool has_lesion;
	struct hl_lesion lesion;
};

/* Added to an index: the slice a few millimetres away in the same patient, with the same lesion. */
#define HL_PHANTOM_NEIGHBOUR UINT32_C(0x80000000)

#define HL_PHANTOM_SIZE_MIN 32
#define HL_PHANTOM_SIZE_MAX 1024

/* Draws one case: a pure function of its arguments. Every index is a patient of its own; with and without the lesion,
 * the same index differs in nothing else. Free volume with hl_volume_free. */
enum hilum_status hl_phantom_draw(uint64_t seed, uint32_t index, int32_t size, bool with_lesion, struct hl_phantom *out,
                                  struct hilum_error *error);

#define HL_PHANTOM_SLICES_MAX 1024

/* A lesion in space: x, y, z in voxels of the volume. */
struct hl_phantom_volume {
	struct hl_volume volume; /* I16, Hounsfield units, oriented, the lowest slice first */
	bool has_lesion;
	struct hl_lesion lesion;
	double z, height_mm; /* of the lesion: the slice of its middle, and its size along z */
};

/* Draws a whole chest: slices of size x size pixels, spacing mm apart. Anatomy goes on smoothly from slice to slice.
 * Otherwise as hl_phantom_draw. */
enum hilum_status hl_phantom_draw_volume(uint64_t seed, uint32_t index, int32_t size, int32_t slices, double spacing,
                                         bool with_lesion, struct hl_phantom_volume *out, struct hilum_error *error);
#endif
