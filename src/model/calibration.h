/* What turns a network's probabilities into ones that mean what they say, and into low, high or uncertain. Fitted by
 * eval/calibrate, kept in the model's metadata as JSON, applied wherever the model answers:
 *
 *   {"map": {"kind": "none" | "temperature" | "platt", "slope": a, "intercept": b}
 *         | {"kind": "isotonic", "from": [p...], "to": [q...]},
 *    "conformal": null | {"alpha": x, "low_below": p, "high_above": p, ...},
 *    "fitted": {...}}                    where it comes from, for people
 *
 * temperature  the logits (of more than two classes: the logs of the probabilities) times a = 1/T (Guo et al. 2017)
 * platt        logit' = a logit + b, a > 0 (Platt 1999); two classes
 * isotonic     straight lines through the points (from, to), level beyond the ends; two classes
 * conformal    on the network's own probability p of class 1: "low" below low_below, unless p is above high_above too,
 *              which is "high"; otherwise "uncertain"; two classes */
#ifndef HL_MODEL_CALIBRATION_H
#define HL_MODEL_CALIBRATION_H
#include "base/error.h"

enum hl_map_kind { HL_MAP_NONE, HL_MAP_TEMPERATURE, HL_MAP_PLATT, HL_MAP_ISOTONIC };
extern const char *const hl_map_names[]; /* "none", ... */

#define HL_MAP_SLOPE_MAX 1000.0 /* slopes lie between its inverse and it, intercepts within +- it */
#define HL_MAP_KNOTS_MAX ((size_t)1 << 20)

struct hl_calibration {
	enum hl_map_kind kind;
	double slope, intercept;
	size_t knots;
	double *from, *to; /* rising and never falling, in [0, 1]; owned */
	bool conformal;
	double alpha, low_below, high_above;
};

/* HILUM_ERROR_FORMAT where the text is damaged, a number is out of bounds or the kind does not fit the classes.
 * hl_calibration_free. */
enum hilum_status hl_calibration_parse(const char *text, int32_t classes, struct hl_calibration *out,
                                       struct hilum_error *error);
void hl_calibration_free(struct hl_calibration *calibration);

/* log(p / (1 - p)) with p held within 2^-52 of 0 and 1. */
double hl_logit(double p);
/* Of class 1 of two. */
double hl_calibration_map(const struct hl_calibration *calibration, double p);
/* A row of all classes, in place. */
void hl_calibration_apply(const struct hl_calibration *calibration, int32_t classes, double *probability);
/* Of the network's own probability of class 1; HILUM_ZONE_NONE where there is no conformal part. */
enum hilum_zone hl_calibration_zone(const struct hl_calibration *calibration, double p);
#endif
