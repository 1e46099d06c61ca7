#include "nn/schedule.h"

#include <math.h>

#define PI 3.14159265358979323846

/* Half a cosine from one value to another. */
static double anneal(double from, double to, double progress)
{
	return to + (from - to) / 2 * (1 + cos(PI * progress));
}

/* Smith & Topin, "Super-convergence", 2018, with PyTorch's defaults: up from lr/25 over the first 30 % of the steps
 * (or over the warm-up asked for), then down to lr/250000 at the last one. */
static double onecycle(const struct hl_schedule *schedule, int64_t step)
{
	double low = schedule->lr / 25, floor = low / 1e4;
	double rise = schedule->warmup > 0 ? (double)schedule->warmup : 0.3 * (double)schedule->steps;
	double peak = rise - 1, end = (double)schedule->steps - 1, at = (double)step;
	if (at >= end)
		return end > 0 ? floor : schedule->lr;
	if (at < peak)
		return anneal(low, schedule->lr, at / peak);
	return anneal(schedule->lr, floor, (at - peak) / (end - peak));
}

double hl_schedule_at(const struct hl_schedule *schedule, int64_t step)
{
	if (schedule->kind == HL_SCHEDULE_ONECYCLE)
		return onecycle(schedule, step);
	if (step < schedule->warmup)
		return schedule->lr * (double)(step + 1) / (double)schedule->warmup;
	int64_t done = step - schedule->warmup, left = schedule->steps - schedule->warmup, falls;
	switch (schedule->kind) {
	case HL_SCHEDULE_STEP:
		falls = schedule->step_every > 0 ? done / schedule->step_every : 0;
		return schedule->lr * pow(schedule->step_factor, (double)falls);
	case HL_SCHEDULE_COSINE:
		return done < left ? anneal(schedule->lr, 0, (double)done / (double)left) : 0;
	case HL_SCHEDULE_CONSTANT:
	case HL_SCHEDULE_ONECYCLE:
		break;
	}
	return schedule->lr;
}
