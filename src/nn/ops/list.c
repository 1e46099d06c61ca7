#include <string.h>

#include "nn/op.h"

/* Every op: one line each, and nothing else to register. */
#define OPS(X)                                                                                                         \
	X(conv)                                                                                                        \
	X(dense)                                                                                                       \
	X(batchnorm)                                                                                                   \
	X(maxpool)                                                                                                     \
	X(avgpool)                                                                                                     \
	X(globalpool)                                                                                                  \
	X(relu)                                                                                                        \
	X(leakyrelu)                                                                                                   \
	X(silu)                                                                                                        \
	X(gelu)                                                                                                        \
	X(sigmoid)                                                                                                     \
	X(softmax)                                                                                                     \
	X(dropout)                                                                                                     \
	X(flatten)                                                                                                     \
	X(add)                                                                                                         \
	X(concat)                                                                                                      \
	X(pad)

#define DECLARE(name) extern const struct hl_op hl_op_##name;
#define ADDRESS(name) &hl_op_##name,

OPS(DECLARE)

const struct hl_op *const hl_ops[] = {OPS(ADDRESS) NULL};

const struct hl_op *hl_op_find(const char *name)
{
	for (const struct hl_op *const *op = hl_ops; *op; op++)
		if (strcmp((*op)->name, name) == 0)
			return *op;
	return NULL;
}
