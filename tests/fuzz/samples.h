/* Sound files of every kind that hilum reads, made in memory together with the voxels they hold, and hostile ones:
 * for the tests of the readers and as seeds for mutation and fuzzing. */
#ifndef HILUM_TESTS_SAMPLES_H
#define HILUM_TESTS_SAMPLES_H
#include "base/buffer.h"
#include "scan/volume.h"

enum sample_kind {
	SAMPLE_JPEG,
	SAMPLE_PNG,
	SAMPLE_TIFF,
	SAMPLE_CSV,
	SAMPLE_NIFTI,
	SAMPLE_METAIMAGE,
	SAMPLE_DICOM,
	SAMPLE_ARCHIVE,
	SAMPLE_KIND_COUNT
};

struct sample {
	char name[48];
	enum sample_kind kind;
	uint8_t *bytes;
	size_t length;
	struct hl_volume expected; /* no voxels for a table or an archive */
	double tolerance;          /* per voxel; 0 but for JPEG */
};

#define SAMPLES_MAX 192

/* Makes all of them; returns how many, 0 when one could not be made (its name goes to stderr). */
size_t samples_make(struct sample *samples);
/* Those of NIfTI and MetaImage, added by samples_make. */
bool samples_make_volumes(struct sample *samples, size_t *count);
/* Those of DICOM. */
bool samples_make_dicom(struct sample *samples, size_t *count);
/* Archives, of the samples before them. */
bool samples_make_archives(struct sample *samples, size_t *count);
/* Sets one voxel, whatever the type. */
void sample_set(struct hl_volume *volume, int32_t x, int32_t y, int32_t z, int32_t c, double value);
void samples_free(struct sample *samples, size_t count);

/* Sets the checksums of a damaged PNG's chunks right, as far as chunks can be made out, so that damage gets past them.
 */
void sample_repair_png(uint8_t *bytes, size_t length);

/* A hostile file. refused: it must be; otherwise it is sound and only costs much. */
struct bomb {
	const char *name;
	enum sample_kind kind;
	bool (*make)(struct hl_buffer *out);
	bool refused;
};
/* before, then zeros, as one deflate stream, packed with little effort; window as deflateInit2 takes it. */
enum { BOMB_RAW = -15, BOMB_ZLIB = 15, BOMB_GZIP = 31 };
bool bomb_deflate(struct hl_buffer *out, const void *before, size_t length, size_t zeros, int window);
extern const struct bomb bombs[];
extern const size_t bomb_count;
extern const struct bomb volume_bombs[]; /* NIfTI, MetaImage, archives */
extern const size_t volume_bomb_count;
extern const struct bomb dicom_bombs[];
extern const size_t dicom_bomb_count;
#endif
