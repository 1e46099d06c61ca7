/* What info, view and convert share: a scan loaded, with what was noticed told. */
#ifndef HL_INFER_SCANS_H
#define HL_INFER_SCANS_H
#include "scan/load.h"

/* hl_load, and a line of the log for each finding: a warning for what was forced or may be wrong. */
enum hilum_status hl_scan_load(const char *path, bool force, int64_t series, struct hl_volume *out,
                               struct hilum_error *error);

/* Whether a path ends in an extension, without regard to case. */
bool hl_has_ending(const char *path, const char *ending);
#endif
