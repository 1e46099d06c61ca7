/* Resampling with antialiasing: of one slice to a number of pixels, and of a volume to voxels of a size in millimetres.
 */
#ifndef HL_SCAN_RESAMPLE_H
#define HL_SCAN_RESAMPLE_H
#include "scan/volume.h"

/* A triangle (bilinear) filter whose support grows with the reduction, the same numbers as PIL's
 * Image.resize(BILINEAR) in float mode. in: in_height * in_width * channels floats; out likewise. */
enum hilum_status hl_resize(const float *in, int32_t in_width, int32_t in_height, int32_t channels, float *out,
                            int32_t out_width, int32_t out_height, struct hilum_error *error);

/* A volume with voxels of spacing mm along x, y and z, by the same filter along each axis: the field of view begins
 * where it did and has as many voxels as come nearest to its size. One channel. type: that of the result, of the
 * volume's unit; whole numbers are rounded to the nearest, halves to even. The volume's own spacing counts to a
 * millionth of a millimetre, so that formats which keep it with 32 bits give the same voxels, to the last bit and on
 * any number of threads (0: as many as there are cores). HILUM_ERROR_UNSUPPORTED where the spacing is not known. */
enum hilum_status hl_volume_resample(const struct hl_volume *volume, const double spacing[3], enum hl_voxel type,
                                     int32_t threads, struct hl_volume *out, struct hilum_error *error);

/* The block of size voxels from first on, which may reach beyond the volume: there it is air, -1000 HU, or black. */
enum hilum_status hl_volume_crop(const struct hl_volume *volume, const int32_t first[3], const int32_t size[3],
                                 struct hl_volume *out, struct hilum_error *error);
#endif
