/* Lungs without gaps: each lung is closed slice by slice over what pushes into it from its border, vessels at the hilum
 * and nodules at the pleura, and what it encloses is filled unless that is a large airway, a heart, or the dome of the
 * diaphragm. */
#include "scan/lungs_private.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

/* Marks large holes until it is known whether they are to be filled. */
enum { HOLE = 0x80 };

static double pixel_area(const struct hl_lung_work *work)
{
	return work->spacing[0] * work->spacing[1];
}

static uint8_t *side_of_slice(const struct hl_lung_work *work, int32_t z)
{
	return work->side + (size_t)z * (size_t)work->height * (size_t)work->width;
}

static void take_side(const struct hl_lung_work *work, int32_t z, uint8_t side, struct hl_bits *plane)
{
	const uint8_t *from = side_of_slice(work, z);
	hl_bits_clear(plane);
	for (int32_t y = 0; y < work->height; y++, from += work->width) {
		uint64_t *row = hl_bits_row(plane, y, 0);
		for (int32_t x = 0; x < work->width; x++)
			row[x / 64] |= (uint64_t)(from[x] == side) << (x % 64);
	}
}

/* Adds to filled the holes of a plane that have at most that many pixels and nothing of the airways in them. filled may
 * be the plane. */
static enum hilum_status fill(const struct hl_bits *plane, const struct hl_bits *lumen, double most,
                              struct hl_bits *filled, struct hilum_error *error)
{
	struct hl_regions holes;
	enum hilum_status status = hl_regions_find_holes(plane, &holes, error);
	int64_t *airway;
	bool *keep;

	if (status)
		return status;
	airway = hl_alloc(holes.count, sizeof(*airway));
	keep = hl_alloc(holes.count, sizeof(*keep));
	if (airway && keep) {
		hl_regions_overlap(&holes, lumen, airway);
		for (uint32_t i = 0; i < holes.count; i++) {
			const struct hl_region *hole = &holes.region[i];
			bool inside =
			    hole->x0 > 0 && hole->y0 > 0 && hole->x1 < plane->width - 1 && hole->y1 < plane->height - 1;
			keep[i] = inside && (double)hole->size <= most && airway[i] == 0;
		}
		hl_regions_paint(&holes, keep, filled);
	} else {
		status = hl_fail_memory(error, holes.count * 9, "connected regions");
	}
	hl_free(airway);
	hl_free(keep);
	hl_regions_free(&holes);
	return status;
}

enum { PLANES = 7 };

struct scratch {
	struct hl_bits closed[2], large[2]; /* of each lung: closed and filled; its large holes */
	struct hl_bits lung, wide, wall;
	double middle_x, middle_y; /* of both lungs */
};

/* Rays from the middle between the lungs, and how far along each the lung goes: in steps of |x| + |y|, which grows
 * along a ray as well as any distance. */
enum { RAYS = 256 };

static double along_ray(double x, double y, int *ray)
{
	double length = fabs(x) + fabs(y), turn = length > 0 ? y / length : 0;
	/* From -2 to 2, once around. */
	turn = x < 0 ? (y < 0 ? -2 - turn : 2 - turn) : turn;
	*ray = (int)((turn + 2) * RAYS / 4) % RAYS;
	return length;
}

/* Nodules at the ribs are wider than vessels at the hilum: closed with a larger radius, but only on the far side of the
 * lung, where no other organ lies. */
static enum hilum_status close_ribs(const struct hl_lung_work *work, struct scratch *s, struct hilum_error *error)
{
	double reach[RAYS] = {0};
	int ray;
	enum hilum_status status;

	hl_bits_copy(&s->wide, &s->lung);
	status = hl_bits_close(&s->wide, HL_LUNGS_RIBS / work->spacing[0], HL_LUNGS_RIBS / work->spacing[1], error);
	if (status)
		return status;
	for (int pass = 0; pass < 2; pass++) {
		if (pass == 1)
			hl_bits_remove(&s->wide, &s->lung);
		const struct hl_bits *set = pass == 0 ? &s->lung : &s->wide;
		for (int32_t y = 0; y < work->height; y++)
			for (size_t word = 0; word < set->stride; word++)
				for (uint64_t bits = hl_bits_row(set, y, 0)[word]; bits; bits &= bits - 1) {
					int32_t x = (int32_t)(word * 64) + __builtin_ctzll(bits);
					double length = along_ray(x - s->middle_x, y - s->middle_y, &ray);
					if (pass == 0)
						reach[ray] = fmax(reach[ray], length);
					else if (reach[ray] > 0 && length > reach[ray])
						hl_bits_set(&s->lung, x, y, 0);
				}
	}
	return HILUM_OK;
}

static enum hilum_status close_side(struct hl_lung_work *work, int32_t z, int k, struct scratch *s,
                                    struct hilum_error *error)
{
	double area = pixel_area(work), closing = HL_LUNGS_CLOSING;
	double small = closing * closing * 3.14 / area, large = HL_LUNGS_HOLE / area;
	struct hl_bits lumen = hl_bits_plane(&work->lumen, z);
	enum hilum_status status;

	take_side(work, z, (uint8_t)(1 + k), &s->lung);
	status = fill(&s->lung, &lumen, small, &s->lung, error);
	if (!status)
		status = close_ribs(work, s, error);
	if (!status)
		status = hl_bits_close(&s->lung, closing / work->spacing[0], closing / work->spacing[1], error);
	if (status)
		return status;
	hl_bits_remove(&s->lung, &s->wall);
	hl_bits_copy(&s->closed[k], &s->lung);
	hl_bits_copy(&s->large[k], &s->lung);
	status = fill(&s->lung, &lumen, small, &s->closed[k], error);
	if (!status)
		status = fill(&s->lung, &lumen, large, &s->large[k], error);
	hl_bits_remove(&s->large[k], &s->closed[k]);
	return status;
}

/* Across, the middle of the body; down, that of the lungs in this slice. */
static void find_middle(const struct hl_lung_work *work, int32_t z, struct scratch *s)
{
	const uint8_t *side = side_of_slice(work, z);
	int32_t first = work->height, last = 0;
	for (int32_t y = 0; y < work->height; y++, side += work->width)
		for (int32_t x = 0; x < work->width; x++)
			if (side[x]) {
				first = y < first ? y : first;
				last = y;
				break;
			}
	s->middle_x = work->body_x;
	s->middle_y = (first + last) / 2.0;
}

static enum hilum_status close_slice(struct hl_lung_work *work, int32_t z, struct hilum_error *error)
{
	struct scratch s = {0};
	struct hl_bits *planes[PLANES] = {&s.closed[0], &s.closed[1], &s.large[0], &s.large[1],
	                                  &s.lung,      &s.wide,      &s.wall};
	struct hl_bits lumen = hl_bits_plane(&work->lumen, z);
	enum hilum_status status = HILUM_OK;
	uint8_t *side = side_of_slice(work, z);

	for (size_t i = 0; !status && i < PLANES; i++)
		status = hl_bits_init(planes[i], work->width, work->height, 1, error);
	if (!status)
		hl_bits_dilate(&lumen, HL_LUNGS_WALL / work->spacing[0], HL_LUNGS_WALL / work->spacing[1], &s.wall);
	find_middle(work, z, &s);
	for (int k = 0; !status && k < 2; k++)
		status = close_side(work, z, k, &s, error);
	for (int32_t y = 0; !status && y < work->height; y++)
		for (int32_t x = 0; x < work->width; x++) {
			bool right = hl_bits_get(&s.closed[0], x, y, 0), left = hl_bits_get(&s.closed[1], x, y, 0);
			bool hole[2] = {hl_bits_get(&s.large[0], x, y, 0), hl_bits_get(&s.large[1], x, y, 0)};
			uint8_t *at = &side[(size_t)y * (size_t)work->width + (size_t)x];
			if (*at || !hl_bits_get(&work->body, x / work->cell[0], y / work->cell[1], z))
				continue;
			/* What both lungs would close over lies between them. */
			if (right != left)
				*at = right ? 1 + HL_SIDE_RIGHT : 1 + HL_SIDE_LEFT;
			else if (!right && hole[0] != hole[1])
				*at = HOLE | (hole[0] ? 1 + HL_SIDE_RIGHT : 1 + HL_SIDE_LEFT);
		}
	for (size_t i = 0; i < PLANES; i++)
		hl_bits_free(planes[i]);
	return status;
}

/* Empties the large holes of a slice that lie for the most part over what is not lung in a neighbouring one. */
static enum hilum_status open_slice(struct hl_lung_work *work, int32_t z, int32_t neighbour, struct hl_bits *plane,
                                    struct hilum_error *error)
{
	size_t pixels = (size_t)work->width * (size_t)work->height;
	uint8_t *side = side_of_slice(work, z);
	const uint8_t *beside = side_of_slice(work, neighbour);
	struct hl_regions regions;
	int64_t *open;

	hl_bits_clear(plane);
	bool any = false;
	for (size_t i = 0; i < pixels; i++)
		if (side[i] & HOLE) {
			hl_bits_set(plane, (int32_t)(i % (size_t)work->width), (int32_t)(i / (size_t)work->width), 0);
			any = true;
		}
	if (!any)
		return HILUM_OK;
	enum hilum_status status = hl_regions_find(plane, &regions, error);
	if (status)
		return status;
	open = hl_alloc(regions.count, sizeof(*open));
	if (!open)
		status = hl_fail_memory(error, regions.count * sizeof(*open), "connected regions");
	for (int pass = 0; open && pass < 2; pass++)
		for (int32_t y = 0; y < work->height; y++)
			for (uint32_t i = regions.start[y]; i < regions.start[y + 1]; i++)
				for (int32_t x = regions.run[i].first; x <= regions.run[i].last; x++) {
					size_t at = (size_t)y * (size_t)work->width + (size_t)x;
					if (pass == 0)
						open[regions.label[i]] += beside[at] == 0;
					else if (2 * open[regions.label[i]] > regions.region[regions.label[i]].size)
						side[at] = 0;
				}
	hl_free(open);
	hl_regions_free(&regions);
	return status;
}

/* Large holes are filled, nodules as well as vessels, but for those of a volume that go on in what is not lung: the
 * liver below its dome, seen from above. */
static enum hilum_status decide_holes(struct hl_lung_work *work, struct hilum_error *error)
{
	struct hl_bits plane = {0};
	enum hilum_status status = hl_bits_init(&plane, work->width, work->height, 1, error);
	size_t voxels = (size_t)work->width * (size_t)work->height * (size_t)work->depth;

	for (int32_t z = 1; !status && z < work->depth; z++)
		status = open_slice(work, z, z - 1, &plane, error);
	for (int32_t z = work->depth - 2; !status && z >= 0; z--)
		status = open_slice(work, z, z + 1, &plane, error);
	for (size_t i = 0; i < voxels; i++)
		work->side[i] &= (uint8_t)~HOLE;
	hl_bits_free(&plane);
	return status;
}

enum hilum_status hl_lungs_close(struct hl_lung_work *work, struct hilum_error *error)
{
	enum hilum_status status = hl_lungs_each(work, close_slice, error);
	if (!status)
		status = decide_holes(work, error);
	return status;
}
