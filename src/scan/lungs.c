/* Lungs: the steps in their order, and what is told about the result. */
#include "scan/lungs.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "scan/lungs_private.h"

/* Grey values: how many are looked at, into how many bins. */
enum { GREY_SAMPLES = 1 << 20, GREY_BINS = 256 };

/* What the darker and the brighter class of a grey picture are taken to be, in Hounsfield units. */
#define GREY_DARK (-850.0)
#define GREY_BRIGHT 30.0

static double grey_at(const struct hl_volume *scan, size_t pixel)
{
	size_t width = (size_t)scan->width, height = (size_t)scan->height;
	return hl_lungs_grey(scan, (int32_t)(pixel % width), (int32_t)(pixel / width % height),
	                     (int32_t)(pixel / width / height));
}

/* The means of the two classes of a histogram that differ most between them (Otsu 1979); false for one class only. */
static bool two_classes(const int64_t count[GREY_BINS], double *dark, double *bright)
{
	double total = 0, sum = 0, below = 0, sum_below = 0, best = 0;
	for (int i = 0; i < GREY_BINS; i++) {
		total += (double)count[i];
		sum += (double)count[i] * i;
	}
	for (int i = 0; i < GREY_BINS - 1; i++) {
		below += (double)count[i];
		sum_below += (double)count[i] * i;
		if (below == 0 || below == total)
			continue;
		double low = sum_below / below, high = (sum - sum_below) / (total - below);
		double between = below * (total - below) * (high - low) * (high - low);
		if (between > best) {
			best = between;
			*dark = low;
			*bright = high;
		}
	}
	return best > 0;
}

/* Puts grey values on the scale of Hounsfield units; false where a picture is all of one grey. */
static bool find_scale(struct hl_lung_work *work)
{
	const struct hl_volume *scan = work->scan;
	size_t pixels = (size_t)scan->width * (size_t)scan->height * (size_t)scan->depth;
	size_t stride = pixels / GREY_SAMPLES + 1;
	double low = (double)INFINITY, high = -(double)INFINITY, dark = 0, bright = 0;
	int64_t count[GREY_BINS] = {0};

	work->scale = 1;
	work->shift = 0;
	if (scan->unit == HL_UNIT_HOUNSFIELD)
		return true;
	for (size_t i = 0; i < pixels; i += stride) {
		double value = grey_at(scan, i);
		low = value < low ? value : low;
		high = value > high ? value : high;
	}
	if (!(high - low > 0) || isinf(high - low))
		return false;
	double bin = (high - low) / (GREY_BINS - 1);
	for (size_t i = 0; i < pixels; i += stride) {
		double value = grey_at(scan, i);
		if (!isnan(value))
			count[(int)((value - low) / bin)]++;
	}
	if (!two_classes(count, &dark, &bright))
		return false;
	work->scale = (GREY_BRIGHT - GREY_DARK) / ((bright - dark) * bin);
	work->shift = GREY_DARK - (low + dark * bin) * work->scale;
	return true;
}

static void lay_grid(struct hl_lung_work *work, const struct hl_volume *scan, bool *known)
{
	int32_t size[2] = {scan->width, scan->height}, side = scan->width > scan->height ? scan->width : scan->height;
	*known = true;
	for (int i = 0; i < 3; i++) {
		double spacing = scan->spacing[i];
		if (!isfinite(spacing) || spacing < 1e-6 || spacing > 1e6) {
			*known = false;
			spacing = i < 2 ? HL_LUNGS_FIELD / side : HL_LUNGS_SLICE;
		}
		work->spacing[i] = spacing;
	}
	for (int i = 0; i < 2; i++) {
		double step = fmax(floor(HL_LUNGS_PIXEL / work->spacing[i]), 1);
		work->step[i] = step < size[i] ? (int32_t)step : size[i];
		work->spacing[i] *= work->step[i];
	}
	work->width = (scan->width - 1) / work->step[0] + 1;
	work->height = (scan->height - 1) / work->step[1] + 1;
	work->depth = scan->depth;
}

static enum hilum_status segment(struct hl_lung_work *work, struct hilum_error *error)
{
	enum hilum_status status = hl_lungs_find_body(work, error);
	if (status || isnan(work->threshold))
		return status;
	status = hl_lungs_find_air(work, error);
	if (!status)
		status = hl_lungs_find_airways(work, error);
	if (!status)
		status = hl_lungs_split(work, error);
	if (!status)
		status = hl_lungs_close(work, error);
	return status;
}

static enum hilum_status write_mask(const struct hl_lung_work *work, struct hl_lungs *out, struct hilum_error *error)
{
	const struct hl_volume *scan = work->scan;
	enum hilum_status status =
	    hl_volume_init(&out->mask, scan->width, scan->height, scan->depth, 1, HL_VOXEL_U8, error);
	uint8_t *to = out->mask.voxels;

	if (status)
		return status;
	memcpy(out->mask.spacing, scan->spacing, sizeof(scan->spacing));
	memcpy(out->mask.origin, scan->origin, sizeof(scan->origin));
	memcpy(out->mask.direction, scan->direction, sizeof(scan->direction));
	out->mask.oriented = scan->oriented;
	for (int32_t z = 0; work->side && z < scan->depth; z++)
		for (int32_t y = 0; y < scan->height; y++) {
			const uint8_t *row =
			    work->side +
			    ((size_t)z * (size_t)work->height + (size_t)(y / work->step[1])) * (size_t)work->width;
			for (int32_t x = 0; x < scan->width; x++)
				*to++ = row[x / work->step[0]];
		}
	return HILUM_OK;
}

void hl_lungs_count(const struct hl_volume *mask, int32_t z, int64_t count[2])
{
	size_t pixels = (size_t)mask->width * (size_t)mask->height;
	const uint8_t *voxel = (const uint8_t *)mask->voxels + (size_t)z * pixels;
	count[0] = 0;
	count[1] = 0;
	for (size_t i = 0; i < pixels; i++) {
		count[0] += voxel[i] == 1 + HL_SIDE_RIGHT;
		count[1] += voxel[i] == 1 + HL_SIDE_LEFT;
	}
}

/* ---- is this a chest? ---- */

struct box {
	int32_t x0, x1, y0, y1;
	double x, count;
};

static void extend(struct box *box, int32_t x, int32_t y)
{
	if (box->count == 0)
		*box = (struct box){.x0 = x, .x1 = x, .y0 = y, .y1 = y};
	box->x0 = x < box->x0 ? x : box->x0;
	box->x1 = x > box->x1 ? x : box->x1;
	box->y0 = y < box->y0 ? y : box->y0;
	box->y1 = y > box->y1 ? y : box->y1;
	box->x += x;
	box->count++;
}

/* The figures of the slice with the most lung, on the grid. */
static void measure(const struct hl_lung_work *work, struct hl_lungs *out)
{
	struct box lung[2] = {0}, both = {0}, body = {0};
	const uint8_t *side = work->side + (size_t)out->slice * (size_t)work->height * (size_t)work->width;
	for (int32_t y = 0; y < work->height; y++)
		for (int32_t x = 0; x < work->width; x++) {
			uint8_t at = side[(size_t)y * (size_t)work->width + (size_t)x];
			if (at) {
				extend(&lung[at - 1], x, y);
				extend(&both, x, y);
			}
			if (hl_bits_get(&work->body, x / work->cell[0], y / work->cell[1], out->slice))
				extend(&body, x, y);
		}
	double width = body.x1 - body.x0 + 1, height = body.y1 - body.y0 + 1;
	double small = fmin(lung[0].count, lung[1].count), large = fmax(lung[0].count, lung[1].count);
	out->share = both.count / body.count;
	out->balance = small / large;
	out->offset = ((both.x0 + both.x1) / 2.0 - (body.x0 + body.x1) / 2.0) / width;
	out->width = (both.x1 - both.x0 + 1) / width;
	out->height = (both.y1 - both.y0 + 1) / height;
	out->body = body.count / ((double)work->width * work->height);
	out->fill = body.count / (width * height);
	out->box[0] = body.x0 * work->step[0];
	out->box[1] = body.y0 * work->step[1];
	out->box[2] = (body.x1 + 1) * work->step[0] - 1;
	out->box[3] = (body.y1 + 1) * work->step[1] - 1;
	out->box[2] = out->box[2] < work->scan->width ? out->box[2] : work->scan->width - 1;
	out->box[3] = out->box[3] < work->scan->height ? out->box[3] : work->scan->height - 1;
}

/* Limits a little beyond those of 1,097 slices through all heights of the chest, healthy and not, in docs/results.md.
 */
static bool looks_like_a_chest(const struct hl_lungs *lungs)
{
	double off = fabs(lungs->offset);
	bool body = lungs->body >= 0.1 && lungs->share >= 0.05 && lungs->share <= 0.7;
	bool high = lungs->height >= 0.25 && lungs->height <= 0.95;
	bool two = lungs->count == 2 && off <= 0.15 && lungs->width >= 0.3 && lungs->width <= 0.97;
	/* The other lung may be full of a tumour or of fluid. */
	bool one = lungs->count == 1 && off >= 0.1 && off <= 0.35 && lungs->width <= 0.6;
	return body && high && (two || one);
}

static void tell(const struct hl_lung_work *work, struct hl_lungs *out)
{
	double voxel = out->mask.spacing[0] * out->mask.spacing[1] * out->mask.spacing[2];
	int64_t most = 0;
	out->count = work->count;
	out->airways = work->airways;
	out->threshold = (work->threshold - work->shift) / work->scale;
	out->lung = (work->lung - work->shift) / work->scale;
	out->tissue = (work->tissue - work->shift) / work->scale;
	out->outside = (work->outside - work->shift) / work->scale;
	for (int32_t z = 0; z < out->mask.depth; z++) {
		int64_t count[2];
		hl_lungs_count(&out->mask, z, count);
		out->voxels[0] += count[0];
		out->voxels[1] += count[1];
		if (count[0] + count[1] > most) {
			most = count[0] + count[1];
			out->slice = z;
		}
	}
	for (int k = 0; k < 2; k++)
		out->ml[k] = out->spacing_known ? (double)out->voxels[k] * voxel / 1000 : (double)NAN;
	if (most > 0 && work->side)
		measure(work, out);
	out->chest = looks_like_a_chest(out);
}

enum hilum_status hl_lungs_find(const struct hl_volume *volume, int32_t threads, struct hl_lungs *out,
                                struct hilum_error *error)
{
	struct hl_lung_work work = {.scan = volume,
	                            .threads = threads,
	                            .threshold = (double)NAN,
	                            .lung = (double)NAN,
	                            .tissue = (double)NAN,
	                            .outside = (double)NAN};
	struct hl_lungs lungs = {0};
	enum hilum_status status = HILUM_OK;

	lay_grid(&work, volume, &lungs.spacing_known);
	if (find_scale(&work))
		status = segment(&work, error);
	if (!status)
		status = write_mask(&work, &lungs, error);
	if (!status) {
		tell(&work, &lungs);
		*out = lungs;
	}
	hl_bits_free(&work.body);
	hl_bits_free(&work.air);
	hl_bits_free(&work.gas);
	hl_bits_free(&work.lumen);
	hl_free(work.side);
	return status;
}
