/* JPEG-LS (ISO/IEC 14495-1) by CharLS. */
#include <charls/charls.h>
#include <string.h>

#include "base/memory.h"
#include "scan/dicom/pixels.h"

static enum hilum_status fail_charls(struct hilum_error *error, charls_jpegls_errc code)
{
	if (code == CHARLS_JPEGLS_ERRC_NOT_ENOUGH_MEMORY)
		return hl_fail(error, HILUM_ERROR_MEMORY, "out of memory");
	return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG-LS: %s", charls_get_error_message(code));
}

static enum hilum_status check_frame(const charls_frame_info *info, const struct hl_dicom_plane *plane,
                                     struct hilum_error *error)
{
	if (info->width != (uint32_t)plane->width || info->height != (uint32_t)plane->height ||
	    info->component_count != plane->samples || info->bits_per_sample > (int32_t)plane->size * 8 ||
	    plane->size > 2)
		return hl_fail(error, HILUM_ERROR_FORMAT,
		               "damaged: a JPEG-LS picture of %u x %u, %d components of %d bits, in a file of %d x %d",
		               info->width, info->height, info->component_count, info->bits_per_sample, plane->width,
		               plane->height);
	return HILUM_OK;
}

/* To interleaved samples of the file's size, from planes or from samples of one byte. */
static void arrange(const uint8_t *in, size_t size, bool planes, const struct hl_dicom_plane *plane)
{
	size_t pixels = (size_t)plane->width * (size_t)plane->height, samples = (size_t)plane->samples;

	for (size_t i = 0; i < pixels; i++)
		for (size_t c = 0; c < samples; c++) {
			const uint8_t *from = in + (planes ? c * pixels + i : i * samples + c) * size;
			size_t to = i * samples + c;
			if (plane->size == 1)
				((uint8_t *)plane->out)[to] = *from;
			else if (size == 1)
				((uint16_t *)plane->out)[to] = *from;
			else
				memcpy((uint16_t *)plane->out + to, from, 2);
		}
}

enum hilum_status hl_decode_jpegls(const uint8_t *bytes, size_t length, const struct hl_dicom_plane *plane,
                                   struct hilum_error *error)
{
	charls_jpegls_decoder *decoder = charls_jpegls_decoder_create();
	size_t needed = (size_t)plane->width * (size_t)plane->height * (size_t)plane->samples * plane->size, size = 0;
	charls_interleave_mode mode = CHARLS_INTERLEAVE_MODE_NONE;
	charls_frame_info info = {0};
	enum hilum_status status = HILUM_OK;
	charls_jpegls_errc code;
	uint8_t *own = NULL;
	void *out = plane->out;

	if (!decoder)
		return hl_fail(error, HILUM_ERROR_MEMORY, "out of memory");
	code = charls_jpegls_decoder_set_source_buffer(decoder, bytes, length);
	if (!code)
		code = charls_jpegls_decoder_read_header(decoder);
	if (!code)
		code = charls_jpegls_decoder_get_frame_info(decoder, &info);
	if (!code)
		status = check_frame(&info, plane, error);
	if (!code && !status)
		code = charls_jpegls_decoder_get_interleave_mode(decoder, &mode);
	if (!code && !status)
		code = charls_jpegls_decoder_get_destination_size(decoder, 0, &size);
	if (!code && !status && (size > needed || (size != needed && plane->size == 1)))
		status =
		    hl_fail(error, HILUM_ERROR_FORMAT, "damaged: a JPEG-LS picture of another size than its file's");
	if (code || status)
		goto out;
	bool planes = plane->samples > 1 && mode == CHARLS_INTERLEAVE_MODE_NONE;
	if (size != needed || planes) {
		own = out = hl_alloc(size, 1);
		if (!own) {
			status = hl_fail_memory(error, size, "a JPEG-LS picture");
			goto out;
		}
	}
	code = charls_jpegls_decoder_decode_to_buffer(decoder, out, size, 0);
	if (!code && own)
		arrange(own, info.bits_per_sample <= 8 ? 1 : 2, planes, plane);
out:
	if (!status && code)
		status = fail_charls(error, code);
	hl_free(own);
	charls_jpegls_decoder_destroy(decoder);
	return status;
}
