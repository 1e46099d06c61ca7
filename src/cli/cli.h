/* What the verbs of the command line share. The command line sees hilum.h only, as any other program would. */
#ifndef HILUM_CLI_H
#define HILUM_CLI_H
#include "hilum/hilum.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_MISUSED = 2 };

/* Option tables and the structures they fill. A verb has the library's and its own. */
struct cli_options {
	const struct hilum_option *table;
	void *object;
	uint64_t given; /* bit i: entry i of the table was given */
};

struct verb {
	const char *name;
	const char *arguments;   /* "MODEL DATA" */
	const char *summary;     /* one line */
	const char *description; /* paragraphs for the manual page, separated by empty lines */
	const char *examples;    /* command lines, one a line */
	const struct hilum_option *library, *further, *own; /* tables or NULL; two of the library's at most */
	int least, most;                                    /* arguments; most < 0: no limit */
	int (*run)(const struct verb *verb, int argc, char **argv);
};

extern const struct verb verb_phantom, verb_train, verb_eval, verb_score, verb_predict, verb_info, verb_ops,
    verb_doctor, verb_bench, verb_compare, verb_calibrate, verb_view, verb_convert, verb_lungs, verb_quantize,
    verb_audit, verb_crossval, verb_report, verb_explain, verb_robustness, verb_ensemble;
extern const struct verb *const verbs[]; /* NULL-terminated */

/* Initialises the structures and parses "--name value", "--name=value" and flags into them; the rest is moved to the
 * front of argv. Returns the number of arguments, or -1 after a message on stderr. */
int cli_parse(const struct verb *verb, struct cli_options *options, size_t count, int argc, char **argv);

void cli_help(const struct verb *verb, FILE *file);
void cli_manual(const struct verb *verb, FILE *file); /* man(7) source */
void cli_overview(FILE *file);
void cli_overview_manual(FILE *file);
void cli_completion(FILE *file); /* for bash */

/* "hilum VERB: message" on stderr; the exit code that fits the error. */
int cli_fail(const struct verb *verb, const struct hilum_error *error);
/* Text on one line, its control characters as "?": names of files could drive a terminal. */
void cli_put(const char *text, FILE *file);
/* The code, or EXIT_FAILED with a message when stdout could not be written. verb may be NULL. */
int cli_finish(const struct verb *verb, int code);

/* Whether stderr is a terminal that wants colours and moving lines. */
bool cli_is_terminal(void);
/* Clears a moving line, if there is one, so that a message can be printed. */
void cli_progress(void *context, const struct hilum_progress *progress);
void cli_clear_line(void);
/* Replaces the moving line. */
void cli_moving_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "WHAT DONE of TOTAL UNITS", moving on a terminal, otherwise a line now and then; context: the units, as text. */
void cli_count(void *context, const char *what, int64_t done, int64_t total);
/* Set by the first Ctrl-C or SIGTERM; the second ends the process. */
extern volatile int cli_stop;
void cli_catch_signals(void);
#endif
