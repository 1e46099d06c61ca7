#include "cli.h"

static int run(const struct verb *verb, int argc, char **argv)
{
	struct hilum_convert_options options;
	struct cli_options tables[] = {{.table = verb->library, .object = &options}};
	struct hilum_error error;
	if (cli_parse(verb, tables, 1, argc, argv) < 0)
		return EXIT_MISUSED;
	return hilum_convert(argv[0], argv[1], &options, &error) ? cli_fail(verb, &error) : EXIT_DONE;
}

const struct verb verb_convert = {
    .name = "convert",
    .arguments = "SCAN OUT",
    .summary = "write a scan in another format, voxels and place unchanged",
    .description =
        "SCAN is a file, a folder with a DICOM series, or an archive of either. OUT's ending says what is written: "
        "NIfTI (.nii, .nii.gz), MetaImage (.mha, or .mhd with its voxels beside it), TIFF (a page for each slice) or, "
        "for a single slice, PNG. With --slices OUT is a new folder with a picture for each slice and "
        "geometry.json.\n\n"
        "Voxels are what they were read as, to the last bit: whole Hounsfield units as signed 16-bit numbers, others "
        "as "
        "32-bit floating point. Their axes run to the patient's left, back and head. NIfTI keeps places with 32 bits, "
        "to about a hundred-thousandth of a millimetre, MetaImage exactly; TIFF and PNG hold none. Only PNG changes "
        "Hounsfield units: to 8 bits, through a window.",
    .examples = "hilum convert series/ scan.nii.gz\nhilum convert scan.nii.gz scan.mha --compress\n"
                "hilum convert series/ slices --slices tiff\nhilum convert series/ "
                "coarse.nii.gz --spacing 2",
    .library = hilum_convert_option_table,
    .least = 2,
    .most = 2,
    .run = run,
};
