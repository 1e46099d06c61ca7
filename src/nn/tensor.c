#include "nn/tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "nn/clones.h"

/* Below this many elements starting threads costs more than it saves. */
#define PARALLEL_MIN (INT64_C(1) << 16)

int64_t hl_shape_count(struct hl_shape shape)
{
	const int64_t dims[5] = {shape.n, shape.d, shape.h, shape.w, shape.c};
	int64_t count = 1;
	for (int i = 0; i < 5; i++)
		if (dims[i] < 1 || __builtin_mul_overflow(count, dims[i], &count))
			return 0;
	return count;
}

int64_t hl_shape_sample(struct hl_shape shape)
{
	shape.n = 1;
	return hl_shape_count(shape);
}

bool hl_shape_equal(struct hl_shape a, struct hl_shape b)
{
	return a.n == b.n && a.d == b.d && a.h == b.h && a.w == b.w && a.c == b.c;
}

void hl_shape_print(struct hl_shape shape, char *text, size_t size)
{
	snprintf(text, size, "%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64, shape.n, shape.d, shape.h,
	         shape.w, shape.c);
}

/* Five numbers from 1, each written as digits alone, with x between them. */
bool hl_shape_parse(const char *text, struct hl_shape *out)
{
	int64_t dims[5];
	for (int i = 0; i < 5; i++) {
		int64_t value = 0;
		if (i > 0 && *text++ != 'x')
			return false;
		if (*text < '0' || *text > '9')
			return false;
		for (; *text >= '0' && *text <= '9'; text++)
			if (__builtin_mul_overflow(value, 10, &value) ||
			    __builtin_add_overflow(value, *text - '0', &value))
				return false;
		if (value < 1)
			return false;
		dims[i] = value;
	}
	if (*text)
		return false;
	*out = (struct hl_shape){dims[0], dims[1], dims[2], dims[3], dims[4]};
	return true;
}

size_t hl_type_size(enum hl_type type)
{
	return type == HL_U8 ? 1 : type == HL_BF16 ? sizeof(uint16_t) : sizeof(float);
}

/* ---- whole tensors ---- */

#define GRAIN (INT64_C(1) << 14) /* elements a piece, from which each thread takes its share */

static HL_VECTOR_CLONES void widen(const uint16_t *restrict from, float *restrict to, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		to[i] = hl_bf16_to_f32(from[i]);
}

static HL_VECTOR_CLONES void narrow(const float *restrict from, uint16_t *restrict to, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		to[i] = hl_bf16_from_f32(from[i]);
}

static HL_VECTOR_CLONES void add32(const float *restrict from, float *restrict to, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		to[i] += from[i];
}

static HL_VECTOR_CLONES void add16(const uint16_t *restrict from, uint16_t *restrict to, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		to[i] = hl_bf16_from_f32(hl_bf16_to_f32(to[i]) + hl_bf16_to_f32(from[i]));
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void hl_convert(const void *in, enum hl_type in_type, void *out, enum hl_type out_type, int64_t count)
{
	if (in_type == out_type) {
		memmove(out, in, (size_t)count * hl_type_size(in_type));
		return;
	}
#pragma omp parallel for if (count >= PARALLEL_MIN) schedule(static)
	for (int64_t i = 0; i < count; i += GRAIN)
		if (in_type == HL_BF16)
			widen((const uint16_t *)in + i, (float *)out + i, least(GRAIN, count - i));
		else
			narrow((const float *)in + i, (uint16_t *)out + i, least(GRAIN, count - i));
}

void hl_accumulate(const struct hl_tensor *from, const struct hl_tensor *to)
{
	int64_t count = hl_shape_count(to->shape);

#pragma omp parallel for if (count >= PARALLEL_MIN) schedule(static)
	for (int64_t i = 0; i < count; i += GRAIN)
		if (to->type == HL_BF16)
			add16((const uint16_t *)from->data + i, (uint16_t *)to->data + i, least(GRAIN, count - i));
		else
			add32((const float *)from->data + i, (float *)to->data + i, least(GRAIN, count - i));
}
