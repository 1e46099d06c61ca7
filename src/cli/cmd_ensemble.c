#include "cli.h"

struct own {
	const char *out;
};

static const struct hilum_option own_table[] = {
    {.name = "out",
     .kind = HILUM_OPTION_TEXT,
     .offset = offsetof(struct own, out),
     .initial = "ensemble.hilum",
     .value = "FILE",
     .help = "the model to write; -o for short"},
    {0},
};

static int run(const struct verb *verb, int argc, char **argv)
{
	struct own own;
	struct cli_options tables[] = {{.table = verb->own, .object = &own}};
	struct hilum_error error;
	size_t members = 0;
	int count = cli_parse(verb, tables, 1, argc, argv);
	if (count < 0)
		return EXIT_MISUSED;
	if (hilum_ensemble((const char *const *)argv, (size_t)count, own.out, &members, &error))
		return cli_fail(verb, &error);
	fprintf(stderr, "%zu models as one: ", members);
	cli_put(own.out, stderr);
	fputc('\n', stderr);
	return EXIT_DONE;
}

const struct verb verb_ensemble = {
    .name = "ensemble",
    .arguments = "MODEL...",
    .summary = "several models as one",
    .description =
        "Writes one model whose answer (logit) is the mean of those of all MODELs: .hilum files, run folders, or the "
        "folder of hilum crossval, which stands for the models of its folds. They must have the same classes and read "
        "pictures in the same way; networks may differ. The ensemble is a model like any other, and costs what its "
        "members cost together.\n\n"
        "A case is of the ensemble's test part where every member was tested on it. The members of a cross-validation "
        "leave none: score such an ensemble on other data, or take the score of hilum crossval for the score of one "
        "member.",
    .examples = "hilum ensemble runs/folds -o model.hilum\nhilum ensemble runs/a runs/b runs/c -o model.hilum",
    .own = own_table,
    .least = 1,
    .most = -1,
    .run = run,
};
