/* Cases of several slices: which slices of a volume or stack the input is made of, and with what weight. */
#include "data/recipe.h"

#include "base/memory.h"
#include "data/lung_slices.h"
#include "scan/load.h"
#include "scan/resample_filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where the slices lie. */
struct source {
	const struct hl_volume *volume; /* NULL: in files */
	char *const *files;
	int32_t first;                /* of the volume's slices that counts as one */
	int32_t count, at;            /* slices, and the one that 2-D and 2.5-D are about */
	double spacing;               /* mm from slice to slice; 0: unknown */
	bool narrow;                  /* set for files that are read */
	struct hl_chest_tally *chest; /* of files that are read; NULL: not asked */
};

/* One source slice's share of one slice of the input. */
struct tap {
	int32_t from, to;
	float weight;
};

struct taps {
	struct tap *tap;
	size_t count, capacity;
};

static bool add_tap(struct taps *taps, int32_t from, int32_t to, double weight)
{
	if (weight == 0)
		return true;
	if (taps->count == taps->capacity) {
		size_t capacity = taps->capacity ? 2 * taps->capacity : 64;
		struct tap *grown = hl_realloc(taps->tap, capacity, sizeof(*grown));
		if (!grown)
			return false;
		taps->tap = grown;
		taps->capacity = capacity;
	}
	taps->tap[taps->count++] = (struct tap){from, to, (float)weight};
	return true;
}

/* Slices of the source from one of the input to the next. */
static enum hilum_status step_of(const struct hl_recipe *recipe, const struct source *source, double *step,
                                 struct hilum_error *error)
{
	*step = 1;
	if (recipe->spacing == 0)
		return HILUM_OK;
	if (!(source->spacing > 0))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED,
		               "the model wants slices %g mm apart, and how far these are apart is not known",
		               recipe->spacing);
	/* Formats that keep it with 32 bits must not give other slices. */
	*step = recipe->spacing / (round(source->spacing * 1e6) / 1e6);
	if (!(*step >= 1e-3 && *step <= 1e6))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "slices %g mm apart from ones %g mm apart",
		               recipe->spacing, source->spacing);
	return HILUM_OK;
}

/* Neighbours at whole or broken steps from the slice at hand; an end is repeated. */
static bool neighbours(int32_t depth, const struct source *source, double step, struct taps *taps)
{
	bool sound = true;
	int32_t middle = depth / 2;
	for (int32_t k = 0; k < depth && sound; k++) {
		double place = source->at + (k - middle) * step;
		place = place < 0 ? 0 : place > source->count - 1 ? source->count - 1 : place;
		int32_t first = (int32_t)place;
		double rest = place - first;
		sound = add_tap(taps, first, k, 1 - rest) && (rest == 0 || add_tap(taps, first + 1, k, rest));
	}
	return sound;
}

/* The source as length slices, of which the input has the middle ones. */
static enum hilum_status resample(int32_t depth, int32_t count, int32_t length, double scale, struct taps *taps,
                                  struct hilum_error *error)
{
	struct hl_filter filter = {0};
	enum hilum_status status = hl_filter_make(&filter, count, length, scale, error);
	int32_t first = (length - depth - (length < depth)) / 2; /* rounded down */
	bool sound = true;
	for (int32_t k = 0; k < depth && sound && !status; k++) {
		int32_t place = first + k;
		for (int32_t i = 0; place >= 0 && place < length && i < filter.count[place] && sound; i++)
			sound = add_tap(taps, filter.first[place] + i, k,
			                filter.weight[(size_t)place * filter.taps + (size_t)i]);
	}
	hl_filter_free(&filter);
	return status || sound ? status : hl_fail_memory(error, taps->capacity * sizeof(struct tap), "slices");
}

static int by_source(const void *a, const void *b)
{
	const struct tap *x = a, *y = b;
	int order = (x->from > y->from) - (x->from < y->from);
	return order ? order : (x->to > y->to) - (x->to < y->to);
}

static enum hilum_status choose(const struct hl_recipe *recipe, const struct source *source, struct taps *taps,
                                struct hilum_error *error)
{
	int32_t depth = hl_recipe_depth(recipe);
	double step;
	enum hilum_status status = HILUM_OK;
	if (recipe->dims == HL_DIMS_2) {
		if (!add_tap(taps, source->at, 0, 1))
			return hl_fail_memory(error, sizeof(struct tap), "slices");
		return HILUM_OK;
	}
	if (recipe->dims == HL_DIMS_3 && recipe->extent != HL_EXTENT_MIDDLE) {
		status = resample(depth, source->count, depth, (double)source->count / depth, taps, error);
	} else {
		status = step_of(recipe, source, &step, error);
		if (!status && recipe->dims == HL_DIMS_25 && !neighbours(depth, source, step, taps))
			status = hl_fail_memory(error, taps->capacity * sizeof(struct tap), "slices");
		if (!status && recipe->dims == HL_DIMS_3) {
			double length = fmax(1, round(source->count / step));
			if (length > HL_VOLUME_SIDE_MAX)
				return hl_fail(error, HILUM_ERROR_LIMIT, "%.0f slices of %g mm", length,
				               recipe->spacing);
			status = resample(depth, source->count, (int32_t)length, step, taps, error);
		}
	}
	if (!status && taps->count > 1)
		qsort(taps->tap, taps->count, sizeof(*taps->tap), by_source);
	return status;
}

/* One slice of the source as a plane of the recipe. */
static enum hilum_status read_plane(const struct hl_recipe *recipe, struct source *source, int32_t index, float *out,
                                    struct hilum_error *error)
{
	struct hl_volume volume = {0};
	if (source->volume)
		return hl_recipe_plane(recipe, source->volume, source->first + index, out, error);
	enum hilum_status status = hl_load(source->files[index], NULL, &volume, NULL, error);
	if (status)
		return status;
	if (volume.depth != 1)
		status = hl_fail(error, HILUM_ERROR_DATA, "a volume of %d slices, where a stack has one slice a file",
		                 volume.depth);
	else
		status = hl_recipe_plane(recipe, &volume, 0, out, error);
	if (!status && source->chest && source->chest->looked < HL_CHEST_LOOKS) {
		struct hl_chest chest;
		status = hl_chest_look(&volume, 0, &chest, error);
		if (!status) {
			source->chest->looked++;
			source->chest->met[chest.verdict]++;
		}
	}
	source->narrow = source->narrow || hl_volume_is_narrow(&volume);
	hl_volume_free(&volume);
	return status ? hl_prefix(error, status, "%s", source->files[index]) : HILUM_OK;
}

static void add_plane(const float *plane, float weight, size_t count, float *sum)
{
	for (size_t i = 0; i < count; i++)
		sum[i] += plane[i] * weight;
}

static void round_all(const float *in, size_t count, uint8_t *out)
{
	for (size_t i = 0; i < count; i++) {
		float value = in[i] * 255.0f + 0.5f;
		out[i] = value >= 255.0f ? 255 : value > 0.0f ? (uint8_t)value : 0;
	}
}

/* Each source slice is read once and added to all that it has a share in. */
static enum hilum_status assemble(const struct hl_recipe *recipe, struct source *source, uint8_t *out,
                                  struct hilum_error *error)
{
	size_t size = hl_recipe_plane_size(recipe), count = hl_recipe_bytes(recipe);
	struct taps taps = {0};
	float *plane = hl_alloc(size, sizeof(*plane)), *sum = hl_alloc(count, sizeof(*sum));
	enum hilum_status status = HILUM_OK;
	if (!plane || !sum)
		status = hl_fail_memory(error, count * sizeof(*sum), "a case's slices");
	if (!status)
		status = choose(recipe, source, &taps, error);
	for (size_t i = 0; i < taps.count && !status; i++) {
		const struct tap *tap = &taps.tap[i];
		if (i == 0 || tap->from != taps.tap[i - 1].from)
			status = read_plane(recipe, source, tap->from, plane, error);
		if (!status)
			add_plane(plane, tap->weight, size, sum + (size_t)tap->to * size);
	}
	if (!status)
		round_all(sum, count, out);
	hl_free(taps.tap);
	hl_free(plane);
	hl_free(sum);
	return status;
}

/* From the first slice with lung to the last. On one thread: loading has as many workers as are wanted. */
static enum hilum_status keep_lungs(struct source *source, struct hilum_error *error)
{
	int32_t *slice, count;
	enum hilum_status status = hl_lung_slices(source->volume, 1, &slice, &count, error);
	if (status)
		return status;
	source->first = slice[0];
	source->count = slice[count - 1] - slice[0] + 1;
	hl_free(slice);
	return HILUM_OK;
}

enum hilum_status hl_recipe_apply_at(const struct hl_recipe *recipe, const struct hl_volume *volume, int32_t z,
                                     uint8_t *out, struct hilum_error *error)
{
	struct source source = {.volume = volume, .count = volume->depth, .at = z, .spacing = volume->spacing[2]};
	if (volume->depth < 1)
		return hl_fail(error, HILUM_ERROR_FORMAT, "an empty picture");
	if (z < 0 || z >= volume->depth)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "slice %d of %d", z, volume->depth);
	if (recipe->dims == HL_DIMS_3 && recipe->extent == HL_EXTENT_LUNGS) {
		enum hilum_status status = keep_lungs(&source, error);
		if (status)
			return status;
	}
	return assemble(recipe, &source, out, error);
}

enum hilum_status hl_recipe_apply(const struct hl_recipe *recipe, const struct hl_volume *volume, uint8_t *out,
                                  struct hilum_error *error)
{
	return hl_recipe_apply_at(recipe, volume, volume->depth / 2, out, error);
}

enum hilum_status hl_recipe_meet(const struct hl_volume *volume, struct hl_met *met, struct hilum_error *error)
{
	struct hl_met made = {.narrow = hl_volume_is_narrow(volume), .slices = volume->depth};
	enum hilum_status status = hl_chest_judge(volume, &made.chest, error);
	if (!status)
		*met = made;
	return status;
}

enum hilum_status hl_recipe_open(const struct hl_recipe *recipe, const char *path, uint8_t *out, struct hl_met *met,
                                 struct hilum_error *error)
{
	struct hl_volume volume = {0};
	enum hilum_status status = hl_load(path, NULL, &volume, NULL, error);
	if (status)
		return status;
	status = hl_recipe_apply(recipe, &volume, out, error);
	if (met && !status)
		status = hl_recipe_meet(&volume, met, error);
	hl_volume_free(&volume);
	return status ? hl_prefix(error, status, "%s", path) : HILUM_OK;
}

enum hilum_status hl_recipe_open_stack(const struct hl_recipe *recipe, char *const *files, int32_t count, int32_t z,
                                       uint8_t *out, struct hl_met *met, struct hilum_error *error)
{
	struct hl_chest_tally chest = {.looked = 0};
	struct source source = {.files = files, .count = count, .at = z, .chest = met ? &chest : NULL};
	if (count < 1 || z < 0 || z >= count)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "slice %d of %d", z, count);
	enum hilum_status status = assemble(recipe, &source, out, error);
	if (met && !status)
		*met = (struct hl_met){.narrow = source.narrow, .slices = count, .chest = hl_chest_conclude(&chest)};
	return status;
}

enum hilum_status hl_recipe_source(const struct hl_recipe *recipe, const struct hl_volume *volume, int32_t count,
                                   int32_t k, int32_t *z, struct hilum_error *error)
{
	struct source source = {.volume = volume, .count = count, .spacing = volume ? volume->spacing[2] : 0};
	struct taps taps = {0};
	float most = 0;
	int32_t best = -1;
	enum hilum_status status = HILUM_OK;
	if (volume && recipe->extent == HL_EXTENT_LUNGS)
		status = keep_lungs(&source, error);
	if (!status)
		status = choose(recipe, &source, &taps, error);
	for (size_t i = 0; i < taps.count && !status; i++)
		if (taps.tap[i].to == k && taps.tap[i].weight > most) {
			most = taps.tap[i].weight;
			best = source.first + taps.tap[i].from;
		}
	hl_free(taps.tap);
	if (!status && best < 0)
		best = k * 2 < hl_recipe_depth(recipe) ? 0 : count - 1; /* beyond an end */
	if (!status)
		*z = best;
	return status;
}
