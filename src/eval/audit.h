/* What an audit found; public as struct hilum_audit. */
#ifndef HL_EVAL_AUDIT_H
#define HL_EVAL_AUDIT_H
#include "data/inferred.h"
#include "eval/confidence.h"

/* Something that should say nothing of the label, and how well it predicts it: from cases of other groups only. */
struct hl_shortcut {
	const char *name, *title; /* "file_size", "size of the file" */
	double auc;               /* of several classes the mean of one against the rest; NaN: cannot be told */
	struct hl_interval interval;
	char note[160]; /* "60 of the 61 pictures that are not 512 x 512 are malignant"; may be empty */
	bool pure;      /* that is what the note says */
};
enum { HL_SHORTCUTS = 8 };

/* Beyond chance, or a rare kind that is all of one class, which an AUC over all hardly shows. */
bool hl_shortcut_stands_out(const struct hl_shortcut *shortcut);

struct hilum_audit {
	struct hl_dataset *dataset;
	struct hl_looks looks;
	struct hl_pairs pairs;
	uint32_t *group; /* of each case, inferred */
	uint32_t groups;
	double adjusted_rand;    /* against the groups given; NaN: none were */
	size_t across_given;     /* pairs whose cases are of different given groups */
	bool split;              /* there is one: cases have parts */
	int32_t *part;           /* of each case: of the split or its fold's number; negative: none */
	bool folds;              /* parts are numbers of folds */
	size_t leaks, conflicts; /* pairs across parts; copies with different labels */
	struct hl_shortcut shortcut[HL_SHORTCUTS];
	size_t shortcuts;
};

bool hl_audit_leaks(const struct hilum_audit *audit, const struct hl_pair *pair);
/* One image under two labels: copies, not neighbours. */
bool hl_audit_conflicts(const struct hilum_audit *audit, const struct hl_pair *pair);
/* "train", "fold 3". */
void hl_audit_part_name(const struct hilum_audit *audit, uint32_t index, char text[24]);

enum hilum_status hl_audit_shortcuts(struct hilum_audit *audit, int64_t resamples, struct hilum_error *error);
#endif
