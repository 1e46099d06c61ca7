/* RLE (PS3.5 annex G): a segment for each byte of each sample, the most significant byte first, packed as PackBits. */
#include <string.h>

#include "scan/dicom/element.h"
#include "scan/dicom/pixels.h"

enum { HEADER = 64, SEGMENTS_MAX = 15 };

/* Writes count bytes to every stride-th byte of out. */
static bool unpack(const uint8_t *in, const uint8_t *end, uint8_t *out, size_t count, size_t stride)
{
	size_t done = 0;

	while (done < count) {
		if (in == end)
			return false;
		int code = *in++;
		if (code == 128)
			continue;
		code -= code > 128 ? 256 : 0;
		size_t run = code >= 0 ? (size_t)code + 1 : (size_t)(1 - code);
		if (run > count - done || (code >= 0 ? run : 1) > (size_t)(end - in))
			return false;
		for (size_t i = 0; i < run; i++)
			out[(done + i) * stride] = in[code >= 0 ? i : 0];
		in += code >= 0 ? run : 1;
		done += run;
	}
	return true;
}

enum hilum_status hl_decode_rle(const uint8_t *bytes, size_t length, const struct hl_dicom_plane *plane,
                                struct hilum_error *error)
{
	size_t pixels = (size_t)plane->width * (size_t)plane->height, samples = (size_t)plane->samples;
	size_t segments = samples * plane->size, stride = segments;

	if (length < HEADER || hl_dicom_get32(bytes, false) != segments || segments > SEGMENTS_MAX)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: RLE with a wrong number of segments");
	for (size_t i = 0; i < segments; i++) {
		size_t begin = hl_dicom_get32(bytes + 4 + 4 * i, false);
		size_t end = i + 1 < segments ? hl_dicom_get32(bytes + 8 + 4 * i, false) : length;
		if (begin < HEADER || end < begin || end > length)
			return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: RLE segments out of order");
		/* Little endian machines keep the most significant byte last. */
		size_t sample = i / plane->size, byte = plane->size - 1 - i % plane->size;
		const uint16_t one = 1;
		if (*(const uint8_t *)&one == 0)
			byte = i % plane->size;
		if (!unpack(bytes + begin, bytes + end, (uint8_t *)plane->out + sample * plane->size + byte, pixels,
		            stride))
			return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: an RLE segment");
	}
	return HILUM_OK;
}
