/* A comparison for people, and for machines. */
#include "base/memory.h"
#include "eval/compare.h"
#include "eval/distribution.h"
#include "eval/json.h"
#include "eval/print.h"

#include <math.h>

static bool is_defined(const struct hilum_comparison *comparison, int figure)
{
	return !isnan(comparison->figure[0][figure]) && !isnan(comparison->figure[1][figure]);
}

static void print_heading(const struct hilum_comparison *comparison, FILE *file)
{
	if (comparison->aggregate)
		fprintf(file, "%zu groups of %zu cases; a group's probability is the %s of its cases'\n", comparison->n,
		        comparison->cases, comparison->aggregate);
	else
		fprintf(file, "%zu cases in both tables", comparison->n);
	if (!comparison->aggregate && comparison->groups)
		fprintf(file, ", in %zu groups\n", comparison->groups);
	else if (!comparison->aggregate)
		fputc('\n', file);
	if (comparison->only[0] || comparison->only[1])
		fprintf(file, "Left out, because the other table lacks them: %zu of A, %zu of B\n", comparison->only[0],
		        comparison->only[1]);
}

static const char *verdict(const struct hilum_comparison *comparison, int figure)
{
	static const char *const better[] = {"A is better", "B is better"};
	if (isnan(comparison->interval[figure].low))
		return comparison->figure[0][figure] == comparison->figure[1][figure] ? "the same" : "not known";
	if (!hl_comparison_is_significant(comparison, figure))
		return "not significant";
	return better[hl_comparison_better(comparison, figure)];
}

static void print_row(const struct hilum_comparison *comparison, int figure, FILE *file)
{
	double a = comparison->figure[0][figure], b = comparison->figure[1][figure];
	char title[64];
	snprintf(title, sizeof(title), "%s%s", hl_figures[figure].title,
	         hl_figures[figure].less_is_better ? " (less is better)" : "");
	fprintf(file, "%-32s", title);
	hl_put_figure(file, a, 8);
	hl_put_figure(file, b, 8);
	hl_put_figure(file, a - b, 9);
	hl_put_interval(file, comparison->interval[figure], 7);
	fprintf(file, "  %s\n", verdict(comparison, figure));
}

/* The difference of one figure as a sentence. */
static void print_sentence(const struct hilum_comparison *comparison, int figure, FILE *file)
{
	struct hl_interval interval = comparison->interval[figure];
	const char *title = hl_figures[figure].title;
	double apart = comparison->figure[0][figure] - comparison->figure[1][figure];
	if (!is_defined(comparison, figure))
		return;
	if (isnan(interval.low)) {
		fprintf(file,
		        apart == 0 ? "In %s there is no difference.\n"
		                   : "In %s the draws do not say how sure the difference is.\n",
		        title);
	} else if (!hl_comparison_is_significant(comparison, figure)) {
		fprintf(file, "In %s the difference is not significant: %.4f, 95 %% interval %.4f to %.4f.\n", title,
		        apart, interval.low, interval.high);
	} else {
		bool turned = apart < 0;
		fprintf(file, "In %s %c is better by %.4f, 95 %% interval %.4f to %.4f.\n", title,
		        "AB"[hl_comparison_better(comparison, figure)], fabs(apart),
		        turned ? -interval.high : interval.low, turned ? -interval.low : interval.high);
	}
}

static void print_text(const struct hilum_comparison *comparison, FILE *file)
{
	double variance, p = hl_delong_test(&comparison->delong, &variance);
	int figures = 0, significant = 0;
	print_heading(comparison, file);
	fprintf(file, "\n%-32s%8s%8s%9s%s\n", "", "A", "B", "A - B", "   95 % interval");
	for (int i = 0; i < HL_FIGURES; i++) {
		bool special = hl_figures[i].sought || hl_figures[i].of_prevalence;
		if (special && !is_defined(comparison, i))
			continue;
		print_row(comparison, i, file);
		figures++;
		significant += hl_comparison_is_significant(comparison, i);
	}
	fputc('\n', file);
	print_sentence(comparison, HL_AUC, file);
	print_sentence(comparison, HL_LOG_LOSS, file);
	if (!isnan(p))
		fprintf(file, "ROC-AUC by DeLong: p = %.2g.\n", p);
	fprintf(file,
	        "%d of %d figures differ significantly; of 20 that do not differ, one does by chance.\n"
	        "The one that counts is to be chosen beforehand.\n",
	        significant, figures);
	if (!comparison->groups)
		fputs("No groups were given, so every case is taken as independent; where there are several of\n"
		      "one patient, the intervals are too narrow.\n",
		      file);
	fputs("Research use only: not a medical device.\n", file);
}

static json_t *figure_json(const struct hilum_comparison *comparison, int figure)
{
	static const char *const names[] = {"a", "b"};
	double a = comparison->figure[0][figure], b = comparison->figure[1][figure];
	bool significant = hl_comparison_is_significant(comparison, figure);
	json_t *better = significant ? json_string(names[hl_comparison_better(comparison, figure)]) : json_null();
	return json_pack("{s:o,s:o,s:o,s:o,s:b,s:o}", "a", hl_json_number(a), "b", hl_json_number(b), "difference",
	                 hl_json_number(a - b), "interval", hl_json_interval(comparison->interval[figure]),
	                 "significant", significant, "better", better);
}

static json_t *delong_json(const struct hilum_comparison *comparison)
{
	double variance, p = hl_delong_test(&comparison->delong, &variance);
	double apart = comparison->delong.auc[0] - comparison->delong.auc[1], half = HL_NORMAL_95 * sqrt(variance);
	if (isnan(p))
		return json_null();
	const struct hl_interval interval = {apart - half, apart + half};
	return json_pack("{s:f,s:o,s:f}", "variance", variance, "interval", hl_json_interval(interval), "p", p);
}

static char *print_json(const struct hilum_comparison *comparison)
{
	json_t *root = json_object(), *figures = json_object();
	for (int i = 0; i < HL_FIGURES; i++)
		json_object_set_new(figures, hl_figures[i].name, figure_json(comparison, i));
	json_object_set_new(root, "n", json_integer((json_int_t)comparison->n));
	json_object_set_new(root, "groups",
	                    comparison->groups ? json_integer((json_int_t)comparison->groups) : json_null());
	json_object_set_new(root, "only_a", json_integer((json_int_t)comparison->only[0]));
	json_object_set_new(root, "only_b", json_integer((json_int_t)comparison->only[1]));
	json_object_set_new(root, "by", json_string(comparison->aggregate ? "group" : "case"));
	json_object_set_new(root, "aggregate",
	                    comparison->aggregate ? json_string(comparison->aggregate) : json_null());
	json_object_set_new(root, "prevalence",
	                    comparison->prevalence > 0 ? json_real(comparison->prevalence) : json_null());
	json_object_set_new(root, "intervals", hl_json_resampling(comparison->resamples, comparison->groups));
	json_object_set_new(root, "figures", figures);
	json_object_set_new(root, "delong", delong_json(comparison));
	json_object_set_new(root, "research_use_only", json_true());
	return hl_json_dump(root);
}

enum hilum_status hilum_comparison_print(const struct hilum_comparison *comparison, enum hilum_output output,
                                         FILE *file, struct hilum_error *error)
{
	if (output == HILUM_OUTPUT_JSON) {
		char *text = print_json(comparison);
		if (!text)
			return hl_fail_memory(error, 4096, "JSON");
		fprintf(file, "%s\n", text);
		hl_free(text);
	} else {
		print_text(comparison, file);
	}
	return ferror(file) ? hl_fail_errno(error, "writing a comparison") : HILUM_OK;
}
