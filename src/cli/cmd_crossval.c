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
	struct hilum_crossval_options options;
	struct own own;
	struct hilum_crossval *crossval;
	struct hilum_error error;
	struct cli_options tables[] = {{.table = verb->library, .object = &options.train},
	                               {.table = verb->further, .object = &options},
	                               {.table = verb->own, .object = &own}};
	if (cli_parse(verb, tables, 3, argc, argv) < 0)
		return EXIT_MISUSED;
	options.train.data = argv[0];
	cli_catch_signals();
	struct hilum_train_events events = {.progress = cli_progress, .stop = &cli_stop, .given = tables[0].given};
	if (hilum_crossval(&options, &events, &crossval, &error))
		return cli_fail(verb, &error);
	cli_clear_line();
	enum hilum_status status =
	    hilum_crossval_print(crossval, own.json ? HILUM_OUTPUT_JSON : HILUM_OUTPUT_TEXT, stdout, &error);
	fprintf(stderr, "run folder %s\n", hilum_crossval_folder(crossval));
	hilum_crossval_free(crossval);
	return status ? cli_fail(verb, &error) : EXIT_DONE;
}

const struct verb verb_crossval = {
    .name = "crossval",
    .arguments = "DATA",
    .summary = "train and test every fold, and score all of them together",
    .description =
        "Cuts DATA into folds (whole groups, classes in their shares; or as --folds says), trains a network for each "
        "on the other folds with any option of hilum train, and tests it on that one. The table at the end gives every "
        "figure as mean and standard deviation over folds, and of all answers together with its 95 % interval from "
        "drawing whole groups, beside what can be had without a network: the majority class, the nearest thumbnail, "
        "mean grey, file size, and each numeric column of the manifest or of --groups.\n\n"
        "With --validation 0.2 a fifth of each training part (by group) chooses the epoch whose model is kept and the "
        "threshold; the test fold takes no part in either.\n\n"
        "The run folder receives a folder for each fold, as hilum train makes it, folds.csv, predictions.csv with the "
        "answer to every case, and crossval.json. After a stop or a kill the same command with --out RUN --resume goes "
        "on; folds that are finished are not trained again.",
    .examples = "hilum crossval slices --groups groups.csv --epochs 12\n"
                "hilum crossval nodules/manifest.csv --folds folds.csv --validation 0.2 --seeds 3 --tta\n"
                "hilum crossval slices --groups groups.csv --control shuffled-labels\n"
                "hilum crossval slices --out runs/cv --resume",
    .library = hilum_train_option_table,
    .further = hilum_crossval_option_table,
    .own = own_table,
    .least = 1,
    .most = 1,
    .run = run,
};
