#include "infer/profile.h"

#include "base/memory.h"
#include "base/parallel.h"
#include "data/lung_slices.h"
#include "data/traits.h"
#include "infer/combine.h"
#include "infer/predict.h"
#include "nn/loss.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* Slices that are read and resized at a time. */
#define CHUNK 16

struct job {
	const struct hl_profiler *profiler;
	const struct hl_volume *volume; /* NULL: files */
	char *const *files;
	int32_t total;         /* slices that there are */
	int32_t *slice, count; /* those to look at */
	/* The chunk at hand. */
	int32_t first;
	uint8_t *images;
	float *input;
	size_t bytes, input_bytes;
	atomic_int failed; /* the lowest slice of the chunk that could not be read, counted from 1 */
	struct hilum_error *errors;
};

void hl_profile_free(struct hl_profile *profile)
{
	hl_free(profile->slice);
	hl_free(profile->z);
	hl_free(profile->probability);
	*profile = (struct hl_profile){0};
}

/* ---- which slices ---- */

static enum hilum_status take_all(struct job *job, struct hilum_error *error)
{
	job->slice = hl_alloc((size_t)job->total, sizeof(*job->slice));
	if (!job->slice)
		return hl_fail_memory(error, (size_t)job->total * sizeof(*job->slice), "slices");
	for (int32_t z = 0; z < job->total; z++)
		job->slice[z] = z;
	job->count = job->total;
	return HILUM_OK;
}

/* ---- where they lie ---- */

static double height_of(const struct hl_volume *volume, int32_t z)
{
	double height = z * volume->spacing[2];
	if (!(volume->spacing[2] > 0))
		return NAN;
	if (volume->oriented)
		height = volume->origin[2] + height * volume->direction[2][2] +
		         (volume->width - 1) / 2.0 * volume->spacing[0] * volume->direction[0][2] +
		         (volume->height - 1) / 2.0 * volume->spacing[1] * volume->direction[1][2];
	return round(height * 1000) / 1000;
}

/* ---- what they answer ---- */

static void read_one(void *context, int32_t index)
{
	struct job *job = context;
	const struct hl_recipe *recipe = job->profiler->recipe;
	uint8_t *image = job->images + (size_t)index * job->bytes;
	int32_t z = job->slice[job->first + index];
	struct hilum_error *error = &job->errors[index];
	enum hilum_status status = job->volume
	                               ? hl_recipe_apply_at(recipe, job->volume, z, image, error)
	                               : hl_recipe_open_stack(recipe, job->files, job->total, z, image, NULL, error);
	int before = atomic_load(&job->failed);
	while (status && (before == 0 || index + 1 < before) &&
	       !atomic_compare_exchange_weak(&job->failed, &before, index + 1))
		;
}

static enum hilum_status answer_batch(const struct hl_profiler *profiler, const float *input, int64_t count,
                                      double *probability, struct hilum_error *error)
{
	int32_t outputs = (int32_t)hl_plan_outputs(profiler->plan);
	const float *logits = hl_plan_forward(profiler->plan, input, false, 0, 0);
	enum hilum_status status = hl_check_logits(logits, count * outputs, error);
	if (!status)
		hl_probabilities(logits, count, outputs, probability);
	return status;
}

/* Images of one batch, the rest of which is zero, so that what stands beside a slice changes nothing. */
static enum hilum_status answer(struct job *job, const uint8_t *images, int64_t count, double *probability,
                                struct hilum_error *error)
{
	const struct hl_profiler *profiler = job->profiler;
	struct hl_shape shape = hl_recipe_shape(profiler->recipe);
	size_t values = (size_t)(count * profiler->classes);
	double *other = NULL;
	enum hilum_status status = HILUM_OK;
	if (profiler->mirror && !(other = hl_alloc(values, sizeof(*other))))
		return hl_fail_memory(error, values * sizeof(*other), "probabilities");
	memset(job->input, 0, job->input_bytes);
	for (int64_t i = 0; i < count; i++)
		hl_recipe_normalise(profiler->recipe, images + (size_t)i * job->bytes,
		                    job->input + (size_t)i * job->bytes);
	status = answer_batch(profiler, job->input, count, probability, error);
	if (!status && profiler->mirror) {
		hl_mirror(job->input, (size_t)(count * shape.h), (size_t)shape.w, (size_t)shape.c);
		status = answer_batch(profiler, job->input, count, other, error);
	}
	for (size_t i = 0; other && i < values && !status; i++)
		probability[i] = (probability[i] + other[i]) / 2;
	hl_free(other);
	return status;
}

static enum hilum_status answer_all(struct job *job, double *probability, struct hilum_error *error)
{
	const struct hl_profiler *profiler = job->profiler;
	int32_t batch = (int32_t)profiler->batch, chunk = (CHUNK + batch - 1) / batch * batch;
	size_t classes = (size_t)profiler->classes;
	enum hilum_status status = HILUM_OK;
	job->bytes = hl_recipe_bytes(profiler->recipe);
	job->input_bytes = (size_t)batch * job->bytes * sizeof(float);
	job->images = hl_alloc((size_t)chunk, job->bytes);
	job->errors = hl_alloc((size_t)chunk, sizeof(*job->errors));
	job->input = hl_block_alloc(job->input_bytes);
	if (!job->images || !job->errors || !job->input)
		return hl_fail_memory(error, (size_t)chunk * job->bytes + job->input_bytes, "slices");
	for (; job->first < job->count && !status; job->first += chunk) {
		int32_t here = job->count - job->first < chunk ? job->count - job->first : chunk;
		if (profiler->stop && *profiler->stop)
			return hl_fail(error, HILUM_ERROR_STOPPED, "stopped after %d of %d slices", job->first,
			               job->count);
		hl_parallel(here, profiler->threads, read_one, job);
		int failed = atomic_load(&job->failed);
		if (failed) {
			if (error)
				*error = job->errors[failed - 1];
			return job->errors[failed - 1].code;
		}
		for (int32_t i = 0; i < here && profiler->traits; i++)
			hl_traits_add(profiler->recipe, job->images + (size_t)i * job->bytes, 1.0 / job->count,
			              profiler->traits);
		for (int32_t i = 0; i < here && !status; i += batch)
			status = answer(job, job->images + (size_t)i * job->bytes, here - i < batch ? here - i : batch,
			                probability + (size_t)(job->first + i) * classes, error);
	}
	return status;
}

static enum hilum_status run(struct job *job, struct hl_profile *out, struct hilum_error *error)
{
	size_t count = (size_t)job->count;
	struct hl_profile made = {.count = job->count};
	made.z = hl_alloc(count, sizeof(*made.z));
	made.probability = hl_alloc(count, (size_t)job->profiler->classes * sizeof(*made.probability));
	enum hilum_status status = HILUM_OK;
	if (!made.z || !made.probability)
		status = hl_fail_memory(error, count * sizeof(double), "slices");
	for (int32_t i = 0; i < job->count && !status; i++)
		made.z[i] = job->volume ? height_of(job->volume, job->slice[i]) : NAN;
	if (!status)
		status = answer_all(job, made.probability, error);
	if (status) {
		hl_profile_free(&made);
		return status;
	}
	made.slice = job->slice;
	job->slice = NULL;
	*out = made;
	return HILUM_OK;
}

static void job_free(struct job *job)
{
	hl_free(job->slice);
	hl_free(job->images);
	hl_free(job->errors);
	if (job->input)
		hl_block_free(job->input, job->input_bytes);
}

enum hilum_status hl_profile_volume(const struct hl_profiler *profiler, const struct hl_volume *volume,
                                    struct hl_profile *out, struct hilum_error *error)
{
	struct job job = {.profiler = profiler, .volume = volume, .total = volume->depth};
	enum hilum_status status = hl_lung_slices(volume, profiler->threads, &job.slice, &job.count, error);
	if (!status)
		status = run(&job, out, error);
	job_free(&job);
	return status;
}

enum hilum_status hl_profile_stack(const struct hl_profiler *profiler, char *const *files, int32_t count,
                                   struct hl_profile *out, struct hilum_error *error)
{
	struct job job = {.profiler = profiler, .files = files, .total = count};
	enum hilum_status status = take_all(&job, error);
	if (!status)
		status = run(&job, out, error);
	job_free(&job);
	return status;
}

void hl_profile_combine(const struct hl_profile *profile, int32_t classes, enum hilum_aggregate how,
                        double *probability)
{
	hl_combine_slices(how, profile->probability, (size_t)classes, (size_t)profile->count, probability);
}
