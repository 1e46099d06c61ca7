#include "scan/phantom_canvas.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

double hl_phantom_sin(double x)
{
	x -= 2 * HL_PI * floor(x / (2 * HL_PI) + 0.5);
	if (x > HL_PI / 2)
		x = HL_PI - x;
	else if (x < -HL_PI / 2)
		x = -HL_PI - x;
	double square = x * x, sum = 1;
	for (int k = 16; k >= 2; k -= 2)
		sum = 1 - sum * square / (k * (k + 1));
	return x * sum;
}

double hl_phantom_cos(double x)
{
	return hl_phantom_sin(x + HL_PI / 2);
}

double hl_phantom_exp(double x)
{
	double small = x / 1024, sum = 1;
	for (int k = 8; k >= 1; k--)
		sum = 1 + sum * small / k;
	for (int k = 0; k < 10; k++)
		sum *= sum;
	return sum;
}

enum hilum_status hl_canvas_init(struct hl_canvas *canvas, int32_t size, struct hilum_error *error)
{
	*canvas = (struct hl_canvas){.size = size, .stride = size + 2, .pixel = 1, .cosine = 1};
	size_t plane = (size_t)size * (size_t)size, padded = (size_t)canvas->stride * (size_t)canvas->stride;
	canvas->block = hl_alloc(3 * plane + 2 * padded, sizeof(float));
	if (!canvas->block)
		return hl_fail_memory(error, (3 * plane + 2 * padded) * sizeof(float), "a phantom");
	canvas->hu = canvas->block;
	canvas->lung = canvas->hu + plane;
	canvas->spare = canvas->lung + plane;
	canvas->cover = canvas->spare + plane;
	canvas->scratch = canvas->cover + padded;
	return HILUM_OK;
}

void hl_canvas_free(struct hl_canvas *canvas)
{
	hl_free(canvas->block);
	*canvas = (struct hl_canvas){0};
}

struct hl_point hl_canvas_to_pixel(const struct hl_canvas *canvas, double x, double y)
{
	return (struct hl_point){
	    canvas->size / 2.0 + (canvas->cosine * x - canvas->sine * y + canvas->shift_x) / canvas->pixel,
	    canvas->size / 2.0 + (canvas->sine * x + canvas->cosine * y + canvas->shift_y) / canvas->pixel};
}

struct hl_point hl_canvas_to_patient(const struct hl_canvas *canvas, double pixel_x, double pixel_y)
{
	double x = (pixel_x - canvas->size / 2.0) * canvas->pixel - canvas->shift_x;
	double y = (pixel_y - canvas->size / 2.0) * canvas->pixel - canvas->shift_y;
	return (struct hl_point){canvas->cosine * x + canvas->sine * y, canvas->cosine * y - canvas->sine * x};
}

static int32_t clamp_pixel(double x, int32_t size)
{
	return x <= 0 ? 0 : x >= size ? size : (int32_t)x;
}

static struct hl_box box_around(const struct hl_canvas *canvas, const struct hl_point *pixels, int count, double margin)
{
	if (count < 1)
		return (struct hl_box){0};
	double x0 = pixels[0].x, x1 = x0, y0 = pixels[0].y, y1 = y0;
	for (int i = 1; i < count; i++) {
		x0 = fmin(x0, pixels[i].x);
		x1 = fmax(x1, pixels[i].x);
		y0 = fmin(y0, pixels[i].y);
		y1 = fmax(y1, pixels[i].y);
	}
	return (struct hl_box){
	    clamp_pixel(floor(x0 - margin), canvas->size), clamp_pixel(floor(y0 - margin), canvas->size),
	    clamp_pixel(ceil(x1 + margin), canvas->size), clamp_pixel(ceil(y1 + margin), canvas->size)};
}

/* What one edge's piece within a row adds to that row: the height d that it spans, spread so that the running sum from
 * the left is the area to the right of the edge. */
static void add_span(float *row, double d, double xa, double xb)
{
	if (xa > xb) {
		double swap = xa;
		xa = xb;
		xb = swap;
	}
	int first = (int)xa, last = (int)ceil(xb);
	if (last <= first + 1) {
		double middle = 0.5 * (xa + xb) - first;
		row[first] += (float)(d - d * middle);
		row[first + 1] += (float)(d * middle);
		return;
	}
	double slope = d / (xb - xa), before = 0;
	for (int x = first; x < last; x++) {
		/* The area right of the edge within this pixel, by the trapezium that it cuts off. */
		double from = fmax(xa, x), to = fmin(xb, x + 1), height = (to - from) * slope;
		double area = height * (x + 1 - 0.5 * (from + to));
		row[x] += (float)(before + area);
		before = height - area;
	}
	row[last] += (float)before;
}

struct hl_box hl_canvas_polygon(struct hl_canvas *canvas, const struct hl_point *points, int count)
{
	enum { MOST = 512 };
	struct hl_point pixels[MOST];
	if (count > MOST)
		count = MOST;
	for (int i = 0; i < count; i++)
		pixels[i] = hl_canvas_to_pixel(canvas, points[i].x, points[i].y);
	struct hl_box box = box_around(canvas, pixels, count, 0);
	if (box.x0 >= box.x1 || box.y0 >= box.y1)
		return (struct hl_box){0};
	int32_t width = box.x1 - box.x0;
	for (int32_t y = box.y0; y < box.y1; y++)
		memset(canvas->cover + (size_t)y * canvas->stride + box.x0, 0, ((size_t)width + 2) * sizeof(float));
	for (int i = 0; i < count; i++) {
		struct hl_point a = pixels[i], b = pixels[(i + 1) % count];
		double sign = 1;
		if (a.y > b.y) {
			struct hl_point swap = a;
			a = b;
			b = swap;
			sign = -1;
		}
		double top = fmax(a.y, box.y0), bottom = fmin(b.y, box.y1);
		if (top >= bottom)
			continue;
		double slope = (b.x - a.x) / (b.y - a.y), x = a.x + (top - a.y) * slope - box.x0;
		for (int32_t y = (int32_t)top; y < box.y1 && y < bottom; y++) {
			double height = fmin(bottom, y + 1) - fmax(top, y), next = x + slope * height;
			add_span(canvas->cover + (size_t)y * canvas->stride + box.x0, sign * height,
			         fmin(fmax(x, 0), width), fmin(fmax(next, 0), width));
			x = next;
		}
	}
	for (int32_t y = box.y0; y < box.y1; y++) {
		float *row = canvas->cover + (size_t)y * canvas->stride, sum = 0;
		for (int32_t x = box.x0; x < box.x1; x++) {
			sum += row[x];
			float share = fabsf(sum);
			row[x] = share < 1e-4F ? 0 : share > 1 ? 1 : share;
		}
	}
	return box;
}

struct hl_box hl_canvas_ellipse(struct hl_canvas *canvas, double x, double y, double rx, double ry, double angle)
{
	enum { CORNERS = 40 };
	struct hl_point points[CORNERS];
	double c = hl_phantom_cos(angle), s = hl_phantom_sin(angle);
	for (int i = 0; i < CORNERS; i++) {
		double u = rx * hl_phantom_cos(2 * HL_PI * i / CORNERS),
		       v = ry * hl_phantom_sin(2 * HL_PI * i / CORNERS);
		points[i] = (struct hl_point){x + c * u - s * v, y + s * u + c * v};
	}
	return hl_canvas_polygon(canvas, points, CORNERS);
}

/* The share of a pixel at distance d from the middle of a band of half width r: a box filter across the band, so that
 * lines thinner than a pixel fade rather than vanish. */
static double band(double d, double r)
{
	double low = fmax(d - 0.5, -r), high = fmin(d + 0.5, r);
	return high > low ? high - low : 0;
}

static void raise_segment(const struct hl_canvas *canvas, const double a[3], const double b[3], double r0, double r1,
                          float *target, int32_t stride)
{
	double reach = fmax(r0, r1) + 0.5, dx = b[0] - a[0], dy = b[1] - a[1], dz = b[2] - a[2];
	struct hl_point ends[2] = {{a[0], a[1]}, {b[0], b[1]}};
	struct hl_box box = box_around(canvas, ends, 2, reach);
	double length = dx * dx + dy * dy + dz * dz, scale = length > 0 ? 1 / length : 0;
	for (int32_t y = box.y0; y < box.y1; y++) {
		for (int32_t x = box.x0; x < box.x1; x++) {
			double px = x + 0.5 - a[0], py = y + 0.5 - a[1], pz = -a[2];
			double t = (px * dx + py * dy + pz * dz) * scale;
			t = t < 0 ? 0 : t > 1 ? 1 : t;
			double ex = px - t * dx, ey = py - t * dy, ez = pz - t * dz,
			       square = ex * ex + ey * ey + ez * ez;
			if (square >= reach * reach)
				continue;
			float share = (float)band(sqrt(square), r0 + t * (r1 - r0));
			float *at = target + (size_t)y * stride + x;
			if (share > *at)
				*at = share;
		}
	}
}

struct hl_box hl_canvas_stroke(struct hl_canvas *canvas, const struct hl_point *points, int count, double r0, double r1)
{
	enum { MOST = 64 };
	struct hl_point pixels[MOST];
	if (count > MOST)
		count = MOST;
	for (int i = 0; i < count; i++)
		pixels[i] = hl_canvas_to_pixel(canvas, points[i].x, points[i].y);
	struct hl_box box = box_around(canvas, pixels, count, fmax(r0, r1) / canvas->pixel + 0.5);
	if (box.x0 >= box.x1 || box.y0 >= box.y1)
		return (struct hl_box){0};
	for (int32_t y = box.y0; y < box.y1; y++)
		memset(canvas->cover + (size_t)y * canvas->stride + box.x0, 0,
		       (size_t)(box.x1 - box.x0) * sizeof(float));
	for (int i = 0; i + 1 < count; i++) {
		double a[3] = {pixels[i].x, pixels[i].y, 0}, b[3] = {pixels[i + 1].x, pixels[i + 1].y, 0};
		double step = (r1 - r0) / (count - 1);
		raise_segment(canvas, a, b, (r0 + step * i) / canvas->pixel, (r0 + step * (i + 1)) / canvas->pixel,
		              canvas->cover, canvas->stride);
	}
	return box;
}

void hl_canvas_tube(struct hl_canvas *canvas, struct hl_space a, struct hl_space b, double r0, double r1, float *target)
{
	double reach = fmax(r0, r1) + 0.5 * canvas->pixel;
	if ((a.z > reach && b.z > reach) || (a.z < -reach && b.z < -reach))
		return;
	struct hl_point p = hl_canvas_to_pixel(canvas, a.x, a.y), q = hl_canvas_to_pixel(canvas, b.x, b.y);
	double from[3] = {p.x, p.y, a.z / canvas->pixel}, to[3] = {q.x, q.y, b.z / canvas->pixel};
	raise_segment(canvas, from, to, r0 / canvas->pixel, r1 / canvas->pixel, target, canvas->size);
}

void hl_canvas_paint(struct hl_canvas *canvas, struct hl_box box, double hu)
{
	for (int32_t y = box.y0; y < box.y1; y++) {
		const float *cover = canvas->cover + (size_t)y * canvas->stride;
		float *row = canvas->hu + (size_t)y * canvas->size;
		for (int32_t x = box.x0; x < box.x1; x++)
			row[x] += cover[x] * ((float)hu - row[x]);
	}
}

void hl_canvas_paint_lung(struct hl_canvas *canvas, struct hl_box box, double hu)
{
	for (int32_t y = box.y0; y < box.y1; y++) {
		const float *cover = canvas->cover + (size_t)y * canvas->stride;
		const float *lung = canvas->lung + (size_t)y * canvas->size;
		float *row = canvas->hu + (size_t)y * canvas->size;
		for (int32_t x = box.x0; x < box.x1; x++)
			row[x] += cover[x] * lung[x] * ((float)hu - row[x]);
	}
}

void hl_canvas_carve(struct hl_canvas *canvas, struct hl_box box)
{
	for (int32_t y = box.y0; y < box.y1; y++)
		for (int32_t x = box.x0; x < box.x1; x++)
			canvas->lung[(size_t)y * canvas->size + x] *= 1 - canvas->cover[(size_t)y * canvas->stride + x];
}

void hl_curve_close(const struct hl_point *points, int count, int steps, struct hl_point *out)
{
	for (int i = 0; i < count; i++) {
		struct hl_point a = points[(i + count - 1) % count], b = points[i], c = points[(i + 1) % count],
		                d = points[(i + 2) % count];
		for (int k = 0; k < steps; k++) {
			double t = (double)k / steps;
			double wa = ((2 - t) * t - 1) * t / 2, wb = ((3 * t - 5) * t * t + 2) / 2;
			double wc = ((4 - 3 * t) * t + 1) * t / 2, wd = (t - 1) * t * t / 2;
			out[i * steps + k] = (struct hl_point){wa * a.x + wb * b.x + wc * c.x + wd * d.x,
			                                       wa * a.y + wb * b.y + wc * c.y + wd * d.y};
		}
	}
}

/* The two halves of a word added: a triangular distribution of variance 1, near enough to normal once smoothed. */
static float triangular(uint32_t word)
{
	return ((float)(word & 0xffff) + (float)(word >> 16) - 65535) * (2.4494897F / 65536);
}

void hl_canvas_white(struct hl_random random, float *out, size_t count)
{
	uint32_t words[256];
	for (size_t done = 0; done < count; done += 256) {
		size_t part = count - done < 256 ? count - done : 256;
		hl_random_fill(&random, done, words, part);
		for (size_t i = 0; i < part; i++)
			out[done + i] = triangular(words[i]);
	}
}

struct hl_random hl_canvas_stream(const struct hl_canvas *canvas, uint32_t part)
{
	return hl_random_stream(canvas->seed, part, canvas->index, HL_RANDOM_PHANTOM);
}

/* The nodes of a texture: of a volume, between two planes of them. */
static void make_lattice(struct hl_canvas *canvas, uint32_t part, double cell, size_t nodes)
{
	float *lattice = canvas->scratch, *above = canvas->cover;
	if (!canvas->vessels) {
		hl_canvas_white(hl_canvas_stream(canvas, part), lattice, nodes);
		return;
	}
	double place = canvas->depth / cell + 100000, share = place - floor(place);
	uint32_t plane = (uint32_t)place * HL_PART_SLICE;
	hl_canvas_white(hl_canvas_stream(canvas, part + plane), lattice, nodes);
	hl_canvas_white(hl_canvas_stream(canvas, part + plane + HL_PART_SLICE), above, nodes);
	share = share * share * (3 - 2 * share);
	for (size_t i = 0; i < nodes; i++)
		lattice[i] += (float)share * (above[i] - lattice[i]);
}

void hl_canvas_texture(struct hl_canvas *canvas, uint32_t which, double cell, double amplitude, const float *weight)
{
	double step = cell / canvas->pixel;
	if (step < 1) {
		/* Finer than the pixels: what is left after averaging within one. */
		amplitude *= step;
		step = 1;
	}
	int32_t nodes = (int32_t)(canvas->size / step) + 2, size = canvas->size;
	float *lattice = canvas->scratch;
	make_lattice(canvas, HL_PART_TEXTURE + which, cell, (size_t)nodes * (size_t)nodes);
	/* Smoothstep interpolation lowers the mean variance to (26/35)^2 of the nodes'. */
	float scale = (float)(step > 1 ? amplitude * 35 / 26 : amplitude);
	for (int32_t y = 0; y < size; y++) {
		double v = y / step;
		int32_t j = (int32_t)v;
		float fy = (float)(v - j);
		fy = fy * fy * (3 - 2 * fy);
		const float *above = lattice + (size_t)j * nodes, *below = above + nodes;
		for (int32_t x = 0; x < size; x++) {
			size_t at = (size_t)y * size + x;
			if (weight && weight[at] == 0)
				continue;
			double u = x / step;
			int32_t i = (int32_t)u;
			float fx = (float)(u - i);
			fx = fx * fx * (3 - 2 * fx);
			float top = above[i] + fx * (above[i + 1] - above[i]);
			float bottom = below[i] + fx * (below[i + 1] - below[i]);
			canvas->hu[at] += (weight ? weight[at] : 1) * scale * (top + fy * (bottom - top));
		}
	}
}

int hl_kernel(double sigma, float half[HL_KERNEL_MAX])
{
	int length = (int)ceil(3 * sigma) + 1;
	if (length > HL_KERNEL_MAX)
		length = HL_KERNEL_MAX;
	double sum = 0, value[HL_KERNEL_MAX];
	for (int k = 0; k < length; k++) {
		value[k] = sigma > 0 ? hl_phantom_exp(-0.5 * k * k / (sigma * sigma)) : k == 0;
		sum += k == 0 ? value[k] : 2 * value[k];
	}
	for (int k = 0; k < length; k++)
		half[k] = (float)(value[k] / sum);
	return length;
}

void hl_canvas_blur(struct hl_canvas *canvas, const float *from, float *to, double sigma)
{
	float half[HL_KERNEL_MAX] = {0};
	int32_t size = canvas->size;
	int length = hl_kernel(sigma, half);
	for (int32_t y = 0; y < size; y++) {
		float *row = canvas->scratch + (size_t)y * size;
		const float *middle = from + (size_t)y * size;
		for (int32_t x = 0; x < size; x++)
			row[x] = half[0] * middle[x];
		for (int k = 1; k < length; k++) {
			const float *above = from + (size_t)(y >= k ? y - k : 0) * size;
			const float *below = from + (size_t)(y + k < size ? y + k : size - 1) * size;
			for (int32_t x = 0; x < size; x++)
				row[x] += half[k] * (above[x] + below[x]);
		}
	}
	for (int32_t y = 0; y < size; y++) {
		const float *row = canvas->scratch + (size_t)y * size;
		float *out = to + (size_t)y * size;
		for (int32_t x = 0; x < size; x++) {
			float sum = half[0] * row[x];
			for (int k = 1; k < length; k++)
				sum += half[k] * (row[x >= k ? x - k : 0] + row[x + k < size ? x + k : size - 1]);
			out[x] = sum;
		}
	}
}
