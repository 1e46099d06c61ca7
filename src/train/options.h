/* The options of a training as text: checked, compared with those that a run was started with, written down. */
#ifndef HL_TRAIN_OPTIONS_H
#define HL_TRAIN_OPTIONS_H
#include "base/buffer.h"

/* Ranges, and options that exclude or need one another; for callers that filled the structure by hand too. */
enum hilum_status hl_train_options_check(const struct hilum_train_options *options, struct hilum_error *error);

/* Every option that can change the result as one JSON object of texts: a new string (hl_free). The data set is not
 * among them: its contents count, not its path. */
enum hilum_status hl_train_options_json(const struct hilum_train_options *options, char **out,
                                        struct hilum_error *error);

/* Whether an option was asked for: by its bit in given, or by a value that is not the default. */
bool hl_train_option_given(const struct hilum_train_options *options, uint64_t given, const char *name);

/* Sets options that were not given to the values in that JSON; a given one that differs is HILUM_ERROR_ARGUMENT. Texts
 * are set to strings of *keep, which the caller frees (hl_free) after the options. */
enum hilum_status hl_train_options_merge(struct hilum_train_options *options, uint64_t given, const char *json,
                                         char **keep, struct hilum_error *error);

/* Appends one word so that a shell reads it back, quoted where it has to be. */
enum hilum_status hl_shell_quote(struct hl_buffer *out, const char *word, struct hilum_error *error);

/* The command line that gives these options: "hilum train DATA --epochs 3 ...", quoted for a shell. */
enum hilum_status hl_train_options_command(const struct hilum_train_options *options, struct hl_buffer *out,
                                           struct hilum_error *error);
#endif
