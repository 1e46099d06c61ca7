#include "data/alike_match.h"

#include "nn/clones.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIDE HL_LOOK_SIDE
#define MIDDLE (SIDE / 2)
#define COARSE (SIDE / 4)
#define PARAMETERS 6
#define DETAIL_SIGMA 3.0f /* pixels of SIDE: neighbourhoods in which details are compared */
#define DETAIL_LEAST 6.0f /* grey levels of deviation in a neighbourhood that count half */
#define OVERLAP_LEAST 0.35f
#define TAPS_MAX 32
#define CUT_MARGIN 4       /* grey levels from an end of the scale within which grey may have been cut off */
#define NOISE_LEFT 0.1257f /* share of its variance that white noise keeps when it is softened as sharpen does */
#define NOISE_MOST 14.0f   /* grey levels of noise that are made allowance for */

/* ---- blurring ---- */

static int32_t make_taps(float sigma, float taps[TAPS_MAX + 1])
{
	int32_t reach = (int32_t)ceilf(2.5f * sigma);
	reach = reach < TAPS_MAX ? reach : TAPS_MAX;
	for (int32_t k = 0; k <= reach; k++)
		taps[k] = expf(-0.5f * (float)(k * k) / (sigma * sigma));
	return reach;
}

/* Down the columns: the inner loop runs over neighbours in memory. */
HL_VECTOR_CLONES
static void blur_down(const float *restrict in, int32_t side, const float *taps, int32_t reach, float *restrict out)
{
	for (int32_t y = 0; y < side; y++) {
		float *to = out + (size_t)y * (size_t)side, sum = 0;
		memset(to, 0, (size_t)side * sizeof(*to));
		for (int32_t k = -reach; k <= reach; k++) {
			if (y + k < 0 || y + k >= side)
				continue;
			const float *from = in + (size_t)(y + k) * (size_t)side;
			float weight = taps[k < 0 ? -k : k];
			sum += weight;
			for (int32_t x = 0; x < side; x++)
				to[x] += weight * from[x];
		}
		for (int32_t x = 0; x < side; x++)
			to[x] /= sum;
	}
}

/* Along the rows. norm: of each place the sum of the taps that lie inside. */
HL_VECTOR_CLONES
static void blur_across(const float *restrict in, int32_t side, const float *taps, int32_t reach,
                        const float *restrict norm, float *restrict out)
{
	for (int32_t y = 0; y < side; y++) {
		const float *from = in + (size_t)y * (size_t)side;
		float *to = out + (size_t)y * (size_t)side;
		memset(to, 0, (size_t)side * sizeof(*to));
		for (int32_t k = -reach; k <= reach; k++) {
			float weight = taps[k < 0 ? -k : k];
			int32_t first = k < 0 ? -k : 0, last = k < 0 ? side : side - k;
			for (int32_t x = first; x < last; x++)
				to[x] += weight * from[x + k];
		}
		for (int32_t x = 0; x < side; x++)
			to[x] /= norm[x];
	}
}

void hl_blur(const float *in, int32_t side, float sigma, float *scratch, float *out)
{
	float taps[TAPS_MAX + 1] = {0}, norm[SIDE];
	int32_t reach = make_taps(sigma, taps);
	for (int32_t x = 0; x < side; x++) {
		norm[x] = 0;
		for (int32_t k = -reach; k <= reach; k++)
			norm[x] += x + k >= 0 && x + k < side ? taps[k < 0 ? -k : k] : 0;
	}
	blur_down(in, side, taps, reach, scratch);
	blur_across(scratch, side, taps, reach, norm, out);
}

/* ---- a picture made ready ---- */

/* Pixels of one grey that are joined to the edge: filled corners of a rotation, stripes of a shift, black around a
 * picture, air around a patient. */
static void find_shown(const uint8_t *small, float *shown)
{
	static const int32_t step[4][2] = {{1, 0}, {-1, 0}, {0, 1}, {0, -1}};
	uint16_t queue[HL_LOOK_PIXELS];
	size_t head = 0, tail = 0;
	for (size_t i = 0; i < HL_LOOK_PIXELS; i++)
		shown[i] = 1;
	for (int32_t i = 0; i < 4 * SIDE; i++) {
		int32_t along = i % SIDE, edge = i / SIDE;
		int32_t at = edge == 0   ? along
		             : edge == 1 ? (SIDE - 1) * SIDE + along
		             : edge == 2 ? along * SIDE
		                         : along * SIDE + SIDE - 1;
		if (shown[at] > 0 && small[at] <= 6) {
			shown[at] = 0;
			queue[tail++] = (uint16_t)at;
		}
	}
	while (head < tail) {
		int32_t at = queue[head++], x = at % SIDE, y = at / SIDE;
		for (int k = 0; k < 4; k++) {
			int32_t nx = x + step[k][0], ny = y + step[k][1], next = ny * SIDE + nx;
			if (nx < 0 || ny < 0 || nx >= SIDE || ny >= SIDE || shown[next] == 0 || small[next] > 6)
				continue;
			shown[next] = 0;
			queue[tail++] = (uint16_t)next;
		}
	}
	if (tail > HL_LOOK_PIXELS * 3 / 4)
		for (size_t i = 0; i < HL_LOOK_PIXELS; i++)
			shown[i] = 1;
}

static void halve(const float *in, int32_t side, float *out)
{
	for (int32_t y = 0; y < side / 2; y++)
		for (int32_t x = 0; x < side / 2; x++) {
			const float *from = in + (size_t)2 * (size_t)(y * side + x);
			out[y * (side / 2) + x] = 0.25f * (from[0] + from[1] + from[side] + from[side + 1]);
		}
}

void hl_view_make(const uint8_t *small, struct hl_view *view)
{
	float scratch[HL_LOOK_PIXELS] = {0}, soft[HL_LOOK_PIXELS / 4] = {0}, half[HL_LOOK_PIXELS / 4] = {0};
	view->small = small;
	view->sharp = false;
	for (size_t i = 0; i < HL_LOOK_PIXELS; i++)
		view->fine[i] = small[i];
	halve(view->fine, SIDE, half);
	hl_blur(half, MIDDLE, 0.7f, scratch, view->middle);
	hl_blur(half, MIDDLE, 1.4f, scratch, soft);
	halve(soft, MIDDLE, view->coarse);
	find_shown(small, view->shown);
}

/* Standard deviation of noise, by what changes from pixel to pixel (Immerkaer, "Fast noise variance estimation",
 * Comput. Vis. Image Underst. 64, 1996; the median, so that vessels count little), where grey was not cut off. */
static float noise_of(const uint8_t *small)
{
	uint32_t count[1024] = {0}, total = 0, below = 0;
	for (int32_t y = 1; y < SIDE - 1; y++)
		for (int32_t x = 1; x < SIDE - 1; x++) {
			const uint8_t *at = small + y * SIDE + x;
			if (at[0] < CUT_MARGIN || at[0] > 255 - CUT_MARGIN)
				continue;
			int32_t corners = at[-SIDE - 1] + at[-SIDE + 1] + at[SIDE - 1] + at[SIDE + 1];
			int32_t sides = at[-SIDE] + at[-1] + at[1] + at[SIDE];
			int32_t value = abs(corners - 2 * sides + 4 * at[0]);
			count[value < 1023 ? value : 1023]++;
			total++;
		}
	size_t median = 0;
	while (median < 1023 && 2 * (below += count[median]) < total)
		median++;
	/* The mask has a norm of 6; half of a normal distribution lies within 0.6745 deviations. */
	return total > 0 ? (float)median / (6 * 0.6745f) : 0;
}

/* The finest size is needed of few. */
static void sharpen(struct hl_view *view)
{
	float grey[HL_LOOK_PIXELS], scratch[HL_LOOK_PIXELS] = {0};
	if (view->sharp)
		return;
	for (size_t i = 0; i < HL_LOOK_PIXELS; i++)
		grey[i] = view->small[i];
	hl_blur(grey, SIDE, 0.8f, scratch, view->fine);
	view->noise = sqrtf(NOISE_LEFT) * fminf(noise_of(view->small), NOISE_MOST);
	view->sharp = true;
}

/* ---- warping ---- */

/* One row of the moving picture sampled at map(place); weight becomes 0 where that lies outside or is not shown.
 * Without branches, so that it becomes vectors. */
HL_VECTOR_CLONES
static void warp_row(const float *restrict moving, const float *restrict shown, int32_t side, const float from[2],
                     const float step[2], const float *restrict fixed_weight, float *restrict out,
                     float *restrict weight)
{
	int32_t coarsen = SIDE / side;
	float last = (float)(side - 1), most = last - 0.001f;
	for (int32_t x = 0; x < side; x++) {
		float u = from[0] + step[0] * (float)x, v = from[1] + step[1] * (float)x;
		float inside = (u >= 0 ? 1.0f : 0.0f) * (v >= 0 ? 1.0f : 0.0f) * (u <= last ? 1.0f : 0.0f) *
		               (v <= last ? 1.0f : 0.0f);
		float cu = u > 0 ? u : 0, cv = v > 0 ? v : 0;
		cu = cu < most ? cu : most;
		cv = cv < most ? cv : most;
		int32_t ix = (int32_t)cu, iy = (int32_t)cv, at = iy * side + ix;
		float fx = cu - (float)ix, fy = cv - (float)iy;
		float top = moving[at] + fx * (moving[at + 1] - moving[at]);
		float bottom = moving[at + side] + fx * (moving[at + side + 1] - moving[at + side]);
		int32_t sx = (int32_t)(cu + 0.5f) * coarsen, sy = (int32_t)(cv + 0.5f) * coarsen;
		out[x] = top + fy * (bottom - top);
		weight[x] = inside * fixed_weight[x] * shown[sy * SIDE + sx];
	}
}

static void warp(const float *moving, const float *shown, int32_t side, const struct hl_affine *map,
                 const float *fixed_weight, float *out, float *weight)
{
	float half = 0.5f * (float)(side - 1), scale = (float)side;
	const float step[2] = {map->matrix[0][0], map->matrix[1][0]};
	for (int32_t y = 0; y < side; y++) {
		float from[2];
		size_t row = (size_t)y * (size_t)side;
		for (int k = 0; k < 2; k++)
			from[k] = map->matrix[k][1] * ((float)y - half) - map->matrix[k][0] * half +
			          map->shift[k] * scale + half;
		warp_row(moving, shown, side, from, step, fixed_weight + row, out + row, weight + row);
	}
}

/* Sum over pixels of a * b, in lanes that compilers turn into vectors. */
HL_VECTOR_CLONES
static float sum_product(const float *restrict a, const float *restrict b, size_t count)
{
	float lane[16] = {0}, sum = 0;
	for (size_t i = 0; i < count; i += 16)
		for (size_t k = 0; k < 16; k++)
			lane[k] += a[i + k] * b[i + k];
	for (size_t k = 0; k < 16; k++)
		sum += lane[k];
	return sum;
}

HL_VECTOR_CLONES
static float sum_all(const float *restrict a, size_t count)
{
	float lane[16] = {0}, sum = 0;
	for (size_t i = 0; i < count; i += 16)
		for (size_t k = 0; k < 16; k++)
			lane[k] += a[i + k];
	for (size_t k = 0; k < 16; k++)
		sum += lane[k];
	return sum;
}

struct moments {
	float weight, mean[2], deviation[2], correlation;
};

/* Of two pictures under weights; false where one has no contrast. */
HL_VECTOR_CLONES
static bool measure(const float *a, const float *b, const float *weight, size_t count, float *scratch,
                    struct moments *out)
{
	float sum = sum_all(weight, count);
	if (!(sum > 0))
		return false;
	float ma = sum_product(a, weight, count) / sum, mb = sum_product(b, weight, count) / sum;
	float *ca = scratch, *cb = scratch + count, *wb = scratch + 2 * count;
	for (size_t i = 0; i < count; i++) {
		ca[i] = a[i] - ma;
		cb[i] = b[i] - mb;
		wb[i] = cb[i] * weight[i];
	}
	float both = sum_product(ca, wb, count), bb = sum_product(cb, wb, count), aa;
	for (size_t i = 0; i < count; i++)
		wb[i] = ca[i] * weight[i];
	aa = sum_product(ca, wb, count);
	if (!(aa > 1e-3f * sum) || !(bb > 1e-3f * sum))
		return false;
	*out = (struct moments){sum, {ma, mb}, {sqrtf(aa / sum), sqrtf(bb / sum)}, both / sqrtf(aa * bb)};
	return true;
}

/* ---- registration ---- */

/* Solves the symmetric system by Cholesky; false where it is singular. */
static bool solve(double h[PARAMETERS][PARAMETERS], double b[PARAMETERS])
{
	for (int i = 0; i < PARAMETERS; i++) {
		for (int j = 0; j <= i; j++) {
			double sum = h[i][j];
			for (int k = 0; k < j; k++)
				sum -= h[i][k] * h[j][k];
			if (i == j) {
				if (!(sum > 1e-9))
					return false;
				h[i][i] = sqrt(sum);
			} else {
				h[i][j] = sum / h[j][j];
			}
		}
	}
	for (int i = 0; i < PARAMETERS; i++) {
		for (int k = 0; k < i; k++)
			b[i] -= h[i][k] * b[k];
		b[i] /= h[i][i];
	}
	for (int i = PARAMETERS - 1; i >= 0; i--) {
		for (int k = i + 1; k < PARAMETERS; k++)
			b[i] -= h[k][i] * b[k];
		b[i] /= h[i][i];
	}
	return true;
}

/* map after the inverse of (1 + step). */
static bool compose(struct hl_affine *map, const double step[PARAMETERS])
{
	double a = 1 + step[0], b = step[1], c = step[2], d = 1 + step[3], det = a * d - b * c;
	if (!(fabs(det) > 0.2))
		return false;
	const double inverse[2][2] = {{d / det, -b / det}, {-c / det, a / det}};
	struct hl_affine next;
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < 2; j++)
			next.matrix[i][j] = (float)((double)map->matrix[i][0] * inverse[0][j] +
			                            (double)map->matrix[i][1] * inverse[1][j]);
		next.shift[i] = (float)((double)map->shift[i] -
		                        ((double)next.matrix[i][0] * step[4] + (double)next.matrix[i][1] * step[5]));
	}
	*map = next;
	return true;
}

/* Memory of one registration at one size. */
struct work {
	float warped[HL_LOOK_PIXELS], weight[HL_LOOK_PIXELS], base[HL_LOOK_PIXELS], scratch[3 * HL_LOOK_PIXELS];
	float descent[PARAMETERS][HL_LOOK_PIXELS], weighted[HL_LOOK_PIXELS], error[HL_LOOK_PIXELS];
};

/* A soft circle: corners and edges are where turns, shifts and cuts leave nothing to compare. */
static void circle(const float *shown, int32_t side, float *weight)
{
	float half = 0.5f * (float)(side - 1);
	int32_t coarsen = SIDE / side;
	for (int32_t y = 0; y < side; y++)
		for (int32_t x = 0; x < side; x++) {
			float dx = ((float)x - half) / (float)side, dy = ((float)y - half) / (float)side;
			float r = sqrtf(dx * dx + dy * dy), w = (0.5f - r) * 12;
			weight[y * side + x] = (w < 0 ? 0 : w > 1 ? 1 : w) * shown[y * coarsen * SIDE + x * coarsen];
		}
}

HL_VECTOR_CLONES
static void find_descent(const float *fixed, int32_t side, struct work *work)
{
	float half = 0.5f * (float)(side - 1), scale = (float)side;
	for (int32_t y = 0; y < side; y++)
		for (int32_t x = 0; x < side; x++) {
			size_t i = (size_t)y * (size_t)side + (size_t)x;
			int32_t left = x > 0 ? -1 : 0, right = x < side - 1 ? 1 : 0;
			int32_t up = y > 0 ? -side : 0, down = y < side - 1 ? side : 0;
			float gx = (fixed[(int32_t)i + right] - fixed[(int32_t)i + left]) / (float)(right - left);
			float gy =
			    (fixed[(int32_t)i + down] - fixed[(int32_t)i + up]) * (float)side / (float)(down - up);
			float px = (float)x - half, py = (float)y - half;
			work->descent[0][i] = gx * px;
			work->descent[1][i] = gx * py;
			work->descent[2][i] = gy * px;
			work->descent[3][i] = gy * py;
			work->descent[4][i] = gx * scale;
			work->descent[5][i] = gy * scale;
		}
}

/* Weight where neither has grey at an end of the scale, 0 elsewhere. */
HL_VECTOR_CLONES
static void find_inside(const float *restrict a, const float *restrict b, const float *restrict weight, size_t count,
                        float *restrict inside)
{
	for (size_t i = 0; i < count; i++) {
		float low = a[i] < b[i] ? a[i] : b[i], high = a[i] > b[i] ? a[i] : b[i];
		inside[i] = weight[i] * (low >= CUT_MARGIN ? 1.0f : 0.0f) * (high <= 255 - CUT_MARGIN ? 1.0f : 0.0f);
	}
}

HL_VECTOR_CLONES
static void cut_grey(const float *restrict in, size_t count, float mean, float factor, const float range[2],
                     float *restrict out)
{
	float low = range[0], high = range[1];
	for (size_t i = 0; i < count; i++) {
		float value = (in[i] - mean) * factor;
		value = value > low ? value : low;
		out[i] = value < high ? value : high;
	}
}

/* Grey values of both on the fixed picture's scale, in scratch and error, cut to the range that both can show: where
 * brightness was changed, one may have lost what is very dark or very bright, and that is judged by what is left.
 * Centred, so that sums of squares lose nothing. */
static void bring_together(const float *fixed, size_t count, const struct moments *all, struct work *work)
{
	struct moments moments = *all, inner;
	find_inside(work->warped, fixed, work->weight, count, work->weighted);
	if (measure(work->warped, fixed, work->weighted, count, work->scratch, &inner) &&
	    inner.weight > 0.05f * all->weight && inner.correlation > 0.5f)
		moments = inner;
	float ratio = moments.deviation[1] / moments.deviation[0];
	const float range[2] = {fmaxf(-moments.mean[0] * ratio, -moments.mean[1]),
	                        fminf((255 - moments.mean[0]) * ratio, 255 - moments.mean[1])};
	cut_grey(work->warped, count, moments.mean[0], ratio, range, work->scratch);
	cut_grey(fixed, count, moments.mean[1], 1, range, work->error);
}

/* Steps until they are small. The correlation reached, or -1. */
static float refine(const float *moving, const float *moving_shown, const float *fixed, int32_t side, int steps,
                    struct hl_affine *map, struct work *work)
{
	size_t count = (size_t)side * (size_t)side;
	float best = -1, total = sum_all(work->base, count);
	struct hl_affine best_map = *map;
	for (int n = 0; n <= steps; n++) {
		struct moments moments;
		double h[PARAMETERS][PARAMETERS] = {{0}}, b[PARAMETERS];
		warp(moving, moving_shown, side, map, work->base, work->warped, work->weight);
		if (!measure(work->warped, fixed, work->weight, count, work->scratch, &moments) ||
		    moments.weight < OVERLAP_LEAST * total)
			break;
		if (moments.correlation > best) {
			best = moments.correlation;
			best_map = *map;
		} else if (n > 3 && moments.correlation < best - 0.05f) {
			break;
		}
		if (n == steps)
			break;
		bring_together(fixed, count, &moments, work);
		for (size_t i = 0; i < count; i++)
			work->error[i] = work->scratch[i] - work->error[i];
		for (int p = 0; p < PARAMETERS; p++) {
			for (size_t i = 0; i < count; i++)
				work->weighted[i] = work->descent[p][i] * work->weight[i];
			for (int q = 0; q <= p; q++)
				h[p][q] = h[q][p] = (double)sum_product(work->weighted, work->descent[q], count);
			b[p] = (double)sum_product(work->weighted, work->error, count);
		}
		double trace = 0;
		for (int p = 0; p < PARAMETERS; p++)
			trace += h[p][p];
		for (int p = 0; p < PARAMETERS; p++)
			h[p][p] += 1e-4 * trace / PARAMETERS + 1e-6;
		if (!solve(h, b) || !compose(map, b))
			break;
		double size = 0;
		for (int p = 0; p < PARAMETERS; p++)
			size += fabs(b[p]);
		if (size < 0.002)
			steps = n + 1;
	}
	*map = best_map;
	return best;
}

/* How far the pictures agree within neighbourhoods: the mean of the local correlations, each weighted by whether there
 * is anything to see, but not by how much, so that the outline of a chest counts no more than the vessels within.
 * excess: variance that one has more of than the other because it is noisier, which is no difference in what they show.
 */
static float compare_details(const float *a, const float *b, const float *weight, int32_t side, const float excess[2],
                             struct work *work)
{
	size_t count = (size_t)side * (size_t)side;
	float *product = work->scratch, *scratch = product + HL_LOOK_PIXELS;
	float *norm = work->weighted, *sum[5];
	double top = 0, bottom = 0;
	for (int k = 0; k < 5; k++)
		sum[k] = work->descent[k];
	hl_blur(weight, side, DETAIL_SIGMA, scratch, norm);
	for (int k = 0; k < 5; k++) {
		const float *left = k == 1 || k == 4 ? b : a, *right = k == 2 ? a : b;
		for (size_t i = 0; i < count; i++)
			product[i] = weight[i] * left[i] * (k < 2 ? 1 : right[i]);
		hl_blur(product, side, DETAIL_SIGMA, scratch, sum[k]);
	}
	for (size_t i = 0; i < count; i++) {
		if (weight[i] <= 0 || norm[i] < 0.05f)
			continue;
		float ma = sum[0][i] / norm[i], mb = sum[1][i] / norm[i];
		float aa = sum[2][i] / norm[i] - ma * ma - excess[0];
		float bb = sum[4][i] / norm[i] - mb * mb - excess[1];
		float ab = sum[3][i] / norm[i] - ma * mb;
		aa = aa > 0 ? aa : 0;
		bb = bb > 0 ? bb : 0;
		float root = sqrtf(aa * bb), both = root > fabsf(ab) ? root : fabsf(ab);
		float larger = aa > bb ? aa : bb, use = weight[i] * larger / (larger + DETAIL_LEAST * DETAIL_LEAST);
		top += (double)(both > 1e-3f ? use * ab / both : 0);
		bottom += (double)use;
	}
	return bottom > 0 ? (float)(top / bottom) : 0;
}

/* At one size: registers and, where asked, compares details under the map found. The correlation, or -1. */
static float match_at(const float *moving, const float *moving_shown, const float *fixed, const float *fixed_shown,
                      int32_t side, int steps, struct hl_affine *map, struct work *work)
{
	circle(fixed_shown, side, work->base);
	find_descent(fixed, side, work);
	return refine(moving, moving_shown, fixed, side, steps, map, work);
}

static bool details_at(const float *moving, const float *moving_shown, const float *fixed, int32_t side,
                       const struct hl_affine *map, const float noise[2], struct work *work, struct moments *moments,
                       float *detail)
{
	size_t count = (size_t)side * (size_t)side;
	float excess[2] = {0, 0};
	warp(moving, moving_shown, side, map, work->base, work->warped, work->weight);
	if (!measure(work->warped, fixed, work->weight, count, work->scratch, moments))
		return false;
	float ratio = moments->deviation[1] / moments->deviation[0];
	float more = noise[0] * noise[0] * ratio * ratio - noise[1] * noise[1];
	excess[more < 0] = fabsf(more);
	bring_together(fixed, count, moments, work);
	memcpy(work->warped, work->scratch, count * sizeof(*work->warped));
	*detail = compare_details(work->warped, work->error, work->weight, side, excess, work);
	return true;
}

bool hl_match(struct hl_view *moving, struct hl_view *fixed, const struct hl_affine *start, struct hl_match *out)
{
	struct work work;
	struct moments moments;
	struct hl_affine map = *start;
	float detail, noise[2] = {0, 0};
	if (match_at(moving->coarse, moving->shown, fixed->coarse, fixed->shown, COARSE, 10, &map, &work) < 0.75f ||
	    match_at(moving->middle, moving->shown, fixed->middle, fixed->shown, MIDDLE, 5, &map, &work) < 0.8f)
		return false;
	if (!details_at(moving->middle, moving->shown, fixed->middle, MIDDLE, &map, noise, &work, &moments, &detail) ||
	    detail < 0.75f)
		return false;
	sharpen(moving);
	sharpen(fixed);
	noise[0] = moving->noise;
	noise[1] = fixed->noise;
	if (match_at(moving->fine, moving->shown, fixed->fine, fixed->shown, SIDE, 2, &map, &work) < 0.8f ||
	    !details_at(moving->fine, moving->shown, fixed->fine, SIDE, &map, noise, &work, &moments, &detail))
		return false;
	float total = sum_all(work.base, HL_LOOK_PIXELS);
	float gain = moments.correlation * moments.deviation[0] / moments.deviation[1];
	*out = (struct hl_match){.map = map,
	                         .correlation = moments.correlation,
	                         .detail = detail,
	                         .overlap = moments.weight / total,
	                         .gain = gain,
	                         .offset = moments.mean[0] - gain * moments.mean[1],
	                         .residual = moments.deviation[0] *
	                                     sqrtf(fmaxf(0, 1 - moments.correlation * moments.correlation))};
	return true;
}
