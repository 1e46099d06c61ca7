/* Descriptions: parts of hilum_info. */
#ifndef HL_INFER_DESCRIBE_H
#define HL_INFER_DESCRIBE_H
#include "base/error.h"

#include <jansson.h>

/* Whether a path is a model file by its first bytes, or a folder with a best.hilum. */
bool hl_is_model(const char *path);

enum hilum_status hl_describe_model(const char *path, enum hilum_output output, bool plan, FILE *file,
                                    struct hilum_error *error);

enum hilum_status hl_describe_scan(const char *path, enum hilum_output output, FILE *file, struct hilum_error *error);

/* Text out of a file for a terminal: control characters but newlines as "?". */
void hl_put_safe(FILE *file, const char *text);
/* A JSON string; bytes that are not UTF-8, which a file's name may have, as U+FFFD. NULL without memory. */
json_t *hl_json_text(const char *text);
/* One line of JSON; takes root, which may be NULL (an error). */
enum hilum_status hl_put_json(FILE *file, json_t *root, struct hilum_error *error);
#endif
