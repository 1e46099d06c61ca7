#include "scan/findings.h"

#include <stdarg.h>
#include <string.h>

static const char *const names[HL_FINDING_KIND_COUNT] = {
    [HL_FINDING_LOCALISER] = "localiser",
    [HL_FINDING_OTHER_FILES] = "other files",
    [HL_FINDING_STRAY] = "stray",
    [HL_FINDING_UNREADABLE] = "unreadable",
    [HL_FINDING_MISSING_TAGS] = "missing tags",
    [HL_FINDING_MODALITY] = "modality",
    [HL_FINDING_UNITS] = "units",
    [HL_FINDING_DUPLICATE] = "duplicate",
    [HL_FINDING_CONFLICT] = "conflict",
    [HL_FINDING_ACQUISITIONS] = "acquisitions",
    [HL_FINDING_REFERENCE] = "frame of reference",
    [HL_FINDING_GAP] = "gap",
    [HL_FINDING_IRREGULAR] = "irregular",
    [HL_FINDING_SPARSE] = "sparse",
    [HL_FINDING_OVERLAP] = "overlap",
    [HL_FINDING_TILT] = "tilt",
    [HL_FINDING_SHIFTED] = "shifted",
    [HL_FINDING_OBLIQUE] = "oblique",
    [HL_FINDING_NOT_AXIAL] = "not axial",
    [HL_FINDING_FLIPPED] = "flipped",
    [HL_FINDING_NOT_SQUARE] = "not square",
    [HL_FINDING_PADDING] = "padding",
    [HL_FINDING_SEVERAL_SERIES] = "several series",
    [HL_FINDING_DERIVED] = "derived",
};

const char *hl_finding_name(enum hl_finding_kind kind)
{
	return kind >= 0 && kind < HL_FINDING_KIND_COUNT ? names[kind] : "?";
}

const struct hl_finding *hl_findings_get(const struct hl_findings *findings, enum hl_finding_kind kind)
{
	for (int32_t i = 0; i < findings->count; i++)
		if (findings->list[i].kind == kind)
			return &findings->list[i];
	return NULL;
}

static void note(struct hl_findings *findings, enum hl_finding_kind kind, enum hl_finding_grade grade, int32_t count,
                 const char *text)
{
	struct hl_finding *finding;

	if (!findings)
		return;
	int32_t at = 0;
	while (at < findings->count && findings->list[at].kind != kind)
		at++;
	if (at == findings->count)
		findings->count++;
	finding = &findings->list[at];
	*finding = (struct hl_finding){.kind = kind, .grade = grade, .count = count};
	snprintf(finding->text, sizeof(finding->text), "%s", text);
}

void hl_findings_note(struct hl_findings *findings, enum hl_finding_kind kind, enum hl_finding_grade grade,
                      int32_t count, const char *format, ...)
{
	char text[sizeof(findings->list[0].text)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	note(findings, kind, grade, count, text);
}

enum hilum_status hl_findings_refuse(struct hl_findings *findings, enum hl_finding_kind kind, bool force, int32_t count,
                                     struct hilum_error *error, const char *format, ...)
{
	char text[sizeof(findings->list[0].text)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	note(findings, kind, force ? HL_FINDING_FORCED : HL_FINDING_REFUSED, count, text);
	return force ? HILUM_OK : hl_fail(error, HILUM_ERROR_UNSUPPORTED, "%s", text);
}
