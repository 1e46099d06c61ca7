/* An explanation as figures. */
#include "infer/explain.h"

#include "infer/describe.h"

#include <math.h>

static json_t *number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *sanity_json(const struct hilum_sanity *sanity)
{
	return json_pack("{s:i, s:o, s:o, s:o, s:o, s:b, s:s}", "randomised", (int)sanity->randomised, "correlation",
	                 number(sanity->correlation), "similarity", number(sanity->similarity), "drop",
	                 number(sanity->drop), "drop_elsewhere", number(sanity->drop_elsewhere), "reliable",
	                 (int)sanity->reliable, "reason", sanity->reason);
}

static json_t *hottest_json(const struct hilum_explanation *e)
{
	return e->hottest_x < 0 ? json_null() : json_pack("[i, i]", (int)e->hottest_x, (int)e->hottest_y);
}

static json_t *explanation_json(const struct hilum_explanation *e, const char *path)
{
	json_t *root = json_pack("{s:o, s:s, s:o, s:o, s:o}", "path", hl_json_text(path), "method",
	                         hl_method_names[e->method], "class", hl_json_text(e->subject), "model",
	                         hl_json_text(e->model), "probability", number(e->probability));
	json_t *rest =
	    json_pack("{s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:b}", "slice", (int)e->slice, "slices", (int)e->slices,
	              "width", (int)e->width, "height", (int)e->height, "hottest", hottest_json(e), "strongest",
	              number(e->strongest), "sanity", sanity_json(&e->sanity), "research_use_only", 1);
	int failed = !root || !rest || json_object_update(root, rest);
	if (!failed && e->method == HILUM_METHOD_GRADCAM)
		failed = json_object_set_new(root, "layer", hl_json_text(e->layer));
	if (!failed && e->method == HILUM_METHOD_INTEGRATED_GRADIENTS)
		failed = json_object_set_new(root, "sum", number(e->sum)) ||
		         json_object_set_new(root, "difference", number(e->difference));
	json_decref(rest);
	if (!failed)
		return root;
	json_decref(root);
	return NULL;
}

static void print_text(const struct hilum_explanation *e, const char *path, FILE *file)
{
	const struct hilum_sanity *sanity = &e->sanity;
	hl_put_safe(file, path);
	fprintf(file, ": ");
	hl_put_safe(file, e->subject);
	fprintf(file, " %.4f", e->probability);
	if (e->slices > 1)
		fprintf(file, ", slice %d of %d", e->slice, e->slices);
	if (e->hottest_x >= 0)
		fprintf(file, ", hottest at column %d, row %d", e->hottest_x + 1, e->hottest_y + 1);
	if (e->method == HILUM_METHOD_INTEGRATED_GRADIENTS)
		fprintf(file, ", sum %.4f of %.4f", e->sum, e->difference);
	if (sanity->randomised > 0)
		fprintf(file, ", likeness to random weights %.2f", sanity->correlation);
	fprintf(file, ", covered %+.2f (elsewhere %+.2f)", -sanity->drop, -sanity->drop_elsewhere);
	fprintf(file, sanity->reliable ? "\n" : ": UNRELIABLE, %s\n", sanity->reason);
}

enum hilum_status hilum_explanation_print(const struct hilum_explanation *explanation, const char *path,
                                          enum hilum_output output, FILE *file, struct hilum_error *error)
{
	if (output == HILUM_OUTPUT_JSON)
		return hl_put_json(file, explanation_json(explanation, path), error);
	print_text(explanation, path, file);
	return ferror(file) ? hl_fail_errno(error, "writing the explanation") : HILUM_OK;
}
