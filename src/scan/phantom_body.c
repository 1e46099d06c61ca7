/* The patient's frame: couch, skin, fat, muscle, bones. Outlines are half outlines in millimetres of an average adult,
 * from the front midline over the side to the back midline, at six levels from the apex of the lungs to the dome of the
 * diaphragm, 44 mm apart. */
#include "scan/phantom_canvas.h"

#include <math.h>

enum { HALF = 12, WHOLE = 22, STEPS = 8, LEVELS = 6 };

/* The inner face of the ribs. */
static const double cavity_x[HALF][LEVELS] = {
    {0, 0, 0, 0, 0, 0},
    {20, 26, 28, 30, 32, 34},
    {42, 56, 62, 66, 68, 70},
    {60, 84, 94, 100, 104, 106},
    {70, 102, 116, 122, 127, 129},
    {72, 108, 124, 130, 134, 136},
    {66, 100, 114, 120, 124, 126},
    {54, 80, 91, 95, 98, 100},
    {42, 58, 64, 66, 68, 68},
    {32, 42, 44, 45, 45, 45},
    {22, 28, 30, 30, 30, 30},
    {0, 0, 0, 0, 0, 0},
};
static const double cavity_y[HALF][LEVELS] = {
    {-30, -66, -78, -82, -84, -84}, {-40, -74, -86, -90, -92, -90}, {-38, -70, -82, -86, -88, -86},
    {-24, -50, -60, -62, -64, -62}, {0, -16, -22, -22, -22, -20},   {24, 20, 18, 20, 22, 22},
    {46, 54, 56, 60, 62, 62},       {60, 76, 82, 86, 88, 88},       {66, 86, 93, 97, 99, 98},
    {64, 82, 89, 92, 93, 92},       {58, 70, 75, 77, 78, 77},       {54, 62, 66, 68, 69, 68},
};
/* The skin. */
static const double body_x[HALF][LEVELS] = {
    {0, 0, 0, 0, 0, 0},
    {30, 32, 32, 34, 34, 34},
    {66, 74, 76, 78, 78, 78},
    {105, 118, 118, 118, 118, 118},
    {148, 150, 146, 145, 145, 145},
    {174, 168, 160, 156, 156, 157},
    {168, 162, 154, 149, 149, 150},
    {138, 136, 127, 123, 123, 124},
    {100, 98, 92, 90, 90, 90},
    {64, 62, 60, 58, 56, 56},
    {32, 30, 30, 28, 26, 26},
    {0, 0, 0, 0, 0, 0},
};
static const double body_y[HALF][LEVELS] = {
    {-62, -90, -100, -103, -104, -104}, {-66, -97, -108, -112, -113, -112}, {-64, -98, -112, -116, -115, -112},
    {-54, -84, -96, -97, -94, -92},     {-30, -44, -48, -47, -44, -42},     {10, 8, 10, 10, 12, 12},
    {52, 58, 62, 66, 68, 68},           {84, 98, 106, 110, 112, 112},       {104, 124, 130, 132, 133, 132},
    {116, 134, 138, 138, 137, 136},     {120, 134, 136, 135, 133, 132},     {116, 128, 130, 129, 128, 127},
};

double hl_phantom_between(const double *six, int step, double level)
{
	double place = level < 0 ? 0 : level > 1 ? LEVELS - 1 : level * (LEVELS - 1);
	int key = place >= LEVELS - 1 ? LEVELS - 2 : (int)place;
	double part = place - key;
	return six[key * step] * (1 - part) + six[(key + 1) * step] * part;
}

void hl_phantom_patient(struct hl_canvas *canvas, bool neighbour, struct hl_patient *patient)
{
	struct hl_random random = hl_canvas_stream(canvas, HL_PART_PATIENT);
	double size = hl_random_range(&random, 0.9, 1.08);
	*patient = (struct hl_patient){0};
	patient->level = hl_random_range(&random, 0.08, 0.96);
	patient->width = size * hl_random_range(&random, 0.94, 1.06);
	patient->depth = size * hl_random_range(&random, 0.80, 1.0);
	patient->fat = hl_random_normal(&random) * 9 + 5;
	patient->fat = fmin(fmax(patient->fat, -6), 30);
	patient->bulk = size * hl_random_range(&random, 0.92, 1.12);
	patient->breast = hl_random_uniform(&random) < 0.45 ? hl_random_range(&random, 8, 34) : 0;
	patient->blood =
	    hl_random_uniform(&random) < 0.5 ? hl_random_range(&random, 35, 50) : hl_random_range(&random, 110, 320);
	patient->marrow = hl_random_range(&random, 90, 260);
	patient->lung = hl_random_range(&random, -880, -790);
	patient->gradient = hl_random_range(&random, 0.15, 0.65);
	patient->lean = hl_random_normal(&random) * 0.02;
	for (int i = 0; i < HALF; i++) {
		patient->jitter[0][i] = hl_random_normal(&random) * 1.6;
		patient->jitter[1][i] = hl_random_normal(&random) * 1.6;
	}
	double angle = hl_random_normal(&random) * 0.035, field = hl_random_range(&random, 0.98, 1.1);
	angle = fmin(fmax(angle, -0.12), 0.12);
	canvas->cosine = hl_phantom_cos(angle);
	canvas->sine = hl_phantom_sin(angle);
	canvas->shift_x = hl_random_range(&random, -8, 8);
	canvas->shift_y = hl_random_range(&random, -16, 2);
	double slice = hl_random_range(&random, 3, 6) / 220;
	/* A radiographer sets the field of view about the body, sometimes about the lungs alone. */
	double body = 2 * (hl_phantom_between(body_x[5], 1, patient->level) * patient->width + patient->fat);
	if (hl_random_uniform(&random) < 0.6)
		field *= 0.86;
	canvas->pixel = fmin(fmax(body * field, 250), 480) / canvas->size;
	if (neighbour)
		patient->level += patient->level > 0.5 ? -slice : slice;
}

/* The closed control outline of a half outline, grown by margin mm and by grow[i] times amount. */
static void whole_outline(const struct hl_patient *patient, const double (*half_x)[LEVELS],
                          const double (*half_y)[LEVELS], const double *grow, double amount, struct hl_point *out)
{
	for (int i = 0; i < HALF; i++) {
		double x = hl_phantom_between(half_x[i], 1, patient->level) * patient->width;
		double y = hl_phantom_between(half_y[i], 1, patient->level) * patient->depth;
		double length = sqrt(x * x + y * y), far = 1 + grow[i] * amount / length;
		double left = far * (1 + patient->lean) + patient->jitter[0][i] / length;
		double right = far * (1 - patient->lean) + patient->jitter[1][i] / length;
		out[i] = (struct hl_point){x * left, y * left};
		if (i > 0 && i < HALF - 1)
			out[WHOLE - i] = (struct hl_point){-x * right, y * right};
	}
}

void hl_phantom_couch(struct hl_canvas *canvas, const struct hl_patient *patient)
{
	enum { POINTS = 25 };
	struct hl_random random = hl_canvas_stream(canvas, HL_PART_COUCH);
	struct hl_point upper[POINTS], lower[POINTS], shell[2 * POINTS];
	double back = hl_phantom_between(body_y[9], 1, patient->level) * patient->depth + 0.6 * patient->fat;
	double half = hl_random_range(&random, 190, 235), sag = hl_random_range(&random, 22, 52);
	double thick = hl_random_range(&random, 16, 34), gap = hl_random_range(&random, 3, 12);
	double wall = hl_random_range(&random, 0.7, 1.5), skin = hl_random_range(&random, -350, 60);
	double foam = hl_random_range(&random, -975, -900);
	for (int i = 0; i < POINTS; i++) {
		double u = 2.0 * i / (POINTS - 1) - 1;
		upper[i] = (struct hl_point){half * u, back + gap - sag * u * u};
		lower[i] = (struct hl_point){half * u, back + gap - sag * u * u + thick * (1 - u * u * u * u) + 2};
		shell[i] = upper[i];
		shell[2 * POINTS - 1 - i] = lower[i];
	}
	/* The couch does not turn with the patient. */
	double cosine = canvas->cosine, sine = canvas->sine;
	canvas->cosine = 1;
	canvas->sine = 0;
	hl_canvas_paint(canvas, hl_canvas_polygon(canvas, shell, 2 * POINTS), foam);
	hl_canvas_paint(canvas, hl_canvas_stroke(canvas, upper, POINTS, wall, wall), skin);
	hl_canvas_paint(canvas, hl_canvas_stroke(canvas, lower, POINTS, 1.4 * wall, 1.4 * wall), skin);
	canvas->cosine = cosine;
	canvas->sine = sine;
}

/* A gown or a blanket: a faint wavy line a few millimetres off the skin in front. */
static void draw_cloth(struct hl_canvas *canvas, const struct hl_point *skin, struct hl_random *random)
{
	enum { POINTS = 56 };
	struct hl_point cloth[POINTS];
	double off = hl_random_range(random, 3, 9), wave = hl_random_range(random, 0.01, 0.05);
	double phase = hl_random_range(random, 0, 6), pace = hl_random_range(random, 0.4, 0.9);
	for (int i = 0; i < POINTS; i++) {
		struct hl_point p = skin[(WHOLE * STEPS - POINTS / 2 + i) % (WHOLE * STEPS)];
		double far = 1 + off / 110 + wave * hl_phantom_sin(phase + pace * i);
		cloth[i] = (struct hl_point){p.x * far, p.y * far};
	}
	hl_canvas_paint(canvas, hl_canvas_stroke(canvas, cloth, POINTS, 0.35, 0.35),
	                hl_random_range(random, -920, -780));
}

/* Planes of fat between the muscles, along the wall. */
static void draw_fat_planes(struct hl_canvas *canvas, const struct hl_patient *patient, struct hl_random *random)
{
	for (int plane = 0; plane < 12; plane++) {
		enum { POINTS = 9 };
		struct hl_point line[POINTS];
		int from = (int)hl_random_below(random, WHOLE * STEPS);
		double depth = hl_random_range(random, 17, 30), drift = hl_random_range(random, -1, 1);
		for (int i = 0; i < POINTS; i++) {
			struct hl_point p = patient->wall[(from + 2 * i) % (WHOLE * STEPS)];
			double length = sqrt(p.x * p.x + p.y * p.y), far = 1 + (depth + drift * i) / length;
			line[i] = (struct hl_point){p.x * far, p.y * far};
		}
		hl_canvas_paint(canvas, hl_canvas_stroke(canvas, line, POINTS, hl_random_range(random, 0.4, 1.6), 0.3),
		                hl_random_range(random, -95, -50));
	}
}

void hl_phantom_body(struct hl_canvas *canvas, struct hl_patient *patient)
{
	static const double none[HALF] = {0};
	static const double fatten[HALF] = {0.5, 0.7, 0.9, 1, 1, 1, 1, 0.9, 0.7, 0.55, 0.45, 0.4};
	static const double inset[HALF] = {0.5, 0.7, 0.9, 1, 1, 1, 1, 1, 0.9, 0.7, 0.5, 0.35};
	static const double breast[HALF] = {-0.2, 0.2, 0.9, 1, 0.45, 0.05, 0, 0, 0, 0, 0, 0};
	struct hl_random random = hl_canvas_stream(canvas, HL_PART_BODY);
	struct hl_point control[WHOLE], skin[WHOLE * STEPS];
	double grow[HALF], level = patient->level;
	double bust = patient->breast * fmax(0, 1 - fabs(level - 0.58) / 0.36);
	for (int i = 0; i < HALF; i++)
		grow[i] = fatten[i] * patient->fat + breast[i] * bust;
	whole_outline(patient, body_x, body_y, grow, 1, control);
	hl_curve_close(control, WHOLE, STEPS, skin);
	if (hl_random_uniform(&random) < 0.6)
		draw_cloth(canvas, skin, &random);
	hl_canvas_paint(canvas, hl_canvas_polygon(canvas, skin, WHOLE * STEPS), 10);
	for (int i = 0; i < HALF; i++)
		grow[i] -= 1.8;
	whole_outline(patient, body_x, body_y, grow, 1, control);
	hl_curve_close(control, WHOLE, STEPS, skin);
	hl_canvas_paint(canvas, hl_canvas_polygon(canvas, skin, WHOLE * STEPS), -104);

	whole_outline(patient, cavity_x, cavity_y, none, 0, control);
	hl_curve_close(control, WHOLE, STEPS, patient->wall);

	for (int k = 0; bust > 5 && k < 10; k++) { /* glandular tissue, between the skin and the muscle */
		int side = k % 2 ? -1 : 1;
		double x = (84 + hl_random_range(&random, -12, 12)) * patient->width,
		       deep = hl_random_range(&random, 0.2, 0.6);
		double y = -(108 + (deep * bust + 0.5 * fmax(patient->fat, 0))) * patient->depth;
		struct hl_box box = hl_canvas_ellipse(canvas, side * x, y, hl_random_range(&random, 3, 12),
		                                      hl_random_range(&random, 1, 0.16 * bust + 1),
		                                      side * hl_random_range(&random, 0.1, 0.7));
		hl_canvas_paint(canvas, box, hl_random_range(&random, -40, 30));
	}
	double under = fmin(9, 8 + 0.5 * patient->fat);
	whole_outline(patient, body_x, body_y, inset, -fmax(under, 3), control);
	hl_curve_close(control, WHOLE, STEPS, skin);
	hl_canvas_paint(canvas, hl_canvas_polygon(canvas, skin, WHOLE * STEPS), hl_random_range(&random, 42, 62));
	/* The hollow of the armpit. */
	double armpit = fmax(0, 1 - fabs(level - 0.22) / 0.3);
	for (int side = -1; armpit > 0.1 && side <= 1; side += 2) {
		double x = side * 134 * patient->width, y = -24 * patient->depth;
		hl_canvas_paint(canvas, hl_canvas_ellipse(canvas, x, y, 9 + 7 * armpit, 14 + 16 * armpit, side * 0.25),
		                -98);
		for (int k = 0; k < 5; k++)
			hl_canvas_paint(canvas,
			                hl_canvas_ellipse(canvas, x + hl_random_normal(&random) * 7,
			                                  y + hl_random_normal(&random) * 12,
			                                  hl_random_range(&random, 1.2, 4),
			                                  hl_random_range(&random, 1.2, 3.4), 0.4 * k),
			                45);
	}
	draw_fat_planes(canvas, patient, &random);
	hl_canvas_texture(canvas, 0, 9, 7, NULL);
}
