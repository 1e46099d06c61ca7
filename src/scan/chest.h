/* Is this an axial slice of a chest CT at all? A look at a slice reduced to a small picture, before any network
 * answers: about a millisecond. It says no to photographs, drawings, text, noise, blank pictures and slices of other
 * parts; what was measured stands in docs/refusal.md. */
#ifndef HL_SCAN_CHEST_H
#define HL_SCAN_CHEST_H
#include "scan/volume.h"

/* What stands against it, in the order in which it is looked for. */
enum hl_chest_verdict {
	HL_CHEST_YES,
	HL_CHEST_SMALL,   /* too few pixels to tell */
	HL_CHEST_BLANK,   /* hardly any contrast */
	HL_CHEST_COLOUR,  /* in colour */
	HL_CHEST_NOISE,   /* neighbouring pixels have nothing to do with each other */
	HL_CHEST_DRAWN,   /* large areas of one grey and sharp edges, as in drawings and text */
	HL_CHEST_NO_LUNG, /* no dark lungs within a body */
	HL_CHEST_SHAPE,   /* dark parts within a body that do not lie as lungs do */
	HL_CHEST_AROUND,  /* bright around the body, where air should be */
	HL_CHEST_TEXTURE, /* what should be lung and tissue differs too little or varies too much */
	HL_CHEST_VERDICT_COUNT
};

/* The figures that were looked at; those behind the one that settled it may be 0. */
struct hl_chest {
	enum hl_chest_verdict verdict;
	double side; /* the longer one of the small picture, pixels */
	/* Between the 2nd and the 98th hundredth of the picture's values, on its scale or on 1500 Hounsfield units. */
	double contrast;
	double colour;   /* share of pixels whose channels differ by more than a tenth of full scale */
	double likeness; /* correlation of neighbouring pixels */
	double flat;     /* share of pixels, but the darkest and brightest, that are exactly as their neighbours */
	double edges;    /* mean step from pixel to pixel of the small picture; of the contrast of lung and tissue */
	/* Of scan/lungs.h. */
	int32_t lungs;
	double share, balance, offset, width, height, body, fill;
	/* Levels on a scale where lung is 0 and tissue is 1. */
	double outside, corners, frame;
	double lung_spread, body_spread; /* standard deviations */
	double solid;                    /* share of the lungs' pixels that are dark */
	double symmetry;                 /* correlation of the body with itself mirrored */
};

/* Slice z. HILUM_ERROR_MEMORY at the most. */
enum hilum_status hl_chest_look(const struct hl_volume *volume, int32_t z, struct hl_chest *out,
                                struct hilum_error *error);
/* Verdicts of several slices made one: HL_CHEST_YES where at least a fifth are a chest's, for scans begin at the neck
 * and may go on to the pelvis; otherwise what stands against most of them. */
struct hl_chest_tally {
	int32_t looked, met[HL_CHEST_VERDICT_COUNT];
};
#define HL_CHEST_LOOKS 16 /* slices of a case that it is worth looking at */
enum hl_chest_verdict hl_chest_conclude(const struct hl_chest_tally *tally);
/* Of a picture its own verdict; of a volume that of 16 slices, evenly from end to end. */
enum hilum_status hl_chest_judge(const struct hl_volume *volume, enum hl_chest_verdict *out, struct hilum_error *error);
/* The verdict in words, "a picture in colour". */
const char *hl_chest_reason(enum hl_chest_verdict verdict);
#endif
