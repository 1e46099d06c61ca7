/* Candidates: for each picture those that look most like it, in any of many positions. */
#ifndef HL_DATA_ALIKE_SEARCH_H
#define HL_DATA_ALIKE_SEARCH_H
#include "data/alike_match.h"

/* Candidates of a picture: those most like it where it is or was moved a little, turned, and cut, each kept apart, for
 * chests in the same place look more like each other than one does like a part of itself. */
#define HL_ALIKE_WAYS 3
#define HL_ALIKE_OF_A_WAY 16
#define HL_ALIKE_KEPT (HL_ALIKE_WAYS * HL_ALIKE_OF_A_WAY)

struct hl_candidate {
	uint32_t index;         /* into the list of pictures searched */
	float likeness;         /* cosine of the vectors; below 0: no candidate */
	struct hl_affine start; /* where about a place of the candidate is found in the picture that it is one of */
};

/* pictures: small pictures (HL_LOOK_PIXELS each). out: count * HL_ALIKE_KEPT, way by way, best first. */
enum hilum_status hl_alike_search(const uint8_t *const *pictures, size_t count, bool cheap, int32_t threads,
                                  const struct hl_watch *watch, struct hl_candidate *out, struct hilum_error *error);
#endif
