/* JPEG (ITU-T T.81) by libjpeg-turbo: 8 bits, grey or colour, baseline or progressive. */
#include <string.h>
#include <turbojpeg.h>

#include "scan/format.h"

/* A progressive file of a few kilobytes can ask for hundreds of passes over a huge picture: what a file may cost is
 * bounded before it is decoded. Encoders make about ten scans. */
#define SCANS_MAX 100
#define SCANNED_SAMPLES_MAX (INT64_C(2) << 30)

struct header {
	int width, height, components, precision, frame; /* frame: the SOF marker's number, -1 until one is seen */
	int64_t scans;
};

static bool detect(const uint8_t *bytes, size_t length)
{
	return length >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

static bool is_frame(uint8_t marker)
{
	return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

/* Walks the markers (T.81 annex B), through to the end so that scans are counted. Leaves alone what is damaged: the
 * decoder reports that. */
static struct header read_header(const uint8_t *bytes, size_t length)
{
	struct header header = {.frame = -1};
	size_t at = 2;

	while (at + 4 <= length) {
		const uint8_t *found = memchr(bytes + at, 0xff, length - at - 3);
		size_t size;
		uint8_t marker;
		if (!found)
			break;
		at = (size_t)(found - bytes);
		marker = bytes[at + 1];
		if (marker == 0xff) {
			at++;
			continue;
		}
		at += 2;
		/* Stuffed zeros, restarts and other markers that stand alone. */
		if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8))
			continue;
		if (marker == 0xd9)
			break;
		size = (size_t)bytes[at] << 8 | bytes[at + 1];
		if (is_frame(marker) && header.frame < 0 && length - at >= 8) {
			header.frame = marker - 0xc0;
			header.precision = bytes[at + 2];
			header.height = bytes[at + 3] << 8 | bytes[at + 4];
			header.width = bytes[at + 5] << 8 | bytes[at + 6];
			header.components = bytes[at + 7];
		}
		if (marker == 0xda)
			header.scans++;
		at += size < length - at ? size : length - at;
	}
	return header;
}

static enum hilum_status check_header(const struct header *header, struct hilum_error *error)
{
	if (header->frame < 0 || header->width == 0 || header->height == 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: no frame header with a size");
	if (header->frame > 2)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "lossless, hierarchical or arithmetic coding (SOF%d)",
		               header->frame);
	if (header->precision != 8)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "%d bits a sample, not 8", header->precision);
	if (header->components != 1 && header->components != 3)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "%d components (CMYK, perhaps): neither grey nor colour",
		               header->components);
	if (header->width > HL_VOLUME_SIDE_MAX || header->height > HL_VOLUME_SIDE_MAX ||
	    (int64_t)header->width * header->height > HL_VOLUME_PIXELS_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%d x %d pixels: more than %d a side or %lld a picture",
		               header->width, header->height, HL_VOLUME_SIDE_MAX, (long long)HL_VOLUME_PIXELS_MAX);
	if (header->scans > SCANS_MAX ||
	    header->scans * header->width * header->height * header->components > SCANNED_SAMPLES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%lld scans over %d x %d pixels", (long long)header->scans,
		               header->width, header->height);
	return HILUM_OK;
}

/* Any warning ends it: what follows damage in a JPEG is grey or garbage, and half a picture is no picture. */
static enum hilum_status decode(const uint8_t *bytes, size_t length, struct hl_volume *out, struct hilum_error *error)
{
	struct header header = read_header(bytes, length);
	enum hilum_status status = check_header(&header, error);
	int width, height, subsampling, space;
	struct hl_volume volume = {0};
	tjhandle handle;

	if (status)
		return status;
	handle = tjInitDecompress();
	if (!handle)
		return hl_fail(error, HILUM_ERROR_MEMORY, "no memory for the decoder");
	if (tjDecompressHeader3(handle, bytes, length, &width, &height, &subsampling, &space)) {
		status = hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %s", tjGetErrorStr2(handle));
		goto out;
	}
	if (width != header.width || height != header.height || space == TJCS_CMYK || space == TJCS_YCCK) {
		status = hl_fail(error, HILUM_ERROR_FORMAT, "damaged: two headers that disagree");
		goto out;
	}
	status = hl_volume_init(&volume, width, height, 1, space == TJCS_GRAY ? 1 : 3, HL_VOXEL_U8, error);
	if (status)
		goto out;
	if (tjDecompress2(handle, bytes, length, volume.voxels, width, 0, height,
	                  space == TJCS_GRAY ? TJPF_GRAY : TJPF_RGB, TJFLAG_LIMITSCANS | TJFLAG_STOPONWARNING)) {
		status = hl_fail(error, HILUM_ERROR_FORMAT, "damaged: %s", tjGetErrorStr2(handle));
		goto out;
	}
	*out = volume;
	volume = (struct hl_volume){0};
out:
	hl_volume_free(&volume);
	tjDestroy(handle);
	return status;
}

enum hilum_status hl_jpeg_pass(uint8_t *pixels, int32_t width, int32_t height, int32_t quality,
                               struct hilum_error *error)
{
	unsigned char *bytes = NULL;
	unsigned long length = 0;
	tjhandle packer = tjInitCompress(), unpacker = tjInitDecompress();
	bool done = packer && unpacker &&
	            !tjCompress2(packer, pixels, width, 0, height, TJPF_GRAY, &bytes, &length, TJSAMP_GRAY, quality,
	                         TJFLAG_ACCURATEDCT) &&
	            !tjDecompress2(unpacker, bytes, length, pixels, width, 0, height, TJPF_GRAY, TJFLAG_ACCURATEDCT);
	tjFree(bytes);
	if (packer)
		tjDestroy(packer);
	if (unpacker)
		tjDestroy(unpacker);
	return done ? HILUM_OK : hl_fail(error, HILUM_ERROR_MEMORY, "no memory for a JPEG");
}

const struct hl_format hl_format_jpeg = {
    .name = "JPEG",
    .extensions = "jpg jpeg jpe",
    .detect = detect,
    .decode = decode,
};
