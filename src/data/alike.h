/* Which pictures of a data set are the same one, changed or not, and which are neighbours in one scan.
 *
 * Candidates   Every picture is described by its band-passed grey at places within a circle, a vector of unit length
 *              that brightness and contrast do not touch. The vectors of one picture turned eight ways, shrunk, shifted
 *              and rotated a little are held against the plain vector of every other; each picture keeps those that are
 *              most like it, after going on from the position that fits best along the tangents. All pairs are looked
 *              at: there is no index that could miss one.
 * Proof        A candidate is registered by an affine map (Baker and Matthews, "Lucas-Kanade 20 years on: a unifying
 *              framework", IJCV 56, 2004, inverse compositional; grey values normalised in the overlap), and must then
 *              agree in its grey and, with all that is coarse taken away, in its details: that chests are alike is no
 *              proof. What one has more noise of, and grey that one has lost, is no difference.
 * Kind         What the map and the grey values say that was done to one to get the other. */
#ifndef HL_DATA_ALIKE_H
#define HL_DATA_ALIKE_H
#include "data/look.h"

/* In the order in which a pair is judged. */
enum hl_alike {
	HL_ALIKE_BYTES,      /* the same file */
	HL_ALIKE_PIXELS,     /* other bytes, the same pixels */
	HL_ALIKE_TURNED,     /* one of the seven flips and quarter turns */
	HL_ALIKE_ROTATED,    /* by a small angle */
	HL_ALIKE_CROPPED,    /* cut, or shown at another scale */
	HL_ALIKE_SHIFTED,    /* moved */
	HL_ALIKE_RESIZED,    /* other numbers of pixels */
	HL_ALIKE_BRIGHTNESS, /* brighter, darker, other contrast */
	HL_ALIKE_NOISE,      /* noise was added, or it was smoothed */
	HL_ALIKE_REENCODED,  /* saved anew */
	HL_ALIKE_ADJACENT,   /* not the same slice, but one next to it, or so like it that it might be */
	HL_ALIKE_COUNT
};
/* "bytes", "pixels", "turned", ... and what that is in words. */
extern const char *const hl_alike_names[HL_ALIKE_COUNT];

/* Whether one lies otherwise than the other. */
bool hl_alike_moved(enum hl_alike kind);

/* Two cases, a < b as the data set has them. */
struct hl_pair {
	uint32_t a, b;
	enum hl_alike kind;
	float score;  /* correlation of the grey values after registration; 1 where they are equal */
	float detail; /* likewise of the details */
};

struct hl_pairs {
	size_t count;
	struct hl_pair *pair; /* by a, then b */
};

/* The cheap search: plain positions only, no turns, cuts or rotations. */
struct hl_alike_options {
	bool cheap;
	const int32_t *part; /* only pairs of different parts, each picture's first one; -1: of none. NULL: all pairs */
	int32_t threads;
};

/* Pairs among the looks that can be used. Of pictures that are alike by the dozen, each is paired with those most like
 * it, not with all. HILUM_ERROR_STOPPED when asked to. hl_free(out->pair). The same on any number of threads. */
enum hilum_status hl_alike_find(const struct hl_looks *looks, const struct hl_alike_options *options,
                                const struct hl_watch *watch, struct hl_pairs *out, struct hilum_error *error);
#endif
