/* Intervals of 95 % for every figure, by drawing groups (patients) with replacement.
 *
 * Drawing    Whole groups, as many as there are (cluster bootstrap: Field and Welsh, "Bootstrapping clustered data",
 *            J. R. Stat. Soc. B 69, 2007). Draws in which a class of the table does not occur are drawn again, for most
 *            figures are undefined there.
 * Interval   Bias-corrected and accelerated (BCa; Efron, "Better bootstrap confidence intervals", JASA 82, 1987), the
 *            acceleration from the jackknife over groups. With few groups BCa is too narrow for two reasons: resampling
 *            underestimates the variance, and it takes that variance for known. So its levels are moved outwards
 *            (Hesterberg, "What teachers should know about the bootstrap", Am. Stat. 69, 2015): 1.96 becomes the
 *            quantile of Student's t times the jackknife's standard error over the bootstrap's, where that is above 1.
 *            The degrees of freedom are those of the jackknife's variance, 2 / (sum d^4 / (sum d^2)^2 - 1/G) over the
 *            G groups' values d, from 1 to G - 1 (Satterthwaite's matching; for clusters Pan and Wall, Stat. Med. 21,
 *            2002): few groups count where few have a case of a class, or few hold most of the cases.
 * Threshold  Figures whose threshold is sought in the table itself (hl_figure.sought) are quantiles, for which the
 *            jackknife fails: percentiles, with levels moved as the ROC-AUC's.
 * Difference  Of two tables of the same cases: the difference, plus and minus its bootstrap standard error times the
 *            quantile of Student's t with the degrees of freedom above (where a threshold is sought, of the normal).
 * Perfect    Where every draw gives the same figure, draws say nothing. A figure that is perfect then gets the exact
 *            bound of a proportion (Clopper and Pearson, Biometrika 26, 1934) with every group counted as one case; an
 *            AUC of 1 the score interval of Newcombe (Stat. Med. 25, 2006, method 5) with groups for cases. Any other
 *            has no interval.
 *
 * docs/evaluation.md gives the coverage measured. Draw number b is a function of (seed, b) alone: the same bits with
 * any number of threads. */
#ifndef HL_EVAL_CONFIDENCE_H
#define HL_EVAL_CONFIDENCE_H
#include "eval/figures.h"

struct hl_interval {
	double low, high; /* both NaN: there is none */
};

#define HL_RESAMPLES 2000
#define HL_RESAMPLES_LEAST 100
#define HL_RESAMPLES_MOST 1000000

struct hl_resample_options {
	int64_t resamples; /* 0: no intervals */
	uint64_t seed;
};

/* The figures of every draw, and those with each block of groups left out in turn (a block is one group up to
 * HL_BLOCKS_MAX groups). */
#define HL_BLOCKS_MAX 1000
struct hl_resamples {
	size_t count, blocks;
	bool differences;              /* of two tables */
	double whole[HL_FIGURES];      /* of the table */
	double (*drawn)[HL_FIGURES];   /* count; a row of NaN where no draw held every class */
	double (*without)[HL_FIGURES]; /* blocks */
};

enum hilum_status hl_resamples_create(const struct hl_counting *counting, const struct hl_resample_options *options,
                                      struct hl_resamples *out, struct hilum_error *error);
void hl_resamples_free(struct hl_resamples *resamples);
/* Turns a into the differences a - b of two tables of the same cases, groups, count and seed. */
void hl_resamples_subtract(struct hl_resamples *a, const struct hl_resamples *b);
/* Of every figure. None where every draw is the same, fewer than nine in ten are defined, or there is one block only.
 */
enum hilum_status hl_resamples_intervals(const struct hl_resamples *resamples, struct hl_interval interval[HL_FIGURES],
                                         struct hilum_error *error);

/* What the values without each group in turn say: BCa's acceleration, the standard error, and its degrees of freedom as
 * above. NaNs are left out; without two different values the error is 0. */
struct hl_jackknife {
	double acceleration, error, df;
};
struct hl_jackknife hl_jackknife(const double *without, size_t stride, size_t count);

/* The intervals of all figures of a table; none at all with options->resamples of 0. */
enum hilum_status hl_confidence(const struct hl_counting *counting, const struct hl_resample_options *options,
                                struct hl_interval interval[HL_FIGURES], struct hilum_error *error);
#endif
