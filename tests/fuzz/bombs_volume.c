/* Hostile NIfTI, MetaImage and archives. Those not to be refused are sound and at the limit. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "archives.h"
#include "samples.h"

static bool add(struct hl_buffer *out, const void *bytes, size_t length)
{
	return hl_buffer_append(out, bytes, length, NULL) == HILUM_OK;
}

static void put(uint8_t *at, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

bool bomb_deflate(struct hl_buffer *out, const void *before, size_t length, size_t zeros, int window)
{
	static const Bytef block[65536];
	z_stream stream = {0};
	Bytef packed[65536];
	bool done = deflateInit2(&stream, 1, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK;
	int code = Z_OK;

	stream.next_in = (Bytef *)(uintptr_t)before;
	stream.avail_in = (uInt)length;
	while (done && code != Z_STREAM_END) {
		if (stream.avail_in == 0 && zeros > 0) {
			stream.next_in = (Bytef *)(uintptr_t)block;
			stream.avail_in = (uInt)(zeros < sizeof(block) ? zeros : sizeof(block));
			zeros -= stream.avail_in;
		}
		stream.next_out = packed;
		stream.avail_out = sizeof(packed);
		code = deflate(&stream, zeros > 0 || stream.avail_in > 0 ? Z_NO_FLUSH : Z_FINISH);
		done = (code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR) &&
		       add(out, packed, sizeof(packed) - stream.avail_out);
	}
	deflateEnd(&stream);
	return done;
}

/* ---- NIfTI ---- */

static void nifti_header(uint8_t header[352], int16_t type, int16_t x, int16_t y, int16_t z)
{
	const int16_t dim[4] = {3, x, y, z};
	const float one = 1, begin = 352;

	memset(header, 0, 352);
	put(header, 348, 4);
	memcpy(header + 344, "n+1", 4);
	for (size_t i = 0; i < 4; i++)
		put(header + 40 + 2 * i, (uint64_t)dim[i], 2);
	put(header + 70, (uint64_t)type, 2);
	memcpy(header + 108, &begin, 4);
	for (size_t i = 0; i < 4; i++)
		memcpy(header + 76 + 4 * i, &one, 4);
}

static bool nifti_zeros(struct hl_buffer *out, int16_t type, size_t size, int16_t x, int16_t y, int16_t z, size_t more)
{
	uint8_t header[352];

	nifti_header(header, type, x, y, z);
	return bomb_deflate(out, header, sizeof(header), (size_t)x * (size_t)y * (size_t)z * size + more, BOMB_GZIP);
}

static bool nifti_huge(struct hl_buffer *out)
{
	return nifti_zeros(out, 4, 0, 16384, 16384, 16384, 1000);
}

static bool nifti_empty(struct hl_buffer *out)
{
	return nifti_zeros(out, 4, 0, 512, 512, 1000, 1000);
}

static bool nifti_full(struct hl_buffer *out)
{
	return nifti_zeros(out, 4, 2, 512, 512, 1000, 0);
}

static bool nifti_doubles(struct hl_buffer *out)
{
	return nifti_zeros(out, 64, 8, 512, 512, 500, 0);
}

/* Rows of one voxel, turned, so that each goes to a place of its own. */
static bool nifti_thin(struct hl_buffer *out)
{
	uint8_t header[352];
	const float one = 1;

	nifti_header(header, 4, 1, 16384, 4096);
	put(header + 254, 1, 2);
	memcpy(header + 280 + 8, &one, 4);
	memcpy(header + 296, &one, 4);
	memcpy(header + 312 + 4, &one, 4);
	return bomb_deflate(out, header, sizeof(header), (size_t)16384 * 4096 * 2, BOMB_GZIP);
}

static bool nifti_tail(struct hl_buffer *out)
{
	return nifti_zeros(out, 4, 2, 10, 10, 10, (size_t)2 << 30);
}

/* Its last voxel is no whole number, so that all are read twice. */
static bool nifti_late(struct hl_buffer *out)
{
	uint8_t header[352];
	const float slope = 1.5F;

	nifti_header(header, 8, 512, 512, 500);
	memcpy(header + 112, &slope, 4);
	return bomb_deflate(out, header, sizeof(header), (size_t)512 * 512 * 500 * 4 - 4, BOMB_GZIP) &&
	       bomb_deflate(out, "\1\0\0", 4, 0, BOMB_GZIP);
}

static bool nifti_members(struct hl_buffer *out)
{
	uint8_t header[352];
	bool done;

	nifti_header(header, 4, 10, 10, 10);
	done = bomb_deflate(out, header, sizeof(header), 0, BOMB_GZIP);
	for (int i = 0; i < 200000 && done; i++)
		done = bomb_deflate(out, "", 0, 0, BOMB_GZIP);
	return done;
}

/* ---- MetaImage ---- */

#define HEAD "ObjectType = Image\nNDims = 3\n"

static bool meta_zeros(struct hl_buffer *out)
{
	return !hl_buffer_print(out, NULL,
	                        HEAD "CompressedData = True\nDimSize = 512 512 1000\nElementType = MET_SHORT\n"
	                             "ElementDataFile = LOCAL\n") &&
	       bomb_deflate(out, "", 0, (size_t)512 * 512 * 1000 * 2, BOMB_ZLIB);
}

static bool meta_huge(struct hl_buffer *out)
{
	return !hl_buffer_print(
	    out, NULL, HEAD "DimSize = 16384 16384 16384\nElementType = MET_DOUBLE\nElementDataFile = LOCAL\n");
}

static bool meta_lines(struct hl_buffer *out)
{
	bool done = !hl_buffer_print(out, NULL, HEAD);

	for (int i = 0; i < 4000000 && done; i++)
		done = add(out, "a = b\n", 6);
	return done;
}

static bool meta_line(struct hl_buffer *out)
{
	bool done = !hl_buffer_print(out, NULL, HEAD "Comment = ");

	for (int i = 0; i < 1000000 && done; i++)
		done = add(out, "0123456789abcdef", 16);
	return done;
}

/* ---- archives ---- */

static bool archived_zeros(struct hl_buffer *out, enum archive_kind kind, size_t length, size_t count)
{
	struct archived files[16];

	for (size_t i = 0; i < count; i++)
		files[i] = (struct archived){"a", NULL, length, NULL};
	hl_buffer_free(out);
	*out = archive_make(kind, files, count);
	return out->length > 0;
}

static bool zip_zeros(struct hl_buffer *out)
{
	return archived_zeros(out, ARCHIVE_KIND_ZIP, (size_t)1 << 30, 1);
}

static bool tar_zeros(struct hl_buffer *out)
{
	return archived_zeros(out, ARCHIVE_KIND_TGZ, (size_t)1 << 30, 1);
}

static bool zip_full(struct hl_buffer *out)
{
	return archived_zeros(out, ARCHIVE_KIND_ZIP, (size_t)100 << 20, 4);
}

/* A zip in a zip in a zip. */
static bool zip_nested(struct hl_buffer *out)
{
	bool done = archived_zeros(out, ARCHIVE_KIND_ZIP, (size_t)100 << 20, 4);

	for (int i = 0; i < 3 && done; i++) {
		const struct archived inner = {"a.zip", out->data, out->length, NULL};
		struct hl_buffer outer = archive_make(ARCHIVE_KIND_ZIP, &inner, 1);
		hl_buffer_free(out);
		*out = outer;
		done = out->length > 0;
	}
	return done;
}

/* 60,000 entries of the directory for one file of 100 KB, which come out as one (D. Fifield, "A better zip bomb", WOOT
 * 2019, without its trick of nesting headers). */
static bool zip_overlap(struct hl_buffer *out)
{
	const struct archived file = {"a", NULL, 100000, NULL};
	struct hl_buffer one = archive_make(ARCHIVE_KIND_ZIP, &file, 1);
	size_t directory = 0, size;
	uint32_t at;
	bool done;

	if (one.length < 22)
		return false;
	memcpy(&at, one.data + one.length - 6, 4);
	directory = at;
	size = one.length - 22 - directory;
	done = add(out, one.data, directory);
	for (int i = 0; i < 60000 && done; i++)
		done = add(out, one.data + directory, size);
	put((uint8_t *)one.data + one.length - 14, 60000, 2);
	put((uint8_t *)one.data + one.length - 12, 60000, 2);
	put((uint8_t *)one.data + one.length - 10, size * 60000, 4);
	done = done && add(out, one.data + one.length - 22, 22);
	hl_buffer_free(&one);
	return done;
}

/* A tar whose one file claims 8 GiB. */
static bool tar_claim(struct hl_buffer *out)
{
	uint8_t block[1024] = "a";
	unsigned sum = 0;

	memcpy(block + 100, "0000644\0", 8);
	memcpy(block + 124, "77777777777", 12);
	block[156] = '0';
	memcpy(block + 257, "ustar\00000", 8);
	memset(block + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += block[i];
	snprintf((char *)block + 148, 8, "%06o", sum);
	return add(out, block, sizeof(block));
}

const struct bomb volume_bombs[] = {
    {"NIfTI of 2^42 voxels", SAMPLE_NIFTI, nifti_huge, true},
    {"NIfTI of 500 MiB without data", SAMPLE_NIFTI, nifti_empty, true},
    {"NIfTI of 500 MiB of zeros", SAMPLE_NIFTI, nifti_full, false},
    {"NIfTI of 1 GiB of doubles", SAMPLE_NIFTI, nifti_doubles, false},
    {"NIfTI of rows of one voxel, turned", SAMPLE_NIFTI, nifti_thin, false},
    {"NIfTI with 2 GiB behind its voxels", SAMPLE_NIFTI, nifti_tail, true},
    {"NIfTI whose last voxel is broken", SAMPLE_NIFTI, nifti_late, false},
    {"NIfTI in 200000 empty gzip members", SAMPLE_NIFTI, nifti_members, true},
    {"MetaImage of 500 MiB of zeros", SAMPLE_METAIMAGE, meta_zeros, false},
    {"MetaImage of 2^42 voxels", SAMPLE_METAIMAGE, meta_huge, true},
    {"MetaImage of 4 million lines", SAMPLE_METAIMAGE, meta_lines, true},
    {"MetaImage with a line of 16 MB", SAMPLE_METAIMAGE, meta_line, true},
    {"zip of 1 GiB of zeros", SAMPLE_ARCHIVE, zip_zeros, true},
    {"tar.gz of 1 GiB of zeros", SAMPLE_ARCHIVE, tar_zeros, true},
    {"zip of 400 MiB of zeros", SAMPLE_ARCHIVE, zip_full, false},
    {"zip in zip in zip", SAMPLE_ARCHIVE, zip_nested, false},
    {"zip of 60000 times the same 100 KB", SAMPLE_ARCHIVE, zip_overlap, false},
    {"tar of a file that claims 8 GiB", SAMPLE_ARCHIVE, tar_claim, true},
};
const size_t volume_bomb_count = sizeof(volume_bombs) / sizeof(*volume_bombs);
