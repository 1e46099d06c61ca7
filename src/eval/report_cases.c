#include "eval/report.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/recipe.h"
#include "infer/explain.h"

#include <stdlib.h>
#include <string.h>

#define SIDE 160 /* pixels of a picture */

struct wrong {
	double log;
	size_t index;
};

static int worst_first(const void *a, const void *b)
{
	const struct wrong *x = a, *y = b;
	if (x->log != y->log)
		return x->log < y->log ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

/* Any slice goes into a square of so many pixels, the rest of which is black. */
static const struct hl_recipe square = {
    .channels = 1, .size = SIDE, .fit = HL_FIT_PAD, .window = {-600, 1500}, .deviation = {1, 1, 1}};

static void put_image(struct hl_page *page, const uint8_t *pixels, int32_t channels, const char *said)
{
	hl_put(page, "<img width=\"%d\" height=\"%d\" alt=\"", SIDE, SIDE);
	hl_put_escaped(page, said);
	hl_put(page, "\" src=\"");
	hl_put_picture(page, pixels, SIDE, SIDE, channels);
	hl_put(page, "\">");
}

/* Of another slice count than one, the middle slice. */
static bool put_slice(struct hl_report *report, const struct hl_case *item)
{
	uint8_t pixels[SIDE * SIDE];
	if (hl_dataset_read(report->dataset, (size_t)(item - report->dataset->cases), &square, pixels, NULL, NULL))
		return false;
	put_image(&report->page, pixels, 1, "the slice that was answered");
	return true;
}

static bool shrink(const uint8_t *pixels, int32_t width, int32_t height, uint8_t *out)
{
	const struct hl_volume volume = {.width = width,
	                                 .height = height,
	                                 .depth = 1,
	                                 .channels = 1,
	                                 .type = HL_VOXEL_U8,
	                                 .unit = HL_UNIT_GREY,
	                                 .maximum = 255,
	                                 .voxels = (void *)(uintptr_t)pixels};
	return hl_recipe_apply(&square, &volume, out, NULL) == HILUM_OK;
}

/* The slice, and beside it the slice under heat. */
static bool put_heat(struct hl_page *page, const struct hilum_explanation *e)
{
	uint8_t grey[SIDE * SIDE], hot[SIDE * SIDE], colours[3 * SIDE * SIDE];
	float heat[SIDE * SIDE];
	char said[160];
	size_t count = (size_t)e->width * (size_t)e->height;
	uint8_t *rounded = hl_alloc(count, 1);
	for (size_t i = 0; rounded && i < count; i++)
		rounded[i] = (uint8_t)(e->heat[i] * 255 + 0.5F);
	bool sound =
	    rounded && shrink(e->picture, e->width, e->height, grey) && shrink(rounded, e->width, e->height, hot);
	hl_free(rounded);
	if (!sound)
		return false;
	for (size_t i = 0; i < SIDE * SIDE; i++)
		heat[i] = (float)hot[i] / 255;
	hl_heat_blend(grey, heat, SIDE * SIDE, colours);
	hl_put(page, "<div class=\"heat\">");
	put_image(page, grey, 1, "the slice that was answered");
	snprintf(said, sizeof(said), "the same slice under %sheat: where what speaks for %s lies",
	         e->sanity.reliable ? "" : "unreliable ", e->subject);
	put_image(page, colours, 3, said);
	hl_put(page, "</div>");
	return true;
}

/* A case as the model would be asked about it: its files. NULL: heat is not to be had. */
static struct hilum_explanation *explain(struct hl_report *report, struct hilum_explainer *explainer,
                                         const struct hl_case *item)
{
	struct hilum_explanation *made = NULL;
	struct hilum_error error;
	const char *const file = item->file;
	const char *const *paths = &file;
	int32_t count = 1;
	if (!explainer)
		return NULL;
	if (item->slice_count > 0) {
		paths = (const char *const *)(report->dataset->slices + item->slice_first);
		count = item->slice_count;
	}
	if (hilum_explain(explainer, paths, count, &made, &error))
		hl_log(HILUM_LOG_WARNING, "%s; shown without heat", error.message);
	return made;
}

static void put_error(struct hl_report *report, struct hilum_explainer *explainer, size_t i)
{
	struct hl_page *page = &report->page;
	const struct hl_table *table = &report->source[0].scores->table;
	int32_t called = hl_table_predicted(table, i), label = table->label[i];
	const struct hl_case *item = report->dataset ? hl_dataset_find(report->dataset, table->id[i]) : NULL;
	struct hilum_explanation *e = item ? explain(report, explainer, item) : NULL;
	hl_put(page, "<li>");
	if (e ? !put_heat(page, e) : !item || !put_slice(report, item))
		hl_put(page, "<div class=\"missing\">no picture</div>");
	hl_put(page, "<p><strong>");
	hl_put_escaped(page, table->names[label]);
	hl_put(page, "</strong>, called ");
	hl_put_escaped(page, table->names[called]);
	hl_put(page, "<br>to the truth: %.3f<br>", hl_table_probability(table, i, label));
	if (e && !e->sanity.reliable) {
		hl_put(page, "<strong class=\"bad\">heat unreliable</strong>: ");
		hl_put_escaped(page, e->sanity.reason);
		hl_put(page, "<br>");
	}
	hl_put(page, "<span class=\"path\">");
	hl_put_escaped(page, table->id[i]);
	hl_put(page, "</span></p></li>\n");
	hilum_explanation_free(e);
}

/* Heat is a help and no need: of a run alone, whose model is at hand. */
static struct hilum_explainer *open_explainer(struct hl_report *report)
{
	struct hilum_explain_options options;
	struct hilum_explainer *explainer = NULL;
	struct hilum_error error;
	if (!report->source[0].model || !report->dataset)
		return NULL;
	hilum_options_init(hilum_explain_option_table, &options);
	options.randomised = 1; /* one network is enough to tell, and takes a quarter of the time */
	if (hilum_explainer_open(report->source[0].model, &options, &explainer, &error))
		hl_log(HILUM_LOG_WARNING, "%s; errors are shown without heat", error.message);
	return explainer;
}

void hl_report_errors(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	const struct hl_table *table = &report->source[0].scores->table;
	size_t wrong = 0, most = (size_t)report->options.errors;
	if (!table->id || most == 0 || page->status)
		return;
	struct wrong *order = hl_alloc(table->n, sizeof(*order));
	if (!order) {
		page->status = hl_fail_memory(&page->error, table->n * sizeof(*order), "errors");
		return;
	}
	for (size_t i = 0; i < table->n; i++)
		if (hl_table_predicted(table, i) != table->label[i])
			order[wrong++] = (struct wrong){hl_table_log(table, i), i};
	qsort(order, wrong, sizeof(*order), worst_first);
	hl_section_open(page, "errors", "The worst errors");
	struct hilum_explainer *explainer = wrong > 0 ? open_explainer(report) : NULL;
	hl_put(page, "<p>%zu of %zu cases were called wrongly%s.%s</p>\n<ul class=\"errors%s\">\n", wrong, table->n,
	       wrong > most ? "; these most surely" : "",
	       explainer ? " Heat (Grad-CAM) says where what speaks for the class lies, not why." : "",
	       explainer ? " heated" : "");
	for (size_t i = 0; i < wrong && i < most; i++)
		put_error(report, explainer, order[i].index);
	hilum_explainer_close(explainer);
	hl_put(page, "</ul>\n");
	hl_section_close(page);
	hl_free(order);
}
