/* A picture with one flaw of a known strength, as other scanners and other archives would give it: what a network's
 * robustness is measured with. Flaws are put into the 8-bit image that the network sees. */
#ifndef HL_DATA_FLAW_H
#define HL_DATA_FLAW_H
#include "data/recipe.h"

enum hl_flaw_kind { HL_FLAW_NOISE, HL_FLAW_BLUR, HL_FLAW_BRIGHTNESS, HL_FLAW_SHIFT, HL_FLAW_JPEG, HL_FLAW_KINDS };

struct hl_flaw {
	enum hl_flaw_kind kind;
	double strength;
};

/* What a strength means, for people and for machines. */
struct hl_flaw_name {
	const char *name, *unit;
};
extern const struct hl_flaw_name hl_flaw_names[HL_FLAW_KINDS];

/* in and out differ; hl_recipe_bytes each. scratch: hl_augment_scratch(recipe) bytes. The same index, the same noise.
 * Noise: normal, its standard deviation a share of full scale. Blur: Gaussian, sigma in pixels. Brightness: added, a
 * share of full scale. Shift: to the right and down, a share of the side, air behind it. JPEG: quality 1 to 100 (ITU-T
 * T.81 with the tables of its annex K scaled as libjpeg does), every channel for itself. */
enum hilum_status hl_flaw_apply(const struct hl_flaw *flaw, const struct hl_recipe *recipe, uint32_t index,
                                const uint8_t *in, uint8_t *out, void *scratch, struct hilum_error *error);
#endif
