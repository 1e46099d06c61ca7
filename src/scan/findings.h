/* What was noticed on the way from files to a volume (scan/load.h): noting it. */
#ifndef HL_SCAN_FINDINGS_H
#define HL_SCAN_FINDINGS_H
#include "scan/load.h"

/* Sets the line of this kind; a later one of the same kind replaces it. findings may be NULL. */
void hl_findings_note(struct hl_findings *findings, enum hl_finding_kind kind, enum hl_finding_grade grade,
                      int32_t count, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* For what is refused unless forced: notes it as forced and answers HILUM_OK, or notes it as refused
 * and fails (HILUM_ERROR_UNSUPPORTED) with the same words. */
enum hilum_status hl_findings_refuse(struct hl_findings *findings, enum hl_finding_kind kind, bool force, int32_t count,
                                     struct hilum_error *error, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

const struct hl_finding *hl_findings_get(const struct hl_findings *findings, enum hl_finding_kind kind);
#endif
