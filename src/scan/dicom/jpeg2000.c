/* JPEG 2000 and high-throughput JPEG 2000 (ISO/IEC 15444-1, -15) by OpenJPEG, as a bare code stream or in a JP2 box. */
#include <openjpeg.h>
#include <string.h>

#include "base/memory.h"
#include "scan/dicom/pixels.h"

/* One tile is what scanners write; a table of many costs kilobytes each before a bit is decoded. So do precincts and
 * code blocks (some hundred bytes each), and packets, which may be empty, cost time. */
enum { TILES_MAX = 4096, BLOCKS_MAX = 1 << 20, PACKETS_MAX = 1 << 22 };

struct source {
	const uint8_t *bytes;
	size_t length, at;
};

static OPJ_SIZE_T on_read(void *buffer, OPJ_SIZE_T count, void *context)
{
	struct source *source = context;
	size_t left = source->length - source->at;

	if (left == 0)
		return (OPJ_SIZE_T)-1;
	if (count > left)
		count = left;
	memcpy(buffer, source->bytes + source->at, count);
	source->at += count;
	return count;
}

static OPJ_OFF_T on_skip(OPJ_OFF_T count, void *context)
{
	struct source *source = context;
	size_t left = source->length - source->at;

	if (count < 0)
		return -1;
	if ((size_t)count > left)
		count = (OPJ_OFF_T)left;
	source->at += (size_t)count;
	return count;
}

static OPJ_BOOL on_seek(OPJ_OFF_T place, void *context)
{
	struct source *source = context;

	if (place < 0 || (size_t)place > source->length)
		return OPJ_FALSE;
	source->at = (size_t)place;
	return OPJ_TRUE;
}

struct words {
	char text[160];
	bool warned;
};

static void on_message(const char *text, void *context)
{
	struct words *words = context;
	size_t length = strcspn(text, "\r\n");

	if (words->text[0])
		return;
	length = length < sizeof(words->text) ? length : sizeof(words->text) - 1;
	memcpy(words->text, text, length);
	words->text[length] = '\0';
}

/* A warning of data that are not there is damage; others (of trailing bytes, of a lax encoder) are not. */
static void on_warning(const char *text, void *context)
{
	struct words *words = context;

	if (strstr(text, "truncated") || strstr(text, "Truncated") || strstr(text, "missing") ||
	    strstr(text, "Stream too short") || strstr(text, "not enough")) {
		words->warned = true;
		on_message(text, context);
	}
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* What a coding style (A.6.1, A.6.2) makes of the picture: at is behind its Scod. False where that is too much. */
static bool is_bearable(const uint8_t *at, size_t length, bool precincts, uint64_t layers,
                        const struct hl_dicom_plane *plane)
{
	uint64_t blocks = 0, packets = 0;
	int levels = length >= 5 ? at[0] : 33;

	if (levels > 32 || (precincts && length < 6 + (size_t)levels) || (at[1] & 15) > 8 || (at[2] & 15) > 8)
		return false;
	for (int i = 0; i <= levels; i++) {
		int down = levels - i, px = precincts ? at[5 + i] & 15 : 15, py = precincts ? at[5 + i] >> 4 : 15;
		/* Bands are half as large as their resolution, but for the lowest. */
		int bx = i > 0 ? px - 1 : px, by = i > 0 ? py - 1 : py, cx = (at[1] & 15) + 2, cy = (at[2] & 15) + 2;
		if (bx < 0 || by < 0)
			return false;
		cx = cx < bx ? cx : bx;
		cy = cy < by ? cy : by;
		uint64_t width = ((uint64_t)plane->width >> down) + 2, height = ((uint64_t)plane->height >> down) + 2;
		packets += ((width >> px) + 2) * ((height >> py) + 2);
		blocks += ((width >> cx) + 2) * ((height >> cy) + 2);
	}
	return blocks <= BLOCKS_MAX && packets <= BLOCKS_MAX && packets * layers <= PACKETS_MAX;
}

/* The coding styles of main and tile headers, as far as there are any. The layers of tiles are those of the picture
 * unless they say otherwise. */
static enum hilum_status check_styles(const uint8_t *at, size_t length, const struct hl_dicom_plane *plane,
                                      struct hilum_error *error)
{
	enum { SOC = 0x4f, COD = 0x52, COC = 0x53, SOT = 0x90, SOD = 0x93, EOC = 0xd9 };
	const uint8_t *end = at + length, *next_tile = NULL;
	uint64_t layers = 1;

	for (at += 2; end - at >= 4 && at[0] == 0xff && at[1] != EOC;) {
		int marker = at[1];
		size_t size = (size_t)at[2] << 8 | at[3];
		if (marker == SOD) {
			if (!next_tile)
				break;
			at = next_tile;
			next_tile = NULL;
			continue;
		}
		if (size < 2 || size > (size_t)(end - at) - 2)
			break;
		if (marker == SOT && size == 10) {
			/* 0: up to the end, of the last tile. */
			size_t part = get32(at + 6);
			next_tile = part >= 14 && part <= (size_t)(end - at) ? at + part : NULL;
		}
		if (marker == COD && size >= 12)
			layers = (uint64_t)at[6] << 8 | at[7];
		if ((marker == COD && (size < 12 || !is_bearable(at + 9, size - 7, at[4] & 1, layers, plane))) ||
		    (marker == COC && (size < 9 || !is_bearable(at + 6, size - 4, at[5] & 1, layers, plane))))
			return hl_fail(error, HILUM_ERROR_LIMIT, "a JPEG 2000 picture of too many blocks");
		at += 2 + size;
	}
	return HILUM_OK;
}

/* SIZ (15444-1, A.5.1) and what follows it, before the library takes memory by it. */
static enum hilum_status check_size(const uint8_t *bytes, size_t length, const struct hl_dicom_plane *plane,
                                    struct hilum_error *error)
{
	static const uint8_t start[] = {0xff, 0x4f, 0xff, 0x51};
	const uint8_t *at = memmem(bytes, length, start, sizeof(start));

	if (!at || length - (size_t)(at - bytes) < 42)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: no JPEG 2000 code stream");
	uint32_t right = get32(at + 8), bottom = get32(at + 12), left = get32(at + 16), top = get32(at + 20);
	uint32_t tile_width = get32(at + 24), tile_height = get32(at + 28);
	unsigned components = (unsigned)at[40] << 8 | at[41];
	if (right < left || bottom < top || right - left != (uint32_t)plane->width ||
	    bottom - top != (uint32_t)plane->height || components != (unsigned)plane->samples)
		return hl_fail(error, HILUM_ERROR_FORMAT,
		               "damaged: a JPEG 2000 picture of %u x %u, %u components, in a file of %d x %d",
		               right - left, bottom - top, components, plane->width, plane->height);
	if (tile_width == 0 || tile_height == 0 ||
	    ((uint64_t)right / tile_width + 1) * ((uint64_t)bottom / tile_height + 1) > TILES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "a JPEG 2000 picture of more than %d tiles", TILES_MAX);
	return check_styles(at, length - (size_t)(at - bytes), plane, error);
}

static enum hilum_status put(const opj_image_t *image, const struct hl_dicom_plane *plane, struct hilum_error *error)
{
	size_t pixels = (size_t)plane->width * (size_t)plane->height, samples = (size_t)plane->samples;

	for (size_t c = 0; c < samples; c++) {
		const opj_image_comp_t *component = &image->comps[c];
		if (!component->data || component->w != (OPJ_UINT32)plane->width ||
		    component->h != (OPJ_UINT32)plane->height || component->prec > plane->size * 8)
			return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: a JPEG 2000 component of %u x %u, %u bits",
			               component->w, component->h, component->prec);
		/* Numbers that the stream has without a sign and the file with one: the file is right. */
		int above = plane->is_signed && !component->sgnd ? 32 - (int)component->prec : 0;
		const OPJ_INT32 *from = component->data;
		if (plane->size == 1)
			for (size_t i = 0; i < pixels; i++)
				((uint8_t *)plane->out)[i * samples + c] =
				    (uint8_t)((OPJ_INT32)((uint32_t)from[i] << above) >> above);
		else
			for (size_t i = 0; i < pixels; i++)
				((uint16_t *)plane->out)[i * samples + c] =
				    (uint16_t)((OPJ_INT32)((uint32_t)from[i] << above) >> above);
	}
	return HILUM_OK;
}

static opj_stream_t *open_stream(struct source *source)
{
	opj_stream_t *stream = opj_stream_default_create(OPJ_TRUE);

	if (!stream)
		return NULL;
	opj_stream_set_user_data(stream, source, NULL);
	opj_stream_set_user_data_length(stream, source->length);
	opj_stream_set_read_function(stream, on_read);
	opj_stream_set_skip_function(stream, on_skip);
	opj_stream_set_seek_function(stream, on_seek);
	return stream;
}

enum hilum_status hl_decode_jpeg2000(const uint8_t *bytes, size_t length, const struct hl_dicom_plane *plane,
                                     struct hilum_error *error)
{
	static const uint8_t box[] = "\0\0\0\fjP  ";
	bool boxed = length > sizeof(box) && memcmp(bytes, box, sizeof(box) - 1) == 0;
	struct source source = {bytes, length, 0};
	struct words words = {.text = ""};
	opj_dparameters_t parameters;
	opj_image_t *image = NULL;
	enum hilum_status status;

	if (plane->size > 2)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "JPEG 2000 of %zu bits", plane->size * 8);
	status = check_size(bytes, length, plane, error);
	if (status)
		return status;
	opj_codec_t *codec = opj_create_decompress(boxed ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K);
	opj_stream_t *stream = open_stream(&source);
	if (!codec || !stream) {
		status = hl_fail(error, HILUM_ERROR_MEMORY, "out of memory");
		goto out;
	}
	opj_set_default_decoder_parameters(&parameters);
	opj_set_error_handler(codec, on_message, &words);
	opj_set_warning_handler(codec, on_warning, &words);
	if (!opj_setup_decoder(codec, &parameters) || !opj_decoder_set_strict_mode(codec, OPJ_TRUE) ||
	    !opj_read_header(stream, codec, &image) || image->numcomps != (OPJ_UINT32)plane->samples ||
	    !opj_decode(codec, stream, image) || words.warned)
		status = hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG 2000: %s",
		                 words.text[0] ? words.text : "not what its head says");
	else
		status = put(image, plane, error);
out:
	if (image)
		opj_image_destroy(image);
	if (stream)
		opj_stream_destroy(stream);
	if (codec)
		opj_destroy_codec(codec);
	return status;
}
