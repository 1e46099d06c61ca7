#include "slices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

double slices_value(const double place[3])
{
	return -100 + 300 * sin(place[0] / 17 + 0.3) + 250 * sin(place[1] / 13 + 1) +
	       200 * sin(place[2] / 11 + 0.02 * place[0]) + 0.5 * place[0];
}

void slices_make(struct slices *slices, int32_t count, int32_t width, int32_t height, const double spacing[3],
                 const double origin[3], double direction[3][3])
{
	*slices = (struct slices){.count = count};
	for (int32_t i = 0; i < count; i++) {
		struct hl_dicom *head = &slices->image[i].head;
		struct hl_dicom_frame *frame = &slices->frame[i];
		char text[64];
		*head = (struct hl_dicom){.width = width,
		                          .height = height,
		                          .samples = 1,
		                          .frames = 1,
		                          .photometric = HL_DICOM_MONOCHROME2,
		                          .bits_allocated = 16,
		                          .bits_stored = 12,
		                          .high_bit = 11,
		                          .has_instance = true,
		                          .instance = i + 1};
		*frame = (struct hl_dicom_frame){.has_position = true,
		                                 .has_orientation = true,
		                                 .has_spacing = true,
		                                 .has_rescale = true,
		                                 .hounsfield = true,
		                                 .spacing = {spacing[0], spacing[1]},
		                                 .thickness = spacing[2],
		                                 .slope = 1,
		                                 .intercept = -1024};
		snprintf(head->modality, sizeof(head->modality), "CT");
		hl_dicom_uid("series", head->series);
		hl_dicom_uid("study", head->study);
		hl_dicom_uid("frame", head->frame_of_reference);
		snprintf(text, sizeof(text), "slice %d", i);
		hl_dicom_uid(text, head->sop_instance);
		memcpy(frame->row, direction[0], sizeof(frame->row));
		memcpy(frame->column, direction[1], sizeof(frame->column));
		for (int k = 0; k < 3; k++)
			frame->position[k] = origin[k] + i * spacing[2] * direction[2][k];
	}
}

void slices_move(struct slices *slices, int32_t which, const double by[3])
{
	for (int k = 0; k < 3; k++)
		slices->frame[which].position[k] += by[k];
}

int32_t slices_copy(struct slices *slices, int32_t which)
{
	slices->image[slices->count] = slices->image[which];
	slices->frame[slices->count] = slices->frame[which];
	return slices->count++;
}

void slices_remove(struct slices *slices, int32_t which)
{
	slices->count--;
	for (int32_t i = which; i < slices->count; i++) {
		slices->image[i] = slices->image[i + 1];
		slices->frame[i] = slices->frame[i + 1];
	}
}

/* The stored values of a slice, as its bits and rescale hold them. */
static void fill(const struct hl_dicom *head, const struct hl_dicom_frame *frame, void *values)
{
	for (int32_t y = 0; y < head->height; y++)
		for (int32_t x = 0; x < head->width; x++) {
			double place[3], value;
			for (int k = 0; k < 3; k++)
				place[k] = frame->position[k] + x * frame->spacing[0] * frame->row[k] +
				           y * frame->spacing[1] * frame->column[k];
			value = floor((slices_value(place) - frame->intercept) / frame->slope + 0.5);
			size_t at = (size_t)y * (size_t)head->width + (size_t)x;
			uint16_t bits = (uint16_t)((uint32_t)(int32_t)value & ((1u << head->bits_stored) - 1));
			bits = (uint16_t)(bits << (head->high_bit + 1 - head->bits_stored));
			if (head->bits_allocated == 8)
				((uint8_t *)values)[at] = (uint8_t)bits;
			else
				((uint16_t *)values)[at] = bits;
		}
}

static void encode(struct slices *slices, int32_t first, int32_t frames, int32_t file)
{
	struct hl_dicom_image image = slices->image[first];
	size_t count = (size_t)image.head.width * (size_t)image.head.height;
	size_t size = (size_t)image.head.bits_allocated / 8;
	uint8_t *values = calloc(count * (size_t)frames, size);
	char name[32];

	image.head.frames = frames;
	image.head.frame = &slices->frame[first];
	image.values = values;
	for (int32_t i = 0; i < frames && values; i++)
		fill(&image.head, &slices->frame[first + i], values + (size_t)i * count * size);
	hl_buffer_init(&slices->bytes[file], (size_t)64 << 20);
	if (!values || hl_dicom_write(&image, &slices->bytes[file], NULL))
		abort();
	free(values);
	snprintf(name, sizeof(name), "file %d", file);
	slices->file[file] = (struct hl_file){.name = hl_strdup(name),
	                                      .bytes = (const uint8_t *)slices->bytes[file].data,
	                                      .length = slices->bytes[file].length};
}

void slices_encode(struct slices *slices, const uint32_t *order, bool enhanced)
{
	slices->files = enhanced ? 1 : slices->count;
	for (int32_t i = 0; i < slices->files; i++)
		encode(slices, order ? (int32_t)order[i] : i, enhanced ? slices->count : 1, i);
}

void slices_free(struct slices *slices)
{
	for (int32_t i = 0; i < slices->files; i++) {
		hl_buffer_free(&slices->bytes[i]);
		hl_free((char *)(uintptr_t)slices->file[i].name);
	}
	slices->files = 0;
}

/* Whether there is air within margin voxels in the same slice, or its end. */
static bool is_edge(const struct hl_volume *volume, int32_t x, int32_t y, int32_t z, int32_t margin)
{
	for (int32_t j = y - margin; j <= y + margin; j++)
		for (int32_t i = x - margin; i <= x + margin; i++)
			if (i < 0 || j < 0 || i >= volume->width || j >= volume->height ||
			    hl_volume_get(volume, i, j, z, 0) == -1024)
				return true;
	return false;
}

double slices_error(const struct hl_volume *volume, int32_t margin)
{
	double worst = 0;

	for (int32_t z = 0; z < volume->depth; z++)
		for (int32_t y = 0; y < volume->height; y++)
			for (int32_t x = 0; x < volume->width; x++) {
				double place[3], value = hl_volume_get(volume, x, y, z, 0);
				if (is_edge(volume, x, y, z, margin))
					continue;
				for (int k = 0; k < 3; k++)
					place[k] = volume->origin[k] +
					           x * volume->spacing[0] * volume->direction[0][k] +
					           y * volume->spacing[1] * volume->direction[1][k] +
					           z * volume->spacing[2] * volume->direction[2][k];
				worst = fmax(worst, fabs(value - slices_value(place)));
			}
	return worst;
}
