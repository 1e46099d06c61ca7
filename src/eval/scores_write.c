/* Scores for machines: JSON, and the table of predictions as CSV. */
#include "eval/scores.h"

#include "base/csv.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/number.h"
#include "eval/json.h"
#include "infer/describe.h"

#include <math.h>

#define CSV_BYTES_MAX ((size_t)1 << 30)
#define CURVE_POINTS 99

static void put_figures(json_t *root, const struct hilum_scores *scores)
{
	const struct hl_metrics *metrics = &scores->metrics;
	char name[64];
	for (const struct hl_figure *figure = hl_figures; figure->name; figure++)
		json_object_set_new(root, figure->name, hl_json_number(hl_figure_get(metrics, figure->offset)));
	for (const struct hl_figure *figure = hl_figures; figure->name; figure++) {
		snprintf(name, sizeof(name), "%s_interval", figure->name);
		json_object_set_new(root, name, hl_json_interval(scores->interval[figure - hl_figures]));
	}
	for (const struct hl_figure *figure = hl_figures; figure->name; figure++) {
		snprintf(name, sizeof(name), "baseline_%s", figure->name);
		json_object_set_new(root, name, hl_json_number(hl_figure_get(metrics, figure->baseline)));
	}
}

static json_t *confusion(const struct hl_metrics *metrics)
{
	json_t *rows = json_array();
	for (int32_t r = 0; r < metrics->classes; r++) {
		json_t *row = json_array();
		for (int32_t c = 0; c < metrics->classes; c++)
			json_array_append_new(row, json_integer(metrics->confusion[r][c]));
		json_array_append_new(rows, row);
	}
	return rows;
}

static json_t *per_class(const struct hilum_scores *scores)
{
	json_t *list = json_array();
	for (int32_t c = 0; c < scores->metrics.classes; c++) {
		const struct hl_class_metrics *one = &scores->metrics.per_class[c];
		json_t *object = json_object();
		json_object_set_new(object, "class", hl_json_text(scores->table.names[c]));
		json_object_set_new(object, "n", json_integer(one->count));
		json_object_set_new(object, "sensitivity", hl_json_number(one->sensitivity));
		json_object_set_new(object, "specificity", hl_json_number(one->specificity));
		json_object_set_new(object, "precision", hl_json_number(one->precision));
		json_object_set_new(object, "f1", hl_json_number(one->f1));
		json_object_set_new(object, "auc", hl_json_number(one->auc));
		json_object_set_new(object, "average_precision", hl_json_number(one->average_precision));
		json_array_append_new(list, object);
	}
	return list;
}

static json_t *delong(const struct hilum_scores *scores)
{
	double variance = scores->delong.variance[0];
	if (isnan(variance))
		return json_null();
	return json_pack("{s:o,s:o}", "variance", hl_json_number(variance), "interval",
	                 hl_json_interval(hl_delong_interval(scores->delong.auc[0], variance)));
}

/* Net benefit (Vickers and Elkin, Med. Decis. Making 26, 2006) of calling positive what has a probability of at least
 * t, and of calling everybody positive, for t from 0.01 to 0.99: true positives less false ones at the odds of t, as a
 * share of all cases. Where a prevalence is stated, both kinds are weighted to it. */
static json_t *decision_curve(const struct hl_table *table, const struct hl_metrics *metrics)
{
	json_t *curve = json_object(), *threshold = json_array(), *benefit = json_array(), *all = json_array();
	double positives = (double)metrics->per_class[1].count, negatives = (double)metrics->per_class[0].count;
	double share = table->prevalence > 0 ? table->prevalence : positives / (double)table->n;
	int64_t hits[CURVE_POINTS + 1] = {0}, alarms[CURVE_POINTS + 1] = {0};
	for (size_t i = 0; i < table->n; i++) {
		int last = 0; /* thresholds that it reaches: 1/100, 2/100, ... last/100 */
		while (last < CURVE_POINTS && table->probability[i] >= (last + 1) / (CURVE_POINTS + 1.0))
			last++;
		(table->label[i] == 1 ? hits : alarms)[last]++;
	}
	for (int k = CURVE_POINTS - 1; k >= 0; k--) {
		hits[k] += hits[k + 1];
		alarms[k] += alarms[k + 1];
	}
	for (int k = 1; k <= CURVE_POINTS; k++) {
		double t = k / (CURVE_POINTS + 1.0), odds = t / (1 - t);
		double sensitivity = (double)hits[k] / positives, rate = (double)alarms[k] / negatives;
		json_array_append_new(threshold, json_real(t));
		json_array_append_new(benefit, hl_json_number(share * sensitivity - (1 - share) * rate * odds));
		json_array_append_new(all, hl_json_number(share - (1 - share) * odds));
	}
	json_object_set_new(curve, "threshold", threshold);
	json_object_set_new(curve, "net_benefit", benefit);
	json_object_set_new(curve, "net_benefit_of_all", all);
	return curve;
}

static json_t *reliability(const struct hl_reliability *reliability)
{
	json_t *bins = json_array();
	for (size_t i = 0; i < reliability->bins; i++) {
		const struct hl_bin *bin = &reliability->bin[i];
		json_array_append_new(bins, json_pack("{s:I,s:f,s:f,s:f,s:f}", "n", (json_int_t)bin->n, "low", bin->low,
		                                      "high", bin->high, "mean_probability", bin->mean,
		                                      "observed_share", bin->share));
	}
	return json_pack("{s:f,s:o,s:o,s:o,s:o,s:o}", "ece", reliability->ece, "slope",
	                 hl_json_number(reliability->slope), "slope_interval",
	                 hl_json_interval(reliability->slope_interval), "intercept",
	                 hl_json_number(reliability->intercept), "intercept_interval",
	                 hl_json_interval(reliability->intercept_interval), "bins", bins);
}

char *hl_scores_json(const struct hilum_scores *scores)
{
	json_t *root = json_object(), *classes = json_array();
	json_object_set_new(root, "n", json_integer((json_int_t)scores->metrics.n));
	put_figures(root, scores);
	json_object_set_new(root, "confusion", confusion(&scores->metrics));
	for (int32_t c = 0; c < scores->metrics.classes; c++)
		json_array_append_new(classes, hl_json_text(scores->table.names[c]));
	json_object_set_new(root, "classes", classes);
	if (scores->metrics.classes > 2)
		json_object_set_new(root, "per_class", per_class(scores));
	json_object_set_new(root, "groups", scores->groups ? json_integer((json_int_t)scores->groups) : json_null());
	json_object_set_new(root, "intervals", hl_json_resampling(scores->resamples, scores->groups));
	json_object_set_new(root, "delong", delong(scores));
	json_object_set_new(root, "reliability", reliability(&scores->reliability));
	json_object_set_new(root, "leaks", json_integer(scores->leaks));
	json_object_set_new(root, "by", json_string(scores->aggregate ? "group" : "case"));
	json_object_set_new(root, "aggregate", scores->aggregate ? json_string(scores->aggregate) : json_null());
	json_object_set_new(root, "aggregate_chosen_on_validation", json_boolean(scores->chosen_on_validation));
	json_object_set_new(root, "prevalence",
	                    scores->table.prevalence > 0 ? json_real(scores->table.prevalence) : json_null());
	bool curve = scores->metrics.classes == 2 && scores->metrics.per_class[0].count > 0 &&
	             scores->metrics.per_class[1].count > 0;
	json_object_set_new(root, "decision_curve",
	                    curve ? decision_curve(&scores->table, &scores->metrics) : json_null());
	json_object_set_new(root, "unreadable", json_integer((json_int_t)scores->unreadable));
	json_object_set_new(root, "refused", json_integer((json_int_t)scores->refused));
	json_object_set_new(root, "unusual", json_integer((json_int_t)scores->unusual));
	json_object_set_new(root, "part", scores->part[0] ? hl_json_text(scores->part) : json_null());
	json_object_set_new(root, "research_use_only", json_true());
	return hl_json_dump(root);
}

static enum hilum_status write_header(const struct hl_table *table, struct hl_buffer *buffer, struct hilum_error *error)
{
	enum hilum_status status =
	    hl_buffer_print(buffer, error, table->classes == 2 ? "path,label,probability" : "path,label");
	for (int32_t c = 0; table->classes > 2 && c < table->classes && !status; c++) {
		char *name = hl_format("p_%s", table->names[c]);
		status = name ? hl_buffer_append(buffer, ",", 1, error) : hl_fail_memory(error, 64, "a column's name");
		if (!status)
			status = hl_csv_append(buffer, name, error);
		hl_free(name);
	}
	if (!status && table->group)
		status = hl_buffer_print(buffer, error, ",group");
	return status ? status : hl_buffer_append(buffer, "\n", 1, error);
}

static enum hilum_status write_number(double value, struct hl_buffer *buffer, struct hilum_error *error)
{
	char text[40];
	hl_number_print(text, sizeof(text), 17, value);
	return hl_buffer_print(buffer, error, ",%s", text);
}

static enum hilum_status write_row(const struct hl_table *table, size_t i, struct hl_buffer *buffer,
                                   struct hilum_error *error)
{
	enum hilum_status status =
	    table->id ? hl_csv_append(buffer, table->id[i], error) : hl_buffer_print(buffer, error, "%zu", i + 1);
	if (!status)
		status = hl_buffer_append(buffer, ",", 1, error);
	if (!status)
		status = table->classes == 2 ? hl_buffer_print(buffer, error, "%d", table->label[i])
		                             : hl_csv_append(buffer, table->names[table->label[i]], error);
	for (int32_t c = table->classes == 2 ? 1 : 0; c < table->classes && !status; c++)
		status = write_number(hl_table_probability(table, i, c), buffer, error);
	if (!status && table->group) {
		status = hl_buffer_append(buffer, ",", 1, error);
		if (!status)
			status = hl_csv_append(buffer, table->group[i], error);
	}
	return status ? status : hl_buffer_append(buffer, "\n", 1, error);
}

enum hilum_status hl_scores_write_predictions(const struct hilum_scores *scores, const char *path,
                                              struct hilum_error *error)
{
	struct hl_buffer buffer;
	hl_buffer_init(&buffer, CSV_BYTES_MAX);
	enum hilum_status status = write_header(&scores->table, &buffer, error);
	for (size_t i = 0; i < scores->table.n && !status; i++)
		status = write_row(&scores->table, i, &buffer, error);
	if (!status)
		status = hl_file_write(path, &(struct hl_part){buffer.data, buffer.length}, 1, error);
	hl_buffer_free(&buffer);
	return status;
}
