#include "cli.h"

static int run(const struct verb *verb, int argc, char **argv)
{
	struct hilum_phantom_options options;
	struct hilum_error error;
	struct cli_options tables[] = {{.table = verb->library, .object = &options}};
	if (cli_parse(verb, tables, 1, argc, argv) < 0)
		return EXIT_MISUSED;
	options.directory = argv[0];
	if (hilum_phantom_write(&options, &error))
		return cli_fail(verb, &error);
	fprintf(stderr, "%lld synthetic chest %s in %s, described in %s/truth.csv\n", (long long)options.cases,
	        options.volume ? "volumes" : "slices", argv[0], argv[0]);
	return EXIT_DONE;
}

const struct verb verb_phantom = {
    .name = "phantom",
    .arguments = "DIR",
    .summary = "draw synthetic chest CT with and without a nodule",
    .description =
        "Draws synthetic axial chest CT slices, half of them with a nodule or mass, into DIR/normal and "
        "DIR/nodule, and their truth into DIR/truth.csv. The same options give the same bytes.\n\n"
        "PNG files hold 8-bit grey values through the lung window (center -600, width 1500); the other formats "
        "hold 16-bit Hounsfield units.\n\n"
        "With --volume each case is a whole chest: a folder with a DICOM series, in any lossless encoding and with "
        "the faults that real series have if wished, or a NIfTI file.",
    .examples = "hilum phantom phantoms --cases 400 --size 128\nhilum phantom phantoms-hu --format tiff\n"
                "hilum phantom series --volume --format dicom --cases 2 --encoding jpeg-ls --tilt 12",
    .library = hilum_phantom_option_table,
    .least = 1,
    .most = 1,
    .run = run,
};
