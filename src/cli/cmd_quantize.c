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
	struct hilum_quantize_options options = {.data = NULL};
	struct hilum_quantize_result result;
	struct own own;
	struct cli_options tables[] = {{.table = verb->library, .object = &options},
	                               {.table = verb->own, .object = &own}};
	struct hilum_error error;
	if (cli_parse(verb, tables, 2, argc, argv) < 0)
		return EXIT_MISUSED;
	options.data = argv[1];
	if (hilum_quantize(argv[0], &options, &result, &error) ||
	    hilum_quantize_print(&result, own.json ? HILUM_OUTPUT_JSON : HILUM_OUTPUT_TEXT, stdout, &error))
		return cli_fail(verb, &error);
	fprintf(stderr, "written: ");
	cli_put(result.file, stderr);
	fputc('\n', stderr);
	return EXIT_DONE;
}

const struct verb verb_quantize = {
    .name = "quantize",
    .arguments = "MODEL DATA",
    .summary = "let a model run in int8",
    .description =
        "Finds the range of every layer's values on cases of DATA, chooses the scale by which each is told in a byte "
        "with the least mean square error, and stores the scales in MODEL (a .hilum file or a run folder, which stands "
        "for its best.hilum); earlier ones are replaced. From then on hilum predict, eval and bench take --precision "
        "int8. Weights stay float32 in the file and are made bytes, with a scale for each output channel, when the "
        "model is used; other precisions are as before.\n\n"
        "Then both float32 and int8 answer the cases of the test part, and what int8 costs there is printed and stored "
        "in the model. No label is used to find ranges.",
    .examples = "hilum quantize runs/a slices --groups groups.csv --out fast.hilum\n"
                "hilum predict fast.hilum slice.png --precision int8",
    .library = hilum_quantize_option_table,
    .own = own_table,
    .least = 2,
    .most = 2,
    .run = run,
};
