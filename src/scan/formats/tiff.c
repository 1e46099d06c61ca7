/* TIFF (revision 6.0) by libtiff: grey, colour and palette pictures, and the slices in Hounsfield units that research
 * software writes (signed 16-bit, 32-bit float). Several pages that agree are a stack. */
#include <inttypes.h>
#include <string.h>
#include <tiffio.h>

#include "base/memory.h"
#include "scan/format.h"
#include "scan/formats/tiff_memory.h"

/* What decoding may allocate at once beside the volume, with the volume, and produce over all pages: padding and
 * repeated strips count too. */
#define BLOCK_BYTES_MAX (INT64_C(256) << 20)
#define MEMORY_MAX (INT64_C(640) << 20)
#define DECODED_BYTES_MAX HL_VOLUME_BYTES_MAX

struct page {
	int32_t width, height; /* as stored, before the orientation is applied */
	uint16_t bits, samples, format, photometric, planar, orientation, compression;
	bool tiled, invert;
	int alpha;                  /* index of the sample to multiply with, or -1 */
	int32_t channels;           /* as kept */
	enum hl_voxel type;         /* as kept */
	const uint16_t *palette[3]; /* libtiff's, while the page is current */
	unsigned palette_shift;
	int64_t block_width, block_height, block_bytes, across, down; /* strips are tiles as wide as the picture */
};

static bool detect(const uint8_t *bytes, size_t length)
{
	if (length < 8)
		return false;
	return memcmp(bytes, "II*\0", 4) == 0 || memcmp(bytes, "MM\0*", 4) == 0 || memcmp(bytes, "II+\0", 4) == 0 ||
	       memcmp(bytes, "MM\0+", 4) == 0;
}

static bool is_codec_known(uint16_t compression)
{
	switch (compression) {
	case COMPRESSION_NONE:
	case COMPRESSION_LZW:
	case COMPRESSION_PACKBITS:
	case COMPRESSION_DEFLATE:
	case COMPRESSION_ADOBE_DEFLATE:
	case COMPRESSION_JPEG:
		return true;
	default:
		return false;
	}
}

/* The type and unit that the samples are kept in. */
static enum hilum_status choose_type(struct page *page, struct hilum_error *error)
{
	bool grey = page->photometric == PHOTOMETRIC_MINISBLACK && page->samples == 1;

	if (page->format == SAMPLEFORMAT_VOID)
		page->format = SAMPLEFORMAT_UINT;
	if (page->format == SAMPLEFORMAT_UINT && page->bits == 8)
		page->type = HL_VOXEL_U8;
	else if (page->format == SAMPLEFORMAT_UINT && page->bits == 16)
		page->type = HL_VOXEL_U16;
	else if (page->format == SAMPLEFORMAT_INT && page->bits == 16 && grey)
		page->type = HL_VOXEL_I16;
	else if (page->format == SAMPLEFORMAT_IEEEFP && page->bits == 32 && grey)
		page->type = HL_VOXEL_F32;
	else
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED,
		               "%d samples of %d bits, sample format %d, photometric %d", page->samples, page->bits,
		               page->format, page->photometric);
	return HILUM_OK;
}

static enum hilum_status read_palette(TIFF *tiff, struct page *page, struct hilum_error *error)
{
	uint16_t *red, *green, *blue;

	if (page->bits != 8 || page->samples != 1)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "a palette of %d bits", page->bits);
	if (!TIFFGetField(tiff, TIFFTAG_COLORMAP, &red, &green, &blue))
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: a palette picture without a palette");
	page->palette[0] = red;
	page->palette[1] = green;
	page->palette[2] = blue;
	/* Entries are of 16 bits; some writers put 8-bit values there. */
	for (size_t i = 0; i < 256; i++)
		if (red[i] > 255 || green[i] > 255 || blue[i] > 255)
			page->palette_shift = 8;
	return HILUM_OK;
}

static enum hilum_status choose_colours(TIFF *tiff, struct page *page, struct hilum_error *error)
{
	uint16_t extra_count = 0, *extra = NULL;
	uint16_t colours = 1;

	switch (page->photometric) {
	case PHOTOMETRIC_MINISWHITE:
		page->invert = true;
		break;
	case PHOTOMETRIC_MINISBLACK:
		break;
	case PHOTOMETRIC_PALETTE:
		page->channels = 3;
		return read_palette(tiff, page, error);
	case PHOTOMETRIC_YCBCR:
		if (page->compression != COMPRESSION_JPEG || page->planar != PLANARCONFIG_CONTIG)
			return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "YCbCr outside JPEG compression");
		TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
		colours = 3;
		break;
	case PHOTOMETRIC_RGB:
		colours = 3;
		break;
	default:
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "photometric interpretation %d", page->photometric);
	}
	if (page->samples < colours || page->samples > colours + 2)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "%d samples a pixel", page->samples);
	page->channels = colours;
	TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &extra_count, &extra);
	for (int i = 0; i < extra_count && colours + i < page->samples; i++)
		if (extra[i] == EXTRASAMPLE_UNASSALPHA)
			page->alpha = colours + i;
	return HILUM_OK;
}

/* The blocks that the page is stored in, and what they may cost. */
static enum hilum_status measure_blocks(TIFF *tiff, struct page *page, struct hilum_error *error)
{
	int64_t samples = page->planar == PLANARCONFIG_SEPARATE ? 1 : page->samples;
	uint32_t width = (uint32_t)page->width, height = (uint32_t)page->height;

	if (page->tiled) {
		if (!TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &width) ||
		    !TIFFGetField(tiff, TIFFTAG_TILELENGTH, &height) || width == 0 || height == 0 || width % 16 ||
		    height % 16)
			return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: tiles of a wrong size");
	} else {
		TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &height);
		if (height == 0)
			return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: strips without rows");
		if (height > (uint32_t)page->height)
			height = (uint32_t)page->height;
	}
	if (width > HL_VOLUME_SIDE_MAX || height > HL_VOLUME_SIDE_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "tiles of %" PRIu32 " x %" PRIu32 " pixels", width, height);
	page->block_width = width;
	page->block_height = height;
	page->across = (page->width + page->block_width - 1) / page->block_width;
	page->down = (page->height + page->block_height - 1) / page->block_height;
	page->block_bytes = page->block_width * page->block_height * samples * (page->bits / 8);
	if (page->block_bytes > BLOCK_BYTES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "a strip or tile of %" PRId64 " bytes", page->block_bytes);
	/* Whatever this file does not know about the layout (subsampling, say) shows here. */
	if ((page->tiled ? TIFFTileSize64(tiff) : TIFFStripSize64(tiff)) != (uint64_t)page->block_bytes)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "an unusual layout of samples");
	return HILUM_OK;
}

static enum hilum_status read_page(TIFF *tiff, struct page *page, struct hilum_error *error)
{
	uint32_t width = 0, height = 0;
	enum hilum_status status;

	*page = (struct page){.alpha = -1, .channels = 1};
	TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
	TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
	if (width == 0 || height == 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: a page without a size");
	if (width > HL_VOLUME_SIDE_MAX || height > HL_VOLUME_SIDE_MAX || (int64_t)width * height > HL_VOLUME_PIXELS_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT,
		               "%" PRIu32 " x %" PRIu32 " pixels: more than %d a side or %lld a page", width, height,
		               HL_VOLUME_SIDE_MAX, (long long)HL_VOLUME_PIXELS_MAX);
	page->width = (int32_t)width;
	page->height = (int32_t)height;
	TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &page->bits);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &page->samples);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &page->format);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &page->planar);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_ORIENTATION, &page->orientation);
	TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &page->compression);
	if (!TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &page->photometric))
		page->photometric = page->samples >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
	if (page->orientation < 1 || page->orientation > 8)
		page->orientation = ORIENTATION_TOPLEFT;
	if (page->samples <= 1)
		page->planar = PLANARCONFIG_CONTIG;
	page->tiled = TIFFIsTiled(tiff) != 0;
	if (!is_codec_known(page->compression))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "compression %d", page->compression);
	status = choose_type(page, error);
	if (!status)
		status = choose_colours(tiff, page, error);
	if (!status)
		status = measure_blocks(tiff, page, error);
	return status;
}

/* A place in the volume for every stored pixel: (x, y) goes to origin + x * step_x + y * step_y, in pixels. */
struct target {
	char *voxels;
	int64_t origin, step_x, step_y;
	size_t size; /* of a voxel */
	int32_t channels;
};

/* TIFF 6.0, section 8, Orientation: where row 0 and column 0 lie. */
static struct target aim(const struct page *page, const struct hl_volume *volume, int32_t z)
{
	int64_t last_x = page->width - 1, last_y = page->height - 1, width = volume->width;
	struct target target = {.size = hl_voxel_size(page->type), .channels = page->channels};
	bool turned = page->orientation >= ORIENTATION_LEFTTOP;
	bool x_back = false, y_back = false;

	switch (page->orientation) {
	case ORIENTATION_TOPRIGHT:
	case ORIENTATION_LEFTBOT:
		x_back = true;
		break;
	case ORIENTATION_BOTRIGHT:
	case ORIENTATION_RIGHTBOT:
		x_back = y_back = true;
		break;
	case ORIENTATION_BOTLEFT:
	case ORIENTATION_RIGHTTOP:
		y_back = true;
		break;
	default:
		break;
	}
	target.step_x = turned ? width : 1;
	target.step_y = turned ? 1 : width;
	if (x_back) {
		target.origin += last_x * target.step_x;
		target.step_x = -target.step_x;
	}
	if (y_back) {
		target.origin += last_y * target.step_y;
		target.step_y = -target.step_y;
	}
	target.voxels = (char *)volume->voxels + (size_t)z * (size_t)volume->width * (size_t)volume->height *
	                                             (size_t)page->channels * target.size;
	return target;
}

/* Puts count values of one sample, from a row of a block, where they belong. step: bytes from pixel to pixel. */
static void place_u8(const struct page *page, const uint8_t *from, size_t step, uint8_t *to, ptrdiff_t to_step,
                     size_t count, int sample)
{
	for (size_t i = 0; i < count; i++, from += step, to += to_step) {
		if (page->palette[0])
			for (int c = 0; c < 3; c++)
				to[c] = (uint8_t)(page->palette[c][*from] >> page->palette_shift);
		else if (sample == page->alpha)
			for (int32_t c = 0; c < page->channels; c++)
				to[c] = (uint8_t)(((unsigned)to[c] * *from + 127) / 255);
		else
			to[sample] = page->invert ? (uint8_t)(255 - *from) : *from;
	}
}

static void place_u16(const struct page *page, const uint8_t *from, size_t step, uint16_t *to, ptrdiff_t to_step,
                      size_t count, int sample)
{
	for (size_t i = 0; i < count; i++, from += step, to += to_step) {
		uint16_t value;
		memcpy(&value, from, sizeof(value));
		if (sample == page->alpha)
			for (int32_t c = 0; c < page->channels; c++)
				to[c] = (uint16_t)(((uint32_t)to[c] * value + 32767) / 65535);
		else
			to[sample] = page->invert ? (uint16_t)(65535 - value) : value;
	}
}

static void place_f32(const uint8_t *from, float *to, ptrdiff_t to_step, size_t count)
{
	for (size_t i = 0; i < count; i++, from += sizeof(float), to += to_step)
		memcpy(to, from, sizeof(float));
}

static void place_row(const struct page *page, const struct target *target, const uint8_t *from, int64_t x, int64_t y,
                      size_t count, int plane)
{
	char *to = target->voxels + (target->origin + x * target->step_x + y * target->step_y) * target->channels *
	                                (int64_t)target->size;
	ptrdiff_t to_step = (ptrdiff_t)(target->step_x * target->channels);
	bool separate = page->planar == PLANARCONFIG_SEPARATE;
	size_t step = (separate ? 1 : page->samples) * target->size;

	if (!separate && page->samples == page->channels && target->step_x == 1 && !page->invert) {
		memcpy(to, from, count * step);
		return;
	}
	for (int sample = separate ? plane : 0; sample < (separate ? plane + 1 : page->samples); sample++) {
		/* Extra samples that are not alpha say nothing about the picture. */
		if (sample >= page->channels && sample != page->alpha)
			continue;
		const uint8_t *start = from + (separate ? 0 : (size_t)sample * target->size);
		if (page->type == HL_VOXEL_U8)
			place_u8(page, start, step, (uint8_t *)to, to_step, count, sample);
		else if (page->type == HL_VOXEL_F32)
			place_f32(start, (float *)(void *)to, to_step, count);
		else
			place_u16(page, start, step, (uint16_t *)(void *)to, to_step, count, sample);
	}
}

/* Strips that lie on top of each other would let a small file cost hours. */
static enum hilum_status check_stored(TIFF *tiff, const struct page *page, uint64_t file, struct hilum_error *error)
{
	int64_t blocks = page->across * page->down * (page->planar == PLANARCONFIG_SEPARATE ? page->samples : 1);
	uint64_t sum = 0;

	for (int64_t i = 0; i < blocks; i++) {
		uint64_t bytes = TIFFGetStrileByteCount(tiff, (uint32_t)i);
		sum += bytes < file ? bytes : file;
		if (sum > 2 * file)
			return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: strips or tiles that lie on each other");
	}
	return HILUM_OK;
}

static enum hilum_status read_block(TIFF *tiff, const struct page *page, const struct target *target, uint8_t *block,
                                    int64_t index, struct hl_tiff_log *log, struct hilum_error *error)
{
	int64_t per_plane = page->across * page->down;
	int plane = (int)(index / per_plane);
	int64_t x = index % per_plane % page->across * page->block_width;
	int64_t y = index % per_plane / page->across * page->block_height;
	int64_t rows = page->height - y < page->block_height ? page->height - y : page->block_height;
	int64_t columns = page->width - x < page->block_width ? page->width - x : page->block_width;
	int64_t row_bytes = page->block_bytes / page->block_height;
	int64_t wanted = page->tiled ? page->block_bytes : rows * row_bytes;
	tmsize_t got;

	if (page->planar == PLANARCONFIG_SEPARATE && plane >= page->channels && plane != page->alpha)
		return HILUM_OK;
	if (page->tiled)
		got = TIFFReadEncodedTile(tiff, (uint32_t)index, block, wanted);
	else
		got = TIFFReadEncodedStrip(tiff, (uint32_t)index, block, wanted);
	/* libtiff passes what libjpeg says about damage on as a warning and goes on in grey. */
	if (got != wanted || (page->compression == COMPRESSION_JPEG && log->warnings > 0))
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %s", hl_tiff_reason(log, "data cut short"));
	for (int64_t row = 0; row < rows; row++)
		place_row(page, target, block + row * row_bytes, x, y + row, (size_t)columns, plane);
	return HILUM_OK;
}

static enum hilum_status decode_page(TIFF *tiff, const struct page *page, struct hl_volume *volume, int32_t z,
                                     size_t length, struct hl_tiff_log *log, struct hilum_error *error)
{
	int64_t blocks = page->across * page->down * (page->planar == PLANARCONFIG_SEPARATE ? page->samples : 1);
	struct target target = aim(page, volume, z);
	enum hilum_status status = check_stored(tiff, page, length, error);
	uint8_t *block;

	if (status)
		return status;
	block = hl_alloc((size_t)page->block_bytes, 1);
	if (!block)
		return hl_fail_memory(error, (size_t)page->block_bytes, "a strip or tile");
	log->warnings = 0;
	for (int64_t i = 0; i < blocks && !status; i++)
		status = read_block(tiff, page, &target, block, i, log, error);
	hl_free(block);
	return status;
}

/* Pages of reduced resolution are thumbnails of another page. */
static bool is_thumbnail(TIFF *tiff)
{
	uint32_t kind = 0;

	return TIFFGetField(tiff, TIFFTAG_SUBFILETYPE, &kind) && (kind & FILETYPE_REDUCEDIMAGE);
}

/* Goes to the next page that is not a thumbnail; *more says whether there is one. */
static enum hilum_status next_page(TIFF *tiff, struct hl_tiff_log *log, bool *more, struct hilum_error *error)
{
	int passed = 0;

	do {
		*more = !TIFFLastDirectory(tiff);
		if (!*more)
			return HILUM_OK;
		if (!TIFFReadDirectory(tiff))
			return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %s",
			               hl_tiff_reason(log, "a page list that breaks off"));
		if (++passed > HL_VOLUME_SIDE_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "more than %d pages", HL_VOLUME_SIDE_MAX);
	} while (is_thumbnail(tiff));
	return HILUM_OK;
}

static void oriented_size(const struct page *page, int32_t *width, int32_t *height)
{
	bool turned = page->orientation >= ORIENTATION_LEFTTOP;

	*width = turned ? page->height : page->width;
	*height = turned ? page->width : page->height;
}

/* Reads every page's header: the stack's depth, and that the pages agree and cost no more than is allowed. */
static enum hilum_status survey(TIFF *tiff, struct page *first, int32_t *depth, struct hl_tiff_log *log,
                                struct hilum_error *error)
{
	int64_t decoded = 0, block = 0;
	struct page page;
	bool more = true;

	for (*depth = 0; more; ++*depth) {
		int32_t width, height, first_width, first_height;
		enum hilum_status status = read_page(tiff, &page, error);
		if (status)
			return *depth ? hl_prefix(error, status, "page %d", *depth + 1) : status;
		if (*depth == 0)
			*first = page;
		oriented_size(&page, &width, &height);
		oriented_size(first, &first_width, &first_height);
		if (width != first_width || height != first_height || page.type != first->type ||
		    page.channels != first->channels)
			return hl_fail(error, HILUM_ERROR_UNSUPPORTED,
			               "page %d is not of the first one's size and type: not a stack", *depth + 1);
		if (*depth == HL_VOLUME_SIDE_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "more than %d pages", HL_VOLUME_SIDE_MAX);
		decoded += page.block_bytes * page.across * page.down *
		           (page.planar == PLANARCONFIG_SEPARATE ? page.samples : 1);
		if (page.block_bytes > block)
			block = page.block_bytes;
		if (decoded > DECODED_BYTES_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "strips and tiles of more than %lld bytes",
			               (long long)DECODED_BYTES_MAX);
		if (decoded + block > MEMORY_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "a strip or tile of %" PRId64 " bytes", block);
		status = next_page(tiff, log, &more, error);
		if (status)
			return status;
	}
	return HILUM_OK;
}

static enum hilum_status decode(const uint8_t *bytes, size_t length, struct hl_volume *out, struct hilum_error *error)
{
	struct hl_tiff_memory memory = {.bytes = bytes, .length = length};
	struct hl_volume volume = {0};
	enum hilum_status status;
	int32_t depth, width, height;
	struct page page;
	bool more;
	TIFF *tiff = hl_tiff_open(&memory, "rD", error);

	if (!tiff)
		return error ? error->code : HILUM_ERROR_FORMAT;
	status = survey(tiff, &page, &depth, &memory.log, error);
	if (status)
		goto out;
	oriented_size(&page, &width, &height);
	status = hl_volume_init(&volume, width, height, depth, page.channels, page.type, error);
	if (status)
		goto out;
	if (TIFFCurrentDirectory(tiff) != 0 && !TIFFSetDirectory(tiff, 0)) {
		status = hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %s", hl_tiff_reason(&memory.log, "page 1"));
		goto out;
	}
	for (int32_t z = 0; z < depth && !status; z++) {
		if (z > 0)
			status = next_page(tiff, &memory.log, &more, error);
		/* Read again: the palette of an earlier page is gone. */
		if (!status)
			status = read_page(tiff, &page, error);
		if (!status)
			status = decode_page(tiff, &page, &volume, z, length, &memory.log, error);
	}
	/* libtiff carries on after some errors (missing byte counts are guessed); a guess is not the picture. */
	if (!status && memory.log.first[0])
		status = hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %s", memory.log.first);
	if (status)
		goto out;
	*out = volume;
	volume = (struct hl_volume){0};
out:
	hl_volume_free(&volume);
	TIFFClose(tiff);
	return status;
}

const struct hl_format hl_format_tiff = {
    .name = "TIFF",
    .extensions = "tif tiff",
    .detect = detect,
    .decode = decode,
};
