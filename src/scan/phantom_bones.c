#include "scan/phantom_canvas.h"

#include <math.h>

enum { WALL = 22 * 8 };

/* Places along the wall by which a rib descends from level 0 to 1. */
#define RIB_DESCENT 120

/* A bone along a line: a dense shell around cancellous bone. */
static void draw_bone(struct hl_canvas *canvas, const struct hl_patient *patient, const struct hl_point *line,
                      int count, double r0, double r1, double shell)
{
	hl_canvas_paint(canvas, hl_canvas_stroke(canvas, line, count, r0, r1), 640 + patient->marrow);
	if (r0 > shell && r1 > shell)
		hl_canvas_paint(canvas, hl_canvas_stroke(canvas, line, count, r0 - shell, r1 - shell), patient->marrow);
}

static struct hl_point off_wall(const struct hl_patient *patient, int place, double depth)
{
	struct hl_point p = patient->wall[(place % WALL + WALL) % WALL];
	struct hl_point a = patient->wall[((place - 2) % WALL + WALL) % WALL];
	struct hl_point b = patient->wall[((place + 2) % WALL + WALL) % WALL];
	double nx = b.y - a.y, ny = a.x - b.x, length = sqrt(nx * nx + ny * ny);
	/* The wall runs clockwise on the screen from the front over the left, so that the normal points outwards. */
	return (struct hl_point){p.x + nx / length * depth, p.y + ny / length * depth};
}

/* Ribs slope, so that a slice cuts each of them once, further round the wall than the next one below. */
static void draw_ribs(struct hl_canvas *canvas, const struct hl_patient *patient, struct hl_random *shared)
{
	for (int side = 0; side < 2; side++) {
		bool volume = canvas->vessels != NULL;
		/* In a volume ribs move to the front as they descend, and what is drawn in one slice must not change
		 * what comes after it. */
		struct hl_random apart = hl_canvas_stream(canvas, HL_PART_BONES + HL_PART_SLICE * (uint32_t)(side + 1));
		struct hl_random *random = volume ? &apart : shared;
		double place = hl_random_range(random, 10, 17) - (volume ? RIB_DESCENT * patient->level : 0);
		while (place < 76) {
			enum { POINTS = 9 };
			struct hl_point line[POINTS];
			double forward = volume ? 1.2 : place < 20 ? 1.4 : place > 55 ? 1.5 : 1;
			double length = forward * hl_random_range(random, 4, 8.5);
			double thick = hl_random_range(random, 3.3, 4.6) * patient->width;
			double tilt = hl_random_range(random, -2.2, 2.2), depth = 7 * patient->width;
			int count = 0;
			for (int i = 0; i < POINTS; i++) {
				double at = place + length * i / (POINTS - 1);
				int step = (int)(at + 0.5);
				if (step > 80)
					break;
				double off = depth + tilt * (2.0 * i / (POINTS - 1) - 1);
				line[count++] = off_wall(patient, side ? WALL - step : step, off);
			}
			double thin = count > 2 ? hl_random_range(random, 0.75, 1.05) : 1;
			if (count > 2 && place > 6)
				draw_bone(canvas, patient, line, count, thick, thick * thin, 1.3);
			place += length + hl_random_range(random, 4.5, 8.5);
		}
	}
}

static void draw_sternum(struct hl_canvas *canvas, const struct hl_patient *patient, struct hl_random *random)
{
	double level = patient->level;
	struct hl_point front = patient->wall[0];
	if (level < 0.14) { /* the heads of the collar bones */
		for (int side = -1; side <= 1; side += 2) {
			struct hl_point line[3] = {{side * 16, front.y - 10},
			                           {side * 38, front.y - 16},
			                           {side * (70 + 300 * (0.14 - level)), front.y - 14}};
			draw_bone(canvas, patient, line, 3, 8, 5.5, 1.6);
		}
		return;
	}
	double half = (level < 0.3 ? 26 : 17) * patient->width, thick = 5.6;
	if (level < 0.92) {
		struct hl_point line[3] = {{-half + thick, front.y - 7}, {0, front.y - 9}, {half - thick, front.y - 7}};
		draw_bone(canvas, patient, line, 3, thick, thick, 1.3);
	}
	double chalk = hl_random_range(random, 80, 190);
	for (int side = -1; side <= 1; side += 2) { /* cartilages */
		if (hl_random_uniform(random) < 0.35)
			continue;
		int reach = 4 + (int)hl_random_below(random, 6);
		struct hl_point line[3] = {{side * (half + 4), front.y - 8},
		                           off_wall(patient, side * reach, 8),
		                           off_wall(patient, side * (reach + 4), 8)};
		hl_canvas_paint(canvas, hl_canvas_stroke(canvas, line, 3, 4.2, 4.6), chalk + 90);
		hl_canvas_paint(canvas, hl_canvas_stroke(canvas, line, 3, 3.2, 3.6), chalk);
	}
}

static void draw_scapulae(struct hl_canvas *canvas, const struct hl_patient *patient, struct hl_random *random)
{
	double level = patient->level, w = patient->width, d = patient->depth;
	if (level > 0.56)
		return;
	for (int side = -1; side <= 1; side += 2) {
		double s = side * w, shrink = fmin(1, (0.60 - level) / 0.25), thick = hl_random_range(random, 2.4, 3.6);
		double turn = hl_random_range(random, -6, 6);
		/* The blade from its inner border to the outer one, thicker at both. */
		struct hl_point inner = {s * (82 + 8 * (1 - shrink)), (118 + turn) * d};
		struct hl_point middle = {s * (82 + 30 * shrink), (110 + 0.6 * turn) * d};
		struct hl_point outer = {s * (84 + 58 * shrink), (112 - 34 * shrink) * d};
		struct hl_point blade[3] = {inner, middle, outer};
		draw_bone(canvas, patient, blade, 3, thick, thick + 1.6, 1.1);
		if (level < 0.24) { /* the spine of the scapula */
			struct hl_point spine[3] = {{s * 104, 106 * d}, {s * 128, 106 * d}, {s * 152, 86 * d}};
			draw_bone(canvas, patient, spine, 3, 2.6, 4, 1.2);
		}
		if (level < 0.17) { /* its neck and the socket */
			struct hl_point neck[2] = {outer, {s * 158, 44 * d}};
			draw_bone(canvas, patient, neck, 2, 5, 8, 1.5);
		}
	}
}

void hl_phantom_bones(struct hl_canvas *canvas, const struct hl_patient *patient)
{
	struct hl_random random = hl_canvas_stream(canvas, HL_PART_BONES);
	draw_ribs(canvas, patient, &random);
	draw_sternum(canvas, patient, &random);
	draw_scapulae(canvas, patient, &random);
}

static void draw_arch(struct hl_canvas *canvas, const struct hl_patient *patient, struct hl_random *random)
{
	double s = patient->width, y = patient->depth;
	double through_disc = hl_random_uniform(random), tip = hl_random_range(random, 16, 30);
	for (int side = -1; side <= 1; side += 2) {
		double w = side * s;
		struct hl_point pedicle[2] = {{w * 12, 68 * y}, {w * 13, 84 * y}};
		struct hl_point lamina[3] = {{w * 13, 84 * y}, {w * 8, 93 * y}, {0, 99 * y}};
		struct hl_point process[3] = {{w * 14, 86 * y}, {w * 26, 92 * y}, {w * 36, 97 * y}};
		struct hl_point rib[4] = {{w * 21, 66 * y}, {w * 28, 80 * y}, {w * 42, 98 * y}, {w * 60, 104 * y}};
		if (through_disc < 0.6)
			draw_bone(canvas, patient, pedicle, 2, 3.6, 3.6, 1.2);
		draw_bone(canvas, patient, lamina, 3, 3, 3, 1.1);
		if (through_disc < 0.7)
			draw_bone(canvas, patient, process, 3, 4.2, 3.8, 1.2);
		if (hl_random_uniform(random) < 0.6)
			draw_bone(canvas, patient, rib, 4, 4.2, 3.6, 1.2);
	}
	struct hl_point spinous[2] = {{0, 98 * y}, {hl_random_range(random, -2, 2), (98 + tip) * y}};
	draw_bone(canvas, patient, spinous, 2, 3.2, 2.8, 1.1);
}

void hl_phantom_spine(struct hl_canvas *canvas, const struct hl_patient *patient)
{
	enum { CONTROL = 10, STEPS = 6 };
	static const struct hl_point body[CONTROL] = {{0, -15}, {9, -13.5}, {16, -6},   {16.5, 3}, {14, 10},
	                                              {0, 8},   {-14, 10},  {-16.5, 3}, {-16, -6}, {-9, -13.5}};
	struct hl_random random = hl_canvas_stream(canvas, HL_PART_SPINE);
	double scale = (0.82 + 0.22 * patient->level) * patient->width, y = 58 * patient->depth;
	struct hl_point control[CONTROL], outline[CONTROL * STEPS];
	struct hl_box box = hl_canvas_ellipse(canvas, 0, y + 6, 22 * scale, 24 * scale, 0);
	hl_canvas_paint(canvas, box, 30);
	hl_canvas_carve(canvas, box);
	box = hl_canvas_ellipse(canvas, 0, y + 24, 30 * scale, 17 * scale, 0);
	hl_canvas_paint(canvas, box, 45);
	hl_canvas_carve(canvas, box);
	for (int shell = 0; shell < 2; shell++) {
		for (int i = 0; i < CONTROL; i++) {
			double far = scale * (shell ? 0.91 : 1);
			control[i] = (struct hl_point){body[i].x * far, y + body[i].y * far};
		}
		hl_curve_close(control, CONTROL, STEPS, outline);
		hl_canvas_paint(canvas, hl_canvas_polygon(canvas, outline, CONTROL * STEPS),
		                shell ? patient->marrow : 430 + patient->marrow);
	}
	for (int k = 0; k < 6; k++) /* coarse trabeculae and veins */
		hl_canvas_paint(canvas,
		                hl_canvas_ellipse(canvas, hl_random_normal(&random) * 6 * scale,
		                                  y + hl_random_normal(&random) * 4 * scale,
		                                  hl_random_range(&random, 1, 4), hl_random_range(&random, 1, 3), k),
		                patient->marrow + hl_random_normal(&random) * 70);
	draw_arch(canvas, patient, &random);
	double canal = 82 * patient->depth;
	hl_canvas_paint(canvas, hl_canvas_ellipse(canvas, 0, canal, 10 * scale, 8.5 * scale, 0), -40);
	hl_canvas_paint(canvas, hl_canvas_ellipse(canvas, 0, canal, 8 * scale, 7 * scale, 0), 25);
}
