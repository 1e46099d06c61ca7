/* Stored numbers to voxels. */
#include "scan/formats/stored.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "scan/formats/inflate.h"
#include "scan/orient.h"

#define BLOCK 4096 /* voxels worked on at a time */
/* Deflate's best: a bit for 258 bytes twice over (RFC 1951). */
#define RATIO_MAX 1032
/* What may follow the voxels of a compressed file. */
#define SPARE_BYTES ((size_t)16 << 20)

struct reading {
	const struct hl_stored *stored;
	struct hl_inflate inflate;
	size_t at;            /* of the plain bytes */
	size_t width, height; /* of a slice as stored */
	struct hl_orient_map map;
	bool in_place; /* the voxels' order is kept */
	struct hl_volume volume;
	double minimum, maximum;
	bool whole; /* every value is a whole number */
	uint8_t bytes[BLOCK * 8];
	double value[BLOCK];
	float out[BLOCK]; /* the block as voxels of any type */
};

size_t hl_element_size(enum hl_element element)
{
	switch (element) {
	case HL_ELEMENT_U8:
	case HL_ELEMENT_I8:
		return 1;
	case HL_ELEMENT_U16:
	case HL_ELEMENT_I16:
		return 2;
	case HL_ELEMENT_U32:
	case HL_ELEMENT_I32:
	case HL_ELEMENT_F32:
		return 4;
	case HL_ELEMENT_U64:
	case HL_ELEMENT_I64:
	case HL_ELEMENT_F64:
		return 8;
	}
	return 0;
}

/* Reverses the bytes of each number. */
static void swap_numbers(uint8_t *bytes, size_t count, size_t size)
{
	for (size_t i = 0; i < count; i++, bytes += size) {
		if (size == 2) {
			uint16_t number;
			memcpy(&number, bytes, 2);
			number = __builtin_bswap16(number);
			memcpy(bytes, &number, 2);
		} else if (size == 4) {
			uint32_t number;
			memcpy(&number, bytes, 4);
			number = __builtin_bswap32(number);
			memcpy(bytes, &number, 4);
		} else if (size == 8) {
			uint64_t number;
			memcpy(&number, bytes, 8);
			number = __builtin_bswap64(number);
			memcpy(bytes, &number, 8);
		}
	}
}

/* The next count stored numbers, in this machine's byte order. */
static enum hilum_status fetch(struct reading *reading, size_t count, struct hilum_error *error)
{
	const struct hl_stored *stored = reading->stored;
	size_t size = hl_element_size(stored->element), bytes = count * size;
	bool swapped = stored->big_endian == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

	if (stored->packed) {
		enum hilum_status status = hl_inflate_read(&reading->inflate, reading->bytes, bytes, error);
		if (status)
			return status;
	} else {
		memcpy(reading->bytes, stored->bytes + reading->at, bytes);
		reading->at += bytes;
	}
	if (swapped && size > 1)
		swap_numbers(reading->bytes, count, size);
	return HILUM_OK;
}

#define WIDEN(type)                                                                                                    \
	for (size_t i = 0; i < count; i++) {                                                                           \
		type number;                                                                                           \
		memcpy(&number, bytes + i * sizeof(number), sizeof(number));                                           \
		out[i] = (double)number;                                                                               \
	}                                                                                                              \
	break

static void widen(enum hl_element element, const uint8_t *bytes, size_t count, double *out)
{
	switch (element) {
	case HL_ELEMENT_U8:
		WIDEN(uint8_t);
	case HL_ELEMENT_I8:
		WIDEN(int8_t);
	case HL_ELEMENT_U16:
		WIDEN(uint16_t);
	case HL_ELEMENT_I16:
		WIDEN(int16_t);
	case HL_ELEMENT_U32:
		WIDEN(uint32_t);
	case HL_ELEMENT_I32:
		WIDEN(int32_t);
	case HL_ELEMENT_U64:
		WIDEN(uint64_t);
	case HL_ELEMENT_I64:
		WIDEN(int64_t);
	case HL_ELEMENT_F32:
		WIDEN(float);
	case HL_ELEMENT_F64:
		WIDEN(double);
	}
}

static bool is_plain(const struct hl_stored *stored)
{
	return stored->slope == 1 && stored->intercept == 0;
}

/* Signed 16-bit numbers as they are, the usual case. */
static void keep_i16(struct reading *reading, size_t count, void *out)
{
	int16_t low = INT16_MAX, high = INT16_MIN, *to = out;

	memcpy(to, reading->bytes, count * sizeof(*to));
	for (size_t i = 0; i < count; i++) {
		low = to[i] < low ? to[i] : low;
		high = to[i] > high ? to[i] : high;
	}
	reading->minimum = fmin(reading->minimum, low);
	reading->maximum = fmax(reading->maximum, high);
}

/* NaN compares with nothing: it changes neither end, and is no whole number. */
static void measure(struct reading *reading, size_t count)
{
	double low = reading->minimum, high = reading->maximum;
	bool whole = true;

	for (size_t i = 0; i < count; i++) {
		double value = reading->value[i];
		low = value < low ? value : low;
		high = value > high ? value : high;
		whole &= trunc(value) == value;
	}
	reading->minimum = low;
	reading->maximum = high;
	reading->whole &= whole;
}

/* One block of count stored numbers as voxels; false when the type cannot hold them exactly. */
static bool convert(struct reading *reading, size_t count, void *out)
{
	const struct hl_stored *stored = reading->stored;
	const double *value = reading->value;
	enum hl_voxel type = reading->volume.type;

	if (type == HL_VOXEL_I16 && stored->element == HL_ELEMENT_I16 && is_plain(stored)) {
		keep_i16(reading, count, out);
		return true;
	}
	widen(stored->element, reading->bytes, count, reading->value);
	for (size_t i = 0; i < count && !is_plain(stored); i++)
		reading->value[i] = reading->value[i] * stored->slope + stored->intercept;
	measure(reading, count);
	if (type == HL_VOXEL_F32) {
		for (size_t i = 0; i < count; i++)
			((float *)out)[i] = (float)value[i];
		return true;
	}
	if (!reading->whole || reading->minimum < (type == HL_VOXEL_I16 ? INT16_MIN : 0) ||
	    reading->maximum > (type == HL_VOXEL_I16 ? INT16_MAX : UINT16_MAX))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (type == HL_VOXEL_I16)
			((int16_t *)out)[i] = (int16_t)value[i];
		else
			((uint16_t *)out)[i] = (uint16_t)value[i];
	}
	return true;
}

/* Puts the block's voxels, which are number first and on in the stored order, into their places. */
static void put(struct reading *reading, size_t first, size_t count)
{
	const struct hl_orient_map *map = &reading->map;
	ptrdiff_t voxel = (ptrdiff_t)hl_voxel_size(reading->volume.type), step = map->step[0] * voxel;
	const uint8_t *from = (const uint8_t *)reading->out;

	while (count > 0) {
		size_t x = first % reading->width, row = first / reading->width;
		size_t run = reading->width - x < count ? reading->width - x : count;
		ptrdiff_t place = map->first + (ptrdiff_t)x * map->step[0] +
		                  (ptrdiff_t)(row % reading->height) * map->step[1] +
		                  (ptrdiff_t)(row / reading->height) * map->step[2];
		uint8_t *to = (uint8_t *)reading->volume.voxels + place * voxel;
		for (size_t i = 0; i < run; i++, from += voxel, to += step)
			memcpy(to, from, voxel == 2 ? 2 : 4);
		first += run;
		count -= run;
	}
}

static enum hilum_status read_blocks(struct reading *reading, size_t count, bool *exact, struct hilum_error *error)
{
	size_t voxel = hl_voxel_size(reading->volume.type);
	uint8_t *voxels = reading->volume.voxels;

	for (size_t first = 0; first < count && *exact; first += BLOCK) {
		size_t step = count - first < BLOCK ? count - first : BLOCK;
		enum hilum_status status = fetch(reading, step, error);
		if (status)
			return status;
		*exact = convert(reading, step, reading->in_place ? (void *)(voxels + first * voxel) : reading->out);
		if (*exact && !reading->in_place)
			put(reading, first, step);
	}
	return HILUM_OK;
}

/* One pass over all voxels; *exact becomes false, and there is no volume, when the type cannot hold them. */
static enum hilum_status read_as(struct reading *reading, enum hl_voxel type, const struct hl_volume *shape,
                                 bool *exact, struct hilum_error *error)
{
	const struct hl_stored *stored = reading->stored;
	size_t count = (size_t)shape->width * (size_t)shape->height * (size_t)shape->depth;
	enum hilum_status status =
	    hl_volume_init(&reading->volume, shape->width, shape->height, shape->depth, 1, type, error);

	if (status)
		return status;
	*exact = true;
	reading->at = stored->skip;
	reading->minimum = (double)INFINITY;
	reading->maximum = -(double)INFINITY;
	reading->whole = true;
	if (stored->packed) {
		status = hl_inflate_open(&reading->inflate, stored->bytes, stored->length, error);
		if (!status)
			status = hl_inflate_skip(&reading->inflate, stored->skip, error);
	}
	if (!status)
		status = read_blocks(reading, count, exact, error);
	if (!status && *exact && stored->packed)
		status = hl_inflate_finish(&reading->inflate, SPARE_BYTES, error);
	if (stored->packed)
		hl_inflate_close(&reading->inflate);
	if (status || !*exact)
		hl_volume_free(&reading->volume);
	return status;
}

/* Grey values into the smaller type that holds them, from the front on over the larger ones. */
static void narrow(struct hl_volume *volume, enum hl_voxel type, size_t count)
{
	uint8_t *bytes = volume->voxels;

	if (type == HL_VOXEL_U8)
		for (size_t i = 0; i < count; i++) {
			int16_t value;
			memcpy(&value, bytes + 2 * i, 2);
			bytes[i] = (uint8_t)value;
		}
	else if (volume->type == HL_VOXEL_F32)
		for (size_t i = 0; i < count; i++) {
			float value;
			uint16_t number;
			memcpy(&value, bytes + 4 * i, 4);
			number = (uint16_t)value;
			memcpy(bytes + 2 * i, &number, 2);
		}
	volume->voxels = hl_voxels_shrink(bytes, count * hl_voxel_size(type));
	volume->type = type;
	volume->unit = HL_UNIT_GREY;
	volume->maximum = type == HL_VOXEL_U8 ? 255 : 65535;
}

/* What the numbers mean; see the header. Unsigned ones that are said to be Hounsfield units come as such. */
static void settle(struct reading *reading, size_t count)
{
	struct hl_volume *volume = &reading->volume;
	bool grey = reading->whole && reading->minimum >= 0 && reading->maximum <= UINT16_MAX;

	if (grey && !reading->stored->hounsfield) {
		bool bytes = hl_element_size(reading->stored->element) == 1 && reading->maximum <= UINT8_MAX &&
		             volume->type == HL_VOXEL_I16;
		narrow(volume, bytes ? HL_VOXEL_U8 : HL_VOXEL_U16, count);
	} else if (volume->type == HL_VOXEL_U16) {
		volume->type = HL_VOXEL_I16;
		volume->unit = HL_UNIT_HOUNSFIELD;
		volume->maximum = 0;
	}
}

static enum hilum_status check_sizes(const struct hl_stored *stored, const struct hl_volume *shape,
                                     struct hilum_error *error)
{
	const int32_t size[3] = {shape->width, shape->height, shape->depth};
	int64_t bytes = (int64_t)hl_element_size(stored->element);
	size_t needed;

	for (int k = 0; k < 3; k++) {
		if (size[k] < 1)
			return hl_fail(error, HILUM_ERROR_FORMAT, "%d x %d x %d voxels", size[0], size[1], size[2]);
		if (size[k] > HL_VOLUME_SIDE_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "%d x %d x %d voxels: more than %d a side", size[0],
			               size[1], size[2], HL_VOLUME_SIDE_MAX);
		/* At most 2^45. */
		bytes *= size[k];
	}
	if (bytes > HL_STORED_BYTES_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "%lld bytes of voxels, more than %lld", (long long)bytes,
		               (long long)HL_STORED_BYTES_MAX);
	needed = (size_t)bytes;
	if (stored->packed)
		needed /= RATIO_MAX;
	else if (!hl_add_size(needed, stored->skip, &needed))
		needed = SIZE_MAX;
	if (needed > stored->length)
		return hl_fail(error, HILUM_ERROR_FORMAT, "cut off: %zu bytes are too few for %d x %d x %d voxels",
		               stored->length, size[0], size[1], size[2]);
	return HILUM_OK;
}

static enum hilum_status read_all(struct reading *reading, struct hl_volume *volume, struct hilum_error *error)
{
	const struct hl_stored *stored = reading->stored;
	const int32_t size[3] = {volume->width, volume->height, volume->depth};
	struct hl_orient orient = {.axis = {0, 1, 2}};
	bool unsigned16 = stored->element == HL_ELEMENT_U16 && is_plain(stored), exact;
	struct hl_volume turned = *volume;
	enum hilum_status status;

	if (volume->oriented)
		orient = hl_orient_find(volume->direction);
	hl_orient_geometry(&orient, &turned);
	reading->in_place = hl_orient_is_identity(&orient);
	reading->map = hl_orient_place(&orient, size);
	reading->width = (size_t)size[0];
	reading->height = (size_t)size[1];
	status = read_as(reading, unsigned16 ? HL_VOXEL_U16 : HL_VOXEL_I16, &turned, &exact, error);
	if (!status && exact && unsigned16 && stored->hounsfield && reading->maximum > INT16_MAX) {
		hl_volume_free(&reading->volume);
		exact = false;
	}
	if (!status && !exact)
		status = read_as(reading, HL_VOXEL_F32, &turned, &exact, error);
	if (status)
		return status;
	settle(reading, (size_t)size[0] * (size_t)size[1] * (size_t)size[2]);
	turned.channels = 1;
	turned.type = reading->volume.type;
	turned.unit = reading->volume.unit;
	turned.maximum = reading->volume.maximum;
	turned.voxels = reading->volume.voxels;
	*volume = turned;
	return HILUM_OK;
}

enum hilum_status hl_stored_read(const struct hl_stored *stored, struct hl_volume *volume, struct hilum_error *error)
{
	enum hilum_status status = check_sizes(stored, volume, error);
	struct reading *reading;

	if (status)
		return status;
	reading = hl_alloc(1, sizeof(*reading));
	if (!reading)
		return hl_fail_memory(error, sizeof(*reading), "the reader");
	reading->stored = stored;
	status = read_all(reading, volume, error);
	hl_free(reading);
	return status;
}
