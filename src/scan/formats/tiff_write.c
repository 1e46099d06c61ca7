/* TIFF out: any type, deflate with a predictor, one page a slice. */
#include <string.h>
#include <tiffio.h>

#include "base/file.h"
#include "scan/format.h"
#include "scan/formats/tiff_memory.h"

static bool set_tags(TIFF *tiff, const struct hl_volume *volume, int32_t z)
{
	bool real = volume->type == HL_VOXEL_F32;
	int format = real ? SAMPLEFORMAT_IEEEFP : volume->type == HL_VOXEL_I16 ? SAMPLEFORMAT_INT : SAMPLEFORMAT_UINT;
	bool done =
	    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, (uint32_t)volume->width) &&
	    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, (uint32_t)volume->height) &&
	    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, (int)hl_voxel_size(volume->type) * 8) &&
	    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, volume->channels) &&
	    TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, format) &&
	    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, volume->channels == 1 ? PHOTOMETRIC_MINISBLACK : PHOTOMETRIC_RGB) &&
	    TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) &&
	    TIFFSetField(tiff, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT) &&
	    TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE) &&
	    TIFFSetField(tiff, TIFFTAG_PREDICTOR, real ? PREDICTOR_FLOATINGPOINT : PREDICTOR_HORIZONTAL) &&
	    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, TIFFDefaultStripSize(tiff, 0));

	if (done && volume->depth > 1)
		done = TIFFSetField(tiff, TIFFTAG_SUBFILETYPE, FILETYPE_PAGE) &&
		       TIFFSetField(tiff, TIFFTAG_PAGENUMBER, z, volume->depth);
	return done;
}

static bool write_page(TIFF *tiff, const struct hl_volume *volume, int32_t z)
{
	size_t row = (size_t)volume->width * (size_t)volume->channels * hl_voxel_size(volume->type);
	char *slice = (char *)volume->voxels + (size_t)z * (size_t)volume->height * row;
	uint32_t rows, strips;

	if (!set_tags(tiff, volume, z) || !TIFFGetField(tiff, TIFFTAG_ROWSPERSTRIP, &rows))
		return false;
	strips = ((uint32_t)volume->height + rows - 1) / rows;
	for (uint32_t i = 0; i < strips; i++) {
		uint32_t first = i * rows;
		uint32_t count = (uint32_t)volume->height - first < rows ? (uint32_t)volume->height - first : rows;
		/* The predictor works on a copy of a strip: the voxels stay as they are. */
		if (TIFFWriteEncodedStrip(tiff, i, slice + first * row, (tmsize_t)(count * row)) < 0)
			return false;
	}
	return TIFFWriteDirectory(tiff) != 0;
}

enum hilum_status hl_tiff_write(const char *path, const struct hl_volume *volume, struct hilum_error *error)
{
	struct hl_tiff_memory memory = {0};
	enum hilum_status status = HILUM_OK;
	bool done = true;
	TIFF *tiff;

	if (hl_voxel_size(volume->type) > 1 && volume->channels > 1 && volume->type != HL_VOXEL_U16)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "%s: colour is of 8 or 16 bits, unsigned", path);
	hl_buffer_init(&memory.buffer, (size_t)HL_VOLUME_BYTES_MAX * 2);
	/* Little-endian everywhere: the same volume, the same bytes. */
	tiff = hl_tiff_open(&memory, "wl", error);
	if (!tiff) {
		status = hl_prefix(error, HILUM_ERROR_INTERNAL, "%s", path);
		goto out;
	}
	for (int32_t z = 0; z < volume->depth && done; z++)
		done = write_page(tiff, volume, z);
	TIFFClose(tiff);
	if (!done || memory.log.first[0]) {
		status = hl_fail(error, HILUM_ERROR_INTERNAL, "%s: %s", path,
		                 hl_tiff_reason(&memory.log, "no memory for the encoder"));
		goto out;
	}
	status = hl_file_write(path, &(struct hl_part){memory.buffer.data, memory.buffer.length}, 1, error);
out:
	hl_buffer_free(&memory.buffer);
	return status;
}
