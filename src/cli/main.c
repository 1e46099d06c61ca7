#include "cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

const struct verb *const verbs[] = {&verb_phantom, &verb_train, &verb_eval,   &verb_score, &verb_predict,
                                    &verb_info,    &verb_ops,   &verb_doctor, NULL};

volatile int cli_stop;

static void on_signal(int number)
{
	(void)number;
	cli_stop = 1;
}

void cli_catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static void log_line(void *context, enum hilum_level level, const char *line)
{
	const bool *verbose = context;
	if (level == HILUM_LOG_DEBUG && !*verbose)
		return;
	cli_clear_line();
	fprintf(stderr, "%s%s\n", level == HILUM_LOG_WARNING ? "warning: " : "", line);
}

int cli_fail(const struct verb *verb, const struct hilum_error *error)
{
	cli_clear_line();
	fprintf(stderr, "hilum %s: %s\n", verb->name, error->message);
	return error->code == HILUM_ERROR_ARGUMENT ? EXIT_MISUSED : EXIT_FAILED;
}

int cli_finish(const struct verb *verb, int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "hilum %s: standard output could not be written\n", verb->name);
	return EXIT_FAILED;
}

static const struct verb *find(const char *name)
{
	for (size_t i = 0; verbs[i]; i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

/* `hilum help [VERB]`, and what the build asks for: `hilum help --man [VERB]`, `hilum help --completion`. */
static int help(int argc, char **argv)
{
	bool manual = argc > 0 && strcmp(argv[0], "--man") == 0;
	if (argc > 0 && strcmp(argv[0], "--completion") == 0) {
		cli_completion(stdout);
		return EXIT_DONE;
	}
	const char *name = argc > manual ? argv[manual] : NULL;
	const struct verb *verb = name ? find(name) : NULL;
	if (name && !verb) {
		fprintf(stderr, "hilum help: no verb \"%s\"; hilum --help lists them\n", name);
		return EXIT_MISUSED;
	}
	if (verb)
		(manual ? cli_manual : cli_help)(verb, stdout);
	else
		(manual ? cli_overview_manual : cli_overview)(stdout);
	return EXIT_DONE;
}

int main(int argc, char **argv)
{
	static bool verbose;
	verbose = getenv("HILUM_VERBOSE") != NULL;
	hilum_log_to(log_line, &verbose);
	if (argc < 2) {
		cli_overview(stderr);
		return EXIT_MISUSED;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
		return help(argc - 2, argv + 2);
	if (strcmp(name, "--version") == 0) {
		printf("hilum %s\nFor research only; not a medical device.\n", hilum_version());
		return EXIT_DONE;
	}
	const struct verb *verb = find(name);
	if (!verb) {
		fprintf(stderr, "hilum: no verb \"%s\"; hilum --help lists them\n", name);
		return EXIT_MISUSED;
	}
	for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			cli_help(verb, stdout);
			return cli_finish(verb, EXIT_DONE);
		}
	return cli_finish(verb, verb->run(verb, argc - 2, argv + 2));
}
