/* The contract of a layer ("op"). One op is one file in ops/, with one constant table at its foot, plus one line in
 * ops/list.c. forward and backward here are the reference: plain C on float32, the oracle for every back end.
 *
 * A node has one output. Parameters are float32 in the layout that PyTorch and ONNX use; a back end packs them
 * privately. */
#ifndef HL_NN_OP_H
#define HL_NN_OP_H
#include "nn/tensor.h"

#define HL_INPUTS_MAX 8
#define HL_PARAMS_MAX 4
#define HL_CALL_PARAMS_MAX 12 /* of nodes that run as one (nn/backend.h) */

enum hl_init_kind {
	HL_INIT_ZERO,
	HL_INIT_ONE,
	HL_INIT_KAIMING_UNIFORM /* U(-b, b) with b = sqrt(6 / ((1 + 5) fan_in)) = 1/sqrt(fan_in): PyTorch's default */
};

struct hl_param_spec {
	const char *name; /* "weight", "bias", "running_mean", "running_var" */
	int rank;
	int64_t dims[5]; /* as PyTorch: convolution (O, I/groups, [D,] H, W), dense (O, I), per channel (C) */
	enum hl_init_kind init;
	int64_t fan_in; /* for KAIMING_UNIFORM; biases of convolution and dense use it too, as PyTorch does */
	bool trained;   /* false: state that forward updates in training (running statistics) */
	bool decay;     /* weight decay applies (weights: yes; biases, scales and shifts: no) */
};

/* What shape inference is asked and answers. */
struct hl_infer {
	int inputs;
	struct hl_shape in[HL_INPUTS_MAX];
	int spatial; /* 2 or 3: whether a single size in the options covers H, W or D, H, W */
	/* the answer */
	struct hl_shape out;
	int params;
	struct hl_param_spec param[HL_PARAMS_MAX];
	size_t saved;   /* bytes that forward leaves for backward, beyond inputs and output (reference) */
	size_t scratch; /* bytes of workspace (reference) */
};

/* One call of forward or backward. Pointers are valid for the call. Tensors of one node share one type. */
struct hl_call {
	const struct hl_infer *shapes;
	const void *options;
	const struct hl_tensor *in[HL_INPUTS_MAX];
	const struct hl_tensor *out;      /* forward writes it; backward may read it if the op keeps its output */
	float *param[HL_CALL_PARAMS_MAX]; /* forward may write those that are not trained, when training */
	const struct hl_tensor *dout;     /* backward: gradient of the loss by the output */
	const struct hl_tensor *din[HL_INPUTS_MAX]; /* backward overwrites each that is not NULL */
	float *dparam[HL_CALL_PARAMS_MAX]; /* overwritten likewise; those of trained ones are all there or all NULL */
	void *saved, *scratch;             /* 64-byte aligned; saved is NULL where no backward will follow */
	bool training;                     /* batch statistics and dropout on */
	uint64_t seed;                     /* for dropout: stream (seed, step, node, HL_RANDOM_DROPOUT) */
	uint32_t step, node;
};

struct hl_op {
	const char *name;                   /* in architecture text and on disk */
	const char *onnx;                   /* ONNX operator, NULL if none */
	const char *help;                   /* one sentence */
	const struct hilum_option *options; /* table; NULL: none */
	size_t options_size;
	int inputs_min, inputs_max;
	bool in_place;     /* element by element: out may be the same memory as in[0], and din[0] as dout */
	bool keeps_input;  /* backward reads in[] */
	bool keeps_output; /* backward reads out */
	/* Checks options against input shapes; errors name the option. Sizes are validated here and nowhere later. */
	enum hilum_status (*infer)(const void *options, struct hl_infer *infer, struct hilum_error *error);
	void (*forward)(const struct hl_call *call);
	void (*backward)(const struct hl_call *call);
	/* "2x1x6x6x3 size=2 stride=2": the input's shape (several: joined by +), then options. NULL-terminated. Chosen
	 * to cover odd sizes, D > 1, stride, padding, dilation, groups. They drive the tests of every op on every back
	 * end. */
	const char *const *samples;
};

/* Every op, NULL-terminated, and by name. */
extern const struct hl_op *const hl_ops[];
const struct hl_op *hl_op_find(const char *name);
#endif
