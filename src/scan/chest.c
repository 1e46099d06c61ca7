#include "scan/chest.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "scan/lungs.h"

/* Longer side of the small picture, pixels of the slice that each of its is the mean of, across and down, and the least
 * that anything can be told of. */
enum { SIDE = 128, SAMPLES = 4, SIDE_MIN = 64, BINS = 1024 };

/* Hounsfield units between which values are looked at. */
#define LOWEST (-1050.0)
#define HIGHEST 450.0
/* Full scale of 12 bits in 16. */
#define NARROW 4095.0

/* One slice in so many has to be a chest's. */
enum { CHEST_SHARE = 5 };

/* ---- the small picture, and what the pixels themselves tell ---- */

struct view {
	const struct hl_volume *volume;
	int32_t z;
	float low, high; /* of the scale */
	struct hl_volume small;
	float *row[2];
	/* Sums over pixels and their right and lower neighbours. */
	double count, coloured, pairs, sum[2], squares[2], product, between, same;
	int64_t bin[BINS];
};

static void read_row(struct view *view, int32_t y, float *out)
{
	const struct hl_volume *volume = view->volume;
	size_t width = (size_t)volume->width, channels = (size_t)volume->channels;
	size_t first = ((size_t)view->z * (size_t)volume->height + (size_t)y) * width * channels;
	float low = view->low, high = view->high;
#define READ(type_)                                                                                                    \
	do {                                                                                                           \
		const type_ *in = (const type_ *)volume->voxels + first;                                               \
		if (channels == 1)                                                                                     \
			for (size_t x = 0; x < width; x++)                                                             \
				out[x] = (float)in[x];                                                                 \
		else                                                                                                   \
			for (size_t x = 0; x < width; x++) {                                                           \
				float r = (float)in[3 * x], g = (float)in[3 * x + 1], b = (float)in[3 * x + 2];        \
				float most = r > g ? r : g, least = r < g ? r : g;                                     \
				most = b > most ? b : most;                                                            \
				least = b < least ? b : least;                                                         \
				view->coloured += most - least > 0.1f * (high - low);                                  \
				out[x] = 0.299f * r + 0.587f * g + 0.114f * b;                                         \
			}                                                                                              \
	} while (0)
	switch (volume->type) {
	case HL_VOXEL_U8:
		READ(uint8_t);
		break;
	case HL_VOXEL_U16:
		READ(uint16_t);
		break;
	case HL_VOXEL_I16:
		READ(int16_t);
		break;
	case HL_VOXEL_F32:
		READ(float);
		break;
	}
#undef READ
	/* Written so that NaN becomes the lowest value. */
	for (size_t x = 0; x < width; x++) {
		float value = out[x] > low ? out[x] : low;
		out[x] = value < high ? value : high;
	}
}

/* Of one row with the next one below. */
static void compare_rows(struct view *view, const float *row, const float *below)
{
	double sum[2] = {0}, squares[2] = {0}, product = 0, between = 0, same = 0;
	float low = view->low, high = view->high, scale = (BINS - 1) / (high - low);
	float floor = low + 0.02f * (high - low), ceiling = high - 0.02f * (high - low);
	int32_t last = view->volume->width - 1;
	for (int32_t x = 0; x < last; x++) {
		double here = row[x], next = (row[x + 1] + below[x]) / 2;
		sum[0] += here;
		squares[0] += here * here;
		sum[1] += next;
		squares[1] += next * next;
		product += here * next;
		bool middle = row[x] > floor && row[x] < ceiling;
		between += middle;
		same += middle && row[x] == row[x + 1] && row[x] == below[x];
		view->bin[(int)((row[x] - low) * scale)]++;
	}
	for (int i = 0; i < 2; i++) {
		view->sum[i] += sum[i];
		view->squares[i] += squares[i];
	}
	view->product += product;
	view->between += between;
	view->same += same;
	view->pairs += last;
}

/* Each pixel of the small picture is the mean of at most SAMPLES x SAMPLES of its step x step pixels. */
static enum hilum_status reduce(struct view *view, struct hilum_error *error)
{
	const struct hl_volume *volume = view->volume;
	int32_t side = volume->width > volume->height ? volume->width : volume->height;
	int32_t step = (side - 1) / SIDE + 1, samples = step < SAMPLES ? step : SAMPLES;
	int32_t width = (volume->width - 1) / step + 1, height = (volume->height - 1) / step + 1;
	enum hilum_status status = hl_volume_init(&view->small, width, height, 1, 1, HL_VOXEL_F32, error);
	if (status)
		return status;
	view->small.unit = volume->unit;
	view->small.maximum = volume->maximum;
	for (int i = 0; i < 2; i++) {
		view->small.spacing[i] = volume->spacing[i] * step;
		view->row[i] = hl_alloc((size_t)volume->width, sizeof(float));
		if (!view->row[i])
			return hl_fail_memory(error, (size_t)volume->width * sizeof(float), "rows of a slice");
	}
	view->small.spacing[2] = volume->spacing[2];
	float *out = view->small.voxels;
	int32_t held = -1; /* the row that row[1] holds */
	for (int32_t v = 0; v < height; v++) {
		int32_t from = v * step, rows = volume->height - from < step ? volume->height - from : step;
		int32_t used_rows = rows < samples ? rows : samples;
		float *to = out + (size_t)v * (size_t)width;
		for (int32_t k = 0; k < used_rows; k++) {
			int32_t y = from + k * rows / used_rows;
			if (held == y) {
				float *other = view->row[0];
				view->row[0] = view->row[1];
				view->row[1] = other;
			} else {
				read_row(view, y, view->row[0]);
				view->count += volume->width;
			}
			if (k % 2 == 0 && y + 1 < volume->height) {
				read_row(view, y + 1, view->row[1]);
				view->count += volume->width;
				held = y + 1;
				compare_rows(view, view->row[0], view->row[1]);
			}
			for (int32_t u = 0; u < width; u++) {
				int32_t x = u * step, across = volume->width - x < step ? volume->width - x : step;
				int32_t used = across < samples ? across : samples;
				float sum = 0;
				for (int32_t i = 0; i < used; i++)
					sum += view->row[0][x + i * across / used];
				to[u] += sum / (float)(used * used_rows);
			}
		}
	}
	return HILUM_OK;
}

static double quantile(const struct view *view, double share)
{
	double below = 0;
	for (int i = 0; i < BINS; i++) {
		below += (double)view->bin[i];
		if (below >= share * view->pairs)
			return (double)i / (BINS - 1);
	}
	return 1;
}

static double correlation(double count, const double sum[2], const double squares[2], double product)
{
	double a = squares[0] - sum[0] * sum[0] / count, b = squares[1] - sum[1] * sum[1] / count;
	double both = product - sum[0] * sum[1] / count;
	return a > 0 && b > 0 ? both / sqrt(a * b) : 0;
}

static void tell_pixels(const struct view *view, struct hl_chest *out)
{
	if (view->pairs < 1)
		return;
	out->contrast = quantile(view, 0.98) - quantile(view, 0.02);
	out->colour = view->coloured / view->count;
	out->likeness = correlation(view->pairs, view->sum, view->squares, view->product);
	out->flat = view->between > 0 ? view->same / view->between : 0;
}

/* ---- the body and the lungs in the small picture ---- */

struct moments {
	double count, sum, squares;
};

static void add(struct moments *moments, double value)
{
	moments->count++;
	moments->sum += value;
	moments->squares += value * value;
}

static double mean(const struct moments *moments)
{
	return moments->count > 0 ? moments->sum / moments->count : 0;
}

static double deviation(const struct moments *moments)
{
	double average = mean(moments);
	return moments->count > 0 ? sqrt(fmax(moments->squares / moments->count - average * average, 0)) : 0;
}

/* 0 at the level of lung, 1 at that of tissue. */
static double level(const struct hl_lungs *lungs, double value)
{
	return fmin(fmax((value - lungs->lung) / (lungs->tissue - lungs->lung), -1), 2);
}

static void tell_texture(const struct hl_volume *small, const struct hl_lungs *lungs, struct hl_chest *out)
{
	int32_t width = small->width, height = small->height;
	const float *value = small->voxels;
	const uint8_t *mask = lungs->mask.voxels;
	struct moments lung = {0}, body = {0}, edges = {0}, frame = {0}, corners = {0};
	double sum[2] = {0}, squares[2] = {0}, product = 0, count = 0;
	double dark = 0;
	int32_t corner = (width < height ? width : height) / 12 + 1;
	for (int32_t y = 0; y < height; y++)
		for (int32_t x = 0; x < width; x++) {
			size_t i = (size_t)y * (size_t)width + (size_t)x;
			double here = level(lungs, value[i]);
			bool inside =
			    x >= lungs->box[0] && x <= lungs->box[2] && y >= lungs->box[1] && y <= lungs->box[3];
			if (mask[i]) {
				add(&lung, here);
				dark += here < 0.5;
			} else if (inside && here > 0.5) {
				add(&body, here);
			}
			if (x + 1 < width && y + 1 < height)
				add(&edges, fabs(level(lungs, value[i + 1]) - here) +
				                fabs(level(lungs, value[i + (size_t)width]) - here));
			if (x == 0 || y == 0 || x == width - 1 || y == height - 1)
				add(&frame, here > 0.5);
			if ((x < corner || x >= width - corner) && (y < corner || y >= height - corner))
				add(&corners, here);
			if (!inside)
				continue;
			int32_t mirrored = lungs->box[0] + lungs->box[2] - x;
			double other = level(lungs, value[(size_t)y * (size_t)width + (size_t)mirrored]);
			count++;
			sum[0] += here;
			sum[1] += other;
			squares[0] += here * here;
			squares[1] += other * other;
			product += here * other;
		}
	out->outside = level(lungs, lungs->outside);
	out->corners = mean(&corners);
	out->frame = mean(&frame);
	out->lung_spread = deviation(&lung);
	out->body_spread = deviation(&body);
	out->solid = lung.count > 0 ? dark / lung.count : 0;
	out->edges = mean(&edges);
	out->symmetry = count > 0 ? correlation(count, sum, squares, product) : 0;
}

/* ---- the verdict ---- */

#define CONTRAST_MIN 0.03
#define COLOUR_MAX 0.02
#define LIKENESS_MIN 0.7
#define FLAT_MAX 0.5

static bool lungs_lie_well(const struct hl_chest *chest)
{
	double off = fabs(chest->offset);
	bool two = chest->lungs == 2 && off <= 0.2 && chest->width >= 0.28;
	/* The other lung may be full of a tumour or of fluid. */
	bool one = chest->lungs == 1 && off >= 0.1 && off <= 0.37 && chest->width <= 0.65;
	bool size = chest->share >= 0.035 && chest->share <= 0.65 && chest->height >= 0.28;
	bool body = chest->body >= 0.15 && chest->fill >= 0.6 && chest->fill <= 0.95;
	/* What reaches from one end of the body to the other fills much of it, unlike the folds of a brain. */
	bool dense = fmax(chest->width, chest->height) < 0.97 ||
	             chest->share * chest->fill >= 0.2 * chest->width * chest->height;
	return (two || one) && size && body && dense;
}

static bool looks_like_tissue(const struct hl_chest *chest)
{
	bool lung = chest->lung_spread >= 0.09 && chest->lung_spread <= 0.42 && chest->solid >= 0.75;
	bool body = chest->body_spread >= 0.09 && chest->body_spread <= 0.32;
	/* Coarser pixels are further apart. */
	double steep = 0.33 * sqrt(SIDE / chest->side);
	return lung && body && chest->edges >= 0.075 && chest->edges <= steep && chest->symmetry >= -0.1;
}

/* The limits lie a little beyond what 1,097 slices of a hospital, those of three other scanners through four windows
 * and phantoms of four sizes show; docs/refusal.md. */
static enum hl_chest_verdict judge(const struct hl_chest *chest)
{
	if (chest->contrast < CONTRAST_MIN)
		return HL_CHEST_BLANK;
	if (chest->colour > COLOUR_MAX)
		return HL_CHEST_COLOUR;
	if (chest->verdict == HL_CHEST_NOISE || chest->likeness < LIKENESS_MIN)
		return HL_CHEST_NOISE;
	if (chest->flat > FLAT_MAX)
		return HL_CHEST_DRAWN;
	if (chest->lungs == 0)
		return HL_CHEST_NO_LUNG;
	if (chest->outside > -0.04 || chest->corners > 0.1 || chest->frame > 0.5)
		return HL_CHEST_AROUND;
	if (!lungs_lie_well(chest))
		return HL_CHEST_SHAPE;
	return looks_like_tissue(chest) ? HL_CHEST_YES : HL_CHEST_TEXTURE;
}

static void tell_lungs(const struct hl_volume *small, const struct hl_lungs *lungs, struct hl_chest *out)
{
	out->lungs = lungs->count;
	if (lungs->count == 0)
		return;
	out->share = lungs->share;
	out->balance = lungs->balance;
	out->offset = lungs->offset;
	out->width = lungs->width;
	out->height = lungs->height;
	out->body = lungs->body;
	out->fill = lungs->fill;
	tell_texture(small, lungs, out);
}

enum hilum_status hl_chest_look(const struct hl_volume *volume, int32_t z, struct hl_chest *out,
                                struct hilum_error *error)
{
	struct hl_chest chest = {.verdict = HL_CHEST_YES};
	struct hl_lungs lungs = {0};
	bool hounsfield = volume->unit == HL_UNIT_HOUNSFIELD;
	double highest = hl_volume_is_narrow(volume) ? NARROW : volume->maximum;
	struct view view = {.volume = volume,
	                    .z = z,
	                    .low = hounsfield ? (float)LOWEST : 0,
	                    .high = hounsfield ? (float)HIGHEST : (float)highest};
	if (volume->width < SIDE_MIN || volume->height < SIDE_MIN) {
		*out = (struct hl_chest){.verdict = HL_CHEST_SMALL};
		return HILUM_OK;
	}
	enum hilum_status status = reduce(&view, error);
	if (!status) {
		chest.side = fmax(view.small.width, view.small.height);
		tell_pixels(&view, &chest);
		status = hl_lungs_find(&view.small, 1, &lungs, error);
	}
	if (!status) {
		tell_lungs(&view.small, &lungs, &chest);
		hl_volume_free(&lungs.mask);
	} else if (status == HILUM_ERROR_LIMIT) {
		chest.verdict = HL_CHEST_NOISE;
		status = HILUM_OK;
	}
	hl_volume_free(&view.small);
	hl_free(view.row[0]);
	hl_free(view.row[1]);
	if (!status) {
		chest.verdict = judge(&chest);
		*out = chest;
	}
	return status;
}

/* ---- volumes ---- */

enum hl_chest_verdict hl_chest_conclude(const struct hl_chest_tally *tally)
{
	const int32_t *met = tally->met;
	enum hl_chest_verdict most = HL_CHEST_SMALL;
	if (met[HL_CHEST_YES] > 0 && met[HL_CHEST_YES] * CHEST_SHARE >= tally->looked)
		return HL_CHEST_YES;
	for (int v = HL_CHEST_SMALL; v < HL_CHEST_VERDICT_COUNT; v++)
		if (met[v] > met[most])
			most = (enum hl_chest_verdict)v;
	return most;
}

enum hilum_status hl_chest_judge(const struct hl_volume *volume, enum hl_chest_verdict *out, struct hilum_error *error)
{
	struct hl_chest_tally tally = {.looked = volume->depth < HL_CHEST_LOOKS ? volume->depth : HL_CHEST_LOOKS};
	for (int32_t i = 0; i < tally.looked; i++) {
		struct hl_chest chest;
		int32_t z = (int32_t)(((int64_t)2 * i + 1) * volume->depth / (2 * (int64_t)tally.looked));
		enum hilum_status status = hl_chest_look(volume, z, &chest, error);
		if (status)
			return status;
		tally.met[chest.verdict]++;
	}
	*out = hl_chest_conclude(&tally);
	return HILUM_OK;
}

const char *hl_chest_reason(enum hl_chest_verdict verdict)
{
	static const char *const reasons[HL_CHEST_VERDICT_COUNT] = {
	    [HL_CHEST_YES] = "a chest",
	    [HL_CHEST_SMALL] = "too few pixels to tell",
	    [HL_CHEST_BLANK] = "blank",
	    [HL_CHEST_COLOUR] = "a picture in colour",
	    [HL_CHEST_NOISE] = "noise",
	    [HL_CHEST_DRAWN] = "flat areas, as in drawings and text",
	    [HL_CHEST_NO_LUNG] = "no air-filled lungs inside a body",
	    [HL_CHEST_SHAPE] = "its dark parts do not lie in a body as lungs do",
	    [HL_CHEST_AROUND] = "no air around a body",
	    [HL_CHEST_TEXTURE] = "its dark and bright parts are not like lung and tissue",
	};
	return reasons[verdict];
}
