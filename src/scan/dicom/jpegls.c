/* JPEG-LS (ITU-T T.87, ISO/IEC 14495-1), lossless and near-lossless, 2 to 16 bits, one component or three in any
 * interleaving. */
#include "scan/dicom/jpegls.h"

#include <string.h>

#include "base/memory.h"
#include "scan/dicom/pixels.h"

enum { COMPONENTS_MAX = 3, SOI = 0xd8, EOI = 0xd9, SOS = 0xda, DRI = 0xdd, SOF55 = 0xf7, LSE = 0xf8 };

static enum hilum_status damaged(struct hilum_error *error, const char *what)
{
	return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: JPEG-LS %s", what);
}

/* ---- the model ---- */

static int32_t bits_for(int32_t count)
{
	int32_t bits = 0;

	while (INT64_C(1) << bits < count)
		bits++;
	return bits;
}

static int32_t threshold(int32_t value, int32_t least, int32_t maximum)
{
	return value > maximum || value < least ? least : value;
}

static int32_t larger(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

bool hl_ls_begin(struct hl_ls *ls, int32_t maximum, int32_t near, const int32_t preset[4])
{
	int32_t bpp, start, t[3];

	if (maximum < 1 || maximum > 65535 || near < 0 || near > 255 || near > maximum / 2)
		return false;
	if (maximum >= 128) {
		int32_t factor = ((maximum < 4095 ? maximum : 4095) + 128) / 256;
		t[0] = factor + 2 + 3 * near;
		t[1] = 4 * factor + 3 + 5 * near;
		t[2] = 17 * factor + 4 + 7 * near;
	} else {
		int32_t factor = 256 / (maximum + 1);
		t[0] = larger(2, 3 / factor + 3 * near);
		t[1] = larger(3, 7 / factor + 5 * near);
		t[2] = larger(4, 21 / factor + 7 * near);
	}
	memset(ls, 0, sizeof(*ls));
	ls->maximum = maximum;
	ls->near = near;
	ls->t1 = preset[0] ? preset[0] : threshold(t[0], near + 1, maximum);
	ls->t2 = preset[1] ? preset[1] : threshold(t[1], ls->t1, maximum);
	ls->t3 = preset[2] ? preset[2] : threshold(t[2], ls->t2, maximum);
	ls->reset = preset[3] ? preset[3] : 64;
	if (ls->t1 < near + 1 || ls->t2 < ls->t1 || ls->t3 < ls->t2 || ls->t3 > maximum || ls->reset < 3 ||
	    ls->reset > larger(255, maximum))
		return false;
	ls->step = 2 * near + 1;
	ls->range = (maximum + 2 * near) / ls->step + 1;
	ls->bits = bits_for(ls->range);
	bpp = larger(2, bits_for(maximum + 1));
	ls->limit = 2 * (bpp + larger(8, bpp));
	start = larger(2, (ls->range + 32) / 64);
	for (int i = 0; i < HL_LS_CONTEXTS; i++)
		ls->context[i] = (struct hl_ls_context){.a = start, .n = 1};
	ls->run[0] = ls->run[1] = (struct hl_ls_run){.a = start, .n = 1};
	return true;
}

/* ---- bits ---- */

/* Behind a byte of ones the next one has seven bits (A.1); behind the end there are zeros, counted in made_up. */
struct bits {
	const uint8_t *at, *end;
	uint64_t hold; /* the next bits, from the top */
	int count, made_up;
	bool ones; /* the last byte was 0xff */
};

static void refill(struct bits *bits)
{
	while (bits->count <= 56) {
		uint64_t byte = 0;
		int width = bits->ones ? 7 : 8;
		const uint8_t *at = bits->at;
		/* A byte of ones is data unless it begins a marker. */
		if (at < bits->end && (*at != 0xff || (bits->end - at >= 2 && at[1] < 0x80))) {
			byte = *at;
			bits->ones = byte == 0xff;
			bits->at++;
		} else {
			bits->made_up += width;
		}
		bits->hold |= byte << (64 - width - bits->count);
		bits->count += width;
	}
	if (bits->made_up > 1 << 20)
		bits->made_up = 1 << 20;
}

static bool is_overrun(const struct bits *bits)
{
	return bits->made_up > bits->count;
}

static inline uint32_t take(struct bits *bits, int count)
{
	if (bits->count < count)
		refill(bits);
	uint32_t value = count ? (uint32_t)(bits->hold >> (64 - count)) : 0;
	bits->hold <<= count;
	bits->count -= count;
	return value;
}

/* A.5.3: zeros up to a one, then k bits; as many zeros as limit allows announce the number itself. */
static inline int32_t take_golomb(struct bits *bits, int k, int32_t limit, int32_t qbpp)
{
	int32_t zeros = 0, most = limit - qbpp - 1;

	if (bits->count < 32)
		refill(bits);
	/* A code of 32 zeros is longer than any limit but that of 16 bits. */
	while (bits->hold >> 32 == 0) {
		bits->hold <<= 32;
		bits->count -= 32;
		zeros += 32;
		if (zeros > most || is_overrun(bits)) {
			bits->made_up = bits->count + 1;
			return 0;
		}
		refill(bits);
	}
	int here = __builtin_clzll(bits->hold);
	zeros += here;
	bits->hold <<= here + 1;
	bits->count -= here + 1;
	if (zeros < most)
		return (zeros << k) + (int32_t)take(bits, k);
	if (zeros > most)
		bits->made_up = bits->count + 1;
	return (int32_t)take(bits, qbpp) + 1;
}

/* ---- samples ---- */

/* The error of a sample in a context, its sign as the context has it. */
static inline int32_t take_error(struct bits *bits, const struct hl_ls *ls, const struct hl_ls_context *context)
{
	int k = hl_ls_golomb(context->n, context->a);
	int32_t mapped = take_golomb(bits, k, ls->limit, ls->bits);
	int32_t error = mapped & 1 ? -((mapped + 1) >> 1) : mapped >> 1;

	/* A.5.2: the other way round where errors lean to the negative. */
	if (k == 0 && ls->near == 0 && 2 * context->b <= -context->n)
		error = -(error + 1);
	return error;
}

static int32_t take_interruption(struct bits *bits, struct hl_ls *ls, int type, int32_t order)
{
	struct hl_ls_run *run = &ls->run[type];
	int k = hl_ls_golomb(run->n, run->a + (type ? run->n >> 1 : 0));
	int32_t mapped = take_golomb(bits, k, ls->limit - order - 1, ls->bits);
	bool odd = (mapped + type) & 1;
	int32_t error = (mapped + type + odd) / 2;

	if (hl_ls_is_turned(run, k) == odd)
		error = -error;
	hl_ls_learn_run(ls, run, error, mapped, type);
	return error;
}

struct line {
	uint16_t *above, *now; /* samples are step apart; one more before and behind the line */
	ptrdiff_t step;
};

/* The sample that ends a run. components > 1: all of a pixel's, for which only one kind of interruption is used. */
static uint16_t interrupt(struct bits *bits, struct hl_ls *ls, int32_t a, int32_t b, bool single, int32_t order)
{
	int32_t apart = a - b;
	int type = single && apart <= ls->near && -apart <= ls->near;
	int32_t error = take_interruption(bits, ls, type, order);

	return (uint16_t)(type ? hl_ls_restore(ls, a, error) : hl_ls_restore(ls, b, a > b ? -error : error));
}

/* A run from x on, of samples components wide; answers the first x behind it and its interruption. */
static ptrdiff_t read_run(struct bits *bits, struct hl_ls *ls, const struct line *line, ptrdiff_t x, ptrdiff_t width,
                          ptrdiff_t components, int32_t *run_index)
{
	uint16_t *now = line->now, *above = line->above;
	ptrdiff_t step = line->step, left = width - x, run;
	int32_t order = hl_ls_order[*run_index];

	while (take(bits, 1)) {
		run = (ptrdiff_t)1 << order;
		bool whole = run <= left;
		run = whole ? run : left;
		for (ptrdiff_t i = 0; i < run; i++, x++)
			for (ptrdiff_t c = 0; c < components; c++)
				now[x * step + c] = now[x * step + c - step];
		left -= run;
		if (whole && *run_index < 31)
			order = hl_ls_order[++*run_index];
		if (left == 0)
			return x;
	}
	run = take(bits, order);
	if (run >= left) {
		bits->made_up = bits->count + 1;
		return width;
	}
	for (ptrdiff_t i = 0; i < run; i++, x++)
		for (ptrdiff_t c = 0; c < components; c++)
			now[x * step + c] = now[x * step + c - step];
	for (ptrdiff_t c = 0; c < components; c++)
		now[x * step + c] =
		    interrupt(bits, ls, now[x * step + c - step], above[x * step + c], components == 1, order);
	if (*run_index > 0)
		--*run_index;
	return x + 1;
}

static inline uint16_t read_sample(struct bits *bits, struct hl_ls *ls, int q, int32_t sign, int32_t a, int32_t b,
                                   int32_t c)
{
	struct hl_ls_context *context = &ls->context[q];
	int32_t prediction = hl_ls_predict(ls, context, sign, a, b, c);
	int32_t error = take_error(bits, ls, context);

	hl_ls_learn(ls, context, error);
	return (uint16_t)hl_ls_restore(ls, prediction, sign < 0 ? -error : error);
}

static void read_line(struct bits *bits, struct hl_ls *ls, const struct line *line, ptrdiff_t width, int32_t *run_index)
{
	const uint16_t *above = line->above;
	uint16_t *now = line->now;
	ptrdiff_t step = line->step;

	for (ptrdiff_t x = 0; x < width;) {
		ptrdiff_t at = x * step;
		int32_t a = now[at - step], b = above[at], c = above[at - step], sign;
		int q = hl_ls_find(ls, a, b, c, above[at + step], &sign);
		if (q == 0) {
			x = read_run(bits, ls, line, x, width, 1, run_index);
		} else {
			now[at] = read_sample(bits, ls, q, sign, a, b, c);
			x++;
		}
	}
}

/* Pixels of several samples each: a run is one of all of them. */
static void read_pixels(struct bits *bits, struct hl_ls *ls, const struct line *line, ptrdiff_t width,
                        ptrdiff_t components)
{
	const uint16_t *above = line->above;
	uint16_t *now = line->now;

	for (ptrdiff_t x = 0; x < width;) {
		int q[COMPONENTS_MAX], any = 0;
		int32_t sign[COMPONENTS_MAX];
		for (ptrdiff_t c = 0; c < components; c++) {
			ptrdiff_t at = x * components + c;
			q[c] = hl_ls_find(ls, now[at - components], above[at], above[at - components],
			                  above[at + components], &sign[c]);
			any |= q[c];
		}
		if (!any) {
			x = read_run(bits, ls, line, x, width, components, &ls->run_index[0]);
			continue;
		}
		for (ptrdiff_t c = 0; c < components; c++) {
			ptrdiff_t at = x * components + c;
			now[at] = read_sample(bits, ls, q[c], sign[c], now[at - components], above[at],
			                      above[at - components]);
		}
		x++;
	}
}

/* ---- scans ---- */

struct stream {
	const uint8_t *at, *end;
	int precision, components, id[COMPONENTS_MAX];
	int32_t width, height, maximum, preset[4];
	/* The present scan. */
	int scan_components, first, near, interleave;
};

/* Lines of all components of a scan, two of each, with a sample before and behind. */
struct lines {
	uint16_t *block, *above, *now;
	size_t stride; /* of a component, or of pixels */
};

/* What lies beside a line: before it the first sample of the line above, behind it the last one of that. */
static void border(const struct line *line, ptrdiff_t width, ptrdiff_t components)
{
	for (ptrdiff_t c = 0; c < components; c++) {
		line->now[c - components] = line->above[c];
		line->above[width * line->step + c] = line->above[(width - 1) * line->step + c];
	}
}

static void put_line(const struct stream *stream, const struct lines *lines, const struct hl_dicom_plane *plane,
                     int32_t y)
{
	size_t width = (size_t)stream->width, samples = (size_t)plane->samples;
	bool pixels = stream->interleave == 2;

	for (int c = 0; c < stream->scan_components; c++) {
		const uint16_t *from = lines->now + (pixels ? samples + (size_t)c : (size_t)c * lines->stride + 1);
		size_t step = pixels ? samples : 1, at = (size_t)y * width * samples + (size_t)(stream->first + c);
		for (size_t x = 0; x < width; x++)
			if (plane->size == 1)
				((uint8_t *)plane->out)[at + x * samples] = (uint8_t)from[x * step];
			else
				((uint16_t *)plane->out)[at + x * samples] = from[x * step];
	}
}

static enum hilum_status read_lines(struct stream *stream, struct hl_ls *ls, struct lines *lines,
                                    const struct hl_dicom_plane *plane, struct hilum_error *error)
{
	struct bits bits = {.at = stream->at, .end = stream->end};
	ptrdiff_t width = stream->width;

	for (int32_t y = 0; y < stream->height; y++) {
		if (stream->interleave == 2) {
			ptrdiff_t components = stream->components;
			struct line line = {lines->above + components, lines->now + components, components};
			border(&line, width, components);
			read_pixels(&bits, ls, &line, width, components);
		} else {
			for (int c = 0; c < stream->scan_components; c++) {
				size_t at = (size_t)c * lines->stride + 1;
				struct line line = {lines->above + at, lines->now + at, 1};
				border(&line, width, 1);
				read_line(&bits, ls, &line, width, &ls->run_index[c]);
			}
		}
		if (is_overrun(&bits))
			return damaged(error, "data");
		put_line(stream, lines, plane, y);
		uint16_t *swap = lines->above;
		lines->above = lines->now;
		lines->now = swap;
	}
	stream->at = bits.at;
	/* To the next marker. */
	while (stream->end - stream->at >= 2 && (stream->at[0] != 0xff || stream->at[1] < 0x80))
		stream->at++;
	return HILUM_OK;
}

static enum hilum_status read_one_scan(struct stream *stream, const struct hl_dicom_plane *plane,
                                       struct hilum_error *error)
{
	size_t pixel = stream->interleave == 2 ? (size_t)stream->components : 1;
	size_t stride = ((size_t)stream->width + 2) * pixel;
	size_t line = stream->interleave == 2 ? stride : stride * (size_t)stream->scan_components;
	struct hl_ls *ls = hl_alloc(1, sizeof(*ls));
	struct lines lines = {.block = hl_alloc(2 * line, sizeof(uint16_t)), .stride = stride};
	enum hilum_status status;

	if (!ls || !lines.block) {
		status = hl_fail_memory(error, 2 * line * sizeof(uint16_t), "JPEG-LS lines");
	} else if (!hl_ls_begin(ls, stream->maximum ? stream->maximum : (1 << stream->precision) - 1, stream->near,
	                        stream->preset)) {
		status = damaged(error, "parameters");
	} else {
		lines.above = lines.block;
		lines.now = lines.block + line;
		status = read_lines(stream, ls, &lines, plane, error);
	}
	hl_free(ls);
	hl_free(lines.block);
	return status;
}

/* ---- markers ---- */

static int32_t get16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

static enum hilum_status read_frame(struct stream *stream, const uint8_t *at, size_t length, struct hilum_error *error)
{
	if (stream->components > 0 || length < 6 || at[5] < 1 || at[5] > COMPONENTS_MAX || length != 6 + 3U * at[5])
		return damaged(error, "frame header");
	stream->precision = at[0];
	stream->height = get16(at + 1);
	stream->width = get16(at + 3);
	stream->components = at[5];
	for (int i = 0; i < stream->components; i++) {
		stream->id[i] = at[6 + 3 * i];
		if (at[7 + 3 * i] != 0x11)
			return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "subsampled JPEG-LS");
	}
	return HILUM_OK;
}

static enum hilum_status read_scan_header(struct stream *stream, const uint8_t *at, size_t length,
                                          struct hilum_error *error)
{
	int count = length > 0 ? at[0] : 0;

	if (count < 1 || count > stream->components || length != 4 + 2U * (unsigned)count)
		return damaged(error, "scan header");
	stream->scan_components = count;
	stream->first = 0;
	while (stream->first < stream->components && stream->id[stream->first] != at[1])
		stream->first++;
	if (stream->first + count > stream->components)
		return damaged(error, "scan header");
	for (int i = 0; i < count; i++) {
		if (at[1 + 2 * i] != stream->id[stream->first + i])
			return damaged(error, "scan header");
		if (at[2 + 2 * i] != 0)
			return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "JPEG-LS with a table of values");
	}
	stream->near = at[1 + 2 * count];
	stream->interleave = at[2 + 2 * count];
	if (stream->interleave > 2 || (stream->interleave == 2 && count != stream->components) ||
	    (stream->interleave == 0 && count != 1) || at[3 + 2 * count] & 15)
		return damaged(error, "scan header");
	if (count == 1)
		stream->interleave = 0;
	return HILUM_OK;
}

static enum hilum_status read_extension(struct stream *stream, const uint8_t *at, size_t length,
                                        struct hilum_error *error)
{
	if (length != 11 || at[0] != 1)
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "JPEG-LS with tables or larger sizes");
	stream->maximum = get16(at + 1);
	for (int i = 0; i < 4; i++)
		stream->preset[i] = get16(at + 3 + 2 * i);
	return HILUM_OK;
}

/* Up to a scan's data; *marker is SOS or EOI. */
static enum hilum_status read_markers(struct stream *stream, int *marker, struct hilum_error *error)
{
	for (;;) {
		while (stream->end - stream->at >= 2 && stream->at[0] == 0xff && stream->at[1] == 0xff)
			stream->at++;
		if (stream->end - stream->at < 2 || stream->at[0] != 0xff)
			return damaged(error, "picture cut off");
		*marker = stream->at[1];
		stream->at += 2;
		if (*marker == EOI)
			return HILUM_OK;
		if (*marker == SOI)
			continue;
		size_t left = (size_t)(stream->end - stream->at), length = left >= 2 ? (size_t)get16(stream->at) : 0;
		if (length < 2 || length > left)
			return damaged(error, "picture cut off");
		const uint8_t *at = stream->at + 2;
		enum hilum_status status = HILUM_OK;
		if (*marker == SOF55)
			status = read_frame(stream, at, length - 2, error);
		else if (*marker == SOS)
			status = read_scan_header(stream, at, length - 2, error);
		else if (*marker == LSE)
			status = read_extension(stream, at, length - 2, error);
		else if (*marker == DRI && length == 4 && get16(at) != 0)
			status = hl_fail(error, HILUM_ERROR_UNSUPPORTED, "JPEG-LS with restart markers");
		else if (*marker >= 0xc0 && *marker <= 0xcf && *marker != 0xc4 && *marker != 0xc8)
			status = damaged(error, "picture that is JPEG");
		if (status)
			return status;
		stream->at += length;
		if (*marker == SOS)
			return HILUM_OK;
	}
}

enum hilum_status hl_decode_jpegls(const uint8_t *bytes, size_t length, const struct hl_dicom_plane *plane,
                                   struct hilum_error *error)
{
	struct stream stream = {.at = bytes, .end = bytes + length};
	unsigned seen = 0, all = (1u << plane->samples) - 1;
	enum hilum_status status;
	int marker = 0;

	while (seen != all) {
		status = read_markers(&stream, &marker, error);
		if (!status && (marker == EOI || stream.components == 0))
			status = damaged(error, "picture without all its scans");
		if (!status &&
		    (stream.width != plane->width || stream.height != plane->height ||
		     stream.components != plane->samples || stream.precision < 2 ||
		     stream.precision > (int)plane->size * 8 || plane->size > 2 || stream.maximum >> stream.precision))
			status =
			    hl_fail(error, HILUM_ERROR_FORMAT,
			            "damaged: a JPEG-LS picture of %d x %d, %d components of %d bits, in a file of "
			            "%d x %d, %d",
			            stream.width, stream.height, stream.components, stream.precision, plane->width,
			            plane->height, plane->samples);
		/* A scan again and again would cost time and no bytes. */
		unsigned now = ((1u << stream.scan_components) - 1) << stream.first;
		if (!status && seen & now)
			status = damaged(error, "component in two scans");
		if (!status)
			status = read_one_scan(&stream, plane, error);
		if (status)
			return status;
		seen |= now;
	}
	return HILUM_OK;
}
