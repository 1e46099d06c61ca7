/* The lesion, and the findings that are none. */
#include "scan/phantom_canvas.h"

#include <math.h>

static double lung_at(const struct hl_canvas *canvas, double x, double y)
{
	struct hl_point p = hl_canvas_to_pixel(canvas, x, y);
	if (p.x < 0 || p.y < 0 || p.x >= canvas->size || p.y >= canvas->size)
		return 0;
	return (double)canvas->lung[(size_t)(int32_t)p.y * canvas->size + (int32_t)p.x];
}

/* The share of a disc that is lung. */
static double share_inside(const struct hl_canvas *canvas, double x, double y, double radius)
{
	double sum = lung_at(canvas, x, y), count = 1;
	for (int ring = 1; ring <= 3; ring++) {
		for (int k = 0; k < 6 * ring; k++) {
			double angle = 2 * HL_PI * k / (6 * ring), r = radius * ring / 3;
			sum += lung_at(canvas, x + r * hl_phantom_cos(angle), y + r * hl_phantom_sin(angle));
			count++;
		}
	}
	return sum / count;
}

/* A random place where the disc is at least half and at most most inside the lung; false if none was found. */
static bool find_place(const struct hl_canvas *canvas, struct hl_random *random, double radius, double least,
                       double most, struct hl_point *out)
{
	for (int attempt = 0; attempt < 400; attempt++) {
		double u = hl_random_range(random, 0.02, 0.98), v = hl_random_range(random, 0.02, 0.98);
		struct hl_point p = hl_canvas_to_patient(canvas, u * canvas->size, v * canvas->size);
		if (lung_at(canvas, p.x, p.y) < 0.9)
			continue;
		double share = share_inside(canvas, p.x, p.y, radius);
		if (share >= least && share <= most) {
			*out = p;
			return true;
		}
	}
	return false;
}

enum { CORNERS = 96 };

/* Its outline by a few waves round a circle, scaled to keep the area of the circle. */
static void outline_of(const struct hl_lesion_shape *shape, double scale, struct hl_point out[CORNERS])
{
	double squares = 0;
	for (int k = 2; k < 7; k++)
		squares += 0.5 * shape->size[k] * shape->size[k];
	double radius = shape->radius * scale / sqrt(1 + squares);
	double c = hl_phantom_cos(shape->angle), s = hl_phantom_sin(shape->angle);
	for (int i = 0; i < CORNERS; i++) {
		double angle = 2 * HL_PI * i / CORNERS, r = 1;
		for (int k = 2; k < 7; k++)
			r += shape->size[k] * hl_phantom_cos(k * angle + shape->phase[k]);
		double u = radius * r * hl_phantom_cos(angle) * shape->squeeze;
		double v = radius * r * hl_phantom_sin(angle) / shape->squeeze;
		out[i] = (struct hl_point){shape->x + c * u - s * v, shape->y + s * u + c * v};
	}
}

static void draw_spicules(struct hl_canvas *canvas, const struct hl_lesion_shape *shape, struct hl_random *random,
                          double hu)
{
	int count = 10 + (int)hl_random_below(random, 11);
	for (int i = 0; i < count; i++) {
		double angle = 2 * HL_PI * (i + hl_random_range(random, -0.45, 0.45)) / count;
		double u = hl_random_uniform(random), bend = hl_random_range(random, -0.25, 0.25);
		double far = shape->radius * (1.1 + 0.8 * u * u),
		       root = hl_random_range(random, 0.5, 0.8 + 0.07 * shape->radius);
		struct hl_point line[3] = {
		    {shape->x + 0.75 * shape->radius * hl_phantom_cos(angle),
		     shape->y + 0.75 * shape->radius * hl_phantom_sin(angle)},
		    {shape->x + 0.5 * (shape->radius + far) * hl_phantom_cos(angle + 0.4 * bend),
		     shape->y + 0.5 * (shape->radius + far) * hl_phantom_sin(angle + 0.4 * bend)},
		    {shape->x + far * hl_phantom_cos(angle + bend), shape->y + far * hl_phantom_sin(angle + bend)}};
		hl_canvas_paint_lung(canvas, hl_canvas_stroke(canvas, line, 3, root, 0.2), hu);
	}
}

/* Ground glass veils: what is denser shows through it. */
static void veil(struct hl_canvas *canvas, struct hl_box box, double hu)
{
	for (int32_t y = box.y0; y < box.y1; y++) {
		for (int32_t x = box.x0; x < box.x1; x++) {
			size_t at = (size_t)y * canvas->size + x;
			float more = (float)hu - canvas->hu[at];
			if (more > 0)
				canvas->hu[at] +=
				    canvas->cover[(size_t)y * canvas->stride + x] * canvas->lung[at] * more;
		}
	}
}

void hl_lesion_draw(struct hl_canvas *canvas, struct hl_lesion_shape shape, struct hl_random random, double scale,
                    struct hl_lesion *lesion)
{
	struct hl_point outline[CORNERS];
	double core = hl_random_range(&random, 0.5, 0.75), solid = hl_random_range(&random, 15, 60);
	double glass = hl_random_range(&random, -520, -320), fill;
	bool hollow = hl_random_uniform(&random) < 0.08 && shape.radius > 11;
	double edge = lesion->density == HL_DENSITY_SOLID ? solid : glass;
	shape.radius *= scale;
	if (lesion->margin == HL_MARGIN_SPICULATED)
		draw_spicules(canvas, &shape, &random, fmin(edge + 40, -60));
	outline_of(&shape, 1, outline);
	struct hl_box box = hl_canvas_polygon(canvas, outline, CORNERS);
	if (lesion->density == HL_DENSITY_SOLID)
		hl_canvas_paint_lung(canvas, box, solid);
	else
		veil(canvas, box, glass);
	fill = edge;
	if (lesion->density == HL_DENSITY_PART_SOLID) {
		shape.phase[2] += 1;
		outline_of(&shape, core, outline);
		hl_canvas_paint_lung(canvas, hl_canvas_polygon(canvas, outline, CORNERS), solid);
		fill = glass + core * core * (solid - glass);
	} else if (lesion->density == HL_DENSITY_SOLID && hollow) {
		outline_of(&shape, 0.36, outline);
		hl_canvas_paint_lung(canvas, hl_canvas_polygon(canvas, outline, CORNERS), -820);
	}
	lesion->hounsfield = fill;
}

void hl_lesion_choose(const struct hl_canvas *canvas, bool neighbour, struct hl_lesion_shape *shape,
                      struct hl_random *left, struct hl_lesion *out)
{
	struct hl_random random = hl_canvas_stream(canvas, HL_PART_LESION);
	/* Log-normal, median 27 mm, cut to 12 .. 45 mm. */
	double diameter;
	*shape = (struct hl_lesion_shape){0};
	do
		diameter = 27 * hl_phantom_exp(0.2 * hl_random_normal(&random));
	while (diameter < 12 || diameter > 45);
	double kind = hl_random_uniform(&random), glassy = hl_random_uniform(&random),
	       where = hl_random_uniform(&random);
	struct hl_lesion lesion = {0};
	lesion.margin = kind < 0.3 ? HL_MARGIN_SMOOTH : kind < 0.6 ? HL_MARGIN_LOBULATED : HL_MARGIN_SPICULATED;
	lesion.density = glassy < 0.82   ? HL_DENSITY_SOLID
	                 : glassy < 0.96 ? HL_DENSITY_PART_SOLID
	                                 : HL_DENSITY_GROUND_GLASS;
	double wave = lesion.margin == HL_MARGIN_SMOOTH ? 0.02 : lesion.margin == HL_MARGIN_LOBULATED ? 0.085 : 0.05;
	for (int k = 2; k < 7; k++) {
		shape->size[k] = wave * hl_random_range(&random, 0.3, 1.3);
		shape->phase[k] = hl_random_range(&random, 0, 2 * HL_PI);
	}
	shape->squeeze = hl_random_range(&random, 0.88, 1.14);
	shape->angle = hl_random_range(&random, 0, HL_PI);
	double cut = hl_random_range(&random, 0.82, 0.99);

	/* A tenth touch the pleura or the mediastinum; where the lung is too small for the lesion, it shrinks. */
	struct hl_point place = {0, 0};
	double least = where < 0.1 ? 0.7 : 0.97, most = where < 0.1 ? 0.95 : 1;
	while (!find_place(canvas, &random, 0.5 * diameter, least, most, &place) && diameter > 6) {
		diameter = fmax(0.85 * diameter, 6);
		least = 0.62;
		most = 1;
	}
	if (neighbour)
		diameter *= cut;
	shape->x = place.x;
	shape->y = place.y;
	shape->radius = 0.5 * diameter;
	*left = random;

	struct hl_point pixel = hl_canvas_to_pixel(canvas, place.x, place.y);
	lesion.x = pixel.x;
	lesion.y = pixel.y;
	lesion.diameter_mm = diameter;
	lesion.diameter = diameter / canvas->pixel;
	lesion.left = place.x > 0;
	*out = lesion;
}

void hl_phantom_lesion(struct hl_canvas *canvas, bool neighbour, struct hl_lesion *out)
{
	struct hl_lesion_shape shape;
	struct hl_random random;
	hl_lesion_choose(canvas, neighbour, &shape, &random, out);
	hl_lesion_draw(canvas, shape, random, 1, out);
}

/* A lens of soft tissue along the wall. */
static void draw_plaque(struct hl_canvas *canvas, const struct hl_patient *patient, struct hl_random *random)
{
	enum { POINTS = 13, WALL = 22 * 8 };
	struct hl_point line[POINTS];
	int from = (int)hl_random_below(random, WALL);
	double thick = hl_random_range(random, 1.2, 3), hu = hl_random_uniform(random) < 0.3 ? 260 : 45;
	for (int i = 0; i < POINTS; i++)
		line[i] = patient->wall[(from + i) % WALL];
	for (int i = 0; i + 4 < POINTS; i++) {
		double u = (i + 2.0) / (POINTS - 1), r = thick * 4 * u * (1 - u);
		hl_canvas_paint_lung(canvas, hl_canvas_stroke(canvas, line + i, 5, r, r), hu);
	}
}

/* Lung that has collapsed under its own weight: denser towards the back, in a patchy band. */
static void draw_dependent(struct hl_canvas *canvas, const struct hl_patient *patient, double strength)
{
	const struct hl_point *wall = patient->wall;
	double lowest = 0;
	for (int i = 0; i < 22 * 8; i++)
		lowest = fmax(lowest, wall[i].y);
	for (int32_t y = 0; y < canvas->size; y++) {
		for (int32_t x = 0; x < canvas->size; x++) {
			size_t at = (size_t)y * canvas->size + x;
			if (canvas->lung[at] == 0)
				continue;
			struct hl_point p = hl_canvas_to_patient(canvas, x + 0.5, y + 0.5);
			/* The floor rises to the sides as the wall does. */
			double depth = lowest - p.y - 0.0042 * (fabs(p.x) - 62) * (fabs(p.x) - 62);
			if (depth < 26)
				canvas->hu[at] +=
				    (float)(canvas->lung[at] * strength * hl_phantom_exp(-fmax(depth, 0) / 5.5));
		}
	}
}

void hl_phantom_distractors(struct hl_canvas *canvas, const struct hl_patient *patient)
{
	struct hl_random random = hl_canvas_stream(canvas, HL_PART_DISTRACTORS);
	struct hl_point place;
	if (hl_random_uniform(&random) < 0.4)
		draw_dependent(canvas, patient, hl_random_range(&random, 80, 380));
	if (hl_random_uniform(&random) < 0.25)
		draw_plaque(canvas, patient, &random);
	if (hl_random_uniform(&random) < 0.2 && find_place(canvas, &random, 3, 0.9, 1, &place)) /* granuloma */
		hl_canvas_paint_lung(canvas,
		                     hl_canvas_ellipse(canvas, place.x, place.y, hl_random_range(&random, 0.9, 1.8),
		                                       hl_random_range(&random, 0.9, 1.7), 0),
		                     hl_random_range(&random, 350, 900));
	if (hl_random_uniform(&random) < 0.15) { /* emphysema */
		int count = 4 + (int)hl_random_below(&random, 14);
		for (int i = 0; i < count; i++)
			if (find_place(canvas, &random, 5, 0.7, 1, &place)) {
				double r = hl_random_range(&random, 2, 8);
				hl_canvas_paint_lung(canvas, hl_canvas_ellipse(canvas, place.x, place.y, r, r * 0.8, i),
				                     hl_random_range(&random, -960, -920));
			}
	}
	if (hl_random_uniform(&random) < 0.15 && find_place(canvas, &random, 8, 0.9, 1, &place)) { /* a scar */
		double turn = hl_random_range(&random, -0.6, 0.6), half = hl_random_range(&random, 7, 16);
		struct hl_point line[3] = {
		    {place.x - half * hl_phantom_cos(turn), place.y - half * hl_phantom_sin(turn)},
		    {place.x, place.y + 1.5},
		    {place.x + half * hl_phantom_cos(turn), place.y + half * hl_phantom_sin(turn)}};
		hl_canvas_paint_lung(canvas, hl_canvas_stroke(canvas, line, 3, 0.9, 0.5), -150);
	}
}
