/* What a phantom is drawn with: shapes in millimetres of the patient, painted with exact coverage of each pixel. Only
 * plain arithmetic and square roots are used, which are the same on every processor; a C library's sine is not. */
#ifndef HL_SCAN_PHANTOM_CANVAS_H
#define HL_SCAN_PHANTOM_CANVAS_H
#include "base/random.h"
#include "scan/phantom.h"

#define HL_PI 3.14159265358979323846

struct hl_point {
	double x, y; /* mm: x to the patient's left (image right), y to the back (image bottom) */
};

/* Pixels x0 <= x < x1, y0 <= y < y1. */
struct hl_box {
	int32_t x0, y0, x1, y1;
};

struct hl_canvas {
	int32_t size, stride; /* cover has rows of stride = size + 2 floats, the others of size */
	double pixel;         /* mm */
	double cosine, sine;  /* of the patient's rotation */
	double shift_x, shift_y;
	uint64_t seed;
	uint32_t index;
	float *hu;      /* the picture so far */
	float *lung;    /* share of each pixel that is lung */
	float *cover;   /* coverage by the last shape, valid in its box */
	float *scratch; /* as large as cover */
	float *spare;
	float *block; /* where they all lie */
	/* Of a slice of a volume (NULL: a slice by itself): what must go on from slice to slice. */
	const struct hl_vessels *vessels;
	double depth; /* mm towards the feet, from the middle of the volume */
};

/* Vessels and airways of both lungs, as pieces in space; z grows towards the feet, from the hilum. */
enum hl_tube_kind { HL_TUBE_VESSEL, HL_TUBE_WALL, HL_TUBE_AIRWAY };
struct hl_vessels {
	struct hl_tube *tube;
	size_t count, room;
	bool full; /* memory gave out */
};

/* Each part has streams of its own, so that what one draws changes nothing in the others: the same case with and
 * without its lesion differs in the lesion alone. */
enum hl_part {
	HL_PART_PATIENT,
	HL_PART_COUCH,
	HL_PART_BODY,
	HL_PART_BONES,
	HL_PART_SPINE,
	HL_PART_MEDIASTINUM,
	HL_PART_LUNGS,
	HL_PART_VESSELS,
	HL_PART_DISTRACTORS,
	HL_PART_LESION,
	HL_PART_SCANNER,
	HL_PART_TEXTURE = 32,
	HL_PART_NEIGHBOUR = 64, /* added for what differs between neighbouring slices */
	HL_PART_SLICE = 256     /* times one and more: for what differs between the slices of a volume */
};

/* What is being drawn: everything about one patient that more than one part needs. */
struct hl_patient {
	double level;        /* 0 just below the apex of the lungs, 1 at the dome of the diaphragm */
	double width, depth; /* scales of the chest */
	double fat;          /* mm of fat beyond the average, may be negative */
	double bulk;         /* scale of the mediastinum */
	double breast;       /* mm; 0: flat */
	double blood;        /* HU */
	double marrow;       /* HU of cancellous bone */
	double lung;         /* HU of the parenchyma at mid height */
	double gradient;     /* HU per mm towards the back */
	double lean;         /* left-right asymmetry */
	double jitter[2][12];
	struct hl_point wall[22 * 8]; /* the inner chest wall, from the sternum over the left side and back */
};

double hl_phantom_sin(double x);
double hl_phantom_cos(double x);
double hl_phantom_exp(double x);

enum hilum_status hl_canvas_init(struct hl_canvas *canvas, int32_t size, struct hilum_error *error);
void hl_canvas_free(struct hl_canvas *canvas);

struct hl_point hl_canvas_to_pixel(const struct hl_canvas *canvas, double x, double y);
struct hl_point hl_canvas_to_patient(const struct hl_canvas *canvas, double pixel_x, double pixel_y);

/* Each shape sets cover in the box it returns. Corners are joined by straight lines. */
struct hl_box hl_canvas_polygon(struct hl_canvas *canvas, const struct hl_point *points, int count);
struct hl_box hl_canvas_ellipse(struct hl_canvas *canvas, double x, double y, double rx, double ry, double angle);
/* A line with round ends whose half width goes from r0 to r1. */
struct hl_box hl_canvas_stroke(struct hl_canvas *canvas, const struct hl_point *points, int count, double r0,
                               double r1);
/* One piece of a vessel in space, cut by the slice z = 0; raises target (rows of size) to its coverage. */
struct hl_space {
	double x, y, z;
};
void hl_canvas_tube(struct hl_canvas *canvas, struct hl_space a, struct hl_space b, double r0, double r1,
                    float *target);

void hl_canvas_paint(struct hl_canvas *canvas, struct hl_box box, double hu);
/* Paints only where there is lung, and no deeper than there is. */
void hl_canvas_paint_lung(struct hl_canvas *canvas, struct hl_box box, double hu);
/* Takes the shape away from the lung. */
void hl_canvas_carve(struct hl_canvas *canvas, struct hl_box box);

/* A smooth closed curve through count points: steps points a span into out (Catmull and Rom 1974). */
void hl_curve_close(const struct hl_point *points, int count, int steps, struct hl_point *out);

/* The stream of one part of this case. */
struct hl_random hl_canvas_stream(const struct hl_canvas *canvas, uint32_t part);
/* Normal enough numbers of variance 1. */
void hl_canvas_white(struct hl_random random, float *out, size_t count);
/* A random field of variance 1 that changes over cell mm, added to hu scaled by amplitude and weight (NULL: 1). which
 * tells the fields of a case apart. */
void hl_canvas_texture(struct hl_canvas *canvas, uint32_t which, double cell, double amplitude, const float *weight);
/* Gaussian blur with a standard deviation in pixels; from and to may be the same and neither is scratch. */
void hl_canvas_blur(struct hl_canvas *canvas, const float *from, float *to, double sigma);
#define HL_KERNEL_MAX 33
/* Half of a symmetric kernel, middle first, of sum 1; returns its length. */
int hl_kernel(double sigma, float half[HL_KERNEL_MAX]);

/* The parts, in the order in which they are drawn. */
void hl_phantom_patient(struct hl_canvas *canvas, bool neighbour, struct hl_patient *patient);
void hl_phantom_couch(struct hl_canvas *canvas, const struct hl_patient *patient);
void hl_phantom_body(struct hl_canvas *canvas, struct hl_patient *patient);
void hl_phantom_bones(struct hl_canvas *canvas, const struct hl_patient *patient);
void hl_phantom_mediastinum(struct hl_canvas *canvas, const struct hl_patient *patient);
void hl_phantom_spine(struct hl_canvas *canvas, const struct hl_patient *patient);
void hl_phantom_lungs(struct hl_canvas *canvas, const struct hl_patient *patient);
/* All of a patient's vessels, for the slices of a volume; hl_vessels_free. */
enum hilum_status hl_phantom_vessels(const struct hl_canvas *canvas, const struct hl_patient *patient,
                                     struct hl_vessels *out, struct hilum_error *error);
void hl_vessels_free(struct hl_vessels *vessels);
void hl_phantom_distractors(struct hl_canvas *canvas, const struct hl_patient *patient);
void hl_phantom_lesion(struct hl_canvas *canvas, bool neighbour, struct hl_lesion *out);
/* The same in two steps, for a lesion that several slices cut: chosen in one of them, drawn in each at the scale of its
 * section there (1: the middle). random is what hl_lesion_choose leaves. */
struct hl_lesion_shape {
	double x, y, radius, squeeze, angle;
	double size[7], phase[7];
};
void hl_lesion_choose(const struct hl_canvas *canvas, bool neighbour, struct hl_lesion_shape *shape,
                      struct hl_random *random, struct hl_lesion *out);
void hl_lesion_draw(struct hl_canvas *canvas, struct hl_lesion_shape shape, struct hl_random random, double scale,
                    struct hl_lesion *lesion);
/* variant: added to the part of the noise, so that slices have their own. */
void hl_phantom_scanner(struct hl_canvas *canvas, uint32_t variant);
/* All of a slice but lesion and scanner. wall: where the lungs' outline ends up, in patient. */
void hl_phantom_anatomy(struct hl_canvas *canvas, struct hl_patient *patient);

/* The value at level between six drawn at 0, 0.2, ... 1. */
double hl_phantom_between(const double *six, int step, double level);
#endif
