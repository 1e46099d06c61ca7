/* Bandwidth-bound ops written as plain loops that the compiler vectorises once per instruction set and the loader picks
 * from at run time. Fused multiply-add is off for the whole build, so every instruction set gives the same bits. */
#ifndef HL_NN_BACKENDS_VECTOR_H
#define HL_NN_BACKENDS_VECTOR_H
#include "nn/backend.h"
#include "nn/clones.h"

struct hl_vector {
	struct hl_primitive primitive;
	int32_t threads;
	int32_t width;   /* lanes of float that the processor has: 16, 8, or 4 for all others */
	bool half;       /* activations are bfloat16, converted in registers */
	bool use_output; /* the gradient's mask is read from the output rather than from the input */
};

/* Each fills primitive->forward, backward, saved and scratch for a node. */
enum hilum_status hl_vector_maxpool(const struct hl_compile *request, struct hl_vector *node);
enum hilum_status hl_vector_avgpool(const struct hl_compile *request, struct hl_vector *node);
enum hilum_status hl_vector_globalpool(const struct hl_compile *request, struct hl_vector *node);
enum hilum_status hl_vector_dropout(const struct hl_compile *request, struct hl_vector *node); /* in training */

/* Element i of an activation; half is a constant where this is inlined. */
HL_VECTOR_INLINE float hl_vector_load(const void *data, int64_t i, const bool half)
{
	return half ? hl_bf16_to_f32(((const uint16_t *)data)[i]) : ((const float *)data)[i];
}

HL_VECTOR_INLINE void hl_vector_store(void *data, int64_t i, float value, const bool half)
{
	if (half)
		((uint16_t *)data)[i] = hl_bf16_from_f32(value);
	else
		((float *)data)[i] = value;
}

/* The activation z < 0 ? below z : z, and the gradient d behind it. keep is 0 for relu, whose other half is zero
 * whatever z and d are (infinite, too), and all ones otherwise. Selected by bits, because the compiler would not
 * compute a product that may not be wanted, and so not make vectors of it. */
union hl_vector_bits {
	float f;
	uint32_t u;
};

HL_VECTOR_INLINE float hl_vector_select(bool first, float a, float b, uint32_t keep)
{
	union hl_vector_bits x = {a}, y = {b};
	uint32_t mask = 0U - (uint32_t)first;

	x.u = (x.u & keep & mask) | (y.u & ~mask);
	return x.f;
}

HL_VECTOR_INLINE float hl_vector_bend(float z, float below, uint32_t keep)
{
	return hl_vector_select(z < 0.0F, z * below, z, keep);
}

HL_VECTOR_INLINE float hl_vector_unbend(float sign, float d, float below, uint32_t keep)
{
	return hl_vector_select(!(sign > 0.0F), d * below, d, keep);
}

/* A loop body over [begin, end). */
struct hl_vector_task;
typedef void hl_vector_range(const struct hl_vector_task *task, int64_t begin, int64_t end);

/* Operands of the loops; each uses what it needs. */
struct hl_vector_task {
	const struct hl_call *call;
	const void *a, *b;
	void *out;
	const void *y; /* the output, for the sign of the activation */
	void *rest;    /* where the gradient behind the activation is left */
	float slope;
	float below; /* activation, see hl_vector_bend */
	uint32_t keep;
	int64_t tile;     /* batch norm: elements of one coefficient tile, a multiple of the channels */
	int64_t elements; /* in all */
	int64_t shards;   /* fixed by the shapes alone */
	const float *shift, *scale, *offset, *slant, *rise; /* tile floats each */
	float *partial;                                     /* shards x 2 x tile */
	double *sums;                                       /* shards x 2 x tile */
};

/* Runs range over [0, count) cut into pieces of about grain; the cut does not depend on threads. */
void hl_vector_run(hl_vector_range *range, const struct hl_vector_task *task, int64_t count, int64_t grain,
                   int32_t threads);
#endif
