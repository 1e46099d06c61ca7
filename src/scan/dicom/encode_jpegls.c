/* JPEG-LS (ITU-T T.87), lossless, one component: for synthetic scans. */
#include <string.h>

#include "base/memory.h"
#include "scan/dicom/jpegls.h"
#include "scan/dicom/write.h"

struct bits {
	struct hl_buffer *out;
	uint64_t hold;
	int count;
	bool ones; /* the last byte was 0xff: the next has seven bits */
	enum hilum_status status;
	struct hilum_error *error;
};

static void put_bits(struct bits *bits, uint32_t value, int count)
{
	bits->hold = bits->hold << count | value;
	bits->count += count;
	for (int width = bits->ones ? 7 : 8; bits->count >= width && !bits->status; width = bits->ones ? 7 : 8) {
		uint8_t byte = (uint8_t)(bits->hold >> (bits->count - width) & ((1u << width) - 1));
		bits->status = hl_buffer_append(bits->out, &byte, 1, bits->error);
		bits->ones = byte == 0xff;
		bits->count -= width;
	}
}

/* A.5.3. */
static void put_golomb(struct bits *bits, int k, int32_t limit, int32_t qbpp, int32_t value)
{
	int32_t zeros = value >> k, most = limit - qbpp - 1;
	bool short_code = zeros < most;

	for (int32_t left = short_code ? zeros : most; left > 0; left -= 16)
		put_bits(bits, 0, left < 16 ? left : 16);
	put_bits(bits, 1, 1);
	if (short_code)
		put_bits(bits, (uint32_t)value & ((1u << k) - 1), k);
	else
		put_bits(bits, (uint32_t)value - 1, qbpp);
}

/* A.4.5: into half of RANGE to either side. */
static int32_t reduce(const struct hl_ls *ls, int32_t error)
{
	if (error < 0)
		error += ls->range;
	return error >= (ls->range + 1) / 2 ? error - ls->range : error;
}

static void put_sample(struct bits *bits, struct hl_ls *ls, int q, int32_t sign, int32_t error)
{
	struct hl_ls_context *context = &ls->context[q];
	int k = hl_ls_golomb(context->n, context->a);
	bool turned = k == 0 && 2 * context->b <= -context->n;
	int32_t lean;

	error = reduce(ls, sign < 0 ? -error : error);
	lean = turned ? -(error + 1) : error;
	put_golomb(bits, k, ls->limit, ls->bits, lean >= 0 ? 2 * lean : -2 * lean - 1);
	hl_ls_learn(ls, context, error);
}

static void put_interruption(struct bits *bits, struct hl_ls *ls, int32_t a, int32_t b, int32_t value, int32_t order)
{
	int type = a == b;
	struct hl_ls_run *run = &ls->run[type];
	int k = hl_ls_golomb(run->n, run->a + (type ? run->n >> 1 : 0));
	int32_t error = value - b;
	int32_t mapped;

	error = reduce(ls, !type && a > b ? -error : error);
	bool map = error != 0 && (error < 0) == hl_ls_is_turned(run, k);
	mapped = 2 * (error < 0 ? -error : error) - type - map;
	put_golomb(bits, k, ls->limit - order - 1, ls->bits, mapped);
	hl_ls_learn_run(ls, run, error, mapped, type);
}

/* A run from x on; answers the first x behind it and its interruption. */
static size_t put_run(struct bits *bits, struct hl_ls *ls, const uint16_t *above, const uint16_t *now, size_t x,
                      size_t width)
{
	uint16_t value = now[(ptrdiff_t)x - 1];
	size_t run = 0, part;

	while (x + run < width && now[x + run] == value)
		run++;
	x += run;
	while (run >= (part = (size_t)1 << hl_ls_order[ls->run_index[0]])) {
		put_bits(bits, 1, 1);
		run -= part;
		if (ls->run_index[0] < 31)
			ls->run_index[0]++;
	}
	if (x == width) {
		if (run > 0)
			put_bits(bits, 1, 1);
		return x;
	}
	int32_t order = hl_ls_order[ls->run_index[0]];
	put_bits(bits, (uint32_t)run, order + 1);
	put_interruption(bits, ls, value, above[x], now[x], order);
	if (ls->run_index[0] > 0)
		ls->run_index[0]--;
	return x + 1;
}

/* Lines begin one sample before their first pixel and end one behind their last. */
static void put_line(struct bits *bits, struct hl_ls *ls, const uint16_t *above, const uint16_t *now, size_t width)
{
	for (size_t x = 0; x < width && !bits->status;) {
		int32_t a = now[(ptrdiff_t)x - 1], b = above[x], c = above[(ptrdiff_t)x - 1], sign;
		int q = hl_ls_find(ls, a, b, c, above[x + 1], &sign);
		if (q == 0) {
			x = put_run(bits, ls, above, now, x, width);
		} else {
			put_sample(bits, ls, q, sign, now[x] - hl_ls_predict(ls, &ls->context[q], sign, a, b, c));
			x++;
		}
	}
}

static enum hilum_status put_head(const struct hl_dicom_raw *raw, struct hl_buffer *out, struct hilum_error *error)
{
	const uint8_t head[] = {0xff,
	                        0xd8,
	                        0xff,
	                        0xf7,
	                        0,
	                        11,
	                        (uint8_t)raw->bits,
	                        (uint8_t)(raw->height >> 8),
	                        (uint8_t)raw->height,
	                        (uint8_t)(raw->width >> 8),
	                        (uint8_t)raw->width,
	                        1,
	                        1,
	                        0x11,
	                        0,
	                        0xff,
	                        0xda,
	                        0,
	                        8,
	                        1,
	                        1,
	                        0,
	                        0,
	                        0,
	                        0};

	return hl_buffer_append(out, head, sizeof(head), error);
}

enum hilum_status hl_encode_jpegls(const struct hl_dicom_raw *raw, struct hl_buffer *out, struct hilum_error *error)
{
	static const int32_t defaults[4] = {0};
	size_t width = (size_t)raw->width, stride = width + 2;
	struct hl_ls *ls = hl_alloc(1, sizeof(*ls));
	uint16_t *lines = hl_alloc(2 * stride, sizeof(*lines));
	struct bits bits = {.out = out, .error = error};

	if (!ls || !lines || !hl_ls_begin(ls, (1 << raw->bits) - 1, 0, defaults)) {
		bits.status = hl_fail_memory(error, 2 * stride * sizeof(*lines), "JPEG-LS");
		goto out;
	}
	bits.status = put_head(raw, out, error);
	for (int32_t y = 0; y < raw->height && !bits.status; y++) {
		uint16_t *above = lines + (y % 2 ? 0 : stride) + 1, *now = lines + (y % 2 ? stride : 0) + 1;
		for (size_t x = 0; x < width; x++) {
			size_t at = (size_t)y * width + x;
			unsigned value =
			    raw->size == 1 ? ((const uint8_t *)raw->values)[at] : ((const uint16_t *)raw->values)[at];
			now[x] = (uint16_t)(value & ((1u << raw->bits) - 1));
		}
		now[-1] = above[0];
		above[width] = above[width - 1];
		put_line(&bits, ls, above, now, width);
	}
	/* The last byte is filled with zeros, and one of ones is followed by another. */
	while (!bits.status && (bits.count > 0 || bits.ones))
		put_bits(&bits, 0, 1);
	if (!bits.status)
		bits.status = hl_buffer_append(out, "\xff\xd9", 2, error);
out:
	hl_free(ls);
	hl_free(lines);
	return bits.status;
}
