#include "cli.h"

struct own {
	bool json, plan;
};

static const struct hilum_option json_only[] = {
    {.name = "json", .kind = HILUM_OPTION_FLAG, .offset = offsetof(struct own, json), .help = "print one JSON object"},
    {0},
};

static const struct hilum_option info_table[] = {
    {.name = "json", .kind = HILUM_OPTION_FLAG, .offset = offsetof(struct own, json), .help = "print one JSON object"},
    {.name = "plan",
     .kind = HILUM_OPTION_FLAG,
     .offset = offsetof(struct own, plan),
     .help = "show which back end runs each layer on this machine"},
    {0},
};

static enum hilum_output output(const struct own *own)
{
	return own->json ? HILUM_OUTPUT_JSON : HILUM_OUTPUT_TEXT;
}

static int run_info(const struct verb *verb, int argc, char **argv)
{
	struct own own;
	struct cli_options tables[] = {{.table = verb->own, .object = &own}};
	struct hilum_error error;
	int arguments = cli_parse(verb, tables, 1, argc, argv), code = EXIT_DONE;
	if (arguments < 0)
		return EXIT_MISUSED;
	for (int i = 0; i < arguments; i++)
		if (hilum_info(argv[i], output(&own), own.plan, stdout, &error))
			code = cli_fail(verb, &error);
	return code;
}

static int run_ops(const struct verb *verb, int argc, char **argv)
{
	struct own own;
	struct cli_options tables[] = {{.table = verb->own, .object = &own}};
	struct hilum_error error;
	if (cli_parse(verb, tables, 1, argc, argv) < 0)
		return EXIT_MISUSED;
	return hilum_describe_ops(output(&own), stdout, &error) ? cli_fail(verb, &error) : EXIT_DONE;
}

static int run_doctor(const struct verb *verb, int argc, char **argv)
{
	struct own own;
	struct cli_options tables[] = {{.table = verb->own, .object = &own}};
	struct hilum_error error;
	if (cli_parse(verb, tables, 1, argc, argv) < 0)
		return EXIT_MISUSED;
	return hilum_doctor(output(&own), stdout, &error) ? cli_fail(verb, &error) : EXIT_DONE;
}

const struct verb verb_info = {
    .name = "info",
    .arguments = "MODEL|SCAN...",
    .summary = "tell what a model or a scan is",
    .description =
        "Describes a model (architecture, recipe, classes, where it comes from, what it scored) or a scan: format, "
        "size, "
        "place in the patient, type and distribution of its values, and what was noticed, repaired or is in doubt. A "
        "scan is a file, a folder with a DICOM series, or an archive of either.",
    .examples = "hilum info runs/a\nhilum info runs/a --plan\nhilum info series/\nhilum info scan.nii.gz --json",
    .own = info_table,
    .least = 1,
    .most = -1,
    .run = run_info,
};

const struct verb verb_ops = {
    .name = "ops",
    .arguments = "",
    .summary = "list the layers that an architecture can be made of",
    .description =
        "Prints every layer with its options, their ranges and defaults, and the ONNX operator it stands for.",
    .examples = "hilum ops",
    .own = json_only,
    .least = 0,
    .most = 0,
    .run = run_ops,
};

const struct verb verb_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "check this machine: processor, memory, libraries, back ends",
    .description =
        "Shows what hilum sees of this machine and runs a small test of each back end against the reference.",
    .examples = "hilum doctor",
    .own = json_only,
    .least = 0,
    .most = 0,
    .run = run_doctor,
};
