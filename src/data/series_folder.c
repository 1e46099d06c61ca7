/* Folders below a class folder that hold a DICOM series: each is a case, and not each of its slices. */
#include "data/collect.h"

#include "base/file.h"
#include "base/memory.h"
#include "scan/dicom_work.h"

#include <string.h>

/* Heads that are read of a folder: a localiser may be the first. */
#define HEADS 3

bool hl_folder_is_series(const char *folder, const struct hl_names *names)
{
	struct hl_head heads[HEADS];
	bool series = false;
	int count = 0;
	for (size_t i = 0; i < names->count && i < HEADS && !series; i++) {
		char *path = hl_path_join(folder, names->name[i]);
		if (!path || hl_path_is_directory(path)) {
			hl_free(path);
			break;
		}
		const struct hl_file file = {.name = path, .path = path};
		hl_head_read(&file, false, &heads[count++]);
		hl_free(path);
		const struct hl_head *last = &heads[count - 1];
		if (last->kind != HL_HEAD_DICOM)
			break;
		for (int k = 0; k + 1 < count; k++)
			series =
			    series || (last->dicom.series[0] && strcmp(last->dicom.series, heads[k].dicom.series) == 0);
	}
	for (int k = 0; k < count; k++)
		hl_dicom_close(&heads[k].dicom);
	return series;
}
