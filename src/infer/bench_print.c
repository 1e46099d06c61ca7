/* The report of hilum_bench. */
#include "infer/bench.h"

#include "infer/describe.h"

#include <string.h>

/* Figures that follow from those measured. */
struct derived {
	double images, gflops; /* a second */
	double share;          /* of the peak */
	double node_ms;        /* all nodes, loss and optimiser together */
};

static double milliseconds(const struct hl_bench_result *result, int64_t nanoseconds)
{
	return (double)nanoseconds * 1e-6 / (double)result->repeats;
}

static struct derived derive(const struct hl_bench_result *result)
{
	double seconds = result->wall.median * 1e-3;
	struct derived derived = {.images = (double)result->batch / seconds};
	derived.gflops = result->flops * 1e-9 * derived.images;
	derived.share = derived.gflops / result->peak.gflops;
	int64_t sum = result->loss + result->optimizer;
	for (int32_t i = 0; result->node && i < result->graph->nodes; i++)
		sum += result->node[i].prepare + result->node[i].forward + result->node[i].backward;
	derived.node_ms = milliseconds(result, sum);
	return derived;
}

/* ---- one node ---- */

struct row {
	const struct hl_node *node;
	const char *backend;
	const struct hl_node *head; /* of the nodes that run as one with this; their times are its. NULL: this is it */
	double forward, backward;   /* milliseconds; packing of parameters belongs to forward */
	double share;               /* of derived.node_ms */
	double gflops;              /* a second, of all that run as one; 0 where there is nothing to count */
};

static struct row make_row(const struct hl_bench_result *result, const struct derived *derived, int32_t index)
{
	const struct hl_graph *graph = result->graph;
	const struct hl_node_time *time = &result->node[index];
	struct row row = {.node = &graph->node[index], .backend = hl_plan_backend(result->plan, index)};
	row.forward = milliseconds(result, time->prepare + time->forward);
	row.backward = milliseconds(result, time->backward);
	double sum = row.forward + row.backward, flops = 0;
	row.share = derived->node_ms > 0 ? sum / derived->node_ms : 0;
	/* What comes after the logits does not run. */
	for (int32_t i = 1; i <= graph->logits && index <= graph->logits; i++) {
		if (hl_plan_tail(result->plan, i) != hl_plan_tail(result->plan, index))
			continue;
		if (i < index && !row.head)
			row.head = &graph->node[i];
		flops += result->node_flops[i];
	}
	row.gflops = sum > 0 ? flops * (double)result->batch * 1e-6 / sum : 0;
	return row;
}

/* ---- JSON ---- */

static json_t *nodes_json(const struct hl_bench_result *result, const struct derived *derived)
{
	json_t *list = json_array();
	for (int32_t i = 1; i < result->graph->nodes; i++) {
		struct row row = make_row(result, derived, i);
		char shape[96];
		hl_shape_print(row.node->shapes.out, shape, sizeof(shape));
		json_array_append_new(
		    list, json_pack("{s:s, s:s, s:s, s:s, s:s?, s:f, s:f, s:f, s:f}", "name", row.node->name, "op",
		                    row.node->op->name, "output", shape, "backend", row.backend, "runs_with",
		                    row.head ? row.head->name : NULL, "forward_ms", row.forward, "backward_ms",
		                    row.backward, "share", row.share, "gflops", row.gflops));
	}
	return list;
}

static json_t *result_json(const struct hl_bench_result *result)
{
	struct derived derived = derive(result);
	const struct hl_summary *wall = &result->wall;
	char input[96];
	hl_shape_print(result->graph->node[0].shapes.out, input, sizeof(input));
	json_t *root = json_pack(
	    "{s:o?, s:s, s:s, s:I, s:i, s:I, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:f, s:I}", "net",
	    hl_json_text(result->net), "mode", hl_bench_modes[result->mode], "precision",
	    hl_bench_precisions[result->precision], "batch", (json_int_t)result->batch, "threads", (int)result->threads,
	    "repeats", (json_int_t)result->repeats, "input", input, "median_ms", wall->median, "min_ms", wall->minimum,
	    "max_ms", wall->maximum, "spread", wall->spread, "cpu_ms", result->cpu, "images_per_s", derived.images,
	    "gflops", derived.gflops, "peak_gflops", result->peak.gflops, "peak_loop", result->peak.name, "peak_share",
	    derived.share, "plan_bytes", (json_int_t)hl_plan_bytes(result->plan));
	if (root && result->node) {
		json_object_set_new(root, "nodes", nodes_json(result, &derived));
		json_object_set_new(root, "loss_ms", json_real(milliseconds(result, result->loss)));
		json_object_set_new(root, "optimizer_ms", json_real(milliseconds(result, result->optimizer)));
	}
	return root;
}

/* ---- text ---- */

static void print_nodes(const struct hl_bench_result *result, const struct derived *derived, FILE *file)
{
	fprintf(file, "\n  %-20s %-12s %-10s %10s %11s %6s %8s\n", "layer", "op", "back end", "forward ms",
	        "backward ms", "share", "GFLOP/s");
	for (int32_t i = 1; i < result->graph->nodes; i++) {
		struct row row = make_row(result, derived, i);
		fputs("  ", file);
		hl_put_safe(file, row.node->name);
		int pad = 20 - (int)strlen(row.node->name);
		fprintf(file, "%*s %-12s %-10s ", pad > 0 ? pad : 0, "", row.node->op->name, row.backend);
		if (row.head) {
			fputs("      with ", file);
			hl_put_safe(file, row.head->name);
			fputc('\n', file);
			continue;
		}
		fprintf(file, "%10.3f %11.3f %4.1f %%", row.forward, row.backward, row.share * 100);
		if (row.gflops > 0)
			fprintf(file, " %8.1f", row.gflops);
		fputc('\n', file);
	}
	if (result->mode == HL_BENCH_TRAIN)
		fprintf(file, "  loss %.3f ms, optimiser %.3f ms\n", milliseconds(result, result->loss),
		        milliseconds(result, result->optimizer));
}

static void print_text(const struct hl_bench_result *result, FILE *file)
{
	struct derived derived = derive(result);
	char input[96];
	hl_shape_print(result->graph->node[0].shapes.out, input, sizeof(input));
	hl_put_safe(file, result->net);
	fprintf(file, ": %s, %s, batch %lld of %s, %d thread%s, %lld runs\n",
	        result->mode == HL_BENCH_TRAIN ? "training steps" : "forward passes",
	        hl_bench_precisions[result->precision], (long long)result->batch, strchr(input, 'x') + 1,
	        result->threads, result->threads == 1 ? "" : "s", (long long)result->repeats);
	fprintf(file, "  wall time        %.3f ms median, %.3f to %.3f, quartiles %.1f %% apart\n", result->wall.median,
	        result->wall.minimum, result->wall.maximum, result->wall.spread * 100);
	fprintf(file, "  processor time   %.3f ms median, all threads together\n", result->cpu);
	fprintf(file, "  speed            %.2f images/s, %.1f GFLOP/s\n", derived.images, derived.gflops);
	fprintf(file, "  share of peak    %.1f %% of %.1f GFLOP/s (%s)\n", derived.share * 100, result->peak.gflops,
	        result->peak.name);
	fprintf(file, "  memory           %.1f MiB for the network's values\n",
	        (double)hl_plan_bytes(result->plan) / (1 << 20));
	if (result->node)
		print_nodes(result, &derived, file);
}

enum hilum_status hl_bench_print(const struct hl_bench_result *result, enum hilum_output output, FILE *file,
                                 struct hilum_error *error)
{
	if (output == HILUM_OUTPUT_JSON)
		return hl_put_json(file, result_json(result), error);
	print_text(result, file);
	return ferror(file) ? hl_fail_errno(error, "writing the report") : HILUM_OK;
}
