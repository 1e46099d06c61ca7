/* DICOM slices to volumes: which belong together, where each lies, and what stands against making a volume of them.
 * Names and order of files decide nothing; geometry comes from Image Position and Image Orientation (PS3.3 C.7.6.2.1.1)
 * and never from Slice Thickness or Slice Location. */
#ifndef HL_SCAN_SERIES_H
#define HL_SCAN_SERIES_H
#include "scan/dicom.h"
#include "scan/findings.h"

/* One frame of one file. */
struct hl_slice {
	const struct hl_dicom *dicom; /* its header, borrowed; pixels are read later */
	int32_t frame, file;          /* file: as the caller counts them */
};

/* Slices that may be one volume: of one series, frame of reference, orientation, size and pixel spacing. */
struct hl_stack {
	int32_t *slice, count; /* numbers of slices */
	bool of_acquisition;   /* its series holds several acquisitions, and this is one of them */
	bool own_references;   /* every slice has a frame of reference of its own, which says nothing then */
};

struct hl_series {
	struct hl_stack *stack; /* the order depends on nothing but what the headers say */
	int32_t count;
	int32_t localisers, strays; /* slices left out */
};

#define HL_STACKS_MAX 4096

/* Localisers are left out where there is anything else, and so are a few slices of another orientation or size beside
 * many in the same series. hl_series_free(out). */
enum hilum_status hl_series_group(const struct hl_slice *slices, int32_t count, struct hl_series *out,
                                  struct hilum_error *error);
void hl_series_free(struct hl_series *series);

/* A place in the stack, and the slices that claim it: the first is used, the others must hold the same values. */
struct hl_place {
	int32_t slice, more; /* number; how many follow in hl_layout.extra */
	int32_t first_extra;
	double along;    /* mm along the normal from the first place */
	double shift[2]; /* pixels by which it must be moved along x and y to stand above the first; whole ones are
	                    exact */
};

/* How a stack becomes a volume: place i is slice i of a volume of width x height pixels, before it is turned to the
 * patient's axes. */
struct hl_layout {
	int32_t width, height; /* with room for shifted slices */
	int32_t slice_width, slice_height;
	int32_t count;
	struct hl_place *place;
	int32_t *extra, extras;
	bool oriented;
	double spacing[3], origin[3], direction[3][3]; /* as in a volume */
	bool shifted;                                  /* some place has a shift */
	int32_t
	    regular; /* more than 0: places must be resampled along the normal to so many, spacing[2] apart (forced) */
};

/* Checks a stack and lays it out. Refuses (HILUM_ERROR_UNSUPPORTED, and says why in findings) what cannot be laid out
 * rightly, or does its best if force. hl_layout_free(out). */
enum hilum_status hl_series_layout(const struct hl_slice *slices, const struct hl_stack *stack, bool force,
                                   struct hl_layout *out, struct hl_findings *findings, struct hilum_error *error);
void hl_layout_free(struct hl_layout *layout);

/* Decodes a layout's slices on several threads and builds the volume: Hounsfield units as 16-bit integers where slopes
 * and intercepts are whole and all values fit, otherwise 32-bit floating point. failed (may be NULL) has one element
 * for each slice, set for those whose file could not be read; then the error is the first such file's. */
enum hilum_status hl_series_read(const struct hl_slice *slices, const struct hl_layout *layout,
                                 const struct hl_file *files, const struct hl_load_options *options, bool *failed,
                                 struct hl_volume *out, struct hl_findings *findings, struct hilum_error *error);

/* ---- slices that have to be moved (series_shift.c) ---- */

/* A slice of the layout's slice size, in the volume's type, to one of the volume's size. */
enum hilum_status hl_slice_shift(const struct hl_layout *layout, const struct hl_place *place, const void *in,
                                 enum hl_voxel type, void *out, struct hilum_error *error);
/* Places at unequal distances to slices at equal ones, linearly between neighbours. */
enum hilum_status hl_volume_regularise(const struct hl_layout *layout, struct hl_volume *volume,
                                       struct hilum_error *error);

/* ---- shared by the files of the series ---- */

/* Where a slice lies relative to another one's frame: mm along its normal and its two directions. */
struct hl_offset {
	int32_t slice, place; /* place: slices that share one are at the same place along the normal */
	double along, across[2];
};
void hl_normal(const struct hl_dicom_frame *frame, double normal[3]);
/* Sorts by along, and slices at the same place by what their headers say; numbers the places from 0 and answers how
 * many there are. */
int32_t hl_series_sort(const struct hl_slice *slices, struct hl_offset *offsets, int32_t count);
/* How much two positions may differ and still be one, and how much a regular place may be missed, in mm: positions are
 * decimal text, often of one digit behind the point. */
#define HL_SAME_PLACE 0.01
double hl_series_tolerance(double spacing);
/* Counts places in steps: step[i] of the i-th of count sorted ones, the first is 0. Answers the distance of a step, the
 * median of the distances made exact by the whole length, and the largest amount by which a place misses its step; 0
 * for a single place, and -1 where there is no such count or no memory. */
double hl_series_steps(const double *along, int32_t count, int32_t *step, double *miss);

static inline const struct hl_dicom_frame *hl_slice_frame(const struct hl_slice *slice)
{
	return &slice->dicom->frame[slice->frame];
}
#endif
