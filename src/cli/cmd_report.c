#include "cli.h"

static int run(const struct verb *verb, int argc, char **argv)
{
	struct hilum_report_options options;
	struct hilum_error error;
	struct cli_options tables[] = {{.table = verb->library, .object = &options}};
	int inputs = cli_parse(verb, tables, 1, argc, argv);
	if (inputs < 0)
		return EXIT_MISUSED;
	if (hilum_report((const char *const *)argv, (size_t)inputs, &options, &error))
		return cli_fail(verb, &error);
	cli_put(options.out, stdout);
	putchar('\n');
	return EXIT_DONE;
}

const struct verb verb_report = {
    .name = "report",
    .arguments = "RUN|TABLE.csv...",
    .summary = "one HTML page about a run, a cross-validation or a table of answers",
    .description =
        "Writes one file that needs nothing else: figures with their intervals, ROC, precision-recall, reliability and "
        "decision curves, a threshold to move, the confusion matrix, the worst errors as pictures, subgroups by any "
        "column of a table, learning curves, folds and what can be had without a network, a model card, and a check "
        "list after CLAIM 2024 and TRIPOD+AI in which the authors fill in the rest. Nothing is fetched from "
        "elsewhere.\n\n"
        "The first input is reported: a run folder of hilum train (its test part) or hilum crossval (all folds), or a "
        "table as hilum score takes it. Others are compared with it on the cases that both answered.\n\n"
        "The page shows pictures and paths of the data set: it is as confidential as they are.",
    .examples = "hilum report runs/a -o report.html\n"
                "hilum report runs/cv other.csv --subgroups scanner --table cases.csv\n"
                "hilum report predictions.csv --data slices --by group --prevalence 0.02",
    .library = hilum_report_option_table,
    .least = 1,
    .most = -1,
    .run = run,
};
