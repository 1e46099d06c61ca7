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
	struct hilum_bench_options options;
	struct own own;
	struct cli_options tables[] = {{.table = verb->library, .object = &options},
	                               {.table = verb->own, .object = &own}};
	struct hilum_error error;
	if (cli_parse(verb, tables, 2, argc, argv) < 0)
		return EXIT_MISUSED;
	if (hilum_bench(&options, own.json ? HILUM_OUTPUT_JSON : HILUM_OUTPUT_TEXT, stdout, &error))
		return cli_fail(verb, &error);
	return EXIT_DONE;
}

const struct verb verb_bench = {
    .name = "bench",
    .arguments = "",
    .summary = "time a network on this machine",
    .description =
        "Times training steps or forward passes on images of noise and prints the median, least and greatest wall "
        "time, the processor time, images a second, arithmetic a second (convolutions and dense layers, two operations "
        "a multiply-add; in training three times as much, less the gradient by the network's input, which nobody "
        "wants) and its share of what this processor reaches in a loop of multiply-adds in registers.\n\n"
        "That peak is measured in the same run, with as many threads, and is that of the fastest instructions among "
        "AVX2, AVX-512 and, for their precisions, AVX-512 bf16 and VNNI. Tile instructions (AMX) are not among them, "
        "so that a share above 100 % is possible where they are used.\n\n"
        "On a machine that does other work, believe processor time more than wall time, and ratios of two runs that "
        "alternate more than either.",
    .examples = "hilum bench\nhilum bench --net R --mode infer --precision bf16 --threads 1\n"
                "hilum bench --net runs/a --mode infer --nodes\nhilum bench --net net.txt --batch 4 --json",
    .library = hilum_bench_option_table,
    .own = own_table,
    .least = 0,
    .most = 0,
    .run = run,
};
