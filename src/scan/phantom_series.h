/* Synthetic volumes as DICOM series, with the faults that real ones have. */
#ifndef HL_SCAN_PHANTOM_SERIES_H
#define HL_SCAN_PHANTOM_SERIES_H
#include "scan/phantom.h"

/* Faults of a series, as bits in the order of hl_phantom_faults' names. */
enum hl_phantom_fault {
	HL_FAULT_GAP = 1,        /* a slice is missing */
	HL_FAULT_DUPLICATE = 2,  /* two slices are there twice */
	HL_FAULT_CONFLICT = 4,   /* another slice at the place of one */
	HL_FAULT_IRREGULAR = 8,  /* a slice lies 0.4 spacings too high */
	HL_FAULT_SHIFTED = 16,   /* half of the slices are reconstructed 10 pixels further left */
	HL_FAULT_LOCALISER = 32, /* a coronal localiser is among them */
	HL_FAULT_POSITION = 64,  /* a slice has no position */
	HL_FAULT_MODALITY = 128, /* says MR */
	HL_FAULT_PRONE = 256     /* no fault, but rows and columns run the other way */
};
extern const char *const hl_phantom_faults[]; /* NULL-terminated */
/* "gap,duplicate" to bits. */
enum hilum_status hl_phantom_parse_faults(const char *list, unsigned *out, struct hilum_error *error);

struct hl_phantom_series {
	int encoding; /* enum hl_dicom_encoding */
	int order;    /* of names: 0 from the feet up, 1 from the head down, 2 shuffled */
	unsigned faults;
	double tilt; /* of the gantry, degrees */
	const char *patient;
	uint64_t seed;
	uint32_t number; /* seed and number make the UIDs */
};

/* One file of one slice; series tells encoding, patient and UIDs. */
enum hilum_status hl_phantom_slice_write(const char *path, const struct hl_volume *slice,
                                         const struct hl_phantom_series *series, struct hilum_error *error);

/* Writes FOLDER/IM-0001.dcm and so on; the folder is made. */
enum hilum_status hl_phantom_series_write(const char *folder, const struct hl_volume *volume,
                                          const struct hl_phantom_series *series, struct hilum_error *error);
#endif
