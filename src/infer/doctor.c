/* hilum_doctor: this machine as hilum sees it. */
#include "infer/selftest.h"

#include "base/cpu.h"
#include "base/memory.h"
#include "scan/sandbox.h"

#include <jansson.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#define BACKENDS_MAX 8
#define LIBRARIES_MAX 16

struct machine {
	struct hl_cpu cpu;
	int32_t cores;
	int64_t memory;
	char library[LIBRARIES_MAX][64];
	int libraries;
	struct hl_selftest test[BACKENDS_MAX];
	int tests;
	bool agrees;
	enum hl_sandbox_state sandbox;
};

/* For JSON, and for people. */
static const char *const sandbox_names[] = {[HL_SANDBOX_OFF] = "off",
                                            [HL_SANDBOX_FULL] = "full",
                                            [HL_SANDBOX_UNFILTERED] = "limits",
                                            [HL_SANDBOX_BROKEN] = "broken"};
static const char *const sandbox_words[] = {
    [HL_SANDBOX_OFF] = "off: files are read in this process",
    [HL_SANDBOX_FULL] = "files are read in processes that can do nothing else",
    [HL_SANDBOX_UNFILTERED] = "files are read in processes with limits, but the kernel has no seccomp",
    [HL_SANDBOX_BROKEN] = "BROKEN: no process can be had to read files in; HILUM_SANDBOX=off does without"};

/* The files that the loader really mapped; their names carry the versions. None in a static program. */
static int note_library(struct dl_phdr_info *info, size_t size, void *context)
{
	static const char *const known[] = {"libdnnl",    "libturbojpeg", "libjpeg", "libspng",
	                                    "libtiff",    "libopenjp2",   "libz.so", "libarchive",
	                                    "libjansson", "libnettle",    "libgomp", NULL};
	struct machine *machine = context;
	char whole[PATH_MAX];
	(void)size;
	if (!info->dlpi_name || !info->dlpi_name[0] || machine->libraries == LIBRARIES_MAX)
		return 0;
	const char *path = realpath(info->dlpi_name, whole) ? whole : info->dlpi_name;
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	for (size_t i = 0; known[i]; i++)
		if (strncmp(name, known[i], strlen(known[i])) == 0) {
			snprintf(machine->library[machine->libraries++], sizeof(machine->library[0]), "%.60s", name);
			break;
		}
	return 0;
}

static enum hilum_status examine(struct machine *machine, struct hilum_error *error)
{
	machine->cpu = hl_cpu_describe();
	machine->cores = hl_cpu_count();
	machine->memory = hl_memory_available();
	machine->agrees = true;
	machine->sandbox = hl_sandbox_state();
	dl_iterate_phdr(note_library, machine);
	enum hilum_status status = HILUM_OK;
	for (const struct hl_backend *const *backend = hl_backends(); *backend && !status; backend++) {
		if (machine->tests == BACKENDS_MAX)
			break;
		status = hl_selftest_run(*backend, &machine->test[machine->tests], error);
		if (!status)
			machine->agrees = machine->agrees && machine->test[machine->tests++].agrees;
	}
	return status;
}

/* Which kernels convolutions run on. */
static const char *kernels(const struct hl_cpu *cpu)
{
	if (cpu->amx && cpu->amx_emulated)
		return "fp32 (in parts), bf16 and int8 on AMX tiles, emulated: for tests";
	if (cpu->amx)
		return "fp32 (in parts), bf16 and int8 on AMX tiles; fp32-strict with AVX-512";
	if (cpu->bf16_pairs && cpu->avx512_vnni)
		return "fp32, bf16 and int8 with AVX-512";
	if (cpu->avx512)
		return cpu->avx512_vnni ? "fp32 and int8 with AVX-512, bf16 by oneDNN"
		                        : "fp32 with AVX-512, bf16 by oneDNN, int8 in plain C";
	return cpu->avx2 ? "fp32 and bf16 by oneDNN, weight gradients with AVX2, int8 in plain C"
	                 : "fp32 and bf16 by oneDNN, int8 in plain C";
}

static void print_text(const struct machine *machine, FILE *file)
{
	const struct hl_cpu *cpu = &machine->cpu;
	fprintf(file, "hilum %s\n", hilum_version());
	fprintf(file, "processor   %s\n", cpu->name);
	fprintf(file, "            AVX2 %s, AVX-512 %s, AVX-512 bf16 %s, AMX %s\n", cpu->avx2 ? "yes" : "no",
	        cpu->avx512 ? "yes" : "no", cpu->avx512_bf16 ? "yes" : "no", cpu->amx ? "yes" : "no");
	fprintf(file, "convolution %s\n", kernels(cpu));
	fprintf(file, "cores       %d available to this process\n", machine->cores);
	fprintf(file, "memory      %.1f GiB available\n", (double)machine->memory / (1 << 30));
	fprintf(file, "sandbox     %s\n", sandbox_words[machine->sandbox]);
	fputs("libraries  ", file);
	for (int i = 0; i < machine->libraries; i++)
		fprintf(file, "%s%s", i ? ", " : " ", machine->library[i]);
	fputs(machine->libraries ? "\n" : " built in\n", file);
	fputs("\nback ends, in the order in which they are asked, against the reference:\n", file);
	for (int i = 0; i < machine->tests; i++) {
		const struct hl_selftest *test = &machine->test[i];
		fprintf(file, "  %-10s %3d samples, largest difference fp32 %.1e, bf16 %.1e: %s\n", test->backend,
		        test->ran, test->worst[HL_F32], test->worst[HL_BF16], test->agrees ? "agrees" : "DISAGREES");
		for (int type = HL_F32; type <= HL_BF16 && !test->agrees; type++)
			fprintf(file, "             %s worst at %s\n", type == HL_F32 ? "fp32" : "bf16",
			        test->where[type]);
	}
	fputs("Research use only: not a medical device.\n", file);
}

static enum hilum_status print_json(const struct machine *machine, FILE *file, struct hilum_error *error)
{
	const struct hl_cpu *cpu = &machine->cpu;
	json_t *tests = json_array(), *libraries = json_array();
	for (int i = 0; i < machine->libraries; i++)
		json_array_append_new(libraries, json_string(machine->library[i]));
	for (int i = 0; i < machine->tests; i++) {
		const struct hl_selftest *test = &machine->test[i];
		/* An infinite difference has no number in JSON. */
		json_t *fp32 = json_real(test->worst[HL_F32]), *bf16 = json_real(test->worst[HL_BF16]);
		json_array_append_new(tests, json_pack("{s:s, s:i, s:i, s:o, s:o, s:b}", "name", test->backend,
		                                       "samples", test->ran, "unsupported", test->unsupported, "fp32",
		                                       fp32 ? fp32 : json_null(), "bf16", bf16 ? bf16 : json_null(),
		                                       "agrees", (int)test->agrees));
	}
	json_t *root = json_pack("{s:s, s:s, s:b, s:b, s:b, s:b, s:s, s:i, s:I, s:s, s:o, s:o, s:b, s:b}", "version",
	                         hilum_version(), "processor", cpu->name, "avx2", (int)cpu->avx2, "avx512",
	                         (int)cpu->avx512, "avx512_bf16", (int)cpu->avx512_bf16, "amx", (int)cpu->amx,
	                         "convolution", kernels(cpu), "cores", machine->cores, "memory_bytes",
	                         (json_int_t)machine->memory, "sandbox", sandbox_names[machine->sandbox], "libraries",
	                         libraries, "backends", tests, "agrees", (int)machine->agrees, "research_use_only", 1);
	bool written = root && json_dumpf(root, file, 0) == 0 && fputc('\n', file) != EOF;
	json_decref(root);
	return written ? HILUM_OK : hl_fail(error, HILUM_ERROR_IO, "the description could not be written");
}

enum hilum_status hilum_doctor(enum hilum_output output, FILE *file, struct hilum_error *error)
{
	struct machine *machine = hl_alloc(1, sizeof(*machine));
	if (!machine)
		return hl_fail_memory(error, sizeof(*machine), "the description");
	enum hilum_status status = examine(machine, error);
	if (!status && output == HILUM_OUTPUT_JSON)
		status = print_json(machine, file, error);
	else if (!status)
		print_text(machine, file);
	if (!status && !machine->agrees)
		status =
		    hl_fail(error, HILUM_ERROR_INTERNAL, "a back end disagrees with the reference on this machine");
	if (!status && ferror(file))
		status = hl_fail_errno(error, "writing the description");
	hl_free(machine);
	return status;
}
