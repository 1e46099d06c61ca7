#include "train/options.h"

#include "base/memory.h"
#include "data/recipe.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 8192 /* of one option's value */

static const char *const optimizers[] = {"sgd", "adam", "adamw", NULL};
static const char *const schedules[] = {"constant", "step", "cosine", "onecycle", NULL};
static const char *const losses[] = {"auto", "bce", "ce", "focal", NULL};
static const char *const precisions[] = {"fp32", "bf16", "fp32-strict", NULL};
static const char *const balances[] = {"none", "weights", "sampler", NULL};
static const char *const channels[] = {"grey", "rgb", NULL};
static const char *const fits[] = {"crop", "pad", NULL};
static const char *const dims[] = {"2d", "2.5d", "3d", NULL};
static const char *const extents[] = {"middle", "whole", "lungs", NULL};

#define TEXT(name_, member, initial_, value_, help_)                                                                   \
	{                                                                                                              \
		.name = (name_), .kind = HILUM_OPTION_TEXT, .offset = offsetof(struct hilum_train_options, member),    \
		.initial = (initial_), .value = (value_), .help = (help_)                                              \
	}
#define NUMBER(name_, kind_, member, low, high, initial_, value_, help_)                                               \
	{                                                                                                              \
		.name = (name_), .kind = (kind_), .offset = offsetof(struct hilum_train_options, member),              \
		.minimum = (low), .maximum = (high), .initial = (initial_), .value = (value_), .help = (help_)         \
	}
#define INT(name_, member, low, high, initial_, help_)                                                                 \
	NUMBER(name_, HILUM_OPTION_INT, member, low, high, initial_, "N", help_)
#define REAL(name_, member, low, high, initial_, help_)                                                                \
	NUMBER(name_, HILUM_OPTION_REAL, member, low, high, initial_, "X", help_)
#define CHOICE(name_, member, choices_, initial_, help_)                                                               \
	{                                                                                                              \
		.name = (name_), .kind = HILUM_OPTION_CHOICE, .offset = offsetof(struct hilum_train_options, member),  \
		.initial = (initial_), .choices = (choices_), .help = (help_)                                          \
	}
#define FLAG(name_, member, help_)                                                                                     \
	{                                                                                                              \
		.name = (name_), .kind = HILUM_OPTION_FLAG, .offset = offsetof(struct hilum_train_options, member),    \
		.help = (help_)                                                                                        \
	}

/* clang-format off */
const struct hilum_option hilum_train_option_table[] = {
    TEXT("arch", arch, NULL, "NAME|FILE", "network: seed (unless --init says otherwise), resnet18, for --dims 3d seed3d or resnet18-3d, a preset with settings (\"seed filters=16,32\") or a file of layers"),
    TEXT("out", out, NULL, "RUN", "run folder; left out: runs/ and the first free name made of network and data"),
    FLAG("resume", resume, "go on with the run in --out; options left out are the run's own"),
    INT("epochs", epochs, 1, 100000, "20", "passes over the training part"),
    INT("batch", batch, 1, 4096, "16", "pictures a step"),
    REAL("lr", lr, 1e-12, 100, "0.001", "learning rate at its peak"),
    TEXT("positive", positive, NULL, "A,B", "classes that together are the positive class; all others become the negative one"),
    TEXT("groups", groups, NULL, "CSV", "table with the columns path and group (or patient); a group stays on one side of the split; auto: groups are made of pictures that look alike, as hilum audit does"),
    TEXT("split", split, NULL, "A/B/C", "percentages for training, validation and test (70/15/15, or the manifest's split column if it has one)"),
    TEXT("folds", folds, NULL, "CSV", "table with the columns path and fold; --fold is the test part, the others the training part"),
    INT("fold", fold, -1, 1000000, "-1", "the fold to test on"),
    TEXT("fold-column", fold_column, NULL, "NAME", "column of --folds where several begin with fold"),
    REAL("validation", validation, 0, 0.9, "0", "with --folds: share of the training part that is taken for validation, by groups"),
    INT("size", size, 0, HL_RECIPE_SIZE_MAX, NULL, "pixels a side (256, or what the input line of the network says)"),
    CHOICE("channels", channels, channels, "grey", "what a picture is reduced to; the input line of the network goes before"),
    CHOICE("fit", fit, fits, "crop", "how a picture becomes square"),
    REAL("middle", middle, HL_RECIPE_MIDDLE_MIN, 1, "1", "share of a picture's side that is kept, from its middle: 0.5 of 512 pixels are the middle 256"),
    REAL("window-center", window_center, -100000, 100000, "-600", "middle of the window for Hounsfield units"),
    REAL("window-width", window_width, 1, 100000, "1500", "width of that window"),
    TEXT("augment", augment, "light", "LEVEL|LIST", "none, light, medium, strong, or a list: flip,rotate=15,noise=0.02,mixup=0.2"),
    INT("seed", seed, 0, 9007199254740992.0, "1", "same seed, same weights, bit for bit, at any number of threads"),
    INT("threads", threads, 0, 1024, "0", "threads; 0: as many as there are cores"),
    CHOICE("precision", precision, precisions, "fp32", "numbers inside the network; weights and sums are always fp32. fp32-strict: fp32 as it is, where a processor with AMX would multiply it in parts, about as exactly and faster"),
    TEXT("init", init, NULL, "MODEL", "model to start from: without --arch its network, with a new head for other classes, its size, channels, fit, windows and dims, unless they are given; with --arch, its layers that have the same name and shape are copied. Brightness is normalised by the new training part, but with --freeze as the model was, for frozen layers expect that"),
    INT("freeze", freeze, 0, 100000, "0", "first layers with weights that are kept as they are"),
    CHOICE("optimizer", optimizer, optimizers, "adamw", "sgd has Nesterov momentum; adam takes weight decay as an L2 term, adamw apart"),
    REAL("momentum", momentum, 0, 0.9999, "0.9", "of sgd"),
    REAL("weight-decay", weight_decay, 0, 10, "0.01", "of weights; biases and normalisation are left alone"),
    CHOICE("schedule", schedule, schedules, "cosine", "of the learning rate; step: a tenth after each third of the steps"),
    REAL("warmup", warmup, 0, 100000, "0", "epochs over which the learning rate rises; of onecycle, 0 is 30 % of all"),
    REAL("clip", clip, 0, 1e12, "0", "largest norm of a step's gradient; 0: none"),
    REAL("ema", ema, 0, 0.999999, "0", "decay of a moving average of the weights, which is then validated and saved; 0: none"),
    REAL("dropout", dropout, -1, 0.99, "-1", "rate of every dropout layer; -1: as the network has it"),
    CHOICE("loss", loss, losses, "auto", "auto: bce for two classes, otherwise ce"),
    REAL("focal", focal, 0, 20, "2", "gamma of the focal loss"),
    REAL("label-smoothing", label_smoothing, 0, 0.9, "0", "share of each label that is spread over all classes"),
    CHOICE("balance", balance, balances, "none", "for unequal classes: weights in the loss, or a sampler that draws rare ones more often; none, because either moves probabilities away from how frequent the classes are, and log loss and calibration with them"),
    INT("patience", patience, 0, 100000, "0", "stop after so many epochs without a better validation loss; 0: never"),
    TEXT("keep", keep, NULL, "best|last", "the model that is scored on the test part (best by validation loss where there is a validation part)"),
    INT("memory", memory, 1, 1048576, "1024", "MiB for pictures kept after decoding"),
    REAL("checkpoint", checkpoint, 0, 1e9, "60", "seconds between checkpoints within an epoch; 0: after every step"),
    FLAG("allow-leakage", allow_leakage, "train though the test or validation part holds pictures that the training part holds too; the model and every report say so"),
    FLAG("shuffle-labels", shuffle_labels, "control: labels are permuted over groups within each part, so that an honest pipeline scores chance"),
    CHOICE("dims", dims, dims, "2d", "what a case is: a slice; a slice with its neighbours as channels; a volume or a stack, which are the rows of a manifest with one patient and one stack (or nodule), by the column slice"),
    INT("depth", depth, 0, HL_RECIPE_DEPTH_MAX, NULL, "slices of the input (3 in 2.5d and 16 in 3d, or what the input line of the network says)"),
    REAL("spacing", spacing, 0, 1000, "0", "millimetres from slice to slice of the input (in 3d with --extent middle); 0: the cases' own slices"),
    CHOICE("extent", extent, extents, "whole", "in 3d: the whole case from end to end made into so many slices; of a chest only from the first slice with lung to the last; or the middle slices, with air beyond the ends"),
    TEXT("windows", windows, NULL, "A,B", "two or three windows for Hounsfield units (lung, mediastinum, bone or center/width), one a channel, instead of --channels and --window-..."),
    {.name = NULL}
};
/* clang-format on */
_Static_assert(sizeof(hilum_train_option_table) / sizeof(hilum_train_option_table[0]) <= 65, "a bit for each option");

/* These do not change the result. */
static bool matters(const struct hilum_option *option)
{
	static const char *const machine[] = {"out", "resume", "threads", "memory", "checkpoint"};
	for (size_t i = 0; i < sizeof(machine) / sizeof(machine[0]); i++)
		if (strcmp(option->name, machine[i]) == 0)
			return false;
	return true;
}

/* The value as text; NULL is the default, "" where that is NULL too. */
static enum hilum_status value_text(const struct hilum_option *option, const struct hilum_train_options *options,
                                    char *text, struct hilum_error *error)
{
	const char *member = (const char *)options + option->offset;
	text[0] = '\0';
	if (option->kind == HILUM_OPTION_TEXT) {
		const char *value;
		memcpy(&value, member, sizeof(value));
		if (!value) {
			snprintf(text, TEXT_MAX, "%s", option->initial ? option->initial : "");
			return HILUM_OK;
		}
	}
	if (option->kind == HILUM_OPTION_CHOICE) {
		int value, count = 0;
		memcpy(&value, member, sizeof(value));
		while (option->choices[count])
			count++;
		if (value < 0 || value >= count)
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: choice %d of %d", option->name, value, count);
	}
	if (!hilum_option_get(option, options, text, TEXT_MAX))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: longer than %d bytes", option->name, TEXT_MAX);
	return HILUM_OK;
}

static enum hilum_status check_together(const struct hilum_train_options *options, struct hilum_error *error)
{
	const char *reason = NULL;
	if (!options->data || !options->data[0])
		reason = "no data set was given";
	else if (options->split && options->folds)
		reason = "split and folds exclude each other";
	else if (options->folds && options->fold < 0)
		reason = "folds needs fold, the one to test on";
	else if (!options->folds && options->fold >= 0)
		reason = "fold needs folds, the table that says which case is in which";
	else if (!options->folds && options->validation > 0)
		reason = "validation goes with folds; without them, split says how much is for validation";
	else if (options->warmup >= (double)options->epochs)
		reason = "warmup must be shorter than all epochs";
	else if (options->dims == HL_DIMS_2 && (options->depth > 1 || options->spacing > 0))
		reason = "depth and spacing are for dims 2.5d and 3d";
	else if (options->dims == HL_DIMS_3 && options->extent != HL_EXTENT_MIDDLE && options->spacing > 0)
		reason = "in 3d, spacing goes with extent middle: otherwise depth decides";
	else if (options->resume && !options->out)
		reason = "resume needs out, the run to go on with";
	else if (options->keep && options->keep[0] && strcmp(options->keep, "best") != 0 &&
	         strcmp(options->keep, "last") != 0)
		reason = "keep is best or last";
	return reason ? hl_fail(error, HILUM_ERROR_ARGUMENT, "%s", reason) : HILUM_OK;
}

enum hilum_status hl_train_options_check(const struct hilum_train_options *options, struct hilum_error *error)
{
	struct hilum_train_options copy = *options;
	char *text = hl_alloc(TEXT_MAX, 1);
	if (!text)
		return hl_fail_memory(error, TEXT_MAX, "options");
	enum hilum_status status = HILUM_OK;
	/* Reading a value's own text back applies the table's ranges. */
	for (const struct hilum_option *option = hilum_train_option_table; option->name && !status; option++) {
		status = value_text(option, options, text, error);
		if (!status && option->kind != HILUM_OPTION_TEXT)
			status = hilum_option_set(hilum_train_option_table, &copy, option->name, text, error);
	}
	hl_free(text);
	return status ? status : check_together(options, error);
}

enum hilum_status hl_train_options_json(const struct hilum_train_options *options, char **out,
                                        struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	char *text = hl_alloc(TEXT_MAX, 1), *dump = NULL;
	if (!text)
		return hl_fail_memory(error, TEXT_MAX, "options");
	json_t *root = json_object();
	for (const struct hilum_option *option = hilum_train_option_table; option->name && !status; option++) {
		status = value_text(option, options, text, error);
		json_t *value = status ? NULL : json_string(text);
		if (!status && !value)
			status = hl_fail(error, HILUM_ERROR_ARGUMENT, "%s: not UTF-8", option->name);
		else if (!status && matters(option) && json_object_set(root, option->name, value))
			status = hl_fail_memory(error, TEXT_MAX, "options");
		json_decref(value);
	}
	if (!status) {
		dump = json_dumps(root, JSON_COMPACT);
		*out = dump ? hl_strdup(dump) : NULL;
		if (!*out)
			status = hl_fail_memory(error, TEXT_MAX, "options");
	}
	free(dump);
	json_decref(root);
	hl_free(text);
	return status;
}

static bool has_bit(const struct hilum_option *option, uint64_t given)
{
	return given >> (option - hilum_train_option_table) & 1;
}

bool hl_train_option_given(const struct hilum_train_options *options, uint64_t given, const char *name)
{
	const struct hilum_option *option = hilum_option_find(hilum_train_option_table, name);
	struct hilum_train_options initial;
	char now[128], was[128];
	hilum_options_init(hilum_train_option_table, &initial);
	return has_bit(option, given) || !hilum_option_get(option, options, now, sizeof(now)) ||
	       !hilum_option_get(option, &initial, was, sizeof(was)) || strcmp(now, was) != 0;
}

/* One option against its value in the run. *at is where a copy of a text goes. */
static enum hilum_status merge_one(const struct hilum_option *option, struct hilum_train_options *options, bool given,
                                   const struct hilum_train_options *initial, const char *stored, char **at, char *now,
                                   struct hilum_error *error)
{
	enum hilum_status status = value_text(option, options, now, error);
	if (status || strcmp(now, stored) == 0)
		return status;
	char *was = *at;
	status = value_text(option, initial, was, error);
	if (status)
		return status;
	if (given || strcmp(now, was) != 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT,
		               "%s is \"%.100s\", but the run was started with \"%.100s\": leave it out to resume, or "
		               "start another run",
		               option->name, now, stored);
	size_t length = strlen(stored) + 1;
	if (length > TEXT_MAX)
		return hl_fail(error, HILUM_ERROR_FORMAT, "%s: damaged in the checkpoint", option->name);
	memcpy(was, stored, length);
	*at += length;
	if (!stored[0] && option->kind == HILUM_OPTION_TEXT)
		return HILUM_OK;
	return hilum_option_set(hilum_train_option_table, options, option->name, was, error);
}

enum hilum_status hl_train_options_merge(struct hilum_train_options *options, uint64_t given, const char *json,
                                         char **keep, struct hilum_error *error)
{
	struct hilum_train_options initial, merged = *options;
	json_t *root = json_loads(json, 0, NULL);
	if (!json_is_object(root)) {
		json_decref(root);
		return hl_fail(error, HILUM_ERROR_FORMAT, "the options in the checkpoint are damaged");
	}
	hilum_options_init(hilum_train_option_table, &initial);
	size_t entries = sizeof(hilum_train_option_table) / sizeof(hilum_train_option_table[0]);
	char *texts = hl_alloc(entries + 1, TEXT_MAX); /* the last place is for the value to compare with */
	if (!texts) {
		json_decref(root);
		return hl_fail_memory(error, (entries + 1) * TEXT_MAX, "options");
	}
	char *at = texts, *now = texts + entries * TEXT_MAX;
	enum hilum_status status = HILUM_OK;
	for (const struct hilum_option *option = hilum_train_option_table; option->name && !status; option++) {
		if (!matters(option))
			continue;
		const char *stored = json_string_value(json_object_get(root, option->name));
		status = stored ? merge_one(option, &merged, has_bit(option, given), &initial, stored, &at, now, error)
		                : hl_fail(error, HILUM_ERROR_FORMAT, "the checkpoint does not say %s", option->name);
	}
	json_decref(root);
	if (status) {
		hl_free(texts);
		return status;
	}
	*options = merged;
	*keep = texts;
	return HILUM_OK;
}

enum hilum_status hl_shell_quote(struct hl_buffer *out, const char *word, struct hilum_error *error)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./,=:+-@%";
	if (word[0] && word[strspn(word, plain)] == '\0')
		return hl_buffer_append(out, word, strlen(word), error);
	enum hilum_status status = hl_buffer_append(out, "'", 1, error);
	for (; *word && !status; word++)
		status =
		    *word == '\'' ? hl_buffer_append(out, "'\\''", 4, error) : hl_buffer_append(out, word, 1, error);
	return status ? status : hl_buffer_append(out, "'", 1, error);
}

/* Left out, these are the model's that --init names, so that even a default has to be written. */
static bool follows_init(const struct hilum_train_options *options, const struct hilum_option *option)
{
	static const char *const recipe[] = {"size", "channels", "fit",     "middle", "window-center", "window-width",
	                                     "dims", "depth",    "spacing", "extent", "windows"};
	for (size_t i = 0; i < sizeof(recipe) / sizeof(recipe[0]); i++)
		if (strcmp(option->name, recipe[i]) == 0)
			return options->init && !options->arch;
	return false;
}

enum hilum_status hl_train_options_command(const struct hilum_train_options *options, struct hl_buffer *out,
                                           struct hilum_error *error)
{
	struct hilum_train_options initial;
	hilum_options_init(hilum_train_option_table, &initial);
	char *now = hl_alloc(2, TEXT_MAX);
	if (!now)
		return hl_fail_memory(error, TEXT_MAX, "options");
	char *was = now + TEXT_MAX;
	enum hilum_status status = hl_buffer_print(out, error, "hilum train ");
	if (!status)
		status = hl_shell_quote(out, options->data, error);
	for (const struct hilum_option *option = hilum_train_option_table; option->name && !status; option++) {
		status = value_text(option, options, now, error);
		if (!status)
			status = value_text(option, &initial, was, error);
		if (status || strcmp(option->name, "resume") == 0 ||
		    (strcmp(now, was) == 0 && !follows_init(options, option)))
			continue;
		status = hl_buffer_print(out, error, " --%s", option->name);
		if (!status && option->kind != HILUM_OPTION_FLAG) {
			status = hl_buffer_append(out, " ", 1, error);
			if (!status)
				status = hl_shell_quote(out, now, error);
		}
	}
	hl_free(now);
	return status;
}
