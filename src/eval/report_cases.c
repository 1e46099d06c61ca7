#include "eval/report.h"

#include "base/memory.h"
#include "data/recipe.h"

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

/* Of another slice count than one, the middle slice. */
static bool put_image(struct hl_report *report, const char *id, const char *said)
{
	struct hl_page *page = &report->page;
	const struct hl_recipe recipe = {
	    .channels = 1, .size = SIDE, .fit = HL_FIT_PAD, .window = {-600, 1500}, .deviation = {1, 1, 1}};
	uint8_t pixels[SIDE * SIDE];
	const struct hl_case *item = report->dataset ? hl_dataset_find(report->dataset, id) : NULL;
	if (!item ||
	    hl_dataset_read(report->dataset, (size_t)(item - report->dataset->cases), &recipe, pixels, NULL, NULL))
		return false;
	hl_put(page, "<img width=\"%d\" height=\"%d\" alt=\"%s\" src=\"", SIDE, SIDE, said);
	hl_put_picture(page, pixels, SIDE, SIDE);
	hl_put(page, "\">");
	return true;
}

static void put_error(struct hl_report *report, size_t i)
{
	struct hl_page *page = &report->page;
	const struct hl_table *table = &report->source[0].scores->table;
	int32_t called = hl_table_predicted(table, i), label = table->label[i];
	hl_put(page, "<li>");
	if (!put_image(report, table->id[i], "the slice that was answered"))
		hl_put(page, "<div class=\"missing\">no picture</div>");
	hl_put(page, "<p><strong>");
	hl_put_escaped(page, table->names[label]);
	hl_put(page, "</strong>, called ");
	hl_put_escaped(page, table->names[called]);
	hl_put(page, "<br>to the truth: %.3f<br><span class=\"path\">", hl_table_probability(table, i, label));
	hl_put_escaped(page, table->id[i]);
	hl_put(page, "</span></p></li>\n");
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
	hl_put(page, "<p>%zu of %zu cases were called wrongly%s.</p>\n<ul class=\"errors\">\n", wrong, table->n,
	       wrong > most ? "; these most surely" : "");
	for (size_t i = 0; i < wrong && i < most; i++)
		put_error(report, order[i].index);
	hl_put(page, "</ul>\n");
	hl_section_close(page);
	hl_free(order);
}
