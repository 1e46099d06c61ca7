#include "cli.h"

struct own {
	bool json;
};

static const struct hilum_option own_table[] = {
    {.name = "json", .kind = HILUM_OPTION_FLAG, .offset = offsetof(struct own, json), .help = "print one JSON object"},
    {0},
};

static enum hilum_status print(char **argv, const struct hilum_comparison *comparison, bool json,
                               struct hilum_error *error)
{
	for (int i = 0; i < 2 && !json; i++) {
		printf("%c: ", "AB"[i]);
		cli_put(argv[i], stdout);
		putchar('\n');
	}
	return hilum_comparison_print(comparison, json ? HILUM_OUTPUT_JSON : HILUM_OUTPUT_TEXT, stdout, error);
}

static int run(const struct verb *verb, int argc, char **argv)
{
	struct hilum_score_options options;
	struct own own;
	struct cli_options tables[] = {{.table = verb->library, .object = &options},
	                               {.table = verb->own, .object = &own}};
	struct hilum_scores *scores[2] = {NULL, NULL};
	struct hilum_comparison *comparison = NULL;
	struct hilum_error error;
	if (cli_parse(verb, tables, 2, argc, argv) < 0)
		return EXIT_MISUSED;
	const struct hilum_score_options plain = {.by = HILUM_BY_CASE};
	enum hilum_status status = HILUM_OK;
	for (int i = 0; i < 2 && !status; i++)
		status = hilum_score_file(argv[i], &plain, &scores[i], &error);
	if (!status)
		status = hilum_compare(scores[0], scores[1], &options, &comparison, &error);
	if (!status)
		status = print(argv, comparison, own.json, &error);
	hilum_comparison_free(comparison);
	hilum_scores_free(scores[0]);
	hilum_scores_free(scores[1]);
	return status ? cli_fail(verb, &error) : EXIT_DONE;
}

const struct verb verb_compare = {
    .name = "compare",
    .arguments = "A.csv B.csv",
    .summary = "compare two models on the same cases",
    .description =
        "Reads two tables as hilum score does (hilum eval --predictions writes them), matches their cases by path (or "
        "id), and says of every figure how large the difference is and whether chance alone may have made it: the 95 % "
        "interval comes from drawing the same groups (patients) for both. Groups are those of A, or of B where A "
        "has none. Where every case is a group of its own, the ROC-AUCs are compared by DeLong's test too.",
    .examples = "hilum compare a.csv b.csv\nhilum compare a.csv b.csv --by group --json",
    .library = hilum_score_option_table,
    .own = own_table,
    .least = 2,
    .most = 2,
    .run = run,
};
