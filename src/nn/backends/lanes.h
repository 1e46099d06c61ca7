/* Vectors as wide as an instruction set has them, for loops that the compiler does not vectorise well. A file of loops
 * is included once for each set, inside #pragma GCC target, after LANES was defined as 16, 8 or 4; each time it
 * includes this one, which therefore has no guard. Names end in the number of lanes: LANES_NAME(x).
 *
 * Every function does the same to each lane as plain C does to a float, so the bits do not depend on the set. */
#ifndef LANES_NAME
#define LANES_GLUE(name, lanes) name##_x##lanes
#define LANES_JOIN(name, lanes) LANES_GLUE(name, lanes)
#define LANES_NAME(name) LANES_JOIN(name, LANES)
#endif

#define lanes_float LANES_NAME(lanes_float)
#define lanes_int LANES_NAME(lanes_int)
#define lanes_mask LANES_NAME(lanes_mask)
#define lanes_above LANES_NAME(lanes_above)
#define lanes_equal LANES_NAME(lanes_equal)
#define lanes_nan LANES_NAME(lanes_nan)
#define lanes_select LANES_NAME(lanes_select)
#define lanes_select_int LANES_NAME(lanes_select_int)
#define lanes_all LANES_NAME(lanes_all)
#define lanes_halves LANES_NAME(lanes_halves)
#define lanes_bytes LANES_NAME(lanes_bytes)
#define lanes_to_halves LANES_NAME(lanes_to_halves)
#define lanes_to_bytes LANES_NAME(lanes_to_bytes)
#define lanes_load LANES_NAME(lanes_load)
#define lanes_loaded LANES_NAME(lanes_loaded)
#define lanes_store LANES_NAME(lanes_store)
#define lanes_load_bytes LANES_NAME(lanes_load_bytes)
#define lanes_store_bytes LANES_NAME(lanes_store_bytes)

typedef float lanes_float __attribute__((vector_size(4 * LANES)));
typedef uint32_t lanes_int __attribute__((vector_size(4 * LANES)));

/* a > b; a is NaN; a == b. a where mask, else b. Unsigned numbers of 16 and 8 bit widened and narrowed. */
#if LANES == 16
typedef __mmask16 lanes_mask;

HL_VECTOR_INLINE lanes_mask lanes_above(lanes_float a, lanes_float b)
{
	return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ);
}

HL_VECTOR_INLINE lanes_mask lanes_nan(lanes_float a)
{
	return _mm512_cmp_ps_mask((__m512)a, (__m512)a, _CMP_UNORD_Q);
}

HL_VECTOR_INLINE lanes_mask lanes_equal(lanes_int a, lanes_int b)
{
	return _mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b);
}

HL_VECTOR_INLINE lanes_float lanes_select(lanes_mask mask, lanes_float a, lanes_float b)
{
	return (lanes_float)_mm512_mask_blend_ps(mask, (__m512)b, (__m512)a);
}

HL_VECTOR_INLINE lanes_int lanes_select_int(lanes_mask mask, lanes_int a, lanes_int b)
{
	return (lanes_int)_mm512_mask_blend_epi32(mask, (__m512i)b, (__m512i)a);
}

HL_VECTOR_INLINE lanes_int lanes_halves(const uint16_t *from)
{
	return (lanes_int)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)from));
}

HL_VECTOR_INLINE lanes_int lanes_bytes(const uint8_t *from)
{
	return (lanes_int)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)from));
}

HL_VECTOR_INLINE void lanes_to_halves(uint16_t *to, lanes_int value)
{
	_mm256_storeu_si256((__m256i *)(void *)to, _mm512_cvtepi32_epi16((__m512i)value));
}

HL_VECTOR_INLINE void lanes_to_bytes(uint8_t *to, lanes_int value)
{
	_mm_storeu_si128((__m128i *)(void *)to, _mm512_cvtepi32_epi8((__m512i)value));
}
#else
typedef int32_t lanes_mask __attribute__((vector_size(4 * LANES)));

HL_VECTOR_INLINE lanes_mask lanes_above(lanes_float a, lanes_float b)
{
	return a > b;
}

HL_VECTOR_INLINE lanes_mask lanes_nan(lanes_float a)
{
	return a != a; /* NOLINT(misc-redundant-expression) */
}

HL_VECTOR_INLINE lanes_mask lanes_equal(lanes_int a, lanes_int b)
{
	return a == b;
}

HL_VECTOR_INLINE lanes_int lanes_select_int(lanes_mask mask, lanes_int a, lanes_int b)
{
	return ((lanes_int)mask & a) | (~(lanes_int)mask & b);
}

HL_VECTOR_INLINE lanes_float lanes_select(lanes_mask mask, lanes_float a, lanes_float b)
{
	return (lanes_float)lanes_select_int(mask, (lanes_int)a, (lanes_int)b);
}

#if LANES == 8
HL_VECTOR_INLINE lanes_int lanes_halves(const uint16_t *from)
{
	return (lanes_int)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)from));
}

HL_VECTOR_INLINE lanes_int lanes_bytes(const uint8_t *from)
{
	return (lanes_int)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)from));
}

HL_VECTOR_INLINE void lanes_to_halves(uint16_t *to, lanes_int value)
{
	__m128i low = _mm256_castsi256_si128((__m256i)value), high = _mm256_extracti128_si256((__m256i)value, 1);

	_mm_storeu_si128((__m128i *)(void *)to, _mm_packus_epi32(low, high));
}

HL_VECTOR_INLINE void lanes_to_bytes(uint8_t *to, lanes_int value)
{
	__m128i low = _mm256_castsi256_si128((__m256i)value), high = _mm256_extracti128_si256((__m256i)value, 1);
	__m128i halves = _mm_packus_epi32(low, high);

	_mm_storel_epi64((__m128i *)(void *)to, _mm_packus_epi16(halves, halves));
}
#else
HL_VECTOR_INLINE lanes_int lanes_halves(const uint16_t *from)
{
	return (lanes_int){from[0], from[1], from[2], from[3]};
}

HL_VECTOR_INLINE lanes_int lanes_bytes(const uint8_t *from)
{
	return (lanes_int){from[0], from[1], from[2], from[3]};
}

HL_VECTOR_INLINE void lanes_to_halves(uint16_t *to, lanes_int value)
{
	for (int j = 0; j < LANES; j++)
		to[j] = (uint16_t)value[j];
}

HL_VECTOR_INLINE void lanes_to_bytes(uint8_t *to, lanes_int value)
{
	for (int j = 0; j < LANES; j++)
		to[j] = (uint8_t)value[j];
}
#endif
#endif

HL_VECTOR_INLINE lanes_int lanes_all(int32_t value)
{
	lanes_int all = {0};

	return all + (uint32_t)value;
}

/* count elements of an activation from number at on (the lanes beyond are 0); count and half are constants where it
 * matters. */
HL_VECTOR_INLINE lanes_float lanes_load(const void *data, int64_t at, int64_t count, const bool half)
{
	lanes_float value = {0};

	if (half) {
		uint16_t some[LANES] = {0};
		const uint16_t *from = (const uint16_t *)data + at;
		if (count < LANES)
			from = memcpy(some, from, (size_t)count * sizeof *some);
		return (lanes_float)(lanes_halves(from) << 16);
	}
	memcpy(&value, (const float *)data + at, (size_t)count * sizeof(float));
	return value;
}

/* hl_bf16_from_f32, lane by lane. */
HL_VECTOR_INLINE void lanes_store(void *data, int64_t at, lanes_float value, int64_t count, const bool half)
{
	if (half) {
		uint16_t some[LANES], *to = (uint16_t *)data + at;
		lanes_int bits = (lanes_int)value, top = bits >> 16;
		lanes_int rounded = (bits + 0x7fff + (top & 1)) >> 16;
		lanes_to_halves(count < LANES ? some : to, lanes_select_int(lanes_nan(value), top | 0x40, rounded));
		if (count < LANES)
			memcpy(to, some, (size_t)count * sizeof *some);
		return;
	}
	memcpy((float *)data + at, &value, (size_t)count * sizeof(float));
}

/* The same, but loaded whatever it is selected by: the compiler would make one masked load of the two, which waits for
 * the mask. Summing the gradient of max pooling takes 1.4 times as long then. */
HL_VECTOR_INLINE lanes_float lanes_loaded(lanes_float value)
{
#if LANES == 16
	__asm__("" : "+v"(value));
#endif
	return value;
}

HL_VECTOR_INLINE lanes_int lanes_load_bytes(const uint8_t *from, int64_t count)
{
	uint8_t some[LANES] = {0};

	return lanes_bytes(count < LANES ? memcpy(some, from, (size_t)count) : from);
}

HL_VECTOR_INLINE void lanes_store_bytes(uint8_t *to, lanes_int value, int64_t count)
{
	uint8_t some[LANES];

	lanes_to_bytes(count < LANES ? some : to, value);
	if (count < LANES)
		memcpy(to, some, (size_t)count);
}
