#include "cli.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BRIEF_FILES = 8, BRIEF_BYTES = 64 << 20 }; /* the model among them */

const struct verb *const verbs[] = {
    &verb_phantom, &verb_train,     &verb_crossval, &verb_eval,    &verb_score,      &verb_compare,
    &verb_report,  &verb_calibrate, &verb_quantize, &verb_predict, &verb_explain,    &verb_info,
    &verb_view,    &verb_convert,   &verb_lungs,    &verb_audit,   &verb_robustness, &verb_ensemble,
    &verb_ops,     &verb_doctor,    &verb_bench,    NULL};

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

void cli_put(const char *text, FILE *file)
{
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;
		fputc(byte < 0x20 || byte == 0x7f ? '?' : byte, file);
	}
}

int cli_fail(const struct verb *verb, const struct hilum_error *error)
{
	cli_clear_line();
	fprintf(stderr, "hilum %s: ", verb->name);
	cli_put(error->message, stderr);
	fputc('\n', stderr);
	return error->code == HILUM_ERROR_ARGUMENT ? EXIT_MISUSED : EXIT_FAILED;
}

int cli_finish(const struct verb *verb, int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "hilum%s%s: standard output could not be written\n", verb ? " " : "", verb ? verb->name : "");
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

/* A standard stream that the caller closed would give its number to the next file opened, a model say, and messages
 * would be written into it. /dev/null the wrong way round takes the place: reading or writing fails as it would have.
 */
static void occupy_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
			return;
}

/* A picture or a few are predicted in less time than starting anew takes. */
static bool is_brief(char **argv)
{
	int files = 0;

	if (strcmp(argv[1], "predict") != 0)
		return false;
	for (char **argument = argv + 2; *argument; argument++) {
		struct stat info;
		if (stat(*argument, &info))
			continue;
		if (!S_ISREG(info.st_mode) || info.st_size > BRIEF_BYTES || ++files > BRIEF_FILES)
			return false;
	}
	return true;
}

/* Threads that wait for each other are to sleep after a tenth of a millisecond instead of spinning on: on a busy
 * machine spinning burns many times the work itself; without any, waking takes a third of a small network's time.
 * libgomp asks the environment once, when it is loaded, so the program has to be started anew; should that fail, it
 * works all the same. */
static void sleep_when_waiting(char **argv)
{
	if (getenv("OMP_WAIT_POLICY") || is_brief(argv))
		return;
	setenv("OMP_WAIT_POLICY", "passive", 1);
	setenv("GOMP_SPINCOUNT", "10000", 0);
	execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
	static bool verbose;
	occupy_standard_streams();
	verbose = getenv("HILUM_VERBOSE") != NULL;
	hilum_log_to(log_line, &verbose);
	if (argc < 2) {
		cli_overview(stderr);
		return EXIT_MISUSED;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
		return cli_finish(NULL, help(argc - 2, argv + 2));
	if (strcmp(name, "--version") == 0) {
		printf("hilum %s\nFor research only; not a medical device.\n", hilum_version());
		return cli_finish(NULL, EXIT_DONE);
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
	sleep_when_waiting(argv);
	return cli_finish(verb, verb->run(verb, argc - 2, argv + 2));
}
