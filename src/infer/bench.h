/* Parts of hilum_bench: what was measured, what it is measured against, and how it is told. */
#ifndef HL_INFER_BENCH_H
#define HL_INFER_BENCH_H
#include "base/cpu.h"
#include "nn/graph.h"
#include "nn/plan.h"

enum hl_bench_mode { HL_BENCH_TRAIN, HL_BENCH_INFER };
enum hl_bench_precision { HL_BENCH_FP32, HL_BENCH_BF16, HL_BENCH_INT8, HL_BENCH_FP32_STRICT, HL_BENCH_PRECISIONS };

/* As the option table and the report call them; NULL-terminated. */
extern const char *const hl_bench_modes[], *const hl_bench_precisions[];

/* ---- the processor's peak ---- */

/* A loop of independent multiply-adds that touches registers only, one per instruction set and precision. */
struct hl_peak_loop {
	const char *name;
	enum hl_bench_precision precision;
	double operations; /* of one round: two for each multiply-add of each lane */
	bool (*runs_on)(const struct hl_cpu *cpu);
	/* Every lane of every accumulator begins at 0 and gains 1 by each multiply-add (in float32 up to 2^24, where it
	 * stays); their sum, which is half the operations done. */
	double (*run)(int64_t rounds);
};
extern const struct hl_peak_loop hl_peak_loops[]; /* ends with a NULL name */

struct hl_peak {
	const char *name;
	double gflops; /* 1e9 operations a second, all threads together */
};

/* The fastest loop that this processor runs at a precision or at fp32, since a precision without arithmetic of its own
 * is computed in that. Takes a few tenths of a second; the best of several short runs in processor time, so that other
 * programs disturb it little. threads >= 1. */
struct hl_peak hl_peak_measure(enum hl_bench_precision precision, int32_t threads);

/* ---- figures ---- */

struct hl_summary {
	double median, minimum, maximum;
	double spread; /* distance of the quartiles by the median */
};

/* Sorts the values; count >= 1. Between two values, medians and quartiles are interpolated. */
struct hl_summary hl_summarise(double *values, int64_t count);

/* Arithmetic of one sample in each node (graph->nodes entries), and in all. Training: forward, as much again for the
 * gradient by the weights, and once more for the gradient by the input where any layer before it is trained. */
enum hilum_status hl_bench_count(const struct hl_graph *graph, enum hl_bench_mode mode, double *flops, double *total,
                                 struct hilum_error *error);

struct hl_bench_result {
	const char *net;
	enum hl_bench_mode mode;
	enum hl_bench_precision precision;
	int64_t batch, repeats;
	int32_t threads;
	const struct hl_graph *graph;
	const struct hl_plan *plan;
	struct hl_summary wall; /* milliseconds of a pass or step */
	double cpu;             /* median milliseconds of processor time, all threads together */
	double flops;           /* of a sample */
	struct hl_peak peak;
	/* NULL and 0 unless asked for: nanoseconds of all repeats together */
	const struct hl_node_time *node;
	const double *node_flops;
	int64_t loss, optimizer;
};

enum hilum_status hl_bench_print(const struct hl_bench_result *result, enum hilum_output output, FILE *file,
                                 struct hilum_error *error);
#endif
