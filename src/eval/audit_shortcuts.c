/* What predicts the label though it should not. Each thing is cut into at most BINS kinds of picture, and a case gets
 * the shares of the classes among pictures of its kind in other groups (five folds of whole groups, shrunk towards what
 * is known of rarer kinds together); the picture without lungs is held against its nearest neighbours in other groups.
 * So a kind that only one patient has tells nothing, and nothing at all gives an AUC of 0.5. */
#include "eval/audit.h"

#include "base/memory.h"
#include "base/parallel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BINS 10
#define FOLDS 5
#define SHRINK 2.0 /* cases' worth of what is known otherwise */
#define NEIGHBOURS 15
#define COMPARED_MAX 5000 /* cases that are neighbours; more are thinned out */
#define PURE_LEAST 10     /* cases of rarer kinds that are worth a note, where 95 % are of one class */
#define BLANKED_PIXELS (HL_LOOK_BLANKED * HL_LOOK_BLANKED)

/* The cases that can be used, and memory for one shortcut. */
struct work {
	const struct hilum_audit *audit;
	size_t n;
	int32_t classes;
	uint32_t *index; /* of each: its case */
	int32_t *label, *key;
	uint8_t *fold;
	double *value;       /* n, of a number */
	double *probability; /* n * classes */
	const char **group;
	int64_t resamples;
};

static uint8_t fold_of(uint32_t group)
{
	return (uint8_t)((group * UINT32_C(2654435761) >> 16) % FOLDS);
}

/* ---- kinds of picture ---- */

static int rising(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Bins with about as many cases each; equal values stay together. */
static bool bin_numbers(struct work *work)
{
	double *sorted = hl_alloc(work->n, sizeof(*sorted));
	if (!sorted)
		return false;
	memcpy(sorted, work->value, work->n * sizeof(*sorted));
	qsort(sorted, work->n, sizeof(*sorted), rising);
	for (size_t i = 0; i < work->n; i++) {
		work->key[i] = 0;
		for (size_t k = 1; k < BINS; k++)
			work->key[i] += work->value[i] > sorted[k * (work->n - 1) / BINS];
	}
	hl_free(sorted);
	return true;
}

typedef bool is_same(const struct hl_look *a, const struct hl_look *b);

static bool same_shape(const struct hl_look *a, const struct hl_look *b)
{
	return a->width == b->width && a->height == b->height && a->depth == b->depth;
}

static bool same_encoding(const struct hl_look *a, const struct hl_look *b)
{
	return strcmp(a->encoding, b->encoding) == 0;
}

/* Numbers kinds in the order in which they are met; those beyond 64 are one. */
static void number_kinds(struct work *work, is_same *same)
{
	uint32_t first[64];
	int32_t kinds = 0;
	for (size_t i = 0; i < work->n; i++) {
		const struct hl_look *look = &work->audit->looks.look[work->index[i]];
		int32_t k = 0;
		while (k < kinds && !same(&work->audit->looks.look[first[k]], look))
			k++;
		if (k == kinds && kinds < 63)
			first[kinds++] = work->index[i];
		work->key[i] = k;
	}
}

static int32_t commonest(const struct work *work)
{
	size_t count[64] = {0};
	int32_t best = 0;
	for (size_t i = 0; i < work->n; i++)
		count[work->key[i]]++;
	for (int32_t k = 1; k < 64; k++)
		best = count[k] > count[best] ? k : best;
	return best;
}

static void predict_by_kind(struct work *work)
{
	static const double none[HILUM_CLASSES_MAX];
	double all[FOLDS][HILUM_CLASSES_MAX] = {{0}}, rare[FOLDS][HILUM_CLASSES_MAX] = {{0}};
	double(*kind)[FOLDS][HILUM_CLASSES_MAX] = hl_alloc(64, sizeof(*kind));
	double of_class[HILUM_CLASSES_MAX] = {0};
	int32_t common = commonest(work);
	if (!kind)
		return;
	for (size_t i = 0; i < work->n; i++)
		of_class[work->label[i]] += 1.0 / (double)work->n;
	/* Of each fold: what the others hold. */
	for (size_t i = 0; i < work->n; i++)
		for (uint8_t f = 0; f < FOLDS; f++) {
			if (f == work->fold[i])
				continue;
			all[f][work->label[i]]++;
			kind[work->key[i]][f][work->label[i]]++;
			rare[f][work->label[i]] += work->key[i] != common;
		}
	for (size_t i = 0; i < work->n; i++) {
		uint8_t f = work->fold[i];
		double sums[3] = {0, 0, 0};
		const double *second = work->key[i] == common ? none : rare[f];
		double whole = 0;
		for (int32_t c = 0; c < work->classes; c++) {
			sums[0] += all[f][c];
			sums[1] += second[c];
			sums[2] += kind[work->key[i]][f][c];
		}
		for (int32_t c = 0; c < work->classes; c++) {
			double p = sums[0] > 0 ? all[f][c] / sums[0] : 1.0 / work->classes;
			p = (second[c] + SHRINK * p) / (sums[1] + SHRINK);
			p = (kind[work->key[i]][f][c] + SHRINK * p) / (sums[2] + SHRINK);
			/* What a fold leaves to the others is the less of a class the more it has itself: against that
			 * share, or kinds that tell nothing would come out below chance. */
			p = fmax(1e-6, p * of_class[c] * sums[0] / fmax(all[f][c], 1));
			work->probability[i * (size_t)work->classes + (size_t)c] = p;
			whole += p;
		}
		for (int32_t c = 0; c < work->classes; c++)
			work->probability[i * (size_t)work->classes + (size_t)c] /= whole;
	}
	hl_free(kind);
}

/* ---- pictures without lungs ---- */

static void predict_by_neighbours(void *context, int32_t i)
{
	struct work *work = context;
	const struct hl_look *looks = work->audit->looks.look, *own = &looks[work->index[i]];
	size_t step = work->n / COMPARED_MAX + 1;
	uint32_t nearest[NEIGHBOURS] = {0}, distance[NEIGHBOURS], found = 0;
	double *out = work->probability + (size_t)i * (size_t)work->classes;
	for (size_t j = 0; j < work->n; j += step) {
		const uint8_t *a = own->blanked, *b = looks[work->index[j]].blanked;
		uint32_t sum = 0;
		if (work->fold[j] == work->fold[i])
			continue;
		for (size_t k = 0; k < BLANKED_PIXELS; k++) {
			int32_t difference = (int32_t)a[k] - (int32_t)b[k];
			sum += (uint32_t)(difference * difference);
		}
		uint32_t at = found;
		while (at > 0 && distance[at - 1] > sum)
			at--;
		if (at == NEIGHBOURS)
			continue;
		found = found < NEIGHBOURS ? found + 1 : found;
		for (uint32_t k = found - 1; k > at; k--) {
			distance[k] = distance[k - 1];
			nearest[k] = nearest[k - 1];
		}
		distance[at] = sum;
		nearest[at] = (uint32_t)j;
	}
	for (int32_t c = 0; c < work->classes; c++)
		out[c] = 1.0 / work->classes;
	for (uint32_t k = 0; k < found; k++)
		out[work->label[nearest[k]]] += 1;
	for (int32_t c = 0; c < work->classes; c++)
		out[c] /= (double)found + 1;
}

/* ---- how well it predicts ---- */

static enum hilum_status score(struct work *work, struct hl_shortcut *out, struct hilum_error *error)
{
	const struct hl_dataset *dataset = work->audit->dataset;
	struct hl_interval interval[HL_FIGURES];
	struct hl_counting counting;
	struct hl_metrics *metrics = hl_alloc(1, sizeof(*metrics));
	const struct hl_resample_options resampling = {.resamples = work->resamples, .seed = 1};
	if (!metrics)
		return hl_fail_memory(error, sizeof(*metrics), "a shortcut");
	if (work->classes == 2)
		for (size_t i = 0; i < work->n; i++)
			work->probability[i] = work->probability[2 * i + 1];
	const struct hl_table table = {.n = work->n,
	                               .classes = work->classes,
	                               .label = work->label,
	                               .probability = work->probability,
	                               .names = (const char *const *)dataset->classes,
	                               .group = work->group};
	enum hilum_status status = hl_metrics_compute(&table, metrics, error);
	if (!status)
		status = hl_counting_create(&table, false, &counting, error);
	if (!status) {
		status = hl_confidence(&counting, &resampling, interval, error);
		hl_counting_free(&counting);
	}
	if (!status) {
		out->auc = metrics->auc;
		out->interval = interval[HL_AUC];
	}
	hl_free(metrics);
	return status;
}

/* Says where nearly all pictures of the rarer kinds are of one class. */
static void note_pure(const struct work *work, bool shape, char note[160])
{
	const struct hl_dataset *dataset = work->audit->dataset;
	int32_t common = commonest(work), best = 0;
	size_t count = 0, rare[HILUM_CLASSES_MAX] = {0}, all[HILUM_CLASSES_MAX] = {0};
	const struct hl_look *usual = NULL;
	char what[64];
	for (size_t i = 0; i < work->n; i++) {
		int32_t origin = dataset->cases[work->index[i]].origin;
		all[origin]++;
		if (work->key[i] == common) {
			usual = &work->audit->looks.look[work->index[i]];
			continue;
		}
		rare[origin]++;
		count++;
	}
	for (int32_t c = 1; c < dataset->origin_count; c++)
		best = rare[c] > rare[best] ? c : best;
	if (count < PURE_LEAST || !usual || rare[best] * 20 < count * 19 || all[best] * 10 > work->n * 9)
		return;
	if (shape)
		snprintf(what, sizeof(what), "%d x %d", usual->width, usual->height);
	else
		snprintf(what, sizeof(what), "%s", usual->encoding);
	snprintf(note, 160, "%zu of the %zu pictures that are not %s are %.40s", rare[best], count, what,
	         dataset->origins[best]);
}

static double number_of(const struct hl_look *look, const char *name)
{
	return strcmp(name, "file_size") == 0   ? (double)look->file_size
	       : strcmp(name, "mean_grey") == 0 ? (double)look->mean
	       : strcmp(name, "contrast") == 0  ? (double)look->deviation
	       : strcmp(name, "border") == 0    ? (double)look->border
	                                        : (double)look->marks;
}

static enum hilum_status one_shortcut(struct work *work, const char *name, struct hl_shortcut *out,
                                      struct hilum_error *error)
{
	const struct hl_look *looks = work->audit->looks.look;
	size_t lungs = 0;
	if (strcmp(name, "shape") == 0 || strcmp(name, "encoding") == 0) {
		number_kinds(work, name[0] == 's' ? same_shape : same_encoding);
		note_pure(work, name[0] == 's', out->note);
		out->pure = out->note[0] != '\0';
		predict_by_kind(work);
	} else if (strcmp(name, "lungs_blanked") == 0) {
		for (size_t i = 0; i < work->n; i++)
			lungs += looks[work->index[i]].lungs;
		snprintf(out->note, sizeof(out->note), "lungs were found in %zu of %zu pictures", lungs, work->n);
		if (2 * lungs < work->n)
			return HILUM_OK;
		hl_parallel((int32_t)work->n, 0, predict_by_neighbours, work);
	} else {
		for (size_t i = 0; i < work->n; i++)
			work->value[i] = number_of(&looks[work->index[i]], name);
		if (!bin_numbers(work))
			return hl_fail_memory(error, work->n * sizeof(double), "a shortcut");
		predict_by_kind(work);
	}
	return score(work, out, error);
}

bool hl_shortcut_stands_out(const struct hl_shortcut *shortcut)
{
	return shortcut->interval.low > 0.5 || shortcut->pure;
}

static void take_cases(struct work *work)
{
	const struct hilum_audit *audit = work->audit;
	const struct hl_dataset *dataset = audit->dataset;
	for (size_t i = 0; i < dataset->count; i++) {
		uint32_t group = dataset->grouped ? (uint32_t)dataset->cases[i].group : audit->group[i];
		if (audit->looks.look[i].reason)
			continue;
		work->index[work->n] = (uint32_t)i;
		work->label[work->n] = dataset->cases[i].label;
		work->fold[work->n] = fold_of(group);
		/* Any name will do that is the group's own: there are no more inferred groups than cases. */
		work->group[work->n++] = dataset->grouped ? dataset->groups[group] : dataset->cases[group].path;
	}
}

enum hilum_status hl_audit_shortcuts(struct hilum_audit *audit, int64_t resamples, struct hilum_error *error)
{
	static const struct {
		const char *name, *title;
	} all[HL_SHORTCUTS] = {{"shape", "shape of the picture"},
	                       {"file_size", "size of the file"},
	                       {"encoding", "encoding of the file"},
	                       {"border", "borders of one grey"},
	                       {"marks", "bright marks or text near the edges"},
	                       {"mean_grey", "mean grey"},
	                       {"contrast", "contrast"},
	                       {"lungs_blanked", "the picture with the lungs painted over"}};
	size_t count = audit->dataset->count;
	struct work work = {.audit = audit, .classes = audit->dataset->class_count, .resamples = resamples};
	enum hilum_status status = HILUM_OK;
	work.index = hl_alloc(count, sizeof(*work.index));
	work.label = hl_alloc(count, sizeof(*work.label));
	work.key = hl_alloc(count, sizeof(*work.key));
	work.fold = hl_alloc(count, sizeof(*work.fold));
	work.value = hl_alloc(count, sizeof(*work.value));
	work.probability = hl_alloc(count * (size_t)work.classes, sizeof(*work.probability));
	work.group = hl_alloc(count, sizeof(*work.group));
	if (!work.index || !work.label || !work.key || !work.fold || !work.value || !work.probability || !work.group)
		status = hl_fail_memory(error, count * sizeof(*work.value), "shortcuts");
	if (!status)
		take_cases(&work);
	for (size_t k = 0; k < HL_SHORTCUTS && !status && work.n > 1; k++) {
		struct hl_shortcut *shortcut = &audit->shortcut[audit->shortcuts];
		*shortcut = (struct hl_shortcut){.name = all[k].name,
		                                 .title = all[k].title,
		                                 .auc = (double)NAN,
		                                 .interval = {(double)NAN, (double)NAN}};
		status = one_shortcut(&work, all[k].name, shortcut, error);
		audit->shortcuts += !status;
	}
	hl_free(work.index);
	hl_free(work.label);
	hl_free(work.key);
	hl_free(work.fold);
	hl_free(work.value);
	hl_free(work.probability);
	hl_free(work.group);
	return status;
}
