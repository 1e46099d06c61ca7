/* One op, or a chain of them, at one sample's shapes, and one primitive that runs it, with the buffers that both need.
 */
#ifndef TEST_OPS_RIG_H
#define TEST_OPS_RIG_H
#include "nn/backend.h"

struct part {
	const struct hl_op *op;
	void *options;
	struct hl_infer shapes;
	int32_t extra; /* of an add: its other input, as the subject counts them; 0: none */
};

/* op and options are the head's. shapes are those of the whole as seen from outside: all inputs, the last output. */
struct subject {
	const struct hl_op *op;
	const char *sample;
	void *options;
	struct hl_infer shapes;
	int params;
	struct hl_param_spec param[HL_CALL_PARAMS_MAX];
	int32_t parts;
	struct part part[1 + HL_LINKS_MAX];
};

/* Reads a sample: "SHAPE[+SHAPE...] OPTION=VALUE ...". On failure says why in error. Takes memory in any case. */
bool subject_open(struct subject *subject, const struct hl_op *op, const char *sample, struct hilum_error *error);
/* The same for nodes behind one another: "SHAPE | OP OPTION=VALUE ... | OP ...". An add's other input comes second. */
bool subject_open_chain(struct subject *subject, const char *sample, struct hilum_error *error);
void subject_close(struct subject *subject);

/* Everything that goes in and comes out, as float32. */
struct values {
	int inputs, params;
	int64_t in_count[HL_INPUTS_MAX], out_count, param_count[HL_CALL_PARAMS_MAX];
	float *in[HL_INPUTS_MAX], *param[HL_CALL_PARAMS_MAX], *dout;                              /* given */
	float *out, *din[HL_INPUTS_MAX], *dparam[HL_CALL_PARAMS_MAX], *state[HL_CALL_PARAMS_MAX]; /* results */
};

/* Inputs distinct along each channel, at least 0.016 apart and 0.008 from zero, so that a step of STEP crosses no kink
 * and breaks no tie. */
#define STEP 0.00390625F
void values_open(struct values *values, const struct subject *subject);
void values_close(struct values *values);
/* Rounds inputs and dout to what bf16 can hold. */
void values_round(struct values *values);
/* Rounds inputs to whole numbers: full of ties and zeros, where back ends must agree on conventions. */
void values_coarsen(struct values *values);
/* Moves biases far from zero, either way, so that an activation behind them bends nowhere near. */
void values_settle(struct values *values, const struct subject *subject);

struct ask {
	const struct hl_backend *backend;
	enum hl_type type;
	bool training;          /* compiled with a backward */
	unsigned skip_din;      /* bit i: no gradient by input i */
	bool skip_dparam;       /* no gradient by any parameter is compiled */
	bool omit_dparam;       /* none is asked for in the call either way */
	bool in_place;          /* out over in[0], and din[0] over dout */
	bool in_place_gradient; /* din[0] over in[0], and an add's over dout */
	bool settled;           /* on values that were settled */
	bool coarse;            /* on inputs full of ties and zeros */
	int32_t threads;
};

struct session {
	const struct subject *subject;
	struct ask ask;
	struct hl_primitive *primitive;
	struct hl_tensor in[HL_INPUTS_MAX], kept[HL_INPUTS_MAX], out, dout, din[HL_INPUTS_MAX];
	float *param[HL_CALL_PARAMS_MAX], *dparam[HL_CALL_PARAMS_MAX];
	void *saved, *scratch;
	bool wrote_inputs; /* forward changed an input or a trained parameter */
};

/* Chains on the ops' own forward and backward, one after the other, in float32. */
extern const struct hl_backend composed;

enum hilum_status session_open(struct session *session, const struct subject *subject, const struct ask *ask,
                               struct hilum_error *error);
void session_close(struct session *session);
/* Fills out and state. */
void session_forward(struct session *session, struct values *values, bool training);
/* After forward; fills din and dparam (NaN where none was asked for). */
void session_backward(struct session *session, struct values *values, bool training);
#endif
