/* What flaws of the pictures cost: public as struct hilum_robustness. */
#ifndef HL_EVAL_ROBUSTNESS_H
#define HL_EVAL_ROBUSTNESS_H
#include "data/flaw.h"
#include "eval/compare.h"

/* One flaw at one strength. */
struct hl_robustness_row {
	struct hl_flaw flaw;
	double figure[HL_FIGURES];
	double difference[HL_FIGURES];           /* to pictures as they are */
	struct hl_interval interval[HL_FIGURES]; /* of that */
	double moved;                            /* mean distance of the probabilities, the largest over the classes */
	size_t changed;                          /* cases of another class */
};

#define HL_ROBUSTNESS_FILE "robustness.json" /* in a run folder */

/* "noise, 5 %" */
#define HL_FLAW_TEXT 40
void hl_flaw_print(const struct hl_flaw *flaw, char text[HL_FLAW_TEXT]);

struct hilum_robustness {
	char part[16];
	size_t cases, groups;
	int64_t resamples;
	double figure[HL_FIGURES]; /* of pictures as they are */
	struct hl_interval interval[HL_FIGURES];
	size_t rows;
	struct hl_robustness_row *row;
};
#endif
