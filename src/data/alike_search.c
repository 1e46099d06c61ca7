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
#define TILE 32     /* pictures held against at a time */
#define TOGETHER 4  /* variants at a time */
#define LEAST 0.35f /* likeness of a candidate */

_Static_assert(SIDE * 2 == HL_LOOK_SIDE, "pictures are halved");

/* How the picture's circle is laid on another: shifts of up to 0.08 of the side; cuts of 0.9, 0.8 and 0.72 of it and
 * where they may lie; rotations by 5 and 10 degrees; the turns. Steps are what band-passed grey tolerates, for what is
 * in between registration goes the rest of the way. One change at a time: a cut that is turned too is not looked for.
 */
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

struct hl_affine hl_alike_start(uint16_t variant)
{
	struct position positions[VARIANTS_MAX];
	int32_t first[HL_ALIKE_WAYS + 1];
	list_positions(false, positions, first);
	return map_of(&positions[variant]);
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

/* Keeps the best, in order; of equal ones the first met. */
static void keep(struct hl_candidate *kept, const struct hl_candidate *candidate)
{
	int32_t at = HL_ALIKE_OF_A_WAY;
	while (at > 0 && kept[at - 1].likeness < candidate->likeness)
		at--;
	if (at == HL_ALIKE_OF_A_WAY)
		return;
	memmove(&kept[at + 1], &kept[at], (size_t)(HL_ALIKE_OF_A_WAY - 1 - at) * sizeof(*kept));
	kept[at] = *candidate;
}

/* One way of a picture against all tiles. */
static void search_way(const struct search *search, int32_t index, int32_t way, const float band[][PIXELS],
                       float *vectors, struct hl_candidate *kept)
{
	int32_t first = search->first[way], count = search->first[way + 1] - first;
	int32_t padded = (count + TOGETHER - 1) / TOGETHER * TOGETHER;
	memset(vectors, 0, (size_t)padded * DIMENSIONS * sizeof(*vectors));
	for (int32_t v = 0; v < count; v++) {
		const struct position *position = &search->position[first + v];
		const struct hl_affine map = map_of(position);
		describe(band[position->band], &search->places, &map, vectors + (size_t)v * DIMENSIONS);
	}
	for (size_t tile = 0; tile < search->tiles && count > 0; tile++) {
		float best[TILE];
		int32_t which[TILE];
		for (size_t k = 0; k < TILE; k++) {
			best[k] = LEAST;
			which[k] = -1;
		}
		compare_tile(vectors, padded, search->plain + tile * DIMENSIONS * TILE, best, which);
		for (size_t k = 0; k < TILE; k++) {
			size_t other = tile * TILE + k;
			if (which[k] >= 0 && other < search->count && other != (size_t)index &&
			    best[k] > kept[HL_ALIKE_OF_A_WAY - 1].likeness)
				keep(kept,
				     &(struct hl_candidate){(uint32_t)other, (uint16_t)(first + which[k]), best[k]});
		}
	}
}

static void search_one(void *context, int32_t index)
{
	struct search *search = context;
	struct hl_candidate *kept = search->out + (size_t)index * HL_ALIKE_KEPT;
	float grey[PIXELS], scratch[PIXELS], band[SCALES][PIXELS];
	for (int32_t k = 0; k < HL_ALIKE_KEPT; k++)
		kept[k] = (struct hl_candidate){.likeness = -1};
	if (hl_watch_stopped(search->watch))
		return;
	float *vectors = hl_alloc((size_t)VARIANTS_MAX * DIMENSIONS, sizeof(*vectors));
	if (vectors) {
		make_grey(search->pictures[index], grey);
		for (int32_t s = 0; s < (search->first[1] > 1 ? SCALES : 1); s++)
			band_pass(grey, scales[s], scratch, band[s]);
		for (int32_t way = 0; way < HL_ALIKE_WAYS; way++)
			search_way(search, index, way, (const float(*)[PIXELS])band, vectors,
			           kept + (size_t)way * HL_ALIKE_OF_A_WAY);
	}
	pthread_mutex_lock(&search->mutex);
	search->no_memory = search->no_memory || !vectors;
	search->done++;
	if (search->watch && search->watch->progress)
		search->watch->progress(search->watch->context, "comparing", search->done, (int64_t)search->count);
	pthread_mutex_unlock(&search->mutex);
	hl_free(vectors);
}

enum hilum_status hl_alike_search(const uint8_t *const *pictures, size_t count, bool cheap, int32_t threads,
                                  const struct hl_watch *watch, struct hl_candidate *out, struct hilum_error *error)
{
	struct search search = {
	    .pictures = pictures, .count = count, .tiles = (count + TILE - 1) / TILE, .out = out, .watch = watch};
	list_places(&search.places);
	list_positions(cheap, search.position, search.first);
	search.plain = hl_alloc(search.tiles * TILE, DIMENSIONS * sizeof(*search.plain));
	if (!search.plain)
		return hl_fail_memory(error, search.tiles * TILE * DIMENSIONS * sizeof(*search.plain), "comparing");
	pthread_mutex_init(&search.mutex, NULL);
	hl_parallel((int32_t)search.tiles, threads, describe_tile, &search);
	hl_parallel((int32_t)count, threads, search_one, &search);
	pthread_mutex_destroy(&search.mutex);
	hl_free(search.plain);
	if (search.no_memory)
		return hl_fail_memory(error, sizeof(search), "comparing");
	return hl_watch_stopped(watch) ? hl_fail(error, HILUM_ERROR_STOPPED, "stopped while comparing") : HILUM_OK;
}
