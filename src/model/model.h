/* A trained network with all that its use needs: architecture, weights, recipe, classes, provenance and the scores it
 * was saved with. NAME.hilum is a safetensors file: one F32 tensor per parameter under its name in the graph, and the
 * texts below as metadata. */
#ifndef HL_MODEL_MODEL_H
#define HL_MODEL_MODEL_H
#include "model/safetensors.h"
#include "nn/graph.h"

struct hilum_model {
	struct hl_graph *graph;
	float *slab; /* graph->floats, in a 64-byte aligned block */
	int32_t class_count;
	char **classes; /* binary: [negative, positive] */
	/* metadata, each JSON or text, owned; NULL when absent */
	char *recipe;       /* JSON, read by data/recipe */
	char *provenance;   /* JSON: data set hash, split file's hash, seed, command, versions, leakage flags */
	char *split;        /* JSON: {"train": [hash...], ...} or NULL: which case was in which part, by path */
	char *scores;       /* JSON: what it scored when it was saved */
	char *calibration;  /* JSON, model/calibration.h */
	char *quantization; /* JSON, model/quantization.h */
	char *domain;       /* JSON, model/domain.h */
};

/* Limits on a model file. */
#define HL_MODEL_BYTES_MAX ((size_t)4 << 30)

/* outputs 1 for two classes, otherwise the number of classes. */
int64_t hl_model_outputs(const struct hilum_model *model);

/* A new model with initialised weights. Takes copies of its arguments. hilum_model_close. */
enum hilum_status hl_model_create(const char *arch_text, struct hl_shape input, char *const *classes,
                                  int32_t class_count, uint64_t seed, struct hilum_model **out,
                                  struct hilum_error *error);
enum hilum_status hl_model_save(const struct hilum_model *model, const char *path, struct hilum_error *error);
enum hilum_status hl_model_load(const char *path, struct hilum_model **out, struct hilum_error *error);
/* The file that a changed model goes to: out, or where that is NULL path, for a run folder its best.hilum. */
enum hilum_status hl_model_file(const char *path, const char *out, char *file, size_t size, struct hilum_error *error);

/* Copies every parameter of from whose name and shape agree, except the last layer's where the classes differ; counts
 * those copied and the trained ones left as they were (a new head). HILUM_ERROR_DATA when nothing agrees. */
enum hilum_status hl_model_init_from(struct hilum_model *model, const struct hilum_model *from, int32_t *copied,
                                     int32_t *kept, struct hilum_error *error);
/* Hash over all weights: 16 hex digits. */
void hl_model_hash(const struct hilum_model *model, char hex[17]);
#endif
