/* Which slices of a chest are worth looking at. */
#ifndef HL_DATA_LUNG_SLICES_H
#define HL_DATA_LUNG_SLICES_H
#include "scan/volume.h"

/* Slices that show lung, in order, each with at least a twentieth of what the slice with the most lung has: less is the
 * tip of a lung, or a mistake. All slices where the scan is no chest or no lungs can be looked for. At least one; *out:
 * hl_free. threads: as hl_lungs_find. */
enum hilum_status hl_lung_slices(const struct hl_volume *volume, int32_t threads, int32_t **out, int32_t *count,
                                 struct hilum_error *error);
#endif
