/* An audit as one HTML file: what the text says, with the pairs as pictures. Nothing is fetched; light and dark follow
 * the reader's settings. */
#include "eval/audit.h"

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>
#include <zlib.h>

#define PAGE_MAX ((size_t)256 << 20)
#define SHOWN_OF_A_KIND 12
#define PACKED_MAX (HL_LOOK_PIXELS + HL_LOOK_SIDE + 1024)

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Audit of a data set</title>\n"
    "<style>\n:root{color-scheme:light dark;--ink:#1c2128;--soft:#57606a;--page:#fff;--line:#d0d7de;--warn:#9a3412}\n"
    "@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4ae;--page:#14181d;--line:#363d46;"
    "--warn:#fdba74}}\n"
    "body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:68rem;margin:0 auto;"
    "padding:1.5rem}\nh1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}\n"
    "p.soft,figcaption{color:var(--soft);font-size:.85rem}\n.warn{color:var(--warn);font-weight:600}\n"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid "
    "var(--line)}td.f{overflow-wrap:anywhere}\ntd.n{font-variant-numeric:tabular-nums;white-space:nowrap}\n"
    ".pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(17rem,100%),1fr));gap:1rem}\n"
    "figure{margin:0;border:1px solid var(--line);border-radius:6px;padding:.6rem}\n"
    ".two{display:grid;grid-template-columns:1fr 1fr;gap:.4rem}.two img{width:100%;height:auto;background:#000}\n"
    "figcaption{overflow-wrap:anywhere;margin-top:.4rem}figcaption b{color:var(--ink)}.wide{overflow-x:auto}\n"
    "@media (max-width:40rem){body{padding:1rem}table{font-size:.8rem}th,td{padding:.3rem}}\n"
    "@media print{figure{break-inside:avoid}}\n</style>\n</head>\n<body>\n<main>\n";

static enum hilum_status put_escaped(struct hl_buffer *page, const char *text, struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	for (; *text && !status; text++) {
		const char *entity = *text == '&'   ? "&amp;"
		                     : *text == '<' ? "&lt;"
		                     : *text == '>' ? "&gt;"
		                     : *text == '"' ? "&quot;"
		                                    : NULL;
		status = entity ? hl_buffer_append(page, entity, strlen(entity), error)
		                : hl_buffer_append(page, text, 1, error);
	}
	return status;
}

/* ---- pictures ---- */

static void put_u32(uint8_t *to, uint32_t value)
{
	for (int k = 0; k < 4; k++)
		to[k] = (uint8_t)(value >> (24 - 8 * k));
}

static size_t put_chunk(uint8_t *to, const char *type, const uint8_t *data, size_t length)
{
	put_u32(to, (uint32_t)length);
	memcpy(to + 4, type, 4);
	if (length)
		memcpy(to + 8, data, length);
	put_u32(to + 8 + length, (uint32_t)crc32(0, to + 4, (uInt)(length + 4)));
	return length + 12;
}

/* A small picture as PNG (8-bit grey, no filter). The number of bytes, 0 where packing failed. */
static size_t make_png(const uint8_t *small, uint8_t out[PACKED_MAX + 64])
{
	static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
	uint8_t header[13] = {0}, rows[HL_LOOK_SIDE * (HL_LOOK_SIDE + 1)], packed[PACKED_MAX];
	uLongf length = sizeof(packed);
	put_u32(header, HL_LOOK_SIDE);
	put_u32(header + 4, HL_LOOK_SIDE);
	header[8] = 8;
	for (size_t y = 0; y < HL_LOOK_SIDE; y++) {
		rows[y * (HL_LOOK_SIDE + 1)] = 0;
		memcpy(rows + y * (HL_LOOK_SIDE + 1) + 1, small + y * HL_LOOK_SIDE, HL_LOOK_SIDE);
	}
	if (compress2(packed, &length, rows, sizeof(rows), 9) != Z_OK)
		return 0;
	memcpy(out, signature, sizeof(signature));
	size_t used = sizeof(signature);
	used += put_chunk(out + used, "IHDR", header, sizeof(header));
	used += put_chunk(out + used, "IDAT", packed, length);
	return used + put_chunk(out + used, "IEND", NULL, 0);
}

static enum hilum_status put_picture(struct hl_buffer *page, const char *name, const uint8_t *small,
                                     struct hilum_error *error)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t png[PACKED_MAX + 64];
	size_t length = make_png(small, png);
	enum hilum_status status = hl_buffer_print(page, error, "<img width=\"128\" height=\"128\" alt=\"");
	if (!status)
		status = put_escaped(page, name, error);
	if (!status)
		status = hl_buffer_print(page, error, "\" src=\"data:image/png;base64,");
	for (size_t i = 0; i < length && !status; i += 3) {
		uint32_t word = (uint32_t)png[i] << 16 | (i + 1 < length ? (uint32_t)png[i + 1] << 8 : 0) |
		                (i + 2 < length ? png[i + 2] : 0);
		const char four[4] = {digits[word >> 18], digits[word >> 12 & 63],
		                      i + 1 < length ? digits[word >> 6 & 63] : '=',
		                      i + 2 < length ? digits[word & 63] : '='};
		status = hl_buffer_append(page, four, 4, error);
	}
	return status ? status : hl_buffer_print(page, error, "\">");
}

static enum hilum_status put_pair(struct hl_buffer *page, const struct hilum_audit *audit, const struct hl_pair *pair,
                                  struct hilum_error *error)
{
	const uint32_t index[2] = {pair->a, pair->b};
	enum hilum_status status = hl_buffer_print(page, error, "<figure><div class=\"two\">");
	for (int k = 0; k < 2 && !status; k++)
		status =
		    put_picture(page, audit->dataset->cases[index[k]].path, audit->looks.look[index[k]].small, error);
	if (!status)
		status = hl_buffer_print(page, error, "</div><figcaption><b>%s</b>, correlation %.3f",
		                         hl_alike_names[pair->kind], (double)pair->score);
	for (int k = 0; k < 2 && !status; k++) {
		char part[24];
		status = hl_buffer_print(page, error, "<br>");
		if (!status)
			status = put_escaped(page, audit->dataset->cases[index[k]].path, error);
		hl_audit_part_name(audit, index[k], part);
		if (!status && hl_audit_leaks(audit, pair))
			status = hl_buffer_print(page, error, " <span class=\"warn\">%s</span>", part);
	}
	return status ? status : hl_buffer_print(page, error, "</figcaption></figure>\n");
}

/* Up to SHOWN_OF_A_KIND pairs that are concerned, one of each first picture. */
typedef bool is_concerned(const struct hilum_audit *audit, const struct hl_pair *pair, int kind);

static bool of_kind(const struct hilum_audit *audit, const struct hl_pair *pair, int kind)
{
	(void)audit;
	return (int)pair->kind == kind;
}

static bool leaks(const struct hilum_audit *audit, const struct hl_pair *pair, int kind)
{
	(void)kind;
	return hl_audit_leaks(audit, pair);
}

static bool conflicts(const struct hilum_audit *audit, const struct hl_pair *pair, int kind)
{
	(void)kind;
	return hl_audit_conflicts(audit, pair);
}

static enum hilum_status put_pairs(struct hl_buffer *page, const struct hilum_audit *audit, is_concerned *concerned,
                                   int kind, const char *title, struct hilum_error *error)
{
	size_t count = 0;
	uint32_t last = 0;
	enum hilum_status status = HILUM_OK;
	for (size_t i = 0; i < audit->pairs.count; i++)
		count += concerned(audit, &audit->pairs.pair[i], kind);
	if (count == 0)
		return HILUM_OK;
	status = hl_buffer_print(page, error, "<h2>%s: %zu</h2>\n", title, count);
	if (!status && count > 1)
		status =
		    hl_buffer_print(page, error, "<p class=\"soft\">Shown are at most %d, of different pictures.</p>\n",
		                    SHOWN_OF_A_KIND);
	if (!status)
		status = hl_buffer_print(page, error, "<div class=\"pairs\">\n");
	for (size_t i = 0, shown = 0; i < audit->pairs.count && shown < SHOWN_OF_A_KIND && !status; i++) {
		const struct hl_pair *pair = &audit->pairs.pair[i];
		if (!concerned(audit, pair, kind) || (shown > 0 && pair->a == last))
			continue;
		status = put_pair(page, audit, pair, error);
		last = pair->a;
		shown++;
	}
	return status ? status : hl_buffer_print(page, error, "</div>\n");
}

/* ---- tables ---- */

static enum hilum_status put_summary(struct hl_buffer *page, const struct hilum_audit *audit, struct hilum_error *error)
{
	enum hilum_status status = hl_buffer_print(
	    page, error,
	    "<h1>Audit of a data set</h1>\n<p>%zu pictures, %zu pairs alike, %u inferred groups; %zu copies under two "
	    "labels.</p>\n",
	    audit->dataset->count, audit->pairs.count, audit->groups, audit->conflicts);
	if (!status && audit->dataset->grouped)
		status = hl_buffer_print(
		    page, error, "<p>%d groups were given: adjusted Rand index %.3f, %zu pairs across them.</p>\n",
		    audit->dataset->group_count, audit->adjusted_rand, audit->across_given);
	if (!status && audit->split)
		status = hl_buffer_print(page, error, "<p%s>%zu pairs stand on two sides of the split.</p>\n",
		                         audit->leaks ? " class=\"warn\"" : "", audit->leaks);
	return status;
}

static enum hilum_status put_shortcuts(struct hl_buffer *page, const struct hilum_audit *audit,
                                       struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	if (audit->shortcuts == 0)
		return HILUM_OK;
	status = hl_buffer_print(
	    page, error,
	    "<h2>What predicts the label by itself</h2>\n<p class=\"soft\">0.5 is chance. What stands out may be "
	    "learnt instead of the disease.</p>\n"
	    "<section class=\"wide\" tabindex=\"0\" aria-label=\"Shortcuts\"><table><thead><tr>"
	    "<th scope=\"col\">what</th><th scope=\"col\">ROC-AUC</th>"
	    "<th scope=\"col\">95 %% interval</th><th scope=\"col\">note</th>"
	    "</tr></thead><tbody>\n");
	for (size_t i = 0; i < audit->shortcuts && !status; i++) {
		const struct hl_shortcut *shortcut = &audit->shortcut[i];
		status = hl_buffer_print(page, error, "<tr><td>%s</td><td class=\"n%s\">", shortcut->title,
		                         hl_shortcut_stands_out(shortcut) ? " warn" : "");
		if (!status)
			status = isnan(shortcut->auc) ? hl_buffer_print(page, error, "undefined")
			                              : hl_buffer_print(page, error, "%.3f", shortcut->auc);
		if (!status)
			status = isnan(shortcut->interval.low)
			             ? hl_buffer_print(page, error, "</td><td>none</td><td>")
			             : hl_buffer_print(page, error, "</td><td class=\"n\">%.3f to %.3f</td><td>",
			                               shortcut->interval.low, shortcut->interval.high);
		if (!status && hl_shortcut_stands_out(shortcut))
			status = hl_buffer_print(page, error, "<span class=\"warn\">a shortcut</span>%s",
			                         shortcut->note[0] ? ": " : "");
		if (!status)
			status = put_escaped(page, shortcut->note, error);
		if (!status)
			status = hl_buffer_print(page, error, "</td></tr>\n");
	}
	return status ? status : hl_buffer_print(page, error, "</tbody></table></section>\n");
}

static enum hilum_status put_unreadable(struct hl_buffer *page, const struct hilum_audit *audit,
                                        struct hilum_error *error)
{
	enum hilum_status status = HILUM_OK;
	size_t count = 0;
	for (size_t i = 0; i < audit->looks.count && !status; i++) {
		if (!audit->looks.look[i].reason)
			continue;
		if (count++ == 0)
			status = hl_buffer_print(
			    page, error,
			    "<h2>Files that cannot be used</h2>\n<section class=\"wide\" "
			    "tabindex=\"0\" aria-label=\"Files that cannot be used\"><table><thead>"
			    "<tr><th scope=\"col\">file</th><th scope=\"col\">why</th></tr></thead><tbody>\n");
		if (!status)
			status = hl_buffer_print(page, error, "<tr><td class=\"f\">");
		if (!status)
			status = put_escaped(page, audit->dataset->cases[i].path, error);
		if (!status)
			status = hl_buffer_print(page, error, "</td><td>");
		if (!status)
			status = put_escaped(page, audit->looks.look[i].reason, error);
		if (!status)
			status = hl_buffer_print(page, error, "</td></tr>\n");
	}
	return status || count == 0 ? status : hl_buffer_print(page, error, "</tbody></table></section>\n");
}

enum hilum_status hilum_audit_html(const struct hilum_audit *audit, const char *path, struct hilum_error *error)
{
	struct hl_buffer page;
	hl_buffer_init(&page, PAGE_MAX);
	enum hilum_status status = hl_buffer_append(&page, head, sizeof(head) - 1, error);
	if (!status)
		status = put_summary(&page, audit, error);
	if (!status)
		status = put_unreadable(&page, audit, error);
	if (!status)
		status = put_shortcuts(&page, audit, error);
	if (!status)
		status = put_pairs(&page, audit, leaks, 0, "Pairs on two sides of the split", error);
	if (!status)
		status = put_pairs(&page, audit, conflicts, 0, "Copies under two labels", error);
	for (int k = 0; k < HL_ALIKE_COUNT && !status; k++) {
		char title[64];
		snprintf(title, sizeof(title), "Pairs of the kind &#8220;%s&#8221;", hl_alike_names[k]);
		status = put_pairs(&page, audit, of_kind, k, title, error);
	}
	if (!status)
		status = hl_buffer_print(&page, error,
		                         "</main>\n<footer><p class=\"soft\">hilum %s. For research only; not a "
		                         "medical device.</p></footer>\n"
		                         "</body>\n</html>\n",
		                         hilum_version());
	if (!status) {
		struct hl_part whole = {page.data, page.length};
		status = hl_file_write(path, &whole, 1, error);
	}
	hl_buffer_free(&page);
	return status;
}
