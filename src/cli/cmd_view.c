#include "cli.h"

static int run(const struct verb *verb, int argc, char **argv)
{
	struct hilum_view_options options;
	struct cli_options tables[] = {{.table = verb->library, .object = &options}};
	struct hilum_error error;
	if (cli_parse(verb, tables, 1, argc, argv) < 0)
		return EXIT_MISUSED;
	return hilum_view(argv[0], &options, &error) ? cli_fail(verb, &error) : EXIT_DONE;
}

const struct verb verb_view = {
    .name = "view",
    .arguments = "SCAN",
    .summary = "draw a scan as a picture",
    .description =
        "Draws one axial slice of SCAN, a montage of slices, or an axial, a coronal and a sagittal slice beside each "
        "other, as a PNG with square pixels, through a window. As radiologists look at them: the patient's right is on "
        "the picture's left, and the head is up; sagittal slices look to the left of the picture.",
    .examples = "hilum view series/ -o middle.png\nhilum view scan.nii.gz -o planes.png --layout planes --window "
                "mediastinum\nhilum view scan.nii.gz -o lungs.png --layout montage --mask lungs.nii.gz",
    .library = hilum_view_option_table,
    .least = 1,
    .most = 1,
    .run = run,
};
