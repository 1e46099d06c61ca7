#include "nn/fuse.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *op;
	int stage;
} stages[] = {
    {"conv", 1}, {"dense", 1}, {"batchnorm", 2}, {"add", 3},     {"relu", 4},       {"leakyrelu", 4},
    {"silu", 4}, {"gelu", 4},  {"maxpool", 5},   {"avgpool", 5}, {"globalpool", 5},
};

/* 0: of no chain. */
static int stage_of(const struct hl_node *node)
{
	for (size_t i = 0; node->op && i < sizeof(stages) / sizeof(stages[0]); i++)
		if (strcmp(stages[i].op, node->op->name) == 0)
			return stages[i].stage;
	return 0;
}

struct hl_chain hl_fuse(const struct hl_graph *graph, const struct hl_fuse_node *node, int32_t nodes, int32_t head)
{
	struct hl_chain chain = {.links = 0};
	int32_t inputs = graph->node[head].inputs, params = graph->node[head].shapes.params;
	int stage = stage_of(&graph->node[head]);
	for (int32_t at = head; stage > 0 && chain.links < HL_LINKS_MAX && node[at].readers == 1;) {
		int32_t next = node[at].reader;
		if (next >= nodes || node[next].kind != node[head].kind)
			break;
		const struct hl_node *link = &graph->node[next];
		if (stage_of(link) <= stage || link->inputs > 2)
			break;
		inputs += link->inputs - 1;
		params += link->shapes.params;
		if (inputs > HL_INPUTS_MAX || params > HL_CALL_PARAMS_MAX)
			break;
		chain.node[chain.links++] = next;
		stage = stage_of(link);
		at = next;
	}
	return chain;
}

int32_t hl_chain_inputs(const struct hl_graph *graph, int32_t head, const struct hl_chain *chain, int32_t links,
                        int32_t input[HL_INPUTS_MAX])
{
	int32_t count = graph->node[head].inputs, before = head;
	for (int32_t k = 0; k < count; k++)
		input[k] = graph->node[head].input[k];
	for (int32_t i = 0; i < links; i++) {
		const struct hl_node *link = &graph->node[chain->node[i]];
		for (int32_t k = 0; k < link->inputs; k++)
			if (link->input[k] != before)
				input[count++] = link->input[k];
		before = chain->node[i];
	}
	return count;
}

bool hl_fuse_wanted(void)
{
	const char *text = getenv("HILUM_FUSE");
	return !text || strcmp(text, "0") != 0;
}
