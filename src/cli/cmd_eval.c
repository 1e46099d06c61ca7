#include "cli.h"

struct own {
	bool json;
};

static const struct hilum_option own_table[] = {
    {.name = "json", .kind = HILUM_OPTION_FLAG, .offset = offsetof(struct own, json), .help = "print one JSON object"},
    {0},
};

static int print(const struct verb *verb, struct hilum_scores *scores, bool json)
{
	struct hilum_error error;
	enum hilum_status status =
	    hilum_scores_print(scores, json ? HILUM_OUTPUT_JSON : HILUM_OUTPUT_TEXT, stdout, &error);
	hilum_scores_free(scores);
	return status ? cli_fail(verb, &error) : EXIT_DONE;
}

static int run_eval(const struct verb *verb, int argc, char **argv)
{
	struct hilum_eval_options options;
	struct own own;
	struct cli_options tables[] = {{.table = verb->library, .object = &options},
	                               {.table = verb->own, .object = &own}};
	struct hilum_model *model;
	struct hilum_scores *scores;
	struct hilum_error error;
	if (cli_parse(verb, tables, 2, argc, argv) < 0)
		return EXIT_MISUSED;
	options.data = argv[1];
	if (hilum_model_open(argv[0], &model, &error))
		return cli_fail(verb, &error);
	enum hilum_status status = hilum_eval(model, &options, &scores, &error);
	hilum_model_close(model);
	return status ? cli_fail(verb, &error) : print(verb, scores, own.json);
}

static int run_score(const struct verb *verb, int argc, char **argv)
{
	struct hilum_score_options options;
	struct own own;
	struct cli_options tables[] = {{.table = verb->library, .object = &options},
	                               {.table = verb->own, .object = &own}};
	struct hilum_scores *scores;
	struct hilum_error error;
	if (cli_parse(verb, tables, 2, argc, argv) < 0)
		return EXIT_MISUSED;
	if (hilum_score_file(argv[0], &options, &scores, &error))
		return cli_fail(verb, &error);
	return print(verb, scores, own.json);
}

const struct verb verb_eval = {
    .name = "eval",
    .arguments = "MODEL DATA",
    .summary = "score a model on a data set",
    .description =
        "Scores MODEL (a .hilum file or a run folder, which stands for its best.hilum) on DATA: log loss with the "
        "table "
        "of corrected probabilities, confusion matrix, accuracy, balanced accuracy, sensitivity, specificity, "
        "precision, F1, MCC, areas under the ROC and the precision-recall curve, Brier score, sensitivity at fixed "
        "specificity and the reverse, each with its 95 % interval and beside the figure of a model that knows only how "
        "frequent each class is. Intervals come from drawing whole groups (patients); without groups every case is "
        "taken as independent.\n\n"
        "On the data set that the model was trained on, the split stored in the model is used, and its test part is "
        "scored unless --split says otherwise.",
    .examples = "hilum eval runs/a slices\nhilum eval runs/a slices --by group --prevalence 0.02\n"
                "hilum eval runs/a elsewhere --json --predictions predictions.csv",
    .library = hilum_eval_option_table,
    .own = own_table,
    .least = 2,
    .most = 2,
    .run = run_eval,
};

const struct verb verb_score = {
    .name = "score",
    .arguments = "PREDICTIONS.csv",
    .summary = "score any table of labels and probabilities",
    .description =
        "Computes the figures of hilum eval from a table with the columns label (0 or 1) and probability (of "
        "class 1), or label and one column p_CLASS for each class. Whoever made the predictions. Intervals come from "
        "drawing whole groups where there is a column group (or patient); without one every case is taken as "
        "independent.",
    .examples = "hilum score predictions.csv\nhilum score predictions.csv --by group --aggregate max --json",
    .library = hilum_score_option_table,
    .own = own_table,
    .least = 1,
    .most = 1,
    .run = run_score,
};
