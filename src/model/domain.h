/* What a model's training pictures were like, so that it can refuse what is of another kind and flag what lies far from
 * them. Made at the start of training (train/domain), kept in the model's metadata as JSON:
 *
 *   {"chest": {"looked": n, "chests": m, "rule": true | false},
 *    "traits": null | {"mean": [t...], "factor": [...], "threshold": d, "rate": r, "cases": n, "part": "val" |
 * "train"}}
 *
 * chest   of looked pictures of the training part, chests were slices of a chest CT (scan/chest.h); where that is
 * nearly all, the rule is that the model answers for such pictures only traits  mean and covariance of the training
 * part's figures (data/traits.h); the distance is that of Mahalanobis over the root of their number. factor: the rows
 * of the covariance's lower Cholesky factor, one after another. Of cases of a part, of which a share of rate at the
 * most lies beyond it, threshold was taken */
#ifndef HL_MODEL_DOMAIN_H
#define HL_MODEL_DOMAIN_H
#include "base/error.h"

#define HL_DOMAIN_TRAITS_MAX 256

struct hl_domain {
	int64_t looked, chests;
	bool rule;
	int32_t traits; /* 0: none */
	double *mean, *factor;
	double threshold, rate;
	int64_t cases;
	bool validation; /* of the validation part; otherwise of the training part itself */
};

/* HILUM_ERROR_FORMAT where the text is damaged or a number is out of bounds. hl_domain_free. */
enum hilum_status hl_domain_parse(const char *text, struct hl_domain *out, struct hilum_error *error);
/* A new string (hl_free); NULL without memory. */
char *hl_domain_print(const struct hl_domain *domain);
void hl_domain_free(struct hl_domain *domain);

/* Fits mean and factor to count rows of traits figures, count >= 1: the covariance is drawn a tenth of the way to its
 * diagonal, whose entries are at least (1/255)^2, so that it can be inverted. */
enum hilum_status hl_domain_fit(struct hl_domain *domain, const double *rows, size_t count, int32_t traits,
                                struct hilum_error *error);
/* Of a row of domain->traits figures. */
double hl_domain_distance(const struct hl_domain *domain, const double *row);
#endif
