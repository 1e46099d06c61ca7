/* Architecture as text that a person edits. One line a layer, in order:
 *
 *   # comment
 *   input 1x256x256x3              depth x height x width x channels; may be left out of a file (the recipe gives it)
 *   conv filters=32 size=3 pad=1   OP OPTION=VALUE ...
 *   stem: conv filters=64 size=7   NAME: names a node
 *   add from=stem,relu3            from= names the inputs; without it, the line before
 *   dense units=$outputs           $outputs: 1 for a binary task, otherwise the number of classes
 *
 * Presets are text too: "seed filters=32,64,128,128 dense=128 dropout=0.5", "resnet18", and "seed3d", "resnet18-3d"
 * for inputs of some depth. */
#ifndef HL_NN_ARCH_H
#define HL_NN_ARCH_H
#include "base/buffer.h"
#include "nn/graph.h"

/* The text of a preset with its settings, or of a file. arch is "seed", "resnet18", "seed filters=16,32" or a path; a
 * name that is neither is an error that lists the presets. */
enum hilum_status hl_arch_text(const char *arch, struct hl_buffer *out, struct hilum_error *error);

/* Text to graph. input (n ignored) is used where the text has no input line, and must agree where it has one (a zero
 * member agrees with anything). Errors give the line number. */
enum hilum_status hl_arch_parse(const char *text, struct hl_shape input, int64_t outputs, struct hl_graph **out,
                                struct hilum_error *error);

/* Graph to text with every value spelled out; parsing it gives an equal graph. */
enum hilum_status hl_arch_print(const struct hl_graph *graph, struct hl_buffer *out, struct hilum_error *error);

/* The same for other pictures and classes: without the input line, and with units=$outputs in the layer that gives the
 * logits, where it has units. */
enum hilum_status hl_arch_print_open(const struct hl_graph *graph, struct hl_buffer *out, struct hilum_error *error);
#endif
