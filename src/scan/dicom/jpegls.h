/* The model of JPEG-LS (ITU-T T.87, ISO/IEC 14495-1) that decoder and encoder share: names as in its annex A. Within
 * this folder only. */
#ifndef HL_SCAN_DICOM_JPEGLS_H
#define HL_SCAN_DICOM_JPEGLS_H
#include <stdbool.h>
#include <stdint.h>

enum { HL_LS_CONTEXTS = 365 };

struct hl_ls_context {
	int32_t a, b, c, n;
};

/* Of run interruption. */
struct hl_ls_run {
	int32_t a, n, negative;
};

struct hl_ls {
	int32_t maximum, near, t1, t2, t3, reset;
	int32_t step, range, bits, limit; /* 2 NEAR + 1, RANGE, qbpp, LIMIT */
	struct hl_ls_context context[HL_LS_CONTEXTS];
	struct hl_ls_run run[2];
	int32_t run_index[4]; /* by component */
};

/* A.7.1.1: how long the next part of a run is, as a power of two. */
static const uint8_t hl_ls_order[32] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,  2,  3,  3,  3,  3,
                                        4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* maximum: MAXVAL; t1 to t3 and reset: 0 for the defaults (C.2.4.1.1). False where they cannot be. */
bool hl_ls_begin(struct hl_ls *ls, int32_t maximum, int32_t near, const int32_t preset[4]);

static inline int32_t hl_ls_median(int32_t a, int32_t b, int32_t c)
{
	int32_t low = a < b ? a : b, high = a < b ? b : a;
	return c >= high ? low : c <= low ? high : a + b - c;
}

static inline int hl_ls_quantise(const struct hl_ls *ls, int32_t d)
{
	int32_t size = d < 0 ? -d : d;
	int q = size <= ls->near ? 0 : size < ls->t1 ? 1 : size < ls->t2 ? 2 : size < ls->t3 ? 3 : 4;
	return d < 0 ? -q : q;
}

/* A.3.4, with the sign taken out; *sign is -1 or 1. 0: all gradients are flat, a run begins. */
static inline int hl_ls_find(const struct hl_ls *ls, int32_t a, int32_t b, int32_t c, int32_t d, int32_t *sign)
{
	int q = 81 * hl_ls_quantise(ls, d - b) + 9 * hl_ls_quantise(ls, b - c) + hl_ls_quantise(ls, c - a);
	*sign = q < 0 ? -1 : 1;
	return q < 0 ? -q : q;
}

static inline int hl_ls_golomb(int32_t n, int32_t a)
{
	int k = 0;
	while (k < 24 && n << k < a)
		k++;
	return k;
}

static inline int32_t hl_ls_clamp(const struct hl_ls *ls, int32_t value)
{
	return value < 0 ? 0 : value > ls->maximum ? ls->maximum : value;
}

/* A.4.2. */
static inline int32_t hl_ls_predict(const struct hl_ls *ls, const struct hl_ls_context *context, int32_t sign,
                                    int32_t a, int32_t b, int32_t c)
{
	return hl_ls_clamp(ls, hl_ls_median(a, b, c) + (sign < 0 ? -context->c : context->c));
}

/* A.6: what error has taught. */
static inline void hl_ls_learn(const struct hl_ls *ls, struct hl_ls_context *context, int32_t error)
{
	context->b += error * ls->step;
	context->a += error < 0 ? -error : error;
	if (context->n == ls->reset) {
		context->a >>= 1;
		context->b = context->b >= 0 ? context->b >> 1 : -((1 - context->b) >> 1);
		context->n >>= 1;
	}
	context->n++;
	if (context->b <= -context->n) {
		context->b += context->n;
		context->c -= context->c > -128;
		if (context->b <= -context->n)
			context->b = 1 - context->n;
	} else if (context->b > 0) {
		context->b -= context->n;
		context->c += context->c < 127;
		if (context->b > 0)
			context->b = 0;
	}
}

static inline void hl_ls_learn_run(const struct hl_ls *ls, struct hl_ls_run *run, int32_t error, int32_t mapped,
                                   int type)
{
	run->negative += error < 0;
	run->a += (mapped + 1 - type) >> 1;
	if (run->n == ls->reset) {
		run->a >>= 1;
		run->n >>= 1;
		run->negative >>= 1;
	}
	run->n++;
}

/* A.4.5, A.5: a prediction and its error, of whose multiples of RANGE nothing is known, to the value. */
static inline int32_t hl_ls_restore(const struct hl_ls *ls, int32_t prediction, int32_t error)
{
	int32_t value = prediction + error * ls->step;
	if (value < -ls->near)
		value += ls->range * ls->step;
	else if (value > ls->maximum + ls->near)
		value -= ls->range * ls->step;
	return hl_ls_clamp(ls, value);
}

/* Whether an interruption's error is mapped the other way round (A.7.2.2). */
static inline bool hl_ls_is_turned(const struct hl_ls_run *run, int k)
{
	return k != 0 || 2 * run->negative >= run->n;
}
#endif
