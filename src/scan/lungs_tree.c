/* Region growing from the trachea: voxels are reached in the order of the lowest threshold that leads to them, so that
 * one pass gives the tree at every threshold. The one taken is the highest at which the tree has not yet burst into the
 * lung (explosion: Mori et al., IEEE Trans. Med. Imaging 21 (2002) 1399). */
#include "scan/lungs_private.h"

#include <math.h>

#include "base/memory.h"

#define TRACHEA_LEAST 60.0  /* mm2 */
#define TRACHEA_BOX 0.5     /* share of its box that it fills */
#define TRACHEA_MIDDLE 0.15 /* of the body's width: how far from its middle */
#define TREE_TALL 30.0      /* mm from top to bottom at least */
#define TREE_LEAST 4000.0   /* mm3 */
#define TREE_MOST 150000.0  /* mm3: beyond this it has burst */
#define STEADY 1.2          /* growth over MARGIN levels of a tree that has not */

enum { LEVELS = HL_LUNGS_CEILING - HL_LUNGS_FLOOR + 1, MARGIN = 24, SEEDS_MAX = 8, VOXELS_MAX = 1 << 22 };

struct entry {
	uint32_t voxel, next;
};

struct flood {
	const struct hl_lung_work *work;
	struct hl_bits seen;
	struct entry *entry; /* voxels in the order in which they were met; the first is not used */
	uint32_t count, room;
	uint32_t bucket[LEVELS]; /* the entry met last at this level, and on by next; 0: none */
	uint32_t *order;         /* voxels in the order in which they were reached */
	uint32_t reached, order_room;
	uint32_t until[LEVELS]; /* how many had been reached when this level was done */
	int32_t first, last;    /* levels */
};

/* As air is found: the mean of 3 x 3 voxels of a slice with weights 1, 2, 1, where the grid is not one of means
 * already. Level 0 is HL_LUNGS_FLOOR. */
static int32_t level_at(const struct hl_lung_work *work, int32_t x, int32_t y, int32_t z)
{
	static const int32_t weight[3] = {1, 2, 1};
	int32_t sum = 0;
	if (work->step[0] > 1 || work->step[1] > 1)
		return hl_lungs_value(work, x, y, z) - HL_LUNGS_FLOOR;
	for (int32_t v = -1; v <= 1; v++)
		for (int32_t u = -1; u <= 1; u++) {
			int32_t at_x = x + u, at_y = y + v;
			at_x = at_x < 0 ? 0 : at_x >= work->width ? work->width - 1 : at_x;
			at_y = at_y < 0 ? 0 : at_y >= work->height ? work->height - 1 : at_y;
			sum += weight[u + 1] * weight[v + 1] * (hl_lungs_value(work, at_x, at_y, z) - HL_LUNGS_FLOOR);
		}
	return sum / 16;
}

static enum hilum_status make_room(struct flood *flood, struct hilum_error *error)
{
	uint32_t room = flood->room ? 2 * flood->room : 1 << 16;
	if (flood->count + 1 < flood->room)
		return HILUM_OK;
	struct entry *entry = hl_realloc(flood->entry, room, sizeof(*entry));
	if (!entry)
		return hl_fail_memory(error, room * sizeof(*entry), "the airways");
	flood->entry = entry;
	uint32_t *order = hl_realloc(flood->order, room, sizeof(*order));
	if (!order)
		return hl_fail_memory(error, room * sizeof(*order), "the airways");
	flood->order = order;
	flood->room = room;
	return HILUM_OK;
}

static enum hilum_status meet(struct flood *flood, int32_t x, int32_t y, int32_t z, int32_t level,
                              struct hilum_error *error)
{
	const struct hl_lung_work *work = flood->work;
	if (x < 0 || y < 0 || z < 0 || x >= work->width || y >= work->height || z >= work->depth ||
	    hl_bits_get(&flood->seen, x, y, z) || !hl_bits_get(&work->body, x / work->cell[0], y / work->cell[1], z))
		return HILUM_OK;
	enum hilum_status status = make_room(flood, error);
	if (status)
		return status;
	hl_bits_set(&flood->seen, x, y, z);
	int32_t own = level_at(work, x, y, z);
	level = own > level ? own : level;
	flood->count++;
	flood->entry[flood->count] = (struct entry){
	    .voxel = (uint32_t)(((int64_t)z * work->height + y) * work->width + x), .next = flood->bucket[level]};
	flood->bucket[level] = flood->count;
	return HILUM_OK;
}

static enum hilum_status reach(struct flood *flood, uint32_t voxel, int32_t level, struct hilum_error *error)
{
	static const int8_t step[6][3] = {{-1, 0, 0}, {1, 0, 0}, {0, -1, 0}, {0, 1, 0}, {0, 0, -1}, {0, 0, 1}};
	uint32_t width = (uint32_t)flood->work->width, height = (uint32_t)flood->work->height;
	int32_t x = (int32_t)(voxel % width), y = (int32_t)(voxel / width % height);
	int32_t z = (int32_t)(voxel / width / height);
	enum hilum_status status = HILUM_OK;
	flood->order[flood->reached++] = voxel;
	for (int i = 0; !status && i < 6; i++)
		status = meet(flood, x + step[i][0], y + step[i][1], z + step[i][2], level, error);
	return status;
}

/* From one voxel on until the threshold for lung, or until the tree has burst. */
static enum hilum_status run_flood(struct flood *flood, int32_t x, int32_t y, int32_t z, struct hilum_error *error)
{
	const struct hl_lung_work *work = flood->work;
	double voxel = work->spacing[0] * work->spacing[1] * work->spacing[2];
	uint32_t most = (uint32_t)fmin(TREE_MOST / voxel, VOXELS_MAX);
	int32_t end = (int32_t)work->threshold - HL_LUNGS_FLOOR;
	enum hilum_status status = meet(flood, x, y, z, 0, error);

	flood->first = level_at(work, x, y, z);
	flood->last = flood->first;
	for (int32_t level = flood->first; !status && level < end && flood->reached <= most; level++) {
		while (!status && flood->bucket[level] && flood->reached <= most) {
			struct entry entry = flood->entry[flood->bucket[level]];
			flood->bucket[level] = entry.next;
			status = reach(flood, entry.voxel, level, error);
		}
		flood->until[level] = flood->reached;
		flood->last = level;
	}
	return status;
}

/* How many of the voxels reached are the tree: those of the highest level at which it grows steadily. 0: no tree. */
static uint32_t tree_size(const struct flood *flood)
{
	const struct hl_lung_work *work = flood->work;
	double voxel = work->spacing[0] * work->spacing[1] * work->spacing[2];
	for (int32_t level = flood->last - MARGIN; level - MARGIN >= flood->first; level--) {
		uint32_t size = flood->until[level];
		if (size * voxel < TREE_LEAST)
			return 0;
		if (size > STEADY * flood->until[level - MARGIN])
			continue;
		int32_t top = 0, bottom = work->depth;
		for (uint32_t i = 0; i < size; i++) {
			int32_t z = (int32_t)(flood->order[i] / (uint32_t)work->width / (uint32_t)work->height);
			top = z > top ? z : top;
			bottom = z < bottom ? z : bottom;
		}
		return (top - bottom + 1) * work->spacing[2] >= TREE_TALL ? size : 0;
	}
	return 0;
}

static enum hilum_status grow_from(struct hl_lung_work *work, int32_t x, int32_t y, int32_t z, bool *found,
                                   struct hilum_error *error)
{
	struct flood *flood = hl_alloc(1, sizeof(*flood));
	enum hilum_status status;

	if (!flood)
		return hl_fail_memory(error, sizeof(*flood), "the airways");
	flood->work = work;
	status = hl_bits_init(&flood->seen, work->width, work->height, work->depth, error);
	if (!status)
		status = run_flood(flood, x, y, z, error);
	uint32_t size = status ? 0 : tree_size(flood);
	if (size > 0) {
		hl_bits_clear(&work->lumen);
		for (uint32_t i = 0; i < size; i++) {
			uint32_t row = flood->order[i] / (uint32_t)work->width;
			hl_bits_set(&work->lumen, (int32_t)(flood->order[i] % (uint32_t)work->width),
			            (int32_t)(row % (uint32_t)work->height), (int32_t)(row / (uint32_t)work->height));
		}
		*found = true;
	}
	hl_bits_free(&flood->seen);
	hl_free(flood->entry);
	hl_free(flood->order);
	hl_free(flood);
	return status;
}

/* The darkest voxel of what may be the trachea in a slice; *x < 0 where there is none. */
static enum hilum_status find_trachea(const struct hl_lung_work *work, int32_t z, int32_t *x, int32_t *y,
                                      struct hilum_error *error)
{
	struct hl_bits lumen = hl_bits_plane(&work->lumen, z);
	struct hl_regions regions;
	enum hilum_status status = hl_regions_find(&lumen, &regions, error);
	int64_t best = -1;
	int32_t darkest = LEVELS;

	*x = -1;
	if (status)
		return status;
	for (uint32_t i = 0; i < regions.count; i++) {
		const struct hl_region *region = &regions.region[i];
		double size = (double)region->size, middle = (double)region->sum_x / size + 0.5;
		double box = (double)(region->x1 - region->x0 + 1) * (region->y1 - region->y0 + 1);
		if (size * work->spacing[0] * work->spacing[1] < TRACHEA_LEAST || size < TRACHEA_BOX * box ||
		    fabs(middle - work->body_x) > TRACHEA_MIDDLE * work->body_width)
			continue;
		if (best < 0 || region->size > regions.region[best].size)
			best = i;
	}
	for (int32_t row = 0; best >= 0 && row < work->height; row++)
		for (uint32_t i = regions.start[row]; i < regions.start[row + 1]; i++)
			for (int32_t u = regions.run[i].first; regions.label[i] == best && u <= regions.run[i].last;
			     u++) {
				int32_t level = level_at(work, u, row, z);
				if (level < darkest) {
					darkest = level;
					*x = u;
					*y = row;
				}
			}
	hl_regions_free(&regions);
	return HILUM_OK;
}

enum hilum_status hl_lungs_grow_airways(struct hl_lung_work *work, bool *found, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	/* From the head; from the other end too where it is not known which that is. */
	*found = false;
	for (int end = 0; end < (work->scan->oriented ? 1 : 2); end++) {
		int seeds = 0;
		for (int32_t i = 0; !status && !*found && seeds < SEEDS_MAX && i < work->depth; i++) {
			int32_t x, y = 0, z = end == 0 ? work->depth - 1 - i : i;
			status = find_trachea(work, z, &x, &y, error);
			if (status || x < 0)
				continue;
			seeds++;
			status = grow_from(work, x, y, z, found, error);
		}
	}
	return status;
}
