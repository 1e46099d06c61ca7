#include "data/flaw.h"

#include "data/augment.h"
#include "scan/format.h"

#include <string.h>

#define SEED 1 /* of the noise */

const struct hl_flaw_name hl_flaw_names[HL_FLAW_KINDS] = {[HL_FLAW_NOISE] = {"noise", "share of full scale"},
                                                          [HL_FLAW_BLUR] = {"blur", "pixels"},
                                                          [HL_FLAW_BRIGHTNESS] = {"brightness", "share of full scale"},
                                                          [HL_FLAW_SHIFT] = {"shift", "share of the side"},
                                                          [HL_FLAW_JPEG] = {"JPEG", "quality"}};

static enum hilum_status compress(const struct hl_recipe *recipe, int32_t quality, const uint8_t *in, uint8_t *out,
                                  uint8_t *plane, struct hilum_error *error)
{
	size_t pixels = (size_t)recipe->size * (size_t)recipe->size, channels = (size_t)recipe->channels;
	enum hilum_status status = HILUM_OK;
	for (int32_t z = 0; z < hl_recipe_depth(recipe) && !status;
	     z++, in += pixels * channels, out += pixels * channels)
		for (size_t c = 0; c < channels && !status; c++) {
			for (size_t i = 0; i < pixels; i++)
				plane[i] = in[i * channels + c];
			status = hl_jpeg_pass(plane, recipe->size, recipe->size, quality, error);
			for (size_t i = 0; i < pixels; i++)
				out[i * channels + c] = plane[i];
		}
	return status;
}

enum hilum_status hl_flaw_apply(const struct hl_flaw *flaw, const struct hl_recipe *recipe, uint32_t index,
                                const uint8_t *in, uint8_t *out, void *scratch, struct hilum_error *error)
{
	struct hl_augment exactly = {.flip = false};
	switch (flaw->kind) {
	case HL_FLAW_NOISE:
		exactly.noise = flaw->strength;
		break;
	case HL_FLAW_BLUR:
		exactly.blur = flaw->strength;
		break;
	case HL_FLAW_BRIGHTNESS:
		exactly.brightness = flaw->strength;
		break;
	case HL_FLAW_SHIFT:
		exactly.shift = flaw->strength;
		break;
	default:
		return compress(recipe, (int32_t)flaw->strength, in, out, scratch, error);
	}
	hl_augment_exactly(&exactly, recipe, SEED, index, in, out, scratch);
	return HILUM_OK;
}
