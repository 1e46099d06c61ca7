#include "rig.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

#define SEED 20260101

/* Exactly as many bytes as asked for, so that the address sanitizer sees the first one too many; never zero. */
static void *block(size_t bytes)
{
	void *memory = NULL;
	if (posix_memalign(&memory, 64, bytes ? bytes : 1))
		abort();
	memset(memory, 0xff, bytes ? bytes : 1); /* NaN in either type */
	return memory;
}

static float *floats(int64_t count)
{
	return block((size_t)count * sizeof(float));
}

static bool read_shapes(char *text, struct hl_infer *shapes)
{
	char *rest = NULL;
	for (char *word = strtok_r(text, "+", &rest); word; word = strtok_r(NULL, "+", &rest)) {
		if (shapes->inputs == HL_INPUTS_MAX || !hl_shape_parse(word, &shapes->in[shapes->inputs++]))
			return false;
	}
	return shapes->inputs > 0;
}

bool subject_open(struct subject *subject, const struct hl_op *op, const char *sample, struct hilum_error *error)
{
	char text[256], *rest = NULL, *word;
	*subject = (struct subject){.op = op, .sample = sample, .options = block(op->options_size)};
	memset(subject->options, 0, op->options_size);
	hilum_options_init(op->options, subject->options);
	snprintf(text, sizeof(text), "%s", sample);
	word = strtok_r(text, " ", &rest);
	if (!word || !read_shapes(word, &subject->shapes)) {
		snprintf(error->message, sizeof(error->message), "unreadable shape");
		return false;
	}
	while ((word = strtok_r(NULL, " ", &rest))) {
		char *value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		if (hilum_option_set(op->options, subject->options, word, value, error))
			return false;
	}
	subject->shapes.spatial = subject->shapes.in[0].d > 1 ? 3 : 2;
	return op->infer(subject->options, &subject->shapes, error) == HILUM_OK;
}

void subject_close(struct subject *subject)
{
	free(subject->options);
}

static int64_t param_count(const struct hl_param_spec *spec)
{
	int64_t count = 1;
	for (int i = 0; i < spec->rank; i++)
		count *= spec->dims[i];
	return count;
}

static void fill_input(struct hl_random *random, struct hl_shape shape, float *out)
{
	uint32_t rows = (uint32_t)(hl_shape_count(shape) / shape.c);
	uint32_t *order = block(rows * sizeof(*order));
	double spacing = 4.0 / rows;
	for (int64_t c = 0; c < shape.c; c++) {
		for (uint32_t row = 0; row < rows; row++)
			order[row] = row;
		hl_random_shuffle(random, order, rows);
		for (uint32_t row = 0; row < rows; row++) {
			double jitter = hl_random_range(random, -0.25, 0.25);
			/* Half a step off, zero lies between two of them, whether rows is even or odd. */
			double at = order[row] + 0.5 - rows / 2 + jitter;
			out[row * shape.c + c] = (float)(spacing * at);
		}
	}
	free(order);
}

static void fill(struct hl_random *random, double low, double high, float *out, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		out[i] = (float)hl_random_range(random, low, high);
}

void values_open(struct values *values, const struct subject *subject)
{
	struct hl_random random = hl_random_stream(SEED, 0, 0, HL_RANDOM_TEST);
	const struct hl_infer *shapes = &subject->shapes;
	*values = (struct values){.inputs = shapes->inputs, .params = shapes->params};
	for (int i = 0; i < shapes->inputs; i++) {
		values->in_count[i] = hl_shape_count(shapes->in[i]);
		values->in[i] = floats(values->in_count[i]);
		values->din[i] = floats(values->in_count[i]);
		fill_input(&random, shapes->in[i], values->in[i]);
	}
	values->out_count = hl_shape_count(shapes->out);
	values->out = floats(values->out_count);
	values->dout = floats(values->out_count);
	fill(&random, -1, 1, values->dout, values->out_count);
	for (int i = 0; i < shapes->params; i++) {
		bool scale = shapes->param[i].init == HL_INIT_ONE;
		values->param_count[i] = param_count(&shapes->param[i]);
		values->param[i] = floats(values->param_count[i]);
		values->dparam[i] = floats(values->param_count[i]);
		values->state[i] = floats(values->param_count[i]);
		fill(&random, scale ? 0.5 : -1, scale ? 1.5 : 1, values->param[i], values->param_count[i]);
	}
}

void values_close(struct values *values)
{
	for (int i = 0; i < values->inputs; i++) {
		free(values->in[i]);
		free(values->din[i]);
	}
	for (int i = 0; i < values->params; i++) {
		free(values->param[i]);
		free(values->dparam[i]);
		free(values->state[i]);
	}
	free(values->out);
	free(values->dout);
}

static void round_all(float *value, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		value[i] = hl_bf16_to_f32(hl_bf16_from_f32(value[i]));
}

void values_round(struct values *values)
{
	for (int i = 0; i < values->inputs; i++)
		round_all(values->in[i], values->in_count[i]);
	round_all(values->dout, values->out_count);
}

void values_coarsen(struct values *values)
{
	for (int i = 0; i < values->inputs; i++)
		for (int64_t k = 0; k < values->in_count[i]; k++)
			values->in[i][k] = rintf(values->in[i][k]);
}

static struct hl_tensor tensor(struct hl_shape shape, enum hl_type type)
{
	return (struct hl_tensor){shape, type, block((size_t)hl_shape_count(shape) * hl_type_size(type))};
}

static size_t tensor_bytes(const struct hl_tensor *of)
{
	return (size_t)hl_shape_count(of->shape) * hl_type_size(of->type);
}

enum hilum_status session_open(struct session *session, const struct subject *subject, const struct ask *ask,
                               struct hilum_error *error)
{
	const struct hl_infer *shapes = &subject->shapes;
	struct hl_compile request = {
	    .op = subject->op,
	    .options = subject->options,
	    .shapes = shapes,
	    .type = ask->type,
	    .training = ask->training,
	    .want_dparam = !ask->skip_dparam,
	    .threads = ask->threads ? ask->threads : 2,
	};
	for (int i = 0; i < shapes->inputs; i++)
		request.want_din[i] = !(ask->skip_din >> i & 1);
	*session = (struct session){.subject = subject, .ask = *ask};
	enum hilum_status status = ask->backend->compile(&request, &session->primitive, error);
	if (status)
		return status;
	for (int i = 0; i < shapes->inputs; i++) {
		session->in[i] = tensor(shapes->in[i], ask->type);
		session->kept[i] = tensor(shapes->in[i], ask->type);
		session->din[i] = tensor(shapes->in[i], ask->type);
	}
	session->out = tensor(shapes->out, ask->type);
	session->dout = tensor(shapes->out, ask->type);
	for (int i = 0; i < shapes->params; i++) {
		session->param[i] = floats(param_count(&shapes->param[i]));
		session->dparam[i] = floats(param_count(&shapes->param[i]));
	}
	session->saved = ask->training ? block(session->primitive->saved) : NULL;
	session->scratch = block(session->primitive->scratch);
	return HILUM_OK;
}

void session_close(struct session *session)
{
	const struct hl_infer *shapes = &session->subject->shapes;
	session->primitive->destroy(session->primitive);
	for (int i = 0; i < shapes->inputs; i++) {
		free(session->in[i].data);
		free(session->kept[i].data);
		free(session->din[i].data);
	}
	for (int i = 0; i < shapes->params; i++) {
		free(session->param[i]);
		free(session->dparam[i]);
	}
	free(session->out.data);
	free(session->dout.data);
	free(session->saved);
	free(session->scratch);
}

static struct hl_call call_of(struct session *session, bool training)
{
	struct hl_call call = {
	    .shapes = &session->subject->shapes,
	    .options = session->subject->options,
	    .out = &session->out,
	    .saved = session->saved,
	    .scratch = session->scratch,
	    .training = training,
	    .seed = SEED,
	    .step = 7,
	    .node = 3,
	};
	for (int i = 0; i < call.shapes->inputs; i++)
		call.in[i] = &session->in[i];
	for (int i = 0; i < call.shapes->params; i++)
		call.param[i] = session->param[i];
	return call;
}

void session_forward(struct session *session, struct values *values, bool training)
{
	struct hl_call call = call_of(session, training);
	const struct hl_infer *shapes = call.shapes;
	struct hl_tensor in_place = session->in[0];
	for (int i = 0; i < shapes->inputs; i++) {
		hl_convert(values->in[i], HL_F32, session->in[i].data, session->ask.type, values->in_count[i]);
		memcpy(session->kept[i].data, session->in[i].data, tensor_bytes(&session->in[i]));
	}
	for (int i = 0; i < shapes->params; i++)
		memcpy(session->param[i], values->param[i], (size_t)values->param_count[i] * sizeof(float));
	memset(session->out.data, 0xff, tensor_bytes(&session->out));
	memset(session->scratch, 0xff, session->primitive->scratch);
	if (session->saved)
		memset(session->saved, 0xff, session->primitive->saved);
	if (session->ask.in_place)
		call.out = &in_place;
	if (session->primitive->prepare)
		session->primitive->prepare(session->primitive, session->param);
	session->primitive->forward(session->primitive, &call);
	if (session->ask.in_place)
		memcpy(session->out.data, in_place.data, tensor_bytes(&session->out));
	hl_convert(session->out.data, session->ask.type, values->out, HL_F32, values->out_count);
	for (int i = session->ask.in_place ? 1 : 0; i < shapes->inputs; i++)
		if (memcmp(session->kept[i].data, session->in[i].data, tensor_bytes(&session->in[i])) != 0)
			session->wrote_inputs = true;
	for (int i = 0; i < shapes->params; i++) {
		size_t bytes = (size_t)values->param_count[i] * sizeof(float);
		memcpy(values->state[i], session->param[i], bytes);
		if ((shapes->param[i].trained || !training) && memcmp(values->param[i], session->param[i], bytes) != 0)
			session->wrote_inputs = true;
	}
}

/* What the op says it does not read is NaN here, so that an op which reads it after all is found out. */
void session_backward(struct session *session, struct values *values, bool training)
{
	struct hl_call call = call_of(session, training);
	const struct hl_infer *shapes = call.shapes;
	const struct hl_op *op = session->subject->op;
	struct hl_tensor in_place = session->dout;
	call.dout = &session->dout;
	hl_convert(values->dout, HL_F32, session->dout.data, session->ask.type, values->out_count);
	memset(session->scratch, 0xff, session->primitive->scratch);
	if (!op->keeps_output)
		memset(session->out.data, 0xff, tensor_bytes(&session->out));
	for (int i = 0; i < shapes->inputs; i++) {
		call.in[i] = &session->kept[i];
		if (!op->keeps_input)
			memset(session->kept[i].data, 0xff, tensor_bytes(&session->kept[i]));
		memset(session->din[i].data, 0xff, tensor_bytes(&session->din[i]));
		call.din[i] = session->ask.skip_din >> i & 1 ? NULL : &session->din[i];
	}
	if (session->ask.in_place)
		call.din[0] = &in_place;
	for (int i = 0; i < shapes->params; i++) {
		bool skip = session->ask.skip_dparam || session->ask.omit_dparam;
		memset(session->dparam[i], 0xff, (size_t)values->param_count[i] * sizeof(float));
		call.dparam[i] = skip || !shapes->param[i].trained ? NULL : session->dparam[i];
	}
	session->primitive->backward(session->primitive, &call);
	if (session->ask.in_place)
		memcpy(session->din[0].data, in_place.data, tensor_bytes(&session->din[0]));
	for (int i = 0; i < shapes->inputs; i++)
		hl_convert(session->din[i].data, session->ask.type, values->din[i], HL_F32, values->in_count[i]);
	for (int i = 0; i < shapes->params; i++)
		memcpy(values->dparam[i], session->dparam[i], (size_t)values->param_count[i] * sizeof(float));
}
