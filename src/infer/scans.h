/* What info, view, convert and lungs share: a scan loaded, with what was noticed told, and written. */
#ifndef HL_INFER_SCANS_H
#define HL_INFER_SCANS_H
#include "scan/load.h"

/* hl_load, and a line of the log for each finding: a warning for what was forced or may be wrong. */
enum hilum_status hl_scan_load(const char *path, bool force, int64_t series, struct hl_volume *out,
                               struct hilum_error *error);

/* Whether a path ends in an extension, without regard to case. */
bool hl_has_ending(const char *path, const char *ending);

/* One file in the format that its ending names; the second tells whether it names one. Of the options, window and
 * compress count. */
enum hilum_status hl_scan_write(const char *path, const struct hl_volume *volume,
                                const struct hilum_convert_options *options, struct hilum_error *error);
enum hilum_status hl_scan_check_ending(const char *path, struct hilum_error *error);
#endif
