/* What this machine really offers: a container may have fewer cores and less memory than the kernel shows. */
#include "base/cpu.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#endif

/* Files under /proc and /sys have no size: read what comes, up to the text's size. */
static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;

	if (fd < 0)
		return false;
	while (length < size - 1) {
		ssize_t got = read(fd, text + length, size - 1 - length);
		if (got <= 0)
			break;
		length += (size_t)got;
	}
	close(fd);
	text[length] = '\0';
	return length > 0;
}

/* This process's group under a controller: "0::/path" (version 2, controller "") or "4:cpu,cpuacct:/path". */
static bool group_path(const char *controller, char *path, size_t size)
{
	char text[4096];
	char *rest = text;

	if (!read_text("/proc/self/cgroup", text, sizeof(text)))
		return false;
	for (char *line; (line = strsep(&rest, "\n"));) {
		char *list = strchr(line, ':');
		char *place = list ? strchr(list + 1, ':') : NULL;
		if (!place)
			continue;
		*place++ = '\0';
		list++;
		for (char *name; (name = strsep(&list, ","));)
			if (strcmp(name, controller) == 0)
				return (size_t)snprintf(path, size, "%s", place) < size;
	}
	return false;
}

/* Calls visit for the group's folder and every one above it, down to the mount, since each may set a limit. */
static void visit_groups(const char *mount, const char *controller, void (*visit)(const char *folder, void *context),
                         void *context)
{
	char group[PATH_MAX], folder[PATH_MAX + 64];

	if (!group_path(controller, group, sizeof(group)))
		return;
	for (;;) {
		char *slash;
		snprintf(folder, sizeof(folder), "%s%s", mount, strcmp(group, "/") == 0 ? "" : group);
		visit(folder, context);
		slash = strrchr(group, '/');
		if (!slash || group[0] == '\0')
			break;
		*slash = '\0';
	}
}

static bool read_number(const char *folder, const char *file, double *out)
{
	char path[PATH_MAX + 128], text[64], *end;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	if (!read_text(path, text, sizeof(text)))
		return false;
	*out = strtod(text, &end);
	return end != text;
}

static void cpu_limit_v2(const char *folder, void *context)
{
	char path[PATH_MAX + 128], text[64], *end;
	double quota, period, *cores = context;

	snprintf(path, sizeof(path), "%s/cpu.max", folder);
	if (!read_text(path, text, sizeof(text)))
		return;
	/* "max 100000" where there is no limit. */
	quota = strtod(text, &end);
	period = end != text ? strtod(end, NULL) : 0;
	if (quota > 0 && period > 0 && quota / period < *cores)
		*cores = quota / period;
}

static void cpu_limit_v1(const char *folder, void *context)
{
	double quota, period, *cores = context;

	if (!read_number(folder, "cpu.cfs_quota_us", &quota) || !read_number(folder, "cpu.cfs_period_us", &period))
		return;
	if (quota > 0 && period > 0 && quota / period < *cores)
		*cores = quota / period;
}

int32_t hl_cpu_count(void)
{
	cpu_set_t set;
	double cores;
	int32_t whole;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		cores = CPU_COUNT(&set);
	else
		cores = (double)sysconf(_SC_NPROCESSORS_ONLN);
	visit_groups("/sys/fs/cgroup", "", cpu_limit_v2, &cores);
	visit_groups("/sys/fs/cgroup/cpu", "cpu", cpu_limit_v1, &cores);
	if (!(cores >= 1))
		return 1;
	whole = (int32_t)cores;
	return whole < cores ? whole + 1 : whole;
}

static void memory_limit(const char *folder, const char *limit_file, const char *used_file, const char *cache_word,
                         double *available)
{
	char path[PATH_MAX + 128], text[8192];
	const char *found;
	double limit, used, cache = 0;

	if (!read_number(folder, limit_file, &limit) || !read_number(folder, used_file, &used))
		return;
	/* File pages that nobody uses count as used there, and yet are given up when asked for. */
	snprintf(path, sizeof(path), "%s/memory.stat", folder);
	if (read_text(path, text, sizeof(text)) && (found = strstr(text, cache_word)))
		cache = strtod(found + strlen(cache_word), NULL);
	if (limit - used + cache < *available)
		*available = limit - used + cache;
}

static void memory_limit_v2(const char *folder, void *context)
{
	memory_limit(folder, "memory.max", "memory.current", "\ninactive_file ", context);
}

static void memory_limit_v1(const char *folder, void *context)
{
	memory_limit(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "\ntotal_inactive_file ", context);
}

int64_t hl_memory_available(void)
{
	char text[4096];
	const char *found;
	double available = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);

	if (read_text("/proc/meminfo", text, sizeof(text)) && (found = strstr(text, "MemAvailable:")))
		available = strtod(found + strlen("MemAvailable:"), NULL) * 1024;
	visit_groups("/sys/fs/cgroup", "", memory_limit_v2, &available);
	visit_groups("/sys/fs/cgroup/memory", "memory", memory_limit_v1, &available);
	return available > 0 ? (int64_t)available : 0;
}

#if defined(__x86_64__)
/* The system must save the tile registers too: XCR0 bits 17 and 18 (Intel SDM volume 1, 13.3). */
static bool system_saves_tiles(void)
{
	unsigned a, b, c, d, low, high;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return false;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	(void)high;
	return (low >> 17 & 3) == 3;
}

/* Linux gives a process the tile registers only when asked, once for all its threads
 * (Documentation/arch/x86/xstate.rst); kernels before 5.16 do not know the question and give them to nobody. */
static bool tiles_given;
static pthread_once_t tiles_asked = PTHREAD_ONCE_INIT;

static void ask_for_tiles(void)
{
	enum { ARCH_REQ_XCOMP_PERM = 0x1023, TILE_DATA = 18 };

	tiles_given = syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
}

static void brand(char name[64])
{
	unsigned words[12];

	for (unsigned i = 0; i < 3; i++)
		if (!__get_cpuid(0x80000002 + i, words + 4 * i, words + 4 * i + 1, words + 4 * i + 2,
		                 words + 4 * i + 3))
			return;
	memcpy(name, words, sizeof(words));
	name[sizeof(words)] = '\0';
	for (size_t end = strlen(name); end > 0 && name[end - 1] == ' '; end--)
		name[end - 1] = '\0';
}

/* HILUM_CPU in the environment hides what a lesser processor lacks, so that one machine tests the loops of all, or
 * stands in for tiles. */
static void narrow(struct hl_cpu *cpu)
{
	const char *most = getenv("HILUM_CPU");

	if (!most)
		return;
	if (strcmp(most, "amx-emulated") == 0)
		cpu->amx = cpu->amx_emulated = cpu->avx512_bf16 && cpu->avx512_vnni;
	if (strcmp(most, "avx512") == 0)
		cpu->amx = false;
	if (strcmp(most, "avx2") == 0 || strcmp(most, "none") == 0)
		cpu->avx512 = cpu->avx512_bf16 = cpu->avx512_vnni = cpu->amx = false;
	if (strcmp(most, "none") == 0)
		cpu->avx2 = false;
}
#endif

struct hl_cpu hl_cpu_describe(void)
{
	struct hl_cpu cpu = {.name = "unknown"};

#if defined(__x86_64__)
	unsigned a, b, c, d;

	brand(cpu.name);
	cpu.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	cpu.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
	cpu.avx512_bf16 = cpu.avx512 && __builtin_cpu_supports("avx512bf16");
	cpu.avx512_vnni = cpu.avx512 && __builtin_cpu_supports("avx512vnni");
	/* Leaf 7: AMX-BF16, AMX-TILE and AMX-INT8. What goes with them here is there on every processor that has them.
	 */
	cpu.amx = cpu.avx512_bf16 && cpu.avx512_vnni && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) &&
	          (d >> 24 & 1) && (d >> 25 & 1) && system_saves_tiles();
	narrow(&cpu);
	if (cpu.amx && !cpu.amx_emulated) {
		pthread_once(&tiles_asked, ask_for_tiles);
		cpu.amx = tiles_given;
	}
	cpu.bf16_pairs = cpu.avx512_bf16 && !cpu.amx;
#endif
	return cpu;
}
