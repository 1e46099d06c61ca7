/* The recipe turns any scan into the net's input, the same way in training and in use; it is stored in the model.
 * scan slice → grey [0,1] (window for Hounsfield units, full scale otherwise) → square (crop: the shorter side becomes
 * size and the middle is kept; pad: the longer side becomes size, the image is centred and the rest is black, which is
 * air, the window's bottom) → 8-bit → (x/255 - mean) / deviation. Either way an image's shape says nothing. */
#ifndef HL_DATA_RECIPE_H
#define HL_DATA_RECIPE_H
#include "nn/tensor.h"
#include "scan/window.h"

enum hl_fit { HL_FIT_CROP, HL_FIT_PAD };

#define HL_RECIPE_SIZE_MAX 2048

struct hl_recipe {
	int32_t channels; /* 1 grey, 3 RGB */
	int32_t size;     /* pixels a side */
	enum hl_fit fit;
	struct hl_window window;      /* for inputs in Hounsfield units */
	double mean[3], deviation[3]; /* of the training part, on [0, 1] */
};

struct hl_shape hl_recipe_shape(const struct hl_recipe *recipe); /* 1 x 1 x size x size x channels */
size_t hl_recipe_bytes(const struct hl_recipe *recipe);          /* size * size * channels */

/* The middle slice of a volume as 8-bit image, size x size x channels. */
enum hilum_status hl_recipe_apply(const struct hl_recipe *recipe, const struct hl_volume *volume, uint8_t *out,
                                  struct hilum_error *error);
/* From a file, a folder with a series or an archive: load, apply, free. *narrow as hl_volume_is_narrow; NULL: not
 * asked. */
enum hilum_status hl_recipe_open(const struct hl_recipe *recipe, const char *path, uint8_t *out, bool *narrow,
                                 struct hilum_error *error);
/* 8-bit image to the net's input. */
void hl_recipe_normalise(const struct hl_recipe *recipe, const uint8_t *image, float *out);
/* The same for share * a + (1 - share) * b, which is not rounded. */
void hl_recipe_blend(const struct hl_recipe *recipe, const uint8_t *a, const uint8_t *b, float share, float *out);

/* JSON, a new string (hl_free); and back, every value range-checked. */
char *hl_recipe_json(const struct hl_recipe *recipe);
enum hilum_status hl_recipe_parse(const char *json, struct hl_recipe *out, struct hilum_error *error);
#endif
