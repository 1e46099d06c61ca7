#include "nn/arch.h"

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "nn/presets.h"

/* The text may come out of a foreign model file. */
#define FILE_MAX ((size_t)1 << 20)
#define LINES_MAX (4 * HL_NODES_MAX)
#define LINE_MAX_BYTES 2048
#define WORDS_MAX 64
#define BLANKS " \t\r\v\f"

struct words {
	char text[LINE_MAX_BYTES];
	char *word[WORDS_MAX];
	int count;
};

static enum hilum_status split_words(const char *line, size_t length, struct words *out, struct hilum_error *error)
{
	char *save = NULL;
	out->count = 0;
	if (length >= sizeof(out->text))
		return hl_fail(error, HILUM_ERROR_LIMIT, "longer than %d bytes", LINE_MAX_BYTES - 1);
	memcpy(out->text, line, length);
	out->text[length] = '\0';
	out->text[strcspn(out->text, "#")] = '\0';
	for (char *word = strtok_r(out->text, BLANKS, &save); word; word = strtok_r(NULL, BLANKS, &save)) {
		if (out->count == WORDS_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "more than %d words", WORDS_MAX);
		out->word[out->count++] = word;
	}
	return HILUM_OK;
}

/* ---- layers ---- */

/* Edits between two names (Levenshtein 1966), for names short enough to be a slip of the hand. */
static size_t distance(const char *a, const char *b)
{
	size_t row[33], length = strlen(b);
	if (length >= 32 || strlen(a) >= 32)
		return SIZE_MAX;
	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < length; j++) {
			size_t best = diagonal + (a[i] != b[j]);
			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j + 1] + 1 < best)
				best = row[j + 1] + 1;
			row[j + 1] = best;
		}
	}
	return row[length];
}

static enum hilum_status fail_op(const char *name, struct hilum_error *error)
{
	const struct hl_op *nearest = hl_ops[0];
	for (const struct hl_op *const *op = hl_ops + 1; *op; op++)
		if (distance(name, (*op)->name) < distance(name, nearest->name))
			nearest = *op;
	size_t edits = distance(name, nearest->name);
	if (edits <= 3 && edits < strlen(name))
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "unknown layer '%.80s'; did you mean '%s'?", name,
		               nearest->name);
	return hl_fail(error, HILUM_ERROR_ARGUMENT, "unknown layer '%.80s'", name);
}

/* from=a,b: the list is cut up in place. */
static enum hilum_status parse_from(const struct hl_graph *graph, char *list, int32_t input[HL_INPUTS_MAX],
                                    int32_t *inputs, struct hilum_error *error)
{
	*inputs = 0;
	for (char *name = list; name;) {
		char *comma = strchr(name, ',');
		if (comma)
			*comma = '\0';
		if (*inputs == HL_INPUTS_MAX)
			return hl_fail(error, HILUM_ERROR_LIMIT, "from: more than %d inputs", HL_INPUTS_MAX);
		input[*inputs] = hl_graph_find(graph, name);
		if (input[*inputs] < 0)
			return hl_fail(error, HILUM_ERROR_ARGUMENT, "from: no line before this one is named '%.80s'",
			               name);
		(*inputs)++;
		name = comma ? comma + 1 : NULL;
	}
	return HILUM_OK;
}

static enum hilum_status set_option(const struct hl_op *op, void *options, const char *name, const char *value,
                                    int64_t outputs, struct hilum_error *error)
{
	char number[32];
	if (value && value[0] == '$') {
		if (strcmp(value, "$outputs") != 0)
			return hl_fail(error, HILUM_ERROR_ARGUMENT,
			               "%.40s: unknown variable '%.80s'; there is $outputs", name, value);
		snprintf(number, sizeof(number), "%" PRId64, outputs);
		value = number;
	}
	return hilum_option_set(op->options, options, name, value, error);
}

/* OPTION=VALUE words; each at most once. */
static enum hilum_status parse_options(const struct hl_graph *graph, const struct hl_op *op, char *const *word,
                                       int count, int64_t outputs, void *options, int32_t input[HL_INPUTS_MAX],
                                       int32_t *inputs, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	for (int i = 0; i < count && !status; i++) {
		char *equals = strchr(word[i], '=');
		if (equals)
			*equals = '\0';
		for (int k = 0; k < i; k++)
			if (strcmp(word[k], word[i]) == 0)
				return hl_fail(error, HILUM_ERROR_ARGUMENT, "%.80s: given twice", word[i]);
		if (strcmp(word[i], "from") == 0 && equals)
			status = parse_from(graph, equals + 1, input, inputs, error);
		else
			status = set_option(op, options, word[i], equals ? equals + 1 : NULL, outputs, error);
	}
	return status;
}

static enum hilum_status parse_layer(struct hl_graph *graph, char *const *word, int count, int64_t outputs,
                                     struct hilum_error *error)
{
	const char *name = NULL;
	size_t length = strlen(word[0]);
	int32_t input[HL_INPUTS_MAX] = {graph->nodes - 1}, inputs = 1;
	if (word[0][length - 1] == ':') {
		word[0][length - 1] = '\0';
		name = word[0];
		word++;
		count--;
	}
	if (count == 0)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "a name without a layer");
	const struct hl_op *op = hl_op_find(word[0]);
	if (!op)
		return fail_op(word[0], error);
	void *options = hl_alloc(1, op->options_size);
	if (!options)
		return hl_fail_memory(error, op->options_size, "a layer's options");
	hilum_options_init(op->options, options);
	enum hilum_status status =
	    parse_options(graph, op, word + 1, count - 1, outputs, options, input, &inputs, error);
	if (!status)
		status = hl_graph_append(graph, name, op, options, input, inputs, error);
	hl_free(options);
	return status ? hl_prefix(error, status, "%s", op->name) : HILUM_OK;
}

/* ---- the input ---- */

static bool agrees(struct hl_shape known, struct hl_shape given)
{
	return (known.d == 0 || known.d == given.d) && (known.h == 0 || known.h == given.h) &&
	       (known.w == 0 || known.w == given.w) && (known.c == 0 || known.c == given.c);
}

static enum hilum_status parse_input(struct words *words, struct hl_shape known, struct hl_graph **graph,
                                     struct hilum_error *error)
{
	char text[128];
	struct hl_shape shape;
	if (*graph)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "input: must be the first line, and the only one");
	if (words->count != 2)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "input: one size is wanted, such as 1x256x256x3");
	snprintf(text, sizeof(text), "1x%.100s", words->word[1]);
	if (strlen(words->word[1]) > 100 || !hl_shape_parse(text, &shape))
		return hl_fail(error, HILUM_ERROR_ARGUMENT,
		               "input: '%.80s' is not depth x height x width x channels, such as 1x256x256x3",
		               words->word[1]);
	if (!agrees(known, shape))
		return hl_fail(error, HILUM_ERROR_ARGUMENT,
		               "input: %.80s, but the images are %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64
		               " (0: any)",
		               words->word[1], known.d, known.h, known.w, known.c);
	return hl_graph_begin(shape, graph, error);
}

static enum hilum_status begin_known(struct hl_shape known, struct hl_graph **graph, struct hilum_error *error)
{
	if (known.d < 1 || known.h < 1 || known.w < 1 || known.c < 1)
		return hl_fail(error, HILUM_ERROR_ARGUMENT,
		               "an input line is missing before the first layer, such as: input 1x256x256x3");
	return hl_graph_begin(known, graph, error);
}

/* ---- text ---- */

static enum hilum_status parse_line(struct words *words, struct hl_shape input, int64_t outputs,
                                    struct hl_graph **graph, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	if (words->count == 0)
		return HILUM_OK;
	if (strcmp(words->word[0], "input") == 0)
		return parse_input(words, input, graph, error);
	if (!*graph)
		status = begin_known(input, graph, error);
	return status ? status : parse_layer(*graph, words->word, words->count, outputs, error);
}

enum hilum_status hl_arch_parse(const char *text, struct hl_shape input, int64_t outputs, struct hl_graph **out,
                                struct hilum_error *error)
{
	struct hl_graph *graph = NULL;
	struct words words;
	enum hilum_status status = HILUM_OK;
	int number = 1;
	for (const char *line = text; *line && !status; number++) {
		size_t length = strcspn(line, "\n");
		if (number > LINES_MAX)
			status = hl_fail(error, HILUM_ERROR_LIMIT, "more than %d lines", LINES_MAX);
		if (!status)
			status = split_words(line, length, &words, error);
		if (!status)
			status = parse_line(&words, input, outputs, &graph, error);
		if (status)
			hl_prefix(error, status, "line %d", number);
		line += length + (line[length] == '\n');
	}
	if (!status && !graph)
		status = hl_fail(error, HILUM_ERROR_ARGUMENT, "the network has no layer");
	if (!status)
		status = hl_graph_finish(graph, error);
	if (status) {
		hl_graph_free(graph);
		return status;
	}
	*out = graph;
	return HILUM_OK;
}

/* ---- printing ---- */

static enum hilum_status print_options(const struct hl_node *node, bool open, struct hl_buffer *out,
                                       struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	for (const struct hilum_option *option = node->op->options; option && option->name && !status; option++) {
		char value[512];
		if (!hilum_option_get(option, node->options, value, sizeof(value)))
			return hl_fail(error, HILUM_ERROR_INTERNAL, "%s: %s does not fit its line", node->name,
			               option->name);
		/* An empty list of sizes means that another option decides, and has no value to spell. */
		if (open && strcmp(option->name, "units") == 0)
			status = hl_buffer_print(out, error, " units=$outputs");
		else if (value[0])
			status = hl_buffer_print(out, error, " %s=%s", option->name, value);
	}
	return status;
}

static enum hilum_status print_node(const struct hl_graph *graph, int32_t index, bool open, struct hl_buffer *out,
                                    struct hilum_error *error)
{
	const struct hl_node *node = &graph->node[index];
	enum hilum_status status = hl_buffer_print(out, error, "%s: %s", node->name, node->op->name);
	if (!status)
		status = print_options(node, open, out, error);
	if (node->inputs != 1 || node->input[0] != index - 1)
		for (int32_t k = 0; k < node->inputs && !status; k++)
			status =
			    hl_buffer_print(out, error, "%s%s", k ? "," : " from=", graph->node[node->input[k]].name);
	return status ? status : hl_buffer_append(out, "\n", 1, error);
}

enum hilum_status hl_arch_print(const struct hl_graph *graph, struct hl_buffer *out, struct hilum_error *error)
{
	struct hl_shape input = graph->node[0].shapes.out;
	enum hilum_status status = hl_buffer_print(
	    out, error, "input %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 "\n", input.d, input.h, input.w, input.c);
	for (int32_t i = 1; i < graph->nodes && !status; i++)
		status = print_node(graph, i, false, out, error);
	return status;
}

enum hilum_status hl_arch_print_open(const struct hl_graph *graph, struct hl_buffer *out, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	for (int32_t i = 1; i < graph->nodes && !status; i++)
		status = print_node(graph, i, i == graph->logits, out, error);
	return status;
}

/* ---- presets and files ---- */

static enum hilum_status write_preset(const struct hl_preset *preset, const char *settings, struct hl_buffer *out,
                                      struct hilum_error *error)
{
	struct words words;
	enum hilum_status status = split_words(settings, strlen(settings), &words, error);
	void *options = hl_alloc(1, preset->options_size);
	if (!options)
		status = hl_fail_memory(error, preset->options_size, "a preset's settings");
	if (!status)
		hilum_options_init(preset->options, options);
	for (int i = 0; i < words.count && !status; i++) {
		char *equals = strchr(words.word[i], '=');
		if (equals)
			*equals = '\0';
		status = hilum_option_set(preset->options, options, words.word[i], equals ? equals + 1 : NULL, error);
	}
	if (!status)
		status = preset->write(options, out, error);
	hl_free(options);
	return status ? hl_prefix(error, status, "%s", preset->name) : HILUM_OK;
}

static enum hilum_status fail_unknown(const char *arch, struct hilum_error *error)
{
	char list[256] = "";
	size_t length = 0;
	for (const struct hl_preset *preset = hl_presets; preset->name; preset++)
		length +=
		    (size_t)snprintf(list + length, sizeof(list) - length, "%s%s", length ? ", " : "", preset->name);
	return hl_fail(error, HILUM_ERROR_ARGUMENT, "arch: '%.200s' is neither a file nor a preset (%s)", arch, list);
}

enum hilum_status hl_arch_text(const char *arch, struct hl_buffer *out, struct hilum_error *error)
{
	size_t length = strcspn(arch, BLANKS);
	const struct hl_preset *preset = hl_preset_find(arch, length);
	struct hl_buffer file;
	enum hilum_status status;
	if (preset)
		return write_preset(preset, arch + length, out, error);
	if (!hl_path_exists(arch))
		return fail_unknown(arch, error);
	hl_buffer_init(&file, FILE_MAX);
	status = hl_file_read(arch, FILE_MAX, &file, error);
	if (!status && file.length > 0 && memchr(file.data, '\0', file.length))
		status = hl_fail(error, HILUM_ERROR_FORMAT, "%s: not a text", arch);
	if (!status)
		status = hl_buffer_append(out, file.data, file.length, error);
	hl_buffer_free(&file);
	return status;
}
