/* Candidates: for each picture those that look most like it, in any of many positions. */
#ifndef HL_DATA_ALIKE_SEARCH_H
#define HL_DATA_ALIKE_SEARCH_H
#include "data/alike_match.h"

#define HL_ALIKE_KEPT 24 /* candidates of a picture */

struct hl_candidate {
	uint32_t index;   /* into the list of pictures searched */
	uint16_t variant; /* the position in which they agree */
	float likeness;   /* cosine of the vectors; below 0: no candidate */
};

/* pictures: small pictures (HL_LOOK_PIXELS each). out: count * HL_ALIKE_KEPT, best first. */
enum hilum_status hl_alike_search(const uint8_t *const *pictures, size_t count, bool cheap, int32_t threads,
                                  const struct hl_watch *watch, struct hl_candidate *out, struct hilum_error *error);

/* Where a place of the candidate is found in the picture that it is a candidate of. */
struct hl_affine hl_alike_start(uint16_t variant);
#endif
