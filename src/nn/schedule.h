/* Learning-rate schedules as pure functions of progress. */
#ifndef HL_NN_SCHEDULE_H
#define HL_NN_SCHEDULE_H
#include <stdint.h>

enum hl_schedule_kind { HL_SCHEDULE_CONSTANT, HL_SCHEDULE_STEP, HL_SCHEDULE_COSINE, HL_SCHEDULE_ONECYCLE };

struct hl_schedule {
	enum hl_schedule_kind kind;
	double lr;          /* the peak */
	int64_t steps;      /* in all */
	int64_t warmup;     /* steps of linear warm-up; of ONECYCLE's rise (0: 30 % of the steps) */
	int64_t step_every; /* STEP: multiplied by step_factor every so many steps */
	double step_factor; /* 0.1 */
};

double hl_schedule_at(const struct hl_schedule *schedule, int64_t step); /* step from 0 */
#endif
