/* How every picture of a data set looks, small enough to keep all of them and compare each with each: what the audit
 * and training's check for leaks are made from. One reading of each file. */
#ifndef HL_DATA_LOOK_H
#define HL_DATA_LOOK_H
#include "data/dataset.h"

#define HL_LOOK_SIDE 128
#define HL_LOOK_PIXELS ((size_t)HL_LOOK_SIDE * HL_LOOK_SIDE)
#define HL_LOOK_BLANKED 16
#define HL_LOOK_DIGEST 16

struct hl_look {
	char *reason;                   /* why it is of no use; NULL: it was read */
	bool foreign;                   /* it was read, but is no CT: reason says why */
	bool hashed;                    /* bytes is set: one file of at most 256 MiB */
	uint8_t bytes[HL_LOOK_DIGEST];  /* of the file */
	uint8_t pixels[HL_LOOK_DIGEST]; /* of all voxels and their sizes */
	int64_t file_size;
	int32_t width, height, depth;
	char encoding[48]; /* "JPEG 1x8 bit, quantised 1234" */
	/* Of the middle slice on [0, 1], lung window: */
	float mean, deviation;
	float low, high;      /* what 0 and 255 of the small picture stand for */
	float border;         /* share of rows and columns at the edges that are one grey */
	float marks;          /* share of the outer eighth that is as bright as it can be: text, lines, scales */
	bool lungs;           /* found */
	const uint8_t *small; /* HL_LOOK_SIDE squared: the whole slice, whatever its shape, its darkest pixel 0 and its
	                         brightest 255. In the list's block */
	const uint8_t *blanked; /* HL_LOOK_BLANKED squared: the same with the lungs painted grey */
};

struct hl_looks {
	size_t count; /* as the data set's cases, in their order */
	struct hl_look *look;
	uint8_t *block;
};

/* How a long work tells how far it is and is asked to stop. progress is called on one thread at a time, not always the
 * same; either may be NULL. */
struct hl_watch {
	void (*progress)(void *context, const char *what, int64_t done, int64_t total);
	void *context;
	const volatile int *stop;
};
bool hl_watch_stopped(const struct hl_watch *watch);

/* Reads every case; one that cannot be read says why. lungs: find lungs too, for blanked and what is no chest.
 * HILUM_ERROR_STOPPED when asked to. hl_looks_free. */
enum hilum_status hl_looks_read(const struct hl_dataset *dataset, bool lungs, int32_t threads,
                                const struct hl_watch *watch, struct hl_looks *out, struct hilum_error *error);
void hl_looks_free(struct hl_looks *looks);
#endif
