/* Augmentation of 8-bit images, keyed by (seed, epoch, index of the sample): the same at any number of workers. All
 * slices of a case are treated alike, so that what lies above each other stays so. */
#ifndef HL_DATA_AUGMENT_H
#define HL_DATA_AUGMENT_H
#include "base/random.h"
#include "data/recipe.h"

struct hl_augment {
	bool flip;         /* left-right */
	bool vflip;        /* up-down */
	bool quarter;      /* quarter turns */
	bool zflip;        /* of several slices: the last becomes the first */
	double rotate;     /* degrees either way */
	double shift;      /* share of the side either way */
	double zshift;     /* slices either way, in whole slices; beyond the ends there is black */
	double zoom;       /* 0.1: by a factor in [1/1.1, 1.1] */
	double brightness; /* added, share of full scale, either way */
	double contrast;   /* 0.2: by a factor in [1/1.2, 1.2] about the mean */
	double noise;      /* standard deviation up to, share of full scale */
	double blur;       /* Gaussian sigma up to, pixels */
	double cutout;     /* side of a square of the image's mean up to, share of the side */
	double mixup;      /* alpha of the Beta distribution (Zhang et al., "mixup", ICLR 2018); done by the loader */
};

/* "none", "light", "medium", "strong", or a list "flip,rotate=15,noise=0.02" that a level may head; NULL: none. */
enum hilum_status hl_augment_parse(const char *text, struct hl_augment *out, struct hilum_error *error);
/* in and out differ; hl_recipe_bytes each. scratch: hl_augment_scratch(recipe) bytes from hl_alloc. */
void hl_augment_apply(const struct hl_augment *augment, const struct hl_recipe *recipe, uint64_t seed, uint32_t epoch,
                      uint32_t index, const uint8_t *in, uint8_t *out, void *scratch);
/* Nothing drawn: every strength as it is written, shifts to the right and down, and what is on or off is as it says. */
void hl_augment_exactly(const struct hl_augment *augment, const struct hl_recipe *recipe, uint64_t seed, uint32_t index,
                        const uint8_t *in, uint8_t *out, void *scratch);
size_t hl_augment_scratch(const struct hl_recipe *recipe);
#endif
