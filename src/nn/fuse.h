/* Fusion: which nodes of a graph could run as one. A chain begins at a node of which kind whatever and goes on, from
 * each node to the only one that reads it, through the stages
 *
 *   convolution, dense | batch norm | add of two | relu, leakyrelu, silu, gelu | max, average, global pooling
 *
 * each at most once and in that order. Whether it runs as one is for the back ends to say (nn/backend.h). */
#ifndef HL_NN_FUSE_H
#define HL_NN_FUSE_H
#include "nn/backend.h"
#include "nn/graph.h"

/* What fusion needs to know of each node. */
struct hl_fuse_node {
	int32_t readers; /* of its output, counted once for each time that it is read */
	int32_t reader;  /* the last of them */
	int32_t kind;    /* nodes of different kinds do not run as one */
};

struct hl_chain {
	int32_t links;
	int32_t node[HL_LINKS_MAX]; /* indexes, those behind the head */
};

/* The longest chain from head on among the first nodes of the graph; node[] has as many entries. links = 0: none. */
struct hl_chain hl_fuse(const struct hl_graph *graph, const struct hl_fuse_node *node, int32_t nodes, int32_t head);

/* Inputs that a chain reads from outside, in hl_call's order; returns how many. links may be less than the chain's. */
int32_t hl_chain_inputs(const struct hl_graph *graph, int32_t head, const struct hl_chain *chain, int32_t links,
                        int32_t input[HL_INPUTS_MAX]);

/* False where HILUM_FUSE=0 is in the environment (for finding faults). */
bool hl_fuse_wanted(void);
#endif
