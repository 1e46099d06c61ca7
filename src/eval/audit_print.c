/* An audit for people and for machines. */
#include "eval/audit.h"
#include "eval/json.h"
#include "eval/print.h"

#include "base/memory.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define SHOWN 20 /* pairs, files and conflicts that are listed */
#define PATH_COLUMNS 44

/* ---- JSON ---- */

static json_t *pair_json(const struct hilum_audit *audit, const struct hl_pair *pair)
{
	const struct hl_case *cases = audit->dataset->cases;
	return json_pack("{s:s, s:s, s:s, s:f, s:f}", "a", cases[pair->a].path, "b", cases[pair->b].path, "kind",
	                 hl_alike_names[pair->kind], "score", (double)pair->score, "detail", (double)pair->detail);
}

static json_t *leak_json(const struct hilum_audit *audit, const struct hl_pair *pair)
{
	char part[2][24];
	json_t *leak = pair_json(audit, pair);
	hl_audit_part_name(audit, pair->a, part[0]);
	hl_audit_part_name(audit, pair->b, part[1]);
	json_object_set_new(leak, "part_a", json_string(part[0]));
	json_object_set_new(leak, "part_b", json_string(part[1]));
	return leak;
}

static json_t *conflict_json(const struct hilum_audit *audit, const struct hl_pair *pair)
{
	const struct hl_dataset *dataset = audit->dataset;
	json_t *conflict = pair_json(audit, pair);
	json_object_set_new(conflict, "label_a", json_string(dataset->origins[dataset->cases[pair->a].origin]));
	json_object_set_new(conflict, "label_b", json_string(dataset->origins[dataset->cases[pair->b].origin]));
	return conflict;
}

static void add_pairs(const struct hilum_audit *audit, json_t *root)
{
	json_t *pairs = json_array(), *conflicts = json_array(), *leaks = json_array();
	for (size_t i = 0; i < audit->pairs.count; i++) {
		const struct hl_pair *pair = &audit->pairs.pair[i];
		json_array_append_new(pairs, pair_json(audit, pair));
		if (hl_audit_conflicts(audit, pair))
			json_array_append_new(conflicts, conflict_json(audit, pair));
		if (hl_audit_leaks(audit, pair))
			json_array_append_new(leaks, leak_json(audit, pair));
	}
	json_object_set_new(root, "pairs", pairs);
	json_object_set_new(root, "label_conflicts", conflicts);
	json_object_set_new(root, "leaks", audit->split ? leaks : json_null());
	if (!audit->split)
		json_decref(leaks);
}

static json_t *audit_json(const struct hilum_audit *audit)
{
	const struct hl_dataset *dataset = audit->dataset;
	json_t *root = json_object(), *unreadable = json_array(), *groups = json_object(), *shortcuts = json_array();
	json_object_set_new(root, "cases", json_integer((json_int_t)dataset->count));
	for (size_t i = 0; i < dataset->count; i++) {
		const struct hl_look *look = &audit->looks.look[i];
		json_object_set_new(groups, dataset->cases[i].path, json_integer((json_int_t)audit->group[i] + 1));
		if (look->reason)
			json_array_append_new(unreadable,
			                      json_pack("{s:s, s:s, s:b}", "path", dataset->cases[i].path, "reason",
			                                look->reason, "not_ct", (int)look->foreign));
	}
	for (size_t i = 0; i < audit->shortcuts; i++) {
		const struct hl_shortcut *shortcut = &audit->shortcut[i];
		json_array_append_new(shortcuts, json_pack("{s:s, s:o, s:o, s:s, s:b}", "name", shortcut->name, "auc",
		                                           hl_json_number(shortcut->auc), "interval",
		                                           hl_json_interval(shortcut->interval), "note", shortcut->note,
		                                           "stands_out", (int)hl_shortcut_stands_out(shortcut)));
	}
	json_object_set_new(root, "unreadable", unreadable);
	add_pairs(audit, root);
	json_object_set_new(root, "groups", groups);
	json_object_set_new(root, "group_count", json_integer((json_int_t)audit->groups));
	if (dataset->grouped)
		json_object_set_new(root, "given_groups",
		                    json_pack("{s:i, s:o, s:I}", "count", dataset->group_count, "adjusted_rand",
		                              hl_json_number(audit->adjusted_rand), "pairs_across",
		                              (json_int_t)audit->across_given));
	json_object_set_new(root, "shortcuts", shortcuts);
	return root;
}

/* ---- text ---- */

static void put_path(const struct hilum_audit *audit, uint32_t index, FILE *file)
{
	hl_put_text(file, audit->dataset->cases[index].path, PATH_COLUMNS, false);
}

static void put_pair(const struct hilum_audit *audit, const struct hl_pair *pair, FILE *file)
{
	fprintf(file, "  %-10s %.3f  ", hl_alike_names[pair->kind], (double)pair->score);
	put_path(audit, pair->a, file);
	fputs("  ", file);
	put_path(audit, pair->b, file);
	fputc('\n', file);
}

static void print_unreadable(const struct hilum_audit *audit, FILE *file)
{
	size_t count = 0;
	for (size_t i = 0; i < audit->looks.count; i++) {
		if (!audit->looks.look[i].reason)
			continue;
		if (count++ >= SHOWN)
			continue;
		fputs("  ", file);
		put_path(audit, (uint32_t)i, file);
		fputs("  ", file);
		hl_put_text(file, audit->looks.look[i].reason, hl_text_columns(audit->looks.look[i].reason), false);
		fputc('\n', file);
	}
	fprintf(file, "%zu file%s cannot be used%s\n", count, count == 1 ? "" : "s",
	        count > SHOWN ? " (all with --json)" : "");
}

static void print_pairs(const struct hilum_audit *audit, FILE *file)
{
	size_t of[HL_ALIKE_COUNT] = {0};
	for (size_t i = 0; i < audit->pairs.count; i++)
		of[audit->pairs.pair[i].kind]++;
	fprintf(file, "\n%zu pairs of pictures are alike", audit->pairs.count);
	for (int k = 0, first = 1; k < HL_ALIKE_COUNT; k++)
		if (of[k]) {
			fprintf(file, "%s%zu %s", first ? ": " : ", ", of[k], hl_alike_names[k]);
			first = 0;
		}
	fputc('\n', file);
	for (size_t i = 0, shown = 0; i < audit->pairs.count && shown < SHOWN; i++)
		if (audit->pairs.pair[i].kind != HL_ALIKE_ADJACENT) {
			put_pair(audit, &audit->pairs.pair[i], file);
			shown++;
		}
}

typedef bool is_concerned(const struct hilum_audit *audit, const struct hl_pair *pair);

static void print_concerned(const struct hilum_audit *audit, is_concerned *concerned, size_t count, const char *what,
                            FILE *file)
{
	size_t shown = 0;
	fprintf(file, "\n%zu %s\n", count, what);
	for (size_t i = 0; i < audit->pairs.count && shown < SHOWN; i++)
		if (concerned(audit, &audit->pairs.pair[i])) {
			put_pair(audit, &audit->pairs.pair[i], file);
			shown++;
		}
}

static void print_groups(const struct hilum_audit *audit, FILE *file)
{
	fprintf(file, "\n%zu pictures in %u inferred groups: pictures that a chain of pairs joins.\n",
	        audit->dataset->count, audit->groups);
	if (audit->dataset->grouped)
		fprintf(file,
		        "%d groups were given: adjusted Rand index %.3f (1 is the same grouping); %zu pairs stand "
		        "across them\n",
		        audit->dataset->group_count, audit->adjusted_rand, audit->across_given);
}

static void print_shortcuts(const struct hilum_audit *audit, FILE *file)
{
	if (audit->shortcuts == 0)
		return;
	fprintf(file, "\n%-42s%8s   95 %% interval\n", "What predicts the label by itself", "AUC");
	for (size_t i = 0; i < audit->shortcuts; i++) {
		const struct hl_shortcut *shortcut = &audit->shortcut[i];
		fprintf(file, "  %-40s", shortcut->title);
		hl_put_figure(file, shortcut->auc, 8);
		hl_put_interval(file, shortcut->interval, 6);
		fputs(hl_shortcut_stands_out(shortcut) ? "  a shortcut" : "", file);
		fputc('\n', file);
		if (shortcut->note[0]) {
			fputs("    ", file);
			hl_put_text(file, shortcut->note, hl_text_columns(shortcut->note), false);
			fputc('\n', file);
		}
	}
	fputs("0.5 is chance. A network may learn such a thing instead of the disease.\n", file);
}

enum hilum_status hilum_audit_print(const struct hilum_audit *audit, enum hilum_output output, FILE *file,
                                    struct hilum_error *error)
{
	if (output == HILUM_OUTPUT_JSON) {
		char *text = hl_json_dump(audit_json(audit));
		if (!text)
			return hl_fail_memory(error, audit->dataset->count, "JSON");
		fprintf(file, "%s\n", text);
		hl_free(text);
	} else {
		print_unreadable(audit, file);
		print_pairs(audit, file);
		print_concerned(audit, hl_audit_conflicts, audit->conflicts, "copies stand under two labels", file);
		if (audit->split)
			print_concerned(audit, hl_audit_leaks, audit->leaks, "pairs stand on two sides of the split",
			                file);
		print_groups(audit, file);
		print_shortcuts(audit, file);
		fputs("\nResearch use only: not a medical device.\n", file);
	}
	return ferror(file) ? hl_fail_errno(error, "the audit") : HILUM_OK;
}
