/* File formats: each is one constant table at the foot of its file in formats/, plus one line in format.c. */
#ifndef HL_SCAN_FORMAT_H
#define HL_SCAN_FORMAT_H
#include "scan/volume.h"

#define HL_COMPANION_MAX 256 /* bytes of a file's name */

struct hl_format {
	const char *name;
	const char *extensions; /* "jpg jpeg": for finding candidates in folders; what a file is, its bytes tell */
	bool (*detect)(const uint8_t *bytes, size_t length);
	/* Decodes a whole file from memory. Must not crash, hang or take memory beyond the limits of volume.h on any
	 * bytes; must return an error or a volume. */
	enum hilum_status (*decode)(const uint8_t *bytes, size_t length, struct hl_volume *out,
	                            struct hilum_error *error);
	/* For formats whose voxels may be in a second file beside the first; NULL for the others. The first tells its
	 * name, "" where there is none: always one of the same folder. The second decodes both. */
	enum hilum_status (*companion)(const uint8_t *bytes, size_t length, char name[HL_COMPANION_MAX],
	                               struct hilum_error *error);
	enum hilum_status (*decode_both)(const uint8_t *bytes, size_t length, const uint8_t *voxels,
	                                 size_t voxels_length, struct hl_volume *out, struct hilum_error *error);
};

extern const struct hl_format hl_format_jpeg, hl_format_png, hl_format_tiff, hl_format_nifti, hl_format_metaimage,
    hl_format_dicom;

extern const struct hl_format *const hl_formats[]; /* NULL-terminated */

#define HL_FILE_BYTES_MAX ((size_t)1 << 30)

/* Reads, detects, decodes. Errors name the path. Catches drivers that fail without an error or succeed with one. */
enum hilum_status hl_scan_open(const char *path, struct hl_volume *out, struct hilum_error *error);
enum hilum_status hl_scan_decode(const uint8_t *bytes, size_t length, struct hl_volume *out, struct hilum_error *error);
/* For two files in memory: the name of the second, "" for formats of one file; and both decoded (voxels NULL: none). */
enum hilum_status hl_scan_companion(const uint8_t *bytes, size_t length, char name[HL_COMPANION_MAX],
                                    struct hilum_error *error);
enum hilum_status hl_scan_decode_both(const uint8_t *bytes, size_t length, const uint8_t *voxels, size_t voxels_length,
                                      struct hl_volume *out, struct hilum_error *error);
/* Whether a file's first bytes are those of a format. */
bool hl_scan_is_known(const uint8_t *bytes, size_t length);
/* Whether a file's name ends in an extension that some format claims (case-insensitive). */
bool hl_scan_has_extension(const char *path);

/* Writers, through base/file.h's write-and-rename. PNG: U8 or U16, 1 or 3 channels; TIFF: any type, deflate. NIfTI and
 * MetaImage: grey, any type, with its place in the patient; NIfTI is packed when the path ends in .gz, MetaImage when
 * asked. A .mhd gets a second file beside it, .raw or .zraw, which is written first. */
struct hl_buffer;
/* A PNG in memory; the caller frees out with hl_buffer_free. */
enum hilum_status hl_png_encode(const struct hl_volume *volume, struct hl_buffer *out, struct hilum_error *error);
enum hilum_status hl_png_write(const char *path, const struct hl_volume *volume, struct hilum_error *error);
/* What grey pixels are after a JPEG of that quality (1 to 100), in place. */
enum hilum_status hl_jpeg_pass(uint8_t *pixels, int32_t width, int32_t height, int32_t quality,
                               struct hilum_error *error);
enum hilum_status hl_tiff_write(const char *path, const struct hl_volume *volume, struct hilum_error *error);
enum hilum_status hl_nifti_write(const char *path, const struct hl_volume *volume, struct hilum_error *error);
enum hilum_status hl_metaimage_write(const char *path, const struct hl_volume *volume, bool packed,
                                     struct hilum_error *error);
#endif
