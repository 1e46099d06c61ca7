/* For comparison with other readers (dicom.py), in this machine's order of bytes:
 * dicom_values FILE: what a DICOM file's header says, as one JSON line on stderr, and its stored values on stdout;
 * dicom_values --volume PATH [--force]: the same of the volume that is loaded from a file or folder, and its voxels. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "scan/dicom.h"
#include "scan/format.h"
#include "scan/load.h"

static enum hilum_status put(const void *values, size_t bytes, struct hilum_error *error)
{
	return fwrite(values, 1, bytes, stdout) == bytes
	           ? HILUM_OK
	           : hl_fail(error, HILUM_ERROR_IO, "standard output could not be written");
}

static enum hilum_status put_frames(const struct hl_dicom *dicom, struct hilum_error *error)
{
	size_t bytes = hl_dicom_frame_bytes(dicom);
	void *values = hl_alloc(bytes, 1);
	enum hilum_status status = values ? HILUM_OK : hl_fail_memory(error, bytes, "a frame");

	for (int32_t i = 0; i < dicom->frames && !status; i++) {
		status = hl_dicom_read(dicom, i, values, error);
		if (!status)
			status = put(values, bytes, error);
	}
	hl_free(values);
	return status;
}

static enum hilum_status put_file(const char *path, struct hilum_error *error)
{
	struct hl_buffer file;
	struct hl_dicom dicom = {0};
	enum hilum_status status = hl_file_read(path, HL_FILE_BYTES_MAX, &file, error);

	if (status)
		return status;
	status = hl_dicom_open((const uint8_t *)file.data, file.length, &dicom, error);
	if (!status && !dicom.has_pixels)
		status = hl_fail(error, HILUM_ERROR_UNSUPPORTED, "no picture");
	if (!status) {
		fprintf(
		    stderr,
		    "{\"syntax\": \"%s\", \"width\": %d, \"height\": %d, \"samples\": %d, \"frames\": %d, \"size\": "
		    "%zu, \"signed\": %d, \"numbers\": %d, \"slope\": %.17g, \"intercept\": %.17g, \"rescale\": %d}\n",
		    dicom.syntax->name, dicom.width, dicom.height, dicom.samples, dicom.frames,
		    hl_dicom_value_size(&dicom), dicom.is_signed, (int)dicom.numbers, dicom.frame[0].slope,
		    dicom.frame[0].intercept, dicom.frame[0].has_rescale);
		status = put_frames(&dicom, error);
	}
	hl_dicom_close(&dicom);
	hl_buffer_free(&file);
	return status;
}

static void put_three(const char *name, const double value[3])
{
	fprintf(stderr, ", \"%s\": [%.17g, %.17g, %.17g]", name, value[0], value[1], value[2]);
}

static enum hilum_status put_volume(const char *path, bool force, struct hilum_error *error)
{
	static const char *const grades[] = {"noticed", "repaired", "forced", "refused"};
	const struct hl_load_options options = {.force = force};
	struct hl_volume volume;
	struct hl_findings findings;
	enum hilum_status status = hl_load(path, &options, &volume, &findings, error);

	for (int32_t i = 0; i < findings.count; i++)
		fprintf(stderr, "%s, %s, %d: %s\n", hl_finding_name(findings.list[i].kind),
		        grades[findings.list[i].grade], findings.list[i].count, findings.list[i].text);
	if (status)
		return status;
	fprintf(stderr, "{\"size\": [%d, %d, %d], \"type\": %d, \"oriented\": %d", volume.width, volume.height,
	        volume.depth, (int)volume.type, volume.oriented);
	put_three("spacing", volume.spacing);
	put_three("origin", volume.origin);
	put_three("x", volume.direction[0]);
	put_three("y", volume.direction[1]);
	put_three("z", volume.direction[2]);
	fputs("}\n", stderr);
	status = put(volume.voxels,
	             (size_t)volume.width * (size_t)volume.height * (size_t)volume.depth * hl_voxel_size(volume.type),
	             error);
	hl_volume_free(&volume);
	return status;
}

int main(int argc, char **argv)
{
	struct hilum_error error = {0};
	enum hilum_status status;

	if (argc == 2)
		status = put_file(argv[1], &error);
	else if ((argc == 3 || argc == 4) && strcmp(argv[1], "--volume") == 0)
		status = put_volume(argv[2], argc == 4, &error);
	else
		return 2;
	if (status)
		fprintf(stderr, "%s: %s\n", hilum_status_name(status), error.message);
	return status ? 1 : 0;
}
