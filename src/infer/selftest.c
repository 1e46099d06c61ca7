#include "infer/selftest.h"

#include "base/memory.h"
#include "base/random.h"

#include <math.h>
#include <string.h>

#define THREADS 2 /* more than one, so that a wrong cut of the work shows */
#define SAMPLE_MAX 256
#define BLOCKS_MAX (3 * HL_INPUTS_MAX + 2 * HL_PARAMS_MAX + 5)

static const double limits[] = {[HL_F32] = 1e-4, [HL_BF16] = 2e-2};

/* ---- a sample: "2x1x6x6x3+2x1x6x6x3 size=2" ---- */

struct sample {
	const struct hl_op *op;
	const char *text;
	struct hl_infer shapes;
	void *options;
};

static enum hilum_status read_shapes(char *text, struct hl_infer *shapes, struct hilum_error *error)
{
	char *rest;
	shapes->spatial = 2;
	for (char *word = strtok_r(text, "+", &rest); word; word = strtok_r(NULL, "+", &rest)) {
		if (shapes->inputs == HL_INPUTS_MAX || !hl_shape_parse(word, &shapes->in[shapes->inputs]))
			return hl_fail(error, HILUM_ERROR_INTERNAL, "a sample's shape \"%s\"", word);
		if (shapes->in[shapes->inputs++].d > 1)
			shapes->spatial = 3;
	}
	return HILUM_OK;
}

/* Option values are borrowed from words, which must live as long as the sample. */
static enum hilum_status read_sample(const struct hl_op *op, const char *text, char words[SAMPLE_MAX],
                                     struct sample *out, struct hilum_error *error)
{
	char *rest;
	*out = (struct sample){.op = op, .text = text};
	if ((size_t)snprintf(words, SAMPLE_MAX, "%s", text) >= SAMPLE_MAX)
		return hl_fail(error, HILUM_ERROR_INTERNAL, "a sample of %zu bytes", strlen(text));
	out->options = hl_alloc(1, op->options_size + 1);
	if (!out->options)
		return hl_fail_memory(error, op->options_size, "a sample's options");
	if (op->options)
		hilum_options_init(op->options, out->options);
	char *word = strtok_r(words, " ", &rest);
	enum hilum_status status = word ? read_shapes(word, &out->shapes, error) : HILUM_ERROR_INTERNAL;
	while (!status && (word = strtok_r(NULL, " ", &rest))) {
		char *equals = strchr(word, '=');
		if (equals)
			*equals = '\0';
		status = op->options
		             ? hilum_option_set(op->options, out->options, word, equals ? equals + 1 : NULL, error)
		             : HILUM_ERROR_INTERNAL;
	}
	if (!status)
		status = op->infer(out->options, &out->shapes, error);
	if (status)
		hl_free(out->options);
	return status ? hl_prefix(error, status, "sample \"%s %s\"", op->name, text) : HILUM_OK;
}

/* ---- one primitive with its tensors ---- */

struct memory {
	void *block[BLOCKS_MAX];
	size_t bytes[BLOCKS_MAX];
	int count;
	bool failed;
};

static void *take(struct memory *memory, size_t bytes)
{
	void *block = hl_block_alloc(bytes);
	if (!block) {
		memory->failed = true;
		return NULL;
	}
	memory->bytes[memory->count] = bytes;
	memory->block[memory->count++] = block;
	return block;
}

static void give_back(struct memory *memory)
{
	for (int i = 0; i < memory->count; i++)
		hl_block_free(memory->block[i], memory->bytes[i]);
}

struct bench {
	struct memory memory;
	struct hl_primitive *primitive;
	struct hl_call call;
	struct hl_tensor in[HL_INPUTS_MAX], din[HL_INPUTS_MAX], out, dout;
};

static void take_tensor(struct memory *memory, struct hl_tensor *tensor, struct hl_shape shape, enum hl_type type)
{
	*tensor = (struct hl_tensor){.shape = shape, .type = type};
	tensor->data = take(memory, (size_t)hl_shape_count(shape) * hl_type_size(type));
}

/* The same numbers for every back end: keyed by what they are for. */
static void fill(float *to, int64_t count, uint32_t key, double low, double high)
{
	struct hl_random random = hl_random_stream(1, 0, key, HL_RANDOM_TEST);
	for (int64_t i = 0; i < count; i++)
		to[i] = (float)hl_random_range(&random, low, high);
}

static void fill_tensor(struct memory *memory, struct hl_tensor *tensor, uint32_t key)
{
	int64_t count = hl_shape_count(tensor->shape);
	float *values = take(memory, (size_t)count * sizeof(float));
	if (memory->failed)
		return;
	fill(values, count, key, -1, 1);
	hl_convert(values, HL_F32, tensor->data, tensor->type, count);
}

static int64_t spec_count(const struct hl_param_spec *spec)
{
	int64_t count = 1;
	for (int i = 0; i < spec->rank; i++)
		count *= spec->dims[i];
	return count;
}

static void set_up(const struct sample *sample, enum hl_type type, bool training, struct bench *bench)
{
	struct memory *memory = &bench->memory;
	const struct hl_infer *shapes = &sample->shapes;
	struct hl_call *call = &bench->call;
	*call = (struct hl_call){
	    .shapes = shapes, .options = sample->options, .training = training, .seed = 3, .step = 1, .node = 1};
	for (int i = 0; i < shapes->inputs; i++) {
		take_tensor(memory, &bench->in[i], shapes->in[i], type);
		fill_tensor(memory, &bench->in[i], (uint32_t)i);
		take_tensor(memory, &bench->din[i], shapes->in[i], type);
		call->in[i] = &bench->in[i];
		call->din[i] = &bench->din[i];
	}
	for (int i = 0; i < shapes->params; i++) {
		int64_t count = spec_count(&shapes->param[i]);
		bool variance = strcmp(shapes->param[i].name, "running_var") == 0;
		call->param[i] = take(memory, (size_t)count * sizeof(float));
		call->dparam[i] = take(memory, (size_t)count * sizeof(float));
		if (!memory->failed)
			fill(call->param[i], count, 100 + (uint32_t)i, variance ? 0.5 : -1, variance ? 1.5 : 1);
	}
	take_tensor(memory, &bench->out, shapes->out, type);
	take_tensor(memory, &bench->dout, shapes->out, type);
	fill_tensor(memory, &bench->dout, 200);
	call->out = &bench->out;
	call->dout = &bench->dout;
	/* NULL tells a primitive that nothing was asked for. */
	call->saved = bench->primitive->saved ? take(memory, bench->primitive->saved) : NULL;
	call->scratch = bench->primitive->scratch ? take(memory, bench->primitive->scratch) : NULL;
}

static void clear(struct bench *bench)
{
	if (bench->primitive)
		bench->primitive->destroy(bench->primitive);
	give_back(&bench->memory);
}

/* HILUM_ERROR_UNSUPPORTED where the back end leaves this sample to another. */
static enum hilum_status run(const struct hl_backend *backend, const struct sample *sample, enum hl_type type,
                             bool training, struct bench *bench, struct hilum_error *error)
{
	struct hl_compile request = {.op = sample->op,
	                             .options = sample->options,
	                             .shapes = &sample->shapes,
	                             .type = type,
	                             .training = training,
	                             .want_dparam = training,
	                             .threads = THREADS};
	for (int i = 0; i < sample->shapes.inputs; i++)
		request.want_din[i] = training;
	enum hilum_status status = backend->compile(&request, &bench->primitive, error);
	if (status)
		return status;
	set_up(sample, type, training, bench);
	if (bench->memory.failed)
		return hl_fail_memory(error, 1, "a self-test");
	if (bench->primitive->prepare)
		bench->primitive->prepare(bench->primitive, bench->call.param);
	bench->primitive->forward(bench->primitive, &bench->call);
	if (training)
		bench->primitive->backward(bench->primitive, &bench->call);
	return HILUM_OK;
}

/* ---- comparing ---- */

static double value(const void *data, enum hl_type type, int64_t i)
{
	return type == HL_F32 ? (double)((const float *)data)[i] : (double)hl_bf16_to_f32(((const uint16_t *)data)[i]);
}

static void compare(struct hl_selftest *test, const struct sample *sample, enum hl_type type, const char *what,
                    const void *got, const void *want, int64_t count, enum hl_type stored)
{
	double largest = 1e-6, off = 0;
	for (int64_t i = 0; i < count; i++) {
		double a = value(got, stored, i), b = value(want, stored, i);
		largest = fmax(largest, fabs(b));
		off = isfinite(a) ? fmax(off, fabs(a - b)) : (double)INFINITY;
	}
	off /= largest;
	if (off <= test->worst[type])
		return;
	test->worst[type] = off;
	snprintf(test->where[type], sizeof(test->where[type]), "%s %s: %s", sample->op->name, sample->text, what);
}

static void compare_all(struct hl_selftest *test, const struct sample *sample, enum hl_type type, bool training,
                        const struct bench *got, const struct bench *want)
{
	const struct hl_infer *shapes = &sample->shapes;
	compare(test, sample, type, "output", got->out.data, want->out.data, hl_shape_count(shapes->out), type);
	for (int i = 0; training && i < shapes->inputs; i++)
		compare(test, sample, type, "gradient of an input", got->din[i].data, want->din[i].data,
		        hl_shape_count(shapes->in[i]), type);
	for (int i = 0; training && i < shapes->params; i++) {
		bool trained = shapes->param[i].trained;
		compare(test, sample, type, shapes->param[i].name, trained ? got->call.dparam[i] : got->call.param[i],
		        trained ? want->call.dparam[i] : want->call.param[i], spec_count(&shapes->param[i]), HL_F32);
	}
}

static enum hilum_status try_sample(const struct hl_backend *backend, const struct sample *sample, enum hl_type type,
                                    struct hl_selftest *test, struct hilum_error *error)
{
	struct bench got = {.primitive = NULL}, want = {.primitive = NULL};
	bool training = type == HL_F32;
	enum hilum_status status = run(backend, sample, type, training, &got, error);
	if (status == HILUM_ERROR_UNSUPPORTED) {
		test->unsupported++;
		clear(&got);
		return HILUM_OK;
	}
	if (!status)
		status = run(&hl_backend_reference, sample, type, training, &want, error);
	if (!status) {
		compare_all(test, sample, type, training, &got, &want);
		test->ran++;
	}
	clear(&got);
	clear(&want);
	return status ? hl_prefix(error, status, "%s on %s %s", backend->name, sample->op->name, sample->text)
	              : HILUM_OK;
}

enum hilum_status hl_selftest_run(const struct hl_backend *backend, struct hl_selftest *out, struct hilum_error *error)
{
	struct hl_selftest test = {.backend = backend->name};
	enum hilum_status status = HILUM_OK;
	for (const struct hl_op *const *op = hl_ops; *op && !status; op++)
		for (const char *const *text = (*op)->samples; text && *text && !status; text++) {
			char words[SAMPLE_MAX];
			struct sample sample;
			status = read_sample(*op, *text, words, &sample, error);
			if (status)
				break;
			for (int type = HL_F32; type <= HL_BF16 && !status; type++)
				status = try_sample(backend, &sample, (enum hl_type)type, &test, error);
			hl_free(sample.options);
		}
	test.agrees = test.worst[HL_F32] <= limits[HL_F32] && test.worst[HL_BF16] <= limits[HL_BF16];
	if (!status)
		*out = test;
	return status;
}
