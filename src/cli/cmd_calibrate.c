#include "cli.h"

struct own {
	bool json;
};

static const struct hilum_option own_table[] = {
    {.name = "json", .kind = HILUM_OPTION_FLAG, .offset = offsetof(struct own, json), .help = "print one JSON object"},
    {0},
};

static int run(const struct verb *verb, int argc, char **argv)
{
	struct hilum_calibrate_options options = {.data = NULL};
	struct hilum_calibrate_result result;
	struct own own;
	struct cli_options tables[] = {{.table = verb->library, .object = &options},
	                               {.table = verb->own, .object = &own}};
	struct hilum_error error;
	if (cli_parse(verb, tables, 2, argc, argv) < 0)
		return EXIT_MISUSED;
	options.data = argv[1];
	if (hilum_calibrate(argv[0], &options, &result, &error) ||
	    hilum_calibrate_print(&result, own.json ? HILUM_OUTPUT_JSON : HILUM_OUTPUT_TEXT, stdout, &error))
		return cli_fail(verb, &error);
	fprintf(stderr, "written: ");
	cli_put(result.file, stderr);
	fputc('\n', stderr);
	return EXIT_DONE;
}

const struct verb verb_calibrate = {
    .name = "calibrate",
    .arguments = "MODEL DATA",
    .summary = "make a model's probabilities mean what they say",
    .description =
        "Fits a map from the network's probabilities to ones that agree with what is observed on cases it was not "
        "trained on: the validation part of the run's own data set, or another site's data. The map is stored in MODEL "
        "(a .hilum file or a run folder, which stands for its best.hilum) and used by hilum predict and hilum eval; "
        "an earlier one is replaced.\n\n"
        "With --conformal SHARE it also finds the borders of three zones, low, uncertain and high, such that of the "
        "positive cases at most SHARE are called low and of the negative ones at most SHARE high: split conformal "
        "prediction within each class, one case of each group.",
    .examples = "hilum calibrate runs/a slices --groups groups.csv\n"
                "hilum calibrate runs/a elsewhere --method platt --conformal 0.05 --out elsewhere.hilum",
    .library = hilum_calibrate_option_table,
    .own = own_table,
    .least = 2,
    .most = 2,
    .run = run,
};
