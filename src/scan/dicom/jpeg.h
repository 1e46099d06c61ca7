/* JPEG (ITU-T T.81) as DICOM uses it and common libraries do not read it: lossless (process 14) of 2 to 16 bits, and
 * DCT of 12 bits, sequential and progressive. 8-bit DCT is libjpeg's. Within this folder only. */
#ifndef HL_SCAN_DICOM_JPEG_H
#define HL_SCAN_DICOM_JPEG_H
#include "scan/dicom/pixels.h"

/* Scans of a progressive picture: encoders make some ten, and each costs time though it may have hardly any bytes. */
enum { HL_JPEG_FAST = 9, HL_JPEG_COMPONENTS_MAX = 4, HL_JPEG_SCANS_MAX = 32 };

/* One Huffman table. */
struct hl_jpeg_table {
	bool defined;
	uint16_t fast[1 << HL_JPEG_FAST]; /* length << 8 | symbol, by the next bits; 0: longer than HL_JPEG_FAST */
	int32_t last[17];                 /* the largest code of each length; -1: none */
	int32_t first[17];                /* index of a length's first symbol, less its first code */
	uint8_t symbol[256];
};

struct hl_jpeg_component {
	int id, h, v; /* sampling factors */
	int quant;    /* table */
	int dc, ac;   /* tables of the present scan */
};

struct hl_jpeg {
	const uint8_t *at, *end;
	int process; /* number of the SOF marker: 0, 1, 2 DCT, 3 lossless */
	int precision;
	int32_t width, height;
	int components;
	struct hl_jpeg_component component[HL_JPEG_COMPONENTS_MAX];
	struct hl_jpeg_table dc[4], ac[4]; /* lossless tables are among dc */
	uint16_t quant[4][64];
	bool has_quant[4];
	int32_t restart; /* interval in MCUs; 0: none */
	/* The present scan. */
	int scan_components, scan[HL_JPEG_COMPONENTS_MAX]; /* which */
	int spectral_first, spectral_last, high, low;
};

/* The entropy-coded bits of one restart interval. Beyond its end there are zeros, counted in made_up. */
struct hl_jpeg_bits {
	const uint8_t *at, *end;
	uint64_t hold; /* the next bits, from the top */
	int count, made_up;
};

void hl_jpeg_begin(struct hl_jpeg_bits *bits, const uint8_t *at, const uint8_t *end);
void hl_jpeg_refill(struct hl_jpeg_bits *bits);
/* To the restart marker of that number, from 0; false if there is none. */
bool hl_jpeg_restart(struct hl_jpeg_bits *bits, int number);
/* Whether more bits were taken than there are. */
static inline bool hl_jpeg_overrun(const struct hl_jpeg_bits *bits)
{
	return bits->made_up > bits->count;
}

/* Makes the bits count as overrun: what they hold cannot be. */
static inline void hl_jpeg_spoil(struct hl_jpeg_bits *bits)
{
	bits->made_up = bits->count + 1;
}

static inline void hl_jpeg_need(struct hl_jpeg_bits *bits, int count)
{
	if (bits->count < count)
		hl_jpeg_refill(bits);
}

/* Up to 16 bits, which hl_jpeg_need has seen to. */
static inline uint32_t hl_jpeg_take(struct hl_jpeg_bits *bits, int count)
{
	uint32_t value = count ? (uint32_t)(bits->hold >> (64 - count)) : 0;
	bits->hold <<= count;
	bits->count -= count;
	return value;
}

/* The next symbol; 16 bits are needed. A code that the table lacks spoils the bits. */
static inline int hl_jpeg_symbol(struct hl_jpeg_bits *bits, const struct hl_jpeg_table *table)
{
	uint16_t fast = table->fast[bits->hold >> (64 - HL_JPEG_FAST)];
	if (fast) {
		bits->hold <<= fast >> 8;
		bits->count -= fast >> 8;
		return fast & 255;
	}
	int32_t code = (int32_t)(bits->hold >> 48);
	for (int length = HL_JPEG_FAST + 1; length <= 16; length++) {
		int32_t top = code >> (16 - length);
		if (top <= table->last[length]) {
			bits->hold <<= length;
			bits->count -= length;
			return table->symbol[(top + table->first[length]) & 255];
		}
	}
	hl_jpeg_spoil(bits);
	return 0;
}

/* T.81 F.2.2.1, EXTEND: a number of size bits as a difference. */
static inline int32_t hl_jpeg_extend(uint32_t value, int size)
{
	return size > 0 && value < UINT32_C(1) << (size - 1) ? (int32_t)value - (INT32_C(1) << size) + 1
	                                                     : (int32_t)value;
}

/* Reads markers up to the next scan's bits: *found false at the end of the picture. */
enum hilum_status hl_jpeg_next_scan(struct hl_jpeg *jpeg, bool *found, struct hilum_error *error);
/* Behind the bits of the scan that has been read: at the next marker that is no restart. */
void hl_jpeg_end_scan(struct hl_jpeg *jpeg, const uint8_t *at);

/* All scans of a picture whose head has been read, up to the first scan's bits. */
enum hilum_status hl_jpeg_lossless(struct hl_jpeg *jpeg, const struct hl_dicom_plane *plane, struct hilum_error *error);
enum hilum_status hl_jpeg_dct12(struct hl_jpeg *jpeg, const struct hl_dicom_plane *plane, struct hilum_error *error);
/* 8-bit DCT by libjpeg, components as they are stored. */
enum hilum_status hl_jpeg_dct8(const uint8_t *bytes, size_t length, const struct hl_dicom_plane *plane,
                               struct hilum_error *error);
#endif
