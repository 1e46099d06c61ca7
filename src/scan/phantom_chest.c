/* The middle of the chest: heart, great vessels, airways, gullet. Positions are millimetres in an average adult. */
#include "scan/phantom_canvas.h"

#include <math.h>

enum { LEVELS = 6, STATIONS = 8, STEPS = 6 };

/* Front to back at each level: place, and how far the mediastinum reaches to the right and to the left. */
static const double station_y[STATIONS][LEVELS] = {
    {-46, -74, -88, -92, -94, -94}, {-34, -58, -66, -70, -76, -78}, {-20, -42, -50, -52, -60, -62},
    {-6, -24, -32, -34, -40, -44},  {8, -8, -12, -12, -18, -24},    {22, 10, 10, 16, 18, 18},
    {38, 28, 30, 34, 36, 36},       {62, 62, 64, 66, 66, 66},
};
static const double reach_right[STATIONS][LEVELS] = {
    {24, 4, 3, 4, 6, 9},      {27, 9, 6, 12, 20, 26},   {29, 22, 21, 32, 36, 38}, {28, 33, 38, 44, 44, 44},
    {26, 33, 40, 46, 46, 40}, {24, 24, 34, 34, 32, 24}, {23, 17, 18, 15, 14, 14}, {22, 20, 20, 20, 20, 20},
};
static const double reach_left[STATIONS][LEVELS] = {
    {24, 4, 3, 4, 12, 20},    {27, 9, 6, 16, 44, 64},   {29, 18, 20, 42, 74, 90}, {28, 26, 36, 58, 86, 94},
    {26, 34, 42, 56, 76, 80}, {24, 39, 36, 36, 44, 38}, {23, 38, 38, 33, 29, 27}, {22, 25, 27, 27, 26, 26},
};

enum tissue { BLOOD, AIR, SOFT };

/* A cross-section that moves from one ellipse at level from to another at level to. */
struct organ {
	enum tissue tissue;
	double from, to;
	double x0, y0, rx0, ry0, x1, y1, rx1, ry1;
};

static const struct organ organs[] = {
    {BLOOD, -1, 0.13, -8, -10, 6.5, 6.5, -9, -22, 7, 7},     /* brachiocephalic artery */
    {BLOOD, -1, 0.13, 10, -4, 4.5, 4.5, 6, -16, 5, 5},       /* left carotid */
    {BLOOD, -1, 0.13, 19, 10, 5, 5, 17, 0, 5.5, 5.5},        /* left subclavian */
    {BLOOD, -1, 0.13, -20, -22, 7.5, 7, -22, -28, 8, 7},     /* right vein */
    {BLOOD, -1, 0.13, 16, -24, 8, 6, 8, -34, 14, 6},         /* left vein */
    {BLOOD, 0.13, 0.6, -23, -30, 8, 9, -30, -22, 9.5, 9},    /* superior vena cava */
    {BLOOD, 0.24, 0.62, -8, -40, 15, 15, -2, -32, 15.5, 15}, /* ascending aorta */
    {BLOOD, 0.22, 2, 29, 34, 12.5, 12.5, 14, 48, 11, 11},    /* descending aorta */
    {BLOOD, 0.34, 0.56, 20, -36, 12, 13, 13, -46, 15, 13},   /* pulmonary trunk */
    {BLOOD, 0.56, 0.80, 2, 10, 30, 12, 4, 6, 34, 17},        /* left atrium */
    {BLOOD, 0.93, 2, -28, 10, 12, 10, -28, 12, 13, 11},      /* inferior vena cava */
    {BLOOD, 0.1, 2, -9, 42, 2.6, 2.6, -7, 44, 3.2, 3},       /* azygos vein */
    {SOFT, -1, 2, 6, 26, 6, 4, 9, 33, 7, 5},                 /* gullet */
    {AIR, -1, 0.37, 0, 8, 8, 9, 2, 13, 9, 7.5},              /* windpipe */
    {AIR, 0.37, 0.43, 2, 14, 13, 6.5, 1, 15, 17, 6},         /* where it divides */
    {AIR, 0.43, 0.54, -14, 15, 8, 6, -26, 15, 6.5, 5.5},     /* right main bronchus */
    {AIR, 0.43, 0.58, 15, 17, 8, 5.5, 28, 17, 5.8, 5},       /* left main bronchus */
    {AIR, 0.54, 0.68, -27, 15, 5.6, 5, -33, 19, 4.6, 4.4},   /* intermediate bronchus */
    {AIR, 0.58, 0.72, 28, 18, 5, 4.6, 32, 25, 4.2, 4},       /* left lower bronchus */
};

static void draw_envelope(struct hl_canvas *canvas, const struct hl_patient *patient)
{
	struct hl_point control[2 * STATIONS], outline[2 * STATIONS * STEPS];
	for (int i = 0; i < STATIONS; i++) {
		double y = hl_phantom_between(station_y[i], 1, patient->level) * patient->depth;
		double right = hl_phantom_between(reach_right[i], 1, patient->level) * patient->bulk;
		double left = hl_phantom_between(reach_left[i], 1, patient->level) * patient->bulk;
		control[i] = (struct hl_point){left + patient->jitter[0][i], y};
		control[2 * STATIONS - 1 - i] = (struct hl_point){-right + patient->jitter[1][i], y};
	}
	hl_curve_close(control, 2 * STATIONS, STEPS, outline);
	struct hl_box box = hl_canvas_polygon(canvas, outline, 2 * STATIONS * STEPS);
	hl_canvas_paint(canvas, box, -45);
	hl_canvas_carve(canvas, box);
}

/* Below the great vessels the heart fills its sac but for a few millimetres of fat. */
static void draw_heart(struct hl_canvas *canvas, const struct hl_patient *patient, struct hl_random *random)
{
	enum { FIRST = 1, LAST = 5, SIDE = LAST - FIRST + 1 };
	double level = patient->level, muscle = hl_random_range(random, 40, 60), fat = hl_random_range(random, 2, 7);
	if (level < 0.57)
		return;
	struct hl_point control[2 * SIDE], outline[2 * SIDE * STEPS];
	for (int i = 0; i < SIDE; i++) {
		double y = hl_phantom_between(station_y[FIRST + i], 1, level) * patient->depth + (i == 0) * fat;
		control[i].x = hl_phantom_between(reach_left[FIRST + i], 1, level) * patient->bulk +
		               patient->jitter[0][FIRST + i] - fat;
		control[2 * SIDE - 1 - i].x = -hl_phantom_between(reach_right[FIRST + i], 1, level) * patient->bulk +
		                              patient->jitter[1][FIRST + i] + fat;
		control[i].y = control[2 * SIDE - 1 - i].y = y;
	}
	hl_curve_close(control, 2 * SIDE, STEPS, outline);
	hl_canvas_paint(canvas, hl_canvas_polygon(canvas, outline, 2 * SIDE * STEPS), muscle);
	if (level < 0.66)
		return;
	/* Chambers, whose blood shows against the muscle when there is contrast in it. */
	double s = patient->bulk, d = patient->depth, sink = (level - 0.66) * 20;
	hl_canvas_paint(canvas, hl_canvas_ellipse(canvas, 44 * s, (-22 - sink) * d, 30 * s, 15 * s, 0.75),
	                patient->blood);
	hl_canvas_paint(canvas, hl_canvas_ellipse(canvas, 8 * s, (-52 - sink) * d, 30 * s, 13 * s, 0.35),
	                0.8 * patient->blood + 8);
	hl_canvas_paint(canvas, hl_canvas_ellipse(canvas, -28 * s, (-26 - sink) * d, 16 * s, 23 * s, 0.1),
	                0.9 * patient->blood + 4);
}

static void draw_great_vessels(struct hl_canvas *canvas, const struct hl_patient *patient)
{
	double level = patient->level, s = patient->bulk, d = patient->depth, blood = patient->blood;
	if (level > 0.12 && level < 0.25) { /* aortic arch */
		struct hl_point arch[4] = {{-10 * s, -38 * d}, {6 * s, -18 * d}, {20 * s, 4 * d}, {29 * s, 28 * d}};
		hl_canvas_paint(canvas, hl_canvas_stroke(canvas, arch, 4, 13 * s, 11.5 * s), blood);
	}
	if (level > 0.36 && level < 0.47) { /* left pulmonary artery */
		struct hl_point line[3] = {{18 * s, -32 * d}, {34 * s, -12 * d}, {40 * s, 12 * d}};
		hl_canvas_paint(canvas, hl_canvas_stroke(canvas, line, 3, 11 * s, 8.5 * s), blood);
	}
	if (level > 0.43 && level < 0.55) { /* right pulmonary artery, behind the ascending aorta */
		struct hl_point line[3] = {{16 * s, -30 * d}, {-8 * s, -9 * d}, {-40 * s, 0}};
		hl_canvas_paint(canvas, hl_canvas_stroke(canvas, line, 3, 10.5 * s, 9 * s), blood);
	}
}

static void draw_organ(struct hl_canvas *canvas, const struct hl_patient *patient, const struct organ *organ,
                       double sway)
{
	double from = organ->from < 0 ? 0 : organ->from, to = organ->to > 1 ? 1 : organ->to;
	double t = (patient->level - from) / (to - from), s = patient->bulk;
	double x = (organ->x0 + t * (organ->x1 - organ->x0) + sway) * s;
	double y = (organ->y0 + t * (organ->y1 - organ->y0) + 0.5 * sway) * patient->depth;
	double rx = (organ->rx0 + t * (organ->rx1 - organ->rx0)) * s,
	       ry = (organ->ry0 + t * (organ->ry1 - organ->ry0)) * s;
	if (organ->tissue == BLOOD) {
		hl_canvas_paint(canvas, hl_canvas_ellipse(canvas, x, y, rx, ry, 0), patient->blood);
		return;
	}
	struct hl_box box = hl_canvas_ellipse(canvas, x, y, rx + (organ->tissue == AIR ? 1.5 : 0),
	                                      ry + (organ->tissue == AIR ? 1.5 : 0), 0);
	hl_canvas_paint(canvas, box, 35);
	hl_canvas_carve(canvas, box);
	if (organ->tissue == AIR)
		hl_canvas_paint(canvas, hl_canvas_ellipse(canvas, x, y, rx, ry, 0), -985);
}

void hl_phantom_mediastinum(struct hl_canvas *canvas, const struct hl_patient *patient)
{
	struct hl_random random = hl_canvas_stream(canvas, HL_PART_MEDIASTINUM);
	size_t count = sizeof organs / sizeof *organs;
	draw_envelope(canvas, patient);
	for (int k = 0; k < 7; k++) { /* lymph nodes and small vessels in the fat */
		double x = hl_random_range(&random, -26, 26), y = hl_random_range(&random, -50, 36);
		hl_canvas_paint(canvas,
		                hl_canvas_ellipse(canvas, x, y, hl_random_range(&random, 1.5, 4.5),
		                                  hl_random_range(&random, 1.5, 3.5), hl_random_range(&random, 0, 3)),
		                40);
	}
	draw_heart(canvas, patient, &random);
	draw_great_vessels(canvas, patient);
	for (enum tissue tissue = BLOOD; tissue <= SOFT; tissue++) {
		/* Airways last: nothing covers their walls. */
		enum tissue now = tissue == BLOOD ? BLOOD : tissue == AIR ? SOFT : AIR;
		for (size_t i = 0; i < count; i++) {
			double sway = hl_random_range(&random, -1.5, 1.5);
			if (organs[i].tissue == now && patient->level >= organs[i].from &&
			    patient->level < organs[i].to)
				draw_organ(canvas, patient, &organs[i], sway);
		}
	}
	if (hl_random_uniform(&random) < 0.3) /* a little air in the gullet */
		hl_canvas_paint(canvas,
		                hl_canvas_ellipse(canvas, 8 * patient->bulk, 30 * patient->depth, 2.5, 1.4, 0.2), -800);
	/* The domes of the diaphragm. */
	double dome = (patient->level - hl_random_range(&random, 0.9, 1.04)) / 0.12;
	if (dome > 0.02) {
		double r = 0.55 + 0.5 * sqrt(fmin(dome, 1));
		struct hl_box box = hl_canvas_ellipse(canvas, -74 * patient->width, -12 * patient->depth,
		                                      50 * r * patient->width, 56 * r * patient->depth, 0.15);
		hl_canvas_paint(canvas, box, 58);
		hl_canvas_carve(canvas, box);
	}
}
