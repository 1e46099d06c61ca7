#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct own {
	const char *out;
	bool json, stack;
};

static const struct hilum_option own_table[] = {
    {.name = "out",
     .kind = HILUM_OPTION_TEXT,
     .offset = offsetof(struct own, out),
     .value = "FILE|FOLDER",
     .help = "the PNG to write, or a folder for several; -o for short; without it only the figures are printed"},
    {.name = "stack",
     .kind = HILUM_OPTION_FLAG,
     .offset = offsetof(struct own, stack),
     .help = "the files are the slices of one case, in order"},
    {.name = "json",
     .kind = HILUM_OPTION_FLAG,
     .offset = offsetof(struct own, json),
     .help = "print one JSON object a line: path, method, class, probability, hottest (column and row from 0), sanity"},
    {0},
};

/* FOLDER/NUMBER-NAME.png, the number so that cases of one name do not meet. */
static char *name_in(const char *folder, const char *path, int number)
{
	const char *name = strrchr(path, '/');
	size_t length = strlen(folder) + strlen(path) + 32;
	char *made = malloc(length);
	name = name && name[1] ? name + 1 : path;
	const char *dot = strrchr(name, '.');
	int stem = dot && dot > name ? (int)(dot - name) : (int)strlen(name);
	if (made)
		snprintf(made, length, "%s/%04d-%.*s.png", folder, number, stem, name);
	return made;
}

/* A case of count files, to be drawn to a file (NULL: not); false where it could not be explained, which has been said.
 */
static bool explain_one(const struct verb *verb, struct hilum_explainer *explainer, const struct own *own, char **paths,
                        int count, const char *to)
{
	struct hilum_explanation *explanation;
	struct hilum_error error;
	if (hilum_explain(explainer, (const char *const *)paths, count, &explanation, &error)) {
		cli_fail(verb, &error);
		return false;
	}
	enum hilum_status status = HILUM_OK;
	if (to)
		status = hilum_explanation_draw(explanation, to, &error);
	if (!status)
		status = hilum_explanation_print(explanation, paths[0],
		                                 own->json ? HILUM_OUTPUT_JSON : HILUM_OUTPUT_TEXT, stdout, &error);
	hilum_explanation_free(explanation);
	if (status)
		cli_fail(verb, &error);
	return !status;
}

static bool is_folder(const char *path)
{
	struct stat info;
	return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static int explain_all(const struct verb *verb, struct hilum_explainer *explainer, const struct own *own, int count,
                       char **paths)
{
	int step = own->stack ? count : 1, i = 0;
	bool sound = true, folder = own->out && (count > step || is_folder(own->out));
	if (folder && mkdir(own->out, 0777) && !is_folder(own->out)) {
		fprintf(stderr, "hilum %s: ", verb->name);
		cli_put(own->out, stderr);
		fprintf(stderr, ": no folder, and none can be made\n");
		return EXIT_FAILED;
	}
	for (; i < count && !cli_stop; i += step) {
		char *made = folder ? name_in(own->out, paths[i], i / step + 1) : NULL;
		sound = explain_one(verb, explainer, own, paths + i, step, folder ? made : own->out) && sound;
		free(made);
	}
	if (i < count) {
		fprintf(stderr, "hilum %s: stopped after %d of %d\n", verb->name, i, count);
		sound = false;
	}
	if (!own->json)
		fprintf(stderr, "For research only; not a medical device. Heat says where, not why.\n");
	return sound ? EXIT_DONE : EXIT_FAILED;
}

static int run(const struct verb *verb, int argc, char **argv)
{
	struct hilum_explain_options options;
	struct own own;
	struct cli_options tables[] = {{.table = verb->library, .object = &options},
	                               {.table = verb->own, .object = &own}};
	struct hilum_model *model;
	struct hilum_explainer *explainer;
	struct hilum_error error;
	int arguments = cli_parse(verb, tables, 2, argc, argv);
	if (arguments < 0)
		return EXIT_MISUSED;
	if (hilum_model_open(argv[0], &model, &error))
		return cli_fail(verb, &error);
	int code;
	cli_catch_signals();
	if (hilum_explainer_open(model, &options, &explainer, &error)) {
		code = cli_fail(verb, &error);
	} else {
		code = explain_all(verb, explainer, &own, arguments - 1, argv + 1);
		hilum_explainer_close(explainer);
	}
	hilum_model_close(model);
	return code;
}

const struct verb verb_explain = {
    .name = "explain",
    .arguments = "MODEL SCAN...",
    .summary = "show where in a picture speaks for a class",
    .description =
        "Draws every SCAN (a picture, a volume, a folder with a series, an archive) beside itself under heat: where "
        "what speaks for the class lies. Of several slices a model for slices is asked about the one that it gives the "
        "class the most; of a volume that a model looks at as a whole the slice with the hottest place is shown.\n\n"
        "Heat is checked: it has to be another one for networks with random weights, and covering its hottest place "
        "has to lower the answer, more than covering other places does. Heat that fails is marked as unreliable in the "
        "picture, in the text and in JSON (sanity).\n\n"
        "Heat says where, not why; a right place is no proof that the network looks at the right thing, and a model "
        "that finds nothing shows nothing. docs/explanation.md has figures.",
    .examples = "hilum explain runs/a slice.png -o heat.png\n"
                "hilum explain runs/a slices/*.png --method occlusion -o heat/\n"
                "hilum explain runs/a series/ --method integrated-gradients --json",
    .library = hilum_explain_option_table,
    .own = own_table,
    .least = 2,
    .most = -1,
    .run = run,
};
