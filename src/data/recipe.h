/* The recipe turns any case into the net's input, the same way in training and in use; it is stored in the model.
 * scan slice → grey [0,1] (window for Hounsfield units, full scale otherwise) → square (crop: the shorter side becomes
 * size and the middle is kept; pad: the longer side becomes size, the image is centred and the rest is black, which is
 * air, the window's bottom; of either square only the middle, where that is asked for) → 8-bit → (x/255 - mean) /
 * deviation. Either way an image's shape says nothing.
 *
 * A case is one slice (2-D), a slice with its neighbours as channels (2.5-D; beyond an end the last slice is repeated),
 * or a stack or volume (3-D; beyond an end there is black). The 8-bit image of a case is its slices one after another.
 */
#ifndef HL_DATA_RECIPE_H
#define HL_DATA_RECIPE_H
#include "nn/tensor.h"
#include "scan/chest.h"
#include "scan/window.h"

enum hl_fit { HL_FIT_CROP, HL_FIT_PAD };
enum hl_dims { HL_DIMS_2, HL_DIMS_25, HL_DIMS_3 };
/* 3-D: the middle depth slices; all from end to end made into depth; of a chest, those from the first that shows lung
 * to the last (data/lung_slices.h), of stacks all. */
enum hl_extent { HL_EXTENT_MIDDLE, HL_EXTENT_WHOLE, HL_EXTENT_LUNGS };
extern const char *const hl_dims_names[], *const hl_extent_names[]; /* NULL-terminated */

#define HL_RECIPE_SIZE_MAX 2048
#define HL_RECIPE_MIDDLE_MIN 0.0625 /* so that the whole square stays small enough */
#define HL_RECIPE_DEPTH_MAX 512
#define HL_RECIPE_BYTES_MAX ((size_t)64 << 20)

struct hl_recipe {
	int32_t channels; /* of a slice: 1 grey, 3 RGB, or as many as there are windows */
	int32_t size;     /* pixels a side */
	enum hl_fit fit;
	double middle;           /* share of that square's side that is kept, from its middle; 1 or 0: all */
	struct hl_window window; /* for inputs in Hounsfield units */
	int32_t beside_count;    /* further windows, which are further channels: 0 to 2 */
	struct hl_window beside[HL_WINDOWS_MAX - 1];
	double mean[3], deviation[3]; /* of the training part, on [0, 1] */
	enum hl_dims dims;
	/* Not used in 2-D: */
	int32_t depth;         /* slices of the input */
	double spacing;        /* mm from slice to slice of the input; 0: the case's own slices */
	enum hl_extent extent; /* 3-D; spacing goes with middle only */
};

/* 1 x 1 x size x size x channels, channels times depth in 2.5-D, 1 x depth x ... in 3-D */
struct hl_shape hl_recipe_shape(const struct hl_recipe *recipe);
bool hl_recipe_has_channels(const struct hl_recipe *recipe, int64_t channels); /* a slice may have so many */
int32_t hl_recipe_depth(const struct hl_recipe *recipe);                       /* slices of the input: 1 in 2-D */
size_t hl_recipe_plane_size(const struct hl_recipe *recipe);                   /* size * size * channels */
size_t hl_recipe_bytes(const struct hl_recipe *recipe);                        /* depth * size * size * channels */

/* One slice of a volume as size x size x channels values in [0, 1]. */
enum hilum_status hl_recipe_plane(const struct hl_recipe *recipe, const struct hl_volume *volume, int32_t z, float *out,
                                  struct hilum_error *error);
/* The way back: a map of size x size values over the recipe's square, laid over the slice of width x height pixels that
 * the square was made of; 0 where the slice was cut off. */
enum hilum_status hl_recipe_unplace(const struct hl_recipe *recipe, const float *map, int32_t width, int32_t height,
                                    float *out, struct hilum_error *error);
/* A case from a volume in memory as 8-bit image; in 2-D and 2.5-D around slice z. */
enum hilum_status hl_recipe_apply_at(const struct hl_recipe *recipe, const struct hl_volume *volume, int32_t z,
                                     uint8_t *out, struct hilum_error *error);
/* The same around the middle slice. */
enum hilum_status hl_recipe_apply(const struct hl_recipe *recipe, const struct hl_volume *volume, uint8_t *out,
                                  struct hilum_error *error);

/* What was met in reading a case. */
struct hl_met {
	bool narrow;                 /* hl_volume_is_narrow of its volume, or of any of its pictures */
	int32_t slices;              /* that there were to choose from */
	enum hl_chest_verdict chest; /* of its volume; of a stack, of the files that were read */
};
enum hilum_status hl_recipe_meet(const struct hl_volume *volume, struct hl_met *met, struct hilum_error *error);
/* From a file, a folder with a series or an archive: load, apply, free. met: NULL where not asked. */
enum hilum_status hl_recipe_open(const struct hl_recipe *recipe, const char *path, uint8_t *out, struct hl_met *met,
                                 struct hilum_error *error);
/* From a stack of count files of one slice each, in order; in 2-D and 2.5-D around slice z. Only the files that are
 * needed are read. */
enum hilum_status hl_recipe_open_stack(const struct hl_recipe *recipe, char *const *files, int32_t count, int32_t z,
                                       uint8_t *out, struct hl_met *met, struct hilum_error *error);
/* Which of count slices slice k of a 3-D input shows the most of; volume NULL: of a stack. */
enum hilum_status hl_recipe_source(const struct hl_recipe *recipe, const struct hl_volume *volume, int32_t count,
                                   int32_t k, int32_t *z, struct hilum_error *error);
/* 8-bit image to the net's input. */
void hl_recipe_normalise(const struct hl_recipe *recipe, const uint8_t *image, float *out);
/* The same for share * a + (1 - share) * b, which is not rounded. */
void hl_recipe_blend(const struct hl_recipe *recipe, const uint8_t *a, const uint8_t *b, float share, float *out);

/* JSON, a new string (hl_free); and back, every value range-checked. */
char *hl_recipe_json(const struct hl_recipe *recipe);
enum hilum_status hl_recipe_parse(const char *json, struct hl_recipe *out, struct hilum_error *error);
#endif
