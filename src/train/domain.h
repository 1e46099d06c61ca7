/* What the training pictures are like: model/domain.h. */
#ifndef HL_TRAIN_DOMAIN_H
#define HL_TRAIN_DOMAIN_H
#include "train/prepare.h"

/* Share of training pictures that have to be slices of a chest for the rule that others are refused. */
#define HL_DOMAIN_CHESTS 0.95
/* Share of held-out pictures that may be flagged as unusual. */
#define HL_DOMAIN_RATE 0.01
/* Fewer training pictures do not tell what is usual. */
#define HL_DOMAIN_CASES_MIN 20

/* The text that the model holds (hl_free), from the loaded material. A pure function of the pictures. */
enum hilum_status hl_domain_make(const struct hl_material *material, char **out, struct hilum_error *error);
#endif
