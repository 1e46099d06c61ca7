#include "cli.h"

#include <stdio.h>
#include <time.h>

struct own {
	bool json;
	const char *html, *write_groups;
};

static const struct hilum_option own_table[] = {
    {.name = "json", .kind = HILUM_OPTION_FLAG, .offset = offsetof(struct own, json), .help = "print one JSON object"},
    {.name = "html",
     .kind = HILUM_OPTION_TEXT,
     .offset = offsetof(struct own, html),
     .value = "FILE",
     .help = "write what was found as one HTML file with the pairs as pictures"},
    {.name = "write-groups",
     .kind = HILUM_OPTION_TEXT,
     .offset = offsetof(struct own, write_groups),
     .value = "CSV",
     .help = "write the inferred groups as hilum train --groups takes them"},
    {0},
};

static int run(const struct verb *verb, int argc, char **argv)
{
	struct hilum_audit_options options;
	struct own own;
	struct cli_options tables[] = {{.table = verb->library, .object = &options},
	                               {.table = verb->own, .object = &own}};
	struct hilum_audit *audit = NULL;
	struct hilum_error error;
	if (cli_parse(verb, tables, 2, argc, argv) < 0)
		return EXIT_MISUSED;
	options.data = argv[0];
	cli_catch_signals();
	static char units[] = "pictures";
	const struct hilum_audit_events events = {.progress = cli_count, .context = units, .stop = &cli_stop};
	enum hilum_status status = hilum_audit(&options, &events, &audit, &error);
	cli_clear_line();
	if (!status && own.write_groups)
		status = hilum_audit_write_groups(audit, own.write_groups, &error);
	if (!status && own.html)
		status = hilum_audit_html(audit, own.html, &error);
	if (!status)
		status = hilum_audit_print(audit, own.json ? HILUM_OUTPUT_JSON : HILUM_OUTPUT_TEXT, stdout, &error);
	hilum_audit_free(audit);
	return status ? cli_fail(verb, &error) : EXIT_DONE;
}

const struct verb verb_audit = {
    .name = "audit",
    .arguments = "DATA",
    .summary = "find copies, leaks and shortcuts in a data set before believing a score on it",
    .description =
        "Reads every picture of DATA (a folder of class folders or a CSV manifest) and compares each with each. Named "
        "are files that cannot be read or are no CT; copies, byte for byte, pixel for pixel, or saved anew, resized, "
        "brightened, with noise, shifted, cut, turned or rotated; neighbouring slices of one scan; one picture under "
        "two labels; and, where a split is given, pairs that stand on two sides of it.\n\n"
        "Pictures that a chain of pairs joins are one inferred group, to stand in for the patient where nobody says "
        "who that is: --write-groups writes them for hilum train --groups, and --groups auto there makes them by "
        "itself.\n\n"
        "Shortcuts are what should say nothing of the label: the shape of the picture, the size of its file, how it "
        "is encoded, borders, marks, mean grey, the picture with the lungs painted over. Each is given the ROC-AUC "
        "with "
        "which it predicts the label of groups that it has not seen.",
    .examples = "hilum audit slices\nhilum audit slices --groups groups.csv --html audit.html\n"
                "hilum audit slices --split 70/15/15 --json\nhilum audit slices --write-groups groups.csv",
    .library = hilum_audit_option_table,
    .own = own_table,
    .least = 1,
    .most = 1,
    .run = run,
};
