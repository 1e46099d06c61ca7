/* Figures and intervals as JSON. */
#ifndef HL_EVAL_JSON_H
#define HL_EVAL_JSON_H
#include "eval/confidence.h"

#include <jansson.h>

/* JSON has no NaN: an undefined figure is null. */
json_t *hl_json_number(double value);
/* [low, high], or null where there is none. */
json_t *hl_json_interval(struct hl_interval interval);
/* Where intervals come from; null where there are none. groups 0: every case was taken as independent. */
json_t *hl_json_resampling(int64_t resamples, size_t groups);
/* On one line, as a new string (hl_free), or NULL without memory. Gives the object back. */
char *hl_json_dump(json_t *root);
#endif
