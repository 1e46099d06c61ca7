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
	struct hilum_robustness_options options = {.data = NULL};
	struct hilum_robustness *robustness = NULL;
	struct own own;
	struct cli_options tables[] = {{.table = verb->library, .object = &options},
	                               {.table = verb->own, .object = &own}};
	struct hilum_error error;
	static char units[] = "flaws";
	if (cli_parse(verb, tables, 2, argc, argv) < 0)
		return EXIT_MISUSED;
	options.data = argv[1];
	cli_catch_signals();
	const struct hilum_audit_events events = {.progress = cli_count, .context = units, .stop = &cli_stop};
	enum hilum_status status = hilum_robustness(argv[0], &options, &events, &robustness, &error);
	cli_clear_line();
	if (!status)
		status = hilum_robustness_print(robustness, own.json ? HILUM_OUTPUT_JSON : HILUM_OUTPUT_TEXT, stdout,
		                                &error);
	hilum_robustness_free(robustness);
	return status ? cli_fail(verb, &error) : EXIT_DONE;
}

const struct verb verb_robustness = {
    .name = "robustness",
    .arguments = "MODEL DATA",
    .summary = "what noise, blur, brightness, shift and JPEG cost a model",
    .description =
        "Answers the cases of DATA with MODEL (a .hilum file or a run folder, which stands for its best.hilum) as they "
        "are and with one flaw at a time: noise, blur, darker and brighter, shifted, saved as JPEG, each at several "
        "strengths. The flaws are put into the pictures as the network sees them: resized and windowed, 8 bits. Every "
        "score stands beside its difference to the pictures as they are, whose 95 % interval comes from drawing whole "
        "groups (patients).\n\n"
        "Where MODEL is a run folder, robustness.json is written into it, which hilum report shows. On the data set "
        "that the model was trained on, the test part of its split is used.",
    .examples = "hilum robustness runs/a slices --groups groups.csv\n"
                "hilum robustness model.hilum elsewhere --json -o robustness.json",
    .library = hilum_robustness_option_table,
    .own = own_table,
    .least = 2,
    .most = 2,
    .run = run,
};
