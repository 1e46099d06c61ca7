#include "train/checkpoint.h"

#include "base/hash.h"

#include <math.h>
#include <string.h>

#define FORMAT "hilum checkpoint 1"
#define BYTES_MAX ((size_t)32 << 30)
#define TENSORS 5

static const char *const keys[HL_CHECKPOINT_TEXTS] = {"options", "provenance", "architecture", "recipe",
                                                      "dataset", "split",      "cases",        "log"};

/* Integers, and doubles by their bits, so that they come back exactly. */
enum { EPOCH, STEP, LOSS, BEST, BEST_EPOCH, SECONDS, OPTIMIZER_STEP, MEMBERS };

static int64_t bits_of(double value)
{
	int64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static double from_bits(int64_t bits)
{
	double value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Names and texts are only read when a file is written, but their type serves reading too. */
static char *lend(const char *text)
{
	union {
		const char *given;
		char *lent;
	} same = {text};
	return same.lent;
}

static struct hl_entry tensor(const char *name, const float *data, int64_t floats)
{
	return (struct hl_entry){.name = lend(name),
	                         .dtype = HL_DTYPE_F32,
	                         .rank = 1,
	                         .dims = {floats},
	                         .data = data,
	                         .bytes = (size_t)floats * sizeof(float)};
}

/* safetensors has no checksum of its own, and a flipped bit of a weight would go unnoticed. */
static void checksum(const struct hl_entry *entry, size_t entries, const char *const *text, char hex[17])
{
	uint64_t hash = HL_HASH_START;
	for (size_t i = 0; i < entries; i++)
		hash = hl_hash64(hash, entry[i].data, entry[i].bytes);
	for (size_t i = 0; i < HL_CHECKPOINT_TEXTS; i++)
		hash = hl_hash64(hash, text[i], strlen(text[i]));
	snprintf(hex, 17, "%016llx", (unsigned long long)hash);
}

enum hilum_status hl_checkpoint_write(const char *path, const struct hl_checkpoint *checkpoint,
                                      const struct hl_graph *graph, const float *slab,
                                      const struct hl_optimizer *optimizer, struct hilum_error *error)
{
	const struct hl_position *at = &checkpoint->position;
	const int64_t members[MEMBERS] = {[EPOCH] = at->epoch,
	                                  [STEP] = at->step,
	                                  [LOSS] = bits_of(at->loss),
	                                  [BEST] = bits_of(at->best),
	                                  [BEST_EPOCH] = at->best_epoch,
	                                  [SECONDS] = bits_of(at->seconds),
	                                  [OPTIMIZER_STEP] = optimizer->step};
	struct hl_entry entry[TENSORS] = {{.name = lend("position"),
	                                   .dtype = HL_DTYPE_I64,
	                                   .rank = 1,
	                                   .dims = {MEMBERS},
	                                   .data = members,
	                                   .bytes = sizeof(members)}};
	size_t entries = 1;
	entry[entries++] = tensor("weights", slab, graph->floats);
	entry[entries++] = tensor("first", optimizer->first, graph->trained);
	if (optimizer->second)
		entry[entries++] = tensor("second", optimizer->second, graph->trained);
	if (optimizer->average)
		entry[entries++] = tensor("average", optimizer->average, graph->floats);
	char sum[17];
	checksum(entry, entries, checkpoint->text, sum);
	struct hl_text text[HL_CHECKPOINT_TEXTS + 2] = {
	    {lend("format"), lend(FORMAT)},
	    {lend("checksum"), sum},
	};
	for (size_t i = 0; i < HL_CHECKPOINT_TEXTS; i++)
		text[i + 2] = (struct hl_text){lend(keys[i]), lend(checkpoint->text[i])};
	return hl_safetensors_write(path, entry, entries, text, HL_CHECKPOINT_TEXTS + 2, error);
}

static enum hilum_status check(const char *path, struct hl_checkpoint *checkpoint, struct hilum_error *error)
{
	const struct hl_safetensors *file = &checkpoint->file;
	const char *format = hl_safetensors_text(file, "format"), *sum = hl_safetensors_text(file, "checksum");
	if (!format || strcmp(format, FORMAT) != 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s: not a checkpoint of this hilum", path);
	for (size_t i = 0; i < HL_CHECKPOINT_TEXTS; i++) {
		checkpoint->text[i] = hl_safetensors_text(file, keys[i]);
		if (!checkpoint->text[i])
			return hl_fail(error, HILUM_ERROR_FORMAT, "%s: damaged: no \"%s\"", path, keys[i]);
	}
	char expected[17];
	checksum(file->entry, file->entries, checkpoint->text, expected);
	if (!sum || strcmp(sum, expected) != 0)
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s: damaged: its checksum does not agree", path);
	const struct hl_entry *entry = hl_safetensors_find(file, "position");
	int64_t members[MEMBERS];
	if (!entry || entry->dtype != HL_DTYPE_I64 || entry->bytes != sizeof(members))
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s: damaged: no position", path);
	memcpy(members, entry->data, sizeof(members));
	checkpoint->position = (struct hl_position){.epoch = members[EPOCH],
	                                            .step = members[STEP],
	                                            .loss = from_bits(members[LOSS]),
	                                            .best = from_bits(members[BEST]),
	                                            .best_epoch = members[BEST_EPOCH],
	                                            .seconds = from_bits(members[SECONDS])};
	const struct hl_position *at = &checkpoint->position;
	if (at->epoch < 0 || at->step < 0 || at->best_epoch < 0 || at->best_epoch > at->epoch ||
	    members[OPTIMIZER_STEP] < 0 || !isfinite(at->loss) || isnan(at->best) || !isfinite(at->seconds))
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s: damaged: an impossible position", path);
	return HILUM_OK;
}

enum hilum_status hl_checkpoint_open(const char *path, struct hl_checkpoint *out, struct hilum_error *error)
{
	struct hl_checkpoint checkpoint = {.position = {.epoch = 0}};
	enum hilum_status status = hl_safetensors_read(path, BYTES_MAX, &checkpoint.file, error);
	if (status)
		return status;
	status = check(path, &checkpoint, error);
	if (status)
		hl_safetensors_free(&checkpoint.file);
	else
		*out = checkpoint;
	return status;
}

static enum hilum_status copy(const struct hl_safetensors *file, const char *name, float *to, int64_t floats,
                              struct hilum_error *error)
{
	const struct hl_entry *entry = hl_safetensors_find(file, name);
	if (!entry || entry->dtype != HL_DTYPE_F32 || entry->bytes != (size_t)floats * sizeof(float))
		return hl_fail(error, HILUM_ERROR_FORMAT, "the checkpoint's \"%s\" does not fit the network", name);
	memcpy(to, entry->data, entry->bytes);
	return HILUM_OK;
}

enum hilum_status hl_checkpoint_restore(const struct hl_checkpoint *checkpoint, const struct hl_graph *graph,
                                        float *slab, struct hl_optimizer *optimizer, struct hilum_error *error)
{
	const struct hl_safetensors *file = &checkpoint->file;
	int64_t members[MEMBERS];
	enum hilum_status status = copy(file, "weights", slab, graph->floats, error);
	if (!status)
		status = copy(file, "first", optimizer->first, graph->trained, error);
	if (!status && optimizer->second)
		status = copy(file, "second", optimizer->second, graph->trained, error);
	if (!status && optimizer->average)
		status = copy(file, "average", optimizer->average, graph->floats, error);
	if (status)
		return status;
	memcpy(members, hl_safetensors_find(file, "position")->data, sizeof(members));
	optimizer->step = members[OPTIMIZER_STEP];
	return HILUM_OK;
}

void hl_checkpoint_close(struct hl_checkpoint *checkpoint)
{
	hl_safetensors_free(&checkpoint->file);
	*checkpoint = (struct hl_checkpoint){.position = {.epoch = 0}};
}
