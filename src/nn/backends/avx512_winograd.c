/* Winograd's minimal filtering, F(4x4, 3x3): sixteen places of 3x3 sums with 36 products instead of 144. Lavin & Gray,
 * "Fast algorithms for convolutional neural networks", CVPR 2016, section 4.
 *
 * Inputs are taken 6x6 places at a time, weights 3x3, both as values of polynomials at 0, 2/3, -2/3, 3/2, -3/2 and
 * infinity in each direction; channels are summed there, by the tiles of avx512_tile.h. In float32, also where the
 * activations are bfloat16. These points, after Barabasz, Anderson, Soodhalter & Gregg, "Error analysis and improving
 * the accuracy of Winograd convolution for deep neural networks", 2020, lose less than the usual 0, 1, -1, 2, -2: for
 * 64 channels the error is 8e-7 of the result, against 1.7e-6, and 4e-7 of sums taken one by one. Depth, where there
 * is any, is summed tap by tap. */
#include "nn/backends/avx512_lanes.h"
#include "nn/backends/avx512_private.h"
#include <string.h>

#define INLINE HL_AVX512_INLINE

#define OUT 4        /* places of a tile each way */
#define IN (OUT + 2) /* input places that they see */
#define POINTS (IN * IN)
#define A (2.0F / 3) /* the points; A B = 1 */
#define B (3.0F / 2)
#define A2 (A * A)
#define B2 (B * B)
#define CHUNK 24                 /* tiles that are summed together */
#define CHUNK_PLANES 4           /* of those, behind each other where depth is summed */
#define TRANSFORM 130.0          /* cycles for a tile and sixteen channels */
#define PACKING 16.0             /* cycles for a pair of channels, and a tap in depth */
#define WEIGHTS_NEAR (768 << 10) /* bytes that stay in the second-level cache */
#define WEIGHTS_SPEED 16.0       /* bytes a cycle from beyond */
#define MARGIN 0.9
#define DEPTH_MAX 8  /* taps */
#define CHUNK_MAX 36 /* rather than two that are not full */
#define BOXES_MIN 4  /* of all images */
#define CHUNKS_MIN 8 /* below this groups of output channels are tasks of their own */
#define LINE 16      /* floats between points, beyond what they need: powers of two would share sets of the cache */

/* ---- along one direction ---- */

/* Six places to six points. */
INLINE void input_line(const __m512 d[IN], __m512 out[IN])
{
	const __m512 a = _mm512_set1_ps(A), b = _mm512_set1_ps(B), a2 = _mm512_set1_ps(A2), b2 = _mm512_set1_ps(B2);
	const __m512 sum = _mm512_set1_ps(A2 + B2);
	__m512 even = _mm512_fnmadd_ps(b2, d[2], d[4]), odd = _mm512_fnmadd_ps(b2, d[1], d[3]);

	out[0] = _mm512_add_ps(d[0], _mm512_fnmadd_ps(sum, d[2], d[4]));
	out[1] = _mm512_fmadd_ps(a, odd, even);
	out[2] = _mm512_fnmadd_ps(a, odd, even);
	even = _mm512_fnmadd_ps(a2, d[2], d[4]);
	odd = _mm512_fnmadd_ps(a2, d[1], d[3]);
	out[3] = _mm512_fmadd_ps(b, odd, even);
	out[4] = _mm512_fnmadd_ps(b, odd, even);
	out[5] = _mm512_add_ps(d[1], _mm512_fnmadd_ps(sum, d[3], d[5]));
}

/* Three taps to six points, each divided by what the interpolation multiplies it with. */
INLINE void weight_line(const __m512 g[3], __m512 out[IN])
{
	const float scale_a = 1 / (2 * A2 * (A2 - B2)), scale_b = 1 / (2 * B2 * (B2 - A2));
	__m512 even = _mm512_mul_ps(_mm512_fmadd_ps(_mm512_set1_ps(A2), g[2], g[0]), _mm512_set1_ps(scale_a));
	__m512 odd = _mm512_mul_ps(g[1], _mm512_set1_ps(A * scale_a));

	out[0] = g[0];
	out[1] = _mm512_add_ps(even, odd);
	out[2] = _mm512_sub_ps(even, odd);
	even = _mm512_mul_ps(_mm512_fmadd_ps(_mm512_set1_ps(B2), g[2], g[0]), _mm512_set1_ps(scale_b));
	odd = _mm512_mul_ps(g[1], _mm512_set1_ps(B * scale_b));
	out[3] = _mm512_add_ps(even, odd);
	out[4] = _mm512_sub_ps(even, odd);
	out[5] = g[2];
}

/* Six points to four places. */
INLINE void output_line(const __m512 m[IN], __m512 out[OUT])
{
	__m512 even_a = _mm512_add_ps(m[1], m[2]), odd_a = _mm512_sub_ps(m[1], m[2]);
	__m512 even_b = _mm512_add_ps(m[3], m[4]), odd_b = _mm512_sub_ps(m[3], m[4]);

	out[0] = _mm512_add_ps(m[0], _mm512_add_ps(even_a, even_b));
	out[1] = _mm512_fmadd_ps(_mm512_set1_ps(A), odd_a, _mm512_mul_ps(_mm512_set1_ps(B), odd_b));
	out[2] = _mm512_fmadd_ps(_mm512_set1_ps(A2), even_a, _mm512_mul_ps(_mm512_set1_ps(B2), even_b));
	out[3] = _mm512_fmadd_ps(_mm512_set1_ps(A2 * A), odd_a, _mm512_fmadd_ps(_mm512_set1_ps(B2 * B), odd_b, m[5]));
}

/* ---- planning ---- */

/* Tiles that are summed together: some of a plane's, in several planes behind each other. */
struct chunk {
	struct hl_pass_place from; /* of the first plane */
	int64_t planes, first, tiles;
};

/* Planes of inputs that so many planes see. */
static int64_t seen(const struct hl_pass *pass, int64_t planes)
{
	return planes + pass->axis[0].taps - 1;
}

/* Floats: of a point's inputs for all tiles of a chunk, and of its sums. */
static int64_t input_floats(const struct hl_pass *pass)
{
	return hl_divide_up(seen(pass, pass->chunk_planes) * pass->chunk_tiles * pass->inputs, LINE) * LINE + LINE;
}

static int64_t sum_floats(const struct hl_pass *pass)
{
	return pass->chunk_planes * pass->chunk_tiles * HL_TILE_BLOCKS * HL_TILE_LANES + LINE;
}

/* Weights: of a point for so many blocks, with a line of the cache between points, and of one block. */
static int64_t point_bytes(const struct hl_pass *pass, int64_t blocks)
{
	return (pass->axis[0].taps * pass->inputs * HL_TILE_LANES + LINE) * blocks * 4;
}

static int64_t block_bytes(const struct hl_pass *pass)
{
	return POINTS * point_bytes(pass, 1);
}

/* Depth is summed from planes next to each other, or not at all: then planes of different images are as good. */
bool hl_winograd_suits(const struct hl_pass *pass)
{
	const struct hl_pass_axis *a = pass->axis;

	for (int k = 1; k < 3; k++)
		if (a[k].taps != 3 || a[k].size != 3 || a[k].step != 1 || a[k].offset_step != 1 || a[k].out_step != 1)
			return false;
	if (a[0].taps != 1 && (a[0].taps > DEPTH_MAX || a[0].step != 1 || a[0].offset_step != 1))
		return false;
	return a[0].taps > 0 && pass->inputs >= 16 && pass->outputs >= 16;
}

static int64_t plane_tiles(const struct hl_pass_box *box)
{
	return hl_divide_up(box->size.h, OUT) * hl_divide_up(box->size.w, OUT);
}

/* Planes in one sequence of chunks. */
static int64_t sequence(const struct hl_pass *pass, const struct hl_pass_box *box)
{
	return pass->axis[0].taps == 1 ? box->images * box->size.d : box->size.d;
}

int64_t hl_winograd_chunks(const struct hl_pass *pass, const struct hl_pass_box *box)
{
	int64_t sequences = pass->axis[0].taps == 1 ? 1 : box->images;

	return sequences * hl_divide_up(sequence(pass, box), pass->chunk_planes) *
	       hl_divide_up(plane_tiles(box), pass->chunk_tiles);
}

static struct chunk chunk_at(const struct hl_pass *pass, const struct hl_pass_box *box, int64_t index)
{
	int64_t tiles = plane_tiles(box), blocks = hl_divide_up(tiles, pass->chunk_tiles), planes = sequence(pass, box);
	int64_t runs = hl_divide_up(planes, pass->chunk_planes), plane = index / blocks % runs * pass->chunk_planes;
	struct chunk chunk = {.from = box->from, .first = index % blocks * pass->chunk_tiles};

	chunk.tiles = tiles - chunk.first < pass->chunk_tiles ? tiles - chunk.first : pass->chunk_tiles;
	chunk.planes = planes - plane < pass->chunk_planes ? planes - plane : pass->chunk_planes;
	chunk.from.image += index / blocks / runs + plane / box->size.d;
	chunk.from.at[0] += plane % box->size.d;
	return chunk;
}

/* Rows of a box, a multiple of four, that fill a chunk and yet leave some tasks. */
int64_t hl_winograd_rows(const struct hl_pass *pass)
{
	int64_t across = hl_divide_up(pass->axis[2].count, OUT), down = hl_divide_up(pass->axis[1].count, OUT);
	int64_t bands = hl_divide_up(CHUNK, across * pass->box.d),
	        most = pass->images * pass->pooled.d * down / BOXES_MIN;

	return OUT * (bands < most ? bands : most > 0 ? most : 1);
}

/* What tasks cut into chunks. */
static struct hl_pass_box region(const struct hl_pass *pass)
{
	const struct hl_pass_axis *a = pass->axis;

	if (pass->pools)
		return (struct hl_pass_box){.images = 1, .size = pass->box};
	return (struct hl_pass_box){.images = pass->images, .size = {a[0].count, a[1].count, a[2].count}};
}

static void choose_chunks(struct hl_pass *pass, const struct hl_pass_box *box)
{
	int64_t tiles = plane_tiles(box), planes = sequence(pass, box), taps = pass->axis[0].taps;
	int64_t behind = taps > 1 ? planes < CHUNK_PLANES ? planes : CHUNK_PLANES : 1;

	pass->chunk_tiles =
	    tiles * behind <= CHUNK_MAX ? tiles : hl_divide_up(tiles, hl_divide_up(tiles * behind, CHUNK));
	pass->chunk_planes = (CHUNK + pass->chunk_tiles / 2) / pass->chunk_tiles;
	pass->chunk_planes = pass->chunk_planes < 1 ? 1 : pass->chunk_planes < planes ? pass->chunk_planes : planes;
	pass->chunk_planes = hl_divide_up(planes, hl_divide_up(planes, pass->chunk_planes));
	pass->parts = hl_winograd_chunks(pass, box) < CHUNKS_MIN ? pass->groups : 1;
}

/* Cycles of one core: products, transforms, and weights that come from beyond the second-level cache for each chunk,
 * against the products of sums taken one by one. */
static bool pays(const struct hl_pass *pass, const struct hl_pass_box *box)
{
	double channels =
	    (double)pass->inputs * (double)(hl_pass_blocks(pass) * HL_TILE_LANES) * (double)pass->axis[0].taps;
	double direct = (double)(box->images * box->size.d * box->size.h * box->size.w) * 9 * channels /
	                (pass->type == HL_BF16 ? 64 : 32);
	double tiles = (double)(plane_tiles(box) * box->size.d * box->images);
	double inputs =
	    (double)(seen(pass, pass->chunk_planes) * hl_divide_up(pass->inputs, HL_TILE_LANES) * pass->parts) /
	    (double)pass->chunk_planes;
	double cycles = tiles * (POINTS * channels / 32 + TRANSFORM * (inputs + (double)hl_pass_blocks(pass)));

	if ((double)pass->weights_bytes > WEIGHTS_NEAR)
		cycles += (double)hl_winograd_chunks(pass, box) * (double)pass->weights_bytes / WEIGHTS_SPEED;
	if (pass->repacked)
		cycles += channels * PACKING;
	return cycles < MARGIN * direct;
}

bool hl_winograd_plan(struct hl_pass *pass)
{
	struct hl_pass_box box = region(pass);

	pass->groups = hl_divide_up(hl_pass_blocks(pass), HL_TILE_BLOCKS);
	choose_chunks(pass, &box);
	pass->weights_bytes = (size_t)(hl_pass_blocks(pass) * block_bytes(pass));
	pass->winograd_bytes = (size_t)((input_floats(pass) + sum_floats(pass)) * POINTS) * sizeof(float);
	return pays(pass, &box);
}

/* ---- weights: group, point, tap in depth, input channel, block, lane ---- */

/* The nine taps of a channel, which lie together, for sixteen output channels: nine columns of sixteen rows. */
INLINE void load_taps(const struct hl_pass *pass, const float *weight, int64_t output, __m512 taps[9])
{
	int64_t left = pass->outputs - output;
	__m512 r[16], t[16], u[16];

	weight += output * pass->weight_out;
#pragma GCC unroll 16
	for (int lane = 0; lane < 16; lane++)
		r[lane] =
		    lane < left ? _mm512_maskz_loadu_ps(0x1ff, weight + lane * pass->weight_out) : _mm512_setzero_ps();
#pragma GCC unroll 8
	for (int i = 0; i < 16; i += 2) {
		t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
		t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
	}
#pragma GCC unroll 4
	for (int i = 0; i < 16; i += 4)
#pragma GCC unroll 2
		for (int k = 0; k < 2; k++) {
			__m512d a = _mm512_castps_pd(t[i + k]), b = _mm512_castps_pd(t[i + 2 + k]);
			u[i + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
			u[i + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
		}
		/* u[4 i + k]: columns k, 4 + k, 8 + k, 12 + k of rows 4 i to 4 i + 3. */
#pragma GCC unroll 4
	for (int k = 0; k < 4; k++) {
		__m512 a = _mm512_shuffle_f32x4(u[k], u[4 + k], 0x88),
		       b = _mm512_shuffle_f32x4(u[8 + k], u[12 + k], 0x88);
		__m512 c = _mm512_shuffle_f32x4(u[k], u[4 + k], 0xdd),
		       d = _mm512_shuffle_f32x4(u[8 + k], u[12 + k], 0xdd);
		taps[k] = _mm512_shuffle_f32x4(a, b, 0x88);
		taps[4 + k] = _mm512_shuffle_f32x4(c, d, 0x88);
		if (k == 0)
			taps[8] = _mm512_shuffle_f32x4(a, b, 0xdd);
	}
}

/* One tap in depth of one input channel, for sixteen output channels. */
HL_AVX512 static void pack_lanes(const struct hl_pass *pass, const float *weight, const float *scale, int64_t output,
                                 char *out, int64_t point_bytes)
{
	const struct hl_pass_axis *a = pass->axis;
	__m512 rows[IN][3], points[IN], taps[9], factor = _mm512_set1_ps(1);

	if (scale)
		factor = _mm512_maskz_loadu_ps(hl_lanes_mask(pass->outputs, output), scale + output);
	load_taps(pass, weight, output, taps);
	for (int w = 0; w < 3; w++) {
		__m512 column[3];
		for (int h = 0; h < 3; h++)
			column[h] = _mm512_mul_ps(
			    taps[(a[1].tap + h * a[1].tap_step) * 3 + a[2].tap + w * a[2].tap_step], factor);
		weight_line(column, points);
		for (int k = 0; k < IN; k++)
			rows[k][w] = points[k];
	}
	for (int k = 0; k < IN; k++) {
		weight_line(rows[k], points);
		for (int j = 0; j < IN; j++)
			_mm512_store_ps(out + (k * IN + j) * point_bytes, points[j]);
	}
}

/* Sixteen output channels: where they lie in their group. */
static void pack_block(const struct hl_pass *pass, const float *weight, const float *scale, int64_t block,
                       int64_t channel)
{
	const struct hl_pass_axis *depth = &pass->axis[0];
	int64_t group = 0, begin, blocks, line;
	char *out;

	while (hl_pass_group(pass, group + 1) <= block)
		group++;
	begin = hl_pass_group(pass, group);
	blocks = hl_pass_group(pass, group + 1) - begin;
	line = blocks * HL_TILE_LANES * 4;
	out = pass->weights + begin * block_bytes(pass) + channel * line + (block - begin) * HL_TILE_LANES * 4;
	for (int64_t d = 0; d < depth->taps; d++)
		pack_lanes(pass, weight + channel * pass->weight_in + (depth->tap + d * depth->tap_step) * 9, scale,
		           block * HL_TILE_LANES, out + d * pass->inputs * line, point_bytes(pass, blocks));
}

void hl_winograd_pack(struct hl_pass *pass, const float *weight, const float *scale)
{
	int64_t blocks = hl_pass_blocks(pass);

#pragma omp parallel for collapse(2) schedule(static) num_threads(pass->threads)
	for (int64_t block = 0; block < blocks; block++)
		for (int64_t channel = 0; channel < pass->inputs; channel++)
			pack_block(pass, weight, scale, block, channel);
}

/* ---- inputs ---- */

/* A tile's first place; plane and tile count from the chunk's. Behind the last plane come the next image's, unless
 * depth is summed. */
static struct hl_pass_place tile_at(const struct hl_pass *pass, const struct hl_pass_box *box,
                                    const struct chunk *chunk, int64_t plane, int64_t tile)
{
	int64_t across = hl_divide_up(box->size.w, OUT), depth = box->size.d;
	struct hl_pass_place place = chunk->from;

	tile += chunk->first;
	place.at[2] += tile % across * OUT;
	place.at[1] += tile / across * OUT;
	place.at[0] += plane;
	if (pass->axis[0].taps == 1) {
		plane = place.at[0] - box->from.at[0];
		place.image += plane / depth;
		place.at[0] = box->from.at[0] + plane % depth;
	}
	return place;
}

/* Where the inputs of a tile lie in the plane that its first tap in depth reads; zeros outside. */
static void find_inputs(const struct hl_pass_walk *walk, const struct hl_pass_place *place, const char *at[POINTS])
{
	const struct hl_pass *pass = walk->pass;
	const struct hl_pass_axis *a = pass->axis;
	int64_t d = place->at[0] * a[0].step + a[0].offset, h = place->at[1] + a[1].offset,
	        w = place->at[2] + a[2].offset;
	int64_t first = ((place->image * a[0].in + d) * a[1].in + h) * a[2].in + w;

	for (int i = 0; i < IN; i++)
		for (int j = 0; j < IN; j++) {
			bool inside =
			    d >= 0 && d < a[0].in && h + i >= 0 && h + i < a[1].in && w + j >= 0 && w + j < a[2].in;
			uintptr_t from = walk->in + (uintptr_t)((first + i * a[2].in + j) * pass->in_bytes);
			at[i * IN + j] = inside ? (const char *)from : pass->zeros;
		}
}

INLINE void transform_inputs(const enum hl_type type, const struct hl_pass *pass, const char *const at[POINTS],
                             float *out)
{
	const int64_t step = input_floats(pass);
	const int bytes = type == HL_BF16 ? 2 : 4;

	for (int64_t c = 0; c < pass->inputs; c += HL_TILE_LANES) {
		__mmask16 mask = hl_lanes_mask(pass->inputs, c);
		__m512 rows[IN][IN], points[IN];
#pragma GCC unroll 6
		for (int j = 0; j < IN; j++) {
			__m512 column[IN];
#pragma GCC unroll 6
			for (int i = 0; i < IN; i++)
				column[i] = hl_lanes_load(type, at[i * IN + j] + c * bytes, mask);
			input_line(column, points);
#pragma GCC unroll 6
			for (int i = 0; i < IN; i++)
				rows[i][j] = points[i];
		}
#pragma GCC unroll 6
		for (int i = 0; i < IN; i++) {
			input_line(rows[i], points);
#pragma GCC unroll 6
			for (int j = 0; j < IN; j++)
				_mm512_mask_storeu_ps(out + (i * IN + j) * step + c, mask, points[j]);
		}
	}
}

HL_AVX512 static void inputs_f32(const struct hl_pass *pass, const char *const at[POINTS], float *out)
{
	transform_inputs(HL_F32, pass, at, out);
}

HL_AVX512 static void inputs_bf16(const struct hl_pass *pass, const char *const at[POINTS], float *out)
{
	transform_inputs(HL_BF16, pass, at, out);
}

/* ---- outputs ---- */

struct finish {
	const float *bias;
	int64_t rows, places; /* of the tile that exist */
	int64_t down, across; /* bytes from one to the next */
	__mmask16 mask;
};

/* Sixteen channels of a tile from their sums at all points. */
INLINE void transform_outputs(const enum hl_type type, const struct hl_pass_walk *walk, const float *sums,
                              const struct finish *f, char *out)
{
	const struct hl_pass *pass = walk->pass;
	const int64_t step = sum_floats(pass);
	__m512 rows[OUT][IN], places[OUT], bias = _mm512_loadu_ps(f->bias);

#pragma GCC unroll 6
	for (int j = 0; j < IN; j++) {
		__m512 column[IN];
#pragma GCC unroll 6
		for (int i = 0; i < IN; i++)
			column[i] = _mm512_loadu_ps(sums + (i * IN + j) * step);
		output_line(column, places);
#pragma GCC unroll 4
		for (int i = 0; i < OUT; i++)
			rows[i][j] = places[i];
	}
#pragma GCC unroll 4
	for (int i = 0; i < OUT; i++) {
		output_line(rows[i], places);
#pragma GCC unroll 4
		for (int j = 0; j < OUT; j++) {
			char *to = out + i * f->down + j * f->across;
			__m512 value = _mm512_add_ps(places[j], bias);
			if (i >= f->rows || j >= f->places)
				continue;
			if (pass->adds)
				value = _mm512_add_ps(value, hl_lanes_load(type, to + walk->add, f->mask));
			if (pass->end != HL_TILE_PLAIN)
				value = hl_lanes_rectify(value, pass->end, _mm512_set1_ps(pass->slope));
			hl_lanes_store(type, to, value, f->mask, false);
		}
	}
}

HL_AVX512 static void outputs_f32(const struct hl_pass_walk *walk, const float *sums, const struct finish *f, char *out)
{
	transform_outputs(HL_F32, walk, sums, f, out);
}

HL_AVX512 static void outputs_bf16(const struct hl_pass_walk *walk, const float *sums, const struct finish *f,
                                   char *out)
{
	transform_outputs(HL_BF16, walk, sums, f, out);
}

/* ---- running ---- */

/* Sums over channels and depth at every point, for a group of output channels. */
static void sum_points(const struct hl_pass *pass, const struct chunk *chunk, const float *inputs, float *sums,
                       int64_t group)
{
	int64_t begin = hl_pass_group(pass, group), blocks = hl_pass_group(pass, group + 1) - begin;
	int64_t depth = pass->axis[0].taps, tiles = chunk->planes * chunk->tiles;
	int64_t parts = hl_divide_up(tiles, hl_tile_places((int)blocks)), larger = tiles % parts;
	int64_t tap_bytes = pass->inputs * blocks * HL_TILE_LANES * 4;
	struct hl_tap taps[DEPTH_MAX];
	struct hl_tile tile = {.tap = taps,
	                       .taps = depth,
	                       .in_step = pass->inputs * 4,
	                       .weights = pass->weights + begin * block_bytes(pass),
	                       .tap_bytes = tap_bytes,
	                       .run = pass->inputs * 4,
	                       .first = true,
	                       .last = true,
	                       .mask = 0xffff,
	                       .bias = (const float *)(const void *)pass->zeros,
	                       .out_step = blocks * HL_TILE_LANES * 4};

	for (int64_t d = 0; d < depth; d++) {
		taps[d].place[0] = (uintptr_t)(d * chunk->tiles * pass->inputs * 4);
		taps[d].weight = (uintptr_t)d;
	}
	for (int point = 0; point < POINTS; point++, tile.weights += point_bytes(pass, blocks)) {
		char *out = (char *)(sums + point * sum_floats(pass));
		tile.in = (uintptr_t)(inputs + point * input_floats(pass));
		tile.out = &out;
		for (int part = 0; part < 2; part++) {
			int64_t places = tiles / parts + (part == 0 ? 1 : 0);
			tile.repeat = part == 0 ? larger : parts - larger;
			if (tile.repeat > 0)
				hl_tile_find(HL_F32, true, (int)places, (int)blocks)(&tile);
			out += tile.repeat * places * tile.out_step;
			tile.in += (uintptr_t)(tile.repeat * places * tile.in_step);
		}
	}
}

static void finish_group(const struct hl_pass_walk *walk, const struct hl_pass_box *box, const struct chunk *chunk,
                         const float *sums, int64_t group)
{
	const struct hl_pass *pass = walk->pass;
	int64_t begin = hl_pass_group(pass, group), blocks = hl_pass_group(pass, group + 1) - begin;
	struct finish f = {.down = pass->out.axis[1], .across = pass->out.axis[2]};

	for (int64_t i = 0; i < chunk->planes * chunk->tiles; i++) {
		struct hl_pass_place place = tile_at(pass, box, chunk, i / chunk->tiles, i % chunk->tiles);
		f.rows = box->from.at[1] + box->size.h - place.at[1];
		f.places = box->from.at[2] + box->size.w - place.at[2];
		for (int64_t j = 0; j < blocks; j++) {
			int64_t c = (begin + j) * HL_TILE_LANES;
			char *out = (char *)hl_pass_at(&pass->out, walk->out, &place) + c * hl_pass_size(pass);
			f.bias = pass->bias + c;
			f.mask = hl_lanes_mask(pass->outputs, c);
			(pass->type == HL_BF16 ? outputs_bf16
			                       : outputs_f32)(walk, sums + (i * blocks + j) * HL_TILE_LANES, &f, out);
		}
	}
}

void hl_winograd_run(const struct hl_pass_walk *walk, const struct hl_pass_box *box, int64_t index, int64_t group_from,
                     int64_t group_to)
{
	const struct hl_pass *pass = walk->pass;
	struct chunk chunk = chunk_at(pass, box, index);
	float *inputs = walk->sums, *sums = inputs + POINTS * input_floats(pass);

	for (int64_t i = 0; i < seen(pass, chunk.planes) * chunk.tiles; i++) {
		struct hl_pass_place place = tile_at(pass, box, &chunk, i / chunk.tiles, i % chunk.tiles);
		const char *at[POINTS];
		find_inputs(walk, &place, at);
		(pass->type == HL_BF16 ? inputs_bf16 : inputs_f32)(pass, at, inputs + i * pass->inputs);
	}
	for (int64_t group = group_from; group < group_to; group++) {
		sum_points(pass, &chunk, inputs, sums, group);
		finish_group(walk, box, &chunk, sums, group);
	}
}
