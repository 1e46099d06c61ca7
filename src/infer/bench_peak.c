/* What this machine's arithmetic can do at most, measured. Each loop has as many accumulators as hide the latency of
 * its instruction in two units (4 to 6 cycles), and no more than there are registers. */
#include "infer/bench.h"

#include <time.h>

#define ACCUMULATORS 14
#define RUN_SECONDS 0.006
#define RUNS 8

/* Four lanes, which every processor that gcc knows can hold in a register or in four. */
typedef float plain_vector __attribute__((vector_size(16)));

static double run_plain(int64_t rounds)
{
	plain_vector sum[ACCUMULATORS] = {{0}}, one = {1, 1, 1, 1};
	double total = 0;
	/* Not to be known when the program is compiled. */
	__asm__ volatile("" : "+m"(one));
	for (int64_t i = 0; i < rounds; i++) {
#pragma GCC unroll 14
		for (int k = 0; k < ACCUMULATORS; k++)
			sum[k] = sum[k] * one + one;
	}
	for (int k = 0; k < ACCUMULATORS; k++)
		for (int lane = 0; lane < 4; lane++)
			total += (double)sum[k][lane];
	return total;
}

static bool on_any(const struct hl_cpu *cpu)
{
	(void)cpu;
	return true;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2,fma"))) static double run_avx2(int64_t rounds)
{
	__m256 sum[ACCUMULATORS], one = _mm256_set1_ps(1);
	double total = 0;
	float lane[8];
	__asm__ volatile("" : "+x"(one));
	for (int k = 0; k < ACCUMULATORS; k++)
		sum[k] = _mm256_setzero_ps();
	for (int64_t i = 0; i < rounds; i++) {
#pragma GCC unroll 14
		for (int k = 0; k < ACCUMULATORS; k++)
			sum[k] = _mm256_fmadd_ps(sum[k], one, one);
	}
	for (int k = 0; k < ACCUMULATORS; k++) {
		_mm256_storeu_ps(lane, sum[k]);
		for (int i = 0; i < 8; i++)
			total += (double)lane[i];
	}
	return total;
}

__attribute__((target("avx512f"))) static double add_lanes(const __m512 *sum)
{
	double total = 0;
	float lane[16];
	for (int k = 0; k < ACCUMULATORS; k++) {
		_mm512_storeu_ps(lane, sum[k]);
		for (int i = 0; i < 16; i++)
			total += (double)lane[i];
	}
	return total;
}

__attribute__((target("avx512f"))) static double run_avx512(int64_t rounds)
{
	__m512 sum[ACCUMULATORS], one = _mm512_set1_ps(1);
	__asm__ volatile("" : "+v"(one));
	for (int k = 0; k < ACCUMULATORS; k++)
		sum[k] = _mm512_setzero_ps();
	for (int64_t i = 0; i < rounds; i++) {
#pragma GCC unroll 14
		for (int k = 0; k < ACCUMULATORS; k++)
			sum[k] = _mm512_fmadd_ps(sum[k], one, one);
	}
	return add_lanes(sum);
}

/* vdpbf16ps: 16 lanes, each the sum of two products. */
__attribute__((target("avx512f,avx512bf16"))) static double run_bf16(int64_t rounds)
{
	__m512 sum[ACCUMULATORS];
	__m512bh one = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1), _mm512_set1_ps(1));
	__asm__ volatile("" : "+v"(one));
	for (int k = 0; k < ACCUMULATORS; k++)
		sum[k] = _mm512_setzero_ps();
	for (int64_t i = 0; i < rounds; i++) {
#pragma GCC unroll 14
		for (int k = 0; k < ACCUMULATORS; k++)
			sum[k] = _mm512_dpbf16_ps(sum[k], one, one);
	}
	return add_lanes(sum);
}

/* vpdpbusd: 16 lanes, each the sum of four products of an unsigned and a signed byte. */
__attribute__((target("avx512f,avx512vnni"))) static double run_int8(int64_t rounds)
{
	__m512i sum[ACCUMULATORS], one = _mm512_set1_epi32(0x01010101);
	double total = 0;
	int32_t lane[16];
	__asm__ volatile("" : "+v"(one));
	for (int k = 0; k < ACCUMULATORS; k++)
		sum[k] = _mm512_setzero_si512();
	for (int64_t i = 0; i < rounds; i++) {
#pragma GCC unroll 14
		for (int k = 0; k < ACCUMULATORS; k++)
			sum[k] = _mm512_dpbusd_epi32(sum[k], one, one);
	}
	for (int k = 0; k < ACCUMULATORS; k++) {
		_mm512_storeu_si512(lane, sum[k]);
		for (int i = 0; i < 16; i++)
			total += lane[i];
	}
	return total;
}

static bool on_avx2(const struct hl_cpu *cpu)
{
	return cpu->avx2;
}

static bool on_avx512(const struct hl_cpu *cpu)
{
	return cpu->avx512;
}

static bool on_bf16(const struct hl_cpu *cpu)
{
	return cpu->avx512_bf16;
}

static bool on_int8(const struct hl_cpu *cpu)
{
	return cpu->avx512_vnni;
}
#endif

const struct hl_peak_loop hl_peak_loops[] = {
    {"plain", HL_BENCH_FP32, 2.0 * ACCUMULATORS * 4, on_any, run_plain},
#if defined(__x86_64__)
    {"avx2", HL_BENCH_FP32, 2.0 * ACCUMULATORS * 8, on_avx2, run_avx2},
    {"avx512", HL_BENCH_FP32, 2.0 * ACCUMULATORS * 16, on_avx512, run_avx512},
    {"avx512_bf16", HL_BENCH_BF16, 2.0 * ACCUMULATORS * 16 * 2, on_bf16, run_bf16},
    {"avx512_vnni", HL_BENCH_INT8, 2.0 * ACCUMULATORS * 16 * 4, on_int8, run_int8},
#endif
    {.name = NULL},
};

/* ---- timing ---- */

static double seconds(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Rounds a second of all threads together, each by its own processor time: what other programs take meanwhile does not
 * count, what threads of one core take from each other does. */
static double run_once(const struct hl_peak_loop *loop, int32_t threads, int64_t rounds)
{
	double rate = 0, sum = 0;
#pragma omp parallel num_threads(threads) reduction(+ : rate, sum)
	{
#pragma omp barrier
		double began = seconds(CLOCK_THREAD_CPUTIME_ID);
		sum = loop->run(rounds);
		double took = seconds(CLOCK_THREAD_CPUTIME_ID) - began;
		rate = took > 0 ? (double)rounds / took : 0;
	}
	/* The sum is used, so that no compiler may leave the loop out. */
	return sum > 0 ? rate : 0;
}

static double measure(const struct hl_peak_loop *loop, int32_t threads)
{
	double best = 0;
	int64_t rounds = 1000;
	/* As many rounds as one run is to take. The first runs also wake the threads and the wide units. */
	for (;;) {
		double began = seconds(CLOCK_MONOTONIC);
		(void)run_once(loop, threads, rounds);
		if (seconds(CLOCK_MONOTONIC) - began >= RUN_SECONDS || rounds > INT64_MAX / 4)
			break;
		rounds *= 2;
	}
	for (int i = 0; i < RUNS; i++) {
		double rate = run_once(loop, threads, rounds);
		best = rate > best ? rate : best;
	}
	return best * loop->operations * 1e-9;
}

struct hl_peak hl_peak_measure(enum hl_bench_precision precision, int32_t threads)
{
	struct hl_cpu cpu = hl_cpu_describe();
	struct hl_peak peak = {.name = NULL};
	int32_t cores = hl_cpu_count();
	/* More threads than cores reach no more. */
	if (threads > cores)
		threads = cores;
	for (const struct hl_peak_loop *loop = hl_peak_loops; loop->name; loop++) {
		if (!loop->runs_on(&cpu) || (loop->precision != precision && loop->precision != HL_BENCH_FP32))
			continue;
		double gflops = measure(loop, threads);
		if (!peak.name || gflops > peak.gflops)
			peak = (struct hl_peak){loop->name, gflops};
	}
	return peak;
}
