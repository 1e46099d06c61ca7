#include "data/alike_search.h"

#include "base/memory.h"
#include "base/parallel.h"
#include "nn/clones.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#define SIDE 64 /* half the small pictures: more is not needed here */
#define PIXELS ((size_t)SIDE * SIDE)
#define GRID 10
#define DIMENSIONS 80 /* places of the grid that lie within the circle, filled up with zeros to a multiple of 8 */
#define SCALES 4
#define TURNS 8
#define VARIANTS_MAX 128
#define TILE 32      /* pictures held against at a time */
#define TOGETHER 4   /* variants at a time */
#define LEAST 0.35f  /* likeness of a candidate */
#define LIKELY 0.8f  /* likewise after the second look */
#define GAIN 0.25f   /* the most by which going between positions is expected to raise a likeness */
#define SHORTLIST 64 /* pictures of a way that are looked at a second time */
#define WANDER 4     /* what is changed between positions: scale, angle, x, y */

_Static_assert(SIDE * 2 == HL_LOOK_SIDE, "pictures are halved");

/* How the picture's circle is laid on another: shifts of up to 0.08 of the side; cuts of 0.9, 0.8 and 0.72 of it and
 * where they may lie; rotations by 5 and 10 degrees; the turns. What lies in between is reached along the tangents of
 * the vectors (Simard, LeCun and Denker, "Efficient pattern recognition using a new transformation distance", NIPS 5,
 * 1993): without that, pictures of other patients in the right position are more alike than a cut half a step off. One
 * change at a time: a cut that is turned too is not looked for. */
struct position {
	float scale, angle, x, y;
	int32_t band, turn;
};

static const float scales[SCALES] = {1, 0.9f, 0.8f, 0.72f};

static void add_shifts(int32_t s, struct position *out, int32_t *count)
{
	static const float steps[SCALES] = {0.04f, 0.05f, 0.05f, 0.047f};
	static const int32_t reach[SCALES] = {2, 1, 2, 3};
	for (int32_t y = -reach[s]; y <= reach[s]; y++)
		for (int32_t x = -reach[s]; x <= reach[s]; x++)
			if (s > 0 || x || y)
				out[(*count)++] =
				    (struct position){scales[s], 0, (float)x * steps[s], (float)y * steps[s], s, 0};
}

/* Way by way: first[w] is where they begin, first[HL_ALIKE_WAYS] how many there are. */
static void list_positions(bool cheap, struct position *out, int32_t first[HL_ALIKE_WAYS + 1])
{
	int32_t count = 0;
	first[0] = 0;
	out[count++] = (struct position){.scale = 1};
	if (!cheap)
		add_shifts(0, out, &count);
	for (int32_t k = -2; k <= 2 && !cheap; k++)
		if (k)
			out[count++] = (struct position){.scale = 1, .angle = (float)k * 5 * (float)M_PI / 180};
	first[1] = count;
	for (int32_t turn = 1; turn < TURNS && !cheap; turn++)
		out[count++] = (struct position){.scale = 1, .turn = turn};
	first[2] = count;
	for (int32_t s = 1; s < SCALES && !cheap; s++)
		add_shifts(s, out, &count);
	first[3] = count;
}

/* The eight turns: (x, y) to (x, y), mirrored where odd, then turned by quarters. */
static void turn_matrix(int32_t turn, float matrix[2][2])
{
	static const float quarter[4][2][2] = {
	    {{1, 0}, {0, 1}}, {{0, -1}, {1, 0}}, {{-1, 0}, {0, -1}}, {{0, 1}, {-1, 0}}};
	float mirror = turn & 1 ? -1 : 1;
	for (int i = 0; i < 2; i++) {
		matrix[i][0] = quarter[turn / 2][i][0] * mirror;
		matrix[i][1] = quarter[turn / 2][i][1];
	}
}

static struct hl_affine map_of(const struct position *position)
{
	struct hl_affine map;
	float d[2][2], c = position->scale * cosf(position->angle), s = position->scale * sinf(position->angle);
	const float r[2][2] = {{c, -s}, {s, c}}, t[2] = {position->x, position->y};
	turn_matrix(position->turn, d);
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < 2; j++)
			map.matrix[i][j] = d[i][0] * r[0][j] + d[i][1] * r[1][j];
		map.shift[i] = d[i][0] * t[0] + d[i][1] * t[1];
	}
	return map;
}

/* ---- vectors ---- */

struct places {
	int32_t count;
	float x[DIMENSIONS], y[DIMENSIONS], weight[DIMENSIONS];
};

static void list_places(struct places *places)
{
	memset(places, 0, sizeof(*places));
	for (int32_t j = 0; j < GRID; j++)
		for (int32_t i = 0; i < GRID; i++) {
			float x = ((float)i + 0.5f) / GRID - 0.5f, y = ((float)j + 0.5f) / GRID - 0.5f;
			float r = sqrtf(x * x + y * y);
			if (r > 0.5f || places->count == DIMENSIONS)
				continue;
			places->x[places->count] = x;
			places->y[places->count] = y;
			places->weight[places->count++] = 1.05f - r;
		}
}

/* Grey with waves of about a tenth to a half of the side, at the scale of a cut. */
static void band_pass(const float *grey, float scale, float *scratch, float *out)
{
	float soft[PIXELS];
	hl_blur(grey, SIDE, 1.8f * scale, scratch, out);
	hl_blur(grey, SIDE, 7.0f * scale, scratch, soft);
	for (size_t i = 0; i < PIXELS; i++)
		out[i] -= soft[i];
}

static void describe(const float *band, const struct places *places, const struct hl_affine *map, float *out)
{
	float sum = 0, squares = 0, weights = 0;
	memset(out, 0, DIMENSIONS * sizeof(*out));
	for (int32_t k = 0; k < places->count; k++) {
		float x = map->matrix[0][0] * places->x[k] + map->matrix[0][1] * places->y[k] + map->shift[0];
		float y = map->matrix[1][0] * places->x[k] + map->matrix[1][1] * places->y[k] + map->shift[1];
		float u = fminf(fmaxf((x + 0.5f) * SIDE - 0.5f, 0), SIDE - 1.001f);
		float v = fminf(fmaxf((y + 0.5f) * SIDE - 0.5f, 0), SIDE - 1.001f);
		int32_t iu = (int32_t)u, iv = (int32_t)v;
		float fu = u - (float)iu, fv = v - (float)iv;
		const float *from = band + iv * SIDE + iu;
		float top = from[0] + fu * (from[1] - from[0]);
		float bottom = from[SIDE] + fu * (from[SIDE + 1] - from[SIDE]);
		out[k] = top + fv * (bottom - top);
		sum += places->weight[k] * out[k];
		weights += places->weight[k];
	}
	for (int32_t k = 0; k < places->count; k++) {
		out[k] = (out[k] - sum / weights) * places->weight[k];
		squares += out[k] * out[k];
	}
	float scale = squares > 1e-6f ? 1 / sqrtf(squares) : 0;
	for (int32_t k = 0; k < places->count; k++)
		out[k] *= scale;
}

/* ---- the search ---- */

struct search {
	const uint8_t *const *pictures;
	size_t count, tiles;
	int32_t first[HL_ALIKE_WAYS + 1];
	struct position position[VARIANTS_MAX];
	struct places places;
	float *plain; /* tiles * DIMENSIONS * TILE: the vector of every picture, tile by tile, dimension by dimension */
	float *whole; /* tiles * TILE * DIMENSIONS: the same, vector by vector */
	struct hl_candidate *out;
	const struct hl_watch *watch;
	pthread_mutex_t mutex;
	int64_t done;
	bool no_memory;
};

static void make_grey(const uint8_t *small, float *grey)
{
	for (size_t y = 0; y < SIDE; y++)
		for (size_t x = 0; x < SIDE; x++) {
			const uint8_t *from = small + 2 * (y * HL_LOOK_SIDE + x);
			grey[y * SIDE + x] =
			    0.25f * (float)(from[0] + from[1] + from[HL_LOOK_SIDE] + from[HL_LOOK_SIDE + 1]);
		}
}

static void describe_tile(void *context, int32_t tile)
{
	static const struct hl_affine same = {{{1, 0}, {0, 1}}, {0, 0}};
	struct search *search = context;
	float grey[PIXELS], scratch[PIXELS], band[PIXELS], vector[DIMENSIONS];
	float *to = search->plain + (size_t)tile * DIMENSIONS * TILE;
	for (size_t k = 0; k < TILE; k++) {
		size_t index = (size_t)tile * TILE + k;
		memset(vector, 0, sizeof(vector));
		if (index < search->count) {
			make_grey(search->pictures[index], grey);
			band_pass(grey, 1, scratch, band);
			describe(band, &search->places, &same, vector);
		}
		for (size_t d = 0; d < DIMENSIONS; d++)
			to[d * TILE + k] = vector[d];
		memcpy(search->whole + index * DIMENSIONS, vector, sizeof(vector));
	}
}

/* The products of TOGETHER vectors with all of a tile, the larger ones kept in best, and which vector it was. */
HL_VECTOR_CLONES
static void compare_tile(const float *restrict vectors, int32_t count, const float *restrict tile, float *restrict best,
                         int32_t *restrict which)
{
	for (int32_t v = 0; v < count; v += TOGETHER) {
		float sum[TOGETHER][TILE] = {{0}};
		const float *from = vectors + (size_t)v * DIMENSIONS;
		for (size_t d = 0; d < DIMENSIONS; d++) {
			const float *restrict row = tile + d * TILE;
			for (size_t k = 0; k < TILE; k++) {
				sum[0][k] += from[d] * row[k];
				sum[1][k] += from[DIMENSIONS + d] * row[k];
				sum[2][k] += from[2 * DIMENSIONS + d] * row[k];
				sum[3][k] += from[3 * DIMENSIONS + d] * row[k];
			}
		}
		for (int32_t t = 0; t < TOGETHER; t++)
			for (size_t k = 0; k < TILE; k++) {
				bool better = sum[t][k] > best[k];
				best[k] = better ? sum[t][k] : best[k];
				which[k] = better ? v + t : which[k];
			}
	}
}

/* One that may become a candidate. */
struct near {
	uint32_t index;
	float likeness;
	struct position position;
};

/* Keeps the best of count, in order; of equal ones the first met. */
static void keep(struct near *kept, int32_t count, const struct near *one)
{
	int32_t at = count;
	while (at > 0 && kept[at - 1].likeness < one->likeness)
		at--;
	if (at == count)
		return;
	memmove(&kept[at + 1], &kept[at], (size_t)(count - 1 - at) * sizeof(*kept));
	kept[at] = *one;
}

/* Around one position: how the vector changes, and what solves for the change that brings it nearest to another. */
struct tangents {
	float slope[WANDER][DIMENSIONS], product[WANDER][WANDER], inverse[WANDER][WANDER];
};

/* What a picture is held against others with. */
struct probe {
	float vectors[VARIANTS_MAX * DIMENSIONS];
	struct tangents tangents[VARIANTS_MAX];
	float band[SCALES][PIXELS];
};

/* Half a step of each, or a little more. */
static const float wander[WANDER] = {0.05f, 2.5f * (float)M_PI / 180, 0.025f, 0.025f};

static struct position move(const struct position *position, const float by[WANDER])
{
	struct position moved = *position;
	moved.scale += by[0];
	moved.angle += by[1];
	moved.x += by[2];
	moved.y += by[3];
	return moved;
}

/* Gauss and Jordan; the matrix is positive definite. */
static void invert(float matrix[WANDER][WANDER], float inverse[WANDER][WANDER])
{
	for (int i = 0; i < WANDER; i++)
		for (int j = 0; j < WANDER; j++)
			inverse[i][j] = i == j ? 1.0f : 0.0f;
	for (int i = 0; i < WANDER; i++) {
		float pivot = matrix[i][i];
		for (int j = 0; j < WANDER; j++) {
			matrix[i][j] /= pivot;
			inverse[i][j] /= pivot;
		}
		for (int k = 0; k < WANDER; k++) {
			float factor = matrix[k][i];
			for (int j = 0; j < WANDER && k != i; j++) {
				matrix[k][j] -= factor * matrix[i][j];
				inverse[k][j] -= factor * inverse[i][j];
			}
		}
	}
}

static float dot(const float *a, const float *b)
{
	float lane[8] = {0}, sum = 0;
	for (size_t d = 0; d < DIMENSIONS; d += 8)
		for (size_t k = 0; k < 8; k++)
			lane[k] += a[d + k] * b[d + k];
	for (size_t k = 0; k < 8; k++)
		sum += lane[k];
	return sum;
}

static void find_tangents(const struct position *position, const float *band, const struct places *places,
                          struct tangents *out)
{
	float matrix[WANDER][WANDER];
	for (int p = 0; p < WANDER; p++) {
		float by[WANDER] = {0}, back[DIMENSIONS] = {0};
		for (int side = -1; side <= 1; side += 2) {
			by[p] = 0.5f * (float)side * wander[p];
			const struct position moved = move(position, by);
			const struct hl_affine map = map_of(&moved);
			describe(band, places, &map, side < 0 ? back : out->slope[p]);
		}
		/* In units of wander. */
		for (int d = 0; d < DIMENSIONS; d++)
			out->slope[p][d] -= back[d];
	}
	for (int p = 0; p < WANDER; p++)
		for (int q = 0; q < WANDER; q++) {
			out->product[p][q] = dot(out->slope[p], out->slope[q]);
			/* Holds back what hardly changes the vector. */
			matrix[p][q] = out->product[p][q] + (p == q ? 0.004f : 0);
		}
	invert(matrix, out->inverse);
}

/* The likeness that going from a position along its tangents reaches, and how far that is. */
static float approach(const float *vector, const struct tangents *tangents, const float *other, float likeness,
                      float by[WANDER])
{
	float along[WANDER], top = likeness, square = 1;
	for (int p = 0; p < WANDER; p++)
		along[p] = dot(tangents->slope[p], other) - dot(tangents->slope[p], vector);
	for (int p = 0; p < WANDER; p++) {
		by[p] = 0;
		for (int q = 0; q < WANDER; q++)
			by[p] += tangents->inverse[p][q] * along[q];
		by[p] = fminf(fmaxf(by[p], -1.2f), 1.2f);
	}
	for (int p = 0; p < WANDER; p++) {
		float own = dot(tangents->slope[p], vector);
		top += by[p] * (along[p] + own);
		square += 2 * by[p] * own;
		for (int q = 0; q < WANDER; q++)
			square += by[p] * by[q] * tangents->product[p][q];
	}
	for (int p = 0; p < WANDER; p++)
		by[p] *= wander[p];
	return square > 0.25f ? fmaxf(likeness, top / sqrtf(square)) : likeness;
}

/* From where the first look has led, once more. */
static void look_again(const struct search *search, const struct probe *probe, struct near *near)
{
	struct tangents tangents;
	float vector[DIMENSIONS], by[WANDER];
	const float *band = probe->band[near->position.band], *other = search->whole + near->index * DIMENSIONS;
	const struct hl_affine map = map_of(&near->position);
	describe(band, &search->places, &map, vector);
	find_tangents(&near->position, band, &search->places, &tangents);
	near->likeness = approach(vector, &tangents, other, dot(vector, other), by);
	near->position = move(&near->position, by);
}

/* One way of a picture against all tiles. */
static void search_way(const struct search *search, int32_t index, int32_t way, struct probe *probe,
                       struct hl_candidate *out)
{
	int32_t first = search->first[way], count = search->first[way + 1] - first;
	int32_t padded = (count + TOGETHER - 1) / TOGETHER * TOGETHER;
	struct near found[SHORTLIST], kept[HL_ALIKE_OF_A_WAY];
	for (int32_t k = 0; k < SHORTLIST; k++)
		found[k].likeness = -1;
	for (int32_t k = 0; k < HL_ALIKE_OF_A_WAY; k++)
		kept[k].likeness = -1;
	memset(probe->vectors, 0, (size_t)padded * DIMENSIONS * sizeof(*probe->vectors));
	for (int32_t v = 0; v < count; v++) {
		const struct position *position = &search->position[first + v];
		const struct hl_affine map = map_of(position);
		const float *band = probe->band[position->band];
		describe(band, &search->places, &map, probe->vectors + (size_t)v * DIMENSIONS);
		find_tangents(position, band, &search->places, &probe->tangents[v]);
	}
	for (size_t tile = 0; tile < search->tiles && count > 0; tile++) {
		float best[TILE], by[WANDER], least = found[SHORTLIST - 1].likeness;
		int32_t which[TILE];
		for (size_t k = 0; k < TILE; k++) {
			best[k] = fmaxf(LEAST, least - GAIN);
			which[k] = -1;
		}
		compare_tile(probe->vectors, padded, search->plain + tile * DIMENSIONS * TILE, best, which);
		for (size_t k = 0; k < TILE; k++) {
			size_t other = tile * TILE + k;
			if (which[k] < 0 || other >= search->count || other == (size_t)index)
				continue;
			float likeness =
			    approach(probe->vectors + (size_t)which[k] * DIMENSIONS, &probe->tangents[which[k]],
			             search->whole + other * DIMENSIONS, best[k], by);
			if (likeness <= found[SHORTLIST - 1].likeness)
				continue;
			const struct near near = {(uint32_t)other, likeness,
			                          move(&search->position[first + which[k]], by)};
			keep(found, SHORTLIST, &near);
		}
	}
	for (int32_t k = 0; k < SHORTLIST && found[k].likeness > 0; k++) {
		look_again(search, probe, &found[k]);
		if (found[k].likeness >= LIKELY)
			keep(kept, HL_ALIKE_OF_A_WAY, &found[k]);
	}
	for (int32_t k = 0; k < HL_ALIKE_OF_A_WAY && kept[k].likeness > 0; k++)
		out[k] = (struct hl_candidate){kept[k].index, kept[k].likeness, map_of(&kept[k].position)};
}

static void search_one(void *context, int32_t index)
{
	struct search *search = context;
	struct hl_candidate *kept = search->out + (size_t)index * HL_ALIKE_KEPT;
	float grey[PIXELS], scratch[PIXELS];
	for (int32_t k = 0; k < HL_ALIKE_KEPT; k++)
		kept[k] = (struct hl_candidate){.likeness = -1};
	if (hl_watch_stopped(search->watch))
		return;
	struct probe *probe = hl_alloc(1, sizeof(*probe));
	if (probe) {
		make_grey(search->pictures[index], grey);
		for (int32_t s = 0; s < (search->first[1] > 1 ? SCALES : 1); s++)
			band_pass(grey, scales[s], scratch, probe->band[s]);
		for (int32_t way = 0; way < HL_ALIKE_WAYS; way++)
			search_way(search, index, way, probe, kept + (size_t)way * HL_ALIKE_OF_A_WAY);
	}
	pthread_mutex_lock(&search->mutex);
	search->no_memory = search->no_memory || !probe;
	search->done++;
	if (search->watch && search->watch->progress)
		search->watch->progress(search->watch->context, "comparing", search->done, (int64_t)search->count);
	pthread_mutex_unlock(&search->mutex);
	hl_free(probe);
}

enum hilum_status hl_alike_search(const uint8_t *const *pictures, size_t count, bool cheap, int32_t threads,
                                  const struct hl_watch *watch, struct hl_candidate *out, struct hilum_error *error)
{
	struct search search = {
	    .pictures = pictures, .count = count, .tiles = (count + TILE - 1) / TILE, .out = out, .watch = watch};
	list_places(&search.places);
	list_positions(cheap, search.position, search.first);
	search.plain = hl_alloc(search.tiles * TILE, DIMENSIONS * sizeof(*search.plain));
	search.whole = hl_alloc(search.tiles * TILE, DIMENSIONS * sizeof(*search.whole));
	if (!search.plain || !search.whole) {
		hl_free(search.plain);
		hl_free(search.whole);
		return hl_fail_memory(error, search.tiles * TILE * DIMENSIONS * sizeof(*search.plain), "comparing");
	}
	pthread_mutex_init(&search.mutex, NULL);
	hl_parallel((int32_t)search.tiles, threads, describe_tile, &search);
	hl_parallel((int32_t)count, threads, search_one, &search);
	pthread_mutex_destroy(&search.mutex);
	hl_free(search.plain);
	hl_free(search.whole);
	if (search.no_memory)
		return hl_fail_memory(error, sizeof(search), "comparing");
	return hl_watch_stopped(watch) ? hl_fail(error, HILUM_ERROR_STOPPED, "stopped while comparing") : HILUM_OK;
}
