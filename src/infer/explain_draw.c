/* An explanation as a picture: the slice, beside it the slice under its heat, and below what that means. */
#include "infer/explain.h"
#include "infer/explain_text.h"

#include "base/memory.h"
#include "scan/format.h"
#include "scan/resample.h"

#include <math.h>
#include <string.h>

#define SIDE_LEAST 384 /* pixels of a panel's longer side, which a small slice is enlarged to by a whole number */
#define SIDE_MOST 1536
#define MARGIN 12
#define SCALE 2 /* pixels of a point of the font */
#define LINE (11 * SCALE)
#define BANNER (LINE + 10)
#define WORDS_MAX 512

static const uint8_t paper[3] = {22, 22, 24}, ink[3] = {226, 226, 226}, faint[3] = {160, 160, 160};
static const uint8_t warning[3] = {176, 42, 32}, white[3] = {255, 255, 255};

/* ---- colours ---- */

static void colour_of(float heat, float out[3])
{
	static const float inferno[][3] = {{0, 0, 4},     {31, 12, 72},   {85, 15, 109},  {136, 34, 106}, {186, 54, 85},
	                                   {227, 89, 51}, {249, 140, 10}, {249, 201, 50}, {252, 255, 164}};
	float at = heat * 8;
	int low = at >= 8 ? 7 : (int)at;
	for (int c = 0; c < 3; c++)
		out[c] = inferno[low][c] + (at - (float)low) * (inferno[low + 1][c] - inferno[low][c]);
}

static void blend(uint8_t grey, float heat, uint8_t out[3])
{
	float colour[3], opacity = heat < 0.25F ? 2.8F * heat : 0.7F;
	colour_of(heat, colour);
	for (int c = 0; c < 3; c++)
		out[c] = (uint8_t)((1 - opacity) * (float)grey + opacity * colour[c] + 0.5F);
}

void hl_heat_blend(const uint8_t *picture, const float *heat, size_t count, uint8_t *out)
{
	for (size_t i = 0; i < count; i++)
		blend(picture[i], heat[i], out + 3 * i);
}

/* ---- the sheet ---- */

struct sheet {
	const struct hilum_explanation *explanation;
	struct hl_volume picture;
	int32_t panel_width, panel_height;
};

static void fill(struct sheet *sheet, int32_t left, int32_t top, int32_t width, int32_t height, const uint8_t colour[3])
{
	uint8_t *pixels = sheet->picture.voxels;
	for (int32_t y = top; y < top + height; y++)
		for (int32_t x = left; x < left + width; x++)
			memcpy(pixels + 3 * ((size_t)y * (size_t)sheet->picture.width + (size_t)x), colour, 3);
}

/* Lines of a text broken at the sheet's width; draws them where picture is not NULL. Returns the pixels they take. */
static int32_t put_lines(struct hl_volume *picture, const char *text, int32_t left, int32_t top, int32_t width,
                         const uint8_t colour[3])
{
	int32_t height = 0;
	while (*text) {
		char line[WORDS_MAX];
		size_t bytes = hl_text_break(text, width, SCALE);
		bytes = bytes < sizeof(line) ? bytes : sizeof(line) - 1;
		memcpy(line, text, bytes);
		line[bytes] = '\0';
		if (picture)
			hl_text_draw(picture, line, left, top + height, SCALE, colour);
		height += LINE;
		text += bytes;
		text += strspn(text, " ");
	}
	return height;
}

static void say_method(const struct hilum_explanation *e, char *out, size_t size)
{
	if (e->method == HILUM_METHOD_GRADCAM)
		snprintf(out, size, "Grad-CAM of layer %s.", e->layer);
	else if (e->method == HILUM_METHOD_OCCLUSION)
		snprintf(out, size, "Occlusion: covering the hottest place lowers the logit by %.2f.", e->strongest);
	else
		snprintf(
		    out, size,
		    "Integrated gradients from the blurred picture: they sum up to %.3f, the logits differ by %.3f.",
		    e->sum, e->difference);
}

static void say_check(const struct hilum_explanation *e, char *out, size_t size)
{
	const struct hilum_sanity *sanity = &e->sanity;
	int length = snprintf(
	    out, size, "Check: covering the hottest place changes the logit by %+.2f, other places by %+.2f at most",
	    -sanity->drop, -sanity->drop_elsewhere);
	if (length < 0 || (size_t)length >= size)
		return;
	if (sanity->randomised > 0)
		snprintf(
		    out + length, size - (size_t)length,
		    "; likeness of the heat to that of %d network%s with random weights %.2f (0: none, 1: the same).",
		    sanity->randomised, sanity->randomised == 1 ? "" : "s", sanity->correlation);
	else
		snprintf(out + length, size - (size_t)length, "; not compared with random weights.");
}

enum { WORDS_ANSWER, WORDS_METHOD, WORDS_CHECK, WORDS_MODEL, WORDS_COUNT };

static void say(const struct hilum_explanation *e, char words[WORDS_COUNT][WORDS_MAX])
{
	char slice[64] = "";
	if (e->slices > 1)
		snprintf(slice, sizeof(slice), " Slice %d of %d.", e->slice, e->slices);
	snprintf(words[WORDS_ANSWER], WORDS_MAX, "%s: probability %.3f.%s", e->subject, e->probability, slice);
	say_method(e, words[WORDS_METHOD], WORDS_MAX);
	say_check(e, words[WORDS_CHECK], WORDS_MAX);
	snprintf(words[WORDS_MODEL], WORDS_MAX,
	         "Model %s. For research only; not a medical device. Heat says where, not why.", e->model);
}

/* "none [colours] most" */
static void put_scale(struct sheet *sheet, int32_t left, int32_t top)
{
	enum { WIDTH = 160 };
	int32_t word = hl_text_width("none ", SCALE);
	hl_text_draw(&sheet->picture, "none", left, top, SCALE, faint);
	for (int32_t x = 0; x < WIDTH; x++) {
		uint8_t colour[3];
		blend(128, (float)x / (WIDTH - 1), colour);
		fill(sheet, left + word + x, top - 2, 1, 7 * SCALE + 4, colour);
	}
	hl_text_draw(&sheet->picture, "most", left + word + WIDTH + SCALE * HL_TEXT_STEP, top, SCALE, faint);
}

static enum hilum_status put_panels(struct sheet *sheet, int32_t top, struct hilum_error *error)
{
	const struct hilum_explanation *e = sheet->explanation;
	int32_t width = sheet->panel_width, height = sheet->panel_height;
	size_t count = (size_t)width * (size_t)height, own = (size_t)e->width * (size_t)e->height;
	float *grey = hl_alloc(own, sizeof(*grey)), *picture = hl_alloc(count, sizeof(*picture));
	float *heat = hl_alloc(count, sizeof(*heat));
	enum hilum_status status =
	    grey && picture && heat ? HILUM_OK : hl_fail_memory(error, count * sizeof(*heat), "a picture");
	for (size_t i = 0; i < own && !status; i++)
		grey[i] = e->picture[i];
	if (!status)
		status = hl_resize(grey, e->width, e->height, 1, picture, width, height, error);
	if (!status)
		status = hl_resize(e->heat, e->width, e->height, 1, heat, width, height, error);
	for (int32_t y = 0; y < height && !status; y++) {
		uint8_t *row =
		    (uint8_t *)sheet->picture.voxels + 3 * ((size_t)(top + y) * (size_t)sheet->picture.width + MARGIN);
		for (int32_t x = 0; x < width; x++) {
			size_t i = (size_t)y * (size_t)width + (size_t)x;
			uint8_t value = (uint8_t)(picture[i] + 0.5F);
			memset(row + 3 * x, value, 3);
			blend(value, fminf(heat[i], 1), row + 3 * (x + width + MARGIN));
		}
	}
	hl_free(grey);
	hl_free(picture);
	hl_free(heat);
	return status;
}

/* What stands above the heat: that it may not be believed. */
static void put_banner(struct sheet *sheet, int32_t left, int32_t top)
{
	const struct hilum_sanity *sanity = &sheet->explanation->sanity;
	char words[WORDS_MAX];
	if (sanity->reliable) {
		hl_text_draw(&sheet->picture, "heat", left, top + 8, SCALE, faint);
		return;
	}
	fill(sheet, left, top, sheet->panel_width, BANNER, warning);
	snprintf(words, sizeof(words), "UNRELIABLE HEAT");
	hl_text_draw(&sheet->picture, words, left + 8, top + 8, SCALE, white);
	/* A frame around the panel. */
	fill(sheet, left, top + BANNER, 4, sheet->panel_height, warning);
	fill(sheet, left + sheet->panel_width - 4, top + BANNER, 4, sheet->panel_height, warning);
	fill(sheet, left, top + BANNER + sheet->panel_height - 4, sheet->panel_width, 4, warning);
}

static void measure(struct sheet *sheet)
{
	const struct hilum_explanation *e = sheet->explanation;
	int32_t longer = e->width > e->height ? e->width : e->height;
	double scale = longer < SIDE_LEAST ? ceil((double)SIDE_LEAST / longer) : 1;
	if (longer > SIDE_MOST)
		scale = (double)SIDE_MOST / longer;
	sheet->panel_width = (int32_t)fmax(1, round(e->width * scale));
	sheet->panel_height = (int32_t)fmax(1, round(e->height * scale));
}

static enum hilum_status draw(struct sheet *sheet, struct hilum_error *error)
{
	const struct hilum_explanation *e = sheet->explanation;
	char words[WORDS_COUNT][WORDS_MAX], reason[WORDS_MAX] = "";
	int32_t text = 2 * SIDE_LEAST + MARGIN; /* wide enough to be read, however narrow the slice */
	measure(sheet);
	text = text > 2 * sheet->panel_width + MARGIN ? text : 2 * sheet->panel_width + MARGIN;
	say(e, words);
	if (!e->sanity.reliable)
		snprintf(reason, sizeof(reason), "Unreliable: %s.", e->sanity.reason);
	int32_t panels = MARGIN + BANNER, top = panels + sheet->panel_height + MARGIN, height = top + LINE + MARGIN;
	height += put_lines(NULL, reason, 0, 0, text, warning);
	for (int i = 0; i < WORDS_COUNT; i++)
		height += put_lines(NULL, words[i], 0, 0, text, ink);
	enum hilum_status status = hl_volume_init(&sheet->picture, text + 2 * MARGIN, height, 1, 3, HL_VOXEL_U8, error);
	if (status)
		return status;
	fill(sheet, 0, 0, sheet->picture.width, sheet->picture.height, paper);
	hl_text_draw(&sheet->picture, "picture", MARGIN, MARGIN + 8, SCALE, faint);
	status = put_panels(sheet, panels, error);
	if (status)
		return status;
	put_banner(sheet, 2 * MARGIN + sheet->panel_width, MARGIN);
	put_scale(sheet, MARGIN, top);
	top += LINE + 6;
	static const uint8_t alarm[3] = {255, 128, 112};
	top += put_lines(&sheet->picture, reason, MARGIN, top, text, alarm);
	for (int i = 0; i < WORDS_COUNT; i++)
		top += put_lines(&sheet->picture, words[i], MARGIN, top, text, i == WORDS_MODEL ? faint : ink);
	return HILUM_OK;
}

enum hilum_status hilum_explanation_draw(const struct hilum_explanation *explanation, const char *path,
                                         struct hilum_error *error)
{
	struct sheet sheet = {.explanation = explanation};
	enum hilum_status status = draw(&sheet, error);
	if (!status)
		status = hl_png_write(path, &sheet.picture, error);
	hl_volume_free(&sheet.picture);
	return status;
}
