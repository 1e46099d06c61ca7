/* From a path to a volume, whatever lies there: a file of any format, a folder with a DICOM series in it, a DICOMDIR,
 * an archive. */
#ifndef HL_SCAN_LOAD_H
#define HL_SCAN_LOAD_H
#include "scan/volume.h"

/* What was noticed on the way. One line of each kind at most, with how often it was met. */
enum hl_finding_kind {
	HL_FINDING_LOCALISER,      /* localisers left out */
	HL_FINDING_OTHER_FILES,    /* files that are no slices left out: reports, pictures */
	HL_FINDING_STRAY,          /* slices of another orientation or size in the series left out */
	HL_FINDING_UNREADABLE,     /* damaged files (left out when forced) */
	HL_FINDING_MISSING_TAGS,   /* what the geometry or the units need is not in the file */
	HL_FINDING_MODALITY,       /* not CT */
	HL_FINDING_UNITS,          /* not Hounsfield units */
	HL_FINDING_DUPLICATE,      /* the same slice more than once */
	HL_FINDING_CONFLICT,       /* different slices at the same place */
	HL_FINDING_ACQUISITIONS,   /* several acquisitions in one series */
	HL_FINDING_REFERENCE,      /* a frame of reference for every slice */
	HL_FINDING_GAP,            /* slices missing */
	HL_FINDING_IRREGULAR,      /* unequal distances */
	HL_FINDING_SPARSE,         /* slices thinner than half their distance */
	HL_FINDING_OVERLAP,        /* slices thicker than their distance */
	HL_FINDING_TILT,           /* planes not at right angles to the direction in which they are stacked */
	HL_FINDING_SHIFTED,        /* planes displaced sideways from each other, not evenly */
	HL_FINDING_OBLIQUE,        /* axes of the volume not along the patient's */
	HL_FINDING_NOT_AXIAL,      /* acquired as sagittal or coronal slices */
	HL_FINDING_FLIPPED,        /* axes reversed to point left, posterior, superior */
	HL_FINDING_NOT_SQUARE,     /* pixels higher than wide or the other way round */
	HL_FINDING_PADDING,        /* padding that looks like tissue */
	HL_FINDING_SEVERAL_SERIES, /* more than one series */
	HL_FINDING_DERIVED,        /* computed from other images */
	HL_FINDING_KIND_COUNT
};

/* Noticed: nothing had to be done. Repaired: the volume is right. Forced: it would have been refused. Refused: it was.
 */
enum hl_finding_grade { HL_FINDING_NOTICED, HL_FINDING_REPAIRED, HL_FINDING_FORCED, HL_FINDING_REFUSED };

struct hl_finding {
	enum hl_finding_kind kind;
	enum hl_finding_grade grade;
	int32_t count;  /* files or slices concerned; 0: the volume as a whole */
	char text[160]; /* "3 slices are missing between z = -120.5 and -113 mm: interpolated" */
};

/* Plain memory, so that it passes through shared memory as it is. */
struct hl_findings {
	int32_t count;
	struct hl_finding list[HL_FINDING_KIND_COUNT];
};

/* "gap", "tilt", ... for JSON. */
const char *hl_finding_name(enum hl_finding_kind kind);

/* A file to read: from path, or from memory where bytes are there already. name is what messages call it. */
struct hl_file {
	const char *name, *path;
	const uint8_t *bytes; /* NULL: in path */
	size_t length;
};

struct hl_load_options {
	bool force; /* go on where a scan would be refused, as far as that is possible, and say so in the findings */
	int32_t series;  /* which of several series, from 1 as hl_load_list counts them; 0: the only one */
	int32_t threads; /* 0: as many as there are cores */
	bool inside;     /* in a worker of the sandbox, where a file in memory is decoded at once */
};

/* Loads one scan as one volume: oriented to the patient frame (scan/orient.h) where the file says how. Refuses, by
 * name, what cannot be read rightly. path: a file of any format in format.h, a folder (searched to its depth, by what
 * files hold and not by their names), a DICOMDIR, a .zip or .tar(.gz) of any of these. findings (may be NULL) is set on
 * success and failure alike: what a refusal was for stands there too. The volume is the caller's: hl_volume_free. */
enum hilum_status hl_load(const char *path, const struct hl_load_options *options, struct hl_volume *out,
                          struct hl_findings *findings, struct hilum_error *error);

/* The same from a list of files, as an archive or a sandbox has them: all of them belong to one scan or to several
 * series of DICOM files. Names of files decide nothing. */
enum hilum_status hl_load_files(const struct hl_file *files, size_t count, const struct hl_load_options *options,
                                struct hl_volume *out, struct hl_findings *findings, struct hilum_error *error);

/* What there is to choose from; no pixels are decoded. */
struct hl_series_entry {
	int32_t slices, width, height;
	double spacing[3]; /* as in a volume; 0: unknown or irregular */
	char modality[17];
	bool usable;    /* hl_load would take it without force, as far as its headers tell */
	char text[160]; /* what stands against it, otherwise empty */
};
#define HL_SERIES_MAX 64
struct hl_series_list {
	int32_t count, left_out; /* left_out: series beyond HL_SERIES_MAX */
	struct hl_series_entry list[HL_SERIES_MAX];
};
enum hilum_status hl_load_list(const char *path, struct hl_series_list *out, struct hilum_error *error);
#endif
