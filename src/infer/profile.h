/* A network for slices (2-D, 2.5-D) led through a whole volume or stack: one answer a slice, and one for the case. */
#ifndef HL_INFER_PROFILE_H
#define HL_INFER_PROFILE_H
#include "data/recipe.h"
#include "nn/plan.h"
#include "scan/volume.h"

/* What answers. */
struct hl_profiler {
	const struct hl_recipe *recipe; /* not of HL_DIMS_3 */
	struct hl_plan *plan;           /* of batch samples */
	int64_t batch;
	int32_t classes, threads;
	double *traits;           /* HL_TRAITS figures (data/traits.h), the mean of the slices'; NULL: not asked */
	bool mirror;              /* each slice also with left and right exchanged, and the mean of both */
	const volatile int *stop; /* NULL: never */
};

struct hl_profile {
	int32_t count;  /* slices looked at */
	int32_t *slice; /* from 0 */
	double *z;      /* mm: where the slice's middle lies in the patient (towards the head), or from the first slice
	                   on where only distances are known, to a thousandth; NaN: not known */
	double *probability; /* count x classes, of the network itself */
};

/* Of a chest the slices that show lung, otherwise all: whoever learnt from slices of the lungs has nothing to say of
 * the neck or the belly. hl_profile_free. */
enum hilum_status hl_profile_volume(const struct hl_profiler *profiler, const struct hl_volume *volume,
                                    struct hl_profile *out, struct hilum_error *error);
/* All slices of a stack of count files. */
enum hilum_status hl_profile_stack(const struct hl_profiler *profiler, char *const *files, int32_t count,
                                   struct hl_profile *out, struct hilum_error *error);
void hl_profile_free(struct hl_profile *profile);

/* The case's probabilities: two classes by how, more by the mean of the rows. */
void hl_profile_combine(const struct hl_profile *profile, int32_t classes, enum hilum_aggregate how,
                        double *probability);
#endif
