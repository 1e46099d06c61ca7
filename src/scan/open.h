/* Volumes out of the sandbox, and files that are in memory. */
#ifndef HL_SCAN_OPEN_H
#define HL_SCAN_OPEN_H
#include "scan/load.h"
#include "scan/sandbox.h"
#include "scan/volume.h"

/* In the child, before reading: the volume is made where the call's output is, so that passing it copies nothing. Goes
 * together with hl_volume_pass, which must be called with a volume, or none (voxels NULL) where reading failed. */
void hl_volume_expect(struct hl_sandbox_call *call);
/* In the child: makes the voxels the call's output and the rest *into, a part of its result. Frees volume, whatever it
 * returns. */
enum hilum_status hl_volume_pass(struct hl_sandbox_call *call, struct hl_volume *volume, struct hl_volume *into,
                                 struct hilum_error *error);

/* In this process: a volume from what a child passed, if it is one: sizes and types that hl_volume_init accepts, as
 * many bytes as they need, numbers that are finite. */
enum hilum_status hl_volume_accept(const struct hl_volume *passed, const uint8_t *output, size_t length,
                                   struct hl_volume *out, struct hilum_error *error);

/* As hl_scan_open, of one of several files that are in memory or not; a second file that it needs is looked for among
 * them. */
enum hilum_status hl_scan_open_among(const struct hl_file *files, size_t count, size_t which, struct hl_volume *out,
                                     struct hilum_error *error);
#endif
