#include "cli.h"

#include <string.h>

struct own {
	bool json;
	int64_t threads;
	int precision;
};

static const char *const precisions[] = {"fp32", "bf16", "int8", NULL};

static const struct hilum_option own_table[] = {
    {.name = "json",
     .kind = HILUM_OPTION_FLAG,
     .offset = offsetof(struct own, json),
     .help = "print one JSON object a line: path, class, probability, probability_raw, zone, probabilities"},
    {.name = "threads",
     .kind = HILUM_OPTION_INT,
     .offset = offsetof(struct own, threads),
     .minimum = 0,
     .maximum = 1024,
     .initial = "0",
     .value = "N",
     .help = "threads; 0 means the cores that are available"},
    {.name = "precision",
     .kind = HILUM_OPTION_CHOICE,
     .offset = offsetof(struct own, precision),
     .choices = precisions,
     .initial = "fp32",
     .help = "arithmetic of the network; int8 needs a model that hilum quantize has seen"},
    {0},
};

/* Bytes of the UTF-8 sequence at text (RFC 3629); 0 where there is none, for a file's name may be any bytes. */
static size_t sequence(const unsigned char *text)
{
	static const unsigned char least[] = {0, 0, 0xc2, 0xe0, 0xf0};
	size_t length = text[0] < 0x80 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
	if (length > 1 && (text[0] < least[length] || text[0] > 0xf4))
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	bool overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
	bool outside = (text[0] == 0xed && text[1] > 0x9f) || (text[0] == 0xf4 && text[1] > 0x8f);
	return overlong || outside ? 0 : length;
}

/* RFC 8259 asks for UTF-8: any other byte becomes U+FFFD. */
static void print_json_text(const char *text)
{
	putchar('"');
	for (const unsigned char *p = (const unsigned char *)text; *p;) {
		size_t length = sequence(p);
		if (length == 0)
			printf("\\ufffd");
		else if (*p == '"' || *p == '\\')
			printf("\\%c", *p);
		else if (*p < 0x20 || *p == 0x7f)
			printf("\\u%04x", *p);
		else
			printf("%.*s", (int)length, (const char *)p);
		p += length ? length : 1;
	}
	putchar('"');
}

static const char *const zones[] = {
    [HILUM_ZONE_LOW] = "low", [HILUM_ZONE_UNCERTAIN] = "uncertain", [HILUM_ZONE_HIGH] = "high"};

static void print_json(const struct hilum_model *model, const char *path, const struct hilum_prediction *prediction)
{
	printf("{\"path\": ");
	print_json_text(path);
	printf(", \"class\": ");
	print_json_text(hilum_model_class_name(model, prediction->class_index));
	printf(", \"probability\": %.17g, \"probability_raw\": %.17g", prediction->probability,
	       prediction->probability_raw);
	if (prediction->zone != HILUM_ZONE_NONE)
		printf(", \"zone\": \"%s\"", zones[prediction->zone]);
	printf(", \"probabilities\": {");
	for (int32_t i = 0; i < prediction->count; i++) {
		printf("%s", i ? ", " : "");
		print_json_text(hilum_model_class_name(model, i));
		printf(": %.17g", prediction->probabilities[i]);
	}
	printf("}, \"research_use_only\": true}\n");
}

static void print_json_error(const char *path, const struct hilum_error *error)
{
	printf("{\"path\": ");
	print_json_text(path);
	printf(", \"error\": {\"code\": ");
	print_json_text(hilum_status_name(error->code));
	printf(", \"message\": ");
	print_json_text(error->message);
	printf("}, \"research_use_only\": true}\n");
}

static void print_text(const struct hilum_model *model, const char *path, const struct hilum_prediction *prediction)
{
	cli_put(path, stdout);
	printf(": ");
	cli_put(hilum_model_class_name(model, prediction->class_index), stdout);
	for (int32_t i = 0; i < prediction->count; i++) {
		printf(i ? ", " : " (");
		cli_put(hilum_model_class_name(model, i), stdout);
		printf(" %.4f", prediction->probabilities[i]);
	}
	putchar(')');
	if (prediction->zone != HILUM_ZONE_NONE)
		printf(", zone: %s", zones[prediction->zone]);
	putchar('\n');
}

static int predict_all(const struct verb *verb, const struct hilum_model *model, struct hilum_session *session,
                       bool json, int count, char **paths)
{
	int code = EXIT_DONE, i = 0;
	for (; i < count && !cli_stop; i++) {
		struct hilum_prediction prediction;
		struct hilum_error error;
		if (hilum_predict_file(session, paths[i], &prediction, &error)) {
			code = cli_fail(verb, &error);
			if (json)
				print_json_error(paths[i], &error);
		} else if (json) {
			print_json(model, paths[i], &prediction);
		} else {
			print_text(model, paths[i], &prediction);
		}
	}
	if (i < count) {
		fprintf(stderr, "hilum %s: stopped after %d of %d\n", verb->name, i, count);
		code = EXIT_FAILED;
	}
	if (!json)
		fprintf(stderr, "For research only; not a medical device.\n");
	return code == EXIT_DONE ? EXIT_DONE : EXIT_FAILED;
}

static int run(const struct verb *verb, int argc, char **argv)
{
	struct own own;
	struct cli_options tables[] = {{.table = verb->own, .object = &own}};
	struct hilum_model *model;
	struct hilum_session *session;
	struct hilum_error error;
	int arguments = cli_parse(verb, tables, 1, argc, argv);
	if (arguments < 0)
		return EXIT_MISUSED;
	if (hilum_model_open(argv[0], &model, &error))
		return cli_fail(verb, &error);
	struct hilum_session_options options = {.threads = own.threads, .precision = own.precision};
	int code;
	cli_catch_signals();
	if (hilum_session_open(model, &options, &session, &error)) {
		code = cli_fail(verb, &error);
	} else {
		code = predict_all(verb, model, session, own.json, arguments - 1, argv + 1);
		hilum_session_close(session);
	}
	hilum_model_close(model);
	return code;
}

const struct verb verb_predict = {
    .name = "predict",
    .arguments = "MODEL SCAN...",
    .summary = "predict one picture or many",
    .description =
        "Prints, for every SCAN, the class and the probability of every class. A file that cannot be read is "
        "named with the reason on standard error (and with --json as a line with \"error\"), and the rest "
        "go on; the exit status is then 1, and so it is after Ctrl-C, which lets the picture at hand be "
        "finished.",
    .examples = "hilum predict runs/a slice.png\nhilum predict runs/a slices/*.jpg --json",
    .own = own_table,
    .least = 2,
    .most = -1,
    .run = run,
};
