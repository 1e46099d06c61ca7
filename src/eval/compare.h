/* Two models on the same cases: public as struct hilum_comparison. */
#ifndef HL_EVAL_COMPARE_H
#define HL_EVAL_COMPARE_H
#include "eval/scores.h"

struct hilum_comparison {
	size_t n, groups; /* compared; groups 0 where neither table has any */
	size_t cases;     /* that were made into groups; 0: they were not */
	size_t only[2];   /* cases of one table that the other lacks */
	int32_t classes;
	const char *aggregate; /* as in struct hilum_scores */
	double prevalence;
	int64_t resamples;
	double figure[2][HL_FIGURES];
	struct hl_interval interval[HL_FIGURES]; /* of the difference, first less second */
	struct hl_delong delong;                 /* where every case is its own group, of two classes; otherwise NaN */
};

/* Whether the interval of the difference leaves out 0. */
bool hl_comparison_is_significant(const struct hilum_comparison *comparison, int figure);
/* 0 or 1: the model with the better value. */
int hl_comparison_better(const struct hilum_comparison *comparison, int figure);
#endif
