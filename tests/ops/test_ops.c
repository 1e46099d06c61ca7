/* Every op, every sample, every back end: gradients against finite differences, results against the reference, parts
 * left out, in place, thread counts, options as text. Prints a line for each failure and a count at the end.
 *
 *   test_ops [OP | chains]
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "rig.h"

#define GRADIENT_LIMIT 1e-3
#define F32_LIMIT 1e-5
#define BF16_LIMIT 1e-2
#define ELEMENTS_ALL 200 /* tensors up to here are checked element by element, larger ones at some places */
#define ELEMENTS_SOME 40

static long checks, failures;

static void report(const struct subject *subject, const struct hl_backend *backend, const char *what, double error,
                   double limit)
{
	checks++;
	if (error <= limit)
		return;
	failures++;
	printf("%s | %s | %s | %s | error %.3g, limit %.0e\n", subject->op->name, subject->sample,
	       backend ? backend->name : "-", what, error, limit);
}

static void complain(const struct hl_op *op, const char *sample, const struct hl_backend *backend, const char *what,
                     const char *message)
{
	checks++;
	failures++;
	printf("%s | %s | %s | %s | %s\n", op->name, sample, backend ? backend->name : "-", what, message);
}

/* |a - b| / |b| in the Euclidean norm; infinite where a value is not finite. Where b all but vanishes it is measured
 * against 1e-3 a value. */
static double distance(const float *a, const float *b, int64_t count)
{
	double apart = 0, norm = 0;
	for (int64_t i = 0; i < count; i++) {
		double difference = (double)a[i] - b[i];
		apart += difference * difference;
		norm += (double)b[i] * b[i];
	}
	double error = sqrt(apart) / fmax(sqrt(norm), 1e-3 * sqrt((double)count));
	return isfinite(error) ? error : INFINITY;
}

/* ---- finite differences --------------------------------------------------------------------------------------- */

struct probe {
	struct session *session;
	struct values *values;
	bool training;
	float *tensor, *direction, *origin, *high;
	int64_t count;
};

/* Derivative of sum(out * dout) as tensor moves along direction, a step each way. */
static double derivative(struct probe *probe)
{
	struct values *v = probe->values;
	double sum = 0;
	for (int64_t i = 0; i < probe->count; i++)
		probe->tensor[i] = probe->origin[i] + STEP * probe->direction[i];
	session_forward(probe->session, v, probe->training);
	memcpy(probe->high, v->out, (size_t)v->out_count * sizeof(float));
	for (int64_t i = 0; i < probe->count; i++)
		probe->tensor[i] = probe->origin[i] - STEP * probe->direction[i];
	session_forward(probe->session, v, probe->training);
	for (int64_t i = 0; i < v->out_count; i++)
		sum += ((double)probe->high[i] - v->out[i]) * v->dout[i];
	memcpy(probe->tensor, probe->origin, (size_t)probe->count * sizeof(float));
	return sum / (2.0 * STEP);
}

/* Along random directions: every element counts. Relative to what such a product is expected to be. */
static double check_directions(struct probe *probe, struct hl_random *random, const float *gradient)
{
	double worst = 0;
	for (int round = 0; round < 3; round++) {
		double product = 0, norm = 0;
		for (int64_t i = 0; i < probe->count; i++) {
			probe->direction[i] = (float)hl_random_range(random, -1, 1);
			product += (double)gradient[i] * probe->direction[i];
			norm += (double)gradient[i] * gradient[i];
		}
		double scale = fmax(fmax(fabs(product), sqrt(norm / 3)), 1e-2);
		worst = fmax(worst, fabs(derivative(probe) - product) / scale);
	}
	return worst;
}

/* One element at a time, relative to the largest. */
static double check_elements(struct probe *probe, struct hl_random *random, const float *gradient)
{
	bool all = probe->count <= ELEMENTS_ALL;
	int64_t rounds = all ? probe->count : ELEMENTS_SOME;
	double worst = 0, largest = 1e-2;
	for (int64_t i = 0; i < probe->count; i++)
		largest = fmax(largest, fabs((double)gradient[i]));
	memset(probe->direction, 0, (size_t)probe->count * sizeof(float));
	for (int64_t round = 0; round < rounds; round++) {
		int64_t i = all ? round : hl_random_below(random, (uint32_t)probe->count);
		probe->direction[i] = 1;
		worst = fmax(worst, fabs(derivative(probe) - gradient[i]) / largest);
		probe->direction[i] = 0;
	}
	return worst;
}

static void check_tensor(struct probe *probe, float *tensor, const float *gradient, int64_t count, const char *what)
{
	const struct subject *subject = probe->session->subject;
	const struct hl_backend *backend = probe->session->ask.backend;
	struct hl_random random = hl_random_stream(1, 0, 0, HL_RANDOM_TEST);
	char text[128];
	bool finite = true;
	probe->tensor = tensor;
	probe->count = count;
	probe->direction = malloc((size_t)count * sizeof(float));
	probe->origin = malloc((size_t)count * sizeof(float));
	memcpy(probe->origin, tensor, (size_t)count * sizeof(float));
	for (int64_t i = 0; i < count; i++)
		finite = finite && isfinite(gradient[i]);
	snprintf(text, sizeof(text), "gradient by %s along directions%s", what, probe->training ? "" : ", frozen");
	report(subject, backend, text, finite ? check_directions(probe, &random, gradient) : INFINITY, GRADIENT_LIMIT);
	snprintf(text, sizeof(text), "gradient by %s by elements%s", what, probe->training ? "" : ", frozen");
	report(subject, backend, text, finite ? check_elements(probe, &random, gradient) : INFINITY, GRADIENT_LIMIT);
	free(probe->direction);
	free(probe->origin);
}

static void check_gradients(const struct subject *subject, const struct ask *ask, bool training)
{
	struct session session;
	struct values values;
	char name[64];
	/* Where float32 is split into parts, a difference of two results is only as exact as they are: with three. */
	setenv("HILUM_FP32_PRODUCTS", "6", 1);
	bool refused = session_open(&session, subject, ask, NULL);
	unsetenv("HILUM_FP32_PRODUCTS");
	if (refused)
		return;
	values_open(&values, subject);
	if (ask->settled)
		values_settle(&values, subject);
	struct probe probe = {.session = &session, .values = &values, .training = training};
	probe.high = malloc((size_t)values.out_count * sizeof(float));
	session_forward(&session, &values, training);
	session_backward(&session, &values, training);
	for (int i = 0; i < values.inputs; i++) {
		snprintf(name, sizeof(name), "input %d", i);
		check_tensor(&probe, values.in[i], values.din[i], values.in_count[i], name);
	}
	for (int i = 0; i < values.params; i++)
		if (subject->param[i].trained)
			check_tensor(&probe, values.param[i], values.dparam[i], values.param_count[i],
			             subject->param[i].name);
	free(probe.high);
	values_close(&values);
	session_close(&session);
}

/* ---- against the reference ------------------------------------------------------------------------------------ */

static void run(struct session *session, struct values *values, bool training)
{
	session_forward(session, values, training);
	if (session->ask.training)
		session_backward(session, values, training);
}

/* Results in got, of a session asked so, against expected; what was left out must be left out. */
static void compare(const struct session *session, const struct values *got, const struct values *expected,
                    const char *mode, double limit)
{
	const struct subject *subject = session->subject;
	const struct ask *ask = &session->ask;
	char what[160];
	snprintf(what, sizeof(what), "output, %s", mode);
	report(subject, ask->backend, what, distance(got->out, expected->out, got->out_count), limit);
	snprintf(what, sizeof(what), "inputs or weights changed by forward, %s", mode);
	report(subject, ask->backend, what, session->wrote_inputs ? 1 : 0, 0);
	for (int i = 0; i < got->params; i++) {
		snprintf(what, sizeof(what), "%s after forward, %s", subject->param[i].name, mode);
		report(subject, ask->backend, what, distance(got->state[i], expected->state[i], got->param_count[i]),
		       limit);
	}
	for (int i = 0; ask->training && i < got->inputs; i++) {
		if (ask->skip_din >> i & 1)
			continue;
		snprintf(what, sizeof(what), "gradient by input %d, %s", i, mode);
		report(subject, ask->backend, what, distance(got->din[i], expected->din[i], got->in_count[i]), limit);
	}
	for (int i = 0; ask->training && i < got->params; i++) {
		if (ask->skip_dparam || ask->omit_dparam || !subject->param[i].trained)
			continue;
		snprintf(what, sizeof(what), "gradient by %s, %s", subject->param[i].name, mode);
		report(subject, ask->backend, what, distance(got->dparam[i], expected->dparam[i], got->param_count[i]),
		       limit);
	}
}

/* Runs as asked and compares with the reference in float32 on the same (rounded) inputs. */
static void check_against(const struct subject *subject, struct ask ask, bool training, const char *mode)
{
	struct ask oracle = {
	    .backend = subject->parts > 1 ? &composed : &hl_backend_reference, .type = HL_F32, .training = true};
	struct session session, reference;
	struct values got, expected;
	struct hilum_error error = {0};
	char name[96];
	enum hilum_status status = session_open(&session, subject, &ask, &error);
	snprintf(name, sizeof(name), "%s, %s", ask.type == HL_BF16 ? "bf16" : "fp32", mode);
	if (status == HILUM_ERROR_UNSUPPORTED && ask.backend != &hl_backend_reference)
		return;
	if (status) {
		complain(subject->op, subject->sample, ask.backend, name, error.message);
		return;
	}
	if (session_open(&reference, subject, &oracle, &error)) {
		complain(subject->op, subject->sample, oracle.backend, name, error.message);
		session_close(&session);
		return;
	}
	values_open(&got, subject);
	values_open(&expected, subject);
	if (ask.type == HL_BF16) {
		values_round(&got);
		values_round(&expected);
	}
	if (ask.coarse) {
		values_coarsen(&got);
		values_coarsen(&expected);
	}
	run(&reference, &expected, training);
	run(&session, &got, training);
	compare(&session, &got, &expected, name, ask.type == HL_BF16 ? BF16_LIMIT : F32_LIMIT);
	values_close(&got);
	values_close(&expected);
	session_close(&session);
	session_close(&reference);
}

static void check_parts(const struct subject *subject, struct ask ask)
{
	unsigned all = (1U << subject->shapes.inputs) - 1;
	struct ask part = ask;
	part.skip_din = all;
	check_against(subject, part, true, "no gradient by inputs");
	part.skip_dparam = true;
	check_against(subject, part, true, "no gradient at all");
	part.skip_din = 0;
	check_against(subject, part, true, "no gradient by parameters");
	check_against(subject, part, false, "frozen, no gradient by parameters");
	for (int i = 0; i < subject->shapes.inputs && subject->shapes.inputs > 1; i++) {
		part = ask;
		part.skip_din = all & ~(1U << i);
		check_against(subject, part, true, "gradient by one input");
	}
	part = ask;
	part.omit_dparam = true;
	check_against(subject, part, true, "no gradient by parameters in the call");
}

static double same_bits(const float *a, const float *b, int64_t count)
{
	return memcmp(a, b, (size_t)count * sizeof(float)) == 0 ? 0 : 1;
}

static void check_threads(const struct subject *subject, struct ask ask)
{
	struct session session[2];
	struct values values[2];
	for (int i = 0; i < 2; i++) {
		ask.threads = i == 0 ? 1 : 3;
		if (session_open(&session[i], subject, &ask, NULL)) {
			if (i == 1)
				session_close(&session[0]);
			return;
		}
		if (i == 0)
			continue;
	}
	for (int i = 0; i < 2; i++) {
		values_open(&values[i], subject);
		run(&session[i], &values[i], true);
	}
	report(subject, ask.backend, "same output bits at 1 and 3 threads",
	       same_bits(values[0].out, values[1].out, values[0].out_count), 0);
	for (int i = 0; i < values[0].inputs; i++)
		report(subject, ask.backend, "same input gradient bits at 1 and 3 threads",
		       same_bits(values[0].din[i], values[1].din[i], values[0].in_count[i]), 0);
	for (int i = 0; i < values[0].params; i++)
		report(subject, ask.backend, "same parameter gradient bits at 1 and 3 threads",
		       same_bits(values[0].dparam[i], values[1].dparam[i], values[0].param_count[i]), 0);
	for (int i = 0; i < 2; i++) {
		values_close(&values[i]);
		session_close(&session[i]);
	}
}

static void check_backend(const struct subject *subject, const struct hl_backend *backend)
{
	struct ask ask = {.backend = backend, .type = HL_F32, .training = true};
	check_gradients(subject, &ask, true);
	check_gradients(subject, &ask, false);
	check_threads(subject, ask);
	for (int type = HL_F32; type <= HL_BF16; type++) {
		ask = (struct ask){.backend = backend, .type = (enum hl_type)type, .training = true};
		check_against(subject, ask, true, "training");
		check_against(subject, ask, false, "frozen");
		check_parts(subject, ask);
		ask.coarse = true;
		check_against(subject, ask, true, "ties and zeros");
		ask.coarse = false;
		if (subject->op->in_place) {
			ask.in_place = true;
			check_against(subject, ask, true, "in place");
			check_against(subject, ask, false, "in place, frozen");
		}
		ask.training = false;
		check_against(subject, ask, false, ask.in_place ? "inference in place" : "inference");
		ask.in_place = false;
		check_against(subject, ask, false, "inference");
	}
}

/* ---- options and the table itself ----------------------------------------------------------------------------- */

static void check_options(const struct subject *subject)
{
	const struct hl_op *op = subject->op;
	char *copy = calloc(1, op->options_size + 1), text[256], again[256];
	for (const struct hilum_option *option = op->options; option && option->name; option++) {
		struct hilum_error error = {0};
		if (option->initial && hilum_option_set(op->options, copy, option->name, option->initial, &error))
			complain(op, subject->sample, NULL, "default refused", error.message);
		if (!hilum_option_get(option, subject->options, text, sizeof(text)) ||
		    hilum_option_set(op->options, copy, option->name, text, &error) ||
		    !hilum_option_get(option, copy, again, sizeof(again)) || strcmp(text, again) != 0)
			complain(op, subject->sample, NULL, "option does not read back", option->name);
		if (!option->help || !*option->help)
			complain(op, subject->sample, NULL, "option without help", option->name);
		checks += 3;
	}
	report(subject, NULL, "options as text",
	       op->options_size && memcmp(copy, subject->options, op->options_size) != 0 ? 1 : 0, 0);
	free(copy);
}

static void check_op(const struct hl_op *op)
{
	if (hl_op_find(op->name) != op)
		complain(op, "", NULL, "name", "not found, or not the only one of that name");
	if (!op->help || !op->samples || !op->samples[0])
		complain(op, "", NULL, "table", "no help or no samples");
	for (size_t i = 0; op->samples && op->samples[i]; i++) {
		struct hilum_error error = {0};
		struct subject subject;
		if (subject_open(&subject, op, op->samples[i], &error)) {
			check_options(&subject);
			for (const struct hl_backend *const *backend = hl_backends(); *backend; backend++)
				check_backend(&subject, *backend);
		} else {
			complain(op, op->samples[i], NULL, "sample refused", error.message);
		}
		subject_close(&subject);
	}
}

/* ---- chains --------------------------------------------------------------------------------------------------- */

/* Whole and broken vectors of channels, windows of two by two and others, odd sizes, depth; a pair of a chain and
 * whether kinks can be kept out of the way of finite differences. */
static const struct chain {
	const char *sample;
	bool smooth;
} chains[] = {
    {"2x1x5x7x3 | batchnorm | relu", true},
    {"3x1x4x4x16 | batchnorm eps=0.001 momentum=0.3 | leakyrelu slope=0.2", true},
    {"1x1x9x11x37 | batchnorm | relu", true},
    {"2x1x24x25x64 | batchnorm | relu", false},
    {"2x1x5x7x16 | batchnorm | add | relu", true},
    {"2x3x5x4x7 | batchnorm | add | leakyrelu slope=0.3", true},
    {"2x1x24x25x32 | batchnorm | add | relu", false},
    {"2x1x5x3x5 | batchnorm | add", true},
    {"2x1x6x8x16 | batchnorm | relu | maxpool size=2", true},
    {"2x1x7x9x32 | batchnorm | leakyrelu slope=0.1 | maxpool size=2", true},
    {"2x1x5x6x19 | batchnorm | relu | maxpool size=2", true},
    {"1x1x3x2x16 | batchnorm | maxpool size=2", true},
    {"1x1x33x35x48 | batchnorm | relu | maxpool size=2", false},
    {"2x4x6x4x16 | batchnorm | relu | maxpool size=2", true},
    {"1x5x7x3x16 | batchnorm | leakyrelu slope=0.1 | maxpool size=2", true},
    {"2x3x4x5x16 | batchnorm | relu | maxpool size=1x2x2", true},
    {"1x9x10x11x32 | batchnorm | relu | maxpool size=2", false},
    {"2x1x7x8x16 | batchnorm | relu | maxpool size=3 stride=2 pad=1", true},
    {"1x1x8x7x21 | batchnorm | leakyrelu slope=0.1 | maxpool size=3 stride=1 pad=1", true},
    {"2x1x7x5x16 | batchnorm | relu | maxpool size=3x2 stride=2x1", true},
    {"1x5x4x6x18 | batchnorm | relu | maxpool size=3 stride=2 pad=1", true},
    {"1x1x5x5x16 | batchnorm | relu | maxpool size=2 stride=3", true},
    {"2x1x6x7x16 | batchnorm | add | relu | maxpool size=2", false},
    {"1x3x5x6x9 | batchnorm | add | leakyrelu slope=0.1 | maxpool size=3 stride=2 pad=1", false},
    /* behind a convolution, outside of training */
    {"2x1x7x5x3 | conv filters=5 pad=1 | relu", false},
    {"1x1x5x6x16 | conv filters=32 bias=false | batchnorm | leakyrelu slope=0.2", false},
    {"2x1x6x6x8 | conv filters=8 pad=1 | batchnorm", false},
    {"3x1x6x7x4 | conv filters=16 pad=1 bias=false | batchnorm eps=0.01 | add | relu", false},
    {"2x1x9x7x6 | conv filters=7 pad=1 stride=2 | add", false},
    {"1x4x5x6x3 | conv filters=8 pad=1 | batchnorm | add | leakyrelu", false},
    {"2x1x5x5x8 | conv filters=8 pad=1 groups=4 | batchnorm | add | relu", false},
    {"2x1x6x5x4 | conv filters=16 size=1 | batchnorm | relu", false},
    /* more than is packed at a time */
    {"5x1x240x250x2 | conv filters=8 pad=1 | add | relu", false},
};

/* True if it was taken. */
static bool check_inference(const struct subject *subject, const struct hl_backend *backend)
{
	struct ask ask = {.backend = backend, .type = HL_F32};
	struct session session;
	if (session_open(&session, subject, &ask, NULL))
		return false;
	bool in_place = session.primitive->in_place;
	session_close(&session);
	for (int type = HL_F32; type <= HL_BF16; type++) {
		ask = (struct ask){.backend = backend, .type = (enum hl_type)type};
		check_against(subject, ask, false, "inference");
		ask.coarse = true;
		check_against(subject, ask, false, "inference, ties and zeros");
		ask.coarse = false;
		ask.in_place = in_place;
		check_against(subject, ask, false, "inference in place");
	}
	return true;
}

static bool check_chain_on(const struct subject *subject, const struct hl_backend *backend, bool smooth)
{
	struct ask ask = {.backend = backend, .type = HL_F32, .training = true, .settled = true};
	struct session session;
	if (session_open(&session, subject, &ask, NULL))
		return check_inference(subject, backend);
	bool in_place_gradient = session.primitive->in_place_gradient;
	session_close(&session);
	if (smooth) {
		check_gradients(subject, &ask, true);
		check_gradients(subject, &ask, false);
	}
	ask.settled = false;
	check_threads(subject, ask);
	for (int type = HL_F32; type <= HL_BF16; type++) {
		ask = (struct ask){.backend = backend, .type = (enum hl_type)type, .training = true};
		check_against(subject, ask, true, "training");
		check_against(subject, ask, false, "frozen");
		check_parts(subject, ask);
		ask.in_place_gradient = in_place_gradient;
		check_against(subject, ask, true, "gradient in place");
		ask.in_place_gradient = false;
		ask.coarse = true;
		check_against(subject, ask, true, "ties and zeros");
	}
	return check_inference(subject, backend);
}

/* Those with pooling on the loops of every instruction set that this processor has. */
static void check_chain(const struct chain *chain)
{
	static const char *const processors[] = {"none", "avx2", "avx512"};
	struct hilum_error error = {0};
	struct subject subject;
	if (!subject_open_chain(&subject, chain->sample, &error)) {
		complain(hl_ops[0], chain->sample, NULL, "sample refused", error.message);
		subject_close(&subject);
		return;
	}
	const char *given = getenv("HILUM_CPU");
	for (size_t i = strstr(chain->sample, "maxpool") && !given ? 0 : 2; i < 3; i++) {
		setenv("HILUM_CPU", processors[i], given ? 0 : 1);
		bool taken = false;
		for (const struct hl_backend *const *backend = hl_backends(); *backend; backend++)
			taken |= check_chain_on(&subject, *backend, chain->smooth);
		if (!taken)
			complain(subject.op, chain->sample, NULL, "chain", "no back end takes it");
	}
	if (!given)
		unsetenv("HILUM_CPU");
	subject_close(&subject);
}

int main(int argc, char **argv)
{
	for (const struct hl_op *const *op = hl_ops; *op; op++)
		if (argc < 2 || strcmp((*op)->name, argv[1]) == 0)
			check_op(*op);
	for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++)
		if (argc < 2 || strcmp("chains", argv[1]) == 0)
			check_chain(&chains[i]);
	if (checks == 0)
		printf("no op of that name\n");
	printf("%ld checks, %ld failures\n", checks, failures);
	return checks == 0 || failures > 0;
}
