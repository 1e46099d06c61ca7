#include "cli.h"

#include <string.h>

static int run(const struct verb *verb, int argc, char **argv)
{
	struct hilum_train_options options;
	struct hilum_train_result result = {.run = ""};
	struct hilum_error error;
	struct cli_options tables[] = {{.table = verb->library, .object = &options}};
	if (cli_parse(verb, tables, 1, argc, argv) < 0)
		return EXIT_MISUSED;
	options.data = argv[0];
	cli_catch_signals();
	struct hilum_train_events events = {.progress = cli_progress, .stop = &cli_stop, .given = tables[0].given};
	if (hilum_train(&options, &events, &result, &error))
		return cli_fail(verb, &error);
	cli_clear_line();
	enum hilum_status status = HILUM_OK;
	if (result.test) {
		printf("Test part, scored by the model as saved and reloaded:\n\n");
		status = hilum_scores_print(result.test, HILUM_OUTPUT_TEXT, stdout, &error);
	} else {
		printf("No test part: nothing says how good this model is.\n"
		       "Research use only: not a medical device.\n");
	}
	hilum_scores_free(result.test);
	fprintf(stderr, "run folder %s\n", result.run);
	return status ? cli_fail(verb, &error) : EXIT_DONE;
}

const struct verb verb_train = {
    .name = "train",
    .arguments = "DATA",
    .summary = "train a network on a folder of classes or a CSV manifest",
    .description =
        "DATA is a folder whose subfolders are the classes, or a CSV manifest with the columns path and label, and "
        "optionally group or patient, and split. Cases of one group (one patient) are kept on one side of every "
        "split.\n\n"
        "The run folder receives the command, the architecture, the recipe that turns a scan into the network's input, "
        "the split, a log of every epoch, best.hilum, last.hilum and a checkpoint. Ctrl-C finishes the step and saves; "
        "the same command with --out RUN --resume goes on and gives the same weights, bit for bit, as if it had never "
        "been "
        "stopped. A kill loses at most the steps since the last checkpoint.\n\n"
        "The scores printed at the end are those of the model as saved and reloaded, on the test part, which training "
        "has not seen.",
    .examples = "hilum train slices --groups groups.csv --positive benign,malignant\n"
                "hilum train slices --arch \"seed filters=16,32,64 dense=64\" --size 128 --epochs 30\n"
                "hilum train slices --arch resnet18 --precision bf16 --augment flip,rotate=10,noise=0.02\n"
                "hilum train slices --out runs/a --resume\n"
                "hilum train others --init runs/a --freeze 2 --lr 0.0003",
    .library = hilum_train_option_table,
    .least = 1,
    .most = 1,
    .run = run,
};
