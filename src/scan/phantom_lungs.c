/* Parenchyma, fissures, and a tree of vessels and bronchi that branches in space and is cut by the slice. */
#include "base/memory.h"
#include "scan/phantom_canvas.h"

#include <math.h>
#include <string.h>

struct branch {
	struct hl_space at, along; /* along has length 1 */
	double radius;
	bool bronchus; /* with an airway beside it */
};

struct hl_tube {
	struct hl_space a, b;
	double r0, r1;
	enum hl_tube_kind kind;
};

enum { DEEP = 64, ROOTS = 22, TWIGS = 240 };

/* The level of the hilum, and mm from level 0 to 1. */
#define HILUM 0.52
#define HEIGHT 220
/* Of a volume, no vessel goes on further above or below the hilum, in mm. */
#define REACH 130

static double length_of(struct hl_space v)
{
	return sqrt(v.x * v.x + v.y * v.y + v.z * v.z);
}

static struct hl_space unit(struct hl_space v)
{
	double length = length_of(v);
	return length > 0 ? (struct hl_space){v.x / length, v.y / length, v.z / length} : (struct hl_space){1, 0, 0};
}

static struct hl_space add(struct hl_space a, double scale, struct hl_space b)
{
	return (struct hl_space){a.x + scale * b.x, a.y + scale * b.y, a.z + scale * b.z};
}

static struct hl_space random_direction(struct hl_random *random)
{
	struct hl_space v = {hl_random_range(random, -1, 1), hl_random_range(random, -1, 1),
	                     hl_random_range(random, -1, 1)};
	return unit(v);
}

static struct hl_space across(struct hl_space a, struct hl_space b)
{
	return unit((struct hl_space){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x});
}

struct tree {
	struct hl_canvas *canvas;
	struct hl_random *random;
	struct hl_space hilum;
	float *target[3];          /* by enum hl_tube_kind */
	struct hl_vessels *record; /* instead of drawing, for a volume */
	double thinnest;
};

static void put_tube(struct tree *tree, struct hl_space a, struct hl_space b, double r0, double r1,
                     enum hl_tube_kind kind)
{
	struct hl_vessels *record = tree->record;
	if (!record) {
		hl_canvas_tube(tree->canvas, a, b, r0, r1, tree->target[kind]);
		return;
	}
	if (record->count == record->room && !record->full) {
		size_t room = record->room ? 2 * record->room : 4096;
		struct hl_tube *tube = hl_realloc(record->tube, room, sizeof *tube);
		record->full = !tube;
		if (tube) {
			record->tube = tube;
			record->room = room;
		}
	}
	if (!record->full)
		record->tube[record->count++] = (struct hl_tube){a, b, r0, r1, kind};
}

static void draw_airway(struct tree *tree, struct hl_space a, struct hl_space b, double radius)
{
	struct hl_space beside =
	    across((struct hl_space){b.x - a.x, b.y - a.y, b.z - a.z}, (struct hl_space){0.3, 0.2, 1});
	double lumen = 0.72 * radius, wall = 0.28 * radius + 0.25, off = radius + lumen + 0.6 * wall;
	a = add(a, off, beside);
	b = add(b, off, beside);
	put_tube(tree, a, b, lumen + wall, lumen + wall, HL_TUBE_WALL);
	put_tube(tree, a, b, lumen, lumen, HL_TUBE_AIRWAY);
}

/* Draws one piece and leaves its two branches on the stack. */
static int grow(struct tree *tree, struct branch branch, struct branch *children)
{
	struct hl_random *random = tree->random;
	double r = branch.radius, length = r * hl_random_range(random, 3.5, 7.5) + 2.5;
	struct hl_space side = random_direction(random), outwards, end, middle;
	middle = add(branch.at, 0.5 * length, unit(add(branch.along, 0.18, side)));
	end = add(branch.at, length, branch.along);
	double thin = 0.96 * r;
	put_tube(tree, branch.at, middle, r, 0.5 * (r + thin), HL_TUBE_VESSEL);
	put_tube(tree, middle, end, 0.5 * (r + thin), thin, HL_TUBE_VESSEL);
	if (branch.bronchus && r > 1.1)
		draw_airway(tree, branch.at, end, r);

	/* Murray's law, r^3 = r1^3 + r2^3, as a straight line in the ratio of the two between 0.5 and 1. */
	double share = hl_random_range(random, 0.5, 1), big = thin * (1.13 - 0.336 * share), small = share * big;
	double spread = hl_random_range(random, 0.08, 0.3), wide = hl_random_range(random, 0.45, 1.0);
	side = across(branch.along, random_direction(random));
	outwards = unit((struct hl_space){end.x - tree->hilum.x, end.y - tree->hilum.y, end.z - tree->hilum.z});
	int count = 0;
	double radius[2] = {big, small}, turn[2] = {spread, -wide};
	for (int k = 0; k < 2; k++) {
		struct hl_space along = unit(add(add(branch.along, turn[k], side), 0.22, outwards));
		/* What all that follows can still reach; a branch that cannot come back to the slice is dropped. */
		double reach = tree->record ? REACH : 26 * radius[k] + 10;
		if (radius[k] > tree->thinnest && fabs(end.z) < reach)
			children[count++] = (struct branch){end, along, radius[k], branch.bronchus};
	}
	return count;
}

static void grow_from(struct tree *tree, struct branch root)
{
	struct branch stack[DEEP];
	int count = 0;
	stack[count++] = root;
	while (count > 0 && count < DEEP - 2) {
		struct branch branch = stack[--count];
		count += grow(tree, branch, stack + count);
	}
}

/* The small vessels of the whole lung, which a tree of few branches leaves out: short pieces that lead away from the
 * hilum, thinner towards the pleura. */
static void draw_twigs(struct tree *tree, const struct hl_patient *patient, int side)
{
	struct hl_random *random = tree->random;
	double half = tree->record ? REACH : 7;
	int count = tree->record ? TWIGS * REACH / 7 : TWIGS;
	for (int i = 0; i < count; i++) {
		struct hl_space at = {side * hl_random_range(random, 12, 132) * patient->width,
		                      hl_random_range(random, -88, 94) * patient->depth,
		                      hl_random_range(random, -half, half)};
		struct hl_space away = {at.x - tree->hilum.x, at.y - tree->hilum.y, at.z - tree->hilum.z};
		double far = length_of(away), length = hl_random_range(random, 3, 11);
		struct hl_space along = unit(add(unit(away), 0.6, random_direction(random)));
		double radius = hl_random_range(random, 0.3, 0.6) + fmax(0, 0.5 - far / 160);
		struct hl_space from = add(at, -length, along), to = add(at, length, along);
		put_tube(tree, from, to, radius, 0.7 * radius, HL_TUBE_VESSEL);
	}
}

/* The trees of both lungs, z counted from this slice or, for a volume, from the hilum. */
static void grow_trees(struct tree *tree, const struct hl_patient *patient)
{
	struct hl_random *random = tree->random;
	double caliber = hl_random_range(random, 0.85, 1.1);
	for (int side = -1; side <= 1; side += 2) {
		tree->thinnest = 0.36;
		/* z grows towards the feet, as the level does. */
		tree->hilum = (struct hl_space){side * 38 * patient->bulk, 6 * patient->depth,
		                                tree->record ? 0 : (HILUM - patient->level) * HEIGHT};
		for (int root = 0; root < ROOTS; root++) {
			/* The hilum is tall: vessels leave it fanning out to the front and back, more steeply at its
			 * ends. */
			double up = 2 * (root + hl_random_uniform(random)) / ROOTS - 1;
			double turn = hl_random_range(random, -1.45, 1.45);
			double steep = 1.6 * up * up * up + hl_random_range(random, -0.3, 0.3);
			struct hl_space along = {side * hl_phantom_cos(turn), hl_phantom_sin(turn), steep};
			struct hl_space from = tree->hilum;
			from.z += 50 * up;
			from.y += hl_random_range(random, -10, 12);
			struct branch branch = {from, unit(along), caliber * hl_random_range(random, 2.0, 3.7),
			                        root % 2 == 0};
			grow_from(tree, branch);
		}
		draw_twigs(tree, patient, side);
	}
}

enum hilum_status hl_phantom_vessels(const struct hl_canvas *canvas, const struct hl_patient *patient,
                                     struct hl_vessels *out, struct hilum_error *error)
{
	struct hl_random random = hl_canvas_stream(canvas, HL_PART_VESSELS);
	struct hl_vessels vessels = {0};
	struct tree tree = {.random = &random, .record = &vessels};
	grow_trees(&tree, patient);
	if (vessels.full) {
		hl_vessels_free(&vessels);
		return hl_fail_memory(error, vessels.room * 2 * sizeof(struct hl_tube), "vessels");
	}
	*out = vessels;
	return HILUM_OK;
}

void hl_vessels_free(struct hl_vessels *vessels)
{
	hl_free(vessels->tube);
	*vessels = (struct hl_vessels){0};
}

static void draw_tree(struct hl_canvas *canvas, const struct hl_patient *patient, float *vessels, float *walls,
                      float *airways)
{
	struct hl_random random = hl_canvas_stream(canvas, HL_PART_VESSELS);
	struct tree tree = {.canvas = canvas, .random = &random, .target = {vessels, walls, airways}};
	const struct hl_vessels *all = canvas->vessels;
	double plane = (patient->level - HILUM) * HEIGHT;
	if (!all) {
		grow_trees(&tree, patient);
		return;
	}
	for (size_t i = 0; i < all->count; i++) {
		struct hl_tube tube = all->tube[i];
		tube.a.z -= plane;
		tube.b.z -= plane;
		hl_canvas_tube(canvas, tube.a, tube.b, tube.r0, tube.r1, tree.target[tube.kind]);
	}
}

/* hu towards value by coverage and by lung. */
static void blend(struct hl_canvas *canvas, const float *cover, double value)
{
	size_t count = (size_t)canvas->size * (size_t)canvas->size;
	for (size_t i = 0; i < count; i++)
		if (cover[i] > 0)
			canvas->hu[i] += cover[i] * canvas->lung[i] * ((float)value - canvas->hu[i]);
}

static void draw_fissures(struct hl_canvas *canvas, const struct hl_patient *patient)
{
	struct hl_random random = hl_canvas_stream(canvas, HL_PART_LUNGS);
	for (int side = -1; side <= 1; side += 2) {
		enum { POINTS = 15 };
		struct hl_point line[POINTS];
		/* The oblique fissure runs forwards as it descends. */
		double y = 52 - 105 * (patient->level - 0.15) + hl_random_range(&random, -10, 10);
		double bow = hl_random_range(&random, -14, 10), tilt = hl_random_range(&random, -14, 14);
		bool seen = hl_random_uniform(&random) < 0.7;
		double thick = hl_random_range(&random, 0.25, 0.55), hu = hl_random_range(&random, -650, -420);
		for (int i = 0; i < POINTS; i++) {
			double u = (double)i / (POINTS - 1);
			line[i] = (struct hl_point){side * (28 + 112 * u) * patient->width,
			                            (y + tilt * u + 4 * bow * u * (1 - u)) * patient->depth};
		}
		if (seen && patient->level > 0.1)
			hl_canvas_paint_lung(canvas, hl_canvas_stroke(canvas, line, POINTS, thick, thick), hu);
	}
}

void hl_phantom_lungs(struct hl_canvas *canvas, const struct hl_patient *patient)
{
	size_t count = (size_t)canvas->size * (size_t)canvas->size;
	const float *lung = canvas->lung;
	/* The airways of the middle were drawn before the lung was final; lung is put where its share says. */
	for (int32_t y = 0; y < canvas->size; y++) {
		for (int32_t x = 0; x < canvas->size; x++) {
			size_t i = (size_t)y * canvas->size + x;
			if (lung[i] == 0)
				continue;
			struct hl_point p = hl_canvas_to_patient(canvas, x + 0.5, y + 0.5);
			canvas->hu[i] += (float)(lung[i] * patient->gradient * p.y);
		}
	}
	hl_canvas_texture(canvas, 1, 40, 12, lung);
	hl_canvas_texture(canvas, 2, 13, 9, lung);
	hl_canvas_texture(canvas, 3, 5, 11, lung);
	hl_canvas_texture(canvas, 4, 1.9, 24, lung);
	draw_fissures(canvas, patient);

	float *vessels = canvas->spare, *walls = canvas->scratch, *airways = canvas->cover;
	memset(vessels, 0, count * sizeof *vessels);
	memset(walls, 0, count * sizeof *walls);
	memset(airways, 0, count * sizeof *airways);
	draw_tree(canvas, patient, vessels, walls, airways);
	blend(canvas, walls, -80);
	blend(canvas, airways, -970);
	blend(canvas, vessels, patient->blood);
}
