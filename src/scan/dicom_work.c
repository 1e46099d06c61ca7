#include "scan/dicom_work.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "scan/dicom/directory.h"
#include "scan/dicom/pixels.h"
#include "scan/format.h"
#include "scan/sandbox.h"

/* ---- running a job ---- */

/* In a worker already: as the sandbox runs a job where it is off. */
static enum hilum_status run_inside(const struct hl_sandbox_job *job, struct hilum_error *error)
{
	struct hl_sandbox_call call = {.argument = job->argument};
	enum hilum_status status;

	call.input[0] = (struct hl_sandbox_bytes){job->input[0].bytes, job->input[0].length};
	call.result = hl_alloc(job->result_size ? job->result_size : 1, 1);
	if (!call.result)
		return hl_fail_memory(error, job->result_size, "a result");
	status = job->work(&call, error);
	if (!status)
		status = job->receive(job->context, call.result, call.output, call.output_length, error);
	hl_free(call.output);
	hl_free(call.result);
	return status;
}

static enum hilum_status run(struct hl_sandbox_job *job, const struct hl_file *file, bool inside,
                             struct hilum_error *error)
{
	struct hilum_error own = {0};
	enum hilum_status status;
	int fd = -1;

	job->input[0] = (struct hl_sandbox_input){.fd = -1, .bytes = file->bytes, .length = file->length};
	job->input[1] = (struct hl_sandbox_input){.fd = -1};
	if (!file->bytes) {
		status = hl_file_open(file->path, HL_FILE_BYTES_MAX, &fd, &job->input[0].length, error);
		if (status)
			return status;
		job->input[0].fd = fd;
	}
	status = inside ? run_inside(job, &own) : hl_sandbox_run(job, &own);
	if (fd >= 0)
		close(fd);
	return status ? hl_fail(error, status, "%s: %s", file->name, own.message) : HILUM_OK;
}

/* ---- heads ---- */

/* What comes out of the sandbox: frames are the output. */
struct answer {
	int32_t kind, syntax;
	struct hl_dicom dicom;
};

static enum hilum_status read_head(struct hl_sandbox_call *call, struct hilum_error *error)
{
	const uint8_t *bytes = call->input[0].bytes;
	size_t length = call->input[0].length;
	struct answer *answer = call->result;
	enum hilum_status status;

	if (hl_dicom_is_directory(bytes, length)) {
		answer->kind = HL_HEAD_DIRECTORY;
		return HILUM_OK;
	}
	if (!hl_dicom_detect(bytes, length)) {
		answer->kind = hl_scan_is_known(bytes, length) ? HL_HEAD_SCAN : HL_HEAD_OTHER;
		return HILUM_OK;
	}
	answer->kind = HL_HEAD_DICOM;
	status = hl_dicom_open(bytes, length, &answer->dicom, error);
	if (status)
		return status;
	size_t frames = (size_t)answer->dicom.frames * sizeof(struct hl_dicom_frame);
	uint8_t *output = frames ? hl_sandbox_output(call, frames) : NULL;
	if (frames && !output)
		status = hl_fail_memory(error, frames, "frames");
	else if (frames)
		memcpy(output, answer->dicom.frame, frames);
	answer->syntax = (int32_t)(answer->dicom.syntax - hl_dicom_syntaxes);
	struct hl_dicom plain = answer->dicom;
	plain.frame = NULL;
	plain.inflated = NULL;
	plain.fragment = NULL;
	plain.first_fragment = NULL;
	plain.pixels = NULL;
	plain.syntax = NULL;
	hl_dicom_close(&answer->dicom);
	answer->dicom = plain;
	return status;
}

/* A bool of another process, which must not be looked at as one before it is known to be one. */
static void settle(bool *flag)
{
	uint8_t byte;

	memcpy(&byte, flag, 1);
	*flag = byte == 1;
}

static void settle_frame(struct hl_dicom_frame *frame)
{
	double dot = 0, row = 0, column = 0;
	bool sound = true;

	settle(&frame->has_position);
	settle(&frame->has_orientation);
	settle(&frame->has_spacing);
	settle(&frame->has_rescale);
	settle(&frame->localiser);
	settle(&frame->derived);
	settle(&frame->hounsfield);
	for (int k = 0; k < 3; k++) {
		sound = sound && fabs(frame->position[k]) < 1e5;
		dot += frame->row[k] * frame->column[k];
		row += frame->row[k] * frame->row[k];
		column += frame->column[k] * frame->column[k];
	}
	frame->has_position = frame->has_position && sound;
	frame->has_orientation =
	    frame->has_orientation && fabs(dot) < 1e-6 && fabs(row - 1) < 1e-6 && fabs(column - 1) < 1e-6;
	frame->has_spacing = frame->has_spacing && frame->spacing[0] > 0 && frame->spacing[0] < 1e3 &&
	                     frame->spacing[1] > 0 && frame->spacing[1] < 1e3;
	if (!(frame->thickness > 0 && frame->thickness < 1e3))
		frame->thickness = 0;
	if (!(fabs(frame->slope) > 0 && fabs(frame->slope) < 1e9 && fabs(frame->intercept) < 1e12)) {
		frame->has_rescale = false;
		frame->slope = 1;
		frame->intercept = 0;
	}
	if (!frame->has_position)
		memset(frame->position, 0, sizeof(frame->position));
	if (!frame->has_orientation) {
		memset(frame->row, 0, sizeof(frame->row));
		memset(frame->column, 0, sizeof(frame->column));
	}
	if (!frame->has_spacing)
		frame->spacing[0] = frame->spacing[1] = 0;
}

static void settle_text(char *text, size_t size)
{
	text[size - 1] = '\0';
}

static enum hilum_status settle_head(struct hl_dicom *dicom, int32_t syntax, struct hilum_error *error)
{
	int photometric, numbers;

	settle_text(dicom->modality, sizeof(dicom->modality));
	settle_text(dicom->sop_class, sizeof(dicom->sop_class));
	settle_text(dicom->sop_instance, sizeof(dicom->sop_instance));
	settle_text(dicom->series, sizeof(dicom->series));
	settle_text(dicom->frame_of_reference, sizeof(dicom->frame_of_reference));
	settle_text(dicom->study, sizeof(dicom->study));
	settle(&dicom->has_acquisition);
	settle(&dicom->has_instance);
	settle(&dicom->has_tilt);
	settle(&dicom->has_padding);
	settle(&dicom->planar);
	settle(&dicom->is_signed);
	settle(&dicom->has_pixels);
	settle(&dicom->encapsulated);
	settle(&dicom->big_endian);
	memcpy(&photometric, &dicom->photometric, sizeof(photometric));
	memcpy(&numbers, &dicom->numbers, sizeof(numbers));
	dicom->frame = NULL;
	dicom->pixels = NULL;
	dicom->inflated = NULL;
	dicom->fragment = NULL;
	dicom->first_fragment = NULL;
	dicom->fragments = 0;
	if (syntax < 0 || syntax >= hl_dicom_syntax_count || photometric < HL_DICOM_OTHER ||
	    photometric > HL_DICOM_YBR_J2K || numbers < HL_DICOM_INTEGERS || numbers > HL_DICOM_DOUBLES)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: its reader gave no sound head");
	dicom->syntax = &hl_dicom_syntaxes[syntax];
	return dicom->has_pixels ? hl_dicom_check(dicom, error) : HILUM_OK;
}

static enum hilum_status receive_head(void *context, const void *result, const uint8_t *output, size_t length,
                                      struct hilum_error *error)
{
	const struct answer *answer = result;
	struct hl_head *head = context;
	struct hl_dicom dicom = answer->dicom;
	enum hilum_status status;

	if (answer->kind < HL_HEAD_OTHER || answer->kind > HL_HEAD_DIRECTORY)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: its reader gave no sound head");
	head->kind = (enum hl_head_kind)answer->kind;
	if (head->kind != HL_HEAD_DICOM)
		return HILUM_OK;
	status = settle_head(&dicom, answer->syntax, error);
	if (status)
		return status;
	if (!dicom.has_pixels)
		dicom.frames = 0;
	if (length != (size_t)dicom.frames * sizeof(*dicom.frame))
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: its reader gave no sound head");
	if (dicom.frames > 0) {
		dicom.frame = hl_alloc((size_t)dicom.frames, sizeof(*dicom.frame));
		if (!dicom.frame)
			return hl_fail_memory(error, length, "frames");
		hl_sandbox_copy(dicom.frame, output, length);
	}
	for (int32_t i = 0; i < dicom.frames; i++)
		settle_frame(&dicom.frame[i]);
	head->dicom = dicom;
	return HILUM_OK;
}

void hl_head_read(const struct hl_file *file, bool inside, struct hl_head *out)
{
	struct hl_sandbox_job job = {
	    .work = read_head, .result_size = sizeof(struct answer), .receive = receive_head, .context = out};

	*out = (struct hl_head){0};
	if (run(&job, file, inside, &out->error))
		out->kind = HL_HEAD_DAMAGED;
}

/* ---- frames ---- */

struct wish {
	int32_t count, frame[HL_FRAMES_MAX];
};

static enum hilum_status read_frames(struct hl_sandbox_call *call, struct hilum_error *error)
{
	const struct wish *wish = call->argument;
	struct hl_dicom dicom = {0};
	enum hilum_status status = hl_dicom_open(call->input[0].bytes, call->input[0].length, &dicom, error);
	size_t bytes, total;

	if (status)
		return status;
	bytes = hl_dicom_frame_bytes(&dicom);
	if (!dicom.has_pixels || !hl_mul_size(bytes, (size_t)wish->count, &total))
		status = hl_fail(error, HILUM_ERROR_FORMAT, "damaged: no picture");
	uint8_t *output = status ? NULL : hl_sandbox_output(call, total);
	if (!status && !output)
		status = hl_fail_memory(error, total, "frames");
	for (int32_t i = 0; i < wish->count && !status; i++)
		status = hl_dicom_read(&dicom, wish->frame[i], output + (size_t)i * bytes, error);
	hl_dicom_close(&dicom);
	return status;
}

struct frames {
	size_t expected;
	uint8_t *values;
};

static enum hilum_status receive_frames(void *context, const void *result, const uint8_t *output, size_t length,
                                        struct hilum_error *error)
{
	struct frames *frames = context;

	(void)result;
	if (length != frames->expected)
		return hl_fail(error, HILUM_ERROR_FORMAT, "damaged: other pixels than its header promised");
	frames->values = hl_alloc(length ? length : 1, 1);
	if (!frames->values)
		return hl_fail_memory(error, length, "frames");
	hl_sandbox_copy(frames->values, output, length);
	return HILUM_OK;
}

enum hilum_status hl_frames_read(const struct hl_file *file, bool inside, const struct hl_dicom *dicom,
                                 const int32_t *frames, int32_t count, uint8_t **out, struct hilum_error *error)
{
	struct wish wish = {.count = count};
	struct frames context = {.expected = (size_t)count * hl_dicom_frame_bytes(dicom)};
	struct hl_sandbox_job job = {.work = read_frames,
	                             .argument = &wish,
	                             .argument_size = offsetof(struct wish, frame) + (size_t)count * sizeof(*frames),
	                             .result_size = 1,
	                             .receive = receive_frames,
	                             .context = &context};
	enum hilum_status status;

	memcpy(wish.frame, frames, (size_t)count * sizeof(*frames));
	status = run(&job, file, inside, error);
	if (!status)
		*out = context.values;
	else
		hl_free(context.values);
	return status;
}

/* ---- directories ---- */

/* Paths one after the other, each with its closing zero. */
static enum hilum_status read_directory(struct hl_sandbox_call *call, struct hilum_error *error)
{
	struct hl_names names;
	size_t total = 0, at = 0;
	enum hilum_status status = hl_dicom_directory(call->input[0].bytes, call->input[0].length, &names, error);

	if (status)
		return status;
	for (size_t i = 0; i < names.count; i++)
		total += strlen(names.name[i]) + 1;
	char *output = (char *)hl_sandbox_output(call, total);
	for (size_t i = 0; i < names.count && output; i++) {
		size_t length = strlen(names.name[i]) + 1;
		memcpy(output + at, names.name[i], length);
		at += length;
	}
	hl_names_free(&names);
	return output || total == 0 ? HILUM_OK : hl_fail_memory(error, total, "names");
}

static enum hilum_status receive_directory(void *context, const void *result, const uint8_t *output, size_t length,
                                           struct hilum_error *error)
{
	struct hl_names *names = context;
	char *text = hl_alloc(length + 1, 1);
	size_t count = 0;
	enum hilum_status status = HILUM_OK;

	(void)result;
	if (!text)
		return hl_fail_memory(error, length, "names");
	hl_sandbox_copy(text, output, length);
	for (size_t i = 0; i < length; i++)
		count += text[i] == '\0';
	names->name = hl_alloc(count ? count : 1, sizeof(*names->name));
	if (!names->name)
		status = hl_fail_memory(error, count * sizeof(*names->name), "names");
	for (const char *at = text; names->count < count && !status; at += strlen(at) + 1) {
		if (!hl_dicom_is_path(at))
			status = hl_fail(error, HILUM_ERROR_FORMAT, "damaged: a file elsewhere is asked for");
		else if (!(names->name[names->count++] = hl_strdup(at)))
			status = hl_fail_memory(error, strlen(at), "a name");
	}
	hl_free(text);
	return status;
}

enum hilum_status hl_directory_read(const struct hl_file *file, struct hl_names *out, struct hilum_error *error)
{
	struct hl_names names = {0};
	struct hl_sandbox_job job = {
	    .work = read_directory, .result_size = 1, .receive = receive_directory, .context = &names};
	enum hilum_status status = run(&job, file, false, error);

	if (status)
		hl_names_free(&names);
	else
		*out = names;
	return status;
}
