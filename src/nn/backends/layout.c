#include "nn/backends/layout.h"
#include "nn/backends/vector.h"

/* One row of pixels; block is a constant where it is given, half always. */
HL_VECTOR_INLINE void pack_row(const struct hl_layout *layout, const void *in, int64_t from, float *out,
                               const int64_t block, const bool half)
{
	int64_t c = layout->shape.c;

	for (int64_t c0 = 0; c0 < c; c0 += block, out += layout->stride_block) {
		int64_t count = c - c0 < block ? c - c0 : block;
		for (int64_t w = 0; w < layout->shape.w; w++) {
			float *restrict to = out + w * layout->stride_w;
			int64_t at = from + w * c + c0;
			if (count == block) {
#pragma GCC ivdep
				for (int64_t j = 0; j < block; j++)
					to[j] = hl_vector_load(in, at + j, half);
				continue;
			}
			for (int64_t j = 0; j < block; j++)
				to[j] = j < count ? hl_vector_load(in, at + j, half) : 0.0F;
		}
	}
}

HL_VECTOR_INLINE void unpack_row(const struct hl_layout *layout, const float *in, void *out, int64_t to,
                                 const int64_t block, const bool half)
{
	int64_t c = layout->shape.c;

	for (int64_t c0 = 0; c0 < c; c0 += block, in += layout->stride_block) {
		int64_t count = c - c0 < block ? c - c0 : block;
		for (int64_t w = 0; w < layout->shape.w; w++) {
			const float *restrict from = in + w * layout->stride_w;
			int64_t at = to + w * c + c0;
			if (count == block) {
#pragma GCC ivdep
				for (int64_t j = 0; j < block; j++)
					hl_vector_store(out, at + j, from[j], half);
				continue;
			}
			for (int64_t j = 0; j < count; j++)
				hl_vector_store(out, at + j, from[j], half);
		}
	}
}

HL_VECTOR_INLINE void pack_any(const struct hl_layout *layout, const void *in, int64_t from, float *out,
                               const bool half)
{
	switch (layout->block) {
	case 1:
		pack_row(layout, in, from, out, 1, half);
		break;
	case 8:
		pack_row(layout, in, from, out, 8, half);
		break;
	case 16:
		pack_row(layout, in, from, out, 16, half);
		break;
	default:
		pack_row(layout, in, from, out, layout->block, half);
	}
}

HL_VECTOR_INLINE void unpack_any(const struct hl_layout *layout, const float *in, void *out, int64_t to,
                                 const bool half)
{
	switch (layout->block) {
	case 1:
		unpack_row(layout, in, out, to, 1, half);
		break;
	case 8:
		unpack_row(layout, in, out, to, 8, half);
		break;
	case 16:
		unpack_row(layout, in, out, to, 16, half);
		break;
	default:
		unpack_row(layout, in, out, to, layout->block, half);
	}
}

static HL_VECTOR_CLONES void pack32(const struct hl_layout *layout, const void *in, int64_t from, float *out)
{
	pack_any(layout, in, from, out, false);
}

static HL_VECTOR_CLONES void pack16(const struct hl_layout *layout, const void *in, int64_t from, float *out)
{
	pack_any(layout, in, from, out, true);
}

static HL_VECTOR_CLONES void unpack32(const struct hl_layout *layout, const float *in, void *out, int64_t to)
{
	unpack_any(layout, in, out, to, false);
}

static HL_VECTOR_CLONES void unpack16(const struct hl_layout *layout, const float *in, void *out, int64_t to)
{
	unpack_any(layout, in, out, to, true);
}

/* Where row number row (over images, depth and height) begins in the layout. */
static int64_t row_at(const struct hl_layout *layout, int64_t row)
{
	int64_t h = row % layout->shape.h, plane = row / layout->shape.h;

	return plane / layout->shape.d * layout->stride_n + plane % layout->shape.d * layout->stride_d +
	       h * layout->stride_h;
}

void hl_layout_pack(const struct hl_layout *layout, const void *in, enum hl_type type, float *out, int32_t threads)
{
	int64_t rows = layout->shape.n * layout->shape.d * layout->shape.h, length = layout->shape.w * layout->shape.c;

#pragma omp parallel for schedule(static) num_threads(threads) if (rows * length > 16384)
	for (int64_t row = 0; row < rows; row++)
		(type == HL_BF16 ? pack16 : pack32)(layout, in, row * length, out + row_at(layout, row));
}

void hl_layout_unpack(const struct hl_layout *layout, const float *in, void *out, enum hl_type type, int32_t threads)
{
	int64_t rows = layout->shape.n * layout->shape.d * layout->shape.h, length = layout->shape.w * layout->shape.c;

#pragma omp parallel for schedule(static) num_threads(threads) if (rows * length > 16384)
	for (int64_t row = 0; row < rows; row++)
		(type == HL_BF16 ? unpack16 : unpack32)(layout, in + row_at(layout, row), out, row * length);
}
