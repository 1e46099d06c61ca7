/* The triangle filter of both resamplings: for each output position, which inputs it sums and with which weights, of
 * sum 1. Where inputs are reduced its support grows with the reduction, which is what keeps fine detail from showing as
 * coarse (antialiasing); otherwise it is linear interpolation. */
#ifndef HL_SCAN_RESAMPLE_FILTER_H
#define HL_SCAN_RESAMPLE_FILTER_H
#include "base/error.h"

struct hl_filter {
	int32_t *first, *count;
	double *weight; /* a row of taps for each output position */
	size_t taps;
};

/* scale: inputs an output; output i lies at (i + 0.5) scale from the edge of the first input. hl_filter_free, whatever
 * this returns. */
enum hilum_status hl_filter_make(struct hl_filter *filter, int32_t in, int32_t out, double scale,
                                 struct hilum_error *error);
/* Moves each row of weights to its exact middle, from which a triangle of broken width strays by some hundredths of an
 * input: what rises evenly then stays exactly where it was. */
void hl_filter_center(struct hl_filter *filter, int32_t in, int32_t out, double scale);
void hl_filter_free(struct hl_filter *filter);
#endif
