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

/* OPTION=VALUE ... */
static bool read_options(char *text, const struct hl_op *op, void *options, struct hilum_error *error)
{
	char *rest = NULL;
	hilum_options_init(op->options, options);
	for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		char *value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		if (hilum_option_set(op->options, options, word, value, error))
			return false;
	}
	return true;
}

/* A part whose inputs are set. */
static bool add_part(struct subject *subject, const struct hl_op *op, char *options, struct hilum_error *error)
{
	struct part *part = &subject->part[subject->parts++];
	part->op = op;
	part->options = block(op->options_size);
	memset(part->options, 0, op->options_size);
	part->shapes.spatial = subject->shapes.in[0].d > 1 ? 3 : 2;
	if (!read_options(options, op, part->options, error) || op->infer(part->options, &part->shapes, error))
		return false;
	subject->shapes.out = part->shapes.out;
	for (int i = 0; i < part->shapes.params; i++)
		subject->param[subject->params++] = part->shapes.param[i];
	return true;
}

bool subject_open(struct subject *subject, const struct hl_op *op, const char *sample, struct hilum_error *error)
{
	char text[256], *options;
	*subject = (struct subject){.op = op, .sample = sample};
	snprintf(text, sizeof(text), "%s", sample);
	options = strchr(text, ' ');
	if (options)
		*options++ = '\0';
	if (!read_shapes(text, &subject->shapes)) {
		snprintf(error->message, sizeof(error->message), "unreadable shape");
		return false;
	}
	subject->part[0].shapes = subject->shapes;
	bool fine = add_part(subject, op, options ? options : text + strlen(text), error);
	subject->options = subject->part[0].options;
	subject->shapes = subject->part[0].shapes;
	return fine;
}

bool subject_open_chain(struct subject *subject, const char *sample, struct hilum_error *error)
{
	char text[256], *rest = NULL, *word, *options;
	*subject = (struct subject){.sample = sample};
	snprintf(text, sizeof(text), "%s", sample);
	word = strtok_r(text, "|", &rest);
	word[strcspn(word, " ")] = '\0';
	if (!read_shapes(word, &subject->shapes))
		return false;
	subject->shapes.out = subject->shapes.in[0];
	subject->shapes.spatial = subject->shapes.in[0].d > 1 ? 3 : 2;
	while ((word = strtok_r(NULL, "|", &rest))) {
		struct part *part = &subject->part[subject->parts];
		word += strspn(word, " ");
		options = word + strcspn(word, " ");
		if (*options)
			*options++ = '\0';
		const struct hl_op *op = hl_op_find(word);
		if (!op || subject->parts > HL_LINKS_MAX)
			return false;
		part->shapes.in[part->shapes.inputs++] = subject->shapes.out;
		if (op->inputs_min == 2) {
			part->extra = subject->shapes.inputs;
			part->shapes.in[part->shapes.inputs++] = subject->shapes.out;
			subject->shapes.in[subject->shapes.inputs++] = subject->shapes.out;
		}
		if (!add_part(subject, op, options, error))
			return false;
	}
	subject->op = subject->part[0].op;
	subject->options = subject->part[0].options;
	return subject->parts > 1;
}

void subject_close(struct subject *subject)
{
	for (int32_t i = 0; i < subject->parts; i++)
		free(subject->part[i].options);
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
	*values = (struct values){.inputs = shapes->inputs, .params = subject->params};
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
	for (int i = 0; i < subject->params; i++) {
		bool scale = subject->param[i].init == HL_INIT_ONE;
		values->param_count[i] = param_count(&subject->param[i]);
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

void values_settle(struct values *values, const struct subject *subject)
{
	for (int i = 0; i < values->params; i++)
		for (int64_t k = 0; k < values->param_count[i] && strcmp(subject->param[i].name, "bias") == 0; k++)
			values->param[i][k] = k % 3 ? 9 : -9;
}

static struct hl_tensor tensor(struct hl_shape shape, enum hl_type type)
{
	return (struct hl_tensor){shape, type, block((size_t)hl_shape_count(shape) * hl_type_size(type))};
}

static size_t tensor_bytes(const struct hl_tensor *of)
{
	return (size_t)hl_shape_count(of->shape) * hl_type_size(of->type);
}

/* ---- the ops one after the other, as a back end of chains ---- */

struct composition {
	struct hl_primitive primitive;
	struct part part[1 + HL_LINKS_MAX];
	int32_t parts;
	void *saved[1 + HL_LINKS_MAX], *scratch;
	struct hl_tensor value[1 + HL_LINKS_MAX]; /* each part's output */
};

/* One part's call: its parameters, and its inputs but the first. */
static struct hl_call part_call(struct composition *all, const struct hl_call *call, int32_t at, int *param)
{
	struct part *part = &all->part[at];
	struct hl_call one = *call;
	one.shapes = &part->shapes;
	one.options = part->options;
	one.in[0] = at > 0 ? &all->value[at - 1] : call->in[0];
	one.in[1] = part->extra ? call->in[part->extra] : NULL;
	one.out = &all->value[at];
	one.saved = all->saved[at];
	one.scratch = all->scratch;
	for (int i = 0; i < part->shapes.params; i++, (*param)++) {
		one.param[i] = call->param[*param];
		one.dparam[i] = call->dparam[*param];
	}
	return one;
}

static void compose_forward(struct hl_primitive *primitive, const struct hl_call *call)
{
	struct composition *all = (struct composition *)primitive;
	for (int32_t i = 0, param = 0; i < all->parts; i++) {
		struct hl_call one = part_call(all, call, i, &param);
		all->part[i].op->forward(&one);
	}
	memcpy(call->out->data, all->value[all->parts - 1].data, tensor_bytes(call->out));
}

static void compose_backward(struct hl_primitive *primitive, const struct hl_call *call)
{
	struct composition *all = (struct composition *)primitive;
	struct hl_tensor dout = tensor(call->dout->shape, HL_F32);
	memcpy(dout.data, call->dout->data, tensor_bytes(&dout));
	for (int32_t i = all->parts - 1; i >= 0; i--) {
		struct hl_tensor din = tensor(all->part[i].shapes.in[0], HL_F32);
		int param = 0;
		for (int32_t k = 0; k < i; k++)
			param += all->part[k].shapes.params;
		struct hl_call one = part_call(all, call, i, &param);
		one.dout = &dout;
		one.din[0] = i > 0 ? &din : call->din[0];
		one.din[1] = all->part[i].extra ? call->din[all->part[i].extra] : NULL;
		all->part[i].op->backward(&one);
		free(dout.data);
		dout = din;
	}
	free(dout.data);
}

static void compose_destroy(struct hl_primitive *primitive)
{
	struct composition *all = (struct composition *)primitive;
	for (int32_t i = 0; i < all->parts; i++) {
		free(all->saved[i]);
		free(all->value[i].data);
	}
	free(all->scratch);
	free(all);
}

static enum hilum_status compose(const struct hl_compile *request, struct hl_primitive **out, struct hilum_error *error)
{
	struct composition *all = calloc(1, sizeof(*all));
	size_t scratch = 0;
	(void)error;
	for (int32_t i = 0; i <= request->links; i++) {
		struct part *part = &all->part[all->parts++];
		const struct hl_infer *shapes = i ? request->link[i - 1].shapes : request->shapes;
		*part = (struct part){i ? request->link[i - 1].op : request->op,
		                      (void *)(uintptr_t)(i ? request->link[i - 1].options : request->options), *shapes,
		                      shapes->inputs > 1 ? 1 : 0};
		all->saved[i] = block(shapes->saved);
		all->value[i] = tensor(shapes->out, HL_F32);
		scratch = shapes->scratch > scratch ? shapes->scratch : scratch;
	}
	all->scratch = block(scratch);
	all->primitive = (struct hl_primitive){.backend = "composed",
	                                       .keeps_input = true,
	                                       .forward = compose_forward,
	                                       .backward = compose_backward,
	                                       .destroy = compose_destroy};
	*out = &all->primitive;
	return HILUM_OK;
}

const struct hl_backend composed = {.name = "composed", .compile = compose};

enum hilum_status session_open(struct session *session, const struct subject *subject, const struct ask *ask,
                               struct hilum_error *error)
{
	const struct hl_infer *shapes = &subject->shapes;
	struct hl_compile request = {
	    .op = subject->op,
	    .options = subject->options,
	    .shapes = &subject->part[0].shapes,
	    .links = subject->parts - 1,
	    .type = ask->type,
	    .training = ask->training,
	    .want_dparam = !ask->skip_dparam,
	    .threads = ask->threads ? ask->threads : 2,
	};
	for (int i = 0; i < shapes->inputs; i++)
		request.want_din[i] = !(ask->skip_din >> i & 1);
	for (int32_t i = 1; i < subject->parts; i++)
		request.link[i - 1] =
		    (struct hl_link){subject->part[i].op, subject->part[i].options, &subject->part[i].shapes};
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
	for (int i = 0; i < session->subject->params; i++) {
		session->param[i] = floats(param_count(&session->subject->param[i]));
		session->dparam[i] = floats(param_count(&session->subject->param[i]));
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
	for (int i = 0; i < session->subject->params; i++) {
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
	    .shapes = &session->subject->part[0].shapes,
	    .options = session->subject->options,
	    .out = &session->out,
	    .saved = session->saved,
	    .scratch = session->scratch,
	    .training = training,
	    .seed = SEED,
	    .step = 7,
	    .node = 3,
	};
	for (int i = 0; i < session->subject->shapes.inputs; i++)
		call.in[i] = &session->in[i];
	for (int i = 0; i < session->subject->params; i++)
		call.param[i] = session->param[i];
	return call;
}

void session_forward(struct session *session, struct values *values, bool training)
{
	struct hl_call call = call_of(session, training);
	const struct hl_infer *shapes = &session->subject->shapes;
	struct hl_tensor in_place = session->in[0];
	for (int i = 0; i < shapes->inputs; i++) {
		hl_convert(values->in[i], HL_F32, session->in[i].data, session->ask.type, values->in_count[i]);
		memcpy(session->kept[i].data, session->in[i].data, tensor_bytes(&session->in[i]));
	}
	for (int i = 0; i < session->subject->params; i++)
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
	for (int i = 0; i < session->subject->params; i++) {
		size_t bytes = (size_t)values->param_count[i] * sizeof(float);
		memcpy(values->state[i], session->param[i], bytes);
		if ((session->subject->param[i].trained || !training) &&
		    memcmp(values->param[i], session->param[i], bytes) != 0)
			session->wrote_inputs = true;
	}
}

/* What the op says it does not read is NaN here, so that an op which reads it after all is found out. */
void session_backward(struct session *session, struct values *values, bool training)
{
	struct hl_call call = call_of(session, training);
	const struct hl_infer *shapes = &session->subject->shapes;
	const struct hl_primitive *primitive = session->primitive;
	const struct hl_op *op = session->subject->op;
	bool chain = session->subject->parts > 1;
	bool keeps_input = chain ? primitive->keeps_input : op->keeps_input;
	bool keeps_output = chain ? primitive->keeps_output : op->keeps_output;
	struct hl_tensor in_place = session->dout;
	call.dout = &session->dout;
	hl_convert(values->dout, HL_F32, session->dout.data, session->ask.type, values->out_count);
	memset(session->scratch, 0xff, session->primitive->scratch);
	if (!keeps_output)
		memset(session->out.data, 0xff, tensor_bytes(&session->out));
	for (int i = 0; i < shapes->inputs; i++) {
		call.in[i] = &session->kept[i];
		if (!keeps_input || (chain && i > 0))
			memset(session->kept[i].data, 0xff, tensor_bytes(&session->kept[i]));
		memset(session->din[i].data, 0xff, tensor_bytes(&session->din[i]));
		call.din[i] = session->ask.skip_din >> i & 1 ? NULL : &session->din[i];
	}
	if (session->ask.in_place)
		call.din[0] = &in_place;
	if (session->ask.in_place_gradient) {
		call.din[0] = &session->kept[0];
		if (shapes->inputs > 1 && hl_shape_equal(shapes->out, shapes->in[1]))
			call.din[1] = &session->dout;
	}
	for (int i = 0; i < session->subject->params; i++) {
		bool skip = session->ask.skip_dparam || session->ask.omit_dparam;
		memset(session->dparam[i], 0xff, (size_t)values->param_count[i] * sizeof(float));
		call.dparam[i] = skip || !session->subject->param[i].trained ? NULL : session->dparam[i];
	}
	session->primitive->backward(session->primitive, &call);
	if (session->ask.in_place)
		memcpy(session->din[0].data, in_place.data, tensor_bytes(&session->din[0]));
	if (session->ask.in_place_gradient)
		for (int i = 0; i < shapes->inputs; i++)
			memcpy(session->din[i].data, call.din[i]->data, tensor_bytes(&session->din[i]));
	for (int i = 0; i < shapes->inputs; i++)
		hl_convert(session->din[i].data, session->ask.type, values->din[i], HL_F32, values->in_count[i]);
	for (int i = 0; i < session->subject->params; i++)
		memcpy(values->dparam[i], session->dparam[i], (size_t)values->param_count[i] * sizeof(float));
}
