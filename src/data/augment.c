/* Augmentation in the order a scanner would give it: how the patient lies (one resampling for flips, quarter turns,
 * rotation, zoom and shift), how the picture is windowed (contrast, brightness), the reconstruction's sharpness (blur),
 * the dose (noise), and last what the net is kept from leaning on (cutout).
 *
 * All numbers of one image are drawn first and in a fixed order, used or not: switching one kind on or off leaves the
 * others as they were. */
#include "data/augment.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

#define NOISE_START 64 /* words of the stream that are left to the drawn numbers */
#define DEGREE 0.017453292519943295
#define RADIUS_MAX 30 /* three sigma of the largest blur */

static const struct hilum_option option_table[] = {
    {.name = "flip", .kind = HILUM_OPTION_FLAG, .offset = offsetof(struct hl_augment, flip), .help = "left-right"},
    {.name = "vflip", .kind = HILUM_OPTION_FLAG, .offset = offsetof(struct hl_augment, vflip), .help = "up-down"},
    {.name = "quarter",
     .kind = HILUM_OPTION_FLAG,
     .offset = offsetof(struct hl_augment, quarter),
     .help = "quarter turns"},
    {.name = "zflip",
     .kind = HILUM_OPTION_FLAG,
     .offset = offsetof(struct hl_augment, zflip),
     .help = "of several slices, the last becomes the first"},
#define REAL(member, high, text)                                                                                       \
	{                                                                                                              \
		.name = #member, .kind = HILUM_OPTION_REAL, .offset = offsetof(struct hl_augment, member),             \
		.maximum = high, .help = text                                                                          \
	}
    REAL(rotate, 180, "degrees either way"),
    REAL(shift, 0.5, "share of the side either way"),
    REAL(zshift, 64, "slices either way"),
    REAL(zoom, 1, "0.1: by a factor from 1/1.1 to 1.1"),
    REAL(brightness, 1, "share of full scale either way"),
    REAL(contrast, 4, "0.2: by a factor from 1/1.2 to 1.2 about the mean"),
    REAL(noise, 0.5, "standard deviation up to, share of full scale"),
    REAL(blur, 10, "Gaussian sigma up to, pixels"),
    REAL(cutout, 1, "side of a grey square up to, share of the side"),
    REAL(mixup, 10, "alpha of the Beta distribution"),
#undef REAL
    {.name = NULL},
};

static const struct {
	const char *name;
	struct hl_augment augment;
} levels[] = {
    {"none", {.flip = false}},
    {"light", {.flip = true, .rotate = 5, .shift = 0.05, .zoom = 0.05, .brightness = 0.05, .contrast = 0.05}},
    {"medium",
     {.flip = true, .rotate = 10, .shift = 0.08, .zoom = 0.1, .brightness = 0.1, .contrast = 0.1, .noise = 0.01}},
    {"strong",
     {.flip = true,
      .rotate = 20,
      .shift = 0.08,
      .zoom = 0.1,
      .brightness = 0.1,
      .contrast = 0.1,
      .noise = 0.02,
      .blur = 1,
      .cutout = 0.2}},
};

static bool set_level(const char *name, struct hl_augment *out)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(name, levels[i].name) == 0) {
			*out = levels[i].augment;
			return true;
		}
	}
	return false;
}

/* One item of the list; a level may stand first: "medium,mixup=0.2". */
static enum hilum_status set_item(struct hl_augment *augment, char *item, bool first, struct hilum_error *error)
{
	char *value = strchr(item, '=');
	if (first && set_level(item, augment))
		return HILUM_OK;
	if (value)
		*value++ = '\0';
	const struct hilum_option *option = hilum_option_find(option_table, item);
	if (!option)
		return hl_fail(
		    error, HILUM_ERROR_ARGUMENT,
		    "--augment: no \"%.40s\"; there are none, light, medium, strong or a list of flip, vflip, "
		    "quarter, zflip, rotate=, shift=, zshift=, zoom=, brightness=, contrast=, noise=, blur=, cutout=, "
		    "mixup=",
		    item);
	enum hilum_status status = hilum_option_set(option_table, augment, item, value, error);
	return status ? hl_prefix(error, status, "--augment") : HILUM_OK;
}

enum hilum_status hl_augment_parse(const char *text, struct hl_augment *out, struct hilum_error *error)
{
	struct hl_augment augment = {0};
	enum hilum_status status = HILUM_OK;
	if (!text)
		text = "none";
	char *copy = hl_strdup(text);
	if (!copy)
		return hl_fail_memory(error, strlen(text), "--augment");
	hilum_options_init(option_table, &augment);
	for (char *item = copy, *next; item && !status; item = next) {
		next = strchr(item, ',');
		if (next)
			*next++ = '\0';
		item += strspn(item, " ");
		for (size_t end = strlen(item); end > 0 && item[end - 1] == ' ';)
			item[--end] = '\0';
		status = set_item(&augment, item, item == copy, error);
	}
	hl_free(copy);
	if (!status)
		*out = augment;
	return status;
}

/* ---- what is drawn ---- */

struct drawn {
	bool flip, vflip, zflip;
	uint32_t quarter;
	int32_t shift_z;
	double angle, zoom, shift_x, shift_y, contrast, brightness, sigma, noise, hole, hole_x, hole_y;
};

static struct drawn draw(const struct hl_augment *augment, struct hl_random random)
{
	struct drawn drawn;
	uint32_t turns = hl_random_u32(&random);
	drawn.flip = augment->flip && (turns & 1);
	drawn.vflip = augment->vflip && (turns & 2);
	drawn.quarter = augment->quarter ? turns >> 2 & 3 : 0;
	drawn.zflip = augment->zflip && (turns & 16);
	drawn.angle = augment->rotate * hl_random_range(&random, -1, 1) * DEGREE;
	drawn.zoom = pow(1 + augment->zoom, hl_random_range(&random, -1, 1));
	drawn.shift_x = augment->shift * hl_random_range(&random, -1, 1);
	drawn.shift_y = augment->shift * hl_random_range(&random, -1, 1);
	drawn.contrast = pow(1 + augment->contrast, hl_random_range(&random, -1, 1));
	drawn.brightness = augment->brightness * hl_random_range(&random, -1, 1);
	drawn.sigma = augment->blur * hl_random_uniform(&random);
	drawn.noise = augment->noise * hl_random_uniform(&random);
	drawn.hole = augment->cutout * hl_random_uniform(&random);
	drawn.hole_x = hl_random_uniform(&random);
	drawn.hole_y = hl_random_uniform(&random);
	drawn.shift_z = (int32_t)lrint(augment->zshift * hl_random_range(&random, -1, 1));
	return drawn;
}

/* ---- place ---- */

/* From a place in the result to one in the input, both from the centre: a flip is a sign, a quarter turn a swap. */
struct turn {
	int32_t xx, xy, yx, yy;
};

static struct turn turn_of(const struct drawn *drawn)
{
	static const struct turn quarters[4] = {{1, 0, 0, 1}, {0, 1, -1, 0}, {-1, 0, 0, -1}, {0, -1, 1, 0}};
	struct turn turn = quarters[drawn->quarter];
	if (drawn->flip) {
		turn.xx = -turn.xx;
		turn.xy = -turn.xy;
	}
	if (drawn->vflip) {
		turn.yx = -turn.yx;
		turn.yy = -turn.yy;
	}
	return turn;
}

/* Flips and quarter turns alone move pixels exactly. */
static void move_pixels(const struct turn *turn, int32_t size, int32_t channels, const uint8_t *in, uint8_t *out)
{
	/* In halves of a pixel from the centre, so that all stays whole. */
	for (int32_t y = 0; y < size; y++) {
		for (int32_t x = 0; x < size; x++) {
			int32_t dx = 2 * x - (size - 1), dy = 2 * y - (size - 1);
			int32_t from_x = (turn->xx * dx + turn->xy * dy + size - 1) / 2;
			int32_t from_y = (turn->yx * dx + turn->yy * dy + size - 1) / 2;
			const uint8_t *from = in + ((size_t)from_y * (size_t)size + (size_t)from_x) * (size_t)channels;
			for (int32_t c = 0; c < channels; c++)
				*out++ = from[c];
		}
	}
}

/* Bilinear in fixed point: places in 1/65536 pixel, weights in 1/1024. What lies outside is 0, air: a chest that is
 * shifted leaves air behind it, while repeating the border would smear tissue into streaks that no scan has. */
#define PLACE_BITS 16
#define WEIGHT_BITS 10

static uint8_t tap(const uint8_t *in, int32_t size, int32_t channels, int32_t x, int32_t y, int32_t c)
{
	if (x < 0 || y < 0 || x >= size || y >= size)
		return 0;
	return in[((size_t)y * (size_t)size + (size_t)x) * (size_t)channels + (size_t)c];
}

static uint8_t blend(int32_t a, int32_t b, int32_t c, int32_t d, int32_t wx, int32_t wy)
{
	int32_t upper = (a << WEIGHT_BITS) + (b - a) * wx, lower = (c << WEIGHT_BITS) + (d - c) * wx;
	return (uint8_t)(((upper << WEIGHT_BITS) + (lower - upper) * wy + (1 << (2 * WEIGHT_BITS - 1))) >>
	                 (2 * WEIGHT_BITS));
}

static void sample(const uint8_t *in, int32_t size, int32_t channels, int32_t place_x, int32_t place_y, uint8_t *out)
{
	int32_t x = place_x >> PLACE_BITS, y = place_y >> PLACE_BITS;
	int32_t wx = (place_x & ((1 << PLACE_BITS) - 1)) >> (PLACE_BITS - WEIGHT_BITS);
	int32_t wy = (place_y & ((1 << PLACE_BITS) - 1)) >> (PLACE_BITS - WEIGHT_BITS);
	if (x >= 0 && y >= 0 && x < size - 1 && y < size - 1) {
		const uint8_t *a = in + ((size_t)y * (size_t)size + (size_t)x) * (size_t)channels;
		const uint8_t *b = a + (size_t)size * (size_t)channels;
		for (int32_t c = 0; c < channels; c++)
			out[c] = blend(a[c], a[c + channels], b[c], b[c + channels], wx, wy);
		return;
	}
	for (int32_t c = 0; c < channels; c++)
		out[c] = blend(tap(in, size, channels, x, y, c), tap(in, size, channels, x + 1, y, c),
		               tap(in, size, channels, x, y + 1, c), tap(in, size, channels, x + 1, y + 1, c), wx, wy);
}

static void resample(const struct drawn *drawn, int32_t size, int32_t channels, const uint8_t *in, uint8_t *out)
{
	struct turn turn = turn_of(drawn);
	double centre = (size - 1) / 2.0, one = 1 << PLACE_BITS;
	double cosine = cos(drawn->angle) / drawn->zoom, sine = sin(drawn->angle) / drawn->zoom;
	double step_x = turn.xx * cosine + turn.xy * sine, step_y = turn.yx * cosine + turn.yy * sine;
	double line_x = -turn.xx * sine + turn.xy * cosine, line_y = -turn.yx * sine + turn.yy * cosine;
	int32_t dx = (int32_t)lrint(step_x * one), dy = (int32_t)lrint(step_y * one);
	for (int32_t y = 0; y < size; y++) {
		double from_x = -centre - drawn->shift_x * size, from_y = y - centre - drawn->shift_y * size;
		int32_t place_x = (int32_t)lrint((step_x * from_x + line_x * from_y + centre) * one);
		int32_t place_y = (int32_t)lrint((step_y * from_x + line_y * from_y + centre) * one);
		for (int32_t x = 0; x < size; x++) {
			sample(in, size, channels, place_x, place_y, out);
			out += channels;
			place_x += dx;
			place_y += dy;
		}
	}
}

/* ---- values ---- */

static double mean_of(const uint8_t *image, size_t count)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < count; i++)
		sum += image[i];
	return (double)sum / (double)count;
}

static uint8_t clamp(double value)
{
	return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)(value + 0.5);
}

static void shade(const struct drawn *drawn, uint8_t *image, size_t count)
{
	uint8_t table[256];
	double mean = mean_of(image, count);
	for (int i = 0; i < 256; i++)
		table[i] = clamp((i - mean) * drawn->contrast + mean + drawn->brightness * 255);
	for (size_t i = 0; i < count; i++)
		image[i] = table[image[i]];
}

/* One direction of a Gaussian; step is the distance to the next value along it, the border repeated. Both loops run
 * over whole lines of memory, the taps outermost. */
static void blur_across(const uint32_t *weight, int32_t radius, int32_t size, int32_t channels, const uint8_t *in,
                        uint8_t *out)
{
	for (int32_t y = 0; y < size; y++, in += size * channels, out += size * channels) {
		for (int32_t x = 0; x < size; x++) {
			for (int32_t c = 0; c < channels; c++) {
				uint32_t sum = 1U << 15;
				for (int32_t k = -radius; k <= radius; k++) {
					int32_t at = x + k < 0 ? 0 : x + k >= size ? size - 1 : x + k;
					sum += weight[k < 0 ? -k : k] * in[at * channels + c];
				}
				out[x * channels + c] = (uint8_t)(sum >> 16);
			}
		}
	}
}

static void blur_down(const uint32_t *weight, int32_t radius, int32_t size, int32_t channels, const uint8_t *in,
                      uint8_t *out)
{
	size_t row = (size_t)size * (size_t)channels;
	for (int32_t y = 0; y < size; y++) {
		const uint8_t *line[2 * RADIUS_MAX + 1];
		for (int32_t k = -radius; k <= radius; k++) {
			int32_t at = y + k < 0 ? 0 : y + k >= size ? size - 1 : y + k;
			line[k + radius] = in + (size_t)at * row;
		}
		for (size_t i = 0; i < row; i++) {
			uint32_t sum = 1U << 15;
			for (int32_t k = -radius; k <= radius; k++)
				sum += weight[k < 0 ? -k : k] * line[k + radius][i];
			out[(size_t)y * row + i] = (uint8_t)(sum >> 16);
		}
	}
}

static void blur(double sigma, int32_t size, int32_t channels, uint8_t *image, uint8_t *scratch)
{
	double wide[RADIUS_MAX + 1], sum = 0;
	uint32_t weight[RADIUS_MAX + 1] = {0}, rest = 65536;
	int32_t radius = (int32_t)ceil(3 * sigma);
	radius = radius > RADIUS_MAX ? RADIUS_MAX : radius;
	for (int32_t k = 0; k <= radius; k++) {
		wide[k] = exp(-k * k / (2 * sigma * sigma));
		sum += k ? 2 * wide[k] : wide[k];
	}
	for (int32_t k = radius; k > 0; k--) {
		weight[k] = (uint32_t)(wide[k] / sum * 65536 + 0.5);
		rest -= 2 * weight[k];
	}
	weight[0] = rest; /* so that they sum to one exactly and an even area stays as it is */
	blur_across(weight, radius, size, channels, image, scratch);
	blur_down(weight, radius, size, channels, scratch, image);
}

/* Noise from the sum of four uniform bytes (Irwin-Hall: bell-shaped, within 3.5 deviations), one word a value: a true
 * normal deviate costs ten times as much and cannot be told apart once rounded to 8 bits. */
static void add_noise(double deviation, struct hl_random start, uint8_t *image, size_t count, uint32_t *word,
                      size_t words)
{
	/* The sum has mean 510 and variance 4 * (256^2 - 1) / 12. */
	int32_t scale = (int32_t)lrint(deviation * 255 / sqrt((256.0 * 256 - 1) / 3) * 65536);
	for (size_t done = 0; done < count; done += words) {
		size_t now = count - done < words ? count - done : words;
		hl_random_fill(&start, NOISE_START + done, word, now);
		for (size_t i = 0; i < now; i++) {
			uint32_t pairs = (word[i] & 0x00ff00ff) + (word[i] >> 8 & 0x00ff00ff);
			int32_t bell = (int32_t)((pairs & 0xffff) + (pairs >> 16)) - 510;
			int32_t value = image[done + i] + ((bell * scale + 32768) >> 16);
			image[done + i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
		}
	}
}

/* DeVries & Taylor, "Improved regularization of convolutional neural networks with cutout" (2017): the centre falls
 * anywhere, so that the square may stand out over the border. Filled with the image's mean, which it thus keeps. */
static void cut_out(const struct drawn *drawn, int32_t size, int32_t channels, int32_t depth, uint8_t *image)
{
	size_t slice = (size_t)size * (size_t)size * (size_t)channels;
	int32_t side = (int32_t)lrint(drawn->hole * size);
	int32_t left = (int32_t)(drawn->hole_x * size) - side / 2, top = (int32_t)(drawn->hole_y * size) - side / 2;
	int32_t right = left + side < size ? left + side : size, bottom = top + side < size ? top + side : size;
	left = left < 0 ? 0 : left;
	top = top < 0 ? 0 : top;
	if (right <= left)
		return;
	uint8_t grey = clamp(mean_of(image, (size_t)depth * slice));
	for (int32_t z = 0; z < depth; z++, image += slice)
		for (int32_t y = top; y < bottom; y++)
			memset(image + ((size_t)y * (size_t)size + (size_t)left) * (size_t)channels, grey,
			       (size_t)(right - left) * (size_t)channels);
}

/* ---- all of it ---- */

static size_t noise_words(const struct hl_recipe *recipe)
{
	return (size_t)recipe->size * (size_t)recipe->channels;
}

size_t hl_augment_scratch(const struct hl_recipe *recipe)
{
	size_t image = hl_recipe_plane_size(recipe), words = noise_words(recipe) * sizeof(uint32_t);
	return image > words ? image : words;
}

/* Where the patient lies, of one slice. */
static void place_slice(const struct hl_augment *augment, const struct drawn *drawn, const struct hl_recipe *recipe,
                        const uint8_t *in, uint8_t *out)
{
	int32_t size = recipe->size, channels = recipe->channels;
	if (augment->rotate > 0 || augment->zoom > 0 || augment->shift > 0) {
		resample(drawn, size, channels, in, out);
	} else if (drawn->flip || drawn->vflip || drawn->quarter) {
		struct turn turn = turn_of(drawn);
		move_pixels(&turn, size, channels, in, out);
	} else {
		memcpy(out, in, hl_recipe_plane_size(recipe));
	}
}

static void apply(const struct hl_augment *augment, const struct drawn *drawn, struct hl_random random,
                  const struct hl_recipe *recipe, const uint8_t *in, uint8_t *out, void *scratch)
{
	int32_t size = recipe->size, channels = recipe->channels, depth = hl_recipe_depth(recipe);
	size_t count = hl_recipe_bytes(recipe), slice = hl_recipe_plane_size(recipe);
	for (int32_t z = 0; z < depth; z++) {
		int32_t from = (drawn->zflip ? depth - 1 - z : z) - drawn->shift_z;
		if (from >= 0 && from < depth)
			place_slice(augment, drawn, recipe, in + (size_t)from * slice, out + (size_t)z * slice);
		else
			memset(out + (size_t)z * slice, 0, slice);
	}
	if (augment->contrast > 0 || augment->brightness != 0)
		shade(drawn, out, count);
	for (int32_t z = 0; z < depth && drawn->sigma > 0.1; z++)
		blur(drawn->sigma, size, channels, out + (size_t)z * slice, scratch);
	if (drawn->noise > 0)
		add_noise(drawn->noise, random, out, count, scratch, noise_words(recipe));
	if (drawn->hole > 0)
		cut_out(drawn, size, channels, depth, out);
}

void hl_augment_apply(const struct hl_augment *augment, const struct hl_recipe *recipe, uint64_t seed, uint32_t epoch,
                      uint32_t index, const uint8_t *in, uint8_t *out, void *scratch)
{
	struct hl_random random = hl_random_stream(seed, epoch, index, HL_RANDOM_AUGMENT);
	struct drawn drawn = draw(augment, random);
	apply(augment, &drawn, random, recipe, in, out, scratch);
}

void hl_augment_exactly(const struct hl_augment *augment, const struct hl_recipe *recipe, uint64_t seed, uint32_t index,
                        const uint8_t *in, uint8_t *out, void *scratch)
{
	const struct drawn drawn = {.flip = augment->flip,
	                            .vflip = augment->vflip,
	                            .zflip = augment->zflip,
	                            .quarter = augment->quarter,
	                            .angle = augment->rotate * DEGREE,
	                            .zoom = 1 + augment->zoom,
	                            .shift_x = augment->shift,
	                            .shift_y = augment->shift,
	                            .shift_z = (int32_t)lrint(augment->zshift),
	                            .contrast = 1 + augment->contrast,
	                            .brightness = augment->brightness,
	                            .sigma = augment->blur,
	                            .noise = augment->noise,
	                            .hole = augment->cutout,
	                            .hole_x = 0.5,
	                            .hole_y = 0.5};
	apply(augment, &drawn, hl_random_stream(seed, 0, index, HL_RANDOM_AUGMENT), recipe, in, out, scratch);
}
