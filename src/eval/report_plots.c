/* Curves as SVG: drawn in a box of fixed size that scales with the page, coloured by the page's style, so that they are
 * right in light, dark and print. Each says in words what it shows. */
#include "eval/report.h"

#include "base/memory.h"
#include "base/number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 460, HEIGHT = 372, LEFT = 56, TOP = 16, ACROSS = 388, DOWN = 300 };
#define NEAR 0.4 /* points nearer than that are left out */
#define STEPS 1000

struct plot {
	struct hl_page *page;
	double low[2], high[2]; /* of x and y */
	bool started;
	double at[2]; /* last point drawn */
};

static double place_x(const struct plot *plot, double x)
{
	return LEFT + ACROSS * (x - plot->low[0]) / (plot->high[0] - plot->low[0]);
}

static double place_y(const struct plot *plot, double y)
{
	return TOP + DOWN * (1 - (y - plot->low[1]) / (plot->high[1] - plot->low[1]));
}

/* A tick's distance of 1, 2 or 5 times a power of ten, about five to a side. */
static double tick_step(double range)
{
	double power = pow(10, floor(log10(range / 5))), share = range / 5 / power;
	return power * (share < 1.5 ? 1 : share < 3.5 ? 2 : share < 7.5 ? 5 : 10);
}

static void draw_axes(const struct plot *plot, const char *x_name, const char *y_name)
{
	struct hl_page *page = plot->page;
	for (int side = 0; side < 2; side++) {
		double step = tick_step(plot->high[side] - plot->low[side]);
		int decimals = step < 0.0999 ? 2 : step < 0.999 ? 1 : 0;
		long first = lrint(ceil(plot->low[side] / step - 1e-6)),
		     last = lrint(floor(plot->high[side] / step + 1e-6));
		for (long tick = first; tick <= last; tick++) {
			double value = (double)tick * step;
			if (side == 0)
				hl_put(page,
				       "<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>"
				       "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.*f</text>\n",
				       place_x(plot, value), TOP, place_x(plot, value), TOP + DOWN,
				       place_x(plot, value), TOP + DOWN + 18, decimals, value);
			else
				hl_put(page,
				       "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>"
				       "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.*f</text>\n",
				       LEFT, place_y(plot, value), LEFT + ACROSS, place_y(plot, value), LEFT - 8,
				       place_y(plot, value) + 4, decimals, value);
		}
	}
	hl_put(page, "<text class=\"name\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", LEFT + ACROSS / 2,
	       HEIGHT - 10, x_name);
	hl_put(page,
	       "<text class=\"name\" transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
	       TOP + DOWN / 2, y_name);
}

static void plot_open(struct plot *plot, const char *id, const char *title, const char *said, const char *x_name,
                      const char *y_name)
{
	struct hl_page *page = plot->page;
	hl_put(page,
	       "<figure class=\"plot\"><figcaption>%s</figcaption>\n<svg id=\"%s\" role=\"img\" viewBox=\"0 0 %d %d\" "
	       "aria-labelledby=\"%s-said\">\n<title id=\"%s-said\">",
	       title, id, WIDTH, HEIGHT, id, id);
	hl_put_escaped(page, said);
	hl_put(page, "</title>\n");
	draw_axes(plot, x_name, y_name);
}

static void plot_close(const struct plot *plot, const char *legend)
{
	hl_put(plot->page, "</svg>\n%s</figure>\n", legend ? legend : "");
}

static void line_open(struct plot *plot, const char *kind)
{
	hl_put(plot->page, "<polyline class=\"%s\" points=\"", kind);
	plot->started = false;
}

static void line_to(struct plot *plot, double x, double y, bool last)
{
	double to[2] = {place_x(plot, x), place_y(plot, y)};
	if (plot->started && !last && fabs(to[0] - plot->at[0]) < NEAR && fabs(to[1] - plot->at[1]) < NEAR)
		return;
	hl_put(plot->page, "%s%.1f,%.1f", plot->started ? " " : "", to[0], to[1]);
	memcpy(plot->at, to, sizeof(to));
	plot->started = true;
}

static void line_close(const struct plot *plot)
{
	hl_put(plot->page, "\"/>\n");
}

static void straight(struct plot *plot, const char *kind, double x1, double y1, double x2, double y2)
{
	line_open(plot, kind);
	line_to(plot, x1, y1, true);
	line_to(plot, x2, y2, true);
	line_close(plot);
}

static void dot(const struct plot *plot, const char *kind, double x, double y, double radius)
{
	hl_put(plot->page, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n", kind, place_x(plot, x),
	       place_y(plot, y), radius);
}

/* ---- what every threshold gives ---- */

struct ranked {
	double probability;
	int32_t label;
};

static int falling(const void *a, const void *b)
{
	double x = ((const struct ranked *)a)->probability, y = ((const struct ranked *)b)->probability;
	return (x < y) - (x > y);
}

struct curve {
	struct ranked *cases;
	size_t n;
	double positives, negatives;
};

static bool curve_make(const struct hl_table *table, struct curve *out)
{
	*out = (struct curve){.n = table->n, .cases = hl_alloc(table->n, sizeof(*out->cases))};
	if (!out->cases)
		return false;
	for (size_t i = 0; i < table->n; i++) {
		out->cases[i] = (struct ranked){table->probability[i], table->label[i]};
		out->positives += table->label[i] == 1;
	}
	out->negatives = (double)table->n - out->positives;
	qsort(out->cases, table->n, sizeof(*out->cases), falling);
	return true;
}

static void draw_roc(struct plot *plot, const struct curve *curve, const char *kind)
{
	double caught = 0, alarms = 0;
	line_open(plot, kind);
	line_to(plot, 0, 0, true);
	for (size_t i = 0; i < curve->n; i++) {
		*(curve->cases[i].label == 1 ? &caught : &alarms) += 1;
		if (i + 1 == curve->n || curve->cases[i + 1].probability != curve->cases[i].probability)
			line_to(plot, alarms / curve->negatives, caught / curve->positives, i + 1 == curve->n);
	}
	line_close(plot);
}

/* Steps, for between two thresholds precision does not run straight (Davis and Goadrich, ICML 2006). */
static void draw_precision(struct plot *plot, const struct curve *curve, const char *kind)
{
	double caught = 0, before = 0, seen = 0;
	line_open(plot, kind);
	for (size_t i = 0; i < curve->n; i++) {
		caught += curve->cases[i].label == 1;
		seen += 1;
		if (i + 1 < curve->n && curve->cases[i + 1].probability == curve->cases[i].probability)
			continue;
		if (caught > before || !plot->started) {
			line_to(plot, before / curve->positives, caught / seen, !plot->started);
			line_to(plot, caught / curve->positives, caught / seen, i + 1 == curve->n);
		}
		before = caught;
	}
	line_close(plot);
}

/* Hits and alarms at 0, 0.001, ... 1 for the page's script. */
static void put_counts(struct hl_page *page, const struct curve *curve)
{
	size_t at = 0;
	int64_t counts[STEPS + 1][2], now[2] = {0, 0};
	for (int step = STEPS; step >= 0; step--) {
		while (at < curve->n && curve->cases[at].probability >= step / (double)STEPS)
			now[curve->cases[at++].label == 1]++;
		memcpy(counts[step], now, sizeof(now));
	}
	hl_put(page, "<script type=\"application/json\" id=\"counts\">{\"positives\":%.0f,\"negatives\":%.0f",
	       curve->positives, curve->negatives);
	for (int side = 1; side >= 0; side--) {
		hl_put(page, ",\"%s\":[", side ? "hits" : "alarms");
		for (int step = 0; step <= STEPS; step++)
			hl_put(page, "%s%lld", step ? "," : "", (long long)counts[step][side]);
		hl_put(page, "]");
	}
	hl_put(page, ",\"box\":[%d,%d,%d,%d]}</script>\n", LEFT, TOP, ACROSS, DOWN);
}

/* ---- threshold ---- */

static void put_explorer(struct hl_page *page, const struct hilum_scores *scores)
{
	const struct hl_metrics *metrics = &scores->metrics;
	double share = scores->table.prevalence > 0 ? scores->table.prevalence
	                                            : (double)metrics->per_class[1].count / (double)metrics->n;
	static const char *const names[][2] = {
	    {"sensitivity", "sensitivity"},       {"specificity", "specificity"}, {"ppv", "positive predictive value"},
	    {"npv", "negative predictive value"}, {"accuracy", "accuracy"},       {"called", "share called positive"}};
	hl_put(page,
	       "<div class=\"explorer\" id=\"explorer\" hidden>\n<h3>Threshold</h3>\n<p>What would happen if "
	       "probabilities from here on were called positive. A threshold picked on these very cases "
	       "flatters.</p>\n<div class=\"controls\"><span><label for=\"threshold\">threshold</label> <output "
	       "id=\"threshold-value\" for=\"threshold\">0.500</output></span><input type=\"range\" "
	       "id=\"threshold\" min=\"0\" max=\"1\" step=\"0.001\" value=\"0.5\"><label "
	       "for=\"prevalence\">share of positives where it is used</label><input type=\"number\" "
	       "id=\"prevalence\" min=\"0.001\" max=\"0.999\" step=\"0.001\" value=\"%.3f\"></div>\n",
	       fmin(fmax(share, 0.001), 0.999));
	hl_put(page,
	       "<div class=\"pair\"><table><caption>At this threshold</caption><thead><tr><td></td><th "
	       "scope=\"col\">called positive</th><th scope=\"col\">called negative</th></tr></thead><tbody><tr><th "
	       "scope=\"row\">positive</th><td id=\"hits\"></td><td id=\"misses\"></td></tr><tr><th "
	       "scope=\"row\">negative</th><td id=\"alarms\"></td><td id=\"rests\"></td></tr></tbody></table>\n"
	       "<table><caption>What that means</caption><tbody>");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		hl_put(page, "<tr><th scope=\"row\">%s</th><td id=\"at-%s\"></td></tr>", names[i][1], names[i][0]);
	hl_put(page,
	       "</tbody></table></div>\n<p aria-live=\"polite\" id=\"threshold-said\" class=\"note\"></p></div>\n");
}

/* ---- decision curve ---- */

static void draw_decision(struct hl_page *page, const struct curve *curve, double prevalence)
{
	double share = prevalence > 0 ? prevalence : curve->positives / (double)curve->n;
	struct plot plot = {.page = page, .low = {0, -0.05}, .high = {1, fmax(share * 1.1, 0.05)}};
	size_t at = curve->n;
	double hits = curve->positives, alarms = curve->negatives;
	plot.low[1] = -plot.high[1] / 4;
	plot_open(&plot, "decision", "Decision curve",
	          "Net benefit against the threshold at which a person would act, for the model, for acting on all and "
	          "for acting on none",
	          "threshold probability", "net benefit");
	straight(&plot, "reference", 0, 0, 1, 0);
	line_open(&plot, "second");
	for (int k = 0; k < 99; k++) {
		double t = k / 100.0, all = share - (1 - share) * t / (1 - t);
		if (all < plot.low[1])
			break;
		line_to(&plot, t, all, false);
	}
	line_close(&plot);
	line_open(&plot, "first");
	for (int k = 1; k < 100; k++) {
		double t = k / 100.0;
		while (at > 0 && curve->cases[at - 1].probability < t)
			*(curve->cases[--at].label == 1 ? &hits : &alarms) -= 1;
		double benefit =
		    share * hits / curve->positives - (1 - share) * alarms / curve->negatives * t / (1 - t);
		if (benefit < plot.low[1])
			break;
		line_to(&plot, t, benefit, k == 99);
	}
	line_close(&plot);
	plot_close(&plot, "<p class=\"legend\"><span class=\"key first\"></span> model <span class=\"key "
	                  "second\"></span> act on all <span class=\"key reference\"></span> act on none</p>");
}

void hl_report_curves(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	const struct hilum_scores *scores = report->source[0].scores;
	struct curve curve;
	char said[200];
	if (!hl_report_is_binary(report) || page->status)
		return;
	if (!curve_make(&scores->table, &curve)) {
		page->status = hl_fail_memory(&page->error, scores->table.n * sizeof(*curve.cases), "curves");
		return;
	}
	hl_section_open(page, "curves", "How well it tells the classes apart");
	hl_put(page, "<div class=\"plots\">\n");
	struct plot roc = {.page = page, .high = {1, 1}};
	snprintf(said, sizeof(said), "ROC curve; area %.3f", scores->metrics.auc);
	plot_open(&roc, "roc", "ROC curve", said, "1 &minus; specificity", "sensitivity");
	straight(&roc, "reference", 0, 0, 1, 1);
	draw_roc(&roc, &curve, "first");
	hl_put(page, "<circle class=\"moving\" id=\"roc-dot\" r=\"6\" cx=\"-20\" cy=\"-20\"/>\n");
	plot_close(&roc, "<p class=\"legend\"><span class=\"key first\"></span> model <span class=\"key "
	                 "reference\"></span> chance</p>");
	struct plot precision = {.page = page, .high = {1, 1}};
	snprintf(said, sizeof(said), "Precision-recall curve; area %.3f", scores->metrics.average_precision);
	plot_open(&precision, "pr", "Precision and recall", said, "recall (sensitivity)", "precision");
	straight(&precision, "reference", 0, curve.positives / (double)curve.n, 1, curve.positives / (double)curve.n);
	draw_precision(&precision, &curve, "first");
	hl_put(page, "<circle class=\"moving\" id=\"pr-dot\" r=\"6\" cx=\"-20\" cy=\"-20\"/>\n");
	plot_close(&precision, "<p class=\"legend\"><span class=\"key first\"></span> model <span class=\"key "
	                       "reference\"></span> share of positives</p>");
	draw_decision(page, &curve, scores->table.prevalence);
	hl_put(page, "</div>\n");
	put_explorer(page, scores);
	put_counts(page, &curve);
	hl_section_close(page);
	hl_free(curve.cases);
}

/* ---- calibration ---- */

static void draw_histogram(struct hl_page *page, const struct hl_table *table)
{
	enum { BINS = 20 };
	int64_t count[2][BINS] = {{0}}, most = 1;
	for (size_t i = 0; i < table->n; i++) {
		int bin = (int)(table->probability[i] * BINS);
		count[table->label[i] == 1][bin < BINS ? bin : BINS - 1]++;
	}
	for (int b = 0; b < 2 * BINS; b++)
		most = count[b / BINS][b % BINS] > most ? count[b / BINS][b % BINS] : most;
	struct plot plot = {.page = page, .high = {1, (double)most * 1.05}};
	plot_open(&plot, "histogram", "What it answered", "How many cases of either class got which probability",
	          "probability", "cases");
	for (int b = 0; b < BINS; b++)
		for (int side = 0; side < 2; side++) {
			double x = place_x(&plot, (b + 0.06 + side * 0.44) / BINS),
			       top = place_y(&plot, (double)count[side][b]);
			if (count[side][b])
				hl_put(page,
				       "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
				       side ? "bar positive" : "bar negative", x, top, ACROSS * 0.44 / BINS,
				       TOP + DOWN - top);
		}
	plot_close(&plot, "<p class=\"legend\"><span class=\"key negative\"></span> negative <span class=\"key "
	                  "positive\"></span> positive</p>");
}

void hl_report_reliability(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	const struct hilum_scores *scores = report->source[0].scores;
	const struct hl_reliability *reliability = &scores->reliability;
	struct plot plot = {.page = page, .high = {1, 1}};
	if (page->status)
		return;
	hl_section_open(page, "calibration", "Whether probabilities mean what they say");
	hl_put(page, "<div class=\"plots\">\n");
	plot_open(
	    &plot, "reliability", "Reliability",
	    "Mean probability against the share that was positive, in bins of equal mass; on the diagonal is right",
	    "mean probability", "observed share");
	straight(&plot, "reference", 0, 0, 1, 1);
	line_open(&plot, "first");
	for (size_t i = 0; i < reliability->bins; i++)
		line_to(&plot, reliability->bin[i].mean, reliability->bin[i].share, true);
	line_close(&plot);
	for (size_t i = 0; i < reliability->bins; i++)
		dot(&plot, "point", reliability->bin[i].mean, reliability->bin[i].share, 4.5);
	plot_close(&plot, "<p class=\"legend\"><span class=\"key first\"></span> model <span class=\"key "
	                  "reference\"></span> right</p>");
	if (scores->metrics.classes == 2)
		draw_histogram(page, &scores->table);
	hl_put(page, "</div>\n<dl class=\"facts\"><div><dt>mean distance (ECE)</dt><dd>%.3f</dd></div>",
	       reliability->ece);
	if (!isnan(reliability->slope)) {
		hl_put(page, "<div><dt>slope (1 is right, less is too sure)</dt><dd>%.2f <small>", reliability->slope);
		hl_put_range(page, reliability->slope_interval, 2);
		hl_put(page,
		       "</small></dd></div><div><dt>intercept (0 is right, less is too high)</dt><dd>%.2f <small>",
		       reliability->intercept);
		hl_put_range(page, reliability->intercept_interval, 2);
		hl_put(page, "</small></dd></div>");
	}
	hl_put(page, "</dl>\n");
	hl_section_close(page);
}

/* ---- learning ---- */

static double cell(const struct hl_csv *csv, size_t row, const char *name)
{
	int column = hl_csv_column(csv, name);
	const char *text = column < 0 ? "" : hl_csv_get(csv, row, (size_t)column);
	char *end;
	double value = hl_number_parse(text, &end);
	return end == text || *end ? (double)NAN : value;
}

static void draw_log(struct plot *plot, const struct hl_csv *log, const char *name, const char *kind)
{
	line_open(plot, kind);
	for (size_t i = 0; i < log->rows; i++) {
		double x = cell(log, i, "epoch"), y = cell(log, i, name);
		if (!isnan(x) && !isnan(y))
			line_to(plot, x, fmin(fmax(y, plot->low[1]), plot->high[1]), true);
	}
	line_close(plot);
}

void hl_report_learning(struct hl_report *report)
{
	struct hl_page *page = &report->page;
	const struct hl_csv *log = &report->source[0].log;
	double most = 0, last = 1, area = (double)NAN;
	bool validated = false;
	for (size_t i = 0; i < log->rows; i++) {
		most = fmax(most, fmax(cell(log, i, "train_loss"), cell(log, i, "val_loss")));
		validated = validated || !isnan(cell(log, i, "val_loss"));
		last = fmax(last, cell(log, i, "epoch"));
		area = fmax(area, cell(log, i, "val_auc"));
	}
	if (log->rows == 0 || !isfinite(most) || most <= 0 || page->status)
		return;
	hl_section_open(page, "learning", "How it learnt");
	hl_put(page, "<div class=\"plots\">\n");
	struct plot loss = {
	    .page = page, .low = {log->rows > 1 ? 1 : 0, 0}, .high = {log->rows > 1 ? last : 2, most * 1.05}};
	plot_open(&loss, "loss", "Loss",
	          validated ? "Loss of the training and the validation part after each epoch"
	                    : "Loss of the training part after each epoch",
	          "epoch", "loss");
	draw_log(&loss, log, "train_loss", "second");
	draw_log(&loss, log, "val_loss", "first");
	plot_close(&loss, validated ? "<p class=\"legend\"><span class=\"key first\"></span> validation <span "
	                              "class=\"key second\"></span> training</p>"
	                            : "<p class=\"legend\"><span class=\"key second\"></span> training</p>");
	if (!isnan(area)) {
		struct plot auc = {.page = page, .low = {loss.low[0], 0}, .high = {loss.high[0], 1}};
		plot_open(&auc, "val-auc", "ROC-AUC on the validation part",
		          "Area under the ROC curve after each epoch", "epoch", "ROC-AUC");
		straight(&auc, "reference", auc.low[0], 0.5, auc.high[0], 0.5);
		draw_log(&auc, log, "val_auc", "first");
		plot_close(&auc, NULL);
	}
	hl_put(page, "</div>\n");
	hl_section_close(page);
}
