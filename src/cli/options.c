/* Options from their tables: parsing, --help, manual pages, completion. */
#include "cli.h"

#include <string.h>

static int misuse(const struct verb *verb, const char *message, const char *what)
{
	fprintf(stderr, "hilum %s: %s%s\nusage: hilum %s [options] %s\n", verb->name, message, what, verb->name,
	        verb->arguments);
	return -1;
}

/* Parses argv[*i] as an option; moves *i on when its value is the next word. */
static bool parse_one(const struct verb *verb, struct cli_options *options, size_t count, int argc, char **argv, int *i)
{
	char name[64];
	const char *word = argv[*i] + 2, *equals = strchr(word, '=');
	size_t length = equals ? (size_t)(equals - word) : strlen(word);
	if (length >= sizeof(name)) {
		misuse(verb, "unknown option ", argv[*i]);
		return false;
	}
	memcpy(name, word, length);
	name[length] = '\0';
	for (size_t k = 0; k < count; k++) {
		const struct hilum_option *option = hilum_option_find(options[k].table, name);
		if (!option)
			continue;
		const char *value = equals ? equals + 1 : NULL;
		if (!value && option->kind != HILUM_OPTION_FLAG) {
			if (*i + 1 >= argc) {
				misuse(verb, "a value is missing after --", name);
				return false;
			}
			value = argv[++*i];
		}
		struct hilum_error error;
		if (hilum_option_set(options[k].table, options[k].object, name, value, &error)) {
			misuse(verb, "", error.message);
			return false;
		}
		options[k].given |= UINT64_C(1) << (option - options[k].table);
		return true;
	}
	misuse(verb, "unknown option --", name);
	return false;
}

int cli_parse(const struct verb *verb, struct cli_options *options, size_t count, int argc, char **argv)
{
	int arguments = 0;
	bool ended = false;
	for (size_t k = 0; k < count; k++) {
		hilum_options_init(options[k].table, options[k].object);
		options[k].given = 0;
	}
	for (int i = 0; i < argc; i++) {
		if (!ended && strcmp(argv[i], "--") == 0) {
			ended = true;
		} else if (!ended && strncmp(argv[i], "--", 2) == 0) {
			if (!parse_one(verb, options, count, argc, argv, &i))
				return -1;
		} else if (!ended && strcmp(argv[i], "-o") == 0) {
			static char out[] = "--out";
			argv[i] = out;
			if (!parse_one(verb, options, count, argc, argv, &i))
				return -1;
		} else if (!ended && argv[i][0] == '-' && argv[i][1] != '\0') {
			return misuse(verb, "unknown option ", argv[i]);
		} else {
			argv[arguments++] = argv[i];
		}
	}
	if (arguments < verb->least)
		return misuse(verb, "missing argument: ", verb->arguments);
	if (verb->most >= 0 && arguments > verb->most)
		return misuse(verb, "too many arguments: ", argv[verb->most]);
	return arguments;
}

static void print_choices(const struct hilum_option *option, FILE *file)
{
	for (size_t i = 0; option->choices[i]; i++)
		fprintf(file, "%s%s", i ? "|" : "", option->choices[i]);
}

static void print_value(const struct hilum_option *option, FILE *file)
{
	if (option->kind == HILUM_OPTION_CHOICE)
		print_choices(option, file);
	else
		fputs(option->value ? option->value : "X", file);
}

static int value_width(const struct hilum_option *option)
{
	int width = 0;
	if (option->kind == HILUM_OPTION_FLAG)
		return 0;
	if (option->kind != HILUM_OPTION_CHOICE)
		return (int)strlen(option->value ? option->value : "X");
	for (size_t i = 0; option->choices[i]; i++)
		width += (int)strlen(option->choices[i]) + (i > 0);
	return width;
}

static bool has_default(const struct hilum_option *option)
{
	return option->initial && option->initial[0] && option->kind != HILUM_OPTION_FLAG;
}

/* Words of text, wrapped at 100 columns behind an indentation. */
static void print_wrapped(const char *text, int indent, int column, FILE *file)
{
	while (*text) {
		size_t length = strcspn(text, " ");
		if (column + (int)length > 100) {
			fprintf(file, "\n%*s", indent, "");
			column = indent;
		}
		fprintf(file, "%.*s", (int)length, text);
		column += (int)length;
		text += length;
		if (*text == ' ') {
			text++;
			fputc(' ', file);
			column++;
		}
	}
}

static void print_table(const struct hilum_option *table, FILE *file)
{
	enum { INDENT = 30 };
	for (const struct hilum_option *option = table; option && option->name; option++) {
		int width = 4 + (int)strlen(option->name) + 1 + value_width(option);
		fprintf(file, "  --%s ", option->name);
		if (option->kind != HILUM_OPTION_FLAG)
			print_value(option, file);
		if (width >= INDENT) {
			fputc('\n', file);
			width = 0;
		}
		fprintf(file, "%*s", INDENT - width, "");
		char help[600];
		if (has_default(option))
			snprintf(help, sizeof(help), "%s (%s)", option->help, option->initial);
		else
			snprintf(help, sizeof(help), "%s", option->help);
		print_wrapped(help, INDENT, INDENT, file);
		fputc('\n', file);
	}
}

static void print_lines(const char *lines, const char *prefix, FILE *file)
{
	while (lines && *lines) {
		size_t length = strcspn(lines, "\n");
		fprintf(file, "%s%.*s\n", prefix, (int)length, lines);
		lines += length + (lines[length] == '\n');
	}
}

void cli_help(const struct verb *verb, FILE *file)
{
	fprintf(file, "hilum %s: %s\n\nusage: hilum %s [options] %s\n", verb->name, verb->summary, verb->name,
	        verb->arguments);
	if (verb->library || verb->further || verb->own)
		fprintf(file, "\noptions (defaults in brackets):\n");
	print_table(verb->library, file);
	print_table(verb->further, file);
	print_table(verb->own, file);
	fprintf(file, "  --help                      this text\n");
	if (verb->examples) {
		fprintf(file, "\nexamples:\n");
		print_lines(verb->examples, "  ", file);
	}
	fprintf(file, "\nFor research only; not a medical device. See also: man hilum-%s\n", verb->name);
}

void cli_overview(FILE *file)
{
	fprintf(file,
	        "hilum %s: learns to tell cancerous from healthy lungs on CT, and says honestly how well\n\n"
	        "usage: hilum VERB [options] ARGUMENTS\n\n",
	        hilum_version());
	for (size_t i = 0; verbs[i]; i++)
		fprintf(file, "  %-9s %s\n", verbs[i]->name, verbs[i]->summary);
	fprintf(file, "\nhilum VERB --help shows a verb's options; hilum --version the version.\n"
	              "For research only; not a medical device.\n");
}

/* Text for man(7): backslashes, hyphens and leading dots escaped. */
static void print_roff(const char *text, FILE *file)
{
	for (bool start = true; *text; text++) {
		if (start && (*text == '.' || *text == '\''))
			fputs("\\&", file);
		if (*text == '\\')
			fputs("\\e", file);
		else if (*text == '-')
			fputs("\\-", file);
		else
			fputc(*text, file);
		start = *text == '\n';
	}
}

static void print_roff_paragraphs(const char *text, FILE *file)
{
	while (text && *text) {
		const char *end = strstr(text, "\n\n");
		size_t length = end ? (size_t)(end - text) : strlen(text);
		char paragraph[2048];
		snprintf(paragraph, sizeof(paragraph), "%.*s", (int)length, text);
		fputs(".PP\n", file);
		print_roff(paragraph, file);
		fputc('\n', file);
		text = end ? end + 2 : text + length;
	}
}

static void print_roff_table(const struct hilum_option *table, FILE *file)
{
	for (const struct hilum_option *option = table; option && option->name; option++) {
		fprintf(file, ".TP\n.B \\-\\-");
		print_roff(option->name, file);
		if (option->kind != HILUM_OPTION_FLAG) {
			fputs(" \\fI", file);
			print_value(option, file);
			fputs("\\fR", file);
		}
		fputc('\n', file);
		print_roff(option->help, file);
		if (has_default(option)) {
			fputs(" (default: ", file);
			print_roff(option->initial, file);
			fputc(')', file);
		}
		fputs(".\n", file);
	}
}

static void print_roff_examples(const char *examples, FILE *file)
{
	if (!examples)
		return;
	fputs(".SH EXAMPLES\n.nf\n", file);
	print_roff(examples, file);
	fputs("\n.fi\n", file);
}

static const char notice[] = ".SH NOTICE\nFor research only. hilum is not a medical device and never claims to "
                             "diagnose.\n";

void cli_manual(const struct verb *verb, FILE *file)
{
	fprintf(file, ".TH HILUM-%s 1 \"\" \"hilum %s\"\n.SH NAME\nhilum-%s \\- ", verb->name, hilum_version(),
	        verb->name);
	print_roff(verb->summary, file);
	fprintf(file, "\n.SH SYNOPSIS\n.B hilum %s\n[options] %s\n.SH DESCRIPTION\n", verb->name, verb->arguments);
	print_roff_paragraphs(verb->description, file);
	fputs(".SH OPTIONS\n", file);
	print_roff_table(verb->library, file);
	print_roff_table(verb->further, file);
	print_roff_table(verb->own, file);
	fputs(".TP\n.B \\-\\-help\nShows the options.\n", file);
	print_roff_examples(verb->examples, file);
	fputs(".SH EXIT STATUS\n0 done; 1 failed; 2 misused.\n", file);
	fputs(notice, file);
	fputs(".SH SEE ALSO\n.BR hilum (1)\n", file);
}

void cli_overview_manual(FILE *file)
{
	fprintf(file,
	        ".TH HILUM 1 \"\" \"hilum %s\"\n.SH NAME\nhilum \\- learns to tell cancerous from healthy lungs on CT\n"
	        ".SH SYNOPSIS\n.B hilum\n.I VERB\n[options] arguments\n.SH DESCRIPTION\n"
	        "hilum trains convolutional networks on CT slices, evaluates them honestly and applies them, on an "
	        "ordinary processor, without Python, a graphics card or a network.\n"
	        "Data go to standard output, progress and messages to standard error.\n.SH VERBS\n",
	        hilum_version());
	for (size_t i = 0; verbs[i]; i++) {
		fprintf(file, ".TP\n.BR hilum\\-%s (1)\n", verbs[i]->name);
		print_roff(verbs[i]->summary, file);
		fputc('\n', file);
	}
	fputs(
	    ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nNo colours and no moving lines.\n.TP\n.B HILUM_BACKENDS\nWhich back "
	    "ends may run a network's layers, in order, for finding faults: avx512,vector,onednn,reference.\n"
	    ".TP\n.B OMP_WAIT_POLICY\nHow threads wait for each other: passive (default of this program) or active, "
	    "which "
	    "may be a little faster on a machine that does nothing else.\n"
	    ".TP\n.B HILUM_SANDBOX\noff reads files in the program itself instead of in processes that can do nothing "
	    "else.\n"
	    ".TP\n.B HILUM_VERBOSE\nMore messages.\n.SH EXIT STATUS\n0 done; 1 failed; 2 misused.\n",
	    file);
	fputs(notice, file);
}

void cli_completion(FILE *file)
{
	fputs("# bash completion for hilum; generated by `hilum help --completion`\n_hilum() {\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]}\n\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W \"",
	      file);
	for (size_t i = 0; verbs[i]; i++)
		fprintf(file, "%s ", verbs[i]->name);
	fputs("help --help --version\" -- \"$word\"))\n\t\treturn\n\tfi\n\tcase ${COMP_WORDS[1]} in\n", file);
	for (size_t i = 0; verbs[i]; i++) {
		fprintf(file, "\t%s) COMPREPLY=($(compgen -W \"--help", verbs[i]->name);
		const struct hilum_option *tables[] = {verbs[i]->library, verbs[i]->further, verbs[i]->own};
		for (size_t k = 0; k < 3; k++)
			for (const struct hilum_option *option = tables[k]; option && option->name; option++)
				fprintf(file, " --%s", option->name);
		fputs("\" -- \"$word\")) ;;\n", file);
	}
	fputs("\tesac\n\t[[ $word == -* ]] || COMPREPLY=($(compgen -f -- \"$word\"))\n}\n"
	      "complete -o filenames -F _hilum hilum\n",
	      file);
}
