/* Heat: which places of a network's input speak for a class.
 *
 * gradcam               a layer's maps, each weighted by the mean gradient of the logit by it, and summed (Selvaraju et
 *                       al., "Grad-CAM", ICCV 2017). The sum is kept as it is; its negative part speaks against
 * occlusion             how far the logit falls when a square is covered by what surrounds it (Zeiler and Fergus,
 *                       "Visualizing and understanding convolutional networks", ECCV 2014)
 * integrated-gradients  the gradient of the logit along the straight line from the blurred picture to the picture,
 * times what the picture is more than the blurred one (Sundararajan et al., "Axiomatic attribution for deep networks",
 * ICML 2017); over all values these sum up to the difference of the logits. Blurred over a sixteenth of the side, so
 * that what is small is told from what surrounds it; from black on, all that is bright has its share (Sturmfels et al.,
 * "Visualizing the impact of feature attribution baselines", Distill 2020)
 *
 * The logit of the first of two classes is minus that of the second. */
#ifndef HL_INFER_EXPLAIN_HEAT_H
#define HL_INFER_EXPLAIN_HEAT_H
#include "data/recipe.h"
#include "nn/plan.h"

struct hl_heat_options {
	enum hilum_method method;
	const char *layer; /* gradcam; NULL: chosen */
	int64_t patch;     /* occlusion: pixels a side; 0: a tenth of the input's side */
	int64_t steps;     /* integrated gradients */
	int32_t threads;
};

/* A network planned for one method. */
struct hl_heat {
	struct hl_heat_options options;
	const struct hl_graph *graph;
	const struct hl_recipe *recipe;
	struct hl_plan *plan; /* of batch images */
	int64_t batch;
	int32_t outputs, target; /* class that the heat speaks for */
	int32_t depth, size;     /* of a map: depth x size x size; 2-D and 2.5-D: depth 1 */
	int32_t patch, patch_depth;
	int32_t node; /* gradcam */
	float *input, *dlogits;
	size_t input_bytes;
	float *activation, *gradient; /* gradcam: of node, for one image */
};

/* The last layer with maps of 7 x 7 or more behind a convolution; of smaller ones the largest. HILUM_ERROR_UNSUPPORTED
 * where there are none. */
enum hilum_status hl_heat_choose_layer(const struct hl_graph *graph, int32_t *node, struct hilum_error *error);

/* graph and recipe are borrowed. hl_heat_close, also after a failure. */
enum hilum_status hl_heat_open(struct hl_heat *heat, const struct hl_graph *graph, const struct hl_recipe *recipe,
                               const struct hl_heat_options *options, struct hilum_error *error);
void hl_heat_close(struct hl_heat *heat);
/* The weights to use from now on: graph->floats, borrowed. */
void hl_heat_bind(struct hl_heat *heat, float *slab);

size_t hl_heat_count(const struct hl_heat *heat); /* values of a map */

/* Logits of all outputs of count 8-bit images of the recipe. */
enum hilum_status hl_heat_logits(struct hl_heat *heat, const uint8_t *images, int64_t count, float *logits,
                                 struct hilum_error *error);
/* The target class's logit among those of one image. */
double hl_heat_score(const struct hl_heat *heat, const float *logits);

/* What integrated gradients sum up to, and what they should. */
struct hl_completeness {
	double sum, difference;
};

/* The map of one 8-bit image: positive where a place speaks for the target class. complete may be NULL. */
enum hilum_status hl_heat_map(struct hl_heat *heat, const uint8_t *image, float *map, struct hl_completeness *complete,
                              struct hilum_error *error);

/* Smooths a map over a thirty-second of the side (a normal curve's standard deviation), each plane alone: gradients of
 * single pixels are noisy, and between the few places of a layer the hottest one is sought. What occlusion makes stays
 * as it is. */
enum hilum_status hl_heat_smooth(const struct hl_heat *heat, float *map, struct hilum_error *error);

/* A box of an image: from first (z, y, x) on, size voxels a side, within the image. */
struct hl_box {
	int32_t first[3], size[3];
};
/* The box of a patch whose middle lies at a place; what reaches beyond the image is cut off. */
struct hl_box hl_heat_box(const struct hl_heat *heat, const double middle[3]);
/* Covers a box by what surrounds it, each pixel by a mean in which what is near weighs most; each slice and channel
 * alone. */
void hl_heat_cover(const struct hl_heat *heat, uint8_t *image, const struct hl_box *box);
#endif
