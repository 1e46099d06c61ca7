#include "cli.h"

struct own {
	bool json;
};

static const struct hilum_option own_table[] = {
    {.name = "json",
     .kind = HILUM_OPTION_FLAG,
     .offset = offsetof(struct own, json),
     .help = "print one JSON object, with the lungs' voxels in every slice"},
    {0},
};

static int run(const struct verb *verb, int argc, char **argv)
{
	struct hilum_lungs_options options;
	struct own own;
	struct cli_options tables[] = {{.table = verb->library, .object = &options},
	                               {.table = verb->own, .object = &own}};
	struct hilum_error error;
	if (cli_parse(verb, tables, 2, argc, argv) < 0)
		return EXIT_MISUSED;
	if (hilum_lungs(argv[0], &options, own.json ? HILUM_OUTPUT_JSON : HILUM_OUTPUT_TEXT, stdout, NULL, &error))
		return cli_fail(verb, &error);
	return EXIT_DONE;
}

const struct verb verb_lungs = {
    .name = "lungs",
    .arguments = "SCAN",
    .summary = "find the lungs in a scan",
    .description =
        "Finds the lungs in an axial slice or a volume without a trained model and prints how large they are, right "
        "and left, and whether the scan looks like a chest. Nodules and vessels belong to the lungs; the trachea, the "
        "main bronchi and tumours that grow out of the middle of the chest do not.\n\n"
        "A threshold halfway between lung and tissue, measured in the scan, gives the air in the body; couch, bowel "
        "and airways are taken away; lungs that touch are parted; each is closed over vessels at the hilum (8 mm) and "
        "over nodules and masses at the ribs (40 mm wide), and filled.\n\n"
        "Pictures in grey or colour are taken to be axial slices through a window, as radiologists look at them, the "
        "patient's right on the left, and 360 mm wide. A volume whose file does not say how it lies is taken to be "
        "axial too.",
    .examples = "hilum lungs series/ -o lungs.nii.gz\nhilum view series/ -o lungs.png --layout planes --mask "
                "lungs.nii.gz\nhilum lungs slice.png --json\nhilum lungs slice.tif --truth mask.tif",
    .library = hilum_lungs_option_table,
    .own = own_table,
    .least = 1,
    .most = 1,
    .run = run,
};
