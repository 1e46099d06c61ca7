/* The public use of a model: opening it, and predicting one picture at a time. */
#include "infer/predict.h"

#include "base/file.h"
#include "base/memory.h"
#include "data/traits.h"
#include "infer/precision.h"
#include "infer/profile.h"
#include "infer/refuse.h"
#include "model/calibration.h"
#include "nn/loss.h"
#include "nn/plan.h"
#include "scan/load.h"

#include <math.h>
#include <string.h>

#define SESSION_BATCH_MAX 4096

struct hilum_session {
	const struct hilum_model *model;
	struct hl_recipe recipe;
	struct hl_calibration calibration; /* maps nothing where the model has none */
	struct hl_domain domain;           /* refuses and flags nothing where the model has none */
	bool force, mirror;
	struct hl_plan *plan;
	uint8_t *image; /* of the recipe */
	float *input;   /* a whole batch; only its first sample is ever other than zero */
	size_t input_bytes;
	int64_t batch;
	int32_t threads;
};

enum hilum_status hilum_model_open(const char *path, struct hilum_model **out, struct hilum_error *error)
{
	if (!hl_path_is_directory(path))
		return hl_model_load(path, out, error);
	char *best = hl_path_join(path, "best.hilum");
	if (!best)
		return hl_fail_memory(error, 1, "a path");
	enum hilum_status status = HILUM_OK;
	if (!hl_path_exists(best))
		status = hl_fail(error, HILUM_ERROR_IO, "%s: a folder without best.hilum: not a finished run", path);
	else
		status = hl_model_load(best, out, error);
	hl_free(best);
	return status;
}

int32_t hilum_model_class_count(const struct hilum_model *model)
{
	return model->class_count;
}

const char *hilum_model_class_name(const struct hilum_model *model, int32_t index)
{
	return index >= 0 && index < model->class_count ? model->classes[index] : NULL;
}

void hilum_session_close(struct hilum_session *session)
{
	if (!session)
		return;
	hl_plan_destroy(session->plan);
	hl_calibration_free(&session->calibration);
	hl_domain_free(&session->domain);
	hl_free(session->image);
	if (session->input)
		hl_block_free(session->input, session->input_bytes);
	hl_free(session);
}

static enum hilum_status prepare(struct hilum_session *session, const struct hl_plan_options *planning, int precision,
                                 struct hilum_error *error)
{
	const struct hilum_model *model = session->model;
	enum hilum_status status = hl_model_recipe(model, &session->recipe, error);
	if (!status && model->calibration)
		status = hl_calibration_parse(model->calibration, model->class_count, &session->calibration, error);
	if (!status)
		status = hl_model_domain(model, &session->domain, error);
	if (status)
		return status;
	size_t bytes = hl_recipe_bytes(&session->recipe);
	if (!hl_mul_size(bytes, (size_t)planning->batch * sizeof(float), &session->input_bytes))
		return hl_fail(error, HILUM_ERROR_LIMIT, "batch: %lld pictures of %zu values are too many",
		               (long long)planning->batch, bytes);
	session->image = hl_alloc(bytes, 1);
	session->input = hl_block_alloc(session->input_bytes);
	if (!session->image || !session->input)
		return hl_fail_memory(error, session->input_bytes, "a session");
	return hl_model_plan(model, planning, precision, &session->plan, error);
}

enum hilum_status hilum_session_open(const struct hilum_model *model, const struct hilum_session_options *options,
                                     struct hilum_session **out, struct hilum_error *error)
{
	static const struct hilum_session_options defaults;
	if (!options)
		options = &defaults;
	if (options->batch < 0 || options->batch > SESSION_BATCH_MAX)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "batch: %lld is not from 0 to %d",
		               (long long)options->batch, SESSION_BATCH_MAX);
	if (options->threads < 0 || options->threads > 1024)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "threads: %lld is not from 0 to 1024",
		               (long long)options->threads);
	struct hilum_session *session = hl_alloc(1, sizeof(*session));
	if (!session)
		return hl_fail_memory(error, sizeof(*session), "a session");
	const struct hl_plan_options planning = {.batch = options->batch ? options->batch : 1,
	                                         .threads = (int32_t)options->threads};
	session->model = model;
	session->batch = planning.batch;
	session->threads = planning.threads;
	session->force = options->force;
	session->mirror = options->tta;
	enum hilum_status status = prepare(session, &planning, options->precision, error);
	if (status)
		hilum_session_close(session);
	else
		*out = session;
	return status;
}

/* Before the network answers: HILUM_ERROR_REFUSED, or forced, which is noted. */
static enum hilum_status admit(const struct hilum_session *session, const struct hl_volume *volume, char *const *files,
                               int32_t count, struct hilum_prediction *out, struct hilum_error *error)
{
	enum hl_chest_verdict verdict = HL_CHEST_YES;
	enum hilum_status status = HILUM_OK;
	if (session->domain.rule)
		status = volume ? hl_chest_judge(volume, &verdict, error)
		                : hl_chest_judge_stack(files, count, &verdict, error);
	if (!status)
		status = hl_domain_admit(&session->domain, verdict, error);
	if (status != HILUM_ERROR_REFUSED || !session->force)
		return status;
	out->forced = true;
	snprintf(out->reason, sizeof(out->reason), "not a chest CT (%s)", hl_chest_reason(verdict));
	return HILUM_OK;
}

/* How unusual the input is, by its HL_TRAITS figures. */
static void compare(const struct hilum_session *session, const double *traits, struct hilum_prediction *out)
{
	const struct hl_domain *domain = &session->domain;
	bool known = domain->traits > 0;
	out->unusual = known ? hl_domain_distance(domain, traits) : (double)NAN;
	out->unusual_threshold = known ? domain->threshold : (double)NAN;
	out->unusual_rate = known ? domain->rate : (double)NAN;
	out->is_unusual = known && hl_domain_flags(domain, out->unusual);
}

/* What the network's own probabilities say, once they are calibrated. */
static void conclude(const struct hilum_session *session, const double *raw, struct hilum_prediction *out)
{
	int32_t classes = session->model->class_count, best = 0;
	struct hilum_prediction result = *out;
	result.count = classes;
	memcpy(result.probabilities, raw, (size_t)classes * sizeof(*raw));
	hl_calibration_apply(&session->calibration, classes, result.probabilities);
	for (int32_t c = 1; c < classes; c++)
		if (result.probabilities[c] > result.probabilities[best])
			best = c;
	if (classes == 2)
		best = result.probabilities[1] >= 0.5;
	result.class_index = best;
	result.probability = result.probabilities[classes == 2 ? 1 : best];
	result.probability_raw = raw[classes == 2 ? 1 : best];
	result.zone = hl_calibration_zone(&session->calibration, raw[1]);
	*out = result;
}

/* The mean of raw and what the input mirrored gives. */
static enum hilum_status add_mirrored(struct hilum_session *session, int32_t outputs, double *raw,
                                      struct hilum_error *error)
{
	double other[HILUM_CLASSES_MAX];
	struct hl_shape shape = hl_recipe_shape(&session->recipe);
	hl_mirror(session->input, (size_t)(shape.d * shape.h), (size_t)shape.w, (size_t)shape.c);
	const float *logits = hl_plan_forward(session->plan, session->input, false, 0, 0);
	enum hilum_status status = hl_check_logits(logits, outputs, error);
	if (status)
		return status;
	hl_probabilities(logits, 1, outputs, other);
	for (int32_t c = 0; c < session->model->class_count; c++)
		raw[c] = (raw[c] + other[c]) / 2;
	return HILUM_OK;
}

/* From the session's 8-bit image. Weights that overflow must not pass for a negative finding. */
static enum hilum_status predict(struct hilum_session *session, struct hilum_prediction *out, struct hilum_error *error)
{
	double raw[HILUM_CLASSES_MAX], traits[HL_TRAITS] = {0};
	int32_t outputs = (int32_t)hl_plan_outputs(session->plan);
	if (session->domain.traits > 0)
		hl_traits_add(&session->recipe, session->image, 1, traits);
	compare(session, traits, out);
	hl_recipe_normalise(&session->recipe, session->image, session->input);
	const float *logits = hl_plan_forward(session->plan, session->input, false, 0, 0);
	enum hilum_status status = hl_check_logits(logits, outputs, error);
	if (status)
		return status;
	hl_probabilities(logits, 1, outputs, raw);
	if (session->mirror)
		status = add_mirrored(session, outputs, raw, error);
	if (!status)
		conclude(session, raw, out);
	return status;
}

enum hilum_status hilum_predict_file(struct hilum_session *session, const char *path, struct hilum_prediction *out,
                                     struct hilum_error *error)
{
	return hilum_predict_case(session, &path, 1, HILUM_AGGREGATE_AUTO, out, NULL, error);
}

/* ---- cases of several slices ---- */

void hilum_profile_free(struct hilum_profile *profile)
{
	if (!profile)
		return;
	hl_free(profile->slices);
	hl_free(profile);
}

/* As the public type has it; of more than two classes the probability of the one that the case is given to. */
static enum hilum_status publish(const struct hilum_session *session, const struct hl_profile *profile,
                                 int32_t class_index, struct hilum_profile **out, struct hilum_error *error)
{
	int32_t classes = session->model->class_count;
	double row[HILUM_CLASSES_MAX];
	struct hilum_profile *made = hl_alloc(1, sizeof(*made));
	size_t which = (size_t)(classes == 2 ? 1 : class_index), count = (size_t)profile->count;
	if (made)
		made->slices = hl_alloc(count ? count : 1, sizeof(*made->slices));
	if (!made || !made->slices) {
		hilum_profile_free(made);
		return hl_fail_memory(error, count * sizeof(*made->slices), "the slices");
	}
	made->count = profile->count;
	for (size_t i = 0; i < count; i++) {
		const double *raw = profile->probability + i * (size_t)classes;
		memcpy(row, raw, (size_t)classes * sizeof(*raw));
		hl_calibration_apply(&session->calibration, classes, row);
		made->slices[i] = (struct hilum_slice){.slice = profile->slice[i] + 1,
		                                       .z = profile->z[i],
		                                       .probability = row[which],
		                                       .probability_raw = raw[which]};
	}
	*out = made;
	return HILUM_OK;
}

/* One look at the case as a whole, or slice by slice. */
static enum hilum_status look(struct hilum_session *session, const struct hl_volume *volume, char *const *files,
                              int32_t count, int aggregate, struct hilum_prediction *out, struct hl_profile *profile,
                              struct hilum_error *error)
{
	const struct hl_recipe *recipe = &session->recipe;
	double traits[HL_TRAITS] = {0};
	const struct hl_profiler profiler = {.recipe = recipe,
	                                     .traits = session->domain.traits > 0 ? traits : NULL,
	                                     .plan = session->plan,
	                                     .batch = session->batch,
	                                     .classes = session->model->class_count,
	                                     .threads = session->threads,
	                                     .mirror = session->mirror};
	double raw[HILUM_CLASSES_MAX];
	enum hilum_status status = admit(session, volume, files, count, out, error);
	if (status)
		return status;
	if (recipe->dims != HL_DIMS_3 && count > 1) {
		status = volume ? hl_profile_volume(&profiler, volume, profile, error)
		                : hl_profile_stack(&profiler, files, count, profile, error);
		if (status)
			return status;
		hl_profile_combine(profile, profiler.classes, (enum hilum_aggregate)aggregate, raw);
		compare(session, traits, out);
		conclude(session, raw, out);
		return HILUM_OK;
	}
	status = volume ? hl_recipe_apply(recipe, volume, session->image, error)
	                : hl_recipe_open_stack(recipe, files, count, 0, session->image, NULL, error);
	return status ? status : predict(session, out, error);
}

/* What the scan would have been refused for when it was read. */
static void note_forced(const struct hl_findings *findings, struct hilum_prediction *out)
{
	for (int32_t i = 0; i < findings->count && !out->forced; i++) {
		const struct hl_finding *finding = &findings->list[i];
		out->forced = finding->grade == HL_FINDING_FORCED;
		if (out->forced)
			snprintf(out->reason, sizeof(out->reason), "%.*s", (int)sizeof(out->reason) - 1, finding->text);
	}
}

enum hilum_status hilum_predict_case(struct hilum_session *session, const char *const *paths, int32_t count,
                                     int aggregate, struct hilum_prediction *out, struct hilum_profile **profile,
                                     struct hilum_error *error)
{
	int32_t classes = session->model->class_count;
	struct hl_volume volume = {0};
	struct hl_profile slices = {0};
	struct hilum_profile *published = NULL;
	struct hilum_prediction result = {.count = 0};
	struct hl_findings findings = {.count = 0};
	enum hilum_status status;
	if (count < 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "a case of %d files", count);
	if (aggregate < HILUM_AGGREGATE_AUTO || aggregate > HILUM_AGGREGATE_NOISY_OR)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "aggregate: %d is no way to make one of several",
		               aggregate);
	if (classes != 2 && (aggregate == HILUM_AGGREGATE_MAX || aggregate == HILUM_AGGREGATE_NOISY_OR))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "aggregate: with %d classes there is only the mean",
		               classes);
	if (count == 1) {
		const struct hl_load_options loading = {.force = session->force};
		status = hl_load(paths[0], &loading, &volume, &findings, error);
		if (!status) {
			note_forced(&findings, &result);
			status = look(session, &volume, NULL, volume.depth, aggregate, &result, &slices, error);
			if (status)
				hl_prefix(error, status, "%s", paths[0]);
		}
	} else {
		status =
		    look(session, NULL, (char *const *)(uintptr_t)paths, count, aggregate, &result, &slices, error);
	}
	if (!status && profile)
		status = publish(session, &slices, result.class_index, &published, error);
	hl_volume_free(&volume);
	hl_profile_free(&slices);
	if (status)
		return status;
	*out = result;
	if (profile)
		*profile = published;
	return HILUM_OK;
}

/* ---- pictures in memory ---- */

static enum hilum_status wrap(const void *pixels, enum hilum_pixel type, int32_t width, int32_t height,
                              int32_t channels, struct hl_volume *out, struct hilum_error *error)
{
	static const struct {
		enum hl_voxel voxel;
		enum hl_unit unit;
		double maximum;
	} kinds[] = {
	    [HILUM_PIXEL_U8] = {HL_VOXEL_U8, HL_UNIT_GREY, 255},
	    [HILUM_PIXEL_U16] = {HL_VOXEL_U16, HL_UNIT_GREY, 65535},
	    [HILUM_PIXEL_I16_HU] = {HL_VOXEL_I16, HL_UNIT_HOUNSFIELD, 0},
	    [HILUM_PIXEL_F32_HU] = {HL_VOXEL_F32, HL_UNIT_HOUNSFIELD, 0},
	};
	if (!pixels)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "pixels: NULL");
	if ((unsigned)type >= sizeof(kinds) / sizeof(*kinds))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "pixels: %d is no type of pixel", (int)type);
	if (channels != 1 && channels != 3)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "pixels: %d channels; 1 or 3 are possible", channels);
	if (width < 1 || height < 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "pixels: a picture of %d x %d", width, height);
	if (width > HL_VOLUME_SIDE_MAX || height > HL_VOLUME_SIDE_MAX || (int64_t)width * height > HL_VOLUME_PIXELS_MAX)
		return hl_fail(error, HILUM_ERROR_LIMIT, "pixels: a picture of %d x %d is larger than is allowed",
		               width, height);
	if ((uintptr_t)pixels % hl_voxel_size(kinds[type].voxel) != 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "pixels: not aligned to their type");
	*out = (struct hl_volume){.width = width,
	                          .height = height,
	                          .depth = 1,
	                          .channels = channels,
	                          .type = kinds[type].voxel,
	                          .unit = kinds[type].unit,
	                          .maximum = kinds[type].maximum,
	                          .voxels = (void *)(uintptr_t)pixels,
	                          .format = "memory"};
	return HILUM_OK;
}

enum hilum_status hilum_predict_pixels(struct hilum_session *session, const void *pixels, enum hilum_pixel type,
                                       int32_t width, int32_t height, int32_t channels, struct hilum_prediction *out,
                                       struct hilum_error *error)
{
	struct hl_volume volume;
	struct hilum_prediction result = {.count = 0};
	enum hilum_status status = wrap(pixels, type, width, height, channels, &volume, error);
	if (!status)
		status = admit(session, &volume, NULL, 1, &result, error);
	if (!status)
		status = hl_recipe_apply(&session->recipe, &volume, session->image, error);
	if (!status)
		status = predict(session, &result, error);
	if (!status)
		*out = result;
	return status;
}
