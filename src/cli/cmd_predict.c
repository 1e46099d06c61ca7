#include "cli.h"

#include <string.h>
#include <sys/stat.h>

struct own {
	bool json, stack, force, tta;
	int64_t threads;
	int precision, aggregate;
};

static const char *const precisions[] = {"fp32", "bf16", "int8", "fp32-strict", NULL};

/* In the order of enum hilum_aggregate. */
static const char *const aggregates[] = {"auto", "mean", "max", "noisy-or", NULL};

static const struct hilum_option own_table[] = {
    {.name = "json",
     .kind = HILUM_OPTION_FLAG,
     .offset = offsetof(struct own, json),
     .help = "print one JSON object a line: path, class, probability, probability_raw, zone, probabilities; "
             "slices, where a model for slices has looked at several; unusual, how far the input is from the training "
             "pictures; of a refused one refused, reason, error"},
    {.name = "stack",
     .kind = HILUM_OPTION_FLAG,
     .offset = offsetof(struct own, stack),
     .help = "the files are the slices of one case, in order"},
    {.name = "force",
     .kind = HILUM_OPTION_FLAG,
     .offset = offsetof(struct own, force),
     .help = "answer where a scan would be refused (no chest CT, another modality, broken geometry), and say so"},
    {.name = "tta",
     .kind = HILUM_OPTION_FLAG,
     .offset = offsetof(struct own, tta),
     .help = "answer every picture as it is and mirrored, and take the mean"},
    {.name = "aggregate",
     .kind = HILUM_OPTION_CHOICE,
     .offset = offsetof(struct own, aggregate),
     .choices = aggregates,
     .initial = "auto",
     .help = "how a model for slices makes one answer of a case's slices; auto: the mean"},
    {.name = "threads",
     .kind = HILUM_OPTION_INT,
     .offset = offsetof(struct own, threads),
     .minimum = 0,
     .maximum = 1024,
     .initial = "0",
     .value = "N",
     .help = "threads; 0 means the cores that are available, and one for a single picture"},
    {.name = "precision",
     .kind = HILUM_OPTION_CHOICE,
     .offset = offsetof(struct own, precision),
     .choices = precisions,
     .initial = "fp32",
     .help = "arithmetic of the network; int8 needs a model that hilum quantize has seen; fp32-strict: fp32 as it is, "
             "also where there is AMX"},
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

static void print_json_slices(const struct hilum_profile *profile)
{
	printf(", \"slices\": [");
	for (int32_t i = 0; i < profile->count; i++) {
		const struct hilum_slice *slice = &profile->slices[i];
		printf("%s{\"slice\": %d, \"z\": ", i ? ", " : "", slice->slice);
		if (slice->z == slice->z)
			printf("%.3f", slice->z);
		else
			printf("null");
		printf(", \"probability\": %.17g, \"probability_raw\": %.17g}", slice->probability,
		       slice->probability_raw);
	}
	putchar(']');
}

static void print_json(const struct hilum_model *model, const char *path, const struct hilum_prediction *prediction,
                       const struct hilum_profile *profile)
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
	putchar('}');
	if (prediction->unusual == prediction->unusual)
		printf(", \"unusual\": {\"flagged\": %s, \"value\": %.6g, \"threshold\": %.6g, \"rate\": %.6g}",
		       prediction->is_unusual ? "true" : "false", prediction->unusual, prediction->unusual_threshold,
		       prediction->unusual_rate);
	if (prediction->forced) {
		printf(", \"forced\": true, \"reason\": ");
		print_json_text(prediction->reason);
	}
	if (profile->count > 0)
		print_json_slices(profile);
	printf(", \"research_use_only\": true}\n");
}

/* "not a chest CT (...)" of the message of a refusal, which names the file first. */
static const char *refusal(const struct hilum_error *error)
{
	const char *found = error->message;
	for (const char *p = found; (p = strstr(p, "refused: ")) != NULL; p++)
		found = p + strlen("refused: ");
	return found;
}

static void print_json_error(const char *path, const struct hilum_error *error)
{
	printf("{\"path\": ");
	print_json_text(path);
	if (error->code == HILUM_ERROR_REFUSED) {
		printf(", \"refused\": true, \"reason\": ");
		print_json_text(refusal(error));
	}
	printf(", \"error\": {\"code\": ");
	print_json_text(hilum_status_name(error->code));
	printf(", \"message\": ");
	print_json_text(error->message);
	printf("}, \"research_use_only\": true}\n");
}

static void print_text(const struct hilum_model *model, const char *path, const struct hilum_prediction *prediction,
                       const struct hilum_profile *profile)
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
	if (profile->count > 0) {
		int32_t most = 0;
		for (int32_t i = 1; i < profile->count; i++)
			if (profile->slices[i].probability > profile->slices[most].probability)
				most = i;
		printf(", %d slices, most in slice %d", profile->count, profile->slices[most].slice);
		if (profile->slices[most].z == profile->slices[most].z)
			printf(" at z = %.1f mm", profile->slices[most].z);
		printf(" (%.4f)", profile->slices[most].probability);
	}
	if (prediction->is_unusual)
		printf(", unlike the training pictures (distance %.2f, usually below %.2f)", prediction->unusual,
		       prediction->unusual_threshold);
	if (prediction->forced) {
		printf(", forced: ");
		cli_put(prediction->reason, stdout);
	}
	putchar('\n');
}

/* A case of count files; false where it could not be answered, which has been said. */
static bool predict_one(const struct verb *verb, const struct hilum_model *model, struct hilum_session *session,
                        const struct own *own, char **paths, int count)
{
	struct hilum_prediction prediction;
	struct hilum_profile *profile;
	struct hilum_error error;
	if (hilum_predict_case(session, (const char *const *)paths, count, own->aggregate, &prediction, &profile,
	                       &error)) {
		bool refused = error.code == HILUM_ERROR_REFUSED;
		if (!refused)
			cli_fail(verb, &error);
		if (own->json) {
			print_json_error(paths[0], &error);
		} else if (refused) {
			cli_put(paths[0], stdout);
			printf(": refused: ");
			cli_put(refusal(&error), stdout);
			putchar('\n');
		}
		return false;
	}
	if (own->json)
		print_json(model, paths[0], &prediction, profile);
	else
		print_text(model, paths[0], &prediction, profile);
	hilum_profile_free(profile);
	return true;
}

static int predict_all(const struct verb *verb, const struct hilum_model *model, struct hilum_session *session,
                       const struct own *own, int count, char **paths)
{
	bool sound = true;
	int i = 0, step = own->stack ? count : 1;
	for (; i < count && !cli_stop; i += step)
		sound = predict_one(verb, model, session, own, paths + i, step) && sound;
	if (i < count) {
		fprintf(stderr, "hilum %s: stopped after %d of %d\n", verb->name, i, count);
		sound = false;
	}
	if (!own->json)
		fprintf(stderr, "For research only; not a medical device.\n");
	return sound ? EXIT_DONE : EXIT_FAILED;
}

/* A picture takes a few milliseconds; a second thread, which starts and then waits for the next layer where the decoder
 * should run, costs more than it gains. The answer is the same, bit for bit. */
static int64_t threads_for(const struct own *own, int count, char **paths)
{
	struct stat info;
	bool small = count == 1 && stat(paths[0], &info) == 0 && S_ISREG(info.st_mode) && info.st_size < 4 << 20;

	return own->threads == 0 && small ? 1 : own->threads;
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
	struct hilum_session_options options = {.threads = threads_for(&own, arguments - 1, argv + 1),
	                                        .precision = own.precision,
	                                        .force = own.force,
	                                        .tta = own.tta};
	int code;
	cli_catch_signals();
	if (hilum_session_open(model, &options, &session, &error)) {
		code = cli_fail(verb, &error);
	} else {
		code = predict_all(verb, model, session, &own, arguments - 1, argv + 1);
		hilum_session_close(session);
	}
	hilum_model_close(model);
	return code;
}

const struct verb verb_predict = {
    .name = "predict",
    .arguments = "MODEL SCAN...",
    .summary = "predict pictures, volumes and stacks",
    .description =
        "Prints, for every SCAN (a picture, a volume, a folder with a series, an archive), the class and the "
        "probability of every class. A model for slices looks at every slice of a volume, of a chest at those that "
        "show lung, and one answer is made of theirs (--aggregate); --json tells the slices with their place in "
        "millimetres and what each would say alone: probability as calibrated, as the case's is, and "
        "probability_raw, the network's own, of which the case's is made. A file that cannot be read is "
        "named with the reason on standard error (and with --json as a line with \"error\"), and the rest "
        "go on; the exit status is then 1, and so it is after Ctrl-C, which lets the picture at hand be "
        "finished. A model that was trained on slices of chest CT refuses what is none: a photograph, a drawing, "
        "noise, another part of the body (docs/refusal.md); such an answer is \"refused\" with the reason, and the "
        "exit status is 1.",
    .examples = "hilum predict runs/a slice.png\nhilum predict runs/a slices/*.jpg --json\nhilum predict runs/a "
                "series/ --json\n"
                "hilum predict runs/a --stack s1.png s2.png s3.png",
    .own = own_table,
    .least = 2,
    .most = -1,
    .run = run,
};
